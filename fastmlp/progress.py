"""Bars of progress, tqdm's, in a terminal and in a notebook.

A bar appears once the work has taken a tenth of a second, and is drawn so seldom that
this takes a hundredth of the time at most.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._extras import require
from fastmlp.listeners import Listener
from fastmlp.rows import as_inputs, count_rows, take_rows
from fastmlp.stopping import Logs

if TYPE_CHECKING:
    from fastmlp.fitting import Fit
    from fastmlp.network import Network

# The value of ``verbose``; scikit-learn's users give others, such as 10, for lines.
BAR = 2
# Work that is over sooner shows no bar.
DELAY = 0.1
LEAST_SECONDS_BETWEEN = 0.1
# Share of the time that drawing may take.
SHARE = 0.01
# Rows of the first piece of a prediction; the next are larger until one takes so long.
FIRST_PIECE = 1024
PIECE_SECONDS = 0.1

UNDER_WAY = "{desc} |{bar}| {remaining} left{postfix}, {rate_fmt}"
OVER = "{desc} |{bar}| {elapsed}{postfix}, {rate_fmt}"


def find_bars(caller: str) -> Callable[..., Any] | None:
    """What makes a bar; None where nobody would see it.

    That is where standard error is a file or a pipe and there is no notebook, and in
    worker processes, whose bars would write over each other.

    Parameters
    ----------
    caller : str
        What errors say needs tqdm.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """
    library = require("tqdm.auto", "progress", caller)
    if multiprocessing.parent_process() is not None:
        return None
    in_notebook = library.notebook_tqdm is not library.std_tqdm
    if not in_notebook and (sys.stderr is None or not sys.stderr.isatty()):
        return None
    return _without_monitor(library.tqdm)


@cache
def _without_monitor(bars: Any) -> Any:
    """The class, but it starts no thread that would draw between our drawings."""
    return type("Bar", (bars,), {"monitor_interval": 0})


class Display:
    """A bar that appears when the work turns out to be long.

    Parameters
    ----------
    bars : callable
        What :func:`find_bars` has found.
    total : int
        Where the bar is full.
    unit : str
        What is counted.
    scales : bool
        Whether counts are written with prefixes: 1.2M.
    """

    def __init__(
        self, bars: Callable[..., Any], total: int, unit: str, scales: bool
    ) -> None:
        self._bars = bars
        self._settings = {"total": total, "unit": f" {unit}", "unit_scale": scales}
        self._bar: Any = None
        self._started = time.perf_counter()
        self._next = self._started + DELAY

    @property
    def is_open(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def is_due(self) -> bool:
        """Whether it is time to draw."""
        return time.perf_counter() >= self._next

    def draw(self, n: int, title: str, figures: str = "") -> None:
        """Draw the bar.

        Parameters
        ----------
        n : int
            Where it is.
        title, figures : str
            What stands before it and behind it.
        """
        began = time.perf_counter()
        if self._bar is None:
            self._open(began)
        self._bar.set_description_str(title, refresh=False)
        self._bar.set_postfix_str(figures, refresh=False)
        self._bar.update(n - self._bar.n)
        now = time.perf_counter()
        self._next = now + max(LEAST_SECONDS_BETWEEN, (now - began) / SHARE)

    def _open(self, now: float) -> None:
        # This object decides when to draw: tqdm's own thresholds are off. The delay
        # keeps its constructor from drawing an empty bar. Without smoothing rates are
        # those of the whole time: few drawings are too few for a moving average.
        self._bar = bar = self._bars(
            file=sys.stderr,
            bar_format=UNDER_WAY,
            dynamic_ncols=True,
            mininterval=0,
            miniters=0,
            smoothing=0,
            delay=DELAY,
            **self._settings,
        )
        if not bar.disable:  # as TQDM_DISABLE has it
            bar.start_t -= now - self._started
            bar.last_print_t = bar.start_t

    def finish(self, n: int, title: str, figures: str = "") -> None:
        """Leave the bar as that of work that is over, at whatever count."""
        if self._bar is None:
            return
        bar = self._bar
        bar.bar_format, bar.n, bar.total = OVER, n, n
        if hasattr(bar, "container"):  # of a notebook: the widget has its own total
            bar.container.children[1].max = n
        bar.set_description_str(title, refresh=False)
        bar.set_postfix_str(figures, refresh=False)
        self.close()

    def close(self) -> None:
        """End the bar's line; where work was broken off it stays as it was."""
        bar, self._bar = self._bar, None
        self._next = math.inf
        if bar is not None:
            bar.close()


