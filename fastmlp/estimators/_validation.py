"""What scikit-learn's validation need not look at, weights of rows, names in errors.

To validate plain arrays takes scikit-learn longer than the prediction of a row, and a
third of what is around the engine in a short fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.validation import _check_sample_weight

from fastmlp.inputs import check_kind


def is_valid_matrix(X: Any, dtypes: Sequence[np.dtype]) -> bool:
    """Whether X is surely what ``sklearn.utils.check_array`` would return."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.size > 0
        and X.dtype in dtypes
        and X.flags.c_contiguous
        and _is_finite(X)
    )


def is_valid_target(y: Any, n_rows: int) -> bool:
    """Whether y is surely a target of so many rows, a number each, as it stands."""
    return (
        type(y) is np.ndarray
        and y.shape == (n_rows,)
        and y.dtype.kind in "biuf"
        and _is_finite(y)
    )


def as_numbers_of(dtypes: Sequence[np.dtype], array: Any, name: str) -> Any:
    """A validated array or sparse matrix in one of the types, the first unless it is.

    Objects are asked for their numbers, as scikit-learn does; strings, dates and
    differences of dates are not numbers, though NumPy would cast them.

    Raises
    ------
    ValueError
        If the array is not of numbers, or one is too large for the type.
    """
    if array.dtype in dtypes:
        return array
    if array.dtype.kind not in "bO":
        check_kind(array, name)
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(dtypes[0])
        assert_all_finite(array, input_name=name)
    return array


def _is_finite(array: np.ndarray) -> bool:
    """Whether all entries are surely finite; a sum may overflow where they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()))


def checked_sample_weight(
    sample_weight: ArrayLike | None, X: Any, name: str = "sample_weight"
) -> np.ndarray | None:
    """Weights of X's rows, of its dtype.

    Raises
    ------
    ValueError
        If a weight is negative, infinite, NaN or no number, or all are zero.
    """
    if sample_weight is None:
        return None
    given = np.asarray(sample_weight)
    if given.dtype.kind not in "bO":
        check_kind(given, name)
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    if (weights < 0).any():
        raise ValueError(f"Negative values in data passed to `{name}`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def checked_truth(
    y: ArrayLike, outputs: np.ndarray, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Targets and weights to score these outputs by: float64, one target as 1-D.

    Raises
    ------
    ValueError
        If they are not numbers, a finite one for each row.
    """
    truth: np.ndarray
    truth = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(outputs, truth, sample_weight)
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth[:, 0]
    if sample_weight is None:
        return truth, None
    return truth, _check_sample_weight(sample_weight, truth, dtype=np.float64)


@contextmanager
def naming(name: str | Callable[[], str]) -> Iterator[None]:
    """Have errors about an argument begin with its name, where they do not tell it.

    A callable is asked for the name once there is an error.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        name = name if isinstance(name, str) else name()
        if name in str(error):
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: {error}") from error
