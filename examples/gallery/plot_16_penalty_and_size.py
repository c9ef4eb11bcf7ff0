"""
How large, and how much penalty?
================================

A grid over two settings, scored by cross-validation. For tables of this size a small network with a
good penalty is as good as a large one.
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
    ax.text(j, i, f"{losses[i, j]:.2f}", ha="center", va="center", color="white")
ax.set_xticks(range(len(sizes)), [size[0] for size in sizes])
ax.set_yticks(range(len(alphas)), alphas)
ax.set(xlabel="hidden units", ylabel="alpha", title="log-loss of held-out wines")
plt.show()
