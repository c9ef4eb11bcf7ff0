"""The loop that all solvers share: what is asked of it, and what it tells."""

import time

import numpy as np
import pytest
from fits import fit, iris, minimise, unconverged

from fastmlp import MLPClassifier, MLPRegressor, Network, fitting
from fastmlp.head import Head
from fastmlp.listeners import Listener
from fastmlp.optimizers import Optimizer
from fastmlp.recipe import FIRST_ORDER_SOLVERS, FULL_BATCH_SOLVERS, Recipe
from fastmlp.rows import ArrayRows, RowOrder
from fastmlp.schedules import OfProgress
from fastmlp.state import TrainingState
from fastmlp.stopping import StopReason

SOLVERS = (*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS)
ENDLESS = {"tol": 0.0, "n_iter_no_change": np.inf, "max_iter": 10**6, "max_fun": 10**9}
SMALL = {"hidden_layer_sizes": (5,), "random_state": 1, "batch_size": 30}


class Recorder(Listener):
    """Takes down what it is told."""

    def __init__(self):
        self.heard = []

    def on_fit_begin(self, fit):
        self.heard.append("begin")

    def on_epoch_begin(self, fit):
        self.heard.append("epoch")

    def on_slice(self, fit, n_rows):
        self.heard.append(n_rows)

    def on_epoch_end(self, fit, logs):
        self.heard.append(sorted(logs))
        return fit.n_epochs == 2

    def on_fit_end(self, fit):
        self.heard.append(str(fit.stop_reason))


def first_order_state(network, recipe, n_rows):
    state = TrainingState(network, np.random.RandomState(0), order=RowOrder(n_rows))
    state.begin(recipe, incremental=False)
    return state


def test_a_listener_hears_of_everything():
    network = Network([4, 3, 3], loss="log_loss", random_state=0)
    X, y = iris()
    recipe = Recipe(Head("log_loss"), (3,), batch_size=50, n_epochs=9)
    state, recorder = first_order_state(network, recipe, 150), Recorder()
    rows = ArrayRows(network.as_data(X, y, None))
    fitting.fit(recipe, state, rows, listeners=[recorder])
    slices = [event for event in recorder.heard if isinstance(event, int)]
    assert slices.count(150) == 2
    assert slices[-1] == 150
    rest = [event for event in recorder.heard if not isinstance(event, int)]
    logs = ["gradient_norm", "learning_rate", "loss", "seconds"]
    assert rest == ["begin", "epoch", logs, "epoch", logs, "callback"]
    assert state.stop_reason is StopReason.CALLBACK


def test_full_batch_solvers_tell_the_same_listeners():
    network, recorder = Network([4, 3, 3], loss="log_loss", random_state=0), Recorder()
    recipe = Recipe(Head("log_loss"), (3,), solver="gd", n_epochs=9, tol=0)
    state = TrainingState(network, np.random.RandomState(0))
    rows = ArrayRows(network.as_data(*iris(), None))
    fitting.fit(recipe, state, rows, listeners=[recorder])
    assert recorder.heard[0] == "begin"
    assert recorder.heard[-1] == "callback"
    assert state.n_epochs == 2


# -- max_seconds


