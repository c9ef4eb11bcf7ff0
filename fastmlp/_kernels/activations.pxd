"""Activations: value σ(z), slope σ'(z) and curvature σ''(z).

Slope and curvature are written in terms of a = σ(z) where that suffices; those that
need z are named in SLOPES_OF_Z (tables.pxi), and their layers keep it. `param` is the
activation's own number, where it has one. A code without a formula gives NaN.

Adding one: CONTRIBUTING.md.
"""
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy, memset

from fastmlp._kernels cimport math, reductions
from fastmlp._kernels.records cimport real

cdef enum:
    # Numbers of the longest vector.
    LANES = 16

cdef enum Activation:
    IDENTITY = 0
    LOGISTIC = 1
    TANH = 2
    RELU = 3
    LEAKY_RELU = 4
    ELU = 5
    SELU = 6
    SOFTPLUS = 7
    SILU = 8
    GELU = 9
    GELU_TANH = 10
    MISH = 11
    EXP = 12
    SOFTMAX = 13
    HARDSIGMOID = 14
    HARDSWISH = 15
    UNKNOWN = -1


# --- Formulas of more than a line.


cdef inline real normal_density(real z) noexcept nogil:
    """φ(z) = e^(−z²/2)/√(2π)."""
    return <real>0.3989422804014327 * math.exp(<real>-0.5 * z * z)


cdef inline real normal_distribution(real z) noexcept nogil:
    """Φ(z) = ½ (1 + erf(z/√2))."""
    return <real>0.5 * (<real>1 + math.erf(z * <real>0.7071067811865476))


cdef inline real within(real z, real limit) noexcept nogil:
    """z, or ±limit beyond it: where a gate is 0 or 1 in any precision, what it is
    multiplied with must not overflow."""
    z = limit if z > limit else z
    return -limit if z < -limit else z


cdef inline real gelu_argument(real z) noexcept nogil:
    """u = √(2/π) (z + 0.044715 z³); gelu_tanh is ½ z (1 + tanh u)."""
    return <real>0.7978845608028654 * z * (<real>1 + <real>0.044715 * z * z)


cdef inline real gelu_argument_slope(real z) noexcept nogil:
    return <real>0.7978845608028654 * (<real>1 + <real>0.134145 * z * z)


cdef inline real gelu_tanh_slope(real z) noexcept nogil:
    """½ (1 + t + z (1 − t²) u'), t = tanh u."""
    cdef real c = within(z, 10)
    cdef real t = math.tanh(gelu_argument(c))
    return <real>0.5 * (<real>1 + t + c * (<real>1 - t * t) * gelu_argument_slope(c))


cdef inline real gelu_tanh_curvature(real z) noexcept nogil:
    """(1 − t²)(u' + ½ z u'' − z t u'²), t = tanh u."""
    cdef real c = within(z, 10)
    cdef real t = math.tanh(gelu_argument(c)), u = gelu_argument_slope(c)
    return (<real>1 - t * t) * (
        u + c * c * <real>(0.7978845608028654 * 0.134145) - c * t * u * u)


cdef inline real hard_gate(real z) noexcept nogil:
    """(z + 3)/6 within 0 and 1, NaN kept (Howard et al. 2019)."""
    cdef real c = z + <real>3
    c = <real>0 if c < 0 else c
    return (<real>6 if c > 6 else c) * <real>(1. / 6)


cdef inline real mish_gate(real z, real* complement) noexcept nogil:
    """t = tanh(softplus(z)) = n/(n + d) and complement = 1 − t²: with e = e^−|z|,
    n = 1 + 2e and d = 2e² for z ≥ 0, n = e (e + 2) and d = 2 below."""
    cdef real e = math.exp(-math.absolute(z))
    cdef real n = <real>1 + <real>2 * e if z >= 0 else e * (e + <real>2)
    cdef real d = <real>2 * e * e if z >= 0 else <real>2
    cdef real t = n / (n + d)
    complement[0] = d / (n + d) * (<real>1 + t)
    return t


