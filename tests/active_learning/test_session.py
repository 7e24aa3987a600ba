"""Labeling sessions: questions, groups, undo, and replay of the answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs

from labelquorum.active_learning.pre_clustering import PreClusteringSampler
from labelquorum.active_learning.session import N_CHECKS, LabelingSession, Offer, Question
from strategies import share

# Three groups. Rows 0, 1 and 40 are not asked about.
X, CLASSES = make_blobs(60, 4, centers=3, cluster_std=0.5, random_state=0)
ROWS = [row for row in range(60) if row not in (0, 1, 40)]
PARTITIONS = np.column_stack([CLASSES, CLASSES])[ROWS]


def _sampler(**options):
    return PreClusteringSampler(random_state=0, **options).fit(X[ROWS])


def _session(events=(), stored=None, **options):
    store = [].append if stored is None else stored.append
    return LabelingSession(_sampler(**options), PARTITIONS, ROWS, store, events)


def _name(row):
    return f"class {CLASSES[row]}"


def _state(session):
    labels = session.labels(60)
    return (
        session.ask(),
        labels.labels.tolist(),
        labels.origins.tolist(),
        labels.confidence.round(6).tolist(),
        session.categories,
        (session.n_labeled, session.n_of_group, session.n_left),
    )


def test_the_first_question_has_no_proposals_and_the_answer_becomes_one():
    session = _session()
    asked = session.ask()
    assert isinstance(asked, Question)
    assert asked.row in ROWS
    assert asked.proposals == []
    assert session.labels(60).labels.tolist() == [None] * 60
    session.answer(asked.row, "a")
    assert [p.category for p in session.ask().proposals] == ["a"]
    assert session.categories == {"a": 1}
    assert (session.n_labeled, session.n_left) == (1, 56)


def test_proposals_are_learned_from_the_answers():
    session = _session()
    for _ in range(12):
        asked = session.ask()
        session.answer(asked.row, _name(asked.row))
    assert sorted(session.categories) == ["class 0", "class 1", "class 2"]
    asked = session.ask()
    assert asked.proposals[0].category == _name(asked.row)
    shares = [p.share for p in asked.proposals]
    assert shares == sorted(shares, reverse=True)
    labels = session.labels(60)
    answered = [row for row in ROWS if labels.origins[row] == "given"]
    assert len(answered) == 12
    assert set(labels.confidence[answered]) == {1.0}
    assert [row for row in range(60) if labels.origins[row] == ""] == [0, 1, 40]
    proposed = [row for row in ROWS if labels.origins[row] == "proposed"]
    assert [labels.labels[row] for row in proposed] == [_name(row) for row in proposed]
    assert ((labels.confidence > 0) == (labels.origins != "")).all()


def test_each_sample_is_asked_once_until_nothing_is_left():
    session = _session()
    seen = []
    while (asked := session.ask()) is not None:
        seen.append(asked.row)
        if len(seen) % 5:
            session.answer(asked.row, _name(asked.row))
        else:
            session.skip(asked.row)
    assert sorted(seen) == ROWS
    assert session.n_left == 0
    assert session.n_labeled == sum(n % 5 > 0 for n in range(1, 58))


def test_a_group_gets_one_label_after_a_few_checks():
    session = _session()
    first = session.ask()
    group = [row for row in ROWS if CLASSES[row] == CLASSES[first.row]]
    assert first.n_alike == len(group) - 1
    session.check(first.row)
    seen = []
    while isinstance(asked := session.ask(), Question):
        assert asked.n_alike == 0
        assert asked.check == (len(seen) + 1, N_CHECKS + 1)
        seen.append(asked.row)
        session.answer(asked.row, "a")
    assert seen[0] == first.row
    assert len(set(seen)) == N_CHECKS + 1
    assert set(seen) <= set(group)
    rest = sorted(set(group) - set(seen))
    assert asked == Offer(first.row, "a", rest, N_CHECKS + 1)
    session.give(asked)
    labels = session.labels(60)
    assert [row for row in range(60) if labels.origins[row] == "accepted"] == rest
    assert {labels.labels[row] for row in group} == {"a"}
    assert session.n_of_group == len(rest)
    assert session.categories == {"a": N_CHECKS + 1}
    while (asked := session.ask()) is not None:
        assert asked.row not in group
        session.skip(asked.row)


@pytest.mark.parametrize("end", ["another label", "skip", "decline"])
def test_a_group_whose_checks_differ_is_asked_one_by_one(end):
    session = _session()
    first = session.ask()
    session.check(first.row)
    session.answer(first.row, "a")
    asked = session.ask()
    if end == "skip":
        session.skip(asked.row)
    elif end == "another label":
        session.answer(asked.row, "b")
    else:
        while isinstance(asked, Question):
            session.answer(asked.row, "a")
            asked = session.ask()
        session.decline()
    assert session.ask().check is None
    assert session.n_of_group == 0


def test_too_small_a_group_cannot_be_checked():
    sampler = _sampler()
    own = np.arange(len(ROWS))[:, None]
    session = LabelingSession(sampler, own, ROWS, [].append)
    asked = session.ask()
    assert asked.n_alike == 0
    with pytest.raises(
        ValueError, match="must have at least 6 other samples without an answer, got 0"
    ):
        session.check(asked.row)


def _step(session, choice):
    """Give an answer that is possible now."""
    asked = session.ask()
    if choice == "undo" and session.can_undo:
        session.undo()
    elif asked is None:
        return
    elif isinstance(asked, Offer):
        session.decline() if choice == "skip" else session.give(asked)
    elif choice == "skip":
        session.skip(asked.row)
    elif choice == "check" and asked.n_alike:
        session.check(asked.row)
    elif choice == "odd":
        session.answer(asked.row, "odd")
    else:
        session.answer(asked.row, _name(asked.row))


CHOICES = st.sampled_from(["label", "label", "label", "odd", "skip", "check", "check", "undo"])


@share(0.1)
@given(st.lists(CHOICES, max_size=14), st.integers(0, 14), st.sampled_from([0.0, 0.5]))
def test_a_session_that_replays_the_answers_continues_the_first_one(choices, cut, audit_share):
    stored = []
    session = _session(stored=stored, audit_share=audit_share)
    for choice in choices[:cut]:
        _step(session, choice)
    resumed = _session(list(stored), audit_share=audit_share)
    assert _state(resumed) == _state(session)
    for choice in choices[cut:]:
        _step(session, choice)
        _step(resumed, choice)
    assert _state(resumed) == _state(session)
    assert resumed.lower_bound == session.lower_bound


@share(0.1)
@given(st.lists(CHOICES, max_size=12))
def test_undo_takes_back_one_answer_after_the_other(choices):
    session = _session()
    states = [_state(session)]
    for choice in choices:
        n_before = len(states)
        if choice == "undo" and session.can_undo:
            session.undo()
            states.pop()
        else:
            _step(session, choice)
            states.append(_state(session))
        if choice == "undo":
            assert _state(session) == states[-1], n_before
    while session.can_undo:
        session.undo()
        states.pop()
        assert _state(session) == states[-1]
    assert len(states) == 1 or all(state == states[0] for state in states)


def test_an_answer_that_cannot_be_stored_has_no_effect():
    def full(event):
        raise OSError("full")

    session = LabelingSession(_sampler(), PARTITIONS, ROWS, full)
    asked = session.ask()
    with pytest.raises(OSError, match="full"):
        session.answer(asked.row, "a")
    assert session.n_labeled == 0
    assert session.ask() == asked


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            [{"event": "label", "row": 40, "label": "a"}],
            "answer 1, .*: row 40 is not one of the rows",
        ),
        (
            [{"event": "check", "row": 2, "rows": [2, 1]}],
            "row 1 is not one of the rows to ask about",
        ),
        ([{"event": "check", "row": 2, "rows": []}], "the first of its rows must be its row"),
        ([{"event": "undo"}], "answer 1, .*: there is no answer to take back"),
    ],
)
def test_events_that_do_not_fit_are_refused(events, message):
    with pytest.raises(ValueError, match=message):
        _session(events)


def test_the_precision_bound_comes_from_audits():
    session = _session(audit_share=0.5)
    while session.n_labeled < 45:
        asked = session.ask()
        session.answer(asked.row, _name(asked.row))
    assert 0.5 < session.lower_bound < 1
    assert _session().lower_bound == 0
