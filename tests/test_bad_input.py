"""Failure leaves the estimator as it was, and is scikit-learn's where it has one."""

import contextlib
import dataclasses
import functools
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from fits import iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import validate_parameter_constraints

import fastmlp
import fastmlp.rows
import fastmlp.trainer
from fastmlp import _kernels
from fastmlp.limits import Blas
from fastmlp.stopping import DivergenceError

pytestmark = pytest.mark.usefixtures("one_blas_thread")

ESTIMATORS = ["MLPClassifier", "MLPRegressor"]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
PACKAGE = str(Path(fastmlp.__file__).parent)


@contextlib.contextmanager
def without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fresh(name, module=fastmlp, **params):
    return getattr(module, name)(**{**SMALL, **params})


def fitted(name, module=fastmlp, **params):
    with without_warnings():
        return fresh(name, module, **params).fit(*iris())


def snapshot(model):
    """Every bit of the estimator's state, and what it predicts."""
    state = pickle.dumps(vars(model))
    if not hasattr(model, "coefs_"):
        assert not [name for name in vars(model) if name.endswith("_")]
        return state, None
    return state, model.predict(iris()[0]).tobytes()


def raised_by(call, *arguments, **keywords):
    """The exception that the call must raise."""
    with without_warnings(), pytest.raises(Exception) as caught:  # noqa: PT011
        call(*arguments, **keywords)
    return caught.value


