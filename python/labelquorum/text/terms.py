"""Categories of texts in words: keywords, representative texts, tables, and rules that vote."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from labelquorum._shared.arguments import (
    as_codes,
    as_confidence,
    as_points,
    as_positive,
    as_texts,
    check_finite,
)
from labelquorum._shared.progress import progress
from labelquorum.text.words import _folded, as_words

if TYPE_CHECKING:
    import pandas as pd

TEXTS_PER_CHUNK = 1 << 14
_MAX_TERMS = 1 << 21  # different terms counted at once; above, the rarest are forgotten
_MAX_MEMBERS = 1 << 16  # texts of a category among which its representatives are looked for
_LEAST_LIFT = 4  # a keyword's share in its category, by the mean share in the others
_CANDIDATES = 50  # for keywords; where more keywords are wanted, twice as many as those
_CANDIDATES_PER_TEXT = 20
_NEAR_DUPLICATE = 0.95  # cosine

_Show = Callable[[str, float], None] | None
_Analyzer = Callable[[str], list[str]]


class _Terms(NamedTuple):
    """The terms of some texts, sorted, and by category how often each occurs, and its score."""

    names: list[str]
    counter: CountVectorizer | None
    counts: sparse.csr_array
    scores: sparse.csr_array
    rarity: NDArray[np.float64]  # of each term

    def has(self, name: str) -> bool:
        """Whether this is one of the terms."""
        i = bisect_left(self.names, name)
        return i < len(self.names) and self.names[i] == name

    def vectors(self, texts: list[str]) -> sparse.csr_array:
        """The texts as tf-idf vectors of unit length."""
        vectors = _count(self.counter, texts).astype(np.float64)
        vectors.data *= self.rarity[vectors.indices]
        row = np.repeat(np.arange(len(texts)), np.diff(vectors.indptr))
        vectors.data /= np.sqrt(np.bincount(row, vectors.data**2, minlength=len(texts)))[row]
        return vectors


def _categories(texts: Any, labels: Any) -> tuple[list[str], list[Any], NDArray[np.int32]]:
    """The texts, the categories, and the number of each text's category or -1."""
    items = as_texts(texts)
    categories, codes = as_codes(labels, "labels")
    if len(codes) != len(items):
        raise ValueError(f"labels holds {len(codes)} samples, texts {len(items)}; wanted as many")
    if not categories:
        raise ValueError("labels holds no category: every text is -1 or None")
    return items, categories, codes


def _chunks(texts: list[str], rows: NDArray[np.intp], stage: str, show: _Show) -> Iterator[Any]:
    """The rows and their texts, some at a time."""
    for begin in range(0, len(rows), TEXTS_PER_CHUNK):
        chunk = rows[begin : begin + TEXTS_PER_CHUNK]
        yield chunk, [texts[i] for i in chunk]
        if show is not None:
            show(stage, (begin + len(chunk)) / len(rows))


