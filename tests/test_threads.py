"""How many threads, and when the team works."""

import os
import sys
import threading

import numpy as np
import pytest
import scipy.sparse
import threadpoolctl
from fits import unconverged

from fastmlp import MLPRegressor, Network, _kernels, limits
from fastmlp import network as network_module
from fastmlp import recipe as recipe_module
from fastmlp import threads as threads_module
from fastmlp.threads import (
    PREDICTED_ROWS,
    Pace,
    count_team,
    count_threads,
    one_thread_for_blas,
    predicted_rows,
    thread_team,
)
from fastmlp.workspace import BLOCK_ROWS, build_layers, build_plan


def pretend_processors(monkeypatch, n):
    """So many processors, and no limits set."""
    monkeypatch.setattr(threads_module, "_processors", lambda: set(range(n)))
    monkeypatch.setattr(limits.blas, "count_threads", lambda: None)
    monkeypatch.setattr(limits, "read_quota", lambda: None)
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_small_steps_have_one_thread():
    layers = build_layers([16, 32, 2], ["relu"] * 2, 1)
    assert count_threads(build_plan(layers), 32) == 1


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_limits_are_kept(monkeypatch):
    layers = build_layers([784, 512, 10], ["relu"] * 2, 1)
    pretend_processors(monkeypatch, 8)
    assert count_threads(build_plan(layers), 128) == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert count_threads(build_plan(layers), 128) == 3
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert count_threads(build_plan(layers), 128) == 1


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_work_decides_how_many_of_many_processors_are_used(monkeypatch):
    """300 000 products of weight and row in a step for each further thread."""
    pretend_processors(monkeypatch, 64)
    layers = build_layers([100, 100], ["relu"], 1)
    rows_of_an_update = 7
    for n_rows, n_threads in ((29, 1), (30, 2), (59, 2), (60, 3), (10_000, 64)):
        assert (
            count_threads(build_plan(layers), n_rows - rows_of_an_update) == n_threads
        )


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_a_short_fit_starts_few_threads(monkeypatch):
    """Twenty million in all steps for each of them."""
    pretend_processors(monkeypatch, 64)
    layers = build_layers([1000, 1000], ["relu"], 1)
    found = [count_team(build_plan(layers), 93, n) for n in (0, 1, 2, 5, 1000)]
    assert found == [1, 5, 10, 25, 64]


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_an_update_is_work_too(monkeypatch):
    """A step of one row does little but to update its weights."""
    pretend_processors(monkeypatch, 2)
    assert (
        count_threads(build_plan(build_layers([784, 128, 10], ["relu"] * 2, 1)), 1) == 2
    )
    assert (
        count_threads(build_plan(build_layers([64, 100, 10], ["relu"] * 2, 1)), 1) == 1
    )


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_a_short_fit_starts_no_thread(monkeypatch):
    pretend_processors(monkeypatch, 2)
    layers = build_layers([64, 100, 10], ["relu"] * 2, 1)
    assert count_threads(build_plan(layers), 200) == 2
    assert count_team(build_plan(layers), 200, n_products=20) == 1
    assert count_team(build_plan(layers), 200, n_products=30) == 2


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_a_fit_may_have_all_its_epochs_steps(monkeypatch):
    """What is asked for is counted: rows in whole batches, in every epoch, three
    products with each weight.
    """
    asked = []
    monkeypatch.setattr(
        recipe_module,
        "count_team",
        lambda layers, *sizes: asked.append(sizes) or 1,
    )
    X = np.random.default_rng(0).standard_normal((21, 3))
    model = MLPRegressor(batch_size=5, max_iter=7, tol=0)
    with unconverged():
        model.fit(X, X[:, 0]).partial_fit(X, X[:, 0])
        model.set_params(solver="lbfgs").fit(X, X[:, 0])
    assert asked == [(5, 3 * 35), (5, 3 * 5), (21, 3)]


@pytest.mark.parametrize(("team_seconds", "alone_seconds"), [(1.0, 2.0), (2.0, 1.0)])
def test_pace_keeps_to_the_faster(team_seconds, alone_seconds):
    """Of two hundred slices all but a few trials go to whoever is faster."""
    pace = Pace("team")
    done = {"team": 0, None: 0}
    for _ in range(200):
        done[pace.team] += 1
        pace.record(10, team_seconds if pace.team else alone_seconds)
    slower = min(done, key=done.get)
    assert slower == ("team" if team_seconds > alone_seconds else None)
    assert 2 <= done[slower] <= 8


