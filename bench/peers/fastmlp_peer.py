"""fastmlp's own Network and Trainer."""

from __future__ import annotations

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, OUTPUT_ACTIVATIONS, Problem


def available() -> str | None:
    """Return None, or why fastmlp cannot be used."""
    return find_missing("fastmlp")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    import fastmlp
    from fastmlp import _kernels

    return {
        "fastmlp": fastmlp.__version__,
        "fastmlp isa": _kernels.isa,
        **versions_of("numpy", "scipy"),
    }


class Trainee:
    """A trainer and the order of its rows."""

    def __init__(self, problem: Problem):
        from fastmlp.network import Network
        from fastmlp.optimizers import Optimizer
        from fastmlp.rows import ArrayRows, as_inputs
        from fastmlp.threads import count_threads, thread_team
        from fastmlp.trainer import Trainer

        shape = problem.shape
        self.network = Network(
            shape.units,
            activation=shape.activation,
            loss=shape.loss,
            output_activation=OUTPUT_ACTIVATIONS[shape.loss],
            dtype=shape.dtype,
            random_state=0,
        )
        own = [*self.network.weights, *self.network.biases]
        for param, initial in zip(own, problem.weights + problem.biases, strict=True):
            param[...] = initial
        optimizer = Optimizer(
            "adam",
            self.network.params.size,
            self.network.dtype,
            learning_rate=problem.learning_rate,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
        )
        n_threads = count_threads(self.network.plan, shape.batch_size)
        # A thread team for as long as the worker's process lives.
        self.team = thread_team(n_threads)
        X = as_inputs(problem.X, shape.units[0], self.network.dtype)
        Y = problem.targets.reshape(shape.n_rows, -1).astype(shape.dtype)
        self.trainer = Trainer(
            self.network,
            optimizer,
            ArrayRows((X, Y, None)),
            batch_size=shape.batch_size,
            team=self.team.__enter__(),
        )
        self.order = problem.order

    def run_epochs(self, n: int) -> None:
        """Train for n epochs."""
        for _ in range(n):
            self.trainer.run_epoch(self.order)

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases as they now are."""
        return list(self.network.weights), list(self.network.biases)


def prepare(problem: Problem) -> Trainee:
    """Return a network at the problem's initial parameters."""
    return Trainee(problem)
