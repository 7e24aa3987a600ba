"""Choose one sample of each cluster to label, and give its label to the rest of the cluster."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_n_threads, as_non_negative, as_positive
from labelquorum._shared.frame import Frame
from labelquorum._shared.labels import as_codes, known_labels, to_labels
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import validated_samples
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import INTEGERS, check_length, check_stored
from labelquorum.neighbors.kmeans import (
    cluster_means,
    distances_to_means,
    moved_centers,
    nearest_center,
    spread_rows,
)
from labelquorum.neighbors.search import kneighbors

Float32Rows = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]

_N_STARTS, _N_ROUNDS, _ROWS_PER_CENTER, _MIN_TRAINING_ROWS = 4, 50, 100, 10_000  # of k-means


class RepresentativeSampler(Saved, BaseEstimator):
    """Choose the samples to label, one per cluster, and give their labels to all others.

    Parameters
    ----------
    n_samples : int, default=50
        How many samples to label.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    indices_ : int64 array of shape (n_samples,)
        The samples to label: of each cluster the sample nearest to its mean, the largest cluster
        first. Fewer if fewer distinct samples exist.
    clusters_ : int32 array of shape (n_train,)
        The cluster of each training sample: the index of its representative in `indices_`; -1 if it
        is in no cluster.
    distances_ : float64 array of shape (n_train,)
        The distance of each sample from the mean of its cluster; NaN if it is in no cluster. Sparse
        samples are first reduced to 128 columns.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    PreClusteringSampler : choose samples one after the other, each based on the labels so far.

    Notes
    -----
    k-means (Lloyd's algorithm after k-means++, the best of four starts) runs on 100 random samples
    per cluster, at least 10,000. O(n_train n_samples n_features).

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> sampler = lq.RepresentativeSampler(50, random_state=0).fit(X)
    >>> labels = sampler.propagate(classes[sampler.indices_])  # in real use, labeled by a person
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

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        n, n_clusters = len(self.clusters_), len(self.indices_)
        check_stored(self.indices_, "indices_", INTEGERS, (None,), (0, n - 1))
        check_stored(self.clusters_, "clusters_", np.int32, (None,), (-1, n_clusters - 1))
        check_length(self.distances_, "distances_", n)

    def fit(self, X: Any, y: Any = None, *, partition: Any = None) -> Self:
        """Choose the samples to label.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_train, n_features)
            Dense: float16, float32, float64 or integers.
        y : None
            Ignored.
        partition : array-like of shape (n_train,), optional
            The cluster of each sample, -1 or None for no cluster, from `consensus` or
            `ConsensusClusterer`, for example. Replaces k-means. Only the `n_samples` largest
            clusters get a representative.

        Returns
        -------
        RepresentativeSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range, or if there are fewer
            samples, or clusters in `partition`, than `n_samples`.

        Warns
        -----
        UserWarning
            If there are fewer than `n_samples` distinct samples.
        """
        n_threads = as_n_threads(self.n_jobs)
        n_wanted = as_positive(self.n_samples, "n_samples")
        X = validated_samples(self, X, reset=True)
        n = X.shape[0]
        if n_wanted > n:
            raise ValueError(
                f"n_samples must be at most {n}, because X has {n} samples, got {n_wanted}"
            )
        rng = check_random_state(self.random_state)
        frame, rows, distinct, _ = Frame.fit(X, rng)
        rows = distinct.expand(rows)
        if partition is None:
            clusters = self._kmeans_clusters(rows, n_wanted, rng, n_threads)
        else:
            clusters = _as_clusters(partition, n, n_wanted)
        self.clusters_ = _largest_clusters(clusters, n_wanted)
        means = cluster_means(rows, self.clusters_)
        distances = distances_to_means(rows, means, self.clusters_)
        self.distances_ = distances.astype(np.float64) / frame.scale
        order = np.lexsort((self.distances_, self.clusters_))
        order = order[self.clusters_[order] >= 0]
        self.indices_ = order[np.unique(self.clusters_[order], return_index=True)[1]]
        if len(self.indices_) < n_wanted:
            warnings.warn(
                f"n_samples is {n_wanted}, but X has only {len(self.indices_)} distinct samples",
                stacklevel=2,
            )
        return self

    def _kmeans_clusters(
        self, rows: Float32Rows, n_wanted: int, rng: np.random.RandomState, n_threads: int
    ) -> Integers:
        """Return the cluster of each row in the best of several runs of k-means."""
        n = len(rows)
        n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CENTER * n_wanted))
        training = rows[np.sort(rng.choice(n, n_training, replace=False))]
        best_centers, lowest_inertia = rows[:0], np.inf
        with progress(self.verbose) as show:
            for i in range(_N_STARTS):
                start = training[spread_rows(training, n_wanted, rng)]
                centers = moved_centers(training, start, _N_ROUNDS, n_threads)
                distances, _ = kneighbors(centers, 1, Y=training, n_jobs=n_threads)
                inertia = float(np.square(distances, dtype=np.float64).sum())
                if inertia < lowest_inertia:
                    best_centers, lowest_inertia = centers, inertia
                if show is not None:
                    show("k-means", (i + 1) / _N_STARTS)
        return nearest_center(rows, best_centers, n_threads)

    def propagate(self, y: Any, max_distance_percentile: float | None = None) -> NDArray[Any]:
        """Give the label of each representative to the other samples of its cluster.

        Parameters
        ----------
        y : array-like of shape (len(`indices_`),)
            The labels of `indices_`, in the same order: integers, -1 for no label, or strings, None
            for no label.
        max_distance_percentile : float in [0, 100], optional
            Label only this percentage of each cluster, the samples nearest to its mean. None for
            all.

        Returns
        -------
        array of shape (n_train,)
            Labels of the training samples; -1 (None, if labels are strings) for no label.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or range, or if y holds no label.
        """
        check_is_fitted(self)
        percentile = 100.0
        if max_distance_percentile is not None:
            percentile = as_non_negative(max_distance_percentile, "max_distance_percentile")
            if percentile > 100:
                raise ValueError(f"max_distance_percentile must be at most 100, got {percentile:g}")
        n_clusters = len(self.indices_)
        if not hasattr(y, "__len__") or len(y) != n_clusters:
            raise ValueError(
                f"y must have shape ({n_clusters},), a label, -1 or None for each of indices_, got "
                f"{np.shape(y)}"
            )
        known = known_labels(y, n_clusters, type(self).__name__, shares=False)
        code_of_cluster = np.full(n_clusters + 1, -1)  # the last one is for cluster -1
        code_of_cluster[known.samples] = known.shares.argmax(axis=1)
        codes = code_of_cluster[self.clusters_]
        for cluster in known.samples if percentile < 100 else ():
            members = np.flatnonzero(self.clusters_ == cluster)
            distances = self.distances_[members]
            codes[members[distances > np.percentile(distances, percentile)]] = -1
        return to_labels(known.classes, codes)


def _as_clusters(partition: Any, n: int, n_wanted: int) -> Integers:
    """Return the partition as cluster numbers, -1 for no cluster."""
    names, clusters = as_codes(partition, "partition")
    if len(clusters) != n:
        raise ValueError(f"partition must have {n} values, one per sample, got {len(clusters)}")
    if len(names) < n_wanted:
        raise ValueError(
            f"n_samples must be at most {len(names)}, the number of clusters in partition, got "
            f"{n_wanted}"
        )
    return clusters


def _largest_clusters(clusters: Integers, n_wanted: int) -> NDArray[np.int32]:
    """Renumber the clusters by size, the largest first; -1 for those beyond n_wanted."""
    sizes = np.bincount(clusters[clusters >= 0])
    order = np.argsort(-sizes, kind="stable")[:n_wanted]
    order = order[sizes[order] > 0]
    numbers = np.full(len(sizes) + 1, -1, dtype=np.int32)  # the last one is for cluster -1
    numbers[order] = np.arange(len(order))
    renumbered: NDArray[np.int32] = numbers[clusters]
    return renumbered
