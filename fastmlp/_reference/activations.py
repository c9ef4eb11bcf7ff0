"""Activations σ(z), and their slopes σ'(z) as functions of the output a = σ(z)."""

import numpy as np

from fastmlp._kernels import ACTIVATIONS
from fastmlp._reference.math import logistic


def softmax(z):
    """σ(z)ₖ = e^zₖ / Σⱼ e^zⱼ in each row, the row's maximum subtracted first."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


ACTIVATION_FUNCTIONS = {
    "identity": lambda z: z,
    "logistic": logistic,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "exp": np.exp,
    "softmax": softmax,
}

SLOPE_FUNCTIONS = {
    "identity": np.ones_like,
    "logistic": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a**2,
    "relu": lambda a: a != 0,
    "exp": lambda a: a,
}

_NAMES = {code: name for name, code in ACTIVATIONS.items()}


def compute_activation(z, activation):
    """σ(z) in double, as a new array."""
    return ACTIVATION_FUNCTIONS[_NAMES[activation]](z.astype(float))


def compute_slope(a, activation):
    """σ'(z) in double, as a new array, taken from a = σ(z)."""
    name = _NAMES[activation]
    if name not in SLOPE_FUNCTIONS:
        raise ValueError(f"{name} has no elementwise slope")
    return SLOPE_FUNCTIONS[name](a.astype(float))


def activate(a, activation):
    """Put σ(a) in place of a (rows, n)."""
    a[...] = compute_activation(a, activation)


def add_bias_and_activate(a, b, activation):
    """Put σ(a + b) in place of a (rows, n)."""
    a[...] = compute_activation(a.astype(float) + b, activation)


def multiply_slope(delta, a, activation):
    """Put delta ⊙ σ'(z) in place of delta, with a = σ(z)."""
    delta[...] = delta * compute_slope(a, activation)
