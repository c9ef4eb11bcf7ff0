"""Jacobians and input Hessians, and the solver that stands on the first."""

import time

import numpy as np
import pytest
import scipy.optimize
from fits import fit, minimise
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, MLPRegressor, Network, _kernels, _reference
from fastmlp.workspace import build_arena

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SMOOTH = [name for name in _kernels.HIDDEN_ACTIVATIONS if name not in ("relu",)]
OUTPUTS = sorted({output for outputs in _kernels.HEADS.values() for output in outputs})


def network(activation="tanh", output=None, dtype=np.float64, sizes=(4, 6, 5, 3)):
    loss = "log_loss" if output == "softmax" else "squared_error"
    made = Network(
        list(sizes),
        activation=activation,
        loss=loss,
        output_activation=output,
        dtype=dtype,
        random_state=0,
    )
    random = np.random.RandomState(1)
    made.params[:] = random.standard_normal(made.params.size) * 0.6
    return made


def rows(n=7, n_columns=4, seed=2):
    return np.random.RandomState(seed).standard_normal((n, n_columns))


def by_differences(f, x, step):
    """∂f/∂x of an f that gives arrays, by central differences."""
    columns = []
    for i in range(x.size):
        up, down = x.copy(), x.copy()
        up.flat[i] += step
        down.flat[i] -= step
        columns.append((f(up) - f(down)) / (2 * step))
    return np.stack(columns, axis=-1)


