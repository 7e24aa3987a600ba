"""novelty: scores, the novel share, and emerging categories."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import labelquorum as lq
from labelquorum._shared.distinct import DistinctRows
from labelquorum.clustering.novelty import novelty


def test_new_classes_of_digits_are_found(digits):
    X, classes = digits
    is_training = (classes < 8) & (np.arange(len(X)) % 3 > 0)
    model = lq.ConsensusClusterer(8, n_partitions=8, random_state=0).fit(X[is_training])
    new, is_new = X[~is_training], classes[~is_training] >= 8
    result = model.novelty(new)
    assert roc_auc_score(is_new, result.scores) > 0.97
    assert (result.scores[~is_new] >= 0.95).mean() < 0.08
    assert 0.3 < result.share_at_least < result.share < is_new.mean()
    in_group = result.groups >= 0
    assert is_new[in_group].mean() > 0.98
    assert in_group[is_new].mean() > 0.9
    for group in range(result.n_groups):  # each holds one digit
        digits_of_group = classes[~is_training][result.groups == group]
        assert len(digits_of_group) >= 5
        assert np.bincount(digits_of_group).max() > 0.8 * len(digits_of_group)
    text = repr(result)
    assert text.startswith(f"{result.share:.1%} of {len(new)} new samples are novel (at least ")
    assert len(text.splitlines()) == 1 + result.n_groups
    again = model.set_params(n_jobs=3).novelty(new)
    np.testing.assert_array_equal(again.scores, result.scores)
    np.testing.assert_array_equal(again.groups, result.groups)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_new_in_samples_like_the_training_data(digits, seed):
    X, _ = digits
    order = np.random.default_rng(seed).permutation(len(X))
    model = lq.ConsensusClusterer(10, n_partitions=4, random_state=0).fit(X[order[:1200]])
    result = model.novelty(X[order[1200:]])
    assert result.share < 0.02
    assert result.n_groups == 0
    # Scores are calibrated: they exceed 1 - a with a probability of a.
    for a in (0.05, 0.2, 0.5, 0.8):
        assert abs((result.scores >= 1 - a).mean() - a) < 0.06


def test_scores_are_shares_of_training_samples_that_are_closer_to_the_others(blobs):
    X = blobs[0][:60]
    model = lq.ConsensusClusterer(3, n_partitions=4, random_state=0).fit(X)
    new = np.concatenate([blobs[0][60:80], [[50.0] * 6]])
    between = np.linalg.norm(X[:, None] - X, axis=2)
    np.fill_diagonal(between, np.inf)
    usual = np.sort(between, axis=1)[:, :5].mean(axis=1)
    distances = np.sort(np.linalg.norm(new[:, None] - X, axis=2), axis=1)[:, :5].mean(axis=1)
    n_closer = [(usual < distance).sum() for distance in distances]
    result = model.novelty(new)
    np.testing.assert_allclose(result.scores, np.array(n_closer) / 61)
    assert result.scores[-1] == 60 / 61
    n_counted = (result.scores >= 0.95).sum()
    assert result.share == pytest.approx(max(0, (n_counted / 21 - 0.05) / 0.95))
    assert model.novelty(new, level=0.2).share == pytest.approx(
        max(0, ((result.scores >= 0.8).mean() - 0.2) / 0.8)
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_training, n_new", [(60, 300), (400, 100)])
def test_the_lower_bound_of_the_novel_share_holds(n_training, n_new):
    rng = np.random.default_rng(0)
    n_draws, n_novel = 400, n_new // 5
    n_violations = {0: 0, n_novel: 0}
    for _ in range(n_draws):
        for n in n_violations:
            rows = rng.normal(size=(n_training + n_new, 2)).astype(np.float32)
            rows[n_training : n_training + n] += 9
            result = emerging(rows[:n_training], rows[n_training:], n_new + 1)
            n_violations[n] += result.share_at_least > n / n_new
    assert max(n_violations.values()) <= 0.05 * n_draws


def emerging(training, new, size):
    distinct = DistinctRows.of(training)
    rows = training[distinct.samples]
    return novelty(rows, distinct, new, level=0.05, min_group_size=size, n_threads=1)


def test_categories_that_emerge_by_chance_are_rare():
    rng = np.random.default_rng(0)
    n_alarms = {1: 0, 3: 0, 5: 0}
    for _ in range(60):
        rows = rng.integers(0, 30, size=(250, 2)).astype(np.float32)  # with duplicates
        for size in n_alarms:
            n_alarms[size] += emerging(rows[:150], rows[150:], size).n_groups > 0
    assert max(n_alarms.values()) <= 5


def test_a_category_emerges_though_none_of_its_samples_is_far_from_the_others():
    """The new category lies between training samples, and is as dense as they are."""
    rng = np.random.default_rng(0)
    wide = rng.uniform(-1, 1, size=(4000, 2))
    model = lq.ConsensusClusterer(4, n_partitions=4, random_state=0).fit(wide)
    new = np.concatenate([rng.uniform(-1, 1, size=(300, 2)), rng.normal(0, 0.01, size=(40, 2))])
    result = model.novelty(new)
    assert result.scores[300:].max() < 0.9
    assert result.n_groups == 1
    assert (result.groups[300:] == 0).all()
    assert (result.groups[:300] == 0).sum() < 5
    # It does not emerge if it is smaller than an emerging category has to be.
    assert model.novelty(new, min_group_size=60).n_groups == 0
    assert model.novelty(new, min_group_size=400).n_groups == 0


def test_one_new_sample_and_few_training_samples_are_enough():
    model = lq.ConsensusClusterer(1, n_partitions=4, random_state=0).fit([[0.0], [1.0], [3.0]])
    result = model.novelty([[9.0]])
    np.testing.assert_array_equal(result.scores, [0.75])
    assert (result.share, result.n_groups) == (0, 0)
    far = model.novelty([[1e30], [0.0]], min_group_size=1)
    np.testing.assert_array_equal(far.scores, [0.75, 0])


@pytest.mark.parametrize("min_cluster_size", [1, 100, 400])
def test_the_smallest_category_of_the_fit_says_nothing_about_new_samples(min_cluster_size):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 4)) + 20 * (np.arange(1000)[:, None] % 2)
    model = lq.ConsensusClusterer(2, min_cluster_size=min_cluster_size, random_state=0)
    model.fit(X)
    new = np.concatenate([X[:300] + 0.1, rng.normal(size=(58, 4)) - 20])
    result = model.novelty(new)
    assert result.n_groups == 1
    np.testing.assert_array_equal(result.groups >= 0, np.arange(358) >= 300)
    assert model.novelty(new, min_group_size=59).n_groups == 0


@pytest.mark.parametrize("n_group", [6, 12, 40])
def test_small_batches_show_small_groups(n_group):
    rng = np.random.default_rng(n_group)
    model = lq.ConsensusClusterer(1, n_partitions=4, random_state=0)
    model.fit(rng.normal(size=(500, 3)))
    new = np.concatenate([rng.normal(size=(n_group, 3)) + 9, rng.normal(size=(40, 3))])
    groups = model.novelty(new).groups
    np.testing.assert_array_equal(groups[:n_group], 0)
    np.testing.assert_array_equal(groups[n_group:], -1)


@pytest.mark.parametrize(
    "value, error, message",
    [
        (0, ValueError, "min_group_size must be .*, got 0"),
        (2.5, TypeError, "min_group_size must be .*, got 2.5"),
        (None, TypeError, "min_group_size must be .*, got None"),
    ],
)
def test_a_bad_size_of_groups_is_named(blobs, value, error, message):
    model = lq.ConsensusClusterer(5, n_partitions=4, random_state=0).fit(blobs[0])
    with pytest.raises(error, match=message):
        model.novelty(blobs[0], min_group_size=value)


@pytest.mark.parametrize(
    "X, level, error, message",
    [
        ([[0.0] * 5], 0.05, ValueError, "X has 5 features"),
        ([[np.nan] * 6], 0.05, ValueError, "X .*NaN"),
        ([[0.0] * 6], 0, ValueError, "level must be .*, got 0"),
        ([[0.0] * 6], 1, ValueError, r"level must be a number in \(0, 1\), got 1"),
        ([[0.0] * 6], "5 %", TypeError, "level must be .*, got '5 %'"),
    ],
)
def test_bad_arguments_are_named(blobs, X, level, error, message):
    model = lq.ConsensusClusterer(5, n_partitions=4, random_state=0).fit(blobs[0])
    with pytest.raises(error, match=message):
        model.novelty(X, level=level)
