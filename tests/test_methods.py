"""Every method of the estimators, against formulas, SciPy and scikit-learn."""

import copy
import functools
import itertools
import pickle
import threading

import numpy as np
import pytest
import scipy.sparse
import sklearn.linear_model as linear
import sklearn.neural_network
from fits import fit, iris
from scipy.special import expit, huber, ndtr, softmax
from sklearn import datasets, metrics
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import scale
from sklearn.utils.class_weight import compute_sample_weight

from fastmlp import MLPClassifier, MLPRegressor, _kernels

pytestmark = pytest.mark.usefixtures("one_blas_thread")

ESTIMATORS = [MLPClassifier, MLPRegressor]
FIRST_ORDER = ["sgd", "adam", "adamw", "adagrad", "rmsprop"]
FULL_BATCH = ["lbfgs", "gd", "steepest", "newton-cg"]
HIDDEN = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z < 0, 0.01 * z, z),
    "elu": lambda z: np.where(z < 0, np.expm1(z), z),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z < 0, 1.6732632423543772 * np.expm1(z), z)
    ),
    "softplus": lambda z: np.logaddexp(0, z),
    "silu": lambda z: z * expit(z),
    "gelu": lambda z: z * ndtr(z),
    "gelu_tanh": lambda z: (
        z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2
    ),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "hardsigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hardswish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
}
OUTPUTS = {**HIDDEN, "exp": np.exp, "softmax": functools.partial(softmax, axis=1)}

SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
# Plain gradient descent, one step an epoch, that runs all its epochs.
PLAIN = {"solver": "sgd", "momentum": 0, "batch_size": "full", "alpha": 0}
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf}
# Moves no parameter by as much as a unit in its last place.
STILL = {"learning_rate_init": 1e-300, "max_iter": 1}


@functools.cache
def line(noise=0.5):
    """200 points about 1 + X [1, -2, 0.5]."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 3))
    return X, 1 + X @ [1, -2, 0.5] + noise * rng.normal(size=200)


@functools.cache
def counts():
    """Targets from 0 on, whose logarithm is about linear."""
    X, y = line(0.1)
    return X, np.random.RandomState(1).poisson(np.exp(y / 3)).astype(float)


@functools.cache
def labels():
    X, Y = datasets.make_multilabel_classification(80, 4, n_classes=3, random_state=0)
    return scale(X), Y


def targets(kind):
    """X and a target of that kind."""
    X, y = iris()
    return {
        "binary": (X, np.array(["no", "yes"])[(y > 0) * 1]),
        "multiclass": (X, np.array(["c", "a", "b"])[y]),
        "multilabel": labels(),
        "one output": (X, y + X[:, 0]),
        "two outputs": (X, np.column_stack([y + X[:, 0], np.sin(X[:, 1])])),
    }[kind]


def estimator(kind, **params):
    """An estimator for a target of that kind."""
    cls = MLPRegressor if "output" in kind else MLPClassifier
    return cls(**{**SMALL, **params})


def outputs(model, X):
    """Probabilities, or the regressor's predictions."""
    return getattr(model, "predict_proba", model.predict)(X)


def parameters(model):
    """All weights and biases, as a vector of its own."""
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


def weights(model):
    return np.concatenate([W.ravel() for W in model.coefs_])


def linear_parameters(model):
    """Of a linear model of scikit-learn's, in the same order."""
    return np.append(model.coef_, model.intercept_)


def forward(model, X):
    """Hidden layers and the last layer's output, from the published arrays alone."""
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    names = model.activation
    names = [names] * len(hidden) if isinstance(names, str) else names
    layers = [X]
    for (W, b), name in zip(hidden, names, strict=True):
        layers.append(HIDDEN[name](layers[-1] @ W + b))
    out = OUTPUTS[model.out_activation_](layers[-1] @ last[0] + last[1])
    return layers[1:], out


def encoded(model, y):
    """Targets as the outputs should be."""
    if isinstance(model, MLPRegressor):
        n_columns = len(model.intercepts_[-1]) if y.ndim == 1 else y.shape[1]
        return np.broadcast_to(y.reshape(len(y), -1), (len(y), n_columns))
    if y.ndim == 2:
        return y
    Y = (y[:, None] == model.classes_).astype(float)
    return Y[:, 1:] if len(model.intercepts_[-1]) == 1 else Y


def data_loss(model, X, y, sample_weight=None):
    """The mean loss by scikit-learn's metrics and SciPy, summed over outputs."""
    out = forward(model, X)[1]
    Y = encoded(model, y)
    if model.loss == "log_loss":
        if model.out_activation_ == "softmax":
            return metrics.log_loss(Y.argmax(axis=1), out, sample_weight=sample_weight)
        return sum(
            metrics.log_loss(t, p, sample_weight=sample_weight)
            for t, p in zip(Y.T, out.T, strict=True)
        )
    level = getattr(model, "quantile", 0.5)
    levels = np.broadcast_to(level, Y.shape[1])
    pinball = metrics.mean_pinball_loss
    deviance = metrics.mean_poisson_deviance
    loss = {
        "squared_error": lambda t, p, w, q: np.average((t - p) ** 2, weights=w) / 2,
        "absolute_error": lambda t, p, w, q: np.average(abs(t - p), weights=w),
        "huber": lambda t, p, w, q: np.average(
            huber(model.huber_delta, t - p), weights=w
        ),
        "quantile": lambda t, p, w, q: pinball(t, p, sample_weight=w, alpha=q),
        "poisson": lambda t, p, w, q: deviance(t, p, sample_weight=w) / 2,
    }[model.loss]
    return sum(
        loss(t, p, sample_weight, q) for t, p, q in zip(Y.T, out.T, levels, strict=True)
    )


def penalty(model, total):
    """α (r ‖W‖₁ + (1 - r)/2 ‖W‖²) / m."""
    W, r = weights(model), model.l1_ratio
    return model.alpha * (r * abs(W).sum() + (1 - r) / 2 * W @ W) / total


# Every loss with every output activation, and the kind of target that it is for.
HEADS = [
    ("binary", {"loss": "log_loss"}),
    ("binary", {"loss": "log_loss", "output_activation": "softmax"}),
    ("multiclass", {"loss": "log_loss"}),
    ("multiclass", {"loss": "log_loss", "output_activation": "logistic"}),
    ("multilabel", {"loss": "log_loss"}),
    ("binary", {"loss": "squared_error"}),
    ("multiclass", {"loss": "squared_error"}),
    ("multilabel", {"loss": "squared_error"}),
    ("binary", {"loss": "squared_error", "output_activation": "identity"}),
    ("multiclass", {"loss": "squared_error", "output_activation": "identity"}),
    ("two outputs", {"loss": "squared_error"}),
    ("one output", {"loss": "squared_error", "output_activation": "logistic"}),
    ("one output", {"loss": "squared_error", "output_activation": "tanh"}),
    ("one output", {"loss": "squared_error", "output_activation": "relu"}),
    ("one output", {"loss": "squared_error", "output_activation": "softplus"}),
    ("two outputs", {"loss": "squared_error", "output_activation": "exp"}),
    ("two outputs", {"loss": "absolute_error"}),
    ("two outputs", {"loss": "huber", "huber_delta": 0.4}),
    ("two outputs", {"loss": "quantile", "quantile": 0.2}),
    ("one output", {"loss": "quantile", "quantile": [0.1, 0.5, 0.8]}),
    ("one output", {"loss": "poisson"}),
]


def head_data(kind, head):
    X, y = targets(kind)
    return (X, abs(y)) if head["loss"] == "poisson" else (X, y)


# -- losses


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "head"), HEADS, ids=str)
def test_the_loss_is_scikit_learns_metric_and_the_penalty(kind, head, weighted):
    X, y = head_data(kind, head)
    sample_weight = np.linspace(0, 2, len(X)) if weighted else None
    params = {"solver": "gd", "learning_rate_init": 0.01, "alpha": 3.0}
    model = estimator(kind, **head, **params, l1_ratio=0.3, activation="tanh")
    fit(model, X, y, sample_weight)
    total = sample_weight.sum() if weighted else len(X)
    expected = data_loss(model, X, y, sample_weight) + penalty(model, total)
    assert model.loss_ == model.history_["loss"][-1]
    assert model.loss_ == pytest.approx(expected, rel=1e-12)


def gradient_by_differences(model, function):
    """∂function/∂θ in the parameters' own order, by central differences."""
    slopes = []
    for arrays in (model.coefs_, model.intercepts_):
        for number, array in enumerate(arrays):
            for index in np.ndindex(array.shape):
                ends = []
                for h in (1e-6, -1e-6):
                    arrays[number] = array.copy()
                    arrays[number][index] += h
                    ends.append(function(model))
                slopes.append((ends[0] - ends[1]) / 2e-6)
            arrays[number] = array
    return np.array(slopes)


