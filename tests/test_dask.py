"""Fits on a Dask cluster: the same bits for any number of workers, through failures."""

import hashlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fits import fit
from sklearn.metrics import accuracy_score

from fastmlp import MLPClassifier
from fastmlp.recipe import FULL_BATCH_SOLVERS
from fastmlp.schedules import OfProgress

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

from fastmlp.dask import (  # noqa: E402
    DaskMLPClassifier,
    DaskMLPRegressor,
    WorkerLostError,
    train,
)
from fastmlp.dask.estimators import count_shards  # noqa: E402
from fastmlp.dask.rounds import Start, as_kernels_take  # noqa: E402
from fastmlp.dask.shards import assign  # noqa: E402
from fastmlp.dask.trainer import DaskTrainer  # noqa: E402

# A cluster takes seconds to start; what its libraries leave open is theirs.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]

N_ROWS = 2000
random = np.random.default_rng(0)
X = random.standard_normal((N_ROWS, 5)).astype(np.float32)
y = np.digitize(X[:, 0] + X[:, 1] ** 2, [0.0, 1.5])
w = random.uniform(0, 2, N_ROWS)
CHUNK = 170  # the last of twelve partitions is short
SMALL = {
    "hidden_layer_sizes": (8,),
    "batch_size": 400,
    "max_iter": 3,
    "random_state": 0,
    "n_shards": 4,
}
CASES = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch norm": {"batch_norm": True},
    "in order": {"shuffle": False},
    "balanced": {"class_weight": "balanced"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 20},
    "falling": {"learning_rate": OfProgress(lambda t: 0.01 * (1 - t))},
}


def collections(*arrays):
    return [da.from_array(a, chunks=(CHUNK, *a.shape[1:])) for a in arrays]


def frames():
    frame = pd.DataFrame(X, columns=list("abcde"), index=np.arange(N_ROWS) + 7)
    rows = dd.from_pandas(frame.assign(y=y), npartitions=12)
    return rows[list("abcde")], rows["y"]


def digest(model):
    state, found = model.to_local()._state, hashlib.sha256()
    network, optimizer = state.network, state.optimizer
    for part in network.params, network.stats, optimizer.slots:
        found.update(part.tobytes())
    return found.hexdigest(), optimizer.n_steps, tuple(model.loss_curve_)


def start(n_workers, **options):
    return distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=None, **options
    )


@pytest.fixture(scope="module")
def client():
    with start(2) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def alone():
    """A client of one worker, with two threads, in this process."""
    cluster = start(1, processes=False)
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def fit_case(case, client, *arrays):
    params = {**SMALL, **CASES[case]}
    judged = {}
    if case == "early stopping":
        judged = {"X_val": X[:100], "y_val": y[:100]}
    return fit(DaskMLPClassifier(client, **params), *collections(*arrays), **judged)


@pytest.mark.parametrize("case", CASES)
def test_a_process_and_two_workers_give_the_same_bits(case, client, alone):
    models = [fit_case(case, one, X, y, w + 0.1) for one in (client, alone)]
    assert len(set(map(digest, models))) == 1


def test_the_state_stays_on_the_workers_unless_it_is_changed(client, monkeypatch):
    begun, call, run_epoch = [], DaskTrainer._call, DaskTrainer.run_epoch

    def watched_call(trainer, workers, function, *args, **options):
        begun.extend(arg.has_base for arg in args if isinstance(arg, Start))
        return call(trainer, workers, function, *args, **options)

    def changing_epoch(trainer, *args):
        if changes:
            trainer._network.params[0] += 1
        return run_epoch(trainer, *args)

    monkeypatch.setattr(DaskTrainer, "_call", watched_call)
    monkeypatch.setattr(DaskTrainer, "run_epoch", changing_epoch)
    for changes in False, True:
        begun.clear()
        fit(DaskMLPClassifier(client, **{**SMALL, "max_iter": 8}), *collections(X, y))
        assert not begun[0]
        assert any(begun) != changes


def test_frames_and_arrays_are_the_same_rows(client):
    by_array = fit(
        DaskMLPClassifier(client, **SMALL, shuffle=False), *collections(X, y)
    )
    by_frame = fit(DaskMLPClassifier(client, **SMALL, shuffle=False), *frames())
    assert by_frame.feature_names_in_.tolist() == list("abcde")
    predictions = by_frame.predict(frames()[0])
    assert predictions.divisions == frames()[0].divisions
    found = predictions.compute()
    assert found.index.tolist() == list(range(7, N_ROWS + 7))
    score = accuracy_score(y, by_array.predict(collections(X)[0]).compute())
    assert accuracy_score(y, found) == pytest.approx(score, abs=0.1)


