"""Learning-rate schedules against their formulas, scikit-learn and PyTorch."""

import math
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
from fits import fit

from fastmlp import MLPRegressor
from fastmlp.schedules import (
    SCHEDULES,
    Adaptive,
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    LearningRate,
    OfEpoch,
    OneCycle,
    ScheduleSettings,
    Step,
    Warmup,
)
from fastmlp.trainer import Trainer

ROWS = 150
SETTINGS = {
    "decay_rate": 0.1,
    "max_iter": 20,
}


def rates(schedule, n_epochs, initial=0.1, n_samples_seen=0, plateaus=()):
    """η of each epoch of a fit, which stalls after the epochs of ``plateaus``."""
    in_force, passed = initial, []
    for epoch in range(n_epochs):
        in_force = schedule.rate(epoch, in_force, n_samples_seen)
        passed.append(in_force * schedule.factor(epoch))
        n_samples_seen += ROWS if schedule.factor(epoch) == 1 else 0
        if epoch in plateaus:
            in_force = schedule.lower(in_force)
    return passed


def make(name_or_callable, initial=0.1, **settings):
    settings = {**SETTINGS, "learning_rate_init": initial, **settings}
    return ScheduleSettings(name_or_callable, **settings).make()


def close(expected):
    return pytest.approx(expected, rel=1e-12, abs=0)


# -- scikit-learn's own


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("initial", [0.1, 1])
def test_scikit_learns_schedules_bit_for_bit(name, initial):
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    theirs = optimizers.SGDOptimizer([], initial, lr_schedule=name, power_t=0.3)
    mine = make(name, initial, power_t=0.3)
    in_force = initial
    for epoch in range(40):
        in_force = mine.rate(epoch, in_force, epoch * ROWS)
        assert in_force == theirs.learning_rate
        theirs.iteration_ends((epoch + 1) * ROWS)
        if epoch % 3 == 2:
            stops = theirs.trigger_stopping("", verbose=False)
            lower = mine.lower(in_force)
            assert stops == (lower is None)
            in_force = in_force if lower is None else lower


def test_adaptive_takes_a_fifth_at_plateaus_until_it_is_small():
    assert rates(Adaptive(), 4, plateaus=[1, 2]) == [0.1, 0.1, 0.1 / 5, 0.1 / 5 / 5]
    assert Adaptive().lower(1.1e-6) == 1.1e-6 / 5
    assert Adaptive().lower(1e-6) is None
    assert Adaptive.stop_message == "Learning rate too small. Stopping."


def test_inverse_scaling_goes_on_with_the_samples_of_earlier_fits():
    schedule = InverseScaling(0.1, 0.5)
    one_fit = rates(schedule, 6)
    assert one_fit[0] == 0.1
    assert one_fit == close([0.1 / math.sqrt(ROWS * e + 1) for e in range(6)])
    assert rates(schedule, 4, one_fit[1], n_samples_seen=2 * ROWS) == one_fit[2:]


# -- closed forms


def test_exponential_and_step():
    assert rates(Exponential(0.1, 0.25, 2), 5) == close(
        [0.1, 0.05, 0.025, 0.0125, 0.00625]
    )
    assert rates(Step(0.1, 0.25, 2), 5) == close([0.1, 0.1, 0.025, 0.025, 0.00625])


def test_cosine_falls_once_and_stays_above_zero():
    expected = [0.1 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(4)]
    assert rates(Cosine(0.1, 4), 4) == close(expected)
    assert rates(Cosine(0.1, 4), 7)[4:] == close(expected[-1:] * 3)
    assert Cosine(0.1, 4).rate(2, 0.7, 0) == close(0.05)
    assert Cosine(1e-3, 10_000).rate(9_999, 0.7, 0) > 0


def test_cosine_begins_anew_at_each_restart():
    falling = rates(Cosine(0.1, 4), 4)
    restarted = rates(Cosine(0.1, 4, restarts=True), 10)
    assert restarted == close([*falling, *falling, *falling[:2]])


