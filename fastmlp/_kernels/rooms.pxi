# The rooms one by one, callable from Python: for the tests, which compare each with
# its twin in fastmlp/_reference, and for the bench. Shapes are checked here too.


cdef int check_same(str what, Py_ssize_t size, Py_ssize_t expected) except -1:
    if size != expected:
        raise ValueError(f"{what} has {size} entries, it must have {expected}")
    return 0


cdef int check_alike(
    str what, const real[:, ::1] x, const real[:, ::1] like
) except -1:
    """x is not empty and has the shape of like."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"{what} has no entries")
    if x.shape[0] != like.shape[0] or x.shape[1] != like.shape[1]:
        raise ValueError(
            f"{what} has shape ({x.shape[0]}, {x.shape[1]}), it must have "
            f"({like.shape[0]}, {like.shape[1]})")
    return 0


cdef int check_activation(Py_ssize_t activation) except -1:
    if not 0 <= activation < N_ACTIVATIONS:
        raise ValueError("no such activation")
    return 0


def exp(real[::1] out, const real[::1] x):
    """out = eˣ."""
    check_same("out", out.shape[0], x.shape[0])
    engine.exp(<real*>pointer(out), pointer(x), x.shape[0])


def log(real[::1] out, const real[::1] x):
    """out = ln x."""
    check_same("out", out.shape[0], x.shape[0])
    engine.log(<real*>pointer(out), pointer(x), x.shape[0])


def log1p(real[::1] out, const real[::1] x):
    """out = ln(1 + x), 0 ≤ x ≤ 1."""
    check_same("out", out.shape[0], x.shape[0])
    engine.log1p(<real*>pointer(out), pointer(x), x.shape[0])


def tanh(real[::1] out, const real[::1] x):
    """out = tanh x."""
    check_same("out", out.shape[0], x.shape[0])
    engine.tanh(<real*>pointer(out), pointer(x), x.shape[0])


def sigmoid(real[::1] out, const real[::1] x):
    """out = 1/(1 + e⁻ˣ)."""
    check_same("out", out.shape[0], x.shape[0])
    engine.sigmoid(<real*>pointer(out), pointer(x), x.shape[0])


def softplus(real[::1] out, const real[::1] x):
    """out = ln(1 + eˣ)."""
    check_same("out", out.shape[0], x.shape[0])
    engine.softplus(<real*>pointer(out), pointer(x), x.shape[0])


def erf(real[::1] out, const real[::1] x):
    """out = erf x."""
    check_same("out", out.shape[0], x.shape[0])
    engine.erf(<real*>pointer(out), pointer(x), x.shape[0])


def reciprocal(real[::1] out, const real[::1] x):
    """out = 1/x, x positive and normal."""
    check_same("out", out.shape[0], x.shape[0])
    engine.reciprocal(<real*>pointer(out), pointer(x), x.shape[0])


def cos_of_turns(real[::1] out, const real[::1] x):
    """out = cos 2πx."""
    check_same("out", out.shape[0], x.shape[0])
    engine.cos_of_turns(<real*>pointer(out), pointer(x), x.shape[0])


def sin_of_turns(real[::1] out, const real[::1] x):
    """out = sin 2πx."""
    check_same("out", out.shape[0], x.shape[0])
    engine.sin_of_turns(<real*>pointer(out), pointer(x), x.shape[0])


def activate(real[:, ::1] a, Py_ssize_t activation, double param=0):
    """a (rows, n) becomes σ(a)."""
    check_alike("a", a, a)
    check_activation(activation)
    engine.activate(&a[0, 0], a.shape[0], a.shape[1], activation, <real>param)


def add_bias_and_activate(
    real[:, ::1] a, const real[::1] b, Py_ssize_t activation, double param=0
):
    """a (rows, n) becomes σ(a + b)."""
    check_alike("a", a, a)
    check_same("b", b.shape[0], a.shape[1])
    check_activation(activation)
    engine.add_bias_and_activate(
        &a[0, 0], &b[0], a.shape[0], a.shape[1], activation, <real>param)


def multiply_slope(
    real[:, ::1] delta, const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation,
    double param=0,
):
    """delta becomes delta ⊙ σ'(z), with a = σ(z)."""
    check_alike("a", a, delta)
    check_alike("z", z, delta)
    check_activation(activation)
    if activation == activations.SOFTMAX:
        raise ValueError("softmax has no elementwise slope")
    engine.multiply_slope(
        &delta[0, 0], &a[0, 0], &z[0, 0], a.shape[0] * a.shape[1], activation, <real>param)