def test_predictions_are_lazy_and_those_of_the_local_model(client):
    model = fit(DaskMLPClassifier(client, **SMALL), *collections(X, y))
    rows = collections(X)[0]
    for name in ("predict", "predict_proba"):
        lazy = getattr(model, name)(rows)
        assert isinstance(lazy, da.Array)
        assert lazy.chunks[0] == rows.chunks[0]
        local = getattr(model.to_local(), name)(X)
        assert lazy.dtype == local.dtype
        np.testing.assert_allclose(lazy.compute(), local, rtol=1e-5)


def test_a_regressor_learns_and_stops_early(client):
    targets = X[:, 0] + np.abs(X[:, 1])
    model = DaskMLPRegressor(
        client,
        n_shards=2,
        hidden_layer_sizes=(16,),
        batch_size=256,
        early_stopping=True,
        learning_rate_init=0.01,
        max_iter=60,
        random_state=0,
    )
    rows, values = collections(X, targets)
    fit(model, rows[:1500], values[:1500], X_val=rows[1500:], y_val=values[1500:])
    assert model.to_local().score(X[1500:], targets[1500:]) > 0.95
    assert max(model.validation_scores_) == model.best_validation_score_


def test_local_steps_give_the_same_bits_and_learn(client, alone):
    params = {**SMALL, "sync_every": 2, "max_iter": 30, "learning_rate_init": 0.02}
    models = [
        fit(DaskMLPClassifier(one, **params), *collections(X, y, w + 0.1))
        for one in (client, alone)
    ]
    assert len(set(map(digest, models))) == 1
    assert models[0].to_local().score(X, y) > 0.9


def test_train_returns_the_model_and_its_history(client):
    params = {key: value for key, value in SMALL.items() if key != "n_shards"}
    local = MLPClassifier(**params, early_stopping=True)
    rows, targets = collections(X, y)
    judged = {"eval_set": [(rows[:170], targets[:170])]}
    found = train(client, local, rows, targets, n_shards=4, **judged)
    by_name = {"X_val": rows[:170], "y_val": targets[:170]}
    model = DaskMLPClassifier(client, **SMALL, early_stopping=True)
    model.fit(rows, targets, **by_name)
    assert type(found["model"]) is MLPClassifier
    np.testing.assert_array_equal(found["model"].coefs_[0], model.coefs_[0])
    assert found["history"]["loss"] == model.loss_curve_
    assert found["history"]["validation_score"] == model.validation_scores_
    assert not hasattr(local, "coefs_")
    with pytest.raises(TypeError, match="MLPClassifier or MLPRegressor"):
        train(client, model, rows, targets)


def test_a_fit_goes_on_from_its_checkpoint_folder(client, tmp_path):
    rows = collections(X, y)
    expected = fit(DaskMLPClassifier(client, **SMALL), *rows)
    folder = tmp_path / "checkpoints"

    def stop(epoch, logs):
        return epoch == 1

    params = {**SMALL, "checkpoint_dir": folder}
    model = DaskMLPClassifier(client, **params, callbacks=[stop])
    model.fit(*rows)
    assert [path.name for path in folder.iterdir()] == ["fit.safetensors"]
    assert len(model.loss_curve_) == 2
    assert model.get_params()["callbacks"] == [stop]
    other = DaskMLPClassifier(client, **{**params, "sync_every": 2})
    with pytest.raises(ValueError, match="sync_every"):
        other.fit(*rows)
    again = fit(DaskMLPClassifier(client, **params), *rows)
    assert digest(again) == digest(expected)
    assert [*folder.iterdir()] == []


LONG = {**SMALL, "hidden_layer_sizes": (100, 100), "batch_size": 50, "max_iter": 8}


# By default a task is given up whose workers have died three times, and a local cluster
# drops a worker that is not back within 15 seconds.
PATIENT = {
    "distributed.scheduler.allowed-failures": 100,
    "distributed.deploy.lost-worker-timeout": "10 minutes",
}


class Killer:
    """Kills workers of a local cluster, each after some time, while it is entered."""

    def __init__(self, client, pauses):
        self.cluster, self.pauses = client.cluster, pauses
        self.n_killed, self.is_over = 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        choose = np.random.default_rng(0)
        for pause in self.pauses:
            # A nanny gives up a worker that dies before it has wholly come.
            while not self.is_over.wait(pause):
                nannies = [*self.cluster.workers.values()]
                if all(
                    n.process and n.process.status.name == "running" for n in nannies
                ):
                    break
            else:
                return
            os.kill(choose.choice(nannies).pid, signal.SIGKILL)
            self.n_killed += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        self.thread.join()


