"""Layers as a user may have set them in ``coefs_`` and ``intercepts_``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastmlp.settings import check_layers


def read_layers(
    coefs: Sequence[Any], intercepts: Sequence[Any], n_layers: int | None
) -> tuple[list[np.ndarray], list[np.ndarray], np.dtype]:
    """Weights and biases as scikit-learn's MLP would read them, and their type.

    Parameters
    ----------
    coefs : sequence of array-like or sparse matrix of shape (n_in, n_out)
        One a layer, or more than are read.
    intercepts : sequence of array-like
        Each is what can be added to rows of n_out numbers.
    n_layers : int or None
        Layers that are read, the inputs counted; None: all.

    Raises
    ------
    ValueError
        If there are fewer, they hold no real numbers, or shapes do not fit.
    """
    n_read = len(coefs) if n_layers is None else n_layers - 1
    if not 1 <= n_read <= min(len(coefs), len(intercepts)):
        raise ValueError(
            f"n_layers_ is {n_read + 1}, but coefs_ and intercepts_ have {len(coefs)} "
            f"and {len(intercepts)} entries"
        )
    weights = [W.toarray() if issparse(W) else np.asarray(W) for W in coefs[:n_read]]
    biases = [
        _as_bias(np.asarray(b), W)
        for b, W in zip(intercepts[:n_read], weights, strict=True)
    ]
    dtype = np.result_type(*weights, *biases, np.float32)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"coefs_ and intercepts_ must be real numbers, got {dtype}")
    check_layers(weights, biases, ("coefs_", "intercepts_"))
    return weights, biases, dtype


def _as_bias(b: np.ndarray, W: np.ndarray) -> np.ndarray:
    """A number, or a row, as the vector that it is added as."""
    n_out = W.shape[-1] if W.ndim else 1
    row = b.size == 1 or b.shape == (1, n_out)
    return np.broadcast_to(b, (1, n_out))[0] if row and b.ndim <= 2 else b
