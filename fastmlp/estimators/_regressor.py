"""The regressor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from fastmlp import _kernels
from fastmlp.estimators._base import BaseMLP
from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._model import Data
from fastmlp.scores import r2


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron regressor, trained natively.

    Minimises a mean loss, summed over outputs, plus a penalty on the weights. A drop-in
    for :class:`sklearn.neural_network.MLPRegressor`: with the same data, parameters and
    integer ``random_state`` it ends at the same model, to rounding.

    Parameters
    ----------
    loss : str, default='squared_error'
        What is minimised: half the 'squared_error', with outputs 'identity',
        'logistic', 'tanh', 'relu', 'softplus' or 'exp'; the 'absolute_error'; 'huber',
        squared below huber_delta and linear above; 'quantile', the pinball loss; or
        half the 'poisson' deviance, which predicts exp(z) and needs y ≥ 0.
    %(parameters)s
    huber_delta : float, default=1.0
        Residual from which on 'huber' is linear.
    quantile : float or list of float, default=0.5
        Level of 'quantile', in (0, 1). With a list and one target, predict returns a
        column for each level, and score is the mean of their D² pinball scores.

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

    _parameter_constraints: ClassVar[dict] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(_kernels.HEADS) - {"log_loss"})],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        rho: float = 0.9,
        huber_delta: float = 1.0,
        quantile: float | Sequence[float] = 0.5,
        output_activation: str | None = None,
        l1_ratio: float = 0.0,
        weight_decay: float | None = None,
        grad_clip_norm: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        init: str | float = "glorot_uniform",
        decay_rate: float = 0.5,
        decay_epochs: int = 10,
        restart_epochs: int | None = None,
        warmup_epochs: int = 0,
        param_tol: float | None = None,
        scoring: str | Callable | None = None,
        stop_on_overfit: bool = False,
        callbacks: Sequence[Callable[[int, dict[str, float]], object]] | None = None,
        dtype: str | type | np.dtype | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.rho = rho
        self.huber_delta = huber_delta
        self.quantile = quantile
        self.output_activation = output_activation
        self.l1_ratio = l1_ratio
        self.weight_decay = weight_decay
        self.grad_clip_norm = grad_clip_norm
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.init = init
        self.decay_rate = decay_rate
        self.decay_epochs = decay_epochs
        self.restart_epochs = restart_epochs
        self.warmup_epochs = warmup_epochs
        self.param_tol = param_tol
        self.scoring = scoring
        self.stop_on_overfit = stop_on_overfit
        self.callbacks = callbacks
        self.dtype = dtype
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
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
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
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
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_levels)
            The last with a list of levels as ``quantile``.
        """
        outputs = self._outputs(X)
        one_column = outputs.shape[1] == 1 and self._levels() is None
        return outputs.ravel() if one_column else outputs

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
        inputs = self._checked_inputs(X)
        gradients = self._current_network().input_gradients(inputs)
        return gradients[:, 0] if gradients.shape[1] == 1 else gradients

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """R² of the prediction, or the mean D² pinball score of several levels.

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
        """
        if self._levels() is None:
            return super().score(X, y, sample_weight)
        return self._score_levels(self.predict(X), np.asarray(y), sample_weight)

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

    def _score_levels(
        self, outputs: np.ndarray, y: np.ndarray, sample_weight: ArrayLike | None
    ) -> float:
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(
                outputs.reshape(len(y), -1).T, self._levels() or [], strict=True
            )
        ]
        return float(np.mean(scores))

    def _check_targets(self, y: np.ndarray, incremental: bool) -> None:
        self._check_validation_targets(y)

    def _check_validation_targets(self, y: np.ndarray) -> None:
        least, taken = _kernels.LEAST_TARGETS.get(self.loss, (-np.inf, True))
        if (y < least).any() or (not taken and (y == least).any()):
            raise ValueError(
                "Some value(s) of y are out of the valid range of the loss "
                f"{self.loss!r}."
            )
        if self._levels() is not None and y.ndim != 1:
            raise ValueError("a list of quantiles needs y of shape (n_samples,)")

    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        columns = y.reshape(len(y), -1)
        levels = self._levels()
        if levels is not None:
            columns = np.repeat(columns, len(levels), axis=1)
        return np.ascontiguousarray(columns, dtype=dtype)

    def _count_outputs(self, Y: np.ndarray) -> int:
        return Y.shape[1]

    def _head(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "output_activation": self.output_activation,
            "huber_delta": self.huber_delta,
            "quantile": self.quantile,
        }

    def _stratify_by(self, data: Data) -> np.ndarray | None:
        return None

    def _validation_score(
        self, outputs: np.ndarray, Y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        if self._levels() is None:
            return r2(outputs, Y, sample_weight)
        if not np.isfinite(outputs).all():
            return float("nan")
        return self._score_levels(outputs, Y[:, 0], sample_weight)

    def _training_weight(self, data: Data) -> np.ndarray | None:
        return data.sample_weight


fill_docstring(MLPRegressor, score="R², or the D² pinball score")
fill_docstring(
    MLPRegressor.fit,
    shape="(n_samples,) or (n_samples, n_outputs)",
    targets="Targets.",
)