def test_a_worker_that_is_killed_changes_no_bit(client, alone):
    rows = collections(X, y)
    expected = digest(fit(DaskMLPClassifier(alone, **LONG), *rows))
    client.wait_for_workers(2, timeout=60)
    killer = Killer(client, [0.01])  # in the midst of the third epoch

    def kill(epoch, logs):
        if epoch == 1:
            killer.thread.start()

    model = fit(DaskMLPClassifier(client, **LONG, callbacks=[kill]), *rows)
    killer.is_over.set()
    killer.thread.join()
    assert digest(model) == expected
    assert killer.n_killed == 1


def test_rows_that_cannot_be_computed_again_end_the_fit_in_words(client):
    pieces = [client.scatter(X[i : i + 500]) for i in range(0, N_ROWS, 500)]
    rows = [da.from_delayed(dask.delayed(p), (500, 5), X.dtype) for p in pieces]

    def kill(epoch, logs):
        if epoch == 1:
            os.kill(next(iter(client.cluster.workers.values())).pid, signal.SIGKILL)

    model = DaskMLPClassifier(client, **LONG, callbacks=[kill])
    with pytest.raises(WorkerLostError, match="scattered"):
        fit(model, da.concatenate(rows), da.from_array(y, chunks=500))
    assert not hasattr(model, "coefs_")


def test_too_many_failures_end_the_fit(client, monkeypatch):
    def fail(*args):
        raise ConnectionError("gone")

    monkeypatch.setattr("fastmlp.dask.trainer.start_round", fail)
    model = DaskMLPClassifier(client, **SMALL, max_failures=1)
    with pytest.raises(WorkerLostError, match="2 times"):
        fit(model, *collections(X, y))
    assert not hasattr(model, "coefs_")


