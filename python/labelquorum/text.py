"""Categories of texts in words: keywords, representative texts, tables, and rules that vote."""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from labelquorum._labels import to_labels
from labelquorum._progress import progress
from labelquorum._validation import as_codes, as_points, as_positive, as_texts, check_finite

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KeywordLabeler", "RuleReport", "category_table", "keywords", "representatives"]

_TEXTS_PER_CHUNK = 1 << 14
_MAX_TERMS = 1 << 21  # different terms counted at once; above, the rarest are forgotten
_MAX_MEMBERS = 1 << 16  # texts of a category among which its representatives are looked for
_LEAST_LIFT = 4  # a keyword's share in its category, by the mean share in the others
_CANDIDATES = 50  # for keywords; where more keywords are wanted, twice as many as those
_CANDIDATES_PER_TEXT = 20
_NEAR_DUPLICATE = 0.95  # cosine
_CELLS_PER_CHUNK = 1 << 24

_Show = Callable[[str, float], None] | None
_Analyzer = Callable[[str], list[str]]


# Of words with apostrophes, and of words and single other characters, in texts of ASCII alone.
_ASCII_WORDS = re.compile(r"\w+(?:'\w+)*")
_ASCII_PIECES = re.compile(r"\w+|\W")


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""The same for any text; slower.

    Python's ``\w`` has neither the vowel signs of Indian scripts nor other combining marks, nor
    the joiners of Persian, and would cut words there.
    """
    marks = (c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] == "M")
    letters = r"\w\u200c\u200d" + "".join(marks)
    return (
        re.compile(rf"[{letters}]+(?:['\u2019][{letters}]+)*"),
        re.compile(rf"[{letters}]+|[^{letters}]"),
    )


def as_words(text: str) -> list[str]:
    """The words of a text; "don't" is one."""
    return (_ASCII_WORDS if text.isascii() else _patterns()[0]).findall(text)


def _pieces(text: str) -> list[str]:
    """The words of a text and the single characters between them; "don't" is three."""
    return (_ASCII_PIECES if text.isascii() else _patterns()[1]).findall(text)


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
    for begin in range(0, len(rows), _TEXTS_PER_CHUNK):
        chunk = rows[begin : begin + _TEXTS_PER_CHUNK]
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


def as_confidence(confidence: Any, n: int) -> NDArray[np.float64] | None:
    """The confidence of each sample, not negative; None stays None."""
    if confidence is None:
        return None
    array = np.asarray(confidence)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"confidence has dtype {array.dtype}; wanted numbers")
    if array.shape != (n,):
        raise ValueError(f"confidence has shape {array.shape}; wanted ({n},)")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError("confidence holds NaN, infinity or a negative value; wanted 0 or more")
    return array.astype(np.float64)


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
        nearness = vectors @ (centre / max(np.linalg.norm(centre), 1e-300))
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


def _folded(text: str) -> str:
    """The text as it is compared: case, width, composed letters and spacing do not matter."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


class RuleReport(NamedTuple):
    """How a rule of a `KeywordLabeler` does on some texts.

    Attributes
    ----------
    category : str or int
        What it votes for.
    rule : str
        The words, or the regular expression.
    coverage : float
        Share of the texts that it matches.
    conflicts : float
        Share of these that a rule of another category matches too; 0 where it matches none.
    """

    category: Any
    rule: str
    coverage: float
    conflicts: float


class _Rules(NamedTuple):
    """Rules ready to be matched; each has a number."""

    categories: list[Any]
    category: NDArray[np.intp]  # of each rule, its place in categories
    names: list[str]
    phrases: dict[str, list[tuple[int, list[str]]]]  # by first piece
    parts: list[tuple[int, str]]
    patterns: list[tuple[int, re.Pattern[str]]]

    def matching(self, text: str) -> Iterator[int]:
        """The numbers of rules that match the text, some more than once."""
        folded = _folded(text)
        if self.phrases:
            pieces = _pieces(folded)
            for i, piece in enumerate(pieces):
                for rule, phrase in self.phrases.get(piece, ()):
                    if pieces[i : i + len(phrase)] == phrase:
                        yield rule
        yield from (rule for rule, part in self.parts if part in folded)
        yield from (rule for rule, pattern in self.patterns if pattern.search(text))


