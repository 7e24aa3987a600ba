"""One reader for the columns of tables: .csv, .tsv, .jsonl and .parquet, in batches of rows.

`Table` reads one file or several with the same columns. Columns are Apache Arrow arrays. Those of
.csv and .tsv files are strings, since only the caller knows whether a column holds numbers, text or
labels; `labelquorum.cli.files.numeric` parses numbers. Memory does not grow with the number of
rows.

Parquet and CSV are read by pyarrow, file by file. Its datasets are not used: they turn folder names
into columns, read ahead without a bound on memory, and lose the line of a bad row.
"""

from __future__ import annotations

import csv
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Iterator
from io import RawIOBase, TextIOWrapper
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeAlias

from labelquorum._shared.files import FileError, fields_of_any_length
from labelquorum.cli.files.sources import Location, SourceFile, find_files, with_gzip

if TYPE_CHECKING:
    import pyarrow as pa

EXTENSIONS = (*with_gzip(".csv", ".tsv", ".jsonl"), ".parquet")

_BYTES_PER_BATCH = 1 << 22  # of .csv and .tsv files
_MOST_BYTES = (1 << 31) - 1  # that Arrow parses at a time
_VALUES_PER_BATCH = 1 << 24  # of .parquet files
_LINES_PER_BATCH = 1 << 16  # of .jsonl files
_SHOWN_CHARACTERS = 60
_SHOWN_NAMES = 10
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

_Columns: TypeAlias = "list[pa.Array]"
_Places: TypeAlias = list[int]


class Batch(NamedTuple):
    """Some columns of consecutive rows of a file."""

    columns: list[Any]
    """Arrow arrays of one length, in the order in which they were asked for."""
    file: str
    """The name of the file, for messages."""
    first_row: int
    """The number of the first row in its file, from 0."""
    share: float
    """The share of all files that has been read with this batch, 0 to 1."""
    is_text: bool
    """Whether the columns are strings that may stand for numbers, as in .csv files."""


class _Reader(Protocol):
    names: list[str]
    n_rows: int | None
    n_damaged: int

    def batches(self, places: _Places, max_rows: int | None) -> Iterator[tuple[_Columns, float]]:
        """Read the columns at these places; also yield the share of the file that is read."""


class Table:
    """The columns of a file, or of several files that have the same ones.

    Parameters
    ----------
    location : Location
        A file, folder, pattern or URL.
    header : bool, optional
        Whether .csv and .tsv files start with a line of names; None to tell by that line.
    header_names : collection of str
        Names that mark the first line as one of names.
    keep_empty_rows : bool, default=False
        Whether an empty line of a .csv or .tsv file with one column is a row with an empty field.
    keep_damaged : bool, default=False
        Whether bytes that are not UTF-8 become U+FFFD; they are an error otherwise.
    shown_extensions : tuple of str
        The extensions that messages name, where the caller reads others besides.

    Raises
    ------
    FileError
        If a file cannot be read. Each method that reads raises it, too.
    """

    def __init__(
        self,
        location: Location,
        *,
        header: bool | None = None,
        header_names: Collection[str] = (),
        keep_empty_rows: bool = False,
        keep_damaged: bool = False,
        shown_extensions: tuple[str, ...] = EXTENSIONS,
    ) -> None:
        self.location = location
        self.files = find_files(location, EXTENSIONS, shown_extensions)
        self._options = _TextOptions(header, header_names, keep_empty_rows, keep_damaged)
        self._first = self._opened(self.files[0])
        self.names = self._first.names
        self.n_damaged = 0  # lines with bytes that are not UTF-8, of what was read so far

    def place(self, name: str, hint: str = "") -> int:
        """The place of a column; the hint follows in the message if there is none."""
        if name not in self.names:
            raise FileError(
                f"{self.location}: no column {name!r}; the columns are "
                f"{shown_names(self.names)}{hint}"
            )
        return self.names.index(name)

    def batches(
        self, places: Iterable[int] | None = None, *, max_rows: int | None = None
    ) -> Iterator[Batch]:
        """Read the columns at these places (all if None), at most `max_rows` rows at a time."""
        chosen = list(range(len(self.names))) if places is None else list(places)
        n_bytes, n_read = sum(file.size for file in self.files), 0
        for i, file in enumerate(self.files):
            reader = self._opened(file) if i else self._first
            if reader.names != self.names:
                raise FileError(
                    f"{file.name}: the columns must be {shown_names(self.names)}, as in "
                    f"{self.files[0].name}, got {shown_names(reader.names)}"
                )
            first_row = 0
            with file.reading():
                for columns, share in reader.batches(chosen, max_rows):
                    n_rows = len(columns[0]) if columns else 0
                    share = (n_read + share * file.size) / n_bytes
                    is_text = file.extension in (".csv", ".tsv")
                    yield Batch(columns, file.name, first_row, share, is_text)
                    first_row += n_rows
            self.n_damaged += reader.n_damaged
            n_read += file.size

    @property
    def n_rows(self) -> int | None:
        """The number of rows, where the files tell it without being read: .parquet."""
        numbers = [self._first.n_rows, *(self._opened(file).n_rows for file in self.files[1:])]
        return None if None in numbers else sum(filter(None, numbers))

    def _opened(self, file: SourceFile) -> _Reader:
        with file.reading():
            return _READERS[file.extension](file, self._options)


