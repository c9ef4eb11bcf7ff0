"""Faults that were once raised as something that says nothing."""

import pytest
from fits import iris

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS

X, y = iris()


@pytest.mark.parametrize("kind", [StopIteration, KeyError, GeneratorExit])
@pytest.mark.parametrize("solver", [*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS])
def test_the_users_exception_comes_out(solver, kind):
    def fail(epoch, logs):
        raise kind("mine")

    model = MLPRegressor(hidden_layer_sizes=(4,))
    model.set_params(solver=solver, callbacks=[fail])
    before = dict(vars(model))
    with pytest.raises(kind, match="mine"):
        model.fit(X, y)
    assert vars(model) == before


@pytest.mark.parametrize("n_threads", [10**30, 2**63, 100_000, 0])
def test_threads_beyond_all_processors(n_threads):
    with pytest.raises(ValueError, match="'n_threads' parameter"):
        MLPClassifier(n_threads=n_threads).fit(X, y)


@pytest.mark.parametrize("power", [1e300, 500.0])
def test_a_power_beyond_all_floats(power):
    model = MLPClassifier(solver="sgd", learning_rate="invscaling", power_t=power)
    with pytest.raises(ValueError, match=r"power_t=.* is too large"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
