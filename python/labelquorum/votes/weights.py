"""Votes of different kinds as one matrix of partitions, and how much an agreement in each tells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import Columns, as_codes, as_columns
from labelquorum.votes.signatures import SignatureTable

_LEAST_MAX_ID = 1 << 16  # cluster ids up to this are taken whatever the number of samples


def combine_votes(votes: list[Any] | tuple[Any, ...]) -> NDArray[np.int32]:
    """Put clusterings, rules and other models' labels into one matrix of partitions.

    Parameters
    ----------
    votes : list or tuple
        Each item the labels that one voter gives, shape (n_samples,), or those of several voters,
        shape (n_samples, n_voters): integers, where a negative one means that the voter abstains
        on the sample, or strings, with None or NaN where it abstains. Arrays, lists, and pandas or
        polars Series and DataFrames.

    Returns
    -------
    int32 array of shape (n_samples, n_partitions)
        A column for each voter, in order: its labels numbered from 0 in their own sorted order, -1
        where it abstains. The numbers of different columns have nothing to do with each other:
        what the voters call their labels does not matter.

    Raises
    ------
    TypeError, ValueError
        If an item holds anything else, or the items have different numbers of samples.

    See Also
    --------
    partition_weights : what an agreement in each column tells.
    labelquorum.text.KeywordLabeler : words and patterns as a voter.

    Notes
    -----
    O(n log n) for a column of integers, O(n + k log k) for one of k distinct strings.

    Examples
    --------
    Two clusterings, the labels that a language model gave, and those of a rule:

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
            f"votes is a {type(votes).__name__}; wanted a list of arrays of shape (n_samples,) or "
            "(n_samples, n_voters)"
        )
    columns: Columns = []
    for i, item in enumerate(votes):
        for name, column in _voters(item, f"votes[{i}]"):
            _, codes = as_codes(column, name)
            if columns and len(codes) != len(columns[0]):
                raise ValueError(
                    f"{name} holds {len(codes)} samples, votes[0] {len(columns[0])}; wanted as many"
                )
            columns.append(codes)
    if not columns:
        raise ValueError("votes is empty; wanted at least one voter")
    return np.stack(columns, axis=1).astype(np.int32, copy=False)


def _voters(item: Any, name: str) -> list[tuple[str, Any]]:
    """The columns of a matrix or frame and what to call them; of anything else, itself."""
    if hasattr(item, "columns"):
        is_pandas = hasattr(item, "iloc")
        return [
            (f"{name}[{label!r}]", item.iloc[:, j] if is_pandas else item.to_series(j))
            for j, label in enumerate(item.columns)
        ]
    if getattr(item, "ndim", 1) == 2:
        return [(f"{name}[:, {j}]", column) for j, column in enumerate(item.T)]
    return [(name, item)]


def partition_weights(partitions: Any) -> list[NDArray[np.float64]]:
    """Weigh what an agreement in each cluster of each partition tells beyond chance.

    In a partition of two clusters of equal size, half of all pairs agree by chance; in one of a
    hundred, one pair in a hundred. Were a partition always right, samples that belong together
    would agree in a cluster with the share p of all samples 1 / p times as often as any two do; the
    weight of an agreement is what is above 1 of that. In a cluster of all samples it is nothing.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value means that the model abstains on the sample.

    Returns
    -------
    list of n_partitions float64 arrays
        ``weights[m][c]`` is 1 / p - 1 for cluster c of partition m, 0 for a number that no sample
        has; as many values as the largest number and one.

    Raises
    ------
    TypeError, ValueError
        If `partitions` is of the wrong type or shape, or has cluster numbers of at least 2^16 and
        of at least n_samples (`combine_votes` numbers clusters from 0).

    Notes
    -----
    What two samples drawn at random get from a partition, in the mean, is then the share of pairs
    that it tells apart: 1/2 for two clusters of equal size, .999 for a thousand; without weights it
    would be 1/2 and 1/1000. Weights of 1 / p are those of categories in multiple
    correspondence analysis (the chi-squared distance: Greenacre and Blasius (eds), "Multiple
    Correspondence Analysis and Related Methods", 2006).

    An agreement in a tiny cluster weighs much: sum weights up rather than take their largest.

    The share is that among the samples on which the partition does not abstain, as if those were
    drawn at random. Where they are not (a rule that abstains means "none of mine"), and being
    labeled at all is what tells, give abstaining a number of its own before:
    ``np.where(column < 0, column.max() + 1, column)``; its agreements then count next to nothing,
    and those in the small clusters all the more.

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
    weights = []
    for m, column in enumerate(columns):
        labeled = column >= 0
        clusters = column[labeled]
        largest = int(clusters.max(initial=0))
        if largest >= max(n_samples, _LEAST_MAX_ID):
            raise ValueError(
                f"partitions holds the cluster {largest} of {n_samples} samples in partition {m}; "
                "wanted clusters numbered from 0: see combine_votes"
            )
        sizes = np.bincount(clusters, None if counts is None else counts[labeled])
        beyond_chance = np.zeros(len(sizes))
        some = sizes > 0
        beyond_chance[some] = sizes.sum() / sizes[some] - 1
        weights.append(beyond_chance)
    return weights
