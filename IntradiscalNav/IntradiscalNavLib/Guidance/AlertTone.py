"""The alert's sound as a WAV file in memory, to be played in a loop by whatever the host plays sounds with."""

from __future__ import annotations

import io
import wave

import numpy as np

from IntradiscalNavLib.Guidance.ProximityAlert import AlertSound
from TranslatedText.Translation import tr as _

SAMPLE_RATE_HZ = 22050
BEEP_SEC = 0.12
EDGE_SEC = 0.008


def toneWav(sound: AlertSound, volume: float = 0.5) -> bytes:
    """One period of the alert: a beep with soft edges (no clicks) and the pause after it; 16-bit mono WAV.

    :param volume: 0 to 1.
    :raises ValueError: for a pitch that can't be played, a negative pause, or a volume outside 0..1.
    """
    if not 20.0 <= sound.frequencyHz <= SAMPLE_RATE_HZ / 2.5 or sound.intervalSec < 0 or not 0.0 <= volume <= 1.0:
        raise ValueError(
            _("Can't make a tone of {frequencyHz} Hz, {intervalSec} s, volume {volume}. Use 20-8800 Hz, 0..1.").format(
                frequencyHz=sound.frequencyHz, intervalSec=sound.intervalSec, volume=volume
            )
        )
    times = np.arange(round(BEEP_SEC * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    edge = np.clip(np.minimum(times, BEEP_SEC - times) / EDGE_SEC, 0.0, 1.0)
    beep = volume * edge * np.sin(2 * np.pi * sound.frequencyHz * times)
    samples = np.concatenate([beep, np.zeros(round(sound.intervalSec * SAMPLE_RATE_HZ))])
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
