"""
Stop by the score that you care about
=====================================

By default early stopping uses the accuracy. Here are the curves of three
scores over the same training, and the epoch that each would choose.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

warnings.simplefilter("ignore")

X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
X_train, X_val, y_train, y_val = train_test_split(
    X, y, stratify=y, test_size=0.4, random_state=0
)
fig, ax = plt.subplots(figsize=(7, 4))
for scoring in ("accuracy", "roc_auc", "neg_log_loss"):
    model = MLPClassifier(
        (64,), scoring=scoring, learning_rate_init=0.005, max_iter=60, tol=0,
        n_iter_no_change=60, random_state=0,
    )  # fmt: skip
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    scores = np.array(model.history_["validation_score"])
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    (line,) = ax.plot(scaled, label=f"{scoring}: best at epoch {scores.argmax() + 1}")
    ax.plot(scores.argmax(), 1, "o", color=line.get_color())
ax.set(xlabel="epoch", ylabel="score, from its lowest to its best", ylim=(0.7, 1.02))
ax.legend(loc="lower right")
plt.show()
