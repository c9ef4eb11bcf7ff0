"""``bench lm``: Levenberg–Marquardt on small regressions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from bench.bars import at_least, inform, print_bars
from bench.environment import describe_machine, versions_of
from bench.report import write_json

PUMA = Path(__file__).resolve().parents[2] / "shared/data/tabular/puma8NH.npz"
OTHERS = ("lbfgs", "adam")
N_ITERATIONS = 60
N_HIDDEN, N_HIDDEN_OF_A_MINIMUM = 12, 4
# A penalty keeps a minimum's parameters finite. Both begin off it by so much, and have
# arrived where J is as close to the least that either has found.
ALPHA, NOISE, CLOSE = 0.1, 0.05, 1e-6
TIMES_SCIPY = 5
MOST_ITERATIONS = 500


class Regression(NamedTuple):
    """Rows and targets of unit variance."""

    X: np.ndarray
    y: np.ndarray


def standardised(X, y) -> Regression:
    """Return rows and targets of mean 0 and variance 1."""
    from sklearn.preprocessing import scale

    return Regression(scale(np.asarray(X, float)), scale(np.asarray(y, float)))


def load_diabetes() -> Regression:
    """Return scikit-learn's diabetes."""
    from sklearn import datasets

    return standardised(*datasets.load_diabetes(return_X_y=True))


def make_sine() -> Regression:
    """Return a sine, without noise."""
    x = np.linspace(-3, 3, 200)
    return standardised(x[:, None], np.sin(2 * x))


def make_friedman() -> Regression:
    """Return Friedman's first function of five of ten columns, with noise."""
    from sklearn import datasets

    return standardised(*datasets.make_friedman1(400, noise=0.5, random_state=0))


def load_puma() -> Regression:
    """Return a part of puma8NH, which lies in shared/data beside the repository."""
    data = np.load(PUMA)
    return standardised(data["X"][:2000], data["y"][:2000])


CASES: dict[str, Callable[[], Regression]] = {
    "diabetes": load_diabetes,
    "sine": make_sine,
    "friedman": make_friedman,
    "puma8NH": load_puma,
}


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Return the least seconds that a call takes."""
    seconds = []
    for _ in range(repeats):
        begin = perf_counter()
        call()
        seconds.append(perf_counter() - begin)
    return min(seconds)


def compare_losses(name: str, data: Regression, repeats: int) -> list[dict]:
    """Fit by lm, and by others for as long."""
    from fastmlp import MLPRegressor

    alike = {"hidden_layer_sizes": (N_HIDDEN,), "activation": "tanh", "random_state": 0}
    ours = MLPRegressor(solver="lm", max_iter=N_ITERATIONS, tol=0, **alike)
    seconds = fastest(lambda: ours.fit(*data), repeats)
    rows = [
        inform(f"{name}, lm: {ours.n_iter_} iterations", "ms", 1e3 * seconds),
        inform(f"{name}, lm: J", "10⁻³", 1e3 * ours.loss_),
    ]
    unlimited = {"max_iter": 10**6, "max_fun": 10**8, "tol": 0}
    unlimited |= {"n_iter_no_change": 10**6, "max_seconds": seconds}
    for solver in OTHERS:
        other = MLPRegressor(solver=solver, **alike, **unlimited)
        loss = min(other.fit(*data).loss_ for _ in range(repeats))
        what = f"{name}, {solver} in the same time: J"
        rows.append(at_least(what, "10⁻³", 1e3 * loss, 1e3 * ours.loss_))
    return rows


def minimise(network, data: Regression, n_iterations: int) -> list[float]:
    """Move a network's parameters by lm; return J after each iteration."""
    from fastmlp.fitting import fit_network
    from fastmlp.head import Head
    from fastmlp.recipe import Recipe

    settings = {"n_epochs": n_iterations, "tol": 1e-12, "n_threads": 1}
    recipe = Recipe(Head("squared_error"), solver="lm", **settings)
    return fit_network(network, *data, recipe).history["loss"]


