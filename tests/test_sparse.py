"""Compressed sparse rows: the model of dense ones, at the cost of their entries."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from builders import (
    build_arena,
    build_layers,
    build_objective,
    build_plan,
    build_rule,
    build_slots,
    count_params,
)
from comparison import TOLERANCES, assert_close
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits, make_multilabel_classification

import fastmlp
from fastmlp import Network, _kernels, _reference
from fastmlp.rows import as_inputs, count_rows
from fastmlp.threads import thread_team

DTYPES = ["float32", "float64"]
FORMATS = ["csr", "csc", "coo", "lil"]


def draw_sparse(rows, columns, dtype, density=0.3, seed=0):
    random = np.random.RandomState(seed)
    X = random.standard_normal((rows, columns)) * (random.rand(rows, columns) < density)
    X[rows // 2] = 0  # a row without an entry
    return X.astype(dtype)


def digits(dtype="float64"):
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(dtype)[:600], y[:600]


def train(module, X, n_columns, dtype, team=None, batch_size=9, capacity=7):
    """Some steps, the last short, with weights and more rows than the arena holds."""
    layers = build_layers([n_columns, 9, 3], "tanh", "softmax")
    params = (
        np.random.RandomState(1).standard_normal(count_params(layers)).astype(dtype)
    )
    slots, grads = build_slots("adam", len(params), dtype), np.zeros_like(params)
    rule = build_rule(
        "adam", learning_rate=0.01, decay_1=0.9, decay_2=0.99, epsilon=1e-3
    )
    objective = build_objective("log_loss", alpha=0.1)
    rows = count_rows(X)
    Y = (np.arange(rows) % 3).reshape(-1, 1).astype(dtype)
    weights = np.linspace(0.5, 2, rows).astype(dtype)
    order = np.random.RandomState(2).permutation(rows)
    arena = build_arena(layers, 1, capacity, dtype)
    state = (params, params[:0], grads, slots, rule, arena)
    data = (X, Y, weights, order, build_plan(layers), objective, np.zeros(3, dtype))
    total = module.train(*state, *data, batch_size, capacity, team)
    return total, params, grads, slots


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_native_is_the_reference(density, dtype):
    X = as_inputs(
        scipy.sparse.csr_array(draw_sparse(25, 30, dtype, density)), 30, dtype
    )
    native, reference = (train(m, X, 30, dtype) for m in (_kernels, _reference))
    assert native[0] == pytest.approx(reference[0], rel=TOLERANCES[np.dtype(dtype)])
    for mine, expected in zip(native[1:], reference[1:], strict=True):
        assert_close(mine, expected)


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [(9, 7), (25, 25), (100, 25), (300, 300)])
def test_threads_leave_the_bits_alone(rows, dtype):
    """Batches of one thread's rows, of several's, and of halves."""
    X = as_inputs(scipy.sparse.csr_array(draw_sparse(125, 300, dtype)), 300, dtype)
    alone = train(_kernels, X, 300, dtype, None, *rows)
    for n_threads in (2, 3):
        with thread_team(n_threads) as team:
            together = train(_kernels, X, 300, dtype, team, *rows)
        for mine, expected in zip(together, alone, strict=True):
            assert_array_equal(mine, expected)


def test_entries_that_stand_twice_are_added():
    twice = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [1, 0, 1], [0, 3]), shape=(1, 2))
    network = Network([2, 3, 1], random_state=0)
    dense = np.array([[2.0, 5.0]])
    assert_close(network.predict(twice), network.predict(dense))
    y = np.ones(1)
    assert_close(network.loss_and_grad(twice, y)[1], network.loss_and_grad(dense, y)[1])


def test_more_rows_than_one_block_holds():
    """Objective, gradient, Hessian and predictions read each block's own rows."""
    X = draw_sparse(2500, 6, "float64")
    y, weights = np.arange(2500) % 3, np.linspace(0.5, 2, 2500)
    network = Network([6, 4, 3], activation="tanh", loss="log_loss", random_state=0)
    sparse, direction = scipy.sparse.csr_array(X), np.ones_like(network.params)
    results = [
        [
            *network.loss_and_grad(rows, y, weights),
            network.loss(rows, y, weights),
            network.hessian_vector_product(rows, y, direction, weights),
            network.predict(rows),
            network.input_gradients(rows),
        ]
        for rows in (sparse, X)
    ]
    for mine, expected in zip(*results, strict=True):
        assert_close(mine, expected)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_and_dense_are_the_same_model(solver, dtype, format):
    X, y = digits(dtype)
    params = {"solver": solver, "max_iter": 8, "random_state": 0, "tol": 0}
    dense, sparse = (fastmlp.MLPClassifier(**params) for _ in range(2))
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        dense.fit(X, y)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        sparse.fit(scipy.sparse.coo_array(X).asformat(format), y)
    scale = 1 if solver != "lbfgs" else 1000  # eight line searches lengthen rounding
    limit = scale * 200 * np.finfo(dtype).eps
    for mine, expected in zip(sparse.coefs_, dense.coefs_, strict=True):
        assert np.abs(mine - expected).max() <= limit * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_same_model_as_scikit_learn(solver, early_stopping):
    X, y = digits()
    X = scipy.sparse.csr_array(X)
    params = {"solver": solver, "early_stopping": early_stopping, "max_iter": 15}
    models = []
    for module in (fastmlp, sklearn.neural_network):
        model = module.MLPClassifier(**params, random_state=1)
        models.append(model.fit(X, y))
    mine, theirs = models
    for a, b in zip(mine.coefs_, theirs.coefs_, strict=True):
        assert np.abs(a - b).max() <= 1e-10 * np.abs(b).max()
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(
        mine.predict_proba(X), theirs.predict_proba(X), atol=1e-10
    )


