"""The state of training as arrays: nothing is lost, and training goes on exactly."""

import copy
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest
from fits import fit, iris

from fastmlp import MLPClassifier, MLPRegressor, Network
from fastmlp.recipe import FIRST_ORDER_SOLVERS
from fastmlp.schedules import SCHEDULES, OfProgress
from fastmlp.state import VERSION, TrainingState

SMALL = {"hidden_layer_sizes": (6, 5), "random_state": 4, "batch_size": 30}
UNSTOPPED = {"tol": 0.0, "n_iter_no_change": np.inf, "max_iter": 6}
LAYERS = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch norm": {"batch_norm": True},
    "both": {"dropout": [0.1, 0.4], "batch_norm": True},
}
# Goes on in a new process: reads models, has each trained further, writes them.
GO_ON = """
import pickle, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
models, X, y, method = pickle.load(sys.stdin.buffer)
for model in models:
    for _ in range(2):
        getattr(model, method)(X, y)
pickle.dump(models, sys.stdout.buffer)
"""


def bits(model):
    """All that training has changed, as bytes."""
    state = model._state
    arrays = {k: v for k, v in state.to_arrays().items() if "seconds" not in k}
    return {name: array.tobytes() for name, array in arrays.items()}


def go_on_elsewhere(models, X, y, method):
    """The models after two more calls in another process."""
    given = pickle.dumps((models, X, y, method))
    command = [sys.executable, "-c", GO_ON]
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True)
    return pickle.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_partial_fit_goes_on_in_a_new_process(cls):
    """Every optimizer, schedule with warm-up, dropout, batch norm."""
    X, y = iris()
    models = [
        cls(**SMALL, solver=solver, learning_rate=rate, warmup_epochs=2, **layers)
        for solver, rate, layers in itertools.product(
            FIRST_ORDER_SOLVERS, SCHEDULES, LAYERS.values()
        )
    ]
    for model in models:
        first = {} if cls is MLPRegressor else {"classes": [0, 1, 2]}
        model.partial_fit(X, y, **first).partial_fit(X, y)
    elsewhere = go_on_elsewhere(models, X, y, "partial_fit")
    for model, other in zip(models, elsewhere, strict=True):
        model.partial_fit(X, y).partial_fit(X, y)
        assert bits(other) == bits(model), model


@pytest.mark.slow
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_warm_fits_go_on_in_a_new_process(cls):
    X, y = iris()
    models = [
        cls(
            **{**SMALL, **UNSTOPPED, "max_iter": 2},
            solver=solver,
            warm_start=True,
            early_stopping=early_stopping,
            learning_rate="invscaling",
            warmup_epochs=3,
            **layers,
        )
        for solver, early_stopping, layers in itertools.product(
            FIRST_ORDER_SOLVERS, (False, True), LAYERS.values()
        )
    ]
    for model in models:
        fit(model, X, y)
    elsewhere = go_on_elsewhere(models, X, y, "fit")
    for model, other in zip(models, elsewhere, strict=True):
        fit(fit(model, X, y), X, y)
        assert bits(other) == bits(model), model


@pytest.mark.parametrize("layers", LAYERS.values(), ids=str)
def test_arrays_hold_everything(layers):
    X, y = iris()
    model = fit(MLPClassifier(**SMALL, **UNSTOPPED, **layers), X, y)
    arrays = model._state.to_arrays()
    assert all(type(array) is np.ndarray for array in arrays.values())
    assert all(array.dtype != object for array in arrays.values())
    again = TrainingState.from_arrays(arrays).to_arrays()
    assert again.keys() == arrays.keys()
    assert all(again[name].tobytes() == arrays[name].tobytes() for name in arrays)


def parts_of(value):
    """A value as numbers, strings and lists of them; caches are left out."""
    if isinstance(value, str | bytes) or value is None:
        return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.random.RandomState):
        return parts_of(value.get_state(legacy=False))
    if isinstance(value, Network):
        return parts_of(value.__getstate__())
    if isinstance(value, list | tuple):
        return [parts_of(item) for item in value]
    if hasattr(value, "__dict__"):
        value = {name: v for name, v in vars(value).items() if name[0] != "_"}
    if isinstance(value, dict):
        return {name: parts_of(item) for name, item in value.items()}
    return value


def test_every_part_comes_back():
    """None of them is as in a new state, where it need not be stored."""
    settings = {"dropout": 0.3, "batch_norm": True, "early_stopping": True}
    model = fit(MLPClassifier(**SMALL, **UNSTOPPED, **settings), *iris())
    state = model._state
    state.keep(0.5)
    state.message = "told"
    state.plateau.n_stalled = 3
    state.overfitting.update(1, 0.5, 0.7, tol=0.0, patience=0)
    mine = parts_of(state)
    new = parts_of(TrainingState(Network([1, 1]), np.random.RandomState(0)))
    assert mine.keys() == new.keys()
    assert [name for name in mine if mine[name] == new[name]] == []
    again = parts_of(TrainingState.from_arrays(state.to_arrays()))
    assert again["order"].pop("base") is mine["order"].pop("base") is None
    assert again == mine


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "Philox", "SFC64"])
def test_every_generator_comes_back_where_it_was(name):
    stream = np.random.RandomState(getattr(np.random, name)(5))
    stream.standard_normal(3)
    state = TrainingState(Network([1, 1]), copy.deepcopy(stream))
    arrays = pickle.loads(pickle.dumps(state.to_arrays()))
    again = TrainingState.from_arrays(arrays).random_state
    assert (again.standard_normal(9) == stream.standard_normal(9)).all()