@pytest.mark.parametrize("seconds", [0.02, 0.1])
@pytest.mark.parametrize("solver", ["adam", "gd"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_training_ends_in_time(cls, solver, seconds):
    X, y = iris()
    model = cls(**SMALL, **ENDLESS, solver=solver, max_seconds=seconds)
    model.set_params(learning_rate_init=1e-4)
    started = time.perf_counter()
    model.fit(X, y)
    assert time.perf_counter() - started >= seconds
    assert model.stop_reason_ == "max_seconds"
    assert model.n_iter_ == len(model.history_["loss"]) > 1
    # One epoch less, and there would have been time.
    assert sum(model.history_["seconds"][:-1]) < seconds


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_time_is_enough_for_one_epoch(solver):
    model = MLPClassifier(**SMALL, **ENDLESS, solver=solver, max_seconds=1e-9)
    if solver == "lm":
        model.set_params(loss="squared_error")
    model.fit(*iris())
    assert (model.n_iter_, model.stop_reason_) == (1, "max_seconds")
    whole = fit(model.set_params(max_seconds=None, max_iter=1), *iris())
    assert whole.stop_reason_ == "max_iter"


@pytest.mark.parametrize("seconds", [0, -1, "1", float("nan")])
def test_bad_seconds_are_refused(seconds):
    with pytest.raises(ValueError, match="max_seconds"):
        MLPClassifier(max_seconds=seconds).fit(*iris())


def test_early_stopping_in_time_gives_the_best():
    X, y = iris()
    model = MLPClassifier(**SMALL, **ENDLESS, early_stopping=True, max_seconds=0.05)
    model.fit(X, y)
    assert model.stop_reason_ == "max_seconds"
    assert model.best_validation_score_ == max(model.validation_scores_)


# -- what changes from epoch to epoch


def rates(learning_rate, **params):
    model = MLPRegressor(**SMALL, tol=0, max_iter=5, **params)
    return fit(model.set_params(learning_rate=learning_rate), *iris()).history_[
        "learning_rate"
    ]


def test_a_rate_of_progress_begins_at_zero_and_may_be_zero():
    assert rates(OfProgress(lambda t: 0.1 * (1 - t))) == pytest.approx(
        [0.1, 0.08, 0.06, 0.04, 0.02]
    )
    assert rates(OfProgress(lambda t: float(t > 0.5))) == [0, 0, 0, 1, 1]


def test_nothing_is_learnt_at_a_rate_of_zero():
    X, y = iris()
    model = MLPRegressor(**SMALL, learning_rate=OfProgress(lambda t: 0.0), max_iter=3)
    fit(model, X, y)
    start = fit(MLPRegressor(**SMALL, learning_rate_init=1e-300, max_iter=1), X, y)
    np.testing.assert_array_equal(model.coefs_[0], start.coefs_[0])


def test_warm_up_is_part_of_no_progress():
    passed = rates(OfProgress(lambda t: 0.1 * (1 - t)), warmup_epochs=2)
    assert passed == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.2 / 3, 0.1 / 3])


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "fast", None])
def test_a_rate_that_is_no_number_leaves_the_old_model(value):
    X, y = iris()
    model = MLPRegressor(**SMALL, max_iter=4)
    before = fit(model, X, y).coefs_[0].copy()
    model.set_params(learning_rate=OfProgress(lambda t: value if t >= 0.5 else 0.1))
    with pytest.raises(ValueError, match=r"learning_rate\(0\.5\) returned"):
        fit(model, X, y)
    np.testing.assert_array_equal(model.coefs_[0], before)


VARYING = {
    "momentum": ({"solver": "sgd"}, lambda e: 0.5 + e / 10),
    "weight_decay": ({"solver": "adamw"}, lambda e: 0.3 / (1 + e)),
    "dropout": ({"solver": "adam"}, lambda e: 0.4 - e / 10),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", VARYING)
def test_functions_are_the_numbers_set_by_hand(name, dtype):
    """Epoch by epoch, as partial_fit has them with the parameter set in between."""
    X, y = iris()
    params, function = VARYING[name]
    n_epochs = 4
    common = {**SMALL, **params, "dtype": dtype, "max_iter": n_epochs, "tol": 0}
    model = fit(MLPRegressor(**common, **{name: function}), X, y)
    by_hand = MLPRegressor(**common)
    for epoch in range(n_epochs):
        by_hand.set_params(**{name: function(epoch)}).partial_fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], by_hand.coefs_[0], rtol=1e-6)
    assert model.loss_curve_ == pytest.approx(by_hand.loss_curve_, rel=1e-6)
    constant = fit(MLPRegressor(**common, **{name: function(0)}), X, y)
    assert np.abs(model.coefs_[0] - constant.coefs_[0]).max() > 1e-5


PROGRESS = {
    "learning_rate": lambda t: 0.1 * (1 - t) ** 2,
    "momentum": lambda t: 0.3 + t / 2,
    "weight_decay": lambda t: 2 * t * (1 - t),
}


