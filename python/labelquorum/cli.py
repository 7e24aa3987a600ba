"""The command line: ``labelquorum fit``, ``report``, ``consensus``, ``label`` and ``demo``.

Exit codes: 0 done, 1 the data cannot be used, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import labelquorum as lq
from labelquorum._feature_files import check_output, read_features, read_labels, write_columns
from labelquorum._files import FileError, check_format, read_partitions, replacing, write_labels
from labelquorum._progress import progress
from labelquorum._text_files import read_texts
from labelquorum._validation import as_columns, as_min_agree, as_min_differ, as_n_threads

_IDS_PER_CHUNK = 1 << 20
_SHOWN_CATEGORIES = 40
_SHOWN_SUSPECTS = 10

_SAMPLES = """\
FILE holds the features, one row per sample: integers or floats, none missing.
  .npy      a 2-D array, memory-mapped
  .npz      a 2-D array named X, or the only one
  .parquet  columns of numbers (needs pyarrow: pip install "labelquorum[parquet]")
  .csv      numbers separated by commas, with or without a line of names

Known labels are integers or strings; -1 or nothing is "unlabeled". They come from a column of the
same .parquet or .csv file (--label-column), or from another file (--labels): .npy; .txt, one per
line; .csv, the column "label" or the only one.
"""

_FOLDERS = """\
FILE can also be a folder of any number of .parquet files with equal columns (needs Dask: pip
install "labelquorum[dask]"). The result then is a folder with a file of the same name for each. The
work is done on a Dask cluster with --scheduler, whose workers have to see the same folders, else
file by file. What is finished is kept: the same command goes on from there.
"""

_FIT = f"""\
Find categories on which many clusterings agree, around those that are known, if any are.

{_SAMPLES}
The result is a table with the columns label, confidence (0 to 1) and pseudo_label (the label, for
the most certain samples). It is written under a temporary name and renamed when
complete.

{_FOLDERS}
Categories are found in at most 100,000 samples, drawn at random but for half of them at most, which
are drawn among those with a known label (--label-column); the tables have no pseudo_label.
"""

_REPORT = f"""\
Find categories as "labelquorum fit" does, with the same options, and write a report to look at:
one HTML file that opens in any browser, without a network.

{_SAMPLES}
The report shows texts (--texts) or images (--image-shape) of each category, where there are some;
else, which features set it apart. With true labels of some or all samples (--truth), it says how
many of the labels are right; nothing is learned from these. It needs Jinja2:
pip install "labelquorum[report]".
"""

_CONSENSUS = f"""\
Extract mini-clusters, the pseudo-labels on which partitions agree, from a file.

FILE holds one row per sample and one column per partition: integers, a negative one where the
model abstains.
  .npy      a 2-D array, memory-mapped
  .npz      a 2-D array, or one 1-D array per partition; --key chooses one array
  .parquet  integer columns, streamed (needs pyarrow: pip install "labelquorum[parquet]")
  .csv      integers separated by commas, streamed, with or without a line of names

The result has one integer per sample: its mini-cluster, or -1. It is written under a temporary
name and renamed when complete.

{_FOLDERS}"""

_LABEL = """\
Label texts in the terminal, the most telling ones first.

You see a text, press the number of its category or name a new one, and see the next. What to ask
next and which categories to propose is learned from your answers. One answer can do for a tight
group of texts once you have seen a few of it.

FILE holds the texts, each also with .gz but .parquet:
  .txt      one per line
  .csv      a column, with a line of names
  .jsonl    a field, one object per line
  .parquet  a column (needs pyarrow: pip install "labelquorum[parquet]")
Empty texts are never asked. Bytes that are no UTF-8 are shown as U+FFFD.

