"""Reader of .jsonl files."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, BinaryIO

from labelquorum._shared.files import FileError
from labelquorum.cli.files.readers import (
    SHOWN_CHARACTERS,
    Columns,
    Places,
    Reader,
    TextOptions,
    check_not_utf_16,
    longest_line,
    one_line,
    read_line,
    shown_names,
)
from labelquorum.cli.files.sources import SourceFile

_LINES_PER_BATCH = 1 << 16
_BYTES_PER_BATCH = 1 << 26


class JsonLinesReader(Reader):
    """A .jsonl file: an object per line. The fields of the first line are the columns."""

    def __init__(self, file: SourceFile, options: TextOptions) -> None:
        self._file = file
        with file.open() as (content, _):
            first = next(self._objects(content), (1, {}, 0))[1]
        self.names = list(first)
        self.n_damaged = 0

    def _objects(self, content: BinaryIO) -> Iterator[tuple[int, dict[str, Any], int]]:
        """The number, the object and the length of each line that is not empty."""
        name, longest = self._file.name, longest_line()
        number = 0
        while line := read_line(name, content, longest):
            number += 1
            if number == 1:
                check_not_utf_16(name, line)
            line = line.removeprefix(BOM_UTF8)
            text = line.decode(errors="replace")
            self.n_damaged += "\ufffd" in text and text.encode() != line
            if not text or text.isspace():
                continue
            try:
                item = json.loads(text)
            except (ValueError, RecursionError) as error:
                hint = "; lines must end with \\n, got \\r" if "\r" in text.rstrip() else ""
                raise FileError(f"{name}: line {number} is not JSON ({error}){hint}") from error
            if not isinstance(item, dict):
                shown = text.strip()[:SHOWN_CHARACTERS]
                raise FileError(f"{name}: line {number} must be a JSON object, got {shown!r}")
            yield number, item, len(line)

    def batches(self, places: Places, max_rows: int | None) -> Iterator[tuple[Columns, float]]:
        """See `Reader`."""
        names = [self.names[place] for place in places]
        with self._file.open() as (content, share):
            rows: list[tuple[int, dict[str, Any]]] = []
            n_bytes = 0
            for number, item, length in self._objects(content):
                for name in names:
                    if name not in item:
                        raise FileError(
                            f"{self._file.name}: line {number}: no column {name!r}; the columns "
                            f"are {shown_names(item)}"
                        )
                rows.append((number, item))
                n_bytes += length
                if len(rows) >= (max_rows or _LINES_PER_BATCH) or n_bytes >= _BYTES_PER_BATCH:
                    yield [self._column(name, rows) for name in names], share()
                    rows, n_bytes = [], 0
            if rows:
                yield [self._column(name, rows) for name in names], share()

    def _column(self, name: str, rows: list[tuple[int, dict[str, Any]]]) -> Any:
        import pyarrow as pa

        values = [item[name] for _, item in rows]
        if any(isinstance(value, str) for value in values):
            # JSON can name half of a pair of surrogates, which is no character.
            values = [_encodable(value) if isinstance(value, str) else value for value in values]
        kinds = [_kind(value) for value in values]
        for (number, _), value, kind in zip(rows, values, kinds, strict=True):
            if kind is not None and kind != next(filter(None, kinds)):
                raise FileError(
                    f"{self._file.name}: line {number}: {name!r} is "
                    f"{str(value)[:SHOWN_CHARACTERS]!r}, a {kind}; "
                    f"earlier lines hold a {next(filter(None, kinds))}"
                )
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise FileError(f"{self._file.name}: column {name!r}: {one_line(error)}") from error


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _kind(value: Any) -> str | None:
    """What a JSON value is; None for null."""
    if value is None:
        return None
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
    return kinds.get(type(value), "object")
