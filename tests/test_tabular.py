"""TabularClassifier and TabularRegressor: fits, failures, uncertainty, files."""

import contextlib
import pickle
import signal
import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_score, train_test_split

import fastmlp
from fastmlp import ModelFileError, TabularClassifier, TabularRegressor
from fastmlp.model_files import from_bytes, to_bytes
from fastmlp.tabular.preset import count_epochs, falling, four_waves

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 8, "n_members": 2, "random_state": 0}


def classifier(**settings):
    return TabularClassifier(**{**SMALL, **settings})


def regressor(**settings):
    return TabularRegressor(**{**SMALL, **settings})


def mixed(n=200, seed=0):
    """A frame with gaps, and what can be learnt from it."""
    rng = np.random.default_rng(seed)
    number = rng.normal(size=n)
    colour = rng.choice(np.array(["red", "green", "blue"], dtype=object), n)
    y = np.where((number > 0) ^ (colour == "red"), "yes", "no")
    target = 100 + 20 * number + 30 * (colour == "red")
    number[rng.random(n) < 0.1] = np.nan
    colour[rng.random(n) < 0.1] = None
    return pd.DataFrame({"number": number, "colour": colour}), y, target


X, y, target = mixed()


def test_a_table_as_it_is_is_learnt():
    frame, classes, numbers = mixed(600)
    model = classifier(hidden_layer_sizes=(64, 64), max_iter=40)
    assert model.fit(frame[:400], classes[:400]).score(frame[400:], classes[400:]) > 0.8
    model = regressor(hidden_layer_sizes=(64, 64), max_iter=40)
    assert model.fit(frame[:400], numbers[:400]).score(frame[400:], numbers[400:]) > 0.7


def test_the_schedule_is_the_papers():
    assert [four_waves(t) for t in (0, 1 / 15, 3 / 15, 7 / 15, 1)] == pytest.approx(
        [0] * 5, abs=1e-12
    )
    assert four_waves((2**0.5 - 1) / 15) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ends", "at"),
    [(1.0, [8, 8, 8, 4, 0]), (0.75, [8, 8, 4, 0, 0]), (0.5, [8, 4, 0, 0, 0])],
)
def test_decay_falls_over_half_of_the_fit(ends, at):
    schedule = falling(8.0, ends)
    values = [schedule(t) for t in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(values, at, atol=1e-12)
    assert falling(0.0, ends) == 0.0


def test_larger_tables_get_fewer_epochs():
    rows = [10, 10_000, 20_000, 10**7]
    assert [count_epochs(n) for n in rows] == [192, 192, 96, 32]


TYPES = {
    "array": y,
    "objects": y.astype(object),
    "list": y.tolist(),
    "pandas": pd.Series(y),
    "category": pd.Series(pd.Categorical(y)),
    "polars": pl.Series(y.tolist()),
    "enum": pl.Series(y.tolist(), dtype=pl.Enum(["yes", "no"])),
}


@pytest.mark.parametrize("kind", TYPES)
def test_classes_of_every_type(kind):
    model = classifier(max_iter=1).fit(X, TYPES[kind])
    assert model.classes_.tolist() == ["no", "yes"]


def test_a_column_of_nullable_booleans_is_of_booleans():
    model = classifier(max_iter=1).fit(X, pd.Series(y == "yes", dtype="boolean"))
    assert model.classes_.dtype == bool


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_class_that_is_missing_is_refused(missing):
    targets = y.astype(object)
    targets[3] = missing
    for some in targets, pd.Series(targets), targets.tolist():
        with pytest.raises(ValueError, match="Input y contains NaN"):
            classifier().fit(X, some)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("n_members", [1, 3])
def test_threads_change_nothing(make, n_members):
    targets = y if make is classifier else target
    predictions = [
        make(n_members=n_members, n_threads=n, hidden_layer_sizes=(64, 64))
        .fit(X, targets)
        .predict_members(X)
        for n in (1, 2, 5)
    ]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    np.testing.assert_array_equal(predictions[0], predictions[2])


def test_members_differ_and_are_averaged():
    model = classifier(n_members=3).fit(X, y)
    members = model.predict_members(X)
    assert members.shape == (3, len(X), 2)
    assert len({member.tobytes() for member in members}) == 3
    np.testing.assert_allclose(model.predict_proba(X), members.mean(axis=0))
    model = regressor(n_members=3).fit(X, target)
    np.testing.assert_allclose(model.predict(X), model.predict_members(X).mean(axis=0))


def test_each_member_holds_out_rows_of_its_own(monkeypatch):
    from fastmlp.tabular import _base

    seen = []
    train = _base.train_members

    def spy(preset, data, jobs, *others):
        seen.extend(jobs)
        return train(preset, data, jobs, *others)

    monkeypatch.setattr(_base, "train_members", spy)
    regressor(n_members=4, max_iter=1).fit(X, target)
    held_out = [np.setdiff1d(np.arange(len(X)), job.rows) for job in seen]
    together = np.concatenate(held_out)
    assert len(np.unique(together)) == len(together) == len(X) // 2
    for job, rows in zip(seen, held_out, strict=True):
        assert len(job.rows) + len(rows) == len(X)
        standard = (target[rows] - target.mean()) / target.std()
        np.testing.assert_allclose(job.held_out.Y[:, 0], standard, 1e-4, 1e-5)


def test_a_row_of_weight_zero_is_as_if_it_were_not_there():
    weights = np.ones(len(X))
    weights[::3] = 0
    kept = weights > 0
    for make, targets in (classifier, y), (regressor, target):
        strange = targets.copy()
        strange[~kept] = targets[0]
        weighed = make().fit(X, strange, weights)
        without = make().fit(X[kept], targets[kept])
        np.testing.assert_array_equal(
            weighed.predict_members(X), without.predict_members(X)
        )


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_weights_of_any_size(factor):
    weights = 1.0 + (np.arange(len(X)) % 3)
    for make, targets in (classifier, y), (regressor, target):
        models = [make().fit(X, targets, weights * f) for f in (1, factor)]
        first, second = (model.predict_members(X) for model in models)
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "targets", [np.repeat("1", len(X)), pd.date_range("2020", periods=len(X))]
)
def test_targets_that_are_no_numbers(targets):
    with pytest.raises(ValueError, match="y must hold integers or floats"):
        regressor().fit(X, targets)


