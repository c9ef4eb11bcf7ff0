"""scikit-learn's estimators from ours and back."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn.neural_network
from fits import fit, iris
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from test_attributes import CLASSES, KINDS, data, make, outputs

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor

ADAM = {"solver": "adam"}
SOLVERS = {
    "adam": ADAM,
    "adam early": {**ADAM, "early_stopping": True},
    "adam invscaling": {**ADAM, "learning_rate": "invscaling"},
    "nesterov": {"solver": "sgd"},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd": {"solver": "sgd", "momentum": 0.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "n_iter_no_change": 1,
        "tol": 1.0,
    },
    "lbfgs": {"solver": "lbfgs"},
}
# A schedule that scikit-learn does not read.
IGNORED = "adam invscaling"
# Adam's step divides by a root of squares: where those are small, so is the accuracy.
TOLERANCE = {"rtol": 1e-8, "atol": 1e-11}


pytestmark = pytest.mark.usefixtures("one_blas_thread")


def fitted(kind, module=fastmlp, **params):
    return fit(make(kind, module, **params), *data(kind))


def parameters(model):
    return np.concatenate([np.ravel(a) for a in [*model.coefs_, *model.intercepts_]])


def from_sklearn(theirs):
    return getattr(fastmlp, type(theirs).__name__).from_sklearn(theirs)


def assert_alike(found, expected, name):
    """Values of attributes, and objects of scikit-learn's by their own attributes."""
    assert type(found) is type(expected) or np.isscalar(expected), name
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected), name
        for pair in zip(found, expected, strict=True):
            assert_alike(*pair, name)
    elif isinstance(expected, np.random.RandomState):
        assert found is not expected
    elif hasattr(expected, "__dict__"):
        assert vars(found).keys() == vars(expected).keys(), name
        for inner, value in vars(expected).items():
            if is_state(expected, inner):
                assert_alike(getattr(found, inner), value, f"{name}.{inner}")
    elif np.asarray(expected).dtype.kind in "if" and not isinstance(expected, bool):
        assert_allclose(found, expected, rtol=1e-7, atol=1e-10, err_msg=name)
    else:
        assert np.array_equal(found, expected), name


def is_state(of, name):
    """Whether anything reads that attribute: without momentum nothing reads the last
    step, and without early stopping nothing the parameters at the start.
    """
    if name == "velocities":
        return of.momentum > 0
    return not name.startswith("_best") or of.early_stopping


# -- to scikit-learn


@pytest.mark.parametrize("solver", sorted(SOLVERS.keys() - {"lbfgs", IGNORED}))
@pytest.mark.parametrize("kind", KINDS)
def test_to_sklearn_is_what_scikit_learn_would_have_fitted(kind, solver):
    X, _ = data(kind)
    params = {**SOLVERS[solver], "alpha": 0.0}
    model = fitted(kind, **params)
    mine, theirs = model.to_sklearn(), fitted(kind, sklearn.neural_network, **params)
    assert_alike(mine, theirs, type(theirs).__name__)
    assert_allclose(outputs(mine, X), outputs(model, X), atol=1e-12)
    assert clone(mine).get_params() == theirs.get_params()


def test_to_sklearn_by_lbfgs_has_its_attributes():
    mine = fitted("multiclass", solver="lbfgs").to_sklearn()
    theirs = fitted("multiclass", sklearn.neural_network, solver="lbfgs")
    assert vars(mine).keys() == vars(theirs).keys()
    assert mine._coef_indptr == theirs._coef_indptr
    assert mine._intercept_indptr == theirs._intercept_indptr
    fit(mine.set_params(warm_start=True), *data("multiclass"))


@pytest.mark.parametrize("solver", ["adam", "nesterov", "invscaling", "adaptive"])
@pytest.mark.parametrize("kind", KINDS)
def test_to_sklearn_goes_on(kind, solver):
    X, y = data(kind)
    params = {**SOLVERS[solver], "shuffle": False}
    mine = fitted(kind, **params)
    theirs, before = mine.to_sklearn(), parameters(mine)
    for _ in range(4):
        mine.partial_fit(X, y)
        theirs.partial_fit(X, y)
    assert_allclose(parameters(theirs), parameters(mine), **TOLERANCE)
    assert np.abs(parameters(mine) - before).max() > 1e-5
    assert theirs._no_improvement_count == mine._no_improvement_count
    assert theirs.t_ == mine.t_
    assert len(theirs.loss_curve_) == len(mine.loss_curve_)


