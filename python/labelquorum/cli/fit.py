"""TODO."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import labelquorum as lq
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.files.features import check_output, read_features, read_labels, write_columns
from labelquorum.cli.options import (
    FOLDERS,
    SAMPLES,
    UsageError,
    _folder,
    _seed,
    add_common,
    add_scheduler,
    check_length,
    check_no_scheduler,
    check_other,
    positive,
    print_complete,
)

_SHOWN_CATEGORIES = 40
_SHOWN_SUSPECTS = 10

FIT = f"""\
Find categories on which many clusterings agree, around those that are known, if any are.

{SAMPLES}
The result is a table with the columns label, confidence (0 to 1) and pseudo_label (the label, for
the most certain samples). It is written under a temporary name and renamed when
complete.

{FOLDERS}
Categories are found in at most 100,000 samples, drawn at random but for half of them at most, which
are drawn among those with a known label (--label-column); the tables have no pseudo_label.
"""


def add_fit(parser: argparse.ArgumentParser) -> None:
    add_samples(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz "
        "(default: FILE with -labels.csv instead of its extension; of a folder, FILE-labels)",
    )
    add_scheduler(parser.add_argument)
    add_common(parser.add_argument)
    parser.set_defaults(command=_fit)


def add_samples(parser: argparse.ArgumentParser) -> None:
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
        type=positive,
        metavar="N",
        help="categories in all, known ones included (default: as many as stand out, which is "
        "right only for few that lie apart)",
    )
    add(
        "--min-cluster-size",
        type=positive,
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


def _fit(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    if source.is_dir():
        _fit_folder(args, started)
        return
    check_no_scheduler(args)
    out: Path = args.out or source.with_name(f"{source.stem}-labels.csv")
    check_output(out)
    check_samples(args, out)
    with replacing(out) as file:
        X, known = _read(args)
        model = fitted(lq.ConsensusClusterer, args, X, known)
        columns = {
            "label": model.labels_,
            "confidence": model.confidence_,
            "pseudo_label": model.pseudo_labels_,
        }
        write_columns(out, file, columns)
    if not args.quiet:
        print_found(model, source, X, out, started)


def _fit_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum.cli.files.folders import workers

    if args.labels is not None:
        raise UsageError("--labels is for single files; wanted --label-column for a folder")
    if not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: --label-column")
    folder = _folder(args, "label_column", "n_clusters", "min_cluster_size", "discover", "seed")
    if not folder.missing:
        print_complete(args, folder)
        return
    from labelquorum.dask import ConsensusClusterer

    with workers(args.scheduler, args.n_jobs) as by:
        with progress(not args.quiet) as show:
            X, known = folder.features(by, args.label_column, show)
        model = fitted(ConsensusClusterer, args, X, known)
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


def check_samples(args: argparse.Namespace, out: Path) -> None:
    """Refuse options that do not fit together."""
    check_other(out, args.file, "FILE")
    if args.labels is not None:
        check_other(out, args.labels, "--labels")
    elif not args.discover and args.label_column is None:
        raise UsageError("--no-discover needs known labels: --labels or --label-column")


def fitted(kind: type[Any], args: argparse.Namespace, X: Any, known: Any) -> Any:
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


def print_found(model: Any, source: Path, X: NDArray[Any], out: Path, started: float) -> None:
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
        check_length(args.labels, len(known), args.file, len(X), "labels")
    if args.n_clusters is not None and args.n_clusters > len(X):
        raise UsageError(
            f"--n-clusters is {args.n_clusters}, {args.file} holds {len(X):,} samples; wanted fewer"
        )
    return X, known


def _print_categories(model: Any, numbers: NDArray[np.int64] | None = None) -> None:
    """Print a line for each category, and which known labels look wrong.

    Rows are named as `numbers` has them, where these are given.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = set(model.classes_[: model.outcome_.n_known].tolist())
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
