"""``python -m fastmlp train``, ``predict`` and ``inspect``: tables in files.

A fault of the user's is one line on standard error and exit status 2; a file is written
whole, at the very end, or not at all.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.commands import check_place, reporting
from fastmlp.model_files import load, replace_file
from fastmlp.tabular.files import (
    ARROW,
    PARQUET,
    File,
    known_rows,
    read_file,
    write_table,
)
from fastmlp.tabular.preprocessing import NumberEncoder

# A column of at most so many whole numbers is taken for classes.
MOST_CLASSES = 20
TASKS = ("auto", "classification", "regression")


def train(arguments: list[str]) -> int:
    """Fit a model to a table in a file."""
    parser = argparse.ArgumentParser(
        prog="python -m fastmlp train",
        description="Fit a model to a table in a CSV, Parquet or Arrow file.",
    )
    add = parser.add_argument
    add("data", help="the table, with a header")
    add("--target", required=True, metavar="COLUMN", help="what is to be predicted")
    add("-o", "--output", required=True, metavar="FILE", help="the model file")
    add(
        "--task", choices=TASKS, default="auto", help="by default found from the target"
    )
    add("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    add(
        "--categorical", nargs="+", metavar="COLUMN", help="numbers that are categories"
    )
    add("--metric", help="what the best epoch is chosen by, a scikit-learn scorer")
    add("--members", type=int, default=4, metavar="N", help="networks, 4 by default")
    add("--epochs", type=int, metavar="N", help="by default from the table's size")
    add("--max-seconds", type=float, metavar="S", help="end training after that time")
    add(
        "--checkpoint",
        metavar="FILE",
        help="store training there, and go on from it if it is there already",
    )
    add("--seed", type=int, default=0, metavar="N", help="0 by default")
    add(
        "--test-fraction",
        type=float,
        default=0.2,
        metavar="P",
        help="share of the rows that is kept for the report, 0.2; 0: train on all",
    )
    return reporting("train", _train, parser.parse_args(arguments))


def predict(arguments: list[str]) -> int:
    """Predict the rows of a table in a file."""
    parser = argparse.ArgumentParser(
        prog="python -m fastmlp predict",
        description="Predict by a model file; probabilities and intervals beside.",
    )
    parser.add_argument("model", help="the model file")
    parser.add_argument("data", help="the table, with the columns of training")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--coverage", type=float, default=0.9, metavar="P")
    return reporting("predict", _predict, parser.parse_args(arguments))


def inspect(arguments: list[str]) -> int:
    """Print what a model file holds."""
    parser = argparse.ArgumentParser(
        prog="python -m fastmlp inspect", description="Print what a model file holds."
    )
    parser.add_argument("model", help="the model file")
    return reporting("inspect", _inspect, parser.parse_args(arguments))


# -- train


def _train(options: argparse.Namespace) -> None:
    check_place(options.output, options.data)
    check_place(_picture_of(options.output), options.data, options.output)
    if options.checkpoint:
        check_place(options.checkpoint, options.data, options.output)
    require("safetensors", "safetensors", "a model file")
    if not 0 <= options.test_fraction < 1:
        raise ValueError("--test-fraction must be in [0, 1)")
    file = read_file(options.data)
    target = file.column(options.target)
    for name in [*options.drop, *(options.categorical or [])]:
        file.column(name)
    left_out = {options.target, *options.drop}
    names = [name for name in file.columns if name not in left_out]
    if not names:
        raise ValueError(f"{options.data} has no column beside the target")
    rows = known_rows(target)
    if len(rows) < len(target):
        print(f"{len(target) - len(rows)} rows without a target are left out")
    task = _find_task([target[row] for row in rows], options.task)
    y = _as_targets([target[row] for row in rows], task, options.target)
    model = _make_model(task, options)
    learnt, kept = _split(y, task, options)
    print(f"{task} of {options.target!r}: {len(learnt)} rows, {len(names)} columns")
    table = file.table(names, [rows[i] for i in learnt])
    model.fit(table, y[learnt], resume_from=_find_checkpoint(options))
    picture = None
    if len(kept):
        table = file.table(names, [rows[i] for i in kept])
        picture = _report(model, task, table, y[kept])
    # A checkpoint is no part of a model.
    model.set_params(callbacks=None).save(options.output)
    print(f"written: {options.output}")
    if picture is not None:
        replace_file(_picture_of(options.output), picture)
        print(f"written: {_picture_of(options.output)}")


def _picture_of(output: str) -> str:
    return str(Path(output).with_suffix(".png"))


def _find_task(values: list, asked_for: str) -> str:
    if asked_for != "auto":
        return asked_for
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return "classification"
    levels = set(values)
    few = len(levels) <= MOST_CLASSES and all(float(v).is_integer() for v in levels)
    return "classification" if few else "regression"


def _as_targets(values: list, task: str, name: str) -> np.ndarray:
    if not values:
        raise ValueError(f"no row has a value of {name!r}")
    if task == "classification":
        kinds = {type(value) for value in values}
        return np.array(values if len(kinds) == 1 else [str(v) for v in values])
    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ValueError(f"regression needs numbers, and {name!r}: {error}") from error


def _make_model(task: str, options: argparse.Namespace) -> Any:
    from fastmlp import Checkpoint, TabularClassifier, TabularRegressor
    from fastmlp.progress import BAR

    cls = TabularClassifier if task == "classification" else TabularRegressor
    try:
        require("tqdm.auto", "progress", "a bar")
        verbose = BAR
    except ImportError:
        verbose = 0
    return cls(
        categorical_features=options.categorical or "from_dtype",
        n_members=options.members,
        metric=options.metric,
        max_iter=options.epochs,
        max_seconds=options.max_seconds,
        random_state=options.seed,
        callbacks=[Checkpoint(options.checkpoint)] if options.checkpoint else None,
        verbose=verbose,
    )


def _find_checkpoint(options: argparse.Namespace) -> str | None:
    """The checkpoint that there is, to go on from."""
    if not options.checkpoint or not Path(options.checkpoint).exists():
        return None
    print(f"goes on from {options.checkpoint}")
    return options.checkpoint


def _split(
    y: np.ndarray, task: str, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and rows for the report."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(y))
    if options.test_fraction == 0 or len(y) < 10:
        return rows, rows[:0]
    stratify = None
    if task == "classification":
        _, counts = np.unique(y, return_counts=True)
        n_kept = int(options.test_fraction * len(y))
        stratify = y if counts.min() >= 2 and n_kept >= len(counts) else None
    return train_test_split(
        rows,
        test_size=options.test_fraction,
        random_state=options.seed,
        stratify=stratify,
    )


# -- the report


def _report(model: Any, task: str, table: Any, y: np.ndarray) -> bytes | None:
    """Print it; its picture, where matplotlib is there."""
    print(f"on {len(y)} rows that were not trained on:")
    if task == "classification":
        figures = _judge_classes(model, table, y)
    else:
        figures = _judge_numbers(model, table, y)
    for name, value in figures.items():
        print(f"  {name:<22}{value:.4g}")
    try:
        return _draw(model, task, table, y)
    except ImportError as error:
        print(f"no picture: {error}")
        return None


def _judge_classes(model: Any, table: Any, y: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

    known = np.isin(y, model.classes_)
    P = model.predict_proba(table)
    predicted = model.classes_[P.argmax(axis=1)]
    return {
        "accuracy": accuracy_score(y, predicted),
        "balanced accuracy": balanced_accuracy_score(y, predicted),
        "log loss": log_loss(y[known], P[known], labels=model.classes_),
        "most frequent class": np.unique(y, return_counts=True)[1].max() / len(y),
    }


def _judge_numbers(model: Any, table: Any, y: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import (
        mean_absolute_error,
        r2_score,
        root_mean_squared_error,
    )

    predicted = model.predict(table)
    return {
        "R²": r2_score(y, predicted),
        "RMSE": root_mean_squared_error(y, predicted),
        "mean absolute error": mean_absolute_error(y, predicted),
        "standard deviation": float(np.std(y)),
    }


def _draw(model: Any, task: str, table: Any, y: np.ndarray) -> bytes:
    """A picture of the report, PNG: a confusion matrix, or predictions by targets."""
    import io

    figures = require("matplotlib.figure", "plot", "the picture")
    figure = figures.Figure(figsize=(6, 5), layout="constrained")
    ax = figure.subplots()
    predicted = model.predict(table)
    if task == "classification":
        from sklearn.metrics import ConfusionMatrixDisplay

        ConfusionMatrixDisplay.from_predictions(
            y, predicted, normalize="true", ax=ax, cmap="Blues", colorbar=False,
            include_values=len(model.classes_) <= 10, xticks_rotation="vertical",
        )  # fmt: skip
        ax.set_title(f"{len(y)} rows that were not trained on")
    else:
        low, high = min(y.min(), predicted.min()), max(y.max(), predicted.max())
        ax.plot([low, high], [low, high], color="0.6", linewidth=1)
        ax.plot(y, predicted, ".", alpha=0.5)
        ax.set(xlabel="target", ylabel="prediction")
        ax.set_title(f"{len(y)} rows that were not trained on")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


# -- predict and inspect


def _load(path: str) -> Any:
    model = load(path)
    if not hasattr(model, "preprocessor_") or not hasattr(model, "feature_names_in_"):
        raise ValueError(
            f"{path} holds a {type(model).__name__}: this command is for models of "
            "tables with named columns"
        )
    return model


def _predict(options: argparse.Namespace) -> None:
    check_place(options.output, options.model, options.data)
    if Path(options.output).suffix.lower() in ARROW:
        raise ValueError(f"predictions are written as CSV or {PARQUET[0]}")
    model = _load(options.model)
    file = read_file(options.data)
    missing = [n for n in model.feature_names_in_.tolist() if n not in file.columns]
    if missing:
        raise ValueError(
            f"{options.data} lacks {len(missing)} of the model's columns: "
            f"{', '.join(map(repr, missing))}"
        )
    columns = _predictions(model, file, options.coverage)
    write_table(options.output, columns)
    print(f"written: {options.output}, {file.n_rows} rows")


def _predictions(model: Any, file: File, coverage: float) -> dict[str, np.ndarray]:
    table = file.table(model.feature_names_in_.tolist())
    predicted = model.predict(table)
    columns = {"prediction": predicted}
    if hasattr(model, "classes_"):
        P = model.predict_proba(table)
        for name, column in zip(model.classes_.tolist(), P.T, strict=True):
            columns[f"probability of {name}"] = column
        return columns
    interval = model.predict_interval(table, coverage)
    return columns | {"low": interval[:, 0], "high": interval[:, 1]}


def _inspect(options: argparse.Namespace) -> None:
    model = _load(options.model)
    print(f"{type(model).__name__}, {len(model.members_)} members")
    for name, value in model.get_params().items():
        print(f"  {name:<22}{value!r}")
    if hasattr(model, "classes_"):
        print(f"classes: {', '.join(map(str, model.classes_))}")
    print(f"stopped by {model.stop_reason_} after {model.n_iter_} epochs")
    print("columns:")
    for name, encoder in zip(
        model.feature_names_in_, model.preprocessor_.encoders, strict=True
    ):
        if encoder.n_inputs == 0:
            what = "constant"
        elif isinstance(encoder, NumberEncoder):
            what = f"number, median {encoder.median + encoder.origin:g}"
        else:
            what = f"category, {len(encoder.levels)} levels"
            what += " and others" if encoder.has_others else ""
        print(f"  {name:<22}{what}")
    network = model.members_[0]
    sizes = " × ".join(map(str, network.layer_sizes))
    print(f"network: {sizes}, {network.params.size} parameters")
