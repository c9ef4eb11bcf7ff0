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
    """All that a fit makes and a later one goes on from.

    Attributes
    ----------
    network, random_state, optimizer
        In the state that the last call left them in; between epochs the optimizer's
        learning rate is the schedule's, a warm-up's share not taken.
    schedule : str or None
        Name of the schedule that is followed.
    is_schedule_over : bool
        Whether the last call ended behind the schedule's last epoch.
    dropout_seed : int
        Of the masks; 0 before it is drawn.
    best, judged_by, n_stalled
        The best value so far, of what, and epochs without a better one.
    n_samples_seen, n_samples_scheduled, n_epochs_seen : int
        Rows trained on; those of them that the schedule counts; and its epochs.
    order, held_out : ndarray of intp or None
        Rows trained on in the order of the last epoch, and those kept from training
        for early stopping, if any.
    """

    network: Network
    random_state: np.random.RandomState
    optimizer: Optimizer | None = None
    schedule: str | None = None
    is_schedule_over: bool = False
    dropout_seed: int = 0
    best: float = -np.inf
    judged_by: object = None
    n_stalled: int = 0
    n_samples_seen: int = 0
    n_samples_scheduled: int = 0
    n_epochs_seen: int = 0
    order: np.ndarray | None = None
    held_out: np.ndarray | None = None

    def judge_by(self, judged_by: object) -> None:
        """Forget the best value if it was of something else."""
        if self.judged_by != judged_by:
            self.best, self.n_stalled = -np.inf, 0
        self.judged_by = judged_by

    def count_rows(self) -> int:
        """Rows of the last call, those held out counted; 0 before the first."""
        if self.order is None:
            return 0
        return len(self.order) + (0 if self.held_out is None else len(self.held_out))

    def copy_order(self) -> np.ndarray:
        """The rows to train on, to be put into a new order."""
        return np.arange(0) if self.order is None else self.order.copy()

    def follow(self, schedule: str, anew: bool) -> bool:
        """Have the schedule begin if it is another one, or is over and begins anew;
        True if it is another.
        """
        is_other = self.schedule != schedule
        if is_other or (anew and self.is_schedule_over):
            self.n_epochs_seen = 0
        self.schedule = schedule
        return is_other

    def take_in(self, loop: Loop, run: Run) -> None:
        """Where a run has ended is where the next one begins."""
        self.best, self.n_stalled = loop.plateau.best, loop.plateau.count
        self.n_samples_seen = loop.n_samples_seen
        self.n_samples_scheduled = loop.n_samples_scheduled
        self.n_epochs_seen = loop.n_epochs_seen
        self.is_schedule_over = loop.schedule.is_over(loop.n_epochs_seen)
        self.order = run.order
