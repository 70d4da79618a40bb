"""Fills Slicer Sequences from a raw recording, so that plain Slicer replays it.

The raw recording keeps full time stamps; Slicer's sequence files round the index of transforms to a millisecond, so the
index here is whole milliseconds of the recording's clock (seconds with three decimals). Samples that would fall on the
same millisecond are moved to the next free one instead of overwriting each other; how many is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, Record
from TranslatedText.Translation import tr as _

VALIDITY_NAME = "PoseValidity"
"""Text node and sequence that tell which poses were invalid: ``{"NeedleToReference": "INVALID"}``. Slicer's transform sequences
keep neither attributes nor status (each frame is written as OK), so an invalid pose would come back as a good one."""


VALIDITY_ATTRIBUTE = "IntradiscalNav.PoseValidity"


@dataclass(frozen=True)
class SequenceSpan:
    """Which part to export. ``maximumRateHz`` thins each stream out (0: every sample); its last sample is always kept."""

    startSec: float = 0.0
    endSec: float = float("inf")
    maximumRateHz: float = 0.0


@dataclass(frozen=True)
class SequenceExport:
    """The browser node made, and what was done to the samples."""

    browserNode: Any
    samples: dict[str, int]
    movedToNextMillisecond: int
    thinnedOut: int
    startSec: float = 0.0
    """Time of the first sample, seconds since the start of the recording."""


def exportToSequences(
    scene: Any,
    records: Iterable[Record],
    span: SequenceSpan | None = None,
    browserName: str = "Recording",
    parentOf: dict[str, str] | None = None,
    movesNodes: bool = True,
) -> SequenceExport:
    """Make a sequence browser with one sequence and one proxy node per stream.

    :param parentOf: name of the parent transform per stream, e.g. ``{"ProbeToReference": "ReferenceToRas"}``; found or made.
    :param movesNodes: False: the nodes of that name, which something else writes now, stay where they are until playback is switched on.
    :raises ValueError: when the span holds no pose and no image.
    """
    span = span or SequenceSpan()
    series: dict[str, _Series] = {}
    validity = _ValiditySeries(scene)
    for record in records:
        timeSec = record.timeNs / 1e9
        if not isinstance(record, PoseRecord | ImageRecord) or not span.startSec <= timeSec <= span.endSec:
            continue
        stream = series.get(record.streamName)
        if stream is None:
            stream = series[record.streamName] = _Series(scene, record, span.maximumRateHz)
        stream.add(record)
        validity.add(record)
    for stream in series.values():
        stream.finish()
    if not series:
        scene.RemoveNode(validity.sequence)
        raise ValueError(
            _("The recording holds no pose and no image between {startSec:g} and {endSec:g} s.").format(
                startSec=span.startSec, endSec=span.endSec
            )
        )
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", scene.GenerateUniqueName(browserName))
    # The densest stream leads: replay steps through its samples and shows the nearest of the others.
    ordered = sorted(series.values(), key=lambda item: -item.count)
    for position, stream in enumerate(ordered):
        if position == 0:
            browser.SetAndObserveMasterSequenceNodeID(stream.sequence.GetID())
        else:
            browser.AddSynchronizedSequenceNodeID(stream.sequence.GetID())
        # Before the node is tied to the sequence: from then on the browser moves it.
        browser.SetPlayback(stream.sequence, movesNodes)
        proxy = _proxyNode(scene, stream.template)
        browser.AddProxyNode(proxy, stream.sequence, False)
        # A replay must not write back into the recording, nor rename nodes that other parts of the scene refer to.
        browser.SetSaveChanges(stream.sequence, False)
        browser.SetOverwriteProxyName(stream.sequence, False)
        parentName = (parentOf or {}).get(stream.name)
        if parentName:
            parent = scene.GetFirstNode(parentName, "vtkMRMLLinearTransformNode") or scene.AddNewNodeByClass(
                "vtkMRMLLinearTransformNode", parentName
            )
            proxy.SetAndObserveTransformNodeID(parent.GetID())
    browser.AddSynchronizedSequenceNodeID(validity.sequence.GetID())
    browser.SetPlayback(validity.sequence, movesNodes)
    browser.AddProxyNode(_validityNode(scene), validity.sequence, False)
    browser.SetSaveChanges(validity.sequence, False)
    browser.SetSelectedItemNumber(0)
    return SequenceExport(
        browserNode=browser,
        samples={stream.name: stream.count for stream in series.values()},
        movedToNextMillisecond=sum(stream.moved for stream in series.values()),
        thinnedOut=sum(stream.thinned for stream in series.values()),
        startSec=min(stream.startSec for stream in series.values()),
    )


class _Series:
    """One stream on its way into a sequence node."""

    def __init__(self, scene: Any, first: PoseRecord | ImageRecord, maximumRateHz: float) -> None:
        self.name = first.streamName
        self.startSec = first.timeNs / 1e9
        self._intervalMs = 1000.0 / maximumRateHz if maximumRateHz > 0 else 0.0
        self._lastMs = -1
        self._nextDueMs = -1.0
        self._left: PoseRecord | ImageRecord | None = None
        self.count = self.moved = self.thinned = 0
        isImage = isinstance(first, ImageRecord)
        self.template = scene.CreateNodeByClass(_classOf(isImage))
        self.template.UnRegister(None)
        self.template.SetName(self.name)
        self.sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{self.name}-Sequence")
        self.sequence.SetIndexName("time")
        self.sequence.SetIndexUnit("s")
        self.sequence.SetIndexTypeFromString("numeric")
        # The default tolerance of a millisecond would let neighbours at 1 kHz overwrite each other.
        self.sequence.SetNumericIndexValueTolerance(0.0004)

    def add(self, record: PoseRecord | ImageRecord) -> None:
        millisecond = round(record.timeNs / 1e6)
        if self._intervalMs and millisecond < self._nextDueMs:
            self.thinned += 1
            self._left = record
            return
        self._left = None
        self._nextDueMs = millisecond + self._intervalMs
        if millisecond <= self._lastMs:
            millisecond = self._lastMs + 1
            self.moved += 1
        self._lastMs = millisecond
        if isinstance(record, ImageRecord):
            _setImage(self.template, record)
        else:
            _setMatrix(self.template, record.matrix)
        self.sequence.SetDataNodeAtValue(self.template, f"{millisecond / 1000:.3f}")
        self.count += 1

    def finish(self) -> None:
        """The last sample is kept whatever the rate: where the needle came to rest is what a procedure is measured by."""
        if self._left is not None:
            self._nextDueMs = -1.0
            self.thinned -= 1
            self.add(self._left)


def findValidityNode(scene: Any) -> Any:
    """The text node that a replay fills with the validity of the poses, or None; never a text of the user's that is named alike."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLTextNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLTextNode")
        if node.GetAttribute(VALIDITY_ATTRIBUTE):
            return node
    return None


