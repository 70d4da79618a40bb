"""The alert's tone, read back with another reader of WAV files and its pitch measured by Fourier transform."""

import io

import numpy as np
import pytest
from scipy.io import wavfile

from IntradiscalNavLib.Guidance.AlertTone import toneWav
from IntradiscalNavLib.Guidance.ProximityAlert import LEVEL_SOUNDS, AlertLevel, AlertSound


@pytest.mark.parametrize("level", [AlertLevel.NEAR, AlertLevel.BREACH])
def test_pitchAndPause(level):
    sound = LEVEL_SOUNDS[level]
    rate, samples = wavfile.read(io.BytesIO(toneWav(sound)))
    assert len(samples) / rate == pytest.approx(0.12 + sound.intervalSec, abs=0.002)
    spectrum = np.abs(np.fft.rfft(samples, 1 << 17))
    assert np.argmax(spectrum) * rate / (1 << 17) == pytest.approx(sound.frequencyHz, abs=4)
    assert np.abs(samples[: rate // 2000]).max() < 0.1 * np.abs(samples).max(), "no click at the start"
    assert (samples[round(0.125 * rate) :] == 0).all()


def test_urgentIsHigherAndFaster():
    near, breach = LEVEL_SOUNDS[AlertLevel.NEAR], LEVEL_SOUNDS[AlertLevel.BREACH]
    assert breach.frequencyHz > near.frequencyHz
    assert breach.intervalSec < near.intervalSec


@pytest.mark.parametrize(("sound", "volume"), [(AlertSound(5, 0.1), 0.5), (AlertSound(440, -1), 0.5), (AlertSound(440, 0.1), 1.5)])
def test_badTonesAreRefused(sound, volume):
    with pytest.raises(ValueError, match="tone"):
        toneWav(sound, volume)
