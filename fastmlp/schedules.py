"""Learning-rate schedules, and η itself, which nothing else owns.

Each schedule works with every optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, SupportsFloat


class Schedule(Protocol):
    """What the training loop asks of a schedule.

    A schedule has no state of its own: what it goes by is handed to it, so that it goes
    on in a later call, in a copy and after pickling where it stood.
    """

    @property
    def stop_message(self) -> str:
        """Said when a plateau ends training."""

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """η of an epoch, of which it is trained with :meth:`factor`.

        Parameters
        ----------
        epoch : float
            The epoch that begins, from 0; within it, the share that is over added.
        learning_rate : float
            η in force: that of the epoch before, or what a plateau made of it.
        n_samples_seen : int
            Rows trained on until now, those of epochs with a share below 1 not counted.
        """

    def factor(self, epoch: int) -> float:
        """Share of η that the epoch is trained with: below 1 in a warm-up."""

    def is_over(self, epoch: int) -> bool:
        """Whether that epoch is behind the last one that the schedule was made for."""

    def lower(self, learning_rate: float) -> float | None:
        """η to go on with when training has stalled, or None to stop."""

    def after(self, learning_rate: float, n_samples_seen: int) -> float:
        """η that a later fit finds in force."""


class _StopsAtPlateau:
    stop_message = "Stopping."

    def factor(self, epoch: int) -> float:
        """All of it."""
        return 1.0

    def is_over(self, epoch: int) -> bool:
        """Never."""
        return False

    def lower(self, learning_rate: float) -> float | None:
        """Stop."""
        return None

    def after(self, learning_rate: float, n_samples_seen: int) -> float:
        """That of the last epoch."""
        return learning_rate


class Constant(_StopsAtPlateau):
    """η stays as it is."""

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The same."""
        return learning_rate


class Adaptive(Constant):
    """η is divided by 5 at each plateau, until it is at most 1e-6."""

    stop_message = "Learning rate too small. Stopping."

    def lower(self, learning_rate: float) -> float | None:
        """A fifth, or stop."""
        return None if learning_rate <= 1e-6 else learning_rate / 5.0


@dataclass(frozen=True)
class InverseScaling(_StopsAtPlateau):
    """η = η₀ / (t + 1)ᵖ, t the samples seen.

    Parameters
    ----------
    initial : float
        η₀.
    power : float
        p.
    """

    initial: float
    power: float

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The formula.

        Raises
        ------
        ValueError
            If the power is beyond what a float holds.
        """
        try:
            return self.initial / (n_samples_seen + 1) ** self.power
        except OverflowError as error:
            raise ValueError(
                f"power_t={self.power!r} is too large: (t + 1)**power_t is beyond all "
                f"floats at t = {n_samples_seen} samples"
            ) from error

    def after(self, learning_rate: float, n_samples_seen: int) -> float:
        """That of the epoch that would follow, as scikit-learn has it."""
        return self.rate(0, learning_rate, n_samples_seen)


@dataclass(frozen=True)
class OfEpoch(_StopsAtPlateau):
    """η = f(e), f any function of the epoch.

    Parameters
    ----------
    function : callable
        Takes the epoch, from 0, and returns a finite number > 0.
    """

    function: Callable[[int], SupportsFloat]

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The function's value.

        Raises
        ------
        ValueError
            If that is not a finite number > 0.
        """
        epoch = int(epoch)
        value = self.function(epoch)
        rate = _as_float(value)
        if not 0 < rate < math.inf:
            raise ValueError(
                "a callable learning_rate must return a finite number > 0, but "
                f"learning_rate({epoch}) returned {value!r}"
            )
        return rate


def _as_float(value: object) -> float:
    """The number, or NaN if it is none."""
    # isinstance(value, SupportsFloat) asks the same, and takes far longer.
    is_number = callable(getattr(value, "__float__", None))
    try:
        return float(value) if is_number else math.nan  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return math.nan


