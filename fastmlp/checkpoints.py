"""Checkpoints of a fit under way, and what a fit that goes on from one must share.

A checkpoint is a model file (:mod:`fastmlp.model_files`) of the training state at an
epoch's end, and of where it comes from: version, parameters and data of the fit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._extras import require
from fastmlp._version import __version__
from fastmlp.listeners import Listener
from fastmlp.model_files import (
    ModelFileError,
    from_bytes,
    naming_file,
    replace_file,
    to_bytes,
)
from fastmlp.rows import Inputs
from fastmlp.state import TrainingState
from fastmlp.state_check import checked_state
from fastmlp.stopping import Logs, StopReason

if TYPE_CHECKING:
    from fastmlp.fitting import Fit

# Rows whose numbers are hashed; of the others, how many they are.
_SAMPLED_ROWS = 256
# A fit that was ended from outside goes on; one that its own rules have ended does not.
FROM_OUTSIDE = (StopReason.CALLBACK, StopReason.MAX_SECONDS, StopReason.INTERRUPTED)


@dataclass
class Checkpoint:
    """A callback that stores a fit under way, so that ``fit`` can go on from there.

    ``fit(X, y, resume_from=path)`` goes on to the bits of the fit that was not
    interrupted. Files are written in one step, as models are: a process that is killed
    meanwhile leaves the checkpoint before. First-order solvers only. Of an estimator of
    tables the file holds all members, and is written when any of them has had its
    epochs. Needs the extra ``safetensors``.

    Parameters
    ----------
    path : str or path-like
        The file of the latest checkpoint.
    every : int, default=1
        Epochs from one to the next. The last epoch of a fit has one in any case.
    seconds : float, default=None
        Least time from one to the next. None: there is none.
    keep : int, default=1
        Checkpoints that are kept: that before the latest has ``.1`` appended to its
        name, the one before it ``.2``, and so on.

    Examples
    --------
    >>> from fastmlp import Checkpoint, MLPRegressor
    >>> model = MLPRegressor(callbacks=[Checkpoint("fit.safetensors", every=10)])
    """

    path: str | os.PathLike[str]
    every: int = 1
    seconds: float | None = None
    keep: int = 1

    def __post_init__(self) -> None:
        for name in ("every", "keep"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be a positive integer, got {getattr(self, name)!r}"
                )
        if self.seconds is not None and not self.seconds >= 0:
            raise ValueError(f"seconds must be at least 0, got {self.seconds!r}")


@dataclass
class Origin:
    """Which fit a state is of.

    Parameters
    ----------
    parameters : dict
        Those of the estimator that decide about its numbers.
    data : dict of str to object
        What :func:`describe` says of X, y and the others.
    curves : dict of str to list
        Curves of the fits that this one goes on from; empty if there are none.
    goes_on : bool
        Whether it goes on from an earlier fit.
    version : str
        Of fastmlp.
    """

    parameters: dict[str, Any]
    data: dict[str, Any]
    curves: dict[str, Any] = field(default_factory=dict)
    goes_on: bool = False
    version: str = __version__

    def check(self, other: Origin) -> None:
        """Refuse a fit that another one's state cannot go on in.

        Raises
        ------
        ValueError
            If version, parameters or data differ; it names the difference.
        """
        if self.version != other.version:
            raise ValueError(
                f"the checkpoint was written by fastmlp {self.version}, and this is "
                f"{other.version}: another version does not continue to the same "
                f"numbers. Resume with fastmlp {self.version}, or fit without "
                "resume_from"
            )
        for what in ("parameters", "data"):
            mine, others = getattr(self, what), getattr(other, what)
            for name in {**mine, **others}:
                before, now = mine.get(name), others.get(name)
                if repr(before) != repr(now):
                    raise ValueError(
                        f"the checkpoint is of a fit with other {what}: {name} was "
                        f"{before!r}, and is now {now!r}. Resume with the same, or "
                        "fit without resume_from"
                    )


class CheckpointWriter(Listener):
    """Writes the checkpoints of one fit. It is told last, so that it knows the reason.

    Parameters
    ----------
    settings : Checkpoint
        Where, and how often.
    origin : Origin
        Which fit it is.
    """

    def __init__(self, settings: Checkpoint, origin: Origin) -> None:
        self._settings, self._origin = settings, origin
        self._written = -float("inf")

    def on_fit_begin(self, fit: Fit) -> None:
        """Find out what would be in the way after the first epoch."""
        require("safetensors.numpy", "safetensors", "Checkpoint")

    def on_epoch_end(self, fit: Fit, logs: Logs) -> bool:
        """Write one, if it is time."""
        is_last = fit.stop_reason is not None or fit.n_epochs == fit.recipe.n_epochs
        if is_last or (fit.n_epochs % self._settings.every == 0 and self._is_time()):
            self._store_state(fit)
            self._written = time.monotonic()
        return False

    def _is_time(self) -> bool:
        least = self._settings.seconds
        return least is None or time.monotonic() - self._written >= least

    def _store_state(self, fit: Fit) -> None:
        arrays = state_to_store(fit).to_arrays()
        write_checkpoint(self._settings, "checkpoint", vars(self._origin), arrays)


def state_to_store(fit: Fit) -> TrainingState:
    """The state of an epoch's end; that of a fit ended from outside goes on."""
    reason = fit.stop_reason
    return replace(fit.state, stop_reason=None if reason in FROM_OUTSIDE else reason)


