"""Label texts by rules: words, phrases and regular expressions that vote for categories.

Words and phrases are matched through a dictionary of their first words, so the time does not depend
on their number. Regular expressions and parts of words are searched for one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.html import Table, as_html
from labelquorum._shared.label_reader import array_of_names, read_labels
from labelquorum._shared.labels import to_labels
from labelquorum._shared.progress import progress
from labelquorum._shared.saving import Saved
from labelquorum._shared.texts import as_texts
from labelquorum.text.terms import TEXTS_PER_CHUNK
from labelquorum.text.words import as_pieces, fold

_MAX_VOTES_PER_CHUNK = 1 << 24  # texts times categories in memory at once


class RuleReport(NamedTuple):
    """How often a rule of a `KeywordLabeler` matches, and how often other categories do, too.

    Attributes
    ----------
    category : str or int
        The category that the rule votes for.
    rule : str
        The word, phrase or regular expression.
    coverage : float
        Share of the texts that the rule matches.
    conflicts : float
        Share of these texts that a rule of another category matches, too; 0 if there are none.
    """

    category: Any
    rule: str
    coverage: float
    conflicts: float


class _RuleReports(list[RuleReport]):
    """A list that notebooks show as a table."""

    def _repr_html_(self) -> str:
        rows = (
            [category, rule, f"{coverage:.1%}", f"{conflicts:.1%}"]
            for category, rule, coverage, conflicts in self
        )
        return as_html(Table(RuleReport._fields, rows))


class _Rules(NamedTuple):
    """Rules prepared for matching. A rule's number is its place in `names`."""

    categories: list[Any]
    category_of_rule: NDArray[np.intp]
    """(n_rules,): the place of each rule's category in `categories`."""
    names: list[str]
    """The words, phrases and regular expressions."""
    phrases: dict[str, list[tuple[int, list[str]]]]
    """Rules of whole words by their first piece: their numbers and all their pieces."""
    parts: list[tuple[int, str]]
    """Rules of parts of words."""
    patterns: list[tuple[int, re.Pattern[str]]]
    """Regular expressions."""

    def matching(self, text: str) -> Iterator[int]:
        """Yield the numbers of the rules that match the text, some more than once."""
        folded = fold(text)
        if self.phrases:
            pieces = as_pieces(folded)
            for i, piece in enumerate(pieces):
                for rule, phrase in self.phrases.get(piece, ()):
                    if pieces[i : i + len(phrase)] == phrase:
                        yield rule
        yield from (rule for rule, part in self.parts if part in folded)
        yield from (rule for rule, pattern in self.patterns if pattern.search(text))


