"""Parameters of the module ProcedureLog."""

import enum
import pathlib
from typing import Annotated

from slicer import vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper, parameterPack


# Members of the enums are stored by name in scenes: never rename one. Their values are the words of ProcedureLogLib.
class StudyGroup(enum.Enum):
    Unknown = None
    Fusion = "fusion"
    Control = "control"

    def label(self):
        return {"Unknown": _("not stated"), "Fusion": _("CT/US fusion"), "Control": _("CT guidance alone")}[self.name]


class TreatedLevel(enum.Enum):
    Unknown = None
    L1L2 = "L1-L2"
    L2L3 = "L2-L3"
    L3L4 = "L3-L4"
    L4L5 = "L4-L5"
    L5S1 = "L5-S1"

    def label(self):
        return self.value or _("not stated")


class AccessSide(enum.Enum):
    Unknown = None
    Left = "left"
    Right = "right"
    Bilateral = "bilateral"

    def label(self):
        return {"Unknown": _("not stated"), "Left": _("left"), "Right": _("right"), "Bilateral": _("bilateral")}[self.name]


class Answer(enum.Enum):
    Unknown = None
    Yes = "yes"
    No = "no"

    def label(self):
        return {"Unknown": _("not stated"), "Yes": _("yes"), "No": _("no")}[self.name]


@parameterPack
class InjectionParameters:
    volumeMl: Annotated[float, WithinRange(0, 100)] = 5.0
    substance: str = ""


@parameterPack
class PassParameters:
    dicomFolder: pathlib.Path
    doseFactor: Annotated[float, WithinRange(0.001, 0.1)] = 0.015
    doseFactorSource: str = "AAPM Report 96, adult abdomen/pelvis/trunk"


@parameterPack
class DetailParameters:
    group: StudyGroup
    level: TreatedLevel
    side: AccessSide
    operator: str
    technicalSuccess: Answer
    technicalEfficacy: Answer


@parameterNodeWrapper
class ProcedureLogParameterNode:
    """
    caseFolder: folder that holds the case
    pseudonym: name of a new case in everything exported
    injection: volume (mL) and substance of the next injection
    note: text of the next remark or complication
    passes: DICOM folder, dose factor in mSv/(mGy cm) and its source
    details: group, level, side, operator, outcome
    cohortFolder: folder with many case folders
    logTable: the log as a table of the scene
    """

    caseFolder: pathlib.Path
    pseudonym: str
    injection: InjectionParameters
    note: str
    passes: PassParameters
    details: DetailParameters
    cohortFolder: pathlib.Path
    logTable: vtkMRMLTableNode
