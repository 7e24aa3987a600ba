"""Votes with names: which of them to believe.

Voters name categories, and may be wrong: language models, keyword rules, people in a hurry. Experts
predict the name of each sample from everything but its own votes: from the features, from its
neighbors, and from the clusters that it is in. How far experts and voters can be trusted is learned
from their agreement (`Voters`). A name is accepted where it is more likely than all others
together. Experts, not partitions, are weighed against voters, so that a few answers are not
drowned by many partitions.

A voter counts only if an expert, or the other voters, agree with it more often than by chance.

The time is that of the neighbors' search, and at most 60 passes over the probabilities of all names
of samples with a vote. For these, memory holds five float32 arrays at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.special import log_softmax

from labelquorum._shared.arguments import Columns
from labelquorum._shared.frame import Frame, Framed, Rows, unit_rows
from labelquorum._shared.label_reader import Labels, array_of_names
from labelquorum._shared.labels import spread_over_groups
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.base_partitions import given_partitions
from labelquorum.clustering.chance import counted_weights
from labelquorum.clustering.proposals import voting_proposals
from labelquorum.neighbors.search import kneighbors
from labelquorum.votes.label_model import Shares, Voters
from labelquorum.votes.named import remembered
from labelquorum.votes.weights import read_named_votes

Float64Array = NDArray[np.float64]
Codes = NDArray[np.int32]
Expert = Callable[[Shares, Shares], None]
"""Takes the probabilities of the names of each sample, (n_samples, n_names), and an array of this
shape. Fills that with scores, which do not depend on the sample's own probabilities."""

_RIDGE = 1.0
_N_NEIGHBORS = 10
_SCALE_OF_LINEAR = 10.0  # so that all experts are of about the same weight at first
_N_ROUNDS, _N_STEPS, _N_NEWTON_STEPS, _LEAST_CHANGE = 3, 20, 2, 1e-3
_LEAST_SHARE, _ROUNDING = 1e-3, 1e-5
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
    partitions: Codes | None
    """(n_samples, n_partitions): the given partitions; None if no column counts as one."""
    weights: Float64Array
    """(n_partitions,): how much an agreement in each partition counts; empty if there are none."""
    reliability: Float64Array
    """(n_voters,): the share of each voter's votes that are right; NaN if it does not count."""


def hear(
    X: Any,
    known_names: NDArray[Any],
    known: Codes | None,
    proposed: Labels | None,
    votes: Any,
    partitions: Any,
    groups: Codes | None,
    random_state: Any,
    n_threads: int,
) -> Heard:
    """Find out which votes to believe, and which partitions to count.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
        The samples.
    known_names : array of shape (n_known,)
        The names of the categories in `y`.
    known : int32 array of shape (n_samples,), optional
        The category of each sample in `y`, -1 without one.
    proposed : Labels, optional
        What an earlier model proposed for other samples. It votes if some labels are known.
    votes, partitions
        As for `ConsensusClusterer.fit`. Columns of partitions that have names are votes, too.
    groups : int32 array of shape (n_samples,), optional
        The group of each sample, -1 for none.
    random_state : int, RandomState instance or None
        Determines all random choices.
    n_threads : int
        Number of threads.
    """
    n_samples = X.shape[0]
    fixed = known
    if known is not None and groups is not None:
        fixed = spread_over_groups(known, groups, known_names)
    voters: list[Any] = [] if votes is None else [votes]
    numbered, weights = None, np.empty(0)
    columns: Columns = []
    if partitions is not None:
        numbered = given_partitions(partitions, n_samples)
        named, weights = _counted(partitions, list(numbered.T), n_threads)
        voters += named
        columns = list(numbered.T[weights > 0])
        if not columns:
            numbered, weights = None, np.empty(0)
    proposals_vote = known is not None and proposed is not None
    if not voters and not proposals_vote:
        return Heard(known_names, fixed, numbered, weights, np.empty(0))

    framed = Frame.fit(X, random_state, fixed)
    if known is not None and proposed is not None:
        rows = framed.rows[framed.distinct.numbers]
        voters.append([voting_proposals(rows, known_names, known, proposed, n_threads)])
    names, codes = _together(voters, n_samples, known_names)
    accepted, reliability = _accepted(framed, codes, len(names), columns, fixed, groups, n_threads)
    if proposals_vote:
        reliability = reliability[:-1]
    warn_of_idle(reliability)
    if groups is not None:
        accepted = spread_over_groups(accepted, groups, array_of_names(names))
    if fixed is not None:
        accepted = np.where(fixed >= 0, fixed, accepted)
    if not (accepted >= 0).any():
        return Heard(known_names, fixed, numbered, weights, reliability)
    # Names that nobody is believed are no categories; those of `y` always have samples.
    used, numbers = np.unique(accepted[accepted >= 0], return_inverse=True)
    accepted[accepted >= 0] = numbers
    names_used = array_of_names([names[i] for i in used])
    return Heard(names_used, accepted, numbered, weights, reliability)


