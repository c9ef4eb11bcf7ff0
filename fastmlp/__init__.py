"""Multilayer perceptrons trained natively on the CPU, in scikit-learn's terms."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastmlp._version import __version__
from fastmlp.network import Network

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.export import register_onnx, to_c, to_onnx, to_torch
    from fastmlp.plot import NetworkDisplay, OptimizerPathDisplay, TrainingDisplay


__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "NetworkDisplay",
    "OptimizerPathDisplay",
    "TrainingDisplay",
    "__version__",
    "register_onnx",
    "to_c",
    "to_onnx",
    "to_torch",
]

# Imported when first asked for: the engine and Network run without scikit-learn, and
# nothing is imported that only an export or a picture needs.
_LAZY = {
    "MLPClassifier": "fastmlp.estimators",
    "MLPRegressor": "fastmlp.estimators",
    "NetworkDisplay": "fastmlp.plot",
    "OptimizerPathDisplay": "fastmlp.plot",
    "TrainingDisplay": "fastmlp.plot",
    "register_onnx": "fastmlp.export",
    "to_c": "fastmlp.export",
    "to_onnx": "fastmlp.export",
    "to_torch": "fastmlp.export",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
