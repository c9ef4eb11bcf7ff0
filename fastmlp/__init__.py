"""Multilayer perceptrons trained natively on the CPU, in scikit-learn's terms."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastmlp.network import Network

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor

__version__ = "0.1.0.dev0"
__all__ = ["MLPClassifier", "MLPRegressor", "Network"]


def __getattr__(name: str) -> object:
    # Only the estimators need scikit-learn: the engine and Network run without it.
    if name in ("MLPClassifier", "MLPRegressor"):
        return getattr(import_module("fastmlp.estimators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
