"""
Data that arrive in pieces
==========================

``partial_fit`` continues training from the present weights. Here 100 new digits arrive
at a time. Each piece is first predicted, then learnt, so the score is that of digits
which the network has never seen.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
order = np.random.RandomState(0).permutation(len(X))
X, y = (X / 16)[order], y[order]

model = MLPClassifier((64,), learning_rate_init=0.01, batch_size=20, random_state=0)
seen, scores = [], []
for begin in range(0, len(X), 100):
    piece = slice(begin, begin + 100)
    if begin > 0:
        seen.append(begin)
        scores.append(model.score(X[piece], y[piece]))
    for _ in range(3):  # each piece three times
        model.partial_fit(X[piece], y[piece], classes=range(10))

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(seen, scores, "o-")
ax.set(xlabel="digits seen", ylabel="accuracy on the next 100", ylim=(0.6, 1.01))
plt.show()
