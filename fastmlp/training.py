"""The loop over epochs: order, schedule, stopping, history. The epochs are native."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp.inputs import Inputs
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.stopping import Plateau, raise_if_diverged
from fastmlp.threads import Pace
from fastmlp.workspace import BLOCK_ROWS, aligned_empty, build_arena

# Work asked of the engine at a time, in seconds: Python sees Ctrl-C in between.
SLICE_SECONDS = 0.05


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
        self._data = (X, Y, sample_weight)
        self._capacity = min(batch_size, BLOCK_ROWS)
        n_gathered = 0 if isinstance(X, tuple) else network.layer_sizes[0]
        self._arena = build_arena(
            network.layers, self._capacity, network.dtype, n_gathered
        )
        self._grads = aligned_empty(network.params.size, network.dtype)
        self._slice_batches = 1
        self._cap = _largest_share(network)
        optimizer.rule["alpha"] = network.alpha

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
        total = 0.0
        begin = 0
        while begin < len(order):
            end = begin + self._slice_batches * self.batch_size
            total += self._run_slice(order[begin:end])
            begin = end
        return total / len(order)

    def _run_slice(self, order: np.ndarray) -> float:
        started = time.perf_counter()
        total = _kernels.train(
            self.network.params,
            self._grads,
            self.optimizer.slots,
            self.optimizer.rule,
            self._arena,
            *self._data,
            order,
            self.network.layers,
            _kernels.LOSSES[self.network.loss_name],
            self._cap,
            self.batch_size,
            self._capacity,
            self._pace.crew,
        )
        seconds = time.perf_counter() - started
        self._pace.record(len(order), seconds)
        if seconds < SLICE_SECONDS / 2:
            self._slice_batches *= 2
        elif seconds > SLICE_SECONDS and self._slice_batches > 1:
            self._slice_batches //= 2
        return total


def _largest_share(network: Network) -> float:
    """What one row and output may add to the reported training loss.

    scikit-learn clips probabilities at the type's epsilon before it takes their
    logarithm, and so do the losses reported here; the gradient never is clipped.
    """
    if network.loss_name == "log_loss":
        return -float(np.log(np.finfo(network.dtype).eps))
    return float("inf")


@dataclass
class Run:
    """What one call to :func:`fit_first_order` did.

    Attributes
    ----------
    loss_curve : list of float
        Mean training objective of each epoch.
    validation_scores : list of float
        Validation score after each epoch; empty without validation.
    best_params : ndarray of shape (n_params,) or None
        Parameters of the best validation score, those at the start if no epoch was
        better than what ``loop.plateau`` knew; None without validation.
    order : ndarray of intp or None
        The rows in the order of the last epoch.
    stop_reason : str
        'max_iter', 'tol', 'interrupted' or 'diverged'.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best_params: np.ndarray | None = None
    order: np.ndarray | None = None
    stop_reason: str = "max_iter"


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
    validate : callable, default=None
        ``validate(network) -> float``, a score by which to stop in place of the
        training loss.
    n_samples_seen : int, default=0
        Rows trained on by earlier calls.
    report : callable, default=None
        Takes each line of progress.
    """

    schedule: Schedule
    plateau: Plateau
    random_state: np.random.RandomState
    max_iter: int
    shuffle: bool = True
    validate: Callable[[Network], float] | None = None
    n_samples_seen: int = 0
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
        The rows of the data to train on.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the parameters have become infinite or NaN.
    """
    run = Run()
    if loop.validate is not None:
        run.best_params = trainer.network.params.copy()
    try:
        _run_epochs(trainer, loop, rows, run)
    except KeyboardInterrupt:
        run.stop_reason = "interrupted"
    if run.best_params is not None:
        trainer.network.params[:] = run.best_params
    raise_if_diverged(trainer.network.params)
    return run


def _run_epochs(trainer: Trainer, loop: Loop, rows: np.ndarray, run: Run) -> None:
    for epoch in range(1, loop.max_iter + 1):
        if loop.shuffle:
            rows = reshuffle(rows, loop.random_state)
        run.order = rows
        loss = trainer.run_epoch(rows)
        run.loss_curve.append(loss)
        loop.n_samples_seen += len(rows)
        _say(loop, f"Iteration {epoch}, loss = {loss:.8f}")
        _judge(trainer.network, loop, run)
        if not np.isfinite(loss) and not np.isfinite(trainer.network.params).all():
            run.stop_reason = "diverged"
            return
        if _should_stop(trainer.optimizer, loop, run):
            return


def reshuffle(rows: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
    """The rows in a new order, with the draws of ``sklearn.utils.shuffle``."""
    permutation = np.arange(len(rows))
    random_state.shuffle(permutation)
    return rows[permutation]


def _judge(network: Network, loop: Loop, run: Run) -> None:
    """Take the epoch's validation score, or else its loss, into the plateau."""
    if loop.validate is None:
        loop.plateau.update(-run.loss_curve[-1])
        return
    score = loop.validate(network)
    run.validation_scores.append(score)
    _say(loop, f"Validation score: {score:f}")
    if loop.plateau.update(score):
        run.best_params = network.params.copy()


def _should_stop(optimizer: Optimizer, loop: Loop, run: Run) -> bool:
    """Move the learning rate; at a plateau it may be time to stop."""
    rate = loop.schedule.after_epoch(optimizer.learning_rate, loop.n_samples_seen)
    optimizer.learning_rate = rate
    if not loop.plateau.reached:
        return False
    what = "Training loss" if loop.validate is None else "Validation score"
    stalled = (
        f"{what} did not improve more than tol={loop.plateau.tol:f} for "
        f"{loop.plateau.patience:d} consecutive epochs."
    )
    lower = loop.schedule.after_plateau(rate)
    if lower is None:
        _say(loop, f"{stalled} {loop.schedule.last_words}")
        run.stop_reason = "tol"
        return True
    _say(loop, f"{stalled} Setting learning rate to {lower:f}")
    optimizer.learning_rate = lower
    loop.plateau.count = 0
    return False


def _say(loop: Loop, line: str) -> None:
    if loop.report is not None:
        loop.report(line)
