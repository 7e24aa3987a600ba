"""Samples to label one after the other, each by what the labels so far say of the others."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import (
    as_choice,
    as_n_threads,
    as_non_negative,
    as_place,
    as_positive,
)
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.frame import Frame, unit_rows
from labelquorum._shared.labels import known_codes, to_labels
from labelquorum._shared.progress import progress
from labelquorum.active_learning.answers import Answers, as_names
from labelquorum.active_learning.walks import Chooser, Floats, Known, Rows, Walks
from labelquorum.graphs.affinity import METRICS, affinity_graph, heat_weights
from labelquorum.neighbors.kmeans import (
    cluster_means,
    distances_to_means,
    kmeans_centers,
    nearest_center,
)
from labelquorum.neighbors.search import kneighbors
from labelquorum.quality.checks import as_alpha, lower_bound

_MOST_CLUSTERS, _LIMIT = 2_000, 10_000  # matrices of this number squared are held
_ROUNDS, _ROWS_PER_CLUSTER, _MIN_TRAINING_ROWS = 10, 50, 5_000
_NEIGHBORS = 10
_FORMAT, _FORMAT_VERSION = "labelquorum.PreClusteringSampler", 1
_PARAMETERS = ("n_clusters", "metric", "min_samples_per_category", "audit_share", "random_state")
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


class PreClusteringSampler(ClassifierMixin, BaseEstimator):
    """Choose samples to label, one after the other or in batches, and label all others from them.

    A loop drives it: `query` says what to label, `teach` takes the labels, until `precision_bound`
    says that they are enough, or nobody wants to label more.

    Parameters
    ----------
    n_clusters : int, optional
        Mini-clusters, which stand between samples and labels; fewer where there are fewer samples.
        None for 2,000; at most 10,000.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples. "cosine" is that of samples less their mean: for embeddings.
    min_samples_per_category : int, default=1
        Categories with fewer given labels are not predicted: samples that are most likely theirs
        have no label yet (-1, or None among strings) and stay worth a query.
    audit_share : float in [0, 1), default=0.0
        Share of the samples of `query` that are drawn at random, as checks for `precision_bound`.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    clusters_ : int32 array of shape (n_samples,)
        The mini-cluster of each training sample.
    labeled_indices_ : int64 array
        The samples that were labeled by `fit` or `teach`, ascending.
    labels_given_ : array
        Their labels.
    categories_ : array
        All categories given so far, sorted.
    classes_ : array
        Those of them with enough labels: what `predict` can say.
    n_audits_ : int
        Checks answered so far.
    n_looks_ : int
        Looks at `precision_bound` so far.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    RepresentativeSampler : all samples to label at once.

    Notes
    -----
    After Nguyen and Smeulders, "Active learning using pre-clustering", ICML 2004: samples are put
    into mini-clusters first (k-means), the classifier is one of mini-clusters, and what is asked
    next has the largest expected error times density. Here there can be any number of categories:

    - A mini-cluster's label is that of the first labeled one that a random walk on the graph of
      neighbours comes to (Wu et al., "Learning with partially absorbing random walks", NIPS 2012),
      if it does not stop before, with a small chance at each step.
    - The expected error of a mini-cluster is the chance that a walk from there does not come to the
      most likely category.
    - Density is what an answer would settle: all samples whose walks would come to the mini-cluster
      first, each with its expected error.

    So the first queries go to the middle of large groups, since every error is alike; where labels
    are, walks end, and queries go on to smaller groups without labels and to borders, as far as
    there are samples. How far walks go is a matter of the chance to stop; what three such chances
    say (0.3, 0.1 and 0.03) is averaged, each score in shares of the largest.

    With m mini-clusters and b labels: O(n_samples m n_features + m^3) for `fit`, O(m^2 + m b^2) for
    a query, O(m b^2) for predictions; memory of 12 m^2 bytes beyond that of neighbours.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> model = lq.PreClusteringSampler(random_state=0).fit(X)
    >>> for _ in range(30):
    ...     asked = model.query()
    ...     model = model.teach(asked, classes[asked])  # labeled by hand, say
    >>> bool((model.predict() == classes).mean() > 0.9)
    True
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        metric: str = "euclidean",
        min_samples_per_category: int = 1,
        audit_share: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.min_samples_per_category = min_samples_per_category
        self.audit_share = audit_share
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = False
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Make mini-clusters of the samples; forget all labels but those of `y`.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            At least 2 samples. Dense: float16, float32, float64 or integers.
        y : array-like of shape (n_samples,), optional
            Labels that are known already: integers, -1 where there is none, or strings, None where
            there is none.

        Returns
        -------
        PreClusteringSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range.
        MemoryError
            If too little memory is available.
        """
        n_threads = as_n_threads(self.n_jobs)
        as_choice(self.metric, "metric", METRICS)
        self._check_shares()
        n_wanted = _MOST_CLUSTERS
        if self.n_clusters is not None:
            n_wanted = as_positive(self.n_clusters, "n_clusters")
            if n_wanted > _LIMIT:
                raise ValueError(f"n_clusters is {n_wanted}; wanted 1 to {_LIMIT}")
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", ensure_min_samples=2)
        n = X.shape[0]
        rng = check_random_state(self.random_state)
        self._frame, rows = Frame.fit(X, rng)
        rows = self._unit_rows_if_cosine(rows)
        with progress(self.verbose) as show:
            self.clusters_ = _mini_clusters(rows, n_wanted, rng, n_threads, show)
        self._centers = cluster_means(rows, self.clusters_)
        distances = distances_to_means(rows, self._centers, self.clusters_)
        self._order = np.lexsort((distances, self.clusters_)).astype(np.int32)
        self._graph = _graph_of(self._centers, n_threads)
        self._walks = Walks(self._graph)
        self._answers = Answers(n, rng.permutation(n).astype(np.int32))
        self.n_looks_, self._is_news, self._is_asked = 0, True, False
        if y is not None:
            names, codes = known_codes(y, n, type(self).__name__)
            if codes is not None:
                self._answers.start(names.tolist(), codes)
        return self

    def _unit_rows_if_cosine(self, rows: Rows) -> Rows:
        return unit_rows(rows) if self.metric == "cosine" else rows

    def _check_shares(self) -> None:
        as_positive(self.min_samples_per_category, "min_samples_per_category")
        if as_non_negative(self.audit_share, "audit_share") >= 1:
            raise ValueError(f"audit_share is {self.audit_share}; wanted a number in [0, 1)")

    def query(self, n: int = 1) -> NDArray[np.int64]:
        """Say which samples to label next.

        Parameters
        ----------
        n : int, default=1
            How many. One after the other serves better than many at once, but not by much.

        Returns
        -------
        int64 array of shape (n,)
            Samples never labeled so far, nor skipped, those drawn as checks first; fewer where
            fewer are left. The same when asked again before `teach` or `forget`.

        Raises
        ------
        TypeError, ValueError
            If n is no integer of at least 1.
        """
        check_is_fitted(self)
        self._check_shares()
        n = as_positive(n, "n")
        answers = self._answers
        self._is_asked = True
        asked = answers.draw(float(self.audit_share), n)
        chooser = None
        while len(asked) < n:
            chooser = chooser or self._chooser(asked)
            if (sample := chooser.next()) is None:
                break
            if answers.is_audit[sample]:
                # What is asked must not depend on which samples were drawn as checks. So this one
                # is a check no longer, and its label, if there is one, is used from now on.
                answers.is_audit[sample] = False
                if answers.codes[sample] >= 0:
                    chooser = None
                    continue
            if sample not in asked:
                asked.append(sample)
        return np.array(asked, dtype=np.int64)

    def _chooser(self, asked: list[int]) -> Chooser:
        answers = self._answers
        # Whether a check is asked, too, must make no difference.
        taken = [sample for sample in asked if not answers.is_audit[sample]]
        return Chooser(
            self._walks, self._known(), self._order, self.clusters_, answers.is_open(), taken
        )

    def _known(self) -> Known:
        """What the model was taught: checks are none of it."""
        codes = self._answers.taught()
        return Known.of(
            codes,
            self.clusters_,
            self._answers.is_large(codes, self.min_samples_per_category),
        )

    def teach(self, indices: ArrayLike, labels: Any) -> Self:
        """Take labels.

        Parameters
        ----------
        indices : int or array-like of shape (n_labels,)
            Training samples, those of `query` or any others.
        labels : label or array-like of shape (n_labels,)
            Integers or strings, as those before; new ones are new categories. One label is that of
            all. -1 or None: skipped, not to be asked again. The label of a sample that has one is
            replaced.

        Returns
        -------
        PreClusteringSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an index is out of range or comes twice, or labels are of the wrong kind or number.
            Then nothing is changed.
        """
        check_is_fitted(self)
        samples = self._as_samples(indices)
        names = as_names(labels, len(samples), self._answers.names)
        if self.audit_share and not self._is_asked and len(samples):
            self.query(len(samples))  # draws the checks that are due
        self._answers.take(samples, names)
        self._is_asked, self._is_news = False, True
        return self

    def teach_cluster(
        self, index: int, label: Any, members: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Take one label for a whole mini-cluster, unseen.

        Parameters
        ----------
        index : int
            A training sample.
        label : int or str
            Of all samples of its mini-cluster that have none.
        members : int array-like, optional
            Used instead of its mini-cluster: other samples that are found to be alike.

        Returns
        -------
        int64 array
            The samples that got it. They are not asked any more except as checks, and count as
            labeled by the model in `precision_bound`; `teach` replaces it.

        Raises
        ------
        TypeError, ValueError
            As for `teach`.
        """
        check_is_fitted(self)
        samples = self.cluster_members(index) if members is None else self._as_samples(members)
        name = as_names(label, 1, self._answers.names)[0]
        if name is None:
            raise ValueError(f"label is {label!r}; wanted a label: forget takes labels back")
        found = self._answers.take_unseen(samples, name)
        self._is_asked, self._is_news = False, True
        return found

    def cluster_members(self, index: int) -> NDArray[np.int64]:
        """Find the samples of a sample's mini-cluster, the most central first.

        Parameters
        ----------
        index : int
            A training sample.

        Returns
        -------
        int64 array
            Training samples.

        Raises
        ------
        TypeError, ValueError
            If there is no such sample.
        """
        check_is_fitted(self)
        index = as_place(index, "index", len(self.clusters_), "a training sample")
        found: NDArray[np.int64] = self._order[
            self.clusters_[self._order] == self.clusters_[index]
        ].astype(np.int64)
        return found

    def forget(self, indices: ArrayLike) -> Self:
        """Take labels back, also those of `teach_cluster`, and that samples were skipped.

        Parameters
        ----------
        indices : int or array-like of shape (n_labels,)
            Training samples.

        Returns
        -------
        PreClusteringSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an index is out of range or comes twice.
        """
        check_is_fitted(self)
        self._answers.drop(self._as_samples(indices))
        self._is_asked, self._is_news = False, True
        return self

    def _as_samples(self, indices: ArrayLike) -> NDArray[np.int64]:
        array, n = np.asarray(indices), len(self.clusters_)
        if array.size == 0 and array.ndim == 1:
            return np.empty(0, dtype=np.int64)
        if array.dtype.kind not in "iu":
            raise TypeError(f"indices has dtype {array.dtype}; wanted integers")
        if array.ndim > 1:
            raise ValueError(f"indices has shape {array.shape}; wanted an integer or 1-D")
        samples: NDArray[np.int64] = np.atleast_1d(array).astype(np.int64)
        wrong = samples[(samples < 0) | (samples >= n)]
        if len(wrong):
            raise ValueError(f"indices holds {wrong[0]}; wanted 0 to {n - 1}: training samples")
        values, counts = np.unique(samples, return_counts=True)
        if len(values) < len(samples):
            raise ValueError(f"indices holds {values[counts > 1][0]} more than once; wanted once")
        return samples

    @property
    def labeled_indices_(self) -> NDArray[np.int64]:
        """The samples that were labeled by `fit` or `teach`, ascending."""
        check_is_fitted(self)
        return np.flatnonzero(self._answers.codes >= 0)

    @property
    def labels_given_(self) -> NDArray[Any]:
        """Their labels."""
        codes = self._answers.codes[self.labeled_indices_]
        found: NDArray[Any] = np.array(self._answers.names)[codes]
        return found

    @property
    def categories_(self) -> NDArray[Any]:
        """All categories given so far, sorted."""
        check_is_fitted(self)
        return self._names(1)[0]

    @property
    def classes_(self) -> NDArray[Any]:
        """Those of them with enough labels, sorted."""
        check_is_fitted(self)
        return self._names(self.min_samples_per_category)[0]

    @property
    def n_audits_(self) -> int:
        """Checks answered so far."""
        check_is_fitted(self)
        return int(self._answers.checked().sum())

    def _names(self, least: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """The categories with so many labels, sorted, and the number of each."""
        names = np.array(self._answers.names)
        chosen = np.flatnonzero(self._answers.is_large(self._answers.given(), least))
        chosen = chosen[np.argsort(names[chosen])]
        return names[chosen], chosen

    def _shares(self) -> Floats:
        """(mini-clusters, categories so far)."""
        known = self._known()
        if not len(known.cells):
            only = f" but those of {self.n_audits_} checks" if self.n_audits_ else ""
            raise ValueError(
                f"this {type(self).__name__} has no label to learn from so far{only}; wanted some, "
                "by fit(X, y) or teach"
            )
        return self._walks.shares(known)

    def predict(self, X: Any = None) -> NDArray[Any]:
        """Label samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features), optional
            New samples; None for the training samples, those that were labeled by what they were.

        Returns
        -------
        array of shape (n_new or n_samples,)
            Of `classes_`; -1 (None, where they are no numbers) where a category is most likely that
            has too few labels.

        Raises
        ------
        TypeError, ValueError
            If there is no label so far, or X is of the wrong type, shape or range.
        """
        check_is_fitted(self)
        if X is None:
            given = self._answers.given()
            codes = np.where(given >= 0, given, self._found(self._shares())[self.clusters_])
        else:
            codes = self._found(self._of_new(X))
        classes, chosen = self._names(self.min_samples_per_category)
        places = np.full(len(self._answers.names) + 1, -1)  # the last is that of -1
        places[chosen] = np.arange(len(chosen))
        if not len(classes):
            classes = np.array(self._answers.names)[:1]  # of their kind
        return to_labels(classes, places[codes])

    def _found(self, shares: Floats) -> NDArray[np.intp]:
        """The most likely category; -1 where it has too few labels."""
        codes: NDArray[np.intp] = shares.argmax(axis=1)
        codes[~self._known().is_large[codes]] = -1
        return codes

    def predict_proba(self, X: Any = None) -> Floats:
        """Estimate the probabilities of the categories.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features), optional
            New samples; None for the training samples.

        Returns
        -------
        float64 array of shape (n_new or n_samples, len(`classes_`))
            What is missing to 1 is that of categories with too few labels.

        Raises
        ------
        TypeError, ValueError
            As for `predict`.
        """
        check_is_fitted(self)
        if X is None:
            shares = self._shares()[self.clusters_]
            given = self._answers.given()
            labeled = np.flatnonzero(given >= 0)
            shares[labeled] = 0
            shares[labeled, given[labeled]] = 1
        else:
            shares = self._of_new(X)
        return shares[:, self._names(self.min_samples_per_category)[1]]

    def _of_new(self, X: Any) -> Floats:
        shares = self._shares()
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False)
        rows = self._unit_rows_if_cosine(self._frame.rows(X))
        k = min(_NEIGHBORS, len(self._centers))
        distances, nearest = kneighbors(self._centers, k, Y=rows, n_jobs=as_n_threads(self.n_jobs))
        weights = heat_weights(distances, distances[:, -1:], "euclidean").astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        found = np.zeros((len(rows), shares.shape[1]))
        for rank in range(k):
            found += weights[:, rank, None] * shares[nearest[:, rank]]
        return found

    def precision_bound(self, level: float = 0.95) -> float:
        """Bound the precision of the labels that the model gives, from the checks answered so far.

        Parameters
        ----------
        level : float, default=0.95
            Confidence at which the bounds of all looks hold together; at least 0.75.

        Returns
        -------
        float
            Of all samples that the model was not taught, checks included: at least this share of
            the labels that it gives them is right. Skipped samples do not count. 0 without checks,
            1 where no sample is left.

        Raises
        ------
        TypeError, ValueError
            If the level is out of its range, or there is no label so far.

        Notes
        -----
        *What makes it valid.* Checks are drawn at random from all samples, and the model never
        learns from them: `query` asks what it would ask if there were none. Where it asks for a
        sample that is a check, that is one no longer, and its label is learned. So, given what the
        model was taught, the checks are a random subset of all other samples, and what it says of
        them is right as often as of those. The bound is that of `label_quality`, exact for draws
        without replacement. It needs checks that are answered whatever their labels are, and
        samples taught by choice that were not chosen by the labels of checks.

        *Repeated looks*: the j-th look that has new labels (see `n_looks_`) gets the share
        1 / (j (j + 1)) of the error probability, which sums to 1, so there may be any number of
        them. Fix when to look before (after every ten checks, say), and stop when you like: at the
        first bound that is high enough.
        """
        check_is_fitted(self)
        as_alpha(level, 1)
        answers = self._answers
        is_open = answers.is_population()
        if not is_open.any():
            return 1.0
        found = np.where(
            answers.unseen >= 0, answers.unseen, self._found(self._shares())[self.clusters_]
        )
        is_open &= found >= 0
        checked = answers.checked() & is_open
        if not checked.any():
            return 0.0
        n_right = int((answers.codes == found)[checked].sum())
        if self._is_news:
            self.n_looks_, self._is_news = self.n_looks_ + 1, False
        alpha = as_alpha(level, self.n_looks_ * (self.n_looks_ + 1))
        bound = float(lower_bound(n_right, int(checked.sum()), alpha))
        return max(bound, n_right / int(is_open.sum()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that is needed to go on later to a file; the samples are not in it.

        Parameters
        ----------
        path : path-like
            Replaced, where it exists, once the new file is complete.

        Raises
        ------
        OSError
            If the file cannot be written.

        Notes
        -----
        An uncompressed .npz file of arrays, one of them a text (JSON). Nothing is pickled.
        `n_jobs`, `verbose` and a `random_state` other than an int are not kept.
        """
        check_is_fitted(self)
        seed, answers = self.random_state, self._answers
        names = getattr(self, "feature_names_in_", None)
        meta = {
            "format": _FORMAT,
            "version": _FORMAT_VERSION,
            "n_clusters": None if self.n_clusters is None else int(self.n_clusters),
            "metric": self.metric,
            "min_samples_per_category": int(self.min_samples_per_category),
            "audit_share": float(self.audit_share),
            "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
            "n_features_in": self.n_features_in_,
            "feature_names": None if names is None else names.tolist(),
            "n_looks": self.n_looks_,
            "is_news": self._is_news,
            "is_asked": self._is_asked,
            "names": answers.names,
            "n_drawn": answers.n_drawn,
            "n_taught": answers.n_taught,
        }
        arrays = {
            "clusters": self.clusters_,
            "centers": self._centers,
            "order": self._order,
            "graph_data": self._graph.data,
            "graph_indices": self._graph.indices,
            "graph_indptr": self._graph.indptr,
            **{f"frame_{name}": array for name, array in self._frame.state().items()},
            **{name: getattr(answers, name) for name in Answers.ARRAYS},
        }
        try:
            with replacing(Path(path)) as file:
                np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
        except FileError as error:
            raise OSError(str(error)) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PreClusteringSampler:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        PreClusteringSampler
            Goes on as the one that was saved.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, not of this kind, or of a version that is not known here.
        """
        name = os.fspath(path)
        with open(path, "rb") as file:
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    meta = json.loads(str(arrays["meta"]))
                    if meta["format"] != _FORMAT:
                        raise ValueError(f"its format is {meta['format']!r}")
                    if meta["version"] == _FORMAT_VERSION:
                        return cls._restored(meta, dict(arrays))
            except _DAMAGE as error:
                message = " ".join(str(error).split())
                raise ValueError(f"{name} is damaged or not a saved sampler ({message})") from error
        raise ValueError(
            f"{name} has version {meta['version']} of the format; wanted {_FORMAT_VERSION}: a "
            "newer labelquorum may read it"
        )

    @classmethod
    def _restored(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        model = cls(**{name: meta[name] for name in _PARAMETERS})
        model.n_features_in_ = meta["n_features_in"]
        if meta["feature_names"] is not None:
            model.feature_names_in_ = np.array(meta["feature_names"], dtype=object)
        model.n_looks_ = meta["n_looks"]
        model._is_news, model._is_asked = meta["is_news"], meta["is_asked"]
        model.clusters_, model._centers = arrays["clusters"], arrays["centers"]
        model._order = arrays["order"]
        parts = tuple(arrays[f"graph_{part}"] for part in ("data", "indices", "indptr"))
        m = len(model._centers)
        model._graph = sparse.csr_array(parts, shape=(m, m))
        model._walks = Walks(model._graph)
        frame = {name[6:]: array for name, array in arrays.items() if name.startswith("frame_")}
        model._frame = Frame.of_state(frame)
        model._answers = Answers(len(model.clusters_), arrays["audit_order"])
        for name in Answers.ARRAYS:
            setattr(model._answers, name, arrays[name])
        model._answers.names = meta["names"]
        model._answers.n_drawn, model._answers.n_taught = meta["n_drawn"], meta["n_taught"]
        return model


def _mini_clusters(
    rows: Rows, n_wanted: int, rng: np.random.RandomState, n_threads: int, show: Any
) -> NDArray[np.int32]:
    """Each row by itself where that is few enough, else k-means."""
    n = len(rows)
    if n <= n_wanted:
        return np.arange(n, dtype=np.int32)
    n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CLUSTER * n_wanted))
    training = rows[np.sort(rng.choice(n, n_training, replace=False))]
    centers = kmeans_centers(training, n_wanted, _ROUNDS, rng, n_threads, show)
    nearest = nearest_center(rows, centers, n_threads)
    numbers: NDArray[np.int32] = np.unique(nearest, return_inverse=True)[1].astype(np.int32)
    return numbers


def _graph_of(centers: Rows, n_threads: int) -> sparse.csr_array:
    n_neighbors = min(_NEIGHBORS, len(centers) - 1)
    if n_neighbors == 0:
        return sparse.csr_array((1, 1), dtype=np.float32)
    return affinity_graph(centers, n_neighbors, n_jobs=n_threads)
