"""Files of partitions, read in chunks, and files of labels, written in chunks.

Memory does not grow with the number of samples; only an .npz file is read whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError
from labelquorum._shared.memory import MemoryBudget, check_memory
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.arrays import open_npy, open_npz
from labelquorum.cli.files.numeric import partition_columns
from labelquorum.cli.files.results import format_of
from labelquorum.cli.files.sources import Location, SourceFile, extension_of, find_files

Chunk: TypeAlias = tuple[Any, float]
"""Partitions of some samples, as the public functions take them, and the share that was read."""

_VALUES_PER_CHUNK = 1 << 24  # of arrays
EXTENSIONS = (".npy", ".npz", *tables.EXTENSIONS)


def read_partitions(
    location: Location,
    *,
    key: str | None = None,
    header: bool | None = None,
    columns: Sequence[str] | None = None,
    whole: bool = False,
) -> Iterator[Chunk]:
    """Read partitions in chunks of samples.

    Parameters
    ----------
    location : Location
        A file, or a folder, pattern or URL.
    key : str, optional
        The array of an .npz file.
    header : bool, optional
        Whether a .csv or .tsv file starts with a line of names; None to tell by that line.
    columns : sequence of str, optional
        The columns of a table to read; None for all.
    whole : bool, default=False
        Whether the caller keeps all chunks, so that memory must have room for them.
    """
    if extension_of(location) in _ARRAY_READERS:
        for file in find_files(location, tuple(_ARRAY_READERS)):
            if columns is not None:
                raise FileError(f"{file.name}: {file.extension} files have no named columns")
            with file.reading():
                yield from _ARRAY_READERS[file.extension](file, key, whole)
        return
    table = tables.Table(
        location, header=header, header_names=columns or (), shown_extensions=EXTENSIONS
    )
    names = table.names if columns is None else columns
    places = [table.place(name) for name in columns or ()]
    if columns is None:
        places = list(range(len(names)))
    if whole:
        check_memory(str(location), table.declared_bytes(places))
    budget = MemoryBudget(str(location))
    for batch in table.batches(places):
        chunk = partition_columns(batch, names)
        if whole:
            budget.take(sum(column.nbytes for column in chunk))
        yield chunk, batch.share


def _read_npy(file: SourceFile, key: str | None, whole: bool) -> Iterator[Chunk]:
    array = open_npy(file, whole=whole)
    _check_2d(array, file.name)
    step = max(1, _VALUES_PER_CHUNK // max(1, array.shape[1]))
    for start in range(0, len(array), step):
        chunk = array[start : start + step]
        yield chunk, (start + len(chunk)) / len(array)


def _read_npz(file: SourceFile, key: str | None, whole: bool) -> Iterator[Chunk]:
    with open_npz(file) as archive:
        if key is not None and key not in archive.names:
            raise FileError(
                f"{file.name}: no array {key!r}; the arrays are {', '.join(archive.names)}"
            )
        keys = archive.names if key is None else [key]
        members = archive.read(keys)
    if len(members) == 1 and members[0].ndim != 1:
        _check_2d(members[0], f"{file.name}: the array {keys[0]!r}")
        yield members[0], 1.0
    elif all(member.ndim == 1 for member in members):
        yield members, 1.0
    else:
        shapes = ", ".join(
            f"{name} {member.shape}" for name, member in zip(keys, members, strict=True)
        )
        raise FileError(
            f"{file.name}: the file must hold one 2-D array or several 1-D arrays, got {shapes}; "
            "choose one with --key"
        )


def _check_2d(array: NDArray[Any], name: str) -> None:
    if array.ndim != 2:
        raise FileError(f"{name}: the shape must be (n_samples, n_partitions), got {array.shape}")


_ARRAY_READERS: dict[str, Callable[[SourceFile, str | None, bool], Iterator[Chunk]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
}


def write_labels(path: Path, file: BinaryIO, labels: Iterable[NDArray[np.int32]], n: int) -> None:
    """Write n labels, given in chunks, to an open file in the format of `path`."""
    _WRITERS[format_of(path)](file, labels, n)


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
LABEL_EXTENSIONS = tuple(_WRITERS)
