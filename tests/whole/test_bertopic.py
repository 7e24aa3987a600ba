"""ConsensusClusterer where BERTopic wants its `hdbscan_model`: with BERTopic, and by its calls.

What BERTopic (0.17) asks of a model that is not HDBSCAN: `fit(X, y=y)`, again without y where that
raises a TypeError; then `labels_` (integers, -1 for none), `probabilities_` where there are any,
and `predict` of new samples. X is what its `umap_model` returns.
"""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA

import labelquorum as lq

WORDS = ["invoice refund", "password login", "parcel delivery", "holiday request", "broken screen"]


@pytest.fixture(scope="module")
def sample():
    """Embeddings, documents that say their class, classes, and known labels of two classes."""
    X, classes = make_blobs(400, 12, centers=len(WORDS), cluster_std=0.7, random_state=0)
    rng = np.random.default_rng(0)
    documents = [
        f"{WORDS[k]} number{i} {WORDS[k].split()[rng.integers(2)]}" for i, k in enumerate(classes)
    ]
    y = np.where((classes < 2) & (np.arange(400) % 10 == 0), 10 + 7 * classes, -1)
    return X.astype(np.float32), documents, classes, y


def clusterer():
    return lq.ConsensusClusterer(len(WORDS), n_partitions=8, random_state=0)


@pytest.mark.parametrize("kind", [list, np.array])
def test_the_calls_that_bertopic_makes(sample, kind):
    X, _, classes, y = sample
    reduced = np.nan_to_num(PCA(5, random_state=0).fit_transform(X, y=kind(y)))
    model = clusterer()
    model.fit(reduced, y=kind(y))
    assert np.asarray(model.labels_).dtype.kind == "i"
    np.testing.assert_array_equal(model.labels_[y >= 0], y[y >= 0])
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    assert model.probabilities_.shape == (len(X),)
    found = model.predict(reduced[:7].astype(np.float64))
    np.testing.assert_array_equal(found, model.labels_[:7])
    copy = pickle.loads(pickle.dumps(model))  # BERTopic.save
    np.testing.assert_array_equal(copy.predict(reduced[:7]), found)


def test_without_y_it_finds_all_categories_itself(sample):
    X, _, classes, _ = sample
    model = clusterer()
    model.fit(X, y=None)
    assert lq.clustering_accuracy(classes, model.labels_) == 1


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_with_bertopic_itself(sample, known):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        bertopic = pytest.importorskip("bertopic")
    X, documents, classes, y = sample
    model = clusterer()
    topics = bertopic.BERTopic(
        hdbscan_model=model,
        umap_model=PCA(5, random_state=0),
        embedding_model=None,
        min_topic_size=5,
    )
    found, probabilities = topics.fit_transform(documents, X, y=y if known else None)
    np.testing.assert_array_equal(probabilities, model.probabilities_)
    assert lq.clustering_accuracy(classes, np.array(found)) == 1
    if known:
        np.testing.assert_array_equal(model.labels_[classes == 0], 10)
        np.testing.assert_array_equal(model.labels_[classes == 1], 17)
        # BERTopic numbers topics by size; it says which is which.
        number = topics.topic_mapper_.get_mappings()
        for name in (10, 17):
            assert {found[i] for i in np.flatnonzero(y == name)} == {number[name]}
    for k, words in enumerate(WORDS):
        topic = found[np.flatnonzero(classes == k)[0]]
        assert {word for word, _ in topics.get_topic(topic)[:2]} == set(words.split())
    again, _ = topics.transform(documents[:20], X[:20])
    np.testing.assert_array_equal(again, found[:20])
