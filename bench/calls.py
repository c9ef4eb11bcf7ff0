"""``bench calls``: what a call costs around the engine."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.bars import at_least, at_most, inform, print_bars
from bench.environment import describe_machine, describe_pools
from bench.machine import measure_gemm
from bench.memory import ALLOWANCE_MIB, MIB, added_mib
from bench.peers import load_peer
from bench.report import write_json
from bench.shapes import TIMED_LEARNING_RATE
from bench.timing import measure, summarize
from bench.worker import WorkerError, run_worker

N_ROWS, N_COLUMNS, N_HIDDEN = 100, 20, 100
OVERHEAD_US = 500
ROW_UNITS = (64, 100, 10)
N_FITTED_ROWS = 1000
ROW_SHARE = 1 / 5
ROW_US = 5
BULK_UNITS = ((64, 100, 10), (784, 512, 512, 10))
N_BULK_ROWS = 20_000
N_MULTIPLIED_ROWS = 1024
N_CHECKED_ROWS = 100
GEMM_SHARE = 0.85
# How both libraries have X validated.
X_SETTINGS = {
    "accept_sparse": ["csr", "csc"],
    "dtype": (np.float64, np.float32),
    "order": "C",
}
TOLERANCE = {"float32": 1e-3, "float64": 1e-8}


def median_us(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, in microseconds."""

    def run(n):
        for _ in range(n):
            call()

    return summarize(measure(run, repeats), 1e-6)["median"]


def check_close(name: str, ours, theirs, rtol: float) -> None:
    """Raise if results are not the same but for rounding."""
    if not np.allclose(ours, theirs, rtol, rtol * np.abs(theirs).max()):
        raise ValueError(f"{name}: fastmlp's results are not scikit-learn's")


def make_pair(estimator: str, **settings) -> tuple:
    """Return fastmlp's estimator and scikit-learn's, alike."""
    import sklearn.neural_network

    import fastmlp

    modules = fastmlp, sklearn.neural_network
    return tuple(getattr(m, estimator)(random_state=0, **settings) for m in modules)


def measure_both(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    share: float,
    repeats: int,
) -> list[dict]:
    """Time a call and scikit-learn's, of whose time it may take that share."""
    us, theirs_us = (median_us(call, repeats) for call in (ours, theirs))
    return [
        inform(f"{name}, scikit-learn", "µs", theirs_us),
        at_most(name, "µs", us, share * theirs_us),
    ]


# -- a small fit


