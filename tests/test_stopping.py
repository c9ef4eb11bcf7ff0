"""What training is judged by, why it ends, what it tells, and to whom."""

import copy
import functools
import itertools
import pickle
import re
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network
from fits import fit, iris, unconverged
from scipy.optimize import minimize_scalar
from scipy.special import huber
from sklearn import metrics
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, _kernels
from fastmlp.state import TrainingState
from fastmlp.stopping import Plateau, epoch_of_divergence
from fastmlp.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_blas_thread")

ESTIMATORS = [MLPClassifier, MLPRegressor]
FIRST_ORDER = ["sgd", "adam", "adamw", "adagrad", "rmsprop"]
FULL_BATCH = ["lbfgs", "gd", "steepest", "newton-cg"]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0}
FAST = {**SMALL, "batch_size": 10, "learning_rate_init": 0.01}
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf}
# Moves no parameter by as much as a unit in its last place.
STILL = {"solver": "sgd", "learning_rate_init": 1e-300}


def halves(y=None):
    """Iris to train on and to validate by, with that target."""
    X, labels = iris()
    y = labels if y is None else y
    return X[::2], y[::2], {"X_val": X[1::2], "y_val": y[1::2]}


@functools.cache
def noise():
    """More noise than 50 rows can average out, to train on and to validate by."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(150, 10))
    y = (X[:, 0] + 1.5 * rng.normal(size=150) > 0) * 1
    return X[:50], y[:50], {"X_val": X[50:], "y_val": y[50:]}


def outputs(model, X):
    """Probabilities, or the regressor's predictions."""
    return getattr(model, "predict_proba", model.predict)(X)


def parameters(model):
    """All weights and biases, as a vector of its own."""
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


def assert_same_model(model, expected, X):
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    np.testing.assert_array_equal(outputs(model, X), outputs(expected, X))


class Script:
    """A scorer that says what is written, one score an epoch."""

    def __init__(self, *scores):
        self.scores = list(scores)

    def __call__(self, estimator, X, y):
        return self.scores.pop(0)


# -- validation rows

Y_OF = {
    "binary": lambda X, y: np.array(["no", "yes"])[(y > 0) * 1],
    "multiclass": lambda X, y: np.array(["c", "a", "b"])[y],
    "labels": lambda X, y: np.column_stack([X[:, 0] > 0, X[:, 1] > 0.5, y > 1]) * 1,
    "positive": lambda X, y: np.exp(X[:, 0]) + y,
    "two outputs": lambda X, y: np.column_stack([X[:, 0] + y, np.sin(X[:, 1])]),
}


def sum_over_outputs(metric):
    """Of the columns of targets and predictions."""

    def total(y, p, w):
        columns = zip(y.reshape(len(y), -1).T, p.reshape(len(p), -1).T, strict=True)
        return sum(metric(t, q, sample_weight=w) for t, q in columns)

    return total


def pinball_of(levels):
    def total(y, p, w):
        loss = functools.partial(metrics.mean_pinball_loss, y, sample_weight=w)
        return sum(loss(q, alpha=level) for q, level in zip(p.T, levels, strict=True))

    return total


def d2_of(levels):
    def mean(y, p, w):
        # Without weights, older versions of scikit-learn compare with another constant.
        w = np.ones(len(y)) if w is None else w
        score = functools.partial(metrics.d2_pinball_score, y, sample_weight=w)
        columns = zip(p.reshape(len(y), -1).T, levels, strict=True)
        return np.mean([score(q, alpha=level) for q, level in columns])

    return mean


def d2_absolute(y, p, w):
    w = np.ones(len(y)) if w is None else w
    return metrics.d2_absolute_error_score(y, p, sample_weight=w)


def d2_poisson(y, p, w):
    return metrics.d2_tweedie_score(y, p, sample_weight=w, power=1)


def d2_huber_of(kappa):
    def score(y, p, w):
        def loss(constant_or_outputs):
            return np.average(huber(kappa, y - constant_or_outputs), weights=w)

        ends = {"bounds": (y.min(), y.max()), "options": {"xatol": 1e-12}}
        return 1 - loss(p) / minimize_scalar(loss, **ends).fun

    return score


def log_loss(y, p, w):
    return metrics.log_loss(y, p, sample_weight=w)


def half(metric):
    return lambda *a, **k: metric(*a, **k) / 2


