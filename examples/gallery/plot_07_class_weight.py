"""
A rare class
============

In these tumours' data few are malignant (we remove seven of eight, to make it harder). Weights
by class move the network from "nearly always benign" towards finding them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import PrecisionRecallDisplay, recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_breast_cancer(return_X_y=True)
y = 1 - y  # 1: malignant
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
malignant = np.flatnonzero(y_train == 1)
rows = np.setdiff1d(np.arange(len(y_train)), malignant[np.arange(len(malignant)) % 8 > 0])
print(f"{y_train[rows].sum()} of {len(rows)} training rows are malignant")

fig, ax = plt.subplots(figsize=(5.5, 4.5))
for weight in (None, "balanced"):
    network = MLPClassifier(
        (16,), class_weight=weight, alpha=1, solver="lbfgs", max_iter=1000, random_state=0
    )
    model = make_pipeline(StandardScaler(), network).fit(X_train[rows], y_train[rows])
    recall = recall_score(y_test, model.predict(X_test))
    print(f"class_weight={weight!r}: finds {recall:.0%} of the malignant in the test")
    PrecisionRecallDisplay.from_estimator(
        model, X_test, y_test, ax=ax, name=f"class_weight={weight}"
    )
plt.show()
