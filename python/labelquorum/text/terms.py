"""Describe categories of texts: their keywords, typical texts, and a table of both.

`_terms` counts the terms of all texts in two passes and scores them by category. `keywords` takes
the terms with the highest scores; `representatives` compares texts by them, or by embeddings.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.preprocessing import normalize

from labelquorum._shared.arguments import as_confidence, as_positive
from labelquorum._shared.labels import as_codes
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_samples, check_finite
from labelquorum._shared.texts import as_texts
from labelquorum.text.words import as_words, fold

if TYPE_CHECKING:
    import pandas as pd

TEXTS_PER_CHUNK = 1 << 14
_MAX_TERMS = 1 << 21  # distinct terms to count at once; if there are more, the rarest are dropped
_MAX_MEMBERS = 1 << 16  # texts of a category among which representatives are searched
_MIN_LIFT = 6  # a keyword's share in its category divided by its mean share in the others
# Scikit-learn's list has words that may be keywords (Nothman, Qin and Yurchak, "Stop word lists in
# free open-source software packages", NLP-OSS 2018).
_STOP_WORDS = ENGLISH_STOP_WORDS - {
    "amount",
    "bill",
    "bottom",
    "call",
    "cry",
    "describe",
    "detail",
    "empty",
    "fill",
    "find",
    "fire",
    "front",
    "full",
    "interest",
    "mill",
    "mine",
    "move",
    "name",
    "part",
    "serious",
    "show",
    "side",
    "sincere",
    "system",
    "thick",
    "thin",
    "top",
}
_N_CANDIDATES = 50  # terms considered as keywords, or twice the number of keywords if that is more
_CANDIDATES_PER_TEXT = 20
_NEAR_DUPLICATE = 0.95  # cosine

_Show = Callable[[str, float], None] | None
_Analyzer = Callable[[str], list[str]]


class _Terms(NamedTuple):
    """The terms of some texts, their counts and scores."""

    names: list[str]
    """The terms, sorted."""
    counter: CountVectorizer | None
    """Counts these terms in texts; None if there are no terms."""
    counts: sparse.csr_array
    """(n_categories, n_terms): how often each category holds each term."""
    scores: sparse.csr_array
    """(n_categories, n_terms): how well each term describes each category."""
    rarity: NDArray[np.float64]
    """(n_terms,): the weight of rare terms, log(1 + A / f) in the notes of `keywords`."""

    def has(self, name: str) -> bool:
        """Return whether this is one of the terms."""
        i = bisect_left(self.names, name)
        return i < len(self.names) and self.names[i] == name

    def vectors(self, texts: list[str]) -> sparse.csr_array:
        """Return the texts as tf-idf vectors of unit length."""
        vectors = _count(self.counter, texts).astype(np.float64)
        vectors.data *= self.rarity[vectors.indices]
        row = np.repeat(np.arange(len(texts)), np.diff(vectors.indptr))
        vectors.data /= np.sqrt(np.bincount(row, vectors.data**2, minlength=len(texts)))[row]
        return vectors


def _as_labeled_texts(texts: Any, labels: Any) -> tuple[list[str], list[Any], NDArray[np.int32]]:
    """Return the texts, the categories, and the code of each text's category, -1 for none."""
    items = as_texts(texts)
    categories, codes = as_codes(labels, "labels")
    if len(codes) != len(items):
        raise ValueError(
            f"labels has {len(codes)} values, but texts has {len(items)}: they must have the same "
            "length"
        )
    if not categories:
        raise ValueError("labels must hold at least one category, got -1 or None for every text")
    return items, categories, codes


def _chunks(texts: list[str], rows: NDArray[np.intp], stage: str, show: _Show) -> Iterator[Any]:
    """Yield rows and their texts, a chunk at a time."""
    for begin in range(0, len(rows), TEXTS_PER_CHUNK):
        chunk = rows[begin : begin + TEXTS_PER_CHUNK]
        yield chunk, [texts[i] for i in chunk]
        if show is not None:
            show(stage, (begin + len(chunk)) / len(rows))


