"""The best epoch is kept: by which figure, and which of several alike."""

import numpy as np
import pytest
from fits import fit, iris
from sklearn.exceptions import UndefinedMetricWarning

from fastmlp import Checkpoint, MLPClassifier, MLPRegressor

SMALL = {"hidden_layer_sizes": (6,), "random_state": 1, "batch_size": 30}
ENDLESS = {"tol": 0.0, "n_iter_no_change": np.inf}
LARGE = {"learning_rate_init": 0.1}


def rows():
    """Rows to train on and a few to validate by, noisy enough to over-fit."""
    X, y = iris()
    rng = np.random.RandomState(0)
    order = rng.permutation(150)
    y = np.where(rng.uniform(size=150) < 0.3, rng.randint(0, 3, 150), y)[order]
    X = X[order]
    return (X[:110], y[:110]), {"X_val": X[110:], "y_val": y[110:]}


def expected_epoch(model, by, which):
    """Of the curves that were recorded: epochs after which the best was."""
    values = np.array(
        model.validation_scores_ if by == "score" else model.validation_loss_curve_
    )
    best = values.max() if by == "score" else values.min()
    found = np.flatnonzero(values == best)
    return int(found[0 if which == "first" else -1]) + 1


@pytest.mark.parametrize("which", ["first", "last"])
@pytest.mark.parametrize("keep", [True, "score", "loss"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_the_fit_ends_with_the_best_of_all_its_epochs(cls, keep, which):
    """The parameters are those of a fit that ended there; training runs to its end."""
    train, judge = rows()
    common = {**SMALL, **ENDLESS, "learning_rate": lambda e: 0.1 if e < 25 else 30.0}
    model = cls(**common, max_iter=40, keep_best=keep, best_epoch=which)
    fit(model, *train, **judge)
    assert (model.n_iter_, model.stop_reason_) == (40, "max_iter")
    epoch = expected_epoch(model, "loss" if keep == "loss" else "score", which)
    there = fit(cls(**common, max_iter=epoch), *train, **judge)
    np.testing.assert_array_equal(model.coefs_[0], there.coefs_[0])
    last = fit(cls(**common, max_iter=40), *train, **judge)
    assert model.history_["loss"] == last.history_["loss"]
    assert epoch < 40
    assert np.abs(model.coefs_[0] - last.coefs_[0]).max() > 1e-6


def test_first_and_last_differ_here():
    train, judge = rows()
    model = MLPClassifier(**SMALL, **ENDLESS, **LARGE, max_iter=40)
    fit(model, *train, **judge)
    assert expected_epoch(model, "score", "first") < expected_epoch(
        model, "score", "last"
    )


def test_rows_are_held_out_where_none_are_given():
    (X, y), _ = rows()
    model = MLPClassifier(**SMALL, **ENDLESS, **LARGE, max_iter=20, keep_best="loss")
    fit(model, X, y)
    stopping = MLPClassifier(**SMALL, **ENDLESS, **LARGE, max_iter=20)
    fit(stopping.set_params(early_stopping=True), X, y)
    assert model.validation_scores_ == stopping.validation_scores_
    assert model.loss_curve_ == stopping.loss_curve_
    assert model.best_loss_ == min(model.loss_curve_)


@pytest.mark.parametrize("which", ["first", "last"])
def test_early_stopping_may_keep_by_another_figure(which):
    train, judge = rows()
    common = {**SMALL, **LARGE, "tol": 0.0, "n_iter_no_change": 12, "max_iter": 200}
    plain = fit(MLPClassifier(**common, early_stopping=True), *train, **judge)
    params = {"early_stopping": True, "keep_best": "loss", "best_epoch": which}
    model = fit(MLPClassifier(**common, **params), *train, **judge)
    assert model.validation_scores_ == plain.validation_scores_
    assert model.stop_reason_ == plain.stop_reason_ == "early_stopping"
    common["max_iter"] = expected_epoch(model, "loss", which)
    there = fit(MLPClassifier(**common), *train, **judge)
    np.testing.assert_array_equal(model.coefs_[0], there.coefs_[0])
    common["max_iter"] = expected_epoch(plain, "score", "first")
    there = fit(MLPClassifier(**common), *train, **judge)
    np.testing.assert_array_equal(plain.coefs_[0], there.coefs_[0])


def test_epochs_behind_the_best_may_diverge():
    train, judge = rows()
    rate = [0.05, 0.05, 0.05, 1e200, 1e200]
    settings = {**SMALL, **ENDLESS, "solver": "sgd", "momentum": 0, "max_iter": 5}
    settings["learning_rate"] = lambda epoch: rate[epoch]
    model = MLPRegressor(**settings, keep_best="loss")
    with (
        pytest.warns(UserWarning, match=r"best validation loss are kept"),
        np.errstate(all="ignore"),
    ):
        model.fit(*train, **judge)
    there = fit(MLPRegressor(**{**settings, "max_iter": 3}), *train, **judge)
    np.testing.assert_array_equal(model.coefs_[0], there.coefs_[0])


def test_scores_that_are_no_numbers_choose_nothing():
    train, judge = rows()
    settings = {**SMALL, **ENDLESS, "max_iter": 4, "scoring": lambda *_: np.nan}
    with pytest.warns(UndefinedMetricWarning, match="NaN"):
        model = fit(MLPClassifier(**settings, keep_best=True), *train, **judge)
    last = fit(MLPClassifier(**settings), *train, **judge)
    np.testing.assert_array_equal(model.coefs_[0], last.coefs_[0])


def test_a_fit_goes_on_from_a_checkpoint_with_its_best(tmp_path):
    train, judge = rows()
    settings = {**SMALL, **ENDLESS, **LARGE, "keep_best": "loss", "max_iter": 25}
    whole = fit(MLPClassifier(**settings), *train, **judge)
    best = expected_epoch(whole, "loss", "first")
    path = tmp_path / "fit.safetensors"
    ends = [Checkpoint(path), lambda epoch, logs: epoch == best]
    fit(MLPClassifier(**settings, callbacks=ends), *train, **judge)
    model = fit(MLPClassifier(**settings), *train, **judge, resume_from=path)
    np.testing.assert_array_equal(model.coefs_[0], whole.coefs_[0])
    assert model.loss_curve_ == whole.loss_curve_


def test_each_fit_has_a_best_of_its_own():
    train, judge = rows()
    settings = {**SMALL, **ENDLESS, "max_iter": 3, "warm_start": True}
    model = MLPClassifier(**settings, **LARGE, keep_best="loss")
    fit(model, *train, **judge)
    before = model.coefs_[0].copy()
    model.set_params(learning_rate_init=50.0)
    fit(model, *train, **judge)
    assert np.abs(model.coefs_[0] - before).max() > 1e-6


@pytest.mark.parametrize("value", [True, "loss"])
def test_where_there_is_nothing_to_choose_from(value):
    (X, y), _ = rows()
    with pytest.raises(ValueError, match="holds out no rows: keep_best needs X_val"):
        MLPClassifier(solver="lbfgs", keep_best=value).fit(X, y)
    with pytest.raises(ValueError, match="partial_fit does not support keep_best"):
        MLPClassifier(keep_best=value).partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("given", [{"keep_best": "best"}, {"best_epoch": "any"}])
def test_bad_values_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        MLPClassifier(**given).fit(*iris())