def _validityNode(scene: Any) -> Any:
    node = findValidityNode(scene)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", VALIDITY_NAME)
        node.SetAttribute(VALIDITY_ATTRIBUTE, "replay")
    return node


class _ValiditySeries:
    """Changes of validity, one entry for each."""

    def __init__(self, scene: Any) -> None:
        self.template = scene.CreateNodeByClass("vtkMRMLTextNode")
        self.template.UnRegister(None)
        self.template.SetName(VALIDITY_NAME)
        self.sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{VALIDITY_NAME}-Sequence")
        self.sequence.SetIndexName("time")
        self.sequence.SetIndexUnit("s")
        self.sequence.SetIndexTypeFromString("numeric")
        self.sequence.SetNumericIndexValueTolerance(0.0004)
        self._known: dict[str, str] = {}

    def add(self, record: PoseRecord | ImageRecord) -> None:
        if self._known.get(record.streamName) == record.validity.name:
            return
        self._known[record.streamName] = record.validity.name
        self.template.SetText(json.dumps(self._known, sort_keys=True))
        self.sequence.SetDataNodeAtValue(self.template, f"{record.timeNs / 1e9:.3f}")


def _classOf(isImage: bool) -> str:
    return "vtkMRMLScalarVolumeNode" if isImage else "vtkMRMLLinearTransformNode"


def _proxyNode(scene: Any, template: Any) -> Any:
    """The scene's node of this name and class, or a new one: replay then moves what the views already show."""
    node = scene.GetFirstNode(template.GetName(), template.GetClassName())
    if node is None:
        node = scene.AddNewNodeByClass(template.GetClassName(), template.GetName())
        if node.IsA("vtkMRMLVolumeNode"):
            node.CreateDefaultDisplayNodes()
    return node


def _vtkMatrix(matrix: np.ndarray) -> Any:
    import vtk

    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, float).ravel())
    return result


def _setMatrix(node: Any, matrix: np.ndarray) -> None:
    node.SetMatrixTransformToParent(_vtkMatrix(matrix))


def _setImage(node: Any, record: ImageRecord) -> None:
    """A new vtkImageData each time: sequences keep a reference, so a reused one would make all frames equal."""
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    slices, rows, columns = record.pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, slices)
    image.GetPointData().SetScalars(numpy_to_vtk(np.array(record.pixels).ravel(), deep=True))
    node.SetIJKToRASMatrix(_vtkMatrix(record.imageToParent))
    node.SetAndObserveImageData(image)
