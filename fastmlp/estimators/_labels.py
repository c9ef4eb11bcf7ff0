"""Class labels to encoded targets and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target, unique_labels


def sort_classes(y: ArrayLike) -> np.ndarray:
    """What occurs in y, sorted; strings among objects as NumPy's strings."""
    classes = np.unique(y)
    return np.array(classes.tolist()) if classes.dtype == object else classes


def find_kind(y: ArrayLike) -> str:
    """scikit-learn's type of a target.

    That of whole numbers in a vector is known without its checks, which take as long as
    the rest of a short fit.
    """
    if _are_whole_numbers(y):
        return "binary" if len(np.unique(y)) <= 2 else "multiclass"
    return type_of_target(y, input_name="y")


def find_classes(y: np.ndarray) -> np.ndarray:
    """scikit-learn's classes of a target, those of whole numbers without its checks."""
    return np.unique(y) if _are_whole_numbers(y) else unique_labels(y)


def _are_whole_numbers(y: ArrayLike) -> bool:
    return isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biu"


class Labels:
    """The classes of a target, and how they are encoded for the network.

    Under softmax classes become one column of class indices. Else two classes become
    one column of 0 and 1, and several classes, or labels that can be had together, a
    column each.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_labels)
        Labels in which every class occurs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    kind : {'binary', 'multiclass', 'multilabel-indicator'}

    Raises
    ------
    ValueError
        If y is not a classification target.
    """

    def __init__(self, y: ArrayLike) -> None:
        self.kind = find_kind(y)
        if self.kind in ("binary", "multiclass"):
            self.classes_ = sort_classes(y)
        else:
            self._binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._binarizer.classes_

    @property
    def exclusive(self) -> bool:
        """Whether a row has one class, and not several labels."""
        return self.kind != "multilabel-indicator"

    def encode(
        self, y: np.ndarray, dtype: np.dtype, output_activation: str
    ) -> np.ndarray:
        """Encoded targets of shape (n_samples, n_target_columns)."""
        if not self.exclusive:
            return self._binarizer.transform(y).astype(dtype)
        indices = np.searchsorted(self.classes_, y)
        if output_activation == "softmax" or self.kind == "binary":
            return indices.astype(dtype).reshape(-1, 1)
        return np.eye(len(self.classes_), dtype=dtype)[indices]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The likeliest labels for outputs of shape (n_samples, n_outputs)."""
        if not self.exclusive:
            return self._binarizer.inverse_transform(outputs)
        if outputs.shape[1] > 1:
            return self.classes_[outputs.argmax(axis=1)]
        indices = (outputs[:, 0] > 0.5).astype(np.intp)
        return self.classes_.take(indices, mode="clip")