SCORED, UNSCORED = 0.5, -np.inf


@pytest.mark.parametrize(
    ("best_score", "value", "loss", "stays"),
    [
        (UNSCORED, 5.0, 1.0, True),
        (UNSCORED, 5.0, np.nan, False),
        (UNSCORED, np.inf, 1.0, False),
        (SCORED, 5.0, 1.0, False),
    ],
)
def test_the_last_parameters_stay_where_no_epoch_had_a_score(
    best_score, value, loss, stays
):
    network = Network([2, 1], random_state=0)
    state, first = TrainingState(network, None), network.params.copy()
    state.keep(best_score)
    network.params[:], state.history = value, {"loss": [loss]}
    state.take_best()
    assert (network.params == (value if stays else first)).all()


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        ([(1, False), (3, False), (2, False)], 1),
        ([(5, False), (1, True), (9, False)], 1),
        ([(1, True), (np.nan, True), (2, True), (0, True)], 2),
        ([(2, True), (2, False), (2, True)], 2),
        ([(np.nan, True), (1, False)], 1),
    ],
)
def test_an_epoch_is_better_where_the_rate_is_low(epochs, kept):
    network = Network([2, 1], random_state=0)
    state = TrainingState(network, None)
    for number, (value, has_settled) in enumerate(epochs):
        network.params[:] = number
        state.keep_if_best(value, True, has_settled)
    state.take_best()
    assert (network.params == kept).all()


def test_another_version_is_refused():
    arrays = fit(MLPClassifier(**SMALL), *iris())._state.to_arrays()
    text = arrays["meta"].tobytes().decode()
    newer = text.replace(f'"version": {VERSION}', f'"version": {VERSION + 1}')
    arrays["meta"] = np.frombuffer(newer.encode(), np.uint8)
    with pytest.raises(ValueError, match=f"reads version {VERSION}"):
        TrainingState.from_arrays(arrays)


def test_parts_that_do_not_fit_are_refused():
    arrays = fit(MLPClassifier(**SMALL), *iris())._state.to_arrays()
    for name in ("network.params", "optimizer.slots.1"):
        with pytest.raises(ValueError, match="must have shape"):
            TrainingState.from_arrays({**arrays, name: arrays[name][:-1]})


def test_codes_are_not_stored(monkeypatch):
    """A later version may number them otherwise."""
    X, y = iris()
    model = fit(MLPClassifier(**SMALL, activation=["gelu", "selu"]), X, y)
    stored = pickle.dumps(model)
    assert b"gelu" in b"".join(a.tobytes() for a in model._state.to_arrays().values())
    loaded = pickle.loads(stored)
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    assert "activation" not in str(loaded._state.network.__getstate__()["layer_sizes"])


def test_a_stored_model_does_not_grow_with_its_rows():
    """Eight bytes a row were stored once: their order."""
    sizes = []
    for n_rows in (1000, 100_000):
        X = np.random.RandomState(0).standard_normal((n_rows, 4))
        model = MLPRegressor(**{**SMALL, "batch_size": 1000}, max_iter=2)
        for early_stopping in (False, True):
            fit(model.set_params(early_stopping=early_stopping), X, X[:, 0])
            sizes.append(len(pickle.dumps(model)))
    assert max(sizes[2:]) <= max(sizes[:2]) + 1000


def test_a_fitted_model_keeps_no_order_in_memory():
    X = np.random.RandomState(0).standard_normal((5000, 4))
    model = fit(MLPRegressor(**SMALL, max_iter=2), X, X[:, 0])
    held = [v for v in vars(model._state.order).values() if isinstance(v, np.ndarray)]
    assert held == []


def test_functions_are_no_part_of_the_state():
    X, y = iris()
    settings = {"learning_rate": OfProgress(lambda t: 0.01 * (1 - t)), "solver": "sgd"}
    settings |= {"momentum": OfProgress(lambda t: 0.5 + t / 4)}
    model = fit(MLPClassifier(**SMALL, **UNSTOPPED, **settings), X, y)
    arrays = pickle.loads(pickle.dumps(model._state.to_arrays()))
    state = TrainingState.from_arrays(arrays)
    assert (state.network.params == model._state.network.params).all()


def test_an_old_pickle_says_what_to_do():
    model = MLPClassifier()
    with pytest.raises(ValueError, match=r"pickle was written by fastmlp 0\.1"):
        model.__setstate__({"_model": None})
