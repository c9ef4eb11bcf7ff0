"""Steps that each shard takes by itself, until their ends are averaged.

Between two averages nothing is sent. The average is that of parameters, optimizer state
and running moments, each shard counting by what its rows weigh, added up in the tree of
:mod:`fastmlp.sharded`: so these bits do not depend on the workers either.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import partial

import numpy as np

from fastmlp import _kernels
from fastmlp.memory import aligned_empty
from fastmlp.network import Network
from fastmlp.optimizers import BatchGradient, Optimizer
from fastmlp.parts import Message
from fastmlp.sharded import Branch, StepRows, WorkerEpoch

# Where a message has the number of steps.
STEPS = 3


class Whereabouts(Message):
    """All that steps change: where a shard has got to, times what its rows weigh.

    Parameters
    ----------
    network, optimizer : Network, Optimizer
        Whose numbers they are.

    Attributes
    ----------
    numbers : ndarray
        First: what the rows of these steps weigh, their part of the epoch's loss,
        the squared norm of the last gradient times that weight, and how many steps the
        optimizer has taken.
    """

    def __init__(self, network: Network, optimizer: Optimizer) -> None:
        n_slots = _kernels.SLOTS[optimizer.name]
        size = (1 + n_slots) * network.params.size + network.stats.size
        super().__init__(size, network.dtype)

    def store(self, network: Network, optimizer: Optimizer) -> None:
        """Take what they hold."""
        parts = network.params, network.stats, *optimizer.slots
        np.concatenate(parts, out=self.vector)
        self.numbers[:] = 0
        self.numbers[STEPS] = optimizer.n_steps

    def load(self, network: Network, optimizer: Optimizer) -> None:
        """Have them hold it."""
        begin = 0
        for part in (network.params, network.stats, *optimizer.slots):
            part[:] = self.vector[begin : begin + part.size]
            begin += part.size
        optimizer.n_steps = int(self.numbers[STEPS])

    def weigh(self, weight: float, loss: float, square: float) -> None:
        """Count by so much."""
        self.vector *= weight
        self.numbers[:STEPS] = weight, loss, weight * square

    def add(self, other: Whereabouts) -> Whereabouts:
        """Add that of other shards, in place."""
        self.vector += other.vector
        n_steps = max(self.numbers[STEPS], other.numbers[STEPS])
        self.numbers += other.numbers
        self.numbers[STEPS] = n_steps
        return self

    def pack(self) -> np.ndarray:
        """The message."""
        return self.memory

    def unpack(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.numbers[0])


class LocalEpoch(WorkerEpoch):
    """An epoch whose shards are by themselves for so many steps.

    Parameters
    ----------
    network, optimizer, epoch, shards, exchange, team
        See :class:`fastmlp.sharded.WorkerEpoch`.

    Attributes
    ----------
    gradient_norm : float
        Root of the mean square of the shards' last ‖g‖.
    """

    gradient_norm = 0.0

    def _begin(self, shards: Collection[int]) -> None:
        network, optimizer = self.network, self.optimizer
        self._gradient = BatchGradient(
            aligned_empty(network.params.size, network.dtype),
            np.empty_like(network.stats),
            1.0,
        )
        make = partial(Whereabouts, network, optimizer)
        self._exchange.prepare(make)
        self._common, self._ends = make(), {number: make() for number in shards}
        self._spread()

    def _spread(self) -> None:
        """Have all workers begin with the state of the first."""
        if self._exchange.is_first:
            self._common.store(self.network, self.optimizer)
        self._exchange.share(self._common)
        shape = _kernels.SLOTS[self.optimizer.name], self.network.params.size
        if self.optimizer.slots.shape != shape:  # only the first had any
            self.optimizer.slots = aligned_empty(shape, self.network.dtype)
        self._common.load(self.network, self.optimizer)

    def steps(self) -> Iterator[int]:
        """Take steps up to the next average, and yield the number of the last."""
        epoch = self.epoch
        for first in range(0, epoch.n_steps, epoch.sync_every):
            steps = range(first, min(first + epoch.sync_every, epoch.n_steps))
            self._average(self._sum(self._take(steps)))
            self._exchange.share(self._common)
            self._common.load(self.network, self.optimizer)
            self.n_rows_done += sum(map(self._walk.n_rows_of, steps))
            yield steps[-1]

    def _take(self, steps: range) -> Iterator[tuple[Branch, Whereabouts]]:
        """Where those steps take each shard from where all are."""
        planned: dict[int, list[tuple[int, StepRows]]] = {}
        for step in steps:
            for some in self._walk.rows_of(step):
                planned.setdefault(some.shard, []).append((step, some))
        for shard, batches in planned.items():
            self._common.load(self.network, self.optimizer)
            losses = [self._step(*batch) for batch in batches]
            end = self._ends[shard]
            end.store(self.network, self.optimizer)
            square = _kernels.sum_squares(self._gradient.grad)
            end.weigh(sum(some.weight for _, some in batches), sum(losses), square)
            yield (shard, shard + 1), end

    def _step(self, step: int, some: StepRows) -> float:
        """Take a step of a shard; its part of the epoch's loss."""
        epoch, gradient = self.epoch, self._gradient
        if epoch.schedule is not None:
            self.optimizer.follow(epoch.schedule[step])
        self._walk.differentiate(gradient, some)
        gradient.scale(1 / some.weight)
        # The penalty is divided by what the step weighs over all shards.
        n_rows = len(some.rows)
        gradient.total_weight = some.weight * self._walk.n_rows_of(step) / n_rows
        penalty = self.optimizer.apply(
            self.network,
            gradient,
            batch_size=epoch.most_rows_of_a_step(some.shard),
            team=self._team,
        )
        return (gradient.loss + penalty) * n_rows / epoch.n_rows

    def _average(self, total: Whereabouts | None) -> None:
        if total is None:  # batches that weigh nothing take no steps
            return
        weight, loss, square, n_steps = total.numbers[: STEPS + 1].tolist()
        np.multiply(total.vector, 1 / weight, out=self._common.vector)
        self._common.numbers[STEPS] = n_steps
        self.loss += loss
        self.gradient_norm = math.sqrt(square / weight)