cdef inline real mish_slope(real z) noexcept nogil:
    """t + z t', t' = (1 − t²) σ(z)."""
    cdef real complement
    cdef real t = mish_gate(z, &complement)
    return t + z * complement * math.sigmoid(z)


cdef inline real mish_curvature(real z) noexcept nogil:
    """2t' + z t'', t'' = t' (1 − σ − 2tσ)."""
    cdef real complement
    cdef real t = mish_gate(z, &complement), s = math.sigmoid(z)
    return complement * s * (<real>2 + z * (<real>1 - s - <real>2 * t * s))


# --- One number. Called with constant codes, so that the compiler makes the choice.


cdef inline real value(real z, Py_ssize_t activation, real param) noexcept nogil:
    """σ(z). Comparisons are written so that NaN is kept, and divergence seen."""
    cdef real complement
    if activation == LOGISTIC:
        return math.sigmoid(z)
    elif activation == TANH:
        return math.tanh(z)
    elif activation == RELU:
        return <real>0 if z < 0 else z
    elif activation == LEAKY_RELU:
        return param * z if z < 0 else z
    elif activation == ELU:
        return math.expm1_negative(z) if z < 0 else z
    elif activation == SELU:
        return (<real>1.7580993408473766 * math.expm1_negative(z) if z < 0
                else <real>1.0507009873554805 * z)
    elif activation == SOFTPLUS:
        return math.softplus(z)
    elif activation == SILU:
        return z * math.sigmoid(z)
    elif activation == GELU:
        return z * normal_distribution(z)
    elif activation == GELU_TANH:
        return <real>0.5 * z * (<real>1 + math.tanh(gelu_argument(within(z, 10))))
    elif activation == MISH:
        return z * mish_gate(z, &complement)
    elif activation == EXP:
        return math.exp(z)
    elif activation == IDENTITY:
        return z
    elif activation == HARDSIGMOID:
        return hard_gate(z)
    elif activation == HARDSWISH:
        return <real>0 if z < -3 else (z if z > 3 else z * hard_gate(z))
    return <real>NAN


cdef inline real slope(real a, real z, Py_ssize_t activation, real param) noexcept nogil:
    """σ'(z), with a = σ(z)."""
    cdef real s
    if activation == LOGISTIC:
        return a * (<real>1 - a)
    elif activation == TANH:
        return <real>1 - a * a
    elif activation == RELU:
        return <real>0 if a == 0 else <real>1
    elif activation == LEAKY_RELU:
        return <real>1 if a > 0 else param
    elif activation == ELU:
        return <real>1 if a > 0 else a + <real>1
    elif activation == SELU:
        return <real>1.0507009873554805 if a > 0 else a + <real>1.7580993408473766
    elif activation == SOFTPLUS:
        return -math.expm1_negative(-a)
    elif activation == SILU:
        s = math.sigmoid(z)
        return s * (<real>1 + z * (<real>1 - s))
    elif activation == GELU:
        return normal_distribution(z) + z * normal_density(z)
    elif activation == GELU_TANH:
        return gelu_tanh_slope(z)
    elif activation == MISH:
        return mish_slope(z)
    elif activation == EXP:
        return a
    elif activation == IDENTITY:
        return 1
    elif activation == HARDSIGMOID:
        return <real>(1. / 6) if a > 0 and a < 1 else (a - a)
    elif activation == HARDSWISH:
        return <real>0 if z < -3 else (<real>1 if z > 3 else z * <real>(1. / 3) + <real>0.5)
    return <real>NAN


