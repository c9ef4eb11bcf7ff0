"""The rows that training is judged by: drawn from X or given, and their score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastmlp.estimators._data import Data
from fastmlp.estimators._fitted import set_model
from fastmlp.estimators._publication import twin_of
from fastmlp.estimators._streams import evaluator_of, new_order
from fastmlp.estimators._warnings import warn
from fastmlp.random_streams import stream_from
from fastmlp.recipe import Recipe
from fastmlp.rows import RowOrder, Split
from fastmlp.state import TrainingState
from fastmlp.validation import HeldOut


def hold_out(
    estimator: Any,
    recipe: Recipe,
    state: TrainingState,
    data: Data,
    given: Data | None,
) -> HeldOut | None:
    """Choose the rows to train on and those to judge by.

    Rows once held out stay so in later fits that go on, as long as there are as many
    rows: a score of rows that were trained on is worth nothing. A full-batch solver
    trains on all rows, and is judged by given ones only.

    Parameters
    ----------
    estimator : BaseMLP
        Encodes targets and scores outputs.
    recipe : Recipe
        Says whether rows are held out.
    state : TrainingState
        Its split and order become those of this fit; its plateau watches the score or
        the training loss.
    data, given : Data, Data or None
        The rows, and those that the user judges by.

    Returns
    -------
    HeldOut or None
    """
    held_out = given
    if recipe.is_full_batch:
        if given is None:
            return None
    elif given is not None or not recipe.holds_out:
        order = new_order(data)
        if state.split is not None or not _is_alike(state.order, order):
            state.split, state.order = None, order
    else:
        held_out = data.take(_split(estimator, state, data))
    watched = _what_is_watched(estimator, recipe, state, held_out, given is not None)
    state.plateau.watch(*watched)
    if recipe.keeps_best_by and state.best is None:
        # The best score of earlier fits is to be beaten, where it is of the same rows.
        is_same = state.plateau.is_score and recipe.keeps_best_by == "score"
        state.keep(state.plateau.best if is_same else -math.inf)
    if held_out is None:
        return None
    _check(estimator, data, held_out, given is not None)
    return _make_held_out(estimator, state, held_out, given is not None)


def _is_alike(order: RowOrder | None, other: RowOrder) -> bool:
    return type(order) is type(other) and order.n_rows == other.n_rows


def _split(estimator: Any, state: TrainingState, data: Data) -> np.ndarray:
    """The rows held out; those to train on go into the state's order."""
    n_rows, fraction = len(data.Y), estimator.validation_fraction
    if state.split is None or not state.split.holds(n_rows, fraction):
        before = state.random_state.get_state(legacy=False)
        state.split, state.order = Split(n_rows, fraction, before), None
        stratify = estimator._stratify_by(data)
        rows, others = _draw(state.split, state.random_state, stratify)
        state.split.moved = _missing_rows(estimator, state, data, rows, others)
    else:
        stream = stream_from(state.split.stream)
        rows, others = _draw(state.split, stream, estimator._stratify_by(data))
    if state.split.moved:
        rows = rows[~np.isin(rows, state.split.moved)]
        others = np.append(others, state.split.moved)
    if state.order is None:
        state.order = RowOrder(len(rows))
    state.order.base = rows
    return others


