"""Surface registration while scanning: points accumulate, the fit refreshes in the background, the user accepts or rejects.

The stream only appends points under a lock. One worker thread fits a snapshot whenever enough new points have come and the last
fit is done, so a slow fit makes the display older, never the stream slower.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import MINIMUM_POINTS, BonePoints, joinBonePoints
from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.RigidTransform import transformPoints
from FusionRegistrationLib.SurfaceFit import SurfaceFit
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface
from FusionRegistrationLib.SweepCoverage import SweepCoverage, sweepCoverage
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class LiveState:
    """What is known now.

    fit: newest fit or None. problem: why there is none, in plain English, or empty. coverage: with the newest fit.
    accepted: the fit the user accepted, which stays until another is accepted or it is rejected.
    fitSec: how long the newest fit took. revision grows with every finished fit.
    """

    pointCount: int
    frameCount: int
    fit: SurfaceFit | None
    coverage: SweepCoverage | None
    accepted: SurfaceFit | None
    problem: str
    busy: bool
    fitSec: float
    revision: int


class LiveSurfaceRegistration:
    """Accumulates bone points and keeps a fit up to date.

    initialReferenceToRas: start of the search, as from the markers; None searches the whole spine.
    refreshPoints: new points that are worth another fit.
    perVoxel: points kept per 1.5 mm cube, so that lingering doesn't outweigh scanning.
    onChange: called from the worker thread after every fit (post to the main thread from there).
    """

    def __init__(
        self,
        surface: BoneSurface,
        *,
        initialReferenceToRas: npt.ArrayLike | None = None,
        targetsRas: Mapping[str, npt.ArrayLike] | None = None,
        parameters: SurfaceRegistrationParameters | None = None,
        refreshPoints: int = 200,
        perVoxel: int = 4,
        onChange: Callable[[LiveState], None] | None = None,
    ) -> None:
        self._surface, self._initial, self._targets = surface, initialReferenceToRas, targetsRas
        self._parameters, self._refreshPoints, self._perVoxel, self._onChange = parameters, refreshPoints, perVoxel, onChange
        self._changed = threading.Condition()
        self._parts: list[BonePoints] = []
        self._voxels: dict[tuple[int, int, int], int] = {}
        self._pointCount = self._frameCount = self._fittedCount = 0
        self._fit: SurfaceFit | None = None
        self._accepted: SurfaceFit | None = None
        self._coverage: SweepCoverage | None = None
        self._problem = _("No bone points yet: sweep along the spine.")
        self._busy = self._stopping = self._forced = False
        self._fitSec, self._revision, self._generation = 0.0, 0, 0
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Start the worker; further calls do nothing."""
        if self._worker is None:
            self._stopping = False
            self._worker = threading.Thread(target=self._run, name="LiveSurfaceRegistration", daemon=True)
            self._worker.start()

    def stop(self, timeoutSec: float = 10.0) -> None:
        """Stop the worker after the fit it is at; points and fits are kept."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        worker.join(timeoutSec)

    def addPoints(self, points: BonePoints) -> int:
        """Take in the bone points of one frame; returns how many were new enough to keep. Fast, never waits for a fit."""
        if len(points) == 0:
            return 0
        cells = np.floor(points.pointsReference / 1.5).astype(int)
        with self._changed:
            keep = []
            for index, cell in enumerate(map(tuple, cells.tolist())):
                count = self._voxels.get(cell, 0)
                if count < self._perVoxel:
                    self._voxels[cell] = count + 1
                    keep.append(index)
            self._frameCount += 1
            if keep:
                self._parts.append(points.take(np.array(keep)))
                self._pointCount += len(keep)
            self._changed.notify_all()
        return len(keep)

    def refresh(self) -> None:
        """Ask for a fit of what is there now, however few new points came."""
        with self._changed:
            self._forced = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all points and the current fit (the accepted one stays)."""
        with self._changed:
            self._parts, self._voxels = [], {}
            self._pointCount = self._frameCount = self._fittedCount = 0
            self._fit, self._coverage = None, None
            self._generation += 1
            self._problem = _("No bone points yet: sweep along the spine.")

    def accept(self) -> SurfaceFit:
        """Make the newest fit the accepted one.

        :raises RuntimeError: when there is no fit to accept.
        """
        with self._changed:
            if self._fit is None:
                raise RuntimeError(_("There is no surface registration to accept: {problem}").format(problem=self._problem))
            self._accepted = self._fit
            return self._fit

    def reject(self) -> None:
        """Drop the newest and the accepted fit; points are kept."""
        with self._changed:
            self._fit, self._accepted, self._coverage = None, None, None
            self._problem = _("The fit was rejected: go on scanning, or begin again.")

    def state(self) -> LiveState:
        """Everything known now; never waits for a fit."""
        with self._changed:
            return self._stateLocked()

    def waitForFit(self, afterRevision: int, timeoutSec: float) -> LiveState:
        """Wait until a fit newer than afterRevision is done (for scripts and tests)."""
        end = time.monotonic() + timeoutSec
        with self._changed:
            while self._revision <= afterRevision and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return self._stateLocked()

    def _stateLocked(self) -> LiveState:
        return LiveState(
            self._pointCount,
            self._frameCount,
            self._fit,
            self._coverage,
            self._accepted,
            self._problem,
            self._busy,
            self._fitSec,
            self._revision,
        )

    def _run(self) -> None:
        self._surface.prepare()  # before the first points come
        while True:
            with self._changed:
                while not self._stopping and not self._due():
                    self._changed.wait()
                if self._stopping:
                    return
                points, initial, generation = joinBonePoints(self._parts), self._initial, self._generation
                if self._fit is not None and self._fit.trusted:
                    initial = self._fit.referenceToRas
                self._busy, self._forced = True, False
                self._fittedCount = self._pointCount
            self._fitOnce(points, initial, generation)

    def _due(self) -> bool:
        fresh = self._pointCount - self._fittedCount
        return self._forced or (self._pointCount >= MINIMUM_POINTS and fresh >= self._refreshPoints)

    def _fitOnce(self, points: BonePoints, initial: npt.ArrayLike | None, generation: int) -> None:
        began = time.monotonic()
        fit, coverage, problem = None, None, ""
        try:
            fit = registerSurface(
                points, self._surface, initialReferenceToRas=initial, targetsRas=self._targets, parameters=self._parameters
            )
            coverage = sweepCoverage(self._surface, transformPoints(fit.referenceToRas, points.pointsReference))
        except (ValueError, np.linalg.LinAlgError) as error:
            problem = str(error)
        with self._changed:
            self._busy = False
            if generation == self._generation:
                self._fit, self._coverage, self._problem = fit, coverage, problem
                self._fitSec = time.monotonic() - began
            self._revision += 1
            state = self._stateLocked()
            self._changed.notify_all()
        if self._onChange is not None:
            self._onChange(state)
