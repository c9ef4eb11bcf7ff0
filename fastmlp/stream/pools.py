"""Epochs over blocks: their order, pools of rows, the thread that reads ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastmlp.memory import kept_matrix
from fastmlp.network import Network
from fastmlp.random_streams import new_stream
from fastmlp.rows import Data, check_kind
from fastmlp.stream.files import ArrayFile
from fastmlp.stream.sources import Block, join

if TYPE_CHECKING:
    from fastmlp.stream.blocks import Stream

Item = TypeVar("Item")

CHANGED = (
    "the source has changed since its first pass: it must give the same blocks "
    "whenever it is read, and an iterable must start again from its first batch"
)

# Targets and weights as the network takes them, of rows in that form.
Encode = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Data]


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="fastmlp-reader") as reader:
        ahead = reader.submit(next, items, None)
        while (item := ahead.result()) is not None:
            ahead = reader.submit(next, items, None)
            yield item


class StreamRows:
    """The rows of a stream, to train on (:class:`fastmlp.rows.RowSource`).

    Parameters
    ----------
    stream : Stream
        Open, and scanned.
    encode : callable
        ``encode(X, y, sample_weight)`` makes of a pool what the kernels take.
    batch_size : int
        Rows of a step: a pool ends with a batch, and what is left goes into the next.
    drops_weightless : bool, default=False
        Whether rows of weight zero are left out.

    Attributes
    ----------
    n_rows : int
        All of them.
    """

    is_sparse = False

    def __init__(
        self,
        stream: Stream,
        encode: Encode,
        batch_size: int,
        drops_weightless: bool = False,
    ) -> None:
        self._stream, self._encode = stream, encode
        self._batch_size, self._drops_weightless = batch_size, drops_weightless
        self._sizes = stream.source.sizes or []
        self.n_rows = sum(self._sizes)
        self._largest = 0.0

    def largest_input(self) -> float:
        """Magnitude of the largest entry of X that has been read."""
        return self._largest

    def chunks(self, order: np.ndarray) -> Iterator[tuple[Data, np.ndarray]]:
        """Pools of an epoch, and the order of their rows.

        Parameters
        ----------
        order : ndarray of shape (1,) or (0,)
            The seed of the epoch's order; without one, rows come as they lie.
        """
        return read_ahead(self._chunks(order))

    def _chunks(self, order: np.ndarray) -> Iterator[tuple[Data, np.ndarray]]:
        stream = new_stream(order[0]) if len(order) else None
        pools = self._choose_pools(stream)
        ordered = self._stream.source.is_ordered
        numbers = None if ordered else list(chain.from_iterable(pools))
        blocks = self._stream.source.read(numbers)
        kept: Data | None = None
        for pool in pools:
            data = self._fill(pool, blocks, kept)
            rows = self._order_rows(data, stream)
            n_used = len(rows)
            if pool is not pools[-1]:
                # Rows of a batch, or one less, stay: the last pool has two at least.
                n_used = (n_used - 1) // self._batch_size * self._batch_size
            if n_used > 0:
                yield data, rows[:n_used]
            kept = _take(data, rows[max(0, n_used) :])
        if next(blocks, None) is not None:
            raise ValueError(CHANGED)

    def _choose_pools(self, stream: np.random.RandomState | None) -> list[list[int]]:
        """Numbers of the blocks of each pool, in an order that the stream draws."""
        numbers = np.arange(len(self._sizes))
        if stream is not None and not self._stream.source.is_ordered:
            stream.shuffle(numbers)
        pools: list[list[int]] = [[]]
        n_rows = 0
        for number in numbers.tolist():
            if n_rows >= self._stream.pool_rows:
                pools.append([])
                n_rows = 0
            pools[-1].append(number)
            n_rows += self._sizes[number]
        return pools

    def _fill(
        self, pool: Sequence[int], blocks: Iterator[Block], kept: Data | None
    ) -> Data:
        """A pool's rows behind those that the last has left."""
        n_kept = 0 if kept is None else len(kept[1])
        n_new = sum(self._sizes[number] for number in pool)
        shape = n_kept + n_new, self._stream.source.n_features
        X = kept_matrix(*shape, self._stream.dtype)
        begin, targets, weights = n_kept, [], []
        for number in pool:
            block = next(blocks, None)
            if block is None or block.y is None or len(block.y) != self._sizes[number]:
                raise ValueError(CHANGED)
            end = begin + len(block.y)
            self._largest = max(self._largest, copy_rows(X[begin:end], block))
            begin = end
            targets.append(block.y)
            weights.append(block.sample_weight)
        _, Y, w = self._encode(X[n_kept:], np.concatenate(targets), join(weights))
        if kept is None:
            return X, Y, w
        X[:n_kept] = kept[0]
        return X, np.concatenate([kept[1], Y]), join([kept[2], w])

    def _order_rows(
        self, data: Data, stream: np.random.RandomState | None
    ) -> np.ndarray:
        rows = np.arange(len(data[1]))
        if stream is not None:
            stream.shuffle(rows)
        weights = data[2]
        if self._drops_weightless and weights is not None:
            rows = rows[weights[rows] != 0]
        return rows


