"""Files of texts in: .txt, .csv, .jsonl (each also .gz) and .parquet."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from labelquorum._shared.files import FileError, fields_of_any_length, reading
from labelquorum.cli.files.partitions import check_format

_TEXT = "text"  # the column of texts where none is named


class Texts(NamedTuple):
    """The texts of a file, and how many of them held bytes that are no UTF-8."""

    items: list[str]
    n_damaged: int


def read_texts(path: Path, column: str | None = None) -> Texts:
    r"""Read a file of texts: a line of a .txt file each, or a row of a table.

    `column` names the column of a table; None for "text", or the only one. Bytes that are no UTF-8
    become U+FFFD. Lines of a .txt file end with \n or \r\n and nothing else; empty ones count.
    """
    is_packed = path.suffix.lower() == ".gz"
    extension = Path(path.stem).suffix.lower() if is_packed else path.suffix.lower()
    if extension not in _READERS and (is_packed or extension != ".parquet"):
        wanted = ".txt, .csv, .jsonl (each also with .gz) or .parquet"
        raise FileError(f"{path}: unknown extension {''.join(path.suffixes)!r}; wanted {wanted}")
    if column is not None and extension == ".txt":
        raise FileError(f"{path}: .txt files have no columns with names, {column!r}")
    if extension == ".parquet":
        check_format(path)
        with reading(path):
            return Texts(_read_parquet(path, column), 0)
    with reading(path):
        try:
            content = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FileError(f"{path}: damaged or not a .gz file ({error})") from error
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise FileError(f"{path}: is UTF-16; wanted UTF-8")
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if not lines[-1]:
            del lines[-1]
        if not lines:
            raise FileError(f"{path}: the file is empty")
        decoded = [line.decode(errors="replace") for line in lines]
        # U+FFFD may stand in the file itself.
        n_damaged = sum(
            "\ufffd" in text and text.encode() != line
            for text, line in zip(decoded, lines, strict=True)
        )
        return Texts(_READERS[extension](path, decoded, column), n_damaged)


def _read_lines(path: Path, lines: list[str], column: str | None) -> list[str]:
    return [line.removesuffix("\r") for line in lines]


def _read_csv(path: Path, lines: list[str], column: str | None) -> list[str]:
    with fields_of_any_length():
        rows = csv.reader(line + "\n" for line in lines)
        try:
            names = next(rows)
            place = _place(path, names, column)
            texts = []
            for row in rows:
                if len(row) != len(names) and row:
                    raise FileError(
                        f"{path}: line {rows.line_num} has {len(row)} fields, the first line "
                        f"{len(names)}; wanted as many"
                    )
                # An empty line is an empty field of an only column, and nothing else.
                if row or len(names) == 1:
                    texts.append(row[place] if row else "")
        except csv.Error as error:
            raise FileError(f"{path}: line {rows.line_num}: {error}") from error
    return _checked(path, texts)


def _read_jsonl(path: Path, lines: list[str], column: str | None) -> list[str]:
    texts = []
    for number, line in enumerate(lines, 1):
        if line.isspace() or not line:
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path}: line {number} is no JSON ({error})") from error
        if not isinstance(item, dict):
            raise FileError(f"{path}: line {number} is no JSON object: {line.strip()[:60]!r}")
        text = item[list(item)[_place(path, list(item), column, f"line {number}")]]
        if not isinstance(text, str | None):
            raise FileError(f"{path}: line {number} holds {str(text)[:60]!r}; wanted a string")
        # JSON can name half of a pair of surrogates, which is no character.
        texts.append((text or "").encode(errors="replace").decode())
    return _checked(path, texts)


def _read_parquet(path: Path, column: str | None) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        name = schema.names[_place(path, schema.names, column)]
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise FileError(f"{path}: column {name!r} has type {kind}; wanted strings")
        items: list[str | None] = file.read(columns=[name])[name].to_pylist()
    return _checked(path, [item or "" for item in items])


def _place(path: Path, names: list[str], column: str | None, where: str = "") -> int:
    """Where the column of texts is."""
    if column is None and len(names) == 1:
        return 0
    wanted = _TEXT if column is None else column
    if wanted not in names:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        named = "" if column is not None else "; name the column of the texts with --text-column"
        at = f"{where}: " if where else ""
        raise FileError(f"{path}: {at}no column {wanted!r}; it holds {shown or 'none'}{named}")
    return names.index(wanted)


def _checked(path: Path, texts: list[str]) -> list[str]:
    if not texts:
        raise FileError(f"{path}: holds no text")
    return texts


_READERS: dict[str, Callable[[Path, list[str], str | None], list[str]]] = {
    ".txt": _read_lines,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
