"""The command line: ``labelquorum consensus`` and ``labelquorum demo``.

Exit codes: 0 done, 1 the data cannot be used, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

import labelquorum as lq
from labelquorum._files import FileError, check_format, read_partitions, replacing, write_labels
from labelquorum._progress import progress
from labelquorum._validation import as_columns, as_min_agree, as_min_differ, as_n_threads

_IDS_PER_CHUNK = 1 << 20

_CONSENSUS = """\
Extract mini-clusters, the pseudo-labels on which partitions agree, from a file.

FILE holds one row per sample and one column per partition: integers, a negative one where the
model abstains.
  .npy      a 2-D array, memory-mapped
  .npz      a 2-D array, or one 1-D array per partition; --key chooses one array
  .parquet  integer columns, streamed (needs pyarrow: pip install "labelquorum[parquet]")
  .csv      integers separated by commas, streamed, with or without a line of names

The result has one integer per sample: its mini-cluster, or -1. It is written under a temporary
name and renamed when complete.
"""

_DEMO = """\
Classify scikit-learn's handwritten digits without a label: cluster them in many ways, keep what the
clusterings agree on, train a classifier on that, and compare with the true classes. Takes seconds
and downloads nothing.
"""

_VOTES_HELP = "with a point a fraction of the partitions (0.9, 1.0), without one votes (9)"


class _UsageError(Exception):
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except _UsageError as error:
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
    _add_consensus(
        commands.add_parser(
            "consensus",
            help="pseudo-labels from a file of partitions",
            description=_CONSENSUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_demo(
        commands.add_parser(
            "demo",
            help="classify handwritten digits without a label",
            description=_DEMO,
        )
    )
    return parser


def _add_consensus(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".npy, .npz, .parquet or .csv")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the labels, in the format of its extension "
        "(default: FILE with .labels before its extension)",
    )
    add(
        "--n-clusters",
        type=_positive,
        metavar="N",
        help="stop after so many mini-clusters (default: all there are)",
    )
    add(
        "--min-agree",
        type=_votes,
        default=1.0,
        metavar="X",
        help=f"partitions that have to agree within a mini-cluster: {_VOTES_HELP} (default: 1.0)",
    )
    add(
        "--min-differ",
        type=_votes,
        default=0.9,
        metavar="X",
        help="partitions that have to differ between mini-clusters, said in the same way "
        "(default: 0.9)",
    )
    add(
        "--min-size",
        type=_positive,
        default=1,
        metavar="N",
        help="fewest samples of a mini-cluster (default: 1)",
    )
    add("--key", metavar="NAME", help="the array to take from an .npz file")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a .csv file holds names (default: told by its fields)",
    )
    add(
        "--n-jobs",
        type=_n_jobs,
        metavar="N",
        help="threads, -1 for all cores available (default: OMP_NUM_THREADS, or as many as the "
        "process may use)",
    )
    add("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(command=_consensus)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=_picture,
        metavar="PICTURE.png",
        help="write a picture of the mini-clusters there",
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    parser.set_defaults(command=_demo)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer of at least 1")
    return number


def _votes(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a fraction like 0.9 nor a number of votes like 9"
        ) from None


def _n_jobs(text: str) -> int:
    try:
        return as_n_threads(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither -1 nor an integer from 1 to 4096"
        ) from None


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 to 2^32 - 1")
    return int(text)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png, .pdf or .svg")
    return path


def _consensus(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    check_format(source)
    out: Path = args.out or source.with_suffix(f".labels{source.suffix}")
    check_format(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise _UsageError("--out is FILE itself; wanted another name")
    with replacing(out) as file, tempfile.TemporaryFile(dir=out.parent) as ids:
        table = _collapse(args, ids)
        labels = lq.mini_clusters(
            table,
            args.n_clusters,
            min_agree=args.min_agree,
            min_differ=args.min_differ,
            min_size=args.min_size,
            n_jobs=args.n_jobs,
            verbose=not args.quiet,
        )
        write_labels(out, file, _expanded(ids, labels), table.n_samples)
    if not args.quiet:
        n_labeled = int(table.counts[labels >= 0].sum())
        print(
            f"{source}: {table.n_samples:,} samples, {table.n_partitions} partitions, "
            f"{len(table):,} signatures\n"
            f"{labels.max() + 1:,} mini-clusters cover {n_labeled:,} samples "
            f"({n_labeled / table.n_samples:.1%})\n"
            f"{out}: written after {time.perf_counter() - started:.1f} s"
        )


def _collapse(args: argparse.Namespace, ids: BinaryIO) -> lq.SignatureTable:
    """Count the signatures of the file, chunk by chunk, and write the samples' ids to `ids`."""
    table: lq.SignatureTable | None = None
    with progress(not args.quiet) as show:
        for chunk, fraction in read_partitions(args.file, key=args.key, header=args.header):
            try:
                columns = as_columns(chunk)
                if table is None:
                    table = lq.SignatureTable(len(columns))
                    _check_thresholds(args, len(columns))
                ids.write(table.update(columns, n_jobs=args.n_jobs).data)
            except (TypeError, ValueError) as error:
                after = f", after sample {table.n_samples}" if table else ""
                raise FileError(f"{args.file}{after}: {error}") from error
            if show is not None:
                show("reading", fraction)
    if table is None:
        raise FileError(f"{args.file}: the file holds no sample")
    return table


def _check_thresholds(args: argparse.Namespace, n_partitions: int) -> None:
    """Refuse thresholds that do not fit the file before all of it is read."""
    try:
        as_min_agree(args.min_agree, n_partitions)
        as_min_differ(args.min_differ, n_partitions)
    except ValueError as error:
        raise _UsageError(str(error)) from error


def _expanded(ids: BinaryIO, labels: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """The label of each sample, in chunks."""
    ids.seek(0)
    while content := ids.read(_IDS_PER_CHUNK * 4):
        yield labels[np.frombuffer(content, dtype=np.int32)]


def _demo(args: argparse.Namespace) -> None:
    from labelquorum._demo import demo

    demo(args.out, args.seed)
