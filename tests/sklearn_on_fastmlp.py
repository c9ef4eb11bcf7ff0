"""A pytest plugin: scikit-learn with fastmlp's estimators in place of its MLPs.

Given by ``-p``, it acts before any of scikit-learn's tests and whatever they need is
imported, so that every module finds the replaced classes.
"""

import importlib
import sys

import pytest

import fastmlp


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Replace the classes wherever scikit-learn has them."""
    importlib.import_module("sklearn.neural_network")
    for name in ("MLPClassifier", "MLPRegressor"):
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("sklearn.") and hasattr(
                module, name
            ):
                setattr(module, name, getattr(fastmlp, name))
