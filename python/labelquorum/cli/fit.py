"""The command ``labelquorum fit``: features in, a table of labels out."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, check_writable, is_stream, replacing
from labelquorum._shared.progress import progress
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files.features import Features, read_features
from labelquorum.cli.files.labels import read_labels
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
The result is a table with the columns label, confidence (0 to 1) and pseudo_label (the label of the
most certain samples only). It replaces an older file only when it is complete.

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
    add(
        "--save",
        type=Path,
        metavar="FILE.lq",
        help='save the model to this file, for "labelquorum predict"',
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
    if args.save is not None:
        _check_save(args)
    if is_dask_folder(args):
        _run_on_folder(args, started)
        return
    out: Path = args.out or default_out(args.file, "-labels.csv")
    check_output(out)
    check_samples(args, out)
    X, known = read_samples(args)
    model = fitted(ConsensusClusterer, args, X, known)
    columns = {
        "label": model.labels_,
        "confidence": model.confidence_,
        "pseudo_label": model.pseudo_labels_,
    }
    with replacing(out) as file:
        write_columns(out, file, columns)
    _save(args, model)
    if not args.quiet:
        print_summary(model, args.file, X, out, started)


def _check_save(args: argparse.Namespace) -> None:
    """Refuse a file to save to that is another file of the command, or cannot be written."""
    if is_stream(args.save):
        raise UsageError(f"--save must be a file, got {args.save}, a pipe or device")
    check_writable(args.save)
    for source, name in ((args.file, "FILE"), (args.labels, "--labels"), (args.out, "--out")):
        if source is not None:
            check_other(args.save, source, name, "--save")
    if args.out is not None and args.out.absolute() == args.save.absolute():
        raise UsageError(f"--save must be another file than --out, got {args.save}")


def _save(args: argparse.Namespace, model: ConsensusClusterer) -> None:
    if args.save is not None:
        model.save(args.save)


def _run_on_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum.cli.files.folders import workers_at

    if args.labels is not None:
        raise UsageError(
            "--labels cannot be used with a folder of .parquet files: use --label-column"
        )
    if not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: add --label-column")
    folder = folder_of(
        args, ("label_column", "columns", "n_clusters", "min_cluster_size", "discover", "seed")
    )
    if not folder.missing and args.save is None:
        print_complete(args, folder)
        return
    from labelquorum.dask import ConsensusClusterer as DaskClusterer

    with workers_at(args.scheduler, args.n_jobs) as workers:
        with progress(not args.quiet) as show:
            X, known = folder.features(workers, args.columns, args.label_column, show)
        model = fitted(DaskClusterer, args, X, known)
        with progress(not args.quiet) as show:
            folder.label_samples(workers, model, args.columns, args.label_column, show)
    _save(args, model.estimator_)
    if not args.quiet:
        _print_categories(model.estimator_, sys.stdout, model.sample_)
        print_result(
            folder.out,
            f"(of the {len(model.sample_):,} samples that were drawn)",
            f"{folder.source}: {len(folder.files):,} files, {len(X):,} samples, "
            f"{X.shape[1]:,} features",
            f"{folder.out}: written after {time.perf_counter() - started:.1f} s",
        )


def check_samples(args: argparse.Namespace, out: Path) -> None:
    """Refuse options that do not fit together."""
    check_other(out, args.file, "FILE")
    if args.labels is not None:
        check_other(out, args.labels, "--labels")
    elif not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: add --labels or --label-column")


def fitted(kind: type[Any], args: argparse.Namespace, X: Any, known: Any) -> Any:
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
            model.fit(X, known)
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


def read_samples(args: argparse.Namespace) -> Features:
    """Read features and known labels, and refuse those that do not fit together."""
    with progress(not args.quiet) as show:
        X, known = read_features(
            args.file,
            columns=args.columns,
            label_column=args.label_column if args.labels is None else None,
            header=args.header,
            show=show,
        )
    if args.labels is not None:
        known = checked_labels(args.labels, args.label_column, "--label-column", args, X)
    if args.n_clusters is not None and args.n_clusters > X.shape[0]:
        raise UsageError(
            f"--n-clusters must be at most the number of samples in {args.file}, "
            f"{X.shape[0]:,}, got "
            f"{args.n_clusters:,}"
        )
    return Features(X, known)


def checked_labels(
    source: Location, column: str | None, option: str, args: argparse.Namespace, X: Any
) -> NDArray[Any]:
    """Read one label for each sample; `option` names the column."""
    labels = read_labels(source, column, option)
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
    return labels


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
