"""What a network looks like: its layers, its weights, its first layer as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastmlp.export._model import FittedModel, read
from fastmlp.plot._axes import COLORS, make_axes

KINDS = ("layers", "weights", "images")


class NetworkDisplay:
    """A fitted network: its layers, histograms of weights, or images of first weights.

    Use :meth:`from_estimator`.

    Parameters
    ----------
    model : FittedModel
        What the estimator computes, as the exports read it.

    Attributes
    ----------
    weights : list of ndarray of shape (n_in, n_out)
        Weights of each layer that has any; a convolution's are its kernel.
    activations : list of str
        Activation of each layer, the output's last.
    figure_ : matplotlib Figure
        What holds the axes.
    axes_ : list of matplotlib Axes
        One for 'layers', one a layer for 'weights', one a unit for 'images'.
    """

    def __init__(self, model: FittedModel) -> None:
        self.model = model
        self.weights = [x.weights for x in model.layers if x.weights.size]
        self.activations = [layer.activation for layer in model.layers]

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, kind: str = "layers", ax: Any = None, **kwargs: Any
    ) -> NetworkDisplay:
        """Draw a fitted estimator's network.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted.
        kind, ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        NetworkDisplay
            Drawn.

        Raises
        ------
        TypeError
            If it is no estimator of fastmlp.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        display = cls(read(estimator, "NetworkDisplay"))
        return display.plot(ax, kind=kind, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "layers",
        n_images: int = 25,
        image_shape: tuple[int, int] | None = None,
        bins: int = 40,
    ) -> NetworkDisplay:
        """Draw the network.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes a panel; of a single one the place is divided. None: a new figure.
        kind : {'layers', 'weights', 'images'}, default='layers'
            'layers': a bar a layer, its height by the logarithm of its width, with
            activation and numbers of parameters. 'weights': a histogram a layer.
            'images': the weights from all inputs to a unit of the first layer, or the
            kernel of a filter, as an image, blue below 0 and red above.
        n_images : int, default=25
            Units that 'images' shows at the most: those with the largest weights.
        image_shape : tuple of int, default=None
            Height and width of an image, whose product is the number of inputs. None:
            a square.
        bins : int, default=40
            Bars of a histogram.

        Returns
        -------
        NetworkDisplay
            This one.

        Raises
        ------
        ImportError
            If matplotlib is not installed: ``pip install "fastmlp[plot]"``.
        ValueError
            If kind is unknown, or the inputs are no image of that shape.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {list(KINDS)}, got {kind!r}")
        if kind == "layers":
            self._draw_layers(ax)
        elif kind == "weights":
            self._draw_weights(ax, bins)
        else:
            self._draw_images(ax, n_images, image_shape)
        return self

    def _draw_layers(self, ax: Any) -> None:
        size = (1.9 * (len(self.weights) + 1), 3.6)
        self.figure_, self.axes_ = make_axes(ax, 1, 1, size, "NetworkDisplay")
        axis = self.axes_[0]
        widths = [self.model.n_features, *(x.n_units for x in self.model.layers)]
        heights = [
            0.25 + math.log(width) / math.log(max(*widths, 2)) for width in widths
        ]
        for place, (width, height) in enumerate(zip(widths, heights, strict=True)):
            axis.bar(place, height, 0.3, -height / 2, color=_color(place, len(widths)))
            name = "input" if place == 0 else self._describe(place - 1)
            axis.text(place, -0.72, name, ha="center", va="top")
            axis.text(place, height / 2 + 0.03, f"{width:,}", ha="center", va="bottom")
        for place, layer in enumerate(self.model.layers):
            label = f"{layer.n_params:,}\nparameters" if layer.n_params else ""
            axis.annotate(
                *("", (place + 0.83, 0), (place + 0.17, 0)),
                arrowprops={"arrowstyle": "->", "color": "gray"},
            )
            axis.text(place + 0.5, 0.04, label, ha="center", fontsize="small")
        axis.set(xlim=(-0.6, len(widths) - 0.4), ylim=(-1.0, 0.85))
        axis.set_axis_off()
        axis.set_title(f"{sum(x.n_params for x in self.model.layers):,} parameters")

    def _describe(self, number: int) -> str:
        layer = self.model.layers[number]
        kind = "" if layer.kind == "dense" else f"{layer.kind.replace('_', ' ')}\n"
        norm = "" if layer.batch_norm is None else "batch norm\n"
        end = "\noutput" if number == len(self.model.layers) - 1 else ""
        activation = "" if kind.endswith("pool\n") else layer.activation
        return f"{kind}{norm}{activation}{end}"

    def _draw_weights(self, ax: Any, bins: int) -> None:
        n_layers = len(self.weights)
        panels = make_axes(ax, n_layers, 3, (3.6, 2.8), "NetworkDisplay")
        self.figure_, self.axes_ = panels
        for number, (axis, weights) in enumerate(
            zip(self.axes_, self.weights, strict=True)
        ):
            axis.hist(weights.ravel(), bins, color=_color(number + 1, n_layers + 1))
            axis.axvline(0, color="gray", linewidth=0.8)
            name = "output" if number == n_layers - 1 else f"hidden {number + 1}"
            axis.set_title(f"{name}: {' × '.join(f'{n:,}' for n in weights.shape)}")
            axis.set(xlabel="weight", ylabel="number")

    def _draw_images(
        self, ax: Any, n_images: int, image_shape: tuple[int, int] | None
    ) -> None:
        weights = self._images_of_units(image_shape)
        norms = np.linalg.norm(weights, axis=(0, 1))
        largest = np.argsort(-norms, kind="stable")
        units = np.sort(largest[: max(1, n_images)])
        n_columns = math.ceil(math.sqrt(len(units)))
        panels = make_axes(ax, len(units), n_columns, (1.3, 1.1), "NetworkDisplay")
        self.figure_, self.axes_ = panels
        limit = np.abs(weights[:, :, units]).max() or 1.0
        colors = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        for axis, unit in zip(self.axes_, units, strict=True):
            image = axis.imshow(weights[:, :, unit], **colors)
            axis.set(xticks=[], yticks=[])
        self.figure_.colorbar(image, ax=self.axes_, shrink=0.6, label="weight")

    def _images_of_units(self, given: tuple[int, int] | None) -> np.ndarray:
        """An image for each unit of the first layer, (height, width, units); of a
        convolution its kernel, the mean of the channels.
        """
        weights, geometry = self.weights[0], self.model.layers[0].geometry
        if geometry is None:
            return weights.reshape(*self._image_shape(given), -1)
        kernel = weights.reshape(*geometry.kernel, *weights.shape[-2:])
        return kernel.mean(axis=2)

    def _image_shape(self, given: tuple[int, int] | None) -> tuple[int, int]:
        n_features = self.model.n_features
        side = math.isqrt(n_features)
        height, width = given or (side, side)
        if height * width != n_features:
            raise ValueError(
                f"{n_features} inputs do not make an image of {height} × {width}; "
                "give image_shape=(height, width)"
            )
        return height, width


def _color(place: int, n_places: int) -> str:
    """Inputs gray, hidden layers blue, outputs orange."""
    if place == 0:
        return "#999999"
    return COLORS[1] if place == n_places - 1 else COLORS[0]
