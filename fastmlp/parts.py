"""What workers send to each other: a few numbers and vectors in one piece of memory.

Nothing is copied on the way: kernels write into the memory that is sent, and read what
has been received where it lies.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from fastmlp.memory import aligned_empty
from fastmlp.network import Network
from fastmlp.optimizers import BatchGradient

# Room for the numbers: a line of the cache, so that the vectors begin on one.
HEADER_BYTES = 64


class Message:
    """Numbers and a vector.

    Parameters
    ----------
    size : int
        Of the vector.
    dtype : dtype
        Of the vector.

    Attributes
    ----------
    memory : ndarray of uint8
        The message as it is sent.
    numbers : ndarray of shape (8,)
        float64.
    vector : ndarray of shape (size,)
        On a line of the cache. Both are views of the memory.
    """

    def __init__(self, size: int, dtype: np.dtype) -> None:
        n_bytes = HEADER_BYTES + size * dtype.itemsize
        self.memory = aligned_empty(n_bytes, np.dtype(np.uint8))
        self.numbers = self.memory[:HEADER_BYTES].view(np.float64)
        self.numbers[:] = 0
        self.vector = self.memory[HEADER_BYTES:].view(dtype)


class Summand(Protocol):
    """What the workers add up."""

    memory: np.ndarray

    def add(self: S, other: S) -> S:
        """Add what other shards have, in place."""

    def pack(self) -> np.ndarray:
        """The message, with all numbers."""

    def unpack(self) -> bool:
        """Take the numbers of a message that has come; whether it counts."""


S = TypeVar("S", bound=Summand)


class Part(Message):
    """The gradient of some rows of a batch, summed and not yet divided.

    Parameters
    ----------
    network : Network
        Of which it is.

    Attributes
    ----------
    gradient : BatchGradient
        Of the sum of their losses.
    weight : float
        What they weigh.
    """

    def __init__(self, network: Network) -> None:
        n_params = network.params.size
        super().__init__(n_params + network.stats.size, network.dtype)
        vectors = self.vector[:n_params], self.vector[n_params:]
        self.gradient = BatchGradient(*vectors, 1.0)
        self.weight = 0.0

    def add(self, other: Part) -> Part:
        """Add the part of more rows, in place."""
        self.gradient.add(other.gradient)
        self.weight += other.weight
        return self

    def pack(self) -> np.ndarray:
        """The message, with all numbers."""
        gradient = self.gradient
        self.numbers[:3] = gradient.n_rows, self.weight, gradient.loss
        return self.memory

    def unpack(self) -> bool:
        """Take the numbers of a message that has come; whether it has rows."""
        n_rows, self.weight, loss = self.numbers[:3].tolist()
        gradient = self.gradient
        gradient.n_rows, gradient.loss, gradient.total_weight = int(n_rows), loss, 1.0
        return n_rows > 0
