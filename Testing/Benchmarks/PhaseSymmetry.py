"""The usual bone detector as peer: full-resolution phase symmetry with shadow weighting, one maximum per column.

Monogenic log-Gabor phase symmetry (Kovesi 1997; Hacihaliloglu 2009) as the literature's implementations compute it: numpy, double
precision, complex transforms of the whole image, two scales.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def phaseSymmetry(image: FloatArray, wavelengthsPixels: tuple[float, ...] = (14.0, 42.0), sigmaOnf: float = 0.55) -> FloatArray:
    """Bright-ridge phase symmetry in [0, 1] of a whole image."""
    rows, columns = image.shape
    v = np.fft.fftfreq(rows)[:, None]
    u = np.fft.fftfreq(columns)[None, :]
    radius = np.hypot(u, v)
    radius[0, 0] = 1.0
    riesz = (1j * u - v) / radius
    spectrum = np.fft.fft2(image)
    total, energy = np.full(image.shape, 1e-4), np.zeros(image.shape)
    for wavelength in wavelengthsPixels:
        gabor = np.exp(-(np.log(radius * wavelength) ** 2) / (2.0 * np.log(sigmaOnf) ** 2))
        gabor[0, 0] = 0.0
        even = np.real(np.fft.ifft2(spectrum * gabor))
        odd = np.abs(np.fft.ifft2(spectrum * gabor * riesz))
        energy += np.maximum(even - odd, 0.0)
        total += np.sqrt(even**2 + odd**2)
    return energy / total


def detectByPhaseSymmetry(image: npt.NDArray, thresholdShare: float = 0.35) -> FloatArray:
    """Row of the bone per column, NaN where the strongest response stays under a share of the image's own strongest."""
    grey = image.astype(float) / 255.0
    symmetry = phaseSymmetry(grey)
    below = np.cumsum(grey[::-1], axis=0)[::-1]
    count = np.arange(len(grey), 0, -1)[:, None]
    shadow = 1.0 - np.clip(below / count / max(float(grey.mean()), 1e-6), 0.0, 1.0)
    score = symmetry * shadow * grey
    best = score.argmax(axis=0)
    strength = score[best, np.arange(score.shape[1])]
    rows = best.astype(float)
    rows[strength < thresholdShare * strength.max()] = np.nan
    return rows
