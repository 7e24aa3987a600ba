"""The command line: one module for each command.

Read in this order: ``main`` puts the commands together; ``options`` holds the arguments and checks
that they share; ``fit``, ``report``, ``mini_clusters``, ``consensus`` and ``demo`` are commands.
The folder ``label`` is the command for labeling texts in the terminal. The folder ``files`` reads
and writes files.
"""

from __future__ import annotations

from labelquorum.cli.main import main

__all__ = ["main"]
