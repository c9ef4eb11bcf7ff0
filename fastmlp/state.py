"""The state of training: everything that a fit changes, in one object."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp._version import __version__
from fastmlp.memory import aligned_copy
from fastmlp.network import Network, copy_into
from fastmlp.optimizers import Optimizer
from fastmlp.random_streams import copy_stream, stream_from
from fastmlp.rows import RowOrder, Split, order_from
from fastmlp.schedules import LearningRate
from fastmlp.stopping import Logs, Overfitting, Plateau, StopReason

if TYPE_CHECKING:
    from fastmlp.recipe import Recipe

VERSION = 1


class Snapshot(NamedTuple):
    """Parameters and running statistics of one moment, how good they are, and whether
    the learning rate was low then.
    """

    params: np.ndarray
    stats: np.ndarray
    value: float
    has_settled: bool


@dataclass
class TrainingState:
    """Where training is: what a model is made of, and what a later fit goes on from.

    Nothing else holds state. A fit works on a copy of the earlier state and changes it
    in place; pickles, checkpoints and model files are made of :meth:`to_arrays`.

    Parameters
    ----------
    network : Network
        Architecture, parameters and running statistics.
    random_state : RandomState
        Draws splits, shuffles and the dropout masks' seed.
    optimizer : Optimizer or None
        Slots and steps; None before the first step of a first-order solver.
    learning_rate : LearningRate or None
        η and the schedule's place.
    dropout_seed : int
        Of the masks; 0 before it has been drawn.
    plateau : Plateau
        The best value so far, and epochs without a better one.
    n_samples_seen : int
        Rows trained on, over all fits that went on from each other.
    split : Split or None
        The rows that are held out of those that fit was given, if any are.
    order : RowOrder or None
        The order of the rows that are trained on.
    history : dict of str to list of float
        Figures of this fit's epochs, or iterations.
    overfitting : Overfitting
        Where over-fitting began in this fit.
    best : Snapshot or None
        Of the best epoch of this fit, where that is kept.
    stop_reason : StopReason or None
        Why this fit has ended.
    message : str
        The reason in words, of a full-batch solver.
    loss : float
        J at the end of this fit.
    """

    network: Network
    random_state: np.random.RandomState
    optimizer: Optimizer | None = None
    learning_rate: LearningRate | None = None
    dropout_seed: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    n_samples_seen: int = 0
    split: Split | None = None
    order: RowOrder | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    overfitting: Overfitting = field(default_factory=Overfitting)
    best: Snapshot | None = None
    stop_reason: StopReason | None = None
    message: str = ""
    loss: float = math.nan

    @property
    def n_epochs(self) -> int:
        """Epochs, or iterations, of this fit that are over."""
        return len(self.history.get("loss", ()))

    @property
    def first_order(self) -> tuple[Optimizer, LearningRate, RowOrder]:
        """Optimizer, learning rate and order: what a first-order solver needs.

        Raises
        ------
        RuntimeError
            Before :meth:`begin`, and where there are no rows yet.
        """
        parts = self.optimizer, self.learning_rate, self.order
        if parts[0] is None or parts[1] is None or parts[2] is None:
            raise RuntimeError(
                "the training state has no optimizer, learning rate or rows yet"
            )
        return parts  # type: ignore[return-value]

    # -- a fit

    def copy(self) -> TrainingState:
        """An independent state."""
        twin = copy.copy(self)
        twin.network = self.network.copy()
        twin.random_state = copy_stream(self.random_state)
        twin.optimizer = self.optimizer and self.optimizer.copy()
        twin.learning_rate = copy.copy(self.learning_rate)
        twin.plateau = copy.copy(self.plateau)
        twin.overfitting = copy.copy(self.overfitting)
        twin.order = self.order and self.order.copy()
        twin.history = {name: list(column) for name, column in self.history.items()}
        return twin

    def go_on(
        self, network: Network, random_state: np.random.RandomState | None
    ) -> TrainingState:
        """The state that a later fit begins with; the optimizer is still this one's.

        Parameters
        ----------
        network : Network
            With these parameters; the fit's own.
        random_state : RandomState or None
            The user's stream, by which the rows begin in their own order. None: this
            state's goes on.
        """
        order = self.order
        if order is not None:
            order = order.copy() if random_state is None else order.begin_anew()
        return TrainingState(
            network,
            copy_stream(self.random_state) if random_state is None else random_state,
            self.optimizer,
            self.learning_rate,
            self.dropout_seed,
            copy.copy(self.plateau),
            self.n_samples_seen,
            self.split,
            order,
        )

    def begin(self, recipe: Recipe, incremental: bool) -> None:
        """Make optimizer and learning rate ready for a fit by a first-order solver."""
        if any(self.network.dropout) and self.dropout_seed == 0:
            self.dropout_seed = int(self.random_state.randint(1, 2**31 - 1))
            if self.order is not None:
                self.order.in_succession = False
        name, settings = recipe.optimizer_name, recipe.schedule
        rate = self.learning_rate
        if rate is None:
            rate = LearningRate.new(settings, name)
        elif self.optimizer is None:
            rate = replace(rate, value=settings.learning_rate_init)
        self.learning_rate = rate.begin_fit(settings, name, anew=not incremental)
        self.optimizer = recipe.make_optimizer(
            self.network, self.dropout_seed, self.optimizer
        )

    def resume(self, recipe: Recipe) -> None:
        """Make a state that was stored at an epoch's end ready for the next epoch."""
        if self.learning_rate is not None:
            self.learning_rate = self.learning_rate.resume(recipe.schedule)

    def forget_optimizer(self, recipe: Recipe) -> None:
        """Begin anew in the next fit: this one has diverged."""
        _, rate, _ = self.first_order
        rate.value = recipe.schedule.learning_rate_init
        self.optimizer = recipe.make_optimizer(self.network, self.dropout_seed)

    def settle(self, incremental: bool) -> None:
        """The fit is over: keep what a later one needs.

        The next rows of ``partial_fit`` are often as many: their order is at hand then.
        """
        if self.order is not None and not incremental:
            self.order.forget_rows()

    def keep(self, value: float, has_settled: bool = True) -> None:
        """Remember the parameters as the best, and how good they are."""
        params, stats = aligned_copy(self.network.params), self.network.stats.copy()
        self.best = Snapshot(params, stats, value, has_settled)

    def keep_if_best(self, value: float, or_as_good: bool, has_settled: bool) -> None:
        """Remember the parameters if they are better than the best, or as good.

        Parameters
        ----------
        value : float
            How good they are; NaN is never better.
        or_as_good : bool
            Whether the later of two that are alike is the best.
        has_settled : bool
            Whether the learning rate is low: such parameters are better than all
            others.
        """
        rank, best = (has_settled, value), (False, -math.inf)
        if self.best is not None:
            best = self.best.has_settled, self.best.value
        if not math.isnan(value) and (rank > best or (or_as_good and rank == best)):
            self.keep(value, has_settled)

    def record(self, logs: Logs) -> None:
        """Append an epoch's figures to the history: the loss last, which counts it."""
        self.loss = logs["loss"]
        for name, figure in logs.items():
            if name != "loss":
                self.history[name].append(figure)
        self.history["loss"].append(self.loss)

    def forget_unfinished_epoch(self) -> None:
        """Take back what an interrupt has kept from being recorded whole."""
        for column in self.history.values():
            del column[self.n_epochs :]
        if self.order is not None:
            self.loss = self.history["loss"][-1]

    def take_best(self) -> None:
        """Give the network the parameters of the best epoch, if any are kept.

        Where no epoch, of this fit or before, has had a value to choose by, those of
        the last epoch stay, unless they have diverged.
        """
        if self.best is None:
            return
        unscored = self.best.value == -math.inf
        last = np.append(self.network.params, self.history.get("loss", [])[-1:])
        if not (unscored and np.isfinite(last).all()):
            self.network.params[:], self.network.stats[:] = self.best[:2]
        self.best = None

    # -- arrays

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything, as arrays by name; 'meta' is JSON text, in UTF-8, of the rest.

        Codes and tables are left out: they are built anew where they are read.
        """
        network, optimizer, best = self.network, self.optimizer, self.best
        history = {name: np.array(column) for name, column in self.history.items()}
        facts = {
            "version": VERSION,
            "network": network.__getstate__(),
            "random_state": self.random_state.get_state(legacy=False),
            "optimizer": optimizer
            and {
                "name": optimizer.name,
                "numbers": optimizer.numbers,
                "slots": list(optimizer.slots),
                "n_steps": optimizer.n_steps,
            },
            "learning_rate": self.learning_rate and self.learning_rate.to_dict(),
            "dropout_seed": self.dropout_seed,
            "plateau": vars(self.plateau),
            "n_samples_seen": self.n_samples_seen,
            "split": self.split and vars(self.split),
            "order": self.order and self.order.to_dict(),
            "history": history,
            "overfitting": vars(self.overfitting),
            "best": best and best._asdict(),
            "stop_reason": self.stop_reason,
            "message": self.message,
            "loss": self.loss,
        }
        arrays: dict[str, np.ndarray] = {}
        text = json.dumps(_pack(facts, arrays, ""))
        arrays["meta"] = np.frombuffer(text.encode(), np.uint8)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> TrainingState:
        """The state that :meth:`to_arrays` has stored.

        Raises
        ------
        ValueError
            If it is of another version, or its parts do not fit together.
        """
        facts = _unpack(json.loads(arrays["meta"].tobytes().decode()), arrays)
        if facts["version"] != VERSION:
            raise ValueError(
                f"this is a training state of version {facts['version']}, which "
                f"fastmlp {__version__} does not know: it reads version {VERSION}"
            )
        network = object.__new__(Network)
        network.__setstate__(facts["network"])
        rate, split, order = (facts[k] for k in ("learning_rate", "split", "order"))
        reason, best = facts["stop_reason"], facts["best"]
        plateau = facts["plateau"]
        return cls(
            network,
            stream_from(facts["random_state"]),
            _read_optimizer(facts["optimizer"], network),
            rate and LearningRate(**rate),
            facts["dropout_seed"],
            Plateau(**{**plateau, "watched": tuple(plateau["watched"])}),
            facts["n_samples_seen"],
            split and Split(**split),
            order and order_from(order),
            {name: column.tolist() for name, column in facts["history"].items()},
            Overfitting(**facts["overfitting"]),
            best and Snapshot(**best),
            reason and StopReason(reason),
            facts["message"],
            facts["loss"],
        )


def _read_optimizer(facts: Any, network: Network) -> Optimizer | None:
    if facts is None:
        return None
    optimizer = Optimizer(
        facts["name"], network.params.size, network.dtype, **facts["numbers"]
    )
    optimizer.n_steps = facts["n_steps"]
    for slot, values in zip(optimizer.slots, facts["slots"], strict=True):
        copy_into(slot, values, "a slot of the optimizer")
    return optimizer


def _pack(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """A value for JSON: an array goes among the arrays, its name in its place."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {
            k: _pack(v, arrays, f"{path}.{k}".lstrip(".")) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_pack(v, arrays, f"{path}.{i}") for i, v in enumerate(value)]
    return value


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict) and value.keys() == {"array"}:
        return arrays[value["array"]]
    if isinstance(value, dict):
        return {key: _unpack(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    return value
