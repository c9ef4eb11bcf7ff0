"""Blocks as data of an estimator: what is known of them before they are trained on.

Of targets that are never in memory all at once some stand for all: of classes each
once, else the least and the largest of each column. They tell classes, outputs, and
whether targets differ at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import assert_all_finite
from sklearn.utils.class_weight import compute_class_weight

from fastmlp.checkpoints import describe
from fastmlp.estimators._data import Data
from fastmlp.estimators._labels import find_kind, fit_binarizer
from fastmlp.estimators._publication import twin_of
from fastmlp.estimators._warnings import warn
from fastmlp.limits import read_memory
from fastmlp.network import Network
from fastmlp.recipe import FIRST_ORDER_SOLVERS, Recipe
from fastmlp.rows import Data as KernelData
from fastmlp.rows import RowOrder, RowSource, SeededOrder, as_numbers
from fastmlp.settings import check_dtype
from fastmlp.stream import Blocks
from fastmlp.stream.blocks import Stream
from fastmlp.stream.pools import StreamEvaluator, predict
from fastmlp.stream.sources import Block, join
from fastmlp.validation import Evaluates

Validation = tuple[Any, Any, Any]

_BLOCK_BY_BLOCK = Blocks | Stream


@contextmanager
def opened(X: Any, validation: Validation) -> Iterator[tuple[Any, Validation]]:
    """The same, where they are Blocks open for the length of a fit."""
    with ExitStack() as stack:
        X_val, *others = validation
        X, X_val = (
            stack.enter_context(rows.open()) if isinstance(rows, Blocks) else rows
            for rows in (X, X_val)
        )
        yield X, (X_val, *others)


def is_streamed(X: Any) -> bool:
    """Whether rows are read block by block."""
    return isinstance(X, _BLOCK_BY_BLOCK)


# -- to train on


def data_of(
    estimator: Any, stream: Stream, y: Any, sample_weight: Any, reset: bool
) -> Data:
    """A stream to train on, with targets that stand for all and weights of classes.

    Raises
    ------
    ValueError
        If the targets or weights are not fit for training.
    """
    if y is not None or sample_weight is not None:
        raise ValueError(
            "X is Blocks: give y and sample_weight to them, Blocks(source, y=..., "
            "sample_weight=...)"
        )
    check_features(estimator, stream, reset)
    stream = stream.astype(_type_of(estimator, stream))
    census = _Census(estimator)
    stream.scan(census.look)
    targets = census.targets(stream.classes)
    estimator._check_targets(targets, incremental=False)
    data = Data(stream, targets, estimator._encode(targets, stream.dtype), None)
    data.training_weight = _weights_of_classes(estimator, data, census)
    return data


def check_features(estimator: Any, stream: Stream, reset: bool) -> None:
    """Learn the features, or raise ValueError where they are not those of the fit."""
    attributes, names = estimator.__dict__, stream.names
    if reset:
        attributes.pop("feature_names_in_", None)
        estimator.n_features_in_ = stream.source.n_features
        if names is not None:
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        return
    n_features = attributes.get("n_features_in_")
    if stream.source.n_features != n_features:
        raise ValueError(
            f"X has {stream.source.n_features} features, but "
            f"{type(estimator).__name__} is expecting {n_features} features as input"
        )
    fitted = attributes.get("feature_names_in_")
    if fitted is not None and names is not None and [*fitted] != names:
        raise ValueError(
            "The feature names should match those that were passed during fit: "
            f"{[*fitted]}, got {names}"
        )


def _type_of(estimator: Any, stream: Stream) -> np.dtype:
    return stream.dtype if estimator.dtype is None else check_dtype(estimator.dtype)


class _Census:
    """What one pass over targets and weights has found.

    Attributes
    ----------
    counts : dict
        How often each class occurs.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._counts_classes = is_classifier(estimator)
        self.counts: dict[Any, int] = {}
        self._dtypes: set[np.dtype] = set()
        self._range: np.ndarray | None = None
        self._is_weighted = False

    def look(self, block: Block) -> None:
        """Take in a block."""
        y = checked_targets(self._estimator, block.y)
        weights = checked_weights(block.sample_weight, len(y))
        self._is_weighted |= weights is None or bool(weights.any())
        if self._counts_classes and y.ndim == 1:
            if find_kind(y) not in ("binary", "multiclass"):
                fit_binarizer(y)  # says what y is
            self._dtypes.add(y.dtype)
            for label, count in zip(*_count(y), strict=True):
                self.counts[label] = self.counts.get(label, 0) + count
            return
        if self._range is not None and self._range.shape[1:] != y.shape[1:]:
            raise ValueError(
                "y must have the same columns in every block, got the shapes "
                f"{self._range.shape[1:]} and {y.shape[1:]}"
            )
        seen = y if self._range is None else np.concatenate([self._range, y])
        self._range = np.stack([seen.min(axis=0), seen.max(axis=0)])
        if self._counts_classes:
            fit_binarizer(y)

    def targets(self, classes: Any) -> np.ndarray:
        """Those that stand for all."""
        if not self._is_weighted:
            raise ValueError(
                "Sample weights must contain at least one non-zero number."
            )
        if self._range is not None:
            return self._range
        found = np.array(sorted(self.counts))
        if found.dtype.kind in "biuf":
            found = found.astype(np.result_type(*self._dtypes))
        if classes is None:
            return found
        given = np.unique(np.asarray(classes))
        if not set(found.tolist()) <= set(given.tolist()):
            raise ValueError(
                f"y has classes that are not in classes={given.tolist()}: "
                f"{sorted(set(found.tolist()) - set(given.tolist()))}"
            )
        return given


