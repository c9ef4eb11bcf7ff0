"""The reference against what is independent of it.

Finite differences, steps computed by hand, SciPy, scikit-learn and closed forms. What
passes here is what the kernels are compared with.
"""

import math
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest
import scipy.special
import scipy.stats
from builders import (
    PARAMS,
    build_arena,
    build_layers,
    build_numbers,
    build_objective,
    build_plan,
    build_rule,
    build_slots,
    build_stats,
    count_params,
    count_targets,
    default_param,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.sparse import csr_array
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fastmlp import _reference as reference
from fastmlp._kernels import (
    HEADS,
    HIDDEN_ACTIVATIONS,
    LEAST_TARGETS,
    SLOPES_OF_Z,
    SLOTS,
    count_extras,
)
from fastmlp._reference import ACTIVATIONS, LOSSES, OPTIMIZERS

HEAD_PAIRS = [(loss, output) for loss, outputs in HEADS.items() for output in outputs]
OUTPUTS = sorted({output for _, output in HEAD_PAIRS})
ACTIVATION_NAMES = {code: name for name, code in ACTIVATIONS.items()}
LOSS_NAMES = {code: name for name, code in LOSSES.items()}
NUMBERS = {"learning_rate": 0.05, "decay_1": 0.8, "decay_2": 0.95, "epsilon": 1e-3}


@dataclass
class Problem:
    """A network and read-only data for it."""

    layers: np.ndarray
    params: np.ndarray
    stats: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None
    objective: np.ndarray
    numbers: np.ndarray
    capacity: int = 1000

    def __post_init__(self):
        for array in (self.X, self.Y, self.sample_weight):
            if array is not None:
                array.flags.writeable = False

    @property
    def plan(self):
        return build_plan(self.layers)

    def arena(self):
        return build_arena(
            self.layers, self.Y.shape[1], self.capacity, self.params.dtype
        )

    def compute_loss(self, params=None, arena=None):
        return reference.compute_loss(
            self.arena() if arena is None else arena,
            None,
            self.X,
            self.Y,
            self.sample_weight,
            self.params if params is None else params,
            self.stats,
            self.plan,
            self.objective,
            self.numbers,
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
            self.stats,
            self.plan,
            self.objective,
            self.numbers,
            self.capacity,
        )
        return value, grads

    def multiply_hessian(self, direction, arena=None, r_arena=None):
        out = np.full_like(self.params, np.nan)
        reference.multiply_hessian(
            out,
            self.arena() if arena is None else arena,
            self.arena() if r_arena is None else r_arena,
            self.X,
            self.Y,
            self.sample_weight,
            self.params,
            direction,
            self.plan,
            self.objective,
            self.numbers,
            self.capacity,
        )
        return out

    def predict(self, X=None, arena=None):
        out = np.full((len(self.Y), self.layers["n_out"][-1]), np.nan, self.Y.dtype)
        reference.predict(
            out,
            self.arena() if arena is None else arena,
            self.X if X is None else X,
            self.params,
            self.stats,
            self.plan,
            self.capacity,
        )
        return out

    def input_gradient(self, V):
        out = np.full((len(self.Y), self.layers["n_in"][0]), np.nan, self.Y.dtype)
        reference.input_gradient(
            out,
            self.arena(),
            self.X,
            V,
            self.params,
            self.stats,
            self.plan,
            self.capacity,
        )
        return out

    def start(self, optimizer, order, batch_size, params=None, **numbers):
        """Everything that train takes, at the first step."""
        dtype = self.params.dtype
        return Run(
            self,
            params=(self.params if params is None else params).copy(),
            stats=self.stats.copy(),
            grads=np.full_like(self.params, np.nan),
            slots=build_slots(optimizer, len(self.params), dtype),
            rule=build_rule(optimizer, **numbers),
            arena=self.arena(),
            order=np.arange(len(self.Y))[order].astype(np.intp),
            batch_size=batch_size,
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

    def view(self, vector, layer, i):
        offset, rows, columns, _ = self.plan.tensors[self.layers[layer]["tensors"] + i]
        return vector[offset:][: rows * columns].reshape(rows, columns)

    def weights(self, vector, layer=0):
        return self.view(vector, layer, 0)

    def biases(self, vector, layer=0):
        return self.view(vector, layer, 1)[0]

    def gammas(self, vector, layer=0):
        return self.view(vector, layer, 2)[0]

    @property
    def n_weights(self):
        return int((self.layers["n_in"] * self.layers["n_out"]).sum())

    def penalty_gradient(self):
        """α/m (r sign W + (1 − r) W), and nothing for what is no weight."""
        alpha, r = self.objective["alpha"], self.objective["l1_ratio"]
        gradient = np.zeros_like(self.params)
        W = self.params[: self.n_weights]
        m = len(self.Y) if self.sample_weight is None else self.sample_weight.sum()
        gradient[: self.n_weights] = alpha / m * (r * np.sign(W) + (1 - r) * W)
        return gradient


@dataclass
class Run:
    """A call to train, its buffers kept."""

    problem: Problem
    params: np.ndarray
    stats: np.ndarray
    grads: np.ndarray
    slots: np.ndarray
    rule: np.ndarray
    arena: np.ndarray
    order: np.ndarray
    batch_size: int

    def train(self):
        problem = self.problem
        return reference.train(
            self.params,
            self.stats,
            self.grads,
            self.slots,
            self.rule,
            self.arena,
            problem.X,
            problem.Y,
            problem.sample_weight,
            self.order,
            problem.plan,
            problem.objective,
            problem.numbers,
            self.batch_size,
            problem.capacity,
        )


def draw_targets(rng, rows, n_out, loss, output):
    if loss == "cross_entropy":
        return rng.uniform(size=(rows, n_out))
    if output == "softmax":
        return rng.integers(n_out, size=(rows, 1)).astype(float)
    if loss == "log_loss":
        return rng.integers(2, size=(rows, n_out)).astype(float)
    if loss in LEAST_TARGETS:
        return rng.integers(4, size=(rows, n_out)) + (0.5 if loss == "gamma" else 0.0)
    return rng.uniform(-1, 1, (rows, n_out))


def draw_signed(rng, n):
    """Numbers of either sign that keep away from zero, where ‖W‖₁ has a kink."""
    return rng.uniform(0.1, 1.2, n) * rng.choice([-1, 1], n)


def draw_stats(rng, layers):
    """Running moments as a training may leave them."""
    stats = build_stats(layers)
    return stats * rng.uniform(0.5, 2, stats.shape) + rng.uniform(0, 0.5, stats.shape)


def make_problem(
    sizes,
    loss,
    output,
    hidden="tanh",
    rows=7,
    weighted=True,
    seed=0,
    dtype=float,
    capacity=1000,
    alpha=0.0,
    l1_ratio=0.0,
    cap=np.inf,
    **shape,
):
    """A network and data drawn at random."""
    rng = np.random.default_rng(seed)
    layers = build_layers(sizes, hidden, output, loss=loss, **shape)
    weights = rng.uniform(0.1, 3, rows).astype(dtype) if weighted else None
    return Problem(
        layers,
        draw_signed(rng, count_params(layers)).astype(dtype),
        draw_stats(rng, layers).astype(dtype),
        rng.normal(size=(rows, sizes[0])).astype(dtype),
        draw_targets(rng, rows, sizes[-1], loss, output).astype(dtype),
        weights,
        build_objective(loss, alpha, l1_ratio, cap),
        build_numbers(loss, sizes[-1], dtype),
        capacity,
    )


def replace_rows(problem, rows, sample_weight):
    """The same problem with other rows of its data, and other weights."""
    return replace(
        problem, X=problem.X[rows], Y=problem.Y[rows], sample_weight=sample_weight
    )


def differentiate(function, x, step=1e-5):
    """The gradient of a function by central differences."""
    gradient = np.empty_like(x)
    for i in range(x.size):
        nudge = np.zeros_like(x)
        nudge.flat[i] = step
        gradient.flat[i] = (function(x + nudge) - function(x - nudge)) / (2 * step)
    return gradient


def differentiate_along(function, x, direction, step=3e-5):
    """The derivative along a direction, by differences that are exact for quartics."""
    one, two = (
        np.subtract(function(x + h * direction), function(x - h * direction))
        for h in (step, 2 * step)
    )
    return (8 * one - two) / (12 * step)


# --- The network by the book


def draw_numbers(n, seed, t, layer):
    """Dropout's stream, as docs/contracts.md has it, in Python's integers."""

    def mix64(x):
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    def mix32(x):
        x %= 2**32
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) % 2**32
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) % 2**32
        return x ^ (x >> 16)

    high, low = divmod(mix64(mix64(mix64(seed) + t) + layer), 2**32)
    return [mix32(mix32(i + low) + high) for i in range(n)]


def draw_mask(shape, dropout, seed, t, layer):
    """Dropout's factors, mask/(1 − p)."""
    drawn = np.reshape(draw_numbers(math.prod(shape), seed, t, layer), shape)
    return (drawn >= math.floor(dropout * 2**32)) / (1 - dropout)


def draw_masks(problem, rows, seed, t):
    """The factors of every hidden layer in that step, for a batch of so many rows."""
    return [
        draw_mask((rows, layer["n_out"]), layer["dropout"], seed, t, i)
        for i, layer in enumerate(problem.layers[:-1])
    ]


def weigh(problem, rows):
    """The rows' shares of the mean."""
    weights = problem.sample_weight
    w = np.ones(len(problem.Y))[rows] if weights is None else weights[rows]
    return w / w.sum()


