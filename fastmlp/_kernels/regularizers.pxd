"""The penalty l1 ‖W‖₁ + ½ l2 ‖W‖², l1 = α r/m and l2 = α (1 − r)/m, and its gradient,
which is added where it is used: in the update's pass over memory, or by
add_penalty_gradient for a full gradient."""
from fastmlp._kernels.records cimport real

# Independent partial sums, which the compiler keeps in vector registers: it may
# not reorder a single running sum by itself.
cdef enum:
    LANES = 32


cdef inline real penalised(real g, real w, real l1, real l2) noexcept nogil:
    """g + l1 sign w + l2 w, sign 0 = 0."""
    return g + l2 * w + (l1 if w > 0 else (-l1 if w < 0 else <real>0))


cdef inline real magnitude(real x) noexcept nogil:
    return -x if x < 0 else x


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


cdef inline double sum_magnitudes(const real* x, Py_ssize_t n) noexcept nogil:
    """Σ |x|."""
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += magnitude(x[i])
    return total


cdef inline double penalty(const real* x, Py_ssize_t n, double l1, double l2) noexcept nogil:
    """l1 Σ |x| + ½ l2 Σ x²."""
    cdef double total = 0
    if l1 != 0:
        total += l1 * sum_magnitudes(x, n)
    if l2 != 0:
        total += 0.5 * l2 * sum_squares(x, n)
    return total


cdef inline double sum_squared_gradient(
    const real* grads, const real* params, Py_ssize_t n, real l1, real l2
) noexcept nogil:
    """Σ g², g with its penalty."""
    cdef Py_ssize_t i
    cdef double total = 0
    cdef real g
    for i in range(n):
        g = penalised(grads[i], params[i], l1, l2)
        total += <double>g * g
    return total


cdef inline double sum_squares_of(
    const real* grads, const real* params, Py_ssize_t n, real l1, real l2
) noexcept nogil:
    """The same, the faster where there is no penalty."""
    if l1 == 0 and l2 == 0:
        return sum_squares(grads, n)
    return sum_squared_gradient(grads, params, n, l1, l2)


cdef inline void add_penalty_gradient(
    real* grads, const real* params, Py_ssize_t n, real l1, real l2
) noexcept nogil:
    """grads += l1 sign params + l2 params."""
    cdef Py_ssize_t i
    for i in range(n):
        grads[i] = penalised(grads[i], params[i], l1, l2)
