"""First-order optimizers: one step of one parameter each, then the loop over them.

g is the gradient with its penalty, w the parameter, v and s the slots, rate = η.
Adding one: a code, its formula, its loop in update, a line in tables.pxi (name,
code, slots), its twin in fastmlp/_reference/optimizers.py, and its row in
fastmlp/optimizers.py, which says what its decays are called in public.
"""
from libc.math cimport pow, sqrt, sqrtf

from fastmlp._kernels.types cimport Rule, real

cdef enum Optimizer:
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAGRAD = 3
    RMSPROP = 4
    ADAM = 5


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


cdef inline double step_rate(const Rule* rule) noexcept nogil:
    """η of step t; adam's η' = η √(1 − β₂ᵗ)/(1 − β₁ᵗ), both bias corrections."""
    if rule.optimizer != ADAM:
        return rule.learning_rate
    return (rule.learning_rate * sqrt(1 - pow(rule.decay_2, rule.t))
            / (1 - pow(rule.decay_1, rule.t)))


cdef inline void update(
    real* w, const real* grads, real* v, real* s, Py_ssize_t n, const Rule* rule,
    real rate, real l2,
) noexcept nogil:
    """One step of n parameters with g = grads + l2·w. v and s are the two slots."""
    cdef Py_ssize_t i
    cdef real decay_1 = rule.decay_1, gain_1 = 1 - rule.decay_1
    cdef real decay_2 = rule.decay_2, gain_2 = 1 - rule.decay_2
    cdef real epsilon = rule.epsilon
    if rule.optimizer == SGD:
        for i in range(n):
            sgd(w + i, grads[i] + l2 * w[i], rate)
    elif rule.optimizer == MOMENTUM:
        for i in range(n):
            momentum(w + i, v + i, grads[i] + l2 * w[i], rate, decay_1)
    elif rule.optimizer == NESTEROV:
        for i in range(n):
            nesterov(w + i, v + i, grads[i] + l2 * w[i], rate, decay_1)
    elif rule.optimizer == ADAGRAD:
        for i in range(n):
            adagrad(w + i, v + i, grads[i] + l2 * w[i], rate, epsilon)
    elif rule.optimizer == RMSPROP:
        for i in range(n):
            rmsprop(w + i, v + i, grads[i] + l2 * w[i], rate, decay_2, gain_2, epsilon)
    elif rule.optimizer == ADAM:
        for i in range(n):
            adam(w + i, v + i, s + i, grads[i] + l2 * w[i], rate,
                 decay_1, gain_1, decay_2, gain_2, epsilon)