def test_one_cycle_rises_and_falls():
    passed = rates(OneCycle(0.1, 20), 25)
    top = 5
    assert passed[0] == close(0.1 / 25)
    assert passed[top] == close(0.1)
    assert passed[19:] == close([0.1 / 25 / 1e4] * 6)
    assert (np.diff(passed[: top + 1]) > 0).all()
    assert (np.diff(passed[top:20]) < 0).all()


@pytest.mark.parametrize("schedule", [Cosine(0.1, 1), OneCycle(0.1, 1)])
def test_a_horizon_of_one_epoch_is_enough(schedule):
    first, second = rates(schedule, 2)
    assert 0 < first == second <= 0.1


# -- PyTorch's


def torch_rates(make_scheduler, n_epochs, initial=0.1):
    torch = pytest.importorskip("torch", reason="PyTorch's schedules are the reference")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=initial)
    scheduler = make_scheduler(torch.optim.lr_scheduler, optimizer)
    passed = []
    for _ in range(n_epochs):
        passed.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return passed


TORCH_CASES = {
    "exponential": (
        Exponential(0.1, 0.3, 7),
        lambda lr, optimizer: lr.ExponentialLR(optimizer, 0.3 ** (1 / 7)),
    ),
    "step": (
        Step(0.1, 0.3, 7),
        lambda lr, optimizer: lr.StepLR(optimizer, 7, 0.3),
    ),
    "cosine": (
        Cosine(0.1, 30),
        lambda lr, optimizer: lr.CosineAnnealingLR(optimizer, 30),
    ),
    "restarts": (
        Cosine(0.1, 7, restarts=True),
        lambda lr, optimizer: lr.CosineAnnealingWarmRestarts(optimizer, 7),
    ),
}


@pytest.mark.parametrize("name", TORCH_CASES)
def test_same_rates_as_pytorch(name):
    schedule, make_scheduler = TORCH_CASES[name]
    expected = torch_rates(make_scheduler, 30)
    assert rates(schedule, 30) == pytest.approx(expected, rel=1e-10, abs=0)


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 10, 30])
def test_same_cycle_as_pytorch(horizon):
    def make_scheduler(lr, optimizer):
        return lr.OneCycleLR(optimizer, 0.1, total_steps=horizon, cycle_momentum=False)

    expected = torch_rates(make_scheduler, horizon)
    assert rates(OneCycle(0.1, horizon), horizon) == pytest.approx(expected, rel=1e-10)


def test_same_warm_up_as_pytorch():
    def make_scheduler(lr, optimizer):
        rise = lr.LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
        falling = lr.CosineAnnealingLR(optimizer, 16)
        return lr.SequentialLR(optimizer, [rise, falling], milestones=[4])

    with warnings.catch_warnings():
        # SequentialLR calls step() in a way that it warns of itself.
        warnings.simplefilter("ignore", UserWarning)
        expected = torch_rates(make_scheduler, 20)
    passed = rates(Warmup(Cosine(0.1, 16), 4), 20)
    assert passed == pytest.approx(expected, rel=1e-10)


# -- any function of the epoch


def test_a_function_of_the_epoch():
    numbers = [1, 0.5, Fraction(1, 4), np.float32(0.125), np.array(0.0625)]
    passed = rates(OfEpoch(lambda epoch: numbers[epoch]), 5)
    assert passed == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert all(type(rate) is float for rate in passed)


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -0.1, math.nan, math.inf, 10**400, None, "0.1", 1j, [0.1], np.ones(2)],
)
def test_a_function_must_return_a_rate(value):
    schedule = make(lambda epoch: value if epoch == 3 else 0.1)
    assert schedule.rate(2, 0.1, 0) == 0.1
    with pytest.raises(ValueError, match=r"finite number > 0, but learning_rate\(3\)"):
        schedule.rate(3, 0.1, 0)


def test_errors_of_a_function_are_its_own():
    def function(epoch):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        make(function).rate(0, 0.1, 0)


# -- warm-up

