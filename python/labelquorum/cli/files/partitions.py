"""Files of partitions in, files of labels out: .npy, .npz, .parquet and .csv.

Both directions go in chunks, so that memory does not grow with the number of samples (only a member
of an .npz file is read whole). A result is written under a temporary name in the same folder and
renamed when complete: whatever happens, there is never half a file under its name.
"""

from __future__ import annotations

import csv
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, reading

# Partitions of some samples, as the public functions take them, and the share of the file read.
Chunk: TypeAlias = tuple[Any, float]

_VALUES_PER_CHUNK = 1 << 24
_CSV_CHARACTERS_PER_CHUNK = 1 << 24
_EXTENSIONS = ".npy, .npz, .parquet or .csv"


def check_format(path: Path) -> None:
    """Raise FileError if files with this extension are unknown or cannot be handled here."""
    extension = path.suffix.lower()
    if extension not in _READERS:
        raise FileError(f"{path}: unknown extension {extension!r}; wanted {_EXTENSIONS}")
    if extension == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise FileError(
                f'{path}: .parquet needs pyarrow: pip install "labelquorum[parquet]"'
            ) from error


def read_partitions(
    path: Path, *, key: str | None = None, header: bool | None = None
) -> Iterator[Chunk]:
    """Read a file of partitions in chunks.

    `key` names the array in an .npz file. `header` says whether a .csv file starts with names;
    None tells by its first line.
    """
    check_format(path)
    with reading(path):
        yield from _READERS[path.suffix.lower()](path, key, header)


