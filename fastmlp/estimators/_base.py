"""What both estimators share: parameters, the way of a fit, and its publication."""

from __future__ import annotations

import copy
import operator
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import (
    Tags,
    check_consistent_length,
    check_random_state,
    column_or_1d,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.estimators._attributes import read_layers
from fastmlp.estimators._callbacks import Callbacks, CallbackSupportMixin, fit_task
from fastmlp.estimators._compat import ScikitLearnPrivates
from fastmlp.estimators._conversion import Conversion
from fastmlp.estimators._first_order import AGAINST_DIVERGENCE, FirstOrderFit
from fastmlp.estimators._model import Data, Model
from fastmlp.estimators._parameters import (
    FIRST_ORDER_SOLVERS,
    FULL_BATCH_SOLVERS,
)
from fastmlp.estimators._pickling import mark_refused, unmark
from fastmlp.estimators._stream import copy_stream
from fastmlp.estimators._validation import (
    as_numbers_of,
    checked_sample_weight,
    is_valid_matrix,
    is_valid_target,
    naming,
)
from fastmlp.export._model import read
from fastmlp.full_batch import COLUMNS, FullBatchRun, fit_full_batch
from fastmlp.network import Network
from fastmlp.settings import check_dtype
from fastmlp.stopping import epoch_of_divergence
from fastmlp.summary import Summary, summarize

FIRST_ORDER_ATTRIBUTES = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "overfit_epoch_",
)

# How scikit-learn looks at X. What is no number stays what it is, and is refused.
INPUT_SETTINGS = {"accept_sparse": ["csr", "csc"], "dtype": "numeric", "order": "C"}


# What scikit-learn's callbacks have an estimator hold while it is fitted.
DURING_A_FIT = ("_callback_fit_ctx", "_parent_callback_ctx")


