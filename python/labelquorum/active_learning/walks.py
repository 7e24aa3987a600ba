"""Random walks that spread labels over a graph of clusters, and score what to ask next.

The nodes of the graph are the small clusters of `PreClusteringSampler`. A walk goes from cluster to
cluster, stops with a small chance at each step, and ends at the first cluster that holds labels
(Wu et al., "Learning with partially absorbing random walks", NIPS 2012).

Let V be the matrix of the mean numbers of visits and L the labeled clusters. The chances that a
walk from i ends at each cluster of L are row i of ``V[:, L] @ inv(V[L, L])``. V depends only on the
graph and is computed once, in O(m^3) for m clusters. With b labeled clusters, probabilities take
O(m b^2). One more cluster where walks end changes the chances by a rank-one update, so the scores
of all clusters take O(m^2).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.graphs.csr import normalize_graph

Float32Rows = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

_STOP_CHANCES = (0.3, 0.1, 0.03)  # at each step; the results of the three are averaged


class ClusterLabels(NamedTuple):
    """The labels in each cluster that holds any."""

    clusters: Integers
    """(n_labeled_clusters,): these clusters, ascending."""
    counts: Float64Array
    """(n_labeled_clusters, n_categories): how many labels of each category they hold."""
    is_predictable: NDArray[np.bool_]
    """(n_categories,): which categories have enough labels to be predicted."""

    @classmethod
    def of(
        cls,
        codes: NDArray[np.int32],
        cluster_of_sample: Integers,
        is_predictable: NDArray[np.bool_],
    ) -> ClusterLabels:
        """Count the labels; a code of -1 is no label."""
        labeled = np.flatnonzero(codes >= 0)
        clusters, places = np.unique(cluster_of_sample[labeled], return_inverse=True)
        counts = np.zeros((len(clusters), len(is_predictable)))
        np.add.at(counts, (places, codes[labeled]), 1)
        return cls(clusters, counts, is_predictable)

    @property
    def shares(self) -> Float64Array:
        """(n_labeled_clusters, n_categories): the share of each category, rows sum to 1."""
        shares: Float64Array = self.counts / self.counts.sum(axis=1, keepdims=True)
        return shares


class RandomWalks:
    """Random walks from each cluster, for each of three chances to stop at a step.

    Attributes
    ----------
    visits : list of float32 arrays of shape (n_clusters, n_clusters)
        For each chance, the mean number of visits of a walk from each cluster (row) to each cluster
        (column).
    """

    def __init__(self, graph: sparse.csr_array) -> None:
        steps = normalize_graph(graph, "random_walk").toarray().astype(np.float32)
        self.visits: list[Float32Rows] = []
        for chance in _STOP_CHANCES:
            system = np.float32(chance - 1) * steps
            system[np.diag_indices(len(system))] += 1
            self.visits.append(np.linalg.inv(system))

    def hit_chances(self, i: int, targets: Integers) -> Float64Array:
        """Return the chance that a walk comes to each target before it comes to another target.

        Parameters
        ----------
        i : int
            Which of the chances to stop.
        targets : int array of shape (n_targets,)
            Clusters.

        Returns
        -------
        float64 array of shape (n_clusters, n_targets)
        """
        visits = self.visits[i]
        among_targets = visits[np.ix_(targets, targets)].astype(np.float64)
        chances = np.linalg.solve(among_targets.T, visits[:, targets].T.astype(np.float64)).T
        return chances.clip(0, 1)

    def agreement_of_labels(self, labels: ClusterLabels) -> float:
        """Estimate how often labels are right that other labeled clusters predict.

        The mean probability of a cluster's own labels, predicted from the other labeled clusters
        (leave-one-out); 0.5 where fewer than two clusters hold labels.
        """
        if len(labels.clusters) < 2:
            return 0.5
        shares, means = labels.shares, []
        for visits in self.visits:
            among_labeled = visits[np.ix_(labels.clusters, labels.clusters)].astype(np.float64)
            inverse = np.linalg.inv(among_labeled)
            chances = (-inverse / np.diag(inverse)[:, None]).clip(0, 1)
            np.fill_diagonal(chances, 0)
            means.append(((chances @ shares) * shares).sum(axis=1).mean())
        return float(np.mean(means))

    def category_probabilities(self, labels: ClusterLabels) -> Float64Array:
        """Return the probability of each category in each cluster.

        A cluster that no walk connects to a label has the shares of all labels.

        Returns
        -------
        float64 array of shape (n_clusters, n_categories)
        """
        probabilities = np.zeros((len(self.visits[0]), labels.counts.shape[1]))
        for i in range(len(_STOP_CHANCES)):
            probabilities += self.hit_chances(i, labels.clusters) @ labels.shares
        probabilities[labels.clusters] = labels.shares
        is_unreached = ~(probabilities.sum(axis=1) > 0)
        probabilities[is_unreached] = labels.shares.sum(axis=0)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return probabilities


class QuestionChooser:
    """Chooses one sample after the other, as if each chosen sample had its label already.

    The score of a cluster is its expected error times what a label there would settle: the expected
    error of all open samples whose walks would come to it first. Within a cluster the most central
    open sample is asked.

    Parameters
    ----------
    walks : RandomWalks
    labels : ClusterLabels
        What is known so far.
    order : int32 array of shape (n_samples,)
        The samples by cluster, the most central of each cluster first.
    cluster_of_sample : int32 array of shape (n_samples,)
    is_open : bool array of shape (n_samples,)
        Which samples may be asked.
    asked : list of int
        Samples that were asked already and have no label yet.
    """

    def __init__(
        self,
        walks: RandomWalks,
        labels: ClusterLabels,
        order: NDArray[np.int32],
        cluster_of_sample: NDArray[np.int32],
        is_open: NDArray[np.bool_],
        asked: list[int],
    ) -> None:
        self._labels = labels
        samples = order[is_open[order]]
        n_clusters = len(walks.visits[0])
        bounds = np.searchsorted(cluster_of_sample[samples], np.arange(n_clusters + 1))
        # Of each cluster, its open samples, the most central last.
        self._waiting = [samples[b:e][::-1].tolist() for b, e in pairwise(bounds.tolist())]
        self._n_open = np.diff(bounds).astype(np.float64)
        self._n_asked = np.zeros(n_clusters)
        self._agreement = walks.agreement_of_labels(labels)
        self._scores = [
            _ClusterScores(visits, walks.hit_chances(i, labels.clusters), labels)
            for i, visits in enumerate(walks.visits)
        ]
        for sample in asked:
            cluster = int(cluster_of_sample[sample])
            self._waiting[cluster].remove(sample)
            self._count_as_asked(cluster)

    def next(self) -> int | None:
        """Return the next sample to ask; None when none is left."""
        if not (self._n_open > 0).any():
            return None
        errors = self.errors_in_labeled_clusters()
        totals = sum(scores.of_clusters(self._n_open, errors) for scores in self._scores)
        cluster = int(np.where(self._n_open > 0, totals, -1.0).argmax())
        sample: int = self._waiting[cluster].pop()
        self._count_as_asked(cluster)
        return sample

    def _count_as_asked(self, cluster: int) -> None:
        self._n_open[cluster] -= 1
        self._n_asked[cluster] += 1
        for scores in self._scores:
            scores.end_walks_at(cluster)

    def errors_in_labeled_clusters(self) -> Float64Array:
        """Return the expected error of the other samples in each cluster that holds labels.

        Each label in the cluster counts as one vote. Together the other clusters have one vote,
        which is right as often as they predict known labels.
        """
        counts = self._labels.counts
        n_asked = self._n_asked[self._labels.clusters]
        n_most = np.where(self._labels.is_predictable, counts, 0).max(axis=1, initial=0)
        n_right = n_most + n_asked + self._agreement
        errors: Float64Array = 1 - n_right / (counts.sum(axis=1) + n_asked + 1)
        return errors


class _ClusterScores:
    """The scores of clusters, from walks with one chance to stop."""

    def __init__(
        self, visits: Float32Rows, hit_chances: Float64Array, labels: ClusterLabels
    ) -> None:
        self._visits = visits
        self._ends = labels.clusters.tolist()  # clusters where walks end, the labeled ones first
        self._hit_chances = hit_chances.astype(np.float32)  # (n_clusters, len(ends))
        self._labels = labels

    def end_walks_at(self, cluster: int) -> None:
        """Let walks that come to this cluster end there from now on."""
        if cluster in self._ends:
            return
        chances = self._visits[:, cluster] - self._hit_chances @ self._visits[self._ends, cluster]
        chances /= chances[cluster]
        self._hit_chances -= chances[:, None] * self._hit_chances[cluster]
        self._hit_chances = np.concatenate([self._hit_chances, chances[:, None]], axis=1)
        self._ends.append(cluster)

    def of_clusters(self, n_open: Float64Array, errors_in_labeled: Float64Array) -> Float64Array:
        """Return expected error times settled error of each cluster, divided by the largest."""
        shares, is_predictable = self._labels.shares, self._labels.is_predictable
        n_labeled = len(shares)
        likeliest = (self._hit_chances[:, :n_labeled] @ shares)[:, is_predictable]
        best = likeliest.max(axis=1, initial=0)
        expected = (1 - best - self._hit_chances[:, n_labeled:].sum(axis=1)).clip(0)
        expected[self._labels.clusters] = errors_in_labeled
        masses = (n_open * expected).astype(np.float32)
        visits_from_ends = self._visits[self._ends]
        settled = masses @ self._visits - (masses @ self._hit_chances) @ visits_from_ends
        # The visits of a walk to the cluster it starts from, before it comes to an end.
        returns = self._visits.diagonal() - np.einsum(
            "ij,ji->i", self._hit_chances, visits_from_ends
        )
        settled = settled / np.maximum(returns, 1e-6)
        settled[self._ends] = masses[self._ends]
        scores: Float64Array = expected * settled
        scores /= max(scores[n_open > 0].max(), 1e-12)
        return scores
