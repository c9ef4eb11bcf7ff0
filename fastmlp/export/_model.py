"""What a fitted estimator computes, as plain frozen data: the only place that looks
into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from fastmlp import _kernels
from fastmlp.layers import Geometry

# Added to a unit's variance before its root is taken (docs/contracts.md).
EPSILON = 1e-5

Row = TypeVar("Row")


@dataclass(frozen=True)
class BatchNorm:
    """γ (x − mean)/√(variance + EPSILON) + β of each unit, with running averages."""

    scale: np.ndarray
    shift: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Layer:
    """σ(a W + b); with batch normalisation σ(normalised(a W)), and b is its shift.
    σ's number, if it has one, is all of ``params``. A layer of images is as its
    geometry says, W a kernel; one that pools has no numbers: its weights and biases are
    empty. One that works on columns has no biases.
    """

    weights: np.ndarray
    biases: np.ndarray
    activation: str
    batch_norm: BatchNorm | None = None
    params: tuple[float, ...] = ()
    geometry: Geometry | None = None

    @property
    def kind(self) -> str:
        """A name of ``fastmlp._kernels.KINDS``."""
        return "dense" if self.geometry is None else self.geometry.kind

    @property
    def kernel(self) -> np.ndarray:
        """W of a convolution, (height, width, channels, filters)."""
        assert self.geometry is not None
        return self.weights.reshape(*self.geometry.kernel, *self.weights.shape[-2:])

    @property
    def n_inputs(self) -> int:
        """Columns that go in."""
        shape = self.weights.shape
        return shape[0] if self.geometry is None else self.geometry.n_in

    @property
    def n_units(self) -> int:
        """Columns that come out."""
        shape = self.weights.shape
        return shape[1] if self.geometry is None else self.geometry.n_out

    @property
    def n_params(self) -> int:
        """Numbers that are trained."""
        n_scales = 0 if self.batch_norm is None else self.batch_norm.scale.size
        return self.weights.size + self.biases.size + n_scales

    @property
    def n_multiply_adds(self) -> int:
        """Multiplications with a weight, each with its addition, for one row."""
        if self.geometry is None:
            return self.weights.size
        height, width, _ = self.geometry.out_shape
        return height * width * self.weights.size

    def folded(self) -> Layer:
        """The same layer without normalisation, computed in float64, rounded once."""
        norm = self.batch_norm
        if norm is None:
            return self
        factor = norm.scale / np.sqrt(norm.variance.astype(np.float64) + EPSILON)
        dtype = self.weights.dtype
        return Layer(
            (self.weights * factor).astype(dtype),
            (norm.shift - norm.mean * factor).astype(dtype),
            self.activation,
            params=self.params,
            geometry=self.geometry,
        )


@dataclass(frozen=True)
class FittedModel:
    """A fitted network and how its outputs become predictions.

    Parameters
    ----------
    layers : tuple of Layer
        The last one's activation is the output activation.
    loss : str
        What it was trained on; no prediction depends on it.
    dtype : dtype
        float32 or float64, of all parameters.
    classes : ndarray of shape (n_classes,) or None
        ``classes_``; None for a regressor.
    multilabel : bool
        Whether each output is a label by itself.
    is_vector : bool
        Whether a regressor predicts one number a row, in an array of shape
        (n_samples,).
    """

    layers: tuple[Layer, ...]
    loss: str
    dtype: np.dtype
    classes: np.ndarray | None
    multilabel: bool
    is_vector: bool

    @property
    def n_features(self) -> int:
        """Inputs of the first layer."""
        return self.layers[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Units of the last layer."""
        return self.layers[-1].n_units

    @property
    def output_activation(self) -> str:
        """Activation of the last layer."""
        return self.layers[-1].activation

    @property
    def is_classifier(self) -> bool:
        """Whether predictions are labels."""
        return self.classes is not None

    @property
    def is_normalised_by_sum(self) -> bool:
        """Whether several outputs become probabilities by division by their sum."""
        apart = self.output_activation == "softmax" or self.multilabel
        return self.is_classifier and self.n_outputs > 1 and not apart

    def folded(self) -> FittedModel:
        """The same model with batch normalisation folded into weights and biases."""
        return replace(self, layers=tuple(layer.folded() for layer in self.layers))


def is_of_tables(est: Any) -> bool:
    """Whether it is a TabularClassifier or a TabularRegressor."""
    from fastmlp.tabular._base import BaseTabular

    return isinstance(est, BaseTabular)


def read(est: Any, caller: str) -> FittedModel:
    """The model of a fitted estimator.

    Parameters
    ----------
    est : MLPClassifier, MLPRegressor, CNNClassifier or CNNRegressor
        Fitted.
    caller : str
        Function that errors speak of.

    Raises
    ------
    TypeError
        If it is no estimator of fastmlp, or one of tables.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    from fastmlp import MLPClassifier, MLPRegressor
    from fastmlp.estimators._attributes import network_of

    if is_of_tables(est):
        raise TypeError(
            f"{caller} does not take a {type(est).__name__}, whose columns of strings "
            "and missing values it has no form for: export it as ONNX, with to_onnx"
        )
    if not isinstance(est, (MLPClassifier, MLPRegressor)):
        raise TypeError(
            f"{caller} takes a fitted MLPClassifier, MLPRegressor, CNNClassifier or "
            f"CNNRegressor of fastmlp, got {type(est).__name__}"
        )
    check_is_fitted(est)
    network = network_of(est)
    classifies = isinstance(est, MLPClassifier)
    one_column = network.layer_sizes[-1] == 1
    return FittedModel(
        layers=read_layers(network),
        loss=network.loss_name,
        dtype=network.dtype,
        classes=est.classes_ if classifies else None,
        multilabel=classifies and not est._labels.exclusive,
        is_vector=not classifies and one_column and est._levels() is None,
    )


def read_layers(network: Any) -> tuple[Layer, ...]:
    norms: list[BatchNorm | None] = [
        BatchNorm(scale, shift, mean, variance)
        for (scale, mean, variance), shift in zip(
            network.normalizations(), network.biases, strict=False
        )
    ]
    norms += [None] * (len(network.weights) - len(norms))
    names = [*network.activations, network.output_activation]
    params = [
        (param,) if name in _kernels.ACTIVATION_PARAMS else ()
        for name, param in zip(names, network.activation_params, strict=True)
    ]
    trained = zip(network.weights, network.biases, norms, strict=True)
    activated = zip(names, params, strict=True)
    empty = np.empty(0, network.dtype)
    found = []
    for geometry in network.geometries:
        pooling = empty, empty, None
        weights, biases, norm = next(trained) if geometry.is_trained else pooling
        name, param = next(activated) if geometry.is_activated else ("identity", ())
        is_dense = geometry.kind == "dense"
        found.append(
            Layer(weights, biases, name, norm, param, None if is_dense else geometry)
        )
    return tuple(found)


def row_of(table: Mapping[str, Row], activation: str, caller: str) -> Row:
    """A target's row for an activation.

    Raises
    ------
    ValueError
        If it has none.
    """
    if activation not in table:
        raise ValueError(
            f"{caller} does not support activation {activation!r}; it supports "
            f"{', '.join(sorted(table))}"
        )
    return table[activation]


def label_type(classes: np.ndarray) -> np.dtype:
    """The type of labels outside of NumPy: object for strings; booleans and uint64 as
    they are, other whole numbers int64, floats float64.
    """
    kind = classes.dtype.kind
    if kind == "b" or classes.dtype == np.uint64:
        return classes.dtype
    return np.dtype({"U": object, "O": object, "f": np.float64}.get(kind, np.int64))
