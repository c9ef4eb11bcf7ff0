"""Full-batch methods on scipy.optimize, driven by the exact gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from fastmlp.network import Network
from fastmlp.stopping import raise_if_diverged


@dataclass
class FullBatchRun:
    """What one full-batch minimisation did.

    Attributes
    ----------
    loss : float
        Objective at the end.
    n_iter : int
        Iterations taken.
    converged : bool
        Whether a tolerance, not a limit, ended it.
    message : str
        SciPy's own words.
    """

    loss: float
    n_iter: int
    converged: bool
    message: str


def fit_lbfgs(
    network: Network,
    X: np.ndarray,
    Y: np.ndarray,
    sample_weight: np.ndarray | None,
    *,
    max_iter: int,
    max_fun: int,
    gtol: float,
    report: Callable[[str], None] | None = None,
) -> FullBatchRun:
    """Minimise the objective by L-BFGS, moving the network's parameters.

    Parameters
    ----------
    network : Network
        Its parameters are the start and receive the result.
    X, Y, sample_weight
        As in :meth:`Network.loss`.
    max_iter, max_fun : int
        Limits on iterations and on evaluations.
    gtol : float
        Largest entry of the projected gradient at which it has converged.
    report : callable, default=None
        Takes a line of progress each iteration.

    Raises
    ------
    ValueError
        If the parameters have become infinite or NaN.

    References
    ----------
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale
    optimization", Mathematical Programming 45, 1989.
    """

    def objective(params: np.ndarray) -> tuple[float, np.ndarray]:
        network.params[:] = params
        loss, grads = network.loss_and_grad(X, Y, sample_weight)
        return loss, grads.astype(np.float64, copy=False)

    iterations = 0

    def progress(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        nonlocal iterations
        iterations += 1
        if report is not None:
            report(f"Iteration {iterations}, loss = {intermediate_result.fun:.8f}")

    result = scipy.optimize.minimize(
        objective,
        network.params.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=progress,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": gtol},
    )
    network.params[:] = result.x
    raise_if_diverged(np.append(network.params, result.fun))
    return FullBatchRun(
        float(result.fun), int(result.nit), result.status == 0, str(result.message)
    )
