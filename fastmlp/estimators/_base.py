"""What the estimators share: the way of a fit, its publication, and their use."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from fastmlp import fitting
from fastmlp.estimators._attributes import network_of
from fastmlp.estimators._checkpoints import (
    check_checkpoints,
    checkpoint_writers,
    resume,
)
from fastmlp.estimators._conversion import Conversion
from fastmlp.estimators._data import Data, of_type
from fastmlp.estimators._fitted import read_progress, set_fitted_attributes, view_of
from fastmlp.estimators._held_out import hold_out
from fastmlp.estimators._listeners import fit_task, listeners_of
from fastmlp.estimators._model_file import save_estimator
from fastmlp.estimators._parameters import Parameters
from fastmlp.estimators._pickling import from_stored, to_stored
from fastmlp.estimators._publication import attempt, reading
from fastmlp.estimators._streams import (
    check_fit,
    data_of,
    is_streamed,
    opened,
    predict_blocks,
    rows_of,
    warn_of_map,
)
from fastmlp.estimators._validation import (
    checked_data,
    checked_inputs,
    checked_sample_weight,
    validated_rows_to_judge_by,
)
from fastmlp.estimators._warnings import warn, warn_of_ending
from fastmlp.export._model import read
from fastmlp.head import Head
from fastmlp.listeners import Listener
from fastmlp.network import Network
from fastmlp.progress import BAR, predict_rows
from fastmlp.random_streams import as_stream
from fastmlp.recipe import (
    FIRST_ORDER_SOLVERS,
    FULL_BATCH_SOLVERS,
    OptimizerSettings,
    Recipe,
    pick,
)
from fastmlp.rows import ArrayRows, RowSource, as_csr
from fastmlp.schedules import ScheduleSettings
from fastmlp.sklearn_private import CallbackSupportMixin, ScikitLearnPrivates
from fastmlp.state import TrainingState
from fastmlp.summary import Summary, summarize
from fastmlp.validation import HeldOut

_REAL = (int, float, np.integer, np.floating)


class Start(NamedTuple):
    """What a fit begins with, beside its state.

    Parameters
    ----------
    rows : RowSource
        What is trained on.
    held_out : HeldOut or None
        What is judged by.
    goes_on : bool
        Whether an earlier fit goes on.
    n_told : int
        Epochs at most that scikit-learn's callbacks are told of; 0: they are not.
    view : callable
        Makes the estimator that would be, had training ended now.
    listeners, writers : sequence of Listener
        What the user has asked for; what writes checkpoints, after all others.
    """

    rows: RowSource
    held_out: HeldOut | None
    goes_on: bool
    n_told: int
    view: Callable[..., Any]
    listeners: Sequence[Listener]
    writers: Sequence[Listener]


class BaseMLP(
    CallbackSupportMixin,
    ScikitLearnPrivates,
    Conversion,
    Parameters,
    BaseEstimator,
    ABC,
):
    """The way of a fit (validate, recipe, fit, publish), and the use of a model."""

    loss: str
    _state: TrainingState

    @abstractmethod
    def _check_targets(self, y: np.ndarray, incremental: bool) -> None:
        """Learn what targets can be, or raise ValueError where y is not fit for it."""

    @abstractmethod
    def _check_validation_targets(self, y: np.ndarray) -> None:
        """Raise ValueError where y is not of the kind that is trained on."""

    @abstractmethod
    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Targets as the network takes them."""

    def _trained_on(self, Y: np.ndarray) -> np.ndarray:
        """Encoded targets as losses count them."""
        return Y

    def _truth(self, data: Data) -> np.ndarray:
        """Targets as a scorer takes them."""
        return data.y

    @abstractmethod
    def _count_outputs(self, Y: np.ndarray) -> int:
        """Units of the last layer, from the encoded targets."""

    @abstractmethod
    def _head(self) -> Head:
        """Loss and output activation."""

    @abstractmethod
    def _own_score(self, data: Data) -> Callable[[np.ndarray], float]:
        """Score of the outputs for these rows, by which early stopping judges."""

    def _as_rows(self, X: Any, reset: bool) -> Any:
        """X as a matrix, a row each; its shape is learnt where ``reset``."""
        return X

    def _architecture(self, n_features: int, recipe: Recipe, n_outputs: int) -> list:
        """Inputs, then each layer (:func:`fastmlp.layers.check_architecture`)."""
        return [n_features, *recipe.hidden_layer_sizes, n_outputs]

    def _weigh(self, data: Data) -> np.ndarray | None:
        """What each row counts for in training."""
        return data.sample_weight

    def _stratify_by(self, data: Data) -> np.ndarray | None:
        """What the validation split keeps the proportions of."""
        return None

    def _describe_missing(self, Y: np.ndarray) -> str:
        """Which classes these rows tell nothing about; empty if there are none."""
        return ""

    def _rows_of_missing_classes(
        self, Y: np.ndarray, rows: np.ndarray, others: np.ndarray
    ) -> list[int]:
        """Of the rows to train on, those to hold out so that no class is missing."""
        return []

    def _tell_classes(self, scorer: Any) -> Any:
        """The scorer, told of all classes if it needs to know them."""
        return scorer

    # -- the way of a fit

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        classes: ArrayLike | None = None,
        resume_from: Any = None,
    ) -> None:
        """Fit on a twin, and take over what it has become: all of it, or nothing."""
        with attempt(self) as trial, opened(X, validation) as (rows, judges):
            new = trial.twin
            recipe, state, start = new._prepare(
                rows, y, sample_weight, incremental, judges, classes, resume_from
            )
            with fit_task(self, X, y, sample_weight, start) as tasks:
                listeners = [*start.listeners, *tasks, *start.writers]
                fitting.fit(recipe, state, start.rows, start.held_out, listeners)
                state.settle(incremental)
                set_fitted_attributes(new, state, start.goes_on)
                trial.publish()
            # Inside: a warning that is made an error is a fit that fails.
            warn_of_ending(self, recipe, state, incremental)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        validation: tuple[Any, Any, Any],
        classes: ArrayLike | None,
        resume_from: Any,
    ) -> tuple[Recipe, TrainingState, Start]:
        """Validate everything; what is asked for, and what the fit begins with."""
        goes_on = hasattr(self, "coefs_") and (self.warm_start or incremental)
        goes_on = goes_on and resume_from is None
        if incremental:
            # scikit-learn looks at the parameters before the first call only.
            self._validate_params()
            y = as_csr(y, "y")
            self._learn_classes(y, classes)
        data = self._validate(X, y, sample_weight, incremental, goes_on)
        given = validated_rows_to_judge_by(self, data, *validation)
        recipe = self._recipe(incremental)
        self._check_combination(recipe, given, incremental)
        if is_streamed(data.X):
            check_fit(self, recipe, data, given)
        check_checkpoints(self, recipe, incremental, resume_from)
        if resume_from is None:
            state = self._begin(recipe, data, goes_on)
        else:
            state, goes_on = resume(self, resume_from, data, given)
        data, given = of_type(state.network.dtype, data, given)
        held_out = hold_out(self, recipe, state, data, given)
        if resume_from is not None:
            state.resume(recipe)
        elif not recipe.is_full_batch:
            state.begin(recipe, incremental)
        view = partial(view_of, self, goes_on)
        start = Start(
            self._rows(recipe, state.network, data),
            held_out,
            goes_on,
            0 if recipe.is_full_batch else recipe.n_epochs,
            view,
            listeners_of(self, view),
            checkpoint_writers(self, goes_on, data, given),
        )
        return recipe, state, start

    def _learn_classes(self, y: Any, classes: ArrayLike | None) -> None:
        """Before the first rows of ``partial_fit``."""

    def _validate(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        incremental: bool,
        goes_on: bool,
    ) -> Data:
        if is_streamed(X) and not incremental:
            return data_of(self, X, y, sample_weight, reset=not goes_on)
        warn_of_map(self, X)
        X, y = checked_data(self, X, y, reset=not goes_on)
        self._check_targets(y, incremental)
        weights = checked_sample_weight(sample_weight, X)
        data = Data(X, y, self._encode(y, X.dtype), weights)
        data.training_weight = self._weigh(data)
        return data

    def _recipe(self, incremental: bool = False) -> Recipe:
        """What the parameters ask for."""
        given: Any = self.hidden_layer_sizes
        sizes = tuple(given) if hasattr(given, "__iter__") else (given,)
        if not all(isinstance(n, _REAL) and n > 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
        return pick(
            Recipe,
            self,
            head=self._head(),
            hidden_layer_sizes=sizes,
            optimizer=pick(OptimizerSettings, self),
            schedule=pick(ScheduleSettings, self),
            n_epochs=1 if incremental else self.max_iter,
            settled_rate=math.inf,
        )

    @property
    def _is_judged_by_score(self) -> bool:
        """Whether validation scores decide about when training ends, or where."""
        by_score = self.keep_best in (True, "score")
        return self.early_stopping or self.stop_on_overfit or by_score

    def _check_combination(
        self, recipe: Recipe, given: Data | None, incremental: bool
    ) -> None:
        """Refuse parameters that do not go together."""
        others = f"choose one of {', '.join(FIRST_ORDER_SOLVERS)}"
        if recipe.is_full_batch:
            if recipe.batch_norm or callable(recipe.dropout) or np.any(recipe.dropout):
                raise ValueError(
                    f"solver={recipe.solver!r} does not support batch_norm or dropout; "
                    f"{others}"
                )
            if recipe.rate_factors is not None or recipe.decay_factors is not None:
                raise ValueError(
                    f"solver={recipe.solver!r} does not support rate_factors or "
                    f"decay_factors; {others}"
                )
            if recipe.keep_best and given is None:
                raise ValueError(
                    f"solver={recipe.solver!r} holds out no rows: keep_best needs X_val"
                )
        elif incremental and recipe.holds_out:
            name = "keep_best" if recipe.keep_best else "early_stopping"
            raise ValueError(f"partial_fit does not support {name}=True")
        elif recipe.stop_on_overfit and not (
            given is not None or recipe.holds_out or incremental
        ):
            raise ValueError(
                "stop_on_overfit=True needs X_val and y_val, or early_stopping=True"
            )

    def _begin(self, recipe: Recipe, data: Data, goes_on: bool) -> TrainingState:
        """The state that the fit begins with."""
        n_outputs = self._count_outputs(data.Y)
        architecture = self._architecture(data.X.shape[1], recipe, n_outputs)
        if goes_on:
            return self._go_on(recipe, architecture)
        random_state = as_stream(self.random_state)
        network = recipe.make_network(architecture, data.X.dtype, random_state)
        return TrainingState(network, random_state)

    def _go_on(self, recipe: Recipe, architecture: list) -> TrainingState:
        """The state of the earlier fit, with what users have set since."""
        earlier, fitted = self.__dict__.get("_state"), network_of(self)
        network = fitted.copy(**recipe.network_settings)
        before, now = fitted.kind, (architecture, *network.kind[1:])
        if before != now:
            raise ValueError(
                "warm_start and partial_fit need the layer sizes, activation, loss and "
                f"batch_norm of the previous fit: they were {before}, and are now "
                f"{now}. Set them back, or fit with warm_start=False"
            )
        # A seed's own stream goes on, and with it the order of the rows; a stream that
        # the user holds, or NumPy's, is drawn from as scikit-learn does.
        if earlier is None:
            state = TrainingState(network, as_stream(self.random_state))
        elif isinstance(self.random_state, Integral):
            state = earlier.go_on(network, None)
        else:
            state = earlier.go_on(network, as_stream(self.random_state))
        if earlier is not None and earlier.network.kind[0] != architecture:
            state.optimizer = None
        read_progress(self, state)
        return state

    def _rows(self, recipe: Recipe, network: Network, data: Data) -> RowSource:
        """What is trained on, as the kernels take it."""
        size, has_batches = self.batch_size, self.solver not in FULL_BATCH_SOLVERS
        if has_batches and not isinstance(size, str) and size > data.n_rows:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going "
                "to be clipped"
            )
        if is_streamed(data.X):
            return rows_of(self, network, data, recipe.batch_rows(data.n_rows))
        Y = self._trained_on(data.Y)
        return ArrayRows(network.as_data(data.X, Y, data.training_weight))

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
            One per hidden layer.
        """
        now = reading(self)
        inputs = now._checked_inputs(X)
        return network_of(now).hidden_activations(inputs)

    def summary(self) -> Summary:
        """The table of layers: shapes, parameters, multiply-adds per row, bytes.

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

    def logits(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs before the output activation.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The former for one output: the log-odds of the second of two classes.
        """
        now = reading(self)
        inputs = now._checked_inputs(X)
        network = network_of(now).with_output_activation("identity")
        return now._squeeze(now._predict_by(network, inputs))

    def _squeeze(self, outputs: np.ndarray) -> np.ndarray:
        """One column as a vector."""
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _outputs(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs for raw input."""
        inputs = self._checked_inputs(X)
        return self._predict_by(network_of(self), inputs)

    def _predict_by(self, network: Network, inputs: Any) -> np.ndarray:
        """The network's outputs, with a bar if one is asked for."""
        if is_streamed(inputs):
            return predict_blocks(self, network, inputs)
        if self.verbose == BAR:
            return predict_rows(network, inputs)
        return network.predict(inputs)

    def _checked_inputs(self, X: ArrayLike) -> Any:
        """X of a fitted estimator as the network takes it."""
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        return checked_inputs(self, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file, in one step; :func:`fastmlp.load` reads it.

        The file holds parameters, fitted attributes and what a later fit goes on from,
        and no code: functions and objects among the parameters are named in a warning
        and not stored. Needs the extra ``safetensors``.

        Parameters
        ----------
        path : str or path-like
            The file.

        Raises
        ------
        fastmlp.ModelFileError
            If something cannot be stored: the estimator is of a subclass, its numbers
            are not finite, or its attributes do not belong together.
        OSError
            If it cannot be written; the old file is still there.
        """
        save_estimator(self, path)

    def _check_solver(self) -> bool:
        if self.solver not in FIRST_ORDER_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __getstate__(self) -> dict[str, Any]:
        return to_stored(self, super().__getstate__())

    def __setstate__(self, stored: dict[str, Any]) -> None:
        super().__setstate__(from_stored(stored))
