"""How the networks of a table are made and trained: the recipe, chosen once.

Nothing here looks at a set's content, only at its size and its task. The numbers are
those of RealMLP, in its neural tangent parametrisation: z = x W/√d + b, W ~ N(0, 1).
Here V = W/√d is stored, so V ~ N(0, 1/d), and a step of Adam, which does not know how
large a gradient is, is as much smaller: each layer has a rate of its own. In training
each input is multiplied by a number that is learnt, six times as fast.

References
----------
D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: Strong pre-tuned MLPs
and boosted trees on tabular data", NeurIPS 2024, arXiv:2407.04491.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastmlp.head import Head
from fastmlp.layers import Geometry, Scale, geometries
from fastmlp.network import Network
from fastmlp.recipe import OptimizerSettings, Recipe
from fastmlp.schedules import OfProgress, ScheduleSettings, anneal

# Epochs of a table of up to so many rows; a larger one gets fewer, but no less than
# these.
EPOCHS, ROWS, LEAST_EPOCHS = 192, 10_000, 32
# By kind of layer, in the parametrisation above, multiples of the rate.
RATES = {"dense": 1.0, "scale": 6.0}
# Share of the highest rate at which a wave is over: there parameters are kept. Where
# the rate is high, they move so far in an epoch that the best is best by chance.
OVER = 0.02


class Defaults(NamedTuple):
    """What a task's parameters are where the user gives none."""

    activation: str
    learning_rate_init: float
    dropout: float


@dataclass(frozen=True)
class Preset:
    """What all members of a model share.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Columns of the inputs, and units of the last layer.
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
        Both fall to 0 along half a cosine over half of the fit, that of dropout over
        the second half.
    decay_ends : float
        Share of the fit at which the weight decay has come to 0.
    max_seconds : float or None
        Of each member.
    n_threads : int or None
        Inside each member; None: as many as pay.
    """

    n_inputs: int
    n_outputs: int
    head: Head
    hidden_layer_sizes: Sequence[int]
    activation: str
    rate: float
    n_epochs: int
    batch_size: int
    dropout: float
    weight_decay: float
    decay_ends: float
    max_seconds: float | None
    n_threads: int | None

    @property
    def architecture(self) -> list[Any]:
        """Inputs, what they are multiplied by, and dense layers."""
        return [self.n_inputs, Scale(), *self.hidden_layer_sizes, self.n_outputs]

    @property
    def _layers(self) -> list[Geometry]:
        return list(geometries(tuple(self.architecture)))

    @property
    def rate_factors(self) -> list[float]:
        """Of what is stored of each layer, as multiples of the rate."""
        return [RATES[layer.kind] / _root(layer) for layer in self._layers]

    @property
    def decay_factors(self) -> list[float]:
        """W decays by its own rate, √d times that of what is stored of it."""
        return [_root(layer) for layer in self._layers]

    def make_recipe(self) -> Recipe:
        """What each member is trained by: of the epochs at whose end a wave is over,
        the best one's parameters are kept.
        """
        return Recipe(
            self.head,
            tuple(self.hidden_layer_sizes),
            self.activation,
            dropout=falling(self.dropout, 1.0),  # type: ignore[arg-type]
            rate_factors=self.rate_factors,
            decay_factors=self.decay_factors,
            init="lecun_normal",
            bias_init=1.0,
            zero_last_layer=True,
            solver="adamw",
            optimizer=OptimizerSettings(
                beta_1=0.9,
                beta_2=0.95,
                weight_decay=falling(  # type: ignore[arg-type]
                    self.weight_decay, self.decay_ends
                ),
            ),
            schedule=ScheduleSettings(
                OfProgress(lambda t: self.rate * four_waves(t)),
                self.rate,
                max_iter=self.n_epochs,
            ),
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            tol=0.0,
            n_iter_no_change=math.inf,
            early_stopping=True,
            best_epoch="last",
            settled_rate=OVER * self.rate,
            max_seconds=self.max_seconds,
            n_threads=self.n_threads,
        )

    def make_network(self, random_state: np.random.RandomState) -> Network:
        """A network with initial parameters: outputs of 0, biases of unit variance."""
        recipe = self.make_recipe()
        return recipe.make_network(
            self.architecture, np.dtype(np.float32), random_state
        )

    def fold_scale(self, network: Network) -> Network:
        """The same function as dense layers alone: W₁ has what inputs are multiplied
        by.
        """
        scale, first, *others = network.weights
        settings = self.make_recipe().network_settings
        settings |= {"rate_factors": None, "decay_factors": None}
        return Network.from_weights(
            [scale[:, np.newaxis] * first, *others],
            network.biases[1:],
            dtype=network.dtype,
            **settings,
        )


def _root(layer: Geometry) -> float:
    """√d of a dense layer; a scale is stored as it is."""
    return math.sqrt(layer.n_in) if layer.is_activated else 1.0


def four_waves(t: float) -> float:
    """½(1 − cos(2π log₂(1 + 15t))): four waves, each twice as long as the one before.

    Parameters
    ----------
    t : float
        Share of the fit that is over, in [0, 1].
    """
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2


def falling(value: float, ends: float) -> OfProgress | float:
    """The value, then half a cosine over half of the fit, and 0 from ``ends`` on."""
    if value == 0:
        return 0.0

    return OfProgress(
        lambda t: anneal(value, 0.0, min(1.0, max(0.0, 1 - 2 * (ends - t))))
    )


def count_epochs(n_rows: int) -> int:
    """Epochs of a table with so many rows."""
    return min(EPOCHS, max(LEAST_EPOCHS, round(EPOCHS * ROWS / max(1, n_rows))))
