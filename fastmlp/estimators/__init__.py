"""scikit-learn's estimators on fastmlp's engine."""

from fastmlp.estimators._classifier import MLPClassifier
from fastmlp.estimators._cnn import CNNClassifier, CNNRegressor
from fastmlp.estimators._monitor import ValidationMonitor
from fastmlp.estimators._regressor import MLPRegressor

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "ValidationMonitor",
]
