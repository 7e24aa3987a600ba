"""What is new in new samples, what grew and shrank, and that the model stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq

CENTERS = np.random.default_rng(0).normal(0, 6, size=(7, 20))
NAMES = np.array([f"c{k}" for k in range(6)])


def samples(sizes, seed):
    """Rows of so many samples of each center, and their centers."""
    X, y = make_blobs(sizes, centers=CENTERS[: len(sizes)], random_state=seed)
    return X, y


@pytest.fixture(scope="module")
def model():
    X, y = samples([100] * 6, 0)
    known = np.where((np.arange(len(y)) % 4 == 0) & (y < 4), NAMES[y], None)
    return lq.ConsensusClusterer(6, random_state=0).fit(X, known)


def test_an_unseen_category_is_new_and_gets_the_next_name(model):
    X, y = samples([40] * 6 + [60], 1)
    before = model.labels_.copy()
    update = model.update(X)
    (new,) = update.new_categories.tolist()
    assert new == "new 2"  # after new 0 and new 1
    assert np.count_nonzero((update.labels == new) & (y == 6)) >= 50
    assert np.count_nonzero((update.labels == new) & (y < 6)) <= 2
    assert set(update.origins) == {"proposed"}
    is_new = update.labels == new
    assert set(update.runners_up[is_new]) <= set(model.classes_)
    assert (update.labels[~is_new] == model.predict(X)[~is_new]).all()
    assert update.confidence[is_new].mean() > 0.8
    assert update.sizes_now.sum() == len(X)
    assert "New categories: new 2 (" in repr(update)
    table = update.category_table
    assert table["change"].tolist()[-1] == "new"
    np.testing.assert_array_equal(model.labels_, before)


@pytest.mark.parametrize("size", [20, 200])
def test_a_known_category_that_grows_is_not_new(model, size):
    X, _ = samples([20] * 5 + [size], 2)
    update = model.update(X)
    assert update.n_new_categories == 0
    category = model.predict(X[-1:] * 0 + CENTERS[5])[0]
    grew = update.categories[update.changes > 0].tolist()
    assert grew == ([category] if size == 200 else [])
    assert "Grew beyond chance: " in repr(update)


def test_little_is_called_changed_if_nothing_changed(model):
    found = [model.update(samples([30] * 6, seed)[0]) for seed in range(10, 30)]
    assert sum((update.changes != 0).any() for update in found) <= 2
    assert sum(update.n_new_categories for update in found) <= 1


def test_samples_without_an_answer_are_unsure(model):
    X, _ = samples([40] * 6, 3)
    X = np.vstack([X, CENTERS[:2].mean(axis=0)[None] + [[0.1 * i] for i in range(5)]])
    update = model.update(X, reject_level=0.2)
    is_none = update.origins == ""
    assert (update.labels[is_none] == None).all()  # noqa: E711
    assert set(np.flatnonzero(is_none)) <= set(update.unsure)
    assert set(range(240, 245)) <= set(update.unsure)
    assert (np.diff(update.confidence[update.unsure]) >= 0).all()
    assert (update.labels == model.predict(X, reject_level=0.2)).all()
    assert None not in update.runners_up[is_none]


def test_the_smallest_new_category_can_be_chosen(model):
    X, _ = samples([40] * 6 + [15], 4)
    assert model.update(X, min_new_size=10).n_new_categories == 1
    assert model.update(X, min_new_size=16).n_new_categories == 0
    with pytest.raises(ValueError, match="min_new_size"):
        model.update(X, min_new_size=0)
    with pytest.raises(ValueError, match="features"):
        model.update(X[:, :3])


@pytest.mark.parametrize("y", ["numbers", "none", "renamed"])
def test_new_names_follow_those_of_the_model(y):
    X, k = samples([60] * 3, 0)
    names = {"numbers": k + 3, "none": None, "renamed": np.array(["a", "new 7", "b"])[k]}[y]
    model = lq.ConsensusClusterer(3, random_state=0).fit(X, names)
    new = samples([30, 30, 30, 0, 0, 0, 40], 1)[0]
    update = model.update(new)
    assert (
        update.new_categories.tolist()
        == {
            "numbers": [6],
            "none": [3],
            "renamed": ["new 8"],
        }[y]
    )
    assert update.labels.dtype.kind == ("U" if y == "renamed" else "i")


def test_without_discover_and_with_a_classifier():
    from sklearn.svm import LinearSVC

    X, k = samples([60] * 4, 0)
    y = np.where((k < 2) & (np.arange(len(k)) % 2 == 0), NAMES[k], None)
    new, _ = samples([20] * 4, 1)
    for options in ({"discover": False}, {"classifier": LinearSVC()}):
        model = lq.ConsensusClusterer(4, random_state=0, **options).fit(X, y)
        update = model.update(new)
        assert update.labels.tolist() == model.predict(new).tolist()
        assert update.n_new_categories == 0
