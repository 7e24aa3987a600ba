"""Votes with names: which of them to believe.

Voters name categories, and may be wrong: language models, keyword rules, people in a hurry. Experts
predict the name of each sample from everything but its own votes: from the features, from its
neighbors, and from the clusters that it is in. How far experts and voters can be trusted is learned
from their agreement (`Voters`). A name is accepted where it is more likely than all others
together. Experts, not partitions, are weighed against voters, so that a few answers are not
drowned by many partitions.

A voter counts only if an expert, or the other voters, agree with it more often than by chance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.special import log_softmax

from labelquorum._shared.arguments import Columns, as_columns
from labelquorum._shared.frame import Frame, Rows, unit_rows
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import spread_over_groups
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.chance import agrees_beyond_chance, warn_of_noise
from labelquorum.neighbors.search import kneighbors
from labelquorum.votes.label_model import Voters
from labelquorum.votes.named import CombinedVotes
from labelquorum.votes.weights import read_named_votes

Float64Array = NDArray[np.float64]
Codes = NDArray[np.int32]
Expert = Callable[[Float64Array], Float64Array]
"""Takes the probabilities of the names of each sample, (n_samples, n_names). Returns a score for
each, which does not depend on the sample's own probabilities."""

_RIDGE = 1.0
_N_NEIGHBORS = 10
_SCALE_OF_LINEAR = 10.0  # so that all experts are of about the same weight at first
_N_ROUNDS, _N_STEPS, _N_NEWTON_STEPS, _LEAST_CHANGE = 3, 20, 2, 1e-3
_LEAST_SHARE = 1e-3
_LEAST_DEVIATIONS = 4.0
_LEAST_PROBABILITY = 0.5
_FEW_FOR_EACH = 10  # votes for each name
_ROWS_PER_BLOCK = 4096


class Heard(NamedTuple):
    """What a fit makes of its votes."""

    names: NDArray[Any]
    """The names of categories: those of `y`, then those that voters are believed."""
    fixed: Codes | None
    """(n_samples,): the category that each sample has to stay in, -1 where it is open."""
    partitions: Any
    """The partitions; None if all columns had names."""
    weights: Float64Array | None
    """(n_partitions,): how much an agreement in each partition counts."""
    reliability: Float64Array
    """(n_voters,): as in `Believed`."""


def hear(
    X: Any,
    known: tuple[NDArray[Any], Codes | None],
    votes: Any,
    partitions: Any,
    groups: Codes | None,
    random_state: Any,
    n_threads: int,
) -> Heard:
    """Find out which votes to believe, and which partitions to count.

    `known` are the names and codes of `y`. The other arguments are those of
    `ConsensusClusterer.fit`. Columns of `partitions` that have names are votes, too.
    """
    names, fixed = known
    n_samples = X.shape[0]
    weights = None
    voters: list[Any] = [] if votes is None else [votes]
    if partitions is not None:
        columns = as_columns(partitions)
        has_names = np.zeros(len(columns), dtype=bool)
        weights = np.ones(len(columns))
        if isinstance(partitions, CombinedVotes):
            has_names[:] = [of is not None for of in partitions.names]
            weights[:] = partitions.weights
            voters += [partitions[:, [j]] for j in np.flatnonzero(has_names & (weights > 0))]
        weights[has_names] = 0
        counted = np.flatnonzero(weights > 0)
        agrees = agrees_beyond_chance([columns[j] for j in counted], n_threads)
        weights[counted[~agrees]] = 0
        warn_of_noise(counted[~agrees])
        columns = [columns[j] for j in np.flatnonzero(weights > 0)]
        if not columns:
            partitions, weights = None, None
    if not voters:
        return Heard(names, fixed, partitions, weights, np.empty(0))
    vote_names, codes = _together(voters, n_samples, names)
    all_names = [*names.tolist(), *(name for name in vote_names if name not in {*names.tolist()})]
    place_of = {name: i for i, name in enumerate(all_names)}
    places = np.array([*map(place_of.__getitem__, vote_names), -1], dtype=np.int32)
    codes = places[codes]
    judged = (codes >= 0).any(axis=1)
    if fixed is not None:
        judged |= fixed >= 0
    samples = np.flatnonzero(judged)
    accepted = np.full(n_samples, -1, dtype=np.int32)
    reliability = np.full(codes.shape[1], np.nan)
    if len(samples) > 1 and len(all_names) > 1:
        _, rows, distinct = Frame.fit(X, random_state, fixed)
        of_samples = rows[distinct.numbers[samples]]
        if partitions is None:
            columns = []
        result = believed(
            codes[samples],
            len(all_names),
            of_samples,
            [column[samples] for column in columns],
            None if fixed is None else fixed[samples],
            n_threads,
        )
        accepted[samples] = result.names(None if groups is None else groups[samples])
        if len(samples) < _FEW_FOR_EACH * len(all_names):
            accepted = _with_lost_names(accepted, codes[:, ~np.isnan(result.reliability)])
        reliability = result.reliability
    warn_of_idle(reliability)
    if groups is not None:
        accepted = spread_over_groups(accepted, groups, array_of_names(all_names))
    if fixed is not None:
        accepted = np.where(fixed >= 0, fixed, accepted)
    if not (accepted >= 0).any():
        return Heard(names, fixed, partitions, weights, reliability)
    # Names that nobody is believed are no categories; those of `y` always have samples.
    used, numbers = np.unique(accepted[accepted >= 0], return_inverse=True)
    accepted[accepted >= 0] = numbers
    return Heard(
        array_of_names([all_names[i] for i in used]), accepted, partitions, weights, reliability
    )


