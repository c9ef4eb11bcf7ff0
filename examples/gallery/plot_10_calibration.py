"""
Are the probabilities calibrated?
=================================

Of the tumours to which a network gives 80 %, 80 % should be malignant. A network
without a penalty is too confident.
"""

import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_breast_cancer(return_X_y=True)
networks = {
    "no penalty": MLPClassifier((64,), solver="lbfgs", alpha=0, random_state=0),
    "alpha=10": MLPClassifier(
        (64,), solver="lbfgs", alpha=10, max_iter=1000, random_state=0
    ),
}
fig, ax = plt.subplots(figsize=(5.5, 5))
for name, network in networks.items():
    model = make_pipeline(StandardScaler(), network)
    p = cross_val_predict(model, X, y, cv=5, method="predict_proba")[:, 1]
    label = f"{name}, log-loss {log_loss(y, p):.3f}"
    CalibrationDisplay.from_predictions(
        y, p, n_bins=6, strategy="quantile", ax=ax, name=label
    )
plt.show()
