"""The classifier of tables."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fastmlp.estimators._docs import fill_docstring
from fastmlp.estimators._labels import (
    Labels,
    find_classes,
    fit_binarizer,
    weigh_classes,
)
from fastmlp.estimators._parameters import class_weight_parameter
from fastmlp.estimators._publication import reading
from fastmlp.head import Head
from fastmlp.sklearn_private import _fit_context
from fastmlp.tabular._base import BaseTabular, Given
from fastmlp.tabular.calibration import as_probabilities, fit_temperature
from fastmlp.tabular.columns import read_labels
from fastmlp.tabular.members import Job, Member, Score
from fastmlp.tabular.metrics import make_score
from fastmlp.tabular.preset import Defaults

# Probability that is spread evenly over all classes.
SMOOTHING = 0.1
# Of a class, when a member is judged: float32 knows no larger one below 1.
LEAST_PROBABILITY = 1e-7


@dataclass(eq=False, repr=False)
class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classifier of tables, with numbers, categories and missing values.

    Columns are scaled and categories encoded. Several networks, the members, are
    trained side by side. Each holds out other rows and keeps the epoch that is best on
    them. Their probabilities are averaged, and calibrated on the held-out rows.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    members_ : list of Network
        The networks.
    preprocessor_ : TablePreprocessor
        Turns a table into the networks' inputs.
    temperature_ : float
        What the networks' outputs are divided by.
    history_ : list of dict of str to list of float
        Figures of each member's epochs.
    n_iter_ : int
        Epochs of the member that had most.
    stop_reason_ : str
        Why training ended: 'max_iter', 'max_seconds', 'interrupted' or, where a member
        went back to its best epoch before that, 'diverged'.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names that are all strings.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import TabularClassifier
    >>> colours = np.array(["red", "green", None, "blue"], dtype=object)
    >>> X = np.column_stack([np.tile(colours, 25), np.arange(100.0)])
    >>> y = np.where(X[:, 0] == "red", "stop", "go")
    >>> model = TabularClassifier(max_iter=20, random_state=0).fit(X, y)
    >>> model.predict([["red", 3.0], ["green", None]])
    array(['stop', 'go'], dtype='<U4')
    """

    _: KW_ONLY
    class_weight: dict | list | str | None = class_weight_parameter()

    _decay_ends = 1.0

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> TabularClassifier:
        """Fit the networks to a table.

        Parameters
        ----------
        X : DataFrame of pandas or polars, Table of Arrow, or array-like
            Of shape (n_samples, n_features): numbers, strings, booleans, categories;
            None, NaN and NA are missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Classes, or a multilabel matrix of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; a row of weight 0 is ignored.
        X_val, y_val : default=None
            Validation rows of every member, in the form of X and y; then all rows of X
            are trained on.
        sample_weight_val : array-like, default=None
            Their weights.
        resume_from : str or path-like, default=None
            A file that a :class:`fastmlp.Checkpoint` of this fit has written. Training
            goes on from there, with the same data and parameters, to the bits of the
            fit that was not interrupted.

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        ValueError, TypeError
            If the data are not fit for training, or the checkpoint is of another fit.
            The estimator is then as it was.
        """
        judges = X_val, y_val, sample_weight_val
        self._train(X, y, sample_weight, judges, resume_from)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        now = reading(self)
        probabilities = now.predict_proba(X)
        return now._labels.decode(probabilities)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, in the order of ``classes_``, or of each label.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self.predict_members(X).mean(axis=0)

    def predict_members(self, X: Any) -> np.ndarray:
        """Each member's probabilities; how far they differ tells how sure they are.

        Parameters
        ----------
        X : as in :meth:`fit`
            Of shape (n_samples, n_features).

        Returns
        -------
        ndarray of shape (n_members, n_samples, n_classes)
        """
        now = reading(self)
        inputs = now._inputs(X)
        logits = np.stack([network.logits(inputs) for network in now.members_])
        return as_probabilities(logits, now.temperature_, now._labels.exclusive)

    @property
    def _labels(self) -> Labels:
        return Labels(self._label_binarizer)

    def _check_targets(self, y: Any) -> np.ndarray:
        y = read_labels(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = check_array(
            y, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0
        )
        check_classification_targets(y)
        return y

    def _learn_targets(self, y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        binarizer = fit_binarizer(y)
        if len(binarizer.classes_) < 2 and y.ndim == 1:
            raise ValueError(
                f"y has one class only, {binarizer.classes_.tolist()}: a classifier "
                "needs two"
            )
        self._label_binarizer, self.classes_ = binarizer, binarizer.classes_

    def _encode(self, y: np.ndarray) -> np.ndarray:
        if (y.ndim == 1) != self._labels.exclusive:
            raise ValueError("y_val must be classes if y is, or multilabel if y is")
        unknown = set(find_classes(y)) - set(self.classes_)
        if unknown:
            raise ValueError(f"y_val has classes that are not in y: {sorted(unknown)}")
        activation = self._head().output_activation
        return self._labels.encode(y, np.dtype(np.float32), activation)

    def _head(self) -> Head:
        if self._labels.exclusive:
            return Head("cross_entropy", "softmax")
        return Head("log_loss", "logistic")

    def _soften(self, Y: np.ndarray) -> np.ndarray:
        if not self._labels.exclusive:
            return Y
        return self._labels.smooth(Y, SMOOTHING, softmax=True)

    def _harden(self, Y: np.ndarray) -> np.ndarray:
        """What :meth:`_soften` has been given."""
        return Y.argmax(axis=1)[:, np.newaxis] if self._labels.exclusive else Y

    def _defaults(self) -> Defaults:
        return Defaults("selu", 0.04, 0.15)

    def _count_outputs(self) -> int:
        return len(self.classes_)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return np.searchsorted(self.classes_, y) if y.ndim == 1 else None

    def _class_weights(self, y: np.ndarray) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if self._labels.exclusive and not isinstance(self.class_weight, str):
            weights = weigh_classes(self.class_weight, self.classes_)
            if not np.isfinite(weights).all() or (weights <= 0).any():
                raise ValueError("class_weight must be positive and finite")
        return self._labels.weigh(self.class_weight, y)

    def _score_of(self, given: Given) -> Score | None:
        labels = self._labels
        if self.metric is None or self.metric == "log_loss":
            return self._calibrated_score_of(given)
        return make_score(
            *(self.metric, given.y, given.sample_weight, labels.decode, labels.classes_)
        )

    def _calibrated_score_of(self, given: Given) -> Score:
        """The log loss that is left at the best temperature, negative."""
        exclusive, Y = self._labels.exclusive, self._encode(given.y)
        weights = self._training_weights(given)

        def score(outputs: np.ndarray) -> float:
            p = outputs.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            logits = np.log(p) if exclusive else logit(p)
            return -fit_temperature(logits, Y, weights, exclusive)[1]

        return score

    def _calibrate(self, members: list[Member], jobs: list[Job]) -> None:
        weights = [w for job in jobs if (w := job.held_out.sample_weight) is not None]
        self.temperature_, _ = fit_temperature(
            np.concatenate([member.outputs for member in members]),
            np.concatenate([self._harden(job.held_out.Y) for job in jobs]),
            np.concatenate(weights) if weights else None,
            self._labels.exclusive,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


fill_docstring(TabularClassifier)
