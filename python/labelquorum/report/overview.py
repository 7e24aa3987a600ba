"""The first screen, in plain words: what is there, what is new, what to trust, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from labelquorum.quality.checks import n_checks_needed
from labelquorum.report.cards import CategoryLink, category_link
from labelquorum.report.data import ReportData
from labelquorum.report.samples import Sample, ShownSamples
from labelquorum.report.selection import Selection

_N_BARS, _N_NEW = 10, 5
_SURE, _UNSURE = 0.8, 0.5  # shares of the votes
_TITLES = {
    "texts": "What {} texts are about",
    "images": "What {} images show",
    "samples": "The categories of {} samples",
}
_QUESTIONS = {
    "texts": "What people write about",
    "images": "What the images show",
    "samples": "What there is",
}
_PRECISION = 0.95  # to aim at by checks


class Bar(NamedTuple):
    """A category with its size."""

    category: CategoryLink
    size: int
    share: float
    """Of all samples."""
    length: float
    """Of the longest bar."""
    example: Sample
    """A typical sample."""


class New(NamedTuple):
    """What the model proposes."""

    n_new: int
    n_known: int
    share: float
    """Of all samples, those in proposed categories."""
    bars: list[Bar]
    n_more: int
    n_unlabeled: int
    """Samples that are in no category that may be a label."""


class Trust(NamedTuple):
    """How far the labels can be trusted."""

    headline: str
    sentence: str
    levels: list[tuple[str, str, int]]
    """For each: its name, its meaning, and how many samples are in it."""
    n_suspect: int


class Step(NamedTuple):
    """Something to do next."""

    target: str
    """The section with more about it."""
    title: str
    names: Sequence[str]
    """Categories that it is about."""
    why: str


def overview(
    data: ReportData,
    selection: Selection,
    samples: ShownSamples,
    merges: Sequence[tuple[int, int, float]],
) -> dict[str, Any]:
    """Lay out the first screen; `merges` are the pairs that may be one category."""
    shown = data.by_size[(data.sums.sizes > 0)[data.by_size] & data.has_label[data.by_size]]
    occurring = shown.tolist()
    bars = _bars(data, selection, samples, occurring[:_N_BARS])
    return {
        "title": _TITLES[data.unit].format(f"{data.n_samples:,}"),
        "question": _QUESTIONS[data.unit],
        "bars": bars,
        "n_more": len(occurring) - len(bars),
        "share_of_more": max(0.0, 1 - sum(bar.share for bar in bars)),
        "new": _new(data, selection, samples, occurring),
        "trust": _trust(data),
        "steps": _steps(data, selection, merges),
    }


def _bars(
    data: ReportData, selection: Selection, samples: ShownSamples, categories: list[int]
) -> list[Bar]:
    sizes = data.sums.sizes
    longest = max((int(sizes[k]) for k in categories), default=1)
    return [
        Bar(
            category_link(data, selection, k),
            int(sizes[k]),
            float(sizes[k] / data.n_samples),
            float(sizes[k] / longest),
            samples.sample(int(selection.typical[selection.card_of[k]][0])),
        )
        for k in categories
    ]


def _new(
    data: ReportData, selection: Selection, samples: ShownSamples, occurring: list[int]
) -> New:
    new = [k for k in occurring if not data.is_known[k]]
    return New(
        n_new=len(new),
        n_known=int(np.count_nonzero(data.is_known)),
        share=float(data.sums.sizes[new].sum() / data.n_samples),
        bars=_bars(data, selection, samples, new[:_N_NEW]),
        n_more=max(0, len(new) - _N_NEW),
        n_unlabeled=int(np.count_nonzero(data.outcome.as_labels(data.numbers) < 0)),
    )


def _trust(data: ReportData) -> Trust:
    confidence = data.confidence[data.numbers >= 0]
    n_sure = int(np.count_nonzero(confidence >= _SURE))
    n_unsure = int(np.count_nonzero(confidence < _UNSURE))
    levels = [
        ("sure", f"at least {_SURE:.0%} of the votes agree", n_sure),
        ("likely", "most votes agree", len(confidence) - n_sure - n_unsure),
        ("unsure", "fewer than half of the votes agree", n_unsure),
    ]
    n_votes = len(data.partitions)
    mean = float(confidence.mean()) if len(confidence) else 0.0
    if data.judgment is None:
        headline = f"{mean:.0%} agreement"
        sentence = (
            f"The {data.unit} were sorted {n_votes} times in different ways. On average, "
            f"{mean:.0%} of these votes agree on where one of the {data.unit} belongs. Nobody has "
            "checked yet how many labels are right."
        )
    else:
        judged = data.judgment.samples
        right = data.judgment.right[judged]
        headline = f"{right.mean():.0%} right"
        sentence = (
            f"Of {len(judged):,} {data.unit} with a known answer, {right.mean():.1%} have the "
            "right label."
        )
        is_sure = data.confidence[judged] >= _SURE
        if is_sure.any():
            sentence += f" Where the votes are sure, it is {right[is_sure].mean():.1%}."
    return Trust(
        headline,
        sentence,
        levels,
        len(data.suspects),
    )


def _steps(
    data: ReportData, selection: Selection, merges: Sequence[tuple[int, int, float]]
) -> list[Step]:
    steps = []
    unit = data.unit
    n_suspects, n_checks = len(data.suspects), len(selection.checks)
    n_new = int(np.count_nonzero((data.sums.sizes > 0) & ~data.is_known))
    if not data.outcome.discover:
        n_new = 0
    if n_suspects:
        title = f"Review {_counted(n_suspects, 'given label')} in doubt"
        steps.append(Step("suspects", title, [], "The votes say something else."))
    if n_checks:
        wanted = min(n_checks, n_checks_needed(_PRECISION))
        title = f"Check {wanted} {unit if wanted != 1 else unit[:-1]} by hand"
        why = (
            f"If all are right, at least {_PRECISION:.0%} of all labels are."
            if wanted >= n_checks_needed(_PRECISION)
            else "Then you know how many labels are right."
        )
        steps.append(Step("check", title, [], why))
    if n_new:
        title = f"Accept or rename {_counted(n_new, 'proposal')}"
        steps.append(Step("categories", title, [], f"Read their typical {unit}, and fill a table."))
    if merges:
        first, second, _ = merges[0]
        title = f"Decide on {_counted(len(merges), 'look-alike pair')}"
        names = [data.names[first], data.names[second]]
        steps.append(Step("merge", title, names, "Merge them, or keep them apart."))
    if len(steps) < 2:
        why = "They are at the end of each card, under \u201cMore\u201d."
        steps.append(Step("categories", f"Look at the least certain {unit}", [], why))
    if len(steps) < 2:
        steps.append(Step("details", "Use the labels", [], "All of them are known."))
    return steps


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' if n != 1 else ''}"
