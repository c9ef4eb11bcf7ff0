"""
What the hidden layers do
=========================

Each layer moves the digits so that the next one can tell them apart.
``hidden_activations`` gives the outputs of every layer; here are their first two
principal components.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
model = MLPClassifier(
    (64, 32, 16), "tanh", alpha=1, max_iter=100, tol=1e-3, random_state=0
)
model.fit(X / 16, y)

stages = [X / 16, *model.hidden_activations(X / 16)]
names = ["pixels", "layer 1", "layer 2", "layer 3"]
fig, panels = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for ax, name, stage in zip(panels, names, stages, strict=True):
    u, v = PCA(2).fit_transform(stage).T
    ax.scatter(u, v, c=y, cmap="tab10", s=4)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()
