"""
Losses that tolerate outliers
=============================

A tenth of the training targets is wrong on purpose. The squared error follows these
outliers; Huber's loss and the absolute error hardly do.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor

warnings.simplefilter("ignore")

X, y = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)
y = (y - y.mean()) / y.std()
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
spoilt = np.random.RandomState(0).choice(
    len(y_train), len(y_train) // 10, replace=False
)
y_spoilt = y_train.copy()
y_spoilt[spoilt] += 15

errors = {}
for loss in ("squared_error", "huber", "absolute_error"):
    for name, targets in [("clean", y_train), ("spoilt", y_spoilt)]:
        model = MLPRegressor(
            loss, (16,), alpha=1, learning_rate_init=0.01, learning_rate="cosine",
            max_iter=100, tol=0, n_iter_no_change=100, random_state=0,
        )  # fmt: skip
        predicted = model.fit(X_train, targets).predict(X_test)
        errors[loss, name] = mean_absolute_error(y_test, predicted)

fig, ax = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
losses = ["squared_error", "huber", "absolute_error"]
for shift, name in [(-0.2, "clean"), (0.2, "spoilt")]:
    values = [errors[loss, name] for loss in losses]
    ax.barh(np.arange(3) + shift, values, 0.38, label=f"trained on {name} targets")
ax.set_yticks(range(3), losses)
ax.set(xlabel="mean absolute error on clean test rows")
ax.legend()
plt.show()
