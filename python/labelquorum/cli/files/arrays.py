"""Arrays in .npy and .npz files. Their declared size is compared with the memory there is.

What is damaged raises errors of any type, as NumPy does: `SourceFile.reading` names the file.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError
from labelquorum._shared.memory import check_memory
from labelquorum.cli.files.sources import SourceFile

_MEMBER = ".npy"  # the extension of each array in an .npz file
_BYTES_PER_LINE = 16  # that a row or column takes, even if it is empty
_SPARSE = {"format", "shape", "data"}  # what scipy.sparse.save_npz writes for every kind


def open_npy(file: SourceFile, *, whole: bool) -> NDArray[Any]:
    """The array in an .npy file; a local one is memory-mapped.

    If the caller needs all of it at once (`whole`), memory must have room for it.
    """
    with file.open() as (content, _):
        n_bytes = _declared_bytes(content)
        if whole:
            check_memory(file.name, n_bytes)
        if file.filesystem is not None:
            return _read_array(file.name, content, n_bytes)
        n_missing = content.tell() + n_bytes - file.size
    if n_missing > 0:
        raise ValueError(f"the file ends {n_missing:,} bytes too early")
    if not n_bytes:  # nothing to map
        with file.open() as (content, _):
            return np.lib.format.read_array(content, allow_pickle=False)
    array: NDArray[Any] = np.lib.format.open_memmap(file.path, mode="r")
    return array


class Archive:
    """The arrays in an .npz file, by name."""

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self._name = name
        self._archive = archive
        members = archive.namelist()
        self.names = [member.removesuffix(_MEMBER) for member in members]
        wrong = [member for member in members if not member.endswith(_MEMBER)]
        if wrong or not members:
            raise ValueError(f"it must hold arrays, got {wrong[0] if wrong else 'none'}")

    @property
    def is_sparse(self) -> bool:
        """Whether scipy.sparse.save_npz wrote the file."""
        return set(self.names) >= _SPARSE

    def read(self, names: Sequence[str]) -> list[NDArray[Any]]:
        """Read some arrays, if memory has room for all of them."""
        check_memory(self._name, sum(self._declared(name) for name in names))
        arrays = []
        for name in names:
            with self._opened(name) as content:
                n_bytes = _declared_bytes(content)
                arrays.append(_read_array(self._of(name), content, n_bytes))
        return arrays

    def read_sparse(self) -> Any:
        """The matrix that scipy.sparse.save_npz wrote, as rows (CSR)."""
        from scipy import sparse

        arrays = dict(zip(self.names, self.read(self.names), strict=True))
        kind = str(arrays["format"].item().decode())
        shape = tuple(int(n) for n in arrays["shape"])
        data = arrays["data"]
        check_memory(self._name, _BYTES_PER_LINE * sum(shape))
        if kind == "coo":
            matrix = sparse.coo_array((data, (arrays["row"], arrays["col"])), shape=shape)
        elif kind == "dia":
            matrix = sparse.dia_array((data, arrays["offsets"]), shape=shape)
        elif kind in ("csr", "csc", "bsr"):
            parts = (data, arrays["indices"], arrays["indptr"])
            matrix = getattr(sparse, f"{kind}_array")(parts, shape=shape)
            matrix.check_format(full_check=True)
        else:
            raise ValueError(f"the kind of the matrix is {kind!r}")
        rows = sparse.csr_array(matrix)
        rows.sum_duplicates()
        return rows

    def _declared(self, name: str) -> int:
        with self._opened(name) as content:
            n_bytes = _declared_bytes(content)
            n_missing = n_bytes + content.tell() - self._archive.getinfo(name + _MEMBER).file_size
            if n_missing > 0:
                raise ValueError(f"the array {name!r} ends {n_missing:,} bytes too early")
            return n_bytes

    def _of(self, name: str) -> str:
        return f"{self._name}: the array {name!r}"

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        with self._archive.open(name + _MEMBER) as content:
            yield cast(BinaryIO, content)


@contextmanager
def open_npz(file: SourceFile) -> Iterator[Archive]:
    """Open an .npz file."""
    with file.open() as (content, _):
        if not zipfile.is_zipfile(content):
            raise FileError(f"{file.name}: damaged or not a .npz file")
        content.seek(0)
        with zipfile.ZipFile(content) as archive:
            yield Archive(file.name, archive)


def _declared_bytes(content: BinaryIO) -> int:
    """Read the header of an array, and return how many bytes it declares to follow."""
    version = np.lib.format.read_magic(content)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    # NumPy has no public reader of version 3, which differs only in the encoding of field names.
    if version not in readers:
        raise ValueError(f"the .npy format must be 1.0 or 2.0, got {version}")
    shape, _, dtype = readers[version](content)
    if dtype.hasobject:
        raise ValueError("Python objects (pickles) are not read: save numbers or strings")
    if any(n < 0 for n in shape):
        raise ValueError(f"the shape is {shape}")
    return math.prod(shape) * int(dtype.itemsize)


def _read_array(name: str, content: BinaryIO, n_bytes: int) -> NDArray[Any]:
    """Read an array whose header has been read, and which declares this size."""
    check_memory(name, n_bytes)
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)
