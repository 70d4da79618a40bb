"""Reviews many cases: with worker processes on this machine, or over Dask on several; the result is the same."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from IntradiscalNavHeadless.ReviewSummary import SHOWN, summaryOfFolder, summaryOfScene

SCENE_ENDINGS = (".mrb", ".mrml")


@dataclass(frozen=True)
class CaseResult:
    """One case of a batch: its flat row and whole review, or the reason why there is none."""

    path: str
    row: dict[str, Any]
    review: dict[str, Any]
    problem: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    """Line of the cohort registry, from the procedure log; empty where there is none."""


def reviewOne(path: str) -> CaseResult:
    """Review one case; whatever goes wrong with it is named, and never stops the others. Runs in a worker."""
    from IntradiscalNavHeadless.CaseReview import reviewCase

    try:
        review = reviewCase(pathlib.Path(path))
    except Exception as error:  # noqa: BLE001 - a batch over hundreds of files meets every kind of broken one
        return CaseResult(path, {"name": pathlib.Path(path).name}, {}, f"{type(error).__name__}: {error}")
    row = review.row()
    try:
        summary = _summary(pathlib.Path(path))
    except ValueError as error:
        summary = {}
        row["missing"] = "; ".join(text for text in (row["missing"], str(error)) if text)
    details = {name: summary.get(name) for name in SHOWN} if summary else {}
    return CaseResult(path, {"name": row.pop("name"), **details, **row}, review.toDict(), summary=summary)


def _summary(path: pathlib.Path) -> dict[str, Any]:
    """From the log beside the recording, or in the scene that was just reviewed."""
    if path.is_dir():
        return summaryOfFolder(path)
    if not path.name.lower().endswith(SCENE_ENDINGS):
        return {}
    from IntradiscalNavHeadless.SceneHost import startHost

    return summaryOfScene(startHost().scene)


def reviewMany(
    paths: Sequence[pathlib.Path], workers: int = 2, scheduler: str = "", onDone: Callable[[CaseResult], None] | None = None
) -> list[CaseResult]:
    """Review cases; the result is in the order of ``paths``, whatever the number of workers.

    :param scheduler: address of a Dask scheduler whose workers have this package and see the same paths; empty: this machine.
    :raises RuntimeError: when a scheduler was named but can't be reached, or Dask isn't installed.
    """
    names = [str(path) for path in paths]
    if scheduler:
        results = _overDask(names, scheduler, onDone)
    elif workers <= 1:
        results = {}
        for name in names:
            results[name] = reviewOne(name)
            if onDone:
                onDone(results[name])
    else:
        results = {}
        # A fresh interpreter per worker: a forked one would share the scene host.
        with ProcessPoolExecutor(min(workers, max(1, len(names))), mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(reviewOne, name): name for name in names}
            for future in as_completed(futures):
                name = futures[future]
                try:
                    results[name] = future.result()
                except Exception as error:  # noqa: BLE001 - a worker that dies (out of memory, broken library) costs one case
                    results[name] = CaseResult(name, {"name": pathlib.Path(name).name}, {}, f"worker ended: {error}")
                if onDone:
                    onDone(results[name])
    return [results[name] for name in names]


def _overDask(names: list[str], scheduler: str, onDone: Callable[[CaseResult], None] | None) -> dict[str, CaseResult]:
    try:
        from distributed import Client
        from distributed import as_completed as completed
    except ImportError as error:
        raise RuntimeError("Reviewing over several machines needs Dask: pip install 'intradiscalnav[cluster]'.") from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise RuntimeError(f"The Dask scheduler {scheduler} can't be reached: {error}") from error
    results: dict[str, CaseResult] = {}
    with client:
        futures = {client.submit(reviewOne, name, pure=False): name for name in names}
        for future in completed(list(futures)):
            name = futures[future]
            failure = future.exception()
            results[name] = future.result() if failure is None else CaseResult(name, {"name": name}, {}, f"worker ended: {failure}")
            if onDone:
                onDone(results[name])
    return results
