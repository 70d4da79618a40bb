"""The simulated tools: where their tips are, and how a thin needle bends.

NeedleTip frame: origin at the tip, +Z from hub to tip, the hub on the -Z side. StylusTip frame: origin at the tip.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .SimulatedPose import mapPoints, poseFromTurns
from .UltrasoundGeometry import UltrasoundGeometry

FloatArray = npt.NDArray[np.float64]

NEEDLE_LENGTH_MM = 150.0
NEEDLE_TIP_TO_NEEDLE: FloatArray = poseFromTurns((((0.0, 1.0, 0.0), 90.0), ((0.0, 0.0, 1.0), 11.0)), (156.0, 31.0, -6.5))
"""The sensor is clamped to the hub, not in line with the shaft; the tip is where the straight needle ends."""
STYLUS_TIP_TO_STYLUS: FloatArray = poseFromTurns((((1.0, 0.0, 0.0), -12.0), ((0.0, 0.0, 1.0), 77.0)), (-9.0, 12.5, -148.0))


@dataclass(frozen=True)
class NeedleBending:
    """Bending of a thin needle: the deflection grows with the square of the depth in tissue.

    Rand 2016 (10.5812/aapm.36607): 22 G Quincke needles deflect 8.9 mm over 80 mm of gel when nobody corrects. With turning and
    correction by the operator far less remains; the default is such a remainder.
    """

    deflectionAt80Mm: float = 0.9
    """Lateral deflection of the tip, 80 mm deep in tissue."""
    bevelDeg: float = 35.0
    """Direction of the deflection about the shaft, from the X axis of the NeedleTip frame."""

    def deflectionMm(self, depthMm: float) -> float:
        """Lateral deflection of the tip at a depth in tissue."""
        return self.deflectionAt80Mm * (max(depthMm, 0.0) / 80.0) ** 2

    def centerline(
        self, straightTipToRas: npt.ArrayLike, depthMm: float, lengthMm: float = NEEDLE_LENGTH_MM, count: int = 33
    ) -> FloatArray:
        """True course (count, 3) from hub to tip of a needle whose hub says ``straightTipToRas``: straight outside, bent in tissue."""
        pose = np.asarray(straightTipToRas, float)
        along = np.linspace(0.0, lengthMm, count)
        inTissue = np.clip(along - (lengthMm - depthMm), 0.0, None)
        sideways = self.deflectionAt80Mm * (inTissue / 80.0) ** 2
        angle = np.pi * self.bevelDeg / 180.0
        local = np.stack([np.cos(angle) * sideways, np.sin(angle) * sideways, along - lengthMm], axis=1)
        return mapPoints(pose, local)

    def trueTip(self, straightTipToRas: npt.ArrayLike, depthMm: float) -> FloatArray:
        """True position of the tip."""
        return self.centerline(straightTipToRas, depthMm)[-1]


@dataclass(frozen=True)
class SimulatedTools:
    """Calibrations of all tools: the truth of the simulator, and at the same time what a calibration would have to find."""

    geometry: UltrasoundGeometry = field(default_factory=UltrasoundGeometry)
    needleTipToNeedle: FloatArray = field(default_factory=lambda: NEEDLE_TIP_TO_NEEDLE.copy())
    stylusTipToStylus: FloatArray = field(default_factory=lambda: STYLUS_TIP_TO_STYLUS.copy())
    needleLengthMm: float = NEEDLE_LENGTH_MM
    bending: NeedleBending = field(default_factory=NeedleBending)

    @property
    def imageToProbe(self) -> FloatArray:
        """Pixel (column, row, 0) to the probe's sensor, mm."""
        return self.geometry.imageToProbe

    def calibrations(self) -> dict[str, list[list[float]]]:
        """All calibrations as plain lists, by name."""
        return {
            "ImageToProbe": self.imageToProbe.tolist(),
            "NeedleTipToNeedle": self.needleTipToNeedle.tolist(),
            "StylusTipToStylus": self.stylusTipToStylus.tolist(),
        }

    def writePlusConfiguration(self, path: str | pathlib.Path, port: int = 18944) -> pathlib.Path:
        """Write a device-set file in the layout of PLUS, with the calibrations under CoordinateDefinitions."""
        lines = []
        for name, matrix in (
            ("Image To Probe", self.imageToProbe),
            ("NeedleTip To Needle", self.needleTipToNeedle),
            ("StylusTip To Stylus", self.stylusTipToStylus),
        ):
            source, target = name.split(" To ")
            rows = "\n".join("        " + " ".join(f"{value:.9g}" for value in row) for row in matrix)
            lines.append(f'    <Transform From="{source}" To="{target}" Error="0.0" Date="030426_090000"\n      Matrix="\n{rows}"\n    />')
        transforms = "\n".join(lines)
        text = f"""<PlusConfiguration version="2.3">
  <CoordinateDefinitions>
{transforms}
  </CoordinateDefinitions>
  <PlusOpenIGTLinkServer MaxNumberOfIgtlMessagesToSend="1" MaxTimeSpentWithProcessingMs="50" ListeningPort="{port}"
    SendValidTransformsOnly="false" OutputChannelId="TrackedVideoStream">
    <DefaultClientInfo>
      <MessageTypes>
        <Message Type="IMAGE" />
        <Message Type="TRANSFORM" />
      </MessageTypes>
      <TransformNames>
        <Transform Name="ProbeToTracker" />
        <Transform Name="NeedleToTracker" />
        <Transform Name="StylusToTracker" />
        <Transform Name="ReferenceToTracker" />
      </TransformNames>
      <ImageNames>
        <Image Name="Image" EmbeddedTransformToFrame="Reference" />
      </ImageNames>
    </DefaultClientInfo>
  </PlusOpenIGTLinkServer>
</PlusConfiguration>
"""
        file = pathlib.Path(path)
        file.write_text(text, encoding="utf-8")
        return file
