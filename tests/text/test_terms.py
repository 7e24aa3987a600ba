"""Keywords, representatives and tables: against naive versions and on real questions."""

from __future__ import annotations

import re
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from labelquorum.text import terms
from strategies import share

pd = pytest.importorskip("pandas")

_WORDS = ["the", "of", "card", "credit", "login", "lost", "c++", "don't", "x"]
_TEXTS = st.lists(st.lists(st.sampled_from(_WORDS), max_size=6).map(" ".join), min_size=1)


@st.composite
def labeled_texts(draw):
    texts = draw(_TEXTS)
    labels = draw(st.lists(st.integers(-1, 3), min_size=len(texts), max_size=len(texts)))
    if max(labels) < 0:
        labels[0] = 0
    return texts, labels


def words_of(text, n):
    words = re.findall(r"\w+(?:'\w+)*", text)
    return [" ".join(words[i : i + k]) for k in range(1, n + 1) for i in range(len(words) + 1 - k)]


def naive_scores(texts, labels, min_df=1, n=1):
    """Compute the scores that the docstring of `keywords` describes."""
    categories = sorted({label for label in labels if label >= 0})
    kept = [i for i, label in enumerate(labels) if label >= 0]
    df = Counter(term for i in kept for term in set(words_of(texts[i], n)))
    counts = {c: Counter() for c in categories}
    for i in kept:
        counts[labels[i]].update(t for t in words_of(texts[i], n) if df[t] >= min_df)
    sums = {c: sum(counts[c].values()) for c in categories}
    scores = {c: {} for c in categories}
    for c in categories:
        for term, count in counts[c].items():
            shares = [counts[o][term] / sums[o] for o in categories if o != c and sums[o]]
            elsewhere = sum(shares) / max(1, len(categories) - 1)
            f = sum(counts[o][term] for o in categories)
            rarity = np.log(1 + np.mean(list(sums.values())) / f)
            excess = count / sums[c] - elsewhere
            scores[c][term] = excess * rarity if excess >= 5 * elsewhere * (1 - 1e-8) else 0.0
    return scores


@share(0.5)
@given(labeled_texts(), st.integers(1, 3))
def test_keywords_have_the_highest_class_based_tf_idf(sample, min_df):
    texts, labels = sample
    single = CountVectorizer(token_pattern=r"\w+(?:'\w+)*")
    keywords = terms.keywords(texts, labels, 20, min_df=min_df, vectorizer=single)
    expected = naive_scores(texts, labels, min_df)
    assert list(keywords) == list(expected)
    for category, scored in keywords.items():
        scores = [score for _, score in scored]
        assert scores == sorted(scores, reverse=True)
        theirs = {t: s for t, s in expected[category].items() if s > 1e-12}
        ours = {t: s for t, s in scored if s > 1e-12}
        assert ours == pytest.approx(theirs)


@given(labeled_texts())
@share(0.5)
def test_keywords_do_not_depend_on_the_order_of_texts(sample):
    texts, labels = sample
    keywords = terms.keywords(texts, labels, min_df=1)
    assert terms.keywords(texts[::-1], labels[::-1], min_df=1) == keywords


def test_more_texts_than_a_chunk_holds_are_counted_in_full():
    rng = np.random.default_rng(0)
    n = 3 * terms.TEXTS_PER_CHUNK + 5
    labels = rng.integers(4, size=n)
    texts = [
        f"word{label} of r{rare}"
        for label, rare in zip(labels, rng.integers(99, size=n), strict=True)
    ]
    single = CountVectorizer()
    keywords = terms.keywords(texts, labels, 1, vectorizer=single)
    expected = naive_scores(texts, labels.tolist())
    for category, (best,) in keywords.items():
        assert best == (f"word{category}", pytest.approx(expected[category][best[0]]))


def test_the_rarest_terms_are_dropped_if_there_are_too_many(monkeypatch):
    monkeypatch.setattr(terms, "_MAX_TERMS", 1000)
    monkeypatch.setattr(terms, "TEXTS_PER_CHUNK", 100)
    texts = [f"topic{i % 2} once{i} again{i // 2}" for i in range(4000)]
    names = terms._frequent_terms(texts, np.arange(4000), str.split, 2, None)
    assert {"topic0", "topic1"} <= set(names)
    assert len(names) < 1000
    keywords = terms.keywords(texts, [i % 2 for i in range(4000)], 1)
    assert [words[0][0] for words in keywords.values()] == ["topic0", "topic1"]


