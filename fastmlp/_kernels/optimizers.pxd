"""First-order optimizers: by what a step moves one parameter each, then the loop.

g is the gradient with its penalty, v and s are the slots, rate = η. The parameter w
becomes shrink·w + what the formula returns; shrink = 1 − ηλ is its decoupled decay.
Coefficients that are the same for every parameter are computed once a step. A code
without a loop makes every parameter NaN.

Adding one: CONTRIBUTING.md.
"""
from libc.math cimport NAN, pow, sqrt, sqrtf

from fastmlp._kernels cimport math
from fastmlp._kernels.regularizers cimport penalised
from fastmlp._kernels.records cimport Rule, real

cdef enum Optimizer:
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAGRAD = 3
    RMSPROP = 4
    ADAM = 5
    ADAMW = 6
    NADAM = 7
    LION = 8

cdef enum:
    # Gradients that are kept on the stack.
    CHUNK = 512


cdef struct Coefficients:
    # What a step does to a kind of parameters, in double.
    Py_ssize_t optimizer
    double rate
    double decay_1
    double decay_2
    double epsilon
    double ahead  # of nadam: what its step takes of v, and of g
    double now
    double l1
    double l2
    double shrink
    double scale


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline real sgd(real g, real rate) noexcept nogil:
    """−η g"""
    return -rate * g


cdef inline real momentum(real* v, real g, real rate, real mu) noexcept nogil:
    """v = μv − ηg; by v"""
    v[0] = mu * v[0] - rate * g
    return v[0]


cdef inline real nesterov(real* v, real g, real rate, real mu) noexcept nogil:
    """v = μv − ηg; by μv − ηg (Sutskever et al. 2013, as scikit-learn has it)"""
    v[0] = mu * v[0] - rate * g
    return mu * v[0] - rate * g


cdef inline real adagrad(real* s, real g, real rate, real epsilon) noexcept nogil:
    """s += g²; by −η g/√(s + ε), ε inside the root (Duchi et al. 2011)"""
    s[0] += g * g
    return math.divide(-rate * g, square_root(s[0] + epsilon))


cdef inline real rmsprop(
    real* s, real g, real rate, real rho, real gain, real epsilon
) noexcept nogil:
    """s = ρs + (1 − ρ)g²; by −η g/√(s + ε), ε inside the root (Hinton 2012)"""
    s[0] = rho * s[0] + gain * g * g
    return math.divide(-rate * g, square_root(s[0] + epsilon))


cdef inline real adam(
    real* v, real* s, real g, real rate,
    real beta_1, real gain_1, real beta_2, real gain_2, real epsilon,
) noexcept nogil:
    """v = β₁v + (1 − β₁)g; s = β₂s + (1 − β₂)g²; by −η' v/(√s + ε) (Kingma & Ba 2014)"""
    v[0] = beta_1 * v[0] + gain_1 * g
    s[0] = beta_2 * s[0] + gain_2 * g * g
    return math.divide(-rate * v[0], square_root(s[0]) + epsilon)


cdef inline real nadam(
    real* v, real* s, real g, real rate, real beta_1, real gain_1, real beta_2, real gain_2,
    real epsilon, real ahead, real now,
) noexcept nogil:
    """v and s as adam's; by −η' (ahead v + now g)/(√s + ε), v a step ahead (Dozat 2016)"""
    v[0] = beta_1 * v[0] + gain_1 * g
    s[0] = beta_2 * s[0] + gain_2 * g * g
    return math.divide(-rate * (ahead * v[0] + now * g), square_root(s[0]) + epsilon)


cdef inline real lion(
    real* v, real g, real rate, real beta_1, real gain_1, real beta_2, real gain_2
) noexcept nogil:
    """By −η sign(β₁v + (1 − β₁)g), NaN kept; then v = β₂v + (1 − β₂)g (Chen et al. 2023)"""
    cdef real c = beta_1 * v[0] + gain_1 * g
    v[0] = beta_2 * v[0] + gain_2 * g
    return -rate if c > 0 else (rate if c < 0 else c)


cdef inline bint has_moments(const Rule* rule) noexcept nogil:
    return rule.optimizer == ADAM or rule.optimizer == ADAMW or rule.optimizer == NADAM


cdef inline double momentum_product(double beta, Py_ssize_t t) noexcept nogil:
    """Π μᵢ over steps 1 … t, μᵢ = β (1 − ½ 0.96^(0.004 i)); of it 1 − Π, which is all that
    is asked for, does not change any more after some tens of steps."""
    cdef Py_ssize_t i
    cdef double fall = 1, product = 1
    for i in range(t):
        fall *= 0.9998367253526753  # 0.96^0.004
        product *= beta * (1 - 0.5 * fall)
        if product < 1e-17:
            break
    return product


