"""explain and category_table_: why a sample is in its category, and what categories are like."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

import labelquorum as lq


def fitted(X, y=None, **parameters):
    return lq.ConsensusClusterer(**({"n_clusters": 5, "random_state": 0} | parameters)).fit(X, y)


def naive_explanation(model, i):
    """The vote of each partition on a sample, and agreements, by loops over all samples."""
    partitions, names = model.partitions_, model.labels_.tolist()
    agreements, votes = np.zeros(len(partitions), dtype=int), []
    for column in partitions.T:
        others = [j for j in range(len(column)) if j != i and column[j] == column[i] >= 0]
        agreements[others] += 1
        if column[i] < 0:
            votes.append((-1, 0, None, None))
            continue
        counts = Counter(names[j] for j in others)
        most = max(counts.values(), default=0)
        share = counts[names[i]] / len(others) if others else None
        majority = None
        if most:
            majority = names[i] if counts[names[i]] == most else None
            majority = majority or min(n for n in model.classes_.tolist() if counts[n] == most)
        votes.append((column[i], len(others) + 1, share, majority))
    return votes, agreements


def test_names_are_printed_and_in_the_table():
    X = np.repeat([[0.0], [9.0]], 4, axis=0)
    partitions = [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1]]
    model = lq.ConsensusClusterer(2).fit(X, partitions=partitions)
    model.name_categories(["card"] * 4 + ["login"] * 4)
    explanation = model.explain(0)
    assert explanation.category in (0, 1)
    assert str(explanation).startswith("Sample 0: card, confidence")
    assert "; next login, " in str(explanation)
    assert "1 (card, 2)" in str(explanation)
    assert str(explanation).endswith("card")
    assert set(model.category_table_["name"]) == {"card", "login"}


def test_an_explanation_equals_the_naive_one(digits):
    X, classes = digits
    X, classes = X[:400], classes[:400]
    y = np.full(400, None, dtype=object)
    y[:120] = [f"digit {label}" for label in classes[:120]]
    y[7] = "digit 2"
    partitions = lq.base_partitions(X, 10, n_partitions=12, random_state=0)
    partitions[::9, 3] = -1
    partitions[40, 5] = 1000  # a cluster of its own
    model = lq.ConsensusClusterer(10, random_state=0).fit(X, y, partitions=partitions)
    for i in (0, 7, 9, 40, 399):
        explanation = model.explain(i)
        votes, agreements = naive_explanation(model, i)
        assert explanation.category == model.labels_[i]
        assert explanation.confidence == model.confidence_[i]
        assert explanation.known_label == y[i]
        assert explanation.is_suspect == (i in model.suspect_labels_)
        assert explanation.is_pseudo_label == (model.pseudo_labels_[i] is not None)
        np.testing.assert_array_equal(explanation.clusters, [vote[0] for vote in votes])
        np.testing.assert_array_equal(explanation.cluster_sizes, [vote[1] for vote in votes])
        for share, vote in zip(explanation.cluster_shares, votes, strict=True):
            assert np.isnan(share) if vote[2] is None else share == pytest.approx(vote[2])
        assert explanation.majorities.tolist() == [vote[3] for vote in votes]
        n_for = sum(vote[3] == explanation.category for vote in votes)
        assert explanation.n_for == n_for
        assert n_for + explanation.n_against == sum(vote[3] is not None for vote in votes)
        nearest = sorted(range(400), key=lambda j: (-agreements[j], j))[:10]
        np.testing.assert_array_equal(explanation.neighbors, nearest)
        np.testing.assert_array_equal(explanation.neighbor_agreements, agreements[nearest])
        np.testing.assert_array_equal(explanation.neighbor_categories, model.labels_[nearest])
        members = np.flatnonzero(model.labels_ == explanation.category)
        assert explanation.seed == members[model.confidence_[members].argmax()]
        assert explanation.runner_up != explanation.category
        is_largest = explanation.runner_up_share <= explanation.confidence
        assert is_largest or explanation.is_suspect
    assert model.explain(7).is_suspect
    text = str(model.explain(7))
    assert text.startswith("Sample 7: digit 2, confidence 0.")
    assert "Known label: digit 2; the partitions contradict this label." in text
    assert len(text.splitlines()) == 6 + 12
    with pytest.raises(AttributeError):
        model.explain(7).category = "digit 7"


def test_an_explanation_lists_the_group_of_a_sample(blobs):
    groups = np.full(600, -1)
    groups[[5, 17, 99]] = 4
    model = lq.ConsensusClusterer(5, random_state=0).fit(blobs[0], groups=groups)
    assert model.explain(17).group.tolist() == [5, 17, 99]
    assert "Group: votes together with 2 other samples." in repr(model.explain(17))
    assert not len(model.explain(18).group)


@pytest.mark.parametrize(
    "i, error", [(600, ValueError), (-1, ValueError), (1.0, TypeError), ("1", TypeError)]
)
def test_samples_that_do_not_exist_cannot_be_explained(blobs, i, error):
    with pytest.raises(error, match=r"i must be .*0 to 599.*a training sample"):
        fitted(blobs[0]).explain(i)


def test_without_discovery_new_categories_are_explained_and_counted(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(X, y, discover=False)
    i = int(np.flatnonzero(classes == 3)[0])
    assert model.labels_[i] == -1
    assert model.explain(i).category in (2, 3, 4)
    assert not model.explain(i).is_pseudo_label
    assert model.category_table_["size"].sum() == len(X)
    np.testing.assert_array_equal(model.cut(5), model.labels_)


def test_the_table_describes_each_category(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[np.flatnonzero(classes == 0)[:9]] = "a"
    y[np.flatnonzero(classes == 1)[:8]] = "b"
    wrong = np.flatnonzero(classes == 3)[0]
    y[wrong] = "b"
    model = fitted(X, y)
    table = model.category_table_
    assert table.index.tolist() == model.classes_.tolist() == ["a", "b", "new 0", "new 1", "new 2"]
    assert table["known"].tolist() == [True, True, False, False, False]
    assert table["n_labeled"].tolist() == [9, 9, 0, 0, 0]
    assert table["n_suspect"].tolist() == [0, 1, 0, 0, 0]
    assert table["share"].sum() == pytest.approx(1)
    shares = model.outcome_.categories.shares_of(slice(None)).astype(np.float64)
    for k, name in enumerate(table.index):
        row, members = table.loc[name], model.labels_ == name
        assert row["size"] == members.sum()
        assert row["confidence"] == pytest.approx(model.confidence_[members].mean(), rel=1e-5)
        mean_shares = shares[members].mean(axis=0)
        mean_shares[k] = -1
        assert row["nearest"] == model.classes_[mean_shares.argmax()]
        assert row["nearest_share"] == pytest.approx(mean_shares.max(), rel=1e-5)


def test_a_single_category_has_no_nearest_category(blobs):
    table = fitted(blobs[0], n_clusters=1).category_table_
    assert table["nearest"].tolist() == [None]
    assert table["nearest_share"].isna().all()


def test_the_table_needs_a_fit_and_is_an_array_without_pandas(blobs, monkeypatch):
    assert not hasattr(lq.ConsensusClusterer(), "category_table_")
    y = np.full(len(blobs[0]), None, dtype=object)
    y[:30] = np.array(list("abcde"), dtype=object)[blobs[1][:30]]
    for model in (fitted(blobs[0], y), fitted(blobs[0]), fitted(blobs[0], n_clusters=1)):
        frame = model.category_table_
        with monkeypatch.context() as context:
            context.setitem(sys.modules, "pandas", None)
            table = model.category_table_
        assert table.dtype.names == ("category", *frame.columns)
        np.testing.assert_array_equal(table["category"], model.classes_)
        for name in frame.columns:
            np.testing.assert_array_equal(table[name], frame[name])


@pytest.mark.filterwarnings("ignore:partitions.* changes nothing")
def test_partitions_that_change_nothing_are_neither_for_nor_against(digits):
    X, classes = digits
    X, classes = X[:400], classes[:400]
    rng = np.random.default_rng(0)
    good = lq.base_partitions(X, 10, n_partitions=6, random_state=0)
    noise = rng.integers(0, 10, 400)
    together = np.zeros(400, dtype=int)
    answers = np.where(rng.random(400) < 0.5, [f"digit {k}" for k in classes], None)
    votes = lq.combine_votes([good, noise, answers, together])
    model = lq.ConsensusClusterer(10, random_state=0).fit(X, partitions=votes)
    plain = model.partition_weights_ > 0
    assert plain.tolist() == [True] * 6 + [False] * 3
    for i in range(0, 400, 37):
        explanation = model.explain(i)
        assert explanation.counts.tolist() == plain.tolist()
        votes_for = explanation.majorities[:6] == explanation.category
        assert explanation.n_for == votes_for.sum()
        assert explanation.n_for + explanation.n_against <= 6
        agreements = (model.partitions_[:, :6] == model.partitions_[i, :6]).sum(axis=1)
        agreements[i] = 0
        np.testing.assert_array_equal(
            explanation.neighbor_agreements, agreements[explanation.neighbors]
        )
        assert explanation.neighbor_agreements.max() == agreements.max()
        text = str(explanation)
        assert f"Partitions: {explanation.n_for} for it, {explanation.n_against} against" in text
        assert "; 3 not counted." in text
        assert [line.endswith("does not count") for line in text.splitlines()[-3:]] == [
            True,
            explanation.clusters[7] >= 0,
            True,
        ]


def test_an_explanation_says_where_a_known_label_comes_from(blobs):
    X, classes = blobs
    y = np.where(np.arange(len(X)) % 5 == 0, classes, -1)
    origins = np.where(np.arange(len(X)) % 10 == 0, "accepted", "given")
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, y, origins=origins)
    assert [model.explain(i).origin for i in (0, 5, 7)] == ["accepted", "given", "proposed"]
    assert f"Known label: {y[0]}, a proposal that was accepted." in str(model.explain(0))
    assert f"Known label: {y[5]}." in str(model.explain(5))
    assert "Known label" not in str(model.explain(7))
