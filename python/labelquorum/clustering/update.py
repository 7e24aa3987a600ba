"""What new samples say beside a fitted model: their labels, what is new, and what changed.

1. Every sample gets the most probable category, or none with a `reject_level`.
2. Emerging categories (see `novelty`) become new ones, named as proposals after those of the model.
   An emerging category that is mostly one that the model knows is that one, grown, or a part of it;
   see `_new_groups`.
3. The share of each category is compared with that among training samples, which are predicted as
   if they were new, by an exact test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from labelquorum._shared.files import replacing
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import category_names, to_labels
from labelquorum._shared.origins import PROPOSED
from labelquorum._shared.tables import named_table
from labelquorum.clustering.novelty import Novelty
from labelquorum.clustering.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd

MIN_NEW_SIZE = 10
"""The smallest new category of an update: as of a fit that chooses the number of categories."""
_NUMBERED = re.compile("new ([0-9]{1,18})")
_ERROR = 0.05  # the probability that any category is called grown or shrunk by chance
_UNSURE = 0.5  # the largest confidence of an answer that is unsure
_NEARLY_ALL = 0.8  # share of a group that most likely has one category
_UNUSUAL = 2 / 3  # mean novelty of a group; of usual samples it is 1/2
_MOST_LISTED = 10


@dataclass(frozen=True, eq=False, repr=False)
class Update:
    """What a model says about new samples, and how they differ from its own; prints as text."""

    labels: NDArray[Any]
    """(n_new,): the category of each sample. New ones are named as `fit` does, with numbers that
    the model does not use. -1 (None among strings) where there is no answer."""
    origins: NDArray[np.str_]
    """(n_new,): "proposed", or "" where there is no answer."""
    confidence: NDArray[np.float64]
    """(n_new,): the probability of the label, 0 to 1; where there is no answer, that of the answer
    that was too uncertain. For samples of new categories: the share of their neighbors that are of
    it, too."""
    runners_up: NDArray[Any]
    """(n_new,): the second choice. Where there is no answer, or a new category, the category that
    would be the answer otherwise. -1 (None) for none."""
    novelty: Novelty
    """How unlike the training samples each sample is; see `ConsensusClusterer.novelty`."""
    categories: NDArray[Any]
    """(n_categories,): all categories, those of the model first, then the new ones."""
    n_new_categories: int
    """Number of new categories, the last ones of `categories`."""
    sizes_before: NDArray[np.int64]
    """(n_categories,): number of training samples with each label."""
    sizes_now: NDArray[np.int64]
    """(n_categories,): number of new samples with each label."""
    n_before: int
    """Number of training samples."""
    shares_before: NDArray[np.float64]
    """(n_categories,): the share of training samples of which this is the most probable category,
    predicted as if they were new."""
    shares_now: NDArray[np.float64]
    """(n_categories,): the share of new samples of which this is the most probable category, or the
    new one that they have. Samples without an answer count."""
    changes: NDArray[np.int8]
    """(n_categories,): 1 for a category whose share grew, -1 for one whose share shrank, beyond
    chance; 0 for others and for new ones. If nothing changed, any category is called changed in at
    most 5 % of cases."""
    unsure: NDArray[np.intp]
    """Samples without an answer, or with a confidence below 0.5 and no new category; the least
    confident first."""

    @property
    def new_categories(self) -> NDArray[Any]:
        """(n_new_categories,): the new ones of `categories`, larger ones first."""
        return self.categories[len(self.categories) - self.n_new_categories :]

    @property
    def category_table(self) -> pd.DataFrame | NDArray[np.void]:
        """A table with a row for each of `categories`, which are its index.

        Columns: "size_before" and "size_now" (numbers of samples with the label), "share_before"
        and "share_now" (of all samples, as predicted), "change" ("grew" or "shrank" beyond chance,
        "new", or "").

        Without pandas it is a structured array with these fields, after a field "category".
        """
        names = np.array(["shrank", "", "grew"])[self.changes + 1]
        names[len(names) - self.n_new_categories :] = "new"
        columns = {
            "size_before": self.sizes_before,
            "size_now": self.sizes_now,
            "share_before": self.shares_before,
            "share_now": self.shares_now,
            "change": names,
        }
        return named_table("category", self.categories, columns)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        texts: Iterable[str] | None = None,
        times: Any = None,
        ids: Any = None,
    ) -> None:
        """Write a page: what is new, what grew and shrank, and what to look at.

        Parameters
        ----------
        path : path-like
            The file, usually named .html. It appears when it is complete, and opens in any browser
            without a network.
        texts : iterable of str, of length n_new, optional
            Shown for samples, and searched for keywords.
        times : array-like of datetime64 or of ISO dates, of shape (n_new,), optional
            Shows the number of samples of each category over time: by day, week or month (or hour
            or year), whichever gives 6 to 60 bars. NaT and "" for none.
        ids : array-like of shape (n_new,), optional
            Shown for samples instead of their numbers.

        Raises
        ------
        ImportError
            If Jinja2 is missing: ``pip install "labelquorum[report]"``.
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If an argument has the wrong type or length.
        """
        from labelquorum.report.update_page import update_page

        with replacing(Path(path)) as file:
            file.write(update_page(self, texts=texts, times=times, ids=ids).encode())

    def __repr__(self) -> str:
        n = len(self.labels)
        lines = [f"{n:,} new samples, {self.n_before:,} before."]
        sizes = self.sizes_now[len(self.categories) - self.n_new_categories :]
        names = [str(name) for name in self.new_categories.tolist()]
        listed = [f"{a} ({b:,})" for a, b in zip(names, sizes.tolist(), strict=True)]
        lines.append(f"New categories: {_listed(listed)}.")
        for word, sign in (("Grew", 1), ("Shrank", -1)):
            lines.append(f"{word} beyond chance: {_listed(self._changed(sign))}.")
        n_none = int(np.count_nonzero(self.origins == ""))
        lines.append(
            f"Unsure: {len(self.unsure):,} samples ({len(self.unsure) / n:.1%}), "
            f"{n_none:,} of them without an answer."
        )
        return "\n".join(lines)

    def _changed(self, sign: int) -> list[str]:
        """Name the categories that grew or shrank, those that changed most first."""
        found = np.flatnonzero(self.changes == sign)
        before, now = self.shares_before[found], self.shares_now[found]
        order = np.argsort(-np.abs(now - before), kind="stable")
        return [
            f"{self.categories.tolist()[found[i]]} ({before[i]:.1%} to {now[i]:.1%})" for i in order
        ]


def _listed(items: list[str]) -> str:
    n_more = len(items) - _MOST_LISTED
    return ", ".join(items[:_MOST_LISTED] + [f"{n_more} more"] * (n_more > 0)) or "none"


class Said(NamedTuple):
    """What a model says about new samples one by one."""

    probabilities: NDArray[np.float64]
    """(n_new, n_classes): of its categories, by the nearest training samples."""
    numbers: NDArray[np.int32]
    """(n_new,): the category of each sample, -1 for none."""
    is_answer: NDArray[np.bool_]
    """(n_new,): whether that can be its label, and is not too uncertain."""


def updated(
    classes: NDArray[Any],
    outcome: Outcome,
    said: Said,
    usual: NDArray[np.intp],
    novelty: Novelty,
) -> Update:
    """Put together what a model says; see `ConsensusClusterer.update`.

    `classes` are the categories of the model, `outcome` has its training samples, and `usual` are
    the categories of some of these, predicted as if they were new.
    """
    n_classes, n_new = len(classes), len(said.numbers)
    most_likely = said.probabilities.argmax(axis=1)
    groups, n_groups = _new_groups(novelty, outcome, most_likely)
    names = _with_new(classes, n_groups)
    is_new = groups >= 0
    numbers = np.where(said.is_answer, said.numbers, np.int32(-1))
    numbers = np.where(is_new, np.int32(n_classes) + groups, numbers)
    # Without `discover` a sample has no category, but still probabilities.
    of_best = np.where(said.numbers < 0, most_likely, said.numbers)
    others = said.probabilities.copy()
    top = others[np.arange(n_new), of_best]
    others[np.arange(n_new), of_best] = 0
    seconds = np.where(others.max(axis=1) > 0, others.argmax(axis=1), -1).astype(np.int32)
    is_first = numbers == said.numbers
    runners_up = np.where(is_first, outcome.as_labels(seconds), said.numbers)
    before = outcome.as_labels(outcome.categories.numbers)
    now = np.where(is_new, numbers, most_likely)
    counts_before, counts_now = (np.bincount(x, minlength=len(names)) for x in (usual, now))
    changes = _changes(counts_before[:n_classes], len(usual), counts_now[:n_classes], n_new)
    is_unsure = ~is_new & ((numbers < 0) | (top < _UNSURE))
    unsure = np.flatnonzero(is_unsure)
    return Update(
        labels=to_labels(names, numbers),
        origins=np.where(numbers >= 0, PROPOSED, ""),
        confidence=np.where(is_new, novelty.group_shares, top),
        runners_up=to_labels(names, runners_up),
        novelty=novelty,
        categories=names,
        n_new_categories=n_groups,
        sizes_before=np.bincount(before[before >= 0], minlength=len(names)),
        sizes_now=np.bincount(numbers[numbers >= 0], minlength=len(names)),
        n_before=len(before),
        shares_before=counts_before / len(usual),
        shares_now=counts_now / n_new,
        changes=np.append(changes, np.zeros(n_groups, dtype=np.int8)),
        unsure=unsure[np.argsort(top[unsure], kind="stable")],
    )


def _new_groups(
    novelty: Novelty, outcome: Outcome, most_likely: NDArray[np.intp]
) -> tuple[NDArray[np.int32], int]:
    """Number the emerging categories that the model does not know, larger ones first.

    Returns the new category of each new sample, -1 for none, and how many there are. The model
    knows an emerging category that holds most of the training samples of one of its own, or more of
    them than new samples. It also knows one if nearly all samples most likely have one category,
    and they are not farther from the training samples than these are from each other.
    """
    numbers = outcome.categories.numbers
    members = (novelty.training_groups >= 0) & (numbers >= 0)
    counts = np.zeros((novelty.n_groups, outcome.categories.n_categories), dtype=np.int64)
    np.add.at(counts, (novelty.training_groups[members], numbers[members]), 1)
    sizes = np.bincount(numbers[numbers >= 0], minlength=counts.shape[1])
    n_new = np.bincount(novelty.groups[novelty.groups >= 0], minlength=novelty.n_groups)
    holds_known = (2 * counts > sizes) | (counts > n_new[:, None])
    is_known: NDArray[np.bool_] = np.logical_or.reduce(holds_known, axis=1)
    for group in range(novelty.n_groups):
        of_group = novelty.groups == group
        share = np.bincount(most_likely[of_group]).max() / n_new[group]
        is_usual = novelty.scores[of_group].mean() < _UNUSUAL
        is_known[group] |= share >= _NEARLY_ALL and is_usual
    found = np.flatnonzero(~is_known)
    found = found[np.argsort(-n_new[found], kind="stable")]
    ranks = np.full(novelty.n_groups + 1, -1, dtype=np.int32)  # the last one is for -1
    ranks[found] = np.arange(len(found))
    return ranks[novelty.groups], len(found)


def _with_new(classes: NDArray[Any], n: int) -> NDArray[Any]:
    """Add names for new categories.

    Their numbers follow the largest one, since a smaller one that is free now may have been that of
    a category which was renamed.
    """
    names = classes.tolist()
    if not any(isinstance(name, str) for name in names):
        return category_names(classes, len(names) + n)
    matches = [_NUMBERED.fullmatch(name) for name in names if isinstance(name, str)]
    first = 1 + max((int(match[1]) for match in matches if match), default=-1)
    return array_of_names([*names, *(f"new {first + i}" for i in range(n))])


def _changes(
    before: NDArray[np.int64], n_before: int, now: NDArray[np.int64], n_now: int
) -> NDArray[np.int8]:
    """Say which categories grew or shrank beyond chance, by Fisher's exact test.

    `before` and `now` are their numbers among so many samples.
    """
    draw = n_before + n_now, before + now, n_now
    level = _ERROR / 2 / len(before)  # Bonferroni's correction, for both sides
    grew = stats.hypergeom.sf(now - 1, *draw) <= level
    shrank = stats.hypergeom.cdf(now, *draw) <= level
    changes: NDArray[np.int8] = grew.astype(np.int8) - shrank.astype(np.int8)
    return changes
