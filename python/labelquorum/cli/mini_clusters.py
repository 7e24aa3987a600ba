"""The command ``labelquorum mini-clusters``: partitions in, the mini-cluster of each sample out."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import as_columns, as_min_agree, as_min_differ
from labelquorum._shared.files import FileError, is_stream, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.files.partitions import LABEL_EXTENSIONS, read_partitions, write_labels
from labelquorum.cli.files.results import check_output
from labelquorum.cli.files.sources import extension_of
from labelquorum.cli.options import (
    FOLDERS,
    TABLES,
    VOTES_HELP,
    UsageError,
    add_columns,
    add_file,
    add_run,
    add_scheduler,
    check_other,
    default_out,
    folder_of,
    is_dask_folder,
    one_line,
    positive,
    print_complete,
    print_result,
    votes,
)
from labelquorum.votes.mini_clusters import mini_clusters
from labelquorum.votes.signatures import SignatureTable

_IDS_PER_CHUNK = 1 << 20

PARTITIONS = f"""\
FILE has one row per sample and one column per partition: integers, negative where the model
abstains.
  .npy           a 2-D array, memory-mapped
  .npz           a 2-D array, or one 1-D array per partition; --key chooses one array
{TABLES}
"""

MINI_CLUSTERS = f"""\
Find mini-clusters, groups of samples on which partitions agree. They serve as pseudo-labels.

{PARTITIONS}
The result has one integer per sample: the number of its mini-cluster, or -1. FILE is read in
chunks, so it may be larger than memory.

{FOLDERS}"""


def add_mini_clusters(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_partitions(add, "; of a folder, FOLDER-labels")
    add_scheduler(add)
    add(
        "--n-clusters",
        type=positive,
        metavar="N",
        help="stop after this many mini-clusters (default: no limit)",
    )
    add(
        "--min-agree",
        type=votes,
        default=1.0,
        metavar="X",
        help=f"partitions that must agree within a mini-cluster: {VOTES_HELP} (default: 1.0)",
    )
    add(
        "--min-differ",
        type=votes,
        default=0.9,
        metavar="X",
        help="partitions that must differ between mini-clusters, given in the same way "
        "(default: 0.9)",
    )
    add(
        "--min-size",
        type=positive,
        default=1,
        metavar="N",
        help="smallest number of samples in a mini-cluster (default: 1)",
    )
    add_run(add)
    parser.set_defaults(command=_run)


def add_partitions(add: object, more_default: str = "") -> None:
    """Add the arguments that say where partitions are read and labels are written."""
    assert callable(add)
    add_file(add)
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE",
        help="where to write the labels: .npy, .npz, .parquet or .csv (default: FILE with .labels "
        f"before its extension{more_default})",
    )
    add("--key", metavar="NAME", help="the array to take from an .npz file")
    add_columns(add)


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    if is_dask_folder(args):
        _run_on_folder(args, started)
        return
    out = labels_path(args)
    folder = None if is_stream(out) else out.parent  # more room than in the usual one
    with tempfile.TemporaryFile(dir=folder) as ids:
        table = _collapsed(args, ids)
        labels = mini_clusters(
            table,
            args.n_clusters,
            min_agree=args.min_agree,
            min_differ=args.min_differ,
            min_size=args.min_size,
            n_jobs=args.n_jobs,
            verbose=not args.quiet,
        )
        with replacing(out) as file:
            write_labels(out, file, _expanded(ids, labels), table.n_samples)
    if not args.quiet:
        n_labeled = int(table.counts[labels >= 0].sum())
        print_result(
            out,
            f"{args.file}: {table.n_samples:,} samples, {table.n_partitions} partitions, "
            f"{len(table):,} signatures",
            f"{labels.max() + 1:,} mini-clusters cover {n_labeled:,} samples "
            f"({n_labeled / table.n_samples:.1%})",
            f"{out}: written after {time.perf_counter() - started:.1f} s",
        )


def labels_path(args: argparse.Namespace) -> Path:
    """Where to write the labels."""
    source = args.file
    extension = extension_of(source)
    if extension not in LABEL_EXTENSIONS:
        extension = ".csv"
    out: Path = args.out or default_out(source, f".labels{extension}")
    check_output(out, LABEL_EXTENSIONS)
    check_other(out, source, "FILE")
    return out


def _run_on_folder(args: argparse.Namespace, started: float) -> None:
    from labelquorum.cli.files.folders import workers_at

    if args.key is not None:
        raise UsageError("--key is only for .npz files")
    names = ("n_clusters", "min_agree", "min_differ", "min_size")
    folder = folder_of(args, (*names, "columns"))
    if not folder.missing:
        print_complete(args, folder)
        return
    with workers_at(args.scheduler, args.n_jobs) as workers, progress(not args.quiet) as show:
        columns = args.columns or folder.column_names(workers, show)
        _check_thresholds(args, len(columns))
        options = {name: getattr(args, name) for name in (*names, "n_jobs")}
        counts = folder.label_mini_clusters(workers, columns, options, show)
    if not args.quiet:
        print_result(
            folder.out,
            f"{folder.source}: {len(folder.files):,} files, {counts.n_samples:,} samples, "
            f"{len(columns)} partitions, {counts.n_signatures:,} signatures",
            f"{counts.n_clusters:,} mini-clusters cover {counts.n_labeled:,} samples "
            f"({counts.n_labeled / counts.n_samples:.1%})",
            f"{folder.out}: written after {time.perf_counter() - started:.1f} s",
        )


def _collapsed(args: argparse.Namespace, ids: BinaryIO) -> SignatureTable:
    """Count the signatures of the file, chunk by chunk, and write the samples' ids to `ids`."""
    table: SignatureTable | None = None
    with progress(not args.quiet) as show:
        for chunk, share in read_partitions(
            args.file, key=args.key, header=args.header, columns=args.columns
        ):
            try:
                columns = as_columns(chunk)
                if table is None:
                    table = SignatureTable(len(columns))
                    _check_thresholds(args, len(columns))
                ids.write(table.update(columns, n_jobs=args.n_jobs).data)
            except (TypeError, ValueError) as error:
                after = f", after sample {table.n_samples:,}" if table else ""
                raise FileError(f"{args.file}{after}: {one_line(error)}") from error
            if show is not None:
                show("reading", share)
    if table is None:
        raise FileError(f"{args.file}: the file has no samples")
    return table


def _check_thresholds(args: argparse.Namespace, n_partitions: int) -> None:
    """Refuse thresholds that do not fit the file before all of it is read."""
    try:
        as_min_agree(args.min_agree, n_partitions)
        as_min_differ(args.min_differ, n_partitions)
    except ValueError as error:
        raise UsageError(one_line(error)) from error


def _expanded(ids: BinaryIO, labels: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """The label of each sample, in chunks."""
    ids.seek(0)
    while content := ids.read(_IDS_PER_CHUNK * 4):
        yield labels[np.frombuffer(content, dtype=np.int32)]
