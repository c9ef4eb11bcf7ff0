# The rooms one by one, callable from Python: for the tests, which compare each with
# its twin in fastmlp/_reference, and for the bench. Shapes are the caller's word.


def exp(real[::1] out, const real[::1] x):
    """out = eˣ."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.exp(x[i])


def log(real[::1] out, const real[::1] x):
    """out = ln x."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.log(x[i])


def log1p(real[::1] out, const real[::1] x):
    """out = ln(1 + x), 0 ≤ x ≤ 1."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.log1p(x[i])


def tanh(real[::1] out, const real[::1] x):
    """out = tanh x."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.tanh(x[i])


def sigmoid(real[::1] out, const real[::1] x):
    """out = 1/(1 + e⁻ˣ)."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.sigmoid(x[i])


def softplus(real[::1] out, const real[::1] x):
    """out = ln(1 + eˣ)."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.softplus(x[i])


def erf(real[::1] out, const real[::1] x):
    """out = erf x."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.erf(x[i])


def reciprocal(real[::1] out, const real[::1] x):
    """out = 1/x, x positive and normal."""
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        out[i] = math.reciprocal(x[i])


def activate(real[:, ::1] a, Py_ssize_t activation):
    """a (rows, n) becomes σ(a)."""
    activations.activate(&a[0, 0], a.shape[0], a.shape[1], activation)


def add_bias_and_activate(real[:, ::1] a, const real[::1] b, Py_ssize_t activation):
    """a (rows, n) becomes σ(a + b)."""
    activations.add_bias_and_activate(&a[0, 0], &b[0], a.shape[0], a.shape[1], activation)


def multiply_slope(
    real[:, ::1] delta, const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation
):
    """delta becomes delta ⊙ σ'(z), with a = σ(z)."""
    if activation == activations.SOFTMAX:
        raise ValueError("softmax has no elementwise slope")
    activations.multiply_slope(
        &delta[0, 0], &a[0, 0], &z[0, 0], a.shape[0] * a.shape[1], activation)


def multiply_jacobian(
    real[:, ::1] delta, const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation
):
    """Each row of delta becomes its product with ∂σ/∂z, with a = σ(z)."""
    activations.multiply_jacobian(
        &delta[0, 0], &a[0, 0], &z[0, 0], a.shape[0], a.shape[1], activation)


def differentiate_slope(
    real[:, ::1] rdelta, const real[:, ::1] delta, const real[:, ::1] rz,
    const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation,
):
    """rdelta becomes rdelta ⊙ σ'(z) + delta ⊙ σ''(z) ⊙ rz, with a = σ(z)."""
    if activation == activations.SOFTMAX:
        raise ValueError("softmax has no elementwise slope")
    activations.differentiate_slope(
        &rdelta[0, 0], &delta[0, 0], &rz[0, 0], &a[0, 0], &z[0, 0],
        a.shape[0] * a.shape[1], activation)


def evaluate_head(
    real[:, ::1] delta, real[:, ::1] losses, const real[:, ::1] z, const real[:, ::1] y,
    const real[::1] scales, const real[::1] numbers, Py_ssize_t loss, Py_ssize_t activation,
):
    """delta = scales ⊙ ∂ℓ/∂z (rows, n_out), losses = the shares of ℓ, of the shape of y."""
    heads.evaluate_head(
        &delta[0, 0], &losses[0, 0], &z[0, 0], &y[0, 0], &scales[0], &numbers[0],
        z.shape[0], z.shape[1], loss, activation)


def differentiate_head(
    real[:, ::1] rdelta, const real[:, ::1] rz, const real[:, ::1] z,
    const real[:, ::1] y, const real[::1] scales, const real[::1] numbers,
    Py_ssize_t loss, Py_ssize_t activation,
):
    """rdelta = scales ⊙ (∂²ℓ/∂z²) rz; all (rows, n_out)."""
    heads.differentiate_head(
        &rdelta[0, 0], &rz[0, 0], &z[0, 0], &y[0, 0], &scales[0], &numbers[0],
        z.shape[0], z.shape[1], loss, activation)


