"""Views of what docs/contracts.md lays out: parameters, arena, and rows of X."""

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from fastmlp._kernels import KINDS, count_extras


class Parameters(NamedTuple):
    """A layer's part of params, or of a vector laid out like it; pooling has none, what
    works on columns W only.
    """

    W: np.ndarray | None
    b: np.ndarray | None
    gammas: np.ndarray | None


class Layer(NamedTuple):
    """A layer at work on some rows: views of its parameters and of its blocks.

    A layer that is not normalised has no gammas, moments and normalized. Shapes are
    (height, width, channels). W of what works on columns has the shape of its kernel.
    """

    kind: int
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[int, ...]
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

    @property
    def kernel_shape(self):
        """(height, width, channels, filters)."""
        return (*self.kernel, self.shape[2], self.out_shape[2])

    @property
    def is_average(self):
        """Whether windows become their mean."""
        return self.kind == KINDS["average_pool"]


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
    # Where nothing is gathered, something else begins here, or nothing.
    inputs = arena[n_columns * capacity + count_extras(plan) :][: rows * n_in]
    inputs = inputs[: len(inputs) // n_in * n_in]
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
            record["kind"],
            *_sides(record),
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


def _sides(record):
    """Shapes, kernel, stride and pads of a layer."""
    names = [
        ("height", "width", "channels"),
        ("out_height", "out_width", "out_channels"),
        ("kernel_height", "kernel_width"),
        ("stride_height", "stride_width"),
        ("pad_top", "pad_left"),
    ]
    return [tuple(int(record[name]) for name in group) for group in names]


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
        if layer["n_tensors"] == 0:
            found.append(Parameters(None, None, None))
            continue
        W, *others = tensors[layer["tensors"] :][: layer["n_tensors"]]
        vectors = [tensor[0] for tensor in others]
        found.append(Parameters(W, *vectors, *[None] * (2 - len(vectors))))
    return found


def tensor_groups(plan):
    """Each tensor's place in params, and its group."""
    for tensor in plan.tensors:
        begin = tensor["offset"]
        end = begin + tensor["rows"] * tensor["columns"]
        yield slice(begin, end), plan.groups[tensor["group"]]


def view_running_moments(stats, plan):
    """Each layer's running means and variances, (2, units or channels)."""
    return [
        _view(stats, layer["running"], 2, layer["out_channels"])
        for layer in plan.layers
    ]


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