def multiply_jacobian(
    real[:, ::1] delta, const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation,
    double param=0,
):
    """Each row of delta becomes its product with ∂σ/∂z, with a = σ(z)."""
    check_alike("a", a, delta)
    check_alike("z", z, delta)
    check_activation(activation)
    engine.multiply_jacobian(
        &delta[0, 0], &a[0, 0], &z[0, 0], a.shape[0], a.shape[1], activation, <real>param)


def differentiate_slope(
    real[:, ::1] rdelta, const real[:, ::1] delta, const real[:, ::1] rz,
    const real[:, ::1] a, const real[:, ::1] z, Py_ssize_t activation, double param=0,
):
    """rdelta becomes rdelta ⊙ σ'(z) + delta ⊙ σ''(z) ⊙ rz, with a = σ(z)."""
    check_alike("delta", delta, rdelta)
    check_alike("rz", rz, rdelta)
    check_alike("a", a, rdelta)
    check_alike("z", z, rdelta)
    check_activation(activation)
    if activation == activations.SOFTMAX:
        raise ValueError("softmax has no elementwise slope")
    engine.differentiate_slope(
        &rdelta[0, 0], &delta[0, 0], &rz[0, 0], &a[0, 0], &z[0, 0],
        a.shape[0] * a.shape[1], activation, <real>param)


cdef int check_head_arrays(
    const real[:, ::1] z, const real[:, ::1] y, const real[::1] scales,
    const real[::1] numbers, Py_ssize_t loss, Py_ssize_t activation,
) except -1:
    cdef Py_ssize_t i
    cdef bint inside = True
    check_alike("z", z, z)
    check_head_codes(loss, activation)
    check_same("y", y.shape[0], z.shape[0])
    cdef bint indices = takes_indices(loss, activation)
    check_same("y", y.shape[1], 1 if indices else z.shape[1])
    check_same("scales", scales.shape[0], z.shape[0])
    check_same("numbers", numbers.shape[0], z.shape[1])
    for i in range(y.shape[0] if indices else 0):
        inside &= 0 <= y[i, 0] < z.shape[1]
    if not inside:
        raise ValueError("class indices must be in 0 ... n_classes - 1")
    return 0


def evaluate_head(
    real[:, ::1] delta, real[:, ::1] losses, const real[:, ::1] z, const real[:, ::1] y,
    const real[::1] scales, const real[::1] numbers, Py_ssize_t loss, Py_ssize_t activation,
):
    """delta = scales ⊙ ∂ℓ/∂z (rows, n_out), losses = the shares of ℓ, of the shape of y."""
    check_head_arrays(z, y, scales, numbers, loss, activation)
    check_alike("delta", delta, z)
    check_alike("losses", losses, y)
    engine.evaluate_head(
        &delta[0, 0], &losses[0, 0], &z[0, 0], &y[0, 0], &scales[0], &numbers[0],
        z.shape[0], z.shape[1], loss, activation)


def differentiate_head(
    real[:, ::1] rdelta, const real[:, ::1] rz, const real[:, ::1] z,
    const real[:, ::1] y, const real[::1] scales, const real[::1] numbers,
    Py_ssize_t loss, Py_ssize_t activation,
):
    """rdelta = scales ⊙ (∂²ℓ/∂z²) rz; all (rows, n_out)."""
    check_head_arrays(z, y, scales, numbers, loss, activation)
    check_alike("rdelta", rdelta, z)
    check_alike("rz", rz, z)
    engine.differentiate_head(
        &rdelta[0, 0], &rz[0, 0], &z[0, 0], &y[0, 0], &scales[0], &numbers[0],
        z.shape[0], z.shape[1], loss, activation)


def drop(
    real[:, ::1] out, const real[:, ::1] a, double dropout, Py_ssize_t seed, Py_ssize_t t,
    Py_ssize_t layer, Py_ssize_t first,
):
    """out = a ⊙ mask/(1 − p); first is the first row's position in its batch."""
    check_alike("out", out, a)
    if not 0 <= dropout < 1 or seed < 0:
        raise ValueError("dropout must be in [0, 1), and seed not negative")
    memcpy(&out[0, 0], &a[0, 0], a.shape[0] * a.shape[1] * sizeof(real))
    engine.drop(
        &out[0, 0], dropout, seed, t, layer, first * a.shape[1], a.shape[0] * a.shape[1])


cdef int check_moments(const real[:, ::1] moments, const real[:, ::1] x) except -1:
    check_alike("x", x, x)
    if moments.shape[0] != 2:
        raise ValueError("moments must have two rows")
    check_same("each row of moments", moments.shape[1], x.shape[1])
    return 0


