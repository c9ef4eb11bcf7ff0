"""Estimators whose rows lie on the workers of a Dask cluster. Needs the extra ``dask``.

The client drives the fit: schedules, stop rules, callbacks and checkpoints are those of
any fit. An epoch is a round of one task on each worker, which take its steps together
(:mod:`fastmlp.sharded`) and hand the state back. A round that fails, since a worker has
died, is taken again from the state before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastmlp._extras import require
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.exchange import First, Other, accept, connect, listen
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import Data
from fastmlp.sharded import Alone, Epoch, ShardedEpoch, branches
from fastmlp.stream.blocks import Blocks, Stream
from fastmlp.stream.pools import Encode, copy_rows
from fastmlp.stream.sources import Block, as_matrix, column_names, stack_columns

# Rows of a step that make a shard worth while.
LEAST_SHARD_ROWS = 128
# Rows by which checkpoints tell data apart.
SAMPLED_ROWS = 256

Rows = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


class WorkerLostError(RuntimeError):
    """A round has failed more often than ``max_failures``."""


# -- what workers do

_servers: dict[str, Any] = {}


def _part(X: Any, y: Any, weights: Any) -> Rows:
    """A partition as arrays."""
    names = column_names(X)
    matrix = as_matrix(X) if names is None else stack_columns(X, names)
    y, weights = (None if v is None else np.asarray(v) for v in (y, weights))
    return matrix, y, weights


def _join(parts: list[Rows]) -> Rows:
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


def _open_server(fit: str) -> tuple[str, int]:
    """Have this worker wait for the others of a round."""
    from distributed import get_worker
    from distributed.comm import get_address_host

    _close_server(fit)
    server = listen(get_address_host(get_worker().address))
    _servers[fit] = server
    return server.getsockname()[:2]


def _close_server(fit: str) -> None:
    server = _servers.pop(fit, None)
    if server is not None:
        server.close()


class Round(NamedTuple):
    """What the workers of a round must know.

    Parameters
    ----------
    fit : str
        Which fit it is of.
    token : bytes
        What a connection must show.
    addresses : tuple of str
        The workers, the first of them first.
    firsts : tuple of int
        Number of each worker's first shard, and of all shards.
    place : tuple
        Host and port of the first worker's socket.
    epoch : Epoch
        What is to be done.
    """

    fit: str
    token: bytes
    addresses: tuple[str, ...]
    firsts: tuple[int, ...]
    place: tuple[str, int]
    epoch: Epoch

    def branches_of(self, number: int) -> list[tuple[int, int]]:
        """What a worker adds up."""
        first, end = self.firsts[number : number + 2]
        return branches(first, end, self.firsts[-1])


class _Result(NamedTuple):
    params: np.ndarray
    stats: np.ndarray
    slots: np.ndarray
    n_steps: int
    loss: float
    gradient_norm: float


class MisplacedError(RuntimeError):
    """A task of a round was given to another worker than it is for."""


def _run_round(
    number: int, now: Round, state: tuple[Network, Optimizer], shards: list[Data]
) -> _Result | None:
    """An epoch's steps on one worker."""
    from distributed import get_worker

    if get_worker().address != now.addresses[number]:
        raise MisplacedError(f"worker {now.addresses[number]} has gone")
    network, optimizer = state[0].copy(), state[1].copy()
    n_peers, sockets = len(now.addresses) - 1, []
    try:
        exchange: Any = Alone()
        if number == 0 and n_peers:
            sockets = accept(_servers[now.fit], now.token, n_peers)
            theirs = [now.branches_of(peer + 1) for peer in range(n_peers)]
            exchange = First(network, sockets, theirs)
        elif number:
            sockets = [connect(now.place, now.token, number)]
            exchange = Other(network, sockets[0], now.branches_of(number))
        first = now.firsts[number]
        run = ShardedEpoch(network, optimizer, now.epoch, first, shards, exchange)
        run.run()
    finally:
        for peer in sockets:
            peer.close()
        if number == 0:
            _close_server(now.fit)
    if number:
        return None
    return _Result(
        *(network.params, network.stats, optimizer.slots, optimizer.n_steps),
        *(run.loss, run.gradient_norm),
    )


# -- what the client knows of the rows


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
        facts: list[_Facts] = client.gather(client.map(_describe, shards, pure=False))
        self.sizes: list[int] | None = [fact.n_rows for fact in facts]
        self.n_features = facts[0].n_features
        if any(fact.n_features != self.n_features for fact in facts):
            raise ValueError("the partitions of X have different numbers of columns")
        self.dtype = np.result_type(*(fact.dtype for fact in facts))

    def read(self, numbers: Any, *, X: bool = True, y: bool = True) -> Iterator[Block]:
        """Targets and weights of the shards, and of X some rows."""
        first = 0
        for size, shard in zip(self.sizes or (), self.shards, strict=True):
            sample = self.client.submit(_sample, shard).result() if X else None
            targets = self.client.submit(_targets, shard, pure=False).result()
            yield Block(first, sample, *targets)
            first += size


