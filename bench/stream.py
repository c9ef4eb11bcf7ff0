"""``bench stream``: fits of rows that are read block by block, beside memory."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median

import numpy as np

from bench.bars import at_least, at_most, inform, print_bars
from bench.environment import describe_machine, usable_cpus
from bench.memory import read_status
from bench.report import write_json
from bench.worker import run_worker

# Two gigabytes of float32.
N_ROWS, N_FEATURES = 1 << 24, 32
# For Parquet, which takes long to write.
N_PARQUET = 1 << 21
PIECE = 1 << 20
HIDDEN = (64,)
# More than 2³¹ numbers of a byte each: all are zero but those of four rows.
LONG_FEATURES = 1024
LONG_ROWS = (1 << 21) + 3
LEAST_RATE, LEAST_PARQUET_RATE, MOST_MB = 0.8, 0.7, 512


def write_files(folder: Path) -> None:
    """Write X.npy and y.npy, and evict them from the page cache."""
    rng = np.random.default_rng(0)
    shape = (N_ROWS, N_FEATURES)
    new = np.lib.format.open_memmap
    X = new(folder / "X.npy", "w+", np.float32, shape)
    y = new(folder / "y.npy", "w+", np.float32, shape[:1])
    for begin in range(0, N_ROWS, PIECE):
        piece = rng.standard_normal((PIECE, N_FEATURES), dtype=np.float32)
        X[begin : begin + PIECE] = piece
        y[begin : begin + PIECE] = np.abs(piece[:, 0]) + piece[:, 1]
    X.flush()
    y.flush()


def write_parquet(folder: Path) -> None:
    """Write the first rows as rows.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y = (np.load(folder / f"{n}.npy", mmap_mode="r")[:N_PARQUET] for n in "Xy")
    columns = {f"x{i}": X[:, i] for i in range(N_FEATURES)}
    pq.write_table(pa.table({**columns, "y": y}), folder / "rows.parquet")


def evict(folder: Path) -> None:
    """Have the next epoch read the files from the disk."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def work(job: dict) -> dict:
    """Fit one case (in a worker)."""
    from fastmlp import MLPRegressor
    from fastmlp.stream import Blocks

    warnings.filterwarnings("ignore", ".*optimization hasn't converged")
    folder = Path(job["folder"])
    if job["case"] == "long":
        return fit_long(folder)
    is_parquet = "parquet" in job["case"]
    n_rows = N_PARQUET if is_parquet else N_ROWS
    paths = folder / "X.npy", folder / "y.npy"
    if job["case"].startswith("memory"):
        data = [np.load(path, mmap_mode="r")[:n_rows].copy() for path in paths]
    elif job["case"] == "parquet":
        data = [Blocks(folder / "rows.parquet", y="y", spill=folder)]
    else:
        data = [Blocks(*paths)]
    evict(folder)
    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        max_iter=6 if is_parquet else 1,
        random_state=0,
        n_threads=1,
    )
    model.fit(*data)
    seconds = model.history_["seconds"]
    return {
        "rate": n_rows / median(seconds[1:] or seconds),
        "peak_mb": read_status("VmHWM") * 2**20 / 1e6,
        "loss": model.loss_,
    }


def fit_long(folder: Path) -> dict:
    """Fit a linear net to 2³¹ numbers, all zero but in the first and last two rows.

    Rows x and −x with targets t and −t leave a bias of zero at zero, and rows of zeros
    with targets of zero leave all as it is. So one step is known, the first, and one
    more, the last.
    """
    from fastmlp import MLPRegressor
    from fastmlp.stream import Blocks

    path, shape = folder / "long.npy", (LONG_ROWS, LONG_FEATURES)
    X = np.lib.format.open_memmap(path, "w+", np.int8, shape)
    y = np.zeros(LONG_ROWS, np.float32)
    y[[0, 1, -2, -1]] = 1, -1, 2, -2
    ends = np.zeros((2, LONG_FEATURES), np.int8)
    ends[0, :5], ends[1, -5:] = 1, 2
    X[[0, 1, -2, -1]] = ends[0], -ends[0], ends[1], -ends[1]
    X.flush()
    eta, rows = 0.5, 200
    model = MLPRegressor(
        hidden_layer_sizes=(),
        solver="sgd",
        momentum=0,
        alpha=0,
        learning_rate_init=eta,
        batch_size=rows,
        shuffle=False,
        max_iter=1,
        random_state=0,
        init=1e-3,
        dtype="float32",
    )
    blocks = Blocks(path, y, pool_rows=1 << 13)
    model.fit(blocks)
    start = np.random.RandomState(0)
    from fastmlp.network import Network

    expected = Network([LONG_FEATURES, 1], init=1e-3, random_state=start).weights[0]
    expected = expected[:, 0].copy()
    for end, target, n in ((ends[0], 1, rows), (ends[1], 2, LONG_ROWS % rows or rows)):
        residual = end @ expected - target
        expected -= eta * 2 * residual * end / n
    outputs = model.predict(blocks)[[0, 1, -2, -1]]
    error = np.abs(model.coefs_[0][:, 0] - expected).max()
    error_of_outputs = np.abs(outputs - X[[0, 1, -2, -1]] @ expected).max()
    return {
        "error": float(max(error, error_of_outputs)),
        "peak_mb": read_status("VmHWM") * 2**20 / 1e6,
    }


def run(repeats: int, path: Path | None) -> int:
    """Measure all cases; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        write_files(Path(name))
        write_parquet(Path(name))
        found: dict[str, dict] = {}
        for case in ("memory", "blocks", "memory of parquet", "parquet"):
            n_times = repeats if case in ("memory", "blocks") else 1
            runs = [
                run_worker("stream", 1, case=case, folder=name) for _ in range(n_times)
            ]
            found[case] = {key: median(r[key] for r in runs) for key in runs[0]}
            print(f"{case}: {found[case]}", file=sys.stderr)
        if len(usable_cpus()) > 1:
            found["two"] = run_worker("stream", 2, case="blocks", folder=name)
        long = run_worker("stream", 1, case="long", folder=name)
    rates = {case: row["rate"] for case, row in found.items()}
    rows = [
        inform("rows in memory", "rows/s", rates["memory"]),
        at_least(
            f"cold file of {N_ROWS * N_FEATURES * 4 / 1e9:.1f} GB",
            "of memory",
            rates["blocks"] / rates["memory"],
            LEAST_RATE,
        ),
        at_most("its peak", "MB", found["blocks"]["peak_mb"], MOST_MB),
        at_least(
            "Parquet, spilled, from the second epoch on",
            "of memory",
            rates["parquet"] / rates["memory of parquet"],
            LEAST_PARQUET_RATE,
        ),
        at_most("2³¹ numbers: largest error", "millionths", 1e6 * long["error"], 10),
        at_most("its peak", "MB", long["peak_mb"], MOST_MB),
    ]
    if "two" in rates:
        # The bars are for one CPU, which the reader and the engine share.
        label = "cold file, the reader on a CPU of its own"
        rows.append(inform(label, "of memory", rates["two"] / rates["memory"]))
    print_bars(rows)
    about = {"environment": describe_machine(), "repeats": repeats, "rows": rows}
    write_json(path, about)
    return 0
