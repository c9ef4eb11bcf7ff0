"""Class labels to encoded targets and back."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels

# scikit-learn's type of a matrix of numbers: here rows of probabilities of classes.
SOFT = "continuous-multioutput"
# Probabilities that are written with three digits may miss a sum of 1 by so much.
MOST_MISSING = 0.01


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


def weigh_classes(class_weight: Any, classes: np.ndarray) -> np.ndarray:
    """The weight of each class; 1 where none is given, if every key is a class.

    scikit-learn's ``compute_class_weight`` looks labels up by ``int(label)`` if they
    have one: "1" and "01" would be the class 1. Here a class is found by itself alone.

    Raises
    ------
    ValueError
        If a class has no weight while one is given for what is no class, or if a
        weight is no number.
    """
    if not isinstance(class_weight, dict):
        raise ValueError(
            "class_weight must be a dict, 'balanced' or None where a row has one "
            f"class, got {class_weight!r}"
        )
    for label, weight in class_weight.items():
        if not isinstance(weight, Real):
            raise ValueError(
                f"class_weight must hold numbers, got {weight!r} for class {label!r}"
            )
    missing = [label for label in classes.tolist() if label not in class_weight]
    if missing and len(classes) - len(missing) != len(class_weight):
        raise ValueError(
            f"The classes, {missing}, are not in class_weight, whose keys are "
            f"{list(class_weight)}"
        )
    return np.array([float(class_weight.get(c, 1)) for c in classes.tolist()])


def fit_binarizer(y: ArrayLike) -> LabelBinarizer:
    """scikit-learn's binarizer, fitted to labels in which every class occurs.

    Raises
    ------
    ValueError
        If y is not a classification target.
    """
    dtype = getattr(y, "dtype", None)
    if getattr(dtype, "kind", "O") == "V":
        raise ValueError(
            f"y must hold labels, such as strings or integers, got {dtype}"
        )
    kind = find_kind(y)
    if kind not in ("binary", "multiclass", SOFT):
        return LabelBinarizer().fit(y)
    binarizer = LabelBinarizer()
    binarizer.y_type_, binarizer.sparse_input_ = kind, False
    if kind == SOFT:
        binarizer.classes_ = np.arange(as_probabilities(y).shape[1])
    else:
        binarizer.classes_ = sort_classes(y)
    return binarizer


def as_probabilities(y: ArrayLike, n_classes: int | None = None) -> np.ndarray:
    """Rows of probabilities in double, each divided by its sum, which is about 1.

    Raises
    ------
    ValueError
        If they are no such rows, or not of so many classes.
    """
    rows = np.asarray(y, dtype=np.float64)
    if n_classes is not None and rows.shape[1] != n_classes:
        raise ValueError(
            f"y has {rows.shape[1]} columns of probabilities, and there are "
            f"{n_classes} classes"
        )
    totals = rows.sum(axis=1, keepdims=True)
    if (rows < 0).any() or (np.abs(totals - 1) > MOST_MISSING).any():
        raise ValueError(
            "Unknown label type: a matrix of numbers must have rows of probabilities, "
            "a column for each class: not negative, and of sum 1. (A matrix of 0 and 1 "
            "alone is a multilabel target.)"
        )
    return rows / totals


class Labels:
    """The classes of a target, and how they are encoded for the network.

    Under softmax classes become one column of class indices. Else two classes become
    one column of 0 and 1, and several classes, or the labels of a multilabel target, a
    column each. Rows of probabilities stay what they are, of two classes the second
    column. All that is known of them is read from scikit-learn's binarizer, which
    users exchange and change.

    Parameters
    ----------
    binarizer : LabelBinarizer
        Fitted (:func:`fit_binarizer`).
    """

    def __init__(self, binarizer: LabelBinarizer) -> None:
        self.binarizer = binarizer

    @property
    def kind(self) -> str:
        """'binary', 'multiclass' or 'multilabel-indicator'."""
        if self.is_soft:
            return "binary" if len(self.classes_) == 2 else "multiclass"
        return self.binarizer.y_type_

    @property
    def is_soft(self) -> bool:
        """Whether targets may be rows of probabilities."""
        return self.binarizer.y_type_ == SOFT

    @property
    def classes_(self) -> np.ndarray:
        """The classes, sorted."""
        return self.binarizer.classes_

    @property
    def exclusive(self) -> bool:
        """Whether a row has one class, and not several labels."""
        return self.kind != "multilabel-indicator"

    def encode(
        self, y: np.ndarray, dtype: np.dtype, output_activation: str | None
    ) -> np.ndarray:
        """Encoded targets of shape (n_samples, n_target_columns)."""
        softmax = output_activation == "softmax"
        if self.is_soft and y.ndim == 2:
            first = 1 if self.kind == "binary" and not softmax else 0
            rows = as_probabilities(y, len(self.classes_))
            return np.ascontiguousarray(rows[:, first:], dtype=dtype)
        if not (self.exclusive and self._is_usual and self._is_sorted):
            Y = self.binarizer.transform(y)
            Y = (Y.toarray() if issparse(Y) else Y) > 0
            if softmax and Y.shape[1] > 1:
                Y = Y.argmax(axis=1)[:, np.newaxis]
            return np.ascontiguousarray(Y, dtype=dtype)
        indices = np.searchsorted(self.classes_, y)
        if softmax or self.kind == "binary":
            return indices.astype(dtype).reshape(-1, 1)
        return np.eye(len(self.classes_), dtype=dtype)[indices]

    def likeliest(self, Y: np.ndarray) -> np.ndarray:
        """Encoded targets, of probabilities the indices of the likeliest classes."""
        if not self.is_soft:
            return Y
        if Y.shape[1] > 1:
            return Y.argmax(axis=1)[:, np.newaxis]
        return (Y > 0.5).astype(Y.dtype) if self.kind == "binary" else Y

    def smooth(self, Y: np.ndarray, share: float, softmax: bool) -> np.ndarray:
        """Encoded targets, that share of them given to all classes alike.

        (1 − ε) y + ε/K: K classes where they exclude each other, 2 for a label by
        itself (Szegedy and others 2016). Under softmax indices become rows.
        """
        several = softmax or self.kind == "multiclass"
        n_classes = len(self.classes_) if several else 2
        if softmax and Y.shape[1] == 1:
            Y = np.eye(n_classes, dtype=Y.dtype)[Y[:, 0].astype(np.intp)]
        kind = Y.dtype.type
        return Y * kind(1 - share) + kind(share / n_classes)

    def weigh(self, class_weight: Any, y: np.ndarray) -> np.ndarray:
        """What each row counts for by its class, or by its labels together."""
        if not self.exclusive:
            return compute_sample_weight(class_weight, y)
        if isinstance(class_weight, str):
            weights = compute_class_weight("balanced", classes=self.classes_, y=y)
        else:
            weights = weigh_classes(class_weight, self.classes_)
        return weights[np.searchsorted(self.classes_, y)]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The likeliest labels for outputs of shape (n_samples, n_outputs)."""
        several = outputs.shape[1] > 1
        has_one = self.exclusive if several else self.kind == "binary"
        if has_one and self._is_usual:
            indices = outputs.argmax(axis=1) if several else outputs[:, 0] > 0.5
            return self.classes_.take(indices.astype(np.intp), mode="clip")
        return self.binarizer.inverse_transform(outputs if several else outputs[:, 0])

    @property
    def _is_usual(self) -> bool:
        """Whether the binarizer is one with its default parameters.

        What it does then is done here: it takes longer than the prediction of a row.
        """
        binarizer = self.binarizer
        return (
            type(binarizer) is LabelBinarizer
            and not binarizer.sparse_input_
            and (binarizer.neg_label, binarizer.pos_label) == (0, 1)
        )

    @property
    def _is_sorted(self) -> bool:
        """Whether the classes are in the order in which a binarizer leaves them."""
        return bool((self.classes_[1:] > self.classes_[:-1]).all())
