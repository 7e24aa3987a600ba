"""Progress of long calls on stderr, drawn by rich; rich is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(verbose: bool) -> Iterator[Callable[..., None] | None]:
    """A callable that shows how far the named stage is (0 to 1); None unless `verbose`.

    It also takes a note, shown after the name.
    """
    if not verbose:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    display = Progress(console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def show(stage: str, fraction: float, note: str = "") -> None:
        if not tasks:
            display.start()
        if stage not in tasks:
            tasks[stage] = display.add_task(stage, total=1.0)
        display.update(tasks[stage], completed=fraction, description=f"{stage}{note}")

    try:
        yield show
    finally:
        if tasks:
            display.stop()
