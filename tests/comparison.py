"""The one table of tolerances, and what closeness means."""

import numpy as np

# Largest error that a float array may show, as a part of its largest entry: some
# tens of units in the last place, which sums of a few hundred terms cost.
TOLERANCES = {np.dtype("float32"): 1e-5, np.dtype("float64"): 5e-14}


def assert_close(actual, expected, what=""):
    """Equal to rounding; NaN and infinities in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=what)
    if finite.any():
        largest = np.abs(expected[finite]).max()
        np.testing.assert_allclose(
            actual[finite],
            expected[finite],
            rtol=0,
            atol=TOLERANCES[expected.dtype]
            * max(largest, np.finfo(expected.dtype).tiny),
            err_msg=what,
        )


def rounding_errors(c, a, b):
    """Errors of the product c = a b, each in units of what its type rounds off a sum of
    terms as large: 2⁻²⁴ Σ|a b| in float32.
    """
    unit = np.finfo(c.dtype).eps / 2
    a, b = a.astype(float), b.astype(float)
    return (c - a @ b) / (np.abs(a) @ np.abs(b)) / unit
