"""Blocks of an Arrow dataset: Parquet's row groups, or whole files of other formats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.stream.sources import Block, Targets, choose_columns, stack_columns


def is_dataset(source: Any) -> bool:
    """Whether it is a pyarrow Dataset; nothing is imported to see that."""
    return any(
        base.__module__.startswith("pyarrow") and base.__name__ == "Dataset"
        for base in type(source).__mro__
    )


def open_dataset(path: Any) -> Any:
    """The dataset of a Parquet file, or of a folder of them.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    """
    dataset = require("pyarrow.dataset", "arrow", "Blocks of Parquet").dataset
    return dataset(path, format="parquet")


class ArrowRows:
    """A source that decodes a row group, or a file, at a time.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        The rows.
    y, sample_weight : array-like, str or None
        See :class:`Targets`.
    columns : list of str or None
        Features; None: all columns but y and sample_weight.
    """

    is_ordered = False

    def __init__(self, dataset: Any, y: Any, sample_weight: Any, columns: Any) -> None:
        self._schema = dataset.schema
        self._parts = [
            part
            for fragment in dataset.get_fragments()
            for part in _row_groups(fragment)
            if _count_rows(part)
        ]
        self._sizes = [_count_rows(part) for part in self._parts]
        n_rows = sum(self._sizes)
        if n_rows == 0:
            raise ValueError("the source has no rows")
        self._y = Targets(y, n_rows, "y")
        self._weights = Targets(sample_weight, n_rows, "sample_weight")
        others = self._y.column, self._weights.column
        self._columns = choose_columns(self._schema.names, columns, *others)
        if not self._columns:
            raise ValueError("there is no column to learn from")
        self.names: list[str] | None = self._columns
        self.n_features = len(self._columns)
        self.dtype = stack_columns(self._schema.empty_table(), self._columns).dtype

    @property
    def sizes(self) -> list[int] | None:
        """Rows of each row group, or file."""
        return self._sizes

    def read(
        self, numbers: Iterable[int] | None, *, X: bool = True, y: bool = True
    ) -> Iterator[Block]:
        """The blocks, each decoded when it is asked for."""
        firsts = np.cumsum([0, *self._sizes]).tolist()
        asked = [self._y.column, self._weights.column] if y else []
        columns = [*(self._columns if X else []), *filter(None, asked)]
        for number in range(len(self._parts)) if numbers is None else numbers:
            rows = slice(firsts[number], firsts[number + 1])
            table = None
            if columns:
                table = self._parts[number].to_table(
                    columns=list(dict.fromkeys(columns)), schema=self._schema
                )
            yield Block(
                rows.start,
                stack_columns(table, self._columns) if X else None,
                self._y.of(table, rows) if y else None,
                self._weights.of(table, rows) if y else None,
            )


def _row_groups(fragment: Any) -> list[Any]:
    split = getattr(fragment, "split_by_row_group", None)
    return [fragment] if split is None else split()


def _count_rows(part: Any) -> int:
    # Arrow counts the rows of the whole file, of a fragment that is a part of it.
    groups = getattr(part, "row_groups", None)
    if groups is None:
        return part.count_rows()
    return sum(group.num_rows for group in groups)
