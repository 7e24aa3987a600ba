"""Files that are written whole or not at all, and the error that names a file.

A result is written under a temporary name in the same folder and renamed when it is complete.
Whatever happens, there is never half a file under the final name.
"""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from labelquorum._shared.sealed import reading, sealed_json, values_of_json


class FileError(OSError):
    """A file cannot be read or written. The message is one line that names the file."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which replaces `path` if the block succeeds and is removed otherwise."""
    # mkstemp would make it readable by its owner only.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def differing_settings(path: Path, settings: dict[str, Any]) -> list[str]:
    """Compare settings with those stored in a file, and return the names of those that differ.

    The file is written if it does not exist. It tells what the results beside it were made with,
    so that a later call does not mix them with results of other settings.

    Raises ValueError if the file is damaged or has no digest, as those of older versions.
    """
    if path.exists():
        content = path.read_bytes()
        with reading(path, "settings of this version", "use an empty folder"):
            stored = values_of_json(content)
        return [name for name in settings if stored.get(name) != settings[name]]
    with replacing(path) as file:
        file.write(sealed_json(settings))
    return []


_LONGEST_FIELD = (1 << 31) - 1  # the limit of the csv module on every platform


@contextmanager
def fields_of_any_length() -> Iterator[None]:
    """Let the csv module read fields longer than its default limit of 131,072 characters."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
