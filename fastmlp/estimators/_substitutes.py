"""The classes that stand in the place of scikit-learn's (:mod:`fastmlp.patching`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isfunction
from threading import get_ident
from time import perf_counter
from typing import Any, NamedTuple

from sklearn.neural_network import _multilayer_perceptron as theirs

from fastmlp.estimators._base import BaseMLP
from fastmlp.estimators._classifier import MLPClassifier as OurClassifier
from fastmlp.estimators._regressor import MLPRegressor as OurRegressor

logger = logging.getLogger("fastmlp")


class FitRecord(NamedTuple):
    """A fit that ended, or failed: where it ran, and how long."""

    where: str
    seconds: float


records: list[FitRecord] = []

# The estimators whose fits are under way, by their identity and thread.
_under_way: set[tuple[int, int]] = set()


@contextmanager
def record_fit(estimator: object, where: str) -> Iterator[None]:
    """Remember and log how long the fit inside takes; what it calls is part of it."""
    key = id(estimator), get_ident()
    if key in _under_way:
        yield
        return
    _under_way.add(key)
    begin = perf_counter()
    try:
        yield
    finally:
        seconds = perf_counter() - begin
        _under_way.discard(key)
        records.append(FitRecord(where, seconds))
        logger.debug("%s: %.3f s by %s", type(estimator).__name__, seconds, where)


def summarize() -> str:
    """One line: which fits of this process ran where, and how long."""
    parts = []
    for where in ("fastmlp", "scikit-learn"):
        times = [record.seconds for record in records if record.where == where]
        fits = "1 fit" if len(times) == 1 else f"{len(times)} fits"
        parts.append(f"{fits} by {where} in {sum(times):.3f} s")
    return "; ".join(parts)


class Timed:
    """Its fits are recorded as scikit-learn's."""

    def _fit(self, *args: Any, **kwargs: Any) -> Any:
        with record_fit(self, "scikit-learn"):
            return super()._fit(*args, **kwargs)  # type: ignore[misc]


class TimedClassifier(Timed, theirs.MLPClassifier):
    """scikit-learn's, for subclasses that need it."""


class TimedRegressor(Timed, theirs.MLPRegressor):
    """scikit-learn's, for subclasses that need it."""


def private_methods(cls: type) -> set[str]:
    """Names of the methods of a class that are scikit-learn's own matter."""
    return {
        name
        for name, value in vars(cls).items()
        if name.startswith("_") and not name.startswith("__") and isfunction(value)
    }


HOOKS = set[str]().union(
    *map(
        private_methods,
        (theirs.BaseMultilayerPerceptron, theirs.MLPClassifier, theirs.MLPRegressor),
    )
)


class Substitute(BaseMLP):
    """Ours, but where a subclass overrides what only scikit-learn calls."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        is_users = Substitute not in cls.__bases__
        hooks = overridden_hooks(cls) if is_users else []
        if not hooks:
            super().__init_subclass__(**kwargs)
            return
        logger.info(
            "%s overrides scikit-learn's %s, which fastmlp does not call: it runs on "
            "scikit-learn",
            cls.__qualname__,
            ", ".join(hooks),
        )
        for each in reversed(cls.__mro__):
            if SCIKIT_LEARNS.keys() & {*each.__bases__}:
                each.__bases__ = tuple(SCIKIT_LEARNS.get(b, b) for b in each.__bases__)
        base = next(b for b in SCIKIT_LEARNS.values() if issubclass(cls, b))
        super(base, cls).__init_subclass__(**kwargs)  # type: ignore[arg-type]

    def _train(self, *arguments: Any, **keywords: Any) -> None:
        with record_fit(self, "fastmlp"):
            super()._train(*arguments, **keywords)


class MLPClassifier(Substitute, OurClassifier):
    __doc__ = OurClassifier.__doc__


class MLPRegressor(Substitute, OurRegressor):
    __doc__ = OurRegressor.__doc__


SCIKIT_LEARNS: dict[type, type] = {
    MLPClassifier: TimedClassifier,
    MLPRegressor: TimedRegressor,
}


def overridden_hooks(cls: type) -> list[str]:
    """Those of ``HOOKS`` that a subclass, or what it inherits besides ours, defines."""
    ours = next(base for base in SCIKIT_LEARNS if issubclass(cls, base))
    outside = [base for base in cls.__mro__ if base not in ours.__mro__]
    return sorted(HOOKS & {name for base in outside for name in vars(base)})
