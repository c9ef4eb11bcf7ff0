"""Kinds of layers: what users write down, and the shapes that follow from it.

An image is an array (height, width, channels), its channels last; a signal
(length, channels) is an image of one row. :class:`Scale`, :class:`PeriodicEmbedding`
and :class:`CategoryEmbedding` are for columns of a table.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# What the kernels count to: the largest C int.
MOST_NUMBERS = 2**31 - 1

# Frequencies that a number may be embedded by (``_kernels``).
MOST_FREQUENCIES = 64

Pair = tuple[int, int]
Image = tuple[int, int, int]


class Geometry(NamedTuple):
    """A layer's kind, its images, and where its kernel stands in them.

    To a dense layer its inputs are the channels of one pixel, and so are its outputs;
    to one that works on columns too, and its kernel is the shape of its weights.

    Parameters
    ----------
    kind : str
        A name of ``fastmlp._kernels.KINDS``.
    shape, out_shape : tuple of int
        Height, width and channels of the inputs and of the outputs.
    kernel, stride : tuple of int
        Along height and width; of pooling those of its window.
    pads : tuple of int
        Rows of zeros above the image, columns of zeros at its left.
    n_axes : int
        2 for images, 1 for signals, 0 for a dense layer.
    """

    kind: str
    shape: Image
    out_shape: Image
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: Pair = (0, 0)
    n_axes: int = 0

    @property
    def n_in(self) -> int:
        """Inputs, all pixels and channels counted."""
        return math.prod(self.shape)

    @property
    def n_out(self) -> int:
        """Outputs, all pixels and channels counted."""
        return math.prod(self.out_shape)

    @property
    def is_trained(self) -> bool:
        """Whether it has weights."""
        return self.is_activated or self.is_of_columns

    @property
    def is_activated(self) -> bool:
        """Whether it has biases and an activation."""
        return self.kind in ("dense", "conv")

    @property
    def is_of_columns(self) -> bool:
        """Whether it works on the columns of a table."""
        return self.kind in ("scale", "periodic_embedding", "category_embedding")

    @property
    def n_terms(self) -> int:
        """Inputs that one output sees, each with a weight of its own."""
        return math.prod(self.kernel) * self.shape[2]

    @property
    def fans(self) -> Pair:
        """Inputs that an output sees, and outputs that see an input: what initial
        weights are drawn by.
        """
        return self.n_terms, math.prod(self.kernel) * self.out_shape[2]

    @property
    def pads_behind(self) -> Pair:
        """Rows of zeros below the image, columns of zeros at its right, as far as the
        kernel sees them.
        """
        ends = [
            (n - 1) * s + k - size - before
            for n, s, k, size, before in zip(
                *(
                    self.out_shape[:2],
                    self.stride,
                    self.kernel,
                    self.shape[:2],
                    self.pads,
                ),
                strict=True,
            )
        ]
        return max(0, ends[0]), max(0, ends[1])

    def patches(self) -> np.ndarray:
        """Which of a row's inputs each entry of the kernel sees at each position.

        Returns
        -------
        ndarray of shape (n_positions * n_terms,)
            Whole numbers; ``n_in`` where it sees a zero of the border.
        """
        (top, left), (below, right) = self.pads, self.pads_behind
        numbers = np.arange(self.n_in).reshape(self.shape)
        border = ((top, below), (left, right), (0, 0))
        numbers = np.pad(numbers, border, constant_values=self.n_in)
        windows = sliding_window_view(numbers, self.kernel, axis=(0, 1))
        windows = windows[:: self.stride[0], :: self.stride[1]]
        windows = windows[: self.out_shape[0], : self.out_shape[1]]
        return np.moveaxis(windows, 2, -1).ravel()

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """(n_in, n_out); of a convolution (height, width, channels, filters), of one
        along signals (length, channels, filters); of what works on columns its own.
        """
        if self.is_of_columns:
            return self.kernel if self.kernel[1] > 1 else self.kernel[:1]
        kernel = self.kernel[2 - self.n_axes :]
        return (*kernel, self.shape[2], self.out_shape[2])

    @property
    def outputs_shape(self) -> tuple[int, ...]:
        """Shape of a row's outputs, as users see them."""
        return self.out_shape[2 - self.n_axes :]


