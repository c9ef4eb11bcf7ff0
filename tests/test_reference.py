"""The reference against what is independent of it.

Finite differences, steps computed by hand, SciPy, scikit-learn and closed forms. What
passes here is what the kernels are compared with.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.special
from builders import (
    build_arena,
    build_layers,
    build_rule,
    build_slots,
    count_params,
    count_targets,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fastmlp import _reference as reference
from fastmlp._kernels import HEADS, HIDDEN_ACTIVATIONS, SLOTS, count_units
from fastmlp._reference import ACTIVATIONS, LOSSES, OPTIMIZERS

HEAD_PAIRS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]


@dataclass
class Problem:
    """A network and read-only data for it."""

    layers: np.ndarray
    params: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None
    loss: int
    alpha: float = 0.0
    capacity: int = 1000

    def __post_init__(self):
        for array in (self.X, self.Y, self.sample_weight):
            if array is not None:
                array.flags.writeable = False

    def arena(self):
        return build_arena(
            self.layers, self.Y.shape[1], self.capacity, self.params.dtype
        )

    def compute_loss(self, params=None, arena=None):
        return reference.compute_loss(
            self.arena() if arena is None else arena,
            self.X,
            self.Y,
            self.sample_weight,
            self.params if params is None else params,
            self.layers,
            self.loss,
            self.alpha,
            self.capacity,
        )

    def compute_loss_and_gradient(self, params=None, arena=None):
        grads = np.full_like(self.params, np.nan)
        value = reference.compute_loss_and_gradient(
            grads,
            self.arena() if arena is None else arena,
            self.X,
            self.Y,
            self.sample_weight,
            self.params if params is None else params,
            self.layers,
            self.loss,
            self.alpha,
            self.capacity,
        )
        return value, grads

    def predict(self):
        out = np.empty((len(self.X), self.layers["n_out"][-1]), self.params.dtype)
        reference.predict(
            out, self.arena(), self.X, self.params, self.layers, self.capacity
        )
        return out

    def start(self, optimizer, order, batch_size, cap=np.inf, **numbers):
        """Everything that train takes, at the first step."""
        dtype = self.params.dtype
        return Run(
            self,
            params=self.params.copy(),
            grads=np.full_like(self.params, np.nan),
            slots=build_slots(optimizer, len(self.params), dtype),
            rule=build_rule(optimizer, alpha=self.alpha, **numbers),
            arena=self.arena(),
            order=np.asarray(order, dtype=np.intp),
            batch_size=batch_size,
            cap=cap,
        )

    def minimize(self):
        """The parameters where J is least."""
        found = minimize(
            self.compute_loss_and_gradient,
            np.zeros_like(self.params),
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 0, "gtol": 1e-10, "maxcor": 30, "maxiter": 5000},
        )
        return found.x

    def weights(self, params, layer=0):
        record = self.layers[layer]
        shape = record["n_in"], record["n_out"]
        return params[record["weights"] :][: math.prod(shape)].reshape(shape)

    def biases(self, params, layer=0):
        record = self.layers[layer]
        return params[record["biases"] :][: record["n_out"]]

    @property
    def n_weights(self):
        return self.layers["biases"][0]


@dataclass
class Run:
    """A call to train, its buffers kept."""

    problem: Problem
    params: np.ndarray
    grads: np.ndarray
    slots: np.ndarray
    rule: np.ndarray
    arena: np.ndarray
    order: np.ndarray
    batch_size: int
    cap: float

    def train(self):
        problem = self.problem
        return reference.train(
            self.params,
            self.grads,
            self.slots,
            self.rule,
            self.arena,
            problem.X,
            problem.Y,
            problem.sample_weight,
            self.order,
            problem.layers,
            problem.loss,
            self.cap,
            self.batch_size,
            problem.capacity,
        )


def draw_targets(rng, rows, n_out, loss, output):
    if output == "softmax":
        return rng.integers(n_out, size=(rows, 1)).astype(float)
    if loss == "log_loss":
        return rng.integers(2, size=(rows, n_out)).astype(float)
    if loss == "poisson":
        return rng.integers(4, size=(rows, n_out)).astype(float)
    return rng.uniform(-1, 1, (rows, n_out))


def make_problem(
    sizes,
    loss,
    output,
    hidden="tanh",
    rows=7,
    weighted=True,
    seed=0,
    dtype=float,
    **settings,
):
    """A network and data drawn at random."""
    rng = np.random.default_rng(seed)
    layers = build_layers(sizes, hidden, output)
    weights = rng.uniform(0.1, 3, rows).astype(dtype) if weighted else None
    return Problem(
        layers,
        rng.normal(0, 0.7, count_params(layers)).astype(dtype),
        rng.normal(size=(rows, sizes[0])).astype(dtype),
        draw_targets(rng, rows, sizes[-1], loss, output).astype(dtype),
        weights,
        LOSSES[loss],
        **settings,
    )


def replace_rows(problem, rows, sample_weight):
    """The same problem with other rows of its data, and other weights."""
    return Problem(
        problem.layers,
        problem.params,
        problem.X[rows],
        problem.Y[rows],
        sample_weight,
        problem.loss,
        problem.alpha,
        problem.capacity,
    )


def differentiate(function, x, step=1e-5):
    """The gradient of a function by central differences."""
    gradient = np.empty_like(x)
    for i in range(len(x)):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += step
        behind[i] -= step
        gradient[i] = (function(ahead) - function(behind)) / (2 * step)
    return gradient


# --- The tables


def test_every_name_has_its_formula():
    assert set(reference.ACTIVATION_FUNCTIONS) == set(ACTIVATIONS)
    assert set(reference.SLOPE_FUNCTIONS) >= set(HIDDEN_ACTIVATIONS)
    assert set(reference.HEAD_FUNCTIONS) == set(HEAD_PAIRS)
    assert set(reference.OPTIMIZER_FUNCTIONS) == set(OPTIMIZERS)


# --- Elementary functions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("exp", math.exp),
        ("log", lambda x: math.log(x) if x > 0 else math.nan),
        ("log1p", lambda x: math.log1p(x) if x > -1 else math.nan),
        ("tanh", math.tanh),
        ("sigmoid", scipy.special.expit),
    ],
)
def test_elementary_functions(name, truth, dtype):
    x = np.array([-30, -2, -0.5, -1e-6, 1e-6, 0.3, 1, 7, 40], dtype)
    out = np.empty_like(x)
    getattr(reference, name)(out, x)
    # Both are rounded: two units in the last place of double, half a one of single.
    assert_allclose(
        out, [truth(float(v)) for v in x], rtol=6.1e-8 if dtype == np.float32 else 5e-16
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "x", "limit"),
    [
        ("exp", 1000.0, np.inf),
        ("exp", -1000.0, 0.0),
        ("log", 0.0, -np.inf),
        ("log1p", -1.0, -np.inf),
        ("sigmoid", 1000.0, 1.0),
        ("sigmoid", -1000.0, 0.0),
        ("tanh", -1000.0, -1.0),
    ],
)
def test_elementary_functions_reach_their_limits_silently(name, x, limit):
    out = np.empty(1)
    getattr(reference, name)(out, np.array([x]))
    assert out[0] == limit


# --- Activations

ACTIVATION_TRUTHS = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": lambda z: np.sinh(z) / np.cosh(z),
    "relu": lambda z: np.where(z > 0, z, 0),
    "exp": lambda z: np.e**z,
    "softmax": lambda z: scipy.special.softmax(z, axis=1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    rng = np.random.default_rng(0)
    z, b = rng.normal(0, 2, (5, 3)), rng.normal(size=3)
    a = z.copy()
    reference.activate(a, ACTIVATIONS[name])
    assert_allclose(a, ACTIVATION_TRUTHS[name](z), rtol=1e-13)
    a = z.copy()
    reference.add_bias_and_activate(a, b, ACTIVATIONS[name])
    assert_allclose(a, ACTIVATION_TRUTHS[name](z + b), rtol=1e-13)


def test_softmax_of_large_numbers():
    a = np.array([[1000.0, 1000.0, -1000.0], [-2000.0, -1000.0, -3000.0]])
    reference.activate(a, ACTIVATIONS["softmax"])
    assert_array_equal(a, [[0.5, 0.5, 0], [0, 1, 0]])


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"softmax"}))
def test_slope_is_the_derivative(name):
    rng = np.random.default_rng(0)
    z, incoming = rng.normal(0, 2, (5, 3)), rng.normal(size=(5, 3))
    a, delta = z.copy(), incoming.copy()
    ahead, behind = z + 1e-6, z - 1e-6
    for matrix in (a, ahead, behind):
        reference.activate(matrix, ACTIVATIONS[name])
    reference.multiply_slope(delta, a, ACTIVATIONS[name])
    assert_allclose(delta, incoming * (ahead - behind) / 2e-6, rtol=1e-7, atol=1e-9)


def test_relu_has_no_slope_where_it_is_zero():
    delta = np.ones((1, 3))
    reference.multiply_slope(delta, np.array([[0.0, -0.0, 0.1]]), ACTIVATIONS["relu"])
    assert_array_equal(delta, [[0, 0, 1]])


def test_softmax_has_no_slope():
    with pytest.raises(ValueError, match="softmax"):
        reference.multiply_slope(
            np.ones((2, 2)), np.ones((2, 2)), ACTIVATIONS["softmax"]
        )


# --- Heads


def head_truth(loss, output, z, y):
    """Shares of ℓ from SciPy's own functions."""
    if loss == "squared_error":
        return 0.5 * (ACTIVATION_TRUTHS[output](z) - y) ** 2
    if loss == "poisson":
        return scipy.special.kl_div(y, np.e**z)
    if output == "softmax":
        one_hot = np.eye(z.shape[1])[y[:, 0].astype(int)]
        return -one_hot * scipy.special.log_softmax(z, axis=1)
    return -scipy.special.xlogy(y, scipy.special.expit(z)) - scipy.special.xlogy(
        1 - y, scipy.special.expit(-z)
    )


