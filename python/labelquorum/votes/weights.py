"""Votes of different kinds as one matrix of partitions, and the weight of an agreement in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import Column, Columns, as_columns
from labelquorum._shared.labels import as_codes
from labelquorum.votes.signatures import SignatureTable

_N_CLUSTERS_ALWAYS_ALLOWED = 1 << 16  # however few samples there are


def combine_votes(votes: list[Any] | tuple[Any, ...]) -> NDArray[np.int32]:
    """Combine clusterings, rules and labels of other models into one matrix of partitions.

    Parameters
    ----------
    votes : list or tuple
        Each item holds the labels of one voter, shape (n_samples,), or of several voters, shape
        (n_samples, n_voters). Labels are integers, negative for an abstention, or strings, with
        None or NaN for an abstention, of any library: see docs/inputs.md.

    Returns
    -------
    int32 array of shape (n_samples, n_partitions)
        One column per voter, in order. The voter's labels are numbered from 0 in sorted order; -1
        is an abstention. Numbers of different columns are unrelated, so the voters need not use
        the same names.

    Raises
    ------
    TypeError, ValueError
        If an item holds anything else, or if the items have different numbers of samples.

    See Also
    --------
    partition_weights : the weight of an agreement in each column.
    labelquorum.text.KeywordLabeler : a voter made of words and patterns.

    Notes
    -----
    O(n log n) for a column of integers, O(n + k log k) for one of k distinct strings.

    Examples
    --------
    Two clusterings, the labels of a language model, and those of a rule:

    >>> import numpy as np
    >>> import labelquorum as lq
    >>> clusterings = np.array([[0, 5], [0, 5], [1, 5], [1, 9]])
    >>> answers = ["refund", "refund", None, "login"]
    >>> lq.combine_votes([clusterings, answers, [-1, -1, 3, 3]])
    array([[ 0,  0,  1, -1],
           [ 0,  0,  1, -1],
           [ 1,  0, -1,  0],
           [ 1,  1,  0,  0]], dtype=int32)
    """
    if not isinstance(votes, (list, tuple)):
        raise TypeError(
            "votes must be a list of arrays of shape (n_samples,) or (n_samples, n_voters), got "
            f"{type(votes).__name__}"
        )
    columns: Columns = []
    for i, item in enumerate(votes):
        for name, labels in _named_voters(item, f"votes[{i}]"):
            names, codes = as_codes(labels, name)
            if any(isinstance(label, bool) for label in names):
                raise TypeError(
                    f"{name} must hold integers, got bools: convert them with "
                    ".astype('int8') if both of them are votes; -1 is an abstention"
                )
            if columns and len(codes) != len(columns[0]):
                raise ValueError(
                    f"{name} must have {len(columns[0])} samples, as votes[0] has, got {len(codes)}"
                )
            columns.append(codes)
    if not columns:
        raise ValueError("votes must hold at least one voter, got none")
    return np.stack(columns, axis=1).astype(np.int32, copy=False)


def _named_voters(item: Any, name: str) -> list[tuple[str, Any]]:
    """Split a matrix or DataFrame into columns, each with a name for error messages."""
    if hasattr(item, "columns"):
        if hasattr(item, "iloc"):
            columns, labels = [item.iloc[:, j] for j in range(len(item.columns))], item.columns
        elif hasattr(item, "to_series"):
            columns, labels = item.get_columns(), item.columns
        else:  # a table of pyarrow
            columns, labels = item.columns, item.column_names
        return [(f"{name}[{x!r}]", column) for x, column in zip(labels, columns, strict=True)]
    if getattr(item, "ndim", 1) == 2:
        return [(f"{name}[:, {j}]", column) for j, column in enumerate(item.T)]
    return [(name, item)]


def partition_weights(partitions: Any) -> list[NDArray[np.float64]]:
    """Weigh an agreement in each cluster of each partition by how far it exceeds chance.

    If a partition has two clusters of equal size, half of all pairs agree by chance; if it has a
    hundred, one pair in a hundred. So an agreement in a small cluster tells more. For a cluster
    with the share p of all samples, samples that belong together agree up to 1 / p times as often
    as two random samples. The weight is 1 / p - 1, which is 0 for a cluster of all samples.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value is an abstention: the model does not vote on the sample.

    Returns
    -------
    list of n_partitions float64 arrays
        ``weights[m][c]`` is 1 / p - 1 for cluster c of partition m, and 0 for a number that no
        sample has. The length is the largest number plus 1.

    Raises
    ------
    TypeError, ValueError
        If `partitions` has the wrong type or shape, or a cluster number is at least 2^16 and at
        least n_samples (`combine_votes` renumbers clusters from 0).

    Notes
    -----
    With these weights, the mean weight of two random samples in a partition is the share of pairs
    that the partition separates: 1/2 for two clusters of equal size, 0.999 for a thousand. Without
    weights it would be 1/2 and 1/1000. Weights of 1 / p are those of categories in multiple
    correspondence analysis (the chi-squared distance: Greenacre and Blasius (eds), "Multiple
    Correspondence Analysis and Related Methods", 2006).

    An agreement in a tiny cluster has a large weight: add weights up rather than take the maximum.

    The share p is computed among the samples on which the partition votes, as if these were drawn
    at random. They are not if abstaining has a meaning, as for a rule that abstains on samples that
    are none of its own. Then give abstentions a cluster of their own first:
    ``np.where(column < 0, column.max() + 1, column)``. An agreement in this large cluster then
    weighs almost nothing, and one in the small clusters weighs more.

    O(n_samples * n_partitions).

    Examples
    --------
    >>> import labelquorum as lq
    >>> halves, quarters, constant = [0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, -1]
    >>> for weights in lq.partition_weights([halves, quarters, constant]):
    ...     print(weights)
    [1. 1.]
    [3. 3. 3. 3.]
    [0.]
    """
    if isinstance(partitions, SignatureTable):
        columns, counts = as_columns(partitions.signatures), partitions.counts
        n_samples = int(counts.sum())
    else:
        columns, counts = as_columns(partitions), None
        n_samples = len(columns[0])
    return [_weights_of_partition(column, counts, n_samples, m) for m, column in enumerate(columns)]


def _weights_of_partition(
    column: Column, counts: NDArray[np.int64] | None, n_samples: int, m: int
) -> NDArray[np.float64]:
    has_vote = column >= 0
    clusters = column[has_vote]
    largest = int(clusters.max(initial=0))
    n_allowed = max(n_samples, _N_CLUSTERS_ALWAYS_ALLOWED)
    if largest >= n_allowed:
        raise ValueError(
            f"partitions must number clusters from 0 to {n_allowed - 1}, got {largest} among "
            f"{n_samples} samples in partition {m}: renumber with combine_votes"
        )
    sizes = np.bincount(clusters, None if counts is None else counts[has_vote])
    weights = np.zeros(len(sizes))
    is_used = sizes > 0
    weights[is_used] = sizes.sum() / sizes[is_used] - 1
    return weights