cdef inline double momentum_at(double beta, Py_ssize_t t) noexcept nogil:
    """μₜ."""
    return beta * (1 - 0.5 * pow(0.96, 0.004 * t))


cdef inline Coefficients begin_step(const Rule* rule) noexcept nogil:
    """Step t of parameters without penalty or decay.

    adam's η' = η √(1 − β₂ᵗ)/(1 − β₁ᵗ) holds both bias corrections and leaves ε as it is,
    as scikit-learn has it; adamw's ε' = ε √(1 − β₂ᵗ) makes of it the textbook's
    η v̂/(√ŝ + ε) (Loshchilov & Hutter 2019, whose decay is the shrink). nadam's v̂ is
    μₜ₊₁ v/(1 − Π μᵢ₊₁) + (1 − μₜ) g/(1 − Π μᵢ), with PyTorch's schedule of μ.
    """
    cdef Coefficients step
    cdef double correction = sqrt(1 - pow(rule.decay_2, rule.t)) if has_moments(rule) else 1
    step.optimizer = rule.optimizer
    step.rate = rule.learning_rate
    step.ahead = step.now = 0
    if rule.optimizer == NADAM:
        step.rate = rule.learning_rate * correction
        step.ahead = momentum_at(rule.decay_1, rule.t + 1) / (
            1 - momentum_product(rule.decay_1, rule.t + 1))
        step.now = (1 - momentum_at(rule.decay_1, rule.t)) / (
            1 - momentum_product(rule.decay_1, rule.t))
    elif has_moments(rule):
        step.rate = rule.learning_rate * correction / (1 - pow(rule.decay_1, rule.t))
    step.decay_1 = rule.decay_1
    step.decay_2 = rule.decay_2
    step.epsilon = rule.epsilon * (1 if rule.optimizer == ADAM else correction)
    step.l1 = 0
    step.l2 = 0
    step.shrink = 1
    step.scale = 1
    return step


cdef inline void move(
    real* w, const real* grads, real* slots, Py_ssize_t slot_stride, Py_ssize_t n,
    const Coefficients* step, real l2,
) noexcept nogil:
    """One step of n parameters with g = grads + l2 w, w shrunk before it."""
    cdef Py_ssize_t i
    cdef real* v = slots
    cdef real* s = slots + slot_stride
    cdef real g, rate = step.rate, epsilon = step.epsilon, shrink = step.shrink
    cdef real decay_1 = step.decay_1, gain_1 = 1 - step.decay_1
    cdef real decay_2 = step.decay_2, gain_2 = 1 - step.decay_2
    if step.optimizer == SGD:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + sgd(g, rate)
    elif step.optimizer == MOMENTUM:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + momentum(v + i, g, rate, decay_1)
    elif step.optimizer == NESTEROV:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + nesterov(v + i, g, rate, decay_1)
    elif step.optimizer == ADAGRAD:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + adagrad(v + i, g, rate, epsilon)
    elif step.optimizer == RMSPROP:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + rmsprop(v + i, g, rate, decay_2, gain_2, epsilon)
    elif step.optimizer == ADAM or step.optimizer == ADAMW:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + adam(
                v + i, s + i, g, rate, decay_1, gain_1, decay_2, gain_2, epsilon)
    elif step.optimizer == NADAM:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + nadam(
                v + i, s + i, g, rate, decay_1, gain_1, decay_2, gain_2, epsilon,
                <real>step.ahead, <real>step.now)
    elif step.optimizer == LION:
        for i in range(n):
            g = grads[i] + l2 * w[i]
            w[i] = shrink * w[i] + lion(
                v + i, g, rate, decay_1, gain_1, decay_2, gain_2)
    else:
        for i in range(n):
            w[i] = <real>NAN


cdef inline void update(
    real* w, const real* grads, real* slots, Py_ssize_t slot_stride, Py_ssize_t n,
    const Coefficients* step,
) noexcept nogil:
    """One step of n parameters with g = scale (grads + l1 sign w + l2 w), w shrunk
    before it. One slot begins slot_stride behind the other. Most networks have neither l1 nor scale, and
    small ones would pay for them: where there are, g is found beforehand."""
    cdef real g[CHUNK]
    cdef real l1 = step.l1, l2 = step.l2, scale = step.scale
    cdef Py_ssize_t i, size, begin = 0
    if l1 == 0 and scale == 1:
        move(w, grads, slots, slot_stride, n, step, l2)
        return
    while begin < n:
        size = min(<Py_ssize_t>CHUNK, n - begin)
        for i in range(size):
            g[i] = scale * penalised(grads[begin + i], w[begin + i], l1, l2)
        move(w + begin, g, slots + begin, slot_stride, size, step, <real>0)
        begin += size
