"""What members are judged by after every epoch: the loss, or any scorer."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring

Predict = Callable[[np.ndarray], np.ndarray]


class _Outputs(BaseEstimator):
    """An estimator whose predictions are there already: scorers ask it, not X."""

    def __init__(self, outputs: np.ndarray, read: Predict) -> None:
        self.outputs, self.read = outputs, read

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, whatever X is."""
        return self.read(self.outputs)


class _Numbers(RegressorMixin, _Outputs):
    """A regressor's."""


class _Classes(ClassifierMixin, _Outputs):
    """A classifier's."""

    def __init__(self, outputs: np.ndarray, read: Predict, classes: Any) -> None:
        super().__init__(outputs, read)
        self.classes_ = classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, whatever X is."""
        return self.outputs


def make_score(
    metric: str | Callable,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    read: Predict,
    classes: np.ndarray | None = None,
) -> Callable[[np.ndarray], float]:
    """The score of a network's outputs for some rows; larger is better.

    Parameters
    ----------
    metric : str, callable or None
        The name of a scikit-learn scorer, or ``scorer(estimator, X, y)``, whose X has a
        row for each, and nothing in it. 'roc_auc' of more than two classes is that of
        each against the rest.
    y : ndarray
        Targets of the rows, as the user has given them.
    sample_weight : ndarray of shape (n_rows,) or None
        What the rows count for, if the scorer takes weights.
    read : callable
        Makes predictions of outputs.
    classes : ndarray or None
        Of a classifier.
    """
    if metric == "roc_auc" and classes is not None and y.ndim == 1:
        metric = "roc_auc" if len(classes) == 2 else "roc_auc_ovr"
    nothing, settings = np.zeros((len(y), 1)), {}

    def wrap(outputs: np.ndarray) -> Any:
        if classes is None:
            return _Numbers(outputs, read)
        return _Classes(outputs, read, classes)

    scorer = check_scoring(wrap(nothing), scoring=metric)
    taken = signature(getattr(scorer, "_score_func", scorer)).parameters
    if sample_weight is not None and "sample_weight" in taken:
        settings = {"sample_weight": sample_weight}

    def score(outputs: np.ndarray) -> float:
        try:
            return float(scorer(wrap(outputs), nothing, y, **settings))
        except AttributeError as error:
            if not isinstance(metric, str):
                raise
            raise ValueError(
                f"metric={metric!r} is not for this task: {error}"
            ) from error

    return score
