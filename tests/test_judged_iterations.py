"""Full-batch solvers judged by rows that the user gives: X_val and y_val."""

import pickle

import numpy as np
import pytest
from fits import fit
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.recipe import FULL_BATCH_SOLVERS

SIZES = {"hidden_layer_sizes": (8,), "activation": "tanh", "random_state": 0}
SETTINGS = {**SIZES, "max_iter": 30, "tol": 1e-6}

pytestmark = [
    pytest.mark.usefixtures("one_blas_thread"),
    pytest.mark.parametrize("solver", FULL_BATCH_SOLVERS),
]


def halves():
    """Few rows to learn by heart, and others that tell."""
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    return (X[:80], y[:80]), {"X_val": X[80:], "y_val": y[80:]}


def parameters(model):
    return np.concatenate([a.ravel() for a in (*model.coefs_, *model.intercepts_)])


def judged(solver, **settings):
    rows, others = halves()
    return fit(MLPRegressor(solver=solver, **{**SETTINGS, **settings}), *rows, **others)


def test_each_iteration_is_scored_and_none_is_changed(solver):
    rows, others = halves()
    model = judged(solver)
    expected = fit(MLPRegressor(solver=solver, **SETTINGS), *rows)
    assert (parameters(model) == parameters(expected)).all()
    assert not hasattr(expected, "validation_scores_")
    assert not hasattr(model, "loss_curve_")
    assert (
        len(model.validation_scores_) == model.n_iter_ == len(expected.history_["loss"])
    )
    for n in (1, model.n_iter_):
        after = fit(MLPRegressor(solver=solver, **{**SETTINGS, "max_iter": n}), *rows)
        score = after.score(*others.values())
        assert model.validation_scores_[n - 1] == pytest.approx(score, rel=1e-12)
        loss = mean_squared_error(others["y_val"], after.predict(others["X_val"])) / 2
        assert model.history_["validation_loss"][n - 1] == pytest.approx(
            loss, rel=1e-12
        )


def test_early_stopping_keeps_the_best_iteration(solver):
    rate = {"learning_rate_init": 0.3} if solver == "gd" else {}
    patience = {"n_iter_no_change": 3, "max_iter": 400}
    model = judged(solver, early_stopping=True, **rate, **patience)
    assert model.stop_reason_ == "early_stopping"
    best = int(np.argmax(model.validation_scores_))
    assert model.best_validation_score_ == model.validation_scores_[best]
    assert model.n_iter_ < 400
    rows, others = halves()
    settings = {**SETTINGS, **rate, "max_iter": best + 1}
    expected = fit(MLPRegressor(solver=solver, **settings), *rows)
    assert (parameters(model) == parameters(expected)).all()
    score = model.score(*others.values())
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)


def test_over_fitting_stops_it(solver):
    model = judged(solver, stop_on_overfit=True, n_iter_no_change=5, max_iter=60)
    if solver == "gd":  # too slow to learn these rows by heart
        assert model.stop_reason_ == "max_iter"
        assert model.overfit_epoch_ is None
    else:
        assert model.stop_reason_ == "overfitting"
        assert 0 < model.overfit_epoch_ == model.n_iter_ - 6


def test_without_given_rows_early_stopping_holds_none_out(solver):
    rows, _ = halves()
    model = fit(MLPRegressor(solver=solver, early_stopping=True, **SETTINGS), *rows)
    expected = fit(MLPRegressor(solver=solver, **SETTINGS), *rows)
    assert (parameters(model) == parameters(expected)).all()
    assert "validation_score" not in model.history_


def test_scores_of_the_kind_that_is_asked_for(solver):
    rows, others = halves()
    model = judged(solver, scoring="neg_median_absolute_error")
    error = np.median(np.abs(others["y_val"] - model.predict(others["X_val"])))
    assert model.validation_scores_[-1] == pytest.approx(-error, rel=1e-12)


def test_a_classifier_and_a_fit_that_goes_on(solver):
    (X, y), others = halves()
    others = {"X_val": others["X_val"], "y_val": others["y_val"] > 0}
    loss = "squared_error" if solver == "lm" else "log_loss"
    model = MLPClassifier(loss=loss, solver="adam", early_stopping=True, **SETTINGS)
    model = fit(model.set_params(warm_start=True), X, y > 0)
    model.set_params(solver=solver, early_stopping=False)
    fit(model, X, y > 0, **others)
    accuracy = np.mean(model.predict(others["X_val"]) == others["y_val"])
    assert model.validation_scores_[-1] == accuracy
    assert not hasattr(model, "loss_curve_")
    fit(model, X, y > 0)
    assert not hasattr(model, "validation_scores_")


def test_rows_that_do_not_fit_are_refused(solver):
    rows, others = halves()
    model = judged(solver)
    before = pickle.dumps(vars(model))
    with pytest.raises(ValueError, match="X_val"):
        model.fit(*rows, X_val=others["X_val"][:, 1:], y_val=others["y_val"])
    assert pickle.dumps(vars(model)) == before
