"""Put the commands together and run one.

Exit codes: 0 done, 1 the data cannot be used, 2 wrong usage, 128 + n ended by the signal n (130 for
Ctrl-C).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any, NoReturn

from labelquorum._core import WorkLimitError
from labelquorum._shared.files import FileError
from labelquorum._shared.terminal import visible_line, write_any_characters
from labelquorum.cli.categories import CATEGORIES, add_categories
from labelquorum.cli.consensus import CONSENSUS, add_consensus
from labelquorum.cli.demo import DEMO, add_demo
from labelquorum.cli.fit import FIT, add_fit
from labelquorum.cli.label.command import LABEL, add_label
from labelquorum.cli.mini_clusters import MINI_CLUSTERS, add_mini_clusters
from labelquorum.cli.options import UsageError
from labelquorum.cli.predict import PREDICT, add_predict
from labelquorum.cli.quality import QUALITY, add_quality
from labelquorum.cli.report import REPORT, add_report
from labelquorum.cli.update import UPDATE, add_update

_COMMANDS: tuple[tuple[str, str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("fit", "find the categories of samples from their features", FIT, add_fit),
    ("predict", "label new samples by a saved model", PREDICT, add_predict),
    ("categories", "list, name, merge and split categories", CATEGORIES, add_categories),
    ("update", "label next week's samples, and say what is new", UPDATE, add_update),
    ("report", "find the categories and show them in an HTML report", REPORT, add_report),
    ("quality", "say how many labels are right, from checks by hand", QUALITY, add_quality),
    (
        "mini-clusters",
        "find the pseudo-labels on which partitions agree",
        MINI_CLUSTERS,
        add_mini_clusters,
    ),
    ("consensus", "combine partitions into one", CONSENSUS, add_consensus),
    ("label", "label texts in the terminal", LABEL, add_label),
    ("demo", "classify handwritten digits without a label", DEMO, add_demo),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    write_any_characters()
    args = _parser().parse_args(argv)
    try:
        with _ended_by_signals():
            args.command(args)
            if sys.stdout is not None:
                sys.stdout.flush()  # while an error can still be reported
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)
    except _EndedError as error:
        return _fail(str(error), 128 + error.number)
    except UsageError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:  # nobody reads what is printed any more
        _print_nowhere()
        return 128 + _SIGPIPE
    except OSError as error:
        if isinstance(error, FileError) or error.filename is not None:
            return _fail(str(error), 1)
        _print_nowhere()  # errors of all files name them
        return _fail(f"standard output: cannot be written: {error.strerror or error}", 1)
    except WorkLimitError as error:
        return _fail(str(error), 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't start new thread" not in str(error):
            raise
        name = f"{args.file}: " if "file" in args else ""
        return _fail(f"{name}not enough memory: {error}", 1)
    return 0


_SIGPIPE = 13  # Windows has no name for it


class _EndedError(BaseException):
    """The process was asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Clean up after a hang-up or a request to terminate, as after Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a shell may send it a second time
        raise _EndedError(number)

    names = ("SIGHUP", "SIGTERM")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # A signal that is ignored (nohup), or has a handler of the caller, keeps that.
        before = {n: signal.SIG_DFL for n in numbers if signal.getsignal(n) == signal.SIG_DFL}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_nowhere() -> None:
    """Let Python not report a second time, at exit, that standard output cannot be written."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fail(message: str, code: int) -> int:
    print(f"labelquorum: {visible_line(message)}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(visible_line(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="labelquorum",
        description="A label counts when enough independent models agree on it.",
        epilog="'labelquorum COMMAND --help' explains a command.",
    )
    parser.add_argument(
        "--version", action="version", version=f"labelquorum {version('labelquorum')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary, description, add_options in _COMMANDS:
        command = commands.add_parser(
            name,
            help=summary,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(command)
        command.set_defaults(command_name=name)
    return parser
