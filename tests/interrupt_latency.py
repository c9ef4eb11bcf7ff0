"""How soon Ctrl-C ends a call, of every kind.

``python tests/interrupt_latency.py [--times N] [--only NAME]`` has a signal come at N
random moments of each call, and prints the milliseconds from the signal to the call's
end: their median, 99th percentile and maximum. It is processor time, to which a busy
machine adds little, and of one thread where a row does not say two. It ends with an
error where the 99th percentile is above 100 ms, or above the time of one product where
that is longer.
"""

import argparse
import random
import signal
import sys
import time
import warnings

import numpy as np
from test_interrupts import N_ROWS, SIZES, calls, large, train
from threadpoolctl import threadpool_limits

from fastmlp import MLPClassifier, MLPRegressor, Network, _kernels
from fastmlp.recipe import FULL_BATCH_SOLVERS

ALLOWED = 0.1
ENDLESS = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": np.inf}
HIDDEN = tuple(SIZES[1:-1])


def fits():
    """By name: fits that would not end by themselves."""
    _, _, rows = large()
    X, Y, _ = rows.data
    found = {}
    for solver in ("adam", "sgd", *(s for s in FULL_BATCH_SOLVERS if s != "lm")):
        model = MLPRegressor(hidden_layer_sizes=HIDDEN, solver=solver, **ENDLESS)
        found[f"fit by {solver}"] = (lambda m: lambda: m.fit(X, Y))(model)
    few = MLPRegressor(hidden_layer_sizes=(16,), solver="lm", **ENDLESS)
    found["fit by lm"] = lambda: few.fit(X[:, :20], Y[:, :2])
    whole = MLPRegressor(hidden_layer_sizes=HIDDEN, batch_size=N_ROWS, **ENDLESS)
    found["fit, one batch"] = lambda: whole.fit(X, Y)
    judged = MLPClassifier(hidden_layer_sizes=HIDDEN, early_stopping=True, **ENDLESS)
    found["fit with validation"] = lambda: judged.fit(X, Y[:, 0] > 0)
    small = MLPClassifier(**ENDLESS)
    found["fit of a small network"] = lambda: small.fit(X[:, :64], Y[:, 0] > 0)
    return found


def uses():
    """By name: calls of the kernels, and predictions of an estimator."""
    network, optimizer, rows = large()
    found = {
        "train, one thread": lambda: train(network, optimizer, rows, 50),
        **calls(network, rows),
    }
    if _kernels.THREADS:
        found["train, two threads"] = lambda: train(network, optimizer, rows, 50, 2)
    few = Network([64, 32, 8], dtype=np.float32)
    found["jacobian"] = lambda: few.jacobian(rows.data[0][:, :64])
    X, Y, _ = rows.data
    model = MLPRegressor(hidden_layer_sizes=HIDDEN, max_iter=1).fit(X, Y)
    found["predict of an estimator"] = lambda: model.predict(np.tile(X, (6, 1)))
    found["score"] = lambda: model.score(X, Y)
    return found


def measure(call, delay):
    """Seconds from the signal to the end of the call, which is made again and again."""
    fired = []

    def handle(number, frame):
        fired.append(True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, handle)
    due = time.process_time() + delay
    signal.setitimer(signal.ITIMER_PROF, delay)
    try:
        while not fired:
            call()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGPROF, before)
    return time.process_time() - due


def time_product():
    """Seconds of one product of all rows with a hidden layer's weights: the median."""
    a, b = (np.ones((n, HIDDEN[0]), np.float32) for n in (N_ROWS, HIDDEN[0]))
    c, ends = np.empty_like(a), [time.process_time()]
    for _ in range(9):
        _kernels.multiply(c, a, b, False)
        ends.append(time.process_time())
    return float(np.median(np.diff(ends)))


def main():
    """Measure; 1 if one kind of call hears too late."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--only", help="calls whose names hold that")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    product, draw, is_late = time_product(), random.Random(0), False
    print(f"engine {_kernels.isa}; one product: {1e3 * product:.0f} ms")
    print(f"{'ms to the end of':28} {'p50':>6} {'p99':>6} {'max':>6}")
    for name, call in {**uses(), **fits()}.items():
        if given.only and given.only not in name:
            continue
        with threadpool_limits(1):
            delays = [draw.uniform(0.02, 0.4) for _ in range(given.times)]
            seconds = [measure(call, delay) for delay in delays]
        late = 1e3 * np.percentile(seconds, [50, 99, 100])
        is_late |= late[1] > 1e3 * max(ALLOWED, product)
        print(f"{name:28} {late[0]:6.0f} {late[1]:6.0f} {late[2]:6.0f}", flush=True)
    return int(is_late)


if __name__ == "__main__":
    sys.exit(main())
