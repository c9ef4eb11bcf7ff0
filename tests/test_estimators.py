"""What the estimators promise besides scikit-learn's numbers."""

import copy
import functools
import inspect
import pickle
import tracemalloc
from functools import partial

import joblib
import numpy as np
import pytest
import sklearn.neural_network
from fits import iris, unconverged
from scipy.optimize import minimize_scalar
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    r2_score,
)
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import type_of_target, unique_labels

import fastmlp
from fastmlp import _kernels, scores
from fastmlp.estimators._labels import find_classes, find_kind
from fastmlp.optimizers import Optimizer
from fastmlp.random_streams import copy_stream
from fastmlp.stopping import Overfitting

pytestmark = pytest.mark.usefixtures("one_blas_thread")

ESTIMATORS = ["MLPClassifier", "MLPRegressor"]
FIRST_ORDER = ["sgd", "adam", "adagrad", "rmsprop"]
# Runs all its epochs whatever the loss does.
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf}
SMALL = {"hidden_layer_sizes": (8, 5), "batch_size": 16, "random_state": 0}


@functools.cache
def digits():
    X, y = datasets.load_digits(return_X_y=True)
    return train_test_split(X / 16, y, random_state=0)


def fitted(name="MLPClassifier", epochs=4, **params):
    """An estimator fitted to iris."""
    model = getattr(fastmlp, name)(**{**SMALL, "max_iter": epochs, **params})
    with unconverged():
        return model.fit(*iris())


def outputs(model, X):
    """Probabilities, or the regressor's predictions."""
    return getattr(model, "predict_proba", model.predict)(X)


def parameters(model):
    """All parameters, as a vector of its own."""
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


# -- parameters


@pytest.mark.parametrize("name", ESTIMATORS)
def test_signature_begins_with_scikit_learns(name):
    mine = inspect.signature(getattr(fastmlp, name)).parameters
    theirs = inspect.signature(getattr(sklearn.neural_network, name)).parameters
    assert list(mine)[: len(theirs)] == list(theirs)
    for key, parameter in theirs.items():
        assert mine[key].default == parameter.default, key
        assert type(mine[key].default) is type(parameter.default), key
        assert mine[key].kind == parameter.kind, key
    for parameter in list(mine.values())[len(theirs) :]:
        assert parameter.kind == inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "score"])
def test_methods_take_scikit_learns_arguments(name, method):
    def arguments(module):
        signature = inspect.signature(getattr(getattr(module, name), method))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    mine, theirs = arguments(fastmlp), arguments(sklearn.neural_network)
    if method == "fit":  # Blocks bring y along
        theirs[2] = ("y", theirs[2][1], None)
    assert mine[: len(theirs)] == theirs
    assert all(
        argument[1] == inspect.Parameter.KEYWORD_ONLY
        for argument in mine[len(theirs) :]
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_get_set_params_and_clone(name):
    other = {
        "hidden_layer_sizes": (3, 2),
        "activation": "tanh",
        "solver": "rmsprop",
        "alpha": 0.5,
        "n_iter_no_change": 4,
        "rho": 0.7,
    }
    cls = getattr(fastmlp, name)
    model = cls(**other)
    defaults = cls().get_params()
    assert model.get_params() == {**defaults, **other}
    assert cls().set_params(**other).get_params() == model.get_params()
    with unconverged():
        model.fit(*iris())
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "coefs_")
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        model.set_params(nonsense=1)


@pytest.mark.parametrize("solver", ["adagrad", "rmsprop"])
def test_solvers_beyond_scikit_learns_learn_digits(solver):
    X, X_test, y, y_test = digits()
    rate = {"adagrad": 0.05, "rmsprop": 0.001}[solver]
    params = {"solver": solver, "learning_rate_init": rate, "max_iter": 15}
    model = fastmlp.MLPClassifier(**params, random_state=0)
    with unconverged():
        model.fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    assert model._state.optimizer.name == solver


def test_rho_is_rmsprops_decay():
    model = fitted(solver="rmsprop", rho=0.6)
    assert model._state.optimizer.numbers["rho"] == 0.6
    assert np.any(parameters(model) != parameters(fitted(solver="rmsprop")))


