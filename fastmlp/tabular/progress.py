"""Progress of members that are trained side by side: lines, or one bar of all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from fastmlp.listeners import Listener
from fastmlp.progress import BAR, Display, find_bars
from fastmlp.recipe import Recipe
from fastmlp.stopping import Logs


class Lines(Listener):
    """Prints a line each epoch.

    Parameters
    ----------
    number : int
        Of the member, from 0.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def on_epoch_end(self, fit: Any, logs: Logs) -> bool:
        """Print it."""
        print(
            f"Member {self._number + 1}, epoch {fit.n_epochs}: loss "
            f"{logs['loss']:.6f}, validation score {logs['validation_score']:.6f}"
        )
        return False


class SharedBar:
    """One bar for all members.

    Parameters
    ----------
    bars : callable
        What makes a bar.
    total : int
        Rows times epochs of all members.
    n_members : int
        How many they are.
    """

    def __init__(self, bars: Callable[..., Any], total: int, n_members: int) -> None:
        self._display = Display(bars, total, "rows", scales=True)
        self._lock = threading.Lock()
        self._done = [0] * n_members

    def advance(self, number: int, n_rows: int) -> None:
        """A member is there; draw, if it is time."""
        with self._lock:
            self._done[number] = n_rows
            if self._display.is_due():
                self._display.draw(sum(self._done), f"{len(self._done)} members")

    def close(self) -> None:
        """The fit is over."""
        with self._lock:
            self._display.finish(sum(self._done), f"{len(self._done)} members")
            self._display.close()


class OnSharedBar(Listener):
    """A member's listener that moves the bar of all.

    Parameters
    ----------
    bar : SharedBar
        The bar.
    number : int
        Of the member, from 0.
    """

    def __init__(self, bar: SharedBar, number: int) -> None:
        self._bar, self._number = bar, number

    def on_slice(self, fit: Any, n_rows: int) -> None:
        """Move it."""
        _, _, order = fit.state.first_order
        self._bar.advance(self._number, fit.n_epochs * order.n_rows + n_rows)


class Progress:
    """What shows the progress of a fit; a context manager.

    Parameters
    ----------
    verbose : bool or int
        See the estimators.
    n_members, n_rows, n_epochs : int
        Of the fit.

    Raises
    ------
    ImportError
        If a bar is asked for and tqdm is not installed.
    """

    def __init__(
        self, verbose: int, n_members: int, n_rows: int, n_epochs: int
    ) -> None:
        self._prints = bool(verbose) and verbose != BAR
        bars = find_bars(f"verbose={verbose}") if verbose == BAR else None
        total = n_members * n_rows * n_epochs
        self._bar = bars and SharedBar(bars, total, n_members)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def listeners(self, number: int, recipe: Recipe) -> Sequence[Listener]:
        """Of a member."""
        if self._bar is not None:
            return [OnSharedBar(self._bar, number)]
        return [Lines(number)] if self._prints else []