def evaluate_head(loss, output, z, y, scales):
    delta, losses = np.full_like(z, np.nan), np.full_like(z, np.nan)
    codes = LOSSES[loss], ACTIVATIONS[output]
    reference.evaluate_head(delta, losses, z, y, scales, *codes)
    return delta, losses


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_heads(loss, output):
    rng = np.random.default_rng(0)
    z, scales = rng.normal(0, 2, (20, 3)), rng.uniform(0, 1, 20)
    y = draw_targets(rng, 20, 3, loss, output)
    delta, losses = evaluate_head(loss, output, z, y, scales)
    assert_allclose(losses, head_truth(loss, output, z, y), rtol=1e-12, atol=1e-14)

    def total(flat):
        shares = head_truth(loss, output, flat.reshape(z.shape), y)
        return scales @ shares.sum(axis=1)

    assert_allclose(delta.ravel(), differentiate(total, z.ravel()), atol=1e-8)


@pytest.mark.parametrize(
    ("output", "z", "y", "losses", "delta"),
    [
        ("logistic", [[900.0]], [[0.0]], [[900.0]], [[1.0]]),
        ("logistic", [[-900.0]], [[1.0]], [[900.0]], [[-1.0]]),
        ("logistic", [[900.0]], [[1.0]], [[0.0]], [[0.0]]),
        ("softmax", [[0.0, 900.0]], [[0.0]], [[900.0, 0.0]], [[-1.0, 1.0]]),
        ("softmax", [[0.0, 900.0]], [[1.0]], [[0.0, 0.0]], [[0.0, 0.0]]),
    ],
)
def test_log_loss_of_the_surely_wrong_is_finite(output, z, y, losses, delta):
    z, y = np.array(z), np.array(y)
    got_delta, got_losses = evaluate_head("log_loss", output, z, y, np.ones(1))
    assert_array_equal(got_losses, losses)
    assert_array_equal(got_delta, delta)


