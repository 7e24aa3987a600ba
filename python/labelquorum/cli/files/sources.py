"""Find and open input files: paths, folders, patterns and URLs, plain or compressed with gzip.

Local files are opened directly. A URL (``s3://``, ``gs://``, ``memory://``) is opened by fsspec,
with the plug-in for its kind.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from labelquorum._shared.files import FileError

Location: TypeAlias = Path | str
"""A local path, folder or pattern (Path), or a URL (str)."""

_GZIP = ".gz"
_WILDCARDS = set("*?[")
_RESULT = "-labels"  # at the end of the names of results
_HIDDEN = (".", "_")  # first characters of names such as _SUCCESS, which hold no data
_GZIP_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)
_FORMAT_ERRORS = (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def extension_of(location: Location) -> str:
    """The extension in lower case, with ``.gz`` after that of the content: ``.csv.gz``."""
    path = PurePosixPath(location.rpartition("/")[2]) if isinstance(location, str) else location
    extension = path.suffix.lower()
    return Path(path.stem).suffix.lower() + extension if extension == _GZIP else extension


def is_pattern(path: Path) -> bool:
    """Whether a local path is a pattern such as ``data/*.csv``."""
    return bool(_WILDCARDS & set(str(path))) and not path.exists()


class SourceFile(NamedTuple):
    """A file to read."""

    name: str
    """The name in messages."""
    path: str
    """The path within its file system."""
    filesystem: Any
    """The fsspec file system; None for local files."""
    size: int
    """Size in bytes."""

    @property
    def extension(self) -> str:
        """The extension of the content in lower case: ``.csv`` of ``a.csv.gz``."""
        return extension_of(self.name).removesuffix(_GZIP) or _GZIP

    @property
    def is_compressed(self) -> bool:
        """Whether the file is compressed with gzip."""
        return self.name.lower().endswith(_GZIP)

    @contextmanager
    def open(self) -> Iterator[tuple[BinaryIO, Callable[[], float]]]:
        """Open the content, and a function that tells how much of the file was read, 0 to 1."""
        open_raw = _open_local if self.filesystem is None else self.filesystem.open
        with open_raw(self.path) as raw:
            content = gzip.GzipFile(fileobj=raw) if self.is_compressed else raw
            share_read = 0.0

            def read_so_far() -> float:
                # A thread of pyarrow may be reading, and then `tell` can fall behind.
                nonlocal share_read
                share_read = max(share_read, min(1.0, raw.tell() / self.size))
                return share_read

            yield cast(BinaryIO, content), read_so_far

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn the errors of reading this file into FileError."""
        try:
            yield
        except FileError:
            raise
        except MemoryError as error:
            raise FileError(f"{self.name}: not enough memory: {error}") from error
        except Exception as error:  # damaged bytes make packages raise errors of any type
            message = " ".join(str(error).split()) or type(error).__name__
            extension = self.extension
            if self.is_compressed and isinstance(error, _GZIP_ERRORS):
                extension = _GZIP
            elif isinstance(error, OSError) and error.errno is not None:
                raise FileError(f"{self.name}: {error.strerror or message}") from error
            elif self.filesystem is not None and not isinstance(error, _FORMAT_ERRORS):
                raise FileError(f"{self.name}: cannot be read: {message}") from error
            raise FileError(
                f"{self.name}: damaged or not a {extension} file ({message})"
            ) from error


def _open_local(path: str) -> BinaryIO:
    return open(path, "rb")


def find_files(
    location: Location, extensions: tuple[str, ...], shown_extensions: tuple[str, ...] = ()
) -> list[SourceFile]:
    """Find the files of a location, sorted by name.

    Parameters
    ----------
    location : Location
        A file; a folder, for the files directly within it; or a pattern such as ``data/*.csv``.
        In folders, names that begin with a dot or an underscore are skipped. So is a result beside
        its source: ``a-labels.csv`` if there is also ``a.csv``.
    extensions : tuple of str
        The extensions that can be read. All files must have the same one.
    shown_extensions : tuple of str, optional
        The extensions that messages name, where the caller reads others besides.

    Raises
    ------
    FileError
        If there is no such file, the extension is another one, or a file is empty.
    """
    try:
        files = _matching_files(location, extensions, shown_extensions or extensions)
    except FileError:
        raise
    except ImportError as error:
        raise FileError(f"{location}: a package is missing: {error}") from error
    except Exception as error:
        if not isinstance(location, str) and not isinstance(error, OSError):
            raise
        message = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FileError(f"{location}: {' '.join(message.split())}") from error
    for file in files:
        if not file.size:
            raise FileError(f"{file.name}: the file is empty")
    return files


def find_file(location: Location, extensions: tuple[str, ...]) -> SourceFile:
    """Find the one file of a location, for formats that are not read as several files."""
    files = find_files(location, extensions)
    if len(files) > 1:
        raise FileError(
            f"{location}: only one {files[0].extension} file can be read, got {len(files)}"
        )
    return files[0]


def _matching_files(
    location: Location, extensions: tuple[str, ...], shown_extensions: tuple[str, ...]
) -> list[SourceFile]:
    if isinstance(location, str):
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(location)
    else:
        filesystem, path = _local_filesystem(), str(location)
    has_wildcards = bool(_WILDCARDS & set(path)) and not filesystem.exists(path)
    if has_wildcards:
        matches = filesystem.glob(path, detail=True).values()
        files = [info for info in matches if info["type"] == "file"]
        if not files:
            raise FileError(f"{location}: no file matches this pattern")
    else:
        info = _info(filesystem, path)
        if info is None or info["type"] != "directory":
            if extension_of(location) not in extensions:
                check_extension(location, shown_extensions)
            if info is None:
                raise FileError(f"{location}: No such file or directory")
            return [_source_file(location, filesystem, info, str(location))]
        files = [info for info in filesystem.ls(path, detail=True) if info["type"] == "file"]
    files = [info for info in files if not _base_name(info).startswith(_HIDDEN)]
    readable = [info for info in files if extension_of(_base_name(info)) in extensions]
    if not readable:
        place = "pattern matches" if has_wildcards else "folder has"
        raise FileError(f"{location}: the {place} no file with extension {_listed(extensions)}")
    kinds = sorted({extension_of(_base_name(info)).removesuffix(_GZIP) for info in readable})
    if len(kinds) > 1:
        raise FileError(
            f"{location}: the files must be of one kind, got {', '.join(kinds)}; choose one with a "
            f"pattern such as '*{kinds[0]}'"
        )
    readable = _without_results(readable)
    readable.sort(key=lambda info: str(info["name"]))
    return [
        _source_file(
            location,
            filesystem,
            info,
            _full_name(info, filesystem)
            if has_wildcards
            else f"{str(location).rstrip('/')}/{_base_name(info)}",
        )
        for info in readable
    ]


def _without_results(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the results that stand beside their source: week1-labels.csv beside week1.csv.

    A pattern such as ``week*.csv`` matches both.
    """
    stems = {_stem(info) for info in files}
    return [
        info
        for info in files
        if not _stem(info).endswith(_RESULT) or _stem(info).removesuffix(_RESULT) not in stems
    ]


def _stem(info: dict[str, Any]) -> str:
    """The name without the extension."""
    name = _base_name(info)
    return name[: len(name) - len(extension_of(name))]


def _local_filesystem() -> Any:
    from fsspec.implementations.local import LocalFileSystem

    return LocalFileSystem()


def _info(filesystem: Any, path: str) -> dict[str, Any] | None:
    try:
        info: dict[str, Any] = filesystem.info(path)
    except FileNotFoundError:
        return None
    return info


def _base_name(info: dict[str, Any]) -> str:
    return str(info["name"]).rpartition("/")[2]


def _full_name(info: dict[str, Any], filesystem: Any) -> str:
    is_local = "local" in filesystem.protocol
    return str(info["name"] if is_local else filesystem.unstrip_protocol(info["name"]))


def _source_file(
    location: Location, filesystem: Any, info: dict[str, Any], name: str
) -> SourceFile:
    is_local = not isinstance(location, str)
    return SourceFile(name, info["name"], None if is_local else filesystem, info["size"])


def check_extension(location: Location, extensions: tuple[str, ...]) -> None:
    """Raise FileError if the extension is none of these."""
    extension = extension_of(location)
    if extension not in extensions:
        raise FileError(
            f"{location}: the extension must be {_listed(extensions)}, got {extension!r}"
        )


def _listed(extensions: tuple[str, ...]) -> str:
    """The extensions in a sentence; compressed forms are mentioned once."""
    plain = [extension for extension in extensions if not extension.endswith(_GZIP)]
    text = f"{', '.join(plain[:-1])} or {plain[-1]}" if len(plain) > 1 else plain[0]
    return text if len(plain) == len(extensions) else f"{text} (text also with {_GZIP})"


def with_gzip(*extensions: str) -> tuple[str, ...]:
    """These extensions, and each with ``.gz`` after it."""
    return (*extensions, *(extension + _GZIP for extension in extensions))
