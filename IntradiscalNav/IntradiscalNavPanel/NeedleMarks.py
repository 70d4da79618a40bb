"""Which paths of the book are paths of needles: one for each target, so that the guidance never offers two ways to the same place."""

from .NeedlePaths import LENGTH_ATTRIBUTE, NAME_ATTRIBUTE, PATH_ATTRIBUTE

OURS_ATTRIBUTE = "IntradiscalNav.NeedleMark"
"""Tells our marks from those that somebody else has set; others' stay as they are."""


def targetNameOf(trajectory):
    """Name of a path's target: "disc L4-L5", "facet L4-L5 left"."""
    return f"{trajectory.kind} {trajectory.level}" + ("" if trajectory.kind == "disc" else f" {trajectory.side}")


def markNeedles(nodes, entries, selectedNumber, needles):
    """Mark the lines of the chosen paths as paths of needles, and take our marks from the others.

    The path to a target is the active one; else the one that was it before; else that of the session.

    :param nodes: PathNodes with a line for each entry
    :param needles: SessionNeedles of the book
    """
    steps = {needle.number: needle for needle in needles}
    chosen, best = {}, {}
    for entry in entries:
        isMarked = nodes.nodeOf(entry.number).GetAttribute(OURS_ATTRIBUTE) is not None
        rank = 3 if entry.number == selectedNumber else 2 if isMarked else 1 if entry.number in steps else 0
        target = targetNameOf(entry.trajectory)
        if rank > best.get(target, 0):
            chosen[target], best[target] = entry.number, rank
    for entry in entries:
        node, target = nodes.nodeOf(entry.number), targetNameOf(entry.trajectory)
        isOurs = node.GetAttribute(OURS_ATTRIBUTE) is not None
        if not isOurs and node.GetAttribute(PATH_ATTRIBUTE) is not None:
            continue
        if chosen.get(target) == entry.number:
            step, path = steps.get(entry.number), entry.trajectory
            _set(node, OURS_ATTRIBUTE, "1")
            _set(node, PATH_ATTRIBUTE, target)
            _set(node, NAME_ATTRIBUTE, f"{path.level} {path.side}" if path.kind == "disc" else target)
            _set(node, LENGTH_ATTRIBUTE, None if step is None else f"{step.needleLengthMm:g}")
        elif isOurs:
            for name in (OURS_ATTRIBUTE, PATH_ATTRIBUTE, NAME_ATTRIBUTE, LENGTH_ATTRIBUTE):
                _set(node, name, None)


def _set(node, name, value):
    if node.GetAttribute(name) != value:
        node.SetAttribute(name, value)
