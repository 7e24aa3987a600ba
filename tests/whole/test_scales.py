"""Values of any scale, and a single huge one: the same results, or an error that says why not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq

N = 150
X, CLASSES = make_blobs(N, 4, centers=3, cluster_std=0.4, random_state=3)
Y = np.full(N, -1)
Y[[np.flatnonzero(c == CLASSES)[:4] for c in range(3)]] = np.arange(3)[:, None]
UNLABELED = int(np.flatnonzero(Y < 0)[0])

FITS = {
    "ConsensusClusterer": lambda X: (
        lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X).labels_
    ),
    "ConsensusClusterer with labels": lambda X: (
        lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X, Y).labels_
    ),
    "ConsensusClusterer, predicted": lambda X: (
        lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X).predict(X)
    ),
    "LabelSpreading": lambda X: lq.LabelSpreading().fit(X, Y).transduction_,
    "LabelPropagation": lambda X: lq.LabelPropagation().fit(X, Y).transduction_,
    "PoissonLearning": lambda X: lq.PoissonLearning().fit(X, Y).transduction_,
    "KNNLabelPropagation": lambda X: lq.KNNLabelPropagation(random_state=0).fit(X, Y).transduction_,
    "PreClusteringSampler": lambda X: lq.PreClusteringSampler(random_state=0).fit(X, Y).predict(X),
    "RepresentativeSampler": lambda X: lq.RepresentativeSampler(3, random_state=0).fit(X).clusters_,
    "S3VM": lambda X: lq.S3VM().fit(X, Y).transduction_,
    "S3VM, rbf": lambda X: lq.S3VM("rbf", random_state=0).fit(X, Y).transduction_,
    "KNeighborsTransformer": lambda X: (
        lq.LabelSpreading(graph=lq.affinity_graph(lq.KNeighborsTransformer(8).fit_transform(X)))
        .fit(None, Y)
        .transduction_
    ),
}
SCALES = [1e-310, 1e-200, 1e-30, 1e30, 1e100, 1e148]


REFUSED = [("S3VM", 1e-310), ("S3VM", 1e-200), ("S3VM", 1e-30)]
REFUSED += [("S3VM, rbf", 1e-310), ("S3VM, rbf", 1e-200)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FITS)
def test_labels_do_not_depend_on_the_scale(name, scale):
    if (name, scale) in REFUSED:
        with pytest.raises(ValueError, match=r"X must vary by .* multiply it by a constant"):
            FITS[name](X * scale)
        return
    assert lq.clustering_accuracy(CLASSES, FITS[name](X * scale)) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-120, -60, 60, 100])
def test_powers_of_two_change_no_label(exponent, dtype):
    scaled = np.ldexp(X, exponent).astype(dtype)
    plain = FITS["ConsensusClusterer"](X.astype(dtype))
    np.testing.assert_array_equal(FITS["ConsensusClusterer"](scaled), plain)


@pytest.mark.parametrize("value", [1e6, 1e10, 1e30, -1e10])
@pytest.mark.parametrize("name", [name for name in FITS if name != "RepresentativeSampler"])
def test_one_huge_value_changes_no_other_sample(name, value):
    huge = X.copy()
    huge[UNLABELED, 2] = value
    labels = FITS[name](huge)
    others = np.arange(N) != UNLABELED
    assert lq.clustering_accuracy(CLASSES[others], labels[others]) > 0.95


@pytest.mark.parametrize("offset", [1e6, 1e9])
@pytest.mark.parametrize("name", FITS)
def test_an_offset_changes_no_label(name, offset):
    assert lq.clustering_accuracy(CLASSES, FITS[name](X + offset)) == 1


@pytest.mark.parametrize("scale", [1e200, 1e300])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_values_whose_squares_overflow_are_refused(fit, scale):
    with pytest.raises(ValueError, match=r"X must be at most 1e.?150 in magnitude"):
        fit(X * scale)


def test_samples_that_float32_would_make_equal_are_told_apart():
    rng = np.random.default_rng(0)
    centers = [[5, 0], [5 + 1e-9, 0], [-5, 0], [-5 + 1e-9, 0]]
    near = np.concatenate([rng.normal(center, 1e-11, size=(40, 2)) for center in centers])
    classes = np.repeat(range(4), 40)
    y = np.where(np.arange(160) % 10 == 0, classes, -1)
    np.testing.assert_array_equal(lq.LabelSpreading().fit(near, y).transduction_, classes)
    features = lq.ConsensusClusterer(4, n_partitions=4, random_state=0).fit(near).outcome_.features
    indices = lq.kneighbors(features, 20)[1]
    assert (classes[indices] == classes[:, None]).all()


@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "cosine"])
@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1e-100, 1e100, 1e145])
def test_neighbors_do_not_depend_on_the_scale(scale, metric):
    # Powers of two, so that products of values are exact.
    points = np.random.default_rng(0).integers(-9, 10, size=(60, 3)).astype(float)
    factor = 2.0 ** int(np.log2(scale))
    distances, indices = lq.kneighbors(points, 5, metric=metric)
    scaled, same = lq.kneighbors(points * factor, 5, metric=metric)
    np.testing.assert_array_equal(same, indices)
    back = {"euclidean": factor, "inner_product": factor * factor, "cosine": 1.0}[metric]
    np.testing.assert_allclose(scaled, distances * back, rtol=1e-12)
    of_queries = lq.kneighbors(points * factor, 5, metric=metric, Y=points[:9] * factor)[1]
    np.testing.assert_array_equal(
        of_queries, lq.kneighbors(points, 5, metric=metric, Y=points[:9])[1]
    )
