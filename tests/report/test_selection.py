"""Which categories and samples are shown."""

from __future__ import annotations

import numpy as np

from labelquorum.report.data import report_data
from labelquorum.report.selection import select, select_map_samples, select_merges


def data_of(model, texts=None):
    return report_data(model, X=None, texts=texts, images=None, judgment=None)


def test_members_are_sorted_by_confidence(three_categories):
    selection = select(data_of(three_categories))
    for k, members in enumerate(selection.members):
        assert sorted(members) == np.flatnonzero(three_categories.labels_ == k).tolist()
        assert (np.diff(three_categories.confidence_[members]) <= 0).all()
        np.testing.assert_array_equal(selection.typical[k], members[:3])


def test_a_sample_is_typical_or_borderline_but_not_both(hostile):
    selection = select(data_of(hostile.model, hostile.texts))
    for typical, borderline in zip(selection.typical, selection.borderline, strict=True):
        assert not set(typical) & set(borderline)
        assert len(typical) <= 3
        assert len(borderline) <= 3


def test_samples_to_check_have_no_known_label(hostile):
    selection = select(data_of(hostile.model))
    assert all(hostile.known[i] is None for i in selection.checks)
    np.testing.assert_array_equal(selection.suspects, hostile.model.suspect_labels_)


def test_the_largest_categories_have_rows_and_cards(fit_partitions):
    classes = np.concatenate([np.arange(1100), np.arange(150), np.arange(1000, 1100)])
    model = fit_partitions(np.repeat(classes[:, None], 2, axis=1), n_clusters=1100)
    data = data_of(model)
    selection = select(data)
    assert (len(selection.rows), len(selection.cards)) == (1000, 300)
    assert data.sums.sizes[selection.cards].tolist() == [2] * 250 + [1] * 50
    assert [selection.has_card(k) for k in selection.cards] == [True] * 300
    assert sum(selection.has_card(k) for k in range(1100)) == 300
    assert not selection.has_card(-1)


def test_the_map_has_samples_of_each_category_with_a_card(fit_partitions):
    classes = np.zeros(5000, dtype=int)
    classes[:8] = np.repeat(np.arange(1, 5), 2)
    model = fit_partitions(np.repeat(classes[:, None], 2, axis=1), n_clusters=5)
    data = data_of(model)
    samples = select_map_samples(data, select(data).card_of)
    assert (np.diff(samples) > 0).all()
    assert 1500 <= len(samples) <= 1508
    assert set(range(8)) <= set(samples.tolist())
    np.testing.assert_array_equal(samples, select_map_samples(data, select(data).card_of))


def test_merges_are_the_pairs_that_agree_most_for_their_coherence():
    agreement = np.array(
        [[1, 0.4, np.nan, 0], [0.4, 1, 0.35, 0], [np.nan, 0.35, 0.5, 0.1], [0, 0, 0.1, 1]]
    )
    none_known = np.zeros(4, dtype=bool)
    assert select_merges(agreement, none_known) == [(1, 2, 0.7), (0, 1, 0.4)]
    assert len(select_merges(np.full((9, 9), 0.5), np.zeros(9, dtype=bool))) == 12
    first_two_known = np.arange(4) < 2
    assert select_merges(agreement, first_two_known) == [(1, 2, 0.7)]
    assert select_merges(np.full((3, 3), np.nan), np.zeros(3, dtype=bool)) == []