def test_to_sklearn_shares_nothing():
    X, y = data("binary")
    model = fitted("binary", random_state=np.random.RandomState(3))
    theirs, before = model.to_sklearn(), pickle.dumps(vars(model))
    theirs.partial_fit(X, y)
    theirs.coefs_[0][:] = 0
    theirs.classes_[:] = "x"
    assert pickle.dumps(vars(model)) == before
    assert theirs.classes_ is theirs._label_binarizer.classes_


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_batch_norm_is_folded(kind, dtype):
    X, y = data(kind)
    X = X.astype(dtype)
    model = fit(make(kind, batch_norm=True), X, y)
    theirs = model.to_sklearn()
    tolerance = 1e-12 if dtype is float else 2e-5
    assert_allclose(outputs(theirs, X), outputs(model, X), atol=tolerance)
    assert outputs(theirs, X).dtype == dtype
    assert not hasattr(theirs, "_optimizer")
    theirs.partial_fit(X, y)


def test_two_softmax_outputs_become_one():
    X, y = data("binary")
    model = fitted("binary", output_activation="softmax")
    theirs = model.to_sklearn()
    assert (theirs.out_activation_, theirs.n_outputs_) == ("logistic", 1)
    assert_allclose(theirs.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert_array_equal(theirs.predict(X), model.predict(X))
    theirs.partial_fit(X, y)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (
            "multiclass",
            {"dropout": 0.3, "weight_decay": 0.1, "class_weight": "balanced"},
        ),
        ("binary", {"loss": "squared_error", "l1_ratio": 0.5, "solver": "adamw"}),
        ("multilabel", {"learning_rate": "cosine", "batch_size": "full"}),
        ("one output", {"loss": "huber", "solver": "rmsprop"}),
        ("two outputs", {"loss": "absolute_error", "solver": "gd"}),
        ("one output", {"loss": "quantile", "quantile": [0.2, 0.6, 0.7]}),
        ("one output", {"activation": ["relu", "relu"], "init": "he_normal"}),
        ("one output", {"hidden_layer_sizes": (), "activation": "gelu"}),
        ("multiclass", {"hidden_layer_sizes": ()}),
    ],
)
def test_what_only_training_reads_is_left_out(kind, params):
    X, y = data(kind)
    model = fitted(kind, **params)
    theirs = model.to_sklearn()
    assert_allclose(outputs(theirs, X), outputs(model, X), atol=1e-12)
    clone(theirs).set_params(max_iter=1)._validate_params()


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("binary", {"activation": "gelu"}, "one activation for all hidden layers"),
        (
            "two outputs",
            {"activation": ["relu", "tanh"]},
            "has relu, tanh",
        ),
        ("multiclass", {"output_activation": "logistic"}, "'logistic'.*multiclass"),
        ("binary", {"loss": "squared_error", "output_activation": "identity"}, "ident"),
        ("multiclass", {"loss": "squared_error"}, "multiclass"),
        (
            "one output",
            {"output_activation": "tanh"},
            "'tanh' with loss='sq",
        ),
        ("one output", {"output_activation": "softplus"}, "'softplus'"),
    ],
)
def test_what_scikit_learn_cannot_predict_is_refused(kind, params, message):
    with pytest.raises(ValueError, match=message):
        fitted(kind, **params).to_sklearn()


def test_poisson():
    X, y = data("one output")
    y = np.exp(y / 3)
    model = fit(MLPRegressor("poisson", max_iter=5, random_state=0), X, y)
    if "loss" not in sklearn.neural_network.MLPRegressor().get_params():
        with pytest.raises(ValueError, match="'exp'"):
            model.to_sklearn()
        return
    theirs = model.to_sklearn()
    assert theirs.loss == "poisson"
    assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-12)
    for each in model, theirs:
        each.set_params(shuffle=False).partial_fit(X, y)
    assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-9)
    assert_allclose(from_sklearn(theirs).predict(X), model.predict(X), rtol=1e-9)


def test_to_sklearn_hands_on_what_a_user_has_set():
    X, _ = data("multiclass")
    model = fitted("multiclass")
    model.coefs_[0] = np.cos(np.arange(24.0)).reshape(4, 6)
    model._label_binarizer.classes_ = np.array([5, 6, 7])
    theirs = model.to_sklearn()
    assert_array_equal(theirs.predict(X), model.predict(X))
    assert set(theirs.predict(X)) <= {5, 6, 7}
    assert_allclose(theirs.predict_proba(X), model.predict_proba(X), atol=1e-12)


def test_to_sklearn_of_stored_weights():
    fit_by_them = fitted("binary", sklearn.neural_network)
    model = make("binary")
    for name in "coefs_", "intercepts_", "_label_binarizer", "out_activation_":
        setattr(model, name, getattr(fit_by_them, name))
    model.n_outputs_, model.n_layers_ = 1, 4
    theirs, (X, y) = model.to_sklearn(), data("binary")
    assert_array_equal(theirs.predict_proba(X), fit_by_them.predict_proba(X))
    theirs.classes_ = fit_by_them.classes_
    theirs.partial_fit(X, y)


