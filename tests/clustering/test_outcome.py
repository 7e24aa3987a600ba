"""The outcome of a fit: groups, shares, and which samples become pseudo-labels or suspects."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import labelquorum as lq
from labelquorum._shared.distinct import DistinctRows
from labelquorum.clustering.outcome import Categories, Outcome, _without_empty
from strategies import share


@pytest.mark.slow
@pytest.mark.parametrize("pseudo_share", [0.2, 0.5, 1.0])
def test_pseudo_labels_are_the_most_certain_ones_of_all_and_of_each_category(digits, pseudo_share):
    X, _ = digits
    model = lq.ConsensusClusterer(10, pseudo_share=pseudo_share, random_state=0).fit(X)
    chosen = model.pseudo_labels_ >= 0
    np.testing.assert_array_equal(model.pseudo_labels_[chosen], model.labels_[chosen])
    confidence = model.confidence_
    expected = confidence >= np.sort(confidence)[::-1][int(pseudo_share * len(X)) - 1]
    assert expected.sum() >= int(pseudo_share * len(X))
    for label in range(10):
        members = np.flatnonzero(model.labels_ == label)
        n_least = max(1, int(pseudo_share / 10 * len(members)))
        least = np.sort(confidence[members])[::-1][n_least - 1]
        expected[members[confidence[members] >= least]] = True
    np.testing.assert_array_equal(chosen, expected)


def test_without_discovery_new_categories_are_no_labels():
    numbers = np.array([0, 1, 2, -1], dtype=np.int32)
    outcome = Outcome(
        Categories(np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.arange(4), numbers),
        n_known=2,
        known=None,
        groups=None,
        distinct=DistinctRows.all_of(4),
        features=np.zeros((4, 1), dtype=np.float32),
        is_certain=np.array([True, False, True, False]),
        discover=False,
    )
    np.testing.assert_array_equal(outcome.as_labels(numbers), [0, 1, -1, -1])
    np.testing.assert_array_equal(outcome.is_pseudo_label, [True, False, False, False])


def test_labels_with_less_than_half_of_the_largest_share_are_suspect():
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]], dtype=np.float32)
    numbers = np.array([0, 0, 0, 1], dtype=np.int32)
    outcome = Outcome(
        Categories(shares, np.array([0, 1, 2, 3, 3]), np.append(numbers, 1).astype(np.int32)),
        n_known=2,
        known=np.array([0, 0, 0, -1, 0], dtype=np.int32),
        groups=None,
        distinct=DistinctRows.all_of(5),
        features=np.zeros((5, 1), dtype=np.float32),
        is_certain=np.ones(5, dtype=bool),
        discover=True,
    )
    np.testing.assert_array_equal(outcome.suspects(), [4, 2])


def test_a_group_gets_the_category_with_the_largest_sum_of_its_samples_shares(digits):
    X, classes = digits
    rng = np.random.default_rng(0)
    groups = np.full(len(X), -1)
    for label in range(10):  # 20 groups of 4 samples each, of one digit
        groups[rng.permutation(np.flatnonzero(classes == label))[:80]] = (
            100 * label + np.arange(80) % 20
        )
    partitions = lq.base_partitions(X, 10, random_state=0)
    alone = lq.ConsensusClusterer(10).fit(X, partitions=partitions)
    model = lq.ConsensusClusterer(10).fit(X, partitions=partitions, groups=groups)
    # Groups change the sizes of categories, and so their order.
    new_numbers = np.array(
        [np.unique(model.labels_[(alone.labels_ == k) & (groups < 0)]) for k in range(10)]
    )
    np.testing.assert_array_equal(np.sort(new_numbers[:, 0]), range(10))
    assert (np.diff(np.bincount(model.labels_)) <= 0).all()
    shares = alone.outcome_.categories.shares_of(slice(None))
    n_divided = 0
    for group in np.unique(groups[groups >= 0]):
        members = np.flatnonzero(groups == group)
        candidates = np.unique(alone.labels_[members])
        sums = shares[members].sum(axis=0, dtype=np.float64)[candidates]
        winner = new_numbers[candidates[sums.argmax()], 0]
        np.testing.assert_array_equal(model.labels_[members], winner)
        np.testing.assert_allclose(model.confidence_[members], sums.max() / 4, rtol=1e-5)
        n_divided += len(candidates) > 1
    assert n_divided > 5
    in_group = groups >= 0
    accuracy = lq.clustering_accuracy(classes[in_group], model.labels_[in_group])
    assert accuracy > lq.clustering_accuracy(classes[in_group], alone.labels_[in_group])
    # A group of one sample gets what the sample would get.
    singles = lq.ConsensusClusterer(10, random_state=0).fit(
        X, partitions=alone.partitions_, groups=np.arange(len(X))
    )
    np.testing.assert_array_equal(singles.labels_, alone.labels_)
    np.testing.assert_allclose(singles.confidence_, alone.confidence_, rtol=1e-6)
    np.testing.assert_allclose(singles.predict_proba(X[:9]), alone.predict_proba(X[:9]), rtol=1e-4)


def test_a_known_label_applies_to_its_whole_group(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[np.flatnonzero(classes == 2)[:5]] = "two"
    first, other = np.flatnonzero(classes == 2)[0], np.flatnonzero(classes == 4)[0]
    groups = np.full(len(X), None, dtype=object)
    groups[[first, other]] = "thread 1"
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, y, groups=groups)
    assert model.labels_[other] == "two"
    assert (model.labels_[(classes == 4) & (np.arange(len(X)) != other)] != "two").all()
    y[other] = "four"
    message = f"sample {first} 'two' and sample {other} 'four'"
    message += f"|'two' for sample {first} and 'four' for sample {other}"
    with pytest.raises(ValueError, match=message):
        lq.ConsensusClusterer(5, random_state=0).fit(X, y, groups=groups)


def test_a_new_category_that_groups_leave_without_samples_is_dropped():
    X, partition = np.arange(40.0)[:, None], np.repeat([0, 1, 2], [20, 18, 2])
    groups = np.full(40, -1)
    groups[:20] = groups[38:] = 0
    with pytest.warns(UserWarning, match="tell only 2 categories apart"):
        model = lq.ConsensusClusterer(3).fit(X, partitions=partition[:, None], groups=groups)
    np.testing.assert_array_equal(model.labels_, np.repeat([0, 1, 0], [20, 18, 2]))
    assert model.n_clusters_ == 2
    np.testing.assert_allclose(
        model.outcome_.categories.shares_of(slice(None)).sum(axis=1), 1, rtol=1e-6
    )


def test_rows_with_shares_only_of_dropped_categories_get_equal_shares():
    shares = np.array([[0, 0, 1], [0.5, 0.2, 0.3], [0, 0, 1], [0.8, 0.2, 0]], dtype=np.float32)
    categories = Categories(shares, np.arange(4), np.array([0, 0, 1, 1], dtype=np.int32))
    kept = _without_empty(categories, n_known=0)
    np.testing.assert_allclose(kept.shares, [[0.5, 0.5], [5 / 7, 2 / 7], [0.5, 0.5], [0.8, 0.2]])
    np.testing.assert_array_equal(kept.numbers, [0, 0, 1, 1])


def test_groups_of_samples_without_votes_have_no_label():
    partition = np.repeat([0, 1, -1], 10)
    groups = np.where(partition < 0, 0, -1)
    model = lq.ConsensusClusterer(2).fit(
        np.arange(30.0)[:, None], partitions=partition[:, None], groups=groups
    )
    np.testing.assert_array_equal(model.labels_, partition)
    np.testing.assert_array_equal(model.confidence_[20:], 0.5)
    explanation = model.explain(25)
    assert explanation.category is None
    assert explanation.seed is None
    assert "every partition abstains on it" in repr(explanation)
    assert model.category_table_["size"].tolist() == [10, 10]


@pytest.mark.parametrize(
    "groups, error, message",
    [
        ([0, 1], ValueError, "groups must have 600 .* got 2"),
        (np.zeros(600), TypeError, "groups .*floats"),
        (np.zeros((600, 2), dtype=int), ValueError, r"groups .*shape \(600, 2\)"),
    ],
)
def test_bad_groups_are_named(blobs, groups, error, message):
    with pytest.raises(error, match=message):
        lq.ConsensusClusterer(5, random_state=0).fit(blobs[0], groups=groups)


@pytest.mark.filterwarnings("ignore:n_clusters is ., but the partitions tell only")
@pytest.mark.filterwarnings("ignore:partitions.* changes nothing")
@pytest.mark.filterwarnings("ignore:n_clusters is ., but y and votes name")
@share(0.2)
@given(st.data())
def test_groups_known_labels_and_abstentions_go_together(data):
    n = data.draw(st.integers(3, 14))
    shape = (n, data.draw(st.integers(1, 4)))
    partitions = data.draw(arrays(np.int8, shape, elements=st.integers(-1, 2)))
    partitions[0, 0] = 0
    y = data.draw(arrays(np.int64, n, elements=st.sampled_from([-1, -1, -1, 5, 6])))
    groups = data.draw(arrays(np.int64, n, elements=st.integers(-1, 3)))
    model = lq.ConsensusClusterer(data.draw(st.integers(1, 3)), min_cluster_size=1)
    known = {g: set(y[(groups == g) & (y >= 0)].tolist()) for g in range(4)}
    if any(len(labels) > 1 for labels in known.values()):
        with pytest.raises(ValueError, match="the same label in"):
            model.fit(np.zeros((n, 1)), y, partitions=partitions, groups=groups)
        return
    model.fit(np.zeros((n, 1)), y, partitions=partitions, groups=groups)
    np.testing.assert_array_equal(model.labels_[y >= 0], y[y >= 0])
    for g, known_labels in known.items():
        labels = np.unique(model.labels_[groups == g])
        assert len(labels) <= 1
        assert len(np.unique(model.confidence_[groups == g])) <= 1
        assert not known_labels or labels.tolist() == list(known_labels)
    np.testing.assert_array_equal(model.cut(model.n_clusters), model.labels_)
    table = model.category_table_
    sizes = [(model.labels_ == label).sum() for label in model.classes_]
    np.testing.assert_array_equal(table["size"], sizes)
    assert min(sizes) > 0
    assert table["n_labeled"].sum() == (y >= 0).sum()
    np.testing.assert_allclose(
        model.outcome_.categories.shares_of(slice(None)).sum(axis=1), 1, rtol=1e-5
    )
    for i in range(n):
        explanation = model.explain(i)
        label = -1 if explanation.category is None else explanation.category
        assert label == model.labels_[i]
        assert repr(explanation).startswith(f"Sample {i}: ")


def _sizes_of_new(model):
    outcome = model.outcome_
    sizes = np.bincount(outcome.categories.numbers, minlength=outcome.categories.n_categories)
    return sizes[outcome.n_known :]


@pytest.fixture(scope="module")
def unequal():
    """Rows of nine blobs, of 80 samples down to one, and their blobs."""
    rng = np.random.default_rng(0)
    blobs = np.repeat(np.arange(9), [80, 60, 40, 30, 20, 14, 8, 3, 1])
    return 12 * rng.normal(size=(9, 8))[blobs] + rng.normal(size=(len(blobs), 8)), blobs


@pytest.mark.parametrize("has_groups", [False, True])
@pytest.mark.parametrize("has_partitions", [False, True])
@pytest.mark.parametrize("kind", ["none", "integers", "strings"])
@pytest.mark.parametrize("n_clusters", [None, 3, 15])
@pytest.mark.parametrize("min_size", [None, 15, 50])
def test_no_new_category_is_smaller_than_the_minimum(
    unequal, min_size, n_clusters, kind, has_partitions, has_groups
):
    X, blobs = unequal
    rng = np.random.default_rng(1)
    y = None
    if kind != "none":  # the second known category has but 14 samples
        y = np.full(len(X), -1) if kind == "integers" else np.full(len(X), None, dtype=object)
        y[np.flatnonzero(blobs == 0)[:5]] = 7 if kind == "integers" else "large"
        y[np.flatnonzero(blobs == 5)[:3]] = 3 if kind == "integers" else "small"
    groups = partitions = None
    if has_groups:
        groups = np.full(len(X), -1)
        unlabeled = np.setdiff1d(np.arange(len(X)), np.flatnonzero(np.isin(blobs, (0, 5))))
        groups[rng.permutation(unlabeled)[:90]] = np.arange(90) % 30
    if has_partitions:
        is_noise = rng.random((len(X), 6)) < 0.2
        partitions = np.where(is_noise, rng.integers(0, 20, (len(X), 6)), blobs[:, None])
    model = lq.ConsensusClusterer(
        n_clusters, min_cluster_size=min_size, n_partitions=4, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # there may be fewer than n_clusters
        model.fit(X, y, partitions=partitions, groups=groups)
    least = min_size or (10 if n_clusters is None else 1)
    assert (_sizes_of_new(model) >= least).all()
    assert (model.outcome_.categories.numbers >= 0).all()
    for n in (2, 12):
        labels = model.cut(n)
        new = [name for name in set(labels.tolist()) if y is None or name not in set(y.tolist())]
        assert all((labels == name).sum() >= (min_size or 1) for name in new)


@share(0.3)
@given(data=st.data())
def test_sizes_hold_whatever_the_partitions_say(data):
    n = data.draw(st.integers(3, 30))
    partitions = data.draw(arrays(np.int64, (n, 3), elements=st.integers(0, 5)))
    y = data.draw(st.none() | arrays(np.int64, n, elements=st.integers(-1, 1)))
    groups = None
    if y is None:
        groups = data.draw(st.none() | arrays(np.int64, n, elements=st.integers(-1, 4)))
    n_clusters = data.draw(st.none() | st.integers(1, n))
    model = lq.ConsensusClusterer(n_clusters, min_cluster_size=data.draw(st.integers(1, 12)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.fit(np.zeros((n, 1)), y, partitions=partitions, groups=groups)
    sizes = _sizes_of_new(model)
    assert (sizes >= model.min_cluster_size).all() or model.n_clusters_ == 1
    assert len(sizes) + model.outcome_.n_known == model.n_clusters_ == len(model.classes_)


def test_a_minimum_may_leave_fewer_categories_than_asked_for(unequal):
    X, blobs = unequal
    model = lq.ConsensusClusterer(8, min_cluster_size=35, random_state=0)
    message = "tell only [1-5] categories of at least 35 samples apart"
    with pytest.warns(UserWarning, match=message):
        model.fit(X, partitions=np.column_stack([blobs] * 3))
    assert _sizes_of_new(model).min() >= 35
    assert model.n_clusters_ < 8


@pytest.mark.parametrize("n", [6, 30])
def test_without_a_minimum_the_number_of_categories_holds_in_small_data(n):
    X = 9 * np.eye(3)[np.arange(n) % 3] + np.random.default_rng(0).normal(size=(n, 3)) / 9
    model = lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X)
    np.testing.assert_array_equal(_sizes_of_new(model), n // 3)


def test_small_categories_join_those_they_are_voted_together_with():
    """Of 40, 30, 9 and 8 samples, the last two agree most, so that together they are enough."""
    blobs = np.repeat(np.arange(4), [40, 30, 9, 8])
    joined = np.minimum(blobs, 2)
    partitions = np.column_stack([blobs, joined, joined])
    model = lq.ConsensusClusterer(4, min_cluster_size=12, random_state=0)
    with pytest.warns(UserWarning, match="only 3 categories of at least 12 samples"):
        model.fit(np.zeros((len(blobs), 1)), partitions=partitions)
    np.testing.assert_array_equal(model.labels_, joined)


@given(
    shares=arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 5)),
        elements=st.sampled_from([0, 0.125, 0.25, 0.5]),
    ),
    seed=st.integers(0, 99),
)
@share(0.5)
def test_the_runner_up_has_the_largest_share_beside_the_own_category(shares, seed):
    rng = np.random.RandomState(seed)
    rows = rng.randint(len(shares), size=8)
    own = rng.randint(-1, shares.shape[1], size=8).astype(np.int32)
    numbers, found = Categories(shares, rows, own).runners_up()
    for i, (number, value) in enumerate(zip(numbers, found, strict=True)):
        others = [x for k, x in enumerate(shares[rows[i]]) if k != own[i]]
        largest = max(others, default=0) if own[i] >= 0 else 0
        assert value == largest
        if largest == 0:
            assert number == -1
        else:
            assert number != own[i]
            assert shares[rows[i], number] == largest


def test_the_runner_up_is_that_of_the_explanation(digits):
    model = lq.ConsensusClusterer(10, random_state=0).fit(digits[0][:300])
    numbers, shares = model.outcome_.categories.runners_up()
    for i in range(0, 300, 23):
        explanation = model.explain(i)
        assert shares[i] == np.float32(explanation.runner_up_share)
        if shares[i]:
            assert model.classes_[numbers[i]] == explanation.runner_up
