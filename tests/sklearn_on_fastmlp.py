"""A pytest plugin: scikit-learn with fastmlp's estimators in place of its MLPs.

Given by ``-p``, it is imported before any of scikit-learn's tests and before whatever
they import, so that every module finds the replaced classes.
"""

import importlib
import sys

import fastmlp

importlib.import_module("sklearn.neural_network")
for _name in ("MLPClassifier", "MLPRegressor"):
    for _module in list(sys.modules.values()):
        if getattr(_module, "__name__", "").startswith("sklearn.") and hasattr(
            _module, _name
        ):
            setattr(_module, _name, getattr(fastmlp, _name))
