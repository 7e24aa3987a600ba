"""The command ``labelquorum fit``: features in, a table of labels out."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.labels import has_label
from labelquorum._shared.origins import ORIGIN, PROPOSED
from labelquorum._shared.progress import progress
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files.features import has_origins, read_features
from labelquorum.cli.files.labels import read_labels, read_origins, read_votes
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.files.sources import Location
from labelquorum.cli.options import (
    FOLDERS,
    SAMPLES,
    UsageError,
    add_columns,
    add_file,
    add_run,
    add_scheduler,
    add_seed,
    as_file,
    check_length,
    check_other,
    default_out,
    folder_of,
    is_dask_folder,
    one_line,
    positive,
    print_complete,
    print_result,
    summary_stream,
)
from labelquorum.clustering.clusterer import ConsensusClusterer

_SHOWN_CATEGORIES = 40
_SHOWN_SUSPECTS = 10

FIT = f"""\
Find the categories on which many clusterings agree. Known labels, if there are any, name some of
the categories.

{SAMPLES}
The result is a table with the columns label, origin (given or accepted, if it was known; proposed),
confidence (0 to 1) and pseudo_label (the label of the most certain samples only). It replaces an
older file only when it is complete.

{FOLDERS}
Of a folder, at most 100,000 samples are drawn to find the categories: up to half of them among
those with a known label (--label-column), the rest at random. The tables have no pseudo_label.
"""


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_samples(parser)
    add = parser.add_argument
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz (default: FILE with -labels.csv "
        "instead of its extension; of a folder, FOLDER-labels)",
    )
    add_scheduler(add)
    add_run(add)
    parser.set_defaults(command=_run)


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where samples are and how their categories are found."""
    add = parser.add_argument
    add_file(add)
    add("--labels", type=as_file, metavar="FILE", help="known labels: .npy, .txt or a table")
    add(
        "--label-column",
        metavar="NAME",
        help="the column that holds known labels: of the table of --labels if that is given "
        '(default: "label", or the only column), otherwise of FILE',
    )
    add(
        "--votes",
        type=as_file,
        metavar="FILE",
        help="names of categories that may be wrong, such as answers of a language model: .npy, "
        ".txt or a table",
    )
    add(
        "--vote-column",
        action="append",
        default=[],
        dest="vote_columns",
        metavar="NAME",
        help="a column that holds such names: of the table of --votes if that is given (default: "
        '"label", or the only column), otherwise of FILE; once for each voter',
    )
    add_columns(add)
    add(
        "--n-clusters",
        type=positive,
        metavar="N",
        help="number of categories, known ones included (default: the number for which views of "
        "the samples agree and the categories are separated most)",
    )
    add(
        "--min-cluster-size",
        type=positive,
        metavar="N",
        help="smallest size of a new category; samples of smaller ones join others (default: 10, "
        "or 1 with --n-clusters)",
    )
    add(
        "--no-discover",
        dest="discover",
        action="store_false",
        help="find no new categories: each sample gets a known label or none",
    )
    add_seed(add)
    add(
        "--directory",
        type=Path,
        metavar="FOLDER",
        help="keep finished base partitions there, so that the same command continues from them",
    )


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    if is_dask_folder(args):
        _run_on_folder(args, started)
        return
    out: Path = args.out or default_out(args.file, "-labels.csv")
    check_output(out)
    check_samples(args, out)
    samples = read_samples(args)
    model = fitted(ConsensusClusterer, args, samples)
    columns = {
        "label": model.labels_,
        ORIGIN: model.label_origins_,
        "confidence": model.confidence_,
        "pseudo_label": model.pseudo_labels_,
    }
    with replacing(out) as file:
        write_columns(out, file, columns)
    if not args.quiet:
        print_summary(model, args.file, samples.X, out, started)