def drive(network, data: Regression, method: str) -> list[tuple[float, float]]:
    """Move it by SciPy's least_squares; return seconds and J of each evaluation.

    The penalty's residuals are the weights, behind those of the rows.
    """
    from scipy.optimize import least_squares

    X, y = data
    n_rows, found = len(y), []
    marked = network.copy()
    marked.params[:] = 0
    for W in marked.weights:
        W[:] = 1
    roots = ALPHA**0.5 * marked.params
    derivatives = np.concatenate([np.empty((n_rows, roots.size)), np.diag(roots)])

    def residuals(params):
        network.params[:] = params
        errors = np.concatenate([network.predict(X)[:, 0] - y, roots * params])
        found.append((perf_counter() - begin, errors @ errors / (2 * n_rows)))
        return errors

    def jacobian(params):
        network.params[:] = params
        derivatives[:n_rows] = network.jacobian(X)[:, 0]
        return derivatives

    exact = {"ftol": 1e-13, "xtol": 1e-13, "gtol": 1e-13, "max_nfev": MOST_ITERATIONS}
    begin = perf_counter()
    least_squares(residuals, network.params.copy(), jacobian, method=method, **exact)
    return found


def begin_beside_a_minimum(data: Regression):
    """Return a network a little off a minimum, so that both find the same."""
    from fastmlp import Network

    sizes = [data.X.shape[1], N_HIDDEN_OF_A_MINIMUM, 1]
    network = Network(
        sizes, activation="tanh", loss="squared_error", alpha=ALPHA, random_state=0
    )
    minimise(network, data, MOST_ITERATIONS)
    random = np.random.RandomState(0)
    network.params[:] += NOISE * random.standard_normal(network.params.size)
    return network


def compare_minima(name: str, data: Regression, repeats: int) -> list[dict]:
    """Minimise by lm and by SciPy, from the same parameters to the same J."""
    start = begin_beside_a_minimum(data)
    losses = minimise(start.copy(), data, MOST_ITERATIONS)
    theirs = {
        method: [drive(start.copy(), data, method) for _ in range(repeats)]
        for method in ("lm", "trf")
    }
    ends = {method: min(J for _, J in runs[0]) for method, runs in theirs.items()}
    least = min(min(losses), *ends.values())
    enough = least * (1 + CLOSE)
    if min(losses) > enough:
        return [
            inform(f"{name}, lm stays above SciPy's J by", "×", min(losses) / least)
        ]
    n = 1 + next(i for i, J in enumerate(losses) if enough >= J)
    ours = fastest(lambda: minimise(start.copy(), data, n), repeats)
    reached = {
        method: min(next(s for s, J in run if enough >= J) for run in runs)
        for method, runs in theirs.items()
        if ends[method] <= enough
    }
    if not reached:
        return [inform(f"{name}, SciPy stays above lm's J by", "×", ends["lm"] / least)]
    method = min(reached, key=reached.__getitem__)
    return [
        inform(f"{name}, lm to the minimum: {n} iterations", "ms", 1e3 * ours),
        inform(f"{name}, SciPy's {method} to it", "ms", 1e3 * reached[method]),
        at_least(f"{name}, SciPy by lm", "×", reached[method] / ours, TIMES_SCIPY),
    ]


def run(repeats: int, path: Path | None) -> int:
    """Measure all cases; return the exit status, 0."""
    from fastmlp.threads import one_thread_for_blas

    rows: list[dict] = []
    for name, load in CASES.items():
        if load is load_puma and not PUMA.exists():
            print(f"{name} is left out: there is no {PUMA}", file=sys.stderr)
            continue
        data = load()
        with warnings.catch_warnings(), one_thread_for_blas():
            warnings.simplefilter("ignore")
            rows += compare_losses(name, data, repeats)
            rows += compare_minima(name, data, repeats)
    print_bars(rows)
    versions = versions_of("numpy", "scipy", "scikit-learn")
    about = {"environment": describe_machine(), "versions": versions}
    write_json(path, about | {"repeats": repeats, "rows": rows})
    return 0
