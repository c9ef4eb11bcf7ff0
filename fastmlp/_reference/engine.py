"""The network, its objective and its training, on the buffers of docs/contracts.md.

J = (1/m) Σᵢ wᵢ ℓᵢ + l1 ‖W‖₁ + ½ l2 ‖W‖²,   m = Σᵢ wᵢ, l1 = αr/m, l2 = α(1 − r)/m
"""

import math

import numpy as np

from fastmlp._reference.activations import (
    activate,
    compute_activation,
    multiply_jacobian,
)
from fastmlp._reference.batch_norm import move_running_moments
from fastmlp._reference.layout import (
    split,
    take_rows,
    view_batch,
    view_layers,
    view_parameters,
    view_running_moments,
    view_weights,
)
from fastmlp._reference.optimizers import update
from fastmlp._reference.passes import Step, backward, evaluate, forward
from fastmlp._reference.products import multiply
from fastmlp._reference.regularizers import (
    compute_penalty,
    differentiate_penalty,
    sum_squares,
)


def predict(out, arena, X, params, stats, layers, capacity):
    """Set out (n, n_out) = the network's output for each row of X."""
    moments = view_running_moments(stats, layers)
    for rows in split(len(out), capacity):
        inputs = take_rows(X, rows, layers)
        network = view_layers(arena, layers, params, moments, len(inputs), capacity)
        network[-1] = network[-1]._replace(z=out[rows])
        forward(network, inputs)
        activate(out[rows], layers["activation"][-1])


def input_gradient(out, arena, X, V, params, stats, layers, capacity):
    """Set out (n, n_in) = Σₖ V[i, k] ∂outputₖ/∂xᵢ for each row of X."""
    moments = view_running_moments(stats, layers)
    unused = view_parameters(np.zeros_like(params), layers)
    for rows in split(len(out), capacity):
        inputs = take_rows(X, rows, layers)
        network = view_layers(arena, layers, params, moments, len(inputs), capacity)
        forward(network, inputs)
        last = network[-1]
        a = compute_activation(last.z, last.activation)
        last.deltas[...] = V[rows]
        multiply_jacobian(last.deltas, a, last.z, last.activation)
        backward(unused, network, inputs)
        multiply(out[rows], network[0].deltas, network[0].W.T, False)


def compute_loss(
    arena,
    out,
    X,
    Y,
    sample_weight,
    params,
    stats,
    layers,
    objective,
    numbers,
    capacity,
    crew=None,
):
    """J over all rows of X; 0 if they weigh nothing. Unless None, out (n, n_out) is set
    to what predict gives. There is no crew here.
    """
    if out is not None:
        predict(out, arena, X, params, stats, layers, capacity)
    return compute_loss_and_gradient(
        None,
        arena,
        X,
        Y,
        sample_weight,
        params,
        stats,
        layers,
        objective,
        numbers,
        capacity,
    )


def compute_loss_and_gradient(
    grads,
    arena,
    X,
    Y,
    sample_weight,
    params,
    stats,
    layers,
    objective,
    numbers,
    capacity,
    crew=None,
):
    """J over all rows of X, and grads, unless None, = ∂J/∂params; both 0 if the rows
    weigh nothing.
    """
    w = weigh_rows(sample_weight, len(Y))
    m = float(w.sum())
    if grads is not None:
        grads[:] = 0
    if m == 0:
        return 0.0
    moments = view_running_moments(stats, layers)
    W, penalty = view_weights(params, layers), weigh_penalty(objective, m)
    value = compute_penalty(W, *penalty)
    for rows in split(len(Y), capacity):
        inputs = take_rows(X, rows, layers)
        batch = view_batch(
            arena, layers, params, moments, Y.shape[1], len(inputs), capacity
        )
        batch.scales[:] = w[rows] / m
        evaluate(batch, inputs, Y[rows], objective, numbers)
        value += _sum_losses(batch, np.inf)
        if grads is not None:
            backward(view_parameters(grads, layers), batch.layers, inputs)
    if grads is not None:
        view_weights(grads, layers)[:] += differentiate_penalty(W, *penalty)
    return value


