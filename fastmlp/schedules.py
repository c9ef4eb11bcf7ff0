"""Learning-rate schedules: η as training goes on. Each works with every optimizer."""

from __future__ import annotations

from typing import Protocol


class Schedule(Protocol):
    """What the training loop asks of a schedule."""

    last_words: str

    def after_epoch(self, learning_rate: float, n_samples_seen: int) -> float:
        """η of the next epoch."""

    def after_plateau(self, learning_rate: float) -> float | None:
        """η to go on with when training has stalled, or None to stop."""


class Constant:
    """η stays as it is; a plateau ends training."""

    last_words = "Stopping."

    def after_epoch(self, learning_rate: float, n_samples_seen: int) -> float:
        """The same."""
        return learning_rate

    def after_plateau(self, learning_rate: float) -> float | None:
        """Stop."""
        return None


class InverseScaling(Constant):
    """η = η₀ / (t + 1)ᵖ, t the samples seen.

    Parameters
    ----------
    initial : float
        η₀.
    power : float
        p.
    """

    def __init__(self, initial: float, power: float) -> None:
        self.initial = initial
        self.power = power

    def after_epoch(self, learning_rate: float, n_samples_seen: int) -> float:
        """The formula."""
        return self.initial / (n_samples_seen + 1) ** self.power


class Adaptive(Constant):
    """η is divided by 5 at each plateau, until it is at most 1e-6."""

    last_words = "Learning rate too small. Stopping."

    def after_plateau(self, learning_rate: float) -> float | None:
        """A fifth, or stop."""
        return None if learning_rate <= 1e-6 else learning_rate / 5.0


def make_schedule(name: str, initial: float, power: float) -> Schedule:
    """The schedule of that name: 'constant', 'invscaling' or 'adaptive'."""
    if name == "invscaling":
        return InverseScaling(initial, power)
    return Adaptive() if name == "adaptive" else Constant()