R2, MSE = metrics.r2_score, metrics.mean_squared_error
# Estimator, its target, and scikit-learn's loss of (y, outputs, weights).
VALIDATED = {
    "binary": (MLPClassifier(), "binary", log_loss),
    "multiclass": (MLPClassifier(), "multiclass", log_loss),
    "labels": (MLPClassifier(), "labels", sum_over_outputs(metrics.log_loss)),
    "delta rule": (
        MLPClassifier(loss="squared_error"),
        "binary",
        lambda y, p, w: MSE((y == "yes") * 1, p[:, 1], sample_weight=w) / 2,
    ),
    "regression": (
        MLPRegressor(),
        "two outputs",
        sum_over_outputs(half(MSE)),
    ),
    "absolute": (
        MLPRegressor("absolute_error"),
        "two outputs",
        sum_over_outputs(metrics.mean_absolute_error),
    ),
    "huber": (
        MLPRegressor("huber", huber_delta=0.5),
        "positive",
        lambda y, p, w: np.average(huber(0.5, y - p), weights=w),
    ),
    "poisson": (
        MLPRegressor("poisson"),
        "positive",
        sum_over_outputs(half(metrics.mean_poisson_deviance)),
    ),
    "quantiles": (
        MLPRegressor("quantile", quantile=[0.2, 0.7]),
        "positive",
        pinball_of([0.2, 0.7]),
    ),
    "quantile": (
        MLPRegressor("quantile", quantile=0.8),
        "positive",
        lambda y, p, w: metrics.mean_pinball_loss(y, p, sample_weight=w, alpha=0.8),
    ),
}
# What a regressor is judged by, where it is not R².
JUDGED_BY = {
    "absolute": d2_absolute,
    "huber": d2_huber_of(0.5),
    "poisson": d2_poisson,
    "quantiles": d2_of([0.2, 0.7]),
    "quantile": d2_of([0.8]),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", VALIDATED)
def test_scores_and_losses_of_every_epoch_are_scikit_learns(case, weighted):
    model, target, loss = VALIDATED[case]
    X, y, held_out = halves(Y_OF[target](*iris()))
    w = np.linspace(0, 3, len(y)) if weighted else None
    model = clone(model).set_params(**FAST, alpha=1.0)
    twin = clone(model)
    fit(model, X, y, **held_out, sample_weight_val=w)
    X_val, y_val = held_out.values()
    losses, scores = [], []
    for epoch in range(6):
        first = (
            {} if epoch or isinstance(twin, MLPRegressor) else {"classes": set_of(y)}
        )
        twin.partial_fit(X, y, **first)
        losses.append(loss(y_val, outputs(twin, X_val), w))
        score = twin.score(X_val, y_val, w)
        if case == "poisson":
            assert score == R2(y_val, twin.predict(X_val), sample_weight=w)
        if case in JUDGED_BY:
            scores.append(JUDGED_BY[case](y_val, twin.predict(X_val), w))
        else:
            scores.append(score)
        if case != "poisson":
            assert score == pytest.approx(scores[-1], rel=1e-9)
    assert_same_model(model, twin, X)
    np.testing.assert_allclose(model.validation_loss_curve_, losses, rtol=1e-9)
    np.testing.assert_allclose(model.validation_scores_, scores, rtol=1e-9)
    assert model.validation_scores_ == model.history_["validation_score"]
    assert model.validation_loss_curve_ == model.history_["validation_loss"]
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert len(set(model.validation_loss_curve_)) == 6


def set_of(y):
    return np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_whole_validation_weights_are_repeated_rows(cls, early_stopping):
    X, y, held_out = halves()
    times = np.arange(len(y)) % 3
    repeated = {k: np.repeat(v, times, axis=0) for k, v in held_out.items()}
    params = {**FAST, "early_stopping": early_stopping}
    model = fit(cls(**params), X, y, **held_out, sample_weight_val=times)
    expected = fit(cls(**params), X, y, **repeated)
    for column in ("validation_score", "validation_loss"):
        np.testing.assert_allclose(
            model.history_[column], expected.history_[column], rtol=1e-10
        )


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("params", [{}, {"dropout": 0.3, "batch_norm": True}], ids=str)
def test_validation_rows_are_only_looked_at(cls, params):
    X, y, held_out = halves()
    model = fit(cls(**FAST, **params), X, y, **held_out)
    plain = fit(cls(**FAST, **params), X, y)
    assert_same_model(model, plain, X)
    assert model.loss_curve_ == plain.loss_curve_
    assert model.t_ == plain.t_ == 6 * len(X)
    assert set(model.history_) - set(plain.history_) == {
        "validation_score",
        "validation_loss",
    }
    for name in ("validation_scores_", "validation_loss_curve_"):
        assert len(getattr(model, name)) == 6
        assert getattr(plain, name) is None
    assert plain.best_validation_score_ is None
    assert model.best_loss_ == plain.best_loss_ == min(plain.loss_curve_)


FORMS = {
    "lists": lambda a: a.tolist(),
    "float32": lambda a: a.astype(np.float32) if a.ndim == 2 else a,
    "fortran": np.asfortranarray,
    "sparse": lambda a: scipy.sparse.csc_array(a) if a.ndim == 2 else a,
    "sparse float32": lambda a: (
        scipy.sparse.csr_array(a.astype(np.float32)) if a.ndim == 2 else a
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_validation_rows_in_every_form(form):
    X, y, held_out = halves()
    expected = fit(MLPClassifier(**FAST, early_stopping=True), X, y, **held_out)
    given = {name: FORMS[form](rows) for name, rows in held_out.items()}
    model = fit(MLPClassifier(**FAST, early_stopping=True), X, y, **given)
    assert model.validation_scores_ == expected.validation_scores_
    np.testing.assert_allclose(
        model.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-5
    )


@pytest.mark.parametrize("scoring", [None, "recall_macro"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_data_frames_are_validated_without_a_warning(early_stopping, scoring):
    pandas = pytest.importorskip("pandas", reason="data frames come from pandas")
    X, y, held_out = halves()
    frame = functools.partial(pandas.DataFrame, columns=list("abcd"))
    model = MLPClassifier(**FAST, early_stopping=early_stopping, scoring=scoring)
    expected = fit(clone(model), X, y, **held_out)
    fit(model, frame(X), y, X_val=frame(held_out["X_val"]), y_val=held_out["y_val"])
    assert model.history_["validation_score"] == expected.history_["validation_score"]
    assert list(model.feature_names_in_) == list("abcd")
    if early_stopping:
        fit(model, frame(X), y)
    with pytest.raises(ValueError, match="feature names"):
        fit(model, frame(X), y, X_val=frame(X)[list("dcba")], y_val=y)


# -- early stopping

# Draws a target; the level that is trained, which is far from the mean's.
SKEWED = {
    "exponential": (lambda rng, n: rng.exponential(size=n), 0.9),
    "lognormal": (lambda rng, n: rng.lognormal(size=n), 0.8),
    "gamma": (lambda rng, n: -rng.gamma(2, size=n), 0.15),
}


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("case", SKEWED)
def test_a_quantile_under_early_stopping_has_its_share_of_rows_below(case, seed):
    draw, level = SKEWED[case]
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(1500, 3))
    y = draw(rng, 1500) * (1 + 0.3 * np.tanh(X[:, 0]))
    params = {"early_stopping": True, "learning_rate_init": 0.01, "random_state": seed}
    model = MLPRegressor("quantile", (20,), quantile=level, **params).fit(X, y)
    assert np.mean(y <= model.predict(X)) == pytest.approx(level, abs=0.04)
    in_a_list = clone(model).set_params(quantile=[level]).fit(X, y)
    np.testing.assert_array_equal(parameters(model), parameters(in_a_list))
    assert model.score(X, y) == in_a_list.score(X, y)


@pytest.mark.parametrize("params", [{}, {"batch_norm": True, "dropout": 0.2}], ids=str)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_best_weights_by_validation_rows_come_back(cls, params):
    X, y, held_out = noise()
    params = {**FAST, **params, "learning_rate_init": 0.03, "early_stopping": True}
    model = cls(**{**params, "max_iter": 60, "n_iter_no_change": 6})
    fit(model, X, y, **held_out)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert model.stop_reason_ == "early_stopping"
    assert 1 < best < model.n_iter_ < 60
    shorter = fit(cls(**{**params, "max_iter": best}), X, y, **held_out)
    assert_same_model(model, shorter, X)
    assert model.best_validation_score_ == model.validation_scores_[best - 1]
    score = model.score(*held_out.values())
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)
    assert model.best_loss_ is None
    assert model.t_ == len(X) * model.n_iter_


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("best", [1, 3])
@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_patience_counts_epochs_without_a_better_score(solver, best, patience):
    X, y, held_out = halves()
    scores = [*range(1, best), 10, *[9] * 50]
    params = {"solver": solver, "n_iter_no_change": patience, "early_stopping": True}
    model = MLPClassifier(**{**FAST, **params, "max_iter": 50}, scoring=Script(*scores))
    model.fit(X, y, **held_out)
    assert (model.n_iter_, model.stop_reason_) == (
        best + patience + 1,
        "early_stopping",
    )
    assert model.validation_scores_ == scores[: model.n_iter_]
    assert model.best_validation_score_ == 10
    expected = fit(MLPClassifier(**{**FAST, "solver": solver, "max_iter": best}), X, y)
    assert_same_model(model, expected, X)


def test_one_bad_epoch_alone_never_stops():
    X, y, held_out = halves()
    params = {**FAST, "max_iter": 12, "n_iter_no_change": 1, "early_stopping": True}
    scores = Script(1, 0, 2, 1, 3, 2, 4, 3, 5, 4, 6, 5)
    model = fit(MLPClassifier(**params, scoring=scores), X, y, **held_out)
    assert (model.n_iter_, model.stop_reason_) == (12, "max_iter")
    expected = fit(MLPClassifier(**{**FAST, "max_iter": 11}), X, y)
    assert_same_model(model, expected, X)


def test_steps_smaller_than_tol_do_not_count_but_are_kept():
    X, y, held_out = halves()
    params = {**FAST, "n_iter_no_change": 2, "early_stopping": True, "tol": 0.08}
    scores = Script(0.0, 0.05, 0.10, 0.15, 0.2)
    model = MLPClassifier(**params, scoring=scores).fit(X, y, **held_out)
    assert (model.n_iter_, model.stop_reason_) == (4, "early_stopping")
    assert model.best_validation_score_ == 0.15
    assert_same_model(model, fit(MLPClassifier(**{**FAST, "max_iter": 4}), X, y), X)


SCORERS = [
    (MLPClassifier, "recall_macro"),
    (MLPClassifier, "neg_log_loss"),
    (MLPClassifier, "roc_auc_ovr"),
    (MLPClassifier, "balanced_accuracy"),
    (MLPClassifier, metrics.make_scorer(metrics.cohen_kappa_score)),
    (MLPRegressor, "neg_mean_absolute_error"),
    (MLPRegressor, "explained_variance"),
    (MLPRegressor, "r2"),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("cls", "scoring"), SCORERS, ids=str)
def test_any_scorer_judges(cls, scoring, weighted):
    X, y, held_out = halves(
        Y_OF["multiclass"](*iris()) if cls is MLPClassifier else None
    )
    weights = {"sample_weight": np.linspace(0, 3, len(y))} if weighted else {}
    given = {f"{name}_val": w for name, w in weights.items()}
    params = {**FAST, "early_stopping": True, "n_iter_no_change": np.inf}
    model = fit(cls(**params, scoring=scoring), X, y, **held_out, **given)
    scorer = metrics.check_scoring(model, scoring)
    twin, expected = cls(**FAST), []
    for epoch in range(6):
        first = {} if epoch or cls is MLPRegressor else {"classes": np.unique(y)}
        twin.partial_fit(X, y, **first)
        expected.append(scorer(twin, *held_out.values(), **weights))
    np.testing.assert_allclose(model.validation_scores_, expected, rtol=1e-10)
    best = scorer(model, *held_out.values(), **weights)
    assert best == pytest.approx(max(expected), rel=1e-10)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_scorer_is_handed_the_rows_held_out_with_the_users_labels(sparse):
    X, y = iris()
    seen = []

    def scorer(estimator, X, y):
        assert estimator.predict(X).shape == y.shape
        seen.append((X, y))
        return float((estimator.predict(X) == y).mean())

    names = np.array(["c", "a", "b"])[y]
    model = MLPClassifier(**FAST, early_stopping=True, scoring=scorer)
    model.set_params(validation_fraction=0.2)
    fit(model, scipy.sparse.csr_array(X) if sparse else X, names)
    rows, labels = seen[0]
    rows = rows.toarray() if sparse else rows
    assert rows.shape == (30, 4)
    for row, label in zip(rows, labels, strict=True):
        assert label in names[(row == X).all(axis=1)]
    default = fit(clone(model).set_params(scoring=None), X, names)
    assert model.validation_scores_ == pytest.approx(default.validation_scores_)
    assert not hasattr(clone(model), "classes_")


def test_a_scorer_of_three_arguments_will_do_where_rows_are_weighted():
    X, y = iris()
    params = {**FAST, "early_stopping": True, "scoring": Script(*range(6))}
    model = fit(MLPClassifier(**params), X, y, np.ones(len(y)))
    assert model.validation_scores_ == [*range(6)]


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_rows_held_out_must_not_all_weigh_nothing(cls):
    X, y = iris()
    model = cls(**FAST, early_stopping=True)
    with pytest.raises(ValueError, match=r"[Ww]eight"):
        fit(model, X, y, np.arange(len(y)) < 3)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("scoring", [None, "f1_macro"])
def test_indicator_matrices_may_be_sparse(scoring):
    X, y = iris()
    Y = Y_OF["labels"](X, y)
    model = MLPClassifier(**FAST, scoring=scoring)
    expected = fit(clone(model), X, Y, X_val=X, y_val=Y)
    sparse = scipy.sparse.csr_matrix(Y)
    fit(model, X, sparse, X_val=X, y_val=sparse)
    assert model.validation_scores_ == expected.validation_scores_
    assert_same_model(model, expected, X)


def test_a_scorer_that_fails_leaves_the_old_model():
    X, y, held_out = halves()
    model = fit(MLPClassifier(**FAST), X, y)
    before = pickle.dumps(vars(model))
    for scoring, error in [(Script(0.1), IndexError), (Script(None), TypeError)]:
        model.set_params(scoring=scoring)
        with pytest.raises(error):
            fit(model, X, y, **held_out)
        model.set_params(scoring=None)
        assert pickle.dumps(vars(model)) == before


def test_a_fit_without_warm_start_begins_all_curves_anew():
    X, y, held_out = halves()
    model = fit(MLPClassifier(**FAST), X, y, **held_out)
    first = model.validation_scores_, model.validation_loss_curve_, model.loss_curve_
    fit(model, X, y, **held_out)
    again = model.validation_scores_, model.validation_loss_curve_, model.loss_curve_
    assert again == first


def test_no_number_is_no_best_score():
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True}
    model = MLPClassifier(**params, scoring=Script(np.nan, 0.5, 0.9, np.nan, 0.1, 0.2))
    fit(model, X, y, **held_out)
    assert model.best_validation_score_ == 0.9
    assert_same_model(model, fit(MLPClassifier(**{**FAST, "max_iter": 3}), X, y), X)


NAN = float("nan")
# Scores, epochs run with a patience of 2, and the epoch that was best.
WITH_NAN = {
    "at first": ([NAN, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6], 6, 3),
    "every third epoch": ([0.5, 0.4, NAN, 0.4, 0.3, NAN, 0.2, 0.1, NAN], 4, 1),
    "from the second epoch on": ([0.5, *[NAN] * 9], 4, 1),
    "between better ones": ([0.1, NAN, 0.2, NAN, NAN, 0.3, NAN, NAN, NAN], 9, 6),
    "first of two": ([NAN, NAN, -7.0, -8.0, -9.0, -9.5, -9.9], 6, 3),
}


@pytest.mark.parametrize("case", WITH_NAN)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_nan_is_no_improvement(cls, case):
    scores, n_iter, best = WITH_NAN[case]
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True, "n_iter_no_change": 2, "max_iter": 9}
    model = fit(cls(**params, scoring=Script(*scores)), X, y, **held_out)
    assert (model.n_iter_, model.stop_reason_) == (n_iter, "early_stopping")
    assert model.best_validation_score_ == scores[best - 1]
    assert_same_model(model, fit(cls(**{**FAST, "max_iter": best}), X, y), X)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scores_that_are_all_nan_end_training_with_a_warning(cls, patience, given):
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True, "n_iter_no_change": patience}
    model = cls(**params, scoring=lambda estimator, X, y: NAN)
    with pytest.warns(UndefinedMetricWarning, match="All . validation scores") as told:
        model.fit(X, y, **(held_out if given else {}))
    assert [warning.filename for warning in told] == [__file__]
    assert (model.n_iter_, model.stop_reason_) == (patience + 1, "early_stopping")
    assert np.isnan(model.best_validation_score_)
    last = np.arange(patience + 1)[::-1]
    shorter = {"max_iter": patience + 1, "scoring": Script(*-last)}
    expected = fit(
        clone(model).set_params(**shorter), X, y, **held_out if given else {}
    )
    assert_same_model(model, expected, X)


@pytest.mark.parametrize(
    ("scores", "best"), [([0.1, NAN, 0.7], 0.7), ([NAN, -2, -1], -1), ([3, 2, NAN], 3)]
)
def test_the_best_of_recorded_scores_leaves_nan_out(scores, best):
    X, y, held_out = halves()
    params = {**FAST, "max_iter": 3, "scoring": Script(*scores)}
    assert fit(MLPClassifier(**params), X, y, **held_out).best_validation_score_ == best
    params["scoring"] = Script(NAN, NAN, NAN)
    model = fit(MLPClassifier(**params), X, y, **held_out)
    assert np.isnan(model.best_validation_score_)


def test_a_warm_start_without_a_score_keeps_what_was_best():
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True, "warm_start": True, "max_iter": 3}
    model = MLPClassifier(**params, scoring=Script(1, 2, 1, NAN, NAN, NAN))
    before = parameters(fit(model, X, y, **held_out))
    with pytest.warns(UndefinedMetricWarning, match="All 3 validation scores"):
        fit(model, X, y, **held_out)
    assert model.best_validation_score_ == 2
    np.testing.assert_array_equal(parameters(model), before)


@pytest.mark.parametrize("values", [[NAN] * 4, [-1.0, NAN, NAN, NAN, NAN]])
def test_a_plateau_counts_nan(values):
    plateau = Plateau()
    better = [plateau.update(value, tol=1e-4) for value in values]
    assert better == [not np.isnan(value) for value in values]
    assert plateau.n_stalled == 4


