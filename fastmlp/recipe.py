"""What was asked for: everything that a fit goes by, and nothing that it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from fastmlp import _kernels
from fastmlp.full_batch import METHODS
from fastmlp.head import Head
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import OfProgress, ScheduleSettings, value_at
from fastmlp.threads import PRODUCTS_OF_A_STEP, count_team

FULL_BATCH_SOLVERS = tuple(METHODS)
# 'sgd' becomes one of its forms with momentum by the parameters of that name.
FIRST_ORDER_SOLVERS = tuple(
    name for name in _kernels.OPTIMIZERS if name not in ("momentum", "nesterov")
)

# Decoupled decay where none is asked for.
DEFAULT_DECAYS = {"adamw": 0.01}
# Of a network whose dropout is a function, which the optimizer's factor makes of it:
# half, so that the product is exact.
NOMINAL_DROPOUT = 0.5

Scheduled = float | Callable[[int], float]


@dataclass(frozen=True)
class OptimizerSettings:
    """Numbers of a first-order solver; see the estimators' parameters."""

    momentum: Scheduled = 0.9
    nesterovs_momentum: bool = True
    rho: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: Scheduled | None = None
    grad_clip_norm: float | None = None


@dataclass(frozen=True)
class Recipe:
    """What was asked for.

    Parameters
    ----------
    head : Head
        Loss and output activation.
    hidden_layer_sizes, activation, negative_slope, init, bias_init, zero_last_layer
        The network; see :class:`fastmlp.Network`.
    alpha, l1_ratio, dropout, batch_norm, rate_factors, decay_factors
        The network; see :class:`fastmlp.Network`.
    solver : str
        A name of ``FIRST_ORDER_SOLVERS`` or ``FULL_BATCH_SOLVERS``.
    optimizer : OptimizerSettings
        Numbers of a first-order solver.
    schedule : ScheduleSettings
        How its learning rate goes.
    n_epochs : int
        Epochs, or iterations of a full-batch solver, at most.
    batch_size : int, 'auto' or 'full'
        Rows of a step.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    tol, n_iter_no_change, early_stopping, stop_on_overfit, param_tol, max_seconds
        When training ends.
    keep_best, best_epoch
        Which epoch's parameters it ends with; see the estimators' parameters.
    settled_rate : float
        An epoch at whose end the learning rate has not come down to this is the best
        only until there is one at whose end it has.
    max_fun : int
        Evaluations of J that a full-batch solver may take.
    n_threads : int or None
        Threads; None: as many as pay.
    """

    head: Head
    hidden_layer_sizes: tuple[int, ...] = ()
    activation: str | Sequence[str] = "relu"
    negative_slope: float = 0.01
    alpha: float = 0.0
    l1_ratio: float = 0.0
    dropout: float | Sequence[float] | Callable[[int], float] = 0.0
    batch_norm: bool = False
    rate_factors: Sequence[float] | None = None
    decay_factors: Sequence[float] | None = None
    init: str | float = "glorot_uniform"
    bias_init: str | float | None = None
    zero_last_layer: bool = False
    solver: str = "adam"
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    n_epochs: int = 200
    batch_size: int | str = "auto"
    shuffle: bool = True
    tol: float = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    keep_best: bool | str = False
    best_epoch: str = "first"
    settled_rate: float = math.inf
    stop_on_overfit: bool = False
    param_tol: float | None = None
    max_seconds: float | None = None
    max_fun: int = 15000
    n_threads: int | None = None

    def __post_init__(self) -> None:
        known = (*FIRST_ORDER_SOLVERS, *FULL_BATCH_SOLVERS)
        if self.solver not in known:
            raise ValueError(f"solver must be one of {known}, got {self.solver!r}")

    @property
    def is_full_batch(self) -> bool:
        """Whether the solver takes all rows at once."""
        return self.solver in FULL_BATCH_SOLVERS

    @property
    def holds_out(self) -> bool:
        """Whether rows are held out where none are given to validate by."""
        return self.early_stopping or bool(self.keep_best)

    @property
    def keeps_best_by(self) -> str | None:
        """What is best at the epoch that is kept, 'score' or 'loss'; None: the last."""
        if isinstance(self.keep_best, str):
            return self.keep_best
        return "score" if self.holds_out else None

    # -- the network

    @property
    def network_settings(self) -> dict[str, Any]:
        """What Network takes, but sizes, init, type and random stream."""
        return {
            "activation": self.activation,
            "negative_slope": self.negative_slope,
            "alpha": self.alpha,
            "l1_ratio": self.l1_ratio,
            "dropout": NOMINAL_DROPOUT if callable(self.dropout) else self.dropout,
            "batch_norm": self.batch_norm,
            "rate_factors": self.rate_factors,
            "decay_factors": self.decay_factors,
            **vars(self.head),
        }

    def make_network(
        self, architecture: list, dtype: np.dtype, random_state: Any
    ) -> Network:
        """A network with initial parameters."""
        return Network(
            architecture,
            init=self.init,
            bias_init=self.bias_init,
            zero_last_layer=self.zero_last_layer,
            dtype=dtype,
            random_state=random_state,
            **self.network_settings,
        )

    # -- the optimizer, and what may change from epoch to epoch

    @property
    def optimizer_name(self) -> str:
        """The solver, or of 'sgd' its form with momentum."""
        momentum = self.optimizer.momentum
        if self.solver != "sgd" or momentum == 0:
            return self.solver
        return "nesterov" if self.optimizer.nesterovs_momentum else "momentum"

    def make_optimizer(
        self, network: Network, seed: int, earlier: Optimizer | None = None
    ) -> Optimizer:
        """An optimizer, with the slots and steps of an earlier one of the same name."""
        return Optimizer(
            self.optimizer_name,
            network.params.size,
            network.dtype,
            momentum=self.momentum_at(0),
            rho=self.optimizer.rho,
            beta_1=self.optimizer.beta_1,
            beta_2=self.optimizer.beta_2,
            epsilon=self.optimizer.epsilon,
            weight_decay=self.weight_decay_at(0),
            clip_norm=self.optimizer.grad_clip_norm,
            seed=seed,
            earlier=earlier,
        )

    @cached_property
    def functions(self) -> dict[str, Callable[[float], float]]:
        """Numbers of the optimizer but η that are functions: their values at a place.

        A place is the epoch of the schedule, and the share of it that is over.
        """
        given = {
            "momentum": (self.optimizer.momentum, self.momentum_at),
            "weight_decay": (self.optimizer.weight_decay, self.weight_decay_at),
            "dropout_factor": (self.dropout, self.dropout_factor_at),
        }
        if self.solver != "sgd":
            del given["momentum"]
        return {name: at for name, (setting, at) in given.items() if callable(setting)}

    @property
    def varies_within_epochs(self) -> bool:
        """Whether a number is a function of the fit's progress."""
        given = (
            *(self.schedule.learning_rate, self.dropout),
            *(self.optimizer.momentum, self.optimizer.weight_decay),
        )
        return any(isinstance(setting, OfProgress) for setting in given)

    def momentum_at(self, epoch: float) -> float:
        """μ at a place of the schedule."""
        return self._value(self.optimizer.momentum, epoch, "momentum", 1.0)

    def weight_decay_at(self, epoch: float) -> float:
        """λ at a place of the schedule."""
        decay = self.optimizer.weight_decay
        if decay is None:
            return DEFAULT_DECAYS.get(self.solver, 0.0)
        return self._value(decay, epoch, "weight_decay", math.inf)

    def dropout_factor_at(self, epoch: float) -> float:
        """What makes the dropout at a place of the schedule of the network's own."""
        dropout: Any = self.dropout
        return self._value(dropout, epoch, "dropout", 1.0) / NOMINAL_DROPOUT

    def _value(self, setting: Scheduled, epoch: float, name: str, high: float) -> float:
        return value_at(setting, epoch, self.schedule.max_iter, name, 0.0, high)

    # -- steps and threads

    def batch_rows(self, n_rows: int) -> int:
        """Rows of one step, of so many in all."""
        if self.batch_size == "full":
            return n_rows
        return min(200 if self.batch_size == "auto" else int(self.batch_size), n_rows)

    def count_threads(self, network: Network, n_rows: int, n_steps: int) -> int:
        """Threads for so many steps of so many rows each."""
        if self.n_threads is None:
            return count_team(network.plan, n_rows, PRODUCTS_OF_A_STEP * n_steps)
        return self.n_threads if _kernels.THREADS else 1


Settings = TypeVar("Settings")


def pick(kind: type[Settings], source: Any, **others: Any) -> Settings:
    """Settings of that kind from the attributes of the same names.

    Parameters
    ----------
    kind : type
        A dataclass of settings.
    source : object
        Has an attribute for each of its fields, or it is among the others.
    **others : object
        Values of fields that are not read from the source.
    """
    names, read = _reader_of(kind, tuple(others))  # type: ignore[arg-type]
    return kind(**dict(zip(names, read(source), strict=True)), **others)


@cache
def _reader_of(kind: Any, others: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Names of the fields but the others, and what reads them from an object."""
    names = tuple(row.name for row in fields(kind) if row.name not in others)
    return names, attrgetter(*names)
