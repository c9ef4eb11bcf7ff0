"""Row-major matrix products on SciPy's BLAS.

BLAS is column-major: a row-major (r, c) matrix is to it the transposed (c, r)
matrix with leading dimension c. So C = A B is asked for as Cᵀ = Bᵀ Aᵀ, operands
swapped; this file is the only one that knows.

Sizes are C ints in BLAS; the engine checks that they fit before it calls.
"""
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from fastmlp._kernels.types cimport real


cdef inline void gemm(
    real* c, const real* a, const real* b, bint transpose_a, bint transpose_b,
    int m, int n, int k, int lda, int ldb, real beta,
) noexcept nogil:
    """Row-major c (m, n) = op(a) op(b) + beta c, with inner dimension k."""
    cdef real one = 1
    cdef char* op_a = b"T" if transpose_a else b"N"
    cdef char* op_b = b"T" if transpose_b else b"N"
    if real is float:
        sgemm(op_b, op_a, &n, &m, &k, &one, <float*>b, &ldb, <float*>a, &lda, &beta, c, &n)
    else:
        dgemm(op_b, op_a, &n, &m, &k, &one, <double*>b, &ldb, <double*>a, &lda, &beta, c, &n)


cdef inline void gemv(
    real* y, const real* a, const real* x, bint transpose, int rows, int columns, real beta
) noexcept nogil:
    """y = op(a) x + beta y, with a row-major (rows, columns)."""
    cdef real one = 1
    cdef int stride = 1
    cdef char* op = b"N" if transpose else b"T"
    if beta == 0:
        # Some BLAS multiply y by beta instead of overwriting it: NaN would stay NaN.
        memset(y, 0, (columns if transpose else rows) * sizeof(real))
    if real is float:
        sgemv(op, &columns, &rows, &one, <float*>a, &columns, <float*>x, &stride, &beta, y, &stride)
    else:
        dgemv(op, &columns, &rows, &one, <double*>a, &columns, <double*>x, &stride, &beta, y, &stride)


cdef inline void outer(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, real beta
) noexcept nogil:
    """c (m, n) = a bᵀ + beta c, of two vectors."""
    cdef Py_ssize_t i, j
    cdef real factor
    for i in range(m):
        factor = a[i]
        if beta == 0:
            for j in range(n):
                c[i * n + j] = factor * b[j]
        else:
            for j in range(n):
                c[i * n + j] += factor * b[j]


cdef inline void multiply_nn(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, real beta
) noexcept nogil:
    """c (m, n) = a (m, k) b (k, n) + beta c."""
    if m == 1:
        gemv(c, b, a, True, <int>k, <int>n, beta)
    elif n == 1:
        gemv(c, a, b, False, <int>m, <int>k, beta)
    else:
        gemm(c, a, b, False, False, <int>m, <int>n, <int>k, <int>k, <int>n, beta)


cdef inline void multiply_nt(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, real beta
) noexcept nogil:
    """c (m, n) = a (m, k) bᵀ + beta c, with b (n, k)."""
    if k == 1:
        outer(c, a, b, m, n, beta)
    elif m == 1:
        gemv(c, b, a, False, <int>n, <int>k, beta)
    elif n == 1:
        gemv(c, a, b, False, <int>m, <int>k, beta)
    else:
        gemm(c, a, b, False, True, <int>m, <int>n, <int>k, <int>k, <int>k, beta)


cdef inline void multiply_tn(
    real* c, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, real beta
) noexcept nogil:
    """c (m, n) = aᵀ b + beta c, with a (k, m) and b (k, n)."""
    if k == 1:
        outer(c, a, b, m, n, beta)
    elif n == 1:
        gemv(c, a, b, True, <int>k, <int>m, beta)
    elif m == 1:
        gemv(c, b, a, True, <int>k, <int>n, beta)
    else:
        gemm(c, a, b, True, False, <int>m, <int>n, <int>k, <int>m, <int>n, beta)


cdef inline void sum_columns(
    real* out, const real* a, Py_ssize_t m, Py_ssize_t n, real beta
) noexcept nogil:
    """out (n,) = column sums of a (m, n) + beta out."""
    cdef Py_ssize_t i, j
    if beta == 0:
        memset(out, 0, n * sizeof(real))
    for i in range(m):
        for j in range(n):
            out[j] += a[i * n + j]