def test_pace_changes_its_mind():
    pace = Pace("team")
    for _ in range(50):
        pace.record(10, 1.0 if pace.team else 2.0)
    assert pace.team == "team"
    for _ in range(200):
        pace.record(10, 3.0 if pace.team else 2.0)
    assert pace.team is None
    for _ in range(200):
        pace.record(10, 1.0 if pace.team else 2.0)
    assert pace.team == "team"


def find_slices_of(choice, pace, n_slices, seconds):
    """Which of the slices it gets, where the team and one thread take that long."""
    found = []
    for i in range(n_slices):
        if pace.team == choice:
            found.append(i)
        pace.record(10, seconds[pace.team])
    return found


def test_trials_grow_rare():
    trials = find_slices_of(None, Pace("team"), 700, {"team": 1.0, None: 2.0})
    gaps = np.diff(trials)
    assert gaps.tolist() == [9, 17, 33, 65, 129, 129, 129, 129]


@pytest.mark.parametrize("team_seconds", [3.0, 2.0])
def test_a_change_is_tried_again_soon(team_seconds):
    """Whatever made the team slow may be over in a moment. That it is slower than one
    thread was is seen at once, that one thread is faster now, by a trial."""
    pace = Pace("team")
    find_slices_of(None, pace, 700, {"team": 1.0, None: 2.0})
    seconds = {"team": team_seconds, None: team_seconds - 1}
    trials = find_slices_of("team", pace, 150, seconds)
    assert {9, 17, 33} <= {*np.diff(trials).tolist()}


def test_a_trial_is_judged_by_its_own_slices():
    """Not by those of the trial before: what made the team slow then may be over."""
    pace = Pace("team")
    find_slices_of(None, pace, 30, {"team": 3.0, None: 2.0})
    trial = find_slices_of("team", pace, 100, {"team": 1.0, None: 2.0})
    assert np.diff(trial)[:3].tolist() == [1, 1, 1]


def test_short_slices_are_judged_together():
    """The first slice of a team that was asleep tells how it wakes up."""
    pace = Pace("team")
    choices = []
    for i in range(60):
        choices.append(pace.team)
        pace.record(10, 0.0041 if i % 10 == 0 else 0.0001)
    assert choices[:30] == ["team"] * 30
    assert choices[30] is None


@pytest.mark.parametrize("slow", ["team", None])
def test_pace_forgives_one_slow_slice(slow):
    pace = Pace("team")
    for _ in range(20):
        pace.record(10, 1.0 if pace.team == slow else 2.0)
    assert pace.team == slow
    pace.record(10, 9.0)
    assert pace.team == slow


def test_a_team_that_began_slowly_is_not_given_up():
    """Others may hold a core while it begins; one fast slice shows what it can."""
    pace = Pace("team")
    for seconds in (9.0, 9.0, 1.0):
        pace.record(10, seconds)
    assert pace.team is None
    pace.record(10, 2.0)
    assert pace.team == "team"


def test_pace_without_a_team():
    pace = Pace(None)
    pace.record(10, 1.0)
    assert pace.team is None


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_team_is_joined_after_an_error():
    before = threading.active_count()

    def fail():
        with thread_team(3):
            assert threading.active_count() == before + 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert threading.active_count() == before


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_team_is_joined_if_a_thread_cannot_be_started(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start

    def start_one(thread):
        if threading.active_count() > before:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="start new thread"), thread_team(3):
        pass
    assert threading.active_count() == before


