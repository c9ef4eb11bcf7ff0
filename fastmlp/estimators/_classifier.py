"""The classifier."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from inspect import signature
from typing import Any, ClassVar

import numpy as np
import sklearn.neural_network
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from fastmlp.estimators._attributes import network_of
from fastmlp.estimators._base import BaseMLP
from fastmlp.estimators._data import Data
from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._labels import (
    SOFT,
    Labels,
    as_probabilities,
    find_classes,
    fit_binarizer,
)
from fastmlp.estimators._parameters import FRACTION, class_weight_parameter, parameter
from fastmlp.estimators._publication import reading
from fastmlp.estimators._validation import scikit_learn_looks
from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.rows import as_csr, refusing_overflow
from fastmlp.scores import accuracy
from fastmlp.sklearn_private import (
    StrOptions,
    _check_partial_fit_first_call,
    _fit_context,
)

# Output activations of each loss, those whose outputs are read as probabilities.
OUTPUTS = {
    "log_loss": ("softmax", "logistic"),
    "squared_error": ("logistic", "identity"),
}


@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron classifier, trained natively.

    Minimises a mean loss plus a penalty on the weights. A drop-in for
    :class:`sklearn.neural_network.MLPClassifier`: with the same data, parameters and
    integer ``random_state`` it ends at the same model, to rounding.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    %(attributes)s

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(max_iter=400, random_state=0).fit(X[:1000] / 16, y[:1000])
    >>> model.score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """

    _sklearn_class: ClassVar[Any] = sklearn.neural_network.MLPClassifier

    _: KW_ONLY
    loss: str = parameter(
        "log_loss",
        [StrOptions(set(OUTPUTS))],
        "{'log_loss', 'squared_error'}",
        """
        What is minimised. 'log_loss' has outputs 'softmax' or, for two classes and
        for multilabel targets, 'logistic'. 'squared_error' is half the
        squared distance from the 0 and 1 of the classes (the delta rule), of outputs
        'logistic' or 'identity'.
        """,
    )
    class_weight: dict | list | str | None = class_weight_parameter()

    label_smoothing: float = parameter(
        0.0,
        [FRACTION],
        "float",
        """
        Share ε of each target that is given to all K classes alike, in [0, 1): losses,
        those of validation rows too, are of (1 - ε) times the target plus ε/K. K is 2
        for multilabel targets.
        """,
    )

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> MLPClassifier:
        """Fit the network to X and y.

        Parameters
        ----------
        %(fit_parameters)s

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        ValueError
            If the data are not fit for training, or training diverges. The
            estimator is then as it was before.
        """
        judges = X_val, y_val, sample_weight_val
        self._train(X, y, sample_weight, validation=judges, resume_from=resume_from)
        return self

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Go on training for one epoch over X and y. First-order solvers only.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array-like of shape (n_classes,), default=None
            Every class that will ever occur. Needed in the first call.

        Returns
        -------
        self : MLPClassifier
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which sees "
                "a part of the data only. Compute the weights with "
                "sklearn.utils.class_weight.compute_class_weight('balanced', ...) and "
                "pass them as a dict"
            )
        self._train(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        now = reading(self)
        outputs = now._outputs(X)
        return now._labels.decode(outputs)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of each class, in the order of ``classes_``.

        Outputs that need not add up to 1 are divided by their sum, and those of
        'identity' first cut off at 0 and 1.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        now = reading(self)
        inputs, network = now._checked_inputs(X), network_of(now)
        return now._probabilities(network, now._predict_by(network, inputs))

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy: the share of the rows of which :meth:`predict` has every label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.
        y : array-like or sparse matrix of shape (n_samples,) or (n_samples, n_labels)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
        """
        # scikit-learn's metrics know one kind of sparse labels.
        with scikit_learn_looks():
            return super().score(X, as_csr(y, "y"), sample_weight)

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def input_gradients(self, X: ArrayLike) -> np.ndarray:
        """Derivatives of :meth:`predict_proba` with respect to the features, exact.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes, n_features)
        """
        now = reading(self)
        inputs, network = now._checked_inputs(X), network_of(now)
        gradients = network.input_gradients(inputs)
        if network.output_activation == "softmax":
            return gradients
        outputs = network.predict(inputs)
        if now._cuts_off(network):
            gradients[(outputs < 0) | (outputs > 1)] = 0
        if outputs.shape[1] == 1:
            return np.concatenate([-gradients, gradients], axis=1)
        if not now._normalises(network):
            return gradients
        probabilities = now._probabilities(network, outputs)[:, :, np.newaxis]
        totals = outputs.clip(0, 1).sum(axis=1)[:, np.newaxis, np.newaxis]
        shared = probabilities * gradients.sum(axis=1, keepdims=True)
        return np.divide(
            gradients - shared, totals, out=np.zeros_like(gradients), where=totals > 0
        )

    def _probabilities(self, network: Network, outputs: np.ndarray) -> np.ndarray:
        if self._cuts_off(network):
            outputs = outputs.clip(0, 1)
        if outputs.shape[1] == 1:
            return np.hstack([1 - outputs, outputs])
        if not self._normalises(network):
            return outputs
        totals = outputs.sum(axis=1, keepdims=True)
        even = np.full_like(outputs, 1 / outputs.shape[1])
        return np.divide(outputs, totals, out=even, where=totals > 0)

    def _cuts_off(self, network: Network) -> bool:
        """Whether outputs beyond 0 and 1 are read as 0 and 1."""
        return network.output_activation == "identity" and self._is_own_head(network)

    def _normalises(self, network: Network) -> bool:
        """Whether several outputs are divided by their sum."""
        return (
            network.layer_sizes[-1] > 1
            and network.output_activation != "softmax"
            and self._is_own_head(network)
            and self._labels.exclusive
        )

    def _is_own_head(self, network: Network) -> bool:
        """Whether outputs are such as are trained, and not of an ``out_activation_``
        that a user has set: those are handed out as they are, as in scikit-learn.
        """
        state = self.__dict__.get("_state")
        if state is not None:
            return network.output_activation == state.network.output_activation
        if not hasattr(self, "_label_binarizer"):
            return False
        return network.output_activation == self._head().output_activation

    @property
    def _labels(self) -> Labels:
        return Labels(self._label_binarizer)

    def _check_sklearn_predicts(self, network: Network) -> None:
        name = network.output_activation
        if name not in ("softmax", "logistic") or self._normalises(network):
            raise ValueError(
                "to_sklearn: scikit-learn's MLPClassifier has the output activation "
                "'softmax' for several classes, and 'logistic' for two classes or "
                f"multilabel targets; this network has {name!r} for "
                f"{self._labels.kind} targets"
            )

    def _learn_classes(self, y: Any, classes: ArrayLike | None) -> None:
        if _check_partial_fit_first_call(self, classes):
            kind = type_of_target(y)
            self._label_binarizer = fit_binarizer(
                y if kind.startswith("multilabel") else np.asarray(classes)
            )
            if kind == SOFT:
                self._label_binarizer.y_type_ = SOFT

    def _check_targets(self, y: np.ndarray, incremental: bool) -> None:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = fit_binarizer(y)
            self.classes_ = self._label_binarizer.classes_
            return
        as_before = self._labels.is_soft or set(find_classes(y)) == set(self.classes_)
        if self.warm_start and not as_before:
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in "
                f"the previous call to fit. Previously got {self.classes_}, `y` "
                f"has {find_classes(y)}"
            )
        self._check_validation_targets(y)

    def _check_validation_targets(self, y: np.ndarray) -> None:
        if self._labels.is_soft and y.ndim == 2:
            as_probabilities(y, len(self.classes_))
            return
        if (y.ndim == 1) != self._labels.exclusive:
            raise ValueError(
                f"y is a {type_of_target(y)} target, but the network was fitted to "
                f"{self._labels.kind} targets"
            )
        classes = find_classes(y)
        if not set(classes) <= set(self.classes_):
            raise ValueError(
                "`y` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. 'y' has {classes}."
            )

    def _encode(self, y: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return self._labels.encode(y, dtype, self._head().output_activation)

    def _trained_on(self, Y: np.ndarray) -> np.ndarray:
        head = self._head()
        if self.label_smoothing == 0 and head.loss != "cross_entropy":
            return Y
        softmax = head.output_activation == "softmax"
        return self._labels.smooth(Y, self.label_smoothing, softmax)

    def _truth(self, data: Data) -> np.ndarray:
        if data.y.ndim == 1 or not self._labels.exclusive:
            return data.y
        return self.classes_[self._labels.likeliest(data.Y)[:, 0].astype(np.intp)]

    def _count_outputs(self, Y: np.ndarray) -> int:
        if self._head().output_activation == "softmax":
            return len(self._labels.classes_)
        return Y.shape[1]

    def _head(self) -> Head:
        possible = OUTPUTS[self.loss]
        if self._labels.kind != "multiclass" and self.loss == "log_loss":
            possible = ("logistic", "softmax")
        activation = self.output_activation or possible[0]
        if activation not in possible:
            raise ValueError(
                f"output_activation of loss={self.loss!r} must be one of "
                f"{sorted(possible)}, got {activation!r}"
            )
        if activation == "softmax" and not self._labels.exclusive:
            raise ValueError(
                "output_activation='softmax' needs one class per row, and y is "
                "multilabel; leave output_activation=None for 'logistic'"
            )
        if activation == "softmax" and (self.label_smoothing or self._labels.is_soft):
            return Head("cross_entropy", activation)
        return Head(self.loss, activation)

    def _stratify_by(self, data: Data) -> np.ndarray | None:
        # scikit-learn stratifies the single column of two classes, and no other.
        if self._labels.kind != "binary" or self._labels.is_soft:
            return None
        return np.where(data.Y[:, 0] == 1, "True", "False")

    def _missing_classes(self, Y: np.ndarray) -> np.ndarray:
        """Classes that no row has; labels in which all rows agree."""
        Y = self._labels.likeliest(Y)
        if not self._labels.exclusive:
            return np.flatnonzero((Y[0] == Y).all(axis=0))
        if Y.shape[1] > 1:
            return np.flatnonzero(~Y.any(axis=0))
        return np.setdiff1d(np.arange(len(self.classes_)), Y)

    def _describe_missing(self, Y: np.ndarray) -> str:
        missing = self.classes_[self._missing_classes(Y)].tolist()
        names = ", ".join(repr(name) for name in missing)
        if not missing:
            return ""
        if self._labels.exclusive:
            return f"no row of them has class {names}"
        return f"all of them have the same value of label {names}"

    def _rows_of_missing_classes(
        self, Y: np.ndarray, rows: np.ndarray, others: np.ndarray
    ) -> list[int]:
        # One row of each class that is missing, where training keeps another.
        moved: list[int] = []
        Y = self._labels.likeliest(Y)
        for index in self._missing_classes(Y[others]):
            has_class = Y[:, 0] == index if Y.shape[1] == 1 else Y[:, index] == 1
            kept = rows[~np.isin(rows, moved)]
            candidates = kept[has_class[kept] != has_class[others[0]]]
            if len(candidates) > 1:
                moved.append(int(candidates[0]))
        return moved

    def _tell_classes(self, scorer: Any) -> Any:
        """Metrics that read a column a class are given the classes as their labels."""
        metric = getattr(scorer, "_score_func", None)
        if metric is None or not self._labels.exclusive:
            return scorer
        reads_labels = getattr(scorer, "_response_method", "predict") == "predict"
        if reads_labels or "labels" not in signature(metric).parameters:
            return scorer
        told = copy.copy(scorer)
        told._kwargs = {"labels": self.classes_, **told._kwargs}
        return told

    def _own_score(self, data: Data) -> Callable[[np.ndarray], float]:
        exclusive, Y = self._labels.exclusive, self._labels.likeliest(data.Y)
        return lambda outputs: accuracy(outputs, Y, data.sample_weight, exclusive)

    def _weigh(self, data: Data) -> np.ndarray | None:
        if self.class_weight is None:
            return data.sample_weight
        if self._labels.is_soft:
            raise ValueError(
                "class_weight is for class labels, and y has rows of probabilities: "
                "give sample_weight"
            )
        weights = self._labels.weigh(self.class_weight, data.y)
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(
                f"class_weight must be finite and non-negative, got {self.class_weight}"
            )
        if data.sample_weight is not None:
            weights = weights * data.sample_weight
        if not weights.any():
            raise ValueError(
                "class_weight, times sample_weight where that is given, must leave at "
                f"least one row a weight > 0, got {self.class_weight}"
            )
        with refusing_overflow("class_weight", data.Y.dtype):
            return weights.astype(data.Y.dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


fill_docstring(MLPClassifier, score="accuracy")
fill_docstring(
    MLPClassifier.fit,
    shape="(n_samples,), (n_samples, n_labels) or (n_samples, n_classes)",
    targets="Class labels; an indicator matrix, of 0 and 1 alone, of labels that can "
    "be had\n    together; or soft targets, a matrix of probabilities with a column "
    "for each class\n    and rows of sum 1, as ``predict_proba`` gives them: "
    "``classes_`` are the columns'\n    numbers then.",
)
