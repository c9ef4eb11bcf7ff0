"""Private names of scikit-learn's MLP that its own tests, and some users, reach for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastmlp.optimizers import Optimizer


class ScikitLearnPrivates:
    """Views of the model under scikit-learn's private names; nothing here is used."""

    _model: Any
    _current_network: Any

    @property
    def _optimizer(self) -> Optimizer:
        """The optimizer, with its ``learning_rate``."""
        return self._model.optimizer

    @property
    def _no_improvement_count(self) -> int:
        """Epochs without improvement, as they stand."""
        return self._model.n_stalled

    @_no_improvement_count.setter
    def _no_improvement_count(self, count: int) -> None:
        if "_model" in self.__dict__:
            self._model.n_stalled = count

    def _loss_grad_lbfgs(
        self,
        packed_coef_inter: np.ndarray,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | list | None,
        *_buffers: Any,
    ) -> tuple[float, np.ndarray]:
        """Objective and gradient at packed parameters, for binarized labels y.

        scikit-learn 1.6 passes no weights: a list of buffers stands in their place.
        """
        if isinstance(sample_weight, list):
            sample_weight = None
        network = self._current_network().copy()
        network.params[:] = packed_coef_inter
        if network.output_activation == "softmax":
            y = y.argmax(axis=1)
        return network.loss_and_grad(X, y, sample_weight)
