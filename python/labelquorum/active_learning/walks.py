"""TODO."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.graphs.csr import normalize_graph

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
_STOPPING = (0.3, 0.1, 0.03)  # chances that a walk ends at each step


class Known(NamedTuple):
    """What is known of the mini-clusters that hold labels."""

    cells: Integers
    """These mini-clusters, ascending."""
    counts: Floats
    """(cells, categories): their labels."""
    is_large: NDArray[np.bool_]
    """Which categories may be predicted."""

    @classmethod
    def of(cls, codes: NDArray[np.int32], clusters: Integers, is_large: NDArray[np.bool_]) -> Known:
        labeled = np.flatnonzero(codes >= 0)
        cells, places = np.unique(clusters[labeled], return_inverse=True)
        counts = np.zeros((len(cells), len(is_large)))
        np.add.at(counts, (places, codes[labeled]), 1)
        return cls(cells, counts, is_large)

    @property
    def shares(self) -> Floats:
        """Of the categories, in these mini-clusters."""
        shares: Floats = self.counts / self.counts.sum(axis=1, keepdims=True)
        return shares


class Walks:
    """Random walks over mini-clusters that stop with one of several chances at each step.

    For each chance, the mean number of visits to each mini-cluster before the end, from each.
    """

    def __init__(self, graph: sparse.csr_array) -> None:
        steps = normalize_graph(graph, "random_walk").toarray().astype(np.float32)
        self.visits: list[Rows] = []
        for chance in _STOPPING:
            system = np.float32(chance - 1) * steps
            system[np.diag_indices(len(system))] += 1
            self.visits.append(np.linalg.inv(system))

    def hits(self, s: int, cells: Integers) -> Floats:
        """The chance to come to each of some mini-clusters before the others, from each."""
        visits = self.visits[s]
        among = visits[np.ix_(cells, cells)].astype(np.float64)
        found = np.linalg.solve(among.T, visits[:, cells].T.astype(np.float64)).T
        return found.clip(0, 1)

    def told(self, known: Known) -> float:
        """The mean probability that labels have by what the others say."""
        if len(known.cells) < 2:
            return 0.5
        shares, means = known.shares, []
        for visits in self.visits:
            among = visits[np.ix_(known.cells, known.cells)].astype(np.float64)
            inverse = np.linalg.inv(among)
            hits = (-inverse / np.diag(inverse)[:, None]).clip(0, 1)
            np.fill_diagonal(hits, 0)
            means.append(((hits @ shares) * shares).sum(axis=1).mean())
        return float(np.mean(means))

    def shares(self, known: Known) -> Floats:
        """(mini-clusters, categories): the probabilities of the categories seen so far."""
        found = np.zeros((len(self.visits[0]), known.counts.shape[1]))
        for s in range(len(_STOPPING)):
            found += self.hits(s, known.cells) @ known.shares
        found[known.cells] = known.shares
        # What no walk leads to a label from is like all labels.
        found[~(found.sum(axis=1) > 0)] = known.shares.sum(axis=0)
        found /= found.sum(axis=1, keepdims=True)
        return found


class Chooser:
    """Chooses one sample after the other, as if what was chosen were labeled already."""

    def __init__(
        self,
        walks: Walks,
        known: Known,
        order: NDArray[np.int32],
        clusters: NDArray[np.int32],
        is_open: NDArray[np.bool_],
        taken: list[int],
    ) -> None:
        self._known = known
        samples = order[is_open[order]]  # by mini-cluster, the most central first
        m = len(walks.visits[0])
        starts = np.searchsorted(clusters[samples], np.arange(m + 1))
        self._waiting = [samples[b:e][::-1].tolist() for b, e in pairwise(starts.tolist())]
        self._n_open = np.diff(starts).astype(np.float64)
        self._n_asked = np.zeros(m)
        self._told = walks.told(known)
        self._views = [
            _View(visits, walks.hits(s, known.cells), known)
            for s, visits in enumerate(walks.visits)
        ]
        for sample in taken:
            self._waiting[clusters[sample]].remove(sample)
            self._take(int(clusters[sample]))

    def next(self) -> int | None:
        """The next sample; None when none is left."""
        if not (self._n_open > 0).any():
            return None
        errors = self._errors_among_labeled()
        scores = sum(view.scores(self._n_open, self._known.cells, errors) for view in self._views)
        cell = int(np.where(self._n_open > 0, scores, -1.0).argmax())
        sample: int = self._waiting[cell].pop()
        self._take(cell)
        return sample

    def _take(self, cell: int) -> None:
        self._n_open[cell] -= 1
        self._n_asked[cell] += 1
        for view in self._views:
            view.end_at(cell)

    def _errors_among_labeled(self) -> Floats:
        """What to expect of the other samples of mini-clusters with labels.

        Their own labels count one each, and so does what others say, which is right as often as of
        labels.
        """
        counts = self._known.counts
        n_asked = self._n_asked[self._known.cells]
        best = np.where(self._known.is_large, counts, 0).max(axis=1, initial=0)
        errors: Floats = 1 - (best + n_asked + self._told) / (counts.sum(axis=1) + n_asked + 1)
        return errors


class _View:
    """What walks with one chance to stop say."""

    def __init__(self, visits: Rows, hits: Floats, known: Known) -> None:
        self._visits = visits
        self._ends = known.cells.tolist()
        self._hits = hits.astype(np.float32)
        self._shares, self._is_large = known.shares, known.is_large

    def end_at(self, cell: int) -> None:
        """Walks that come to this one end there from now on."""
        if cell in self._ends:
            return
        found = self._visits[:, cell] - self._hits @ self._visits[self._ends, cell]
        found /= found[cell]
        self._hits -= found[:, None] * self._hits[cell]
        self._hits = np.concatenate([self._hits, found[:, None]], axis=1)
        self._ends.append(cell)

    def scores(self, n_open: Floats, cells: Integers, errors: Floats) -> Floats:
        """Expected error times density of each mini-cluster, in shares of the largest."""
        b = len(self._shares)
        best = (self._hits[:, :b] @ self._shares)[:, self._is_large].max(axis=1, initial=0)
        expected = (1 - best - self._hits[:, b:].sum(axis=1)).clip(0)
        expected[cells] = errors
        masses = (n_open * expected).astype(np.float32)
        among = self._visits[self._ends]
        settled = masses @ self._visits - (masses @ self._hits) @ among
        visits = self._visits.diagonal() - np.einsum("ij,ji->i", self._hits, among)
        settled = settled / np.maximum(visits, 1e-6)
        settled[self._ends] = masses[self._ends]
        scores: Floats = expected * settled
        scores /= max(scores[n_open > 0].max(), 1e-12)
        return scores
