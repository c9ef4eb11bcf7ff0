"""Rows that training is judged by, and does not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fastmlp.stopping import Logs


class Evaluates(Protocol):
    """What judging asks of an evaluator (:class:`fastmlp.evaluation.Evaluator`).

    Attributes
    ----------
    team : Team or None
        Who shares the next evaluation.
    """

    team: Any

    def data_loss_and_outputs(self) -> tuple[float, np.ndarray]:
        """Mean loss of the rows without penalty, and the network's outputs."""


@dataclass
class HeldOut:
    """Rows held out of training.

    Parameters
    ----------
    evaluator : Evaluates
        Of these rows, by the network that is trained.
    score : callable
        ``score(outputs) -> float`` of the network's outputs for these rows; larger is
        better.
    """

    evaluator: Evaluates
    score: Callable[[np.ndarray], float]

    def judge(self, team: Any) -> Logs:
        """Score, and mean loss of the rows without penalty, by this thread team."""
        self.evaluator.team = team
        loss, outputs = self.evaluator.data_loss_and_outputs()
        return {"validation_score": self.score(outputs), "validation_loss": loss}
