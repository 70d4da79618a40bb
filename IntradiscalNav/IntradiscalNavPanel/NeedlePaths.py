"""The needles of a procedure: line nodes of the scene, each with its target; one is active, and needle and target change together."""

import dataclasses
import enum

import numpy as np
import slicer
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner
from .PathLine import endsOf, isLine

PATH_ATTRIBUTE = "IntradiscalNav.NeedlePath"
"""Marks a line node (entry first) as the path of a needle; the value is the name of its target."""
NAME_ATTRIBUTE = "IntradiscalNav.NeedleName"
"""Name of the needle where it isn't that of the line."""
LENGTH_ATTRIBUTE = "IntradiscalNav.NeedleLengthMm"
"""Length of this needle where it isn't the one of the plan."""
TIP_ROLE = "IntradiscalNav.NeedleTip"
"""Node reference to the tip calibration of this needle, where it isn't the one that is connected as NeedleTipToNeedle."""
SAME_LENGTH_MM = 0.5


class NeedleAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the method."""

    Next = "activateNext"


@dataclasses.dataclass(frozen=True)
class PlannedNeedle:
    """A needle with its target. Points in RAS mm; `whyNot` says why it can't be guided, empty if it can."""

    nodeId: str
    name: str
    targetName: str
    entryRas: tuple[float, float, float]
    targetRas: tuple[float, float, float]
    lengthMm: float
    whyNot: str = ""

    @property
    def pathLengthMm(self):
        return float(np.linalg.norm(np.subtract(self.targetRas, self.entryRas)))


class NeedlePaths(ActionOwner):
    """The list and the active one, which is the parameter `path`. `planned` is read anew from the scene at each call.

    logic.needles.add(lineNode, "facet L4-L5 left")
    logic.needles.activate(parameterNode, "facet L4-L5 left")
    """

    @staticmethod
    def add(line, targetName, lengthMm=None, tip=None):
        """Make a line node (entry first) the path of a needle.

        :param lengthMm: length of this needle; default that of the plan
        :param tip: transform node with its own tip calibration (NeedleTip to Needle); needed where its length is another
        """
        line.SetAttribute(PATH_ATTRIBUTE, targetName)
        line.SetAttribute(LENGTH_ATTRIBUTE, None if lengthMm is None else f"{lengthMm:g}")
        line.SetNodeReferenceID(TIP_ROLE, None if tip is None else tip.GetID())

    def planned(self, parameterNode):
        """Every PlannedNeedle in the order of the scene: the marked lines, and `path` whether marked or not."""
        found, names = [], set()
        for line in slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode"):
            if isLine(line) and (line.GetAttribute(PATH_ATTRIBUTE) is not None or line is parameterNode.path):
                needle = self._needleOf(line, parameterNode, names)
                names.add(needle.name)
                found.append(needle)
        return tuple(found)

    @staticmethod
    def _needleOf(line, parameterNode, names):
        plan = parameterNode.plan
        marked = line.GetAttribute(PATH_ATTRIBUTE)
        unmarked = f"{plan.level.value} {plan.side.value}"
        name = given = line.GetAttribute(NAME_ATTRIBUTE) or (unmarked if marked is None else line.GetName())
        count = 1
        while name in names:  # two lines of one name would be one needle in the log
            count += 1
            name = f"{given} ({count})"
        length, whyNot = plan.needleLengthMm, ""
        own = line.GetAttribute(LENGTH_ATTRIBUTE)
        if own:
            try:
                length = float(own)
            except ValueError:
                whyNot = _("The length of needle {name} is no number: {text}.").format(name=name, text=own)
        if not whyNot and abs(length - plan.needleLengthMm) > SAME_LENGTH_MM and line.GetNodeReference(TIP_ROLE) is None:
            whyNot = _("Needle {name} is {length:.0f} mm long, the calibrated one {calibrated:.0f} mm: calibrate its tip first.").format(
                name=name, length=length, calibrated=plan.needleLengthMm
            )
        entry, target = (tuple(point) for point in endsOf(line).tolist())
        if not whyNot and np.linalg.norm(np.subtract(target, entry)) < 1.0:
            whyNot = _("The path of needle {name} has no length: set entry and target apart.").format(name=name)
        return PlannedNeedle(line.GetID(), name, marked or f"disc {plan.level.value}", entry, target, length, whyNot)

    def active(self, parameterNode):
        """The PlannedNeedle of `path`, or None."""
        path = parameterNode.path
        return next((needle for needle in self.planned(parameterNode) if path is not None and needle.nodeId == path.GetID()), None)

    def activate(self, parameterNode, name):
        """Make a needle and its target active, also while guidance runs.

        :raises ValueError: when there is no such needle or it can't be guided, with the remedy
        """
        needles = {needle.name: needle for needle in self.planned(parameterNode)}
        if name not in needles:
            raise ValueError(_("There is no needle {name}; planned are: {names}").format(name=name, names=", ".join(needles) or "–"))
        if needles[name].whyNot:
            raise ValueError(needles[name].whyNot)
        parameterNode.path = slicer.mrmlScene.GetNodeByID(needles[name].nodeId)
        return needles[name]

    def activateNext(self, parameterNode):
        """The next needle that can be guided, round to the first."""
        self._require(parameterNode, NeedleAction.Next)
        names = [needle.name for needle in self._usable(parameterNode)]
        active = self.active(parameterNode)
        index = names.index(active.name) + 1 if active is not None and active.name in names else 0
        return self.activate(parameterNode, names[index % len(names)])

    def _usable(self, parameterNode):
        return [needle for needle in self.planned(parameterNode) if not needle.whyNot]

    def whyNot(self, parameterNode, action):
        """Why a NeedleAction can't be done now; empty if it can."""
        needles = self._usable(parameterNode)
        if len(needles) > 1:
            return ""
        return _("Plan a second needle first: mark its line as the path of a needle.") if needles else _("Plan a path first.")
