"""Full-batch methods against closed forms, and what stationary points are."""

import time
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from fits import iris, minimise
from numpy.testing import assert_allclose, assert_array_equal

import fastmlp.rows
from fastmlp import full_batch, second_order
from fastmlp._kernels import HEADS, HIDDEN_ACTIVATIONS
from fastmlp.descent import Descent, Point
from fastmlp.evaluation import Evaluator
from fastmlp.fitting import Fit
from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.recipe import FULL_BATCH_SOLVERS as SOLVERS
from fastmlp.recipe import Recipe
from fastmlp.rows import ArrayRows
from fastmlp.second_order import GOOD, REFUSED, classify_stationary_point
from fastmlp.state import TrainingState
from fastmlp.trainer import Trainer

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([0, 1, 1, 0.0])
ALL_HEADS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]


@pytest.fixture
def count_evaluations(monkeypatch):
    """A list that grows by one at every evaluation of J with its gradient."""
    calls, original = [], Evaluator.loss_and_grad

    def count(self):
        calls.append(None)
        return original(self)

    monkeypatch.setattr(Evaluator, "loss_and_grad", count)
    return calls


def linear_data(rows=60, inputs=3, seed=0):
    random = np.random.RandomState(seed)
    X = random.standard_normal((rows, inputs)) + 0.5
    slopes = np.arange(1, inputs + 1)
    return X, X @ slopes + random.standard_normal(rows)


def curved_data(rows=50, seed=0):
    random = np.random.RandomState(seed)
    X = random.standard_normal((rows, 2))
    return X, np.sin(2 * X[:, 0]) + X[:, 1]


def ridge(X, y, sample_weight, alpha):
    """Slopes, then the bias, which is not penalised: the normal equations."""
    A = np.column_stack([X, np.ones(len(X))])
    penalty = alpha * np.diag([1.0] * X.shape[1] + [0.0])
    return np.linalg.solve(A.T * sample_weight @ A + penalty, A.T * sample_weight @ y)


def least_squares(X, y):
    A = np.column_stack([X, np.ones(len(X))])
    return np.linalg.lstsq(A, y, rcond=None)[0]


def largest_curvature(network, X, y):
    return np.linalg.eigvalsh(network.hessian(X, y))[-1]


def gradients_of(network, X, y):
    """A list, and the callback that puts the gradient of every iteration into it."""
    gradients = [network.loss_and_grad(X, y)[1]]

    def collect(iteration, logs):
        gradients.append(network.loss_and_grad(X, y)[1])

    return gradients, collect


def converged(run):
    """Whether a tolerance ended it, not a limit."""
    return run.stop_reason in ("gtol", "tol")


def descent_of(network, X, y):
    recipe = Recipe(Head(network.loss_name), solver="gd", n_epochs=9, max_fun=9, tol=0)
    fit = Fit(recipe, TrainingState(network, np.random.RandomState(0)))
    return Descent(fit, network.evaluator(network.as_data(X, y, None)))


# -- least squares


def test_newton_solves_least_squares_in_one_step():
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    run = minimise(network, X, y, solver="newton-cg")
    assert (run.n_epochs, run.stop_reason) == (1, "gtol")
    assert run.history["gradient_norm"][0] < 1e-12
    assert_allclose(network.params, least_squares(X, y), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 7.0])
def test_newton_solves_weighted_ridge_regression_in_one_step(alpha):
    X, y = linear_data()
    weights = np.linspace(0, 3, len(X))
    network = Network([3, 1], alpha=alpha, random_state=0)
    run = minimise(network, X, y, weights, solver="newton-cg")
    assert (run.n_epochs, run.stop_reason) == (1, "gtol")
    assert_allclose(network.params, ridge(X, y, weights, alpha), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 7.0])
def test_the_newton_step_by_the_explicit_hessian(alpha):
    X, y = linear_data()
    weights = np.linspace(0, 3, len(X))
    network = Network([3, 1], alpha=alpha, random_state=0)
    gradient = network.loss_and_grad(X, y, weights)[1]
    step = np.linalg.solve(network.hessian(X, y, weights), gradient)
    assert_allclose(network.params - step, ridge(X, y, weights, alpha), rtol=1e-12)


def test_newton_solves_several_outputs_in_one_step():
    X, _ = linear_data()
    Y = np.column_stack([X @ [1, 2, 3], np.cos(X[:, 0]), X[:, 1] ** 2])
    network = Network([3, 3], random_state=0)
    assert minimise(network, X, Y, solver="newton-cg").n_epochs == 1
    expected = least_squares(X, Y)
    assert_allclose(network.weights[0], expected[:3], atol=1e-12)
    assert_allclose(network.biases[0], expected[3], atol=1e-12)


@pytest.mark.parametrize("factor", [10, 1e3])
def test_newton_needs_one_step_on_badly_scaled_columns(factor):
    X, y = linear_data()
    X = X * [1 / factor, 1, 1]
    network = Network([3, 1], random_state=0)
    assert minimise(network, X, y, solver="newton-cg", gtol=1e-10).n_epochs == 1
    assert_allclose(network.params, least_squares(X, y), rtol=1e-7)


