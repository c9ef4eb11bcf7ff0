"""J of a network and its derivatives over the same rows, as often as asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp.rows import Data, take_rows
from fastmlp.threads import is_crowded
from fastmlp.workspace import (
    block_rows,
    build_arena,
    count_entries,
    count_training_entries,
)

# Numbers of a Jacobian that are there at once: they stay in a core's own cache.
ENTRIES_OF_A_JACOBIAN = 1 << 16


class Evaluator:
    """J of a network and its derivatives over the same rows, as often as asked.

    Arenas and threads are kept from one evaluation to the next. What the parameters are
    may change in between, where they lie may not. ``Network.evaluator`` makes one.

    Parameters
    ----------
    params, stats : ndarray
        Parameters and running moments (docs/contracts.md).
    plan : Plan
        What the network computes, and where things lie.
    spread : callable
        Returns a plan whose hidden layers keep z and σ(z) apart.
    objective : ndarray of OBJECTIVE, one record
        Loss and penalty.
    numbers : ndarray of shape (n_outputs,)
        The loss's number of each output.
    data : tuple
        Rows, targets and weights, as :func:`fastmlp.rows.as_data` makes them.
    team : Team, default=None
        Threads that share the rows (:func:`fastmlp.threads.thread_team`); the bits do
        not depend on them.

    Attributes
    ----------
    team : Team or None
        Who shares the next evaluation.
    """

    def __init__(
        self,
        params: np.ndarray,
        stats: np.ndarray,
        plan: Any,
        spread: Callable[[], Any],
        objective: np.ndarray,
        numbers: np.ndarray,
        data: Data,
        team: Any = None,
    ) -> None:
        self._params = params
        self._layers, self._spread = plan.layers, spread
        self._model = params, stats, plan
        self._objective, self._numbers = objective, numbers
        self._data = data
        self._capacity = block_rows(len(data[1]), plan)
        self.team = team
        self._arena = self._build_arena(plan)

    def loss(self) -> float:
        """J."""
        return self._compute_loss(self._objective)

    def data_loss(self) -> float:
        """J without its penalty."""
        return self._compute_loss(self._unpenalised)

    def data_loss_and_outputs(self) -> tuple[float, np.ndarray]:
        """J without its penalty, and in a new array the network's outputs."""
        rows, n_outputs = len(self._data[1]), int(self._layers["n_out"][-1])
        outputs = np.empty((rows, n_outputs), self._params.dtype)
        return self._compute_loss(self._unpenalised, outputs), outputs

    def loss_and_grad(self) -> tuple[float, np.ndarray]:
        """J, and ∂J/∂params in a new array."""
        grads = np.empty_like(self._params)
        value = _kernels.compute_loss_and_gradient(
            *(grads, self._arena, *self._data, *self._model),
            *self._terms(self._objective),
        )
        return value, grads

    def hessian_vector_product(self, direction: np.ndarray) -> np.ndarray:
        """The Hessian of J times a vector like the parameters, in a new array.

        Raises
        ------
        ValueError
            If a layer is normalised.
        """
        if (self._layers["normalized"] >= 0).any():
            raise ValueError("Hessian products are not available with batch_norm=True")
        product = np.empty_like(self._params)
        plan, *arenas = self._spread_plan_and_arenas
        _kernels.multiply_hessian(
            *(product, *arenas, *self._data, self._params, direction, plan),
            *self._terms(self._objective),
        )
        return product

    def gauss_newton(self) -> np.ndarray:
        """GᵀΩG/m + α/m on what is penalised, in double: J's Hessian but for the
        outputs' own curvature, of squared_error without an L1 penalty.
        """
        X, _, sample_weight = self._data
        n_rows, n_params = len(self._data[1]), self._params.size
        roots = None if sample_weight is None else np.sqrt(sample_weight)
        matrix = np.zeros((n_params, n_params))
        n_at_once = len(self._jacobian)
        for begin in range(0, n_rows, n_at_once):
            rows = slice(begin, min(begin + n_at_once, n_rows))
            G = self._jacobian[: rows.stop - begin]
            inputs = take_rows(X, rows)
            _kernels.jacobian(G, self._arena, inputs, *self._model, n_at_once)
            if roots is not None:
                G *= roots[rows, None, None]
            G = G.reshape(-1, n_params)
            matrix += G.T @ G
        matrix /= self._total_weight
        matrix.flat[:: n_params + 1] += self._penalty_curvature
        return matrix

    @property
    def _total_weight(self) -> float:
        _, Y, sample_weight = self._data
        return len(Y) if sample_weight is None else sample_weight.sum(dtype=float)

    @cached_property
    def _jacobian(self) -> np.ndarray:
        """Room for the outputs' derivatives of some rows."""
        n_outputs, n_params = int(self._layers["n_out"][-1]), self._params.size
        n_rows = max(1, ENTRIES_OF_A_JACOBIAN // (n_outputs * n_params))
        shape = min(n_rows, self._capacity), n_outputs, n_params
        return np.empty(shape, self._params.dtype)

    @cached_property
    def _penalty_curvature(self) -> np.ndarray:
        """α/m where parameters are penalised, 0 elsewhere."""
        _, _, plan = self._model
        strength = float(self._objective["alpha"][0]) / self._total_weight
        curvature = np.zeros(self._params.size)
        for tensor in plan.tensors:
            size = tensor["rows"] * tensor["columns"]
            factor = plan.groups["penalty_factor"][tensor["group"]]
            curvature[tensor["offset"] :][:size] = strength * factor
        return curvature

    def _compute_loss(
        self, objective: np.ndarray, out: np.ndarray | None = None
    ) -> float:
        return _kernels.compute_loss(
            *(self._arena, out, *self._data, *self._model, *self._terms(objective))
        )

    def _terms(self, objective: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, Any]:
        team = None if is_crowded(self.team) else self.team
        return objective, self._numbers, self._capacity, team

    @cached_property
    def _unpenalised(self) -> np.ndarray:
        objective = self._objective.copy()
        objective["alpha"] = 0
        return objective

    @cached_property
    def _spread_plan_and_arenas(self) -> tuple[Any, np.ndarray, np.ndarray]:
        plan = self._spread()
        return plan, self._build_arena(plan), self._build_arena(plan)

    def _build_arena(self, plan: Any) -> np.ndarray:
        n_more = count_training_entries(plan, self._capacity, gathers=False)
        entries = count_entries(plan)
        return build_arena(entries, self._capacity, self._params.dtype, n_more)
