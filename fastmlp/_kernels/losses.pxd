"""Heads: a loss with its output activation.

Each reads z and writes ∂ℓ/∂z into delta and the share of ℓ that each target has into
losses: of the shape of y, (rows, n), under softmax's log_loss (rows, 1). evaluate_head then multiplies delta by
the rows' scales, wᵢ/m. differentiate_head multiplies by the second derivative, ∂²ℓ/∂z².
A code without a formula gives NaN.

Adding a loss: CONTRIBUTING.md.
"""
from libc.math cimport NAN
from libc.string cimport memcpy

from fastmlp._kernels cimport activations, math, reductions
from fastmlp._kernels.records cimport real

cdef enum Loss:
    SQUARED_ERROR = 0
    LOG_LOSS = 1
    ABSOLUTE_ERROR = 2
    HUBER = 3
    QUANTILE = 4
    POISSON = 5
    GAMMA = 6
    TWEEDIE = 7
    LOG_COSH = 8
    CROSS_ENTROPY = 9


cdef inline void squared_error(
    real* delta, real* losses, const real* z, const real* y,
    Py_ssize_t n, Py_ssize_t activation,
) noexcept nogil:
    """½(a − y)² with a = σ(z); δ = (a − y) σ'(z)."""
    cdef Py_ssize_t i
    cdef real* a = losses
    memcpy(a, z, n * sizeof(real))
    activations.activate(a, n, 1, activation, <real>0)
    for i in range(n):
        delta[i] = a[i] - y[i]
    activations.multiply_slope(delta, a, z, n, activation, <real>0)
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


cdef inline void absolute_error(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t n
) noexcept nogil:
    """|z − y|; δ = sign(z − y)."""
    cdef Py_ssize_t i
    cdef real r
    for i in range(n):
        r = z[i] - y[i]
        losses[i] = math.absolute(r)
        delta[i] = <real>1 if r > 0 else (<real>-1 if r < 0 else r)


cdef inline void huber(
    real* delta, real* losses, const real* z, const real* y, const real* kappas,
    Py_ssize_t rows, Py_ssize_t n,
) noexcept nogil:
    """½c² + κ(|r| − c), c = min(|r|, κ), r = z − y; δ = r within ±κ, else ±κ (Huber 1964)."""
    cdef Py_ssize_t i, j, at
    cdef real r, size, clipped
    for i in range(rows):
        for j in range(n):
            at = i * n + j
            r = z[at] - y[at]
            size = math.absolute(r)
            clipped = kappas[j] if size > kappas[j] else size
            losses[at] = <real>0.5 * clipped * clipped + kappas[j] * (size - clipped)
            delta[at] = math.with_sign_of(clipped, r)


cdef inline void quantile(
    real* delta, real* losses, const real* z, const real* y, const real* levels,
    Py_ssize_t rows, Py_ssize_t n,
) noexcept nogil:
    """q r where r = y − z ≥ 0, else (q − 1) r; δ = −q below y, 1 − q above
    (Koenker, Bassett 1978)."""
    cdef Py_ssize_t i, j, at
    cdef real r
    for i in range(rows):
        for j in range(n):
            at = i * n + j
            r = y[at] - z[at]
            losses[at] = r * (levels[j] if r > 0 else levels[j] - <real>1)
            delta[at] = -levels[j] if r > 0 else (<real>1 - levels[j] if r < 0 else r)


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


cdef inline void gamma(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t n
) noexcept nogil:
    """Half the gamma deviance of μ = eᶻ: z − ln y + y/μ − 1; δ = 1 − y/μ."""
    cdef Py_ssize_t i
    cdef real t, ratio
    for i in range(n):
        # No product, which a compiler may or may not fuse with the difference.
        t = math.log(y[i]) - z[i]
        ratio = math.exp(t)
        delta[i] = <real>1 - ratio
        losses[i] = (ratio - <real>1) - t