def _with_lost_names(accepted: Codes, codes: Codes) -> Codes:
    """Believe in names that no sample would have: one or two votes are too few to judge."""
    lost = np.setdiff1d(codes[codes >= 0], accepted)
    first = np.full(len(codes), -1, dtype=np.int32)
    for votes in codes.T[::-1]:
        first = np.where(np.isin(votes, lost), votes, first)
    return np.where(first >= 0, first, accepted)


def _together(voters: list[Any], n_samples: int, names: NDArray[Any]) -> tuple[list[Any], Codes]:
    """Read all voters: the names in order, and the codes of their votes, one column for each."""
    items: list[Any] = []
    for voter in voters:
        vote_names, codes = read_named_votes(voter)
        if len(codes) != n_samples:
            raise ValueError(
                f"votes must have {n_samples} samples, one for each row of X, got {len(codes)}"
            )
        objects = np.array([*vote_names, None], dtype=object)
        items += list(objects[codes].T)
    all_names, codes = read_named_votes(items)
    kinds = {isinstance(name, str) for name in [*names.tolist(), *all_names]}
    if len(kinds) > 1:
        raise TypeError(
            "votes and y must be all names or all integers, got both: use the same names in both"
        )
    return all_names, codes


def warn_of_idle(reliability: Float64Array) -> None:
    """Warn of voters that do not count."""
    for j in np.flatnonzero(np.isnan(reliability)):
        warnings.warn(
            f"votes: voter {j} changes nothing: neither the samples nor other voters agree with "
            "it more often than by chance",
            stacklevel=4,
        )


class Believed(NamedTuple):
    """What the voters are believed."""

    shares: Float64Array
    """(n_samples, n_names): the probability of each name."""
    reliability: Float64Array
    """(n_voters,): the share of each voter's votes that are right; NaN if it does not count."""

    def names(self, groups: Codes | None = None) -> Codes:
        """Return the accepted name of each sample, -1 where none is likely enough.

        `groups` has the group of each sample, -1 for none; samples of a group get the same name.
        """
        shares = self.shares
        if groups is not None:
            members = np.flatnonzero(groups >= 0)
            sums = np.zeros((groups.max(initial=-1) + 1, shares.shape[1]))
            np.add.at(sums, groups[members], shares[members])
            sums /= np.maximum(sums.sum(axis=1, keepdims=True), 1e-300)
            shares = shares.copy()
            shares[members] = sums[groups[members]]
        accepted = shares.max(axis=1) > _LEAST_PROBABILITY
        return np.where(accepted, shares.argmax(axis=1), -1).astype(np.int32)


def believed(
    codes: Codes,
    n_names: int,
    rows: Rows,
    columns: Columns,
    known: Codes | None,
    n_threads: int,
) -> Believed:
    """Judge voters and their votes.

    Parameters
    ----------
    codes : int32 array of shape (n_samples, n_voters)
        The names by number, -1 for an abstention. Each sample has a vote or a known name.
    n_names : int
        Number of names.
    rows : array of shape (n_samples, n_columns)
        The samples in their frame.
    columns : list of integer arrays of shape (n_samples,)
        Partitions of the samples, if there are any.
    known : int32 array of shape (n_samples,), optional
        Names that are certain, -1 elsewhere.
    n_threads : int
        Number of threads.
    """
    is_known = np.zeros(len(codes), bool) if known is None else known >= 0
    experts = [_linear_expert(rows), _neighbors_expert(rows, n_threads)]
    if columns:
        experts.append(_clusters_expert(columns, n_threads))
    counts = np.ones(codes.shape[1], dtype=bool)
    while True:
        voters = Voters(np.where(counts, codes, np.int32(-1)), n_names, "one-coin")
        shares = voters.majority()
        if known is not None:
            shares[is_known] = np.eye(n_names)[known[is_known]]
        useful = counts & _agrees(codes, shares, [expert(shares) for expert in experts])
        if not useful.any() or (useful == counts).all():
            break
        counts = useful
    if not useful.any():
        shares[~is_known] = 1 / n_names
        return Believed(shares, np.full(len(counts), np.nan))
    certain = shares[is_known]
    for _ in range(_N_ROUNDS):
        scores = [expert(shares) for expert in experts]
        weights = np.zeros(len(experts))
        for step in range(_N_STEPS):
            before = shares
            for _ in range(_N_NEWTON_STEPS if step else 2 * _N_NEWTON_STEPS):
                weights = _better_weights(scores, weights, shares)
            voters.learn(shares)
            shares = voters.posterior(_opinion(scores, weights))
            shares[is_known] = certain
            if np.abs(shares - before).max() < _LEAST_CHANGE:
                break
    reliability = np.where(counts, voters.reliability(shares), np.nan)
    return Believed(shares, reliability)


