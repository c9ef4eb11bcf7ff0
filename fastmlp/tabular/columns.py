"""Tables as columns: what frames and arrays hold, each column numbers or levels.

Frames are known by the libraries that are imported already: nothing is imported here.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
from scipy.sparse import issparse

# Whole numbers up to here are float64s without rounding.
LARGEST_EXACT = 2**53

DATES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
)
DATES_HINT = (
    "convert them to numbers first, such as days since some date, or columns for year, "
    "month and weekday"
)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        float64, NaN where a value is missing. Where a whole number is too large for
        that, objects: Python's integers, and NaN.

    Raises
    ------
    ValueError
        If one is infinite.
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.dtype != object and np.isinf(self.values).any():
            raise ValueError(
                "it contains infinity or a value too large for float64: mark values "
                "that are not known as NaN"
            )

    def take(self, rows: np.ndarray) -> Numbers:
        """The column of these rows."""
        return Numbers(self.values[rows])

    def as_levels(self) -> Levels:
        """Each different number a level."""
        if self.values.dtype == object:
            return levels_of(self.values.tolist(), declared=True)
        missing = np.isnan(self.values)
        found, codes = np.unique(self.values[~missing], return_inverse=True)
        all_codes = np.full(len(self.values), -1, np.intp)
        all_codes[~missing] = codes
        return Levels(all_codes, [key_of(value) for value in found.tolist()], True)


@dataclass(frozen=True)
class Levels:
    """A column of categories.

    Parameters
    ----------
    codes : ndarray of intp of shape (n_rows,)
        Where each row's level stands; −1 where it is missing.
    levels : list of str
        The levels, see :func:`key_of`. Some may not occur.
    declared : bool
        Whether the column's type says that it is of categories. Else they are strings.
    """

    codes: np.ndarray
    levels: list[str]
    declared: bool

    def take(self, rows: np.ndarray) -> Levels:
        """The column of these rows."""
        return Levels(self.codes[rows], self.levels, self.declared)

    def as_numbers(self) -> Numbers:
        """The levels as the numbers that they spell.

        Raises
        ------
        ValueError
            If one that occurs is no number.
        """
        values = np.full(len(self.levels) + 1, np.nan)
        for code in np.unique(self.codes[self.codes >= 0]):
            values[code] = float(self.levels[code])
        return Numbers(values[self.codes])


Column = Numbers | Levels


@dataclass(frozen=True)
class Table:
    """A table in memory, a column after the other.

    Parameters
    ----------
    columns : list of Numbers or Levels
        At least one.
    names : list of str
        Of the columns; 'x0', 'x1', … where they have none.
    n_rows : int
        At least one.
    """

    columns: list[Column]
    names: list[str]
    n_rows: int

    def take(self, rows: np.ndarray) -> Table:
        """The table of these rows."""
        columns = [column.take(rows) for column in self.columns]
        return Table(columns, self.names, len(rows))


def read_table(X: Any, name: str = "X") -> Table:
    """The columns of a frame or an array.

    Parameters
    ----------
    X : DataFrame of pandas or polars, Table of Arrow, or array-like
        Of shape (n_samples, n_features). What has ``__arrow_c_stream__`` is read by
        pyarrow, where that is imported. What a masked array masks is missing. A Table
        is returned as it is.
    name : str, default='X'
        What errors call it.

    Raises
    ------
    ValueError
        If it has not two dimensions, no row or no column, or a number is infinite.
    TypeError
        If it is sparse, or holds dates, complex numbers or other objects.
    """
    if issparse(X):
        raise TypeError(
            f"{name} is a sparse matrix, and a table must be dense: use MLPClassifier "
            "or MLPRegressor, which take sparse rows, or X.toarray()"
        )
    if isinstance(X, Table):
        return X
    names, columns = _find_columns(X, name)
    pairs = zip(names, columns, strict=True)
    read = [_read_column(c, f"column {n!r} of {name}") for n, c in pairs]
    n_rows = len(read[0].values if isinstance(read[0], Numbers) else read[0].codes)
    if n_rows == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0, {len(read)})) while a minimum "
            f"of 1 is required: {name} has no rows"
        )
    return Table(read, names, n_rows)


def _find_columns(X: Any, name: str) -> tuple[list[str], Sequence[Any]]:
    """Names of the columns, and each column as its library has it."""
    pandas, polars, arrow = map(sys.modules.get, ("pandas", "polars", "pyarrow"))
    columns: list[Any]
    if pandas is not None and isinstance(X, pandas.DataFrame):
        names, columns = list(X.columns), [X.iloc[:, j] for j in range(X.shape[1])]
    elif polars is not None and isinstance(X, polars.DataFrame):
        names, columns = X.columns, X.get_columns()
    elif arrow is not None and _is_arrow(X, arrow):
        table = X if isinstance(X, arrow.RecordBatch) else arrow.table(X)
        names, columns = table.column_names, list(table.columns)
    else:
        array = _as_matrix(X, name)
        names, columns = [f"x{j}" for j in range(array.shape[1])], list(array.T)
    if not columns:
        raise ValueError(
            f"0 feature(s) (shape=({len(X)}, 0)) while a minimum of 1 is required: "
            f"{name} has no columns"
        )
    return [str(n) for n in names], columns


def _is_arrow(X: Any, arrow: Any) -> bool:
    if isinstance(X, arrow.Table | arrow.RecordBatch):
        return True
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "__array__")


def _as_matrix(X: Any, name: str) -> np.ndarray:
    array = np.asarray(X)
    if isinstance(X, np.ma.MaskedArray):
        array = array.astype(object)
        array[np.ma.getmaskarray(X)] = None
    if not isinstance(X, np.ndarray) and array.dtype.kind in "US":
        # A list of lists with a string in it: NumPy has made its numbers strings too.
        array = np.asarray(X, dtype=object)
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead: {name} must have "
            "rows and columns. Reshape your data either using array.reshape(-1, 1) if "
            "your data has a single feature or array.reshape(1, -1) if it contains a "
            "single sample."
        )
    if array.dtype.names is not None:
        raise TypeError(f"{name} is an array of records: make it a frame first")
    return array


# -- a column


def _read_column(column: Any, what: str) -> Column:
    """A column of any of the libraries."""
    library = type(column).__module__.partition(".")[0]
    try:
        return READERS.get(library, _read_array)(column)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{what}: {error}") from error


def _read_array(values: np.ndarray) -> Column:
    """A vector of NumPy's."""
    kind = values.dtype.kind
    if kind == "b":
        return Levels(values.astype(np.intp), ["0", "1"], True)
    if kind in "iu":
        return _read_integers(values)
    if kind == "f":
        with np.errstate(over="ignore"):
            return Numbers(values.astype(np.float64))
    if kind in "Mm":
        _refuse_dates(values.dtype)
    if kind == "c":
        raise ValueError("Complex data not supported")
    return read_objects(values.tolist())