cdef inline void tweedie(
    real* delta, real* losses, const real* z, const real* y, const real* powers,
    Py_ssize_t rows, Py_ssize_t n,
) noexcept nogil:
    """Half the Tweedie deviance of μ = eᶻ, 1 < p < 2: μ²⁻ᵖ/(2 − p) − y μ¹⁻ᵖ/(1 − p) +
    y²⁻ᵖ/((1 − p)(2 − p)); δ = μ²⁻ᵖ − y μ¹⁻ᵖ (Jørgensen 1987)."""
    cdef Py_ssize_t i, j, at
    cdef real one, two, upper, lower, constant
    for i in range(rows):
        for j in range(n):
            at = i * n + j
            one, two = <real>1 - powers[j], <real>2 - powers[j]
            upper, lower = math.exp(two * z[at]), y[at] * math.exp(one * z[at])
            constant = math.exp(two * math.log(y[at])) if y[at] > 0 else <real>0
            delta[at] = upper - lower
            losses[at] = upper / two - lower / one + constant / (one * two)


cdef inline void log_cosh(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t n
) noexcept nogil:
    """ln cosh r, r = z − y; δ = tanh r. With m = e^−|r| − 1, cosh r − 1 = m²/(2 (1 + m)),
    which loses nothing where r is small; where it is large, |r| + ln(1 + e^−2|r|) − ln 2."""
    cdef Py_ssize_t i
    cdef real r, size, m, less
    for i in range(n):
        r = z[i] - y[i]
        size = math.absolute(r)
        m = math.expm1_negative(-size)
        less = m * m / (<real>2 * (<real>1 + m))
        delta[i] = math.tanh(r)
        losses[i] = (
            size + math.log1p(math.exp(<real>-2 * size)) - <real>0.6931471805599453
            if size > 1 else math.log1p(less))


