"""Bad sets, clusters, categories, groups and pairs are refused with a message that names them."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum.sets.examples import as_examples, clusters_recur
from sets_data import both_estimators, context_sets, pairwise, pet_sets

A, B = np.zeros((3, 2)), np.ones((2, 2))
SETS, CLUSTERS = [A, B], [[0, 0, 1], [0, 1]]
NAN = np.array([[0, np.nan], [0, 0]])


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([], []), ValueError, "sets must hold at least one set, got none"),
        (([A], [[0, 0, 1]]), ValueError, "sets must hold at least 2 sets.* got 1"),
        ((A, [0, 0, 1]), ValueError, r"sets must be a list .* got one array of shape \(3, 2\)"),
        (([A, np.ones((2, 3))], CLUSTERS), ValueError, r"sets\[1\] must have 2 columns, .* got 3"),
        (([A, NAN], CLUSTERS), ValueError, r"sets\[1\] must be finite, got NaN at row 0, column 1"),
        (([A, [["a", "b"]]], CLUSTERS), TypeError, r"sets\[1\] must hold .* got dtype"),
        (([A, [1, 2]], CLUSTERS), ValueError, r"sets\[1\] must be 2-D, .* got shape \(2,\)"),
        ((SETS, CLUSTERS[:1]), ValueError, "clusters must hold 2 arrays, one per set, got 1"),
        ((SETS, [[0, 0, 1], [0]]), ValueError, r"clusters\[1\] must have shape \(2,\).* \(1,\)"),
        (
            (SETS, [[0, 0, 1.5], [0, 1]]),
            TypeError,
            r"clusters\[0\] must hold .* 1\.5 at position 2",
        ),
        ((SETS, [[0, 1, 2], [0, 1]]), ValueError, "got no two items of one cluster"),
        ((SETS, [[0, 0, 0], [1, 1]]), ValueError, "got no two items of different clusters"),
        (
            (SETS, CLUSTERS, [["a", "b", "b"], ["a", "b"]]),
            ValueError,
            r"categories\[0\] must name one category .* 'a' for item 0 and 'b' for item 1",
        ),
        (
            (SETS, CLUSTERS, [[-1, -1, -1], [-1, -1]]),
            ValueError,
            "categories must hold at least one category",
        ),
        (
            (np.vstack(SETS), [0, 0, 1, 0, 1], None, [0, 0, 0]),
            ValueError,
            "groups must have 5 values, one per row of sets, got 3",
        ),
        (
            (np.vstack(SETS), [0, 0], None, [0, 0, 0, 1, 1]),
            ValueError,
            r"clusters must have shape \(5,\), one value per row of sets, got \(2,\)",
        ),
        (
            (np.vstack(SETS), [0] * 5, None, [0, 0, 0, 1, -1]),
            ValueError,
            "groups must name a set for each row, got none for row 4",
        ),
    ],
)
@both_estimators
def test_bad_sets_are_named(make, args, error, message):
    with pytest.raises(error, match=message):
        make().fit(*args)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([np.ones((3, 1))], "pairs must hold 2 arrays, one per set, got 1"),
        ([np.ones((2, 1)), np.ones((1, 1))], r"pairs\[0\] must have 3 rows.* got 2"),
        ([np.ones((3, 1)), np.ones((1, 2))], r"pairs\[1\] must have 1 columns, .* got 2"),
        ([np.full((3, 1), np.nan), np.ones((1, 1))], r"pairs\[0\] must be finite, got NaN"),
    ],
)
def test_bad_pairs_are_named(pairs, message):
    with pytest.raises(ValueError, match=message):
        pairwise().fit(SETS, CLUSTERS, pairs=pairs)


def recurring_sets(n_sets, seed, kinds=range(8)):
    """Sets of items of four of eight kinds; each kind has ten items, which come again and again."""
    rng = np.random.default_rng(seed)
    items = np.random.default_rng(0).normal(size=(8, 10, 3))
    clusters = [np.repeat(rng.choice(kinds, 4, replace=False), 5) for _ in range(n_sets)]
    return [items[of, rng.integers(10, size=20)] for of in clusters], clusters


def test_clusters_recur_if_most_share_items_with_those_of_other_sets():
    assert clusters_recur(as_examples(*recurring_sets(30, 0), None, None, None))
    sets, clusters = recurring_sets(30, 0)
    sets[3][0] = sets[3][-1]  # equal by chance
    assert clusters_recur(as_examples(sets, clusters, None, None, None))
    sets, clusters, _ = pet_sets(30, 0)  # the items are new in each set
    assert not clusters_recur(as_examples(sets, clusters, None, None, None))
    of_few_values = context_sets(30, 0)  # equal items are in different clusters
    assert not clusters_recur(as_examples(*of_few_values, None, None, None))
    two_of_four = [A + 1, B], [[0, 0, 1], [0, -1]]
    assert not clusters_recur(as_examples(*two_of_four, None, None, None))


def test_unknown_clusters_do_not_recur():
    sets, clusters = recurring_sets(30, 1)
    for labels in clusters[1:]:
        labels[:] = -1
    assert not clusters_recur(as_examples(sets, clusters, None, None, None))


@both_estimators
def test_categories_do_not_count_where_clusters_recur(make):
    sets, clusters = recurring_sets(30, 2)
    model = make(n_models=1).fit(sets, clusters, [labels // 4 for labels in clusters])
    assert model.category_weight_ == 0
    assert set(np.concatenate(model.predict(sets).categories)) == {0, 1}