def test_newton_on_dependent_columns_stays_near_its_start():
    """Of the many minima the one that differs by a combination of rows."""
    X, y = linear_data(rows=4, inputs=9)
    network = Network([9, 1], random_state=0)
    start = network.params.copy()
    assert minimise(network, X, y, solver="newton-cg").n_epochs == 1
    A = np.column_stack([X, np.ones(4)])
    nearest = start + np.linalg.pinv(A) @ (y - A @ start)
    assert_allclose(network.params, nearest, atol=1e-10)


def test_curvature_of_the_wrong_sign_is_not_followed_to_infinity(monkeypatch):
    """A quadratic J has none: it would be rounding, in a flat direction."""
    network = Network([3, 1], random_state=0)
    run = descent_of(network, *linear_data())
    for sign in (0, -1):
        monkeypatch.setattr(run, "multiply_hessian", lambda vector: sign * vector)  # noqa: B023
        assert full_batch._exact_step_size(run) is None
        step = second_order._solve_model(run, np.inf, 1e-9)
        assert not step.on_boundary
        assert_array_equal(step.step, 0)
        assert_array_equal(step.residual, run.point.gradient)


@pytest.mark.parametrize("solver", ["gd", "steepest", "lbfgs"])
def test_the_others_converge_to_least_squares(solver):
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    rate = 1 / largest_curvature(network, X, y)
    gtol = 1e-5 if solver == "lbfgs" else 1e-12
    run = minimise(network, X, y, solver=solver, learning_rate=rate, gtol=gtol)
    assert run.stop_reason == "gtol"
    assert 1 < run.n_epochs < 1000
    assert np.abs(network.loss_and_grad(X, y)[1]).max() <= gtol
    assert_allclose(network.params, least_squares(X, y), atol=10 * gtol)


def test_a_step_of_gradient_descent():
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    expected = network.params - 0.03 * network.loss_and_grad(X, y)[1]
    run = minimise(network, X, y, solver="gd", learning_rate=0.03, max_iter=1)
    assert_array_equal(network.params, expected)
    assert run.history["learning_rate"] == [0.03]


# -- steepest descent


def test_steepest_descent_takes_the_minimum_along_its_line():
    X, y = linear_data()
    network = Network([3, 1], alpha=2.0, random_state=0)
    start, gradient = network.params.copy(), network.loss_and_grad(X, y)[1]

    def along(size):
        network.params[:] = start - size * gradient
        return network.loss(X, y)

    best = scipy.optimize.minimize_scalar(along, method="brent").x
    network.params[:] = start
    run = minimise(network, X, y, solver="steepest", max_iter=1)
    # Brent's own precision: the square root of the loss's.
    assert run.history["learning_rate"][0] == pytest.approx(best, rel=1e-6)


def test_steepest_descent_zigzags_on_a_quadratic():
    random = np.random.RandomState(0)
    X = random.standard_normal((50, 1)) * 3 + 1
    network = Network([1, 1], random_state=1)
    y = random.standard_normal(50)
    gradients, collect = gradients_of(network, X, y)
    start = network.loss(X, y)
    run = minimise(network, X, y, solver="steepest", max_iter=10, callbacks=[collect])
    assert len(gradients) == 11
    unit = [gradient / np.linalg.norm(gradient) for gradient in gradients]
    for before, after in pairwise(unit):
        assert abs(before @ after) < 1e-8
    for before, second in zip(unit, unit[2:], strict=False):
        assert abs(before[0] * second[1] - before[1] * second[0]) < 1e-8
    assert (np.diff([start, *run.history["loss"]]) < 0).all()


@pytest.mark.parametrize("activation", ["tanh", "softplus", "relu"])
def test_steepest_descent_falls_on_a_network(activation):
    X, y = curved_data()
    network = Network([2, 6, 1], activation=activation, alpha=0.1, random_state=0)
    start = network.loss(X, y)
    run = minimise(network, X, y, solver="steepest", max_iter=100)
    assert run.n_epochs == 100
    assert (np.diff([start, *run.history["loss"]]) < 0).all()
    assert run.loss < start / 2


def test_wolfe_conditions_hold_at_every_step():
    X, y = curved_data()
    network = Network([2, 6, 1], activation="tanh", random_state=0)
    gradients, collect = gradients_of(network, X, y)
    losses = [network.loss(X, y)]
    run = minimise(network, X, y, solver="steepest", max_iter=40, callbacks=[collect])
    losses += run.history["loss"]
    sizes = run.history["learning_rate"]
    assert len(set(sizes)) > 10
    for i, size in enumerate(sizes):
        slope, later = (
            -(gradients[i] @ gradients[i]),
            -(gradients[i] @ gradients[i + 1]),
        )
        assert losses[i + 1] <= losses[i] + 1e-4 * size * slope
        assert abs(later) <= 0.9 * abs(slope)


