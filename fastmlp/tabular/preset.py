"""How the networks of a table are made and trained: the recipe, chosen once.

Nothing here looks at a set's content, only at its size and its task. The numbers are
those of RealMLP, in its neural tangent parametrisation: z = x W/√d + b, W ~ N(0, 1).
Here V = W/√d is stored, so V ~ N(0, 1/d), and a step of Adam, which does not know how
large a gradient is, is as much smaller. One rate for all layers is the one of the
hidden layers; the first layer gets its own by larger inputs.

References
----------
D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: Strong pre-tuned MLPs
and boosted trees on tabular data", NeurIPS 2024, arXiv:2407.04491.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.recipe import OptimizerSettings, Recipe
from fastmlp.schedules import OfProgress, ScheduleSettings

# Epochs of a table of up to so many rows; a larger one gets fewer, but no less than
# these.
EPOCHS, ROWS, LEAST_EPOCHS = 256, 10_000, 32
# Share of the highest rate at which a wave is over: there parameters are kept. Where
# the rate is high, they move so far in an epoch that the best is best by chance.
OVER = 0.02


class Defaults(NamedTuple):
    """What a task's parameters are where the user gives none.

    Numbers without noise, and targets that are a smooth function of them, are learnt
    best without dropout and decay; classes are not.
    """

    activation: str
    learning_rate_init: float
    dropout: float
    weight_decay: float


@dataclass(frozen=True)
class Preset:
    """What all members of a model share.

    Parameters
    ----------
    head : Head
        Loss and output activation.
    hidden_layer_sizes : sequence of int
        Units of each hidden layer.
    activation : str
        Of the hidden layers.
    rate : float
        η of the neural tangent parametrisation.
    n_epochs, batch_size : int
        Epochs, and rows of a step.
    dropout, weight_decay : float
        Both fall to 0 along half a cosine over the second half of the fit.
    max_seconds : float or None
        Of each member.
    n_threads : int or None
        Inside each member; None: as many as pay.
    """

    head: Head
    hidden_layer_sizes: Sequence[int]
    activation: str
    rate: float
    n_epochs: int
    batch_size: int
    dropout: float
    weight_decay: float
    max_seconds: float | None
    n_threads: int | None

    @property
    def width(self) -> int:
        """Inputs of the second layer, by which the stored rate is divided."""
        return self.hidden_layer_sizes[0] if len(self.hidden_layer_sizes) else 1

    def input_factor(self, n_inputs: int) -> float:
        """What inputs are multiplied by, so that the first layer learns at its rate."""
        return math.sqrt(self.width / n_inputs)

    def make_recipe(self) -> Recipe:
        """What each member is trained by: of the epochs at whose end a wave is over,
        the best one's parameters are kept.
        """
        stored = self.rate / math.sqrt(self.width)
        decay = self.weight_decay * math.sqrt(self.width)
        return Recipe(
            self.head,
            tuple(self.hidden_layer_sizes),
            self.activation,
            dropout=_falling(self.dropout),  # type: ignore[arg-type]
            solver="adamw",
            optimizer=OptimizerSettings(
                beta_1=0.9,
                beta_2=0.95,
                weight_decay=_falling(decay),  # type: ignore[arg-type]
            ),
            schedule=ScheduleSettings(
                OfProgress(lambda t: stored * four_waves(t)),
                stored,
                max_iter=self.n_epochs,
            ),
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            tol=0.0,
            n_iter_no_change=math.inf,
            early_stopping=True,
            best_epoch="last",
            settled_rate=OVER * stored,
            max_seconds=self.max_seconds,
            n_threads=self.n_threads,
        )

    def make_network(
        self, n_inputs: int, n_outputs: int, random_state: np.random.RandomState
    ) -> Network:
        """A network with initial parameters: outputs of 0, biases of unit variance."""
        sizes = [n_inputs, *self.hidden_layer_sizes, n_outputs]
        recipe = self.make_recipe()
        network = recipe.make_network(sizes, np.dtype(np.float32), random_state)
        for layer, (W, b) in enumerate(
            zip(network.weights, network.biases, strict=True)
        ):
            fan_in = W.shape[0] if layer else self.width
            W[...] = random_state.normal(0, 1 / math.sqrt(fan_in), W.shape)
            b[...] = random_state.normal(0, 1, b.shape)
        network.weights[-1][...] = 0
        network.biases[-1][...] = 0
        return network


def four_waves(t: float) -> float:
    """½(1 − cos(2π log₂(1 + 15t))): four waves, each twice as long as the one before.

    Parameters
    ----------
    t : float
        Share of the fit that is over, in [0, 1].
    """
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2


def _falling(value: float) -> OfProgress | float:
    """The value for half of the fit, and then half a cosine down to 0."""
    if value == 0:
        return 0.0
    return OfProgress(
        lambda t: value * (1 + math.cos(math.pi * max(0.0, 2 * t - 1))) / 2
    )


def count_epochs(n_rows: int) -> int:
    """Epochs of a table with so many rows."""
    return min(EPOCHS, max(LEAST_EPOCHS, round(EPOCHS * ROWS / max(1, n_rows))))
