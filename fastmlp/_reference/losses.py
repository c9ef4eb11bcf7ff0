"""Heads: a loss ℓ on an output activation σ, as functions of z, y and numbers.

Each returns (shares, slopes): ℓᵢ = Σₖ shares[i, k], of the shape of y, and
slopes[i, k] = ∂ℓᵢ/∂z[i, k]. Its curvature, a function of v and the same, returns
(∂²ℓᵢ/∂z²) vᵢ for each row.
"""

import numpy as np
from scipy.special import log_softmax, xlogy

from fastmlp._kernels import ACTIVATIONS, LOSSES
from fastmlp._reference.activations import (
    ACTIVATION_FUNCTIONS,
    CURVATURE_FUNCTIONS,
    SLOPE_FUNCTIONS,
    logistic_slope,
    multiply_softmax_jacobian,
    softmax,
)
from fastmlp._reference.math import logistic


def squared_error(activation):
    """The head ℓ = ½(a − y)², ∂ℓ/∂z = (a − y) σ'(z), with a = σ(z)."""
    sigma, slope = ACTIVATION_FUNCTIONS[activation], SLOPE_FUNCTIONS[activation]

    def head(z, y, numbers):
        a = sigma(z)
        return (a - y) ** 2 / 2, (a - y) * slope(a, z)

    return head


def squared_error_curvature(activation):
    """∂²ℓ/∂z² = σ'(z)² + (a − y) σ''(z), with a = σ(z)."""
    sigma, slope = ACTIVATION_FUNCTIONS[activation], SLOPE_FUNCTIONS[activation]
    curvature = CURVATURE_FUNCTIONS[activation]

    def multiply(v, z, y, numbers):
        a = sigma(z)
        return (slope(a, z) ** 2 + (a - y) * curvature(a, z)) * v

    return multiply


def softmax_log_loss(z, y, numbers):
    """ℓ = −ln p_c = ln Σⱼ e^zⱼ − z_c, ∂ℓ/∂z = p − [k = c]; y holds the class c."""
    is_target = y == np.arange(z.shape[1])
    z = z - z.max(axis=1, keepdims=True)
    log_sum_exp = np.log(np.exp(z).sum(axis=1, keepdims=True))
    losses = log_sum_exp - np.take_along_axis(z, y.astype(int), axis=1)
    return losses, softmax(z) - is_target


def softmax_log_loss_curvature(v, z, y, numbers):
    """∂²ℓ/∂z² is that of ln Σⱼ e^zⱼ, softmax's own Jacobian."""
    return multiply_softmax_jacobian(v, softmax(z))


def cross_entropy(z, y, numbers):
    """ℓ = −Σₖ yₖ ln pₖ, ∂ℓ/∂z = p Σₖ yₖ − y; a row of y has a probability a class."""
    return -y * log_softmax(z, axis=1), softmax(z) * y.sum(1, keepdims=True) - y


def cross_entropy_curvature(v, z, y, numbers):
    """∂²ℓ/∂z² = Σₖ yₖ times softmax's own Jacobian."""
    return y.sum(1, keepdims=True) * multiply_softmax_jacobian(v, softmax(z))


def logistic_log_loss(z, y, numbers):
    """ℓ = max(z, 0) − zy + ln(1 + e^−|z|), ∂ℓ/∂z = σ(z) − y."""
    shares = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
    return shares, logistic(z) - y


def absolute_error(z, y, numbers):
    """ℓ = |z − y|, ∂ℓ/∂z = sign(z − y)."""
    return np.abs(z - y), np.sign(z - y)


def huber(z, y, kappa):
    """Huber 1964, r = z − y: ℓ = ½r² within ±κ, κ(|r| − κ/2) beyond; ∂ℓ/∂z is r cut
    off at ±κ.
    """
    r = z - y
    shares = np.where(np.abs(r) <= kappa, r**2 / 2, kappa * (np.abs(r) - kappa / 2))
    return shares, np.clip(r, -kappa, kappa)


def quantile(z, y, q):
    """Koenker, Bassett 1978: ℓ = q(y − z) below y, (1 − q)(z − y) above."""
    r = y - z
    slopes = np.where(r > 0, -q, np.where(r < 0, 1 - q, r))  # 0 at y, and NaN is kept
    return np.maximum(q * r, (q - 1) * r), slopes


def poisson(z, y, numbers):
    """Half the deviance: ℓ = e^z − yz + y ln y − y, ∂ℓ/∂z = e^z − y."""
    a = np.exp(z)
    return a - y * z + xlogy(y, y) - y, a - y


