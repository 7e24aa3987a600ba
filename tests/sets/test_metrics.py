"""Measures of clusters within sets, against published examples and naive versions."""

from __future__ import annotations

import tracemalloc
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import labelquorum as lq
from strategies import share

# The example of Bagga and Baldwin, "Algorithms for scoring coreference chains" (LREC 1998). Luo,
# "On coreference resolution performance metrics" (HLT/EMNLP 2005), uses it for CEAF.
KEY = [0] * 5 + [1] * 2 + [2] * 5
LARGE_JOINED = [0] * 5 + [1] * 7
SMALL_JOINED = [0] * 5 + [1] * 2 + [0] * 5


@pytest.mark.parametrize(
    ("found", "b_cubed", "muc", "ceaf_m", "ceaf_e"),
    [
        (LARGE_JOINED, (0.762, 1.0, 0.865), (0.9, 1.0, 0.947), 0.833, 0.733),
        (SMALL_JOINED, (0.583, 1.0, 0.737), (0.9, 1.0, 0.947), 0.583, 0.667),
    ],
)
def test_scores_equal_the_published_ones(found, b_cubed, muc, ceaf_m, ceaf_e):
    scores = lq.set_scores(KEY, found)
    assert scores["b_cubed"] == pytest.approx(b_cubed, abs=1e-3)
    assert scores["muc"] == pytest.approx(muc, abs=1e-3)
    assert scores["ceaf_m"].f1 == pytest.approx(ceaf_m, abs=1e-3)
    assert scores["ceaf_e"].f1 == pytest.approx(ceaf_e, abs=1e-3)
    conll = np.mean([b_cubed[2], muc[2], ceaf_e])
    assert scores["conll"].f1 == pytest.approx(conll, abs=1e-3)


def test_muc_counts_missing_links():
    # Vilain et al. (MUC-6, 1995): one of the three links of a chain of four items is missing.
    assert lq.set_scores(list("aaaa"), list("aabb"))["muc"] == pytest.approx((1, 2 / 3, 0.8))


def naive_scores(true, found):
    """All measures by their definitions, on sets of items."""

    def clusters(labels):
        return [frozenset(np.flatnonzero(labels == name).tolist()) for name in np.unique(labels)]

    def links(items):
        return {frozenset(pair) for pair in combinations(sorted(items), 2)}

    n = len(true)
    keys, responses = clusters(true), clusters(found)

    def f1(right_found, all_found, right_true, all_true):
        p = right_found / all_found if all_found else 1
        r = right_true / all_true if all_true else 1
        return p, r, 2 * p * r / (p + r) if p + r else 0

    key_links = set().union(*(links(k) for k in keys))
    response_links = set().union(*(links(k) for k in responses))
    n_both = len(key_links & response_links)
    result = {"pairwise": f1(n_both, len(response_links), n_both, len(key_links))}
    of_items = [
        (next(k for k in keys if i in k), next(r for r in responses if i in r)) for i in range(n)
    ]
    result["b_cubed"] = f1(
        sum(len(k & r) / len(r) for k, r in of_items),
        n,
        sum(len(k & r) / len(k) for k, r in of_items),
        n,
    )

    def muc(first, second):
        missing = sum(
            len({next(i for i, o in enumerate(second) if x in o) for x in k}) for k in first
        )
        return n - missing, n - len(first)

    result["muc"] = f1(*muc(responses, keys), *muc(keys, responses))
    few, many = sorted([keys, responses], key=len)
    for name, phi in (
        ("ceaf_m", lambda a, b: len(a & b)),
        ("ceaf_e", lambda a, b: 2 * len(a & b) / (len(a) + len(b))),
    ):
        best = max(
            sum(phi(a, b) for a, b in zip(few, order, strict=False))
            for order in permutations(many, len(few))
        )
        result[name] = f1(
            best, sum(phi(r, r) for r in responses), best, sum(phi(k, k) for k in keys)
        )

    def lea(first, second):
        total = 0
        for k in first:
            if len(k) == 1:
                total += k in second
            else:
                total += len(k) * sum(len(links(k & o)) for o in second) / len(links(k))
        return total, n

    result["lea"] = f1(*lea(responses, keys), *lea(keys, responses))
    return result


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=10))
def test_scores_equal_naive_versions(items):
    true, found = np.array(items).T
    scores = lq.set_scores(true, found)
    for name, expected in naive_scores(true, found).items():
        assert scores[name] == pytest.approx(expected), name


@share(0.3)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_the_true_clusters_under_other_names_are_perfect(labels):
    names = np.array(["x", "y", "z", "u"])[labels]
    for score in lq.set_scores(labels, names).values():
        assert score == pytest.approx((1, 1, 1))


def test_joint_b_cubed_counts_items_of_the_right_category():
    true, found = [0, 0, 1, 1], [0, 0, 0, 1]
    scores = lq.set_scores(
        true, found, true_categories=["a", "a", "b", "b"], found_categories=["a", "a", "a", None]
    )
    # Items 2 and 3 have wrong categories. Items 0 and 1 are 2 of the 3 items of their cluster.
    assert scores["joint_b_cubed"] == pytest.approx((1 / 3, 1 / 2, 0.4))
    same = lq.set_scores(true, found, true_categories=true, found_categories=true)
    assert same["joint_b_cubed"] == same["b_cubed"]


