"""Texts as vectors by their words."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from labelquorum.text import TfidfEmbedder
from labelquorum.text import tfidf as module
from labelquorum.text.words import as_words
from static_model import questions


def _reference(texts, n_components):
    vectorizer = TfidfVectorizer(tokenizer=as_words, token_pattern=None, sublinear_tf=True)
    vectors = vectorizer.fit_transform(texts)
    return normalize(TruncatedSVD(n_components, random_state=0).fit_transform(vectors))


def test_it_equals_scikit_learns_steps():
    texts, _ = questions(200)
    found = TfidfEmbedder(5).fit(texts).encode(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, (r := _reference(texts, 5)) @ r.T, atol=1e-4)


def test_new_texts_come_into_the_same_space():
    texts, topics = questions(300)
    embedder = TfidfEmbedder(4).fit(texts[:200])
    known, new = embedder.encode(texts[:200]), embedder.encode(texts[200:])
    nearest = (new @ known.T).argmax(axis=1)
    assert (topics[:200][nearest] == topics[200:]).mean() > 0.95
    np.testing.assert_allclose(embedder.encode(texts[:1]), known[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "n_columns"),
    [(["one"], 1), (["one two three"], 1), (["a b", "c d"], 2), (["same"] * 5, 1)],
)
def test_few_texts_or_words_have_few_columns(texts, n_columns):
    found = TfidfEmbedder().fit(texts).encode(texts)
    assert found.shape == (len(texts), n_columns)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_texts_without_a_known_word_are_zeros():
    embedder = TfidfEmbedder().fit(["one two", "two three"])
    assert not embedder.encode(["", " \n", "?!", "four"]).any()


def test_texts_without_spaces_are_alike_if_they_share_characters():
    embedder = TfidfEmbedder().fit(["東京へ行きたい", "東京へ行く", "本を買う", "本を読む"])
    X = embedder.encode(["東京へ行きたい", "東京へ行く", "本を買う"])
    assert X[0] @ X[1] > 0.2 > X[0] @ X[2]


def test_composed_and_decomposed_letters_are_the_same():
    embedder = TfidfEmbedder().fit(["reset caf\u00e9", "reset cafe\u0301", "other words"])
    assert sum("caf" in term for term in embedder.terms_) == 1


def test_case_does_not_count_but_scripts_do():
    embedder = TfidfEmbedder().fit(["Où est ma clé", "मेरी किताब", "Wo ist mein Schlüssel"])
    assert {"clé", "किताब", "schlüssel"} <= set(embedder.terms_)
    a, b = embedder.encode(["MA CLÉ", "ma clé"])
    np.testing.assert_array_equal(a, b)


def test_of_many_texts_some_are_drawn(monkeypatch):
    texts, _ = questions(500)
    everything = TfidfEmbedder(4).fit(texts)
    monkeypatch.setattr(module, "_MOST_TEXTS", 400)
    drawn = TfidfEmbedder(4).fit(texts)
    assert set(drawn.terms_) <= set(everything.terms_)
    assert not np.array_equal(drawn.idf_, everything.idf_)
    np.testing.assert_array_equal(drawn.idf_, TfidfEmbedder(4).fit(texts).idf_)


@pytest.mark.parametrize("texts", [[""], ["?!", " "]])
def test_texts_without_a_word_are_refused(texts):
    with pytest.raises(ValueError, match="texts must hold at least one word, got none"):
        TfidfEmbedder().fit(texts)


def test_wrong_use_is_refused():
    with pytest.raises(NotFittedError):
        TfidfEmbedder().encode(["one"])
    with pytest.raises(ValueError, match="n_components must be"):
        TfidfEmbedder(0).fit(["one"])
    with pytest.raises(TypeError, match="texts must hold strings"):
        TfidfEmbedder().fit([None])
