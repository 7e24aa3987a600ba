"""Progress of long calls, drawn on stderr by rich.

rich is imported only when progress is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TypeAlias

# What kernels call with the name of a stage and the share of it that is done, 0 to 1.
Show: TypeAlias = Callable[[str, float], None] | None


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
    from rich.console import Console
    from rich.progress import Progress, TaskID

    display = Progress(console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}
    is_broken = False

    def draw(stage: str, fraction: float, note: str) -> None:
        if not tasks:
            display.start()
        if stage not in tasks:
            tasks[stage] = display.add_task(stage, total=1.0)
        display.update(tasks[stage], completed=fraction, description=f"{stage}{note}")

    def show(stage: str, fraction: float, note: str = "") -> None:
        nonlocal is_broken
        if is_broken:
            return
        try:
            draw(stage, fraction, note)
        except OSError:  # Nobody reads it, or the disk is full: the work goes on.
            is_broken = True

    try:
        yield show
    finally:
        if tasks:
            with suppress(OSError):
                display.stop()
