"""A fit: one way of judging epochs and iterations, for every solver."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.full_batch import SOLVERS_WITH_RATES, minimise
from fastmlp.listeners import Listener
from fastmlp.network import Network
from fastmlp.random_streams import new_stream
from fastmlp.recipe import Recipe
from fastmlp.rows import ArrayRows, RowOrder, RowSource
from fastmlp.state import TrainingState
from fastmlp.stopping import (
    Logs,
    StopReason,
    StopRule,
    raise_if_diverged,
    stop_rules,
)
from fastmlp.threads import thread_team
from fastmlp.trainer import Trainer
from fastmlp.validation import HeldOut


class Fit:
    """A fit under way, as its listeners and stop rules see it.

    Parameters
    ----------
    recipe : Recipe
        What was asked for.
    state : TrainingState
        Where training is; updated in place.
    held_out : HeldOut, default=None
        Rows that training is judged by.
    listeners : sequence of Listener, default=()
        Told of everything, in this order.

    Attributes
    ----------
    stop_reason : StopReason or None
        Why there is no further epoch; None: there is. A state that was stored at its
        fit's last epoch brings it along.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        held_out: HeldOut | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.recipe, self.state = recipe, state
        self.held_out, self.listeners = held_out, listeners
        self.stop_reason: StopReason | None = state.stop_reason
        self._rules: list[StopRule] = stop_rules(recipe, held_out is not None)

    @property
    def n_epochs(self) -> int:
        """Epochs, or iterations, that are over."""
        return self.state.n_epochs

    def count_threads(self) -> int:
        """How many a first-order solver has."""
        recipe, order = self.recipe, self.state.first_order[2]
        batch_size = recipe.batch_rows(order.n_rows)
        n_steps = recipe.n_epochs * -(-order.n_rows // batch_size)
        return recipe.count_threads(self.state.network, batch_size, n_steps)

    def say(self, line: str) -> None:
        """Tell the listeners a line of progress."""
        for listener in self.listeners:
            listener.on_message(self, line)

    def begin(self) -> None:
        """Before the first epoch."""
        for name in history_columns(self.recipe, self.held_out is not None):
            self.state.history.setdefault(name, [])
        for rule in self._rules:
            rule.begin(self)
        for listener in self.listeners:
            listener.on_fit_begin(self)

    def begin_epoch(self) -> None:
        """Before an epoch."""
        self._started = time.perf_counter()
        for listener in self.listeners:
            listener.on_epoch_begin(self)

    def tell_slice(self, n_rows: int) -> None:
        """Some of an epoch's rows are done."""
        for listener in self.listeners:
            listener.on_slice(self, n_rows)

    def end_epoch(self, logs: Logs, team: Any = None) -> None:
        """Record and judge an epoch, or an iteration of a full-batch solver.

        Parameters
        ----------
        logs : dict of str to float
            Its entries of the history, ``loss`` among them.
        team : Team, default=None
            Threads that share the validation rows.
        """
        self.say(f"Iteration {self.n_epochs + 1}, loss = {logs['loss']:.8f}")
        if self.held_out is not None:
            logs.update(self.held_out.judge(team))
            self.say(f"Validation score: {logs['validation_score']:f}")
        logs["seconds"] = time.perf_counter() - self._started
        self.state.record(logs)
        self._watch(logs)
        self.stop_reason = self._find_reason(logs)
        for listener in self.listeners:
            if listener.on_epoch_end(self, logs):
                self.stop_reason = self.stop_reason or StopReason.CALLBACK

    def _watch(self, logs: Logs) -> None:
        """Count epochs without improvement; of a full-batch solver, if it is judged."""
        plateau, tol = self.state.plateau, self.recipe.tol
        if self.recipe.early_stopping and self.held_out is not None:
            plateau.update(logs["validation_score"], tol)
        elif not self.recipe.is_full_batch:
            plateau.update(-logs["loss"], tol)
        if self.keeps_best_by is not None:
            sign = 1 if self.keeps_best_by == "score" else -1
            value = sign * logs[f"validation_{self.keeps_best_by}"]
            or_as_good = self.recipe.best_epoch == "last"
            has_settled = self._has_settled(logs.get("learning_rate", math.inf))
            self.state.keep_if_best(value, or_as_good, has_settled)

    def _has_settled(self, rate: float) -> bool:
        """Whether the learning rate has come down from that of the last step, as far as
        the recipe asks of the best epoch.
        """
        highest = self.recipe.settled_rate
        if highest == math.inf:
            return True
        following = self.state.first_order[1].at(0.0)
        return following <= highest and following < rate

    @property
    def keeps_best_by(self) -> str | None:
        """What is best at the epoch that is kept, 'score' or 'loss'; None: the last."""
        return None if self.held_out is None else self.recipe.keeps_best_by

    def _find_reason(self, logs: Logs) -> StopReason | None:
        for rule in self._rules:
            reason = rule.update(self, logs)
            if reason is not None:
                break
        else:
            reason = None
        if self.state.learning_rate is not None:
            self.state.learning_rate.settle()
        return reason

    def end(self) -> None:
        """After the last epoch."""
        self.state.stop_reason = self.stop_reason
        for listener in self.listeners:
            listener.on_fit_end(self)


def history_columns(recipe: Recipe, is_validated: bool) -> tuple[str, ...]:
    """Names of the history's columns.

    Parameters
    ----------
    recipe : Recipe
        What was asked for.
    is_validated : bool
        Whether there are rows that training is judged by.
    """
    has_rate = not recipe.is_full_batch or recipe.solver in SOLVERS_WITH_RATES
    return (
        "loss",
        *(("learning_rate",) if has_rate else ()),
        "gradient_norm",
        "seconds",
        *(("validation_score", "validation_loss") if is_validated else ()),
    )


def fit(
    recipe: Recipe,
    state: TrainingState,
    rows: RowSource,
    held_out: HeldOut | None = None,
    listeners: Sequence[Listener] = (),
) -> None:
    """Train until there is a reason to stop.

    Ctrl-C ends training; what has been learnt is kept, if an epoch was finished.

    Parameters
    ----------
    recipe : Recipe
        What was asked for.
    state : TrainingState
        Where training begins; where it ends, afterwards.
    rows : RowSource
        What is trained on.
    held_out : HeldOut, default=None
        Rows that training is judged by.
    listeners : sequence of Listener, default=()
        Told of everything.

    Raises
    ------
    DivergenceError
        If parameters, running moments, optimizer state or loss have become infinite or
        NaN.
    KeyboardInterrupt
        Before the first epoch was finished.
    """
    try:
        _run(Fit(recipe, state, held_out, listeners), rows)
    finally:
        for listener in listeners:
            listener.on_teardown()


def _run(under_way: Fit, rows: RowSource) -> None:
    recipe, state = under_way.recipe, under_way.state
    under_way.begin()
    try:
        if recipe.is_full_batch:
            minimise(under_way, rows)
        else:
            with thread_team(under_way.count_threads()) as team:
                train_epochs(under_way, rows, team)
    except KeyboardInterrupt:
        if state.n_epochs == 0:
            raise
        state.forget_unfinished_epoch()
        under_way.stop_reason = StopReason.INTERRUPTED
    state.take_best()
    if under_way.stop_reason == StopReason.DIVERGED:
        state.forget_optimizer(recipe)
    raise_if_diverged(under_way, rows)
    under_way.end()


def train_epochs(fit: Fit, rows: RowSource, team: Any) -> None:
    """Epochs of a first-order solver."""
    recipe, state = fit.recipe, fit.state
    optimizer, rate, order = state.first_order
    batch_size = recipe.batch_rows(order.n_rows)
    model = state.network, optimizer
    schedule = None
    if recipe.varies_within_epochs:
        schedule = partial(schedule_steps, recipe, state)
    trainer: Any
    if hasattr(rows, "make_trainer"):  # RemoteRows; isinstance takes 20 µs
        trainer = rows.make_trainer(*model, batch_size, schedule)
    else:
        trainer = Trainer(
            *model, rows, batch_size=batch_size, team=team, schedule=schedule
        )
    while fit.stop_reason is None and fit.n_epochs < recipe.n_epochs:
        fit.begin_epoch()
        optimizer.learning_rate = rate.begin_epoch()
        follow_schedules(recipe, state)
        if recipe.shuffle:
            order.shuffle(state.random_state)
        loss = trainer.run_epoch(order.rows(), fit.tell_slice)
        rate.end_epoch(order.n_rows)
        state.n_samples_seen += order.n_rows
        logs = {
            "loss": loss,
            "learning_rate": optimizer.learning_rate,
            "gradient_norm": trainer.gradient_norm,
        }
        fit.end_epoch(logs, trainer.team if fit.held_out else None)
    fit.stop_reason = fit.stop_reason or StopReason.MAX_ITER


def follow_schedules(recipe: Recipe, state: TrainingState) -> None:
    """Momentum, weight decay and dropout of the epoch, where they are functions."""
    optimizer, rate, _ = state.first_order
    for name, at in recipe.functions.items():
        optimizer.change(name, at(rate.n_epochs))


def schedule_steps(
    recipe: Recipe, state: TrainingState, shares: np.ndarray
) -> np.ndarray:
    """Numbers of the steps that begin when those shares of the epoch are over."""
    optimizer, rate, _ = state.first_order
    places = rate.n_epochs + shares
    columns = {name: list(map(at, places)) for name, at in recipe.functions.items()}
    if callable(recipe.schedule.learning_rate):
        columns["learning_rate"] = list(map(rate.at, shares))
    return optimizer.schedule(len(shares), **columns)


def fit_network(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    recipe: Recipe,
    *,
    sample_weight: ArrayLike | None = None,
    random_state: int | None = None,
    listeners: Sequence[Listener] = (),
) -> TrainingState:
    """Train a network by a recipe, without an estimator.

    Parameters
    ----------
    network : Network
        Its parameters are the start and receive the result.
    X, y, sample_weight
        As in :meth:`fastmlp.Network.loss`.
    recipe : Recipe
        Solver, schedule and stop rules; what it says of layers is not read.
    random_state : int, default=None
        Draws the shuffles.
    listeners : sequence of Listener, default=()
        Told of everything.

    Returns
    -------
    TrainingState
        At the end: ``history``, ``loss``, ``stop_reason``, ``n_epochs``.

    Raises
    ------
    DivergenceError
        If parameters, running moments, optimizer state or loss have become infinite or
        NaN.
    """
    rows = ArrayRows(network.as_data(X, y, sample_weight))
    state = TrainingState(network, new_stream(random_state))
    if not recipe.is_full_batch:
        state.order = RowOrder(rows.n_rows)
        state.begin(recipe, incremental=False)
    fit(recipe, state, rows, listeners=listeners)
    return state