cdef inline void log_loss_softmax_of_block(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, at
    cdef real largest[reductions.BLOCK]
    cdef real totals[reductions.BLOCK]
    cdef real logs[reductions.BLOCK]
    activations.exponentiate_rows(delta, largest, totals, z, rows, n)
    activations.divide_rows(delta, totals, rows, n)
    for i in range(rows):
        logs[i] = math.log(totals[i])
    for i in range(rows):
        at = i * n + <Py_ssize_t>y[i]
        losses[i] = logs[i] + (largest[i] - z[at])
        delta[at] -= <real>1


cdef inline void log_loss_softmax(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """−ln p_y = ln Σ exp(z) − z_y, p = softmax(z); δ = p − onehot(y). y holds indices."""
    cdef Py_ssize_t begin = 0, size
    while begin < rows:
        size = min(rows - begin, <Py_ssize_t>reductions.BLOCK)
        log_loss_softmax_of_block(
            delta + begin * n, losses + begin, z + begin * n, y + begin, size, n)
        begin += size


cdef inline void cross_entropy_of_block(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, at
    cdef real total, log_total
    cdef real largest[reductions.BLOCK]
    cdef real totals[reductions.BLOCK]
    activations.exponentiate_rows(delta, largest, totals, z, rows, n)
    activations.divide_rows(delta, totals, rows, n)
    for i in range(rows):
        total, log_total = 0, math.log(totals[i])
        for at in range(i * n, i * n + n):
            total += y[at]
        for at in range(i * n, i * n + n):
            losses[at] = y[at] * (log_total + (largest[i] - z[at]))
            delta[at] = total * delta[at] - y[at]


cdef inline void cross_entropy(
    real* delta, real* losses, const real* z, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """−Σ y_k ln p_k, p = softmax(z); δ = p Σ y − y. A row of y has a probability for each
    class."""
    cdef Py_ssize_t begin = 0, size
    while begin < rows:
        size = min(rows - begin, <Py_ssize_t>reductions.BLOCK)
        cross_entropy_of_block(
            delta + begin * n, losses + begin * n, z + begin * n, y + begin * n, size, n)
        begin += size


cdef inline void scale_rows(
    real* delta, const real* scales, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(n):
            delta[i * n + j] = delta[i * n + j] * scales[i]


cdef inline void fill_with_nan(real* out, Py_ssize_t n) noexcept nogil:
    """What a loss without a formula gives."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = <real>NAN


cdef inline void evaluate_head(
    real* delta, real* losses, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation,
) noexcept nogil:
    """delta (rows, n) = scales ⊙ ∂ℓ/∂z, and the shares of ℓ."""
    if loss == SQUARED_ERROR:
        squared_error(delta, losses, z, y, rows * n, activation)
    elif loss == ABSOLUTE_ERROR:
        absolute_error(delta, losses, z, y, rows * n)
    elif loss == HUBER:
        huber(delta, losses, z, y, numbers, rows, n)
    elif loss == QUANTILE:
        quantile(delta, losses, z, y, numbers, rows, n)
    elif loss == POISSON:
        poisson(delta, losses, z, y, rows * n)
    elif loss == GAMMA:
        gamma(delta, losses, z, y, rows * n)
    elif loss == TWEEDIE:
        tweedie(delta, losses, z, y, numbers, rows, n)
    elif loss == LOG_COSH:
        log_cosh(delta, losses, z, y, rows * n)
    elif loss == LOG_LOSS and activation == activations.SOFTMAX:
        log_loss_softmax(delta, losses, z, y, rows, n)
    elif loss == LOG_LOSS:
        log_loss_logistic(delta, losses, z, y, rows * n)
    elif loss == CROSS_ENTROPY:
        cross_entropy(delta, losses, z, y, rows, n)
    else:
        fill_with_nan(delta, rows * n)
        fill_with_nan(losses, rows * n)
    scale_rows(delta, scales, rows, n)


cdef inline void multiply_by_sums(
    real* rdelta, const real* y, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """Each row of rdelta times the sum of y's."""
    cdef Py_ssize_t i, at
    cdef real total
    for i in range(rows):
        total = 0
        for at in range(i * n, i * n + n):
            total += y[at]
        for at in range(i * n, i * n + n):
            rdelta[at] = rdelta[at] * total


cdef inline void differentiate_squared_error(
    real* rdelta, const real* rz, const real* z, const real* y, Py_ssize_t n,
    Py_ssize_t activation,
) noexcept nogil:
    """(σ'² + (a − y) σ'') rz, entry by entry: a sum over few, never the bottleneck."""
    cdef Py_ssize_t i
    cdef real a, slope
    for i in range(n):
        a = activations.value(z[i], activation, <real>0)
        slope = activations.slope(a, z[i], activation, <real>0)
        rdelta[i] = rz[i] * (
            slope * slope + (a - y[i]) * activations.curvature(a, z[i], activation))


cdef inline void differentiate_head(
    real* rdelta, const real* rz, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation,
) noexcept nogil:
    """rdelta = scales ⊙ (∂²ℓ/∂z²) rz, (rows, n)."""
    cdef Py_ssize_t i
    cdef real p
    if loss == SQUARED_ERROR:
        differentiate_squared_error(rdelta, rz, z, y, rows * n, activation)
    elif loss == HUBER:
        for i in range(rows * n):
            rdelta[i] = rz[i] if math.absolute(z[i] - y[i]) <= numbers[i % n] else <real>0
    elif loss == POISSON:
        for i in range(rows * n):
            rdelta[i] = math.exp(z[i]) * rz[i]
    elif loss == GAMMA:
        for i in range(rows * n):
            rdelta[i] = y[i] * math.exp(-z[i]) * rz[i]
    elif loss == TWEEDIE:
        for i in range(rows * n):
            p = numbers[i % n]
            rdelta[i] = rz[i] * (
                (<real>2 - p) * math.exp((<real>2 - p) * z[i])
                - (<real>1 - p) * y[i] * math.exp((<real>1 - p) * z[i]))
    elif loss == LOG_COSH:
        for i in range(rows * n):
            p = math.exp(<real>-2 * math.absolute(z[i] - y[i]))
            rdelta[i] = math.divide(<real>4 * p, (<real>1 + p) * (<real>1 + p)) * rz[i]
    elif loss == LOG_LOSS and activation == activations.SOFTMAX:
        memcpy(rdelta, z, rows * n * sizeof(real))
        activations.softmax(rdelta, rows, n)
        activations.multiply_softmax_jacobian(rdelta, rz, rdelta, rows, n)
    elif loss == LOG_LOSS:
        for i in range(rows * n):
            p = math.sigmoid(z[i])
            rdelta[i] = p * (<real>1 - p) * rz[i]
    elif loss == CROSS_ENTROPY:
        memcpy(rdelta, z, rows * n * sizeof(real))
        activations.softmax(rdelta, rows, n)
        activations.multiply_softmax_jacobian(rdelta, rz, rdelta, rows, n)
        multiply_by_sums(rdelta, y, rows, n)
    elif loss == ABSOLUTE_ERROR or loss == QUANTILE:
        for i in range(rows * n):
            rdelta[i] = 0
    else:
        fill_with_nan(rdelta, rows * n)
    scale_rows(rdelta, scales, rows, n)
