"""
Prediction intervals with guaranteed coverage
=============================================

Two quantiles make an interval, but it may contain fewer of the new targets than it
should. A conformal correction widens it by the amount that was missing on rows set
aside. Then on average at least 90 % of new targets lie inside, whatever the model
(Romano, Patterson and Candès 2019).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor

warnings.simplefilter("ignore")  # 150 epochs are what we want

X, y = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)
y = (y - y.mean()) / y.std()
X_train, X_rest, y_train, y_rest = train_test_split(
    X, y, train_size=0.5, random_state=0
)
X_aside, X_test, y_aside, y_test = train_test_split(
    X_rest, y_rest, test_size=0.5, random_state=0
)

model = MLPRegressor(
    "quantile", (16,), quantile=[0.05, 0.95], alpha=0.1, learning_rate_init=0.01,
    learning_rate="cosine", max_iter=150, tol=0, n_iter_no_change=150, random_state=0,
)  # fmt: skip
model.fit(X_train, y_train)

# %%
# By how much does a target lie outside, on the rows set aside? The 90 % quantile of
# that is added on both sides.

low, high = model.predict(X_aside).T
outside = np.maximum(low - y_aside, y_aside - high)
n = len(outside)
margin = np.quantile(outside, min(1, np.ceil(0.9 * (n + 1)) / n), method="higher")

low, high = model.predict(X_test).T
before = np.mean((low <= y_test) & (y_test <= high))
after = np.mean((low - margin <= y_test) & (y_test <= high + margin))
print(f"inside: {before:.0%} before, {after:.0%} after adding {margin:.2f}")

order = np.argsort(low + high)
x = np.arange(len(order))
fig, ax = plt.subplots(figsize=(8, 4))
ax.fill_between(
    x, (low - margin)[order], (high + margin)[order], alpha=0.25, label="corrected"
)
ax.fill_between(x, low[order], high[order], alpha=0.5, label="two quantiles")
ax.plot(x, y_test[order], "k.", label="patients")
ax.set(xlabel="patients of the test, by prediction", ylabel="progression, standardised")
ax.legend()
plt.show()
