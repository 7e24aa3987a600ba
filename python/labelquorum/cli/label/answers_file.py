"""The file of answers: one JSON line each, on disk before the next question is asked.

The first line says what the answers are about. If the program is killed, only the last line can be
incomplete. It is reported and removed, or completed if only the line break is missing. Any other
damage is an error, and the file stays as it is.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from labelquorum._shared.files import FileError

_KIND = "labelquorum answers"
_VERSION = 1
_FIELDS: dict[str, dict[str, type]] = {  # the fields of each event
    "label": {"row": int, "label": str},
    "skip": {"row": int},
    "check": {"row": int, "rows": list},
    "give": {"row": int, "rows": list, "label": str},
    "decline": {},
    "undo": {},
}


class AnswersFile:
    """A file of answers that is open for more; a context manager.

    Parameters
    ----------
    path : Path
        The file; it is created if it does not exist.
    about : dict
        What the answers depend on: digests of the texts, options. A file that was begun with other
        values is refused, and the message says which.
    follows_links : bool, default=True
        Whether `path` may be a link.

    Attributes
    ----------
    events : list of dict
        The answers in the file.
    message : str
        What was done about an incomplete last line; empty without one.
    """

    def __init__(self, path: Path, about: dict[str, Any], follows_links: bool = True) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        self.message = ""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            if not follows_links:
                flags |= getattr(os, "O_NOFOLLOW", 0)
            self._file = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP and not follows_links:
                raise FileError(
                    f"{path}: cannot be opened: it is a link; to use it, name it with --answers"
                ) from error
            raise FileError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise FileError(f"{path}: the answers must be kept in a regular file")
            self._lock()
            self._read(about)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, event: dict[str, Any]) -> None:
        """Write an event, and return once it is on disk."""
        self._write(_line(event))
        self.events.append(event)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(f"{self.path}: another process is writing answers") from error
        except OSError:  # the file system has no locks
            pass

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            n_written = os.write(self._file, line)
            if n_written < len(line):
                raise OSError(None, "the disk is full")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise FileError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _read(self, about: dict[str, Any]) -> None:
        head = {"kind": _KIND, "version": _VERSION, **about}
        with open(self._file, "rb", closefd=False) as file:
            content = file.read()
        *lines, rest = content.split(b"\n")
        if not lines and not _line(head).startswith(rest):
            raise FileError(f"{self.path}: not a file of answers: give another name with --answers")
        if lines:
            self._check_head(lines[0], head)
        self.events = [self._event(line, number) for number, line in enumerate(lines[1:], 2)]
        if rest:
            self._recover(rest, len(content), has_head=bool(lines))
        if not lines:
            self._write(_line(head))

    def _check_head(self, line: bytes, head: dict[str, Any]) -> None:
        stored = _parsed(line)
        if not isinstance(stored, dict) or stored.get("kind") != _KIND:
            raise FileError(f"{self.path}: not a file of answers: give another name with --answers")
        if stored.get("version") != _VERSION:
            raise FileError(
                f"{self.path}: the format must be {_VERSION}, got {stored.get('version')!r}: the "
                "file comes from another version of labelquorum"
            )
        changes = [
            f"{name} was {stored.get(name)!r} and is now {value!r}"
            for name, value in head.items()
            if stored.get(name) != value
        ]
        if changes:
            raise FileError(
                f"{self.path}: the answers do not fit this call: {'; '.join(changes)}. Use the "
                "earlier texts and options, or another file of answers (--answers)"
            )

    def _event(self, line: bytes, number: int) -> dict[str, Any]:
        event = _parsed(line)
        if not _is_event(event):
            shown = line[:60].decode(errors="replace")
            raise FileError(f"{self.path}: line {number} is damaged: {shown!r}")
        return dict(event)

    def _recover(self, rest: bytes, size: int, *, has_head: bool) -> None:
        """Complete or remove the last line, which has no line break."""
        event = _parsed(rest)
        if has_head and _is_event(event):
            self._write(b"\n")
            self.events.append(event)
            self.message = f"{self.path}: the last line break was missing; the answer is kept"
            return
        os.ftruncate(self._file, size - len(rest))
        if has_head:
            shown = rest[:60].decode(errors="replace")
            message = f"the last line was cut off, and that answer is lost: {shown!r}"
        else:
            message = "the first line was cut off, but no answer is lost"
        self.message = f"{self.path}: {message}"


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_event(event: Any) -> bool:
    kind = event.get("event") if isinstance(event, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        return False
    rows = event.get("rows", [])
    return all(isinstance(event.get(name), type_) for name, type_ in _FIELDS[kind].items()) and all(
        isinstance(row, int) for row in rows
    )
