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
from fastmlp._reference.batch_norm import MOMENTUM, move_running_moments
from fastmlp._reference.kinds import pull_back
from fastmlp._reference.layout import (
    split,
    take_rows,
    tensor_groups,
    view_batch,
    view_layers,
    view_parameters,
    view_running_moments,
)
from fastmlp._reference.optimizers import update
from fastmlp._reference.passes import Step, backward, evaluate, forward
from fastmlp._reference.regularizers import (
    compute_penalty,
    differentiate_penalty,
    sum_squares,
)


def predict(out, arena, X, params, stats, plan, capacity):
    """Set out (n, n_out) = the network's output for each row of X."""
    moments = view_running_moments(stats, plan)
    for rows in split(len(out), capacity):
        inputs = take_rows(X, rows, plan)
        network = view_layers(arena, plan, params, moments, len(inputs), capacity)
        network[-1] = network[-1]._replace(z=out[rows])
        forward(network, inputs)
        last = network[-1]
        activate(out[rows], last.activation, last.activation_param)


def input_gradient(out, arena, X, V, params, stats, plan, capacity):
    """Set out (n, n_in) = Σₖ V[i, k] ∂outputₖ/∂xᵢ for each row of X."""
    moments = view_running_moments(stats, plan)
    unused = view_parameters(np.zeros_like(params), plan)
    for rows in split(len(out), capacity):
        inputs = take_rows(X, rows, plan)
        network = view_layers(arena, plan, params, moments, len(inputs), capacity)
        forward(network, inputs)
        last = network[-1]
        a = compute_activation(last.z, last.activation, last.activation_param)
        last.deltas[...] = V[rows]
        multiply_jacobian(
            last.deltas, a, last.z, last.activation, last.activation_param
        )
        backward(unused, network, inputs)
        out[rows] = pull_back(network[0], network[0].W, network[0].deltas, inputs)


def jacobian(out, arena, X, params, stats, plan, capacity):
    """Set out (n, n_out, n_params) = ∂outputₖ(xᵢ)/∂params, one row and one output at a
    time.
    """
    out[:] = 0
    moments = view_running_moments(stats, plan)
    for i in range(len(out)):
        inputs = take_rows(X, slice(i, i + 1), plan)
        for k, unit in enumerate(np.eye(out.shape[1])):
            network = view_layers(arena, plan, params, moments, 1, capacity)
            forward(network, inputs)
            last = network[-1]
            a = compute_activation(last.z, last.activation, last.activation_param)
            last.deltas[...] = unit
            multiply_jacobian(
                last.deltas, a, last.z, last.activation, last.activation_param
            )
            backward(view_parameters(out[i, k], plan), network, inputs)


