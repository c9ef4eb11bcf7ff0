"""Checkpoints of an estimator's fit: which fit it is, and how one goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp.checkpoints import (
    Checkpoint,
    CheckpointWriter,
    Origin,
    describe,
    read_checkpoint,
)
from fastmlp.estimators._data import Data, of_type
from fastmlp.estimators._streams import facts_of
from fastmlp.recipe import FIRST_ORDER_SOLVERS, Recipe
from fastmlp.state import TrainingState

# Parameters that the numbers of a fit do not depend on, or that say when it is ended
# from outside.
FREE = ("n_threads", "max_seconds", "verbose", "warm_start", "callbacks")
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


def _checkpoints(estimator: Any) -> list[Checkpoint]:
    return [c for c in estimator.callbacks or () if isinstance(c, Checkpoint)]


def check_checkpoints(
    estimator: Any, recipe: Recipe, incremental: bool, resume_from: Any
) -> None:
    """Refuse checkpoints of fits that cannot go on exactly.

    Raises
    ------
    ValueError
        Of a full-batch solver, whose line search is SciPy's, and of ``partial_fit``.
    """
    if not _checkpoints(estimator) and resume_from is None:
        return
    if recipe.is_full_batch:
        raise ValueError(
            f"solver={recipe.solver!r} does not support checkpoints; choose one of "
            f"{', '.join(FIRST_ORDER_SOLVERS)}"
        )
    if incremental:
        raise ValueError(
            "partial_fit does not support Checkpoint or resume_from; save the "
            "estimator after partial_fit instead"
        )


def checkpoint_writers(
    estimator: Any, goes_on: bool, data: Data, given: Data | None
) -> list[CheckpointWriter]:
    """The listeners that write an estimator's checkpoints."""
    found = _checkpoints(estimator)
    if not found:
        return []
    origin = _origin(estimator, data, given)
    origin.goes_on = goes_on
    if goes_on:
        attributes = vars(estimator)
        origin.curves = {
            name: list(attributes[name]) for name in CURVES if attributes.get(name)
        }
    return [CheckpointWriter(settings, origin) for settings in found]


def resume(
    estimator: Any, path: Any, data: Data, given: Data | None
) -> tuple[TrainingState, bool]:
    """The state to go on with, and whether its fit goes on from an earlier one.

    Parameters
    ----------
    estimator : BaseMLP
        The twin that is fitted; it gets the curves of earlier fits.
    path : str or path-like
        The checkpoint.
    data, given : Data, Data or None
        The rows, and those to judge by.

    Raises
    ------
    ValueError
        If the checkpoint is of another fit, or damaged.
    """
    origin, state = read_checkpoint(path)
    if origin.goes_on:  # the network of the earlier fit has a type of its own
        data, given = of_type(state.network.dtype, data, given)
    origin.check(_origin(estimator, data, given))
    for name in CURVES:
        estimator.__dict__.pop(name, None)
    estimator.__dict__.update(origin.curves)
    return state, origin.goes_on


def _origin(estimator: Any, data: Data, given: Data | None) -> Origin:
    facts: dict[str, Any] = {}
    for suffix, rows in ("", data), ("_val", given):
        if rows is not None:
            facts |= facts_of(f"X{suffix}", rows.X)
            facts |= describe(f"y{suffix}", rows.Y)
            facts |= describe(f"sample_weight{suffix}", rows.sample_weight)
    return Origin(decisive_parameters(estimator, FREE), facts)


def decisive_parameters(estimator: Any, free: Sequence[str]) -> dict[str, Any]:
    """Class and parameters, as they are compared, but those of these names."""
    parameters = {
        name: _plain(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in free
    }
    return {"class": type(estimator).__name__, **parameters}


def _plain(value: Any) -> Any:
    """A parameter as it is compared: numbers as Python's, functions by their names."""
    if isinstance(value, np.random.RandomState):
        return "a RandomState"
    if isinstance(value, type | np.dtype):
        return np.dtype(value).name
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if callable(value):
        return f"a function, {getattr(value, '__qualname__', type(value).__name__)}"
    return value
