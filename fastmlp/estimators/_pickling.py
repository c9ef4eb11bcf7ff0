"""An error that names the parameter which pickle cannot store."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType, MethodType
from typing import Any

# Parameters that may be functions of the user's, or objects.
PARAMETERS = ("learning_rate", "scoring", "callbacks")

# Whether an object is only being tried: it may lead back to the estimator that it is
# of, where functions alone are tried then. They lead nowhere.
_trying: ContextVar[bool] = ContextVar("_trying", default=False)


class RefusedError(pickle.PicklingError):
    """Names the parameter that cannot be stored."""


class Refusal:
    """The function of a bound method that pickle refuses, and nothing else does.

    ``pickle`` stores a bound method as the name of its function, and asks for that name
    here. Copies, and what pickles code too (cloudpickle), take the method's two parts.
    """

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, *arguments: object) -> None:
        """Methods are made of callables; nobody calls this one."""

    @property
    def __name__(self) -> str:
        """None to be had."""
        raise RefusedError(self.message)


def mark_refused(state: dict[str, Any]) -> None:
    """Put a method that is refused in place of each value that pickle cannot store."""
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
        return MethodType(Refusal(str(error)), value)
    except Exception as error:  # what pickle raises depends on the value
        message = (
            f"{name}={value!r} cannot be pickled ({error}). Define it at the top level "
            f"of a module and not as a lambda or inside a function, set "
            f"{name.partition('[')[0]} to something else before pickling, or pickle "
            "with cloudpickle, as joblib's loky does."
        )
        return MethodType(Refusal(message), value)
    return value


def _is_mark(value: Any) -> bool:
    return isinstance(value, MethodType) and isinstance(value.__func__, Refusal)


def _unmarked(value: Any) -> Any:
    return value.__self__ if _is_mark(value) else value


@contextmanager
def _only_trying() -> Iterator[None]:
    token = _trying.set(True)
    try:
        yield
    finally:
        _trying.reset(token)
