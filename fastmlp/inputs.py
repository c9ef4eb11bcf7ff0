"""Rows of X in the form that the kernels read: dense, or compressed sparse rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

# A C-contiguous matrix, or (data, indices, indptr).
Inputs = np.ndarray | tuple[np.ndarray, np.ndarray, np.ndarray]

# Rows, targets, and weights of the rows or None.
Data = tuple[Inputs, np.ndarray, np.ndarray | None]


def as_array(x: Any, dtype: np.dtype | type) -> np.ndarray:
    """An array of that type, entries side by side and on boundaries of the type; not
    copied if it is one.
    """
    array = np.ascontiguousarray(x, dtype=dtype)
    return array if array.flags.aligned else array.copy()


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
        If X has another shape.
    """
    if isinstance(X, tuple):
        return X
    sparse = not isinstance(X, np.ndarray) and scipy.sparse.issparse(X)
    matrix: Any = X.tocsr() if sparse else as_array(X, dtype)
    if matrix.ndim != 2 or matrix.shape[1] != n_inputs:
        raise ValueError(
            f"X must have shape (n_samples, {n_inputs}), got {matrix.shape}"
        )
    if not sparse:
        return matrix
    return (
        as_array(matrix.data, dtype),
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
        If X, y or sample_weight has another shape, or a weight is not finite or
        negative.
    """
    inputs = as_inputs(X, n_inputs, dtype)
    n_rows = count_rows(inputs)
    Y = as_array(y, dtype)
    if Y.shape == (n_rows,):
        Y = Y.reshape(-1, 1)
    if Y.shape != (n_rows, n_target_columns):
        raise ValueError(
            f"y must have shape ({n_rows}, {n_target_columns}), got {np.shape(y)}"
        )
    if sample_weight is None:
        return inputs, Y, None
    weights = as_array(sample_weight, dtype)
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