Each answer is on the disk before the next question is shown, in a file of its own: stop in any way
at any time, and the same command goes on from there. At the end a table is written: row (from 0),
label, source (you; group: given to all of a group; proposed) and confidence (0 to 1).
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
    _add_fit(
        commands.add_parser(
            "fit",
            help="categories of samples from a file of features",
            description=_FIT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_report(
        commands.add_parser(
            "report",
            help="a page to look at about the categories of samples",
            description=_REPORT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_consensus(
        commands.add_parser(
            "consensus",
            help="pseudo-labels from a file of partitions",
            description=_CONSENSUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_label(
        commands.add_parser(
            "label",
            help="label texts in the terminal",
            description=_LABEL,
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


def _add_fit(parser: argparse.ArgumentParser) -> None:
    _add_samples(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz "
        "(default: FILE with -labels.csv instead of its extension; of a folder, FILE-labels)",
    )
    _add_scheduler(parser.add_argument)
    _add_common(parser.add_argument)
    parser.set_defaults(command=_fit)


def _add_report(parser: argparse.ArgumentParser) -> None:
    _add_samples(parser)
    add = parser.add_argument
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--texts",
        type=Path,
        metavar="FILE",
        help="texts of the samples: .txt, .csv, .jsonl, .parquet",
    )
    shown.add_argument(
        "--image-shape",
        type=_image_shape,
        metavar="HxW",
        help="the features are grey values of images of this height and width (8x8), row by row",
    )
    add(
        "--text-column",
        metavar="NAME",
        help='the column or field of the texts (default: "text", or the only one)',
    )
    add(
        "--truth",
        type=Path,
        metavar="FILE",
        help="true labels to measure with, as for --labels; samples without one do not count",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE.html",
        help="where to write the report (default: FILE with -report.html instead of its extension)",
    )
    _add_common(add)
    parser.set_defaults(command=_report)


def _add_samples(parser: argparse.ArgumentParser) -> None:
    """Add what says how categories of samples are found."""
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".npy, .npz, .parquet or .csv")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--labels", type=Path, metavar="FILE", help="known labels: .npy, .csv or .txt"
    )
    known.add_argument(
        "--label-column", metavar="NAME", help="the column of FILE that holds known labels"
    )
    add(
        "--n-clusters",
        type=_positive,
        metavar="N",
        help="categories in all, known ones included (default: as many as stand out, which is "
        "right only for few that lie apart)",
    )
    add(
        "--min-cluster-size",
        type=_positive,
        default=10,
        metavar="N",
        help="samples that make a category, where their number is not given (default: 10)",
    )
    add(
        "--no-discover",
        dest="discover",
        action="store_false",
        help="look for no new category: samples get known ones or none",
    )
    add(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    add(
        "--directory",
        type=Path,
        metavar="FOLDER",
        help="keep finished base partitions there; the same command goes on from them",
    )


def _add_consensus(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".npy, .npz, .parquet, .csv, or a folder")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the labels, in the format of its extension "
        "(default: FILE with .labels before its extension; of a folder, FILE-labels)",
    )
    _add_scheduler(add)
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
    _add_common(add)
    parser.set_defaults(command=_consensus)


def _add_label(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".txt, .csv, .jsonl, .parquet")
    add(
        "--text-column",
        metavar="NAME",
        help='the column or field of the texts (default: "text", or the only one)',
    )
    add(
        "--features",
        type=Path,
        metavar="FILE",
        help="embeddings of the texts, one row each: .npy, .npz, .parquet or .csv "
        "(default: the words of the texts)",
    )
    add(
        "--answers",
        type=Path,
        metavar="FILE.jsonl",
        help="where to keep the answers (default: FILE with -answers.jsonl instead of its "
        "extension)",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz "
        "(default: FILE with -labels.csv instead of its extension)",
    )
    add(
        "--min-samples-per-category",
        type=_positive,
        default=1,
        metavar="N",
        help="labels that you give to a category before it is proposed (default: 1)",
    )
    add(
        "--audit-share",
        type=_share,
        default=0.0,
        metavar="X",
        help="share of the questions that are drawn at random, to tell how many of the proposed "
        "labels are right at least (default: 0, none)",
    )
    add(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    _add_n_jobs(add)
    parser.set_defaults(command=_label)


def _add_common(add: Callable[..., object]) -> None:
    """Add the options of all commands that read a file of numbers."""
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a .csv file holds names (default: told by its fields)",
    )
    _add_n_jobs(add)
    add("--quiet", action="store_true", help="print nothing but errors")


def _add_scheduler(add: Callable[..., object]) -> None:
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="the Dask cluster that works on a folder, as tcp://10.0.0.1:8786 (default: none)",
    )


def _add_n_jobs(add: Callable[..., object]) -> None:
    add(
        "--n-jobs",
        type=_n_jobs,
        metavar="N",
        help="threads, -1 for all cores available (default: OMP_NUM_THREADS, or as many as the "
        "process may use)",
    )


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
        return _positive(height), _positive(width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no height and width like 8x8") from None


def _check_other(out: Path, source: Path, name: str) -> None:
    """Refuse to write over what is read."""
    if out.exists() and source.exists() and out.samefile(source):
        raise _UsageError(f"--out is {name} itself; wanted another name")


def _fit(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    if source.is_dir():
        _fit_folder(args, started)
        return
    _check_no_scheduler(args)
    out: Path = args.out or source.with_name(f"{source.stem}-labels.csv")
    check_output(out)
    _check_samples(args, out)
    with replacing(out) as file:
        X, known = _read(args)
        model = _fitted(lq.ConsensusClusterer, args, X, known)
        columns = {
            "label": model.labels_,
            "confidence": model.confidence_,
            "pseudo_label": model.pseudo_labels_,
        }
        write_columns(out, file, columns)
    if not args.quiet:
        _print_found(model, source, X, out, started)


def _fit_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum._folders import workers

    if args.labels is not None:
        raise _UsageError("--labels is for single files; wanted --label-column for a folder")
    if not args.discover and args.label_column is None:
        raise _UsageError("--no-discover needs known labels: --label-column")
    folder = _folder(args, "label_column", "n_clusters", "min_cluster_size", "discover", "seed")
    if not folder.missing:
        _print_complete(args, folder)
        return
    from labelquorum.dask import ConsensusClusterer

    with workers(args.scheduler, args.n_jobs) as by:
        with progress(not args.quiet) as show:
            X, known = folder.features(by, args.label_column, show)
        model = _fitted(ConsensusClusterer, args, X, known)
        with progress(not args.quiet) as show:
            folder.label(by, model, args.label_column, show)
    if not args.quiet:
        _print_categories(model.estimator_, model.sample_)
        print(
            f"(of {len(model.sample_):,} samples, which were drawn)\n"
            f"{folder.source}: {len(folder.files):,} files, {len(X):,} samples, "
            f"{X.shape[1]:,} features\n"
            f"{folder.out}: written after {time.perf_counter() - started:.1f} s"
        )


def _folder(args: argparse.Namespace, *names: str) -> Any:
    """The folder to work on; what it holds already has to be of the same options."""
    from labelquorum._folders import Folder

    source = args.file.resolve()  # workers may be elsewhere
    out: Path = (args.out or source.with_name(f"{source.name}-labels")).resolve()
    _check_other(out, source, "FILE")
    # As text, since 1.0 is a fraction and 1 a vote.
    options = {name: repr(getattr(args, name)) for name in names}
    return Folder(source, out, {"command": args.command.__name__.strip("_"), **options})


def _print_complete(args: argparse.Namespace, folder: Any) -> None:
    if not args.quiet:
        print(f"{folder.out}: complete already, {len(folder.files):,} files")


def _check_no_scheduler(args: argparse.Namespace) -> None:
    if args.scheduler is not None:
        raise _UsageError("--scheduler is given with a single file; wanted a folder of them")


def _report(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    out: Path = args.out or source.with_name(f"{source.stem}-report.html")
    _check_samples(args, out)
    if args.texts is not None:
        _check_other(out, args.texts, "--texts")
    elif args.text_column is not None:
        raise _UsageError("--text-column is given without --texts; wanted both")
    if args.truth is not None:
        _check_other(out, args.truth, "--truth")
    if find_spec("jinja2") is None:
        raise FileError('a report needs Jinja2: pip install "labelquorum[report]"')
    from labelquorum.report import report_page

    with replacing(out) as file:
        X, known = _read(args)
        # What does not fit is told before the long work.
        texts = None if args.texts is None else read_texts(args.texts, args.text_column).items
        truth = None if args.truth is None else read_labels(args.truth)
        if texts is not None:
            _check_length(args.texts, len(texts), source, len(X), "texts")
        if truth is not None:
            _check_length(args.truth, len(truth), source, len(X), "labels")
        images = None
        if args.image_shape is not None:
            height, width = args.image_shape
            if height * width != X.shape[1]:
                raise _UsageError(
                    f"--image-shape is {height}x{width}, {source} holds {X.shape[1]} features; "
                    f"wanted {height * width}"
                )
            images = X.reshape(-1, height, width)
        model = _fitted(lq.ConsensusClusterer, args, X, known)
        try:
            page = report_page(model, X=X, texts=texts, images=images, y=truth)
        except (TypeError, ValueError) as error:
            raise FileError(f"{source}: {' '.join(str(error).split())}") from error
        file.write(page.encode())
    if not args.quiet:
        _print_found(model, source, X, out, started)


def _check_samples(args: argparse.Namespace, out: Path) -> None:
    """Refuse options that do not fit together."""
    _check_other(out, args.file, "FILE")
    if args.labels is not None:
        _check_other(out, args.labels, "--labels")
    elif not args.discover and args.label_column is None:
        raise _UsageError("--no-discover needs known labels: --labels or --label-column")


def _fitted(kind: type[Any], args: argparse.Namespace, X: Any, known: Any) -> Any:
    """Find categories; warnings are printed, a line each."""
    model = kind(
        args.n_clusters,
        min_cluster_size=args.min_cluster_size,
        discover=args.discover,
        directory=args.directory,
        random_state=args.seed,
        n_jobs=args.n_jobs,
        verbose=not args.quiet,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            model.fit(X, known)
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {' '.join(str(error).split())}") from error
    if not args.quiet:
        for warning in caught:
            print(f"labelquorum: {warning.message}", file=sys.stderr)
    return model


def _print_found(model: Any, source: Path, X: NDArray[Any], out: Path, started: float) -> None:
    _print_categories(model)
    print(
        f"{source}: {len(X):,} samples, {X.shape[1]:,} features\n"
        f"{out}: written after {time.perf_counter() - started:.1f} s"
    )


def _read(args: argparse.Namespace) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The features and the known labels; what does not fit together is refused."""
    with progress(not args.quiet) as show:
        X, known = read_features(
            args.file, label_column=args.label_column, header=args.header, show=show
        )
    if args.labels is not None:
        known = read_labels(args.labels)
        _check_length(args.labels, len(known), args.file, len(X), "labels")
    if args.n_clusters is not None and args.n_clusters > len(X):
        raise _UsageError(
            f"--n-clusters is {args.n_clusters}, {args.file} holds {len(X):,} samples; wanted fewer"
        )
    return X, known


def _check_length(path: Path, found: int, source: Path, wanted: int, what: str) -> None:
    if found != wanted:
        raise FileError(
            f"{path}: holds {found:,} {what}, {source} {wanted:,} samples; wanted as many"
        )


def _print_categories(model: Any, numbers: NDArray[np.int64] | None = None) -> None:
    """Print a line for each category, and which known labels look wrong.

    Rows are named as `numbers` has them, where these are given.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = set(model.classes_[: model._n_known].tolist())
    labels = model.labels_
    table = Table("category", "kind")
    for name in ("samples", "confidence"):
        table.add_column(name, justify="right")
    for category in model.classes_[:_SHOWN_CATEGORIES].tolist():
        confidence = model.confidence_[labels == category]
        if len(confidence):
            kind = "known" if category in names else "new"
            size, mean = f"{len(confidence):,}", f"{confidence.mean():.2f}"
            table.add_row(Text(str(category)), kind, size, mean)
    n_more = len(model.classes_) - _SHOWN_CATEGORIES
    if n_more > 0:
        table.add_row(f"{n_more:,} more", "...")
    n_missing = np.count_nonzero(labels == (None if labels.dtype.kind == "O" else -1))
    if n_missing:
        table.add_row("", "none", f"{n_missing:,}")
    Console().print(table)
    suspects = model.suspect_labels_ if numbers is None else numbers[model.suspect_labels_]
    if len(suspects):
        rows = ", ".join(map(str, suspects[:_SHOWN_SUSPECTS].tolist()))
        rows += ", ..." if len(suspects) > _SHOWN_SUSPECTS else ""
        print(
            f"known labels that look wrong: {len(suspects):,}, from the worst: rows {rows} (from 0)"
        )


def _consensus(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    if source.is_dir():
        _consensus_folder(args, started)
        return
    _check_no_scheduler(args)
    check_format(source)
    out: Path = args.out or source.with_suffix(f".labels{source.suffix}")
    check_format(out)
    _check_other(out, source, "FILE")
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


def _consensus_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum._folders import workers

    names = ("n_clusters", "min_agree", "min_differ", "min_size")
    folder = _folder(args, *names)
    if not folder.missing:
        _print_complete(args, folder)
        return
    with workers(args.scheduler, args.n_jobs) as by, progress(not args.quiet) as show:
        n_partitions = len(folder.look(by, show))
        _check_thresholds(args, n_partitions)
        options = {name: getattr(args, name) for name in (*names, "n_jobs")}
        found = folder.mini_clusters(by, n_partitions, options, show)
    if not args.quiet:
        print(
            f"{folder.source}: {len(folder.files):,} files, {found.n_samples:,} samples, "
            f"{n_partitions} partitions, {found.n_signatures:,} signatures\n"
            f"{found.n_clusters:,} mini-clusters cover {found.n_labeled:,} samples "
            f"({found.n_labeled / found.n_samples:.1%})\n"
            f"{folder.out}: written after {time.perf_counter() - started:.1f} s"
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


def _label(args: argparse.Namespace) -> None:
    from labelquorum._label_texts import label_texts

    source: Path = args.file
    stem = source.with_suffix("") if source.suffix.lower() == ".gz" else source
    out: Path = args.out or stem.with_name(f"{stem.stem}-labels.csv")
    answers: Path = args.answers or stem.with_name(f"{stem.stem}-answers.jsonl")
    check_output(out)
    _check_other(out, source, "FILE")
    _check_other(out, answers, "--answers")
    if args.features is not None:
        _check_other(out, args.features, "--features")
    label_texts(
        source,
        answers,
        out,
        text_column=args.text_column,
        features=args.features,
        min_samples_per_category=args.min_samples_per_category,
        audit_share=args.audit_share,
        seed=args.seed,
        n_jobs=args.n_jobs,
    )


def _demo(args: argparse.Namespace) -> None:
    from labelquorum._demo import demo

    demo(args.out, args.seed)
