"""The engine of the best instruction set that was built and that this CPU runs.

``isa`` names it. The environment variable ``FASTMLP_ISA`` (``amx``, ``v4``, ``v3``,
``neon`` or ``plain``) forces one; it is read once, at import.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._kernels.cpu import current_processor as current_processor
from fastmlp._kernels.cpu import runnable


def available() -> list[str]:
    """Names of the engines that are built here and run here, the fastest first."""
    return [
        name
        for name in runnable()
        if importlib.util.find_spec(f"fastmlp._kernels.engine_{name}")
    ]


def _choose() -> str:
    names = available()
    if not names:
        raise ImportError(
            "fastmlp was built without an engine that this processor can run. Build "
            "it on this machine, with a C compiler: pip install PATH_OF_THE_SOURCE"
        )
    forced = os.environ.get("FASTMLP_ISA")
    if not forced:
        return names[0]
    if forced not in names:
        raise ImportError(
            f"FASTMLP_ISA={forced!r} is not available; this build and this processor "
            f"offer {', '.join(names)}"
        )
    return forced


isa = _choose()
engine = importlib.import_module(f"fastmlp._kernels.engine_{isa}")

KINDS: dict[str, int] = engine.KINDS
ACTIVATIONS: dict[str, int] = engine.ACTIVATIONS
HIDDEN_ACTIVATIONS: tuple[str, ...] = engine.HIDDEN_ACTIVATIONS
LOSSES: dict[str, int] = engine.LOSSES
SLOPES_OF_Z: tuple[str, ...] = engine.SLOPES_OF_Z
HEADS: dict[str, tuple[str, ...]] = engine.HEADS
OPTIMIZERS: dict[str, int] = engine.OPTIMIZERS
SLOTS: dict[str, int] = engine.SLOTS
ACTIVATION_PARAMS: dict[str, tuple[str, float, float, float]] = engine.ACTIVATION_PARAMS
LOSS_PARAMS: dict[str, tuple[str, float, float, float]] = engine.LOSS_PARAMS
LEAST_TARGETS: dict[str, tuple[float, bool]] = engine.LEAST_TARGETS
GROUP: np.dtype = engine.GROUP
TENSOR: np.dtype = engine.TENSOR
LAYER: np.dtype = engine.LAYER
RULE: np.dtype = engine.RULE
SCHEDULED: np.dtype = engine.SCHEDULED
OBJECTIVE: np.dtype = engine.OBJECTIVE
THREADS: bool = engine.THREADS
Plan: type = engine.Plan
Team: type = engine.Team
count_block_columns: Callable[[Any], int] = engine.count_block_columns
count_extras: Callable[[Any], int] = engine.count_extras
count_partials: Callable[[Any, int], int] = engine.count_partials

FUNCTIONS = (
    "exp",
    "log",
    "log1p",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "reciprocal",
    "cos_of_turns",
    "sin_of_turns",
    "activate",
    "add_bias_and_activate",
    "multiply",
    "multiply_slope",
    "multiply_jacobian",
    "differentiate_slope",
    "evaluate_head",
    "differentiate_head",
    "drop",
    "compute_moments",
    "normalize",
    "scale_and_shift",
    "normalize_deltas",
    "sum_columns",
    "sum_squares",
    "sum_magnitudes",
    "update",
    "predict",
    "input_gradient",
    "jacobian",
    "compute_loss",
    "compute_loss_and_gradient",
    "multiply_hessian",
    "compute_batch_gradient",
    "apply",
    "train",
)


globals().update({name: getattr(engine, name) for name in FUNCTIONS})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]: ...
