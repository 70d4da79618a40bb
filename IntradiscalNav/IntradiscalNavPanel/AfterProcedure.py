"""After the procedure: the last CT against the first, and two procedures beside each other."""

import enum
import pathlib

import slicer
from FusionRegistrationPanel.FusionRegistrationLogic import ijkToRasOf
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner

LAST_CT_ATTRIBUTE = "IntradiscalNav.LastCt"
"""Of the transform node that shows the last CT in the planning CT."""


class AfterAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the method of AfterProcedure."""

    CheckLastCt = "checkLastCt"
    Compare = "compare"


class AfterProcedure(ActionOwner):
    """Held by the logic as `after`.

    logic.after.checkLastCt(parameterNode).metrics()
    logic.after.compare(parameterNode).differences
    """

    def __init__(self, logic):
        self._logic = logic

    def whyNot(self, parameterNode, action):
        """Why an AfterAction can't be done now; empty if it can."""
        if action is AfterAction.CheckLastCt:
            if parameterNode.ctVolume is None or parameterNode.segmentation is None:
                return _("Choose the planning CT and its segmentation first.")
            if parameterNode.lastCt is None:
                return _("Choose the last CT first.")
            if parameterNode.lastCt is parameterNode.ctVolume:
                return _("The last CT is the planning CT: choose the one taken at the end.")
            parent = parameterNode.lastCt.GetParentTransformNode()
            foreign = parent is not None and not parent.GetAttribute(LAST_CT_ATTRIBUTE)
            return _("The last CT lies under a transform: harden it, or take it off.") if foreign else ""
        from IntradiscalNavLib.Recording.CaseFolder import begunRecordings

        other = parameterNode.replay.otherCase
        if other == pathlib.Path() or not begunRecordings(other):
            return _("Choose the folder of another case with a recording first.")
        if self._logic.review.procedure is None:
            return _("Start the review of a procedure first.")
        return ""

    def checkLastCt(self, parameterNode):
        """Register the last CT, look for the needle, measure the gas; keeps the numbers in the scene and notes them in the log.

        Returns the LastCtCheck.

        :raises ValueError: if the level isn't segmented, or the last CT doesn't cover it
        """
        from IntradiscalNavLib.Planning.StructureNames import StructureKind
        from IntradiscalNavLib.Recording.LastCtCheck import CtImage, checkLastCt
        from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument, storeDocument

        self._require(parameterNode, AfterAction.CheckLastCt)
        parameterNode.lastCt.SetAndObserveTransformNodeID(None)  # as it was scanned, not as an earlier check has moved it
        anatomy = self._logic.anatomy(parameterNode)
        level = parameterNode.plan.level.value
        labels = {anatomy.structures[value].level: value for value in anatomy.labelValues(StructureKind.VERTEBRA)}
        vertebrae = {name: labels[name] for name in level.split("-") if name in labels}
        planning, last = (
            CtImage(slicer.util.arrayFromVolume(node), ijkToRasOf(node)) for node in (parameterNode.ctVolume, parameterNode.lastCt)
        )
        check = checkLastCt(
            planning,
            anatomy.labels,
            vertebrae,
            last,
            anatomy.disc(level).centerRas,
            bowel=anatomy.labelValues(StructureKind.BOWEL),
            needleTipToRas=self._needlePose(parameterNode),
        )
        self._showLastCt(parameterNode.lastCt, check.registration.lastToPlanning)
        metrics = check.metrics()
        known = readDocument(slicer.mrmlScene, DocumentRole.METRICS) or {}
        storeDocument(slicer.mrmlScene, DocumentRole.METRICS, {**known, "lastCt": {**(known.get("lastCt") or {}), **metrics}})
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        self._logic.log("REMARK", "last CT", **numbers)
        if self._logic.review.isOn:
            self._logic.review.start(parameterNode, self._logic.review.source)
        return check

    def _needlePose(self, parameterNode):
        """NeedleTipToRas where the navigation had it last; None where nobody knows."""
        from IntradiscalNavLib.Recording.CaseFolder import begunRecordings
        from IntradiscalNavLib.Recording.RecordedProcedure import takeApart
        from IntradiscalNavLib.Recording.RecordingReader import RecordingReader

        if self._logic.state is not None:
            return self._logic.state.needleTipToRas
        review = self._logic.review
        recorded = review.recorded
        if recorded is None:
            case = review.caseFolder(parameterNode)
            folders = begunRecordings(case) if case is not None else ()
            recorded = takeApart(RecordingReader(folders[-1], withPixels=False)) if folders else None
        try:
            _times, poses, valid = recorded.toolTipToRas() if recorded is not None else ((), (), ())
        except LookupError:
            return None
        return poses[valid][-1] if len(poses) and valid.any() else None

    @staticmethod
    def _showLastCt(volume, lastToPlanning):
        """Show the last CT where it belongs in the planning CT."""
        nodes = slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")
        node = next((each for each in nodes if each.GetAttribute(LAST_CT_ATTRIBUTE)), None)
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LastCtToPlanning")
            node.SetAttribute(LAST_CT_ATTRIBUTE, "1")
        volume.SetAndObserveTransformNodeID(node.GetID())
        slicer.util.updateTransformMatrixFromArray(node, lastToPlanning)

    def compare(self, parameterNode):
        """The reviewed procedure beside that of another case; writes comparison.html into the case folder where there is one.

        Returns the RunComparison.

        :raises ValueError: if one of them has no plan or no insertion, naming it
        """
        from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
        from IntradiscalNavLib.Recording.ComparisonPage import comparisonPage
        from IntradiscalNavLib.Recording.RunComparison import compareRuns
        from IntradiscalNavLib.Recording.SceneReview import reviewNewestRecording
        from ProcedureLogLib.WholeFile import writeWhole

        self._require(parameterNode, AfterAction.Compare)
        review = self._logic.review
        other = reviewNewestRecording(CaseFolder(parameterNode.replay.otherCase))
        comparison = compareRuns([(review.procedure, review.recorded), other])
        case = review.caseFolder(parameterNode)
        if case is not None:
            writeWhole(case / "comparison.html", comparisonPage(comparison))
        return comparison

    @staticmethod
    def checkText(check):
        """A LastCtCheck in sentences, one a line."""
        lines = [
            _("The disc has moved by {moved:.1f} mm since the planning CT; the vertebrae agree within {spread:.1f} mm.").format(
                moved=check.patientMovedMm, spread=check.registration.disagreementMm
            )
        ]
        if check.needle is not None:
            lines.append(
                _("Real needle: tip {tip:.1f} mm from the virtual one, {angle:.1f}° off, bent by {bend:.1f} mm.").format(
                    tip=check.needle.tipErrorMm, angle=check.needle.angleDeg, bend=check.needle.bendMm
                )
            )
        lines.append(
            _("Gas: {inside:.1f} mL in the disc ({share:.0f} %), {leak:.1f} mL outside.").format(
                inside=check.gas.inDiscMl, share=100 * check.gas.shareOfDisc, leak=check.gas.leakMl
            )
        )
        return "\n".join([*lines, *check.remarks])
