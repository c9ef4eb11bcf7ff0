"""A fit that goes on from a checkpoint ends at the bits of one not interrupted."""

import itertools
import sys

import numpy as np
import pytest
import scipy.sparse
from fits import fit, iris
from saving import facts, run_saving
from sklearn.base import clone

import fastmlp.checkpoints
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, ModelFileError, load
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS
from fastmlp.schedules import SCHEDULES, OfProgress

X, y = iris()
EPOCHS = 5
SMALL = {"hidden_layer_sizes": (6, 5), "random_state": 4, "batch_size": 40}
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf, "max_iter": EPOCHS}
LAYERS = {
    "plain": {},
    "dropout": {"dropout": [0.1, 0.4]},
    "batch norm": {"batch_norm": True, "dropout": 0.2},
}
JUDGED = {
    "early stopping": ({"early_stopping": True}, False),
    "given": ({}, True),
    "both": ({"early_stopping": True, "stop_on_overfit": True}, True),
    "scorer": ({"early_stopping": True, "scoring": "neg_log_loss"}, False),
}
ENDED = {
    "tol": {"tol": 1.0, "n_iter_no_change": 1, "max_iter": 9},
    "adaptive": {
        "tol": 1.0,
        "n_iter_no_change": 1,
        "max_iter": 9,
        "learning_rate": "adaptive",
        "solver": "sgd",
    },
    "param_tol": {**UNSTOPPED, "param_tol": 1.0},
    "early_stopping": {
        "tol": 1.0,
        "n_iter_no_change": 2,
        "max_iter": 9,
        "early_stopping": True,
    },
    "overfitting": {
        "stop_on_overfit": True,
        "early_stopping": True,
        "batch_size": 5,
        "tol": 0.0,
        "n_iter_no_change": 2,
        "max_iter": 60,
        "alpha": 0.0,
        "learning_rate_init": 0.1,
        "solver": "sgd",
    },
    "functions": {
        **UNSTOPPED,
        "solver": "sgd",
        "learning_rate": lambda epoch: 0.1 / (1 + epoch),
        "momentum": OfProgress(lambda t: t / 2),
        "dropout": OfProgress(lambda t: 0.5 * (1 - t)),
    },
}


def check_every_checkpoint(model, folder, *data, **keywords):
    """Fit, and go on from each checkpoint of that fit."""
    path = folder / "fit"
    model.set_params(callbacks=[Checkpoint(path, keep=100)])
    fit(model, *data, **keywords)
    expected = facts(model)
    paths = [path, *folder.glob("fit.*")]
    assert len(paths) == model.n_iter_
    for found in paths:
        again = clone(model).set_params(callbacks=None)
        fit(again, *data, **keywords, resume_from=found)
        assert facts(again) == expected, (model, found)
        found.unlink()


@pytest.mark.parametrize("solver", FIRST_ORDER_SOLVERS)
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_every_optimizer(cls, solver, tmp_path):
    for layers, shuffle in zip(LAYERS.values(), (True, True, False), strict=True):
        settings = {**layers, "shuffle": shuffle, "dtype": "float32"}
        model = cls(**SMALL, **UNSTOPPED, solver=solver, **settings)
        check_every_checkpoint(model, tmp_path, X, y)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(schedule, tmp_path):
    for warmup, restart in itertools.product((0, 2), (None, 2)):
        settings = {"warmup_epochs": warmup, "restart_epochs": restart}
        model = MLPRegressor(
            **SMALL, **UNSTOPPED, solver="sgd", learning_rate=schedule, **settings
        )
        check_every_checkpoint(model, tmp_path, X, y)


@pytest.mark.parametrize(("settings", "given"), JUDGED.values(), ids=JUDGED)
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_held_out_rows(settings, given, layers, tmp_path):
    rows = {"X_val": X[::7], "y_val": y[::7]} if given else {}
    rows |= {"sample_weight": np.linspace(0.5, 2, len(y))}
    model = MLPClassifier(**SMALL, **UNSTOPPED, **settings, **layers)
    check_every_checkpoint(model, tmp_path, X, y, **rows)