def _count(y: np.ndarray) -> tuple[list, list[int]]:
    labels, counts = np.unique(y, return_counts=True)
    return labels.tolist(), counts.tolist()


def checked_targets(estimator: Any, y: np.ndarray | None) -> np.ndarray:
    """A block's targets, finite, one column as 1-D.

    Raises
    ------
    ValueError
        If there are none, or they are not finite, or of a regressor no numbers.
    """
    if y is None:
        raise ValueError("fit needs targets: Blocks(source, y=...), or batches (X, y)")
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have one axis or two, got the shape {y.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if not is_classifier(estimator):
        y = as_numbers(y, np.dtype(np.float64), "y")
    assert_all_finite(y, input_name="y")
    return y


def checked_weights(weights: np.ndarray | None, n_rows: int) -> np.ndarray | None:
    """A block's weights.

    Raises
    ------
    ValueError
        If they are not one for each row, numbers, finite and not negative.
    """
    if weights is None:
        return None
    weights = as_numbers(weights, np.dtype(np.float64), "sample_weight")
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},), got {weights.shape}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and non-negative")
    return weights


def _weights_of_classes(
    estimator: Any, data: Data, census: _Census
) -> np.ndarray | None:
    """What rows of each class count for, in the order of ``classes_``."""
    if getattr(estimator, "class_weight", None) is None:
        return None
    if not census.counts:
        raise ValueError(
            "class_weight of multilabel targets needs all rows in memory: give Blocks "
            "a sample_weight instead"
        )
    if estimator.class_weight != "balanced":
        return estimator._weigh(data)
    counts = np.array([census.counts.get(label, 0) for label in data.y.tolist()])
    weights, occurs = np.ones(len(counts)), counts > 0
    weights[occurs] = compute_class_weight(
        "balanced",
        classes=data.y[occurs],
        y=data.y[occurs],
        sample_weight=counts[occurs],
    )
    return weights.astype(data.Y.dtype)


