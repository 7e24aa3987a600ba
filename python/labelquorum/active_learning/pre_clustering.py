"""Choose samples to label one after the other, each in the light of the answers so far."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import (
    as_choice,
    as_n_threads,
    as_non_negative,
    as_place,
    as_positive,
)
from labelquorum._shared.estimators import SemiSupervisedClassifierMixin
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import known_codes
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import validated_samples
from labelquorum.active_learning.answers import LabelBook, as_names, as_samples
from labelquorum.active_learning.sampler_file import check_state, read_sampler, write_sampler
from labelquorum.active_learning.small_clusters import SmallClusters, as_n_clusters
from labelquorum.active_learning.walks import (
    ClusterLabels,
    Float64Array,
    QuestionChooser,
    RandomWalks,
)
from labelquorum.graphs.affinity import METRICS
from labelquorum.quality.checks import as_alpha, lower_bound

_PARAMETERS = ("n_clusters", "metric", "min_samples_per_category", "audit_share", "random_state")


class PreClusteringSampler(SemiSupervisedClassifierMixin, BaseEstimator):
    """Choose samples to label, one after the other or in batches, and label all others from them.

    Use it in a loop: `query` returns the samples to label next, and `teach` takes their labels.
    Stop when `precision_bound` is high enough, or when you have labeled as many as you want to.

    Parameters
    ----------
    n_clusters : int, optional
        Number of small clusters, at most 10,000; fewer if there are fewer samples. None for 2,000.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples. "cosine" compares samples after their mean is subtracted; use
        it for embeddings.
    min_samples_per_category : int, default=1
        Categories with fewer labels are not predicted. Samples that most likely belong to such a
        category get no label (-1, or None if labels are strings), and may still be asked.
    audit_share : float in [0, 1), default=0.0
        Share of the samples from `query` that are audits: random samples for `precision_bound`.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    clusters_ : int32 array of shape (n_samples,)
        The small cluster of each training sample.
    labeled_indices_ : int64 array of shape (n_labeled,)
        The samples that were labeled by `fit` or `teach`, ascending.
    labels_given_ : array of shape (n_labeled,)
        Their labels.
    categories_ : array of shape (n_categories,)
        All categories given so far, sorted.
    classes_ : array of shape (n_classes,)
        The categories with enough labels, sorted: those that `predict` can return.
    n_audits_ : int
        Number of audits answered so far.
    n_looks_ : int
        Number of calls of `precision_bound` so far that had new labels to use.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    RepresentativeSampler : choose all samples to label at once.

    Notes
    -----
    Based on Nguyen and Smeulders, "Active learning using pre-clustering", ICML 2004: k-means groups
    the samples into small clusters, the classifier labels clusters, and the next question goes to
    the largest product of expected error and density. This version works for any number of
    categories:

    - A cluster's label comes from a random walk on the graph of neighboring clusters (Wu et al.,
      "Learning with partially absorbing random walks", NIPS 2012). The walk stops with a small
      chance at each step. If it reaches a labeled cluster before that, it takes that label.
    - The expected error of a cluster is the chance that a walk from there does not reach the most
      likely category.
    - The density of a cluster is how much error an answer there would settle: the expected error of
      all samples whose walks would reach that cluster first.

    At first, all expected errors are equal, so questions go to the middle of large groups. Later
    ones go to smaller groups without labels and to borders between categories, because walks end at
    labels. Scores are averaged over three chances to stop (0.3, 0.1 and 0.03), each score divided
    by the largest.

    With m clusters and b labels: O(n_samples m n_features + m^3) for `fit`, O(m^2 + m b^2) for a
    query, O(m b^2) for predictions. Memory is 12 m^2 bytes, plus what the search for neighbors
    takes.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> model = lq.PreClusteringSampler(random_state=0).fit(X)
    >>> for _ in range(30):
    ...     asked = model.query()
    ...     model = model.teach(asked, classes[asked])  # in real use, labeled by a person
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
        """Group the samples into small clusters; forget all labels except those in `y`.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            At least 2 samples. Dense: float16, float32, float64 or integers.
        y : array-like of shape (n_samples,), optional
            Labels known so far: integers, -1 for none, or strings, None for none (docs/inputs.md).

        Returns
        -------
        PreClusteringSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range.
        MemoryError
            If there is not enough memory.
        """
        n_threads = as_n_threads(self.n_jobs)
        as_choice(self.metric, "metric", METRICS)
        self._check_query_parameters()
        n_clusters = as_n_clusters(self.n_clusters)
        X = validated_samples(self, X, reset=True, ensure_min_samples=2)
        n = X.shape[0]
        rng = check_random_state(self.random_state)
        with progress(self.verbose) as show:
            clusters = SmallClusters.fit(X, n_clusters, self.metric, rng, n_threads, show)
        book = LabelBook(n, rng.permutation(n).astype(np.int32))
        names, codes = known_codes(y, n)
        if codes is not None:
            book.set_known(names.tolist(), codes)
        self._set_state(clusters, book)
        self.n_looks_, self._has_news, self._has_asked = 0, True, False
        return self

    def _set_state(self, clusters: SmallClusters, book: LabelBook) -> None:
        self._clusters, self._book = clusters, book
        self._walks = RandomWalks(clusters.graph)
        self.clusters_ = clusters.cluster_of_sample

    def _check_query_parameters(self) -> None:
        as_positive(self.min_samples_per_category, "min_samples_per_category")
        if as_non_negative(self.audit_share, "audit_share") >= 1:
            raise ValueError(f"audit_share must be below 1, got {self.audit_share}")

    def query(self, n: int = 1) -> NDArray[np.int64]:
        """Return the samples to label next.

        Parameters
        ----------
        n : int, default=1
            How many. Asking one by one is a little better than asking for many at once.

        Returns
        -------
        int64 array of shape (n,)
            Samples that were neither labeled nor skipped, audits first; fewer if fewer are left.
            A second call returns the same ones unless `teach` or `forget` came between.

        Raises
        ------
        TypeError, ValueError
            If n is not an integer of at least 1.
        """
        check_is_fitted(self)
        self._check_query_parameters()
        n = as_positive(n, "n")
        book = self._book
        self._has_asked = True
        asked = book.draw_audits(float(self.audit_share), n)
        chooser = None
        while len(asked) < n:
            chooser = chooser or self._question_chooser(asked)
            if (sample := chooser.next()) is None:
                break
            # Which samples were drawn as audits must not influence what is asked. So a chosen audit
            # becomes an ordinary sample, and the model learns its label if it has one.
            if book.is_audit[sample] and book.release_audit(sample):
                chooser = None
                continue
            if sample not in asked:
                asked.append(sample)
        return np.array(asked, dtype=np.int64)

    def _question_chooser(self, asked: list[int]) -> QuestionChooser:
        # Audits do not count as asked: they must not influence what else is asked.
        asked_by_choice = [sample for sample in asked if not self._book.is_audit[sample]]
        return QuestionChooser(
            self._walks,
            self._cluster_labels(),
            self._clusters.order,
            self.clusters_,
            self._book.is_open(),
            asked_by_choice,
        )

    def _cluster_labels(self) -> ClusterLabels:
        """Count the labels to learn from; those of audits are not among them."""
        codes = self._book.codes_to_learn()
        is_predictable = self._book.has_enough(codes, self.min_samples_per_category)
        return ClusterLabels.of(codes, self.clusters_, is_predictable)

    def teach(self, indices: ArrayLike, labels: Any) -> Self:
        """Take the labels of samples.

        Parameters
        ----------
        indices : int or array-like of shape (n_labels,)
            Training samples, from `query` or any others.
        labels : label or array-like of shape (n_labels,)
            Integers or strings, of the same kind as earlier labels. New names are new categories. A
            single label counts for all `indices`. -1 or None skips a sample: it is not asked again.
            A sample that has a label already gets the new one.

        Returns
        -------
        PreClusteringSampler
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an index is out of range or repeated, or if labels are of the wrong kind or number.
            Nothing changes in that case.
        """
        check_is_fitted(self)
        samples = as_samples(indices, len(self.clusters_))
        names = as_names(labels, len(samples), self._book.names)
        if self.audit_share and not self._has_asked and len(samples):
            self.query(len(samples))  # draws the audits that are due
        self._book.record(samples, names)
        self._has_asked, self._has_news = False, True
        return self

    def teach_cluster(
        self, index: int, label: Any, members: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Give one label to a whole cluster without a look at each of its samples.

        Parameters
        ----------
        index : int
            A training sample.
        label : int or str
            The label for all samples of its cluster that have none.
        members : int array-like, optional
            Samples to label instead of the cluster's, if you know a better group of similar ones.

        Returns
        -------
        int64 array
            The samples that got the label. They are not asked anymore, except as audits, and
            `precision_bound` counts their labels as the model's. `teach` can replace them.

        Raises
        ------
        TypeError, ValueError
            As for `teach`.
        """
        check_is_fitted(self)
        n = len(self.clusters_)
        samples = self.cluster_members(index) if members is None else as_samples(members, n)
        name = as_names(label, 1, self._book.names)[0]
        if name is None:
            raise ValueError(
                f"label must be a category, got {label!r}: to take labels back, use forget"
            )
        labeled = self._book.record_unseen(samples, name)
        self._has_asked, self._has_news = False, True
        return labeled

    def cluster_members(self, index: int) -> NDArray[np.int64]:
        """Return the samples in the cluster of a sample, the most central first.

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
        return self._clusters.members(index)

    def forget(self, indices: ArrayLike) -> Self:
        """Take answers back: labels from `teach` and `teach_cluster`, and skipped samples.

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
            If an index is out of range or repeated.
        """
        check_is_fitted(self)
        self._book.erase(as_samples(indices, len(self.clusters_)))
        self._has_asked, self._has_news = False, True
        return self

    @property
    def labeled_indices_(self) -> NDArray[np.int64]:
        """The samples that were labeled by `fit` or `teach`, ascending."""
        check_is_fitted(self)
        return np.flatnonzero(self._book.codes >= 0)

    @property
    def labels_given_(self) -> NDArray[Any]:
        """The labels of `labeled_indices_`."""
        return array_of_names(self._book.names)[self._book.codes[self.labeled_indices_]]

    @property
    def categories_(self) -> NDArray[Any]:
        """All categories given so far, sorted."""
        check_is_fitted(self)
        return self._book.categories(1)[0]

    @property
    def classes_(self) -> NDArray[Any]:
        """The categories with enough labels to be predicted, sorted."""
        check_is_fitted(self)
        return self._book.categories(self.min_samples_per_category)[0]

    @property
    def n_audits_(self) -> int:
        """Number of audits answered so far."""
        check_is_fitted(self)
        return int(self._book.is_answered_audit().sum())

    def predict(self, X: Any = None) -> NDArray[Any]:
        """Label samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features), optional
            New samples. None for the training samples; labels that were given stay.

        Returns
        -------
        array of shape (n_new or n_samples,)
            Labels from `classes_`; -1 (None, if labels are strings) where the most likely category
            has too few labels.

        Raises
        ------
        TypeError, ValueError
            If there is no label so far, or if X has the wrong type, shape or range.
        """
        check_is_fitted(self)
        if X is None:
            labels_given = self._book.all_codes()
            codes = np.where(labels_given >= 0, labels_given, self._predicted_codes())
        else:
            codes = self._likeliest_codes(self._new_probabilities(X))
        return self._book.labels_of(codes, self.min_samples_per_category)

    def predict_proba(self, X: Any = None) -> Float64Array:
        """Estimate the probability of each class.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features), optional
            New samples; None for the training samples.

        Returns
        -------
        float64 array of shape (n_new or n_samples, len(`classes_`))
            Rows sum to less than 1 where a category with too few labels is possible, too.

        Raises
        ------
        TypeError, ValueError
            As for `predict`.
        """
        check_is_fitted(self)
        if X is None:
            probabilities = self._cluster_probabilities()[self.clusters_]
            labels_given = self._book.all_codes()
            labeled = np.flatnonzero(labels_given >= 0)
            probabilities[labeled] = 0
            probabilities[labeled, labels_given[labeled]] = 1
        else:
            probabilities = self._new_probabilities(X)
        return probabilities[:, self._book.categories(self.min_samples_per_category)[1]]

    def _cluster_probabilities(self) -> Float64Array:
        """Return the probabilities of categories, (n_clusters, n_categories)."""
        labels = self._cluster_labels()
        if not len(labels.clusters):
            audits = f" besides those of {self.n_audits_} audits" if self.n_audits_ else ""
            raise ValueError(
                f"this {type(self).__name__} has no labels to learn from{audits}: give some with "
                "fit(X, y) or teach"
            )
        return self._walks.category_probabilities(labels)

    def _new_probabilities(self, X: Any) -> Float64Array:
        probabilities = self._cluster_probabilities()
        X = validated_samples(self, X, reset=False)
        return self._clusters.interpolate(probabilities, X, as_n_threads(self.n_jobs))

    def _likeliest_codes(self, probabilities: Float64Array) -> NDArray[np.intp]:
        """Return the code of the most likely category; -1 where it has too few labels."""
        codes: NDArray[np.intp] = probabilities.argmax(axis=1)
        codes[~self._cluster_labels().is_predictable[codes]] = -1
        return codes

    def _predicted_codes(self) -> NDArray[np.intp]:
        """Predict each training sample from its cluster, whether or not it has a label itself."""
        return self._likeliest_codes(self._cluster_probabilities())[self.clusters_]

    def precision_bound(self, level: float = 0.95) -> float:
        """Compute a lower bound of the precision of the model's labels from the audits so far.

        Parameters
        ----------
        level : float, default=0.95
            Confidence at which the bounds of all looks hold together; at least 0.75.

        Returns
        -------
        float
            At least this share of the model's labels is right. This covers all samples that the
            model did not learn from, audits included, and leaves out skipped ones. 0 if there are
            no audits, 1 if no such sample is left.

        Raises
        ------
        TypeError, ValueError
            If the level is out of range, or if there is no label so far.

        Notes
        -----
        *Why it is valid.* Audits are drawn at random from all samples, and the model never learns
        from them: `query` asks what it would ask if there were no audits. If it chooses a sample
        that is an audit, that sample stops being one, and the model learns its label. So, given
        what the model has learned, the audits are a random subset of all other samples, and the
        model is right on them as often as on those. The bound is that of `label_quality`, exact for
        draws without replacement. It needs two things from you: answer every audit, whatever its
        label is; and do not let the labels of audits influence which other samples you label.

        *Repeated looks.* The j-th look with new labels (see `n_looks_`) uses the share
        1 / (j (j + 1)) of the error probability. These shares sum to 1, so you may look any number
        of times. Decide in advance when to look (after every ten audits, for example), and stop at
        the first bound that is high enough.
        """
        check_is_fitted(self)
        as_alpha(level, 1)
        if not self._book.is_population().any():
            return 1.0
        n_right, n_audited, n_labels = self._book.audit_results(self._predicted_codes())
        if not n_audited:
            return 0.0
        if self._has_news:
            self.n_looks_, self._has_news = self.n_looks_ + 1, False
        alpha = as_alpha(level, self.n_looks_ * (self.n_looks_ + 1))
        return max(float(lower_bound(n_right, n_audited, alpha)), n_right / n_labels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole state to a file, without the samples, to continue later.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.

        Notes
        -----
        The file is an uncompressed .npz of arrays and one text (JSON). Nothing is pickled.
        `n_jobs`, `verbose` and a `random_state` other than an int are not saved.
        """
        check_is_fitted(self)
        seed = self.random_state
        feature_names = getattr(self, "feature_names_in_", None)
        book_values, book_arrays = self._book.state()
        values = {
            "n_clusters": None if self.n_clusters is None else int(self.n_clusters),
            "metric": self.metric,
            "min_samples_per_category": int(self.min_samples_per_category),
            "audit_share": float(self.audit_share),
            "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
            "n_features_in": self.n_features_in_,
            "feature_names": None if feature_names is None else feature_names.tolist(),
            "n_looks": self.n_looks_,
            "is_news": self._has_news,
            "is_asked": self._has_asked,
        }
        write_sampler(path, values | book_values, self._clusters.state() | book_arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PreClusteringSampler:
        """Read a file written by `save`.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        PreClusteringSampler
            It continues where the saved one stopped.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is damaged, is not a saved sampler, or has an unknown version.
        """
        return read_sampler(path, cls._of_state)

    @classmethod
    def _of_state(cls, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        check_state(values, arrays)
        model = cls(**{name: values[name] for name in _PARAMETERS})
        model.n_features_in_ = values["n_features_in"]
        if values["feature_names"] is not None:
            model.feature_names_in_ = np.array(values["feature_names"], dtype=object)
        model.n_looks_ = values["n_looks"]
        model._has_news, model._has_asked = values["is_news"], values["is_asked"]
        book = LabelBook.of_state(values, arrays)
        model._set_state(SmallClusters.of_state(arrays, values["metric"]), book)
        return model
