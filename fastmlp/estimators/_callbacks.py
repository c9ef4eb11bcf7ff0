"""The user's callbacks, and scikit-learn's, for versions that have them (1.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastmlp.stopping import asks_to_stop

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Older versions know no callbacks."""

    def with_callbacks(method: Callable) -> Callable:
        """The method itself."""
        return method


@with_callbacks
def _tear_down(estimator: Any) -> None:
    """What the decorator does after an empty method: end whatever was set up."""


class Epochs:
    """Tells the callbacks when an epoch begins and ends."""

    def __init__(self, fit_task: Any, facts: dict[str, Any]) -> None:
        self._fit_task = fit_task
        self._facts = facts

    def begin(self) -> None:
        """Before the epoch."""
        self._task = self._fit_task.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._facts)

    def end(self, snapshot: Callable[[], dict[str, Any]]) -> bool:
        """After it; True if a callback asks to stop."""
        end = self._task.call_on_fit_task_end
        return end(**self._facts, reconstruction_attributes=snapshot)


class Callbacks:
    """What the parameter ``callbacks`` holds: functions, and objects with hooks.

    Parameters
    ----------
    callbacks : sequence of object, default=None
        Callables f(epoch, logs), and objects with any of ``on_fit_begin(estimator)``,
        ``on_epoch_end(estimator, epoch, logs)`` and ``on_fit_end(estimator)``. One that
        has a hook is not called.

    Attributes
    ----------
    functions : list of callable
        The former.

    Raises
    ------
    TypeError
        If one is neither.
    """

    HOOKS = ("on_fit_begin", "on_epoch_end", "on_fit_end")

    def __init__(self, callbacks: Sequence[Any] | None) -> None:
        self.functions: list[Callable[[int, dict[str, float]], object]] = []
        self._objects: list[Any] = []
        for callback in callbacks or ():
            if any(callable(getattr(callback, hook, None)) for hook in self.HOOKS):
                if isinstance(callback, type):
                    raise TypeError(
                        f"callbacks must hold an instance of {callback!r}, not the "
                        "class itself"
                    )
                self._objects.append(callback)
            elif callable(callback):
                self.functions.append(callback)
            else:
                raise TypeError(
                    "callbacks must be callable as f(epoch, logs), or have a method "
                    f"{', '.join(self.HOOKS[:-1])} or {self.HOOKS[-1]}, got "
                    f"{callback!r}"
                )

    def begin(self, view: Callable[[], Any]) -> None:
        """A fit begins; the view is an estimator, made if somebody is to see it."""
        self._tell("on_fit_begin", view)

    def end_epoch(
        self, view: Callable[[], Any], epoch: int, logs: dict[str, float]
    ) -> bool:
        """An epoch has ended; True if one of the objects asks to stop."""
        answers = self._tell("on_epoch_end", view, epoch, logs)
        return any(asks_to_stop(answer) for answer in answers)

    def end(self, view: Callable[[], Any]) -> None:
        """A fit has ended."""
        self._tell("on_fit_end", view)

    def _tell(
        self,
        hook: str,
        view: Callable[[], Any],
        epoch: int | None = None,
        logs: dict[str, float] | None = None,
    ) -> list[object]:
        hooks = [getattr(callback, hook, None) for callback in self._objects]
        told = [function for function in hooks if callable(function)]
        if not told:
            return []
        estimator = view()
        if logs is None:
            return [function(estimator) for function in told]
        return [function(estimator, epoch, dict(logs)) for function in told]


@contextmanager
def fit_task(
    estimator: Any, X: Any, y: Any, sample_weight: Any, max_epochs: int
) -> Iterator[Epochs | None]:
    """A fit as a task of scikit-learn's; None if the estimator has no callbacks."""
    if not hasattr(estimator, "_skl_callbacks"):
        yield None
        return
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    facts = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
    try:
        task = estimator._init_callback_context(max_subtasks=max_epochs)
        task.call_on_fit_task_begin(**facts)
        yield Epochs(task, facts)
        task.call_on_fit_task_end(**facts, reconstruction_attributes={})
    finally:
        _tear_down(estimator)
