"""Levenberg–Marquardt: least squares by damped Gauss–Newton steps."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dposv

from fastmlp.descent import MESSAGES, Descent
from fastmlp.stopping import StopReason

# Parameters that it takes at most: their normal equations are a matrix of as many rows
# and columns, which is factorised in every iteration.
MOST_PARAMS = 5000
# The first damping, in parts of the largest diagonal entry of the normal equations.
FIRST_DAMPING = 1e-3


def run_lm(run: Descent) -> tuple[StopReason, str]:
    """(GᵀΩG/m + α/m + λI) d = −∇J, with Nielsen's rule for λ.

    G is the Jacobian of the outputs, Ω holds the rows' weights, m is their sum, and α/m
    stands where weights are penalised. A step is taken if J falls; λ follows the gain
    ratio, the fall of J by that of its model.

    Raises
    ------
    ValueError
        If the loss is not squared_error, there is an L1 penalty, or there are too many
        parameters.

    References
    ----------
    M. T. Hagan, M. B. Menhaj, "Training feedforward networks with the Marquardt
    algorithm", IEEE Transactions on Neural Networks 5, 1994.

    H. B. Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05.
    """
    _check(run)
    damping, growth, matrix = 0.0, 2.0, None
    while (reason := run.reason_to_stop()) is None:
        point = run.point
        if matrix is None:
            run.network.params[:] = point.params
            matrix = run.evaluator.gauss_newton()
            damping = damping or FIRST_DAMPING * float(matrix.diagonal().max())
        step = _solve(matrix, damping, point.gradient)
        if not run.is_moved_by(step):
            reason = StopReason.NO_PROGRESS
            break
        trial = run.evaluate(point.params + step)
        promised = 0.5 * float(step @ (damping * step - point.gradient))
        gain = (point.loss - trial.loss) / promised
        if gain > 0:
            damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
            growth, matrix = 2.0, None
        else:
            damping, growth = damping * growth, 2 * growth
        run.finish_iteration(trial if gain > 0 else point)
    return reason, MESSAGES[reason]


def _check(run: Descent) -> None:
    recipe, n_params = run.recipe, run.network.params.size
    if recipe.head.loss != "squared_error":
        raise ValueError(
            f"solver='lm' needs loss='squared_error', got {recipe.head.loss!r}"
        )
    if run.network.alpha and run.network.l1_ratio:
        raise ValueError("solver='lm' does not support an L1 penalty; set l1_ratio=0")
    if n_params > MOST_PARAMS:
        raise ValueError(
            f"solver='lm' takes at most {MOST_PARAMS} parameters, and this network has "
            f"{n_params}; choose solver='lbfgs' or 'adam', or fewer units"
        )


def _solve(matrix: np.ndarray, damping: float, gradient: np.ndarray) -> np.ndarray:
    """The step; of the gradient's direction where rounding leaves nothing definite."""
    damped = matrix.copy()
    damped.flat[:: len(damped) + 1] += damping
    # Of LAPACK itself: SciPy's own checks cost as much as a small system. A symmetric
    # matrix is its transpose, which lies as LAPACK wants it.
    _, step, order_that_is_not = dposv(damped.T, -gradient)
    return -gradient / damped.diagonal().max() if order_that_is_not else step
