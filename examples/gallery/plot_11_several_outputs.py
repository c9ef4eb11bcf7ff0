"""
Several outputs at once
=======================

Linnerud's twenty men did three exercises; three measures of their bodies were taken.
One network predicts all three, and shares its hidden units among them.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_linnerud
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor

data = load_linnerud()
X = StandardScaler().fit_transform(data.data)
Y = StandardScaler().fit_transform(data.target)

model = MLPRegressor(
    hidden_layer_sizes=(4,), activation="tanh", solver="lbfgs", alpha=5, random_state=0
)
predicted = cross_val_predict(model, X, Y, cv=LeaveOneOut())
print("shape of a prediction:", predicted.shape)

fig, panels = plt.subplots(1, 3, figsize=(9.5, 3.4), sharey=True, layout="constrained")
for ax, name, truth, guess in zip(
    panels, data.target_names, Y.T, predicted.T, strict=True
):
    ax.plot(truth, guess, "o", alpha=0.7)
    ax.axline((0, 0), slope=1, color="gray", linestyle="--")
    ax.set(title=name, xlabel="measured")
panels[0].set_ylabel("predicted without that man")
plt.show()

# %%
# Twenty rows are few, and exercises say little about a pulse: the points lie far from
# the line. A network does not make data better.
