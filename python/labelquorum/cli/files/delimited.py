"""Reader of .csv and .tsv files."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from io import BufferedReader, RawIOBase, TextIOWrapper
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from labelquorum._shared.files import FileError, fields_of_any_length
from labelquorum.cli.files.readers import (
    MOST_BYTES,
    SHOWN_CHARACTERS,
    Columns,
    Places,
    Reader,
    TextOptions,
    check_line,
    check_no_nul,
    check_not_utf_16,
    is_number,
    longest_line,
    read_line,
    sliced,
)
from labelquorum.cli.files.sources import SourceFile

_BYTES_PER_BATCH = 1 << 22
_ROWS_AHEAD = 21  # that tell what the first line is


class _Utf8Stream(RawIOBase):
    """A stream of text that is valid UTF-8, without a byte-order mark or NUL bytes."""

    def __init__(self, file: SourceFile, content: BinaryIO, *, replace: bool) -> None:
        self._name = file.name
        self._content = content
        self._replace = replace
        self._longest_line = longest_line()
        self._buffer = memoryview(b"")
        self._is_first = True
        self.n_damaged = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        taken = self.read(len(target))
        target[: len(taken)] = taken
        return len(taken)

    def read(self, size: int = -1) -> bytes:
        if not self._buffer:
            # Whole lines, so that no character is cut.
            block = self._content.read(size)
            block += read_line(self._name, self._content, self._longest_line)
            self._buffer = memoryview(self._checked(block))
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(taken)

    def _checked(self, block: bytes) -> bytes:
        if self._is_first:
            self._is_first = False
            check_not_utf_16(self._name, block)
            block = block.removeprefix(BOM_UTF8)
        check_no_nul(self._name, block)
        if block.isascii():
            return block
        try:
            block.decode()
        except UnicodeDecodeError:
            lines = block.split(b"\n")
            texts = [line.decode(errors="replace").encode() for line in lines]
            damaged = [text for line, text in zip(lines, texts, strict=True) if line != text]
            if not self._replace:
                shown = damaged[0].decode().strip()[:SHOWN_CHARACTERS]
                raise FileError(
                    f"{self._name}: the text must be UTF-8, got other bytes in {shown!r}: save it "
                    "as UTF-8 (it may be Latin-1 or Windows-1252)"
                ) from None
            self.n_damaged += len(damaged)
            block = b"\n".join(texts)
        return block


class DelimitedReader(Reader):
    """A .csv or .tsv file. Columns without names are called by their numbers."""

    def __init__(self, file: SourceFile, options: TextOptions) -> None:
        self._file = file
        self._keeps_damaged = options.keep_damaged
        self._delimiter = "\t" if file.extension == ".tsv" else ","
        self._separator = "tabs" if self._delimiter == "\t" else "commas"
        rows, lines = self._first_rows()
        first = rows[0] if rows else []
        below = [row for row in rows[1:] if any(row)]
        self._keeps_empty_rows = options.keep_empty_rows and len(first) <= 1
        if not first and not self._keeps_empty_rows:
            raise FileError(f"{file.name}: the first line is empty: delete it")
        self._check_dialect(first, below, lines)
        self._n_columns = max(1, len(first))
        self._block_size = _block_size(rows)
        self._has_header = options.header
        if self._has_header is None:
            is_quoted = _is_quoted(lines[0]) and not any(map(_is_quoted, lines[1:]))
            self._has_header = bool(set(options.header_names) & set(first)) or _is_header(
                file.name, first, below, is_quoted
            )
        self.names = first or [""]
        if not self._has_header:
            self.names = [str(i) for i in range(self._n_columns)]

    def _first_rows(self) -> tuple[list[list[str]], list[str]]:
        """The first rows of the file, and their lines."""
        lines: list[str] = []
        longest = longest_line()

        def recorded(text: TextIOWrapper) -> Iterator[str]:
            n_read = 0
            for line in text:
                n_read += len(line)
                check_line(self._file.name, n_read, longest)  # a quote may never be closed
                lines.append(line)
                yield line

        with self._file.open() as (content, _):
            stream = _Utf8Stream(self._file, content, replace=self._keeps_damaged)
            text = TextIOWrapper(BufferedReader(stream), encoding="utf-8", newline="")
            with fields_of_any_length():
                reader = csv.reader(recorded(text), delimiter=self._delimiter)
                rows = list(islice(reader, _ROWS_AHEAD))
        return rows, lines

    def _check_dialect(self, first: list[str], below: list[list[str]], lines: list[str]) -> None:
        """Refuse a first line that is none of this kind of file, and say what to do."""
        if not first:
            return
        shown = lines[0].strip()[:SHOWN_CHARACTERS]
        advice = f"delete it. Fields must be separated by {self._separator}"
        if first[0].lower().startswith("sep="):
            raise FileError(
                f"{self._file.name}: the first line is {shown!r}, which only Excel reads: {advice}"
            )
        is_comment = first[0].startswith("# ") if len(first) == 1 else first[0].startswith("#")
        if is_comment and (len(first) == 1 or (below and len(below[0]) != len(first))):
            raise FileError(f"{self._file.name}: the first line, {shown!r}, is a comment: {advice}")
        for separator, name in _SEPARATORS.items():
            n = lines[0].count(separator)
            is_of_all = n and all(line.count(separator) >= n for line in lines[1:] if line.strip())
            if len(first) == 1 and below and is_of_all and not _is_quoted(lines[0]):
                advice = f"save it with {self._separator}, and decimals with points"
                if separator in _EXTENSIONS:
                    advice = f"rename it to {_EXTENSIONS[separator]}"
                raise FileError(
                    f"{self._file.name}: fields must be separated by {self._separator}, got {name} "
                    f"in the first line, {shown!r}: {advice}. If there is only one column, put "
                    "its fields in quotes"
                )

    def batches(self, places: Places, max_rows: int | None) -> Iterator[tuple[Columns, float]]:
        """See `Reader`."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        names = [str(i) for i in range(self._n_columns)]  # those of the file may be equal
        chosen = [names[place] for place in places]
        bad_rows: list[Any] = []

        def handle(row: Any) -> str:
            if row.text.isspace():
                return "skip"
            bad_rows.append(row)
            return "error"

        with self._file.open() as (content, share):
            stream = _Utf8Stream(self._file, content, replace=self._keeps_damaged)
            try:
                batches = arrow_csv.open_csv(
                    pa.PythonFile(stream, mode="r"),
                    # One thread, which is enough here and knows the line of a bad row.
                    arrow_csv.ReadOptions(
                        use_threads=False,
                        block_size=self._block_size,
                        column_names=names,
                        skip_rows_after_names=int(bool(self._has_header)),
                    ),
                    arrow_csv.ParseOptions(
                        delimiter=self._delimiter,
                        newlines_in_values=True,
                        ignore_empty_lines=not self._keeps_empty_rows,
                        invalid_row_handler=handle,
                    ),
                    arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()),
                        include_columns=chosen,
                        null_values=[],
                        check_utf8=False,  # done by the stream
                    ),
                )
                for batch in batches:
                    if len(batch):
                        yield from sliced(batch.columns, share(), max_rows)
            except pa.ArrowInvalid as error:
                if not bad_rows and "straddling" in str(error):
                    raise FileError(
                        f"{self._file.name}: a row must have at most {self._block_size:,} bytes: "
                        "is a closing quote missing?"
                    ) from error
                if not bad_rows:
                    raise
                raise FileError(self._message(bad_rows[0])) from error
            self.n_damaged = stream.n_damaged

    def _message(self, row: Any) -> str:
        shown = row.text.strip()[:SHOWN_CHARACTERS]
        n_fields = f"{row.actual_columns} field{'s' if row.actual_columns > 1 else ''}"
        message = f"{self._file.name}: line {row.number}, {shown!r}, has {n_fields}, but "
        message += f"the first line has {row.expected_columns}"
        if row.expected_columns == 1:
            return (
                f"{message}. Fields must be separated by {self._separator}, decimals written with "
                "points, and only one line of names may come first"
            )
        if row.actual_columns < row.expected_columns and self._is_last(row.text):
            message += "; the file may be cut off"
        return message

    def _is_last(self, line: str) -> bool:
        if self._file.is_compressed:
            return False
        with self._file.open() as (content, _):
            content.seek(max(0, self._file.size - len(line.encode()) - 2))
            end = content.read().rstrip(b"\r\n").rpartition(b"\n")[2]
        return end == line.encode().rstrip(b"\r\n")