def load_small(estimator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return 100 rows with two classes, or with a number each."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, N_COLUMNS))
    y = X @ rng.standard_normal(N_COLUMNS)
    return X, (y > 0).astype(int) if estimator == "MLPClassifier" else y


def prepare_epoch(estimator: str, X: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """Return the engine's part of a fit: an epoch of a network that is there."""
    from fastmlp.network import Network
    from fastmlp.optimizers import Optimizer
    from fastmlp.rows import ArrayRows
    from fastmlp.trainer import Trainer

    classifies = estimator == "MLPClassifier"
    network = Network(
        (N_COLUMNS, N_HIDDEN, 1),
        loss="log_loss" if classifies else "squared_error",
        output_activation="logistic" if classifies else "identity",
        alpha=1e-4,
        random_state=0,
    )
    optimizer = Optimizer(
        "adam",
        network.params.size,
        network.dtype,
        learning_rate=TIMED_LEARNING_RATE,
    )
    Y = y.reshape(-1, 1).astype(network.dtype)
    trainer = Trainer(network, optimizer, ArrayRows((X, Y, None)), batch_size=N_ROWS)
    order = np.arange(N_ROWS)
    return lambda: trainer.run_epoch(order)


def prepare_fit_of_nothing(model) -> Callable[[], object]:
    """Return what scikit-learn itself does around every fit."""
    from sklearn.base import _fit_context

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_nothing(model):
        return model

    return lambda: fit_nothing(model)


def measure_fit(estimator: str, repeats: int) -> list[dict]:
    """Time a fit of one epoch, and what it is made of."""
    X, y = load_small(estimator)
    ours, theirs = make_pair(estimator, max_iter=1)
    warnings.filterwarnings("ignore", ".*optimization hasn't converged")
    check_close(
        estimator,
        ours.fit(X, y).coefs_[0],
        theirs.fit(X, y).coefs_[0],
        TOLERANCE["float64"],
    )
    for model in ours, theirs:
        model.set_params(random_state=None)
    fit = median_us(lambda: ours.fit(X, y), repeats)
    engine = median_us(prepare_epoch(estimator, X, y), repeats)
    sklearn_fit = median_us(lambda: theirs.fit(X, y), repeats)
    theirs_in_it = median_us(prepare_fit_of_nothing(ours), repeats)
    overhead = fit - engine
    name = f"fit {N_ROWS} × {N_COLUMNS}, {estimator}"
    return [
        inform(f"{name}, scikit-learn", "µs", sklearn_fit),
        inform(name, "µs", fit),
        inform("  the engine", "µs", engine),
        at_most("  around the engine", "µs", overhead, OVERHEAD_US),
        inform(
            "    scikit-learn's _fit_context, with _validate_params", "µs", theirs_in_it
        ),
        inform("    what is left", "µs", overhead - theirs_in_it),
    ]


# -- going on


def measure_partial_fit(estimator: str, repeats: int) -> list[dict]:
    """Time partial_fit of one row and of a hundred."""
    X, y = load_small(estimator)
    ours, theirs = make_pair(estimator)
    classes = {"classes": np.unique(y)} if estimator == "MLPClassifier" else {}
    check_close(
        estimator,
        ours.partial_fit(X, y, **classes).coefs_[0],
        theirs.partial_fit(X, y, **classes).coefs_[0],
        TOLERANCE["float64"],
    )
    rows = []
    for n in (1, N_ROWS):
        calls = (partial(m.partial_fit, X[:n], y[:n]) for m in (ours, theirs))
        name = f"partial_fit {n} × {N_COLUMNS}, {estimator}"
        rows += measure_both(name, *calls, 1, repeats)
    return rows


# -- one row


def measure_row(dtype: str, repeats: int) -> list[dict]:
    """Time predictions of one row, and what scikit-learn itself does in them."""
    from sklearn.utils.validation import check_is_fitted, validate_data

    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_FITTED_ROWS, ROW_UNITS[0])).astype(dtype)
    y = (X @ rng.standard_normal((ROW_UNITS[0], ROW_UNITS[-1]))).argmax(axis=1)
    ours, theirs = make_pair("MLPClassifier", max_iter=5)
    warnings.filterwarnings("ignore", ".*optimization hasn't converged")
    ours.fit(X, y)
    theirs.fit(X, y)
    proba = theirs.predict_proba(X)
    check_close(dtype, ours.predict_proba(X), proba, TOLERANCE[dtype])
    row = X[:1].copy()
    checks = {
        "check_is_fitted": partial(check_is_fitted, ours),
        "validate_data": partial(validate_data, ours, row, reset=False, **X_SETTINGS),
    }
    rows = [
        inform(f"scikit-learn's {n} of one row, {dtype}", "µs", median_us(f, repeats))
        for n, f in checks.items()
    ]
    for method in "predict", "predict_proba":
        calls = (partial(getattr(m, method), row) for m in (ours, theirs))
        rows += measure_both(
            f"{method} of one row, {dtype}", *calls, ROW_SHARE, repeats
        )
    network = make_network(ROW_UNITS, dtype)
    own = median_us(lambda: network.predict(row), repeats)
    return [*rows, at_most(f"Network.predict of one row, {dtype}", "µs", own, ROW_US)]


# -- many rows


def make_network(units: tuple[int, ...], dtype: str):
    """Return a classifier's network."""
    from fastmlp.network import Network

    return Network(units, loss="log_loss", dtype=dtype, random_state=0)


