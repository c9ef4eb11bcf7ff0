"""``bench tabular-search``: changes of the tables' preset, each beside the preset.

One net is fitted to some rows of each set and judged by all the others: few rows to
learn from make it quick, many to judge by make it exact. What is reported are geometric
means, over the sets, of ratios to the preset. Nothing is chosen by a set.
"""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.environment import describe_machine, versions_of
from bench.report import write_json
from bench.tabular import (
    Set,
    compare,
    find_sets,
    judge,
    load_set,
    make_tabular,
    print_figures,
    say,
)
from bench.worker import run_worker

BASE = "preset"
# Parameters of the estimators; those that a regressor lacks are a classifier's alone.
CHANGES: dict[str, dict[str, Any]] = {
    BASE: {},
    "epoch of the least error": {"metric": "accuracy"},
    "no dropout": {"dropout": 0.0},
    "dropout 0.3": {"dropout": 0.3},
    "no decay": {"weight_decay": 0.0},
    "no dropout, no decay": {"dropout": 0.0, "weight_decay": 0.0},
    "dropout 0.15": {"dropout": 0.15},
    "decay 0.1": {"weight_decay": 0.1},
    "rate 0.02": {"learning_rate_init": 0.02},
    "rate 0.1": {"learning_rate_init": 0.1},
    "64 epochs": {"max_iter": 64},
    "128 epochs": {"max_iter": 128},
    "256 epochs": {"max_iter": 256},
}


def draw_rows(n_rows: int, n_train: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on, half of all at most, and all others."""
    order = np.random.default_rng(seed).permutation(n_rows)
    n_train = min(n_train, n_rows // 2)
    return order[:n_train], order[n_train:]


def is_for(change: str, table: Set) -> bool:
    """Return whether a change says something about a task."""
    return table.task != "regression" or "metric" not in CHANGES[change]


def work(job: dict) -> dict:
    """Fit one net to rows of one set (in a worker)."""
    table = load_set(Path(job["path"]))
    train, test = draw_rows(len(table.y), job["rows"], job["seed"])
    model = make_tabular(table, 1).set_params(
        random_state=job["seed"], **CHANGES[job["model"]]
    )
    begin = time.process_time()
    model.fit(table.X[train], table.y[train])
    seconds = time.process_time() - begin
    return {"cpu_s": seconds, **judge(model, table, test)}


def measure(path: Path, change: str, n_rows: int, seed: int) -> dict:
    """Let a worker fit; return its figures."""
    job = {"path": str(path), "model": change, "rows": n_rows, "seed": seed}
    found = run_worker("tabular_search", 1, **job)
    return say({"set": path.stem, "model": change, "seed": seed, **found})


def run(
    data: Path,
    sets: list[str] | None,
    changes: list[str] | None,
    n_rows: int,
    seeds: int,
    path: Path | None,
) -> int:
    """Measure; return the exit status."""
    paths = find_sets(data, sets)
    chosen = [BASE, *(c for c in changes or CHANGES if c != BASE)]
    rows = [
        measure(set_path, change, n_rows, seed)
        for set_path, change, seed in product(paths, chosen, range(seeds))
        if is_for(change, load_set(set_path))
    ]
    table = compare(rows, chosen, BASE)
    print_figures(table)
    about = {
        "environment": describe_machine(),
        "versions": versions_of("numpy", "scikit-learn"),
    }
    write_json(path, {**about, "rows_of_a_fit": n_rows, "table": table, "rows": rows})
    return 0
