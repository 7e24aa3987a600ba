"""Files of texts: .txt with a text per line, and columns of tables."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from labelquorum._shared.cells import unmarked
from labelquorum._shared.files import FileError
from labelquorum._shared.memory import MemoryBudget
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.readers import check_not_utf_16, longest_line, read_line
from labelquorum.cli.files.sources import (
    Location,
    SourceFile,
    extension_of,
    find_file,
    with_gzip,
)

_TEXT = "text"  # the column of texts where none is named
_LINES = with_gzip(".txt")
_BYTES_PER_TEXT = 64  # of a string without characters, and of its place in a list
EXTENSIONS = (*_LINES, *tables.EXTENSIONS)


class Texts(NamedTuple):
    """The texts of a location."""

    items: list[str]
    """The texts, in order. Bytes that are not UTF-8 are U+FFFD."""
    n_damaged: int
    """The number of lines with bytes that are not UTF-8."""


def read_texts(location: Location, column: str | None = None) -> Texts:
    r"""Read texts.

    Parameters
    ----------
    location : Location
        A .txt file, whose lines end with \n or \r\n (or all with \r), and where an empty line is
        an empty text; or a table.
    column : str, optional
        The column of a table; None for the one named text, or the only one.

    Raises
    ------
    FileError
        If the location cannot be read, or has no texts.
    """
    if extension_of(location) in _LINES:
        file = find_file(location, _LINES)
        if column is not None:
            raise FileError(f"{file.name}: .txt files have no named columns: {column!r}")
        with file.reading():
            texts = _read_lines(file)
    else:
        texts = _read_table(location, column)
    if not texts.items:
        raise FileError(f"{location}: the file has no text")
    return texts


def _read_lines(file: SourceFile) -> Texts:
    items, n_damaged = [], 0
    budget, longest = MemoryBudget(file.name), longest_line()
    with file.open() as (stream, _):
        content = read_line(file.name, stream, longest)
        check_not_utf_16(file.name, content)
        content = content.removeprefix(BOM_UTF8)
        if not content:
            raise FileError(f"{file.name}: the file is empty")
        if b"\r" in content and not content.endswith(b"\n"):  # the line ends of old Macintoshes
            lines: Iterable[bytes] = content.removesuffix(b"\r").split(b"\r")
        else:
            lines = chain([content], iter(partial(read_line, file.name, stream, longest), b""))
        for line in lines:
            line = line.removesuffix(b"\n")
            text = line.decode(errors="replace")
            # U+FFFD may be in the file itself.
            n_damaged += "\ufffd" in text and text.encode() != line
            budget.take(_BYTES_PER_TEXT + len(line))
            items.append(text.removesuffix("\r"))
    return Texts(items, n_damaged)


def _read_table(location: Location, column: str | None) -> Texts:
    table = tables.Table(
        location,
        header=True,
        keep_empty_rows=True,
        keep_damaged=True,
        shown_extensions=EXTENSIONS,
        may_have_others=True,
    )
    if column is None and len(table.names) == 1:
        place = 0
    else:
        hint = "" if column else "; name the column of the texts with --text-column"
        place = table.place(column or _TEXT, hint)
    items: list[str] = []
    budget = MemoryBudget(str(location))
    for batch in table.batches([place]):
        budget.take(batch.columns[0].nbytes + _BYTES_PER_TEXT * len(batch.columns[0]))
        items += _column_texts(batch, table.names[place])
    return Texts(items, table.n_damaged)


def _column_texts(batch: tables.Batch, name: str) -> list[str]:
    import pyarrow as pa

    column: Any = batch.columns[0]
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not is_text and not pa.types.is_null(kind):
        raise FileError(f"{batch.file}: column {name!r} must hold strings, got {kind}")
    texts = [text or "" for text in column.to_pylist()]
    return [unmarked(text) for text in texts] if batch.is_text else texts
