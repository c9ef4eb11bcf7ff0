"""``bench members``: how long the estimators of tables take to fit."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.bars import at_least, at_most, inform, print_bars
from bench.environment import describe_machine, versions_of
from bench.machine import bound_of, measure_machine
from bench.report import write_json
from bench.shapes import Shape

N_NUMBERS, LEVELS = 12, ("red", "green", "blue")
# Seconds that a fit with defaults may take, by rows.
MOST_SECONDS = {100: 1.0, 1000: 6.0}
# For what is timed beside something else: rows, epochs, and how often.
N_ROWS, N_EPOCHS = 4096, 16
LEAST_GAIN, LEAST_SHARE = 1.8, 0.6


def make_table(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and a column of colours, with gaps, and a target."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n_rows, N_NUMBERS))
    colour = rng.choice(LEVELS, n_rows)
    y = np.sin(numbers[:, 0]) + numbers[:, 1] * (colour == "red")
    numbers[rng.random(numbers.shape) < 0.02] = np.nan
    return np.column_stack([numbers.astype(object), colour.astype(object)]), y


def time_fit(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds of a fit."""
    begin = perf_counter()
    model.fit(X, y)
    return perf_counter() - begin


def measure_defaults(repeats: int) -> list[dict]:
    """Fit small tables with defaults, on two cores."""
    from fastmlp import TabularClassifier, TabularRegressor

    rows = []
    for n_rows, bar in MOST_SECONDS.items():
        X, y = make_table(n_rows)
        for cls, target in (TabularClassifier, y > 0), (TabularRegressor, y):
            model = cls(n_threads=2, random_state=0)
            seconds = min(time_fit(model, X, target) for _ in range(repeats))
            name = f"{cls.__name__}, {n_rows} rows, two threads"
            rows.append(at_most(name, "s", seconds, bar))
    return rows


def measure_sides(repeats: int) -> list[dict]:
    """Fit members one after the other, and two side by side: the same bits."""
    from fastmlp import TabularRegressor

    X, y = make_table(N_ROWS)
    models = {
        n: TabularRegressor(max_iter=N_EPOCHS, n_threads=n, random_state=0)
        for n in (1, 2)
    }
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for n, model in models.items():
            seconds[n].append(time_fit(model, X, y))
    outputs = [model.predict_members(X) for model in models.values()]
    if not np.array_equal(*outputs):
        raise AssertionError("members differ with the number of threads")
    gain = min(seconds[1]) / min(seconds[2])
    return [at_least("four members, two side by side", "×", gain, LEAST_GAIN)]


def measure_share(repeats: int) -> list[dict]:
    """Fit one net on one core, beside the bound of its steps."""
    from fastmlp import TabularClassifier, TabularRegressor

    X, y = make_table(N_ROWS)
    rows = []
    for cls, target in (TabularClassifier, y > 0), (TabularRegressor, y):
        alone = {"n_members": 1, "n_threads": 1, "random_state": 0}
        model = cls(max_iter=N_EPOCHS, **alone)
        short = cls(max_iter=1, **alone)
        seconds = min(time_fit(model, X, target) for _ in range(repeats))
        # What is done once a fit, reading the table say, is no training.
        seconds -= min(time_fit(short, X, target) for _ in range(repeats))
        units = model.members_[0].layer_sizes
        n_learnt = N_ROWS - N_ROWS // 8
        shape = Shape("net", units, model.batch_size, n_learnt // model.batch_size)
        bound = bound_of(shape, measure_machine(1, [shape])) * shape.n_steps
        share = bound * (N_EPOCHS - 1) / seconds
        rows += [
            inform(
                f"{cls.__name__}: a step's bound", "µs", 1e6 * bound / shape.n_steps
            ),
            at_least(f"{cls.__name__}: share of it", "1", share, LEAST_SHARE),
        ]
    return rows


def run(repeats: int, path: Path | None) -> int:
    """Measure all; return the exit status, 0."""
    rows = [
        *measure_defaults(min(repeats, 2)),
        *measure_sides(repeats),
        *measure_share(repeats),
    ]
    print_bars(rows)
    about = {"environment": describe_machine(), "versions": versions_of("numpy")}
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return 0