def _counted(partitions: Any, columns: Columns, n_threads: int) -> tuple[list[Any], Float64Array]:
    """Return the columns that are votes, and the weights of all columns.

    Votes have weight 0. So have partitions that change nothing, unless there is nothing else.
    """
    remembers = remembered(partitions)
    if remembers is None:
        given, voters = np.ones(len(columns)), list[Any]()
    else:
        given = np.array(remembers[1])
        has_names = np.array([names is not None for names in remembers[0]])
        voters = [partitions[:, [j]] for j in np.flatnonzero(has_names & (given > 0))]
        given[has_names] = 0
    return voters, counted_weights(columns, given, n_threads, alone=not voters)


def _accepted(
    framed: Framed,
    codes: Codes,
    n_names: int,
    columns: Columns,
    fixed: Codes | None,
    groups: Codes | None,
    n_threads: int,
) -> tuple[Codes, Float64Array]:
    """Return the accepted name of each sample, -1 for none, and the reliability of each voter.

    Voters that do not count are left out, and so are samples on which nobody else votes.
    """
    accepted = np.full(len(codes), -1, dtype=np.int32)
    reliability = np.full(codes.shape[1], np.nan)
    voters = np.arange(codes.shape[1])
    while len(voters):
        judged = (codes[:, voters] >= 0).any(axis=1)
        if fixed is not None:
            judged |= fixed >= 0
        samples = np.flatnonzero(judged)
        if len(samples) < 2 or n_names < 2:
            break
        votes = codes[np.ix_(samples, voters)]
        known = None if fixed is None else fixed[samples]
        rows = framed.rows[framed.distinct.numbers[samples]]
        experts = experts_of(rows, [column[samples] for column in columns], n_threads)
        is_useful = useful_voters(votes, n_names, experts, known)
        if is_useful.all():
            result = believed(votes, n_names, experts, known)
            reliability[voters] = result.reliability
            accepted[samples] = result.names(None if groups is None else groups[samples])
            if len(samples) < _FEW_FOR_EACH * n_names:
                accepted = _with_lost_names(accepted, codes[:, voters], groups)
            break
        voters = voters[is_useful]
    return accepted, reliability


def _with_lost_names(accepted: Codes, codes: Codes, groups: Codes | None) -> Codes:
    """Believe in names that no sample would have: one or two votes are too few to judge."""
    lost = np.setdiff1d(codes[codes >= 0], accepted)
    first = np.full(len(codes), -1, dtype=np.int32)
    for votes in codes.T[::-1]:
        first = np.where(np.isin(votes, lost), votes, first)
    if groups is not None:
        named = np.flatnonzero((first >= 0) & (groups >= 0))[::-1]
        of_groups = np.full(groups.max(initial=-1) + 1, -1, dtype=np.int32)
        of_groups[groups[named]] = first[named]
        first[groups >= 0] = of_groups[groups[groups >= 0]]
    return np.where(first >= 0, first, accepted)


