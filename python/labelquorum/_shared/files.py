"""Files that are written whole or not at all, and the error that names a file.

A result is written under a temporary name in the same folder and renamed when it is complete.
Whatever happens, there is never half a file under the final name. A process holds a lock on its
temporary file, so that what a killed one left can be told from what another one is writing.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import re
import secrets
import signal
import stat
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO

from labelquorum._shared.sealed import reading, sealed_json, values_of_json

if sys.platform == "win32":
    fcntl: Any = None
else:
    import fcntl


class FileError(OSError):
    """A file cannot be read or written. The message is one line that names the file."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which replaces `path` if the block succeeds and is removed otherwise.

    A link stays, and its target is replaced; an existing file's permissions are kept. Into what is
    no file (a pipe, a device, standard output), the content is copied once it is complete. What
    killed processes left behind for the same path is removed.
    """
    check_writable(path)
    if is_stream(path):
        with tempfile.TemporaryFile() as content:
            with _named(path, _NO_SPACE):
                yield content
                content.seek(0)
            with _named(path), _open_stream(path) as stream:
                copyfileobj(content, stream)
        return
    with _named(path):
        target = _target(path)
        _remove_leftovers(target)
        file, temporary = _open_temporary(target)
    try:
        with _named(path, _NO_SPACE), file:
            yield file
            with _named(path):
                file.flush()
                with suppress(OSError):
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                os.fsync(file.fileno())
                if fcntl is not None:  # while the lock is held
                    os.replace(temporary, target)
        if fcntl is None:  # Windows renames only closed files
            with _named(path):
                os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def check_writable(path: Path) -> None:
    """Raise FileError if it is clear that `path` cannot be written: before long work."""
    with _named(path):
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if is_stream(path):
            return
        folder = _target(path).parent
        folder.stat()
        if not folder.is_dir():
            raise NotADirectoryError(None, f"{folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")


def is_stream(path: Path) -> bool:
    """Whether `path` is a pipe, a device or standard output, which cannot be replaced."""
    try:
        status = path.stat()
    except OSError:
        return False
    return not stat.S_ISREG(status.st_mode) or _standard(status) is not None


def is_stdout(path: Path) -> bool:
    """Whether `path` is where standard output goes."""
    try:
        return _standard(path.stat()) == _STDOUT
    except OSError:
        return False


_STDOUT, _STDERR = 1, 2
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, None})


def _standard(status: os.stat_result) -> int | None:
    """The descriptor of standard output or standard error that is this file."""
    for number in (_STDOUT, _STDERR):
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), status):
                return number
    return None


def _open_stream(path: Path) -> BinaryIO:
    number = _standard(path.stat())
    if number is None:
        # Opening a pipe waits for a reader. pyarrow leaves signals so that they end no waiting.
        for each in (signal.SIGINT, signal.SIGTERM):
            if hasattr(signal, "siginterrupt") and callable(signal.getsignal(each)):
                signal.siginterrupt(each, True)
        return open(path, "wb")
    if sys.stdout is not None:
        sys.stdout.flush()
    return open(os.dup(number), "wb")


@contextmanager
def _named(path: Path, numbers: Collection[int | None] | None = None) -> Iterator[None]:
    """Let an error of the system name the file, if it has one of these numbers (None: any)."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        cause = _error_of_system(error)
        if cause is None or (numbers is not None and cause.errno not in numbers):
            raise
        # NumPy says only how many values it could not write.
        reason = cause.strerror or f"the disk may be full ({cause})"
        raise FileError(f"{path}: cannot be written: {reason}") from error


def _error_of_system(error: BaseException | None) -> OSError | None:
    """The error of the system behind this one: closing an archive hides that of writing it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _target(path: Path) -> Path:
    """Where the file is, through all links."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


_RANDOM = 8  # bytes in a temporary name, in hexadecimal digits
_LONGEST_PREFIX = 200  # bytes of a name; files may have names of 255


def _open_temporary(target: Path) -> tuple[BinaryIO, Path]:
    """Create and lock a file beside `target`."""
    while True:
        # mkstemp would make it readable by its owner only.
        path = target.with_name(f"{_prefix(target)}{secrets.token_hex(_RANDOM)}.tmp")
        file = open(path, "xb")  # noqa: SIM115
        if fcntl is None:
            return file, path
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        # Until it was locked, another process may have taken it for a leftover.
        if os.fstat(file.fileno()).st_nlink:
            return file, path
        file.close()


def _prefix(target: Path) -> str:
    """How the names of this target's temporary files begin; no longer than names may be."""
    name = os.fsencode(target.name)
    is_long = len(name) > _LONGEST_PREFIX
    return f".{hashlib.blake2b(name, digest_size=16).hexdigest() if is_long else target.name}."


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of this target that no process has locked."""
    if fcntl is None:
        return
    pattern = re.compile(re.escape(_prefix(target)) + rf"[0-9a-f]{{{2 * _RANDOM}}}\.tmp")
    with os.scandir(target.parent) as entries:
        leftovers = [entry.path for entry in entries if pattern.fullmatch(entry.name)]
    for leftover in leftovers:
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(leftover)
            finally:
                os.close(descriptor)


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
