"""The network: layer shapes, one flat parameter vector, and what it computes."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastmlp import _kernels
from fastmlp.initialization import glorot_uniform
from fastmlp.inputs import Inputs, as_inputs, count_rows
from fastmlp.workspace import (
    BLOCK_ROWS,
    aligned_copy,
    aligned_empty,
    build_arena,
    build_layers,
)


class Network:
    """A multilayer perceptron as a function of one flat parameter vector.

    The low-level class: it evaluates the network, its objective J and the exact
    gradient of J, for any optimizer to drive. The objective is::

        J = (1/m) Σᵢ wᵢ ℓ(yᵢ, f(xᵢ)) + alpha/(2m) ‖W‖²,   m = Σᵢ wᵢ

    with the penalty over weights only, divided by m as scikit-learn's MLP has it.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, inputs first, outputs last. Two entries are a network
        without a hidden layer.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers.
    loss : {'squared_error', 'log_loss', 'poisson'}, default='squared_error'
        ℓ per row, summed over outputs: half the squared error, the negative
        log-likelihood, or half the Poisson deviance.
    output_activation : str, default=None
        'identity', 'logistic' or 'tanh' with squared_error, 'softmax' or 'logistic'
        with log_loss, 'exp' with poisson. None takes the first of these.
    alpha : float, default=0.0
        Strength of the L2 penalty.
    dtype : {float64, float32}, default=float64
        Type of the parameters and of every computation.
    random_state : int, RandomState or None, default=None
        Seed of the initial parameters (Glorot uniform).

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        All weights, first layer first, then all biases. Write into it to move the
        network; it begins on a 64-byte boundary.
    weights : list of ndarray of shape (n_in, n_out)
        Views of ``params``, one a layer.
    biases : list of ndarray of shape (n_out,)
        Views of ``params``, one a layer.

    Raises
    ------
    ValueError
        If a size is not a positive integer, or a name is unknown.

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
        layer_sizes: Sequence[int],
        *,
        activation: str = "relu",
        loss: str = "squared_error",
        output_activation: str | None = None,
        alpha: float = 0.0,
        dtype: np.dtype | type | str = np.float64,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.layer_sizes = _check_layer_sizes(layer_sizes)
        self.activation = _check_name(
            "activation", activation, _kernels.HIDDEN_ACTIVATIONS
        )
        self.loss_name = _check_name("loss", loss, _kernels.HEADS)
        self.output_activation = _check_name(
            f"output_activation of loss={loss!r}",
            output_activation or _kernels.HEADS[loss][0],
            _kernels.HEADS[loss],
        )
        self.alpha = _check_alpha(alpha)
        self.dtype = _check_dtype(dtype)
        self.layers = build_layers(
            self.layer_sizes,
            self._activation_codes(),
            self.n_target_columns,
        )
        n_params = int(self.layers["biases"][-1] + self.layers["n_out"][-1])
        self._bind(aligned_empty(n_params, self.dtype))
        self._initialize(random_state)

    @property
    def n_target_columns(self) -> int:
        """Columns of an encoded target: one under softmax, else one an output."""
        if self.output_activation == "softmax":
            return 1
        return self.layer_sizes[-1]

    def copy(self) -> Network:
        """An independent network with the same parameters."""
        twin = object.__new__(Network)
        twin.__dict__.update(self.__dict__)
        twin._bind(aligned_copy(self.params))
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
        inputs = as_inputs(X, self.layer_sizes[0], self.dtype)
        n_rows = count_rows(inputs)
        capacity = min(BLOCK_ROWS, max(1, n_rows))
        out = np.empty((n_rows, self.layer_sizes[-1]), dtype=self.dtype)
        arena = build_arena(self.layers, capacity, self.dtype)
        _kernels.predict(out, arena, inputs, self.params, self.layers, capacity)
        return out

    def loss(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The objective J over all rows, penalty included.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_inputs)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: class indices under softmax, else one column an output.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; None weighs all alike.
        """
        inputs, Y, sample_weight = self._as_data(X, y, sample_weight)
        capacity = min(BLOCK_ROWS, max(1, len(Y)))
        return _kernels.compute_loss(
            build_arena(self.layers, capacity, self.dtype),
            inputs,
            Y,
            sample_weight,
            self.params,
            self.layers,
            _kernels.LOSSES[self.loss_name],
            self.alpha,
            capacity,
        )

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
        inputs, Y, sample_weight = self._as_data(X, y, sample_weight)
        capacity = min(BLOCK_ROWS, max(1, len(Y)))
        grads = aligned_empty(self.params.size, self.dtype)
        value = _kernels.compute_loss_and_gradient(
            grads,
            build_arena(self.layers, capacity, self.dtype),
            inputs,
            Y,
            sample_weight,
            self.params,
            self.layers,
            _kernels.LOSSES[self.loss_name],
            self.alpha,
            capacity,
        )
        return value, grads

    def __getstate__(self) -> dict:
        # Views would be stored as copies: they are made again from the vector.
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("weights", "biases")
        }

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._bind(state["params"])

    def _activation_codes(self) -> list[int]:
        hidden = [self.activation] * (len(self.layer_sizes) - 2)
        return [
            _kernels.ACTIVATIONS[name] for name in [*hidden, self.output_activation]
        ]

    def _bind(self, params: np.ndarray) -> None:
        self.params = params
        self.weights = []
        self.biases = []
        for layer in self.layers:
            n_in, n_out = int(layer["n_in"]), int(layer["n_out"])
            begin, bias = int(layer["weights"]), int(layer["biases"])
            block = params[begin : begin + n_in * n_out]
            self.weights.append(block.reshape(n_in, n_out))
            self.biases.append(params[bias : bias + n_out])

    def _initialize(self, random_state: int | np.random.RandomState | None) -> None:
        if not isinstance(random_state, np.random.RandomState):
            random_state = np.random.RandomState(random_state)
        drawn = glorot_uniform(self.layer_sizes, self.activation, random_state)
        for layer, (weights, biases) in enumerate(drawn):
            self.weights[layer][...] = weights
            self.biases[layer][...] = biases

    def _as_data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Inputs, np.ndarray, np.ndarray | None]:
        inputs = as_inputs(X, self.layer_sizes[0], self.dtype)
        n_rows = count_rows(inputs)
        Y = np.ascontiguousarray(y, dtype=self.dtype)
        if Y.shape == (n_rows,):
            Y = Y.reshape(-1, 1)
        if Y.shape != (n_rows, self.n_target_columns):
            raise ValueError(
                f"y must have shape ({n_rows}, {self.n_target_columns}), "
                f"got {np.shape(y)}"
            )
        if sample_weight is None:
            return inputs, Y, None
        weights = np.ascontiguousarray(sample_weight, dtype=self.dtype)
        if weights.shape != (n_rows,):
            raise ValueError(
                f"sample_weight must have shape ({n_rows},), got {weights.shape}"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError("sample_weight must be finite and non-negative")
        return inputs, Y, weights


def _check_layer_sizes(layer_sizes: Sequence[int]) -> list[int]:
    sizes = list(layer_sizes)
    whole = all(
        isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in sizes
    )
    if len(sizes) < 2 or not whole or min(sizes) < 1:
        raise ValueError(
            f"layer_sizes must be two or more positive integers, got {layer_sizes!r}"
        )
    return [int(n) for n in sizes]


def _check_name(what: str, name: str, known: Sequence[str] | dict) -> str:
    if name not in known:
        raise ValueError(f"{what} must be one of {sorted(known)}, got {name!r}")
    return name


def _check_dtype(dtype: np.dtype | type | str) -> np.dtype:
    checked = np.dtype(dtype)
    if checked not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {checked}")
    return checked


def _check_alpha(alpha: float) -> float:
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha must be finite and non-negative, got {alpha!r}")
    return float(alpha)
