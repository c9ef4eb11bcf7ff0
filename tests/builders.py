"""Layer tables, arenas and rules for the tests, laid out as docs/contracts.md says."""

from itertools import pairwise

import numpy as np

from fastmlp._kernels import (
    ACTIVATION_PARAMS,
    ACTIVATIONS,
    LEAST_TARGETS,
    LOSS_PARAMS,
    LOSSES,
    OPTIMIZERS,
    SLOPES_OF_Z,
    SLOTS,
    Plan,
    count_extras,
    count_partials,
)

# The contract's records, spelt out; test_kernels.py compares the kernels' own.
_INT, _FLOAT = np.intp, np.float64
RECORDS = {
    "GROUP": [
        ("rate_factor", _FLOAT),
        ("decay_factor", _FLOAT),
        ("penalty_factor", _FLOAT),
    ],
    "TENSOR": [(name, _INT) for name in ("offset", "rows", "columns", "group")],
    "LAYER": [
        ("kind", _INT),
        ("n_in", _INT),
        ("n_out", _INT),
        ("tensors", _INT),
        ("n_tensors", _INT),
        ("running", _INT),
        ("normalized", _INT),
        ("z", _INT),
        ("a", _INT),
        ("outputs", _INT),
        ("deltas", _INT),
        ("activation", _INT),
        ("activation_param", _FLOAT),
        ("dropout", _FLOAT),
        ("height", _INT),
        ("width", _INT),
        ("channels", _INT),
        ("kernel_height", _INT),
        ("kernel_width", _INT),
        ("stride_height", _INT),
        ("stride_width", _INT),
        ("pad_top", _INT),
        ("pad_left", _INT),
        ("out_height", _INT),
        ("out_width", _INT),
        ("out_channels", _INT),
    ],
    "RULE": [
        ("optimizer", _INT),
        ("t", _INT),
        ("seed", _INT),
        ("learning_rate", _FLOAT),
        ("decay_1", _FLOAT),
        ("decay_2", _FLOAT),
        ("epsilon", _FLOAT),
        ("weight_decay", _FLOAT),
        ("clip_norm", _FLOAT),
        ("dropout_factor", _FLOAT),
    ],
    "SCHEDULED": [
        ("learning_rate", _FLOAT),
        ("decay_1", _FLOAT),
        ("weight_decay", _FLOAT),
        ("dropout_factor", _FLOAT),
    ],
    "OBJECTIVE": [
        ("loss", _INT),
        ("alpha", _FLOAT),
        ("l1_ratio", _FLOAT),
        ("cap", _FLOAT),
    ],
}
GROUP, TENSOR, LAYER, RULE, SCHEDULED, OBJECTIVE = map(np.dtype, RECORDS.values())
# Weights, and all others.
GROUPS = np.array([(1, 1, 1), (1, 0, 0)], GROUP)


def count_targets(n_out, output_activation, loss="log_loss"):
    """Columns of Y: the class index of log_loss under softmax, else one an output."""
    return 1 if (loss, output_activation) == ("log_loss", "softmax") else n_out


def draw_targets(rows, n_out, loss, output, dtype, seed=1):
    """Targets that the loss takes, encoded for the network."""
    random = np.random.RandomState(seed)
    if loss == "cross_entropy":
        return random.dirichlet(np.ones(n_out), rows).astype(dtype)
    if output == "softmax":
        return random.randint(0, n_out, (rows, 1)).astype(dtype)
    if loss == "log_loss":
        return random.randint(0, 2, (rows, n_out)).astype(dtype)
    if loss in LEAST_TARGETS:
        least, taken = LEAST_TARGETS[loss]
        counts = least + random.poisson(2, (rows, n_out)) + (0 if taken else 0.5)
        return counts.astype(dtype)
    return random.standard_normal((rows, n_out)).astype(dtype)


def build_layers(
    sizes,
    hidden_activation,
    output_activation,
    dropout=0.0,
    batch_norm=False,
    spread=False,
    loss="log_loss",
):
    """The layer table of a network; sizes are those of the inputs and each layer.

    hidden_activation and dropout may be lists, an entry a hidden layer. Where spread,
    every hidden layer keeps z and σ(z) apart.
    """
    layers = np.zeros(len(sizes) - 1, LAYER)
    hidden = layers[:-1]
    names = np.broadcast_to(np.asarray(hidden_activation, object), hidden.shape)
    hidden["activation"] = [ACTIVATIONS[name] for name in names]
    hidden["activation_param"] = [default_param(name) for name in names]
    hidden["dropout"] = dropout
    layers["activation"][-1] = ACTIVATIONS[output_activation]
    number_tensors(layers, sizes, batch_norm)
    column = 2 * count_targets(sizes[-1], output_activation, loss) + 1
    for layer, name in zip(hidden, names, strict=True):
        z_apart, a_apart = spread or name in SLOPES_OF_Z, layer["dropout"] > 0
        column = place_blocks(layer, column, batch_norm, z_apart, a_apart)
    place_blocks(layers[-1], column, False, False, False)
    return layers


def default_param(activation):
    """What an activation's number is unless another is given; 0 without one."""
    return ACTIVATION_PARAMS[activation][1] if activation in ACTIVATION_PARAMS else 0


