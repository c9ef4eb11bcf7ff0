"""Arrays in files, read piece by piece."""

from __future__ import annotations

import math
import os
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.memory import kept_matrix


class ArrayFile:
    """An array in a file: slices are files of fewer rows, read where they are used.

    A memory map would bring a page at a time, each with a fault, and leave it among the
    process's pages; a read takes what the disk can give, and can go straight to where
    the rows are wanted.

    Parameters
    ----------
    file : file
        Open to be read without a buffer.
    shape : tuple of int
        Of the array, which lies row after row.
    dtype : dtype
        Of its entries.
    offset : int
        Bytes before the first entry.
    """

    def __init__(
        self,
        file: FileIO,
        shape: tuple[int, ...],
        dtype: np.dtype,
        offset: int,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._file, self._offset = file, offset
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> ArrayFile:
        begin, end, _ = rows.indices(len(self))
        shape = max(0, end - begin), *self.shape[1:]
        offset = self._offset + begin * self._row_bytes
        return ArrayFile(self._file, shape, self.dtype, offset)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        flat = kept_matrix(len(self), math.prod(self.shape[1:]), self.dtype)
        out = flat.reshape(self.shape)
        self.read_into(out)
        return out if dtype is None else out.astype(dtype, copy=False)

    def read_into(self, out: np.ndarray) -> None:
        """Read all rows to a C-contiguous array of the same shape and type."""
        self._file.seek(self._offset)
        left = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        while left:
            n_read = self._file.readinto(left)
            if not n_read:
                raise OSError(f"{self._file.name} has become shorter while it was read")
            left = left[n_read:]

    def announce(self) -> None:
        """Have the system begin to read all rows, where it can be asked to."""
        if hasattr(os, "posix_fadvise"):
            n_bytes = len(self) * self._row_bytes
            where = self._file.fileno(), self._offset, n_bytes
            os.posix_fadvise(*where, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_array(path: str | os.PathLike[str]) -> Any:
    """The array in a .npy file.

    Returns
    -------
    ArrayFile, or memmap
        The latter where rows do not lie one after the other (Fortran's order).

    Raises
    ------
    ValueError
        If the file is no .npy file of numbers or strings.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} cannot be read by rows: {error}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(
            f"{os.fspath(path)} is an archive of arrays: save one array by np.save"
        )
    return unmapped(array)


def unmapped(array: Any) -> Any:
    """The file of a memory map, where its rows lie in one, one after the other; what
    is anything else, as it is.
    """
    if (
        not isinstance(array, np.memmap)
        or not array.flags.c_contiguous
        or array.filename is None
        or array.mode == "c"  # what was changed in memory is not in the file
    ):
        return array
    whole = array
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    offset = whole.offset + array.ctypes.data - whole.ctypes.data
    file = Path(array.filename).open("rb", buffering=0)  # noqa: SIM115 - see close
    return ArrayFile(file, array.shape, array.dtype, offset)
