"""What a network's settings may be, and the errors where they are something else."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp import _kernels


def check_layers(
    weights: Sequence[Any], biases: Sequence[Any], names: tuple[str, str]
) -> list[int]:
    """Units of each layer, the inputs first, from the arrays of successive layers.

    Raises
    ------
    ValueError
        If there are none, or a shape does not fit its neighbours'. It calls the arrays
        by those names.
    """
    if len(weights) == 0 or len(weights) != len(biases):
        raise ValueError(
            f"{names[0]} and {names[1]} must have one entry per layer each, got "
            f"{len(weights)} and {len(biases)} entries"
        )
    sizes = [*np.shape(weights[0])[:1]]
    for number, arrays in enumerate(zip(weights, biases, strict=True)):
        shapes = np.shape(arrays[0]), np.shape(arrays[1])
        if len(shapes[1]) != 1 or shapes[0] != (*sizes[-1:], *shapes[1]):
            before = "n_inputs" if number == 0 else sizes[-1]
            raise ValueError(
                f"{names[0]}[{number}] must have shape ({before}, n_units) and "
                f"{names[1]}[{number}] (n_units,), got {shapes[0]} and {shapes[1]}"
            )
        sizes += shapes[1]
    return sizes


def check_name(what: str, name: str, known: Sequence[str] | dict) -> str:
    """The name, if it is known."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{what} must be one of {sorted(known)}, got {name!r}")
    return name


def check_dtype(dtype: np.dtype | type | str) -> np.dtype:
    """float32 or float64, as a dtype."""
    try:
        checked = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}") from error
    if checked not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {checked}")
    return checked


def check_range(
    what: str, value: float, low: float, high: float, *, closed: bool = False
) -> float:
    """The value, if it is in [low, high), or in [low, high] where that is closed."""
    number = _as_float(value)
    if not (low <= number < high or (closed and number == high)):
        end = "]" if closed else ")"
        raise ValueError(f"{what} must be in [{low}, {high}{end}, got {value!r}")
    return number


def _as_float(value: Any) -> float:
    """A real number as a float, infinity where none holds it; else NaN."""
    try:
        return float(value) if isinstance(value, numbers.Real) else np.nan
    except OverflowError:
        return np.inf


def check_flag(what: str, value: bool) -> bool:
    """The value, if it is a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{what} must be True or False, got {value!r}")
    return bool(value)


def as_list(value: Any) -> list:
    """A single name or number as a list of one, a sequence as a list."""
    return [value] if _is_single(value) else list(value)


def _is_single(value: Any) -> bool:
    # NumPy's types have an attribute ndim, which is no number.
    return isinstance(value, type) or np.ndim(value) == 0


def one_a_layer(what: str, value: Any, n_hidden: int) -> list:
    """One entry a hidden layer, from one for all or a sequence."""
    if _is_single(value):
        return [value] * n_hidden
    values = list(value)
    if len(values) != n_hidden:
        raise ValueError(
            f"{what} must have one entry for each of {n_hidden} hidden layers, "
            f"got {len(values)}"
        )
    return values


def check_between(what: str, value: float, low: float, high: float) -> float:
    """The value, if it is in (low, high)."""
    number = _as_float(value)
    if not low < number < high:
        raise ValueError(f"{what} must be in ({low:g}, {high:g}), got {value!r}")
    return number


def activation_params(names: Sequence[str], **given: float) -> list[float]:
    """Each activation's number (``_kernels.ACTIVATION_PARAMS``); 0 for one without.

    Parameters
    ----------
    names : sequence of str
        The activations.
    **given : float
        Numbers by their public names.
    """
    params = []
    for name in names:
        public, _, low, high = _kernels.ACTIVATION_PARAMS.get(name, ("", 0.0, 0.0, 0.0))
        params.append(check_range(public, given[public], low, high) if public else 0.0)
    return params


def loss_numbers(
    loss: str, n_outputs: int, dtype: np.dtype, **given: float | Sequence[float]
) -> np.ndarray:
    """What the loss must know of each output (``_kernels.LOSS_PARAMS``); else zeros.

    Parameters
    ----------
    loss : str
        Its name.
    n_outputs : int
        How many outputs there are.
    dtype : dtype
        Of the result.
    **given : float or sequence of float
        Numbers by their public names: one for all outputs, or one an output.
    """
    if loss not in _kernels.LOSS_PARAMS:
        return np.zeros(n_outputs, dtype)
    public, _, low, high = _kernels.LOSS_PARAMS[loss]
    values = as_list(given[public])
    if len(values) not in (1, n_outputs):
        raise ValueError(
            f"{public} must have one entry or {n_outputs}, one per output, "
            f"got {len(values)}"
        )
    checked = [check_between(public, value, low, high) for value in values]
    return np.broadcast_to(np.array(checked, dtype), n_outputs).copy()
