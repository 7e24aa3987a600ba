"""Base partitions: many clusterings of the same samples, each with a view of its own.

Partitions come from the package's own views (`views`) and clustering heads (`heads`), or from
clusterers of the caller, one item at a time: four partitions of a view, all of the heads, or the
one of a clusterer. Every item has a seed of its own, so
that it does not depend on which items were made in this call and which were read from a directory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state

from labelquorum._shared.arguments import as_columns, as_n_partitions, as_n_threads, as_positive
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.files import differing_settings, replacing
from labelquorum._shared.fingerprint import fingerprint
from labelquorum._shared.frame import Frame, Framed, Rows
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_samples
from labelquorum._shared.sealed import array_of, new_digest, sealed_array
from labelquorum.clustering.evidence import LARGEST_SHARE, share_of_heads
from labelquorum.clustering.heads import best_heads
from labelquorum.clustering.views import (
    PARTITIONS_PER_VIEW,
    RECALL,
    Partitions,
    ResolutionScale,
    Space,
    View,
    ViewKind,
    directions_keep_neighbors,
    groups_apart,
)
from labelquorum.neighbors.search import kneighbors

_MAX_ROWS_PER_VIEW = 200_000
_SPREAD_OF_GIVEN_NUMBER = 4
_FEWEST_ROWS_OF_HEADS, _FEWEST_ROWS_PER_HEAD_CLUSTER = 1_000, 10
_FORMAT_VERSION = 3


def base_partitions(
    X: Any,
    n_clusters: int | tuple[int, int],
    *,
    n_partitions: int = 32,
    clusterers: Any = None,
    directory: str | Path | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Partitions:
    """Cluster the samples in many ways.

    Parameters
    ----------
    X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
        At least 3 samples. Dense: float16, float32, float64 or integers. Sparse rows (tf-idf, for
        example) are reduced to 128 columns by a truncated singular value decomposition.
    n_clusters : int or pair of int
        The number of clusters that the consensus will have. Each partition has from this number to
        four times as many, or just this number (heads, see the notes). A pair gives the fewest and
        the most clusters of a partition, which are then made without heads.
    n_partitions : int, default=32
        Number of partitions, at most 65,535. Ignored if `clusterers` is given.
    clusterers : scikit-learn clusterer or sequence of them, optional
        Used instead of the package's own clusterings; each makes one partition. If a clusterer has
        a `random_state` that is None, it gets a seed of its own. Samples with the label -1
        (HDBSCAN's noise) abstain.
    directory : path-like, optional
        A folder to keep finished partitions in. A later call with the same arguments continues from
        there: arguments are compared by value, clusterers by class, version and parameters.
        Partitions that are damaged, or of another call, are made again. `random_state` must then be
        an int.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples, n_partitions)
        In column-major order. -1 where a clusterer abstains.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, if the directory holds the partitions of
        a call with other arguments, or if its settings.json is damaged.
    MemoryError
        If too little memory is available.

    See Also
    --------
    consensus : one partition from many.
    mini_clusters : samples on which they agree.

    Notes
    -----
    Each view of the samples has its own metric (Euclidean, or cosine of centered rows), number of
    neighbors (10 to 30) and features: as given, or averaged over neighbors by two steps of a random
    walk on the graph of neighbors, as in Zhang et al., "Attributed graph clustering via adaptive
    graph convolution", IJCAI 2019. A view makes three partitions from its graph (`communities`) and
    one by k-means of its averaged features. No cluster joins groups of samples that mutual
    neighbors do not connect, unless there are more of them than `n_clusters`, less than three
    samples in a group, or more than 200,000 samples.

    Clustering heads are linear classifiers, trained without labels on pairs of near neighbors
    (Adaloglou et al., "Exploring the limits of deep image clustering using pretrained models", BMVC
    2023). Each has as many clusters as the consensus. Of the heads trained, those with the lowest
    loss vote. Heads have as large a share of the partitions as neighbors disagree: the mean number
    of a sample's 5 nearest neighbors that are in another cluster, by the consensus of the first
    views, but three quarters at most. They have none if it is less than a fifth, with fewer than
    1,000 samples or 10 samples for each cluster, or where directions tell little (in two columns).

    Each other partition has its own random number of clusters, more than the consensus will have. A
    partition that cannot merge two classes can still split one, but other partitions split it
    elsewhere.

    With more than 200,000 samples, a view looks at 200,000 of them, drawn at random. Every other
    sample joins the cluster of the nearest drawn one. Nearly linear in n_samples.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data
    >>> partitions = lq.base_partitions(X, 10, n_partitions=8, random_state=0)
    >>> partitions.shape
    (1797, 8)
    >>> labels = lq.consensus(partitions, 10)
    >>> lq.clustering_accuracy(load_digits().target, labels) > 0.85
    True
    """
    n_threads = as_n_threads(n_jobs)
    settings = PartitionSettings(
        checked_number(n_clusters),
        n_partitions,
        clusterers,
        directory,
        random_state,
    )
    if clusterers is not None:
        return partitions_by_clusterers(as_samples(X, "X"), settings, verbose=verbose)
    framed = Frame.fit(X, random_state)
    return partitions_by_views(framed, settings, n_threads=n_threads, verbose=verbose)


@dataclass(frozen=True, eq=False)
class PartitionSettings:
    """How base partitions are made; see the parameters of `base_partitions`."""

    n_clusters: int | tuple[int, int]
    """The number of clusters of the consensus, or the fewest and the most of a partition."""
    n_partitions: int
    clusterers: Any = None
    directory: str | Path | None = None
    random_state: Any = None
    spread: int = _SPREAD_OF_GIVEN_NUMBER
    """A partition has at most so many times as many clusters as the consensus."""

    def __post_init__(self) -> None:
        as_n_partitions(self.n_partitions)

    def limits_for(self, n_samples: int) -> tuple[int, int]:
        """Return the limits, which so few samples may lower."""
        if n_samples < 3:
            raise ValueError(f"X must have at least 3 samples, got {n_samples}")
        if isinstance(self.n_clusters, tuple):
            fewest, most = self.n_clusters
        else:
            fewest, most = self.n_clusters, self.spread * self.n_clusters
        return min(fewest, n_samples), min(most, n_samples)


def checked_number(n_clusters: Any) -> int | tuple[int, int]:
    """Check the number of clusters of the consensus, or the pair of limits."""
    if isinstance(n_clusters, tuple) and len(n_clusters) == 2:
        fewest, most = (as_positive(n, "n_clusters") for n in n_clusters)
        if fewest > most:
            raise ValueError(f"n_clusters must be a pair (fewest, most), got {n_clusters}")
        return fewest, most
    return as_positive(n_clusters, "n_clusters")


def given_partitions(partitions: Any, n_samples: int) -> Partitions:
    """Number the clusters of a caller's partitions from 0; -1 for negative values."""
    columns = as_columns(partitions)
    if len(columns[0]) != n_samples:
        raise ValueError(
            f"partitions must have {n_samples} rows, one for each sample of X, "
            f"got {len(columns[0])}"
        )
    numbered = []
    for column in columns:
        names, codes = np.unique(column, return_inverse=True)
        n_negative = np.count_nonzero(names < 0)
        numbered.append((codes - n_negative).clip(-1).astype(np.int32))
    return np.stack(numbered, axis=1)


