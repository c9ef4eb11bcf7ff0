"""How a fit replaces a model: all of it at once, or nothing.

A fit works on a twin of the estimator. When it has succeeded, the estimator's
attributes are replaced in one assignment, so that whoever reads them in another thread
sees the earlier model or the new one. When it fails, nothing has been touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import ref

Estimator = TypeVar("Estimator")

# What scikit-learn's callbacks have an estimator hold while it is fitted.
_DURING_A_FIT = (
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks_to_teardown",
)

# The fit under way of each estimator, by its identity. A weak reference: what an
# interrupt has kept from being removed here dies with its fit.
_being_fitted: dict[int, ref[Attempt]] = {}


def reading(estimator: Estimator) -> Estimator:
    """A view of an estimator that no later fit changes: it shares the attributes.

    A fit replaces them all in one assignment, so they belong together for good.
    """
    view = object.__new__(type(estimator))
    view.__dict__ = estimator.__dict__
    return view


def twin_of(estimator: Estimator) -> Estimator:
    """An estimator with the same attributes, apart from what belongs to a fit."""
    twin = object.__new__(type(estimator))
    twin.__dict__.update(estimator.__dict__)
    for name in _DURING_A_FIT:
        twin.__dict__.pop(name, None)
    return twin


class Attempt:
    """A fit of an estimator, on a twin.

    Attributes
    ----------
    twin : estimator
        What the fit sets its attributes on.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.twin = twin_of(estimator)
        self._before = dict(self.twin.__dict__)

    def publish(self) -> None:
        """Give the estimator what the fit has set, in one assignment."""
        fitted, before, mine = (
            self.twin.__dict__,
            self._before,
            self._estimator.__dict__,
        )
        # What a callback has set on the estimator meanwhile stays.
        attributes = mine.copy()
        for name in before.keys() - fitted.keys():
            attributes.pop(name, None)
        for name, value in fitted.items():
            if name not in before or before[name] is not value:
                attributes[name] = value
        self._estimator.__dict__ = attributes
        for name in _DURING_A_FIT:
            mine.pop(name, None)


@contextmanager
def attempt(estimator: Any) -> Iterator[Attempt]:
    """A fit of the estimator; it alone, at a time.

    Raises
    ------
    RuntimeError
        If the estimator is being fitted already, in another thread or a callback.
    """
    fit, before, key = Attempt(estimator), estimator.__dict__, id(estimator)
    mine = ref(fit)
    try:
        _register(mine, key, estimator)
        yield fit
    except BaseException:
        # Nothing here allocates memory: it cannot fail.
        if _being_fitted.get(key) is mine:
            estimator.__dict__ = before
        raise
    finally:
        if _being_fitted.get(key) is mine:
            del _being_fitted[key]


def _register(mine: ref[Attempt], key: int, estimator: Any) -> None:
    # One operation of a dict: an interrupt might leave a lock shut.
    other = _being_fitted.setdefault(key, mine)
    if other is not mine and other() is not None:
        raise RuntimeError(
            f"this {type(estimator).__name__} is already being fitted: fit a clone "
            "of it, or wait until the first fit has ended"
        )
    _being_fitted[key] = mine
