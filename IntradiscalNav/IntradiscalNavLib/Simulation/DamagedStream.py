"""Random damage to a good byte stream, as a bad line or a faulty sender does it."""

from __future__ import annotations

import numpy as np

SIZE_FIELD = slice(42, 50)
"""Body size in an OpenIGTLink header."""


def damagedStream(rng: np.random.Generator, good: bytes) -> bytes:
    """One to three damages: flipped bits, foreign, missing or doubled bytes, a wrong size, or nothing but rubbish."""
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            break
        kind, position = int(rng.integers(0, 8)), int(rng.integers(0, len(data)))
        if kind == 0:
            data[position] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            data[position : position + 8] = rng.bytes(8)
        elif kind == 2:
            del data[position : position + int(rng.integers(1, 70))]
        elif kind == 3:
            data[position:position] = rng.bytes(int(rng.integers(1, 70)))
        elif kind == 4:
            data[SIZE_FIELD] = int(rng.integers(0, 2**63)).to_bytes(8, "big")
        elif kind == 5:
            data[position:position] = data[max(0, position - 60) : position]
        elif kind == 6:
            data[position : position + 2] = b"\xff\xff"
        else:
            data = bytearray(rng.bytes(int(rng.integers(1, 120))))
    return bytes(data)
