"""Partitions that change nothing: those that put all samples together, and columns of noise.

Noise agrees with no other partition more often than by chance. For two partitions, the number of
pairs of samples that are together in both is compared with its mean and variance if one of them is
permuted at random (Mantel, "The detection of disease clustering and a generalized regression
approach", Cancer Research 27, 1967).
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import Columns
from labelquorum.clustering.ballots import Ballots

Float64Array = NDArray[np.float64]

_LEAST_DEVIATIONS = 5.0
_DEVIATIONS_OF_SELF = 20.0
_MAX_SIGNATURES = 5_000


def counted_weights(
    columns: Columns, weights: Float64Array, n_threads: int, *, alone: bool = True
) -> Float64Array:
    """Set the weight of partitions that change nothing to 0, and warn of them.

    Partitions of weight 0 are not looked at.

    Parameters
    ----------
    columns : list of integer arrays of shape (n_samples,)
        The partitions, negative for an abstention.
    weights : float64 array of shape (n_partitions,)
        How much an agreement in each partition counts.
    n_threads : int
        Number of threads.
    alone : bool
        Whether there is nothing but these partitions. If so, they count if all of them put all
        samples together.

    Returns
    -------
    float64 array of shape (n_partitions,)
    """
    reasons: dict[int, str] = {}
    looked_at = np.flatnonzero(weights > 0).tolist()
    for j in looked_at:
        if (columns[j] < 0).all():
            reasons[j] = "it never votes"
        elif (columns[j] == columns[j][0]).all():
            reasons[j] = "it puts all samples together"
    telling = [j for j in looked_at if j not in reasons]
    if alone and not telling:
        return weights
    agrees = agrees_beyond_chance([columns[j] for j in telling], n_threads)
    for j, does_agree in zip(telling, agrees, strict=True):
        if not does_agree:
            reasons[j] = "it agrees with no other partition more often than by chance"
    weights = weights.copy()
    for j, reason in sorted(reasons.items()):
        weights[j] = 0
        warnings.warn(f"partitions[:, {j}] changes nothing: {reason}", stacklevel=5)
    return weights


def agrees_beyond_chance(columns: Columns, n_threads: int) -> NDArray[np.bool_]:
    """Say of each partition whether it agrees with another one more often than by chance.

    A partition counts as agreeing if it could not be told: if a copy of it would agree with it by
    less than 20 standard deviations. So do all if none agrees with another one. At most 5,000
    signatures, the most frequent and every k-th other one, are looked at. The result does not
    depend on the order of the samples.
    """
    n = len(columns)
    if n < 3:
        return np.ones(n, dtype=bool)
    ballots = Ballots.of(columns, n_threads)
    step = -(-len(ballots) // _MAX_SIGNATURES)
    if step > 1:
        ballots = ballots.part(np.arange(0, len(ballots), step), np.arange(n))
    deviations = _deviations(ballots, n)
    could_agree = np.diagonal(deviations) >= _DEVIATIONS_OF_SELF
    np.fill_diagonal(deviations, -np.inf)
    agrees = deviations.max(axis=1) >= _LEAST_DEVIATIONS
    return agrees | ~could_agree if agrees.any() else np.ones(n, dtype=bool)


def _deviations(ballots: Ballots, n: int) -> Float64Array:
    """How many standard deviations the agreement of two partitions exceeds its mean by: (n, n).

    0 where it cannot be told.
    """
    counted = sparse.diags_array(ballots.counts.astype(np.float64)) @ ballots.members
    shared = (ballots.members.T @ counted).tocsr()
    clusters = np.arange(len(ballots.sizes))
    of_partition = sparse.csr_array(
        (np.ones(len(clusters)), (clusters, ballots.partition_of)), shape=(len(clusters), n)
    )
    # Sizes of the clusters in rows, among the samples on which the partition in a column votes.
    sizes = (shared @ of_partition).toarray()
    n_samples = of_partition.T @ sizes
    pairs = of_partition.T @ (sizes * (sizes - 1))
    chains = of_partition.T @ (sizes * (sizes - 1) ** 2)
    shared.data *= shared.data - 1
    observed = (of_partition.T @ shared @ of_partition).toarray()
    n_pairs = n_samples * (n_samples - 1)
    n_triples = n_pairs * (n_samples - 2)
    n_fours = n_triples * (n_samples - 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = pairs * pairs.T / n_pairs
        square = 2 * pairs * pairs.T / n_pairs
        square += 4 * (chains - pairs) * (chains - pairs).T / n_triples
        rest = pairs**2 + 2 * pairs - 4 * chains
        square += rest * rest.T / n_fours
        deviations = (observed - mean) / np.sqrt(np.maximum(square - mean**2, 0))
    result: Float64Array = np.where(np.isfinite(deviations) & (n_samples > 3), deviations, 0.0)
    return result