# -- going on


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("solver", FIRST_ORDER)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_calls_to_partial_fit_are_epochs_of_fit(name, solver, shuffle):
    X, y = iris()
    params = {"solver": solver, "shuffle": shuffle, **UNSTOPPED}
    whole = fitted(name, epochs=6, **params)
    model = getattr(fastmlp, name)(**SMALL, **params)
    first = {"classes": [0, 1, 2]} if name == "MLPClassifier" else {}
    for call in range(6):
        model.partial_fit(X, y, **(first if call == 0 else {}))
    np.testing.assert_allclose(parameters(model), parameters(whole), rtol=1e-10)
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-10)
    assert (model.n_iter_, model.t_) == (1, whole.t_)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_partial_fit_with_a_random_state_is_scikit_learns(name, solver):
    X, y = iris()
    pair = []
    for module in (fastmlp, sklearn.neural_network):
        random_state = np.random.RandomState(0)
        params = {**SMALL, "solver": solver, "random_state": random_state}
        model = getattr(module, name)(**params)
        first = {"classes": [0, 1, 2]} if name == "MLPClassifier" else {}
        model.partial_fit(X[:90], y[:90], **first)
        model.partial_fit(X[60:], y[60:]).partial_fit(X, y, np.arange(150.0))
        pair.append(model)
    mine, theirs = pair
    np.testing.assert_allclose(parameters(mine), parameters(theirs), rtol=1e-8)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-8)
    assert (mine.n_iter_, mine.t_) == (theirs.n_iter_, theirs.t_)


def test_alpha_set_between_calls_is_followed():
    X, y = iris()
    pair = []
    for module in (fastmlp, sklearn.neural_network):
        model = module.MLPRegressor(**SMALL, shuffle=False)
        model.partial_fit(X, y).set_params(alpha=50.0).partial_fit(X, y)
        pair.append(parameters(model))
    np.testing.assert_allclose(*pair, rtol=1e-8)


def test_partial_fit_keeps_the_networks_type():
    X, y = iris()
    narrow = X.astype(np.float32)
    model, twin = fitted(), fitted()
    model.partial_fit(narrow, y)
    twin.partial_fit(narrow.astype(float), y)
    assert model.coefs_[0].dtype == np.float64
    np.testing.assert_array_equal(parameters(model), parameters(twin))


def test_partial_fit_on_as_many_rows_as_early_stopping_left():
    """The order of the rows that fit trained on names other rows than these."""
    X, y = iris()
    after = []
    for random_state in (0, np.random.RandomState(0)):
        params = {"random_state": random_state, "shuffle": False}
        model = fitted(early_stopping=True, **params)
        model.set_params(early_stopping=False).partial_fit(X[:135], y[:135])
        after.append(parameters(model))
    np.testing.assert_array_equal(*after)


