"""What rows held out say about predictions: a temperature, and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax

# The range in which a temperature is looked for.
TEMPERATURES = 0.2, 8.0
# How near its logarithm is found: far nearer than rows can tell.
TOLERANCE = 0.01
# Share of each target that is spread evenly. Where all held-out rows are right, the
# loss would else fall with the temperature as far as that goes, and a new row that is
# wrong would be wrong with certainty.
DOUBT = 1e-3
# Sums of a prediction and a residual that are sorted at a time.
SUMS = 1 << 22


def as_probabilities(
    logits: np.ndarray, temperature: float, exclusive: bool
) -> np.ndarray:
    """Probabilities of classes, or of each label of a multilabel target.

    Parameters
    ----------
    logits : ndarray of shape (..., n_classes)
        A network's outputs before their activation.
    temperature : float
        What they are divided by.
    exclusive : bool
        Whether a row has one class.
    """
    scaled = logits.astype(np.float64) / temperature
    return softmax(scaled, axis=-1) if exclusive else expit(scaled)


def fit_temperature(
    logits: np.ndarray,
    Y: np.ndarray,
    sample_weight: np.ndarray | None,
    exclusive: bool,
) -> tuple[float, float]:
    """The temperature by which rows that were not trained on have the least log loss.

    Of each target ``DOUBT`` is spread over all classes, or over a label's two values.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
        Of these rows.
    Y : ndarray of shape (n_rows, 1) or (n_rows, n_labels)
        Class indices, or 0 and 1 of each label.
    sample_weight : ndarray of shape (n_rows,) or None
        What the rows count for.
    exclusive : bool
        Whether a row has one class.

    Returns
    -------
    temperature, loss : float
        The former in the range ``TEMPERATURES``, the latter a mean over the rows.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural
    networks", ICML 2017, section 4.2.
    """
    z = logits.astype(np.float64)
    weights = np.ones(len(z)) if sample_weight is None else sample_weight
    weights = weights / np.sum(weights, dtype=np.float64)
    if exclusive:
        z = z - z.max(axis=1, keepdims=True)
        right = z[np.arange(len(z)), Y[:, 0].astype(np.intp)]
        chosen = weights @ ((1 - DOUBT) * right + DOUBT * z.mean(axis=1))
    else:
        chosen = weights @ (((1 - DOUBT) * Y + DOUBT / 2) * z).sum(axis=1)

    def mean_loss(log_temperature: float) -> float:
        slope = math.exp(-log_temperature)
        if exclusive:
            losses = np.log(np.exp(slope * z).sum(axis=1))
        else:
            losses = np.logaddexp(0, slope * z).sum(axis=1)
        return float(weights @ losses - slope * chosen)

    bounds = [math.log(t) for t in TEMPERATURES]
    found = minimize_scalar(
        mean_loss, bounds=bounds, method="bounded", options={"xatol": TOLERANCE}
    )
    return math.exp(found.x), float(found.fun)


def jackknife_interval(
    predictions: np.ndarray, residuals: Sequence[np.ndarray], coverage: float
) -> np.ndarray:
    """Intervals by CV+: each member's prediction, and its residuals on its own rows.

    With n residuals R_i, each of the member k(i) that had held the row out, the ends
    are order statistics of f_k(i)(x) − R_i and of f_k(i)(x) + R_i.

    Parameters
    ----------
    predictions : ndarray of shape (n_members, n_rows)
        Of the rows that intervals are for.
    residuals : sequence of ndarray of shape (n_held_out,)
        Absolute residuals, one array a member.
    coverage : float
        Share of new targets that intervals are to hold, in (0, 1).

    Returns
    -------
    ndarray of shape (n_rows, 2)
        Lower and upper ends.

    Raises
    ------
    ValueError
        If there are too few residuals for that coverage.

    References
    ----------
    R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, "Predictive inference with
    the jackknife+", Annals of Statistics 49, 2021, section 3.
    """
    n_residuals = sum(map(len, residuals))
    rank = math.ceil(coverage * (n_residuals + 1))
    if rank > n_residuals:
        raise ValueError(
            f"coverage={coverage} needs at least "
            f"{math.ceil(coverage / (1 - coverage))} held-out rows, and there are "
            f"{n_residuals}"
        )
    ends = np.empty((predictions.shape[1], 2))
    for rows in _chunks(predictions.shape[1], n_residuals):
        some = predictions[:, rows, np.newaxis]
        upper = np.hstack([f + r for f, r in zip(some, residuals, strict=True)])
        lower = np.hstack([r - f for f, r in zip(some, residuals, strict=True)])
        ends[rows, 1] = np.partition(upper, rank - 1, axis=1)[:, rank - 1]
        ends[rows, 0] = -np.partition(lower, rank - 1, axis=1)[:, rank - 1]
    return ends


def narrowing(mean_square: np.ndarray, members_variance: np.ndarray) -> np.ndarray:
    """What distances from the members' mean are multiplied by, in intervals and std.

    Held-out residuals, of mean square V, hold the members' variance s² already, and
    CV+ adds it once more. The mean square of the members' mean is V − s², but the
    held-out rows have also chosen the epochs, which makes V too small. So V is taken in
    place of V + s²: the factor is √(V / (V + s²)). See decision 24.

    Parameters
    ----------
    mean_square : ndarray of shape (n_outputs,)
        Of the held-out residuals, V.
    members_variance : ndarray of shape (n_outputs,)
        Variance of the members' predictions, a mean over rows, s², in the same unit.

    Returns
    -------
    ndarray of shape (n_outputs,)
        In (0, 1]; 1 where members agree.

    References
    ----------
    A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and active
    learning", NIPS 1994, equation 6.
    """
    both = mean_square + members_variance
    return np.sqrt(np.divide(mean_square, both, out=np.ones_like(both), where=both > 0))


def _chunks(n_rows: int, n_residuals: int) -> Iterator[slice]:
    size = max(1, SUMS // n_residuals)
    return (slice(begin, begin + size) for begin in range(0, n_rows, size))
