"""Words and pieces of texts in several scripts, and texts folded for comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.text.words import as_pieces, as_terms, as_words, fold


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know c++", ["I", "don't", "know", "c"]),
        ("d\u2019accord, l'hôtel", ["d\u2019accord", "l'hôtel"]),
        ("मेरी किताब", ["मेरी", "किताब"]),
        ("می\u200cروم", ["می\u200cروم"]),
        ("Где мой счёт?", ["Где", "мой", "счёт"]),
        ("", []),
    ],
)
def test_words_of_several_scripts(text, words):
    assert as_words(text) == words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("don't go", ["don't", "go"]),
        ("Où est ma clé", ["Où", "est", "ma", "clé"]),
        ("東京へ行く", ["東京", "京へ", "へ行", "行く"]),
        ("我", ["我"]),
        ("iPhone手机壳", ["iPhone", "手机", "机壳"]),
        ("서울 날씨", ["서울", "날씨"]),
    ],
)
def test_terms_are_words_or_pairs_of_characters(text, terms):
    assert as_terms(text) == terms


def test_pieces_are_words_and_single_characters():
    assert as_pieces("don't c++") == ["don", "'", "t", " ", "c", "+", "+"]
    assert as_pieces("किताब!") == ["किताब", "!"]


@given(st.text())
def test_pieces_joined_are_the_text(text):
    assert "".join(as_pieces(text)) == text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Two  WORDS\n", "two words"),
        ("straße", "STRASSE"),
        ("\uff21\uff22\uff23", "abc"),
        ("Ä", "a\u0308"),
    ],
)
def test_texts_that_differ_in_form_only_fold_to_the_same(first, second):
    assert fold(first) == fold(second)


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)
