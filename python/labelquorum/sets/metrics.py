"""How well clusters within sets were found: the measures of coreference resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from labelquorum._shared.arguments import as_codes, as_positive

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]


class _Shared(NamedTuple):
    """How many items each true (row) and each found cluster (column) share; and their sizes."""

    counts: Floats
    true: Floats
    found: Floats


def _pairs(n: Any) -> Any:
    return n * (n - 1) / 2


def _pairwise(s: _Shared) -> tuple[float, float, float, float]:
    shared = _pairs(s.counts).sum()
    return shared, _pairs(s.found).sum(), shared, _pairs(s.true).sum()


def _b_cubed(s: _Shared) -> tuple[float, float, float, float]:
    squares = s.counts**2
    n = s.true.sum()
    return (squares / s.found).sum(), n, (squares / s.true[:, None]).sum(), n


def _muc(s: _Shared) -> tuple[float, float, float, float]:
    n, n_parts = s.true.sum(), np.count_nonzero(s.counts)
    return n - n_parts, n - len(s.found), n - n_parts, n - len(s.true)


def _ceaf(similarity: Floats, of_found: float, of_true: float) -> tuple[float, float, float, float]:
    total = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
    return total, of_found, total, of_true


def _ceaf_m(s: _Shared) -> tuple[float, float, float, float]:
    return _ceaf(s.counts, s.found.sum(), s.true.sum())


def _ceaf_e(s: _Shared) -> tuple[float, float, float, float]:
    alike = 2 * s.counts / (s.true[:, None] + s.found)
    return _ceaf(alike, len(s.found), len(s.true))


def _lea(s: _Shared) -> tuple[float, float, float, float]:
    def resolved(counts: Floats, own: Floats, other: Floats) -> float:
        links = _pairs(counts).sum(axis=1)
        alone = own == 1  # a link to itself
        links[alone] = counts[alone][:, other == 1].sum(axis=1)
        return float((own * links / np.where(alone, 1, _pairs(own))).sum())

    n = s.true.sum()
    return resolved(s.counts.T, s.found, s.true), n, resolved(s.counts, s.true, s.found), n


MEASURES: dict[str, Callable[[_Shared], tuple[float, float, float, float]]] = {
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


def _score(parts: tuple[float, float, float, float]) -> SetScore:
    """0 of 0 is all of it: nothing was said that is wrong, or nothing was there to be found."""
    right, of_found, there, of_true = parts
    precision = float(right / of_found) if of_found > 0 else 1.0
    recall = float(there / of_true) if of_true > 0 else 1.0
    both = precision + recall
    return SetScore(precision, recall, 2 * precision * recall / both if both > 0 else 0.0)


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
        Cluster of each item: numbers or names, which need not be the same in both. Every item has
        one.
    true_categories, found_categories : array-like of shape (n_items,), optional
        Category of each item; both, or none. These have to be the same names.

    Returns
    -------
    dict of str to SetScore
        Precision, recall and F1 of each measure: "pairwise" (pairs of items), "b_cubed" (Bagga and
        Baldwin, LREC 1998), "ceaf_m" and "ceaf_e" (Luo, HLT/EMNLP 2005: clusters matched one to
        one, alike by the items they share, or by these as a share of both), "muc" (Vilain et al.,
        MUC-6, 1995), "lea" (Moosavi and Strube, ACL 2016), and "conll", the mean of "muc",
        "b_cubed" and "ceaf_e". With categories also "joint_b_cubed", in which items of a wrong
        category count nowhere. What is 0 of 0 counts as 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, or an item has no cluster.

    See Also
    --------
    evaluate_sets : the mean over many sets.

    Notes
    -----
    Exact, from the table of items that clusters share: O(n_items log n_items), and for "ceaf_m" and
    "ceaf_e" the assignment problem of that table.

    Examples
    --------
    >>> import labelquorum as lq
    >>> true = [0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    >>> found = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    >>> round(lq.set_scores(true, found)["b_cubed"].precision, 3)
    0.762
    """
    codes, other = _codes(true, "true"), _codes(found, "found")
    if len(codes) != len(other):
        raise ValueError(f"true holds {len(codes)} items, found {len(other)}; wanted as many")
    if (true_categories is None) != (found_categories is None):
        raise ValueError("categories are given for one side; wanted both, or none")
    shared = _shared(codes, other)
    scores = {name: _score(measure(shared)) for name, measure in MEASURES.items()}
    of_conll = [scores[name] for name in _CONLL]
    scores["conll"] = SetScore(*np.mean(of_conll, axis=0).tolist())
    if true_categories is not None:
        right = _same_names(true_categories, found_categories, len(codes))
        squares = _table(codes[right], other[right], shared.counts.shape) ** 2
        n = float(len(codes))
        precision, recall = (squares / shared.found).sum(), (squares / shared.true[:, None]).sum()
        scores["joint_b_cubed"] = _score((precision, n, recall, n))
    return scores


