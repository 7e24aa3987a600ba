"""KNeighborsTransformer can replace scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import DBSCAN, SpectralClustering
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import TSNE, Isomap
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neighbors import KNeighborsTransformer as Theirs
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq


@parametrize_with_checks(
    [
        lq.KNeighborsTransformer(),
        lq.KNeighborsTransformer(mode="connectivity"),
        lq.KNeighborsTransformer(metric="cosine", recall=0.9, random_state=0),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    X, y = make_blobs(300, n_features=5, centers=4, random_state=0)
    return X[:250], y[:250], X[250:], y[250:]


def assert_same_graph(ours, theirs):
    assert type(ours) is type(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    for name in ("indptr", "indices"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 5, 249])
def test_graphs_equal_scikit_learns(data, mode, metric, k):
    X, _, new, _ = data
    ours = lq.KNeighborsTransformer(k, mode=mode, metric=metric)
    theirs = Theirs(n_neighbors=k, mode=mode, metric=metric, algorithm="brute")
    # In scikit-learn's graph, rounding moves a sample away from itself.
    kept, expected = ours.fit_transform(X), theirs.fit_transform(X)
    np.testing.assert_array_equal(kept.indices, expected.indices)
    np.testing.assert_allclose(kept.data, expected.data, rtol=1e-9, atol=1e-7)
    assert_same_graph(ours.transform(new), theirs.transform(new))
    assert ours.transform(new).shape == (50, 250)


def test_each_sample_comes_first_in_its_row_even_among_duplicates():
    X = np.repeat(np.random.default_rng(0).normal(size=(5, 3)), 8, axis=0)
    X = np.vstack([X, np.zeros((3, 3))])
    for metric in ("euclidean", "cosine"):
        graph = lq.KNeighborsTransformer(4, metric=metric).fit_transform(X)
        rows = graph.indices.reshape(43, 5)
        np.testing.assert_array_equal(rows[:, 0], np.arange(43))
        assert (graph.data.reshape(43, 5)[:, 0] == 0).all()
        assert (np.diff(graph.data.reshape(43, 5), axis=1) >= 0).all()
        assert all(len(set(row)) == 5 for row in rows.tolist())
        assert graph.nnz == 43 * 5  # zeros are kept


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_fit_and_transform_equal_fit_transform(data, dtype):
    X = data[0].astype(dtype)
    for mode in ("distance", "connectivity"):
        transformer = lq.KNeighborsTransformer(6, mode=mode)
        graph = transformer.fit_transform(X)
        again = transformer.transform(X)
        for name in ("indices", "data"):
            np.testing.assert_array_equal(getattr(graph, name), getattr(again, name))


def pipelines(graph_of):
    return {
        "dbscan": make_pipeline(graph_of(20), DBSCAN(eps=1.5, metric="precomputed")),
        "isomap": make_pipeline(graph_of(30), Isomap(n_neighbors=30, metric="precomputed")),
        "tsne": make_pipeline(
            graph_of(30),
            TSNE(perplexity=9, metric="precomputed", init="random", max_iter=250, random_state=0),
        ),
        "spectral": make_pipeline(
            graph_of(10),
            SpectralClustering(
                4, affinity="precomputed_nearest_neighbors", n_neighbors=10, random_state=0
            ),
        ),
    }


@pytest.mark.filterwarnings("ignore:The number of connected components:UserWarning")
@pytest.mark.filterwarnings("ignore:Graph is not fully connected:UserWarning")
@pytest.mark.parametrize("name", ["dbscan", "isomap", "tsne", "spectral"])
def test_pipelines_give_what_they_give_with_scikit_learns(name):
    rng = np.random.default_rng(0)
    X = load_digits().data[:300]
    X = X + rng.normal(scale=0.1, size=X.shape)  # without ties
    ours = pipelines(lq.KNeighborsTransformer)[name]
    theirs = pipelines(lambda k: Theirs(n_neighbors=k, algorithm="brute"))[name]
    if name in ("dbscan", "spectral"):
        np.testing.assert_array_equal(ours.fit_predict(X), theirs.fit_predict(X))
    elif name == "tsne":  # which turns rounding into other pictures, as good
        ours.fit(X)
        theirs.fit(X)
        assert ours[-1].kl_divergence_ == pytest.approx(theirs[-1].kl_divergence_, rel=0.05)
    else:
        for new in (X, X[:9] + 0.1):
            np.testing.assert_allclose(
                np.abs(ours.fit(X).transform(new)),
                np.abs(theirs.fit(X).transform(new)),
                rtol=1e-5,
                atol=1e-5,
            )


def test_a_pipeline_predicts_for_new_samples(data):
    X, y, new, _ = data
    model = make_pipeline(
        lq.KNeighborsTransformer(7), KNeighborsClassifier(7, metric="precomputed")
    )
    direct = KNeighborsClassifier(7).fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).predict(new), direct.predict(new))


def test_feature_names_and_output_names(data):
    pandas = pytest.importorskip("pandas")
    X = data[0][:20]
    frame = pandas.DataFrame(X, columns=list("abcde"))
    transformer = lq.KNeighborsTransformer(3).fit(frame)
    assert transformer.feature_names_in_.tolist() == list("abcde")
    assert transformer.get_feature_names_out()[0] == "kneighborstransformer0"
    assert len(transformer.get_feature_names_out()) == 20
    with pytest.raises(ValueError, match="feature names"):
        transformer.transform(frame[list("edcba")])


def test_a_clone_is_unfitted_and_equal():
    transformer = lq.KNeighborsTransformer(3, mode="connectivity", recall=0.9)
    assert clone(transformer).get_params() == transformer.get_params()


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "n_neighbors must be at most 3 in the mode 'distance'", {"n_neighbors": 4}),
        (
            ValueError,
            "n_neighbors must be at most 4 in",
            {"n_neighbors": 5, "mode": "connectivity"},
        ),
        (ValueError, "n_neighbors must be an integer of at least 1, got 0", {"n_neighbors": 0}),
        (TypeError, "n_neighbors must be an integer of at least 1", {"n_neighbors": 1.5}),
        (ValueError, "mode must be 'distance' or 'connectivity', got 'union'", {"mode": "union"}),
        (ValueError, "metric must be 'euclidean' or 'cosine'", {"metric": "inner_product"}),
        (ValueError, "recall must be a number in (0, 1], got 2", {"recall": 2}),
        (TypeError, "n_jobs must be None, -1 (all available cores) or an", {"n_jobs": "all"}),
    ],
)
def test_bad_parameters_are_named(error, message, arguments):
    X = np.arange(8.0).reshape(4, 2)
    transformer = lq.KNeighborsTransformer(**{"n_neighbors": 2, **arguments})
    with pytest.raises(error) as caught:
        transformer.fit_transform(X)
    assert message in str(caught.value)


def test_bad_samples_are_named():
    transformer = lq.KNeighborsTransformer(1)
    with pytest.raises(ValueError, match="X must be finite, got NaN at row 1, column 0"):
        transformer.fit([[1.0], [np.nan]])
    with pytest.raises(TypeError, match="X must be a plain array of numbers, got a masked array"):
        transformer.fit(np.ma.zeros((4, 2)))
    transformer.fit([[1.0], [2.0]])
    with pytest.raises(ValueError, match="X must be finite, got infinity at row 0, column 0"):
        transformer.transform([[np.inf]])
