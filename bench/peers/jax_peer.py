"""JAX: a whole epoch compiled as one scan, with optax's Adam.

XLA makes as many threads as the process may use CPUs, so the worker's binding
sets their number.
"""

from __future__ import annotations

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, Problem


def available() -> str | None:
    """Return None, or why JAX cannot be used."""
    return find_missing("jax", "optax")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    return versions_of("jax", "jaxlib", "optax")


def compute_loss(params, x, labels):
    """Return the mean log-loss of a batch."""
    import jax
    import optax

    weights, biases = params
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        x = jax.nn.relu(x @ w + b)
    logits = x @ weights[-1] + biases[-1]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def compile_epoch(optimizer):
    """Return the function that takes a state through all batches, in place."""
    import jax
    import optax

    def run_epoch(state, X, labels, batches):
        def take_step(state, batch):
            params, moments = state
            grads = jax.grad(compute_loss)(params, X[batch], labels[batch])
            updates, moments = optimizer.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(take_step, state, batches)[0]

    return jax.jit(run_epoch, donate_argnums=0)


class Trainee:
    """A state that one compiled function takes through an epoch."""

    def __init__(self, problem: Problem):
        import jax.numpy as jnp
        import optax

        adam = optax.adam(problem.learning_rate, b1=BETA_1, b2=BETA_2, eps=EPSILON)
        params = (
            [jnp.array(w) for w in problem.weights],
            [jnp.array(b) for b in problem.biases],
        )
        self.state = (params, adam.init(params))
        self.data = (
            jnp.array(problem.X),
            jnp.array(problem.labels, dtype=jnp.int32),
            jnp.array(problem.batches, dtype=jnp.int32),
        )
        self.run_epoch = compile_epoch(adam)

    def run_epochs(self, n: int) -> None:
        """Train for n epochs; wait for the last."""
        import jax

        for _ in range(n):
            self.state = self.run_epoch(self.state, *self.data)
        jax.block_until_ready(self.state)

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases as they now are."""
        weights, biases = self.state[0]
        return [np.asarray(w) for w in weights], [np.asarray(b) for b in biases]


def prepare(problem: Problem) -> Trainee:
    """Return a network at the problem's initial parameters."""
    return Trainee(problem)