class KeywordLabeler(Saved, BaseEstimator):
    """Label texts by words, phrases and regular expressions; abstain where no rule decides.

    Each rule that matches a text votes once for its category. The category with the most votes is
    the label. If there is a tie, or if no rule matches, the labeler abstains.

    Parameters
    ----------
    rules : dict of list
        The rules of each category (a string, or an integer of at least 0). A string is a word or
        phrase. A compiled regular expression is searched for in the unchanged text.
    whole_words : bool, default=True
        Words and phrases match whole words only: "car" is not found in "card". Use False to match
        parts of words, and for scripts without spaces between words.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_categories,)
        The categories, in the order of `rules`.

    See Also
    --------
    labelquorum.combine_votes : combine rules, clusterings and other models into partitions.

    Notes
    -----
    Words and phrases match regardless of case, full or half width, composed letters (Unicode's NFKC
    with case folding) and the amount of white space. Punctuation matters: "charged twice" is not
    found in "charged, twice", nor "email" in "e-mail", but "c" is found in "c++".

    There is nothing to learn: `fit` checks the rules, and the other methods need no `fit`. Whole
    words take O(length of the texts), whatever the number of rules. Each regular expression and
    each part of a word is searched for in each text.

    Weak labels from such rules are known from data programming (Ratner et al., "Snorkel: Rapid
    training data creation with weak supervision", VLDB 2017); `report` uses its terms.

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

    # scikit-learn passes the texts as X. Without this it takes them for metadata to route.
    __metadata_request__predict = {"texts": UNUSED}  # noqa: RUF012

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
        """Make a labeler from the first keywords of each category.

        Parameters
        ----------
        keywords : dict of list of (str, float)
            The result of `keywords`.
        n_keywords : int, default=3
            Number of keywords per category to use.
        whole_words, verbose
            As for KeywordLabeler.

        Returns
        -------
        KeywordLabeler

        Examples
        --------
        >>> import labelquorum as lq
        >>> keywords = {0: [("refund", 0.5), ("money back", 0.4)], 1: [("password", 0.7)]}
        >>> lq.text.KeywordLabeler.from_keywords(keywords, 1)
        KeywordLabeler(rules={0: ['refund'], 1: ['password']})
        """
        n_keywords = as_positive(n_keywords, "n_keywords")
        rules = {
            category: [word for word, _ in list(words)[:n_keywords]]
            for category, words in keywords.items()
        }
        return cls(rules, whole_words=whole_words, verbose=verbose)

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        self._read()

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the rules.

        Parameters
        ----------
        X, y : ignored
            Present because scikit-learn passes them.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If `rules` has the wrong type or content.
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
            The category of each text; None (-1, if categories are integers) if the rules abstain.

        Raises
        ------
        TypeError, ValueError
            If `rules` has the wrong type or content, or if `texts` is empty or holds anything but
            strings.
        """
        rules = self._read()
        return to_labels(_as_classes(rules.categories), self._codes(rules, as_texts(texts)))

    def partition(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Label texts by numbers, as a partition for `combine_votes`.

        Parameters
        ----------
        texts : iterable of str, of length n_samples

        Returns
        -------
        int32 array of shape (n_samples,)
            The place of each text's category in `rules`, from 0; -1 if the rules abstain.

        Raises
        ------
        TypeError, ValueError
            As for `predict`.
        """
        return self._codes(self._read(), as_texts(texts))

    def report(self, texts: Iterable[str]) -> list[RuleReport]:
        """Report for each rule how many texts it matches, and how often others contradict.

        Parameters
        ----------
        texts : iterable of str, of length n_samples

        Returns
        -------
        list of RuleReport
            One for each rule, in order. Pass the list to ``pandas.DataFrame`` for a table.

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
            is_contested = (votes > 0).sum(axis=1) > 1
            n_matches += matches.sum(axis=0)
            n_conflicts += matches.T @ is_contested.astype(np.int64)
        coverage = n_matches / len(items)
        conflicts = n_conflicts / np.maximum(n_matches, 1)
        categories = [rules.categories[c] for c in rules.category_of_rule]
        columns = (categories, rules.names, coverage.tolist(), conflicts.tolist())
        return _RuleReports(RuleReport(*line) for line in zip(*columns, strict=True))

    def _codes(self, rules: _Rules, texts: list[str]) -> NDArray[np.int32]:
        """Return the place of each text's category, or -1."""
        codes = np.empty(len(texts), dtype=np.int32)
        for chunk, _, votes in self._votes(rules, texts):
            most = votes.max(axis=1, keepdims=True)
            is_decided = ((votes == most).sum(axis=1) == 1) & (most[:, 0] > 0)
            codes[chunk] = np.where(is_decided, votes.argmax(axis=1), -1)
        return codes

    def _votes(self, rules: _Rules, texts: list[str]) -> Iterator[tuple[slice, Any, Any]]:
        """Match the rules, a chunk of texts at a time.

        Yields for each chunk its slice of the texts, which rules match each text (CSR, of shape
        (n_texts, n_rules)), and the votes for each category (dense, (n_texts, n_categories)).
        """
        n_categories = len(rules.categories)
        n_rules = len(rules.names)
        one_per_rule = (np.ones(n_rules, np.int64), rules.category_of_rule, np.arange(n_rules + 1))
        votes_of_rules = sparse.csr_array(one_per_rule, shape=(n_rules, n_categories))
        n_texts = max(1, min(TEXTS_PER_CHUNK, _MAX_VOTES_PER_CHUNK // n_categories))
        with progress(self.verbose) as show:
            for begin in range(0, len(texts), n_texts):
                chunk = slice(begin, min(begin + n_texts, len(texts)))
                matching = [sorted(set(rules.matching(text))) for text in texts[chunk]]
                indptr = np.cumsum([0, *map(len, matching)])
                indices = np.fromiter((rule for row in matching for rule in row), dtype=np.int64)
                ones = np.ones(len(indices), dtype=np.int64)
                matches = sparse.csr_array((ones, indices, indptr), shape=(len(matching), n_rules))
                yield chunk, matches, (matches @ votes_of_rules).toarray()
                if show is not None:
                    show("Matching rules", chunk.stop / len(texts))

    def _read(self) -> _Rules:
        """Check the rules and prepare them for matching."""
        if not isinstance(self.rules, Mapping):
            raise TypeError(
                "rules must be a dict that maps each category to its words, phrases and compiled "
                f"regular expressions, got {type(self.rules).__name__}"
            )
        if not self.rules:
            raise ValueError("rules must hold at least one category, got none")
        prepared = _Rules(_as_categories(self.rules), np.empty(0, np.intp), [], {}, [], [])
        category_of_rule: list[int] = []
        for place, (category, rules) in enumerate(self.rules.items()):
            if isinstance(rules, (str, re.Pattern)) or not isinstance(rules, Iterable):
                raise TypeError(
                    f"rules[{category!r}] must be a list of strings and compiled regular "
                    f"expressions, got {type(rules).__name__}"
                )
            seen: set[Any] = set()
            for rule in rules:
                key = self._add(prepared, rule, f"rules[{category!r}]")
                if key in seen:
                    raise ValueError(
                        f"rules[{category!r}] must hold each rule once, got {rule!r} twice"
                    )
                seen.add(key)
                category_of_rule.append(place)
        return prepared._replace(category_of_rule=np.array(category_of_rule, dtype=np.intp))

    def _add(self, prepared: _Rules, rule: Any, name: str) -> Any:
        """Add a rule; return a key that is the same for equal rules."""
        number = len(prepared.names)
        if isinstance(rule, re.Pattern) and isinstance(rule.pattern, str):
            prepared.names.append(rule.pattern)
            prepared.patterns.append((number, rule))
            return rule
        if not isinstance(rule, str):
            raise TypeError(
                f"{name} must hold strings and compiled regular expressions of strings, got "
                f"{rule!r} ({type(rule).__name__})"
            )
        folded = fold(rule)
        if not folded:
            raise ValueError(f"each rule in {name} must hold at least one word, got {rule!r}")
        prepared.names.append(rule)
        if self.whole_words:
            pieces = as_pieces(folded)
            prepared.phrases.setdefault(pieces[0], []).append((number, pieces))
        else:
            prepared.parts.append((number, folded))
        return folded

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _as_categories(rules: Mapping[Any, Any]) -> list[Any]:
    """Return the categories, all strings or all integers of at least 0."""
    categories = list(rules)
    for kind in (str, (int, np.integer)):
        if all(isinstance(name, kind) and not isinstance(name, bool) for name in categories):
            if kind is not str and min(categories) < 0:
                raise ValueError(
                    f"categories in rules must be at least 0 if integers, got {min(categories)}"
                )
            means_none = np.flatnonzero(read_labels(categories, "categories").codes < 0)
            if len(means_none):
                raise ValueError(
                    'categories in rules must not mean "no label", got '
                    f"{categories[means_none[0]]!r}"
                )
            return categories
    types = sorted({type(name).__name__ for name in categories})
    raise TypeError(
        f"categories in rules must be all strings or all integers, got {', '.join(types)}"
    )


def _as_classes(categories: list[Any]) -> NDArray[Any]:
    if isinstance(categories[0], str):
        return np.array(categories, dtype=object)
    return array_of_names([int(category) for category in categories])
