"""Steps whose rows lie in shards, on several machines: one fixed tree adds them up.

The shards of a fit are a power of two, whatever the number of workers: the leaves of a
binary tree. A worker adds up the whole branches that it has, and passes them on until
the first worker has them all. It takes the step, and the new parameters go the same way
back. So the sums, and with them all bits, are those of one worker with all shards.
"""

from __future__ import annotations

import itertools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastmlp import _kernels
from fastmlp.first_half import FirstHalf
from fastmlp.network import Network
from fastmlp.optimizers import BatchGradient, Optimizer
from fastmlp.parts import Message, Part, S
from fastmlp.rows import Data

# The leaves from the first number to before the second.
Branch = tuple[int, int]


class Epoch(NamedTuple):
    """What all workers must know of an epoch.

    Parameters
    ----------
    sizes : tuple of int
        Rows of each shard, a power of two in number.
    batch_size : int
        Rows of a step, about: each shard gives its share.
    seed : int or None
        Of the order of the rows in the shards; None: as they lie.
    schedule : ndarray of SCHEDULED or None
        Numbers of each step, where they change from step to step
        (:meth:`fastmlp.optimizers.Optimizer.schedule`).
    sync_every : int
        1: gradients are added up in every step. Else steps that each shard takes by
        itself before their ends are averaged (:mod:`fastmlp.local_steps`).
    """

    sizes: tuple[int, ...]
    batch_size: int
    seed: int | None = None
    schedule: np.ndarray | None = None
    sync_every: int = 1

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(self.sizes)

    @property
    def n_steps(self) -> int:
        """Steps that take each row once."""
        return -(-self.n_rows // self.batch_size)

    def order(self, shard: int) -> np.ndarray:
        """The order of a shard's rows."""
        rows = np.arange(self.sizes[shard])
        if self.seed is not None:
            np.random.RandomState([self.seed, shard]).shuffle(rows)
        return rows

    def begins(self, step: int) -> np.ndarray:
        """Where in the order of each shard a step's rows begin."""
        return np.array(self.sizes) * step // self.n_steps

    def most_rows_of_a_step(self, shard: int) -> int:
        """Most rows that a shard gives to a step."""
        return -(-self.sizes[shard] // self.n_steps)

    def shares_over(self) -> np.ndarray:
        """What part of the epoch is over when each step begins."""
        done = [int(self.begins(step).sum()) for step in range(self.n_steps)]
        return np.array(done) / self.n_rows


class Exchange(Protocol):
    """How a step's gradients come together, and its parameters get around."""

    is_first: bool

    def prepare(self, make: Callable[[], Any]) -> None:
        """Have memory for the parts that come from others."""

    def gather(self, found: dict[Branch, S]) -> dict[Branch, S]:
        """The branches of all workers at the first, whatever at others."""

    def share(self, message: Message) -> None:
        """Fill the message of all workers with that of the first."""


class Alone:
    """The exchange of a worker that has all shards."""

    is_first = True

    def prepare(self, make: Callable[[], Any]) -> None:
        """Nothing comes."""

    def gather(self, found: dict[Branch, S]) -> dict[Branch, S]:
        """What it has."""
        return found

    def share(self, message: Message) -> None:
        """Nobody is to be told."""


def branches(leaves: Collection[int], n_leaves: int) -> list[Branch]:
    """The largest branches that have no other leaves than these."""
    chosen = np.zeros(n_leaves + 1, int)
    chosen[np.array([*leaves], int) + 1] = 1
    counts = np.cumsum(chosen)

    def within(first: int, end: int) -> list[Branch]:
        n_chosen = counts[end] - counts[first]
        if n_chosen == 0:
            return []
        if n_chosen == end - first:
            return [(first, end)]
        middle = (first + end) // 2
        return within(first, middle) + within(middle, end)

    return within(0, n_leaves)


def add_up(branch: Branch, found: Mapping[Branch, S]) -> S | None:
    """The sum over a branch, of branches below it; None where no shard has rows."""
    if branch in found:
        return found[branch]
    first, end = branch
    if end - first == 1:
        return None
    middle = (first + end) // 2
    left, right = (add_up(b, found) for b in ((first, middle), (middle, end)))
    if left is None or right is None:
        return left or right
    return left.add(right)


def add_up_all(wanted: Sequence[Branch], found: Mapping[Branch, S]) -> dict[Branch, S]:
    """The sums over those branches that have rows."""
    sums = ((branch, add_up(branch, found)) for branch in wanted)
    return {branch: part for branch, part in sums if part is not None}


class StepRows(NamedTuple):
    """What a shard gives to a step.

    Parameters
    ----------
    shard : int
        Its number.
    rows : ndarray of intp
        Numbers of the rows in it.
    weight : float
        What they weigh: more than nothing.
    first_row : int
        Rows of the step in the shards before it.
    """

    shard: int
    rows: np.ndarray
    weight: float
    first_row: int


class ShardWalk:
    """The way through a worker's shards in an epoch.

    Parameters
    ----------
    network, optimizer, epoch, shards, team
        As of :class:`WorkerEpoch`.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        epoch: Epoch,
        shards: Mapping[int, Data],
        team: Any,
    ) -> None:
        self._epoch = epoch
        self._begins: dict[int, list[int]] = {}
        self._orders = {number: epoch.order(number) for number in shards}
        self._halves = {
            number: FirstHalf(
                network, optimizer, data, epoch.most_rows_of_a_step(number), team
            )
            for number, data in shards.items()
        }

    def rows_of(self, step: int) -> Iterator[StepRows]:
        """What each shard that weighs anything gives to a step."""
        begins, ends = self._begin_and_end(step)
        firsts = [0, *itertools.accumulate(map(operator.sub, ends, begins))]
        for number, half in self._halves.items():
            rows = self._orders[number][begins[number] : ends[number]]
            weight = half.weigh(rows)
            if weight > 0:
                yield StepRows(number, rows, weight, firsts[number])

    def n_rows_of(self, step: int) -> int:
        """Rows of a step, in all shards."""
        begins, ends = self._begin_and_end(step)
        return sum(ends) - sum(begins)

    def _begin_and_end(self, step: int) -> tuple[list[int], list[int]]:
        """Where a step's rows begin and end in each shard; a step ends where the next
        begins.
        """
        for number in step, step + 1:
            if number not in self._begins:
                self._begins[number] = self._epoch.begins(number).tolist()
        self._begins = {number: self._begins[number] for number in (step, step + 1)}
        return self._begins[step], self._begins[step + 1]

    def differentiate(self, found: BatchGradient, some: StepRows) -> None:
        """Fill a gradient with that of the sum of the losses of those rows."""
        found.total_weight = 1.0
        self._halves[some.shard].find(found, some.rows, some.weight, some.first_row)


class WorkerEpoch(ABC):
    """An epoch of one worker, whatever its steps are.

    Parameters
    ----------
    network, optimizer : Network, Optimizer
        At the first worker, they are where training is; others follow.
    epoch : Epoch
        What all know.
    shards : dict
        The worker's shards by their numbers, as the kernels take them.
    exchange : Exchange
        With the others.
    team : Team, default=None
        Threads that share the work.

    Attributes
    ----------
    loss : float
        Mean over the rows so far of the objective of their batch before its step.
    n_rows_done : int
        Rows of the steps that are over.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        epoch: Epoch,
        shards: Mapping[int, Data],
        exchange: Exchange,
        team: Any = None,
    ) -> None:
        self.network, self.optimizer, self.epoch = network, optimizer, epoch
        self.loss, self.n_rows_done = 0.0, 0
        self._exchange, self._team = exchange, team
        self._walk = ShardWalk(network, optimizer, epoch, shards, team)
        self._mine = branches(shards, len(epoch.sizes))
        self._begin(shards)

    @abstractmethod
    def _begin(self, shards: Collection[int]) -> None:
        """Have memory, and all workers in the same state."""

    @abstractmethod
    def steps(self) -> Iterator[int]:
        """Take steps, and yield the number of the last."""

    def _sum(self, leaves: Iterable[tuple[Branch, S]]) -> S | None:
        """The sum over the shards of all workers, at the first; None at others, and
        where no shard has rows.
        """
        found = self._exchange.gather(add_up_all(self._mine, dict(leaves)))
        if not self._exchange.is_first:
            return None
        return add_up((0, len(self.epoch.sizes)), found)


class ShardedEpoch(WorkerEpoch):
    """An epoch whose gradients are added up in every step; see :class:`WorkerEpoch`."""

    def _begin(self, shards: Collection[int]) -> None:
        network = self.network
        self._exchange.prepare(partial(Part, network))
        self._parts = {number: Part(network) for number in shards}
        self._last: BatchGradient | None = None
        # From now on the parameters lie in the message that tells others of them.
        self._told = Message(network.params.size, network.dtype)
        network.move_params(self._told.vector)

    @property
    def gradient_norm(self) -> float:
        """‖g‖ of the last step's data term."""
        if self._last is None:
            return 0.0
        return math.sqrt(_kernels.sum_squares(self._last.grad))

    def run(self) -> None:
        """Take all steps."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[int]:
        """Take a step, and yield its number."""
        epoch, optimizer = self.epoch, self.optimizer
        for step in range(epoch.n_steps):
            if epoch.schedule is not None:
                optimizer.follow(epoch.schedule[step])
            n_rows = self._walk.n_rows_of(step)
            self._apply(n_rows, self._sum(self._differentiate(step)))
            self._told.numbers[0] = optimizer.n_steps
            self._exchange.share(self._told)
            optimizer.n_steps = int(self._told.numbers[0])
            self.n_rows_done += n_rows
            yield step

    def _differentiate(self, step: int) -> Iterator[tuple[Branch, Part]]:
        """The gradient of each shard's rows of a step."""
        for some in self._walk.rows_of(step):
            part = self._parts[some.shard]
            part.weight = some.weight
            self._walk.differentiate(part.gradient, some)
            yield (some.shard, some.shard + 1), part

    def _apply(self, n_rows: int, total: Part | None) -> None:
        if total is None:  # a batch that weighs nothing takes no step
            return
        gradient = self._last = total.gradient
        gradient.scale(1 / total.weight)
        gradient.total_weight = total.weight
        loss = gradient.loss
        penalty = self.optimizer.apply(
            self.network, gradient, batch_size=self.epoch.batch_size, team=self._team
        )
        self.loss += (loss + penalty) * n_rows / self.epoch.n_rows
