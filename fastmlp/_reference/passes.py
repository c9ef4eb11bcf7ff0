"""The passes over the network's layers, forward to the loss and backward from it.

Without a step they are those of inference: running moments and no dropout.
"""

from typing import NamedTuple

import numpy as np

from fastmlp._reference.activations import compute_activation, multiply_slope
from fastmlp._reference.batch_norm import (
    compute_moments,
    normalize,
    normalize_deltas,
    scale_and_shift,
)
from fastmlp._reference.kinds import (
    add_gradient,
    apply_weights,
    each_position,
    pull_back,
    scale_of_positions,
)
from fastmlp._reference.losses import evaluate_head
from fastmlp._reference.products import sum_columns
from fastmlp._reference.random import drop


class Step(NamedTuple):
    """What draws the masks in training: seed, number of the step, and where in its
    batch the first of the rows at work stands.
    """

    seed: int
    t: int
    first: int


def forward(network, X, scales=None, step=None):
    """Z = A W + b, or γ X̂ + b; A' = σ(Z). Of the last layer only Z. With a step as in
    training, where the rows' moments, weighted by scales, are put in the layers' own.
    """
    a = X
    for i, layer in enumerate(network):
        product = apply_weights(layer, layer.W, a)
        if layer.b is None:
            layer.z[...] = product
        elif layer.gammas is None:
            each_position(layer.z, layer)[...] = each_position(product, layer) + layer.b
        else:
            layer.normalized[...] = product
            _normalize(layer, scales, step)
        if layer is not network[-1]:
            layer.a[...] = compute_activation(
                layer.z, layer.activation, layer.activation_param
            )
            _drop(layer.outputs, layer.a, layer, i, step)
            a = layer.outputs


def _normalize(layer, scales, step):
    x = each_position(layer.normalized, layer)
    if step is not None:
        compute_moments(layer.moments, x, scale_of_positions(scales, layer))
    normalize(x, layer.moments)
    scale_and_shift(each_position(layer.z, layer), x, layer.gammas, layer.b)


def evaluate(batch, X, Y, objective, numbers, step=None):
    """Forward pass and head for a block of rows, its scales given."""
    forward(batch.layers, X, batch.scales, step)
    last = batch.layers[-1]
    evaluate_head(
        last.deltas,
        batch.losses,
        last.z,
        Y,
        batch.scales,
        numbers,
        objective["loss"][0],
        last.activation,
    )


def backward(gradients, network, X, scales=None, step=None):
    """From the last layer's δ, those below: δ = (δ' W'ᵀ) ⊙ mask/(1 − p) ⊙ σ'(Z), and
    on through the normalisation. Adds (Aᵀ δ, Σ δ, Σ δ ⊙ X̂) to the gradients.
    """
    for i in reversed(range(len(network))):
        layer, gradient = network[i], gradients[i]
        if layer is not network[-1]:
            above = network[i + 1]
            layer.deltas[...] = pull_back(above, above.W, above.deltas, layer.outputs)
            _drop(layer.deltas, layer.deltas, layer, i, step)
            multiply_slope(
                layer.deltas,
                layer.a,
                layer.z,
                layer.activation,
                layer.activation_param,
            )
        if layer.W is None:
            continue
        if layer.gammas is None and layer.b is not None:
            sum_columns(gradient.b, each_position(layer.deltas, layer), True)
        elif layer.gammas is not None:
            # Running moments are constants: as if no row weighed anything in them.
            weights = np.zeros(len(X)) if step is None else scales
            _propagate_through_moments(gradient, layer, weights)
        a = network[i - 1].outputs if i > 0 else X
        add_gradient(gradient.W, layer, layer.deltas, a)


def _propagate_through_moments(gradient, layer, scales):
    """δ = ∂J/∂Z becomes ∂J/∂(A W); adds ∂J/∂b and ∂J/∂γ to the gradient."""
    db, dgamma = np.empty((2, len(layer.b)))
    normalize_deltas(
        each_position(layer.deltas, layer),
        db,
        dgamma,
        each_position(layer.normalized, layer),
        scale_of_positions(scales, layer),
        layer.gammas,
        layer.moments,
    )
    gradient.b[:] += db
    gradient.gammas[:] += dgamma


def _drop(out, a, layer, i, step):
    """Set out = a, with the layer's dropout in training."""
    if step is None:
        out[...] = a
    else:
        drop(out, a, layer.dropout, step.seed, step.t, i, step.first)
