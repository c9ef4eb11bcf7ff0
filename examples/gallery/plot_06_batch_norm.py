"""
Batch normalisation in a deep network
=====================================

Ten hidden layers, three learning rates, with and without normalisation.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
fig, panels = plt.subplots(1, 3, figsize=(10, 3.5), sharey=True, layout="constrained")
for ax, rate in zip(panels, [0.01, 0.05, 0.2], strict=True):
    for normalised in (False, True):
        model = MLPClassifier(
            (32,) * 10, solver="sgd", batch_norm=normalised, learning_rate_init=rate,
            batch_size=64, max_iter=20, random_state=0,
        )  # fmt: skip
        model.fit(X / 16, y)
        ax.plot(model.loss_curve_, label="batch norm" if normalised else "without")
    ax.set(title=f"learning rate {rate}", xlabel="epoch", ylim=(0, 3))
panels[0].set_ylabel("training loss")
panels[0].legend()
plt.show()