@pytest.mark.parametrize(("start", "size"), [(0.25, 1.0), (0.7, 0.5), (0.75, 0.25)])
def test_steepest_descent_goes_on_where_no_step_meets_the_wolfe_conditions(start, size):
    """J = |b − 1|: the slope is never small. 1, 1/2, 1/4: the first that descends."""
    network = Network([1, 1], loss="absolute_error", random_state=0)
    network.params[:] = 0, start
    run = minimise(network, [[0.0]], [1.0], solver="steepest", max_iter=1)
    assert run.history["learning_rate"] == [size]
    assert run.loss == pytest.approx(abs(start + size - 1), abs=1e-15)


def test_the_last_try_of_a_line_search_is_not_taken_on_trust():
    """J falls up to η = 520; after 512 SciPy hands out 1024, where it has risen."""
    network = Network([1, 1], loss="quantile", quantile=0.1, random_state=0)
    network.params[:] = 0
    run = minimise(network, [[0.0]], [52.0], solver="steepest", max_iter=1)
    assert run.history["learning_rate"] == [1.0]
    assert run.loss == pytest.approx(5.2 - 0.01)


def test_a_line_search_begins_where_the_last_one_leads_to(count_evaluations):
    X, y = curved_data()
    network = Network([2, 6, 1], activation="tanh", alpha=0.1, random_state=0)
    run = minimise(network, X, y, solver="steepest", max_iter=300)
    assert run.n_epochs == 300
    assert len(count_evaluations) < 1.5 * run.n_epochs


# -- Newton on networks


def xor_network(seed, activation="tanh"):
    head = {"loss": "log_loss", "output_activation": "logistic"}
    return Network(
        [2, 4, 1], activation=activation, **head, alpha=0.01, random_state=seed
    )


def iris_network(seed, activation="tanh"):
    return Network(
        [4, 10, 3], activation=activation, loss="log_loss", alpha=0.1, random_state=seed
    )


PROBLEMS = {"xor": (xor_network, XOR), "iris": (iris_network, iris())}


def run_adam(network, X, y, steps):
    optimizer = Optimizer(
        "adam", network.params.size, network.dtype, learning_rate=0.01
    )
    order = np.arange(len(X))
    Y = y.reshape(-1, 1).astype(float)
    trainer = Trainer(network, optimizer, ArrayRows((X, Y, None)), batch_size=len(X))
    for _ in range(steps):
        trainer.run_epoch(order)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", PROBLEMS)
def test_newton_reaches_the_minimum_that_adam_only_approaches(problem, seed):
    make, (X, y) = PROBLEMS[problem]
    network = make(seed)
    run_adam(network, X, y, steps=3000)
    assert np.linalg.norm(network.loss_and_grad(X, y)[1]) > 1e-5

    network = make(seed)
    run = minimise(network, X, y, solver="newton-cg", gtol=1e-9)
    assert run.stop_reason == "gtol"
    assert run.n_epochs < 60
    assert np.linalg.norm(network.loss_and_grad(X, y)[1]) < 1e-8
    eigenvalues = np.linalg.eigvalsh(network.hessian(X, y))
    assert eigenvalues[0] > -1e-14 * eigenvalues[-1]
    assert eigenvalues[2] > 1e-6 * eigenvalues[-1]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("activation", ["logistic", "softplus", "silu", "gelu", "elu"])
def test_newton_solves_xor_under_other_activations(activation, seed):
    network = xor_network(seed, activation)
    run = minimise(network, *XOR, solver="newton-cg", gtol=1e-9)
    assert (run.stop_reason, run.n_epochs < 100) == ("gtol", True)
    assert np.linalg.norm(network.loss_and_grad(*XOR)[1]) < 1e-8


@pytest.mark.parametrize("problem", PROBLEMS)
def test_newton_is_not_misled_by_rounding_of_the_loss(problem):
    """To 1e-14 differences of J mean nothing for several steps: see _judge."""
    make, (X, y) = PROBLEMS[problem]
    for seed in range(3):
        network = make(seed)
        run = minimise(network, X, y, solver="newton-cg", gtol=1e-14)
        assert run.stop_reason == "gtol"
        assert run.n_epochs < 65


def test_newton_converges_quadratically():
    network = xor_network(0)
    run = minimise(network, *XOR, solver="newton-cg")
    before, norm = run.history["gradient_norm"][-2:]
    assert before < 1e-4
    assert norm < before**1.5


@pytest.mark.parametrize("noise", [1e-3, 1e-9])
def test_newton_escapes_from_a_saddle(noise):
    X, y = curved_data()
    y = y - y.mean()
    network = Network([2, 3, 1], activation="tanh", alpha=0.1, random_state=0)
    network.params[:] = 0
    assert classify_stationary_point(network, X, y).kind == "saddle"
    at_saddle = network.loss(X, y)
    network.params[:] = noise * np.random.RandomState(1).standard_normal(13)
    assert np.linalg.eigvalsh(network.hessian(X, y))[0] < -0.1
    run = minimise(network, X, y, solver="newton-cg", gtol=1e-10)
    assert run.stop_reason == "gtol"
    assert run.loss < at_saddle / 10
    found = classify_stationary_point(network, X, y)
    assert found.kind == "strict minimum"


