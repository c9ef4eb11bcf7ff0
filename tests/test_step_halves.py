"""A training step by its public halves: Network.accumulate and Optimizer.apply."""

import numpy as np
import pytest

from fastmlp import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.trainer import Trainer

SETTINGS = {
    "plain": ({}, {}),
    "penalty": ({"alpha": 0.3, "l1_ratio": 0.4}, {"weight_decay": 0.1}),
    "dropout": ({"dropout": [0.4, 0.2]}, {}),
    "norm": ({"batch_norm": True}, {}),
    "all": (
        {"batch_norm": True, "dropout": 0.3, "alpha": 0.1},
        {"clip_norm": 0.05, "weight_decay": 0.1},
    ),
}
NAMES = ["sgd", "momentum", "adam", "nadam", "lion"]


def draw(n_rows, dtype, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 7)).astype(dtype)
    return X, np.sin(X[:, :2]), rng.uniform(0.2, 2, n_rows).astype(dtype)


def make(settings, name="momentum", dtype=np.float64):
    network_settings, numbers = SETTINGS[settings]
    network = Network([7, 20, 9, 2], dtype=dtype, random_state=3, **network_settings)
    optimizer = Optimizer(
        name, network.params.size, dtype, learning_rate=0.01, seed=5, **numbers
    )
    return network, optimizer


def assert_same_state(mine, theirs):
    for name in ("params", "stats"):
        np.testing.assert_array_equal(getattr(mine[0], name), getattr(theirs[0], name))
    for name in ("slots", "rule"):
        np.testing.assert_array_equal(getattr(mine[1], name), getattr(theirs[1], name))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_halves_are_steps_of_training(settings, name, dtype, weighted):
    """To the bit, the last batch short; weights are whole, so their sums are exact."""
    X, Y, weights = draw(52, dtype)
    weights = np.ceil(2 * weights) if weighted else None
    whole, halves = make(settings, name, dtype), make(settings, name, dtype)
    rows = ArrayRows((X, Y, weights))
    Trainer(*whole, rows, batch_size=20).run_epoch(np.arange(52))
    for begin in (0, 20, 40):
        part = slice(begin, begin + 20)
        some = None if weights is None else weights[part]
        batch = halves[0].accumulate(X[part], Y[part], some, optimizer=halves[1])
        halves[1].apply(halves[0], batch, batch_size=20)
    assert_same_state(halves, whole)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cuts", [[20], [1, 33], [10, 20, 30, 41]])
@pytest.mark.parametrize("settings", ["plain", "penalty", "dropout"])
def test_parts_of_a_batch_add_up(settings, cuts, weighted):
    """To rounding, masks included: rows keep their places in the batch."""
    X, Y, weights = draw(52, np.float64)
    weights = weights if weighted else None
    whole, parts = make(settings), make(settings)
    expected = whole[0].accumulate(X, Y, weights, optimizer=whole[1])
    total, batch = expected.total_weight, None
    for begin, end in zip([0, *cuts], [*cuts, 52], strict=True):
        some = None if weights is None else weights[begin:end]
        batch = parts[0].accumulate(
            X[begin:end],
            Y[begin:end],
            some,
            optimizer=parts[1],
            total_weight=total,
            into=batch,
        )
    np.testing.assert_allclose(batch.grad, expected.grad, rtol=1e-11, atol=1e-15)
    assert batch.loss == pytest.approx(expected.loss, rel=1e-12)
    assert batch.n_rows == 52
    np.testing.assert_array_equal(parts[0].params, whole[0].params)


def test_without_dropout_and_norm_it_is_the_gradient_of_the_data_term():
    X, Y, weights = draw(52, np.float64)
    network, optimizer = make("plain")
    batch = network.accumulate(X, Y, weights, optimizer=optimizer)
    value, grad = network.loss_and_grad(X, Y, weights)
    np.testing.assert_allclose(batch.grad, grad, rtol=1e-12, atol=1e-16)
    assert batch.loss == pytest.approx(value, rel=1e-13)


