"""Class labels to encoded targets and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import LabelBinarizer


class Labels:
    """The classes of a target, and how they are encoded for the network.

    Several classes become one column of class indices, two classes one column of
    0 and 1, labels that can be had together a column each.

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
        self._binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._binarizer.classes_
        self.kind = self._binarizer.y_type_

    @property
    def n_outputs(self) -> int:
        """Units of the last layer."""
        return 1 if self.kind == "binary" else len(self.classes_)

    def encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Encoded targets of shape (n_samples, n_target_columns)."""
        if self.kind == "multilabel-indicator":
            return self._binarizer.transform(y).astype(dtype)
        indices = np.searchsorted(self.classes_, y)
        return indices.astype(dtype).reshape(-1, 1)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The likeliest labels for probabilities of shape (n_samples, n_outputs)."""
        if self.kind == "multilabel-indicator":
            return self._binarizer.inverse_transform(outputs)
        if self.kind == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        indices = (outputs[:, 0] > 0.5).astype(np.intp)
        return self.classes_.take(indices, mode="clip")
