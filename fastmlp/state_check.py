"""What a stored network or state must be, checked before it is built.

Sizes are compared to the arrays that are there, so that nothing is allocated for
numbers that somebody has made up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastmlp.layers import from_facts, geometries
from fastmlp.network import Network
from fastmlp.random_streams import stream_from
from fastmlp.state import TrainingState

Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_of(*kinds: type) -> Check:
    return lambda value: type(value) in kinds


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


# Of a state's JSON. Streams are checked where they are made.
PLATEAU: dict[str, Check] = {
    "best": _is_number,
    "n_stalled": _is_number,
    "watched": lambda v: type(v) is list and bool(v) and type(v[0]) is str,
}
LEARNING_RATE: dict[str, Check] = {
    "value": _is_number,
    "schedule": _is_of(str),
    "initial": _is_number,
    "optimizer": _is_of(str),
    "n_epochs": _is_count,
    "n_samples": _is_count,
    "is_over": _is_of(bool),
}
OVERFITTING: dict[str, Check] = {
    "epoch": _or_none(_is_count),
    "best_score": _is_number,
    "best_epoch": _is_count,
    "loss_at_best": _is_number,
}
SPLIT: dict[str, Check] = {
    "n_rows": _is_count,
    "fraction": lambda v: _is_number(v) and 0 <= v < 1,
    "stream": _is_of(dict),
    "moved": lambda v: type(v) is list and all(map(_is_count, v)),
}
ORDER: dict[str, Check] = {
    "n_rows": _is_count,
    "shuffles": lambda v: type(v) is list and all(map(_is_shuffle, v)),
    "in_succession": _is_of(bool),
}
SEEDED_ORDER: dict[str, Check] = {
    **ORDER,
    "seed": lambda v: v is None or (_is_count(v) and v < 2**31),
}
OPTIMIZER: dict[str, Check] = {
    "name": _is_of(str),
    "numbers": lambda v: (
        type(v) is dict
        and all(map(_is_number, v.values()))
        and _is_count(v.get("seed", 0))
    ),
    "slots": _is_of(list),
    "n_steps": _is_count,
}


def _is_shuffle(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 2
        and type(value[0]) is dict
        and _is_count(value[1])
    )


def _table(checks: dict[str, Check]) -> Check:
    return lambda value: (
        type(value) is dict
        and value.keys() == checks.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


STATE: dict[str, Check] = {
    "version": _is_count,
    "network": _is_of(dict),
    "random_state": _is_of(dict),
    "optimizer": _or_none(_table(OPTIMIZER)),
    "learning_rate": _or_none(_table(LEARNING_RATE)),
    "dropout_seed": lambda v: _is_count(v) and v < 2**31,
    "plateau": _table(PLATEAU),
    "n_samples_seen": _is_count,
    "split": _or_none(_table(SPLIT)),
    "order": lambda v: v is None or _table(ORDER)(v) or _table(SEEDED_ORDER)(v),
    "history": lambda v: type(v) is dict and all(map(_is_reference, v.values())),
    "overfitting": _table(OVERFITTING),
    "best": _or_none(
        _table(
            {
                "params": _is_of(dict),
                "stats": _is_of(dict),
                "value": _is_number,
                "has_settled": _is_of(bool),
            }
        )
    ),
    "stop_reason": _or_none(_is_of(str)),
    "message": _is_of(str),
    "loss": _is_number,
}


def _is_reference(value: Any) -> bool:
    return type(value) is dict and value.keys() == {"array"}


def checked_state(arrays: dict[str, np.ndarray]) -> TrainingState:
    """The state that ``to_arrays`` has stored, every part of it looked at first.

    Raises
    ------
    ValueError
        If a part is missing, of another type or size, or not finite where it has to be.
    """
    meta = arrays.get("meta")
    if meta is None or meta.dtype != np.uint8:
        raise ValueError("the training state is missing")
    facts = json.loads(meta.tobytes().decode())
    if not isinstance(facts, dict):
        raise ValueError("the training state is not a table")
    for name, check in STATE.items():
        if name not in facts or not check(facts[name]):
            raise ValueError(f"{name!r} of the training state is missing or invalid")
    network = facts["network"]
    params, stats = _check_network(network, arrays)
    if facts["best"] is not None:
        _check_vector(facts["best"]["params"], arrays, params)
        _check_vector(facts["best"]["stats"], arrays, stats)
    columns = [arrays[ref["array"]] for ref in facts["history"].values()]
    if any(
        c.ndim != 1 or c.dtype != float or len(c) != len(columns[0]) for c in columns
    ):
        raise ValueError("the columns of the history differ in type or length")
    state = TrainingState.from_arrays(arrays)
    _check_streams(state)
    return state


def _check_streams(state: TrainingState) -> None:
    """Make the streams once that are kept as what they were, until they are needed."""
    kept = [state.split.stream] if state.split else []
    kept += [stream for stream, _ in state.order.shuffles] if state.order else []
    for stream in kept:
        stream_from(stream)


def checked_network(facts: Any, arrays: dict[str, np.ndarray]) -> Network:
    """The network that :meth:`fastmlp.Network.save` has stored.

    Raises
    ------
    ValueError
        As :func:`checked_state`.
    """
    references = {name: {"array": name} for name in ("params", "stats")}
    _check_network({**facts, **references}, arrays)
    network = object.__new__(Network)
    network.__setstate__({**facts, **{name: arrays[name] for name in references}})
    return network


def _check_network(
    facts: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and moments, if they are as many as the layers say."""
    layers, settings = geometries(from_facts(facts["layer_sizes"])), facts["settings"]
    dtype = facts["dtype"]
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    trained = [layer for layer in layers if layer.is_trained]
    channels = [layer.out_shape[2] for layer in trained if layer.is_activated]
    n_normalized = sum(channels[:-1]) if settings["batch_norm"] else 0
    n_weights = sum(math.prod(layer.weights_shape) for layer in trained)
    n_params = n_weights + sum(channels) + n_normalized
    params = _vector(facts["params"], arrays, n_params, dtype)
    stats = _vector(facts["stats"], arrays, 2 * n_normalized, dtype)
    for name in ("alpha", "l1_ratio"):
        if not _is_number(settings[name]) or not math.isfinite(settings[name]):
            raise ValueError(f"{name} must be a finite number")
    return params, stats


def _check_vector(
    reference: Any, arrays: dict[str, np.ndarray], like: np.ndarray
) -> None:
    _vector(reference, arrays, like.size, like.dtype.name)


def _vector(
    reference: Any, arrays: dict[str, np.ndarray], size: int, dtype: str
) -> np.ndarray:
    if not _is_reference(reference):
        raise ValueError("an array is missing")
    array = arrays[reference["array"]]
    if array.shape != (size,) or array.dtype != dtype:
        raise ValueError(
            f"{reference['array']!r} must be {size} numbers of {dtype}, got "
            f"{array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{reference['array']!r} holds numbers that are not finite")
    return array
