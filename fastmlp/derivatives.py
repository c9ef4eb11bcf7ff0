"""Derivatives of a network's outputs: by its parameters, and twice by its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastmlp import _kernels
from fastmlp.rows import Inputs, count_rows, take_rows
from fastmlp.threads import (
    PRODUCTS_OF_A_STEP,
    partition_rows,
    piece_rows,
    run_in_threads,
)
from fastmlp.workspace import build_arena

if TYPE_CHECKING:
    from fastmlp.network import Network

# Rows worked on at a time: an output's δ of them stay in the nearest caches.
ROWS = 64


def jacobian(network: Network, inputs: Inputs) -> np.ndarray:
    """∂outputₖ(xᵢ)/∂params of each row and output; see :meth:`Network.jacobian`.

    Parameters
    ----------
    network : Network
        Without normalised layers.
    inputs : ndarray or tuple
        Rows, as :func:`fastmlp.rows.as_inputs` makes them.
    """
    n_rows = count_rows(inputs)
    shape = n_rows, network.layer_sizes[-1], network.params.size
    out = np.empty(shape, network.dtype)

    def differentiate(rows: slice) -> None:
        arena = build_arena(network.arena_entries, ROWS, network.dtype)
        model = network.params, network.stats, network.plan
        _kernels.jacobian(out[rows], arena, take_rows(inputs, rows), *model, ROWS)

    ranges = partition_rows(n_rows, network.plan, ROWS)
    n_products = PRODUCTS_OF_A_STEP * network.layer_sizes[-1]
    run_in_threads(differentiate, ranges, piece_rows(network.plan, ROWS, n_products))
    return out


def input_hessians(network: Network, X: np.ndarray) -> np.ndarray:
    """∂²outputₖ/∂x² of each row; see :meth:`Network.input_hessians`.

    With Jₗ = ∂zₗ/∂x, and g the derivative of an output by what a layer puts out, an
    elementwise layer adds Jₗᵀ diag(g ⊙ σ''(zₗ)) Jₗ, and the output activation
    J_Lᵀ (∂²outputₖ/∂z_L²) J_L.

    Parameters
    ----------
    network : Network
        Batch normalisation is by the running moments: affine.
    X : ndarray of shape (n_samples, n_inputs)
        Rows, dense.
    """
    if network.has_images:
        raise ValueError("input_hessians needs a network of dense layers only")
    weights, biases = network.fold_batch_norm()
    numbers = network.activation_params
    layers = list(zip(network.activations, numbers, strict=False))
    a, J = (
        X,
        np.broadcast_to(np.eye(X.shape[1], dtype=X.dtype), (len(X), *[X.shape[1]] * 2)),
    )
    slopes, curvatures, jacobians = [], [], []
    for (name, number), W, b in zip(layers, weights, biases, strict=False):
        z, J = a @ W + b, np.einsum("nui,uv->nvi", J, W)
        a, slope, curvature = _derivatives(z, name, number)
        slopes.append(slope)
        curvatures.append(curvature)
        jacobians.append(J)
        J = slope[:, :, None] * J
    z, J = a @ weights[-1] + biases[-1], np.einsum("nui,uv->nvi", J, weights[-1])
    first, second = _output_derivatives(network, z)
    hessians = np.einsum("nui,nkuv,nvj->nkij", J, second, J)
    for layer in range(len(layers) - 1, -1, -1):
        first = first @ weights[layer + 1].T
        J = jacobians[layer]
        weighted = first * curvatures[layer][:, None, :]
        hessians += np.einsum("nku,nui,nuj->nkij", weighted, J, J, optimize=True)
        first = first * slopes[layer][:, None, :]
    return hessians


def _derivatives(
    z: np.ndarray, name: str, number: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """σ(z), σ'(z) and σ''(z) of an elementwise activation."""
    code = _kernels.ACTIVATIONS[name]
    z = np.ascontiguousarray(z)
    a, slope, curvature = z.copy(), np.ones_like(z), np.zeros_like(z)
    _kernels.activate(a, code, number)
    _kernels.multiply_slope(slope, a, z, code, number)
    ones = np.ones_like(z)
    _kernels.differentiate_slope(curvature, ones, ones, a, z, code, number)
    return a, slope, curvature


def _output_derivatives(
    network: Network, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """∂outputₖ/∂zᵤ and ∂²outputₖ/∂zᵤ∂zᵥ of each row."""
    n_outputs = z.shape[1]
    eye = np.eye(n_outputs, dtype=z.dtype)
    if network.output_activation != "softmax":
        number = network.activation_params[-1]
        _, slope, curvature = _derivatives(z, network.output_activation, number)
        first = slope[:, :, None] * eye
        second = np.einsum("nk,ku,kv->nkuv", curvature, eye, eye)
        return first, second
    p = np.ascontiguousarray(z)
    _kernels.activate(p, _kernels.ACTIVATIONS["softmax"])
    spread = eye - p[:, None, :]
    first = p[:, :, None] * spread
    covariance = p[:, :, None] * eye - p[:, :, None] * p[:, None, :]
    outer = np.einsum("nku,nkv->nkuv", spread, spread)
    return first, p[:, :, None, None] * (outer - covariance[:, None])
