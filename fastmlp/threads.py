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
