"""What a fit works on and what it makes: validated data, and the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.inputs import refusing_overflow
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.training import Loop, Run


@dataclass
class Data:
    """A validated data set: X, a matrix or sparse rows; targets as they were given and
    encoded; weights.
    """

    X: Any
    y: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None

    def astype(self, dtype: np.dtype) -> Data:
        """The same data for a network of that type; not copied if they have it.

        Raises
        ------
        ValueError
            If one of the numbers is too large for the type.
        """
        if self.X.dtype == dtype:
            return self
        with refusing_overflow("X, y or sample_weight", dtype):
            return self._map(lambda array: array.astype(dtype, copy=False), self.y)

    def take(self, rows: np.ndarray) -> Data:
        """Those rows."""
        return self._map(lambda array: array[rows], self.y[rows])

    def _map(self, f: Callable[[np.ndarray], np.ndarray], y: np.ndarray) -> Data:
        weights = self.sample_weight
        return Data(f(self.X), y, f(self.Y), None if weights is None else f(weights))


@dataclass
class Model:
    """All that a fit makes and a later one goes on from."""

    network: Network
    random_state: np.random.RandomState
    optimizer: Optimizer | None = None
    learning_rate: object = None
    dropout_seed: int = 0
    best: float = -np.inf
    best_is_score: bool = False
    n_stalled: int = 0
    n_samples_seen: int = 0
    n_epochs_seen: int = 0
    order: np.ndarray | None = None

    def judge_by(self, score: bool) -> None:
        """Forget the best value if it was of another kind, a loss or a score."""
        if self.best_is_score != score:
            self.best, self.n_stalled = -np.inf, 0
        self.best_is_score = score

    def take_in(self, loop: Loop, run: Run) -> None:
        """Where a run has ended is where the next one begins."""
        self.best, self.n_stalled = loop.plateau.best, loop.plateau.count
        self.n_samples_seen = loop.n_samples_seen
        self.n_epochs_seen = loop.n_epochs_seen
        self.order = None if loop.early_stopping else run.order
