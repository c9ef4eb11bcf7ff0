"""Who limits the threads of a fit: processors, control groups, variables, others."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
from fits import unconverged

from fastmlp import MLPRegressor, Network, _kernels, limits
from fastmlp import threads as threads_module
from fastmlp.limits import Blas, Company, find_limits, read_quota
from fastmlp.threads import Pace, count_threads, is_crowded, thread_team
from fastmlp.workspace import build_layers, build_plan

needs_threads = pytest.mark.skipif(
    not _kernels.THREADS, reason="this engine runs on one thread"
)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


V1 = "sys/fs/cgroup/cpu,cpuacct"
GROUPS = {
    "none": ({}, None),
    "no limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        None,
    ),
    "container": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"},
        2,
    ),
    "less than one": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"},
        1,
    ),
    "outer group": (
        {
            "proc/self/cgroup": "0::/a.slice/b.scope\n",
            "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/a.slice/b.scope/cpu.max": "max 100000\n",
        },
        3,
    ),
    "group of a host that is not seen": (
        {
            "proc/self/cgroup": "0::/docker/0123\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        },
        4,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "7:memory:/x\n4:cpu,cpuacct:/x\n",
            f"{V1}/x/cpu.cfs_quota_us": "250000\n",
            f"{V1}/x/cpu.cfs_period_us": "100000\n",
            f"{V1}/cpu.cfs_quota_us": "-1\n",
            f"{V1}/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "version 1 without limit": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            f"{V1}/cpu.cfs_quota_us": "-1\n",
            f"{V1}/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "unreadable": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "what?\n"},
        None,
    ),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_quota_of_control_groups(kind, tmp_path):
    files, expected = GROUPS[kind]
    assert read_quota(write(tmp_path, files)) == expected


def test_a_quota_limits_the_threads(monkeypatch):
    monkeypatch.setattr(limits, "read_quota", lambda: 3)
    assert find_limits(8)["cgroup quota"] == 3
    assert find_limits(8)["processors"] == 8


@pytest.mark.parametrize("name", limits.VARIABLES)
def test_variables_limit_the_threads(name, monkeypatch):
    for each in limits.VARIABLES:
        monkeypatch.delenv(each, raising=False)
    assert name not in find_limits(8)
    monkeypatch.setenv(name, "5")
    assert find_limits(8)[name] == 5
    monkeypatch.setenv(name, "many")
    assert name not in find_limits(8)


@needs_threads
def test_threadpoolctl_limits_the_threads(monkeypatch):
    monkeypatch.setattr(threads_module, "_processors", lambda: {0, 1, 2, 3})
    layers = build_layers([784, 512, 10], ["relu"] * 2, 1)
    with threadpoolctl.threadpool_limits(2):
        assert count_threads(build_plan(layers), 128) == 2
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            assert count_threads(build_plan(layers), 128) == 1


def test_our_own_limit_of_blas_is_none():
    """A full-batch fit holds BLAS at one thread, not predictions in its callbacks."""
    blas = Blas()
    with threadpoolctl.threadpool_limits(2):
        with blas.one_thread():
            assert blas.count_threads() == 2
        with threadpoolctl.threadpool_limits(1):
            assert blas.count_threads() == 1


def test_blas_has_its_threads_back_after_the_last_fit():
    """Fits of two threads that overlap: the first to leave does not free it, the last
    does not leave it at what it found."""
    blas = Blas()
    with threadpoolctl.threadpool_limits(2):
        first, second = blas.one_thread(), blas.one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        pools = threadpoolctl.threadpool_info()
        assert {p["num_threads"] for p in pools if p["user_api"] == "blas"} == {1}
        second.__exit__(None, None, None)
        pools = threadpoolctl.threadpool_info()
        assert 1 not in {p["num_threads"] for p in pools if p["user_api"] == "blas"}


def test_blas_has_its_threads_back_though_a_fit_was_interrupted_on_leaving(monkeypatch):
    blas = Blas()
    with threadpoolctl.threadpool_limits(2):
        with monkeypatch.context() as patch:
            patch.setattr(blas, "_leave", interrupt)
            held = blas.one_thread()
            held.__enter__()
            with pytest.raises(KeyboardInterrupt):
                held.__exit__(None, None, None)
            del held
        with blas.one_thread():
            assert blas.count_threads() == 2
        pools = threadpoolctl.threadpool_info()
        assert 1 not in {p["num_threads"] for p in pools if p["user_api"] == "blas"}


def interrupt(holder):
    raise KeyboardInterrupt


class FakeWorker:
    class state:  # noqa: N801
        nthreads = 3


def test_a_dask_workers_own_threads_count(monkeypatch):
    """Not the variables that its nanny sets to 1, nor BLAS, which obeys them."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert find_limits(8)["OMP_NUM_THREADS"] == 1
    monkeypatch.setattr(distributed, "get_worker", FakeWorker)
    assert find_limits(8) == {"processors": 8, "Dask worker": 3}


