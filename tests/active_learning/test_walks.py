"""Random walks against simulated ones, and scores against their definition."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.active_learning.walks import ClusterLabels, QuestionChooser, RandomWalks
from strategies import share


def simulated_hit_chances(steps, stop_chance, targets):
    """Let walks take one step after the other until they stop or come to a target."""
    n = len(steps)
    chances = np.zeros((n, len(targets)))
    positions = np.eye(n)
    for _ in range(20_000):
        for place, target in enumerate(targets):
            chances[:, place] += positions[:, target]
            positions[:, target] = 0
        positions = (1 - stop_chance) * positions @ steps
        if positions.sum() < 1e-12:
            break
    return chances


@share(0.5)
@given(st.integers(2, 9), st.integers(0, 10_000))
def test_walks_end_where_simulated_ones_do(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    degrees = weights.sum(axis=1, keepdims=True)
    steps = np.divide(weights, degrees, out=np.zeros_like(weights), where=degrees > 0)
    walks = RandomWalks(scipy.sparse.csr_array(weights))
    targets = np.sort(rng.choice(n, rng.integers(1, n + 1), replace=False))
    for i, stop_chance in enumerate((0.3, 0.1, 0.03)):
        expected = simulated_hit_chances(steps, stop_chance, targets)
        np.testing.assert_allclose(walks.hit_chances(i, targets), expected, atol=2e-3)


def naive_scores(walks, labels, n_open, asked, errors):
    """Expected error times density, from the definition."""
    n = len(walks.visits[0])
    total = np.zeros(n)
    for i in range(len(walks.visits)):
        ends = [*labels.clusters.tolist(), *asked]
        chances = walks.hit_chances(i, np.array(ends)) if ends else np.zeros((n, 0))
        n_labeled = len(labels.clusters)
        expected = np.empty(n)
        for cluster in range(n):
            shares = chances[cluster, :n_labeled] @ labels.shares
            expected[cluster] = 1 - chances[cluster, n_labeled:].sum() - shares.max(initial=0)
        expected[labels.clusters] = errors
        scores = np.empty(n)
        for cluster in range(n):
            if cluster in ends:
                scores[cluster] = expected[cluster] * expected[cluster] * n_open[cluster]
            else:
                reach = walks.hit_chances(i, np.array([*ends, cluster]))[:, -1]
                scores[cluster] = expected[cluster] * (reach * expected * n_open).sum()
        total += scores / max(scores[n_open > 0].max(), 1e-12)  # all 0 if nothing is left to settle
    return total


@share(0.3)
@given(st.integers(3, 8), st.integers(0, 10_000))
def test_scores_are_expected_error_times_density(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    walks = RandomWalks(scipy.sparse.csr_array(weights))
    clusters = np.sort(np.concatenate([np.arange(n), rng.integers(n, size=3 * n)])).astype(np.int32)
    codes = np.where(rng.random(4 * n) < 0.2, rng.integers(3, size=4 * n), -1).astype(np.int32)
    labels = ClusterLabels.of(codes, clusters, np.ones(3, bool))
    order = np.arange(4 * n, dtype=np.int32)
    chooser = QuestionChooser(walks, labels, order, clusters, codes < 0, [])
    n_open = np.bincount(clusters[codes < 0], minlength=n).astype(float)
    asked = []
    for _ in range(3):
        if not n_open.any():
            break
        errors = chooser.errors_in_labeled_clusters()
        scores = naive_scores(walks, labels, n_open, asked, errors)
        scores[n_open == 0] = -1
        cluster = clusters[chooser.next()]
        assert scores[cluster] >= scores.max() - 1e-3 * abs(scores.max()) - 1e-6
        n_open[cluster] -= 1
        if cluster not in labels.clusters and cluster not in asked:
            asked.append(cluster)


def test_a_cluster_that_no_walk_connects_to_a_label_has_the_shares_of_all_labels():
    graph = scipy.sparse.block_diag([np.array([[0.0, 1], [1, 0]])] * 2).tocsr()
    labels = ClusterLabels.of(
        np.array([0, 0, 1], np.int32), np.array([0, 0, 1]), np.ones(2, dtype=bool)
    )
    probabilities = RandomWalks(scipy.sparse.csr_array(graph)).category_probabilities(labels)
    np.testing.assert_allclose(probabilities, [[1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5]])


def test_labels_agree_where_neighbors_have_the_same():
    chain = scipy.sparse.diags_array([np.ones(3), np.ones(3)], offsets=[-1, 1]).tocsr()
    walks = RandomWalks(scipy.sparse.csr_array(chain))
    clusters, predictable = np.arange(4), np.ones(2, dtype=bool)

    def agreement(codes):
        labels = ClusterLabels.of(np.array(codes, np.int32), clusters, predictable)
        return walks.agreement_of_labels(labels)

    assert agreement([0, 0, 0, 0]) > agreement([0, 0, 1, 1]) > agreement([0, 1, 0, 1])
    assert agreement([0, -1, -1, -1]) == 0.5
