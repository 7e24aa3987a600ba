"""Name categories of texts by their keywords, or by a function that people bring along."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.names import as_name
from labelquorum.text.terms import keywords, representatives

Namer = Callable[[list[str], list[str]], str]
"""Makes a name of the keywords and typical texts of a category."""

_N_IN_NAME = 2  # keywords
_N_KEYWORDS, _N_EXAMPLES = 10, 5  # that a namer is given
_TEXTS_OF_CATEGORY = 500  # that keywords are taken from


def display_names(
    texts: Sequence[str],
    numbers: NDArray[np.int32],
    labels: Sequence[Any],
    names: Sequence[str],
    unnamed: Collection[int],
    *,
    confidence: NDArray[np.floating[Any]] | None = None,
    namer: Namer | None = None,
) -> list[str]:
    """Name some categories of texts.

    Parameters
    ----------
    texts : sequence of str, of length n_samples
        The texts.
    numbers : int32 array of shape (n_samples,)
        The category of each text, -1 without one.
    labels : sequence of length n_categories
        What the categories are called in results, of which no other may have it as a name.
    names : sequence of str, of length n_categories
        The names that categories have.
    unnamed : collection of int
        The categories to name. They take turns in the order of their numbers.
    confidence : float array of shape (n_samples,), optional
        Only the 500 most certain texts of each category are read. None reads the first ones.
    namer : callable, optional
        Takes the keywords and typical texts of a category, both lists of str, and returns a name.
        None joins the two best keywords that share no word.

    Returns
    -------
    list of str
        The name of each category. All differ: a name that another one has gets a third keyword,
        then a number. A category without keywords is called by its label.

    Raises
    ------
    TypeError, ValueError
        If the namer returns something else than a line of text. An error of the namer is passed on
        with a note that names the category.
    """
    chosen = _most_certain(numbers, confidence)
    some, codes = [texts[i] for i in chosen], numbers[chosen]
    words: dict[int, list[str]] = {}
    examples: dict[int, list[str]] = {}
    if len(chosen):
        scored = keywords(some, codes, _N_KEYWORDS)
        words = {k: [word for word, _ in best] for k, best in scored.items()}
        if namer is not None:
            typical = representatives(some, codes, _N_EXAMPLES)
            examples = {k: [some[i] for i in rows] for k, rows in typical.items()}
    result = list(names)
    turns = sorted(set(unnamed))
    for k in turns:
        result[k] = str(labels[k])
    for k in turns:
        taken = {name for other, name in enumerate(result) if other != k}
        taken |= {str(label) for other, label in enumerate(labels) if other != k}
        own = words.get(k, [])
        if namer is not None:
            candidates = _numbered(_called(namer, own, examples.get(k, []), labels[k]))
        else:
            candidates = _of_keywords(own, result[k])
        result[k] = next(name for name in candidates if name not in taken)
    return result


def _most_certain(
    numbers: NDArray[np.int32], confidence: NDArray[np.floating[Any]] | None
) -> NDArray[np.intp]:
    """Return at most so many texts of each category, in the order of the texts."""
    keys = (numbers,) if confidence is None else (-confidence, numbers)
    order = np.lexsort(keys)
    begins = np.searchsorted(numbers[order], numbers[order])
    is_chosen = (np.arange(len(order)) - begins < _TEXTS_OF_CATEGORY) & (numbers[order] >= 0)
    return np.sort(order[is_chosen])


def _called(namer: Namer, words: list[str], examples: list[str], label: Any) -> str:
    try:
        return as_name(namer(list(words), list(examples)), "what namer returns")
    except Exception as error:
        error.add_note(f"namer was asked for the name of category {label!r}")
        raise


def _of_keywords(words: list[str], label: str) -> Iterator[str]:
    """Yield names of keywords, from the one that is wanted most; the label without keywords."""
    words = _unlike_first(words)
    if words:
        yield from (", ".join(words[:n]) for n in (_N_IN_NAME, _N_IN_NAME + 1))
    yield from _numbered(", ".join(words[:_N_IN_NAME]) if words else label)


def _unlike_first(words: list[str]) -> list[str]:
    """Move keywords behind others if they share a word with an earlier one."""
    said: set[str] = set()
    new: list[str] = []
    repeated: list[str] = []
    for word in words:
        parts = word.split()
        (new if said.isdisjoint(parts) else repeated).append(word)
        said.update(parts)
    return new + repeated


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} ({number})" for number in islice(count(2), None))
