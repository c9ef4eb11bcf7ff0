"""The network, its objective and its training, on the buffers of docs/contracts.md.

J = (1/m) Σᵢ wᵢ ℓᵢ + α/(2m) ‖W‖²,   m = Σᵢ wᵢ
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from fastmlp._kernels import ACTIVATIONS, count_units
from fastmlp._reference.activations import compute_activation, compute_slope
from fastmlp._reference.losses import evaluate_head
from fastmlp._reference.optimizers import update
from fastmlp._reference.products import multiply_tn, sum_columns
from fastmlp._reference.regularizers import sum_squares


def predict(out, arena, X, params, layers, capacity):
    """Set out (n, n_out) = the network's output for each row of X."""
    for rows in _split(len(out), capacity):
        X_rows, out_rows = take_rows(X, rows, layers), out[rows]
        hidden = view_layers(arena, layers[:-1], "outputs", len(X_rows), capacity)
        _forward([*hidden, out_rows], X_rows, params, layers)


def compute_loss(arena, X, Y, sample_weight, params, layers, loss, alpha, capacity):
    """J over all rows of X; 0 if they weigh nothing."""
    w = _weigh_rows(sample_weight, len(Y))
    m = float(w.sum())
    if m == 0:
        return 0.0
    value = _compute_penalty(params, layers, alpha / m)
    for rows in _split(len(Y), capacity):
        inputs = take_rows(X, rows, layers)
        blocks = view_arena(arena, layers, Y.shape[1], len(inputs), capacity)
        blocks.scales[:] = w[rows] / m
        _evaluate(blocks, inputs, Y[rows], params, layers, loss)
        value += _sum_losses(blocks, np.inf)
    return value


def compute_loss_and_gradient(
    grads, arena, X, Y, sample_weight, params, layers, loss, alpha, capacity
):
    """J over all rows of X, and grads = ∂J/∂params; both 0 if they weigh nothing."""
    w = _weigh_rows(sample_weight, len(Y))
    m = float(w.sum())
    grads[:] = 0
    if m == 0:
        return 0.0
    value = _compute_penalty(params, layers, alpha / m)
    for rows in _split(len(Y), capacity):
        inputs = take_rows(X, rows, layers)
        blocks = view_arena(arena, layers, Y.shape[1], len(inputs), capacity)
        blocks.scales[:] = w[rows] / m
        _evaluate(blocks, inputs, Y[rows], params, layers, loss)
        value += _sum_losses(blocks, np.inf)
        _add_gradient(grads, blocks, inputs, params, layers)
    W = slice(layers["biases"][0])
    grads[W] += alpha / m * params[W]
    return value


def train(
    params,
    grads,
    slots,
    rule,
    arena,
    X,
    Y,
    sample_weight,
    order,
    layers,
    loss,
    cap,
    batch_size,
    capacity,
    crew=None,
):
    """One step for each successive batch_size rows of order; returns Σ of J × rows,
    each J before its step, and no losses[i, k] counted for more than cap in it.
    """
    w = _weigh_rows(sample_weight, len(Y))
    W, b = slice(layers["biases"][0]), slice(layers["biases"][0], None)
    total = 0.0
    for batch in _split(len(order), batch_size):
        rows = order[batch]
        m = float(w[rows].sum())
        if m == 0:
            continue
        l2 = float(rule["alpha"][0]) / m
        value = _compute_penalty(params, layers, l2)
        value += _compute_batch_gradient(
            grads, arena, X, Y, w / m, rows, params, layers, loss, cap, capacity
        )
        rule["t"] += 1
        update(params[W], grads[W], slots[:, W], rule, l2)
        update(params[b], grads[b], slots[:, b], rule, 0)
        total += value * len(rows)
    return total


def _compute_batch_gradient(
    grads, arena, X, Y, scales, batch, params, layers, loss, cap, capacity
):
    """Gather the rows; set grads = their data gradient and return their data loss."""
    value = 0.0
    grads[:] = 0
    for part in _split(len(batch), capacity):
        rows = batch[part]
        blocks = view_arena(arena, layers, Y.shape[1], len(rows), capacity)
        inputs = take_rows(X, rows, layers)
        if not isinstance(X, tuple):
            blocks.inputs[...] = inputs
        blocks.targets[...] = Y[rows]
        blocks.scales[:] = scales[rows]
        _evaluate(blocks, inputs, blocks.targets, params, layers, loss)
        value += _sum_losses(blocks, cap)
        _add_gradient(grads, blocks, inputs, params, layers)
    return value


