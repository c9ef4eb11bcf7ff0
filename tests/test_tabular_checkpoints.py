"""Members that go on from a checkpoint end at the bits of a fit not interrupted."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastmlp.checkpoints
from fastmlp import Checkpoint, ModelFileError, TabularClassifier, TabularRegressor
from fastmlp.__main__ import main
from fastmlp.model_files import from_bytes, load, to_bytes
from fastmlp.tabular.checkpoints import read_earlier

pytest.importorskip("safetensors")

EPOCHS = 5
SMALL = {
    "hidden_layer_sizes": (8,),
    "max_iter": EPOCHS,
    "n_members": 3,
    "random_state": 0,
    "batch_size": 32,
}
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=90), "b": np.resize(["u", "v", None], 90)})
X["b"] = X["b"].astype(object)
y = np.where(X["a"] > 0, "yes", "no")
target = 3 * X["a"].to_numpy() + 7


class PowerCutError(Exception):
    """The process ends here."""


def cut_after(monkeypatch, n_writes, before=False):
    """Whoever writes a checkpoint after so many loses power: then all of them do."""
    write, done = fastmlp.checkpoints.replace_file, []

    def replace_file(path, data):
        if len(done) < n_writes:
            write(path, data)
        done.append(path)
        if len(done) > n_writes - (not before):
            raise PowerCutError

    monkeypatch.setattr(fastmlp.checkpoints, "replace_file", replace_file)


def interrupted(monkeypatch, path, make, data, n_writes, **settings):
    with monkeypatch.context() as patch:
        cut_after(patch, n_writes)
        model = make(**{**SMALL, **settings}, callbacks=[Checkpoint(path)])
        with pytest.raises(PowerCutError):
            model.fit(*data)
        assert not hasattr(model, "members_")


def check_same(model, other):
    """All that was learnt, but the time that it has taken."""
    np.testing.assert_array_equal(model.predict_members(X), other.predict_members(X))
    for mine, theirs in zip(model.history_, other.history_, strict=True):
        assert {k: v for k, v in mine.items() if k != "seconds"} == {
            k: v for k, v in theirs.items() if k != "seconds"
        }
    for name in "temperature_", "residuals_", "n_iter_", "stop_reason_":
        if hasattr(model, name):
            np.testing.assert_equal(getattr(model, name), getattr(other, name))


CASES = {
    "classifier": (TabularClassifier, y, {}),
    "metric": (TabularClassifier, y, {"metric": "accuracy", "dropout": 0.3}),
    "regressor": (TabularRegressor, target, {"n_threads": 1}),
    "one net": (TabularRegressor, target, {"n_members": 1, "loss": "huber"}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_to_the_same_bits(case, tmp_path, monkeypatch):
    make, targets, settings = CASES[case]
    whole = make(**{**SMALL, **settings}).fit(X, targets)
    n_all = EPOCHS * settings.get("n_members", 3)
    for n_writes in {1, 2, n_all // 2, n_all - 1}:
        path = tmp_path / f"{n_writes}"
        interrupted(monkeypatch, path, make, (X, targets), n_writes, **settings)
        rest = make(**{**SMALL, **settings}, callbacks=[Checkpoint(tmp_path / "next")])
        check_same(rest.fit(X, targets, resume_from=path), whole)
        again = make(**{**SMALL, **settings})
        check_same(again.fit(X, targets, resume_from=tmp_path / "next"), whole)


def test_it_goes_on_twice(tmp_path, monkeypatch):
    path = tmp_path / "fit"
    interrupted(monkeypatch, path, TabularRegressor, (X, target), 12)
    stored = read_earlier(path).arrays.keys()
    with monkeypatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(PowerCutError):
            TabularRegressor(**SMALL, callbacks=[Checkpoint(path)]).fit(
                X, target, resume_from=path
            )
    assert read_earlier(path).arrays.keys() >= stored
    rest = TabularRegressor(**SMALL).fit(X, target, resume_from=path)
    check_same(rest, TabularRegressor(**SMALL).fit(X, target))


def test_seeds_and_folds_are_those_of_the_checkpoint(tmp_path):
    """Without a seed nothing else could say which they were."""
    path, free = tmp_path / "fit", {**SMALL, "random_state": None}
    whole = TabularRegressor(**free, callbacks=[Checkpoint(path)]).fit(X, target)
    check_same(TabularRegressor(**free).fit(X, target, resume_from=path), whole)


def test_time_that_is_up_may_be_given_again(tmp_path):
    path, many = tmp_path / "fit", {**SMALL, "max_iter": 60}
    short = TabularRegressor(**many, max_seconds=1e-9, callbacks=[Checkpoint(path)])
    assert short.fit(X, target).stop_reason_ == "max_seconds"
    assert short.n_iter_ < 60
    rest = TabularRegressor(**many).fit(X, target, resume_from=path)
    check_same(rest, TabularRegressor(**many).fit(X, target))


def test_rows_to_judge_by(tmp_path, monkeypatch):
    path, judges = tmp_path / "fit", {"X_val": X[60:], "y_val": y[60:]}
    with monkeypatch.context() as patch:
        cut_after(patch, 4)
        with pytest.raises(PowerCutError):
            TabularClassifier(**SMALL, callbacks=[Checkpoint(path)]).fit(
                X[:60], y[:60], **judges
            )
    whole = TabularClassifier(**SMALL).fit(X[:60], y[:60], **judges)
    rest = TabularClassifier(**SMALL).fit(X[:60], y[:60], resume_from=path, **judges)
    check_same(rest, whole)
    with pytest.raises(ValueError, match="other data: X_val was"):
        TabularClassifier(**SMALL).fit(
            X[:60], y[:60], resume_from=path, X_val=X[50:], y_val=y[50:]
        )


@pytest.mark.slow
def test_a_process_that_is_killed(tmp_path):
    """Its last file is whole, whatever it was doing."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import os, signal
