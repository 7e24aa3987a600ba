"""labelquorum.text against naive versions, in several languages, and on real questions."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.estimator_checks import check_estimator

import labelquorum as lq
from labelquorum.text import terms as text
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
    """Class-based tf-idf of shares four times the mean of the others, of what is above it."""
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
            scores[c][term] = excess * rarity if excess >= 3 * elsewhere * (1 - 1e-8) else 0.0
    return scores


@given(labeled_texts(), st.integers(1, 3))
def test_keywords_are_the_words_of_the_highest_class_based_tf_idf(sample, min_df):
    texts, labels = sample
    single = CountVectorizer(token_pattern=r"\w+(?:'\w+)*")
    found = text.keywords(texts, labels, 20, min_df=min_df, vectorizer=single)
    expected = naive_scores(texts, labels, min_df)
    assert list(found) == list(expected)
    for category, scored in found.items():
        scores = [score for _, score in scored]
        assert scores == sorted(scores, reverse=True)
        wanted = {t: s for t, s in expected[category].items() if s > 1e-12}
        ours = {t: s for t, s in scored if s > 1e-12}
        assert ours == pytest.approx(wanted)


@given(labeled_texts())
@share(0.5)
def test_keywords_do_not_depend_on_the_order_of_texts(sample):
    texts, labels = sample
    found = text.keywords(texts, labels, min_df=1)
    assert text.keywords(texts[::-1], labels[::-1], min_df=1) == found


def test_more_texts_than_a_chunk_holds_are_counted_in_full():
    rng = np.random.default_rng(0)
    n = 3 * text._TEXTS_PER_CHUNK + 5
    labels = rng.integers(4, size=n)
    texts = [
        f"word{label} of r{rare}"
        for label, rare in zip(labels, rng.integers(99, size=n), strict=True)
    ]
    single = CountVectorizer()
    found = text.keywords(texts, labels, 1, vectorizer=single)
    expected = naive_scores(texts, labels.tolist())
    for category, (best,) in found.items():
        assert best == (f"word{category}", pytest.approx(expected[category][best[0]]))


def test_the_rarest_terms_are_forgotten_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(text, "_MAX_TERMS", 1000)
    monkeypatch.setattr(text, "_TEXTS_PER_CHUNK", 100)
    texts = [f"topic{i % 2} once{i} again{i // 2}" for i in range(4000)]
    names = text._frequent_terms(texts, np.arange(4000), str.split, 2, None)
    assert {"topic0", "topic1"} <= set(names)
    assert len(names) < 1000
    found = text.keywords(texts, [i % 2 for i in range(4000)], 1)
    assert [words[0][0] for words in found.values()] == ["topic0", "topic1"]


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
def test_words_that_all_categories_share_are_no_keywords_in_any_language(language):
    things = THINGS[language]
    texts = [frame.format(thing) for thing in things for frame in STOP_WORDS[language]]
    labels = [thing for thing in things for _ in STOP_WORDS[language]]
    for thing, found in text.keywords(texts, labels).items():
        assert [word for word, _ in found] == [thing.lower()]


def test_a_phrase_stands_for_its_parts():
    texts = ["my credit card", "a credit card", "credit card", "this credit card", "a card"]
    texts += ["my login", "a login", "login", "this login", "that login"]
    found = text.keywords(texts, [0] * 5 + [1] * 5, min_df=3)
    assert [[word for word, _ in words] for words in found.values()] == [["credit card"], ["login"]]
    assert text._redundant({"red": 100, "hat": 10, "red hat": 9}) == {"hat"}
    assert text._redundant({"a": 10, "b": 10, "a b": 4}) == {"a b"}
    assert text._redundant({"a x c": 5, "a": 9, "c": 11, "a x": 9, "x c": 5}) == {"a", "a x", "x c"}


def test_phrases_begin_and_end_with_keywords_where_words_are_terms():
    texts = ["a red card", "a red card of mine", "a blue chair", "a blue chair of mine"]
    phrases = CountVectorizer(ngram_range=(2, 2), token_pattern=r"\w+")
    for vectorizer, expected in [(None, ["red card"]), (phrases, ["a red", "card of", "red card"])]:
        found = text.keywords(texts, [0, 0, 1, 1], min_df=1, vectorizer=vectorizer)
        assert sorted(word for word, _ in found[0]) == expected


def test_a_single_category_has_keywords_too():
    found = text.keywords(["red card", "card", "card"], [7, 7, 7], 1)
    assert [word for word, _ in found[7]] == ["card"]


def test_texts_without_a_term_have_no_keywords():
    assert text.keywords(["", "?", "one", "two"], ["a", "b", "b", None]) == {"a": [], "b": []}
    chosen = text.representatives(["", "?", "one", "two"], ["a", "b", "b", None])
    assert [rows.tolist() for rows in chosen.values()] == [[0], [1, 2]]


def test_labels_and_texts_come_in_many_forms():
    texts = ["card lost", "my card", "login lost", "my login"]
    expected = text.keywords(texts, [0, 0, 1, 1])
    assert text.keywords(np.array(texts), np.array([0, 0, 1, 1], np.uint8)) == expected
    assert text.keywords(pd.Series(texts), pd.Series([0, 0, 1, 1])) == expected
    assert text.keywords((t for t in texts), (0, 0, 1, 1)) == expected
    named = text.keywords(texts, ["x", "x", "y", "y"])
    assert list(named.values()) == list(expected.values())


BAD = [
    ("abc", [0], {}, TypeError, "texts must be a list or array of strings, got str"),
    (7, [0], {}, TypeError, "texts must be a list or array of strings, got int"),
    ([], [], {}, ValueError, "texts must hold at least one string, got none"),
    (["a", None], [0, 0], {}, TypeError, r"texts must hold.* got None \(NoneType\) at position 1"),
    (["a", "b"], [0], {}, ValueError, "labels holds 1 samples, texts 2"),
    (["a"], [-1], {}, ValueError, "labels holds no category"),
    (["a"], [0.5], {}, TypeError, r"labels must hold integers, got floats \(float64\)"),
    (["a"], [0], {"min_df": 0}, ValueError, "min_df must be an integer of at least 1, got 0"),
    (["a"], [0], {"vectorizer": 3}, TypeError, "vectorizer is a int; wanted scikit-learn's"),
]


@pytest.mark.parametrize("function", [text.keywords, text.representatives, text.category_table])
@pytest.mark.parametrize("texts, labels, options, error, message", BAD)
def test_bad_texts_and_labels_are_refused(function, texts, labels, options, error, message):
    with pytest.raises(error, match=message):
        function(texts, labels, **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"confidence": ["a"]}, TypeError, "confidence must hold numbers, got dtype <U1"),
        ({"confidence": [0.5, 0.5]}, ValueError, r"confidence must have shape \(1,\), got \(2,\)"),
        ({"confidence": [np.nan]}, ValueError, "confidence must hold.* got nan"),
        ({"confidence": [-1.0]}, ValueError, r"confidence must hold.* got -1\.0"),
        ({"X": [[0.0], [1.0]]}, ValueError, "X has 2 rows, texts holds 1"),
        ({"X": [[np.inf]]}, ValueError, "X must be finite, got infinity at row 0, column 0"),
        (
            {"X": sparse.csr_array([[np.nan]])},
            ValueError,
            "the data of X must be.* got NaN at row 0, column 0",
        ),
        ({"n_texts": 0}, ValueError, "n_texts must be an integer of at least 1, got 0"),
    ],
)
@pytest.mark.parametrize("function", [text.representatives, text.category_table])
def test_bad_confidence_and_embeddings_are_refused(function, options, error, message):
    with pytest.raises(error, match=message):
        function(["a"], [0], **options)


def naive_representatives(X, rows, n_texts, confidence):
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300)
    centre = unit[rows].mean(axis=0)
    nearness = unit[rows] @ centre / np.linalg.norm(centre) * confidence[rows]
    order = np.argsort(-nearness, kind="stable")[: max(n_texts, min(20 * n_texts, len(rows) // 2))]
    candidates = [rows[i] for i in order]
    near = {rows[i]: nearness[i] for i in order}
    chosen = [candidates[0]]
    while len(chosen) < n_texts:
        cosine = {i: max(unit[i] @ unit[j] for j in chosen) for i in candidates}
        left = [i for i in candidates if i not in chosen and cosine[i] <= 0.95]
        if not left:
            break
        chosen.append(max(left, key=lambda i: near[i] - cosine[i]))
    return chosen


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(1, 5), st.booleans())
def test_representatives_equal_naive_ones(seed, n, n_texts, is_sparse):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) + rng.normal(size=4)
    labels = rng.integers(-1, 2, size=n)
    labels[0] = 0
    # Ordered as the candidates are: most confident first, by row where equal.
    confidence = np.sort(rng.random(n))[::-1]
    chosen = text.representatives(
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
    chosen = text.representatives(texts, labels, 2)
    assert len(set(chosen[0].tolist()) & {0, 1, 2}) <= 1
    assert all("card" in texts[i].lower() for i in chosen[0])
    assert all("login" in texts[i] for i in chosen[1])


def test_of_identical_texts_the_most_confident_stands_for_all():
    texts = ["same text"] * 5 + ["other words"]
    confidence = [0.1, 0.2, 0.9, 0.3, 0.1, 0.0]
    chosen = text.representatives(texts, [0] * 6, 3, confidence=confidence)
    assert chosen[0].tolist() == [2, 5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_embeddings_come_in_many_types(dtype):
    X = np.array([[4, 0], [4, 1], [4, 2], [0, 3]], dtype=dtype)
    chosen = text.representatives(["a", "b", "c", "d"], [0, 0, 0, 1], 1, X=X)
    assert [rows.tolist() for rows in chosen.values()] == [[1], [3]]


def test_of_a_huge_category_a_part_is_looked_at(monkeypatch):
    monkeypatch.setattr(text, "_MAX_MEMBERS", 10)
    X = np.random.default_rng(0).normal(size=(95, 3))
    texts = [str(i) for i in range(95)]
    everywhere = text.representatives(texts, [0] * 95, 10, X=X)[0]
    assert set(everywhere.tolist()) <= set(range(0, 95, 10))
    confidence = np.linspace(0, 1, 95)
    surest = text.representatives(texts, [0] * 95, 10, X=X, confidence=confidence)[0]
    assert surest.min() >= 85


def test_a_table_has_size_confidence_keywords_and_texts():
    texts = ["my card is lost", "a card", "no login", "login?", "login now", "hello"]
    labels = ["card", "card", "login", "login", "login", None]
    table = text.category_table(texts, labels, [1, 0.5, 0.3, 0.3, 0.3, 0.9], n_texts=2)
    assert table.index.tolist() == ["card", "login"]
    assert table.columns.tolist() == ["size", "confidence", "keywords", "texts"]
    assert table["size"].tolist() == [2, 3]
    assert table["confidence"].tolist() == pytest.approx([0.75, 0.3])
    assert table["keywords"].tolist() == [["card"], ["login"]]
    chosen = text.representatives(texts, labels, 2, confidence=[1, 0.5, 0.3, 0.3, 0.3, 0.9])
    assert table["texts"].tolist() == [[texts[i] for i in rows] for rows in chosen.values()]
    plain = text.category_table(texts, labels, X=np.eye(6))
    assert plain.columns.tolist() == ["size", "keywords", "texts"]


def test_a_table_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="category_table needs pandas: pip install pandas"):
        text.category_table(["a"], [0])


def test_progress_is_shown_on_request(capfd):
    text.category_table(["card", "card"], [0, 0], verbose=True)
    shown = capfd.readouterr().err
    assert "Finding terms" in shown
    assert "Counting terms" in shown
    assert "Choosing texts" in shown
    text.KeywordLabeler({"a": ["b"]}, verbose=True).predict(["b"])
    assert "Matching rules" in capfd.readouterr().err


# Of estimators of strings scikit-learn checks the interface alone, and says that it skips the rest.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract():
    checked = check_estimator(text.KeywordLabeler({"a": ["word"]}), on_skip=None)
    assert {result["status"] for result in checked} == {"passed"}


def naive_partition(rules, texts, whole_words):
    labels = []
    for content in texts:
        votes = []
        for given_rules in rules.values():
            parts = [r"\s+".join(map(re.escape, rule.split())) for rule in given_rules]
            if whole_words:
                # A symbol is a word of its own.
                before = [r"(?<!\w)" if rule[0].isalnum() else "" for rule in given_rules]
                after = [r"(?!\w)" if rule[-1].isalnum() else "" for rule in given_rules]
                parts = [b + p + a for b, p, a in zip(before, parts, after, strict=True)]
            votes.append(sum(bool(re.search(part, content, re.IGNORECASE)) for part in parts))
        best = [c for c, vote in enumerate(votes) if vote == max(votes) > 0]
        labels.append(best[0] if len(best) == 1 else -1)
    return labels


_RULES = ["card", "car", "Credit card", "c++", "c", "don't", "++", "is lost", "LOST", "1 2", "12"]
_PIECES = ["card", "cars", "car", "CREDIT", "C++", "c", "don't", "is", "lost", "1", "2", "12", "+"]


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
def test_a_labeler_equals_regular_expressions(rules, pieces, whole_words):
    rules = {f"category {i}": given_rules for i, given_rules in enumerate(rules)}
    texts = ["".join(word + space for word, space in some) for some in pieces]
    labeler = text.KeywordLabeler(rules, whole_words=whole_words)
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
def test_words_are_unicode(rule, content, matches):
    labeler = text.KeywordLabeler({"a": [rule]})
    if matches is None:
        with pytest.raises(ValueError, match=r"rules\['a'\] holds .*; wanted at least one word"):
            labeler.fit()
    else:
        assert labeler.partition([content]).tolist() == [0 if matches else -1]


def test_parts_of_words_are_found_where_asked_for():
    labeler = text.KeywordLabeler({"發票": ["發票"], "car": ["Car  s"]}, whole_words=False)
    assert labeler.predict(["我的發票不見了", "my car shop", "cars"]).tolist() == [
        "發票",
        "car",
        None,
    ]


def test_patterns_see_the_text_as_it_is():
    rules = {"code": [re.compile(r"^[A-Z]{3}\d"), re.compile("x$", re.IGNORECASE)]}
    labeler = text.KeywordLabeler(rules)
    assert labeler.partition(["ABC1", "abc1", "aX", FULL_WIDTH + "1"]).tolist() == [0, -1, 0, -1]


def test_the_majority_of_matching_rules_decides_and_a_tie_abstains():
    labeler = text.KeywordLabeler({"a": ["x", "y"], "b": ["z", "w"]})
    assert labeler.predict(["x y z", "x z", "x x z", "z", ""]).tolist() == [
        "a",
        None,
        None,
        "b",
        None,
    ]


def test_integer_categories_are_predicted_as_they_are():
    labeler = text.KeywordLabeler({5: ["x"], 2: ["y"]}).fit()
    assert labeler.predict(["y", "x", "?"]).tolist() == [2, 5, -1]
    assert labeler.partition(["y", "x", "?"]).tolist() == [1, 0, -1]
    assert labeler.classes_.tolist() == [5, 2]


def test_a_report_tells_coverage_and_conflicts_of_each_rule():
    labeler = text.KeywordLabeler({"a": ["x", re.compile("q+")], "b": ["z"], "c": []})
    lines = labeler.report(["x", "x z", "x qq", "", "z x", "no"])
    frame = pd.DataFrame(lines)
    assert frame.columns.tolist() == ["category", "rule", "coverage", "conflicts"]
    assert frame["category"].tolist() == ["a", "a", "b"]
    assert frame["rule"].tolist() == ["x", "q+", "z"]
    assert frame["coverage"].tolist() == pytest.approx([4 / 6, 1 / 6, 2 / 6])
    assert frame["conflicts"].tolist() == pytest.approx([0.5, 0.0, 1.0])


def test_keywords_become_rules():
    texts = ["my card", "card lost", "a credit card", "login lost", "my login", "the login"]
    found = text.keywords(texts, ["card"] * 3 + ["login"] * 3)
    labeler = text.KeywordLabeler.from_keywords(found, 1)
    assert labeler.rules == {"card": ["card"], "login": ["login"]}
    assert labeler.predict(["Card?", "lost"]).tolist() == ["card", None]
    parts = text.KeywordLabeler.from_keywords(found, 1, whole_words=False)
    assert parts.predict(["cards"]).tolist() == ["card"]


def test_rules_and_clusterings_vote_together():
    texts = ["my invoice", "invoice lost", "password?", "new password", "hello"]
    rules = text.KeywordLabeler({"billing": ["invoice"], "login": ["password"]}).partition(texts)
    partitions = lq.combine_votes([[0, 0, 1, 1, 1], ["p", "p", "q", "q", None], rules])
    assert lq.mini_clusters(partitions, 2).tolist() == [0, 0, 1, 1, -1]


def test_a_labeler_is_cloned_and_pickled():
    labeler = text.KeywordLabeler({"a": ["x", re.compile("y")]}, whole_words=False)
    for copy in (clone(labeler), pickle.loads(pickle.dumps(labeler))):
        assert copy.get_params() == labeler.get_params()
        assert copy.partition(["axe", "y", "z"]).tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    "rules, error, message",
    [
        (["a"], TypeError, "rules is a list; wanted a dict"),
        ({}, ValueError, "rules is empty"),
        ({"a": "word"}, TypeError, r"rules\['a'\] is a str; wanted a list"),
        ({"a": re.compile("x")}, TypeError, r"rules\['a'\] is a Pattern"),
        ({"a": 3}, TypeError, r"rules\['a'\] is a int"),
        ({"a": [3]}, TypeError, r"rules\['a'\] holds 3 \(int\)"),
        ({"a": [re.compile(b"x")]}, TypeError, "regular expressions of strings"),
        ({"a": ["Word", "word"]}, ValueError, "holds 'word' twice; it would vote twice"),
        ({"a": ["x"], 1: ["y"]}, TypeError, "strings alone, or integers alone"),
        ({-1: ["x"]}, ValueError, "rules has the category -1"),
        ({True: ["x"]}, TypeError, "strings alone, or integers alone"),
    ],
)
def test_what_is_no_rule_is_refused(rules, error, message):
    with pytest.raises(error, match=message):
        text.KeywordLabeler(rules).fit()
    with pytest.raises(error, match=message):
        text.KeywordLabeler(rules).predict(["a"])


STACKOVERFLOW = [
    "wordpress",
    "oracle",
    "svn",
    "apache",
    "excel",
    "matlab",
    "visual-studio",
    "cocoa",
    "osx",
    "bash",
    "spring",
    "hibernate",
    "scala",
    "sharepoint",
    "ajax",
    "qt",
    "drupal",
    "linq",
    "haskell",
    "magento",
]


@pytest.fixture(scope="module")
def questions():
    """Titles of questions about 20 programs, with the name of the program."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("LABELQUORUM_DATA", beside))
    path = folder / "intents" / "stackoverflow.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing; LABELQUORUM_DATA names the folder of real data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], [STACKOVERFLOW[row["label"] - 1] for row in rows]


def test_keywords_of_questions_name_what_they_are_about(questions):
    found = text.keywords(*questions, 3)
    named = [
        name
        for name, words in found.items()
        if any(name.replace("-", " ") == word for word, _ in words)
    ]
    assert len(named) >= 18


def test_rules_from_keywords_label_questions(questions):
    texts, names = questions
    found = text.keywords(texts[::2], names[::2])
    labels = text.KeywordLabeler.from_keywords(found, 3).predict(texts[1::2])
    right = labels == np.array(names[1::2])
    given = np.array([label is not None for label in labels])
    assert given.mean() > 0.65
    assert right[given].mean() > 0.93


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_that_say_nothing_are_no_error(dtype):
    found = lq.text.representatives(["a", "b", "c"], [0, 0, 1], X=np.zeros((3, 2), dtype))
    assert {category: rows.tolist() for category, rows in found.items()} == {0: [0, 1], 1: [2]}
