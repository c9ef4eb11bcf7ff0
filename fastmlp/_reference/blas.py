"""Matrix products and column sums. With beta = 0 the old content is never read."""

import numpy as np


def multiply_nn(c, a, b, beta):
    """C = a b + beta c."""
    _add(c, np.matmul(a, b, dtype=float), beta)


def multiply_nt(c, a, b, beta):
    """C = a bᵀ + beta c."""
    _add(c, np.matmul(a, b.T, dtype=float), beta)


def multiply_tn(c, a, b, beta):
    """C = aᵀ b + beta c."""
    _add(c, np.matmul(a.T, b, dtype=float), beta)


def sum_columns(out, a, beta):
    """Out = column sums of a + beta out."""
    _add(out, a.sum(axis=0, dtype=float), beta)


def _add(out, values, beta):
    """Out = values + beta out."""
    out[...] = values if beta == 0 else values + beta * out
