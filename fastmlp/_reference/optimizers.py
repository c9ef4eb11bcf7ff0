"""First-order optimizers: (θ, g, slots, rule) → (new θ, *new slots).

η learning_rate, ε epsilon, t the step's number, counted from 1; what μ, γ, β₁ and β₂
are called in the rule is said at each formula. Slots begin at zero.
"""

import numpy as np

from fastmlp._kernels import OPTIMIZERS
from fastmlp._reference.regularizers import differentiate_penalty


def sgd(theta, g, slots, rule):
    """Robbins, Monro 1951: θ ← θ − ηg."""
    return theta - rule["learning_rate"] * g, *slots


def momentum(theta, g, slots, rule):
    """Polyak 1964: v ← μv − ηg; θ ← θ + v; μ = decay_1."""
    (v,) = slots
    v = rule["decay_1"] * v - rule["learning_rate"] * g
    return theta + v, v


def nesterov(theta, g, slots, rule):
    """Nesterov 1983: v ← μv − ηg; θ ← θ + μv − ηg, by the new v; μ = decay_1."""
    (v,) = slots
    mu, eta = rule["decay_1"], rule["learning_rate"]
    v = mu * v - eta * g
    return theta + mu * v - eta * g, v


def adagrad(theta, g, slots, rule):
    """Duchi, Hazan, Singer 2011: s ← s + g²; θ ← θ − ηg/√(s + ε)."""
    (s,) = slots
    s = s + g**2
    return theta - rule["learning_rate"] * g / np.sqrt(s + rule["epsilon"]), s


def rmsprop(theta, g, slots, rule):
    """Tieleman, Hinton 2012: s ← γs + (1 − γ)g²; θ ← θ − ηg/√(s + ε); γ = decay_2."""
    (s,) = slots
    gamma = rule["decay_2"]
    s = gamma * s + (1 - gamma) * g**2
    return theta - rule["learning_rate"] * g / np.sqrt(s + rule["epsilon"]), s


def adam(theta, g, slots, rule):
    """Kingma, Ba 2015 in scikit-learn's form; β₁ = decay_1, β₂ = decay_2:
    v ← β₁v + (1 − β₁)g; s ← β₂s + (1 − β₂)g²;
    θ ← θ − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) v/(√s + ε).
    """
    v, s = average_moments(g, slots, rule)
    t = rule["t"]
    correction = np.sqrt(1 - rule["decay_2"] ** t) / (1 - rule["decay_1"] ** t)
    eta = rule["learning_rate"] * correction
    return theta - eta * v / (np.sqrt(s) + rule["epsilon"]), v, s


def adamw(theta, g, slots, rule):
    """Kingma, Ba 2015 as printed: v and s as in adam, v̂ = v/(1 − β₁ᵗ),
    ŝ = s/(1 − β₂ᵗ); θ ← θ − η v̂/(√ŝ + ε). What Loshchilov, Hutter 2019 add, a decay of
    the weights that is no part of g, is update's shrink.
    """
    v, s = average_moments(g, slots, rule)
    t, eta = rule["t"], rule["learning_rate"]
    v_hat, s_hat = v / (1 - rule["decay_1"] ** t), s / (1 - rule["decay_2"] ** t)
    return theta - eta * v_hat / (np.sqrt(s_hat) + rule["epsilon"]), v, s


def nadam(theta, g, slots, rule):
    """Dozat 2016, with PyTorch's μₜ = β₁(1 − ½ · 0.96^(0.004 t)): v and s as in adam,
    one step ahead, v̂ = μₜ₊₁v/(1 − μ₁ … μₜ₊₁) + (1 − μₜ)g/(1 − μ₁ … μₜ);
    ŝ = s/(1 − β₂ᵗ); θ ← θ − η v̂/(√ŝ + ε).
    """
    v, s = average_moments(g, slots, rule)
    t = int(rule["t"])
    mu = rule["decay_1"] * (1 - 0.5 * 0.96 ** (0.004 * np.arange(1, t + 2)))
    v_hat = mu[t] * v / (1 - mu.prod()) + (1 - mu[t - 1]) * g / (1 - mu[:t].prod())
    s_hat = s / (1 - rule["decay_2"] ** t)
    step = v_hat / (np.sqrt(s_hat) + rule["epsilon"])
    return theta - rule["learning_rate"] * step, v, s


def lion(theta, g, slots, rule):
    """Chen and others 2023: θ ← θ − η sign(β₁v + (1 − β₁)g), by the old v;
    v ← β₂v + (1 − β₂)g.
    """
    (v,) = slots
    beta_1, beta_2 = rule["decay_1"], rule["decay_2"]
    direction = np.sign(beta_1 * v + (1 - beta_1) * g)
    return theta - rule["learning_rate"] * direction, beta_2 * v + (1 - beta_2) * g


def average_moments(g, slots, rule):
    """Set v ← β₁v + (1 − β₁)g; s ← β₂s + (1 − β₂)g²."""
    v, s = slots
    beta_1, beta_2 = rule["decay_1"], rule["decay_2"]
    return beta_1 * v + (1 - beta_1) * g, beta_2 * s + (1 - beta_2) * g**2


OPTIMIZER_FUNCTIONS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "nadam": nadam,
    "lion": lion,
}

_BY_CODE = {OPTIMIZERS[name]: step for name, step in OPTIMIZER_FUNCTIONS.items()}


def update(params, grads, slots, rule, l1, l2, shrink, scale):
    """One step in place, from shrink · params and with g = scale · (grads + the
    penalty's gradient); rule is a one-record array.
    """
    g = scale * (grads + differentiate_penalty(params, l1, l2))
    step = _BY_CODE[rule["optimizer"][0]]
    shrunk = shrink * params.astype(float)
    params[:], *new_slots = step(shrunk, g, slots.astype(float), rule[0])
    for slot, new_slot in zip(slots, new_slots, strict=True):
        slot[:] = new_slot
