"""scikit-learn's MLPClassifier and MLPRegressor."""

from __future__ import annotations

import warnings

import numpy as np

from bench.environment import versions_of
from bench.peers import find_missing
from bench.shapes import BETA_1, BETA_2, EPSILON, OUTPUT_ACTIVATIONS, Problem


def available() -> str | None:
    """Return None, or why scikit-learn cannot be used."""
    return find_missing("sklearn")


def versions() -> dict[str, str]:
    """Return what is measured, by name."""
    return versions_of("scikit-learn", "numpy", "scipy")


def take_targets(problem: Problem) -> np.ndarray:
    """Return the targets in order.

    One column a class keeps two outputs for two classes, where the labels would
    give one. A single column of outputs is wanted flat.
    """
    targets = problem.targets[problem.order]
    if problem.shape.loss == "log_loss":
        return np.eye(problem.shape.units[-1], dtype=int)[targets]
    return targets.ravel() if targets.shape[1] == 1 else targets


class Trainee:
    """An estimator that goes on training where it stands.

    `fit` with ``warm_start`` runs any number of epochs, so that its fixed cost,
    about that of ten small steps, vanishes over a measurement. `partial_fit`
    pays it every epoch. Each call starts Adam's moments anew, which costs
    nothing to speak of.

    Rows are brought into order beforehand: without shuffling scikit-learn takes
    slices and is spared the gathering that all others are timed with.
    """

    def __init__(self, problem: Problem):
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        shape = problem.shape
        self.X = problem.X[problem.order]
        self.Y = take_targets(problem)
        estimators = {"log_loss": MLPClassifier, "squared_error": MLPRegressor}
        self.model = estimators[shape.loss](
            hidden_layer_sizes=shape.units[1:-1],
            activation=shape.activation,
            alpha=0.0,
            batch_size=shape.batch_size,
            learning_rate_init=problem.learning_rate,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            shuffle=False,
            tol=0.0,
            n_iter_no_change=np.inf,
            warm_start=True,
        )
        self.run_epochs(1)
        # For a column a class scikit-learn means sigmoids.
        self.model.out_activation_ = OUTPUT_ACTIVATIONS[shape.loss]
        own = self.model.coefs_ + self.model.intercepts_
        for param, initial in zip(own, problem.weights + problem.biases, strict=True):
            param[...] = initial

    def run_epochs(self, n: int) -> None:
        """Train for n epochs."""
        self.model.max_iter = n
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iter")
            self.model.fit(self.X, self.Y)

    def params(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases as they now are."""
        return self.model.coefs_, self.model.intercepts_


def prepare(problem: Problem) -> Trainee:
    """Return a network at the problem's initial parameters."""
    return Trainee(problem)
