"""Checkpoints of a fit of members: one file with the state of each.

A fit that goes on needs the members' states, and the random stream that seeds and folds
were drawn from: all else follows from data and parameters.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.checkpoints import (
    Checkpoint,
    CheckpointWriter,
    Origin,
    checked_origin,
    describe,
    state_to_store,
    stored_state,
    write_checkpoint,
)
from fastmlp.estimators._checkpoints import decisive_parameters
from fastmlp.fitting import Fit
from fastmlp.model_files import ModelFileError, from_bytes, naming_file
from fastmlp.state import TrainingState
from fastmlp.tabular.members import Job, Rows

KIND = "checkpoint of members"
# Parameters that the members' numbers do not depend on, or that end a fit from outside.
FREE = ("n_threads", "max_seconds", "verbose", "callbacks")

Arrays = dict[str, np.ndarray]


@dataclass
class Earlier:
    """What a checkpoint holds.

    Parameters
    ----------
    origin : Origin
        Which fit it is of.
    stream : RandomState
        As it was before seeds and folds were drawn.
    arrays : dict of int to dict of str to ndarray
        The states of the members that had been stored, by their numbers.
    """

    origin: Origin
    stream: np.random.RandomState
    arrays: dict[int, Arrays] = field(default_factory=dict)

    def state(self, number: int) -> TrainingState | None:
        """Of a member; None: it begins anew."""
        arrays = self.arrays.get(number)
        return None if arrays is None else stored_state(arrays)


class Store:
    """The checkpoints of a fit under way, which all its members write.

    Parameters
    ----------
    settings : sequence of Checkpoint
        Where, and how often.
    earlier : Earlier
        Which fit it is, and what it goes on from, if that is anything.
    """

    def __init__(self, settings: Sequence[Checkpoint], earlier: Earlier) -> None:
        self._settings, self._earlier = settings, earlier
        self._arrays = dict(earlier.arrays)
        self._lock = threading.Lock()

    def state(self, number: int) -> TrainingState | None:
        """What a member goes on from; None: it begins anew."""
        return self._earlier.state(number)

    def writers(self, number: int) -> list[CheckpointWriter]:
        """Listeners of a member."""
        origin = self._earlier.origin
        return [MemberWriter(s, origin, self, number) for s in self._settings]

    def write(self, settings: Checkpoint, number: int, arrays: Arrays) -> None:
        """Write a checkpoint with a member's new state and all others' latest."""
        with self._lock:
            self._arrays[number] = arrays
            together = {
                f"{member}.{name}": array
                for member, some in self._arrays.items()
                for name, array in some.items()
            }
            facts = {**vars(self._earlier.origin), "stream": self._earlier.stream}
            write_checkpoint(settings, KIND, facts, together)


class MemberWriter(CheckpointWriter):
    """Writes the checkpoints of one member.

    Parameters
    ----------
    settings, origin
        See :class:`CheckpointWriter`.
    store : Store
        Knows the other members.
    number : int
        Of the member.
    """

    def __init__(
        self, settings: Checkpoint, origin: Origin, store: Store, number: int
    ) -> None:
        super().__init__(settings, origin)
        self._store, self._number = store, number

    def _store_state(self, fit: Fit) -> None:
        # Copies: other members write them while this one is trained.
        arrays = {k: v.copy() for k, v in state_to_store(fit).to_arrays().items()}
        self._store.write(self._settings, self._number, arrays)


def checkpoints_of(estimator: Any) -> list[Checkpoint]:
    """What an estimator's parameters ask for.

    Raises
    ------
    TypeError
        If a callback is something else.
    """
    found = list(estimator.callbacks or ())
    for callback in found:
        if not isinstance(callback, Checkpoint):
            raise TypeError(
                f"callbacks of a {type(estimator).__name__} must be Checkpoint "
                f"objects, got {callback!r}"
            )
    return found


def origin_of(estimator: Any, data: Rows, jobs: Sequence[Job]) -> Origin:
    """Which fit it is."""
    facts: dict[str, Any] = {}
    for suffix, rows in ("", data), ("_val", jobs[0].held_out):
        facts |= describe(f"X{suffix}", rows.X)
        facts |= describe(f"sample_weight{suffix}", rows.sample_weight)
        facts |= describe(f"y{suffix}", rows.Y)
    return Origin(decisive_parameters(estimator, FREE), facts)


def read_earlier(path: str | os.PathLike[str]) -> Earlier:
    """A checkpoint.

    Raises
    ------
    ModelFileError
        If the file is damaged, or no checkpoint of an estimator of tables.
    """
    with naming_file(path):
        kind, facts, arrays = from_bytes(Path(path).read_bytes())
        if kind != KIND:
            raise ModelFileError(f"it holds {kind!r}, not a checkpoint of members")
        stream = facts.pop("stream")
        if not isinstance(stream, np.random.RandomState):
            raise ModelFileError("its random stream is missing")
        earlier = Earlier(checked_origin(facts), stream)
        for key, array in arrays.items():
            member, _, name = key.partition(".")
            earlier.arrays.setdefault(int(member), {})[name] = array
        for number in earlier.arrays:
            earlier.state(number)
        return earlier
