"""Archives of arrays and one JSON object: uncompressed zip files that NumPy can read, too.

Each member has a checksum, which is compared when it is read. Arrays begin at a multiple of 64
bytes, so that they can be mapped into memory.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import replacing
from labelquorum._shared.sealed import check_member, check_values, read_array_header, read_member

META = "meta.json"
"""The member that says what the archive is: its "format" and "version", at least."""
_ALIGNMENT = 64  # bytes: a cache line
_PADDING_ID = 0xD935  # the id of the zip archive's extra field for alignment
_BYTES_PER_BLOCK = 1 << 24


def write_archive(
    path: str | os.PathLike[str], meta: dict[str, Any], arrays: Sequence[NDArray[Any]]
) -> None:
    """Write the object and the arrays "0.npy", "1.npy", ...; see `ArchiveReader`.

    A file that exists is replaced once the new one is complete. The same content gives the same
    file.
    """
    with replacing(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(META), json.dumps(meta))  # without the time of day
        for i, array in enumerate(arrays):
            with aligned_member(archive, file, _name(i)) as member:
                write_array(member, array)


def aligned_member(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> Any:
    """Open a member for writing whose data begin at a multiple of the alignment."""
    info = zipfile.ZipInfo(name)
    # A header takes 30 bytes, the name, 20 bytes for large files, and 4 + padding for this field.
    begin = file.tell() + 30 + len(name) + 20 + 4
    padding = -begin % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    return archive.open(info, "w", force_zip64=True)


def write_array(file: Any, array: NDArray[Any], *, keep_order: bool = True) -> None:
    """Write an array as an .npy file with little-endian values, a block at a time.

    If not `keep_order`, rows are stored one by one even if the array is stored by columns.
    """
    is_fortran = keep_order and array.flags.f_contiguous and not array.flags.c_contiguous
    little_endian = array.dtype.newbyteorder("<")
    header = {"descr": little_endian.str, "fortran_order": is_fortran, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    rows = np.atleast_1d(array.T if is_fortran else array)
    row_size = max(1, rows.itemsize * math.prod(rows.shape[1:]))
    n_rows = max(1, _BYTES_PER_BLOCK // row_size)
    for begin in range(0, len(rows) if rows.size else 0, n_rows):
        block = np.ascontiguousarray(rows[begin : begin + n_rows], dtype=little_endian)
        file.write(block.reshape(-1).view(np.uint8).data)


def _name(i: int) -> str:
    return f"{i}.npy"


class ArchiveReader:
    """An open archive; see `opened_archive`. Everything that is read is checked for damage."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO) -> None:
        self._archive, self._file = archive, file
        # Members that share their bytes would ask for more memory than the file is large.
        n_bytes = sum(info.file_size for info in archive.infolist())
        if n_bytes > file.seek(0, os.SEEK_END):
            raise ValueError("its members are larger than the file")

    @property
    def names(self) -> list[str]:
        """The names of the members."""
        return self._archive.namelist()

    def meta(self) -> dict[str, Any]:
        """Return the JSON object."""
        meta = json.loads(read_member(self._archive, self._file, META))
        if not isinstance(meta, dict):
            raise TypeError(f"{META} holds no object")
        return meta

    def array(self, i: int) -> NDArray[Any]:
        """Read an array into memory of its own."""
        info = check_member(self._archive, self._file, _name(i))
        with self._archive.open(info) as member:
            source: Any = member
            shape, is_fortran, dtype = read_array_header(source)
            n_bytes = math.prod(shape) * dtype.itemsize
            if dtype.itemsize == 0 or member.tell() + n_bytes != info.file_size:
                raise ValueError(f"{_name(i)} has shape {shape} and {info.file_size} bytes")
            order: Any = "F" if is_fortran else "C"
            array: NDArray[Any] = np.empty(shape, dtype, order)
            content = memoryview(array.reshape(-1, order="A").view(np.uint8).data)
            while len(content):
                n_read = source.readinto(content[:_BYTES_PER_BLOCK])
                if not n_read:
                    raise ValueError(f"{_name(i)} is cut off")
                content = content[n_read:]
            member.read(1)  # At the end, the checksum is compared.
        check_values(array)
        return array.astype(dtype.newbyteorder("="), copy=False)


@contextmanager
def opened_archive(path: str | os.PathLike[str]) -> Iterator[ArchiveReader]:
    """Open an archive for reading. Damage raises errors of many kinds: use `sealed.reading`."""
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        yield ArchiveReader(archive, file)
