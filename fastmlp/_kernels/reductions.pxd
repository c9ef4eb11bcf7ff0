"""Many numbers to one, by lanes: the compiler keeps them in vector registers, and may
not split a single running sum or maximum by itself. Their number is part of the result.
"""
from fastmlp._kernels.records cimport real

cdef enum:
    LANES = 16
    # Rows whose largest entries or totals are found together.
    BLOCK = 64


cdef inline real larger(real a, real b) noexcept nogil:
    return a if a > b else b


cdef inline real largest(const real* x, Py_ssize_t n) noexcept nogil:
    """max x, n at least LANES."""
    cdef real lanes[LANES]
    cdef Py_ssize_t i, j
    cdef real result = x[0]
    for i in range(n - n % LANES, n):
        result = larger(x[i], result)
    for j in range(LANES):
        lanes[j] = x[j]
    for i in range(1, n // LANES):
        for j in range(LANES):
            lanes[j] = larger(x[i * LANES + j], lanes[j])
    for j in range(LANES):
        result = larger(lanes[j], result)
    return result


cdef inline void largest_of_rows(
    real* out, const real* x, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """out (rows,) = the largest of each row of x (rows, n): of short rows side by side."""
    cdef Py_ssize_t i, j
    if n >= LANES:
        for i in range(rows):
            out[i] = largest(x + i * n, n)
        return
    for i in range(rows):
        out[i] = x[i * n]
    for j in range(1, n):
        for i in range(rows):
            out[i] = larger(x[i * n + j], out[i])


cdef inline real total(const real* x, Py_ssize_t n, real cap) noexcept nogil:
    """Σ min(x, cap), n at least LANES; NaN stays NaN."""
    cdef real lanes[LANES]
    cdef Py_ssize_t i, j
    cdef real result = 0
    for i in range(n - n % LANES, n):
        result += cap if x[i] > cap else x[i]
    for j in range(LANES):
        lanes[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            lanes[j] += cap if x[i * LANES + j] > cap else x[i * LANES + j]
    for j in range(LANES):
        result += lanes[j]
    return result


cdef inline void total_of_rows(
    real* out, const real* x, Py_ssize_t rows, Py_ssize_t n, real cap
) noexcept nogil:
    """out (rows,) = Σ min(x, cap) of each row of x (rows, n): of short rows side by side."""
    cdef Py_ssize_t i, j
    if n >= LANES:
        for i in range(rows):
            out[i] = total(x + i * n, n, cap)
        return
    for i in range(rows):
        out[i] = 0
    for j in range(n):
        for i in range(rows):
            out[i] += cap if x[i * n + j] > cap else x[i * n + j]