# The same by code; of what is no code, 0.
PARAMS = dict.fromkeys((-1, 99), 0) | {
    code: default_param(name) for name, code in ACTIVATIONS.items()
}


def number_tensors(layers, sizes, batch_norm):
    """W, b and the hidden layers' γ of each layer; their moments' places in stats."""
    tensor = stat = 0
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        normalized = batch_norm and i < len(layers) - 1
        layer = layers[i]
        layer["n_in"], layer["n_out"] = n_in, n_out
        describe_as_pixel(layer)
        layer["tensors"], layer["n_tensors"] = tensor, 2 + normalized
        layer["running"] = stat if normalized else -1
        tensor += 2 + normalized
        stat += 2 * n_out * normalized


def describe_as_pixel(layer):
    """A dense layer's inputs are the channels of one pixel, and so are its outputs."""
    for name in ("height", "width", "kernel_height", "kernel_width"):
        layer[name] = 1
    for name in ("stride_height", "stride_width", "out_height", "out_width"):
        layer[name] = 1
    layer["channels"], layer["out_channels"] = layer["n_in"], layer["n_out"]


def build_tensors(layers):
    """Offsets in params: all W, all b, then the hidden layers' γ."""
    weight = 0
    bias = int((layers["n_in"] * layers["n_out"]).sum())
    gamma = bias + int(layers["n_out"].sum())
    tensors = []
    for layer in layers:
        n_in, n_out = int(layer["n_in"]), int(layer["n_out"])
        tensors += [(weight, n_in, n_out, 0), (bias, 1, n_out, 1)]
        weight, bias = weight + n_in * n_out, bias + n_out
        if layer["n_tensors"] == 3:
            tensors.append((gamma, 1, n_out, 1))
            gamma += n_out
    return np.array(tensors, TENSOR)


def build_plan(layers):
    """What the kernels are given of the layers."""
    return Plan(layers, build_tensors(layers), GROUPS)


def place_blocks(layer, column, normalized, z_apart, a_apart):
    """A layer's blocks from that column on; returns the first column behind them."""
    n = layer["n_out"]
    layer["normalized"] = column if normalized else -1
    layer["z"] = column + n * normalized
    layer["a"] = layer["z"] + n * z_apart
    layer["outputs"] = layer["a"] + n * a_apart
    layer["deltas"] = layer["outputs"] + n
    return layer["deltas"] + n


def count_params(layers):
    """Length of params."""
    n_gammas = layers["n_out"][layers["n_tensors"] == 3].sum()
    n_weights = (layers["n_in"] * layers["n_out"]).sum()
    return int(n_weights + layers["n_out"].sum() + n_gammas)


def arena_columns(layers, n_targets):
    """Targets, scales, losses, then each layer's blocks, a shared one counted once."""
    blocks = layers[["normalized", "z", "a", "outputs", "deltas"]]
    n_own = [len({column for column in layer if column >= 0}) for layer in blocks]
    return int(2 * n_targets + 1 + n_own @ layers["n_out"])


def build_arena(layers, n_targets, capacity, dtype=float):
    """An arena poisoned with NaN: columns, the engine's extras, gathered inputs, and
    the gradient of halves."""
    n_columns = arena_columns(layers, n_targets) + int(layers["n_in"][0])
    plan = build_plan(layers)
    n_behind = count_extras(plan) + count_partials(plan, capacity)
    return np.full(n_columns * capacity + n_behind, np.nan, dtype)


def build_stats(layers, dtype=float):
    """Running means of zero and variances of one, as before the first step."""
    stats = np.zeros(2 * layers["n_out"][layers["running"] >= 0].sum(), dtype)
    for layer in layers[layers["running"] >= 0]:
        stats[layer["running"] + layer["n_out"] :][: layer["n_out"]] = 1
    return stats


def build_rule(optimizer, **numbers):
    """A rule before its first step, nothing clipped; numbers left out are zero."""
    rule = np.zeros(1, RULE)
    rule["optimizer"] = OPTIMIZERS[optimizer]
    rule["clip_norm"], rule["dropout_factor"] = np.inf, 1
    for name, value in numbers.items():
        rule[name] = value
    return rule


def build_objective(loss, alpha=0.0, l1_ratio=0.0, cap=np.inf):
    """The objective of that loss."""
    return np.array([(LOSSES[loss], alpha, l1_ratio, cap)], OBJECTIVE)


def build_numbers(loss, n_out, dtype=float):
    """Another number for every output within a finite range, 0.7 from 0 on; zeros for a
    loss without."""
    if loss not in LOSS_PARAMS:
        return np.zeros(n_out, dtype)
    *_, low, high = LOSS_PARAMS[loss]
    if not np.isfinite(high):
        return np.full(n_out, low + 0.7, dtype)
    parts = (np.arange(n_out) + 0.6) / (n_out + 0.5)
    return (low + (high - low) * parts).astype(dtype)


def build_slots(optimizer, n_params, dtype=float):
    """Optimizer state before the first step, its rows apart from one another."""
    return np.zeros((SLOTS[optimizer], n_params + 3), dtype)[:, :n_params]
