"""Held-out samples stay held out, and each figure measures what its name says."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import labelquorum as lq
from labelquorum.quality.evaluation import _prediction_strength
from strategies import share

DIGITS, CLASSES = load_digits(return_X_y=True)
BLOBS, BLOB = make_blobs(300, centers=[[0, 0], [20, 0], [0, 20]], random_state=0)


def means(figures):
    return {name: values.mean() for name, values in figures.items()}


def test_figures_of_digits_are_in_the_known_ranges():
    result = lq.evaluate_clustering(KMeans(10, n_init=2), DIGITS, y=CLASSES, random_state=0)
    stability, truth = means(result.stability), means(result.truth)
    assert result.imitation["accuracy"].mean() > 0.9
    assert 0.6 < stability["ari"] < 0.9
    assert 0.7 < truth["accuracy"] < 0.86, "what k-means is known to reach"
    assert 0.7 < truth["clustering_accuracy"] < 0.86
    assert result.n_clusters.tolist() == [[10, 10]] * 5
    assert (result.coverage == 1).all()


def test_without_structure_only_the_imitation_looks_good():
    X = np.random.default_rng(0).random((1000, 8))
    y = np.random.default_rng(1).integers(4, size=1000)
    result = lq.evaluate_clustering(KMeans(4, n_init=2), X, y=y, random_state=0)
    assert result.imitation["accuracy"].mean() > 0.8
    assert result.stability["ari"].mean() < 0.5
    assert result.stability["prediction_strength"].mean() < 0.6
    assert abs(result.truth["accuracy"].mean() - 0.25) < 0.04


SEEN = []


class SpyClusterer(ClusterMixin, BaseEstimator):
    """Makes two clusters by the second feature, and records the first feature of its samples."""

    def fit(self, X, y=None):
        assert y is None
        SEEN.append(("clusterer", set(X[:, 0].astype(int).tolist())))
        self.labels_ = (X[:, 1] > 0).astype(int)
        return self


class SpyClassifier(ClassifierMixin, BaseEstimator):
    """Is never right, and records the first feature of its samples."""

    def fit(self, X, y):
        SEEN.append(("fit", set(X[:, 0].astype(int).tolist())))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        SEEN.append(("predict", set(X[:, 0].astype(int).tolist())))
        return 1 - (X[:, 1] > 0).astype(int)


def test_nothing_is_fitted_to_the_samples_it_is_judged_on():
    SEEN.clear()
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(100), rng.normal(size=100)])
    result = lq.evaluate_clustering(
        SpyClusterer(), X, classifier=SpyClassifier(), test_size=0.4, n_repeats=1, random_state=0
    )
    (_, train), (_, held), (_, taught), (_, kept), (_, all_taught), (_, judged) = SEEN
    assert [who for who, _ in SEEN] == ["clusterer"] * 2 + ["fit", "predict"] * 2
    assert not train & held
    assert train | held == set(range(100))
    assert (len(train), len(held)) == (60, 40)
    assert not taught & kept
    assert taught | kept == train == all_taught
    assert judged == held
    assert result.imitation["accuracy"].tolist() == [0]
    assert result.stability["ari"].tolist() == result.stability["accuracy"].tolist() == [1]
    assert result.truth is None


def test_names_of_clusters_come_from_the_training_part():
    """Names for many clusters could fit any few labels, if these were seen before."""
    rng = np.random.default_rng(0)
    y = np.full(1000, -1)
    y[:100] = rng.integers(2, size=100)
    result = lq.evaluate_clustering(
        KMeans(30, n_init=1), rng.random((1000, 5)), y=y, n_repeats=10, random_state=0
    )
    assert 0.35 < result.truth["accuracy"].mean() < 0.55, "chance, less clusters without a name"
    few = lq.evaluate_clustering(
        KMeans(6, n_init=2), BLOBS, y=np.array(list("abc"))[BLOB], random_state=0
    )
    assert few.truth["accuracy"].min() == 1, "two clusters may have one name"
    assert few.truth["clustering_accuracy"].max() < 1


def test_true_labels_may_be_few_and_have_names():
    y = np.array(["x", "y", "z"], dtype=object)[BLOB]
    y[30:] = None
    result = lq.evaluate_clustering(KMeans(3, n_init=2), BLOBS, y=y, random_state=0)
    assert result.truth["accuracy"].min() == 1
    assert result.truth["ari"].min() == 1


@share(0.5)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_prediction_strength_equals_the_count_of_pairs(pairs):
    clusters, predicted = np.array(pairs).T
    shares = []
    for cluster in set(clusters.tolist()):
        members = np.flatnonzero(clusters == cluster)
        together = [predicted[a] == predicted[b] for a in members for b in members if a != b]
        if together:
            shares.append(np.mean(together))
    expected = min(shares, default=1.0)
    assert _prediction_strength(clusters, predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    "clusterer",
    [
        AgglomerativeClustering(3),
        GaussianMixture(3, random_state=7),
        make_pipeline(StandardScaler(), KMeans(3, n_init=2)),
        DBSCAN(eps=2.0),
    ],
)
@pytest.mark.parametrize(
    "classifier", [None, DecisionTreeClassifier(), make_pipeline(LogisticRegression())]
)
def test_any_clusterer_and_any_classifier_work(clusterer, classifier):
    result = lq.evaluate_clustering(
        clusterer, BLOBS, classifier=classifier, n_repeats=2, random_state=0
    )
    assert result.stability["ari"].min() > 0.98
    assert result.imitation["accuracy"].min() > 0.95


def test_samples_without_a_cluster_do_not_count():
    noise = np.random.default_rng(0).uniform(30, 3000, size=(60, 2))
    X = np.concatenate([BLOBS, noise])
    result = lq.evaluate_clustering(DBSCAN(eps=3.0), X, random_state=0)
    assert result.stability["ari"].min() == 1
    assert result.imitation["accuracy"].min() == 1
    assert 0.7 < result.coverage.mean() < 0.95


def test_a_single_cluster_needs_no_classifier():
    result = lq.evaluate_clustering(
        DBSCAN(eps=1e6), BLOBS, y=BLOB, classifier=LogisticRegression(), random_state=0
    )
    assert result.imitation["accuracy"].min() == 1
    assert result.truth["ari"].max() == 0
    assert result.n_clusters.tolist() == [[1, 1]] * 5


def assert_same(one, other):
    for ours, theirs in zip(one[:3], other[:3], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_result_depends_only_on_the_random_state():
    def evaluate(seed, **options):
        return lq.evaluate_clustering(
            KMeans(10, n_init=1),
            DIGITS[:400],
            y=CLASSES[:400],
            classifier=DecisionTreeClassifier(),
            n_repeats=3,
            random_state=seed,
            **options,
        )

    first = evaluate(0)
    assert_same(evaluate(0), first)
    assert_same(evaluate(0, verbose=True), first)
    with joblib.parallel_config("threading"):
        assert_same(evaluate(0, n_jobs=2), first)
    assert (evaluate(1).stability["ari"] != first.stability["ari"]).any()
    assert len(set(first.stability["ari"].tolist())) == 3, "every split is another one"


def test_the_estimators_stay_as_they_are():
    clusterer, classifier = KMeans(3, n_init=1, random_state=5), DecisionTreeClassifier()
    lq.evaluate_clustering(clusterer, BLOBS, classifier=classifier, n_repeats=1)
    assert clusterer.random_state == 5
    assert not hasattr(clusterer, "labels_")
    assert not hasattr(classifier, "tree_")


@pytest.mark.parametrize("form", ["csr", "coo", "pandas", "polars", "list"])
def test_samples_may_come_in_any_form(form):
    expected = lq.evaluate_clustering(KMeans(3, n_init=1), BLOBS, n_repeats=2, random_state=0)
    if form in ("pandas", "polars"):
        X = pytest.importorskip(form).DataFrame({"a": BLOBS[:, 0], "b": BLOBS[:, 1]})
    elif form == "list":
        X = BLOBS.tolist()
    else:
        X = sparse.csr_array(BLOBS).asformat(form)
    result = lq.evaluate_clustering(KMeans(3, n_init=1), X, n_repeats=2, random_state=0)
    assert_same((*result[:2], {}), (*expected[:2], {}))


def test_it_prints_each_figure_with_its_meaning():
    result = lq.evaluate_clustering(KMeans(3, n_init=1), BLOBS, y=BLOB, n_repeats=2, random_state=0)
    text = repr(result)
    assert "Stability: classifier on the held-out part, against another clustering" in text
    assert "(not whether they are right)" in text
    assert "Truth: classifier on the held-out part, against the true labels there" in text
    assert "adjusted Rand index            1.000 (1.000 to 1.000)" in text
    assert "3/3, 3/3; 100% of the samples are in one" in text
    assert "Truth" not in repr(result._replace(truth=None))


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "n_repeats must be an integer of at least 1, got 0", {"n_repeats": 0}),
        (ValueError, "test_size", {"test_size": 1.5}),
        (ValueError, "y must have 300 values, one per sample, got 2", {"y": [0, 1]}),
        (ValueError, "y must hold at least one label", {"y": [-1] * 300}),
        (
            ValueError,
            "y must hold a label in .* got none: give more labels",
            {"y": [0] + [-1] * 299},
        ),
        (
            ValueError,
            "clusterer must put at least 2 samples of a training part in a cluster, got 0 of 150",
            {"clusterer": DBSCAN(eps=1e-9)},
        ),
        (
            TypeError,
            r"clusterer must be an estimator with fit_predict, got StandardScaler\(\)",
            {"clusterer": StandardScaler()},
        ),
        (
            TypeError,
            "classifier must be an estimator with predict, got <class .*KMeans",
            {"classifier": KMeans},
        ),
    ],
)
def test_wrong_arguments_are_named(error, message, options):
    options = {"clusterer": KMeans(3, n_init=1), "X": BLOBS, "random_state": 0, **options}
    with pytest.raises(error, match=message):
        lq.evaluate_clustering(options.pop("clusterer"), options.pop("X"), **options)