def changed(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


# Arguments of a call, from good X and y; every one is refused by both libraries.
BAD_DATA = {
    "nan in X": lambda X, y: (changed(X, (7, 2), np.nan), y),
    "inf in X": lambda X, y: (changed(X, (149, 3), np.inf), y),
    "-inf in X": lambda X, y: (changed(X, (0, 0), -np.inf), y),
    "1-D X": lambda X, y: (X[:, 0], y),
    "3-D X": lambda X, y: (X[:, :, None], y),
    "X of strings": lambda X, y: (np.full(X.shape, "a"), y),
    "complex X": lambda X, y: (X + 1j, y),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "no columns": lambda X, y: (X[:, :0], y),
    "ragged X": lambda X, y: ([[1.0, 2.0], [1.0]], y[:2]),
    "y too short": lambda X, y: (X, y[:-1]),
    "y too long": lambda X, y: (X, np.append(y, 0)),
    "nan in y": lambda X, y: (X, changed(y, 3, np.nan)),
    "inf in y": lambda X, y: (X, changed(y, 3, np.inf)),
    "3-D y": lambda X, y: (X, np.zeros((len(y), 2, 2))),
    "y is None": lambda X, y: (X, None),
    "weights too short": lambda X, y: (X, y, np.ones(len(y) - 1)),
    "2-D weights": lambda X, y: (X, y, np.ones((len(y), 2))),
    "nan weight": lambda X, y: (X, y, changed(np.ones(len(y)), 0, np.nan)),
    "inf weight": lambda X, y: (X, y, changed(np.ones(len(y)), 0, np.inf)),
    "weights all zero": lambda X, y: (X, y, np.zeros(len(y))),
}
BAD_LABELS = {
    "continuous labels": lambda X, y: (X, y + 0.5),
    "continuous multi-output": lambda X, y: (X, X + 0.5),
    "multiclass multi-output": lambda X, y: (X, np.column_stack([y, y])),
}
BAD_PARAMETERS = [
    {"solver": "newton"},
    {"activation": "sine"},
    {"learning_rate": "linear"},
    {"learning_rate_init": 0.0},
    {"learning_rate_init": -1.0},
    {"alpha": -0.1},
    {"alpha": "much"},
    {"max_iter": 0},
    {"max_iter": 2.5},
    {"max_fun": 0},
    {"hidden_layer_sizes": (-1,)},
    {"hidden_layer_sizes": (4, 0)},
    {"hidden_layer_sizes": 0},
    {"hidden_layer_sizes": "ten"},
    {"batch_size": 0},
    {"batch_size": "half"},
    {"tol": -1.0},
    {"power_t": -1.0},
    {"momentum": 1.5},
    {"beta_1": 1.0},
    {"beta_2": -0.1},
    {"epsilon": 0.0},
    {"n_iter_no_change": 0},
    {"validation_fraction": 1.0},
    {"shuffle": "yes"},
    {"early_stopping": 2},
    {"nesterovs_momentum": None},
    {"warm_start": "yes"},
    {"verbose": "loud"},
    {"random_state": -1},
    {"random_state": "seed"},
]
METHODS = ["fit", "partial_fit"]


def assert_refused_alike(name, method, arguments, **params):
    """scikit-learn's exception from new and from fitted estimators, unchanged."""
    keywords = {}
    if (method, name) == ("partial_fit", "MLPClassifier"):
        keywords["classes"] = [0, 1, 2]
    for make in (fresh, fitted):
        mine, theirs = make(name), make(name, sklearn.neural_network)
        before = snapshot(mine.set_params(**params))
        error = raised_by(getattr(mine, method), *arguments, **keywords)
        call = getattr(theirs.set_params(**params), method)
        assert type(error) is type(raised_by(call, *arguments, **keywords))
        assert str(error)
        assert snapshot(mine) == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_data(name, case, method):
    assert_refused_alike(name, method, BAD_DATA[case](*iris()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case, method):
    assert_refused_alike("MLPClassifier", method, BAD_LABELS[case](*iris()))


@pytest.mark.parametrize("params", BAD_PARAMETERS, ids=str)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_parameters(name, params):
    assert_refused_alike(name, "fit", iris(), **params)


@pytest.mark.parametrize("rho", [-0.1, 1.0, "a"])
def test_bad_rho(rho):
    model = fitted("MLPClassifier").set_params(solver="rmsprop", rho=rho)
    before = snapshot(model)
    with pytest.raises(ValueError, match="The 'rho' parameter"):
        model.fit(*iris())
    assert snapshot(model) == before


def test_unknown_loss():
    assert_refused_alike("MLPRegressor", "fit", iris(), loss="cubic")


@pytest.mark.parametrize("fraction", [0.0, 0.001])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_validation_set_too_small(name, fraction):
    params = {"early_stopping": True, "validation_fraction": fraction}
    assert_refused_alike(name, "fit", iris(), **params)


def test_validation_set_without_every_class():
    X, y = iris()
    arguments = (X[:8], np.arange(8) % 2)
    assert_refused_alike("MLPClassifier", "fit", arguments, early_stopping=True)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_partial_fit_with_early_stopping(name):
    assert_refused_alike(name, "partial_fit", iris(), early_stopping=True)


@pytest.mark.parametrize("make", [fresh, fitted])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_partial_fit_under_lbfgs(name, make):
    model = make(name, solver="lbfgs")
    before = snapshot(model)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(*iris())
    assert snapshot(model) == before
    assert hasattr(model.set_params(solver="adagrad"), "partial_fit")


# -- what scikit-learn takes and should not, or what is not here yet


@pytest.mark.parametrize("make", [fresh, fitted])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_negative_weights(name, make):
    X, y = iris()
    model = make(name)
    before = snapshot(model)
    with pytest.raises(ValueError, match="Negative values in data passed"):
        model.fit(X, y, changed(np.ones(len(y)), 5, -1e-3))
    assert snapshot(model) == before


@pytest.mark.parametrize("make", [fresh, fitted])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", _kernels.LEAST_TARGETS)
def test_targets_outside_of_the_domain(loss, make, method):
    X, y = iris()
    least, is_taken = _kernels.LEAST_TARGETS[loss]
    model = fresh("MLPRegressor", loss=loss)
    if make is fitted:
        with without_warnings():
            model.fit(X, y + 1.0)
    before = snapshot(model)
    for too_small in (least - 1.0, *(() if is_taken else (least,))):
        with pytest.raises(ValueError, match="out of the valid range of the loss"):
            getattr(model, method)(X, np.where(y == 0, too_small, y))
    assert snapshot(model) == before


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("method", ["fit", "predict"])
def test_np_matrix(name, method):
    """A subclass of arrays is not taken for an array."""
    X, y = iris()
    mine, theirs = (fitted(name, m) for m in (fastmlp, sklearn.neural_network))
    targets = (y,) if method == "fit" else ()
    errors = [
        raised_by(getattr(m, method), np.matrix(X), *targets) for m in (mine, theirs)
    ]
    assert [type(error) for error in errors] == [TypeError, TypeError]
    assert str(errors[0]) == str(errors[1])


@pytest.mark.parametrize("params", BAD_PARAMETERS, ids=str)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_parameters_set_between_two_calls_of_partial_fit(name, params):
    """scikit-learn does not look again."""
    model = fitted(name).set_params(**params)
    before = snapshot(model)
    method = "fit" if params.get("solver") else "partial_fit"
    with pytest.raises(ValueError, match=r"parameter of|must be > 0"):
        getattr(model, method)(*iris())
    assert snapshot(model) == before


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("method", [*METHODS, "predict", "score"])
def test_integers_that_no_float_can_hold(method, name):
    X, y = iris()
    model = fitted(name)
    before = snapshot(model)
    large, number = X.astype(object), np.full(len(y), 10**400, object)
    large[3, 1] = 10**400
    calls = [(large,)] if method == "predict" else [(large, y)]
    if method in METHODS:
        calls.append((X, y, number))
    if (name, method) == ("MLPRegressor", "score"):
        calls += [(X, number), (X, y, number)]
    for arguments in calls:
        with pytest.raises(ValueError, match="too large"):
            getattr(model, method)(*arguments)
    assert snapshot(model) == before


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
def test_score_of_sparse_labels_in_any_form(form):
    X, y = iris()
    labels = np.stack([y > 0, y > 1], axis=1).astype(int)
    with without_warnings():
        model = fresh("MLPClassifier", max_iter=30).fit(X, labels)
    found = model.score(X, scipy.sparse.csr_array(labels).asformat(form))
    assert found == model.score(X, labels) > 0


# -- going on with something else


def test_first_partial_fit_needs_the_classes():
    X, y = iris()
    for classes in (None, [0, 1]):
        mine, theirs = (
            fresh("MLPClassifier", module)
            for module in (fastmlp, sklearn.neural_network)
        )
        before = snapshot(mine)
        error = raised_by(mine.partial_fit, X, y, classes=classes)
        other = raised_by(theirs.partial_fit, X, y, classes=classes)
        assert type(error) is type(other) is ValueError
        assert str(error) == str(other)
        assert snapshot(mine) == before


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([0, 1, 3], None), ([0, 1, 2], [0, 1]), ([0, 1, 2], [0, 1, 2, 3])],
)
def test_later_partial_fit_of_other_classes(labels, classes):
    X, y = iris()
    y = np.array(labels)[y]
    mine = fitted("MLPClassifier")
    theirs = fitted("MLPClassifier", sklearn.neural_network)
    before = snapshot(mine)
    error = raised_by(mine.partial_fit, X, y, classes=classes)
    other = raised_by(theirs.partial_fit, X, y, classes=classes)
    assert type(error) is type(other) is ValueError
    assert str(error) == str(other)
    assert snapshot(mine) == before


