"""The file format of saved searchers: an uncompressed zip archive.

- ``meta.json``: format, version, parameters and tuning
- ``points.npy``: the samples, aligned so that they can be mapped into memory
- ``index.faiss``: the index, unless the search is exact

Nothing is pickled. Each member has a checksum, which is compared before the file is used. For that
the samples are read once, though they are mapped into memory: at about 2 GB/s, or as fast as the
disk allows. faiss does not guard against files that are made to harm.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from sklearn.utils import check_random_state

from labelquorum._shared.archive import META, aligned_member, write_array
from labelquorum._shared.arguments import METRICS, as_choice, as_fraction, as_positive
from labelquorum._shared.files import replacing
from labelquorum._shared.samples import Points, as_points
from labelquorum._shared.sealed import (
    INTEGERS,
    FormatError,
    check_member,
    check_stored,
    check_sum,
    read_array_header,
    read_member,
    reading,
)
from labelquorum.neighbors import faiss_index
from labelquorum.neighbors.search import SearchQuality
from labelquorum.neighbors.tuned_index import TunedIndex

_FORMAT = "labelquorum.NeighborSearcher"
_VERSION = 1
_PARAMETERS = ("metric", "recall", "n_neighbors", "random_state")
_SETTING_SIZES = {"graph": 1, "lists": 2}  # numbers that a setting of this method has


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
        archive.writestr(META, json.dumps(meta))
        with aligned_member(archive, file, "points.npy") as member:
            write_array(member, saved.points, keep_order=False)
        if saved.tuned is not None:
            with aligned_member(archive, file, "index.faiss") as member:
                faiss_index.write(saved.tuned.index, member)


def read_searcher(path: str | os.PathLike[str]) -> SavedSearcher:
    """Read the file; raise ValueError if it is damaged or not a saved searcher."""
    with (
        open(path, "rb") as file,
        reading(path, "a saved searcher", "save it again"),
        zipfile.ZipFile(file) as archive,
    ):
        meta = json.loads(read_member(archive, file, META))
        if meta["format"] != _FORMAT:
            raise ValueError(f"its format is {meta['format']!r}")
        if meta["version"] != _VERSION:
            raise FormatError(
                f"{os.fspath(path)} must have format version {_VERSION}, got {meta['version']}: a "
                "newer labelquorum may read it"
            )
        return _read_archive(meta, archive, file, path)


def _read_archive(
    meta: dict[str, Any],
    archive: zipfile.ZipFile,
    file: BinaryIO,
    path: str | os.PathLike[str],
) -> SavedSearcher:
    points = as_points(_map_points(archive, file, path), "points")
    quality = SearchQuality(**meta["quality"])
    _check_meta(meta, quality, points.shape)
    tuned = None
    if quality.method != "exact":
        info = check_member(archive, file, "index.faiss")
        check_sum(archive, "index.faiss")
        shift = None if meta["shift"] is None else np.array(meta["shift"])
        frame = faiss_index.IndexFrame(meta["metric"], shift, meta["scale"])
        with archive.open("index.faiss") as member:
            content = cast(BinaryIO, member)
            index = faiss_index.read(quality.method, frame, content, info.file_size)
        if index.shape != points.shape:
            raise ValueError(f"the index has shape {index.shape}, the samples {points.shape}")
        tuned = TunedIndex(index, tuple(meta["setting"]), quality)
    parameters = {name: meta[name] for name in _PARAMETERS}
    return SavedSearcher(parameters, meta["feature_names"], points, quality, tuned)


def _check_meta(meta: dict[str, Any], quality: SearchQuality, shape: tuple[int, ...]) -> None:
    """Raise TypeError or ValueError unless the values are right and fit the samples."""
    n_samples, n_features = shape
    as_choice(meta["metric"], "metric", METRICS)
    as_positive(meta["n_neighbors"], "n_neighbors")
    check_random_state(meta["random_state"])
    if meta["recall"] is not None:
        as_fraction(meta["recall"], "recall")
    names = meta["feature_names"]
    if names is not None and [*map(type, names)] != [str] * n_features:
        raise ValueError(f"feature_names must be {n_features} strings")
    as_choice(quality.method, "method", ("exact", *_SETTING_SIZES))
    check_stored(np.array(quality[:2]), "quality", np.float64, (2,))
    check_stored(quality.n_queries, "n_queries", np.int64, (), (0, n_samples))
    if quality.method == "exact":
        return
    n_values = _SETTING_SIZES[quality.method]
    check_stored(np.array(meta["setting"]), "setting", INTEGERS, (n_values,), (1, n_samples))
    check_stored(meta["scale"], "scale", np.float64, ())
    if not meta["scale"] > 0:
        raise ValueError(f"scale must be above 0, got {meta['scale']}")
    if meta["shift"] is not None:
        check_stored(np.array(meta["shift"]), "shift", np.float64, (n_features,))


def _map_points(archive: zipfile.ZipFile, file: BinaryIO, path: str | os.PathLike[str]) -> Points:
    info = check_member(archive, file, "points.npy")
    check_sum(archive, "points.npy")
    # The extra field here and its copy in the archive's directory differ in size.
    file.seek(info.header_offset + 26)
    name_size, extra_size = struct.unpack("<HH", file.read(4))
    file.seek(info.header_offset + 30 + name_size + extra_size)
    begin = file.tell()
    shape, is_fortran, dtype = read_array_header(file)
    n_bytes = file.tell() - begin + math.prod(shape) * dtype.itemsize
    if len(shape) != 2 or is_fortran or n_bytes != info.file_size:
        raise ValueError(f"points.npy has shape {shape} and {info.file_size} bytes")
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)
