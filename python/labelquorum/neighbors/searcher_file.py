"""The file format of saved searchers: an uncompressed zip archive.

- ``meta.json``: format, version, parameters and tuning
- ``points.npy``: the samples, aligned so that they can be mapped into memory
- ``index.faiss``: the index, unless the search is exact

Nothing is pickled. Checksums reveal damage to everything but the samples, which are mapped and not
read. faiss does not guard against files that are made to harm.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from labelquorum._shared.arguments import METRICS, as_choice
from labelquorum._shared.files import replacing
from labelquorum._shared.samples import Points, as_points
from labelquorum.neighbors import faiss_index
from labelquorum.neighbors.search import SearchQuality
from labelquorum.neighbors.tuned_index import TunedIndex

_FORMAT = "labelquorum.NeighborSearcher"
_VERSION = 1
_PARAMETERS = ("metric", "recall", "n_neighbors", "random_state")
_ALIGNMENT = 64  # bytes: a cache line
_PADDING_ID = 0xD935  # the id of the zip archive's extra field for alignment
_BYTES_PER_READ = 1 << 22
# Errors that reading a damaged archive can raise. faiss raises RuntimeError.
_DAMAGE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class SavedSearcher(NamedTuple):
    """What a file of a searcher holds."""

    parameters: dict[str, Any]  # metric, recall, n_neighbors, random_state (an int or None)
    feature_names: list[str] | None
    points: Points
    quality: SearchQuality
    tuned: TunedIndex | None  # None: the search is exact


def write_searcher(path: str | os.PathLike[str], saved: SavedSearcher) -> None:
    """Write the file; one that exists is replaced once the new one is complete."""
    meta = {
        "format": _FORMAT,
        "version": _VERSION,
        **saved.parameters,
        "feature_names": saved.feature_names,
        "quality": saved.quality._asdict(),
        "setting": [] if saved.tuned is None else list(saved.tuned.setting),
    }
    if saved.tuned is not None:
        frame = saved.tuned.index.frame
        meta["shift"] = None if frame.shift is None else frame.shift.tolist()
        meta["scale"] = frame.scale
    with replacing(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("meta.json", json.dumps(meta))
        with _aligned_member(archive, file, "points.npy") as member:
            _write_points(member, saved.points)
        if saved.tuned is not None:
            with _aligned_member(archive, file, "index.faiss") as member:
                faiss_index.write(saved.tuned.index, member)


def read_searcher(path: str | os.PathLike[str]) -> SavedSearcher:
    """Read the file; raise ValueError if it is damaged or not a saved searcher."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                meta = json.loads(archive.read("meta.json"))
                if meta["format"] != _FORMAT:
                    raise ValueError(f"its format is {meta['format']!r}")
                if meta["version"] == _VERSION:
                    return _read_archive(meta, archive, file, path)
        except _DAMAGE_ERRORS as error:
            message = " ".join(str(error).split())
            raise ValueError(
                f"{os.fspath(path)} is damaged or not a saved searcher ({message})"
            ) from error
    raise ValueError(
        f"{os.fspath(path)} must have format version {_VERSION}, got {meta['version']}: a newer "
        "labelquorum may read it"
    )


def _read_archive(
    meta: dict[str, Any],
    archive: zipfile.ZipFile,
    file: BinaryIO,
    path: str | os.PathLike[str],
) -> SavedSearcher:
    as_choice(meta["metric"], "metric", METRICS)
    points = as_points(_map_points(archive, file, path), "points")
    quality = SearchQuality(**meta["quality"])
    tuned = None
    if quality.method != "exact":
        shift = None if meta["shift"] is None else np.array(meta["shift"])
        frame = faiss_index.IndexFrame(meta["metric"], shift, meta["scale"])
        _check_sum(archive, "index.faiss")
        with archive.open("index.faiss") as member:
            index = faiss_index.read(quality.method, frame, cast(BinaryIO, member))
        if index.shape != points.shape:
            raise ValueError(f"the index has shape {index.shape}, the samples {points.shape}")
        tuned = TunedIndex(index, tuple(meta["setting"]), quality)
    parameters = {name: meta[name] for name in _PARAMETERS}
    return SavedSearcher(parameters, meta["feature_names"], points, quality, tuned)


def _aligned_member(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> Any:
    """Open a member for writing whose data begin at a multiple of the alignment."""
    info = zipfile.ZipInfo(name)
    # A header takes 30 bytes, the name, 20 bytes for large files, and 4 + padding for this field.
    begin = file.tell() + 30 + len(name) + 20 + 4
    padding = -begin % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    return archive.open(info, "w", force_zip64=True)


def _write_points(file: Any, points: Points) -> None:
    little_endian = points.dtype.newbyteorder("<")
    header = {"descr": little_endian.str, "fortran_order": False, "shape": points.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for batch in faiss_index.batches(len(points), points.shape[1]):
        file.write(np.ascontiguousarray(points[batch], dtype=little_endian).data)


def _map_points(archive: zipfile.ZipFile, file: BinaryIO, path: str | os.PathLike[str]) -> Points:
    info = archive.getinfo("points.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("points.npy is compressed")
    # The extra field here and its copy in the archive's directory differ in size.
    file.seek(info.header_offset + 26)
    name_size, extra_size = struct.unpack("<HH", file.read(4))
    file.seek(info.header_offset + 30 + name_size + extra_size)
    begin = file.tell()
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("points.npy has another version of the .npy format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    n_bytes = file.tell() - begin + int(np.prod(shape)) * dtype.itemsize
    if len(shape) != 2 or n_bytes != info.file_size:
        raise ValueError(f"points.npy has shape {shape} and {info.file_size} bytes")
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)


def _check_sum(archive: zipfile.ZipFile, name: str) -> None:
    # zipfile compares the checksum at the end of the member and raises BadZipFile.
    with archive.open(name) as member:
        while member.read(_BYTES_PER_READ):
            pass