def test_warm_starts_extend_the_curves_and_begin_the_history_anew():
    X, y, held_out = halves()
    params = {**FAST, **UNSTOPPED}
    model = fit(MLPClassifier(**params, warm_start=True), X, y, **held_out)
    first = copy.deepcopy(model.history_)
    fit(model, X, y, **held_out)
    whole = fit(MLPClassifier(**{**params, "max_iter": 12}), X, y, **held_out)
    curves = {
        "loss": "loss_curve_",
        "validation_score": "validation_scores_",
        "validation_loss": "validation_loss_curve_",
    }
    for column, attribute in curves.items():
        curve = getattr(model, attribute)
        np.testing.assert_allclose(curve, getattr(whole, attribute), rtol=1e-9)
        assert curve == first[column] + model.history_[column]
    assert model.n_iter_ == len(model.history_["seconds"]) == 6
    assert model.best_validation_score_ == max(model.validation_scores_)
    fit(model, X, y)
    assert model.validation_scores_ is model.validation_loss_curve_ is None
    assert len(model.loss_curve_) == 18


def test_a_warm_start_under_early_stopping_keeps_what_was_better():
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True, "warm_start": True}
    model = MLPClassifier(**params, scoring=Script(1, 2, 9, 3, 4, 5, *range(6)))
    before = parameters(fit(model, X, y, **held_out))
    fit(model, X, y, **held_out)
    assert model.best_validation_score_ == 9
    np.testing.assert_array_equal(parameters(model), before)


# -- validation rows that cannot tell good from bad

ALIKE = {
    "one class": (MLPClassifier(), "binary", lambda y: y == "yes"),
    "one class of three": (MLPClassifier(), "multiclass", lambda y: y == "a"),
    "one set of labels": (MLPClassifier(), "labels", lambda y: ~y.any(axis=1)),
    "constant targets": (MLPRegressor(), "positive", lambda y: y == y.max()),
    "two constants": (MLPRegressor(), "two outputs", lambda y: (y == y[3]).all(axis=1)),
    "constant counts": (MLPRegressor("poisson"), "positive", lambda y: y == y.max()),
    "constant quantile": (MLPRegressor("quantile"), "positive", lambda y: y == y.max()),
}


def alike(case):
    """A model; iris with that target; some of its rows, which have the same target."""
    model, target, choose = ALIKE[case]
    X, y = iris()[0], Y_OF[target](*iris())
    rows = np.flatnonzero(choose(y)).repeat(2)
    return clone(model).set_params(**FAST), X, y, {"X_val": X[rows], "y_val": y[rows]}


@pytest.mark.parametrize("reason", ["early_stopping", "stop_on_overfit"])
@pytest.mark.parametrize("case", ALIKE)
def test_training_is_not_judged_by_rows_with_the_same_target(case, reason):
    model, X, y, held_out = alike(case)
    n_rows = len(held_out["y_val"])
    assert n_rows > 1
    told = []
    model.set_params(**{reason: True}, callbacks=[lambda *a: told.append(a)])
    with pytest.raises(ValueError, match="All rows of y_val have the same target"):
        fit(model, X, y, **held_out)
    assert not told
    # One row that differs, but weighs nothing, changes nothing; then it does.
    other = np.flatnonzero((y != held_out["y_val"][0]).reshape(len(y), -1).any(axis=1))
    held_out = {
        "X_val": np.vstack([held_out["X_val"], X[other[:1]]]),
        "y_val": np.concatenate([held_out["y_val"], y[other[:1]]]),
    }
    weights = np.append(np.ones(n_rows), 0.0)
    with pytest.raises(ValueError, match="All rows of y_val have the same target"):
        fit(model, X, y, **held_out, sample_weight_val=weights)
    fit(model, X, y, **held_out)
    assert told


@pytest.mark.parametrize("case", ALIKE)
def test_rows_with_the_same_target_may_be_recorded(case):
    model, X, y, held_out = alike(case)
    fit(model, X, y, **held_out)
    assert len(model.validation_scores_) == 6
    score = model.score(*held_out.values())
    if case != "constant counts":
        assert model.best_validation_score_ >= model.validation_scores_[-1] == score


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("scoring", [None, Script(*range(6))], ids=["own", "given"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_one_validation_row_is_too_small_a_set(cls, scoring, early_stopping):
    X, y = iris()
    model = cls(**FAST, early_stopping=early_stopping, scoring=scoring)
    one = {"X_val": X[:1], "y_val": y[:1]}
    assert_refused(model, "X_val needs at least two", X, y, **one)
    many = {"X_val": X, "y_val": y, "sample_weight_val": np.eye(len(y))[7]}
    assert_refused(model, "X_val needs at least two", X, y, **many)


def test_rows_held_out_with_the_same_target_are_warned_of():
    """The numbers stay scikit-learn's."""
    X = iris()[0]
    y = (np.arange(150) == 3) * 1.0
    params = {**FAST, "early_stopping": True}
    model = MLPRegressor(**params)
    with pytest.warns(UndefinedMetricWarning, match="that were held out") as told:
        fit(model, X, y)
    assert len(told) == 1
    theirs = fit(sklearn.neural_network.MLPRegressor(**params), X, y)
    assert model.validation_scores_ == theirs.validation_scores_ == [0.0] * 6
    np.testing.assert_allclose(model.coefs_[0], theirs.coefs_[0])
    with pytest.warns(UndefinedMetricWarning, match="that were held out") as told:
        MLPRegressor(**{**params, "max_iter": 99, "n_iter_no_change": 1}).fit(X, y)
    assert [warning.filename for warning in told] == [__file__]


# -- classes that are missing from the validation rows


@functools.cache
def rare(n_rare=6, n=150):
    """Four classes, one of which is rare, told by strings."""
    rng = np.random.RandomState(1)
    y = np.array(["b", "a", "d"])[rng.randint(0, 3, n)]
    y[rng.choice(n, n_rare, replace=False)] = "c"
    X = rng.normal(size=(n, 4)) + np.eye(4)[np.unique(y, return_inverse=True)[1]]
    return X, y


def held_out_rows(model, X, y):
    """Labels that a scorer was given, in a fit that is like the model's."""
    seen = []

    def spy(estimator, X, y):
        seen.append(y)
        return 0.0

    fit(clone(model).set_params(scoring=spy, max_iter=1), X, y)
    return seen[-1]


def seeds_without_rare(n_rare=6):
    """Seeds whose held-out rows lack the rare class."""
    X, y = rare(n_rare)
    params = {**FAST, "early_stopping": True}
    for seed in range(100):
        model = MLPClassifier(**{**params, "random_state": seed})
        if "c" not in held_out_rows(model, X, y):
            yield seed


def own_log_loss(estimator, X, y):
    """As a user writes it who does not think of missing classes."""
    return -metrics.log_loss(y, estimator.predict_proba(X))


READ_PROBABILITIES = [
    "neg_log_loss",
    "roc_auc_ovr",
    "roc_auc_ovo",
    "roc_auc_ovr_weighted",
    own_log_loss,
]


@pytest.mark.filterwarnings("ignore:Only one class is present")
@pytest.mark.parametrize("scoring", READ_PROBABILITIES)
def test_a_rare_class_that_was_not_held_out_is_judged_all_the_same(scoring):
    X, y = rare()
    for seed in itertools.islice(seeds_without_rare(), 3):
        params = {**FAST, "random_state": seed, "early_stopping": True}
        model = fit(MLPClassifier(**params, scoring=scoring), X, y)
        assert model.n_iter_ == 6
        assert np.isfinite(model.validation_scores_).all()
        assert len(set(model.validation_scores_)) > 3
        assert model.t_ in (6 * 135, 6 * 134)


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_is_told_of_all_classes(weighted):
    X, y, w = *rare(), np.linspace(0.1, 3, 150)
    here = np.arange(150) % 3 == 0
    X_val, y_val, w_val = X[here & (y != "c")], y[here & (y != "c")], None
    if weighted:
        w_val = w[here & (y != "c")]
    model = MLPClassifier(**FAST, early_stopping=True, scoring="neg_log_loss")
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": w_val}
    fit(model, X[~here], y[~here], **given)
    P = model.predict_proba(X_val)
    expected = metrics.log_loss(y_val, P, sample_weight=w_val, labels=list("abcd"))
    assert model.best_validation_score_ == pytest.approx(-expected, rel=1e-12)
    losses = np.array(model.validation_loss_curve_)
    np.testing.assert_allclose(model.validation_scores_, -losses, rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 3, 8])
@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "f1_micro"])
def test_the_split_stays_where_the_scorer_can_judge_it(scoring, seed):
    """That of scikit-learn, whether or not the rare class is in it."""
    X, y = rare()
    params = {**FAST, "random_state": seed, "early_stopping": True}
    theirs = fit(sklearn.neural_network.MLPClassifier(**params, tol=0), X, y)
    mine = fit(MLPClassifier(**params, tol=0, scoring=scoring), X, y)
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    if scoring != "neg_log_loss":
        assert mine.validation_scores_ == pytest.approx(theirs.validation_scores_)


def test_one_row_of_a_missing_class_is_held_out_and_not_trained_on():
    X, y = rare(n_rare=2)
    seed = next(seeds_without_rare(n_rare=2))
    seen = []

    def auc(estimator, X, y):
        seen.append((X, y))
        P = estimator.predict_proba(X)
        return metrics.roc_auc_score(y, P, multi_class="ovr", labels=list("abcd"))

    params = {**FAST, "random_state": seed, "early_stopping": True, "max_iter": 1}
    model = fit(MLPClassifier(**params, scoring=auc), X, y)
    rows, labels = seen[-1]
    before = held_out_rows(model, X, y)
    assert list(labels) == [*before, "c"]
    assert (X[y == "c"] == rows[-1]).all(axis=1).any()
    assert model.t_ == 150 - len(labels)


@pytest.mark.parametrize("scoring", READ_PROBABILITIES[1:2] + READ_PROBABILITIES[4:])
def test_a_class_of_one_row_is_an_error_before_training(scoring):
    X, y = rare(n_rare=1)
    told = []
    seed = next(seeds_without_rare(n_rare=1))
    params = {**FAST, "random_state": seed, "early_stopping": True}
    model = MLPClassifier(**params, callbacks=[lambda *a: told.append(a)])
    with pytest.raises(ValueError, match=r"cannot judge the rows held out.*class 'c'"):
        fit(model.set_params(scoring=scoring), X, y)
    assert not told
    assert not hasattr(model, "coefs_")
    fit(model.set_params(scoring="neg_log_loss"), X, y)
    assert np.isfinite(model.validation_scores_).all()


LACKING = {
    "multiclass": ("multiclass", lambda y: y != "b", "roc_auc_ovr", "class 'b'"),
    "two of three": ("multiclass", lambda y: y == "b", own_log_loss, "class 'a', 'c'"),
    "binary": ("binary", lambda y: y == "no", "roc_auc", "class 'yes'"),
    "labels": ("labels", lambda y: y[:, 1] == 0, "roc_auc", "label 1"),
}


@pytest.mark.parametrize("case", LACKING)
def test_x_val_without_a_class_is_an_error_before_training(case):
    target, choose, scoring, names = LACKING[case]
    X, y = iris()[0], Y_OF[target](*iris())
    some = choose(y)
    held_out = {"X_val": X[some], "y_val": y[some]}
    told = []
    model = MLPClassifier(**FAST, early_stopping=True, scoring=scoring)
    model.set_params(callbacks=[lambda *a: told.append(a)])
    with pytest.raises(ValueError, match=f"cannot judge X_val and y_val.*{names}"):
        fit(model, X, y, **held_out)
    assert not told
    fit(model.set_params(scoring="accuracy"), X, y, **held_out)
    assert len(told) == 6