WRAPPED = {
    "constant": Constant(),
    "adaptive": Adaptive(),
    "invscaling": InverseScaling(0.1, 0.5),
    "exponential": Exponential(0.1, 0.3, 7),
    "step": Step(0.1, 0.3, 7),
    "cosine": Cosine(0.1, 10),
    "restarts": Cosine(0.1, 3, restarts=True),
    "one_cycle": OneCycle(0.1, 10),
    "function": OfEpoch(lambda epoch: 0.1 / (epoch + 1)),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_warm_up_rises_to_the_schedule_and_leaves_it_alone(name, epochs):
    alone = rates(WRAPPED[name], 12)
    rise = [alone[0] * (e + 1) / (epochs + 1) for e in range(epochs)]
    warmed = rates(Warmup(WRAPPED[name], epochs), epochs + 12)
    assert warmed == close([*rise, *alone])


def test_warm_up_of_a_second_fit_rises_to_where_the_schedule_stood():
    schedule = InverseScaling(0.1, 0.5)
    later = rates(schedule, 8, n_samples_seen=4 * ROWS)
    warmed = rates(Warmup(schedule, 2), 10, n_samples_seen=4 * ROWS)
    assert warmed == close([later[0] / 3, later[0] * 2 / 3, *later])


@pytest.mark.parametrize("name", WRAPPED)
def test_warm_up_goes_on_in_a_new_object(name):
    in_one = rates(Warmup(WRAPPED[name], 3), 5)
    in_force, in_many = 0.1, []
    for epoch in range(4):
        anew = Warmup(WRAPPED[name], 3)
        in_force = anew.rate(epoch, in_force, 0)
        in_many.append(in_force * anew.factor(epoch))
    assert in_many == close(in_one[:4])


def test_a_plateau_is_the_wrapped_schedules_affair():
    assert Warmup(Constant(), 3).lower(0.1) is None
    assert Warmup(Constant(), 3).stop_message == Constant.stop_message
    adaptive = Warmup(Adaptive(), 3)
    assert adaptive.stop_message == Adaptive.stop_message
    warmed = rates(adaptive, 6, plateaus=[1, 4])
    expected = [0.1 / 4, 0.1 * 2 / 4, 0.02 * 3 / 4, 0.02, 0.02, 0.004]
    assert warmed == close(expected)


# -- by name


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_but_adaptive_stop_at_a_plateau(name):
    schedule = make(name)
    if name != "adaptive":
        assert schedule.lower(0.1) is None
        assert schedule.stop_message == "Stopping."


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup_epochs", [0, 7])
def test_every_rate_is_positive_and_at_most_the_initial(name, warmup_epochs):
    passed = rates(make(name, warmup_epochs=warmup_epochs), 30)
    assert min(passed) > 0
    assert max(passed) <= 0.1 * (1 + 1e-12)


def test_names_and_their_settings():
    assert make("invscaling", power_t=0.3) == InverseScaling(0.1, 0.3)
    assert make("exponential") == Exponential(0.1, 0.1, 10)
    assert make("step", decay_rate=0.5, decay_epochs=3) == Step(0.1, 0.5, 3)
    assert make("cosine") == Cosine(0.1, 20)
    assert make("cosine", restart_epochs=5) == Cosine(0.1, 5, restarts=True)
    assert make("one_cycle") == OneCycle(0.1, 20)
    assert isinstance(make("constant"), Constant)
    assert isinstance(make("adaptive"), Adaptive)
    assert isinstance(make(lambda epoch: 0.1), OfEpoch)


@pytest.mark.parametrize(
    ("warmup_epochs", "horizon"), [(1, 19), (3, 17), (20, 1), (50, 1)]
)
def test_warm_up_shortens_the_horizon(warmup_epochs, horizon):
    cosine = make("cosine", warmup_epochs=warmup_epochs)
    assert isinstance(cosine, Warmup)
    assert cosine.epochs == warmup_epochs
    assert cosine.schedule == Cosine(0.1, horizon)
    one_cycle = make("one_cycle", warmup_epochs=warmup_epochs)
    assert one_cycle.schedule == OneCycle(0.1, horizon)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"'constant'.*or a callable, got 'linear'"):
        make("linear")


# -- from call to call

