"""``bench fit``: whole fits, as a user calls them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

from bench.environment import describe_machine, describe_pools
from bench.peers import PEERS, load_peer
from bench.report import print_table, write_json
from bench.timing import summarize
from bench.worker import WorkerError, run_worker, thread_counts

DTYPES = ("float64", "float32")
PAIR = ("fastmlp", "sklearn")
# How long the losses of digits must agree, and how well. In float32 the course of 200
# epochs is chance: scikit-learn's own loss ends 3 % off if X changes by one rounding.
AGREEING_EPOCHS = {"float64": 200, "float32": 20}
LOSS_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}
# The same for where L-BFGS ends, whose line searches ask for J's last bits.
FINAL_TOLERANCE = {"float64": 1e-6, "float32": 1e-2}
TABLE_SHAPE = (10_000, 32)
# Before each fit, as before a user's: processors have slept, threads must be placed.
PAUSE_SECONDS = 0.1


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits, pixels between 0 and 1."""
    import sklearn.datasets

    X, y = sklearn.datasets.load_digits(return_X_y=True)
    return X / 16, y


def load_table() -> tuple[np.ndarray, np.ndarray]:
    """Return a table, and whether two of its columns have the same sign."""
    X = np.random.default_rng(0).standard_normal(TABLE_SHAPE)
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def find_difference_of_epochs(ours, theirs, X: np.ndarray) -> str | None:
    """Return in what two models differ that were fitted by epochs, or None."""
    if not np.array_equal(ours.predict(X), theirs.predict(X)):
        return "the predictions differ"
    epochs = slice(AGREEING_EPOCHS[X.dtype.name])
    rtol = LOSS_TOLERANCE[X.dtype.name]
    if not np.allclose(ours.loss_curve_[epochs], theirs.loss_curve_[epochs], rtol, 0):
        return f"the losses differ by more than {rtol} of their size"
    return None


def find_difference_at_the_end(ours, theirs, X: np.ndarray) -> str | None:
    """Return in what two models differ that were fitted by iterations, or None."""
    rtol = FINAL_TOLERANCE[X.dtype.name]
    if not np.isclose(ours.loss_, theirs.loss_, rtol, 0):
        return f"the loss differs by more than {rtol} of its size"
    return None


def find_difference(case: Case, ours, theirs, X: np.ndarray) -> str | None:
    """Return in what two fitted models differ, or None."""
    if ours.n_iter_ != theirs.n_iter_:
        return f"{ours.n_iter_} iterations, scikit-learn {theirs.n_iter_}"
    return case.find_difference(ours, theirs, X)


class Case(NamedTuple):
    """What is fitted, how, and what is asked of the result."""

    title: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    settings: dict[str, Any]
    find_difference: Callable[[Any, Any, np.ndarray], str | None]


def digits_case(epochs: int, title: str, **settings: Any) -> Case:
    """Return a fit of scikit-learn's digits by Adam."""
    settings |= {"hidden_layer_sizes": (100,), "solver": "adam", "max_iter": epochs}
    return Case(f"digits, {title}", load_digits, settings, find_difference_of_epochs)


CASES = {
    "digits": digits_case(200, "200 epochs"),
    "digits, briefly": digits_case(10, "10 epochs"),
    "digits, validated": digits_case(20, "20 with early stopping", early_stopping=True),
    "table": Case(
        "10 000 × 32 numbers, 20 iterations of L-BFGS",
        load_table,
        {"hidden_layer_sizes": (256, 256), "solver": "lbfgs", "max_iter": 20},
        find_difference_at_the_end,
    ),
}


def make_models(case: Case) -> dict:
    """Return fastmlp's classifier and scikit-learn's, alike."""
    import sklearn.neural_network

    import fastmlp

    settings = {**case.settings, "random_state": 0}
    return {
        "fastmlp": fastmlp.MLPClassifier(**settings),
        "sklearn": sklearn.neural_network.MLPClassifier(**settings),
    }


def time_fit(model, X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds a fit takes, after a pause."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(hasn't converged|failed to converge)")
        sleep(PAUSE_SECONDS)
        begin = perf_counter()
        model.fit(X, y)
        return perf_counter() - begin


def work(job: dict) -> dict:
    """Time fits of one after the other, and check that they agree (in a worker).

    Not in turn: the threads of NumPy's BLAS spin on for a while after scikit-learn's
    fit, and whoever comes next would share the CPUs with them.
    """
    case = CASES[job["case"]]
    X, y = case.load()
    X = np.ascontiguousarray(X, dtype=job["dtype"])
    models = make_models(case)
    seconds: dict[str, list[float]] = {}
    for name, model in models.items():
        time_fit(model, X, y)
        seconds[name] = [time_fit(model, X, y) for _ in range(job["repeats"])]
    if difference := find_difference(case, *models.values(), X):
        return {"refused": difference}
    return {
        "ms": {name: summarize(times, 1e-3) for name, times in seconds.items()},
        "n_iter": models["sklearn"].n_iter_,
        "versions": load_peer("fastmlp").versions() | load_peer("sklearn").versions(),
        "pools": describe_pools(),
    }


def measure_pair(case: str, dtype: str, n_threads: int, repeats: int) -> dict:
    """Let a worker measure, and say what came of it."""
    try:
        outcome = run_worker("fit", n_threads, case=case, dtype=dtype, repeats=repeats)
    except WorkerError as error:
        outcome = {"refused": str(error)}
    if "ms" in outcome:
        said = ", ".join(
            f"{n} {ms['median']:.0f} ms" for n, ms in outcome["ms"].items()
        )
    else:
        said = f"refused: {outcome['refused']}"
    print(f"{case} {dtype} threads={n_threads} {said}", file=sys.stderr)
    return outcome | {"n_threads": n_threads}


def make_rows(case: str, dtype: str, measured: list[dict]) -> list[dict]:
    """Return the rows of a case and dtype, each peer at its best thread count."""
    rows = []
    for peer in PAIR:
        best = min(measured, key=lambda outcome: outcome["ms"][peer]["median"])
        rows.append(
            {
                "case": case,
                "dtype": dtype,
                "peer": peer,
                "n_threads": best["n_threads"],
                "ms": best["ms"][peer],
                "n_iter": best["n_iter"],
                "pools": best["pools"],
            }
        )
    own = rows[0]["ms"]["median"]
    return [row | {"ratio": round(row["ms"]["median"] / own, 3)} for row in rows]


def run(threads: list[int] | None, repeats: int, path: Path | None) -> int:
    """Measure fits in both dtypes; return the exit status, 1 if one was refused."""
    rows: list[dict] = []
    versions: dict[str, str] = {}
    refused = False
    for case, dtype in product(CASES, DTYPES):
        outcomes = [
            measure_pair(case, dtype, n, repeats) for n in thread_counts(threads)
        ]
        refused |= any("refused" in outcome for outcome in outcomes)
        if measured := [outcome for outcome in outcomes if "ms" in outcome]:
            rows += make_rows(case, dtype, measured)
            versions |= measured[0]["versions"]
    print_table(
        ["fit", "dtype", "peer", "threads", "ms", "min", "max", "×fastmlp"],
        (
            [
                *(row["case"], row["dtype"], PEERS[row["peer"]], row["n_threads"]),
                *row["ms"].values(),
                row["ratio"],
            ]
            for row in rows
        ),
    )
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return int(refused)