def _run_on_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum.cli.files.folders import workers_at

    if args.labels is not None:
        raise UsageError(
            "--labels cannot be used with a folder of .parquet files: use --label-column"
        )
    if not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: add --label-column")
    if args.votes is not None:
        raise UsageError(
            "--votes cannot be used with a folder of .parquet files: use --vote-column"
        )
    _check_vote_columns(args)
    columns = ("label_column", "vote_columns", "columns")
    folder = folder_of(args, (*columns, "n_clusters", "min_cluster_size", "discover", "seed"))
    if not folder.missing:
        print_complete(args, folder)
        return
    from labelquorum.cli.files.folders import SampleColumns
    from labelquorum.dask import ConsensusClusterer as DaskClusterer

    to_read = SampleColumns(
        args.columns,
        args.label_column,
        _has_origins(args, folder.first_with_rows),
        args.vote_columns,
    )
    with workers_at(args.scheduler, args.n_jobs) as workers:
        with progress(not args.quiet) as show:
            samples = Samples(*folder.features(workers, to_read, show))
        model = fitted(DaskClusterer, args, samples)
        with progress(not args.quiet) as show:
            folder.label_samples(workers, model, to_read, show)
    if not args.quiet:
        _print_categories(model.estimator_, sys.stdout, model.sample_)
        print_result(
            folder.out,
            f"(of the {len(model.sample_):,} samples that were drawn)",
            f"{folder.source}: {len(folder.files):,} files, {len(samples.X):,} samples, "
            f"{samples.X.shape[1]:,} features",
            f"{folder.out}: written after {time.perf_counter() - started:.1f} s",
        )


def check_samples(args: argparse.Namespace, out: Path) -> None:
    """Refuse options that do not fit together."""
    check_other(out, args.file, "FILE")
    if args.labels is not None:
        check_other(out, args.labels, "--labels")
    elif not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: add --labels or --label-column")
    if args.votes is not None:
        check_other(out, args.votes, "--votes")
    _check_vote_columns(args)


def _check_vote_columns(args: argparse.Namespace) -> None:
    """Refuse columns that are named twice."""
    names: list[str] = args.vote_columns
    if len(set(names)) < len(names):
        raise UsageError(f"--vote-column must name different columns, got {', '.join(names)}")
    used = {args.label_column: "--label-column"} if args.labels is None else {}
    used |= dict.fromkeys(args.columns or (), "--columns")
    for name in names if args.votes is None else ():
        if name in used:
            raise UsageError(f"--vote-column and {used[name]} must differ, got {name!r} in both")


def fitted(kind: type[Any], args: argparse.Namespace, samples: Samples) -> Any:
    """Find categories with this estimator, and print each warning as one line."""
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
            model.fit(samples.X, samples.labels, origins=samples.origins, votes=samples.votes)
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {one_line(error)}") from error
    if not args.quiet:
        for warning in caught:
            print(f"labelquorum: {visible_line(str(warning.message))}", file=sys.stderr)
    return model


def print_summary(model: Any, source: Location, X: NDArray[Any], out: Path, started: float) -> None:
    """Print the categories, and what was read and written."""
    _print_categories(model, summary_stream(out))
    print_result(
        out,
        f"{source}: {X.shape[0]:,} samples, {X.shape[1]:,} features",
        f"{out}: written after {time.perf_counter() - started:.1f} s",
    )


class Samples(NamedTuple):
    """What is known of samples."""

    X: Any
    """(n_samples, n_features): the features."""
    labels: Any
    """(n_samples,): labels; None if there are none."""
    origins: Any
    """(n_samples,): where the labels come from; None if all are known."""
    votes: Any
    """An array of shape (n_samples,) for each voter; None without voters."""


def read_samples(args: argparse.Namespace) -> Samples:
    """Read features, labels and votes, and refuse those that do not fit together."""
    has_origin = _has_origins(args, args.file)
    beside = [ORIGIN] if has_origin else []
    beside += args.vote_columns if args.votes is None else []
    with progress(not args.quiet) as show:
        X, known = read_features(
            args.file,
            columns=args.columns,
            label_column=args.label_column if args.labels is None else None,
            beside=beside,
            header=args.header,
            show=show,
        )
    origins = None
    if args.labels is not None:
        known, origins = checked_labels(args.labels, args.label_column, "--label-column", args, X)
    elif has_origin:
        origins = read_origins(args.file, args.label_column)
    if origins is not None:
        _say_what_is_known(args, known, origins)
    if args.n_clusters is not None and args.n_clusters > X.shape[0]:
        raise UsageError(
            f"--n-clusters must be at most the number of samples in {args.file}, "
            f"{X.shape[0]:,}, got "
            f"{args.n_clusters:,}"
        )
    return Samples(X, known, origins, _read_votes(args, X))


