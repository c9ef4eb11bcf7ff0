"""The regressor."""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import sklearn.neural_network
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.metaestimators import available_if

from fastmlp import _kernels
from fastmlp.estimators._attributes import network_of
from fastmlp.estimators._base import BaseMLP
from fastmlp.estimators._data import Data
from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._parameters import POSITIVE, interval, parameter
from fastmlp.estimators._publication import reading
from fastmlp.estimators._validation import checked_truth, scikit_learn_looks
from fastmlp.estimators._warnings import warn
from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.recipe import pick
from fastmlp.rows import as_array, check_kind, refusing_overflow
from fastmlp.scores import D2, r2
from fastmlp.sklearn_private import (
    StrOptions,
    _fit_context,
    has_passed_by_transformed_targets,
)


@dataclass(eq=False, repr=False)
class RegressionLoss(ABC):  # noqa: B024 - ABC stays the last base, as in scikit-learn
    """The parameter that scikit-learn's regressor takes first: a base class's fields
    come before those of the classes that precede it in a class statement.
    """

    loss: str = parameter(
        "squared_error",
        [StrOptions(set(_kernels.HEADS) - {"log_loss", "cross_entropy"})],
        "str",
        """
        What is minimised: half the 'squared_error', with outputs 'identity',
        'logistic', 'tanh', 'relu', 'softplus' or 'exp'; the 'absolute_error'; 'huber',
        squared below huber_delta and linear above; 'log_cosh', which is so smoothly;
        'quantile', the pinball loss; or half the deviance of 'poisson', 'gamma' or
        'tweedie', which predict exp(z) and need y ≥ 0, 'gamma' y > 0.
        """,
    )


