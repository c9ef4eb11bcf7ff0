"""The Hessian of J times a direction, without the Hessian.

B. A. Pearlmutter, "Fast exact multiplication by the Hessian", 1994: R{·}, the
derivative along the direction, is taken of every equation of both passes.
"""

import numpy as np

from fastmlp._reference.activations import differentiate_slope, multiply_slope
from fastmlp._reference.engine import weigh_penalty, weigh_rows
from fastmlp._reference.kinds import (
    add_gradient,
    apply_weights,
    each_position,
    pull_back,
)
from fastmlp._reference.layout import (
    split,
    take_rows,
    tensor_groups,
    view_batch,
    view_parameters,
)
from fastmlp._reference.losses import differentiate_head
from fastmlp._reference.passes import evaluate
from fastmlp._reference.products import sum_columns


def multiply_hessian(
    out,
    arena,
    r_arena,
    X,
    Y,
    sample_weight,
    params,
    direction,
    plan,
    objective,
    numbers,
    capacity,
    team=None,
):
    """Set out = H direction, H = ∂²J/∂params²; 0 if the rows weigh nothing."""
    w = weigh_rows(sample_weight, len(Y))
    m = float(w.sum())
    out[:] = 0
    if m == 0:
        return
    no_moments = [None] * len(plan.layers)
    for rows in split(len(Y), capacity):
        inputs = take_rows(X, rows, plan)
        size = Y.shape[1], len(inputs), capacity
        batch = view_batch(arena, plan, params, no_moments, *size)
        r_batch = view_batch(r_arena, plan, direction, no_moments, *size)
        batch.scales[:] = w[rows] / m
        evaluate(batch, inputs, Y[rows], objective, numbers)
        _differentiate_forward(r_batch.layers, batch.layers, inputs)
        _differentiate_head(r_batch, batch, Y[rows], objective, numbers)
        _differentiate_backward(
            view_parameters(out, plan), r_batch.layers, batch.layers, inputs
        )
    for place, group in tensor_groups(plan):
        _, l2 = weigh_penalty(objective, m, group)
        out[place] += l2 * direction[place]


def _differentiate_forward(r_network, network, X):
    """R{Z} = R{A} W + A R{W} + R{b}; R{A'} = σ'(Z) ⊙ R{Z}; R{X} = 0."""
    a, r_a = X, np.zeros_like(X)
    for layer, r in zip(network, r_network, strict=True):
        r_z = apply_weights(layer, layer.W, r_a, by=a)
        if layer.W is not None:
            r_z = r_z + apply_weights(layer, r.W, a)
            each_position(r_z, layer)[...] += r.b
        r.z[...] = r_z
        if layer is not network[-1]:
            r.a[...] = r.z
            multiply_slope(
                r.a, layer.a, layer.z, layer.activation, layer.activation_param
            )
            r.outputs[...] = r.a
            a, r_a = layer.outputs, r.outputs


def _differentiate_head(r_batch, batch, Y, objective, numbers):
    """R{δ} = scales ⊙ (∂²ℓ/∂z²) R{Z} of the last layer."""
    last, r_last = batch.layers[-1], r_batch.layers[-1]
    differentiate_head(
        r_last.deltas,
        r_last.z,
        last.z,
        Y,
        batch.scales,
        numbers,
        objective["loss"][0],
        last.activation,
    )


def _differentiate_backward(out, r_network, network, X):
    """With D = δ' W'ᵀ: δ = D ⊙ σ'(Z), R{D} = R{δ'} W'ᵀ + δ' R{W'}ᵀ,
    R{δ} = R{D} ⊙ σ'(Z) + D ⊙ σ''(Z) ⊙ R{Z}. Adds R{Aᵀ δ} = R{A}ᵀ δ + Aᵀ R{δ} and
    Σ R{δ} to out.
    """
    for i in reversed(range(len(network))):
        layer, r = network[i], r_network[i]
        if layer is not network[-1]:
            above, r_above = network[i + 1], r_network[i + 1]
            x = layer.outputs
            layer.deltas[...] = pull_back(above, above.W, above.deltas, x)
            r.deltas[...] = pull_back(above, above.W, r_above.deltas, x)
            if above.W is not None:
                r.deltas[...] += pull_back(above, r_above.W, above.deltas, x)
            rest = layer.a, layer.z, layer.activation, layer.activation_param
            differentiate_slope(r.deltas, layer.deltas, r.z, *rest)
            multiply_slope(layer.deltas, *rest)
        if layer.W is None:
            continue
        a = network[i - 1].outputs if i > 0 else X
        add_gradient(out[i].W, layer, r.deltas, a)
        if i > 0:
            add_gradient(out[i].W, layer, layer.deltas, r_network[i - 1].outputs)
        sum_columns(out[i].b, each_position(r.deltas, layer), True)
