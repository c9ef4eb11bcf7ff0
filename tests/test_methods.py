"""Every method of the estimators, against formulas, SciPy and scikit-learn."""

import contextlib
import copy
import functools
import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.linear_model as linear
import sklearn.neural_network
from scipy.special import expit, huber, ndtr, softmax
from sklearn import datasets, metrics
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import scale
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from fastmlp import MLPClassifier, MLPRegressor

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
}
OUTPUTS = {**HIDDEN, "exp": np.exp, "softmax": functools.partial(softmax, axis=1)}

SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
# Plain gradient descent, one step an epoch, that runs all its epochs.
PLAIN = {"solver": "sgd", "momentum": 0, "batch_size": "full", "alpha": 0}
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf}
# Moves no parameter by as much as a unit in its last place.
STILL = {"learning_rate_init": 1e-300, "max_iter": 1}


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """Fits this small only wait for BLAS's other threads."""
    with threadpool_limits(1):
        yield


@contextlib.contextmanager
def unconverged():
    """For fits that are meant to end at max_iter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit(model, *data, **keywords):
    with unconverged():
        return model.fit(*data, **keywords)


@functools.cache
def iris():
    X, y = datasets.load_iris(return_X_y=True)
    return scale(X), y


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
    model = MLPRegressor(hidden_layer_sizes=(), alpha=alpha, max_iter=500, **params)
    model.fit(X, y, sample_weight)
    ridge = linear.Ridge(alpha, solver="cholesky").fit(X, y, sample_weight)
    np.testing.assert_allclose(model.coefs_[0][:, 0], ridge.coef_, rtol=1e-6)
    assert model.intercepts_[0] == pytest.approx(ridge.intercept_, rel=1e-6)
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


def linear_parameters(model):
    return np.append(model.coef_, model.intercept_)


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


@pytest.mark.parametrize(
    ("loss", "off"), [("absolute_error", 0.3), ("huber", 0.3), ("squared_error", 40)]
)
def test_robust_losses_do_not_follow_outliers(loss, off):
    X, y = outliers()
    model = fit(MLPRegressor(loss, alpha=0, **TO_THE_END), X, y)
    error = abs(parameters(model) - [1, -2, 0.5, 1]).max()
    assert off / 10 < error < off


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
    gap = np.diff(np.sort(y)).max()
    np.testing.assert_allclose(model.predict(nothing)[0], expected, atol=0.05)
    assert gap > 0.05, "the tails are thin, and the tolerance is not"


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
        np.testing.assert_allclose(covered, LEVELS, atol=0.025)
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
    params |= {"hidden_layer_sizes": (12,), "max_iter": 300}
    model = fit(estimator(kind, loss="squared_error", **params), X, y)
    assert model.score(X, y) > {"binary": 0.99, "multiclass": 0.95}.get(kind, 0.8)


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
