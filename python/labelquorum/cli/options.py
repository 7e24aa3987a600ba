"""Arguments, checks and messages that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from labelquorum._shared.arguments import as_n_threads
from labelquorum._shared.files import FileError, check_writable, is_stdout
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files.sources import Location, extension_of, is_pattern

if TYPE_CHECKING:
    from labelquorum.cli.files.folders import Folder

TABLES = """\
  .parquet       columns
  .csv, .tsv     fields separated by commas or by tabs
  .jsonl         one object per line
Text files may be compressed (.csv.gz). FILE can also be a folder of such files, a pattern in quotes
('data/*.csv') or a URL (s3:// or gs://, which need the packages s3fs and gcsfs). Files of one kind
with the same columns are then read as one."""

SAMPLES = f"""\
FILE holds the features, one row per sample: integers or floats, with none missing.
  .npy           a 2-D array, memory-mapped
  .npz           a 2-D array named X, or the only array, or a matrix of scipy.sparse.save_npz
{TABLES}
A column of lists (of equal length, such as an embedding) becomes one feature per item.

Known labels are integers or strings; -1, an empty field and words such as nan, n/a, none and null
mean "unlabeled". They come from a column of the same table (--label-column) or from another file
(--labels): .npy; .txt, one label per line; or a table, its column "label", its only column, or the
one that --label-column names.
"""

FOLDERS = """\
A folder of .parquet files may hold more samples than fit into memory (needs Dask: pip install
"labelquorum[dask]"). Its result is a folder, too, with one file of the same name for each file.
Files are processed one after the other or, with --scheduler, by the workers of a Dask cluster,
which must see the same folders. After an interruption, the same command continues with the files
that are missing.
"""

VOTES_HELP = "a fraction of the partitions if it has a point (0.9, 1.0), else a number of votes (9)"


class UsageError(Exception):
    """The arguments do not fit together."""


def add_file(add: Callable[..., object], help: str = "the file, folder, pattern or URL") -> None:
    """Add the argument FILE."""
    add("file", metavar="FILE", type=as_file, help=help)


def add_columns(add: Callable[..., object]) -> None:
    """Add the options that say how a table is read."""
    add(
        "--columns",
        type=names,
        metavar="A,B,...",
        help="the columns of a table to use, separated by commas (default: all)",
    )
    add_header(add)


def add_header(add: Callable[..., object]) -> None:
    """Add the option that says what the first line of a table of numbers is."""
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a .csv or .tsv file of numbers holds names (default: guess "
        "from its fields)",
    )


def add_run(add: Callable[..., object]) -> None:
    """Add the options of all commands that compute."""
    add_n_jobs(add)
    add("--quiet", "-q", action="store_true", help="print nothing but errors")


def add_scheduler(add: Callable[..., object]) -> None:
    """Add the option that names a Dask cluster."""
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask cluster for a folder of .parquet files, such as tcp://10.0.0.1:8786 (default: "
        "this process)",
    )


def add_n_jobs(add: Callable[..., object]) -> None:
    """Add the option for the number of threads."""
    add(
        "--n-jobs",
        type=_n_jobs,
        metavar="N",
        help="number of threads, -1 for all cores available (default: OMP_NUM_THREADS, or all "
        "cores that the process may use)",
    )


def add_seed(add: Callable[..., object]) -> None:
    """Add the seed of random choices."""
    add(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )


def as_file(text: str) -> Location:
    """The location that an argument names, which need not exist."""
    if not text:
        raise argparse.ArgumentTypeError("a file name must not be empty")
    return text if "://" in text else Path(text)


def positive(text: str) -> int:
    """An integer of at least 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}")
    return number


def votes(text: str) -> float:
    """A fraction of the partitions (float) or a number of votes (int)."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a fraction such as 0.9 or a number of votes such as 9, got {text!r}"
        ) from None


class Once(argparse.Action):
    """An option that would be lost if it were given twice."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value, unless there is one."""
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "must be given once")
        setattr(namespace, self.dest, values)


