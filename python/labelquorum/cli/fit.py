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
from labelquorum._shared.labels import to_labels
from labelquorum._shared.origins import ORIGIN, PROPOSED
from labelquorum._shared.progress import progress
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.files.sources import Location
from labelquorum.cli.options import (
    FOLDERS,
    SAMPLES,
    Once,
    UsageError,
    add_columns,
    add_file,
    add_run,
    add_scheduler,
    add_seed,
    as_file,
    check_other,
    check_page,
    default_out,
    folder_of,
    is_dask_folder,
    one_line,
    positive,
    print_complete,
    print_result,
    summary_stream,
)
from labelquorum.cli.samples import (
    TEXTS,
    Samples,
    add_carried,
    add_texts,
    check_carried,
    check_texts,
    has_origins_of_labels,
    read_samples,
    reads_rows,
)
from labelquorum.clustering.clusterer import ConsensusClusterer

_SHOWN_CATEGORIES = 40
_SHOWN_SUSPECTS = 10
_NAME = "name"
_RESULTS = ("label", ORIGIN, "confidence", "pseudo_label", "runner_up", "runner_up_share")

FIT = f"""\
Find the categories on which many clusterings agree. Known labels, if there are any, name some of
the categories.

{SAMPLES}
{TEXTS}
The result is a table with the columns label, name (with --text-column: the keywords of a new
category), origin (given or accepted, if it was known; proposed),
confidence (0 to 1), pseudo_label (the label of the most certain samples only), runner_up (the
second choice) and runner_up_share (its share of the votes). Before them stand the id, the text and
the columns of --keep. It replaces an older file only when it is complete. Cells of .csv files that
a spreadsheet would take for a formula get an apostrophe in front.

{FOLDERS}
Of a folder, at most 100,000 samples are drawn to find the categories: up to half of them among
those with a known label (--label-column), the rest at random. The tables have no pseudo_label and
no runner_up. With --text-column, --id-column, --keep or --features, a folder is read as one table
instead, which must fit into memory.
"""


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_samples(parser)
    add = parser.add_argument
    add_carried(add)
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
        help='save the model to this file, for "labelquorum predict" and "labelquorum update"',
    )
    add(
        "--report",
        type=Path,
        metavar="FILE.html",
        help='also write the page of "labelquorum report"',
    )
    add_scheduler(add)
    add_run(add)
    parser.set_defaults(command=_run)


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where samples are and how their categories are found."""
    add = parser.add_argument
    add_file(add)
    add(
        "--labels",
        action=Once,
        type=as_file,
        metavar="FILE",
        help="known labels: .npy, .txt or a table, in the order of FILE, or with its --id-column",
    )
    add(
        "--label-column",
        metavar="NAME",
        help="the column that holds known labels: of the table of --labels if that is given "
        '(default: "label", or the only column), otherwise of FILE',
    )
    add(
        "--votes",
        action=Once,
        type=as_file,
        metavar="FILE",
        help="names of categories that may be wrong, such as answers of a language model: .npy, "
        ".txt or a table, in the order of FILE, or with its --id-column",
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
    add_texts(add)
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
    if args.report is not None:
        check_page(args.report)
    if is_dask_folder(args):
        if not reads_rows(args):
            if args.report is not None:
                raise UsageError(
                    "--report cannot be used with a folder of .parquet files that is read in "
                    "parts: add --text-column or --id-column"
                )
            _run_on_folder(args, started)
            return
        if args.scheduler is not None:
            raise UsageError(
                "--scheduler cannot be used with --text-column, --id-column, --keep or --features"
            )
    out: Path = args.out or default_out(args.file, "-labels.csv")
    check_output(out)
    check_samples(args, out)
    if args.report is not None:
        _check_report(args, out)
    check_carried(args, _RESULTS if args.text_column is None else (*_RESULTS, _NAME))
    samples = read_samples(args, out)
    _say_what_is_void(args, samples)
    model = fitted(ConsensusClusterer, args, samples)
    with replacing(out) as file:
        write_columns(out, file, {**samples.carried, **_results(model, samples)})
    model.source_ = samples.source
    _save(args, model)
    if args.report is not None:
        try:
            model.report(args.report, X=samples.X, texts=samples.texts)
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {one_line(error)}") from error
    if not args.quiet:
        print_summary(model, args.file, samples.X, out, started)


def result_columns(model: ConsensusClusterer, *, with_names: bool) -> dict[str, NDArray[Any]]:
    """Return what a model says of its training samples, by the names of the columns."""
    outcome = model.outcome_
    numbers, shares = outcome.categories.runners_up()
    runners_up = to_labels(model.classes_, outcome.as_labels(numbers))
    found = (model.labels_, model.label_origins_, model.confidence_, model.pseudo_labels_)
    columns = dict(zip(_RESULTS, (*found, runners_up, shares), strict=True))
    if with_names:
        label = columns.pop("label")
        names = to_labels(model.category_names_, outcome.as_labels(outcome.categories.numbers))
        columns = {"label": label, _NAME: names, **columns}
    return {name: column.copy() for name, column in columns.items()}


def _results(model: ConsensusClusterer, samples: Samples) -> dict[str, NDArray[Any]]:
    """The columns that the command finds. Texts that say nothing get no proposal."""
    columns = result_columns(model, with_names=samples.texts is not None)
    if samples.is_void is not None:
        is_void = samples.is_void & (model.label_origins_ == PROPOSED)
        for column in columns.values():
            column[is_void] = {"O": None, "U": "", "f": 0}.get(column.dtype.kind, -1)
    return columns


def _say_what_is_void(args: argparse.Namespace, samples: Samples) -> None:
    n_void = 0 if samples.is_void is None else int(np.count_nonzero(samples.is_void))
    if n_void and not args.quiet:
        print(
            f"labelquorum: {n_void:,} texts are empty or have no known word: they get no label",
            file=sys.stderr,
        )


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


def _check_report(args: argparse.Namespace, out: Path) -> None:
    """Refuse a report in the place of another file of the command."""
    for source, name in ((args.file, "FILE"), (args.labels, "--labels"), (args.votes, "--votes")):
        if source is not None:
            check_other(args.report, source, name, "--report")
    for path, name in ((out, "--out"), (args.save, "--save")):
        if path is not None and path.absolute() == args.report.absolute():
            raise UsageError(f"--report must be another file than {name}, got {path}")


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
    if args.votes is not None:
        raise UsageError(
            "--votes cannot be used with a folder of .parquet files: use --vote-column"
        )
    _check_vote_columns(args)
    columns = ("label_column", "vote_columns", "columns")
    folder = folder_of(args, (*columns, "n_clusters", "min_cluster_size", "discover", "seed"))
    if not folder.missing and args.save is None:
        print_complete(args, folder)
        return
    from labelquorum.cli.files.folders import SampleColumns
    from labelquorum.dask import ConsensusClusterer as DaskClusterer

    to_read = SampleColumns(
        args.columns,
        args.label_column,
        has_origins_of_labels(args, folder.first_with_rows),
        args.vote_columns,
    )
    with workers_at(args.scheduler, args.n_jobs) as workers:
        with progress(not args.quiet) as show:
            samples = Samples(*folder.features(workers, to_read, show))
        model = fitted(DaskClusterer, args, samples)
        with progress(not args.quiet) as show:
            folder.label_samples(workers, model, to_read, show)
    _save(args, model.estimator_)
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
    check_texts(args)
    if args.features is not None:
        check_other(out, args.features, "--features")
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
    """Find and name categories with this estimator, and print each warning as one line."""
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
    if samples.texts is not None:
        model.name_categories(samples.texts)
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


def _print_categories(model: Any, stream: TextIO, numbers: NDArray[np.int64] | None = None) -> None:
    """Print a line for each category, and the known labels that look wrong.

    `numbers` are the row numbers of the samples, where these are not all samples.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_known = model.outcome_.is_known(model.classes_)
    labels = model.labels_
    table = Table("category", "kind")
    for name in ("samples", "confidence"):
        table.add_column(name, justify="right")
    categories, names = model.classes_.tolist(), model.category_names_.tolist()
    for k in model.outcome_.listing(categories)[:_SHOWN_CATEGORIES]:
        confidence = model.confidence_[labels == categories[k]]
        if len(confidence):
            kind = "known" if is_known[k] else "new"
            size, mean = f"{len(confidence):,}", f"{confidence.mean():.2f}"
            table.add_row(Text(visible_line(names[k])), kind, size, mean)
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
