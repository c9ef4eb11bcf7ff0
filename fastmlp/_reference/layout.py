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
    activation_param: float
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


def view_batch(arena, plan, params, moments, n_targets, rows, capacity):
    """The arena's blocks for that many rows."""
    layers = plan.layers
    n_in, n_out = layers["n_in"][0], layers["n_out"][-1]
    n_columns = layers["deltas"][-1] + n_out
    inputs = arena[n_columns * capacity + count_extras(plan) :][: rows * n_in]
    return Batch(
        targets=_view(arena, 0, rows, n_targets),
        scales=_view(arena, n_targets * capacity, rows),
        losses=_view(arena, (n_targets + 1) * capacity, rows, n_targets),
        inputs=inputs.reshape(-1, n_in),
        layers=view_layers(arena, plan, params, moments, rows, capacity),
    )


def view_layers(arena, plan, params, moments, rows, capacity):
    """Each layer with its parameters, its moments and its blocks for that many rows."""
    return [
        Layer(
            record["activation"],
            record["activation_param"],
            record["dropout"],
            *parameters,
            layer_moments,
            *(
                _view(arena, record[block] * capacity, rows, record["n_out"])
                for block in ("normalized", "z", "a", "outputs", "deltas")
            ),
        )
        for record, parameters, layer_moments in zip(
            plan.layers, view_parameters(params, plan), moments, strict=True
        )
    ]


def view_tensors(vector, plan):
    """Each tensor of params, or of a vector laid out like it."""
    return [
        _view(vector, tensor["offset"], tensor["rows"], tensor["columns"])
        for tensor in plan.tensors
    ]


def view_parameters(vector, plan):
    """Each layer's part of params, or of a vector laid out like it."""
    tensors = view_tensors(vector, plan)
    found = []
    for layer in plan.layers:
        W, b, *gammas = tensors[layer["tensors"] :][: layer["n_tensors"]]
        found.append(Parameters(W, b[0], gammas[0][0] if gammas else None))
    return found


def tensor_groups(plan):
    """Each tensor's place in params, and its group."""
    for tensor in plan.tensors:
        begin = tensor["offset"]
        end = begin + tensor["rows"] * tensor["columns"]
        yield slice(begin, end), plan.groups[tensor["group"]]


def view_running_moments(stats, plan):
    """Each layer's running means and variances, (2, n_out)."""
    return [_view(stats, layer["running"], 2, layer["n_out"]) for layer in plan.layers]


def take_rows(X, rows, plan):
    """Those rows of X, dense; X may be compressed sparse rows."""
    if isinstance(X, tuple):
        data, indices, indptr = X
        shape = (len(indptr) - 1, plan.layers["n_in"][0])
        return csr_array((data, indices, indptr), shape)[rows].toarray()
    return X[rows]


def split(n, size):
    """Slices of n rows, size at a time; the last may be short."""
    return [slice(begin, begin + size) for begin in range(0, n, size)]


def _view(vector, begin, *shape):
    """The array of that shape that begins there; None for what a layer has not got."""
    return None if begin < 0 else vector[begin:][: math.prod(shape)].reshape(shape)