def _read_integers(values: np.ndarray) -> Numbers:
    wide = len(values) > 0 and (
        int(values.max()) > LARGEST_EXACT or int(values.min()) < -LARGEST_EXACT
    )
    return Numbers(values.astype(object if wide else np.float64))


def _read_pandas(series: Any) -> Column:
    dtype = series.dtype
    if hasattr(series, "cat"):
        codes = series.cat.codes.to_numpy().astype(np.intp)
        return _declared(codes, series.cat.categories.tolist())
    if isinstance(dtype, np.dtype):
        return _read_array(series.to_numpy())
    if getattr(dtype, "kind", "O") == "f":
        return _read_array(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if getattr(dtype, "kind", "O") in "Mm":
        _refuse_dates(dtype)
    return read_objects(series.to_numpy(dtype=object).tolist())


def _read_polars(series: Any) -> Column:
    dtype = series.dtype
    if dtype.is_temporal():
        _refuse_dates(dtype)
    if dtype.is_float() or dtype.is_decimal():
        as_float = series.cast(sys.modules["polars"].Float64)
        return Numbers(as_float.to_numpy().astype(np.float64))
    if dtype.is_integer() and series.null_count() == 0:
        return _read_array(series.to_numpy())
    declared = str(dtype).startswith(("Categorical", "Enum"))
    if declared:
        series = series.cast(sys.modules["polars"].String)
    return read_objects(series.to_list(), declared)


def _read_arrow(column: Any) -> Column:
    types, kind = sys.modules["pyarrow"].types, column.type
    if types.is_temporal(kind):
        _refuse_dates(kind)
    whole = types.is_integer(kind) and column.null_count == 0
    if types.is_floating(kind) or whole:
        if hasattr(column, "chunks"):
            column = column.combine_chunks()
        return _read_array(column.to_numpy(zero_copy_only=False))
    return read_objects(column.to_pylist(), types.is_dictionary(kind))


# By the library that has made a column.
READERS: dict[str, Callable[[Any], Column]] = {
    "numpy": _read_array,
    "pandas": _read_pandas,
    "polars": _read_polars,
    "pyarrow": _read_arrow,
}


def _declared(codes: np.ndarray, categories: list) -> Levels:
    """Codes and categories, those of the same key made one."""
    column = read_objects(categories, declared=True)
    assert isinstance(column, Levels)
    return Levels(np.append(column.codes, -1)[codes], column.levels, True)


# -- objects


def read_objects(values: list, declared: bool = False) -> Column:
    """Python's objects: all numbers, or all booleans, or levels.

    Parameters
    ----------
    values : list
        None, NaN, and what calls itself NA or NaT, is missing.
    declared : bool, default=False
        Whether they are categories whatever they are.
    """
    kinds = {type(value) for value in values if not is_missing(value)}
    for kind in kinds:
        _check_kind(kind)
    if declared:
        return levels_of(values, declared)
    if kinds and all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return levels_of(values, declared=True)
    if all(issubclass(kind, Real | Decimal | np.bool_) for kind in kinds):
        return _read_numbers(values)
    return levels_of(values, declared=False)


def _check_kind(kind: type) -> None:
    if issubclass(kind, DATES) or kind.__name__ in ("Period", "Interval"):
        _refuse_dates(kind.__name__)
    if not issubclass(kind, str | bytes | Real | Decimal | np.bool_):
        raise TypeError(f"argument must be a string or a number, got a {kind.__name__}")


def _refuse_dates(kind: object) -> NoReturn:
    raise TypeError(f"it holds dates, times or ranges ({kind}): {DATES_HINT}")


def _read_numbers(values: list) -> Numbers:
    wide = any(
        isinstance(value, Integral) and abs(int(value)) > LARGEST_EXACT
        for value in values
    )
    if not wide:
        numbers = [np.nan if is_missing(v) else float(v) for v in values]
        return Numbers(np.array(numbers, np.float64))
    column = np.full(len(values), np.nan, object)
    for row, value in enumerate(values):
        if not is_missing(value):
            number = float(value)  # one beyond all floats is an OverflowError
            column[row] = int(value) if isinstance(value, Integral) else number
    return Numbers(column)


def levels_of(values: list, declared: bool) -> Levels:
    """A column of levels, in the order in which they are found."""
    known: dict[str, int] = {}
    codes = np.full(len(values), -1, np.intp)
    for row, value in enumerate(values):
        if not is_missing(value):
            codes[row] = known.setdefault(key_of(value), len(known))
    return Levels(codes, list(known), declared)


def key_of(value: Any) -> str:
    """A level as a string: the same for 1, 1.0, True and "1"."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.bool_ | Integral):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN, or the NA or NaT of a library."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    is_number = isinstance(value, float | Decimal | np.generic)
    return is_number and bool(value != value)


def read_labels(y: Any) -> Any:
    """A classifier's targets, those of a frame's own types as NumPy's.

    Raises
    ------
    ValueError
        If one is missing.
    """
    if not isinstance(getattr(y, "dtype", None), np.dtype):
        array = np.asarray(y)
        # Among strings NumPy would make NaN one too.
        of_objects = hasattr(y, "dtype") or array.dtype.kind in "US"
        y = np.asarray(y, dtype=object) if of_objects else array
    if y.dtype != object:
        return y
    if any(is_missing(value) for value in y.ravel().tolist()):
        raise ValueError("Input y contains NaN, None or NA: leave these rows out")
    kinds = {type(value) for value in y.ravel().tolist()}
    return np.array(y.tolist()) if len(kinds) == 1 else y


def iterate(table: Table) -> Iterator[tuple[str, Column]]:
    """Names and columns."""
    return zip(table.names, table.columns, strict=True)
