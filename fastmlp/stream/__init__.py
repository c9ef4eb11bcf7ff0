"""Rows that are read block by block: for data that are larger than memory."""

from fastmlp.stream.blocks import Blocks

__all__ = ["Blocks"]
