"""Base partitions: many clusterings of the same samples, each with a view of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.utils import check_array, check_random_state

from labelquorum import _core
from labelquorum._files import differing_settings, replacing
from labelquorum._kmeans import kmeans_centers, nearest_center
from labelquorum._progress import progress
from labelquorum._validation import as_n_threads, as_points, as_positive, check_finite
from labelquorum.graphs import normalize_graph
from labelquorum.neighbors import kneighbors
from labelquorum.propagation import affinity_graph

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Partitions = NDArray[np.int32]

_RECALL = 0.95
_FEWEST_NEIGHBORS, _MOST_NEIGHBORS = 10, 30
_PARTITIONS_PER_VIEW = 4  # of which one by k-means
_STEPS = 2  # of a random walk that smooths features
_SPARSE_COLUMNS = 128
_MAX_COLUMNS = 64  # of smoothed features
_VARIANCE_ROWS = 10_000
_ROWS_PER_CENTER = 50
_MAX_ROWS_PER_VIEW = 200_000
_MIN_TRAINING_ROWS = 5_000
_ROUNDS = 15
_MAX_SPREAD = 4
_FIRST_RESOLUTIONS = (0.3, 1.0, 3.0, 10.0, 30.0)
_ROWS_PER_BLOCK = 4096
_FORMAT_VERSION = 1
_AGREEING_ROWS, _AGREEING_VIEWS, _LEVELS = 6_000, 4, 20
_MOST_AGREED = 2.5  # clusters, in roots of the number of rows
_FEWEST_COUNTED = 3  # samples
# Views of noise (uniform or one Gaussian, 1 to 100 columns; shuffled columns) agree by at most 0.75
# with 3,000 rows, 0.78 with 1,500, 0.81 with 700 and 0.86 with 200.
_BY_NOISE, _BY_FEW = 0.73, 2.0


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
            n_parts = -(-n_partitions // _PARTITIONS_PER_VIEW)
        found = []
        for part in parts:
            found.append(part)
            if show is not None:
                show("base partitions", len(found) / n_parts)
    result = np.empty((n_samples, sum(part.shape[1] for part in found)), np.int32, order="F")
    np.concatenate(found, axis=1, out=result)
    return result[:, :n_partitions] if clusterers is None else result


def natural_number(
    rows: Rows, min_size: int, random_state: Any, n_threads: int, show: Any = None
) -> tuple[int | None, float]:
    """The number of clusters on which views of some rows agree most, and how much they agree.

    Four views are each cut at rising resolutions. What they agree on beyond chance (the mean
    adjusted mutual information of pairs, smoothed over resolutions) is highest where none of them
    has to cut what belongs together, or to join what does not. None where even that is no more
    than noise gives.
    """
    rng = check_random_state(random_state)
    n_samples = len(rows)
    if n_samples > _AGREEING_ROWS:
        rows = rows[np.sort(rng.choice(n_samples, _AGREEING_ROWS, replace=False))]
    wanted = np.geomspace(2, max(3.0, _MOST_AGREED * np.sqrt(len(rows))), _LEVELS)
    least = max(_FEWEST_COUNTED, min_size * len(rows) / n_samples)
    numbers = np.empty((_AGREEING_VIEWS, _LEVELS))
    found = []
    for v, seed in enumerate(rng.randint(2**31, size=_AGREEING_VIEWS)):
        of_view = np.random.RandomState(seed)
        view = _View.of(_space(rows, v % 2 == 1, of_view), v // 2 % 2 == 1, seed, n_threads)
        resolutions = view.scale(n_threads).resolution(wanted)
        found.append(_communities(view.graph, resolutions, 1, of_view, n_threads))
        numbers[v] = [(np.bincount(part) >= least).sum() for part in found[v]]
        if show is not None:
            show("number of clusters", (v + 1) / _AGREEING_VIEWS)
    agreement = [
        np.mean([_adjusted_agreement(a, b) for a, b in combinations(parts, 2)])
        for parts in zip(*found, strict=True)
    ]
    smooth = np.convolve(np.pad(agreement, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    best = int(smooth.argmax())
    if smooth[best] < _BY_NOISE + _BY_FEW / np.sqrt(len(rows)):
        return None, float(smooth[best])
    return max(1, round(numbers[:, best].mean())), float(smooth[best])


def _adjusted_agreement(first: NDArray[np.int32], second: NDArray[np.int32]) -> float:
    """Adjusted mutual information; 0 with one cluster, which tells nothing."""
    if not first.any() or not second.any():
        return 0.0
    return float(adjusted_mutual_info_score(first, second))


def range_of(n_clusters: Any) -> tuple[int, int]:
    """The fewest and the most clusters of a partition."""
    if isinstance(n_clusters, tuple) and len(n_clusters) == 2:
        low, high = (as_positive(n, "n_clusters") for n in n_clusters)
        if low > high:
            raise ValueError(f"n_clusters is {n_clusters}; wanted the fewest first")
        return low, high
    low = as_positive(n_clusters, "n_clusters")
    return low, _MAX_SPREAD * low


class Frame:
    """How samples become float32 rows around 0: sparse ones reduced to fewer columns."""

    def __init__(self, X: Any, random_state: Any = None) -> None:
        self._directions: NDArray[np.floating[Any]] | None = None
        self._metric: NDArray[np.floating[Any]] | None = None
        if sparse.issparse(X) and min(X.shape) > 2:
            from sklearn.decomposition import TruncatedSVD

            n_columns = min(_SPARSE_COLUMNS, min(X.shape) - 1)
            seed = check_random_state(random_state).randint(2**31)
            reducer = TruncatedSVD(n_columns, random_state=seed).fit(_sparse_rows(X))
            self._directions = reducer.components_.T
        points = self._points(X)
        check_finite(points, "X")
        self._mean = points.mean(axis=0, dtype=np.float64)
        # Squares have to fit float32.
        low, high = float(points.min()), float(points.max())
        largest = max(high - self._mean.min(), self._mean.max() - low)
        self.scale = 2.0 ** -np.ceil(np.log2(largest)) if largest > 0 else 1.0

    def state(self) -> dict[str, NDArray[Any]]:
        """What it takes to make it again, without learned directions."""
        state = {"mean": self._mean, "scale": np.array(self.scale)}
        return state if self._directions is None else state | {"directions": self._directions}

    @classmethod
    def of_state(cls, state: Mapping[str, NDArray[Any]]) -> Frame:
        """The frame whose state it is."""
        frame = cls.__new__(cls)
        frame._mean, frame.scale = state["mean"], float(state["scale"])
        frame._directions, frame._metric = state.get("directions"), None
        return frame

    def _points(self, X: Any) -> NDArray[np.floating[Any]]:
        if not sparse.issparse(X):
            return as_points(X, "X")
        X = _sparse_rows(X)
        points: NDArray[np.floating[Any]]
        points = X.toarray() if self._directions is None else X @ self._directions
        return points

    def rows(self, X: Any) -> Rows:
        """The rows of X."""
        points = self._points(X)
        check_finite(points, "X")
        n_columns = points.shape[1] if self._metric is None else self._metric.shape[1]
        rows = np.empty((len(points), n_columns), dtype=np.float32)
        for begin in range(0, len(points), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            centred = (points[block] - self._mean) * self.scale
            rows[block] = centred if self._metric is None else centred @ self._metric
        return rows

    def learn(self, X: Any, codes: NDArray[np.int32]) -> None:
        """Let samples of known categories (-1: none) say which differences matter.

        Rows become those directions in which samples vary most compared with samples of one
        category, scaled to vary alike within categories: linear discriminant analysis, but with the
        scatter of all samples in the numerator, so that unknown categories count, and both
        scatters shrunk (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
        covariance matrices", Journal of Multivariate Analysis 88(2), 2004).
        """
        rows = self.rows(X)
        some = rows[:: -(-len(rows) // _VARIANCE_ROWS)].astype(np.float64)
        overall, _ = ledoit_wolf(some, assume_centered=True)
        labeled = np.flatnonzero(codes >= 0)
        known, codes = rows[labeled].astype(np.float64), codes[labeled]
        metric = _telling_directions(known, codes, overall)
        if metric is not None:
            plausible = _plausible(known @ metric, codes)
            metric = _telling_directions(known[plausible], codes[plausible], overall)
        self._metric = metric


def _telling_directions(known: Floats, codes: NDArray[np.int32], overall: Floats) -> Floats | None:
    """Directions, scaled, in which rows vary most compared with those of one category, if any."""
    counts = np.bincount(codes)
    is_repeated = counts[codes] > 1
    known, codes = known[is_repeated], codes[is_repeated]
    if len(np.unique(codes)) < 2:
        return None
    means, categories, counts = _by_category(known, codes)
    unbiased = np.sqrt(counts / (counts - 1))[categories, None]
    within, _ = ledoit_wolf((known - means[categories]) * unbiased, assume_centered=True)
    if not np.trace(within) > 0:
        return None
    ratios, directions = eigh(overall, within)
    # Where samples vary no more than those of one category, nothing is told about categories.
    weights = np.sqrt(np.maximum(0, 1 - 1 / np.maximum(ratios, 1)))
    chosen = np.flatnonzero(weights > 0)[: -_MAX_COLUMNS - 1 : -1]
    return directions[:, chosen] * weights[chosen] if len(chosen) else None


def _by_category(known: Floats, codes: NDArray[np.int32]) -> tuple[Floats, Any, Any]:
    """The categories' means, the category of each row, and their sizes."""
    _, categories, counts = np.unique(codes, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), known.shape[1]))
    np.add.at(means, categories, known)
    return means / counts[:, None], categories, counts