def write_labels(path: Path, file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    """Write n labels, given in chunks, to an open file in the format of `path`."""
    _WRITERS[path.suffix.lower()](file, labels, n)


def _read_npy(path: Path, key: str | None, header: bool | None) -> Iterator[Chunk]:
    array = np.lib.format.open_memmap(path, mode="r")
    _check_2d(array, str(path))
    step = _rows_per_chunk(array.shape[1])
    for start in range(0, len(array), step):
        chunk = array[start : start + step]
        yield chunk, (start + len(chunk)) / len(array)


def _rows_per_chunk(n_partitions: int) -> int:
    return max(1, _VALUES_PER_CHUNK // max(1, n_partitions))


def _read_npz(path: Path, key: str | None, header: bool | None) -> Iterator[Chunk]:
    if not zipfile.is_zipfile(path):
        raise FileError(f"{path}: damaged or not a .npz file")
    with np.load(path, allow_pickle=False) as arrays:
        if key is not None and key not in arrays.files:
            raise FileError(f"{path}: no array {key!r}; it holds {', '.join(arrays.files)}")
        keys = arrays.files if key is None else [key]
        members = [arrays[name] for name in keys]
    if len(members) == 1 and members[0].ndim != 1:
        _check_2d(members[0], f"{path}, array {keys[0]!r}")
        yield members[0], 1.0
    elif all(member.ndim == 1 for member in members):
        yield members, 1.0
    else:
        shapes = ", ".join(
            f"{name} {member.shape}" for name, member in zip(keys, members, strict=True)
        )
        raise FileError(
            f"{path}: wanted one 2-D array or several 1-D ones, found {shapes}; choose with --key"
        )


def _check_2d(array: NDArray[Any], where: str) -> None:
    if array.ndim != 2:
        raise FileError(f"{where}: has shape {array.shape}; wanted 2-D, (n_samples, n_partitions)")


def _read_parquet(path: Path, key: str | None, header: bool | None) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        # pandas keeps the row names of a data frame in such columns.
        fields = [
            field for field in file.schema_arrow if not field.name.startswith("__index_level_")
        ]
        for field in fields:
            if not pa.types.is_integer(field.type):
                raise FileError(_not_integers(path, f"column {field.name!r} has type {field.type}"))
        n_read = 0
        for batch in file.iter_batches(
            _rows_per_chunk(len(fields)), columns=[field.name for field in fields]
        ):
            for field, column in zip(batch.schema, batch.columns, strict=True):
                if column.null_count:
                    raise FileError(_not_integers(path, f"column {field.name!r} has nulls"))
            n_read += batch.num_rows
            if batch.num_rows:
                yield [c.to_numpy() for c in batch.columns], n_read / file.metadata.num_rows


def _read_csv(path: Path, key: str | None, header: bool | None) -> Iterator[Chunk]:
    size = path.stat().st_size
    # The encoding skips the byte-order mark that some spreadsheets write.
    with open(path, "rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        first = _fields(file.readline())
        if not first:
            raise FileError(f"{path}: the first line is empty")
        if not (is_header(path, first) if header is None else header):
            file.seek(0)
        while lines := file.readlines(_CSV_CHARACTERS_PER_CHUNK):
            lines = [line for line in lines if not line.isspace()]
            if lines:
                yield _parse_csv(path, lines, len(first)), raw.tell() / size


def _fields(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def is_header(path: Path, first: list[str]) -> bool:
    """Tell by its fields whether the first line holds names; where that is a guess, refuse."""
    if first and not first[0].strip():
        raise FileError(
            f"{path}: the first column has no name, as if row numbers had been saved with the "
            "rest; save without them (in pandas: index=False)"
        )
    if first == [str(i) for i in range(len(first))]:
        raise FileError(
            f"{path}: the first line, {','.join(first[:4])}..., can be names or a sample; say "
            "--header or --no-header"
        )
    return not any(is_number(field) for field in first)


def is_number(field: str) -> bool:
    """Whether this field of a .csv file is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _parse_csv(path: Path, lines: list[str], n_partitions: int) -> NDArray[np.int64]:
    try:
        with warnings.catch_warnings():
            # NumPy before 2.5 may only warn when it cuts a float to an integer.
            warnings.simplefilter("error", DeprecationWarning)
            rows = np.loadtxt(
                lines, dtype=np.int64, delimiter=",", comments=None, quotechar='"', ndmin=2
            )
    except (ValueError, DeprecationWarning):
        raise FileError(_what_is_wrong(path, lines, n_partitions)) from None
    if rows.shape[1] != n_partitions:
        raise FileError(_what_is_wrong(path, lines, n_partitions))
    return rows


def _what_is_wrong(path: Path, lines: list[str], n_partitions: int) -> str:
    for line in lines:
        fields = _fields(line)
        shown = line.strip()[:60]
        if len(fields) != n_partitions:
            return (
                f"{path}: the line {shown!r} has {len(fields)} fields, the first line "
                f"{n_partitions}; the file may be cut off"
            )
        for field in fields:
            if not re.fullmatch(r"\s*[+-]?\d{1,18}\s*", field):
                return _not_integers(path, f"{field!r} in the line {shown!r} is no integer")
    return f"{path}: cannot be read as integers separated by commas"


def _not_integers(path: Path, found: str) -> str:
    return (
        f"{path}: {found}; cluster ids have to be integers, with -1 where a model abstains, so "
        "fill what is missing with -1 and convert floats to integers"
    )


_READERS: dict[str, Callable[[Path, str | None, bool | None], Iterator[Chunk]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}


def _write_npy(file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    header = {"descr": "<i4", "fortran_order": False, "shape": (n,)}
    np.lib.format.write_array_header_1_0(file, header)
    for chunk in labels:
        file.write(chunk.astype("<i4", copy=False).data)


def _write_npz(file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    with (
        zipfile.ZipFile(file, "w") as archive,
        archive.open("labels.npy", "w", force_zip64=True) as member,
    ):
        _write_npy(cast(BinaryIO, member), labels, n)


def _write_parquet(file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field("label", pa.int32(), nullable=False)])
    with pq.ParquetWriter(file, schema) as writer:
        for chunk in labels:
            writer.write_table(pa.table([chunk], schema=schema))


def _write_csv(file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    file.write(b"label\n")
    for chunk in labels:
        file.write("".join(f"{label}\n" for label in chunk.tolist()).encode())


_WRITERS: dict[str, Callable[[BinaryIO, Iterable[NDArray[np.int32]], int], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
