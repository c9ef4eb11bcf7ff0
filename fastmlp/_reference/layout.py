"""Views of what docs/contracts.md lays out: parameters, arena, and rows of X."""

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from fastmlp._kernels import count_extras


class Parameters(NamedTuple):
    """A layer's part of params, or of a vector laid out like it."""

    W: np.ndarray
    b: np.ndarray
    gammas: np.ndarray | None


class Layer(NamedTuple):
    """A layer at work on some rows: views of its parameters and of its blocks.

    A layer that is not normalised has no gammas, moments and normalized.
    """

    activation: int
    dropout: float
    W: np.ndarray
    b: np.ndarray
    gammas: np.ndarray | None
    moments: np.ndarray | None
    normalized: np.ndarray | None
    z: np.ndarray
    a: np.ndarray
    outputs: np.ndarray
    deltas: np.ndarray


class Batch(NamedTuple):
    """The blocks of an arena."""

    targets: np.ndarray
    scales: np.ndarray
    losses: np.ndarray
    inputs: np.ndarray
    layers: list[Layer]


def view_batch(arena, layers, params, moments, n_targets, rows, capacity):
    """The arena's blocks for that many rows."""
    n_in, n_out = layers["n_in"][0], layers["n_out"][-1]
    n_columns = layers["deltas"][-1] + n_out
    inputs = arena[n_columns * capacity + count_extras(layers) :][: rows * n_in]
    return Batch(
        targets=_view(arena, 0, rows, n_targets),
        scales=_view(arena, n_targets * capacity, rows),
        losses=_view(arena, (n_targets + 1) * capacity, rows, n_targets),
        inputs=inputs.reshape(-1, n_in),
        layers=view_layers(arena, layers, params, moments, rows, capacity),
    )


def view_layers(arena, layers, params, moments, rows, capacity):
    """Each layer with its parameters, its moments and its blocks for that many rows."""
    return [
        Layer(
            record["activation"],
            record["dropout"],
            *parameters,
            layer_moments,
            *(
                _view(arena, record[block] * capacity, rows, record["n_out"])
                for block in ("normalized", "z", "a", "outputs", "deltas")
            ),
        )
        for record, parameters, layer_moments in zip(
            layers, view_parameters(params, layers), moments, strict=True
        )
    ]


def view_parameters(vector, layers):
    """Each layer's part of params, or of a vector laid out like it."""
    return [
        Parameters(
            W=_view(vector, layer["weights"], layer["n_in"], layer["n_out"]),
            b=_view(vector, layer["biases"], layer["n_out"]),
            gammas=_view(vector, layer["gammas"], layer["n_out"]),
        )
        for layer in layers
    ]


def view_weights(vector, layers):
    """All weights, which stand before the first bias: what is penalised and decays."""
    return vector[: layers["biases"][0]]


def view_running_moments(stats, layers):
    """Each layer's running means and variances, (2, n_out)."""
    return [_view(stats, layer["running"], 2, layer["n_out"]) for layer in layers]


def take_rows(X, rows, layers):
    """Those rows of X, dense; X may be compressed sparse rows."""
    if isinstance(X, tuple):
        data, indices, indptr = X
        shape = (len(indptr) - 1, layers["n_in"][0])
        return csr_array((data, indices, indptr), shape)[rows].toarray()
    return X[rows]


def split(n, size):
    """Slices of n rows, size at a time; the last may be short."""
    return [slice(begin, begin + size) for begin in range(0, n, size)]


def _view(vector, begin, *shape):
    """The array of that shape that begins there; None for what a layer has not got."""
    return None if begin < 0 else vector[begin:][: math.prod(shape)].reshape(shape)