def test_weights_move_the_mean():
    features, targets = np.zeros((200, 1)), np.repeat([0.0, 1.0], 100)
    weights = np.where(targets == 1, 3.0, 1.0)
    model = regressor(max_iter=30).fit(features, targets, weights)
    assert model.predict(features)[0] == pytest.approx(0.75, abs=0.05)


def test_class_weight_is_sample_weight():
    weights = np.where(y == "yes", 2.5, 1.0)
    by_class = classifier(class_weight={"yes": 2.5, "no": 1}, metric="accuracy")
    by_row = classifier(metric="accuracy")
    # Scores see the weights of rows, and the best epoch may be another.
    np.testing.assert_allclose(
        by_class.fit(X, y).history_[0]["loss"],
        by_row.fit(X, y, weights).history_[0]["loss"],
        rtol=1e-3,
    )
    classifier(class_weight="balanced").fit(X, y)


def test_targets_are_standardised_inside():
    plain = regressor().fit(X, target)
    moved = regressor().fit(X, 1e6 + 1e3 * target)
    np.testing.assert_allclose(
        (moved.predict(X) - 1e6) / 1e3, plain.predict(X), rtol=1e-3
    )
    interval, other = plain.predict_interval(X), moved.predict_interval(X)
    np.testing.assert_allclose((other - 1e6) / 1e3, interval, rtol=1e-2)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_of_any_size(scale):
    model = regressor().fit(X, target * scale)
    prediction, std = model.predict(X, return_std=True)
    assert np.corrcoef(prediction / scale, target)[0, 1] > 0.5
    spread = std / np.ptp(model.predict_interval(X, coverage=0.8), axis=1)
    assert ((spread > 0.1) & (spread < 2)).all()


def test_predictions_stay_in_the_range_of_the_targets():
    model = regressor(max_iter=60).fit(X, target)
    far = pd.DataFrame({"number": [-1e9, 1e9], "colour": ["red", "red"]})
    for prediction in model.predict(far):
        assert target.min() <= prediction <= target.max()


def test_a_constant_target_is_predicted():
    np.testing.assert_allclose(regressor().fit(X, np.full(len(X), 7.5)).predict(X), 7.5)


