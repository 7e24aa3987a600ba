"""Refuse files whose content needs more memory than there is, before it is read or while it is."""

from __future__ import annotations

import sys
from pathlib import Path

from labelquorum import _core
from labelquorum._shared.files import FileError

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def available_memory() -> int:
    """The bytes that the process can still take: of the machine, its cgroup and its own limit."""
    return min(_core.available_memory(), _left_by_limit())


def check_memory(name: str, n_bytes: int) -> None:
    """Refuse content that declares a size of more bytes than are available."""
    available = available_memory()
    if n_bytes > available:
        raise FileError(
            f"{name}: the content takes {shown_bytes(n_bytes)}, but only "
            f"{shown_bytes(available)} of memory are available"
        )


class MemoryBudget:
    """Counts the memory that content takes while it is read, where its size is not declared.

    It may take half of what is available, since joining its parts takes as much again.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._limit = available_memory() // 2
        self._taken = 0

    def take(self, n_bytes: int) -> None:
        """Count more bytes; raise FileError once they are too many."""
        self._taken += n_bytes
        if self._taken > self._limit:
            raise FileError(
                f"{self._name}: the content takes more than {shown_bytes(self._limit)}, half of "
                "the memory that is available"
            )


def shown_bytes(n: int) -> str:
    """A number of bytes in a message: 6.3 GB."""
    size, unit = float(n), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{n} bytes"


def _left_by_limit() -> int:
    """The bytes that RLIMIT_AS (ulimit -v) leaves."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    statm = Path("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not statm.exists():
        return sys.maxsize
    return max(0, limit - int(statm.read_text().split()[0]) * resource.getpagesize())
