"""Correlation clustering against exhaustive search, the pivot algorithm and average linkage."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

import labelquorum as lq
from strategies import share


def random_weights(rng, n, share=1.0, scale=1.0, shift=0.0):
    weights = np.triu(rng.normal(shift, scale, size=(n, n)), 1)
    weights[rng.random((n, n)) > share] = 0
    return weights + weights.T


def planted_weights(rng, n, k, noise):
    classes = rng.integers(k, size=n)
    weights = np.where(classes[:, None] == classes, 1.0, -1.0)
    noisy = np.triu(weights + noise * rng.normal(size=(n, n)), 1)
    return noisy + noisy.T, classes


def within(weights, labels):
    together = np.triu(labels[:, None] == labels, 1)
    return weights[together].sum()


def partitions_of(n):
    """Yield all partitions of n items, as labels."""

    def extended(labels, n_labels):
        if len(labels) == n:
            yield np.array(labels)
            return
        for label in range(n_labels + 1):
            yield from extended([*labels, label], max(n_labels, label + 1))

    return extended([], 0)


def allows(labels, groups):
    if groups is None:
        return True
    for label in np.unique(labels):
        named = groups[(labels == label) & (groups >= 0)]
        if len(np.unique(named)) > 1:
            return False
    return True


def best_of_pivots(weights, rng, n_runs=50):
    """KwikCluster (Ailon, Charikar and Newman, JACM 55, 2008), the best of several runs."""
    best = -np.inf
    for _ in range(n_runs):
        labels = np.full(len(weights), -1)
        for node in rng.permutation(len(weights)):
            if labels[node] < 0:
                labels[(labels < 0) & (weights[node] > 0)] = node
                labels[node] = node
        best = max(best, within(weights, labels))
    return best


def best_of_average_linkage(weights):
    distances = squareform(weights.max() - weights, checks=False)
    tree = linkage(distances, "average")
    return max(within(weights, fcluster(tree, k, "maxclust")) for k in range(1, len(weights) + 1))


@share(0.5)
@given(
    st.integers(1, 7),
    st.sampled_from([0.3, 1.0]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_never_above_the_optimum_and_nearly_always_there(n, share, with_groups, is_sparse, seed):
    rng = np.random.default_rng(seed)
    weights = random_weights(rng, n, share)
    groups = rng.integers(-1, 2, size=n) if with_groups else None
    given_weights = scipy.sparse.csr_array(weights) if is_sparse else weights
    labels = lq.correlation_clustering(given_weights, groups=groups)
    assert allows(labels, groups)
    assert labels[0] == 0
    assert sorted(set(labels)) == list(range(labels.max() + 1))
    optimum = max(within(weights, p) for p in partitions_of(n) if allows(p, groups))
    found = within(weights, labels)
    assert found <= optimum + 1e-9
    assert found >= 0.9 * optimum - 1e-9  # in the mean far nearer: see below


def test_within_half_a_percent_of_the_optimum():
    rng = np.random.default_rng(0)
    found = best = 0.0
    for _ in range(40):
        n = int(rng.integers(3, 9))
        weights = random_weights(rng, n, rng.choice([0.5, 1.0]))
        found += within(weights, lq.correlation_clustering(weights))
        best += max(within(weights, p) for p in partitions_of(n))
    assert found >= 0.995 * best


@pytest.mark.slow
def test_never_worse_than_pivots_or_average_linkage():
    rng = np.random.default_rng(1)
    for draw in range(60):
        n = int(rng.integers(5, 60))
        if draw % 4:
            weights = random_weights(rng, n, rng.choice([0.2, 1.0]), shift=rng.uniform(-0.5, 0.3))
        else:
            weights, _ = planted_weights(rng, n, int(rng.integers(2, 8)), rng.uniform(0.5, 3))
        found = within(weights, lq.correlation_clustering(weights))
        assert found >= best_of_pivots(weights, rng) - 1e-9
        assert found >= best_of_average_linkage(weights) - 1e-9


@pytest.mark.parametrize("form", ["float32", "float64", "csr", "csr of int64", "coo of float32"])
def test_planted_clusters_are_found_in_any_form(form):
    weights, classes = planted_weights(np.random.default_rng(2), 200, 6, 1.0)
    if form == "csr":
        weights = scipy.sparse.csr_array(weights)
    elif form == "csr of int64":
        weights = scipy.sparse.csr_array(weights)
        weights.indptr, weights.indices = (
            a.astype(np.int64) for a in (weights.indptr, weights.indices)
        )
    elif form == "coo of float32":
        weights = scipy.sparse.coo_array(weights.astype(np.float32))
    else:
        weights = weights.astype(form)
    labels = lq.correlation_clustering(weights)
    assert lq.clustering_accuracy(classes, labels) == 1


@pytest.mark.parametrize("with_groups", [False, True])
def test_problems_solved_together_are_solved_as_alone(with_groups):
    rng = np.random.default_rng(3)
    problems = [random_weights(rng, n) for n in (1, 12, 3, 30, 2)]
    groups = [rng.integers(-1, 3, size=len(p)) for p in problems] if with_groups else None
    together = lq.correlation_clustering(problems, groups=groups)
    for i, weights in enumerate(problems):
        alone = lq.correlation_clustering(weights, groups=None if groups is None else groups[i])
        assert together[i].dtype == np.int32
        np.testing.assert_array_equal(together[i], alone)
        assert together[i][0] == 0
        if with_groups:
            assert allows(together[i], groups[i])


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_the_result_does_not_depend_on_threads(n_jobs):
    rng = np.random.default_rng(4)
    problems = [random_weights(rng, 25) for _ in range(20)]
    expected = lq.correlation_clustering(problems, n_jobs=1)
    for a, b in zip(lq.correlation_clustering(problems, n_jobs=n_jobs), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_many_nodes():
    rng = np.random.default_rng(5)
    n = 20_000
    classes = rng.integers(500, size=n)
    rows, columns = rng.integers(n, size=(2, 300_000))
    near = np.flatnonzero(rng.random(300_000) < 0.5)  # half of the edges within classes
    order = np.argsort(classes, kind="stable")
    places = np.empty(n, dtype=np.int64)
    places[order] = np.arange(n)
    columns[near] = order[(places[rows[near]] + rng.integers(1, 10, size=len(near))) % n]
    values = np.where(classes[rows] == classes[columns], 1.0, -1.0) + rng.normal(size=300_000) / 2
    graph = scipy.sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()
    graph = scipy.sparse.csr_array(graph + graph.T)
    labels = lq.correlation_clustering(graph)
    total = graph.tocoo()
    found = total.data[labels[total.coords[0]] == labels[total.coords[1]]].sum()
    planted = total.data[classes[total.coords[0]] == classes[total.coords[1]]].sum()
    assert found >= planted


def test_edge_cases():
    assert lq.correlation_clustering([[0.0]]).tolist() == [0]
    assert lq.correlation_clustering(np.zeros((3, 3))).tolist() == [0, 1, 2]
    assert lq.correlation_clustering(scipy.sparse.csr_array((4, 4))).tolist() == [0, 1, 2, 3]
    assert lq.correlation_clustering(np.ones((4, 4))).tolist() == [0, 0, 0, 0]
    assert lq.correlation_clustering(-np.ones((3, 3))).tolist() == [0, 1, 2]
    names = ["cat", None, "dog", "cat"]
    assert lq.correlation_clustering(np.ones((4, 4)), groups=names).tolist() == [0, 0, 1, 0]
    assert lq.correlation_clustering(np.full((3, 3), True)).tolist() == [0, 0, 0]
    huge = np.full((3, 3), 1e300)
    assert lq.correlation_clustering(huge).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "settings", "error", "message"),
    [
        (np.ones((2, 3)), {}, ValueError, r"weights must be.* got shape \(2, 3\)"),
        (np.array([["a"]]), {}, TypeError, "weights must hold numbers, got dtype <U1"),
        (
            [[0, 1], [2, 0]],
            {},
            ValueError,
            "weights must be.* got 1 at row 0, column 1, but 2 at row 1, column 0",
        ),
        (
            [[0, np.nan], [np.nan, 0]],
            {},
            ValueError,
            "weights must hold numbers, got NaN at row 0, column 1",
        ),
        (
            [[0, np.inf], [np.inf, 0]],
            {"groups": [0, 1]},
            ValueError,
            "weights must not say both.* got inf, which puts nodes 0 and 1",
        ),
        (
            scipy.sparse.csr_array([[0, 1.0], [0, 0]]),
            {},
            ValueError,
            "weights must be.* got 1 at row 0, column 1, but 0 at row 1, column 0",
        ),
        (scipy.sparse.csr_array([[0, np.nan], [1, 0]]), {}, ValueError, "NaN at row 0, column 1"),
        (np.ones((2, 2)), {"groups": [0]}, ValueError, "groups must have.* got 1"),
        ([np.ones((2, 2))], {"groups": [[0], [1]]}, ValueError, "groups must hold.* got 2"),
        ([np.ones((2, 2))], {"groups": [[0]]}, ValueError, r"groups\[0\] must have.* got 1"),
        ([np.ones((2, 2)), np.ones(2)], {}, ValueError, r"weights\[1\] must be.* got shape \(2,\)"),
        (np.ones((2, 2)), {"n_jobs": 0}, ValueError, "n_jobs must be.* got 0"),
    ],
)
def test_bad_input_is_named(weights, settings, error, message):
    with pytest.raises(error, match=message):
        lq.correlation_clustering(weights, **settings)


# The diagonal, weights that decide alone, and rounding


FORMS = {
    "dense": lambda weights: weights,
    "float32": lambda weights: weights.astype(np.float32),
    "csr": scipy.sparse.csr_array,
    "coo": scipy.sparse.coo_array,
    "list": lambda weights: [weights],
}


def solved(weights, form, **settings):
    if form == "list" and "groups" in settings:
        settings["groups"] = [settings["groups"]]
    with np.errstate(invalid="raise"):
        labels = lq.correlation_clustering(FORMS[form](weights), **settings)
    return labels[0] if form == "list" else labels


def symmetric(rng, n, values, shares):
    weights = np.triu(rng.choice(values, size=(n, n), p=shares), 1)
    return np.where(np.tri(n, k=-1) > 0, weights.T, weights)


def obeys(weights, labels):
    same = labels[:, None] == labels
    return not (np.isneginf(weights) & same).any() and not (np.isposinf(weights) & ~same).any()


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("held", [np.inf, -np.inf, np.nan, 1e30, -5])
def test_the_diagonal_does_not_count(form, held):
    weights = random_weights(np.random.default_rng(0), 12)
    expected = solved(weights, form)
    np.fill_diagonal(weights, held)
    before = weights.copy()
    np.testing.assert_array_equal(solved(weights, form), expected)
    np.testing.assert_array_equal(weights, before)


def test_log_odds_of_affinities_are_taken_as_they_are():
    p = np.array([[1, 0.9, 0.2, 0.4], [0.9, 1, 0.6, 0], [0.2, 0.6, 1, 0.8], [0.4, 0, 0.8, 1]])
    with np.errstate(divide="ignore"):
        weights = np.log(p / (1 - p))
    for form in FORMS:
        assert solved(weights, form).tolist() == [0, 0, 1, 1]


@share(0.4)
@given(
    st.integers(1, 7),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.booleans(),
    st.sampled_from(list(FORMS)),
    st.integers(0, 2**32 - 1),
)
def test_infinite_weights_decide_alone(n, always, never, with_groups, form, seed):
    rng = np.random.default_rng(seed)
    finite = (1 - always - never) / 6
    weights = symmetric(
        rng, n, [np.inf, -np.inf, -2, -1, 0, 1, 2, 3], [always, never, *[finite] * 6]
    )
    groups = rng.integers(-1, 2, size=n) if with_groups else None
    allowed = [p for p in partitions_of(n) if allows(p, groups) and obeys(weights, p)]
    settings = {} if groups is None else {"groups": groups}
    np.fill_diagonal(weights, rng.choice([0, np.inf, np.nan]))
    if not allowed:
        with pytest.raises(ValueError, match="weights must not say both always and never"):
            solved(weights, form, **settings)
        return
    labels = solved(weights, form, **settings)
    off_diagonal = np.where(np.eye(n) > 0, 0, weights)
    assert allows(labels, groups)
    assert obeys(np.where(np.eye(n) > 0, 0, weights), labels)
    assert labels[0] == 0
    assert sorted(set(labels)) == list(range(labels.max() + 1))
    finite_weights = np.where(np.isfinite(off_diagonal), off_diagonal, 0)
    optimum = max(within(finite_weights, p) for p in allowed)
    assert within(finite_weights, labels) >= optimum - 0.25 * abs(optimum) - 1e-9


def test_many_nodes_of_which_some_are_never_together():
    rng = np.random.default_rng(1)
    weights, classes = planted_weights(rng, 200, 6, 0.5)
    apart = np.triu((classes[:, None] != classes) & (rng.random((200, 200)) < 0.3))
    weights[apart | apart.T] = -np.inf
    within_class = np.flatnonzero(classes == classes[0])[:9]
    weights[np.ix_(within_class, within_class)] = np.inf
    for form in FORMS:
        assert lq.clustering_accuracy(classes, solved(weights, form)) == 1


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("noise", [1e-16, 1e-12, 1e-7])
def test_rounding_may_differ_between_the_triangles(form, noise):
    rng = np.random.default_rng(2)
    weights, classes = planted_weights(rng, 60, 4, 0.3)
    weights -= weights.mean()
    off = weights + noise * rng.normal(size=weights.shape)
    assert lq.clustering_accuracy(classes, solved(off, form)) == 1
    np.testing.assert_array_equal(solved(off, form), solved(off.T.copy(), form))


def test_a_similarity_of_float32_less_a_threshold():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 64)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    similarity = np.stack([[np.dot(a, b) for b in X] for a in X]) + np.float32(1e-8) * rng.random(
        (50, 50), dtype=np.float32
    )
    threshold = np.float32(np.median(similarity))
    assert len(solved(similarity - threshold, "dense")) == 50


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(
    ("first", "second"), [(1, 1.01), (1, 0), (0, -1), (np.inf, 3), (2, -np.inf), (np.inf, -np.inf)]
)
def test_two_weights_of_a_pair_that_differ_are_named(form, first, second):
    weights = random_weights(np.random.default_rng(4), 8)
    weights[2, 5], weights[5, 2] = first, second
    with pytest.raises(
        ValueError, match=r"must be symmetric, got \S+ at row \d, column \d, but \S+ at row \d"
    ):
        solved(weights, form)


@pytest.mark.parametrize("form", list(FORMS))
def test_nan_is_named(form):
    weights = random_weights(np.random.default_rng(5), 8)
    weights[2, 5] = np.nan
    with pytest.raises(
        ValueError, match="must hold numbers, got NaN at row 2, column 5: use 0 where nothing"
    ):
        solved(weights, form)


@pytest.mark.parametrize("form", list(FORMS))
def test_always_and_never_is_refused_with_the_nodes(form):
    weights = np.zeros((4, 4))
    for i, j, weight in [(0, 1, np.inf), (1, 2, np.inf), (0, 2, -np.inf)]:
        weights[i, j] = weights[j, i] = weight
    with pytest.raises(ValueError, match="puts nodes 0 and 2 into one cluster, but -inf keeps"):
        solved(weights, form)
    weights[0, 2] = weights[2, 0] = 0
    with pytest.raises(ValueError, match="puts nodes 0 and 2 into one cluster, but their groups"):
        solved(weights, form, groups=["a", None, "b", None])
    assert solved(weights, form, groups=["a", None, "a", "b"]).tolist() == [0, 0, 0, 1]
