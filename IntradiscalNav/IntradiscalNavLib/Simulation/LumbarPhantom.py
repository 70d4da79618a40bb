"""A simulated lumbar CT of a prone patient, with its truth.

The volume is made of implicit shapes painted with partial volume, blurred and made noisy. Voxel axes: i to the patient's
right, j anterior (down to the table: the patient lies prone), k to the head; exactly what a head-first-prone CT stores.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels
from .ImplicitShape import Field, capsule, ellipsoid, smoothIntersection, superellipse
from .MarkerPlateShape import BALL_DIAMETER_MM, BALLS_IN_PLATE_MM, SENSOR_TO_PLATE, ballsInSensor, paintPlate, plateToPatient
from .NerveShape import DURA_SEMI_DEPTH_MM, DURA_SEMI_WIDTH_MM, duralCenterline, rootCenterline
from .PhantomBones import BonePainter
from .PhantomParameters import PhantomParameters, randomPhantomParameters
from .PhantomTruth import DiscTruth, DuralSacTruth, FacetTruth, PhantomTruth, PlaneTruth, RootTruth
from .SimulatedPose import mapDirection, mapPoints, poseFromTurns
from .SpineGeometry import DiscPose, SpineGeometry, buildSpineGeometry, facetJoints, tiltedAxes
from .TrunkShape import TrunkGeometry, buildTrunkGeometry, paintTrunk
from .VoxelPainter import VoxelPainter

FloatArray = npt.NDArray[np.float64]

__all__ = ["LumbarPhantom", "PhantomParameters", "buildLumbarPhantom", "cachedLumbarPhantom", "randomPhantomParameters"]

TOP_MARGIN_MM = 14.0
BOTTOM_MARGIN_MM = 62.0


@dataclass(frozen=True, eq=False)
class LumbarPhantom:
    """A simulated CT and everything known about it."""

    voxels: npt.NDArray[np.int16]
    """Hounsfield units (k, j, i)."""
    ijkToRas: FloatArray
    labels: npt.NDArray[np.uint8]
    """Structure of every voxel (k, j, i); names in ``PhantomLabels.LABEL_NAMES``."""
    boneFraction: npt.NDArray[np.uint8]
    """Share of bone in every voxel, 0..255, without blur and noise: the bone surface is where it passes 127.5."""
    truth: PhantomTruth
    parameters: PhantomParameters
    spine: SpineGeometry
    trunk: TrunkGeometry

    @property
    def labelNames(self) -> dict[int, str]:
        """Names of the labels that occur."""
        return {int(label): Labels.LABEL_NAMES[int(label)] for label in np.unique(self.labels)}


def buildLumbarPhantom(parameters: PhantomParameters | None = None) -> LumbarPhantom:
    """Build the phantom: about two seconds at the default sampling, growing with the number of voxels.

    :raises ValueError: when the spacing is not three positive numbers of at most 10 mm.
    """
    chosen = parameters or PhantomParameters()
    if len(chosen.spacingMm) != 3 or not all(0.2 <= value <= 10.0 for value in chosen.spacingMm):
        raise ValueError(f"The phantom's spacing {chosen.spacingMm} must be three numbers between 0.2 and 10 mm.")
    spine = buildSpineGeometry(chosen)
    trunk = buildTrunkGeometry(chosen, spine)
    rightTurn, anteriorTurn, superiorTurn = chosen.patientTurnDeg
    patientToRas = poseFromTurns((((1, 0, 0), rightTurn), ((0, 1, 0), anteriorTurn), ((0, 0, 1), superiorTurn)), chosen.patientShiftMm)
    tableTop = float(patientToRas[1, 3] + chosen.bellyDepthMm)
    painter = _emptyPainter(chosen, spine, trunk, patientToRas, tableTop)
    paintTrunk(painter, patientToRas, trunk, tableTop, spine, chosen.withTable)
    _paintDiscs(painter, patientToRas, spine)
    _paintNerves(painter, patientToRas, spine)
    BonePainter(painter, patientToRas, spine, chosen).paintAll(trunk.skinDistance)
    plate = patientToRas @ plateToPatient(trunk, chosen.plateHeightMm)
    if chosen.withPlate:
        paintPlate(painter, plate)
    voxels = _finish(painter, chosen)
    truth = _truth(chosen, spine, patientToRas, plate, tableTop)
    for array in (voxels, painter.labels, painter.boneFraction):
        array.setflags(write=False)
    return LumbarPhantom(voxels, painter.ijkToRas, painter.labels, painter.boneFraction, truth, chosen, spine, trunk)


@functools.lru_cache(maxsize=3)
def cachedLumbarPhantom(parameters: PhantomParameters | None = None) -> LumbarPhantom:
    """The same as :func:`buildLumbarPhantom`, kept in the process: for tests and repeated use. The arrays are read-only."""
    return buildLumbarPhantom(parameters)


def _emptyPainter(
    parameters: PhantomParameters, spine: SpineGeometry, trunk: TrunkGeometry, patientToRas: FloatArray, tableTop: float
) -> VoxelPainter:
    top = spine.vertebrae["L1"].vertebraToPatient[:3, 3] + 0.5 * spine.vertebrae["L1"].size.heightMm * tiltedAxes(0.0)[2]
    bottom = spine.discs["L5-S1"].discToPatient[:3, 3]
    skin = min(trunk.skinHeight(25.0, float(z)) for z in np.linspace(bottom[2] - BOTTOM_MARGIN_MM, top[2] + TOP_MARGIN_MM, 9))
    low = mapPoints(patientToRas, np.array([0.0, skin, bottom[2] - BOTTOM_MARGIN_MM]))
    high = mapPoints(patientToRas, np.array([0.0, top[1], top[2] + TOP_MARGIN_MM]))
    wide = parameters.halfWidthMm + 16.0
    origin = np.array([0.5 * (low[0] + high[0]) - wide, min(low[1], high[1] + skin) - 28.0, low[2]])
    span = np.array([2.0 * wide, tableTop + 28.0 - origin[1], high[2] - low[2]])
    counts = np.ceil(span / np.array(parameters.spacingMm)).astype(int) + 1
    return VoxelPainter((int(counts[2]), int(counts[1]), int(counts[0])), origin, parameters.spacingMm)


def _discShape(x: Field, y: Field, z: Field, disc: DiscPose) -> Field:
    side = (superellipse(x, y, disc.semiWidthMm, disc.semiDepthMm, 2.4) - 1.0) * disc.semiDepthMm
    slope = np.tan(np.radians(0.5 * disc.wedgeDeg))
    ends = np.abs(z) - (0.5 * disc.heightMm + slope * y)
    return smoothIntersection(side.astype(np.float32), ends.astype(np.float32), 1.5)


def _paintDiscs(painter: VoxelPainter, patientToRas: FloatArray, spine: SpineGeometry) -> None:
    for name, disc in spine.discs.items():
        reach = np.array([disc.semiWidthMm + 3, disc.semiDepthMm + 3, 0.5 * disc.heightMm + 5])
        semiAxes = (0.55 * disc.semiWidthMm, 0.55 * disc.semiDepthMm, 0.5 * disc.heightMm)
        frame = patientToRas @ disc.discToPatient
        painter.paint(frame, -reach, reach, partial(_discShape, disc=disc), 98.0, Labels.DISC_LABELS[name])
        painter.paint(frame, -reach, reach, partial(ellipsoid, center=(0, 0, 0), semiAxes=semiAxes), 78.0, Labels.DISC_LABELS[name])


def _tube(
    painter: VoxelPainter, frame: FloatArray, line: FloatArray, radius: float, stretch: tuple[float, float, float], hu: float, label: int
) -> None:
    for start, end in itertools.pairwise(line):
        reach = radius * max(stretch) + 2.0
        painter.paint(
            frame,
            np.minimum(start, end) - reach,
            np.maximum(start, end) + reach,
            partial(capsule, start=tuple(start), end=tuple(end), radii=(radius, radius), stretch=stretch),
            hu,
            label,
            exact=True,
        )


def _paintNerves(painter: VoxelPainter, patientToRas: FloatArray, spine: SpineGeometry) -> None:
    # epidural fat fills the canal around the sac, and the foramina around the roots
    line = duralCenterline(spine)
    _tube(painter, patientToRas, line, 7.6, (1.35, 1.0, 1.0), -70.0, Labels.VISCERAL_FAT)
    roots = [(name, side, *rootCenterline(spine, name, side)) for name in ("L1", "L2", "L3", "L4", "L5") for side in ("left", "right")]
    for _, _, course, radius in roots:
        _tube(painter, patientToRas, course[6:16], radius + 2.2, (1.0, 1.0, 1.0), -70.0, Labels.VISCERAL_FAT)
    _paintDiscs(painter, patientToRas, spine)
    for name, side, course, radius in roots:
        _tube(painter, patientToRas, course, radius, (1.0, 1.0, 1.0), 38.0, Labels.rootLabel(name, side))
    _tube(painter, patientToRas, line, DURA_SEMI_DEPTH_MM, (DURA_SEMI_WIDTH_MM / DURA_SEMI_DEPTH_MM, 1.0, 1.0), 18.0, Labels.DURA)


def _finish(painter: VoxelPainter, parameters: PhantomParameters) -> npt.NDArray[np.int16]:
    from scipy.ndimage import gaussian_filter  # imported here: it costs start-up time in Slicer

    dx, dy, dz = parameters.spacingMm
    if parameters.blurMm > 0:
        sigma = (0.5 * parameters.blurMm / dz, parameters.blurMm / dy, parameters.blurMm / dx)
        gaussian_filter(painter.hu, sigma, output=painter.hu, mode="nearest", truncate=3.0)
    if parameters.noiseHu > 0:
        generator = np.random.default_rng(parameters.seed + 1)
        painter.hu += generator.standard_normal(painter.shape, np.float32) * np.float32(parameters.noiseHu)
    return np.clip(np.rint(painter.hu), -1024, 3071).astype(np.int16)


def _truth(
    parameters: PhantomParameters, spine: SpineGeometry, patientToRas: FloatArray, plate: FloatArray, tableTop: float
) -> PhantomTruth:
    discs = {}
    for name, disc in spine.discs.items():
        if name == "T12-L1":
            continue
        frame = patientToRas @ disc.discToPatient
        planes = []
        for sign in (1.0, -1.0):
            # positive wedge: the disc is higher in front, so the upper plane rises and the lower one falls anteriorly
            angle = np.radians(0.5 * disc.wedgeDeg) * sign
            normal = np.array([0.0, -np.sin(angle), np.cos(angle)])
            planes.append(PlaneTruth(mapPoints(frame, np.array([0.0, 0.0, sign * 0.5 * disc.heightMm])), mapDirection(frame, normal)))
        discs[name] = DiscTruth(
            name,
            Labels.DISC_LABELS[name],
            frame[:3, 3].copy(),
            planes[0],
            planes[1],
            frame,
            disc.heightMm,
            disc.semiWidthMm,
            disc.semiDepthMm,
            (0.55 * disc.semiWidthMm, 0.55 * disc.semiDepthMm, 0.5 * disc.heightMm),
        )
    roots, facets = [], []
    for name in ("L1", "L2", "L3", "L4", "L5"):
        for side in ("left", "right"):
            line, radius = rootCenterline(spine, name, side)
            label = Labels.rootLabel(name, side)
            roots.append(RootTruth(f"root_{name}_{side}", name, side, label, mapPoints(patientToRas, line), radius))
    for level in discs:
        for side, (center, normal) in facetJoints(spine, level).items():
            dorsal = center + np.array([2.2 if side == "right" else -2.2, -5.2, 0.0])
            facets.append(
                FacetTruth(
                    level, side, mapPoints(patientToRas, center), mapDirection(patientToRas, normal), mapPoints(patientToRas, dorsal)
                )
            )
    balls = mapPoints(plate, np.array(BALLS_IN_PLATE_MM))
    return PhantomTruth(
        patientToRas,
        {name: patientToRas @ pose.vertebraToPatient for name, pose in spine.vertebrae.items()},
        discs,
        tuple(roots),
        tuple(facets),
        DuralSacTruth(mapPoints(patientToRas, duralCenterline(spine)), DURA_SEMI_WIDTH_MM, DURA_SEMI_DEPTH_MM),
        PlaneTruth(patientToRas[:3, 3].copy(), patientToRas[:3, 0].copy()),
        plate if parameters.withPlate else None,
        plate @ SENSOR_TO_PLATE if parameters.withPlate else None,
        balls if parameters.withPlate else np.empty((0, 3)),
        ballsInSensor() if parameters.withPlate else np.empty((0, 3)),
        BALL_DIAMETER_MM,
        tableTop,
    )
