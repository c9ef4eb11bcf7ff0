"""The model that scikit-learn ends at from the same seed, after whole fits.

Every tolerance is 1e-8 of the largest entry. It leaves room: scikit-learn's own
parameters move by less than 1e-12 in each of these fits when X is multiplied by
1 + 1e-15 noise. Where that is not so (lbfgs), less is asked and the test says why.
"""

import functools
import warnings

import numpy as np
import pytest
import sklearn.neural_network
from scipy.special import expit, log_expit
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import fastmlp
from fastmlp import _kernels

RTOL = 1e-8

PLAIN = {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.05}
MOMENTUM = {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02}
NESTEROV = {"solver": "sgd", "learning_rate_init": 0.02}
ADAM = {"solver": "adam", "learning_rate_init": 0.005}
SOLVERS = {"plain": PLAIN, "momentum": MOMENTUM, "nesterov": NESTEROV, "adam": ADAM}
SCHEDULES = {
    "constant": {"learning_rate": "constant"},
    "invscaling": {"learning_rate": "invscaling", "power_t": 0.3},
    # Stalls soon, so that the rate is lowered within a few epochs.
    "adaptive": {"learning_rate": "adaptive", "tol": 0.1},
}
SGD_CASES = [
    pytest.param({**SOLVERS[solver], **schedule}, id=f"{solver}-{name}")
    for solver in ("plain", "momentum", "nesterov")
    for name, schedule in SCHEDULES.items()
]
SHORT = {
    "hidden_layer_sizes": (20, 10),
    "batch_size": 32,
    "max_iter": 30,
    "n_iter_no_change": 3,
    "tol": 1e-3,
    "random_state": 3,
}