def _has_origins(args: argparse.Namespace, source: Location) -> bool:
    """Whether the labels of a table of features have origins."""
    in_table = args.labels is None and args.label_column not in (None, ORIGIN)
    return in_table and has_origins(source, args.columns)


def _say_what_is_known(args: argparse.Namespace, labels: Any, origins: NDArray[np.str_]) -> None:
    """Say how many labels are known, since proposals of an earlier result look like them."""
    source = args.file if args.labels is None else args.labels
    is_label = has_label(labels)
    n_proposed = int(np.count_nonzero(is_label & (origins == PROPOSED)))
    n_known = int(np.count_nonzero(is_label)) - n_proposed
    if not n_known and not args.discover:
        raise FileError(
            f"{source}: --no-discover needs known labels, but all {n_proposed:,} are proposals of "
            f"a model: write 'accepted' into the column {ORIGIN!r} where they are right"
        )
    if n_proposed and not args.quiet:
        print(
            f"labelquorum: {visible_line(str(source))}: {n_known:,} labels are known; "
            f"{n_proposed:,} are proposals of a model, from which categories only keep their names",
            file=sys.stderr,
        )


def _read_votes(args: argparse.Namespace, X: Any) -> list[NDArray[Any]] | None:
    """Read the votes of all voters; None without voters."""
    if args.votes is None and not args.vote_columns:
        return None
    source = args.file if args.votes is None else args.votes
    votes = read_votes(source, args.vote_columns)
    check_length(source, len(votes[0]), args.file, X.shape[0], "votes")
    return votes


def checked_labels(
    source: Location, column: str | None, option: str, args: argparse.Namespace, X: Any
) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Read one label for each sample and, if the file says so, its origin.

    `option` names the column of the labels.
    """
    labels, origins = read_labels(source, column, option), read_origins(source, column, option)
    ends_empty = bool(len(labels)) and labels[-1] in (-1, None)
    check_length(
        source,
        len(labels),
        args.file,
        X.shape[0],
        "labels",
        "" if column else option,
        ends_empty=ends_empty,
    )
    return labels, origins


def _print_categories(model: Any, stream: TextIO, numbers: NDArray[np.int64] | None = None) -> None:
    """Print a line for each category, and the known labels that look wrong.

    `numbers` are the row numbers of the samples, where these are not all samples.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = set(model.classes_[: model.outcome_.n_known].tolist())
    labels = model.labels_
    table = Table("category", "kind")
    for name in ("samples", "confidence"):
        table.add_column(name, justify="right")
    categories = model.classes_.tolist()
    for k in model.outcome_.listing(categories)[:_SHOWN_CATEGORIES]:
        category = categories[k]
        confidence = model.confidence_[labels == category]
        if len(confidence):
            kind = "known" if category in names else "new"
            size, mean = f"{len(confidence):,}", f"{confidence.mean():.2f}"
            table.add_row(Text(visible_line(str(category))), kind, size, mean)
    n_more = len(model.classes_) - _SHOWN_CATEGORIES
    if n_more > 0:
        table.add_row(f"{n_more:,} more", "...")
    n_missing = np.count_nonzero(labels == (None if labels.dtype.kind == "O" else -1))
    if n_missing:
        table.add_row("", "none", f"{n_missing:,}")
    Console(file=stream).print(table)
    suspects = model.suspect_labels_ if numbers is None else numbers[model.suspect_labels_]
    if len(suspects):
        rows = ", ".join(map(str, suspects[:_SHOWN_SUSPECTS].tolist()))
        rows += ", ..." if len(suspects) > _SHOWN_SUSPECTS else ""
        print(
            f"{len(suspects):,} known labels look wrong, most suspect first: rows {rows} (from 0)",
            file=stream,
        )
