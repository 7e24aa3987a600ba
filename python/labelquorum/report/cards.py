"""Categories as the page shows them: a row of the table, and the card of the larger ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.display.axes import shortened
from labelquorum.report.data import ReportData, ShownName, clean, printable_name
from labelquorum.report.samples import Sample, ShownSamples
from labelquorum.report.selection import Selection
from labelquorum.text.terms import keywords

_N_NEAR, _N_KEYWORDS, _N_FEATURES, _N_CLASSES = 3, 8, 5, 3  # on a card
_KEYWORD_TEXTS, _KEYWORD_CHARACTERS = 500, 2000  # of a category, of a text
_CHARACTERS_PER_KEYWORD = 100
_VARIANCE_ROWS = 10_000


class CategoryLink(NamedTuple):
    """A category named beside another one."""

    number: int
    name: ShownName
    label: ShownName
    has_card: bool
    share: float
    """Mean share of the other one's samples in it; 0 where it is not shown."""


class Feature(NamedTuple):
    """A feature whose mean in a category differs from that of all samples."""

    name: str
    mean: str
    overall: str


class ClassShare(NamedTuple):
    """How many of a category's samples are of a true class."""

    name: str
    share: float


class CategoryRow(NamedTuple):
    """A row of the table, and what the card says where there is one."""

    number: int
    name: ShownName
    label: ShownName
    has_card: bool
    kind: str
    """"known" or "new"."""
    size: int
    share: float
    """Of all samples."""
    confidence: float
    """Mean over its samples."""
    n_pseudo_labels: int
    n_labeled: int
    """Samples whose known label is this category."""
    n_suspect: int
    """Those of them whose label looks wrong."""
    correct: float | None
    """Share of correct labels; None where no true label is known."""
    true_labels: list[ClassShare]
    keywords: list[str]
    features: list[Feature]
    typical: list[Sample]
    borderline: list[Sample]
    near: list[CategoryLink]


class _TrueLabels(NamedTuple):
    correct: dict[int, float]
    classes: dict[int, list[ClassShare]]


def category_rows(
    data: ReportData, selection: Selection, samples: ShownSamples
) -> dict[int, CategoryRow]:
    """The rows of the table, by category number."""
    n_labeled, n_suspect = _known_label_counts(data)
    pseudo_labels = data.numbers[data.outcome.is_pseudo_label & (data.numbers >= 0)]
    n_pseudo_labels = np.bincount(pseudo_labels, minlength=len(data.names))
    true_labels = _true_labels(data, selection)
    words, features = _keywords(data, selection), _features(data, selection)
    rows = {}
    for k in selection.rows.tolist():
        card = int(selection.card_of[k])
        rows[k] = CategoryRow(
            number=k,
            name=data.names[k],
            label=data.labels[k],
            has_card=card >= 0,
            kind="known" if data.is_known[k] else "new",
            size=int(data.sums.sizes[k]),
            share=float(data.sums.sizes[k] / data.n_samples),
            confidence=float(data.sums.shares[k, k]),
            n_pseudo_labels=int(n_pseudo_labels[k]),
            n_labeled=int(n_labeled[k]),
            n_suspect=int(n_suspect[k]),
            correct=true_labels.correct.get(k),
            true_labels=true_labels.classes.get(k, []),
            keywords=words.get(k, []),
            features=features.get(k, []),
            typical=_samples_of(selection.typical, card, samples),
            borderline=_samples_of(selection.borderline, card, samples),
            near=_near(data, selection, k),
        )
    return rows


def category_link(
    data: ReportData, selection: Selection, k: int, share: float = 0.0
) -> CategoryLink:
    """Name a category."""
    return CategoryLink(k, data.names[k], data.labels[k], selection.has_card(k), share)


def _samples_of(chosen: list[NDArray[np.intp]], card: int, samples: ShownSamples) -> list[Sample]:
    return [samples.sample(i) for i in chosen[card].tolist()] if card >= 0 else []


def _near(data: ReportData, selection: Selection, k: int) -> list[CategoryLink]:
    """The other categories with the largest shares of the category's votes."""
    shares = data.sums.shares[k].copy()
    shares[k] = -1
    best = np.argsort(-shares, kind="stable")[:_N_NEAR].tolist()
    return [category_link(data, selection, j, float(shares[j])) for j in best if shares[j] > 0]