@pytest.mark.parametrize("names", [*([name] for name in PROGRESS), list(PROGRESS)])
@pytest.mark.parametrize(("batch_size", "n_epochs"), [(50, 4), (40, 3), (7, 2)])
def test_functions_of_progress_are_followed_step_by_step(names, batch_size, n_epochs):
    """Momentum by its definition in NumPy, of one layer; the last batch is short."""
    X, y = iris()
    X, target = X[:, :3], X[:, 3] - y
    given = {name: OfProgress(PROGRESS[name]) for name in names}
    settings = {"hidden_layer_sizes": (), "solver": "sgd", "shuffle": False}
    settings |= {"batch_size": batch_size, "random_state": 1, "alpha": 0, "tol": 0}
    settings |= {"learning_rate_init": 0.05, "nesterovs_momentum": False}
    model = MLPRegressor(**settings, max_iter=n_epochs, n_iter_no_change=np.inf)
    fit(model.set_params(**given), X, target)

    def value(name, progress, constant):
        return PROGRESS[name](progress) if name in names else constant

    start = MLPRegressor(**{**settings, "max_iter": 1, "learning_rate_init": 1e-300})
    start = fit(start, X, target)
    w, b = start.coefs_[0].copy(), start.intercepts_[0].copy()
    v, c = np.zeros_like(w), np.zeros_like(b)
    for epoch in range(n_epochs):
        for begin in range(0, len(X), batch_size):
            progress = (epoch + begin / len(X)) / n_epochs
            rate = value("learning_rate", progress, 0.05)
            mu = value("momentum", progress, 0.9)
            rows = slice(begin, begin + batch_size)
            r = X[rows] @ w + b - target[rows, None]
            v = mu * v - rate * X[rows].T @ r / len(r)
            c = mu * c - rate * r.mean(axis=0)
            w = (1 - rate * value("weight_decay", progress, 0)) * w + v
            b = b + c
    np.testing.assert_allclose(model.coefs_[0], w, rtol=1e-9)
    np.testing.assert_allclose(model.intercepts_[0], b, rtol=1e-9)