def shown_names(names: Collection[str]) -> str:
    """The names in a message: the first ten."""
    shown = ", ".join(islice(names, _SHOWN_NAMES))
    return f"{shown}, ..." if len(names) > _SHOWN_NAMES else shown or "none"


class _TextOptions(NamedTuple):
    header: bool | None
    header_names: Collection[str]
    keep_empty_rows: bool
    keep_damaged: bool


class _Utf8Stream(RawIOBase):
    """A stream of text that is valid UTF-8, without a byte-order mark."""

    def __init__(self, file: SourceFile, content: BinaryIO, *, replace: bool) -> None:
        self._name = file.name
        self._content = content
        self._replace = replace
        self._buffer = memoryview(b"")
        self._is_first = True
        self.n_damaged = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._buffer:
            # Whole lines, so that no character is cut.
            block = self._content.read(size) + self._content.readline()
            self._buffer = memoryview(self._checked(block))
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(taken)

    def _checked(self, block: bytes) -> bytes:
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(BOM_UTF8)
        if block.isascii():
            return block
        try:
            block.decode()
        except UnicodeDecodeError:
            lines = block.split(b"\n")
            texts = [line.decode(errors="replace").encode() for line in lines]
            damaged = [text for line, text in zip(lines, texts, strict=True) if line != text]
            if not self._replace:
                shown = damaged[0].decode().strip()[:_SHOWN_CHARACTERS]
                raise FileError(
                    f"{self._name}: the text must be UTF-8, got other bytes in {shown!r}"
                ) from None
            self.n_damaged += len(damaged)
            block = b"\n".join(texts)
        return block