# After 40 epochs members are half-trained: their mean is far better than each of them.
# By purpose that gain is left out of intervals and std, and most without dropout.
@pytest.mark.parametrize(
    ("settings", "std_off"),
    [
        ({"max_iter": 40}, 0.3),
        ({"max_iter": 40, "dropout": 0.15}, 0.25),
        ({"max_iter": 100}, 0.25),
    ],
)
def test_intervals_hold_what_they_promise(settings, std_off):
    features, numbers = make_friedman1(1200, noise=1.0, random_state=0)
    model = regressor(hidden_layer_sizes=(64, 64), n_members=4, **settings)
    model.fit(features[:600], numbers[:600])
    low, high = model.predict_interval(features[600:], coverage=0.9).T
    inside = np.mean((low <= numbers[600:]) & (numbers[600:] <= high))
    # Two points, and twice the deviation that 300 and 600 rows leave.
    assert inside == pytest.approx(0.9, abs=0.02 + 0.04)
    _, std = model.predict(features[600:], return_std=True)
    off = numbers[600:] - model.predict(features[600:])
    assert np.sqrt(np.mean(std**2)) == pytest.approx(np.std(off), rel=std_off)


def test_several_targets():
    both = np.column_stack([target, -3 * target])
    model = regressor(max_iter=30).fit(X, both)
    assert model.predict(X).shape == (len(X), 2)
    assert model.predict_interval(X).shape == (len(X), 2, 2)
    assert model.predict_members(X).shape == (2, len(X), 2)
    assert model.score(X, both) > 0.5


def test_several_quantiles_are_in_order():
    model = regressor(loss="quantile", quantile=[0.9, 0.1, 0.5], max_iter=60)
    predicted = model.fit(X, target).predict(X)
    assert predicted.shape == (len(X), 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    shares = (target[:, None] <= predicted).mean(axis=0)
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.1)
    with pytest.raises(ValueError, match="several quantiles"):
        model.predict_interval(X)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_other_losses(loss):
    assert regressor(loss=loss, max_iter=40).fit(X, target).score(X, target) > 0.5


def test_labels_that_can_be_had_together():
    labels = np.column_stack([y == "yes", X["colour"] == "red"]).astype(int)
    model = classifier(max_iter=60).fit(X, labels)
    assert model.predict_proba(X).shape == (len(X), 2)
    assert accuracy_score(labels, model.predict(X)) > 0.6
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        "log_loss",
        "roc_auc",
        "f1_macro",
        lambda model, X, y: accuracy_score(y, model.predict(X)),
    ],
)
def test_metrics_of_a_classifier(metric):
    for classes in y, np.digitize(target, [90, 110]):
        model = classifier(metric=metric, max_iter=30).fit(X, classes)
        scores = model.history_[0]["validation_score"]
        assert np.isfinite(scores).all()
        assert max(scores) > scores[0]


@pytest.mark.parametrize(("best", "kept"), [(8, 7), (4, 3), (5, 7), (12, 15), (0, 3)])
def test_the_epoch_kept_is_the_best_of_those_at_whose_end_a_wave_is_over(best, kept):
    from sklearn.metrics import make_scorer

    predictions = []

    def judge(truth, predicted):
        predictions.append(predicted)
        return -abs(len(predictions) - best)

    metric = make_scorer(judge)
    model = regressor(n_members=1, metric=metric, max_iter=15)  # ends: 3, 7, 15
    model.fit(X[:150], target[:150], X_val=X[150:], y_val=target[150:])
    assert len(predictions) == 15
    np.testing.assert_allclose(model.predict(X[150:]), predictions[kept - 1], rtol=1e-5)
    scores = model.history_[0]["validation_score"]
    assert scores == [-abs(epoch - best) for epoch in range(1, 16)]
    own = regressor(n_members=1, max_iter=15).fit(
        X[:150], target[:150], X_val=X[150:], y_val=target[150:]
    )
    assert model.history_[0]["loss"] == own.history_[0]["loss"]


def test_probabilities_are_calibrated_by_rows_held_out():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3))
    classes = (rng.random(400) < 0.5).astype(int)
    model = classifier(hidden_layer_sizes=(64, 64), max_iter=40, metric="accuracy")
    held_out = features[300:], classes[300:]
    model.fit(features[:300], classes[:300], X_val=held_out[0], y_val=held_out[1])

    def loss(factor):
        at = clone(model)
        at.__dict__.update(vars(model), temperature_=factor * model.temperature_)
        members = at.predict_members(held_out[0])
        return np.mean([log_loss(held_out[1], member) for member in members])

    assert loss(1) < min(loss(0.95), loss(1.05))


