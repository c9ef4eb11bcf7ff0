"""
Tables as they are
==================

A survey has numbers, categories and missing values. ``TabularClassifier`` takes it as
it is. It is compared with scikit-learn's own network, which needs scaling, encoding and
imputation before it, and with boosted trees, which most people would use.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibrationDisplay
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp import TabularClassifier

warnings.simplefilter("ignore")  # scikit-learn's network has not converged

# %%
# Who earns more than a limit? The data are drawn at random: age and hours interact,
# the pay depends on the trade, and one answer in ten is missing.

rng = np.random.default_rng(0)
n = 3000
trades = np.array(["clerk", "craft", "farm", "manager", "sales", "service"])
X = pd.DataFrame(
    {
        "age": rng.integers(18, 75, n).astype(float),
        "hours": rng.normal(40, 10, n).round(),
        "years of school": rng.integers(6, 20, n).astype(float),
        "trade": rng.choice(trades, n),
        "city": rng.random(n) < 0.6,
    }
)
pay = {
    "clerk": 0,
    "craft": 0.3,
    "farm": -1,
    "manager": 1.5,
    "sales": 0.5,
    "service": -0.5,
}
logit = (
    1.2 * np.sin((X["age"] - 18) / 18)
    + 0.05 * (X["hours"] - 40) * (X["age"] > 30)
    + 0.25 * (X["years of school"] - 12)
    + X["trade"].map(pay) * np.where(X["city"], 1.5, 0.5)
)
y = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * logit)), "more", "less")
for name in X.columns.drop("city"):
    X.loc[rng.random(n) < 0.1, name] = None
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
X_train.head()

# %%
# Three models. The last is what scikit-learn's network needs.

numbers = ["age", "hours", "years of school"]
as_category = X.astype({"trade": "category"}).dtypes["trade"]
columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    (OneHotEncoder(handle_unknown="ignore"), ["trade", "city"]),
)
models = {
    "fastmlp, as it is": TabularClassifier(max_iter=64, random_state=0),
    "boosted trees": HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    ),
    "scikit-learn's MLP": make_pipeline(columns, MLPClassifier(random_state=0)),
}
figure, ax = plt.subplots(figsize=(6, 5))
for name, model in models.items():
    is_trees = name == "boosted trees"
    parts = [
        X.astype({"trade": as_category}) if is_trees else X for X in (X_train, X_test)
    ]
    model.fit(parts[0], y_train)
    P = model.predict_proba(parts[1])
    error, loss = 1 - model.score(parts[1], y_test), log_loss(y_test, P)
    print(f"{name:<20} error {error:.3f}, log loss {loss:.3f}")
    CalibrationDisplay.from_predictions(
        y_test, P[:, 1], pos_label="more", n_bins=8, name=name, ax=ax
    )
ax.set_title("Are the probabilities calibrated?")
plt.show()
