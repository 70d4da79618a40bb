"""The part of the logic that plans: anatomy out of nodes, paths into a line node and back."""

import dataclasses

import numpy as np
import slicer
from slicer.i18n import tr as _

from .AnatomyInput import anatomyOf
from .NavigationRules import NavigationAction
from .NeedlePaths import NAME_ATTRIBUTE, PATH_ATTRIBUTE

SAME_POINT_MM = 0.05
"""A line node whose ends are this near to a planned path still shows it."""


class PathPlanning:
    """Mixed into the logic, which holds `trajectories` (the planned paths, best first) and the registration."""

    def _resetPlanning(self):
        self.trajectories = ()
        self._anatomy = self._anatomyKey = None

    def anatomy(self, parameterNode):
        """SpineAnatomy of CT and segmentation, worked out once per pair of nodes."""
        ct, segmentation = parameterNode.ctVolume, parameterNode.segmentation
        key = (ct.GetID(), ct.GetMTime(), segmentation.GetID(), segmentation.GetMTime())
        if key != self._anatomyKey:
            self._anatomy, self._anatomyKey = anatomyOf(ct, segmentation), key
        return self._anatomy

    def planningParameters(self, parameterNode):
        from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters

        chosen = parameterNode.plan
        names = ("needleLengthMm", "rootMarginMm", "duraMarginMm", "minInclinationDeg", "maxInclinationDeg", "maxTiltDeg")
        return dataclasses.replace(PlanningParameters(), **{name: getattr(chosen, name) for name in names})

    def plan(self, parameterNode):
        """Plan paths to the disc and show the best one as `path`; returns the TrajectoryPlan.

        :raises ValueError: when no path is legal, saying which limit fails and by how much
        """
        from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
        from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty

        self._require(parameterNode, NavigationAction.Plan)
        fit = self.registrationFit()
        center = getattr(fit, "centerTo", getattr(fit, "centreRas", None))
        uncertainty = None if fit is None else RegistrationUncertainty(center, fit.covariance)
        level, side = parameterNode.plan.level.value, parameterNode.plan.side.value
        plan = planTrajectories(self.anatomy(parameterNode), level, side, self.planningParameters(parameterNode), registration=uncertainty)
        if not plan.feasible:
            failing = plan.best[0].failing if plan.best else ()
            reason = "; ".join(limit.sentence() for limit in failing) or _("no candidate reaches the disc")
            raise ValueError(_("No path to {level} from the {side} is legal: {reason}").format(level=level, side=side, reason=reason))
        self.trajectories = plan.best
        self._showPath(parameterNode, plan.best[0])
        self.log("PLAN", f"{level} {side}", lengthMm=round(plan.best[0].lengthMm, 1))
        return plan

    def otherPath(self, parameterNode):
        """Show the next of the planned paths; returns it."""
        self._require(parameterNode, NavigationAction.OtherPath)
        shown = self.shownTrajectory(parameterNode)
        index = next((number for number, item in enumerate(self.trajectories) if item is shown), -1)
        chosen = self.trajectories[(index + 1) % len(self.trajectories)]
        self._showPath(parameterNode, chosen)
        return chosen

    def _showPath(self, parameterNode, trajectory):
        if parameterNode.path is None:
            parameterNode.path = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "PlannedPath")
            parameterNode.path.CreateDefaultDisplayNodes()
            parameterNode.path.GetDisplayNode().SetPropertiesLabelVisibility(False)  # it would lie over the numbers
        parameterNode.path.SetAttribute(PATH_ATTRIBUTE, f"disc {parameterNode.plan.level.value}")
        parameterNode.path.SetAttribute(NAME_ATTRIBUTE, f"{parameterNode.plan.level.value} {parameterNode.plan.side.value}")
        slicer.util.updateMarkupsControlPointsFromArray(
            parameterNode.path, np.array([trajectory.entryRas, trajectory.targetRas]), world=True
        )
        for index, label in enumerate((_("Entry"), _("Target"))):
            parameterNode.path.SetNthControlPointLabel(index, label)

    def shownTrajectory(self, parameterNode):
        """The planned Trajectory that `path` shows, or None when it was moved or drawn by hand."""
        if parameterNode.path is None or parameterNode.path.GetNumberOfDefinedControlPoints() < 2:
            return None
        points = slicer.util.arrayFromMarkupsControlPoints(parameterNode.path, world=True)
        for trajectory in self.trajectories:
            if np.abs(points[:2] - [trajectory.entryRas, trajectory.targetRas]).max() < SAME_POINT_MM:
                return trajectory
        return None

    @staticmethod
    def trajectoryText(trajectory):
        """A path in the paper's terms, with its clearances, one a line; empty for None."""
        if trajectory is None:
            return ""
        lines = [
            _("{length:.0f} mm, {medial:.0f}° medial, {caudal:.0f}° caudal, entry {entry:.0f} mm from the midline").format(
                length=trajectory.lengthMm,
                medial=trajectory.medialInclinationDeg,
                caudal=trajectory.caudalTiltDeg,
                entry=trajectory.entryDistanceStraightMm,
            )
        ]
        nearest = sorted(trajectory.clearancesMm.items(), key=lambda item: item[1])[:4]
        lines += [f"{name}: {value:.1f} mm" for name, value in nearest]
        return "\n".join(lines)
