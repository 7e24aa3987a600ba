"""`ConsensusClusterer`: base partitions, their consensus, and labels for new samples.

`fit` makes base partitions, collapses them into ballots, links these into a tree, cuts the tree and
counts the ballots: `base_partitions`, `ballots`, `consensus` and `outcome` in this folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_fraction, as_n_threads, as_positive
from labelquorum._shared.estimators import SemiSupervisedClusterMixin
from labelquorum._shared.files import replacing
from labelquorum._shared.frame import Frame, Framed
from labelquorum._shared.html import HtmlPage
from labelquorum._shared.labels import group_codes
from labelquorum._shared.origins import known_by_origin
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import validated_samples
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.base_partitions import (
    PartitionSettings,
    partitions_by_clusterers,
    partitions_by_views,
)
from labelquorum.clustering.explanation import Explanation, category_table, explain
from labelquorum.clustering.known import known_first
from labelquorum.clustering.named import NamedClusterer
from labelquorum.clustering.named_votes import hear
from labelquorum.clustering.number_of_clusters import check_number, natural_number, warn_of_fewer
from labelquorum.clustering.outcome import Outcome, most_certain, trained_classifier
from labelquorum.clustering.prediction import PredictingClusterer
from labelquorum.clustering.rejection import tried
from labelquorum.clustering.views import Partitions

if TYPE_CHECKING:
    import pandas as pd


class ConsensusClusterer(
    SemiSupervisedClusterMixin, NamedClusterer, PredictingClusterer, BaseEstimator
):
    """Find categories on which many clusterings agree, around known categories if there are any.

    Parameters
    ----------
    n_clusters : int, optional
        Number of categories, known ones included. None chooses the number for which views of the
        samples agree and clusters are separated most; see the notes.
    min_cluster_size : int, optional
        The smallest number of samples of a new category. Samples of smaller ones join the
        categories that get the largest shares of their votes, even if fewer than `n_clusters` are
        left. Known categories are kept, whatever their size; so is a single one. None means 10, or
        1 if the number of categories is given.
    n_partitions : int, default=32
        Number of base partitions, at most 65,535.
    clusterers : scikit-learn clusterer or sequence of them, optional
        Make the base partitions instead of the package's own clusterings; see `base_partitions`.
    classifier : scikit-learn classifier, optional
        Trained on the pseudo-labels and used by `predict`; five more times to find out which of its
        answers are right. None uses the mean shares of the nearest training samples.
    discover : bool, default=True
        Look for new categories. If False, samples get a known category, or -1 if they fit a new
        category better.
    pseudo_share : float, default=0.5
        The share of samples that become pseudo-labels, the most certain ones first. Of each
        category, at least a tenth of this share does.
    known_level : float in (0, 1], default=0.5
        How eager known categories are. A sample is recognized as one of theirs from about this
        density of labels among the samples that share its votes, relative to the density that
        labeled samples usually see. Higher values keep known categories purer and leave more to new
        ones.
    directory : path-like, optional
        A folder to keep finished base partitions in; see `base_partitions`.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : array of shape (n_samples,)
        The category of each sample. Without known labels: integers from 0, by decreasing size of
        the category. With them: the known names; new categories get the integers after them or, if
        names are strings, "new 0", "new 1", ...
    label_origins_ : array of str of shape (n_samples,)
        Where each label comes from: "given" in `y`, "accepted" (also in `y`; its `origins` say that
        a person accepted the proposal of a model), "proposed" by this fit, or "" for no label.
    confidence_, probabilities_ : float32 array of shape (n_samples,)
        The share of the sample's votes that its own category gets, 0 to 1.
    pseudo_labels_ : array of shape (n_samples,)
        As `labels_` for the most certain samples; -1 (None among strings) elsewhere.
    classes_ : array of shape (`n_clusters_`,)
        The categories, known ones first.
    category_names_ : array of str of shape (`n_clusters_`,)
        What people read for each of `classes_`: the label itself until `name_categories` is called.
    n_clusters_ : int
        Number of categories.
    partitions_ : int32 array of shape (n_samples, n_partitions)
        The base partitions.
    partition_weights_ : float64 array of shape (n_partitions,)
        How much an agreement in each partition counts: as `combine_votes` was told, and 0 for
        votes and for partitions that change nothing: those that put all samples together, or agree
        with no other one more often than by chance.
    reliability_ : float64 array of shape (n_voters,)
        The share of each voter's votes that are right, as estimated; NaN for a voter that changes
        nothing, since nothing agrees with it more often than by chance.
    suspect_labels_ : int array
        Samples whose known label the partitions and the features contradict, most suspect first.
    history_ : list of dict
        One entry for each round of voting: "round", "n_partitions" (that voted), "n_clusters",
        "coverage" (share of samples with a pseudo-label), "confidence" (mean of `confidence_`).
        There is one round. Later rounds, in which classifiers trained on the pseudo-labels voted
        too, made the labels worse on all data sets that were tried.
    category_table_ : pandas.DataFrame, or structured array without pandas
        Name, size, confidence, nearest category and number of known labels of each category.
    cluster_layers_ : list of arrays of shape (n_samples,)
        At most five nested partitions, finest first, each as `labels_`, which is one of them. They
        are made when they are first asked for.
    persistence_scores_ : array of shape (n_layers,)
        For each layer, the logarithm of the ratio of two costs in the tree of the consensus: that
        of merging one more pair of clusters, and that of the last merge. High is stable.
    layers_table_ : pandas.DataFrame, or structured array without pandas
        Number of categories, persistence and sizes of each layer, and which one was chosen.
    calibration_error_ : float
        The expected calibration error of `predict_proba`: how much probabilities and shares of
        right answers differ in the mean, in bins of 0.1, on samples predicted without their labels
        (those in `y`, or `labels_` without `y`). NaN for a `classifier` without probabilities.
    outcome_ : object
        The result in numbers, for reports and displays of this package.
    source_ : TextSource, optional
        How texts became the samples, and the columns they came from. None unless it is set:
        ``labelquorum fit --text-column`` does so. `save` keeps it, and a new `fit` forgets it.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    base_partitions, consensus : the two steps, as functions.

    Notes
    -----
    *Number of categories*: If it is not given, views of the samples are cut at rising resolutions.
    The score of a resolution is the geometric mean of how much the views agree (adjusted mutual
    information) and how well the clusters are separated (silhouette by centers, in coordinates of a
    random walk on the graph of neighbors). The highest score gives the number, which all base
    partitions then have.
    There is a single category, with a warning, if noise of the same local dimension scores as high,
    in a test at the level of 1 %.

    *Layers*: Beside `labels_` there are two coarser and two finer layers at most. Their numbers of
    categories are those that persist longest from 1/4 to 1/2, 1/2 to 4/5, 5/4 to 2 and 2 to 4 times
    that of `labels_`. ``model.cut(n)`` returns the layer of n categories, or cuts the
    tree at n. Known categories are kept in every layer.

    *Votes*: Experts predict the name of each sample from everything but its own votes: a ridge
    regression on the features, the nearest neighbors and, if given, the partitions. How far experts
    and voters can be trusted is learned from their agreement. A name that is more likely than all
    others together then counts as a known label.

    *Proposals* of an earlier fit (`origins`) are one more voter, if some labels are known: so a few
    corrections change what they correct, and not whole categories. A category that had a number
    takes the only new name that people gave in it. Where they gave several, its proposals do not
    vote.

    Samples with a known label stay in its category, even if the label is suspect, and known
    categories are never merged. To keep the numbers and names of last week's categories, pass last
    week's labels as `y`, with -1 for new samples, and where they come from as `origins`.

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
        min_cluster_size: int | None = None,
        n_partitions: int = 32,
        clusterers: Any = None,
        classifier: Any = None,
        discover: bool = True,
        pseudo_share: float = 0.5,
        known_level: float = 0.5,
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
        self.known_level = known_level
        self.directory = directory
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # scikit-learn's checks of sparse input read these tags if there is a predict_proba.
        tags.classifier_tags = ClassifierTags()
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        origins: Any = None,
        votes: Any = None,
        partitions: Any = None,
        groups: Any = None,
    ) -> Self:
        """Find the categories.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            At least 3 samples. Equal ones get equal labels, unless `y`, `groups` or `partitions`
            tell them apart.
        y : array-like of shape (n_samples,), optional
            Known categories: integers, with -1 for unknown ones, or strings, with None for unknown
            ones; bools too. docs/inputs.md lists all forms.
        origins : array-like of str of shape (n_samples,), optional
            Where each label in `y` comes from, as in `label_origins_`. Those that are "proposed"
            are not known. They vote beside labels that are; see the notes. If none are, a category
            with mostly the same samples keeps its name, no more.
        votes : list or array-like, optional
            Names of categories that may be wrong, from one or more voters: answers of a language
            model, keyword rules, people in a hurry. As for `LabelModel.fit`, in the names of `y`.
        partitions : integer array-like of shape (n_samples, n_partitions), optional
            Used instead of base partitions of X; see `consensus`. If `combine_votes` made it,
            columns with names are `votes`.
        groups : array-like of shape (n_samples,), optional
            Samples of one group (a number or name; -1 or None for no group) get the same label. The
            shares of the samples are averaged. Of the categories that the samples would be in
            without groups, the one with the largest mean share wins, and `confidence_` is that
            share. A known label applies to the whole group.

        Returns
        -------
        ConsensusClusterer
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range, or if a group has two
            known labels.
        MemoryError
            If too little memory is available.

        Warns
        -----
        UserWarning
            If X shows no clusters, if `n_clusters` is smaller than the number of known categories,
            if the partitions tell fewer categories of `min_cluster_size` apart, or if votes of a
            partition or voter change nothing.
        """
        n_threads = self._check_parameters()
        X = validated_samples(self, X, reset=True, ensure_min_samples=3, ensure_all_finite=False)
        n_samples = X.shape[0]
        known_names, known, remembered = known_by_origin(y, origins, n_samples)
        group_numbers = None if groups is None else group_codes(groups, n_samples)
        names, fixed, partitions, weights, self.reliability_ = hear(
            X,
            known_names,
            known,
            remembered.proposed if self.discover else None,
            votes,
            partitions,
            group_numbers,
            self.random_state,
            n_threads,
        )
        check_number(self.n_clusters, n_samples, len(names))
        framed = Frame.fit(X, self.random_state, fixed)
        self._frame = framed.frame
        if fixed is not None and partitions is None:
            fixed = framed.distinct.spread(fixed, group_numbers)

        is_own = partitions is None and self.clusterers is None
        n_wanted = self._n_wanted(framed, len(names), is_own, n_threads)
        if partitions is None:
            partitions = self._base_partitions(X, framed, n_wanted, n_threads)
            weights = np.ones(partitions.shape[1])
        self.partitions_, self.partition_weights_ = partitions, weights
        with progress(self.verbose) as show:
            columns = list(partitions.T)
            ballots = Ballots.of(columns, n_threads, show, known=fixed, weights=weights)
            self._tree, n_clusters, doubted = known_first(
                framed,
                ballots,
                n_wanted,
                level=self.known_level,
                min_size=self._min_size(None),
                is_own=is_own,
                n_threads=n_threads,
                show=show,
            )
        min_size = self._min_size(self.n_clusters)
        self._is_edited = False
        categories = self._categories(n_clusters, min_size, group_numbers)
        self.outcome_ = Outcome(
            categories,
            n_known=len(names),
            known=known,
            groups=group_numbers,
            distinct=framed.distinct,
            features=framed.rows,
            is_certain=most_certain(categories.numbers, categories.confidence, self.pseudo_share),
            discover=self.discover,
            doubted=doubted,
            origins=remembered,
        )
        self._layers = None  # They are made when they are asked for.
        self.source_ = None
        self._set_results(self.outcome_.names(names, categories.numbers))
        self._places = np.arange(self.n_clusters_, dtype=np.int32)
        warn_of_fewer(self.n_clusters, self.n_clusters_, min_size)
        self.classifier_ = trained_classifier(self.classifier, self.outcome_, X)
        classifier = None if self.classifier_ is None else self.classifier
        self._trial = tried(framed, self.outcome_, fixed, classifier, X, n_threads)
        self.calibration_error_ = self._trial.calibration_error
        return self

    def _check_parameters(self) -> int:
        """Check all parameters; return the number of threads."""
        if self.min_cluster_size is not None:
            as_positive(self.min_cluster_size, "min_cluster_size")
        as_positive(self.n_partitions, "n_partitions")
        as_fraction(self.pseudo_share, "pseudo_share")
        as_fraction(self.known_level, "known_level")
        if self.n_clusters is not None:
            as_positive(self.n_clusters, "n_clusters")
        return as_n_threads(self.n_jobs)

    def _n_wanted(self, framed: Framed, n_known: int, is_own: bool, n_threads: int) -> int | None:
        """The number of categories to look for; None if it depends on the partitions."""
        if self.n_clusters is not None:
            return max(self.n_clusters, n_known)
        if not is_own:
            return None
        with progress(self.verbose) as show:
            number = natural_number(
                framed, self._min_size(None), self.random_state, n_threads, show
            )
        return max(number.or_one(), n_known)

    def _base_partitions(
        self, X: Any, framed: Framed, n_wanted: int | None, n_threads: int
    ) -> Partitions:
        limits = (2, max(2, int(np.sqrt(X.shape[0]))))
        settings = PartitionSettings(
            n_wanted or limits,
            self.n_partitions,
            self.clusterers,
            self.directory,
            self.random_state,
            # Views agree at a number that they chose, so that no partition has to be finer.
            **({"spread": 1} if self.n_clusters is None else {}),
        )
        if self.clusterers is not None:
            partitions = partitions_by_clusterers(X, settings, verbose=self.verbose)
            return framed.distinct.unified(partitions)
        return partitions_by_views(framed, settings, n_threads=n_threads, verbose=self.verbose)

    @property
    def category_table_(self) -> pd.DataFrame | NDArray[np.void]:
        """A table with a row for each of `classes_`, which are its index.

        Columns: "name" (of `category_names_`), "size" (number of samples), "share" (of all
        samples), "confidence" (mean of its samples), "known" (whether it is a known category),
        "n_labeled" (samples with this label in `y`), "n_accepted" (of them, proposals that people
        accepted), "n_suspect" (of them in `suspect_labels_`), "nearest" (the category that gets
        most of its samples' other votes), "nearest_share" (the mean share of these votes).
        Without `discover`, new categories have rows, too, though `labels_` has -1 there.

        Without pandas it is a structured array with these fields, after a field "category" that
        holds `classes_`.
        """
        check_is_fitted(self)
        return category_table(self)

    def explain(self, i: int) -> Explanation:
        """Explain why a training sample is in its category.

        Parameters
        ----------
        i : int
            The index of the sample.

        Returns
        -------
        Explanation
            Its category and the runner-up, the vote of each partition, the seed of the category and
            the samples that most partitions put together with it. It prints as text. The cost is
            O(n_samples n_partitions).

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
        return explain(self, i)

    def report(
        self,
        path: str | Path | None = None,
        *,
        X: Any = None,
        texts: Iterable[str] | None = None,
        images: Any = None,
        y: Any = None,
        map_out: str | Path | None = None,
    ) -> HtmlPage | None:
        """Write a report as one HTML file that opens in any browser, without a network.

        Without a path, a notebook shows it below the cell. The first screen says in plain words
        what there is, what is new, how far the labels can be trusted and what to do next. Then come
        a map of all samples, each category (size, confidence, keywords, typical samples and samples
        at its border), categories that may be one, the samples to check first, and details. Tables
        can be searched, sorted and downloaded.

        Parameters
        ----------
        path : path-like, optional
            The file, usually named .html. It appears when it is complete. None returns the page.
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), optional
            The samples that `fit` was given. If there are neither texts nor images, the report
            names the features that set each category apart.
        texts : iterable of str, of length n_samples, optional
            Shown for samples, and searched for keywords.
        images : array of shape (n_samples, height, width[, 3]), optional
            Shown for samples: gray values (the highest is black), or red, green and blue (uint8, or
            floats from 0 to 1).
        y : array-like of shape (n_samples,), optional
            True labels to measure precision with; nothing is learned from them. Integers, negative
            where unknown, or strings, None where unknown; see
            `CoveragePrecisionDisplay.from_estimator`. Without them, the report names no precision.
        map_out : path-like, optional
            A file for the points of the map, as Parquet: the columns "x", "y", "label" (of
            `labels_`), "name" (of the category), "confidence" and, with `texts`, "text". It appears
            with the report.

        Returns
        -------
        object or None
            Without `path`, an object that notebooks show as the page, in a frame; its attribute
            `html` is the text of the page. None otherwise.

        Raises
        ------
        ImportError
            If Jinja2 is missing: ``pip install "labelquorum[report]"``.
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If an argument has the wrong type, shape or range, or if lengths differ; for `map_out`,
            if all samples have the same features.

        Notes
        -----
        Categories are called by `category_names_`. With `texts`, keywords name those that
        `name_categories` has not named; the model stays as it is.

        The file is smaller than 5 MB. Texts and images are cut. The map lays out 1,500 samples and
        a few of each category (t-SNE: van der Maaten and Hinton, "Visualizing data using t-SNE",
        JMLR 9, 2008), and places the others beside their nearest ones of these. The table lists the
        1,000 largest categories. The 300 largest have a card, with keywords from the 500 most
        certain texts of each. Texts, categories and names are escaped. The same model and arguments
        give the same file.

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
        with ExitStack() as files:
            file = None if path is None else files.enter_context(replacing(Path(path)))
            points = None if map_out is None else files.enter_context(replacing(Path(map_out)))
            page = report_page(self, X=X, texts=texts, images=images, y=y, points=points)
            if file is None:
                return HtmlPage(page, "Report on the categories")
            file.write(page.encode())
        return None
