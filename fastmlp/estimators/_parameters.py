"""The parameters that both estimators share, and what each may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import (
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)

from fastmlp import _kernels
from fastmlp.full_batch import SOLVERS as FULL_BATCH_SOLVERS
from fastmlp.initialization import INITIALIZERS
from fastmlp.schedules import SCHEDULES

FIRST_ORDER_SOLVERS = ("sgd", "adam", "adamw", "adagrad", "rmsprop")
SOLVERS = (*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS)
POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
SHARE = Interval(Real, 0, 1, closed="left")


class Parameters:
    """Types and constraints; docs in ``_docs.py``, defaults in the constructors."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", POSITIVE_INTEGER],
        "activation": [StrOptions(set(_kernels.HIDDEN_ACTIVATIONS)), "array-like"],
        "solver": [StrOptions(set(SOLVERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto", "full"}), POSITIVE_INTEGER],
        "learning_rate": [StrOptions(set(SCHEDULES)), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [POSITIVE_INTEGER],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [SHARE],
        "beta_1": [SHARE],
        "beta_2": [SHARE],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [POSITIVE_INTEGER, Options(Real, {np.inf})],
        "max_fun": [POSITIVE_INTEGER],
        "rho": [SHARE],
        "output_activation": [
            StrOptions({name for names in _kernels.HEADS.values() for name in names}),
            None,
        ],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "grad_clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "dropout": [SHARE, "array-like"],
        "batch_norm": ["boolean"],
        "init": [
            StrOptions(set(INITIALIZERS)),
            Interval(Real, 0, None, closed="neither"),
        ],
        "decay_rate": [Interval(Real, 0, 1, closed="right")],
        "decay_epochs": [POSITIVE_INTEGER],
        "restart_epochs": [POSITIVE_INTEGER, None],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "param_tol": [Interval(Real, 0, None, closed="left"), None],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "stop_on_overfit": ["boolean"],
        "callbacks": [list, tuple, None],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [POSITIVE_INTEGER, None],
    }

    loss: str
    hidden_layer_sizes: Sequence[int] | int
    activation: str | Sequence[str]
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str | Callable[[int], float]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    rho: float
    output_activation: str | None
    l1_ratio: float
    weight_decay: float | None
    grad_clip_norm: float | None
    dropout: float | Sequence[float]
    batch_norm: bool
    init: str | float
    decay_rate: float
    decay_epochs: int
    restart_epochs: int | None
    warmup_epochs: int
    param_tol: float | None
    scoring: str | Callable | None
    stop_on_overfit: bool
    callbacks: Sequence[object] | None
    dtype: str | type | np.dtype | None
    n_threads: int | None

    @classmethod
    @cache
    def _valid_defaults(cls) -> dict[str, Any]:
        """The defaults of our own constructor; a subclass may have other parameters."""
        ours = next(
            c for c in cls.__mro__ if c.__module__.startswith(f"{__package__}.")
        )
        parameters = signature(ours).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    def _validate_params(self) -> None:
        """Check those that are not their defaults; all take as long as a short fit.

        A subclass may take them under other names, or as keywords: what counts is what
        they are set to.
        """
        defaults = self._valid_defaults()
        given = {
            name: value
            for name, value in self.__dict__.items()
            if name in self._parameter_constraints
            and not (name in defaults and value is defaults[name])
        }
        validate_parameter_constraints(
            self._parameter_constraints, given, caller_name=type(self).__name__
        )