STOP_WORDS = {
    "en": ["how do i get {} in the house", "where is the {} of my house", "is this {} in it"],
    "de": ["wie kann ich {} in der Wohnung", "wo ist die {} in der Wohnung", "ist das {} die"],
    "fr": ["où est la {} de ma maison", "comment est la {} dans ma maison", "est-ce la {} ou"],
    "ru": ["где в доме моя {} и как", "как в доме найти {} и где", "это {} и в доме"],
    "hi": ["मेरे घर में {} कहाँ है", "क्या {} घर में है", "यह {} है और मेरे"],
}
THINGS = {
    "en": ["window", "heating", "kitchen"],
    "de": ["Fenster", "Heizung", "Küche"],
    "fr": ["fenêtre", "cuisine", "lumière"],
    "ru": ["кухня", "дверь", "лампа"],
    "hi": ["खिड़की", "रसोई", "दरवाज़ा"],
}


@pytest.mark.parametrize("language", STOP_WORDS)
def test_stop_words_are_not_keywords_in_any_language(language):
    things = THINGS[language]
    texts = [frame.format(thing) for thing in things for frame in STOP_WORDS[language]]
    labels = [thing for thing in things for _ in STOP_WORDS[language]]
    for thing, keywords in terms.keywords(texts, labels).items():
        assert [word for word, _ in keywords] == [thing.lower()]


FRAMES = [
    "when should i {} {}",
    "when do i have to {} the {} and when will they be done again",
    "how can i {} my {}, i don't know how",
    "what is the {} of a {} and where is it",
    "please {} me about your {}; that's all i'm asking",
    "he said she would {} her {} before them",
]


@pytest.mark.parametrize("n_categories", [2, 3, 5, 6])
@pytest.mark.parametrize("n_texts", [10, 60])
def test_a_stop_word_that_one_category_has_most_of_is_no_keyword(n_categories, n_texts):
    rng = np.random.default_rng(n_texts)
    texts, labels = [], []
    for k in range(n_categories):
        for _ in range(n_texts):
            # A category mostly has a frame of its own.
            frame = FRAMES[k] if rng.random() < 0.9 else FRAMES[rng.integers(len(FRAMES))]
            texts.append(frame.format(f"verb{k}", f"thing{k}"))
            labels.append(k)
    words = {word for scored in terms.keywords(texts, labels).values() for word, _ in scored}
    parts = {part.strip("',;") for word in words for part in word.split()}
    stop_words = {part for frame in FRAMES for part in re.findall(r"[a-z']+", frame)}
    assert not parts & stop_words - {"said", "asking", "know"}
    assert {f"thing{k}" for k in range(n_categories)} <= parts


@pytest.mark.parametrize("n_texts", [30, 200])
def test_frequent_words_of_other_languages_are_no_keywords_of_five_categories(n_texts):
    """Words whose frequencies differ between categories, as Zipf's law has it."""
    rng = np.random.default_rng(n_texts)
    common = "der die und in den von zu das mit sich des auf nicht ein als auch es an"
    common = common.split(" ")
    chances = 1 / np.arange(1, len(common) + 1)
    texts, labels = [], []
    for k in range(5):
        weights = chances * rng.uniform(0.4, 1.6, size=len(common))
        for _ in range(n_texts):
            words = rng.choice(common, 8, p=weights / weights.sum()).tolist()
            texts.append(" ".join([*words, *rng.choice([f"ding{k}", f"sache{k}"], 2)]))
            labels.append(k)
    for k, scored in terms.keywords(texts, labels).items():
        assert {word for word, _ in scored if " " not in word} <= {f"ding{k}", f"sache{k}"}


def test_words_of_the_list_may_be_keywords_if_they_have_a_meaning():
    texts = ["pay my bill", "the bill is due", "a bill for me", "lost my card", "the card is lost"]
    words = terms.keywords(texts, [0, 0, 0, 1, 1])
    assert [word for word, _ in words[0]] == ["bill"]


def test_a_given_vectorizer_has_its_own_stop_words():
    texts = ["when", "when is it", "who", "who is it"]
    words = terms.keywords(texts, [0, 0, 1, 1], vectorizer=CountVectorizer())
    assert [[word for word, _ in scored] for scored in words.values()] == [["when"], ["who"]]
    assert terms.keywords(texts, [0, 0, 1, 1]) == {0: [], 1: []}


def test_a_phrase_replaces_its_parts():
    texts = ["my credit card", "a credit card", "credit card", "this credit card", "a card"]
    texts += ["my login", "a login", "login", "this login", "that login"]
    keywords = terms.keywords(texts, [0] * 5 + [1] * 5, min_df=3)
    assert [[word for word, _ in words] for words in keywords.values()] == [
        ["credit card"],
        ["login"],
    ]
    assert terms._redundant({"red": 100, "hat": 10, "red hat": 9}) == {"hat"}
    assert terms._redundant({"a": 10, "b": 10, "a b": 4}) == {"a b"}
    assert terms._redundant({"a x c": 5, "a": 9, "c": 11, "a x": 9, "x c": 5}) == {
        "a",
        "a x",
        "x c",
    }


