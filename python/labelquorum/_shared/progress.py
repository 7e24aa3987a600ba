"""Progress of long calls: drawn on stderr by rich, in a notebook as one output that changes.

rich is imported only when progress is asked for. In notebooks it would need ipywidgets, and leave
the bars as they were before the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from labelquorum._shared.html import Table, as_html

# What kernels call with the name of a stage and the share of it that is done, 0 to 1.
Show: TypeAlias = Callable[[str, float], None] | None

_SECONDS_BETWEEN_DRAWINGS = 0.25  # in a notebook, which keeps up with no more


class _ShowWithNote(Protocol):
    def __call__(self, stage: str, fraction: float, note: str = "") -> None: ...


@contextmanager
def progress(verbose: bool) -> Iterator[_ShowWithNote | None]:
    """Yield a function that shows how much of a stage is done; None unless `verbose`.

    It takes the name of the stage, the share done (0 to 1) and, optionally, a note to show after
    the name. Each new name adds a line to the display.
    """
    if not verbose:
        yield None
        return
    display = _display()
    is_shown = is_broken = False

    def show(stage: str, fraction: float, note: str = "") -> None:
        nonlocal is_shown, is_broken
        if is_broken:
            return
        try:
            if not is_shown:
                display.start()
                is_shown = True
            display.draw(stage, fraction, note)
        except OSError:  # Nobody reads it, or the disk is full: the work goes on.
            is_broken = True

    try:
        yield show
    finally:
        if is_shown:
            with suppress(OSError):
                display.stop()


class _OnTerminal:
    """Bars on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, TaskID

        self._progress = Progress(console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        self._progress.start()

    def draw(self, stage: str, fraction: float, note: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=1.0)
        task = self._tasks[stage]
        self._progress.update(task, completed=fraction, description=f"{stage}{note}")

    def stop(self) -> None:
        self._progress.stop()


class _InNotebook:
    """One output of a cell, drawn anew a few times a second."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[float, str]] = {}
        self._output: Any = None
        self._drawn_at = 0.0

    def start(self) -> None:
        from IPython.display import display

        self._output = self._output or display(self, display_id=True)

    def draw(self, stage: str, fraction: float, note: str) -> None:
        self._stages[stage] = fraction, note
        if time.monotonic() - self._drawn_at >= _SECONDS_BETWEEN_DRAWINGS:
            self.stop()

    def stop(self) -> None:
        self._output.update(self)
        self._drawn_at = time.monotonic()

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in self._rows())

    def _repr_html_(self) -> str:
        return as_html(Table([], self._rows()))

    def _rows(self) -> list[list[str]]:
        return [
            [f"{stage}{note}", f"{'█' * round(20 * fraction):░<20}", f"{fraction:.0%}"]
            for stage, (fraction, note) in self._stages.items()
        ]


def _display() -> _OnTerminal | _InNotebook:
    ipython = sys.modules.get("IPython")  # imported wherever it runs
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):  # IPython in a terminal has none
        return _OnTerminal()
    return _of_cell(shell.execution_count)


@lru_cache(maxsize=1)
def _of_cell(_execution_count: int) -> _InNotebook:
    """The same output for all calls in a cell: a fit has many stages, a search many fits."""
    return _InNotebook()