def test_normalised_parts_are_normalised_by_themselves():
    """Their mean gradient, and the mean of their moments: batches of 20 and of 32."""
    X, Y, _ = draw(52, np.float64)
    network, optimizer = make("norm")
    first = network.accumulate(X[:20], Y[:20], optimizer=optimizer)
    second = network.accumulate(X[20:], Y[20:], optimizer=optimizer)
    batch = network.accumulate(X[:20], Y[:20], optimizer=optimizer, total_weight=52)
    batch = network.accumulate(
        X[20:], Y[20:], optimizer=optimizer, total_weight=52, into=batch
    )
    for name in ("grad", "moments", "loss"):
        mean = (20 * getattr(first, name) + 32 * getattr(second, name)) / 52
        np.testing.assert_allclose(getattr(batch, name), mean, rtol=1e-12, atol=1e-16)
    moments = first.moments[:20], (X[:20] @ network.weights[0]).mean(axis=0)
    np.testing.assert_allclose(*moments, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("norm", [0.01, 0.5, 1e3])
def test_a_gradient_is_clipped_by_the_norm_that_is_given(norm):
    X, Y, _ = draw(52, np.float64)
    network, optimizer = make("plain", "sgd")
    optimizer.rule["clip_norm"] = 0.1
    before = network.params.copy()
    batch = network.accumulate(X, Y, optimizer=optimizer)
    optimizer.apply(network, batch, norm=norm)
    step = -0.01 * batch.grad * min(1, 0.1 / norm)
    np.testing.assert_allclose(network.params - before, step, rtol=1e-9, atol=1e-16)


def test_parts_must_weigh_the_same_in_all():
    X, Y, _ = draw(52, np.float64)
    network, optimizer = make("plain")
    batch = network.accumulate(X[:20], Y[:20], optimizer=optimizer, total_weight=52)
    before = batch.grad.copy()
    with pytest.raises(ValueError, match="same total_weight"):
        network.accumulate(X[20:], Y[20:], optimizer=optimizer, into=batch)
    np.testing.assert_array_equal(batch.grad, before)


@pytest.mark.parametrize(
    ("settings", "n_rows", "weights", "message"),
    [
        ("plain", 3, np.zeros(3), "total_weight"),
        ("norm", 1, None, "two rows"),
        ("plain", 0, None, "rows|total_weight"),
    ],
)
def test_a_batch_of_nothing_is_refused(settings, n_rows, weights, message):
    X, Y, _ = draw(n_rows, np.float64)
    network, optimizer = make(settings)
    with pytest.raises(ValueError, match=message):
        network.accumulate(X, Y, weights, optimizer=optimizer)


def test_the_new_numbers_reach_the_kernels():
    """leaky_relu's slope and tweedie's power, and their limits."""
    network = Network([1, 1, 1], activation="leaky_relu", negative_slope=0.3)
    for weights, biases in zip(network.weights, network.biases, strict=True):
        weights[...], biases[...] = 1, 0
    np.testing.assert_allclose(network.predict([[-2.0], [2.0]]), [[-0.6], [2.0]])
    leaky = network.with_output_activation("leaky_relu")
    network.weights[1] = [[-1.0]]
    np.testing.assert_allclose(leaky.predict([[-2.0], [2.0]]), [[0.6], [-0.6]])
    network = Network([1, 1], loss="tweedie", tweedie_power=1.2)
    network.params[:] = 0
    upper = 1 / (2 - 1.2) - 3 / (1 - 1.2) + 3**0.8 / ((1 - 1.2) * (2 - 1.2))
    assert network.loss([[1.0]], [3.0]) == pytest.approx(upper, rel=1e-13)
    for power in (1, 2.0, "x", np.nan, [1.2, 1.3]):
        with pytest.raises(ValueError, match="tweedie_power"):
            Network([1, 1], loss="tweedie", tweedie_power=power)
    for slope in (-0.1, np.inf, None):
        with pytest.raises(ValueError, match="negative_slope"):
            Network([1, 1, 1], activation="leaky_relu", negative_slope=slope)
