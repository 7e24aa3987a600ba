"""All values of the page, by the names that the template has for them."""

from __future__ import annotations

import math
import shlex
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.origins import ACCEPTED, GIVEN, PROPOSED
from labelquorum.clustering.outcome import LEAST_OF_SHARE, least_confidence
from labelquorum.display.categories import agreement_of, like_side_by_side
from labelquorum.report.cards import CategoryLink, category_link, category_rows
from labelquorum.report.data import ReportData, clean
from labelquorum.report.drawing import coverage_curve, heat_map
from labelquorum.report.layout import Layout
from labelquorum.report.overview import overview
from labelquorum.report.samples import ShownSamples
from labelquorum.report.scatter import scatter
from labelquorum.report.selection import Selection, select_merges
from labelquorum.report.tree import merge_tree

_MEANING_OF_ORIGIN = {
    GIVEN: "people said it",
    ACCEPTED: "a model proposed it, and people accepted it",
    PROPOSED: "this model says it alone",
    "": "this model has no label for it",
}
_SHARES_KEPT = (0.25, 0.5, 0.75, 0.9, 1.0)  # of the coverage table


class Merge(NamedTuple):
    """Two categories that may be one."""

    first: CategoryLink
    second: CategoryLink
    likeness: float
    call: str
    """What merges them in Python."""
    command: str
    """What merges them on the command line."""


class OriginRow(NamedTuple):
    """How many labels come from somewhere."""

    name: str
    n_labels: int
    share: float
    """Of all samples."""
    meaning: str


class LayerRow(NamedTuple):
    """One of the nested partitions."""

    n_categories: str
    persistence: str
    smallest: str
    median: str
    largest: str
    is_chosen: bool


class CoverageRow(NamedTuple):
    """What a threshold on the confidence keeps."""

    name: str
    coverage: float
    threshold: float
    """The lowest confidence kept."""
    confidence: float
    """Mean of what is kept."""
    precision: float | None
    """None without true labels."""


def contents(data: ReportData, selection: Selection, layout: Layout | None) -> dict[str, Any]:
    """Draw what is shown and lay it out."""
    agreement = _agreement(data, selection)
    is_known = data.is_known[selection.cards]
    merges = [
        (int(selection.cards[row]), int(selection.cards[column]), likeness)
        for row, column, likeness in select_merges(agreement, is_known)
        if data.outcome.discover
    ]
    samples = ShownSamples(data, selection.shown)
    rows = category_rows(data, selection, samples)
    return {
        "overview": overview(data, selection, samples, merges),
        "unit": data.unit,
        "is_named": data.is_named,
        "n_samples": data.n_samples,
        "n_categories": len(data.names),
        "facts": _facts(data),
        "origins": _origins(data),
        "settings": data.settings,
        "rows": list(rows.values()),
        "cards": [rows[k] for k in selection.cards.tolist()],
        "pixelated": samples.is_pixelated,
        "has_known": data.outcome.known is not None,
        "has_truth": data.judgment is not None,
        "shows_samples": data.texts is not None or data.images is not None,
        "heat_map": _heat_map(data, selection, agreement),
        "map": None if layout is None else scatter(data, selection, layout),
        "merges": [_merge(data, selection, *pair) for pair in merges],
        "tree": _tree(data, selection, agreement),
        "coverage": _coverage(data),
        "layers": _layers(data.layers),
        "rounds": _rounds(data.history),
        "checks": [samples.sample(i) for i in selection.checks.tolist()],
        "suspects": [samples.suspect(i) for i in selection.suspects.tolist()],
        "n_suspects": len(data.suspects),
        "version": _core.build_info()["version"],
    }


def _facts(data: ReportData) -> list[tuple[str, str]]:
    outcome = data.outcome
    facts = [
        ("samples", f"{data.n_samples:,}"),
        ("features", f"{data.n_features:,}"),
        ("partitions", f"{len(data.partitions):,}"),
        ("categories", f"{len(data.names):,}"),
    ]
    if outcome.known is not None:
        facts += [
            ("known categories", f"{np.count_nonzero(data.is_known):,}"),
            ("known labels", f"{np.count_nonzero(outcome.known >= 0):,}"),
            ("suspect known labels", f"{len(data.suspects):,}"),
        ]
    if outcome.groups is not None:
        facts.append(("groups", f"{len(np.unique(outcome.groups[outcome.groups >= 0])):,}"))
    n_unlabeled = np.count_nonzero(outcome.as_labels(data.numbers) < 0)
    if n_unlabeled:
        facts.append(("samples without a label", f"{n_unlabeled:,}"))
    facts += [
        ("pseudo-labels", f"{outcome.is_pseudo_label.mean():.1%}"),
        ("mean confidence", f"{data.confidence.mean():.3f}"),
    ]
    if data.judgment is not None:
        correct = data.judgment.right[data.judgment.samples]
        facts.append(("correct labels", f"{correct.mean():.1%}"))
    return facts


def _origins(data: ReportData) -> list[OriginRow]:
    """Where the labels come from; empty if the model proposed them all."""
    if data.outcome.known is None:
        return []
    counts = {name: int(np.count_nonzero(data.origins == name)) for name in _MEANING_OF_ORIGIN}
    return [
        OriginRow(name or "no label", n, n / data.n_samples, _MEANING_OF_ORIGIN[name])
        for name, n in counts.items()
        if n
    ]


