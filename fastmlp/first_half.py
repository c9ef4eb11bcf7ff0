"""The first half of training steps: gradients of rows, in memory that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import _kernels
from fastmlp.workspace import block_rows, build_arena, count_training_entries

if TYPE_CHECKING:
    from fastmlp.network import Network
    from fastmlp.optimizers import BatchGradient, Optimizer
    from fastmlp.rows import Data


class FirstHalf:
    """Finds gradients of batches whose rows lie in the same arrays.

    Parameters
    ----------
    network, optimizer : Network, Optimizer
        Whose next steps the gradients are for; neither is changed.
    data : tuple
        Rows, targets and weights, as ``Network.as_data`` makes them.
    n_rows : int
        Most rows of a batch.
    team : Team, default=None
        Threads that share the work.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        data: Data,
        n_rows: int,
        team: Any = None,
    ) -> None:
        self._network, self._optimizer = network, optimizer
        self._data, self._team = data, team
        # Moments are those of all rows of the batch that are here.
        self._capacity = n_rows
        if not network.batch_norm:
            self._capacity = block_rows(n_rows, network.plan)
        n_more = count_training_entries(
            network.plan, self._capacity, gathers=not isinstance(data[0], tuple)
        )
        self._arena = build_arena(
            network.arena_entries, self._capacity, network.dtype, n_more
        )
        self._terms = network.plan, network.objective, network.numbers

    def weigh(self, rows: np.ndarray) -> float:
        """What rows weigh."""
        weights = self._data[2]
        return float(len(rows) if weights is None else weights[rows].sum(dtype=float))

    def find(
        self, found: BatchGradient, rows: np.ndarray, weight: float, first_row: int
    ) -> None:
        """Fill a gradient with that of some rows.

        Parameters
        ----------
        found : BatchGradient
            Its total weight is that of the whole batch.
        rows : ndarray of intp
            Numbers of the rows.
        weight : float
            What they weigh.
        first_row : int
            Rows of the batch before these.
        """
        network = self._network
        # Moments are weighted within the rows that are there.
        divisor = weight if network.batch_norm else found.total_weight
        found.loss = _kernels.compute_batch_gradient(
            *(found.grad, found.moments, self._arena, *self._data),
            *(network.params, self._optimizer.rule, rows, *self._terms, divisor),
            *(first_row, len(rows), self._capacity),
            team=self._team,
        )
        found.scale(divisor / found.total_weight)
        found.n_rows = len(rows)
