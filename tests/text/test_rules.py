"""KeywordLabeler: rules against regular expressions, in several languages, and on questions."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import labelquorum as lq
from labelquorum.text import KeywordLabeler, keywords
from strategies import share

pd = pytest.importorskip("pandas")


# For estimators of strings, scikit-learn checks only the interface, and warns about the rest.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract():
    checked = check_estimator(KeywordLabeler({"a": ["word"]}), on_skip=None)
    assert {result["status"] for result in checked} == {"passed"}


def naive_partition(rules, texts, whole_words):
    """Match each rule as a regular expression."""
    labels = []
    for content in texts:
        votes = []
        for words in rules.values():
            parts = [r"\s+".join(map(re.escape, rule.split())) for rule in words]
            if whole_words:
                # A symbol is a word of its own.
                before = [r"(?<!\w)" if rule[0].isalnum() else "" for rule in words]
                after = [r"(?!\w)" if rule[-1].isalnum() else "" for rule in words]
                parts = [b + p + a for b, p, a in zip(before, parts, after, strict=True)]
            votes.append(sum(bool(re.search(part, content, re.IGNORECASE)) for part in parts))
        best = [c for c, vote in enumerate(votes) if vote == max(votes) > 0]
        labels.append(best[0] if len(best) == 1 else -1)
    return labels


_RULES = ["card", "car", "Credit card", "c++", "c", "don't", "++", "is lost", "LOST", "1 2", "12"]
_PIECES = ["card", "cars", "car", "CREDIT", "C++", "c", "don't", "is", "lost", "1", "2", "12", "+"]


@share(0.5)
@given(
    st.lists(st.lists(st.sampled_from(_RULES), max_size=4, unique=True), min_size=1, max_size=4),
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(_PIECES), st.sampled_from([" ", "  ", "\n", "", ", "])),
            max_size=8,
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_a_labeler_gives_the_labels_of_regular_expressions(rules, pieces, whole_words):
    rules = {f"category {i}": words for i, words in enumerate(rules)}
    texts = ["".join(word + space for word, space in line) for line in pieces]
    labeler = KeywordLabeler(rules, whole_words=whole_words)
    labels = labeler.partition(texts)
    assert labels.dtype == np.int32
    assert labels.tolist() == naive_partition(rules, texts, whole_words)
    named = [None if label < 0 else f"category {label}" for label in labels]
    assert labeler.predict(texts).tolist() == named


FULL_WIDTH = "\uff21\uff22\uff23"


@pytest.mark.parametrize(
    "rule, content, matches",
    [
        ("straße", "STRASSE", True),
        ("Ä", "a\u0308", True),
        (FULL_WIDTH, "abc", True),
        ("किताब", "मेरी किताब", True),
        ("कित", "मेरी किताब", False),
        ("счёт", "Где мой СЧЁТ?", True),
        ("счёт", "счётом", False),
        ("發票", "我的發票不見了", False),
        (".net", "ASP.NET", True),
        (".net", "The end. Net profit", False),
        ("", "a", None),
        (" \n", "a", None),
    ],
)
def test_words_match_as_unicode_says(rule, content, matches):
    labeler = KeywordLabeler({"a": [rule]})
    if matches is None:
        with pytest.raises(
            ValueError, match=r"each rule in rules\['a'\] must hold at least one word"
        ):
            labeler.fit()
    else:
        assert labeler.partition([content]).tolist() == [0 if matches else -1]


def test_parts_of_words_match_on_request():
    labeler = KeywordLabeler({"發票": ["發票"], "car": ["Car  s"]}, whole_words=False)
    assert labeler.predict(["我的發票不見了", "my car shop", "cars"]).tolist() == [
        "發票",
        "car",
        None,
    ]


def test_regular_expressions_search_the_unchanged_text():
    rules = {"code": [re.compile(r"^[A-Z]{3}\d"), re.compile("x$", re.IGNORECASE)]}
    labeler = KeywordLabeler(rules)
    assert labeler.partition(["ABC1", "abc1", "aX", FULL_WIDTH + "1"]).tolist() == [0, -1, 0, -1]


def test_most_votes_win_and_a_tie_abstains():
    labeler = KeywordLabeler({"a": ["x", "y"], "b": ["z", "w"]})
    assert labeler.predict(["x y z", "x z", "x x z", "z", ""]).tolist() == [
        "a",
        None,
        None,
        "b",
        None,
    ]


def test_integer_categories_are_predicted_with_minus_one_for_none():
    labeler = KeywordLabeler({5: ["x"], 2: ["y"]}).fit()
    assert labeler.predict(["y", "x", "?"]).tolist() == [2, 5, -1]
    assert labeler.partition(["y", "x", "?"]).tolist() == [1, 0, -1]
    assert labeler.classes_.tolist() == [5, 2]


def test_the_report_has_coverage_and_conflicts_of_each_rule():
    labeler = KeywordLabeler({"a": ["x", re.compile("q+")], "b": ["z"], "c": []})
    lines = labeler.report(["x", "x z", "x qq", "", "z x", "no"])
    frame = pd.DataFrame(lines)
    assert frame.columns.tolist() == ["category", "rule", "coverage", "conflicts"]
    assert frame["category"].tolist() == ["a", "a", "b"]
    assert frame["rule"].tolist() == ["x", "q+", "z"]
    assert frame["coverage"].tolist() == pytest.approx([4 / 6, 1 / 6, 2 / 6])
    assert frame["conflicts"].tolist() == pytest.approx([0.5, 0.0, 1.0])


def test_keywords_become_rules():
    texts = ["my card", "card lost", "a credit card", "login lost", "my login", "the login"]
    words = keywords(texts, ["card"] * 3 + ["login"] * 3)
    labeler = KeywordLabeler.from_keywords(words, 1)
    assert labeler.rules == {"card": ["card"], "login": ["login"]}
    assert labeler.predict(["Card?", "lost"]).tolist() == ["card", None]
    parts = KeywordLabeler.from_keywords(words, 1, whole_words=False)
    assert parts.predict(["cards"]).tolist() == ["card"]


def test_rules_and_clusterings_vote_together():
    texts = ["my invoice", "invoice lost", "password?", "new password", "hello"]
    rules = KeywordLabeler({"billing": ["invoice"], "login": ["password"]}).partition(texts)
    partitions = lq.combine_votes([[0, 0, 1, 1, 1], ["p", "p", "q", "q", None], rules])
    assert lq.mini_clusters(partitions, 2).tolist() == [0, 0, 1, 1, -1]


def test_a_labeler_is_cloned_and_pickled():
    labeler = KeywordLabeler({"a": ["x", re.compile("y")]}, whole_words=False)
    for copy in (clone(labeler), pickle.loads(pickle.dumps(labeler))):
        assert copy.get_params() == labeler.get_params()
        assert copy.partition(["axe", "y", "z"]).tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    "rules, error, message",
    [
        (["a"], TypeError, "rules must be a dict .*, got list"),
        ({}, ValueError, "rules must hold at least one category, got none"),
        ({"a": "word"}, TypeError, r"rules\['a'\] must be a list .*, got str"),
        ({"a": re.compile("x")}, TypeError, r"rules\['a'\] must be a list .*, got Pattern"),
        ({"a": 3}, TypeError, r"rules\['a'\] must be a list .*, got int"),
        ({"a": [3]}, TypeError, r"rules\['a'\] must hold strings .*, got 3 \(int\)"),
        ({"a": [re.compile(b"x")]}, TypeError, "regular expressions of strings"),
        ({"a": ["Word", "word"]}, ValueError, "must hold each rule once, got 'word' twice"),
        ({"a": ["x"], 1: ["y"]}, TypeError, "must be all strings or all integers, got int, str"),
        ({-1: ["x"]}, ValueError, "categories in rules must be at least 0 if integers, got -1"),
        ({"a": ["x"], " ": ["y"]}, ValueError, "categories in rules must not mean .*, got ' '"),
        ({True: ["x"]}, TypeError, "must be all strings or all integers, got bool"),
    ],
)
def test_bad_rules_are_refused(rules, error, message):
    with pytest.raises(error, match=message):
        KeywordLabeler(rules).fit()
    with pytest.raises(error, match=message):
        KeywordLabeler(rules).predict(["a"])


def test_rules_from_keywords_label_questions(questions):
    texts, names = questions
    words = keywords(texts[::2], names[::2])
    labels = KeywordLabeler.from_keywords(words, 3).predict(texts[1::2])
    is_right = labels == np.array(names[1::2])
    is_labeled = np.array([label is not None for label in labels])
    assert is_labeled.mean() > 0.65
    assert is_right[is_labeled].mean() > 0.93


def test_progress_is_shown_on_request(capfd):
    KeywordLabeler({"a": ["b"]}, verbose=True).predict(["b"])
    assert "Matching rules" in capfd.readouterr().err
