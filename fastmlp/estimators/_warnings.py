"""Warnings: how a fit has ended, at the caller's line."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import sklearn
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

from fastmlp.recipe import Recipe
from fastmlp.state import TrainingState
from fastmlp.stopping import StopReason, epoch_of_divergence

_INSIDE = tuple(
    str(Path(str(module.__file__)).parent)
    for module in (sys.modules["fastmlp"], sklearn)
)

AGAINST_DIVERGENCE = (
    "Try a smaller learning_rate_init, a grad_clip_norm of 1, or scaled data: "
    "StandardScaler for X, TransformedTargetRegressor for a regressor's y."
)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside of fastmlp and scikit-learn that has led here.

    Parameters
    ----------
    message : str
        What to say.
    category : type, default=UserWarning
        Of the warning.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_of_ending(
    estimator: Any, recipe: Recipe, state: TrainingState, incremental: bool
) -> None:
    """Warn where a fit has not ended as it should.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    recipe, state : Recipe, TrainingState
        Of the fit.
    incremental : bool
        Whether it was one of ``partial_fit``.
    """
    diverged = _describe_divergence(estimator, recipe, state, incremental)
    if state.stop_reason == StopReason.INTERRUPTED:
        warn("Training interrupted by user.")
    elif diverged:
        warn(f"Training diverged: {diverged} {AGAINST_DIVERGENCE}", ConvergenceWarning)
    elif recipe.is_full_batch:
        _warn_of_full_batch(estimator, state)
    elif state.stop_reason == StopReason.MAX_ITER and not incremental:
        warn(
            f"Stochastic Optimizer: Maximum iterations ({recipe.n_epochs}) reached "
            "and the optimization hasn't converged yet.",
            ConvergenceWarning,
        )
    _warn_of_scores(estimator, state)


def _warn_of_full_batch(estimator: Any, state: TrainingState) -> None:
    if state.stop_reason in (StopReason.MAX_ITER, StopReason.NO_PROGRESS):
        warn(
            f"{estimator.solver} failed to converge after {state.n_epochs} "
            f"iteration(s): {state.message}. You might want to increase max_iter "
            f"({estimator.max_iter}) or max_fun ({estimator.max_fun}), or to scale "
            "the data.",
            ConvergenceWarning,
        )


def _describe_divergence(
    estimator: Any, recipe: Recipe, state: TrainingState, incremental: bool
) -> str:
    """What the training loss did in which epoch, if it is that of divergence."""
    losses = state.history.get("loss", [])
    if not losses:
        return ""
    curve = getattr(estimator, "loss_curve_", losses)
    # A warm start has no first loss of its own, and a part of the data none at all.
    first = math.inf if incremental else max(curve[0], losses[0])
    epoch = epoch_of_divergence(losses, first)
    if epoch is None:
        return ""
    name, unit = (
        ("J", "iteration") if recipe.is_full_batch else ("the training loss", "epoch")
    )
    before = f" from {losses[0]:.3g}" if epoch > 1 else ""
    by = None if recipe.is_full_batch else recipe.keeps_best_by
    kept = f"best validation {by}" if by else f"last {unit}"
    return (
        f"{name} went{before} to {losses[epoch - 1]:.3g} in {unit} {epoch}. The "
        f"parameters of the {kept} are kept."
    )


def _warn_of_scores(estimator: Any, state: TrainingState) -> None:
    scores = state.history.get("validation_score", [])
    is_judged = estimator._is_judged_by_score
    if not scores or not is_judged or state.stop_reason == StopReason.DIVERGED:
        return
    if all(math.isnan(score) for score in scores):
        warn(
            f"All {len(scores)} validation scores were NaN: no epoch could be "
            "judged by them. Is scoring defined for the validation rows?",
            UndefinedMetricWarning,
        )
