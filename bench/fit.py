"""``bench fit``: a whole fit of the digits, as a user calls it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.environment import describe_machine, describe_pools
from bench.peers import PEERS, load_peer
from bench.report import print_table, write_json
from bench.timing import summarize
from bench.worker import WorkerError, run_worker, thread_counts

DTYPES = ("float64", "float32")
# How long the losses must agree, and how well. In float32 the course of 200 epochs
# is chance: scikit-learn's own loss ends 3 % off if X changes by one rounding.
AGREEING_EPOCHS = {"float64": 200, "float32": 20}
LOSS_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}
PAIR = ("fastmlp", "sklearn")


def load_data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the digits, pixels between 0 and 1."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return np.ascontiguousarray(X / 16, dtype=dtype), y


def make_models() -> dict:
    """Return fastmlp's classifier and scikit-learn's, alike."""
    import sklearn.neural_network

    import fastmlp

    settings = {
        "hidden_layer_sizes": (100,),
        "solver": "adam",
        "max_iter": 200,
        "random_state": 0,
    }
    return {
        "fastmlp": fastmlp.MLPClassifier(**settings),
        "sklearn": sklearn.neural_network.MLPClassifier(**settings),
    }


def time_fit(model, X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds a fit takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*optimization hasn't converged")
        begin = perf_counter()
        model.fit(X, y)
        return perf_counter() - begin


def find_difference(models: dict, X: np.ndarray) -> str | None:
    """Return in what the fitted models differ, or None."""
    ours, theirs = models["fastmlp"], models["sklearn"]
    if not np.array_equal(ours.predict(X), theirs.predict(X)):
        return "the predictions differ"
    if ours.n_iter_ != theirs.n_iter_:
        return f"{ours.n_iter_} epochs, scikit-learn {theirs.n_iter_}"
    epochs = slice(AGREEING_EPOCHS[X.dtype.name])
    rtol = LOSS_TOLERANCE[X.dtype.name]
    if not np.allclose(ours.loss_curve_[epochs], theirs.loss_curve_[epochs], rtol, 0):
        return f"the losses differ by more than {rtol} of their size"
    return None


def work(job: dict) -> dict:
    """Time fits of one after the other, and check that they agree (in a worker).

    Not in turn: the threads of NumPy's BLAS spin on for a while after scikit-learn's
    fit, and whoever comes next would share the CPUs with them.
    """
    X, y = load_data(job["dtype"])
    models = make_models()
    seconds: dict[str, list[float]] = {}
    for name, model in models.items():
        time_fit(model, X, y)
        seconds[name] = [time_fit(model, X, y) for _ in range(job["repeats"])]
    if difference := find_difference(models, X):
        return {"refused": difference}
    return {
        "ms": {name: summarize(times, 1e-3) for name, times in seconds.items()},
        "epochs": models["sklearn"].n_iter_,
        "versions": load_peer("fastmlp").versions() | load_peer("sklearn").versions(),
        "pools": describe_pools(),
    }


def measure_pair(dtype: str, n_threads: int, repeats: int) -> dict:
    """Let a worker measure, and say what came of it."""
    try:
        outcome = run_worker("fit", n_threads, dtype=dtype, repeats=repeats)
    except WorkerError as error:
        outcome = {"refused": str(error)}
    if "ms" in outcome:
        said = ", ".join(
            f"{n} {ms['median']:.0f} ms" for n, ms in outcome["ms"].items()
        )
    else:
        said = f"refused: {outcome['refused']}"
    print(f"digits {dtype} threads={n_threads} {said}", file=sys.stderr)
    return outcome | {"n_threads": n_threads}


def make_rows(dtype: str, measured: list[dict]) -> list[dict]:
    """Return the rows of a dtype, each peer at its best thread count."""
    rows = []
    for peer in PAIR:
        best = min(measured, key=lambda outcome: outcome["ms"][peer]["median"])
        rows.append(
            {
                "dtype": dtype,
                "peer": peer,
                "n_threads": best["n_threads"],
                "ms": best["ms"][peer],
                "epochs": best["epochs"],
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
    for dtype in DTYPES:
        outcomes = [measure_pair(dtype, n, repeats) for n in thread_counts(threads)]
        refused |= any("refused" in outcome for outcome in outcomes)
        if measured := [outcome for outcome in outcomes if "ms" in outcome]:
            rows += make_rows(dtype, measured)
            versions |= measured[0]["versions"]
    print_table(
        ["dtype", "peer", "threads", "ms", "min", "max", "×fastmlp"],
        (
            [
                *(row["dtype"], PEERS[row["peer"]], row["n_threads"]),
                *row["ms"].values(),
                row["ratio"],
            ]
            for row in rows
        ),
    )
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return int(refused)
