"""TODO."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

import labelquorum as lq
from labelquorum._shared.arguments import as_columns, as_min_agree, as_min_differ
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.files.partitions import check_format, read_partitions, write_labels
from labelquorum.cli.options import (
    FOLDERS,
    VOTES_HELP,
    UsageError,
    _folder,
    add_common,
    add_scheduler,
    check_no_scheduler,
    check_other,
    positive,
    print_complete,
    votes,
)

_IDS_PER_CHUNK = 1 << 20

CONSENSUS = f"""\
Extract mini-clusters, the pseudo-labels on which partitions agree, from a file.

FILE holds one row per sample and one column per partition: integers, a negative one where the
model abstains.
  .npy      a 2-D array, memory-mapped
  .npz      a 2-D array, or one 1-D array per partition; --key chooses one array
  .parquet  integer columns, streamed (needs pyarrow: pip install "labelquorum[parquet]")
  .csv      integers separated by commas, streamed, with or without a line of names

The result has one integer per sample: its mini-cluster, or -1. It is written under a temporary
name and renamed when complete.

{FOLDERS}"""


def add_consensus(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".npy, .npz, .parquet, .csv, or a folder")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the labels, in the format of its extension "
        "(default: FILE with .labels before its extension; of a folder, FILE-labels)",
    )
    add_scheduler(add)
    add(
        "--n-clusters",
        type=positive,
        metavar="N",
        help="stop after so many mini-clusters (default: all there are)",
    )
    add(
        "--min-agree",
        type=votes,
        default=1.0,
        metavar="X",
        help=f"partitions that have to agree within a mini-cluster: {VOTES_HELP} (default: 1.0)",
    )
    add(
        "--min-differ",
        type=votes,
        default=0.9,
        metavar="X",
        help="partitions that have to differ between mini-clusters, said in the same way "
        "(default: 0.9)",
    )
    add(
        "--min-size",
        type=positive,
        default=1,
        metavar="N",
        help="fewest samples of a mini-cluster (default: 1)",
    )
    add("--key", metavar="NAME", help="the array to take from an .npz file")
    add_common(add)
    parser.set_defaults(command=_consensus)


def _consensus(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    if source.is_dir():
        _consensus_folder(args, started)
        return
    check_no_scheduler(args)
    check_format(source)
    out: Path = args.out or source.with_suffix(f".labels{source.suffix}")
    check_format(out)
    check_other(out, source, "FILE")
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
    from labelquorum.cli.files.folders import workers

    names = ("n_clusters", "min_agree", "min_differ", "min_size")
    folder = _folder(args, *names)
    if not folder.missing:
        print_complete(args, folder)
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
        raise UsageError(str(error)) from error


def _expanded(ids: BinaryIO, labels: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """The label of each sample, in chunks."""
    ids.seek(0)
    while content := ids.read(_IDS_PER_CHUNK * 4):
        yield labels[np.frombuffer(content, dtype=np.int32)]