def test_threads_begin_on_other_processors(monkeypatch):
    """And may go where they please as soon as they run."""
    kept, ran = [], []
    monkeypatch.setattr(threads_module, "_restrict", lambda *args: kept.append(args))
    pretend_processors(monkeypatch, 3)
    monkeypatch.setattr(_kernels, "current_processor", lambda: 1)
    threads_module.run_in_threads(
        lambda share: ran.append(threading.get_native_id()), [slice(0), slice(1)]
    )
    (other,) = {*ran} - {threading.get_native_id()}
    assert kept == [(other, {0, 2}), (None, {0, 1, 2})]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="the system keeps threads nowhere"
)
@pytest.mark.parametrize("a_single_one", [False, True])
def test_threads_keep_the_processors_of_their_starter(a_single_one):
    """Also where no other is left to begin on."""
    mine, found = os.sched_getaffinity(0), {}

    def look(share):
        found[share.start] = os.sched_getaffinity(0)

    try:
        if a_single_one:
            os.sched_setaffinity(0, {min(mine)})
        expected = os.sched_getaffinity(0)
        threads_module.run_in_threads(look, [slice(0, 1), slice(1, 2), slice(2, 3)])
    finally:
        os.sched_setaffinity(0, mine)
    assert found == dict.fromkeys(range(3), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_the_processor_is_one_of_those_allowed():
    assert _kernels.current_processor() in os.sched_getaffinity(0)


@pytest.mark.parametrize("n_threads", [0, -1])
def test_impossible_teams_are_refused(n_threads):
    with pytest.raises(ValueError, match="one thread"):
        _kernels.Team(n_threads)


def test_one_thread_needs_no_team():
    with thread_team(1) as team:
        assert team is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_predictions_do_not_depend_on_the_threads(make, dtype, monkeypatch):
    """Also of a last block of one row, which is worked on in another way."""
    network = Network([30, 20, 4], dtype=dtype, random_state=0)
    X = np.random.RandomState(0).standard_normal((19 * PREDICTED_ROWS + 1, 30))
    X = make((X * (X > 1)).astype(dtype))
    expected = network.predict(X)
    monkeypatch.setattr(threads_module, "LEAST_WORK_OF_A_NEW_THREAD", 1)
    pretend_processors(monkeypatch, 4)
    capacity = predicted_rows(X.shape[0], network.params.size)
    assert X.shape[0] % capacity == 1
    shares = threads_module.partition_rows(X.shape[0], network.plan, capacity)
    assert len(shares) == (4 if _kernels.THREADS else 1)
    assert np.array_equal(network.predict(X), expected)


def test_blocks_of_predictions_are_even():
    """No larger than they need be for so many of them, but for whole vectors."""
    for n_rows in (1, 2, PREDICTED_ROWS):
        assert predicted_rows(n_rows, 1000) == n_rows
    for n_rows in range(PREDICTED_ROWS + 1, 9 * PREDICTED_ROWS):
        capacity, n_blocks = predicted_rows(n_rows, 9), -(-n_rows // PREDICTED_ROWS)
        assert capacity % 16 == 0
        assert n_rows / n_blocks <= capacity < n_rows / n_blocks + 16


def test_few_rows_of_much_work_are_two_blocks():
    """Forty million products of weight and row."""
    assert predicted_rows(128, 312_499) == 128
    assert predicted_rows(128, 312_500) == 64
    assert predicted_rows(256, 1_000_000) == 128
    assert predicted_rows(127, 1_000_000) == 127
    assert predicted_rows(300, 1_000_000) == 160


def test_no_rows_are_predicted():
    network = Network([3, 2], random_state=0)
    assert network.predict(np.empty((0, 3))).shape == (0, 2)
    assert network.input_gradients(np.empty((0, 3))).shape == (0, 2, 3)


# Gradients in halves, in several blocks, of columns that threads share.
MANY_ROWS = {
    "halves": ([30, 20, 4], 300),
    "blocks": ([8, 300, 3], 2 * BLOCK_ROWS + 5),
    "columns": ([300, 2100, 2], 5),
    "one row": ([3, 4, 2], 1),
}


def evaluate_all(network, data, n_threads):
    """J, its gradient, the outputs and, of a network that has it, a product with the
    Hessian.
    """
    with thread_team(n_threads) as team:
        evaluator = network.evaluator(data, team)
        found = [evaluator.loss(), *evaluator.loss_and_grad()]
        found += evaluator.data_loss_and_outputs()
        if not network.batch_norm:
            found.append(evaluator.hessian_vector_product(network.params))
    return found


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("case", MANY_ROWS)
def test_evaluations_do_not_depend_on_the_threads(case, batch_norm, make, dtype):
    sizes, n_rows = MANY_ROWS[case]
    settings = {"activation": "gelu", "alpha": 0.1, "l1_ratio": 0.3, "dtype": dtype}
    network = Network(sizes, batch_norm=batch_norm, **settings, random_state=0)
    rng = np.random.default_rng(0)
    network.stats[...] = rng.uniform(0.5, 2, network.stats.shape)
    X = rng.standard_normal((n_rows, sizes[0]))
    Y = rng.standard_normal((n_rows, sizes[-1]))
    data = network.as_data(make(X * (X > 0)), Y, rng.random(n_rows) + 0.1)
    expected = evaluate_all(network, data, 1)
    for n_threads in (2, 3, 4):
        found = evaluate_all(network, data, n_threads)
        assert all(map(np.array_equal, found, expected)), n_threads


@pytest.mark.parametrize("solver", ["lbfgs", "gd", "steepest", "newton-cg"])
def test_a_full_batch_fit_does_not_depend_on_the_threads(solver):
    X = np.random.default_rng(0).standard_normal((400, 6))
    settings = {"hidden_layer_sizes": 20, "activation": "tanh", "random_state": 0}
    with unconverged():
        alone, team = (
            MLPRegressor(**settings, solver=solver, max_iter=5, n_threads=n).fit(
                X, X[:, 0] * X[:, 1]
            )
            for n in (1, 3)
        )
    assert alone.loss_ == team.loss_
    assert all(map(np.array_equal, alone.coefs_, team.coefs_))


@pytest.mark.skipif(not _kernels.THREADS, reason="this engine runs on one thread")
def test_the_team_of_the_steps_validates(monkeypatch):
    teams = []

    def compute_loss(*arguments):
        teams.append(arguments[-1])
        return original(*arguments)

    original = _kernels.compute_loss
    monkeypatch.setattr(_kernels, "compute_loss", compute_loss)
    # A busy machine would make it choose one thread.
    monkeypatch.setattr(Pace, "record", lambda *slice: None)
    X = np.random.default_rng(0).standard_normal((400, 6))
    settings = {"early_stopping": True, "max_iter": 3, "random_state": 0}
    with unconverged():
        alone, team = (
            MLPRegressor(**settings, n_threads=n).fit(X, X[:, 0] * X[:, 1])
            for n in (1, 2)
        )
    assert [team is None for team in teams] == [True] * 3 + [False] * 3
    assert alone.validation_loss_curve_ == team.validation_loss_curve_
    assert alone.validation_scores_ == team.validation_scores_


def test_evaluations_are_work_too(monkeypatch):
    """One product with each weight for J, three with its gradient, nine for a product
    with its Hessian, however many there are: threads sleep from one to the next."""
    asked = []
    monkeypatch.setattr(
        network_module,
        "count_team",
        lambda layers, *sizes: asked.append(sizes) or 1,
    )
    network = Network([3, 2], random_state=0)
    X, Y = np.ones((7, 3)), np.ones((7, 2))
    network.loss(X, Y)
    network.data_loss(X, Y)
    network.loss_and_grad(X, Y)
    network.hessian_vector_product(X, Y, network.params)
    network.hessian(X, Y)
    assert asked == [(7, n) for n in (1, 1, 3, 9, 9)]


def test_input_gradients_do_not_depend_on_the_threads(monkeypatch):
    network = Network([30, 20, 4], activation="gelu", random_state=0)
    X = np.random.RandomState(0).standard_normal((3 * PREDICTED_ROWS + 1, 30))
    expected = network.input_gradients(X)
    monkeypatch.setattr(threads_module, "LEAST_WORK_OF_A_NEW_THREAD", 1)
    pretend_processors(monkeypatch, 3)
    assert np.array_equal(network.input_gradients(X), expected)


def count_threads_of_blas():
    pools = threadpoolctl.ThreadpoolController().select(user_api="blas")
    return [pool["num_threads"] for pool in pools.info()]


def test_blas_keeps_to_one_thread():
    """And has its threads back afterwards, also after an error."""

    def fail():
        with one_thread_for_blas():
            assert set(count_threads_of_blas()) == {1}
            raise KeyboardInterrupt

    with threadpoolctl.threadpool_limits(2):
        before = count_threads_of_blas()
        with pytest.raises(KeyboardInterrupt):
            fail()
        assert count_threads_of_blas() == before


@pytest.mark.parametrize("solver", ["lbfgs", "gd", "steepest", "newton-cg"])
def test_full_batch_fits_keep_blas_to_one_thread(solver):
    seen = []

    def look(iteration, logs):
        seen.extend(count_threads_of_blas())

    X = np.random.default_rng(0).standard_normal((20, 3))
    model = MLPRegressor(solver=solver, max_iter=2, callbacks=[look])
    with threadpoolctl.threadpool_limits(2), unconverged():
        model.fit(X, X[:, 0])
        assert set(seen) == {1}
        assert set(count_threads_of_blas()) != {1}


def test_a_fault_in_another_thread_is_raised():
    def work(rows):
        if rows.start == 1:
            raise ValueError("of the second share")

    with pytest.raises(ValueError, match="second share"):
        threads_module.run_in_threads(work, [slice(0, 1), slice(1, 2)])
