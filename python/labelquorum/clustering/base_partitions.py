"""Base partitions: many clusterings of the same samples, each with a view of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state

from labelquorum._shared.arguments import as_n_threads, as_positive
from labelquorum._shared.files import differing_settings, replacing
from labelquorum._shared.frame import Frame, Rows
from labelquorum._shared.progress import progress
from labelquorum.clustering.views import (
    PARTITIONS_PER_VIEW,
    RECALL,
    Partitions,
    Scale,
    View,
    _space,
)
from labelquorum.neighbors.search import kneighbors

_MAX_ROWS_PER_VIEW = 200_000
_MAX_SPREAD = 4
_FORMAT_VERSION = 1


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
        The samples. Dense: float16, float32, float64 or integers. Sparse rows (tf-idf, say) are
        reduced to 128 columns by a truncated singular value decomposition.
    n_clusters : int or pair of int
        Clusters that will be wanted in the end: partitions have from as many to four times as
        many. A pair: the fewest and the most clusters of a partition.
    n_partitions : int, default=32
        How many. Not used where `clusterers` are given.
    clusterers : scikit-learn clusterer or sequence of them, optional
        Used instead of the package's own: one partition by each. Those that have one get a
        `random_state` of their own where theirs is None. A label of -1 (HDBSCAN's noise) abstains.
    directory : path-like, optional
        Where to keep finished partitions: a call with the same arguments goes on from there.
        `random_state` then has to be an int.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples, n_partitions)
        Column-major. -1 where a clusterer abstains.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range; if the directory holds partitions of
        another call.
    MemoryError
        If too little memory is available.

    See Also
    --------
    consensus : one partition from many.
    mini_clusters : samples on which they agree.

    Notes
    -----
    Views differ in the metric (Euclidean; cosine of centred rows), in the number of neighbours (10
    to 30), and in whether features are as given or averaged over neighbours (two steps of a random
    walk on the graph of neighbours, as in Zhang et al., "Attributed graph clustering via adaptive
    graph convolution", IJCAI 2019). Each view gives three partitions of its graph (`communities`)
    and one by k-means of its smoothed features, each with a random number of clusters, more than
    are wanted: a partition that must not join two classes errs by cutting one, and others cut it
    elsewhere. Of more than 200,000 samples a view looks at so many, drawn at random; each of the
    others goes to the cluster of its nearest drawn one. Nearly linear in n_samples.

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
    limits = range_of(n_clusters)
    as_positive(n_partitions, "n_partitions")
    rows = X if clusterers is not None else Frame(X, random_state).rows(X)
    return partitions_of(
        rows, limits, n_partitions, clusterers, directory, random_state, n_threads, verbose
    )


def partitions_of(
    rows: Any,
    limits: tuple[int, int],
    n_partitions: int,
    clusterers: Any,
    directory: str | Path | None,
    random_state: Any,
    n_threads: int,
    verbose: bool,
) -> Partitions:
    """What `base_partitions` returns, of rows of a `Frame` where no clusterer is given."""
    n_samples = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    if n_samples < 3:
        raise ValueError(f"n_samples = {n_samples}: wanted at least 3")
    low, high = (min(limit, n_samples) for limit in limits)
    models = clusterers if isinstance(clusterers, Sequence) else [clusterers]
    store = None
    if directory is not None:
        if not isinstance(random_state, (int, np.integer)):
            raise ValueError(
                f"random_state is {random_state!r}; wanted an int where a directory is given, so "
                "that what is kept there can be told from other partitions"
            )
        settings = {"n_clusters": [low, high], "n_partitions": n_partitions}
        settings |= {"random_state": int(random_state), "clusterers": repr(clusterers)}
        store = _Store(Path(directory), settings, rows)
    rng = check_random_state(random_state)
    with progress(verbose) as show:
        if clusterers is not None:
            parts = _by_clusterers(rows, models, rng, store)
            n_parts = len(models)
        else:
            parts = _by_views(rows, (low, high), n_partitions, rng, n_threads, store)
            n_parts = -(-n_partitions // PARTITIONS_PER_VIEW)
        found = []
        for part in parts:
            found.append(part)
            if show is not None:
                show("base partitions", len(found) / n_parts)
    result = np.empty((n_samples, sum(part.shape[1] for part in found)), np.int32, order="F")
    np.concatenate(found, axis=1, out=result)
    return result[:, :n_partitions] if clusterers is None else result


def range_of(n_clusters: Any) -> tuple[int, int]:
    """The fewest and the most clusters of a partition."""
    if isinstance(n_clusters, tuple) and len(n_clusters) == 2:
        low, high = (as_positive(n, "n_clusters") for n in n_clusters)
        if low > high:
            raise ValueError(f"n_clusters is {n_clusters}; wanted the fewest first")
        return low, high
    low = as_positive(n_clusters, "n_clusters")
    return low, _MAX_SPREAD * low


def _by_views(
    rows: Rows,
    limits: tuple[int, int],
    n_partitions: int,
    rng: np.random.RandomState,
    n_threads: int,
    store: _Store | None,
) -> Iterator[Partitions]:
    n_views = -(-n_partitions // PARTITIONS_PER_VIEW)
    seeds = rng.randint(2**31, size=n_views + 1)
    spaces = {
        is_cosine: _space(rows, is_cosine, np.random.RandomState(seeds[-1]))
        for is_cosine in (False, True)
    }
    scales: dict[bool, Scale] = {}
    for v in range(n_views):
        if store is not None and (kept := store.read(v)) is not None:
            yield kept
            continue
        is_smooth = v // 2 % 2 == 1
        # Each view by itself: what comes out of one does not depend on which others were kept.
        space = spaces[v % 2 == 1]
        chosen = _rows_of_view(len(rows), seeds[v])
        view = View.of(space.part(chosen), is_smooth, seeds[v], n_threads)
        if is_smooth not in scales:
            first = 2 if is_smooth else 0  # the first view of this kind sets the scale of all
            view_of_scale = view
            if v != first:
                part_of_first = spaces[first % 2 == 1].part(_rows_of_view(len(rows), seeds[first]))
                view_of_scale = View.of(part_of_first, is_smooth, seeds[first], n_threads)
            scales[is_smooth] = view_of_scale.scale(n_threads)
        part = view.partitions(limits, scales[is_smooth], n_threads)
        if chosen is not None:
            part = _extended(part, space.rows, chosen, n_threads)
        if store is not None:
            store.write(v, part)
        yield part


def _rows_of_view(n: int, seed: int) -> NDArray[np.int64] | None:
    """The rows that a view looks at, ascending; None for all."""
    if n <= _MAX_ROWS_PER_VIEW:
        return None
    return np.sort(np.random.RandomState(seed).choice(n, _MAX_ROWS_PER_VIEW, replace=False))


def _extended(
    part: Partitions, rows: Rows, chosen: NDArray[np.int64], n_threads: int
) -> Partitions:
    """Partitions of chosen rows as those of all: others go where their nearest chosen one is."""
    nearest = kneighbors(rows[chosen], 1, Y=rows, recall=RECALL, n_jobs=n_threads)[1].ravel()
    found: Partitions = part[nearest]
    found[chosen] = part
    return found


def _by_clusterers(
    rows: Any, models: Sequence[Any], rng: np.random.RandomState, store: _Store | None
) -> Iterator[Partitions]:
    for i, model in enumerate(models):
        seed = rng.randint(2**31)
        if store is not None and (kept := store.read(i)) is not None:
            yield kept
            continue
        if not hasattr(model, "fit_predict"):
            raise TypeError(f"clusterers[{i}] is {model!r}; wanted a clusterer with fit_predict")
        copy = clone(model)
        if "random_state" in copy.get_params() and copy.get_params()["random_state"] is None:
            copy.set_params(random_state=seed)
        labels = np.asarray(copy.fit_predict(rows))
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise TypeError(
                f"clusterers[{i}] gives {labels.dtype} of shape {labels.shape}; wanted integers"
            )
        part = labels.astype(np.int32)[:, None]
        if store is not None:
            store.write(i, part)
        yield part


class _Store:
    """A folder of finished partitions, and what they were made of."""

    def __init__(self, folder: Path, settings: dict[str, Any], rows: Any) -> None:
        self._folder = folder
        content = rows.tocsr().data if sparse.issparse(rows) else np.ascontiguousarray(rows)
        settings = {"version": _FORMAT_VERSION, **settings, "shape": list(np.shape(rows))}
        settings["content"] = hashlib.blake2b(content.data, digest_size=16).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        differing = differing_settings(folder / "settings.json", settings)
        if differing:
            raise ValueError(
                f"directory {folder} holds partitions of another call: other "
                f"{', '.join(differing)}; wanted an empty folder, or the same arguments"
            )

    def _path(self, i: int) -> Path:
        return self._folder / f"partitions-{i:03}.npy"

    def read(self, i: int) -> Partitions | None:
        if not self._path(i).exists():
            return None
        kept: Partitions = np.load(self._path(i), allow_pickle=False)
        return kept

    def write(self, i: int, part: Partitions) -> None:
        with replacing(self._path(i)) as file:
            np.save(file, part, allow_pickle=False)
