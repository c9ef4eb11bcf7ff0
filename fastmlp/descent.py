"""A full-batch minimisation under way: where it is, and what may end it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmlp.evaluation import Evaluator
from fastmlp.network import Network
from fastmlp.stopping import asks_to_stop

MESSAGES = {
    "gtol": "no entry of the gradient is larger than gtol",
    "max_iter": "the limit of iterations or evaluations has been reached",
    "callback": "a callback asked to stop",
    "interrupted": "interrupted by the user",
    "no_progress": "no step makes the objective smaller in this arithmetic",
}


class Point(NamedTuple):
    """Parameters, J and its gradient there, in double precision."""

    params: np.ndarray
    loss: float
    gradient: np.ndarray


@dataclass
class Descent:
    """A minimisation under way: where it is, and what may end it."""

    network: Network
    evaluator: Evaluator
    max_iter: int
    max_fun: int
    gtol: float
    learning_rate: float
    callbacks: Sequence[Callable[[int, dict[str, float]], object]]
    report: Callable[[str], None] | None
    history: dict[str, list[float]]
    n_evaluations: int = 0
    stopped: bool = False

    def __post_init__(self) -> None:
        self.eps = float(np.finfo(self.network.dtype).eps)
        self._started = time.perf_counter()
        self._latest = self._compute(self.network.params.astype(np.float64))
        self.point = self.best = self._latest

    @property
    def n_iter(self) -> int:
        """Iterations finished."""
        return len(self.history["loss"])

    def evaluate(self, params: np.ndarray) -> Point:
        """J and its gradient; what was asked for last is not computed again."""
        if not np.array_equal(params, self._latest.params):
            self._latest = self._compute(params.copy())
        return self._latest

    def multiply_hessian(self, vector: np.ndarray) -> np.ndarray:
        """The Hessian times a vector, where the network stands: before any trial."""
        direction = vector.astype(self.network.dtype, copy=False)
        product = self.evaluator.hessian_vector_product(direction)
        return product.astype(np.float64, copy=False)

    def finish_iteration(self, point: Point, **figures: float) -> None:
        """Go to that point; tell history, report and callbacks of it."""
        self.point = point
        if point.loss < self.best.loss:
            self.best = point
        self.network.params[:] = point.params
        logs = {
            "loss": point.loss,
            "gradient_norm": float(np.linalg.norm(point.gradient)),
            **figures,
            "seconds": time.perf_counter() - self._started,
        }
        for name, value in logs.items():
            self.history[name].append(value)
        if self.report is not None:
            self.report(f"Iteration {self.n_iter}, loss = {point.loss:.8f}")
        index = self.n_iter - 1
        answers = [callback(index, dict(logs)) for callback in self.callbacks]
        self.stopped = any(asks_to_stop(answer) for answer in answers)
        self._started = time.perf_counter()

    def is_moved_by(self, step: np.ndarray) -> bool:
        """Whether the step is longer than what rounding does to the parameters."""
        least = self.eps * np.linalg.norm(self.point.params)
        return bool(np.linalg.norm(step) > least)

    def reason_to_stop(self) -> str | None:
        """Why there should be no further iteration; None: there should."""
        if np.abs(self.point.gradient).max() <= self.gtol:
            return "gtol"
        if self.stopped:
            return "callback"
        if self.n_iter >= self.max_iter or self.n_evaluations >= self.max_fun:
            return "max_iter"
        return None if math.isfinite(self.point.loss) else "no_progress"

    def _compute(self, params: np.ndarray) -> Point:
        self.network.params[:] = params
        loss, gradient = self.evaluator.loss_and_grad()
        self.n_evaluations += 1
        return Point(params, float(loss), gradient.astype(np.float64, copy=False))
