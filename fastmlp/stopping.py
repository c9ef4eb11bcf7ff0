"""When training has stalled, and when it has diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Plateau:
    """Counts successive epochs whose value was not better than the best by ``tol``.

    Larger is better: a loss is handed in with its sign changed. The comparisons are
    scikit-learn's, but that NaN is never better.

    Parameters
    ----------
    tol : float
        Least improvement that counts.
    patience : float
        Epochs without improvement that are borne; may be infinite.
    """

    tol: float
    patience: float
    best: float = -math.inf
    count: int = 0

    def update(self, value: float) -> bool:
        """Take in one epoch's value; True if it is the best so far."""
        self.count = 0 if value >= self.best + self.tol else self.count + 1
        is_best = value > self.best
        if is_best:
            self.best = value
        return is_best

    @property
    def reached(self) -> bool:
        """Whether patience has run out."""
        return self.count > self.patience


@dataclass
class Overfitting:
    """Sees when the training loss still falls, but the validation score has not risen.

    A score of NaN has not risen; while all scores are NaN, nothing is seen.

    Parameters
    ----------
    tol : float
        Least improvement that counts, of either.
    patience : float
        Epochs without a better score that are borne.

    Attributes
    ----------
    epoch : int or None
        Once over-fitting has been seen: epochs after which the score was best.
    """

    tol: float
    patience: float
    epoch: int | None = None
    _best_score: float = -math.inf
    _best_epoch: int = 0
    _loss_at_best: float = math.inf

    def update(self, epoch: int, loss: float, score: float) -> None:
        """Take in training loss and validation score after that many epochs."""
        if score >= self._best_score + self.tol:
            self._best_score, self._best_epoch = score, epoch
            self._loss_at_best = loss
        late = epoch - self._best_epoch > self.patience and self._best_epoch > 0
        if self.epoch is None and late and loss < self._loss_at_best - self.tol:
            self.epoch = self._best_epoch


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
    values = np.asarray(losses, dtype=float)
    if not len(values):
        return None
    if np.isfinite(values[-1]):
        limit = 10 * first if values[-1] == np.nanmax(values) else math.inf
        astray = values > limit
    else:
        astray = ~np.isfinite(values)
    return int(np.argmax(astray)) + 1 if astray.any() else None


def raise_if_diverged(numbers: np.ndarray) -> None:
    """ValueError if any of a solver's results is infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = numbers.sum()
    # A mask of all numbers is made only where their sum may have overflowed.
    if not np.isfinite(total) and not np.isfinite(numbers).all():
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain "
            "large values and need to be preprocessed."
        )
