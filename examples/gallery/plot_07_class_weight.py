"""
A rare class
============

In these tumours' data few are malignant (we remove seven of eight, to make it harder).
Weights by class move the network towards finding them, at the price of some false
alarms.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import ConfusionMatrixDisplay, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_breast_cancer(return_X_y=True)
y = 1 - y  # 1: malignant
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
malignant = np.flatnonzero(y_train == 1)
rows = np.setdiff1d(
    np.arange(len(y_train)), malignant[np.arange(len(malignant)) % 8 > 0]
)
print(f"{y_train[rows].sum()} of {len(rows)} training rows are malignant")

fig, panels = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for ax, weight in zip(panels, (None, "balanced"), strict=True):
    network = MLPClassifier(
        (16,),
        class_weight=weight,
        alpha=10,
        solver="lbfgs",
        max_iter=1000,
        random_state=0,
    )
    model = make_pipeline(StandardScaler(), network).fit(X_train[rows], y_train[rows])
    recall = recall_score(y_test, model.predict(X_test))
    print(f"class_weight={weight!r}: finds {recall:.0%} of the malignant in the test")
    ConfusionMatrixDisplay.from_estimator(
        *(model, X_test, y_test),
        display_labels=["benign", "malignant"],
        ax=ax,
        colorbar=False,
        cmap="Blues",
    )
    ax.set_title(f"class_weight={weight!r}")
plt.show()
