"""One reader for the columns of tables: .csv, .tsv, .jsonl and .parquet, in batches of rows.

`Table` reads one file or several with the same columns. Columns are Apache Arrow arrays. Those of
.csv and .tsv files are strings, since only the caller knows whether a column holds numbers, text or
labels; `labelquorum.cli.files.numeric` parses numbers. Memory does not grow with the number of
rows. Each kind has a module of its own: `delimited`, `json_lines` and `parquet`.

Parquet and CSV are read by pyarrow, file by file. Its datasets are not used: they turn folder names
into columns, read ahead without a bound on memory, and lose the line of a bad row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from labelquorum._shared.files import FileError
from labelquorum.cli.files.delimited import DelimitedReader
from labelquorum.cli.files.json_lines import JsonLinesReader
from labelquorum.cli.files.parquet import ParquetReader
from labelquorum.cli.files.readers import Reader, TextOptions, shown_names
from labelquorum.cli.files.sources import Location, SourceFile, find_files, with_gzip

EXTENSIONS = (*with_gzip(".csv", ".tsv", ".jsonl"), ".parquet")


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
    may_have_others : bool, default=False
        Whether each file may have columns of its own, and any order, beside those that are read.

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
        may_have_others: bool = False,
    ) -> None:
        self.location = location
        self._may_have_others = may_have_others
        self.files = find_files(location, EXTENSIONS, shown_extensions)
        self._options = TextOptions(header, header_names, keep_empty_rows, keep_damaged)
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
            own = chosen
            if reader.names != self.names:
                wanted = [self.names[place] for place in chosen]
                if not self._may_have_others or not {*wanted} <= {*reader.names}:
                    shown = wanted if self._may_have_others else self.names
                    raise FileError(
                        f"{file.name}: the columns must be {shown_names(shown)}, as in "
                        f"{self.files[0].name}, got {shown_names(reader.names)}"
                    )
                own = [reader.names.index(name) for name in wanted]
            first_row = 0
            with file.reading():
                for columns, share in reader.batches(own, max_rows):
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

    def declared_bytes(self, places: Iterable[int]) -> int:
        """The bytes of the values at these places, as far as the files declare it: .parquet."""
        names = [self.names[place] for place in places]
        n_bytes = 0
        for file in self.files:
            with file.reading():
                n_bytes += self._opened(file).declared_bytes(names)
        return n_bytes

    def _opened(self, file: SourceFile) -> Reader:
        with file.reading():
            return _READERS[file.extension](file, self._options)


_READERS: dict[str, Callable[[SourceFile, TextOptions], Reader]] = {
    ".csv": DelimitedReader,
    ".tsv": DelimitedReader,
    ".jsonl": JsonLinesReader,
    ".parquet": ParquetReader,
}
