"""The networks that are trained, and the data they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Adam with the constants of every peer's default.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
LEARNING_RATE = 1e-3
# A step costs the same at any learning rate, as long as the numbers are of the
# same kind. Trained for the 100 000 steps of a measurement, a network fits its
# data or its units die; either fills gradients and moments with denormal numbers,
# which would time something else. So timed networks stay where they begin.
TIMED_LEARNING_RATE = 1e-7


@dataclass(frozen=True)
class Shape:
    """A network and its batches: relu, softmax, log-loss, float32, Adam.

    Parameters
    ----------
    name : str
    units : tuple of int
        Units of each layer, the inputs first and the classes last.
    batch_size : int
    n_steps : int
        Steps an epoch; every batch is full.
    """

    name: str
    units: tuple[int, ...]
    batch_size: int
    n_steps: int

    @property
    def n_rows(self) -> int:
        """Rows of the training data."""
        return self.batch_size * self.n_steps

    @property
    def n_params(self) -> int:
        """Weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.units))

    @property
    def flops(self) -> int:
        """Operations of a step's matrix products.

        Forward, weight gradient and input gradient; the first layer's input
        gradient is not needed.
        """
        products = [n_in * n_out for n_in, n_out in pairwise(self.units)]
        return 2 * self.batch_size * (3 * sum(products) - products[0])

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.units))}, batch {self.batch_size}"


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("digits", (64, 100, 10), 200, 9),
        Shape("tiny", (16, 32, 32, 2), 32, 64),
        Shape("tab", (32, 256, 256, 256, 2), 256, 32),
        Shape("mnist", (784, 512, 512, 10), 128, 32),
        Shape("wide", (784, 2048, 2048, 10), 256, 8),
        Shape("online", (64, 100, 10), 1, 500),
    )
}


@dataclass(frozen=True)
class Problem:
    """A shape with its data and initial parameters, the same for every peer.

    Parameters
    ----------
    shape : Shape
    X : ndarray of shape (n_rows, units[0]), float32
    labels : ndarray of shape (n_rows,), intp
    order : ndarray of shape (n_rows,), intp
        The order of the rows in every epoch, drawn beforehand.
    weights, biases : list of ndarray, float32
        One a layer, of shapes (n_in, n_out) and (n_out,).
    n_threads : int
        Threads a peer may use.
    learning_rate : float
    """

    shape: Shape
    X: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    n_threads: int
    learning_rate: float = TIMED_LEARNING_RATE

    @property
    def batches(self) -> np.ndarray:
        """The row indices of each step, of shape (n_steps, batch_size)."""
        return self.order.reshape(-1, self.shape.batch_size)


def make_problem(shape: Shape, n_threads: int) -> Problem:
    """Draw data and parameters for a shape, always the same."""
    rng = np.random.default_rng(0)
    weights, biases = [], []
    for n_in, n_out in pairwise(shape.units):
        bound = np.sqrt(6 / (n_in + n_out))
        weights.append(rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32))
        biases.append(rng.uniform(-bound, bound, n_out).astype(np.float32))
    return Problem(
        shape=shape,
        X=rng.standard_normal((shape.n_rows, shape.units[0]), dtype=np.float32),
        labels=rng.integers(shape.units[-1], size=shape.n_rows, dtype=np.intp),
        order=rng.permutation(shape.n_rows),
        weights=weights,
        biases=biases,
        n_threads=n_threads,
    )
