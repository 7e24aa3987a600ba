"""Tables of results, written to .csv, .parquet or .npz files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.cells import marked
from labelquorum._shared.files import check_writable, is_stream
from labelquorum.cli.files.sources import check_extension


def check_output(path: Path, extensions: tuple[str, ...] = ()) -> None:
    """Raise FileError if `path` clearly cannot be written.

    It must have one of these extensions (by default, those of tables) unless it is a pipe or device
    without one.
    """
    if not _is_nameless(path):
        check_extension(path, extensions or tuple(_WRITERS))
    check_writable(path)


def format_of(path: Path) -> str:
    """The extension that says how to write to `path`: .csv for a pipe or device without one."""
    return ".csv" if _is_nameless(path) else path.suffix.lower()


def _is_nameless(path: Path) -> bool:
    return not path.suffix and is_stream(path)


def write_columns(path: Path, file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of one length to an open file in the format of `path`; None is left empty."""
    _WRITERS[format_of(path)](file, columns)


def _write_csv(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(_Lines(text))
    writer.writerow(columns)
    # As strings, floats have only the digits that their type holds.
    fields = [_fields(column) for column in columns.values()]
    writer.writerows(zip(*fields, strict=True))
    text.detach()


class _Lines:
    r"""Ends lines with \n. The csv module puts a \r in quotes only if it ends lines with it."""

    def __init__(self, target: TextIOWrapper) -> None:
        self._target = target

    def write(self, line: str) -> int:
        return self._target.write(line.removesuffix("\r\n") + "\n")


def _fields(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind == "f":
        return list(column.astype(str).tolist())
    return [marked(item) if isinstance(item, str) else item for item in column.tolist()]


def _write_npz(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    arrays: Any = {name: _without_objects(column) for name, column in columns.items()}
    np.savez(file, **arrays)


def _without_objects(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind != "O":
        return column
    return np.array(["" if item is None else item for item in column.tolist()], dtype=str)


def _write_parquet(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def converted(column: NDArray[Any]) -> Any:
        return pa.array(column.tolist(), pa.string()) if column.dtype.kind in "OU" else column

    pq.write_table(pa.table({name: converted(column) for name, column in columns.items()}), file)


_WRITERS: dict[str, Callable[[BinaryIO, dict[str, NDArray[Any]]], None]] = {
    ".csv": _write_csv,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
