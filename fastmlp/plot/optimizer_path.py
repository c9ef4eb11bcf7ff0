"""The paths of optimizers over a function of two parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.network import Network
from fastmlp.plot._axes import color_of, make_axes

# Heights at which the shade changes, in parts of the highest start.
LEVELS = np.array([0, 0.03, 0.12, 0.3, 0.6, 1, 1.5, 2.2, 3.2, 5, 8, 13, 21])


class OptimizerPathDisplay:
    """Where optimizers went on a map: a function of two parameters, darker where low.

    Use :meth:`from_function` or, for a network of two parameters, :meth:`from_network`.

    Parameters
    ----------
    paths : dict of str to array-like of shape (n_steps + 1, 2)
        By name: the parameters before the first step and after every one. The first
        column is drawn to the right, the second upwards.
    grid : tuple of ndarray of shapes (n_x,) and (n_y,)
        Where the function was evaluated.
    heights : ndarray of shape (n_y, n_x)
        Its values there.
    minimum : array-like of shape (2,), default=None
        Where it is lowest, marked with a star; None: not marked.
    parameter_names : tuple of str, default=('first parameter', 'second parameter')
        Labels of the axes.

    Attributes
    ----------
    figure_ : matplotlib Figure
        What holds the axes.
    axes_ : list of matplotlib Axes
        One for all paths, or one a path.
    lines_ : list of matplotlib Line2D
        The paths, in their order.
    """

    def __init__(
        self,
        paths: Mapping[str, ArrayLike],
        grid: tuple[np.ndarray, np.ndarray],
        heights: np.ndarray,
        *,
        minimum: ArrayLike | None = None,
        parameter_names: tuple[str, str] = ("first parameter", "second parameter"),
    ) -> None:
        self.paths = {name: _check_path(name, path) for name, path in paths.items()}
        self.grid, self.heights = grid, heights
        self.minimum = None if minimum is None else np.asarray(minimum, dtype=float)
        self.parameter_names = parameter_names

    @classmethod
    def from_function(
        cls,
        function: Callable[[np.ndarray], float],
        paths: Mapping[str, ArrayLike],
        *,
        limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
        n_points: int = 81,
        minimum: ArrayLike | None = None,
        parameter_names: tuple[str, str] = ("first parameter", "second parameter"),
        ax: Any = None,
        separate: bool = False,
        **line_kw: Any,
    ) -> OptimizerPathDisplay:
        """Draw paths over a function.

        Parameters
        ----------
        function : callable
            The height at a place, ``function(parameters)`` of an array of shape (2,).
        paths, minimum, parameter_names
            As of the class.
        limits : tuple of two pairs, default=None
            Ends of the map to the right and upwards; None: what the paths need.
        n_points : int, default=81
            Places along each side at which the function is evaluated.
        ax, separate, **line_kw
            As in :meth:`plot`.

        Returns
        -------
        OptimizerPathDisplay
            Drawn.

        Raises
        ------
        ValueError
            If a path is no (n_steps + 1, 2) matrix of finite numbers.
        """
        checked = {name: _check_path(name, path) for name, path in paths.items()}
        if not checked:
            raise ValueError("paths must hold at least one path")
        grid = _make_grid(list(checked.values()), minimum, limits, n_points)
        heights = np.array(
            [[function(np.array([x, y])) for x in grid[0]] for y in grid[1]], float
        )
        display = cls(
            *(checked, grid, heights), minimum=minimum, parameter_names=parameter_names
        )
        return display.plot(ax, separate=separate, **line_kw)

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: ArrayLike,
        y: ArrayLike,
        paths: Mapping[str, ArrayLike],
        **kwargs: Any,
    ) -> OptimizerPathDisplay:
        """Draw paths over a network's objective.

        Parameters
        ----------
        network : Network
            Of two parameters, say ``Network([1, 1])``; it is not changed.
        X, y : array-like
            Inputs and targets.
        paths : dict of str to array-like of shape (n_steps + 1, 2)
            ``network.params`` before the first step and after every one.
        **kwargs
            As in :meth:`from_function`.

        Returns
        -------
        OptimizerPathDisplay
            Drawn.

        Raises
        ------
        ValueError
            If the network has more than two parameters.
        """
        if network.params.size != 2:
            raise ValueError(
                "the network must have exactly two parameters to be drawn on a map, "
                f"got {network.params.size}"
            )
        twin = network.copy()

        def objective(parameters: np.ndarray) -> float:
            twin.params[:] = parameters
            return twin.loss(X, y)

        return cls.from_function(objective, paths, **kwargs)

    def plot(
        self, ax: Any = None, *, separate: bool = False, **line_kw: Any
    ) -> OptimizerPathDisplay:
        """Draw the map and the paths on it.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes for all paths or, separate, one a path; of a single one the place
            is divided then. None: a new figure.
        separate : bool, default=False
            Whether each path has a map of its own.
        **line_kw
            Passed to matplotlib's ``plot`` of every path.

        Returns
        -------
        OptimizerPathDisplay
            This one.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install "fastmlp[plot]"``.
        """
        n_panels = len(self.paths) if separate else 1
        size = (3.4, 2.8) if separate else (6.4, 4.8)
        panels = make_axes(ax, n_panels, 3, size, "OptimizerPathDisplay")
        self.figure_, self.axes_ = panels
        for axis in self.axes_:
            self._draw_map(axis)
        self.lines_ = []
        for number, (name, path) in enumerate(self.paths.items()):
            axis = self.axes_[number if separate else 0]
            look = {"color": color_of(number), "marker": "o", "markersize": 3.5}
            n_steps = len(path) - 1
            look["label"] = f"{name}, {n_steps} step{'s' * (n_steps != 1)}"
            self.lines_ += axis.plot(*path.T, **{**look, **line_kw})
            axis.plot(*path[0], "o", color="black", markersize=7, zorder=3)
            if separate:
                axis.set_title(look["label"], fontsize="medium")
        if not separate:
            self.axes_[0].legend()
        return self

    def _draw_map(self, axis: Any) -> None:
        x, y = self.grid
        lowest = self.heights.min()
        starts = np.array([path[0] for path in self.paths.values()])
        rows = np.abs(y[:, None] - starts[:, 1]).argmin(axis=0)
        columns = np.abs(x[:, None] - starts[:, 0]).argmin(axis=0)
        top = (self.heights[rows, columns] - lowest).max() or 1.0
        shades = [str(gray) for gray in np.linspace(0.78, 1, len(LEVELS) - 1)]
        axis.contourf(x, y, (self.heights - lowest) / top, LEVELS, colors=shades)
        if self.minimum is not None:
            axis.plot(*self.minimum, "*", color="black", markersize=10, zorder=4)
        axis.set(xlim=x[[0, -1]], ylim=y[[0, -1]])
        axis.set(xlabel=self.parameter_names[0], ylabel=self.parameter_names[1])


def _check_path(name: str, path: ArrayLike) -> np.ndarray:
    checked = np.asarray(path, dtype=float)
    if checked.ndim != 2 or checked.shape[1] != 2 or len(checked) == 0:
        raise ValueError(
            f"path {name!r} must have shape (n_steps + 1, 2), got {checked.shape}"
        )
    if not np.isfinite(checked).all():
        raise ValueError(f"path {name!r} must be finite numbers")
    return checked


def _make_grid(
    paths: list[np.ndarray],
    minimum: ArrayLike | None,
    limits: tuple[tuple[float, float], tuple[float, float]] | None,
    n_points: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the map; without limits a sixth of the paths' extent around them."""
    if limits is None:
        places = [*paths, np.reshape(minimum, (1, 2))] if minimum is not None else paths
        points = np.concatenate(places)
        low, high = points.min(axis=0), points.max(axis=0)
        margin = np.where(high > low, (high - low) / 6, 1.0)
        limits = tuple(zip(low - margin, high + margin, strict=True))  # type: ignore[assignment]
    assert limits is not None
    (left, right), (bottom, top) = limits
    return np.linspace(left, right, n_points), np.linspace(bottom, top, n_points)
