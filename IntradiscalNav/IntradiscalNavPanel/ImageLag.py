"""Measures how much later the pictures are stamped than the poses that belong to them, from an in-and-out motion of the probe."""

import enum

import numpy as np
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner

LONGEST_SEC = 60.0
PROBE = "ProbeTo"


class LagAction(enum.Enum):
    """What the panel's button and a script can ask for; the value is the name of the method."""

    Measure = "start"


class ImageLag(ActionOwner):
    """`start`, move the probe up and down over a flat echo for ten seconds, `finish`. `text` tells where it stands."""

    def __init__(self, logic):
        self._logic = logic
        self.isMeasuring = False
        self.text = ""
        self._clear()

    def _clear(self):
        self._imageTimes, self._profiles, self._poseTimes, self._positions = [], [], [], []

    def whyNot(self, parameterNode, action):
        """Why it can't be measured now; empty if it can."""
        return "" if self._logic.isConnecting else _("Connect first: pictures and poses of the probe are needed.")

    def start(self, parameterNode):
        """Begin to collect."""
        self._require(parameterNode, LagAction.Measure)
        self._clear()
        self.isMeasuring = True
        self.text = _("Move the probe up and down over a flat echo for ten seconds, then press again.")

    def take(self, connection):
        """Take what arrived in this turn."""
        if not self.isMeasuring or connection.live is None:
            return
        self.add(connection.live.lastMessages)
        if self._poseTimes and self._poseTimes[-1] - self._poseTimes[0] > LONGEST_SEC:
            self.isMeasuring = False
            self._clear()
            self.text = _("Stopped: nobody ended the measurement within a minute.")

    def add(self, messages):
        """Take messages, oldest first: poses of the probe, and of each picture the brightness of its rows."""
        from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage

        for message in messages:
            if message.timestampSec <= 0:
                continue
            if isinstance(message, TransformMessage) and message.deviceName.startswith(PROBE) and message.transformStatus in ("", "OK"):
                if not self._poseTimes or message.timestampSec > self._poseTimes[-1]:
                    self._poseTimes.append(message.timestampSec)
                    self._positions.append(np.array(message.matrix[:3, 3], float))
            elif isinstance(message, ImageMessage) and message.isWhole and message.voxels.ndim == 3:
                profile = message.voxels[0].mean(axis=1)
                sameSize = not self._profiles or len(self._profiles[-1]) == len(profile)
                if sameSize and (not self._imageTimes or message.timestampSec > self._imageTimes[-1]):
                    self._imageTimes.append(message.timestampSec)
                    self._profiles.append(profile)

    def finish(self):
        """End the measurement; returns the TemporalCalibration and tells it in `text`.

        :raises ValueError: when the motion can't tell the lag, with what to do differently
        """
        from IntradiscalNavLib.Streaming.TemporalCalibration import calibrateTime, echoDepths

        self.isMeasuring = False
        collected = self._imageTimes, self._profiles, self._poseTimes, self._positions
        self._clear()
        imageTimes, profiles, poseTimes, positions = collected
        self.text = ""
        if not profiles or not poseTimes:
            raise ValueError(_("No pictures or no poses with timestamps arrived: the lag can't be measured."))
        depths = echoDepths(np.array(profiles)[:, :, None])
        try:
            result = calibrateTime(imageTimes, depths, poseTimes, np.array(positions))
        except ValueError as error:
            self.text = str(error)
            raise
        text = _("Pictures lag {lag:.0f} ± {error:.0f} ms behind the poses: set LocalTimeOffsetSec of the video device to {offset:+.3f}.")
        told = text.format(lag=1000 * result.imageLagSec, error=2000 * result.standardErrorSec, offset=-result.imageLagSec)
        self.text = " ".join([told, *result.warnings])
        self._logic.log("REMARK", "image lag measured", imageLagSec=round(result.imageLagSec, 4), correlation=round(result.correlation, 3))
        return result
