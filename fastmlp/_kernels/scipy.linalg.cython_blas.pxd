"""What is used of SciPy's BLAS, declared as SciPy does: a build then needs no SciPy.

Cython compares these types with the installed SciPy's when an engine is imported.
"""
ctypedef float s
ctypedef double d

cdef void sgemm(char* transa, char* transb, int* m, int* n, int* k, s* alpha, s* a,
                int* lda, s* b, int* ldb, s* beta, s* c, int* ldc) noexcept nogil
cdef void dgemm(char* transa, char* transb, int* m, int* n, int* k, d* alpha, d* a,
                int* lda, d* b, int* ldb, d* beta, d* c, int* ldc) noexcept nogil
cdef void sgemv(char* trans, int* m, int* n, s* alpha, s* a, int* lda, s* x, int* incx,
                s* beta, s* y, int* incy) noexcept nogil
cdef void dgemv(char* trans, int* m, int* n, d* alpha, d* a, int* lda, d* x, int* incx,
                d* beta, d* y, int* incy) noexcept nogil
