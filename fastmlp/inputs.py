"""Rows of X in the form that the kernels read: dense, or compressed sparse rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse

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


def as_numbers(values: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """A C-contiguous array; copied only where its type or order demand it.

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
        return np.ascontiguousarray(array)
    check_kind(array, name)
    with refusing_overflow(name, dtype):
        return np.ascontiguousarray(array, dtype=dtype)


def check_kind(array: Any, name: str) -> None:
    """Raise ValueError unless the array's type is one of integers or floats."""
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must hold integers or floats, got an array of {array.dtype!r}; "
            "convert it first"
        )


def as_inputs(X: Any, n_inputs: int, dtype: np.dtype) -> Inputs:
    """X for the kernels; copied only where its type or order demand it.

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
    matrix: Any = X.tocsr() if sparse else as_numbers(X, dtype, "X")
    if matrix.ndim != 2 or matrix.shape[1] != n_inputs:
        raise ValueError(
            f"X must have shape (n_samples, {n_inputs}), got {matrix.shape}"
        )
    if not sparse:
        return matrix
    return (
        as_numbers(matrix.data, dtype, "X"),
        np.ascontiguousarray(matrix.indices, dtype=np.intc),
        np.ascontiguousarray(matrix.indptr, dtype=np.intp),
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
