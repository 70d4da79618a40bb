"""Checks that go on during the procedure: arch superimposition, drift of the reference, re-verification at a known point.

Their doubts stand beside the guidance numbers (``GuidanceSession.warnings``) and go to the log.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BoneSurfaceUltrasound import detectBoneSurface
from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, geometryFromCalibration
from FusionRegistrationLib.RegistrationDoubt import DoubtReason, RegistrationDoubt
from FusionRegistrationLib.RegistrationVerification import RegistrationVerification, verifyRegistration
from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints
from IntradiscalNavLib.Guidance.ArchSuperimposition import ArchCheck, ArchState, ArchSuperimposition
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.SessionState import SessionState
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundFrame


class ProcedureChecks:
    """The three checks of one session.

    :param surfaceDistance: signed distance from the CT's bone surface (``bone.table.distances``), or None without one.
    :param geometry: probe geometry for the bone detection; None takes a linear array over the whole calibrated picture.
    """

    def __init__(
        self,
        session: GuidanceSession,
        *,
        surfaceDistance: Callable[[FloatArray], npt.ArrayLike] | None = None,
        geometry: ProbeGeometry | None = None,
        doubt: RegistrationDoubt | None = None,
    ) -> None:
        self.session = session
        self.doubt = doubt or RegistrationDoubt()
        self.arch = None if surfaceDistance is None else ArchSuperimposition(surfaceDistance)
        self.geometry = geometry
        self.archCheck: ArchCheck | None = None
        self.verification: RegistrationVerification | None = None

    def registered(self) -> None:
        """A new registration holds from now: all doubt ends, its checks start anew."""
        self.doubt.start()
        self.archCheck = self.verification = None
        if self.arch is not None:
            self.arch.clear()
        self._publish()

    def addReference(self, timeSec: float, referenceToTracker: npt.ArrayLike, valid: bool = True) -> tuple[DoubtReason, ...]:
        """Take a pose of the patient's reference; new reasons for doubt are noted and shown."""
        reasons = self.doubt.addReference(timeSec, referenceToTracker, valid)
        for reason in reasons:
            self.session.note(timeSec, "check", reason.message, cause=reason.cause.value, amount=float(reason.amount))
        if reasons:
            self._publish()
        return reasons

    def checkArch(self, state: SessionState) -> ArchCheck | None:
        """Compare the bone in the live picture with the CT's. Takes some 20 ms: call it about twice a second, not at every tick.

        :returns: None without a live picture or without the CT's surface.
        """
        if self.arch is None or state.frame is None or not state.frameLive:
            return None
        detection = detectBoneSurface(state.frame.pixels, self._geometryOf(state.frame))
        columnsRows = detection.pixels
        points = transformPoints(state.frame.imageToRas, np.column_stack([columnsRows, np.zeros(len(columnsRows))]))
        before = self.arch.state
        check = self.arch.add(points, state.timeSec)
        self.archCheck = check
        if check.state is not before:
            values = {"medianMm": check.medianMm, "biasMm": check.biasMm, "withinGoodShare": check.withinGoodShare}
            self.session.note(state.timeSec, "check", f"arch superimposition {before.value} -> {check.state.value}", **values)
        self._publish()
        return check

    def _geometryOf(self, frame: UltrasoundFrame) -> ProbeGeometry:
        rows, columns = frame.pixels.shape
        known = self.geometry
        if known is None or (known.rows, known.columns) != (rows, columns):
            # Only the pixels' size is taken from the matrix, so its pose doesn't matter.
            self.geometry = known = geometryFromCalibration(columns, rows, frame.imageToRas)
        return known

    def verify(
        self, timeSec: float, referenceToRas: npt.ArrayLike, touchedInReference: npt.ArrayLike, knownRas: npt.ArrayLike, name: str
    ) -> RegistrationVerification:
        """Touch a known point again; when it passes, the doubt about the reference is settled.

        :param touchedInReference: stylus or needle tip in Reference (3,). :param knownRas: where the CT says the point is (3,).
        :raises ValueError: for points that aren't finite or a transform that isn't rigid.
        """
        result = verifyRegistration(referenceToRas, np.reshape(touchedInReference, (1, 3)), np.reshape(knownRas, (1, 3)), names=(name,))
        self.verification = result
        self.session.note(timeSec, "check", result.message, errorMm=float(result.maxMm), limitMm=result.limitMm, point=name)
        if result.passed:
            self.doubt.confirm(timeSec, result.message)
        self._publish()
        return result

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that stand beside the numbers as long as a doubt lasts."""
        messages = list(self.doubt.messages)
        if self.archCheck is not None and self.archCheck.state is ArchState.DOUBTFUL:
            messages.append(self.archCheck.message)
        if self.verification is not None and not self.verification.passed:
            messages.append(self.verification.message)
        return tuple(messages)

    def _publish(self) -> None:
        self.session.warnings = self.warnings
