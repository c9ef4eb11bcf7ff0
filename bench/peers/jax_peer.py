"""JAX: a whole epoch compiled as one scan, with optax's Adam.

XLA makes as many threads as the process may use CPUs, so the worker's binding
sets their number.
"""

from __future__ import annotations

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, Problem, Shape


def available() -> str | None:
    """Return None, or why JAX cannot be used."""
    return find_missing("jax", "optax")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    return versions_of("jax", "jaxlib", "optax")


def pad_rows(X):
    """Return the columns and values of sparse rows, filled up to the longest row."""
    lengths = np.diff(X.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(X.nnz) - np.repeat(X.indptr[:-1], lengths)
    columns = np.zeros((len(lengths), lengths.max()), np.int32)
    values = np.zeros(columns.shape, X.dtype)
    columns[rows, places], values[rows, places] = X.indices, X.data
    return columns, values


def multiply(x, w):
    """Return the product of dense or padded sparse rows with weights.

    A sum over the weights' rows of the non-zeros took 11 ms a step of the shape
    "text" where rows made dense took 55.
    """
    import jax.numpy as jnp

    if isinstance(x, tuple):
        columns, values = x
        return jnp.einsum("rn,rnu->ru", values, w[columns])
    return x @ w


def define_loss(shape: Shape):
    """Return the function of parameters, inputs and targets that is minimised."""
    import jax
    import optax

    activations = {
        "relu": jax.nn.relu,
        "tanh": jax.nn.tanh,
        "logistic": jax.nn.sigmoid,
    }
    activate = activations[shape.activation]

    def compute_loss(params, x, targets):
        weights, biases = params
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = activate(multiply(x, w) + b)
        outputs = multiply(x, weights[-1]) + biases[-1]
        if shape.loss == "squared_error":
            return optax.l2_loss(outputs, targets).sum(axis=1).mean()
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return losses.mean()

    return compute_loss


def compile_epoch(compute_loss, optimizer):
    """Return the function that takes a state through all batches, in place."""
    import jax
    import optax

    def run_epoch(state, X, targets, batches):
        def take_step(state, batch):
            params, moments = state
            x = jax.tree.map(lambda array: array[batch], X)
            grads = jax.grad(compute_loss)(params, x, targets[batch])
            updates, moments = optimizer.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(take_step, state, batches)[0]

    return jax.jit(run_epoch, donate_argnums=0)


class Trainee:
    """A state that one compiled function takes through an epoch."""

    def __init__(self, problem: Problem):
        import jax
        import jax.numpy as jnp
        import optax

        adam = optax.adam(problem.learning_rate, b1=BETA_1, b2=BETA_2, eps=EPSILON)
        params = (
            [jnp.array(w) for w in problem.weights],
            [jnp.array(b) for b in problem.biases],
        )
        self.state = (params, adam.init(params))
        shape, X, targets = problem.shape, problem.X, problem.targets
        self.data = (
            jax.tree.map(jnp.array, X if shape.density is None else pad_rows(X)),
            jnp.array(targets.astype(np.int32) if targets.ndim == 1 else targets),
            jnp.array(problem.batches, dtype=jnp.int32),
        )
        self.run_epoch = compile_epoch(define_loss(shape), adam)

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
    import jax

    jax.config.update("jax_enable_x64", problem.shape.dtype == "float64")
    return Trainee(problem)
