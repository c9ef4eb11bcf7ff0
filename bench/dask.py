"""``bench dask``: steps on one worker and on two, and what a model says of more."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from bench.bars import at_least, at_most, inform, print_bars
from bench.dask_peers import compare
from bench.environment import describe_machine
from bench.report import print_table, write_json

# As many rows of as many numbers as MNIST has, about.
N_ROWS, N_FEATURES, BATCH = 1 << 16, 784, 1024
WIDE, SMALL = (512, 512), (4,)
LEAST_SPEED_UP, MOST_FLOOR_MS = 1.6, 0.25
# Of the model's table: operations a row and parameter, a core's rate, the time of a
# message and of a byte at 10 Gbit/s, and of a parameter's update.
OPERATIONS, RATE, MESSAGE, BYTE, UPDATE = 6, 5e10, 25e-6, 8e-10, 1e-9
WORKERS = (1, 2, 4, 16, 64, 256, 1000)
ROWS_A_WORKER = (128, 512, 2048)


def seconds_a_step(
    n_workers: int, hidden: tuple, batch: int, repeats: int, n_rows: int = N_ROWS
) -> float:
    """Median over epochs, but the first; workers have one thread each."""
    import dask.array
    from distributed import Client, LocalCluster

    from fastmlp.dask import DaskMLPClassifier

    n_features = N_FEATURES if hidden == WIDE else 8
    random = np.random.default_rng(0)
    X = random.standard_normal((n_rows, n_features), dtype=np.float32)
    chunks = n_rows // 8
    rows = dask.array.from_array(X, chunks=(chunks, n_features))
    targets = dask.array.from_array(random.integers(10, size=n_rows), chunks=chunks)
    ends: list[float] = []
    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        model = DaskMLPClassifier(
            client,
            n_shards=2,
            hidden_layer_sizes=hidden,
            batch_size=batch,
            max_iter=repeats + 2,
            n_iter_no_change=repeats + 2,
            random_state=0,
            callbacks=[lambda epoch, logs: ends.append(time.perf_counter())],
        )
        model.fit(rows, targets)
    return float(median(np.diff(ends)[1:])) / math.ceil(n_rows / batch)


def share_of_time(n_workers: int, rows: int, n_params: int, spread: float) -> float:
    """Of a step's time what goes to rows, by the model of docs/explanation/machines.md.

    Parameters
    ----------
    n_workers, rows, n_params : int
        Workers, rows of each and step, parameters.
    spread : float
        Standard deviation of the logarithm of a worker's pace in a step: the step waits
        for the slowest.
    """
    computing = rows * n_params * OPERATIONS / RATE
    paces = np.random.default_rng(0).lognormal(0, spread, (200, n_workers))
    depth = math.ceil(math.log2(n_workers))
    messages = 2 * depth * (MESSAGE + 4 * n_params * BYTE)
    waiting = computing * float(paces.max(axis=1).mean())
    return computing / (waiting + messages + n_params * UPDATE)


def print_model() -> None:
    """Print the share of time of up to a thousand workers."""
    n_params = 669_706  # 784-512-512-10
    print_table(
        ["workers", *(f"{rows} rows" for rows in ROWS_A_WORKER), "stragglers, 2048"],
        (
            [
                str(p),
                *(f"{share_of_time(p, r, n_params, 0):.0%}" for r in ROWS_A_WORKER),
                f"{share_of_time(p, 2048, n_params, 0.1):.0%}",
            ]
            for p in WORKERS
        ),
    )


def run(repeats: int, path: Path | None) -> int:
    """Measure; return the exit status."""
    print_model()
    one, two = (seconds_a_step(p, WIDE, BATCH, repeats) for p in (1, 2))
    print(f"one worker {one:.5f} s, two {two:.5f} s a step", file=sys.stderr)
    alone = seconds_a_step(2, WIDE, BATCH, repeats, n_rows=BATCH)
    floors = [seconds_a_step(p, SMALL, 16, repeats) for p in (1, 2)]
    rows = [
        inform("one worker, 784-512-512-10, batch 1024", "ms a step", 1e3 * one),
        inform("two workers", "ms a step", 1e3 * two),
        at_least("two workers", "of one", one / two, LEAST_SPEED_UP),
        inform("an epoch of one step, two workers", "ms", 1e3 * alone),
        inform("steps of 16 rows of 8 numbers, one worker", "ms", 1e3 * floors[0]),
        at_most("two workers", "ms", 1e3 * floors[1], MOST_FLOOR_MS),
        *compare(2),
    ]
    print_bars(rows)
    about = {"environment": describe_machine(), "repeats": repeats, "rows": rows}
    write_json(path, about)
    return 0
