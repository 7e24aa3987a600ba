"""From features to categories: an ensemble, its consensus, and labels for new samples."""

from __future__ import annotations

import warnings
from dataclasses import replace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.utils import ClassifierTags
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import (
    as_columns,
    as_fraction,
    as_n_threads,
    as_place,
    as_positive,
)
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.frame import Frame
from labelquorum._shared.labels import (
    category_names,
    group_codes,
    known_codes,
    spread_over_groups,
    to_labels,
)
from labelquorum._shared.progress import progress
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.base_partitions import partitions_of, range_of
from labelquorum.clustering.consensus import ConsensusTree, elected_tree
from labelquorum.clustering.explanation import Explanation, category_table, explain
from labelquorum.clustering.novelty import Novelty, novelty
from labelquorum.clustering.number_of_clusters import natural_number
from labelquorum.clustering.outcome import Categories, Outcome, categories_of, most_certain
from labelquorum.neighbors.search import kneighbors

if TYPE_CHECKING:
    import pandas as pd

_VOTERS = 10
_RECALL = 0.95
_SUSPECT_RATIO = 0.5
_ROWS_PER_BLOCK = 65_536


class ConsensusClusterer(ClusterMixin, BaseEstimator):
    """Find categories on which many clusterings agree, around those that are known, if any are.

    Parameters
    ----------
    n_clusters : int, optional
        Categories in all, known ones included; None for the number on which views of the samples
        agree most (see Notes), at most about 190.
    min_cluster_size : int, default=10
        Samples that make a category, where their number is not given, and in `novelty`.
    n_partitions : int, default=32
        Base partitions.
    clusterers : scikit-learn clusterer or sequence of them, optional
        Used for the base partitions instead of the package's own; see `base_partitions`.
    classifier : scikit-learn classifier, optional
        Learns from the pseudo-labels what `predict` says; None for the mean of the probabilities
        of the nearest training samples.
    discover : bool, default=True
        Look for new categories. False: samples get known categories only, or -1 where a category
        of their own would suit them better.
    pseudo_share : float, default=0.5
        Share of the samples that become pseudo-labels: the most certain ones; of each category at
        least a tenth of that share.
    directory : path-like, optional
        Where to keep finished base partitions; see `base_partitions`.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : array of shape (n_samples,)
        The category of each sample. Without known labels, integers from 0, larger categories first.
        With them, the known names, and for new categories the integers after them, or, where names
        are strings, "new 0", "new 1", ...
    confidence_, probabilities_ : float32 array of shape (n_samples,)
        What of all that a sample shares with categories it shares with its own, 0 to 1.
    pseudo_labels_ : array of shape (n_samples,)
        As `labels_`, for the most certain samples; -1 (None among strings) elsewhere.
    classes_ : array of shape (`n_clusters_`,)
        The categories, known ones first.
    n_clusters_ : int
        How many these are.
    partitions_ : int32 array of shape (n_samples, n_partitions)
        The base partitions.
    suspect_labels_ : int array
        Samples whose known label the partitions speak against, most suspect first.
    history_ : list of dict
        One entry for each round of voting: "round", "n_partitions" (that voted), "n_clusters",
        "coverage" (share of samples with a pseudo-label), "confidence" (mean of `confidence_`).
        There is one round: later ones, in which classifiers trained on the pseudo-labels voted too,
        made labels worse on all data they were tried on.
    category_table_ : pandas.DataFrame
        Size, confidence and nearest category of each, and how many known labels it has.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    base_partitions, consensus : the two steps, as functions.

    Notes
    -----
    Samples with a known label stay in its category, and known categories are never merged.
    A sample with a suspect label keeps it, too. So with last week's labels as `y`, -1 for samples
    that are new, categories keep their numbers and names.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = lq.ConsensusClusterer(10, random_state=0).fit(X)
    >>> lq.clustering_accuracy(y, model.labels_) > 0.85
    True
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        min_cluster_size: int = 10,
        n_partitions: int = 32,
        clusterers: Any = None,
        classifier: Any = None,
        discover: bool = True,
        pseudo_share: float = 0.5,
        directory: str | Path | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.min_cluster_size = min_cluster_size
        self.n_partitions = n_partitions
        self.clusterers = clusterers
        self.classifier = classifier
        self.discover = discover
        self.pseudo_share = pseudo_share
        self.directory = directory
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # scikit-learn's checks of sparse input look there where there is a predict_proba.
        tags.classifier_tags = ClassifierTags()
        return tags

    def fit(self, X: Any, y: Any = None, *, partitions: Any = None, groups: Any = None) -> Self:
        """Find the categories.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            At least 3 samples. Dense: float16, float32, float64 or integers.
        y : array-like of shape (n_samples,), optional
            Known categories: integers, -1 where there is none; or strings, None where there is
            none.
        partitions : integer array-like of shape (n_samples, n_partitions), optional
            Used instead of base partitions of X; see `consensus`.
        groups : array-like of shape (n_samples,), optional
            Samples of the same group (a number or name; -1 or None: no group) get the same label:
            their shares are averaged and decide between the categories they are in by themselves;
            `confidence_` is that of the group. A known label is that of its whole group.

        Returns
        -------
        ConsensusClusterer
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if a group has two
            known labels.
        MemoryError
            If too little memory is available.
        """
        n_threads = as_n_threads(self.n_jobs)
        as_positive(self.min_cluster_size, "min_cluster_size")
        as_positive(self.n_partitions, "n_partitions")
        as_fraction(self.pseudo_share, "pseudo_share")
        if self.n_clusters is not None:
            as_positive(self.n_clusters, "n_clusters")
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", ensure_min_samples=3)
        n = X.shape[0]
        if self.n_clusters is not None and self.n_clusters > n:
            raise ValueError(f"n_clusters is {self.n_clusters}, X holds {n} samples; wanted fewer")
        known, self._known = known_codes(y, n, type(self).__name__)
        self._groups = None if groups is None else group_codes(groups, n)
        codes = self._known
        if codes is not None and self._groups is not None:
            codes = spread_over_groups(codes, self._groups, known)
        if self.n_clusters is not None and self.n_clusters < len(known):
            warnings.warn(
                f"n_clusters is {self.n_clusters}, y holds {len(known)} categories, which are all "
                "kept",
                stacklevel=2,
            )
        self._frame = Frame(X, self.random_state)
        if codes is not None:
            self._frame.learn(X, codes)
        self._rows = self._frame.rows(X)
        is_own = partitions is None and self.clusterers is None
        wanted = self.n_clusters
        with progress(self.verbose) as show:
            if wanted is None and is_own:
                wanted = self._natural_number(n_threads, show)
        if wanted is not None:
            wanted = max(wanted, len(known))
        self.partitions_ = self._base(X, partitions, wanted, n_threads)
        with progress(self.verbose) as show:
            ballots = Ballots(list(self.partitions_.T), n_threads, show, kinds=codes)
            tree = ConsensusTree(ballots, n_clusters=wanted, n_threads=n_threads, show=show)
            n_clusters = max(len(known), wanted or tree.natural_size(self.min_cluster_size))
            if not is_own:
                tree = elected_tree(ballots, n_clusters, n_threads, show)
        self._tree, self._ballots = tree, tree.ballots
        categories = self._categories_of(n_clusters)
        n_found = categories.n_categories
        self.classes_ = category_names(known, n_found)
        self.n_clusters_ = n_found
        if self.n_clusters is not None and n_found < self.n_clusters:
            warnings.warn(
                f"n_clusters is {self.n_clusters}, the partitions tell only {n_found} groups apart",
                stacklevel=2,
            )
        self.confidence_ = self.probabilities_ = categories.confidence
        numbers = categories.numbers
        chosen = most_certain(numbers, self.confidence_, self.pseudo_share)
        self.outcome_ = Outcome(
            categories,
            n_known=len(known),
            known=self._known,
            groups=self._groups,
            features=self._rows,
            is_pseudo_label=chosen,
            discover=self.discover,
        )
        given = self.outcome_.as_labels(numbers)
        self.labels_ = to_labels(self.classes_, given)
        self.outcome_ = replace(self.outcome_, is_pseudo_label=chosen & (given >= 0))
        self.pseudo_labels_ = to_labels(self.classes_, np.where(chosen, given, -1))
        self.suspect_labels_ = self._suspects()
        self.history_ = [
            {
                "round": 0,
                "n_partitions": self.partitions_.shape[1],
                "n_clusters": n_found,
                "coverage": float(self.outcome_.is_pseudo_label.mean()),
                "confidence": float(self.confidence_.mean()),
            }
        ]
        self.classifier_: Any = None
        if self.classifier is not None:
            # New categories too, without `discover`: else it would call them known ones.
            self.classifier_ = clone(self.classifier).fit(X[chosen], numbers[chosen])
        return self

    def _natural_number(self, n_threads: int, show: Any) -> int:
        number, agreement = natural_number(
            self._rows, self.min_cluster_size, self.random_state, n_threads, show
        )
        if number is None:
            warnings.warn(
                f"X shows no clusters: views of it agree by {agreement:.2f}, which is no more than "
                "they do on noise; n_clusters says how many to look for anyway",
                stacklevel=3,
            )
        return number or 1

    def _base(
        self, X: Any, partitions: Any, n_clusters: int | None, n_threads: int
    ) -> NDArray[np.int32]:
        n = X.shape[0]
        if partitions is not None:
            columns = as_columns(partitions)
            if len(columns[0]) != n:
                raise ValueError(
                    f"partitions hold {len(columns[0])} samples, X {n}; wanted as many"
                )
            return np.stack([_codes(column) for column in columns], axis=1)
        limits = (2, max(2, int(np.sqrt(n))))
        if n_clusters is not None:
            limits = range_of(n_clusters)
        return partitions_of(
            X if self.clusterers is not None else self._rows,
            limits,
            self.n_partitions,
            self.clusterers,
            self.directory,
            self.random_state,
            n_threads,
            self.verbose,
        )

    def _categories_of(self, n_clusters: int) -> Categories:
        return categories_of(self._ballots, self._tree.cut(n_clusters), self._groups)

    def _suspects(self) -> NDArray[np.intp]:
        if self._known is None:
            return np.empty(0, dtype=np.intp)
        labeled = np.flatnonzero(self._known >= 0)
        scores = self.outcome_.categories.shares_of(labeled)
        own = scores[np.arange(len(labeled)), self._known[labeled]]
        ratios = own / np.maximum(scores.max(axis=1), 1e-30)
        order = np.argsort(ratios, kind="stable")
        suspects: NDArray[np.intp] = labeled[order[ratios[order] < _SUSPECT_RATIO]]
        return suspects

    @property
    def category_table_(self) -> pd.DataFrame:
        """A table of the categories: a row for each of `classes_`.

        Columns: "size" (samples), "share" (of all samples), "confidence" (its mean), "known" (or
        new), "n_labeled" (samples that `y` named), "n_suspect" (of `suspect_labels_`), "nearest"
        (the other category with the largest mean share of its samples' votes), "nearest_share"
        (that mean). Without `discover`, new categories are in it, though `labels_` has -1 there.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        check_is_fitted(self)
        return category_table(
            self.outcome_.categories,
            self.classes_,
            known=self._known,
            suspects=self.suspect_labels_,
        )

    def explain(self, i: int) -> Explanation:
        """Say why a training sample is in its category.

        Parameters
        ----------
        i : int
            The index of the sample.

        Returns
        -------
        Explanation
            Its category and the next one, what each partition says, the seed of the category and
            the samples nearest to it by votes; it prints as a text. O(n_samples n_partitions).

        Raises
        ------
        TypeError, ValueError
            If there is no such sample.

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 2], [4, 4, 4, 5, 5, 5]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> model.explain(5)
        Sample 5: 1, confidence 0.77; next 0, 0.23.
        Partitions: 2 for it, 1 against, 0 none.
        Seed: sample 3, confidence 1.00.
        Nearest samples (category, partitions): 3 (1, 2), 4 (1, 2), 0 (0, 1), 1 (0, 1), 2 (0, 1).
        partition  cluster    size  in its category  most are in
                0        1       3             1.00  1
                1        0       4             0.00  0
                2        1       3             1.00  1
        """
        check_is_fitted(self)
        i = as_place(i, "i", len(self.outcome_.categories.numbers), "a training sample")
        return explain(
            i,
            self.outcome_.categories,
            self.classes_,
            self.partitions_,
            known=self._known,
            groups=self._groups,
            is_suspect=bool((self.suspect_labels_ == i).any()),
            is_pseudo_label=bool(self.outcome_.is_pseudo_label[i]),
        )

    def cut(self, n_clusters: int) -> NDArray[Any]:
        """Label the training samples with coarser or finer categories, from the same votes.

        Parameters
        ----------
        n_clusters : int
            Categories in all; known ones are all kept.

        Returns
        -------
        array of shape (n_samples,)
            As `labels_` of a fit with that many clusters. Nothing of the estimator changes.
        """
        check_is_fitted(self)
        n_clusters = max(self.outcome_.n_known, as_positive(n_clusters, "n_clusters"))
        categories = self._categories_of(n_clusters)
        names = category_names(self.classes_[: self.outcome_.n_known], categories.n_categories)
        return to_labels(names, self.outcome_.as_labels(categories.numbers))

    def novelty(self, X: Any, *, level: float = 0.05) -> Novelty:
        """Say how unlike the training data new samples are, and find categories that emerge.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.
        level : float in (0, 1), default=0.05
            Share of samples like the training data that may count as novel by chance.

        Returns
        -------
        Novelty
            A score for each sample, the share that is novel, and groups of at least
            `min_cluster_size` that agree among themselves; it prints as a text.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range.

        Notes
        -----
        *Scores* are 1 - p, where p is a conformal p-value (Bates et al., "Testing for outliers with
        conformal p-values", Annals of Statistics 51, 2023): of all training samples and the new
        one, the share that is at least as far from its 5 nearest training samples (in the mean,
        itself left out) as the new one. No score is above 1 - 1 / (n_samples + 1). Counts above
        a level are compared with what it allows (Storey, JRSS B 64, 2002).

        *Groups* are communities of a graph of training and new samples together, at three scales,
        each at least 5 times as frequent among the new ones, and more so than chance explains: an
        exact test, by which any group at all is found in at most 5 % of cases where new samples are
        drawn like the training samples. So a category is seen though none of its samples by itself
        is far from others; and so is a known one that became 5 times as frequent. Nearly linear in
        n_samples + n_new.
        """
        check_is_fitted(self)
        if as_fraction(level, "level") == 1:
            raise ValueError("level is 1; wanted a number in (0, 1)")
        min_group_size = as_positive(self.min_cluster_size, "min_cluster_size")
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False)
        return novelty(
            self._rows,
            self._frame.rows(X),
            level=float(level),
            min_group_size=min_group_size,
            n_threads=as_n_threads(self.n_jobs),
            verbose=self.verbose,
        )

    def report(
        self,
        path: str | Path,
        *,
        X: Any = None,
        texts: Iterable[str] | None = None,
        images: Any = None,
        y: Any = None,
    ) -> None:
        """Write a report to look at: one HTML file, to be opened in any browser, without a network.

        It says what was done, and shows each category (size, confidence, keywords, typical samples
        and some on the border), which categories the partitions confuse, a map, coverage against
        precision, and which samples to check first, as tables to sort, search and download.

        Parameters
        ----------
        path : path-like
            The file, ending in .html as a rule. It appears when it is complete.
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), optional
            What `fit` was given; used where there are neither texts nor images, to say which
            features set each category apart.
        texts : iterable of str, of length n_samples, optional
            Shown for samples, and where keywords are from.
        images : array of shape (n_samples, height, width[, 3]), optional
            Shown for samples: grey values (the highest is black), or red, green and blue (uint8,
            or floats from 0 to 1).
        y : array-like of shape (n_samples,), optional
            True labels, to measure with and never to learn from: integers, negative where unknown,
            or strings, None where unknown; see `CoveragePrecisionDisplay.from_estimator`. Without
            them, nothing in the report is called precision.

        Raises
        ------
        ImportError
            If Jinja2 is missing: ``pip install "labelquorum[report]"``.
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.

        Notes
        -----
        Under 5 MB, however many samples or categories there are: texts and images are cut, the map
        has 1,500 samples (t-SNE: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 9,
        2008) and a few of each category; the 1,000 largest categories are in the table, the 200
        largest have a card, with keywords from the surest 500 texts of each. Texts, categories
        and names are escaped. The same model and arguments give the same file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 2], [4, 4, 4, 5, 5, 5]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "report.html")
        ...     model.report(path, texts=["red", "Red", "reds", "blue", "Blue", "purple"])
        ...     "purple" in path.read_text(encoding="utf-8")
        True
        """
        from labelquorum.report.page import report_page

        check_is_fitted(self)
        try:
            with replacing(Path(path)) as file:
                page = report_page(self, X=X, texts=texts, images=images, y=y)
                file.write(page.encode())
        except FileError as error:
            raise OSError(str(error)) from error

    def predict(self, X: Any) -> NDArray[Any]:
        """Say which category new samples belong to: that of the largest probability.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.

        Returns
        -------
        array of shape (n_new,)
            Categories, of `classes_`. Without `discover`, -1 (None among strings) where that is a
            new one.
        """
        check_is_fitted(self)
        numbers: NDArray[np.int32]
        if self.classifier_ is None or hasattr(self.classifier_, "predict_proba"):
            numbers = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        else:
            X = validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False)
            numbers = self.classifier_.predict(X)
        return to_labels(self.classes_, self.outcome_.as_labels(numbers))

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Estimate the probabilities of the categories for new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.

        Returns
        -------
        array of shape (n_new, `n_clusters_`)
            One column for each of `classes_`. The mean of what the 10 nearest training samples
            share with the categories; or what the classifier says.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False)
        if self.classifier_ is not None:
            probabilities = np.zeros((X.shape[0], self.n_clusters_))
            probabilities[:, self.classifier_.classes_] = self.classifier_.predict_proba(X)
            return probabilities
        rows = self._frame.rows(X)
        n_voters = min(_VOTERS, len(self._rows))
        nearest = kneighbors(
            self._rows, n_voters, Y=rows, recall=_RECALL, n_jobs=as_n_threads(self.n_jobs)
        )[1]
        found = np.empty((len(rows), self.n_clusters_), dtype=np.float32)
        for begin in range(0, len(rows), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            found[block] = self.outcome_.categories.shares_of(nearest[block]).mean(axis=1)
        return found


def _codes(column: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """A partition numbered from 0; -1 for what is negative."""
    names, codes = np.unique(column, return_inverse=True)
    numbers: NDArray[np.int32] = (codes - np.count_nonzero(names < 0)).clip(-1).astype(np.int32)
    return numbers