def drop(
    real[:, ::1] out, const real[:, ::1] a, double dropout, Py_ssize_t seed, Py_ssize_t t,
    Py_ssize_t layer, Py_ssize_t first,
):
    """out = a ⊙ mask/(1 − p); first is the first row's position in its batch."""
    memcpy(&out[0, 0], &a[0, 0], a.shape[0] * a.shape[1] * sizeof(real))
    random.drop(
        &out[0, 0], dropout, seed, t, layer, first * a.shape[1], a.shape[0] * a.shape[1])


def compute_moments(real[:, ::1] moments, const real[:, ::1] x, const real[::1] scales):
    """moments (2, n) = mean and variance of x's columns, rows weighted by scales."""
    batch_norm.compute_moments(
        &moments[0, 0], &moments[1, 0], &x[0, 0], &scales[0], x.shape[0], x.shape[1], 0,
        x.shape[1])


def normalize(real[:, ::1] x, const real[:, ::1] moments):
    """x becomes x̂ = (x − mean)/√(variance + ε)."""
    batch_norm.normalize(&x[0, 0], &moments[0, 0], &moments[1, 0], x.shape[0], x.shape[1])


def scale_and_shift(
    real[:, ::1] z, const real[:, ::1] x, const real[::1] gammas, const real[::1] biases
):
    """z = γ x̂ + b."""
    batch_norm.scale_and_shift(
        &z[0, 0], &x[0, 0], &gammas[0], &biases[0], x.shape[0], x.shape[1])


def normalize_deltas(
    real[:, ::1] delta, real[::1] bias_grads, real[::1] gamma_grads, const real[:, ::1] x,
    const real[::1] scales, const real[::1] gammas, const real[:, ::1] moments,
):
    """From ∂J/∂z to ∂J/∂x of a batch, with ∂J/∂b and ∂J/∂γ on the way."""
    batch_norm.sum_gradients(
        &bias_grads[0], &gamma_grads[0], &delta[0, 0], &x[0, 0], x.shape[0], x.shape[1], 0,
        x.shape[1], False)
    batch_norm.multiply_slope_of_batch(
        &delta[0, 0], &bias_grads[0], &gamma_grads[0], &x[0, 0], &scales[0], &gammas[0],
        &moments[1, 0], x.shape[0], x.shape[1])


def multiply(real[:, :] c, const real[:, :] a, const real[:, :] b, bint accumulate):
    """c = a b (+ c), c some columns of a matrix, a and b also of a transposed one."""
    products.multiply(
        &c[0, 0], c.strides[0] // <Py_ssize_t>sizeof(real), &a[0, 0], &b[0, 0], c.shape[0],
        c.shape[1], a.shape[1], a.strides[0] // <Py_ssize_t>sizeof(real),
        a.strides[1] // <Py_ssize_t>sizeof(real), b.strides[0] // <Py_ssize_t>sizeof(real),
        b.strides[1] // <Py_ssize_t>sizeof(real), accumulate,
        products.in_pieces(sizeof(real), c.shape[0], c.shape[1], a.shape[1]))


def sum_columns(real[::1] out, const real[:, ::1] a, bint accumulate):
    """out = column sums of a (+ out)."""
    products.sum_columns(&out[0], &a[0, 0], a.shape[0], a.shape[1], accumulate)


def sum_squares(const real[::1] x):
    """Σ x²."""
    return regularizers.sum_squares(&x[0], x.shape[0])


def sum_magnitudes(const real[::1] x):
    """Σ |x|."""
    return regularizers.sum_magnitudes(&x[0], x.shape[0])


def update(
    real[::1] params, const real[::1] grads, real[:, :] slots, const Rule[::1] rule,
    double l1, double l2, double shrink, double scale,
):
    """One optimizer step with g = scale (grads + l1 sign params + l2 params), params
    multiplied by shrink before it; rule's t is the step's number."""
    cdef real* first = &slots[0, 0] if slots.shape[0] > 0 else NULL
    cdef real* second = &slots[1, 0] if slots.shape[0] > 1 else NULL
    cdef Coefficients step = optimizers.begin_step(&rule[0])
    step.l1, step.l2, step.shrink, step.scale = l1, l2, shrink, scale
    optimizers.update(&params[0], &grads[0], first, second, params.shape[0], &step)
