"""Evidence, found without labels, of how many votes heads deserve beside views.

Views follow neighbors. Where clusters are well separated, whatever their shape (the pixels of
images), nearly all neighbors of a row are in its cluster, and linear heads could only blur that.
Where many neighbors are in other clusters (embeddings of texts), heads average over all rows of a
cluster, and err elsewhere than views do.
"""

from __future__ import annotations

import numpy as np

from labelquorum._shared.frame import Rows
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.consensus import ConsensusTree
from labelquorum.clustering.views import RECALL, Partitions
from labelquorum.neighbors.search import kneighbors

_MAX_ROWS = 6_000  # whose neighbors are looked at
_N_NEIGHBORS = 5
_LEAST_SHARE, LARGEST_SHARE = 1 / 5, 3 / 4


def share_of_heads(
    rows: Rows, by_views: Partitions, n_clusters: int, seed: int, n_threads: int
) -> float:
    """Return the share of the votes that heads deserve, between 0 and 3/4.

    It is the mean number of a row's 5 nearest neighbors that are not in its cluster, by the
    consensus of views. Less than a fifth counts as 0: so few heads change little. The neighbors
    of at most 6,000 rows, drawn at random, are looked at.
    """
    ballots = Ballots.of(list(by_views.T), n_threads)
    tree = ConsensusTree(ballots, n_clusters=n_clusters, n_threads=n_threads)
    clusters = ballots.expand(tree.ballots.reassigned(tree.cut(n_clusters)))
    drawn = np.random.RandomState(seed).permutation(len(rows))[:_MAX_ROWS]
    n_neighbors = min(_N_NEIGHBORS, len(rows) - 1)
    near = kneighbors(rows, n_neighbors + 1, Y=rows[drawn], recall=RECALL, n_jobs=n_threads)[1]
    is_other = near != drawn[:, None]
    is_apart = is_other & (clusters[near] != clusters[drawn, None])
    share = min(LARGEST_SHARE, n_neighbors * float(is_apart.sum() / is_other.sum()))
    return share if share >= _LEAST_SHARE else 0.0
