"""A table as a network's inputs: numbers centred and scaled, categories as 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastmlp.tabular.columns import Column, Levels, Numbers, Table, iterate

# Levels of a column that have an input of their own, the most frequent first; all
# others share one. This is the place of embeddings.
MOST_LEVELS = 64
# Larger quotients are at the clip's end already, and their squares would overflow.
LARGEST = 1e9
# Whole numbers beyond are digits in a model file, which holds none so large.
LARGEST_STORED = 2**63 - 1
# No float64 has as many.
MOST_DIGITS = 312


@dataclass(frozen=True)
class NumberEncoder:
    """A column of numbers: x/√(1 + (x/3)²) of x = (value − median)/spread.

    The spread is the interquartile range; where that is 0, the standard deviation. A
    constant column has no input. Missing values are the median; where some were missing
    in training, a second input says so.

    Parameters
    ----------
    origin : int
        Subtracted first, without rounding: 0 but for whole numbers beyond 2⁵³.
    median, spread : float
        Of what is left; a spread of 0 is a constant column's.
    marks_missing : bool
        Whether there is the second input.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024, section 3.1.
    """

    origin: int
    median: float
    spread: float
    marks_missing: bool

    @classmethod
    def fit(cls, column: Column) -> NumberEncoder:
        """Learn the numbers of a column."""
        values = _as_numbers(column).values
        origin = 0
        if values.dtype == object:
            whole = [value for value in values.tolist() if isinstance(value, int)]
            origin = sorted(whole)[len(whole) // 2]
        shifted = _shift(values, origin)
        known = shifted[~np.isnan(shifted)]
        median, spread = _center_and_spread(known)
        return cls(origin, median, spread, len(known) < len(shifted))

    @property
    def n_inputs(self) -> int:
        """Inputs that the column becomes."""
        return int(self.spread > 0) + int(self.marks_missing)

    def write(self, out: np.ndarray, column: Column) -> None:
        """Write the column's inputs, of shape (n_rows, n_inputs)."""
        values = _shift(_as_numbers(column).values, self.origin)
        missing = np.isnan(values)
        if self.spread > 0:
            # Halves, for the difference of two large numbers may overflow.
            x = (values / 2 - self.median / 2) / (self.spread / 2)
            x = np.clip(np.where(missing, 0, x), -LARGEST, LARGEST)
            out[:, 0] = x / np.sqrt(1 + (x / 3) ** 2)
        if self.marks_missing:
            out[:, -1] = missing


def _as_numbers(column: Column) -> Numbers:
    return column if isinstance(column, Numbers) else column.as_numbers()


def _shift(values: np.ndarray, origin: int) -> np.ndarray:
    if values.dtype == object:
        return (values - origin).astype(np.float64)
    return values - origin if origin else values


def _center_and_spread(known: np.ndarray) -> tuple[float, float]:
    if len(known) == 0 or known.min() == known.max():
        return 0.0, 0.0
    low, median, high = np.quantile(known, [0.25, 0.5, 0.75]).tolist()
    half = high / 2 - low / 2
    if half == 0:
        largest = np.abs(known).max()
        half = (known / largest).std() * largest / 2
    return median, float(max(2 * half, np.finfo(float).tiny))


@dataclass(frozen=True)
class LevelEncoder:
    """A column of categories, one-hot; two levels are −1 and 1 in one input.

    A missing value, and a level that was not there in training, are 0 everywhere. With
    more than ``MOST_LEVELS`` levels the rare ones, and those not seen, share an input.

    Parameters
    ----------
    levels : list of str
        With an input of their own, most frequent first.
    has_others : bool
        Whether there are more.
    """

    levels: list[str]
    has_others: bool

    @classmethod
    def fit(cls, column: Column) -> LevelEncoder:
        """Learn the levels that occur."""
        column = _as_levels(column)
        counts = np.bincount(column.codes[column.codes >= 0], minlength=1)
        order = np.argsort(-counts, kind="stable")
        found = [column.levels[code] for code in order if counts[code] > 0]
        is_constant = len(found) == 1 and (column.codes >= 0).all()
        if is_constant:
            found = []
        return cls(found[:MOST_LEVELS], len(found) > MOST_LEVELS)

    @property
    def n_inputs(self) -> int:
        """Inputs that the column becomes."""
        n_levels = len(self.levels) + self.has_others
        return 1 if n_levels == 2 else n_levels

    def write(self, out: np.ndarray, column: Column) -> None:
        """Write the column's inputs, of shape (n_rows, n_inputs)."""
        column = _as_levels(column)
        places = {level: place for place, level in enumerate(self.levels)}
        other = len(self.levels) if self.has_others else -1
        found = [places.get(level, other) for level in column.levels]
        place = np.array([*found, -1], np.intp)[column.codes]
        if len(self.levels) == 2 and not self.has_others:
            out[:, 0] = np.array([-1, 1, 0])[place]
        else:
            out[...] = 0
            known = np.flatnonzero(place >= 0)
            out[known, place[known]] = 1


def _as_levels(column: Column) -> Levels:
    return column if isinstance(column, Levels) else column.as_levels()


Encoder = NumberEncoder | LevelEncoder
ENCODERS: dict[str, type] = {"number": NumberEncoder, "levels": LevelEncoder}


