"""LabelBook: which labels count, which samples are audits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.active_learning.answers import LabelBook, as_names, as_samples


def book_of(n, seed=0):
    return LabelBook(n, np.random.default_rng(seed).permutation(n).astype(np.int32))


def test_one_label_counts_for_all_samples():
    assert as_names("a", 3, []) == ["a", "a", "a"]
    assert as_names(np.int64(4), 2, [1]) == [4, 4]


def test_minus_one_and_none_skip_a_sample():
    assert as_names([3, -1, None], 3, []) == [3, None, None]
    assert as_names(["x", None], 2, ["y"]) == ["x", None]
    assert as_names(float("nan"), 1, ["y"]) == as_names("", 1, ["y"]) == [None]
    assert as_names([2.0, 7], 2, []) == [2, 7]


@pytest.mark.parametrize(
    ("labels", "n", "known_names", "error", "message"),
    [
        ([0], 2, [], ValueError, r"labels must have shape \(2,\), one .*, got \(1,\)"),
        ([[0, 1]], 1, [], ValueError, r"labels must be 1-D, .*, got shape \(1, 2\)"),
        ([0.5], 1, [], TypeError, r"labels must hold integers, got floats .*, 0\.5"),
        ([-2], 1, [], ValueError, "labels must hold integers of at least 0, .* got -2"),
        ([b"x"], 1, [], TypeError, "labels must hold integers, strings or bools, .*, got b'x'"),
        (
            ["x"],
            1,
            [1],
            TypeError,
            "labels must be all strings or all integers, .*, got both",
        ),
        (
            ["x", 1],
            2,
            [],
            TypeError,
            "labels must be all strings or all integers, .*, got both",
        ),
    ],
)
def test_bad_labels_are_refused(labels, n, known_names, error, message):
    with pytest.raises(error, match=message):
        as_names(labels, n, known_names)


def test_indices_become_distinct_samples():
    assert as_samples(3, 4).tolist() == [3]
    assert as_samples([], 4).tolist() == []
    assert as_samples(np.array([2, 0], np.uint8), 4).dtype == np.int64


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([240], ValueError, r"indices must be from 0 to 239 \(training samples\), got 240"),
        ([-1], ValueError, "indices must be from 0 to 239 .*, got -1"),
        ([0.0], TypeError, "indices must be integers, got dtype float64"),
        ([[0]], ValueError, r"indices must be an integer or a 1-D array, got shape \(1, 1\)"),
        ([3, 3], ValueError, "indices must be distinct, got 3 more than once"),
    ],
)
def test_bad_indices_are_refused(indices, error, message):
    with pytest.raises(error, match=message):
        as_samples(indices, 240)


def test_labels_are_recorded_replaced_and_erased():
    book = book_of(5)
    book.record(np.array([0, 1]), ["b", "a"])
    book.record(np.array([0, 2]), ["c", None])
    assert book.labels_of(book.all_codes(), 1).tolist() == ["c", "a", None, None, None]
    assert book.categories(1)[0].tolist() == ["a", "c"]
    assert book.is_open().tolist() == [False, False, False, True, True]
    book.erase(np.array([0, 2]))
    assert book.categories(1)[0].tolist() == ["a"]
    assert book.is_open().tolist() == [True, False, True, True, True]


def test_unseen_labels_go_to_samples_without_an_answer():
    book = book_of(4)
    book.record(np.array([0, 1]), [7, None])
    assert book.record_unseen(np.arange(4), 8).tolist() == [2, 3]
    assert book.codes_to_learn().tolist() == [0, -1, 1, 1]
    assert not book.is_open().any()
    assert book.is_population().tolist() == [False, False, True, True]


@given(st.floats(0, 0.99), st.lists(st.integers(1, 6), max_size=12), st.integers(0, 100))
def test_audits_are_their_share_of_the_answers(audit_share, batches, seed):
    book = book_of(40, seed)
    n_answers = 0
    for n in batches:
        audits = book.draw_audits(audit_share, n)
        assert book.draw_audits(audit_share, n) == audits
        others = np.flatnonzero(book.is_open() & ~book.is_audit)[: n - len(audits)]
        answered = np.array([*audits, *others], dtype=np.int64)
        book.record(answered, [0] * len(answered))
        n_answers += len(answered)
        if n_answers < 40:
            assert book.is_answered_audit().sum() == int(audit_share * n_answers + 1e-9)


def test_labels_of_audits_are_not_learned_until_they_are_released():
    book = book_of(10)
    (audit,) = book.draw_audits(0.5, 2)
    book.record(np.array([audit]), ["a"])
    assert (book.codes_to_learn() == -1).all()
    assert book.all_codes()[audit] == 0
    predicted = np.full(10, -1)
    predicted[[audit, 0, 1]] = 0
    n_labels = len({audit, 0, 1})
    assert book.audit_results(predicted) == (1, 1, n_labels)
    assert book.release_audit(audit)
    assert book.codes_to_learn()[audit] == 0
    assert book.audit_results(predicted).n_audited == 0


def test_a_book_made_from_its_state_continues_in_the_same_way():
    book = book_of(20)
    book.record(np.array(book.draw_audits(0.5, 6)), ["a", "b", "a"])
    book.record_unseen(np.array([4, 5]), "c")
    values, arrays = book.state()
    copies = {name: array.copy() for name, array in arrays.items()}
    copy = LabelBook.of_state(values | {"names": list(book.names)}, copies)
    assert copy.draw_audits(0.5, 9) == book.draw_audits(0.5, 9)
    np.testing.assert_array_equal(copy.codes_to_learn(), book.codes_to_learn())
    assert copy.categories(1)[0].tolist() == ["a", "b", "c"]