def test_phrases_begin_and_end_with_keywords_if_words_are_terms():
    texts = ["a red card", "a red card of mine", "a blue chair", "a blue chair of mine"]
    phrases = CountVectorizer(ngram_range=(2, 2), token_pattern=r"\w+")
    for vectorizer, expected in [(None, ["red card"]), (phrases, ["a red", "card of", "red card"])]:
        keywords = terms.keywords(texts, [0, 0, 1, 1], min_df=1, vectorizer=vectorizer)
        assert sorted(word for word, _ in keywords[0]) == expected


def test_a_single_category_has_keywords_too():
    keywords = terms.keywords(["red card", "card", "card"], [7, 7, 7], 1)
    assert [word for word, _ in keywords[7]] == ["card"]


def test_texts_without_a_term_have_no_keywords():
    assert terms.keywords(["", "?", "one", "two"], ["a", "b", "b", None]) == {"a": [], "b": []}
    chosen = terms.representatives(["", "?", "one", "two"], ["a", "b", "b", None])
    assert [rows.tolist() for rows in chosen.values()] == [[0], [1, 2]]


def test_labels_and_texts_come_in_many_forms():
    texts = ["card lost", "my card", "login lost", "my login"]
    expected = terms.keywords(texts, [0, 0, 1, 1])
    assert terms.keywords(np.array(texts), np.array([0, 0, 1, 1], np.uint8)) == expected
    assert terms.keywords(pd.Series(texts), pd.Series([0, 0, 1, 1])) == expected
    assert terms.keywords((t for t in texts), (0, 0, 1, 1)) == expected
    named = terms.keywords(texts, ["x", "x", "y", "y"])
    assert list(named.values()) == list(expected.values())


BAD = [
    ("abc", [0], {}, TypeError, "texts must be a list or array of strings, got str"),
    (7, [0], {}, TypeError, "texts must be .*, got int"),
    ([], [], {}, ValueError, "texts must hold at least one string, got none"),
    (
        ["a", None],
        [0, 0],
        {},
        TypeError,
        r"texts must hold strings, .*, got None \(NoneType\) at position 1",
    ),
    (["a", "b"], [0], {}, ValueError, "labels has 1 values, but texts has 2"),
    (["a"], [-1], {}, ValueError, "labels must hold at least one category, got -1 or None"),
    (["a"], [0.5], {}, TypeError, "labels must hold integers, got floats"),
    (["a"], [0], {"min_df": 0}, ValueError, "min_df must be .*, got 0"),
    (["a"], [0], {"vectorizer": 3}, TypeError, "vectorizer must be .*, got int"),
]


@pytest.mark.parametrize("function", [terms.keywords, terms.representatives, terms.category_table])
@pytest.mark.parametrize("texts, labels, options, error, message", BAD)
def test_bad_texts_and_labels_are_refused(function, texts, labels, options, error, message):
    with pytest.raises(error, match=message):
        function(texts, labels, **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"confidence": ["a"]}, TypeError, "confidence must hold numbers, got dtype"),
        ({"confidence": [0.5, 0.5]}, ValueError, r"confidence must have shape \(1,\), got \(2,\)"),
        (
            {"confidence": [np.nan]},
            ValueError,
            "confidence must hold finite numbers of at least 0, got nan",
        ),
        ({"confidence": [-1.0]}, ValueError, "confidence must hold .* at least 0, got -1"),
        ({"X": [[0.0], [1.0]]}, ValueError, "X must have 1 rows, one per text, got 2"),
        ({"X": [[np.inf]]}, ValueError, "X must be finite, got infinity at row 0"),
        (
            {"X": sparse.csr_array([[np.nan]])},
            ValueError,
            "X must be finite, got NaN at row 0, column 0",
        ),
        ({"n_texts": 0}, ValueError, "n_texts must be .*, got 0"),
    ],
)
@pytest.mark.parametrize("function", [terms.representatives, terms.category_table])
def test_bad_confidence_and_embeddings_are_refused(function, options, error, message):
    with pytest.raises(error, match=message):
        function(["a"], [0], **options)