# --- Products and sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "a_shape", "b_shape", "subscripts", "how"),
    [
        ("multiply_nn", (4, 3), (3, 5), "ik,kj->ij", ()),
        ("multiply_nt", (4, 3), (5, 3), "ik,jk->ij", ()),
        ("multiply_tn", (3, 4), (3, 5), "ki,kj->ij", (False,)),
    ],
)
def test_products(name, a_shape, b_shape, subscripts, how, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype(dtype) for s in (a_shape, b_shape))
    product = np.einsum(subscripts, a, b, dtype=float)
    c = np.full((4, 5), np.nan, dtype)
    getattr(reference, name)(c, a, b, *how)
    assert_allclose(c, product, rtol=4 * np.finfo(dtype).eps, atol=1e-15)


def test_products_are_added():
    a, b = np.array([[1.0, 2.0]]), np.array([[3.0]])
    c = np.array([[10.0], [20.0]])
    reference.multiply_tn(c, a, b, True)
    assert_array_equal(c, [[13], [26]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums(dtype):
    a = np.arange(6, dtype=dtype).reshape(2, 3)
    out = np.full(3, np.nan, dtype)
    reference.sum_columns(out, a, False)
    assert_array_equal(out, [3, 5, 7])
    reference.sum_columns(out, a, True)
    assert_array_equal(out, [6, 10, 14])
    assert reference.sum_squares(a[1]) == 50


def test_sum_squares_does_not_round_in_single():
    x = np.array([1e4, 1.0], np.float32)
    assert reference.sum_squares(x) == 1e8 + 1


# --- Optimizers, each by hand: θ = 1, η = 0.1, g = 2 and then −3


@pytest.mark.parametrize(
    ("optimizer", "numbers", "params", "slots"),
    [
        ("sgd", {}, [1 - 0.2, 0.8 + 0.3], [[], []]),
        (
            "momentum",
            {"decay_1": 0.9},
            [1 - 0.2, 0.8 + 0.12],
            [[-0.2], [0.9 * -0.2 + 0.3]],
        ),
        (
            "nesterov",
            {"decay_1": 0.9},
            [1 - 0.18 - 0.2, 0.62 + 0.108 + 0.3],
            [[-0.2], [0.9 * -0.2 + 0.3]],
        ),
        (
            "adagrad",
            {"epsilon": 5},
            [1 - 0.2 / 3, 1 - 0.2 / 3 + 0.3 / math.sqrt(18)],
            [[4], [13]],
        ),
        (
            "rmsprop",
            {"decay_2": 0.75, "epsilon": 3},
            [1 - 0.2 / 2, 0.9 + 0.3 / math.sqrt(6)],
            [[1], [0.75 + 2.25]],
        ),
        (
            "adam",
            {"decay_1": 0.5, "decay_2": 0.75, "epsilon": 1},
            [
                1 - 0.1 * 0.5 / 0.5 * 1 / (1 + 1),
                0.95 - 0.1 * math.sqrt(0.4375) / 0.75 * -1 / (math.sqrt(3) + 1),
            ],
            [[1, 1], [-1, 3]],
        ),
    ],
)
def test_two_steps_by_hand(optimizer, numbers, params, slots):
    rule = build_rule(optimizer, learning_rate=0.1, **numbers)
    theta, state = np.array([1.0]), build_slots(optimizer, 1)
    for t, g in enumerate([2.0, -3.0]):
        rule["t"] = t + 1
        reference.update(theta, np.array([g]), state, rule, 0.0)
        assert_allclose(theta, params[t], rtol=1e-14)
        assert_allclose(state[:, 0], slots[t], rtol=1e-14)
        assert rule["t"] == t + 1


NUMBERS = {"learning_rate": 0.05, "decay_1": 0.8, "decay_2": 0.95, "epsilon": 1e-3}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_l2_adds_to_the_gradient(optimizer, dtype):
    rng = np.random.default_rng(0)
    params, grads = rng.normal(size=(2, 5)).astype(dtype)
    slots = rng.uniform(1, 2, (SLOTS[optimizer], 5)).astype(dtype)
    rule = build_rule(optimizer, t=3, **NUMBERS)
    penalised, plain = params.copy(), params.astype(float)
    penalised_slots, plain_slots = slots.copy(), slots.astype(float)
    reference.update(penalised, grads, penalised_slots, rule, 0.3)
    reference.update(plain, grads + 0.3 * plain, plain_slots, rule, 0.0)
    rtol = 2 * np.finfo(dtype).eps
    assert_allclose(penalised, plain, rtol=rtol)
    assert_allclose(penalised_slots, plain_slots, rtol=rtol)


def textbook_adam(theta, gradients, learning_rate, decay_1, decay_2, epsilon):
    """D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015."""
    v = s = 0.0
    for t, g in enumerate(gradients, start=1):
        v = decay_1 * v + (1 - decay_1) * g
        s = decay_2 * s + (1 - decay_2) * g**2
        v_hat, s_hat = v / (1 - decay_1**t), s / (1 - decay_2**t)
        theta = theta - learning_rate * v_hat / (np.sqrt(s_hat) + epsilon)
    return theta


@pytest.mark.parametrize(("epsilon", "agree"), [(1e-14, True), (0.1, False)])
def test_adam_is_the_textbook_one_as_epsilon_vanishes(epsilon, agree):
    gradients = np.random.default_rng(0).normal(size=(6, 4))
    numbers = NUMBERS | {"epsilon": epsilon}
    theta, slots = np.ones(4), build_slots("adam", 4)
    rule = build_rule("adam", **numbers)
    for g in gradients:
        rule["t"] += 1
        reference.update(theta, g, slots, rule, 0.0)
    truth = textbook_adam(np.ones(4), gradients, **numbers)
    assert (np.abs(theta - truth).max() < 1e-12) == agree
    assert np.abs(theta - truth).max() < 0.1


def test_sgd_with_l2_is_decoupled_weight_decay():
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(2, 9))
    eta, decay = 0.1, 0.3
    decayed = (1 - eta * decay) * w - eta * g
    reference.update(
        w, g, build_slots("sgd", 9), build_rule("sgd", learning_rate=eta), decay
    )
    assert_allclose(w, decayed, rtol=1e-14)


# --- The objective and its gradient

HIDDEN = [((), "identity")] + [
    (sizes, name) for sizes in [(5,), (5, 4)] for name in HIDDEN_ACTIVATIONS
]


@pytest.mark.parametrize(("hidden", "activation"), HIDDEN)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_gradient_is_the_derivative(loss, output, hidden, activation):
    problem = make_problem(
        (3, *hidden, 2), loss, output, activation, alpha=0.7, capacity=3
    )
    value, grads = problem.compute_loss_and_gradient()
    assert value == problem.compute_loss()
    assert_allclose(
        grads, differentiate(problem.compute_loss, problem.params), atol=1e-8
    )


def forward(problem, X):
    """z of the last layer, and the activations of the hidden ones; all tanh."""
    hidden = []
    for i in range(len(problem.layers)):
        W, b = problem.weights(problem.params, i), problem.biases(problem.params, i)
        z = X @ W + b
        X = np.tanh(z)
        hidden.append(X)
    return z, hidden[:-1]


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_objective_is_the_weighted_mean_with_penalty(loss, output):
    problem = make_problem((3, 5, 4, 2), loss, output, alpha=0.7, capacity=3)
    z, _ = forward(problem, problem.X)
    ell = head_truth(loss, output, z, problem.Y).sum(axis=1)
    W = problem.params[: 3 * 5 + 5 * 4 + 4 * 2]
    truth = np.average(ell, weights=problem.sample_weight)
    truth += 0.7 / 2 * (W @ W) / problem.sample_weight.sum()
    assert_allclose(problem.compute_loss(), truth, rtol=1e-13)


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_prediction_is_the_activated_output(loss, output):
    problem = make_problem((3, 5, 4, 2), loss, output, capacity=3)
    z, _ = forward(problem, problem.X)
    assert_allclose(problem.predict(), ACTIVATION_TRUTHS[output](z), rtol=1e-13)


@pytest.mark.parametrize("capacity", [1, 3, 7, 8])
def test_capacity_does_not_matter(capacity):
    settings = {"alpha": 0.7, "rows": 7}
    whole = make_problem((3, 5, 2), "log_loss", "softmax", **settings)
    parts = make_problem(
        (3, 5, 2), "log_loss", "softmax", capacity=capacity, **settings
    )
    value, grads = parts.compute_loss_and_gradient()
    whole_value, whole_grads = whole.compute_loss_and_gradient()
    assert_allclose(value, whole_value, rtol=1e-14)
    assert_allclose(grads, whole_grads, rtol=1e-13, atol=1e-16)
    assert_allclose(parts.predict(), whole.predict(), rtol=1e-14)


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_single_precision_is_rounded_double(loss, output):
    single = make_problem(
        (3, 5, 2), loss, output, alpha=0.7, capacity=3, dtype=np.float32
    )
    weights = single.sample_weight.astype(float)
    double = Problem(
        single.layers,
        single.params.astype(float),
        single.X.astype(float),
        single.Y.astype(float),
        weights,
        single.loss,
        alpha=0.7,
        capacity=3,
    )
    value, grads = single.compute_loss_and_gradient()
    double_value, double_grads = double.compute_loss_and_gradient()
    assert_allclose(value, double_value, rtol=1e-6)
    assert_allclose(grads, double_grads, rtol=1e-5, atol=1e-6)


# --- Sample weights


def test_no_weights_are_weights_of_one():
    problem = make_problem((3, 5, 2), "log_loss", "softmax", weighted=False, alpha=1)
    ones = replace_rows(problem, slice(None), np.ones(7))
    value, grads = problem.compute_loss_and_gradient()
    ones_value, ones_grads = ones.compute_loss_and_gradient()
    assert value == ones_value
    assert_array_equal(grads, ones_grads)


@pytest.mark.parametrize("weights", [[2, 1, 3, 1, 1, 4, 1], [1, 0, 2, 0, 1, 1, 0]])
def test_integer_weights_are_repetitions(weights):
    weights = np.array(weights)
    rows = np.repeat(np.arange(7), weights)
    plain = make_problem((3, 5, 2), "log_loss", "softmax", alpha=0.7)
    weighted = replace_rows(plain, slice(None), weights.astype(float))
    repeated = replace_rows(plain, rows, None)
    value, grads = weighted.compute_loss_and_gradient()
    repeated_value, repeated_grads = repeated.compute_loss_and_gradient()
    assert_allclose(value, repeated_value, rtol=1e-14)
    assert_allclose(grads, repeated_grads, rtol=1e-13, atol=1e-16)

    one = weighted.start("adam", np.tile(np.arange(7), 3), 7, **NUMBERS)
    other = repeated.start(
        "adam", np.tile(np.arange(len(rows)), 3), len(rows), **NUMBERS
    )
    one.train()
    other.train()
    assert_allclose(one.params, other.params, rtol=1e-12)


def test_rows_without_weight_have_no_loss():
    problem = make_problem((3, 5, 2), "squared_error", "identity", alpha=0.7)
    weightless = replace_rows(problem, slice(None), np.zeros(7))
    value, grads = weightless.compute_loss_and_gradient()
    assert value == weightless.compute_loss() == 0
    assert_array_equal(grads, 0)


def test_a_batch_without_weight_takes_no_step():
    weights = np.array([1, 2, 1, 0, 0, 0, 1.0])
    problem = make_problem((3, 5, 2), "squared_error", "identity", alpha=0.7)
    problem = replace_rows(problem, slice(None), weights)
    with_it = problem.start("adam", [0, 1, 2, 3, 4, 5], 3, **NUMBERS)
    without = problem.start("adam", [0, 1, 2], 3, **NUMBERS)
    assert with_it.train() == without.train()
    assert with_it.rule["t"] == 1
    for buffer in ("params", "grads", "slots", "arena"):
        assert_array_equal(getattr(with_it, buffer), getattr(without, buffer))


# --- Training


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_gradient_and_update(optimizer):
    """Three batches of 4, 4 and 2 rows of ten, worked in blocks of 3."""
    problem = make_problem(
        (3, 5, 2), "log_loss", "softmax", rows=10, alpha=0.7, capacity=3
    )
    order = np.random.default_rng(1).permutation(10)
    run = problem.start(optimizer, order, 4, **NUMBERS)
    total = run.train()

    params, slots = problem.params.copy(), build_slots(optimizer, len(run.params))
    rule = build_rule(optimizer, alpha=0.7, **NUMBERS)
    W = slice(problem.n_weights)
    true_total = 0
    for rows in (order[:4], order[4:8], order[8:]):
        batch = replace_rows(problem, rows, problem.sample_weight[rows])
        value, grads = batch.compute_loss_and_gradient(params)
        data_grads = grads.copy()
        data_grads[W] -= 0.7 / batch.sample_weight.sum() * params[W]
        true_total += value * len(rows)
        rule["t"] += 1
        reference.update(params, grads, slots, rule, 0.0)
    assert_allclose(total, true_total, rtol=1e-13)
    assert_allclose(run.params, params, rtol=1e-11)
    assert_allclose(run.slots, slots, rtol=1e-11, atol=1e-16)
    assert_allclose(run.grads, data_grads, rtol=1e-11, atol=1e-15)
    assert_array_equal(run.rule["t"], 3)


@pytest.mark.parametrize(
    ("rows", "batch_size", "steps"), [(1000, 10, 100), (25, 10, 3)]
)
def test_one_iteration_is_one_batch(rows, batch_size, steps):
    problem = make_problem((2, 1), "squared_error", "identity", rows=rows)
    run = problem.start("sgd", np.arange(rows), batch_size, learning_rate=0.1)
    run.train()
    assert run.rule["t"] == steps


def test_steps_are_counted_on():
    problem = make_problem((3, 5, 2), "squared_error", "identity", alpha=0.7)
    halves = problem.start("adam", [0, 1, 2, 3], 2, **NUMBERS)
    whole = problem.start("adam", [0, 1, 2, 3, 4, 5], 2, **NUMBERS)
    total = halves.train()
    halves.order = np.array([4, 5], dtype=np.intp)
    assert_allclose(total + halves.train(), whole.train(), rtol=1e-14)
    assert_array_equal(halves.params, whole.params)
    assert_array_equal(halves.rule, whole.rule)


@pytest.mark.parametrize("cap", [0.5, 2.0, np.inf])
def test_cap_bounds_each_share_of_the_reported_loss(cap):
    problem = make_problem((3, 2), "log_loss", "logistic", rows=10, alpha=0.7)
    capped = problem.start("sgd", np.arange(10), 10, cap=cap, learning_rate=0.1)
    free = problem.start("sgd", np.arange(10), 10, learning_rate=0.1)
    z, _ = forward(problem, problem.X)
    shares = head_truth("log_loss", "logistic", z, problem.Y)
    assert shares.max() > 2
    w, W = problem.sample_weight, problem.params[: problem.n_weights]
    data = w @ np.where(shares > cap, cap, shares).sum(axis=1)
    truth = 10 * (data + 0.7 / 2 * W @ W) / w.sum()
    assert_allclose(capped.train(), truth, rtol=1e-13)
    free.train()
    assert_array_equal(capped.params, free.params)
    assert_array_equal(capped.arena, free.arena)


def test_cap_hides_no_nan():
    problem = make_problem((3, 2), "log_loss", "logistic")
    problem.params[-1] = np.nan
    run = problem.start("sgd", np.arange(7), 7, cap=1.0, learning_rate=0.1)
    assert math.isnan(run.train())


# --- The arena


def read_block(arena, column, n_columns, rows, capacity):
    begin = column * capacity
    return arena[begin : begin + rows * n_columns].reshape(rows, n_columns)


def check_last_block(problem, arena, rows, m, output, gathered):
    """The arena's blocks against a forward and backward pass over these rows."""
    X, Y, w = problem.X[rows], problem.Y[rows], problem.sample_weight[rows]
    scales = (w / m)[:, None]
    z, (a_0, a_1) = forward(problem, X)
    target = np.eye(2)[Y[:, 0].astype(int)] if output == "softmax" else Y
    delta_2 = scales * (ACTIVATION_TRUTHS[output](z) - target)
    delta_1 = delta_2 @ problem.weights(problem.params, 2).T * (1 - a_1**2)
    delta_0 = delta_1 @ problem.weights(problem.params, 1).T * (1 - a_0**2)
    losses = head_truth("log_loss", output, z, Y)
    blocks = {
        "targets": Y if gathered else np.full_like(Y, np.nan),
        "scales": scales,
        "losses": losses,
        "outputs 0": a_0,
        "deltas 0": delta_0,
        "outputs 1": a_1,
        "deltas 1": delta_1,
        "outputs 2": z,
        "deltas 2": delta_2,
    }
    column = 0
    for name, truth in blocks.items():
        n_columns = truth.shape[1]
        block = read_block(arena, column, n_columns, len(rows), problem.capacity)
        assert_allclose(block, truth, rtol=1e-12, atol=1e-15, err_msg=name)
        column += n_columns
    inputs = arena[column * problem.capacity + count_units(problem.layers) :][: X.size]
    truth = X.ravel() if gathered else np.full(X.size, np.nan)
    assert_array_equal(inputs, truth)


def make_arena_problem(output="softmax"):
    return make_problem((3, 5, 4, 2), "log_loss", output, rows=8, alpha=0.7, capacity=5)


@pytest.mark.parametrize("output", HEADS["log_loss"])
def test_arena_after_the_gradient(output):
    problem = make_arena_problem(output)
    arena = problem.arena()
    problem.compute_loss_and_gradient(arena=arena)
    m = problem.sample_weight.sum()
    check_last_block(problem, arena, np.arange(5, 8), m, output, gathered=False)


@pytest.mark.parametrize("output", HEADS["log_loss"])
def test_arena_after_training(output):
    problem = make_arena_problem(output)
    run = problem.start("sgd", [3, 1, 7, 0, 4, 6, 2], 7, learning_rate=0.1)
    run.train()
    m = problem.sample_weight[run.order].sum()
    check_last_block(problem, run.arena, run.order[5:], m, output, gathered=True)


def test_arena_after_the_loss():
    """As after the gradient, the hidden deltas excepted."""
    problem = make_arena_problem()
    arena, truth = problem.arena(), problem.arena()
    problem.compute_loss(arena=arena)
    problem.compute_loss_and_gradient(arena=truth)
    for begin, end in [(9, 14), (18, 22)]:
        truth[begin * 5 : end * 5] = np.nan
    assert_array_equal(arena, truth)


def test_arena_after_prediction():
    """Hidden outputs only; the last layer's go to out."""
    problem = make_arena_problem()
    arena, truth = problem.arena(), problem.arena()
    out = np.empty((8, 2))
    reference.predict(out, arena, problem.X, problem.params, problem.layers, 5)
    problem.compute_loss(arena=truth)
    for begin, end in [(0, 4), (9, 14), (18, 26)]:
        truth[begin * 5 : end * 5] = np.nan
    assert_array_equal(arena, truth)


# --- Closed forms


def make_data(targets, n_features=4, rows=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, n_features))
    z = X @ rng.normal(size=(n_features, 3)) + rng.normal(size=3)
    y = {
        "real": lambda: z[:, :2] + rng.normal(size=(rows, 2)),
        "binary": lambda: rng.uniform(size=rows) < scipy.special.expit(z[:, 0]),
        "classes": lambda: (z + rng.gumbel(size=(rows, 3))).argmax(axis=1),
        "counts": lambda: rng.poisson(np.exp(0.3 * z[:, 0])),
    }[targets]()
    return X, y.astype(float), rng.uniform(0.1, 3, rows)


