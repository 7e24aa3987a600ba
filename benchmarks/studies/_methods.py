"""ConsensusClusterer and its peers, each as its users call it, for `evaluate.py`.

A method takes samples, the number of classes and a seed. It returns a dict: "labels", and where it
has them "confidence", "pseudo_labels" (-1 where it is unsure), "layers" (arrays of labels, finest
first) and "n_clusters". Methods that take no seed draw from NumPy's global generator, which the
caller seeds.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

import labelquorum as lq

OURS, UNKNOWN = "labelquorum", "labelquorum (number unknown)"


def ours(X, n_clusters, seed):
    return outcome_of(lq.ConsensusClusterer(n_clusters, random_state=seed).fit(X))


def outcome_of(model):
    return {
        "labels": model.labels_,
        "confidence": model.confidence_,
        "pseudo_labels": model.pseudo_labels_,
        "n_clusters": model.n_clusters_,
    }


def ours_number_unknown(X, _n_clusters, seed):
    model = lq.ConsensusClusterer(random_state=seed).fit(X)
    return outcome_of(model) | {"layers": model.cluster_layers_}


def embed(settings, X, _n_clusters, _seed):
    from umap import UMAP

    return UMAP(**settings).fit_transform(X)


# Told the number of classes


def kmeans(X, n_clusters, seed):
    return {"labels": KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)}


def mixture(X, n_clusters, seed):
    X = X.astype(np.float64)
    model = GaussianMixture(n_clusters, n_init=3, random_state=seed).fit(X)
    shares = model.predict_proba(X)
    return {"labels": shares.argmax(axis=1), "confidence": shares.max(axis=1)}


def spectral(X, n_clusters, seed):
    model = SpectralClustering(
        n_clusters, affinity="nearest_neighbors", random_state=seed, n_jobs=-1
    )
    return {"labels": model.fit_predict(X)}


def ward(X, n_clusters, _seed):
    return {"labels": AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(X)}


# They find the number themselves


def hdbscan(X, n_clusters, _seed):
    if find_spec("hdbscan"):
        from hdbscan import HDBSCAN  # much faster with many samples
    else:
        from sklearn.cluster import HDBSCAN
    if X.shape[1] > 50:
        X = PCA(50, random_state=0).fit_transform(X)
    smallest = max(5, len(X) // (14 * n_clusters))
    model = HDBSCAN(min_cluster_size=smallest, min_samples=10).fit(X)
    labels, sure = model.labels_.copy(), model.labels_ >= 0
    if not sure.any():
        labels[:] = 0
    elif not sure.all():
        nearest = KNeighborsClassifier(1).fit(X[sure], labels[sure])
        labels[~sure] = nearest.predict(X[~sure])
    return {
        "labels": labels,
        "confidence": model.probabilities_,
        "pseudo_labels": model.labels_,
    }


def with_noise(labels, confidence):
    """Return the result of a method that leaves noise, -1, without a cluster."""
    return {"labels": labels, "confidence": confidence, "pseudo_labels": labels}


def evoc(X, _n_clusters, _seed):
    from evoc import EVoC

    model = EVoC().fit(X)
    found = with_noise(model.labels_, model.membership_strengths_)
    return found | {"layers": model.cluster_layers_}


def plscan(X, _n_clusters, _seed):
    from fast_hdbscan import PLSCAN

    model = PLSCAN().fit(X)
    found = with_noise(model.labels_, model.membership_strengths_)
    return found | {"layers": model.cluster_layers_}


def bertopic(X, _n_clusters, _seed):
    """Cluster as BERTopic 0.17 does with embeddings, before it describes the topics."""
    from hdbscan import HDBSCAN
    from umap import UMAP

    umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine")
    model = HDBSCAN(
        min_cluster_size=10,
        metric="euclidean",
        cluster_selection_method="eom",
        prediction_data=True,
    ).fit(np.nan_to_num(umap.fit_transform(X)))
    return with_noise(model.labels_, model.probabilities_)


UMAPS = {
    "UMAP": {},
    "UMAP 30-0-2": {"n_neighbors": 30, "min_dist": 0.0, "n_components": 2},
    "UMAP 30-0-10": {"n_neighbors": 30, "min_dist": 0.0, "n_components": 10},
}
ON_UMAP = {"k-means": kmeans, "GMM": mixture, "HDBSCAN": hdbscan, "PLSCAN": plscan}
ON_FEATURES = {
    OURS: ours,
    UNKNOWN: ours_number_unknown,
    "k-means": kmeans,
    "HDBSCAN": hdbscan,
    "spectral": spectral,
    "Ward": ward,
    "EVoC": evoc,
    "PLSCAN": plscan,
    "BERTopic": bertopic,
}
METHODS = [*ON_FEATURES, *(f"{umap} + {name}" for umap in UMAPS for name in ON_UMAP)]
FIND_NUMBER = [name for name in METHODS if name.endswith(("HDBSCAN", "EVoC", "PLSCAN", "BERTopic"))]
WITHOUT_SEED = ("HDBSCAN", "PLSCAN", "Ward")
PAIRWISE = ("spectral", "Ward")
NEEDS = {
    "UMAP": ("umap",),
    "EVoC": ("evoc",),
    "PLSCAN": ("fast_hdbscan",),
    "BERTopic": ("umap", "hdbscan"),
}