@pytest.mark.parametrize("labels", [[0, 1, 1], [0, 1, 5], ["a", "b", "c"]])
def test_warm_start_with_other_classes(labels):
    X, y = iris()
    mine = fitted("MLPClassifier", warm_start=True)
    theirs = fitted("MLPClassifier", sklearn.neural_network, warm_start=True)
    before = snapshot(mine)
    error = raised_by(mine.fit, X, np.array(labels)[y])
    other = raised_by(theirs.fit, X, np.array(labels)[y])
    assert type(error) is type(other) is ValueError
    assert str(error) == str(other)
    assert snapshot(mine) == before


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("hidden", [(), (6,), (5, 5)])
@pytest.mark.parametrize("method", METHODS)
def test_going_on_with_another_architecture(method, hidden, name):
    """scikit-learn goes on with the old one in silence."""
    model = fitted(name, warm_start=True).set_params(hidden_layer_sizes=hidden)
    before = snapshot(model)
    with pytest.raises(ValueError, match="batch_norm of the previous fit"):
        getattr(model, method)(*iris())
    assert snapshot(model) == before


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("method", METHODS)
def test_going_on_with_other_columns(method, name):
    X, y = iris()
    mine = fitted(name, warm_start=True)
    theirs = fitted(name, sklearn.neural_network, warm_start=True)
    before = snapshot(mine)
    error = raised_by(getattr(mine, method), X[:, :3], y)
    assert type(error) is type(raised_by(getattr(theirs, method), X[:, :3], y))
    assert snapshot(mine) == before


