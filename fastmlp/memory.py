"""Memory of vectors, slots and arenas: on cache lines, and reused by the next call."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress

import numpy as np

_ALIGNMENT = 64
# Blocks that are worth keeping: the C library gives larger ones back to the system,
# which zeroes each page anew when it is touched (decision 12).
_LARGE = 128 << 10
# What is kept in all, in bytes, and the sizes that blocks come in.
_KEPT = 64 << 20
_PAGES = 64 << 10

_free: deque[_Block] = deque()


class _Block:
    """A block of memory: kept for the next array when the last one in it is gone."""

    __slots__ = ("raw",)

    def __init__(self, n_bytes: int) -> None:
        self.raw = np.empty(n_bytes, np.uint8)


class _Lease:
    """The one reference that the arrays in a block share."""

    __slots__ = ("__array_interface__", "_block")

    def __init__(self, block: _Block) -> None:
        self._block = block
        # Made by hand: where memory is short, NumPy crashes in making its own.
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": block.raw.shape,
            "data": (block.raw.ctypes.data, False),
        }

    def __del__(self, keep: deque[_Block] = _free) -> None:
        keep.append(self._block)
        with suppress(IndexError):  # another thread was faster
            while sum(block.raw.nbytes for block in list(keep)) > _KEPT:
                keep.popleft()


def aligned_empty(shape: int | tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised vector or matrix whose rows begin on 64-byte boundaries."""
    *n_rows, size = (shape,) if isinstance(shape, int) else shape
    row = -(-size * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
    raw = _empty(math.prod(n_rows) * row + _ALIGNMENT)
    offset = -raw.ctypes.data % _ALIGNMENT
    strides = (*(row for _ in n_rows), dtype.itemsize)
    return np.ndarray((*n_rows, size), dtype, raw, offset, strides)


def kept_matrix(n_rows: int, n_columns: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialised matrix, C-contiguous, in memory that the next one reuses."""
    return aligned_empty(n_rows * n_columns, dtype).reshape(n_rows, n_columns)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy whose rows begin on 64-byte boundaries."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def release() -> None:
    """Give what is kept back to the system."""
    _free.clear()


def _empty(n_bytes: int) -> np.ndarray:
    if n_bytes < _LARGE:
        return np.empty(n_bytes, np.uint8)
    n_bytes = -(-n_bytes // _PAGES) * _PAGES
    return np.asarray(_Lease(_kept_block(n_bytes) or _new_block(n_bytes)))


def _kept_block(n_bytes: int) -> _Block | None:
    for block in list(_free):
        if block.raw.nbytes == n_bytes:
            try:
                _free.remove(block)
            except ValueError:  # another thread was faster
                continue
            return block
    return None


def _new_block(n_bytes: int) -> _Block:
    try:
        return _Block(n_bytes)
    except MemoryError:
        release()
        return _Block(n_bytes)