def _together(
    voters: list[Any], n_samples: int, known_names: NDArray[Any]
) -> tuple[list[Any], Codes]:
    """Read all voters: all names, known ones first, and the votes by number, a column for each."""
    items: list[Any] = []
    for voter in voters:
        vote_names, codes = read_named_votes(voter)
        if len(codes) != n_samples:
            raise ValueError(
                f"votes must have {n_samples} samples, one for each row of X, got {len(codes)}"
            )
        objects = np.array([*vote_names, None], dtype=object)
        items += list(objects[codes].T)
    vote_names, codes = read_named_votes(items)
    names = known_names.tolist()
    if len({isinstance(name, str) for name in [*names, *vote_names]}) > 1:
        raise TypeError(
            "votes and y must be all names or all integers, got both: use the same names in both"
        )
    is_known = {*names}
    names += [name for name in vote_names if name not in is_known]
    place_of = {name: i for i, name in enumerate(names)}
    places = np.array([*map(place_of.__getitem__, vote_names), -1], dtype=np.int32)
    return names, places[codes]


def warn_of_idle(reliability: Float64Array) -> None:
    """Warn of voters that do not count."""
    for j in np.flatnonzero(np.isnan(reliability)):
        warnings.warn(
            f"votes: voter {j} changes nothing: neither the samples nor other voters agree with "
            "it more often than by chance",
            stacklevel=4,
        )


class Believed(NamedTuple):
    """What voters are believed."""

    shares: Shares
    """(n_samples, n_names): the probability of each name."""
    reliability: Float64Array
    """(n_voters,): the share of each voter's votes that are right, as estimated."""

    def names(self, groups: Codes | None = None) -> Codes:
        """Return the accepted name of each sample, -1 where none is likely enough.

        `groups` has the group of each sample, -1 for none; samples of a group get the same name.
        """
        best, most = self.shares.argmax(axis=1), self.shares.max(axis=1)
        if groups is not None:
            members = np.flatnonzero(groups >= 0)
            entries = (np.ones(len(members), np.float32), (groups[members], members))
            shape = (groups.max(initial=-1) + 1, len(groups))
            sums = sparse.csr_array(entries, shape=shape) @ self.shares
            totals = np.maximum(sums.sum(axis=1), 1e-30)
            best[members] = sums.argmax(axis=1)[groups[members]]
            most[members] = (sums.max(axis=1) / totals)[groups[members]]
        return np.where(most > _LEAST_PROBABILITY, best, -1).astype(np.int32)


def believed(
    codes: Codes, n_names: int, experts: list[Expert], known: Codes | None = None
) -> Believed:
    """Learn how far to trust voters and experts, and how likely each name is.

    Parameters
    ----------
    codes : int32 array of shape (n_samples, n_voters)
        The names by number, -1 for an abstention. Each sample has a vote or a known name.
    n_names : int
        Number of names.
    experts : list of experts
        What `experts_of` returns.
    known : int32 array of shape (n_samples,), optional
        Names that are certain, -1 elsewhere.

    Notes
    -----
    Memory: for each expert and once more, a float32 for each sample and name. Everything else of
    this size is only made for blocks of samples.
    """
    is_known = np.zeros(len(codes), bool) if known is None else known >= 0
    voters = Voters(codes, n_names, "one-coin")
    shares = np.empty((len(codes), n_names), np.float32)
    _set_majority(shares, voters, known)
    scores = np.empty((len(experts), *shares.shape), np.float32)
    for _ in range(_N_ROUNDS):
        for expert, of_expert in zip(experts, scores, strict=True):
            expert(shares, of_expert)
        weights = np.zeros(len(experts))
        for step in range(_N_STEPS):
            for _ in range(_N_NEWTON_STEPS if step else 2 * _N_NEWTON_STEPS):
                weights = _better_weights(scores, weights, shares)
            voters.learn(shares)
            change = 0.0
            for block in _blocks(len(shares)):
                better = voters.posterior(_opinion(scores[:, block], weights), block)
                better[is_known[block]] = shares[block][is_known[block]]
                change = max(change, float(np.abs(better - shares[block]).max()))
                shares[block] = better
            if change < _LEAST_CHANGE:
                break
    return Believed(shares, voters.reliability(shares))