def test_all_sets_have_the_same_weight():
    rng = np.random.default_rng(0)
    true = [rng.integers(4, size=n) for n in (1, 5, 30, 12)]
    found = [rng.integers(4, size=len(labels)) for labels in true]
    result = lq.evaluate_sets(true, found, random_state=0)
    for name, score in result.scores.items():
        each = [lq.set_scores(a, b)[name] for a, b in zip(true, found, strict=True)]
        assert score == pytest.approx(np.mean(each, axis=0))
        low, high = result.f1_intervals[name]
        assert low <= score.f1 <= high
    assert result == lq.evaluate_sets(true, found, random_state=0)
    assert "b_cubed" in repr(result)


@pytest.mark.slow
def test_intervals_cover_the_true_mean_as_often_as_promised():
    rng = np.random.default_rng(1)
    n_covered = 0
    for draw in range(100):
        true = [[0, 0]] * 60
        found = [[0, 0] if right else [0, 1] for right in rng.random(60) < 0.7]
        result = lq.evaluate_sets(true, found, random_state=draw, n_bootstraps=300)
        low, high = result.f1_intervals["pairwise"]
        n_covered += low <= 0.7 <= high
    assert 86 <= n_covered <= 100


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([0, 1], [0]), ValueError, "found must have 2 values, as true has, got 1"),
        (
            ([0, -1], [0, 0]),
            ValueError,
            "true must name a cluster for each item, got none for item 1",
        ),
        (([0.5, 1], [0, 0]), TypeError, "true must hold integers, got floats"),
        (([], []), ValueError, "true must hold at least one sample, got none"),
    ],
)
def test_bad_sets_are_named(args, error, message):
    with pytest.raises(error, match=message):
        lq.set_scores(*args)


@pytest.mark.parametrize(
    ("args", "settings", "message"),
    [
        (([], []), {}, "true must hold at least one set, got none"),
        (([[0]], [[0], [0]]), {}, "found must hold 1 sets, as true does, got 2"),
        (([[0]], [[0]]), {"level": 1}, r"level must be a number in \(0, 1\), got 1"),
        (
            ([[0]], [[0]]),
            {"n_bootstraps": 0},
            "n_bootstraps must be an integer of at least 1, got 0",
        ),
        (([[0]], [[0]]), {"true_categories": [[0]]}, "must be passed together, got only true_cat"),
        (
            ([[0]], [[0]]),
            {"true_categories": [[0, 1]], "found_categories": [[0]]},
            "true_categories must have 1 values, as true has, got 2",
        ),
    ],
)
def test_bad_lists_of_sets_are_named(args, settings, message):
    with pytest.raises(ValueError, match=message):
        lq.evaluate_sets(*args, **settings)


@pytest.mark.parametrize("sets", [{1: 2}, {1, 2}, "ab", b"ab", 3, None])
def test_sets_that_are_no_list_are_refused(sets):
    right = [[0, 1], [0, 0]]
    for true, found in [(sets, right), (right, sets)]:
        with pytest.raises(TypeError, match="must be a list of arrays, one per set, got"):
            lq.evaluate_sets(true, found)


def test_any_iterable_of_sets_is_taken():
    sets = [[0, 1], [0, 0]]
    assert lq.evaluate_sets(iter(sets), tuple(sets)).n_sets == 2


# Memory for what clusters share, not for all pairs of them


@share(0.5)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_scores_equal_those_of_the_whole_table(n, n_true, n_found, seed):
    rng = np.random.default_rng(seed)
    true, found = rng.integers(n_true, size=n), rng.integers(n_found, size=n)
    table = np.zeros((n_true, n_found))
    np.add.at(table, (true, found), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    of_true, of_found = table.sum(axis=1), table.sum(axis=0)
    scores = lq.set_scores(true, found)
    for name, similarity, total_found, total_true in [
        ("ceaf_m", table, n, n),
        (
            "ceaf_e",
            2 * table / (of_true[:, None] + of_found),
            len(of_found),
            len(of_true),
        ),
    ]:
        best = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
        assert scores[name].precision == pytest.approx(best / total_found)
        assert scores[name].recall == pytest.approx(best / total_true)
    assert scores["b_cubed"].precision == pytest.approx((table**2 / of_found).sum() / n)
    assert scores["b_cubed"].recall == pytest.approx((table**2 / of_true[:, None]).sum() / n)


@pytest.mark.parametrize("found", ["singletons", "pairs", "one", "chain"])
def test_memory_is_linear_in_the_items(found):
    n = 50_000
    items = np.arange(n)
    true = items // 2 if found == "pairs" else items
    others = {"one": np.zeros(n, dtype=int), "chain": (items + 1) // 2 % (n // 2)}
    labels = others.get(found, items[::-1])
    tracemalloc.start()
    scores = lq.set_scores(true, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * n
    if found == "singletons":
        assert all(score == pytest.approx((1, 1, 1)) for score in scores.values())
