"""Where the shards of a fit are, and which worker takes which."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from fastmlp.exchange import DEADLINE

# Longest wait for lost shards to be had again, in multiples of the time before the fit.
PATIENCE = 10


class WorkerLostError(RuntimeError):
    """A round has failed more often than ``max_failures``, or rows are lost."""


def present_workers(client: Any) -> list[str]:
    """Addresses of the cluster's workers, in a fixed order."""
    return sorted(client.nthreads())


def results(client: Any, futures: Sequence[Any]) -> list[Any]:
    """What tasks return, however long they take.

    Raises
    ------
    WorkerLostError
        If the cluster has no workers for a minute.
    """
    found: list[Any] = []
    there = time.monotonic()
    while len(found) < len(futures):
        future = futures[len(found)]
        try:
            found.append(future.result(timeout=1))
        except TimeoutError:
            if future.status == "error":
                raise
            if present_workers(client):
                there = time.monotonic()
            elif time.monotonic() - there > DEADLINE:
                raise WorkerLostError("the cluster has no workers") from None
    return found


def assign(holders: Sequence[Collection[str]], workers: Sequence[str]) -> list[str]:
    """A worker for each shard: equally many each, and most of them where they are.

    Parameters
    ----------
    holders : sequence of collection of str
        The workers that hold each shard.
    workers : sequence of str
        Those that are to take part.
    """
    most = -(-len(holders) // len(workers))
    n_chosen = dict.fromkeys(workers, 0)
    homes: list[str | None] = []
    for held_by in holders:
        free = [w for w in workers if w in held_by and n_chosen[w] < most]
        homes.append(free[0] if free else None)
        if free:
            n_chosen[free[0]] += 1
    for number, home in enumerate(homes):
        if home is None:
            homes[number] = home = min(workers, key=n_chosen.__getitem__)
            n_chosen[home] += 1
    return homes  # type: ignore[return-value]


def _same(shard: Any) -> Any:
    return shard


class Shards:
    """The shards of a fit, as futures that Dask computes again when they are lost.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    futures : list of Future
        Each as the kernels take it.
    seconds : float
        What it took to compute them.
    """

    def __init__(self, client: Any, futures: list[Any], seconds: float) -> None:
        self.client, self.futures = client, futures
        self._patience = DEADLINE + PATIENCE * seconds
        self._workers: list[str] = []
        self._team: dict[str, list[int]] = {}

    def lose_team(self) -> None:
        """Ask again where everything is."""
        self._team = {}

    def assemble(self) -> dict[str, list[int]]:
        """Workers of the next round, and which shards each has.

        Shards move only when workers have come or gone.

        Raises
        ------
        WorkerLostError
            If there are no workers, or shards that were lost are not computed again.
        """
        if self._team and present_workers(self.client) == self._workers:
            return self._team
        workers, holders = self._find_holders()
        homes = assign(holders, workers)
        moved = [n for n, home in enumerate(homes) if home not in holders[n]]
        for number in moved:
            self._move(number, homes[number])
        if moved:
            workers, holders = self._find_holders()
        self._workers, self._team = workers, {}
        for number, (home, held_by) in enumerate(zip(homes, holders, strict=True)):
            worker = home if home in held_by else min(held_by)
            self._team.setdefault(worker, []).append(number)
        return self._team

    def _move(self, number: int, worker: str) -> None:
        self.futures[number] = self.client.submit(
            _same,
            self.futures[number],
            workers=[worker],
            allow_other_workers=True,
            pure=False,
        )

    def _find_holders(self) -> tuple[list[str], list[set[str]]]:
        """The workers, and who of them has each shard, once all have been computed."""
        from distributed import wait

        begun = there = time.monotonic()
        while True:
            self._raise_errors()
            with suppress(TimeoutError), self.client.as_current():
                wait(self.futures, 1)
            workers = present_workers(self.client)
            who_has = self.client.who_has(self.futures)
            holders = [{*who_has.get(f.key, ())} & {*workers} for f in self.futures]
            if all(holders):
                return workers, holders
            now = time.monotonic()
            there = now if workers else there
            if now - there > DEADLINE:
                raise WorkerLostError("the cluster has no workers")
            if now - begun > self._patience:
                raise WorkerLostError(
                    "the rows of lost workers have not been computed again within "
                    f"{self._patience:.0f} seconds"
                )
            time.sleep(0.05)

    def _raise_errors(self) -> None:
        from distributed import KilledWorker

        for future in self.futures:
            if future.status == "cancelled":
                raise WorkerLostError(
                    "rows of the fit were lost with their worker, and Dask cannot "
                    "compute them again: they were scattered, or cancelled"
                )
            if future.status != "error":
                continue
            error = future.exception()
            if isinstance(error, KilledWorker):
                raise WorkerLostError(
                    "Dask has given up computing rows again: their workers died more "
                    "often than its distributed.scheduler.allowed-failures"
                ) from error
            raise error
