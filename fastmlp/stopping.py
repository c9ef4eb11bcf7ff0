"""Why training ends: the reasons, and a rule for each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from fastmlp.fitting import Fit
    from fastmlp.recipe import Recipe
    from fastmlp.rows import RowSource

Logs = dict[str, float]


class StopReason(StrEnum):
    """Values of ``stop_reason_``."""

    MAX_ITER = "max_iter"
    TOL = "tol"
    EARLY_STOPPING = "early_stopping"
    OVERFITTING = "overfitting"
    PARAM_TOL = "param_tol"
    MAX_SECONDS = "max_seconds"
    GTOL = "gtol"
    NO_PROGRESS = "no_progress"
    CALLBACK = "callback"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class StopRule(Protocol):
    """Looks at every epoch, or iteration of a full-batch solver."""

    def begin(self, fit: Fit) -> None:
        """Before the first epoch."""

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """Take an epoch's figures; the reason to stop, if there is one."""


@dataclass
class Plateau:
    """Counts successive epochs whose value was not better than the best by ``tol``.

    Larger is better: a loss is handed in with its sign changed. The comparisons are
    scikit-learn's, but that NaN is never better.

    Parameters
    ----------
    best : float
        The best value so far.
    n_stalled : int
        Epochs without improvement.
    watched : tuple
        What the values are of: the training loss, or a score of which rows.
    """

    best: float = -math.inf
    n_stalled: int = 0
    watched: tuple = ("loss",)

    @property
    def is_score(self) -> bool:
        """Whether the values are validation scores, and not training losses."""
        return self.watched[0] != "loss"

    def watch(self, *watched: object) -> None:
        """Forget the best value if it was of something else."""
        if self.watched != watched:
            self.best, self.n_stalled = -math.inf, 0
        self.watched = watched

    def update(self, value: float, tol: float) -> bool:
        """Take one epoch's value; True if it is the best so far."""
        self.n_stalled = 0 if value >= self.best + tol else self.n_stalled + 1
        is_best = value > self.best
        if is_best:
            self.best = value
        return is_best


class StopAtDivergence:
    """Parameters that are infinite or NaN learn nothing any more."""

    def begin(self, fit: Fit) -> None:
        """Nothing to prepare."""

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """DIVERGED if the loss and a parameter are not finite."""
        if math.isfinite(logs["loss"]) or all_finite([fit.state.network.params]):
            return None
        return StopReason.DIVERGED


@dataclass
class StopAtPlateau:
    """Training has stalled, and the schedule has no lower rate to go on with.

    Parameters
    ----------
    tol : float
        Least improvement that counts.
    patience : float
        Epochs without improvement that are allowed; may be infinite.
    """

    tol: float
    patience: float

    def begin(self, fit: Fit) -> None:
        """Nothing to prepare."""

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """EARLY_STOPPING or TOL, by what is watched."""
        plateau = fit.state.plateau
        if plateau.n_stalled <= self.patience:
            return None
        what = "Validation score" if plateau.is_score else "Training loss"
        stalled = (
            f"{what} did not improve more than tol={self.tol:f} for "
            f"{self.patience:d} consecutive epochs."
        )
        if fit.recipe.is_full_batch:
            fit.say(f"{stalled} Stopping.")
            return StopReason.EARLY_STOPPING
        _, rate, _ = fit.state.first_order
        if rate.lower():
            fit.say(f"{stalled} Setting learning rate to {rate.value:f}")
            plateau.n_stalled = 0
            return None
        fit.say(f"{stalled} {rate.stop_message}")
        return StopReason.EARLY_STOPPING if plateau.is_score else StopReason.TOL


@dataclass
class Overfitting:
    """Sees when the training loss still falls, but the validation score has not risen.

    A score of NaN has not risen; while all scores are NaN, nothing is seen.

    Attributes
    ----------
    epoch : int or None
        Once over-fitting has been seen: epochs after which the score was best.
    """

    epoch: int | None = None
    best_score: float = -math.inf
    best_epoch: int = 0
    loss_at_best: float = math.inf

    def update(
        self, epoch: int, loss: float, score: float, tol: float, patience: float
    ) -> None:
        """Take training loss and validation score after that many epochs.

        Parameters
        ----------
        epoch : int
            Epochs that are over.
        loss, score : float
            Of the last one.
        tol : float
            Least improvement that counts, of either.
        patience : float
            Epochs without a better score that are allowed.
        """
        if score >= self.best_score + tol:
            self.best_score, self.best_epoch, self.loss_at_best = score, epoch, loss
        late = epoch - self.best_epoch > patience and self.best_epoch > 0
        if self.epoch is None and late and loss < self.loss_at_best - tol:
            self.epoch = self.best_epoch


@dataclass
class StopAtOverfitting:
    """Over-fitting is looked for; seeing it ends training, if that is asked for.

    Parameters
    ----------
    tol, patience : float
        See :meth:`Overfitting.update`.
    stops : bool
        Whether it ends training.
    """

    tol: float
    patience: float
    stops: bool

    def begin(self, fit: Fit) -> None:
        """Nothing to prepare."""

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """OVERFITTING once it has been seen."""
        seen = fit.state.overfitting
        score = logs["validation_score"]
        seen.update(fit.n_epochs, logs["loss"], score, self.tol, self.patience)
        return StopReason.OVERFITTING if self.stops and seen.epoch is not None else None


