"""Elementary functions on vectors. Poles and overflow give inf and nan, silently."""

from functools import partial

import numpy as np
from scipy import special


def exp(out, x):
    """Set out = eˣ."""
    _write(out, np.exp, x)


def log(out, x):
    """Set out = ln x."""
    _write(out, np.log, x)


def log1p(out, x):
    """Set out = ln(1 + x)."""
    _write(out, np.log1p, x)


def tanh(out, x):
    """Set out = tanh x."""
    _write(out, np.tanh, x)


def sigmoid(out, x):
    """Set out = 1/(1 + e⁻ˣ)."""
    _write(out, logistic, x)


def erf(out, x):
    """Set out = erf x."""
    _write(out, special.erf, x)


def softplus(out, x):
    """Set out = ln(1 + eˣ)."""
    _write(out, partial(np.logaddexp, 0), x)


def reciprocal(out, x):
    """Set out = 1/x."""
    _write(out, np.reciprocal, x)


def cos_of_turns(out, x):
    """Set out = cos 2πx."""
    _write(out, lambda x: np.cos(2 * np.pi * np.remainder(x, 1)), x)


def sin_of_turns(out, x):
    """Set out = sin 2πx."""
    _write(out, lambda x: np.sin(2 * np.pi * np.remainder(x, 1)), x)


@np.errstate(over="ignore")
def logistic(x):
    """1/(1 + e⁻ˣ), as a new array; 0 where e⁻ˣ overflows."""
    return 1 / (1 + np.exp(-x))


@np.errstate(all="ignore")
def _write(out, function, x):
    """Set out = function(x), in double, rounded once."""
    out[...] = function(x.astype(float))