class ProgressBar(Listener):
    """A bar of a fit: ``verbose=2``.

    Parameters
    ----------
    bars : callable
        What :func:`find_bars` has found.
    """

    def __init__(self, bars: Callable[..., Any]) -> None:
        self._bars = bars
        self._display: Display | None = None

    def on_fit_begin(self, fit: Fit) -> None:
        """Begin to count: rows of all epochs, or iterations."""
        n_epochs = fit.recipe.n_epochs
        self._logs: Logs = {}
        if fit.recipe.is_full_batch:
            self._what, self._n_rows = "iteration", 1
            self._display = Display(self._bars, n_epochs, "iterations", scales=False)
            return
        _, _, order = fit.state.first_order
        self._what, self._n_rows = "epoch", order.n_rows
        total = n_epochs * order.n_rows
        self._display = Display(self._bars, total, "rows", scales=True)

    def on_slice(self, fit: Fit, n_rows: int) -> None:
        """Draw, if it is time."""
        if self._display is not None and self._display.is_due():
            self._display.draw(*self._describe(fit, n_rows))

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """Draw, if it is time."""
        self._logs = logs
        self.on_slice(fit, 0)
        return False

    def on_fit_end(self, fit: Fit) -> None:
        """Leave the last figures, and why training has stopped."""
        if self._display is not None and self._display.is_open:
            self._display.finish(*self._describe(fit, 0))

    def on_teardown(self) -> None:
        """Close what an exception has left open."""
        if self._display is not None:
            self._display.close()

    def _describe(self, fit: Fit, n_rows: int) -> tuple[int, str, str]:
        n_begun = fit.n_epochs + (n_rows > 0)
        title = f"{self._what} {n_begun}/{fit.recipe.n_epochs}"
        figures = describe_figures(fit, self._logs)
        return fit.n_epochs * self._n_rows + n_rows, title, figures


def describe_figures(fit: Fit, logs: Logs) -> str:
    """An epoch's figures in a few words.

    Parameters
    ----------
    fit : Fit
        The fit under way.
    logs : dict of str to float
        The epoch's entries of the history; empty before the first is over.
    """
    shown = [("loss", "loss"), ("validation_score", "score")]
    if fit.stop_reason is None:
        shown.append(("learning_rate", "rate"))
    words = [f"{word} {logs[name]:.4g}" for name, word in shown if name in logs]
    patience = fit.recipe.n_iter_no_change
    if fit.stop_reason is not None:
        words.append(f"stopped by {fit.stop_reason}")
    elif logs and not fit.recipe.is_full_batch and math.isfinite(patience):
        words.append(f"stalled {fit.state.plateau.n_stalled}/{patience}")
    return ", ".join(words)


def predict_rows(network: Network, X: Any) -> np.ndarray:
    """The network's outputs, with a bar if they take long; the same bits.

    Parameters
    ----------
    network : Network
        What predicts.
    X : ndarray or sparse matrix of shape (n_samples, n_inputs)
        Inputs.
    """
    inputs = as_inputs(X, network.layer_sizes[0], network.dtype)
    n_rows = count_rows(inputs)
    bars = None if n_rows <= FIRST_PIECE else _find_bars_if_installed()
    if bars is None:
        return network.predict(inputs)
    display = Display(bars, n_rows, "rows", scales=True)
    pieces, begin, size = [], 0, FIRST_PIECE
    try:
        while begin < n_rows:
            end, started = min(begin + size, n_rows), time.perf_counter()
            some = take_rows(inputs, slice(begin, end))
            pieces.append(network.predict(some))
            begin = end
            if time.perf_counter() - started < PIECE_SECONDS / 2:
                size *= 2
            if display.is_due():
                display.draw(begin, "predict")
        display.finish(n_rows, "predict")
    finally:
        display.close()
    return np.concatenate(pieces)


def _find_bars_if_installed() -> Callable[..., Any] | None:
    """A model whose fit was watched is used where tqdm need not be."""
    try:
        return find_bars("verbose=2")
    except ImportError:
        return None