def test_rows_to_judge_by():
    model = classifier().fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    scores = model.history_[0]["validation_score"]
    assert len(scores) == SMALL["max_iter"]
    model = regressor().fit(X[:150], target[:150], X_val=X[150:], y_val=target[150:])
    best = np.argmax(model.history_[0]["validation_score"])
    member = model.predict_members(X[150:])[0]
    half_mse = np.mean((member - target[150:]) ** 2) / model.y_scale_[0] ** 2 / 2
    loss = model.history_[0]["validation_loss"][best]
    assert half_mse == pytest.approx(loss, rel=1e-3)
    assert [len(residuals) for residuals in model.residuals_] == [50, 50]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"X_val": X}, "given together"),
        ({"y_val": y}, "given together"),
        ({"sample_weight_val": [1.0]}, "needs X_val"),
        ({"X_val": X, "y_val": np.full(len(X), "maybe")}, "classes that are not in y"),
        ({"X_val": X[["number"]], "y_val": y}, "feature names|features"),
    ],
)
def test_rows_to_judge_by_that_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        classifier().fit(X, y, **settings)


def test_columns_that_are_not_those_of_training():
    model = classifier().fit(X, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["colour", "number"]])
    with pytest.raises(ValueError, match=r"feature names|features"):
        model.predict(X[["number"]])


BAD = {
    "one row": (X[:1], y[:1], {}, "n_samples=1"),
    "one class": (X, np.full(len(X), "a"), {}, "one class"),
    "lengths": (X, y[:-1], {}, "inconsistent numbers"),
    "no target": (X, None, {}, "requires y"),
    "missing target": (X, np.where(np.arange(len(X)) == 3, np.nan, 1.0), {}, "NaN"),
    "sizes": (X, y, {"hidden_layer_sizes": (0,)}, "positive integers"),
    "no layer": (X, y, {"hidden_layer_sizes": ()}, "positive integers"),
    "members": (X, y, {"n_members": 0}, "n_members"),
    "metric": (X, y, {"metric": "best"}, "metric"),
    "activation": (X, y, {"activation": "step"}, "activation"),
    "negative": (X, y, {"class_weight": {"yes": -1, "no": 1}}, "positive and finite"),
    "unknown class": (X, y, {"class_weight": {"perhaps": 1}}, "not in class_weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_fit_that_fails_leaves_the_old_model(case):
    features, targets, settings, match = BAD[case]
    model = classifier().fit(X, y)
    before, attributes = model.predict_proba(X), dict(vars(model))
    model.set_params(**settings)
    with pytest.raises(ValueError, match=match):
        model.fit(features, targets)
    model.set_params(**{name: getattr(classifier(), name) for name in settings})
    assert vars(model) == attributes
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("weights", [[-1.0], [np.nan], [0.0], ["a"]])
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match=r"(?i)weight|NaN|convert"):
        classifier().fit(X, y, np.resize(weights, len(X)))


def test_an_error_of_a_metric_ends_all_members():
    def judge(model, features, truth):
        raise RuntimeError("no judge")

    model = regressor(n_members=3).fit(X, target)
    before = model.predict(X)
    with pytest.raises(RuntimeError, match="no judge"):
        model.set_params(metric=judge, max_iter=100_000).fit(X, target)
    np.testing.assert_array_equal(model.predict(X), before)


def test_quantiles_need_one_target():
    model = regressor(loss="quantile", quantile=[0.1, 0.9])
    with pytest.raises(ValueError, match="shape"):
        model.fit(X, np.column_stack([target, target]))
    with pytest.raises(ValueError, match=r"coverage must be in \(0, 1\)"):
        regressor().fit(X, target).predict_interval(X, coverage=1.0)


def test_time_ends_training():
    model = regressor(hidden_layer_sizes=(256, 256), max_iter=10_000, max_seconds=0.5)
    started = time.perf_counter()
    model.fit(X, target)
    assert time.perf_counter() - started < 5
    assert model.stop_reason_ == "max_seconds"
    assert 0 < model.n_iter_ < 10_000


@contextlib.contextmanager
def raised_after(seconds, error):
    """The error from a signal's handler, one that does not end a wait for a lock, after
    so many seconds of the processors' time: a busy machine has learnt as much by then.

    Libraries install such handlers: polars does for SIGINT.
    """

    def handle(number, frame):
        raise error

    before = signal.signal(signal.SIGVTALRM, handle)
    signal.siginterrupt(signal.SIGVTALRM, False)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


needs_timers = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="has no such timers"
)


