"""A DICOM storage receiver that counts CT passes as the scanner sends them (headless; inside Slicer its own listener does this).

Needs pynetdicom, which Slicer doesn't ship: imported on start only. A file is acknowledged after it is written (where a folder is given)
and its header is taken up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .DicomHeader import DamagedDicom, readHeaderBytes
from .DoseReport import SR_CLASS_PREFIX, NotADoseReport, doseReportFrom
from .LivePasses import LivePasses, LiveReporter, LiveState

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000


class DicomListener:
    """Storage SCP with C-ECHO. Use as a context manager, or start() and stop().

    port 0 takes a free one (see `port` after start). folder: where received files are kept, None to count only. onState is called from a
    thread of its own. Raises RuntimeError on start when pynetdicom is missing or the port is taken.
    """

    def __init__(
        self,
        passes: LivePasses | None = None,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
        aeTitle: str = "INTRADISCAL",
        folder: str | Path | None = None,
        onState: Callable[[LiveState], None] | None = None,
    ) -> None:
        self.passes = passes or LivePasses()
        self.address = address
        self.aeTitle = aeTitle
        self.folder = None if folder is None else Path(folder)
        self.port = port
        self.refused: list[str] = []
        self._onState = onState
        self._reporter: LiveReporter | None = None
        self._server: Any = None
        self._number = 0

    def start(self) -> None:
        try:
            from pydicom.uid import AllTransferSyntaxes
            from pynetdicom import AE, AllStoragePresentationContexts, evt
        except ImportError as error:
            raise RuntimeError(
                _("The DICOM listener needs pynetdicom ('pip install pynetdicom'); inside Slicer use its DICOM listener")
            ) from error
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=self.aeTitle)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
        entity.add_supported_context("1.2.840.10008.1.1")
        entity.maximum_pdu_size = 0
        if self._onState is not None:
            self._reporter = LiveReporter(self.passes, self._onState)
        try:
            self._server = entity.start_server((self.address, self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        except OSError as error:
            self._stopReporter()
            raise RuntimeError(
                _("The DICOM listener can't use {address}:{port}: {error}; choose another port").format(
                    address=self.address, port=self.port, error=error
                )
            ) from error
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None
        self._stopReporter()

    def _stopReporter(self) -> None:
        if self._reporter is not None:
            self._reporter.stop()
            self._reporter = None

    def _store(self, event: Any) -> int:
        """Handle one C-STORE; the status tells the sender whether it was taken."""
        name = f"received {event.request.AffectedSOPInstanceUID}"
        try:
            data = event.encoded_dataset()
            if self.folder is not None:
                name = str(self._keep(data))
        except OSError as error:
            self.refused.append(f"{name}: {error}")
            return OUT_OF_RESOURCES
        try:
            header = readHeaderBytes(data, name)
            if header.sopClassUid.startswith(SR_CLASS_PREFIX):
                self._takeReport(event, name)
            else:
                self.passes.addHeader(header)
        except DamagedDicom as error:
            self.refused.append(str(error))
            return CANNOT_UNDERSTAND
        if self._reporter is not None:
            self._reporter.notify()
        return SUCCESS

    def _takeReport(self, event: Any, name: str) -> None:
        """Other structured reports are received and left alone; a damaged one is refused."""
        try:
            self.passes.addReport(doseReportFrom(event.dataset, name))
        except NotADoseReport as error:
            self.refused.append(str(error))
        except ValueError as error:
            raise DamagedDicom(f"{name}: {error}") from error

    def _keep(self, data: bytes) -> Path:
        """Write a received file under a plain number (its UID would be an identifier), synced before it is acknowledged."""
        assert self.folder is not None
        while True:
            self._number += 1
            path = self.folder / f"{self._number:06d}.dcm"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
                break
            except FileExistsError:
                continue
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def __enter__(self) -> DicomListener:
        self.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stop()