def set_f1(true: Integers, found: Integers, measure: str) -> float:
    """F1 by one measure, of clusters that are integers."""
    shared = _shared(*(np.unique(of, return_inverse=True)[1] for of in (true, found)))
    names = _CONLL if measure == "conll" else (measure,)
    return float(np.mean([_score(MEASURES[name](shared)).f1 for name in names]))


def _shared(codes: Integers, other: Integers) -> _Shared:
    counts = _table(codes, other)
    return _Shared(counts, counts.sum(axis=1), counts.sum(axis=0))


def _codes(labels: Any, name: str) -> NDArray[np.int32]:
    codes = as_codes(labels, name)[1]
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise ValueError(f"{name} holds no cluster for item {missing[0]}; wanted one for each")
    return codes


def _table(codes: Integers, other: Integers, shape: tuple[int, ...] | None = None) -> Floats:
    counts = np.zeros(shape or (codes.max() + 1, other.max() + 1))
    np.add.at(counts, (codes, other), 1)
    return counts


def _same_names(true: Any, found: Any, n: int) -> NDArray[np.bool_]:
    sides = []
    for name, labels in (("true_categories", true), ("found_categories", found)):
        names, codes = as_codes(labels, name)
        if len(codes) != n:
            raise ValueError(f"{name} holds {len(codes)} items, true {n}; wanted as many")
        sides.append([names[code] if code >= 0 else None for code in codes])
    return np.array([a is not None and a == b for a, b in zip(*sides, strict=True)], dtype=bool)


@dataclass(frozen=True)
class SetEvaluation:
    """Means over sets, with bootstrap intervals; it prints as a table."""

    scores: dict[str, SetScore]
    """The mean over the sets of each measure's precision, recall and F1."""
    f1_intervals: dict[str, tuple[float, float]]
    """Within which the mean F1 of other sets of the same kind lies, at the level."""
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
    """Average the scores of many sets, each weighing the same.

    Parameters
    ----------
    true, found : list of array-like
        The clusters of each set; see `set_scores`.
    true_categories, found_categories : list of array-like, optional
        The categories of each set.
    level : float in (0, 1), default=0.95
        Of the intervals.
    n_bootstraps : int, default=1000
        Times that as many sets are drawn with replacement.
    random_state : int, RandomState instance or None, default=None
        Decides these draws.

    Returns
    -------
    SetEvaluation
        It prints as a table.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.evaluate_sets([[0, 0, 1], [0, 1, 1]], [[0, 0, 1], [0, 0, 0]], random_state=0).n_sets
    2
    """
    from sklearn.utils import check_random_state

    n_draws = as_positive(n_bootstraps, "n_bootstraps")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; wanted a number in (0, 1)")
    if not len(true):
        raise ValueError("true is empty; wanted at least one set")
    given = {"found": found, "true_categories": true_categories} | {
        "found_categories": found_categories
    }
    for name, sets in given.items():
        if sets is not None and len(sets) != len(true):
            raise ValueError(f"{name} holds {len(sets)} sets, true {len(true)}; wanted as many")
    of_sets = [
        set_scores(
            true[i],
            found[i],
            true_categories=None if true_categories is None else true_categories[i],
            found_categories=None if found_categories is None else found_categories[i],
        )
        for i in range(len(true))
    ]
    n = len(of_sets)
    drawn = check_random_state(random_state).randint(n, size=(n_draws, n))
    scores, intervals = {}, {}
    for name in of_sets[0]:
        values = np.array([of_set[name] for of_set in of_sets])
        scores[name] = SetScore(*values.mean(axis=0).tolist())
        means = values[drawn, 2].mean(axis=1)
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist()
        intervals[name] = (low, high)
    return SetEvaluation(scores, intervals, n, float(level))
