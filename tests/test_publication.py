"""A fit replaces a model whole or not at all, whoever looks."""

import threading

import numpy as np
import pytest
from fits import fit, iris, unconverged

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import _publication
from fastmlp.estimators._publication import attempt, reading

TINY = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
PUBLICATIONS = [
    pytest.param(300, id="300"),
    pytest.param(10_000, id="10000", marks=pytest.mark.soak),
]


def read_beside(write, read, n_readers=8):
    """What readers find while another thread writes, one after the other."""
    found, over = [], threading.Event()

    def keep_reading():
        while not over.is_set():
            found.append(read())

    readers = [threading.Thread(target=keep_reading) for _ in range(n_readers)]
    for reader in readers:
        reader.start()
    try:
        write()
    finally:
        over.set()
        for reader in readers:
            reader.join()
    return found


def alternatives():
    """Two problems on the same rows: other labels, other layers, other scales."""
    X, y = iris()
    names = np.array(["a", "b", "c"])[y]
    return X, [(X, names, (4,)), (50 - X, np.array(["x", "y"])[(y > 0) * 1], (9, 3))]


@pytest.mark.slow
@pytest.mark.parametrize("n_publications", PUBLICATIONS)
@pytest.mark.parametrize("fails", [False, True])
def test_readers_see_the_old_model_or_the_new_one(fails, n_publications):
    X, problems = alternatives()
    model, whole = MLPClassifier(**TINY), []
    for rows, y, hidden in problems:
        fit(model.set_params(hidden_layer_sizes=hidden), rows, y)
        whole.append(model.predict_proba(X).tobytes())
    bad = X.copy()
    bad[-1, 0] = np.nan

    def write():
        for number in range(n_publications):
            rows, y, hidden = problems[number % 2]
            with unconverged():
                model.set_params(hidden_layer_sizes=hidden).fit(rows, y)
                if fails:
                    with pytest.raises(ValueError, match="NaN"):
                        model.fit(bad, y[::-1])

    found = read_beside(write, lambda: model.predict_proba(X).tobytes())
    assert len(found) > 100
    assert set(found) == set(whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("n_fits", [60, pytest.param(400, marks=pytest.mark.soak)])
def test_readers_of_another_number_of_features(method, n_fits):
    X, y = iris()
    model = fit(MLPRegressor(**TINY), X, y)
    expected = model.predict(X)

    def write():
        for n in range(n_fits):
            some = X[:, : 2 + 2 * (n % 2)]
            with unconverged():
                model.fit(some, y)
                if method == "partial_fit":
                    model.partial_fit(some, y)

    def read():
        try:
            return model.predict(X).shape
        except ValueError as error:
            return str(error)

    found = set(read_beside(write, read))
    assert expected.shape in found
    assert found <= {
        expected.shape,
        "X has 4 features, but MLPRegressor is expecting 2 features as input.",
    }


def test_what_is_read_together_belongs_together():
    X, y = iris()
    model = fit(MLPClassifier(**TINY), X, y)
    before = reading(model)
    old = before.predict(X)
    fit(model.set_params(hidden_layer_sizes=(2, 2)), X[:, :3], y + 5)
    assert (before.predict(X) == old).all()
    assert set(before.classes_) == {0, 1, 2}
    assert set(model.classes_) == {5, 6, 7}


def test_two_fits_at_once_are_refused():
    X, y = iris()
    begun, go_on = threading.Event(), threading.Event()

    def wait(epoch, logs):
        begun.set()
        assert go_on.wait(30)

    model = MLPClassifier(**TINY, callbacks=[wait])
    first = threading.Thread(target=fit, args=(model, X, y))
    first.start()
    assert begun.wait(30)
    for method in ("fit", "partial_fit"):
        with pytest.raises(RuntimeError, match="is already being fitted"):
            getattr(model, method)(X, y)
    go_on.set()
    first.join()
    expected = fit(MLPClassifier(**TINY), X, y)
    assert (model.predict_proba(X) == expected.predict_proba(X)).all()
    fit(model, X, y)


def test_a_fit_within_its_own_callback_is_refused():
    X, y = iris()
    model = MLPClassifier(**TINY)
    model.set_params(callbacks=[lambda epoch, logs: model.fit(X, y)])
    with pytest.raises(RuntimeError, match="is already being fitted"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    fit(model.set_params(callbacks=None), X, y)


def test_other_estimators_may_be_fitted_in_a_callback():
    X, y = iris()
    other = MLPClassifier(**TINY)
    fit(
        MLPClassifier(**TINY, callbacks=[lambda e, logs: fit(other, X, y) and None]),
        X,
        y,
    )
    assert hasattr(other, "coefs_")


def test_an_estimator_that_is_gone_leaves_no_trace():
    X, y = iris()
    fit(MLPClassifier(**TINY), X, y)
    # Of fits that were interrupted on leaving there may be marks, but dead ones.
    assert not any(fit() for fit in _publication._being_fitted.values())


def test_what_a_callback_sets_on_the_estimator_stays():
    X, y = iris()
    model = MLPClassifier(**TINY)

    def note(epoch, logs):
        model.note_ = logs["loss"]

    fit(model.set_params(callbacks=[note]), X, y)
    assert model.note_ == model.loss_


def test_rollback_is_an_assignment():
    """The very dictionary comes back: nothing is allocated for it."""
    model = fit(MLPClassifier(**TINY), *iris())
    before = model.__dict__

    def publish_and_fail():
        with attempt(model) as trial:
            trial.twin.coefs_ = None
            trial.publish()
            assert model.coefs_ is None
            raise KeyError

    with pytest.raises(KeyError):
        publish_and_fail()
    assert model.__dict__ is before
