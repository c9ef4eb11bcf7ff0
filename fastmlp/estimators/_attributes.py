"""The network that the fitted attributes describe, as a user may have set them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastmlp.network import Network
from fastmlp.settings import check_layers


def network_of(estimator: Any) -> Network:
    """The fitted network, with all that a user has set in the attributes since.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted, or with attributes set by hand.
    """
    attributes = estimator.__dict__
    state = attributes.get("_state")
    if state is None:
        return _network_of_attributes(estimator, None)
    network = state.network
    if (
        attributes["out_activation_"] == network.output_activation
        and attributes["n_layers_"] == len(network.layer_sizes)
        and attributes["n_outputs_"] == network.layer_sizes[-1]
        and holds_views(estimator, network)
    ):
        return network
    return _network_of_attributes(estimator, network)


def holds_views(estimator: Any, network: Network) -> bool:
    """Whether ``coefs_`` and ``intercepts_`` are the network's own arrays."""
    mine = *network.weights, *network.biases
    public = *estimator.coefs_, *estimator.intercepts_
    return len(mine) == len(public) and all(map(operator.is_, mine, public))


def _network_of_attributes(estimator: Any, fitted: Network | None) -> Network:
    """A new network, from the attributes that scikit-learn's MLP predicts by."""
    if fitted is not None and fitted.has_images:
        network = fitted.copy()
        network.weights, network.biases = estimator.coefs_, estimator.intercepts_
        return network.with_output_activation(estimator.out_activation_)
    n_layers, n_outputs, output_activation = (
        estimator.__dict__.get(name)
        for name in ("n_layers_", "n_outputs_", "out_activation_")
    )
    layers = read_layers(estimator.coefs_, estimator.intercepts_, n_layers)
    n_units = len(layers[1][-1])
    if n_outputs not in (None, n_units):
        raise ValueError(
            f"n_outputs_ is {n_outputs}, but the last layer in coefs_ has {n_units} "
            "units"
        )
    network = _network_with(estimator, fitted, *layers)
    if output_activation is None:
        output_activation = estimator._head().output_activation
    return network.with_output_activation(
        output_activation or network.output_activation
    )


def _network_with(
    estimator: Any,
    fitted: Network | None,
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    dtype: np.dtype,
) -> Network:
    """A network on these layers, else like the fitted one."""
    if fitted and fitted.layer_sizes == [len(weights[0]), *map(len, biases)]:
        network = fitted.copy()
        network.weights, network.biases = weights, biases
        return network
    if fitted.batch_norm if fitted else estimator.batch_norm:
        raise ValueError(
            "coefs_ and intercepts_ of a network with batch_norm must keep the shapes "
            "of the fitted ones: they do not hold the scales and running moments that "
            "other layers would need"
        )
    n_hidden, activation = len(weights) - 1, estimator.activation
    if fitted and n_hidden <= len(fitted.activations):
        activation = fitted.activations[:n_hidden]
    return Network.from_weights(
        weights,
        biases,
        dtype=dtype,
        activation=activation,
        loss=estimator.loss,
        alpha=estimator.alpha,
        l1_ratio=estimator.l1_ratio,
    )


def read_layers(
    coefs: Sequence[Any], intercepts: Sequence[Any], n_layers: int | None
) -> tuple[list[np.ndarray], list[np.ndarray], np.dtype]:
    """Weights and biases as scikit-learn's MLP would read them, and their type.

    Parameters
    ----------
    coefs : sequence of array-like or sparse matrix of shape (n_in, n_out)
        One a layer, or more than are read.
    intercepts : sequence of array-like
        Each is what can be added to rows of n_out numbers.
    n_layers : int or None
        Layers that are read, the inputs counted; None: all.

    Raises
    ------
    ValueError
        If there are fewer, they hold no real numbers, or shapes do not fit.
    """
    n_read = len(coefs) if n_layers is None else n_layers - 1
    if not 1 <= n_read <= min(len(coefs), len(intercepts)):
        raise ValueError(
            f"n_layers_ is {n_read + 1}, but coefs_ and intercepts_ have {len(coefs)} "
            f"and {len(intercepts)} entries"
        )
    weights = [W.toarray() if issparse(W) else np.asarray(W) for W in coefs[:n_read]]
    biases = [
        _as_bias(np.asarray(b), W)
        for b, W in zip(intercepts[:n_read], weights, strict=True)
    ]
    dtype = np.result_type(*weights, *biases, np.float32)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"coefs_ and intercepts_ must be real numbers, got {dtype}")
    check_layers(weights, biases, ("coefs_", "intercepts_"))
    return weights, biases, dtype


def _as_bias(b: np.ndarray, W: np.ndarray) -> np.ndarray:
    """A number, or a row, as the vector that it is added as."""
    n_out = W.shape[-1] if W.ndim else 1
    row = b.size == 1 or b.shape == (1, n_out)
    return np.broadcast_to(b, (1, n_out))[0] if row and b.ndim <= 2 else b
