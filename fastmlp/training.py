"""The loop over epochs: order, schedule, stopping, history. The epochs are native."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp.evaluation import Evaluator
from fastmlp.inputs import Inputs, as_array
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.stopping import (
    Overfitting,
    Plateau,
    asks_to_stop,
    raise_if_diverged,
)
from fastmlp.threads import Pace
from fastmlp.workspace import (
    BLOCK_ROWS,
    aligned_empty,
    build_arena,
    count_training_entries,
)

# What is recorded of every epoch, and what besides where there is validation.
COLUMNS = ("loss", "learning_rate", "gradient_norm", "seconds")
VALIDATION_COLUMNS = ("validation_score", "validation_loss")

# Work asked of the engine at a time, in seconds: Python sees Ctrl-C in between.
SLICE_SECONDS = 0.01


class Trainer:
    """Runs epochs of a network over one data set.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place.
    optimizer : Optimizer
        Its state is updated in place.
    X : Inputs
        Rows as :func:`fastmlp.inputs.as_inputs` makes them; never copied.
    Y : ndarray of shape (n_samples, n_target_columns)
        Encoded targets: one column of class indices under softmax.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.
    batch_size : int
        Rows of one step.
    crew : Crew, default=None
        Threads that share each step (:func:`fastmlp.threads.gather_crew`); the bits
        are the same for any number of them.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        X: Inputs,
        Y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        batch_size: int,
        crew: Any = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.batch_size = batch_size
        self._pace = Pace(crew)
        if sample_weight is not None:
            sample_weight = as_array(sample_weight, network.dtype)
        self._data = (X, as_array(Y, network.dtype), sample_weight)
        self._capacity = 0
        self._reserve(batch_size)
        self._grads = aligned_empty(network.params.size, network.dtype)
        self._slice_batches = 1
        self._objective = network.objective
        self._objective["cap"] = _largest_share(network)

    @property
    def crew(self) -> Any:
        """The threads that do the next slice of work; None for one."""
        return self._pace.crew

    @property
    def gradient_norm(self) -> float:
        """‖g‖ of the last step's data term, before it was clipped."""
        return math.sqrt(_kernels.sum_squares(self._grads))

    def run_epoch(self, order: np.ndarray) -> float:
        """One step for each successive batch of rows.

        Parameters
        ----------
        order : ndarray of intp
            Rows of X; the last batch may be short.

        Returns
        -------
        float
            Mean over rows of the objective of their batch before its step.
        """
        batch_size, n_joined = self.batch_size, 0
        if self.network.batch_norm:
            order = self._rows_of_weight(order)
            batch_size = min(batch_size, len(order))
            n_joined = _count_joined(len(order), batch_size)
        self._reserve(max(self.batch_size, n_joined))
        total, begin, end = 0.0, 0, len(order) - n_joined
        while begin < end:
            size = self._slice_batches * batch_size
            rows = order[begin : min(begin + size, end)]
            total = self._run_slice(rows, batch_size, total)
            begin += size
        if n_joined:
            total = self._run_slice(order[end:], n_joined, total)
        return total / len(order)

    def _rows_of_weight(self, order: np.ndarray) -> np.ndarray:
        """The rows without those of weight zero, which moments do not see."""
        sample_weight = self._data[2]
        if sample_weight is not None:
            order = order[sample_weight[order] != 0]
        if min(len(order), self.batch_size) < 2:
            raise ValueError(
                "batch_norm needs two rows or more in every batch, not counting rows "
                f"of weight zero: there are {len(order)}, batch_size={self.batch_size}"
            )
        return order

    def _reserve(self, n_rows: int) -> None:
        """Have an arena for batches of so many rows."""
        # Normalisation looks at the whole batch at once.
        capacity = n_rows if self.network.batch_norm else min(n_rows, BLOCK_ROWS)
        if capacity == self._capacity:
            return
        gathers = not isinstance(self._data[0], tuple)
        self._capacity = capacity
        self._arena = build_arena(
            self.network.arena_entries,
            capacity,
            self.network.dtype,
            count_training_entries(self.network.plan, capacity, gathers=gathers),
        )

    def _run_slice(self, order: np.ndarray, batch_size: int, total: float) -> float:
        started = time.perf_counter()
        total = _kernels.train(
            self.network.params,
            self.network.stats,
            self._grads,
            self.optimizer.slots,
            self.optimizer.rule,
            self._arena,
            *self._data,
            order,
            self.network.plan,
            self._objective,
            self.network.numbers,
            batch_size,
            self._capacity,
            self.crew,
            total,
        )
        seconds = time.perf_counter() - started
        self._pace.record(len(order), seconds)
        if seconds < SLICE_SECONDS / 2:
            self._slice_batches *= 2
        elif seconds > SLICE_SECONDS and self._slice_batches > 1:
            self._slice_batches //= 2
        return total


