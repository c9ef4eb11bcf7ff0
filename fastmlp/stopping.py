"""When training has stalled, and when it has diverged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Plateau:
    """Counts successive epochs whose value was not better than the best by ``tol``.

    Larger is better: a loss is handed in with its sign changed. The comparisons
    are scikit-learn's, NaN counting as an improvement included.

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
        self.count = self.count + 1 if value < self.best + self.tol else 0
        is_best = value > self.best
        if is_best:
            self.best = value
        return is_best

    @property
    def reached(self) -> bool:
        """Whether patience has run out."""
        return self.count > self.patience


def raise_if_diverged(numbers: np.ndarray) -> None:
    """ValueError if any of a solver's results is infinite or NaN."""
    if not np.isfinite(numbers).all():
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain "
            "large values and need to be preprocessed."
        )
