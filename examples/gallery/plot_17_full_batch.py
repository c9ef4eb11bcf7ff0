"""
Full-batch solvers
==================

On a small problem each step may look at all rows and at the curvature. Four solvers on
the iris flowers: how the loss falls by iterations.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for solver in ("gd", "steepest", "lbfgs", "newton-cg"):
    model = MLPClassifier(
        (8,), "tanh", solver=solver, alpha=0.1, learning_rate_init=0.3, max_iter=100,
        tol=1e-8, random_state=0,
    ).fit(X, y)  # fmt: skip
    left.semilogy(model.history_["loss"], label=solver)
    right.semilogy(model.history_["gradient_norm"], label=solver)
left.set(xlabel="iteration", ylabel="objective")
right.set(xlabel="iteration", ylabel="norm of the gradient")
left.legend()
plt.show()

# %%
# Newton's method needs the fewest iterations near the end, each of which costs many
# products with the Hessian.