def assert_a_plain_step_goes_down_the_gradient(model, X, y, sample_weight=None):
    """θ' = θ - η ∂J/∂θ with J by the metrics of a forward pass in NumPy."""
    total = len(X) if sample_weight is None else sample_weight.sum()
    fit(model.set_params(**PLAIN, **STILL), X, y, sample_weight)
    model.set_params(alpha=1.0, l1_ratio=0.3)

    def objective(model):
        return data_loss(model, X, y, sample_weight) + penalty(model, total)

    before = parameters(model)
    expected = gradient_by_differences(model, objective)
    model.set_params(learning_rate_init=0.5).partial_fit(X, y, sample_weight)
    found = (before - parameters(model)) / 0.5
    np.testing.assert_allclose(found, expected, atol=2e-8)
    assert abs(expected).max() > 1e-3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "head"), HEADS, ids=str)
def test_a_step_follows_the_gradient_of_every_head(kind, head, weighted):
    X, y = head_data(kind, head)
    sample_weight = np.linspace(0, 2, len(X)) if weighted else None
    model = estimator(kind, **head, activation="tanh", hidden_layer_sizes=(3,))
    assert_a_plain_step_goes_down_the_gradient(model, X, y, sample_weight)


@pytest.mark.parametrize("activation", HIDDEN)
def test_a_step_follows_the_gradient_of_every_activation(activation):
    X, y = targets("multiclass")
    model = MLPClassifier((4, 3), activation, random_state=0)
    assert_a_plain_step_goes_down_the_gradient(model, X, y)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", FULL_BATCH)
@pytest.mark.parametrize("alpha", [0.0, 30.0])
def test_no_hidden_layer_is_ridge_regression(alpha, solver, weighted):
    X, y = line()
    sample_weight = np.linspace(0.1, 2, len(X)) if weighted else None
    params = {"solver": solver, "learning_rate_init": 0.3, "tol": 1e-9}
    params |= {"hidden_layer_sizes": (), "max_iter": 500, "random_state": 0}
    model = MLPRegressor(alpha=alpha, **params)
    model.fit(X, y, sample_weight)
    ridge = linear.Ridge(alpha, solver="cholesky").fit(X, y, sample_weight)
    np.testing.assert_allclose(parameters(model), linear_parameters(ridge), rtol=1e-5)
    assert model.stop_reason_ in ("gtol", "tol")


def test_newton_solves_least_squares_in_one_step():
    X, y = line()
    params = {"hidden_layer_sizes": (), "solver": "newton-cg", "alpha": 0}
    model = MLPRegressor(**params, tol=1e-10).fit(X, y)
    with_one = np.column_stack([X, np.ones(len(X))])
    expected = np.linalg.lstsq(with_one, y, rcond=None)[0]
    assert (model.n_iter_, model.stop_reason_) == (1, "gtol")
    np.testing.assert_allclose(parameters(model), expected, rtol=1e-12)


# Ends where the schedule does, near the minimum even of functions with kinks.
TO_THE_END = {
    "hidden_layer_sizes": (),
    "solver": "adam",
    "batch_size": "full",
    "learning_rate": "cosine",
    "learning_rate_init": 0.1,
    "max_iter": 600,
    "random_state": 0,
    **UNSTOPPED,
}


@pytest.mark.parametrize("l1_ratio", [1.0, 0.6])
def test_no_hidden_layer_with_l1_is_the_elastic_net(l1_ratio):
    X, y = line()
    model = MLPRegressor(**TO_THE_END, alpha=200, l1_ratio=l1_ratio)
    fit(model, X, y)
    net = linear.ElasticNet(alpha=200 / len(X), l1_ratio=l1_ratio, tol=1e-10).fit(X, y)
    assert net.coef_[2] == 0
    np.testing.assert_allclose(parameters(model), linear_parameters(net), atol=2e-3)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_no_hidden_layer_is_logistic_regression(kind, solver):
    X, y = targets(kind)
    model = estimator(kind, solver=solver, alpha=2.0, hidden_layer_sizes=())
    fit(model.set_params(max_iter=500, tol=1e-9), X, y)
    expected = linear.LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(
        model.predict_proba(X), expected.predict_proba(X), atol=1e-4
    )
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_no_hidden_layer_under_poisson_is_poisson_regression():
    X, y = counts()
    params = {"hidden_layer_sizes": (), "solver": "newton-cg", "tol": 1e-10}
    model = MLPRegressor(loss="poisson", alpha=10.0, **params).fit(X, y)
    expected = linear.PoissonRegressor(
        alpha=10.0 / len(X), solver="newton-cholesky", tol=1e-10
    ).fit(X, y)
    np.testing.assert_allclose(
        parameters(model), linear_parameters(expected), rtol=1e-7
    )
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-7)


def outliers():
    """The line, with every eighth point far above it."""
    X, y = line()
    return X, y + 60.0 * (np.arange(len(y)) % 8 == 0)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_huber_is_scikit_learns_huber_regressor_at_its_scale(solver):
    X, y = outliers()
    robust = linear.HuberRegressor(alpha=0, tol=1e-9, max_iter=1000).fit(X, y)
    model = MLPRegressor(
        loss="huber",
        huber_delta=robust.epsilon * robust.scale_,
        hidden_layer_sizes=(),
        solver=solver,
        alpha=0,
        tol=1e-9,
        random_state=0,
    ).fit(X, y)
    np.testing.assert_allclose(parameters(model), linear_parameters(robust), rtol=1e-4)


@pytest.mark.parametrize("level", [0.25, 0.5, 0.9])
def test_quantile_is_scikit_learns_quantile_regressor(level):
    X, y = line()
    model = MLPRegressor(loss="quantile", quantile=level, alpha=0, **TO_THE_END)
    fit(model, X, y)
    expected = linear.QuantileRegressor(quantile=level, alpha=0).fit(X, y)
    least = metrics.mean_pinball_loss(y, expected.predict(X), alpha=level)
    assert model.loss_ == pytest.approx(least, rel=1e-4)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=0.1)


def test_robust_losses_do_not_follow_outliers():
    X, y = outliers()
    errors = {}
    for loss in ("absolute_error", "huber", "squared_error"):
        model = fit(MLPRegressor(loss, alpha=0, **TO_THE_END), X, y)
        errors[loss] = abs(parameters(model) - [1, -2, 0.5, 1]).max()
    assert max(errors["absolute_error"], errors["huber"]) < 0.3
    assert errors["squared_error"] > 5


def test_absolute_error_is_twice_the_pinball_loss_of_the_median():
    X, y = line()
    half = {"learning_rate_init": 0.05, "max_iter": 20, **PLAIN, **UNSTOPPED}
    one = fit(MLPRegressor("absolute_error", (4,), random_state=0, **half), X, y)
    half["learning_rate_init"] = 0.1
    two = fit(MLPRegressor("quantile", (4,), random_state=0, **half), X, y)
    np.testing.assert_allclose(parameters(one), parameters(two), rtol=1e-12)
    np.testing.assert_allclose(one.loss_curve_, 2 * np.array(two.loss_curve_))


LEVELS = [0.1, 0.35, 0.5, 0.9]


def test_constant_model_of_a_quantile_is_numpys_quantile():
    _, y = line()
    nothing = np.zeros((len(y), 1))
    params = {**TO_THE_END, "max_iter": 1500, "learning_rate_init": 0.3}
    model = fit(MLPRegressor("quantile", quantile=LEVELS, **params), nothing, y)
    expected = np.quantile(y, LEVELS)
    np.testing.assert_allclose(model.predict(nothing)[0], expected, atol=0.05)


def test_a_list_of_quantiles_covers_these_shares_of_the_data():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (1000, 1))
    y = X[:, 0] + (1.2 + X[:, 0]) * rng.normal(size=1000)
    params = {**TO_THE_END, "hidden_layer_sizes": (8,), "learning_rate_init": 0.03}
    model = fit(MLPRegressor("quantile", quantile=LEVELS, **params), X, y)
    predicted = model.predict(X)
    assert predicted.shape == (1000, 4)
    for part in (slice(None), X[:, 0] < 0, X[:, 0] >= 0):
        covered = (y[part, None] <= predicted[part]).mean(axis=0)
        np.testing.assert_allclose(covered, LEVELS, atol=0.035)
    assert (np.diff(predicted, axis=1) > 0).all()
    scores = [
        metrics.d2_pinball_score(y, column, alpha=level)
        for column, level in zip(predicted.T, LEVELS, strict=True)
    ]
    assert model.score(X, y) == pytest.approx(np.mean(scores), rel=1e-12)


def test_score_of_several_quantiles_takes_weights():
    X, y = line()
    model = fit(MLPRegressor("quantile", quantile=[0.2, 0.7], **SMALL), X, y)
    twice = np.arange(len(y)) % 2 + 1
    repeated = np.repeat(X, twice, axis=0), np.repeat(y, twice)
    assert model.score(X, y, twice) == pytest.approx(model.score(*repeated))
    assert model.score(X, y, twice) != pytest.approx(model.score(X, y), rel=1e-6)


def test_a_list_of_one_quantile_gives_one_column():
    X, y = line()
    model = fit(MLPRegressor("quantile", quantile=[0.3], **SMALL), X, y)
    assert model.predict(X).shape == (len(X), 1)


DELTA_RULES = {
    "logistic": lambda y, out: (y - out) * out * (1 - out),
    "identity": lambda y, out: y - out,
}


