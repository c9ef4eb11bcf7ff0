"""Validation scores on encoded targets, each equal to its namesake in sklearn.metrics.

They stand here because scikit-learn's own validation of their arguments takes longer
than an epoch of a small network.
"""

from __future__ import annotations

import numpy as np


def accuracy(
    outputs: np.ndarray,
    Y: np.ndarray,
    sample_weight: np.ndarray | None,
    exclusive: bool,
) -> float:
    """Share of rows whose every label is right; NaN if an output is not finite.

    Parameters
    ----------
    outputs : ndarray of shape (n_samples, n_outputs)
        Probabilities.
    Y : ndarray of shape (n_samples, 1) or (n_samples, n_outputs)
        Class indices where there is one column for several outputs, else 0 and 1.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.
    exclusive : bool
        Whether a row has one class, and not several labels.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    if exclusive and outputs.shape[1] > 1:
        truth = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
        right = outputs.argmax(axis=1) == truth
    else:
        right = ((outputs > 0.5) == Y).all(axis=1)
    if sample_weight is None:
        return float(np.count_nonzero(right) / len(right))
    return float(np.average(right, weights=sample_weight))


@np.errstate(over="ignore")  # squares of a diverging network's outputs
def r2(outputs: np.ndarray, Y: np.ndarray, sample_weight: np.ndarray | None) -> float:
    """1 − residual/total sum of squares, averaged over outputs; NaN if not finite.

    An output without variance scores 1 if it is met exactly, else 0.

    Parameters
    ----------
    outputs, Y : ndarray of shape (n_samples, n_outputs)
        Predictions and targets.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    outputs, Y = outputs.astype(np.float64), Y.astype(np.float64)
    weights = np.ones(len(Y)) if sample_weight is None else sample_weight
    residual = weights @ (Y - outputs) ** 2
    total = weights @ (Y - np.average(Y, axis=0, weights=sample_weight)) ** 2
    scores = np.where(residual == 0, 1.0, 0.0)
    varies = total > 0
    scores[varies] = 1 - residual[varies] / total[varies]
    return float(scores.mean())
