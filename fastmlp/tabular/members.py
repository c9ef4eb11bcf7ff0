"""A model's members: networks trained side by side, each judged by its own rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp import fitting
from fastmlp.listeners import Listener
from fastmlp.network import Network
from fastmlp.random_streams import new_stream
from fastmlp.recipe import Recipe
from fastmlp.rows import ArrayRows, RowOrder
from fastmlp.state import TrainingState
from fastmlp.stopping import Logs, StopReason
from fastmlp.tabular.preset import Preset
from fastmlp.validation import HeldOut

# How often the thread that waits for members looks for Ctrl-C.
LOOK_SECONDS = 0.05

Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Rows:
    """Rows as the networks take them.

    Parameters
    ----------
    X : ndarray of float32 of shape (n_rows, n_inputs)
        Inputs.
    Y : ndarray of float32 of shape (n_rows, n_target_columns)
        Encoded targets.
    sample_weight : ndarray of float32 of shape (n_rows,) or None
        What each row counts for in training.
    """

    X: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray | None

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the rows."""
        weights = self.sample_weight
        return Rows(
            self.X[rows], self.Y[rows], None if weights is None else weights[rows]
        )


@dataclass(frozen=True)
class Job:
    """A member that is to be trained.

    Parameters
    ----------
    rows : ndarray of intp
        Those of the data that it learns from.
    held_out : Rows
        Those that it is judged by.
    score : callable or None
        ``score(outputs)`` of them, larger is better; None: the loss, negative.
    seed : int
        Of its parameters, its order of the rows, its masks.
    """

    rows: np.ndarray
    held_out: Rows
    score: Score | None
    seed: int


@dataclass(frozen=True)
class Member:
    """A member that has been trained.

    Parameters
    ----------
    number : int
        Of its job.
    network : Network
        With the parameters of its best epoch.
    outputs : ndarray of float32 of shape (n_held_out, n_outputs)
        For its held-out rows, before the output activation.
    history : dict of str to list of float
        Figures of its epochs.
    stop_reason : str
        Why there were no more.
    """

    number: int
    network: Network
    outputs: np.ndarray
    history: dict[str, list[float]]
    stop_reason: str


class JudgedByLoss(HeldOut):
    """Rows whose score is their mean loss, negative."""

    def judge(self, team: Any) -> Logs:
        """Score and loss."""
        self.evaluator.team = team
        loss, _ = self.evaluator.data_loss_and_outputs()
        return {"validation_score": -loss, "validation_loss": loss}


class Brake(Listener):
    """Ends members that are trained in other threads, as Ctrl-C ends one in this."""

    def __init__(self) -> None:
        self.is_on = threading.Event()

    def on_slice(self, fit: Any, n_rows: int) -> None:
        """End it, if the brake is on."""
        if self.is_on.is_set():
            raise KeyboardInterrupt


def train_members(
    preset: Preset,
    data: Rows,
    jobs: Sequence[Job],
    n_workers: int,
    listeners: Callable[[int, Recipe], Sequence[Listener]],
    earlier: Callable[[int], TrainingState | None] = lambda number: None,
) -> list[Member]:
    """Train members side by side, each in a thread.

    What comes out depends on the jobs alone, and not on the number of workers.

    Parameters
    ----------
    preset : Preset
        How.
    data : Rows
        What the jobs' rows are of.
    jobs : sequence of Job
        One a member.
    n_workers : int
        Members at a time.
    listeners : callable
        ``listeners(number, recipe)`` of a member.
    earlier : callable, default=None
        ``earlier(number)``, the state that a member goes on from; None: there is none.

    Returns
    -------
    list of Member
        After Ctrl-C those that have finished an epoch.

    Raises
    ------
    ValueError
        If a member's training diverges.
    KeyboardInterrupt
        Before the first epoch of any member was finished.
    """
    brake = Brake()

    def train(number: int) -> Member:
        told = [brake, *listeners(number, preset.make_recipe())]
        state = earlier(number)
        return train_member(preset, data, number, jobs[number], told, state)

    with ThreadPoolExecutor(n_workers, "fastmlp-member") as pool:
        futures: list[Future] = []
        try:
            for number in range(len(jobs)):
                futures.append(pool.submit(train, number))
            _wait_for_all_or_an_error(futures)
        except KeyboardInterrupt:
            pass
        finally:
            # Members that are still trained end at once: the pool waits for them.
            brake.is_on.set()
    return _collect(futures)


def _wait_for_all_or_an_error(futures: Sequence[Future]) -> None:
    # Not in one wait without end: libraries install handlers of signals after which
    # such a wait goes on, and Python would not see Ctrl-C.
    while True:
        done, others = wait(futures, LOOK_SECONDS, "FIRST_EXCEPTION")
        if not others or any(future.exception() is not None for future in done):
            return


def _collect(futures: Sequence[Future]) -> list[Member]:
    """The members that have an epoch; the error of one that has failed is raised."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, KeyboardInterrupt):
            raise error
    if len(errors) == len(futures):
        raise KeyboardInterrupt
    return [future.result() for future in futures if future.exception() is None]


def train_member(
    preset: Preset,
    data: Rows,
    number: int,
    job: Job,
    listeners: Sequence[Listener] = (),
    earlier: TrainingState | None = None,
) -> Member:
    """Train one network; see :func:`train_members`."""
    recipe = preset.make_recipe()
    if earlier is None:
        state = _begin(preset, recipe, job)
    else:
        state = _go_on(earlier, preset, recipe, job)
    network = state.network
    evaluator = network.evaluator(network.as_data(*_parts(job.held_out)))
    if job.score is None:
        held_out: HeldOut = JudgedByLoss(evaluator, lambda outputs: np.nan)
    else:
        held_out = HeldOut(evaluator, job.score)
    rows = ArrayRows(network.as_data(*_parts(data)))
    fitting.fit(recipe, state, rows, held_out, listeners)
    reason = str(state.stop_reason or StopReason.MAX_ITER)
    network = preset.fold_scale(network)
    outputs = network.logits(job.held_out.X)
    return Member(number, network, outputs, state.history, reason)


def _begin(preset: Preset, recipe: Recipe, job: Job) -> TrainingState:
    random_state = new_stream(job.seed)
    state = TrainingState(preset.make_network(random_state), random_state)
    state.order = RowOrder(len(job.rows), base=job.rows)
    state.plateau.watch("held_out")
    state.begin(recipe, incremental=False)
    return state


def _go_on(
    state: TrainingState, preset: Preset, recipe: Recipe, job: Job
) -> TrainingState:
    """Of a state that was stored, which knows no rows."""
    _, _, order = state.first_order
    ends = state.network.layer_sizes[0], state.network.layer_sizes[-1]
    if ends != (preset.n_inputs, preset.n_outputs) or order.n_rows != len(job.rows):
        raise ValueError("the checkpoint is of networks, or rows, of another size")
    order.base = job.rows
    state.resume(recipe)
    return state


def _parts(rows: Rows) -> tuple:
    return rows.X, rows.Y, rows.sample_weight


def partition_into_folds(
    n_folds: int, strata: np.ndarray | None, n_rows: int, stream: np.random.RandomState
) -> list[np.ndarray]:
    """Rows of each validation fold: as even as can be, and so is each stratum.

    Parameters
    ----------
    n_folds : int
        How many.
    strata : ndarray of shape (n_rows,) or None
        What all folds are to have the same share of, classes say.
    n_rows : int
        How many there are.
    stream : RandomState
        Puts them in an order.
    """
    order = stream.permutation(n_rows)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    return [np.sort(order[fold::n_folds]) for fold in range(n_folds)]
