"""Batch normalisation: x̂ = (x − μ)/√(s² + ε), z = γ x̂ + b (Ioffe, Szegedy 2015).

μ and s² are weighted by the rows' scales wᵢ/m, so that a row of weight 2 counts as two.
Matrices are `width` wide. Sums over rows are made for columns begin … end, which the
threads of a team share out; everything else is done row by row. Of images every position
is a row, with an equal part of the image's scale.
"""
from libc.math cimport sqrt

from fastmlp._kernels.records cimport real

cdef enum:
    # Columns worked on at a time, what they are multiplied with on the stack.
    COLUMNS = 256


cdef inline real inverse_deviation(real variance) noexcept nogil:
    """1/√(s² + ε)."""
    return <real>(1 / sqrt(<double>variance + 1e-5))


cdef inline void find_slopes(
    real* slopes, const real* gammas, const real* variance, Py_ssize_t n
) noexcept nogil:
    """γ/√(s² + ε), ∂z/∂x with the moments held."""
    cdef Py_ssize_t j
    for j in range(n):
        slopes[j] = gammas[j] * inverse_deviation(variance[j])


cdef inline void compute_moments(
    real* mean, real* variance, const real* x, const real* scales, Py_ssize_t rows,
    Py_ssize_t positions, Py_ssize_t width, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """μ = Σ scalesᵢ xᵢ, s² = Σ scalesᵢ (xᵢ − μ)²; x (rows × positions, width)."""
    cdef Py_ssize_t i, j
    cdef real difference, scale
    for j in range(begin, end):
        mean[j] = 0
        variance[j] = 0
    for i in range(rows * positions):
        scale = scales[i // positions] / <real>positions
        for j in range(begin, end):
            mean[j] += scale * x[i * width + j]
    for i in range(rows * positions):
        scale = scales[i // positions] / <real>positions
        for j in range(begin, end):
            difference = x[i * width + j] - mean[j]
            variance[j] += scale * difference * difference


cdef inline double momentum(Py_ssize_t rows, Py_ssize_t batch_size) noexcept nogil:
    """Which part of the way running averages move to the moments of so many rows: a
    tenth for a whole batch, in proportion for a short one."""
    return 0.1 * (<double>rows / batch_size)


cdef inline void update_running(
    real* running, const real* batch, real momentum, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Running averages move towards the batch's moments."""
    cdef Py_ssize_t j
    for j in range(begin, end):
        running[j] += momentum * (batch[j] - running[j])


cdef inline void normalize(
    real* x, const real* mean, const real* variance, Py_ssize_t rows, Py_ssize_t width
) noexcept nogil:
    """x becomes x̂."""
    cdef real inverse[COLUMNS]
    cdef Py_ssize_t i, j, n, first = 0
    cdef real* row
    while first < width:
        n = min(<Py_ssize_t>COLUMNS, width - first)
        for j in range(n):
            inverse[j] = inverse_deviation(variance[first + j])
        for i in range(rows):
            row = x + i * width + first
            for j in range(n):
                row[j] = (row[j] - mean[first + j]) * inverse[j]
        first += n


cdef inline void scale_and_shift(
    real* z, const real* x, const real* gammas, const real* biases, Py_ssize_t rows,
    Py_ssize_t width,
) noexcept nogil:
    """z = γ x̂ + b."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(width):
            z[i * width + j] = gammas[j] * x[i * width + j] + biases[j]


cdef inline void sum_gradients(
    real* bias_grads, real* gamma_grads, const real* delta, const real* x, Py_ssize_t rows,
    Py_ssize_t width, Py_ssize_t begin, Py_ssize_t end, bint accumulate,
) noexcept nogil:
    """∂J/∂b = Σ δ, ∂J/∂γ = Σ δ ⊙ x̂ over rows (+ what is there)."""
    cdef Py_ssize_t i, j
    if not accumulate:
        for j in range(begin, end):
            bias_grads[j] = 0
            gamma_grads[j] = 0
    for i in range(rows):
        for j in range(begin, end):
            bias_grads[j] += delta[i * width + j]
            gamma_grads[j] += delta[i * width + j] * x[i * width + j]


cdef inline void multiply_slope_of_running(
    real* delta, const real* gammas, const real* variance, Py_ssize_t rows, Py_ssize_t width
) noexcept nogil:
    """δ ⊙ γ/√(s² + ε): running moments do not depend on the rows."""
    cdef real slopes[COLUMNS]
    cdef Py_ssize_t i, j, n, first = 0
    while first < width:
        n = min(<Py_ssize_t>COLUMNS, width - first)
        find_slopes(slopes, gammas + first, variance + first, n)
        for i in range(rows):
            for j in range(n):
                delta[i * width + first + j] *= slopes[j]
        first += n


cdef inline void multiply_slope_of_batch(
    real* delta, const real* bias_grads, const real* gamma_grads, const real* x,
    const real* scales, const real* gammas, const real* variance, Py_ssize_t rows,
    Py_ssize_t positions, Py_ssize_t width,
) noexcept nogil:
    """γ/√(s² + ε) (δ − scalesᵢ (Σδ + x̂ Σ δx̂)): the batch's moments do."""
    cdef real slopes[COLUMNS]
    cdef real scale
    cdef Py_ssize_t i, j, n, at, first = 0
    while first < width:
        n = min(<Py_ssize_t>COLUMNS, width - first)
        find_slopes(slopes, gammas + first, variance + first, n)
        for i in range(rows * positions):
            at = i * width + first
            scale = scales[i // positions] / <real>positions
            for j in range(n):
                delta[at + j] = slopes[j] * (delta[at + j] - scale * (
                    bias_grads[first + j] + x[at + j] * gamma_grads[first + j]))
        first += n