def _known_label_counts(data: ReportData) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per category: known labels, and those of them that look wrong."""
    n_categories, known = len(data.names), data.outcome.known
    if known is None:
        return np.zeros(n_categories, dtype=np.int64), np.zeros(n_categories, dtype=np.int64)
    return (
        np.bincount(known[known >= 0], minlength=n_categories),
        np.bincount(known[data.suspects], minlength=n_categories),
    )


def _true_labels(data: ReportData, selection: Selection) -> _TrueLabels:
    """Share of correct labels, and the most frequent true classes, of each category."""
    summary = _TrueLabels({}, {})
    judgment = data.judgment
    if judgment is None:
        return summary
    samples = judgment.samples[data.numbers[judgment.samples] >= 0]
    numbers = data.numbers[samples]
    counts = sparse.csr_array(
        (np.ones(len(samples)), (numbers, judgment.codes[samples])),
        shape=(len(data.names), len(judgment.classes)),
    )
    n_correct = np.bincount(numbers, judgment.right[samples], minlength=len(data.names))
    totals = counts.sum(axis=1)
    for k in selection.rows.tolist():
        if not totals[k]:
            continue
        summary.correct[k] = float(n_correct[k] / totals[k])
        counts_of_category = counts[[k]]
        most_frequent = np.argsort(-counts_of_category.data, kind="stable")[:_N_CLASSES]
        summary.classes[k] = [
            ClassShare(
                printable_name(judgment.classes[counts_of_category.indices[j]]),
                float(counts_of_category.data[j] / totals[k]),
            )
            for j in most_frequent
        ]
    return summary


def _keywords(data: ReportData, selection: Selection) -> dict[int, list[str]]:
    """Keywords of each category with a card, from its most confident texts."""
    if data.texts is None:
        return {}
    rows = np.concatenate([selection.members[k][:_KEYWORD_TEXTS] for k in selection.cards])
    texts = [data.texts[i][:_KEYWORD_CHARACTERS] for i in rows.tolist()]
    words_by_category = keywords(texts, data.numbers[rows], _N_KEYWORDS, verbose=data.verbose)
    return {
        k: [shortened(clean(word), _CHARACTERS_PER_KEYWORD) for word, _ in words]
        for k, words in words_by_category.items()
    }


def _features(data: ReportData, selection: Selection) -> dict[int, list[Feature]]:
    """The features whose mean in a category lies farthest from the mean of all samples.

    In standard deviations. Only where there are no texts or images to look at.
    """
    if data.X is None or data.texts is not None or data.images is not None:
        return {}
    means = _category_means(data, selection)
    overall = np.asarray(data.X.mean(axis=0, dtype=np.float64)).ravel()
    some_rows = _dense(data.X[:: -(-data.n_samples // _VARIANCE_ROWS)])
    deviation = some_rows.std(axis=0, dtype=np.float64)
    distances = np.abs(means - overall) / np.where(deviation > 0, deviation, np.inf)
    names = data.feature_names
    features = {}
    for card, k in enumerate(selection.cards.tolist()):
        farthest = np.argsort(-distances[card], kind="stable")[:_N_FEATURES]
        features[k] = [
            Feature(
                f"feature {j}" if names is None else printable_name(names[j]),
                f"{means[card, j]:.3g}",
                f"{overall[j]:.3g}",
            )
            for j in farthest.tolist()
            if distances[card, j] > 0
        ]
    return features


def _category_means(data: ReportData, selection: Selection) -> NDArray[np.float64]:
    """(n_cards, n_features)."""
    card_of_sample = selection.card_of[data.numbers]
    shown = np.flatnonzero(card_of_sample >= 0)
    members = sparse.csr_array(
        (np.ones(len(shown)), (card_of_sample[shown], shown)),
        shape=(len(selection.cards), data.n_samples),
    )
    sizes = data.sums.sizes[selection.cards]
    means: NDArray[np.float64] = _dense(members @ data.X) / np.maximum(sizes, 1)[:, None]
    return means


def _dense(X: Any) -> NDArray[np.floating[Any]]:
    return X.toarray() if sparse.issparse(X) else np.asarray(X)
