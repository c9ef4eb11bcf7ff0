"""Heads: a loss ℓ on an output activation σ, as functions of z and y.

Each returns (shares, slopes), both (rows, n_out): ℓᵢ = Σₖ shares[i, k] and
slopes[i, k] = ∂ℓᵢ/∂z[i, k].
"""

import numpy as np
from scipy.special import xlogy

from fastmlp._kernels import ACTIVATIONS, LOSSES
from fastmlp._reference.activations import ACTIVATION_FUNCTIONS, SLOPE_FUNCTIONS


def squared_error(activation):
    """The head ℓ = ½(a − y)², ∂ℓ/∂z = (a − y) σ'(z), with a = σ(z)."""
    sigma, slope = ACTIVATION_FUNCTIONS[activation], SLOPE_FUNCTIONS[activation]

    def head(z, y):
        a = sigma(z)
        return (a - y) ** 2 / 2, (a - y) * slope(a)

    return head


def softmax_log_loss(z, y):
    """ℓ = −ln p_c = ln Σⱼ e^zⱼ − z_c, ∂ℓ/∂z = p − [k = c]; y holds the class c."""
    is_target = y == np.arange(z.shape[1])
    z = z - z.max(axis=1, keepdims=True)
    log_sum_exp = np.log(np.exp(z).sum(axis=1, keepdims=True))
    shares = np.where(is_target, log_sum_exp - z, 0)
    return shares, ACTIVATION_FUNCTIONS["softmax"](z) - is_target


def logistic_log_loss(z, y):
    """ℓ = max(z, 0) − zy + ln(1 + e^−|z|), ∂ℓ/∂z = σ(z) − y."""
    shares = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
    return shares, ACTIVATION_FUNCTIONS["logistic"](z) - y


def poisson(z, y):
    """Half the deviance: ℓ = e^z − yz + y ln y − y, ∂ℓ/∂z = e^z − y."""
    a = ACTIVATION_FUNCTIONS["exp"](z)
    return a - y * z + xlogy(y, y) - y, a - y


HEAD_FUNCTIONS = {
    ("squared_error", "identity"): squared_error("identity"),
    ("squared_error", "logistic"): squared_error("logistic"),
    ("squared_error", "tanh"): squared_error("tanh"),
    ("log_loss", "softmax"): softmax_log_loss,
    ("log_loss", "logistic"): logistic_log_loss,
    ("poisson", "exp"): poisson,
}

_BY_CODE = {
    (LOSSES[loss], ACTIVATIONS[activation]): head
    for (loss, activation), head in HEAD_FUNCTIONS.items()
}


def evaluate_head(delta, losses, z, y, scales, loss, activation):
    """Set delta[i, k] = scales[i] ∂ℓᵢ/∂z[i, k], losses[i, k] = its share of ℓᵢ."""
    shares, slopes = _BY_CODE[loss, activation](z.astype(float), y.astype(float))
    losses[...] = shares
    delta[...] = scales[:, np.newaxis] * slopes
