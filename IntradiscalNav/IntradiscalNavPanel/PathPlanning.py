"""The part of the logic that plans: anatomy out of nodes, limits, paths into the book and one of them into `path`."""

import dataclasses

from slicer.i18n import tr as _

from .AnatomyInput import anatomyKey, anatomyOf
from .NavigationRules import NavigationAction
from .PathTexts import trajectoryText


class PathPlanning:
    """Mixed into the logic, which holds `paths` (PlannedPaths) and the registration."""

    def _resetPlanning(self):
        self._anatomy = self._anatomyKey = None
        self.paths.reset()
        self.planViews.reset()

    @property
    def trajectories(self):
        """The Trajectories of the book, in its order."""
        return tuple(entry.trajectory for entry in self.paths.book.entries)

    def anatomy(self, parameterNode):
        """SpineAnatomy of CT and segmentation (or endplates), worked out once as long as they don't change.

        :raises ValueError: when nothing is chosen, or the anatomy can't be found in it
        """
        self._require(parameterNode, NavigationAction.Plan)
        found = self.knownAnatomy(parameterNode)
        if found is None:
            found = anatomyOf(*self._anatomyNodes(parameterNode))
            # The key afterwards: reading a segmentation may make it add a representation of itself.
            self._anatomy, self._anatomyKey = found, anatomyKey(*self._anatomyNodes(parameterNode))
        return found

    def knownAnatomy(self, parameterNode):
        """The SpineAnatomy if it was worked out already and still holds, else None; takes no time."""
        if self._anatomy is None or self.whyNot(parameterNode, NavigationAction.Plan):
            return None
        return self._anatomy if anatomyKey(*self._anatomyNodes(parameterNode)) == self._anatomyKey else None

    @property
    def anatomyKey(self):
        """Changes whenever the anatomy was worked out anew; None before."""
        return self._anatomyKey

    @staticmethod
    def _anatomyNodes(parameterNode):
        return parameterNode.ctVolume, parameterNode.segmentation, parameterNode.endplates, parameterNode.plan.level.value

    def planningParameters(self, parameterNode):
        from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters

        chosen = parameterNode.plan
        names = ("needleLengthMm", "rootMarginMm", "duraMarginMm", "minInclinationDeg", "maxInclinationDeg", "maxTiltDeg")
        return dataclasses.replace(PlanningParameters(), **{name: getattr(chosen, name) for name in names})

    def registrationUncertainty(self):
        """RegistrationUncertainty of the accepted fit; None until there is one (the planner's assumption stands in)."""
        from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty

        fit = self.registrationFit()
        if fit is None:
            return None
        return RegistrationUncertainty(fit.centerTo, fit.covariance)

    def keepOuts(self):
        """KeepOutBoxes on the skin: the marker plate, where Fusion Registration knows its definition and has a registration.

        :raises ValueError: when the plate's file can't be read
        """
        from FusionRegistrationLib.MarkerPlate import MarkerPlate
        from IntradiscalNavLib.Planning.PlateKeepOut import plateKeepOut

        fit, path = self.registrationFit(), self.registration.getParameterNode().plateFile
        if fit is None or not path.is_file():
            return ()
        return (plateKeepOut(MarkerPlate.load(path), fit.fromToTo),)

    def planBasis(self, parameterNode):
        """What the numbers of the paths rest on, as plain values that can be stored and compared."""
        uncertainty = self.registrationUncertainty()
        nodes = (parameterNode.ctVolume, parameterNode.segmentation or parameterNode.endplates)
        return {
            "parameters": self.planningParameters(parameterNode).toDict(),
            "registration": None if uncertainty is None else [list(map(float, uncertainty.centerRas)), uncertainty.covariance.tolist()],
            "nodes": [node.GetID() if node is not None else None for node in nodes],
        }

    def plan(self, parameterNode):
        """Plan paths to the disc and show the best one as `path`; returns the TrajectoryPlan.

        When no path is legal the nearest one is offered, marked illegal, and `paths.message` says which limit fails and by how much.

        :raises ValueError: when nothing can be planned at all, saying why
        """
        from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories

        self._require(parameterNode, NavigationAction.Plan)
        level, side = parameterNode.plan.level.value, parameterNode.plan.side.value
        plan = planTrajectories(
            self.anatomy(parameterNode),
            level,
            side,
            self.planningParameters(parameterNode),
            keepOuts=self.keepOuts(),
            registration=self.registrationUncertainty(),
        )
        chosen = self.paths.offer(parameterNode, plan)
        self.log("PLAN", f"{level} {side}" if plan.feasible else f"{level} {side}: no legal path", lengthMm=round(chosen.lengthMm, 1))
        return plan

    def otherPath(self, parameterNode):
        """Show the next path of the book; returns it."""
        self._require(parameterNode, NavigationAction.OtherPath)
        numbers = [entry.number for entry in self.paths.book.entries]
        shown = self.paths.selectedNumber(parameterNode)
        index = numbers.index(shown) if shown in numbers else -1
        return self.paths.select(parameterNode, numbers[(index + 1) % len(numbers)])

    def shownTrajectory(self, parameterNode):
        """The evaluated Trajectory that `path` shows, or None when it was drawn or moved where it couldn't be evaluated."""
        return self.paths.shownTrajectory(parameterNode)

    def planDoubt(self, parameterNode):
        """Why the plan must not be relied on though no limit of the path fails; empty if nothing speaks against it."""
        if self.paths.isStale(parameterNode):
            return _("Limits, registration or anatomy changed since the paths were checked: press Check.")
        return self.level.doubt(parameterNode)

    @staticmethod
    def trajectoryText(trajectory):
        """A path in the paper's terms, with the limits that fail and its clearances, one a line; empty for None."""
        return trajectoryText(trajectory)
