"""Rows on a cluster, as the estimators know streams: targets here, inputs there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmlp.dask.shards import Shards, results
from fastmlp.dask.trainer import DaskTrainer
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import Data
from fastmlp.sharded import Epoch
from fastmlp.stream.blocks import Blocks, Stream
from fastmlp.stream.pools import Encode, copy_rows
from fastmlp.stream.sources import Block, as_matrix, column_names, stack_columns

# Rows by which checkpoints tell data apart.
SAMPLED_ROWS = 256

Rows = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


# -- what tasks do on the workers


def make_part(X: Any, y: Any, weights: Any) -> Rows:
    """A partition as arrays."""
    names = column_names(X)
    matrix = as_matrix(X) if names is None else stack_columns(X, names)
    y, weights = (None if v is None else np.asarray(v) for v in (y, weights))
    return matrix, y, weights


def join_parts(parts: list[Rows]) -> Rows:
    """Partitions as a shard."""
    first = parts[0]
    X, y, weights = (
        None if first[i] is None else np.concatenate([part[i] for part in parts])
        for i in range(3)
    )
    return X, y, weights  # type: ignore[return-value]


class _Facts(NamedTuple):
    """What the client knows of a shard's inputs."""

    n_rows: int
    n_features: int
    dtype: np.dtype


def _describe(rows: Rows) -> _Facts:
    return _Facts(len(rows[0]), rows[0].shape[1], rows[0].dtype)


def _targets(rows: Rows) -> tuple[np.ndarray | None, np.ndarray | None]:
    return rows[1:]


def _sample(rows: Rows) -> np.ndarray:
    return rows[0][:SAMPLED_ROWS]


def _encode(
    rows: Rows, encode: Encode, dtype: np.dtype, drops_weightless: bool
) -> Data:
    """A shard as the kernels take it."""
    X = np.empty(rows[0].shape, dtype)
    copy_rows(X, Block(0, *rows))
    data = encode(X, rows[1], rows[2])  # type: ignore[arg-type]
    weights = data[2]
    if not drops_weightless or weights is None or weights.all():
        return data
    kept = weights != 0
    return data[0][kept], data[1][kept], weights[kept]


def _count(data: Data) -> int:
    return len(data[1])


# -- what the client knows


class DaskSource:
    """Shards on the workers, as a source of targets (:mod:`fastmlp.stream`).

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    shards : list of Future
        Each a tuple of X, y and weights.
    names : list of str or None
        Of the features.
    """

    is_ordered = False

    def __init__(self, client: Any, shards: list[Any], names: list[str] | None) -> None:
        self.client, self.shards, self.names = client, shards, names
        self.begun = time.monotonic()
        facts: list[_Facts] = results(client, client.map(_describe, shards, pure=False))
        self.sizes: list[int] | None = [fact.n_rows for fact in facts]
        self.n_features = facts[0].n_features
        if any(fact.n_features != self.n_features for fact in facts):
            raise ValueError("the partitions of X have different numbers of columns")
        self.dtype = np.result_type(*(fact.dtype for fact in facts))
        sample = client.submit(_sample, shards[0], pure=False)
        (self._sample,) = results(client, [sample])

    def read(self, numbers: Any, *, X: bool = True, y: bool = True) -> Iterator[Block]:
        """Targets and weights of the shards, or of X some rows."""
        if X:
            yield Block(0, self._sample, None, None)
            return
        first = 0
        for size, shard in zip(self.sizes or (), self.shards, strict=True):
            targets = self.client.submit(_targets, shard, pure=False)
            yield Block(first, None, *results(self.client, [targets])[0])
            first += size


class DaskStream(Stream):
    """Rows on a cluster, in the place of a stream."""

    source: DaskSource

    def __init__(
        self, source: DaskSource, classes: Any, max_failures: int, sync_every: int
    ) -> None:
        # No pool: each shard mixes its own rows.
        super().__init__(source, Blocks(None, pool_rows=2**62, classes=classes))
        self.max_failures, self.sync_every = max_failures, sync_every

    def facts(self, name: str) -> dict[str, Any]:
        """As of any stream, and by what else the sums depend."""
        mine = {f"shards of {name}": self.source.sizes, "sync_every": self.sync_every}
        return {**super().facts(name), **mine}

    def to_train_on(
        self, encode: Encode, batch_size: int, drops_weightless: bool
    ) -> DaskRows:
        """The shards, encoded where they are, in the place of what they were."""
        client = self.source.client
        encoded = client.map(
            _encode,
            self.source.shards,
            encode=encode,
            dtype=self.dtype,
            drops_weightless=drops_weightless,
            pure=False,
        )
        self.source.shards = []  # Dask makes them again if it needs them
        sizes = results(client, client.map(_count, encoded, pure=False))
        shards = Shards(client, encoded, time.monotonic() - self.source.begun)
        return DaskRows(shards, tuple(sizes), self.max_failures, self.sync_every)


class DaskRows:
    """The rows to train on (:class:`fastmlp.rows.RemoteRows`), on the workers.

    Parameters
    ----------
    shards : Shards
        Where they are.
    sizes : tuple of int
        Rows of each shard.
    max_failures : int
        How often a round may fail.
    sync_every : int
        Steps from one exchange to the next.
    """

    is_sparse = False

    def __init__(
        self,
        shards: Shards,
        sizes: tuple[int, ...],
        max_failures: int,
        sync_every: int,
    ) -> None:
        self._shards, self.sizes, self._max_failures = shards, sizes, max_failures
        self._sync_every = sync_every

    @property
    def n_rows(self) -> int:
        """Of all shards."""
        return sum(self.sizes)

    def chunks(self, order: np.ndarray) -> Any:
        """There are none here: workers train."""
        raise TypeError("rows on a cluster are trained on there")

    def largest_input(self) -> float:
        """Not known here."""
        return float("nan")

    def make_trainer(
        self,
        network: Network,
        optimizer: Optimizer,
        batch_size: int,
        schedule: Callable[[np.ndarray], np.ndarray] | None,
    ) -> DaskTrainer:
        """What runs an epoch on the workers."""
        epoch = Epoch(self.sizes, batch_size, sync_every=self._sync_every)
        smallest = min(size for size in self.sizes if size)
        least = smallest // epoch.n_steps
        if network.batch_norm and least < 2:
            raise ValueError(
                "batch_norm needs two rows or more of each shard in every batch, and a "
                f"shard of {smallest} rows has {least}: choose a smaller n_shards or a "
                "larger batch_size"
            )
        return DaskTrainer(
            self._shards, network, optimizer, epoch, schedule, self._max_failures
        )
