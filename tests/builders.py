"""Layer tables, arenas and rules for the tests, laid out as docs/contracts.md says."""

from itertools import pairwise

import numpy as np

from fastmlp._kernels import ACTIVATIONS, OPTIMIZERS, SLOTS, count_units

LAYER = np.dtype(
    [
        (name, np.intp)
        for name in (
            "n_in",
            "n_out",
            "weights",
            "biases",
            "outputs",
            "deltas",
            "activation",
        )
    ]
)
RULE = np.dtype(
    [
        ("optimizer", np.intp),
        ("t", np.intp),
        ("learning_rate", float),
        ("decay_1", float),
        ("decay_2", float),
        ("epsilon", float),
        ("alpha", float),
    ]
)


def count_targets(n_out, output_activation):
    """Columns of Y: the class index under softmax, else one an output."""
    return 1 if output_activation == "softmax" else n_out


def build_layers(sizes, hidden_activation, output_activation):
    """The layer table of a network; sizes are those of the inputs and each layer."""
    layers = np.zeros(len(sizes) - 1, LAYER)
    weight = 0
    bias = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    column = count_targets(sizes[-1], output_activation) + 1 + sizes[-1]
    for layer, (n_in, n_out) in zip(layers, pairwise(sizes), strict=True):
        layer["n_in"], layer["n_out"] = n_in, n_out
        layer["weights"], layer["biases"] = weight, bias
        layer["outputs"], layer["deltas"] = column, column + n_out
        layer["activation"] = ACTIVATIONS[hidden_activation]
        weight, bias, column = weight + n_in * n_out, bias + n_out, column + 2 * n_out
    layers["activation"][-1] = ACTIVATIONS[output_activation]
    return layers


def count_params(layers):
    """Length of params."""
    return int(layers["biases"][-1] + layers["n_out"][-1])


def arena_columns(layers, n_targets):
    """Targets, scales, losses, then outputs and deltas of each layer."""
    n_out = layers["n_out"]
    return int(n_targets + 1 + n_out[-1] + 2 * n_out.sum())


def build_arena(layers, n_targets, capacity, dtype=float):
    """An arena poisoned with NaN: columns, units of update, and gathered inputs."""
    n_columns = arena_columns(layers, n_targets) + int(layers["n_in"][0])
    n_entries = n_columns * capacity + count_units(layers)
    return np.full(n_entries, np.nan, dtype)


def build_rule(optimizer, **numbers):
    """A rule before its first step; numbers left out are zero."""
    rule = np.zeros(1, RULE)
    rule["optimizer"] = OPTIMIZERS[optimizer]
    for name, value in numbers.items():
        rule[name] = value
    return rule


def build_slots(optimizer, n_params, dtype=float):
    """Optimizer state before the first step."""
    return np.zeros((SLOTS[optimizer], n_params), dtype)
