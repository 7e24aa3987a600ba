"""``python -m labelquorum`` and ``labelquorum``: the command line.

Nothing else is imported before `run`, so that it sees when there is no memory even for imports.
"""

from __future__ import annotations

import sys

# What Python and other libraries raise where the system refuses memory, and how one knows.
_OUT_OF_MEMORY: dict[type[Exception], tuple[str, ...]] = {
    MemoryError: ("",),
    ImportError: ("failed to map segment", "cannot allocate memory"),
    RuntimeError: ("can't start new thread",),
    SystemError: ("without exception set", "without setting an exception"),
}


def run() -> int:
    """Run the command line and return its exit code; where memory ends, print one line."""
    try:
        from labelquorum.cli.main import main

        return main()
    except tuple(_OUT_OF_MEMORY) as error:
        if not _is_out_of_memory(error):
            raise
        print(f"labelquorum: {_in_one_line(error)}", file=sys.stderr)
        return 1


def _is_out_of_memory(error: Exception) -> bool:
    message = str(error).lower()
    return any(
        isinstance(error, kind) and any(word in message for word in words)
        for kind, words in _OUT_OF_MEMORY.items()
    )


def _in_one_line(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError) and message:
        return message
    return f"the system has no more memory for this process ({message or 'see ulimit -v'})"


if __name__ == "__main__":
    sys.exit(run())
