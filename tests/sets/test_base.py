"""What both estimators of clusters within sets promise: predictions, input, tuning."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import labelquorum as lq
from labelquorum.sets.base import METRICS
from sets_data import b_cubed, both_estimators, network, pairwise, pet_sets


@pytest.fixture(scope="module")
def fitted():
    """Fitted models by their function; each is fitted once."""
    models = {}

    def fitted_by(make):
        if make not in models:
            models[make] = make().fit(*pet_sets(30, 0))
        return models[make]

    return fitted_by


@pytest.mark.slow
@both_estimators
def test_new_sets_get_their_clusters_and_categories(make, fitted):
    sets, clusters, categories = pet_sets(10, 1)
    model = fitted(make)
    assert b_cubed(model, sets, clusters) > 0.9
    predicted = model.predict(sets)
    assert (np.concatenate(predicted.categories) == np.concatenate(categories)).mean() > 0.9
    assert model.held_out_score_ > 0.9
    assert list(model.categories_) == ["cat", "dog"]
    for labels in predicted.clusters:
        assert list(dict.fromkeys(labels)) == list(range(labels.max() + 1))


@both_estimators
def test_a_cluster_has_one_category(make):
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(15, 3)) for _ in range(8)]  # there is nothing to learn
    clusters = [rng.integers(4, size=15) for _ in range(8)]
    model = make(n_models=1).fit(sets, clusters, [labels % 2 for labels in clusters])
    model.offset_ = -3.0  # for large clusters
    predicted = model.predict(sets)
    for categories, labels in zip(predicted.categories, predicted.clusters, strict=True):
        for label in np.unique(labels):
            assert len(np.unique(categories[labels == label])) == 1


@both_estimators
def test_affinities_are_symmetric_probabilities(make, fitted):
    sets, clusters, _ = pet_sets(3, 2)
    for matrix, labels in zip(fitted(make).predict_affinity(sets), clusters, strict=True):
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), 1)
        assert 0 <= matrix.min() <= matrix.max() <= 1
        is_same = labels[:, None] == labels
        assert matrix[is_same].mean() > matrix[~is_same].mean() + 0.5


@both_estimators
def test_the_order_of_the_items_does_not_matter(make, fitted):
    sets, _, _ = pet_sets(3, 3)
    order = np.random.default_rng(0).permutation(12)
    reordered = [items[order] for items in sets]
    model = fitted(make)
    matrices, reordered_matrices = model.predict_affinity(sets), model.predict_affinity(reordered)
    for a, b in zip(matrices, reordered_matrices, strict=True):
        np.testing.assert_allclose(a[np.ix_(order, order)], b, atol=1e-5)
    clusters, reordered_clusters = model.predict(sets).clusters, model.predict(reordered).clusters
    for a, b in zip(clusters, reordered_clusters, strict=True):
        assert lq.set_scores(a[order], b)["pairwise"].f1 == 1


@both_estimators
def test_one_array_with_groups_is_the_same_as_a_list(make):
    sets, clusters, categories = pet_sets(10, 4)
    order = np.random.default_rng(0).permutation(120)
    names = np.repeat([f"picture {i}" for i in range(10)], 12)[order]
    rows, labels, kinds = (np.concatenate(parts)[order] for parts in (sets, clusters, categories))
    model = make().fit(rows, labels, kinds, names)
    predicted = model.predict(rows, names)
    assert predicted.clusters.shape == predicted.categories.shape == (120,)
    assert len(model.predict_affinity(rows, names)) == 10
    of_list = model.predict([rows[names == name] for name in np.unique(names)])
    for i, name in enumerate(np.unique(names)):
        np.testing.assert_array_equal(predicted.clusters[names == name], of_list.clusters[i])
        np.testing.assert_array_equal(predicted.categories[names == name], of_list.categories[i])


@pytest.mark.slow
@both_estimators
def test_unknown_clusters_and_categories_are_left_out(make):
    sets, clusters, categories = pet_sets(30, 5)
    rng = np.random.default_rng(0)
    for labels in clusters:
        labels[rng.random(12) < 0.3] = -1
    categories = [[None if rng.random() < 0.5 else str(k) for k in kinds] for kinds in categories]
    clusters[0][:] = -1
    names = [[None if c < 0 else f"group {c}" for c in labels] for labels in clusters]
    model = make(n_epochs=12) if make is network else make()
    new_sets, new_clusters, new_categories = pet_sets(10, 6)
    predicted = model.fit(sets, names, categories).predict(new_sets)
    assert b_cubed(model, new_sets, new_clusters) > 0.85
    assert (np.concatenate(predicted.categories) == np.concatenate(new_categories)).mean() > 0.85


@pytest.mark.slow
@both_estimators
def test_without_categories_none_are_predicted(make):
    sets, clusters, _ = pet_sets(20, 7)
    model = make().fit(sets, clusters)
    assert model.predict(sets).categories is None
    assert model.categories_.size == 0


@pytest.mark.slow
@both_estimators
def test_sets_of_1_and_of_2000_items(make):
    sets, clusters, categories = pet_sets(20, 8)
    sizes = [1, 2, 5]
    sets += [items[:n] for items, n in zip(sets, sizes, strict=False)]
    clusters += [labels[:n] for labels, n in zip(clusters, sizes, strict=False)]
    categories += [kinds[:n] for kinds, n in zip(categories, sizes, strict=False)]
    model = make(n_models=1).fit(sets, clusters, categories)
    large, truth, _ = pet_sets(1, 9, n_items=2000)
    predicted = model.predict([sets[0][:1], *large])
    assert predicted.clusters[0].tolist() == [0]
    assert predicted.categories[0].shape == (1,)
    assert lq.set_scores(truth[0], predicted.clusters[1])["b_cubed"].f1 > 0.8


@both_estimators
def test_the_same_seed_gives_the_same_result_with_any_number_of_threads(make):
    sets, clusters, categories = pet_sets(10, 10)

    def affinities(**settings):
        return make(**settings).fit(sets, clusters, categories).predict_affinity(sets)

    first, second = affinities(n_jobs=1), affinities(n_jobs=2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = affinities(random_state=1)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@both_estimators
def test_features_of_pairs_are_used(make):
    rng = np.random.default_rng(11)
    sets = [rng.normal(size=(8, 2)) for _ in range(30)]
    clusters = [rng.integers(3, size=8) for _ in range(30)]
    first, second = np.triu_indices(8, 1)
    pairs = [
        np.column_stack([labels[first] == labels[second], rng.random(28)]).astype(np.float16)
        for labels in clusters
    ]
    model = make().fit(sets[:20], clusters[:20], pairs=pairs[:20])
    assert b_cubed(model, sets[20:], clusters[20:], pairs=pairs[20:]) > 0.9
    assert model.n_pair_features_ == 2
    single = model.predict([sets[0][:1]], pairs=[np.empty((0, 2))])
    assert single.clusters[0].tolist() == [0]
    with pytest.raises(ValueError, match="pairs must have 2 features, as in fit, got 0"):
        model.predict(sets)


@both_estimators
def test_models_are_pickled_and_cloned(make, fitted):
    model = fitted(make)
    copy = pickle.loads(pickle.dumps(model))
    sets, _, _ = pet_sets(2, 12)
    for a, b in zip(copy.predict_affinity(sets), model.predict_affinity(sets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert clone(copy).get_params()["n_models"] == copy.n_models
    assert clone(copy).set_params(metric="ari").metric == "ari"
    with pytest.raises(NotFittedError):
        clone(copy).predict(sets)


@both_estimators
def test_new_sets_must_have_the_same_features(make, fitted):
    with pytest.raises(ValueError, match="sets must have 2 features, as in fit, got 3"):
        fitted(make).predict([np.ones((4, 3))])


@pytest.mark.parametrize("metric", METRICS)
def test_the_offset_is_tuned_for_any_metric(metric):
    sets, clusters, _ = pet_sets(12, 13)
    model = pairwise(metric=metric).fit(sets, clusters)
    assert 0.5 < model.held_out_score_ <= 1
    assert abs(model.offset_) < 10


def test_progress_is_shown(capsys):
    sets, clusters, _ = pet_sets(5, 14)
    pairwise(verbose=True).fit(sets, clusters)
    shown = capsys.readouterr().err
    assert "classifiers" in shown
    assert "offset" in shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_models": 0}, "n_models must be an integer of at least 1, got 0"),
        ({"metric": "accuracy"}, r"metric must be 'pairwise', .* got 'accuracy'"),
        ({"n_jobs": 0}, "n_jobs must be .* got 0"),
    ],
)
def test_bad_parameters_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        pairwise(**settings).fit(*pet_sets(5, 0))
