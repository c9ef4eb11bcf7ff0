"""Measuring how long something takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter

MIN_SECONDS = 0.2


def elapsed(run: Callable[[int], None], n: int) -> float:
    """Return the seconds that ``run(n)`` takes."""
    begin = perf_counter()
    run(n)
    return perf_counter() - begin


def measure(
    run: Callable[[int], None], repeats: int, seconds: float = MIN_SECONDS
) -> list[float]:
    """Time a run that can be made as long as needed.

    Parameters
    ----------
    run : callable
        ``run(n)`` does the work n times.
    repeats : int
        Number of samples.
    seconds : float
        How long each sample lasts at least.

    Returns
    -------
    list of float
        Seconds for doing the work once, one for each sample.
    """
    run(1)
    n = 1
    while elapsed(run, n) < seconds:
        n *= 2
    return [elapsed(run, n) / n for _ in range(repeats)]


def summarize(samples: list[float], unit: float) -> dict[str, float]:
    """Return median, min and max of samples, in a unit given in seconds."""
    values = [round(sample / unit, 4) for sample in samples]
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }
