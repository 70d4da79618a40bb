"""How a hand moves: smooth reaching, tremor, slow drift."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def minimumJerk(share: float) -> float:
    """Progress 0..1 of a reaching movement at a share 0..1 of its duration (Flash and Hogan 1985)."""
    s = min(max(share, 0.0), 1.0)
    return s * s * s * (10.0 - 15.0 * s + 6.0 * s * s)


class HandTremor:
    """Smooth random motion in several components: drift below 1 Hz and physiological tremor at 6-11 Hz.

    It is a sum of sines with random phases: the same time gives the same value, whatever was asked before.
    """

    def __init__(self, seed: int, components: int, drift: float, tremor: float) -> None:
        generator = np.random.default_rng(seed)
        slow = generator.uniform(0.12, 0.7, (components, 4))
        fast = generator.uniform(6.0, 11.0, (components, 3))
        self._frequencies = np.concatenate([slow, fast], axis=1)
        self._phases = generator.uniform(0.0, 2.0 * np.pi, self._frequencies.shape)
        # a sine of amplitude a has standard deviation a / sqrt(2)
        self._amplitudes = np.concatenate(
            [np.full((components, 4), drift * np.sqrt(2.0 / 4.0)), np.full((components, 3), tremor * np.sqrt(2.0 / 3.0))], axis=1
        )

    def at(self, timeSec: float) -> FloatArray:
        """Deviation of every component at a time."""
        result: FloatArray = (self._amplitudes * np.sin(2.0 * np.pi * self._frequencies * timeSec + self._phases)).sum(axis=1)
        return result