def _block_size(rows: list[list[str]]) -> int:
    """The number of bytes to parse at a time, which must be more than those of a row."""
    longest = max(sum(len(field) + 3 for field in row) for row in rows)
    return min(max(_BYTES_PER_BATCH, 8 * longest), MOST_BYTES)


_EXTENSIONS = {"\t": ".tsv", ",": ".csv"}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}


def _is_quoted(line: str) -> bool:
    return line.startswith('"')


def _is_header(file: str, first: list[str], below: list[list[str]], is_quoted: bool) -> bool:
    """Tell by its fields whether the first line holds names; where that is a guess, refuse.

    `below` are the rows after it. `is_quoted` tells that only the first line has quotes.
    """
    if first and not first[0].strip():
        raise FileError(
            f"{file}: the first column has no name, as if row numbers had been saved with the "
            "data; save the file without them (in pandas: index=False)"
        )
    is_name = [not is_number(field) for field in first]
    if all(is_name):
        return True
    if any(is_name):
        may_be_names = _has_name_over_numbers(is_name, below)
    else:
        may_be_names = is_quoted or _may_be_names(first, below)
    if may_be_names:
        raise FileError(
            f"{file}: the first line, {','.join(first[:4])}..., may hold names or a sample: say "
            "which with --header or --no-header"
        )
    return False


