"""Which categories and samples are shown."""

from __future__ import annotations

import numpy as np

from labelquorum.report.data import report_data
from labelquorum.report.selection import select, select_map_samples, select_pairs


def data_of(model, texts=None):
    return report_data(model, X=None, texts=texts, images=None, judgment=None)


def test_members_are_sorted_by_confidence(three_categories):
    selection = select(data_of(three_categories))
    for k, members in enumerate(selection.members):
        assert sorted(members) == np.flatnonzero(three_categories.labels_ == k).tolist()
        assert (np.diff(three_categories.confidence_[members]) <= 0).all()
        np.testing.assert_array_equal(selection.typical[k], members[:6])


def test_a_sample_is_typical_or_borderline_but_not_both(hostile):
    selection = select(data_of(hostile.model, hostile.texts))
    for typical, borderline in zip(selection.typical, selection.borderline, strict=True):
        assert not set(typical) & set(borderline)
        assert len(typical) <= 6
        assert len(borderline) <= 4


def test_samples_to_check_have_no_known_label(hostile):
    selection = select(data_of(hostile.model))
    assert all(hostile.known[i] is None for i in selection.checks)
    np.testing.assert_array_equal(selection.suspects, hostile.model.suspect_labels_)


def test_the_largest_categories_have_rows_and_cards(fit_partitions):
    classes = np.concatenate([np.arange(1100), np.arange(150), np.arange(1000, 1100)])
    model = fit_partitions(np.repeat(classes[:, None], 2, axis=1), n_clusters=1100)
    data = data_of(model)
    selection = select(data)
    assert (len(selection.rows), len(selection.cards)) == (1000, 200)
    assert data.sums.sizes[selection.cards].tolist() == [2] * 200
    assert [selection.has_card(k) for k in selection.cards] == [True] * 200
    assert sum(selection.has_card(k) for k in range(1100)) == 200
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


def test_pairs_are_those_that_agree_most():
    agreement = np.array(
        [[1, 0.2, np.nan, 0], [0.2, 1, 0.3, 0], [np.nan, 0.3, 1, 0.1], [0, 0, 0.1, 1]]
    )
    assert select_pairs(agreement) == [(1, 2, 0.3), (0, 1, 0.2), (2, 3, 0.1)]
    assert len(select_pairs(np.full((9, 9), 0.5))) == 12
