"""Collapse samples into signatures, run a kernel on those, expand its values to the samples.

Samples with the same row of partitions get the same value, so a kernel runs once per distinct row.
Memory beyond the result is O(signatures) if the result is int32: it then holds the ids of the
signatures first, and the values replace them. Otherwise the ids take 4 more bytes per sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import Columns, as_columns, as_eligible, as_out
from labelquorum._shared.progress import Show, progress
from labelquorum.votes.signatures import SignatureTable

Votes: TypeAlias = SignatureTable | Columns
# Takes the table, the mask of its eligible signatures (None: all) and the progress display; returns
# one value per signature.
Kernel: TypeAlias = Callable[[_core.SignatureTable, NDArray[np.uint8] | None, Show], NDArray[Any]]


def as_votes(partitions: Any) -> Votes:
    """Return a SignatureTable as it is, and partitions of samples as a list of columns."""
    return partitions if isinstance(partitions, SignatureTable) else as_columns(partitions)


def n_partitions_of(votes: Votes) -> int:
    """Return the number of partitions."""
    return votes.n_partitions if isinstance(votes, SignatureTable) else len(votes)


def collapse(
    columns: Columns,
    n_threads: int,
    show: Show = None,
    *,
    ids: NDArray[np.int32] | None = None,
    mask: NDArray[np.uint8] | None = None,
) -> tuple[_core.SignatureTable, NDArray[np.int32]]:
    """Count the samples by signature; return the table and each sample's signature id.

    Samples outside the mask are not counted and have the id -1. `ids` is the array to write to.
    """
    if ids is None:
        ids = np.empty(len(columns[0]), dtype=np.int32)
    table = _core.SignatureTable(len(columns))
    table.update(columns, ids, mask, n_threads, show)
    return table, ids


def run_on_signatures(
    kernel: Kernel,
    votes: Votes,
    dtype: type[np.int32] | type[np.int64],
    missing: int,
    *,
    eligible: Any = None,
    out: Any = None,
    n_threads: int,
    verbose: bool,
) -> NDArray[Any]:
    """Run the kernel on the signatures; return its value for each sample.

    A SignatureTable gives one value per signature instead. Samples that are not `eligible` get the
    value `missing`. The result is `out` where given.
    """
    if isinstance(votes, SignatureTable):
        return _per_signature(kernel, votes, dtype, eligible=eligible, out=out, verbose=verbose)
    n_samples = len(votes[0])
    mask = as_eligible(eligible, n_samples)
    values_of_samples = as_out(out, n_samples, (dtype,), votes)
    ids = values_of_samples if dtype is np.int32 else None
    with progress(verbose) as show:
        table, ids = collapse(votes, n_threads, show, ids=ids, mask=mask)
        values = kernel(table, None, show)
        _core.expand(ids, values, missing, values_of_samples, n_threads, show)
    return values_of_samples


def _per_signature(
    kernel: Kernel,
    table: SignatureTable,
    dtype: type[np.int32] | type[np.int64],
    *,
    eligible: Any,
    out: Any,
    verbose: bool,
) -> NDArray[Any]:
    mask = as_eligible(eligible, len(table))
    result = None if out is None else as_out(out, len(table), (dtype,))
    with progress(verbose) as show:
        values = kernel(table.kernel_table, mask, show)
    if result is None:
        return values
    result[:] = values
    return result