cdef inline real curvature(real a, real z, Py_ssize_t activation) noexcept nogil:
    """σ''(z), with a = σ(z)."""
    cdef real s
    if activation == LOGISTIC:
        return a * (<real>1 - a) * (<real>1 - <real>2 * a)
    elif activation == TANH:
        return <real>-2 * a * (<real>1 - a * a)
    elif activation == ELU:
        return <real>0 if a > 0 else a + <real>1
    elif activation == SELU:
        return <real>0 if a > 0 else a + <real>1.7580993408473766
    elif activation == SOFTPLUS:
        s = -math.expm1_negative(-a)
        return s * (<real>1 - s)
    elif activation == SILU:
        s = math.sigmoid(z)
        return s * (<real>1 - s) * (<real>2 + z * (<real>1 - <real>2 * s))
    elif activation == GELU:
        s = within(z, 40)
        return normal_density(s) * (<real>2 - s * s)
    elif activation == GELU_TANH:
        return gelu_tanh_curvature(z)
    elif activation == MISH:
        return mish_curvature(z)
    elif activation == EXP:
        return a
    elif activation == IDENTITY or activation == RELU or activation == LEAKY_RELU:
        return 0
    elif activation == HARDSIGMOID:
        return 0
    elif activation == HARDSWISH:
        return <real>0 if z < -3 else (<real>0 if z > 3 else <real>(1. / 3))
    return <real>NAN


# --- Arrays.


