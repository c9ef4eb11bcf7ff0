"""An estimator of tables as nodes of ONNX: columns, networks, and their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.export._table import Column, FittedTable
from fastmlp.tabular.preprocessing import LARGEST, LevelEncoder, NumberEncoder

# Domain of the operators that look strings up, and a set of them that all runtimes of
# this operator set have.
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 2
# What stands for a missing value where there is no NaN.
MISSING_STRING, MISSING_INTEGER = "", -(2**63)
# Both parts of a whole number, divided by this, are exact as float64.
HALF_RANGE = 2**32

_FLOAT, _DOUBLE = 1, 11
# Types and shapes by name.
Tensors = dict[str, tuple[np.dtype, list[int | None]]]
AddNetwork = Callable[[Any, Any, str], str]


def describe_inputs(table: FittedTable) -> Tensors:
    """Type and shape of each input by name; object stands for strings.

    Raises
    ------
    ValueError
        If two columns have one name, or one the name of a result or none at all.
    """
    if not table.has_names and all(c.dtype == np.float64 for c in table.columns):
        return {"X": (np.dtype(np.float64), [None, len(table.columns)])}
    names = [column.name for column in table.columns]
    results = {"label", "probabilities", "predictions"}
    bad = [n for n in names if n in results or not n or names.count(n) > 1]
    if bad:
        raise ValueError(
            f"to_onnx needs columns with names of their own, which are not "
            f"{', '.join(sorted(results))}, got {bad}: rename them and fit again"
        )
    return {column.name: (column.dtype, [None, 1]) for column in table.columns}


def add_table(
    nodes: Any, table: FittedTable, inputs: Tensors, add_network: AddNetwork
) -> str:
    """Add everything; the name of the probabilities, or of the predictions.

    Parameters
    ----------
    nodes : Nodes
        The graph.
    table : FittedTable
        The model.
    inputs : dict
        As described.
    add_network : callable
        ``add_network(nodes, model, x)`` of a member.
    """
    nodes.dtype = np.dtype(np.float64)
    x = _add_columns(nodes, table, _split(nodes, table, inputs))
    found = []
    for member in table.members:
        nodes.dtype = member.dtype
        z = nodes.add("Cast", add_network(nodes, member, x), to=_DOUBLE)
        nodes.dtype = np.dtype(np.float64)
        found.append(_add_prediction(nodes, table, z))
    total = found[0] if len(found) == 1 else nodes.add("Sum", *found)
    return nodes.add("Div", total, float(len(found)))


def _split(nodes: Any, table: FittedTable, inputs: Tensors) -> list[str]:
    """A name for each column, of shape (n, 1)."""
    if table.has_names or list(inputs) != ["X"]:
        return list(inputs)
    return [
        nodes.add("Gather", "X", np.array([j]), axis=1)
        for j in range(len(table.columns))
    ]


def _add_columns(nodes: Any, table: FittedTable, names: list[str]) -> str:
    """The networks' inputs."""
    parts: list[str] = []
    for column, name in zip(table.columns, names, strict=True):
        if isinstance(column.encoder, NumberEncoder):
            parts += _add_number(nodes, column.encoder, name)
        elif column.encoder.n_inputs:
            parts += [_add_levels(nodes, column, name)]
    if not parts:
        return nodes.add("ConstantOfShape", nodes.add("Shape", names[0]))
    return nodes.add("Concat", *parts, axis=1)


def _add_number(nodes: Any, encoder: NumberEncoder, name: str) -> list[str]:
    """x/√(1 + (x/3)²) of the standardised value, and whether it is missing."""
    if encoder.origin:
        missing = nodes.add("Equal", name, np.array(MISSING_INTEGER))
        value = _add_shifted(nodes, encoder.origin, name)
    else:
        missing, value = nodes.add("IsNaN", name), name
    parts = []
    if encoder.spread > 0:
        half = nodes.add("Sub", nodes.add("Div", value, 2.0), encoder.median / 2)
        x = nodes.add("Div", half, encoder.spread / 2)
        x = nodes.add("Where", missing, 0.0, x)
        x = nodes.add("Clip", x, -LARGEST, LARGEST)
        third = nodes.add("Div", x, 3.0)
        square = nodes.add("Add", nodes.add("Mul", third, third), 1.0)
        clipped = nodes.add("Div", x, nodes.add("Sqrt", square))
        parts = [nodes.add("Cast", clipped, to=_FLOAT)]
    if encoder.marks_missing:
        parts += [nodes.add("Cast", missing, to=_FLOAT)]
    return parts


