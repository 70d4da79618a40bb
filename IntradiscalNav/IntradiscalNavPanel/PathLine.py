"""A path as a Markups line: entry first, then target."""

import numpy as np
import slicer

SAME_POINT_MM = 0.05
"""Ends of paths that lie nearer than this are the same."""


def isLine(node):
    """Whether a node is a line with both its ends placed."""
    return node is not None and node.GetNumberOfDefinedControlPoints() >= 2


def endsOf(node):
    """(2, 3) RAS mm of a line: entry and target."""
    return slicer.util.arrayFromMarkupsControlPoints(node, world=True)[:2]


def areSamePlaces(ends, others):
    """Whether two paths, each given as (2, 3) RAS mm, have the same ends."""
    return bool(np.abs(np.subtract(ends, others)).max() < SAME_POINT_MM)


def shows(node, trajectory):
    """Whether a line lies where a Trajectory does."""
    return isLine(node) and areSamePlaces(endsOf(node), [trajectory.entryRas, trajectory.targetRas])
