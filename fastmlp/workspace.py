"""Where things lie in memory: the layer table, and the arena of one batch.

The layout is the contract between Python and the kernels; docs/contracts.md draws it.
"""

from collections.abc import Sequence

import numpy as np

from fastmlp import _kernels

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

# Rows worked on at a time. More would leave the second-level cache, fewer would
# starve the matrix products.
BLOCK_ROWS = 1024

_ALIGNMENT = 64


def aligned_empty(shape: int | tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised C-contiguous array that begins on a 64-byte boundary."""
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(n_bytes + _ALIGNMENT, dtype=np.uint8)
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + n_bytes].view(dtype).reshape(shape)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy that begins on a 64-byte boundary."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def build_layers(
    layer_sizes: Sequence[int], activations: Sequence[int], n_targets: int
) -> np.ndarray:
    """The layer table: where each layer's parameters and arena blocks begin.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, the inputs first.
    activations : sequence of int
        Activation code of each layer but the inputs.
    n_targets : int
        Columns of the target matrix.
    """
    layers = np.zeros(len(layer_sizes) - 1, dtype=LAYER)
    layers["n_in"], layers["n_out"] = layer_sizes[:-1], layer_sizes[1:]
    layers["activation"] = activations
    n_weights = layers["n_in"] * layers["n_out"]
    layers["weights"] = np.cumsum(n_weights) - n_weights
    layers["biases"] = n_weights.sum() + np.cumsum(layers["n_out"]) - layers["n_out"]
    column = n_targets + 1 + layer_sizes[-1]
    for layer in layers:
        layer["outputs"] = column
        layer["deltas"] = column + layer["n_out"]
        column += 2 * layer["n_out"]
    return layers


def build_arena(
    layers: np.ndarray, capacity: int, dtype: np.dtype, n_gathered: int = 0
) -> np.ndarray:
    """An arena for ``capacity`` rows.

    Parameters
    ----------
    layers : ndarray of LAYER
        The layer table.
    capacity : int
        Rows worked on at a time.
    dtype : dtype
        float32 or float64.
    n_gathered : int, default=0
        Inputs gathered for each row: those of the network where it trains on dense
        rows, none where X is sparse or read in place.
    """
    n_columns = int(layers["deltas"][-1] + layers["n_out"][-1]) + n_gathered
    return aligned_empty(n_columns * capacity + _kernels.count_units(layers), dtype)