def _add_shifted(nodes: Any, origin: int, name: str) -> str:
    """Whole number minus origin, rounded once: their parts are subtracted apart."""
    if not -(2**63) < origin < 2**63:
        raise ValueError(
            "to_onnx takes whole numbers of 64 bits, and a column has larger ones"
        )
    high = nodes.add("Div", name, np.array(HALF_RANGE))
    low = nodes.add("Sub", name, nodes.add("Mul", high, np.array(HALF_RANGE)))
    origin_high, origin_low = divmod(origin, HALF_RANGE)
    high = nodes.add("Cast", nodes.add("Sub", high, np.array(origin_high)), to=_DOUBLE)
    low = nodes.add("Cast", nodes.add("Sub", low, np.array(origin_low)), to=_DOUBLE)
    return nodes.add("Add", nodes.add("Mul", high, float(HALF_RANGE)), low)


def _add_levels(nodes: Any, column: Column, name: str) -> str:
    """One-hot; two levels are −1 and 1."""
    encoder = column.encoder
    assert isinstance(encoder, LevelEncoder)
    if column.dtype == object:
        chosen = _add_known_strings(nodes, encoder, name)
    else:
        chosen = _add_known_numbers(nodes, encoder, name)
    ones = nodes.add("Cast", chosen, to=_FLOAT)
    if encoder.n_inputs == 1 and len(encoder.levels) == 2:
        return nodes.add("MatMul", ones, np.array([[-1], [1]], np.float32))
    return ones


def _add_known_strings(nodes: Any, encoder: LevelEncoder, name: str) -> str:
    """Whether a string is each of the levels, and whether it is another."""
    n_levels = len(encoder.levels)
    keys, places = list(encoder.levels), list(range(n_levels))
    if MISSING_STRING not in encoder.levels:
        keys, places = [*keys, MISSING_STRING], [*places, -1]
    place = nodes.add(
        "LabelEncoder",
        name,
        domain=ML_DOMAIN,
        keys_strings=keys,
        values_int64s=places,
        default_int64=n_levels if encoder.has_others else -1,
    )
    all_places = np.arange(n_levels + encoder.has_others)[np.newaxis]
    return nodes.add("Equal", place, all_places)


def _add_known_numbers(nodes: Any, encoder: LevelEncoder, name: str) -> str:
    """The same of a number."""
    levels = np.array([list(map(float, encoder.levels))])
    chosen = nodes.add("Equal", name, levels)
    if not encoder.has_others:
        return chosen
    ones = nodes.add("Cast", chosen, to=_FLOAT)
    n_known = nodes.add("ReduceSum", ones, np.array([1]), keepdims=1)
    is_unknown = nodes.add("Equal", n_known, np.array(0, np.float32))
    is_number = nodes.add("Not", nodes.add("IsNaN", name))
    return nodes.add("Concat", chosen, nodes.add("And", is_unknown, is_number), axis=1)


def _add_prediction(nodes: Any, table: FittedTable, z: str) -> str:
    """What a member says, of its outputs z in float64."""
    if table.results.is_classifier:
        scaled = nodes.add("Div", z, table.temperature)
        if table.results.multilabel:
            return nodes.add("Sigmoid", scaled)
        return nodes.add("Softmax", scaled, axis=1)
    y = nodes.add("Add", nodes.add("Mul", z, table.y_scale), table.y_mean)
    assert table.y_range is not None
    low, high = table.y_range
    y = nodes.add("Min", nodes.add("Max", y, low), high)
    if not table.is_sorted:
        return y
    n_levels = np.array([table.results.n_outputs])
    return nodes.add("TopK", y, n_levels, axis=1, largest=0, sorted=1, unused=1)
