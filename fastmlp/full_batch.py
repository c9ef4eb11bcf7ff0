"""Full-batch methods: L-BFGS, gradient descent, steepest descent; Newton's is called.

Each minimises J over all rows at once; what differs is the next step. They work in
double precision whatever the network's type, which is that of J and its derivatives.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike

from fastmlp.descent import MESSAGES, Descent
from fastmlp.network import Network
from fastmlp.second_order import run_newton_cg
from fastmlp.stopping import raise_if_diverged
from fastmlp.threads import gather_crew, one_thread_for_blas

# Sufficient decrease of a line search, as a share of what the slope promises.
SUFFICIENT_DECREASE = 1e-4


@dataclass
class FullBatchRun:
    """What one full-batch minimisation did.

    Attributes
    ----------
    history : dict of list of float
        One entry an iteration, taken after its step: 'loss' (J), 'gradient_norm'
        (Euclidean), 'seconds', and under gd and steepest 'learning_rate' (the step
        size).
    loss : float
        J at the end.
    n_iter : int
        Iterations taken.
    stop_reason : str
        'gtol' (no entry of the gradient is larger), 'tol' (lbfgs: J hardly changed),
        'max_iter' (of iterations or evaluations), 'callback', 'interrupted' or
        'no_progress' (no step makes J smaller in this arithmetic).
    message : str
        The reason in words; under lbfgs they are SciPy's.
    """

    history: dict[str, list[float]]
    loss: float
    n_iter: int
    stop_reason: str
    message: str

    @property
    def converged(self) -> bool:
        """Whether a tolerance ended it, not a limit."""
        return self.stop_reason in ("gtol", "tol")


def fit_full_batch(
    network: Network,
    X: ArrayLike,
    Y: ArrayLike,
    sample_weight: ArrayLike | None,
    *,
    solver: str,
    max_iter: int,
    max_fun: int,
    gtol: float,
    learning_rate: float,
    n_threads: int = 1,
    callbacks: Sequence[Callable[[int, dict[str, float]], object]] = (),
    report: Callable[[str], None] | None = None,
) -> FullBatchRun:
    """Minimise J over all rows, moving the network's parameters.

    Ctrl-C ends it; the best parameters so far are kept.

    Parameters
    ----------
    network : Network
        Its parameters are the start and receive the result.
    X, Y, sample_weight
        As in :meth:`Network.loss`; X is converted once.
    solver : {'lbfgs', 'gd', 'steepest', 'newton-cg'}
        How the next step is chosen.
    max_iter, max_fun : int
        Limits on iterations, and on evaluations of J with its gradient; the latter is
        looked at between iterations. Products with the Hessian are not counted.
    gtol : float
        It has converged when no entry of the gradient is larger in magnitude.
    learning_rate : float
        Step size η of gd; nothing else reads it.
    n_threads : int, default=1
        Threads that share the rows; the numbers do not depend on it.
    callbacks : sequence of callable, default=()
        Each is called as ``f(iteration, logs)`` after an iteration, counted from 0,
        with the entries of the history, the network having that iteration's
        parameters; True ends the run.
    report : callable, default=None
        Takes a line of progress each iteration.

    Returns
    -------
    FullBatchRun

    Raises
    ------
    ValueError
        If the solver is unknown, data have another shape than the network, a layer is
        normalised and products with the Hessian are needed, or the parameters or J
        have become infinite or NaN.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {SOLVERS}, got {solver!r}")
    data = network.as_data(X, Y, sample_weight)
    with one_thread_for_blas(), gather_crew(n_threads) as crew:
        run = Descent(
            network,
            network.evaluator(data, crew),
            max_iter,
            max_fun,
            gtol,
            learning_rate,
            callbacks,
            report,
            {name: [] for name in COLUMNS[solver]},
        )
        # Overflow is divergence, which is seen at the end.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            reason, message = _run(run, solver)
    network.params[:] = run.point.params
    raise_if_diverged(np.append(network.params, run.point.loss))
    return FullBatchRun(run.history, run.point.loss, run.n_iter, reason, message)


def _run(run: Descent, solver: str) -> tuple[str, str]:
    """Reason and words with which it ended; after Ctrl-C, back to the best point."""
    try:
        return _METHODS[solver](run)
    except KeyboardInterrupt:
        run.point = run.best
        return "interrupted", MESSAGES["interrupted"]


# -- the solvers: each moves run.point until there is a reason to stop


def _run_lbfgs(run: Descent) -> tuple[str, str]:
    """Limited-memory BFGS, SciPy's: a model of the Hessian from the last ten steps.

    References
    ----------
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale
    optimization", Mathematical Programming 45, 1989.
    """

    def objective(params: np.ndarray) -> tuple[float, np.ndarray]:
        _, loss, gradient = run.evaluate(params)
        return loss, gradient

    def progress(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        run.finish_iteration(run.evaluate(intermediate_result.x))
        if run.stopped:
            raise StopIteration

    result = scipy.optimize.minimize(
        objective,
        run.point.params,
        method="L-BFGS-B",
        jac=True,
        callback=progress,
        options={"maxiter": run.max_iter, "maxfun": run.max_fun, "gtol": run.gtol},
    )
    reasons = {0: "tol", 1: "max_iter", 2: "no_progress"}
    reason = "callback" if run.stopped else reasons[result.status]
    if np.abs(run.point.gradient).max() <= run.gtol:
        reason = "gtol"
    return reason, str(result.message)


def _run_gd(run: Descent) -> tuple[str, str]:
    """Gradient descent, x ← x − η ∇J with a fixed η."""
    return _follow_gradient(run, lambda run: run.learning_rate)


def _run_steepest(run: Descent) -> tuple[str, str]:
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
) -> tuple[str, str]:
    while (reason := run.reason_to_stop()) is None:
        size = choose_step_size(run)
        params = run.point.params - (size or 0.0) * run.point.gradient
        if size is None or np.array_equal(params, run.point.params):
            reason = "no_progress"
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
    losses = run.history["loss"]
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


_METHODS: dict[str, Callable[[Descent], tuple[str, str]]] = {
    "lbfgs": _run_lbfgs,
    "gd": _run_gd,
    "steepest": _run_steepest,
    "newton-cg": run_newton_cg,
}
SOLVERS = tuple(_METHODS)

# What is recorded of every iteration; gd and steepest have a step size besides.
COLUMNS: dict[str, tuple[str, ...]] = {
    name: ("loss", "gradient_norm", "seconds")
    + (("learning_rate",) if name in ("gd", "steepest") else ())
    for name in SOLVERS
}
