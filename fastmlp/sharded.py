"""Steps whose rows lie in shards, on several machines: one fixed tree adds them up.

The shards of a fit are a power of two, whatever the number of workers: the leaves of a
binary tree. A worker has neighbouring shards, and adds up the whole branches that it
has. The first worker adds up the rest, takes the step, and tells the others the new
parameters. So the sums, and with them all bits, are those of one worker with all
shards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from fastmlp import _kernels
from fastmlp.network import Network
from fastmlp.optimizers import BatchGradient, Optimizer
from fastmlp.rows import Data

# The leaves from the first number to before the second.
Branch = tuple[int, int]


@dataclass
class Part:
    """The gradient of some rows of a batch, summed and not yet divided.

    Parameters
    ----------
    gradient : BatchGradient
        Of the sum of their losses.
    weight : float
        What they weigh.
    """

    gradient: BatchGradient
    weight: float

    def add(self, other: Part) -> Part:
        """Add the part of more rows, in place."""
        self.gradient.add(other.gradient)
        self.weight += other.weight
        return self


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
    """

    sizes: tuple[int, ...]
    batch_size: int
    seed: int | None

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(self.sizes)

    @property
    def n_steps(self) -> int:
        """Steps that take each row once."""
        return math.ceil(self.n_rows / self.batch_size)

    def order(self, shard: int) -> np.ndarray:
        """The order of a shard's rows."""
        rows = np.arange(self.sizes[shard])
        if self.seed is not None:
            np.random.RandomState([self.seed, shard]).shuffle(rows)
        return rows

    def count_rows(self, step: int, n_shards: int) -> int:
        """Rows that the first so many shards give to a step."""
        sizes = self.sizes[:n_shards]
        begin, end = (
            sum(s * t // self.n_steps for s in sizes) for t in (step, step + 1)
        )
        return end - begin

    def ends(self, shard: int) -> np.ndarray:
        """Where in its order each step's rows of a shard end, after a 0."""
        return np.arange(self.n_steps + 1) * self.sizes[shard] // self.n_steps


class Exchange(Protocol):
    """How a step's gradients come together, and its parameters get around."""

    is_first: bool

    def gather(self, found: dict[Branch, Part]) -> dict[Branch, Part]:
        """The branches of all workers at the first, whatever at others."""

    def share(self, params: np.ndarray) -> None:
        """Fill the parameters of all workers with those of the first."""


class Alone:
    """The exchange of a worker that has all shards."""

    is_first = True

    def gather(self, found: dict[Branch, Part]) -> dict[Branch, Part]:
        """What it has."""
        return found

    def share(self, params: np.ndarray) -> None:
        """Nobody is to be told."""


def branches(first: int, end: int, n_leaves: int) -> list[Branch]:
    """The largest branches whose leaves are all from first to before end."""
    found, begin = [], first
    while begin < end:
        width = begin & -begin or n_leaves
        while begin + width > end:
            width //= 2
        found.append((begin, begin + width))
        begin += width
    return found


def add_up(branch: Branch, found: dict[Branch, Part]) -> Part | None:
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


@dataclass
class ShardedEpoch:
    """An epoch of one worker.

    Parameters
    ----------
    network, optimizer : Network, Optimizer
        At the first worker, they are where training is; others follow.
    epoch : Epoch
        What all know.
    first : int
        Number of the worker's first shard.
    shards : sequence of tuple
        Its shards, as the kernels take them.
    exchange : Exchange
        With the others.
    """

    network: Network
    optimizer: Optimizer
    epoch: Epoch
    first: int
    shards: Sequence[Data]
    exchange: Exchange
    loss: float = field(default=0.0, init=False)
    gradient_norm: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Take all steps."""
        end = self.first + len(self.shards)
        numbers = range(self.first, end)
        orders = [self.epoch.order(number) for number in numbers]
        ends = [self.epoch.ends(number) for number in numbers]
        mine = branches(self.first, end, len(self.epoch.sizes))
        for step in range(self.epoch.n_steps):
            leaves = dict(self._differentiate(step, orders, ends))
            sums = {branch: add_up(branch, leaves) for branch in mine}
            found = {branch: part for branch, part in sums.items() if part is not None}
            found = self.exchange.gather(found)
            if self.exchange.is_first:
                self._apply(step, add_up((0, len(self.epoch.sizes)), found))
            else:
                self.optimizer.n_steps += 1  # dropout's masks are of a step
            self.exchange.share(self.network.params)

    def _differentiate(
        self, step: int, orders: list[np.ndarray], ends: list[np.ndarray]
    ) -> Iterator[tuple[Branch, Part]]:
        """The gradient of each shard's rows of a step."""
        n_before = self.epoch.count_rows(step, self.first)
        for number, (data, order) in enumerate(zip(self.shards, orders, strict=True)):
            rows = order[ends[number][step] : ends[number][step + 1]]
            X, Y, w = data
            weights = None if w is None else w[rows]
            weight = float(len(rows) if weights is None else weights.sum(dtype=float))
            if weight > 0:
                gradient = self.network.accumulate(
                    *(X[rows], Y[rows], weights),
                    optimizer=self.optimizer,
                    total_weight=1.0,
                    first_row=n_before,
                )
                shard = self.first + number
                yield (shard, shard + 1), Part(gradient, weight)
            n_before += len(rows)

    def _apply(self, step: int, total: Part | None) -> None:
        if total is None:  # a batch that weighs nothing takes no step
            return
        gradient = total.gradient
        gradient.scale(1 / total.weight)
        gradient.total_weight = total.weight
        self.gradient_norm = math.sqrt(_kernels.sum_squares(gradient.grad))
        n_rows, loss = self.epoch.count_rows(step, len(self.epoch.sizes)), gradient.loss
        penalty = self.optimizer.apply(
            self.network, gradient, batch_size=self.epoch.batch_size
        )
        self.loss += (loss + penalty) * n_rows / self.epoch.n_rows