@dataclass(frozen=True)
class Exponential(_StopsAtPlateau):
    """η = η₀ · r^(e/k): times r over every k epochs, a little at each.

    Parameters
    ----------
    initial : float
        η₀.
    decay : float
        r, at most 1.
    epochs : int
        k.
    """

    initial: float
    decay: float
    epochs: int

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The formula."""
        return self.initial * self.decay ** (epoch / self.epochs)


@dataclass(frozen=True)
class Step(_StopsAtPlateau):
    """η = η₀ · r^⌊e/k⌋: times r at every k-th epoch.

    Parameters
    ----------
    initial : float
        η₀.
    decay : float
        r, at most 1.
    epochs : int
        k.
    """

    initial: float
    decay: float
    epochs: int

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The formula."""
        return self.initial * self.decay ** (epoch // self.epochs)


@dataclass(frozen=True)
class Cosine(_StopsAtPlateau):
    """η = η₀ · ½(1 + cos(π e/T)), with e from 0 to T − 1: always above 0.

    Parameters
    ----------
    initial : float
        η₀.
    period : int
        T.
    restarts : bool, default=False
        Whether η is η₀ again at every T-th epoch; without restarts it stays, from
        epoch T on, at its value of epoch T − 1.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    ICLR 2017, eq. 5 with η_min = 0.
    """

    initial: float
    period: int
    restarts: bool = False

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The formula."""
        e = epoch % self.period if self.restarts else min(epoch, self.period - 1)
        return anneal(self.initial, 0.0, e / self.period)

    def is_over(self, epoch: int) -> bool:
        """Once η has fallen, if it does not rise again."""
        return not self.restarts and epoch >= self.period


@dataclass(frozen=True)
class OneCycle(_StopsAtPlateau):
    """η rises from η̂/25 to η̂ and falls to η̂/250000, along half a cosine each way.

    The top is at epoch 0.3·T − 1 and the end at epoch T − 1, where η then stays. This
    is the shape of PyTorch's ``OneCycleLR`` with its defaults and one step an epoch.
    Momentum is left alone.

    Parameters
    ----------
    initial : float
        η̂, the highest rate.
    horizon : int
        T.

    References
    ----------
    L. N. Smith, N. Topin, "Super-convergence: Very fast training of neural networks
    using large learning rates", 2018, arXiv:1708.07120.
    """

    initial: float
    horizon: int

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The formula."""
        top, end = 0.3 * self.horizon - 1, self.horizon - 1
        start = self.initial / 25
        e = min(epoch, end)
        if e <= top:
            return anneal(start, self.initial, e / top)
        return anneal(self.initial, start / 1e4, (e - top) / (end - top))

    def is_over(self, epoch: int) -> bool:
        """Once η has fallen."""
        return epoch >= self.horizon


def anneal(start: float, end: float, progress: float) -> float:
    """From start to end along half a cosine; progress runs from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Warmup:
    """η rises linearly for some epochs, and then another schedule runs.

    Epoch e of k is trained with a share of (e + 1)/(k + 1) of what the other schedule
    gives at its epoch 0. That schedule counts its epochs, and the samples it has seen,
    from the end of the rise, and knows of no shares: a plateau is its affair
    throughout.

    Parameters
    ----------
    schedule : Schedule
        The other schedule.
    epochs : int
        k.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD: Training ImageNet in 1 hour",
    2017, arXiv:1706.02677, section 2.2.
    """

    schedule: Schedule
    epochs: int

    @property
    def stop_message(self) -> str:
        """What the other schedule says."""
        return self.schedule.stop_message

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The other schedule's η."""
        return self.schedule.rate(
            max(0, epoch - self.epochs), learning_rate, n_samples_seen
        )

    def factor(self, epoch: int) -> float:
        """Rises by the same at each epoch, to 1."""
        return min(1.0, (epoch + 1) / (self.epochs + 1))

    def is_over(self, epoch: int) -> bool:
        """Once the other schedule is."""
        return self.schedule.is_over(max(0, epoch - self.epochs))

    def lower(self, learning_rate: float) -> float | None:
        """What the other schedule says."""
        return self.schedule.lower(learning_rate)

    def after(self, learning_rate: float, n_samples_seen: int) -> float:
        """What the other schedule says."""
        return self.schedule.after(learning_rate, n_samples_seen)


@dataclass(frozen=True)
class OfProgress:
    """A value as a function of how much of a fit is over, from 0 to 1, at each step.

    Given as ``learning_rate``, which may be 0, ``momentum``, ``weight_decay`` or
    ``dropout``.

    Parameters
    ----------
    function : callable
        Takes (e + s)/T, the share of the fit's T = max_iter epochs that is over when a
        step begins: after e epochs, and the share s of the rows of the next. It is 1
        from epoch T on. The learning rate's T is that of the epochs behind a warm-up.

    Examples
    --------
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.schedules import OfProgress
    >>> linear = OfProgress(lambda t: 0.01 * (1 - t))
    >>> model = MLPClassifier(learning_rate=linear)
    """

    function: Callable[[float], SupportsFloat]

    def __call__(self, progress: float) -> SupportsFloat:
        """The function's value."""
        return self.function(progress)


@dataclass(frozen=True)
class Progressive(_StopsAtPlateau):
    """η = f((e + s)/T), f any function of the fit's progress; it may be 0.

    Parameters
    ----------
    function : OfProgress
        f.
    horizon : int
        T.
    """

    function: OfProgress
    horizon: int

    def rate(self, epoch: float, learning_rate: float, n_samples_seen: int) -> float:
        """The function's value.

        Raises
        ------
        ValueError
            If that is not a finite number ≥ 0.
        """
        return value_at(
            self.function, epoch, self.horizon, "learning_rate", 0.0, math.inf
        )


def value_at(
    setting: float | Callable[[int], SupportsFloat] | OfProgress,
    epoch: float,
    horizon: int,
    name: str,
    low: float,
    high: float,
) -> float:
    """A setting's value at a place in a fit: a number, or a function's value.

    Parameters
    ----------
    setting : float, callable or OfProgress
        A callable takes the epoch, whole.
    epoch : float
        The epoch, from 0, and the share of it that is over.
    horizon : int
        How many epochs there are.
    name : str
        Of the setting, for errors.
    low, high : float
        What a function's value must be in: [low, high).

    Raises
    ------
    ValueError
        If a function's value is outside.
    """
    if not callable(setting):
        return float(setting)
    is_of_progress = isinstance(setting, OfProgress)
    argument = min(1.0, epoch / horizon) if is_of_progress else int(epoch)
    value = setting(argument)  # type: ignore[arg-type]
    number = _as_float(value)
    if not low <= number < high:
        raise ValueError(
            f"a callable {name} must return a number in [{low}, {high}), but "
            f"{name}({argument}) returned {value!r}"
        )
    return number


@dataclass(frozen=True)
class ScheduleSettings:
    """What was asked for; see the estimators' parameters of these names."""

    learning_rate: str | Callable[[int], SupportsFloat] = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    decay_rate: float = 0.5
    decay_epochs: int = 10
    restart_epochs: int | None = None
    warmup_epochs: int = 0
    max_iter: int = 200

    @property
    def name(self) -> str:
        """Functions have none: one goes on with the epochs of another."""
        return self.learning_rate if isinstance(self.learning_rate, str) else "callable"

    @property
    def horizon(self) -> int:
        """Epochs behind the warm-up."""
        return max(1, self.max_iter - self.warmup_epochs)

    def make(self) -> Schedule:
        """The schedule, behind its warm-up.

        Raises
        ------
        ValueError
            If the name is unknown.
        """
        schedule = self._make()
        return Warmup(schedule, self.warmup_epochs) if self.warmup_epochs else schedule

    def _make(self) -> Schedule:
        if isinstance(self.learning_rate, OfProgress):
            return Progressive(self.learning_rate, self.horizon)
        if callable(self.learning_rate):
            return OfEpoch(self.learning_rate)
        if self.learning_rate in SCHEDULES:
            return SCHEDULES[self.learning_rate](self)
        raise ValueError(
            f"learning_rate must be one of {sorted(SCHEDULES)} or a callable, "
            f"got {self.learning_rate!r}"
        )


def _make_cosine(s: ScheduleSettings) -> Cosine:
    if s.restart_epochs is None:
        return Cosine(s.learning_rate_init, s.horizon)
    return Cosine(s.learning_rate_init, s.restart_epochs, restarts=True)


def _make_decay(kind: type) -> Callable[[ScheduleSettings], Schedule]:
    return lambda s: kind(s.learning_rate_init, s.decay_rate, s.decay_epochs)


SCHEDULES: dict[str, Callable[[ScheduleSettings], Schedule]] = {
    "constant": lambda s: Constant(),
    "invscaling": lambda s: InverseScaling(s.learning_rate_init, s.power_t),
    "adaptive": lambda s: Adaptive(),
    "exponential": _make_decay(Exponential),
    "step": _make_decay(Step),
    "cosine": _make_cosine,
    "one_cycle": lambda s: OneCycle(s.learning_rate_init, s.horizon),
}


@dataclass
class LearningRate:
    """η, and where its schedule is. Everybody else asks here.

    Parameters
    ----------
    value : float
        η in force, the warm-up's factor not applied.
    schedule : str
        Name of the schedule that is followed.
    initial : float
        ``learning_rate_init`` of its settings.
    optimizer : str
        The optimizer that it is for.
    n_epochs : int
        Epochs of the schedule that are over.
    n_samples : int
        Rows that the schedule counts: those of a warm-up it does not.
    is_over : bool
        Whether the schedule's last epoch is over.
    """

    value: float
    schedule: str
    initial: float
    optimizer: str
    n_epochs: int = 0
    n_samples: int = 0
    is_over: bool = False
    _schedule: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def new(cls, settings: ScheduleSettings, optimizer: str) -> LearningRate:
        """η before the first epoch of a schedule."""
        rate = settings.learning_rate_init
        schedule = settings.make()
        return cls(rate, settings.name, rate, optimizer, _schedule=schedule)

    def begin_fit(
        self, settings: ScheduleSettings, optimizer: str, anew: bool
    ) -> LearningRate:
        """The same η in a fit that goes on, of these settings.

        Parameters
        ----------
        settings : ScheduleSettings
            Another schedule begins at its initial η, and so does another optimizer.
        optimizer : str
            The optimizer that it is for.
        anew : bool
            Whether a schedule that is over begins again.
        """
        new = LearningRate.new(settings, optimizer)
        new.n_samples = self.n_samples
        is_other = new.schedule != self.schedule
        if not (is_other or (anew and self.is_over)):
            new.n_epochs = self.n_epochs
        if (new.schedule, optimizer, new.initial) == (
            *(self.schedule, self.optimizer, self.initial),
        ):
            new.value = self.value
        return new

    def resume(self, settings: ScheduleSettings) -> LearningRate:
        """The same η in the same fit, of these settings, that was stored half-way."""
        return replace(self, _schedule=settings.make())

    def to_dict(self) -> dict[str, Any]:
        """What a later fit goes on from."""
        return {name: value for name, value in vars(self).items() if name[0] != "_"}

    @property
    def stop_message(self) -> str:
        """Said when a plateau ends training."""
        return self._schedule.stop_message

    def begin_epoch(self) -> float:
        """η to train the next epoch with."""
        self.value = self._schedule.rate(self.n_epochs, self.value, self.n_samples)
        return self.value * self._schedule.factor(self.n_epochs)

    def at(self, share: float) -> float:
        """η of a step that begins when that share of the epoch is over."""
        epoch = self.n_epochs + share
        rate = self._schedule.rate(epoch, self.value, self.n_samples)
        return rate * self._schedule.factor(self.n_epochs)

    def end_epoch(self, n_rows: int) -> None:
        """An epoch of so many rows is over."""
        if self._schedule.factor(self.n_epochs) == 1:
            self.n_samples += n_rows
        self.n_epochs += 1
        self.is_over = self._schedule.is_over(self.n_epochs)

    def lower(self) -> bool:
        """Training has stalled: go on with a lower η; False if there is none."""
        lower = self._schedule.lower(self.value)
        if lower is None:
            return False
        self.value = lower
        return True

    def settle(self) -> None:
        """Take the η that a later fit is to find."""
        self.value = self._schedule.after(self.value, self.n_samples)
