"""The error of the elementary functions, in units in the last place.

Float32 results are held against float64, float64 results against long double
(64 bits of mantissa on x86; elsewhere the test is skipped).
"""

import math

import numpy as np
import pytest

from fastmlp import _kernels, _reference


def exact_sigmoid(x):
    """1/(1 + e⁻ˣ), kept relatively exact where it is small."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def exact_erf(x):
    """2/√π e^(−x²) Σ 2ⁿ x²ⁿ⁺¹/(2n + 1)!!, whose terms all have the sign of x."""
    x = np.clip(x, -6.5, 6.5)
    two_x_squared = 2 * x * x
    term, total = x.copy(), x.copy()
    for n in range(1, 160):
        term *= two_x_squared / (2 * n + 1)
        total += term
    return total * np.exp(-x * x) * 2 / np.sqrt(4 * np.arctan(x.dtype.type(1)))


def exact_softplus(x):
    """ln(1 + eˣ), kept relatively exact where it is small."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def exact_cosine(x):
    """Of whole turns nothing is left, exactly; about a zero a sine of what lacks."""
    r = np.abs(x - np.round(x))
    quarter = x.dtype.type(0.25)
    return np.sin(8 * np.arctan(x.dtype.type(1)) * (quarter - r))


def exact_sine(x):
    """The same, of the sine."""
    r = x - np.round(x)
    r = np.where(np.abs(r) > 0.25, np.copysign(0.5, r) - r, r)
    return np.sin(8 * np.arctan(x.dtype.type(1)) * r)


RANGES = {"tanh": 20, "erf": 7, "cos_of_turns": 9, "sin_of_turns": 9}
LIMITS = {
    "exp": 2,
    "log": 2,
    "log1p": 5,
    "tanh": 5,
    "sigmoid": 5,
    "erf": 3,
    "softplus": 3,
    "reciprocal": 2,
    "cos_of_turns": 3,
    "sin_of_turns": 3,
}
EXACT = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": exact_sigmoid,
    "erf": exact_erf,
    "softplus": exact_softplus,
    "reciprocal": np.reciprocal,
    "cos_of_turns": exact_cosine,
    "sin_of_turns": exact_sine,
}


def sample(function, dtype):
    """Inputs where the function does something, subnormal results among them."""
    random = np.random.RandomState(0)
    least, most = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    faint = 2 ** random.uniform(np.log2(least), 0, 100_000)
    if function == "log":
        exponents = random.uniform(*np.log2([least, most]), 200_000)
        near_one = 1 + random.uniform(-0.5, 0.5, 100_000)
        return np.concatenate([2**exponents, near_one]).astype(dtype)
    if function == "log1p":
        tiny = 2 ** random.uniform(-60, 0, 100_000)
        wide = random.uniform(0, 1, 100_000)
        return np.concatenate([wide, tiny, faint]).astype(dtype)
    if function == "reciprocal":
        exponents = np.log2([np.finfo(dtype).tiny, 1e30])
        return (2 ** random.uniform(*exponents, 300_000)).astype(dtype)
    span = RANGES.get(function)
    ends = (-span, span) if span else np.log([least, most])
    wide = random.uniform(*ends, 200_000)
    small = random.uniform(-1, 1, 100_000) * 2 ** random.uniform(-40, 0, 100_000)
    return np.concatenate([wide, small, faint]).astype(dtype)


def measure_ulp(function, x, exact_function):
    """Errors in units in the last place of the exact result.

    Where that is NaN, infinite or zero anything else, or the other sign, is infinitely
    wrong; so is NaN anywhere else.
    """
    out = np.empty_like(x)
    getattr(_kernels, function)(out, x)
    wider = np.float64 if x.dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        exact = exact_function(x.astype(wider))
        rounded = exact.astype(x.dtype)
        errors = np.abs(out - exact) / np.spacing(np.abs(rounded))
    same = (out == rounded) & (np.signbit(out) == np.signbit(rounded))
    same |= np.isnan(out) & np.isnan(rounded)
    special = ~np.isfinite(rounded) | (exact == 0)
    return np.where(special | np.isnan(errors), np.where(same, 0, np.inf), errors)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", LIMITS)
def test_error_in_ulp(function, dtype):
    if dtype == "float64" and np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is no longer than double on this machine")
    errors = measure_ulp(function, sample(function, dtype), EXACT[function])
    assert errors.max() <= LIMITS[function]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    sorted(LIMITS.keys() - {"log1p", "reciprocal", "cos_of_turns", "sin_of_turns"}),
)
def test_special_values(function, dtype):
    """Infinities, NaN, zeros, and results that overflow, underflow or are subnormal."""
    info = np.finfo(dtype)
    edges = [0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny]
    edges += [info.smallest_subnormal, 3 * info.smallest_subnormal, -info.tiny]
    edges += [1e3, -1e3, 88.8, 709.8, 720.0, -87.5, -100.0, -708.5, -740.0]
    errors = measure_ulp(function, np.array(edges, dtype), EXACT[function])
    assert (errors <= LIMITS[function]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reciprocal_of_what_optimizers_meet(dtype):
    """Overflowed moments stop a parameter, NaN is kept, and seen."""
    x = np.array([np.inf, 1e38, np.nan], dtype)
    out = np.empty_like(x)
    _kernels.reciprocal(out, x)
    assert (out[:2] >= 0).all()
    assert (out[:2] < 1e-29).all()
    assert np.isnan(out[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_is_odd_to_the_bit(dtype):
    x = np.append(np.abs(sample("erf", dtype)), [0, np.inf]).astype(dtype)
    right, left = np.empty_like(x), np.empty_like(x)
    _kernels.erf(right, x)
    _kernels.erf(left, -x)
    np.testing.assert_array_equal(left, -right)
    assert np.signbit(left).all()
    assert not np.signbit(right).any()


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 4), ("float64", 6)])
def test_erf_reaches_one_and_stays(dtype, limit):
    x = np.append(np.linspace(limit - 1, 2 * limit, 10_000), np.inf).astype(dtype)
    out = np.empty_like(x)
    _kernels.erf(out, x)
    assert out.max() == 1
    assert (out[x >= limit] == 1).all()


@pytest.mark.parametrize("function", ["erf", "softplus"])
def test_float64_agrees_with_libm(function):
    x = sample(function, "float64")[::100].copy()
    libm = {
        "erf": math.erf,
        "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    }
    out = np.empty_like(x)
    getattr(_kernels, function)(out, x)
    exact = np.array([libm[function](value) for value in x.tolist()])
    assert (
        np.abs(out - exact) <= (LIMITS[function] + 2) * np.spacing(np.abs(exact))
    ).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ["erf", "softplus"])
def test_agrees_with_reference(function, dtype):
    x = np.append(sample(function, dtype)[::10], [0, np.inf, -np.inf, np.nan])
    x = x.astype(dtype)
    native, reference = np.empty_like(x), np.empty_like(x)
    getattr(_kernels, function)(native, x)
    getattr(_reference, function)(reference, x)
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(native, reference, rtol, np.finfo(dtype).tiny)
