"""A full-batch minimisation under way: where it is, and what may end it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastmlp.evaluation import Evaluator
from fastmlp.stopping import StopReason

if TYPE_CHECKING:
    from fastmlp.fitting import Fit

MESSAGES = {
    StopReason.GTOL: "no entry of the gradient is larger than gtol",
    StopReason.MAX_ITER: "the limit of iterations or evaluations has been reached",
    StopReason.MAX_SECONDS: "the time is over",
    StopReason.EARLY_STOPPING: "the validation score no longer rises",
    StopReason.OVERFITTING: "the validation score no longer rises while J falls",
    StopReason.CALLBACK: "a callback asked to stop",
    StopReason.NO_PROGRESS: "no step makes the objective smaller in this arithmetic",
}


class Point(NamedTuple):
    """Parameters, J and its gradient there, in double precision."""

    params: np.ndarray
    loss: float
    gradient: np.ndarray


class Descent:
    """A minimisation under way: where it is, and what may end it.

    Parameters
    ----------
    fit : Fit
        The fit that it is: network and limits, and who is told of each iteration.
    evaluator : Evaluator
        J and its derivatives.

    Attributes
    ----------
    point, best : Point
        Where it is, and where J was least.
    n_evaluations : int
        Of J with its gradient.
    """

    def __init__(self, fit: Fit, evaluator: Evaluator) -> None:
        self.fit, self.evaluator = fit, evaluator
        self.network, self.recipe = fit.state.network, fit.recipe
        self.eps = float(np.finfo(self.network.dtype).eps)
        self.n_evaluations = 0
        fit.begin_epoch()
        self._latest = self._compute(self.network.params.astype(np.float64))
        self.point = self.best = self._latest

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
        """Go to that point, and have it recorded and judged."""
        self.point = point
        if point.loss < self.best.loss:
            self.best = point
        self.network.params[:] = point.params
        norm = float(np.linalg.norm(point.gradient))
        self.fit.end_epoch({"loss": point.loss, "gradient_norm": norm, **figures})
        self.fit.begin_epoch()

    def is_moved_by(self, step: np.ndarray) -> bool:
        """Whether the step is longer than what rounding does to the parameters."""
        least = self.eps * np.linalg.norm(self.point.params)
        return bool(np.linalg.norm(step) > least)

    def reason_to_stop(self) -> StopReason | None:
        """Why there should be no further iteration; None: there should."""
        if np.abs(self.point.gradient).max() <= self.recipe.tol:
            return StopReason.GTOL
        if self.fit.stop_reason is not None:
            return self.fit.stop_reason
        if self._is_at_limit():
            return StopReason.MAX_ITER
        return None if math.isfinite(self.point.loss) else StopReason.NO_PROGRESS

    def _is_at_limit(self) -> bool:
        many = self.fit.n_epochs >= self.recipe.n_epochs
        return many or self.n_evaluations >= self.recipe.max_fun

    def _compute(self, params: np.ndarray) -> Point:
        self.network.params[:] = params
        loss, gradient = self.evaluator.loss_and_grad()
        self.n_evaluations += 1
        return Point(params, float(loss), gradient.astype(np.float64, copy=False))