@pytest.mark.parametrize("output_activation", DELTA_RULES)
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_squared_error_is_the_delta_rule_step_for_step(kind, output_activation):
    X, y = targets(kind)
    model = MLPClassifier(
        (),
        loss="squared_error",
        output_activation=output_activation,
        learning_rate_init=0.2,
        init=0.5,
        random_state=7,
        **{**PLAIN, "batch_size": 1},
    )
    classes = np.unique(y)
    n_out = 1 if kind == "binary" else 3
    W = np.random.RandomState(7).normal(0, 0.5, (4, n_out))
    b = np.zeros(n_out)
    for row in range(0, 150, 3):
        model.partial_fit(X[row : row + 1], y[row : row + 1], classes=classes)
        target = (classes == y[row]).astype(float)[-n_out:]
        out = OUTPUTS[output_activation](X[row] @ W + b)
        delta = DELTA_RULES[output_activation](target, out)
        W, b = W + 0.2 * np.outer(X[row], delta), b + 0.2 * delta
        np.testing.assert_allclose(model.coefs_[0], W, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(model.intercepts_[0], b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("output_activation", ["logistic", "identity"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_squared_error_learns_classes(kind, output_activation):
    X, y = targets(kind)
    params = {"output_activation": output_activation, "learning_rate_init": 0.02}
    params |= {"hidden_layer_sizes": (12,), "max_iter": 300, **UNSTOPPED}
    model = fit(estimator(kind, loss="squared_error", **params), X, y)
    assert model.score(X, y) > {"binary": 0.99, "multiclass": 0.95}.get(kind, 0.6)


@pytest.mark.parametrize(
    ("kind", "head"), [h for h in HEADS if "output" not in h[0]], ids=str
)
def test_probabilities_are_what_the_outputs_say(kind, head):
    X, y = targets(kind)
    model = fit(estimator(kind, **head, max_iter=30, learning_rate_init=0.03), X, y)
    out = forward(model, X)[1]
    assert out.shape[1] == model.n_outputs_
    if model.out_activation_ == "identity":
        assert out.min() < 0
        assert out.max() > 1
        out = out.clip(0, 1)
    if kind == "binary" and model.n_outputs_ == 1:
        out = np.hstack([1 - out, out])
    if kind == "multiclass":
        out = out / out.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), out, rtol=1e-10, atol=1e-14)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(out), rtol=1e-7)
    if kind == "multilabel":
        np.testing.assert_array_equal(model.predict(X), out > 0.5)
    else:
        best = model.classes_[out.argmax(axis=1)]
        np.testing.assert_array_equal(model.predict(X), best)


def test_no_positive_output_means_even_probabilities():
    X, y = targets("multiclass")
    params = {"loss": "squared_error", "output_activation": "identity"}
    model = fit(estimator("multiclass", **params), X, y)
    model.intercepts_[-1] = np.full(3, -1e3)
    np.testing.assert_array_equal(model.predict_proba(X), np.full((150, 3), 1 / 3))
    assert (model.input_gradients(X) == 0).all()


@pytest.mark.parametrize("name", ["identity", "logistic", "tanh", "relu", "softplus"])
def test_an_output_activation_fits_targets_of_its_range(name):
    X, _ = line()
    y = OUTPUTS[name](0.5 + X @ [1, -1, 0.3])
    params = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 0, "tol": 1e-9}
    model = MLPRegressor(output_activation=name, **params, random_state=0).fit(X, y)
    np.testing.assert_allclose(parameters(model), [1, -1, 0.3, 0.5], rtol=1e-4)
    assert model.out_activation_ == name


