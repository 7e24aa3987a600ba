"""What the readers of tables share: their options, and names and fields in messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

from labelquorum._shared.files import FileError
from labelquorum._shared.memory import available_memory, shown_bytes

if TYPE_CHECKING:
    import pyarrow as pa

Columns: TypeAlias = "list[pa.Array]"
Places: TypeAlias = list[int]

MOST_BYTES = (1 << 31) - 1  # that Arrow parses at a time
SHOWN_CHARACTERS = 60
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SHOWN_NAMES = 10
_LEAST_LINE = 1 << 24
_SHARE_OF_MEMORY = 16  # a line is copied and taken apart


class TextOptions(NamedTuple):
    """How files of text are read; see `labelquorum.cli.files.columns.Table`."""

    header: bool | None
    header_names: Collection[str]
    keep_empty_rows: bool
    keep_damaged: bool


class Reader:
    """Reads the columns of one file."""

    names: list[str]
    n_rows: int | None = None  # where the file tells it without being read
    n_damaged = 0  # lines with bytes that are not UTF-8, of what was read so far

    def batches(self, places: Places, max_rows: int | None) -> Iterator[tuple[Columns, float]]:
        """Read the columns at these places; also yield the share of the file that is read."""
        raise NotImplementedError

    def declared_bytes(self, names: Collection[str]) -> int:
        """The bytes of the values in these columns, as far as the file declares it."""
        return 0


def shown_names(names: Collection[str]) -> str:
    """The names in a message: the first ten."""
    shown = ", ".join(islice(names, _SHOWN_NAMES))
    return f"{shown}, ..." if len(names) > _SHOWN_NAMES else shown or "none"


def is_number(field: str) -> bool:
    """Whether this field of a .csv file is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def longest_line() -> int:
    """The number of bytes in the longest line that is read."""
    return min(MOST_BYTES, max(_LEAST_LINE, available_memory() // _SHARE_OF_MEMORY))


def read_line(name: str, content: BinaryIO, longest: int) -> bytes:
    """The next line; FileError if it is longer than `longest`."""
    line = content.readline(longest + 1)
    check_line(name, len(line), longest)
    return line


def check_line(name: str, n_bytes: int, longest: int) -> None:
    """Raise FileError if a line is longer than `longest`."""
    if n_bytes > longest:
        raise FileError(
            f"{name}: a line must have at most {shown_bytes(longest)}: is a line break or a "
            "closing quote missing?"
        )


def check_not_utf_16(name: str, start: bytes) -> None:
    """Raise FileError if a text starts like UTF-16."""
    if start.startswith(UTF_16):
        raise FileError(f"{name}: the text must be UTF-8, got UTF-16: save it as UTF-8")


def check_no_nul(name: str, block: bytes) -> None:
    """Raise FileError if a text has NUL bytes, as UTF-16 and damaged files do."""
    if b"\0" in block:
        line = re.split(rb"[\r\n]", block)
        shown = next(part for part in line if b"\0" in part)[:SHOWN_CHARACTERS]
        raise FileError(
            f"{name}: the text must be UTF-8, got NUL bytes in {shown.decode(errors='replace')!r}: "
            "the file is damaged or UTF-16; save it as UTF-8"
        )


def sliced(columns: Columns, share: float, n: int | None) -> Iterator[tuple[Columns, float]]:
    """Cut columns into slices of at most n rows."""
    n_rows = len(columns[0])
    step = n or n_rows
    for start in range(0, n_rows, step):
        yield [column.slice(start, step) for column in columns], share


def one_line(error: Any) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())