def make_linear(X, y, sample_weight, loss, output, n_out, alpha):
    """A network without a hidden layer on given data."""
    layers = build_layers((X.shape[1], n_out), "identity", output)
    Y = y.reshape(len(X), count_targets(n_out, output))
    params = np.zeros(count_params(layers))
    return Problem(layers, params, X, Y, sample_weight, LOSSES[loss], alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
def test_no_hidden_layer_is_linear_or_ridge_regression(alpha):
    X, y, weights = make_data("real")
    problem = make_linear(X, y, weights, "squared_error", "identity", 2, alpha)
    found = problem.minimize()
    model = Ridge(alpha) if alpha else LinearRegression()
    model.fit(X, y, weights)
    assert_allclose(problem.weights(found), model.coef_.T, rtol=1e-6)
    assert_allclose(problem.biases(found), model.intercept_, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 20.0])
@pytest.mark.parametrize(
    ("targets", "output", "n_out"),
    [("binary", "logistic", 1), ("classes", "softmax", 3)],
)
def test_no_hidden_layer_is_logistic_regression(targets, output, n_out, alpha):
    X, y, weights = make_data(targets)
    problem = make_linear(X, y, weights, "log_loss", output, n_out, alpha)
    found = problem.minimize()
    model = LogisticRegression(C=1 / alpha, tol=1e-9, max_iter=10_000)
    model.fit(X, y, weights)
    assert_allclose(problem.weights(found), model.coef_.T, rtol=1e-5, atol=1e-5)
    problem.params = found
    assert_allclose(
        problem.predict()[:, -1], model.predict_proba(X)[:, -1], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("alpha", [0.5, 20.0])
def test_no_hidden_layer_is_poisson_regression(alpha):
    X, y, weights = make_data("counts")
    problem = make_linear(X, y, weights, "poisson", "exp", 1, alpha)
    found = problem.minimize()
    model = PoissonRegressor(alpha=alpha / weights.sum(), tol=1e-9, max_iter=10_000)
    model.fit(X, y, weights)
    assert_allclose(problem.weights(found)[:, 0], model.coef_, rtol=1e-5, atol=1e-5)
    assert_allclose(problem.biases(found), model.intercept_, rtol=1e-5, atol=1e-5)


def test_logistic_squared_error_follows_the_delta_rule():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 3)), rng.integers(2, size=6).astype(float)
    problem = make_linear(X, y, None, "squared_error", "logistic", 1, 0.0)
    order = np.tile(rng.permutation(6), 2)
    run = problem.start("sgd", order, 1, learning_rate=0.5)
    w, b = np.zeros(3), 0.0
    for row in order:
        run.order = np.array([row], dtype=np.intp)
        run.train()
        y_hat = scipy.special.expit(X[row] @ w + b)
        change = 0.5 * (y[row] - y_hat) * y_hat * (1 - y_hat)
        w, b = w + change * X[row], b + change
        assert_allclose(run.params, [*w, b], rtol=1e-12)