def check_fit(estimator: Any, recipe: Recipe, data: Data, given: Data | None) -> None:
    """Refuse what needs all rows at once; warn where few blocks are mixed.

    Raises
    ------
    ValueError
        Of a full-batch solver or batch, of a batch larger than a pool, and where rows
        would have to be held out.
    """
    stream = data.X
    if recipe.is_full_batch:
        raise ValueError(
            f"solver={recipe.solver!r} needs all rows in memory at once; choose one of "
            f"{', '.join(FIRST_ORDER_SOLVERS)} to fit Blocks"
        )
    if recipe.early_stopping and given is None:
        raise ValueError(
            "early_stopping=True cannot hold out rows of Blocks: give fit X_val and "
            "y_val, or Blocks as X_val"
        )
    batch_size = recipe.batch_rows(data.n_rows)
    if batch_size > stream.pool_rows:
        raise ValueError(
            f"batch_size={recipe.batch_size!r} asks for steps of {batch_size} rows, "
            f"more than a pool holds, pool_rows={stream.pool_rows}"
        )
    largest = max(stream.source.sizes)
    is_mixed = largest <= stream.pool_rows // 4 or largest == data.n_rows
    if recipe.shuffle and not is_mixed:
        warn(
            f"A block of the source has {largest} rows, so only few blocks are mixed "
            f"in a pool of {stream.pool_rows}. If the rows are sorted, write smaller "
            "row groups or batches, or give Blocks a folder as spill"
        )


def rows_of(estimator: Any, network: Network, data: Data, batch_size: int) -> RowSource:
    """The stream to train on, its targets encoded pool by pool."""
    encoder = twin_of(estimator)
    encoder.callbacks = None  # what encodes may be sent elsewhere
    encode = partial(_encode, encoder, network, data.training_weight)
    rows = data.X.astype(network.dtype)
    return rows.to_train_on(encode, batch_size, drops_weightless=network.batch_norm)


def _encode(
    estimator: Any,
    network: Network,
    class_weights: np.ndarray | None,
    X: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray | None,
) -> KernelData:
    y = checked_targets(estimator, y)
    estimator._check_validation_targets(y)
    weights = checked_weights(sample_weight, len(y))
    if class_weights is not None:
        of_class = class_weights[np.searchsorted(estimator.classes_, y)]
        weights = of_class if weights is None else of_class * weights
    Y = estimator._trained_on(estimator._encode(y, network.dtype))
    return network.as_data(X, Y, weights)


def warn_of_map(estimator: Any, X: Any) -> None:
    """Warn of a memory map that memory does not hold, where rows are read at random."""
    memory = read_memory()
    if not isinstance(X, np.memmap) or memory is None or X.nbytes <= memory:
        return
    if estimator.shuffle and estimator.solver in FIRST_ORDER_SOLVERS:
        warn(
            f"X is a memory map of {X.nbytes / 1e9:.1f} GB, and there are "
            f"{memory / 1e9:.1f} GB of memory: its rows are read from the disk one by "
            "one, in random order. fastmlp.stream.Blocks(X, y=y) in place of X and y "
            "reads them block by block"
        )


def new_order(data: Data) -> RowOrder:
    """An order for these rows, before any shuffle."""
    kind = SeededOrder if isinstance(data.X, Stream) else RowOrder
    return kind(data.n_rows)


# -- to judge by, to go on with, to predict


def validation_of(estimator: Any, stream: Stream) -> tuple[Stream, Any, Any]:
    """X, y and sample_weight of a stream to judge by: all its targets in memory."""
    check_features(estimator, stream, reset=False)
    targets, weights = [], []

    def look(block: Block) -> None:
        targets.append(checked_targets(estimator, block.y))
        weights.append(checked_weights(block.sample_weight, len(targets[-1])))

    stream.scan(look)
    stream = stream.astype(_type_of(estimator, stream))
    return stream, np.concatenate(targets), join(weights)


def evaluator_of(network: Network, data: Data) -> Evaluates:
    """What evaluates the network over rows to judge by."""
    if isinstance(data.X, Stream):
        return StreamEvaluator(network, data.X, data.Y, data.sample_weight)
    return network.evaluator(network.as_data(data.X, data.Y, data.sample_weight))


def facts_of(name: str, X: Any) -> dict[str, Any]:
    """What tells rows from others (:func:`fastmlp.checkpoints.describe`)."""
    return X.facts(name) if isinstance(X, Stream) else describe(name, X)


def predict_blocks(estimator: Any, network: Network, X: Blocks | Stream) -> np.ndarray:
    """The network's outputs for all rows, block by block."""
    rows = X.open(spills=False) if isinstance(X, Blocks) else nullcontext(X)
    with rows as stream:
        check_features(estimator, stream, reset=False)
        return predict(network, stream)