def test_going_on_with_more_outputs():
    X, y = iris()
    model = fitted("MLPRegressor")
    before = snapshot(model)
    with pytest.raises(ValueError, match="batch_norm of the previous fit"):
        model.partial_fit(X, np.column_stack([y, y]))
    assert snapshot(model) == before


# -- use


@pytest.mark.parametrize("case", [c for c in BAD_DATA if "X" in c or c[:3] == "no "])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_predict_on_bad_data(name, case):
    X = BAD_DATA[case](*iris())[0]
    mine, theirs = fitted(name), fitted(name, sklearn.neural_network)
    before = snapshot(mine)
    assert type(raised_by(mine.predict, X)) is type(raised_by(theirs.predict, X))
    assert snapshot(mine) == before


@pytest.mark.parametrize("columns", [3, 5])
def test_predict_on_other_columns(columns):
    X = np.zeros((4, columns))
    for method in ("predict", "predict_proba", "predict_log_proba"):
        mine = getattr(fitted("MLPClassifier"), method)
        theirs = getattr(fitted("MLPClassifier", sklearn.neural_network), method)
        assert str(raised_by(mine, X)) == str(raised_by(theirs, X))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_use_before_fit(method):
    model = fresh("MLPClassifier")
    arguments = iris() if method == "score" else iris()[:1]
    with pytest.raises(NotFittedError):
        getattr(model, method)(*arguments)
    snapshot(model)


# -- divergence


DIVERGENT = [
    {"solver": "sgd", "learning_rate_init": 1e30},
    {"solver": "sgd", "learning_rate_init": 1e30, "momentum": 0},
    {"solver": "rmsprop", "learning_rate_init": 1e300},
    {"solver": "adagrad", "learning_rate_init": 1e300},
    {"solver": "adam", "learning_rate_init": 1e300},
]


@pytest.mark.parametrize("params", DIVERGENT, ids=str)
@pytest.mark.parametrize("make", [fresh, fitted])
def test_divergence_is_an_error_and_keeps_the_old_model(make, params):
    X, y = iris()
    model = make("MLPRegressor")
    model.set_params(**params, activation="identity", max_iter=1000)
    before = snapshot(model)
    error = raised_by(model.fit, 1e3 * X, 1e3 * y)
    assert type(error) is DivergenceError
    assert str(error).startswith("Solver produced non-finite parameter weights")
    assert snapshot(model) == before


def test_divergence_is_noticed_within_an_epoch(monkeypatch):
    X, y = iris()
    rows = 0
    train = _kernels.train

    def count(*arguments):
        nonlocal rows
        rows += len(arguments[9])
        return train(*arguments)

    monkeypatch.setattr(_kernels, "train", count)
    params = {"solver": "sgd", "learning_rate_init": 1e200, "max_iter": 10_000}
    model = fresh("MLPRegressor", activation="identity", batch_size=10, **params)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.fit(X, y)
    assert rows <= 2 * len(X)


