"""Copies of what is new about a running procedure, made by themselves."""

import threading
import time

from .SceneStore import procedureDocuments


class AutomaticCopies:
    """Copies the documents of a running procedure to the case folder, every minute or as chosen.

    The scene itself isn't copied: with a CT it takes seconds, and the needle must not wait. What streams in is on the disk within half
    a second; the CT does not change. The file is written in a thread of its own, so that a slow disk doesn't hold up the tick.
    """

    def __init__(self):
        self.problem = ""
        self.lastPath = None
        self._lastSec = float("-inf")
        self._lastText = None
        self._thread = None

    def tick(self, logic, parameterNode, case, nowSec):
        """Copy when it is time and something is new."""
        if nowSec - self._lastSec >= parameterNode.keeping.autosaveSec and not self.isWriting:
            self._lastSec = nowSec
            self.start(logic, parameterNode, case)

    @property
    def isWriting(self):
        return self._thread is not None and self._thread.is_alive()

    def start(self, logic, parameterNode, case):
        """Begin to copy in the background; nothing where nothing is new."""
        from IntradiscalNavLib.Recording.DocumentCopies import encodeDocuments

        try:
            text = encodeDocuments(procedureDocuments(logic, parameterNode))
        except ValueError as error:
            self.problem = str(error)
            return
        if text != self._lastText:
            self._thread = threading.Thread(target=self._write, args=(case, text), name="AutomaticCopy")
            self._thread.start()

    def finish(self, logic, parameterNode, case):
        """Copy what is new now, and wait until it is on the disk (at the end of a procedure)."""
        self.wait()
        self.start(logic, parameterNode, case)
        self.wait()
        self._lastSec = time.monotonic()

    def wait(self):
        if self._thread is not None:
            self._thread.join()

    def _write(self, case, text):
        from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies

        try:
            self.lastPath = DocumentCopies(case).write(text)
        except OSError as error:
            self.problem = str(error)
        else:
            self.problem, self._lastText = "", text
