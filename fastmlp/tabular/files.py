"""Tables in files: CSV, Parquet and Arrow, read without a frame library."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._extras import require
from fastmlp.model_files import replace_file
from fastmlp.tabular.columns import DATES_HINT, Table, is_missing, read_objects

# What stands for a missing value in a CSV file.
MISSING = {"", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"}
BOOLEANS = {"true": True, "false": False}
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
DELIMITERS = ",;\t|"
ARROW = (".arrow", ".feather", ".ipc")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class File:
    """The columns of a file, as Python's objects: None where a value is missing.

    Parameters
    ----------
    path : str
        The file, for errors.
    columns : dict of str to list
        By their names, all of the same length.
    """

    path: str
    columns: dict[str, list]

    @property
    def n_rows(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> list:
        """One of the columns.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if name not in self.columns:
            raise ValueError(
                f"{self.path} has no column {name!r}; it has "
                f"{', '.join(map(repr, self.columns))}"
            )
        return self.columns[name]

    def table(self, names: Sequence[str], rows: Sequence[int] | None = None) -> Table:
        """Some of the columns, of some rows, as the estimators take them.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, or holds what is neither number nor category.
        """
        columns = []
        for name in names:
            values = self.column(name)
            if rows is not None:
                values = [values[row] for row in rows]
            try:
                columns.append(read_objects(values))
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self.path}, column {name!r}: {error}") from error
        n_rows = self.n_rows if rows is None else len(rows)
        return Table(columns, list(names), n_rows)


def read_file(path: str | os.PathLike[str]) -> File:
    """Read a table.

    Parameters
    ----------
    path : str or path-like
        ``.parquet`` and ``.pq``, ``.arrow``, ``.feather`` and ``.ipc`` are read by
        pyarrow, the extra 'arrow'. All others are CSV: UTF-8, a header, a delimiter
        that is found in it.

    Raises
    ------
    ValueError
        If it is no such file, or has no rows.
    OSError
        If it cannot be read.
    ImportError
        If pyarrow is needed and not installed.
    """
    path = os.fspath(path)
    ending = Path(path).suffix.lower()
    if ending in (*PARQUET, *ARROW):
        columns = _read_arrow(path, ending)
    else:
        columns = _read_csv(path)
    file = File(path, columns)
    if not columns or file.n_rows == 0:
        raise ValueError(f"{path} has no rows")
    return file


def _read_arrow(path: str, ending: str) -> dict[str, list]:
    arrow = require("pyarrow", "arrow", f"a file {ending}")
    try:
        if ending in PARQUET:
            module = require("pyarrow.parquet", "arrow", f"a file {ending}")
            table = module.read_table(path)
        else:
            module = require("pyarrow.feather", "arrow", f"a file {ending}")
            table = module.read_table(path)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    _check_names(path, table.column_names)
    columns = zip(table.column_names, table.columns, strict=True)
    return {name: column.to_pylist() for name, column in columns}


def _read_csv(path: str) -> dict[str, list]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    if "\0" in text:
        raise ValueError(f"{path} is not a text file: it holds zero bytes")
    head = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [row for row in rows if row]
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    if not lines:
        raise ValueError(f"{path} is empty")
    names = [name.strip() for name in lines[0]]
    _check_names(path, names)
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, row {number}: {len(row)} fields, and the header has "
                f"{len(names)}"
            )
    return {
        name: _parse(f"{path}, column {name!r}", [row[j] for row in lines[1:]])
        for j, name in enumerate(names)
    }


def _check_names(path: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"{path} has more than one column called {twice[0]!r}")


def _parse(what: str, fields: list[str]) -> list:
    """A column's fields as numbers, else as booleans, else as strings."""
    fields = [field.strip() for field in fields]
    known = [field for field in fields if field not in MISSING]
    if known and all(DATE.fullmatch(field) for field in known):
        raise ValueError(f"{what} holds dates: {DATES_HINT}")
    if all(field.lower() in BOOLEANS for field in known):
        return [BOOLEANS.get(field.lower()) for field in fields]
    try:
        return [None if f in MISSING else _number(f) for f in fields]
    except ValueError:
        return [None if f in MISSING else f for f in fields]


def _number(field: str) -> int | float:
    if "_" in field:
        raise ValueError(field)
    try:
        return int(field)
    except ValueError:
        return float(field)


def write_csv(path: str | os.PathLike[str], columns: dict[str, np.ndarray]) -> None:
    """Write columns to a CSV file, in one step."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))
    replace_file(path, out.getvalue().encode())


def known_rows(values: list) -> list[int]:
    """Rows whose value is not missing."""
    return [row for row, value in enumerate(values) if not is_missing(value)]


def write_table(path: str | os.PathLike[str], columns: dict[str, Any]) -> None:
    """Write columns to a file of the kind that its name says; CSV, unless Parquet."""
    if Path(path).suffix.lower() not in PARQUET:
        write_csv(path, columns)
        return
    arrow = require("pyarrow", "arrow", "a Parquet file")
    parquet = require("pyarrow.parquet", "arrow", "a Parquet file")
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), sink)
    replace_file(path, sink.getvalue().to_pybytes())
