"""Ctrl-C inside a call of the kernels: soon, with nothing half done."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fits import fit, iris, unconverged

from fastmlp import MLPClassifier, MLPRegressor, Network, _kernels
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.threads import thread_team
from fastmlp.trainer import Trainer

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="has no such timers"),
    pytest.mark.usefixtures("one_blas_thread"),
]

# One step of it takes some tenths of a second, one product some hundredths.
SIZES, N_ROWS = [768, 1024, 1024, 1024, 8], 2048


class Timer:
    """Has a handler called in the main thread once so many seconds have passed."""

    def __init__(self, seconds, handler):
        self.seconds, self.handler, self.called = seconds, handler, None

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        return self

    def __exit__(self, *ending):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _handle(self, number, frame):
        self.called = time.perf_counter()
        self.handler()


def interrupt():
    raise KeyboardInterrupt


@contextlib.contextmanager
def interrupted_after(seconds):
    with Timer(seconds, interrupt), pytest.raises(KeyboardInterrupt):
        yield


def large():
    """A network, its optimizer and rows."""
    random = np.random.RandomState(0)
    X = random.standard_normal((N_ROWS, SIZES[0])).astype(np.float32)
    y = random.standard_normal((N_ROWS, SIZES[-1])).astype(np.float32)
    network = Network(SIZES, dtype=np.float32, loss="squared_error", random_state=0)
    optimizer = Optimizer("adam", network.params.size, network.dtype)
    return network, optimizer, ArrayRows(network.as_data(X, y, None))


def train(network, optimizer, rows, n_steps, n_threads=1):
    """So many steps of all rows, in one call of the kernels."""
    order = np.tile(np.arange(N_ROWS), n_steps)
    with thread_team(n_threads) as team:
        trainer = Trainer(network, optimizer, rows, batch_size=N_ROWS, team=team)
        trainer._slice_batches = n_steps
        trainer.run_epoch(order)


@pytest.mark.slow
@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupted_call_has_taken_whole_steps(n_threads, clip_norm):
    if n_threads > 1 and not _kernels.THREADS:
        pytest.skip("this engine runs on one thread")
    network, optimizer, rows = large()
    optimizer.rule["clip_norm"] = np.inf if clip_norm is None else clip_norm
    begin = time.perf_counter()
    train(network, optimizer, rows, 2, n_threads)
    seconds = (time.perf_counter() - begin) / 2
    for part in (0.4, 1.7):
        network, optimizer, rows = large()
        optimizer.rule["clip_norm"] = np.inf if clip_norm is None else clip_norm
        with interrupted_after(max(0.01, part * seconds)):
            train(network, optimizer, rows, 100, n_threads)
        whole, same, rows = large()
        same.rule["clip_norm"] = optimizer.rule["clip_norm"]
        n_steps = optimizer.n_steps
        assert n_steps < 50
        if n_steps:
            train(whole, same, rows, n_steps)
        assert same.n_steps == n_steps
        assert network.params.tobytes() == whole.params.tobytes()
        assert optimizer.slots.tobytes() == same.slots.tobytes()


def test_running_moments_are_those_of_whole_steps():
    random = np.random.RandomState(0)
    X = random.standard_normal((2048, 512)).astype(np.float32)
    network = Network(
        [512, 1024, 1024, 1], dtype=np.float32, loss="squared_error", batch_norm=True
    )
    before = network.stats.copy()
    optimizer = Optimizer("adam", network.params.size, network.dtype)
    rows = ArrayRows(network.as_data(X, X[:, :1], None))
    trainer = Trainer(network, optimizer, rows, batch_size=2048, team=None)
    with interrupted_after(0.02):
        trainer.run_epoch(np.tile(np.arange(2048), 50))
    if optimizer.n_steps == 0:
        assert network.stats.tobytes() == before.tobytes()
    assert np.isfinite(network.stats).all()


def calls(network, rows):
    """By name: what may last long."""
    X, y, _ = rows.data
    many = np.tile(X, (6, 1))
    return {
        "predict": lambda: network.predict(many),
        "loss": lambda: network.loss(X, y),
        "gradient": lambda: network.loss_and_grad(X, y),
        "hessian": lambda: network.hessian_vector_product(X, y, network.params),
        "input gradient": lambda: network.input_gradients(X, y),
    }


NAMES = ["predict", "loss", "gradient", "hessian", "input gradient"]


def without_end(call):
    while True:
        call()


def numbers_of(result):
    parts = result if isinstance(result, tuple) else (result,)
    return [np.asarray(part).tobytes() for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_long_call_ends_soon(name):
    network, _, rows = large()
    call = calls(network, rows)[name]
    begin = time.perf_counter()
    expected = numbers_of(call())
    seconds = time.perf_counter() - begin
    with Timer(min(0.02, seconds / 3), interrupt) as timer:
        with pytest.raises(KeyboardInterrupt):
            without_end(call)
        late = time.perf_counter() - timer.called
    # A product of a block takes less than a third of any of them.
    assert late < 0.1 + seconds / 2
    assert numbers_of(call()) == expected


@pytest.mark.slow
def test_a_handler_that_returns_changes_nothing():
    network, optimizer, rows = large()
    train(network, optimizer, rows, 3)
    same, its_optimizer, rows = large()
    called = []
    with Timer(0.05, lambda: called.append(1)):
        train(same, its_optimizer, rows, 3)
    assert called
    assert network.params.tobytes() == same.params.tobytes()


def test_another_error_of_a_handler_is_raised():
    network, optimizer, rows = large()

    def fail():
        raise TimeoutError("the user's")

    with Timer(0.05, fail), pytest.raises(TimeoutError, match="the user's"):
        train(network, optimizer, rows, 100)


def test_calls_of_other_threads_go_on():
    """Python runs handlers in the main thread only, and ours listens there only."""
    network, optimizer, rows = large()
    done = threading.Event()

    def work():
        train(network, optimizer, rows, 3)
        done.set()

    threading.Thread(target=work).start()
    with interrupted_after(0.05):
        done.wait()
    done.wait()
    assert optimizer.n_steps == 3


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "newton-cg", "gd", "steepest"])
def test_before_the_first_epoch_the_old_model_stays(solver):
    random = np.random.RandomState(0)
    X = random.standard_normal((4096, 512)).astype(np.float32)
    y = X[:, 0]
    small = {"max_iter": 2, "random_state": 0, "batch_size": 64}
    small["hidden_layer_sizes"] = (1024, 1024)
    model = fit(MLPRegressor(solver=solver, **small), X[:64], y[:64])
    before = model.predict(X[:64])
    model.set_params(batch_size=4096)
    state = model.__dict__.copy()
    with interrupted_after(0.03):
        fit(model, X, y)
    assert model.__dict__ == state
    assert model.predict(X[:64]).tobytes() == before.tobytes()


def test_after_an_epoch_what_was_learnt_is_kept():
    X, y = iris()
    model = MLPClassifier(max_iter=10**6, tol=0, n_iter_no_change=10**6)
    warned = pytest.warns(UserWarning, match="interrupted")
    with Timer(0.3, interrupt), unconverged(), warned:
        model.fit(X, y)
    assert model.stop_reason_ == "interrupted"
    lengths = {len(column) for column in model.history_.values()}
    assert lengths == {model.n_iter_} == {len(model.loss_curve_)}
    assert model.t_ == model.n_iter_ * len(X)
    assert model.score(X, y) > 0.9


@pytest.mark.slow
def test_ctrl_c_of_a_process(tmp_path):
    """The signal itself, not a timer's handler."""
    script = tmp_path / "fit.py"
    script.write_text(
        "import numpy as np\n"
        "from fastmlp import MLPRegressor\n"
        "X = np.random.RandomState(0).standard_normal((4096, 1024))\n"
        "print('begin', flush=True)\n"
        "sizes = {'hidden_layer_sizes': (2048, 2048), 'batch_size': 4096}\n"
        "MLPRegressor(**sizes).fit(X, X[:, 0])\n"
    )
    root = str(Path(__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "begin\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=20)
    assert child.returncode != 0
    assert "KeyboardInterrupt" in error
