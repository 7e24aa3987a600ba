"""Which samples to label: one for each cluster; and what their labels say of the others."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import as_codes, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.frame import Frame
from labelquorum._shared.labels import known_labels, to_labels
from labelquorum._shared.progress import progress
from labelquorum.neighbors.kmeans import (
    cluster_means,
    distances_to_means,
    moved_centers,
    nearest_center,
    spread_rows,
)
from labelquorum.neighbors.search import kneighbors

Rows = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]

_STARTS, _ROUNDS = 4, 50
_ROWS_PER_CENTER = 100
_MIN_TRAINING_ROWS = 10_000


class RepresentativeSampler(BaseEstimator):
    """Choose the samples to label, one for each cluster, and give their labels to the others.

    Parameters
    ----------
    n_samples : int, default=50
        How many can be labeled.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    indices_ : int64 array of shape (n_samples,)
        The samples to label, that of the largest cluster first: in each cluster the sample nearest
        to the mean. Fewer where fewer samples differ.
    clusters_ : int32 array of shape (n_train,)
        The cluster of each training sample, its place in `indices_`; -1 for none.
    distances_ : float64 array of shape (n_train,)
        Of each sample from the mean of its cluster (of sparse rows, after reduction to 128
        columns); NaN without one.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    PreClusteringSampler : samples to label one after the other, each by what is known so far.

    Notes
    -----
    k-means (Lloyd's algorithm from k-means++, the best of four starts) on at most 10,000 samples or
    100 per cluster, drawn at random. O(n_train n_samples n_features).

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> sampler = lq.RepresentativeSampler(50, random_state=0).fit(X)
    >>> labels = sampler.propagate(classes[sampler.indices_])  # labeled by hand, say
    >>> bool((labels == classes).mean() > 0.85)
    True
    >>> nearer = sampler.propagate(classes[sampler.indices_], max_distance_percentile=20)
    >>> bool((nearer == classes)[nearer >= 0].mean() > 0.9)
    True
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        n_samples: int = 50,
        *,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_samples = n_samples
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None, *, partition: Any = None) -> Self:
        """Choose the samples to label.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_train, n_features)
            Dense: float16, float32, float64 or integers.
        y : None
            Ignored.
        partition : array-like of shape (n_train,), optional
            The cluster of each sample (-1 or None: none), as of `consensus` or
            `ConsensusClusterer`: used instead of k-means. Of more than `n_samples` clusters, the
            largest are represented.

        Returns
        -------
        RepresentativeSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if there are fewer
            samples, or clusters in `partition`, than `n_samples`.

        Warns
        -----
        UserWarning
            If fewer than `n_samples` samples differ.
        """
        n_threads = as_n_threads(self.n_jobs)
        n_wanted = as_positive(self.n_samples, "n_samples")
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric")
        n = X.shape[0]
        if n_wanted > n:
            raise ValueError(f"n_samples is {n_wanted}, X holds {n} samples; wanted 1 to {n}")
        rng = check_random_state(self.random_state)
        frame, rows = Frame.fit(X, rng)
        if partition is None:
            clusters = self._by_kmeans(rows, n_wanted, rng, n_threads)
        else:
            clusters = _given(partition, n, n_wanted)
        self.clusters_ = _largest(clusters, n_wanted)
        means = cluster_means(rows, self.clusters_)
        distances = distances_to_means(rows, means, self.clusters_)
        self.distances_ = distances.astype(np.float64) / frame.scale
        order = np.lexsort((self.distances_, self.clusters_))
        order = order[self.clusters_[order] >= 0]
        self.indices_ = order[np.unique(self.clusters_[order], return_index=True)[1]]
        if len(self.indices_) < n_wanted:
            warnings.warn(
                f"n_samples is {n_wanted}, X holds only {len(self.indices_)} samples that differ",
                stacklevel=2,
            )
        return self

    def _by_kmeans(
        self, rows: Rows, n_wanted: int, rng: np.random.RandomState, n_threads: int
    ) -> Integers:
        n = len(rows)
        n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CENTER * n_wanted))
        training = rows[np.sort(rng.choice(n, n_training, replace=False))]
        best, least = rows[:0], np.inf
        with progress(self.verbose) as show:
            for i in range(_STARTS):
                first = training[spread_rows(training, n_wanted, rng)]
                centers = moved_centers(training, first, _ROUNDS, n_threads)
                distances, _ = kneighbors(centers, 1, Y=training, n_jobs=n_threads)
                spread = float(np.square(distances, dtype=np.float64).sum())
                if spread < least:
                    best, least = centers, spread
                if show is not None:
                    show("k-means", (i + 1) / _STARTS)
        return nearest_center(rows, best, n_threads)

    def propagate(self, y: Any, max_distance_percentile: float | None = None) -> NDArray[Any]:
        """Give the label of each representative to the other samples of its cluster.

        Parameters
        ----------
        y : array-like of shape (len(`indices_`),)
            The labels of `indices_`, in their order: integers, -1 where there is none, or strings,
            None where there is none.
        max_distance_percentile : float in [0, 100], optional
            Only to this share of each cluster, its samples nearest to the mean. None for all.

        Returns
        -------
        array of shape (n_train,)
            Labels of the training samples; -1 (None, where they are no numbers) for none.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or holds no label.
        """
        check_is_fitted(self)
        share = 100.0
        if max_distance_percentile is not None:
            share = as_non_negative(max_distance_percentile, "max_distance_percentile")
            if share > 100:
                raise ValueError(f"max_distance_percentile is {share:g}; wanted 0 to 100")
        if np.shape(y)[:1] != (len(self.indices_),):
            raise ValueError(
                f"y has shape {np.shape(y)}; wanted ({len(self.indices_)},): a label, -1 or None "
                "for each of indices_"
            )
        known = known_labels(y, len(self.indices_), type(self).__name__, shares=False)
        codes = np.full(len(self.indices_) + 1, -1)  # the last is that of no cluster
        codes[known.samples] = known.shares.argmax(axis=1)
        found = codes[self.clusters_]
        for cluster in known.samples if share < 100 else ():
            members = np.flatnonzero(self.clusters_ == cluster)
            distances = self.distances_[members]
            found[members[distances > np.percentile(distances, share)]] = -1
        return to_labels(known.classes, found)


def _given(partition: Any, n: int, n_wanted: int) -> Integers:
    names, clusters = as_codes(partition, "partition")
    if len(clusters) != n:
        raise ValueError(f"partition holds {len(clusters)} samples, X {n}; wanted as many")
    if len(names) < n_wanted:
        raise ValueError(
            f"n_samples is {n_wanted}; wanted 1 to {len(names)}: the clusters of partition"
        )
    return clusters


def _largest(clusters: Integers, n_wanted: int) -> NDArray[np.int32]:
    """The clusters numbered by size, the largest first; -1 for those beyond n_wanted."""
    sizes = np.bincount(clusters[clusters >= 0])
    order = np.argsort(-sizes, kind="stable")[:n_wanted]
    numbers = np.full(len(sizes) + 1, -1, dtype=np.int32)  # the last is that of -1
    numbers[order[sizes[order] > 0]] = np.arange((sizes[order] > 0).sum())
    found: NDArray[np.int32] = numbers[clusters]
    return found