def _set_majority(shares: Shares, voters: Voters, known: Codes | None) -> None:
    """Fill an array with the shares of votes, and certain names."""
    for block in _blocks(len(shares)):
        shares[block] = voters.majority(block)
    if known is not None:
        is_known = known >= 0
        shares[is_known] = 0
        shares[is_known, known[is_known]] = 1


def _blocks(n: int) -> Iterator[slice]:
    for begin in range(0, n, _ROWS_PER_BLOCK):
        yield slice(begin, begin + _ROWS_PER_BLOCK)


def experts_of(rows: Rows, columns: Columns, n_threads: int) -> list[Expert]:
    """Make the experts.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        At least two samples, in their frame.
    columns : list of integer arrays of shape (n_samples,)
        Partitions of the samples, if there are any.
    n_threads : int
        Number of threads.
    """
    experts = [_linear_expert(rows), _neighbors_expert(rows, n_threads)]
    return [*experts, _clusters_expert(columns, n_threads)] if columns else experts


def _linear_expert(rows: Rows) -> Expert:
    """Ridge regression on the features, each sample left out of its own prediction."""

    def points_of(block: slice) -> Float64Array:
        points = unit_rows(rows[block]).astype(np.float64)
        return np.column_stack([points, np.ones(len(points))])

    gram = _RIDGE * np.eye(rows.shape[1] + 1)
    for block in _blocks(len(rows)):
        points = points_of(block)
        gram += points.T @ points
    factor = linalg.cholesky(gram, lower=True)
    leverage = np.empty((len(rows), 1))
    for block in _blocks(len(rows)):
        half = linalg.solve_triangular(factor, points_of(block).T, lower=True)
        leverage[block, 0] = np.einsum("ij,ij->j", half, half)
    others = np.maximum(1 - leverage, 1e-6)

    def predict(shares: Shares, scores: Shares) -> None:
        sums = np.zeros((len(gram), shares.shape[1]))
        for block in _blocks(len(rows)):
            sums += points_of(block).T @ shares[block]
        coefficients = linalg.cho_solve((factor, True), sums)
        for block in _blocks(len(rows)):
            beyond_own = points_of(block) @ coefficients - leverage[block] * shares[block]
            scores[block] = _SCALE_OF_LINEAR * beyond_own / others[block]

    return predict


def _neighbors_expert(rows: Rows, n_threads: int) -> Expert:
    """The names of the nearest other samples."""
    n = len(rows)
    n_neighbors = min(_N_NEIGHBORS, n - 1)
    nearest = kneighbors(rows, n_neighbors, metric="cosine", n_jobs=n_threads)[1]
    indptr = np.arange(0, n * n_neighbors + 1, n_neighbors)
    entries = np.ones(nearest.size, np.float32)
    graph = sparse.csr_array((entries, nearest.ravel(), indptr), shape=(n, n))

    def predict(shares: Shares, scores: Shares) -> None:
        for block in _blocks(n):
            scores[block] = _log_shares(graph[block] @ shares)

    return predict


