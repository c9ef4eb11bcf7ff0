"""Multilayer perceptrons trained natively on the CPU, in scikit-learn's terms."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastmlp._version import __version__
from fastmlp.network import Network

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor


__all__ = ["MLPClassifier", "MLPRegressor", "Network", "__version__"]


def __getattr__(name: str) -> object:
    # Only the estimators need scikit-learn: the engine and Network run without it.
    if name in ("MLPClassifier", "MLPRegressor"):
        return getattr(import_module("fastmlp.estimators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
