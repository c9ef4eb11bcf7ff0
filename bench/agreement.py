"""Whether a peer takes the same steps as everybody.

The judge is a network in plain float64 NumPy, written from the equations and
used for nothing else.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bench.peers import Peer
from bench.shapes import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Problem, Shape

N_STEPS = 5
LOSS_TOLERANCE = {"float32": 5e-4, "float64": 1e-11}
# Adam's first steps are little more than the sign of the gradient, so a gradient
# lost in rounding may turn a parameter's whole step round. Hence the distance
# over all parameters, relative to the distance they moved. Float32 gives 1e-5 in
# small networks and up to 4e-3 in the widest, float64 1e-14; a learning rate 2 % off
# gives 2e-2.
STEP_TOLERANCE = {"float32": 1e-2, "float64": 1e-8}

# Each hidden activation, and its slope in terms of what it gives.
ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}
SLOPES = {
    "relu": lambda a: a > 0,
    "tanh": lambda a: 1 - a**2,
    "logistic": lambda a: a * (1 - a),
}


class DisagreementError(Exception):
    """A peer does not compute what it is compared in."""


def forward(shape: Shape, weights, biases, x):
    """Return the output of every layer, the input first, the last before softmax."""
    outputs = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        outputs.append(ACTIVATIONS[shape.activation](outputs[-1] @ w + b))
    return [*outputs, outputs[-1] @ weights[-1] + biases[-1]]


def log_softmax(z):
    """Return the logarithm of each class's probability."""
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def compute_loss(shape: Shape, weights, biases, x, targets):
    """Return the mean loss."""
    z = forward(shape, weights, biases, x)[-1]
    if shape.loss == "squared_error":
        return ((z - targets) ** 2).sum(axis=1).mean() / 2
    return -log_softmax(z)[np.arange(len(targets)), targets].mean()


def differentiate_loss(shape: Shape, z, targets):
    """Return the derivatives of the mean loss with respect to the last layer's z."""
    if shape.loss == "squared_error":
        return (z - targets) / len(targets)
    delta = np.exp(log_softmax(z))
    delta[np.arange(len(targets)), targets] -= 1
    return delta / len(targets)


def compute_gradients(shape: Shape, weights, biases, x, targets):
    """Return the gradients of the mean loss, weights first, then biases."""
    *inputs, z = forward(shape, weights, biases, x)
    delta = differentiate_loss(shape, z, targets)
    by_weights, by_biases = [], []
    for layer in reversed(range(len(weights))):
        by_weights.insert(0, inputs[layer].T @ delta)
        by_biases.insert(0, delta.sum(axis=0))
        if layer:
            delta = (delta @ weights[layer].T) * SLOPES[shape.activation](inputs[layer])
    return by_weights + by_biases


def train_in_numpy(problem: Problem, n_epochs: int, scaled_epsilon: bool):
    """Run Adam in float64.

    Kingma & Ba (2015) give two forms, equal but for epsilon: algorithm 1 adds it
    to the corrected moment's root, the efficient order of section 2 to the
    uncorrected one's.
    """
    n_layers = len(problem.weights)
    params = [p.astype(np.float64) for p in problem.weights + problem.biases]
    m = [np.zeros_like(p) for p in params]
    v = [np.zeros_like(p) for p in params]
    batches = [batch for _ in range(n_epochs) for batch in problem.batches]
    for t, batch in enumerate(batches, start=1):
        grads = compute_gradients(
            problem.shape,
            *(params[:n_layers], params[n_layers:]),
            *(problem.X[batch].astype(np.float64), problem.targets[batch]),
        )
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
        targets=problem.targets[rows],
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
    data = problem.X.astype(np.float64), problem.targets
    loss = compute_loss(problem.shape, *expected, *data)
    reached = compute_loss(problem.shape, *found, *data)
    return {
        "steps": float(error / moved),
        "loss": float(abs(reached - loss) / loss),
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
    n_epochs = math.ceil(N_STEPS / problem.shape.n_steps)
    trainee = peer.prepare(problem)
    trainee.run_epochs(n_epochs)
    forms = [train_in_numpy(problem, n_epochs, scaled) for scaled in (False, True)]
    errors = min(
        (compare(trainee.params(), form, problem) for form in forms),
        key=lambda errors: errors["steps"],
    )
    of_steps, of_loss = (
        tolerance[problem.shape.dtype] for tolerance in (STEP_TOLERANCE, LOSS_TOLERANCE)
    )
    if not (errors["steps"] <= of_steps and errors["loss"] <= of_loss):
        raise DisagreementError(
            f"after {n_epochs * problem.shape.n_steps} steps the parameters are off by "
            f"{errors['steps']:.1e} of the way (allowed {of_steps:.0e}), the "
            f"loss by {errors['loss']:.1e} (allowed {of_loss:.0e})"
        )
    return errors