@pytest.mark.parametrize("warm_start", [False, True])
def test_partial_fit_that_diverges_keeps_the_old_model(warm_start):
    X, y = iris()
    params = {"activation": "identity", "solver": "sgd", "warm_start": warm_start}
    model = fitted("MLPRegressor", **params)
    before = snapshot(model)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.partial_fit(1e300 * X, y)
    assert snapshot(model) == before


def diverge_slowly(**params):
    """The first epochs are finite; each multiplies the error by a few hundred."""
    linear = {"hidden_layer_sizes": (), "solver": "sgd", "learning_rate_init": 100.0}
    endless = {"max_iter": 500, "n_iter_no_change": np.inf, "early_stopping": True}
    X, y = iris()
    with without_warnings():
        return fresh("MLPRegressor", **{**linear, **endless, **params}).fit(X, y)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_divergence_in_early_stopping_gives_the_best_weights(momentum):
    model = diverge_slowly(momentum=momentum)
    assert model.stop_reason_ == "diverged"
    assert 1 < model.n_iter_ < 500
    best = int(np.nanargmax(model.validation_scores_))
    expected = diverge_slowly(momentum=momentum, max_iter=best + 1)
    assert expected.stop_reason_ == "max_iter"
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert model.best_validation_score_ == model.validation_scores_[best]
    assert np.isfinite(model.predict(iris()[0])).all()


# -- exceptions from anywhere


class FailsAt:
    """Calls through, but raises at the call of that number."""

    def __init__(self, function, number, error):
        self.function, self.left, self.error = function, number, error

    def __call__(self, *arguments, **keywords):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*arguments, **keywords)

    def __get__(self, owner, cls):
        return functools.partial(self, owner)


JUDGED = {"early_stopping": True}
PLACES = {
    "first epoch": (_kernels, "train", 1, {}),
    "third epoch": (_kernels, "train", 3, {}),
    "lbfgs": (_kernels, "compute_loss_and_gradient", 2, {"solver": "lbfgs"}),
    "validation": (_kernels, "compute_loss", 2, JUDGED),
    "arena of validation": (fastmlp.evaluation, "build_arena", 1, JUDGED),
    "arena": (fastmlp.trainer, "build_arena", 1, {}),
    "arena of lbfgs": (fastmlp.evaluation, "build_arena", 1, {"solver": "lbfgs"}),
    "gradients": (fastmlp.trainer, "aligned_empty", 1, {}),
    "parameters": (fastmlp.network, "aligned_empty", 1, {}),
    "slots": (fastmlp.optimizers, "aligned_empty", 1, {}),
    "order": (fastmlp.rows.RowOrder, "shuffle", 2, {}),
    "print": ("builtins", "print", 2, {"verbose": True}),
    "print under lbfgs": ("builtins", "print", 2, {"verbose": True, "solver": "lbfgs"}),
}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("injected")], ids=repr)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_exception_in_fit_leaves_all_as_it_was(name, place, error, monkeypatch):
    room, attribute, number, params = PLACES[place]
    room = sys.modules[room] if isinstance(room, str) else room
    original = getattr(room, attribute)
    for make in (fresh, fitted):
        model = make(name).set_params(**params)
        before = snapshot(model)
        monkeypatch.setattr(room, attribute, FailsAt(original, number, error))
        with without_warnings(), pytest.raises(type(error)) as caught:
            model.fit(*iris())
        monkeypatch.undo()
        assert caught.value is error
        assert snapshot(model) == before


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_while_going_on_leaves_all_as_it_was(method, monkeypatch):
    model = fitted("MLPClassifier", warm_start=True)
    before = snapshot(model)
    train = _kernels.train

    def train_and_fail(*arguments):
        train(*arguments)
        raise RuntimeError("injected")

    monkeypatch.setattr(_kernels, "train", train_and_fail)
    with pytest.raises(RuntimeError, match="injected"):
        getattr(model, method)(*iris())
    assert snapshot(model) == before