@dataclass(frozen=True)
class Conv:
    """A convolution: the same kernel at every position of an image or a signal.

    z = K ⋆ x + b, the cross-correlation, as in PyTorch and Keras.

    Parameters
    ----------
    filters : int
        Outputs at each position.
    kernel : int or tuple of int
        Its size: of images one for both sides, or (height, width).
    stride : int or tuple of int, default=1
        Pixels from one position to the next.
    padding : {'same', 'valid'}, default='same'
        'same' puts zeros around the image, (kernel − 1)//2 before it and kernel//2
        behind, so that with stride 1 there is an output for every pixel; 'valid' none.
    """

    filters: int
    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: str = "same"

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on images of that shape.

        Parameters
        ----------
        shape : tuple of int
            (height, width, channels) or (length, channels).

        Raises
        ------
        ValueError
            If a number is not a positive integer, or the kernel is larger than the
            image.
        """
        filters = _check_count(self, "filters", self.filters)
        if self.padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid', got {self.padding!r}")
        kernel, stride = (_sides(self, name, shape) for name in ("kernel", "stride"))
        is_same = self.padding == "same"
        pads = tuple((k - 1) // 2 if is_same else 0 for k in kernel)
        border = [k - 1 if is_same else 0 for k in kernel]
        return _geometry(self, "conv", shape, kernel, stride, pads, border, filters)


@dataclass(frozen=True)
class MaxPool:
    """The largest of each channel in every window; the first of equal ones counts.

    Parameters
    ----------
    size : int or tuple of int, default=2
        The window: of images one for both sides, or (height, width). Windows that do
        not fit are dropped.
    stride : int or tuple of int, default=None
        Pixels from one window to the next; None: its size.
    """

    size: int | tuple[int, ...] = 2
    stride: int | tuple[int, ...] | None = None

    _kind = "max_pool"

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on images of that shape; see :meth:`Conv.on`."""
        size = _sides(self, "size", shape)
        stride = size if self.stride is None else _sides(self, "stride", shape)
        return _geometry(self, self._kind, shape, size, stride, (0, 0), (0, 0), None)


@dataclass(frozen=True)
class AveragePool(MaxPool):
    """The mean of each channel in every window.

    Parameters
    ----------
    size, stride
        As in :class:`MaxPool`.
    """

    _kind = "average_pool"


@dataclass(frozen=True)
class GlobalAveragePool:
    """The mean of each channel over the whole image."""

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on images of that shape; see :meth:`Conv.on`."""
        return AveragePool(shape[:-1]).on(shape)


@dataclass(frozen=True)
class Scale:
    """Each column times a number of its own, which is learnt: z = x ⊙ s.

    ``weights`` are s, of shape (n_columns,), and begin as ones. There is no bias.
    """

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on so many columns."""
        (n,) = shape
        return Geometry("scale", (1, 1, n), (1, 1, n), (n, 1))


