"""Names of categories: of keywords, or by a function; all differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.text.naming import display_names

WORDS = [("currency", "rate", "money"), ("card", "stolen", "blocked"), ("login", "password", "key")]
TEXTS = [w for words in WORDS for w, n in zip(words, (4, 3, 2), strict=True) for _ in range(n)]
NUMBERS = np.repeat(np.arange(3, dtype=np.int32), 9)
LABELS = ["new 0", "new 1", "new 2"]


def named(texts=TEXTS, numbers=NUMBERS, labels=LABELS, names=None, unnamed=(0, 1, 2), **kw):
    names = [str(label) for label in labels] if names is None else names
    return display_names(texts, np.asarray(numbers, np.int32), labels, names, unnamed, **kw)


def test_names_are_the_two_best_keywords():
    assert named() == ["currency, rate", "card, stolen", "login, password"]


def test_the_second_keyword_says_something_else():
    texts = ["exchange rate", "exchange rate", *["exchange"] * 5, *["money"] * 2]
    assert named([*texts, *TEXTS[9:]])[0] == "exchange, money"


def test_names_of_others_are_kept():
    assert named(names=["Money", "new 1", "new 2"], unnamed=[2, 1]) == [
        "Money",
        "card, stolen",
        "login, password",
    ]


def test_integers_get_names_too():
    assert named(labels=[0, 1, 2]) == named()


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (["card, stolen", "new 1", "new 2"], LABELS, "card, stolen, blocked"),
        (["card, stolen", "new 1", "card, stolen, blocked"], LABELS, "card, stolen (2)"),
        (["a", "new 1", "b"], ["card, stolen", "new 1", "b"], "card, stolen, blocked"),
    ],
)
def test_a_name_that_another_has_gets_a_third_keyword_then_a_number(names, labels, expected):
    assert named(names=names, labels=labels, unnamed=[1])[1] == expected


@pytest.mark.parametrize("texts", [["", "", ""], ["the", "and", "or"], ["a", "b", "c"]])
def test_without_keywords_a_label_is_the_name(texts):
    assert named(texts, [0, 1, 2]) == LABELS
    assert named(texts, [-1, -1, -1], labels=[5, 6, 7]) == ["5", "6", "7"]


def test_a_namer_gets_keywords_and_texts():
    seen = []

    def namer(words, examples):
        seen.append((words, examples))
        return f"  About {words[0]}\n"

    assert named(namer=namer, unnamed=[1]) == ["new 0", "About card", "new 2"]
    assert seen[0][0][:2] == ["card", "stolen"]
    assert sorted(seen[0][1]) == ["blocked", "card", "stolen"]


def test_names_of_a_namer_are_made_to_differ():
    names = named(names=["Money", "", ""], unnamed=[1, 2], namer=lambda *_: "Money")
    assert names == ["Money", "Money (2)", "Money (3)"]


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (3, TypeError, r"what namer returns must be a str, got 3 \(int\)"),
        (None, TypeError, "must be a str, got None"),
        ("", ValueError, "must be one line of text, got ''"),
        (" \n ", ValueError, "must be one line"),
        ("a\nb", ValueError, "must be one line"),
        ("a\u2028b", ValueError, "must be one line"),
    ],
)
def test_what_is_no_name_is_refused(returned, kind, message):
    with pytest.raises(kind, match=message) as caught:
        named(namer=lambda *_: returned)
    assert caught.value.__notes__ == ["namer was asked for the name of category 'new 0'"]


def test_an_error_of_the_namer_names_the_category():
    def namer(words, examples):
        raise ConnectionError("no network")

    with pytest.raises(ConnectionError, match="no network") as caught:
        named(namer=namer, unnamed=[2])
    assert "'new 2'" in caught.value.__notes__[0]


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=4), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_all_names_differ(lists, random, is_certain):
    words = {"a": "apple", "b": "bread", "c": "cheese", "d": "new 1"}
    texts = [" ".join(words[letter] for letter in letters) for letters in lists]
    n = random.randint(1, 5)
    numbers = [random.randint(-1, n - 1) for _ in texts]
    labels = [f"new {k}" for k in range(n)]
    confidence = np.array([random.random() for _ in texts]) if is_certain else None
    names = named(texts, numbers, labels, unnamed=range(n), confidence=confidence)
    assert len(set(names)) == n
    for k, name in enumerate(names):
        assert name == labels[k] or name not in labels