def _count_joined(n_rows: int, batch_size: int) -> int:
    """Rows of the last two batches where the last would be a single row, which has no
    variance, so that they are made one; else 0.
    """
    return batch_size + 1 if n_rows % batch_size == 1 else 0


def _largest_share(network: Network) -> float:
    """What one row and output may add to the reported training loss.

    scikit-learn clips probabilities at the type's epsilon before it takes their
    logarithm, and so do the losses reported here; the gradient never is clipped.
    """
    if network.loss_name == "log_loss":
        return -float(np.log(np.finfo(network.dtype).eps))
    return float("inf")


@dataclass
class Validation:
    """What training is judged by: rows that it does not see.

    Parameters
    ----------
    evaluator : Evaluator
        Of these rows, by the network that is trained.
    score : callable
        ``score(outputs) -> float`` of the network's outputs for these rows; larger is
        better.
    """

    evaluator: Evaluator
    score: Callable[[np.ndarray], float]

    def judge(self, crew: Any) -> dict[str, float]:
        """Score, and mean loss of the rows without penalty, by these threads."""
        self.evaluator.crew = crew
        loss, outputs = self.evaluator.data_loss_and_outputs()
        return {"validation_score": self.score(outputs), "validation_loss": loss}


@dataclass
class Run:
    """What one call to :func:`fit_first_order` did.

    Attributes
    ----------
    history : dict of list of float
        One entry an epoch: 'loss', 'learning_rate', 'gradient_norm', 'seconds', and
        with validation 'validation_score' and 'validation_loss'.
    best : tuple of ndarray or None
        Parameters and running moments of the best validation score, those at the start
        if no epoch was better than what ``loop.plateau`` knew; None where the plateau
        is not the validation score's.
    order : ndarray of intp or None
        The rows in the order of the last epoch.
    stop_reason : str
        'max_iter', 'tol', 'early_stopping', 'overfitting', 'param_tol', 'callback',
        'interrupted' or 'diverged'.
    overfit_epoch : int or None
        Epochs after which the validation score was best, once over-fitting was seen.
    """

    history: dict[str, list[float]]
    best: tuple[np.ndarray, np.ndarray] | None = None
    order: np.ndarray | None = None
    stop_reason: str = "max_iter"
    overfit_epoch: int | None = None

    @property
    def n_epochs(self) -> int:
        """Epochs that were finished."""
        return len(self.history["loss"])

    def record(self, logs: dict[str, float]) -> None:
        """Take in one epoch's figures."""
        for name, value in logs.items():
            self.history[name].append(value)


@dataclass
class Loop:
    """How epochs follow each other.

    Parameters
    ----------
    schedule : Schedule
        Learning rate from epoch to epoch.
    plateau : Plateau
        When training has stalled; updated in place.
    random_state : RandomState
        Source of the shuffles.
    max_iter : int
        Epochs.
    shuffle : bool
        Whether each epoch draws a new order.
    validation : Validation, default=None
        Rows that training is judged by.
    early_stopping : bool, default=False
        Whether the plateau is the validation score's, and the best parameters come
        back, and not the training loss's.
    overfitting : Overfitting, default=None
        Told of every epoch's training loss and validation score.
    stop_on_overfit : bool, default=False
        Whether seeing over-fitting ends training.
    param_tol : float, default=None
        Training ends when no parameter has moved by as much over an epoch.
    n_samples_seen, n_epochs_seen : int, default=0
        Rows trained on by earlier calls, and epochs of the schedule that are over.
    callbacks : sequence of callable, default=()
        Each is called as ``f(epoch, logs)`` after an epoch, counted from 0; True ends
        training.
    before_epoch : callable, default=None
        Called at the beginning of each epoch.
    after_epoch : callable, default=None
        Called with the run at the end of each epoch; True ends training.
    report : callable, default=None
        Takes each line of progress.
    """

    schedule: Schedule
    plateau: Plateau
    random_state: np.random.RandomState
    max_iter: int
    shuffle: bool = True
    validation: Validation | None = None
    early_stopping: bool = False
    overfitting: Overfitting | None = None
    stop_on_overfit: bool = False
    param_tol: float | None = None
    n_samples_seen: int = 0
    n_epochs_seen: int = 0
    callbacks: Sequence[Callable[[int, dict[str, float]], object]] = ()
    before_epoch: Callable[[], None] | None = None
    after_epoch: Callable[[Run], bool] | None = None
    report: Callable[[str], None] | None = None


