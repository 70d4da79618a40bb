"""What can be asked of the planned paths, and why it can't be done now."""

import enum

from slicer.i18n import tr as _


class PathAction(enum.Enum):
    """What the panel's buttons and a script can ask of PlannedPaths; the value is the name of its method."""

    Lock = "lock"
    Duplicate = "duplicate"
    Remove = "remove"
    Undo = "undo"
    Redo = "redo"
    Check = "check"
    Session = "planSession"


def whyNot(paths, parameterNode, action):
    """Why a PathAction can't be done now, in a sentence; empty if it can. `paths` is the PlannedPaths."""
    if action is PathAction.Undo:
        return "" if paths.book.canUndo else _("No step can be taken back.")
    if action is PathAction.Redo:
        return "" if paths.book.canRedo else _("No step was taken back.")
    if action is PathAction.Session:
        return paths.whyNotPlan(parameterNode)
    if action is PathAction.Check:
        if not paths.book.entries and not paths.isDrawn(parameterNode.path):
            return _("Plan or draw a path first.")
        return paths.whyNotPlan(parameterNode)
    entry = paths.selectedEntry(parameterNode)
    if entry is None:
        return _("Select a path in the table first.")
    if action is PathAction.Remove and entry.locked:
        return _("The path is locked: unlock it first.")
    return ""
