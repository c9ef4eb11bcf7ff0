"""What a user hands to fit and predict, and what is open while they run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy as copy_of
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.rows import RowSource
from fastmlp.stream.arrow import ArrowRows, is_dataset, open_dataset
from fastmlp.stream.files import ArrayFile, open_array, unmapped
from fastmlp.stream.pools import Encode, StreamRows
from fastmlp.stream.sources import Batches, Block, SlicedRows, Source, is_batches
from fastmlp.stream.spill import write_rows

# Blocks that a pool mixes, where their size is ours to choose: from single ones a net
# forgets, in a file sorted by label, what it learnt from the last.
BLOCKS_OF_A_POOL = 32
PARQUET = (".parquet", ".pq", "")


@dataclass(eq=False, repr=False)
class Blocks:
    """Rows that are read block by block, in place of X in ``fit`` and ``predict``.

    ``fit(Blocks(source, y=...))`` trains on data that are larger than memory. Each
    epoch takes the blocks in a new random order and mixes the rows of several in a
    pool; a thread reads the next pool while the network learns from this one. The
    result depends on data, seed and pool, and not on the speed of the disk.

    Parameters
    ----------
    source : path, array or object
        The path of a .npy file, of a Parquet file or of a folder of them; a pyarrow
        Dataset; anything with ``len`` and slices of rows (a memory map, a dataset of
        HDF5, a data frame); or batches (X, y) or (X, y, sample_weight): a list of
        them, an object with ``len`` and batches by number, or an iterable that begins
        anew for each epoch. Rows are dense numbers.
    y : array-like, path or str, default=None
        Targets: an array, a .npy file's path or, of a table, a column's name. Batches
        bring their own. ``predict`` does not read them.
    sample_weight : array-like, path or str, default=None
        Non-negative weights of the rows, in the same forms.
    pool_rows : int, default=65536
        Rows that are mixed at a time. Two pools are in memory, in the type that the
        network has.
    spill : path, default=None
        A folder on a fast disk. The rows are read once and written there as plain
        numbers, in a folder of their own that is removed when the fit has ended. For
        Parquet, and for batches that are slow to make.
    columns : list of str or int, default=None
        The features: columns by name in a table, by number in an array. None: all
        columns but y and sample_weight.
    classes : array-like, default=None
        Every class that may occur, of a classifier. None: those that occur.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLPRegressor
    >>> from fastmlp.stream import Blocks
    >>> X = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(-1, 1)
    >>> rows = Blocks(X, y=X[:, 0] ** 2)  # or np.load("X.npy", mmap_mode="r")
    >>> model = MLPRegressor(max_iter=300, learning_rate_init=0.01, random_state=0)
    >>> model.fit(rows).predict(rows).shape
    (1000,)
    """

    source: Any
    y: Any = None
    sample_weight: Any = None
    pool_rows: int = 65_536
    spill: str | os.PathLike[str] | None = None
    columns: Sequence[str] | Sequence[int] | None = None
    classes: ArrayLike | None = None

    def __array__(self, *args: Any, **keywords: Any) -> NoReturn:
        refuse_array()

    @contextmanager
    def open(self, *, spills: bool = True) -> Iterator[Stream]:
        """The rows, open for the length of a ``with`` statement.

        Parameters
        ----------
        spills : bool, default=True
            Whether they are written to the folder ``spill``, if there is one.

        Raises
        ------
        TypeError, ValueError
            If source, y or sample_weight is of another kind, or they do not fit
            together.
        OSError
            If a file cannot be opened.
        """
        if not isinstance(self.pool_rows, Integral) or self.pool_rows < 1:
            raise ValueError(
                f"pool_rows must be a positive integer, got {self.pool_rows!r}"
            )
        with ExitStack() as stack:
            source = self._open_source(stack)
            if spills and self.spill is not None:
                source = self._spill(source, stack)
            yield Stream(source, self)

    def _spill(self, source: Source, stack: ExitStack) -> Source:
        """The same rows, from a file in a folder of their own."""
        folder = TemporaryDirectory(dir=self.spill, prefix="fastmlp-")
        path = Path(stack.enter_context(folder)) / "rows"
        dtype = _type_of(source)
        n_rows, y, weights = write_rows(source, path, dtype)
        file = stack.enter_context(path.open("rb", buffering=0))
        rows = ArrayFile(file, (n_rows, source.n_features), dtype, 0)
        return SlicedRows(rows, y, weights, None, self._block_rows, source.names)

    @property
    def _block_rows(self) -> int:
        return max(1, int(self.pool_rows) // BLOCKS_OF_A_POOL)

    def _open_source(self, stack: ExitStack) -> Source:
        source: Any = self.source
        if isinstance(source, str | os.PathLike):
            suffix = Path(source).suffix.lower()
            if suffix == ".npy":
                source = open_array(source)
            elif suffix in PARQUET:
                source = open_dataset(os.fspath(source))
            else:
                raise ValueError(
                    f"source must be a .npy or .parquet file or a folder of Parquet "
                    f"files, got {os.fspath(source)!r}; open other formats as a "
                    "pyarrow.dataset"
                )
        source = _closed_by(stack, unmapped(source))
        y, weights = (_open_beside(t, stack) for t in (self.y, self.sample_weight))
        if is_dataset(source):
            return ArrowRows(source, y, weights, self.columns)
        if not is_batches(source):
            return SlicedRows(source, y, weights, self.columns, self._block_rows)
        given = {"y": y, "sample_weight": weights, "columns": self.columns}
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name} cannot be given: the source is of batches")
        return Batches(source)


def _open_beside(given: Any, stack: ExitStack) -> Any:
    """Targets or weights: of a path the array in the file."""
    is_name = isinstance(given, str) and not given.endswith(".npy")
    if isinstance(given, str | os.PathLike) and not is_name:
        given = open_array(given)
    return _closed_by(stack, unmapped(given))


def _closed_by(stack: ExitStack, thing: Any) -> Any:
    """The same, closed with the stack if it is a file that was opened here."""
    if isinstance(thing, ArrayFile):
        stack.callback(thing.close)
    return thing


def _type_of(source: Source) -> np.dtype:
    """The type that the source's rows have in memory."""
    return np.dtype(np.float32 if source.dtype == np.float32 else np.float64)