def test_one_cycle_a_step_is_pytorchs():
    """Its OneCycleLR over all steps, with the SGD that it drives."""
    torch = pytest.importorskip("torch", reason="PyTorch's schedule is the reference")
    X, y = iris()
    n_epochs, n_steps = 5, 15
    rates, weight = [], torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps=n_steps, cycle_momentum=False
    )
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cycle.step()
    settings = {"hidden_layer_sizes": (), "shuffle": False, "batch_size": 50}
    settings |= {"solver": "sgd", "momentum": 0, "random_state": 0, "alpha": 0}
    function = OfProgress(lambda t: rates[round(t * n_steps)])
    model = MLPRegressor(**settings, learning_rate=function, max_iter=n_epochs, tol=0)
    start = MLPRegressor(**settings, learning_rate_init=1e-300, max_iter=1)
    layer = torch.nn.Linear(4, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(fit(start, X, y).coefs_[0].T))
        layer.bias.copy_(torch.tensor(start.intercepts_[0]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        rows = slice(50 * (step % 3), 50 * (step % 3) + 50)
        residual = layer(torch.tensor(X[rows]))[:, 0] - torch.tensor(y[rows])
        optimizer.zero_grad()
        (residual**2).mean().div(2).backward()
        optimizer.step()
    fit(model, X, y)
    expected = layer.weight.detach().numpy().T
    np.testing.assert_allclose(model.coefs_[0], expected, rtol=1e-9)


def test_dropout_of_progress_has_the_masks_of_its_shares():
    """Steps by the public halves, of networks with the dropout of each."""
    X, y = iris()
    settings = {**SMALL, "shuffle": False, "solver": "sgd", "momentum": 0, "alpha": 0}
    settings |= {"hidden_layer_sizes": (20,), "batch_size": 50, "max_iter": 3, "tol": 0}
    shares = [0.5, 0.0, 0.1, 0.9, 0.3, 0.2, 0.2, 0.0, 0.7]
    dropout = OfProgress(lambda t: shares[round(9 * t)])
    model = fit(MLPRegressor(**settings, dropout=dropout), X, y)
    start = fit(
        MLPRegressor(**{**settings, "max_iter": 1}, learning_rate_init=1e-300), X, y
    )
    network = Network.from_weights(start.coefs_, start.intercepts_, dtype="float64")
    seed = model._state.dropout_seed
    optimizer = Optimizer("sgd", network.params.size, "float64", seed=seed)
    for step, share in enumerate(shares):
        rows = slice(50 * (step % 3), 50 * (step % 3) + 50)
        network = network.copy(dropout=share)
        batch = network.accumulate(X[rows], y[rows], optimizer=optimizer)
        optimizer.apply(network, batch)
    np.testing.assert_allclose(model.coefs_[0], network.weights[0], rtol=1e-12)


def test_progress_goes_on_from_call_to_call():
    X, y = iris()
    settings = {**SMALL, "solver": "sgd", "momentum": OfProgress(lambda t: 0.9 * t)}
    settings |= {"learning_rate": OfProgress(lambda t: 0.1 * (1 - t)), "tol": 0}
    whole = fit(MLPRegressor(**settings, max_iter=3), X, y)
    parts = MLPRegressor(**settings, max_iter=3)
    for _ in range(3):
        parts.partial_fit(X, y)
    np.testing.assert_array_equal(whole.coefs_[0], parts.coefs_[0])


def test_a_momentum_that_nobody_reads_may_be_a_function():
    X, y = iris()
    model = MLPRegressor(**SMALL, max_iter=2, momentum=lambda epoch: 0.5)
    plain = MLPRegressor(**SMALL, max_iter=2)
    np.testing.assert_array_equal(
        fit(model, X, y).coefs_[0], fit(plain, X, y).coefs_[0]
    )


@pytest.mark.parametrize("name", VARYING)
@pytest.mark.parametrize("value", [-0.1, np.nan, "none"])
def test_values_that_cannot_be_are_refused(name, value):
    params, _ = VARYING[name]
    model = MLPRegressor(**SMALL, **params, **{name: lambda e: value if e > 1 else 0.1})
    with pytest.raises(ValueError, match=rf"{name}\(2\) returned"), unconverged():
        model.fit(*iris())
    assert not hasattr(model, "coefs_")


def test_dropout_may_come_to_nothing():
    X, y = iris()
    model = MLPRegressor(**SMALL, dropout=lambda e: 0.0, max_iter=3)
    never = MLPRegressor(**SMALL, dropout=0.0, max_iter=3)
    # The masks' seed is drawn, so that shuffles differ: none are made here.
    fit(model.set_params(shuffle=False), X, y)
    fit(never.set_params(shuffle=False), X, y)
    np.testing.assert_array_equal(model.coefs_[0], never.coefs_[0])


# -- reasons


def test_reasons_are_the_strings_that_the_docs_name():
    doc = MLPClassifier.__doc__
    assert all(f"'{reason}'" in doc for reason in StopReason)


def test_a_rule_is_the_reason_where_a_callback_asks_too():
    X, y = iris()
    params = {**SMALL, "tol": 1e9, "n_iter_no_change": 1}
    last = MLPRegressor(**params).fit(X, y).n_iter_ - 1
    model = MLPRegressor(**params, callbacks=[lambda epoch, logs: epoch == last])
    model.fit(X, y)
    assert (model.stop_reason_, model.n_iter_) == ("tol", last + 1)


def test_a_stream_is_no_thing_for_a_full_batch_solver():
    class Stream:
        n_rows, is_sparse = None, False

    recipe = Recipe(Head("squared_error"), solver="gd")
    state = TrainingState(Network([2, 1], random_state=0), np.random.RandomState(0))
    with pytest.raises(ValueError, match="all rows in memory at once"):
        fitting.fit(recipe, state, Stream())


def test_minimise_reports_in_words():
    X, y = iris()
    state = minimise(Network([4, 1], random_state=0), X, y, solver="newton-cg")
    assert state.message == "no entry of the gradient is larger than gtol"
