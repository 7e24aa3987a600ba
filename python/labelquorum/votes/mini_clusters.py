"""Mini-clusters: seed samples, each with the samples on which nearly all partitions agree with it.

The pseudo-labels of self-training come from here. The module checks arguments; the greedy
extraction runs on signatures, in the extension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    as_min_agree,
    as_min_differ,
    as_n_threads,
    as_positive,
)
from labelquorum._shared.progress import Show
from labelquorum.votes.collapse import as_votes, n_partitions_of, run_on_signatures


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

    A greedy procedure. The strong positive neighbors of a sample are the samples that agree with
    it in at least `min_agree` partitions, itself included.

    1. The sample with the most such neighbors becomes a seed. The seed and its neighbors are a
       mini-cluster.
    2. The members are removed, and so is every sample that does not differ from each member in at
       least `min_differ` partitions.
    3. Repeat with the remaining samples.

    Ties are broken by content, not by position: first by more identical samples, then by the
    lexicographically smallest row (an abstention counts as -1). So the order of the rows does not
    matter.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value is an abstention: the model does not vote on the sample.
    n_clusters : int, optional
        Stop after this many mini-clusters; None finds all.
    min_agree : float or int, default=1.0
        Partitions that must agree within a mini-cluster. A float in (0, 1] is a fraction of all,
        rounded up; an int from 1 to n_partitions is a number of votes.
    min_differ : float or int, default=0.9
        Partitions that must differ between mini-clusters. A float in [0, 1] is a fraction of all,
        rounded up; an int from 0 to n_partitions is a number of votes.
    min_size : int, default=1
        Stop when the next mini-cluster would have fewer samples.
    eligible : bool array-like of shape (n_samples,), optional
        Samples that take part. The others are treated as absent and get -1.
    out : int32 array of shape (n_samples,), optional
        Array to write to: C-contiguous, writable, sharing no memory with the partitions. May be a
        memory map. Its contents are unspecified if the call fails.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples,)
        Mini-cluster of each sample, numbered from 0 in order of extraction; -1 for samples in
        none. This is `out` where given. For a SignatureTable, there is one value per signature, and
        `eligible` and `out` have shape (len(table),).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    WorkLimitError
        If counting the neighbors would take too long; the message says how long and what to change.
    MemoryError
        If too little memory is available.

    Notes
    -----
    The result is exact: the labels equal those of the naive procedure that compares all pairs of
    samples. The cost is one pass over the samples to collapse them into U signatures, one count of
    the signatures' neighbors (see `agreement_degrees`), and a few scans over the remaining
    signatures per mini-cluster. Memory beyond the result is O(U).

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
    most_clusters = -1 if n_clusters is None else as_positive(n_clusters, "n_clusters")
    fewest_samples = as_positive(min_size, "min_size")
    votes = as_votes(partitions)
    votes_to_agree = as_min_agree(min_agree, n_partitions_of(votes))
    votes_to_differ = as_min_differ(min_differ, n_partitions_of(votes))

    def extract(
        table: _core.SignatureTable, mask: NDArray[np.uint8] | None, show: Show
    ) -> NDArray[np.int32]:
        return _core.mini_clusters(
            table,
            most_clusters,
            votes_to_agree,
            votes_to_differ,
            fewest_samples,
            mask,
            n_threads,
            show,
        )

    return run_on_signatures(
        extract,
        votes,
        np.int32,
        -1,
        eligible=eligible,
        out=out,
        n_threads=n_threads,
        verbose=verbose,
    )
