"""Rows that cost much to read, written once as plain numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastmlp.stream.sources import Source, join


def write_rows(
    source: Source, path: Path, dtype: np.dtype
) -> tuple[int, np.ndarray | None, np.ndarray | None]:
    """Write a source's inputs to a file, row after row.

    Parameters
    ----------
    source : Source
        Gone through once.
    path : Path
        The file.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    tuple
        How many rows there are, and in memory their targets and weights.
    """
    n_rows, targets, weights = 0, [], []
    with path.open("wb") as file:
        for block in source.read(None):
            matrix = np.ascontiguousarray(block.X, dtype)
            matrix.tofile(file)
            n_rows += len(matrix)
            targets.append(block.y)
            weights.append(block.sample_weight)
    return n_rows, join(targets), join(weights)
