"""TODO."""

from __future__ import annotations

import csv
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


class FileError(OSError):
    """A file that cannot be read or written; the message is one line and names the file."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what can happen while a file is read into FileError; refuse an empty file."""
    try:
        if path.stat().st_size == 0:
            raise FileError(f"{path}: the file is empty")
        yield
    except OSError as error:
        message = " ".join((error.strerror or str(error)).split())
        raise FileError(f"{path}: {message}") from error
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        message = " ".join(str(error).split())
        raise FileError(f"{path}: damaged or not a {path.suffix} file ({message})") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that gets the name `path` if the block ends well, and else is removed."""
    # mkstemp would make it readable by its owner only.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "is a folder")
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
    """Which settings differ from those in a file, which is written where it is missing.

    What is kept beside it was made with these, and a later call must not go on with others.
    """
    if path.exists():
        found = json.loads(path.read_text())
        return [name for name in settings if found.get(name) != settings[name]]
    with replacing(path) as file:
        file.write(json.dumps(settings, indent=1).encode())
    return []


_LONGEST_FIELD = (1 << 31) - 1  # what every platform's csv module takes


@contextmanager
def fields_of_any_length() -> Iterator[None]:
    """Let the csv module read fields of more than its usual 131,072 characters."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
