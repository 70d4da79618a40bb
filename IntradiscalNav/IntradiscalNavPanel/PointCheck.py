"""Re-verification while guidance runs: a tip is held at a known point, and the registration is judged by how far it seems from it."""

import enum

import numpy as np
import slicer
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner

REACH_MM = 25.0
"""A tip farther than this from every known point isn't touching one."""


class CheckAction(enum.Enum):
    """What the panel's button and a script can ask for; the value is the name of the method."""

    CheckPoint = "checkPoint"


class PointCheck(ActionOwner):
    """Known points are those of Fusion Registration. `text` tells the last result."""

    def __init__(self, logic):
        self._logic = logic
        self.text = ""

    def tips(self):
        """Live tips in Reference (mm) by tool name: the active needle and the stylus."""
        from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE

        logic, found = self._logic, {}
        if logic.connection is None or logic.connection.lastUpdate is None:
            return found
        tree, states = logic.connection.stream.tree, logic.connection.lastUpdate.states
        active = logic.session.needles.active if logic.session is not None else None
        tips = {
            "Needle": active.needleTipToNeedle if active is not None else tree.matrix("NeedleTipToNeedle"),
            "Stylus": tree.matrix("StylusTipToStylus"),
        }
        for tool, tip in tips.items():
            state, pose = states.get(f"{tool}ToReference"), tree.resolve(tool, "Reference")
            if tip is None or pose is None or state is None or not state.isLive:
                continue
            if tool == "Needle" and not logic.connection.toolLiveness()[NEEDLE].live:
                continue
            found[tool] = (pose.matrix @ tip)[:3, 3]
        return found

    def _nearest(self, fit, known):
        """(distance in mm, index of the known point, tool, tip) of the live tip nearest to a known point, by the registration as it is."""
        candidates = []
        for tool, tip in self.tips().items():
            inRas = fit.fromToTo[:3, :3] @ tip + fit.fromToTo[:3, 3]
            distances = np.linalg.norm(known - inRas, axis=1)
            candidates.append((float(distances.min()), int(distances.argmin()), tool, tip))
        return min(candidates, key=lambda candidate: candidate[0])

    def whyNot(self, parameterNode, action):
        """Why the check can't be done now; empty if it can."""
        registration = self._logic.registration.getParameterNode()
        points = registration.knownPoints
        if points is None or not points.GetNumberOfDefinedControlPoints():
            return _("Choose known points in Fusion Registration first.")
        if self._logic.registrationFit() is None:
            return _("Register the CT first.")
        return "" if self.tips() else _("Neither needle nor stylus is live.")

    def checkPoint(self, parameterNode):
        """Compare needle or stylus tip, whichever is nearer, with the nearest known point; returns the RegistrationVerification.

        A check that passes ends the doubt about the registration; both are logged and recorded.

        :raises ValueError: when it can't be done, or no tip is near a known point
        """
        logic = self._logic
        self._require(parameterNode, CheckAction.CheckPoint)
        from FusionRegistrationLib.RegistrationVerification import verifyRegistration

        registration, fit = logic.registration.getParameterNode(), logic.registrationFit()
        known = slicer.util.arrayFromMarkupsControlPoints(registration.knownPoints, world=True)
        distanceMm, nearest, tool, tip = self._nearest(fit, known)
        if distanceMm > REACH_MM:
            text = _("The nearest known point is {distance:.0f} mm from the tip: touch it with needle or stylus, or register again.")
            raise ValueError(text.format(distance=distanceMm))
        result = verifyRegistration(
            fit.fromToTo,
            [tip],
            known[[nearest]],
            names=[registration.knownPoints.GetNthControlPointLabel(nearest)],
            limitMm=registration.passLimitMm,
            registrationPointsRas=getattr(fit, "toPoints", None),
        )
        self.text = result.message
        values = {"point": result.worstName, "errorMm": round(result.maxMm, 2), "limitMm": result.limitMm, "tool": tool}
        logic.log("REGISTRATION" if result.passed else "WARNING", result.message, **values)
        if logic.connection.recorder is not None:
            logic.connection.recorder.writer.addEvent("check", {"text": result.message, **values})
        if result.passed:
            logic.endDoubt(result.message)
        return result