def find_moments(problem, layer, x, scales, masks):
    """Mean and variance of x in training, running ones elsewhere."""
    if masks is None:
        return problem.stats[layer["running"] :][: 2 * layer["n_out"]].reshape(2, -1)
    variances = [np.cov(column, aweights=scales, ddof=0) for column in x.T]
    return np.average(x, axis=0, weights=scales), np.array(variances)


def forward(problem, rows=slice(None), masks=None, nudges=()):
    """What every layer holds for these rows; with masks as in training.

    nudges, an array a layer, are added to A W.
    """
    outputs, held = problem.X[rows], []
    scales = weigh(problem, rows)
    for i, layer in enumerate(problem.layers):
        b = problem.biases(problem.params, i)
        x = outputs @ problem.weights(problem.params, i)
        x = x + nudges[i] if len(nudges) else x
        block = {"z": x + b}
        if layer["normalized"] >= 0:
            mean, variance = find_moments(problem, layer, x, scales, masks)
            block["normalized"] = (x - mean) / np.sqrt(variance + 1e-5)
            gammas = problem.gammas(problem.params, i)
            block["z"] = gammas * block["normalized"] + b
        if i + 1 < len(problem.layers):
            block["a"] = ACTIVATION_TRUTHS[ACTIVATION_NAMES[layer["activation"]]](
                block["z"]
            )
            outputs = block["a"] if masks is None else block["a"] * masks[i]
            block["outputs"] = outputs
        held.append(block)
    return held


def name_head(problem):
    loss, output = problem.objective["loss"][0], problem.layers["activation"][-1]
    return LOSS_NAMES[loss], ACTIVATION_NAMES[output]


def find_losses(problem, rows=slice(None), masks=None, nudges=()):
    """Shares of ℓ of these rows."""
    z = forward(problem, rows, masks, nudges)[-1]["z"]
    return head_truth(*name_head(problem), z, problem.Y[rows], problem.numbers)


def find_objective(problem, rows=slice(None), masks=None, nudges=()):
    """J of these rows; with masks as in training, capped as there."""
    objective = problem.objective[0]
    losses = find_losses(problem, rows, masks, nudges)
    if masks is not None:
        losses = np.where(losses > objective["cap"], objective["cap"], losses)
    W, r = problem.params[: problem.n_weights], objective["l1_ratio"]
    penalty = r * np.abs(W).sum() + (1 - r) / 2 * (W @ W)
    weights = problem.sample_weight
    m = len(losses) if weights is None else weights[rows].sum()
    return weigh(problem, rows) @ losses.sum(axis=1) + objective["alpha"] / m * penalty


# --- The tables


def test_every_name_has_its_formula():
    assert set(reference.ACTIVATION_FUNCTIONS) == set(ACTIVATIONS)
    assert set(reference.SLOPE_FUNCTIONS) == set(ACTIVATIONS) - {"softmax"}
    assert set(reference.CURVATURE_FUNCTIONS) == set(ACTIVATIONS) - {"softmax"}
    assert set(reference.SLOPE_FUNCTIONS) >= set(HIDDEN_ACTIVATIONS)
    assert set(reference.HEAD_FUNCTIONS) == set(HEAD_PAIRS)
    assert set(reference.HEAD_CURVATURE_FUNCTIONS) == set(HEAD_PAIRS)
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
        ("softplus", lambda x: max(x, 0) + math.log1p(math.exp(-abs(x)))),
        ("erf", math.erf),
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
        ("softplus", 1000.0, 1000.0),
        ("softplus", -1000.0, 0.0),
        ("erf", -1000.0, -1.0),
    ],
)
def test_elementary_functions_reach_their_limits_silently(name, x, limit):
    out = np.empty(1)
    getattr(reference, name)(out, np.array([x]))
    assert out[0] == limit


# --- Activations

SELU_LAMBDA, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def elu_truth(z):
    return np.where(z > 0, z, np.exp(np.where(z > 0, 0, z)) - 1)


def gelu_tanh_truth(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


ACTIVATION_TRUTHS = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": lambda z: np.sinh(z) / np.cosh(z),
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, z / 100),
    "elu": elu_truth,
    "selu": lambda z: (
        SELU_LAMBDA * np.where(z > 0, z, SELU_ALPHA * elu_truth(np.minimum(z, 0)))
    ),
    "softplus": lambda z: np.log(1 + np.e**z),
    "silu": lambda z: z / (1 + np.e**-z),
    "gelu": lambda z: z * scipy.stats.norm.cdf(z),
    "gelu_tanh": gelu_tanh_truth,
    "mish": lambda z: z * np.tanh(np.log(1 + np.e**z)),
    "hardsigmoid": lambda z: np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "hardswish": lambda z: z * np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "exp": lambda z: np.e**z,
    "softmax": lambda z: scipy.special.softmax(z, axis=1),
}
ELEMENTWISE = sorted(set(ACTIVATIONS) - {"softmax"})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    rng = np.random.default_rng(0)
    z, b = rng.normal(0, 2, (5, 3)), rng.normal(size=3)
    a = z.copy()
    reference.activate(a, ACTIVATIONS[name], default_param(name))
    # The sum in gelu_tanh's truth cancels where z is far below zero.
    assert_allclose(a, ACTIVATION_TRUTHS[name](z), rtol=1e-13, atol=1e-15)
    a = z.copy()
    reference.add_bias_and_activate(a, b, ACTIVATIONS[name], default_param(name))
    assert_allclose(a, ACTIVATION_TRUTHS[name](z + b), rtol=1e-13, atol=1e-15)


def test_selu_keeps_mean_and_variance():
    """λ and α are those for which σ(z) of a standard normal z is standard again."""
    z = np.linspace(-12, 12, 200_001)
    a = z.reshape(1, -1).copy()
    reference.activate(a, ACTIVATIONS["selu"])
    density = scipy.stats.norm.pdf(z)
    moments = [np.trapezoid(a[0] ** k * density, z) for k in (1, 2)]
    assert_allclose(moments, [0, 1], atol=1e-8)


def test_softmax_of_large_numbers():
    a = np.array([[1000.0, 1000.0, -1000.0], [-2000.0, -1000.0, -3000.0]])
    reference.activate(a, ACTIVATIONS["softmax"])
    assert_array_equal(a, [[0.5, 0.5, 0], [0, 1, 0]])