@dataclass
class StopAtParamTol:
    """No parameter has moved by ``param_tol`` over an epoch.

    Parameters
    ----------
    param_tol : float
        Least movement that counts.
    """

    param_tol: float
    _before: np.ndarray = field(init=False)

    def begin(self, fit: Fit) -> None:
        """Remember where the parameters are."""
        self._before = fit.state.network.params.copy()

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """PARAM_TOL if all have stayed where they were."""
        params = fit.state.network.params
        moved = np.abs(params - self._before).max()
        self._before[:] = params
        return StopReason.PARAM_TOL if moved < self.param_tol else None


@dataclass
class StopAtTime:
    """So many seconds have passed since the fit began.

    Parameters
    ----------
    max_seconds : float
        Also of the epochs before, where an interrupted fit goes on.
    """

    max_seconds: float
    _started: float = field(init=False)

    def begin(self, fit: Fit) -> None:
        """Note the time."""
        earlier = sum(fit.state.history.get("seconds", []))
        self._started = time.perf_counter() - earlier

    def update(self, fit: Fit, logs: Logs) -> StopReason | None:
        """MAX_SECONDS if the time is over."""
        over = time.perf_counter() - self._started >= self.max_seconds
        return StopReason.MAX_SECONDS if over else None


def stop_rules(recipe: Recipe, is_validated: bool) -> list[StopRule]:
    """The rules that a recipe asks for, the first that fires giving the reason.

    Parameters
    ----------
    recipe : Recipe
        What was asked for.
    is_validated : bool
        Whether there are rows that training is judged by.
    """
    rules: list[StopRule] = []
    has_epochs = not recipe.is_full_batch
    stall = recipe.tol, recipe.n_iter_no_change
    if has_epochs:
        rules.append(StopAtDivergence())
    if is_validated:
        rules.append(StopAtOverfitting(*stall, stops=recipe.stop_on_overfit))
    if has_epochs or (is_validated and recipe.early_stopping):
        rules.append(StopAtPlateau(*stall))
    if has_epochs and recipe.param_tol is not None:
        rules.append(StopAtParamTol(recipe.param_tol))
    if recipe.max_seconds is not None:
        rules.append(StopAtTime(recipe.max_seconds))
    return rules


class DivergenceError(ValueError):
    """Training has ended at numbers that are infinite or NaN."""


def all_finite(arrays: Iterable[np.ndarray]) -> bool:
    """Whether no entry of any array is infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        # A mask of all numbers is made only where their sum may have overflowed.
        return all(
            math.isfinite(array.sum()) or bool(np.isfinite(array).all())
            for array in arrays
        )


def raise_if_diverged(fit: Fit, rows: RowSource) -> None:
    """DivergenceError if anything that a fit leaves behind is infinite or NaN.

    Parameters
    ----------
    fit : Fit
        At its end.
    rows : RowSource
        What was trained on.
    """
    state = fit.state
    results: dict[str, Any] = {
        "parameter weights": state.network.params,
        "running moments": state.network.stats,
    }
    if state.optimizer is not None:
        results["optimizer state"] = state.optimizer.slots
    if fit.keeps_best_by is None:
        # Of a fit that has gone back to its best epoch, that epoch's was finite.
        results["loss"] = np.float64(state.loss)
    if not all_finite(results.values()):
        what = next(name for name, x in results.items() if not all_finite([x]))
        raise DivergenceError(
            f"Solver produced non-finite {what}. The input data may contain large "
            f"values and need to be preprocessed. {_describe_divergence(fit, rows)}"
        )


def _describe_divergence(fit: Fit, rows: RowSource) -> str:
    """Where it was, by which figures, and what may help."""
    losses = np.array(fit.state.history.get("loss", []))
    finite = losses[np.isfinite(losses)]
    norms = fit.state.history.get("gradient_norm", [])
    figures = [
        f"Training ended in epoch {max(1, len(losses))}",
        f"the last finite loss was {finite[-1]:.6g}" if len(finite) else "",
        f"the gradient's norm was {norms[-1]:.3g}" if norms else "",
        f"the largest input is {rows.largest_input():.3g}",
    ]
    return (
        f"{', '.join(filter(None, figures))}. Inputs and targets of unit variance, a "
        "smaller learning_rate_init or grad_clip_norm=1 may help."
    )


def asks_to_stop(answer: object) -> bool:
    """Whether a callback has returned True, Python's or NumPy's, and nothing else."""
    return isinstance(answer, bool | np.bool_) and bool(answer)


def epoch_of_divergence(losses: Sequence[float], first: float) -> int | None:
    """Epoch, counted from 1, in which training went astray, or None if it did not.

    That is where the loss became infinite or NaN and ended so; else, if the loss was
    never as large as at the end, where it became ten times the first.

    Parameters
    ----------
    losses : sequence of float
        Training loss of each epoch.
    first : float
        Loss at the beginning.
    """
    if not losses:
        return None
    limit, last = 10 * first, losses[-1]
    if not math.isfinite(last):
        astray = ~np.isfinite(losses)
    elif last > limit and last == np.nanmax(losses):
        astray = np.greater(losses, limit)
    else:
        return None
    return int(np.argmax(astray)) + 1
