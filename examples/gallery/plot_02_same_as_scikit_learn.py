"""
The same model as scikit-learn's
================================

With the same data, parameters and ``random_state`` both libraries train the same
network: the two loss curves are the same.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits

import fastmlp

warnings.simplefilter("ignore")  # 50 epochs are enough to see it

X, y = load_digits(return_X_y=True)
fig, ax = plt.subplots(figsize=(7, 4))
models = {}
for library, color, width in [
    (sklearn.neural_network, "#f5a742", 7),
    (fastmlp, "#12355b", 1.5),
]:
    model = library.MLPClassifier((100,), max_iter=50, random_state=0)
    model.fit(X / 16, y)
    ax.semilogy(model.loss_curve_, color=color, linewidth=width, label=library.__name__)
    models[library.__name__] = model
ax.set(xlabel="epoch", ylabel="training loss")
ax.legend()
plt.show()

# %%
# How far apart are the weights after 50 epochs?

ours, theirs = models["fastmlp"], models["sklearn.neural_network"]
pairs = zip(ours.coefs_, theirs.coefs_, strict=True)
largest = max(np.abs(a - b).max() for a, b in pairs)
print(f"largest difference of two weights: {largest:.1e}")