class DaskStream(Stream):
    """Rows on a cluster, in the place of a stream."""

    source: DaskSource

    def __init__(self, source: DaskSource, classes: Any, max_failures: int) -> None:
        # No pool: each shard mixes its own rows.
        super().__init__(source, Blocks(None, pool_rows=2**62, classes=classes))
        self.max_failures = max_failures

    def facts(self, name: str) -> dict[str, Any]:
        """As of any stream, and the shards, by which the sums depend."""
        return {**super().facts(name), f"shards of {name}": self.source.sizes}

    def to_train_on(
        self, encode: Encode, batch_size: int, drops_weightless: bool
    ) -> DaskRows:
        """The shards, encoded where they are."""
        client = self.source.client
        encoded = client.map(
            _encode,
            self.source.shards,
            encode=encode,
            dtype=self.dtype,
            drops_weightless=drops_weightless,
            pure=False,
        )
        return DaskRows(client, encoded, self.max_failures)


class DaskRows:
    """The rows to train on (:class:`fastmlp.rows.RowSource`), on the workers.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    shards : list of Future
        Each as the kernels take it.
    max_failures : int
        Rounds that may fail, one after the other.
    """

    is_sparse = False

    def __init__(self, client: Any, shards: list[Any], max_failures: int) -> None:
        self.client, self.shards, self.max_failures = client, shards, max_failures
        sizes = client.gather(client.map(_count, shards, pure=False))
        self.sizes = tuple(sizes)
        self.fit = secrets.token_hex(8)

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
        self, network: Network, optimizer: Optimizer, batch_size: int
    ) -> DaskTrainer:
        """What runs an epoch on the workers."""
        epoch = Epoch(self.sizes, batch_size, None)
        least = min(self.sizes) // epoch.n_steps
        if network.batch_norm and least < 2:
            raise ValueError(
                "batch_norm needs two rows or more of each shard in every batch, and a "
                f"shard of {min(self.sizes)} rows has {least}: choose a smaller "
                "n_shards or a larger batch_size"
            )
        return DaskTrainer(self, network, optimizer, epoch)


def _count(data: Data) -> int:
    return len(data[1])


