"""Scores on encoded targets, each equal to its namesake in sklearn.metrics.

They stand here because scikit-learn's own validation of their arguments takes longer
than an epoch of a small network, and because it has no D² of some losses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import huber, kl_div


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
    return _mean_share_explained(residual, total)


class D2:
    """1 − loss/loss of the best constant, averaged over outputs: R² of another loss.

    That is ``d2_absolute_error_score``, ``d2_pinball_score`` and ``d2_tweedie_score``
    of sklearn.metrics, of power 1 for 'poisson' and 2 for 'gamma'; of 'huber' and
    'log_cosh', the same with the constant that makes it least. An output whose best
    constant has no loss scores 1 if it is met exactly, else 0.

    Parameters
    ----------
    loss : str
        'absolute_error', 'huber', 'quantile', 'log_cosh', 'poisson', 'gamma' or
        'tweedie'.
    number : float or sequence of float
        κ of 'huber', level of 'quantile', power of 'tweedie': one, or one an output.
        Else not read.
    Y : ndarray of shape (n_samples, n_outputs)
        Targets.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    References
    ----------
    R. Koenker, J. A. F. Machado, "Goodness of fit and related inference processes for
    quantile regression", Journal of the American Statistical Association 94, 1999.
    """

    def __init__(
        self,
        loss: str,
        number: float | list[float],
        Y: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> None:
        self._error, find_constant = _LOSSES[loss]
        self._Y = Y.astype(np.float64)
        self._numbers = np.broadcast_to(np.asarray(number, float), Y.shape[1:])
        self._weights = np.ones(len(Y))
        if sample_weight is not None:
            self._weights = sample_weight.astype(np.float64)
        constants = [
            find_constant(y, self._weights, number)
            for y, number in zip(self._Y.T, self._numbers, strict=True)
        ]
        self._total = self._loss(np.array(constants))

    def __call__(self, outputs: np.ndarray) -> float:
        """Score of these predictions; NaN if one is not finite."""
        if not np.isfinite(outputs).all():
            return float("nan")
        return _mean_share_explained(
            self._loss(outputs.astype(np.float64)), self._total
        )

    @np.errstate(over="ignore")  # errors of a diverging network
    def _loss(self, outputs: np.ndarray) -> np.ndarray:
        """Weighted sum over rows, an entry an output."""
        return self._weights @ self._error(self._Y, outputs, self._numbers)


def _mean_share_explained(residual: np.ndarray, total: np.ndarray) -> float:
    scores = np.where(residual == 0, 1.0, 0.0)
    varies = total > 0
    scores[varies] = 1 - residual[varies] / total[varies]
    return float(scores.mean())


# -- the constant of the least loss


def _mean(y: np.ndarray, weights: np.ndarray, _: float) -> float:
    # Of equal targets it is their value, whatever rounding does to the sum.
    return float(np.clip(np.average(y, weights=weights), y.min(), y.max()))


def _quantile(y: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The least value at or below which that share of the weight lies."""
    order = np.argsort(y)
    shares = np.cumsum(weights[order])
    index = np.searchsorted(shares, level * shares[-1])
    return float(y[order[min(index, len(y) - 1)]])


def _median(y: np.ndarray, weights: np.ndarray, _: float) -> float:
    return _quantile(y, weights, 0.5)


def _huber_location(y: np.ndarray, weights: np.ndarray, kappa: float) -> float:
    return _location(y, weights, lambda r: np.clip(r, -kappa, kappa))


def _log_cosh_location(y: np.ndarray, weights: np.ndarray, _: float) -> float:
    return _location(y, weights, np.tanh)


def _location(
    y: np.ndarray, weights: np.ndarray, slopes: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Where the loss's slope, which never falls as the constant rises, is 0."""
    low, high = float(y.min()), float(y.max())
    eps = np.finfo(np.float64).eps

    def slope(constant: float) -> float:
        return float(weights @ slopes(constant - y))

    if low == high:
        return low
    return float(brentq(slope, low, high, xtol=eps * (high - low), rtol=4 * eps))


# -- errors


def _log_cosh(y: np.ndarray, p: np.ndarray, _: np.ndarray) -> np.ndarray:
    """The logarithm of cosh(p − y), near 0 by ½ ln(1 + sinh²)."""
    size = np.abs(p - y)
    near = np.log1p(np.sinh(np.minimum(size, 1)) ** 2) / 2
    return np.where(size < 1, near, size + np.log1p(np.exp(-2 * size)) - np.log(2))


def _gamma(y: np.ndarray, p: np.ndarray, _: np.ndarray) -> np.ndarray:
    """y/p − 1 − ln(y/p)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = (y - p) / p
        return np.where(p > 0, excess - np.log1p(excess), np.inf)


def _tweedie(y: np.ndarray, p: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Half the deviance, in t = ln(p/y): it is 0 to the bit where p is y."""
    one, two = 1 - power, 2 - power
    is_zero = y == 0
    positive = np.where(is_zero, 1, y)
    with np.errstate(divide="ignore"):
        t = np.log(p / positive)
    shares = np.expm1(two * t) / two - np.expm1(one * t) / one
    return np.where(is_zero, p**two / two, positive**two * shares)


# Errors of targets and outputs, with each output's number; the best constant.
_LOSSES: dict[str, tuple[Callable, Callable[[np.ndarray, np.ndarray, float], float]]]
_LOSSES = {
    "absolute_error": (lambda y, p, _: np.abs(y - p), _median),
    "huber": (lambda y, p, kappa: huber(kappa, y - p), _huber_location),
    "quantile": (
        lambda y, p, q: np.maximum(q * (y - p), (q - 1) * (y - p)),
        _quantile,
    ),
    "log_cosh": (_log_cosh, _log_cosh_location),
    "poisson": (lambda y, p, _: kl_div(y, p), _mean),
    "gamma": (_gamma, _mean),
    "tweedie": (_tweedie, _mean),
}
