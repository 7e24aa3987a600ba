"""Mini-clusters: tight groups of samples that nearly all partitions put together.

The module's name is private so that ``labelquorum.mini_clusters`` is always the function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    as_columns,
    as_eligible,
    as_min_agree,
    as_min_differ,
    as_n_threads,
    as_out,
    as_positive,
)
from labelquorum._shared.progress import progress
from labelquorum.votes.signatures import SignatureTable


def mini_clusters(
    partitions: Any,
    n_clusters: int | None = None,
    *,
    min_agree: float = 1.0,
    min_differ: float = 0.9,
    min_size: int = 1,
    eligible: ArrayLike | None = None,
    out: NDArray[np.int32] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> NDArray[np.int32]:
    """Extract mini-clusters, the pseudo-labels on which the partitions agree.

    Greedily: the sample with most strong positive neighbours (those that agree with it in at
    least `min_agree` partitions, itself included) becomes a seed; its neighbours are its
    mini-cluster; they go, and with them every sample that does not differ from each of them in at
    least `min_differ` partitions; repeat. Ties are broken by content, never by position: the seed
    with more identical samples first, then the lexicographically smallest row (an abstention is
    -1). The order of the rows therefore does not matter.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value means that the model abstains on the sample: it counts neither for nor against.
    n_clusters : int, optional
        Stop after so many mini-clusters; None for all there are.
    min_agree : float or int, default=1.0
        Partitions that have to agree within a mini-cluster: a float in (0, 1] is a fraction of
        them, rounded up; an int from 1 to n_partitions is a number of votes.
    min_differ : float or int, default=0.9
        Partitions that have to differ between mini-clusters: a float in [0, 1] is a fraction of
        them, rounded up; an int from 0 to n_partitions is a number of votes.
    min_size : int, default=1
        Stop when the next mini-cluster would have fewer samples.
    eligible : bool array-like of shape (n_samples,), optional
        Samples that take part; the others count as absent and get -1.
    out : int32 array of shape (n_samples,), optional
        Where to write the result; C-contiguous, writable, apart from the partitions. May be a
        memory map. Its contents are unspecified when the call fails.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples,)
        Mini-cluster of each sample, numbered from 0 in order of extraction; -1 where it is in
        none. `out` where given. For a SignatureTable, one value per signature: `eligible` and
        `out` then have shape (len(table),).

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range.
    WorkLimitError
        If the degrees would take too long to count; the message says how much and what to change.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Exact: the same labels as the naive procedure that compares all pairs of samples. One pass over
    the samples to collapse them into U signatures, the degrees of those once (see
    `agreement_degrees`), and a few scans over the remaining signatures per mini-cluster. Beyond
    the result, memory is O(U).

    The procedure is that of Gupta et al., "Unsupervised Clustering using Pseudo-semi-supervised
    Learning", ICLR 2020.

    Examples
    --------
    Three models cluster five samples; each numbers its clusters in its own way:

    >>> import labelquorum as lq
    >>> models = [[0, 0, 0, 1, 1], [7, 7, 7, 2, 2], [4, 4, 9, 9, 9]]
    >>> lq.mini_clusters(models)
    array([ 0,  0, -1,  1,  1], dtype=int32)

    Two of the three models are enough to put the third sample with the first two:

    >>> lq.mini_clusters(models, min_agree=2, min_differ=2)
    array([0, 0, 0, 1, 1], dtype=int32)
    """
    n_threads = as_n_threads(n_jobs)
    limit = -1 if n_clusters is None else as_positive(n_clusters, "n_clusters")
    size = as_positive(min_size, "min_size")
    if isinstance(partitions, SignatureTable):
        agree = as_min_agree(min_agree, partitions.n_partitions)
        differ = as_min_differ(min_differ, partitions.n_partitions)
        mask = as_eligible(eligible, len(partitions))
        result = None if out is None else as_out(out, len(partitions), (np.int32,))
        with progress(verbose) as show:
            labels = _core.mini_clusters(
                partitions._core, limit, agree, differ, size, mask, n_threads, show
            )
        if result is None:
            return labels
        result[:] = labels
        return result
    columns = as_columns(partitions)
    agree = as_min_agree(min_agree, len(columns))
    differ = as_min_differ(min_differ, len(columns))
    n_samples = len(columns[0])
    mask = as_eligible(eligible, n_samples)
    result = as_out(out, n_samples, (np.int32,), columns)
    table = _core.SignatureTable(len(columns))
    with progress(verbose) as show:
        # The result holds the ids first, so that no other array of n_samples is needed.
        table.update(columns, result, mask, n_threads, show)
        labels = _core.mini_clusters(table, limit, agree, differ, size, None, n_threads, show)
        _core.expand(result, labels, -1, result, n_threads, show)
    return result
