"""The operator's paths: a book of them in the scene, a Markups line for each, evaluated anew while one is dragged."""

import dataclasses
import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import PathRules
from .ActionOwner import ActionOwner
from .NavigationRules import NavigationAction
from .NeedleMarks import markNeedles
from .PathDocument import PathDocument, stampOf
from .PathLine import endsOf, isLine, shows
from .PathNodes import UNCHECKED_COLOR, PathNodes
from .PathRules import PathAction
from .PathTexts import comparisonRows, pathRow, statusColor
from .PlanContexts import PlanContexts, evaluate
from .SessionNeedles import SessionNeedles


class PlannedPaths(ActionOwner):
    """Held by the logic as `logic.paths`. The scene keeps the book, so that a reopened scene shows the same paths.

    logic.plan(parameterNode)
    number = logic.paths.duplicate(parameterNode)
    logic.paths.rename(parameterNode, number, "mine")
    logic.paths.undo(parameterNode)
    """

    def __init__(self, logic):
        self._logic = logic
        self.onMoved = None
        """Called with the number of a path that was evaluated anew while it is dragged or after it was let go; the panel sets it."""
        self.nodes = PathNodes(self._lineMoved, self._lineReleased)
        self.contexts = PlanContexts()
        self.reset()

    def reset(self):
        """Forget everything in memory; what the scene keeps is read again."""
        from IntradiscalNavLib.Planning.TrajectoryBook import TrajectoryBook

        self.nodes.reset()
        self.contexts.clear()
        self.book = TrajectoryBook()
        self.session = SessionNeedles()
        self.lastPlan = None
        self.message = ""
        """What the last plan has to say beside its paths: why nothing is legal, or why a path can't be evaluated."""
        self._basis = self._anatomyKey = None
        self._storedStamp = None
        self._shown = (None, True, False)

    # --- what can be done now

    def whyNot(self, parameterNode, action):
        """Why a PathAction can't be done now; empty if it can."""
        self.follow(parameterNode)
        return PathRules.whyNot(self, parameterNode, action)

    def whyNotPlan(self, parameterNode):
        return self._logic.whyNot(parameterNode, NavigationAction.Plan)

    # --- what is there

    def selectedNumber(self, parameterNode):
        """Number of the path that `path` is, or None when that isn't a path of the book."""
        number = self.nodes.numberOf(parameterNode.path)
        return number if number is not None and self.nodes.nodeOf(number) is parameterNode.path else None

    def selectedEntry(self, parameterNode):
        """BookEntry of `path`, or None."""
        number = self.selectedNumber(parameterNode)
        return next((entry for entry in self.book.entries if entry.number == number), None)

    def shownTrajectory(self, parameterNode):
        """The evaluated Trajectory that `path` shows, or None when it was drawn or moved where it couldn't be evaluated."""
        entry = self.selectedEntry(parameterNode)
        return entry.trajectory if entry is not None and shows(parameterNode.path, entry.trajectory) else None

    def isDrawn(self, node):
        """Whether a line was drawn by hand and isn't in the book yet."""
        return isLine(node) and self.nodes.nodeOf(self.nodes.numberOf(node)) is not node

    def rows(self, parameterNode):
        """PathRow of each path, for a table."""
        selected = self.selectedNumber(parameterNode)
        needles = {needle.number: needle for needle in self.sessionSteps}
        return tuple(pathRow(entry, entry.number == selected, needles.get(entry.number)) for entry in self.book.entries)

    def compare(self, number, other):
        """What tells two paths apart, as rows (what, first, second, difference).

        :raises ValueError: when there is no path of a number
        """
        return comparisonRows(self.book.entry(number).trajectory, self.book.entry(other).trajectory)

    @property
    def sessionSteps(self):
        """SessionNeedles of the session in their order, where they lie now; empty when no session is planned."""
        return self.session.needles(self.book)

    @property
    def sessionConflicts(self):
        """Pairs of needles of the session that stand too near to each other now, in words."""
        return self.session.conflicts(self.book)

    def isStale(self, parameterNode):
        """Whether limits, registration or anatomy have changed since the paths were evaluated."""
        if not self.book.entries or self._basis is None:
            return False
        if self._anatomyKey is not None and self._logic.knownAnatomy(parameterNode) is None:
            return True
        return self._basis != _plain(self._logic.planBasis(parameterNode))

    # --- planning

    def offer(self, parameterNode, plan):
        """Put the paths of a TrajectoryPlan into the book, in the place of older offered ones that aren't locked; returns the best.

        :raises ValueError: when the plan has neither a legal path nor a nearest one
        """
        from IntradiscalNavLib.Planning.TrajectoryBook import OFFERED

        reasons = tuple(plan.infeasible.values())
        message = "\n".join(reason.sentence for reason in reasons)
        offered = plan.best or tuple(reason.nearest for reason in reasons if reason.nearest is not None)
        if not offered:
            raise ValueError(message or _("No candidate reaches the target."))
        self._basis, self._anatomyKey = self._newBasis(parameterNode)
        self.contexts.take(plan.contexts.values())
        self.lastPlan, self.message = plan, message
        named = [dataclasses.replace(path, name=f"{path.name} {path.level} {path.side}") for path in offered]
        numbers = self.book.replaceOrigin(OFFERED, named)
        self._write(parameterNode, numbers[0])
        return self.book.entry(numbers[0]).trajectory

    def planSession(self, parameterNode):
        """Plan the disc and the facet joints L3-S1 on both sides in one go; returns the SessionPlan.

        :raises ValueError: when none of them can be planned, saying why
        """
        from IntradiscalNavLib.Planning.SessionPlan import SessionTarget, planSession
        from IntradiscalNavLib.Planning.TrajectoryBook import SESSION

        self._require(parameterNode, PathAction.Session)
        chosen = parameterNode.plan
        session = planSession(
            self._logic.anatomy(parameterNode),
            chosen.level.value,
            chosen.side.value,
            self._logic.planningParameters(parameterNode),
            keepOuts=self._logic.keepOuts(),
            registration=self._logic.registrationUncertainty(),
        )
        if not session.steps:
            raise ValueError("\n".join(f"{name}: {why}" for name, why in session.unplanned.items()))
        self._basis, self._anatomyKey = self._newBasis(parameterNode)
        self.contexts.take(context for plan in session.plans.values() for context in plan.contexts.values())
        paths = [dataclasses.replace(step.trajectory, name=f"{n} {step.target.name}") for n, step in enumerate(session.steps, start=1)]
        numbers = self.book.replaceOrigin(SESSION, paths)
        self.session = self.session.withPlan(session, numbers)
        disc = SessionTarget("disc", chosen.level.value, chosen.side.value)
        self.lastPlan, self.message = session.plans.get(disc.name), ""
        self._write(parameterNode, numbers[0])
        self._logic.log("PLAN", _("session: {count} needles").format(count=len(numbers)))
        return session

    def check(self, parameterNode):
        """Evaluate all paths anew with the limits, registration and anatomy of now; a path drawn by hand joins the book.

        :raises ValueError: when a path can't be evaluated, saying why
        """
        self._require(parameterNode, PathAction.Check)
        basis = self._newBasis(parameterNode)
        changed = {}
        for entry in self.book.entries:
            node = self.nodes.nodeOf(entry.number)
            ends = endsOf(node) if isLine(node) and not entry.locked else (entry.trajectory.entryRas, entry.trajectory.targetRas)
            changed[entry.number] = self._evaluated(parameterNode, entry.trajectory, *ends)
        if self.isDrawn(parameterNode.path):
            self._adopt(parameterNode)
        if changed:
            self.book.reevaluate(changed)
        (self._basis, self._anatomyKey), self.message = basis, ""
        self._write(parameterNode, self.selectedNumber(parameterNode))
        return self.shownTrajectory(parameterNode)

    def _adopt(self, parameterNode):
        """Take the drawn line into the book: a path to the chosen disc, from the side it enters on."""
        level = parameterNode.plan.level.value
        axes = self._logic.anatomy(parameterNode).disc(level).axes
        entryRas, targetRas = endsOf(parameterNode.path)
        side = "right" if (entryRas - axes.originRas) @ axes.right > 0 else "left"
        context = self.contexts.prepared(self._logic, parameterNode, "disc", level, side)
        number = self.book.add(evaluate(context, entryRas, targetRas, parameterNode.path.GetName() or _("own path"), True))
        self.nodes.adopt(number, parameterNode.path)

    def _evaluated(self, parameterNode, path, entryRas, targetRas):
        context = self.contexts.prepared(self._logic, parameterNode, path.kind, path.level, path.side)
        return evaluate(context, entryRas, targetRas, path.name, True)

    def _newBasis(self, parameterNode):
        """What numbers worked out from now on rest on; contexts that rest on something else are dropped."""
        self._logic.anatomy(parameterNode)  # may be worked out anew only here
        basis = _plain(self._logic.planBasis(parameterNode)), self._logic.anatomyKey
        if basis != (self._basis, self._anatomyKey):
            self.contexts.clear()
        return basis

    # --- the book

    def select(self, parameterNode, number):
        """Make a path of the book the `path`; returns its Trajectory.

        :raises ValueError: when there is none of that number
        """
        trajectory = self.book.entry(number).trajectory
        self._show(parameterNode, number)
        return trajectory

    def lock(self, parameterNode):
        """Lock the selected path against dragging, removal and being replaced by a new plan."""
        self._change(parameterNode, PathAction.Lock, lambda number: self.book.setLocked(number, True))

    def unlock(self, parameterNode):
        self._change(parameterNode, PathAction.Lock, lambda number: self.book.setLocked(number, False))

    def isLocked(self, parameterNode):
        entry = self.selectedEntry(parameterNode)
        return entry is not None and entry.locked

    def duplicate(self, parameterNode):
        """Copy the selected path and select the copy; returns its number."""
        self._require(parameterNode, PathAction.Duplicate)
        number = self.book.duplicate(self.selectedNumber(parameterNode))
        self._write(parameterNode, number)
        return number

    def rename(self, parameterNode, number, name):
        """Give a path another name.

        :raises ValueError: for an empty name or one that is taken
        """
        self.book.rename(number, name)
        self._write(parameterNode, self.selectedNumber(parameterNode))

    def remove(self, parameterNode):
        """Remove the selected path and select its neighbor."""
        self._change(parameterNode, PathAction.Remove, self.book.remove)

    def undo(self, parameterNode):
        """Take the last change of the paths back."""
        self._change(parameterNode, PathAction.Undo, lambda number: self.book.undo())

    def redo(self, parameterNode):
        """Do the change taken back last again."""
        self._change(parameterNode, PathAction.Redo, lambda number: self.book.redo())

    def _change(self, parameterNode, action, change):
        self._require(parameterNode, action)
        selected = self.selectedNumber(parameterNode)
        numbers = [entry.number for entry in self.book.entries]
        change(selected)
        after = [entry.number for entry in self.book.entries]
        if selected not in after:
            index = min(numbers.index(selected), len(after) - 1) if selected in numbers else 0
            selected = after[index] if after else None
        self._write(parameterNode, selected)

    # --- the scene

    def follow(self, parameterNode):
        """Take what has happened in the scene: it was loaded, or a line was deleted or renamed there."""
        if slicer.mrmlScene.IsBatchProcessing():
            return
        self._read(parameterNode)
        changed, selected = False, self.selectedNumber(parameterNode)
        for number in self.nodes.lostNumbers:
            entry = next((entry for entry in self.book.entries if entry.number == number), None)
            if entry is not None and not entry.locked:  # the line of a locked path comes back
                self.book.remove(number)
            changed = True
        for entry in self.book.entries:
            node = self.nodes.nodeOf(entry.number)
            if node is not None and node.GetName() not in ("", entry.name):
                taken = {other.name for other in self.book.entries}
                if node.GetName().strip() and node.GetName().strip() not in taken:
                    self.book.rename(entry.number, node.GetName())
                changed = True
            if node is not None and not self._shown[2] and bool(node.GetLocked()) != entry.locked:
                self.book.setLocked(entry.number, bool(node.GetLocked()))
                changed = True
        if changed:
            if parameterNode.path is None and self.book.entries:  # the active line was deleted
                numbers = [entry.number for entry in self.book.entries]
                selected = self._shown[0] if self._shown[0] in numbers else numbers[0]
            self._write(parameterNode, selected)
        elif self._shown != (self.selectedNumber(parameterNode), parameterNode.showAllPaths, self._logic.isGuiding):
            self._show(parameterNode, self.selectedNumber(parameterNode))

    def _read(self, parameterNode):
        """The book that a loaded scene brought, if it isn't the one we wrote."""
        stamp = stampOf(slicer.mrmlScene)
        if stamp == self._storedStamp:
            return
        if stamp is None:  # the scene was closed
            self.reset()
            return
        self._storedStamp = stamp
        try:
            stored = PathDocument.read(slicer.mrmlScene)
        except ValueError as error:
            self.message = _("The paths of this scene can't be read: {reason}").format(reason=error)
            return
        self.nodes.reset()
        self.contexts.clear()
        self.book, self.session, self.lastPlan = stored.book, stored.session, None
        self.message, self._basis, self._anatomyKey = stored.message, stored.basis, None
        self.nodes.takeFromScene()
        self._show(parameterNode, self.selectedNumber(parameterNode))

    def _write(self, parameterNode, selected):
        """Bring lines and document of the scene up to the book."""
        self._store()
        self._show(parameterNode, selected)

    def _store(self):
        self._storedStamp = PathDocument(self.book, self.session, self.message, self._basis).store(slicer.mrmlScene)

    def _show(self, parameterNode, selected):
        # The views of the guidance show the needle's own path alone, and no slip of the mouse moves it.
        guiding = self._logic.isGuiding
        self._shown = (selected, parameterNode.showAllPaths, guiding)
        self.nodes.show(self.book.entries, selected, parameterNode.showAllPaths and not guiding, guiding)
        markNeedles(self.nodes, self.book.entries, selected, self.sessionSteps)
        node = self.nodes.nodeOf(selected)
        if node is not None and parameterNode.path is not node:
            parameterNode.path = node

    # --- a line is moved

    def _lineMoved(self, number):
        entry = self.book.entry(number)
        node = self.nodes.nodeOf(number)
        if shows(node, entry.trajectory):
            return
        context = self.contexts.known(entry.trajectory.kind, entry.trajectory.level, entry.trajectory.side)
        isDragged = self.nodes.draggedNumber == number
        try:
            if context is None:
                raise ValueError(_("The path was moved: press Check to have its limits checked."))
            trajectory = evaluate(context, *endsOf(node), entry.name, not isDragged)
            self.book.drag(number, trajectory)
        except ValueError as error:
            self.message = str(error)
            self.nodes.colorOne(number, UNCHECKED_COLOR)
        else:
            self.message = ""
            self.nodes.colorOne(number, statusColor(trajectory))
            if not isDragged:
                self.book.endDrag()
                self._store()
        self._tellMoved(number)

    def _lineReleased(self, number):
        """The drag is over: one step of undo; the path at rest is looked up in the segmentation's own resolution."""
        entry = self.book.entry(number)
        path = entry.trajectory
        context = self.contexts.known(path.kind, path.level, path.side)
        if context is not None and not path.rechecked and shows(self.nodes.nodeOf(number), path):
            rechecked = evaluate(context, path.entryRas, path.targetRas, path.name, True)
            self.book.drag(number, rechecked)
            self.nodes.colorOne(number, statusColor(rechecked))
        self.book.endDrag()
        self._store()
        self._tellMoved(number)

    def _tellMoved(self, number):
        if self.onMoved is not None:
            self.onMoved(number)


def _plain(values):
    """As it comes back from the scene."""
    return json.loads(json.dumps(values, default=lambda array: np.asarray(array).tolist()))
