"""Full-batch methods: L-BFGS, gradient descent, steepest descent; Newton's is called.

Each minimises J over all rows at once; what differs is the next step. They work in
double precision whatever the network's type, which is that of J and its derivatives.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import scipy.optimize

from fastmlp.descent import MESSAGES, Descent
from fastmlp.levenberg_marquardt import run_lm
from fastmlp.rows import RowSource, all_at_once
from fastmlp.second_order import run_newton_cg
from fastmlp.stopping import StopReason
from fastmlp.threads import one_thread_for_blas, thread_team

if TYPE_CHECKING:
    from fastmlp.fitting import Fit

# Sufficient decrease of a line search, as a share of what the slope promises.
SUFFICIENT_DECREASE = 1e-4


Ending = tuple[StopReason, str]


def minimise(fit: Fit, rows: RowSource) -> None:
    """Minimise J over all rows, moving the network's parameters.

    Ctrl-C ends it; the best parameters so far are kept.

    Parameters
    ----------
    fit : Fit
        The fit: its recipe names the solver and its limits, its state's network is
        the start and receives the result.
    rows : RowSource
        The rows, all in memory.

    Raises
    ------
    ValueError
        If a layer is normalised and products with the Hessian are needed, or the rows
        are a stream.
    """
    network = fit.state.network
    data = all_at_once(rows)
    # Counted for one evaluation: threads sleep until the next.
    n_threads = fit.recipe.count_threads(network, len(data[1]), 1)
    with one_thread_for_blas(), thread_team(n_threads) as team:
        _descend(fit, Descent(fit, network.evaluator(data, team)))


def _descend(fit: Fit, descent: Descent) -> None:
    try:
        # Overflow is divergence, which is seen at the end.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            fit.stop_reason, fit.state.message = METHODS[fit.recipe.solver](descent)
    except KeyboardInterrupt:
        descent.point = descent.best
        raise
    finally:
        fit.state.network.params[:] = descent.point.params
        fit.state.loss = descent.point.loss


# -- the solvers: each moves run.point until there is a reason to stop


def _run_lbfgs(run: Descent) -> Ending:
    """Limited-memory BFGS, SciPy's: a model of the Hessian from the last ten steps.

    References
    ----------
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale
    optimization", Mathematical Programming 45, 1989.
    """

    def objective(params: np.ndarray) -> tuple[float, np.ndarray]:
        _, loss, gradient = run.evaluate(params)
        return loss, gradient

    raised: list[StopIteration] = []

    def progress(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        try:
            run.finish_iteration(run.evaluate(intermediate_result.x))
        except StopIteration as error:  # the user's: SciPy takes it for a wish to end
            raised.append(error)
            raise
        if run.fit.stop_reason is not None:
            raise StopIteration

    result = scipy.optimize.minimize(
        objective,
        run.point.params,
        method="L-BFGS-B",
        jac=True,
        callback=progress,
        options={
            "maxiter": run.recipe.n_epochs,
            "maxfun": run.recipe.max_fun,
            "gtol": run.recipe.tol,
        },
    )
    if raised:
        raise raised[0]
    reason = run.fit.stop_reason or LBFGS_REASONS[result.status]
    if np.abs(run.point.gradient).max() <= run.recipe.tol:
        reason = StopReason.GTOL
    return reason, str(result.message)


def _run_gd(run: Descent) -> Ending:
    """Gradient descent, x ← x − η ∇J with a fixed η."""
    return _follow_gradient(run, lambda run: run.recipe.schedule.learning_rate_init)


def _run_steepest(run: Descent) -> Ending:
    """Steepest descent, x ← x − η ∇J with η from a line search.

    On a quadratic the exact minimiser along the line is known, η = gᵀg / gᵀHg: no
    search (Brent's, say) could do better than that one product with the Hessian, which
    is exact but for rounding. Successive gradients are orthogonal then. Elsewhere η
    meets the strong Wolfe conditions; as they compare values of J, the gradient does
    not become smaller than about the square root of the type's precision.

    References
    ----------
    J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., 3.1 and 3.3.
    """
    exact = run.network.is_quadratic
    return _follow_gradient(run, _exact_step_size if exact else _wolfe_step_size)


def _follow_gradient(
    run: Descent, choose_step_size: Callable[[Descent], float | None]
) -> Ending:
    while (reason := run.reason_to_stop()) is None:
        size = choose_step_size(run)
        params = run.point.params - (size or 0.0) * run.point.gradient
        if size is None or np.array_equal(params, run.point.params):
            reason = StopReason.NO_PROGRESS
            break
        run.finish_iteration(run.evaluate(params), learning_rate=size)
    return reason, MESSAGES[reason]


def _exact_step_size(run: Descent) -> float | None:
    """The minimiser of a quadratic J along its gradient, if it curves there."""
    gradient = run.point.gradient
    curvature = gradient @ run.multiply_hessian(gradient)
    size = float(gradient @ gradient / curvature) if curvature > 0 else 0.0
    return size if run.is_moved_by(size * gradient) else None


def _wolfe_step_size(run: Descent) -> float | None:
    """A step size of the strong Wolfe conditions; at kinks, of sufficient decrease."""
    point = run.point
    losses = run.fit.state.history.get("loss", [])
    with warnings.catch_warnings():
        # Not finding one is no surprise: the slope jumps at relu's kinks.
        warnings.simplefilter("ignore", RuntimeWarning)
        size = scipy.optimize.line_search(
            lambda params: run.evaluate(params).loss,
            lambda params: run.evaluate(params).gradient,
            point.params,
            -point.gradient,
            gfk=point.gradient,
            old_fval=point.loss,
            old_old_fval=losses[-2] if len(losses) > 1 else None,
            c1=SUFFICIENT_DECREASE,
        )[0]
    found = size is not None and _descends(run, size)
    return float(size) if found else _backtrack(run)


def _backtrack(run: Descent) -> float | None:
    """The first of 1, 1/2, 1/4, … of sufficient decrease; None: they are too small."""
    size = 1.0
    while run.is_moved_by(size * run.point.gradient):
        if _descends(run, size):
            return size
        size /= 2
    return None


def _descends(run: Descent, size: float) -> bool:
    """Whether J falls sufficiently on a step of that size along −∇J."""
    point = run.point
    promised = size * (point.gradient @ point.gradient)
    found = point.loss - run.evaluate(point.params - size * point.gradient).loss
    return bool(found >= SUFFICIENT_DECREASE * promised and found > 0)


# By the status of SciPy's result.
LBFGS_REASONS = {
    0: StopReason.TOL,
    1: StopReason.MAX_ITER,
    2: StopReason.NO_PROGRESS,
}

# Those that record the size of their steps along the gradient.
SOLVERS_WITH_RATES = ("gd", "steepest")

METHODS: dict[str, Callable[[Descent], Ending]] = {
    "lbfgs": _run_lbfgs,
    "gd": _run_gd,
    "steepest": _run_steepest,
    "newton-cg": run_newton_cg,
    "lm": run_lm,
}
