"""What both estimators share: parameters, the way of a fit, and its publication."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from fastmlp import _kernels
from fastmlp.estimators._callbacks import CallbackSupportMixin, Epochs, fit_task
from fastmlp.estimators._compat import ScikitLearnPrivates
from fastmlp.estimators._model import Data, Model
from fastmlp.initialization import INITIALIZERS
from fastmlp.inputs import as_inputs
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import SCHEDULES, make_schedule
from fastmlp.second_order import SOLVERS as FULL_BATCH_SOLVERS
from fastmlp.second_order import FullBatchRun, fit_full_batch
from fastmlp.stopping import Overfitting, Plateau
from fastmlp.threads import count_threads, gather_crew
from fastmlp.training import Loop, Run, Trainer, Validation, fit_first_order

FIRST_ORDER_SOLVERS = ("sgd", "adam", "adamw", "adagrad", "rmsprop")
FIRST_ORDER_ATTRIBUTES = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "overfit_epoch_",
)
SOLVERS = (*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS)
POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
SHARE = Interval(Real, 0, 1, closed="left")


class BaseMLP(CallbackSupportMixin, ScikitLearnPrivates, BaseEstimator, ABC):
    """Parameters, fit and partial_fit of both estimators."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", POSITIVE_INTEGER],
        "activation": [StrOptions(set(_kernels.HIDDEN_ACTIVATIONS)), "array-like"],
        "solver": [StrOptions(set(SOLVERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto", "full"}), POSITIVE_INTEGER],
        "learning_rate": [StrOptions(set(SCHEDULES)), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [POSITIVE_INTEGER],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [SHARE],
        "beta_1": [SHARE],
        "beta_2": [SHARE],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [POSITIVE_INTEGER, Options(Real, {np.inf})],
        "max_fun": [POSITIVE_INTEGER],
        "rho": [SHARE],
        "output_activation": [
            StrOptions({name for names in _kernels.HEADS.values() for name in names}),
            None,
        ],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "grad_clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "dropout": [SHARE, "array-like"],
        "batch_norm": ["boolean"],
        "init": [
            StrOptions(set(INITIALIZERS)),
            Interval(Real, 0, None, closed="neither"),
        ],
        "decay_rate": [Interval(Real, 0, 1, closed="right")],
        "decay_epochs": [POSITIVE_INTEGER],
        "restart_epochs": [POSITIVE_INTEGER, None],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "param_tol": [Interval(Real, 0, None, closed="left"), None],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "stop_on_overfit": ["boolean"],
        "callbacks": [list, tuple, None],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [POSITIVE_INTEGER, None],
    }

    loss: str
    hidden_layer_sizes: Sequence[int] | int
    activation: str | Sequence[str]
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str | Callable[[int], float]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    rho: float
    output_activation: str | None
    l1_ratio: float
    weight_decay: float | None
    grad_clip_norm: float | None
    dropout: float | Sequence[float]
    batch_norm: bool
    init: str | float
    decay_rate: float
    decay_epochs: int
    restart_epochs: int | None
    warmup_epochs: int
    param_tol: float | None
    scoring: str | Callable | None
    stop_on_overfit: bool
    callbacks: Sequence[Callable[[int, dict[str, float]], object]] | None
    dtype: str | type | np.dtype | None
    n_threads: int | None

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    overfit_epoch_: int | None

    @abstractmethod
    def _check_targets(self, y: np.ndarray, incremental: bool) -> None:
        """Learn what targets can be, or raise ValueError where y is not fit for it."""

    @abstractmethod
    def _check_validation_targets(self, y: np.ndarray) -> None:
        """Raise ValueError where y is not of the kind that is trained on."""

    @abstractmethod
    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Targets as the network takes them."""

    @abstractmethod
    def _count_outputs(self, Y: np.ndarray) -> int:
        """Units of the last layer, from the encoded targets."""

    @abstractmethod
    def _head(self) -> dict[str, Any]:
        """The network's parameters that belong to its loss."""

    @abstractmethod
    def _validation_score(
        self, outputs: np.ndarray, Y: np.ndarray, sample_weight: np.ndarray | None
    ) -> float:
        """Score by which early stopping judges."""

    @abstractmethod
    def _stratify_by(self, data: Data) -> np.ndarray | None:
        """What the validation split keeps the proportions of."""

    @abstractmethod
    def _training_weight(self, data: Data) -> np.ndarray | None:
        """What each row counts for in the objective."""

    # -- the way of a fit

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> None:
        hidden = self._hidden_layer_sizes()
        goes_on = hasattr(self, "coefs_") and (self.warm_start or incremental)
        with self._unchanged_on_failure():
            data = self._validate_input(X, y, sample_weight, incremental, goes_on)
            layer_sizes = [data.X.shape[1], *hidden, self._count_outputs(data.Y)]
            held_out = self._validate_validation(*validation)
            if goes_on:
                model = self._model_to_go_on_with(layer_sizes)
            else:
                model = self._new_model(layer_sizes, data.X.dtype)
            dtype = model.network.dtype
            data, held_out = data.astype(dtype), held_out and held_out.astype(dtype)
            if self.solver in FULL_BATCH_SOLVERS:
                with fit_task(self, X, y, sample_weight, 0):
                    full_batch_run = self._run_full_batch(model, data, held_out)
                    self._publish_full_batch(model, full_batch_run)
                return
            n_epochs = 1 if incremental else self.max_iter
            with fit_task(self, X, y, sample_weight, n_epochs) as epochs:
                loop = self._make_loop(model, n_epochs, incremental)
                if epochs is not None:
                    self._tell(epochs, model, loop, goes_on)
                run = self._run_first_order(model, loop, data, held_out, incremental)
                self._publish_first_order(model, run, goes_on)

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

    def _input_settings(self) -> dict[str, Any]:
        """How X is validated."""
        types = (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)
        return {"accept_sparse": ["csr", "csc"], "dtype": types, "order": "C"}

    def _validate_input(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        goes_on: bool,
    ) -> Data:
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=is_regressor(self),
            reset=not goes_on,
            **self._input_settings(),
        )
        y = self._as_column(y)
        self._check_targets(y, incremental)
        weights = checked_sample_weight(sample_weight, X)
        return Data(X, y, self._encode(y, X.dtype), weights)

    def _validate_validation(
        self, X_val: Any, y_val: Any, sample_weight_val: ArrayLike | None
    ) -> Data | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together")
        X, y = validate_data(
            self,
            X_val,
            y_val,
            multi_output=True,
            y_numeric=is_regressor(self),
            reset=False,
            **self._input_settings(),
        )
        y = self._as_column(y)
        self._check_validation_targets(y)
        weights = checked_sample_weight(sample_weight_val, X, "sample_weight_val")
        return Data(X, y, self._encode(y, X.dtype), weights)

    @staticmethod
    def _as_column(y: np.ndarray) -> np.ndarray:
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _network_settings(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "alpha": self.alpha,
            "l1_ratio": self.l1_ratio,
            "dropout": self.dropout,
            "batch_norm": self.batch_norm,
            **self._head(),
        }

    def _new_network(
        self, layer_sizes: list[int], dtype: np.dtype, random_state: Any
    ) -> Network:
        return Network(
            layer_sizes,
            init=self.init,
            dtype=dtype,
            random_state=random_state,
            **self._network_settings(),
        )

    def _new_model(self, layer_sizes: list[int], dtype: np.dtype) -> Model:
        random_state = check_random_state(self.random_state)
        return Model(self._new_network(layer_sizes, dtype, random_state), random_state)

    def _model_to_go_on_with(self, layer_sizes: list[int]) -> Model:
        network = self._current_network()
        # A seed's own stream goes on, and with it the order of the rows; a stream that
        # the user holds, or NumPy's, is drawn from as scikit-learn does.
        if hasattr(self, "_model") and isinstance(self.random_state, Integral):
            model = self._model.copy()
            model.random_state = copy.deepcopy(model.random_state)
        else:
            random_state = check_random_state(self.random_state)
            earlier = getattr(self, "_model", None)
            model = earlier.copy() if earlier else Model(network, random_state)
            model.random_state, model.order = random_state, None
        model.network = network.copy(**self._network_settings())
        before, now = network.kind, (layer_sizes, *model.network.kind[1:])
        if before != now:
            raise ValueError(
                "warm_start and partial_fit need the layers of the previous fit, its "
                f"activation, its loss and its batch_norm, {before}; they would now be "
                f"{now}"
            )
        return model

    def _current_network(self) -> Network:
        """The fitted network; made anew if ``coefs_`` or ``intercepts_`` were set."""
        public = [*self.coefs_, *self.intercepts_]
        if hasattr(self, "_model"):
            network = self._model.network
            mine = [*network.weights, *network.biases]
            if all(a is b for a, b in zip(mine, public, strict=True)):
                return network
        layer_sizes = [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]
        if hasattr(self, "_model") and self._model.network.layer_sizes == layer_sizes:
            network = self._model.network.copy()
        else:
            dtype = np.result_type(*public, np.float32)
            network = self._new_network(layer_sizes, dtype, 0)
        for view, values in zip(
            [*network.weights, *network.biases], public, strict=True
        ):
            view[...] = values
        return network

    # -- first-order solvers

    def _run_first_order(
        self,
        model: Model,
        loop: Loop,
        data: Data,
        held_out: Data | None,
        incremental: bool,
    ) -> Run:
        rows, held_out = self._split(model, data, held_out)
        if held_out is not None:
            loop.validation = self._make_validation(held_out)
            loop.overfitting = Overfitting(self.tol, self.n_iter_no_change)
        model.optimizer = self._optimizer_to_go_on_with(model)
        batch_size = self._batch_rows(len(rows))
        n_threads = self._count_threads(model.network, batch_size)
        with gather_crew(n_threads) as crew:
            trainer = Trainer(
                model.network,
                model.optimizer,
                as_inputs(data.X, data.X.shape[1], model.network.dtype),
                data.Y,
                self._training_weight(data),
                batch_size=batch_size,
                crew=crew,
            )
            run = fit_first_order(trainer, loop, rows)
        model.take_in(loop, run)
        if run.stop_reason == "diverged":
            model.optimizer = self._new_optimizer(model)
        self._warn(run.stop_reason, incremental)
        return run

    def _make_loop(self, model: Model, max_iter: int, incremental: bool) -> Loop:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        model.judge_by(score=self.early_stopping)
        return Loop(
            schedule=self._make_schedule(),
            plateau=Plateau(
                self.tol, self.n_iter_no_change, model.best, model.n_stalled
            ),
            random_state=model.random_state,
            max_iter=max_iter,
            shuffle=self.shuffle,
            early_stopping=self.early_stopping,
            stop_on_overfit=self.stop_on_overfit,
            param_tol=self.param_tol,
            n_samples_seen=model.n_samples_seen,
            n_epochs_seen=model.n_epochs_seen if incremental else 0,
            callbacks=self._callbacks(),
            report=print if self.verbose else None,
        )

    def _tell(self, epochs: Epochs, model: Model, loop: Loop, goes_on: bool) -> None:
        """Have scikit-learn's callbacks told of every epoch."""

        def attributes(run: Run) -> dict[str, Any]:
            """All attributes, as if training had ended with the last epoch."""
            now = model.copy()
            now.network = model.network.copy()
            if run.best is not None:
                now.network.params[:], now.network.stats[:] = run.best
            now.take_in(loop, run)
            twin = copy.copy(self)
            twin._publish_first_order(now, run, goes_on)
            twin.history_ = copy.deepcopy(run.history)
            return twin.__dict__

        loop.before_epoch = epochs.begin
        loop.after_epoch = lambda run: epochs.end(lambda: attributes(run))

    def _make_schedule(self) -> Any:
        return make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            power=self.power_t,
            decay_rate=self.decay_rate,
            decay_epochs=self.decay_epochs,
            restart_epochs=self.restart_epochs,
            warmup_epochs=self.warmup_epochs,
            max_iter=self.max_iter,
        )

    def _optimizer_to_go_on_with(self, model: Model) -> Optimizer:
        optimizer = self._new_optimizer(model)
        if model.optimizer is not None:
            optimizer.go_on_from(model.optimizer)
        if model.learning_rate != self.learning_rate:
            optimizer.learning_rate = self.learning_rate_init
        model.learning_rate = self.learning_rate
        return optimizer

    def _new_optimizer(self, model: Model) -> Optimizer:
        name = self.solver
        if name == "sgd" and self.momentum > 0:
            name = "nesterov" if self.nesterovs_momentum else "momentum"
        weight_decay = 0.01 if name == "adamw" else 0.0
        if self.weight_decay is not None:
            weight_decay = self.weight_decay
        drops = any(rate > 0 for rate in model.network.dropout)
        return Optimizer(
            name,
            model.network.params.size,
            model.network.dtype,
            learning_rate=self.learning_rate_init,
            momentum=self.momentum,
            rho=self.rho,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=weight_decay,
            clip_norm=self.grad_clip_norm,
            seed=model.random_state.randint(2**31 - 1) if drops else 0,
        )

    def _count_threads(self, network: Network, batch_size: int) -> int:
        if self.n_threads is None:
            return count_threads(network.layers, batch_size)
        return self.n_threads if _kernels.THREADS else 1

    def _batch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size == "full":
            return n_samples
        batch_size = int(self.batch_size)
        if batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going "
                "to be clipped",
                stacklevel=6,
            )
        return min(batch_size, n_samples)

    def _callbacks(self) -> Sequence[Callable[[int, dict[str, float]], object]]:
        callbacks = self.callbacks or ()
        for callback in callbacks:
            if not callable(callback):
                raise TypeError(
                    f"callbacks must be callable as f(epoch, logs), got {callback!r}"
                )
        return callbacks

    def _split(
        self, model: Model, data: Data, held_out: Data | None
    ) -> tuple[np.ndarray, Data | None]:
        """Rows to train on, and data to validate by."""
        rows = np.arange(len(data.Y))
        if held_out is not None or not self.early_stopping:
            if model.order is not None and len(model.order) == len(rows):
                rows = model.order
            return rows, held_out
        rows, others = train_test_split(
            rows,
            random_state=model.random_state,
            test_size=self.validation_fraction,
            stratify=self._stratify_by(data),
        )
        if len(others) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        return rows, data.take(others)

    def _make_validation(self, data: Data) -> Validation:
        inputs = as_inputs(data.X, data.X.shape[1], data.Y.dtype)
        score = self._own_score(data) if self.scoring is None else self._scorer(data)
        return Validation(inputs, data.Y, data.sample_weight, score)

    def _own_score(self, data: Data) -> Callable[[Network], float]:
        def score(network: Network) -> float:
            outputs = network.predict(data.X)
            return self._validation_score(outputs, data.Y, data.sample_weight)

        return score

    def _scorer(self, data: Data) -> Callable[[Network], float]:
        scorer = check_scoring(self, scoring=self.scoring)
        weights = data.sample_weight
        settings = {} if weights is None else {"sample_weight": weights}

        def score(network: Network) -> float:
            return float(scorer(self._as_fitted(network), data.X, data.y, **settings))

        return score

    def _as_fitted(self, network: Network) -> BaseMLP:
        """An estimator like this one that has been fitted to that network."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        # The rows that it is asked about have been validated, and lost their names.
        twin.__dict__.pop("feature_names_in_", None)
        twin._publish(Model(network, np.random.RandomState(0)))
        return twin

    def _warn(self, stop_reason: str, incremental: bool) -> None:
        if stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=6)
        elif stop_reason == "max_iter" and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _publish_first_order(self, model: Model, run: Run, goes_on: bool) -> None:
        self._publish(model)
        self.history_ = run.history
        self.loss_curve_ = self._extend("loss_curve_", "loss", goes_on)
        self.loss_ = run.history["loss"][-1] if run.n_epochs else float("nan")
        self.n_iter_ = run.n_epochs
        self.stop_reason_ = run.stop_reason
        self.overfit_epoch_ = run.overfit_epoch
        self.best_loss_ = None if self.early_stopping else -model.best
        validated = self.early_stopping or "validation_score" in run.history
        scores = self._extend("validation_scores_", "validation_score", goes_on)
        losses = self._extend("validation_loss_curve_", "validation_loss", goes_on)
        best = model.best if self.early_stopping else max(scores, default=None)
        self.validation_scores_ = scores if validated else None
        self.validation_loss_curve_ = losses if validated else None
        self.best_validation_score_ = best if validated else None

    def _extend(self, attribute: str, column: str, goes_on: bool) -> list[float]:
        """This fit's entries, behind those of the fits that it goes on from."""
        earlier = getattr(self, attribute, None) if goes_on else None
        return [*(earlier or []), *self.history_.get(column, [])]

    # -- full-batch solvers

    def _run_full_batch(
        self, model: Model, data: Data, held_out: Data | None
    ) -> FullBatchRun:
        network = model.network
        if network.batch_norm or any(network.dropout):
            raise ValueError(
                f"solver={self.solver!r} takes neither batch_norm nor dropout; choose "
                f"one of {', '.join(FIRST_ORDER_SOLVERS)}"
            )
        if held_out is not None:
            raise ValueError(
                f"solver={self.solver!r} has no epochs to validate after; choose one "
                f"of {', '.join(FIRST_ORDER_SOLVERS)} to fit with X_val"
            )
        run = fit_full_batch(
            network,
            data.X,
            data.Y,
            self._training_weight(data),
            solver=self.solver,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            gtol=self.tol,
            learning_rate=self.learning_rate_init,
            callbacks=self._callbacks(),
            report=print if self.verbose else None,
        )
        if run.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=5)
        elif run.stop_reason in ("max_iter", "no_progress"):
            warnings.warn(
                f"{self.solver} failed to converge after {run.n_iter} iteration(s): "
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
        self.history_ = run.history
        self.loss_ = run.loss
        self.n_iter_ = run.n_iter
        self.stop_reason_ = run.stop_reason

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

    def hidden_activations(self, X: ArrayLike) -> list[np.ndarray]:
        """What each hidden layer makes of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        list of ndarray of shape (n_samples, n_units)
            One a hidden layer.
        """
        check_is_fitted(self)
        return self._current_network().hidden_activations(self._checked_inputs(X))

    def _checked_inputs(self, X: ArrayLike) -> Any:
        return validate_data(self, X, reset=False, **self._input_settings())

    def _outputs(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs for raw input."""
        check_is_fitted(self)
        network = self._current_network()
        return network.predict(self._checked_inputs(X))

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
    sample_weight: ArrayLike | None, X: Any, name: str = "sample_weight"
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
        raise ValueError(f"Negative values in data passed to `{name}`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
