"""First-order optimizers: one step of one parameter each, then the loop over them.

g is the gradient with its penalty, w the parameter, v and s the slots, rate = η.
Coefficients that are the same for every parameter are computed once a step.
Adding one: a code, its formula, its loop in update, a line in tables.pxi (name,
code, slots), its twin in fastmlp/_reference/optimizers.py, and its row in
fastmlp/optimizers.py, which says what its decays are called in public.
"""
from libc.math cimport pow, sqrt, sqrtf

from fastmlp._kernels.regularizers cimport penalised
from fastmlp._kernels.types cimport Rule, real

cdef enum Optimizer:
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAGRAD = 3
    RMSPROP = 4
    ADAM = 5
    ADAMW = 6


cdef struct Coefficients:
    # What a step does to a kind of parameters, in double.
    Py_ssize_t optimizer
    double rate
    double decay_1
    double decay_2
    double epsilon
    double l1
    double l2
    double shrink
    double scale


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline void sgd(real* w, real g, real rate) noexcept nogil:
    """w −= η g"""
    w[0] -= rate * g


cdef inline void momentum(real* w, real* v, real g, real rate, real mu) noexcept nogil:
    """v = μv − ηg; w += v"""
    v[0] = mu * v[0] - rate * g
    w[0] += v[0]


cdef inline void nesterov(real* w, real* v, real g, real rate, real mu) noexcept nogil:
    """v = μv − ηg; w += μv − ηg (Sutskever et al. 2013, as scikit-learn has it)"""
    v[0] = mu * v[0] - rate * g
    w[0] += mu * v[0] - rate * g


cdef inline void adagrad(real* w, real* s, real g, real rate, real epsilon) noexcept nogil:
    """s += g²; w −= η g/√(s + ε), ε inside the root (Duchi et al. 2011)"""
    s[0] += g * g
    w[0] -= rate * g / square_root(s[0] + epsilon)


cdef inline void rmsprop(
    real* w, real* s, real g, real rate, real rho, real gain, real epsilon
) noexcept nogil:
    """s = ρs + (1 − ρ)g²; w −= η g/√(s + ε), ε inside the root (Hinton 2012)"""
    s[0] = rho * s[0] + gain * g * g
    w[0] -= rate * g / square_root(s[0] + epsilon)


cdef inline void adam(
    real* w, real* v, real* s, real g, real rate,
    real beta_1, real gain_1, real beta_2, real gain_2, real epsilon,
) noexcept nogil:
    """v = β₁v + (1 − β₁)g; s = β₂s + (1 − β₂)g²; w −= η' v/(√s + ε) (Kingma & Ba 2014)"""
    v[0] = beta_1 * v[0] + gain_1 * g
    s[0] = beta_2 * s[0] + gain_2 * g * g
    w[0] -= rate * v[0] / (square_root(s[0]) + epsilon)


cdef inline bint has_moments(const Rule* rule) noexcept nogil:
    return rule.optimizer == ADAM or rule.optimizer == ADAMW


cdef inline Coefficients begin_step(const Rule* rule) noexcept nogil:
    """Step t of parameters without penalty or decay.

    adam's η' = η √(1 − β₂ᵗ)/(1 − β₁ᵗ) holds both bias corrections and leaves ε as it is,
    as scikit-learn has it; adamw's ε' = ε √(1 − β₂ᵗ) makes of it the textbook's
    η v̂/(√ŝ + ε) (Loshchilov & Hutter 2019, whose decay is the shrink).
    """
    cdef Coefficients step
    cdef double correction = sqrt(1 - pow(rule.decay_2, rule.t)) if has_moments(rule) else 1
    step.optimizer = rule.optimizer
    step.rate = rule.learning_rate
    if has_moments(rule):
        step.rate = rule.learning_rate * correction / (1 - pow(rule.decay_1, rule.t))
    step.decay_1 = rule.decay_1
    step.decay_2 = rule.decay_2
    step.epsilon = rule.epsilon * (correction if rule.optimizer == ADAMW else 1)
    step.l1 = 0
    step.l2 = 0
    step.shrink = 1
    step.scale = 1
    return step


cdef inline real gradient(
    const real* w, const real* grads, Py_ssize_t i, real l1, real l2, real scale
) noexcept nogil:
    return scale * penalised(grads[i], w[i], l1, l2)


cdef inline void update(
    real* w, const real* grads, real* v, real* s, Py_ssize_t n, const Coefficients* step
) noexcept nogil:
    """One step of n parameters with g = scale (grads + l1 sign w + l2 w), w shrunk
    before it. v and s are the two slots."""
    cdef Py_ssize_t i
    cdef real g, rate = step.rate, epsilon = step.epsilon
    cdef real decay_1 = step.decay_1, gain_1 = 1 - step.decay_1
    cdef real decay_2 = step.decay_2, gain_2 = 1 - step.decay_2
    cdef real l1 = step.l1, l2 = step.l2, shrink = step.shrink, scale = step.scale
    if step.optimizer == SGD:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            sgd(w + i, g, rate)
    elif step.optimizer == MOMENTUM:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            momentum(w + i, v + i, g, rate, decay_1)
    elif step.optimizer == NESTEROV:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            nesterov(w + i, v + i, g, rate, decay_1)
    elif step.optimizer == ADAGRAD:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            adagrad(w + i, v + i, g, rate, epsilon)
    elif step.optimizer == RMSPROP:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            rmsprop(w + i, v + i, g, rate, decay_2, gain_2, epsilon)
    else:
        for i in range(n):
            g = gradient(w, grads, i, l1, l2, scale)
            w[i] *= shrink
            adam(w + i, v + i, s + i, g, rate, decay_1, gain_1, decay_2, gain_2, epsilon)
