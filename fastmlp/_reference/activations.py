"""Activations: value σ(z), slope σ'(z) and curvature σ''(z).

Slopes and curvatures are functions of a = σ(z) and of z. Only those of SLOPES_OF_Z
read z: the layers of the others do not keep it, and hand in something else there. The
functions of an activation with a number of its own (ACTIVATION_PARAMS) take it last.
"""

import numpy as np
from scipy.special import ndtr

from fastmlp._kernels import ACTIVATION_PARAMS, ACTIVATIONS
from fastmlp._reference.math import logistic

# G. Klambauer and others, "Self-normalizing neural networks", 2017.
SELU_LAMBDA = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def softmax(z):
    """σ(z)ₖ = e^zₖ / Σⱼ e^zⱼ in each row, the row's maximum subtracted first."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def elu(z):
    """σ(z) = z above 0, e^z − 1 below."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def selu(z):
    """σ(z) = λz above 0, λα(e^z − 1) below."""
    return SELU_LAMBDA * np.where(z > 0, z, SELU_ALPHA * elu(z))


def softplus(z):
    """σ(z) = ln(1 + e^z)."""
    return np.logaddexp(0, z)


def logistic_slope(s):
    """σ' = σ(1 − σ), by s = σ(z)."""
    return s * (1 - s)


def logistic_curvature(s):
    """σ'' = σ'(1 − 2σ), by s = σ(z)."""
    return logistic_slope(s) * (1 - 2 * s)


def softplus_slope(a, z):
    """σ' = e^z/(1 + e^z) = 1 − e^−a."""
    return -np.expm1(-a)


def silu_slope(a, z):
    """(zs)' = s + zs', s the logistic function."""
    s = logistic(z)
    return s + z * logistic_slope(s)


def silu_curvature(a, z):
    """(zs)'' = 2s' + zs''."""
    s = logistic(z)
    return 2 * logistic_slope(s) + z * logistic_curvature(s)


def normal_density(z):
    """φ(z) = e^(−z²/2)/√(2π) = Φ'(z)."""
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def gelu_gate(z):
    """With its derivatives by z, first and second: ½(1 + tanh u) = s(2u) = s(v),
    v = √(8/π)(z + 0.044715 z³), s the logistic function.
    """
    root = np.sqrt(8 / np.pi)
    s = logistic(root * (z + 0.044715 * z**3))
    dv, ddv = root * (1 + 3 * 0.044715 * z**2), root * 6 * 0.044715 * z
    ds, dds = logistic_slope(s), logistic_curvature(s)
    return s, ds * dv, dds * dv**2 + ds * ddv


def gelu_tanh_slope(a, z):
    """(zg)' = g + zg', g the gate."""
    g, dg, _ = gelu_gate(z)
    return g + z * dg


def gelu_tanh_curvature(a, z):
    """(zg)'' = 2g' + zg''."""
    _, dg, ddg = gelu_gate(z)
    return 2 * dg + z * ddg


def mish_gate(z):
    """With its derivatives by z, first and second: t = tanh(softplus(z)),
    t' = (1 − t²)s, t'' = (1 − t²)s' − 2tt's, s the logistic function.
    """
    t, s = np.tanh(softplus(z)), logistic(z)
    dt = (1 - t**2) * s
    return t, dt, (1 - t**2) * logistic_slope(s) - 2 * t * dt * s


def mish_slope(a, z):
    """(zt)' = t + zt'."""
    t, dt, _ = mish_gate(z)
    return t + z * dt


def mish_curvature(a, z):
    """(zt)'' = 2t' + zt''."""
    _, dt, ddt = mish_gate(z)
    return 2 * dt + z * ddt


def hard_gate(z):
    """Clip (z + 3)/6 to [0, 1] (Howard et al., "Searching for MobileNetV3", 2019)."""
    return np.clip((z + 3) / 6, 0, 1)


def hardswish_slope(a, z):
    """(z(z + 3)/6)' = z/3 + ½ within ±3, the ends included; 0 below, 1 above."""
    return np.where(z < -3, 0, np.where(z > 3, 1, z / 3 + 0.5))


def zero(a, z):
    """σ'' of what is linear piece by piece, in its kinks too."""
    return np.zeros_like(a)


ACTIVATION_FUNCTIONS = {
    "identity": lambda z: z,
    "logistic": logistic,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z, slope: np.where(z > 0, z, slope * z),
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "silu": lambda z: z * logistic(z),
    "gelu": lambda z: z * ndtr(z),
    "gelu_tanh": lambda z: z * gelu_gate(z)[0],
    "mish": lambda z: z * mish_gate(z)[0],
    "exp": np.exp,
    "softmax": softmax,
    "hardsigmoid": hard_gate,
    "hardswish": lambda z: np.maximum(z, -3) * hard_gate(z),
}

