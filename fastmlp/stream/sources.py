"""Where blocks come from: arrays, files, tables that can be sliced, batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastmlp.rows import check_kind
from fastmlp.stream.files import ArrayFile

# Blocks that the disk is told of before they are read: it is slow to answer, and one at
# a time it would wait for the reader as the reader for it.
BLOCKS_AHEAD = 8


class Block(NamedTuple):
    """Rows that are read together; None for a part that was not asked for.

    Parameters
    ----------
    first : int
        Number of the first row.
    X : ndarray or ArrayFile of shape (n_rows, n_features)
        Inputs, of any type of numbers.
    y, sample_weight : ndarray or None
        Targets and weights.
    """

    first: int
    X: np.ndarray | ArrayFile | None
    y: np.ndarray | None
    sample_weight: np.ndarray | None


class Source(Protocol):
    """Blocks of rows, as often as asked.

    Attributes
    ----------
    names : list of str or None
        Of the features.
    n_features : int
        Columns of X.
    dtype : dtype
        Type of X's numbers.
    is_ordered : bool
        Whether blocks come in one order only.
    """

    names: list[str] | None
    n_features: int
    dtype: np.dtype
    is_ordered: bool

    @property
    def sizes(self) -> list[int] | None:
        """Rows of each block; None where only a first pass can tell."""

    def read(
        self, numbers: Iterable[int] | None, *, X: bool = True, y: bool = True
    ) -> Iterator[Block]:
        """The blocks of these numbers, or all; with their inputs, with their targets
        and weights.
        """


class Targets:
    """Targets, or weights, that lie beside X or are a column of it.

    Parameters
    ----------
    given : array-like, ArrayFile, str or None
        What a row each has, or the name of a column.
    n_rows : int
        Rows of X.
    name : str
        What errors call them.
    """

    def __init__(self, given: Any, n_rows: int, name: str) -> None:
        self.column = given if isinstance(given, str) else None
        self._beside: Any = None
        if given is None or self.column is not None:
            return
        self._beside = given if isinstance(given, ArrayFile) else np.asarray(given)
        if self._beside.shape[:1] != (n_rows,):
            raise ValueError(
                f"{name} has the shape {self._beside.shape}, and the source has "
                f"{n_rows} rows"
            )

    def of(self, table: Any, rows: slice) -> np.ndarray | None:
        """Those of some rows, which the table holds."""
        if self.column is not None:
            return np.asarray(table[self.column])
        return None if self._beside is None else np.asarray(self._beside[rows])


def join(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Parts of blocks one after the other; None where there are none."""
    found = [part for part in parts if part is not None]
    return np.concatenate(found) if found else None


def column_names(source: Any) -> list[str] | None:
    """Names of a table's columns, pandas', polars' or Arrow's; None of other things."""
    for attribute in ("column_names", "columns"):
        found = getattr(source, attribute, None)
        if found is not None and not callable(found):
            return list(found)
    return None


def choose_columns(
    names: Sequence[str], columns: Sequence[str] | None, *others: str | None
) -> list[str]:
    """The features among a table's columns: those asked for, or all but the others.

    Raises
    ------
    ValueError
        If a column is not there.
    """
    wanted = [n for n in names if n not in others] if columns is None else [*columns]
    for name in (*wanted, *others):
        if name is not None and name not in names:
            raise ValueError(f"there is no column {name!r}; there are {[*names]}")
    return wanted


def stack_columns(table: Any, names: Sequence[str]) -> np.ndarray:
    """A matrix of columns of numbers.

    Raises
    ------
    ValueError
        If a column holds categories, strings or anything else that is no number.
    """
    return np.column_stack([_numbers(table[name], name) for name in names])


def _numbers(column: Any, name: str) -> np.ndarray:
    kind = str(getattr(column, "dtype", getattr(column, "type", "")))
    numbers = np.asarray(column)
    is_category = kind.lower().startswith(("categor", "enum", "dictionary"))
    if is_category or numbers.dtype.kind not in "biuf":
        raise ValueError(
            f"column {name!r} holds {kind or numbers.dtype}, and a network takes "
            "numbers: choose other columns, or encode it first, by scikit-learn's "
            "OneHotEncoder for categories"
        )
    return numbers