@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, BaseMLP, RegressionLoss):
    """Multilayer perceptron regressor, trained natively.

    Minimises a mean loss, summed over outputs, plus a penalty on the weights. A drop-in
    for :class:`sklearn.neural_network.MLPRegressor`: with the same data, parameters and
    integer ``random_state`` it ends at the same model, to rounding.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical
    Statistics 35, 1964.

    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLPRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> y = X[:, 0] ** 2
    >>> model = MLPRegressor(solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.99
    True
    """

    _sklearn_class: ClassVar[Any] = sklearn.neural_network.MLPRegressor

    _: KW_ONLY
    huber_delta: float = parameter(
        1.0, [POSITIVE], "float", "Residual from which on 'huber' is linear."
    )
    quantile: float | Sequence[float] = parameter(
        0.5,
        [interval(0, 1, "neither"), "array-like"],
        "float or list of float",
        """
        Level of 'quantile', in (0, 1). With a list and one target, predict returns a
        column for each level, and score is the mean of their D² pinball scores.
        """,
    )
    tweedie_power: float | Sequence[float] = parameter(
        1.5,
        [interval(1, 2, "neither"), "array-like"],
        "float or list of float",
        """
        Power p of 'tweedie', in (1, 2), by which the variance is μᵖ: one for all
        outputs, or one per output.
        """,
    )

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> MLPRegressor:
        """Fit the network to X and y.

        Parameters
        ----------
        %(fit_parameters)s

        Returns
        -------
        self : MLPRegressor

        Raises
        ------
        ValueError
            If the data are not fit for training, or training diverges. The
            estimator is then as it was before.
        """
        if y_val is not None and has_passed_by_transformed_targets(y_val):
            raise ValueError(
                "TransformedTargetRegressor transforms y, and not y_val: scores and "
                "losses of the validation rows would be on another scale. Let rows of "
                "X be held out, or transform y and y_val yourself"
            )
        judges = X_val, y_val, sample_weight_val
        self._train(X, y, sample_weight, validation=judges, resume_from=resume_from)
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MLPRegressor:
        """Go on training for one epoch over X and y. First-order solvers only.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        self : MLPRegressor
        """
        self._train(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_levels)
            The last with a list of levels as ``quantile``.
        """
        now = reading(self)
        return now._squeeze(now._outputs(X))

    def input_gradients(self, X: ArrayLike) -> np.ndarray:
        """Derivatives of :meth:`predict` with respect to the features, exact.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            The latter for several outputs.
        """
        now = reading(self)
        inputs = now._checked_inputs(X)
        gradients = network_of(now).input_gradients(inputs)
        return gradients[:, 0] if gradients.shape[1] == 1 else gradients

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Share of the loss that the prediction explains.

        R² under 'squared_error' and 'poisson', as in scikit-learn. D² of what is
        trained under the losses that scikit-learn does not have: 1 − loss/loss of the
        best constant, the mean over outputs, or over several levels. That is
        :func:`sklearn.metrics.d2_absolute_error_score`,
        :func:`sklearn.metrics.d2_pinball_score`,
        :func:`sklearn.metrics.d2_tweedie_score` (of power 2 for 'gamma') and their
        like for 'huber' and 'log_cosh'.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            At most 1; NaN, with a warning, of a single row.
        """
        if self.loss in ("squared_error", "poisson"):
            with scikit_learn_looks():
                return super().score(X, y, sample_weight)
        outputs = self.predict(X)
        outputs = outputs.reshape(len(outputs), -1)
        truth, weights = checked_truth(y, outputs, sample_weight)
        self._check_validation_targets(truth)
        Y = self._encode(truth, truth.dtype)
        if Y.shape != outputs.shape:
            raise ValueError(
                f"y must have as many columns as the model has outputs, "
                f"{outputs.shape[1]}, got {Y.shape[1]}"
            )
        if len(Y) < 2:
            warn(
                "D² is not well-defined with less than two samples.",
                UndefinedMetricWarning,
            )
            return float("nan")
        return self._d2(Y, weights)(outputs)

    def _squeeze(self, outputs: np.ndarray) -> np.ndarray:
        return super()._squeeze(outputs) if self._levels() is None else outputs

    def _levels(self) -> list[float] | None:
        """The levels, where one target is predicted at several."""
        if self.loss != "quantile" or np.ndim(self.quantile) == 0:
            return None
        levels: list = list(np.ravel(self.quantile))
        if not levels or np.ndim(self.quantile) > 1:
            raise ValueError(
                f"quantile must be a number or a list of numbers, got {self.quantile!r}"
            )
        return levels

    def _d2(self, Y: np.ndarray, sample_weight: np.ndarray | None) -> D2:
        """D² of the trained loss, for encoded targets."""
        name, default, *_ = _kernels.LOSS_PARAMS.get(self.loss, ("", 0.0))
        return D2(self.loss, getattr(self, name, default), Y, sample_weight)

    def _check_sklearn_predicts(self, network: Network) -> None:
        theirs = {"poisson": "exp"}.get(network.loss_name, "identity")
        known = "loss" in self._sklearn_class._get_param_names() or theirs != "exp"
        if network.output_activation != theirs or not known:
            raise ValueError(
                "to_sklearn: scikit-learn's MLPRegressor has the output activation "
                "'identity', or from version 1.7 on 'exp' with loss='poisson'; this "
                f"network has {network.output_activation!r} with "
                f"loss={network.loss_name!r}"
            )

    def _check_targets(self, y: np.ndarray, incremental: bool) -> None:
        self._check_validation_targets(y)

    def _check_validation_targets(self, y: np.ndarray) -> None:
        if y.dtype.kind != "b":
            check_kind(y, "y")
        self._head().check_domain(y)
        if self._levels() is not None and y.ndim != 1:
            raise ValueError(
                f"quantile={self.quantile!r}: several quantiles need y of shape "
                f"(n_samples,), got {y.shape}"
            )

    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        columns = y.reshape(len(y), -1)
        levels = self._levels()
        if levels is not None:
            columns = np.repeat(columns, len(levels), axis=1)
        with refusing_overflow("y", dtype):
            return as_array(columns, dtype)

    def _count_outputs(self, Y: np.ndarray) -> int:
        return Y.shape[1]

    def _head(self) -> Head:
        return pick(Head, self)

    def _own_score(self, data: Data) -> Callable[[np.ndarray], float]:
        if self.loss == "squared_error":
            return lambda outputs: r2(outputs, data.Y, data.sample_weight)
        return self._d2(data.Y, data.sample_weight)


REGRESSION_SCORE = (
    "R² under 'squared_error', D² of the other losses (1 − loss/loss of the best "
    "constant)"
)
fill_docstring(MLPRegressor, score=REGRESSION_SCORE)
fill_docstring(
    MLPRegressor.fit,
    shape="(n_samples,) or (n_samples, n_outputs)",
    targets="Targets.",
)