SLOPE_FUNCTIONS = {
    "identity": lambda a, z: np.ones_like(a),
    "logistic": lambda a, z: logistic_slope(a),
    "tanh": lambda a, z: 1 - a**2,
    "relu": lambda a, z: a != 0,
    "leaky_relu": lambda a, z, slope: np.where(a > 0, 1, slope),
    "elu": lambda a, z: np.where(a > 0, 1, a + 1),
    "selu": lambda a, z: np.where(a > 0, SELU_LAMBDA, a + SELU_LAMBDA * SELU_ALPHA),
    "softplus": softplus_slope,
    "silu": silu_slope,
    "gelu": lambda a, z: ndtr(z) + z * normal_density(z),
    "gelu_tanh": gelu_tanh_slope,
    "mish": mish_slope,
    "exp": lambda a, z: a,
    "hardsigmoid": lambda a, z: ((a > 0) & (a < 1)) / 6,
    "hardswish": hardswish_slope,
}

CURVATURE_FUNCTIONS = {
    "identity": zero,
    "logistic": lambda a, z: logistic_curvature(a),
    "tanh": lambda a, z: -2 * a * (1 - a**2),
    "relu": zero,
    "leaky_relu": lambda a, z, slope: zero(a, z),
    "elu": lambda a, z: np.where(a > 0, 0, a + 1),
    "selu": lambda a, z: np.where(a > 0, 0, a + SELU_LAMBDA * SELU_ALPHA),
    "softplus": lambda a, z: logistic_slope(softplus_slope(a, z)),
    "silu": silu_curvature,
    "gelu": lambda a, z: (2 - z**2) * normal_density(z),
    "gelu_tanh": gelu_tanh_curvature,
    "mish": mish_curvature,
    "exp": lambda a, z: a,
    "hardsigmoid": zero,
    "hardswish": lambda a, z: (np.abs(z) <= 3) / 3,
}

_NAMES = {code: name for name, code in ACTIVATIONS.items()}


def call_formula(table, activation, param, *arguments):
    """The activation's function in the table, with its number if it has one."""
    name = _NAMES[activation]
    if name not in table:
        raise ValueError(f"{name} has no elementwise slope")
    more = (param,) if name in ACTIVATION_PARAMS else ()
    return table[name](*(x.astype(float) for x in arguments), *more)


@np.errstate(all="ignore")
def compute_activation(z, activation, param=0.0):
    """σ(z) in double, as a new array. Overflow gives inf and nan, silently."""
    return call_formula(ACTIVATION_FUNCTIONS, activation, param, z)


def activate(a, activation, param=0.0):
    """Put σ(a) in place of a (rows, n)."""
    a[...] = compute_activation(a, activation, param)


def add_bias_and_activate(a, b, activation, param=0.0):
    """Put σ(a + b) in place of a (rows, n)."""
    a[...] = compute_activation(a.astype(float) + b, activation, param)


def multiply_slope(delta, a, z, activation, param=0.0):
    """Put delta ⊙ σ'(z) in place of delta, with a = σ(z)."""
    delta[...] = delta * _differentiate(SLOPE_FUNCTIONS, a, z, activation, param)


def multiply_jacobian(delta, a, z, activation, param=0.0):
    """Put each row's product with ∂σ/∂z in place of it; p ⊙ (v − Σ v p) for softmax."""
    if activation == ACTIVATIONS["softmax"]:
        delta[...] = multiply_softmax_jacobian(delta.astype(float), a.astype(float))
    else:
        multiply_slope(delta, a, z, activation, param)


def multiply_softmax_jacobian(v, p):
    """∂pⱼ/∂zₖ = pⱼ([j = k] − pₖ), so that v becomes p ⊙ (v − Σ v p) in each row."""
    return p * (v - (v * p).sum(axis=1, keepdims=True))


def differentiate_slope(rdelta, delta, rz, a, z, activation, param=0.0):
    """Put rdelta ⊙ σ'(z) + delta ⊙ σ''(z) ⊙ rz, the derivative of delta ⊙ σ'(z) along
    rz, in place of rdelta.
    """
    slope = _differentiate(SLOPE_FUNCTIONS, a, z, activation, param)
    curvature = _differentiate(CURVATURE_FUNCTIONS, a, z, activation, param)
    rdelta[...] = rdelta * slope + delta * curvature * rz


@np.errstate(all="ignore")
def _differentiate(table, a, z, activation, param):
    """σ' or σ'' in double, as a new array."""
    return call_formula(table, activation, param, a, z)