def test_newton_never_raises_the_loss():
    X, y = curved_data()
    network = Network([2, 8, 1], activation="tanh", alpha=0.01, random_state=0)
    network.params *= 5
    start = network.loss(X, y)
    run = minimise(network, X, y, solver="newton-cg", gtol=1e-6)
    assert run.stop_reason == "gtol"
    steps = np.diff([start, *run.history["loss"]])
    assert (steps <= 0).all()
    # The case is worth its name only if some step was refused.
    assert (steps == 0).any()


def test_the_trust_region_grows():
    """To slopes of 1000 in two factors, √1000 each, from a first radius of 1."""
    X = np.array([[-1.0], [1], [2]])
    network = Network([1, 1, 1], activation="identity", random_state=0)
    run = minimise(network, X, 1000 * X, solver="newton-cg", gtol=1e-6)
    assert run.stop_reason == "gtol"
    assert run.n_epochs < 25
    product = network.weights[0] * network.weights[1]
    assert_allclose(product, 1000, rtol=1e-8)


@pytest.mark.parametrize("radius", [1e-3, 0.1, 1.0, 3.0, 1e3])
@pytest.mark.parametrize(("hidden", "indefinite"), [([], False), ([4], True)])
def test_steps_of_the_model(hidden, indefinite, radius):
    """Steihaug's properties, on a definite and an indefinite Hessian."""
    X, y = curved_data()
    y = y > 0
    head = {"loss": "log_loss", "output_activation": "logistic"}
    network = Network([2, *hidden, 1], activation="tanh", **head, random_state=0)
    run = descent_of(network, X, y)
    gradient, H = network.loss_and_grad(X, y)[1], network.hessian(X, y)
    assert (np.linalg.eigvalsh(H)[0] < 0) == indefinite
    step, residual, on_boundary = second_order._solve_model(run, radius, 1e-9)
    assert_allclose(residual, gradient + H @ step, atol=1e-10 * (1 + radius))
    length, reduction = np.linalg.norm(step), -step @ (gradient + H @ step / 2)
    if on_boundary:
        assert length == pytest.approx(radius, rel=1e-12)
    else:
        assert length < radius
        assert np.linalg.norm(residual) <= 1e-9
    newton = np.linalg.norm(np.linalg.solve(H, gradient))
    assert on_boundary == (indefinite or newton > radius)
    # At least what the best step along the gradient achieves (the Cauchy point).
    norm, curvature = np.linalg.norm(gradient), gradient @ H @ gradient
    size = min(radius / norm, norm**2 / curvature if curvature > 0 else np.inf)
    assert reduction >= size * norm**2 - size**2 * curvature / 2 - 1e-12


def test_the_judgement_of_a_step():
    """J = x⁴/4 from x = 1 by p = −1/3, and what can be said if J's digits are lost."""
    judge = second_order._judge
    point, trial = (
        Point(np.array([x]), x**4 / 4, np.array([x**3])) for x in (1.0, 2 / 3)
    )
    step = second_order._Step(np.array([-1 / 3]), np.array([0.0]), False)
    # The model is 1/4 + p + 3p²/2: it promises 1/6.
    actual = (1 - 16 / 81) / 4
    assert judge(point, trial, step, 1e-16) == pytest.approx(6 * actual, rel=1e-14)
    for loss in (np.nan, np.inf):
        assert judge(point, trial._replace(loss=loss), step, 1e-16) == -np.inf
    lost = 1.0
    smaller, larger = trial, trial._replace(gradient=np.array([-1.01]))
    assert REFUSED <= judge(point, smaller, step, lost) <= GOOD
    assert judge(point, larger, step, lost) == -np.inf
    upwards = step._replace(step=-step.step)
    assert judge(point, larger, upwards, 1e-16) == -np.inf


# -- lbfgs


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"gtol": 1e-2}, "gtol"),
        ({"gtol": 1e-12}, "tol"),
        ({"max_iter": 7}, "max_iter"),
        ({"max_fun": 9}, "max_iter"),
    ],
)
def test_lbfgs_is_scipys(limits, reason):
    X, y = curved_data()
    network = Network([2, 6, 1], activation="tanh", alpha=0.1, random_state=0)
    twin = network.copy()

    def objective(params):
        twin.params[:] = params
        return twin.loss_and_grad(X, y)

    given = {"max_iter": 1000, "max_fun": 10**6, "gtol": 1e-12, **limits}
    options = {key: given[key] for key in ("max_iter", "max_fun", "gtol")}
    options = {key.replace("max_", "max"): value for key, value in options.items()}
    result = scipy.optimize.minimize(
        objective, network.params.copy(), jac=True, method="L-BFGS-B", options=options
    )
    run = minimise(network, X, y, solver="lbfgs", **limits)
    assert_array_equal(network.params, result.x)
    assert (run.loss, run.n_epochs) == (result.fun, result.nit)
    assert run.message == result.message
    assert run.stop_reason == reason
    assert converged(run) == result.success
    norm = np.linalg.norm(network.loss_and_grad(X, y)[1])
    assert run.history["gradient_norm"][-1] == norm


