"""PreClusteringSampler: what to label next, what that says of the rest, and how sure it is."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.active_learning.walks import Chooser, Known, Walks
from labelquorum.quality.checks import lower_bound

# scikit-learn exempts its own estimators, by name, from taking -1 for a class.
MINUS_ONE = {check_classifiers_classes.__name__: "-1 is no label"}


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
def blobs():
    return make_blobs(240, 3, centers=[[0] * 3, [6] * 3, [12, 0, 0]], random_state=0)


@pytest.fixture(scope="module")
def digits():
    X, classes = load_digits(return_X_y=True)
    return X[:500], classes[:500]


def sampler(blobs, **parameters):
    return lq.PreClusteringSampler(**({"random_state": 0} | parameters)).fit(blobs[0])


def found_codes(model):
    """What the model says of each training sample, whatever its own label says."""
    return model._found(model._shares())[model.clusters_]


def drive(model, classes, n_queries, batch=1):
    asked = []
    for _ in range(n_queries):
        found = model.query(batch)
        model.teach(found, classes[found])
        asked += found.tolist()
    return asked


# The walks, against walks that are simulated by powers of a matrix.


def simulated(steps, chance, cells):
    """Chances to come to each of some nodes first; a walk stops before each step by chance."""
    n = len(steps)
    found = np.zeros((n, len(cells)))
    where = np.eye(n)
    for _ in range(20_000):
        for place, cell in enumerate(cells):
            found[:, place] += where[:, cell]
            where[:, cell] = 0
        where = (1 - chance) * where @ steps
        if where.sum() < 1e-12:
            break
    return found


@given(st.integers(2, 9), st.integers(0, 10_000))
def test_walks_end_where_simulated_ones_do(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    degrees = weights.sum(axis=1, keepdims=True)
    steps = np.divide(weights, degrees, out=np.zeros_like(weights), where=degrees > 0)
    walks = Walks(scipy.sparse.csr_array(weights))
    cells = np.sort(rng.choice(n, rng.integers(1, n + 1), replace=False))
    for s, chance in enumerate((0.3, 0.1, 0.03)):
        np.testing.assert_allclose(walks.hits(s, cells), simulated(steps, chance, cells), atol=2e-3)


def naive_scores(walks, known, n_open, asked, errors):
    """Expected error times density, from the definition."""
    n = len(walks.visits[0])
    total = np.zeros(n)
    for s in range(len(walks.visits)):
        ends = [*known.cells.tolist(), *asked]
        hits = walks.hits(s, np.array(ends)) if ends else np.zeros((n, 0))
        b = len(known.cells)
        expected = np.empty(n)
        for x in range(n):
            shares = hits[x, :b] @ known.shares
            expected[x] = 1 - hits[x, b:].sum() - shares.max(initial=0)
        expected[known.cells] = errors
        scores = np.empty(n)
        for q in range(n):
            if q in ends:
                scores[q] = expected[q] * expected[q] * n_open[q]
            else:
                reach = walks.hits(s, np.array([*ends, q]))[:, -1]
                scores[q] = expected[q] * (reach * expected * n_open).sum()
        total += scores / max(scores[n_open > 0].max(), 1e-12)  # all are 0 where nothing is left
    return total


@given(st.integers(3, 8), st.integers(0, 10_000))
def test_scores_are_expected_error_times_density(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    walks = Walks(scipy.sparse.csr_array(weights))
    clusters = np.sort(np.concatenate([np.arange(n), rng.integers(n, size=3 * n)])).astype(np.int32)
    codes = np.where(rng.random(4 * n) < 0.2, rng.integers(3, size=4 * n), -1).astype(np.int32)
    known = Known.of(codes, clusters, np.ones(3, bool))
    order = np.arange(4 * n, dtype=np.int32)
    chooser = Chooser(walks, known, order, clusters, codes < 0, [])
    n_open = np.bincount(clusters[codes < 0], minlength=n).astype(float)
    asked = []
    for _ in range(3):
        if not n_open.any():
            break
        errors = chooser._errors_among_labeled()
        scores = naive_scores(walks, known, n_open, asked, errors)
        scores[n_open == 0] = -1
        cell = clusters[chooser.next()]
        assert scores[cell] >= scores.max() - 1e-3 * abs(scores.max()) - 1e-6
        n_open[cell] -= 1
        if cell not in known.cells and cell not in asked:
            asked.append(cell)


# The loop.


def test_the_first_queries_find_all_groups(blobs):
    model = sampler(blobs)
    asked = drive(model, blobs[1], 3)
    assert sorted(blobs[1][asked]) == [0, 1, 2]
    np.testing.assert_array_equal(model.predict(), blobs[1])
    np.testing.assert_array_equal(model.predict(blobs[0] + 1e-3), blobs[1])


def test_a_batch_finds_all_groups_too(blobs):
    assert sorted(blobs[1][sampler(blobs).query(3)]) == [0, 1, 2]


def test_larger_groups_come_first():
    X, classes = make_blobs([30, 200, 90], 3, centers=[[0] * 3, [20] * 3, [40] * 3], random_state=0)
    found = classes[drive(sampler((X, classes)), classes, 5)].tolist()
    assert found[:2] == [1, 2]
    assert 0 in found


def test_few_labels_go_far_on_digits(digits):
    X, classes = digits
    model = sampler(digits)
    drive(model, classes, 10, 5)
    assert (model.predict() == classes).mean() > 0.9
    probabilities = model.predict_proba()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict())
    assert (model.predict(X) == classes).mean() > 0.9


@pytest.mark.parametrize("n_clusters", [2, 40, 300])
def test_mini_clusters_stand_for_their_samples(digits, n_clusters):
    X, classes = digits
    model = sampler(digits, n_clusters=n_clusters)
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


def test_every_sample_is_asked_once_and_then_none(blobs):
    X, classes = blobs[0][:30], blobs[1][:30]
    for parameters in ({}, {"n_clusters": 4}, {"audit_share": 0.5}):
        model = sampler((X, classes), **parameters)
        asked = drive(model, classes, 15, 2)
        assert sorted(asked) == list(range(30))
        assert model.query(5).tolist() == []
        np.testing.assert_array_equal(model.predict(), classes)
        np.testing.assert_array_equal(model.labeled_indices_, np.arange(30))
        np.testing.assert_array_equal(model.labels_given_, classes)


def test_more_asked_for_than_there_are(blobs):
    assert sorted(sampler((blobs[0][:7], None)).query(100)) == list(range(7))


@pytest.mark.parametrize("audit_share", [0.0, 0.3])
def test_asked_again_it_says_the_same(blobs, audit_share):
    model = sampler(blobs, audit_share=audit_share)
    drive(model, blobs[1], 3, 4)
    np.testing.assert_array_equal(model.query(6), model.query(6))


def test_skipped_samples_are_not_asked_again_until_forgotten(blobs):
    model = sampler(blobs)
    first = model.query()
    model.teach(first, None)
    assert first[0] not in model.query(len(blobs[0]))
    assert len(model.labeled_indices_) == 0
    model.forget(first)
    np.testing.assert_array_equal(model.query(), first)
    model.teach(int(first[0]), -1)
    assert first[0] not in model.query(50)


def test_labels_are_replaced_and_taken_back(blobs):
    model = sampler(blobs)
    model.teach([0, 1], ["a", "b"])
    model.teach(0, "c")
    assert model.labels_given_.tolist() == ["c", "b"]
    assert model.categories_.tolist() == ["b", "c"]
    model.forget(0)
    assert model.labeled_indices_.tolist() == [1]
    assert model.categories_.tolist() == ["b"]
    assert set(model.predict()) == {"b"}


def test_to_take_all_back_is_to_begin_again(blobs):
    model = sampler(blobs)
    first = model.query(4)
    drive(model, blobs[1], 3, 5)
    model.forget(model.labeled_indices_)
    np.testing.assert_array_equal(model.query(4), first)


def test_a_single_class(blobs):
    model = sampler(blobs)
    drive(model, np.zeros(len(blobs[0]), int), 5, 2)
    assert set(model.predict()) == {0}
    np.testing.assert_allclose(model.predict_proba(), 1)
    assert len(model.query(3)) == 3


def test_known_labels_are_given_to_fit(blobs):
    X, classes = blobs
    y = np.where(np.arange(len(X)) < 40, classes, -1)
    model = lq.PreClusteringSampler(random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labeled_indices_, np.arange(40))
    assert not set(model.query(60)) & set(range(40))
    np.testing.assert_array_equal(model.predict(), classes)
    nothing = lq.PreClusteringSampler(random_state=0).fit(X, np.full(len(X), -1))
    np.testing.assert_array_equal(nothing.query(3), sampler(blobs).query(3))


def test_all_labels_known(blobs):
    X, classes = blobs
    model = lq.PreClusteringSampler(audit_share=0.5).fit(X, classes)
    assert model.query(3).tolist() == []
    assert model.precision_bound() == 1.0
    np.testing.assert_array_equal(model.predict(), classes)


def test_small_categories_stay_out_of_predictions(blobs):
    X, classes = blobs
    names = np.array(["big", "tiny", "other"])[classes]
    model = sampler(blobs, min_samples_per_category=2)
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
    found = model.predict()
    assert set(found[classes == 1]) == {None}
    assert set(found[classes == 0]) == {"big"}
    assert (model.predict_proba()[classes == 1].sum(axis=1) < 0.9).all()
    # What cannot be predicted is worth a question.
    assert classes[model.query()[0]] == 1
    i = int(np.flatnonzero(classes == 1)[1])
    model.teach(i, "tiny")
    assert set(model.predict()[classes == 1]) == {"tiny"}


def test_one_label_for_a_mini_cluster(blobs):
    model = sampler(blobs, n_clusters=10)
    first = int(model.query()[0])
    members = model.cluster_members(first)
    model.teach(first, 5)
    found = model.teach_cluster(first, 5)
    assert sorted([first, *found]) == sorted(members)
    assert model.labeled_indices_.tolist() == [first]
    assert not set(model.query(len(blobs[0]))) & set(members)
    assert (model.predict()[members] == 5).all()
    model.teach(int(found[0]), 6)
    assert model.predict()[found[0]] == 6
    model.forget(found)
    assert set(found) <= set(model.query(len(blobs[0])))
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


def test_by_the_cosine_lengths_do_not_count(blobs):
    X = blobs[0] - blobs[0].mean(axis=0)
    lengths = np.random.default_rng(0).uniform(0.1, 10, len(X))
    scaled = X / np.linalg.norm(X, axis=1, keepdims=True)
    scaled -= scaled.mean(axis=0)
    model = sampler((scaled, None), metric="cosine")
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    distances = unit[0] @ unit.T
    nearest = np.setdiff1d(np.argsort(-distances)[:11], [0])
    graph = model._graph
    assert set(nearest) <= set(graph.indices[graph.indptr[0] : graph.indptr[1]])
    for i in range(len(X)):
        model.teach(i, i)
    assert (model.predict(scaled * lengths[:, None]) == np.arange(len(X))).mean() > 0.9


def test_sparse_rows(blobs):
    X = scipy.sparse.random(80, 300, 0.1, format="csr", random_state=0)
    model = lq.PreClusteringSampler(20, random_state=0).fit(X)
    model.teach(model.query(4), [0, 1, 0, 1])
    assert model.predict(X).shape == (80,)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_same_for_any_number_of_threads(blobs, n_jobs):
    model, other = sampler(blobs, n_jobs=n_jobs, n_clusters=50), sampler(blobs, n_clusters=50)
    assert drive(model, blobs[1], 12) == drive(other, blobs[1], 12)


# Saved and resumed.


@pytest.mark.parametrize(("n_clusters", "metric"), [(None, "euclidean"), (30, "cosine")])
@pytest.mark.parametrize("names", [("a", "ü", "long name"), (0, 5, 7)])
def test_a_saved_loop_goes_on_as_it_would_have(blobs, tmp_path, n_clusters, metric, names):
    X, classes = blobs
    names = np.array(names)[classes]
    model = sampler(blobs, n_clusters=n_clusters, metric=metric, audit_share=0.3)
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


def test_asked_before_it_was_saved(blobs, tmp_path):
    model = sampler(blobs, audit_share=0.5)
    asked = model.query(6)
    model.save(tmp_path / "state.npz")
    other = lq.PreClusteringSampler.load(tmp_path / "state.npz")
    np.testing.assert_array_equal(other.query(6), asked)
    other.teach(asked, blobs[1][asked])
    assert other.n_audits_ == 3


def test_checks_alone_teach_nothing(blobs):
    model = sampler(blobs, audit_share=0.5)
    asked = model.query(6)
    checks = asked[model._answers.is_audit[asked]]
    model.teach(checks, blobs[1][checks])
    with pytest.raises(ValueError, match="no label to learn from so far but those of 3 checks"):
        model.predict()


def test_replayed_answers_lead_to_the_same_state(blobs):
    model = sampler(blobs, audit_share=0.3)
    asked = drive(model, blobs[1], 40)
    other = sampler(blobs, audit_share=0.3)
    for i in asked:
        other.teach(i, blobs[1][i])
    assert other.n_audits_ == model.n_audits_
    np.testing.assert_array_equal(other.query(5), model.query(5))


def test_pickled_and_cloned(blobs):
    model = sampler(blobs)
    drive(model, blobs[1], 5)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.query(5), model.query(5))
    assert clone(model).get_params() == model.get_params()


def test_files_that_are_none_of_ours(blobs, tmp_path):
    path = tmp_path / "state.npz"
    with pytest.raises(FileNotFoundError):
        lq.PreClusteringSampler.load(path)
    path.write_bytes(b"not a zip archive")
    with pytest.raises(ValueError, match="damaged or not a saved sampler"):
        lq.PreClusteringSampler.load(path)
    np.savez(path, a=np.arange(3))
    with pytest.raises(ValueError, match="damaged or not a saved sampler"):
        lq.PreClusteringSampler.load(path)
    model = sampler(blobs)
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged or not a saved sampler"):
        lq.PreClusteringSampler.load(path)
    path.write_bytes(whole)
    with np.load(path) as arrays:
        kept = dict(arrays)
    kept["meta"] = np.array(json.dumps(json.loads(str(kept["meta"])) | {"version": 99}))
    np.savez(path, **kept)
    with pytest.raises(ValueError, match="version 99 of the format; wanted 1"):
        lq.PreClusteringSampler.load(path)
    with pytest.raises(OSError, match="cannot be written"):
        model.save(tmp_path / "no folder" / "state.npz")


# The bound.


def test_checks_are_a_share_of_what_is_asked(digits):
    model = sampler(digits, audit_share=0.25)
    for n, batch in ((8, 8), (9, 1), (12, 3), (40, 28)):
        asked = model.query(batch)
        model.teach(asked, digits[1][asked])
        assert len(model.labeled_indices_) == n
        # Those that the model would have asked for anyway are checks no longer.
        assert n // 4 - 2 <= model.n_audits_ <= n // 4


def test_no_checks_no_bound(blobs):
    model = sampler(blobs)
    drive(model, blobs[1], 10)
    assert model.n_audits_ == 0
    assert model.precision_bound() == 0.0
    assert model.n_looks_ == 0


def test_each_look_has_its_share_of_the_error_probability(digits):
    classes = digits[1]
    model = sampler(digits, audit_share=0.5)
    for look in range(1, 4):
        drive(model, classes, 1, 40)
        checked = model._answers.checked()
        right = (found_codes(model) == model._answers.codes)[checked].sum()
        wanted = lower_bound(right, checked.sum(), 0.05 / (look * (look + 1)))
        assert model.precision_bound() == pytest.approx(float(wanted))
        assert model.precision_bound() == pytest.approx(float(wanted))
        assert model.n_looks_ == look
    assert model.precision_bound() > 0.8


def test_the_model_does_not_learn_from_checks(digits):
    X, classes = digits
    model = sampler(digits, audit_share=0.5)
    drive(model, classes, 30, 2)
    without = sampler(digits)
    taught = np.flatnonzero(model._answers.taught() >= 0)
    without.teach(taught, classes[taught])
    np.testing.assert_array_equal(model.predict(X), without.predict(X))


def test_checks_do_not_change_what_else_is_asked(digits):
    classes = digits[1]
    without = drive(sampler(digits), classes, 60)
    model = sampler(digits, audit_share=0.4)
    learned = []
    for _ in range(60):
        asked = model.query()
        model.teach(asked, classes[asked])
        taught = set(np.flatnonzero(model._answers.taught() >= 0).tolist())
        learned += sorted(taught - set(learned))
    assert set(learned) == set(without[: len(learned)])
    assert len(learned) >= 36


@pytest.mark.parametrize(("n_queries", "batch"), [(4, 1), (2, 2), (1, 4)])
def test_given_what_was_learned_checks_are_any_of_the_other_samples(n_queries, batch):
    """All orders of drawing: each set of checks is as frequent as any other."""
    X, classes = make_blobs(6, 2, centers=2, random_state=1)
    counts: dict[tuple[frozenset[int], int], dict[frozenset[int], int]] = {}
    model = lq.PreClusteringSampler(audit_share=0.5, random_state=0).fit(X)
    start = pickle.dumps(model)
    for order in itertools.permutations(range(6)):
        model = pickle.loads(start)
        model._answers.audit_order = np.array(order, dtype=np.int32)
        drive(model, classes, n_queries, batch)
        learned = frozenset(np.flatnonzero(model._answers.taught() >= 0).tolist())
        checks = frozenset(np.flatnonzero(model._answers.checked()).tolist())
        of_learned = counts.setdefault((learned, len(checks)), {})
        of_learned[checks] = of_learned.get(checks, 0) + 1
    assert len(counts) > 1
    for (learned, n_checks), of_learned in counts.items():
        assert len(of_learned) == len(
            list(itertools.combinations(set(range(6)) - learned, n_checks))
        )
        assert len(set(of_learned.values())) == 1


def test_the_bound_holds_in_all_looks_together():
    """Hard groups, small audits: how often is any bound of a loop above the truth?"""
    level, n_missed, n_loops = 0.75, 0, 60
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    for seed in range(n_loops):
        of_loop = np.random.default_rng(seed)
        # Half of the samples can be told by their place.
        classes = np.where(of_loop.random(120) < 0.5, X[:, 0] > 0, of_loop.random(120) < 0.5)
        model = lq.PreClusteringSampler(30, audit_share=0.5, random_state=seed).fit(X)
        is_missed = False
        for _ in range(4):
            drive(model, classes.astype(int), 1, 12)
            bound = model.precision_bound(level)
            others = model._answers.is_population()
            named = np.array(model._answers.names)[found_codes(model)]
            precision = (named == classes)[others].mean()
            is_missed |= bound > precision + 1e-12
        n_missed += is_missed
    # The bounds of four looks share 1 - level: 4/5 of it; a deviation is 5 %.
    assert n_missed / n_loops <= 0.2 + 0.1


# What is refused.


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 10_001}, ValueError, "n_clusters is 10001; wanted 1 to 10000"),
        ({"n_clusters": "5"}, TypeError, r"n_clusters must be.* got '5' \(str\)"),
        ({"metric": "l1"}, ValueError, "metric must be 'euclidean' or 'cosine', got 'l1'"),
        ({"audit_share": 1}, ValueError, r"audit_share is 1; wanted a number in \[0, 1\)"),
        ({"audit_share": -0.1}, ValueError, r"audit_share must be.* got -0\.1"),
        ({"min_samples_per_category": 0}, ValueError, "min_samples_per_category must be.* got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be.* got 0"),
    ],
)
def test_bad_parameters(blobs, parameters, error, message):
    with pytest.raises(error, match=message):
        sampler(blobs, **parameters)


@pytest.mark.parametrize(
    ("indices", "labels", "error", "message"),
    [
        ([240], [0], ValueError, "indices holds 240; wanted 0 to 239: training samples"),
        ([-1], [0], ValueError, "indices holds -1; wanted 0 to 239"),
        ([0.0], [0], TypeError, "indices has dtype float64; wanted integers"),
        ([[0]], [0], ValueError, r"indices has shape \(1, 1\); wanted an integer or 1-D"),
        ([3, 3], [0, 1], ValueError, "indices holds 3 more than once"),
        ([1, 2], [0], ValueError, r"labels has shape \(1,\); wanted \(2,\), as indices"),
        ([1], [0.5], TypeError, "labels holds 0.5"),
        ([1], [float("nan")], TypeError, "labels holds nan"),
        ([1], [b"x"], TypeError, "labels holds b'x'"),
        ([1], ["x"], TypeError, "labels holds strings and numbers; wanted one kind"),
        ([1, 2], ["x", 1], TypeError, "labels holds strings and numbers; wanted one kind"),
    ],
)
def test_bad_answers_change_nothing(blobs, indices, labels, error, message):
    model = sampler(blobs).teach(0, 1)
    with pytest.raises(error, match=message):
        model.teach(indices, labels)
    assert model.labeled_indices_.tolist() == [0]


def test_other_bad_calls(blobs):
    model = sampler(blobs)
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n must be an integer of at least 1, got {n}"):
            model.query(n)
    for call in (model.predict, model.predict_proba, model.precision_bound):
        with pytest.raises(ValueError, match="no label to learn from so far; wanted some, by"):
            call()
    with pytest.raises(ValueError, match="label is None; wanted a label"):
        model.teach_cluster(0, None)
    with pytest.raises(ValueError, match="index must be an integer from 0 to 239"):
        model.cluster_members(240)
    model.teach(0, 1)
    with pytest.raises(ValueError, match="level is 0"):
        model.precision_bound(0.5)
    with pytest.raises(ValueError, match="NaN"):
        lq.PreClusteringSampler().fit([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="1 sample"):
        lq.PreClusteringSampler().fit([[0.0]])
    with pytest.raises(ValueError, match="y must have 240 values, one per sample, got 1"):
        lq.PreClusteringSampler().fit(blobs[0], [1])