@pytest.mark.filterwarnings("default")
def test_in_a_dask_worker(monkeypatch):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        found = client.submit(find_limits, 8).result()
    assert found["Dask worker"] == 2


# -- fits beside each other


def in_other_threads(n, work):
    """Do the work while so many fits of other threads are under way."""
    begun, over = threading.Barrier(n + 1), threading.Event()

    def fit():
        with thread_team(1):
            begun.wait(60)
            over.wait(60)

    with ThreadPoolExecutor(max(1, n)) as pool:
        for _ in range(n):
            pool.submit(fit)
        begun.wait(60)
        try:
            return work()
        finally:
            over.set()


@needs_threads
@pytest.mark.parametrize(("n_others", "n_threads"), [(0, 12), (1, 6), (4, 2), (20, 1)])
def test_fits_of_other_threads_have_as_many(n_others, n_threads, monkeypatch):
    monkeypatch.setattr(threads_module, "find_limits", lambda _: {"": 12})
    layers = build_layers([1000, 1000], ["relu"], 1)
    assert (
        in_other_threads(n_others, lambda: count_threads(build_plan(layers), 200))
        == n_threads
    )


def test_what_a_fit_calls_is_part_of_it():
    company = Company()
    with company.join(), company.join():
        assert company.count_others() == 0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(company.count_others).result() == 1
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(company.count_others).result() == 0


class FakeTeam:
    def __init__(self, n_threads):
        self.n_threads = n_threads


@pytest.mark.parametrize(
    ("n_others", "usable", "n_threads", "expected"),
    [
        (0, 2, 2, False),
        (1, 2, 2, True),
        (1, 8, 8, False),
        (2, 8, 8, True),
        (1, 4, 3, False),
        (2, 4, 3, True),
    ],
)
def test_when_a_team_is_crowded(n_others, usable, n_threads, expected, monkeypatch):
    monkeypatch.setattr(threads_module, "find_limits", lambda _: {"": usable})
    team = FakeTeam(n_threads)
    assert in_other_threads(n_others, lambda: is_crowded(team)) is expected


def test_one_thread_works_in_a_crowd_and_is_not_judged(monkeypatch):
    monkeypatch.setattr(threads_module, "find_limits", lambda _: {"": 2})
    team = FakeTeam(2)
    pace = Pace(team)

    def work_alone():
        for _ in range(20):
            assert pace.team is None
            pace.record(10, 9.0)

    in_other_threads(1, work_alone)
    for _ in range(3):
        assert pace.team is team
        pace.record(10, 1.0)


@needs_threads
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fits_in_a_crowd_have_the_same_bits(solver, monkeypatch):
    monkeypatch.setattr(threads_module, "find_limits", lambda _: {"": 2})
    X = np.random.RandomState(0).standard_normal((400, 30))
    model = MLPRegressor(solver=solver, max_iter=5, random_state=0, n_threads=2)
    with unconverged():
        alone = model.fit(X, X[:, 0]).coefs_
    with unconverged():
        beside = in_other_threads(2, lambda: model.fit(X, X[:, 0]).coefs_)
    for a, b in zip(alone, beside, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_forgets_its_parents_threads():
    code = """
import os, threading
from fastmlp.limits import company
begun, over = threading.Event(), threading.Event()
def fit():
    with company.join():
        begun.set(); over.wait()
threading.Thread(target=fit, daemon=True).start()
begun.wait()
assert company.count_others() == 1
with company.join():
    child = os.fork()
    if child == 0:
        with company.join():
            pass
        os._exit(company.count_others())
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_concurrent_fits_and_predictions_of_one_process():
    """What eight threads fit and predict at once is what one fits and predicts."""
    X = np.random.RandomState(0).standard_normal((600, 20))

    def fit(seed):
        model = MLPRegressor(max_iter=8, random_state=seed).fit(X, X[:, 0])
        return model.predict(X)

    with unconverged():
        expected = [fit(seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(fit, range(8)))
    assert np.array_equal(found, expected)


def test_one_network_predicts_in_many_threads():
    network = Network([20, 30, 3], random_state=0)
    X = np.random.RandomState(0).standard_normal((700, 20))
    expected = network.predict(X)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: network.predict(X), range(40)):
            assert np.array_equal(found, expected)
