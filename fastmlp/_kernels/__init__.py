"""The engine of the best instruction set that was built and that this CPU runs.

``isa`` names it. The environment variable ``FASTMLP_ISA`` (``amx``, ``v4``, ``v3``,
``neon`` or ``plain``) forces one; it is read once, at import.
"""

import importlib
import importlib.util
import os
import sys
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
# The calls know the engine by this name.
sys.modules["fastmlp._kernels.engine"] = engine
calls = importlib.import_module("fastmlp._kernels.calls")

KINDS: dict[str, int] = calls.KINDS
ACTIVATIONS: dict[str, int] = calls.ACTIVATIONS
HIDDEN_ACTIVATIONS: tuple[str, ...] = calls.HIDDEN_ACTIVATIONS
LOSSES: dict[str, int] = calls.LOSSES
SLOPES_OF_Z: tuple[str, ...] = calls.SLOPES_OF_Z
HEADS: dict[str, tuple[str, ...]] = calls.HEADS
OPTIMIZERS: dict[str, int] = calls.OPTIMIZERS
SLOTS: dict[str, int] = calls.SLOTS
ACTIVATION_PARAMS: dict[str, tuple[str, float, float, float]] = calls.ACTIVATION_PARAMS
LOSS_PARAMS: dict[str, tuple[str, float, float, float]] = calls.LOSS_PARAMS
LEAST_TARGETS: dict[str, tuple[float, bool]] = calls.LEAST_TARGETS
GROUP: np.dtype = calls.GROUP
TENSOR: np.dtype = calls.TENSOR
LAYER: np.dtype = calls.LAYER
RULE: np.dtype = calls.RULE
SCHEDULED: np.dtype = calls.SCHEDULED
OBJECTIVE: np.dtype = calls.OBJECTIVE
THREADS: bool = calls.THREADS
Plan: type = calls.Plan
Team: type = calls.Team
count_block_columns: Callable[[Any], int] = calls.count_block_columns
count_extras: Callable[[Any], int] = calls.count_extras
count_partials: Callable[[Any, int], int] = calls.count_partials

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


globals().update({name: getattr(calls, name) for name in FUNCTIONS})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]: ...
