"""``bench memory``: how much memory a fit needs, beside its data."""

from __future__ import annotations

import ctypes
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.bars import at_most, inform, print_bars
from bench.environment import describe_machine, describe_pools, usable_cpus
from bench.peers import PEERS, load_peer
from bench.report import write_json
from bench.worker import WorkerError, run_worker

MIB = 2**20
# Parameters, their gradient, and the two moments of Adam.
PARAM_ARRAYS = 4
ALLOWANCE_MIB = 5e6 / MIB
N_EPOCHS = 2
N_WARM_ROWS = 64
LOSS_TOLERANCE = 1e-3
PAIR = ("fastmlp", "sklearn")


@dataclass(frozen=True)
class Case:
    """A network, its data and its batches: relu, softmax, Adam.

    Parameters
    ----------
    units : tuple of int
        Units of each layer, the inputs first and the classes last.
    n_rows, batch_size : int
    dtype : str
    density : float, default=1.0
        Share of X that is not zero; X is sparse if that is less than 1.
    """

    units: tuple[int, ...]
    n_rows: int
    batch_size: int
    dtype: str = "float32"
    density: float = 1.0

    def __str__(self) -> str:
        kind = "dense" if self.density == 1 else "sparse"
        layers = "-".join(map(str, self.units))
        return f"{self.n_rows} {kind} rows, {layers}, {self.dtype}"


CASES = {
    "wide": Case((784, 2048, 2048, 10), 2000, 256),
    "rows": Case((64, 100, 10), 200_000, 200),
    "sparse": Case((20_000, 100, 4), 20_000, 200, "float64", 0.003),
    "float64": Case((64, 512, 512, 10), 20_000, 256, "float64"),
}


def load_data(case: Case):
    """Return X, C-contiguous or compressed sparse rows, and the classes."""
    rng = np.random.default_rng(0)
    shape = (case.n_rows, case.units[0])
    y = rng.integers(case.units[-1], size=case.n_rows)
    y[: case.units[-1]] = np.arange(case.units[-1])
    if case.density == 1:
        return rng.standard_normal(shape, dtype=case.dtype), y
    import scipy.sparse

    X = scipy.sparse.random_array(shape, density=case.density, format="csr", rng=rng)
    return X.astype(case.dtype), y


def make_model(peer: str, case: Case):
    """Return a peer's classifier."""
    if peer == "fastmlp":
        from fastmlp import MLPClassifier
    else:
        from sklearn.neural_network import MLPClassifier
    return MLPClassifier(
        hidden_layer_sizes=case.units[1:-1],
        batch_size=case.batch_size,
        max_iter=N_EPOCHS,
        random_state=0,
    )


def workspace_bytes(case: Case) -> int:
    """Return the size of the arena that fastmlp makes for a batch."""
    from fastmlp.network import Network
    from fastmlp.workspace import BLOCK_ROWS, build_arena, count_training_entries

    network = Network(case.units, loss="log_loss", dtype=case.dtype)
    capacity = min(case.batch_size, BLOCK_ROWS)
    n_more = count_training_entries(network.plan, capacity, gathers=case.density == 1)
    return build_arena(network.arena_entries, capacity, network.dtype, n_more).nbytes


def bar_mib(case: Case) -> float:
    """Return what a fit of fastmlp may take."""
    n_params = sum((n_in + 1) * n_out for n_in, n_out in pairwise(case.units))
    state = PARAM_ARRAYS * n_params * np.dtype(case.dtype).itemsize
    return (state + workspace_bytes(case)) / MIB + ALLOWANCE_MIB


def read_status(name: str) -> float:
    """Return a figure of this process's memory as Linux tells it, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise OSError(f"this system does not tell {name}")
    return int(found[1]) / 1024


def return_freed_memory() -> None:
    """Have glibc give back what is free, lest it be used again without being seen."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def added_mib(run: Callable[[], object]) -> float:
    """Return by how much memory rose at its highest while something ran, in MiB.

    Linux keeps the highest resident size itself; it is told to begin anew here.
    """
    return_freed_memory()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = read_status("VmRSS")
    run()
    return read_status("VmHWM") - before


def warm_up(peer: str, case: Case, X, y) -> None:
    """Fit a few rows to few units, so that all is imported and threads have run."""
    rows = np.r_[: case.units[-1], :N_WARM_ROWS]
    small = Case((X.shape[1], 8, case.units[-1]), N_WARM_ROWS, 32)
    make_model(peer, small).fit(X[rows], y[rows])


def work(job: dict) -> dict:
    """Measure one fit of one library (in a worker)."""
    warnings.filterwarnings("ignore", ".*optimization hasn't converged")
    case, peer = CASES[job["case"]], job["peer"]
    X, y = load_data(case)
    warm_up(peer, case, X, y)
    model = make_model(peer, case)
    added = added_mib(lambda: model.fit(X, y))
    return {
        "mib": added,
        "bar_mib": bar_mib(case),
        "losses": [float(loss) for loss in model.loss_curve_],
        "versions": load_peer(peer).versions(),
        "pools": describe_pools(),
    }


def measure(name: str, n_threads: int, repeats: int) -> dict[str, dict]:
    """Let workers measure both libraries, the median of fresh processes each."""
    found = {}
    for peer in PAIR:
        outcomes = [
            run_worker("memory", n_threads, case=name, peer=peer)
            for _ in range(repeats)
        ]
        found[peer] = sorted(outcomes, key=lambda o: o["mib"])[repeats // 2]
        print(f"{name} {peer} {found[peer]['mib']:.1f} MiB", file=sys.stderr)
    ours, theirs = (found[peer]["losses"] for peer in PAIR)
    if not np.allclose(ours, theirs, LOSS_TOLERANCE, 0):
        raise WorkerError(f"{name}: the losses are {ours}, scikit-learn's {theirs}")
    return found


def make_rows(name: str, found: dict[str, dict]) -> list[dict]:
    """Return fastmlp's row against its bar, and scikit-learn's beside it."""
    case, ours = CASES[name], found["fastmlp"]
    theirs = inform(f"  {PEERS['sklearn']}", "MiB", found["sklearn"]["mib"])
    return [
        at_most(f"{name}: {case}", "MiB", ours["mib"], ours["bar_mib"])
        | {"pools": ours["pools"]},
        theirs | {"pools": found["sklearn"]["pools"]},
    ]


def run(repeats: int, path: Path | None) -> int:
    """Measure all cases; return the exit status, 1 if one was refused."""
    n_threads = len(usable_cpus())
    rows: list[dict] = []
    versions: dict[str, str] = {}
    refused = False
    for name in CASES:
        try:
            found = measure(name, n_threads, repeats)
        except WorkerError as error:
            print(f"refused: {error}", file=sys.stderr)
            refused = True
            continue
        rows += make_rows(name, found)
        for outcome in found.values():
            versions |= outcome["versions"]
    print_bars(rows)
    print(f"MiB is what the fit added at its highest, {N_EPOCHS} epochs; median")
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "threads": n_threads, "rows": rows})
    return int(refused)