EPOCHS, RATE = 11, 0.03


def falling(epoch):
    """A schedule of the user's."""
    return 0.5 / (3 + epoch)


def fifth_epoch(epoch, logs):
    """Ends a fit after five epochs."""
    return epoch == 4


def one_cycle_of(epoch, horizon):
    top = 0.3 * horizon - 1
    if epoch <= top:
        return RATE * (0.52 - 0.48 * math.cos(math.pi * epoch / top))
    fallen = math.cos(math.pi * (epoch - top) / (horizon - 1 - top) / 2) ** 2
    return RATE * (4e-6 + (1 - 4e-6) * fallen)


# Settings, and η of epoch e after t rows, for a fit of T epochs, the rise taken away.
GOING_ON = {
    "constant": ({}, lambda e, t, T: RATE),
    "invscaling": ({"power_t": 0.4}, lambda e, t, T: RATE / (t + 1) ** 0.4),
    "adaptive": (
        {"tol": 1e9, "n_iter_no_change": 2},
        lambda e, t, T: RATE / 5 ** max(0, (e - 1) // 3),
    ),
    "exponential": (
        {"decay_rate": 0.6, "decay_epochs": 3},
        lambda e, t, T: RATE * 0.6 ** (e / 3),
    ),
    "step": (
        {"decay_rate": 0.6, "decay_epochs": 3},
        lambda e, t, T: RATE * 0.6 ** (e // 3),
    ),
    "cosine": ({}, lambda e, t, T: RATE * math.cos(math.pi * e / T / 2) ** 2),
    "restarts": (
        {"learning_rate": "cosine", "restart_epochs": 4},
        lambda e, t, T: RATE * math.cos(math.pi * (e % 4) / 8) ** 2,
    ),
    "one_cycle": ({}, lambda e, t, T: one_cycle_of(e, T)),
    "function": ({"learning_rate": falling}, lambda e, t, T: falling(e)),
}
OF_MAX_ITER = ("cosine", "one_cycle")


def expected_rates(name, warmup_epochs, rows):
    _, formula = GOING_ON[name]
    expected = []
    for e in range(EPOCHS):
        after = max(0, e - warmup_epochs)
        # Plateaus are counted during the rise, too.
        at = e if name == "adaptive" else after
        rate = formula(at, rows * after, EPOCHS - warmup_epochs)
        expected.append(rate * min(1, (e + 1) / (warmup_epochs + 1)))
    return expected


def going_on(name, warmup_epochs, rows, **params):
    settings = {"learning_rate": name, "tol": 0.0, "n_iter_no_change": np.inf}
    settings |= GOING_ON[name][0]
    settings |= {"hidden_layer_sizes": (), "solver": "sgd", "random_state": 0}
    settings |= {"learning_rate_init": RATE, "max_iter": EPOCHS, "batch_size": 8}
    model = MLPRegressor(**settings, warmup_epochs=warmup_epochs)
    rng = np.random.RandomState(1)
    X = rng.normal(size=(rows, 2))
    return model.set_params(**params), X, X @ [1, -2] + rng.normal(size=rows)


def stored(model):
    return pickle.loads(pickle.dumps(model))


WAYS = {
    "fit": ({}, 1),
    "partial_fit": ({}, EPOCHS),
    "warm fits of one epoch": ({"warm_start": True, "max_iter": 1}, EPOCHS),
    "warm fits of four": ({"warm_start": True, "max_iter": 4}, 3),
    "warm fits that were stopped": (
        {"warm_start": True, "callbacks": [fifth_epoch]},
        3,
    ),
}


# Fits that do not know how many epochs are to come have no cosine over all of them.
WAYS_OF = [
    (name, way)
    for name in GOING_ON
    for way, (params, _) in WAYS.items()
    if name not in OF_MAX_ITER or "max_iter" not in params
]


@pytest.mark.parametrize(("warmup_epochs", "rows"), [(0, 37), (1, 10), (3, 100)])
@pytest.mark.parametrize(("name", "way"), WAYS_OF)
def test_every_way_of_going_on_has_the_same_rates(name, way, warmup_epochs, rows):
    params, n_calls = WAYS[way]
    model, X, y = going_on(name, warmup_epochs, rows, **params)
    passed = []
    for _ in range(n_calls):
        if way == "partial_fit":
            model.partial_fit(X, y)
        else:
            fit(model, X, y)
        passed += model.history_["learning_rate"]
        model = stored(model)
    expected = expected_rates(name, warmup_epochs, rows)
    np.testing.assert_allclose(passed[:EPOCHS], expected, rtol=1e-10)


@pytest.mark.parametrize("name", OF_MAX_ITER)
@pytest.mark.parametrize("warmup_epochs", [0, 3])
def test_what_is_over_begins_anew_at_a_warm_fit(name, warmup_epochs):
    model, X, y = going_on(name, warmup_epochs, 40, warm_start=True)
    expected = expected_rates(name, warmup_epochs, 40)
    for _ in range(3):
        rates = fit(stored(model), X, y).history_["learning_rate"]
        np.testing.assert_allclose(rates, expected, rtol=1e-10)
        fit(model, X, y)


@pytest.mark.parametrize("rate", [0.01, 0.2])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_rate_changed_within_the_rise_is_taken_as_it_is(done, rate):
    model, X, y = going_on("constant", 4, 30)
    for _ in range(done):
        model.partial_fit(X, y)
    model.set_params(learning_rate_init=rate).partial_fit(X, y)
    assert model.history_["learning_rate"] == close([rate * (done + 1) / 5])


@pytest.mark.parametrize("name", ["step", "exponential", "cosine"])
def test_another_schedule_begins_at_its_first_epoch(name):
    model, X, y = going_on("constant", 0, 30, decay_epochs=2)
    for _ in range(5):
        model.partial_fit(X, y)
    model.set_params(learning_rate=name).partial_fit(X, y)
    assert model.history_["learning_rate"] == close([RATE])


@pytest.mark.parametrize(
    ("changed", "optimizer", "is_over", "anew", "rate", "n_epochs"),
    [
        ({}, "sgd", False, True, 0.004, 7),
        ({}, "sgd", False, False, 0.004, 7),
        ({}, "sgd", True, False, 0.004, 7),
        ({}, "sgd", True, True, 0.004, 0),
        ({}, "adam", False, True, 0.1, 7),
        ({"learning_rate_init": 0.3}, "sgd", False, True, 0.3, 7),
        ({"learning_rate": "constant"}, "sgd", False, False, 0.1, 0),
    ],
)
def test_what_a_later_fit_finds_of_the_rate(
    changed, optimizer, is_over, anew, rate, n_epochs
):
    """η stays with schedule, optimizer and initial η, the epoch with the schedule."""
    settings = {"learning_rate": "adaptive", "learning_rate_init": 0.1}
    earlier = LearningRate(0.004, "adaptive", 0.1, "sgd", 7, 90, is_over)
    later = earlier.begin_fit(
        ScheduleSettings(**{**settings, **changed}), optimizer, anew
    )
    assert (later.value, later.n_epochs, later.n_samples) == (rate, n_epochs, 90)
    assert (earlier.value, earlier.n_epochs) == (0.004, 7)


def test_a_rate_that_was_lowered_goes_with_its_optimizer():
    model, X, y = going_on("adaptive", 0, 30, tol=1e9, n_iter_no_change=1)
    for _ in range(4):
        model.partial_fit(X, y)
    assert model._optimizer.learning_rate == close(RATE / 5)
    model._optimizer = None
    model.partial_fit(X, y)
    assert model.history_["learning_rate"] == close([RATE])


@pytest.mark.parametrize("name", ["constant", "adaptive", "step"])
def test_ctrl_c_within_the_rise_leaves_the_rate_whole(name, monkeypatch):
    model, X, y = going_on(name, 4, 30, warm_start=True, tol=0.0)
    model.partial_fit(X, y)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    model.partial_fit(X, y)
    assert model.history_["learning_rate"] == close([RATE * 2 / 5])


def _interrupted(trainer, order, on_slice):
    raise KeyboardInterrupt
