"""Rows to train on: in the form that the kernels read, their source, their order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import scipy.sparse

from fastmlp.random_streams import stream_from

# A C-contiguous matrix, or (data, indices, indptr).
Inputs = np.ndarray | tuple[np.ndarray, np.ndarray, np.ndarray]

# Rows, targets, and weights of the rows or None.
Data = tuple[Inputs, np.ndarray, np.ndarray | None]


@contextmanager
def refusing_overflow(name: str, dtype: np.dtype) -> Iterator[None]:
    """Casts to that type in which a finite number becomes infinite raise ValueError."""
    try:
        with np.errstate(over="raise"):
            yield
    except FloatingPointError as error:
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {dtype!r}."
        ) from error


def as_array(values: Any, dtype: np.dtype | type) -> np.ndarray:
    """A C-contiguous array whose entries lie on boundaries of its type; copied only
    where that demands it.
    """
    array = np.ascontiguousarray(values, dtype=dtype)
    return array if array.flags.aligned else array.copy()


def as_numbers(values: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """A C-contiguous array; copied only where its type, order or place demand it.

    Parameters
    ----------
    values : array-like
        Integers or floats.
    dtype : dtype
        float32 or float64.
    name : str
        What errors call the values.

    Raises
    ------
    ValueError
        If the values are of another kind, such as strings or dates, or too large for
        the type.
    """
    array = np.asarray(values)
    if array.dtype == dtype:
        return as_array(array, dtype)
    check_kind(array, name)
    with refusing_overflow(name, dtype):
        return as_array(array, dtype)


def check_kind(array: Any, name: str) -> None:
    """Raise ValueError unless the array's type is one of integers, floats or bool."""
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must hold integers or floats, got an array of {array.dtype!r}; "
            "convert it first"
        )


def as_inputs(X: Any, n_inputs: int, dtype: np.dtype) -> Inputs:
    """X for the kernels; copied only where its type, order or place demand it.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_inputs)
        Sparse matrices of any format are read as compressed sparse rows and never
        made dense. What this function has returned is returned as it is.
    n_inputs : int
        Columns that X must have.
    dtype : dtype
        float32 or float64.

    Raises
    ------
    ValueError
        If X has another shape, or is not of numbers that the type can hold.
    """
    if isinstance(X, tuple):
        return X
    sparse = not isinstance(X, np.ndarray) and scipy.sparse.issparse(X)
    matrix: Any = as_csr(X, "X") if sparse else as_numbers(X, dtype, "X")
    if matrix.ndim != 2 or matrix.shape[1] != n_inputs:
        raise ValueError(
            f"X must have shape (n_samples, {n_inputs}), got {matrix.shape}"
        )
    if not sparse:
        return matrix
    return (
        as_numbers(matrix.data, dtype, "X"),
        as_array(matrix.indices, np.intc),
        as_array(matrix.indptr, np.intp),
    )


def as_data(
    X: Any,
    y: Any,
    sample_weight: Any,
    n_inputs: int,
    n_target_columns: int,
    dtype: np.dtype,
) -> Data:
    """Rows, targets and weights for the kernels.

    Parameters
    ----------
    X, n_inputs, dtype
        As in :func:`as_inputs`.
    y : array-like of shape (n_samples,) or (n_samples, n_target_columns)
        Targets; they become a matrix.
    sample_weight : array-like of shape (n_samples,) or None
        Weights of the rows.
    n_target_columns : int
        Columns that y must have.

    Raises
    ------
    ValueError
        If X, y or sample_weight has another shape, or is not of numbers that the
        type can hold, or a weight is not finite or negative.
    """
    inputs = as_inputs(X, n_inputs, dtype)
    n_rows = count_rows(inputs)
    Y = as_numbers(y, dtype, "y")
    if Y.shape == (n_rows,):
        Y = Y.reshape(-1, 1)
    if Y.shape != (n_rows, n_target_columns):
        raise ValueError(
            f"y must have shape ({n_rows}, {n_target_columns}), got {np.shape(y)}"
        )
    if sample_weight is None:
        return inputs, Y, None
    weights = as_numbers(sample_weight, dtype, "sample_weight")
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},), got {weights.shape}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and non-negative")
    return inputs, Y, weights


def as_csr(X: Any, name: str) -> Any:
    """A sparse matrix as compressed sparse rows, its structure checked; else as it is.

    Raises
    ------
    ValueError
        As :func:`check_structure`.
    """
    if not scipy.sparse.issparse(X):
        return X
    check_structure(X, name)
    return X.tocsr()


