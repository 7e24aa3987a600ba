"""TODO."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelquorum._shared.arguments import as_n_threads
from labelquorum._shared.files import FileError

SAMPLES = """\
FILE holds the features, one row per sample: integers or floats, none missing.
  .npy      a 2-D array, memory-mapped
  .npz      a 2-D array named X, or the only one
  .parquet  columns of numbers (needs pyarrow: pip install "labelquorum[parquet]")
  .csv      numbers separated by commas, with or without a line of names

Known labels are integers or strings; -1 or nothing is "unlabeled". They come from a column of the
same .parquet or .csv file (--label-column), or from another file (--labels): .npy; .txt, one per
line; .csv, the column "label" or the only one.
"""

FOLDERS = """\
FILE can also be a folder of any number of .parquet files with equal columns (needs Dask: pip
install "labelquorum[dask]"). The result then is a folder with a file of the same name for each. The
work is done on a Dask cluster with --scheduler, whose workers have to see the same folders, else
file by file. What is finished is kept: the same command goes on from there.
"""

VOTES_HELP = "with a point a fraction of the partitions (0.9, 1.0), without one votes (9)"


class UsageError(Exception):
    pass


def add_common(add: Callable[..., object]) -> None:
    """Add the options of all commands that read a file of numbers."""
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a .csv file holds names (default: told by its fields)",
    )
    add_n_jobs(add)
    add("--quiet", action="store_true", help="print nothing but errors")


def add_scheduler(add: Callable[..., object]) -> None:
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="the Dask cluster that works on a folder, as tcp://10.0.0.1:8786 (default: none)",
    )


def add_n_jobs(add: Callable[..., object]) -> None:
    add(
        "--n-jobs",
        type=_n_jobs,
        metavar="N",
        help="threads, -1 for all cores available (default: OMP_NUM_THREADS, or as many as the "
        "process may use)",
    )


def positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer of at least 1")
    return number


def votes(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a fraction like 0.9 nor a number of votes like 9"
        ) from None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share of less than 1")
    return share


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


def _image_shape(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    try:
        return positive(height), positive(width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no height and width like 8x8") from None


def check_other(out: Path, source: Path, name: str) -> None:
    """Refuse to write over what is read."""
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"--out is {name} itself; wanted another name")


def _folder(args: argparse.Namespace, *names: str) -> Any:
    """The folder to work on; what it holds already has to be of the same options."""
    from labelquorum.cli.files.folders import Folder

    source = args.file.resolve()  # workers may be elsewhere
    out: Path = (args.out or source.with_name(f"{source.name}-labels")).resolve()
    check_other(out, source, "FILE")
    # As text, since 1.0 is a fraction and 1 a vote.
    options = {name: repr(getattr(args, name)) for name in names}
    return Folder(source, out, {"command": args.command.__name__.strip("_"), **options})


def print_complete(args: argparse.Namespace, folder: Any) -> None:
    if not args.quiet:
        print(f"{folder.out}: complete already, {len(folder.files):,} files")


def check_no_scheduler(args: argparse.Namespace) -> None:
    if args.scheduler is not None:
        raise UsageError("--scheduler is given with a single file; wanted a folder of them")


def check_length(path: Path, found: int, source: Path, wanted: int, what: str) -> None:
    if found != wanted:
        raise FileError(
            f"{path}: holds {found:,} {what}, {source} {wanted:,} samples; wanted as many"
        )
