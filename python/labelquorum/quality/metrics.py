"""Accuracy of clusters against known classes, under the best one-to-one matching."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.label_reader import read_labels
from labelquorum._shared.labels import in_natural_order
from labelquorum._shared.matching import best_matching, shared_counts

Integers = NDArray[np.integer[Any]]

UNMATCHED, TO_MATCH = -1, -2
"""In `is_right`: a cluster that stands for no class, and one that is to be matched with a class."""


def clustering_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Accuracy of a clustering under the best one-to-one matching of clusters and classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes. Samples without one are left out.
    y_pred : array-like of shape (n_samples,)
        Clusters. A sample without one is wrong.

    Returns
    -------
    float
        Share of the samples, 0 to 1, whose cluster is matched with their class. Samples are wrong
        if their cluster, or their class, is left without a match.

    Raises
    ------
    TypeError, ValueError
        If an argument holds no labels, is not 1-D, is empty, or the lengths differ.
    WorkLimitError
        If classes and clusters that share samples, directly or through others, make more than 10^10
        combinations.

    Notes
    -----
    O(n log n) to count the combinations that occur, in O(n) memory. Then each connected part of
    them, with k classes and m clusters, is matched on its own in O(min(k, m)^2 * max(k, m)) at
    most, by SciPy. As in Yang et al., "Image clustering using local discriminant models and global
    integration", IEEE TIP 19(10), 2010.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.clustering_accuracy(["cat", "cat", "dog", "dog"], [1, 1, 0, -1])
    0.75
    """
    class_names, classes = as_known_classes(y_true, "y_true")
    cluster_names, clusters = in_natural_order(read_labels(y_pred, "y_pred"))
    if len(classes) != len(clusters):
        raise ValueError(
            f"y_true has {len(classes)} values, but y_pred has {len(clusters)}: they must have the "
            "same length"
        )
    is_known = classes >= 0
    is_counted = is_known & (clusters >= 0)
    shape = len(class_names), len(cluster_names)
    counts = shared_counts(classes[is_counted], clusters[is_counted], shape)
    rows, columns = best_matching(counts)
    matched = np.full(len(class_names), UNMATCHED)
    matched[rows] = columns
    is_matched = matched[classes[is_counted]] == clusters[is_counted]
    return float(np.count_nonzero(is_matched) / np.count_nonzero(is_known))


def is_right(
    classes: Integers, clusters: Integers, n_classes: int, class_of: Integers
) -> NDArray[np.bool_]:
    """Whether each sample's cluster stands for its class.

    Parameters
    ----------
    classes, clusters : integer arrays of shape (n_samples,)
        Negative where unknown: such a sample is not right.
    n_classes : int
        Number of classes.
    class_of : integer array of shape (n_clusters,)
        The class that each cluster stands for; UNMATCHED for none; TO_MATCH for one that no other
        cluster stands for, chosen by one-to-one matching as in `clustering_accuracy`.
    """
    is_counted = (classes >= 0) & (clusters >= 0)
    is_open_class = ~np.isin(np.arange(n_classes), class_of)
    is_open = is_counted.copy()
    is_open[is_counted] = is_open_class[classes[is_counted]]
    is_open[is_counted] &= class_of[clusters[is_counted]] == TO_MATCH
    rows, columns = best_matching(
        shared_counts(classes[is_open], clusters[is_open], (n_classes, len(class_of)))
    )
    matched = np.where(class_of >= 0, class_of, UNMATCHED)
    matched[columns] = rows
    right: NDArray[np.bool_] = is_counted.copy()
    right[is_counted] = matched[clusters[is_counted]] == classes[is_counted]
    return right


def as_known_classes(y: ArrayLike, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    """The distinct classes, and each sample's place among them; at least one class is known."""
    classes, codes = in_natural_order(read_labels(y, name))
    if not len(codes):
        raise ValueError(f"{name} must hold at least one sample, got none")
    if not len(classes):
        raise ValueError(f"{name} must hold at least one label, got -1 or None for all samples")
    return classes.tolist(), codes
