"""Puts a recording of the case folder into the scene's sequences, with the time line that belongs to them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from IntradiscalNavLib.Recording.ProcedureTimeline import timelineDocument
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure, takeApart
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Recording.SequenceExport import SequenceExport, SequenceSpan, exportToSequences

FILLED_ATTRIBUTE = "IntradiscalNav.Recording"
"""Of the browser node: name of the recording's folder that it was filled from."""
QUIET_ATTRIBUTE = "IntradiscalNav.ReplayWhenSaved"
"""Of the browser node: it doesn't move its nodes in this session, because the stream does; in the saved scene it does."""


def fillSequences(
    scene: Any,
    folder: pathlib.Path,
    chooseSpan: Callable[[RecordedProcedure], SequenceSpan | None] | None = None,
    *,
    isStreaming: bool = False,
) -> SequenceExport | None:
    """Fill the scene's sequences from a recording; those that were filled before are replaced.

    :param chooseSpan: which part (default: `guidedSpan`); where it gives None the scene carries no recording, and the result is None.
    :param isStreaming: a stream writes the same nodes now: the sequences then never move them in this session.
    :raises FileNotFoundError: without a recording in the folder. :raises ValueError: when the span holds nothing.
    """
    recorded = takeApart(RecordingReader(folder, withPixels=False))
    chosen = (chooseSpan or guidedSpan)(recorded)
    older = filledBrowsers(scene)
    if chosen is None:
        for browser in older:
            _remove(scene, browser)
        return None
    export = exportToSequences(scene, RecordingReader(folder), chosen, movesNodes=not isStreaming)
    export.browserNode.SetAttribute(FILLED_ATTRIBUTE, folder.name)
    if isStreaming:
        export.browserNode.SetAttribute(QUIET_ATTRIBUTE, "1")
    for browser in older:
        _remove(scene, browser)
    storeDocument(scene, DocumentRole.TIMELINE, timelineDocument(recorded, export.startSec, chosen.endSec))
    return export


def guidedSpan(recorded: RecordedProcedure, maximumRateHz: float = 0.0) -> SequenceSpan:
    """From the first to the last displayed guidance; everything where nothing was guided."""
    if not recorded.guidance:
        return SequenceSpan(maximumRateHz=maximumRateHz)
    return SequenceSpan(recorded.guidance[0].timeSec, recorded.guidance[-1].timeSec, maximumRateHz)


def filledBrowsers(scene: Any) -> list[Any]:
    """Browser nodes that `fillSequences` has made."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers = [scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode") for index in range(count)]
    return [browser for browser in browsers if browser.GetAttribute(FILLED_ATTRIBUTE)]


@contextmanager
def replayingWhenSaved(scene: Any) -> Iterator[None]:
    """While the scene is written, quiet browsers are stored as ones that replay; the nodes of this session are not moved."""
    quiet = [browser for browser in filledBrowsers(scene) if browser.GetAttribute(QUIET_ATTRIBUTE)]
    for browser in quiet:
        # Without its event, so that nobody moves the streamed nodes now.
        browser.SetDisableModifiedEvent(1)
        setMoves(browser, True)
        browser.RemoveAttribute(QUIET_ATTRIBUTE)
    try:
        yield
    finally:
        for browser in quiet:
            browser.SetAttribute(QUIET_ATTRIBUTE, "1")
            setMoves(browser, False)
            browser.SetDisableModifiedEvent(0)


def setMoves(browser: Any, moves: bool) -> None:
    """Whether a browser moves the nodes of its sequences."""
    for sequence in _sequencesOf(browser):
        browser.SetPlayback(sequence, moves)


def _sequencesOf(browser: Any) -> list[Any]:
    import vtk

    collection = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(collection, True)
    return [collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())]


def _remove(scene: Any, browser: Any) -> None:
    sequences = _sequencesOf(browser)
    scene.RemoveNode(browser)
    for sequence in sequences:
        scene.RemoveNode(sequence)
