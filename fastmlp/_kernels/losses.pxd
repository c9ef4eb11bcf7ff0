"""Heads: a loss with its output activation.

Each reads z and writes ∂ℓ/∂z into delta and output k's share of ℓ into losses;
evaluate_head then multiplies delta by the rows' scales, wᵢ/m.

Adding a loss: a code, its formula, a line in evaluate_head, its name and its
valid output activations in tables.pxi, and its twin in fastmlp/_reference/losses.py.
"""
from libc.string cimport memcpy

from fastmlp._kernels cimport activations, math
from fastmlp._kernels.types cimport real

cdef enum Loss:
    SQUARED_ERROR = 0
    LOG_LOSS = 1
    POISSON = 2


cdef inline void squared_error(
    real* delta, real* losses, const real* z, const real* y,
    Py_ssize_t n, Py_ssize_t activation,
) noexcept nogil:
    """½(a − y)² with a = σ(z); δ = (a − y) σ'(z)."""
    cdef Py_ssize_t i
    cdef real* a = losses
    memcpy(a, z, n * sizeof(real))
    activations.activate(a, n, 1, activation)
    for i in range(n):
        delta[i] = a[i] - y[i]
    activations.multiply_slope(delta, a, n, activation)
    for i in range(n):
        losses[i] = <real>0.5 * (a[i] - y[i]) * (a[i] - y[i])


cdef inline void log_loss_logistic(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t n
) noexcept nogil:
    """−y ln p − (1 − y) ln(1 − p), p = 1/(1 + e⁻ᶻ), as softplus(z) − y z; δ = p − y."""
    cdef Py_ssize_t i
    for i in range(n):
        delta[i] = math.sigmoid(z[i]) - y[i]
        losses[i] = ((z[i] if z[i] > 0 else <real>0) - z[i] * y[i]
                     + math.log1p(math.exp(-math.absolute(z[i]))))


cdef inline void poisson(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t n
) noexcept nogil:
    """Half the Poisson deviance of μ = eᶻ: μ − y z + (y ln y − y); δ = μ − y."""
    cdef Py_ssize_t i
    cdef real mean
    for i in range(n):
        mean = math.exp(z[i])
        delta[i] = mean - y[i]
        losses[i] = mean - y[i] * z[i] + (y[i] * math.log(y[i]) - y[i] if y[i] > 0 else <real>0)


cdef inline void log_loss_softmax(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """−ln p_y = ln Σ exp(z) − z_y, p = softmax(z); δ = p − onehot(y). y holds indices."""
    cdef Py_ssize_t i, j, target
    cdef real largest, total
    cdef const real* row
    for i in range(rows):
        row = z + i * n
        largest = row[0]
        for j in range(1, n):
            largest = row[j] if row[j] > largest else largest
        for j in range(n):
            delta[i * n + j] = row[j] - largest
            losses[i * n + j] = 0
        target = <Py_ssize_t>y[i]
        losses[i * n + target] = -delta[i * n + target]
    activations.activate(delta, rows, n, activations.EXP)
    for i in range(rows):
        total = 0
        for j in range(n):
            total += delta[i * n + j]
        target = <Py_ssize_t>y[i]
        losses[i * n + target] += math.log(total)
        total = 1 / total
        for j in range(n):
            delta[i * n + j] = delta[i * n + j] * total
        delta[i * n + target] -= 1


cdef inline void scale_rows(
    real* delta, const real* scales, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(n):
            delta[i * n + j] = delta[i * n + j] * scales[i]


cdef inline void evaluate_head(
    real* delta, real* losses, const real* z, const real* y, const real* scales,
    Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss, Py_ssize_t activation,
) noexcept nogil:
    """delta = scales ⊙ ∂ℓ/∂z and the shares of ℓ, both (rows, n)."""
    if loss == SQUARED_ERROR:
        squared_error(delta, losses, z, y, rows * n, activation)
    elif loss == POISSON:
        poisson(delta, losses, z, y, rows * n)
    elif activation == activations.SOFTMAX:
        log_loss_softmax(delta, losses, z, y, rows, n)
    else:
        log_loss_logistic(delta, losses, z, y, rows * n)
    scale_rows(delta, scales, rows, n)
