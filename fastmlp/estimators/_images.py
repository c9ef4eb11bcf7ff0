"""What the convolutional estimators add: images as rows, and the layers on them."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import Tags

from fastmlp.estimators._parameters import COUNT, parameter
from fastmlp.layers import AveragePool, Conv, MaxPool, plain
from fastmlp.recipe import Recipe
from fastmlp.sklearn_private import StrOptions

POOLS = {"max": MaxPool, "average": AveragePool}


@dataclass(eq=False, repr=False)
class Images(ABC):
    """Convolutions and pooling in front of the hidden layers."""

    # scikit-learn has no such estimator.
    _sklearn_class: ClassVar[Any] = None

    hidden_layer_sizes: Sequence[int] | int = parameter(
        (64,),
        ["array-like", COUNT],
        "array-like of int or int",
        "Units of each hidden layer behind the convolutions; empty for none.",
    )
    _: KW_ONLY
    input_shape: Sequence[int] | None = parameter(
        None,
        ["array-like", None],
        "tuple of int or None",
        """
        Shape of a row: (height, width, channels) of an image, (length, channels) of a
        signal. Two equal numbers are height and width of an image of one channel.
        None: that of the rows of X, if X has three or four axes; a row of a matrix is a
        signal of one channel.
        """,
    )
    conv_layers: Sequence[tuple[int, Any]] = parameter(
        ((16, 3), (32, 3)),
        ["array-like"],
        "tuple of (int, int)",
        """
        Convolutions, each (filters, kernel): outputs at each position, and the kernel's
        size, one number for all sides or one for each.
        """,
    )
    pool_size: int | Sequence[int] | None = parameter(
        2,
        [COUNT, "array-like", None],
        "int, tuple of int or None",
        """
        Window of the pooling behind each convolution, one number for all sides or one
        for each; windows that do not fit are dropped, and of a shorter signal the whole
        is one. None or 1: no pooling.
        """,
    )
    pool: str = parameter(
        "max",
        [StrOptions(set(POOLS))],
        "{'max', 'average'}",
        "What becomes of a window: its largest number or its mean, by channel.",
    )
    padding: str = parameter(
        "same",
        [StrOptions({"same", "valid"})],
        "{'same', 'valid'}",
        """
        'same': zeros around the image, so that a convolution has an output for every
        pixel; 'valid': none.
        """,
    )

    def _as_rows(self, X: Any, reset: bool) -> Any:
        """Images as rows of a matrix; a matrix is left as it is."""
        if issparse(X):
            raise TypeError(
                "Sparse data was passed, but images are dense: use X.toarray()"
            )
        images = X if hasattr(X, "shape") else np.asarray(X)
        shape = tuple(images.shape[1:])
        if reset and shape:
            self.input_shape_ = self._find_shape(shape)
        if len(shape) < 2:
            return X
        if _named(shape) != self.input_shape_:
            raise ValueError(
                f"X has rows of shape {shape}, but {type(self).__name__} is expecting "
                f"{self.input_shape_}"
            )
        images = np.asarray(images)
        return images.reshape(len(images), math.prod(shape))

    def _find_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a row, from the parameter or from X's."""
        if self.input_shape is None:
            return _named(shape) if len(shape) > 1 else (*shape, 1)
        found = _named(tuple(self.input_shape))
        if len(shape) == 1 and math.prod(found) != shape[0]:
            raise ValueError(
                f"X has {shape[0]} features, but input_shape={self.input_shape!r} has "
                f"{math.prod(found)}"
            )
        return found

    def _architecture(self, n_features: int, recipe: Recipe, n_outputs: int) -> list:
        """Inputs, convolutions with their pooling, hidden layers, outputs."""
        if "input_shape_" not in vars(self):  # the rows are read block by block
            self.input_shape_ = self._find_shape((n_features,))
        layers: list[Any] = [self.input_shape_]
        for filters, kernel in _pairs(self.conv_layers):
            layers.append(Conv(filters, kernel, padding=self.padding))
            layers += self._pooling(layers)
        return [*layers, *recipe.hidden_layer_sizes, n_outputs]

    def _pooling(self, layers: list[Any]) -> list[Any]:
        """The pooling behind the last of these layers, unless its window is a pixel."""
        size: Any = 1 if self.pool_size is None else plain(self.pool_size)
        shape = layers[0]
        for layer in layers[1:]:
            shape = layer.on(shape).outputs_shape
        if len(shape) == 2 and isinstance(size, int):
            size = min(size, shape[0])
        if self.pool not in POOLS:
            raise ValueError(f"pool must be one of {list(POOLS)}, got {self.pool!r}")
        return [] if size in (1, (1,), (1, 1)) else [POOLS[self.pool](size)]

    def to_sklearn(self) -> Any:
        """scikit-learn has no convolutions.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(f"scikit-learn has no estimator like {type(self).__name__}")

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """scikit-learn has no convolutions.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(f"scikit-learn has no estimator like {cls.__name__}")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags


def _named(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of an image or a signal, channels last.

    Raises
    ------
    ValueError
        If there are more or fewer numbers, or one is no positive integer.
    """
    whole = all(isinstance(n, (int, np.integer)) and n > 0 for n in shape)
    if len(shape) not in (2, 3) or not whole:
        raise ValueError(
            "the shape of a row must be (height, width, channels) of an image, or "
            f"(length, channels) of a signal, in positive integers; got {shape}"
        )
    shape = tuple(map(int, shape))
    return (*shape, 1) if len(shape) == 2 and shape[0] == shape[1] else shape


def _pairs(conv_layers: Any) -> list[tuple[Any, Any]]:
    """Filters and kernel of each entry of ``conv_layers``."""
    layers = plain(conv_layers)
    for layer in layers if isinstance(layers, tuple) else [layers]:
        if not isinstance(layer, tuple) or len(layer) != 2:
            raise ValueError(
                f"conv_layers must hold pairs (filters, kernel), got {layer!r}"
            )
    return list(layers)
