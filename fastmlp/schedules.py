"""Learning-rate schedules: η of each epoch. Each works with every optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, SupportsFloat


class Schedule(Protocol):
    """What the training loop asks of a schedule.

    A schedule has no state of its own: what it goes by is handed to it, so that it goes
    on in a later call, in a copy and after pickling where it stood.
    """

    @property
    def last_words(self) -> str:
        """Said when a plateau ends training."""

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """η of an epoch, of which it is trained with :meth:`share`.

        Parameters
        ----------
        epoch : int
            The epoch that begins, from 0.
        learning_rate : float
            η in force: that of the epoch before, or what a plateau made of it.
        n_samples_seen : int
            Rows trained on until now, those of epochs with a share below 1 not counted.
        """

    def share(self, epoch: int) -> float:
        """Share of η that the epoch is trained with: below 1 in a warm-up."""

    def is_over(self, epoch: int) -> bool:
        """Whether that epoch is behind the last one that the schedule was made for."""

    def after_plateau(self, learning_rate: float) -> float | None:
        """η to go on with when training has stalled, or None to stop."""

    def after_fit(self, learning_rate: float, n_samples_seen: int) -> float:
        """η that a later fit finds in force."""


class _StopsAtPlateau:
    last_words = "Stopping."

    def share(self, epoch: int) -> float:
        """All of it."""
        return 1.0

    def is_over(self, epoch: int) -> bool:
        """Never."""
        return False

    def after_plateau(self, learning_rate: float) -> float | None:
        """Stop."""
        return None

    def after_fit(self, learning_rate: float, n_samples_seen: int) -> float:
        """That of the last epoch."""
        return learning_rate


class Constant(_StopsAtPlateau):
    """η stays as it is."""

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The same."""
        return learning_rate


class Adaptive(Constant):
    """η is divided by 5 at each plateau, until it is at most 1e-6."""

    last_words = "Learning rate too small. Stopping."

    def after_plateau(self, learning_rate: float) -> float | None:
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

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The formula."""
        return self.initial / (n_samples_seen + 1) ** self.power

    def after_fit(self, learning_rate: float, n_samples_seen: int) -> float:
        """That of the epoch that would follow, as scikit-learn has it."""
        return self.before_epoch(0, learning_rate, n_samples_seen)


@dataclass(frozen=True)
class OfEpoch(_StopsAtPlateau):
    """η = f(e), f any function of the epoch.

    Parameters
    ----------
    function : callable
        Takes the epoch, from 0, and returns a finite number > 0.
    """

    function: Callable[[int], SupportsFloat]

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The function's value.

        Raises
        ------
        ValueError
            If that is not a finite number > 0.
        """
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
    try:
        return float(value) if isinstance(value, SupportsFloat) else math.nan
    except (TypeError, OverflowError):
        return math.nan


