"""What both estimators share: parameters, the way of a fit, and its publication."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from fastmlp import _kernels
from fastmlp.estimators._compat import ScikitLearnPrivates
from fastmlp.inputs import as_inputs
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import make_schedule
from fastmlp.second_order import FullBatchRun, fit_lbfgs
from fastmlp.stopping import Plateau
from fastmlp.threads import count_threads, gather_crew
from fastmlp.training import Loop, Run, Trainer, fit_first_order

FIRST_ORDER_SOLVERS = ("sgd", "adam", "adagrad", "rmsprop")
FIRST_ORDER_ATTRIBUTES = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
)
SOLVERS = (*FIRST_ORDER_SOLVERS, "lbfgs")


@dataclass
class Data:
    """A validated data set: X, a matrix or sparse rows; encoded targets; weights."""

    X: Any
    Y: np.ndarray
    sample_weight: np.ndarray | None

    def astype(self, dtype: np.dtype) -> Data:
        """The same data in that type; not copied if it has it."""
        return self._map(lambda array: array.astype(dtype, copy=False))

    def take(self, rows: np.ndarray) -> Data:
        """Those rows."""
        return self._map(lambda array: array[rows])

    def _map(self, f: Callable[[np.ndarray], np.ndarray]) -> Data:
        weights = self.sample_weight
        return Data(f(self.X), f(self.Y), None if weights is None else f(weights))


@dataclass
class Model:
    """All that a fit makes and a later one goes on from."""

    network: Network
    random_state: np.random.RandomState
    optimizer: Optimizer | None = None
    best: float = -np.inf
    best_is_score: bool = False
    n_stalled: int = 0
    n_samples_seen: int = 0
    order: np.ndarray | None = None

    def copy(self) -> Model:
        """An independent model, so that a failed fit leaves the old one alone."""
        twin = copy.copy(self)
        twin.network = self.network.copy()
        twin.optimizer = self.optimizer and self.optimizer.copy()
        return twin


class BaseMLP(ScikitLearnPrivates, BaseEstimator, ABC):
    """Parameters, fit and partial_fit of both estimators."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(_kernels.HIDDEN_ACTIVATIONS))],
        "solver": [StrOptions(set(SOLVERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "rho": [Interval(Real, 0, 1, closed="left")],
    }

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None

    @abstractmethod
    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] | int,
        activation: str,
        solver: str,
        alpha: float,
        batch_size: int | str,
        learning_rate: str,
        learning_rate_init: float,
        power_t: float,
        max_iter: int,
        shuffle: bool,
        random_state: int | np.random.RandomState | None,
        tol: float,
        verbose: bool,
        warm_start: bool,
        momentum: float,
        nesterovs_momentum: bool,
        early_stopping: bool,
        validation_fraction: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        n_iter_no_change: float,
        max_fun: int,
        rho: float,
    ) -> None:
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

    @abstractmethod
    def _validate_input(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        reset: bool,
    ) -> Data:
        """Check X, y and the weights, and encode the targets."""

    @abstractmethod
    def _count_outputs(self, Y: np.ndarray) -> int:
        """Units of the last layer, from the encoded targets."""

    @abstractmethod
    def _head(self) -> tuple[str, str]:
        """Loss and output activation."""

    @abstractmethod
    def _validation_score(
        self, outputs: np.ndarray, Y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Score by which early stopping judges."""

    @abstractmethod
    def _stratify_by(self, Y: np.ndarray) -> np.ndarray | None:
        """What the validation split keeps the proportions of."""

    # -- the way of a fit

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
    ) -> None:
        hidden = self._hidden_layer_sizes()
        goes_on = hasattr(self, "coefs_") and (self.warm_start or incremental)
        with self._unchanged_on_failure():
            data = self._validate_input(
                X, y, sample_weight, incremental, reset=not goes_on
            )
            layer_sizes = [data.X.shape[1], *hidden, self._count_outputs(data.Y)]
            if goes_on:
                model = self._model_to_go_on_with(layer_sizes)
            else:
                model = self._new_model(layer_sizes, data.X.dtype)
            data = data.astype(model.network.dtype)
            if self.solver in FIRST_ORDER_SOLVERS:
                run = self._run_first_order(model, data, incremental)
                self._publish_first_order(model, run, goes_on)
            else:
                self._publish_full_batch(model, self._run_full_batch(model, data))

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        # Published arrays are never written to, so a shallow copy restores all.
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _hidden_layer_sizes(self) -> list[int]:
        given: Any = self.hidden_layer_sizes
        sizes = list(given) if hasattr(given, "__iter__") else [given]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _new_network(
        self, layer_sizes: list[int], dtype: np.dtype, random_state: Any
    ) -> Network:
        loss, output_activation = self._head()
        return Network(
            layer_sizes,
            activation=self.activation,
            loss=loss,
            output_activation=output_activation,
            alpha=self.alpha,
            dtype=dtype,
            random_state=random_state,
        )

    def _new_model(self, layer_sizes: list[int], dtype: np.dtype) -> Model:
        random_state = check_random_state(self.random_state)
        return Model(self._new_network(layer_sizes, dtype, random_state), random_state)

    def _model_to_go_on_with(self, layer_sizes: list[int]) -> Model:
        network = self._current_network()
        before = (network.layer_sizes, network.activation, network.loss_name)
        now = (layer_sizes, self.activation, self._head()[0])
        if before != now:
            raise ValueError(
                "warm_start and partial_fit need the layers of the previous fit, its "
                f"activation and its loss, {before}; they would now be {now}"
            )
        if hasattr(self, "_model"):
            model = self._model.copy()
            model.network = network.copy()
        else:
            model = Model(network.copy(), check_random_state(self.random_state))
        model.network.alpha = self.alpha
        # A seed's own stream goes on, and with it the order of the rows; a stream that
        # the user holds, or NumPy's, is drawn from as scikit-learn does.
        if isinstance(self.random_state, Integral):
            model.random_state = copy.deepcopy(model.random_state)
        else:
            model.random_state = check_random_state(self.random_state)
            model.order = None
        return model

    def _current_network(self) -> Network:
        """The fitted network; made anew if ``coefs_`` or ``intercepts_`` were set."""
        if hasattr(self, "_model"):
            network = self._model.network
            mine = [*network.weights, *network.biases]
            public = [*self.coefs_, *self.intercepts_]
            if all(a is b for a, b in zip(mine, public, strict=True)):
                return network
        layer_sizes = [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]
        dtype = np.result_type(*self.coefs_, *self.intercepts_, np.float32)
        network = self._new_network(layer_sizes, dtype, 0)
        for view, values in zip(
            [*network.weights, *network.biases],
            [*self.coefs_, *self.intercepts_],
            strict=True,
        ):
            view[...] = values
        return network

    # -- first-order solvers

    def _run_first_order(self, model: Model, data: Data, incremental: bool) -> Run:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        rows, validate = self._split(model, data)
        if model.best_is_score != self.early_stopping:
            model.best, model.n_stalled = -np.inf, 0
        model.best_is_score = self.early_stopping
        optimizer = self._new_optimizer(model.network)
        if model.optimizer is not None:
            optimizer.go_on_from(model.optimizer)
        model.optimizer = optimizer
        batch_size = self._clipped_batch_size(len(rows))
        loop = Loop(
            schedule=make_schedule(
                self.learning_rate, self.learning_rate_init, self.power_t
            ),
            plateau=Plateau(
                self.tol, self.n_iter_no_change, model.best, model.n_stalled
            ),
            random_state=model.random_state,
            max_iter=1 if incremental else self.max_iter,
            shuffle=self.shuffle,
            validate=validate,
            n_samples_seen=model.n_samples_seen,
            report=print if self.verbose else None,
        )
        n_threads = count_threads(model.network.layers, batch_size)
        with gather_crew(n_threads) as crew:
            trainer = Trainer(
                model.network,
                model.optimizer,
                as_inputs(data.X, data.X.shape[1], model.network.dtype),
                data.Y,
                data.sample_weight,
                batch_size=batch_size,
                crew=crew,
            )
            run = fit_first_order(trainer, loop, rows)
        model.best, model.n_stalled = loop.plateau.best, loop.plateau.count
        model.n_samples_seen = loop.n_samples_seen
        model.order = None if self.early_stopping else run.order
        if run.stop_reason == "diverged":
            model.optimizer = self._new_optimizer(model.network)
        if run.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=5)
        elif run.stop_reason == "max_iter" and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
        return run

    def _new_optimizer(self, network: Network) -> Optimizer:
        name = self.solver
        if name == "sgd" and self.momentum > 0:
            name = "nesterov" if self.nesterovs_momentum else "momentum"
        return Optimizer(
            name,
            network.params.size,
            network.dtype,
            learning_rate=self.learning_rate_init,
            momentum=self.momentum,
            rho=self.rho,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _clipped_batch_size(self, n_samples: int) -> int:
        if isinstance(self.batch_size, str):
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going "
                "to be clipped",
                stacklevel=6,
            )
        return min(self.batch_size, n_samples)

    def _split(
        self, model: Model, data: Data
    ) -> tuple[np.ndarray, Callable[[Network], float] | None]:
        """Rows to train on, and a score on the others for early stopping."""
        rows = np.arange(len(data.Y))
        if not self.early_stopping:
            if model.order is not None and len(model.order) == len(rows):
                rows = model.order
            return rows, None
        rows, held_out = train_test_split(
            rows,
            random_state=model.random_state,
            test_size=self.validation_fraction,
            stratify=self._stratify_by(data.Y),
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        validation = data.take(held_out)

        def validate(network: Network) -> float:
            outputs = network.predict(validation.X)
            return self._validation_score(
                outputs, validation.Y, validation.sample_weight
            )

        return rows, validate

    def _publish_first_order(self, model: Model, run: Run, goes_on: bool) -> None:
        self._publish(model)
        earlier = getattr(self, "loss_curve_", []) if goes_on else []
        self.loss_curve_ = [*earlier, *run.loss_curve]
        self.loss_ = run.loss_curve[-1] if run.loss_curve else float("nan")
        self.n_iter_ = len(run.loss_curve)
        self.stop_reason_ = run.stop_reason
        if self.early_stopping:
            scores = getattr(self, "validation_scores_", None)
            earlier = scores if goes_on and scores else []
            self.validation_scores_ = [*earlier, *run.validation_scores]
            self.best_validation_score_ = model.best
            self.best_loss_ = None
        else:
            self.validation_scores_ = None
            self.best_validation_score_ = None
            self.best_loss_ = -model.best

    # -- full-batch solvers

    def _run_full_batch(self, model: Model, data: Data) -> FullBatchRun:
        run = fit_lbfgs(
            model.network,
            data.X,
            data.Y,
            data.sample_weight,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            gtol=self.tol,
            report=print if self.verbose else None,
        )
        if not run.converged:
            warnings.warn(
                f"lbfgs failed to converge after {run.n_iter} iteration(s): "
                f"{run.message}. You might want to increase max_iter "
                f"({self.max_iter}) or max_fun ({self.max_fun}), or to scale the data.",
                ConvergenceWarning,
                stacklevel=5,
            )
        return run

    def _publish_full_batch(self, model: Model, run: FullBatchRun) -> None:
        self._publish(model)
        for name in FIRST_ORDER_ATTRIBUTES:
            self.__dict__.pop(name, None)
        self.loss_ = run.loss
        self.n_iter_ = run.n_iter
        self.stop_reason_ = "tol" if run.converged else "max_iter"

    def _publish(self, model: Model) -> None:
        network = model.network
        self._model = model
        self.coefs_ = list(network.weights)
        self.intercepts_ = list(network.biases)
        self.n_layers_ = len(network.layer_sizes)
        self.n_outputs_ = network.layer_sizes[-1]
        self.out_activation_ = network.output_activation
        self.t_ = model.n_samples_seen

    # -- use

    def _outputs(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs for raw input."""
        check_is_fitted(self)
        network = self._current_network()
        X = validate_data(
            self,
            X,
            accept_sparse=["csr", "csc"],
            dtype=(np.float64, np.float32),
            order="C",
            reset=False,
        )
        return network.predict(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _check_solver(self) -> bool:
        if self.solver not in FIRST_ORDER_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __getstate__(self) -> dict[str, Any]:
        # Views would be stored as copies: they are made again from the vector.
        state = dict(super().__getstate__())
        if "_model" in state and self._current_network() is state["_model"].network:
            del state["coefs_"], state["intercepts_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_model" in state and "coefs_" not in state:
            self.coefs_ = list(self._model.network.weights)
            self.intercepts_ = list(self._model.network.biases)


def checked_sample_weight(
    sample_weight: ArrayLike | None, X: np.ndarray
) -> np.ndarray | None:
    """Weights of X's rows, of its dtype.

    Raises
    ------
    ValueError
        If a weight is negative, infinite or NaN, or all are zero.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