def _has_name_over_numbers(is_name: list[bool], below: list[list[str]]) -> bool:
    columns = [i for i, name in enumerate(is_name) if name]
    rows = [row for row in below if len(row) == len(is_name)]
    return bool(rows) and any(all(is_number(row[i]) for row in rows) for i in columns)


_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_YEARS = range(1900, 2101)


def _may_be_names(first: list[str], below: list[list[str]]) -> bool:
    """Whether the numbers in the first line may be names.

    They may if they go up or down in equal steps (0, 1, 2), are years, or are whole numbers above
    fractions, and the next row is not the same.
    """
    if first == [str(i) for i in range(len(first))]:
        return True
    if not below or len(set(first)) < len(first):
        return False
    if _are_integers(first) and not any(_INTEGER.fullmatch(x) for row in below for x in row):
        return True
    return any(kind(first) and not kind(below[0]) for kind in (_are_steps, _are_years))


def _are_integers(fields: list[str]) -> bool:
    return all(_INTEGER.fullmatch(field) for field in fields)


def _are_years(fields: list[str]) -> bool:
    return _are_integers(fields) and all(int(field) in _YEARS for field in fields)


def _are_steps(fields: list[str]) -> bool:
    """Whether the fields are numbers that go up or down in equal steps."""
    # Two numbers in a row are often a sample, and so are three, unless they count.
    if len(fields) <= 2 or not all(map(is_number, fields)):
        return False
    with np.errstate(invalid="ignore", over="ignore"):  # of 1e308 and infinity
        steps = np.diff([float(field) for field in fields])
    is_equal = bool(steps[0]) and np.allclose(steps, steps[0], rtol=0.05, atol=0)
    return bool(is_equal and (len(fields) > 3 or abs(steps[0]) == 1))
