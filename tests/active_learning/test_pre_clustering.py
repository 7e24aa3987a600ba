"""PreClusteringSampler: what it asks, what it predicts, and whether its bound holds."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.quality.checks import lower_bound

# This check uses -1 as a class. scikit-learn skips it for its own semi-supervised estimators.
MINUS_ONE = {check_classifiers_classes.__name__: "-1 means no label"}


@parametrize_with_checks(
    [lq.PreClusteringSampler(), lq.PreClusteringSampler(4)],
    expected_failed_checks=lambda estimator: MINUS_ONE,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_string_classes_are_the_classes_of_scikit_learn():
    X, y = make_blobs(60, random_state=0)
    names = np.array(["one", "two", "three"], dtype=object)[y]
    model = lq.PreClusteringSampler().fit(X, names)
    assert model.classes_.tolist() == ["one", "three", "two"]
    np.testing.assert_array_equal(model.predict(), names)


@pytest.fixture(scope="module")
def three_blobs():
    """Features and classes of 240 samples in three Gaussian clusters, far from each other."""
    return make_blobs(240, 3, centers=[[0] * 3, [6] * 3, [12, 0, 0]], random_state=0)


@pytest.fixture(scope="module")
def some_digits(digits):
    """Features and classes of the first 500 digits."""
    return digits[0][:500], digits[1][:500]


def fitted(data, **parameters):
    return lq.PreClusteringSampler(**({"random_state": 0} | parameters)).fit(data[0])


def drive(model, classes, n_queries, batch=1):
    """Answer some queries; return the samples that were asked."""
    asked = []
    for _ in range(n_queries):
        samples = model.query(batch)
        model.teach(samples, classes[samples])
        asked += samples.tolist()
    return asked


# Queries and answers


def test_the_first_queries_find_all_groups(three_blobs):
    model = fitted(three_blobs)
    asked = drive(model, three_blobs[1], 3)
    assert sorted(three_blobs[1][asked]) == [0, 1, 2]
    np.testing.assert_array_equal(model.predict(), three_blobs[1])
    np.testing.assert_array_equal(model.predict(three_blobs[0] + 1e-3), three_blobs[1])


def test_a_batch_finds_all_groups_too(three_blobs):
    assert sorted(three_blobs[1][fitted(three_blobs).query(3)]) == [0, 1, 2]


def test_larger_groups_come_first():
    X, classes = make_blobs([30, 200, 90], 3, centers=[[0] * 3, [20] * 3, [40] * 3], random_state=0)
    classes_asked = classes[drive(fitted((X, classes)), classes, 5)].tolist()
    assert classes_asked[:2] == [1, 2]
    assert 0 in classes_asked


def test_fifty_labels_are_enough_for_most_digits(some_digits):
    X, classes = some_digits
    model = fitted(some_digits)
    drive(model, classes, 10, 5)
    assert (model.predict() == classes).mean() > 0.9
    probabilities = model.predict_proba()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict())
    assert (model.predict(X) == classes).mean() > 0.9


@pytest.mark.parametrize("n_clusters", [2, 40, 300])
def test_labels_of_clusters_are_those_of_their_samples(some_digits, n_clusters):
    X, classes = some_digits
    model = fitted(some_digits, n_clusters=n_clusters)
    assert len(np.unique(model.clusters_)) <= n_clusters
    asked = drive(model, classes, 30)
    assert len(set(asked)) == 30
    predicted = model.predict()
    np.testing.assert_array_equal(predicted[asked], classes[asked])
    if n_clusters >= 40:
        assert (predicted == classes).mean() > 0.7
    members = model.cluster_members(asked[0])
    np.testing.assert_array_equal(
        np.sort(members), np.flatnonzero(model.clusters_ == model.clusters_[asked[0]])
    )
    rows = X[members] - X[members].mean(axis=0)
    assert (np.diff(np.linalg.norm(rows, axis=1)) >= -1e-3).all()


def test_every_sample_is_asked_once_and_then_nothing(three_blobs):
    X, classes = three_blobs[0][:30], three_blobs[1][:30]
    for parameters in ({}, {"n_clusters": 4}, {"audit_share": 0.5}):
        model = fitted((X, classes), **parameters)
        asked = drive(model, classes, 15, 2)
        assert sorted(asked) == list(range(30))
        assert model.query(5).tolist() == []
        np.testing.assert_array_equal(model.predict(), classes)
        np.testing.assert_array_equal(model.labeled_indices_, np.arange(30))
        np.testing.assert_array_equal(model.labels_given_, classes)


def test_a_query_for_too_many_returns_all_samples(three_blobs):
    assert sorted(fitted((three_blobs[0][:7], None)).query(100)) == list(range(7))


@pytest.mark.parametrize("audit_share", [0.0, 0.3])
def test_a_repeated_query_returns_the_same_samples(three_blobs, audit_share):
    model = fitted(three_blobs, audit_share=audit_share)
    drive(model, three_blobs[1], 3, 4)
    np.testing.assert_array_equal(model.query(6), model.query(6))


def test_skipped_samples_are_not_asked_again_until_forgotten(three_blobs):
    model = fitted(three_blobs)
    first = model.query()
    model.teach(first, None)
    assert first[0] not in model.query(len(three_blobs[0]))
    assert len(model.labeled_indices_) == 0
    model.forget(first)
    np.testing.assert_array_equal(model.query(), first)
    model.teach(int(first[0]), -1)
    assert first[0] not in model.query(50)


def test_labels_are_replaced_and_taken_back(three_blobs):
    model = fitted(three_blobs)
    model.teach([0, 1], ["a", "b"])
    model.teach(0, "c")
    assert model.labels_given_.tolist() == ["c", "b"]
    assert model.categories_.tolist() == ["b", "c"]
    model.forget(0)
    assert model.labeled_indices_.tolist() == [1]
    assert model.categories_.tolist() == ["b"]
    assert set(model.predict()) == {"b"}


def test_without_its_labels_the_model_starts_again(three_blobs):
    model = fitted(three_blobs)
    first = model.query(4)
    drive(model, three_blobs[1], 3, 5)
    model.forget(model.labeled_indices_)
    np.testing.assert_array_equal(model.query(4), first)


def test_a_single_class(three_blobs):
    model = fitted(three_blobs)
    drive(model, np.zeros(len(three_blobs[0]), int), 5, 2)
    assert set(model.predict()) == {0}
    np.testing.assert_allclose(model.predict_proba(), 1)
    assert len(model.query(3)) == 3


def test_known_labels_are_given_to_fit(three_blobs):
    X, classes = three_blobs
    y = np.where(np.arange(len(X)) < 40, classes, -1)
    model = lq.PreClusteringSampler(random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labeled_indices_, np.arange(40))
    assert not set(model.query(60)) & set(range(40))
    np.testing.assert_array_equal(model.predict(), classes)
    nothing = lq.PreClusteringSampler(random_state=0).fit(X, np.full(len(X), -1))
    np.testing.assert_array_equal(nothing.query(3), fitted(three_blobs).query(3))


def test_nothing_is_asked_if_all_labels_are_known(three_blobs):
    X, classes = three_blobs
    model = lq.PreClusteringSampler(audit_share=0.5).fit(X, classes)
    assert model.query(3).tolist() == []
    assert model.precision_bound() == 1.0
    np.testing.assert_array_equal(model.predict(), classes)


def test_small_categories_stay_out_of_predictions(three_blobs):
    X, classes = three_blobs
    names = np.array(["big", "tiny", "other"])[classes]
    model = fitted(three_blobs, min_samples_per_category=2)
    asked = [int(np.flatnonzero(classes == c)[0]) for c in (0, 1, 2)]
    model.teach(asked, names[asked])
    assert model.classes_.tolist() == []
    assert set(model.predict()) == {None}
    assert model.predict_proba().shape == (len(X), 0)
    for c in (0, 2):
        i = int(np.flatnonzero(classes == c)[1])
        model.teach(i, names[i])
    assert model.classes_.tolist() == ["big", "other"]
    assert model.categories_.tolist() == ["big", "other", "tiny"]
    predicted = model.predict()
    assert set(predicted[classes == 1]) == {None}
    assert set(predicted[classes == 0]) == {"big"}
    assert (model.predict_proba()[classes == 1].sum(axis=1) < 0.9).all()
    # A sample whose category cannot be predicted is asked next.
    assert classes[model.query()[0]] == 1
    i = int(np.flatnonzero(classes == 1)[1])
    model.teach(i, "tiny")
    assert set(model.predict()[classes == 1]) == {"tiny"}


def test_one_label_for_a_whole_cluster(three_blobs):
    model = fitted(three_blobs, n_clusters=10)
    first = int(model.query()[0])
    members = model.cluster_members(first)
    model.teach(first, 5)
    labeled = model.teach_cluster(first, 5)
    assert sorted([first, *labeled]) == sorted(members)
    assert model.labeled_indices_.tolist() == [first]
    assert not set(model.query(len(three_blobs[0]))) & set(members)
    assert (model.predict()[members] == 5).all()
    model.teach(int(labeled[0]), 6)
    assert model.predict()[labeled[0]] == 6
    model.forget(labeled)
    assert set(labeled) <= set(model.query(len(three_blobs[0])))
    other = model.teach_cluster(first, 7, members=[0, 1, first])
    assert other.tolist() == [i for i in (0, 1) if i != first]


def test_two_samples_and_samples_that_are_the_same():
    model = lq.PreClusteringSampler().fit([[0.0], [1.0]])
    assert len(model.query(2)) == 2
    model.teach([0, 1], ["x", "y"])
    assert model.predict([[0.0], [1.0]]).tolist() == ["x", "y"]
    for n_clusters in (None, 2):
        model = lq.PreClusteringSampler(n_clusters).fit(np.ones((6, 2)))
        model.teach(model.query(), 1)
        assert set(model.predict()) == {1}
        assert len(model.query(9)) == 5


def test_lengths_do_not_count_with_the_cosine(three_blobs):
    X = three_blobs[0] - three_blobs[0].mean(axis=0)
    lengths = np.random.default_rng(0).uniform(0.1, 10, len(X))
    scaled = X / np.linalg.norm(X, axis=1, keepdims=True)
    scaled -= scaled.mean(axis=0)
    model = fitted((scaled, None), metric="cosine")
    for i in range(len(X)):
        model.teach(i, i)
    assert (model.predict(scaled * lengths[:, None]) == np.arange(len(X))).mean() > 0.9


def test_sparse_samples():
    X = scipy.sparse.random(80, 300, 0.1, format="csr", random_state=0)
    model = lq.PreClusteringSampler(20, random_state=0).fit(X)
    model.teach(model.query(4), [0, 1, 0, 1])
    assert model.predict(X).shape == (80,)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_same_for_any_number_of_threads(three_blobs, n_jobs):
    model, other = (
        fitted(three_blobs, n_jobs=n_jobs, n_clusters=50),
        fitted(three_blobs, n_clusters=50),
    )
    assert drive(model, three_blobs[1], 12) == drive(other, three_blobs[1], 12)


# Saved and resumed


@pytest.mark.parametrize(("n_clusters", "metric"), [(None, "euclidean"), (30, "cosine")])
@pytest.mark.parametrize("names", [("a", "ü", "long name"), (0, 5, 7)])
def test_a_loaded_model_continues_like_the_saved_one(
    three_blobs, tmp_path, n_clusters, metric, names
):
    X, classes = three_blobs
    names = np.array(names)[classes]
    model = fitted(three_blobs, n_clusters=n_clusters, metric=metric, audit_share=0.3)
    drive(model, names, 6, 3)
    model.teach(model.query(2), None)
    model.teach_cluster(5, names[5])
    model.precision_bound()
    path = tmp_path / "state.npz"
    model.save(path)
    other = lq.PreClusteringSampler.load(path)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    assert other.get_params() == model.get_params()
    for loop in (model, other):
        loop.asked = drive(loop, names, 10, 3)
        loop.bound = loop.precision_bound()
    assert model.asked == other.asked
    assert model.bound == other.bound
    np.testing.assert_array_equal(model.predict(), other.predict())
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(model.labels_given_, other.labels_given_)
    assert list(tmp_path.iterdir()) == [path]


def test_a_query_before_saving_is_remembered(three_blobs, tmp_path):
    model = fitted(three_blobs, audit_share=0.5)
    asked = model.query(6)
    model.save(tmp_path / "state.npz")
    other = lq.PreClusteringSampler.load(tmp_path / "state.npz")
    np.testing.assert_array_equal(other.query(6), asked)
    other.teach(asked, three_blobs[1][asked])
    assert other.n_audits_ == 3


def test_nothing_is_learned_from_audits_alone(three_blobs):
    model = fitted(three_blobs, audit_share=0.5)
    asked = model.query(6)
    audits = asked[model._book.is_audit[asked]]
    model.teach(audits, three_blobs[1][audits])
    with pytest.raises(ValueError, match="has no labels to learn from besides those of 3 audits"):
        model.predict()


def test_replayed_answers_lead_to_the_same_state(three_blobs):
    model = fitted(three_blobs, audit_share=0.3)
    asked = drive(model, three_blobs[1], 40)
    other = fitted(three_blobs, audit_share=0.3)
    for i in asked:
        other.teach(i, three_blobs[1][i])
    assert other.n_audits_ == model.n_audits_
    np.testing.assert_array_equal(other.query(5), model.query(5))


def test_pickled_and_cloned(three_blobs):
    model = fitted(three_blobs)
    drive(model, three_blobs[1], 5)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.query(5), model.query(5))
    assert clone(model).get_params() == model.get_params()


def test_damaged_files_are_refused(three_blobs, tmp_path):
    path = tmp_path / "state.npz"
    model = fitted(three_blobs)
    model.save(path)
    with np.load(path) as arrays:
        kept = dict(arrays)
    del kept["centers"]
    np.savez(path, **kept)
    with pytest.raises(ValueError, match=r"damaged or not a saved sampler .*centers"):
        lq.PreClusteringSampler.load(path)
    with pytest.raises(OSError, match="cannot be written"):
        model.save(tmp_path / "no folder" / "state.npz")


# Audits and the bound


def test_audits_are_a_share_of_the_questions(some_digits):
    model = fitted(some_digits, audit_share=0.25)
    for n, batch in ((8, 8), (9, 1), (12, 3), (40, 28)):
        asked = model.query(batch)
        model.teach(asked, some_digits[1][asked])
        assert len(model.labeled_indices_) == n
        # Audits that the model would have asked anyway become ordinary samples.
        assert n // 4 - 2 <= model.n_audits_ <= n // 4


def test_without_audits_the_bound_is_0(three_blobs):
    model = fitted(three_blobs)
    drive(model, three_blobs[1], 10)
    assert model.n_audits_ == 0
    assert model.precision_bound() == 0.0
    assert model.n_looks_ == 0


def test_each_look_has_its_share_of_the_error_probability(some_digits):
    classes = some_digits[1]
    model = fitted(some_digits, audit_share=0.5)
    for look in range(1, 4):
        drive(model, classes, 1, 40)
        audited = model._book.is_answered_audit()
        n_right = (model._predicted_codes() == model._book.codes)[audited].sum()
        expected = lower_bound(n_right, audited.sum(), 0.05 / (look * (look + 1)))
        assert model.precision_bound() == pytest.approx(float(expected))
        assert model.precision_bound() == pytest.approx(float(expected))
        assert model.n_looks_ == look
    assert model.precision_bound() > 0.8


def test_the_model_does_not_learn_from_audits(some_digits):
    X, classes = some_digits
    model = fitted(some_digits, audit_share=0.5)
    drive(model, classes, 30, 2)
    without = fitted(some_digits)
    taught = np.flatnonzero(model._book.codes_to_learn() >= 0)
    without.teach(taught, classes[taught])
    np.testing.assert_array_equal(model.predict(X), without.predict(X))


def test_audits_do_not_change_what_else_is_asked(some_digits):
    classes = some_digits[1]
    without = drive(fitted(some_digits), classes, 60)
    model = fitted(some_digits, audit_share=0.4)
    learned = []
    for _ in range(60):
        asked = model.query()
        model.teach(asked, classes[asked])
        taught = set(np.flatnonzero(model._book.codes_to_learn() >= 0).tolist())
        learned += sorted(taught - set(learned))
    assert set(learned) == set(without[: len(learned)])
    assert len(learned) >= 36


@pytest.mark.slow
@pytest.mark.parametrize(("n_queries", "batch"), [(4, 1), (2, 2), (1, 4)])
def test_given_what_was_learned_all_sets_of_audits_are_equally_likely(n_queries, batch):
    """Try all orders of drawing: each set of audits comes up equally often."""
    X, classes = make_blobs(6, 2, centers=2, random_state=1)
    counts: dict[tuple[frozenset[int], int], dict[frozenset[int], int]] = {}
    model = lq.PreClusteringSampler(audit_share=0.5, random_state=0).fit(X)
    start = pickle.dumps(model)
    for order in itertools.permutations(range(6)):
        model = pickle.loads(start)
        model._book.audit_order = np.array(order, dtype=np.int32)
        drive(model, classes, n_queries, batch)
        learned = frozenset(np.flatnonzero(model._book.codes_to_learn() >= 0).tolist())
        audits = frozenset(np.flatnonzero(model._book.is_answered_audit()).tolist())
        count_by_audits = counts.setdefault((learned, len(audits)), {})
        count_by_audits[audits] = count_by_audits.get(audits, 0) + 1
    assert len(counts) > 1
    for (learned, n_audits), count_by_audits in counts.items():
        assert len(count_by_audits) == len(
            list(itertools.combinations(set(range(6)) - learned, n_audits))
        )
        assert len(set(count_by_audits.values())) == 1


def test_the_bound_holds_in_all_looks_together():
    """Count how often a bound is above the true precision, on hard data with few audits."""
    level, n_missed, n_loops = 0.75, 0, 60
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    for seed in range(n_loops):
        loop_rng = np.random.default_rng(seed)
        # Half of the classes depend on X, the others are random.
        classes = np.where(loop_rng.random(120) < 0.5, X[:, 0] > 0, loop_rng.random(120) < 0.5)
        model = lq.PreClusteringSampler(30, audit_share=0.5, random_state=seed).fit(X)
        is_missed = False
        for _ in range(4):
            drive(model, classes.astype(int), 1, 12)
            bound = model.precision_bound(level)
            population = model._book.is_population()
            predicted = np.array(model._book.names)[model._predicted_codes()]
            precision = (predicted == classes)[population].mean()
            is_missed |= bound > precision + 1e-12
        n_missed += is_missed
    # Four looks use 4/5 of the error probability 1 - level; two standard deviations are 0.1.
    assert n_missed / n_loops <= 0.2 + 0.1


# Bad arguments


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 10_001}, ValueError, "n_clusters must be at most 10000, got 10001"),
        ({"n_clusters": "5"}, TypeError, "n_clusters must be an integer of at least 1, got '5'"),
        ({"metric": "l1"}, ValueError, "metric must be 'euclidean' or 'cosine', got 'l1'"),
        ({"audit_share": 1}, ValueError, "audit_share must be below 1, got 1"),
        ({"audit_share": -0.1}, ValueError, "audit_share must be a number of at least 0, got -0.1"),
        ({"min_samples_per_category": 0}, ValueError, "min_samples_per_category must be .*, got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be .*, got 0"),
    ],
)
def test_bad_parameters_are_refused(three_blobs, parameters, error, message):
    with pytest.raises(error, match=message):
        fitted(three_blobs, **parameters)


@pytest.mark.parametrize(
    ("indices", "labels", "error", "message"),
    [
        ([240], [0], ValueError, r"indices must be from 0 to 239 \(training samples\), got 240"),
        ([-1], [0], ValueError, "indices must be from 0 to 239 .*, got -1"),
        ([0.0], [0], TypeError, "indices must be integers, got dtype float64"),
        ([[0]], [0], ValueError, r"indices must be an integer or .*, got shape \(1, 1\)"),
        ([3, 3], [0, 1], ValueError, "indices must be distinct, got 3 more than once"),
        ([1, 2], [0], ValueError, r"labels must have shape \(2,\), .*, got \(1,\)"),
        ([1], [0.5], TypeError, r"labels must hold integers, got floats .*, 0\.5"),
        ([1], [-2], ValueError, "labels must hold integers of at least 0, .*, got -2"),
        ([1], [b"x"], TypeError, "labels must hold integers, strings or bools, .*, got b'x'"),
        (
            [1],
            ["x"],
            TypeError,
            "labels must be all strings or all integers, .*, got both",
        ),
        (
            [1, 2],
            ["x", 1],
            TypeError,
            "labels must be all strings or all integers, .*, got both",
        ),
    ],
)
def test_bad_answers_change_nothing(three_blobs, indices, labels, error, message):
    model = fitted(three_blobs).teach(0, 1)
    with pytest.raises(error, match=message):
        model.teach(indices, labels)
    assert model.labeled_indices_.tolist() == [0]


def test_bad_calls_are_refused(three_blobs):
    model = fitted(three_blobs)
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n must be an integer of at least 1, got {n}"):
            model.query(n)
    for call in (model.predict, model.predict_proba, model.precision_bound):
        with pytest.raises(ValueError, match="has no labels to learn from: give some"):
            call()
    with pytest.raises(ValueError, match="label must be a category, got None"):
        model.teach_cluster(0, None)
    with pytest.raises(ValueError, match=r"index must be an integer from 0 to 239 .*, got 240"):
        model.cluster_members(240)
    model.teach(0, 1)
    with pytest.raises(ValueError, match=r"level must be a number in .*, got 0"):
        model.precision_bound(0.5)
    with pytest.raises(ValueError, match="NaN"):
        lq.PreClusteringSampler().fit([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="1 sample"):
        lq.PreClusteringSampler().fit([[0.0]])
    with pytest.raises(ValueError, match="y must have 240 values, one per sample, got 1"):
        lq.PreClusteringSampler().fit(three_blobs[0], [1])


def test_equal_samples_are_asked_once_before_they_are_asked_again():
    X = np.repeat(np.arange(10.0)[:, None] ** 2, 6, axis=0)
    sampler = lq.PreClusteringSampler(20, random_state=0).fit(X)
    assert len(set((sampler.query(10) // 6).tolist())) == 10


def test_bools_and_integers_are_not_mixed_over_calls():
    sampler = lq.PreClusteringSampler(4, random_state=0).fit(np.arange(8.0)[:, None])
    sampler.teach([1], [True])
    with pytest.raises(TypeError, match="True equals 1"):
        sampler.teach([5], [1])
