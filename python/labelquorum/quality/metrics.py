"""How good a clustering is against known classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core

Integers = NDArray[np.integer[Any]]

_MAX_CELLS = 10**8


def clustering_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Accuracy of a clustering under the best one-to-one matching of clusters and classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes: integers, bools or strings.
    y_pred : array-like of shape (n_samples,)
        Clusters: integers, bools or strings. A negative one is no label, and counts as wrong.

    Returns
    -------
    float
        Share of all samples, 0 to 1, whose cluster is matched with their class. A cluster without
        a class, and a class without a cluster, count as wrong.

    Raises
    ------
    TypeError, ValueError
        If an argument holds floats or mixed types, is not 1-D, is empty, or the lengths differ.
    WorkLimitError
        If there are more than 10^8 combinations of a class and a cluster.

    Notes
    -----
    O(n log n) to count the combinations, then the Hungarian method on the table of k classes and
    m clusters, O(min(k, m)^2 * max(k, m)), by `scipy.optimize.linear_sum_assignment`. As in Yang
    et al., "Image clustering using local discriminant models and global integration", IEEE TIP
    19(10), 2010.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.clustering_accuracy(["cat", "cat", "dog", "dog"], [1, 1, 0, -1])
    0.75
    """
    from scipy.optimize import linear_sum_assignment

    classes = _as_labels(y_true, "y_true")
    clusters = _as_labels(y_pred, "y_pred")
    if len(classes) != len(clusters):
        raise ValueError(
            f"y_true has {len(classes)} samples, y_pred has {len(clusters)}; wanted the same number"
        )
    n_samples = len(classes)
    if clusters.dtype.kind == "i":
        labeled = clusters >= 0
        classes, clusters = classes[labeled], clusters[labeled]
    class_names, classes = np.unique(classes, return_inverse=True)
    cluster_names, clusters = np.unique(clusters, return_inverse=True)
    counts = _counts(classes, clusters, len(class_names), len(cluster_names))
    matched = counts[linear_sum_assignment(counts, maximize=True)]
    return float(matched.sum() / n_samples)


def is_right(
    classes: Integers, clusters: Integers, n_classes: int, class_of: Integers
) -> NDArray[np.bool_]:
    """Whether each sample is of the class that is matched with its cluster, one to one.

    Of clusters, `class_of` says which class they stand for; -1: none; -2: to be matched with one
    that no other stands for, as in `clustering_accuracy`. Numbers below 0 are no class, no cluster.
    """
    from scipy.optimize import linear_sum_assignment

    both = (classes >= 0) & (clusters >= 0)
    counts = _counts(classes[both], clusters[both], n_classes, len(class_of))
    open_clusters = np.flatnonzero(class_of == -2)
    free = np.setdiff1d(np.arange(n_classes), class_of)
    rows, columns = linear_sum_assignment(counts[np.ix_(free, open_clusters)], maximize=True)
    matched = np.where(class_of >= 0, class_of, -1)
    matched[open_clusters[columns]] = free[rows]
    right: NDArray[np.bool_] = both.copy()
    right[both] = matched[clusters[both]] == classes[both]
    return right


def _counts(
    classes: Integers, clusters: Integers, n_classes: int, n_clusters: int
) -> NDArray[np.int64]:
    """How many samples are in each class and cluster."""
    n_cells = n_classes * n_clusters
    if n_cells > _MAX_CELLS:
        raise _core.WorkLimitError(
            f"{n_classes} classes and {n_clusters} clusters make {n_cells} "
            f"combinations; at most {_MAX_CELLS} can be matched"
        )
    places = classes.astype(np.int64) * n_clusters + clusters
    return np.bincount(places, minlength=n_cells).reshape(n_classes, n_clusters)


def _as_labels(labels: ArrayLike, name: str) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "iubUST":
        raise TypeError(f"{name} has dtype {array.dtype}; wanted integers, bools or strings")
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; wanted 1-D, (n_samples,)")
    if not array.size:
        raise ValueError(f"{name} is empty; wanted at least one sample")
    return array