def partitions_by_views(
    framed: Framed, settings: PartitionSettings, *, n_threads: int, verbose: bool = False
) -> Partitions:
    """Make partitions by the package's own views of the samples.

    Returns what `base_partitions` does.
    """
    rows, distinct = framed.rows, framed.distinct
    n_samples = len(distinct.numbers)
    limits = settings.limits_for(n_samples)
    store = _Store.of(rows, distinct.counts, settings, limits)
    n_views = -(-settings.n_partitions // PARTITIONS_PER_VIEW)
    rng = check_random_state(settings.random_state)
    views = _Views(rows, distinct.counts, limits, n_views, rng, n_threads)
    n_clusters = settings.n_clusters
    if isinstance(n_clusters, tuple) or not views.suit_heads:
        made = _from_views(views, store, range(n_views))
    else:
        made = _from_views_and_heads(views, store, n_clusters, settings.n_partitions, rng)
    items = map(distinct.expand, made)
    return _collected(items, n_samples, settings.n_partitions, verbose)


def partitions_by_clusterers(
    X: Any, settings: PartitionSettings, *, verbose: bool = False
) -> Partitions:
    """Make a partition by each of the caller's clusterers; X is whatever they take.

    Returns what `base_partitions` does.
    """
    n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
    store = _Store.of(X, np.ones(n_samples), settings, settings.limits_for(n_samples))
    models = settings.clusterers
    models = models if isinstance(models, Sequence) else [models]
    items = _from_clusterers(X, models, check_random_state(settings.random_state), store)
    return _collected(items, n_samples, len(models), verbose)


def _collected(
    items: Iterable[Partitions], n_samples: int, n_partitions: int, verbose: bool
) -> Partitions:
    """Copy the parts into one array as they come, and show progress."""
    result = np.empty((n_samples, n_partitions), np.int32, order="F")
    n_done = 0
    with progress(verbose) as show:
        for part in items:
            part = part[:, : n_partitions - n_done]
            result[:, n_done : n_done + part.shape[1]] = part
            n_done += part.shape[1]
            if show is not None:
                show("base partitions", n_done / n_partitions)
    return result


def _from_views(views: _Views, store: _Store, numbers: range) -> Iterator[Partitions]:
    """Yield the partitions of each view: (n_rows, 4)."""
    for v in numbers:
        yield store.read_or_make(v, partial(views.partitions, v), PARTITIONS_PER_VIEW)


def _from_views_and_heads(
    views: _Views, store: _Store, n_clusters: int, n_partitions: int, rng: np.random.RandomState
) -> Iterator[Partitions]:
    """Yield partitions of views and of heads, which have as many as they deserve."""
    seeds = rng.randint(2**31, size=2)
    n_first = math.ceil(n_partitions * (1 - LARGEST_SHARE) / PARTITIONS_PER_VIEW)
    first = [*_from_views(views, store, range(n_first))]
    yield from first
    share = views.share_of_heads(np.concatenate(first, axis=1), n_clusters, seeds[0])
    n_heads = min(round(share * n_partitions), max(0, n_partitions - n_first * PARTITIONS_PER_VIEW))
    if n_heads > 0:
        make = partial(views.heads, n_clusters, n_heads, seeds[1])
        yield store.read_or_make(views.n_views, make, n_heads)
    n_views = -(-(n_partitions - n_heads) // PARTITIONS_PER_VIEW)
    yield from _from_views(views, store, range(n_first, n_views))


class _Views:
    """The views of distinct rows, numbered from 0; the four kinds take turns.

    Each row stands for as many samples as `counts` says.
    """

    def __init__(
        self,
        rows: Rows,
        counts: NDArray[np.integer[Any]],
        limits: tuple[int, int],
        n_views: int,
        rng: np.random.RandomState,
        n_threads: int,
    ) -> None:
        seeds = rng.randint(2**31, size=n_views + 1)
        self.n_views = n_views
        self._limits = limits
        self._n_threads = n_threads
        self._seeds = seeds[:-1]
        has_directions = directions_keep_neighbors(rows)
        self._spaces = {
            is_cosine: Space.of(
                rows,
                counts,
                is_cosine and has_directions,
                limits[0],
                np.random.RandomState(seeds[-1]),
            )
            for is_cosine in (False, True)
        }
        self._scales: dict[bool, ResolutionScale] = {}
        self._groups = self._groups_apart() if len(rows) <= _MAX_ROWS_PER_VIEW else None

    def _groups_apart(self) -> NDArray[np.int32] | None:
        space, distinct = self._spaces[False]
        groups = groups_apart(space, self._limits[0], self._n_threads)
        return None if groups is None else distinct.expand(groups)

    def _divided(self, part: Partitions) -> Partitions:
        """Divide clusters that join groups of rows that lie apart."""
        if self._groups is None:
            return part
        n_groups = int(self._groups.max()) + 1
        columns = (column.astype(np.int64) * n_groups + self._groups for column in part.T)
        divided = [np.unique(column, return_inverse=True)[1] for column in columns]
        return np.stack(divided, axis=1).astype(np.int32)

    def partitions(self, v: int) -> Partitions:
        """Make the partitions of view number v: (n_rows, 4)."""
        view = self._view(v)
        part = view.partitions(self._limits, self._scale(v, view), self._n_threads)
        space, distinct = self._space(v)
        drawn = self._drawn_rows(v)
        if drawn is not None:
            part = _extended(part, space.rows, drawn, self._n_threads)
        return self._divided(distinct.expand(part))

    @property
    def suit_heads(self) -> bool:
        """Whether there are enough rows, and directions tell something of them."""
        space, _ = self._spaces[True]
        n_wanted = max(_FEWEST_ROWS_OF_HEADS, _FEWEST_ROWS_PER_HEAD_CLUSTER * self._limits[0])
        return space.is_cosine and len(space.rows) >= n_wanted and self._limits[0] > 1

    def heads(self, n_clusters: int, n_heads: int, seed: int) -> Partitions:
        """Make the partitions of the best heads: (n_rows, n_heads)."""
        space, distinct = self._spaces[True]
        part = best_heads(space.rows, n_clusters, n_heads, seed, self._n_threads)
        return self._divided(distinct.expand(part))

    def share_of_heads(self, by_views: Partitions, n_clusters: int, seed: int) -> float:
        """Return the share of the partitions that heads deserve; see `evidence`."""
        space, distinct = self._spaces[True]
        by_views = by_views[distinct.samples]
        return share_of_heads(space.rows, by_views, n_clusters, seed, self._n_threads)

    def _view(self, v: int) -> View:
        space = self._space(v)[0].subset(self._drawn_rows(v))
        return View.of(space, ViewKind.of(v).is_smooth, self._seeds[v], self._n_threads)

    def _space(self, v: int) -> tuple[Space, DistinctRows]:
        return self._spaces[ViewKind.of(v).is_cosine]

    def _drawn_rows(self, v: int) -> NDArray[np.int64] | None:
        """Draw the rows that a view looks at, ascending; None for all."""
        n = len(self._space(v)[0].rows)
        if n <= _MAX_ROWS_PER_VIEW:
            return None
        rng = np.random.RandomState(self._seeds[v])
        return np.sort(rng.choice(n, _MAX_ROWS_PER_VIEW, replace=False))

    def _scale(self, v: int, view: View) -> ResolutionScale:
        """Return the scale for view number v, which views share if both or neither are averaged."""
        is_smooth = ViewKind.of(v).is_smooth
        if is_smooth not in self._scales:
            first = 2 if is_smooth else 0
            # The first view is made again if its partitions were read from a directory.
            first_view = view if v == first else self._view(first)
            self._scales[is_smooth] = first_view.resolution_scale(self._n_threads)
        return self._scales[is_smooth]


def _extended(part: Partitions, rows: Rows, drawn: NDArray[np.int64], n_threads: int) -> Partitions:
    """Extend partitions of drawn rows to all rows: each joins the cluster of its nearest one."""
    nearest = kneighbors(rows[drawn], 1, Y=rows, recall=RECALL, n_jobs=n_threads)[1].ravel()
    extended: Partitions = part[nearest]
    extended[drawn] = part
    return extended


def _from_clusterers(
    X: Any, models: Sequence[Any], rng: np.random.RandomState, store: _Store
) -> Iterator[Partitions]:
    """Yield the partition of each clusterer: (n_samples, 1)."""
    for i, model in enumerate(models):
        seed = rng.randint(2**31)
        make = partial(_partition_by, model, X, seed, f"clusterers[{i}]")
        yield store.read_or_make(i, make, 1)


def _partition_by(model: Any, X: Any, seed: int, name: str) -> Partitions:
    if not hasattr(model, "fit_predict"):
        raise TypeError(f"{name} must be a clusterer with fit_predict, got {model!r}")
    model = clone(model)
    if "random_state" in model.get_params() and model.get_params()["random_state"] is None:
        model.set_params(random_state=seed)
    labels = np.asarray(model.fit_predict(X))
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise TypeError(
            f"{name} must return a 1-D array of integers from fit_predict, got {labels.dtype} of "
            f"shape {labels.shape}"
        )
    return given_partitions([labels], len(labels))


class _Store:
    """A folder of finished partitions, a file for each item; without a folder, it keeps nothing.

    Each file has a digest of its content, its number and the call that it belongs to. A file that
    does not agree with its digest, or has none, is made again.
    """

    def __init__(self, folder: Path | None, key: bytes = b"", n_rows: int = 0) -> None:
        self._folder = folder
        self._key = key
        self._n_rows = n_rows

    @classmethod
    def of(
        cls,
        X: Any,
        counts: NDArray[np.integer[Any]],
        settings: PartitionSettings,
        limits: tuple[int, int],
    ) -> _Store:
        """Open the folder of the settings, which may hold only partitions of the same call."""
        if settings.directory is None:
            return cls(None)
        if not isinstance(settings.random_state, (int, np.integer)):
            raise ValueError(
                "random_state must be an int if a directory is given, got "
                f"{settings.random_state!r}: it says which partitions the directory holds"
            )
        shape = list(X.shape) if hasattr(X, "shape") else [len(X)]
        identity = {
            "version": _FORMAT_VERSION,
            "n_clusters": settings.n_clusters,
            "spread": settings.spread,
            "n_partitions": settings.n_partitions,
            "random_state": int(settings.random_state),
            "clusterers": fingerprint(settings.clusterers, "clusterers"),
            "shape": shape,
            "content": fingerprint((X, counts), "X"),
        }
        folder = Path(settings.directory)
        folder.mkdir(parents=True, exist_ok=True)
        differing = differing_settings(folder / "settings.json", identity)
        if differing:
            raise ValueError(
                f"directory must be empty or hold partitions of the same call, got {folder}, whose "
                f"call differs in {', '.join(differing)}"
            )
        key = new_digest()
        key.update(json.dumps(identity).encode())
        return cls(folder, key.digest(), shape[0])

    def read_or_make(self, i: int, make: Callable[[], Partitions], n_partitions: int) -> Partitions:
        """Return the partitions of item i from the folder, or make them and keep them there."""
        if self._folder is None:
            return make()
        path = self._folder / f"partitions-{i:03}.npy"
        key = self._key + i.to_bytes(4, "little")
        kept = self._kept(path, key, (self._n_rows, n_partitions))
        if kept is not None:
            return kept
        part = make()
        with replacing(path) as file:
            file.write(sealed_array(part, key))
        return part

    def _kept(self, path: Path, key: bytes, shape: tuple[int, int]) -> Partitions | None:
        """Return the partitions in a file; None if there is none or it is damaged."""
        if not path.exists():
            return None
        if not path.is_file():
            raise ValueError(f"{path} must be a file of partitions: remove what is there")
        content = path.read_bytes()
        try:
            part = array_of(content, key)
        except Exception:  # Damaged content may be of any kind, and so are its errors.
            return None
        return part if part.dtype == np.int32 and part.shape == shape else None