def _frequent_terms(
    texts: list[str], rows: NDArray[np.intp], analyze: _Analyzer, min_df: int, show: _Show
) -> list[str]:
    """The terms that occur in at least min_df texts, sorted."""
    found: Counter[str] = Counter()
    for _, chunk in _chunks(texts, rows, "Finding terms", show):
        for text in chunk:
            found.update(set(analyze(text)))
        rare = 0
        while len(found) > (_MAX_TERMS if rare == 0 else _MAX_TERMS // 2):
            rare += 1
            found = Counter({term: count for term, count in found.items() if count > rare})
    return sorted(term for term, count in found.items() if count >= min_df)


def _counter(names: list[str], analyze: _Analyzer) -> CountVectorizer | None:
    """What counts these terms; None where there is none, which scikit-learn refuses to count."""
    if not names:
        return None
    vocabulary = {name: i for i, name in enumerate(names)}
    return CountVectorizer(analyzer=analyze, vocabulary=vocabulary)


def _count(counter: CountVectorizer | None, texts: list[str]) -> sparse.csr_array:
    """How often each text holds each term."""
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
    if vectorizer is None:
        vectorizer = CountVectorizer(ngram_range=(1, 2), tokenizer=as_words, token_pattern=None)
    elif not hasattr(vectorizer, "build_analyzer"):
        raise TypeError(
            f"vectorizer is a {type(vectorizer).__name__}; wanted scikit-learn's CountVectorizer, "
            "or what has its build_analyzer()"
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
    return _Terms(names, counter, counts, *_scored(counts))


def _scored(counts: sparse.csr_array) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """The score of each term in each category, and the rarity of each term."""
    n_categories = counts.shape[0]
    sums = counts.sum(axis=1)
    rarity = np.log1p(sums.mean() / np.maximum(counts.sum(axis=0), 1))
    category = np.repeat(np.arange(n_categories), np.diff(counts.indptr))
    shares = counts.data / sums[category]
    all_shares = np.bincount(counts.indices, shares, minlength=counts.shape[1])
    elsewhere = (all_shares[counts.indices] - shares) / max(1, n_categories - 1)
    scores = counts.astype(np.float64)
    is_own = shares >= _LEAST_LIFT * (1 - 1e-9) * elsewhere
    scores.data = np.where(is_own, shares - elsewhere, 0) * rarity[counts.indices]
    return scores, rarity


def _best_terms(terms: _Terms, category: int, n_keywords: int) -> list[tuple[str, float]]:
    """The terms of the highest scores, without those that say what others say."""
    begin, end = terms.scores.indptr[category : category + 2]
    scores = terms.scores.data[begin:end]
    best = np.argsort(-scores, kind="stable")[: max(_CANDIDATES, 2 * n_keywords)]
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
    """Terms that say nothing beside another: "credit" and "card" beside "credit card".

    A term goes where half of its occurrences or more are within a longer one; a longer one goes
    where it holds others and makes none of them go.
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
        within = [part for part in parts if 2 * count >= counts[part]]
        redundant.update(within)
        if parts and not within:
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
    """Find the words and phrases that tell each category from the others.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
    labels : array-like of shape (n_samples,)
        Categories: integers, where a negative one is none, or strings, with None where there is
        none. Texts without a category are left out.
    n_keywords : int, default=10
        Keywords of each category, at most.
    min_df : int, default=2
        A term has to occur in so many texts.
    vectorizer : CountVectorizer, optional
        Its ``build_analyzer()`` says what the terms of a text are (``token_pattern``,
        ``ngram_range``, ``stop_words``, ``analyzer``, ...); its other settings do not matter.
        None for words and pairs of words, in lower case.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    dict of list of (str, float)
        The keywords of each category with their scores, the highest first (of equal ones, in
        alphabetical order); fewer, or none, where not so many terms are more frequent in it than
        elsewhere. Categories in sorted order.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or range, or the lengths differ.

    See Also
    --------
    category_table : the same beside sizes and representative texts.

    Notes
    -----
    Class-based tf-idf (Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF
    procedure", arXiv:2203.05794, 2022): the share of a term among all terms of the category, times
    log(1 + A / f), where f counts the term in all categories and A is the mean number of terms of a
    category. Here the share is that above the mean share in the other categories, and terms of less
    than four times that mean are left out: what is spread over all categories, as stop words are in
    any language, is no keyword.

    Phrases have to begin and end with words that are themselves among the 50 best of the category
    (not "my card"). Where half of the occurrences of a term in the category or more are within a
    phrase, the phrase stands for it ("credit card" for "credit" and "card"); a phrase that stands
    for none of its parts is left out.

    Two passes over the texts, in chunks. Memory is for the different terms, about 200 bytes each
    (of more than two million, the rarest so far are forgotten), and a count per category and term.

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["Lost my credit card", "The credit card is stolen", "My login is gone"]
    >>> texts += ["The login of my account is locked", "Is my account lost?"]
    >>> found = lq.text.keywords(texts, ["card", "card", "login", "login", None], 2)
    >>> {category: [word for word, _ in words] for category, words in found.items()}
    {'card': ['credit card'], 'login': ['login']}
    """
    items, categories, codes = _categories(texts, labels)
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
    """Find a few texts that stand for each category and differ from each other.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
    labels : array-like of shape (n_samples,)
        Categories, as for `keywords`.
    n_texts : int, default=3
        Texts of each category, at most.
    confidence : float array-like of shape (n_samples,), optional
        How sure each label is, not negative; the nearness of a text to its category counts by it.
    X : array-like or CSR matrix of shape (n_samples, n_features), optional
        Embeddings of the texts, compared by their cosine; the centre of a category is the mean of
        its unit vectors. None for tf-idf vectors, the centre being the scores of `keywords`.
    min_df, vectorizer
        As for `keywords`; not used with X.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    dict of int arrays
        Row numbers for each category, the best first; fewer where a category has not so many
        different texts. Categories in sorted order.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or the lengths differ.

    Notes
    -----
    By maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the text nearest to the
    centre, then again and again that whose nearness, less its greatest cosine to one chosen before,
    is largest, among the nearest 20 for each text wanted (half of the category where it is small).
    Texts that are the same but for case and white space count once, and one with a cosine above
    0.95 to a chosen one is not chosen. In a category of more than 65,536 texts the most confident
    so many are looked at (without confidence: every second, third, ...).

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["Card lost", "card  LOST", "A new card?", "New card please", "hello", "Hello!"]
    >>> {c: rows.tolist() for c, rows in lq.text.representatives(texts, [0] * 4 + [1] * 2).items()}
    {0: [0, 2], 1: [4]}
    """
    items, categories, codes = _categories(texts, labels)
    n_texts = as_positive(n_texts, "n_texts")
    sureness = as_confidence(confidence, len(items))
    points = _as_embeddings(X, len(items))
    with progress(verbose) as show:
        terms = None
        if points is None:
            terms = _terms(items, codes, len(categories), min_df, vectorizer, show)
        chosen = _representatives(
            items, codes, len(categories), n_texts, sureness, points, terms, show
        )
    return dict(zip(categories, chosen, strict=True))


def _as_embeddings(X: Any, n: int) -> Any:
    if X is None:
        return None
    if sparse.issparse(X):
        points = sparse.csr_array(X)
        check_finite(points.data[None], "the data of X")
    else:
        points = as_points(X, "X")
        check_finite(points, "X")
    if points.shape[0] != n:
        raise ValueError(f"X has {points.shape[0]} rows, texts holds {n}; wanted as many")
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
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_categories + 1))
    chosen = []
    for category in range(n_categories):
        rows = order[bounds[category] : bounds[category + 1]]
        rows = _distinct(texts, _looked_at(rows, confidence))
        if terms is None:
            members = points[rows]
            vectors = normalize(members.astype(np.promote_types(members.dtype, np.float32)))
            centre = np.asarray(vectors.mean(axis=0)).ravel()
        else:
            vectors = terms.vectors([texts[i] for i in rows])
            centre = terms.scores[[category]].toarray().ravel()
        length = float(np.linalg.norm(centre))
        nearness = vectors @ (centre / length if length > 0 else centre)
        if confidence is not None:
            nearness = nearness * confidence[rows]
        chosen.append(rows[_diverse(vectors, nearness, n_texts)])
        if show is not None:
            show("Choosing texts", (category + 1) / n_categories)
    return chosen


def _looked_at(rows: NDArray[np.intp], confidence: NDArray[np.float64] | None) -> NDArray[np.intp]:
    """At most _MAX_MEMBERS of the rows, the most confident ones first."""
    if confidence is not None:
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        return rows[:_MAX_MEMBERS]
    return rows[:: -(-len(rows) // _MAX_MEMBERS)]


def _distinct(texts: list[str], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row of each text, whatever its case and white space."""
    first: dict[str, int] = {}
    for i in rows.tolist():
        first.setdefault(_folded(texts[i]), i)
    return np.fromiter(first.values(), dtype=np.intp, count=len(first))


def _diverse(vectors: Any, nearness: NDArray[np.floating[Any]], n_texts: int) -> NDArray[np.intp]:
    """Rows by maximal marginal relevance."""
    n_candidates = max(n_texts, min(_CANDIDATES_PER_TEXT * n_texts, len(nearness) // 2))
    candidates = np.argsort(-nearness, kind="stable")[:n_candidates]
    near = vectors[candidates]
    relevance = nearness[candidates].astype(np.float64)
    nearest = np.full(len(candidates), -np.inf)
    chosen: list[int] = []
    value = relevance
    while len(chosen) < n_texts and value.max() > -np.inf:
        chosen.append(int(value.argmax()))
        last = near[chosen[-1:]]
        last = last.toarray() if sparse.issparse(last) else last
        nearest = np.maximum(nearest, near @ last.ravel())
        value = np.where(nearest > _NEAR_DUPLICATE, -np.inf, relevance - nearest)
        value[chosen] = -np.inf
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
    """Make a table to look at each category: how large, how sure, and what it is about.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
    labels : array-like of shape (n_samples,)
        Categories, as for `keywords`.
    confidence : float array-like of shape (n_samples,), optional
        How sure each label is, not negative.
    X : array-like or CSR matrix of shape (n_samples, n_features), optional
        Embeddings of the texts, as for `representatives`.
    n_keywords, n_texts : int, default=10 and 3
        Keywords and texts of each category, at most.
    min_df, vectorizer
        As for `keywords`.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    pandas.DataFrame
        A row for each category, in sorted order; columns "size" (number of texts), "confidence"
        (its mean; only where given), "keywords" and "texts" (lists of str).

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
    items, categories, codes = _categories(texts, labels)
    n_keywords, n_texts = as_positive(n_keywords, "n_keywords"), as_positive(n_texts, "n_texts")
    sureness = as_confidence(confidence, len(items))
    points = _as_embeddings(X, len(items))
    n_categories = len(categories)
    with progress(verbose) as show:
        terms = _terms(items, codes, n_categories, min_df, vectorizer, show)
        chosen = _representatives(
            items,
            codes,
            n_categories,
            n_texts,
            sureness,
            points,
            terms if X is None else None,
            show,
        )
    members = codes[codes >= 0]
    columns: dict[str, Any] = {"size": np.bincount(members, minlength=n_categories)}
    if sureness is not None:
        sums = np.bincount(members, sureness[codes >= 0], minlength=n_categories)
        columns["confidence"] = sums / columns["size"]
    columns["keywords"] = [
        [word for word, _ in _best_terms(terms, i, n_keywords)] for i in range(n_categories)
    ]
    columns["texts"] = [[items[i] for i in rows] for rows in chosen]
    return pd.DataFrame(columns, index=pd.Index(categories, name="category"))