@pytest.mark.parametrize(("hidden", "learnt"), [((4,), True), ((), False)])
def test_xor_needs_a_hidden_layer(hidden, learnt):
    problem = make_problem((2, *hidden, 1), "log_loss", "logistic", weighted=False)
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    problem.X, problem.Y = X, np.array([[0], [1], [1], [0.0]])
    problem.sample_weight = None
    numbers = {"decay_1": 0.9, "decay_2": 0.999, "epsilon": 1e-8}
    order = np.tile(np.arange(4), 400)
    run = problem.start("adam", order, 4, learning_rate=0.05, **numbers)
    run.train()
    problem.params = run.params
    assert np.array_equal(problem.predict() > 0.5, problem.Y > 0.5) == learnt
    if learnt:
        assert problem.compute_loss() < 0.05
    else:
        assert problem.compute_loss() >= math.log(2)


# --- scikit-learn's network, step for step


def flatten(model):
    return np.concatenate([a.ravel() for a in (*model.coefs_, *model.intercepts_)])


SOLVERS = [
    ("adam", {"solver": "adam", "epsilon": 1e-3}),
    ("momentum", {"solver": "sgd", "nesterovs_momentum": False}),
    ("nesterov", {"solver": "sgd", "nesterovs_momentum": True}),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("optimizer", "solver"), SOLVERS)
