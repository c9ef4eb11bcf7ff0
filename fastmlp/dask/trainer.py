"""The client's side of a round, and what it does when a worker is lost."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from fastmlp.dask.rounds import (
    Progress,
    Result,
    Round,
    Start,
    end_round,
    open_round,
    start_round,
    watch_round,
)
from fastmlp.dask.shards import Shards, WorkerLostError, present_workers
from fastmlp.exchange import DEADLINE, TOKEN_BYTES
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.sharded import Epoch

# How often it is asked whether a worker that does not answer is there at all.
LOOK_SECONDS = 0.5
# What a worker may take to end a round; if it does not, it is forgotten.
END_SECONDS = 5.0


class DaskTrainer:
    """Runs epochs on the workers of a cluster (:class:`fastmlp.trainer.Trainer`).

    Parameters
    ----------
    shards : Shards
        Where the rows are.
    network, optimizer : Network, Optimizer
        Updated in place after each round.
    epoch : Epoch
        What is the same in all of them.
    schedule : callable or None
        Numbers of the steps, as a trainer takes it.
    max_failures : int
        How often a round may fail.
    """

    team = None

    def __init__(
        self,
        shards: Shards,
        network: Network,
        optimizer: Optimizer,
        epoch: Epoch,
        schedule: Callable[[np.ndarray], np.ndarray] | None,
        max_failures: int,
    ) -> None:
        self._shards, self._network, self._optimizer = shards, network, optimizer
        self._epoch, self._schedule = epoch, schedule
        self._client, self._max_failures = shards.client, max_failures
        self._last: tuple[str, Result] | None = None
        self.gradient_norm = 0.0

    def run_epoch(
        self, order: np.ndarray, on_slice: Callable[[int], None] | None = None
    ) -> float:
        """A round, taken again while workers are lost.

        Raises
        ------
        WorkerLostError
            If it has failed more often than is allowed.
        """
        epoch = self._epoch._replace(seed=int(order[0]) if len(order) else None)
        if self._schedule is not None:
            epoch = epoch._replace(schedule=self._schedule(epoch.shares_over()))
        lost: OSError | None = None
        for _ in range(self._max_failures + 1):
            try:
                result = self._run_round(epoch, on_slice or (lambda _: None))
                break
            except OSError as error:
                lost = error
                self._last = None
                self._shards.lose_team()
        else:
            raise WorkerLostError(
                f"a round of the fit has failed {self._max_failures + 1} times, the "
                f"last time by {type(lost).__name__}: {lost}"
            ) from lost
        self._network.params[:], self._network.stats[:] = result.params, result.stats
        self._optimizer.slots[...] = result.slots
        self._optimizer.n_steps = result.n_steps
        self.gradient_norm = result.gradient_norm
        return result.loss

    def _run_round(self, epoch: Epoch, on_slice: Callable[[int], None]) -> Result:
        """The steps of an epoch; an OSError where a worker was lost."""
        team = self._shards.assemble()
        now = Round(
            *(secrets.token_hex(8), secrets.token_bytes(TOKEN_BYTES)),
            *(tuple(team), tuple(map(tuple, team.values()))),
            *(tuple(future.key for future in self._shards.futures), epoch),
            self._base(),
        )
        try:
            self._start(now)
            while (seen := self._watch(now)).result is None:
                if seen.error is not None:
                    raise seen.error
                on_slice(seen.n_rows)
        except BaseException as error:
            self._end(now, raises=isinstance(error, OSError))
            raise
        on_slice(epoch.n_rows)
        self._last = now.name, seen.result
        return seen.result

    def _base(self) -> str | None:
        """The round that has left the state as it is here."""
        if self._last is None:
            return None
        (name, result), network = self._last, self._network
        here = network.params, network.stats, self._optimizer.slots
        same = map(np.array_equal, here, (result.params, result.stats, result.slots))
        return name if all(same) else None

    def _start(self, now: Round) -> None:
        answers = self._call(now.workers, open_round, now)
        opened = [answers[worker] for worker in now.workers]
        places = [answer.place for answer in opened]
        rule, has_base = self._optimizer.rule, all(a.has_base for a in opened)
        begin, others = Start(rule, has_base, None), now.workers
        if not has_base:
            others = now.workers[1:]
            model = begin._replace(model=(self._network, self._optimizer))
            self._call(now.workers[:1], start_round, now.name, places, model)
        if others:
            self._call(others, start_round, now.name, places, begin)

    def _watch(self, now: Round) -> Progress:
        first = now.workers[0]
        return self._call([first], watch_round, now.name)[first]

    def _end(self, now: Round, raises: bool) -> None:
        """End it on all workers that are there; raise what was no loss of a worker."""
        answers: dict[str, Any] = {}
        with suppress(OSError):
            there = [w for w in now.workers if w in present_workers(self._client)]
            answers = self._call(there, end_round, now.name, patience=END_SECONDS)
        for error in answers.values():
            if raises and error is not None and not isinstance(error, OSError):
                raise error

    def _call(
        self,
        workers: Sequence[str],
        function: Callable[..., Any],
        *args: Any,
        patience: float = DEADLINE,
    ) -> dict[str, Any]:
        """What a function returns on each of those workers.

        Raises
        ------
        ConnectionError
            If one of them has gone.
        TimeoutError
            If one of them does not answer.
        """
        client = self._client

        async def call() -> dict[str, Any]:
            answers = asyncio.ensure_future(
                client.run(function, *args, workers=[*workers])
            )
            until = time.monotonic() + patience
            try:
                while not (await asyncio.wait([answers], timeout=LOOK_SECONDS))[0]:
                    if not set(workers) <= set(await client.nthreads()):
                        raise ConnectionError("a worker has left the cluster")
                    if time.monotonic() > until:
                        raise TimeoutError(f"no answer within {patience:.0f} seconds")
                return answers.result()
            finally:
                answers.cancel()

        return client.sync(call)
