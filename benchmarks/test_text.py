"""Find keywords and apply 1,000 keyword rules, beside scikit-learn and regular expressions.

Texts have 12 words each, drawn by Zipf's law from 200,000 words and from 50 words of one of 100
categories. CountVectorizer counts the terms that class-based tf-idf needs at least. The regular
expressions are the same rules, one after the other. The compute floor is to split all texts.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

import labelquorum as lq
from _recorder import timed as clocked

N_CATEGORIES, WORDS_PER_TEXT, WORDS_PER_CATEGORY = 100, 12, 50
SIZES = {"n_texts": {"small": [20_000], "full": [1_000_000]}}
MOST_FOR_EXPRESSIONS = 2000  # they take about a millisecond per text


@pytest.fixture(scope="module")
def data(n_texts):
    """Texts and their categories; the words of category c are named "c_0", "c_1", ..."""
    rng = np.random.default_rng(0)
    labels = rng.integers(N_CATEGORIES, size=n_texts)
    texts = []
    for label in labels:
        ranks = rng.zipf(1.2, size=WORDS_PER_TEXT) % 200_000
        own = rng.integers(WORDS_PER_CATEGORY, size=WORDS_PER_TEXT)
        is_own = rng.random(WORDS_PER_TEXT) < 0.2
        words = zip(ranks, own, is_own, strict=True)
        texts.append(" ".join(f"{label}_{o}" if mine else f"w{r}" for r, o, mine in words))
    return texts, labels


@pytest.fixture(scope="module")
def labeler(data):
    return lq.text.KeywordLabeler.from_keywords(lq.text.keywords(*data, 10), 10)


def splitting(texts):
    return lambda: min(clocked(lambda: [text.split() for text in texts])[0] for _ in range(3))


def test_keywords_labelquorum(timed, data):
    texts, labels = data
    keywords = timed(
        f"keywords of {len(texts):,} texts",
        lambda: lq.text.keywords(texts, labels, 10),
        texts=len(texts),
        computes=splitting(texts),
    )
    own = [all(word.startswith(f"{c}_") for word, _ in words) for c, words in keywords.items()]
    assert np.mean(own) > 0.9


def test_keywords_sklearn_counts(timed, data):
    texts, _ = data
    counts = timed(
        f"keywords of {len(texts):,} texts",
        lambda: CountVectorizer(ngram_range=(1, 2), min_df=2).fit_transform(texts),
        texts=len(texts),
        computes=splitting(texts),
    )
    assert counts.shape[0] == len(texts)


def test_category_table(timed, data):
    texts, labels = data
    confidence = np.random.default_rng(1).random(len(texts))
    table = timed(
        f"category table of {len(texts):,} texts",
        lambda: lq.text.category_table(texts, labels, confidence),
        texts=len(texts),
        computes=splitting(texts),
    )
    assert len(table) == N_CATEGORIES


def by_rules(labeler, texts):
    return labeler.partition(texts)


def by_expressions(labeler, texts):
    """Take the category with the most rules that match; -1 without a match or with a tie."""
    patterns = [
        [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE) for word in words]
        for words in labeler.rules.values()
    ]
    counts = np.array(
        [[sum(p.search(text) is not None for p in of) for of in patterns] for text in texts]
    )
    best = counts.max(axis=1)
    is_sure = (best > 0) & ((counts == best[:, None]).sum(axis=1) == 1)
    return np.where(is_sure, counts.argmax(axis=1), -1)


@pytest.mark.parametrize("apply", [by_rules, by_expressions])
def test_rules(timed, benchmark, data, labeler, apply):
    texts, labels = (part[:MOST_FOR_EXPRESSIONS] for part in data)
    predicted = timed(
        f"1,000 rules on {len(texts):,} texts",
        lambda: apply(labeler, texts),
        once=apply is by_expressions,
        texts=len(texts),
        computes=splitting(texts),
    )
    sure = predicted >= 0
    benchmark.extra_info["coverage"] = float(sure.mean())
    benchmark.extra_info["precision"] = precision = float((predicted == labels)[sure].mean())
    assert precision > 0.9
    if apply is by_rules:
        assert (predicted == by_expressions(labeler, texts)).mean() > 0.99


def test_rules_on_all_texts(timed, data, labeler):
    texts, labels = data
    predicted = timed(
        f"1,000 rules on {len(texts):,} texts",
        lambda: labeler.partition(texts),
        texts=len(texts),
        computes=splitting(texts),
    )
    assert (predicted == labels)[predicted >= 0].mean() > 0.9