# -- what stationary points are


def test_a_strict_minimum():
    X, y = linear_data()
    network = Network([3, 1])
    network.params[:] = least_squares(X, y)
    found = classify_stationary_point(network, X, y)
    assert found.kind == "strict minimum"
    assert found.gradient_norm == np.linalg.norm(network.loss_and_grad(X, y)[1])
    A = np.column_stack([X, np.ones(len(X))])
    assert_allclose(found.eigenvalues, np.linalg.eigvalsh(A.T @ A / len(A)), rtol=1e-12)


def test_a_saddle():
    """f = v tanh(w x + b) + c at 0: of J'' only ∂²/∂w∂v = −Σ x y/2 and ∂²/∂c² = 1."""
    network = Network([1, 1, 1], activation="tanh")
    network.params[:] = 0
    found = classify_stationary_point(network, [[-1.0], [2.0]], [-3.0, 3.0])
    assert found.kind == "saddle"
    assert found.gradient_norm == 0
    assert_allclose(found.eigenvalues, [-4.5, 0, 1, 4.5], atol=1e-15)


def test_a_flat_direction_is_degenerate():
    """The same number added to all biases of softmax changes nothing."""
    X, y = iris()
    network = Network([4, 3], loss="log_loss", alpha=1.0, random_state=0)
    minimise(network, X, y, solver="newton-cg", gtol=1e-10)
    found = classify_stationary_point(network, X, y)
    assert found.kind == "degenerate"
    zero, other = np.abs(found.eigenvalues[:2])
    assert zero < 1e-15 < 1e-4 < other


