"""Penalties on the weights."""

import numpy as np


def sum_squares(x):
    """Σ x²."""
    return float(np.square(x, dtype=float).sum())


def sum_magnitudes(x):
    """Σ |x|."""
    return float(np.abs(x, dtype=float).sum())


def compute_penalty(x, l1, l2):
    """l1 Σ |x| + ½ l2 Σ x²."""
    return l1 * sum_magnitudes(x) + l2 / 2 * sum_squares(x)


def differentiate_penalty(x, l1, l2):
    """l1 sign(x) + l2 x in double, with sign(0) = 0."""
    return l1 * np.sign(x, dtype=float) + l2 * x.astype(float)