def _agreement(data: ReportData, selection: Selection) -> NDArray[np.float64]:
    """How the categories with a card agree."""
    cards = selection.card_of[data.numbers].astype(np.int32)
    return agreement_of(data.partitions, cards, len(selection.cards))


def _merge(
    data: ReportData, selection: Selection, first: int, second: int, likeness: float
) -> Merge:
    """A pair of categories that may be one; the merged one is called like the known or larger."""
    pair = sorted((first, second))  # known ones come first, then the larger one
    into = data.full_names[pair[0]]
    labels = [data.classes[k] for k in pair]
    text = ",".join(_argument(label) for label in labels) + "=" + _argument(into)
    return Merge(
        category_link(data, selection, pair[0]),
        category_link(data, selection, pair[1]),
        likeness,
        clean(f"model.merge({labels!r}, into={into!r})"),
        clean(f"labelquorum categories model.lq --merge {shlex.quote(text)}"),
    )


def _argument(name: Any) -> str:
    """A name as the command line takes it: in double quotes if it would be split otherwise."""
    text = str(name)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',="') else text


def _tree(
    data: ReportData, selection: Selection, agreement: NDArray[np.float64]
) -> dict[str, Any] | None:
    """The merge tree of the categories with a card; None where there are fewer than three."""
    if len(selection.cards) < 3:
        return None
    sizes = [len(np.unique(group)) for group in data.coarser]
    tree = merge_tree(agreement, [group[selection.cards] for group in data.coarser], sizes)
    leaves = selection.cards[tree.order].tolist()
    return {
        "picture": tree,
        "leaves": [(category_link(data, selection, k), int(data.sums.sizes[k])) for k in leaves],
    }


def _heat_map(
    data: ReportData, selection: Selection, agreement: NDArray[np.float64]
) -> dict[str, Any] | None:
    """How the categories with a card agree; None where there is one alone."""
    if len(selection.cards) < 2:
        return None
    order = like_side_by_side(agreement)
    agreement, numbers = agreement[np.ix_(order, order)], selection.cards[order].tolist()
    names = [data.names[k] for k in numbers]
    percents = np.nan_to_num(100 * agreement, nan=-1).round().astype(int).tolist()
    return {
        "picture": heat_map(agreement, names),
        "data": {
            "names": names,
            "agreement": [
                [None if percent < 0 else percent for percent in row] for row in percents
            ],
        },
    }


def _coverage(data: ReportData) -> dict[str, Any] | None:
    curve = data.coverage
    if curve is None:
        return None
    # Of samples with equal confidence all are kept: a point may reach several shares.
    share_of_point = {
        int(np.searchsorted(curve.coverage, share * curve.coverage[-1] - 1e-9)): share
        for share in _SHARES_KEPT
    }
    rows = [_pseudo_label_row(data)]
    rows += [
        CoverageRow(
            name="all" if share == 1 else f"top {share:.0%}",
            coverage=curve.coverage[i],
            threshold=curve.threshold[i],
            confidence=curve.confidence[i],
            precision=None if curve.precision is None else curve.precision[i],
        )
        for i, share in share_of_point.items()
    ]
    return {
        "note": None if curve.note is None else clean(curve.note),
        "svg": coverage_curve(curve),
        "pseudo_share": data.pseudo_share,
        "least_confidence": least_confidence(data.confidence, data.pseudo_share),
        "pseudo_share_of_category": data.pseudo_share * LEAST_OF_SHARE,
        "rows": rows,
        "n_judged": data.n_samples if data.judgment is None else len(data.judgment.samples),
    }


def _pseudo_label_row(data: ReportData) -> CoverageRow:
    judgment = data.judgment
    samples = np.arange(data.n_samples) if judgment is None else judgment.samples
    chosen = samples[data.outcome.is_pseudo_label[samples]]
    confidence = data.confidence[chosen]
    precision = None
    if judgment is not None:
        precision = float(judgment.right[chosen].mean()) if len(chosen) else math.nan
    return CoverageRow(
        name="pseudo-labels",
        coverage=len(chosen) / len(samples),
        threshold=float(confidence.min(initial=1)),
        confidence=float(confidence.mean()) if len(chosen) else math.nan,
        precision=precision,
    )


def _layers(columns: dict[str, list[Any]]) -> list[LayerRow]:
    """The layers, finest first."""
    return [
        LayerRow(
            f"{n:,}",
            f"{persistence:.2f}",
            f"{smallest:,}",
            f"{median:,.0f}",
            f"{largest:,}",
            chosen,
        )
        for n, persistence, smallest, median, largest, chosen in zip(*columns.values(), strict=True)
    ]


def _rounds(history: list[dict[str, Any]]) -> dict[str, list[Any]]:
    rows = [
        [f"{value:.3f}" if isinstance(value, float) else f"{value:,}" for value in entry.values()]
        for entry in history
    ]
    columns = [name.removeprefix("n_").replace("_", " ") for name in history[0]]
    return {"columns": columns, "rows": rows}
