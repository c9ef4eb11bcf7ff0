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
from fastmlp.local_steps import LocalEpoch
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
    """What a worker begins with.

    Parameters
    ----------
    rule : ndarray of RULE
        The optimizer's numbers.
    has_base : bool
        Whether all workers have the state; else the first tells the others.
    model : Model or None
        The state, for the first.
    """

    rule: np.ndarray
    has_base: bool
    model: Model | None


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
        self._run: ShardedEpoch | LocalEpoch | None = None
        self._has_started = self._has_ended = False
        self._seen = time.monotonic()

    @property
    def is_forgotten(self) -> bool:
        """Whether the client has not asked for long; once it has started, it asks the
        first worker only.
        """
        is_asked = self.number == 0 or not self._has_started
        return is_asked and time.monotonic() - self._seen > DEADLINE

    @property
    def has_ended_well(self) -> bool:
        """Whether all its steps have been taken."""
        return self.done.done() and self.done.exception() is None

    @property
    def n_rows_done(self) -> int:
        """Rows of the steps that are over."""
        return 0 if self._run is None else self._run.n_rows_done

    def saw_client(self) -> None:
        """The client has asked."""
        self._seen = time.monotonic()

    def start(self, parent: Place | None, begin: Start) -> None:
        """Take the steps, in a thread."""
        self._has_started = True
        try:
            data = self.worker.data
            numbers = self.now.shards[self.number]
            shards = {number: data[self.now.keys[number]] for number in numbers}
        except KeyError as error:
            raise ShardMissingError(f"{error} has left the worker") from None
        threading.Thread(
            target=self._work,
            args=(shards, parent, begin, self.worker.state.nthreads),
            name=f"fastmlp-{self.now.name}",
            daemon=True,
        ).start()

    def _work(
        self, shards: Any, parent: Place | None, begin: Start, n_threads: int
    ) -> None:
        try:
            self.done.set_result(self._take_steps(shards, parent, begin, n_threads))
        except BaseException as error:
            self.done.set_exception(error)
        finally:
            self.end()
            self.worker.loop.add_callback(self._forget_later)

    def _forget_later(self) -> None:
        """Keep the state for the next round, if it comes soon."""
        key = self.now.name, self.worker.address
        self.worker.loop.call_later(DEADLINE, _rounds.pop, key, None)

    def _take_steps(
        self, shards: Any, parent: Place | None, begin: Start, n_threads: int
    ) -> Result:
        exchange = self._open_exchange(parent)
        if begin.has_base:
            assert self.model is not None
            self.model[1].rule[:] = begin.rule
        elif isinstance(exchange, SocketExchange):
            self.model = exchange.begin(begin.model)
        else:
            self.model = begin.model
        assert self.model is not None
        network, optimizer = self.model
        shards = {number: as_kernels_take(shard) for number, shard in shards.items()}
        with thread_team(n_threads) as team:
            epoch = self.now.epoch
            kind = ShardedEpoch if epoch.sync_every == 1 else LocalEpoch
            self._run = run = kind(network, optimizer, epoch, shards, exchange, team)
            for _ in run.steps():
                # Of the others the first is the client.
                if self._has_ended or self.is_forgotten:
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
            tls = _tls(self.worker, "get_connection_args")
            parent = connect(place, self.now.token, self.number, tls)
        if self.server is not None:
            tls = _tls(self.worker, "get_listen_args")
            children = accept(self.server, self.now.token, self.children, tls)
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


def as_kernels_take(shard: Sequence[Any]) -> Any:
    """A shard whose arrays lie on boundaries of their types: those that Dask has moved
    from another worker may not.
    """
    return tuple(None if a is None else np.require(a, None, ["C", "A"]) for a in shard)


def _host(worker: Any) -> str:
    from distributed.comm import get_address_host

    return get_address_host(worker.address)


def _tls(worker: Any, side: str) -> Any:
    """The context by which the worker itself connects or listens; None without TLS."""
    if not worker.address.startswith("tls://"):
        return None
    return getattr(worker.security, side)("worker")["ssl_context"]


# By worker, too: several may be threads of one process.
_rounds: dict[tuple[str, str], WorkerRound] = {}


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
    base = _rounds.pop((now.base or "", dask_worker.address), None)
    # Only the first has slots and running moments.
    is_alike = base is not None and (base.number == 0) == (here.number == 0)
    if base is not None and is_alike and base.has_ended_well:
        here.model = base.model
    place = None if here.server is None else here.server.getsockname()[:2]
    return Opened(place, here.model is not None)


def start_round(
    name: str,
    places: Sequence[Place | None],
    begin: Start,
    dask_worker: Any = None,
) -> None:
    """Begin the steps."""
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
    return here.done.exception() if here.done.done() else None