@pytest.mark.parametrize("settings", ENDED.values(), ids=ENDED)
def test_fits_that_end_by_their_rules(settings, tmp_path):
    """The last checkpoint is of a fit that is over: there is no further epoch."""
    model = MLPClassifier(**{**SMALL, **settings})
    check_every_checkpoint(model, tmp_path, X, y % 2 if "dropout" in settings else y)


def test_sparse_rows(tmp_path):
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        model = MLPClassifier(**SMALL, **UNSTOPPED, early_stopping=True)
        check_every_checkpoint(model, tmp_path, kind(X), y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_fit_goes_on(early_stopping, tmp_path):
    """In a new process it knows nothing of the first fit but the checkpoint."""
    path = tmp_path / "fit"
    settings = {"learning_rate": "cosine", "early_stopping": early_stopping}
    model = MLPClassifier(
        **SMALL, **{**UNSTOPPED, "max_iter": 3}, warm_start=True, **settings
    )
    fit(model, X, y)
    fit(model.set_params(callbacks=[Checkpoint(path, keep=9)]), X, y)
    assert len(model.loss_curve_) == 6
    for name in ("fit", "fit.1", "fit.2"):
        again = clone(model).set_params(callbacks=None)
        fit(again, X, y, resume_from=tmp_path / name)
        assert facts(again) == facts(model), name


def test_goes_on_after_it_was_stopped_from_outside(tmp_path):
    whole = fit(MLPClassifier(**SMALL, **UNSTOPPED), X, y)
    path = tmp_path / "fit"

    def stop(epoch, logs):
        return epoch == 1

    callbacks = [Checkpoint(path, every=100), stop]
    cut = fit(MLPClassifier(**SMALL, **UNSTOPPED, callbacks=callbacks), X, y)
    assert (cut.n_iter_, cut.stop_reason_) == (2, "callback")
    epochs = []
    again = MLPClassifier(**SMALL, **UNSTOPPED, n_threads=2)
    again.set_params(callbacks=[lambda epoch, logs: epochs.append(epoch)])
    fit(again, X, y, resume_from=path)
    assert facts(again) == facts(whole)
    assert epochs == [2, 3, 4]
    slow = MLPClassifier(**SMALL, **UNSTOPPED, max_seconds=1e-9)
    fit(slow.set_params(callbacks=[Checkpoint(path)]), X, y)
    assert slow.stop_reason_ == "max_seconds"
    again = MLPClassifier(**SMALL, **UNSTOPPED)
    assert facts(fit(again, X, y, resume_from=path)) == facts(whole)


def test_how_often_and_how_many(tmp_path, monkeypatch):
    model = MLPRegressor(**SMALL, **{**UNSTOPPED, "max_iter": 7})
    fit(model.set_params(callbacks=[Checkpoint(tmp_path / "a", 3, keep=9)]), X, y)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.1", "a.2"]
    reached = [
        len(fastmlp.checkpoints.read_checkpoint(tmp_path / name)[1].history["loss"])
        for name in ("a", "a.1", "a.2")
    ]
    assert reached == [7, 6, 3]
    fit(model.set_params(callbacks=[Checkpoint(tmp_path / "b", keep=2)]), X, y)
    assert sorted(p.name for p in tmp_path.glob("b*")) == ["b", "b.1"]
    seldom = Checkpoint(tmp_path / "c", seconds=3600, keep=9)
    fit(model.set_params(callbacks=[seldom]), X, y)
    assert sorted(p.name for p in tmp_path.glob("c*")) == ["c", "c.1"]


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "fit"
    model = MLPClassifier(**SMALL, **UNSTOPPED, callbacks=[Checkpoint(path)])
    fit(model, X, y, X_val=X[:9], y_val=y[:9])
    return path


OTHER = {
    "rows": ({}, (X[:-1], y[:-1]), {}, r"X was .*\(150, 4\).*\(149, 4\)"),
    "a number": ({}, (np.r_[X[:-1], X[-1:] + 1e-9], y), {}, "rows of X was"),
    "a type": ({}, (X.astype("float32"), y), {}, "X was .*float64.*float32"),
    "a target": ({}, (X, np.r_[y[:-1], 0]), {}, "rows of y was"),
    "weights": ({}, (X, y), {"sample_weight": np.ones(150)}, "sample_weight was None"),
    "judges": ({}, (X, y), {"X_val": X[9:20]}, "X_val was"),
    "a form": ({}, (scipy.sparse.csr_array(X), y), {}, "X was 'dense .*'sparse"),
    "alpha": ({"alpha": 0.5}, (X, y), {}, "alpha was 0.0001, and is now 0.5"),
    "solver": ({"solver": "sgd"}, (X, y), {}, "solver was 'adam'"),
    "seed": ({"random_state": 5}, (X, y), {}, "random_state was 4"),
    "epochs": ({"max_iter": 50}, (X, y), {}, "max_iter was 5"),
    "function": ({"scoring": len}, (X, y), {}, "scoring was None.*function, len"),
}


@pytest.mark.parametrize(
    ("settings", "data", "more", "said"), OTHER.values(), ids=OTHER
)
def test_another_fit_is_refused(settings, data, more, said, stored):
    model = MLPClassifier(**{**SMALL, **UNSTOPPED, **settings})
    before = dict(vars(model))
    rows = {"X_val": X[:9], "y_val": y[:9], **more}
    rows["y_val"] = y[9:20] if len(rows["X_val"]) == 11 else rows["y_val"]
    with pytest.raises(
        ValueError, match=f"the checkpoint is of a fit with other.*{said}"
    ):
        model.fit(*data, **rows, resume_from=stored)
    assert vars(model) == before
    regressor = MLPRegressor(**SMALL, **UNSTOPPED)
    with pytest.raises(ValueError, match=r"class was 'MLPClassifier'|other (data|par)"):
        regressor.fit(X, y, **rows, resume_from=stored)


def test_another_version_is_refused(stored, monkeypatch):
    monkeypatch.setattr(fastmlp.checkpoints.Origin, "__init__", _of_version("7.0"))
    with pytest.raises(ValueError, match=r"this is 7\.0: another version"):
        MLPClassifier(**SMALL, **UNSTOPPED).fit(X, y, resume_from=stored)


def _of_version(version):
    init = fastmlp.checkpoints.Origin.__init__

    def of_version(self, *arguments, **keywords):
        init(self, *arguments, **{"version": version, **keywords})

    return of_version


def test_other_files_are_refused(stored, tmp_path):
    model = MLPClassifier(**SMALL, **UNSTOPPED)
    with pytest.raises(ModelFileError, match="resume_from"):
        load(stored)
    fit(model, X, y).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="holds 'MLPClassifier', not a checkpoint"):
        model.fit(X, y, resume_from=tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        model.fit(X, y, resume_from=tmp_path / "none")
    data = stored.read_bytes()
    for n in range(0, len(data), 997):
        stored.write_bytes(data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :])
        with pytest.raises(ModelFileError):
            model.fit(X, y, resume_from=stored)


def test_what_has_no_checkpoints_says_so(tmp_path):
    callbacks = [Checkpoint(tmp_path / "fit")]
    for solver in FULL_BATCH_SOLVERS:
        with pytest.raises(ValueError, match="does not support checkpoints"):
            MLPRegressor(solver=solver, callbacks=callbacks).fit(X, y)
    with pytest.raises(ValueError, match="save the estimator"):
        MLPRegressor(callbacks=callbacks).partial_fit(X, y)
    for settings in ({"every": 0}, {"keep": 0}, {"seconds": -1}, {"every": 1.5}):
        with pytest.raises(ValueError, match="must be"):
            Checkpoint("fit", **settings)


def test_a_disk_that_fails_ends_the_fit(tmp_path):
    model = fit(MLPRegressor(**SMALL, **UNSTOPPED), X, y)
    before = facts(model)
    model.set_params(callbacks=[Checkpoint(tmp_path / "no folder" / "fit")])
    with pytest.raises(FileNotFoundError):
        fit(model, X, y)
    assert facts(model) == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
@pytest.mark.parametrize("n_fits", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_fits_go_on(n_fits):
    """Killed at random moments, until they are through."""
    assert run_saving("fit", n_fits) == n_fits
