"""Products of compressed sparse rows with a dense matrix: the first layer's.

The cost is that of the entries that are there, times the columns of the other side.
"""
from libc.string cimport memset

from fastmlp._kernels.records cimport Rows, real


cdef inline Py_ssize_t row_at(const Rows* rows, Py_ssize_t i) noexcept nogil:
    """Which row of X the i-th row is."""
    return rows.order[i] if rows.order != NULL else rows.begin + i


cdef inline void add_multiple(
    real* out, real factor, const real* row, Py_ssize_t n
) noexcept nogil:
    """out += factor row."""
    cdef Py_ssize_t j
    for j in range(n):
        out[j] += factor * row[j]


cdef inline void multiply(
    real* c, const Rows* rows, const real* data, Py_ssize_t first, Py_ssize_t m,
    const real* w, Py_ssize_t n,
) noexcept nogil:
    """c (m, n) = X W, of rows first … first + m."""
    cdef Py_ssize_t i, p, row
    memset(c, 0, m * n * sizeof(real))
    for i in range(m):
        row = row_at(rows, first + i)
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            add_multiple(c + i * n, data[p], w + rows.indices[p] * n, n)


cdef inline void multiply_transposed(
    real* c, const Rows* rows, const real* data, Py_ssize_t first, Py_ssize_t m,
    const real* delta, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, bint accumulate,
) noexcept nogil:
    """Rows begin … end of Xᵀ δ (+ c), c pointing to row begin; X's rows are first …
    first + m, δ is (m, n)."""
    cdef Py_ssize_t i, p, row, column
    if not accumulate:
        memset(c, 0, (end - begin) * n * sizeof(real))
    for i in range(m):
        row = row_at(rows, first + i)
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            column = rows.indices[p]
            if begin <= column < end:
                add_multiple(c + (column - begin) * n, data[p], delta + i * n, n)
