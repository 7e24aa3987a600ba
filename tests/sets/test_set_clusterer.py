"""Clustering of sets learned from examples: pairs alone, and networks that look at whole sets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import labelquorum as lq
from labelquorum.sets import base as _sets
from labelquorum.sets import pairwise as set_clusterer
from strategies import share

PLACES = np.array([[-2, -2], [-2, 0], [-2, 2], [2, -2], [2, 0], [2, 2]])
KINDS = np.array(["cat", "cat", "cat", "dog", "dog", "dog"])


def blobs(n_sets, seed, n_items=12):
    """Items near six places, those of one place a cluster; three places are cats', three dogs'."""
    rng = np.random.default_rng(seed)
    clusters = [rng.integers(6, size=n_items) for _ in range(n_sets)]
    sets = [PLACES[of] + 0.2 * rng.normal(size=(n_items, 2)) for of in clusters]
    return sets, clusters, [KINDS[of] for of in clusters]


def context(n_sets, seed, n_items=8):
    """Which of two features tells the clusters, a third feature of the first item says."""
    rng = np.random.default_rng(seed)
    sets, clusters = [], []
    for _ in range(n_sets):
        items = rng.integers(2, size=(n_items, 3)).astype(float)
        which = rng.integers(2)
        items[:, 2] = 0
        items[0, 2] = 2 * which - 1
        sets.append(items)
        clusters.append(items[:, which].astype(int))
    return sets, clusters


def pairwise(**settings):
    return lq.PairwiseSetClusterer(
        **{"classifier": LogisticRegression(), "n_models": 2, "random_state": 0} | settings
    )


def network(**settings):
    small = {"width": 16, "n_epochs": 8, "batch_size": 60, "learning_rate": 0.005}
    small |= {"n_models": 1, "random_state": 0}
    return lq.SetClusterer(**small | settings)


NETWORK = pytest.param(network, marks=pytest.mark.deep)
MODELS = pytest.mark.parametrize("make", [pairwise, NETWORK])


@pytest.fixture(scope="module")
def fitted():
    """Fitted models by their function; each is made once."""
    made = {}

    def of(make):
        if make not in made:
            made[make] = make().fit(*blobs(30, 0))
        return made[make]

    return of


def b_cubed(model, sets, clusters, **more):
    found = model.predict(sets, **more).clusters
    return lq.evaluate_sets(clusters, found).scores["b_cubed"].f1


def same_clusters(a, b):
    return lq.set_scores(a, b)["pairwise"].f1 == 1


@given(st.integers(1, 12), st.integers(1, 30))
@share(0.5)
def test_blocks_hold_all_pairs_in_order(n, n_pairs):
    blocks = list(_sets.pair_blocks(n, n_pairs))
    first, second = np.triu_indices(n, 1)
    found = [np.concatenate(of) for of in zip(*(block[1:] for block in blocks), strict=True)]
    if n == 1:
        assert not blocks
        return
    np.testing.assert_array_equal(found, [first, second])
    np.testing.assert_array_equal(_sets.places_of(first, second, n), np.arange(len(first)))
    places = np.concatenate([np.arange(len(first))[block[0]] for block in blocks])
    np.testing.assert_array_equal(places, np.arange(len(first)))
    assert all(len(block[1]) <= max(n_pairs, n - 1) for block in blocks)


@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=12),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
@share(0.5)
def test_drawn_pairs_are_balanced(labels, n_pairs, seed):
    clusters = np.array(labels, dtype=np.int32)
    drawn = _sets.draw_pairs(clusters, n_pairs, np.random.default_rng(seed))
    assert (clusters[drawn.first] >= 0).all()
    assert (drawn.first < drawn.second).all()
    assert len(set(zip(drawn.first, drawn.second, strict=True))) == len(drawn.first)
    np.testing.assert_array_equal(clusters[drawn.first] == clusters[drawn.second], drawn.same)
    known = clusters[clusters >= 0]
    n_known = len(known) * (len(known) - 1) // 2
    n_same = sum(n * (n - 1) // 2 for n in np.bincount(known))
    assert len(drawn.same) == min(n_pairs, n_known)
    assert drawn.same.sum() >= min(n_same, n_pairs // 2)
    assert (~drawn.same).sum() >= min(n_known - n_same, n_pairs // 2)
    sums = [drawn.weights[drawn.same == kind].sum() for kind in np.unique(drawn.same)]
    np.testing.assert_allclose(sums, 1 / max(1, len(sums)))


def test_features_of_a_pair_do_not_depend_on_its_order():
    a, b = np.random.default_rng(0).normal(size=(2, 50, 7))
    found = set_clusterer.pair_features(a, b)
    np.testing.assert_array_equal(found, set_clusterer.pair_features(b, a))
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(found[:, -2], cosine)
    np.testing.assert_allclose(found[:, -1], np.linalg.norm(a - b, axis=1))
    assert np.isfinite(set_clusterer.pair_features(0 * a, b)).all()


@MODELS
def test_clusters_and_categories_of_new_sets(make, fitted):
    sets, clusters, kinds = blobs(10, 1)
    model = fitted(make)
    assert b_cubed(model, sets, clusters) > 0.9
    found = model.predict(sets)
    assert (np.concatenate(found.categories) == np.concatenate(kinds)).mean() > 0.9
    assert model.held_out_score_ > 0.9
    assert list(model.categories_) == ["cat", "dog"]
    for labels in found.clusters:
        assert list(dict.fromkeys(labels)) == list(range(labels.max() + 1))


@MODELS
def test_a_cluster_has_one_category(make):
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(15, 3)) for _ in range(8)]  # nothing can be learned
    clusters = [rng.integers(4, size=15) for _ in range(8)]
    model = make(n_models=1).fit(sets, clusters, [of % 2 for of in clusters])
    model.offset_ = -3.0  # large clusters
    found = model.predict(sets)
    for kinds, labels in zip(found.categories, found.clusters, strict=True):
        assert all(len(np.unique(kinds[labels == label])) == 1 for label in np.unique(labels))


@MODELS
def test_affinities_are_symmetric_probabilities(make, fitted):
    sets, clusters, _ = blobs(3, 2)
    for matrix, labels in zip(fitted(make).predict_affinity(sets), clusters, strict=True):
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), 1)
        assert 0 <= matrix.min() <= matrix.max() <= 1
        same = labels[:, None] == labels
        assert matrix[same].mean() > matrix[~same].mean() + 0.5


@MODELS
def test_order_of_the_items_does_not_matter(make, fitted):
    sets, _, _ = blobs(3, 3)
    order = np.random.default_rng(0).permutation(12)
    model = fitted(make)
    for a, b in zip(
        model.predict_affinity(sets), model.predict_affinity([of[order] for of in sets]),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(a[np.ix_(order, order)], b, atol=1e-5)
    a, b = model.predict(sets), model.predict([of[order] for of in sets])
    for first, second in zip(a.clusters, b.clusters, strict=True):
        assert same_clusters(first[order], second)


@MODELS
def test_one_array_with_groups(make):
    sets, clusters, kinds = blobs(10, 4)
    names = np.repeat([f"picture {i}" for i in range(10)], 12)
    order = np.random.default_rng(0).permutation(120)
    whole, rows = (np.concatenate(of)[order] for of in (sets, clusters))
    model = make().fit(whole, rows, np.concatenate(kinds)[order], names[order])
    found = model.predict(whole, names[order])
    assert found.clusters.shape == found.categories.shape == (120,)
    matrices = model.predict_affinity(whole, names[order])
    assert len(matrices) == 10
    each = model.predict([whole[names[order] == name] for name in np.unique(names)])
    for name, clusters_of, kinds_of in zip(np.unique(names), *each[::-1], strict=True):
        np.testing.assert_array_equal(found.clusters[names[order] == name], clusters_of)
        np.testing.assert_array_equal(found.categories[names[order] == name], kinds_of)


@MODELS
def test_what_is_not_known_is_left_out(make):
    sets, clusters, kinds = blobs(30, 5)
    rng = np.random.default_rng(0)
    for labels, names in zip(clusters, kinds, strict=True):
        labels[rng.random(12) < 0.3] = -1
        names[:] = names
    kinds = [[None if rng.random() < 0.5 else str(k) for k in of] for of in kinds]
    clusters[0][:] = -1
    named = [[None if c < 0 else f"group {c}" for c in of] for of in clusters]
    model = make(n_epochs=12) if make is network else make()
    sets_new, clusters_new, kinds_new = blobs(10, 6)
    found = model.fit(sets, named, kinds).predict(sets_new)
    assert b_cubed(model, sets_new, clusters_new) > 0.85
    assert (np.concatenate(found.categories) == np.concatenate(kinds_new)).mean() > 0.85


@MODELS
def test_without_categories(make):
    sets, clusters, _ = blobs(20, 7)
    model = make().fit(sets, clusters)
    assert model.predict(sets).categories is None
    assert model.categories_.size == 0


@MODELS
def test_sets_of_1_and_of_2000_items(make):
    sets, clusters, kinds = blobs(20, 8)
    sets += [of[:n] for of, n in zip(sets, [1, 2, 5], strict=False)]
    clusters += [of[:n] for of, n in zip(clusters, [1, 2, 5], strict=False)]
    kinds += [of[:n] for of, n in zip(kinds, [1, 2, 5], strict=False)]
    model = make(n_models=1).fit(sets, clusters, kinds)
    large, truth, _ = blobs(1, 9, n_items=2000)
    found = model.predict([sets[0][:1], *large])
    assert found.clusters[0].tolist() == [0]
    assert found.categories[0].shape == (1,)
    assert lq.set_scores(truth[0], found.clusters[1])["b_cubed"].f1 > 0.8


@MODELS
def test_same_seed_same_result(make):
    sets, clusters, kinds = blobs(10, 10)
    first, second = (
        make(n_jobs=n_jobs).fit(sets, clusters, kinds).predict_affinity(sets) for n_jobs in (1, 2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = make(random_state=1).fit(sets, clusters, kinds).predict_affinity(sets)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@MODELS
def test_what_is_given_of_pairs_is_used(make):
    rng = np.random.default_rng(11)
    sets = [rng.normal(size=(8, 2)) for _ in range(30)]
    clusters = [rng.integers(3, size=8) for _ in range(30)]
    first, second = np.triu_indices(8, 1)
    pairs = [
        np.column_stack([of[first] == of[second], rng.random(28)]).astype(np.float16)
        for of in clusters
    ]
    model = make().fit(sets[:20], clusters[:20], pairs=pairs[:20])
    assert b_cubed(model, sets[20:], clusters[20:], pairs=pairs[20:]) > 0.9
    assert model.n_pair_features_ == 2
    alone = model.predict([sets[0][:1]], pairs=[np.empty((0, 2))])
    assert alone.clusters[0].tolist() == [0]
    with pytest.raises(ValueError, match="pairs has 0 features; wanted 2"):
        model.predict(sets)


@MODELS
def test_estimators_of_scikit_learn_in_all_else(make, fitted):
    copy = pickle.loads(pickle.dumps(fitted(make)))
    sets, _, _ = blobs(2, 12)
    for a, b in zip(copy.predict_affinity(sets), fitted(make).predict_affinity(sets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert clone(copy).get_params()["n_models"] == copy.n_models
    assert clone(copy).set_params(metric="ari").metric == "ari"
    with pytest.raises(NotFittedError):
        clone(copy).predict(sets)


@pytest.mark.parametrize("metric", _sets.METRICS)
def test_the_offset_is_the_best_of_those_tried(metric):
    sets, clusters, _ = blobs(12, 13)
    model = pairwise(metric=metric).fit(sets, clusters)
    assert 0.5 < model.held_out_score_ <= 1
    assert abs(model.offset_) < 10


def test_progress_is_shown(capsys):
    sets, clusters, _ = blobs(5, 14)
    pairwise(verbose=True).fit(sets, clusters)
    shown = capsys.readouterr().err
    assert "classifiers" in shown
    assert "offset" in shown


A, B = np.zeros((3, 2)), np.ones((2, 2))
SETS, CLUSTERS = [A, B], [[0, 0, 1], [0, 1]]
NAN = np.array([[0, np.nan], [0, 0]])


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([], []), ValueError, "sets is empty"),
        (([A], [[0, 0, 1]]), ValueError, "sets holds 1 set; wanted at least 2"),
        ((A, [0, 0, 1]), ValueError, r"sets is one array of shape \(3, 2\); wanted a list"),
        (([A, np.ones((2, 3))], CLUSTERS), ValueError, r"sets\[1\] must have.* got 3"),
        (([A, NAN], CLUSTERS), ValueError, r"sets\[1\] must be finite, got NaN at row 0, column 1"),
        (([A, [["a", "b"]]], CLUSTERS), TypeError, r"sets\[1\] must hold.* got dtype <U1"),
        (([A, [1, 2]], CLUSTERS), ValueError, r"sets\[1\] must be.* got shape \(2,\)"),
        ((SETS, CLUSTERS[:1]), ValueError, "clusters holds 1 sets, sets 2"),
        ((SETS, [[0, 0, 1], [0]]), ValueError, r"clusters\[1\] has shape \(1,\), sets\[1\] holds"),
        ((SETS, [[0, 0, 1.5], [0, 1]]), TypeError, r"clusters\[0\]"),
        ((SETS, [[0, 1, 2], [0, 1]]), ValueError, "no two items of one cluster"),
        ((SETS, [[0, 0, 0], [1, 1]]), ValueError, "no two items of two clusters of one set"),
        ((SETS, CLUSTERS, [["a", "b", "b"], ["a", "b"]]), ValueError, "items 0 and 1 in one clus"),
        ((SETS, CLUSTERS, [[-1, -1, -1], [-1, -1]]), ValueError, "categories holds none"),
        ((np.vstack(SETS), [0, 0, 1, 0, 1], None, [0, 0, 0]), ValueError, "groups holds 3 rows"),
        ((np.vstack(SETS), [0, 0], None, [0, 0, 0, 1, 1]), ValueError, r"clusters has shape \(2,"),
        ((np.vstack(SETS), [0] * 5, None, [0, 0, 0, 1, -1]), ValueError, "no set for row 4"),
    ],
)
@MODELS
def test_bad_input_is_named(make, args, error, message):
    with pytest.raises(error, match=message):
        make().fit(*args)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([np.ones((3, 1))], "pairs holds 1 sets, sets 2"),
        ([np.ones((2, 1)), np.ones((1, 1))], r"pairs\[0\] holds 2 pairs, sets\[0\] 3 items"),
        ([np.ones((3, 1)), np.ones((1, 2))], r"pairs\[1\] must have.* got 2"),
        (
            [np.full((3, 1), np.nan), np.ones((1, 1))],
            r"pairs\[0\] must be.* got NaN at row 0, column 0",
        ),
    ],
)
def test_bad_pairs_are_named(pairs, message):
    with pytest.raises(ValueError, match=message):
        pairwise().fit(SETS, CLUSTERS, pairs=pairs)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_models": 0}, ValueError, "n_models must be an integer of at least 1, got 0"),
        ({"metric": "accuracy"}, ValueError, "metric must be.* got 'accuracy'"),
        ({"max_pairs": 0}, ValueError, "max_pairs must be an integer of at least 1, got 0"),
        ({"classifier": LinearSVC()}, TypeError, "has no predict_proba"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be.* got 0"),
    ],
)
def test_bad_parameters_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        pairwise(**settings).fit(*blobs(5, 0))


@pytest.mark.deep
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 15}, "width is 15; wanted a multiple of n_heads=4"),
        ({"dropout": 1.0}, "dropout is 1.0; wanted less"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"n_epochs": 0}, "n_epochs must be an integer of at least 1, got 0"),
        ({"directory": "x", "random_state": None}, "random_state is None"),
    ],
)
def test_bad_parameters_of_a_network_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        network(**settings).fit(*blobs(5, 0))


@MODELS
def test_new_sets_have_the_features_of_those_learned(make, fitted):
    with pytest.raises(ValueError, match="sets has 3 features; wanted 2"):
        fitted(make).predict([np.ones((4, 3))])


@pytest.mark.deep
def test_a_network_sees_the_context_and_pairs_do_not():
    sets, clusters = context(300, 0)
    model = network(n_epochs=15).fit(sets[:250], clusters[:250])
    assert b_cubed(model, sets[250:], clusters[250:]) > 0.95
    alone = lq.PairwiseSetClusterer(random_state=0).fit(sets[:250], clusters[:250])
    assert b_cubed(alone, sets[250:], clusters[250:]) < 0.85


@pytest.mark.deep
def test_sets_side_by_side_are_as_alone():
    import torch

    from labelquorum.deep import set_networks as _set_networks

    device = torch.device("cpu")
    rng = np.random.default_rng(0)
    sizes = _set_networks.Sizes(3, 2, 4, 16, 2, 4)
    (one,) = _set_networks.SetNetworks(sizes, [0], device)
    one.eval()
    sets = [
        _set_networks.as_tensors(rng.normal(size=(n, 3)), rng.normal(size=(n * (n - 1) // 2, 2)),
                                 device)
        for n in (1, 1, 4, 4, 4, 9)
    ]  # fmt: skip
    with torch.no_grad():
        together = one.encode(_set_networks.batch_of(sets))
        alone = [one.encode(_set_networks.batch_of([of])) for of in sets]
    for all_of, each in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(all_of, torch.cat(each), atol=1e-5)


@pytest.mark.deep
def test_chunks_hold_all_sets_within_bounds():
    from labelquorum.deep.set_networks import chunks_of

    sizes = np.array([3, 50, 1, 3, 20, 7])
    chunks = chunks_of(np.arange(6), sizes, 100)
    assert sorted(i for chunk in chunks for i in chunk) == list(range(6))
    assert all(len(chunk) == 1 or (sizes[chunk] ** 2).sum() <= 100 for chunk in chunks)


class _StoppedError(Exception):
    pass


@pytest.mark.deep
def test_a_fit_goes_on_where_it_was_left(tmp_path, monkeypatch):
    model = network(n_models=2, n_epochs=3, directory=tmp_path)
    sets, clusters, kinds = blobs(8, 15)
    expected = clone(model).set_params(directory=None).fit(sets, clusters, kinds)
    epoch = lq.SetClusterer._epoch
    n_epochs = []

    def stopping(self, *args):
        n_epochs.append(1)
        if len(n_epochs) == 5:
            raise _StoppedError
        return epoch(self, *args)

    monkeypatch.setattr(lq.SetClusterer, "_epoch", stopping)
    with pytest.raises(_StoppedError):
        model.fit(sets, clusters, kinds)
    model.fit(sets, clusters, kinds)
    assert len(n_epochs) == 3 + 1 + 1 + 2  # the first network, one and the stop, the rest
    assert model.history_ == expected.history_
    for a, b in zip(model.predict_affinity(sets), expected.predict_affinity(sets), strict=True):
        np.testing.assert_array_equal(a, b)
    clusters[0] = clusters[0][::-1]
    kinds[0] = kinds[0][::-1]
    with pytest.raises(ValueError, match="checkpoint of another fit: other examples"):
        model.fit(sets, clusters, kinds)


@pytest.mark.deep
def test_saved_and_loaded(fitted, tmp_path):
    model = fitted(network)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = lq.SetClusterer.load(path)
    sets, _, _ = blobs(3, 16)
    for a, b in zip(model.predict(sets), loaded.predict(sets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.get_params() == model.get_params()
    assert loaded.history_ == model.history_
    with pytest.raises(ValueError, match="holds 'SetClusterer'; wanted 'LadderIM'"):
        lq.deep.LadderIM.load(path)
    with pytest.raises(TypeError, match="random_state"):
        pickle.loads(pickle.dumps(model)).set_params(random_state=np.random.RandomState(0)).save(
            path
        )


@pytest.mark.deep
def test_divergence_says_what_to_do():
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        network(learning_rate=1e30, n_epochs=3).fit(*blobs(5, 17))