def test_partial_fit_of_labels_that_can_be_had_together():
    X, Y = datasets.make_multilabel_classification(60, random_state=0)
    model = fastmlp.MLPClassifier(**SMALL)
    model.partial_fit(X, Y, classes=np.arange(5)).partial_fit(X, Y)
    assert model.predict(X).shape == Y.shape


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_warm_start_goes_on_where_fit_ended(solver, learning_rate, shuffle):
    params = {"solver": solver, "learning_rate": learning_rate, "shuffle": shuffle}
    params = {**params, **UNSTOPPED}
    whole = fitted(epochs=10, **params)
    model = fitted(epochs=5, warm_start=True, **params)
    with unconverged():
        model.fit(*iris())
    np.testing.assert_allclose(parameters(model), parameters(whole), rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert (model.n_iter_, model.t_, len(model.loss_curve_)) == (5, whole.t_, 10)
    assert model.best_loss_ == min(model.loss_curve_)


def test_warm_start_of_lbfgs_goes_on():
    X, y = iris()
    model = fitted(solver="lbfgs", warm_start=True, epochs=3)
    before = model.loss_
    with unconverged():
        model.fit(X, y)
    assert model.loss_ < before


def test_fit_without_warm_start_begins_anew():
    model = fitted()
    first = parameters(model)
    with unconverged():
        model.fit(*iris())
    np.testing.assert_array_equal(parameters(model), first)
    assert len(model.loss_curve_) == model.n_iter_ == 4


def test_best_loss_is_a_loss_after_early_stopping_was_switched_off():
    model = fitted(early_stopping=True, warm_start=True)
    with unconverged():
        model.set_params(early_stopping=False).fit(*iris())
    assert model.best_loss_ in model.loss_curve_


# -- copies and files


def pickled(model, tmp_path):
    return pickle.loads(pickle.dumps(model))


def deep_copied(model, tmp_path):
    return copy.deepcopy(model)


def joblibbed(model, tmp_path):
    joblib.dump(model, tmp_path / "model")
    return joblib.load(tmp_path / "model")


ROUND_TRIPS = [pickled, deep_copied, joblibbed]


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_copies_predict_alike_and_hold_views(name, round_trip, tmp_path):
    X, _ = iris()
    model = fitted(name)
    twin = round_trip(model, tmp_path)
    np.testing.assert_array_equal(outputs(twin, X), outputs(model, X))
    params = twin._state.network.params
    for array in [*twin.coefs_, *twin.intercepts_]:
        assert np.shares_memory(array, params)
    assert not np.shares_memory(params, model._state.network.params)
    twin.coefs_[0][:] = 0
    assert np.any(outputs(twin, X) != outputs(model, X))


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_copies_go_on_alike(solver, round_trip, tmp_path):
    X, y = iris()
    model = fitted(solver=solver)
    twin = round_trip(model, tmp_path)
    before = parameters(model)
    twin.partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(parameters(model), before)
    model.partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(parameters(twin), parameters(model))
    assert twin.loss_curve_ == model.loss_curve_


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_copies_of_the_unfitted(round_trip, tmp_path):
    model = fastmlp.MLPRegressor(alpha=2.0)
    assert round_trip(model, tmp_path).get_params() == model.get_params()


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_copies_keep_replaced_weights(round_trip, tmp_path):
    X, _ = iris()
    model = fitted()
    model.coefs_[1] = 2 * model.coefs_[1]
    twin = round_trip(model, tmp_path)
    np.testing.assert_array_equal(outputs(twin, X), outputs(model, X))


def softmax_forward(model, X):
    """Two hidden layers of relu, from the published arrays alone."""
    a = X
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        a = np.maximum(a @ W + b, 0)
    e = np.exp(a @ model.coefs_[-1] + model.intercepts_[-1])
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("which", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_replaced_weights_are_what_predict_uses(which, layer):
    X, y = iris()
    model = fitted()
    before = outputs(model, X)
    np.testing.assert_allclose(before, softmax_forward(model, X), rtol=1e-12)
    arrays = getattr(model, which)
    arrays[layer] = arrays[layer] + np.linspace(-1, 1, arrays[layer].shape[-1])
    after = outputs(model, X)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, softmax_forward(model, X), rtol=1e-12)
    replaced = parameters(model)
    model.set_params(learning_rate_init=1e-3).partial_fit(X, y)
    assert 0 < np.abs(parameters(model) - replaced).max() < 0.1


# -- what X may be


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_float32_stays_float32(name, solver):
    X, y = iris()
    narrow = X.astype(np.float32)
    model = getattr(fastmlp, name)(**SMALL, max_iter=5, solver=solver)
    with unconverged():
        model.fit(narrow, y)
    arrays = [*model.coefs_, *model.intercepts_, outputs(model, narrow)]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    wide = fitted(name, epochs=5, solver=solver)
    assert outputs(wide, X).dtype == np.float64
    np.testing.assert_allclose(outputs(model, narrow), outputs(wide, X), atol=1e-4)


def as_list(X, tmp_path):
    return X.tolist()


def fortran_ordered(X, tmp_path):
    return np.asfortranarray(X)


def strided(X, tmp_path):
    wide = np.full((2 * len(X), 3 * X.shape[1]), np.nan)
    wide[::2, 1::3] = X
    return wide[::2, 1::3]


def reversed_view(X, tmp_path):
    return X[::-1].copy()[::-1]


def memory_mapped(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def read_only(X, tmp_path):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X, tmp_path):
    raw = np.empty(X.nbytes + 1, np.uint8)
    shifted = raw[1:].view(X.dtype).reshape(X.shape)
    shifted[...] = X
    return shifted


FORMS = [
    as_list,
    fortran_ordered,
    strided,
    reversed_view,
    memory_mapped,
    read_only,
    unaligned,
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_form_of_X_gives_the_same_bits(solver, form, tmp_path):
    X, y = iris()
    expected = fitted(solver=solver)
    model = fastmlp.MLPClassifier(**SMALL, max_iter=4, solver=solver)
    given = form(X, tmp_path)
    with unconverged():
        model.fit(given, y, np.ones(len(y)).tolist() if form is as_list else None)
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    np.testing.assert_array_equal(outputs(model, given), outputs(expected, X))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_targets_and_weights_may_lie_anywhere(solver, tmp_path):
    X, y = iris()
    y, weights = np.sqrt(y + 1.0), np.linspace(0.5, 2, len(y))
    models = [fastmlp.MLPRegressor(**SMALL, max_iter=4, solver=solver) for _ in "ab"]
    with unconverged():
        models[0].fit(X, y, weights)
        models[1].fit(X, unaligned(y, tmp_path), unaligned(weights, tmp_path))
    np.testing.assert_array_equal(*map(parameters, models))
    network = fastmlp.Network([X.shape[1], 3, 1], random_state=0)
    expected = network.loss(X, y, weights)
    given = [unaligned(a, tmp_path) for a in (X, y, weights)]
    assert network.loss(*given) == expected


def spy_on(monkeypatch, name, position):
    """The array at that position of every call to that kernel."""
    seen = []
    kernel = getattr(_kernels, name)

    def spy(*arguments):
        seen.append(arguments[position])
        return kernel(*arguments)

    monkeypatch.setattr(_kernels, name, spy)
    return seen


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", [read_only, memory_mapped])
@pytest.mark.parametrize(
    ("kernel", "position", "params"),
    [
        ("train", 6, {}),
        ("train", 6, {"early_stopping": True}),
        ("compute_loss_and_gradient", 2, {"solver": "lbfgs"}),
        ("predict", 2, {}),
    ],
)
def test_X_reaches_the_kernels_uncopied(
    kernel, position, params, form, dtype, monkeypatch, tmp_path
):
    X, y = iris()
    X = form(X.astype(dtype), tmp_path)
    model = fastmlp.MLPClassifier(**SMALL, max_iter=2, **params)
    seen = spy_on(monkeypatch, kernel, position)
    with unconverged():
        model.fit(X, y)
    if kernel == "predict":
        model.predict_proba(X)
    assert seen
    for array in seen:
        assert np.shares_memory(array, X)
        assert array.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_and_predict_allocate_far_less_than_X(dtype):
    X = np.random.RandomState(0).uniform(size=(20_000, 200)).astype(dtype)
    y = X[:, 0]
    model = fastmlp.MLPRegressor(**SMALL, max_iter=1)
    tracemalloc.start()
    try:
        with unconverged():
            model.fit(X, y)
        model.predict(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_y_and_weights_may_be_read_only_and_of_any_kind():
    X, y = iris()
    weights = np.linspace(0.5, 1, len(y))
    expected = fastmlp.MLPRegressor(**SMALL, max_iter=3)
    model = clone(expected)
    strided_y, strided_weights = np.repeat(y, 2)[::2], np.repeat(weights, 2)[::2]
    strided_y.flags.writeable = strided_weights.flags.writeable = False
    with unconverged():
        expected.fit(X, y.astype(float), weights)
        model.fit(X, strided_y, strided_weights)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


# -- why training ended, and what it says meanwhile


def test_stops_at_max_iter_with_a_warning_at_the_callers_line():
    X, y = iris()
    model = fastmlp.MLPClassifier(**SMALL, max_iter=2)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)") as caught:
        model.fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("max_iter", 2)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", [*FIRST_ORDER, "lbfgs"])
def test_stops_by_tol(solver, early_stopping):
    X, y = iris()
    params = {"solver": solver, "early_stopping": early_stopping}
    model = fastmlp.MLPClassifier((), **params, alpha=1.0, tol=0.05, max_iter=999)
    model.fit(X, y)
    reason = "early_stopping" if early_stopping else "tol"
    assert model.stop_reason_ == ("gtol" if solver == "lbfgs" else reason)
    assert model.n_iter_ < 999


def test_the_best_weights_come_back_after_early_stopping():
    X, X_test, y, y_test = digits()
    params = {"early_stopping": True, "learning_rate_init": 0.05, "max_iter": 12}
    model = fastmlp.MLPClassifier(**params, random_state=2)
    with unconverged():
        model.fit(X, y)
    best = int(np.argmax(model.validation_scores_))
    assert best < 11, "pick a case in which the last epoch is not the best"
    shorter = clone(model).set_params(max_iter=best + 1)
    with unconverged():
        shorter.fit(X, y)
    np.testing.assert_array_equal(parameters(model), parameters(shorter))
    assert model.best_validation_score_ == model.validation_scores_[best]


def test_lbfgs_stops_at_max_iter():
    X, y = iris()
    model = fastmlp.MLPClassifier(**SMALL, solver="lbfgs", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2"):
        model.fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("max_iter", 2)


def interrupt_after(monkeypatch, epochs):
    """Ctrl-C when the next epoch after so many begins."""
    kernel = _kernels.train
    rows_left = epochs * len(iris()[0])

    def train(*arguments):
        nonlocal rows_left
        if rows_left <= 0:
            raise KeyboardInterrupt
        rows_left -= len(arguments[9])
        return kernel(*arguments)

    monkeypatch.setattr(_kernels, "train", train)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_ctrl_c_keeps_what_has_been_learnt(name, epochs, monkeypatch):
    X, y = iris()
    expected = fitted(name, epochs=epochs)
    model = getattr(fastmlp, name)(**SMALL)
    interrupt_after(monkeypatch, epochs)
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        assert model.fit(X, y) is model
    assert (model.stop_reason_, model.n_iter_) == ("interrupted", epochs)
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    assert model.loss_curve_ == expected.loss_curve_


def test_ctrl_c_in_early_stopping_gives_the_best_weights(monkeypatch):
    X, y = iris()
    params = {**SMALL, "early_stopping": True, "learning_rate_init": 0.01}
    model = fastmlp.MLPClassifier(**params)
    interrupt_after(monkeypatch, 4)
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        model.fit(X, y)
    best = int(np.argmax(model.validation_scores_)) + 1
    monkeypatch.undo()
    with unconverged():
        expected = fastmlp.MLPClassifier(**params, max_iter=best).fit(X, y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


VERBOSE = {
    "constant": {"max_iter": 3},
    "stopped": {"max_iter": 50, "tol": 0.5, "n_iter_no_change": 2},
    "early_stopping": {"early_stopping": True, "max_iter": 50, "n_iter_no_change": 2},
    "adaptive": {"learning_rate": "adaptive", "tol": 9, "n_iter_no_change": 1},
}


@pytest.mark.parametrize("case", VERBOSE)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_verbose_prints_scikit_learns_lines(name, case, capsys):
    params = {**SMALL, "solver": "sgd", **VERBOSE[case], "verbose": True}
    printed = []
    for module in (fastmlp, sklearn.neural_network):
        model = getattr(module, name)(**params)
        with unconverged():
            model.fit(*iris())
        printed.append(capsys.readouterr().out)
    assert printed[0].startswith("Iteration 1, loss = ")
    assert printed[0] == printed[1]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_silent_by_default(solver, capsys):
    fitted(solver=solver)
    assert capsys.readouterr().out == ""


def test_lbfgs_prints_a_line_an_iteration(capsys):
    model = fitted(solver="lbfgs", verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    assert lines[-1] == f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}"


# -- scores


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_accuracy_of_labels_is_scikit_learns(n_outputs, weighted):
    rng = np.random.RandomState(0)
    proba = rng.uniform(size=(50, n_outputs))
    proba[0] = 0.5
    Y = (proba + rng.normal(scale=0.2, size=proba.shape) > 0.5).astype(float)
    weights = rng.gamma(1, size=50) if weighted else None
    expected = accuracy_score(Y, proba > 0.5, sample_weight=weights)
    assert scores.accuracy(proba, Y, weights, exclusive=False) == pytest.approx(
        expected, rel=1e-14
    )
    assert 0.1 < expected < 1


@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_of_classes_is_scikit_learns(weighted):
    rng = np.random.RandomState(0)
    proba = rng.uniform(size=(60, 3))
    y = np.where(rng.uniform(size=60) < 0.6, proba.argmax(axis=1), 0)
    weights = rng.gamma(1, size=60) if weighted else None
    expected = accuracy_score(y, proba.argmax(axis=1), sample_weight=weights)
    for Y in (y.reshape(-1, 1).astype(float), np.eye(3)[y]):
        score = scores.accuracy(proba, Y, weights, exclusive=True)
        assert score == pytest.approx(expected, rel=1e-14)
    assert 0.1 < expected < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_r2_is_scikit_learns(n_outputs, weighted, dtype):
    rng = np.random.RandomState(0)
    Y = rng.normal(size=(40, n_outputs)).astype(dtype)
    predicted = (Y + rng.normal(scale=0.4, size=Y.shape)).astype(dtype)
    weights = rng.gamma(1, size=40).astype(dtype) if weighted else None
    wide = [a.astype(float) for a in (Y, predicted)]
    expected = r2_score(*wide, sample_weight=weights)
    rtol = 1e-12 if dtype == np.float64 else 1e-6
    assert scores.r2(predicted, Y, weights) == pytest.approx(expected, rel=rtol)


@pytest.mark.parametrize("off_by", [0.0, 1.0])
def test_r2_of_constant_targets_is_scikit_learns(off_by):
    rng = np.random.RandomState(0)
    Y = np.column_stack([np.full(30, 2.0), rng.normal(size=30), np.zeros(30)])
    predicted = Y + [[off_by, 0.1, 0.0]]
    expected = r2_score(Y, predicted)
    assert scores.r2(predicted, Y, None) == pytest.approx(expected, rel=1e-12)


# A loss with its number, and scikit-learn's D² of it.
D2 = {
    "absolute_error": (0.0, d2_absolute_error_score),
    "poisson": (0.0, partial(d2_tweedie_score, power=1)),
    "gamma": (0.0, partial(d2_tweedie_score, power=2)),
    "tweedie": (1.3, partial(d2_tweedie_score, power=1.3)),
    "quantile": (0.85, partial(d2_pinball_score, alpha=0.85)),
    # Nearly the absolute error, and exactly half the squared error.
    "huber of little": (1e-9, d2_absolute_error_score),
    "huber of much": (1e9, r2_score),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weights", ["none", "some zero", "gamma"])
@pytest.mark.parametrize("case", D2)
def test_d2_is_scikit_learns(case, weights, dtype):
    number, metric = D2[case]
    rng = np.random.RandomState(3)
    Y = (rng.poisson(3, size=(41, 2)) + (case == "gamma")).astype(dtype)
    predicted = (Y + rng.gamma(0.5, size=Y.shape) + 0.01).astype(dtype)
    w = {"none": np.ones(41), "some zero": np.arange(41) % 3, "gamma": rng.gamma(1, 41)}
    w = np.broadcast_to(w[weights], 41).astype(dtype)
    d2 = scores.D2(case.split()[0], number, Y, None if weights == "none" else w)
    wide = [a.astype(float).T for a in (Y, predicted)]
    expected = [metric(y, p, sample_weight=w) for y, p in zip(*wide, strict=True)]
    assert d2(predicted) == pytest.approx(np.mean(expected), rel=1e-6)
    assert d2(Y) == 1.0


LOCATIONS = [("huber", 0.1), ("huber", 0.7), ("huber", 2.0), ("log_cosh", 0.0)]


@pytest.mark.parametrize(("loss", "number"), LOCATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_no_constant_has_a_d2_above_zero(seed, loss, number):
    rng = np.random.RandomState(seed)
    y, w = rng.standard_t(2, size=(60, 1)), rng.gamma(1, size=60)
    d2 = scores.D2(loss, number, y, w)
    ends = {"bounds": (y.min(), y.max()), "options": {"xatol": 1e-10}}
    best = minimize_scalar(lambda c: -d2(np.full_like(y, c)), **ends)
    assert best.fun == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", sorted(scores._LOSSES))
@pytest.mark.parametrize("off_by", [0.0, 1.0])
def test_d2_of_constant_targets(loss, off_by):
    number = 1.7 if loss == "tweedie" else 0.5
    for value in (0.0, 7.0, 0.1):
        if value == 0 and loss == "gamma":
            continue
        y = np.full((5, 1), value)
        d2 = scores.D2(loss, number, y, np.array([0.1, 0.2, 0.3, 0.4, 0.7]))
        assert d2(y + off_by) == (off_by == 0)


def test_d2_of_log_cosh():
    """Near to half the squared error, and far from it the absolute error less ln 2."""
    y, p = np.array([[0.0], [0.0], [3.0]]), np.array([[1e-4], [40.0], [3.5]])
    constant = np.log(np.cosh(y - 0.5)).sum()
    ends = {"bounds": (0, 3), "options": {"xatol": 1e-12}}
    least = minimize_scalar(lambda c: np.log(np.cosh(y - c)).sum(), **ends).fun
    assert least <= constant
    errors = 1e-8 / 2 + (40 - np.log(2)) + np.log(np.cosh(0.5))
    d2 = scores.D2("log_cosh", 0.0, y, None)
    assert d2(p) == pytest.approx(1 - errors / least, rel=1e-9)
    assert d2(y + 1e-9) == pytest.approx(1 - 1.5e-18 / least, rel=1e-12)


def test_d2_has_a_power_for_each_output():
    rng = np.random.RandomState(0)
    Y = rng.poisson(2, size=(30, 2)).astype(float)
    p = Y + rng.gamma(1, size=Y.shape)
    expected = [d2_tweedie_score(Y[:, k], p[:, k], power=1.2 + k / 2) for k in (0, 1)]
    d2 = scores.D2("tweedie", [1.2, 1.7], Y, None)
    assert d2(p) == pytest.approx(np.mean(expected), rel=1e-9)


def test_slope_of_leaky_relu():
    X, y = iris()
    shared = {"activation": "leaky_relu", "hidden_layer_sizes": (5,), "alpha": 0.0}
    model = fitted("MLPRegressor", negative_slope=0.4, **shared)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    assert (z < 0).any()
    a = np.where(z < 0, 0.4 * z, z)
    expected = (a @ model.coefs_[1] + model.intercepts_[1])[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="negative_slope"):
        model.set_params(negative_slope=-0.1).fit(X, y)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_d2_of_a_prediction_of_zero(loss):
    y = np.array([[1.0], [2.0]])
    d2 = scores.D2(loss, 1.5, y, None)
    assert d2(np.array([[0.0], [2.0]])) == -np.inf


@pytest.mark.parametrize("loss", ["gamma", "tweedie", "log_cosh"])
def test_new_losses_are_scored_by_what_is_trained(loss):
    X, y = iris()
    model = fastmlp.MLPRegressor(**SMALL, loss=loss, max_iter=4, tweedie_power=1.2)
    with unconverged():
        model.fit(X, y + 1.0)
    if loss == "tweedie":
        np.testing.assert_array_equal(model._state.network.numbers, [1.2])
    expected = scores.D2(loss, 1.2, y.reshape(-1, 1) + 1.0, None)
    assert model.score(X, y + 1.0) == expected(model.predict(X).reshape(-1, 1))


@pytest.mark.parametrize(
    "score",
    [
        partial(scores.accuracy, exclusive=True),
        scores.r2,
        lambda outputs, Y, w: scores.D2("huber", 1.0, Y, w)(outputs),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_of_what_is_not_finite_are_nan(score, value):
    Y = np.zeros((3, 2))
    assert not np.isnan(score(Y, Y, None))
    predicted = Y.copy()
    predicted[1, 1] = value
    assert np.isnan(score(predicted, Y, None))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_score_is_the_metric_of_the_predictions(name, weighted):
    X, y = iris()
    model = fitted(name)
    weights = np.linspace(0, 1, len(y)) if weighted else None
    metric = accuracy_score if name == "MLPClassifier" else r2_score
    expected = metric(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, weights) == pytest.approx(expected, rel=1e-12)


SCORED_BY_D2 = {
    "absolute_error": {},
    "huber": {"huber_delta": 0.3},
    "quantile": {"quantile": 0.8},
    "levels": {"quantile": [0.1, 0.6]},
}


@pytest.mark.parametrize("case", SCORED_BY_D2)
def test_scores_refuse_what_is_no_target(case):
    X, y = iris()
    loss = "quantile" if case == "levels" else case
    model = fitted("MLPRegressor", loss=loss, **SCORED_BY_D2[case])
    assert model.score(X, y) == model.score(X.tolist(), y.reshape(-1, 1).tolist())
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.score(X, y[1:])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.score(X, y, np.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        model.score(X, np.where(y == 1, np.nan, y))
    with pytest.raises(ValueError, match=r"columns|several quantiles"):
        model.score(X, X)
    with pytest.warns(UndefinedMetricWarning, match="less than two samples") as told:
        assert np.isnan(model.score(X[:1], y[:1]))
    assert told[0].filename == __file__


# -- what a stranger does next


def test_lbfgs_on_numbers_too_large_is_divergence():
    X, y = iris()
    model = fastmlp.MLPRegressor(solver="lbfgs", activation="identity")
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        model.fit(X * 1e200, y)
    assert not hasattr(model, "loss_")


def test_training_goes_on_after_divergence():
    X, y = iris()
    model = fastmlp.MLPRegressor(
        activation="identity",
        solver="sgd",
        learning_rate_init=1.0,
        early_stopping=True,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model.fit(X, y)
    assert model.stop_reason_ == "diverged"
    model.set_params(early_stopping=False, learning_rate_init=1e-6)
    model.partial_fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_a_warm_start_takes_another_solver():
    X, y = iris()
    model = fitted(warm_start=True)
    with unconverged():
        model.set_params(solver="sgd", learning_rate_init=0.1).fit(X, y)
    assert model._optimizer.name == "nesterov"
    assert model._optimizer.learning_rate == 0.1


def test_a_warm_start_takes_another_learning_rate():
    X, y = iris()
    model = fitted(warm_start=True)
    steps = int(model._optimizer.rule["t"][0])
    with unconverged():
        model.set_params(learning_rate_init=0.02).fit(X, y)
    assert model._optimizer.learning_rate == 0.02
    assert model._optimizer.rule["t"] == 2 * steps


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_changed_activation_is_refused(method):
    X, y = iris()
    model = fitted(warm_start=True).set_params(activation="tanh")
    with pytest.raises(ValueError, match="activation"):
        getattr(model, method)(X, y)


def test_warm_early_stopping_without_improvement_keeps_the_best():
    X, y = iris()
    model = fastmlp.MLPClassifier(
        early_stopping=True, warm_start=True, max_iter=300, random_state=0
    ).fit(X, y)
    before, best = parameters(model), model.best_validation_score_
    with unconverged():
        model.set_params(learning_rate_init=1e-12, max_iter=3).fit(X, y)
    assert model.best_validation_score_ == best
    np.testing.assert_array_equal(parameters(model), before)


def test_solvers_of_both_kinds_follow_each_other():
    X, y = iris()
    model = fastmlp.MLPClassifier(solver="lbfgs", max_iter=1000, random_state=0)
    model.fit(X, y)
    assert not hasattr(model, "loss_curve_")
    model.set_params(solver="adam").partial_fit(X, y)
    assert len(model.loss_curve_) == 1
    model.set_params(solver="lbfgs").fit(X, y)
    assert not hasattr(model, "loss_curve_")


def test_one_replaced_matrix_does_not_narrow_the_others():
    model = fitted()
    expected = model.predict_proba(iris()[0])
    model.coefs_[0] = model.coefs_[0].astype(np.float32)
    assert model.predict_proba(iris()[0]).dtype == np.float64
    np.testing.assert_allclose(model.predict_proba(iris()[0]), expected, atol=1e-6)


def test_a_warm_start_hands_nothing_to_another_solver():
    """Not even where it has as many slots: adagrad's sums are no means to rmsprop."""
    X, y = iris()
    model = fitted(solver="adagrad", warm_start=True)
    steps = int(model._optimizer.rule["t"][0])
    with unconverged():
        model.set_params(solver="rmsprop").fit(X, y)
    assert model._optimizer.rule["t"] == steps
    earlier = Optimizer("adagrad", 3, "float64")
    earlier.slots[:] = 7
    later = Optimizer("rmsprop", 3, "float64", earlier=earlier)
    assert (later.slots == 0).all()


def test_going_on_leaves_the_earlier_optimizer_alone():
    earlier = Optimizer("adam", 3, "float64")
    earlier.slots[:] = 7
    later = Optimizer("adam", 3, "float64", earlier=earlier)
    twin = later.copy()
    later.slots += 1
    assert (earlier.slots == 7).all()
    assert (twin.slots == 7).all()
    assert (later.slots == 8).all()


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
def test_a_copied_stream_goes_on_by_itself(generator):
    """With the normal number that a pair of draws has left over."""
    stream = np.random.RandomState(generator(5))
    stream.standard_normal(3)
    twin, expected = copy_stream(stream), copy.deepcopy(stream)
    twin.standard_normal(7)
    twin = copy_stream(stream)
    for draw in ("standard_normal", "random_sample"):
        values = getattr(expected, draw)(1000)
        assert np.array_equal(getattr(twin, draw)(1000), values)
        assert np.array_equal(getattr(stream, draw)(1000), values)
    stored = pickle.dumps(twin)
    assert b"fastmlp" not in stored
    expected = twin.random_sample(1000)
    assert np.array_equal(pickle.loads(stored).random_sample(1000), expected)


def test_every_slot_begins_on_a_cache_line():
    adam = Optimizer("adam", 21, "float32")
    for slots in (adam.slots, adam.copy().slots):
        assert slots.shape == (2, 21)
        assert [row.ctypes.data % 64 for row in slots] == [0, 0]


def test_overfitting_is_dated_once_and_by_scores_that_rise_by_tol():
    overfitting = Overfitting()
    for epoch, score in enumerate([0.5, 0.55, 0.58, 0.9, 0.5, 0.5], start=1):
        assert overfitting.epoch == (None if epoch <= 3 else 1)
        overfitting.update(epoch, 1 - epoch / 8, score, tol=0.1, patience=1)
    assert overfitting.epoch == 1


def test_a_training_loss_that_stands_still_is_no_overfitting():
    overfitting = Overfitting()
    for epoch in range(1, 6):
        overfitting.update(epoch, 1 - 0.01 * epoch, -epoch, tol=0.1, patience=1)
    assert overfitting.epoch is None


def test_every_random_state_has_masks_of_its_own():
    seeds = set()
    for seed in (0, 1, 2):
        model = fitted(epochs=1, dropout=0.5, random_state=seed)
        seeds.add(int(model._optimizer.rule["seed"][0]))
    assert len(seeds - {0}) == 3


def test_a_warm_start_with_another_schedule_begins_at_the_initial_rate():
    model = fitted(solver="sgd", learning_rate="invscaling", warm_start=True)
    assert model._optimizer.learning_rate < model.learning_rate_init
    with unconverged():
        model.set_params(learning_rate="constant").fit(*iris())
    assert model._optimizer.learning_rate == model.learning_rate_init


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_shallow_copy_does_not_reorder_the_rows_of_the_other(name, method):
    X, y = iris()
    alone, together = (
        getattr(fastmlp, name)(max_iter=1, random_state=0) for _ in range(2)
    )
    is_told = name == "MLPClassifier" and method == "partial_fit"
    for model in (alone, together):
        with unconverged():
            getattr(model, method)(X, y, **({"classes": [0, 1, 2]} if is_told else {}))
    copy.copy(together).partial_fit(X, y)
    for model in (alone, together):
        model.partial_fit(X, y)
    assert np.array_equal(alone.coefs_[0], together.coefs_[0])


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(30, int),
        np.arange(30) % 2,
        np.arange(30) % 2 == 0,
        np.arange(30, dtype=np.uint8) % 3,
        np.arange(30),
        np.arange(30) // 2.0,
        np.arange(30) / 4,
        np.eye(3, dtype=int)[np.arange(30) % 3],
        np.array(["a", "b", "c"] * 10),
        [1, 2, 3] * 10,
    ],
)
def test_kinds_and_classes_of_targets(y):
    assert find_kind(y) == type_of_target(y)
    if find_kind(y) in ("binary", "multiclass"):
        assert find_classes(y).tolist() == unique_labels(y).tolist()
