"""Heads: a loss with its output activation, its numbers, and what targets it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastmlp import _kernels


@dataclass(frozen=True)
class Head:
    """What the last layer's outputs are, and how they are judged in training.

    Parameters
    ----------
    loss : str
        A name of ``_kernels.HEADS``.
    output_activation : str or None
        One of its output activations; None takes the first.
    huber_delta : float, default=1.0
        κ of 'huber'.
    quantile : float or sequence of float, default=0.5
        Level of 'quantile': one, or one per output.
    tweedie_power : float or sequence of float, default=1.5
        Power of 'tweedie': likewise.
    """

    loss: str
    output_activation: str | None = None
    huber_delta: float = 1.0
    quantile: float | Sequence[float] = 0.5
    tweedie_power: float | Sequence[float] = 1.5

    def check_domain(self, y: np.ndarray) -> None:
        """Refuse targets that the loss is not defined for.

        Raises
        ------
        ValueError
            If a target is outside of the loss's domain.
        """
        least, is_taken = _kernels.LEAST_TARGETS.get(self.loss, (-np.inf, True))
        if (y < least).any() or (not is_taken and (y == least).any()):
            raise ValueError(
                f"Some value(s) of y are out of the valid range of the loss "
                f"{self.loss!r}."
            )
