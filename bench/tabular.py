"""``bench tabular``: tables out of the box, against what people use for them.

Every model is fitted with its defaults to the same folds, one thread each, in a process
of its own. Nothing is chosen by a set. What is reported are geometric means, over the
sets, of ratios to scikit-learn's MLP with its defaults.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.environment import describe_machine, versions_of
from bench.report import print_table, write_json
from bench.worker import WorkerError, run_worker

N_FOLDS = 5
BASE = "sklearn MLP"
# Smaller figures than these are chance, and a ratio to 0 says nothing.
LEAST = {"error": 1e-3, "log_loss": 1e-3, "rmse": 1e-9, "cpu_s": 1e-3}


class Set(NamedTuple):
    """A table: categories are whole numbers in some of its columns."""

    X: np.ndarray
    y: np.ndarray
    categories: list[int]
    task: str


def load_set(path: Path) -> Set:
    """Read a set of the development data."""
    with np.load(path, allow_pickle=False) as file:
        categories = file["cat_cols"].astype(int).tolist()
        return Set(file["X"], file["y"], categories, str(file["task"]))


def split_set(table: Set, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows to test by."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = KFold if table.task == "regression" else StratifiedKFold
    splits = kind(N_FOLDS, shuffle=True, random_state=0).split(table.X, table.y)
    return list(splits)[fold]


def make_tabular(table: Set, n_members: int):
    """Return fastmlp's estimator of tables."""
    from fastmlp import TabularClassifier, TabularRegressor

    cls = TabularRegressor if table.task == "regression" else TabularClassifier
    return cls(
        categorical_features=table.categories,
        n_members=n_members,
        random_state=0,
        n_threads=1,
    )


def make_mlp(table: Set, regressor: Any, classifier: Any):
    """Return an MLP behind scaling and one-hot, y standardised."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (encoder, table.categories), remainder=StandardScaler()
    )
    if table.task != "regression":
        return make_pipeline(columns, classifier(random_state=0))
    model = TransformedTargetRegressor(
        regressor(random_state=0), transformer=StandardScaler()
    )
    return make_pipeline(columns, model)


def make_sklearn_mlp(table: Set):
    """Return scikit-learn's MLP, what others are compared to."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return make_mlp(table, MLPRegressor, MLPClassifier)


def make_fastmlp_mlp(table: Set):
    """Return fastmlp's MLP with scikit-learn's defaults."""
    from fastmlp import MLPClassifier, MLPRegressor

    return make_mlp(table, MLPRegressor, MLPClassifier)


def make_boosting(table: Set):
    """Return scikit-learn's histogram gradient boosting."""
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    is_regression = table.task == "regression"
    cls: Any = (
        HistGradientBoostingRegressor
        if is_regression
        else HistGradientBoostingClassifier
    )
    return cls(categorical_features=table.categories or None, random_state=0)


def make_lightgbm(table: Set):
    """Return LightGBM's estimator; categories are numbers to it."""
    import lightgbm

    is_regression = table.task == "regression"
    cls = lightgbm.LGBMRegressor if is_regression else lightgbm.LGBMClassifier
    return cls(n_jobs=1, verbose=-1, random_state=0)


def make_catboost(table: Set):
    """Return CatBoost's estimator; categories are numbers to it."""
    import catboost

    is_regression = table.task == "regression"
    cls = catboost.CatBoostRegressor if is_regression else catboost.CatBoostClassifier
    return cls(thread_count=1, verbose=False, random_seed=0, allow_writing_files=False)


def make_realmlp(table: Set, name: str):
    """Return an estimator of pytabkit, on PyTorch."""
    import pytabkit

    suffix = "Regressor" if table.task == "regression" else "Classifier"
    cls = getattr(pytabkit, f"RealMLP_{name}_{suffix}")
    return cls(device="cpu", random_state=0, n_threads=1)


class Model(NamedTuple):
    """How a model is made, and the module that it needs."""

    make: Callable[[Set], Any]
    module: str


MODELS = {
    BASE: Model(make_sklearn_mlp, "sklearn"),
    "fastmlp MLP": Model(make_fastmlp_mlp, "fastmlp"),
    "HistGradientBoosting": Model(make_boosting, "sklearn"),
    "LightGBM": Model(make_lightgbm, "lightgbm"),
    "CatBoost": Model(make_catboost, "catboost"),
    "RealMLP-TD-S": Model(lambda table: make_realmlp(table, "TD_S"), "pytabkit"),
    "RealMLP-TD": Model(lambda table: make_realmlp(table, "TD"), "pytabkit"),
    "fastmlp tabular, one net": Model(lambda table: make_tabular(table, 1), "fastmlp"),
    "fastmlp tabular": Model(lambda table: make_tabular(table, 4), "fastmlp"),
}


