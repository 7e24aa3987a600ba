"""Samples, and every function and estimator that takes samples."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsClassifier

import labelquorum as lq

N, N_FEATURES = 36, 6


def _samples():
    """Whole numbers, which every type holds, in three groups; many are zeros."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(N, N_FEATURES)) * (rng.random((N, N_FEATURES)) < 0.6)
    X[np.arange(N), np.arange(N) % 3] += 30
    return X.astype(np.float64)


X = _samples()
Y = np.full(N, -1)
Y[:9] = np.arange(9) % 3
TEXTS = [f"text {i}" for i in range(N)]
CLUSTERS = np.arange(N) % 3
NAMES = list("abcdef")


def _fitted(make, method="predict"):
    return lambda X: getattr(make().fit(X, Y), method)(X)


def consensus():
    return lq.ConsensusClusterer(3, n_partitions=4, random_state=0)


def _sampler(X):
    sampler = lq.PreClusteringSampler(random_state=0).fit(X, Y)
    return np.concatenate([sampler.query(3), sampler.predict(X)])


def _searcher(X):
    return np.hstack(lq.NeighborSearcher(n_neighbors=3, recall=0.9).fit(X).query(X))


def _pairwise():
    return lq.PairwiseSetClusterer(KNeighborsClassifier(3), n_models=2, random_state=0)


def _list_of_sets(X):
    model = _pairwise().fit([X, X], [CLUSTERS, CLUSTERS])
    return np.concatenate(model.predict([X]).clusters)


def _grouped_sets(X):
    groups = np.arange(N) // 12
    return _pairwise().fit(X, CLUSTERS, groups=groups).predict(X, groups=groups).clusters


def _grid(X):
    display = lq.ClusterGridDisplay.from_labels(CLUSTERS, X=X, image_shape=(2, 3))
    images = [np.asarray(image.get_array()) for image in display.axes_.ravel()[0].get_images()]
    plt.close(display.figure_)
    return np.array(images)


def _joined(result):
    return np.concatenate(list(result.values()))


TAKES_SPARSE = {
    "kneighbors": lambda X: np.hstack(lq.kneighbors(X, 3)),
    "kneighbors inner product": lambda X: lq.kneighbors(X, 3, metric="inner_product")[0],
    "kneighbors cosine": lambda X: lq.kneighbors(X, 3, metric="cosine", recall=0.9)[0],
    "kneighbors Y": lambda Y: np.hstack(lq.kneighbors(X, 3, Y=Y)),
    "kneighbors_graph": lambda X: lq.kneighbors_graph(X, 3).toarray(),
    "affinity_graph": lambda X: lq.affinity_graph(X, 3).toarray(),
    "base_partitions": lambda X: lq.base_partitions(X, 3, n_partitions=4, random_state=0),
    "base_partitions clusterers": lambda X: lq.base_partitions(
        X, 3, clusterers=KMeans(3, n_init=3), random_state=0
    ),
    "text.representatives": lambda X: _joined(lq.text.representatives(TEXTS, CLUSTERS, X=X)),
    "text.category_table": lambda X: np.array(
        lq.text.category_table(TEXTS, CLUSTERS, X=X, min_df=1)["texts"].tolist()
    ),
    "ConsensusClusterer": _fitted(consensus),
    "ConsensusClusterer labels_": lambda X: consensus().fit(X).labels_,
    "ConsensusClusterer novelty": lambda X: consensus().fit(X).novelty(X).groups,
    "KNNLabelPropagation": _fitted(lambda: lq.KNNLabelPropagation(random_state=0)),
    "KNeighborsTransformer": lambda X: lq.KNeighborsTransformer(3).fit_transform(X).toarray(),
    "KNeighborsTransformer transform": lambda X: (
        lq.KNeighborsTransformer(3, recall=0.9).fit(X).transform(X).toarray()
    ),
    "LabelPropagation": _fitted(lambda: lq.LabelPropagation(5)),
    "LabelSpreading": _fitted(lambda: lq.LabelSpreading(5)),
    "NeighborSearcher": _searcher,
    "PoissonLearning": _fitted(lambda: lq.PoissonLearning(5)),
    "PreClusteringSampler": _sampler,
    "RepresentativeSampler": lambda X: lq.RepresentativeSampler(4, random_state=0).fit(X).indices_,
    "S3VM": _fitted(lambda: lq.S3VM(random_state=0)),
}
TAKES_DENSE = TAKES_SPARSE | {
    "assign_codebooks": lambda samples: lq.assign_codebooks(samples, [X[:5]]),
    "assign_codebooks codebooks": lambda centers: lq.assign_codebooks(X, [centers]),
    "ClusterGridDisplay": _grid,
    "PairwiseSetClusterer": _list_of_sets,
    "PairwiseSetClusterer groups": _grouped_sets,
    "S3VM rbf": _fitted(lambda: lq.S3VM("rbf", random_state=0)),
}
# What takes longer is tried on a few kinds, and on all of them in the slow tests.
TAKES_LONG = ("base_", "ClusterGrid", "Consensus", "KNNLabel", "Pairwise", "PreClus", "S3VM")
FEW_KINDS = ("nested lists", "big-endian", "pandas convert_dtypes", "Arrow table", "torch gradient")
FEW_KINDS += ("CSC", "repeated", "float16")


def crossed(functions, kinds):
    """Each function with each kind."""
    return [
        pytest.param(
            function,
            kind,
            marks=[pytest.mark.slow] * (function.startswith(TAKES_LONG) and kind not in FEW_KINDS),
        )
        for function in functions
        for kind in kinds
    ]


NAME = {"PairwiseSetClusterer": "sets", "PairwiseSetClusterer groups": "sets"}
NAME |= {"assign_codebooks codebooks": "codebooks", "kneighbors Y": "Y"}


def assert_same(result, expected):
    assert result.shape == expected.shape
    if result.dtype.kind in "fi":
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(result, expected)