# -- from scikit-learn


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_from_sklearn_and_back(kind, solver):
    X, _ = data(kind)
    theirs = fitted(kind, sklearn.neural_network, **SOLVERS[solver])
    mine = from_sklearn(theirs)
    assert_allclose(outputs(mine, X), outputs(theirs, X), atol=1e-12)
    expected = theirs.get_params()
    if solver == IGNORED:
        theirs.learning_rate = expected["learning_rate"] = "constant"
    assert mine.get_params().items() >= expected.items()
    assert_alike(mine.to_sklearn(), theirs, type(theirs).__name__)


@pytest.mark.parametrize("solver", sorted(SOLVERS.keys() - {"lbfgs", "adam early"}))
@pytest.mark.parametrize("kind", KINDS)
def test_from_sklearn_takes_scikit_learns_next_steps(kind, solver):
    X, y = data(kind)
    random_state = np.random.RandomState(1)
    params = {**SOLVERS[solver], "random_state": random_state, "batch_size": 40}
    # Their mean over outputs leaves the penalty out.
    params |= {"alpha": 0.0} if kind == "two outputs" else {"alpha": 0.01}
    theirs = fitted(kind, sklearn.neural_network, **params)
    before = pickle.dumps(theirs)
    mine = from_sklearn(theirs)
    assert pickle.dumps(theirs) == before
    for _ in range(4):
        mine.partial_fit(X, y)
        theirs.partial_fit(X, y)
        assert_allclose(parameters(mine), parameters(theirs), **TOLERANCE)
    assert mine.t_ == theirs.t_
    assert mine._no_improvement_count == theirs._no_improvement_count
    n_outputs = 1 if kind in CLASSES else theirs.n_outputs_
    assert_allclose(
        np.array(mine.loss_curve_) / n_outputs, theirs.loss_curve_, rtol=1e-7
    )


def test_from_sklearn_shuffles_first_as_scikit_learn_does_by_its_seed():
    X, y = data("multiclass")
    theirs = fitted("multiclass", sklearn.neural_network, batch_size=20)
    mine = from_sklearn(theirs)
    mine.partial_fit(X, y)
    theirs.partial_fit(X, y)
    assert_allclose(parameters(mine), parameters(theirs), **TOLERANCE)


def test_from_sklearn_keeps_names_types_and_what_a_user_has_set():
    pandas = pytest.importorskip("pandas")
    X, y = data("one output")
    frame = pandas.DataFrame(X.astype(np.float32), columns=list("abcd"))
    theirs = fit(make("one output", sklearn.neural_network), frame, y)
    mine = from_sklearn(theirs)
    assert list(mine.feature_names_in_) == list("abcd")
    assert mine.coefs_[0].dtype == np.float32
    assert_allclose(mine.predict(frame), theirs.predict(frame), rtol=1e-5, atol=1e-5)
    theirs.out_activation_ = "tanh"
    theirs.coefs_[0] = theirs.coefs_[0] * 2
    mine = from_sklearn(theirs)
    assert_allclose(mine.predict(frame), theirs.predict(frame), rtol=1e-5, atol=1e-5)
    assert_array_equal(
        pickle.loads(pickle.dumps(mine)).predict(frame), mine.predict(frame)
    )


def test_what_from_sklearn_refuses():
    theirs = sklearn.neural_network.MLPClassifier()
    with pytest.raises(NotFittedError):
        MLPClassifier.from_sklearn(theirs)
    with pytest.raises(TypeError, match=r"takes a sklearn.neural_network.MLPRegressor"):
        MLPRegressor.from_sklearn(theirs)
    with pytest.raises(TypeError, match="got MLPClassifier"):
        MLPClassifier.from_sklearn(MLPClassifier())
    theirs = fitted("binary", sklearn.neural_network)
    theirs.coefs_[1] = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"coefs_\[1\]"):
        MLPClassifier.from_sklearn(theirs)
    with pytest.raises(NotFittedError):
        MLPRegressor().to_sklearn()


class Narrow(MLPClassifier):
    """A subclass is made of its own kind."""


def test_from_sklearn_of_a_subclass_and_going_on_by_fit():
    X, y = data("binary")
    theirs = fitted("binary", sklearn.neural_network)
    model = Narrow.from_sklearn(theirs)
    assert type(model) is Narrow
    before = copy.deepcopy(model.coefs_)
    model.set_params(warm_start=True, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    assert np.abs(model.coefs_[0] - before[0]).max() > 0
    assert len(model.loss_curve_) == len(theirs.loss_curve_) + 2
    fit(model.set_params(warm_start=False), *iris())
    assert len(model.classes_) == 3
