"""
How large, and how much penalty?
================================

A grid over two settings, scored by cross-validation. With a penalty of 1 two hidden
units are as good as sixty-four. With almost no penalty the larger networks are better.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_wine(return_X_y=True)
sizes, alphas = [(2,), (4,), (16,), (64,)], [1e-4, 1e-2, 1.0, 10.0, 100.0]
network = MLPClassifier(solver="lbfgs", max_iter=300, random_state=0)
search = GridSearchCV(
    make_pipeline(StandardScaler(), network),
    {"mlpclassifier__hidden_layer_sizes": sizes, "mlpclassifier__alpha": alphas},
    cv=4,
    scoring="neg_log_loss",
).fit(X, y)
losses = -search.cv_results_["mean_test_score"].reshape(len(alphas), len(sizes))

fig, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
image = ax.imshow(np.log10(losses), cmap="viridis_r")
for i, j in np.ndindex(*losses.shape):
    color = "white" if losses[i, j] > 0.1 else "black"
    ax.text(j, i, f"{losses[i, j]:.2f}", ha="center", va="center", color=color)
ax.set_xticks(range(len(sizes)), [size[0] for size in sizes])
ax.set_yticks(range(len(alphas)), alphas)
ax.set(xlabel="hidden units", ylabel="alpha", title="log-loss of held-out wines")
plt.show()
