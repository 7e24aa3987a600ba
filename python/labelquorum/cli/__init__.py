"""The command line: a module for each command, put together in ``main``.

Read ``main`` (the parser), ``options`` (arguments that commands share), then the commands. The
folder ``files`` reads and writes what they take, ``label`` is the session in the terminal.
"""

from __future__ import annotations

from labelquorum.cli.main import main

__all__ = ["main"]