def test_partial_fit_and_sparse_labels():
    X, y = make_multilabel_classification(60, 10, random_state=0)
    model = fastmlp.MLPClassifier(random_state=0)
    rows = scipy.sparse.csr_array(X)
    model.partial_fit(rows, y, classes=np.arange(5))
    again = fastmlp.MLPClassifier(random_state=0)
    again.partial_fit(X, y, classes=np.arange(5))
    assert_close(model.coefs_[0], again.coefs_[0])
    assert_array_equal(model.predict(rows), again.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_dense_copy():
    """A fit holds the parameters and their slots, never 4000 × 20000 numbers."""
    X = scipy.sparse.random_array(
        (4000, 20_000), density=0.002, format="csr", dtype="float32", rng=0
    )
    y = np.arange(4000) % 2
    model = fastmlp.MLPClassifier(hidden_layer_sizes=(8,), max_iter=1, random_state=0)
    tracemalloc.start()
    model.fit(X, y)
    model.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 20_000 * 4 / 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("indices", [0, 30]),
        ("indices", [-1, 0]),
        ("indptr", [0, 3, 2]),
        ("indptr", [1, 1, 2]),
        ("indptr", [0, 2, 1]),
    ],
)
def test_broken_rows_are_refused(name, value):
    """What SciPy would let pass must not read outside."""
    parts = {"data": np.ones(2), "indices": [0, 1], "indptr": [0, 1, 2], name: value}
    X = (
        parts["data"],
        np.array(parts["indices"], np.intc),
        np.array(parts["indptr"], np.intp),
    )
    network = Network([30, 1], random_state=0)
    arena = np.zeros(1000)
    with pytest.raises(ValueError, match="compressed sparse rows"):
        _kernels.predict(
            np.zeros((2, 1)), arena, X, network.params, network.stats, network.plan, 2
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_entries_are_refused(value):
    X = scipy.sparse.csr_array([[0.0, value], [1.0, 0.0]])
    model = fastmlp.MLPClassifier()
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(X, [0, 1])
    assert not hasattr(model, "coefs_")
