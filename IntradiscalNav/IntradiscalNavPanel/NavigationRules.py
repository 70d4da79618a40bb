"""What can be asked of IntradiscalNav, and why it can't be done now."""

import enum
import pathlib

from slicer.i18n import tr as _


class NavigationAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the logic's method."""

    Connect = "connect"
    LoadDeviceSet = "loadDeviceSet"
    Plan = "plan"
    OtherPath = "otherPath"
    Guide = "startGuidance"
    Freeze = "freeze"
    Compare = "compare"
    Confirm = "confirmRegistration"
    Record = "startRecording"
    Fill = "fillSequences"
    Save = "saveScene"
    Rehearse = "startRehearsal"
    RehearseNext = "rehearseNext"


LIVE_ACTIONS = (
    NavigationAction.Connect,
    NavigationAction.LoadDeviceSet,
    NavigationAction.Guide,
    NavigationAction.Record,
    NavigationAction.Rehearse,
)
"""What must not be mixed with the replay of a saved procedure."""


def whyNot(logic, parameterNode, action):
    """Why a NavigationAction can't be done now, in a sentence; empty if it can."""
    if logic.review.isOn and action in LIVE_ACTIONS:
        return _("A saved procedure is being reviewed: leave the review first.")
    return {
        NavigationAction.Connect: _whyNotConnect,
        NavigationAction.LoadDeviceSet: _whyNotLoadDeviceSet,
        NavigationAction.Plan: _whyNotPlan,
        NavigationAction.OtherPath: _whyNotOtherPath,
        NavigationAction.Guide: _whyNotGuide,
        NavigationAction.Freeze: _whyNotFreeze,
        NavigationAction.Compare: _whyNotFreeze,
        NavigationAction.Confirm: _whyNotConfirm,
        NavigationAction.Record: _whyNotRecord,
        NavigationAction.Fill: _whyNotFill,
        NavigationAction.Save: _whyNotSave,
        NavigationAction.Rehearse: _whyNotRehearse,
        NavigationAction.RehearseNext: _whyNotRehearseNext,
    }[action](logic, parameterNode)


def _whyNotConnect(logic, parameterNode):
    return "" if parameterNode.connection.host.strip() else _("Enter the name or address of the PLUS computer first.")


def _whyNotLoadDeviceSet(logic, parameterNode):
    path = parameterNode.connection.deviceSet
    return "" if path != pathlib.Path() and path.is_file() else _("Choose the device-set configuration of PLUS first.")


def _whyNotPlan(logic, parameterNode):
    if parameterNode.ctVolume is None:
        return _("Choose the CT first.")
    if parameterNode.segmentation is not None:
        return ""
    points = parameterNode.endplates
    if points is not None and points.GetNumberOfDefinedControlPoints() >= 2:
        return ""
    return _("Choose a segmentation of the vertebrae first, or put one point on each endplate of the disc.")


def _whyNotOtherPath(logic, parameterNode):
    return "" if len(logic.trajectories) > 1 else _("Plan a path first that has alternatives.")


def _whyNotGuide(logic, parameterNode):
    needle = logic.needles.active(parameterNode)
    if needle is None:
        return _("Plan a path first.")
    if needle.whyNot:
        return needle.whyNot
    if logic.connection is None or logic.connection.stream.node("NeedleToReference") is None:
        return _("Connect first: no needle has arrived yet.")
    if logic.connection.stream.tree.matrix("NeedleTipToNeedle") is None:
        return _("Load the calibration of the needle first.")
    return "" if logic.registrationFit() is not None else _("Register the CT first.")


def _whyNotFreeze(logic, parameterNode):
    if logic.state is None:
        return _("Start the guidance first.")
    if logic.views is None:
        return _("Show the navigation views first.")
    held = logic.isFrozen or logic.isComparing
    return "" if held or logic.state.frameLive else _("Wait until the probe is tracked and its picture arrives.")


def _whyNotConfirm(logic, parameterNode):
    return "" if logic.doubtReasons() else _("The registration isn't in doubt.")


def _whyNotSave(logic, parameterNode):
    return "" if parameterNode.caseFolder != pathlib.Path() else _("Choose a folder for the case first.")


def _whyNotFill(logic, parameterNode):
    from IntradiscalNavLib.Recording.CaseFolder import begunRecordings

    if logic.review.isOn:
        return _("A saved procedure is being reviewed: leave the review first.")
    why = _whyNotSave(logic, parameterNode)
    folder = parameterNode.caseFolder
    if not why and not begunRecordings(folder):
        why = _("Nothing was recorded in this case yet.")
    return why


def _whyNotRecord(logic, parameterNode):
    return _whyNotSave(logic, parameterNode) or ("" if logic.isConnecting else _("Connect first: there is nothing to record."))


def _whyNotRehearse(logic, parameterNode):
    return _("The rehearsal is running: stop it first.") if logic.rehearsal is not None else ""


def _whyNotRehearseNext(logic, parameterNode):
    return "" if logic.rehearsal is not None else _("Start the simulated procedure first.")
