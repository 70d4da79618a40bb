"""The level is shown with what speaks for its name, and the operator confirms it: vertebrae can be transitional or mislabeled."""

import enum

from FusionRegistrationPanel.FusionRegistrationLogic import ijkToRasOf
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner
from .NavigationRules import NavigationAction


class LevelAction(enum.Enum):
    """What can be asked of LevelCheck; the value is the name of its method."""

    Show = "show"
    Confirm = "confirm"


class LevelCheck(ActionOwner):
    """Held by the logic as `logic.level`. The confirmation is kept in the scene and holds for one level of one anatomy."""

    def __init__(self, logic):
        self._logic = logic

    def whyNot(self, parameterNode, action):
        """Why a LevelAction can't be done now; empty if it can."""
        if self._logic.knownAnatomy(parameterNode) is not None:
            return "" if action is LevelAction.Show or self.evidence(parameterNode) else self.text(parameterNode)
        why = self._logic.whyNot(parameterNode, NavigationAction.Plan)
        if why or action is LevelAction.Show:
            return why
        return _("Look first how the level was counted: press Count.")

    def show(self, parameterNode):
        """Work out the anatomy, and say what speaks for the level's name; returns the text."""
        self._logic.anatomy(parameterNode)
        return self.text(parameterNode)

    def evidence(self, parameterNode):
        """Facts for and against the name of the level, most telling first; empty while the anatomy isn't worked out or lacks it."""
        from IntradiscalNavLib.Planning.LevelEvidence import levelEvidence

        anatomy = self._logic.knownAnatomy(parameterNode)
        if anatomy is None:
            return ()
        try:
            return levelEvidence(anatomy, parameterNode.plan.level.value)
        except ValueError:
            return ()

    def text(self, parameterNode):
        """The level and its evidence in a sentence, or why there is none; empty while the anatomy isn't worked out."""
        anatomy = self._logic.knownAnatomy(parameterNode)
        if anatomy is None:
            return ""
        facts = self.evidence(parameterNode)
        level = parameterNode.plan.level.value
        if facts:
            return ("" if facts[0].startswith(level) else f"{level}: ") + "; ".join(facts) + "."
        try:
            anatomy.disc(level)
        except ValueError as error:
            return str(error)
        return ""

    def warnings(self, parameterNode):
        """What makes this CT or segmentation doubtful for planning: supine, tilted gantry, thick slices, cut skin and the like."""
        from IntradiscalNavLib.Planning.CtSuitability import checkGeometry

        anatomy, ct = self._logic.knownAnatomy(parameterNode), parameterNode.ctVolume
        if anatomy is not None:
            return tuple(anatomy.warnings)
        if ct is None or ct.GetImageData() is None:
            return ()
        try:  # what the grid alone tells is known at once
            return checkGeometry(ct.GetImageData().GetDimensions()[::-1], ijkToRasOf(ct), "CT")
        except ValueError as error:
            return (str(error),)

    def confirm(self, parameterNode):
        """The operator has counted and agrees.

        :raises ValueError: while the evidence wasn't shown
        """
        self._require(parameterNode, LevelAction.Confirm)
        parameterNode.confirmedLevel = self._key(parameterNode)
        self._logic.log("REMARK", _("level {level} confirmed").format(level=parameterNode.plan.level.value))

    def revoke(self, parameterNode):
        parameterNode.confirmedLevel = ""

    def isConfirmed(self, parameterNode):
        return parameterNode.confirmedLevel == self._key(parameterNode)

    def doubt(self, parameterNode):
        """Why the level is in doubt; empty once it is confirmed."""
        if self.isConfirmed(parameterNode):
            return ""
        return _("{level} isn't confirmed: see how it was counted, and confirm it.").format(level=parameterNode.plan.level.value)

    @staticmethod
    def _key(parameterNode):
        nodes = (parameterNode.ctVolume, parameterNode.segmentation or parameterNode.endplates)
        return " ".join([parameterNode.plan.level.value, *(node.GetID() if node is not None else "-" for node in nodes)])
