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


def activate(real[:, ::1] a, Py_ssize_t activation):
    """a (rows, n) becomes σ(a)."""
    activations.activate(&a[0, 0], a.shape[0], a.shape[1], activation)


def add_bias_and_activate(real[:, ::1] a, const real[::1] b, Py_ssize_t activation):
    """a (rows, n) becomes σ(a + b)."""
    activations.add_bias_and_activate(&a[0, 0], &b[0], a.shape[0], a.shape[1], activation)


def multiply_slope(real[:, ::1] delta, const real[:, ::1] a, Py_ssize_t activation):
    """delta becomes delta ⊙ σ'(z), with a = σ(z)."""
    if activation == activations.SOFTMAX:
        raise ValueError("softmax has no elementwise slope")
    activations.multiply_slope(&delta[0, 0], &a[0, 0], a.shape[0] * a.shape[1], activation)


def evaluate_head(
    real[:, ::1] delta, real[:, ::1] losses, const real[:, ::1] z, const real[:, ::1] y,
    const real[::1] scales, Py_ssize_t loss, Py_ssize_t activation,
):
    """delta = scales ⊙ ∂ℓ/∂z, losses = the shares of ℓ; all (rows, n_out)."""
    heads.evaluate_head(
        &delta[0, 0], &losses[0, 0], &z[0, 0], &y[0, 0], &scales[0],
        z.shape[0], z.shape[1], loss, activation)


def multiply_nn(real[:, ::1] c, const real[:, ::1] a, const real[:, ::1] b):
    """c = a b."""
    products.multiply_nn(&c[0, 0], &a[0, 0], &b[0, 0], c.shape[0], c.shape[1], a.shape[1])


def multiply_nt(real[:, ::1] c, const real[:, ::1] a, const real[:, ::1] b):
    """c = a bᵀ."""
    products.multiply_nt(&c[0, 0], &a[0, 0], &b[0, 0], c.shape[0], c.shape[1], a.shape[1])


def multiply_tn(real[:, ::1] c, const real[:, ::1] a, const real[:, ::1] b, bint accumulate):
    """c = aᵀ b (+ c)."""
    products.multiply_tn(
        &c[0, 0], &a[0, 0], &b[0, 0], c.shape[0], c.shape[1], a.shape[0], a.shape[1], accumulate)


def sum_columns(real[::1] out, const real[:, ::1] a, bint accumulate):
    """out = column sums of a (+ out)."""
    products.sum_columns(&out[0], &a[0, 0], a.shape[0], a.shape[1], accumulate)


def sum_squares(const real[::1] x):
    """Σ x²."""
    return regularizers.sum_squares(&x[0], x.shape[0])


def update(real[::1] params, const real[::1] grads, real[:, ::1] slots, const Rule[::1] rule, double l2):
    """One optimizer step with g = grads + l2 params; rule's t is the step's number."""
    cdef real* first = &slots[0, 0] if slots.shape[0] > 0 else NULL
    cdef real* second = &slots[1, 0] if slots.shape[0] > 1 else NULL
    optimizers.update(
        &params[0], &grads[0], first, second, params.shape[0], &rule[0],
        <real>optimizers.step_rate(&rule[0]), <real>l2)