def _draw(split: Split, stream: Any, stratify: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and others, drawn as scikit-learn does."""
    rows, others = train_test_split(
        np.arange(split.n_rows),
        random_state=stream,
        test_size=split.fraction,
        stratify=stratify,
    )
    if len(others) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    return rows, others


def _missing_rows(
    estimator: Any,
    state: TrainingState,
    data: Data,
    rows: np.ndarray,
    others: np.ndarray,
) -> list[int]:
    """Rows to hold out besides, so that the scorer can judge.

    The split stays scikit-learn's for every scorer that can judge it.
    """
    if estimator.scoring is None or not estimator._describe_missing(data.Y[others]):
        return []
    judge = _scorer(estimator, state, data.take(others))
    if _try(estimator, judge)[0]:
        return []
    return estimator._rows_of_missing_classes(data.Y, rows, others)


def _what_is_watched(
    estimator: Any,
    recipe: Recipe,
    state: TrainingState,
    held_out: Data | None,
    given: bool,
) -> tuple:
    """Names what the best value is of: values of the same can be compared."""
    if not recipe.early_stopping or held_out is None:
        return ("loss",)
    scoring = estimator.scoring
    if scoring is not None and not isinstance(scoring, str):
        scoring = "callable"
    if given or state.split is None:
        return "X_val", scoring, len(held_out.Y)
    n_trained_on = state.split.n_rows - len(held_out.Y)
    return "held_out", scoring, n_trained_on, len(held_out.Y)


def _check(estimator: Any, data: Data, held_out: Data, given: bool) -> None:
    """Refuse rows by which no score can tell two models apart.

    Rows of X, drawn as scikit-learn draws them, are only warned about.
    """
    weights = held_out.sample_weight
    if weights is not None and not weights.any():
        raise ValueError(
            "Sample weights of the validation rows must contain at least one "
            "non-zero number."
        )
    Y = held_out.Y if weights is None else held_out.Y[weights > 0]
    if given and len(Y) < 2:
        raise ValueError(
            "The validation set is too small: X_val needs at least two rows of "
            "non-zero weight."
        )
    by_own_score = estimator.scoring is None and estimator._is_judged_by_score
    if not by_own_score or not _are_alike(Y) or _are_alike(data.Y):
        return
    message = (
        f"All rows of {'y_val' if given else 'y that were held out'} have the same "
        "target: no score on them can tell a good model from a bad one. Give X_val "
        "and y_val with different targets, or a scoring that works for such rows."
    )
    if given:
        raise ValueError(message)
    warn(message, UndefinedMetricWarning)


def _are_alike(Y: np.ndarray) -> bool:
    """Whether all rows are the same."""
    return bool((Y[0] == Y).all())


def _make_held_out(
    estimator: Any, state: TrainingState, data: Data, given: bool
) -> HeldOut:
    network = state.network
    evaluator = evaluator_of(network, replace(data, Y=estimator._trained_on(data.Y)))
    if estimator.scoring is None:
        return HeldOut(evaluator, estimator._own_score(data))
    judge = _scorer(estimator, state, data)
    missing = estimator._describe_missing(data.Y)
    if missing:
        can_judge, error = _try(estimator, judge)
        if not can_judge:
            raise ValueError(
                f"scoring={estimator.scoring!r} cannot judge "
                f"{'X_val and y_val' if given else 'the rows held out'}: "
                f"{missing}. Hold out rows of every class, or choose a scorer that "
                "does not need them."
            ) from error
    return HeldOut(evaluator, lambda outputs: judge())


def _try(estimator: Any, judge: Callable[[], float]) -> tuple[bool, ValueError | None]:
    """Whether the untrained network gets a score that is fit for its purpose."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score = judge()
    except ValueError as error:
        return False, error
    return not (estimator._is_judged_by_score and math.isnan(score)), None


def _scorer(estimator: Any, state: TrainingState, data: Data) -> Callable[[], float]:
    scorer = estimator._tell_classes(
        check_scoring(estimator, scoring=estimator.scoring)
    )
    settings, truth = {}, estimator._truth(data)
    if data.sample_weight is not None and _takes_weights(scorer):
        settings["sample_weight"] = data.sample_weight

    def judge() -> float:
        fitted = twin_of(estimator)
        # The rows that it is asked about have been validated, and lost their names.
        fitted.__dict__.pop("feature_names_in_", None)
        set_model(fitted, state)
        return float(scorer(fitted, data.X, truth, **settings))

    return judge


def _takes_weights(scorer: Callable) -> bool:
    """Whether a scorer, or the metric in it, has a parameter for sample weights."""
    metric = getattr(scorer, "_score_func", scorer)
    return "sample_weight" in signature(metric).parameters