# -- activations


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("activation", HIDDEN)
def test_hidden_activations_are_the_forward_pass(activation, form):
    X, y = targets("one output")
    model = MLPRegressor(hidden_layer_sizes=(6, 4), activation=activation)
    fit(model.set_params(max_iter=3, random_state=0), X, y)
    hidden, out = forward(model, X)
    found = model.hidden_activations(form(X))
    assert [a.shape for a in found] == [(150, 6), (150, 4)]
    for mine, theirs in zip(found, hidden, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(model.predict(form(X)), out[:, 0], rtol=1e-9)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_one_activation_a_layer(kind):
    X, y = iris()
    names = ["tanh", "gelu", "elu"]
    model = MLPClassifier((5, 4, 3), kind(names), max_iter=5, random_state=0)
    fit(model, X, y)
    hidden, out = forward(model, X)
    for mine, theirs in zip(model.hidden_activations(X), hidden, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(model.predict_proba(X), out, rtol=1e-10)
    twin = clone(model)
    assert list(fit(twin, X, y).activation) == names
    np.testing.assert_array_equal(parameters(twin), parameters(model))
    assert model.partial_fit(X, y).n_iter_ == 1


def test_the_same_name_for_each_layer_is_one_name_for_all():
    X, y = iris()
    one, each = (
        fit(MLPClassifier((5, 4), names, max_iter=3, random_state=0), X, y)
        for names in ("silu", ["silu", "silu"])
    )
    np.testing.assert_array_equal(parameters(one), parameters(each))


def test_no_hidden_layer_has_no_hidden_activations():
    X, y = iris()
    model = fit(MLPClassifier((), max_iter=2), X, y)
    assert model.hidden_activations(X) == []


# -- input gradients


def jacobian_by_differences(function, X):
    """∂function/∂x of every row, of shape (n_samples, n_outputs, n_features)."""
    columns = []
    for unit in np.eye(X.shape[1]):
        ends = [function(X + h * unit) for h in (1e-6, -1e-6)]
        columns.append((ends[0] - ends[1]).reshape(len(X), -1) / 2e-6)
    return np.stack(columns, axis=2)


@pytest.mark.parametrize("hidden", [(), (6, 4)])
@pytest.mark.parametrize(("kind", "head"), HEADS, ids=str)
def test_input_gradients_are_the_slopes_of_the_predictions(kind, head, hidden):
    X, y = head_data(kind, head)
    params = {"activation": "mish", "hidden_layer_sizes": hidden, "max_iter": 20}
    model = fit(estimator(kind, **head, **params, learning_rate_init=0.02), X, y)
    expected = jacobian_by_differences(lambda X: outputs(model, X), X)
    found = model.input_gradients(X)
    if expected.shape[1] == 1:
        assert found.shape == X.shape
        found = found[:, np.newaxis]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert abs(expected).max() > 0.01
    sparse = model.input_gradients(scipy.sparse.csr_array(X))
    np.testing.assert_allclose(sparse.reshape(found.shape), found, atol=1e-14)


@pytest.mark.parametrize("method", ["hidden_activations", "input_gradients"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_looking_inside_needs_a_fit_and_its_features(cls, method):
    X, y = iris()
    model = cls(**SMALL)
    with pytest.raises(NotFittedError):
        getattr(model, method)(X)
    fit(model, X, y)
    with pytest.raises(ValueError, match="3 features"):
        getattr(model, method)(X[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        getattr(model, method)(np.full_like(X, np.nan))
    found = getattr(model, method)(X.tolist())
    expected = getattr(model, method)(X)
    np.testing.assert_array_equal(np.ravel(found[0]), np.ravel(expected[0]))


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_looking_inside_takes_any_number_of_rows(form):
    X = np.random.RandomState(0).normal(size=(2600, 4))
    model = fit(MLPClassifier(**SMALL), *iris())
    some = slice(0, None, 370)
    for method in ("hidden_activations", "input_gradients"):
        whole = np.squeeze(getattr(model, method)(form(X)))
        part = np.squeeze(getattr(model, method)(form(X[some])))
        np.testing.assert_allclose(whole[some], part, rtol=1e-12)


# -- class weights

CLASS_WEIGHTS = {
    "dict": ("multiclass", {"a": 0.5, "b": 2.0, "c": 3.0}),
    "some classes": ("multiclass", {"b": 4.0}),
    "a class without weight": ("multiclass", {"b": 0.0}),
    "balanced": ("multiclass", "balanced"),
    "binary": ("binary", {"no": 3.0, "yes": 0.25}),
    "balanced binary": ("binary", "balanced"),
    "balanced labels": ("multilabel", "balanced"),
    "labels": ("multilabel", [{0: 1.0, 1: 2.0}, {0: 0.5, 1: 1.0}, {0: 1.0, 1: 3.0}]),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("case", CLASS_WEIGHTS)
def test_class_weight_is_a_sample_weight(case, solver, weighted):
    kind, class_weight = CLASS_WEIGHTS[case]
    X, y = targets(kind)
    X, y = X[30:], y[30:]
    rows = np.linspace(0.5, 2, len(X)) if weighted else np.ones(len(X))
    params = {"solver": solver, "batch_size": 16}
    model = fit(
        estimator(kind, class_weight=class_weight, **params),
        X,
        y,
        rows if weighted else None,
    )
    by_row = rows * compute_sample_weight(class_weight, y)
    assert by_row.min() < by_row.max()
    expected = fit(estimator(kind, **params), X, y, by_row)
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    assert model.loss_ == expected.loss_


@pytest.mark.parametrize("solver", ["adam", "sgd", "newton-cg"])
def test_whole_class_weights_are_repeated_rows(solver):
    X, y = targets("multiclass")
    class_weight = {"a": 1, "b": 3, "c": 2}
    params = {"solver": solver, "batch_size": "full", "max_iter": 8, "tol": 1e-9}
    weighted = estimator("multiclass", class_weight=class_weight, **params)
    times = [class_weight[label] for label in y]
    repeated = np.repeat(X, times, axis=0), np.repeat(y, times)
    fit(weighted, X, y)
    expected = fit(estimator("multiclass", **params), *repeated)
    np.testing.assert_allclose(parameters(weighted), parameters(expected), rtol=1e-7)


def test_balanced_weights_find_the_rare_class():
    rng = np.random.RandomState(0)
    y = (rng.uniform(size=600) < 0.05) * 1
    X = rng.normal(size=(600, 2)) + y[:, None]
    params = {"max_iter": 30, "learning_rate_init": 0.05, "random_state": 0}
    plain, balanced = (
        fit(MLPClassifier((4,), class_weight=weight, **params), X, y)
        for weight in (None, "balanced")
    )
    assert metrics.recall_score(y, plain.predict(X)) < 0.3
    assert metrics.recall_score(y, balanced.predict(X)) > 0.7


def test_class_weight_does_not_weigh_the_validation_rows():
    X, y = targets("multiclass")
    model = estimator("multiclass", class_weight={"a": 0.0, "b": 9.0, "c": 1.0})
    fit(model.set_params(max_iter=8), X, y, X_val=X[::2], y_val=y[::2])
    assert model.validation_scores_[-1] == model.score(X[::2], y[::2])
    expected = data_loss(model, X[::2], y[::2])
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)


def test_weights_of_classes_and_rows_that_leave_nothing_are_refused():
    X, y = iris()
    model = MLPClassifier(**SMALL, class_weight={0: 0, 1: 1, 2: 1})
    with pytest.raises(ValueError, match="weight"):
        fit(model, X, y, (y == 0) * 1.0)


def test_class_weight_in_partial_fit():
    X, y = targets("multiclass")
    class_weight = {"a": 0.5, "b": 2.0, "c": 3.0}
    model = estimator("multiclass", class_weight=class_weight)
    twin = estimator("multiclass")
    for rows in (slice(0, 100), slice(50, 150), slice(0, 150)):
        part = X[rows], y[rows]
        model.partial_fit(*part, classes=["a", "b", "c"])
        twin.partial_fit(
            *part, compute_sample_weight(class_weight, y[rows]), classes=["a", "b", "c"]
        )
    np.testing.assert_array_equal(parameters(model), parameters(twin))


def test_class_weight_of_some_classes_in_a_batch_of_others():
    X, y = iris()
    model = MLPClassifier(**SMALL, class_weight={0: 2.0})
    model.partial_fit(X[50:], y[50:], classes=[0, 1, 2])
    expected = MLPClassifier(**SMALL).partial_fit(X[50:], y[50:], classes=[0, 1, 2])
    np.testing.assert_array_equal(parameters(model), parameters(expected))


# -- dropout


def step_on_one_row(dropout, hidden=(60, 50), seed=0):
    """A linear network before and after a plain step on one row; the row."""
    row, target = np.array([[1.0, -2.0, 0.5]]), np.array([3.0])
    settings = {"activation": "identity", "random_state": seed}
    model = MLPRegressor(hidden_layer_sizes=hidden, **PLAIN, **settings)
    fit(model.set_params(**STILL), row, target)
    before = copy.deepcopy(model)
    model.set_params(learning_rate_init=0.01, dropout=dropout)
    return before, model.partial_fit(row, target), row, target


def kept_units(before, after):
    """Of each hidden layer: the biases that have moved are those of kept units."""
    pairs = zip(before.intercepts_[:-1], after.intercepts_[:-1], strict=True)
    return [old != new for old, new in pairs]


@pytest.mark.parametrize("dropout", [0.3, [0.0, 0.6], (0.5, 0.0), np.array([0.2, 0.9])])
def test_a_step_with_dropout_is_backpropagation_through_the_kept_units(dropout):
    before, after, row, target = step_on_one_row(dropout)
    rates = np.broadcast_to(dropout, 2)
    masks = [
        kept / (1 - rate)
        for kept, rate in zip(kept_units(before, after), rates, strict=True)
    ]
    W, b = before.coefs_, before.intercepts_
    a = [row[0]]
    for layer in range(2):
        a.append((a[-1] @ W[layer] + b[layer]) * masks[layer])
    delta = a[-1] @ W[2] + b[2] - target
    for layer in (2, 1, 0):
        step = b[layer] - after.intercepts_[layer]
        np.testing.assert_allclose(step, 0.01 * delta, rtol=1e-9, atol=1e-15)
        step = W[layer] - after.coefs_[layer]
        expected = 0.01 * np.outer(a[layer], delta)
        np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-15)
        if layer:
            delta = (W[layer] @ delta) * masks[layer - 1]


@pytest.mark.parametrize("dropout", [0.25, [0.0, 0.7]])
def test_dropout_drops_its_share_of_each_layer(dropout):
    before, after, *_ = step_on_one_row(dropout, (2000, 1500))
    rates = np.broadcast_to(dropout, 2)
    for kept, rate in zip(kept_units(before, after), rates, strict=True):
        spread = np.sqrt(rate * (1 - rate) / len(kept))
        assert abs(kept.mean() - (1 - rate)) <= 4 * spread


def test_every_step_and_seed_drops_other_units():
    masks = kept_units(*step_on_one_row(0.5, (500,), seed=1)[:2])
    start, model, row, target = step_on_one_row(0.5, (500,))
    masks += kept_units(start, model)
    for _ in range(3):
        before = copy.deepcopy(model)
        masks += kept_units(before, model.partial_fit(row, target))
    for first, second in itertools.pairwise(masks):
        assert 0.4 < (first == second).mean() < 0.6


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("dropout", [0.4, [0.0, 0.4]])
def test_dropout_is_drawn_by_the_random_state(cls, dropout):
    X, y = iris()
    params = {**SMALL, "hidden_layer_sizes": (8, 6), "dropout": dropout}
    one, two, other = (
        fit(cls(**{**params, "random_state": seed}), X, y) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(parameters(one), parameters(two))
    assert (parameters(one) != parameters(other)).any()
    without = fit(cls(**{**params, "dropout": 0.0}), X, y)
    assert abs(parameters(one) - parameters(without)).max() > 1e-3


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_dropout_of_nothing_is_no_dropout(cls):
    X, y = iris()
    plain, zero, zeros = (
        fit(cls(**SMALL, dropout=dropout), X, y) for dropout in (0.0, 0, [0.0])
    )
    np.testing.assert_array_equal(parameters(zero), parameters(plain))
    np.testing.assert_array_equal(parameters(zeros), parameters(plain))


@pytest.mark.parametrize("kind", ["multiclass", "two outputs"])
def test_predictions_drop_nothing(kind):
    X, y = targets(kind)
    model = fit(estimator(kind, dropout=0.5), X, y)
    hidden, out = forward(model, X)
    np.testing.assert_allclose(outputs(model, X), out, rtol=1e-10)
    np.testing.assert_allclose(model.hidden_activations(X)[0], hidden[0], rtol=1e-10)
    expected = jacobian_by_differences(lambda X: outputs(model, X), X)
    np.testing.assert_allclose(model.input_gradients(X), expected, atol=1e-8)


def test_dropout_helps_where_there_is_more_noise_than_data():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 20))
    y = np.sin(X[:, 0]) + X[:, 1] + rng.normal(size=300)
    params = {"hidden_layer_sizes": (100,), "learning_rate_init": 0.01, **UNSTOPPED}
    params |= {"max_iter": 150, "random_state": 0}
    plain, dropped = (
        fit(MLPRegressor(**params, dropout=dropout), X[:60], y[:60])
        for dropout in (0.0, 0.5)
    )
    assert plain.score(X[:60], y[:60]) > 0.99
    assert dropped.score(X[:60], y[:60]) < 0.99
    assert dropped.score(X[60:], y[60:]) > plain.score(X[60:], y[60:]) + 0.1


# -- batch normalisation


def normalized_forward(model, X, sample_weight, momenta=None):
    """A forward pass with γ = 1 through the batch's moments, and these moments."""
    shares = np.full(len(X), 1.0) if sample_weight is None else sample_weight
    a, moments = X, []
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    for number, (W, b) in enumerate(hidden):
        z = a @ W
        if momenta is None:
            mean = np.average(z, axis=0, weights=shares)
            moments.append((mean, np.average((z - mean) ** 2, axis=0, weights=shares)))
        else:
            moments.append(momenta[number])
        mean, variance = moments[-1]
        a = np.tanh((z - mean) / np.sqrt(variance + 1e-5) + b)
    return a @ last[0] + last[1], moments


@pytest.mark.parametrize("n_rows", [200, 1500])
@pytest.mark.parametrize("weighted", [False, True])
def test_batch_norm_trains_by_the_batch_and_predicts_by_running_moments(
    weighted, n_rows
):
    """Parameters stand still here: the moments are those of the start."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n_rows, 3)) * [1, 5, 0.2] + 2, rng.normal(size=n_rows)
    sample_weight = np.linspace(0, 2, n_rows) if weighted else None
    model = MLPRegressor(
        hidden_layer_sizes=(6, 4), activation="tanh", batch_norm=True, **PLAIN
    )
    settings = {**STILL, **UNSTOPPED, "max_iter": 3, "random_state": 0}
    fit(model.set_params(**settings), X, y, sample_weight)
    out, moments = normalized_forward(model, X, sample_weight)
    expected = np.average((out[:, 0] - y) ** 2, weights=sample_weight) / 2
    np.testing.assert_allclose(model.loss_curve_, [expected] * 3, rtol=1e-10)
    old = 0.9**3
    running = [
        ((1 - old) * mean, old + (1 - old) * variance) for mean, variance in moments
    ]
    out, _ = normalized_forward(model, X, None, running)
    np.testing.assert_allclose(model.predict(X), out[:, 0], rtol=1e-9)


def test_running_moments_become_those_of_the_layer():
    X, y = line()
    model = MLPRegressor("squared_error", (6,), "identity", batch_norm=True, **PLAIN)
    settings = {"learning_rate_init": 0.01, "max_iter": 150, "random_state": 0}
    hidden = fit(model.set_params(**settings), X, y).hidden_activations(X)[0]
    np.testing.assert_allclose(hidden.mean(axis=0), model.intercepts_[0], atol=0.01)
    assert (hidden.std(axis=0) > 0.5).all()
    assert (hidden.std(axis=0) < 1.5).all()


def test_batch_norm_makes_six_layers_of_sigmoids_learn():
    X, y = iris()
    params = {"hidden_layer_sizes": (5,) * 6, "activation": "logistic", "max_iter": 60}
    params |= {"batch_size": 16, "learning_rate_init": 0.01, "random_state": 0}
    plain, normal = (
        fit(MLPClassifier(**params, batch_norm=b), X, y) for b in (False, True)
    )
    assert plain.score(X, y) < 0.5 < 0.95 < normal.score(X, y)


@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_weight_two_is_two_rows_under_batch_norm(solver):
    X, y = iris()
    twice = np.arange(len(y)) % 2 + 1
    params = {"solver": solver, "batch_size": "full", "batch_norm": True}
    model = fit(MLPClassifier(**SMALL, **params), X, y, twice)
    repeated = np.repeat(X, twice, axis=0), np.repeat(y, twice)
    expected = fit(MLPClassifier(**SMALL, **params), *repeated)
    np.testing.assert_allclose(
        model.predict_proba(X), expected.predict_proba(X), rtol=1e-8
    )


GOING_ON = {
    "dropout": {"dropout": 0.5},
    "dropout, rows in order": {"dropout": [0.5], "shuffle": False},
    "batch_norm": {"batch_norm": True},
    "both": {"dropout": 0.5, "batch_norm": True, "shuffle": False},
    "clipping and decay": {"grad_clip_norm": 0.1, "weight_decay": 0.1},
}


@pytest.mark.parametrize("solver", FIRST_ORDER)
@pytest.mark.parametrize("case", GOING_ON)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_partial_fit_and_warm_start_go_on_where_training_ended(cls, case, solver):
    X, y = iris()
    params = {**SMALL, **UNSTOPPED, **GOING_ON[case], "solver": solver}
    params |= {"batch_size": 16}
    whole = fit(cls(**{**params, "max_iter": 6}), X, y)
    warm = fit(fit(cls(**params, warm_start=True), X, y), X, y)
    partial = fit(cls(**params), X, y)
    for _ in range(3):
        partial.partial_fit(X, y)
    for model in (warm, partial):
        np.testing.assert_allclose(parameters(model), parameters(whole), rtol=1e-9)
        np.testing.assert_allclose(outputs(model, X), outputs(whole, X), rtol=1e-9)


@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
@pytest.mark.parametrize("case", GOING_ON)
def test_copies_predict_and_go_on_alike(case, twin_of):
    X, y = iris()
    model = fit(MLPClassifier(**SMALL, **GOING_ON[case]), X, y)
    twin = twin_of(model)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    before = model.predict_proba(X)
    twin.partial_fit(X[:100], y[:100]).partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.partial_fit(X[:100], y[:100]).partial_fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    fresh = fit(clone(model), X, y)
    np.testing.assert_array_equal(fresh.predict_proba(X), before)


def test_a_new_fit_forgets_the_running_moments():
    X, y = iris()
    model = fit(MLPClassifier(**SMALL, batch_norm=True), 100 * X + 1e3, y)
    again = fit(model, X, y)
    expected = fit(MLPClassifier(**SMALL, batch_norm=True), X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected.predict_proba(X))


def test_replaced_weights_are_followed_under_batch_norm():
    """A normalised identity layer is affine, with slopes W γ/s and h(0) = b - γ μ/s."""
    X, y = line()
    model = MLPRegressor(
        "squared_error", (5,), "identity", batch_norm=True, max_iter=20
    )
    fit(model.set_params(random_state=0, learning_rate_init=0.02), X, y)
    at_zero = model.hidden_activations(np.zeros((1, 3)))[0]
    slopes = model.hidden_activations(np.eye(3))[0] - at_zero
    assert (abs(slopes / model.coefs_[0] - 1) > 1e-3).all()
    model.coefs_[0] = 2 * model.coefs_[0]
    model.intercepts_[0] = model.intercepts_[0] + 7
    hidden = model.hidden_activations(X)[0]
    expected = X @ (2 * slopes) + at_zero + 7
    np.testing.assert_allclose(hidden, expected, rtol=1e-9)
    expected = hidden @ model.coefs_[1] + model.intercepts_[1]
    np.testing.assert_allclose(model.predict(X), expected[:, 0], rtol=1e-9)
    expected = jacobian_by_differences(model.predict, X)[:, 0]
    np.testing.assert_allclose(model.input_gradients(X), expected, atol=1e-7)


@pytest.mark.parametrize("params", [{"dropout": 0.4}, {"batch_norm": True}], ids=str)
def test_sparse_rows_train_like_dense_ones(params):
    X, y = iris()
    X = X * (abs(X) > 0.5)
    dense = fit(MLPClassifier(**SMALL, **params, batch_size=16), X, y)
    sparse = fit(clone(dense), scipy.sparse.csr_array(X), y)
    np.testing.assert_allclose(parameters(sparse), parameters(dense), rtol=1e-9)
    np.testing.assert_allclose(sparse.predict_proba(X), dense.predict_proba(X))


# -- penalties and clipping


def test_l1_makes_weights_small_where_l2_does_not():
    X, y = iris()
    params = {"hidden_layer_sizes": (20,), "alpha": 3.0, "learning_rate": "cosine"}
    params |= {"learning_rate_init": 0.02, "max_iter": 150, "random_state": 0}
    shares = []
    for l1_ratio in (0.0, 0.5, 1.0):
        model = fit(MLPClassifier(**params, l1_ratio=l1_ratio), X, y)
        assert model.score(X, y) > 0.9
        shares.append((abs(weights(model)) < 1e-3).mean())
    assert shares[0] < 0.2 < 0.5 < min(shares[1:])


def at_rest(**params):
    """A network whose output meets its targets: its gradient is zero."""
    X, y = np.zeros((10, 3)), np.zeros(10)
    params |= {"activation": "tanh", "init": 1.0, "alpha": 0, **UNSTOPPED}
    return fit(MLPRegressor(hidden_layer_sizes=(4,), **params, random_state=0), X, y), X


@pytest.mark.parametrize("decay", [0.1, 0.0, None])
@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_decoupled_decay_shrinks_weights_whose_gradient_is_zero(solver, decay):
    start, X = at_rest(solver="sgd", **STILL)
    model, _ = at_rest(
        solver=solver, weight_decay=decay, learning_rate_init=0.5, max_iter=7
    )
    rate = (0.01 if solver == "adamw" else 0.0) if decay is None else decay
    expected = weights(start) * (1 - 0.5 * rate) ** 7
    np.testing.assert_allclose(weights(model), expected, rtol=1e-13)
    model.intercepts_[-1] = np.array([3.0])
    model.partial_fit(X, np.full(10, 3.0))
    expected = weights(start) * (1 - 0.5 * rate) ** 8
    np.testing.assert_allclose(weights(model), expected, rtol=1e-13)
    np.testing.assert_array_equal(np.hstack(model.intercepts_), [0, 0, 0, 0, 3])


def test_weight_decay_is_the_l2_penalty_under_plain_steps():
    X, y = iris()
    settings = {**SMALL, **PLAIN, "learning_rate_init": 0.1, "max_iter": 20}
    decayed = fit(MLPClassifier(**settings, weight_decay=0.2), X, y)
    settings["alpha"] = 0.2 * len(X)
    penalised = fit(MLPClassifier(**settings), X, y)
    np.testing.assert_allclose(parameters(decayed), parameters(penalised), rtol=1e-9)


def test_adamw_without_decay_and_epsilon_is_adam():
    X, y = iris()
    adam, adamw, decayed = (
        fit(
            MLPClassifier(**SMALL, solver=solver, weight_decay=rate, epsilon=1e-15),
            X,
            y,
        )
        for solver, rate in [("adam", None), ("adamw", 0.0), ("adamw", None)]
    )
    np.testing.assert_allclose(parameters(adamw), parameters(adam), rtol=1e-9)
    assert abs(parameters(decayed) - parameters(adam)).max() > 1e-6


def plain_step(clip, cls=MLPClassifier, data=None):
    """What one step of size 1/4 adds to the parameters, and the fitted estimator."""
    X, y = data or iris()
    model = fit(cls(**{**SMALL, **PLAIN, **STILL}), X, y)
    before = parameters(model)
    model.set_params(learning_rate_init=0.25, grad_clip_norm=clip).partial_fit(X, y)
    return parameters(model) - before, model


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_clipping_shortens_the_step_and_keeps_its_direction(cls):
    step, model = plain_step(None, cls)
    norm = np.linalg.norm(step) / 0.25
    assert model.history_["gradient_norm"] == pytest.approx([norm], rel=1e-9)
    for clip in (0.9 * norm, 1e-3, 1.1 * norm):
        clipped, model = plain_step(clip, cls)
        expected = step * min(1, clip / norm)
        np.testing.assert_allclose(clipped, expected, rtol=1e-7, atol=1e-14)
        assert np.linalg.norm(clipped) <= 0.25 * clip * (1 + 1e-12)
        assert model.history_["gradient_norm"] == pytest.approx([norm], rel=1e-9)


def test_the_penalty_counts_towards_the_clipped_norm():
    X, y = iris()
    model = fit(MLPClassifier(**{**SMALL, **PLAIN, **STILL}), X, y)
    before = parameters(model)
    model.set_params(learning_rate_init=1.0, alpha=1e6, grad_clip_norm=0.01)
    model.partial_fit(X, y)
    step = parameters(model) - before
    assert np.linalg.norm(step) == pytest.approx(0.01, rel=1e-9)
    n_weights = weights(model).size
    cosine = -step[:n_weights] @ before[:n_weights] / np.linalg.norm(before[:n_weights])
    assert cosine == pytest.approx(0.01, rel=1e-3)


def test_clipping_keeps_an_outlier_from_blowing_the_model_up():
    X, y = line()
    y = y.copy()
    y[7] = 1e8
    settings = {**SMALL, **PLAIN, "batch_size": 10, "learning_rate_init": 0.1}
    before = parameters(fit(MLPRegressor(**settings, grad_clip_norm=1e-300), X, y))
    model = fit(MLPRegressor(**settings, grad_clip_norm=0.5), X, y)
    assert 0.1 < np.linalg.norm(parameters(model) - before) <= 3 * 20 * 0.1 * 0.5


# -- learning rates


def one_cycle(e, rate, horizon):
    top = 0.3 * horizon - 1
    e = min(e, horizon - 1)
    if e <= top:
        return rate / 25 + (rate - rate / 25) * (1 - np.cos(np.pi * e / top)) / 2
    share = (e - top) / (horizon - 1 - top)
    return rate / 25e4 + (rate - rate / 25e4) * np.cos(np.pi * share / 2) ** 2


# Of a fit of 20 epochs on 10 rows at a learning_rate_init of 0.2.
SCHEDULES = {
    "constant": ({}, lambda e: 0.2),
    "invscaling": ({"power_t": 0.7}, lambda e: 0.2 / (10 * e + 1) ** 0.7),
    "exponential": (
        {"decay_rate": 0.3, "decay_epochs": 4},
        lambda e: 0.2 * 0.3 ** (e / 4),
    ),
    "step": ({"decay_rate": 0.3, "decay_epochs": 4}, lambda e: 0.2 * 0.3 ** (e // 4)),
    "cosine": ({}, lambda e: 0.1 * (1 + np.cos(np.pi * e / 20))),
    "restarts": (
        {"learning_rate": "cosine", "restart_epochs": 6},
        lambda e: 0.1 * (1 + np.cos(np.pi * (e % 6) / 6)),
    ),
    "one_cycle": ({}, lambda e: one_cycle(e, 0.2, 20)),
    "callable": ({"learning_rate": lambda e: 0.3 / (e + 2)}, lambda e: 0.3 / (e + 2)),
    "warm-up": (
        {"learning_rate": "constant", "warmup_epochs": 4},
        lambda e: 0.2 * min(1, (e + 1) / 5),
    ),
    "warm-up and cosine": (
        {"learning_rate": "cosine", "warmup_epochs": 4},
        lambda e: (
            0.2 * (e + 1) / 5 if e < 4 else 0.1 * (1 + np.cos(np.pi * (e - 4) / 16))
        ),
    ),
    "warm-up and steps": (
        {"learning_rate": "step", "warmup_epochs": 2, "decay_epochs": 5},
        lambda e: 0.2 * min(1, (e + 1) / 3) * 0.5 ** (max(0, e - 2) // 5),
    ),
    "warm-up and callable": (
        {"learning_rate": lambda e: 0.3 / (e + 2), "warmup_epochs": 2},
        lambda e: min(1, (e + 1) / 3) * 0.3 / (max(0, e - 2) + 2),
    ),
}
# What a first-order step under a gradient of 1 is, in units of the rate.
STEP_UNDER_ONES = {
    "sgd": lambda t: 1.0,
    "adam": lambda t: 1.0,
    "adamw": lambda t: 1.0,
    "adagrad": lambda t: t**-0.5,
    "rmsprop": lambda t: (1 - 0.9**t) ** -0.5,
}


def scheduled(name, solver):
    """A constant below its targets by far: ∂J/∂b is -1 and all else is 0."""
    settings, formula = SCHEDULES[name]
    settings = {"learning_rate": name, "learning_rate_init": 0.2, **settings}
    settings |= {"solver": solver, "momentum": 0, "epsilon": 1e-14, **UNSTOPPED}
    settings |= {"hidden_layer_sizes": (), "max_iter": 20, "random_state": 0}
    model = MLPRegressor("absolute_error", **settings)
    return model, np.zeros((10, 1)), np.full(10, 1e3), formula


@pytest.mark.parametrize("solver", FIRST_ORDER)
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_of_every_epoch_is_the_schedules(name, solver):
    model, X, y, formula = scheduled(name, solver)
    expected = [formula(e) for e in range(20)]
    rates = fit(model, X, y).history_["learning_rate"]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    steps = np.array([STEP_UNDER_ONES[solver](t + 1) for t in range(20)])
    start = fit(clone(model).set_params(**STILL, learning_rate="constant"), X, y)
    moved = model.intercepts_[0] - start.intercepts_[0]
    assert moved[0] == pytest.approx(expected @ steps, rel=1e-9)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_partial_fit_goes_on_in_the_schedule(name, solver):
    model, X, y, formula = scheduled(name, solver)
    rates, places = [], []
    for _ in range(23):
        model.partial_fit(X, y)
        rates += model.history_["learning_rate"]
        places.append(model.intercepts_[0][0])
    expected = [formula(min(e, 19) if name == "cosine" else e) for e in range(23)]
    if name == "warm-up and cosine":
        expected[20:] = expected[19:20] * 3
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    np.testing.assert_allclose(np.diff(places), rates[1:], rtol=1e-9)


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "warm-up and cosine"])
def test_a_warm_fit_runs_anew_what_was_over_after_max_iter_epochs(name):
    model, X, y, _ = scheduled(name, "adam")
    rates = fit(model.set_params(warm_start=True), X, y).history_["learning_rate"]
    assert fit(model, X, y).history_["learning_rate"] == pytest.approx(rates)


@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_adaptive_takes_a_fifth_at_every_plateau(solver):
    X, y = iris()
    settings = {"solver": solver, "learning_rate": "adaptive", "tol": 1e9}
    settings |= {"n_iter_no_change": 2, "learning_rate_init": 1e-4, "max_iter": 200}
    model = MLPClassifier(**{**SMALL, **settings}).fit(X, y)
    expected = [1e-4] * 4 + [1e-4 / 5] * 3 + [1e-4 / 25] * 3 + [1e-4 / 125] * 3
    np.testing.assert_allclose(model.history_["learning_rate"], expected, rtol=1e-12)
    assert model.stop_reason_ == "tol"


def test_a_callable_rate_that_is_none_leaves_the_old_model():
    X, y = iris()
    model = fit(MLPClassifier(**SMALL), X, y)
    before = outputs(model, X)
    for rate, error in [
        (lambda e: 0.1 if e < 2 else np.nan, ValueError),
        (lambda e: -0.1, ValueError),
        (lambda e: "fast", ValueError),
        (lambda: 0.1, TypeError),
    ]:
        with pytest.raises(error):
            model.set_params(learning_rate=rate).fit(X, y)
        np.testing.assert_array_equal(outputs(model, X), before)


# -- initial parameters

DRAWS = {
    "glorot_normal": lambda rng, n, k: rng.normal(0, np.sqrt(2 / (n + k)), (n, k)),
    "he_normal": lambda rng, n, k: rng.normal(0, np.sqrt(2 / n), (n, k)),
    "lecun_normal": lambda rng, n, k: rng.normal(0, np.sqrt(1 / n), (n, k)),
    "he_uniform": lambda rng, n, k: rng.uniform(-1, 1, (n, k)) * np.sqrt(6 / n),
    "lecun_uniform": lambda rng, n, k: rng.uniform(-1, 1, (n, k)) * np.sqrt(3 / n),
    0.3: lambda rng, n, k: rng.normal(0, 0.3, (n, k)),
    2: lambda rng, n, k: rng.normal(0, 2, (n, k)),
}


def start_of(module, name, **params):
    model = getattr(module, name)((7, 5), random_state=4, solver="sgd", **params)
    return fit(model.set_params(**STILL), *iris())


@pytest.mark.parametrize("init", DRAWS)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_init_draws_the_start_as_documented(cls, init):
    model = cls(hidden_layer_sizes=(7, 5), init=init, random_state=4, solver="sgd")
    fit(model.set_params(**STILL), *iris())
    rng = np.random.RandomState(4)
    for W, b in zip(model.coefs_, model.intercepts_, strict=True):
        expected = DRAWS[init](rng, *W.shape)
        np.testing.assert_allclose(W, expected, rtol=1e-12)
        assert abs(b).max() < 1e-290


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_the_default_start_is_scikit_learns(activation):
    models = []
    for cls in (MLPClassifier, sklearn.neural_network.MLPClassifier):
        model = cls((7, 5), activation, random_state=4, solver="sgd")
        models.append(fit(model.set_params(**STILL), *iris()))
    np.testing.assert_allclose(*map(parameters, models), rtol=1e-12)
    named = clone(models[0]).set_params(init="glorot_uniform")
    np.testing.assert_array_equal(
        parameters(fit(named, *iris())), parameters(models[0])
    )


# -- types, threads, batches


@pytest.mark.parametrize("wanted", ["float32", np.float32, np.dtype("float32")])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["multiclass", "two outputs"])
def test_dtype_is_that_of_the_model(kind, solver, wanted):
    X, y = targets(kind)
    model = fit(estimator(kind, dtype=wanted, solver=solver), X, y)
    narrow = fit(estimator(kind, solver=solver), X.astype(np.float32), y)
    np.testing.assert_array_equal(parameters(model), parameters(narrow))
    made = [outputs(model, X), *model.hidden_activations(X), model.input_gradients(X)]
    assert {a.dtype for a in [*model.coefs_, *made]} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(outputs(model, X), outputs(narrow, X))
    wide = fit(estimator(kind, solver=solver, dtype="float64"), X.astype("f4"), y)
    assert wide.coefs_[0].dtype == outputs(wide, X).dtype == np.float64
    np.testing.assert_allclose(outputs(wide, X), outputs(model, X), atol=2e-3)


def test_dtype_of_sparse_rows():
    X, y = iris()
    rows = scipy.sparse.csr_array(X)
    model = fit(MLPClassifier(**SMALL, dtype="float32"), rows, y)
    expected = fit(MLPClassifier(**SMALL), rows.astype(np.float32), y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


THREADED = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch_norm": {"batch_norm": True},
    "dropout and batch_norm": {"dropout": [0.3, 0.1], "batch_norm": True},
    "l1, decay, clipping": {
        "alpha": 1.0,
        "l1_ratio": 0.5,
        "weight_decay": 0.1,
        "grad_clip_norm": 0.1,
    },
}


@pytest.mark.parametrize("case", THREADED)
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_any_number_of_threads_gives_the_same_bits(solver, form, case):
    X, y = iris()
    params = {"hidden_layer_sizes": (24, 12), "batch_size": 64, "solver": solver}
    params |= {"max_iter": 4, "random_state": 0, **THREADED[case]}
    one, two, three = (
        fit(MLPClassifier(**params, n_threads=n), form(X), y) for n in (1, 2, 3)
    )
    np.testing.assert_array_equal(parameters(two), parameters(one))
    np.testing.assert_array_equal(parameters(three), parameters(one))
    assert one.loss_curve_ == two.loss_curve_ == three.loss_curve_
    np.testing.assert_array_equal(two.predict_proba(X), one.predict_proba(X))


@pytest.mark.skipif(not _kernels.THREADS, reason="built without threads")
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_so_many_threads_take_part(n_threads):
    before, during = threading.active_count(), []
    look = [lambda epoch, logs: during.append(threading.active_count())]
    fit(MLPClassifier(**SMALL, n_threads=n_threads, callbacks=look), *iris())
    assert during == [before + n_threads - 1] * 3
    assert threading.active_count() == before


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("n_rows", [150, 90])
def test_the_full_batch_is_all_rows(cls, n_rows):
    X, y = (a[:: 150 // n_rows][:n_rows] for a in iris())
    full = fit(cls(**SMALL, batch_size="full"), X, y)
    expected = fit(cls(**SMALL, batch_size=len(X)), X, y)
    np.testing.assert_array_equal(parameters(full), parameters(expected))


@pytest.mark.parametrize("n_rows", [150, 2500])
def test_plain_steps_on_the_full_batch_are_gradient_descent(n_rows):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n_rows, 3)), rng.normal(size=n_rows)
    params = {"hidden_layer_sizes": (6,), "activation": "tanh", "max_iter": 12}
    params |= {"learning_rate_init": 0.3, "random_state": 0, "tol": 0.0}
    sgd = MLPRegressor(**params, **PLAIN)
    gd = MLPRegressor(**params, solver="gd", alpha=0)
    np.testing.assert_allclose(
        parameters(fit(sgd, X, y)), parameters(fit(gd, X, y)), rtol=1e-8
    )
    # An epoch's loss is that before its step, an iteration's that after it.
    before, after = sgd.history_["loss"], gd.history_["loss"]
    np.testing.assert_allclose(before[1:], after[:-1], rtol=1e-12)


def test_the_full_batch_leaves_the_validation_rows_out():
    X, y = iris()
    params = {**SMALL, **PLAIN, "early_stopping": True, "learning_rate_init": 0.1}
    full = fit(MLPClassifier(**params), X, y)
    expected = fit(MLPClassifier(**{**params, "batch_size": 135}), X, y)
    np.testing.assert_array_equal(parameters(full), parameters(expected))


# -- every solver


@pytest.mark.parametrize("solver", [*FIRST_ORDER, *FULL_BATCH])
@pytest.mark.parametrize(
    "kind", ["binary", "multiclass", "multilabel", "one output", "two outputs"]
)
def test_every_solver_learns_and_says_what_it_did(kind, solver):
    X, y = targets(kind)
    rate = {"gd": 0.5, "adagrad": 0.1}.get(solver, 0.02)
    params = {"solver": solver, "activation": "tanh", "learning_rate_init": rate}
    params |= {"max_iter": 60, "tol": 1e-12, "n_iter_no_change": np.inf}
    model = estimator(kind, **params)
    assert fit(model, X, y) is model
    columns = {"loss", "gradient_norm", "seconds"}
    if solver in [*FIRST_ORDER, "gd", "steepest"]:
        columns.add("learning_rate")
    assert set(model.history_) == columns
    for column in model.history_.values():
        assert len(column) == model.n_iter_
        assert all(type(value) is float for value in column)
    assert (model.n_iter_ == 60) == (model.stop_reason_ == "max_iter")
    assert model.n_iter_ == 60 or solver in FULL_BATCH
    assert model.history_["loss"][-1] == model.loss_
    assert model.loss_ < model.history_["loss"][0]
    assert model.score(X, y) > (0.4 if kind == "multilabel" else 0.75)
    assert hasattr(model, "loss_curve_") == (solver in FIRST_ORDER)
    if solver == "gd":
        assert set(model.history_["learning_rate"]) == {0.5}


@pytest.mark.parametrize("solver", FULL_BATCH)
def test_a_warm_full_batch_solver_goes_on(solver):
    X, y = iris()
    params = {"solver": solver, "activation": "tanh", "learning_rate_init": 0.1}
    model = fit(MLPClassifier(**SMALL, **params, warm_start=True), X, y)
    first = model.loss_
    fit(model, X, y)
    assert model.n_iter_ == len(model.history_["loss"]) == 3
    assert model.history_["loss"][0] < first
    if solver == "gd":
        whole = fit(MLPClassifier(**{**SMALL, "max_iter": 6}, **params), X, y)
        np.testing.assert_allclose(parameters(model), parameters(whole), rtol=1e-12)


def test_a_solver_that_has_arrived_takes_no_step():
    X, y = line()
    model = MLPRegressor(
        "squared_error", (), solver="newton-cg", warm_start=True, tol=1e-8
    )
    model.fit(X, y).fit(X, y)
    assert (model.n_iter_, model.stop_reason_) == (0, "gtol")
    assert model.history_["loss"] == []
    assert model.loss_ == pytest.approx(data_loss(model, X, y) + penalty(model, 200))


def test_solvers_of_every_kind_go_on_from_each_other():
    X, y = iris()
    model, losses = MLPClassifier(**SMALL, warm_start=True, tol=0.0), []
    for solver in ["adam", "newton-cg", "gd", "adamw", "lbfgs", "steepest", "sgd"]:
        fit(model.set_params(solver=solver), X, y)
        losses.append(data_loss(model, X, y))
        assert model.n_iter_ == 3
        assert hasattr(model, "loss_curve_") == (solver in FIRST_ORDER)
    assert (np.diff(losses) < 0).all()


def test_newton_finds_a_minimum_of_xor_where_adam_does_not():
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    params = {"hidden_layer_sizes": (4,), "activation": "tanh", "alpha": 0.01}
    params |= {
        "tol": 1e-10,
        "max_iter": 500,
        "random_state": 0,
        "n_iter_no_change": 499,
    }
    newton, adam = (
        fit(MLPClassifier(**params, solver=solver), X, y)
        for solver in ("newton-cg", "adam")
    )
    slopes = [
        gradient_by_differences(
            model, lambda m: data_loss(m, X, y) + penalty(m, len(X))
        )
        for model in (newton, adam)
    ]
    assert newton.stop_reason_ == "gtol"
    assert newton.history_["gradient_norm"][-1] < 1e-8
    assert abs(slopes[0]).max() < 1e-8 < 1e-5 < abs(slopes[1]).max()
    assert newton.score(X, y) == 1


# -- what is refused


@functools.cache
def three_classes():
    return targets("multiclass")


def snapshot(model):
    """Every bit that a fit has made."""
    params = model.get_params()
    return pickle.dumps({k: v for k, v in vars(model).items() if k not in params})


def assert_refused(model, match, method="fit", data=None, **keywords):
    """A clear error from a new and from a fitted estimator, which stay as they were."""
    fitted = fit(type(model)(**SMALL), *iris()).set_params(**model.get_params())
    for this in (model, fitted):
        before = snapshot(this)
        with pytest.raises((ValueError, TypeError, AttributeError), match=match):
            getattr(this, method)(*(data or iris()), **keywords)
        assert snapshot(this) == before


BAD = [
    ("output_activation", "sine"),
    ("output_activation", "selu"),
    ("output_activation", 1),
    ("l1_ratio", -0.1),
    ("l1_ratio", 1.1),
    ("l1_ratio", np.nan),
    ("l1_ratio", None),
    ("weight_decay", -1e-9),
    ("weight_decay", np.nan),
    ("weight_decay", "some"),
    ("grad_clip_norm", 0.0),
    ("grad_clip_norm", -1.0),
    ("grad_clip_norm", np.nan),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("dropout", np.nan),
    ("dropout", "half"),
    ("dropout", None),
    ("dropout", [1.0]),
    ("dropout", [np.nan]),
    ("dropout", [0.1, 0.1]),
    ("dropout", []),
    ("dropout", ["half"]),
    ("dropout", [[0.5]]),
    ("batch_norm", "yes"),
    ("batch_norm", None),
    ("init", "glorot"),
    ("init", 0.0),
    ("init", -1.0),
    ("init", np.nan),
    ("init", np.inf),
    ("init", None),
    ("decay_rate", 0.0),
    ("decay_rate", 1.1),
    ("decay_rate", np.nan),
    ("decay_epochs", 0),
    ("decay_epochs", 1.5),
    ("restart_epochs", 0),
    ("restart_epochs", 2.0),
    ("warmup_epochs", -1),
    ("warmup_epochs", 0.5),
    ("warmup_epochs", None),
    ("learning_rate", "linear"),
    ("learning_rate", None),
    ("learning_rate", 0.1),
    ("batch_size", "all"),
    ("batch_size", None),
    ("param_tol", -1e-9),
    ("param_tol", np.nan),
    ("param_tol", "small"),
    ("scoring", "accurracy"),
    ("scoring", 1),
    ("scoring", ["accuracy"]),
    ("stop_on_overfit", "yes"),
    ("stop_on_overfit", None),
    ("callbacks", print),
    ("callbacks", "print"),
    ("callbacks", [1]),
    ("callbacks", [print, None]),
    ("dtype", "float16"),
    ("dtype", "double"),
    ("dtype", 64),
    ("dtype", int),
    ("dtype", object),
    ("dtype", np.complex128),
    ("dtype", np.dtype("int64")),
    ("n_threads", 0),
    ("n_threads", -1),
    ("n_threads", 1.5),
    ("n_threads", "all"),
    ("solver", "newton"),
    ("activation", "sine"),
    ("activation", ["sine"]),
    ("activation", [1]),
    ("activation", []),
    ("activation", ["relu", "relu"]),
]
BAD_OF_CLASSIFIERS = [
    ("loss", "hinge"),
    ("loss", "poisson"),
    ("class_weight", "even"),
    ("class_weight", 2.0),
    ("class_weight", {0: -1.0}),
    ("class_weight", {1: np.nan}),
    ("class_weight", {1: np.inf}),
    ("class_weight", {0: 0.0, 1: 0.0, 2: 0.0}),
    ("class_weight", {7: 1.0}),
    ("output_activation", "tanh"),
]
BAD_OF_REGRESSORS = [
    ("loss", "log_loss"),
    ("huber_delta", 0.0),
    ("huber_delta", -1.0),
    ("huber_delta", np.nan),
    ("huber_delta", np.inf),
    ("huber_delta", None),
    ("quantile", 0.0),
    ("quantile", 1.0),
    ("quantile", np.nan),
    ("quantile", None),
    ("quantile", "median"),
    ("quantile", []),
    ("quantile", [0.5, 1.0]),
    ("quantile", [0.0]),
    ("quantile", [np.nan, 0.5]),
    ("quantile", ["median"]),
    ("quantile", [[0.1, 0.9]]),
    ("output_activation", "softmax"),
]
CASES = [
    *((cls, *case) for cls in ESTIMATORS for case in BAD),
    *((MLPClassifier, *case) for case in BAD_OF_CLASSIFIERS),
    *((MLPRegressor, *case) for case in BAD_OF_REGRESSORS),
]


@pytest.mark.parametrize(("cls", "name", "value"), CASES)
def test_nonsense_is_refused_by_name(cls, name, value):
    params = {**SMALL, name: value}
    if name in ("huber_delta", "quantile"):
        params["loss"] = name.removesuffix("_delta")
    assert_refused(cls(**params), match=name)


@pytest.mark.parametrize("solver", FULL_BATCH)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_full_batch_solvers_refuse_what_needs_steps(cls, solver):
    for params in ({"dropout": 0.1}, {"dropout": [0.2]}, {"batch_norm": True}):
        assert_refused(
            cls(**SMALL, solver=solver, **params), match=f"{solver}.*does not support"
        )


@pytest.mark.parametrize("solver", FULL_BATCH)
def test_full_batch_solvers_take_a_dropout_of_nothing(solver):
    model = fit(MLPClassifier(**SMALL, solver=solver, dropout=[0.0]), *iris())
    assert model.n_iter_ == 3


@pytest.mark.parametrize("solver", FULL_BATCH)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_no_partial_fit_with_a_full_batch_solver(cls, solver):
    model = cls(**SMALL, solver=solver)
    assert not hasattr(model, "partial_fit")
    assert_refused(model, "partial_fit", "partial_fit")


LOSSES_WITH = [
    (MLPRegressor, "absolute_error", "tanh"),
    (MLPRegressor, "huber", "exp"),
    (MLPRegressor, "quantile", "relu"),
    (MLPRegressor, "poisson", "identity"),
    (MLPClassifier, "log_loss", "identity"),
    (MLPClassifier, "log_loss", "tanh"),
    (MLPClassifier, "squared_error", "softmax"),
    (MLPClassifier, "squared_error", "tanh"),
    (MLPClassifier, "squared_error", "exp"),
]


@pytest.mark.parametrize(("cls", "loss", "activation"), LOSSES_WITH)
def test_an_output_activation_that_the_loss_does_not_allow(cls, loss, activation):
    model = cls(**SMALL, loss=loss, output_activation=activation)
    assert_refused(model, f"output_activation of loss='{loss}'")


def test_softmax_is_not_for_labels_that_can_be_had_together():
    model = MLPClassifier(**SMALL, output_activation="softmax")
    assert_refused(model, "softmax.*one class per row", data=labels())


def test_balanced_weights_are_not_for_partial_fit():
    model = MLPClassifier(**SMALL, class_weight="balanced")
    keywords = {"classes": [0, 1, 2]}
    assert_refused(model, "'balanced' is not supported", "partial_fit", **keywords)


@pytest.mark.parametrize("n_columns", [2, 3])
def test_a_list_of_quantiles_is_for_one_target(n_columns):
    X, _ = iris()
    model = MLPRegressor("quantile", quantile=[0.1, 0.9], **SMALL)
    data = X, X[:, :n_columns]
    assert_refused(
        model, r"several quantiles need y of shape \(n_samples,\), got \(", data=data
    )


CHANGES = [
    {"batch_norm": True},
    {"activation": ["tanh"]},
    {"loss": "squared_error"},
    {"loss": "squared_error", "output_activation": "identity"},
    {"hidden_layer_sizes": (5, 5)},
]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_going_on_as_another_network_is_refused(change, method):
    X, y = iris()
    model = fit(MLPClassifier(**SMALL, warm_start=True), X, y).set_params(**change)
    before = snapshot(model)
    with pytest.raises(ValueError, match="batch_norm of the previous fit"):
        getattr(model, method)(X, y)
    model.set_params(batch_norm=False, activation="relu", loss="log_loss")
    assert snapshot(model) == before


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("first", ["multilabel", "binary", "multiclass"])
def test_going_on_with_another_kind_of_labels_is_refused(first, method):
    """Not an error of shapes from somewhere, and never taken for something else."""
    X, Y = labels()
    y = {"multilabel": Y, "binary": Y[:, 0], "multiclass": Y.sum(axis=1)}[first]
    other = {"multilabel": Y[:, 0], "binary": Y[:, :2], "multiclass": np.eye(4)[y]}
    model = fit(MLPClassifier(**SMALL, warm_start=True), X, y)
    with pytest.raises(ValueError, match=r"multilabel|classes"):
        getattr(model, method)(X, other[first])
