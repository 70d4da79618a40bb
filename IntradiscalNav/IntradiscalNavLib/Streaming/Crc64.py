"""CRC-64 as OpenIGTLink uses it: ECMA-182 polynomial, not reflected, initial value 0, no final XOR.

``crc64`` is the compiled one of the optional package *fastcrc* where that is installed and ``numpyCrc64`` elsewhere (inside Slicer).
The numpy form needs no loop over bytes: a CRC is linear, so each byte of a 64-byte block contributes a table entry of its position, and
the blocks are joined pairwise by multiplication with powers of x in GF(2)[x].
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview
UintArray = npt.NDArray[np.uint64]

POLYNOMIAL = 0x42F0E1EBA9EA3693
"""ECMA-182 generator polynomial without its leading x^64."""

BLOCK_BYTES = 64
SMALL_BYTES = 256
"""Below this the plain table loop is faster than numpy's call overhead."""

_MASK = 0xFFFFFFFFFFFFFFFF


def _byteTable() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 56
        for _ in range(8):
            value = ((value << 1) ^ POLYNOMIAL if value >> 63 else value << 1) & _MASK
        table.append(value)
    return tuple(table)


_TABLE = _byteTable()


def _loopCrc64(data: Buffer, initial: int = 0) -> int:
    table = _TABLE
    value = initial
    for byte in data:
        value = table[(value >> 56) ^ byte] ^ (value << 8 & _MASK)
    return value


@functools.lru_cache(maxsize=1)
def _positionTables() -> UintArray:
    """(64, 256): CRC of a block that holds one non-zero byte at the given position."""
    tables = np.zeros((BLOCK_BYTES, 256), np.uint64)
    base = np.array(_TABLE, np.uint64)
    tables[BLOCK_BYTES - 1] = base
    for position in range(BLOCK_BYTES - 2, -1, -1):
        later = tables[position + 1]
        tables[position] = base[(later >> np.uint64(56)).astype(np.intp)] ^ (later << np.uint64(8))
    return tables


@functools.lru_cache(maxsize=40)
def _shiftTables(level: int) -> UintArray:
    """(8, 256): multiplication of a CRC by x^(8 * 64 * 2^level), one table for each of its bytes, most significant first."""
    tables = np.zeros((8, 256), np.uint64)
    if level == 0:
        # Appending 64 zero bytes to a message that ended with this CRC: the eight bytes of the CRC act as bytes in front of them.
        for byteIndex in range(8):
            for byte in range(256):
                tables[byteIndex, byte] = _loopCrc64(bytes(BLOCK_BYTES), byte << (56 - 8 * byteIndex))
        return tables
    half = _shiftTables(level - 1)
    for byteIndex in range(8):
        tables[byteIndex] = _shift(half[byteIndex], half)
    return tables


def _shift(values: UintArray, tables: UintArray) -> UintArray:
    result = np.zeros_like(values)
    for byteIndex in range(8):
        column = ((values >> np.uint64(56 - 8 * byteIndex)) & np.uint64(0xFF)).astype(np.intp)
        result ^= tables[byteIndex].take(column)
    return result


def numpyCrc64(data: Buffer, initial: int = 0) -> int:
    """CRC-64/ECMA-182 of the bytes, continued from ``initial`` (the CRC of what came before). Any size; numpy only."""
    length = len(data)
    if length < SMALL_BYTES:
        return _loopCrc64(data, initial)
    blocks = length // BLOCK_BYTES
    array = np.frombuffer(data, np.uint8, blocks * BLOCK_BYTES).reshape(blocks, BLOCK_BYTES)
    columns = np.ascontiguousarray(array.T).astype(np.intp)
    tables = _positionTables()
    values = tables[0].take(columns[0])
    for position in range(1, BLOCK_BYTES):
        values ^= tables[position].take(columns[position])
    # The value carried in counts as the CRC of a message in front of the first block.
    values[0] ^= np.uint64(int(_shift(np.array([initial], np.uint64), _shiftTables(0))[0]))
    level = 0
    while len(values) > 1:
        if len(values) % 2:
            values = np.concatenate([np.zeros(1, np.uint64), values])
        values = _shift(values[0::2], _shiftTables(level)) ^ values[1::2]
        level += 1
    return _loopCrc64(memoryview(data)[blocks * BLOCK_BYTES :], int(values[0]))


def _chooseCrc64() -> Callable[[Buffer, int], int]:
    try:
        from fastcrc.crc64 import ecma_182
    except ImportError:
        return numpyCrc64
    try:
        ecma_182(memoryview(b"0"), 0)
    except TypeError:
        # Releases that take no memoryview: the copy costs a tenth of what numpyCrc64 would.
        return lambda data, initial: int(ecma_182(bytes(data), initial))
    chosen: Callable[[Buffer, int], int] = ecma_182
    return chosen


_chosen = _chooseCrc64()


def crc64(data: Buffer, initial: int = 0) -> int:
    """CRC-64/ECMA-182 of the bytes by the fastest means at hand; ``initial`` continues an earlier CRC."""
    return _chosen(data, initial)