cdef inline void map_biased_value(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef real* row
    for i in range(rows):
        row = a + i * n
        for j in range(n):
            row[j] = value(row[j] + b[j], activation, param)


cdef inline void map_value(
    real* a, Py_ssize_t n, Py_ssize_t activation, real param
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = value(a[i], activation, param)


cdef inline void map_values(
    real* a, Py_ssize_t n, Py_ssize_t activation, real param
) noexcept nogil:
    if activation == LOGISTIC:
        map_value(a, n, LOGISTIC, param)
    elif activation == TANH:
        map_value(a, n, TANH, param)
    elif activation == RELU:
        map_value(a, n, RELU, param)
    elif activation == LEAKY_RELU:
        map_value(a, n, LEAKY_RELU, param)
    elif activation == ELU:
        map_value(a, n, ELU, param)
    elif activation == SELU:
        map_value(a, n, SELU, param)
    elif activation == SOFTPLUS:
        map_value(a, n, SOFTPLUS, param)
    elif activation == SILU:
        map_value(a, n, SILU, param)
    elif activation == GELU:
        map_value(a, n, GELU, param)
    elif activation == GELU_TANH:
        map_value(a, n, GELU_TANH, param)
    elif activation == MISH:
        map_value(a, n, MISH, param)
    elif activation == EXP:
        map_value(a, n, EXP, param)
    elif activation == HARDSIGMOID:
        map_value(a, n, HARDSIGMOID, param)
    elif activation == HARDSWISH:
        map_value(a, n, HARDSWISH, param)
    elif activation != IDENTITY:
        map_value(a, n, UNKNOWN, param)


cdef inline void map_slope(
    real* delta, const real* a, const real* z, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        delta[i] = delta[i] * slope(a[i], z[i], activation, param)


cdef inline void map_slopes(
    real* delta, const real* a, const real* z, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    if activation == LOGISTIC:
        map_slope(delta, a, z, n, LOGISTIC, param)
    elif activation == TANH:
        map_slope(delta, a, z, n, TANH, param)
    elif activation == RELU:
        map_slope(delta, a, z, n, RELU, param)
    elif activation == LEAKY_RELU:
        map_slope(delta, a, z, n, LEAKY_RELU, param)
    elif activation == ELU:
        map_slope(delta, a, z, n, ELU, param)
    elif activation == SELU:
        map_slope(delta, a, z, n, SELU, param)
    elif activation == SOFTPLUS:
        map_slope(delta, a, z, n, SOFTPLUS, param)
    elif activation == SILU:
        map_slope(delta, a, z, n, SILU, param)
    elif activation == GELU:
        map_slope(delta, a, z, n, GELU, param)
    elif activation == GELU_TANH:
        map_slope(delta, a, z, n, GELU_TANH, param)
    elif activation == MISH:
        map_slope(delta, a, z, n, MISH, param)
    elif activation == EXP:
        map_slope(delta, a, z, n, EXP, param)
    elif activation == HARDSIGMOID:
        map_slope(delta, a, z, n, HARDSIGMOID, param)
    elif activation == HARDSWISH:
        map_slope(delta, a, z, n, HARDSWISH, param)
    elif activation != IDENTITY:
        map_slope(delta, a, z, n, UNKNOWN, param)


cdef inline void map_curvature(
    real* rdelta, const real* delta, const real* rz, const real* a, const real* z,
    Py_ssize_t n, Py_ssize_t activation, real param,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        rdelta[i] = (rdelta[i] * slope(a[i], z[i], activation, param)
                     + delta[i] * curvature(a[i], z[i], activation) * rz[i])


cdef inline void map_curvatures(
    real* rdelta, const real* delta, const real* rz, const real* a, const real* z,
    Py_ssize_t n, Py_ssize_t activation, real param,
) noexcept nogil:
    if activation == LOGISTIC:
        map_curvature(rdelta, delta, rz, a, z, n, LOGISTIC, param)
    elif activation == TANH:
        map_curvature(rdelta, delta, rz, a, z, n, TANH, param)
    elif activation == ELU:
        map_curvature(rdelta, delta, rz, a, z, n, ELU, param)
    elif activation == SELU:
        map_curvature(rdelta, delta, rz, a, z, n, SELU, param)
    elif activation == SOFTPLUS:
        map_curvature(rdelta, delta, rz, a, z, n, SOFTPLUS, param)
    elif activation == SILU:
        map_curvature(rdelta, delta, rz, a, z, n, SILU, param)
    elif activation == GELU:
        map_curvature(rdelta, delta, rz, a, z, n, GELU, param)
    elif activation == GELU_TANH:
        map_curvature(rdelta, delta, rz, a, z, n, GELU_TANH, param)
    elif activation == MISH:
        map_curvature(rdelta, delta, rz, a, z, n, MISH, param)
    elif activation == EXP:
        map_curvature(rdelta, delta, rz, a, z, n, EXP, param)
    elif activation == IDENTITY or activation == RELU or activation == LEAKY_RELU:
        map_slopes(rdelta, a, z, n, activation, param)
    elif activation == HARDSIGMOID:
        map_curvature(rdelta, delta, rz, a, z, n, HARDSIGMOID, param)
    elif activation == HARDSWISH:
        map_curvature(rdelta, delta, rz, a, z, n, HARDSWISH, param)
    else:
        map_curvature(rdelta, delta, rz, a, z, n, UNKNOWN, param)


# A compiler makes vectors of most numbers of a loop and does the rest one by one, where it
# may fuse other products into sums: the last bits would depend on where a thread's rows
# end. So the rest is filled up to LANES, and goes through the same loop after the others.


cdef inline void fill(real* filled, const real* x, Py_ssize_t n) noexcept nogil:
    """The n numbers, and zeros up to LANES."""
    memset(filled, 0, LANES * sizeof(real))
    memcpy(filled, x, n * sizeof(real))


cdef inline void activate_each(
    real* a, Py_ssize_t n, Py_ssize_t activation, real param
) noexcept nogil:
    """a (n,) becomes σ(a), σ not softmax."""
    cdef Py_ssize_t rest = n % LANES, size = n - rest
    cdef real* x = a
    cdef real filled[LANES]
    while True:
        map_values(x, size, activation, param)
        if rest == 0 or x != a:
            break
        fill(filled, a + size, rest)
        x, size = filled, LANES
    memcpy(a + n - rest, filled, rest * sizeof(real))


cdef inline void exponentiate_rows(
    real* e, real* largest, real* totals, const real* z, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """e = exp(z − each row's largest entry) and its row totals; e may be z."""
    cdef Py_ssize_t i, j
    reductions.largest_of_rows(largest, z, rows, n)
    for i in range(rows):
        for j in range(n):
            e[i * n + j] = z[i * n + j] - largest[i]
    activate_each(e, rows * n, EXP, <real>0)
    reductions.total_of_rows(totals, e, rows, n, <real>INFINITY)


cdef inline void divide_rows(
    real* e, const real* totals, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """e's rows become parts of 1, softmax(z) = exp(z) / Σ exp(z)."""
    cdef Py_ssize_t i, j
    cdef real factor
    for i in range(rows):
        factor = <real>1 / totals[i]
        for j in range(n):
            e[i * n + j] = e[i * n + j] * factor


cdef inline void softmax(real* a, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """a (rows, n) becomes softmax(a), row by row."""
    cdef Py_ssize_t begin = 0, size
    cdef real largest[reductions.BLOCK]
    cdef real totals[reductions.BLOCK]
    while begin < rows:
        size = min(rows - begin, <Py_ssize_t>reductions.BLOCK)
        exponentiate_rows(a + begin * n, largest, totals, a + begin * n, size, n)
        divide_rows(a + begin * n, totals, size, n)
        begin += size


cdef inline void activate(
    real* a, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation, real param
) noexcept nogil:
    """a (rows, n) becomes σ(a)."""
    if activation == SOFTMAX:
        softmax(a, rows, n)
    else:
        activate_each(a, rows * n, activation, param)


cdef inline void add_bias_and_activate(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    """a (rows, n) becomes σ(a + b): relu in one pass; where a number costs more, a row's
    end that fills no vector would cost more than a second pass without ends."""
    if activation == RELU:
        map_biased_value(a, b, rows, n, RELU, param)
    else:
        map_biased_value(a, b, rows, n, IDENTITY, param)
        activate(a, rows, n, activation, param)


cdef inline void multiply_slope(
    real* delta, const real* a, const real* z, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    """delta becomes delta ⊙ σ'(z), with a = σ(z)."""
    cdef Py_ssize_t rest = n % LANES, size = n - rest
    cdef real* d = delta
    cdef real filled_d[LANES]
    cdef real filled_a[LANES]
    cdef real filled_z[LANES]
    while True:
        map_slopes(d, a, z, size, activation, param)
        if rest == 0 or d != delta:
            break
        fill(filled_d, delta + size, rest)
        fill(filled_a, a + size, rest)
        fill(filled_z, z + size, rest)
        d, a, z, size = filled_d, filled_a, filled_z, LANES
    memcpy(delta + n - rest, filled_d, rest * sizeof(real))


cdef inline void differentiate_slope(
    real* rdelta, const real* delta, const real* rz, const real* a, const real* z,
    Py_ssize_t n, Py_ssize_t activation, real param,
) noexcept nogil:
    """rdelta becomes rdelta ⊙ σ'(z) + delta ⊙ σ''(z) ⊙ rz, with a = σ(z)."""
    cdef Py_ssize_t rest = n % LANES, size = n - rest
    cdef real* rd = rdelta
    cdef real filled_rd[LANES]
    cdef real filled_d[LANES]
    cdef real filled_rz[LANES]
    cdef real filled_a[LANES]
    cdef real filled_z[LANES]
    while True:
        map_curvatures(rd, delta, rz, a, z, size, activation, param)
        if rest == 0 or rd != rdelta:
            break
        fill(filled_rd, rdelta + size, rest)
        fill(filled_d, delta + size, rest)
        fill(filled_rz, rz + size, rest)
        fill(filled_a, a + size, rest)
        fill(filled_z, z + size, rest)
        rd, delta, rz, a, z, size = filled_rd, filled_d, filled_rz, filled_a, filled_z, LANES
    memcpy(rdelta + n - rest, filled_rd, rest * sizeof(real))


cdef inline void multiply_softmax_jacobian(
    real* out, const real* v, const real* p, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """out = p ⊙ (v − Σ v p), row by row, all (rows, n); out may be v or p."""
    cdef Py_ssize_t i, j
    cdef real mean
    for i in range(rows):
        mean = 0
        for j in range(n):
            mean += v[i * n + j] * p[i * n + j]
        for j in range(n):
            out[i * n + j] = p[i * n + j] * (v[i * n + j] - mean)


cdef inline void multiply_jacobian(
    real* delta, const real* a, const real* z, Py_ssize_t rows, Py_ssize_t n,
    Py_ssize_t activation, real param,
) noexcept nogil:
    """Each row of delta becomes its product with ∂σ/∂z."""
    if activation == SOFTMAX:
        multiply_softmax_jacobian(delta, delta, a, rows, n)
    else:
        multiply_slope(delta, a, z, rows * n, activation, param)
