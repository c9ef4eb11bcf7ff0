"""First-order optimizers: their numbers and their state. The steps are native."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import _kernels
from fastmlp._kernels import RULE, SCHEDULED
from fastmlp.memory import aligned_copy, aligned_empty
from fastmlp.workspace import build_arena

if TYPE_CHECKING:
    from fastmlp.network import Network

# The part of the way that a whole batch moves running moments.
MOMENTUM = 0.1

# What the two decays of a rule are called in public, by optimizer.
DECAYS: dict[str, tuple[str | None, str | None]] = {
    "sgd": (None, None),
    "momentum": ("momentum", None),
    "nesterov": ("momentum", None),
    "adagrad": (None, None),
    "rmsprop": (None, "rho"),
    "adam": ("beta_1", "beta_2"),
    "adamw": ("beta_1", "beta_2"),
    "nadam": ("beta_1", "beta_2"),
    "lion": ("beta_1", "beta_2"),
}


@dataclass
class BatchGradient:
    """The gradient of a batch, or of a part of one, as ``Network.accumulate`` makes it.

    Parameters
    ----------
    grad : ndarray of shape (n_params,)
        Of (1/total_weight) Σ wᵢ ℓᵢ, without the penalty.
    moments : ndarray
        Moments of normalised layers, laid out like ``network.stats``: of parts, their
        mean weighted by rows.
    total_weight : float
        What the batch weighs.
    loss : float
        (1/total_weight) Σ wᵢ ℓᵢ.
    n_rows : int
        Rows that are in it.
    """

    grad: np.ndarray
    moments: np.ndarray
    total_weight: float
    loss: float = 0.0
    n_rows: int = 0

    def scale(self, factor: float) -> None:
        """Multiply gradient and loss."""
        if factor != 1:
            self.grad *= factor
            self.loss *= factor

    def add(self, other: BatchGradient) -> BatchGradient:
        """Add that of more rows of the same batch, in place."""
        if other.total_weight != self.total_weight:
            raise ValueError(
                "gradients of one batch must have the same total_weight, got "
                f"{self.total_weight} and {other.total_weight}"
            )
        self.n_rows += other.n_rows
        self.grad += other.grad
        self.loss += other.loss
        self.moments += (other.moments - self.moments) * (other.n_rows / self.n_rows)
        return self


class Optimizer:
    """One optimizer's numbers and state for a vector of parameters.

    Parameters
    ----------
    name : str
        A name of ``_kernels.OPTIMIZERS``: 'sgd', 'momentum', 'nesterov', 'adagrad',
        'rmsprop', 'adam', 'adamw', 'nadam' or 'lion'. The formulas stand in
        ``fastmlp/_kernels/optimizers.pxd``.
    n_params : int
        Length of the parameter vector.
    dtype : dtype
        float32 or float64, the network's.
    learning_rate : float, default=0.001
        η.
    momentum : float, default=0.9
        μ of momentum and nesterov.
    rho : float, default=0.9
        Decay γ of rmsprop's mean square.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decays of the moments of adam, adamw and nadam; of lion's momentum in its
        step, and afterwards (0.9 and 0.99 in its paper).
    epsilon : float, default=1e-8
        ε, inside the root for adagrad and rmsprop, outside for adam, adamw and nadam.
    weight_decay : float, default=0.0
        λ: weights are multiplied by 1 − ηλ before each step (decoupled decay).
    clip_norm : float or None, default=None
        A larger gradient is scaled down to this Euclidean norm; None: never.
    seed : int, default=0
        Of the dropout masks.
    earlier : Optimizer, default=None
        Whose state this one begins with: its slots, which are copied, and its steps.
        One of another name has nothing to hand over.

    Attributes
    ----------
    rule : ndarray of shape (1,)
        The record that the kernels read; ``t`` counts the steps taken.
    slots : ndarray of shape (n_slots, n_params)
        State vectors, laid out like the parameters.
    """

    def __init__(
        self,
        name: str,
        n_params: int,
        dtype: np.dtype | type | str,
        *,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        rho: float = 0.9,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        seed: int = 0,
        earlier: Optimizer | None = None,
    ) -> None:
        if name not in _kernels.OPTIMIZERS:
            raise ValueError(
                f"optimizer must be one of {sorted(_kernels.OPTIMIZERS)}, got {name!r}"
            )
        decays = {"momentum": momentum, "rho": rho, "beta_1": beta_1, "beta_2": beta_2}
        first, second = DECAYS[name]
        self.name = name
        self.rule = np.zeros(1, dtype=RULE)
        self.rule["optimizer"] = _kernels.OPTIMIZERS[name]
        self.rule["learning_rate"] = learning_rate
        self.rule["decay_1"] = decays.get(first, 0.0) if first else 0.0
        self.rule["decay_2"] = decays.get(second, 0.0) if second else 0.0
        self.rule["epsilon"] = epsilon
        self.rule["weight_decay"] = weight_decay
        self.rule["clip_norm"] = np.inf if clip_norm is None else clip_norm
        self.rule["dropout_factor"] = 1.0
        self.rule["seed"] = seed
        if earlier is not None and earlier.name == name:
            self._go_on_from(earlier)
        else:
            shape = _kernels.SLOTS[name], n_params
            self.slots = aligned_empty(shape, np.dtype(dtype))
            self.slots[...] = 0

    @property
    def n_params(self) -> int:
        """Length of the parameter vector."""
        return self.slots.shape[1]

    @property
    def learning_rate(self) -> float:
        """η of the next step."""
        return float(self.rule["learning_rate"][0])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.rule["learning_rate"] = value

    @property
    def n_steps(self) -> int:
        """Steps taken."""
        return int(self.rule["t"][0])

    @n_steps.setter
    def n_steps(self, n: int) -> None:
        self.rule["t"] = n

    @property
    def numbers(self) -> dict[str, float | int]:
        """The constructor's numbers, as they now are; those not read are left out."""
        rule = self.rule[0]
        kept = ("learning_rate", "epsilon", "weight_decay", "clip_norm", "seed")
        fields = {name: name for name in kept} | self._decay_fields
        return {name: rule[f].item() for name, f in fields.items() if name is not None}

    def change(self, name: str, value: float) -> None:
        """Give one of the numbers another value.

        Parameters
        ----------
        name : {'momentum', 'rho', 'beta_1', 'beta_2', 'weight_decay', 'dropout_factor'}
            A number that this optimizer has; the last multiplies the network's dropout.
        value : float
            What it is from the next step on.
        """
        self.rule[self._decay_fields.get(name, name)] = value

    def schedule(self, n_steps: int, **columns: Sequence[float]) -> np.ndarray:
        """Numbers of so many steps, as the kernels read them.

        Parameters
        ----------
        n_steps : int
            How many.
        **columns : sequence of float
            Those that change, an entry a step: 'learning_rate', or a name that
            :meth:`change` takes. The others are as they now are.

        Returns
        -------
        ndarray of SCHEDULED, n_steps records
        """
        table = np.empty(n_steps, SCHEDULED)
        for name in SCHEDULED.names or ():
            table[name] = self.rule[name]
        for name, values in columns.items():
            table[self._decay_fields.get(name, name)] = values
        return table

    def follow(self, numbers: np.ndarray) -> None:
        """Take on the numbers of a step, an entry of :meth:`schedule`."""
        for name in SCHEDULED.names or ():
            self.rule[name] = numbers[name]

    @property
    def _decay_fields(self) -> dict[str | None, str]:
        """Where the rule holds the decays, by their public names."""
        return dict(zip(DECAYS[self.name], ("decay_1", "decay_2"), strict=True))

    def apply(
        self,
        network: Network,
        gradient: BatchGradient,
        *,
        norm: float | None = None,
        batch_size: int | None = None,
        team: Any = None,
    ) -> float:
        """The second half of a training step: along a gradient that is there.

        ``Network.accumulate`` of a batch and this leave the bits that a step of
        training leaves: the penalty's gradient is added, running moments are moved.

        Parameters
        ----------
        network : Network
            Its parameters and running moments are updated in place.
        gradient : BatchGradient
            What ``network.accumulate`` has made of the batch.
        norm : float, default=None
            What is compared with ``clip_norm`` in place of the gradient's own norm: of
            a gradient that lies on several machines, say.
        batch_size : int, default=None
            Rows of a whole batch: a shorter one moves running moments by as much less.
            None: this one is whole.
        team : Team, default=None
            Threads that share the work (:func:`fastmlp.threads.thread_team`).

        Returns
        -------
        float
            The penalty before the step.
        """
        fullness = min(1.0, gradient.n_rows / (batch_size or gradient.n_rows))
        return _kernels.apply(
            *(network.params, network.stats, gradient.grad, self.slots, self.rule),
            *(build_arena(network.arena_entries, 1, network.dtype), gradient.moments),
            *(MOMENTUM * fullness, network.plan, network.objective),
            *(gradient.total_weight, 1, norm, team),
        )

    def _go_on_from(self, earlier: Optimizer) -> None:
        self.slots = aligned_copy(earlier.slots)
        self.rule["t"] = earlier.rule["t"]

    def copy(self) -> Optimizer:
        """An independent optimizer in the same state."""
        twin = copy.copy(self)
        twin.rule = self.rule.copy()
        twin.slots = aligned_copy(self.slots)
        return twin
