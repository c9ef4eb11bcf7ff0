"""``bench sparse``: a fit of rows like those of a text, mostly zeros."""

from __future__ import annotations

import resource
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

N_ROWS, N_COLUMNS, DENSITY, N_CLASSES = 20_000, 20_000, 0.003, 4
SETTINGS = {
    "hidden_layer_sizes": (100,),
    "solver": "adam",
    "max_iter": 2,
    "tol": 0.0,
    "random_state": 0,
}
LOSS_TOLERANCE = 1e-8
PAIR = ("fastmlp", "sklearn")
MIB = 2**20
DENSE_MIB = N_ROWS * N_COLUMNS * 8 / MIB


def load_data():
    """Return compressed sparse rows in float64, and the classes of a linear rule."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    shape = (N_ROWS, N_COLUMNS)
    X = scipy.sparse.random_array(shape, density=DENSITY, format="csr", rng=rng)
    return X, (X @ rng.standard_normal((N_COLUMNS, N_CLASSES))).argmax(axis=1)


def make_model(peer: str):
    """Return a peer's classifier."""
    if peer == "fastmlp":
        from fastmlp import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    return MLPClassifier(**SETTINGS)


def time_fit(model, X, y) -> float:
    """Return the seconds a fit takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*optimization hasn't converged")
        begin = perf_counter()
        model.fit(X, y)
        return perf_counter() - begin


def resident_mib() -> float:
    """Return the memory this process now has, where the system tells it, or 0."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return pages * resource.getpagesize() / MIB


def peak_mib() -> float:
    """Return the most memory this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def work(job: dict) -> dict:
    """Time fits of one library (in a worker).

    The first fit, which is not timed, tells the memory. That is a bound: the peak
    may be from making the data.
    """
    X, y = load_data()
    model = make_model(job["peer"])
    resident = resident_mib()
    time_fit(model, X, y)
    peak = peak_mib()
    return {
        "losses": [float(loss) for loss in model.loss_curve_],
        "seconds": summarize([time_fit(model, X, y) for _ in range(job["repeats"])], 1),
        "peak_mib": round(peak - resident, 1),
        "versions": load_peer(job["peer"]).versions(),
        "pools": describe_pools(),
    }


def measure(peer: str, n_threads: int, repeats: int) -> dict:
    """Let a worker measure, and say what came of it."""
    found = run_worker("sparse", n_threads, peer=peer, repeats=repeats)
    seconds = found["seconds"]["median"]
    print(f"sparse {peer} threads={n_threads} {seconds:.2f} s", file=sys.stderr)
    return found | {"peer": peer, "n_threads": n_threads}


def check_losses(outcomes: list[dict]) -> None:
    """Raise if not all of them took the same course."""
    expected = outcomes[-1]["losses"]
    for found in outcomes:
        losses = found["losses"]
        if len(losses) != len(expected) or not np.allclose(
            losses, expected, LOSS_TOLERANCE, 0
        ):
            raise WorkerError(
                f"{found['peer']} with {found['n_threads']} threads has the losses "
                f"{losses}, scikit-learn {expected}"
            )


def make_rows(outcomes: list[dict]) -> list[dict]:
    """Return a row for each peer, at its best thread count."""
    rows = []
    for peer in PAIR:
        own = [outcome for outcome in outcomes if outcome["peer"] == peer]
        best = min(own, key=lambda outcome: outcome["seconds"]["median"])
        keys = ("peer", "n_threads", "seconds", "peak_mib", "losses", "pools")
        rows.append({key: best[key] for key in keys})
    own = rows[0]["seconds"]["median"]
    return [row | {"ratio": round(row["seconds"]["median"] / own, 3)} for row in rows]


def run(threads: list[int] | None, repeats: int, path: Path | None) -> int:
    """Measure both libraries; return the exit status, 1 if they disagree."""
    counts = thread_counts(threads)
    try:
        outcomes = [measure(peer, n, repeats) for peer in PAIR for n in counts]
        check_losses(outcomes)
    except WorkerError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    rows = make_rows(outcomes)
    print_table(
        ["peer", "threads", "s", "min", "max", "MiB", "×fastmlp"],
        (
            [
                *(PEERS[row["peer"]], row["n_threads"], *row["seconds"].values()),
                *(row["peak_mib"], row["ratio"]),
            ]
            for row in rows
        ),
    )
    print(f"MiB is what the fit added; X made dense would be {DENSE_MIB:.0f}")
    versions = outcomes[0]["versions"] | outcomes[-1]["versions"]
    about = {"environment": describe_machine(), "versions": versions}
    problem = {"rows": N_ROWS, "columns": N_COLUMNS, "density": DENSITY}
    problem |= {"classes": N_CLASSES, "dense_mib": round(DENSE_MIB, 1)}
    write_json(path, about | {"problem": problem, "repeats": repeats, "rows": rows})
    return 0
