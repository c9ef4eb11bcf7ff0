"""Penalties on the weights."""

import numpy as np


def sum_squares(x):
    """Σ x²."""
    return float(np.square(x, dtype=float).sum())