def judge(model: Any, table: Set, rows: np.ndarray) -> dict[str, float]:
    """Return the figures of a fitted model on some rows."""
    from sklearn.metrics import log_loss, root_mean_squared_error

    X, y = table.X[rows], table.y[rows]
    if table.task == "regression":
        figures = {"rmse": float(root_mean_squared_error(y, model.predict(X)))}
        if hasattr(model, "predict_interval"):
            low, high = model.predict_interval(X, coverage=0.9).T
            figures["coverage"] = float(np.mean((low <= y) & (y <= high)))
        return figures
    P = np.asarray(model.predict_proba(X), dtype=float)
    classes = np.unique(table.y)
    return {
        "error": float(np.mean(classes[P.argmax(axis=1)] != y)),
        "log_loss": float(log_loss(y, P.clip(1e-7, 1 - 1e-7), labels=classes)),
    }


def work(job: dict) -> dict:
    """Fit one model to one fold of one set (in a worker)."""
    table = load_set(Path(job["path"]))
    train, test = split_set(table, job["fold"])
    model = MODELS[job["model"]].make(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begin = time.process_time()
        model.fit(table.X[train], table.y[train])
        seconds = time.process_time() - begin
        return {"cpu_s": seconds, **judge(model, table, test)}


def compare(rows: list[dict], models: Iterable[str], base: str) -> list[dict]:
    """Return each model's geometric means of ratios to the base, over its sets."""
    means: dict[tuple, dict[str, float]] = {}
    for name in {row["set"] for row in rows}:
        for model in {row["model"] for row in rows if row["set"] == name}:
            folds = [r for r in rows if (r["set"], r["model"]) == (name, model)]
            means[name, model] = {
                figure: max(least, float(np.mean([fold[figure] for fold in folds])))
                for figure, least in LEAST.items()
                if figure in folds[0]
            }
    table = []
    for model in models:
        sets = [name for name, other in means if other == model]
        sets = [name for name in sets if (name, base) in means]
        if not sets:
            continue
        line: dict[str, Any] = {"model": model, "sets": len(sets)}
        for figure in LEAST:
            ratios = [
                means[name, model][figure] / means[name, base][figure]
                for name in sets
                if figure in means[name, model]
            ]
            mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else None
            line[figure] = mean and round(mean, 3)
        table.append(line)
    return table


def print_figures(table: list[dict]) -> None:
    """Print what :func:`compare` has found."""
    print_table(
        ["model", "sets", "error", "log loss", "RMSE", "CPU time"],
        ([line[key] for key in ("model", "sets", *LEAST)] for line in table),
    )


def measure(path: Path, model: str, fold: int) -> dict | None:
    """Let a worker fit; return its figures, None where it fails."""
    try:
        found = run_worker("tabular", 1, path=str(path), model=model, fold=fold)
    except WorkerError as error:
        print(f"{path.stem}, {model}: {error}", file=sys.stderr)
        return None
    return say({"set": path.stem, "model": model, "fold": fold, **found})


def say(row: dict) -> dict:
    """Print a row while the others are measured; return it."""
    print(" ".join(f"{k}={v}" for k, v in row.items()), file=sys.stderr)
    return row


def find_sets(data: Path, names: list[str] | None) -> list[Path]:
    """Return the sets in a folder, or those of these names; there is one at least."""
    paths = sorted(data.glob("*.npz"))
    paths = [p for p in paths if names is None or p.stem in names]
    if not paths:
        print(f"there are no sets in {data}", file=sys.stderr)
        raise SystemExit(2)
    return paths


def run(
    data: Path,
    sets: list[str] | None,
    models: list[str] | None,
    folds: int,
    path: Path | None,
) -> int:
    """Measure; return the exit status, 1 if a model failed."""
    paths = find_sets(data, sets)
    chosen = [m for m in models or MODELS if find_spec(MODELS[m].module)]
    cases = list(product(paths, chosen, range(folds)))
    measured = [measure(*case) for case in cases]
    rows = [row for row in measured if row is not None]
    table = compare(rows, MODELS, BASE)
    print_figures(table)
    about = {
        "environment": describe_machine(),
        "versions": versions_of("numpy", "scikit-learn"),
    }
    write_json(path, {**about, "folds": folds, "table": table, "rows": rows})
    return int(len(rows) < len(measured))
