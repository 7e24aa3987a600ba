"""A page about new samples: what is new, what grew and shrank, over time, and what to look at.

The template lies beside this module, and takes the style of the report. All that grows with the
data is bounded: rows, samples and characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.terminal import visible_line
from labelquorum._shared.texts import as_texts
from labelquorum._shared.times import TimeBins, as_times, time_bins
from labelquorum.clustering.update import Update
from labelquorum.text.terms import keywords

_MOST_NEW, _MOST_ROWS, _MOST_OVER_TIME = 50, 1000, 30
_N_TYPICAL, _N_UNSURE, _N_KEYWORDS = 5, 30, 6
_CHARACTERS = 280  # of a text
_CHARACTERS_OF_NAME = 80


class Sample(NamedTuple):
    """A sample that is shown."""

    name: str
    """Its id or number."""
    text: str | None
    confidence: float
    guess: str
    """The category that it may be of; empty for none."""


class NewCategory(NamedTuple):
    """A category that the model did not know."""

    name: str
    size: int
    share: float
    keywords: list[str]
    typical: list[Sample]


class Row(NamedTuple):
    """A category before and now."""

    name: str
    size_before: int
    size_now: int
    share_before: float
    share_now: float
    change: str
    """"grew", "shrank", "new" or nothing."""


class Line(NamedTuple):
    """The numbers of samples of a category over time."""

    name: str
    total: int
    most: int
    heights: list[float]
    """Of the bars, 0 to 100, as a share of `most`."""


def update_page(
    update: Update, *, texts: Iterable[str] | None = None, times: Any = None, ids: Any = None
) -> str:
    """Make the page; see `Update.report`."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('a report needs Jinja2: pip install "labelquorum[report]"') from error
    n = len(update.labels)
    items = None if texts is None else as_texts(texts)
    names = list(map(str, range(n) if ids is None else ids))
    moments = None if times is None else as_times(times, "times")
    for what, given in (("texts", items), ("ids", names), ("times", moments)):
        if given is not None and len(given) != n:
            raise ValueError(
                f"{what} must have {n} values, one for each new sample, got {len(given)}"
            )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelquorum.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    bins = None if moments is None else time_bins(moments)
    contents = _Contents(update, items, names)
    style = (files("labelquorum.report") / "style.css").read_text(encoding="utf-8")
    page = environment.get_template("update_page.html").render(
        n_new=n,
        n_before=update.n_before,
        n_none=int(np.count_nonzero(update.origins == "")),
        n_unsure=len(update.unsure),
        n_new_categories=update.n_new_categories,
        new=contents.new_categories(),
        rows=contents.rows(),
        bins=bins,
        lines=[] if bins is None else contents.over_time(bins),
        unsure=[contents.sample(i, runner_up=True) for i in update.unsure[:_N_UNSURE].tolist()],
        style=style,
        version=_core.build_info()["version"],
    )
    return page.encode(errors="replace").decode()


class _Contents:
    """What the page shows of an update."""

    def __init__(self, update: Update, texts: list[str] | None, names: list[str]) -> None:
        self._update, self._texts, self._names = update, texts, names
        self._categories = update.categories.tolist()
        self._shown = [_cut(str(name), _CHARACTERS_OF_NAME) for name in update.names.tolist()]
        code_of = {name: code for code, name in enumerate(self._categories)}
        self._codes: NDArray[np.intp] = np.array(
            [code_of.get(label, -1) for label in update.labels.tolist()], dtype=np.intp
        )
        self._n_known = len(self._categories) - update.n_new_categories

    def sample(self, i: int, *, runner_up: bool = False) -> Sample:
        """Return a sample, and for one without a label what it may be."""
        update = self._update
        text = None if self._texts is None else _cut(self._texts[i], _CHARACTERS)
        guess = update.labels[i] if update.origins[i] else update.runners_up[i]
        has_guess = guess is not None and guess in self._categories
        return Sample(
            _cut(self._names[i], _CHARACTERS_OF_NAME),
            text,
            float(update.confidence[i]),
            _cut(str(guess), _CHARACTERS_OF_NAME) if runner_up and has_guess else "",
        )

    def new_categories(self) -> list[NewCategory]:
        """Return the new categories, larger ones first."""
        update, found = self._update, []
        words = self._keywords()
        for code in range(self._n_known, len(self._categories))[:_MOST_NEW]:
            members = np.flatnonzero(self._codes == code)
            typical = members[np.argsort(-update.confidence[members], kind="stable")[:_N_TYPICAL]]
            found.append(
                NewCategory(
                    self._shown[code],
                    len(members),
                    float(update.shares_now[code]),
                    words.get(self._categories[code], []),
                    [self.sample(i) for i in typical.tolist()],
                )
            )
        return found

    def _keywords(self) -> dict[Any, list[str]]:
        if self._texts is None or not self._update.n_new_categories:
            return {}
        found = keywords(self._texts, self._codes, _N_KEYWORDS)
        return {
            self._categories[code]: [_cut(word, _CHARACTERS_OF_NAME) for word, _ in pairs]
            for code, pairs in found.items()
        }

    def rows(self) -> list[Row]:
        """Return all categories: new ones, then by how much their share changed."""
        update = self._update
        moved = np.abs(update.shares_now - update.shares_before)
        order = np.lexsort((-moved, update.changes == 0, np.arange(len(moved)) < self._n_known))
        words = {1: "grew", -1: "shrank", 0: ""}
        return [
            Row(
                self._shown[k],
                int(update.sizes_before[k]),
                int(update.sizes_now[k]),
                float(update.shares_before[k]),
                float(update.shares_now[k]),
                "new" if k >= self._n_known else words[int(update.changes[k])],
            )
            for k in order[:_MOST_ROWS].tolist()
        ]

    def over_time(self, bins: TimeBins) -> list[Line]:
        """Return the new samples over time: all, then by category, larger ones first."""
        n_bins, counted = len(bins.names), bins.codes >= 0
        lines = [_line("all", np.bincount(bins.codes[counted], minlength=n_bins))]
        counted &= self._codes >= 0
        counts = np.zeros((len(self._categories), n_bins), dtype=np.int64)
        np.add.at(counts, (self._codes[counted], bins.codes[counted]), 1)
        totals = counts.sum(axis=1)
        is_known = np.arange(len(totals)) < self._n_known
        shown = np.lexsort((-totals, is_known))[:_MOST_OVER_TIME].tolist()
        return [*lines, *(_line(self._shown[k], counts[k]) for k in shown if totals[k])]


def _line(name: str, counts: NDArray[np.integer[Any]]) -> Line:
    most = int(counts.max(initial=0))
    heights = (100 * counts / max(1, most)).round(1).tolist()
    return Line(name, int(counts.sum()), most, heights)


def _cut(text: str, most: int) -> str:
    line = visible_line(text)
    return line if len(line) <= most else line[: most - 1] + "\u2026"
