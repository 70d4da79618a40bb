"""Live check of the registration: does the bone that ultrasound shows lie on the bone of the CT?

The visual check of the method this program follows (superimposition of the posterior vertebral arch; Albano et al. 2023), made a number:
the distance from the CT's bone surface of every bone point seen in the last seconds. It can't see a shift along a flat surface, so a good
number doesn't prove a registration; a bad one refutes it.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _


class ArchState(enum.Enum):
    """UNKNOWN: too little bone seen lately."""

    UNKNOWN = "unknown"
    GOOD = "good"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class ArchLimits:
    """``goodMm``: median distance up to which the surfaces coincide; 2 mm is the limit quoted for spine navigation (Gueziri 2019).

    Above ``leaveMm`` the state turns to DOUBTFUL again, so that it doesn't flicker. ``leastPoints`` within ``windowSec`` are needed to
    say anything.
    ``mostMm``: points farther than this from any bone are echoes of something else and don't count, but their share is told.
    """

    goodMm: float = 2.0
    leaveMm: float = 3.0
    leastPoints: int = 60
    windowSec: float = 3.0
    mostMm: float = 12.0
    leastShare: float = 0.5


@dataclass(frozen=True)
class ArchCheck:
    """Result: medians over the window. ``biasMm`` is signed, positive where the ultrasound's bone lies above (outside) the CT's bone."""

    timeSec: float
    state: ArchState
    medianMm: float
    p95Mm: float
    biasMm: float
    withinGoodShare: float
    farShare: float
    pointCount: int
    message: str


class ArchSuperimposition:
    """Collects bone points for a few seconds and compares.

    :param surfaceDistance: signed distance (mm, positive outside the bone) from the CT's posterior bone surface at points (n, 3) RAS, as
        ``SignedDistanceTable.distances`` gives.
    """

    def __init__(self, surfaceDistance: Callable[[FloatArray], npt.ArrayLike], limits: ArchLimits | None = None) -> None:
        self._surfaceDistance = surfaceDistance
        self.limits = limits or ArchLimits()
        self._samples: deque[tuple[float, FloatArray]] = deque()
        self.state = ArchState.UNKNOWN

    def clear(self) -> None:
        """Forget what was seen, as after a new registration."""
        self._samples.clear()
        self.state = ArchState.UNKNOWN

    def add(self, bonePointsRas: npt.ArrayLike, nowSec: float) -> ArchCheck:
        """Take the bone points (n, 3) of one live frame; none is a frame without bone."""
        points = np.asarray(bonePointsRas, float).reshape(-1, 3)
        if len(points):
            self._samples.append((nowSec, np.asarray(self._surfaceDistance(points), float)))
        while self._samples and nowSec - self._samples[0][0] > self.limits.windowSec:
            self._samples.popleft()
        return self._judge(nowSec)

    def _judge(self, nowSec: float) -> ArchCheck:
        limits = self.limits
        distances = np.concatenate([sample for _unused, sample in self._samples]) if self._samples else np.zeros(0)
        count = len(distances)
        if count < limits.leastPoints:
            self.state = ArchState.UNKNOWN
            nan = float("nan")
            message = _("Too little bone is seen: rest the probe on a spinous process or lamina.")
            return ArchCheck(nowSec, self.state, nan, nan, nan, nan, nan, count, message)
        far = np.abs(distances) > limits.mostMm
        farShare = float(far.mean())
        near = distances[~far]
        if farShare > 1.0 - limits.leastShare or not len(near):
            self.state = ArchState.DOUBTFUL
            message = _(
                "Most of the bone seen ({farShare:.0%}) lies more than {mostMm:g} mm from any bone of the CT. Register again."
            ).format(farShare=farShare, mostMm=limits.mostMm)
            median, bias = float(np.median(np.abs(distances))), float(np.median(distances))
            return ArchCheck(nowSec, self.state, median, float("nan"), bias, 0.0, farShare, count, message)
        median = float(np.median(np.abs(near)))
        border = limits.leaveMm if self.state is ArchState.GOOD else limits.goodMm
        self.state = ArchState.GOOD if median <= border else ArchState.DOUBTFUL
        bias = float(np.median(near))
        if self.state is ArchState.GOOD:
            message = _("Bone of ultrasound and CT coincide within {median:.1f} mm (median).").format(median=median)
        else:
            side = "above" if bias > 0 else "below"
            message = _("The bone in ultrasound lies {bias:.1f} mm {side} the CT's (median {median:.1f} mm apart). ").format(
                bias=abs(bias), side=side, median=median
            )
            message += _("Check a known point or register again.")
        return ArchCheck(
            nowSec,
            self.state,
            median,
            float(np.percentile(np.abs(near), 95)),
            bias,
            float(np.mean(np.abs(near) <= limits.goodMm)),
            farShare,
            count,
            message,
        )
