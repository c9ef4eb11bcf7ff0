"""Private names of scikit-learn's MLP that its own tests, and some users, reach for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastmlp.optimizers import Optimizer


# Methods of scikit-learn's MLP that its own fit and predict call. Scripts override them
# to change how it is trained; here a native engine does their work.
HOOKS = (
    "_backprop",
    "_compute_loss_grad",
    "_fit",
    "_fit_lbfgs",
    "_fit_stochastic",
    "_forward_pass",
    "_forward_pass_fast",
    "_init_coef",
    "_initialize",
    "_loss_grad_lbfgs",
    "_partial_fit",
    "_predict",
    "_score",
    "_score_with_function",
    "_unpack",
    "_update_no_improvement_count",
    "_validate_input",
)


class ScikitLearnPrivates:
    """Views of the model under scikit-learn's private names; nothing here is used."""

    _model: Any
    _current_network: Any

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Refuse classes whose methods would never be called.

        Raises
        ------
        TypeError
            If the class, or one that it inherits from, has a method of the name of one
            of scikit-learn's that fit and predict call there.
        """
        super().__init_subclass__(**keywords)
        defined = {
            name
            for base in cls.__mro__
            if base is not ScikitLearnPrivates
            for name in vars(base)
        }
        uncalled = sorted(defined.intersection(HOOKS))
        if uncalled:
            raise TypeError(
                f"{cls.__name__} defines {', '.join(uncalled)}: scikit-learn's MLP "
                "calls such methods, fastmlp's never does, for it trains natively. "
                "Inherit from sklearn.neural_network's class, or use the parameters "
                "callbacks, init, loss and scoring instead; for a method of your own "
                "take another name."
            )

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
        y = np.asarray(y, network.dtype)
        return network.loss_and_grad(X, y, sample_weight)
