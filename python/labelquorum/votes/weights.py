"""Votes of different kinds as one matrix of partitions, and the weight of an agreement in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import Column, as_columns
from labelquorum._shared.labels import as_codes
from labelquorum._shared.names import natural_key
from labelquorum.votes.named import CombinedVotes, remembered
from labelquorum.votes.signatures import SignatureTable

_N_CLUSTERS_ALWAYS_ALLOWED = 1 << 16  # however few samples there are


def combine_votes(votes: list[Any] | tuple[Any, ...], *, weights: Any = None) -> CombinedVotes:
    """Combine clusterings, rules and labels of other models into one matrix of partitions.

    Parameters
    ----------
    votes : list or tuple
        Each item holds the labels of one voter, shape (n_samples,), or of several voters, shape
        (n_samples, n_voters). Labels are integers, negative for an abstention, or strings, with
        None or NaN for an abstention, of any library: see docs/inputs.md.
    weights : array-like of shape (n_partitions,), optional
        How much an agreement in each column of the result counts in `consensus` and
        `ConsensusClusterer`: at least 0, which means not at all. Twice the weight counts twice as
        much. 1 for all by default.

    Returns
    -------
    int32 array of shape (n_samples, n_partitions)
        One column per voter, in order. The voter's labels are numbered from 0 in sorted order; -1
        is an abstention. Numbers of different columns are unrelated, so the voters need not use
        the same names. The array has two more attributes, which its rows and columns keep:
        ``weights``, and ``names``, with an item for each column: the names that its numbers stand
        for, or None if the voter gave mere numbers. `ConsensusClusterer.fit` gives these names to
        the categories.

    Raises
    ------
    TypeError, ValueError
        If an item holds anything else, if the items have different numbers of samples, or if there
        is not one weight of at least 0 for each column.

    See Also
    --------
    partition_weights : the weight of an agreement in each cluster of each column.
    LabelModel : how reliable voters with the same names are, and what they say together.
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
    voters = read_voters(votes)
    columns = np.stack([codes for _, codes in voters], axis=1)
    names = tuple(tuple(x) if _has_string(x) else None for x, _ in voters)
    return CombinedVotes(columns, names, _as_weights(weights, len(voters)))


def read_named_votes(votes: Any) -> tuple[list[Any], NDArray[np.int32]]:
    """Read votes of voters that use the same names, which may be integers.

    Takes what `combine_votes` does, its result, or a single item. Returns the names in order, and
    the place of each vote among them, -1 for an abstention: (n_samples, n_voters).
    """
    known = remembered(votes)
    if known is not None:
        voters = [
            (list(range(int(codes.max(initial=-1)) + 1)) if names is None else list(names), codes)
            for names, codes in zip(known[0], np.asarray(votes).T, strict=True)
        ]
    else:
        voters = read_voters(_as_items(votes))
    all_names = sorted({name for names, _ in voters for name in names}, key=natural_key)
    place_of = {name: i for i, name in enumerate(all_names)}
    places = [np.array([*map(place_of.get, names), -1], dtype=np.int32) for names, _ in voters]
    columns = [of[codes] for of, (_, codes) in zip(places, voters, strict=True)]
    return all_names, np.stack(columns, axis=1)


def _as_items(votes: Any) -> Any:
    """Put a single voter or table into a list; a list of labels is a single voter."""
    if not isinstance(votes, (list, tuple)):
        return [votes]
    is_label = [item is None or np.ndim(item) == 0 for item in votes]
    return [votes] if votes and all(is_label) else votes


def _has_string(names: list[Any]) -> bool:
    return any(isinstance(name, str) for name in names)


def read_voters(votes: Any) -> list[tuple[list[Any], NDArray[np.int32]]]:
    """Read what `combine_votes` takes: for each voter, its names in order, and its codes."""
    if not isinstance(votes, (list, tuple)):
        raise TypeError(
            "votes must be a list of arrays of shape (n_samples,) or (n_samples, n_voters), got "
            f"{type(votes).__name__}"
        )
    voters: list[tuple[list[Any], NDArray[np.int32]]] = []
    for i, item in enumerate(votes):
        for name, labels in _named_voters(item, f"votes[{i}]"):
            names, codes = as_codes(labels, name)
            if any(isinstance(label, bool) for label in names):
                raise TypeError(
                    f"{name} must hold integers, got bools: convert them with "
                    ".astype('int8') if both of them are votes; -1 is an abstention"
                )
            n = len(voters[0][1]) if voters else len(codes)
            if len(codes) != n:
                raise ValueError(f"{name} must have {n} samples, as votes[0] has, got {len(codes)}")
            voters.append((names, codes))
    if not voters:
        raise ValueError("votes must hold at least one voter, got none")
    return voters


def _as_weights(weights: Any, n_columns: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0,) * n_columns
    values = np.asarray(weights)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"weights must hold numbers, got {values.dtype}: pass one for each column")
    if values.shape != (n_columns,):
        raise ValueError(
            f"weights must have shape ({n_columns},), one for each column, got {values.shape}"
        )
    if not (np.isfinite(values).all() and (values >= 0).all() and (values > 0).any()):
        raise ValueError(
            "weights must be finite, at least 0, and not all 0, got "
            f"{values.min():g} to {values.max():g}"
        )
    return tuple(values.astype(np.float64).tolist())


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