def refuse_array() -> NoReturn:
    """Raise TypeError where rows in memory are needed."""
    raise TypeError(
        "Blocks are taken by fit (as X and X_val), predict, predict_proba and logits "
        "only; what was called needs an array in memory"
    )


class Stream:
    """Blocks that are open.

    Parameters
    ----------
    source : Source
        Where they come from.
    blocks : Blocks
        What was asked for.

    Attributes
    ----------
    dtype : dtype
        float32 or float64: the type that the rows are handed out in.
    names : list of str or None
        Of the features.
    """

    def __init__(self, source: Source, blocks: Blocks) -> None:
        self.source = source
        self.pool_rows, self.classes = int(blocks.pool_rows), blocks.classes
        self.names = source.names
        self.dtype = _type_of(source)

    def __array__(self, *args: Any, **keywords: Any) -> NoReturn:
        refuse_array()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features; of batches, once :meth:`scan` has counted them."""
        if self.source.sizes is None:
            raise RuntimeError("batches have not been counted yet")
        return sum(self.source.sizes), self.source.n_features

    def astype(self, dtype: np.dtype, copy: bool = True) -> Stream:
        """The same rows in another type."""
        other = copy_of(self)
        other.dtype = np.dtype(dtype)
        return other

    def to_train_on(
        self, encode: Encode, batch_size: int, drops_weightless: bool
    ) -> RowSource:
        """The rows as training takes them; see :class:`StreamRows`."""
        return StreamRows(self, encode, batch_size, drops_weightless)

    def scan(self, look: Callable[[Block], None]) -> None:
        """Show all targets and weights, in order; inputs only if they come along."""
        digest = hashlib.sha256()
        for block in self.source.read(None, X=False):
            look(block)
            for part in (block.y, block.sample_weight):
                digest.update(_bytes_of(part))
        self._digest = digest

    def facts(self, name: str) -> dict[str, Any]:
        """What tells these rows from others: shape, pool, and a hash of the targets and
        of the first block.
        """
        digest = self._digest.copy()
        for block in self.source.read(None if self.source.is_ordered else [0]):
            digest.update(_bytes_of(np.asarray(block.X)))
            break
        facts = f"blocks of shape {self.shape}, mixed {self.pool_rows} rows at a time"
        return {name: facts, f"rows of {name}": digest.hexdigest()}


def _bytes_of(array: np.ndarray | None) -> bytes:
    if array is None:
        return b""
    if array.dtype == object:
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).tobytes()
