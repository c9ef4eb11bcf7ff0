"""The networks that are trained, and the data they are trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain, pairwise
from typing import Any

import numpy as np

# Adam with the constants of every peer's default.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
LEARNING_RATE = 1e-3
# A step costs the same at any learning rate, as long as the numbers are of the
# same kind. Trained for the 100 000 steps of a measurement, a network fits its
# data or its units die; either fills gradients and moments with denormal numbers,
# which would time something else. So timed networks stay where they begin.
TIMED_LEARNING_RATE = 1e-7


# Output activation of each loss.
OUTPUT_ACTIVATIONS = {"log_loss": "softmax", "squared_error": "identity"}


@dataclass(frozen=True)
class Shape:
    """A network, its loss, and its batches; trained by Adam.

    Parameters
    ----------
    name : str
    units : sequence of int
        Units of each layer, the inputs first and the outputs last.
    batch_size : int
    n_steps : int
        Steps an epoch; every batch is full.
    activation : {'relu', 'tanh', 'logistic'}
        Of the hidden layers.
    loss : {'log_loss', 'squared_error'}
        Log-loss of a softmax, or half the squared error of the outputs as they are,
        summed over outputs; the mean over rows.
    dtype : {'float32', 'float64'}
    density : float or None
        Share of non-zeros, the inputs being compressed sparse rows; None for dense
        rows.
    """

    name: str
    units: Sequence[int]
    batch_size: int
    n_steps: int
    activation: str = "relu"
    loss: str = "log_loss"
    dtype: str = "float32"
    density: float | None = None

    @property
    def n_rows(self) -> int:
        """Rows of the training data."""
        return self.batch_size * self.n_steps

    @property
    def n_params(self) -> int:
        """Weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.units))

    @property
    def item_size(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    @property
    def flops(self) -> int:
        """Operations of a step's matrix products.

        Forward, weight gradient and input gradient; the first layer's input
        gradient is not needed, and its other two skip the zeros of sparse inputs.
        """
        first, *others = (n_in * n_out for n_in, n_out in pairwise(self.units))
        first_without_zeros = first * (1 if self.density is None else self.density)
        return round(2 * self.batch_size * (2 * first_without_zeros + 3 * sum(others)))

    def __str__(self) -> str:
        words = ["-".join(map(str, self.units)), f"batch {self.batch_size}"]
        usual = {field.name: field.default for field in fields(self)}
        words += [
            getattr(self, name).replace("_", " ")
            for name in ("activation", "loss", "dtype")
            if getattr(self, name) != usual[name]
        ]
        if self.density is not None:
            words.append(f"{self.density:.1%} non-zeros")
        return ", ".join(words)


# What is tuned for, and what the README shows.
MAIN_SHAPES = (
    Shape("digits", (64, 100, 10), 200, 9),
    Shape("tiny", (16, 32, 32, 2), 32, 64),
    Shape("tab", (32, 256, 256, 256, 2), 256, 32),
    Shape("mnist", (784, 512, 512, 10), 128, 32),
    Shape("wide", (784, 2048, 2048, 10), 256, 8),
    Shape("online", (64, 100, 10), 1, 500),
)
# What nothing is tuned for: other proportions, losses and types.
OTHER_SHAPES = (
    Shape("odd", (37, 101, 53, 7), 50, 32),
    Shape("one-output", (20, 64, 64, 1), 64, 32, loss="squared_error"),
    Shape("no-hidden", (54, 7), 100, 64),
    Shape("tanh", (30, 100, 100, 3), 128, 32, activation="tanh"),
    Shape("nielsen", (784, 30, 10), 10, 200, activation="logistic"),
    Shape("digits64", (64, 100, 10), 200, 9, dtype="float64"),
    Shape("tab64", (32, 256, 256, 256, 2), 256, 32, dtype="float64"),
    Shape("one-row", (784, 128, 10), 1, 500),
    Shape("full-batch", (64, 100, 10), 1797, 1),
    Shape("eight-rows", (10, 20, 3), 8, 200),
    Shape("pyramid", (20, 100, 80, 60, 40, 20, 3), 40, 64),
    Shape("deep", (32, *[64] * 6, 2), 64, 32),
    Shape("many-classes", (100, 200, 1000), 64, 32),
    Shape(
        *("many-outputs", (40, 128, 30), 32, 64),
        activation="tanh",
        loss="squared_error",
    ),
    Shape("narrow", (8, 4, 1), 32, 256, loss="squared_error"),
    Shape("small-batch", (256, 1024, 1024, 10), 32, 32),
    Shape("text", (20_000, 100, 4), 200, 8, density=0.003),
)
SHAPES = {shape.name: shape for shape in MAIN_SHAPES + OTHER_SHAPES}
# Names that stand for several shapes.
GROUPS = {
    "main": MAIN_SHAPES,
    "others": OTHER_SHAPES,
    "all": MAIN_SHAPES + OTHER_SHAPES,
}


def find_shapes(names: Iterable[str]) -> list[Shape]:
    """Return the shapes of names and groups, each once."""
    groups = [GROUPS.get(name) or (SHAPES[name],) for name in names]
    return list(dict.fromkeys(chain.from_iterable(groups)))


@dataclass(frozen=True)
class Problem:
    """A shape with its data and initial parameters, the same for every peer.

    Parameters
    ----------
    shape : Shape
    X : ndarray or csr_array of shape (n_rows, units[0])
    targets : ndarray
        Class indices of shape (n_rows,), or outputs of shape (n_rows, units[-1]).
    order : ndarray of shape (n_rows,), intp
        The order of the rows in every epoch, drawn beforehand.
    weights, biases : list of ndarray
        One a layer, of shapes (n_in, n_out) and (n_out,).
    n_threads : int
        Threads a peer may use.
    learning_rate : float
    """

    shape: Shape
    X: Any
    targets: np.ndarray
    order: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    n_threads: int
    learning_rate: float = TIMED_LEARNING_RATE

    @property
    def batches(self) -> np.ndarray:
        """The row indices of each step, of shape (n_steps, batch_size)."""
        return self.order.reshape(-1, self.shape.batch_size)


def draw_inputs(shape: Shape, rng: np.random.Generator):
    """Return dense or compressed sparse rows of normal numbers."""
    size = (shape.n_rows, shape.units[0])
    if shape.density is None:
        return rng.standard_normal(size, dtype=shape.dtype)
    import scipy.sparse

    return scipy.sparse.random_array(
        size,
        density=shape.density,
        format="csr",
        dtype=np.dtype(shape.dtype),
        rng=rng,
        data_sampler=rng.standard_normal,
    )


def draw_targets(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return classes, or normal numbers."""
    if shape.loss == "log_loss":
        return rng.integers(shape.units[-1], size=shape.n_rows, dtype=np.intp)
    return rng.standard_normal((shape.n_rows, shape.units[-1]), dtype=shape.dtype)


def make_problem(shape: Shape, n_threads: int) -> Problem:
    """Draw data and parameters for a shape, always the same."""
    rng = np.random.default_rng(0)
    weights, biases = [], []
    for n_in, n_out in pairwise(shape.units):
        bound = np.sqrt(6 / (n_in + n_out))
        weights.append(rng.uniform(-bound, bound, (n_in, n_out)).astype(shape.dtype))
        biases.append(rng.uniform(-bound, bound, n_out).astype(shape.dtype))
    return Problem(
        shape=shape,
        X=draw_inputs(shape, rng),
        targets=draw_targets(shape, rng),
        order=rng.permutation(shape.n_rows),
        weights=weights,
        biases=biases,
        n_threads=n_threads,
    )
