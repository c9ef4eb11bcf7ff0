"""The L2 penalty (α/2m)‖W‖². Its gradient (α/m)W is added where it is used:
in the update's pass over memory, or by add_penalty_gradient for a full gradient."""
from fastmlp._kernels.types cimport real

# Independent partial sums, which the compiler keeps in vector registers: it may
# not reorder a single running sum by itself.
cdef enum:
    LANES = 32


cdef inline double sum_squares(const real* x, Py_ssize_t n) noexcept nogil:
    """Σ x²."""
    cdef real lanes[LANES]
    cdef Py_ssize_t i, j, whole = n - n % LANES
    cdef double total = 0
    for j in range(LANES):
        lanes[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            lanes[j] += x[i * LANES + j] * x[i * LANES + j]
    for j in range(LANES):
        total += lanes[j]
    for i in range(whole, n):
        total += x[i] * x[i]
    return total


cdef inline void add_penalty_gradient(
    real* grads, const real* params, Py_ssize_t n, real l2
) noexcept nogil:
    """grads += l2 · params."""
    cdef Py_ssize_t i
    for i in range(n):
        grads[i] += l2 * params[i]