class DaskTrainer:
    """Runs epochs on the workers of a cluster (:class:`fastmlp.trainer.Trainer`).

    Parameters
    ----------
    rows : DaskRows
        Where the rows are.
    network, optimizer : Network, Optimizer
        Updated in place after each round.
    epoch : Epoch
        What is the same in all of them.
    """

    team = None

    def __init__(
        self, rows: DaskRows, network: Network, optimizer: Optimizer, epoch: Epoch
    ) -> None:
        self._rows, self._network, self._optimizer = rows, network, optimizer
        self._epoch = epoch
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
        seed = int(order[0]) if len(order) else None
        epoch, lock = self._epoch._replace(seed=seed), self._lock()
        for _ in range(self._rows.max_failures + 1):
            with lock:  # two fits that each had some of the workers would wait forever
                result, error = self._try(epoch)
            if result is not None:
                break
        else:
            raise WorkerLostError(
                f"a round of the fit has failed {self._rows.max_failures + 1} times"
            ) from error
        self._network.params[:], self._network.stats[:] = result.params, result.stats
        self._optimizer.slots[...] = result.slots
        self._optimizer.n_steps = result.n_steps
        self.gradient_norm = result.gradient_norm
        if on_slice is not None:
            on_slice(self._rows.n_rows)
        return result.loss

    def _lock(self) -> Any:
        from distributed import Lock

        client = self._rows.client
        return Lock("fastmlp-round", scheduler_rpc=client.scheduler, loop=client.loop)

    def _try(self, epoch: Epoch) -> tuple[_Result | None, BaseException | None]:
        """The round's result, or why a worker was lost."""
        from distributed import wait

        client, futures = self._rows.client, []
        try:
            now = self._plan(epoch)
            (state,) = client.scatter([(self._network, self._optimizer)], hash=False)
            for number, address in enumerate(now.addresses):
                shards = self._rows.shards[now.firsts[number] : now.firsts[number + 1]]
                options = {"workers": [address], "allow_other_workers": True}
                futures.append(
                    client.submit(
                        *(_run_round, number, now, state, shards),
                        **options,
                        pure=False,
                    )
                )
            pending = futures
            while pending:
                done, pending = wait(pending, return_when="FIRST_COMPLETED")
                for future in done:
                    future.result()
            return futures[0].result(), None
        except BaseException as error:
            client.cancel(futures)
            if not _is_loss(error):
                raise
            return None, error

    def _plan(self, epoch: Epoch) -> Round:
        """Who does what: neighbouring shards go to the same worker."""
        client, n_shards = self._rows.client, len(self._rows.shards)
        workers = sorted(client.scheduler_info(n_workers=-1)["workers"])[:n_shards]
        if not workers:
            client.wait_for_workers(1, timeout=60)
            workers = sorted(client.scheduler_info(n_workers=-1)["workers"])[:n_shards]
        firsts = [n_shards * i // len(workers) for i in range(len(workers) + 1)]
        place: tuple[str, int] = ("", 0)
        if len(workers) > 1:
            place = client.submit(
                _open_server, self._rows.fit, workers=workers[:1], pure=False
            ).result(timeout=60)
        return Round(
            *(self._rows.fit, secrets.token_bytes(32), tuple(workers)),
            *(tuple(firsts), place, epoch),
        )


def _is_loss(error: BaseException) -> bool:
    """Whether an error is that of a worker that has gone, and not one of the data."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    lost = OSError, MisplacedError, KilledWorker, CommClosedError, CancelledError
    return isinstance(error, (*lost, TimeoutError, KeyError))


# -- collections


def _partitions(collection: Any, name: str) -> list[Any] | None:
    """Delayed partitions of a collection, along its rows."""
    if collection is None:
        return None
    if not hasattr(collection, "to_delayed"):
        raise TypeError(
            f"{name} must be a Dask array, data frame or series, got "
            f"{type(collection).__name__}"
        )
    if getattr(collection, "ndim", 1) == 2 and hasattr(collection, "rechunk"):
        collection = collection.rechunk({1: -1})
    return np.ravel(collection.to_delayed()).tolist()


def _in_memory(collection: Any) -> Any:
    """A collection's rows here; what is none, as it is."""
    return collection.compute() if hasattr(collection, "compute") else collection


def count_shards(n_shards: int | str, batch_size: Any, n_partitions: int) -> int:
    """The power of two that is asked for, or as many as have 128 rows of a step each;
    no more than there are partitions.

    Raises
    ------
    ValueError
        If it is no power of two.
    """
    if n_shards == "auto":
        rows = batch_size if isinstance(batch_size, int) else 200
        n_shards = max(1, rows // LEAST_SHARD_ROWS)
    elif not isinstance(n_shards, int) or n_shards < 1 or n_shards & (n_shards - 1):
        raise ValueError(f"n_shards must be 'auto' or a power of two, got {n_shards!r}")
    most = min(int(n_shards), n_partitions)
    return 1 << (most.bit_length() - 1)


def _make_shards(client: Any, parts: list[Any], n_shards: int) -> list[Any]:
    """Futures of shards, neighbouring partitions each, at the workers of a round."""
    from dask import delayed

    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])[:n_shards]
    shards, n_parts = [], len(parts)
    for number in range(n_shards):
        chosen = parts[
            number * n_parts // n_shards : (number + 1) * n_parts // n_shards
        ]
        place = {}
        if workers:
            worker = workers[number * len(workers) // n_shards]
            place = {"workers": [worker], "allow_other_workers": True}
        shards.append(client.compute(delayed(_join)(chosen), **place))
    return shards


class _DaskMLP:
    """What both estimators do."""

    _kind: Any

    def __init__(
        self,
        client: Any = None,
        n_shards: int | str = "auto",
        max_failures: int = 3,
        **params: Any,
    ) -> None:
        self.client, self.n_shards, self.max_failures = client, n_shards, max_failures
        self._model = self._kind(**params)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        own = ("client", "n_shards", "max_failures")
        mine = {name: getattr(self, name) for name in own}
        return {**mine, **self._model.get_params(deep)}

    def set_params(self, **params: Any) -> Any:
        """Change parameters."""
        for name in ("client", "n_shards", "max_failures"):
            if name in params:
                setattr(self, name, params.pop(name))
        self._model.set_params(**params)
        return self

    def __getattr__(self, name: str) -> Any:
        """Fitted attributes are the model's."""
        if name.endswith("_") and not name.startswith("_"):
            return getattr(self._model, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def to_local(self) -> Any:
        """The fitted estimator, which knows nothing of the cluster."""
        return self._model

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        resume_from: Any = None,
    ) -> Any:
        """Fit the network to rows on the cluster.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame
            Inputs, with numbers in all columns.
        y, sample_weight : Dask collection
            Targets, and weights or None, in as many partitions as X.
        X_val, y_val, sample_weight_val : Dask collection or array-like, default=None
            Rows to validate by; they are brought to the client.
        resume_from : str or path-like, default=None
            A checkpoint to go on from.

        Returns
        -------
        self

        Raises
        ------
        WorkerLostError
            If a round has failed more often than ``max_failures``.
        ValueError
            If the data are not fit for training.
        """
        client = self._find_client()
        if "tls" in client.scheduler.address.partition("://")[0]:
            raise ValueError(
                "workers send gradients by sockets without TLS, and this cluster asks "
                "for it"
            )
        stream = self._spread(client, X, y, sample_weight)
        self._model.fit(
            stream,
            X_val=_in_memory(X_val),
            y_val=_in_memory(y_val),
            sample_weight_val=_in_memory(sample_weight_val),
            resume_from=resume_from,
        )
        return self

    def _find_client(self) -> Any:
        if self.client is not None:
            return self.client
        return require("distributed", "dask", type(self).__name__).get_client()

    def _spread(self, client: Any, X: Any, y: Any, sample_weight: Any) -> DaskStream:
        """The collections as shards on the workers."""
        from dask import delayed

        rows, targets, weights = (
            _partitions(collection, name)
            for collection, name in ((X, "X"), (y, "y"), (sample_weight, "weights"))
        )
        if rows is None or targets is None:
            raise ValueError("X and y must be given")
        for others in (targets, weights):
            if others is not None and len(others) != len(rows):
                raise ValueError(
                    f"X has {len(rows)} partitions, and y or sample_weight has "
                    f"{len(others)}: rechunk or repartition them alike"
                )
        none = [None] * len(rows)
        parts = [
            delayed(_part)(*part)
            for part in zip(rows, targets, weights or none, strict=True)
        ]
        n_shards = count_shards(self.n_shards, self._model.batch_size, len(parts))
        shards = _make_shards(client, parts, n_shards)
        source = DaskSource(client, shards, column_names(X))
        return DaskStream(source, None, self.max_failures)

    def _lazy(self, method: Callable[[Any], np.ndarray], X: Any) -> Any:
        """A prediction for each partition, made when it is asked for."""
        probe = np.zeros((1, self._model.n_features_in_), np.float32)
        like = self._model.__class__.__dict__[method.__name__](self._model, probe)
        if hasattr(X, "map_partitions"):
            return X.map_partitions(_predict_frame, method, meta=_like_frame(X, like))
        chunks = (X.chunks[0],) if like.ndim == 1 else (X.chunks[0], (like.shape[1],))
        return X.rechunk({1: -1}).map_blocks(
            method,
            dtype=like.dtype,
            chunks=chunks,
            drop_axis=[1] if like.ndim == 1 else None,
        )

    def predict(self, X: Any) -> Any:
        """The model's predictions, lazily: a collection with the partitions of X.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame
            Inputs.

        Returns
        -------
        dask.array.Array, dask.dataframe.Series or DataFrame
            With the index of X.
        """
        return self._lazy(self._model.predict, X)


def _predict_frame(frame: Any, method: Callable[[Any], np.ndarray]) -> Any:
    """Predictions with the frame's index."""
    import pandas as pd

    outputs = method(frame)
    kind = pd.Series if outputs.ndim == 1 else pd.DataFrame
    return kind(outputs, index=frame.index)


def _like_frame(X: Any, like: np.ndarray) -> Any:
    import pandas as pd

    kind = pd.Series if like.ndim == 1 else pd.DataFrame
    return kind(like[:0], index=X._meta.index[:0])


class DaskMLPClassifier(_DaskMLP):
    """:class:`fastmlp.MLPClassifier` on the workers of a Dask cluster.

    The numbers depend on data, partitions, ``n_shards`` and ``random_state``, and not
    on how many workers there are, nor on those that are lost meanwhile.

    Parameters
    ----------
    client : distributed.Client, default=None
        Of the cluster; None: the current one.
    n_shards : int or 'auto', default='auto'
        Parts of each step, a power of two, each the work of one worker at most. 'auto'
        makes them of 128 rows; there are no more than partitions.
    max_failures : int, default=3
        How often an epoch is taken again because a worker was lost.
    **params
        Those of the estimator. ``batch_size`` is that of a step over all workers.
    """

    _kind = MLPClassifier

    def predict_proba(self, X: Any) -> Any:
        """Probability of each class, lazily, as :meth:`predict`."""
        return self._lazy(self._model.predict_proba, X)


class DaskMLPRegressor(_DaskMLP):
    """:class:`fastmlp.MLPRegressor` on the workers of a Dask cluster.

    See :class:`DaskMLPClassifier` for the parameters.
    """

    _kind = MLPRegressor