class _DelimitedReader:
    """A .csv or .tsv file. Columns without names are called by their numbers."""

    n_rows: int | None = None
    n_damaged = 0

    def __init__(self, file: SourceFile, options: _TextOptions) -> None:
        self._file = file
        self._keeps_damaged = options.keep_damaged
        self._delimiter = "\t" if file.extension == ".tsv" else ","
        first, second = self._first_rows()
        if first and first[0].startswith("sep="):
            raise FileError(
                f"{file.name}: the first line is {','.join(first)!r}, which only Excel reads: "
                "delete it. Fields must be separated by commas"
            )
        self._keeps_empty_rows = options.keep_empty_rows and len(first) <= 1
        if not first and not self._keeps_empty_rows:
            raise FileError(f"{file.name}: the first line is empty")
        self._n_columns = max(1, len(first))
        self._block_size = _block_size([first, second])
        self._has_header = options.header
        if self._has_header is None:
            self._has_header = bool(set(options.header_names) & set(first)) or _is_header(
                file.name, first, second
            )
        self.names = first or [""]
        if not self._has_header:
            self.names = [str(i) for i in range(self._n_columns)]

    def _first_rows(self) -> tuple[list[str], list[str]]:
        with self._file.open() as (content, _):
            if content.read(2) in _UTF_16:
                raise FileError(f"{self._file.name}: the text must be UTF-8, got UTF-16")
            content.seek(0)
            text = TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="")
            with fields_of_any_length():
                rows = csv.reader(text, delimiter=self._delimiter)
                first, second = next(rows, []), next(rows, [])
            text.detach()
        return first, second

    def batches(self, places: _Places, max_rows: int | None) -> Iterator[tuple[_Columns, float]]:
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
                        yield from _sliced(batch.columns, share(), max_rows)
            except pa.ArrowInvalid as error:
                if not bad_rows:
                    raise
                raise FileError(self._message(bad_rows[0])) from error
            self.n_damaged = stream.n_damaged

    def _message(self, row: Any) -> str:
        shown = row.text.strip()[:_SHOWN_CHARACTERS]
        n_fields = f"{row.actual_columns} field{'s' if row.actual_columns > 1 else ''}"
        message = f"{self._file.name}: line {row.number}, {shown!r}, has {n_fields}, but "
        message += f"the first line has {row.expected_columns}"
        if row.expected_columns == 1:
            separator = "tabs" if self._delimiter == "\t" else "commas"
            return f"{message}. Fields must be separated by {separator}, and only one line of " + (
                "names may come first"
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
    return min(max(_BYTES_PER_BATCH, 8 * longest), _MOST_BYTES)


def _sliced(columns: _Columns, share: float, n: int | None) -> Iterator[tuple[_Columns, float]]:
    """Cut columns into slices of at most n rows."""
    n_rows = len(columns[0])
    step = n or n_rows
    for start in range(0, n_rows, step):
        yield [column.slice(start, step) for column in columns], share


def _is_header(file: str, first: list[str], second: list[str]) -> bool:
    """Tell by its fields whether the first line holds names; where that is a guess, refuse."""
    if first and not first[0].strip():
        raise FileError(
            f"{file}: the first column has no name, as if row numbers had been saved with the "
            "data; save the file without them (in pandas: index=False)"
        )
    if _may_be_names(first, second):
        raise FileError(
            f"{file}: the first line, {','.join(first[:4])}..., may hold names or a sample: say "
            "which with --header or --no-header"
        )
    return not any(is_number(field) for field in first)


def _may_be_names(first: list[str], second: list[str]) -> bool:
    """Whether the numbers in the first line may be names: 0, 1, 2, ... or 2019, 2020, 2021."""
    if first == [str(i) for i in range(len(first))]:
        return True
    # Two numbers in a row are often a sample.
    return len(first) > 2 and _count_up(first) and bool(second) and not _count_up(second)


def _count_up(fields: list[str]) -> bool:
    if not all(field.strip().isdecimal() for field in fields):
        return False
    numbers = [int(field) for field in fields]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def is_number(field: str) -> bool:
    """Whether this field of a .csv file is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


class _JsonLinesReader:
    """A .jsonl file: an object per line. The fields of the first line are the columns."""

    n_rows: int | None = None
    n_damaged = 0

    def __init__(self, file: SourceFile, options: _TextOptions) -> None:
        self._file = file
        with file.open() as (content, _):
            first = next(self._objects(content), (1, {}))[1]
        self.names = list(first)
        self.n_damaged = 0

    def _objects(self, content: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
        """The number and the object of each line that is not empty."""
        name = self._file.name
        for number, line in enumerate(content, 1):
            if number == 1 and line.startswith(_UTF_16):
                raise FileError(f"{name}: the text must be UTF-8, got UTF-16")
            line = line.removeprefix(BOM_UTF8)
            text = line.decode(errors="replace")
            self.n_damaged += "\ufffd" in text and text.encode() != line
            if not text or text.isspace():
                continue
            try:
                item = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise FileError(f"{name}: line {number} is not JSON ({error})") from error
            if not isinstance(item, dict):
                shown = text.strip()[:_SHOWN_CHARACTERS]
                raise FileError(f"{name}: line {number} must be a JSON object, got {shown!r}")
            yield number, item

    def batches(self, places: _Places, max_rows: int | None) -> Iterator[tuple[_Columns, float]]:
        names = [self.names[place] for place in places]
        with self._file.open() as (content, share):
            objects = self._objects(content)
            while rows := list(islice(objects, max_rows or _LINES_PER_BATCH)):
                for number, item in rows:
                    for name in names:
                        if name not in item:
                            raise FileError(
                                f"{self._file.name}: line {number}: no column {name!r}; the "
                                f"columns are {shown_names(item)}"
                            )
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
                    f"{str(value)[:_SHOWN_CHARACTERS]!r}, a {kind}; "
                    f"earlier lines hold a {next(filter(None, kinds))}"
                )
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            message = " ".join(str(error).split())
            raise FileError(f"{self._file.name}: column {name!r}: {message}") from error


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _kind(value: Any) -> str | None:
    """What a JSON value is; None for null."""
    if value is None:
        return None
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
    return kinds.get(type(value), "object")


class _ParquetReader:
    """A .parquet file. The row names that pandas keeps in columns of their own are left out."""

    n_damaged = 0

    def __init__(self, file: SourceFile, options: _TextOptions) -> None:
        from pyarrow import parquet

        self._file = file
        with parquet.ParquetFile(file.path, filesystem=file.filesystem) as content:
            schema, self.n_rows = content.schema_arrow, content.metadata.num_rows
        self.names = [name for name in schema.names if not name.startswith("__index_level_")]

    def batches(self, places: _Places, max_rows: int | None) -> Iterator[tuple[_Columns, float]]:
        from pyarrow import parquet

        names = [self.names[place] for place in places]
        n_rows = max_rows or max(1, _VALUES_PER_BATCH // max(1, len(names)))
        n_read = 0
        with parquet.ParquetFile(self._file.path, filesystem=self._file.filesystem) as content:
            for batch in content.iter_batches(n_rows, columns=names):
                n_read += batch.num_rows
                if batch.num_rows:
                    columns = [batch.column(name) for name in names]
                    yield columns, n_read / content.metadata.num_rows


_READERS: dict[str, Callable[[SourceFile, _TextOptions], _Reader]] = {
    ".csv": _DelimitedReader,
    ".tsv": _DelimitedReader,
    ".jsonl": _JsonLinesReader,
    ".parquet": _ParquetReader,
}
