"""What evaluating a dragged path needs, prepared once for each target and side and kept while the limits hold."""

MAX_KEPT = 8
"""A disc and six facet joints, and one to spare; each takes some 25 MB."""


class PlanContexts:
    """PlanContexts by target; the oldest is dropped when there are too many."""

    def __init__(self):
        self.clear()

    def clear(self):
        self._contexts = {}

    def take(self, contexts):
        """Keep contexts that planning has prepared."""
        for context in contexts:
            self._contexts.pop((context.kind, context.level, context.side), None)
            self._contexts[(context.kind, context.level, context.side)] = context
        for key in list(self._contexts)[:-MAX_KEPT]:
            del self._contexts[key]

    def known(self, kind, level, side):
        """The context of a target if it is at hand, else None; takes no time."""
        return self._contexts.get((kind, level, side))

    def prepared(self, logic, parameterNode, kind, level, side):
        """The context of a target, prepared now if need be (some 0.4 s).

        :raises ValueError: when the anatomy or the target isn't there
        """
        from IntradiscalNavLib.Planning.PlanContext import preparePlan

        found = self.known(kind, level, side)
        if found is None:
            found = preparePlan(
                logic.anatomy(parameterNode),
                level,
                side,
                logic.planningParameters(parameterNode),
                kind=kind,
                keepOuts=logic.keepOuts(),
                registration=logic.registrationUncertainty(),
            )
            self.take([found])
        return found


def evaluate(context, entryRas, targetRas, name, isAtRest):
    """Trajectory of a path; one at rest is evaluated to the full, one in motion as fast as it moves.

    :raises ValueError: when entry and target coincide
    """
    from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory, recheckTrajectory

    if not isAtRest:
        return evaluateTrajectory(context, entryRas, targetRas, name=name)
    path = evaluateTrajectory(context, entryRas, targetRas, name=name, draws=context.parameters.violationDraws)
    return recheckTrajectory(context, path)
