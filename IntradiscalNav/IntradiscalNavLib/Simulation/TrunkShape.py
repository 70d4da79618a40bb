"""Skin, fat, muscles, organs and vessels of the simulated trunk, in the patient frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels
from .ImplicitShape import Field, capsule, ellipsoid
from .PhantomParameters import PhantomParameters
from .SpineGeometry import SpineGeometry
from .VoxelPainter import VoxelPainter

FloatArray = npt.NDArray[np.float64]

GROOVE_MM = 4.0
SKIN_THICKNESS_MM = 2.0


@dataclass(frozen=True)
class TrunkGeometry:
    """Smooth curves along the patient's long axis z (cubic polynomials, highest power first) and the trunk's half axes.

    The cross-section is |x/a|^3 + |y/b|^3 = 1 about the trunk's axis, with a groove over the spinous processes.
    """

    spineY: FloatArray
    """y of the vertebral bodies' centres."""
    skinY: FloatArray
    """y of the skin in the midline of the back."""
    axisYMm: float
    halfWidthMm: float
    bellyMm: float
    backFatMm: float

    def skinDistance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance (mm, first order; negative inside) from the skin, before the belly is flattened by the table."""
        semiX = np.float32(self.halfWidthMm) + np.float32(0.0006) * (z + 20.0) ** 2
        groove = GROOVE_MM * np.exp(-((x / 13.0) ** 2))
        back = self.axisYMm - np.polyval(self.skinY.astype(np.float32), z) + GROOVE_MM
        dy = y - groove - self.axisYMm
        semiY = np.where(dy < 0, back, np.float32(self.bellyMm))
        u, v = np.abs(x) / semiX, np.abs(dy) / semiY
        radius = np.cbrt(u * u * u + v * v * v)
        safe = np.maximum(radius, 1e-3)
        slopeX, slopeY = (u / safe) ** 2 / semiX, (v / safe) ** 2 / semiY
        result: Field = ((radius - 1.0) / np.sqrt(slopeX * slopeX + slopeY * slopeY)).astype(np.float32)
        return result

    def skinHeight(self, x: float, z: float) -> float:
        """y of the skin of the back at a place (x, z), by bisection."""
        low, high = self.axisYMm - 400.0, self.axisYMm
        for _ in range(50):
            middle = 0.5 * (low + high)
            value = self.skinDistance(*(np.array([value], np.float32) for value in (x, middle, z)))[0]
            low, high = (middle, high) if value > 0 else (low, middle)
        return 0.5 * (low + high)


def buildTrunkGeometry(parameters: PhantomParameters, spine: SpineGeometry) -> TrunkGeometry:
    """Curves that follow the spine: the skin lies 2 mm deeper than asked at L3-L4 and 3.5 mm less deep at L5-S1, as in the literature."""
    centers = np.array([pose.vertebraToPatient[:3, 3] for pose in spine.vertebrae.values()])
    spineY = np.polyfit(centers[:, 2], centers[:, 1], 3)
    discs = {name: pose.discToPatient[:3, 3] for name, pose in spine.discs.items()}
    extra = {"T12-L1": 0.0, "L1-L2": 0.0, "L2-L3": 1.5, "L3-L4": 2.0, "L4-L5": 0.0, "L5-S1": -3.5}
    heights = [discs[name][2] for name in discs]
    values = [discs[name][1] - parameters.skinDepthMm - extra[name] for name in discs]
    heights.append(discs["L5-S1"][2] - 60.0)
    values.append(discs["L5-S1"][1] - parameters.skinDepthMm - 4.0)
    skinY = np.polyfit(heights, values, 3)
    # the skin lies at least 6 mm behind every spinous process and the sacral crest, however lean the patient
    lack = 0.0
    for pose in spine.vertebrae.values():
        reach = 0.5 * pose.size.depthMm + 19.0 * parameters.sizeScale + pose.size.spinousLengthMm + 3.7
        tip = pose.vertebraToPatient @ np.array([0.0, -reach, -13.0, 1.0])
        lack = max(lack, float(np.polyval(skinY, tip[2]) - (tip[1] - 6.0)))
    skinY[-1] -= lack
    fat = float(np.clip(parameters.skinDepthMm - 64.0, 5.0, 45.0))
    return TrunkGeometry(spineY, skinY, 32.0, parameters.halfWidthMm, max(parameters.bellyDepthMm - 32.0, 40.0) * 1.12, fat)


def paintTrunk(
    painter: VoxelPainter, patientToRas: FloatArray, trunk: TrunkGeometry, tableTopMm: float, spine: SpineGeometry, withTable: bool
) -> None:
    """Paint the table, the skin and everything soft but the spine's own parts. ``tableTopMm`` is the RAS y of the table's top."""
    tableFrame = np.eye(4)
    tableFrame[1, 3] = tableTopMm
    depth, height, width = painter.shape
    slab = 12
    tableY = painter.ijkToRas[1, 3] + painter.spacingMm[1] * np.arange(height, dtype=np.float32)[None, :, None] - np.float32(tableTopMm)
    for start in range(0, depth, slab):
        box = (slice(start, min(start + slab, depth)), slice(0, height), slice(0, width))
        x, y, z = painter.coordinates(patientToRas, box)
        distance = np.maximum(trunk.skinDistance(x, y, z), tableY)
        if withTable:
            shell = np.where(np.minimum(tableY - 0.8, 22.0 - tableY) < 1.6, np.float32(-60.0), np.float32(-930.0))
            inTable = np.broadcast_to((tableY > 0.8) & (tableY < 22.0), distance.shape)
            painter.hu[box][inTable] = np.broadcast_to(shell, distance.shape)[inTable]
            painter.labels[box][inTable] = Labels.TABLE
        painter.fill(box, distance, -100.0, Labels.FAT)
        skin = (distance > -SKIN_THICKNESS_MM) & (distance < 0)
        painter.labels[box][skin] = Labels.SKIN
        painter.hu[box] += np.where(skin, np.float32(130.0), np.float32(0.0))
        # thin connective septa in the subcutaneous fat
        septa = skin.copy()
        np.logical_and(np.abs(distance + 7.0 + 1.5 * np.sin(0.11 * x + 0.07 * z)) < 0.35, y < 0, out=septa)
        painter.hu[box] += np.where(septa, np.float32(70.0), np.float32(0.0))
    tableGapMm = tableTopMm - float(patientToRas[1, 3])
    _paintMuscles(painter, patientToRas, trunk, tableGapMm)
    _paintOrgans(painter, patientToRas, trunk, spine, tableGapMm)


def _paintMuscles(painter: VoxelPainter, patientToRas: FloatArray, trunk: TrunkGeometry, tableGapMm: float) -> None:
    spineY, skinY = trunk.spineY.astype(np.float32), trunk.skinY.astype(np.float32)
    wide = trunk.halfWidthMm
    low, high = -200.0, 230.0

    def cavity(x: Field, y: Field, z: Field, growMm: float) -> Field:
        semiX, semiY = wide - 30.0 + growMm, trunk.bellyMm + 2.0 + growMm
        u, v = np.abs(x) / semiX, np.abs(y - trunk.axisYMm) / semiY
        result: Field = ((np.cbrt(u * u * u + v * v * v) - 1.0) * min(semiX, semiY)).astype(np.float32)
        return result

    belly = (-wide, -45.0, low), (wide, 150.0, high)

    def wall(x: Field, y: Field, z: Field, growMm: float, fatMm: float, tableMm: float) -> Field:
        result: Field = np.maximum(
            np.maximum(cavity(x, y, z, growMm), trunk.skinDistance(x, y, z) + np.float32(fatMm)), y - np.float32(tableGapMm - tableMm)
        )
        return result

    outer = partial(wall, growMm=12.0, fatMm=8.0, tableMm=9.0)
    inner = partial(wall, growMm=0.0, fatMm=20.0, tableMm=18.0)
    painter.paint(patientToRas, *belly, outer, 52.0, Labels.ABDOMINAL_WALL, exact=True)
    painter.paint(patientToRas, *belly, inner, -105.0, Labels.VISCERAL_FAT, exact=True)

    def back(side: float) -> tuple[npt.ArrayLike, npt.ArrayLike]:
        return (min(side * 3.0, side * 76.0), -150.0, low), (max(side * 3.0, side * 76.0), 0.0, high)

    def erector(x: Field, y: Field, z: Field, side: float, marginMm: float) -> Field:
        front = np.polyval(spineY, z) - 24.0
        rear = np.polyval(skinY, z) + trunk.backFatMm + 2.0
        middle, semiY = 0.5 * (front + rear), np.maximum(0.5 * (front - rear), 8.0)
        u, v = np.abs(side * x - 36.0) / 35.0, np.abs(y - middle) / semiY
        result: Field = ((np.cbrt(u * u * u + v * v * v) - 1.0) * np.minimum(semiY, 32.0) + marginMm).astype(np.float32)
        return result

    def quadratus(x: Field, y: Field, z: Field, side: float) -> Field:
        return ellipsoid(x, y - np.polyval(spineY, z), z, (side * 66.0, -17.0, 40.0), (17.0, 8.5, 110.0))

    def psoas(x: Field, y: Field, z: Field, side: float) -> Field:
        """A column beside the bodies that grows apart downwards and tapers off above L2."""
        outwards = np.float32(side * 0.07) * (60.0 - z)
        column = ellipsoid(x - outwards, y - np.polyval(spineY, z), z * 0.0, (side * 34.0, 3.0, 0.0), (14.0, 18.0, 14.0))
        result: Field = column + np.maximum(z - 60.0, 0.0) * np.float32(0.13)
        return result

    for side, labels in (
        (-1.0, (Labels.AUTOCHTHON_LEFT, Labels.ILIOPSOAS_LEFT)),
        (1.0, (Labels.AUTOCHTHON_RIGHT, Labels.ILIOPSOAS_RIGHT)),
    ):
        # the thoracolumbar fascia wraps the erector spinae; the muscle itself is painted into it
        painter.paint(patientToRas, *back(side), partial(erector, side=side, marginMm=0.0), 75.0, Labels.FASCIA)
        painter.paint(patientToRas, *back(side), partial(erector, side=side, marginMm=1.3), 55.0, labels[0])
        low_, high_ = sorted((side * 44.0, side * 92.0))
        shape = partial(quadratus, side=side)
        painter.paint(patientToRas, (low_, -60.0, -60.0), (high_, 20.0, high), shape, 54.0, Labels.QUADRATUS_LUMBORUM)
        low_, high_ = sorted((side * 12.0, side * 75.0))
        painter.paint(patientToRas, (low_, -45.0, low), (high_, 50.0, 130.0), partial(psoas, side=side), 56.0, labels[1])


def _paintOrgans(painter: VoxelPainter, patientToRas: FloatArray, trunk: TrunkGeometry, spine: SpineGeometry, tableGapMm: float) -> None:
    spineY = trunk.spineY
    l2 = spine.vertebrae["L2"].vertebraToPatient[:3, 3]
    l4 = spine.vertebrae["L4"].vertebraToPatient[:3, 3]
    l5s1 = spine.discs["L5-S1"].discToPatient[:3, 3]

    def ball(center: tuple[float, float, float], semiAxes: tuple[float, float, float], hu: float, label: int) -> None:
        low, high = np.array(center) - np.array(semiAxes) - 2, np.array(center) + np.array(semiAxes) + 2
        painter.paint(patientToRas, low, high, partial(ellipsoid, center=center, semiAxes=semiAxes), hu, label)

    def tube(points: list[tuple[float, float, float]], radii: list[float], hu: float, label: int) -> None:
        for start, end, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:]):
            low = np.minimum(start, end) - max(r0, r1) - 2
            high = np.maximum(start, end) + max(r0, r1) + 2
            painter.paint(patientToRas, low, high, partial(capsule, start=start, end=end, radii=(r0, r1)), hu, label, exact=True)

    # loops of small bowel, seen as one lobed mass before the great vessels, inside the abdominal wall
    def bowel(x: Field, y: Field, z: Field) -> Field:
        lobes = 5.0 * np.sin(0.11 * x + 0.5) * np.sin(0.10 * y) * np.sin(0.09 * z + 1.0)
        mass = ellipsoid(x, y, z, (0.0, trunk.bellyMm * 0.45 + 32.0, 10.0), (84.0, 30.0, 120.0)) + lobes
        result: Field = np.maximum(mass, np.maximum(trunk.skinDistance(x, y, z) + 24.0, y - (tableGapMm - 22.0))).astype(np.float32)
        return result

    painter.paint(patientToRas, (-95.0, 25.0, -125.0), (95.0, 120.0, 150.0), bowel, 38.0, Labels.SMALL_BOWEL)
    for side, label in ((-1.0, Labels.KIDNEY_LEFT), (1.0, Labels.KIDNEY_RIGHT)):
        ball((side * 64.0, float(l2[1]) + 4.0, float(l2[2]) + (4.0 if side < 0 else -6.0)), (26.0, 22.0, 52.0), 34.0, label)
        tube(
            [(side * 98.0, 22.0, 120.0), (side * 104.0, 20.0, 30.0), (side * 84.0, 34.0, -60.0), (side * 60.0, 50.0, -150.0)],
            [19.0, 21.0, 20.0, 16.0],
            30.0,
            Labels.COLON,
        )

    def front(x: float, z: float, gapMm: float) -> tuple[float, float, float]:
        return x, float(np.polyval(spineY, z)) + gapMm, z

    split = float(l4[2]) - 5.0
    tube([front(-9.0, 210.0, 27.0), front(-9.0, 80.0, 28.0), front(-4.0, split, 27.0)], [9.5, 9.0, 8.0], 42.0, Labels.AORTA)
    tube([front(14.0, 210.0, 30.0), front(14.0, 80.0, 29.0), front(10.0, split - 18, 28.0)], [11.0, 10.5, 10.0], 40.0, Labels.VENA_CAVA)
    for side, artery, vein in (
        (-1.0, Labels.ILIAC_ARTERY_LEFT, Labels.ILIAC_VEIN_LEFT),
        (1.0, Labels.ILIAC_ARTERY_RIGHT, Labels.ILIAC_VEIN_RIGHT),
    ):
        low = float(l5s1[2])
        tube(
            [front(-4.0, split, 27.0), (side * 30.0, float(l5s1[1]) + 34.0, low - 10), (side * 48.0, 40.0, low - 70)],
            [6.5, 5.5, 5.0],
            42.0,
            artery,
        )
        tube(
            [front(10.0, split - 18, 28.0), (side * 27.0, float(l5s1[1]) + 22.0, low - 14), (side * 44.0, 28.0, low - 70)],
            [8.0, 7.0, 6.5],
            40.0,
            vein,
        )