def _plausible(known: Floats, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which labeled rows are nearest to the mean of their own category, themselves left out.

    The others may be wrong, and one wrong label weighs as much in a scatter as many right ones.
    """
    means, categories, counts = _by_category(known, codes)
    distances = cdist(known, means, "sqeuclidean")
    # Without the sample itself, the distance to the mean of the others grows by n / (n - 1).
    samples = np.arange(len(known))
    n = counts[categories]
    own = distances[samples, categories] * (n / np.maximum(n - 1, 1)) ** 2
    distances[samples, categories] = np.inf
    plausible: NDArray[np.bool_] = own <= distances.min(axis=1)
    return plausible


def _sparse_rows(X: Any) -> sparse.csr_array:
    return sparse.csr_array(
        check_array(X, accept_sparse="csr", dtype=[np.float32, np.float64], input_name="X")
    )


class _Space(NamedTuple):
    """Rows to find neighbours in, and the same in few columns to be smoothed."""

    rows: Rows
    columns: Rows
    is_cosine: bool

    def part(self, chosen: NDArray[np.int64] | None) -> _Space:
        """Only these rows; None for all."""
        if chosen is None:
            return self
        return _Space(self.rows[chosen], self.columns[chosen], self.is_cosine)


def unit_rows(rows: Rows) -> Rows:
    """The rows, of length 1; zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    result: Rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return result


def _space(rows: Rows, is_cosine: bool, rng: np.random.RandomState) -> _Space:
    rows = unit_rows(rows) if is_cosine else rows
    if rows.shape[1] <= _MAX_COLUMNS:
        return _Space(rows, rows, is_cosine)
    some = rows[np.sort(rng.choice(len(rows), min(len(rows), _VARIANCE_ROWS), replace=False))]
    some = some - some.mean(axis=0)
    directions = np.linalg.eigh(some.T @ some)[1][:, : -_MAX_COLUMNS - 1 : -1]
    return _Space(rows, rows @ np.ascontiguousarray(directions), is_cosine)


def _communities(
    graph: sparse.csr_array,
    resolutions: NDArray[np.float64],
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
) -> list[Partitions]:
    seeds = rng.randint(2**31, size=len(resolutions)).tolist()
    return _core.communities(
        graph.indptr,
        graph.indices,
        graph.data,
        resolutions.tolist(),
        seeds,
        n_rounds,
        n_threads,
        None,
    )


class _Scale(NamedTuple):
    """How many communities resolutions give: the logarithms of both, ascending."""

    resolutions: NDArray[np.float64]
    numbers: NDArray[np.float64]

    @classmethod
    def of(cls, graph: sparse.csr_array, rng: np.random.RandomState, n_threads: int) -> _Scale:
        found = _communities(graph, np.array(_FIRST_RESOLUTIONS), 1, rng, n_threads)
        numbers = np.log([partition.max() + 1.0 for partition in found])
        return cls(np.log(_FIRST_RESOLUTIONS), np.maximum.accumulate(numbers))

    def resolution(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Resolutions for about so many communities; beyond what is known, in proportion."""
        logs = np.log(wanted)
        chosen = np.interp(logs, self.numbers, self.resolutions)
        chosen += np.maximum(0, logs - self.numbers[-1]) - np.maximum(0, self.numbers[0] - logs)
        return np.exp(chosen)


def _by_views(
    rows: Rows,
    limits: tuple[int, int],
    n_partitions: int,
    rng: np.random.RandomState,
    n_threads: int,
    store: _Store | None,
) -> Iterator[Partitions]:
    n_views = -(-n_partitions // _PARTITIONS_PER_VIEW)
    seeds = rng.randint(2**31, size=n_views + 1)
    spaces = {
        is_cosine: _space(rows, is_cosine, np.random.RandomState(seeds[-1]))
        for is_cosine in (False, True)
    }
    scales: dict[bool, _Scale] = {}
    for v in range(n_views):
        if store is not None and (kept := store.read(v)) is not None:
            yield kept
            continue
        is_smooth = v // 2 % 2 == 1
        # Each view by itself: what comes out of one does not depend on which others were kept.
        space = spaces[v % 2 == 1]
        chosen = _rows_of_view(len(rows), seeds[v])
        view = _View.of(space.part(chosen), is_smooth, seeds[v], n_threads)
        if is_smooth not in scales:
            first = 2 if is_smooth else 0  # the first view of this kind sets the scale of all
            view_of_scale = view
            if v != first:
                part_of_first = spaces[first % 2 == 1].part(_rows_of_view(len(rows), seeds[first]))
                view_of_scale = _View.of(part_of_first, is_smooth, seeds[first], n_threads)
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
    nearest = kneighbors(rows[chosen], 1, Y=rows, recall=_RECALL, n_jobs=n_threads)[1].ravel()
    found: Partitions = part[nearest]
    found[chosen] = part
    return found


class _View(NamedTuple):
    """A graph of neighbours, and smoothed rows."""

    graph: sparse.csr_array
    smooth: Rows
    seed: int

    @classmethod
    def of(cls, space: _Space, is_smooth: bool, seed: int, n_threads: int) -> _View:
        n = len(space.rows)
        most = min(_MOST_NEIGHBORS, n - 1)
        rng = np.random.RandomState(seed)
        n_neighbors = int(rng.randint(min(_FEWEST_NEIGHBORS, most), most + 1))
        graph = affinity_graph(space.rows, n_neighbors, recall=_RECALL, n_jobs=n_threads)
        walk = normalize_graph(graph, "random_walk", n_jobs=n_threads)
        smooth = space.columns
        for _ in range(_STEPS if is_smooth else 1):
            smooth = walk @ smooth
        if space.is_cosine:
            smooth = unit_rows(smooth)
        if is_smooth:
            graph = affinity_graph(smooth, n_neighbors, recall=_RECALL, n_jobs=n_threads)
        return cls(graph, smooth, seed)

    def scale(self, n_threads: int) -> _Scale:
        return _Scale.of(self.graph, np.random.RandomState(self.seed), n_threads)

    def partitions(self, limits: tuple[int, int], scale: _Scale, n_threads: int) -> Partitions:
        rng = np.random.RandomState(self.seed)
        low, high = np.log(limits)
        wanted = np.exp(rng.uniform(low, high, size=_PARTITIONS_PER_VIEW))
        resolutions = scale.resolution(wanted[1:])
        found = _communities(self.graph, resolutions, 2, rng, n_threads)
        n_centers = max(1, round(wanted[0]))
        n = len(self.smooth)
        n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CENTER * n_centers))
        training = self.smooth[np.sort(rng.choice(n, n_training, replace=False))]
        centers = kmeans_centers(training, n_centers, _ROUNDS, rng, n_threads)
        found.append(nearest_center(self.smooth, centers, n_threads).astype(np.int32))
        return np.stack(found, axis=1)


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