def gamma(z, y, numbers):
    """Half the deviance of μ = e^z: ℓ = ln(μ/y) + y/μ − 1, ∂ℓ/∂z = 1 − y/μ."""
    ratio = y * np.exp(-z)
    return z - np.log(y) + ratio - 1, 1 - ratio


def tweedie(z, y, p):
    """Half the deviance of μ = e^z, 1 < p < 2 (Jørgensen 1987):
    ℓ = y²⁻ᵖ/((1 − p)(2 − p)) − y μ¹⁻ᵖ/(1 − p) + μ²⁻ᵖ/(2 − p), ∂ℓ/∂z = μ²⁻ᵖ − y μ¹⁻ᵖ.
    """
    upper, lower = np.exp((2 - p) * z), y * np.exp((1 - p) * z)
    constant = y ** (2 - p) / ((1 - p) * (2 - p))
    return constant - lower / (1 - p) + upper / (2 - p), upper - lower


def tweedie_curvature(v, z, y, p):
    """∂²ℓ/∂z² = (2 − p) μ²⁻ᵖ − (1 − p) y μ¹⁻ᵖ."""
    return v * ((2 - p) * np.exp((2 - p) * z) - (1 - p) * y * np.exp((1 - p) * z))


def log_cosh(z, y, numbers):
    """ℓ = ln cosh(z − y), ∂ℓ/∂z = tanh(z − y); near 0 by ½ ln(1 + sinh²)."""
    r = z - y
    near = np.log1p(np.sinh(np.clip(r, -1, 1)) ** 2) / 2
    far = np.logaddexp(r, -r) - np.log(2)
    return np.where(np.abs(r) < 1, near, far), np.tanh(r)


def zero(v, z, y, numbers):
    """∂²ℓ/∂z² of what is linear piece by piece."""
    return np.zeros_like(v)


_ACTIVATED = ("identity", "logistic", "tanh", "relu", "softplus", "exp")

HEAD_FUNCTIONS = {
    **{("squared_error", name): squared_error(name) for name in _ACTIVATED},
    ("log_loss", "softmax"): softmax_log_loss,
    ("log_loss", "logistic"): logistic_log_loss,
    ("absolute_error", "identity"): absolute_error,
    ("huber", "identity"): huber,
    ("quantile", "identity"): quantile,
    ("poisson", "exp"): poisson,
    ("gamma", "exp"): gamma,
    ("tweedie", "exp"): tweedie,
    ("log_cosh", "identity"): log_cosh,
    ("cross_entropy", "softmax"): cross_entropy,
}

HEAD_CURVATURE_FUNCTIONS = {
    **{("squared_error", name): squared_error_curvature(name) for name in _ACTIVATED},
    ("log_loss", "softmax"): softmax_log_loss_curvature,
    ("log_loss", "logistic"): lambda v, z, y, _: logistic_slope(logistic(z)) * v,
    ("absolute_error", "identity"): zero,
    ("huber", "identity"): lambda v, z, y, kappa: (np.abs(z - y) <= kappa) * v,
    ("quantile", "identity"): zero,
    ("poisson", "exp"): lambda v, z, y, _: np.exp(z) * v,
    ("gamma", "exp"): lambda v, z, y, _: y * np.exp(-z) * v,
    ("tweedie", "exp"): tweedie_curvature,
    ("log_cosh", "identity"): lambda v, z, y, _: v / np.cosh(z - y) ** 2,
    ("cross_entropy", "softmax"): cross_entropy_curvature,
}

_NAMES = {
    (LOSSES[loss], ACTIVATIONS[activation]): (loss, activation)
    for loss, activation in HEAD_FUNCTIONS
}


@np.errstate(all="ignore")
def evaluate_head(delta, losses, z, y, scales, numbers, loss, activation):
    """Set delta[i, k] = scales[i] ∂ℓᵢ/∂z[i, k], losses[i, k] = the share of y[i, k]."""
    head = HEAD_FUNCTIONS[_NAMES[loss, activation]]
    shares, slopes = head(z.astype(float), y.astype(float), numbers.astype(float))
    losses[...] = shares
    delta[...] = scales[:, np.newaxis] * slopes


@np.errstate(all="ignore")
def differentiate_head(rdelta, rz, z, y, scales, numbers, loss, activation):
    """Set rdelta[i] = scales[i] (∂²ℓᵢ/∂z²) rz[i], the derivative of delta along rz."""
    multiply = HEAD_CURVATURE_FUNCTIONS[_NAMES[loss, activation]]
    doubles = (array.astype(float) for array in (rz, z, y, numbers))
    rdelta[...] = scales[:, np.newaxis] * multiply(*doubles)
