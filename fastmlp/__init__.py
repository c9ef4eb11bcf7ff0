"""Multilayer perceptrons trained natively on the CPU, in scikit-learn's terms."""

from importlib import import_module
from typing import TYPE_CHECKING

from fastmlp._version import __version__

if TYPE_CHECKING:
    from fastmlp.checkpoints import Checkpoint
    from fastmlp.diagnostics import show_versions
    from fastmlp.estimators import (
        CNNClassifier,
        CNNRegressor,
        MLPClassifier,
        MLPRegressor,
        ValidationMonitor,
    )
    from fastmlp.export import register_onnx, to_c, to_onnx, to_torch
    from fastmlp.model_files import ModelFileError, load
    from fastmlp.network import Network
    from fastmlp.patching import load_ipython_extension as load_ipython_extension
    from fastmlp.patching import patch_sklearn, unpatch_sklearn
    from fastmlp.patching import unload_ipython_extension as unload_ipython_extension
    from fastmlp.plot import NetworkDisplay, OptimizerPathDisplay, TrainingDisplay
    from fastmlp.tabular import TabularClassifier, TabularRegressor

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "Checkpoint",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFileError",
    "Network",
    "NetworkDisplay",
    "OptimizerPathDisplay",
    "TabularClassifier",
    "TabularRegressor",
    "TrainingDisplay",
    "ValidationMonitor",
    "__version__",
    "load",
    "patch_sklearn",
    "register_onnx",
    "show_versions",
    "to_c",
    "to_onnx",
    "to_torch",
    "unpatch_sklearn",
]

# Where each public name is. Nothing is imported before it is asked for: the engine and
# Network run without scikit-learn, exports and pictures need libraries of their own,
# and the switch does not import NumPy before the script that it runs, which may set
# variables that NumPy's libraries read.
_ROOMS = {
    "CNNClassifier": "estimators",
    "CNNRegressor": "estimators",
    "Checkpoint": "checkpoints",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "ModelFileError": "model_files",
    "Network": "network",
    "NetworkDisplay": "plot",
    "OptimizerPathDisplay": "plot",
    "TabularClassifier": "tabular",
    "TabularRegressor": "tabular",
    "TrainingDisplay": "plot",
    "ValidationMonitor": "estimators",
    "load": "model_files",
    "load_ipython_extension": "patching",
    "patch_sklearn": "patching",
    "register_onnx": "export",
    "show_versions": "diagnostics",
    "to_c": "export",
    "to_onnx": "export",
    "to_torch": "export",
    "unload_ipython_extension": "patching",
    "unpatch_sklearn": "patching",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"fastmlp.{_ROOMS[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