def differentiate_activation(name, z, order):
    """σ'(z) or σ''(z), as multiply_slope and differentiate_slope have it."""
    code, one = ACTIVATIONS[name], np.ones_like(z)
    a, derivative = z.copy(), np.ones_like(z)
    reference.activate(a, code, PARAMS[code])
    if order == 1:
        reference.multiply_slope(derivative, a, z, code, PARAMS[code])
    else:
        derivative[:] = 0
        reference.differentiate_slope(derivative, one, one, a, z, code, PARAMS[code])
    return derivative


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "below", "slope_below", "above", "slope_above"),
    [
        ("identity", -1000, 1, 1000, 1),
        ("logistic", 0, 0, 1, 0),
        ("tanh", -1, 0, 1, 0),
        ("relu", 0, 0, 1000, 1),
        ("leaky_relu", -10, 0.01, 1000, 1),
        ("elu", -1, 0, 1000, 1),
        ("selu", -SELU_LAMBDA * SELU_ALPHA, 0, 1000 * SELU_LAMBDA, SELU_LAMBDA),
        ("softplus", 0, 0, 1000, 1),
        ("silu", 0, 0, 1000, 1),
        ("gelu", 0, 0, 1000, 1),
        ("gelu_tanh", 0, 0, 1000, 1),
        ("mish", 0, 0, 1000, 1),
        ("hardsigmoid", 0, 0, 1, 0),
        ("hardswish", 0, 0, 1000, 1),
    ],
)
def test_activations_reach_their_limits_silently(
    name, below, slope_below, above, slope_above
):
    z = np.array([[-1000.0, 1000.0]])
    a = z.copy()
    reference.activate(a, ACTIVATIONS[name], default_param(name))
    assert_allclose(a, [[below, above]], rtol=1e-15)
    slopes = differentiate_activation(name, z, 1)
    assert_allclose(slopes, [[slope_below, slope_above]], rtol=1e-15)
    assert_array_equal(differentiate_activation(name, z, 2), [[0, 0]])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slope_is_the_derivative(name):
    rng = np.random.default_rng(0)
    z, incoming = rng.normal(0, 2, (5, 3)), rng.normal(size=(5, 3))
    a, delta = z.copy(), incoming.copy()
    ahead, behind = z + 1e-6, z - 1e-6
    for matrix in (a, ahead, behind):
        reference.activate(matrix, ACTIVATIONS[name], default_param(name))
    reference.multiply_slope(delta, a, z, ACTIVATIONS[name], default_param(name))
    assert_allclose(delta, incoming * (ahead - behind) / 2e-6, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_curvature_is_the_derivative_of_the_slope(name):
    """delta ⊙ σ'(z) differentiated, both being moved."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (5, 3))
    delta, delta_moves, z_moves = rng.normal(size=(3, 5, 3))
    code = ACTIVATIONS[name]

    def propagate(r):
        moved, a = delta + r * delta_moves, z + r * z_moves
        reference.activate(a, code, PARAMS[code])
        reference.multiply_slope(moved, a, z + r * z_moves, code, PARAMS[code])
        return moved

    a, rdelta, before = z.copy(), delta_moves.copy(), delta.copy()
    reference.activate(a, code, PARAMS[code])
    reference.differentiate_slope(rdelta, delta, z_moves, a, z, code, PARAMS[code])
    assert_allclose(rdelta, differentiate_along(propagate, 0.0, 1.0), atol=1e-9)
    assert_array_equal(delta, before)


@pytest.mark.parametrize(
    ("name", "slope", "curvature"),
    [
        ("relu", 0, 0),
        ("leaky_relu", 0.01, 0),
        ("elu", 1, 1),
        ("selu", SELU_LAMBDA * SELU_ALPHA, SELU_LAMBDA * SELU_ALPHA),
    ],
)
def test_derivatives_in_the_kink(name, slope, curvature):
    z = np.array([[0.0, -0.0]])
    assert_array_equal(differentiate_activation(name, z, 1), [[slope] * 2])
    assert_array_equal(differentiate_activation(name, z, 2), [[curvature] * 2])


@pytest.mark.parametrize("name", sorted(set(ELEMENTWISE) - set(SLOPES_OF_Z)))
def test_slope_is_had_from_the_output_alone(name):
    """Their layers keep σ(z) where z stood."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (5, 3))
    a, delta = z.copy(), np.ones((5, 3))
    reference.activate(a, ACTIVATIONS[name], default_param(name))
    reference.multiply_slope(
        delta, a, np.full_like(z, np.nan), ACTIVATIONS[name], default_param(name)
    )
    assert_array_equal(delta, differentiate_activation(name, z, 1))


@pytest.mark.parametrize("name", OUTPUTS)
def test_jacobian_is_the_derivative(name):
    rng = np.random.default_rng(0)
    z, v = rng.normal(0, 1, (2, 5, 3))
    a, product = z.copy(), v.copy()
    reference.activate(a, ACTIVATIONS[name], default_param(name))
    reference.multiply_jacobian(product, a, z, ACTIVATIONS[name], default_param(name))
    truth = differentiate(lambda z: (v * ACTIVATION_TRUTHS[name](z)).sum(), z)
    assert_allclose(product, truth, atol=1e-8)


def test_softmax_has_no_slope():
    ones, code = np.ones((2, 2)), ACTIVATIONS["softmax"]
    with pytest.raises(ValueError, match="softmax"):
        reference.multiply_slope(np.ones((2, 2)), ones, ones, code)
    with pytest.raises(ValueError, match="softmax"):
        reference.differentiate_slope(
            np.ones((2, 2)), ones, ones, ones, ones, code, PARAMS[code]
        )


# --- Heads


def head_truth(loss, output, z, y, numbers):
    """Shares of ℓ from SciPy's own functions."""
    if loss == "squared_error":
        return 0.5 * (ACTIVATION_TRUTHS[output](z) - y) ** 2
    if loss == "absolute_error":
        return np.maximum(z - y, y - z)
    if loss == "huber":
        return scipy.special.huber(numbers, z - y)
    if loss == "quantile":
        return np.where(y >= z, numbers * (y - z), (numbers - 1) * (y - z))
    if loss == "poisson":
        return scipy.special.kl_div(y, np.e**z)
    if loss == "gamma":
        return y * np.e**-z - np.log(y * np.e**-z) - 1
    if loss == "tweedie":
        return tweedie_truth(np.e**z, y, numbers)
    if loss == "log_cosh":
        return np.log(np.cosh(z - y))
    if loss == "cross_entropy":
        return -y * np.log(np.e**z / (np.e**z).sum(axis=1, keepdims=True))
    if output == "softmax":
        one_hot = np.eye(z.shape[1])[y[:, 0].astype(int)]
        shares = -one_hot * scipy.special.log_softmax(z, axis=1)
        return shares.sum(axis=1, keepdims=True)
    return -scipy.special.xlogy(y, scipy.special.expit(z)) - scipy.special.xlogy(
        1 - y, scipy.special.expit(-z)
    )


def tweedie_truth(mu, y, p):
    """∫ (m − y)/mᵖ dm from y to μ, by which deviances are defined."""
    shares = np.empty(np.broadcast_shapes(mu.shape, y.shape), mu.dtype)
    p = np.broadcast_to(p, shares.shape)
    for at in np.ndindex(shares.shape):
        target, power = y[at], p[at]
        shares[at] = mu[at] ** (2 - power) / (2 - power)
        if target > 0:
            shares[at] -= target * mu[at] ** (1 - power) / (1 - power)
            shares[at] -= target ** (2 - power) * (1 / (2 - power) - 1 / (1 - power))
    return shares


def evaluate_head(loss, output, z, y, scales, numbers=None):
    """delta and losses."""
    delta, losses = np.full_like(z, np.nan), np.full_like(y, np.nan)
    numbers = build_numbers(loss, z.shape[1]) if numbers is None else numbers
    codes = LOSSES[loss], ACTIVATIONS[output]
    reference.evaluate_head(delta, losses, z, y, scales, numbers, *codes)
    return delta, losses


def differentiate_head(loss, output, rz, z, y, scales):
    rdelta, numbers = np.full_like(z, np.nan), build_numbers(loss, z.shape[1])
    codes = LOSSES[loss], ACTIVATIONS[output]
    reference.differentiate_head(rdelta, rz, z, y, scales, numbers, *codes)
    return rdelta


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_heads(loss, output):
    rng = np.random.default_rng(0)
    z, scales = rng.normal(size=(20, 3)), rng.uniform(0, 1, 20)
    y = draw_targets(rng, 20, 3, loss, output)
    numbers = build_numbers(loss, 3)
    delta, losses = evaluate_head(loss, output, z, y, scales)
    truth = head_truth(loss, output, z, y, numbers)
    assert_allclose(losses, truth, rtol=1e-12, atol=1e-14)

    def sum_shares(z):
        return head_truth(loss, output, z, y, numbers).sum(axis=1)

    slopes = [differentiate_along(sum_shares, z, column) for column in np.eye(3)]
    truth = scales[:, np.newaxis] * np.transpose(slopes)
    assert_allclose(delta, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_second_derivatives_of_heads(loss, output):
    rng = np.random.default_rng(0)
    z, scales = rng.normal(0, 2, (20, 3)), rng.uniform(0, 1, 20)
    y, rz = draw_targets(rng, 20, 3, loss, output), rng.normal(size=(20, 3))
    truth = differentiate_along(
        lambda z: evaluate_head(loss, output, z, y, scales)[0], z, rz
    )
    rdelta = differentiate_head(loss, output, rz, z, y, scales)
    assert_allclose(rdelta, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("output", "z", "y", "losses", "delta"),
    [
        ("logistic", [[900.0]], [[0.0]], [[900.0]], [[1.0]]),
        ("logistic", [[-900.0]], [[1.0]], [[900.0]], [[-1.0]]),
        ("logistic", [[900.0]], [[1.0]], [[0.0]], [[0.0]]),
        ("softmax", [[0.0, 900.0]], [[0.0]], [[900.0]], [[-1.0, 1.0]]),
        ("softmax", [[0.0, 900.0]], [[1.0]], [[0.0]], [[0.0, 0.0]]),
    ],
)
def test_log_loss_of_the_surely_wrong_is_finite(output, z, y, losses, delta):
    z, y = np.array(z), np.array(y)
    got_delta, got_losses = evaluate_head("log_loss", output, z, y, np.ones(1))
    assert_array_equal(got_losses, losses)
    assert_array_equal(got_delta, delta)


@pytest.mark.parametrize(
    ("loss", "z", "delta", "curvature"),
    [
        ("absolute_error", [0.0, 1.0], [0, 0], [0, 0]),
        ("quantile", [0.0, 1.0], [0, 0], [0, 0]),
        # κ on either side of y: the quadratic part has its ends.
        ("huber", [0.7, 1 - 0.7], [0.7, 0.3 - 1], [1, 1]),
    ],
)
def test_heads_in_the_kink(loss, z, delta, curvature):
    z, y, one = np.array([z]), np.array([[0.0, 1.0]]), np.ones(1)
    assert_array_equal(evaluate_head(loss, "identity", z, y, one)[0], [delta])
    rdelta = differentiate_head(loss, "identity", np.ones((1, 2)), z, y, one)
    assert_array_equal(rdelta, [curvature])


def test_every_output_has_its_own_number():
    z, y, one = np.array([[2.0, 2.0]]), np.zeros((1, 2)), np.ones(1)
    delta, losses = evaluate_head("huber", "identity", z, y, one, np.array([0.5, 3]))
    assert_array_equal(delta, [[0.5, 2]])
    assert_array_equal(losses, [[0.5 * (2 - 0.25), 2]])
    z[:] = -2
    delta, losses = evaluate_head(
        "quantile", "identity", z, y, one, np.array([0.25, 0.5])
    )
    assert_array_equal(delta, [[-0.25, -0.5]])
    assert_array_equal(losses, [[0.5, 1]])


def test_quantile_of_a_half_is_half_the_absolute_error():
    rng = np.random.default_rng(0)
    z, y, scales = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), np.ones(6)
    halves = evaluate_head("quantile", "identity", z, y, scales, np.full(3, 0.5))
    wholes = evaluate_head("absolute_error", "identity", z, y, scales)
    for half, whole in zip(halves, wholes, strict=True):
        assert_allclose(2 * half, whole, rtol=1e-15)


@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_heads_keep_nan(loss, output):
    """A network that diverged must not look as if it had converged."""
    y = draw_targets(np.random.default_rng(0), 1, 2, loss, output)
    delta, losses = evaluate_head(loss, output, np.full((1, 2), np.nan), y, np.ones(1))
    assert np.isnan(delta).all()
    assert np.isnan(losses).any()


# --- Products and sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype(dtype) for s in ((4, 3), (3, 5)))
    product = np.einsum("ik,kj->ij", a, b, dtype=float)
    c = np.full((4, 5), np.nan, dtype)
    reference.multiply(c, a, b, False)
    assert_allclose(c, product, rtol=4 * np.finfo(dtype).eps, atol=1e-15)
    c = np.full((4, 5), 10, dtype)
    reference.multiply(c, a, b, True)
    assert_allclose(c, 10 + product, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums(dtype):
    a = np.arange(6, dtype=dtype).reshape(2, 3)
    out = np.full(3, np.nan, dtype)
    reference.sum_columns(out, a, False)
    assert_array_equal(out, [3, 5, 7])
    reference.sum_columns(out, a, True)
    assert_array_equal(out, [6, 10, 14])
    assert reference.sum_squares(a[1]) == 50
    assert reference.sum_magnitudes(a[1] - 4) == 2


def test_sums_do_not_round_in_single():
    x = np.array([1e4, 1.0], np.float32)
    assert reference.sum_squares(x) == 1e8 + 1
    assert reference.sum_magnitudes(x * x) == 1e8 + 1


# --- Dropout


def test_mix64_is_splitmix64():
    """Its first outputs from seed 0, as published with xoshiro's generators."""
    golden = 0x9E3779B97F4A7C15
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [reference.mix64(i * golden % 2**64) for i in range(3)] == outputs


def test_mix32_is_the_finalizer_of_murmur_hash_3():
    assert reference.mix32(0) == 0
    assert reference.mix32(1) == 0x514E28B7


def drop_ones(shape, dropout, seed=0, t=1, layer=0, first=0):
    out = np.full(shape, np.nan)
    reference.drop(out, np.ones(shape), dropout, seed, t, layer, first)
    return out


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    ("seed", "t", "layer"), [(0, 1, 0), (7, 3, 2), (2**62 + 5, 10**9, 40)]
)
def test_masks_are_those_of_the_contract(seed, t, layer, dropout):
    a = np.random.default_rng(0).normal(size=(9, 7))
    out = np.full_like(a, np.nan)
    reference.drop(out, a, dropout, seed, t, layer, 0)
    truth = a * draw_mask(a.shape, dropout, seed, t, layer)
    assert_allclose(out, truth, rtol=1e-15)


def test_what_is_drawn_at_the_threshold_is_kept():
    (drawn,) = draw_numbers(1, seed=0, t=1, layer=0)
    assert drop_ones((1, 1), drawn / 2**32) > 0
    assert drop_ones((1, 1), (drawn + 1) / 2**32) == 0


@pytest.mark.parametrize("dropout", [0.05, 0.2, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(dropout):
    """Within four deviations of a binomial of 100 000."""
    out = drop_ones((1000, 100), dropout)
    kept, deviation = 1 - dropout, math.sqrt(dropout * (1 - dropout) / 100_000)
    assert abs((out != 0).mean() - kept) < 4 * deviation
    assert_allclose(out[out != 0], 1 / kept, rtol=1e-15)
    assert abs(out.mean() - 1) < 4 * deviation / kept


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"t": 2}, {"layer": 1}, {"first": 1}, {"first": 1000}],
    ids=str,
)
def test_masks_are_independent(other):
    """Of another seed, step, layer or row: uncorrelated within four deviations."""
    one, two = (drop_ones((1000, 100), 0.5, **how).ravel() for how in ({}, other))
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / math.sqrt(one.size)


