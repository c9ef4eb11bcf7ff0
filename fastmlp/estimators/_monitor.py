"""Validation scores for scikit-learn's callbacks, which see the training rows only."""

from __future__ import annotations

from typing import Any

from fastmlp.estimators._base import BaseMLP
from fastmlp.recipe import FULL_BATCH_SOLVERS
from fastmlp.sklearn_private import ScoringMonitor

COLUMNS = ("validation_score", "validation_loss")


def read_validation_figures(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None
) -> dict[str, float]:
    """What the last epoch's held-out rows gave: a scorer that computes nothing.

    Raises
    ------
    ValueError
        If no rows are held out.
    """
    history = estimator.history_
    if COLUMNS[0] not in history:
        raise ValueError(
            "ValidationMonitor needs held-out rows, and there are none: set "
            "early_stopping=True, or give fit X_val and y_val"
        )
    return {name: history[name][-1] for name in COLUMNS}


class ValidationMonitor(ScoringMonitor):
    """scikit-learn's ScoringMonitor, of the rows that training is judged by.

    ScoringMonitor scores each epoch on the rows that are trained on. This callback logs
    ``validation_score`` and ``validation_loss`` of the rows held out, which the fit has
    computed anyway: by early stopping, or for ``X_val``. The row of the whole fit has
    the figures of its last epoch. It needs scikit-learn 1.9 or later.

    Set it by ``estimator.set_callbacks(monitor)``, read it by ``monitor.get_logs()``.
    """

    def __init__(self) -> None:
        super().__init__(scoring=read_validation_figures)

    def setup(self, estimator: Any, context: Any) -> None:
        """Before a fit.

        Raises
        ------
        ValueError
            If the estimator is another library's, or its solver has no epochs.
        """
        if not isinstance(estimator, BaseMLP) or estimator.solver in FULL_BATCH_SOLVERS:
            raise ValueError(
                "ValidationMonitor needs an MLPClassifier or MLPRegressor of fastmlp "
                f"with a first-order solver; got {estimator!r}"
            )
        super().setup(estimator, context)
