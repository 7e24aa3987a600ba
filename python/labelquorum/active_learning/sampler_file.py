"""The file of a saved `PreClusteringSampler`: an uncompressed .npz of arrays, nothing pickled.

One of the arrays, "meta", is a text: a JSON object with the format, its version and all values that
are not arrays.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import replacing

_FORMAT, _VERSION = "labelquorum.PreClusteringSampler", 1
_SIGNS_OF_DAMAGE = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)

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
    name = os.fspath(path)
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                values = json.loads(str(arrays["meta"]))
                if values["format"] != _FORMAT:
                    raise ValueError(f"its format must be {_FORMAT!r}, got {values['format']!r}")
                if values["version"] == _VERSION:
                    return restore(values, dict(arrays))
        except _SIGNS_OF_DAMAGE as error:
            message = " ".join(str(error).split())
            raise ValueError(f"{name} is damaged or not a saved sampler ({message})") from error
    raise ValueError(
        f"{name} must have version {_VERSION} of the file format, got {values['version']}: a newer "
        "labelquorum may read it"
    )