def naive_representatives(X, rows, n_texts, confidence):
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300)
    center = unit[rows].mean(axis=0)
    similarity = unit[rows] @ center / np.linalg.norm(center) * confidence[rows]
    order = np.argsort(-similarity, kind="stable")[
        : max(n_texts, min(20 * n_texts, len(rows) // 2))
    ]
    candidates = [rows[i] for i in order]
    similarity_of = {rows[i]: similarity[i] for i in order}
    chosen = [candidates[0]]
    while len(chosen) < n_texts:
        cosine = {i: max(unit[i] @ unit[j] for j in chosen) for i in candidates}
        left = [i for i in candidates if i not in chosen and cosine[i] <= 0.95]
        if not left:
            break
        chosen.append(max(left, key=lambda i: similarity_of[i] - cosine[i]))
    return chosen


@share(0.5)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(1, 5), st.booleans())
def test_representatives_are_those_of_the_naive_version(seed, n, n_texts, is_sparse):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) + rng.normal(size=4)
    labels = rng.integers(-1, 2, size=n)
    labels[0] = 0
    # Sorted, because representatives are searched in the order of confidence.
    confidence = np.sort(rng.random(n))[::-1]
    chosen = terms.representatives(
        [f"text {i}" for i in range(n)],
        labels,
        n_texts,
        confidence=confidence,
        X=sparse.csr_matrix(X) if is_sparse else X,
    )
    for category, rows in chosen.items():
        members = np.flatnonzero(labels == category).tolist()
        assert rows.tolist() == naive_representatives(X, members, n_texts, confidence)


def test_representatives_are_typical_and_differ():
    texts = ["Where is my card?", "where is  my CARD?", "Where is my card", "my card is lost"]
    texts += ["lost card", "hello", "my login is lost", "login lost", "where is my login"]
    labels = [0] * 6 + [1] * 3
    chosen = terms.representatives(texts, labels, 2)
    assert len(set(chosen[0].tolist()) & {0, 1, 2}) <= 1
    assert all("card" in texts[i].lower() for i in chosen[0])
    assert all("login" in texts[i] for i in chosen[1])


def test_the_most_confident_of_equal_texts_is_chosen():
    texts = ["same text"] * 5 + ["other words"]
    confidence = [0.1, 0.2, 0.9, 0.3, 0.1, 0.0]
    chosen = terms.representatives(texts, [0] * 6, 3, confidence=confidence)
    assert chosen[0].tolist() == [2, 5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_embeddings_come_in_many_types(dtype):
    X = np.array([[4, 0], [4, 1], [4, 2], [0, 3]], dtype=dtype)
    chosen = terms.representatives(["a", "b", "c", "d"], [0, 0, 0, 1], 1, X=X)
    assert [rows.tolist() for rows in chosen.values()] == [[1], [3]]


def test_a_part_of_a_huge_category_is_searched(monkeypatch):
    monkeypatch.setattr(terms, "_MAX_MEMBERS", 10)
    X = np.random.default_rng(0).normal(size=(95, 3))
    texts = [str(i) for i in range(95)]
    chosen = terms.representatives(texts, [0] * 95, 10, X=X)[0]
    assert set(chosen.tolist()) <= set(range(0, 95, 10))
    confidence = np.linspace(0, 1, 95)
    most_confident = terms.representatives(texts, [0] * 95, 10, X=X, confidence=confidence)[0]
    assert most_confident.min() >= 85


def test_a_table_has_size_confidence_keywords_and_texts():
    texts = ["my card is lost", "a card", "no login", "login?", "login now", "hello"]
    labels = ["card", "card", "login", "login", "login", None]
    table = terms.category_table(texts, labels, [1, 0.5, 0.3, 0.3, 0.3, 0.9], n_texts=2)
    assert table.index.tolist() == ["card", "login"]
    assert table.columns.tolist() == ["size", "confidence", "keywords", "texts"]
    assert table["size"].tolist() == [2, 3]
    assert table["confidence"].tolist() == pytest.approx([0.75, 0.3])
    assert table["keywords"].tolist() == [["card"], ["login"]]
    chosen = terms.representatives(texts, labels, 2, confidence=[1, 0.5, 0.3, 0.3, 0.3, 0.9])
    assert table["texts"].tolist() == [[texts[i] for i in rows] for rows in chosen.values()]
    plain = terms.category_table(texts, labels, X=np.eye(6))
    assert plain.columns.tolist() == ["size", "keywords", "texts"]


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="category_table needs pandas: pip install pandas"):
        terms.category_table(["a"], [0])


def test_progress_is_shown_on_request(capfd):
    terms.category_table(["card", "card"], [0, 0], verbose=True)
    shown = capfd.readouterr().err
    assert "Finding terms" in shown
    assert "Counting terms" in shown
    assert "Choosing texts" in shown


def test_keywords_of_questions_contain_the_name_of_the_program(questions):
    keywords = terms.keywords(*questions, 3)
    named = [
        name
        for name, words in keywords.items()
        if any(name.replace("-", " ") == word for word, _ in words)
    ]
    assert len(named) >= 18


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_of_zeros_are_no_error(dtype):
    chosen = terms.representatives(["a", "b", "c"], [0, 0, 1], X=np.zeros((3, 2), dtype))
    assert {category: rows.tolist() for category, rows in chosen.items()} == {0: [0, 1], 1: [2]}
