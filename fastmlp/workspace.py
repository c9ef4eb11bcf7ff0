"""Where things lie in memory: the layer table, and the arena of one batch.

The layout is the contract between Python and the kernels; docs/contracts.md draws it.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fastmlp import _kernels
from fastmlp.memory import aligned_empty

# −1: the layer has none.
_INTEGERS = (
    "n_in",
    "n_out",
    "weights",
    "biases",
    "gammas",
    "running",
    "normalized",
    "z",
    "a",
    "outputs",
    "deltas",
    "activation",
)
LAYER = np.dtype([*((name, np.intp) for name in _INTEGERS), ("dropout", np.float64)])

OBJECTIVE = np.dtype(
    [
        ("loss", np.intp),
        ("alpha", np.float64),
        ("l1_ratio", np.float64),
        ("cap", np.float64),
    ]
)

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
    dropout: Sequence[float] = (),
    batch_norm: bool = False,
    spread: bool = False,
) -> np.ndarray:
    """The layer table: where each layer's parameters and arena blocks begin.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, the inputs first.
    activations : sequence of str
        Activation of each layer but the inputs.
    n_targets : int
        Columns of the target matrix.
    dropout : sequence of float, default=()
        Share of each hidden layer's units that is dropped; empty for none.
    batch_norm : bool, default=False
        Whether the hidden layers are normalised.
    spread : bool, default=False
        Whether every hidden layer keeps z and σ(z) apart, as Hessian products need.
    """
    rates = [*(dropout or [0.0] * (len(layer_sizes) - 2)), 0.0]
    layers = [
        dict.fromkeys(_INTEGERS, -1)
        | {
            "n_in": n_in,
            "n_out": n_out,
            "activation": _kernels.ACTIVATIONS[name],
            "dropout": rate,
        }
        for (n_in, n_out), name, rate in zip(
            pairwise(layer_sizes), activations, rates, strict=True
        )
    ]
    _place_parameters(layers, layers[:-1] if batch_norm else [])
    apart = [name in _kernels.SLOPES_OF_Z or spread for name in activations]
    apart[-1] = False
    _place_blocks(layers, apart, 2 * n_targets + 1)
    return np.array([tuple(layer.values()) for layer in layers], dtype=LAYER)


def count_params(layers: np.ndarray) -> int:
    """Length of the parameter vector: weights, biases, γ of normalised layers."""
    n_out = layers["n_out"]
    n_gammas = n_out[layers["normalized"] >= 0].sum()
    return int(layers["biases"][-1] + n_out[-1] + n_gammas)


def count_stats(layers: np.ndarray) -> int:
    """Length of the vector of running moments."""
    return 2 * int(layers["n_out"][layers["normalized"] >= 0].sum())


def _place_parameters(layers: Sequence[dict], normalized: Sequence[dict]) -> None:
    """All weights, then all biases, then the γ of normalised layers."""
    place = running = 0
    for layer in layers:
        layer["weights"] = place
        place += layer["n_in"] * layer["n_out"]
    for layer in layers:
        layer["biases"] = place
        place += layer["n_out"]
    for layer in normalized:
        layer["gammas"], layer["running"] = place, running
        place += layer["n_out"]
        running += 2 * layer["n_out"]


def _place_blocks(layers: Sequence[dict], apart: Sequence[bool], column: int) -> None:
    """A layer's columns side by side, those of the layers one after the other."""
    for layer, z_apart in zip(layers, apart, strict=True):
        n_out = layer["n_out"]
        if layer["gammas"] >= 0:
            layer["normalized"] = column
            column += n_out
        layer["z"] = column
        column += n_out if z_apart else 0
        layer["a"] = column
        column += n_out if layer["dropout"] > 0 else 0
        layer["outputs"] = column
        layer["deltas"] = column + n_out
        column += 2 * n_out


def count_entries(layers: np.ndarray) -> tuple[int, int]:
    """Entries of an arena: for each of its rows, and behind them."""
    last = layers[-1]
    return int(last["deltas"] + last["n_out"]), _kernels.count_extras(layers)


def count_training_entries(layers: np.ndarray, capacity: int, *, gathers: bool) -> int:
    """Entries that training needs behind all others: inputs, if it gathers dense rows,
    and the gradient of second halves of blocks.
    """
    n_gathered = int(layers["n_in"][0]) * capacity if gathers else 0
    return n_gathered + _kernels.count_halves(layers, capacity)


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
