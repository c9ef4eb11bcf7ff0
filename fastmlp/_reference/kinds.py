"""What a layer makes of its inputs before its bias, by kind, and the way back."""

import numpy as np

from fastmlp._kernels import KINDS
from fastmlp._reference.columns import (
    apply_to_columns,
    differentiate_columns,
    pull_back_columns,
)
from fastmlp._reference.images import (
    convolve,
    convolve_back,
    differentiate_kernel,
    pool,
    pool_back,
    view_images,
)
from fastmlp._reference.products import multiply

DENSE, CONV = KINDS["dense"], KINDS["conv"]
OF_COLUMNS = [
    KINDS[name] for name in ("scale", "periodic_embedding", "category_embedding")
]


def apply_weights(layer, W, x, by=None):
    """A W, K ⋆ x or the pooled x, in double; `by` chooses among pixels for x."""
    if layer.kind == DENSE:
        return np.matmul(x, W, dtype=float)
    if layer.kind in OF_COLUMNS:
        return apply_to_columns(x.astype(float), W.astype(float), layer)
    images = view_images(x, layer.shape)
    if layer.kind == CONV:
        out = convolve(images, W.reshape(layer.kernel_shape), layer)
    else:
        by = images if by is None else view_images(by, layer.shape)
        out = pool(images, by, layer)
    return out.reshape(len(x), -1)


def pull_back(layer, W, delta, x):
    """∂J/∂x of the inputs x, from δ."""
    if layer.kind == DENSE:
        return np.matmul(delta, W.T, dtype=float)
    if layer.kind in OF_COLUMNS:
        return pull_back_columns(*(a.astype(float) for a in (delta, x, W)), layer)
    delta = view_images(delta, layer.out_shape)
    if layer.kind == CONV:
        out = convolve_back(delta, W.reshape(layer.kernel_shape), layer)
    else:
        out = pool_back(delta, view_images(x, layer.shape), layer)
    return out.reshape(len(x), -1)


def add_gradient(out, layer, delta, x):
    """Out += ∂J/∂W."""
    if layer.kind == DENSE:
        multiply(out, x.T, delta, True)
    elif layer.kind in OF_COLUMNS:
        out += differentiate_columns(
            *(a.astype(float) for a in (delta, x, layer.W)), layer
        )
    else:
        images = view_images(x, layer.shape), view_images(delta, layer.out_shape)
        out += differentiate_kernel(*images, layer).reshape(out.shape)


def each_position(block, layer):
    """Rows of outputs as one row for each position."""
    return block.reshape(-1, layer.out_shape[2])


def scale_of_positions(scales, layer):
    """The rows' scales, an equal part for each position."""
    n_positions = layer.out_shape[0] * layer.out_shape[1]
    return np.repeat(scales.astype(float) / n_positions, n_positions)