@dataclass(frozen=True)
class PeriodicEmbedding:
    """Numbers as periodic functions of themselves.

    Each number x of the first columns becomes x and W₂ cos(2π(w x + b)) + b₂, side by
    side; the columns behind the numbers come as they are, behind all of them.
    ``weights`` have a row for each number: w and b of the frequencies, then W₂, one
    output's numbers after the other's, then b₂. They begin as w ~ N(0, 0.1²), b uniform
    in ±½, W₂ and b₂ uniform in ±1/√frequencies.

    Parameters
    ----------
    n_numbers : int
        How many of the columns, the first ones, are embedded.
    frequencies : int, default=16
        Cosines of each number, 64 at most.
    dimensions : int, default=4
        What each number becomes, itself counted: 2 or more.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022; with x itself and b, D. Holzmüller, L.
    Grinsztajn, I. Steinwart, "Better by default", NeurIPS 2024 (PBLD).
    """

    n_numbers: int
    frequencies: int = 16
    dimensions: int = 4

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on so many columns.

        Raises
        ------
        ValueError
            If a number is no positive integer, or they do not go with the columns.
        """
        (n,) = shape
        n_numbers = _check_columns(self, "n_numbers", self.n_numbers, n)
        frequencies = _check_count(self, "frequencies", self.frequencies)
        if frequencies > MOST_FREQUENCIES:
            raise ValueError(f"frequencies of {self} may be {MOST_FREQUENCIES} at most")
        n_more = _check_dimensions(self, self.dimensions) - 1
        sizes = n_numbers, 2 * frequencies + n_more * (frequencies + 1)
        n_out = n + n_numbers * n_more
        return Geometry("periodic_embedding", (1, 1, n), (1, 1, n_out), sizes)


@dataclass(frozen=True)
class CategoryEmbedding:
    """Categories as rows of a table.

    Each of the last columns holds the number of a row, which takes its place; the
    columns before them stay. What is no such number becomes zeros, a missing value say.
    Two columns share a row where they hold the same number. ``weights`` are the table,
    of shape (n_rows, dimensions), drawn from N(0, 1).

    Parameters
    ----------
    n_indices : int
        How many of the columns, the last ones, hold numbers of rows.
    n_rows : int
        Rows of the table.
    dimensions : int, default=8
        Numbers of a row, 2 or more.
    """

    n_indices: int
    n_rows: int
    dimensions: int = 8

    def on(self, shape: tuple[int, ...]) -> Geometry:
        """The layer on so many columns; see :meth:`PeriodicEmbedding.on`."""
        (n,) = shape
        n_indices = _check_columns(self, "n_indices", self.n_indices, n)
        n_rows = _check_count(self, "n_rows", self.n_rows)
        dimensions = _check_dimensions(self, self.dimensions)
        n_out = n + n_indices * (dimensions - 1)
        sizes = n_rows, dimensions
        return Geometry("category_embedding", (1, 1, n), (1, 1, n_out), sizes)


ImageKind = Conv | MaxPool | AveragePool | GlobalAveragePool
ColumnKind = Scale | PeriodicEmbedding | CategoryEmbedding
Kind = ImageKind | ColumnKind
KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Kind)}
Architecture = tuple[Any, ...]


def check_architecture(layers: Sequence[Any]) -> Architecture:
    """Inputs, then each layer: units or a kind, checked one by one.

    Raises
    ------
    ValueError
        If there are fewer than two, or an entry is of another kind.
    """
    entries = list(layers)
    if len(entries) >= 2 and isinstance(entries[0], (tuple, list)):
        shape = tuple(entries[0])
        known = len(shape) in (2, 3) and all(map(_is_count, shape))
        known = known and all(isinstance(e, Kind) or _is_count(e) for e in entries[1:])
        if known and _is_count(entries[-1]):
            return (tuple(map(int, shape)), *map(plain, entries[1:]))
    elif len(entries) >= 2 and all(map(_is_count, (entries[0], entries[-1]))):
        known = all(isinstance(e, ColumnKind) or _is_count(e) for e in entries)
        if known:
            return tuple(map(plain, entries))
    raise ValueError(
        "layer_sizes must be two or more positive integers, or begin with the shape "
        "of an image, (height, width, channels), or of a signal, (length, channels), "
        "go on with positive integers or kinds of fastmlp.layers, those for images "
        f"behind images only, and end with an integer; got {layers!r}"
    )


@lru_cache(maxsize=64)
def geometries(architecture: Architecture) -> tuple[Geometry, ...]:
    """What each layer does, the first on the inputs.

    Raises
    ------
    ValueError
        If a layer does not fit what it is given, or an image comes behind units.
    """
    inputs, *layers = architecture
    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    found = []
    for number, layer in enumerate(layers):
        if isinstance(layer, int):
            geometry = Geometry("dense", (1, 1, math.prod(shape)), (1, 1, layer))
        elif (len(shape) == 1) != isinstance(layer, ColumnKind):
            wanted = "columns" if len(shape) > 1 else "an image or a signal"
            raise ValueError(f"layer {number}, {layer}, needs {wanted}")
        else:
            geometry = layer.on(shape)
        _check_sizes(number, layer, geometry)
        found.append(geometry)
        shape = geometry.outputs_shape
    return tuple(found)


def to_facts(architecture: Architecture) -> list[Any]:
    """The same as JSON has it."""
    return [
        {type(e).__name__: asdict(e)} if isinstance(e, Kind) else e
        for e in (list(e) if isinstance(e, tuple) else e for e in architecture)
    ]


def from_facts(facts: Any) -> Architecture:
    """The architecture of :func:`to_facts`.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(facts, list):
        raise ValueError("layer_sizes must be a list")
    return check_architecture([_from_fact(fact) for fact in facts])


