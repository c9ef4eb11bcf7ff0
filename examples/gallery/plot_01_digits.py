"""
Handwritten digits
==================

A first network: 64 pixels in, 100 hidden units, ten classes out. Which digits does it
confuse?
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
model = MLPClassifier((100,), max_iter=300, random_state=0).fit(X_train, y_train)
print(f"accuracy on 899 new digits: {model.score(X_test, y_test):.1%}")

# %%
# Rows are the true digits, columns the predictions.

fig, ax = plt.subplots(figsize=(5.5, 5.5))
ConfusionMatrixDisplay.from_estimator(
    model, X_test, y_test, ax=ax, colorbar=False, cmap="Blues"
)
plt.show()