class BaseMLP(
    CallbackSupportMixin,
    ScikitLearnPrivates,
    Conversion,
    FirstOrderFit,
    BaseEstimator,
    ABC,
):
    """Parameters, fit and partial_fit of both estimators."""

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

    # -- the way of a fit

    def _fit_network(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> None:
        hidden = self._hidden_layer_sizes()
        callbacks = Callbacks(self.callbacks)
        goes_on = hasattr(self, "coefs_") and (self.warm_start or incremental)
        with self._unchanged_on_failure():
            data = self._validate_training(X, y, sample_weight, incremental, goes_on)
            layer_sizes = [data.X.shape[1], *hidden, self._count_outputs(data.Y)]
            held_out = self._validate_validation(data, *validation)
            if goes_on:
                model = self._model_to_go_on_with(layer_sizes)
            else:
                model = self._new_model(layer_sizes, data.X.dtype)
            dtype = model.network.dtype
            data, held_out = data.astype(dtype), held_out and held_out.astype(dtype)
            if self.solver in FULL_BATCH_SOLVERS:
                with fit_task(self, X, y, sample_weight, 0):
                    full_batch_run = self._run_full_batch(
                        model, data, held_out, callbacks
                    )
                    self._publish_full_batch(model, full_batch_run)
                callbacks.end(lambda: self._view(self.__dict__))
                return
            n_epochs = 1 if incremental else self.max_iter
            with fit_task(self, X, y, sample_weight, n_epochs) as epochs:
                loop = self._make_loop(model, n_epochs, incremental, callbacks)
                self._tell(callbacks, epochs, model, loop, goes_on)
                run = self._run_first_order(model, loop, data, held_out, incremental)
                self._publish_first_order(model, run, goes_on)
            callbacks.end(lambda: self._view(self.__dict__))

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

    def _input_types(self) -> list[np.dtype]:
        """The types of X that need no cast, that which others are cast to first."""
        if self.dtype is not None:
            return [check_dtype(self.dtype)]
        return [np.dtype(np.float64), np.dtype(np.float32)]

    def _validate_training(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        goes_on: bool,
    ) -> Data:
        X, y = self._checked_data(X, y, reset=not goes_on)
        self._check_targets(y, incremental)
        weights = checked_sample_weight(sample_weight, X)
        return Data(X, y, self._encode(y, X.dtype), weights)

    def _validate_validation(
        self, data: Data, X_val: Any, y_val: Any, sample_weight_val: ArrayLike | None
    ) -> Data | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val needs X_val and y_val")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together")
        with naming(lambda: self._name_of_fault(X_val, y_val)):
            X, y = self._checked_data(X_val, y_val, reset=False)
        if y.shape[1:] != data.y.shape[1:]:
            raise ValueError(
                f"y_val must have as many columns as y: their shapes are {y.shape} "
                f"and {data.y.shape}"
            )
        with naming("y_val"):
            self._check_validation_targets(y)
            Y = self._encode(y, X.dtype)
        with naming("sample_weight_val"):
            weights = checked_sample_weight(sample_weight_val, X, "sample_weight_val")
        return Data(X, y, Y, weights)

    def _name_of_fault(self, X_val: Any, y_val: Any) -> str:
        """Which of the two it is that could not be validated."""
        try:
            X = validate_data(self, X_val, reset=False, **INPUT_SETTINGS)
            as_numbers_of(self._input_types(), X, "X")
        except (TypeError, ValueError):
            return "X_val"
        try:
            check_consistent_length(X_val, y_val)
        except (TypeError, ValueError):
            return "X_val and y_val"
        return "y_val"

    def _checked_data(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        """X and y as scikit-learn's validation leaves them; one column of y as 1-D."""
        if self._is_valid(X, reset) and is_valid_target(y, len(X)):
            if reset:
                self.n_features_in_ = X.shape[1]
                self.__dict__.pop("feature_names_in_", None)
            return X, y
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=is_regressor(self),
            reset=reset,
            **INPUT_SETTINGS,
        )
        X = as_numbers_of(self._input_types(), X, "X")
        if is_regressor(self) and issparse(y):
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

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
            model = copy.copy(self._model)
            model.random_state = copy_stream(model.random_state)
        else:
            random_state = check_random_state(self.random_state)
            earlier = getattr(self, "_model", None)
            model = copy.copy(earlier) if earlier else Model(network, random_state)
            model.random_state = random_state
            model.order = None if model.order is None else np.sort(model.order)
        if model.network.layer_sizes != network.layer_sizes:
            model.optimizer = None
        model.network = network.copy(**self._network_settings())
        self._read_progress(model)
        before, now = network.kind, (layer_sizes, *model.network.kind[1:])
        if before != now:
            raise ValueError(
                "warm_start and partial_fit need the layers of the previous fit, its "
                f"activation, its loss and its batch_norm, {before}; they would now be "
                f"{now}"
            )
        return model

    def _read_progress(self, model: Model) -> None:
        """Samples seen and best value, as the attributes have them: users set them."""
        attributes = vars(self)
        model.n_samples_seen = attributes.get("t_", model.n_samples_seen)
        if model.judged_by != ("loss",):
            score = attributes.get("best_validation_score_")
            model.best = model.best if score is None else score
        else:
            loss = attributes.get("best_loss_")
            model.best = model.best if loss is None else -loss

    def _current_network(self) -> Network:
        """The fitted network, with all that a user has set in the attributes since."""
        model = self.__dict__.get("_model")
        if model is not None:
            network = model.network
            if (
                self.out_activation_ == network.output_activation
                and self.n_layers_ == len(network.layer_sizes)
                and self.n_outputs_ == network.layer_sizes[-1]
                and self._holds_views(network)
            ):
                return network
        return self._network_of_attributes(model and model.network)

    def _holds_views(self, network: Network) -> bool:
        """Whether ``coefs_`` and ``intercepts_`` are the network's own arrays."""
        mine = *network.weights, *network.biases
        public = *self.coefs_, *self.intercepts_
        return len(mine) == len(public) and all(map(operator.is_, mine, public))

    def _network_of_attributes(self, fitted: Network | None) -> Network:
        """A new network, from the attributes that scikit-learn's MLP predicts by."""
        n_layers, n_outputs, output_activation = (
            self.__dict__.get(name)
            for name in ("n_layers_", "n_outputs_", "out_activation_")
        )
        weights, biases, dtype = read_layers(self.coefs_, self.intercepts_, n_layers)
        if n_outputs not in (None, len(biases[-1])):
            raise ValueError(
                f"n_outputs_ is {n_outputs}, but the last of the layers in coefs_ has "
                f"{len(biases[-1])} units"
            )
        network = self._network_for(fitted, weights, biases, dtype)
        if output_activation is None:
            output_activation = self._head()["output_activation"]
        return network.with_output_activation(
            output_activation or network.output_activation
        )

    def _network_for(
        self,
        fitted: Network | None,
        weights: list[np.ndarray],
        biases: list[np.ndarray],
        dtype: np.dtype,
    ) -> Network:
        """A network on these layers, else like the fitted one."""
        if fitted and fitted.layer_sizes == [len(weights[0]), *map(len, biases)]:
            network = fitted.copy()
            network.set_weights(weights, biases)
            return network
        if fitted.batch_norm if fitted else self.batch_norm:
            raise ValueError(
                "with batch_norm a layer has scales and running moments, which coefs_ "
                "and intercepts_ do not hold: only the fitted layers can be set"
            )
        n_hidden, activation = len(weights) - 1, self.activation
        if fitted and n_hidden <= len(fitted.activations):
            activation = fitted.activations[:n_hidden]
        return Network.from_weights(
            weights,
            biases,
            dtype=dtype,
            activation=activation,
            loss=self.loss,
            output_activation=None,
            huber_delta=1.0,
            quantile=0.5,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio,
            dropout=0.0,
            batch_norm=False,
        )

    # -- full-batch solvers

    def _run_full_batch(
        self, model: Model, data: Data, held_out: Data | None, callbacks: Callbacks
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
        history: dict[str, list[float]] = {name: [] for name in COLUMNS[self.solver]}

        def view() -> Any:
            losses = history["loss"]
            loss = losses[-1] if losses else float("nan")
            columns = {name: list(column) for name, column in history.items()}
            run = FullBatchRun(columns, loss, len(losses), "max_iter", "")
            now = copy.copy(model)
            now.network = network.copy()
            twin = self._view(self.__dict__)
            twin._publish_full_batch(now, run)
            return twin

        def end_iteration(iteration: int, logs: dict[str, float]) -> bool:
            for name, value in logs.items():
                history[name].append(value)
            return callbacks.end_epoch(view, iteration, logs)

        callbacks.begin(view)
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
            # Threads sleep from one evaluation to the next.
            n_threads=self._count_threads(network, len(data.Y), 1),
            callbacks=[*callbacks.functions, end_iteration],
            report=print if self.verbose else None,
        )
        losses = run.history["loss"]
        if run.stop_reason == "interrupted":
            warnings.warn("Training interrupted by user.", stacklevel=5)
        elif (
            epoch := epoch_of_divergence(losses, losses[0] if losses else 0)
        ) is not None:
            warnings.warn(
                f"Training diverged: J went from {losses[0]:.3g} to "
                f"{losses[epoch - 1]:.3g} in iteration {epoch}. The parameters of the "
                f"last iteration are kept. {AGAINST_DIVERGENCE}",
                ConvergenceWarning,
                stacklevel=5,
            )
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

    def _view(self, attributes: dict[str, Any]) -> Any:
        """An estimator of this class with those attributes, apart from a fit's own."""
        twin = object.__new__(type(self))
        kept = (item for item in attributes.items() if item[0] not in DURING_A_FIT)
        twin.__dict__.update(kept)
        return twin

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
        inputs = self._checked_inputs(X)
        return self._current_network().hidden_activations(inputs)

    def summary(self) -> Summary:
        """The table of layers: shapes, parameters, multiply-adds a row, bytes.

        Returns
        -------
        Summary
            Prints as a table, and is one in a notebook.
        """
        return summarize(read(self, "summary"), type(self).__name__)

    def _html_repr(self) -> str:
        """scikit-learn's diagram (1.7 and later), with the table once fitted."""
        diagram = super()._html_repr()
        if not hasattr(self, "coefs_"):
            return diagram
        table = self.summary()._repr_html_()
        return f"{diagram}<details><summary>Layers</summary>{table}</details>"

    def _checked_inputs(self, X: ArrayLike) -> Any:
        """X of a fitted estimator as the network takes it."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        if self._is_valid(X):
            return X
        X = validate_data(self, X, reset=False, **INPUT_SETTINGS)
        return as_numbers_of(self._input_types(), X, "X")

    def _is_valid(self, X: Any, reset: bool = False) -> bool:
        """Whether X is surely what validation would return, columns and all, unless
        they are to be learnt from it.
        """
        if not is_valid_matrix(X, self._input_types()):
            return False
        return reset or (
            X.shape[1] == getattr(self, "n_features_in_", None)
            and not hasattr(self, "feature_names_in_")
        )

    def logits(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs before the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The former for one output: the log-odds of the second of two classes.
        """
        inputs = self._checked_inputs(X)
        return self._squeeze(self._current_network().logits(inputs))

    def _squeeze(self, outputs: np.ndarray) -> np.ndarray:
        """One column as a vector."""
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _outputs(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs for raw input."""
        inputs = self._checked_inputs(X)
        return self._current_network().predict(inputs)

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
        if "_model" in state and self._holds_views(state["_model"].network):
            del state["coefs_"], state["intercepts_"]
        mark_refused(state)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        unmark(state)
        super().__setstate__(state)
        if "_model" in state and "coefs_" not in state:
            self.coefs_ = list(self._model.network.weights)
            self.intercepts_ = list(self._model.network.biases)
