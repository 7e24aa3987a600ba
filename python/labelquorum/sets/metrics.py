"""How well the clusters within sets were found: the measures of coreference resolution.

All measures follow from how many items each true cluster shares with each found one. Only pairs of
clusters that share an item are held, so that memory is linear in the items.
Each measure is a pair of ratios, precision and recall, combined to F1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.html import Table, as_html
from labelquorum._shared.labels import as_codes
from labelquorum._shared.matching import best_matching, shared_counts

Counts = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]


class _Overlap(NamedTuple):
    """How many items each true and each found cluster share, and the sizes of both."""

    shared: sparse.coo_array  # (n_true, n_found), each pair stored once
    true: Counts  # (n_true,)
    found: Counts  # (n_found,)

    @property
    def counts(self) -> Counts:
        """(n_pairs,): the number of shared items."""
        counts: Counts = self.shared.data
        return counts

    @property
    def true_sizes(self) -> Counts:
        """(n_pairs,): the size of the true cluster."""
        sizes: Counts = self.true[self.shared.coords[0]]
        return sizes

    @property
    def found_sizes(self) -> Counts:
        """(n_pairs,): the size of the found cluster."""
        sizes: Counts = self.found[self.shared.coords[1]]
        return sizes


class _Ratios(NamedTuple):
    """Precision and recall as fractions."""

    found_right: float
    found_total: float
    true_right: float
    true_total: float


def _n_pairs(n_items: Any) -> Any:
    return n_items * (n_items - 1) / 2


def _pairwise(overlap: _Overlap) -> _Ratios:
    shared = _n_pairs(overlap.counts).sum()
    return _Ratios(shared, _n_pairs(overlap.found).sum(), shared, _n_pairs(overlap.true).sum())


def _b_cubed(overlap: _Overlap) -> _Ratios:
    squares = overlap.counts**2
    n = overlap.true.sum()
    found_right = (squares / overlap.found_sizes).sum()
    return _Ratios(found_right, n, (squares / overlap.true_sizes).sum(), n)


def _muc(overlap: _Overlap) -> _Ratios:
    n, n_parts = overlap.true.sum(), len(overlap.counts)
    right = n - n_parts
    return _Ratios(right, n - len(overlap.found), right, n - len(overlap.true))


def _ceaf(overlap: _Overlap, similarity: Counts, found_total: float, true_total: float) -> _Ratios:
    table = sparse.coo_array((similarity, overlap.shared.coords), shape=overlap.shared.shape)
    total = table.tocsr()[best_matching(table)].sum()
    return _Ratios(total, found_total, total, true_total)


def _ceaf_m(overlap: _Overlap) -> _Ratios:
    return _ceaf(overlap, overlap.counts, overlap.found.sum(), overlap.true.sum())


def _ceaf_e(overlap: _Overlap) -> _Ratios:
    dice = 2 * overlap.counts / (overlap.true_sizes + overlap.found_sizes)
    return _ceaf(overlap, dice, len(overlap.found), len(overlap.true))


def _lea(overlap: _Overlap) -> _Ratios:
    def resolved(own_sizes: Counts, other_sizes: Counts) -> float:
        # A cluster of one item has one link, to itself. The other side must have it alone too.
        is_single = own_sizes == 1
        links = np.where(is_single, other_sizes == 1, _n_pairs(overlap.counts))
        n_links = np.where(is_single, 1, _n_pairs(own_sizes))
        return float((own_sizes * links / n_links).sum())

    n = overlap.true.sum()
    true_sizes, found_sizes = overlap.true_sizes, overlap.found_sizes
    return _Ratios(resolved(found_sizes, true_sizes), n, resolved(true_sizes, found_sizes), n)


MEASURES: dict[str, Callable[[_Overlap], _Ratios]] = {
    "pairwise": _pairwise,
    "b_cubed": _b_cubed,
    "ceaf_m": _ceaf_m,
    "ceaf_e": _ceaf_e,
    "muc": _muc,
    "lea": _lea,
}
_CONLL = ("muc", "b_cubed", "ceaf_e")


class SetScore(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def _score(ratios: _Ratios) -> SetScore:
    """Divide. 0 of 0 counts as 1: nothing wrong was found, or there was nothing to find."""
    precision = ratios.found_right / ratios.found_total if ratios.found_total > 0 else 1.0
    recall = ratios.true_right / ratios.true_total if ratios.true_total > 0 else 1.0
    total = precision + recall
    f1 = 2 * precision * recall / total if total > 0 else 0.0
    return SetScore(float(precision), float(recall), float(f1))


def set_scores(
    true: Any,
    found: Any,
    *,
    true_categories: Any = None,
    found_categories: Any = None,
) -> dict[str, SetScore]:
    """Compare the clusters found in one set of items with the true ones.

    Parameters
    ----------
    true, found : array-like of shape (n_items,)
        The cluster of each item: numbers or names, which need not be the same in both. Every item
        must have one.
    true_categories, found_categories : array-like of shape (n_items,), optional
        The category of each item, with the same names in both. Pass both or none.

    Returns
    -------
    dict of str to SetScore
        Precision, recall and F1 of each measure:

        - "pairwise": pairs of items in one cluster.
        - "b_cubed": Bagga and Baldwin (LREC 1998).
        - "ceaf_m", "ceaf_e": Luo (HLT/EMNLP 2005). Clusters are matched one to one, by the number
          of items they share, or by this number relative to the sizes of both.
        - "muc": Vilain et al. (MUC-6, 1995).
        - "lea": Moosavi and Strube (ACL 2016).
        - "conll": the mean of "muc", "b_cubed" and "ceaf_e".
        - "joint_b_cubed", only with categories: "b_cubed", except that items with a wrong category
          count as wrong everywhere.

        A ratio of 0 to 0 counts as 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or an item has no cluster.

    See Also
    --------
    evaluate_sets : Average over many sets.

    Notes
    -----
    All scores are exact. They follow from the items that clusters share, in O(n_items log n_items)
    time and O(n_items) memory. "ceaf_m" and "ceaf_e" also solve an assignment problem for each part
    of the clusters that shared items connect.

    Examples
    --------
    >>> import labelquorum as lq
    >>> true = [0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    >>> found = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    >>> round(lq.set_scores(true, found)["b_cubed"].precision, 3)
    0.762
    """
    true_codes, found_codes = _codes(true, "true"), _codes(found, "found")
    n = len(true_codes)
    if len(found_codes) != n:
        raise ValueError(f"found must have {n} values, as true has, got {len(found_codes)}")
    _check_both_or_none(true_categories, found_categories)
    overlap = _overlap(true_codes, found_codes)
    scores = {name: _score(measure(overlap)) for name, measure in MEASURES.items()}
    conll = np.mean([scores[name] for name in _CONLL], axis=0)
    scores["conll"] = SetScore(*conll.tolist())
    if true_categories is not None:
        is_right = _same_names(true_categories, found_categories, n)
        shape = overlap.shared.shape
        shared = shared_counts(true_codes[is_right], found_codes[is_right], shape)
        scores["joint_b_cubed"] = _score(_b_cubed(overlap._replace(shared=shared)))
    return scores


def set_f1(true: Integers, found: Integers, measure: str) -> float:
    """Return F1 by one measure, of clusters that are integers."""
    codes = (np.unique(labels, return_inverse=True)[1] for labels in (true, found))
    overlap = _overlap(*codes)
    names = _CONLL if measure == "conll" else (measure,)
    return float(np.mean([_score(MEASURES[name](overlap)).f1 for name in names]))


def _overlap(true: Integers, found: Integers) -> _Overlap:
    shared = shared_counts(true, found, (int(true.max()) + 1, int(found.max()) + 1))
    return _Overlap(shared, shared.sum(axis=1), shared.sum(axis=0))


def _codes(labels: Any, name: str) -> NDArray[np.int32]:
    codes = as_codes(labels, name)[1]
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise ValueError(
            f"{name} must name a cluster for each item, got none for item {missing[0]}"
        )
    return codes


def _check_both_or_none(true_categories: Any, found_categories: Any) -> None:
    if (true_categories is None) != (found_categories is None):
        passed = "found_categories" if true_categories is None else "true_categories"
        raise ValueError(
            f"true_categories and found_categories must be passed together, got only {passed}"
        )


def _same_names(true: Any, found: Any, n_items: int) -> NDArray[np.bool_]:
    """Return which items have the same category in both, and have one at all."""
    names_of_items = []
    for argument, labels in (("true_categories", true), ("found_categories", found)):
        names, codes = as_codes(labels, argument)
        if len(codes) != n_items:
            raise ValueError(
                f"{argument} must have {n_items} values, as true has, got {len(codes)}"
            )
        names_of_items.append([names[code] if code >= 0 else None for code in codes])
    pairs = zip(*names_of_items, strict=True)
    return np.array([a is not None and a == b for a, b in pairs], dtype=bool)


@dataclass(frozen=True)
class SetEvaluation:
    """Mean scores of sets, with bootstrap intervals; it prints as a table."""

    scores: dict[str, SetScore]
    """The precision, recall and F1 of each measure, averaged over the sets."""
    f1_intervals: dict[str, tuple[float, float]]
    """The bootstrap interval of each measure's mean F1, for sets of the same kind."""
    n_sets: int
    level: float

    def __repr__(self) -> str:
        lines = [f"{'':14} precision  recall      F1  ({self.level:.0%} of {self.n_sets} sets)"]
        for name, score in self.scores.items():
            low, high = self.f1_intervals[name]
            lines.append(
                f"{name:14} {score.precision:9.3f} {score.recall:7.3f} {score.f1:7.3f}"
                f"  ({low:.3f} to {high:.3f})"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for name, score in self.scores.items():
            low, high = self.f1_intervals[name]
            figures = (score.precision, score.recall, score.f1)
            rows.append([name, *(f"{x:.3f}" for x in figures), f"{low:.3f} to {high:.3f}"])
        interval = f"{self.level:.0%} of {self.n_sets} sets"
        return as_html(Table(["", "precision", "recall", "F1", interval], rows))


def evaluate_sets(
    true: Sequence[Any],
    found: Sequence[Any],
    *,
    true_categories: Sequence[Any] | None = None,
    found_categories: Sequence[Any] | None = None,
    level: float = 0.95,
    n_bootstraps: int = 1000,
    random_state: Any = None,
) -> SetEvaluation:
    """Average the scores of many sets; all sets have the same weight.

    Parameters
    ----------
    true, found : list of array-like
        The clusters of each set; see `set_scores`.
    true_categories, found_categories : list of array-like, optional
        The categories of each set. Pass both or none.
    level : float in (0, 1), default=0.95
        Confidence level of the intervals.
    n_bootstraps : int, default=1000
        Number of bootstrap samples. Each draws as many sets, with replacement.
    random_state : int, RandomState instance or None, default=None
        Seed of these draws.

    Returns
    -------
    SetEvaluation
        It prints as a table.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.evaluate_sets([[0, 0, 1], [0, 1, 1]], [[0, 0, 1], [0, 0, 0]], random_state=0).n_sets
    2
    """
    from sklearn.utils import check_random_state

    n_draws = as_positive(n_bootstraps, "n_bootstraps")
    if not 0 < level < 1:
        raise ValueError(f"level must be a number in (0, 1), got {level}")
    scores_of_sets = _scores_of_sets(true, found, true_categories, found_categories)
    n_sets = len(scores_of_sets)
    draws = check_random_state(random_state).randint(n_sets, size=(n_draws, n_sets))
    means, intervals = {}, {}
    for name in scores_of_sets[0]:
        scores = np.array([scores_of_set[name] for scores_of_set in scores_of_sets])
        means[name] = SetScore(*scores.mean(axis=0).tolist())
        drawn_f1 = scores[draws, 2].mean(axis=1)
        low, high = np.quantile(drawn_f1, [(1 - level) / 2, (1 + level) / 2]).tolist()
        intervals[name] = (low, high)
    return SetEvaluation(means, intervals, n_sets, float(level))


def _scores_of_sets(
    true: Sequence[Any],
    found: Sequence[Any],
    true_categories: Sequence[Any] | None,
    found_categories: Sequence[Any] | None,
) -> list[dict[str, SetScore]]:
    true_sets = _as_sets(true, "true")
    if not true_sets:
        raise ValueError("true must hold at least one set, got none")
    _check_both_or_none(true_categories, found_categories)
    others = []
    for name, sets in {
        "found": found,
        "true_categories": true_categories,
        "found_categories": found_categories,
    }.items():
        items = (
            [None] * len(true_sets) if sets is None and name != "found" else _as_sets(sets, name)
        )
        if len(items) != len(true_sets):
            raise ValueError(
                f"{name} must hold {len(true_sets)} sets, as true does, got {len(items)}"
            )
        others.append(items)
    return [
        set_scores(of_true, of_found, true_categories=categories, found_categories=found_ones)
        for of_true, of_found, categories, found_ones in zip(true_sets, *others, strict=True)
    ]


def _as_sets(sets: Any, name: str) -> list[Any]:
    if isinstance(sets, (str, bytes, Mapping, Set)) or not isinstance(sets, Iterable):
        raise TypeError(f"{name} must be a list of arrays, one per set, got {type(sets).__name__}")
    return list(sets)
