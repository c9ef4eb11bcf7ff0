"""J of a network and its derivatives over the same rows, as often as asked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import _kernels
from fastmlp.inputs import Data
from fastmlp.workspace import (
    block_rows,
    build_arena,
    count_entries,
    count_training_entries,
)

if TYPE_CHECKING:
    from fastmlp.network import Network


class Evaluator:
    """J of a network and its derivatives over the same rows, as often as asked.

    Arenas and threads are kept from one evaluation to the next. The network's
    parameters may change in between.

    Parameters
    ----------
    network : Network
        What is evaluated.
    data : tuple
        Rows, targets and weights, as :func:`fastmlp.inputs.as_data` makes them.
    crew : Crew, default=None
        Threads that share the rows (:func:`fastmlp.threads.gather_crew`); the bits do
        not depend on them.

    Attributes
    ----------
    objective : ndarray
        The record of loss and penalty: the network's, but it may be changed.
    """

    def __init__(self, network: Network, data: Data, crew: Any = None) -> None:
        self.network = network
        self.objective = network.objective
        self._data = data
        self._crew = crew
        self._capacity = block_rows(len(data[1]))
        self._arena = build_arena(
            network.arena_entries,
            self._capacity,
            network.dtype,
            count_training_entries(network.layers, self._capacity, gathers=False),
        )

    def loss(self) -> float:
        """J."""
        network = self.network
        return _kernels.compute_loss(
            self._arena,
            *self._data,
            *(network.params, network.stats, network.layers),
            *(self.objective, network.numbers, self._capacity, self._crew),
        )

    def loss_and_grad(self) -> tuple[float, np.ndarray]:
        """J, and ∂J/∂params in a new array."""
        network = self.network
        grads = np.empty_like(network.params)
        value = _kernels.compute_loss_and_gradient(
            *(grads, self._arena),
            *self._data,
            *(network.params, network.stats, network.layers),
            *(self.objective, network.numbers, self._capacity, self._crew),
        )
        return value, grads

    def hessian_vector_product(self, direction: np.ndarray) -> np.ndarray:
        """The Hessian of J times a vector like the parameters, in a new array.

        Raises
        ------
        ValueError
            If a layer is normalised.
        """
        network = self.network
        if network.batch_norm:
            raise ValueError("the Hessian of a network with batch_norm is not computed")
        layers, arena, r_arena = self._spread
        product = np.empty_like(network.params)
        _kernels.multiply_hessian(
            *(product, arena, r_arena),
            *self._data,
            *(network.params, direction, layers),
            *(self.objective, network.numbers, self._capacity, self._crew),
        )
        return product

    @cached_property
    def _spread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Layers that keep z and σ(z) apart, and two arenas for them."""
        layers = self.network.build_layers(spread=True)
        entries, dtype = count_entries(layers), self.network.dtype
        arena, r_arena = (build_arena(entries, self._capacity, dtype) for _ in range(2))
        return layers, arena, r_arena