def test_a_warning_made_an_error_leaves_all_as_it_was():
    model = fitted("MLPClassifier")
    before = snapshot(model.set_params(max_iter=5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.fit(*iris())
    assert snapshot(model) == before


class RaisesAtLine:
    """A trace function: raises before the package's n-th line is run."""

    def __init__(self, number, error):
        self.left, self.error = number, error

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if isinstance(frame.f_locals.get("self"), Blas):
            # Where a lock's block ends, Python lets a trace function raise before the
            # lock is released; a signal's handler it does not run there.
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise self.error("injected")
        return self


def call_with_error_at(number, error, call):
    """Whether the call got so far; what it raised, if anything."""
    tracer, outside = RaisesAtLine(number, error), sys.gettrace()
    try:
        with without_warnings():
            sys.settrace(tracer)
            call(*iris())
    except error as caught:
        return True, caught
    finally:
        sys.settrace(outside)
    return tracer.left <= 0, None


WAYS = {
    "fit": (fresh, "fit", {}),
    "refit": (fitted, "fit", {}),
    "warm_start": (fitted, "fit", {"warm_start": True}),
    "partial_fit": (fitted, "partial_fit", {}),
    "early_stopping": (fitted, "fit", {"early_stopping": True}),
    "lbfgs": (fitted, "fit", {"solver": "lbfgs"}),
}


def values_of(model):
    """The bits of all that a fit makes but its times: the same for equal estimators."""
    published = {n: v for n, v in vars(model).items() if n[-1] == "_"}
    if "history_" in published:
        published["history_"] = {**model.history_, "seconds": None}
    attributes = {n: pickle.dumps(v) for n, v in published.items()}
    if "coefs_" not in attributes:
        return attributes
    made = model._state
    _, key, *position = made.random_state.get_state()
    inner = [made.network.params.tobytes(), key.tobytes(), position]
    if made.optimizer is not None:
        inner += [made.optimizer.slots.tobytes(), made.optimizer.rule.tobytes()]
    return attributes, inner, model.predict(iris()[0]).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_exception_at_any_line_leaves_the_old_or_the_new_model(
    name, way, error, step
):
    """At every fifth line, another for each estimator and way; soak: at all."""
    make, method, params = WAYS[way]
    original = make(name, max_iter=2, **params).set_params(random_state=7)
    new = pickle.loads(pickle.dumps(original))
    with without_warnings():
        getattr(new, method)(*iris())
    whole = values_of(original), values_of(new)
    assert whole[0] != whole[1]
    number, went_on = len(name + way) % step, True
    while went_on:
        number += step
        model = pickle.loads(pickle.dumps(original))
        went_on, raised = call_with_error_at(number, error, getattr(model, method))
        if went_on and raised is None:
            assert error is KeyboardInterrupt
            assert_interrupted(model)
        else:
            assert values_of(model) in whole, f"line {number}"
    assert number > 50


def assert_interrupted(model):
    """Ctrl-C in the loop over epochs: what has been learnt is published."""
    assert model.stop_reason_ == "interrupted"
    lengths = {len(column) for column in model.history_.values()}
    assert lengths <= {model.n_iter_}
    assert all(
        a is b for a, b in zip(model.coefs_, model._state.network.weights, strict=True)
    )
    assert np.isfinite(model.predict(iris()[0])).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_defaults_are_valid(name):
    """What validation leaves out."""
    model = getattr(fastmlp, name)()
    params = model.get_params()
    assert params == {row.name: row.default for row in dataclasses.fields(model)}
    validate_parameter_constraints(model._parameter_constraints, params, name)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_predict_on_finite_rows_with_an_infinite_sum(name):
    model = fitted(name)
    X = np.full((3, 4), np.finfo(float).max) * np.array([[1], [-1], [0]])
    model.coefs_[0][...] = 1e-308
    assert np.array_equal(model.predict(X), model.predict(X.tolist()))
