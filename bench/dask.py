"""``bench dask``: steps on one worker and on two, and what a model says of more."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.bars import at_least, at_most, inform, print_bars
from bench.dask_peers import compare
from bench.environment import describe_machine
from bench.report import print_table, write_json

EPOCHS = 4  # of a fit, the first of which is not counted
LEAST_SPEED_UP, MOST_FLOOR_MS = 1.6, 0.25
# Of the model's table: operations a row and parameter, a core's rate, the time of a
# message and of a byte at 10 Gbit/s, and of a parameter's update.
OPERATIONS, RATE, MESSAGE, BYTE, UPDATE = 6, 5e10, 25e-6, 8e-10, 1e-9
WORKERS = (1, 2, 4, 16, 64, 256, 1000)
ROWS_A_WORKER = (128, 512, 2048)


class Problem(NamedTuple):
    """A network and the rows that it learns from.

    Parameters
    ----------
    hidden : tuple of int
        Sizes of the hidden layers.
    n_rows, n_features : int
        Shape of the rows.
    batch : int
        Rows of a step.
    """

    hidden: tuple[int, ...]
    n_rows: int
    n_features: int
    batch: int

    @property
    def n_steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(self.n_rows / self.batch)


# As many rows of as many numbers as MNIST has, about.
WIDE = Problem((512, 512), 1 << 16, 784, 1024)
ONE_STEP = WIDE._replace(n_rows=WIDE.batch)
SMALL = Problem((4,), 1 << 16, 8, 16)


class Site:
    """A cluster with a problem's rows on its workers, which have one thread each."""

    def __init__(self, n_workers: int, problem: Problem, stack: ExitStack) -> None:
        import dask.array
        from distributed import Client, LocalCluster, wait

        cluster = LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=None
        )
        self.client: Any = stack.enter_context(Client(stack.enter_context(cluster)))
        self._problem, chunks = problem, problem.n_rows // 8
        random = np.random.default_rng(0)
        shape = problem.n_rows, problem.n_features
        rows = dask.array.from_array(
            random.standard_normal(shape, dtype=np.float32),
            chunks=(chunks, problem.n_features),
        )
        targets = dask.array.from_array(
            random.integers(10, size=problem.n_rows), chunks=chunks
        )
        self._rows = self.client.persist([rows, targets])
        wait(self._rows)

    def seconds_a_step(self, sync_every: int = 1) -> float:
        """Median over the epochs of a fit, but the first."""
        from fastmlp.dask import DaskMLPClassifier

        ends: list[float] = []
        DaskMLPClassifier(
            self.client,
            n_shards=2,
            hidden_layer_sizes=self._problem.hidden,
            batch_size=self._problem.batch,
            sync_every=sync_every,
            max_iter=EPOCHS,
            random_state=0,
            callbacks=[lambda epoch, logs: ends.append(time.perf_counter())],
        ).fit(*self._rows)
        return float(median(np.diff(ends))) / self._problem.n_steps


def measure(
    problem: Problem, ways: Sequence[tuple[int, int]], repeats: int
) -> np.ndarray:
    """Seconds a step of so many workers that exchange every so many steps. The ways
    take turns: of each turn a row.
    """
    with ExitStack() as stack:
        sites = {n: Site(n, problem, stack) for n in dict(ways)}
        return np.array(
            [
                [sites[n].seconds_a_step(every) for n, every in ways]
                for _ in range(repeats)
            ]
        )


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
    one, two = (1, 1), (2, 1)
    # What the machine allows: two that exchange nothing before the end of an epoch.
    apart = 2, WIDE.n_steps
    wide = measure(WIDE, [one, two, apart], repeats)
    epoch = measure(ONE_STEP, [two], repeats)
    small = measure(SMALL, [one, two], repeats)
    wide_ms, epoch_ms, small_ms = (
        1e3 * np.median(turns, axis=0) for turns in (wide, epoch, small)
    )
    speed_up, bound = np.median(wide[:, :1] / wide[:, 1:], axis=0)
    rows = [
        inform("one worker, 784-512-512-10, batch 1024", "ms a step", wide_ms[0]),
        inform("two workers", "ms a step", wide_ms[1]),
        inform("two workers that exchange nothing", "of one", bound),
        at_least("two workers", "of one", speed_up, LEAST_SPEED_UP),
        inform("an epoch of one step, two workers", "ms", epoch_ms[0]),
        inform("steps of 16 rows of 8 numbers, one worker", "ms", small_ms[0]),
        at_most("two workers", "ms", small_ms[1], MOST_FLOOR_MS),
        *compare(2),
    ]
    print_bars(rows)
    about = {"environment": describe_machine(), "repeats": repeats, "rows": rows}
    write_json(path, about)
    return 0
