"""Epochs of steps over a source of rows. The steps are native."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp.memory import aligned_empty
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import RowSource
from fastmlp.threads import Pace
from fastmlp.workspace import block_rows, build_arena, count_training_entries

# Work asked of the engine at a time, in seconds: Python sees Ctrl-C in between.
SLICE_SECONDS = 0.01


class Trainer:
    """Runs epochs of a network over a source of rows.

    Parameters
    ----------
    network : Network
        Its parameters are updated in place.
    optimizer : Optimizer
        Its state is updated in place.
    rows : RowSource
        Where the rows come from; never copied as a whole.
    batch_size : int
        Rows of one step.
    team : Team, default=None
        Threads that share each step (:func:`fastmlp.threads.thread_team`); the bits
        are the same for any number of them.
    schedule : callable, default=None
        Where numbers of the optimizer change from step to step: takes the shares of the
        epoch that are over when steps begin, and returns those steps' numbers
        (:meth:`fastmlp.optimizers.Optimizer.schedule`).
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        rows: RowSource,
        *,
        batch_size: int,
        team: Any = None,
        schedule: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.rows = rows
        self.batch_size = batch_size
        self._schedule = schedule
        self._pace = Pace(team)
        self._capacity = 0
        self._reserve(batch_size)
        self._grads = aligned_empty(network.params.size, network.dtype)
        self._slice_batches = 1
        self._objective = network.objective
        self._objective["cap"] = _largest_row_loss(network)

    @property
    def team(self) -> Any:
        """The threads that do the next slice of work; None for one."""
        return self._pace.team

    @property
    def gradient_norm(self) -> float:
        """‖g‖ of the last step's data term, before it was clipped."""
        return math.sqrt(_kernels.sum_squares(self._grads))

    def run_epoch(
        self,
        order: np.ndarray,
        on_slice: Callable[[int], None] | None = None,
    ) -> float:
        """One step for each successive batch of rows.

        Parameters
        ----------
        order : ndarray of intp
            Rows of the source; the last batch may be short.
        on_slice : callable, default=None
            Called after each slice of work, with the rows that are done.

        Returns
        -------
        float
            Mean over rows of the objective of their batch before its step.
        """
        total, n_done = 0.0, 0
        for data, rows in self.rows.chunks(order):
            for some, batch_size in self._slices(rows, data[2]):
                started, terms = time.perf_counter(), self._terms(batch_size)
                numbers = None
                if self._schedule is not None:
                    begins = np.arange(n_done, n_done + len(some), batch_size)
                    numbers = self._schedule(begins / len(order))
                total = _kernels.train(
                    *(*self._model, *data, some, *terms, total, numbers)
                )
                self._adapt(len(some), time.perf_counter() - started)
                n_done += len(some)
                if on_slice is not None:
                    on_slice(n_done)
        return total / n_done

    def _slices(
        self, rows: np.ndarray, sample_weight: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, int]]:
        """Rows for one native call each, and how many of them a step takes."""
        batch_size, n_joined = self.batch_size, 0
        if self.network.batch_norm:
            rows = self._rows_of_weight(rows, sample_weight)
            batch_size = min(batch_size, len(rows))
            n_joined = _count_joined(len(rows), batch_size)
        self._reserve(max(self.batch_size, n_joined))
        begin, end = 0, len(rows) - n_joined
        while begin < end:
            next_begin = min(begin + self._slice_batches * batch_size, end)
            yield rows[begin:next_begin], batch_size
            begin = next_begin
        if n_joined:
            yield rows[end:], n_joined

    def _rows_of_weight(
        self, rows: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """The rows without those of weight zero, which moments do not see."""
        if sample_weight is not None:
            rows = rows[sample_weight[rows] != 0]
        if min(len(rows), self.batch_size) < 2:
            raise ValueError(
                "batch_norm needs at least two rows of non-zero weight in every batch, "
                f"got {len(rows)} such rows and batch_size={self.batch_size}"
            )
        return rows

    def _reserve(self, n_rows: int) -> None:
        """Have an arena for batches of so many rows."""
        # Normalisation looks at the whole batch at once.
        capacity = n_rows
        if not self.network.batch_norm:
            capacity = block_rows(n_rows, self.network.plan)
        if capacity == self._capacity:
            return
        gathers = not self.rows.is_sparse
        self._capacity = capacity
        self._arena = build_arena(
            self.network.arena_entries,
            capacity,
            self.network.dtype,
            count_training_entries(self.network.plan, capacity, gathers=gathers),
        )

    @property
    def _model(self) -> tuple:
        network, optimizer = self.network, self.optimizer
        return (
            *(network.params, network.stats, self._grads),
            *(optimizer.slots, optimizer.rule, self._arena),
        )

    def _terms(self, batch_size: int) -> tuple:
        network = self.network
        return (
            *(network.plan, self._objective, network.numbers),
            *(batch_size, self._capacity, self.team),
        )

    def _adapt(self, n_rows: int, seconds: float) -> None:
        """Choose who does the next slice, and how long it is to be."""
        self._pace.record(n_rows, seconds)
        if seconds < SLICE_SECONDS / 2:
            self._slice_batches *= 2
        elif seconds > SLICE_SECONDS and self._slice_batches > 1:
            self._slice_batches //= 2


def _count_joined(n_rows: int, batch_size: int) -> int:
    """Rows of the last two batches where the last would be a single row, which has no
    variance, so that they are made one; else 0.
    """
    return batch_size + 1 if n_rows % batch_size == 1 else 0


def _largest_row_loss(network: Network) -> float:
    """What one row and output may add to the reported training loss.

    scikit-learn clips probabilities at the type's epsilon before it takes their
    logarithm, and so do the losses reported here; the gradient never is clipped.
    """
    if network.loss_name == "log_loss":
        return -float(np.log(np.finfo(network.dtype).eps))
    return float("inf")
