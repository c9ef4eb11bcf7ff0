"""How an estimator is stored: its state as arrays, and parameters that pickle takes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

from fastmlp.estimators._attributes import holds_views
from fastmlp.state import TrainingState

# Parameters that may be functions of the user's, or objects.
PARAMETERS = (
    *("learning_rate", "momentum", "weight_decay", "dropout"),
    *("scoring", "callbacks"),
)

# Whether an object is only being tried: it may lead back to the estimator that it is
# of, where functions alone are tried then. They lead nowhere.
_trying: ContextVar[bool] = ContextVar("_trying", default=False)


class RefusedError(pickle.PicklingError):
    """Names the parameter that cannot be stored."""


def to_stored(estimator: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as they are pickled: the state as arrays, and no view of them.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator.
    attributes : dict
        What scikit-learn would store of it.
    """
    stored = dict(attributes)
    state = stored.pop("_state", None)
    if state is not None:
        stored["_arrays"] = state.to_arrays()
        if holds_views(estimator, state.network):
            del stored["coefs_"], stored["intercepts_"]
    mark_refused(stored)
    return stored


def from_stored(stored: dict[str, Any]) -> dict[str, Any]:
    """The attributes that :func:`to_stored` has stored.

    Raises
    ------
    ValueError
        If they are of another version of fastmlp that stored something else.
    """
    attributes = dict(stored)
    unmark(attributes)
    if "_model" in attributes:
        raise ValueError(
            "this pickle was written by fastmlp 0.1, which later versions cannot read. "
            "Load it with fastmlp 0.1, save coefs_, intercepts_ and the other fitted "
            "attributes, and set them on a new estimator"
        )
    arrays = attributes.pop("_arrays", None)
    if arrays is not None:
        state = attributes["_state"] = TrainingState.from_arrays(arrays)
        attributes.setdefault("coefs_", list(state.network.weights))
        attributes.setdefault("intercepts_", list(state.network.biases))
    return attributes


def mark_refused(state: dict[str, Any]) -> None:
    """Put a mark that pickle refuses in place of each value that it cannot store."""
    for name in PARAMETERS:
        value = state.get(name)
        if isinstance(value, list | tuple):
            marked = [_marked(f"{name}[{i}]", v) for i, v in enumerate(value)]
            if any(_is_mark(item) for item in marked):
                state[name] = type(value)(marked)
        elif name in state:
            state[name] = _marked(name, value)


def unmark(state: dict[str, Any]) -> None:
    """Undo :func:`mark_refused`."""
    for name in PARAMETERS:
        value = state.get(name)
        if isinstance(value, list | tuple):
            if any(_is_mark(item) for item in value):
                state[name] = type(value)(_unmarked(item) for item in value)
        elif name in state:
            state[name] = _unmarked(value)


def _marked(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if _trying.get() and not isinstance(value, FunctionType):
        return value
    try:
        with _only_trying():
            pickle.dumps(value)
    except RefusedError as error:  # of the estimator that the object keeps
        return _mark(str(error), value)
    except Exception as error:  # what pickle raises depends on the value
        message = (
            f"{name}={value!r} cannot be pickled ({error}). Define it at the top level "
            f"of a module and not as a lambda or inside a function, set "
            f"{name.partition('[')[0]} to something else before pickling, or pickle "
            "with cloudpickle, as joblib's loky does."
        )
        return _mark(message, value)
    return value


def _mark(message: str, value: Any) -> staticmethod:
    """The value in a static method that refuses to be pickled, and says why.

    cloudpickle, and what is made of it, takes a static method apart and does not ask
    it; ``pickle`` knows no static methods, and does.
    """

    def refuse(protocol: object) -> None:
        raise RefusedError(message)

    mark = staticmethod(value)
    vars(mark)["__reduce_ex__"] = refuse
    vars(mark)["__deepcopy__"] = lambda memo: staticmethod(copy.deepcopy(value, memo))
    return mark


def _is_mark(value: Any) -> bool:
    return isinstance(value, staticmethod)


def _unmarked(value: Any) -> Any:
    return value.__func__ if _is_mark(value) else value


@contextmanager
def _only_trying() -> Iterator[None]:
    token = _trying.set(True)
    try:
        yield
    finally:
        _trying.reset(token)
