"""
Learning-rate schedules
=======================

With a falling rate the parameters settle near the end. Every schedule works with every
optimizer; a function of the epoch can be a schedule, too.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
schedules = {
    "constant": {},
    "cosine": {"learning_rate": "cosine"},
    "cosine, warm-up of 5": {"learning_rate": "cosine", "warmup_epochs": 5},
    "one_cycle": {"learning_rate": "one_cycle"},
    "step": {"learning_rate": "step", "decay_epochs": 15},
    "a function": {"learning_rate": lambda epoch: 0.01 / (1 + 0.1 * epoch)},
}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, settings in schedules.items():
    model = MLPClassifier(
        (64,), max_iter=50, learning_rate_init=0.01, tol=0, n_iter_no_change=50,
        random_state=0, **settings,
    )  # fmt: skip
    model.fit(X / 16, y)
    left.plot(model.history_["learning_rate"], label=name)
    right.semilogy(model.history_["loss"], label=name)
left.set(xlabel="epoch", ylabel="learning rate")
right.set(xlabel="epoch", ylabel="training loss")
right.legend()
plt.show()
