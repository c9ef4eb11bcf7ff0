"""Whether a peer takes the same steps as everybody.

The judge is a network in plain float64 NumPy, written from the equations and
used for nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.peers import Peer
from bench.shapes import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem

N_STEPS = 5
LOSS_TOLERANCE = 5e-4
# Adam's first steps are little more than the sign of the gradient, so a gradient
# lost in rounding may turn a parameter's whole step round. Hence the distance
# over all parameters, relative to the distance they moved. Float32 gives 1e-5 in
# small networks and up to 4e-3 in the widest; a learning rate 2 % off gives 2e-2.
STEP_TOLERANCE = 1e-2


class DisagreementError(Exception):
    """A peer does not compute what it is compared in."""


def forward(weights, biases, x):
    """Return the output of every layer, the input first, the last before softmax."""
    outputs = [x]
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = outputs[-1] @ w + b
        outputs.append(z if layer == len(weights) - 1 else np.maximum(z, 0))
    return outputs


def log_softmax(z):
    """Return the logarithm of each class's probability."""
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def compute_loss(weights, biases, x, labels):
    """Return the mean log-loss."""
    log_p = log_softmax(forward(weights, biases, x)[-1])
    return -log_p[np.arange(len(labels)), labels].mean()


def compute_gradients(weights, biases, x, labels):
    """Return the gradients of the mean log-loss, weights first, then biases."""
    outputs = forward(weights, biases, x)
    delta = np.exp(log_softmax(outputs[-1]))
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    by_weights, by_biases = [], []
    for layer in reversed(range(len(weights))):
        by_weights.insert(0, outputs[layer].T @ delta)
        by_biases.insert(0, delta.sum(axis=0))
        delta = (delta @ weights[layer].T) * (outputs[layer] > 0)
    return by_weights + by_biases


def train_in_numpy(problem: Problem, scaled_epsilon: bool):
    """Run one epoch of Adam in float64.

    Kingma & Ba (2015) give two forms, equal but for epsilon: algorithm 1 adds it
    to the corrected moment's root, the efficient order of section 2 to the
    uncorrected one's.
    """
    n_layers = len(problem.weights)
    params = [p.astype(np.float64) for p in problem.weights + problem.biases]
    m = [np.zeros_like(p) for p in params]
    v = [np.zeros_like(p) for p in params]
    for t, batch in enumerate(problem.batches, start=1):
        x, labels = problem.X[batch].astype(np.float64), problem.labels[batch]
        grads = compute_gradients(params[:n_layers], params[n_layers:], x, labels)
        root = np.sqrt(1 - BETA_2**t)
        epsilon = EPSILON / root if scaled_epsilon else EPSILON
        for i, g in enumerate(grads):
            m[i] = BETA_1 * m[i] + (1 - BETA_1) * g
            v[i] = BETA_2 * v[i] + (1 - BETA_2) * g**2
            m_hat = m[i] / (1 - BETA_1**t)
            params[i] -= (
                problem.learning_rate * m_hat / (np.sqrt(v[i]) / root + epsilon)
            )
    return params[:n_layers], params[n_layers:]


def take_first_steps(problem: Problem) -> Problem:
    """Return the same problem, an epoch being its first few steps, to be learnt."""
    shape = replace(problem.shape, n_steps=min(N_STEPS, problem.shape.n_steps))
    rows = problem.order[: shape.n_rows]
    return replace(
        problem,
        shape=shape,
        X=problem.X[rows],
        labels=problem.labels[rows],
        order=np.random.default_rng(1).permutation(shape.n_rows),
        learning_rate=LEARNING_RATE,
    )


def flatten(weights, biases):
    """Return all parameters as one vector."""
    return np.concatenate([np.ravel(p) for p in [*weights, *biases]])


def compare(found, expected, problem: Problem) -> dict[str, float]:
    """Return the relative errors of the steps taken and of the loss reached."""
    start = flatten(problem.weights, problem.biases)
    error = np.linalg.norm(flatten(*found) - flatten(*expected))
    moved = np.linalg.norm(flatten(*expected) - start)
    x, labels = problem.X.astype(np.float64), problem.labels
    loss = compute_loss(*expected, x, labels)
    return {
        "steps": float(error / moved),
        "loss": float(abs(compute_loss(*found, x, labels) - loss) / loss),
    }


def check_agreement(peer: Peer, problem: Problem) -> dict[str, float]:
    """Let a peer take a few steps and compare them with NumPy's.

    Returns
    -------
    dict
        The errors, to the nearer of Adam's two forms.

    Raises
    ------
    DisagreementError
        If one is above its tolerance, or not a number.
    """
    problem = take_first_steps(problem)
    trainee = peer.prepare(problem)
    trainee.run_epochs(1)
    forms = [train_in_numpy(problem, scaled) for scaled in (False, True)]
    errors = min(
        (compare(trainee.params(), form, problem) for form in forms),
        key=lambda errors: errors["steps"],
    )
    if not (errors["steps"] <= STEP_TOLERANCE and errors["loss"] <= LOSS_TOLERANCE):
        raise DisagreementError(
            f"after {problem.shape.n_steps} steps the parameters are off by "
            f"{errors['steps']:.1e} of the way (allowed {STEP_TOLERANCE:.0e}), the "
            f"loss by {errors['loss']:.1e} (allowed {LOSS_TOLERANCE:.0e})"
        )
    return errors