def _take(data: Data, rows: np.ndarray) -> Data:
    X, Y, w = data
    return X[rows], Y[rows], None if w is None else w[rows]


def copy_rows(out: np.ndarray, block: Block) -> float:
    """Copy a block's inputs, cast to the type of ``out``.

    Returns
    -------
    float
        Magnitude of the largest.

    Raises
    ------
    ValueError
        If one is NaN or infinite, or too large for the type.
    """
    X = block.X
    if X is None or X.shape != out.shape:
        raise ValueError(CHANGED)
    check_kind(X, "X")
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(X, ArrayFile) and X.dtype == out.dtype:
            X.read_into(out)
        else:
            out[...] = X
        largest = max(out.max(), -out.min()) if out.size else 0.0
    if np.isfinite(largest):
        return float(largest)
    row, column = np.argwhere(~np.isfinite(out))[0]
    found = "NaN" if np.isnan(out[row, column]) else "infinity"
    or_large = "" if found == "NaN" else f" or a value too large for {out.dtype!r}"
    raise ValueError(
        f"Input X contains {found}{or_large}, in row {block.first + row}, column "
        f"{column} (counted from 0)."
    )


def inputs(stream: Stream) -> Iterator[np.ndarray]:
    """All rows in order, some blocks at a time, read ahead."""
    return read_ahead(_inputs(stream))


def _inputs(stream: Stream) -> Iterator[np.ndarray]:
    blocks, n_rows = [], 0
    for block in stream.source.read(None, y=False):
        blocks.append(block)
        n_rows += len(block.X)  # type: ignore[arg-type]
        if n_rows >= stream.pool_rows:
            yield _gather(stream, blocks, n_rows)
            blocks, n_rows = [], 0
    if blocks:
        yield _gather(stream, blocks, n_rows)


def _gather(stream: Stream, blocks: list[Block], n_rows: int) -> np.ndarray:
    X, begin = kept_matrix(n_rows, stream.source.n_features, stream.dtype), 0
    for block in blocks:
        end = begin + len(block.X)  # type: ignore[arg-type]
        copy_rows(X[begin:end], block)
        begin = end
    return X


def predict(network: Network, stream: Stream) -> np.ndarray:
    """The network's outputs for all rows, block by block."""
    rows = stream.astype(network.dtype)
    return np.concatenate([network.predict(X) for X in inputs(rows)])


class StreamEvaluator:
    """Loss and outputs of rows in blocks (:class:`fastmlp.validation.Evaluates`).

    Parameters
    ----------
    network : Network
        What is evaluated, with the parameters of the moment.
    stream : Stream
        The inputs.
    Y, sample_weight : ndarray, ndarray or None
        Encoded targets and weights of all rows.

    Attributes
    ----------
    team : Team or None
        Who shares the next evaluation.
    """

    def __init__(
        self,
        network: Network,
        stream: Stream,
        Y: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> None:
        self._network, self._stream = network, stream.astype(network.dtype)
        self._Y, self._weights = Y, sample_weight
        self.team: Any = None

    def data_loss_and_outputs(self) -> tuple[float, np.ndarray]:
        """Mean loss of the rows without penalty, and the network's outputs."""
        network, begin = self._network, 0
        total, weight, outputs = 0.0, 0.0, []
        for X in inputs(self._stream):
            rows = slice(begin, begin + len(X))
            w = None if self._weights is None else self._weights[rows]
            data = network.as_data(X, self._Y[rows], w)
            evaluator = network.evaluator(data, self.team)
            loss, found = evaluator.data_loss_and_outputs()
            m = len(X) if w is None else float(w.sum(dtype=float))
            total, weight = total + (m * loss if m else 0.0), weight + m
            outputs.append(found)
            begin = rows.stop
        return total / weight, np.concatenate(outputs)
