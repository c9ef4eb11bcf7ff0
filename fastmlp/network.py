"""The network: layer shapes, one flat parameter vector, and what it computes."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp import _kernels
from fastmlp._kernels import OBJECTIVE
from fastmlp.derivatives import input_hessians, jacobian
from fastmlp.evaluation import Evaluator
from fastmlp.first_half import FirstHalf
from fastmlp.groups import check_factors, group_by_layer
from fastmlp.initialization import draw_parameters
from fastmlp.layers import (
    Architecture,
    check_architecture,
    from_facts,
    geometries,
    to_facts,
)
from fastmlp.memory import aligned_copy, aligned_empty
from fastmlp.optimizers import BatchGradient, Optimizer
from fastmlp.random_streams import new_stream
from fastmlp.rows import (
    Data,
    Inputs,
    as_data,
    as_inputs,
    as_numbers,
    count_rows,
    take_rows,
)
from fastmlp.settings import (
    activation_params,
    as_list,
    check_dtype,
    check_flag,
    check_layers,
    check_name,
    check_range,
    loss_numbers,
    one_a_layer,
)
from fastmlp.threads import (
    PREDICTED_ROWS,
    PRODUCTS_OF_A_STEP,
    PRODUCTS_OF_CURVATURE,
    count_team,
    partition_rows,
    piece_rows,
    predicted_rows,
    run_in_threads,
    thread_team,
)
from fastmlp.workspace import (
    block_rows,
    build_arena,
    count_entries,
    plan_of,
)


class Views(tuple):
    """Views of one vector, a layer each: what is assigned to one is copied into it."""

    __slots__ = ()

    def __setitem__(self, layer: int, values: ArrayLike) -> None:
        copy_into(self[operator.index(layer)], values, f"layer {layer}")


def copy_into(array: np.ndarray, values: ArrayLike, name: str) -> None:
    """Write the values over those of an array of the same shape.

    Raises
    ------
    ValueError
        If they have another shape, or are not of numbers that the type can hold.
    """
    if values is array:  # after ``network.params += step``
        return
    numbers = as_numbers(values, array.dtype, name)
    if np.shape(values) != array.shape:
        raise ValueError(
            f"{name} must have shape {array.shape}, got {np.shape(values)}"
        )
    array[...] = numbers


class Network:
    """A multilayer perceptron as a function of one flat parameter vector.

    The low-level class: it evaluates the network, its objective J, the exact gradient
    of J and products with its Hessian, for any optimizer to drive. The objective is::

        J = (1/m) Σᵢ wᵢ ℓ(yᵢ, f(xᵢ)) + alpha/m (r ‖W‖₁ + (1 − r)/2 ‖W‖²),   m = Σᵢ wᵢ

    with r = l1_ratio and the penalty over weights only, divided by m as
    scikit-learn's MLP has it. What is computed here sees running averages where a
    layer is normalised, and drops no unit: that is for training.

    Parameters
    ----------
    layer_sizes : sequence of int, or of kinds of layers
        Units of each layer, inputs first, outputs last. Two entries are a network
        without a hidden layer. For images the first entry is their shape,
        (height, width, channels), for signals (length, channels), and of the others
        some are kinds of :mod:`fastmlp.layers`, as in
        ``[(28, 28, 1), Conv(16, 3), MaxPool(2), 64, 10]``. A row of X is such an image,
        its channels last, made flat. For columns of a table there are others, as in
        ``[8, PeriodicEmbedding(6), Scale(), 256, 1]``.
    activation : str or sequence of str, default='relu'
        Activation of the hidden layers, one for all or one a layer, those that pool or
        work on columns not counted: 'identity',
        'logistic', 'tanh', 'relu', 'leaky_relu', 'elu', 'selu', 'softplus', 'silu',
        'gelu', 'gelu_tanh', 'mish', 'hardsigmoid' or 'hardswish'.
    loss : str, default='squared_error'
        ℓ per row, summed over outputs: 'squared_error' (half of it), 'log_loss',
        'absolute_error', 'huber', 'quantile', 'log_cosh', or half the deviance,
        'poisson', 'gamma' or 'tweedie'. Targets of 'log_loss' under softmax are class
        indices, those of 'cross_entropy' rows of probabilities, one a class.
    output_activation : str, default=None
        'identity', 'logistic', 'tanh', 'relu', 'softplus' or 'exp' with squared_error,
        'softmax' or 'logistic' with log_loss, 'softmax' with cross_entropy, 'exp' with
        poisson, gamma and tweedie, else 'identity'. None takes the first of these.
    huber_delta : float, default=1.0
        Residual from which on 'huber' is linear.
    quantile : float or sequence of float, default=0.5
        Levels of 'quantile' in (0, 1): one for all outputs, or one an output.
    tweedie_power : float or sequence of float, default=1.5
        Powers p of 'tweedie' in (1, 2), by which the variance is μᵖ: likewise.
    negative_slope : float, default=0.01
        Slope of 'leaky_relu' below zero, at least 0.
    alpha : float, default=0.0
        Strength of the penalty.
    l1_ratio : float, default=0.0
        Share of its L1 part, in [0, 1].
    dropout : float or sequence of float, default=0.0
        Share of a hidden layer's units that is dropped in training, in [0, 1): one
        for all, or one a layer.
    batch_norm : bool, default=False
        Whether hidden layers are normalised between affine map and activation.
    rate_factors, decay_factors : sequence of float, default=None
        What multiplies the optimizer's learning rate and its decoupled decay in each
        layer, the output layer's last: finite and at least 0. None: 1 everywhere.
    init : str or float, default='glorot_uniform'
        How parameters are drawn (:mod:`fastmlp.initialization`).
    bias_init : str or float, default=None
        How biases are, in place of that: 'zeros', 'fan_in_uniform', or σ of normal.
    zero_last_layer : bool, default=False
        Whether the output layer begins at 0.
    dtype : {float64, float32}, default=float64
        Type of the parameters and of every computation.
    random_state : int, RandomState or None, default=None
        Seed of the initial parameters.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        All weights, first layer first, then all biases, then the scales γ of
        normalised layers. Write into it to move the network; it begins on a 64-byte
        boundary.
    weights : tuple of ndarray of shape (n_in, n_out)
        Views of ``params``, one a layer; a convolution's have the shape
        (height, width, channels, filters), along signals (length, channels, filters).
    biases : tuple of ndarray of shape (n_out,)
        Views of ``params``, one a layer; of a normalised layer its shift.
    stats : ndarray
        Running means and variances of each normalised layer, one after the other.

    These four stay where they are: an array assigned to one, as in
    ``network.params = values`` or ``network.weights[0] = values``, is copied into its
    place, if it has the same shape.

    Raises
    ------
    ValueError
        If a size is not a positive integer, a name is unknown, or a number is outside
        of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> from fastmlp import Network
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> network = Network([1, 1], loss="squared_error", random_state=0)
    >>> def objective(params):
    ...     network.params[:] = params
    ...     return network.loss_and_grad(X, y)
    >>> result = minimize(objective, network.params.copy(), jac=True)
    >>> result.x.round(3)
    array([2., 1.])
    """

    def __init__(
        self,
        layer_sizes: Sequence[Any],
        *,
        activation: str | Sequence[str] = "relu",
        loss: str = "squared_error",
        output_activation: str | None = None,
        huber_delta: float = 1.0,
        quantile: float | Sequence[float] = 0.5,
        tweedie_power: float | Sequence[float] = 1.5,
        negative_slope: float = 0.01,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        rate_factors: Sequence[float] | None = None,
        decay_factors: Sequence[float] | None = None,
        init: str | float = "glorot_uniform",
        bias_init: str | float | None = None,
        zero_last_layer: bool = False,
        dtype: np.dtype | type | str = np.float64,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self._set_architecture(check_architecture(layer_sizes))
        self.dtype = check_dtype(dtype)
        self._configure(
            activation=activation,
            loss=loss,
            output_activation=output_activation,
            huber_delta=huber_delta,
            quantile=quantile,
            tweedie_power=tweedie_power,
            negative_slope=negative_slope,
            alpha=alpha,
            l1_ratio=l1_ratio,
            dropout=dropout,
            batch_norm=batch_norm,
            rate_factors=rate_factors,
            decay_factors=decay_factors,
        )
        self._allocate()
        if not isinstance(random_state, np.random.RandomState):
            random_state = new_stream(random_state)
        trained = [layer for layer in self.geometries if layer.is_trained]
        drawn = draw_parameters(
            *(trained, as_list(activation) or ["relu"], init, random_state),
            bias_init=bias_init,
            zero_last_layer=zero_last_layer,
        )
        for layer, (weights, biases) in enumerate(drawn):
            self.weights[layer][...] = weights
            self.biases[layer][...] = biases

    @classmethod
    def from_weights(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        *,
        dtype: np.dtype | type | str,
        **settings: Any,
    ) -> Network:
        """A network with those weights and biases in place of drawn ones.

        Parameters
        ----------
        weights : sequence of array-like of shape (n_in, n_out)
            One a layer; copied.
        biases : sequence of array-like of shape (n_out,)
            One a layer; copied.
        dtype : {float64, float32}
            Type of the parameters and of every computation.
        **settings
            Parameters of the constructor but sizes, init, dtype and random_state.
            Normalised layers begin with γ = 1 and running moments of 0 and 1.

        Raises
        ------
        ValueError
            If a shape does not fit its neighbours', or as the constructor.
        """
        network = object.__new__(cls)
        sizes = check_layers(weights, biases, ("weights", "biases"))
        network._set_architecture(check_architecture(sizes))
        network.dtype = check_dtype(dtype)
        network._configure(**settings)
        network._allocate()
        network.weights, network.biases = weights, biases
        return network

    def _set_architecture(self, architecture: Architecture) -> None:
        """Inputs and layers; ``layer_sizes`` are the units of each, pooled ones too."""
        self.architecture = architecture
        self.geometries = geometries(architecture)
        self.layer_sizes = [
            self.geometries[0].n_in,
            *(layer.n_out for layer in self.geometries),
        ]

    @property
    def has_images(self) -> bool:
        """Whether there is a layer that is not dense."""
        return self.plan.has_images

    def _configure(
        self,
        *,
        activation: str | Sequence[str] = "relu",
        loss: str = "squared_error",
        output_activation: str | None = None,
        huber_delta: float = 1.0,
        quantile: float | Sequence[float] = 0.5,
        tweedie_power: float | Sequence[float] = 1.5,
        negative_slope: float = 0.01,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        rate_factors: Sequence[float] | None = None,
        decay_factors: Sequence[float] | None = None,
    ) -> None:
        """Check and take over everything but sizes, type and parameters."""
        n_hidden = sum(layer.is_activated for layer in self.geometries[:-1])
        n_outputs = self.layer_sizes[-1]
        for name in as_list(activation):
            check_name("activation", name, _kernels.HIDDEN_ACTIVATIONS)
        self.activations = one_a_layer("activation", activation, n_hidden)
        self.loss_name = check_name("loss", loss, _kernels.HEADS)
        self.output_activation = check_name(
            f"output_activation of loss={loss!r}",
            _kernels.HEADS[loss][0] if output_activation is None else output_activation,
            _kernels.HEADS[loss],
        )
        self.huber_delta, self.quantile = huber_delta, quantile
        self.tweedie_power, self.negative_slope = tweedie_power, negative_slope
        self.numbers = loss_numbers(
            loss,
            n_outputs,
            self.dtype,
            huber_delta=huber_delta,
            quantile=quantile,
            tweedie_power=tweedie_power,
        )
        self.alpha = check_range("alpha", alpha, 0, np.inf)
        self.l1_ratio = check_range("l1_ratio", l1_ratio, 0, 1, closed=True)
        self.dropout = [
            check_range("dropout", rate, 0, 1)
            for rate in one_a_layer("dropout", dropout, n_hidden)
        ]
        n_layers = sum(layer.is_trained for layer in self.geometries)
        self.rate_factors = check_factors("rate_factors", rate_factors, n_layers)
        self.decay_factors = check_factors("decay_factors", decay_factors, n_layers)
        self.batch_norm = check_flag("batch_norm", batch_norm)

    def _lay_out(self) -> None:
        """The plan of what is configured."""
        self.plan = self._build_plan()
        self.arena_entries = count_entries(self.plan)
        self._predicted_at_most = block_rows(PREDICTED_ROWS, self.plan)

    @property
    def activation_params(self) -> list[float]:
        """The number of each layer's activation; 0 for one without."""
        names = [*self.activations, self.output_activation]
        return activation_params(names, negative_slope=self.negative_slope)

    @property
    def layers(self) -> np.ndarray:
        """The layer table (docs/contracts.md), read-only."""
        return self.plan.layers

    @property
    def params(self) -> np.ndarray:
        """All parameters; see the class."""
        return self._params

    @params.setter
    def params(self, values: ArrayLike) -> None:
        copy_into(self._params, values, "params")

    @property
    def stats(self) -> np.ndarray:
        """Running moments; see the class."""
        return self._stats

    @stats.setter
    def stats(self, values: ArrayLike) -> None:
        copy_into(self._stats, values, "stats")

    @property
    def weights(self) -> Views:
        """Each layer's weights; see the class."""
        return self._weights

    @weights.setter
    def weights(self, values: Sequence[ArrayLike]) -> None:
        _copy_into_each(self._weights, values, "weights")

    @property
    def biases(self) -> Views:
        """Each layer's biases; see the class."""
        return self._biases

    @biases.setter
    def biases(self, values: Sequence[ArrayLike]) -> None:
        _copy_into_each(self._biases, values, "biases")

    @property
    def n_target_columns(self) -> int:
        """Columns of an encoded target: one output's each; of log_loss under softmax
        one, the class index.
        """
        if (self.loss_name, self.output_activation) == ("log_loss", "softmax"):
            return 1
        return self.layer_sizes[-1]

    @property
    def is_quadratic(self) -> bool:
        """Whether J is a quadratic function of the parameters."""
        return (
            len(self.layer_sizes) == 2
            and self.loss_name == "squared_error"
            and self.output_activation == "identity"
            and self.alpha * self.l1_ratio == 0
        )

    @property
    def kind(self) -> tuple:
        """What two networks must share for one to go on with the other's parameters."""
        return (
            list(self.architecture),
            self.activations,
            # The same loss; its targets are encoded in another way.
            self.loss_name.replace("cross_entropy", "log_loss"),
            self.output_activation,
            self.batch_norm,
        )

    def copy(self, **settings: Any) -> Network:
        """An independent network with the same parameters.

        Parameters
        ----------
        **settings
            Parameters of the constructor but sizes, init, dtype and random_state: the
            copy takes these in place of the network's own. Its parameters mean the
            same only if its ``kind`` has stayed the same.
        """
        twin = object.__new__(Network)
        twin.__dict__.update(self.__dict__)
        if settings:
            twin._configure(**{**self.settings, **settings})
            twin._lay_out()
        else:
            twin.dropout = list(self.dropout)
        twin._bind(aligned_copy(self.params), aligned_copy(self.stats))
        return twin

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs, after the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs; used in place if C-contiguous and of the network's dtype. Sparse
            matrices are never made dense.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        return self._evaluate_layers(self.plan, self.layer_sizes, self.arena_entries, X)

    def logits(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs before the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        return self.with_output_activation("identity").predict(X)

    def with_output_activation(self, name: str) -> Network:
        """A network on the same parameters whose last layer has that activation.

        Parameters
        ----------
        name : str
            Any activation, 'exp' and 'softmax' included. Where the loss does not go
            with it, the network only predicts: J is a ValueError.
        """
        check_name("output_activation", name, _kernels.ACTIVATIONS)
        twin = object.__new__(Network)
        twin.__dict__.update(self.__dict__)
        twin.output_activation = name
        twin._lay_out()
        return twin

    def fold_batch_norm(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights and biases of a network without batch_norm that predicts the same.

        γ (x W − μ)/√(s² + ε) + b is x (W ⊙ k) + (b − μ ⊙ k), with k = γ/√(s² + ε).

        Returns
        -------
        weights : list of ndarray of shape (n_in, n_out)
        biases : list of ndarray of shape (n_out,)
            New arrays.
        """
        weights = [W.copy() for W in self.weights]
        biases = [b.copy() for b in self.biases]
        numbers = [number for number, b in enumerate(biases) if len(b)]
        moments_of = zip(numbers, self.normalizations(), strict=False)
        for number, (gammas, means, variances) in moments_of:
            scaled = np.vstack([weights[number].reshape(-1, len(means)), -means])
            moments = np.stack([np.zeros_like(means), variances])
            _kernels.normalize(scaled, moments)
            scaled *= gammas
            weights[number][...] = scaled[:-1].reshape(weights[number].shape)
            biases[number] += scaled[-1]
        return weights, biases

    def hidden_activations(self, X: ArrayLike) -> list[np.ndarray]:
        """The outputs of every hidden layer, as prediction sees them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.

        Returns
        -------
        list of ndarray of shape (n_samples, n_units)
            Of a layer of images (n_samples, height, width, channels), of signals
            (n_samples, length, channels).
        """
        outputs: list[np.ndarray] = []
        for number in range(len(self.layers) - 1):
            below = X if number == 0 else outputs[-1].reshape(len(outputs[-1]), -1)
            tables = self.layers[number:][:1], self.plan.tensors, self.plan.groups
            plan, sizes = _kernels.Plan(*tables), self.layer_sizes[number:][:2]
            out = self._evaluate_layers(plan, sizes, count_entries(plan), below)
            shape = self.geometries[number].outputs_shape
            outputs.append(out.reshape(len(out), *shape))
        return outputs

    def input_gradients(
        self, X: ArrayLike, cotangents: ArrayLike | None = None
    ) -> np.ndarray:
        """Derivatives of the outputs with respect to the inputs, exact.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.
        cotangents : array-like of shape (n_samples, n_outputs), default=None
            Weights of the outputs in a sum Σₖ cotangents[i, k] outputₖ(xᵢ), which is
            then what is differentiated. None: every output by itself.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs, n_inputs) or (n_samples, n_inputs)
            The latter with cotangents.
        """
        inputs = as_inputs(X, self.layer_sizes[0], self.dtype)
        n_rows, n_outputs = count_rows(inputs), self.layer_sizes[-1]
        if cotangents is not None:
            weights = as_numbers(cotangents, self.dtype, "cotangents")
            return self._pull_back(inputs, weights)
        gradients = np.empty((n_rows, n_outputs, self.layer_sizes[0]), self.dtype)
        for k in range(n_outputs):
            unit = np.zeros((n_rows, n_outputs), self.dtype)
            unit[:, k] = 1
            gradients[:, k] = self._pull_back(inputs, unit)
        return gradients

    def jacobian(self, X: ArrayLike) -> np.ndarray:
        """Derivatives of the outputs with respect to the parameters, exact.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs, n_params)
            By backpropagation, row by row; dropout plays no part.

        Raises
        ------
        ValueError
            If a layer is normalised.
        """
        if self.batch_norm:
            raise ValueError("the Jacobian is not available with batch_norm=True")
        return jacobian(self, as_inputs(X, self.layer_sizes[0], self.dtype))

    def input_hessians(self, X: ArrayLike) -> np.ndarray:
        """Second derivatives of the outputs with respect to the inputs, exact.

        For training on derivatives, and for optimisers that are handed a network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_inputs)
            Inputs, dense.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs, n_inputs, n_inputs)
            Kinks (relu) count as having no curvature.
        """
        inputs = as_inputs(X, self.layer_sizes[0], self.dtype)
        if isinstance(inputs, tuple):
            raise TypeError("input_hessians needs a dense X: convert it by X.toarray()")
        return input_hessians(self, inputs)

    def loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The objective J over all rows, penalty included.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: class indices of log_loss under softmax, else one column an output.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; None weighs all alike.
        """
        with self._evaluating(X, y, sample_weight, 1) as evaluator:
            return evaluator.loss()

    def data_loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The mean loss of all rows, without penalty.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.
        """
        with self._evaluating(X, y, sample_weight, 1) as evaluator:
            return evaluator.data_loss()

    def loss_and_grad(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, np.ndarray]:
        """The objective J and its exact gradient by backpropagation.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.

        Returns
        -------
        loss : float
        grad : ndarray of shape (n_params,)
            ∂J/∂params, a new array.

        References
        ----------
        D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by
        back-propagating errors", Nature 323, 1986.
        """
        with self._evaluating(X, y, sample_weight, PRODUCTS_OF_A_STEP) as evaluator:
            return evaluator.loss_and_grad()

    def accumulate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        optimizer: Optimizer,
        total_weight: float | None = None,
        into: BatchGradient | None = None,
        first_row: int | None = None,
        team: Any = None,
    ) -> BatchGradient:
        """The first half of a training step: the gradient of a batch, or a part of one.

        Seen as in training: units are dropped, by the masks of the optimizer's next
        step, and a layer is normalised by the moments of the rows that are given.
        ``Optimizer.apply`` is the other half. Between them parts of a batch may be
        added up, or gradients summed over processes.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.
        optimizer : Optimizer
            Whose next step the gradient is for.
        total_weight : float, default=None
            Weight of the whole batch, by which the sum of losses is divided. None: that
            of these rows.
        into : BatchGradient, default=None
            Of earlier rows of the same batch: these are added to it, in place.
        first_row : int, default=None
            Rows of the batch before these, wherever their gradient is: units are
            dropped by the place of a row in its batch. None: those of ``into``.
        team : Team, default=None
            Threads that share the work (:func:`fastmlp.threads.thread_team`); the bits
            are the same for any number of them.

        Returns
        -------
        BatchGradient
            A new one, or ``into``.

        Raises
        ------
        ValueError
            If rows weigh nothing, or a layer is normalised and there is one row.

        Examples
        --------
        >>> import numpy as np
        >>> from fastmlp import Network
        >>> from fastmlp.optimizers import Optimizer
        >>> X, y = np.arange(6.0).reshape(6, 1), np.arange(6.0)
        >>> network = Network([1, 4, 1], random_state=0)
        >>> optimizer = Optimizer("sgd", network.params.size, network.dtype)
        >>> batch = None
        >>> for part in (slice(0, 4), slice(4, 6)):
        ...     batch = network.accumulate(
        ...         X[part], y[part], optimizer=optimizer, total_weight=6, into=batch
        ...     )
        >>> penalty = optimizer.apply(network, batch)
        >>> batch.n_rows
        6
        """
        data = self.as_data(X, y, sample_weight)
        rows = np.arange(len(data[1]))
        half = FirstHalf(self, optimizer, data, len(rows), team)
        weight = half.weigh(rows)
        if first_row is None:
            first_row = 0 if into is None else into.n_rows
        found = BatchGradient(
            aligned_empty(self.params.size, self.dtype),
            np.empty_like(self.stats),
            weight if total_weight is None else total_weight,
        )
        half.find(found, rows, weight, first_row)
        return found if into is None else into.add(found)

    def hessian_vector_product(
        self,
        X: ArrayLike,
        y: ArrayLike,
        vector: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> np.ndarray:
        """The Hessian of J times a vector, exactly, at the cost of two gradients.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.
        vector : array-like of shape (n_params,)
            What the Hessian is multiplied with.

        Returns
        -------
        ndarray of shape (n_params,)
            A new array. Kinks (relu, the L1 penalty) are taken as having no curvature.

        Raises
        ------
        ValueError
            If a layer is normalised, or the vector has another shape.

        References
        ----------
        B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural
        Computation 6, 1994.
        """
        direction = as_numbers(vector, self.dtype, "vector")
        if direction.shape != self.params.shape:
            raise ValueError(
                f"vector must have shape {self.params.shape}, got {direction.shape}"
            )
        with self._evaluating(X, y, sample_weight, PRODUCTS_OF_CURVATURE) as evaluator:
            return evaluator.hessian_vector_product(direction)

    def hessian(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> np.ndarray:
        """The Hessian of J, a column at a time: for small networks.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.

        Returns
        -------
        ndarray of shape (n_params, n_params)
            Made symmetric, which it is but for rounding.
        """
        units = np.eye(self.params.size, dtype=self.dtype)
        with self._evaluating(X, y, sample_weight, PRODUCTS_OF_CURVATURE) as evaluator:
            columns = [evaluator.hessian_vector_product(unit) for unit in units]
        matrix = np.stack(columns)
        return (matrix + matrix.T) / 2

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's parameters but sizes, init, dtype and random_state."""
        return {
            "activation": list(self.activations),
            "loss": self.loss_name,
            "output_activation": self.output_activation,
            "huber_delta": self.huber_delta,
            "quantile": self.quantile,
            "tweedie_power": self.tweedie_power,
            "negative_slope": self.negative_slope,
            "alpha": self.alpha,
            "l1_ratio": self.l1_ratio,
            "dropout": list(self.dropout),
            "batch_norm": self.batch_norm,
            "rate_factors": self.rate_factors,
            "decay_factors": self.decay_factors,
        }

    def __getstate__(self) -> dict[str, Any]:
        # Tables and codes are built anew: a later version may number them otherwise.
        return {
            "layer_sizes": to_facts(self.architecture),
            "dtype": self.dtype.name,
            "settings": self.settings,
            "params": self.params,
            "stats": self.stats,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set_architecture(from_facts(state["layer_sizes"]))
        self.dtype = check_dtype(state["dtype"])
        self._configure(**state["settings"])
        self._allocate()
        self.params, self.stats = state["params"], state["stats"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, in one step; :meth:`load` reads it.

        Parameters
        ----------
        path : str or path-like
            The file: no code, no pickle. Needs the extra ``safetensors``.

        Raises
        ------
        fastmlp.ModelFileError
            If the parameters are not finite.
        OSError
            If it cannot be written; the old file is still there.
        """
        from fastmlp.model_files import save_model

        facts = self.__getstate__()
        arrays = {name: facts.pop(name) for name in ("params", "stats")}
        save_model(path, "Network", facts, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """The network in a file that :meth:`save` has written.

        Parameters
        ----------
        path : str or path-like
            The file.

        Raises
        ------
        fastmlp.ModelFileError
            If the file is damaged, or holds no network.
        """
        from fastmlp.model_files import ModelFileError, load

        network = load(path)
        if not isinstance(network, Network):
            raise ModelFileError(
                f"{os.fspath(path)!r} holds {type(network).__name__!r}, not a Network: "
                "read it with fastmlp.load"
            )
        return network

    @property
    def objective(self) -> np.ndarray:
        """The record of loss and penalty that the kernels read."""
        check_name(
            f"output_activation of loss={self.loss_name!r}",
            self.output_activation,
            _kernels.HEADS[self.loss_name],
        )
        record = np.zeros(1, OBJECTIVE)
        record["loss"] = _kernels.LOSSES[self.loss_name]
        record["alpha"], record["l1_ratio"] = self.alpha, self.l1_ratio
        record["cap"] = np.inf
        return record

    def as_data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> Data:
        """Rows, targets and weights, as an Evaluator takes them.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`loss`.

        Returns
        -------
        tuple
            Of the network's dtype; see :func:`fastmlp.rows.as_data`, also for the
            errors raised.
        """
        return as_data(
            *(X, y, sample_weight, self.layer_sizes[0], self.n_target_columns),
            self.dtype,
        )

    def evaluator(self, data: Data, team: Any = None) -> Evaluator:
        """What evaluates J and its derivatives over the same rows, as often as asked.

        Parameters
        ----------
        data : tuple
            What :meth:`as_data` has made of the rows.
        team : Team, default=None
            Threads that share them (:func:`fastmlp.threads.thread_team`); the bits do
            not depend on them.
        """
        spread = partial(self._build_plan, spread=True)
        model = self.params, self.stats, self.plan, spread
        return Evaluator(*model, self.objective, self.numbers, data, team)

    @contextmanager
    def _evaluating(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        n_products: int,
    ) -> Iterator[Evaluator]:
        """An evaluator, with as many threads as pay for a call of so many products
        with each weight.
        """
        data = self.as_data(X, y, sample_weight)
        n_threads = count_team(self.plan, len(data[1]), n_products)
        with thread_team(n_threads) as team:
            yield self.evaluator(data, team)

    def _build_plan(self, spread: bool = False) -> Any:
        plan = plan_of(
            self.architecture,
            (*self.activations, self.output_activation),
            self.n_target_columns,
            tuple(self.activation_params),
            tuple(self.dropout),
            self.batch_norm,
            spread,
        )
        if self.rate_factors is None and self.decay_factors is None:
            return plan
        ones = [1.0] * sum(layer.is_trained for layer in self.geometries)
        return group_by_layer(
            plan, self.rate_factors or ones, self.decay_factors or ones
        )

    def _evaluate_layers(
        self,
        plan: Any,
        sizes: Sequence[int],
        entries: tuple[int, int],
        X: ArrayLike,
    ) -> np.ndarray:
        """What successive layers of those sizes make of the inputs of the first."""
        inputs = as_inputs(X, sizes[0], self.dtype)
        n_rows = count_rows(inputs)
        out = np.empty((n_rows, sizes[-1]), dtype=self.dtype)
        capacity = self._predicted_rows(n_rows)
        if n_rows <= capacity:
            self._evaluate_into(out, plan, entries, inputs, capacity)
            return out

        def evaluate(rows: slice) -> None:
            some = take_rows(inputs, rows)
            self._evaluate_into(out[rows], plan, entries, some, capacity)

        ranges = partition_rows(n_rows, plan, capacity)
        run_in_threads(evaluate, ranges, piece_rows(plan, capacity))
        return out

    def _predicted_rows(self, n_rows: int) -> int:
        return predicted_rows(n_rows, self._params.size, self._predicted_at_most)

    def _evaluate_into(
        self,
        out: np.ndarray,
        plan: Any,
        entries: tuple[int, int],
        inputs: Inputs,
        capacity: int,
    ) -> None:
        arena = build_arena(entries, capacity, self.dtype)
        model = self._params, self._stats, plan
        _kernels.predict(out, arena, inputs, *model, capacity)

    def _pull_back(self, inputs: Inputs, cotangents: np.ndarray) -> np.ndarray:
        n_rows = count_rows(inputs)
        out = np.empty((n_rows, self.layer_sizes[0]), dtype=self.dtype)
        capacity = self._predicted_rows(n_rows)

        def pull_back(rows: slice) -> None:
            arena = build_arena(self.arena_entries, capacity, self.dtype)
            _kernels.input_gradient(
                *(out[rows], arena, take_rows(inputs, rows), cotangents[rows]),
                *(self.params, self.stats, self.plan, capacity),
            )

        ranges = partition_rows(n_rows, self.plan, capacity)
        run_in_threads(pull_back, ranges, piece_rows(self.plan, capacity))
        return out

    def _allocate(self) -> None:
        """New parameters and moments: γ = 1, means 0, variances 1, the rest not set."""
        self._lay_out()
        self._bind(
            aligned_empty(self.plan.n_params, self.dtype),
            aligned_empty(self.plan.n_stats, self.dtype),
        )
        self.params[...] = 1
        for _, means, variances in self.normalizations():
            means[...], variances[...] = 0, 1

    def normalizations(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """γ, running means and running variances of each normalised layer.

        Yields
        ------
        tuple of three ndarray of shape (n_units,)
            Views of ``params`` and ``stats``.
        """
        offsets = self.plan.tensors["offset"].tolist()
        for layer in self.layers[self.layers["normalized"] >= 0]:
            gammas, n = offsets[layer["tensors"] + 2], int(layer["out_channels"])
            running = int(layer["running"])
            means, variances = self.stats[running:][: 2 * n].reshape(2, n)
            yield self.params[gammas:][:n], means, variances

    def move_params(self, memory: np.ndarray) -> None:
        """Have the parameters lie in that vector, which others may read or write."""
        memory[:] = self._params
        self._bind(memory, self._stats)

    def _bind(self, params: np.ndarray, stats: np.ndarray) -> None:
        self._params, self._stats = params, stats
        tensors = self.plan.tensors.tolist()
        # Not of γ, which the parameters of an earlier network may lack.
        weights, biases = [], []
        numbers = self.layers["tensors"].tolist()
        for geometry, first in zip(self.geometries, numbers, strict=True):
            if not geometry.is_trained:
                continue
            begin, n_terms, n_out, _ = tensors[first]
            W = params[begin:][: n_terms * n_out]
            weights.append(W.reshape(geometry.weights_shape))
            if geometry.is_activated:
                begin, _, n_out, _ = tensors[first + 1]
                biases.append(params[begin:][:n_out])
            else:
                biases.append(params[:0])
        self._weights, self._biases = Views(weights), Views(biases)


def _copy_into_each(views: Views, values: Sequence[ArrayLike], name: str) -> None:
    """Copy an array into each view, all of them checked before any is written to."""
    arrays = list(values)
    shapes, expected = [np.shape(a) for a in arrays], [view.shape for view in views]
    if shapes != expected:
        raise ValueError(f"{name} must have shapes {expected}, got {shapes}")
    numbers = [
        as_numbers(a, view.dtype, name) for a, view in zip(arrays, views, strict=True)
    ]
    for view, array in zip(views, numbers, strict=True):
        view[...] = array
