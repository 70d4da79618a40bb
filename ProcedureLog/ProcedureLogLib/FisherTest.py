"""Fisher's exact test for 2 × 2 and larger tables (Fisher-Freeman-Halton).

Two-sided p = probability of all tables with the observed margins that are no more probable than the observed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

TABLE_LIMIT = 2_000_000
"""Beyond this many tables with the same margins the p-value is estimated by drawing tables."""
DRAWS = 100_000
SEED = 20231002
RELATIVE_TOLERANCE = 1e-7
"""Tables whose probability differs less than this from the observed one count as equally probable (as in R and SciPy)."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FisherTest:
    """standardError is 0 for an exact p-value, else that of the Monte Carlo estimate."""

    pValue: float
    table: tuple[tuple[int, ...], ...]
    method: str
    standardError: float = 0.0

    def name(self) -> str:
        return f"Fisher's exact test ({self.method})"


def fisherTest(table: npt.ArrayLike) -> FisherTest:
    """Test a table of counts (rows × columns). Raises ValueError for negative or fractional counts or an empty table."""
    counts = np.asarray(table, float)
    if counts.ndim != 2 or counts.size == 0:
        raise ValueError(_("Fisher's test needs a table of rows and columns"))
    if (counts < 0).any() or not np.array_equal(counts, np.floor(counts)):
        raise ValueError(_("Fisher's test needs whole, non-negative counts"))
    whole = counts.astype(np.int64)
    shown = tuple(tuple(int(value) for value in row) for row in whole)
    used = whole[whole.sum(1) > 0][:, whole.sum(0) > 0]
    size = f"{whole.shape[0]} × {whole.shape[1]}"
    if used.size == 0 or min(used.shape) < 2:
        return FisherTest(1.0, shown, f"{size}, one category only")
    if used.shape[0] > used.shape[1]:
        used = used.T
    observed = _logProbability(used)
    limit = observed + RELATIVE_TOLERANCE
    found = _twoRowTables(used.sum(1), used.sum(0)) if used.shape[0] == 2 else _manyRowTables(used.sum(1), used.sum(0))
    if found is not None:
        return FisherTest(float(min(1.0, np.exp(found[found <= limit]).sum())), shown, f"{size}, all tables with the same margins")
    hits = sum(int((values <= limit).sum()) for values in _drawnTables(used))
    p = (hits + 1) / (DRAWS + 1)
    return FisherTest(p, shown, f"{size}, Monte Carlo of {DRAWS:,} tables, seed {SEED}", float(np.sqrt(p * (1 - p) / DRAWS)))


def _logFactorials(largest: int) -> npt.NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, largest + 1, dtype=float)))))


def _logProbability(table: IntArray) -> float:
    """Log probability of a table given its margins."""
    logs = _logFactorials(int(table.sum()))
    return float(logs[table.sum(0)].sum() + logs[table.sum(1)].sum() - logs[int(table.sum())] - logs[table].sum())


def _twoRowTables(rows: IntArray, columns: IntArray) -> npt.NDArray[np.float64] | None:
    """Log probabilities of all 2 × c tables, None where there are more than TABLE_LIMIT."""
    total = int(rows.sum())
    logs = _logFactorials(total)
    used = np.zeros(1, np.int64)
    values = np.zeros(1)
    left = total
    for column in (int(each) for each in columns[:-1]):
        left -= column
        take = np.arange(column + 1)
        if len(used) * len(take) > 2 * TABLE_LIMIT:
            return None
        together = used[:, None] + take[None, :]
        possible = (together <= rows[0]) & (together + left >= rows[0])
        choose = logs[column] - logs[take] - logs[column - take]
        values = (values[:, None] + choose[None, :])[possible]
        used = together[possible]
    last = rows[0] - used
    values = values + logs[left] - logs[last] - logs[left - last]
    return values - (logs[total] - logs[int(rows[0])] - logs[int(rows[1])])


def _manyRowTables(rows: IntArray, columns: IntArray) -> npt.NDArray[np.float64] | None:
    """Log probabilities of all r × c tables, column by column over the rows' remaining places."""
    total = int(rows.sum())
    logs = _logFactorials(total)
    states: dict[tuple[int, ...], npt.NDArray[np.float64]] = {tuple(int(each) for each in rows): np.zeros(1)}
    for column in (int(each) for each in columns):
        following: dict[tuple[int, ...], list[npt.NDArray[np.float64]]] = {}
        size = 0
        for state, values in states.items():
            for split in _splits(column, state):
                weight = logs[column] - sum(logs[part] for part in split)
                following.setdefault(tuple(a - b for a, b in zip(state, split)), []).append(values + weight)
                size += len(values)
                if size > TABLE_LIMIT // 4:
                    return None
        states = {state: np.concatenate(parts) for state, parts in following.items()}
    final = states[tuple(0 for _unused in rows)]
    return final - (logs[total] - sum(logs[int(row)] for row in rows))


def _splits(count: int, room: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All ways to lay `count` things into places of limited room."""
    if len(room) == 1:
        if count <= room[0]:
            yield (count,)
        return
    rest = sum(room[1:])
    for here in range(max(0, count - rest), min(count, room[0]) + 1):
        for others in _splits(count - here, room[1:]):
            yield (here, *others)


def _drawnTables(table: IntArray) -> Iterator[npt.NDArray[np.float64]]:
    """Log probabilities of random tables with the margins of `table`, in blocks."""
    generator = np.random.default_rng(SEED)
    rows, columns = table.sum(1), table.sum(0)
    logs = _logFactorials(int(table.sum()))
    fixed = logs[rows].sum() + logs[columns].sum() - logs[int(table.sum())]
    for _unused in range(10):
        block = DRAWS // 10
        left = np.repeat(columns[None, :], block, axis=0)
        spent = np.zeros(block)
        for row in rows[:-1]:
            part = _hypergeometricRows(generator, left, int(row))
            spent += logs[part].sum(1)
            left = left - part
        spent += logs[left].sum(1)
        yield fixed - spent


def _hypergeometricRows(generator: np.random.Generator, room: IntArray, count: int) -> IntArray:
    """For each line of `room`, `count` things drawn from it without replacement."""
    result = np.zeros_like(room)
    rest = room.sum(1)
    left = np.full(len(room), count, np.int64)
    for column in range(room.shape[1]):
        here = room[:, column]
        rest = rest - here
        drawn = generator.hypergeometric(here, rest, left) if column < room.shape[1] - 1 else left
        result[:, column] = drawn
        left = left - drawn
    return result