def take_rows(X, rows, layers):
    """Those rows of X, dense; X may be compressed sparse rows."""
    if isinstance(X, tuple):
        data, indices, indptr = X
        shape = (len(indptr) - 1, layers["n_in"][0])
        return csr_array((data, indices, indptr), shape)[rows].toarray()
    return X[rows]


class Blocks(NamedTuple):
    """Views of an arena's blocks; outputs and deltas have one a layer."""

    targets: np.ndarray
    scales: np.ndarray
    losses: np.ndarray
    inputs: np.ndarray
    outputs: list[np.ndarray]
    deltas: list[np.ndarray]


def view_arena(arena, layers, n_targets, rows, capacity):
    """The arena's blocks, for a batch of that many rows."""
    n_in, n_out = layers["n_in"][0], layers["n_out"][-1]
    n_columns = layers["deltas"][-1] + n_out
    inputs = arena[n_columns * capacity + count_units(layers) :][: rows * n_in]
    return Blocks(
        targets=_view_block(arena, 0, n_targets, rows, capacity),
        scales=_view_block(arena, n_targets, 1, rows, capacity)[:, 0],
        losses=_view_block(arena, n_targets + 1, n_out, rows, capacity),
        inputs=inputs.reshape(-1, n_in),
        outputs=view_layers(arena, layers, "outputs", rows, capacity),
        deltas=view_layers(arena, layers, "deltas", rows, capacity),
    )


def view_layers(arena, layers, field, rows, capacity):
    """The blocks of 'outputs' or 'deltas', (rows, n_out) for each layer."""
    return [
        _view_block(arena, layer[field], layer["n_out"], rows, capacity)
        for layer in layers
    ]


def view_weights(vector, layer):
    """The layer's W (n_in, n_out) in params, or in a vector laid out like it."""
    n_in, n_out = layer["n_in"], layer["n_out"]
    return vector[layer["weights"] :][: n_in * n_out].reshape(n_in, n_out)


def view_biases(vector, layer):
    """The layer's b (n_out,) in params, or in a vector laid out like it."""
    return vector[layer["biases"] :][: layer["n_out"]]


def _view_block(arena, column, n_columns, rows, capacity):
    block = arena[column * capacity :][: rows * n_columns]
    return block.reshape(rows, n_columns)


def _split(n, size):
    """Slices of n rows, size at a time; the last may be short."""
    return [slice(begin, begin + size) for begin in range(0, n, size)]


def _weigh_rows(sample_weight, n):
    """The weights in double: ones for None."""
    return np.ones(n) if sample_weight is None else sample_weight.astype(float)


def _compute_penalty(params, layers, l2):
    """½ l2 ‖W‖², with l2 = α/m; all weights stand before the first bias."""
    return l2 / 2 * sum_squares(params[: layers["biases"][0]])


def _forward(outputs, X, params, layers):
    """A⁰ = X; Aˡ = σ(Aˡ⁻¹ Wˡ + bˡ)."""
    a = X
    for out, layer in zip(outputs, layers, strict=True):
        z = np.matmul(a, view_weights(params, layer), dtype=float)
        out[...] = compute_activation(
            z + view_biases(params, layer), layer["activation"]
        )
        a = out


def _evaluate(blocks, X, Y, params, layers, loss):
    """Forward pass and head for a block of rows, its scales given."""
    linear_on_top = layers.copy()
    linear_on_top["activation"][-1] = ACTIVATIONS["identity"]
    _forward(blocks.outputs, X, params, linear_on_top)
    z, delta = blocks.outputs[-1], blocks.deltas[-1]
    activation = layers["activation"][-1]
    evaluate_head(delta, blocks.losses, z, Y, blocks.scales, loss, activation)


def _sum_losses(blocks, cap):
    """The data term of J: Σ scales[i] · min(losses[i, k], cap)."""
    losses = np.minimum(blocks.losses.astype(float), cap).sum(axis=1)
    return float(blocks.scales.astype(float) @ losses)


def _add_gradient(grads, blocks, X, params, layers):
    """δˡ = (δˡ⁺¹ Wˡ⁺¹ᵀ) ⊙ σ'(Zˡ); grads += (Aˡ⁻¹ᵀ δˡ, column sums of δˡ)."""
    outputs, deltas = blocks.outputs, blocks.deltas
    for i in reversed(range(len(layers) - 1)):
        W = view_weights(params, layers[i + 1])
        slope = compute_slope(outputs[i], layers["activation"][i])
        deltas[i][...] = np.matmul(deltas[i + 1], W.T, dtype=float) * slope
    for a, delta, layer in zip([X, *outputs[:-1]], deltas, layers, strict=True):
        multiply_tn(view_weights(grads, layer), a, delta, True)
        sum_columns(view_biases(grads, layer), delta, True)
