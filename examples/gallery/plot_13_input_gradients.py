"""
Which pixels decide on a digit?
===============================

``input_gradients`` is the derivative of each class's probability by each pixel, exact.
Where it is large, a little more ink would change the answer.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16
model = MLPClassifier(
    (64,), "tanh", alpha=5, max_iter=100, tol=1e-3, random_state=0
).fit(X, y)

# The image of each class of which the network is least sure, and still right.
p = model.predict_proba(X)
fig, panels = plt.subplots(2, 10, figsize=(11, 2.8), layout="constrained")
for digit, (above, below) in enumerate(panels.T):
    right = (y == digit) & (p.argmax(axis=1) == digit)
    row = (p[:, digit] + ~right * 2).argmin()
    gradient = model.input_gradients(X[row : row + 1])[0, digit].reshape(8, 8)
    reach = abs(gradient).max()
    above.imshow(X[row].reshape(8, 8), cmap="gray_r")
    below.imshow(gradient, cmap="PuOr_r", vmin=-reach, vmax=reach)
    above.set_title(f"{digit}: {p[row, digit]:.0%}", fontsize=9)
    above.set_axis_off()
    below.set_axis_off()
plt.show()

# %%
# Orange: more ink here would make the network surer of that digit. Violet: less sure.