@pytest.mark.parametrize(
    ("targets", "loss", "output", "n_out"),
    [
        ("real", "squared_error", "identity", 1),
        ("counts", "poisson", "exp", 1),
        ("binary", "log_loss", "logistic", 1),
        ("classes", "log_loss", "softmax", 3),
    ],
)
def test_training_follows_scikit_learn(targets, loss, output, n_out, optimizer, solver):
    X, y, weights = make_data(targets)
    y = y[:, 0] if y.ndim == 2 else y
    is_class = loss == "log_loss"
    settings = {
        "hidden_layer_sizes": (5, 4),
        "activation": "tanh",
        "alpha": 2.0,
        "batch_size": 16,
        "shuffle": False,
        "random_state": 0,
        "momentum": 0.9,
        **({} if is_class else {"loss": loss}),
        **solver,
    }
    make_model = MLPClassifier if is_class else MLPRegressor
    # A vanishing step: the parameters stay those that were drawn.
    start = make_model(**settings, max_iter=1, learning_rate_init=1e-300)
    start.fit(X, y, weights)
    model = make_model(**settings, max_iter=3, learning_rate_init=0.01)
    model.fit(X, y, weights)

    problem = make_linear(X, y, weights, loss, output, n_out, 2.0)
    problem.layers = build_layers((X.shape[1], 5, 4, n_out), "tanh", output)
    problem.params = flatten(start)
    adam = {"decay_1": 0.9, "decay_2": 0.999, "epsilon": 1e-3}
    numbers = adam if optimizer == "adam" else {"decay_1": 0.9}
    run = problem.start(optimizer, np.arange(60), 16, learning_rate=0.01, **numbers)
    curve = [run.train() / 60 for _ in range(3)]
    assert_allclose(curve, model.loss_curve_, rtol=1e-10)
    assert_allclose(run.params, flatten(model), rtol=1e-9, atol=1e-12)