class KeywordLabeler(BaseEstimator):
    """Label texts by words, phrases and patterns; what no rule decides gets no label.

    Every rule that matches a text votes once for its category; the category with most votes is the
    label. Where two categories have as many, or no rule matches, the labeler abstains.

    Parameters
    ----------
    rules : dict of list
        For each category (a string, or an integer of at least 0) its rules: strings, which are
        words or phrases, and compiled regular expressions, which are searched for in the text as it
        is.
    whole_words : bool, default=True
        Words and phrases match whole words only: "car" is not found in "card". False for scripts
        that put no spaces between words, and for parts of words.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_categories,)
        The categories, in the order of `rules`.

    See Also
    --------
    labelquorum.combine_votes : rules, clusterings and other models in one matrix of partitions.

    Notes
    -----
    Of words and phrases, upper and lower case, full and half width, composed letters (Unicode's
    NFKC with case folding) and the amount of white space do not matter; punctuation does: "charged
    twice" is not found in "charged, twice", nor "email" in "e-mail", but "c" is in "c++".

    There is nothing to learn: `fit` checks the rules, and the other methods need no `fit`. Time for
    whole words is O(length of the texts), whatever the number of rules; each regular expression,
    and each part of a word, is searched for in each text.

    Weak labels by such rules are known from data programming (Ratner et al., "Snorkel: Rapid
    training data creation with weak supervision", VLDB 2017), of which `report` takes its terms.

    Examples
    --------
    >>> import re
    >>> import labelquorum as lq
    >>> rules = {"billing": ["invoice", "charged twice"], "login": ["password", re.compile("2FA")]}
    >>> labeler = lq.text.KeywordLabeler(rules)
    >>> texts = ["Charged  TWICE!", "Which password for 2FA?", "Hello", "password of my invoice"]
    >>> labeler.predict(texts)
    array(['billing', 'login', None, None], dtype=object)
    >>> labeler.partition(texts)
    array([ 0,  1, -1, -1], dtype=int32)
    >>> for line in labeler.report(texts):
    ...     print(*line)
    billing invoice 0.25 1.0
    billing charged twice 0.25 0.0
    login password 0.5 0.5
    login 2FA 0.25 0.0
    """

    def __init__(
        self,
        rules: Mapping[Any, Iterable[str | re.Pattern[str]]],
        *,
        whole_words: bool = True,
        verbose: bool = False,
    ) -> None:
        self.rules = rules
        self.whole_words = whole_words
        self.verbose = verbose

    @classmethod
    def from_keywords(
        cls,
        keywords: Mapping[Any, Iterable[tuple[str, float]]],
        n_keywords: int = 3,
        *,
        whole_words: bool = True,
        verbose: bool = False,
    ) -> KeywordLabeler:
        """Make a labeler whose rules are the first keywords of each category.

        Parameters
        ----------
        keywords : dict of list of (str, float)
            As `keywords` returns them.
        n_keywords : int, default=3
            Keywords of each category to use.
        whole_words, verbose
            As for KeywordLabeler.

        Returns
        -------
        KeywordLabeler

        Examples
        --------
        >>> import labelquorum as lq
        >>> found = {0: [("refund", 0.5), ("money back", 0.4)], 1: [("password", 0.7)]}
        >>> lq.text.KeywordLabeler.from_keywords(found, 1)
        KeywordLabeler(rules={0: ['refund'], 1: ['password']})
        """
        n_keywords = as_positive(n_keywords, "n_keywords")
        rules = {
            category: [word for word, _ in list(words)[:n_keywords]]
            for category, words in keywords.items()
        }
        return cls(rules, whole_words=whole_words, verbose=verbose)

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the rules.

        Parameters
        ----------
        X, y : ignored
            For scikit-learn's sake.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If `rules` is not as described.
        """
        self.classes_ = _as_classes(self._read().categories)
        return self

    def predict(self, texts: Iterable[str]) -> NDArray[Any]:
        """Label texts.

        Parameters
        ----------
        texts : iterable of str, of length n_samples

        Returns
        -------
        array of shape (n_samples,)
            The category of each; None (-1, where categories are integers) where the rules abstain.

        Raises
        ------
        TypeError, ValueError
            If `rules` is not as described, or `texts` holds anything but strings, or nothing.
        """
        rules = self._read()
        return to_labels(_as_classes(rules.categories), self._decided(rules, as_texts(texts)))

    def partition(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Label texts by numbers, as a partition that votes.

        Parameters
        ----------
        texts : iterable of str, of length n_samples

        Returns
        -------
        int32 array of shape (n_samples,)
            The place of each text's category in `rules`, from 0; -1 where the rules abstain.

        Raises
        ------
        TypeError, ValueError
            As for `predict`.
        """
        return self._decided(self._read(), as_texts(texts))

    def report(self, texts: Iterable[str]) -> list[RuleReport]:
        """Tell for each rule how many texts it matches, and where others contradict.

        Parameters
        ----------
        texts : iterable of str, of length n_samples

        Returns
        -------
        list of RuleReport
            In the order of the rules; ``pandas.DataFrame`` takes it as it is.

        Raises
        ------
        TypeError, ValueError
            As for `predict`.
        """
        rules = self._read()
        items = as_texts(texts)
        n_matches = np.zeros(len(rules.names), dtype=np.int64)
        n_conflicts = np.zeros_like(n_matches)
        for _, matches, votes in self._votes(rules, items):
            contested = (votes > 0).sum(axis=1) > 1
            n_matches += matches.sum(axis=0)
            n_conflicts += matches.T @ contested.astype(np.int64)
        coverage = n_matches / len(items)
        conflicts = n_conflicts / np.maximum(n_matches, 1)
        categories = [rules.categories[c] for c in rules.category]
        columns = (categories, rules.names, coverage.tolist(), conflicts.tolist())
        return [RuleReport(*line) for line in zip(*columns, strict=True)]

    def _decided(self, rules: _Rules, texts: list[str]) -> NDArray[np.int32]:
        """The place of each text's category, or -1."""
        decided = np.empty(len(texts), dtype=np.int32)
        for part, _, votes in self._votes(rules, texts):
            most = votes.max(axis=1, keepdims=True)
            alone = ((votes == most).sum(axis=1) == 1) & (most[:, 0] > 0)
            decided[part] = np.where(alone, votes.argmax(axis=1), -1)
        return decided

    def _votes(self, rules: _Rules, texts: list[str]) -> Iterator[tuple[slice, Any, Any]]:
        """For some texts at a time: which, the rules that match each, and the categories' votes."""
        n_categories = len(rules.categories)
        n_rules = len(rules.names)
        once = (np.ones(n_rules, np.int64), rules.category, np.arange(n_rules + 1))
        of_category = sparse.csr_array(once, shape=(n_rules, n_categories))
        step = max(1, min(_TEXTS_PER_CHUNK, _CELLS_PER_CHUNK // n_categories))
        with progress(self.verbose) as show:
            for begin in range(0, len(texts), step):
                part = slice(begin, min(begin + step, len(texts)))
                found = [sorted(set(rules.matching(text))) for text in texts[part]]
                indptr = np.cumsum([0, *map(len, found)])
                indices = np.fromiter((rule for few in found for rule in few), dtype=np.int64)
                ones = np.ones(len(indices), dtype=np.int64)
                matches = sparse.csr_array((ones, indices, indptr), shape=(len(found), n_rules))
                yield part, matches, (matches @ of_category).toarray()
                if show is not None:
                    show("Matching rules", part.stop / len(texts))

    def _read(self) -> _Rules:
        if not isinstance(self.rules, Mapping):
            raise TypeError(
                f"rules is a {type(self.rules).__name__}; wanted a dict: for each category its "
                "words, phrases and compiled regular expressions"
            )
        if not self.rules:
            raise ValueError("rules is empty; wanted at least one category")
        read = _Rules(_as_names(self.rules), np.empty(0, np.intp), [], {}, [], [])
        category: list[int] = []
        for place, (name, given) in enumerate(self.rules.items()):
            if isinstance(given, (str, re.Pattern)) or not isinstance(given, Iterable):
                raise TypeError(
                    f"rules[{name!r}] is a {type(given).__name__}; wanted a list of strings and "
                    "compiled regular expressions"
                )
            seen: set[Any] = set()
            for rule in given:
                key = self._add(read, rule, f"rules[{name!r}]")
                if key in seen:
                    raise ValueError(f"rules[{name!r}] holds {rule!r} twice; it would vote twice")
                seen.add(key)
                category.append(place)
        return read._replace(category=np.array(category, dtype=np.intp))

    def _add(self, read: _Rules, rule: Any, name: str) -> Any:
        """Add a rule; return what it is compared by."""
        number = len(read.names)
        if isinstance(rule, re.Pattern) and isinstance(rule.pattern, str):
            read.names.append(rule.pattern)
            read.patterns.append((number, rule))
            return rule
        if not isinstance(rule, str):
            raise TypeError(
                f"{name} holds {rule!r} ({type(rule).__name__}); wanted strings and compiled "
                "regular expressions of strings"
            )
        part = _folded(rule)
        if not part:
            raise ValueError(f"{name} holds {rule!r}; wanted at least one word")
        read.names.append(rule)
        if self.whole_words:
            phrase = _pieces(part)
            read.phrases.setdefault(phrase[0], []).append((number, phrase))
        else:
            read.parts.append((number, part))
        return part

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _as_names(rules: Mapping[Any, Any]) -> list[Any]:
    names = list(rules)
    for kind in (str, (int, np.integer)):
        if all(isinstance(name, kind) and not isinstance(name, bool) for name in names):
            if kind is not str and min(names) < 0:
                raise ValueError(f"rules has the category {min(names)}; wanted integers from 0 on")
            return names
    raise TypeError("rules has categories of other types; wanted strings alone, or integers alone")


def _as_classes(categories: list[Any]) -> NDArray[Any]:
    return np.array(categories, dtype=object if isinstance(categories[0], str) else np.int64)
