"""Batch normalisation and batches that are short: what each weighs in the averages."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier, MLPRegressor, Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.trainer import Trainer

FIRST_ORDER = ("sgd", "adam", "adamw", "adagrad", "rmsprop")


def fit(model, *data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*data)


def draw(n_rows, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 4)) * [1, 3, 0.2, 1] + [0, 1, 5, -2]
    return X, np.sin(X[:, 0]) + X[:, 1]


def moments_at_rest(n_rows, batch_size, n_epochs=3, sample_weight=None):
    """Running averages of the only hidden layer, and its inputs, its parameters
    standing still."""
    X, y = draw(n_rows)
    network = Network([4, 5, 1], batch_norm=True, random_state=1)
    optimizer = Optimizer("sgd", network.params.size, float, learning_rate=0.0)
    Y = y.reshape(-1, 1)
    rows = ArrayRows((X, Y, sample_weight))
    trainer = Trainer(network, optimizer, rows, batch_size=batch_size)
    for _ in range(n_epochs):
        trainer.run_epoch(np.arange(n_rows))
    return network.stats.reshape(2, 5), X @ network.weights[0], optimizer


def average_moments(x, batches, whole, n_epochs=3):
    """Averages that begin at 0 and 1 and are moved by each batch's moments."""
    mean, variance = np.zeros(5), np.ones(5)
    for batch in batches * n_epochs:
        momentum = 0.1 * min(1, len(x[batch]) / whole)
        mean += momentum * (x[batch].mean(axis=0) - mean)
        variance += momentum * (x[batch].var(axis=0) - variance)
    return np.array([mean, variance])


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "ends"),
    [
        (201, 200, [201]),
        (202, 200, [200, 202]),
        (2001, 200, [*range(200, 1800, 200), 1800, 2001]),
        (10001, 2000, [2000, 4000, 6000, 8000, 10001]),
        (13, 4, [4, 8, 13]),
        (15, 4, [4, 8, 12, 15]),
        (9, 2, [2, 4, 6, 9]),
        (3, 2, [3]),
        (7, 100, [7]),
        (1200, 1150, [1150, 1200]),
    ],
)
def test_a_batch_moves_the_averages_by_its_rows(n_rows, batch_size, ends):
    actual, x, optimizer = moments_at_rest(n_rows, batch_size)
    batches = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
    whole = min(batch_size, n_rows)
    np.testing.assert_allclose(actual, average_moments(x, batches, whole), rtol=1e-10)
    assert optimizer.rule["t"] == 3 * len(ends)


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_rows_of_weight_zero_are_not_rows(shift):
    """They neither fill a batch nor leave a single row of one."""
    weights = np.zeros(60)
    weights[shift::7] = 1  # nine rows: four, and five, where one would be left over
    actual, x, optimizer = moments_at_rest(60, 4, sample_weight=weights)
    x = x[weights > 0]
    batches = [slice(0, 4), slice(4, 9)] if len(x) == 9 else [slice(0, 4), slice(4, 8)]
    np.testing.assert_allclose(actual, average_moments(x, batches, 4), rtol=1e-10)
    assert optimizer.rule["t"] == 6


@pytest.mark.parametrize("solver", FIRST_ORDER)
@pytest.mark.parametrize("n_rows", [41, 43, 60])
def test_a_fit_with_rows_of_weight_zero_is_a_fit_without_them(n_rows, solver):
    X, y = draw(n_rows)
    weights = np.linspace(0.5, 2, n_rows)
    settings = {"batch_norm": True, "batch_size": 10, "max_iter": 5, "shuffle": False}
    settings |= {"random_state": 0, "hidden_layer_sizes": (6, 5), "solver": solver}
    expected = fit(MLPRegressor(**settings), X, y, weights)
    place = np.random.RandomState(1).permutation(2 * n_rows)[:n_rows]
    place.sort()
    more_X, more_y = draw(2 * n_rows, seed=5)
    more_weights = np.zeros(2 * n_rows)
    more_X[place], more_y[place], more_weights[place] = X, y, weights
    model = fit(MLPRegressor(**settings), more_X, more_y, more_weights)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("n_rows", [201, 401, 601, 1001])
def test_a_leftover_row_costs_no_accuracy(n_rows):
    X, y = load_digits(return_X_y=True)
    X, scores = X / 16, []
    for rows in (n_rows - 1, n_rows):
        model = MLPClassifier((32,), batch_norm=True, max_iter=40, random_state=3)
        fit(model.set_params(learning_rate_init=5e-3), X[:rows], y[:rows])
        scores.append(model.score(X[1001:], y[1001:]))
    assert scores[1] > scores[0] - 0.015


def test_early_stopping_joins_a_leftover_row_too():
    """251 rows, of which 50 are held out; 201 are left to train on."""
    X, y = draw(251)
    model = MLPRegressor(
        hidden_layer_sizes=(8,), batch_norm=True, early_stopping=True, max_iter=30
    )
    model.set_params(validation_fraction=50, random_state=0, learning_rate_init=0.05)
    model.set_params(validation_fraction=50 / 251)
    assert fit(model, X, y).best_validation_score_ > 0.5


def single_row_cases():
    X, y = draw(30)
    last = np.zeros(30)
    last[-1] = 2.5
    return {
        "batch_size=1": ({"batch_size": 1}, "fit", (X, y)),
        "fit of one row": ({}, "fit", (X[:1], y[:1])),
        "partial_fit of one row": ({}, "partial_fit", (X[:1], y[:1])),
        "one row of weight": ({}, "fit", (X, y, last)),
        "one row of weight, small batches": ({"batch_size": 4}, "fit", (X, y, last)),
    }


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("case", single_row_cases())
def test_what_leaves_no_two_rows_is_refused_and_changes_nothing(case, shuffle):
    settings, method, data = single_row_cases()[case]
    model = MLPRegressor(hidden_layer_sizes=(5,), batch_norm=True, shuffle=shuffle)
    model.set_params(max_iter=3, random_state=0)
    X, y = draw(30)
    before = fit(model, X, y).predict(X)
    model.set_params(**settings)
    with pytest.raises(ValueError, match="batch_norm needs at least two rows"):
        getattr(model, method)(*data)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.n_iter_ == 3


def test_partial_fit_of_two_rows_at_a_time_learns():
    """Row by row the model would predict a constant; two by two it follows a line."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 2))
    y = X @ [1.0, -2.0]
    model = MLPRegressor(
        hidden_layer_sizes=(10,), batch_norm=True, learning_rate_init=0.01
    )
    model.set_params(random_state=0)
    for _ in range(4):
        for begin in range(0, 400, 20):
            model.partial_fit(X[begin : begin + 20], y[begin : begin + 20])
    assert model.score(X, y) > 0.8
