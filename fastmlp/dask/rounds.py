"""What a worker does in a round: functions that the client has it run.

They run beside Dask's tasks, on the worker's event loop, and return at once: the steps
are taken by a thread of the round's own. So no round waits for a place in a queue, none
is run again by the scheduler, and fits at the same time do not wait for each other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from fastmlp.exchange import (
    DEADLINE,
    Model,
    Place,
    SocketExchange,
    accept,
    children_of,
    close,
    connect,
    listen,
    parent_of,
)
from fastmlp.sharded import Alone, Epoch, ShardedEpoch
from fastmlp.threads import thread_team

# How long a worker waits for the end of a round before it says how far it is.
WATCH_SECONDS = 1.0


class Round(NamedTuple):
    """What the workers of a round must know.

    Parameters
    ----------
    name : str
        Of this round alone.
    token : bytes
        What a connection must show.
    workers : tuple of str
        Their addresses, the first of them first.
    shards : tuple of tuple of int
        The numbers of each worker's shards.
    keys : tuple
        Where each shard is in the memory of its worker.
    epoch : Epoch
        What is to be done.
    base : str or None
        The round that has left the state to begin with, if the client has not changed
        it since.
    """

    name: str
    token: bytes
    workers: tuple[str, ...]
    shards: tuple[tuple[int, ...], ...]
    keys: tuple[Any, ...]
    epoch: Epoch
    base: str | None


class Opened(NamedTuple):
    """What a worker answers to a new round: where it waits for others, and whether it
    still has the state that the round begins with.
    """

    place: Place | None
    has_base: bool


class Start(NamedTuple):
    """What the first worker begins with: a model, or None of the one that it has, and
    the optimizer's numbers.
    """

    model: Model | None
    rule: np.ndarray


class Result(NamedTuple):
    """What the first worker ends with."""

    params: np.ndarray
    stats: np.ndarray
    slots: np.ndarray
    n_steps: int
    loss: float
    gradient_norm: float


class Progress(NamedTuple):
    """What the client is told of the first worker."""

    n_rows: int
    result: Result | None
    error: BaseException | None


class RoundEndedError(ConnectionError):
    """The client has ended the round, or is not heard of any more."""


class ShardMissingError(ConnectionError):
    """A shard has left the worker since the client has asked."""


class WorkerRound:
    """A round on one worker.

    Parameters
    ----------
    now : Round
        The round.
    worker : distributed.Worker
        Where it is.
    """

    def __init__(self, now: Round, worker: Any) -> None:
        self.now, self.worker = now, worker
        self.number = now.workers.index(worker.address)
        self.children = children_of(self.number, len(now.workers))
        self.server = listen(_host(worker)) if self.children else None
        self.done: Future[Result] = Future()
        self.model: Model | None = None
        self._exchange: SocketExchange | None = None
        self._run: ShardedEpoch | None = None
        self._has_ended, self._seen = False, time.monotonic()

    @property
    def is_forgotten(self) -> bool:
        """Whether the client has not asked for long."""
        return time.monotonic() - self._seen > DEADLINE

    @property
    def n_rows_done(self) -> int:
        """Rows of the steps that are over."""
        return 0 if self._run is None else self._run.n_rows_done

    def saw_client(self) -> None:
        """The client has asked."""
        self._seen = time.monotonic()

    def start(self, parent: Place | None, begin: Start | None) -> None:
        """Take the steps, in a thread."""
        if begin is not None:
            key = self.now.base, self.worker.address
            self.model = begin.model or _kept.pop(key)
            self.model[1].rule[:] = begin.rule
        try:
            data = self.worker.data
            numbers = self.now.shards[self.number]
            shards = {number: data[self.now.keys[number]] for number in numbers}
        except KeyError as error:
            raise ShardMissingError(f"{error} has left the worker") from None
        threading.Thread(
            target=self._work,
            args=(shards, parent, self.worker.state.nthreads),
            name=f"fastmlp-{self.now.name}",
            daemon=True,
        ).start()

    def _work(self, shards: Any, parent: Place | None, n_threads: int) -> None:
        try:
            self.done.set_result(self._take_steps(shards, parent, n_threads))
        except BaseException as error:
            self.done.set_exception(error)
        finally:
            self.end()

    def _take_steps(self, shards: Any, parent: Place | None, n_threads: int) -> Result:
        exchange = self._open_exchange(parent)
        if isinstance(exchange, SocketExchange):
            self.model = exchange.begin(self.model)
        assert self.model is not None
        network, optimizer = self.model
        with thread_team(n_threads) as team:
            self._run = run = ShardedEpoch(
                network, optimizer, self.now.epoch, shards, exchange, team
            )
            for _ in run.steps():
                # Of the others the first is the client.
                if self._has_ended or (self.number == 0 and self.is_forgotten):
                    raise RoundEndedError("the client has ended the round")
        return Result(
            *(network.params, network.stats, optimizer.slots, optimizer.n_steps),
            *(run.loss, run.gradient_norm),
        )

    def _open_exchange(self, place: Place | None) -> Alone | SocketExchange:
        if len(self.now.workers) == 1:
            return Alone()
        children, parent = [], None
        if place is not None:
            parent = connect(place, self.now.token, self.number)
        if self.server is not None:
            children = accept(self.server, self.now.token, self.children)
            close(self.server)
        self._exchange = SocketExchange(self.number, self.now.shards, parent, children)
        return self._exchange

    def end(self) -> None:
        """Close all sockets, and with them have the thread end, here and elsewhere."""
        self._has_ended = True
        if self.server is not None:
            close(self.server)
        if self._exchange is not None:
            self._exchange.close()


def _host(worker: Any) -> str:
    from distributed.comm import get_address_host

    return get_address_host(worker.address)


# By worker, too: several may be threads of one process.
_rounds: dict[tuple[str, str], WorkerRound] = {}
# What the first worker of a round has ended with, for a while.
_kept: dict[tuple[str | None, str], Model] = {}


def _find(name: str, worker: Any) -> WorkerRound:
    try:
        return _rounds[name, worker.address]
    except KeyError:
        raise RoundEndedError("the worker does not know the round") from None


def open_round(now: Round, dask_worker: Any = None) -> Opened:
    """Have this worker wait for those that send to it."""
    for key, old in [*_rounds.items()]:
        if old.is_forgotten:
            _rounds.pop(key, None)
            old.end()
    here = _rounds[now.name, dask_worker.address] = WorkerRound(now, dask_worker)
    place = None if here.server is None else here.server.getsockname()[:2]
    return Opened(place, (now.base, dask_worker.address) in _kept)


def start_round(
    name: str,
    places: Sequence[Place | None],
    begin: Start | None,
    dask_worker: Any = None,
) -> None:
    """Begin the steps; only the first worker is told with what."""
    here = _find(name, dask_worker)
    place = None if here.number == 0 else places[parent_of(here.number)]
    here.saw_client()
    here.start(place, begin)


async def watch_round(name: str, dask_worker: Any = None) -> Progress:
    """Wait a while for the end of the steps."""
    here = _find(name, dask_worker)
    here.saw_client()
    ended = asyncio.wrap_future(here.done)
    await asyncio.wait([ended], timeout=WATCH_SECONDS)
    if not ended.done():
        return Progress(here.n_rows_done, None, None)
    error = ended.exception()
    result = None if error is not None else ended.result()
    return Progress(here.n_rows_done, result, error)


def end_round(name: str, dask_worker: Any = None) -> BaseException | None:
    """Forget the round; what has ended it here, if it was not the steps' end."""
    here = _rounds.pop((name, dask_worker.address), None)
    if here is None:
        return None
    here.end()
    error = here.done.exception() if here.done.done() else None
    if here.number == 0 and error is None and here.done.done():
        _keep(name, here)
    return error


def _keep(name: str, here: WorkerRound) -> None:
    """Hold the state for the next round, if it comes soon."""
    key = name, here.worker.address
    _kept[key] = here.model  # type: ignore[assignment]
    asyncio.get_running_loop().call_later(DEADLINE, _kept.pop, key, None)
