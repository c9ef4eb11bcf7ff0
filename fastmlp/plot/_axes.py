"""Where panels are drawn, and in which colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp._extras import require

# Okabe and Ito's, apart from each other to every kind of colour vision.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def color_of(number: int) -> str:
    """The colour of a line by its number."""
    return COLORS[number % len(COLORS)]


def make_axes(
    ax: Any, n_panels: int, n_columns: int, size: tuple[float, float], caller: str
) -> tuple[Any, list[Any]]:
    """A figure and so many axes.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        None: of a new figure. A sequence: these. One: its place is divided, unless it
        is for one panel.
    n_panels, n_columns : int
        Panels, and how many stand side by side.
    size : tuple of float
        Width and height of a panel of a new figure, in inches.
    caller : str
        Class that errors speak of.

    Returns
    -------
    figure : Figure
    axes : list of Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a sequence has another number of axes.
    """
    plt = require("matplotlib.pyplot", "plot", caller)
    if ax is not None and np.ndim(ax) > 0:
        given = list(np.ravel(ax))
        if len(given) != n_panels:
            raise ValueError(
                f"ax of {caller} must be {n_panels} axes, got {len(given)}"
            )
        return given[0].figure, given
    if ax is not None and n_panels == 1:
        return ax.figure, [ax]
    n_columns = min(n_columns, n_panels)
    n_rows = -(-n_panels // n_columns)
    if ax is None:
        width, height = size
        figure = plt.figure(
            figsize=(width * n_columns, height * n_rows), layout="constrained"
        )
        grid = figure.add_gridspec(n_rows, n_columns)
    else:
        figure, grid = ax.figure, ax.get_subplotspec().subgridspec(n_rows, n_columns)
        ax.set_axis_off()
    places = [divmod(panel, n_columns) for panel in range(n_panels)]
    return figure, [figure.add_subplot(grid[row, column]) for row, column in places]
