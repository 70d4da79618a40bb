"""Parameters of the module FusionRegistration."""

import enum
import pathlib
from typing import Annotated

from slicer import (
    vtkMRMLLinearTransformNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLModelNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLTextNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper, parameterPack


@parameterPack
class MarkerPack:
    """Diameters of the balls or rings that are looked for."""

    minDiameterMm: Annotated[float, WithinRange(1, 15)] = 3.0
    maxDiameterMm: Annotated[float, WithinRange(1, 20)] = 8.0


@parameterPack
class MatchingPack:
    anyOrder: bool = True
    toleranceMm: Annotated[float, WithinRange(0.5, 20)] = 3.0
    robust: bool = False


class FleDirection(enum.Enum):
    """Direction along which points are located less well. Members are stored by name in scenes: never rename one."""

    Unknown = "unknown"
    Even = "even"
    FrontBack = "frontBack"
    LeftRight = "leftRight"
    HeadFeet = "headFeet"

    def label(self):
        return {
            FleDirection.Unknown: _("not known"),
            FleDirection.Even: _("the same in all directions"),
            FleDirection.FrontBack: _("front to back"),
            FleDirection.LeftRight: _("left to right"),
            FleDirection.HeadFeet: _("head to feet"),
        }[self]


FLE_AXES = {FleDirection.LeftRight: (1.0, 0.0, 0.0), FleDirection.FrontBack: (0.0, 1.0, 0.0), FleDirection.HeadFeet: (0.0, 0.0, 1.0)}
"""In RAS."""


@parameterPack
class FlePack:
    """What is known of the localisation error of a point: `ratio` tells how much larger it is along `direction`; 1: not known."""

    direction: FleDirection = FleDirection.Unknown
    ratio: Annotated[float, WithinRange(1, 10)] = 1.0


@parameterPack
class ProbePack:
    """The ultrasound picture: a linear array fills it; the lines of a curved one meet in the apex (pixels)."""

    curved: bool = True
    apexColumn: float = 320.0
    apexRow: float = -150.0
    faceRadiusMm: Annotated[float, WithinRange(0, 200)] = 60.0
    depthMm: Annotated[float, WithinRange(10, 300)] = 110.0
    halfAngleDeg: Annotated[float, WithinRange(5, 80)] = 29.0


@parameterPack
class SurfacePack:
    thresholdHu: Annotated[float, WithinRange(50, 1500)] = 200.0
    boneSurface: vtkMRMLModelNode
    ultrasound: vtkMRMLScalarVolumeNode
    bonePoints: vtkMRMLModelNode


@parameterPack
class ResidualPack:
    """The residuals in 3D: arrows `magnification` times as long as the residuals."""

    show: bool = True
    magnification: Annotated[float, WithinRange(1, 100)] = 10.0
    model: vtkMRMLModelNode


class ShaftAxis(enum.Enum):
    """Axis of the needle's sensor that points from the hub to the tip. Members are stored by name in scenes: never rename one."""

    PlusZ = "+Z"
    MinusZ = "-Z"
    PlusX = "+X"
    MinusX = "-X"
    PlusY = "+Y"
    MinusY = "-Y"
    Spun = "spun"

    def label(self):
        return _("as spun") if self is ShaftAxis.Spun else self.value


AXES = {
    ShaftAxis.PlusZ: (0, 0, 1),
    ShaftAxis.MinusZ: (0, 0, -1),
    ShaftAxis.PlusX: (1, 0, 0),
    ShaftAxis.MinusX: (-1, 0, 0),
    ShaftAxis.PlusY: (0, 1, 0),
    ShaftAxis.MinusY: (0, -1, 0),
}


@parameterPack
class CalibrationPack:
    """hubXMm, hubYMm, hubZMm: where the cannula leaves the hub, in the frame of the needle's sensor. divot: a point of known place."""

    tool: vtkMRMLLinearTransformNode
    tip: vtkMRMLLinearTransformNode
    lengthMm: Annotated[float, WithinRange(20, 300)] = 150.0
    axis: ShaftAxis = ShaftAxis.PlusZ
    hubXMm: Annotated[float, WithinRange(-100, 100)] = 0.0
    hubYMm: Annotated[float, WithinRange(-100, 100)] = 0.0
    hubZMm: Annotated[float, WithinRange(-100, 100)] = 0.0
    divot: vtkMRMLMarkupsFiducialNode
    probeFile: pathlib.Path


@parameterNodeWrapper
class FusionRegistrationParameterNode:
    """
    ctVolume: CT of the patient
    targets: points in the CT (RAS) where the error is predicted
    referenceToRas: the result
    passLimitMm: largest predicted error (95 %) at a target that passes; 2 mm is the pass line of the published phantom studies
    patientTracked: whether Reference is a sensor on the patient
    markers: diameters of the markers (mm)
    plateFile: definition of the marker plate
    ctPoints: points in the CT (RAS)
    referencePoints: points on the patient, in the frame of the patient sensor (Reference)
    stylusTip: StylusTipToStylus, below referenceToRas in the transform tree
    fle: how the error of locating a point is shaped
    matching: how the points are paired (tolerance in mm)
    residuals: arrows that show the residuals in 3D
    showErrorMap: whether the bone surface is coloured by the predicted error
    surface: threshold (HU), bone surface of the CT, bone seen by ultrasound
    probe: lines of the ultrasound picture (pixels, mm, deg)
    calibration: tool, its tip, needle length (mm), PLUS file of the probe
    knownPoints: points in the CT that are touched to verify the registration
    fit: the last accepted fit with its quality, as JSON
    verification: points touched to verify the last accepted fit, as JSON
    doubt: why the last accepted fit is in doubt, as JSON
    """

    ctVolume: vtkMRMLScalarVolumeNode
    targets: vtkMRMLMarkupsFiducialNode
    referenceToRas: vtkMRMLLinearTransformNode
    passLimitMm: Annotated[float, WithinRange(0.5, 20)] = 2.0
    patientTracked: bool = True
    markers: MarkerPack
    plateFile: pathlib.Path
    ctPoints: vtkMRMLMarkupsFiducialNode
    referencePoints: vtkMRMLMarkupsFiducialNode
    stylusTip: vtkMRMLLinearTransformNode
    matching: MatchingPack
    fle: FlePack
    residuals: ResidualPack
    showErrorMap: bool = False
    surface: SurfacePack
    probe: ProbePack
    calibration: CalibrationPack
    knownPoints: vtkMRMLMarkupsFiducialNode
    fit: vtkMRMLTextNode
    verification: vtkMRMLTextNode
    doubt: vtkMRMLTextNode
