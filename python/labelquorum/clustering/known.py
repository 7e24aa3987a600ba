"""Known categories first: which samples belong to one, by a classifier and by the votes.

1. A logistic regression learns the known categories from the features. The votes say how dense the
   labels of each category are among the samples that share clusters with a sample.
2. Both judge labeled samples without their own label, too. This shows how the two score, and how
   much their scores vary, where the category is known. Labels that both contradict may be wrong;
   they are not counted any more.
3. An unlabeled sample is recognized if the sum of the two scores, in units of these variations, is
   at least that of a sample around which labels have half their usual density. The rest is left to
   new categories.

The level is not learned by hiding known categories, as one might think: their labels helped to make
the partitions, so that they stand out far more than categories that nobody knows. Nor is it the
level that almost all labeled samples reach: where categories overlap, it would be so low that known
ones swallow new ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from labelquorum._shared.frame import Framed, Rows
from labelquorum.clustering.ballots import Ballots, Float64Array, Integers
from labelquorum.clustering.consensus import ConsensusTree, elected_tree

FEWEST_JUDGED = 20
"""Labeled samples that both name right without their own label; with fewer, nothing is learned."""
_N_FOLDS = 5
_MOST_TRAINING_ROWS = 5_000
_INVERSE_PENALTY = 10.0  # for rows of mean squared length 1
_MAX_STEPS, _TOLERANCE = 200, 1e-3
_LEAST_PROBABILITY, _LEAST_DENSITY = 1e-3, 1e-2
_LOWER_THAN_USUAL = 0.75  # standard deviations
_LEAST_SPREAD = 0.1  # in nats; labeled samples of clusters that lie apart score all alike
_ROUNDING = 1e-6  # of densities
_ROWS_PER_BLOCK = 4096


def known_first(
    framed: Framed,
    ballots: Ballots,
    n_clusters: int | None,
    *,
    level: float,
    min_size: int,
    is_own: bool,
    n_threads: int,
    show: Callable[..., None] | None,
) -> tuple[ConsensusTree, int, NDArray[np.bool_] | None]:
    """Recognize the samples of known categories, and link all others into a tree.

    Parameters
    ----------
    framed, ballots, level, n_threads
        As for `recognized`.
    n_clusters : int, optional
        Number of categories. None lets the tree choose it.
    min_size : int
        The smallest number of samples of a new category, if the tree chooses the number.
    is_own : bool
        Whether the partitions are the package's own, for which the default rule is right.
    show : callable, optional
        Reports progress.

    Returns
    -------
    ConsensusTree, int, bool array or None
        The tree, the number of clusters to cut it at, and `Recognized.doubted`.
    """
    if n_clusters is None:
        n_clusters = ConsensusTree(ballots, n_threads=n_threads, show=show).natural_size(min_size)
    members, doubted = recognized(framed, ballots, level, n_clusters, n_threads)
    if members is not None:
        ballots = ballots.with_known(members, n_threads).with_known_apart()
    if is_own:
        tree = ConsensusTree(ballots, n_clusters=n_clusters, n_threads=n_threads, show=show)
    else:
        tree = elected_tree(ballots, n_clusters, n_threads, show)
    return tree, n_clusters, doubted


class Recognized(NamedTuple):
    """Which samples belong to known categories."""

    members: NDArray[np.int32] | None
    """(n_samples,): the known category of each sample, also of those that are recognized, -1
    without one. None if nothing is recognized."""
    doubted: NDArray[np.bool_] | None
    """(n_samples,): whether classifier and votes together find another known category better than
    that of the label. None if too little is known to say so."""


def recognized(
    framed: Framed, ballots: Ballots, level: float, n_clusters: int, n_threads: int
) -> Recognized:
    """Say which samples belong to known categories.

    Parameters
    ----------
    framed : Framed
        The samples.
    ballots : Ballots
        Of all samples, with their known categories if there are any.
    level : float
        The relative density of labels from which on a sample is recognized, if the classifier's
        score is a little lower than usual.
    n_clusters : int
        Number of categories. If none of them is new, all samples are recognized.
    n_threads : int
        Number of threads.

    Returns
    -------
    Recognized
        Nothing is recognized without known categories, if fewer than `FEWEST_JUDGED` labeled
        samples can be judged, or if too few samples would be left for the new categories.
    """
    if ballots.known is None:
        return Recognized(None, None)
    known = ballots.expand(ballots.known)
    evidence = _evidence(framed, ballots, known)
    if evidence is None:
        return Recognized(None, None)
    names, scores = evidence
    labeled = known >= 0
    judged = labeled & (names == known)
    if np.count_nonzero(judged) < FEWEST_JUDGED:
        return Recognized(None, None)
    doubted = labeled & ~judged
    n_new = n_clusters - (int(known.max()) + 1)
    if n_new <= 0:
        return Recognized(np.where(labeled, known, names), doubted)
    # Labels that both contradict may be wrong. They do not count.
    plausible = ballots.with_known(np.where(judged, known, np.int32(-1)), n_threads)
    density = relative_density(plausible, int(known.max()) + 1)
    if density is None:
        return Recognized(None, doubted)
    scores[:, 1] = plausible.expand(np.log(density.sum(axis=1) + _LEAST_DENSITY))
    usual = scores[judged].mean(axis=0)
    spread = np.maximum(scores[judged].std(axis=0), _LEAST_SPREAD)
    least = [usual[0] - _LOWER_THAN_USUAL * spread[0], np.log(level + _LEAST_DENSITY)]
    is_like_known = ((scores - least) / spread).sum(axis=1) >= 0
    extended = np.where(~labeled & is_like_known, names, known)
    n_left = len(np.unique(ballots.ids[extended < 0]))
    return Recognized(extended if n_left >= n_new else None, doubted)


def _evidence(
    framed: Framed, ballots: Ballots, known: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Float64Array] | None:
    """Name the best known category of each sample, and score how well it fits.

    Returns an array of shape (n_samples,), and one of shape (n_samples, 2): the scores by the
    classifier and by the votes. None if the votes say nothing.
    """
    n_known = int(known.max(initial=-1)) + 1
    density = None if n_known == 0 else relative_density(ballots, n_known)
    if density is None:
        return None
    logits = _Logits(framed.plain, framed.distinct.numbers, known, n_known)
    n_samples = len(known)
    names = np.empty(n_samples, dtype=np.int32)
    scores = np.empty((n_samples, 2))
    for begin in range(0, n_samples, _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        of_classifier, of_votes = logits.of(block), density[ballots.ids[block]]
        probabilities = np.exp(of_classifier - of_classifier.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        product = (probabilities + _LEAST_PROBABILITY) * (of_votes + _LEAST_DENSITY)
        names[block] = product.argmax(axis=1)
        scores[block, 0] = of_classifier[np.arange(len(product)), names[block]]
        scores[block, 1] = np.log(of_votes.sum(axis=1) + _LEAST_DENSITY)
    return names, scores


def relative_density(ballots: Ballots, n_known: int) -> NDArray[np.float32] | None:
    """How dense the labels of each category are, relative to where they usually occur.

    The density is the share of labels of a category in the clusters of a signature, one label of
    its own left out, averaged over its votes by the weights of their partitions. The result has
    shape (n_signatures, n_known). None if no label shares a cluster with another one of its
    category.
    """
    known = ballots.known
    assert known is not None
    labeled = np.flatnonzero(known >= 0)
    own, counts = known[labeled], ballots.counts[labeled]
    sizes = np.bincount(own, counts, minlength=n_known)
    weights = ballots.partition_weights[ballots.partition_of]
    per_other = weights / np.maximum(ballots.sizes - 1, 1)
    of_clusters = ballots.profiles(known, n_known)
    of_clusters.data *= per_other[of_clusters.indices]
    of_clusters = of_clusters.T.tocsr()
    of_clusters.data *= sizes[of_clusters.indices]
    totals = np.where(ballots.has_votes, ballots.members @ weights, 1)[:, None]
    density = np.empty((len(ballots), n_known), dtype=np.float32)
    for begin in range(0, len(ballots), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        density[block] = (ballots.members[block] @ of_clusters).toarray() / totals[block]
    itself = (ballots.members[labeled] @ per_other) / totals[labeled, 0]
    others = density[labeled, own] - itself
    density[labeled, own] = np.where(others > _ROUNDING, others, 0)
    sums = np.bincount(own, counts * density[labeled, own], minlength=n_known)
    usual = sums.sum() / counts.sum()
    if usual == 0:
        return None
    # A category of few labels gets a usual density that is close to that of all categories.
    density /= ((sums + usual) / (sizes + 1)).astype(np.float32)
    return density


class _Logits:
    """The classifier's scores of the known categories, for labeled samples without their label."""

    def __init__(
        self, rows: Rows, numbers: Integers, known: NDArray[np.int32], n_known: int
    ) -> None:
        length = np.sqrt(np.einsum("ij,ij->", rows, rows, dtype=np.float64) / len(rows))
        self._rows = rows
        self._numbers = numbers
        self._n_known = n_known
        self._factor = 1 / length if length > 0 else 1.0
        labeled = np.flatnonzero(known >= 0)
        labels = known[labeled]
        ranks = _ranks_in_category(labels)
        # The same number of each category, as far as it has so many.
        chosen = np.sort(np.lexsort((labels, ranks))[:_MOST_TRAINING_ROWS])
        labeled, labels, ranks = labeled[chosen], labels[chosen], ranks[chosen]
        self._fold_of = np.full(len(known), _N_FOLDS)
        self._fold_of[labeled] = (ranks + labels) % _N_FOLDS
        self._weights = []
        for fold in range(_N_FOLDS + 1):
            kept = self._fold_of[labeled] != fold
            self._weights.append(self._learned(labeled[kept], labels[kept]))

    def of(self, block: slice) -> Float64Array:
        """Return the scores of a block of samples: (n_samples, n_known)."""
        rows, folds = self._scaled(np.arange(len(self._fold_of))[block]), self._fold_of[block]
        weights, offsets = self._weights[_N_FOLDS]
        logits = rows @ weights + offsets
        for fold in np.unique(folds[folds < _N_FOLDS]):
            of_fold = folds == fold
            weights, offsets = self._weights[fold]
            logits[of_fold] = rows[of_fold] @ weights + offsets
        return logits

    def _scaled(self, samples: Integers) -> Float64Array:
        return self._rows[self._numbers[samples]].astype(np.float64) * self._factor

    def _learned(
        self, samples: Integers, labels: NDArray[np.int32]
    ) -> tuple[Float64Array, Float64Array]:
        """Learn weights (n_columns, n_known) and offsets (n_known,)."""
        weights = np.zeros((self._rows.shape[1], self._n_known))
        categories = np.unique(labels)
        if len(categories) < 2:
            return weights, np.zeros(self._n_known)
        model: Any = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MAX_STEPS, tol=_TOLERANCE)
        with warnings.catch_warnings():
            # There may be a category for each label, and a rough classifier is good enough.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(self._scaled(samples), labels)
        offsets = np.full(self._n_known, -np.inf)
        if len(categories) == 2:  # one score tells two categories apart
            weights[:, categories] = np.outer(model.coef_[0], [-0.5, 0.5])
            offsets[categories] = model.intercept_[0] * np.array([-0.5, 0.5])
        else:
            weights[:, categories] = model.coef_.T
            offsets[categories] = model.intercept_
        return weights, offsets


def _ranks_in_category(labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Number the samples of each category from 0, in their order."""
    order = np.argsort(labels, kind="stable")
    firsts = np.searchsorted(labels[order], labels[order])
    ranks = np.empty(len(labels), dtype=np.intp)
    ranks[order] = np.arange(len(labels)) - firsts
    return ranks