@dataclass(frozen=True)
class Exponential(_StopsAtPlateau):
    """η = η₀ · r^(e/k): times r over every k epochs, a little at each.

    Parameters
    ----------
    initial : float
        η₀.
    rate : float
        r, at most 1.
    epochs : int
        k.
    """

    initial: float
    rate: float
    epochs: int

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The formula."""
        return self.initial * self.rate ** (epoch / self.epochs)


@dataclass(frozen=True)
class Step(_StopsAtPlateau):
    """η = η₀ · r^⌊e/k⌋: times r at every k-th epoch.

    Parameters
    ----------
    initial : float
        η₀.
    rate : float
        r, at most 1.
    epochs : int
        k.
    """

    initial: float
    rate: float
    epochs: int

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The formula."""
        return self.initial * self.rate ** (epoch // self.epochs)


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

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The formula."""
        e = epoch % self.period if self.restarts else min(epoch, self.period - 1)
        return _anneal(self.initial, 0.0, e / self.period)

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

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The formula."""
        top, end = 0.3 * self.horizon - 1, self.horizon - 1
        start = self.initial / 25
        e = min(epoch, end)
        if e <= top:
            return _anneal(start, self.initial, e / top)
        return _anneal(self.initial, start / 1e4, (e - top) / (end - top))

    def is_over(self, epoch: int) -> bool:
        """Once η has fallen."""
        return epoch >= self.horizon


def _anneal(start: float, end: float, progress: float) -> float:
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
    def last_words(self) -> str:
        """What the other schedule says."""
        return self.schedule.last_words

    def before_epoch(
        self, epoch: int, learning_rate: float, n_samples_seen: int
    ) -> float:
        """The other schedule's η."""
        return self.schedule.before_epoch(
            max(0, epoch - self.epochs), learning_rate, n_samples_seen
        )

    def share(self, epoch: int) -> float:
        """Rises by the same at each epoch, to 1."""
        return min(1.0, (epoch + 1) / (self.epochs + 1))

    def is_over(self, epoch: int) -> bool:
        """Once the other schedule is."""
        return self.schedule.is_over(max(0, epoch - self.epochs))

    def after_plateau(self, learning_rate: float) -> float | None:
        """What the other schedule says."""
        return self.schedule.after_plateau(learning_rate)

    def after_fit(self, learning_rate: float, n_samples_seen: int) -> float:
        """What the other schedule says."""
        return self.schedule.after_fit(learning_rate, n_samples_seen)


@dataclass(frozen=True)
class _Settings:
    initial: float
    power: float
    decay_rate: float
    decay_epochs: int
    restart_epochs: int | None
    horizon: int


def _make_cosine(s: _Settings) -> Cosine:
    if s.restart_epochs is None:
        return Cosine(s.initial, s.horizon)
    return Cosine(s.initial, s.restart_epochs, restarts=True)


SCHEDULES: dict[str, Callable[[_Settings], Schedule]] = {
    "constant": lambda s: Constant(),
    "invscaling": lambda s: InverseScaling(s.initial, s.power),
    "adaptive": lambda s: Adaptive(),
    "exponential": lambda s: Exponential(s.initial, s.decay_rate, s.decay_epochs),
    "step": lambda s: Step(s.initial, s.decay_rate, s.decay_epochs),
    "cosine": _make_cosine,
    "one_cycle": lambda s: OneCycle(s.initial, s.horizon),
}


def make_schedule(
    name_or_callable: str | Callable[[int], SupportsFloat],
    initial: float,
    *,
    power: float,
    decay_rate: float,
    decay_epochs: int,
    restart_epochs: int | None,
    warmup_epochs: int,
    max_iter: int,
) -> Schedule:
    """The schedule of that name or function, after a warm-up if one is asked for.

    Parameters
    ----------
    name_or_callable : str or callable
        A name of ``SCHEDULES``, or a function of the epoch (:class:`OfEpoch`).
    initial : float
        η₀ of 'invscaling', 'exponential', 'step' and 'cosine', the highest η of
        'one_cycle'. The other schedules begin at the optimizer's η.
    power : float
        p of 'invscaling'.
    decay_rate : float
        r of 'exponential' and 'step'.
    decay_epochs : int
        k of 'exponential' and 'step'.
    restart_epochs : int or None
        Period of 'cosine' with restarts; None has it fall once.
    warmup_epochs : int
        Epochs of the rise before any of them; 0 for none.
    max_iter : int
        Epochs in all. 'one_cycle', and 'cosine' without restarts, end with them.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    schedule: Schedule
    if callable(name_or_callable):
        schedule = OfEpoch(name_or_callable)
    elif name_or_callable in SCHEDULES:
        horizon = max(1, max_iter - warmup_epochs)
        schedule = SCHEDULES[name_or_callable](
            _Settings(initial, power, decay_rate, decay_epochs, restart_epochs, horizon)
        )
    else:
        raise ValueError(
            f"learning_rate must be one of {sorted(SCHEDULES)} or a callable, "
            f"got {name_or_callable!r}"
        )
    return Warmup(schedule, warmup_epochs) if warmup_epochs else schedule