def outputs_at(made, X):
    def outputs(params):
        twin = made.copy()
        twin.params[:] = params
        return twin.predict(X)

    return outputs


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", SMOOTH)
def test_jacobian_is_the_differential(activation, output):
    made, X = network(activation, output), rows()
    expected = by_differences(outputs_at(made, X), made.params, 1e-6)
    # hardsigmoid and hardswish have kinks: rows that lie on one are not drawn.
    assert_allclose(made.jacobian(X), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("capacity", [1, 3, 64])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_native_jacobian_is_the_twins(dtype, capacity, is_sparse):
    made = network("silu", "logistic", dtype)
    X = np.where(rows() > 0, rows(), 0).astype(dtype)
    inputs = X
    if is_sparse:
        matrix = csr_array(X)
        indices, indptr = matrix.indices.astype(np.intc), matrix.indptr.astype(np.intp)
        inputs = matrix.data, indices, indptr
    found, expected = (np.full((7, 3, made.params.size), np.nan, dtype) for _ in "ab")
    for module, out in ((_kernels, found), (_reference, expected)):
        arena = build_arena(made.arena_entries, capacity, np.dtype(dtype))
        model = made.params, made.stats, made.plan
        module.jacobian(out, arena, inputs, *model, capacity)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_jacobian_of_a_linear_network():
    X = rows()
    made = Network([4, 2], loss="squared_error")
    weights = np.zeros((7, 2, 4, 2))
    weights[:, 0, :, 0] = weights[:, 1, :, 1] = X
    biases = np.broadcast_to(np.eye(2), (7, 2, 2))
    expected = np.concatenate([weights.reshape(7, 2, 8), biases], axis=2)
    assert_allclose(made.jacobian(X), expected, rtol=1e-15)
    assert_allclose(made.jacobian(csr_array(X)), expected, rtol=1e-15)


def test_jacobian_many_rows_have_the_bits_of_few():
    made = network()
    X = rows(300)
    whole = made.jacobian(X)
    parts = [made.jacobian(X[i : i + 64]) for i in range(0, 300, 64)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert made.jacobian(X[:0]).shape == (0, 3, made.params.size)


def test_jacobian_of_normalised_layers_is_refused():
    made = Network([4, 3, 1], loss="squared_error", batch_norm=True)
    with pytest.raises(ValueError, match="batch_norm"):
        made.jacobian(rows())
    out = np.empty((7, 1, made.params.size))
    arena = build_arena(made.arena_entries, 7, made.dtype)
    model = made.params, made.stats, made.plan
    with pytest.raises(ValueError, match="normalised"):
        _kernels.jacobian(out, arena, rows(), *model, 7)


@pytest.mark.parametrize("change", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_jacobian_of_another_shape_is_refused(change):
    made = network()
    shape = np.add((7, 3, made.params.size), change)
    arena = build_arena(made.arena_entries, 7, made.dtype)
    model = made.params, made.stats, made.plan
    with pytest.raises(ValueError, match="wrong shape"):
        _kernels.jacobian(np.empty(shape), arena, rows(), *model, 7)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", SMOOTH)
def test_input_hessians_are_second_differentials(activation, output, batch_norm):
    loss = "log_loss" if output == "softmax" else "squared_error"
    made = Network(
        [3, 5, 4, 2],
        activation=activation,
        loss=loss,
        output_activation=output,
        batch_norm=batch_norm,
        random_state=3,
    )
    X = rows(4, 3)
    expected = np.stack(
        [
            by_differences(lambda x: made.input_gradients(x[None])[0], row, 1e-5)
            for row in X
        ]
    )
    assert_allclose(made.input_hessians(X), expected, rtol=1e-5, atol=1e-6)


def test_input_hessians_of_sparse_rows_are_refused():
    with pytest.raises(TypeError, match="dense"):
        network().input_hessians(csr_array(rows()))


# -- the solver


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


def friedman():
    X, y = make_friedman1(400, random_state=0)
    return scale(X), scale(y)


def sine():
    x = np.linspace(-3, 3, 200)[:, None]
    return x, np.sin(2 * x[:, 0])


DATA = {"diabetes": diabetes, "friedman": friedman, "sine": sine}


def test_a_linear_network_takes_one_step_but_for_the_damping():
    X, y = diabetes()
    made = Network([10, 1], loss="squared_error", random_state=0)
    state = minimise(made, X, y, solver="lm", gtol=1e-10)
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    assert_allclose(made.params, expected, rtol=1e-8, atol=1e-9)
    assert state.n_epochs < 12


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_it_finds_the_minimum_of_scipys(name):
    """The same network driven by SciPy's Levenberg–Marquardt; begun beside its end."""
    X, y = DATA[name]()
    made = Network([X.shape[1], 4, 1], activation="tanh", loss="squared_error")
    made.params[:] = np.random.RandomState(0).standard_normal(made.params.size) * 0.3
    theirs = made.copy()

    def residuals(params):
        theirs.params[:] = params
        return theirs.predict(X)[:, 0] - y

    def differential(params):
        theirs.params[:] = params
        return theirs.jacobian(X)[:, 0]

    found = scipy.optimize.least_squares(
        residuals, made.params.copy(), differential, method="lm", max_nfev=3000
    )
    noise = np.random.RandomState(1).standard_normal(made.params.size)
    made.params[:] = found.x + 1e-3 * noise
    begun = made.loss(X, y)
    minimise(made, X, y, solver="lm", gtol=1e-9, max_iter=200)
    assert found.cost / len(y) < begun
    assert made.loss(X, y) <= found.cost / len(y) * (1 + 1e-6)


@pytest.mark.parametrize("n_rows", [30, 9000])  # in one block, in several
@pytest.mark.parametrize("weighted", [False, True])
def test_matrix_is_the_hessian_without_curvature(weighted, n_rows):
    """Of a linear network it is the Hessian itself, penalty and weights included."""
    X, y = rows(n_rows), rows(n_rows, 2, seed=5)
    weights = np.random.RandomState(0).uniform(0, 2, n_rows) if weighted else None
    made = Network([4, 2], loss="squared_error", alpha=0.7, random_state=0)
    evaluator = made.evaluator(made.as_data(X, y, weights))
    assert_allclose(
        evaluator.gauss_newton(), made.hessian(X, y, weights), rtol=1e-12, atol=1e-14
    )


@pytest.mark.soak  # it compares times
@pytest.mark.parametrize("name", DATA)
def test_lower_than_others_in_the_same_time(name):
    X, y = DATA[name]()
    sizes = {"hidden_layer_sizes": (12,), "activation": "tanh", "random_state": 0}
    begin = time.perf_counter()
    ours = fit(MLPRegressor(solver="lm", max_iter=60, tol=1e-9, **sizes), X, y)
    seconds = time.perf_counter() - begin
    limit = {"max_seconds": seconds, "max_iter": 10**6, "tol": 0, "max_fun": 10**8}
    for solver in ("adam", "lbfgs"):
        other = MLPRegressor(solver=solver, n_iter_no_change=10**6, **limit, **sizes)
        assert ours.loss_ < fit(other, X, y).loss_


def test_several_outputs_weights_and_penalty():
    X = rows(80)
    Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
    weights = np.random.RandomState(0).uniform(0.1, 3, 80)
    made = Network(
        [4, 5, 2], activation="tanh", loss="squared_error", alpha=0.1, random_state=0
    )
    minimise(made, X, Y, weights, solver="lm", gtol=1e-9, max_iter=2000)
    _, gradient = made.loss_and_grad(X, Y, weights)
    assert np.abs(gradient).max() < 1e-7


def test_a_classifier_of_the_delta_rule():
    X = rows(100)
    y = X[:, 0] * X[:, 1] > 0
    model = MLPClassifier((6,), loss="squared_error", solver="lm", activation="tanh")
    fit(model.set_params(random_state=0, max_iter=200), X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "huber"}, "squared_error"),
        ({"l1_ratio": 0.5, "alpha": 0.1}, "l1_ratio"),
        ({"hidden_layer_sizes": (500,)}, "at most 5000 parameters"),
        ({"batch_norm": True}, "batch_norm"),
    ],
)
def test_what_it_does_not_take(params, message):
    X, y = diabetes()
    model = fit(MLPRegressor(max_iter=2), X, y)
    before = model.predict(X)
    model.set_params(solver="lm", **params)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert np.array_equal(model.predict(X), before)