def write_checkpoint(
    settings: Checkpoint, kind: str, facts: Any, arrays: dict[str, np.ndarray]
) -> None:
    """Write one, and give those before it their next names."""
    data, path = to_bytes(kind, facts, arrays), Path(settings.path)
    _move_up(path, settings.keep)
    replace_file(path, data)


def _move_up(path: Path, keep: int) -> None:
    """Give earlier checkpoints their next names; the latest keeps its own, too."""
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, keep))]
    for older, newer in zip(names[:1:-1], names[-2:0:-1], strict=True):
        with suppress(FileNotFoundError):
            newer.replace(older)
    if keep > 1 and path.exists():
        beside = path.with_name(f".{path.name}.1.tmp")
        beside.unlink(missing_ok=True)
        try:
            os.link(path, beside)
        except OSError:  # the file system has no links
            shutil.copyfile(path, beside)
        beside.replace(names[1])


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[Origin, TrainingState]:
    """Which fit a checkpoint is of, and its state.

    Raises
    ------
    ModelFileError
        If the file is damaged, or no checkpoint.
    """
    with naming_file(path):
        kind, facts, arrays = from_bytes(Path(path).read_bytes())
        if kind != "checkpoint":
            raise ModelFileError(f"it holds {kind!r}, not a checkpoint of a fit")
        return checked_origin(facts), stored_state(arrays)


def stored_state(arrays: dict[str, np.ndarray]) -> TrainingState:
    """That of a fit under way, of a file's arrays.

    Raises
    ------
    ModelFileError
        If it lacks what a fit goes on with.
    """
    state = checked_state(arrays)
    if None in (state.optimizer, state.learning_rate, state.order):
        raise ModelFileError("its training state is incomplete")
    return state


def checked_origin(facts: dict[str, Any]) -> Origin:
    """Which fit it is, of a file's facts.

    Raises
    ------
    ModelFileError
        If they are of another type.
    """
    origin = Origin(**facts)
    tables = origin.parameters, origin.data, origin.curves
    curves = origin.curves.values() if isinstance(origin.curves, dict) else ()
    if not all(isinstance(table, dict) for table in tables) or not all(
        isinstance(curve, list) for curve in curves
    ):
        raise ModelFileError("the facts about its fit are damaged")
    return origin


def describe(name: str, array: Any) -> dict[str, Any]:
    """What tells an array from another: shape, type, and a hash of some of its rows.

    Parameters
    ----------
    name : str
        Of the array.
    array : ndarray, sparse matrix or None
        Rows.
    """
    if array is None:
        return {name: None}
    n_rows = array.shape[0]
    rows = np.linspace(0, n_rows - 1, min(n_rows, _SAMPLED_ROWS)).astype(np.intp)
    some = array[rows]
    digest = hashlib.sha256()
    for part in _parts(some):
        digest.update(np.ascontiguousarray(part).tobytes())
    kind = "dense" if isinstance(array, np.ndarray) else "sparse"
    facts = f"{kind} of shape {array.shape} and {array.dtype}"
    return {name: facts, f"rows of {name}": digest.hexdigest()}


def _parts(rows: Any) -> Inputs:
    if isinstance(rows, np.ndarray):
        return (rows,)  # type: ignore[return-value]
    found = rows.tocsr()
    return found.data, found.indices.astype(np.int64), found.indptr.astype(np.int64)