class SlicedRows:
    """A source with ``len`` and slices: an array, a file of one, a table.

    Parameters
    ----------
    X : object
        Its slices are matrices, or tables with named columns.
    y, sample_weight : array-like, str or None
        See :class:`Targets`.
    columns : list of str or int, or None
        Features, by name in a table and by number in a matrix; None: all.
    block_rows : int
        Rows of a block.
    names : list of str, default=None
        Of a matrix's columns.
    """

    is_ordered = False

    def __init__(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        columns: Any,
        block_rows: int,
        names: list[str] | None = None,
    ) -> None:
        self._X, self._n_rows, self._block_rows = X, len(X), block_rows
        if self._n_rows == 0:
            raise ValueError("the source has no rows")
        self._y = Targets(y, self._n_rows, "y")
        self._weights = Targets(sample_weight, self._n_rows, "sample_weight")
        self.names, self._columns = names, columns
        self._table_columns: list[str] | None = None
        found = column_names(X)
        if found is not None:
            others = self._y.column, self._weights.column
            self.names = self._table_columns = choose_columns(found, columns, *others)
        elif (self._y.column or self._weights.column) is not None:
            raise ValueError(
                f"{self._y.column or self._weights.column!r} can be a column's name "
                "only where the source has named columns; a file of an array ends in "
                ".npy"
            )
        first = self._inputs(self._slice(slice(0, 1)))
        self.n_features, self.dtype = first.shape[1], first.dtype
        n_whole, n_left = divmod(self._n_rows, block_rows)
        self.sizes = [block_rows] * n_whole + [n_left] * bool(n_left)

    def read(
        self, numbers: Iterable[int] | None, *, X: bool = True, y: bool = True
    ) -> Iterator[Block]:
        """The blocks, each read when it is asked for; of a file later, when it is used.

        The disk is told of blocks that will be asked for soon.
        """
        asked = list(range(len(self.sizes)) if numbers is None else numbers)
        reads = X or self._y.column or self._weights.column
        for number, later in zip_longest(asked, asked[BLOCKS_AHEAD:]):
            if reads and later is not None and isinstance(self._X, ArrayFile):
                self._X[self._rows_of(later)].announce()
            rows = self._rows_of(number)
            part = self._slice(rows) if reads else None
            yield Block(
                rows.start,
                self._inputs(part) if X else None,
                self._y.of(part, rows) if y else None,
                self._weights.of(part, rows) if y else None,
            )

    def _rows_of(self, number: int) -> slice:
        begin = number * self._block_rows
        return slice(begin, min(begin + self._block_rows, self._n_rows))

    def _slice(self, rows: slice) -> Any:
        # A data frame may read numbers in brackets as labels of its index.
        return getattr(self._X, "iloc", self._X)[rows]

    def _inputs(self, part: Any) -> np.ndarray | ArrayFile:
        if self._table_columns is not None:
            return stack_columns(part, self._table_columns)
        matrix = as_matrix(part)
        if self._columns is None:
            return matrix
        return np.asarray(matrix)[:, self._columns]


class Batches:
    """A source of batches (X, y) or (X, y, sample_weight), in their own sizes.

    Parameters
    ----------
    batches : iterable
        Each ``iter`` of it begins anew. What has ``len`` and items by number, as a
        list or Keras' Sequence, is read in any order.
    """

    names: list[str] | None = None

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.is_ordered = not _has_items(batches)
        self.sizes: list[int] | None = None
        first = next(self._items(None), None)
        if first is None:
            raise ValueError("the source has no batches")
        X = _split(first)[0]
        self.n_features, self.dtype = X.shape[1], X.dtype

    def read(
        self, numbers: Iterable[int] | None, *, X: bool = True, y: bool = True
    ) -> Iterator[Block]:
        """The blocks, in order unless batches have numbers."""
        first, sizes = 0, []
        for item in self._items(numbers):
            inputs, targets, weights = _split(item)
            if inputs.shape[1] != self.n_features:
                raise ValueError(
                    f"a batch has {inputs.shape[1]} features, the first had "
                    f"{self.n_features}"
                )
            sizes.append(len(inputs))
            yield Block(first, inputs, targets, weights)
            first += len(inputs)
        if numbers is None:
            self.sizes = sizes

    def _items(self, numbers: Iterable[int] | None) -> Iterator[Any]:
        if self.is_ordered:
            return iter(self._batches)
        if numbers is None:
            numbers = range(len(self._batches))
        return (self._batches[number] for number in numbers)


def _has_items(batches: Any) -> bool:
    return hasattr(batches, "__len__") and hasattr(batches, "__getitem__")


def _split(item: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """X, y and weights of a batch, checked to have as many rows."""
    parts = item if isinstance(item, tuple | list) else (item,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"a batch must be (X, y) or (X, y, sample_weight), got {len(parts)} parts"
        )
    X = as_matrix(parts[0])
    others = [None if part is None else np.asarray(part) for part in parts[1:]]
    for name, part in zip(("y", "sample_weight"), others, strict=False):
        if part is not None and part.shape[:1] != X.shape[:1]:
            raise ValueError(
                f"{name} of a batch has shape {part.shape}, and its X {X.shape}"
            )
    y, weights = [*others, None, None][:2]
    return X, y, weights


def as_matrix(values: Any) -> Any:
    """Rows of numbers: an array, or the file of one as it is.

    Raises
    ------
    ValueError
        If they are sparse, no matrix, or of anything but numbers.
    """
    _refuse_sparse(values)
    matrix = values if isinstance(values, ArrayFile) else np.asarray(values)
    if len(matrix.shape) != 2 or matrix.shape[1] == 0:
        raise ValueError(
            f"X must have rows of one feature or more, got the shape {matrix.shape}"
        )
    check_kind(matrix, "X")
    return matrix


def _refuse_sparse(values: Any) -> None:
    if hasattr(values, "tocsr"):
        raise ValueError(
            "blocks are of dense rows; fit takes a sparse matrix as it is, or "
            "partial_fit one part of it after the other"
        )


def is_batches(source: Any) -> bool:
    """Whether a source hands out batches, and not rows.

    Raises
    ------
    TypeError
        If it has neither slices nor a beginning to come back to.
    """
    _refuse_sparse(source)
    is_rows = isinstance(source, np.ndarray | ArrayFile)
    if is_rows or column_names(source) is not None:
        return False
    if _has_items(source):
        first = source[0] if len(source) else ()
        return isinstance(first, tuple) or np.ndim(first) == 2
    if not hasattr(source, "__iter__"):
        raise TypeError(
            "source must be a path, an object with len and slices, or an iterable of "
            f"batches (X, y), got {type(source).__name__}"
        )
    if iter(source) is source:
        raise TypeError(
            "an iterator can be read only once, and each epoch reads all batches: pass "
            "a list of batches, or an object that can be iterated again"
        )
    return True