def fit_first_order(trainer: Trainer, loop: Loop, rows: np.ndarray) -> Run:
    """Train until ``loop`` says stop.

    Ctrl-C ends training; what has been learnt is kept.

    Parameters
    ----------
    trainer : Trainer
        Network, optimizer and data.
    loop : Loop
        How epochs follow each other.
    rows : ndarray of intp
        The rows of the data to train on; put in each epoch's order in place.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the parameters have become infinite or NaN.
    """
    columns = COLUMNS if loop.validation is None else COLUMNS + VALIDATION_COLUMNS
    run = Run({name: [] for name in columns})
    network, run.order = trainer.network, rows
    if loop.early_stopping:
        run.best = network.params.copy(), network.stats.copy()
    try:
        _run_epochs(trainer, loop, rows, run)
    except KeyboardInterrupt:
        run.stop_reason = "interrupted"
    if loop.overfitting is not None:
        run.overfit_epoch = loop.overfitting.epoch
    if run.best is not None:
        network.params[:], network.stats[:] = run.best
    raise_if_diverged(network.params)
    return run


def _run_epochs(trainer: Trainer, loop: Loop, rows: np.ndarray, run: Run) -> None:
    optimizer, params = trainer.optimizer, trainer.network.params
    for epoch in range(loop.max_iter):
        if loop.before_epoch is not None:
            loop.before_epoch()
        optimizer.learning_rate = loop.schedule.before_epoch(
            loop.n_epochs_seen, optimizer.learning_rate, loop.n_samples_seen
        )
        before = None if loop.param_tol is None else params.copy()
        if loop.shuffle:
            reshuffle(rows, loop.random_state)
        logs = _run_epoch(trainer, loop, rows, epoch)
        run.record(logs)
        asked = [asks_to_stop(f(epoch, dict(logs))) for f in loop.callbacks]
        reason = _judge(trainer, loop, run, logs, before)
        optimizer.learning_rate = loop.schedule.after_fit(
            optimizer.learning_rate, loop.n_samples_seen
        )
        if loop.after_epoch is not None:
            asked.append(loop.after_epoch(run))
        if reason is not None or any(asked):
            run.stop_reason = reason or "callback"
            return


def _run_epoch(
    trainer: Trainer, loop: Loop, rows: np.ndarray, epoch: int
) -> dict[str, float]:
    """One epoch's figures."""
    started = time.perf_counter()
    loss = trainer.run_epoch(rows)
    loop.n_samples_seen += len(rows)
    loop.n_epochs_seen += 1
    _say(loop, f"Iteration {epoch + 1}, loss = {loss:.8f}")
    logs = {
        "loss": loss,
        "learning_rate": trainer.optimizer.learning_rate,
        "gradient_norm": trainer.gradient_norm,
    }
    if loop.validation is not None:
        logs.update(loop.validation.judge(trainer.crew))
        _say(loop, f"Validation score: {logs['validation_score']:f}")
    logs["seconds"] = time.perf_counter() - started
    return logs


def reshuffle(rows: np.ndarray, random_state: np.random.RandomState) -> None:
    """Put the rows in a new order, that of ``sklearn.utils.shuffle``."""
    random_state.shuffle(rows)


def _judge(
    trainer: Trainer,
    loop: Loop,
    run: Run,
    logs: dict[str, float],
    before: np.ndarray | None,
) -> str | None:
    """Take the epoch in; the reason to stop, if there is one."""
    network = trainer.network
    is_best = loop.plateau.update(
        logs["validation_score"] if loop.early_stopping else -logs["loss"]
    )
    if loop.early_stopping and is_best:
        run.best = network.params.copy(), network.stats.copy()
    if not np.isfinite(logs["loss"]) and not np.isfinite(network.params).all():
        return "diverged"
    if loop.overfitting is not None:
        loop.overfitting.update(run.n_epochs, logs["loss"], logs["validation_score"])
        if loop.stop_on_overfit and loop.overfitting.epoch is not None:
            return "overfitting"
    if loop.plateau.reached and not _go_on_slower(trainer.optimizer, loop):
        return "early_stopping" if loop.early_stopping else "tol"
    if before is not None and np.abs(network.params - before).max() < loop.param_tol:
        return "param_tol"
    return None


def _go_on_slower(optimizer: Optimizer, loop: Loop) -> bool:
    """At a plateau: whether the schedule has a lower rate to go on with."""
    what = "Validation score" if loop.early_stopping else "Training loss"
    stalled = (
        f"{what} did not improve more than tol={loop.plateau.tol:f} for "
        f"{loop.plateau.patience:d} consecutive epochs."
    )
    lower = loop.schedule.after_plateau(optimizer.learning_rate)
    if lower is None:
        _say(loop, f"{stalled} {loop.schedule.last_words}")
        return False
    _say(loop, f"{stalled} Setting learning rate to {lower:f}")
    optimizer.learning_rate = lower
    loop.plateau.count = 0
    return True


def _say(loop: Loop, line: str) -> None:
    if loop.report is not None:
        loop.report(line)
