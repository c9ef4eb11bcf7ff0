"""Two thousand drawn calls, and what the fuzzing would say of calls that break it."""

import numpy as np
import pytest
from fits import fit
from fuzz import CALLS, PLAIN, ROOMS, SMALL, call, run_room

from fastmlp import MLPRegressor

N_CASES = 2000 // len(ROOMS) + 1


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_drawn_calls(room):
    assert run_room(room, N_CASES) >= N_CASES


@pytest.mark.soak
@pytest.mark.parametrize("room", ROOMS)
def test_many_drawn_calls(room):
    assert run_room(room, 100_000 // len(ROOMS) + 1, 0) >= 100_000 // len(ROOMS)


class Broken(MLPRegressor):
    """An estimator that breaks the contract, each method in one way."""

    def raise_another(self):
        raise OverflowError("a number that is too large for us")

    def raise_without_words(self):
        raise ValueError("no")

    def change_and_fail(self):
        self.coefs_[0][0, 0] += 1
        raise ValueError("this call has changed the weights before it failed")

    def replace_and_fail(self):
        self.alpha = 1.0
        raise ValueError("this call has set a parameter before it failed")

    def change_its_argument(self, X):
        X[0] += 1
        return X

    def fail_in_words(self):
        raise TypeError("this is an error in words that leaves all as it was")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("raise_another", OverflowError),
        ("raise_without_words", AssertionError),
        ("change_and_fail", AssertionError),
        ("replace_and_fail", AssertionError),
    ],
)
def test_calls_that_break_the_contract_are_found(method, error):
    model = fit(Broken(**SMALL), PLAIN, PLAIN[:, 0])
    with pytest.raises(error):
        call(model, method)


def test_changed_arguments_are_found():
    with pytest.raises(AssertionError, match="arguments were changed"):
        call(Broken(), "change_its_argument", np.zeros(3))


def test_calls_within_the_contract_are_counted():
    before = CALLS["refused"], CALLS["answered"]
    assert call(Broken(), "fail_in_words") is None
    assert call(Broken(), "get_params")
    assert (CALLS["refused"], CALLS["answered"]) == (before[0] + 1, before[1] + 1)


def test_accidents_of_our_own_are_no_words():
    """Those that Python words itself, where a line of the package has met them."""
    model = fit(MLPRegressor(**SMALL), PLAIN, PLAIN[:, 0])
    model._state = None
    model.n_layers_ = "three"
    with pytest.raises(AssertionError, match="not in words"):
        call(model, "predict", PLAIN)
