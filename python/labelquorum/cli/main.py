"""The command line: ``labelquorum fit``, ``report``, ``consensus``, ``label`` and ``demo``.

Exit codes: 0 done, 1 the data cannot be used, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import labelquorum as lq
from labelquorum._shared.files import FileError
from labelquorum.cli.consensus import CONSENSUS, add_consensus
from labelquorum.cli.demo import DEMO, add_demo
from labelquorum.cli.fit import FIT, add_fit
from labelquorum.cli.label.command import LABEL, add_label
from labelquorum.cli.options import UsageError
from labelquorum.cli.report import REPORT, add_report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except UsageError as error:
        return _fail(str(error), 2)
    except (FileError, OSError, MemoryError, lq.WorkLimitError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"labelquorum: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labelquorum",
        description="A label counts when enough independent models agree on it.",
    )
    parser.add_argument("--version", action="version", version=f"labelquorum {lq.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_fit(
        commands.add_parser(
            "fit",
            help="categories of samples from a file of features",
            description=FIT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_report(
        commands.add_parser(
            "report",
            help="a page to look at about the categories of samples",
            description=REPORT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_consensus(
        commands.add_parser(
            "consensus",
            help="pseudo-labels from a file of partitions",
            description=CONSENSUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_label(
        commands.add_parser(
            "label",
            help="label texts in the terminal",
            description=LABEL,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    add_demo(
        commands.add_parser(
            "demo",
            help="classify handwritten digits without a label",
            description=DEMO,
        )
    )
    return parser
