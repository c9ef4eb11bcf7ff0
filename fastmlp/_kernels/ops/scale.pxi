# A trainable diagonal: each column times a number of its own, z = x ⊙ s, and no bias;
# ∂J/∂x = δ ⊙ s, ∂J/∂s = Σ x ⊙ δ. Its tensor has a row for each column.


cdef inline void scale_columns(
    real* out, const real* x, const real* s, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """out = x ⊙ s of so many rows."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(n):
            out[i * n + j] = x[i * n + j] * s[j]


cdef inline void scale_gradient(
    real* grads, const real* x, const real* delta, Py_ssize_t rows, Py_ssize_t n,
    Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """grads += Σ x ⊙ δ, columns begin … end of it."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(begin, end):
            grads[j] += x[i * n + j] * delta[i * n + j]
