"""Listeners of an estimator's fit: the user's objects, and scikit-learn's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastmlp.checkpoints import Checkpoint
from fastmlp.fitting import Fit
from fastmlp.listeners import Functions, Listener, Verbose
from fastmlp.progress import BAR, ProgressBar, find_bars
from fastmlp.sklearn_private import with_callbacks
from fastmlp.stopping import Logs, asks_to_stop

# Makes an estimator from a state, as it stands or as if training had ended there.
MakeView = Callable[..., Any]

HOOKS = ("on_fit_begin", "on_epoch_end", "on_fit_end")


def listeners_of(estimator: Any, view: MakeView) -> list[Listener]:
    """The listeners that an estimator's parameters ask for.

    Parameters
    ----------
    estimator : BaseMLP
        Has ``verbose`` and ``callbacks``.
    view : callable
        See :class:`Objects`.

    Raises
    ------
    TypeError
        If a callback is neither callable nor an object with a hook.
    ImportError
        If a bar is asked for and tqdm is not installed.
    """
    functions: list[Callable] = []
    objects: list[Any] = []
    for callback in estimator.callbacks or ():
        if isinstance(callback, Checkpoint):
            continue
        if any(callable(getattr(callback, hook, None)) for hook in HOOKS):
            if isinstance(callback, type):
                raise TypeError(
                    f"callbacks must hold an instance of {callback!r}, not the "
                    "class itself"
                )
            objects.append(callback)
        elif callable(callback):
            functions.append(callback)
        else:
            raise TypeError(
                "callbacks must be callable as f(epoch, logs), or have a method "
                f"{', '.join(HOOKS[:-1])} or {HOOKS[-1]}, got {callback!r}"
            )
    listeners = listeners_of_verbosity(estimator.verbose)
    if functions:
        listeners.append(Functions(functions))
    if objects:
        listeners.append(Objects(objects, view))
    return listeners


def listeners_of_verbosity(verbose: int) -> list[Listener]:
    """Who shows progress: a bar at 2, where there is somebody to see it, else lines.

    Raises
    ------
    ImportError
        If a bar is asked for and tqdm is not installed.
    """
    if verbose != BAR:
        return [Verbose()] if verbose else []
    bars = find_bars(f"verbose={verbose}")
    return [] if bars is None else [ProgressBar(bars)]


class Objects(Listener):
    """The user's objects with hooks.

    Parameters
    ----------
    objects : sequence of object
        Each has any of ``on_fit_begin(estimator)``, ``on_epoch_end(estimator, epoch,
        logs)`` and ``on_fit_end(estimator)``.
    view : callable
        Makes the estimator that they are shown, as it stands.
    """

    def __init__(self, objects: Sequence[Any], view: MakeView) -> None:
        self._objects, self._view = objects, view

    def on_fit_begin(self, fit: Fit) -> None:
        """Tell them."""
        self._tell("on_fit_begin", fit)

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """Tell them; True if one of them asks to stop."""
        answers = self._tell("on_epoch_end", fit, fit.n_epochs - 1, dict(logs))
        return any(asks_to_stop(answer) for answer in answers)

    def on_fit_end(self, fit: Fit) -> None:
        """Tell them."""
        self._tell("on_fit_end", fit)

    def _tell(self, hook: str, fit: Fit, *facts: Any) -> list[object]:
        told = [f for o in self._objects if callable(f := getattr(o, hook, None))]
        if not told:
            return []
        estimator = self._view(fit.state)
        return [function(estimator, *facts) for function in told]


class Tasks(Listener):
    """scikit-learn's callbacks: each epoch is a task in the fit's task.

    Parameters
    ----------
    fit_task : object
        scikit-learn's context of the fit.
    facts : dict
        What each of its calls is told: estimator, X, y and metadata.
    view : callable
        Makes the estimator that would be, had training ended here.
    """

    def __init__(self, fit_task: Any, facts: dict[str, Any], view: MakeView) -> None:
        self._fit_task, self._facts, self._view = fit_task, facts, view

    def on_epoch_begin(self, fit: Fit) -> None:
        """Begin the epoch's task."""
        self._task = self._fit_task.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._facts)

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """End it; True if a callback asks to stop."""
        return self._task.call_on_fit_task_end(
            **self._facts,
            reconstruction_attributes=lambda: vars(self._view(fit.state, ended=True)),
        )


@with_callbacks
def _tear_down(estimator: Any) -> None:
    """What the decorator does after an empty method: end whatever was set up."""


@contextmanager
def fit_task(
    estimator: Any, X: Any, y: Any, sample_weight: Any, start: Any
) -> Iterator[list[Listener]]:
    """A fit as a task of scikit-learn's: its listener, if the estimator has callbacks.

    Parameters
    ----------
    estimator, X, y, sample_weight
        What ``fit`` was called with.
    start : Start
        Has ``n_told``, epochs at most, 0 if they are not told, and ``view``, see
        :class:`Tasks`.
    """
    if not hasattr(estimator, "_skl_callbacks"):
        yield []
        return
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    facts = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
    try:
        task = estimator._init_callback_context(max_subtasks=start.n_told)
        task.call_on_fit_task_begin(**facts)
        yield [Tasks(task, facts, start.view)] if start.n_told else []
        task.call_on_fit_task_end(**facts, reconstruction_attributes={})
    finally:
        _tear_down(estimator)
