"""Fits on a Dask cluster: the same bits for any number of workers, through failures."""

import hashlib
import os
import signal

import numpy as np
import pytest
from fits import fit
from sklearn.metrics import accuracy_score

from fastmlp.recipe import FULL_BATCH_SOLVERS

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

from fastmlp.dask import (  # noqa: E402
    DaskMLPClassifier,
    DaskMLPRegressor,
    WorkerLostError,
    count_shards,
)

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


def start(n_workers):
    return distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=None
    )


@pytest.fixture(scope="module")
def client():
    with start(2) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def alone():
    """A client of one worker, in a process of its own."""
    with start(1) as cluster, distributed.Client(cluster, set_as_default=False) as c:
        yield c


@pytest.mark.parametrize("case", CASES)
def test_one_worker_and_two_give_the_same_bits(case, client, alone):
    found = set()
    for one in client, alone:
        model = DaskMLPClassifier(one, **SMALL, **CASES[case])
        found.add(digest(fit(model, *collections(X, y, w + 0.1))))
    assert len(found) == 1


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


def test_a_worker_that_is_killed_changes_no_bit(client):
    """One is killed in each of two epochs; nannies start others."""
    params = {**SMALL, "max_iter": 5}
    before = digest(fit(DaskMLPClassifier(client, **params), *collections(X, y)))
    killed = []

    def kill(epoch, logs):
        if epoch in (1, 2):
            pids = client.run(os.getpid)
            killed.append(pids[sorted(pids)[epoch - 1]])
            os.kill(killed[-1], signal.SIGKILL)

    model = DaskMLPClassifier(client, **params, callbacks=[kill], max_failures=20)
    assert digest(fit(model, *collections(X, y))) == before
    assert len(killed) == 2


def test_too_many_failures_end_the_fit(client, monkeypatch):
    def fail(*args):
        raise ConnectionError("gone")

    monkeypatch.setattr("fastmlp.dask._run_round", fail)
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


def test_shards_are_a_power_of_two_whatever_the_workers():
    assert [count_shards("auto", size, 100) for size in ("auto", 127, 1024, 10**6)] == [
        *(1, 1, 8, 64),
    ]
    assert count_shards(8, 200, 5) == 4


@pytest.mark.soak
def test_bits_through_many_kills_and_numbers_of_workers():
    """One, two and four workers; of the last, twenty are killed at random moments."""
    found = set()
    params = {**SMALL, "max_iter": 25, "dropout": 0.2, "n_shards": 8}
    for n_workers in (1, 2, 4):
        with start(n_workers) as cluster, distributed.Client(cluster) as client:

            def kill(epoch, logs, client=client, n=n_workers):
                if n == 4 and epoch < 20:
                    pids = list(client.run(os.getpid).values())
                    os.kill(pids[epoch % len(pids)], signal.SIGKILL)

            model = DaskMLPClassifier(
                client, **params, callbacks=[kill], max_failures=50
            )
            found.add(digest(fit(model, *collections(X, y, w))))
    assert len(found) == 1
