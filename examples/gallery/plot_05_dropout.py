"""
Dropout against over-fitting
============================

A large network learns 200 digits by heart in a few epochs, and then its loss on new
digits rises again. With dropout it does not rise, or later. On such an easy task the
gain in accuracy is small.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(
    X / 16, y, train_size=200, stratify=y, random_state=0
)
fig, ax = plt.subplots(figsize=(7, 4))
for rate, color in [(0.0, "#d55e00"), (0.3, "#009e73"), (0.6, "#0072b2")]:
    model = MLPClassifier(
        (256, 256), dropout=rate, batch_size=50, max_iter=100, tol=0,
        n_iter_no_change=100, random_state=0,
    )  # fmt: skip
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    score = model.score(X_val, y_val)
    ax.plot(
        model.validation_loss_curve_, color=color, label=f"dropout {rate}: {score:.1%}"
    )
    ax.plot(model.loss_curve_, ":", color=color)
ax.set(xlabel="epoch", ylabel="log-loss", ylim=(0, 0.8))
ax.set_title("1597 new digits; training rows dotted")
ax.legend(title="accuracy at the end")
plt.show()