def train(
    params,
    stats,
    grads,
    slots,
    rule,
    arena,
    X,
    Y,
    sample_weight,
    order,
    layers,
    objective,
    numbers,
    batch_size,
    capacity,
    crew=None,
    total=0.0,
):
    """One step for each successive batch_size rows of order; returns total + Σ of
    J × rows, each J before its step, no losses[i, k] counted for more than cap in it.
    """
    if len(stats) and min(batch_size, len(order)) > capacity:
        raise ValueError("batch normalisation needs the whole batch in the arena")
    if len(stats) and 1 in (batch_size, len(order) % batch_size):
        raise ValueError("batch normalisation needs two rows or more in every batch")
    w = weigh_rows(sample_weight, len(Y))
    W, gradients = view_weights(params, layers), view_parameters(grads, layers)
    batch_stats = np.empty_like(stats)
    moments = view_running_moments(batch_stats, layers)
    for batch_rows in split(len(order), batch_size):
        rows = order[batch_rows]
        m = float(w[rows].sum())
        if m == 0:
            continue
        rule["t"] += 1
        penalty = weigh_penalty(objective, m)
        value = compute_penalty(W, *penalty)
        grads[:] = 0
        for part in split(len(rows), capacity):
            step = Step(rule["seed"][0], rule["t"][0], part.start)
            batch, inputs = _gather(
                arena, X, Y, w / m, rows[part], params, moments, layers, capacity
            )
            evaluate(batch, inputs, batch.targets, objective, numbers, step)
            value += _sum_losses(batch, objective["cap"][0])
            backward(gradients, batch.layers, inputs, batch.scales, step)
        move_running_moments(stats, batch_stats, len(rows) / batch_size)
        _take_step(params, grads, slots, rule, layers, penalty)
        total += value * len(rows)
    return total


def weigh_rows(sample_weight, n):
    """The weights in double: ones for None."""
    return np.ones(n) if sample_weight is None else sample_weight.astype(float)


def weigh_penalty(objective, m):
    """l1 = αr/m and l2 = α(1 − r)/m."""
    alpha, r = float(objective["alpha"][0]), float(objective["l1_ratio"][0])
    return alpha * r / m, alpha * (1 - r) / m


def _gather(arena, X, Y, scales, rows, params, moments, layers, capacity):
    """Those rows of X, Y and scales put into the arena; its blocks, and X's rows."""
    n_targets = Y.shape[1]
    batch = view_batch(arena, layers, params, moments, n_targets, len(rows), capacity)
    inputs = take_rows(X, rows, layers)
    if not isinstance(X, tuple):
        batch.inputs[...] = inputs
    batch.targets[...] = Y[rows]
    batch.scales[:] = scales[rows]
    return batch, inputs


def _sum_losses(batch, cap):
    """The data term of J: Σ scales[i] · min(losses[i, k], cap)."""
    losses = np.minimum(batch.losses.astype(float), cap).sum(axis=1)
    return float(batch.scales.astype(float) @ losses)


def _take_step(params, grads, slots, rule, layers, penalty):
    """One step along the clipped gradient; the weights, and only they, decay."""
    W = view_weights(params, layers)
    g = grads.astype(float)
    g[: len(W)] += differentiate_penalty(W, *penalty)
    norm, clip_norm = math.sqrt(sum_squares(g)), rule["clip_norm"][0]
    scale = clip_norm / norm if norm > clip_norm else 1.0
    shrink = 1 - rule["learning_rate"][0] * rule["weight_decay"][0]
    w, b = slice(len(W)), slice(len(W), None)
    update(params[w], grads[w], slots[:, w], rule, *penalty, shrink, scale)
    update(params[b], grads[b], slots[:, b], rule, 0, 0, 1, scale)
