"""Activations: value σ(z), and slope σ'(z) written in terms of the output a = σ(z).

Adding one: a code, its value, its slope, a line in each of the dispatches below,
its name in tables.pxi, and its twin in fastmlp/_reference/activations.py.
"""
from fastmlp._kernels cimport math
from fastmlp._kernels.types cimport real

cdef enum Activation:
    IDENTITY = 0
    LOGISTIC = 1
    TANH = 2
    RELU = 3
    EXP = 4
    SOFTMAX = 5


cdef inline real value(real z, Py_ssize_t activation) noexcept nogil:
    """σ(z). Called with a constant code, so that the choice is made by the compiler."""
    if activation == LOGISTIC:
        return math.sigmoid(z)
    elif activation == TANH:
        return math.tanh(z)
    elif activation == RELU:
        # NaN compares false: written this way round it is kept, and divergence seen.
        return <real>0 if z < 0 else z
    elif activation == EXP:
        return math.exp(z)
    return z


cdef inline real slope(real a, Py_ssize_t activation) noexcept nogil:
    """σ'(z) from a = σ(z). Called with a constant code."""
    if activation == LOGISTIC:
        return a * (1 - a)
    elif activation == TANH:
        return 1 - a * a
    elif activation == RELU:
        return <real>0 if a == 0 else <real>1
    elif activation == EXP:
        return a
    return 1


cdef inline void map_value(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef real* row
    for i in range(rows):
        row = a + i * n
        for j in range(n):
            row[j] = value(row[j] + b[j], activation)


cdef inline void map_value_unbiased(real* a, Py_ssize_t n, Py_ssize_t activation) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = value(a[i], activation)


cdef inline void map_slope(
    real* delta, const real* a, Py_ssize_t n, Py_ssize_t activation
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        delta[i] = delta[i] * slope(a[i], activation)


cdef inline void softmax(real* a, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """exp(z) / Σ exp(z) of each row, its largest entry taken off first."""
    cdef Py_ssize_t i, j
    cdef real largest, total
    cdef real* row
    for i in range(rows):
        row = a + i * n
        largest = row[0]
        for j in range(1, n):
            largest = row[j] if row[j] > largest else largest
        for j in range(n):
            row[j] = row[j] - largest
    map_value_unbiased(a, rows * n, EXP)
    for i in range(rows):
        row = a + i * n
        total = 0
        for j in range(n):
            total += row[j]
        total = 1 / total
        for j in range(n):
            row[j] = row[j] * total


cdef inline void activate(
    real* a, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation
) noexcept nogil:
    """a (rows, n) becomes σ(a)."""
    if activation == LOGISTIC:
        map_value_unbiased(a, rows * n, LOGISTIC)
    elif activation == TANH:
        map_value_unbiased(a, rows * n, TANH)
    elif activation == RELU:
        map_value_unbiased(a, rows * n, RELU)
    elif activation == EXP:
        map_value_unbiased(a, rows * n, EXP)
    elif activation == SOFTMAX:
        softmax(a, rows, n)


cdef inline void add_bias_and_activate(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation
) noexcept nogil:
    """a (rows, n) becomes σ(a + b), in one pass."""
    if activation == LOGISTIC:
        map_value(a, b, rows, n, LOGISTIC)
    elif activation == TANH:
        map_value(a, b, rows, n, TANH)
    elif activation == RELU:
        map_value(a, b, rows, n, RELU)
    elif activation == EXP:
        map_value(a, b, rows, n, EXP)
    else:
        map_value(a, b, rows, n, IDENTITY)
        activate(a, rows, n, activation)


cdef inline void multiply_slope(
    real* delta, const real* a, Py_ssize_t n, Py_ssize_t activation
) noexcept nogil:
    """delta becomes delta ⊙ σ'(z), with a = σ(z)."""
    if activation == LOGISTIC:
        map_slope(delta, a, n, LOGISTIC)
    elif activation == TANH:
        map_slope(delta, a, n, TANH)
    elif activation == RELU:
        map_slope(delta, a, n, RELU)
    elif activation == EXP:
        map_slope(delta, a, n, EXP)