def _clusters_expert(columns: Columns, n_threads: int) -> Expert:
    """The names of the other samples in the clusters that a sample is in."""
    ballots = Ballots.of(columns, n_threads)
    members = ballots.members[ballots.ids].astype(np.float32)
    weights = (ballots.weights / np.maximum(ballots.sizes, 1)).astype(np.float32)
    own = (members @ weights)[:, None]
    weighted = sparse.diags_array(weights) @ members.T

    def predict(shares: Shares, scores: Shares) -> None:
        of_clusters = weighted @ shares
        for block in _blocks(len(shares)):
            sums = members[block] @ of_clusters - own[block] * shares[block]
            # What is left of a sample that is alone in its clusters is rounding.
            scores[block] = _log_shares(np.where(sums > _ROUNDING * own[block], sums, 0))

    return predict


def _log_shares(sums: Shares) -> Shares:
    totals = sums.sum(axis=1, keepdims=True)
    shares = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
    logs: Shares = np.log(shares + np.float32(_LEAST_SHARE))
    return logs


def useful_voters(
    codes: Codes, n_names: int, experts: list[Expert], known: Codes | None = None
) -> NDArray[np.bool_]:
    """Say of each voter whether an expert or other voters agree with it more often than by chance.

    Experts learn from all voters together. They may be misled by a bad one that votes more often,
    and so they learn from a voter alone if nobody agrees with it. The arguments are those of
    `believed`.
    """
    shares = np.empty((len(codes), n_names), np.float32)
    scores = np.empty_like(shares)

    def opinions_after(voters: Voters) -> list[NDArray[np.intp]]:
        _set_majority(shares, voters, known)
        opinions = []
        for expert in experts:
            expert(shares, scores)
            opinions.append(scores.argmax(axis=1))
        return opinions

    after_all = opinions_after(Voters(codes, n_names))
    is_useful = np.zeros(codes.shape[1], dtype=bool)
    for j, votes in enumerate(codes.T):
        is_own = np.arange(codes.shape[1]) == j
        opinions = [*after_all, _most_said(np.where(is_own, np.int32(-1), codes), n_names)]
        is_useful[j] = any(_is_beyond_chance(votes, of, n_names) for of in opinions)
        if not is_useful[j] and len(is_own) > 1:
            opinions = opinions_after(Voters(np.where(is_own, codes, np.int32(-1)), n_names))
            is_useful[j] = any(_is_beyond_chance(votes, of, n_names) for of in opinions)
    return is_useful


def _most_said(codes: Codes, n_names: int) -> NDArray[np.intp]:
    """The name that most voters say of each sample, -1 without votes."""
    voters = Voters(codes, n_names)
    blocks = [voters.counts(block).argmax(axis=1) for block in _blocks(len(codes))]
    return np.where((codes >= 0).any(axis=1), np.concatenate(blocks), -1)


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


def _opinion(scores: Shares, weights: Float64Array) -> Float64Array:
    """The logarithm of the probabilities of names by all experts together.

    `scores` has shape (n_experts, n_samples, n_names), the result (n_samples, n_names).
    """
    logs: Float64Array = log_softmax(np.tensordot(weights, scores, axes=1), axis=1)
    return logs


def _better_weights(scores: Shares, weights: Float64Array, shares: Shares) -> Float64Array:
    """One step of Newton's method towards the weights for which experts predict the names best."""
    n_experts = len(weights)
    gradient, hessian = np.zeros(n_experts), np.zeros((n_experts, n_experts))
    for block in _blocks(len(shares)):
        of_experts = scores[:, block].astype(np.float64)
        expected = np.exp(_opinion(of_experts, weights))
        means = np.einsum("ij,kij->ki", expected, of_experts)
        gradient += np.einsum("ij,kij->k", shares[block] - expected, of_experts)
        flat = of_experts.reshape(n_experts, -1)
        hessian += (expected.ravel() * flat) @ flat.T - means @ means.T
    hessian[np.diag_indices_from(hessian)] += 1e-6 * (1 + np.trace(hessian))
    step = np.linalg.solve(hessian, gradient)
    better: Float64Array = np.clip(weights + np.clip(step, -0.5, 0.5), 0, None)
    return better