class Judge:
    """A scorer that takes down the rows that it judges by."""

    def __init__(self, scores=()):
        self.rows, self.scores = [], list(scores)

    def __call__(self, estimator, X, y):
        self.rows.append(X[:, 0].tolist())
        return self.scores.pop(0) if self.scores else len(self.rows)


def numbered(n_rows=60):
    """Rows whose first feature is their number, and three classes."""
    rng = np.random.RandomState(3)
    X = np.column_stack([np.arange(n_rows, dtype=float), rng.normal(size=n_rows)])
    return X, np.arange(n_rows) % 3


STREAMS = {
    "a seed": lambda: 5,
    "a stream": lambda: np.random.RandomState(5),
    # Seeds NumPy's own, and returns None. A draw without a class is judged twice.
    "NumPy's": lambda: np.random.seed(5),
}
STOPPED_EARLY = {**FAST, "early_stopping": True, "warm_start": True, "max_iter": 2}


def rows_of_the_next_fit(model, X, y, monkeypatch):
    """Rows that the next fit's first epoch trains on."""
    seen, run_epoch = [], Trainer.run_epoch

    def watch(trainer, order, *arguments):
        seen.append(order.tolist())
        return run_epoch(trainer, order, *arguments)

    monkeypatch.setattr(Trainer, "run_epoch", watch)
    fit(model, X, y)
    return seen[0]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.55])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_rows_once_held_out_stay_held_out(cls, stream, fraction, monkeypatch):
    X, y = numbered()
    judge = Judge()
    params = {**STOPPED_EARLY, "random_state": STREAMS[stream]()}
    model = cls(**params, validation_fraction=fraction, scoring=judge)
    for _ in range(4):
        fit(model, X, y)
    assert len(judge.rows) == 8
    assert all(rows == judge.rows[0] for rows in judge.rows)
    held_out = set(judge.rows[0])
    assert len(held_out) == np.ceil(fraction * 60)
    assert model._state.order.n_rows + len(held_out) == 60
    trained_on = rows_of_the_next_fit(model, X, y, monkeypatch)
    assert held_out.isdisjoint(X[trained_on, 0])
    assert len(set(trained_on)) == len(trained_on) == model._state.order.n_rows


@pytest.mark.parametrize("n_held_out", [12, 7, 3])
def test_the_first_fit_holds_out_scikit_learns_rows(n_held_out):
    X, y = numbered()
    judge, theirs = Judge(), []

    class Watched(sklearn.neural_network.MLPRegressor):
        def _score(self, X, y, sample_weight=None):
            theirs.append(X[:, 0].tolist())
            return 0.0

    params = {**STOPPED_EARLY, "validation_fraction": n_held_out / 60}
    fit(MLPRegressor(**params, scoring=judge), X, y)
    fit(Watched(**params), X, y)
    assert judge.rows == theirs
    assert len(judge.rows[0]) == n_held_out


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_warm_fits_under_early_stopping_are_one(cls, shuffle):
    """Where every epoch is the best, as in a fit of as many epochs."""
    X, y = iris()
    params = {**FAST, "early_stopping": True, "shuffle": shuffle, "dropout": 0.2}
    whole = fit(cls(**params, scoring=Judge()), X, y)
    model = cls(**{**params, "max_iter": 2}, scoring=Judge(), warm_start=True)
    for _ in range(3):
        fit(model, X, y)
        judge = model.scoring
        model = pickle.loads(pickle.dumps(model))
        assert model.scoring is not judge
    np.testing.assert_allclose(parameters(model), parameters(whole), rtol=1e-10)
    assert model.validation_scores_ == whole.validation_scores_ == [1, 2, 3, 4, 5, 6]


