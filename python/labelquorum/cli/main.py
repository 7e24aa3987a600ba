"""Put the commands together and run one.

Exit codes: 0 done, 1 the data cannot be used, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from labelquorum._core import WorkLimitError
from labelquorum.cli.consensus import CONSENSUS, add_consensus
from labelquorum.cli.demo import DEMO, add_demo
from labelquorum.cli.fit import FIT, add_fit
from labelquorum.cli.label.command import LABEL, add_label
from labelquorum.cli.mini_clusters import MINI_CLUSTERS, add_mini_clusters
from labelquorum.cli.options import UsageError
from labelquorum.cli.report import REPORT, add_report

_COMMANDS: tuple[tuple[str, str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("fit", "find the categories of samples from their features", FIT, add_fit),
    ("report", "find the categories and show them in an HTML report", REPORT, add_report),
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
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except UsageError as error:
        return _fail(str(error), 2)
    except (OSError, WorkLimitError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"labelquorum: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
