"""The file of a saved `PreClusteringSampler`: an uncompressed .npz of arrays, nothing pickled.

One of the arrays, "meta", is a text: a JSON object with the format, its version and all values that
are not arrays. Each array has a checksum, which is compared when it is read. Ranges are checked,
too, so that no file can make a sampler that fails later, or that asks for more memory than its
samples need.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from labelquorum._shared.arguments import as_choice, as_non_negative, as_positive
from labelquorum._shared.files import replacing
from labelquorum._shared.sealed import FormatError, read_arrays, reading
from labelquorum.active_learning.small_clusters import as_n_clusters
from labelquorum.graphs.affinity import METRICS

_FORMAT, _VERSION = "labelquorum.PreClusteringSampler", 1

_Sampler = TypeVar("_Sampler")


def write_sampler(
    path: str | os.PathLike[str], values: dict[str, Any], arrays: dict[str, Any]
) -> None:
    """Write a file; an existing one is replaced once the new one is complete."""
    meta = json.dumps({"format": _FORMAT, "version": _VERSION, **values})
    with replacing(Path(path)) as file:
        np.savez(file, meta=np.array(meta), **arrays)


def read_sampler(
    path: str | os.PathLike[str],
    restore: Callable[[dict[str, Any], dict[str, NDArray[Any]]], _Sampler],
) -> _Sampler:
    """Read a file and return what `restore` makes of its values and arrays.

    Raises OSError if the file cannot be read; ValueError if it is damaged, not a saved sampler or
    of another version.
    """
    with open(path, "rb") as file, reading(path, "a saved sampler", "save it again"):
        arrays = read_arrays(file)
        values = json.loads(str(arrays["meta"]))
        if values["format"] != _FORMAT:
            raise ValueError(f"its format must be {_FORMAT!r}, got {values['format']!r}")
        if values["version"] != _VERSION:
            raise FormatError(
                f"{os.fspath(path)} must have version {_VERSION} of the file format, got "
                f"{values['version']}: a newer labelquorum may read it"
            )
        return restore(values, arrays)


def check_state(values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Raise TypeError or ValueError unless the values are right and the arrays fit together."""
    as_n_clusters(values["n_clusters"])
    as_choice(values["metric"], "metric", METRICS)
    as_positive(values["min_samples_per_category"], "min_samples_per_category")
    if as_non_negative(values["audit_share"], "audit_share") >= 1:
        raise ValueError(f"audit_share must be below 1, got {values['audit_share']}")
    check_random_state(values["random_state"])
    n_features, names = (
        as_positive(values["n_features_in"], "n_features_in"),
        values["feature_names"],
    )
    if names is not None and [*map(type, names)] != [str] * n_features:
        raise ValueError(f"feature_names must be {n_features} strings")
    if values["n_looks"] != 0:
        as_positive(values["n_looks"], "n_looks")
    for name in ("is_news", "is_asked"):
        if not isinstance(values[name], bool):
            raise TypeError(f"{name} must be true or false, got {values[name]!r}")
    n_columns = arrays["frame_mean"].shape[0]
    if "frame_directions" in arrays:
        n_columns = arrays["frame_directions"].shape[0]
    if n_columns != n_features:
        raise ValueError(f"n_features_in must be {n_columns}, got {n_features}")
    if arrays["frame_mean"].shape != arrays["centers"].shape[1:]:
        raise ValueError("centers must have as many columns as frame_mean has values")
    if len(arrays["codes"]) != len(arrays["clusters"]):
        raise ValueError("codes must be as many as clusters")
