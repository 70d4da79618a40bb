"""Reads the sequences of a saved scene back as records: ours, and those that SlicerIGT or plain Slicer recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.SequenceExport import VALIDITY_NAME


def sequenceBrowsers(scene: Any) -> list[Any]:
    """Browser nodes that hold at least one transform or volume sequence."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers = [scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode") for index in range(count)]
    return [browser for browser in browsers if any(_kindOf(sequence) for _, sequence in _sequencesOf(browser))]


def readSequences(browser: Any, withPixels: bool = False) -> Iterator[PoseRecord | ImageRecord]:
    """Records of a browser, ordered by time; times count from the first sample.

    Streams are named by their proxy node: after a reload the sequence nodes themselves carry other names. Images are only
    counted (empty pixels) unless ``withPixels``.
    """
    streams = [(name, sequence) for name, sequence in _sequencesOf(browser) if _kindOf(sequence)]
    validity = _validity(browser)
    entries = []
    for name, sequence in streams:
        for index in range(sequence.GetNumberOfDataNodes()):
            try:
                timeSec = float(sequence.GetNthIndexValue(index))
            except ValueError:
                continue
            entries.append((timeSec, name, sequence, index))
    if not entries:
        return
    entries.sort(key=lambda entry: (entry[0], entry[1]))
    start = entries[0][0]
    for timeSec, name, sequence, index in entries:
        node = sequence.GetNthDataNode(index)
        timeNs = round((timeSec - start) * 1e9)
        state = PoseValidity[validity.at(timeSec).get(name, "UNKNOWN")]
        if _kindOf(sequence) == "pose":
            yield PoseRecord(name, timeNs, 0.0, _transformMatrix(node), state)
        else:
            pixels = _pixels(node) if withPixels else np.zeros((0, 0, 0), np.uint8)
            yield ImageRecord(name, timeNs, 0.0, pixels, _volumeMatrix(node), state)


class _Validity:
    """Changes of validity over time, as exported with our own recordings; empty for those of other tools."""

    def __init__(self, changes: list[tuple[float, dict[str, str]]]) -> None:
        self._times = np.array([time for time, _ in changes])
        self._states = [states for _, states in changes]

    def at(self, timeSec: float) -> dict[str, str]:
        index = int(np.searchsorted(self._times, timeSec + 5e-4, side="right")) - 1
        return self._states[index] if index >= 0 else {}


def _sequencesOf(browser: Any) -> list[tuple[str, Any]]:
    import vtk

    collection = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(collection, True)
    result = []
    for index in range(collection.GetNumberOfItems()):
        sequence = collection.GetItemAsObject(index)
        proxy = browser.GetProxyNode(sequence)
        result.append((proxy.GetName() if proxy is not None else sequence.GetName(), sequence))
    return result


def _kindOf(sequence: Any) -> str:
    first = sequence.GetNthDataNode(0) if sequence.GetNumberOfDataNodes() else None
    if first is None:
        return ""
    if first.IsA("vtkMRMLLinearTransformNode"):
        return "pose"
    return "image" if first.IsA("vtkMRMLVolumeNode") else ""


def _validity(browser: Any) -> _Validity:
    for name, sequence in _sequencesOf(browser):
        if name == VALIDITY_NAME:
            changes = []
            for index in range(sequence.GetNumberOfDataNodes()):
                changes.append((float(sequence.GetNthIndexValue(index)), json.loads(sequence.GetNthDataNode(index).GetText())))
            return _Validity(changes)
    return _Validity([])


def _array(matrix: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _transformMatrix(node: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToParent(matrix)
    return _array(matrix)


def _volumeMatrix(node: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return _array(matrix)


def _pixels(node: Any) -> np.ndarray[Any, Any]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    image = node.GetImageData()
    if image is None:
        return np.zeros((0, 0, 0), np.uint8)
    columns, rows, slices = image.GetDimensions()
    return np.array(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(slices, rows, columns, -1)[..., 0])
