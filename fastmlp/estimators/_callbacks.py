"""scikit-learn's callbacks, for versions that have them (1.9), if the user set any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
