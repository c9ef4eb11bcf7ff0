"""A use of an installed fastmlp, for environments that hold nothing else.

``python smoke.py network`` runs without scikit-learn, ``estimators`` with it, and
``plain`` where the compiler knew no instruction set.
"""

import importlib.util
import sys

import numpy as np
from scipy.optimize import minimize

import fastmlp


def use_network():
    """Least squares by L-BFGS on the exact gradient, without scikit-learn."""
    assert importlib.util.find_spec("sklearn") is None
    X = np.random.RandomState(0).standard_normal((50, 3))
    y = X @ [1.0, -2.0, 0.5] + 3
    network = fastmlp.Network([3, 1], loss="squared_error", random_state=0)

    def objective(params):
        network.params[:] = params
        return network.loss_and_grad(X, y)

    result = minimize(objective, network.params.copy(), jac=True, tol=1e-12)
    np.testing.assert_allclose(result.x, [1.0, -2.0, 0.5, 3.0], atol=1e-5)


def use_estimators():
    """Iris, learnt."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    model = fastmlp.MLPClassifier(solver="lbfgs", max_iter=2000, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.95


def use_plain():
    """The engine that any compiler builds, and no other."""
    from fastmlp._kernels import available

    assert available() == ["plain"]
    use_estimators()


if __name__ == "__main__":
    assert "site-packages" in fastmlp.__file__, fastmlp.__file__
    {"network": use_network, "estimators": use_estimators, "plain": use_plain}[
        sys.argv[1]
    ]()
    print("fastmlp", fastmlp.__version__, sys.argv[1], "works")
