"""Row-major matrix products on SciPy's BLAS.

BLAS is column-major: a row-major (r, c) matrix is to it the transposed (c, r)
matrix with leading dimension c. So C = A B is asked for as Cᵀ = Bᵀ Aᵀ, operands
swapped; this file is the only one that knows.

Sizes are C ints in BLAS; the engine checks that they fit before it calls.
"""
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from fastmlp._kernels.records cimport real


cdef inline void gemm(
    real* c, int c_width, const real* a, const real* b, int m, int n, int k,
    bint transpose_a, int a_width, bint transpose_b, int b_width, real beta,
) noexcept nogil:
    """c (m, n) = op(a) op(b) + beta c, the matrices' rows their widths apart."""
    cdef real one = 1
    cdef char* op_a = b"T" if transpose_a else b"N"
    cdef char* op_b = b"T" if transpose_b else b"N"
    if real is float:
        sgemm(op_b, op_a, &n, &m, &k, &one, <float*>b, &b_width, <float*>a, &a_width, &beta,
              c, &c_width)
    else:
        dgemm(op_b, op_a, &n, &m, &k, &one, <double*>b, &b_width, <double*>a, &a_width, &beta,
              c, &c_width)


cdef inline void gemv(
    real* y, const real* a, const real* x, bint transpose, int rows, int columns, int width,
    int stride, real beta,
) noexcept nogil:
    """y = op(a) x + beta y, with a (rows, columns) and x's entries stride apart."""
    cdef real one = 1
    cdef int unit = 1
    cdef char* op = b"N" if transpose else b"T"
    if beta == 0:
        # Some BLAS multiply y by beta instead of overwriting it: NaN would stay NaN.
        memset(y, 0, (columns if transpose else rows) * sizeof(real))
    if real is float:
        sgemv(op, &columns, &rows, &one, <float*>a, &width, <float*>x, &stride, &beta, y, &unit)
    else:
        dgemv(op, &columns, &rows, &one, <double*>a, &width, <double*>x, &stride, &beta, y, &unit)


cdef inline void multiply(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate,
) noexcept nogil:
    """c (m, n) = a b (+ c), c's rows c_row apart; of each operand's strides one is 1, the
    other its width, which BLAS wants to be no less than the row even of a single one."""
    cdef bint transpose_a = a_column != 1
    cdef bint transpose_b = b_column != 1
    cdef Py_ssize_t a_width = max(a_column, m) if transpose_a else max(a_row, k)
    cdef Py_ssize_t b_width = max(b_column, k) if transpose_b else max(b_row, n)
    cdef real beta = 1 if accumulate else 0
    if m == 1 and not transpose_b:
        gemv(c, b, a, True, <int>k, <int>n, <int>b_width, <int>a_column, beta)
    elif m == 1:
        gemv(c, b, a, False, <int>n, <int>k, <int>b_width, <int>a_column, beta)
    elif n == c_row == 1 and not transpose_a:
        gemv(c, a, b, False, <int>m, <int>k, <int>a_width, <int>b_row, beta)
    elif n == c_row == 1:
        gemv(c, a, b, True, <int>k, <int>m, <int>a_width, <int>b_row, beta)
    else:
        gemm(c, <int>c_row, a, b, <int>m, <int>n, <int>k, transpose_a, <int>a_width,
             transpose_b, <int>b_width, beta)
