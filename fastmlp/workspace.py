"""Where things lie in memory: a network's tables, and the arena of one batch.

The layout is the contract between Python and the kernels; docs/contracts.md draws it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp._kernels import GROUP, LAYER, TENSOR
from fastmlp.layers import Geometry, geometries
from fastmlp.memory import aligned_empty

# What a layer has one of where it has it; −1: it has none.
_INTEGERS = tuple(name for name in LAYER.names or () if LAYER[name].kind == "i")

# Names of a geometry's numbers in the layer table.
_SIDES = {
    "shape": ("height", "width", "channels"),
    "out_shape": ("out_height", "out_width", "out_channels"),
    "kernel": ("kernel_height", "kernel_width"),
    "stride": ("stride_height", "stride_width"),
    "pads": ("pad_top", "pad_left"),
}

# Weights are penalised and decay, all other parameters neither.
GROUPS = np.array([(1.0, 1.0, 1.0), (1.0, 0.0, 0.0)], GROUP)
WEIGHTS, OTHERS = 0, 1

# Rows worked on at a time. More would leave the second-level cache, fewer would
# starve the matrix products.
BLOCK_ROWS = 1024

# Numbers of images worked on at a time, and what rows they are a multiple of: as many
# as threads may share.
BLOCK_OF_IMAGES = 1 << 20
WHOLE_IMAGES = 8

# Numbers from which on an arena is aligned: to find the boundary takes a microsecond,
# and one row's prediction a few.
_WORTH_ALIGNING = 1000


def block_rows(n_rows: int, plan: Any) -> int:
    """Rows worked on at a time, of so many.

    Parameters
    ----------
    n_rows : int
        All of them.
    plan : Plan
        Of the network: rows of images are long.
    """
    most = BLOCK_ROWS
    if plan.has_images:
        fit = BLOCK_OF_IMAGES // _kernels.count_block_columns(plan)
        most = max(WHOLE_IMAGES, min(most, fit // WHOLE_IMAGES * WHOLE_IMAGES))
    return min(most, max(1, n_rows))


def build_layers(
    architecture: Sequence[Any],
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
    architecture : sequence of int, tuple or kinds
        Inputs, then each layer (:func:`fastmlp.layers.check_architecture`).
    activations : sequence of str
        Activation of each layer that has one.
    n_targets : int
        Columns of the target matrix.
    activation_params : sequence of float, default=()
        Number of each layer's activation; empty for the defaults.
    dropout : sequence of float, default=()
        Share of units that is dropped, of each such layer but the last; empty for none.
    batch_norm : bool, default=False
        Whether the hidden layers are normalised.
    spread : bool, default=False
        Whether every hidden layer keeps z and σ(z) apart, as Hessian products need.
    """
    numbers = activation_params or [default_param(name) for name in activations]
    rates = [*(dropout or [0.0] * (len(activations) - 1)), 0.0]
    settings = zip(activations, numbers, rates, strict=True)
    layers: list[dict] = []
    apart: list[bool] = []
    for geometry in geometries(tuple(architecture)):
        name, number, rate = next(settings) if geometry.is_activated else _OF_OTHERS
        layers.append(_describe(geometry, name, number, rate))
        apart.append(name in _kernels.SLOPES_OF_Z or spread)
    apart[-1] = False
    _number_tensors(layers, layers[:-1] if batch_norm else [])
    _place_blocks(layers, apart, 2 * n_targets + 1)
    table = np.zeros(len(layers), LAYER)
    for name in table.dtype.names or ():
        table[name] = [layer[name] for layer in layers]
    return table


# Activation, its number and dropout of what pools or works on columns.
_OF_OTHERS = ("identity", 0.0, 0.0)

# Kinds by their tensors: none, W, or W and b.
_POOLING = tuple(_kernels.KINDS[name] for name in ("max_pool", "average_pool"))
_OF_COLUMNS = tuple(
    _kernels.KINDS[name]
    for name in ("scale", "periodic_embedding", "category_embedding")
)


def _describe(
    geometry: Geometry, activation: str, number: float, dropout: float
) -> dict[str, Any]:
    """A layer's record, but for what it has in memory."""
    sides = {
        name: side
        for group, names in _SIDES.items()
        for name, side in zip(names, getattr(geometry, group), strict=True)
    }
    return dict.fromkeys(_INTEGERS, -1) | {
        "kind": _kernels.KINDS[geometry.kind],
        "n_in": geometry.n_in,
        "n_out": geometry.n_out,
        "activation": _kernels.ACTIVATIONS[activation],
        "activation_param": number,
        "dropout": dropout,
        **sides,
    }


def default_param(activation: str) -> float:
    """The default of an activation's number; 0 for one without."""
    return _kernels.ACTIVATION_PARAMS.get(activation, ("", 0.0))[1]


def build_tensors(layers: np.ndarray) -> np.ndarray:
    """Where the parameters lie: all weights, then all biases, then the γ of normalised
    layers.
    """
    layers = layers[layers["n_tensors"] > 0]
    first, n_tensors = layers["tensors"], layers["n_tensors"]
    order = np.concatenate([first[n_tensors > i] + i for i in range(3)])
    tensors = np.zeros(len(order), TENSOR)
    tensors["rows"], tensors["group"] = 1, OTHERS
    tensors["columns"] = np.repeat(layers["out_channels"], n_tensors)
    of_columns = n_tensors == 1
    height, width = layers["kernel_height"], layers["kernel_width"]
    n_terms = height * width * layers["channels"]
    tensors["rows"][first] = np.where(of_columns, height, n_terms)
    tensors["columns"][first[of_columns]] = width[of_columns]
    tensors["group"][first] = WEIGHTS
    sizes = (tensors["rows"] * tensors["columns"])[order]
    tensors["offset"][order] = np.cumsum(sizes) - sizes
    return tensors


def build_plan(layers: np.ndarray) -> Any:
    """What the kernels are given of the layers."""
    return _kernels.Plan(layers, build_tensors(layers), GROUPS)


@lru_cache(maxsize=64)
def plan_of(
    architecture: tuple[Any, ...],
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
        architecture,
        activations,
        n_targets,
        activation_params=activation_params,
        dropout=dropout,
        batch_norm=batch_norm,
        spread=spread,
    )
    return build_plan(layers)


def _number_tensors(layers: Sequence[dict], normalized: Sequence[dict]) -> None:
    """A layer's W, b and γ one after the other; running moments where there is γ. What
    pools has none, what works on columns W only.
    """
    number = running = 0
    for layer in layers:
        if layer["kind"] in _POOLING:
            layer["tensors"] = layer["n_tensors"] = 0
            continue
        is_of_columns = layer["kind"] in _OF_COLUMNS
        layer["tensors"], layer["n_tensors"] = number, 1 if is_of_columns else 2
        if not is_of_columns and any(layer is other for other in normalized):
            layer["n_tensors"], layer["running"] = 3, running
            running += 2 * layer["out_channels"]
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
    and partial gradients.
    """
    n_gathered = int(plan.layers["n_in"][0]) * capacity if gathers else 0
    return n_gathered + _kernels.count_partials(plan, capacity)


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
