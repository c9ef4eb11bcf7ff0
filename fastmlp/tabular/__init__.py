"""Networks for tables, out of the box: numbers and categories as they are."""

from fastmlp.tabular._classifier import TabularClassifier
from fastmlp.tabular._regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]
