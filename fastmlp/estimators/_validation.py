"""Data as an estimator takes them: checked by scikit-learn, where that is needed.

To validate plain arrays takes scikit-learn longer than the prediction of a row, and a
third of what is around the engine in a short fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import is_regressor
from sklearn.utils import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.validation import validate_data

from fastmlp import _kernels
from fastmlp.estimators._data import Data
from fastmlp.estimators._streams import is_streamed, validation_of
from fastmlp.rows import as_array, check_kind, check_structure
from fastmlp.settings import check_dtype
from fastmlp.sklearn_private import _check_sample_weight

# How scikit-learn looks at X. What is no number stays what it is, and is refused.
INPUT_SETTINGS = {"accept_sparse": ["csr", "csc"], "dtype": "numeric", "order": "C"}


@contextmanager
def scikit_learn_looks() -> Iterator[None]:
    """It sums arrays to see whether they are finite: a sum may be infinite, or NaN,
    where no entry is. And it lets Python refuse integers that no float can hold.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except OverflowError as error:
        raise ValueError(f"Input contains a value too large: {error}") from error


def input_types(estimator: Any) -> list[np.dtype]:
    """The types of X that need no cast, that which others are cast to first."""
    if estimator.dtype is not None:
        return [check_dtype(estimator.dtype)]
    return [np.dtype(np.float64), np.dtype(np.float32)]


def checked_data(estimator: Any, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
    """X and y as scikit-learn's validation leaves them; one column of y as 1-D.

    Parameters
    ----------
    estimator : BaseMLP
        Learns the features where ``reset``, else has learnt them.
    X, y : array-like
        Rows and targets.
    reset : bool
        Whether features are learnt from X.
    """
    X = estimator._as_rows(X, reset)
    if is_known_matrix(estimator, X, reset) and is_valid_target(y, len(X)):
        if reset:
            estimator.n_features_in_ = X.shape[1]
            estimator.__dict__.pop("feature_names_in_", None)
        return X, y
    check_structure(X, "X")
    check_structure(y, "y")
    with scikit_learn_looks():
        X, y = validate_data(
            estimator,
            X,
            y,
            multi_output=True,
            y_numeric=is_regressor(estimator),
            reset=reset,
            **INPUT_SETTINGS,
        )
    X = as_numbers_of(input_types(estimator), X, "X")
    if is_regressor(estimator) and issparse(y):
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, y


def validated_rows_to_judge_by(
    estimator: Any, data: Data, X_val: Any, y_val: Any, sample_weight_val: Any
) -> Data | None:
    """The rows that a user judges by, validated; None if there are none."""
    if X_val is None and y_val is None:
        if sample_weight_val is not None:
            raise ValueError("sample_weight_val needs X_val and y_val")
        return None
    if is_streamed(X_val):
        if y_val is not None or sample_weight_val is not None:
            raise ValueError(
                "X_val is Blocks: give y_val and sample_weight_val to them, "
                "Blocks(source, y=..., sample_weight=...)"
            )
    elif X_val is None or y_val is None:
        raise ValueError("X_val and y_val must be given together")
    return _validated(estimator, data, X_val, y_val, sample_weight_val)


def _validated(
    estimator: Any, data: Data, X_val: Any, y_val: Any, sample_weight_val: Any
) -> Data:
    if is_streamed(X_val):
        with naming("X_val"):
            X, y, sample_weight_val = validation_of(estimator, X_val)
    else:
        with naming(lambda: _name_of_fault(estimator, X_val, y_val)):
            X, y = checked_data(estimator, X_val, y_val, reset=False)
    if y.shape[1:] != data.y.shape[1:]:
        raise ValueError(
            f"y_val must have as many columns as y: their shapes are {y.shape} "
            f"and {data.y.shape}"
        )
    with naming("y_val"):
        estimator._check_validation_targets(y)
        Y = estimator._encode(y, X.dtype)
    return Data(X, y, Y, _checked_weights(sample_weight_val, X))


def _checked_weights(sample_weight_val: Any, X: Any) -> np.ndarray | None:
    with naming("sample_weight_val"):
        return checked_sample_weight(sample_weight_val, X, "sample_weight_val")


def checked_inputs(estimator: Any, X: Any) -> Any:
    """X of a fitted estimator as its network takes it; Blocks as they are."""
    if is_streamed(X):
        return X
    X = estimator._as_rows(X, reset=False)
    if is_known_matrix(estimator, X):
        return X
    check_structure(X, "X")
    with scikit_learn_looks():
        X = validate_data(estimator, X, reset=False, **INPUT_SETTINGS)
    return as_numbers_of(input_types(estimator), X, "X")


def _name_of_fault(estimator: Any, X_val: Any, y_val: Any) -> str:
    """Which of the two it is that could not be validated."""
    try:
        checked_inputs(estimator, X_val)
    except (TypeError, ValueError):
        return "X_val"
    try:
        check_consistent_length(X_val, y_val)
    except (TypeError, ValueError):
        return "X_val and y_val"
    return "y_val"


def is_known_matrix(estimator: Any, X: Any, reset: bool = False) -> bool:
    """Whether X is surely what validation would return, columns and all, unless they
    are to be learnt from it.
    """
    if not is_valid_matrix(X, input_types(estimator)):
        return False
    attributes = estimator.__dict__
    return reset or (
        X.shape[1] == attributes.get("n_features_in_")
        and "feature_names_in_" not in attributes
    )


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
        and bool(np.isfinite(y).all())
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


def _is_finite(X: np.ndarray) -> bool:
    """Whether all entries are surely finite; of large ones the squares are not."""
    return math.isfinite(_kernels.sum_squares(X.reshape(-1)))


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
    with scikit_learn_looks():
        weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    if (weights < 0).any():
        raise ValueError(f"Negative values in data passed to `{name}`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return as_array(weights, X.dtype)


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
    with scikit_learn_looks():
        truth = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(outputs, truth, sample_weight)
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth[:, 0]
    if sample_weight is None:
        return truth, None
    with scikit_learn_looks():
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
