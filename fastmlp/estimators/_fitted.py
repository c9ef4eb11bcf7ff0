"""The fitted attributes: made from a state, and read back where users have set them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from fastmlp.estimators._publication import twin_of
from fastmlp.recipe import FULL_BATCH_SOLVERS
from fastmlp.state import TrainingState
from fastmlp.stopping import StopReason

# Of a fit by epochs; and of iterations too, where rows to judge by were given.
EPOCHS_ATTRIBUTES = ("loss_curve_", "best_loss_")
JUDGED_ATTRIBUTES = (
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "overfit_epoch_",
)


def set_model(estimator: Any, state: TrainingState) -> None:
    """Set what predictions need, and what a later fit goes on from."""
    network = state.network
    estimator._state = state
    estimator.coefs_ = list(network.weights)
    estimator.intercepts_ = list(network.biases)
    estimator.n_layers_ = len(network.layer_sizes)
    estimator.n_outputs_ = network.layer_sizes[-1]
    estimator.out_activation_ = network.output_activation
    estimator.t_ = state.n_samples_seen


def set_fitted_attributes(estimator: Any, state: TrainingState, goes_on: bool) -> None:
    """Set all attributes of a fit.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.
    state : TrainingState
        At the end of the fit.
    goes_on : bool
        Whether curves go on from those of the fit before.
    """
    set_model(estimator, state)
    estimator.history_ = state.history
    estimator.loss_ = state.loss
    estimator.n_iter_ = state.n_epochs
    estimator.stop_reason_ = str(state.stop_reason or StopReason.MAX_ITER)
    validated = "validation_score" in state.history
    if estimator.solver in FULL_BATCH_SOLVERS:
        for name in EPOCHS_ATTRIBUTES + (() if validated else JUDGED_ATTRIBUTES):
            estimator.__dict__.pop(name, None)
        if validated:
            _set_scores(estimator, state, goes_on, True)
        return
    early_stopping = estimator.early_stopping
    estimator.best_loss_ = None if early_stopping else -state.plateau.best
    estimator.loss_curve_ = _extend(estimator, "loss_curve_", "loss", goes_on)
    _set_scores(estimator, state, goes_on, early_stopping or validated)


def _set_scores(
    estimator: Any, state: TrainingState, goes_on: bool, validated: bool
) -> None:
    """Set what rows that are judged by have given, None where there are none."""
    estimator.overfit_epoch_ = state.overfitting.epoch
    scores = _extend(estimator, "validation_scores_", "validation_score", goes_on)
    losses = _extend(estimator, "validation_loss_curve_", "validation_loss", goes_on)
    best = state.plateau.best if estimator.early_stopping else -math.inf
    if best == -math.inf:
        best = max((s for s in scores if not math.isnan(s)), default=math.nan)
    estimator.validation_scores_ = scores if validated else None
    estimator.validation_loss_curve_ = losses if validated else None
    estimator.best_validation_score_ = best if validated else None


def _extend(estimator: Any, attribute: str, column: str, goes_on: bool) -> list[float]:
    """This fit's entries, behind those of the fits that it goes on from."""
    earlier = getattr(estimator, attribute, None) if goes_on else None
    return [*(earlier or []), *estimator.history_.get(column, [])]


def view_of(
    estimator: Any, goes_on: bool, state: TrainingState, ended: bool = False
) -> Any:
    """An estimator apart, fitted to a copy of the state.

    Parameters
    ----------
    estimator, goes_on
        As in :func:`set_fitted_attributes`; the estimator is left alone.
    state : TrainingState
        Of the fit under way.
    ended : bool, default=False
        Whether as if training had ended here, with the best parameters.
    """
    view, now = twin_of(estimator), state.copy()
    if ended:
        now.take_best()
    set_fitted_attributes(view, now, goes_on)
    return view


def read_progress(estimator: Any, state: TrainingState) -> None:
    """Samples seen and best value, as the attributes have them: users set them."""
    attributes = vars(estimator)
    unseen = attributes.get("t_", state.n_samples_seen) - state.n_samples_seen
    state.n_samples_seen += unseen
    if state.learning_rate is not None:
        scheduled = state.learning_rate.n_samples + unseen
        state.learning_rate = replace(state.learning_rate, n_samples=scheduled)
    if state.plateau.is_score:
        score = attributes.get("best_validation_score_")
        state.plateau.best = state.plateau.best if score is None else score
    else:
        loss = attributes.get("best_loss_")
        state.plateau.best = state.plateau.best if loss is None else -loss
