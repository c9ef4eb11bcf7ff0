"""Who is told of a fit: one protocol, and its adapters that need no scikit-learn.

A listener is told when a fit begins, when each epoch (an iteration of a full-batch
solver) begins and ends, of every slice of an epoch's work, of each line of progress,
when the fit ends, and when it is over, also by an exception. It may end training by
returning True from ``on_epoch_end``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.stopping import Logs, asks_to_stop

if TYPE_CHECKING:
    from fastmlp.fitting import Fit


class Listener:
    """Told of everything, does nothing: the base of all listeners."""

    def on_fit_begin(self, fit: Fit) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, fit: Fit) -> None:
        """Before an epoch."""

    def on_slice(self, fit: Fit, n_rows: int) -> None:
        """After each part of an epoch's work, of about a hundredth of a second.

        Parameters
        ----------
        fit : Fit
            The fit under way.
        n_rows : int
            Rows of this epoch that are done.
        """

    def on_message(self, fit: Fit, line: str) -> None:
        """A line of progress, as ``verbose=True`` prints it."""

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """After an epoch, when it has been judged; True ends training.

        Parameters
        ----------
        fit : Fit
            The fit under way; ``fit.state`` is that of the epoch's end.
        logs : dict of str to float
            The epoch's entries of the history.
        """
        return False

    def on_fit_end(self, fit: Fit) -> None:
        """After the last epoch, also if Ctrl-C has ended training."""

    def on_teardown(self) -> None:
        """However the fit has ended, also by an exception: the last of all calls."""


class Verbose(Listener):
    """Prints each line of progress."""

    def on_message(self, fit: Fit, line: str) -> None:
        """Print it."""
        print(line)


class Functions(Listener):
    """The user's functions ``f(epoch, logs)``.

    Parameters
    ----------
    functions : sequence of callable
        Each is called after every epoch, counted from 0, with a copy of its figures.
    """

    def __init__(self, functions: Sequence[Callable[[int, Logs], Any]]) -> None:
        self.functions = functions

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """Call all of them; True if one has returned True."""
        epoch = fit.n_epochs - 1
        answers = [function(epoch, dict(logs)) for function in self.functions]
        return any(asks_to_stop(answer) for answer in answers)
