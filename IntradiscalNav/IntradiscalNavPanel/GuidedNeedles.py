"""Keeps a guidance session in step with the planned needles: paths added or moved, another one made active, another calibration."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from .GuidanceInput import needlePlan, riskStructures
from .NeedlePaths import TIP_ROLE, NeedlePaths

REFRESH_SEC = 0.5
NO_PATH = "NO PATH"


class GuidedNeedles:
    """The needles of one session. `plans` before the session is made, then `attach`, then `follow` at every turn.

    :param anatomy: SpineAnatomy for the structures at risk, or None
    :param connectedTip: gives NeedleTipToNeedle as it is now
    :param noted: called with (PlannedNeedle, isNew) for each path that is taken up or has been moved
    """

    def __init__(self, parameterNode, anatomy, connectedTip, noted):
        self._paths = NeedlePaths()
        self._parameterNode, self._anatomy, self._connectedTip, self._noted = parameterNode, anatomy, connectedTip, noted
        self._session = None
        self._taken, self._seen, self._refused, self._structures, self._tables = {}, {}, {}, {}, {}
        self._pathId, self._refreshedSec = None, float("-inf")
        self.whyNotLive = ""
        """Why no needle can be guided now: `path` is empty or unusable."""

    def plans(self):
        """NeedlePlan of every needle that can be guided, the active one first.

        :raises ValueError: when the active one can't be guided
        """
        active = self._paths.active(self._parameterNode)
        if active is None or active.whyNot:
            raise ValueError(active.whyNot if active is not None else _("Plan a path first."))
        needles = [needle for needle in self._paths.planned(self._parameterNode) if not needle.whyNot]
        index = needles.index(active)
        self._pathId = active.nodeId
        plans = [self._take(active)]
        for needle in needles[index + 1 :] + needles[:index]:
            try:
                plans.append(self._take(needle))
            except ValueError as error:  # a calibration that is no calibration: this needle can't be guided, the others can
                self._refused[needle.name] = str(error)
        return plans

    def attach(self, session):
        """Follow the needles in this session."""
        self._session = session
        session.needles.onSwitch(lambda switch: self._watchStructures(switch.toNeedle))
        self._watchStructures(session.needles.active.name)

    def _watchStructures(self, needleName):
        """The structures at risk are those beside the path of this needle."""
        from IntradiscalNavLib.Guidance.StructureClearance import StructureSet

        self._session.structures = StructureSet(self._structures[needleName])

    def follow(self, nowSec):
        """Take up what has changed; paths are read twice a second, the choice of the active one at every call."""
        path = self._parameterNode.path
        chosen = path.GetID() if path is not None else None
        if chosen == self._pathId and nowSec - self._refreshedSec < REFRESH_SEC:
            return
        self._refreshedSec = nowSec
        needles = self._paths.planned(self._parameterNode)
        for needle in needles:
            self._refresh(needle, atOnce=needle.nodeId == chosen != self._pathId)
        self._pathId = chosen
        active = next((needle for needle in needles if needle.nodeId == chosen), None)
        self.whyNotLive = active.whyNot or self._refused.get(active.name, "") if active is not None else _("choose the path of a needle")
        if not self.whyNotLive and active.name in self._taken:
            self._session.selectNeedle(active.name, nowSec)

    def _refresh(self, needle, atOnce):
        """A path that is being dragged is taken once it has stood still from one look to the next."""
        state = self._stateOf(needle)
        if needle.whyNot or state == self._taken.get(needle.name):
            self._seen.pop(needle.name, None)
            return
        isNew = needle.name not in self._taken
        if not (isNew or atOnce or self._seen.get(needle.name) == state):
            self._seen[needle.name] = state
            return
        try:
            plan = self._take(needle)
            self._session.needles.add(plan)
        except ValueError as error:  # as in `plans`
            self._refused[needle.name] = str(error)
            return
        self._refused.pop(needle.name, None)
        active = self._session.needles.active
        if active is not None and active.name == needle.name:
            self._watchStructures(needle.name)
        self._noted(needle, isNew)

    def _take(self, needle):
        from FusionRegistrationLib.RigidTransform import checkRigid

        tip = self._tipOf(needle)
        if tip is None:
            raise ValueError(_("Load the calibration of the needle first."))
        checkRigid(tip, f"NeedleTipToNeedle of needle {needle.name!r}")
        self._taken[needle.name] = self._stateOf(needle)
        self._structures[needle.name] = ()
        if self._anatomy is not None:
            limit = self._parameterNode.plan.rootMarginMm
            self._structures[needle.name] = riskStructures(self._anatomy, needle.entryRas, needle.targetRas, limit, self._tables)
        return needlePlan(needle, tip)

    def _tipOf(self, needle):
        """NeedleTipToNeedle of this needle: its own, else the connected one."""
        own = slicer.mrmlScene.GetNodeByID(needle.nodeId).GetNodeReference(TIP_ROLE)
        return self._connectedTip() if own is None else slicer.util.arrayFromTransformMatrix(own)

    def _stateOf(self, needle):
        """All that a session takes from a needle, to be compared."""
        tip = self._tipOf(needle)
        return needle, None if tip is None else np.asarray(tip, float).tobytes()
