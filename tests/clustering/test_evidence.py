import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.clustering.evidence import LARGEST_SHARE, share_of_heads


def naive_share(rows, clusters):
    """Return the mean number of the 5 nearest neighbors in other clusters, cut as documented."""
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    near = np.argsort(squares, axis=1, kind="stable")[:, :5]
    mean = (clusters[near] != clusters[:, None]).sum(axis=1).mean()
    return 0.0 if mean < 1 / 5 else min(3 / 4, mean)


@given(
    seed=st.integers(0, 2**31 - 1),
    n=st.integers(12, 60),
    wrong=st.sampled_from([0.0, 0.02, 0.1, 0.5]),
)
def test_it_counts_neighbors_in_other_clusters(seed, n, wrong):
    rng = np.random.default_rng(seed)
    clusters = np.arange(n) % 2
    rows = (rng.normal(size=(n, 3)) + 20 * clusters[:, None]).astype(np.float32)
    clusters = np.where(rng.random(n) < wrong, 1 - clusters, clusters).astype(np.int32)
    clusters[:2] = 0, 1
    by_views = np.stack([clusters, 1 - clusters, clusters], axis=1)
    shares = {share_of_heads(rows, by_views, 2, seed, n_threads) for n_threads in (1, 3)}
    assert len(shares) == 1
    assert shares.pop() == pytest.approx(naive_share(rows, clusters), abs=1e-6)


def test_the_neighbors_are_those_among_all_rows():
    # Among 6,000 of the rows, the nearest ones are often of the next cluster on the line.
    n = 30_000
    rows = np.stack([np.arange(n), np.zeros(n)], axis=1).astype(np.float32)
    clusters = (np.arange(n) // 100).astype(np.int32)
    by_views = np.stack([clusters] * 3, axis=1)
    assert share_of_heads(rows, by_views, 300, 0, 1) == 0
    shuffled = np.random.default_rng(0).permutation(by_views)
    assert share_of_heads(rows, shuffled, 300, 0, 1) == LARGEST_SHARE
