"""
A picture of the digits in two numbers
======================================

A network is trained to reproduce its input through a layer of two units. The outputs of
these two units are a map of the digits, found without labels.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastmlp import MLPRegressor

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
model = MLPRegressor(
    hidden_layer_sizes=(64, 2, 64), activation=["relu", "tanh", "relu"], alpha=1e-5,
    learning_rate_init=0.005, learning_rate="cosine",
    max_iter=150, batch_size=64, tol=0, n_iter_no_change=150, random_state=0,
).fit(X, X)  # fmt: skip

u, v = model.hidden_activations(X)[1].T
fig, ax = plt.subplots(figsize=(6, 5.5))
points = ax.scatter(u, v, c=y, cmap="tab10", s=8)
ax.legend(
    *points.legend_elements(), title="digit", loc="center left", bbox_to_anchor=(1, 0.5)
)
ax.set(xlabel="first number", ylabel="second number")
fig.tight_layout()
plt.show()
