"""Samples to label one after the other, each by what the labels so far say of the others."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._files import FileError, reading, replacing
from labelquorum._kmeans import kmeans_centers, nearest_center
from labelquorum._labels import known_labels, to_labels
from labelquorum._progress import progress
from labelquorum._validation import as_n_threads, as_place, as_positive
from labelquorum.ensemble import Frame
from labelquorum.neighbors import kneighbors
from labelquorum.propagation import affinity_graph

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]


class PreClusteringSampler(ClassifierMixin, BaseEstimator):
    """Choose samples to label, one after the other or in batches, and label all others from them.

    A loop drives it: `query` says what to label, `teach` takes the labels, until `precision_bound`
    says that they are enough.

    Parameters
    ----------
    n_clusters : int, optional
        Mini-clusters that stand between samples and labels; None for as many as there are samples,
        at most 2,000.
    min_samples_per_category : int, default=1
        Categories with fewer given labels are not predicted: samples most likely theirs get -1
        (None among strings), and stay worth a query.
    audit_share : float in [0, 1), default=0.0
        Share of the samples of `query` that are drawn at random, as checks for `precision_bound`.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        min_samples_per_category: int = 1,
        audit_share: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.min_samples_per_category = min_samples_per_category
        self.audit_share = audit_share
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