def check_structure(X: Any, name: str) -> None:
    """Refuse a compressed sparse matrix whose indices lead outside of its arrays.

    SciPy does not look again once a matrix is made, and reads and writes where they
    lead. Entries in any order, and several of the same place, are valid. It takes one
    pass over the indices.

    Parameters
    ----------
    X : object
        Anything; what is not sparse, or not compressed, is left alone.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If indptr does not rise from 0 to the number of entries, or an index is
        negative or not below the number of columns (rows, of compressed columns).
    """
    if not scipy.sparse.issparse(X) or X.format not in ("csr", "csc", "bsr", "coo"):
        return
    if X.format == "coo":
        for index, n in zip(X.coords, X.shape, strict=True):
            _check_indices(index, len(X.data), n, name)
        return
    blocks = X.blocksize if X.format == "bsr" else (1, 1)
    sizes = [size // block for size, block in zip(X.shape, blocks, strict=True)]
    n_major, n_minor = sizes[::-1] if X.format == "csc" else sizes
    ends = X.indptr
    _check_integers(ends, f"{name}.indptr")
    if ends.shape != (n_major + 1,) or ends[0] != 0 or (ends[1:] < ends[:-1]).any():
        raise ValueError(
            f"{name} is a corrupt sparse matrix: indptr must rise from 0, in "
            f"{n_major + 1} numbers"
        )
    n_entries = int(ends[-1])
    if n_entries > min(len(X.indices), len(X.data)):
        raise ValueError(
            f"{name} is a corrupt sparse matrix: indptr ends at {n_entries}, but there "
            f"are {len(X.indices)} indices and {len(X.data)} entries"
        )
    _check_indices(X.indices, n_entries, n_minor, name)


def _check_indices(indices: np.ndarray, n_entries: int, n: int, name: str) -> None:
    _check_integers(indices, f"{name}.indices")
    if len(indices) < n_entries:
        raise ValueError(
            f"{name} is a corrupt sparse matrix: there are {len(indices)} indices for "
            f"{n_entries} entries"
        )
    # Read as unsigned, negative ones are the largest: one pass finds both.
    unsigned = indices[:n_entries].view(f"u{indices.itemsize}")
    if n_entries and int(unsigned.max()) >= n:
        raise ValueError(
            f"{name} is a corrupt sparse matrix: its indices must be in [0, {n}), they "
            f"are in [{indices[:n_entries].min()}, {indices[:n_entries].max()}]"
        )


def _check_integers(array: Any, name: str) -> None:
    if array.ndim != 1 or array.dtype.kind != "i":
        raise ValueError(
            f"{name} of a sparse matrix must be a vector of integers, got "
            f"{array.dtype} of shape {array.shape}"
        )


def take_rows(X: Inputs, rows: slice) -> Inputs:
    """Successive rows of X, read in place."""
    if not isinstance(X, tuple):
        return X[rows]
    data, indices, indptr = X
    entries = slice(indptr[rows.start], indptr[rows.stop])
    begins = indptr[rows.start : rows.stop + 1] - indptr[rows.start]
    return data[entries], indices[entries], begins


def count_rows(X: Inputs) -> int:
    """Rows of X."""
    return len(X[2]) - 1 if isinstance(X, tuple) else len(X)


class RowSource(Protocol):
    """Where an epoch's rows come from.

    Attributes
    ----------
    n_rows : int or None
        None where it is not known before an epoch is over.
    is_sparse : bool
        Whether the rows are compressed sparse rows.
    """

    @property
    def n_rows(self) -> int | None:
        """How many there are."""

    @property
    def is_sparse(self) -> bool:
        """Whether they are compressed sparse rows."""

    def chunks(self, order: np.ndarray) -> Iterator[tuple[Data, np.ndarray]]:
        """An epoch's rows: data that are in memory, and the order of their rows.

        ``order`` is what ``rows()`` of the state's order has given.
        """

    def largest_input(self) -> float:
        """Magnitude of the largest entry of X."""


class RemoteRows(Protocol):
    """Rows that lie elsewhere, and are trained on there."""

    def make_trainer(
        self, network: Any, optimizer: Any, batch_size: int, schedule: Any
    ) -> Any:
        """What runs an epoch, as a :class:`fastmlp.trainer.Trainer` does here."""


@dataclass
class ArrayRows:
    """Rows that are in memory, all at once.

    Parameters
    ----------
    data : tuple
        What :func:`as_data` has made of them.
    """

    data: Data

    @property
    def n_rows(self) -> int:
        """All of them."""
        return len(self.data[1])

    @property
    def is_sparse(self) -> bool:
        """Whether X is compressed sparse rows."""
        return isinstance(self.data[0], tuple)

    def chunks(self, order: np.ndarray) -> Iterator[tuple[Data, np.ndarray]]:
        """One chunk: everything."""
        yield self.data, order

    def largest_input(self) -> float:
        """Magnitude of the largest entry of X."""
        X = self.data[0][0] if self.is_sparse else self.data[0]
        return float(max(np.max(X, initial=0), -np.min(X, initial=0)))


def all_at_once(rows: RowSource) -> Data:
    """The rows of a source that has them all in memory.

    Raises
    ------
    ValueError
        If it reads them block by block.
    """
    if not isinstance(rows, ArrayRows):
        raise ValueError("a full-batch solver needs all rows in memory at once")
    return rows.data


@dataclass
class Split:
    """Which rows are held out of training, kept as how they were drawn.

    Parameters
    ----------
    n_rows : int
        All rows.
    fraction : float
        Share of them that is held out.
    stream : dict
        State of the random stream before the draw.
    moved : list of int
        Rows that are held out besides.
    """

    n_rows: int
    fraction: float
    stream: dict[str, Any]
    moved: list[int] = field(default_factory=list)

    def holds(self, n_rows: int, fraction: float) -> bool:
        """Whether it is one of so many rows, with so large a share held out."""
        n_held_out = math.ceil(self.fraction * self.n_rows)
        return n_rows == self.n_rows and n_held_out == math.ceil(fraction * n_rows)


@dataclass
class RowOrder:
    """The order of the rows, kept as how it came about.

    A fitted model needs no number for every row it has seen: the random stream before
    the first shuffle and the number of shuffles say the same, and are replayed where
    the order is needed again.

    Parameters
    ----------
    n_rows : int
        Rows that are trained on.
    shuffles : list of [dict, int]
        States of the stream, and how often it then shuffled in succession.
    in_succession : bool
        Whether the stream has drawn nothing else since.

    Attributes
    ----------
    base : ndarray of intp or None
        The rows before the first shuffle, where others are held out.
    """

    n_rows: int
    shuffles: list[list[Any]] = field(default_factory=list)
    in_succession: bool = False
    base: np.ndarray | None = field(default=None, repr=False, compare=False)
    _rows: np.ndarray | None = field(default=None, repr=False, compare=False)

    def rows(self) -> np.ndarray:
        """The rows in their present order."""
        if self._rows is None:
            self._rows = np.arange(self.n_rows)
            if self.base is not None:
                self._rows[:] = self.base
            for stream_state, times in self.shuffles:
                stream = stream_from(stream_state)
                for _ in range(times):
                    stream.shuffle(self._rows)
        return self._rows

    def shuffle(self, stream: np.random.RandomState) -> None:
        """Put the rows in a new order, that of ``sklearn.utils.shuffle``."""
        rows = self.rows()
        if not self.in_succession:
            self.shuffles.append([stream.get_state(legacy=False), 0])
            self.in_succession = True
        stream.shuffle(rows)
        self.shuffles[-1][1] += 1

    def copy(self) -> RowOrder:
        """An independent order."""
        rows = None if self._rows is None else self._rows.copy()
        return replace(self, shuffles=[[*s] for s in self.shuffles], _rows=rows)

    def to_dict(self) -> dict[str, Any]:
        """How the order came about, without the rows."""
        kept = ("n_rows", "shuffles", "in_succession")
        return {name: getattr(self, name) for name in kept}

    def begin_anew(self) -> RowOrder:
        """The same rows, before any shuffle."""
        return RowOrder(self.n_rows)

    def forget_rows(self) -> None:
        """Keep only how the order came about."""
        self.base = self._rows = None


@dataclass
class SeededOrder(RowOrder):
    """The order of rows that are never in memory all at once: a seed for each epoch.

    Parameters
    ----------
    seed : int or None
        Of the present epoch; None: the rows come as they lie.
    """

    seed: int | None = None

    def rows(self) -> np.ndarray:
        """The seed, which the source makes an order of; empty without one."""
        return np.array([] if self.seed is None else [self.seed], np.intp)

    def shuffle(self, stream: np.random.RandomState) -> None:
        """Draw the next epoch's seed."""
        self.seed = int(stream.randint(2**31 - 1))

    def to_dict(self) -> dict[str, Any]:
        """The seed, beside what every order has."""
        return {**super().to_dict(), "seed": self.seed}

    def begin_anew(self) -> RowOrder:
        """The same rows, before any shuffle."""
        return SeededOrder(self.n_rows)


def order_from(facts: dict[str, Any]) -> RowOrder:
    """The order that ``to_dict`` has stored."""
    return SeededOrder(**facts) if "seed" in facts else RowOrder(**facts)