def _linear_expert(rows: Rows) -> Expert:
    """Ridge regression on the features, each sample left out of its own prediction."""
    points = unit_rows(rows).astype(np.float64)
    points = np.column_stack([points, np.ones(len(points))])
    gram = points.T @ points
    gram[np.diag_indices_from(gram)] += _RIDGE
    factor = linalg.cholesky(gram, lower=True)
    leverage = np.empty(len(points))
    for begin in range(0, len(points), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        half = linalg.solve_triangular(factor, points[block].T, lower=True)
        leverage[block] = np.einsum("ij,ij->j", half, half)
    others = np.maximum(1 - leverage, 1e-6)[:, None]

    def predict(shares: Float64Array) -> Float64Array:
        fitted = points @ linalg.cho_solve((factor, True), points.T @ shares)
        scores: Float64Array = _SCALE_OF_LINEAR * (fitted - leverage[:, None] * shares) / others
        return scores

    return predict


def _neighbors_expert(rows: Rows, n_threads: int) -> Expert:
    """The names of the nearest other samples."""
    n = len(rows)
    n_neighbors = min(_N_NEIGHBORS, n - 1)
    if n_neighbors < 1:
        return lambda shares: np.zeros_like(shares)
    nearest = kneighbors(rows, n_neighbors, metric="cosine", n_jobs=n_threads)[1]
    indptr = np.arange(0, n * n_neighbors + 1, n_neighbors)
    graph = sparse.csr_array((np.ones(nearest.size), nearest.ravel(), indptr), shape=(n, n))
    return lambda shares: _log_shares(graph @ shares)


def _clusters_expert(columns: Columns, n_threads: int) -> Expert:
    """The names of the other samples in the clusters that a sample is in."""
    ballots = Ballots.of(columns, n_threads)
    members = ballots.members[ballots.ids]
    weights = ballots.weights / np.maximum(ballots.sizes, 1)
    own = members @ weights
    weighted = sparse.diags_array(weights) @ members.T

    def predict(shares: Float64Array) -> Float64Array:
        sums = members @ (weighted @ shares) - own[:, None] * shares
        return _log_shares(np.maximum(sums, 0))

    return predict


def _log_shares(sums: Float64Array) -> Float64Array:
    totals = sums.sum(axis=1, keepdims=True)
    shares = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
    logs: Float64Array = np.log(shares + _LEAST_SHARE)
    return logs


def _agrees(codes: Codes, majority: Float64Array, scores: list[Float64Array]) -> NDArray[np.bool_]:
    """Say of each voter whether an expert or the other voters agree with it beyond chance."""
    n_names = majority.shape[1]
    answers = [of.argmax(axis=1) for of in scores]
    agrees = np.zeros(codes.shape[1], dtype=bool)
    for j, votes in enumerate(codes.T):
        others = codes.copy()
        others[:, j] = -1
        counts = Voters(others, n_names).counts()
        opinions = [*answers, np.where(counts.any(axis=1), counts.argmax(axis=1), -1)]
        agrees[j] = any(_is_beyond_chance(votes, opinion, n_names) for opinion in opinions)
    return agrees


def _is_beyond_chance(votes: Codes, opinion: NDArray[np.integer], n_names: int) -> bool:
    both = (votes >= 0) & (opinion >= 0)
    n = int(both.sum())
    if n == 0:
        return False
    first, second = votes[both], opinion[both]
    sizes = [np.bincount(of, minlength=n_names).astype(np.float64) for of in (first, second)]
    said = float(sizes[0] @ sizes[1]) / n
    deviation = np.sqrt(max(said, 1.0) * max(1 - said / n, 1 / n))
    return bool((first == second).sum() - said > _LEAST_DEVIATIONS * deviation)


def _opinion(scores: list[Float64Array], weights: Float64Array) -> Float64Array:
    """The logarithm of the probabilities of names by all experts together."""
    total = np.zeros_like(scores[0])
    for weight, of in zip(weights, scores, strict=True):
        total += weight * of
    logs: Float64Array = log_softmax(total, axis=1)
    return logs


def _better_weights(
    scores: list[Float64Array], weights: Float64Array, shares: Float64Array
) -> Float64Array:
    """One step of Newton's method towards the weights for which experts predict the names best."""
    expected = np.exp(_opinion(scores, weights))
    gradient = np.array([np.vdot(shares - expected, of) for of in scores])
    means = [np.einsum("ij,ij->i", expected, of) for of in scores]
    hessian = np.array(
        [
            [np.einsum("ij,ij,ij->", expected, a, b) - mean_a @ mean_b for b, mean_b in pairs]
            for pairs in [list(zip(scores, means, strict=True))]
            for a, mean_a in pairs
        ]
    )
    hessian[np.diag_indices_from(hessian)] += 1e-6 * (1 + np.trace(hessian))
    step = np.linalg.solve(hessian, gradient)
    better: Float64Array = np.clip(weights + np.clip(step, -0.5, 0.5), 0, None)
    return better
