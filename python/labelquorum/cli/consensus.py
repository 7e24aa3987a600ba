"""The command ``labelquorum consensus``: partitions in, one partition of all samples out."""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import as_columns
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.files.partitions import read_partitions, write_labels
from labelquorum.cli.mini_clusters import PARTITIONS, add_partitions, labels_path
from labelquorum.cli.options import add_run, one_line, positive, print_result
from labelquorum.clustering.consensus import consensus

CONSENSUS = f"""\
Combine partitions into one partition of all samples.

{PARTITIONS}
The result has one integer per sample: the number of its cluster, from 0, larger clusters first; -1
only where all partitions abstain. All partitions must fit into memory; a folder is read as one
table, and the result is one file.

Give the number of clusters if you know it. The default finds few, clearly separate clusters;
"labelquorum fit", which sees the features, finds the number better.
"""


def add_consensus(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_partitions(add)
    add(
        "--n-clusters",
        type=positive,
        metavar="N",
        help="number of clusters (default: cut where merging clusters costs most)",
    )
    add_run(add)
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    out = labels_path(args)
    columns = _read(args)
    try:
        labels = consensus(columns, args.n_clusters, n_jobs=args.n_jobs, verbose=not args.quiet)
    except (TypeError, ValueError) as error:
        raise FileError(f"{args.file}: {one_line(error)}") from error
    with replacing(out) as file:
        write_labels(out, file, [labels], len(labels))
    if not args.quiet:
        sizes = np.bincount(labels[labels >= 0])
        print_result(
            out,
            f"{args.file}: {len(labels):,} samples, {len(columns)} partitions",
            f"{len(sizes):,} clusters of {sizes.min():,} to {sizes.max():,} samples",
            f"{out}: written after {time.perf_counter() - started:.1f} s",
        )


def _read(args: argparse.Namespace) -> list[NDArray[np.integer]]:
    """The partitions as one array each."""
    chunks: list[list[NDArray[np.integer]]] = []
    with progress(not args.quiet) as show:
        for chunk, share in read_partitions(
            args.file, key=args.key, header=args.header, columns=args.columns, whole=True
        ):
            try:
                chunks.append(as_columns(chunk))
            except (TypeError, ValueError) as error:
                raise FileError(f"{args.file}: {one_line(error)}") from error
            if show is not None:
                show("reading", share)
    if not chunks:
        raise FileError(f"{args.file}: the file has no samples")
    return chunks[0] if len(chunks) == 1 else list(map(np.concatenate, zip(*chunks, strict=True)))
