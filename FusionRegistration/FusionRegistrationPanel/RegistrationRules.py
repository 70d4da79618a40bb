"""What can be asked of FusionRegistration, and why it can't be done now."""

import enum
import pathlib

from slicer.i18n import tr as _

from .DoubtRecord import readDoubt
from .RegistrationVerdict import isMarkerFit

MIN_POINTS = 3


class RegistrationAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the logic's method."""

    FindMarkers = "findMarkers"
    RegisterPlate = "registerPlate"
    TakePoint = "takePoint"
    UndoPoint = "undoPoint"
    MeasureAgain = "measureAgain"
    RegisterPoints = "registerPoints"
    ExtractBone = "extractBone"
    RegisterSurface = "registerSurface"
    RegisterJointly = "registerJointly"
    ScanBone = "startScanning"
    AcceptScan = "acceptScan"
    NeedleData = "calibrateNeedleFromData"
    CheckProbe = "checkProbe"
    Verify = "verify"
    Confirm = "confirmRegistration"


def whyNot(parameterNode, action, stylusIsLive):
    """Why a RegistrationAction can't be done now, in a sentence; empty if it can. `stylusIsLive`: the stylus tip has a valid pose."""
    rule = {
        RegistrationAction.FindMarkers: _whyNoCt,
        RegistrationAction.ExtractBone: _whyNoCt,
        RegistrationAction.RegisterPlate: _whyNotRegisterPlate,
        RegistrationAction.UndoPoint: _whyNotUndo,
        RegistrationAction.RegisterPoints: _whyNotRegisterPoints,
        RegistrationAction.RegisterSurface: _whyNotRegisterSurface,
        RegistrationAction.RegisterJointly: _whyNotRegisterJointly,
        RegistrationAction.ScanBone: _whyNotScan,
        RegistrationAction.AcceptScan: lambda parameterNode: "",
        RegistrationAction.NeedleData: _whyNoTool,
        RegistrationAction.CheckProbe: _whyNoProbeFile,
        RegistrationAction.Verify: _whyNotVerify,
        RegistrationAction.Confirm: _whyNotConfirm,
        RegistrationAction.TakePoint: lambda parameterNode: "",
    }[action]
    why = rule(parameterNode)
    if not why and action in (RegistrationAction.TakePoint, RegistrationAction.Verify) and not stylusIsLive:
        if parameterNode.stylusTip is None:
            return _("Choose the transform of the stylus tip first.")
        return _("The stylus isn't tracked: connect the tracker first.")
    return why


def _whyNoCt(parameterNode):
    return "" if parameterNode.ctVolume is not None else _("Choose the CT first.")


def _whyTooFew(node, place):
    if node is None:
        return _("Choose the points {place} first.").format(place=place)
    if node.GetNumberOfDefinedControlPoints() < MIN_POINTS:
        return _("{count} points {place} are needed first.").format(count=MIN_POINTS, place=place)
    return ""


def _whyNotRegisterPlate(parameterNode):
    if parameterNode.plateFile == pathlib.Path() or not parameterNode.plateFile.is_file():
        return _("Choose the definition of the plate first.")
    return _whyTooFew(parameterNode.ctPoints, _("in the CT"))


def _whyNotUndo(parameterNode):
    points = parameterNode.referencePoints
    return "" if points is not None and points.GetNumberOfControlPoints() else _("No point was taken on the patient yet.")


def _whyNotRegisterPoints(parameterNode):
    why = _whyTooFew(parameterNode.ctPoints, _("in the CT")) or _whyTooFew(parameterNode.referencePoints, _("on the patient"))
    if why or parameterNode.matching.anyOrder:
        return why
    first, second = (node.GetNumberOfDefinedControlPoints() for node in (parameterNode.ctPoints, parameterNode.referencePoints))
    if first == second:
        return ""
    return _("The lists have {first} and {second} points: pair them first, or allow any order.").format(first=first, second=second)


def _whyNotRegisterSurface(parameterNode):
    scanned = parameterNode.surface.bonePoints
    if parameterNode.ctVolume is not None and (
        scanned is None or scanned.GetPolyData() is None or not scanned.GetPolyData().GetNumberOfPoints()
    ):
        return _("Choose scanned bone first: record a sweep over the back.")
    return _whyNoCt(parameterNode)


def _whyNotRegisterJointly(parameterNode):
    why = _whyNotRegisterSurface(parameterNode)
    return why or ("" if isMarkerFit(parameterNode.fit) else _("Register by points or by plate first."))


def _whyNotScan(parameterNode):
    if parameterNode.referenceToRas is None:
        return _whyNoCt(parameterNode) or _("Choose the transform ReferenceToRas first.")
    return _whyNoCt(parameterNode) or ("" if parameterNode.surface.ultrasound is not None else _("Choose the streamed ultrasound first."))


def _whyNoTool(parameterNode):
    return "" if parameterNode.calibration.tool is not None else _("Choose the transform of the tool first.")


def _whyNoProbeFile(parameterNode):
    path = parameterNode.calibration.probeFile
    return "" if path != pathlib.Path() and path.is_file() else _("Choose the PLUS file of the probe first.")


def _whyNotVerify(parameterNode):
    if parameterNode.knownPoints is None or not parameterNode.knownPoints.GetNumberOfDefinedControlPoints():
        return _("Choose known points in the CT first.")
    return "" if parameterNode.fit is not None else _("Register the CT first.")


def _whyNotConfirm(parameterNode):
    return "" if readDoubt(parameterNode.doubt) else _("The registration isn't in doubt.")


def whyNotMeasureAgain(parameterNode, chosenPoint):
    """Why the point of that number (None: none) can't be measured again, in a sentence; empty if it can."""
    points = parameterNode.referencePoints
    if points is None or not points.GetNumberOfControlPoints():
        return _("No point was taken on the patient yet.")
    if chosenPoint is None or not 0 <= chosenPoint < points.GetNumberOfControlPoints():
        return _("Choose a point of the patient in the table first.")
    return "" if parameterNode.stylusTip is not None else _("Choose the transform of the stylus tip first.")


def whyNotCheckInDivot(parameterNode):
    """Why the tip can't be checked in a divot, in a sentence; empty if it can."""
    calibration = parameterNode.calibration
    if calibration.tip is None:
        return _("Calibrate the tip first.")
    if calibration.divot is None or not calibration.divot.GetNumberOfDefinedControlPoints():
        return _("Choose a divot of known place first: pivot the stylus in it.")
    return _whyNoTool(parameterNode)


def whyNoErrorMap(parameterNode):
    """Why no map of the predicted error can be shown, in a sentence; empty if it can."""
    if parameterNode.fit is None:
        return _("Register the CT first.")
    surface = parameterNode.surface.boneSurface
    if surface is None or surface.GetPolyData() is None or not surface.GetPolyData().GetNumberOfPoints():
        return _("Extract the bone surface of the CT first.")
    return ""
