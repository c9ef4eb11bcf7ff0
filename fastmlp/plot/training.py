"""How a fit went: curves of what history_ holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.plot._axes import color_of, make_axes

# By panel: its label, and the columns of history_ that it shows with their line styles.
PANELS: dict[str, tuple[str, dict[str, str]]] = {
    "loss": ("loss", {"loss": "-", "validation_loss": "--"}),
    "validation_score": ("validation score", {"validation_score": "-"}),
    "learning_rate": ("learning rate", {"learning_rate": "-"}),
    "gradient_norm": ("gradient norm", {"gradient_norm": "-"}),
}
# What is read by its powers of ten, where it can be.
BY_POWERS = ("learning_rate", "gradient_norm")


class TrainingDisplay:
    """Losses, validation score, learning rate and gradient norm of one or more fits.

    Use :meth:`from_estimator` after a fit, or :meth:`live` to watch one. A dot marks
    each fit's best epoch: the first of the highest validation score or, without
    validation rows, of the least loss. A dotted line marks the epoch from which on
    over-fitting was seen (``overfit_epoch_``).

    Parameters
    ----------
    histories : dict of str to dict
        ``history_`` of each fit by its name.
    overfit_epochs : dict of str to int, default=None
        ``overfit_epoch_`` of those fits that over-fitted.
    step_name : str, default='epoch'
        What is counted: 'iteration' of full-batch solvers.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What holds the panels.
    axes_ : dict of str to matplotlib Axes
        The panels by name: 'loss', 'validation_score', 'learning_rate',
        'gradient_norm', those that some history has.
    lines_ : dict of str to list of matplotlib Line2D
        The curves of each panel.
    """

    def __init__(
        self,
        histories: Mapping[str, Mapping[str, Sequence[float]]],
        *,
        overfit_epochs: Mapping[str, int] | None = None,
        step_name: str = "epoch",
    ) -> None:
        self.histories = dict(histories)
        self.overfit_epochs = dict(overfit_epochs or {})
        self.step_name = step_name
        self._redraws_every = 1.0
        self._drawn_at = -np.inf
        self._handle: Any = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        panels: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        **line_kw: Any,
    ) -> TrainingDisplay:
        """Draw the fit of an estimator, or the fits of several.

        Parameters
        ----------
        estimator : estimator, or dict of str to estimator, or list of estimators
            Fitted. A dict's keys are the names; a list's estimators are numbered.
        panels, ax, **line_kw
            As in :meth:`plot`.
        name : str, default=None
            Name of a single estimator; None takes its class's.

        Returns
        -------
        TrainingDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If an estimator is not fitted.
        """
        from sklearn.utils.validation import check_is_fitted

        named = _name_estimators(estimator, name)
        for fitted in named.values():
            check_is_fitted(fitted, "history_")
        overfit = {key: getattr(e, "overfit_epoch_", None) for key, e in named.items()}
        has_epochs = any(hasattr(fitted, "loss_curve_") for fitted in named.values())
        display = cls(
            {key: fitted.history_ for key, fitted in named.items()},
            overfit_epochs={key: k for key, k in overfit.items() if k is not None},
            step_name="epoch" if has_epochs else "iteration",
        )
        return display.plot(ax=ax, panels=panels, **line_kw)

    @classmethod
    def live(cls, *, seconds: float = 1.0) -> TrainingDisplay:
        """A display that a fit draws, whose ``update`` is a callback.

        Parameters
        ----------
        seconds : float, default=1.0
            Least time from one drawing to the next: drawing takes some 0.1 s, in which
            the fit waits.

        Returns
        -------
        TrainingDisplay
            Not yet drawn. ``from_estimator`` draws the finished fit.

        Examples
        --------
        >>> from fastmlp import MLPClassifier, TrainingDisplay
        >>> display = TrainingDisplay.live()
        >>> model = MLPClassifier(callbacks=[display.update])
        """
        display = cls({"training": {}})
        display._redraws_every = seconds
        return display

    def update(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take an epoch's entries and draw, where it is time to: a callback.

        Parameters
        ----------
        epoch : int
            Counted from 0, where a new fit begins.
        logs : dict of str to float
            The epoch's entries of ``history_``.
        """
        (history,) = self.histories.values()
        if epoch == 0:
            history.clear()  # type: ignore[attr-defined]
        for column, value in logs.items():
            history.setdefault(column, []).append(value)  # type: ignore[attr-defined]
        now = time.perf_counter()
        if now - self._drawn_at < self._redraws_every:
            return
        ax = None
        if hasattr(self, "figure_"):
            self.figure_.clear()
            ax = self.figure_.add_subplot()
        self.plot(ax)
        self._show()
        self._drawn_at = time.perf_counter()

    def _show(self) -> None:
        """In a notebook in one place of the cell's output; else in the window."""
        ipython = sys.modules.get("IPython")
        if ipython is None or ipython.get_ipython() is None:
            self.figure_.canvas.draw_idle()
            self.figure_.canvas.flush_events()
        elif self._handle is None:
            self._handle = ipython.display.display(self.figure_, display_id=True)
            # Or the notebook would show it once more at the cell's end.
            require("matplotlib.pyplot", "plot", "TrainingDisplay").close(self.figure_)
        else:
            self._handle.update(self.figure_)

    def plot(
        self, ax: Any = None, *, panels: Sequence[str] | None = None, **line_kw: Any
    ) -> TrainingDisplay:
        """Draw the panels.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes a panel; of a single one the place is divided. None: a new figure.
        panels : list of str, default=None
            Which panels, of 'loss', 'validation_score', 'learning_rate' and
            'gradient_norm'. None: those that some history has.
        **line_kw
            Passed to matplotlib's ``plot`` of every curve.

        Returns
        -------
        TrainingDisplay
            This one.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install "fastmlp[plot]"``.
        ValueError
            If a panel is unknown, or no history has what it shows.
        """
        names = self._choose(panels)
        figure, axes = make_axes(ax, len(names), 2, (5.2, 3.2), "TrainingDisplay")
        self.figure_ = figure
        self.axes_ = dict(zip(names, axes, strict=True))
        self.lines_ = {
            panel: self._draw_panel(panel, axis, line_kw)
            for panel, axis in self.axes_.items()
        }
        return self

    def _choose(self, panels: Sequence[str] | None) -> list[str]:
        held = {column for history in self.histories.values() for column in history}
        there = [name for name, (_, columns) in PANELS.items() if held & set(columns)]
        if panels is None:
            panels = there
        for name in panels:
            if name not in PANELS:
                raise ValueError(
                    f"panels must be some of {sorted(PANELS)}, got {name!r}"
                )
            if name not in there:
                raise ValueError(f"no history has the columns of panel {name!r}")
        if not panels:
            raise ValueError("there is nothing to draw: all histories are empty")
        return list(panels)

    def _draw_panel(self, panel: str, axis: Any, line_kw: dict[str, Any]) -> list[Any]:
        label, columns = PANELS[panel]
        several, lines = len(self.histories) > 1, []
        for number, (name, history) in enumerate(self.histories.items()):
            for column, style in columns.items():
                if column not in history:
                    continue
                values = np.asarray(history[column], dtype=float)
                words = _label(name, column, several, len(columns) > 1)
                look = {"color": color_of(number), "linestyle": style, "label": words}
                epochs = np.arange(1, len(values) + 1)
                lines += axis.plot(epochs, values, **{**look, **line_kw})
            self._mark(panel, axis, name, color_of(number))
        axis.set(xlabel=self.step_name, ylabel=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if panel in BY_POWERS and all((line.get_ydata() > 0).all() for line in lines):
            axis.set_yscale("log")
        if axis.get_legend_handles_labels()[0]:
            axis.legend()
        return lines

    def _mark(self, panel: str, axis: Any, name: str, color: str) -> None:
        """The best epoch, and that from which on over-fitting was seen."""
        history, column = self.histories[name], _judge(self.histories[name])
        best = find_best_epoch(history)
        if column in PANELS[panel][1] and best is not None:
            value = history[column][best - 1]
            label = f"best: {value:.4g}, {self.step_name} {best}"
            label = "_best" if len(self.histories) > 1 else label
            axis.plot(best, value, "o", color=color, label=label)
        if name in self.overfit_epochs and panel in ("loss", "validation_score"):
            look = {"color": color, "linestyle": ":", "label": "over-fitting"}
            axis.axvline(self.overfit_epochs[name], **look)


def _name_estimators(estimator: Any, name: str | None) -> dict[str, Any]:
    if isinstance(estimator, Mapping):
        return dict(estimator)
    if isinstance(estimator, (list, tuple)):
        kinds = [type(fitted).__name__ for fitted in estimator]
        return {
            f"{kind} {k + 1}": fitted
            for k, (kind, fitted) in enumerate(zip(kinds, estimator, strict=True))
        }
    return {name or type(estimator).__name__: estimator}


def _label(name: str, column: str, several_fits: bool, several_columns: bool) -> str:
    """Words of a curve; a leading underscore keeps it out of the legend."""
    part = "validation" if column == "validation_loss" else "training"
    words = [name] if several_fits else []
    words += [part] if several_columns else []
    return ", ".join(words) or f"_{name}"


def find_best_epoch(history: Mapping[str, Sequence[float]]) -> int | None:
    """The first epoch, counted from 1, of the highest validation score or else the
    least loss; None where there is no number.
    """
    column = _judge(history)
    values = np.asarray(history.get(column, []), dtype=float)
    values[~np.isfinite(values)] = np.nan
    if np.isnan(values).all():
        return None
    find = np.nanargmax if column == "validation_score" else np.nanargmin
    return int(find(values)) + 1


def _judge(history: Mapping[str, Sequence[float]]) -> str:
    return "validation_score" if "validation_score" in history else "loss"