def compute_moments(real[:, ::1] moments, const real[:, ::1] x, const real[::1] scales):
    """moments (2, n) = mean and variance of x's columns, rows weighted by scales."""
    check_moments(moments, x)
    check_same("scales", scales.shape[0], x.shape[0])
    engine.compute_moments(&moments[0, 0], &x[0, 0], &scales[0], x.shape[0], x.shape[1])


def normalize(real[:, ::1] x, const real[:, ::1] moments):
    """x becomes x̂ = (x − mean)/√(variance + ε)."""
    check_moments(moments, x)
    engine.normalize(&x[0, 0], &moments[0, 0], x.shape[0], x.shape[1])


def scale_and_shift(
    real[:, ::1] z, const real[:, ::1] x, const real[::1] gammas, const real[::1] biases
):
    """z = γ x̂ + b."""
    check_alike("z", z, x)
    check_same("gammas", gammas.shape[0], x.shape[1])
    check_same("biases", biases.shape[0], x.shape[1])
    engine.scale_and_shift(
        &z[0, 0], &x[0, 0], &gammas[0], &biases[0], x.shape[0], x.shape[1])


def normalize_deltas(
    real[:, ::1] delta, real[::1] bias_grads, real[::1] gamma_grads, const real[:, ::1] x,
    const real[::1] scales, const real[::1] gammas, const real[:, ::1] moments,
):
    """From ∂J/∂z to ∂J/∂x of a batch, with ∂J/∂b and ∂J/∂γ on the way."""
    check_moments(moments, x)
    check_alike("delta", delta, x)
    check_same("scales", scales.shape[0], x.shape[0])
    check_same("bias_grads", bias_grads.shape[0], x.shape[1])
    check_same("gamma_grads", gamma_grads.shape[0], x.shape[1])
    check_same("gammas", gammas.shape[0], x.shape[1])
    engine.normalize_deltas(
        &delta[0, 0], &bias_grads[0], &gamma_grads[0], &x[0, 0], &scales[0], &gammas[0],
        &moments[0, 0], x.shape[0], x.shape[1])


def multiply(real[:, :] c, const real[:, :] a, const real[:, :] b, bint accumulate):
    """c = a b (+ c), c some columns of a matrix, a and b also of a transposed one."""
    if min(c.shape[0], c.shape[1], a.shape[1]) < 1:
        raise ValueError("c, a and b must have rows and columns")
    check_same("each column of a", a.shape[0], c.shape[0])
    check_same("each row of b", b.shape[1], c.shape[1])
    check_same("each column of b", b.shape[0], a.shape[1])
    if c.shape[1] > 1 and c.strides[1] != sizeof(real):
        raise ValueError("the entries of a row of c must lie side by side")
    engine.multiply(
        &c[0, 0], c.strides[0] // <Py_ssize_t>sizeof(real), &a[0, 0], &b[0, 0], c.shape[0],
        c.shape[1], a.shape[1], a.strides[0] // <Py_ssize_t>sizeof(real),
        a.strides[1] // <Py_ssize_t>sizeof(real), b.strides[0] // <Py_ssize_t>sizeof(real),
        b.strides[1] // <Py_ssize_t>sizeof(real), accumulate)


def sum_columns(real[::1] out, const real[:, ::1] a, bint accumulate):
    """out = column sums of a (+ out)."""
    check_alike("a", a, a)
    check_same("out", out.shape[0], a.shape[1])
    engine.sum_columns(&out[0], &a[0, 0], a.shape[0], a.shape[1], accumulate)


def sum_squares(const real[::1] x):
    """Σ x²."""
    return engine.sum_squares(pointer(x), x.shape[0])


def sum_magnitudes(const real[::1] x):
    """Σ |x|."""
    return engine.sum_magnitudes(pointer(x), x.shape[0])


def update(
    real[::1] params, const real[::1] grads, real[:, :] slots, const Rule[::1] rule,
    double l1, double l2, double shrink, double scale,
):
    """One optimizer step with g = scale (grads + l1 sign params + l2 params), params
    multiplied by shrink before it; rule's t is the step's number."""
    check_optimizer(rule, slots, params.shape[0], grads.shape[0])
    if params.shape[0] < 1:
        raise ValueError("params has no entries")
    engine.update(
        &params[0], &grads[0], slots_pointer(slots), slot_stride(slots), params.shape[0],
        &rule[0], l1, l2, shrink, scale)