def compute_loss(
    arena,
    out,
    X,
    Y,
    sample_weight,
    params,
    stats,
    plan,
    objective,
    numbers,
    capacity,
    team=None,
):
    """J over all rows of X; 0 if they weigh nothing. Unless None, out (n, n_out) is set
    to what predict gives. There is no team here.
    """
    if out is not None:
        predict(out, arena, X, params, stats, plan, capacity)
    return compute_loss_and_gradient(
        None,
        arena,
        X,
        Y,
        sample_weight,
        params,
        stats,
        plan,
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
    plan,
    objective,
    numbers,
    capacity,
    team=None,
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
    moments = view_running_moments(stats, plan)
    value = sum_penalties(params, plan, objective, m)
    for rows in split(len(Y), capacity):
        inputs = take_rows(X, rows, plan)
        batch = view_batch(
            arena, plan, params, moments, Y.shape[1], len(inputs), capacity
        )
        batch.scales[:] = w[rows] / m
        evaluate(batch, inputs, Y[rows], objective, numbers)
        value += _sum_losses(batch, np.inf)
        if grads is not None:
            backward(view_parameters(grads, plan), batch.layers, inputs)
    if grads is not None:
        grads += differentiate_penalties(params, plan, objective, m)
    return value


def compute_batch_gradient(
    grads,
    moments,
    arena,
    X,
    Y,
    sample_weight,
    params,
    rule,
    rows,
    plan,
    objective,
    numbers,
    total_weight,
    first_row,
    batch_size,
    capacity,
    team=None,
):
    """Set grads = the gradient of (1/total_weight) Σ wᵢ ℓᵢ over those rows of X, in
    training: by their own moments, which moments is set to, and the masks of the rule's
    next step, as if first_row rows of the batch stood before them. Returns that sum, no
    losses[i, k] counted for more than cap in it.
    """
    if len(moments) and len(rows) > capacity:
        raise ValueError("batch normalisation needs the whole batch in the arena")
    if len(moments) and len(rows) < 2:
        raise ValueError("batch normalisation needs two rows or more in every batch")
    w = weigh_rows(sample_weight, len(Y))
    gradients, views = view_parameters(grads, plan), view_running_moments(moments, plan)
    grads[:] = 0
    value = 0.0
    for part in split(len(rows), capacity):
        step = Step(rule["seed"][0], rule["t"][0] + 1, first_row + part.start)
        batch, inputs = _gather(
            arena, X, Y, w / total_weight, rows[part], params, views, plan, capacity
        )
        evaluate(batch, inputs, batch.targets, objective, numbers, step)
        value += _sum_losses(batch, objective["cap"][0])
        backward(gradients, batch.layers, inputs, batch.scales, step)
    return value


def apply(
    params,
    stats,
    grads,
    slots,
    rule,
    arena,
    moments,
    momentum,
    plan,
    objective,
    total_weight,
    capacity,
    norm=None,
    team=None,
):
    """Take the rule's next step along grads and the penalty's gradient, and move the
    running moments that part of the way to moments. norm, unless None, is what the
    gradient is clipped by in place of its own. Returns the penalty before the step.
    """
    rule["t"] += 1
    value = sum_penalties(params, plan, objective, total_weight)
    g = grads + differentiate_penalties(params, plan, objective, total_weight)
    norm, clip_norm = norm or math.sqrt(sum_squares(g)), rule["clip_norm"][0]
    scale = clip_norm / norm if norm > clip_norm else 1.0
    for place, group in tensor_groups(plan):
        own = rule.copy()
        own["learning_rate"] *= group["rate_factor"]
        decay = rule["weight_decay"][0] * group["decay_factor"]
        penalty = weigh_penalty(objective, total_weight, group)
        shrink = 1 - own["learning_rate"][0] * decay
        tensor = params[place], grads[place], slots[:, place]
        update(*tensor, own, *penalty, shrink, scale)
    move_running_moments(stats, moments, momentum)
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
    plan,
    objective,
    numbers,
    batch_size,
    capacity,
    team=None,
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
    moments = np.empty_like(stats)
    for part in split(len(order), batch_size):
        rows = order[part]
        m = float(w[rows].sum())
        if m == 0:
            continue
        value = compute_batch_gradient(
            *(grads, moments, arena, X, Y, sample_weight, params, rule, rows),
            *(plan, objective, numbers, m, 0, batch_size, capacity),
        )
        momentum = MOMENTUM * len(rows) / batch_size
        value += apply(
            *(params, stats, grads, slots, rule, arena, moments, momentum),
            *(plan, objective, m, capacity),
        )
        total += value * len(rows)
    return total


def weigh_rows(sample_weight, n):
    """The weights in double: ones for None."""
    return np.ones(n) if sample_weight is None else sample_weight.astype(float)


def weigh_penalty(objective, m, group):
    """l1 = αr/m and l2 = α(1 − r)/m of a group of parameters."""
    alpha, r = float(objective["alpha"][0]), float(objective["l1_ratio"][0])
    alpha *= group["penalty_factor"]
    return alpha * r / m, alpha * (1 - r) / m


def sum_penalties(params, plan, objective, m):
    """The penalty's part of J."""
    return sum(
        compute_penalty(params[place], *weigh_penalty(objective, m, group))
        for place, group in tensor_groups(plan)
    )


def differentiate_penalties(params, plan, objective, m):
    """Its gradient, in double."""
    gradient = np.zeros(params.shape)
    for place, group in tensor_groups(plan):
        penalty = weigh_penalty(objective, m, group)
        gradient[place] = differentiate_penalty(params[place], *penalty)
    return gradient


def _gather(arena, X, Y, scales, rows, params, moments, plan, capacity):
    """Those rows of X, Y and scales put into the arena; its blocks, and X's rows."""
    n_targets = Y.shape[1]
    batch = view_batch(arena, plan, params, moments, n_targets, len(rows), capacity)
    inputs = take_rows(X, rows, plan)
    if not isinstance(X, tuple):
        batch.inputs[...] = inputs
    batch.targets[...] = Y[rows]
    batch.scales[:] = scales[rows]
    return batch, inputs


def _sum_losses(batch, cap):
    """The data term of J: Σ scales[i] · min(losses[i, k], cap)."""
    losses = np.minimum(batch.losses.astype(float), cap).sum(axis=1)
    return float(batch.scales.astype(float) @ losses)
