"""Every estimator with arguments of its `fit`, and what all of its methods say afterwards."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import labelquorum as lq

_RNG = np.random.default_rng(0)
CLASSES = _RNG.permutation(np.repeat([0, 1, 2], 20))
X = _RNG.normal(CLASSES[:, None] * 3.0, 0.8, (60, 4))
X_NEW = _RNG.normal(np.repeat([0.0, 3.0, 6.0], 5)[:, None], 0.8, (15, 4))
Y = np.where(np.arange(60) % 3 > 0, CLASSES, -1)
NAMES = np.array(["ant", "bee", "cat"], dtype=object)
Y_NAMES = np.where(Y >= 0, NAMES[CLASSES], None)
GROUPS = np.empty(60, dtype=int)
GROUPS[np.argsort(CLASSES, kind="stable")] = np.arange(60) // 2
PARTITIONS = np.stack([np.random.default_rng(i).permutation(3)[CLASSES] for i in range(5)], axis=1)
CLUSTERS = [_RNG.integers(3, size=8) for _ in range(10)]
SETS = [_RNG.normal(size=(3, 2))[c] + _RNG.normal(0, 0.05, (8, 2)) for c in CLUSTERS]
KINDS = [clusters % 2 for clusters in CLUSTERS]
TEXTS = ["a red dog", "a blue cat", "red", "dog"] * 3
DEEP = {"hidden": (8,), "n_steps": 2, "batch_size": 20, "random_state": 0}


def deep(name, **parameters):
    import labelquorum.deep

    return getattr(labelquorum.deep, name)(**parameters)


def graph():
    return lq.affinity_graph(X, 5)


def consensus(**parameters):
    return lq.ConsensusClusterer(3, n_partitions=6, random_state=0, **parameters)


# Each estimator, and the positional arguments of its `fit`.
ESTIMATORS = {
    "ConsensusClusterer": (consensus, (X, Y)),
    "ConsensusClusterer, names": (consensus, (X, Y_NAMES)),
    "ConsensusClusterer, sparse": (consensus, (sparse.csr_array(X), Y)),
    "ConsensusClusterer, classifier": (
        lambda: consensus(classifier=LogisticRegression()),
        (X, Y),
    ),
    "KNNLabelPropagation": (lambda: lq.KNNLabelPropagation(random_state=0), (X, Y_NAMES)),
    "LabelModel": (lq.LabelModel, (PARTITIONS,)),
    "LabelSpreading": (lq.LabelSpreading, (X, Y)),
    "LabelPropagation": (lambda: lq.LabelPropagation(graph=graph()), (X, Y_NAMES)),
    "PoissonLearning": (lq.PoissonLearning, (X, Y)),
    "S3VM": (lq.S3VM, (X, Y)),
    "S3VM, rbf": (lambda: lq.S3VM("rbf", random_state=0), (X, Y_NAMES)),
    "KNeighborsTransformer": (lq.KNeighborsTransformer, (X,)),
    "NeighborSearcher": (lq.NeighborSearcher, (X,)),
    "PreClusteringSampler": (
        lambda: lq.PreClusteringSampler(20, audit_share=0.2, random_state=0),
        (X, Y),
    ),
    "RepresentativeSampler": (lambda: lq.RepresentativeSampler(5, random_state=0), (X,)),
    "PairwiseSetClusterer": (
        lambda: lq.PairwiseSetClusterer(
            LogisticRegression(), n_models=2, max_pairs=100, random_state=0
        ),
        (SETS, CLUSTERS, KINDS),
    ),
    "KeywordLabeler": (
        lambda: lq.text.KeywordLabeler({"dog": ["dog"], "red": ["red"]}),
        (TEXTS,),
    ),
    "TfidfEmbedder": (lq.text.TfidfEmbedder, (TEXTS,)),
}
DEEP_ESTIMATORS = {
    "SetClusterer": (
        lambda: deep(
            "SetClusterer",
            width=8,
            n_layers=1,
            n_heads=2,
            n_epochs=1,
            n_models=2,
            random_state=0,
        ),
        (SETS, CLUSTERS, KINDS),
    ),
    "Kingdra": (
        lambda: deep(
            "Kingdra",
            n_clusters=3,
            n_networks=2,
            n_rounds=1,
            n_first_steps=2,
            n_partitions=4,
            **DEEP,
        ),
        (X,),
    ),
    "LadderClassifier": (lambda: deep("LadderClassifier", **DEEP), (X, Y)),
    "LadderIM": (lambda: deep("LadderIM", n_clusters=3, n_partitions=4, **DEEP), (X,)),
    "ClusteringHeads": (lambda: deep("ClusteringHeads", n_clusters=3, n_heads=3, **DEEP), (X,)),
}
ALL = [*ESTIMATORS, *(pytest.param(name, marks=pytest.mark.deep) for name in DEEP_ESTIMATORS)]
CLASSIFIERS = [
    "KNNLabelPropagation",
    "LabelSpreading",
    "LabelPropagation",
    "PoissonLearning",
    "S3VM",
    "S3VM, rbf",
    "PreClusteringSampler",
    pytest.param("LadderClassifier", marks=pytest.mark.deep),
]
every_estimator = pytest.mark.parametrize("name", ALL)
every_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


def made(name):
    make, arguments = (ESTIMATORS | DEEP_ESTIMATORS)[name]
    return make(), arguments


@cache
def fitted(name):
    model, arguments = made(name)
    return model.fit(*arguments)


def new_samples(name):
    first = made(name)[1][0]
    if first is SETS or first is TEXTS or first is PARTITIONS:
        return first[:5]
    return sparse.csr_array(X_NEW) if sparse.issparse(first) else X_NEW


def results(model, name):
    """What all methods and attributes of a fitted model say, by their names."""
    new = new_samples(name)
    found = {}
    for method in ("predict", "predict_proba", "predict_affinity", "decision_function"):
        if hasattr(model, method):
            found[method] = getattr(model, method)(new)
    for method in ("transform", "partition", "report", "novelty", "encode"):
        # ConsensusClusterer.report writes a file.
        if hasattr(model, method) and not (method == "report" and hasattr(model, "novelty")):
            found[method] = getattr(model, method)(new)
    attributes = ("labels_", "pseudo_labels_", "label_origins_", "calibration_error_")
    for attribute in (*attributes, "transduction_", "indices_", "clusters_"):
        if hasattr(model, attribute):
            found[attribute] = getattr(model, attribute)
    if hasattr(model, "explain"):
        found |= {"explain": repr(model.explain(3)), "cut": model.cut(4)}
        found["novelty"] = found["novelty"].scores
    if hasattr(model, "propagate"):
        found["propagate"] = model.propagate(np.arange(len(model.indices_)))
    if isinstance(model, lq.NeighborSearcher):
        found["query"] = model.query(new)
    if hasattr(model, "score"):
        found["score"] = model.score(X, made(name)[1][1])
    if hasattr(model, "get_feature_names_out"):
        found["names"] = model.get_feature_names_out()
    return found


@cache
def direct(name):
    return results(fitted(name), name)


def assert_equal(found, expected):
    assert isinstance(found, type(expected))
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif sparse.issparse(expected):
        assert_equal(found.toarray(), expected.toarray())
    elif isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    else:
        np.testing.assert_array_equal(found, expected)