import fastmlp.checkpoints
from test_tabular_checkpoints import *
write, done = fastmlp.checkpoints.replace_file, []
def replace_file(path, data):
    done.append(path)
    if len(done) > 6:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)
fastmlp.checkpoints.replace_file = replace_file
TabularRegressor(**SMALL, callbacks=[Checkpoint("fit", keep=2)]).fit(X, target)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert ended.returncode == -9
    whole = TabularRegressor(**SMALL).fit(X, target)
    for name in "fit", "fit.1":
        rest = TabularRegressor(**SMALL).fit(X, target, resume_from=tmp_path / name)
        check_same(rest, whole)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "fit"
    TabularRegressor(**SMALL, callbacks=[Checkpoint(path)]).fit(X, target)
    return path


OTHERS = {
    "rows": ({}, (X[:80], target[:80]), {}, "X was .* is now"),
    "targets": ({}, (X, np.sqrt(target + 9)), {}, "rows of y was"),
    "weights": ({}, (X, target, np.arange(1, 91)), {}, "sample_weight was None"),
    "members": ({"n_members": 4}, (X, target), {}, "n_members was 3, and is now 4"),
    "seed": ({"random_state": 1}, (X, target), {}, "random_state was 0"),
    "epochs": ({"max_iter": 6}, (X, target), {}, "max_iter was 5"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_fit_does_not_go_on(case, stored):
    settings, data, more, match = OTHERS[case]
    model = TabularRegressor(**{**SMALL, **settings})
    with pytest.raises(ValueError, match=match):
        model.fit(*data, resume_from=stored, **more)
    assert not hasattr(model, "members_")


def test_files_that_are_no_checkpoint_of_members(stored, tmp_path):
    path = tmp_path / "broken"
    model = TabularRegressor(**SMALL)
    with pytest.raises(FileNotFoundError):
        model.fit(X, target, resume_from=path)
    path.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="SHA-256"):
        model.fit(X, target, resume_from=path)
    with pytest.raises(ModelFileError, match="resume with fit"):
        load(stored)
    with pytest.raises(ModelFileError, match="not a checkpoint of a fit"):
        fastmlp.MLPRegressor(max_iter=1).fit(
            X[["a"]].to_numpy(), target, resume_from=stored
        )
    kind, facts, arrays = from_bytes(stored.read_bytes())
    for damage in "stream", "array", "number":
        broken, parts = dict(facts), dict(arrays)
        if damage == "stream":
            broken["stream"] = 3
        elif damage == "array":
            del parts["1.network.params"]
        else:
            parts["x.y"] = np.zeros(1)
        path.write_bytes(to_bytes(kind, broken, parts))
        with pytest.raises(ModelFileError):
            model.fit(X, target, resume_from=path)


def test_callbacks_are_checkpoints():
    model = TabularRegressor(**SMALL, callbacks=[print])
    with pytest.raises(TypeError, match="must be Checkpoint objects"):
        model.fit(X, target)


def test_the_command_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X.assign(y=y).to_csv("data.csv", index=False)
    arguments = ["train", "data.csv", "--target", "y", "--epochs", "3"]
    arguments += ["--members", "2", "--test-fraction", "0"]
    assert main([*arguments, "-o", "whole"]) == 0
    more = ["-o", "rest", "--checkpoint", "fit"]
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        with pytest.raises(PowerCutError):
            main([*arguments, *more])
    assert main([*arguments, *more]) == 0
    assert "goes on from fit" in capsys.readouterr().out
    check_same(load("rest"), load("whole"))
    X.assign(y=y)[:50].to_csv("data.csv", index=False)
    assert main([*arguments, *more]) == 2
    assert "other data" in capsys.readouterr().err
