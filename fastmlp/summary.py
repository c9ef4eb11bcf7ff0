"""The table of a network's layers, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fastmlp.export._model import FittedModel, Layer

HEADINGS = (
    "layer",
    "inputs",
    "units",
    "activation",
    "parameters",
    "multiply-adds a row",
    "bytes",
)


@dataclass(frozen=True)
class LayerSummary:
    """A layer's row.

    Attributes
    ----------
    name : str
        'hidden 1' and so on, 'output'; with ', conv' or ' + batch norm' where it is a
        convolution, or normalised; or 'max pool', 'average pool'.
    n_inputs, n_units : int
        Columns that go in and come out.
    activation : str
        Of its units.
    n_params : int
        Weights, biases and, normalised, scales.
    n_multiply_adds : int
        Multiplications with a weight, each with its addition, for one row.
    n_bytes : int
        Of the parameters, running averages included.
    """

    name: str
    n_inputs: int
    n_units: int
    activation: str
    n_params: int
    n_multiply_adds: int
    n_bytes: int


@dataclass(frozen=True)
class Summary:
    """A fitted network's layers, which prints as a table and is one in a notebook.

    Attributes
    ----------
    kind : str
        Class of the estimator.
    loss, dtype : str
        What it was trained on, and in which type.
    layers : tuple of LayerSummary
        First layer first.
    """

    kind: str
    loss: str
    dtype: str
    layers: tuple[LayerSummary, ...]

    @property
    def n_params(self) -> int:
        """Parameters of all layers."""
        return sum(layer.n_params for layer in self.layers)

    @property
    def n_multiply_adds(self) -> int:
        """Multiply-adds of all layers, for one row."""
        return sum(layer.n_multiply_adds for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        """Bytes of all layers."""
        return sum(layer.n_bytes for layer in self.layers)

    def _cells(self) -> list[tuple[str, ...]]:
        rows: list[tuple] = [
            (layer.name, layer.n_inputs, layer.n_units, layer.activation)
            + (layer.n_params, layer.n_multiply_adds, layer.n_bytes)
            for layer in self.layers
        ]
        rows.append(
            ("total", "", "", "", self.n_params, self.n_multiply_adds, self.n_bytes)
        )
        return [
            tuple(f"{x:,}" if isinstance(x, int) else x for x in row) for row in rows
        ]

    def _title(self) -> str:
        return f"{self.kind}, {self.loss}, {self.dtype}"

    def __str__(self) -> str:
        rows = [HEADINGS, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if _side(heading) == "left" else cell.rjust(width)
                for heading, cell, width in zip(HEADINGS, row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([self._title(), lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [("th", HEADINGS), *(("td", row) for row in self._cells())]
        lines = "".join(
            "<tr>"
            + "".join(
                f'<{tag} style="text-align: {_side(heading)}">{escape(cell)}</{tag}>'
                for heading, cell in zip(HEADINGS, row, strict=True)
            )
            + "</tr>"
            for tag, row in rows
        )
        return (
            '<table style="font-family: monospace; border-spacing: 1em 0.2em">'
            f"<caption>{escape(self._title())}</caption>{lines}</table>"
        )


def _side(heading: str) -> str:
    """Words begin at the left, numbers end at the right."""
    return "left" if heading in ("layer", "activation") else "right"


def summarize(model: FittedModel, kind: str) -> Summary:
    """The table of a fitted network.

    Parameters
    ----------
    model : FittedModel
        What a fitted estimator computes, batch normalisation not folded.
    kind : str
        Class of the estimator.

    Returns
    -------
    Summary
    """
    layers = zip(_names(model.layers), model.layers, strict=True)
    rows = tuple(_summarize_layer(name, layer) for name, layer in layers)
    return Summary(kind, model.loss, model.dtype.name, rows)


def _names(layers: Sequence[Layer]) -> list[str]:
    """What each layer is called: those that pool by their kind, others by number."""
    names, number = [], 0
    for layer in layers[:-1]:
        number += layer.kind in ("dense", "conv")
        kind = layer.kind.replace("_", " ")
        names.append(
            {"dense": f"hidden {number}", "conv": f"hidden {number}, conv"}.get(
                layer.kind, kind
            )
        )
    return [*names, "output"]


def _summarize_layer(name: str, layer: Layer) -> LayerSummary:
    n_averages = 0
    if layer.batch_norm is not None:
        name, n_averages = f"{name} + batch norm", 2 * layer.biases.size
    return LayerSummary(
        name,
        layer.n_inputs,
        layer.n_units,
        layer.activation,
        layer.n_params,
        layer.n_multiply_adds,
        (layer.n_params + n_averages) * layer.weights.itemsize,
    )