def _from_fact(fact: Any) -> Any:
    if not isinstance(fact, dict):
        return fact
    if len(fact) != 1 or not set(fact) <= set(KINDS):
        raise ValueError(f"layer_sizes has an unknown kind: {fact!r}")
    ((name, settings),) = fact.items()
    try:
        return KINDS[name](**settings)
    except TypeError as error:
        raise ValueError(f"layer_sizes has an impossible {name}: {error}") from error


def _is_count(value: Any) -> bool:
    if type(value) is not int and (
        not isinstance(value, numbers.Integral) or isinstance(value, bool)
    ):
        return False
    return int(value) > 0


def plain(entry: Any) -> Any:
    """The same in Python's own numbers, which can be compared, hashed and stored."""
    if isinstance(entry, Kind):
        names = [field.name for field in fields(entry)]
        layer = replace(entry, **{name: plain(getattr(entry, name)) for name in names})
        _check_fields(layer)
        return layer
    if isinstance(entry, (tuple, list)) or (
        isinstance(entry, np.ndarray) and entry.ndim > 0
    ):
        return tuple(map(plain, entry))
    return int(entry) if _is_count(entry) else entry


def _check_fields(layer: Any) -> None:
    """Whether its numbers are integers: others may equal them, and be remembered."""
    for name, value in vars(layer).items():
        sides = value if isinstance(value, tuple) else (value,)
        if not all(type(side) in (int, str, type(None)) for side in sides):
            raise ValueError(f"{name} of {layer} must be made of positive integers")


def _check_sizes(number: int, layer: Any, geometry: Geometry) -> None:
    """Whether the kernels can count what a layer is given, makes and works with."""
    (height, width, channels), (k_height, k_width) = geometry.shape, geometry.kernel
    bordered = (height + k_height) * (width + k_width)
    most = max(
        geometry.n_in,
        geometry.n_out,
        bordered * max(channels, geometry.out_shape[2]) if geometry.n_axes else 0,
        math.prod(geometry.kernel),
        *geometry.stride,
    )
    if most > MOST_NUMBERS:
        raise ValueError(
            f"layer {number}, {layer}, has more than {MOST_NUMBERS} numbers"
        )


def _check_count(layer: Any, name: str, value: Any) -> int:
    if not _is_count(value):
        raise ValueError(f"{name} of {layer} must be a positive integer")
    return int(value)


def _check_columns(layer: Any, name: str, value: Any, n_columns: int) -> int:
    if _check_count(layer, name, value) > n_columns:
        raise ValueError(f"{name} of {layer}: it is given {n_columns} columns only")
    return int(value)


def _check_dimensions(layer: Any, value: Any) -> int:
    if _check_count(layer, "dimensions", value) < 2:
        raise ValueError(f"dimensions of {layer} must be 2 or more")
    return int(value)


def _sides(layer: Any, name: str, shape: tuple[int, ...]) -> Pair:
    """A size along height and width, from one for both or from one for each."""
    value, n_axes = getattr(layer, name), len(shape) - 1
    each = (value,) * n_axes if _is_count(value) else value
    known = isinstance(each, (tuple, list)) and all(map(_is_count, each))
    if not known or len(each) != n_axes:
        raise ValueError(
            f"{name} of {layer} must be a positive integer, or {n_axes} of them, for "
            f"{'images' if n_axes == 2 else 'signals'} of shape {shape}"
        )
    height, width = (1, *each)[-2:]
    return int(height), int(width)


def _geometry(
    layer: Any,
    kind: str,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    pads: tuple[int, ...],
    border: Sequence[int],
    filters: int | None,
) -> Geometry:
    """Where the kernel stands in images with so many zeros more along each side."""
    height, width, channels = (1, *shape)[-3:]
    stride = (stride[0], stride[1])
    room = [n + b - k for n, b, k in zip((height, width), border, kernel, strict=True)]
    if min(room) < 0:
        raise ValueError(f"{layer} is larger than what it is given, of shape {shape}")
    out = (room[0] // stride[0] + 1, room[1] // stride[1] + 1)
    return Geometry(
        kind,
        (height, width, channels),
        (*out, filters or channels),
        kernel,
        stride,
        (pads[0], pads[1]),
        len(shape) - 1,
    )