@functools.cache
def load(name):
    """X of unit scale and y, and the estimator's name."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "diabetes":
        return scale(X), scale(y), "MLPRegressor"
    return (X / 16 if name == "digits" else scale(X)), y, "MLPClassifier"


def fit_both(name, X, y, sample_weight=None, **params):
    """fastmlp's and scikit-learn's estimator, fitted alike."""
    pair = [getattr(m, name)(**params) for m in (fastmlp, sklearn.neural_network)]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for model in pair:
            model.fit(X, y, sample_weight=sample_weight)
    return pair


def assert_close(mine, theirs, rtol=RTOL):
    if theirs is None:
        assert mine is None
        return
    largest = np.max(np.abs(theirs), initial=0.0)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=rtol * largest)


def assert_same_parameters(mine, theirs):
    for ours, others in zip(mine.coefs_, theirs.coefs_, strict=True):
        assert_close(ours, others)
    for ours, others in zip(mine.intercepts_, theirs.intercepts_, strict=True):
        assert_close(ours, others)


def assert_same_predictions(mine, theirs, X):
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(mine.classes_, theirs.classes_)
        np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))
        assert_close(mine.predict_proba(X), theirs.predict_proba(X))
    else:
        assert_close(mine.predict(X), theirs.predict(X))


def assert_same_model(mine, theirs, X, loss_factor=1):
    """All that a fit publishes; fastmlp's loss may be a multiple of the other's."""
    assert_same_parameters(mine, theirs)
    assert_same_predictions(mine, theirs, X)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert_close(mine.loss_curve_, np.multiply(loss_factor, theirs.loss_curve_))
    assert_close(mine.loss_, loss_factor * theirs.loss_)
    assert_close(mine.validation_scores_, theirs.validation_scores_)
    assert_close(mine.best_validation_score_, theirs.best_validation_score_)
    if theirs.best_loss_ is None:
        assert mine.best_loss_ is None
    else:
        assert_close(mine.best_loss_, loss_factor * theirs.best_loss_)


# -- solver × schedule × data × early stopping


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("params", SGD_CASES)
@pytest.mark.parametrize("name", ["digits", "iris", "breast_cancer", "diabetes"])
def test_sgd(name, params, early_stopping):
    X, y, estimator = load(name)
    X, y = X[:400], y[:400]
    params = {**SHORT, **params, "early_stopping": early_stopping}
    mine, theirs = fit_both(estimator, X, y, **params)
    assert_same_model(mine, theirs, X)
    rate = theirs._optimizer.learning_rate
    assert mine._optimizer.learning_rate == pytest.approx(rate, rel=1e-14)
    # The case is worth its name only if the schedule did move the rate.
    constant = params["learning_rate"] == "constant"
    assert (rate == params["learning_rate_init"]) == constant


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("name", ["digits", "iris", "breast_cancer", "diabetes"])
def test_adam(name, early_stopping):
    X, y, estimator = load(name)
    params = {**SHORT, **ADAM, "early_stopping": early_stopping}
    mine, theirs = fit_both(estimator, X[:400], y[:400], **params)
    assert_same_model(mine, theirs, X)


@pytest.mark.parametrize("params", [ADAM, NESTEROV], ids=["adam", "nesterov"])
def test_all_digits_with_one_hidden_layer_of_100(params):
    X, y, estimator = load("digits")
    mine, theirs = fit_both(estimator, X, y, **params, max_iter=30, random_state=0)
    assert_same_model(mine, theirs, X)
    assert mine.score(X, y) > 0.95


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_defaults_over_200_epochs(name):
    X, y, estimator = load(name)
    mine, theirs = fit_both(estimator, X, y, random_state=0)
    assert_same_model(mine, theirs, X)


# -- parameters one at a time


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["adam", "nesterov"])
@pytest.mark.parametrize("name", ["iris", "breast_cancer", "diabetes"])
def test_activations(name, solver, activation):
    X, y, estimator = load(name)
    params = {**SHORT, **SOLVERS[solver], "activation": activation}
    assert_same_model(*fit_both(estimator, X, y, **params), X)


@pytest.mark.parametrize("hidden", [(), (7,), (20, 10), (1, 1), 5, [9, 3, 4]])
@pytest.mark.parametrize("name", ["iris", "breast_cancer", "diabetes"])
def test_hidden_layer_sizes(name, hidden):
    X, y, estimator = load(name)
    params = {**SHORT, **ADAM, "hidden_layer_sizes": hidden}
    mine, theirs = fit_both(estimator, X, y, **params)
    assert_same_model(mine, theirs, X)
    assert mine.n_layers_ == np.size(hidden) + 2


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch_size", ["auto", 1, 7, 64, 150])
def test_batch_sizes(batch_size, solver):
    X, y, estimator = load("iris")
    rows = slice(None, None, 5 if batch_size == 1 else 1)
    X, y = X[rows], y[rows]
    params = {**SHORT, **SOLVERS[solver], "batch_size": batch_size}
    assert_same_model(*fit_both(estimator, X, y, **params), X)


def test_batch_size_above_n_samples_is_clipped_with_a_warning():
    X, y, estimator = load("iris")
    with pytest.warns(UserWarning, match="going to be clipped") as caught:
        pair = fit_both(estimator, X, y, **{**SHORT, "batch_size": 151})
    assert len(caught) == 2
    assert_same_model(*pair, X)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_without_shuffle(solver, early_stopping):
    X, y, estimator = load("breast_cancer")
    params = {**SHORT, **SOLVERS[solver], "early_stopping": early_stopping}
    assert_same_model(*fit_both(estimator, X, y, shuffle=False, **params), X)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_alpha(solver, alpha):
    X, y, estimator = load("diabetes")
    params = {**SHORT, **SOLVERS[solver], "alpha": alpha}
    assert_same_model(*fit_both(estimator, X, y, **params), X)


@pytest.mark.parametrize(
    "params",
    [
        {"beta_1": 0.5, "beta_2": 0.9},
        {"beta_1": 0.0, "beta_2": 0.0},
        {"epsilon": 1e-2},
        {"solver": "sgd", "momentum": 0.5},
        {"solver": "sgd", "momentum": 0.99, "nesterovs_momentum": False},
        {"validation_fraction": 0.3, "early_stopping": True},
    ],
    ids=str,
)
def test_numbers_of_the_optimizers_and_the_split(params):
    X, y, estimator = load("breast_cancer")
    params = {**SHORT, "learning_rate_init": 0.01, **params}
    assert_same_model(*fit_both(estimator, X, y, **params), X)


def test_the_seed_may_be_a_random_state():
    X, y, estimator = load("iris")
    pair = []
    for module in (fastmlp, sklearn.neural_network):
        random_state = np.random.RandomState(5)
        params = {**SHORT, **ADAM, "random_state": random_state}
        model = getattr(module, estimator)(**params, early_stopping=True)
        pair.append(model.fit(X, y))
        pair[-1].next_draw = random_state.uniform()
    assert_same_model(*pair, X)
    assert pair[0].next_draw == pair[1].next_draw


# -- targets and weights


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "nesterov"])
@pytest.mark.parametrize("name", ["iris", "breast_cancer", "diabetes"])
def test_sample_weight(name, solver, early_stopping):
    X, y, estimator = load(name)
    weights = np.random.RandomState(0).gamma(0.5, size=len(X))
    weights[::9] = 0
    params = {**SHORT, **SOLVERS[solver], "early_stopping": early_stopping}
    mine, theirs = fit_both(estimator, X, y, weights, **params)
    assert_same_model(mine, theirs, X)
    unweighted, _ = fit_both(estimator, X, y, **params)
    assert np.abs(unweighted.coefs_[0] - mine.coefs_[0]).max() > 1e-3


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_multilabel(solver, early_stopping):
    X, y = datasets.make_multilabel_classification(200, random_state=0)
    X = scale(X)
    params = {**SHORT, **SOLVERS[solver], "early_stopping": early_stopping}
    mine, theirs = fit_both("MLPClassifier", X, y, **params)
    assert_same_model(mine, theirs, X)
    assert mine.predict(X).shape == y.shape


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "bb", "c"], [-3, 8], [2.0, 7]])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels_of_any_kind(labels, early_stopping):
    X, y, estimator = load("iris")
    y = np.array(labels)[y % len(labels)]
    params = {**SHORT, **ADAM, "early_stopping": early_stopping}
    mine, theirs = fit_both(estimator, X, y, **params)
    assert_same_model(mine, theirs, X)
    assert mine.predict(X).dtype == theirs.predict(X).dtype


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_poisson(solver, early_stopping):
    X, y = load("diabetes")[0], datasets.load_diabetes().target / 50
    params = {**SHORT, **SOLVERS[solver], "early_stopping": early_stopping}
    params["learning_rate_init"] /= 5
    mine, theirs = fit_both("MLPRegressor", X, y, loss="poisson", **params)
    if early_stopping:
        # Theirs is judged by R², ours by what is trained unless it is told.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mine.set_params(scoring="r2").fit(X, y)
    assert_same_model(mine, theirs, X)
    assert mine.out_activation_ == "exp"
    assert mine.score(X, y) > 0.2


def test_poisson_of_counts_with_zeros_and_several_outputs():
    X = load("diabetes")[0]
    y = np.random.RandomState(0).poisson(np.exp(0.3 * X[:, :3]))
    assert (y == 0).any()
    params = {**SHORT, "learning_rate_init": 0.001}
    assert_same_model(*fit_both("MLPRegressor", X, y, loss="poisson", **params), X)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_multi_output_regression(solver, weighted, early_stopping):
    """The same model; the loss is the sum over outputs, scikit-learn's their mean.

    scikit-learn's gradient is that of the sum (its issue 8349): fastmlp reports what
    it minimises. Without penalty and tol the factor is the number of outputs.
    """
    X, y, _ = load("diabetes")
    Y = np.column_stack([y, y**2, X[:, 0] - y])
    weights = np.linspace(0.1, 2, len(X)) if weighted else None
    stop = {"alpha": 0.0, "tol": 0.0, "n_iter_no_change": np.inf, "max_iter": 20}
    params = {**SHORT, **SOLVERS[solver], **stop, "early_stopping": early_stopping}
    mine, theirs = fit_both("MLPRegressor", X, Y, weights, **params)
    assert_same_model(mine, theirs, X, loss_factor=3)


# -- where less than 1e-8 can be asked


def naive_log_loss(z, y):
    """The formula in scikit-learn: the logarithm of a rounded, clipped p."""
    eps = np.finfo(float).eps
    p = np.clip(expit(z), eps, 1 - eps)
    return -np.where(y, np.log(p), np.log(1 - p))


def exact_log_loss(z, y):
    """The same from z, with the same bound."""
    return np.minimum(-log_expit(np.where(y, z, -z)), -np.log(np.finfo(float).eps))


def test_naive_log_loss_cancels_where_outputs_saturate():
    """ln(1 − p) from a rounded p: why losses on raw data agree to 1e-3 only.

    1 − p inherits p's rounding error of up to 2⁻⁵⁴, near p = 1 a large part of it: a
    row's loss is off by up to a few per cent. log_expit is not; it is itself checked
    against extended precision.
    """
    z = np.linspace(30, 36, 601)
    exact = exact_log_loss(z, y=0)
    wide = np.log1p(np.exp(z.astype(np.longdouble))).astype(float)
    np.testing.assert_allclose(exact, wide, rtol=1e-15)
    assert 1e-3 < np.max(np.abs(naive_log_loss(z, y=0) / exact - 1)) < 0.05

    delta, losses = np.empty((2, len(z), 1))
    codes = _kernels.LOSSES["log_loss"], _kernels.ACTIVATIONS["logistic"]
    zeros, ones = np.zeros((len(z), 1)), np.ones(len(z))
    _kernels.evaluate_head(
        delta, losses, z.reshape(-1, 1), zeros, ones, np.zeros(1), *codes
    )
    np.testing.assert_allclose(losses[:, 0], exact, rtol=1e-15)


def test_first_loss_on_raw_data_is_exact_where_the_naive_one_is_not():
    X, y = datasets.load_breast_cancer(return_X_y=True)
    head = {"loss": "log_loss", "output_activation": "logistic"}
    network = fastmlp.Network([30, 100, 1], **head, random_state=4)
    hidden = np.maximum(X @ network.weights[0] + network.biases[0], 0)
    z = (hidden @ network.weights[1] + network.biases[1]).ravel()
    params = {"batch_size": len(X), "max_iter": 1, "alpha": 0, "random_state": 4}
    mine, theirs = fit_both("MLPClassifier", X, y, **params)
    exact, naive = exact_log_loss(z, y).mean(), naive_log_loss(z, y).mean()
    assert mine.loss_ == pytest.approx(exact, rel=1e-12)
    assert theirs.loss_ == pytest.approx(naive, rel=1e-12)
    assert abs(naive / exact - 1) > 1e-6


@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_raw_breast_cancer(solver):
    """Unscaled columns saturate the output: the model agrees, the losses as above."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    params = {**SOLVERS[solver], "learning_rate_init": 1e-4, "random_state": 0}
    mine, theirs = fit_both("MLPClassifier", X, y, **params)
    assert_same_parameters(mine, theirs)
    assert_same_predictions(mine, theirs, X)
    assert mine.n_iter_ == theirs.n_iter_
    assert_close(mine.loss_curve_, theirs.loss_curve_, rtol=1e-3)


@pytest.mark.parametrize("hidden", [(), (10,)], ids=str)
@pytest.mark.parametrize("name", ["digits", "iris", "breast_cancer", "diabetes"])
def test_lbfgs(name, hidden):
    """The minimum's value and predictions: its path magnifies every rounding."""
    X, y, estimator = load(name)
    X, y = X[:300], y[:300]
    params = {"solver": "lbfgs", "alpha": 5.0, "activation": "tanh", "max_iter": 500}
    params = {**params, "hidden_layer_sizes": hidden, "random_state": 1}
    mine, theirs = fit_both(estimator, X, y, **params)
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=0.01)
    ours, others = mine.predict(X), theirs.predict(X)
    if estimator == "MLPRegressor":
        assert np.abs(ours - others).max() < 0.01 * np.abs(others).max()
    else:
        np.testing.assert_array_equal(ours, others)