@needs_timers
def test_an_interrupt_leaves_what_has_been_learnt():
    model = regressor(hidden_layer_sizes=(128, 128), max_iter=20_000, n_threads=2)
    with (
        pytest.warns(UserWarning, match="interrupted"),
        raised_after(2.0, KeyboardInterrupt),
    ):
        model.fit(X, target)
    assert model.stop_reason_ == "interrupted"
    assert model.score(X, target) > 0.5
    assert 0 < model.n_iter_ < 20_000


@needs_timers
def test_another_error_in_the_meantime_ends_all_members():
    model = regressor(max_iter=100_000)
    with pytest.raises(TimeoutError), raised_after(0.5, TimeoutError):
        model.fit(X, target)
    assert not hasattr(model, "members_")
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("fastmlp-member") for name in names)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_an_estimator_comes_back_from_a_file(make, tmp_path):
    targets = y if make is classifier else target
    model = make().fit(X, targets)
    model.save(tmp_path / "model.safetensors")
    for again in (
        fastmlp.load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(model)),
    ):
        np.testing.assert_array_equal(
            again.predict_members(X), model.predict_members(X)
        )
        assert again.get_params() == model.get_params()
        assert again.history_ == model.history_
        if make is regressor:
            np.testing.assert_array_equal(
                again.predict_interval(X), model.predict_interval(X)
            )
    clone(again).fit(X, targets)


def test_functions_are_named_and_not_stored(tmp_path):
    model = regressor(metric=lambda model, X, y: 0.0).fit(X, target)
    with pytest.warns(UserWarning, match="metric"):
        model.save(tmp_path / "model.safetensors")
    assert fastmlp.load(tmp_path / "model.safetensors").metric is None


def break_members(facts):
    facts["members"] = facts["members"][:1]


def break_columns(facts):
    facts["preprocessor"].append(facts["preprocessor"][0])


def break_outputs(facts):
    facts["attributes"]["y_mean_"] = np.zeros(2)


def break_residuals(facts):
    facts["attributes"]["residuals_"][0] = np.zeros((3, 2))


def break_variance(facts):
    facts["attributes"]["members_variance_"] = np.zeros(2)


def lose_variance(facts):
    del facts["attributes"]["members_variance_"]


@pytest.mark.parametrize(
    "damage",
    [
        break_members,
        break_columns,
        break_outputs,
        break_residuals,
        break_variance,
        lose_variance,
    ],
)
def test_files_whose_parts_do_not_fit_are_refused(damage, tmp_path):
    path = tmp_path / "model.safetensors"
    regressor().fit(X, target).save(path)
    kind, facts, arrays = from_bytes(path.read_bytes())
    damage(facts)
    path.write_bytes(to_bytes(kind, facts, arrays))
    with pytest.raises(ModelFileError):
        fastmlp.load(path)


def test_it_prints_a_line_an_epoch(capsys):
    regressor(verbose=True, max_iter=2).fit(X, target)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert sum(line.startswith("Member 2, epoch ") for line in lines) == 2


def test_it_goes_into_cross_validation():
    assert len(cross_val_score(classifier(), X, y, cv=2)) == 2


@pytest.mark.slow
def test_defaults_beat_a_linear_model():
    from sklearn.linear_model import RidgeCV

    features, numbers = make_friedman1(800, noise=0.5, random_state=0)
    parts = train_test_split(features, numbers, random_state=0)
    model = TabularRegressor(random_state=0, max_iter=64).fit(parts[0], parts[2])
    ridge = RidgeCV().fit(parts[0], parts[2])
    rest = 1 - model.score(parts[1], parts[3])
    assert rest < 0.4 * (1 - ridge.score(parts[1], parts[3]))


def test_diabetes_with_defaults_is_not_worse_than_its_mean():
    features, numbers = load_diabetes(return_X_y=True)
    model = regressor(hidden_layer_sizes=(32, 32), max_iter=30)
    assert (
        model.fit(features[:300], numbers[:300]).score(features[300:], numbers[300:])
        > 0.2
    )