@pytest.mark.parametrize("lag", [1, 2, 3, 32, 100, 256, 1024])
def test_neighbours_are_independent(lag):
    mask = drop_ones((1000, 100), 0.5).ravel()
    assert abs(np.corrcoef(mask[lag:], mask[:-lag])[0, 1]) < 4 / math.sqrt(mask.size)


def test_masks_do_not_depend_on_how_a_batch_is_cut():
    whole = drop_ones((10, 7), 0.4)
    parts = [
        drop_ones((n, 7), 0.4, first=first) for n, first in [(3, 0), (6, 3), (1, 9)]
    ]
    assert_array_equal(np.vstack(parts), whole)


def test_dropout_in_place():
    a = np.random.default_rng(0).normal(size=(5, 4))
    out = np.empty_like(a)
    reference.drop(out, a, 0.5, 1, 2, 3, 4)
    reference.drop(a, a, 0.5, 1, 2, 3, 4)
    assert_array_equal(a, out)


# --- Batch normalisation


def draw_batch(rows=7, n=3):
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 3, rows)
    return rng.normal(2, 3, (rows, n)), weights / weights.sum()


def find_moments_of(x, scales):
    moments = np.full((2, x.shape[1]), np.nan, x.dtype)
    reference.compute_moments(moments, x, scales)
    return moments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(dtype):
    x, scales = (array.astype(dtype) for array in draw_batch())
    variances = [
        np.cov(column, aweights=scales, ddof=0) for column in x.T.astype(float)
    ]
    truth = [np.average(x.astype(float), axis=0, weights=scales), variances]
    rtol = 1e-6 if dtype == np.float32 else 1e-14
    assert_allclose(find_moments_of(x, scales), truth, rtol=rtol)


def test_weighted_moments_are_those_of_repeated_rows():
    x, repeats = draw_batch()[0], np.array([2, 1, 3, 1, 5, 4, 1])
    repeated = np.repeat(x, repeats, axis=0)
    moments = find_moments_of(x, repeats / repeats.sum())
    assert_allclose(moments, [repeated.mean(axis=0), repeated.var(axis=0)], rtol=1e-14)


def test_normalised_columns_have_mean_zero_and_variance_one():
    x, scales = draw_batch()
    variance = find_moments_of(x, scales)[1]
    reference.normalize(x, find_moments_of(x, scales))
    mean, normalised_variance = find_moments_of(x, scales)
    assert_allclose(mean, 0, atol=1e-15)
    assert_allclose(normalised_variance, variance / (variance + 1e-5), rtol=1e-14)


def test_a_constant_column_is_normalised_to_zero():
    x = np.full((4, 1), 3.0)
    reference.normalize(x, find_moments_of(x, np.full(4, 0.25)))
    assert_array_equal(x, np.zeros((4, 1)))


def test_scale_and_shift():
    z, x = np.full((2, 2), np.nan), np.array([[1.0, 2], [3, 4]])
    reference.scale_and_shift(z, x, np.array([2.0, -1]), np.array([10.0, 20]))
    assert_array_equal(z, [[12, 18], [16, 16]])


def normalise_by_the_book(x, scales, gammas, biases):
    mean = np.average(x, axis=0, weights=scales)
    variance = np.average((x - mean) ** 2, axis=0, weights=scales)
    return gammas * (x - mean) / np.sqrt(variance + 1e-5) + biases


def test_deltas_go_through_the_moments():
    """∂/∂X, ∂/∂γ and ∂/∂b of Σ incoming ⊙ (γ X̂ + b)."""
    rng = np.random.default_rng(1)
    X, scales = draw_batch()
    incoming, gammas, biases = rng.normal(size=X.shape), draw_signed(rng, 3), np.ones(3)
    moments, x = find_moments_of(X, scales), X.copy()
    reference.normalize(x, moments)
    delta, bias_grads, gamma_grads = incoming.copy(), np.full(3, np.nan), np.ones(3)
    reference.normalize_deltas(
        delta, bias_grads, gamma_grads, x, scales, gammas, moments
    )

    def total(X=X, gammas=gammas, biases=biases):
        return (incoming * normalise_by_the_book(X, scales, gammas, biases)).sum()

    assert_allclose(delta, differentiate(lambda v: total(X=v), X), atol=1e-9)
    by_gammas = differentiate(lambda v: total(gammas=v), gammas)
    by_biases = differentiate(lambda v: total(biases=v), biases)
    assert_allclose(gamma_grads, by_gammas, atol=1e-9)
    assert_allclose(bias_grads, by_biases, atol=1e-9)


# --- Optimizers, each by hand: θ = 1, η = 0.1, g = 2 and then −3

PLAIN = {"l1": 0.0, "l2": 0.0, "shrink": 1.0, "scale": 1.0}


# nadam's μ₁, μ₂ and μ₃ at β₁ = ½, 1 − μ₁μ₂, and its first step.
MU = [0.5 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2, 3)]
NADAM_2 = 1 - MU[0] * MU[1]
NADAM_1 = 1 - 0.1 * (MU[1] / NADAM_2 + 2) / (2 + 1)


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
        (
            "adamw",
            {"decay_1": 0.5, "decay_2": 0.75, "epsilon": 1},
            [
                1 - 0.1 * 2 / (2 + 1),
                1 - 0.2 / 3 + 0.1 * (1 / 0.75) / (math.sqrt(3 / 0.4375) + 1),
            ],
            [[1, 1], [-1, 3]],
        ),
        (
            "nadam",
            {"decay_1": 0.5, "decay_2": 0.75, "epsilon": 1},
            [
                NADAM_1,
                NADAM_1
                + 0.1
                * (MU[2] / (1 - MU[0] * MU[1] * MU[2]) + 3 * (1 - MU[1]) / NADAM_2)
                / (math.sqrt(3 / 0.4375) + 1),
            ],
            [[1, 1], [-1, 3]],
        ),
        (
            "lion",
            {"decay_1": 0.5, "decay_2": 0.75},
            [0.9, 1.0],
            [[0.5], [-0.375]],
        ),
    ],
)
def test_two_steps_by_hand(optimizer, numbers, params, slots):
    rule = build_rule(optimizer, learning_rate=0.1, **numbers)
    theta, state = np.array([1.0]), build_slots(optimizer, 1)
    for t, g in enumerate([2.0, -3.0]):
        rule["t"] = t + 1
        reference.update(theta, np.array([g]), state, rule, **PLAIN)
        assert_allclose(theta, params[t], rtol=1e-14)
        assert_allclose(state[:, 0], slots[t], rtol=1e-14)
        assert rule["t"] == t + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "how", [{"l1": 0.4}, {"l2": 0.3}, {"shrink": 0.9}, {"scale": 0.2}, None], ids=str
)
def test_penalty_decay_and_clipping(how, optimizer, dtype):
    """One at a time, and all at once; a parameter of zero has no sign."""
    how = {"l1": 0.4, "l2": 0.3, "shrink": 0.9, "scale": 0.2} if how is None else how
    how = PLAIN | how
    rng = np.random.default_rng(0)
    params, grads = rng.normal(size=(2, 6)).astype(dtype)
    params[0] = 0
    slots = rng.uniform(1, 2, (SLOTS[optimizer], 6)).astype(dtype)
    rule = build_rule(optimizer, t=3, **NUMBERS)
    actual, actual_slots = params.copy(), slots.copy()
    reference.update(actual, grads, actual_slots, rule, **how)

    params, slots = params.astype(float), slots.astype(float)
    signs = np.array([0 if w == 0 else math.copysign(1, w) for w in params])
    g = how["scale"] * (grads + how["l1"] * signs + how["l2"] * params)
    params *= how["shrink"]
    reference.update(params, g, slots, rule, **PLAIN)
    rtol = 2 * np.finfo(dtype).eps
    assert_allclose(actual, params, rtol=rtol)
    assert_allclose(actual_slots, slots, rtol=rtol)