@pytest.mark.parametrize("rows", [50, 300_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_of_long_sums_makes_no_flat_direction_a_saddle(dtype, rows):
    random = np.random.RandomState(0)
    X, y = random.standard_normal((rows, 1)), random.randint(0, 3, rows)
    for seed in range(3):
        network = Network(
            [1, 3], loss="log_loss", alpha=1.0, dtype=dtype, random_state=seed
        )
        found = classify_stationary_point(network, X, y, gtol=np.inf)
        assert found.kind == "degenerate"


@pytest.mark.parametrize("factor", [1e-2, 1, 1e4])
def test_zero_is_relative_to_the_largest_eigenvalue(factor):
    random = np.random.RandomState(0)
    X = factor * random.standard_normal((20, 1)).repeat(2, axis=1)
    network = Network([2, 1], random_state=0)
    found = classify_stationary_point(network, X, X[:, 0], gtol=np.inf)
    assert found.kind == "degenerate"
    assert found.eigenvalues[0] != 0
    X[0, 1] *= 1.1
    found = classify_stationary_point(network, X, X[:, 0], gtol=np.inf)
    assert found.kind == "strict minimum"


def test_a_strict_maximum():
    """½ (tanh z − y)² of two rows, z = ±1, y = ∓tanh 1: each by itself is concave.

    Its second derivative is (1 − t²)² − 2t (1 − t²)(t − y), at z = 1 and y = −t
    (1 − t²)(1 − 5t²) < 0; the slopes are (1 − t²) 2t ≠ 0, so that it is no stationary
    point, and gtol has to say that it be taken for one.
    """
    network = Network([1, 1], output_activation="tanh")
    network.params[:] = 1, 0
    t = np.tanh(1.0)
    data = [[1.0], [-1.0]], [-t, t]
    assert classify_stationary_point(network, *data).kind == "not stationary"
    found = classify_stationary_point(network, *data, gtol=10.0)
    assert found.kind == "strict maximum"
    assert_allclose(found.eigenvalues, 2 * [(1 - t**2) * (1 - 5 * t**2)], rtol=1e-12)
    # The first row alone says nothing of the slope without the bias.
    found = classify_stationary_point(network, [[1.0]], [-t], gtol=10.0)
    assert found.kind == "degenerate"


def test_not_stationary():
    X, y = linear_data()
    network = Network([3, 1])
    network.params[:] = least_squares(X, y)
    network.params[-1] += 1e-3
    assert classify_stationary_point(network, X, y).kind == "not stationary"
    found = classify_stationary_point(network, X, y, gtol=2e-3)
    assert found.kind == "strict minimum"


def test_sample_weights_count_in_the_judgement():
    """The columns differ in one row only, whose target is out of line."""
    X = np.array([[1.0, 1.0], [2, 2], [3, 3], [4, 5], [5, 5]])
    y = np.array([1.0, 1, 2, 50, 2])
    weights = [1.0, 1, 1, 0, 1]
    for given, kind in ((None, "strict minimum"), (weights, "degenerate")):
        network = Network([2, 1], random_state=0)
        minimise(network, X, y, given, solver="newton-cg", gtol=1e-9)
        assert classify_stationary_point(network, X, y, given).kind == kind


# -- products with the Hessian


def make_targets(network, rows, random):
    n_out = network.layer_sizes[-1]
    if network.loss_name == "cross_entropy":
        return random.dirichlet(np.ones(n_out), rows)
    if network.output_activation == "softmax":
        return random.randint(0, n_out, rows)
    return random.randint(0, 2, (rows, n_out))


def differentiate_gradient(network, vector, *data, step=1e-5):
    """The gradient's derivative along vector: a central difference."""
    here = network.params.copy()
    slopes = []
    for sign in (1, -1):
        network.params[:] = here + sign * step * vector
        slopes.append(network.loss_and_grad(*data)[1])
    network.params[:] = here
    return (slopes[0] - slopes[1]) / (2 * step)


def assert_hessian_is_the_derivative(network, rows=9, as_inputs=np.asarray):
    random = np.random.RandomState(0)
    X = as_inputs(random.standard_normal((rows, network.layer_sizes[0])))
    data = X, make_targets(network, rows, random), np.linspace(0.5, 2, rows)
    vector = random.standard_normal(network.params.size)
    product = network.hessian_vector_product(*data[:2], vector, data[2])
    expected = differentiate_gradient(network, vector, *data)
    assert_allclose(product, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("head", ALL_HEADS)
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_hessian_product_is_the_derivative_of_the_gradient(activation, head):
    """Kinks are far from these points."""
    loss, output = head
    shared = {"loss": loss, "output_activation": output, "quantile": 0.3}
    for sizes in ([3, 2], [3, 5, 2], [3, 4, 5, 2]):
        network = Network(
            sizes,
            activation=activation,
            **shared,
            alpha=0.7,
            l1_ratio=0.4,
            random_state=1,
        )
        assert_hessian_is_the_derivative(network)


@pytest.mark.parametrize("as_inputs", [np.asarray, scipy.sparse.csr_matrix])
def test_hessian_product_over_several_blocks_of_rows(as_inputs):
    network = Network([3, 4, 2], activation=["silu"], loss="log_loss", random_state=1)
    assert_hessian_is_the_derivative(network, 2500, as_inputs)


def test_hessian_product_of_sparse_rows_is_that_of_dense_ones():
    random = np.random.RandomState(0)
    X = scipy.sparse.random(1500, 6, 0.3, random_state=random)
    network = Network([6, 4, 1], activation="tanh", random_state=0)
    y, vector = random.standard_normal(1500), random.standard_normal(33)
    dense = network.hessian_vector_product(X.toarray(), y, vector)
    assert_allclose(network.hessian_vector_product(X, y, vector), dense, atol=1e-14)


def test_a_row_of_weight_two_counts_twice_in_the_hessian():
    X, y = curved_data(rows=6)
    network = Network([2, 3, 1], activation="tanh", random_state=0)
    twice = network.hessian(np.append(X, X[:1], axis=0), np.append(y, y[:1]))
    assert_allclose(network.hessian(X, y, [2, 1, 1, 1, 1, 1]), twice, atol=1e-15)


def test_hessian_is_symmetric_and_made_of_products():
    X, y = curved_data()
    network = Network([2, 3, 1], activation="gelu", alpha=0.5, random_state=0)
    H = network.hessian(X, y)
    assert_array_equal(H, H.T)
    vector = np.random.RandomState(1).standard_normal(13)
    product = network.hessian_vector_product(X, y, vector)
    assert_allclose(H @ vector, product, atol=1e-14)


def test_hessian_in_single_precision():
    X, y = curved_data()
    wide = Network([2, 3, 1], activation="tanh", alpha=0.5, random_state=0)
    network = Network(
        [2, 3, 1], activation="tanh", alpha=0.5, dtype="float32", random_state=0
    )
    H = network.hessian(X, y)
    assert H.dtype == np.float32
    assert_allclose(H, wide.hessian(X, y), atol=1e-6)


def test_hessian_products_refuse_what_they_do_not_know():
    X, y = curved_data()
    network = Network([2, 3, 1], batch_norm=True, random_state=0)
    with pytest.raises(ValueError, match="batch_norm"):
        network.hessian_vector_product(X, y, network.params)
    network = Network([2, 3, 1], random_state=0)
    with pytest.raises(
        ValueError, match=r"vector must have shape \(13,\), got \(12,\)"
    ):
        network.hessian_vector_product(X, y, np.ones(12))


# -- what all solvers share


@pytest.mark.parametrize("solver", SOLVERS)
def test_history_report_and_callbacks(solver):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", alpha=0.1, random_state=0)
    seen, lines = [], []

    def watch(iteration, logs):
        loss, gradient = network.loss_and_grad(X, y)
        assert logs["loss"] == loss
        assert logs["gradient_norm"] == np.linalg.norm(gradient)
        seen.append((iteration, logs))

    started = time.perf_counter()
    run = minimise(
        network,
        X,
        y,
        solver=solver,
        max_iter=6,
        callbacks=[watch],
        report=lines.append,
    )
    elapsed = time.perf_counter() - started
    assert (run.n_epochs, run.stop_reason, converged(run)) == (6, "max_iter", False)
    assert run.message
    columns = {"loss", "gradient_norm", "seconds"}
    if solver in ("gd", "steepest"):
        columns |= {"learning_rate"}
    assert run.history.keys() == columns
    assert [i for i, _ in seen] == list(range(6))
    for name, values in run.history.items():
        assert values == [logs[name] for _, logs in seen]
    assert min(run.history["seconds"]) > 0
    assert sum(run.history["seconds"]) < elapsed
    assert lines == [
        f"Iteration {i}, loss = {loss:.8f}"
        for i, loss in enumerate(run.history["loss"], 1)
    ]
    assert run.loss == run.history["loss"][-1] == network.loss(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_stops_it(solver):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    later = []
    run = minimise(
        network,
        X,
        y,
        solver=solver,
        callbacks=[
            lambda iteration, logs: iteration == 3,
            lambda iteration, logs: later.append(network.params.copy()),
            lambda iteration, logs: "not True",
        ],
    )
    assert (run.n_epochs, run.stop_reason, converged(run)) == (4, "callback", False)
    assert len(later) == 4
    assert_array_equal(network.params, later[-1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_does_not_hide_convergence(solver):
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    gtol = 1e-3
    run = minimise(
        network,
        X,
        y,
        solver=solver,
        gtol=gtol,
        callbacks=[
            lambda i, logs: np.abs(network.loss_and_grad(X, y)[1]).max() <= gtol
        ],
    )
    assert (run.stop_reason, converged(run)) == ("gtol", True)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_iteration_where_it_has_already_converged(solver):
    X, y = linear_data()
    network = Network([3, 1])
    network.params[:] = least_squares(X, y)
    before = network.params.copy()
    run = minimise(network, X, y, solver=solver, gtol=1e-9)
    assert (run.n_epochs, run.stop_reason) == (0, "gtol")
    assert set(run.history) >= {"loss", "gradient_norm", "seconds"}
    assert not any(run.history.values())
    assert run.loss == network.loss(X, y)
    assert_array_equal(network.params, before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_limit_of_evaluations(solver, count_evaluations):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    run = minimise(network, X, y, solver=solver, max_fun=20)
    assert run.stop_reason == "max_iter"
    # A line search that has begun is finished.
    assert 20 <= len(count_evaluations) < 30
    assert 5 < run.n_epochs < 20


@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_keeps_the_best(solver):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    iterates = []

    def interrupt(iteration, logs):
        iterates.append(network.params.copy())
        if iteration == 3:
            raise KeyboardInterrupt

    run = minimise(network, X, y, solver=solver, callbacks=[interrupt])
    assert (run.n_epochs, run.stop_reason, converged(run)) == (4, "interrupted", False)
    best = int(np.argmin(run.history["loss"]))
    assert run.loss == run.history["loss"][best] == network.loss(X, y)
    assert_array_equal(network.params, iterates[best])


def test_ctrl_c_goes_back_to_the_best():
    """η a little above 2/λ: along that direction, at first the lesser, J rises."""
    X, y = linear_data()
    network = Network([3, 1])
    curvatures, directions = np.linalg.eigh(network.hessian(X, y))
    network.params[:] = least_squares(X, y) + directions @ [1, 0, 0, 1e-3]
    rate = 2.05 / curvatures[-1]

    def interrupt(iteration, logs):
        if iteration == 150:
            raise KeyboardInterrupt

    run = minimise(
        network, X, y, solver="gd", learning_rate=rate, callbacks=[interrupt]
    )
    losses = run.history["loss"]
    assert 0 < np.argmin(losses) < 100
    assert run.loss == min(losses) == network.loss(X, y) < losses[-1]


def test_ctrl_c_in_the_midst_of_an_evaluation(monkeypatch):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    original, calls = Evaluator.loss_and_grad, []

    def count(self):
        calls.append(None)
        if len(calls) == 9:
            network.params[:] = np.nan
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(Evaluator, "loss_and_grad", count)
    run = minimise(network, X, y, solver="lbfgs")
    assert run.stop_reason == "interrupted"
    assert run.loss == run.history["loss"][-1] == network.loss(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("solver", ["steepest", "newton-cg"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_ends_where_rounding_allows_no_further_progress(dtype, solver, loss):
    X, y = linear_data()
    output = "logistic" if loss == "log_loss" else "identity"
    network = Network(
        [3, 1],
        loss=loss,
        output_activation=output,
        alpha=1.0,
        dtype=dtype,
        random_state=0,
    )
    y = y > 3
    run = minimise(network, X, y, solver=solver, gtol=0)
    assert (run.stop_reason, converged(run)) == ("no_progress", False)
    # Line searches see differences of J only: half of the digits.
    exact = solver == "newton-cg" or network.is_quadratic
    reached = 100 * np.finfo(dtype).eps ** (1 if exact else 0.5)
    assert np.linalg.norm(network.loss_and_grad(X, y)[1]) < reached


def test_gd_ends_where_its_step_is_lost_in_rounding():
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    before = network.params.copy()
    run = minimise(network, X, y, solver="gd", learning_rate=1e-20)
    assert (run.stop_reason, run.n_epochs) == ("no_progress", 0)
    assert_array_equal(network.params, before)


def test_lbfgs_says_so_where_its_line_search_fails(monkeypatch):
    """SciPy's report of it. Whether a search fails is for rounding to decide."""
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    before = network.params.copy()

    def fail(objective, start, **settings):
        report = {"status": 2, "message": "ABNORMAL: ", "nit": 0}
        return scipy.optimize.OptimizeResult(x=start, fun=objective(start)[0], **report)

    monkeypatch.setattr(scipy.optimize, "minimize", fail)
    run = minimise(network, X, y, solver="lbfgs")
    assert (run.stop_reason, converged(run)) == ("no_progress", False)
    assert run.message == "ABNORMAL: "
    assert run.loss == network.loss(X, y)
    assert_array_equal(network.params, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_is_an_error(dtype):
    X, y = linear_data()
    network = Network([3, 1], dtype=dtype, random_state=0)
    calls = []
    with pytest.raises(ValueError, match="non-finite"):
        minimise(
            network,
            X,
            y,
            solver="gd",
            learning_rate=1e9,
            callbacks=[lambda i, logs: calls.append(i)],
        )
    # It was noticed when it happened, not after max_iter.
    assert len(calls) < 50


@pytest.mark.parametrize("solver", SOLVERS)
def test_parameters_that_are_not_finite_are_an_error(solver):
    X, y = curved_data()
    network = Network([2, 5, 1], activation="tanh", random_state=0)
    network.params[3] = np.nan
    with pytest.raises(ValueError, match="non-finite"):
        minimise(network, X, y, solver=solver)


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision(solver):
    X, y = linear_data()
    network = Network([3, 1], dtype="float32", random_state=0)
    params = network.params
    run = minimise(network, X.astype("float32"), y, solver=solver, gtol=1e-5)
    assert run.stop_reason == "gtol"
    assert network.params is params
    assert params.dtype == np.float32
    assert_allclose(params, least_squares(X, y), atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_rows_are_converted_once(solver, monkeypatch):
    X, y = linear_data()
    X[X < 0.5] = 0
    sparse = scipy.sparse.csc_matrix(X)
    networks = [Network([3, 4, 1], activation="tanh", random_state=0) for _ in "ab"]
    minimise(networks[0], X, y, solver=solver, max_iter=5)
    converted = []
    original = fastmlp.rows.as_inputs

    def watch(inputs, *rest):
        converted.append(inputs)
        return original(inputs, *rest)

    monkeypatch.setattr(fastmlp.rows, "as_inputs", watch)
    minimise(networks[1], sparse, y, solver=solver, max_iter=5)
    assert converted == [sparse]
    assert_allclose(networks[1].params, networks[0].params, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sample_weights_are_repetitions(solver):
    X, y = curved_data(rows=12)
    counts = np.arange(12) % 3
    make = {"activation": "tanh", "alpha": 0.5, "random_state": 0}
    weighted, repeated = Network([2, 3, 1], **make), Network([2, 3, 1], **make)
    minimise(weighted, X, y, counts, solver=solver, max_iter=5)
    minimise(repeated, X.repeat(counts, 0), y.repeat(counts), solver=solver, max_iter=5)
    assert_allclose(weighted.params, repeated.params, atol=1e-9)


def test_errors():
    X, y = linear_data()
    network = Network([3, 1], random_state=0)
    with pytest.raises(ValueError, match=r"solver must be one of .*, got 'newton'"):
        minimise(network, X, y, solver="newton")
    with pytest.raises(ValueError, match=r"X must have shape \(n_samples, 3\)"):
        minimise(network, X[:, :2], y, solver="gd")
    with pytest.raises(ValueError, match="y must have shape"):
        minimise(network, X, y[1:], solver="gd")
    network = Network([3, 2, 1], batch_norm=True, random_state=0)
    with pytest.raises(ValueError, match="batch_norm"):
        minimise(network, X, y, solver="newton-cg")
    with pytest.raises(ValueError, match="batch_norm"):
        classify_stationary_point(network, X, y)


def test_solvers_are_named():
    assert SOLVERS == ("lbfgs", "gd", "steepest", "newton-cg", "lm")