def names(text: str) -> list[str]:
    """Different names, separated by commas."""
    found = [name.strip() for name in text.split(",")]
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"must be different names such as a,b, got {text!r}")
    return found


def _n_jobs(text: str) -> int:
    try:
        return as_n_threads(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be -1 or an integer from 1 to 4096, got {text!r}"
        ) from None


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2^32 - 1, got {text!r}")
    return int(text)


def default_out(source: Location, ending: str) -> Path:
    """The path of a result beside its source: with this ending instead of the extension."""
    if isinstance(source, str) or is_pattern(source):
        raise UsageError(f"--out must be given, since {source} is a pattern or a URL")
    extension = "" if source.is_dir() else extension_of(source)
    return source.with_name(source.name[: len(source.name) - len(extension)] + ending)


def check_other(out: Path, source: Location, name: str, option: str = "--out") -> None:
    """Refuse to write over a file that is read."""
    if isinstance(source, Path) and out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{option} must be another file than {name}, got {out}")


def check_page(path: Path) -> None:
    """Refuse a page that cannot be written, or made."""
    check_writable(path)
    if find_spec("jinja2") is None:
        raise FileError('the report needs Jinja2: pip install "labelquorum[report]"')


def is_dask_folder(args: argparse.Namespace) -> bool:
    """Whether FILE is a folder of .parquet files; --scheduler is refused if it is not."""
    source = args.file
    is_folder = isinstance(source, Path) and source.is_dir() and any(source.glob("*.parquet"))
    if args.scheduler is not None and not is_folder:
        raise UsageError(
            f"--scheduler is only for a folder of .parquet files, which {source} is not"
        )
    return is_folder


def folder_of(args: argparse.Namespace, names: tuple[str, ...]) -> Folder:
    """The folder to work on and its results, which must come from equal values of these options."""
    from labelquorum.cli.files.folders import Folder

    source = args.file.resolve()  # workers may be elsewhere
    out: Path = (args.out or source.with_name(f"{source.name}-labels")).resolve()
    check_other(out, source, "FILE")
    # As text, since 1.0 is a fraction and 1 a vote.
    options = {name: repr(getattr(args, name)) for name in names}
    return Folder(source, out, {"command": args.command_name, **options})


def print_complete(args: argparse.Namespace, folder: Folder) -> None:
    """Say that no file is missing."""
    if not args.quiet:
        print_result(
            folder.out, f"{folder.out}: all {len(folder.files):,} files are complete already"
        )


def summary_stream(out: Path) -> TextIO:
    """Where a command says what it did: standard error if the result goes to standard output."""
    return sys.stderr if is_stdout(out) else sys.stdout


def print_result(out: Path, *lines: str) -> None:
    """Say what a command did, which wrote its result to `out`."""
    print("\n".join(map(visible_line, lines)), file=summary_stream(out))


def check_length(
    name: Location,
    n: int,
    source: Location,
    n_samples: int,
    what: str,
    option: str = "--label-column",
    *,
    ends_empty: bool = False,
) -> None:
    """Refuse a file with another number of items than there are samples.

    `option` names the column of labels; it is empty if it was given. `ends_empty` tells that the
    last item is empty.
    """
    if n == n_samples:
        return
    message = f"{name}: {n:,} {what}, but {source} has {n_samples:,} samples: they must be equal"
    if n > n_samples and ends_empty:
        message += ". The last line is empty: delete empty lines at the end"
    elif what == "labels" and option and n == n_samples + 1 and extension_of(name) != ".npy":
        message += f". If the first line is a name, it must be 'label' or be given with {option}"
    raise FileError(message)


def one_line(error: Exception) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


def as_picture(text: str) -> Path:
    """The path of a picture."""
    path = Path(text)
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise argparse.ArgumentTypeError(f"must end in .png, .pdf or .svg, got {text!r}")
    return path
