"""A Markups line for each path of the book, kept equal to it; moving a line is told to whoever holds the book."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from .PathLine import isLine, shows
from .PathTexts import statusColor

PATH_ATTRIBUTE = "IntradiscalNav.Path"
OTHERS_OPACITY = 0.35
UNCHECKED_COLOR = (0.5, 0.5, 0.5)


class PathNodes:
    """The lines of a book in the scene, by the numbers of its paths.

    `moved(number)` is called whenever a line is moved by hand or script, `released(number)` when dragging it ends.
    """

    def __init__(self, moved, released):
        self._moved, self._released = moved, released
        self._nodes, self._tags = {}, {}
        self._writing = False
        self.draggedNumber = None
        """The path that is being dragged now."""

    def reset(self):
        """Let go of all lines; they stay in the scene."""
        for number in list(self._nodes):
            self._letGo(number)
        self.draggedNumber = None

    def nodeOf(self, number):
        """The line of a path, or None."""
        node = self._nodes.get(number)
        return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

    @staticmethod
    def numberOf(node):
        """Number of the path that a line belongs to, or None."""
        text = node.GetAttribute(PATH_ATTRIBUTE) if node is not None else None
        return int(text) if text else None

    @property
    def lostNumbers(self):
        """Paths whose line was deleted from the scene."""
        return tuple(number for number in self._nodes if self.nodeOf(number) is None)

    def adopt(self, number, node):
        """Make a line the line of a path."""
        node.SetAttribute(PATH_ATTRIBUTE, str(number))
        self._watch(number, node)

    def takeFromScene(self):
        """Find the lines of a scene that was loaded."""
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode"):
            number = self.numberOf(node)
            if number is not None and self._nodes.get(number) is not node:
                self._watch(number, node)

    def show(self, entries, selectedNumber, othersVisible=True, allLocked=False):
        """Make the lines equal to the entries of the book: place, name, lock, color; no other line of ours stays in the scene."""
        wanted = {entry.number for entry in entries}
        for number in [number for number in self._nodes if number not in wanted]:
            node = self.nodeOf(number)
            self._letGo(number)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        for entry in entries:
            self.showOne(entry, entry.number == selectedNumber, othersVisible, allLocked)

    def showOne(self, entry, isSelected, othersVisible, allLocked):
        """Make the line of one entry equal to it."""
        node = self.nodeOf(entry.number)
        self._writing = True
        try:
            if node is None:
                node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", entry.name)
                node.CreateDefaultDisplayNodes()
                self.adopt(entry.number, node)
            if node.GetName() != entry.name:
                node.SetName(entry.name)
            if not shows(node, entry.trajectory):
                points = np.array([entry.trajectory.entryRas, entry.trajectory.targetRas])
                slicer.util.updateMarkupsControlPointsFromArray(node, points, world=True)
            for index, label in enumerate((_("Entry"), _("Target"))):
                if node.GetNthControlPointLabel(index) != label:
                    node.SetNthControlPointLabel(index, label)
            node.SetLocked(entry.locked or allLocked)
            self._decorate(node, statusColor(entry.trajectory), isSelected, othersVisible)
        finally:
            self._writing = False

    def colorOne(self, number, color):
        """Color of a line that is being dragged."""
        node = self.nodeOf(number)
        if node is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetSelectedColor(*color)

    @staticmethod
    def _decorate(node, color, isSelected, othersVisible):
        display = node.GetDisplayNode()
        if display is None:
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
        modifying = display.StartModify()
        display.SetPropertiesLabelVisibility(False)  # it would lie over the numbers
        display.SetSelectedColor(*color)
        display.SetPointLabelsVisibility(isSelected)
        display.SetOpacity(1.0 if isSelected else OTHERS_OPACITY)
        display.SetVisibility(isSelected or othersVisible)
        display.EndModify(modifying)

    def _watch(self, number, node):
        from slicer import vtkMRMLMarkupsNode

        self._letGo(number)
        self._nodes[number] = node
        self._tags[number] = [
            node.AddObserver(vtkMRMLMarkupsNode.PointModifiedEvent, lambda *_caller: self._onModified(number)),
            node.AddObserver(vtkMRMLMarkupsNode.PointStartInteractionEvent, lambda *_caller: self._onStart(number)),
            node.AddObserver(vtkMRMLMarkupsNode.PointEndInteractionEvent, lambda *_caller: self._onEnd(number)),
        ]

    def _letGo(self, number):
        node = self._nodes.pop(number, None)
        for tag in self._tags.pop(number, ()):
            node.RemoveObserver(tag)

    def _onStart(self, number):
        self.draggedNumber = number

    def _onModified(self, number):
        if not self._writing and isLine(self.nodeOf(number)):
            self._moved(number)

    def _onEnd(self, number):
        self.draggedNumber = None
        self._released(number)
