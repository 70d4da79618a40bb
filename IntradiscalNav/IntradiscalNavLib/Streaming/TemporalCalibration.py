"""Lag between the ultrasound image and the tracker, from a recorded in-and-out motion of the probe over a flat echo.

While the probe is moved up and down in a water bath (or on the skin above bone) two signals of the same motion are recorded: the tracked
position along its main direction, and the depth at which the echo stands in the picture. One is the other, shifted in time: the shift that
makes them agree best is the lag. The method is that of PLUS's temporal calibration (Lasso et al., IEEE TBME 2014, 61(10):2527).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

MIN_SAMPLES = 20
MIN_AMPLITUDE_MM = 3.0
MIN_CORRELATION = 0.9


class TemporalCalibrationError(ValueError):
    """The recording cannot tell the lag; the message says what to do differently."""


@dataclass(frozen=True, eq=False)
class TemporalCalibration:
    """Result.

    ``imageLagSec`` > 0: pictures are stamped that much later than the poses that belong to them; a picture of time t belongs to the pose
    of t - imageLagSec (in PLUS: LocalTimeOffsetSec of the video device is -imageLagSec). ``standardErrorSec`` is one sigma.
    ``correlation`` of the two signals at the best shift, ``amplitudeMm`` of the motion, ``cycles`` of in-out motion used.
    """

    imageLagSec: float
    standardErrorSec: float
    correlation: float
    amplitudeMm: float
    cycles: float
    warnings: tuple[str, ...]


def echoDepths(frames: npt.NDArray[Any]) -> FloatArray:
    """Depth of the echo in each picture, in rows, relative to the first (n,): shift of the row profile that fits best.

    :param frames: (n, rows, columns) pictures in which rows grow with depth.
    """
    profiles = np.asarray(frames, float).mean(axis=2)
    profiles -= profiles.mean(axis=1, keepdims=True)
    count, rows = profiles.shape
    size = 1 << (2 * rows - 1).bit_length()
    spectra = np.fft.rfft(profiles, size, axis=1)
    depths = np.zeros(count)
    for index in range(1, count):
        # Against the picture before: the echo changes its looks slowly, its place quickly.
        correlation = np.fft.irfft(spectra[index] * np.conj(spectra[index - 1]), size)
        correlation = np.concatenate([correlation[-(rows - 1) :], correlation[:rows]])
        depths[index] = depths[index - 1] + _peak(correlation) - (rows - 1)
    return depths


def calibrateTime(
    imageTimesSec: npt.ArrayLike,
    imageSignal: npt.ArrayLike,
    trackerTimesSec: npt.ArrayLike,
    trackerPositionsMm: npt.ArrayLike,
    maxLagSec: float = 0.5,
) -> TemporalCalibration:
    """Lag of the image behind the tracker.

    :param imageTimesSec: (n,) timestamps of the pictures; ``imageSignal`` (n,) depth of the echo, any unit and sign (``echoDepths``).
    :param trackerTimesSec: (m,) timestamps of the poses on the same clock; ``trackerPositionsMm`` (m, 3) of the probe.
    :raises TemporalCalibrationError: when the motion is too short, too small or not the same in both signals.
    """
    imageTimes, signal = np.asarray(imageTimesSec, float), np.asarray(imageSignal, float)
    times, positions = np.asarray(trackerTimesSec, float), np.asarray(trackerPositionsMm, float)
    if imageTimes.shape != signal.shape or positions.shape != (len(times), 3):
        raise ValueError(_("Give as many times as signal values, and (m, 3) positions for m times."))
    if not (np.isfinite(signal).all() and np.isfinite(positions).all() and np.isfinite(times).all() and np.isfinite(imageTimes).all()):
        raise ValueError(_("The signals hold NaN or infinite values; leave out the samples that are not valid."))
    if (np.diff(imageTimes) <= 0).any() or (np.diff(times) <= 0).any():
        raise TemporalCalibrationError(_("The timestamps do not grow: this sender's clock cannot be used to measure a lag."))
    inside = (imageTimes > times[0] + maxLagSec) & (imageTimes < times[-1] - maxLagSec) if len(times) else np.zeros(0, bool)
    if inside.sum() < MIN_SAMPLES:
        raise TemporalCalibrationError(
            _("Only {sum} pictures lie well within the tracked time; record ten seconds of up-and-down motion.").format(
                sum=int(inside.sum())
            )
        )
    centred = positions - positions.mean(axis=0)
    _unused, _unused, axes = np.linalg.svd(centred, full_matrices=False)
    motion = centred @ axes[0]
    amplitude = float(np.percentile(motion, 95) - np.percentile(motion, 5)) / 2.0
    if amplitude < MIN_AMPLITUDE_MM:
        raise TemporalCalibrationError(
            _("The probe moved only {amplitude:.1f} mm; move it up and down by a centimetre or more.").format(amplitude=amplitude)
        )
    imageTimes, signal = imageTimes[inside], signal[inside]
    lags = np.arange(-maxLagSec, maxLagSec + 1e-9, 0.002)
    scores = np.array([abs(_correlation(np.interp(imageTimes - lag, times, motion), signal)) for lag in lags])
    best = int(scores.argmax())
    if best in (0, len(lags) - 1):
        raise TemporalCalibrationError(
            _("No lag within {maxLagSec} s makes picture and motion agree; were both recorded together?").format(maxLagSec=maxLagSec)
        )
    lag = float(lags[0] + 0.002 * _peak(scores))
    shifted = np.interp(imageTimes - lag, times, motion)
    correlation = abs(_correlation(shifted, signal))
    if correlation < MIN_CORRELATION:
        raise TemporalCalibrationError(
            _(
                "The echo does not follow the probe (correlation {correlation:.2f}): use a flat bottom, the probe level, only up and down."
            ).format(correlation=correlation)
        )
    cycles = float(np.count_nonzero(np.diff(np.signbit(shifted - shifted.mean())))) / 2.0
    warnings = []
    if cycles < 3:
        warnings.append(_("Only {cycles:.1f} cycles of motion: five or more make the result trustworthy.").format(cycles=cycles))
    return TemporalCalibration(lag, _standardError(imageTimes, shifted, signal), correlation, amplitude, cycles, tuple(warnings))


def _standardError(times: FloatArray, shifted: FloatArray, signal: FloatArray) -> float:
    """One sigma of the lag: residual of the fit over the speed of the motion; correlated residuals count as fewer samples."""
    slope, offset = np.polyfit(shifted, signal, 1)
    residual = signal - slope * shifted - offset
    speed = slope * np.gradient(shifted, times)
    power = float(residual @ residual)
    if power == 0.0:
        return 0.0
    neighbour = min(max(float(residual[1:] @ residual[:-1]) / power, 0.0), 0.98)
    inflation = (1.0 + neighbour) / (1.0 - neighbour)
    return float(np.sqrt(power / (len(times) - 3) * inflation / float(speed @ speed)))


def _correlation(first: FloatArray, second: FloatArray) -> float:
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _peak(values: FloatArray) -> float:
    """Index of the maximum, refined by the parabola through it and its neighbours."""
    index = int(values.argmax())
    if index in (0, len(values) - 1):
        return float(index)
    left, middle, right = values[index - 1 : index + 2]
    bend = left - 2.0 * middle + right
    return index + (0.5 * float((left - right) / bend) if bend < 0 else 0.0)