class TablePreprocessor:
    """What a table's columns become, learnt from the rows of a fit.

    Parameters
    ----------
    encoders : sequence of NumberEncoder or LevelEncoder
        One a column.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self.encoders = list(encoders)

    @classmethod
    def fit(cls, table: Table, categorical_features: Any) -> TablePreprocessor:
        """Learn from a table.

        Parameters
        ----------
        table : Table
            The rows.
        categorical_features : 'from_dtype', array-like or None
            Which columns are categories: those whose type says so, or names, indices or
            a mask. Strings and booleans always are.

        Raises
        ------
        ValueError
            If it names what is no column, or no column tells two rows apart.
        """
        chosen = find_categorical(table, categorical_features)
        encoders = [
            (LevelEncoder if is_categorical else NumberEncoder).fit(column)
            for column, is_categorical in zip(table.columns, chosen, strict=True)
        ]
        return cls(encoders)

    @property
    def n_inputs(self) -> int:
        """Inputs of the network: at least one, 0 if all columns are constant."""
        return max(1, sum(encoder.n_inputs for encoder in self.encoders))

    def transform(self, table: Table) -> np.ndarray:
        """The inputs.

        Parameters
        ----------
        table : Table
            With the columns of the fit.

        Returns
        -------
        ndarray of float32 of shape (n_rows, n_inputs)

        Raises
        ------
        ValueError
            If a column of numbers now holds strings that spell none.
        """
        out = np.zeros((table.n_rows, self.n_inputs), np.float32)
        begin = 0
        for encoder, (name, column) in zip(self.encoders, iterate(table), strict=True):
            end = begin + encoder.n_inputs
            try:
                encoder.write(out[:, begin:end], column)
            except ValueError as error:
                raise ValueError(
                    f"column {name!r} was of numbers in training: {error}"
                ) from error
            begin = end
        return out

    def to_facts(self) -> list[dict[str, Any]]:
        """What a model file holds of it."""
        kinds = {cls: kind for kind, cls in ENCODERS.items()}
        rows = [{"kind": kinds[type(e)], **asdict(e)} for e in self.encoders]
        for row in rows:
            if abs(row.get("origin", 0)) > LARGEST_STORED:
                row["origin"] = str(row["origin"])
        return rows

    @classmethod
    def from_facts(cls, facts: list[dict[str, Any]]) -> TablePreprocessor:
        """The one that :meth:`to_facts` has described.

        Raises
        ------
        ValueError, TypeError or LookupError
            If the facts are incomplete or of another type.
        """
        return cls([_encoder_of(dict(row)) for row in facts])


def _encoder_of(row: dict[str, Any]) -> Encoder:
    if type(row.get("origin")) is str and len(row["origin"]) < MOST_DIGITS:
        row["origin"] = int(row["origin"])
    encoder = ENCODERS[row.pop("kind")](**row)
    if isinstance(encoder, NumberEncoder):
        numbers = encoder.median, encoder.spread
        fits = (
            type(encoder.origin) is int
            and all(type(n) is float and np.isfinite(n) for n in numbers)
            and encoder.spread >= 0
            and type(encoder.marks_missing) is bool
        )
    else:
        fits = (
            type(encoder.levels) is list
            and all(type(level) is str for level in encoder.levels)
            and len(set(encoder.levels)) == len(encoder.levels)
            and type(encoder.has_others) is bool
        )
    if not fits:
        raise ValueError(f"a column's encoder is invalid: {row}")
    return encoder


def find_categorical(table: Table, categorical_features: Any) -> list[bool]:
    """Which columns are categories; see :meth:`TablePreprocessor.fit`."""
    is_text = [_is_text(column) for column in table.columns]
    if isinstance(categorical_features, str):
        if categorical_features != "from_dtype":
            raise ValueError(
                "categorical_features must be 'from_dtype', names, indices or a mask, "
                f"got {categorical_features!r}"
            )
        return [isinstance(column, Levels) for column in table.columns]
    if categorical_features is None:
        return is_text
    chosen = _chosen(table, np.asarray(categorical_features))
    return [text or j in chosen for j, text in enumerate(is_text)]


def _is_text(column: Column) -> bool:
    """Whether a column cannot be of numbers."""
    if isinstance(column, Numbers):
        return False
    try:
        column.as_numbers()
    except ValueError:
        return True
    return not column.declared


def _chosen(table: Table, asked_for: np.ndarray) -> set[int]:
    n_columns = len(table.columns)
    if asked_for.size == 0:
        return set()
    if asked_for.ndim != 1 or asked_for.dtype.kind not in "biuUO":
        raise ValueError(
            "categorical_features must be a list of names, of indices, or a mask, got "
            f"an array of {asked_for.dtype} of shape {asked_for.shape}"
        )
    if asked_for.dtype.kind == "b":
        if len(asked_for) != n_columns:
            raise ValueError(
                f"categorical_features is a mask of {len(asked_for)} columns, and X "
                f"has {n_columns}"
            )
        return set(np.flatnonzero(asked_for).tolist())
    if asked_for.dtype.kind in "iu":
        outside = [j for j in asked_for.tolist() if not 0 <= j < n_columns]
        if outside:
            raise ValueError(
                f"categorical_features has {outside}, and X has columns 0 to "
                f"{n_columns - 1}"
            )
        return set(asked_for.tolist())
    missing = [n for n in asked_for.tolist() if n not in table.names]
    if missing:
        raise ValueError(f"categorical_features has {missing}, not columns of X")
    return {j for j, n in enumerate(table.names) if n in set(asked_for.tolist())}
