"""The switch: fastmlp's estimators in the place of scikit-learn's two.

Imports neither NumPy nor scikit-learn before the program that is switched does.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PATCHED_MODULE = "sklearn.neural_network"
PATCHED_CLASSES = ("MLPClassifier", "MLPRegressor")

logger = logging.getLogger("fastmlp")

# scikit-learn's own classes, while ours are in their place.
_originals: dict[str, type] = {}


def patch_sklearn() -> None:
    """Put fastmlp's estimators in the place of scikit-learn's.

    From now on ``from sklearn.neural_network import MLPClassifier, MLPRegressor`` gets
    fastmlp's. scikit-learn is not imported before somebody imports it. A class that was
    imported earlier stays what it was, and models that were pickled with scikit-learn
    are loaded as scikit-learn's.

    A subclass that overrides one of scikit-learn's private methods, which the engine
    never calls, is built on scikit-learn's class; with ``FASTMLP_LOG=info`` the log
    says so.

    See Also
    --------
    unpatch_sklearn : Undo it.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.patch_sklearn()
    >>> from sklearn.neural_network import MLPClassifier
    >>> issubclass(MLPClassifier, fastmlp.MLPClassifier)
    True
    >>> fastmlp.unpatch_sklearn()
    """
    _start_log()
    if _originals or _Watcher.current() is not None:
        return
    module = sys.modules.get(PATCHED_MODULE)
    if module is not None:
        _replace_classes(module)
    else:
        sys.meta_path.insert(0, _Watcher())


def unpatch_sklearn() -> None:
    """Give scikit-learn its own classes back; those that were imported stay ours."""
    watcher = _Watcher.current()
    if watcher is not None:
        sys.meta_path.remove(watcher)
    for name, original in _originals.items():
        setattr(sys.modules[PATCHED_MODULE], name, original)
    _originals.clear()


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext fastmlp`` patches scikit-learn."""
    patch_sklearn()


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext fastmlp`` undoes it."""
    unpatch_sklearn()


def _replace_classes(module: ModuleType) -> None:
    from fastmlp.estimators import _substitutes

    for name in PATCHED_CLASSES:
        _originals[name] = getattr(module, name)
        setattr(module, name, getattr(_substitutes, name))
        logger.info("%s.%s is fastmlp's from now on", PATCHED_MODULE, name)


class _Watcher(MetaPathFinder):
    """Replaces the classes as soon as scikit-learn's module has been imported."""

    @staticmethod
    def current() -> _Watcher | None:
        """The one that waits, if one does."""
        return next((f for f in sys.meta_path if isinstance(f, _Watcher)), None)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != PATCHED_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            _replace_classes(module)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec


def _start_log() -> None:
    """Write the log to stderr, from the level that ``FASTMLP_LOG`` names on."""
    level = os.environ.get("FASTMLP_LOG", "").upper()
    if not level or logger.handlers:
        return
    known = logging.getLevelNamesMapping()
    if level not in known:
        raise ValueError(
            f"FASTMLP_LOG={level.lower()!r} is not one of "
            f"{', '.join(name.lower() for name in known)}"
        )
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("fastmlp: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(known[level])