def _frequent_terms(
    texts: list[str], rows: NDArray[np.intp], analyze: _Analyzer, min_df: int, show: _Show
) -> list[str]:
    """Return the terms that occur in at least min_df texts, sorted."""
    n_texts_with: Counter[str] = Counter()
    for _, chunk in _chunks(texts, rows, "Finding terms", show):
        for text in chunk:
            n_texts_with.update(set(analyze(text)))
        rare = 0
        while len(n_texts_with) > (_MAX_TERMS if rare == 0 else _MAX_TERMS // 2):
            rare += 1
            n_texts_with = Counter({term: n for term, n in n_texts_with.items() if n > rare})
    return sorted(term for term, n in n_texts_with.items() if n >= min_df)


def _counter(names: list[str], analyze: _Analyzer) -> CountVectorizer | None:
    """Return what counts these terms; None for no terms, which scikit-learn refuses."""
    if not names:
        return None
    vocabulary = {name: i for i, name in enumerate(names)}
    return CountVectorizer(analyzer=analyze, vocabulary=vocabulary)


def _count(counter: CountVectorizer | None, texts: list[str]) -> sparse.csr_array:
    """Return how often each text (row) holds each term (column)."""
    if counter is None:
        return sparse.csr_array((len(texts), 0), dtype=np.int64)
    return sparse.csr_array(counter.transform(texts))


def _terms(
    texts: list[str],
    codes: NDArray[np.int32],
    n_categories: int,
    min_df: int,
    vectorizer: Any,
    show: _Show,
) -> _Terms:
    """Find the terms of the texts that have a category, count and score them."""
    has_own_terms = vectorizer is None
    if vectorizer is None:
        vectorizer = CountVectorizer(ngram_range=(1, 2), tokenizer=as_words, token_pattern=None)
    elif not hasattr(vectorizer, "build_analyzer"):
        raise TypeError(
            "vectorizer must be scikit-learn's CountVectorizer or have its build_analyzer(), got "
            f"{type(vectorizer).__name__}"
        )
    analyze = vectorizer.build_analyzer()
    rows = np.flatnonzero(codes >= 0)
    names = _frequent_terms(texts, rows, analyze, as_positive(min_df, "min_df"), show)
    counter = _counter(names, analyze)
    counts = sparse.csr_array((n_categories, len(names)), dtype=np.int64)
    for chunk_rows, chunk in _chunks(texts, rows, "Counting terms", show):
        members = (np.ones(len(chunk), np.int64), (codes[chunk_rows], np.arange(len(chunk))))
        members = sparse.csr_array(members, shape=(n_categories, len(chunk)))
        counts = counts + members @ _count(counter, chunk)
    counts.sort_indices()
    are_stop_words = np.array([has_own_terms and _is_stop_word(name) for name in names], dtype=bool)
    return _Terms(names, counter, counts, *_scored(counts, are_stop_words))


def _is_stop_word(word: str) -> bool:
    """Return whether this is an English stop word, or one with an ending such as "n't" or "'ll"."""
    word = word.replace("\u2019", "'")
    return not _STOP_WORDS.isdisjoint((word.removesuffix("n't"), word.partition("'")[0]))


def _scored(
    counts: sparse.csr_array, are_stop_words: NDArray[np.bool_]
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Return the score of each term in each category, and the rarity of each term."""
    n_categories = counts.shape[0]
    sums = counts.sum(axis=1)
    rarity = np.log1p(sums.mean() / np.maximum(counts.sum(axis=0), 1))
    category = np.repeat(np.arange(n_categories), np.diff(counts.indptr))
    shares = counts.data / sums[category]
    share_sums = np.bincount(counts.indices, shares, minlength=counts.shape[1])
    mean_elsewhere = (share_sums[counts.indices] - shares) / max(1, n_categories - 1)
    scores = counts.astype(np.float64)
    is_typical = shares >= _MIN_LIFT * (1 - 1e-9) * mean_elsewhere
    is_typical &= ~are_stop_words[counts.indices]
    scores.data = np.where(is_typical, shares - mean_elsewhere, 0) * rarity[counts.indices]
    return scores, rarity


def _best_terms(terms: _Terms, category: int, n_keywords: int) -> list[tuple[str, float]]:
    """Return the terms with the highest scores, without redundant ones."""
    begin, end = terms.scores.indptr[category : category + 2]
    scores = terms.scores.data[begin:end]
    best = np.argsort(-scores, kind="stable")[: max(_N_CANDIDATES, 2 * n_keywords)]
    best = best[scores[best] > 0]
    names = [terms.names[i] for i in terms.scores.indices[begin:end][best]]
    counts = dict(zip(names, terms.counts.data[begin:end][best].tolist(), strict=True))
    for name in names:
        words = name.split(" ")
        if any(word not in counts and terms.has(word) for word in (words[0], words[-1])):
            del counts[name]
    redundant = _redundant(counts)
    scored = zip(names, scores[best].tolist(), strict=True)
    return [item for item in scored if item[0] in counts and item[0] not in redundant][:n_keywords]


def _redundant(counts: Mapping[str, int]) -> set[str]:
    """Return terms that add nothing to others, such as "credit" and "card" to "credit card".

    A term is redundant if at least half of its occurrences are within a longer one. A longer term
    is redundant if it contains others and makes none of them redundant.
    """
    redundant: set[str] = set()
    for term, count in counts.items():
        words = term.split(" ")
        spans = {
            " ".join(words[i:j])
            for i in range(len(words))
            for j in range(i + 1, len(words) + 1)
            if j - i < len(words)
        }
        parts = [part for part in spans if part in counts]
        replaced = [part for part in parts if 2 * count >= counts[part]]
        redundant.update(replaced)
        if parts and not replaced:
            redundant.add(term)
    return redundant


def keywords(
    texts: Iterable[str],
    labels: ArrayLike,
    n_keywords: int = 10,
    *,
    min_df: int = 2,
    vectorizer: Any = None,
    verbose: bool = False,
) -> dict[Any, list[tuple[str, float]]]:
    """Find the words and phrases that distinguish each category from the others.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
        The texts.
    labels : array-like of shape (n_samples,)
        Categories: integers, negative for no category, or strings, None for no category
        (docs/inputs.md lists all forms). Texts without a category are ignored.
    n_keywords : int, default=10
        Maximum number of keywords per category.
    min_df : int, default=2
        Minimum number of texts that a term must occur in.
    vectorizer : CountVectorizer, optional
        Its ``build_analyzer()`` splits texts into terms (``token_pattern``, ``ngram_range``,
        ``stop_words``, ``analyzer``, ...). Its other settings are ignored. None for words and pairs
        of words, in lower case.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    dict of list of (str, float)
        The keywords of each category with their scores, the highest first, equal ones in
        alphabetical order. Fewer if not enough terms are more frequent in the category than
        elsewhere. Categories are sorted.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range, or if lengths differ.

    See Also
    --------
    category_table : keywords with sizes and representative texts.

    Notes
    -----
    Scores are class-based tf-idf (Grootendorst, "BERTopic: Neural topic modeling with a class-based
    TF-IDF procedure", arXiv:2203.05794, 2022): the share of a term among all terms of the category,
    times log(1 + A / f), where f counts the term in all categories and A is the mean number of
    terms of a category. Two things differ here: the term's mean share in the other categories is
    subtracted from its share, and a term is left out if its share is less than six times that
    mean. So terms that occur in all categories, such as stop words of any language, are not
    keywords. Where there are few categories, one of them may still have most of a stop word. So
    without `vectorizer`, English stop words are left out, too: those of scikit-learn's
    ``ENGLISH_STOP_WORDS``, without words such as "bill" and "fire".

    A phrase must begin and end with words that are among the 50 best terms of the category (so not
    "my card"). If at least half of the occurrences of a term in the category are within a phrase,
    the phrase replaces it ("credit card" replaces "credit" and "card"). A phrase that replaces none
    of its parts is left out.

    The texts are read twice, in chunks. Memory is about 200 bytes for each distinct term, and a
    count per category and term. If there are more than two million terms, the rarest so far are
    dropped.

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["Lost my credit card", "The credit card is stolen", "My login is gone"]
    >>> texts += ["The login of my account is locked", "Is my account lost?"]
    >>> keywords = lq.text.keywords(texts, ["card", "card", "login", "login", None], 2)
    >>> {category: [word for word, _ in words] for category, words in keywords.items()}
    {'card': ['credit card'], 'login': ['login']}
    """
    items, categories, codes = _as_labeled_texts(texts, labels)
    n_keywords = as_positive(n_keywords, "n_keywords")
    with progress(verbose) as show:
        terms = _terms(items, codes, len(categories), min_df, vectorizer, show)
    return {name: _best_terms(terms, i, n_keywords) for i, name in enumerate(categories)}


def representatives(
    texts: Iterable[str],
    labels: ArrayLike,
    n_texts: int = 3,
    *,
    confidence: ArrayLike | None = None,
    X: Any = None,
    min_df: int = 2,
    vectorizer: Any = None,
    verbose: bool = False,
) -> dict[Any, NDArray[np.intp]]:
    """Find a few texts that are typical of each category and differ from each other.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
        The texts.
    labels : array-like of shape (n_samples,)
        Categories, as for `keywords`.
    n_texts : int, default=3
        Maximum number of texts per category.
    confidence : float array-like of shape (n_samples,), optional
        The confidence of each label, at least 0. The similarity of a text to its category is
        multiplied by it.
    X : array-like or CSR matrix of shape (n_samples, n_features), optional
        Embeddings of the texts, compared by their cosine. The center of a category is the mean of
        its unit vectors. None for tf-idf vectors; the center then holds the scores of `keywords`.
    min_df, vectorizer
        As for `keywords`; ignored if X is given.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    dict of int arrays
        The row numbers of the texts of each category, the best first. Fewer if a category has
        fewer distinct texts. Categories are sorted.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or if lengths differ.

    Notes
    -----
    Texts are chosen by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998). The first
    one is the text most similar to the center. Each further one has the largest difference between
    its similarity to the center and its largest cosine to a chosen text. Candidates are the
    20 * n_texts texts most similar to the center, or half of the category if that is less (but at
    least n_texts).

    Texts that differ only in case and white space count once. A text with a cosine above 0.95 to a
    chosen one is not chosen. In a category of more than 65,536 texts, only the 65,536 most
    confident ones are considered (without confidence: every second, third, ... text).

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["Card lost", "card  LOST", "A new card?", "New card please", "hello", "Hello!"]
    >>> {c: rows.tolist() for c, rows in lq.text.representatives(texts, [0] * 4 + [1] * 2).items()}
    {0: [0, 2], 1: [4]}
    """
    items, categories, codes = _as_labeled_texts(texts, labels)
    n_texts = as_positive(n_texts, "n_texts")
    confidence = as_confidence(confidence, len(items))
    points = _as_embeddings(X, len(items))
    with progress(verbose) as show:
        terms = None
        if points is None:
            terms = _terms(items, codes, len(categories), min_df, vectorizer, show)
        chosen = _representatives(
            items, codes, len(categories), n_texts, confidence, points, terms, show
        )
    return dict(zip(categories, chosen, strict=True))


def _as_embeddings(X: Any, n: int) -> Any:
    if X is None:
        return None
    points = as_samples(X, "X")
    check_finite(points, "X")
    if points.shape[0] != n:
        raise ValueError(f"X must have {n} rows, one per text, got {points.shape[0]}")
    return points


def _representatives(
    texts: list[str],
    codes: NDArray[np.int32],
    n_categories: int,
    n_texts: int,
    confidence: NDArray[np.float64] | None,
    points: Any,
    terms: _Terms | None,
    show: _Show,
) -> list[NDArray[np.intp]]:
    """Choose the rows of each category: by the terms, or by the points where there are no terms."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_categories + 1))
    chosen = []
    for category in range(n_categories):
        rows = order[bounds[category] : bounds[category + 1]]
        rows = _distinct(texts, _at_most_max_members(rows, confidence))
        if terms is None:
            members = points[rows]
            vectors = normalize(members.astype(np.promote_types(members.dtype, np.float32)))
            center = np.asarray(vectors.mean(axis=0)).ravel()
        else:
            vectors = terms.vectors([texts[i] for i in rows])
            center = terms.scores[[category]].toarray().ravel()
        length = float(np.linalg.norm(center))
        similarity = vectors @ (center / length if length > 0 else center)
        if confidence is not None:
            similarity = similarity * confidence[rows]
        chosen.append(rows[_diverse(vectors, similarity, n_texts)])
        if show is not None:
            show("Choosing texts", (category + 1) / n_categories)
    return chosen


def _at_most_max_members(
    rows: NDArray[np.intp], confidence: NDArray[np.float64] | None
) -> NDArray[np.intp]:
    """Return at most _MAX_MEMBERS of the rows, the most confident ones first."""
    if confidence is not None:
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        return rows[:_MAX_MEMBERS]
    return rows[:: -(-len(rows) // _MAX_MEMBERS)]


def _distinct(texts: list[str], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first row of each text, regardless of case and white space."""
    first: dict[str, int] = {}
    for i in rows.tolist():
        first.setdefault(fold(texts[i]), i)
    return np.fromiter(first.values(), dtype=np.intp, count=len(first))


def _diverse(vectors: Any, similarity: NDArray[np.floating[Any]], n_texts: int) -> NDArray[np.intp]:
    """Choose rows by maximal marginal relevance, given their similarity to the center."""
    n_candidates = max(n_texts, min(_CANDIDATES_PER_TEXT * n_texts, len(similarity) // 2))
    candidates = np.argsort(-similarity, kind="stable")[:n_candidates]
    candidate_vectors = vectors[candidates]
    relevance = similarity[candidates].astype(np.float64)
    largest_cosine = np.full(len(candidates), -np.inf)  # to a chosen row
    chosen: list[int] = []
    marginal_relevance = relevance
    while len(chosen) < n_texts and marginal_relevance.max() > -np.inf:
        chosen.append(int(marginal_relevance.argmax()))
        last = candidate_vectors[chosen[-1:]]
        last = last.toarray() if sparse.issparse(last) else last
        largest_cosine = np.maximum(largest_cosine, candidate_vectors @ last.ravel())
        marginal_relevance = np.where(
            largest_cosine > _NEAR_DUPLICATE, -np.inf, relevance - largest_cosine
        )
        marginal_relevance[chosen] = -np.inf
    return candidates[chosen]


def category_table(
    texts: Iterable[str],
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    X: Any = None,
    n_keywords: int = 10,
    n_texts: int = 3,
    min_df: int = 2,
    vectorizer: Any = None,
    verbose: bool = False,
) -> pd.DataFrame:
    """Make a table of the categories: their sizes, confidence, keywords and typical texts.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
        The texts.
    labels : array-like of shape (n_samples,)
        Categories, as for `keywords`.
    confidence : float array-like of shape (n_samples,), optional
        The confidence of each label, at least 0.
    X : array-like or CSR matrix of shape (n_samples, n_features), optional
        Embeddings of the texts, as for `representatives`.
    n_keywords, n_texts : int, default=10 and 3
        Maximum numbers of keywords and texts per category.
    min_df, vectorizer
        As for `keywords`.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    pandas.DataFrame
        A row for each category, sorted. Columns are "size" (number of texts), "confidence" (the
        mean; only if given), "keywords" and "texts" (lists of str).

    Raises
    ------
    ImportError
        If pandas is missing.
    TypeError, ValueError
        As for `keywords` and `representatives`.

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["Lost my card", "The card is lost", "My login is gone", "No login?", "Hello"]
    >>> table = lq.text.category_table(texts, [0, 0, 1, 1, -1], [1, 0.5, 1, 1, 0], n_texts=1)
    >>> print(table.reset_index().to_string(index=False))
     category  size  confidence     keywords          texts
            0     2        0.75 [card, lost] [Lost my card]
            1     2        1.00      [login]    [No login?]
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("category_table needs pandas: pip install pandas") from error
    items, categories, codes = _as_labeled_texts(texts, labels)
    n_keywords, n_texts = as_positive(n_keywords, "n_keywords"), as_positive(n_texts, "n_texts")
    confidence = as_confidence(confidence, len(items))
    points = _as_embeddings(X, len(items))
    n_categories = len(categories)
    with progress(verbose) as show:
        terms = _terms(items, codes, n_categories, min_df, vectorizer, show)
        chosen = _representatives(
            items,
            codes,
            n_categories,
            n_texts,
            confidence,
            points,
            terms if X is None else None,
            show,
        )
    members = codes[codes >= 0]
    columns: dict[str, Any] = {"size": np.bincount(members, minlength=n_categories)}
    if confidence is not None:
        sums = np.bincount(members, confidence[codes >= 0], minlength=n_categories)
        columns["confidence"] = sums / columns["size"]
    columns["keywords"] = [
        [word for word, _ in _best_terms(terms, i, n_keywords)] for i in range(n_categories)
    ]
    columns["texts"] = [[items[i] for i in rows] for rows in chosen]
    return pd.DataFrame(columns, index=pd.Index(categories, name="category"))
