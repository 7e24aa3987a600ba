"""Cluster features with ConsensusClusterer, beside k-means, Ward, and k-means on UMAP.

All are told the number of clusters. `studies/evaluate.py` compares accuracies on more data and
seeds; here the accuracy is recorded beside the time. The compute floor is the products of all pairs
of samples, which an exact search for neighbors needs.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans

import labelquorum as lq
from _data import SETS, missing


def labelquorum(X, n_clusters, threads):
    return lq.ConsensusClusterer(n_clusters, random_state=0, n_jobs=threads).fit(X).labels_


def kmeans(X, n_clusters, threads):
    return KMeans(n_clusters, n_init=10, random_state=0).fit_predict(X)


def ward(X, n_clusters, threads):
    return AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(X)


def kmeans_on_umap(X, n_clusters, threads):
    umap = pytest.importorskip("umap")
    np.random.seed(0)  # noqa: NPY002 (random_state= would keep UMAP to one core)
    embedding = umap.UMAP(n_neighbors=30, min_dist=0.0, n_components=10).fit_transform(X)
    return kmeans(embedding, n_clusters, threads)


SIZES = {
    "dataset": {"small": ["digits"], "full": ["pendigits", "mnist"]},
    "method": {
        "small": [labelquorum, kmeans, ward],  # UMAP compiles for a quarter of a minute
        "full": [labelquorum, kmeans, kmeans_on_umap],
    },
}


@cache
def prepared(dataset):
    try:
        X, classes = SETS[dataset]()
    except FileNotFoundError:
        pytest.skip(missing(dataset))
    return X, np.unique(classes, return_inverse=True)[1]


@pytest.mark.filterwarnings("ignore")  # of UMAP
def test_fit(timed, benchmark, dataset, method, products, threads):
    X, classes = prepared(dataset)
    n_clusters = int(classes.max()) + 1
    labels = timed(
        f"cluster {dataset}",
        lambda: method(X, n_clusters, threads),
        samples=len(X),
        computes=lambda: products(X, X),
    )
    benchmark.extra_info["accuracy"] = accuracy = lq.clustering_accuracy(classes, labels)
    assert accuracy > (0.85 if method is labelquorum else 0.5)
