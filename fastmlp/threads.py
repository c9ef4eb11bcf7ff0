"""Threads for the length of one fit, and how many of them pay."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastmlp import _kernels

# Multiply-adds below which a step is over before a second thread has begun: about
# fifteen microseconds on one core of a processor of the 2020s.
LEAST_WORK = 500_000


def count_threads(layers: np.ndarray, batch_size: int) -> int:
    """Threads worth having for steps of that many rows; never more than may be used.

    ``OMP_NUM_THREADS`` and ``OPENBLAS_NUM_THREADS`` are limits, as they are for BLAS;
    joblib sets them in its workers, so that nested parallelism does not crowd.
    """
    work = batch_size * int(layers["n_in"] @ layers["n_out"])
    if not _kernels.THREADS or work < LEAST_WORK:
        return 1
    limits = [_count_processors()]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            limits.append(int(os.environ[name]))
    return max(1, min(limits))


def _count_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pace:
    """Whether the crew or one thread alone has been the faster of late.

    A crew is slower than its first thread alone where another process holds a core.
    The bits are the same, so training may change between them at any time: it keeps
    to the faster, and tries the other again after ever longer whiles.

    Parameters
    ----------
    crew : Crew or None
        The crew; without one there is nothing to choose.
    """

    FIRST_WHILE = 8
    LONGEST_WHILE = 128

    def __init__(self, crew: Any) -> None:
        self._choices = (crew, None)
        self._seconds_per_row = [0.0, 0.0 if crew is not None else float("inf")]
        self._while = self.FIRST_WHILE
        self._until_trial = 1
        self._chosen = 0

    @property
    def crew(self) -> Any:
        """Who does the next slice of work."""
        return self._choices[self._chosen]

    def record(self, n_rows: int, seconds: float) -> None:
        """Take in how long the last slice took, and choose for the next."""
        if self._choices[0] is None:
            return
        self._seconds_per_row[self._chosen] = seconds / n_rows
        self._until_trial -= 1
        faster = int(self._seconds_per_row[1] < self._seconds_per_row[0])
        if self._until_trial == 0:
            self._chosen = 1 - faster
        elif self._until_trial < 0:
            self._while = min(2 * self._while, self.LONGEST_WHILE)
            self._until_trial = self._while
            self._chosen = faster
        else:
            self._chosen = faster


@contextmanager
def gather_crew(n_threads: int) -> Iterator[Any]:
    """A crew for ``_kernels.train``, or None for one thread; gone at the end."""
    if n_threads == 1:
        yield None
        return
    crew = _kernels.Crew(n_threads)
    threads = [
        threading.Thread(target=crew.assist, args=(number,), daemon=True)
        for number in range(1, n_threads)
    ]
    for thread in threads:
        thread.start()
    try:
        yield crew
    finally:
        crew.dismiss()
        for thread in threads:
            thread.join()
