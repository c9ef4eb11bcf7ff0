# What Python may ask of an engine besides jobs: whole arrays looked through before one, and
# the formulas one by one (rooms.pxi). Here, and not with the calls, for each engine has its
# own code of them: the tests try the one that the jobs run.


cdef bint are_rows(const Py_ssize_t* order, Py_ssize_t n, Py_ssize_t n_rows) noexcept nogil:
    """Whether all are in 0 ... n_rows - 1. No branch, here and below: entries are looked at
    side by side."""
    cdef Py_ssize_t i
    cdef bint inside = True
    for i in range(n):
        inside &= 0 <= order[i] < n_rows
    return inside


cdef bint are_columns(const int* indices, Py_ssize_t n, Py_ssize_t n_columns) noexcept nogil:
    """Whether all are in 0 ... n_columns - 1."""
    cdef Py_ssize_t i
    cdef bint inside = True
    for i in range(n):
        inside &= 0 <= indices[i] < n_columns
    return inside


cdef bint are_in_order(const Py_ssize_t* ends, Py_ssize_t n) noexcept nogil:
    """Whether none of n + 1 numbers is less than the one before it."""
    cdef Py_ssize_t i
    cdef bint inside = True
    for i in range(n):
        inside &= ends[i] <= ends[i + 1]
    return inside


cdef inline bint is_class_index(double y, double n_classes) noexcept nogil:
    """Whether y is one of 0 ... n_classes - 1."""
    # Doubles from 2⁵² on are whole: a fraction of y does not survive the sum.
    return (0 <= y) & (y < n_classes) & (y + 4503599627370496.0 - 4503599627370496.0 == y)


cdef bint are_classes(const real* y, Py_ssize_t n, Py_ssize_t n_classes) noexcept nogil:
    """Whether all are class indices."""
    cdef Py_ssize_t i
    cdef bint inside = True
    for i in range(n):
        inside &= is_class_index(y[i], n_classes)
    return inside


cdef void exp(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.exp(x[i])


cdef void log(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.log(x[i])


cdef void log1p(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.log1p(x[i])


cdef void tanh(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.tanh(x[i])


cdef void sigmoid(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.sigmoid(x[i])


cdef void softplus(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.softplus(x[i])


cdef void erf(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.erf(x[i])


cdef void reciprocal(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.reciprocal(x[i])


cdef void cos_of_turns(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.cos_of_turns(x[i])


cdef void sin_of_turns(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = math.sin_of_turns(x[i])


cdef void activate(
    real* a, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation, real param
) noexcept nogil:
    activations.activate(a, rows, n, activation, param)


cdef void add_bias_and_activate(
    real* a, const real* b, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    activations.add_bias_and_activate(a, b, rows, n, activation, param)


cdef void multiply_slope(
    real* delta, const real* a, const real* z, Py_ssize_t n, Py_ssize_t activation,
    real param,
) noexcept nogil:
    activations.multiply_slope(delta, a, z, n, activation, param)


cdef void multiply_jacobian(
    real* delta, const real* a, const real* z, Py_ssize_t rows, Py_ssize_t n,
    Py_ssize_t activation, real param,
) noexcept nogil:
    activations.multiply_jacobian(delta, a, z, rows, n, activation, param)


cdef void differentiate_slope(
    real* rdelta, const real* delta, const real* rz, const real* a, const real* z,
    Py_ssize_t n, Py_ssize_t activation, real param,
) noexcept nogil:
    activations.differentiate_slope(rdelta, delta, rz, a, z, n, activation, param)


cdef void evaluate_head(
    real* delta, real* losses, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation,
) noexcept nogil:
    heads.evaluate_head(
        delta, losses, z, y, scales, numbers, rows, n, loss, activation)


cdef void differentiate_head(
    real* rdelta, const real* rz, const real* z, const real* y, const real* scales,
    const real* numbers, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t loss,
    Py_ssize_t activation,
) noexcept nogil:
    heads.differentiate_head(
        rdelta, rz, z, y, scales, numbers, rows, n, loss, activation)


cdef void drop(
    real* a, double dropout, Py_ssize_t seed, Py_ssize_t t, Py_ssize_t layer,
    Py_ssize_t position, Py_ssize_t n,
) noexcept nogil:
    random.drop(a, dropout, seed, t, layer, position, n)


cdef void compute_moments(
    real* moments, const real* x, const real* scales, Py_ssize_t rows,
    Py_ssize_t width,
) noexcept nogil:
    batch_norm.compute_moments(
        moments, moments + width, x, scales, rows, 1, width, 0, width)


cdef void normalize(
    real* x, const real* moments, Py_ssize_t rows, Py_ssize_t width
) noexcept nogil:
    batch_norm.normalize(x, moments, moments + width, rows, width)


cdef void scale_and_shift(
    real* z, const real* x, const real* gammas, const real* biases, Py_ssize_t rows,
    Py_ssize_t width,
) noexcept nogil:
    batch_norm.scale_and_shift(z, x, gammas, biases, rows, width)


cdef void normalize_deltas(
    real* delta, real* bias_grads, real* gamma_grads, const real* x, const real* scales,
    const real* gammas, const real* moments, Py_ssize_t rows, Py_ssize_t width,
) noexcept nogil:
    batch_norm.sum_gradients(
        bias_grads, gamma_grads, delta, x, rows, width, 0, width, False)
    batch_norm.multiply_slope_of_batch(
        delta, bias_grads, gamma_grads, x, scales, gammas, moments + width, rows, 1, width)


cdef void multiply(
    real* c, Py_ssize_t c_row, const real* a, const real* b, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t a_row, Py_ssize_t a_column, Py_ssize_t b_row,
    Py_ssize_t b_column, bint accumulate,
) noexcept nogil:
    products.multiply(
        c, c_row, a, b, m, n, k, a_row, a_column, b_row, b_column, accumulate,
        products.in_pieces(sizeof(real), m, n, k))


cdef void sum_columns(
    real* out, const real* a, Py_ssize_t m, Py_ssize_t n, bint accumulate
) noexcept nogil:
    products.sum_columns(out, a, m, n, accumulate)


cdef double sum_squares(const real* x, Py_ssize_t n) noexcept nogil:
    return regularizers.sum_squares(x, n)


cdef double sum_magnitudes(const real* x, Py_ssize_t n) noexcept nogil:
    return regularizers.sum_magnitudes(x, n)


cdef void update(
    real* params, const real* grads, real* slots, Py_ssize_t slot_stride, Py_ssize_t n,
    const Rule* rule, double l1, double l2, double shrink, double scale,
) noexcept nogil:
    cdef Coefficients step = optimizers.begin_step(rule)
    step.l1, step.l2, step.shrink, step.scale = l1, l2, shrink, scale
    optimizers.update(params, grads, slots, slot_stride, n, &step)
