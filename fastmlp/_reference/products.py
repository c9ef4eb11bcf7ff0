"""Matrix products and column sums. Without accumulate the old content is never read."""

import numpy as np


def multiply(c, a, b, accumulate):
    """Set c = a b, or add it to c."""
    _set(c, np.matmul(a, b, dtype=float), accumulate)


def sum_columns(out, a, accumulate):
    """Set out = column sums of a, or add them to out."""
    _set(out, a.sum(axis=0, dtype=float), accumulate)


def _set(out, values, accumulate):
    out[...] = out + values if accumulate else values
