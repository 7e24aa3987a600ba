"""TODO."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator

from labelquorum._shared.arguments import as_positive, as_texts
from labelquorum._shared.labels import to_labels
from labelquorum._shared.progress import progress
from labelquorum.text.terms import TEXTS_PER_CHUNK
from labelquorum.text.words import _folded, _pieces

if TYPE_CHECKING:
    pass
_CELLS_PER_CHUNK = 1 << 24


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

    __module__ = "labelquorum.text"

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
        step = max(1, min(TEXTS_PER_CHUNK, _CELLS_PER_CHUNK // n_categories))
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
