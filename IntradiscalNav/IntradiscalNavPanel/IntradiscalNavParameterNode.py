"""Parameters of the module IntradiscalNav."""

import enum
import pathlib
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper, parameterPack


# Members are stored by name in scenes: never rename one. Values are the words of IntradiscalNavLib.
class DiscLevel(enum.Enum):
    L1L2 = "L1-L2"
    L2L3 = "L2-L3"
    L3L4 = "L3-L4"
    L4L5 = "L4-L5"
    L5S1 = "L5-S1"

    def label(self):
        return self.value


class Side(enum.Enum):
    """Side of the patient from which the needle goes in."""

    Left = "left"
    Right = "right"

    def label(self):
        return _("left") if self is Side.Left else _("right")


class SequenceChoice(enum.Enum):
    """What of the recording a saved scene carries as sequences; the whole recording stays in the case folder."""

    Guidance = "guidance"
    Span = "span"
    Whole = "whole"
    Nothing = "nothing"

    def label(self):
        return {
            SequenceChoice.Guidance: _("while guided"),
            SequenceChoice.Span: _("from – to"),
            SequenceChoice.Whole: _("all"),
            SequenceChoice.Nothing: _("nothing"),
        }[self]


class SkinMapValue(enum.Enum):
    """What the colors of the skin map say; values are the names of the map's arrays."""

    Score = "BestScore"
    Share = "LegalTargetShare"

    def label(self):
        return _("best score") if self is SkinMapValue.Score else _("share of targets")


@parameterPack
class ConnectionPack:
    host: str = "127.0.0.1"
    port: Annotated[int, WithinRange(1, 65535)] = 18944
    deviceSet: pathlib.Path


@parameterPack
class PlanPack:
    level: Annotated[DiscLevel, Default(DiscLevel.L4L5)]
    side: Side
    needleLengthMm: Annotated[float, WithinRange(50, 250)] = 150.0
    rootMarginMm: Annotated[float, WithinRange(0, 15)] = 3.0
    duraMarginMm: Annotated[float, WithinRange(0, 15)] = 4.0
    minInclinationDeg: Annotated[float, WithinRange(0, 60)] = 25.0
    maxInclinationDeg: Annotated[float, WithinRange(30, 89)] = 75.0
    maxTiltDeg: Annotated[float, WithinRange(0, 60)] = 50.0


@parameterPack
class NavigationPack:
    opacity: Annotated[float, WithinRange(0, 1)] = 0.5
    curtain: Annotated[float, WithinRange(0, 1)] = 0.0
    sound: bool = True
    mute: bool = False
    smoothingSec: Annotated[float, WithinRange(0, 0.5)] = 0.0
    recordAutomatically: bool = True


@parameterPack
class KeepingPack:
    autosave: bool = True
    autosaveSec: Annotated[float, WithinRange(10, 600)] = 60.0
    sequences: SequenceChoice
    spanStartSec: Annotated[float, WithinRange(0, 36000)] = 0.0
    spanEndSec: Annotated[float, WithinRange(0, 36000)] = 60.0
    sequenceRateHz: Annotated[float, WithinRange(1, 100)] = 15.0


@parameterPack
class ReplayPack:
    speed: Annotated[float, WithinRange(0.1, 10)] = 1.0
    otherCase: pathlib.Path


@parameterNodeWrapper
class IntradiscalNavParameterNode:
    """
    connection: where PlusServer runs, and its device-set configuration with the calibrations
    ctVolume: CT of the patient
    segmentation: vertebrae and organs, as a segmentation or a label map
    endplates: without a segmentation, one point on each endplate of the disc
    plan: disc, side, needle (mm), hard limits (mm, deg)
    confirmedLevel: level and nodes that the operator confirmed, empty before
    path: the active path, entry first
    showAllPaths: whether the other paths are seen beside it
    skinMapShows: what the colors of the skin map say
    planFolder: folder that the written plan goes to
    navigation: share of ultrasound in the fusion view, curtain, sound, smoothing of the needle (s), recording
    caseFolder: folder of the recording, the scene and its automatic copies
    keeping: automatic copies and their interval (s); what of the recording goes into the saved scene, thinned out to a rate (Hz)
    replay: speed, and the case to compare with
    lastCt: CT taken at the end
    """

    connection: ConnectionPack
    ctVolume: vtkMRMLScalarVolumeNode
    # not the | of types: Slicer 5.12 compares with typing.Union
    segmentation: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
    endplates: vtkMRMLMarkupsFiducialNode
    plan: PlanPack
    confirmedLevel: str
    path: vtkMRMLMarkupsLineNode
    showAllPaths: bool = True
    skinMapShows: SkinMapValue
    planFolder: pathlib.Path
    navigation: NavigationPack
    caseFolder: pathlib.Path
    keeping: KeepingPack
    replay: ReplayPack
    lastCt: vtkMRMLScalarVolumeNode