def run_optimizer(optimizer, gradients, **numbers):
    """θ after a step along each gradient, from θ = 1."""
    theta, slots = np.ones(4), build_slots(optimizer, 4)
    rule = build_rule(optimizer, **numbers)
    for g in gradients:
        rule["t"] += 1
        reference.update(theta, g, slots, rule, **PLAIN)
    return theta


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
    theta = run_optimizer("adam", gradients, **numbers)
    truth = textbook_adam(np.ones(4), gradients, **numbers)
    assert (np.abs(theta - truth).max() < 1e-12) == agree
    assert np.abs(theta - truth).max() < 0.1
    assert_allclose(run_optimizer("adamw", gradients, **numbers), truth, rtol=1e-14)


def test_sgd_with_l2_is_decoupled_weight_decay():
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(2, 9))
    slots, rule = build_slots("sgd", 9), build_rule("sgd", learning_rate=0.1)
    penalised, decayed = w.copy(), w.copy()
    reference.update(penalised, g, slots, rule, **PLAIN | {"l2": 0.3})
    reference.update(decayed, g, slots, rule, **PLAIN | {"shrink": 1 - 0.1 * 0.3})
    assert_allclose(penalised, decayed, rtol=1e-14)
    assert_allclose(decayed, (1 - 0.1 * 0.3) * w - 0.1 * g, rtol=1e-14)


# --- The objective

