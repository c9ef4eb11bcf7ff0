"""A validated data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmlp.rows import refusing_overflow


@dataclass
class Data:
    """X, a matrix or sparse rows; targets as they were given and encoded; weights.

    Parameters
    ----------
    X : ndarray, sparse matrix or Stream of shape (n_samples, n_features)
        Rows.
    y : ndarray
        Targets as they were given. To train on a stream, some that stand for all
        (:mod:`fastmlp.estimators._streams`).
    Y : ndarray of shape (n_samples, n_target_columns)
        Targets as the network takes them.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights by which the rows are judged.
    training_weight : ndarray of shape (n_samples,) or None
        Weights by which they are learnt from: the same, times those of the classes.
    """

    X: Any
    y: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None
    training_weight: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """Rows of X."""
        return self.X.shape[0]

    def astype(self, dtype: np.dtype) -> Data:
        """The same data for a network of that type; not copied if they have it.

        Raises
        ------
        ValueError
            If one of the numbers is too large for the type.
        """
        if self.X.dtype == dtype:
            return self
        with refusing_overflow("X, y or sample_weight", dtype):
            return self._map(lambda array: array.astype(dtype, copy=False))

    def take(self, rows: np.ndarray) -> Data:
        """Those rows."""
        return replace(self._map(lambda array: array[rows]), y=self.y[rows])

    def _map(self, f: Callable[[Any], Any]) -> Data:
        arrays = {
            name: f(value)
            for name, value in vars(self).items()
            if name != "y" and value is not None
        }
        return replace(self, **arrays)


def of_type(
    dtype: np.dtype, data: Data, given: Data | None
) -> tuple[Data, Data | None]:
    """Rows to train on, and those to judge by if there are any, of a network's type."""
    return data.astype(dtype), given and given.astype(dtype)