BROKEN = np.where(np.arange(N_ROWS)[:, None] == 900, np.nan, X)
REFUSED = {
    "array": (lambda: (X, y), {}, TypeError, "Dask array"),
    "partitions": (
        lambda: (collections(X)[0], da.from_array(y, chunks=99)),
        {},
        ValueError,
        "alike",
    ),
    "NaN": (lambda: collections(BROKEN, y), {}, ValueError, "NaN"),
    "shards": (lambda: collections(X, y), {"n_shards": 3}, ValueError, "power of two"),
    "no steps": (
        lambda: collections(X, y),
        {"sync_every": 0},
        ValueError,
        "sync_every must be",
    ),
    "held out": (
        lambda: collections(X, y),
        {"early_stopping": True},
        ValueError,
        "X_val",
    ),
    "classes": (lambda: collections(X, X[:, 0]), {}, ValueError, "Unknown label"),
    "solver": (
        lambda: collections(X, y),
        {"solver": FULL_BATCH_SOLVERS[0]},
        ValueError,
        "all rows in memory",
    ),
    "few rows": (
        lambda: collections(X, y),
        {"batch_norm": True, "batch_size": 4},
        ValueError,
        "batch_norm needs two rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_refused(case, client):
    make, params, kind, message = REFUSED[case]
    model = DaskMLPClassifier(client, **{**SMALL, **params})
    with pytest.raises(kind, match=message):
        fit(model, *make())
    assert not hasattr(model, "coefs_")


def test_an_evaluation_set_is_one_pair_and_not_given_twice(client):
    rows, targets = collections(X, y)
    model = DaskMLPClassifier(client, **SMALL)
    with pytest.raises(ValueError, match="not both"):
        model.fit(rows, targets, X_val=X, y_val=y, eval_set=[(X, y)])
    for wrong in ([], [(X, y), (X, y)], [X]):
        with pytest.raises(ValueError, match="one pair"):
            model.fit(rows, targets, eval_set=wrong)


def test_shards_are_a_power_of_two_whatever_the_workers():
    assert [count_shards("auto", size, 100) for size in ("auto", 127, 1024, 10**6)] == [
        *(1, 1, 8, 64),
    ]
    assert count_shards(8, 200, 5) == 4


def test_shards_go_where_they_are_and_equally_many_to_each():
    assert assign(["a", "a", "b", "b"], ["a", "b"]) == ["a", "a", "b", "b"]
    assert assign(["a", "a", "a", "a"], ["a", "b"]) == ["a", "a", "b", "b"]
    assert assign([set(), "b", "ab", "b"], ["a", "b"]) == ["a", "b", "a", "b"]
    assert assign(["c", "c"], ["a", "b", "c"]) == ["c", "a"]


def test_empty_and_unequal_partitions(client, alone):
    """One of four shards has no rows at all."""
    chunks = (0, 0, 700, 1, 99, 200, 1000)
    found = set()
    for one in client, alone:
        rows, targets = (
            da.from_array(a, chunks=(chunks, *a.shape[1:])) for a in (X, y)
        )
        model = DaskMLPClassifier(
            one, **{**SMALL, "early_stopping": True}, batch_norm=True
        )
        fit(model, rows, targets, X_val=rows[:50], y_val=targets[:50])
        found.add(digest(model))
    assert len(found) == 1


def test_fits_beside_each_other(client):
    """As many as there are workers, and one more."""
    expected = {}
    for case in ("plain", "dropout", "batch norm"):
        expected[case] = digest(fit_case(case, client, X, y))
    with ThreadPoolExecutor(3) as pool:
        models = pool.map(lambda case: fit_case(case, client, X, y), expected)
        assert [digest(model) for model in models] == [*expected.values()]


@pytest.fixture
def hears_ctrl_c():
    """A process that was begun in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_the_round_on_all_workers(client):
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])

    def interrupt(epoch, logs):
        if timer.ident is None:
            timer.start()

    model = DaskMLPClassifier(
        client, **{**LONG, "max_iter": 10**6, "tol": 0}, callbacks=[interrupt]
    )
    begun = time.monotonic()
    fit(model, *collections(X, y))
    assert time.monotonic() - begun < 20
    assert model.stop_reason_ == "interrupted"
    assert not any(client.run(threads_of_rounds).values())


def threads_of_rounds():
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [t.name for t in threading.enumerate() if "fastmlp" in t.name]
        if not found:
            return []
        time.sleep(0.01)
    return found


def test_a_worker_that_leaves_before_the_fit(alone):
    expected = digest(fit(DaskMLPClassifier(alone, **SMALL), *collections(X, y)))
    with start(2) as cluster, distributed.Client(cluster) as client:
        rows = [one.persist() for one in collections(X, y)]
        distributed.wait(rows)
        client.retire_workers([sorted(client.nthreads())[0]])
        model = fit(DaskMLPClassifier(client, **SMALL), *rows)
    assert digest(model) == expected


def test_shards_that_were_moved_may_lie_anywhere():
    raw = np.zeros(33, np.uint8)
    off, whole = raw[1:].view(np.float32).reshape(2, 4), np.zeros((2, 1))
    assert not off.flags.aligned
    moved, same, none = as_kernels_take((off, whole, None))
    assert moved.flags.aligned
    np.testing.assert_array_equal(moved, off)
    assert same is whole
    assert none is None


def test_a_cluster_without_workers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("fastmlp.dask.shards.DEADLINE", 0.1)
    no_workers = pytest.raises(WorkerLostError, match="no workers")
    with start(0) as cluster, distributed.Client(cluster) as client, no_workers:
        fit(DaskMLPClassifier(client, **SMALL), *collections(X, y))


def test_a_cluster_with_tls(alone):
    pytest.importorskip("cryptography")
    expected = digest(fit(DaskMLPClassifier(alone, **SMALL), *collections(X, y)))
    security = distributed.Security.temporary()
    secured = start(2, security=security)
    with secured as cluster, distributed.Client(cluster, security=security) as client:
        assert all(address.startswith("tls://") for address in client.nthreads())
        assert digest(fit_case("plain", client, X, y)) == expected


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES)
def test_one_two_and_four_workers_give_the_same_bits(case, alone):
    expected = digest(fit_case(case, alone, X, y, w + 0.1))
    for n_workers in (1, 2, 4):
        with start(n_workers) as cluster, distributed.Client(cluster) as client:
            assert digest(fit_case(case, client, X, y, w + 0.1)) == expected


@pytest.mark.soak
def test_twenty_kills_at_random_moments_change_no_bit(alone):
    params = {**LONG, "n_shards": 8, "dropout": 0.2, "batch_norm": True}
    params |= {"max_iter": 60, "tol": 0, "n_iter_no_change": 10**6}
    rows = collections(X, y, w + 0.1)
    expected = digest(fit(DaskMLPClassifier(alone, **params), *rows))
    pauses = np.random.default_rng(1).exponential(1.5, 1000)
    with (
        dask.config.set(PATIENT),
        start(4) as cluster,
        distributed.Client(cluster) as client,
    ):
        n_killed = 0
        while n_killed < 20:
            with Killer(client, pauses[n_killed:]) as killer:
                model = DaskMLPClassifier(client, **params, max_failures=20)
                assert digest(fit(model, *rows)) == expected
            n_killed += killer.n_killed
    print(n_killed, "workers were killed")