CHANGES = {
    "fewer rows": lambda X, y: {"X": X[:50], "y": y[:50]},
    "one row more": lambda X, y: {"X": X[[*range(60), 0]], "y": y[[*range(60), 0]]},
    "rows of the caller's": lambda X, y: {"X_val": X[:9], "y_val": y[:9]},
    "a larger share": lambda X, y: {"validation_fraction": 0.4},
    "another scorer": lambda X, y: {"scoring": "accuracy"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_best_score_of_something_else_is_forgotten(change):
    X, y = numbered()
    judge = Judge([8, 9, 1, 2])
    model = fit(MLPClassifier(**STOPPED_EARLY, scoring=judge), X, y)
    changed = {"X": X, "y": y, **CHANGES[change](X, y)}
    fit_arguments = {
        k: changed.pop(k) for k in [*changed] if k in ("X", "y") or "_val" in k
    }
    fit(model.set_params(**changed), **fit_arguments)
    assert model.best_validation_score_ == max(model.validation_scores_[2:]) < 8
    assert len(model.validation_scores_) == 4


def test_rows_are_held_out_anew_where_there_are_others():
    X, y = numbered(80)
    judge = Judge()
    model = fit(MLPRegressor(**STOPPED_EARLY, scoring=judge), X[:60], y[:60])
    for _ in range(2):
        fit(model, X, y)
    assert [len(rows) for rows in judge.rows] == [6, 6, 8, 8, 8, 8]
    assert judge.rows[2] == judge.rows[5]


# -- over-fitting


def scripted(scores, **params):
    """Fitted on a loss that falls, with scores that do as they are told."""
    X, y, held_out = halves()
    params = {**FAST, "n_iter_no_change": 3, "max_iter": len(scores), **params}
    model = MLPClassifier(**params, scoring=Script(*scores))
    return fit(model, X, y, **held_out)


PEAK_AT_THREE = [0.1, 0.2, 0.9, *[0.5] * 12]


@pytest.mark.parametrize(
    ("scores", "seen"),
    [
        ([NAN] * 9, None),
        ([NAN, NAN, NAN, NAN, NAN, 0.2, 0.3, 0.4, 0.5], None),
        ([NAN, 0.9, NAN, 0.5, NAN, 0.5, 0.5, NAN, 0.5], 2),
        ([0.1, NAN, 0.9, NAN, 0.5, NAN, NAN, 0.5, NAN], 3),
    ],
)
def test_no_score_is_no_peak(scores, seen):
    model = scripted(scores)
    assert model.overfit_epoch_ == seen
    reason = "max_iter" if seen is None else "overfitting"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        model = scripted(scores, stop_on_overfit=True)
    assert (model.stop_reason_, model.overfit_epoch_) == (reason, seen)


def test_stop_on_overfit_warns_where_no_score_is_a_number():
    with pytest.warns(UndefinedMetricWarning, match="All 5 validation scores"):
        scripted([NAN] * 5, stop_on_overfit=True)


def test_over_fitting_is_seen_and_training_goes_on():
    model = scripted(PEAK_AT_THREE)
    assert (np.diff(model.loss_curve_) < 0).all()
    assert (model.overfit_epoch_, model.n_iter_) == (3, 15)
    assert model.stop_reason_ == "max_iter"


def test_training_stops_on_over_fitting_if_asked():
    model = scripted(PEAK_AT_THREE, stop_on_overfit=True)
    assert (model.stop_reason_, model.overfit_epoch_) == ("overfitting", 3)
    assert model.n_iter_ == 3 + 3 + 1
    X, y, _ = halves()
    assert_same_model(model, fit(MLPClassifier(**{**FAST, "max_iter": 7}), X, y), X)


@pytest.mark.parametrize("stop_on_overfit", [False, True])
def test_early_stopping_sees_over_fitting_too(stop_on_overfit):
    params = {"early_stopping": True, "stop_on_overfit": stop_on_overfit}
    model = scripted(PEAK_AT_THREE, **params)
    assert (model.overfit_epoch_, model.n_iter_) == (3, 7)
    assert model.stop_reason_ in ("early_stopping", "overfitting")
    assert (model.stop_reason_ == "overfitting") == stop_on_overfit
    X, y, _ = halves()
    assert_same_model(model, fit(MLPClassifier(**{**FAST, "max_iter": 3}), X, y), X)


def test_gains_below_tol_do_not_count_against_over_fitting():
    creeping = [0.1, 0.2, 0.5, *(0.5 + 0.001 * np.arange(1, 13))]
    model = scripted(creeping, tol=0.02, n_iter_no_change=2)
    assert model.overfit_epoch_ == 3
    assert scripted(creeping, tol=1e-4, n_iter_no_change=2).overfit_epoch_ is None


def test_a_loss_that_stands_still_is_no_over_fitting():
    """Training comes to rest where the score is best, and loss and score stay."""

    def rate(epoch):
        return 0.01 if epoch < 3 else 1e-300

    params = {"learning_rate": rate, "shuffle": False, "tol": 1e-6}
    model = scripted([0.1, 0.2, 0.3, 0.9, *[0.5] * 8], **params)
    assert (np.diff(model.loss_curve_[:4]) < -1e-3).all()
    assert (model.stop_reason_, model.n_iter_) == ("tol", 4 + 3 + 1)
    assert model.overfit_epoch_ is None


NOT_OVERFITTED = {
    "scores that rise": (np.linspace(0, 1, 15), {}),
    "a loss that does not fall": (PEAK_AT_THREE, STILL),
    "patience without end": (PEAK_AT_THREE, {"n_iter_no_change": np.inf}),
    "patience that is just enough": (PEAK_AT_THREE[:6], {}),
    "recovery in time": ([0.1, 0.2, 0.9, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5], {}),
}


@pytest.mark.parametrize("case", NOT_OVERFITTED)
def test_no_over_fitting_where_there_is_none(case):
    scores, params = NOT_OVERFITTED[case]
    model = scripted(scores, stop_on_overfit=True, **{"tol": 1e-6, **params})
    assert model.overfit_epoch_ is None
    assert model.stop_reason_ in ("max_iter", "tol")


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_noise_is_over_fitted(cls):
    X, y, held_out = noise()
    params = {"hidden_layer_sizes": (50,), "learning_rate_init": 0.01, "max_iter": 80}
    model = fit(cls(**params, random_state=0), X, y, **held_out)
    seen = model.overfit_epoch_
    assert 1 <= seen < 40
    assert model.validation_scores_[seen - 1] >= max(model.validation_scores_) - 1e-4
    assert model.validation_loss_curve_[-1] > 1.2 * model.validation_loss_curve_[seen]
    assert model.loss_curve_[-1] < model.loss_curve_[seen]
    assert fit(cls(**params, random_state=0), X, y).overfit_epoch_ is None


def test_stop_on_overfit_needs_something_to_see_it_by():
    X, y = iris()
    model = MLPClassifier(**SMALL, stop_on_overfit=True)
    with pytest.raises(ValueError, match="stop_on_overfit=True needs X_val"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


# -- the other reasons to stop


@pytest.mark.parametrize("patience", [1, 3, 10])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_standstill_is_borne_for_n_iter_no_change_epochs(early_stopping, patience):
    X, y = iris()
    params = {**SMALL, **STILL, "max_iter": 30, "n_iter_no_change": patience}
    params["early_stopping"] = early_stopping
    mine = MLPClassifier(**params).fit(X, y)
    theirs = sklearn.neural_network.MLPClassifier(**params).fit(X, y)
    assert mine.n_iter_ == theirs.n_iter_ == patience + 2
    assert mine.stop_reason_ == ("early_stopping" if early_stopping else "tol")


@pytest.mark.parametrize("solver", FIRST_ORDER)
@pytest.mark.parametrize("param_tol", [3e-3, 1e-2])
def test_param_tol_ends_training_once_nothing_moved_by_as_much(solver, param_tol):
    X, y = iris()
    params = {**FAST, **UNSTOPPED, "solver": solver, "learning_rate": "exponential"}
    params |= {"decay_rate": 0.5, "decay_epochs": 1, "max_iter": 30}
    twin, moves, places = MLPClassifier(**params), [], []
    for _ in range(14):
        twin.partial_fit(X, y, classes=[0, 1, 2])
        places.append(parameters(twin))
    moves = np.abs(np.diff(places, axis=0)).max(axis=1)
    model = MLPClassifier(**params, param_tol=param_tol).fit(X, y)
    first = int(np.argmax(moves < param_tol)) + 2
    assert 2 < first < 14
    assert (model.stop_reason_, model.n_iter_) == ("param_tol", first)
    np.testing.assert_array_equal(parameters(model), places[first - 1])


def test_nothing_moves_less_than_a_param_tol_of_zero():
    X, y = iris()
    params = {**SMALL, **STILL, **UNSTOPPED, "param_tol": 0.0}
    assert fit(MLPClassifier(**params), X, y).stop_reason_ == "max_iter"
    params["param_tol"] = 5e-324
    model = MLPClassifier(**params).fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("param_tol", 1)


def stopping(scores=None, **params):
    """A fit for the table of reasons."""
    params = {**FAST, **params}
    X, y, held_out = halves()
    if scores is not None:
        return MLPClassifier(**params, scoring=Script(*scores)).fit(X, y, **held_out)
    return MLPClassifier(**params).fit(X, y)


REASONS = {
    "tol": (lambda: stopping(**STILL, n_iter_no_change=2), 4),
    "early_stopping": (
        lambda: stopping([3, *[1] * 5], early_stopping=True, n_iter_no_change=2),
        4,
    ),
    "overfitting": (
        lambda: stopping([3, *[1] * 5], stop_on_overfit=True, n_iter_no_change=2),
        4,
    ),
    "param_tol": (lambda: stopping(param_tol=1e3), 1),
    "callback": (lambda: stopping(callbacks=[lambda epoch, logs: epoch == 2]), 3),
    "gtol": (lambda: stopping(solver="newton-cg", tol=0.5), None),
    "callback of newton-cg": (
        lambda: stopping(solver="newton-cg", tol=0, callbacks=[lambda i, logs: i == 1]),
        2,
    ),
    "callback of lbfgs": (
        lambda: stopping(solver="lbfgs", tol=0, callbacks=[lambda i, logs: i == 1]),
        2,
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_is_told_and_no_warning_given(case):
    run, n_iter = REASONS[case]
    model = run()
    assert model.stop_reason_ == case.partition(" ")[0]
    assert model.n_iter_ == len(model.history_["loss"])
    assert n_iter in (None, model.n_iter_)


WARNED = {
    "max_iter": (2, {}, r"Maximum iterations \(2\)"),
    "max_iter of lbfgs": (2, {"solver": "lbfgs"}, "lbfgs failed to converge after 2"),
    "max_iter of gd": (2, {"solver": "gd"}, "gd failed to converge after 2"),
    "max_iter of max_fun": (
        2,
        {"solver": "gd", "max_iter": 99, "max_fun": 3},
        "gd failed to converge after 2",
    ),
    "no_progress": (
        0,
        {"solver": "gd", "learning_rate_init": 1e-300},
        "gd failed to converge after 0 .* no step makes the objective smaller",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_ends_that_are_none_warn_at_the_callers_line(case):
    n_iter, params, match = WARNED[case]
    X, y = iris()
    model = MLPClassifier(**{**FAST, "max_iter": 2, **params})
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        model.fit(X, y)
    assert [w.filename for w in caught] == [__file__]
    assert model.stop_reason_ == case.partition(" ")[0]
    assert n_iter in (None, model.n_iter_)


def test_lbfgs_says_whether_gradient_or_objective_converged():
    X, y = iris()
    params = {"solver": "lbfgs", "max_iter": 1000, "alpha": 1.0, "random_state": 0}
    model = MLPClassifier((), **params, tol=1e-3).fit(X, y)
    assert model.stop_reason_ == "gtol"
    assert model.history_["gradient_norm"][-1] < 1e-3 * np.sqrt(parameters(model).size)
    model = MLPClassifier((), **params, tol=0.0).fit(X, y)
    assert model.stop_reason_ == "tol"
    assert model.history_["gradient_norm"][-1] > 0


def test_divergence_under_validation_gives_the_best_weights():
    X, y, held_out = halves()
    params = {"hidden_layer_sizes": (), "solver": "sgd", "learning_rate_init": 100.0}
    params |= {"max_iter": 500, "n_iter_no_change": np.inf, "random_state": 0}
    params |= {"early_stopping": True}
    model = fit(MLPRegressor(**params), X, y, **held_out)
    assert model.stop_reason_ == "diverged"
    best = int(np.nanargmax(model.validation_scores_)) + 1
    expected = fit(MLPRegressor(**{**params, "max_iter": best}), X, y, **held_out)
    assert_same_model(model, expected, X)


def first_epoch_that_is_not_finite(losses):
    return int(np.flatnonzero(~np.isfinite(losses))[0]) + 1


def targets(case):
    """Rows and targets on which a large rate diverges."""
    rng = np.random.RandomState(7)
    X = rng.normal(size=(120, 4))
    return {
        "unscaled": (X, 1e5 + 3e4 * X[:, 0]),
        "wide": (X * 1e3, X[:, 0]),
        "single precision": (X.astype(np.float32), 1e6 * X[:, 1]),
        "two outputs": (X, 1e5 * X[:, :2]),
    }[case]


@pytest.mark.parametrize("with_rows", [False, True])
@pytest.mark.parametrize("rate", [0.5, 3.0])
@pytest.mark.parametrize(
    "case", ["unscaled", "wide", "single precision", "two outputs"]
)
def test_divergence_is_told_at_the_callers_line(case, rate, with_rows):
    X, y = targets(case)
    held_out = {"X_val": X[:20], "y_val": y[:20]} if with_rows else {}
    params = {**SMALL, "activation": "identity", "solver": "sgd", "max_iter": 50}
    model = MLPRegressor(**params, learning_rate_init=rate, early_stopping=True)
    with pytest.warns(ConvergenceWarning, match="Training diverged") as caught:
        model.fit(X, y, **held_out)
    (warning,) = caught
    assert warning.filename == __file__
    epoch = first_epoch_that_is_not_finite(model.loss_curve_)
    message = str(warning.message)
    assert f" in epoch {epoch}." in message
    for advice in ("learning_rate_init", "grad_clip_norm", "StandardScaler"):
        assert advice in message
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("rate", [3.0, 5.0, 20.0])
@pytest.mark.parametrize("solver", ["sgd", "gd"])
def test_a_loss_that_grows_to_the_end_is_divergence(solver, rate):
    """Each step of a quadratic J multiplies the error by |1 - rate|, and more."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(50, 2))
    params = {"hidden_layer_sizes": (), "solver": solver, "learning_rate_init": rate}
    params |= {"batch_size": 50, "max_iter": 8, "random_state": 0, "momentum": 0}
    with pytest.warns(ConvergenceWarning, match="Training diverged") as caught:
        model = MLPRegressor(**params).fit(X, X @ [1, 2])
    losses = np.array(model.history_["loss"])
    epoch = int(np.argmax(losses > 10 * losses[0])) + 1
    assert re.search(rf"in (epoch|iteration) {epoch}\.", str(caught[0].message))
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize(
    ("losses", "first", "epoch"),
    [
        ([], 1.0, None),
        ([3.0, 2.0, 1.0], 3.0, None),
        ([1.0, 9.0, 10.0], 1.0, None),
        ([1.0, 9.0, 10.5, 70.0], 1.0, 3),
        ([1.0, 90.0, 10.5], 1.0, None),
        ([1e-9, 1e-3], 2.0, None),
        ([1.0, np.inf], 1.0, 2),
        ([np.nan], 1.0, 1),
        ([1.0, np.inf, np.nan, np.nan], 1.0, 2),
        ([1.0, np.inf, 0.5], 1.0, None),
    ],
)
def test_what_divergence_is(losses, first, epoch):
    assert epoch_of_divergence(losses, first) == epoch


def test_a_stream_of_other_data_is_no_divergence():
    X, y = iris()
    model = MLPRegressor(**FAST, warm_start=True).partial_fit(X, y)
    for scale in (10, 100, 1000):
        model.partial_fit(X, scale * y)
    assert model.loss_curve_[-1] > 1e4 * model.loss_curve_[0]


@pytest.mark.parametrize("solver", FULL_BATCH)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_ctrl_c_keeps_the_best_of_a_full_batch_solver(cls, solver, monkeypatch):
    X, y = iris()
    kernel, calls = _kernels.compute_loss_and_gradient, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) > 8:
            raise KeyboardInterrupt
        return kernel(*arguments)

    params = {**SMALL, "solver": solver, "max_iter": 99, "tol": 0, "activation": "tanh"}
    model = cls(**params, learning_rate_init=0.1)
    monkeypatch.setattr(_kernels, "compute_loss_and_gradient", interrupted)
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$") as caught:
        model.fit(X, y)
    monkeypatch.undo()
    assert caught[0].filename == __file__
    assert model.stop_reason_ == "interrupted"
    assert 1 <= model.n_iter_ < 9
    assert model.loss_ == min(model.history_["loss"])
    shorter = fit(clone(model).set_params(max_iter=model.n_iter_), X, y)
    np.testing.assert_array_equal(parameters(model), parameters(shorter))


def test_ctrl_c_takes_a_full_batch_solver_back_from_where_it_went_astray():
    X, y = iris()

    def interrupt(iteration, logs):
        if iteration == 3:
            raise KeyboardInterrupt

    params = {"solver": "gd", "learning_rate_init": 3.0, "random_state": 0, "alpha": 0}
    params |= {"hidden_layer_sizes": (), "callbacks": [interrupt]}
    model = MLPRegressor(**params)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y)
    assert (np.diff(model.history_["loss"]) > 0).all()
    assert model.loss_ < min(model.history_["loss"])
    assert model.loss_ == pytest.approx(MSE(y, model.predict(X)) / 2)


# -- history


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_history_tells_each_epoch(cls):
    X, y = iris()
    params = {"solver": "sgd", "momentum": 0, "batch_size": "full", "alpha": 0}
    params |= {"learning_rate": "step", "decay_epochs": 2, "learning_rate_init": 0.1}
    started = time.perf_counter()
    model = fit(cls(**SMALL, **params), X, y)
    elapsed = time.perf_counter() - started
    history = model.history_
    assert list(history) == ["loss", "learning_rate", "gradient_norm", "seconds"]
    assert history["learning_rate"] == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    assert min(history["seconds"]) > 0
    assert sum(history["seconds"]) < elapsed
    twin, places = cls(**SMALL, **params), []
    for epoch in range(6):
        first = {} if epoch or cls is MLPRegressor else {"classes": [0, 1, 2]}
        twin.partial_fit(X, y, **first)
        places.append(parameters(twin))
        assert twin.history_["loss"] == pytest.approx([history["loss"][epoch]])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    norms = steps / history["learning_rate"][1:]
    np.testing.assert_allclose(history["gradient_norm"][1:], norms, rtol=1e-9)


def test_history_of_gradient_descent_tells_the_gradient_after_each_step():
    X, y = iris()
    params = {**SMALL, "solver": "gd", "learning_rate_init": 0.2, "alpha": 30.0}
    model = MLPRegressor(**{**params, "max_iter": 1}, warm_start=True)
    places, norms = [], []
    for _ in range(4):
        fit(model, X, y)
        places.append(parameters(model))
        norms += model.history_["gradient_norm"]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(norms[:-1], steps / 0.2, rtol=1e-9)


def test_seconds_hold_the_time_that_validation_takes():
    X, y, held_out = halves()

    def slow(estimator, X, y):
        time.sleep(0.02)
        return 0.0

    model = fit(MLPClassifier(**SMALL, scoring=slow), X, y, **held_out)
    assert min(model.history_["seconds"]) > 0.015


def test_figures_are_plain_floats_that_json_takes():
    X, y, held_out = halves()
    model = fit(MLPClassifier(**FAST, dtype="float32"), X, y, **held_out)
    for column in model.history_.values():
        assert {type(value) for value in column} == {float}


# -- callables


@pytest.mark.parametrize("solver", [*FIRST_ORDER, *FULL_BATCH])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_callbacks_are_told_what_history_holds(cls, solver):
    X, y, held_out = halves()
    told = []
    params = {**FAST, "solver": solver, "tol": 0.0}
    model = cls(**params, callbacks=[lambda epoch, logs: told.append((epoch, logs))])
    fit(model, X, y, **(held_out if solver in FIRST_ORDER else {}))
    expected = [
        (i, {name: column[i] for name, column in model.history_.items()})
        for i in range(model.n_iter_)
    ]
    assert told == expected
    assert len(told) == 6
    plain = fit(cls(**params), X, y)
    np.testing.assert_array_equal(parameters(model), parameters(plain))


@pytest.mark.parametrize("solver", ["adam", *FULL_BATCH])
@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_from_any_callback_ends_training_when_all_were_told(solver, answer):
    X, y = iris()
    told = []

    def stop(epoch, logs):
        return answer if epoch == 2 else None

    callbacks = (stop, lambda epoch, logs: told.append(epoch))
    params = {**FAST, "solver": solver, "tol": 0.0}
    model = MLPClassifier(**params, callbacks=callbacks).fit(X, y)
    assert (model.stop_reason_, model.n_iter_, told) == ("callback", 3, [0, 1, 2])
    shorter = fit(MLPClassifier(**{**params, "max_iter": 3}), X, y)
    np.testing.assert_array_equal(parameters(model), parameters(shorter))


@pytest.mark.parametrize("answer", [None, False, np.False_, 1, "stop", [True]])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_no_other_answer_ends_training(solver, answer):
    X, y = iris()
    params = {**FAST, "solver": solver, "callbacks": [lambda epoch, logs: answer]}
    assert fit(MLPClassifier(**params), X, y).n_iter_ == 6


def test_a_callback_may_do_as_it_likes_with_its_logs():
    X, y = iris()
    spoil, seen = (lambda epoch, logs: logs.clear()), []
    callbacks = [spoil, lambda epoch, logs: seen.append(logs["loss"])]
    for solver in ("adam", "lbfgs"):
        seen.clear()
        model = fit(MLPClassifier(**FAST, solver=solver, callbacks=callbacks), X, y)
        assert model.history_["loss"] == seen
        assert model.n_iter_ == 6


def test_the_best_weights_come_back_when_a_callback_stops():
    X, y, held_out = halves()
    params = {**FAST, "early_stopping": True, "callbacks": [lambda e, logs: e == 4]}
    model = MLPClassifier(**params, scoring=Script(1, 5, 2, 3, 4)).fit(X, y, **held_out)
    assert (model.stop_reason_, model.n_iter_) == ("callback", 5)
    assert_same_model(model, fit(MLPClassifier(**{**FAST, "max_iter": 2}), X, y), X)


@pytest.mark.parametrize("solver", ["adam", *FULL_BATCH])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_callback_that_raises_leaves_the_old_model(cls, solver):
    X, y = iris()

    def fail(epoch, logs):
        if epoch == 2:
            raise RuntimeError("from a callback")

    new, old = cls(**FAST), fit(cls(**FAST), X, y)
    for model in (new, old):
        before = pickle.dumps(vars(model))
        model.set_params(callbacks=[fail], solver=solver, tol=0)
        with pytest.raises(RuntimeError, match="from a callback"):
            model.fit(X[:100], y[:100] + 1)
        model.set_params(callbacks=None, solver="adam", tol=1e-4)
        assert pickle.dumps(vars(model)) == before


def test_ctrl_c_in_a_callback_keeps_what_has_been_learnt():
    X, y = iris()

    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    model = MLPClassifier(**FAST, callbacks=[interrupt])
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("interrupted", 3)
    shorter = fit(MLPClassifier(**{**FAST, "max_iter": 3}), X, y)
    np.testing.assert_array_equal(parameters(model), parameters(shorter))


def test_callbacks_hear_of_each_partial_fit():
    X, y = iris()
    told = []
    model = MLPRegressor(**FAST, callbacks=[lambda *call: told.append(call)])
    for _ in range(3):
        model.partial_fit(X, y)
    assert [epoch for epoch, _ in told] == [0, 0, 0]
    assert [logs["loss"] for _, logs in told] == model.loss_curve_


def test_callbacks_stop_a_search_and_are_cloned():
    X, y = iris()
    model = MLPClassifier(**FAST, callbacks=[lambda epoch, logs: epoch == 1])
    search = GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, y)
    assert search.best_estimator_.stop_reason_ == "callback"
    assert search.best_estimator_.n_iter_ == 2


# -- objects with hooks


class Watcher:
    """Takes down all that it is told, and keeps what it is shown."""

    def __init__(self, stop=None, fail=None):
        self.told, self.views, self.stop, self.fail = [], [], stop, fail

    def _note(self, hook, estimator, *call):
        self.told.append((hook, *call))
        self.views.append(estimator)
        if self.fail == (hook, *call[:1]):
            raise RuntimeError("from a hook")

    def on_fit_begin(self, estimator):
        self._note("begin", estimator)

    def on_epoch_end(self, estimator, epoch, logs):
        self._note("epoch", estimator, epoch, logs)
        return epoch == self.stop

    def on_fit_end(self, estimator):
        self._note("end", estimator)


class OnlyEnd:
    """Has one hook, and is callable besides."""

    def __init__(self):
        self.seen = []

    def on_fit_end(self, estimator):
        self.seen.append(estimator)

    def __call__(self, epoch, logs):
        raise AssertionError("an object with a hook is not called")


@pytest.mark.parametrize("solver", [*FIRST_ORDER, *FULL_BATCH])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_hooks_are_shown_the_model_of_the_moment(cls, solver):
    X, y = iris()
    params = {**FAST, "solver": solver, "tol": 0.0, "max_iter": 4}
    watcher, only_end = Watcher(), OnlyEnd()
    model = fit(cls(**params, callbacks=[watcher, only_end]), X, y)
    n = model.n_iter_
    logs = [{k: c[i] for k, c in model.history_.items()} for i in range(n)]
    epochs = [("epoch", i, logs[i]) for i in range(n)]
    assert watcher.told == [("begin",), *epochs, ("end",)]
    begin, *after, end = watcher.views
    assert_same_model(end, model, X)
    assert_same_model(only_end.seen[0], model, X)
    assert end.stop_reason_ == model.stop_reason_
    assert_same_model(fit(cls(**params), X, y), model, X)
    still = fit(cls(**{**params, **STILL, "max_iter": 1}), X, y)
    assert_same_model(begin, still, X)
    for i, view in enumerate(after):
        shorter = fit(cls(**{**params, "max_iter": i + 1}), X, y)
        assert_same_model(view, shorter, X)
        assert view.score(X, y) == shorter.score(X, y)
        assert (view.n_iter_, view.loss_) == (i + 1, shorter.loss_)
        assert len(view.history_["loss"]) == i + 1


def test_hooks_are_shown_the_current_parameters_under_early_stopping():
    X, y, held_out = halves()
    watcher = Watcher()
    params = {**FAST, "early_stopping": True, "batch_norm": True}
    model = MLPClassifier(**params, scoring=Script(9, 1, 2, 3, 4, 5))
    fit(model.set_params(callbacks=[watcher]), X, y, **held_out)
    for i, view in enumerate(watcher.views[1:-1]):
        shorter = MLPClassifier(**{**FAST, "batch_norm": True, "max_iter": i + 1})
        assert_same_model(view, fit(shorter, X, y), X)
    assert_same_model(model, watcher.views[1], X)


@pytest.mark.parametrize("params", [{}, {"dropout": 0.3, "learning_rate": "step"}])
@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_what_a_hook_was_shown_goes_on_as_the_fit_did(solver, params):
    X, y = iris()
    watcher = Watcher()
    params = {**FAST, **UNSTOPPED, **params, "solver": solver, "decay_epochs": 2}
    model = fit(MLPClassifier(**params, callbacks=[watcher]), X, y)
    view = pickle.loads(pickle.dumps(watcher.views[3]))
    view.callbacks = None
    for _ in range(3):
        view.partial_fit(X, y)
    np.testing.assert_allclose(parameters(view), parameters(model), rtol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("stop", [0, 2])
def test_a_hook_may_stop(solver, stop):
    X, y = iris()
    watcher, late = Watcher(stop=stop), Watcher()
    params = {**FAST, "solver": solver, "tol": 0.0}
    model = MLPRegressor(**params, callbacks=[watcher, late]).fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("callback", stop + 1)
    assert [t[0] for t in late.told] == ["begin", *["epoch"] * (stop + 1), "end"]


@pytest.mark.parametrize("solver", ["adam", "gd"])
@pytest.mark.parametrize("fail", [("begin",), ("epoch", 1), ("end",)])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_hook_that_raises_leaves_the_old_model(fail, solver, fitted):
    X, y = iris()
    model = MLPClassifier(**FAST)
    if fitted:
        fit(model, X, y)
    model.set_params(solver=solver, tol=0.0, callbacks=[Watcher(fail=fail)])
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="from a hook"):
        fit(model, X[:100], y[:100])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


def test_hooks_hear_of_each_partial_fit():
    X, y = iris()
    watcher = Watcher()
    model = MLPRegressor(**FAST, callbacks=[watcher])
    for _ in range(3):
        model.partial_fit(X, y)
    assert [t[0] for t in watcher.told] == ["begin", "epoch", "end"] * 3
    assert [t[1] for t in watcher.told if t[0] == "epoch"] == [0, 0, 0]


def test_no_view_is_made_for_functions(monkeypatch):
    X, y = iris()
    model = MLPRegressor(**FAST, callbacks=[lambda epoch, logs: None])
    monkeypatch.setattr(TrainingState, "copy", None)
    fit(model, X, y)
    fit(model.set_params(solver="gd"), X, y)


@pytest.mark.parametrize("callback", [Watcher, OnlyEnd])
def test_a_class_is_no_callback(callback):
    with pytest.raises(TypeError, match=r"an instance of .*, not the class"):
        MLPRegressor(callbacks=[callback]).fit(*iris())


@pytest.mark.parametrize("callback", [3, "print", object(), None])
def test_what_is_no_callback(callback):
    with pytest.raises(TypeError, match=r"callbacks must be callable .* on_epoch_end"):
        MLPRegressor(callbacks=[callback]).fit(*iris())


def test_copies_of_an_object_record_for_themselves():
    X, y = iris()
    watcher, told = Watcher(), []
    callbacks = [watcher, lambda epoch, logs: told.append(epoch)]
    model = MLPClassifier(**{**FAST, "max_iter": 2}, callbacks=callbacks)
    voting = VotingClassifier([("a", model), ("b", model)])
    search = GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2)
    for whole in (voting, search):
        fit(whole, X, y)
    assert watcher.told == []
    for made in (*voting.estimators_, search.best_estimator_):
        hooks = [t[0] for t in made.callbacks[0].told]
        assert hooks == ["begin", "epoch", "epoch", "end"]
    # A function is not copied: it hears of 2 + 2 * 2 + 1 fits.
    assert told == [0, 1] * 7


# -- parameters that cannot be pickled


class Unpicklable:
    """A callable that holds what pickle does not take."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, *arguments):
        return 0.5


NOT_PICKLED = {
    "learning_rate": ("learning_rate", lambda e: 0.1 / (e + 1)),
    "learning_rate, partial": (
        "learning_rate",
        functools.partial(lambda k, e: 0.1 / (e + k), 2),
    ),
    "scoring": ("scoring", lambda estimator, X, y: 0.5),
    "scoring, made": ("scoring", metrics.make_scorer(lambda y, p: 0.5)),
    "scoring, object": ("scoring", Unpicklable()),
    "callbacks[0]": ("callbacks", [lambda epoch, logs: None]),
    "callbacks[1]": ("callbacks", (Watcher(), lambda epoch, logs: None)),
}
LOCKED = "scoring, object"


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("case", NOT_PICKLED)
def test_the_parameter_that_pickle_cannot_store_is_named(case, fitted, tmp_path):
    X, y = iris()
    parameter, value = NOT_PICKLED[case]
    model = MLPClassifier(**{**FAST, parameter: value, "early_stopping": True})
    if fitted:
        fit(model, X, y)
    name = re.escape(case.partition(",")[0])
    match = rf"^{name}=.*cannot be pickled.*set {parameter} to .*cloudpickle"
    for store in (pickle.dumps, lambda m: joblib.dump(m, tmp_path / "model")):
        for whole in (model, make_pipeline(StandardScaler(), model)):
            with pytest.raises(pickle.PicklingError, match=match):
                store(whole)
    assert getattr(model, parameter) is value
    other = {"learning_rate": "constant", "scoring": None, "callbacks": None}[parameter]
    twin = pickle.loads(pickle.dumps(model.set_params(**{parameter: other})))
    if fitted:
        assert_same_model(twin, model, X)


@pytest.mark.parametrize("case", sorted(NOT_PICKLED.keys() - {LOCKED}))
def test_copies_and_cloudpickle_take_any_parameter(case):
    X, y = iris()
    parameter, value = NOT_PICKLED[case]
    params = {**FAST, parameter: value, "early_stopping": True, "warm_start": True}
    model = fit(MLPClassifier(**params), X, y)
    dumps = pytest.importorskip("cloudpickle", reason="takes functions").dumps
    twins = [copy.copy(model), copy.deepcopy(model), pickle.loads(dumps(model))]
    assert twins[0].get_params() == model.get_params()
    expected = fit(model, X, y)
    for twin in twins:
        assert type(getattr(twin, parameter)) is type(value)
        assert_same_model(fit(twin, X, y), expected, X)


@pytest.mark.slow
def test_processes_are_handed_any_parameter():
    X, y = iris()
    params = dict(list(NOT_PICKLED.values())[::2])
    assert params.keys() == {"learning_rate", "scoring", "callbacks"}
    params["scoring"] = lambda estimator, X, y: estimator.score(X, y)
    model = MLPClassifier(**FAST, early_stopping=True).set_params(**params)
    with joblib.parallel_config("loky"), unconverged():
        expected = cross_val_score(model, X, y, cv=2)
        scores = cross_val_score(model, X, y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(scores, expected)


def test_a_callback_may_keep_the_model():
    X, y = iris()
    model = fit(MLPClassifier(**FAST, callbacks=[Watcher()]), X, y)
    model.callbacks[0].model = model
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.callbacks[0].model is twin
        assert twin.callbacks[0].told == model.callbacks[0].told
        assert_same_model(twin, model, X)


# -- validation rows that are refused


def changed(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


BAD_ROWS = {
    "no y_val": (lambda X, y: {"X_val": X}, "given together"),
    "no X_val": (lambda X, y: {"y_val": y}, "given together"),
    "weights alone": (lambda X, y: {"sample_weight_val": y}, "needs X_val and y_val"),
    "other columns": (lambda X, y: {"X_val": X[:, :3], "y_val": y}, "3 features"),
    "other rows": (lambda X, y: {"X_val": X, "y_val": y[1:]}, "inconsistent numbers"),
    "nan in X_val": (
        lambda X, y: {"X_val": changed(X, (0, 1), np.nan), "y_val": y},
        "NaN",
    ),
    "inf in X_val": (
        lambda X, y: {"X_val": changed(X, (0, 1), np.inf), "y_val": y},
        "infinity",
    ),
    "nan in y_val": (
        lambda X, y: {"X_val": X, "y_val": changed(y, 0, np.nan)},
        "NaN",
    ),
    "1-D X_val": (lambda X, y: {"X_val": X[0], "y_val": y}, "Expected 2D array"),
    "no rows": (lambda X, y: {"X_val": X[:0], "y_val": y[:0]}, "0 sample"),
    "more targets": (lambda X, y: {"X_val": X, "y_val": X[:, :2] > 0}, "columns"),
    "negative weights": (
        lambda X, y: {"X_val": X, "y_val": y, "sample_weight_val": y - 1.0},
        "sample_weight_val",
    ),
    "short weights": (
        lambda X, y: {"X_val": X, "y_val": y, "sample_weight_val": y[1:]},
        "sample_weight",
    ),
    "nan weights": (
        lambda X, y: {
            "X_val": X,
            "y_val": y,
            "sample_weight_val": changed(y, 0, np.nan),
        },
        "NaN",
    ),
    "zero weights": (
        lambda X, y: {"X_val": X, "y_val": y, "sample_weight_val": 0.0 * y},
        "non-zero",
    ),
}
BAD_LABELS = {
    "unknown class": (lambda X, y: {"X_val": X, "y_val": y + 1}, "classes not in"),
    "other names": (lambda X, y: {"X_val": X, "y_val": y.astype(str)}, "classes not"),
    "continuous": (lambda X, y: {"X_val": X, "y_val": y + 0.5}, "label type|classes"),
}


NAMED = {
    "nan in X_val": "^X_val: .*NaN",
    "inf in X_val": "^X_val: .*infinity",
    "1-D X_val": "^X_val: .*2D",
    "other columns": "^X_val: .*3 features",
    "no rows": "^X_val: .*0 sample",
    "other rows": "^X_val and y_val: .*inconsistent",
    "nan in y_val": "^y_val: .*NaN",
    "short weights": "^sample_weight_val: ",
    "nan weights": "^sample_weight_val: .*NaN",
    "zero weights": "^sample_weight_val: .*non-zero",
    "negative weights": "`sample_weight_val`",
    "more targets": "y_val",
    "unknown class": "^y_val: .*classes not in",
    "other names": "^y_val: .*classes not in",
    "continuous": "y_val",
}


@pytest.mark.parametrize("case", NAMED)
def test_errors_name_the_validation_data(case):
    make, _ = {**BAD_ROWS, **BAD_LABELS}[case]
    with pytest.raises(ValueError, match=re.compile(NAMED[case], re.DOTALL)):
        fit(MLPClassifier(**SMALL), *iris(), **make(*iris()))


@pytest.mark.parametrize(
    ("model", "target", "given", "match"),
    [
        (MLPRegressor(), "two outputs", {"y_val": [[0, np.inf]] * 3}, "^y_val: "),
        (MLPRegressor("poisson"), "positive", {"y_val": [1, -2, 0]}, "^y_val: .*valid"),
        (MLPClassifier(), "binary", {"y_val": ["no", "yes", "so"]}, "^y_val: "),
        (MLPClassifier(), "labels", {"y_val": ["a", "b", "c"]}, "y_val"),
        (MLPRegressor(), "positive", {"X_val": [["a"] * 4] * 3}, "^X_val: "),
        (MLPRegressor(), "positive", {"X_val": np.ones((3, 4, 1))}, "^X_val: "),
        (MLPRegressor(), "positive", {"X_val": [1j] * 3}, "^X_val: "),
    ],
    ids=str,
)
def test_errors_name_the_validation_data_of_every_kind(model, target, given, match):
    X, y = iris()[0], Y_OF[target](*iris())
    given = {"X_val": X[:3], "y_val": y[:3], **given}
    with pytest.raises((TypeError, ValueError), match=re.compile(match, re.DOTALL)):
        fit(clone(model).set_params(**SMALL), X, y, **given)


def assert_refused(model, match, X, y, **keywords):
    """From a new and from a fitted estimator, which stay as they were."""
    for this in (model, fit(clone(model).set_params(solver="adam"), X, y)):
        solver = model.solver
        this.set_params(solver=solver)
        before = pickle.dumps(vars(this))
        with pytest.raises(ValueError, match=match):
            fit(this, X, y, **keywords)
        assert pickle.dumps(vars(this)) == before


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(
    ("cls", "case"),
    [
        *((cls, case) for cls in ESTIMATORS for case in BAD_ROWS),
        *((MLPClassifier, case) for case in BAD_LABELS),
    ],
)
def test_bad_validation_rows(cls, case, early_stopping):
    make, match = {**BAD_ROWS, **BAD_LABELS}[case]
    model = cls(**SMALL, early_stopping=early_stopping)
    assert_refused(model, match, *iris(), **make(*iris()))


def test_validation_targets_of_another_shape_or_kind():
    X, y = iris()
    Y = np.column_stack([y > 0, y > 1, y < 1]) * 1
    classifier, regressor = MLPClassifier(**SMALL), MLPRegressor(**SMALL)
    assert_refused(classifier, "y", X, Y, X_val=X, y_val=Y[:, 0])
    assert_refused(classifier, "y", X, Y, X_val=X, y_val=Y[:, :2])
    assert_refused(regressor, "columns", X, X[:, :2], X_val=X, y_val=X[:, 0])
    assert_refused(regressor, "columns", X, X[:, :2], X_val=X, y_val=X[:, :3])
    poisson = MLPRegressor("poisson", **SMALL)
    assert_refused(poisson, "valid range of the loss", X, y, X_val=X, y_val=y - 1.0)
    levels = MLPRegressor("quantile", quantile=[0.1, 0.9], **SMALL)
    assert_refused(levels, "columns|several quantiles", X, y, X_val=X, y_val=X[:, :2])


def test_one_class_among_the_validation_rows_will_do():
    X, y = iris()
    model = fit(MLPClassifier(**FAST), X, y, X_val=X[:50], y_val=y[:50])
    assert model.validation_scores_[-1] == np.mean(model.predict(X[:50]) == 0)


# -- scikit-learn's callbacks


@pytest.fixture
def callback():
    return pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has callbacks from 1.9 on"
    )


@pytest.fixture
def progress_bar(callback):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar is drawn by rich")
    before = count_bars()
    yield callback.ProgressBar
    assert count_bars() == before


def count_bars():
    """Threads that draw; a bar that is torn down has been joined."""
    names = [type(thread).__name__ for thread in threading.enumerate()]
    return names.count("RichProgressMonitor")


class Recorder:
    """Takes down every call; fails or asks to stop where it is told to."""

    def __init__(self, fail=None, stop=None):
        self.calls, self.fail, self.stop = [], fail, stop

    def _record(self, what, context):
        call = (what, context.task_name, context.task_id)
        self.calls.append(call)
        if self.fail and call[: len(self.fail)] == self.fail:
            raise RuntimeError("from a callback")

    def setup(self, estimator, context):
        self._record("setup", context)

    def teardown(self, estimator, context):
        self._record("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self._record("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._record("end", context)
        return self.stop == (context.task_name, context.task_id)


class Snapshots(Recorder):
    """Keeps what fit might have ended as, and what it was given."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_fit_task_end(
        self, estimator, context, *, X, y, metadata, fitted_estimator=None
    ):
        self.kept.append((context.task_name, fitted_estimator, X, y, metadata))


def calls_of(n_epochs):
    """What a recorder hears of a fit of so many epochs."""
    epochs = [(w, "epoch", i) for i in range(n_epochs) for w in ("begin", "end")]
    begun = [("setup", "fit", 0), ("begin", "fit", 0)]
    return [*begun, *epochs, ("end", "fit", 0), ("teardown", "fit", 0)]


def assert_no_trace(model):
    """Of the running fit; the callbacks themselves stay set."""
    left = {name for name in vars(model) if name[0] == "_" and "callback" in name}
    assert left <= {"_skl_callbacks"}


def epochs_of(monitor):
    return [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scoring_monitor_scores_each_epoch(cls, early_stopping, callback):
    X, y = iris()
    metric = "accuracy" if cls is MLPClassifier else "r2"
    monitor = callback.ScoringMonitor(scoring=metric)
    params = {**FAST, "early_stopping": early_stopping}
    model = fit(cls(**params).set_callbacks(monitor), X, y)
    rows = epochs_of(monitor)
    assert [row["task_id_path"] for row in rows] == [(0, i) for i in range(6)]
    for epoch, row in enumerate(rows):
        ended = fit(cls(**{**params, "max_iter": epoch + 1}), X, y)
        assert row[metric] == pytest.approx(ended.score(X, y), rel=1e-12)
    (whole,) = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert whole[metric] == model.score(X, y)
    assert len({row[metric] for row in rows}) > 1
    assert_no_trace(model)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "labels"])
def test_scoring_monitor_takes_weights_and_any_labels(kind, callback):
    X, y = iris()
    y, w = Y_OF[kind](X, y), np.linspace(0, 2, len(y))
    monitor = callback.ScoringMonitor(scoring=["accuracy", "f1_macro"])
    fit(MLPClassifier(**FAST).set_callbacks(monitor), X, y, w)
    for epoch, row in enumerate(epochs_of(monitor)):
        ended = fit(MLPClassifier(**{**FAST, "max_iter": epoch + 1}), X, y, w)
        assert row["accuracy"] == pytest.approx(ended.score(X, y, w), rel=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_progress_bar_is_drawn_to_the_end(early_stopping, progress_bar, capsys):
    X, y = iris()
    model = MLPClassifier(**FAST, early_stopping=early_stopping)
    fit(model.set_callbacks(progress_bar()), X, y)
    drawn = capsys.readouterr().out
    assert "MLPClassifier - fit" in drawn
    assert "100%" in drawn
    assert_no_trace(model)


@pytest.mark.parametrize(
    "params",
    [{}, {"early_stopping": True}, {"dropout": 0.3, "batch_norm": True}],
    ids=str,
)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_being_watched_changes_nothing(cls, params, callback):
    X, y = iris()
    plain = fit(cls(**FAST, **params), X, y)
    watched = fit(cls(**FAST, **params).set_callbacks(Snapshots(), Recorder()), X, y)
    assert_same_model(watched, plain, X)
    assert set(vars(watched)) - set(vars(plain)) == {"_skl_callbacks"}
    for name in ("loss_curve_", "validation_scores_", "n_iter_", "t_", "stop_reason_"):
        assert getattr(watched, name) == getattr(plain, name)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "learning_rate_init": 0.1},
        {"dropout": 0.3, "batch_norm": True},
    ],
    ids=str,
)
def test_snapshots_are_what_fit_would_have_been(params, warm_start, callback):
    X, y = iris()
    params = {**FAST, **UNSTOPPED, **params}
    snapshots = Snapshots()
    model = MLPClassifier(**params, warm_start=warm_start).set_callbacks(snapshots)
    fit(model, X, y, np.ones(150))
    *of_epochs, (task, whole, *_) = snapshots.kept
    assert (task, len(of_epochs)) == ("fit", 6)
    assert_same_model(whole, model, X)
    for epoch, (task, made, *facts) in enumerate(of_epochs):
        ended = MLPClassifier(**{**params, "max_iter": epoch + 1})
        fit(ended, X, y, np.ones(150))
        assert task == "epoch"
        assert_same_model(made, ended, X)
        for name in ("loss_curve_", "validation_scores_", "best_validation_score_"):
            assert getattr(made, name) == getattr(ended, name)
        assert (made.n_iter_, made.t_) == (ended.n_iter_, ended.t_)
        assert len(made.history_["loss"]) == epoch + 1
        assert facts[0] is X
        assert facts[1] is y
        assert (facts[2]["sample_weight"] == 1).all()
        assert_same_model(pickle.loads(pickle.dumps(made)), ended, X)


def test_snapshots_go_on_as_fit_would_have(callback):
    X, y = iris()
    params, snapshots = {**FAST, **UNSTOPPED}, Snapshots()
    fit(MLPClassifier(**params).set_callbacks(snapshots), X, y)
    for epoch, (_, made, *_) in enumerate(snapshots.kept[:-1]):
        ended = fit(MLPClassifier(**{**params, "max_iter": epoch + 1}), X, y)
        assert_same_model(made.partial_fit(X, y), ended.partial_fit(X, y), X)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "fail",
    [
        ("setup",),
        ("begin", "fit"),
        ("begin", "epoch", 0),
        ("begin", "epoch", 3),
        ("end", "epoch", 3),
        ("end", "fit"),
        ("teardown",),
    ],
    ids=str,
)
def test_a_failing_hook_leaves_the_old_model(fail, fitted, callback):
    X, y = iris()
    model = MLPClassifier(**FAST)
    if fitted:
        fit(model, X, y)
    before = dict(vars(model))
    bystander, failing = Recorder(), Recorder(fail=fail)
    model.set_callbacks(bystander, failing)
    with pytest.raises(RuntimeError, match="from a callback"):
        fit(model, X[:100], y[:100])
    after = dict(vars(model))
    assert after.pop("_skl_callbacks") == [bystander, failing]
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    for recorder in (bystander, failing):
        assert [call[0] for call in recorder.calls].count("teardown") == 1


def test_a_failing_hook_takes_the_progress_bar_down(progress_bar):
    X, y = iris()
    model = MLPClassifier(**FAST).set_callbacks(
        progress_bar(), Recorder(fail=("end", "epoch", 1))
    )
    with pytest.raises(RuntimeError, match="from a callback"):
        fit(model, X, y)


def test_hooks_come_in_pairs_and_may_stop(callback):
    X, y = iris()
    recorder = Recorder(stop=("epoch", 2))
    model = MLPClassifier(**FAST).set_callbacks(recorder).fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("callback", 3)
    assert recorder.calls == calls_of(3)
    shorter = fit(MLPClassifier(**{**FAST, "max_iter": 3}), X, y)
    assert_same_model(model, shorter, X)


@pytest.mark.parametrize("solver", FIRST_ORDER)
def test_hooks_hear_of_every_epoch(solver, callback):
    X, y, held_out = halves()
    recorder = Recorder()
    model = MLPClassifier(**{**FAST, "solver": solver}).set_callbacks(recorder)
    fit(model, X, y, **held_out)
    assert recorder.calls == calls_of(6)
    recorder.calls.clear()
    model.partial_fit(X, y)
    assert recorder.calls == calls_of(1)


def test_both_kinds_of_callbacks_may_be_set(callback):
    X, y = iris()
    told, recorder = [], Recorder()
    model = MLPClassifier(**FAST, callbacks=[lambda e, logs: told.append(e) or e == 1])
    model.set_callbacks(recorder).fit(X, y)
    assert (told, recorder.calls) == ([0, 1], calls_of(2))
    assert model.stop_reason_ == "callback"


@pytest.mark.parametrize("solver", FULL_BATCH)
def test_full_batch_fits_are_one_task(solver, callback):
    X, y = iris()
    recorder, monitor = Recorder(), callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**SMALL, solver=solver).set_callbacks(recorder, monitor)
    fit(model, X, y)
    assert recorder.calls == calls_of(0)
    (row,) = monitor.get_logs().data
    assert row["accuracy"] == model.score(X, y)
    assert_no_trace(model)


def test_ctrl_c_in_a_hook_keeps_what_has_been_learnt(callback):
    X, y = iris()

    class Interrupts(Recorder):
        def on_fit_task_end(self, estimator, context):
            if (context.task_name, context.task_id) == ("epoch", 1):
                raise KeyboardInterrupt
            self._record("end", context)

    recorder = Interrupts()
    model = MLPClassifier(**FAST).set_callbacks(recorder)
    with pytest.warns(UserWarning, match="interrupted") as caught:
        model.fit(X, y)
    assert caught[0].filename == __file__
    assert (model.stop_reason_, model.n_iter_) == ("interrupted", 2)
    assert recorder.calls[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]
    assert_no_trace(model)


def test_an_error_in_training_tears_down(callback, monkeypatch):
    X, y = iris()
    kernel, calls = _kernels.train, []

    def failing(*arguments):
        calls.append(None)
        if len(calls) == 3:
            raise MemoryError
        return kernel(*arguments)

    monkeypatch.setattr(_kernels, "train", failing)
    recorder = Recorder()
    model = MLPClassifier(**FAST).set_callbacks(recorder)
    with pytest.raises(MemoryError):
        fit(model, X, y)
    assert recorder.calls[-1] == ("teardown", "fit", 0)
    assert_no_trace(model)
    assert not hasattr(model, "coefs_")


def test_the_warning_still_points_at_the_callers_line(callback):
    X, y = iris()
    with pytest.warns(ConvergenceWarning) as caught:
        MLPClassifier(**SMALL).set_callbacks(Recorder()).fit(X, y)
    assert caught[0].filename == __file__


def test_copies_keep_their_callbacks(callback):
    X, y = iris()
    recorder = Recorder()
    model = fit(MLPClassifier(**FAST).set_callbacks(recorder), X, y)
    assert "Recorder" not in repr(model)
    assert not any("skl" in name for name in model.get_params())
    twin = clone(model)
    assert twin._skl_callbacks == [recorder]
    fit(twin, X, y)
    assert recorder.calls == calls_of(6) * 2
    loaded = pickle.loads(pickle.dumps(model))
    assert_same_model(loaded, model, X)
    fit(loaded, X, y)
    assert loaded._skl_callbacks[0].calls == calls_of(6) * 3


def test_a_search_carries_the_callbacks_of_its_estimator(
    progress_bar, callback, capsys
):
    X, y = iris()
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**FAST).set_callbacks(monitor)
    search = GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2)
    fit(search.set_callbacks(progress_bar(max_propagation_depth=None)), X, y)
    drawn = capsys.readouterr().out
    assert "GridSearchCV - fit" in drawn
    assert "| MLPClassifier - fit" in drawn
    assert monitor.get_logs().estimator_name == "GridSearchCV"
    assert len(epochs_of(monitor)) == (2 * 2 + 1) * 6
    assert_no_trace(search.best_estimator_)


def test_a_pipeline_shows_the_network_inside(progress_bar, capsys):
    X, y = iris()
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**FAST))
    fit(pipeline.set_callbacks(progress_bar()), X, y)
    drawn = capsys.readouterr().out
    assert "Pipeline - fit-final-estimator | MLPRegressor - fit" in drawn


def test_cross_validation_is_a_run_a_fold(callback):
    X, y = iris()
    monitor = callback.ScoringMonitor(scoring="accuracy")
    with unconverged():
        cross_val_score(MLPClassifier(**FAST).set_callbacks(monitor), X, y, cv=3)
    assert len(monitor.get_logs("all")) == 3


def test_only_callbacks_can_be_set(callback):
    for thing in (print, Recorder, 1):
        with pytest.raises(TypeError, match="FitCallback protocol"):
            MLPClassifier().set_callbacks(thing)