SHAPES = {
    "plain": {},
    "dropout": {"dropout": [0.4, 0.0]},
    "batch_norm": {"batch_norm": True},
    "both": {"batch_norm": True, "dropout": [0.3, 0.5]},
}
PENALTY = {"alpha": 0.7, "l1_ratio": 0.3}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_objective_is_the_weighted_mean_with_penalty(loss, output, shape):
    """Elsewhere than in training: running moments, and nothing is dropped."""
    problem = make_problem(
        (3, 5, 4, 2), loss, output, capacity=3, **PENALTY, **SHAPES[shape]
    )
    assert_allclose(problem.compute_loss(), find_objective(problem), rtol=1e-13)
    a = ACTIVATION_TRUTHS[output](forward(problem)[-1]["z"])
    assert_allclose(problem.predict(), a, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_training_sees_its_batch_and_its_masks(loss, output, shape):
    """J of two steps that do not move; the second batch is short."""
    problem = make_problem((3, 5, 4, 2), loss, output, **PENALTY, **SHAPES[shape])
    order = np.array([3, 1, 7, 0, 4, 6, 2]) % 7
    run = problem.start("sgd", order, 4, seed=3, t=5)
    truth = 0
    for t, rows in ((6, order[:4]), (7, order[4:])):
        masks = draw_masks(problem, len(rows), 3, t)
        truth += len(rows) * find_objective(problem, rows, masks)
    assert_allclose(run.train(), truth, rtol=1e-12)
    assert run.rule["t"] == 7


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_penalty_is_on_weights_only(l1_ratio):
    shape = {"batch_norm": True, "l1_ratio": l1_ratio}
    heavy = make_problem((3, 4, 2), "squared_error", "identity", alpha=5, **shape)
    free = make_problem((3, 4, 2), "squared_error", "identity", alpha=0, **shape)
    value, grads = heavy.compute_loss_and_gradient()
    free_value, free_grads = free.compute_loss_and_gradient()
    W = heavy.params[: 3 * 4 + 4 * 2]
    strength = 5 / heavy.sample_weight.sum()
    penalty = l1_ratio * np.abs(W).sum() + (1 - l1_ratio) * (W**2).sum() / 2
    assert_allclose(value - free_value, strength * penalty, rtol=1e-12)
    truth = np.zeros_like(grads)
    truth[: len(W)] = strength * (l1_ratio * np.sign(W) + (1 - l1_ratio) * W)
    assert_allclose(grads - free_grads, truth, atol=1e-13)


def test_a_weight_of_zero_has_no_sign():
    problem = make_problem((3, 2), "squared_error", "identity", alpha=1, l1_ratio=1)
    problem.params[:] = 0
    free = replace(problem, objective=build_objective("squared_error"))
    _, grads = problem.compute_loss_and_gradient()
    assert_array_equal(grads, free.compute_loss_and_gradient()[1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("capacity", [1, 3, 7, 8])
def test_capacity_does_not_matter(capacity, shape):
    whole = make_problem(
        (3, 5, 4, 2), "log_loss", "softmax", **PENALTY, **SHAPES[shape]
    )
    parts = replace(whole, capacity=capacity)
    value, grads = parts.compute_loss_and_gradient()
    whole_value, whole_grads = whole.compute_loss_and_gradient()
    assert_allclose(value, whole_value, rtol=1e-14)
    assert_allclose(grads, whole_grads, rtol=1e-12, atol=1e-15)
    assert_allclose(parts.predict(), whole.predict(), rtol=1e-14)
    V = np.random.default_rng(0).normal(size=(7, 2))
    assert_allclose(parts.input_gradient(V), whole.input_gradient(V), rtol=1e-13)


@pytest.mark.parametrize("shape", ["plain", "dropout"])
@pytest.mark.parametrize("capacity", [1, 3, 7])
def test_capacity_does_not_matter_in_training(capacity, shape):
    """The masks are those of the batch, wherever it is cut."""
    problem = make_problem(
        (3, 5, 4, 2), "log_loss", "softmax", **PENALTY, **SHAPES[shape]
    )
    whole = problem.start("adam", slice(None), 7, **NUMBERS)
    parts = replace(problem, capacity=capacity).start("adam", slice(None), 7, **NUMBERS)
    assert_allclose(parts.train(), whole.train(), rtol=1e-13)
    assert_allclose(parts.params, whole.params, rtol=1e-12)


def test_capacity_does_not_matter_to_the_hessian():
    whole = make_problem((3, 5, 4, 2), "log_loss", "softmax", spread=True, **PENALTY)
    v = np.random.default_rng(0).normal(size=len(whole.params))
    parts = replace(whole, capacity=3)
    product = whole.multiply_hessian(v)
    assert_allclose(parts.multiply_hessian(v), product, rtol=1e-12, atol=1e-14)


def test_normalised_training_needs_its_batch_at_once():
    problem = make_problem(
        (3, 4, 2), "log_loss", "softmax", batch_norm=True, capacity=3
    )
    with pytest.raises(ValueError, match="batch"):
        problem.start("sgd", slice(None), 4).train()
    # A batch size above the capacity does no harm where there are fewer rows.
    problem.start("sgd", [0, 1, 2], 4).train()


def as_double(problem):
    """The same numbers in float64."""
    names = ("params", "stats", "X", "Y", "sample_weight", "numbers")
    arrays = {name: getattr(problem, name).astype(np.float64) for name in names}
    return replace(problem, **arrays)


@pytest.mark.parametrize("shape", ["plain", "both"])
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_single_precision_is_rounded_double(loss, output, shape):
    how = {"dtype": np.float32, **PENALTY, **SHAPES[shape]}
    single = make_problem((3, 5, 4, 2), loss, output, **how)
    double = as_double(single)
    value, grads = single.compute_loss_and_gradient()
    double_value, double_grads = double.compute_loss_and_gradient()
    assert grads.dtype == np.float32
    scale = np.abs(double_grads).max()
    assert_allclose(value, double_value, rtol=1e-6)
    assert_allclose(grads, double_grads, atol=1e-6 * scale)
    runs = [p.start("sgd", slice(None), 7, **NUMBERS) for p in (single, double)]
    values = [run.train() for run in runs]
    assert_allclose(*values, rtol=1e-6)
    scale = np.abs(runs[1].grads).max()
    assert_allclose(runs[0].grads, runs[1].grads, atol=3e-6 * scale)
    assert_allclose(runs[0].stats, runs[1].stats, atol=1e-6)


# --- Derivatives of whole networks: every hidden activation under every head

# The step whose masks are held fixed.
STEP = {"seed": 3, "t": 6}
# How far off a kink must be: farther than any difference moves a unit.
REACH = 2e-3


def find_distance(problem, masks):
    """The least distance of a unit from what may be a kink: zero, y or y ± κ."""
    held = forward(problem, masks=masks)
    z = held[-1]["z"]
    r = z - problem.Y
    places = [*(block["z"] for block in held), r, np.abs(r) - problem.numbers]
    return min(np.abs(place).min() for place in places)


def make_smooth_problem(loss, output, hidden, masked=False, **shape):
    """The first network drawn that no difference takes over a kink."""
    shape |= PENALTY
    problems = (
        make_problem((3, 4, 3, 2), loss, output, hidden, rows=5, seed=seed, **shape)
        for seed in count()
    )
    return next(
        problem
        for problem in problems
        if find_distance(problem, draw_masks(problem, 5, **STEP) if masked else None)
        > REACH
    )


def assert_derivative(gradient, function, x, n_directions=3):
    """gradient · v is the function's derivative along some v.

    Differences are off by a rounding of the function over the step, 1e-16/3e-5.
    """
    rng = np.random.default_rng(0)
    scale = max(1, np.abs(gradient).max(), np.abs(function(x)).max())
    for direction in rng.normal(size=(n_directions, *x.shape)):
        truth = differentiate_along(function, x, direction)
        slope = (gradient * direction).sum()
        assert_allclose(slope, truth, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
@pytest.mark.parametrize("shape", ["plain", "dropout", "both"])
def test_training_gradient_is_the_derivative(shape, loss, output, hidden):
    problem = make_smooth_problem(loss, output, hidden, masked=True, **SHAPES[shape])

    def step(params):
        """A step of no length: J, and the gradient."""
        run = problem.start(
            "sgd", slice(None), 5, params, seed=STEP["seed"], t=STEP["t"] - 1
        )
        return run.train() / 5, run.grads

    gradient = step(problem.params)[1] + problem.penalty_gradient()
    assert_derivative(gradient, lambda params: step(params)[0], problem.params)


@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_gradient_with_running_moments_is_the_derivative(loss, output, hidden):
    problem = make_smooth_problem(loss, output, hidden, **SHAPES["both"])
    problem.capacity = 3
    value, gradient = problem.compute_loss_and_gradient()
    assert value == problem.compute_loss()
    assert_derivative(gradient, problem.compute_loss, problem.params)


@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize(("loss", "output"), HEAD_PAIRS)
def test_hessian_is_the_derivative_of_the_gradient(loss, output, hidden):
    shape = SHAPES["dropout"] | {"spread": True}
    problem = make_smooth_problem(loss, output, hidden, **shape)
    v = np.random.default_rng(0).normal(size=problem.params.shape)
    product = problem.multiply_hessian(v)
    truth = differentiate_along(
        lambda params: problem.compute_loss_and_gradient(params)[1], problem.params, v
    )
    atol = 1e-9 * max(1, np.abs(product).max())
    assert_allclose(product, truth, rtol=0, atol=atol)


@pytest.mark.parametrize("hidden", HIDDEN_ACTIVATIONS)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shape", ["plain", "both"])
def test_input_gradient_is_the_derivative_of_the_prediction(shape, output, hidden):
    loss = next(loss for loss, outputs in HEADS.items() if output in outputs)
    problem = make_smooth_problem(loss, output, hidden, **SHAPES[shape])
    V = np.random.default_rng(0).normal(size=(5, 2))
    assert_derivative(
        problem.input_gradient(V), lambda X: (V * problem.predict(X)).sum(), problem.X
    )


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (3, 5, 4, 3, 1)])
def test_derivatives_of_other_depths(sizes):
    """Entry by entry, with another activation and another dropout in every layer."""
    n_hidden = len(sizes) - 2
    problem = make_problem(
        sizes,
        "squared_error",
        "tanh",
        ["mish", "elu", "gelu"][:n_hidden],
        dropout=[0.2, 0.0, 0.3][:n_hidden],
        spread=True,
        **PENALTY,
    )
    _, gradient = problem.compute_loss_and_gradient()
    truth = differentiate(problem.compute_loss, problem.params)
    assert_allclose(gradient, truth, atol=1e-8)
    H = [problem.multiply_hessian(v) for v in np.eye(len(gradient))]
    assert_allclose(H, np.transpose(H), atol=1e-13)


def test_sign_has_no_derivative():
    """Of the penalty, H has α(1 − r)/m on the diagonal of W, and nothing else."""
    problem = make_problem((3, 4, 2), "log_loss", "softmax", spread=True, **PENALTY)
    free = replace(problem, objective=build_objective("log_loss"))
    v = np.random.default_rng(0).normal(size=problem.params.shape)
    truth = 0.7 * (1 - 0.3) / problem.sample_weight.sum() * v
    truth[problem.n_weights :] = 0
    difference = problem.multiply_hessian(v) - free.multiply_hessian(v)
    assert_allclose(difference, truth, atol=1e-14)


# --- Sample weights


def test_no_weights_are_weights_of_one():
    problem = make_problem(
        (3, 5, 2), "log_loss", "softmax", weighted=False, spread=True, **PENALTY
    )
    ones = replace_rows(problem, slice(None), np.ones(7))
    value, grads = problem.compute_loss_and_gradient()
    ones_value, ones_grads = ones.compute_loss_and_gradient()
    assert value == ones_value
    assert_array_equal(grads, ones_grads)
    v = np.arange(float(len(grads)))
    assert_array_equal(problem.multiply_hessian(v), ones.multiply_hessian(v))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("weights", [[2, 1, 3, 1, 1, 4, 1], [1, 0, 2, 0, 1, 1, 0]])
def test_integer_weights_are_repetitions(weights, batch_norm):
    weights = np.array(weights)
    rows = np.repeat(np.arange(7), weights)
    plain = make_problem(
        (3, 5, 2), "log_loss", "softmax", batch_norm=batch_norm, **PENALTY
    )
    weighted = replace_rows(plain, slice(None), weights.astype(float))
    repeated = replace_rows(plain, rows, None)
    value, grads = weighted.compute_loss_and_gradient()
    repeated_value, repeated_grads = repeated.compute_loss_and_gradient()
    assert_allclose(value, repeated_value, rtol=1e-14)
    assert_allclose(grads, repeated_grads, rtol=1e-12, atol=1e-15)

    one = weighted.start("adam", np.tile(np.arange(7), 3), 7, **NUMBERS)
    other = repeated.start(
        "adam", np.tile(np.arange(len(rows)), 3), len(rows), **NUMBERS
    )
    one.train()
    other.train()
    assert_allclose(one.params, other.params, rtol=1e-11)
    assert_allclose(one.stats, other.stats, rtol=1e-12)


def test_integer_weights_are_repetitions_to_the_hessian():
    weights = np.array([2, 1, 3, 1, 1, 4, 1])
    plain = make_problem((3, 5, 2), "log_loss", "softmax", spread=True, **PENALTY)
    weighted = replace_rows(plain, slice(None), weights.astype(float))
    repeated = replace_rows(plain, np.repeat(np.arange(7), weights), None)
    v = np.random.default_rng(0).normal(size=plain.params.shape)
    products = [problem.multiply_hessian(v) for problem in (weighted, repeated)]
    assert_allclose(*products, rtol=1e-12, atol=1e-14)


def test_rows_without_weight_have_no_loss():
    problem = make_problem(
        (3, 5, 2), "squared_error", "identity", spread=True, **PENALTY
    )
    weightless = replace_rows(problem, slice(None), np.zeros(7))
    value, grads = weightless.compute_loss_and_gradient()
    assert value == weightless.compute_loss() == 0
    assert_array_equal(grads, 0)
    assert_array_equal(weightless.multiply_hessian(np.ones_like(grads)), 0)


def test_a_batch_without_weight_takes_no_step():
    weights = np.array([1, 2, 1, 0, 0, 0, 1.0])
    problem = make_problem(
        (3, 5, 2), "squared_error", "identity", **PENALTY, **SHAPES["batch_norm"]
    )
    problem = replace_rows(problem, slice(None), weights)
    with_it = problem.start("adam", [0, 1, 2, 3, 4, 5], 3, weight_decay=0.1, **NUMBERS)
    without = problem.start("adam", [0, 1, 2], 3, weight_decay=0.1, **NUMBERS)
    assert with_it.train() == without.train()
    assert with_it.rule["t"] == 1
    for buffer in ("params", "stats", "grads", "slots", "arena"):
        assert_array_equal(getattr(with_it, buffer), getattr(without, buffer))


# --- Sparse rows


def test_sparse_rows_are_dense_rows():
    shape = SHAPES["dropout"] | {"spread": True}
    dense = make_problem((6, 5, 4, 2), "log_loss", "softmax", capacity=3, **shape)
    X = np.where(np.abs(dense.X) > 0.7, dense.X, 0)
    dense.X = X
    rows = csr_array(X)
    sparse = make_problem((6, 5, 4, 2), "log_loss", "softmax", capacity=3, **shape)
    sparse.X = (rows.data, rows.indices.astype(np.intc), rows.indptr.astype(np.intp))
    V = np.random.default_rng(0).normal(size=(7, 2))
    v = np.random.default_rng(1).normal(size=dense.params.shape)
    for call in (
        lambda problem: problem.compute_loss_and_gradient()[1],
        lambda problem: problem.predict(),
        lambda problem: problem.input_gradient(V),
        lambda problem: problem.multiply_hessian(v),
    ):
        assert_allclose(call(sparse), call(dense), rtol=1e-14, atol=1e-16)
    runs = [p.start("adam", [4, 2, 6, 1], 4, **NUMBERS) for p in (sparse, dense)]
    assert runs[0].train() == runs[1].train()
    assert_array_equal(runs[0].params, runs[1].params)


# --- Training


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_gradient_and_update(optimizer):
    """Three batches of 4, 4 and 2 rows of ten, worked in blocks of 3."""
    problem = make_problem(
        (3, 5, 2), "log_loss", "softmax", rows=10, capacity=3, **PENALTY
    )
    order = np.random.default_rng(1).permutation(10)
    run = problem.start(
        optimizer, order, 4, weight_decay=0.3, clip_norm=1.97, **NUMBERS
    )
    total = run.train()

    params, slots = problem.params.copy(), build_slots(optimizer, len(run.params))
    rule = build_rule(optimizer, **NUMBERS)
    true_total, norms = 0, []
    for rows in (order[:4], order[4:8], order[8:]):
        batch = replace_rows(problem, rows, problem.sample_weight[rows])
        batch.params = params
        value, grads = batch.compute_loss_and_gradient()
        data_grads = grads - batch.penalty_gradient()
        true_total += value * len(rows)
        rule["t"] += 1
        norms.append(np.linalg.norm(grads))
        params[: problem.n_weights] *= 1 - 0.05 * 0.3
        clipped = grads * min(1, 1.97 / norms[-1])
        reference.update(params, clipped, slots, rule, **PLAIN)
    assert min(norms) < 1.97 < max(norms)
    assert_allclose(total, true_total, rtol=1e-13)
    assert_allclose(run.params, params, rtol=1e-11)
    assert_allclose(run.slots, slots, rtol=1e-10, atol=1e-16)
    assert_allclose(run.grads, data_grads, rtol=1e-11, atol=1e-15)
    assert_array_equal(run.rule["t"], 3)


def test_the_whole_gradient_is_clipped():
    """Penalty, biases and γ included; what grads hold is neither penalised nor cut."""
    problem = make_problem(
        (3, 4, 2), "squared_error", "identity", batch_norm=True, alpha=9, l1_ratio=0.3
    )
    free = problem.start("sgd", slice(None), 7, learning_rate=1)
    tight = problem.start("sgd", slice(None), 7, learning_rate=1, clip_norm=0.1)
    free.train()
    tight.train()
    gradient = problem.params - free.params
    assert_allclose(gradient, free.grads + problem.penalty_gradient(), atol=1e-14)
    cut = 0.1 / np.linalg.norm(gradient)
    assert cut < 0.1
    assert_allclose(problem.params - tight.params, cut * gradient, atol=1e-15)
    assert_array_equal(tight.grads, free.grads)


def test_a_short_gradient_is_not_clipped():
    problem = make_problem((3, 4, 2), "squared_error", "identity", **PENALTY)
    free = problem.start("sgd", slice(None), 7, learning_rate=1)
    free.train()
    norm = np.linalg.norm(problem.params - free.params)
    loose = problem.start("sgd", slice(None), 7, learning_rate=1, clip_norm=1.01 * norm)
    loose.train()
    assert_array_equal(loose.params, free.params)


def test_a_gradient_of_zero_is_not_clipped():
    problem = make_problem((3, 2), "squared_error", "identity")
    problem.params[:] = 0
    problem.Y = np.zeros((7, 2))
    run = problem.start("sgd", slice(None), 7, learning_rate=1, clip_norm=1e-3)
    assert run.train() == 0
    assert_array_equal(run.params, 0)


def test_weights_decay_and_nothing_else():
    problem = make_problem((3, 4, 2), "squared_error", "identity", batch_norm=True)
    free = problem.start("sgd", slice(None), 7, learning_rate=0.5)
    decayed = problem.start("sgd", slice(None), 7, learning_rate=0.5, weight_decay=0.2)
    free.train()
    decayed.train()
    lost = np.zeros_like(problem.params)
    lost[: 3 * 4 + 4 * 2] = 0.5 * 0.2 * problem.params[: 3 * 4 + 4 * 2]
    assert_allclose(free.params - decayed.params, lost, atol=1e-15)


def test_running_moments_move_a_tenth_of_the_way():
    """And of that the part that a short batch's rows are of a whole one's."""
    problem = make_problem((3, 4, 2), "squared_error", "identity", batch_norm=True)
    run = problem.start("sgd", slice(None), 4)
    run.train()
    stats = problem.stats
    for rows in (slice(0, 4), slice(4, 7)):
        X, w = problem.X[rows], problem.sample_weight[rows]
        X = X @ problem.weights(problem.params)
        mean = np.average(X, axis=0, weights=w)
        variance = np.average((X - mean) ** 2, axis=0, weights=w)
        momentum = 0.1 * len(X) / 4
        batch_stats = np.concatenate([mean, variance])
        stats = (1 - momentum) * stats + momentum * batch_stats
    assert_allclose(run.stats, stats, rtol=1e-14)


def test_only_training_moves_the_running_moments():
    problem = make_problem((3, 4, 2), "squared_error", "identity", batch_norm=True)
    before = problem.stats.copy()
    problem.compute_loss_and_gradient()
    problem.predict()
    problem.input_gradient(np.ones((7, 2)))
    assert_array_equal(problem.stats, before)


@pytest.mark.parametrize(
    ("rows", "batch_size", "steps"), [(1000, 10, 100), (25, 10, 3)]
)
def test_one_iteration_is_one_batch(rows, batch_size, steps):
    problem = make_problem((2, 1), "squared_error", "identity", rows=rows)
    run = problem.start("sgd", np.arange(rows), batch_size, learning_rate=0.1)
    run.train()
    assert run.rule["t"] == steps


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_counted_on(shape):
    problem = make_problem(
        (3, 5, 4, 2), "squared_error", "identity", **PENALTY, **SHAPES[shape]
    )
    halves = problem.start("adam", [0, 1, 2, 3], 2, **NUMBERS)
    whole = problem.start("adam", [0, 1, 2, 3, 4, 5], 2, **NUMBERS)
    total = halves.train()
    halves.order = np.array([4, 5], dtype=np.intp)
    assert_allclose(total + halves.train(), whole.train(), rtol=1e-14)
    for buffer in ("params", "stats", "slots", "rule"):
        assert_array_equal(getattr(halves, buffer), getattr(whole, buffer))


@pytest.mark.parametrize("cap", [0.5, 2.0, np.inf])
def test_cap_bounds_each_share_of_the_reported_loss(cap):
    how = {"rows": 10, "alpha": 0.7}
    problem = make_problem((3, 2), "log_loss", "logistic", cap=cap, **how)
    uncapped = make_problem((3, 2), "log_loss", "logistic", **how)
    capped = problem.start("sgd", slice(None), 10, learning_rate=0.1)
    free = uncapped.start("sgd", slice(None), 10, learning_rate=0.1)
    shares = find_losses(problem)
    assert shares.max() > 2
    w, W = problem.sample_weight, problem.params[: problem.n_weights]
    data = w @ np.where(shares > cap, cap, shares).sum(axis=1)
    truth = 10 * (data + 0.7 / 2 * W @ W) / w.sum()
    assert_allclose(capped.train(), truth, rtol=1e-13)
    free.train()
    assert_array_equal(capped.params, free.params)
    assert_array_equal(capped.arena, free.arena)
    assert problem.compute_loss() == uncapped.compute_loss()


def test_cap_hides_no_nan():
    problem = make_problem((3, 2), "log_loss", "logistic", cap=1.0)
    problem.params[-1] = np.nan
    run = problem.start("sgd", slice(None), 7, learning_rate=0.1)
    assert math.isnan(run.train())


# --- The arena

# Networks with two hidden layers, and the blocks that these have of their own.
ARENAS = {
    "tanh": ({}, ["outputs deltas", "outputs deltas"]),
    "slope of z": (
        {"hidden": ["tanh", "silu"]},
        ["outputs deltas", "z outputs deltas"],
    ),
    "spread": ({"spread": True}, ["z outputs deltas", "z outputs deltas"]),
    "dropout": ({"dropout": [0.4, 0.0]}, ["a outputs deltas", "outputs deltas"]),
    "batch_norm": (
        {"hidden": ["elu", "gelu"], "batch_norm": True},
        ["normalized outputs deltas", "normalized z outputs deltas"],
    ),
    "all": (
        {"spread": True, "dropout": [0.3, 0.5], "batch_norm": True},
        ["normalized z a outputs deltas", "normalized z a outputs deltas"],
    ),
}


def make_arena_problem(name, output="softmax", capacity=5):
    how, _ = ARENAS[name]
    return make_problem(
        (3, 5, 4, 2), "log_loss", output, rows=8, capacity=capacity, **PENALTY, **how
    )


def find_deltas(problem, rows, masks):
    """δ = ∂J/∂(A W) of every layer."""
    nothing = [np.zeros((len(rows), n)) for n in problem.layers["n_out"]]

    def objective(i, nudge):
        nudges = [*nothing[:i], nudge, *nothing[i + 1 :]]
        return find_objective(problem, rows, masks, nudges)

    return [
        differentiate(lambda nudge, i=i: objective(i, nudge), zeros)
        for i, zeros in enumerate(nothing)
    ]


def expect_blocks(name, problem, rows, part, masks=None):
    """(name, content) of the arena's blocks in order, for a part of a batch."""
    held, deltas = forward(problem, rows, masks), find_deltas(problem, rows, masks)
    blocks = [
        ("targets", problem.Y[rows]),
        ("scales", weigh(problem, rows)[:, np.newaxis]),
        ("losses", find_losses(problem, rows, masks)),
    ]
    for i, own in enumerate([*ARENAS[name][1], "z deltas"]):
        held[i]["deltas"] = deltas[i]
        blocks += [(f"{block} {i}", held[i][block]) for block in own.split()]
    return [(block, content[part]) for block, content in blocks]


def check_arena(problem, arena, blocks, inputs, left_alone=()):
    """Those blocks, the engine's own entries untouched, and the gathered inputs.

    What is left alone is still NaN, and so are the inputs where nothing is gathered.
    """
    begin = 0
    for name, truth in blocks:
        actual = arena[begin : begin + truth.size].reshape(truth.shape)
        truth = np.full_like(truth, np.nan) if name in left_alone else truth
        assert_allclose(actual, truth, rtol=1e-8, atol=1e-9, err_msg=name)
        begin += truth.shape[1] * problem.capacity
    extras = arena[begin:][: count_extras(problem.plan)]
    assert_array_equal(extras, np.nan)
    gathered = arena[begin + extras.size :]
    if inputs is None:
        assert_array_equal(gathered, np.nan)
    else:
        assert_array_equal(gathered[: inputs.size], inputs.ravel())


@pytest.mark.parametrize("name", ARENAS)
@pytest.mark.parametrize("output", HEADS["log_loss"])
def test_arena_after_the_gradient(output, name):
    """The targets are read where they are."""
    problem = make_arena_problem(name, output)
    arena = problem.arena()
    problem.compute_loss_and_gradient(arena=arena)
    blocks = expect_blocks(name, problem, np.arange(8), slice(5, 8))
    check_arena(problem, arena, blocks, None, ["targets"])


@pytest.mark.parametrize("name", ARENAS)
@pytest.mark.parametrize("output", HEADS["log_loss"])
def test_arena_after_training(output, name):
    """The second block of five rows; normalised, all seven rows."""
    whole = "batch_norm" in ARENAS[name][0]
    problem = make_arena_problem(name, output, capacity=8 if whole else 5)
    part = slice(0 if whole else 5, 7)
    run = problem.start("sgd", [3, 1, 7, 0, 4, 6, 2], 7, learning_rate=0.1, seed=3)
    run.train()
    masks = draw_masks(problem, 7, 3, 1)
    blocks = expect_blocks(name, problem, run.order, part, masks)
    check_arena(problem, run.arena, blocks, problem.X[run.order[part]])


@pytest.mark.parametrize("name", ARENAS)
def test_arena_after_the_loss(name):
    """As after the gradient, the hidden deltas excepted."""
    problem = make_arena_problem(name)
    arena = problem.arena()
    problem.compute_loss(arena=arena)
    blocks = expect_blocks(name, problem, np.arange(8), slice(5, 8))
    left_alone = ["targets", "deltas 0", "deltas 1"]
    check_arena(problem, arena, blocks, None, left_alone)


@pytest.mark.parametrize("name", ARENAS)
def test_arena_after_prediction(name):
    """Hidden layers only; the last layer's go to out."""
    problem = make_arena_problem(name)
    arena = problem.arena()
    problem.predict(arena=arena)
    blocks = expect_blocks(name, problem, np.arange(8), slice(5, 8))
    left_alone = ["targets", "scales", "losses", "z 2"]
    left_alone += [f"deltas {i}" for i in range(3)]
    check_arena(problem, arena, blocks, None, left_alone)


def test_arena_after_the_hessian():
    """The first as after the gradient; in the second the derivatives of its layers."""
    how = {"hidden": ["tanh", "gelu"], "spread": True, "dropout": [0.4, 0.0]}
    problem = make_problem(
        (3, 5, 4, 2), "log_loss", "logistic", rows=8, capacity=5, **PENALTY, **how
    )
    arena, r_arena = problem.arena(), problem.arena()
    v = np.random.default_rng(0).normal(size=problem.params.shape)
    problem.multiply_hessian(v, arena, r_arena)

    def evaluate(params):
        arena = problem.arena()
        problem.compute_loss_and_gradient(params, arena)
        return arena

    assert_array_equal(arena, evaluate(problem.params))
    columns = slice((2 + 1 + 2) * 5, (2 + 1 + 2 + 4 * 5 + 3 * 4 + 2 * 2) * 5)
    derivatives = differentiate_along(evaluate, problem.params, v)[columns]
    assert_allclose(r_arena[columns], derivatives, atol=1e-9)


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


def make_linear(X, y, sample_weight, loss, output, n_out, alpha, l1_ratio=0.0):
    """A network without a hidden layer on given data."""
    layers = build_layers((X.shape[1], n_out), "identity", output)
    return Problem(
        layers,
        np.zeros(count_params(layers)),
        build_stats(layers),
        X,
        y.reshape(len(X), count_targets(n_out, output)),
        sample_weight,
        build_objective(loss, alpha, l1_ratio),
        build_numbers(loss, n_out),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
def test_no_hidden_layer_is_linear_or_ridge_regression(alpha):
    X, y, weights = make_data("real")
    problem = make_linear(X, y, weights, "squared_error", "identity", 2, alpha)
    found = problem.minimize()
    model = Ridge(alpha) if alpha else LinearRegression()
    model.fit(X, y, weights)
    assert_allclose(problem.weights(found), model.coef_.T, rtol=1e-6)
    assert_allclose(problem.biases(found), model.intercept_, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
def test_newton_reaches_the_least_squares_in_one_step(alpha):
    X, y, weights = make_data("real")
    problem = make_linear(X, y, weights, "squared_error", "identity", 2, alpha)
    problem.params = draw_signed(np.random.default_rng(0), len(problem.params))
    _, gradient = problem.compute_loss_and_gradient()
    H = np.array([problem.multiply_hessian(v) for v in np.eye(len(gradient))])
    problem.params -= np.linalg.solve(H, gradient)
    assert_allclose(problem.compute_loss_and_gradient()[1], 0, atol=1e-13)


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
def test_no_hidden_layer_is_lasso_or_elastic_net(l1_ratio):
    """At scikit-learn's solution 0 is a subgradient of J.

    Its strength is ours without the division by m. Of a weight of zero the gradient
    lacks the penalty's part, anything in ±l1.
    """
    X, y, weights = make_data("real", n_features=8)
    model = ElasticNet(alpha=0.3, l1_ratio=l1_ratio, tol=1e-14, max_iter=100_000)
    model.fit(X, y[:, 0], weights)
    alpha = 0.3 * weights.sum()
    how = "squared_error", "identity", 1, alpha, l1_ratio
    problem = make_linear(X, y[:, 0], weights, *how)
    _, gradient = problem.compute_loss_and_gradient(
        np.append(model.coef_, model.intercept_)
    )
    active = np.append(model.coef_ != 0, True)
    assert 2 < active.sum() < 8
    assert_allclose(gradient[active], 0, atol=1e-8)
    assert (np.abs(gradient[~active]) < 0.3 * l1_ratio).all()


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


def test_no_hidden_layer_is_huber_regression():
    """scikit-learn finds a scale s as well: its loss is ours over s, with κ = ε s."""
    X, y, weights = make_data("real")
    model = HuberRegressor(epsilon=1.2, alpha=3.0, tol=1e-10, max_iter=10_000)
    model.fit(X, y[:, 0], weights)
    alpha = model.alpha * model.scale_
    problem = make_linear(X, y[:, 0], weights, "huber", "identity", 1, alpha)
    problem.numbers = np.array([model.epsilon * model.scale_])
    assert 0 < model.outliers_.sum() < 60
    _, gradient = problem.compute_loss_and_gradient(
        np.append(model.coef_, model.intercept_)
    )
    # As near to zero as its own minimiser comes.
    assert_allclose(gradient, 0, atol=1e-6)


def make_constant(y, sample_weight, loss, n_out):
    """A network that sees nothing: its outputs are its biases."""
    X, Y = np.zeros((len(y), 1)), np.tile(y[:, np.newaxis], n_out)
    return make_linear(X, Y, sample_weight, loss, "identity", n_out, 0.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "levels"),
    [("quantile", [0.1, 0.5, 0.77]), ("absolute_error", [0.5])],
)
def test_a_constant_learns_the_quantiles(loss, levels, weighted):
    """All of them at once: left of each J falls, right of it J rises."""
    rng = np.random.default_rng(0)
    y, weights = rng.normal(size=31), rng.uniform(0.1, 3, 31) if weighted else None
    problem = make_constant(y, weights, loss, len(levels))
    problem.numbers = np.array(levels)
    quantiles = np.quantile(y, levels, weights=weights, method="inverted_cdf")
    for side in (-1e-9, 1e-9):
        biases = np.append(np.zeros(len(levels)), quantiles + side)
        _, gradient = problem.compute_loss_and_gradient(biases)
        slopes = problem.biases(gradient)
        assert_array_equal(np.sign(slopes), np.sign(side))


def test_a_constant_learns_the_weighted_mean():
    rng = np.random.default_rng(0)
    y, weights = rng.normal(size=31), rng.uniform(0.1, 3, 31)
    problem = make_constant(y, weights, "huber", 2)
    problem.numbers = np.array([1e3, 1e-3])
    found = problem.biases(problem.minimize())
    # Within a wide κ the mean, within a narrow one nearly the median.
    median = np.quantile(y, 0.5, weights=weights, method="inverted_cdf")
    assert_allclose(found[0], np.average(y, weights=weights), rtol=1e-6)
    assert_allclose(found[1], median, atol=2e-3)


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
    run = problem.start(optimizer, slice(None), 16, learning_rate=0.01, **numbers)
    curve = [run.train() / 60 for _ in range(3)]
    assert_allclose(curve, model.loss_curve_, rtol=1e-10)
    assert_allclose(run.params, flatten(model), rtol=1e-9, atol=1e-12)
