"""Where things lie in memory: a network's tables, and the arena of one batch.

The layout is the contract between Python and the kernels; docs/contracts.md draws it.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp._kernels import GROUP, LAYER, TENSOR
from fastmlp.memory import aligned_empty

# What a layer has one of where it has it; −1: it has none.
_INTEGERS = tuple(name for name in LAYER.names or () if LAYER[name].kind == "i")

# Weights are penalised and decay, all other parameters neither.
GROUPS = np.array([(1.0, 1.0, 1.0), (1.0, 0.0, 0.0)], GROUP)
WEIGHTS, OTHERS = 0, 1

# Rows worked on at a time. More would leave the second-level cache, fewer would
# starve the matrix products.
BLOCK_ROWS = 1024

# Numbers from which on an arena is aligned: to find the boundary takes a microsecond,
# and one row's prediction a few.
_WORTH_ALIGNING = 1000


def block_rows(n_rows: int) -> int:
    """Rows worked on at a time, of so many."""
    return min(BLOCK_ROWS, max(1, n_rows))


def build_layers(
    layer_sizes: Sequence[int],
    activations: Sequence[str],
    n_targets: int,
    *,
    activation_params: Sequence[float] = (),
    dropout: Sequence[float] = (),
    batch_norm: bool = False,
    spread: bool = False,
) -> np.ndarray:
    """The layer table: each layer's tensors, and where its arena blocks begin.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, the inputs first.
    activations : sequence of str
        Activation of each layer but the inputs.
    n_targets : int
        Columns of the target matrix.
    activation_params : sequence of float, default=()
        Number of each layer's activation; empty for the defaults.
    dropout : sequence of float, default=()
        Share of each hidden layer's units that is dropped; empty for none.
    batch_norm : bool, default=False
        Whether the hidden layers are normalised.
    spread : bool, default=False
        Whether every hidden layer keeps z and σ(z) apart, as Hessian products need.
    """
    rates = [*(dropout or [0.0] * (len(layer_sizes) - 2)), 0.0]
    numbers = activation_params or [default_param(name) for name in activations]
    layers = [
        dict.fromkeys(_INTEGERS, -1)
        | {
            "n_in": n_in,
            "n_out": n_out,
            "activation": _kernels.ACTIVATIONS[name],
            "activation_param": number,
            "dropout": rate,
        }
        for (n_in, n_out), name, number, rate in zip(
            pairwise(layer_sizes), activations, numbers, rates, strict=True
        )
    ]
    _number_tensors(layers, layers[:-1] if batch_norm else [])
    apart = [name in _kernels.SLOPES_OF_Z or spread for name in activations]
    apart[-1] = False
    _place_blocks(layers, apart, 2 * n_targets + 1)
    table = np.zeros(len(layers), LAYER)
    for name in table.dtype.names or ():
        table[name] = [layer[name] for layer in layers]
    return table


def default_param(activation: str) -> float:
    """The default of an activation's number; 0 for one without."""
    return _kernels.ACTIVATION_PARAMS.get(activation, ("", 0.0))[1]


def build_tensors(layers: np.ndarray) -> np.ndarray:
    """Where the parameters lie: all weights, then all biases, then the γ of normalised
    layers.
    """
    n_in, n_out, first = (layers[name] for name in ("n_in", "n_out", "tensors"))
    normalized = layers["normalized"] >= 0
    order = np.concatenate([first, first + 1, first[normalized] + 2])
    tensors = np.zeros(len(order), TENSOR)
    tensors["rows"], tensors["group"] = 1, OTHERS
    tensors["rows"][first], tensors["group"][first] = n_in, WEIGHTS
    tensors["columns"] = np.repeat(n_out, layers["n_tensors"])
    sizes = (tensors["rows"] * tensors["columns"])[order]
    tensors["offset"][order] = np.cumsum(sizes) - sizes
    return tensors


def build_plan(layers: np.ndarray) -> Any:
    """What the kernels are given of the layers."""
    return _kernels.Plan(layers, build_tensors(layers), GROUPS)


@lru_cache(maxsize=64)
def plan_of(
    layer_sizes: tuple[int, ...],
    activations: tuple[str, ...],
    n_targets: int,
    activation_params: tuple[float, ...],
    dropout: tuple[float, ...],
    batch_norm: bool,
    spread: bool,
) -> Any:
    """The plan of such layers (:func:`build_layers`); plans are read-only, and the next
    fit, or call of ``partial_fit``, is mostly of the same layers.
    """
    layers = build_layers(
        layer_sizes,
        activations,
        n_targets,
        activation_params=activation_params,
        dropout=dropout,
        batch_norm=batch_norm,
        spread=spread,
    )
    return build_plan(layers)


def _number_tensors(layers: Sequence[dict], normalized: Sequence[dict]) -> None:
    """A layer's W, b and γ one after the other; running moments where there is γ."""
    number = running = 0
    for layer in layers:
        layer["tensors"], layer["n_tensors"] = number, 2
        if any(layer is other for other in normalized):
            layer["n_tensors"], layer["running"] = 3, running
            running += 2 * layer["n_out"]
        number += layer["n_tensors"]


def _place_blocks(layers: Sequence[dict], apart: Sequence[bool], column: int) -> None:
    """A layer's columns side by side, those of the layers one after the other."""
    for layer, z_apart in zip(layers, apart, strict=True):
        n_out = layer["n_out"]
        if layer["running"] >= 0:
            layer["normalized"] = column
            column += n_out
        layer["z"] = column
        column += n_out if z_apart else 0
        layer["a"] = column
        column += n_out if layer["dropout"] > 0 else 0
        layer["outputs"] = column
        layer["deltas"] = column + n_out
        column += 2 * n_out


def count_entries(plan: Any) -> tuple[int, int]:
    """Entries of an arena: for each of its rows, and behind them."""
    return _kernels.count_block_columns(plan), _kernels.count_extras(plan)


def count_training_entries(plan: Any, capacity: int, *, gathers: bool) -> int:
    """Entries that training needs behind all others: inputs, if it gathers dense rows,
    and the gradient of second halves of blocks.
    """
    n_gathered = int(plan.layers["n_in"][0]) * capacity if gathers else 0
    return n_gathered + _kernels.count_halves(plan, capacity)


def build_arena(
    entries: tuple[int, int], capacity: int, dtype: np.dtype, n_more: int = 0
) -> np.ndarray:
    """An arena for ``capacity`` rows.

    Parameters
    ----------
    entries : tuple of int
        What :func:`count_entries` says of the layers.
    capacity : int
        Rows worked on at a time.
    dtype : dtype
        float32 or float64.
    n_more : int, default=0
        What :func:`count_training_entries` says of them, for training.
    """
    per_row, behind = entries
    n_entries = per_row * capacity + behind + n_more
    if n_entries < _WORTH_ALIGNING:
        return np.empty(n_entries, dtype)
    return aligned_empty(n_entries, dtype)