def predict_in_float64(network, X: np.ndarray) -> np.ndarray:
    """Return the network's outputs as plain NumPy has them."""
    a = X.astype(np.float64)
    for weights, biases in zip(network.weights, network.biases, strict=True):
        z = a @ weights.astype(np.float64) + biases
        a = np.maximum(z, 0)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def prepare_bulk(units: tuple[int, ...]) -> tuple:
    """Return a network whose outputs have been checked, and many rows."""
    rng = np.random.default_rng(0)
    network = make_network(units, "float32")
    X = rng.standard_normal((N_BULK_ROWS, units[0]), dtype=np.float32)
    some = X[:N_CHECKED_ROWS]
    expected = predict_in_float64(network, some)
    check_close("bulk", network.predict(some), expected, TOLERANCE["float32"])
    return network, X


def multiply_through(network, X: np.ndarray) -> None:
    """Form NumPy's products of a network's layers, and nothing else."""
    for begin in range(0, len(X), N_MULTIPLIED_ROWS):
        a = X[begin : begin + N_MULTIPLIED_ROWS]
        for weights in network.weights:
            a = a @ weights


def measure_bulk(units: list[int], repeats: int) -> list[dict]:
    """Time predictions of many rows against the rate of products, large and alike."""
    network, X = prepare_bulk(tuple(units))
    gemm = measure_gemm("float32")
    n_weights = sum(n_in * n_out for n_in, n_out in pairwise(units))
    rate, alike = (
        2e-3 * N_BULK_ROWS * n_weights / median_us(call, repeats)
        for call in (
            lambda: network.predict(X),
            lambda: multiply_through(network, X),
        )
    )
    name = f"Network.predict, {N_BULK_ROWS} × {'-'.join(map(str, units))}"
    return [
        inform(f"{name}: rate", "GFLOP/s", rate),
        inform("  NumPy's product of 1024", "GFLOP/s", gemm),
        at_least("  of that", "×", rate / gemm, GEMM_SHARE),
        inform("  NumPy's products of the same layers", "GFLOP/s", alike),
        inform("  of that", "×", rate / alike),
    ]


def measure_bulk_memory(units: list[int], repeats: int) -> list[dict]:
    """Measure what predictions of many rows take beside their result."""
    from fastmlp.threads import predicted_rows
    from fastmlp.workspace import build_arena

    network, X = prepare_bulk(tuple(units))
    added = added_mib(lambda: network.predict(X))
    out_mib = N_BULK_ROWS * units[-1] * X.itemsize / MIB
    capacity = predicted_rows(N_BULK_ROWS, network.params.size)
    arena = build_arena(network.arena_entries, capacity, network.dtype)
    name = f"Network.predict, {N_BULK_ROWS} × {'-'.join(map(str, units))}: memory"
    bar = arena.nbytes / MIB + ALLOWANCE_MIB
    return [at_most(name, "MiB", added - out_mib, bar)]


PARTS = {
    "fit": (measure_fit, ("MLPClassifier", "MLPRegressor")),
    "partial_fit": (measure_partial_fit, ("MLPClassifier", "MLPRegressor")),
    "row": (measure_row, ("float64", "float32")),
    "bulk": (measure_bulk, BULK_UNITS),
    "bulk memory": (measure_bulk_memory, BULK_UNITS),
}


def work(job: dict) -> dict:
    """Measure a part (in a worker)."""
    measure_part, _ = PARTS[job["part"]]
    return {
        "rows": measure_part(job["of"], job["repeats"]),
        "versions": load_peer("fastmlp").versions() | load_peer("sklearn").versions(),
        "pools": describe_pools(),
    }


def run(repeats: int, path: Path | None) -> int:
    """Measure all calls, on one thread; return the exit status, 1 if one is wrong."""
    rows: list[dict] = []
    versions: dict[str, str] = {}
    refused = False
    for part, (_, cases) in PARTS.items():
        for case in cases:
            print(f"{part} {case}", file=sys.stderr)
            try:
                found = run_worker("calls", 1, part=part, of=case, repeats=repeats)
            except WorkerError as error:
                print(f"refused: {error}", file=sys.stderr)
                refused = True
                continue
            rows += found["rows"]
            versions |= found["versions"]
    print_bars(rows)
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return int(refused)
