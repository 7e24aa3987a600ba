"""From clusters to a classifier without fooling oneself: what held-out data say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.labels import known_labels
from labelquorum._shared.progress import progress
from labelquorum.quality.metrics import clustering_accuracy

_SHARE_KEPT = 0.25  # of the clustered samples, kept from the classifier to see it imitate
_MAX_SEED = int(np.iinfo(np.int32).max)

Figures = dict[str, NDArray[np.float64]]


class ClusteringEvaluation(NamedTuple):
    """Figures of `evaluate_clustering`: arrays with one value per repetition."""

    stability: Figures
    """How far another clustering, of the held-out part alone, agrees with the labels that the
    classifier gives there: "ari" (adjusted Rand index: 0 is chance), "nmi" (normalised mutual
    information), "accuracy" (one-to-one matching), "prediction_strength" (of the worst cluster)."""
    imitation: Figures
    """"accuracy": the share of clustered samples, kept from the classifier, whose cluster it names.
    Says nothing of whether the clusters are right."""
    truth: Figures | None
    """Against true labels, on the held-out part: "accuracy" (clusters named by the true labels of
    the training part), "clustering_accuracy" (names chosen, one-to-one, to fit the held-out part
    itself, as is customary; too good where true labels are few), "ari", "nmi". None without `y`."""
    n_clusters: NDArray[np.int64]
    """Found in the training part and in the held-out part: shape (n_repeats, 2)."""
    coverage: NDArray[np.float64]
    """The share of samples that the clusterings gave a cluster, of the same shape."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{a}/{b}" for a, b in self.n_clusters.tolist())
        share = f"{self.coverage.mean():.0%}"
        lines = [
            f"{len(self.n_clusters)} splits: mean (lowest to highest). Clusters found in training/"
            f"held-out part: {counts}; {share} of the samples are in one.",
            "Stability: classifier on the held-out part, against another clustering of that part",
            *_lines(self.stability),
            "Imitation: classifier against the clusters it learned, on samples kept from it "
            "(not whether they are right)",
            *_lines(self.imitation),
        ]
        if self.truth is not None:
            lines += [
                "Truth: classifier on the held-out part, against the true labels there",
                *_lines(self.truth),
            ]
        return "\n".join(lines)


_SAID = {
    "ari": "adjusted Rand index",
    "nmi": "normalised mutual information",
    "accuracy": "accuracy",
    "prediction_strength": "prediction strength",
    "clustering_accuracy": "accuracy, best names",
}


def _lines(figures: Figures) -> list[str]:
    width = max(map(len, _SAID.values()))
    return [
        f"  {_SAID[name]:<{width}}  {values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"
        for name, values in figures.items()
    ]


def evaluate_clustering(
    clusterer: Any,
    X: Any,
    *,
    classifier: Any = None,
    y: ArrayLike | None = None,
    test_size: float = 0.5,
    n_repeats: int = 5,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> ClusteringEvaluation:
    """Evaluate clusters, and a classifier that learns them, on samples that neither has seen.

    The data are split before anything is fitted. The training part is clustered and the classifier
    learns its clusters; what it says on the held-out part is compared with another clustering, of
    the held-out part alone, and with true labels where there are some. So is avoided what makes
    such figures too good: clusters found in all data before the split, and a classifier's accuracy
    on cluster labels taken for its accuracy.

    Parameters
    ----------
    clusterer : scikit-learn clusterer
        Anything with `fit_predict`; a negative cluster is none. Neither it nor the classifier is
        changed: copies are fitted, each with a `random_state` of its own where it has such
        parameters.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Or anything that the clusterer takes and that can be indexed by rows.
    classifier : scikit-learn classifier, optional
        None for `KNeighborsClassifier()`.
    y : array-like of shape (n_samples,), optional
        True labels, with -1 (or None, among strings) where they are not known. They are used to
        judge alone; nothing is fitted to them.
    test_size : float in (0, 1), default=0.5
        The share held out.
    n_repeats : int, default=5
        Splits, each at random.
    random_state : int, RandomState instance or None, default=None
        Draws the splits and the `random_state` of the estimators.
    n_jobs : int, optional
        Splits evaluated at a time, by joblib; None means 1 unless in its `parallel_config`. The
        result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    ClusteringEvaluation
        `stability`, `imitation` and `truth`, each for what it is; it prints in words.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, no sample of a part gets a cluster, or no true label
        comes into a held-out part.

    Notes
    -----
    Stability is that of Tibshirani and Walther ("Cluster validation by prediction strength", J.
    Comput. Graph. Stat. 14, 2005) and Lange, Roth, Braun and Buhmann ("Stability-based validation
    of clustering solutions", Neural Computation 16, 2004). The prediction strength is the share of
    pairs within a held-out cluster that the classifier puts in one cluster too, in that cluster
    where it is lowest; above 0.8 to 0.9 they call the clusters well predicted. Stable clusters need
    not be the wanted ones, and fewer clusters are more stable as a rule. In all of it only samples
    with a cluster in the held-out part's own clustering count.

    For imitation a quarter of the clustered samples of the training part is kept from a first
    classifier; another one learns from all of them for the rest. So it is measured in the same way
    for clusterers that can and that cannot predict. Where there is one cluster only, its name is
    given to all samples and no classifier is fitted.

    For truth, a cluster is named by the most frequent true label it has in the training part; one
    that has none there is wrong everywhere.

    Two clusterings and two classifiers are fitted per split.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(400, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> found = lq.evaluate_clustering(KMeans(3, n_init=5), X, y=y, n_repeats=3, random_state=0)
    >>> found.stability["ari"].tolist()
    [1.0, 1.0, 1.0]
    >>> found.truth["accuracy"].tolist()
    [1.0, 1.0, 1.0]
    """
    n_splits = as_positive(n_repeats, "n_repeats")
    classifier = KNeighborsClassifier() if classifier is None else classifier
    _check_estimator(clusterer, "clusterer", "fit_predict")
    _check_estimator(classifier, "classifier", "predict")
    n_samples = _num_samples(X)
    codes = None
    if y is not None:
        known = known_labels(y, n_samples, "evaluate_clustering", shares=False)
        codes = np.full(n_samples, -1, dtype=np.intp)
        codes[known.samples] = known.shares.argmax(axis=1)
    if sparse.issparse(X):
        X = X.tocsr()
    seeds = check_random_state(random_state).randint(_MAX_SEED, size=n_splits)
    tasks = (delayed(_one_split)(clusterer, classifier, X, codes, test_size, s) for s in seeds)
    splits: list[ClusteringEvaluation] = []
    with progress(verbose) as show:
        for split in Parallel(n_jobs=n_jobs, return_as="generator")(tasks):
            splits.append(split)
            if show is not None:
                show("splits", len(splits) / n_splits)
    return ClusteringEvaluation(
        _joined([split.stability for split in splits]),
        _joined([split.imitation for split in splits]),
        None if codes is None else _joined([split.truth or {} for split in splits]),
        np.concatenate([split.n_clusters for split in splits]),
        np.concatenate([split.coverage for split in splits]),
    )


def _check_estimator(estimator: Any, name: str, method: str) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, method):
        raise TypeError(f"{name} is {estimator!r}; wanted an estimator that has {method}")


def _joined(figures: list[Figures]) -> Figures:
    return {name: np.concatenate([one[name] for one in figures]) for name in figures[0]}


def _one_split(
    clusterer: Any,
    classifier: Any,
    X: Any,
    codes: NDArray[np.intp] | None,
    test_size: float,
    seed: int,
) -> ClusteringEvaluation:
    random = np.random.RandomState(seed)
    rows = np.arange(_num_samples(X))
    train, held = train_test_split(rows, test_size=test_size, random_state=random)
    X_train, X_held = _safe_indexing(X, train), _safe_indexing(X, held)
    clusters = _clusters(clusterer, X_train, "training", random)
    others = _clusters(clusterer, X_held, "held-out", random)

    clustered = np.flatnonzero(clusters >= 0)
    taught, kept = train_test_split(clustered, test_size=_SHARE_KEPT, random_state=random)
    imitated = _taught(classifier, X_train, clusters, taught, random)(_safe_indexing(X_train, kept))
    predicted = _taught(classifier, X_train, clusters, clustered, random)(X_held)

    both = others >= 0
    stability = _agreement(others[both], predicted[both])
    stability["accuracy"] = clustering_accuracy(others[both], predicted[both])
    stability["prediction_strength"] = _prediction_strength(others[both], predicted[both])
    imitation = {"accuracy": float((imitated == clusters[kept]).mean())}
    truth = None
    if codes is not None:
        truth = _truth(clusters, codes[train], predicted, codes[held])
    return ClusteringEvaluation(
        _arrays(stability),
        _arrays(imitation),
        None if truth is None else _arrays(truth),
        np.array([[clusters.max() + 1, others.max() + 1]]),
        np.array([[(clusters >= 0).mean(), both.mean()]]),
    )


def _arrays(figures: dict[str, float]) -> Figures:
    return {name: np.array([value]) for name, value in figures.items()}


def _fresh(estimator: Any, random: np.random.RandomState) -> Any:
    """A copy, not fitted, with random states of its own."""
    fresh = clone(estimator)
    names = [name for name in sorted(fresh.get_params()) if name.split("__")[-1] == "random_state"]
    return fresh.set_params(**{name: random.randint(_MAX_SEED) for name in names})


def _clusters(clusterer: Any, X: Any, part: str, random: np.random.RandomState) -> NDArray[np.intp]:
    """The cluster of each sample, numbered from 0; -1 for none."""
    found = np.asarray(_fresh(clusterer, random).fit_predict(X))
    clusters = np.full(len(found), -1, dtype=np.intp)
    clustered = found >= 0
    if clustered.sum() < 2:
        raise ValueError(
            f"clusterer gave {clustered.sum()} of {len(found)} samples of a {part} part a cluster; "
            "wanted at least 2"
        )
    clusters[clustered] = np.unique(found[clustered], return_inverse=True)[1]
    return clusters


def _taught(
    classifier: Any,
    X: Any,
    clusters: NDArray[np.intp],
    samples: NDArray[np.intp],
    random: np.random.RandomState,
) -> Callable[[Any], NDArray[np.intp]]:
    """What names the cluster of new samples, learned from some of X."""
    known = clusters[samples]
    if (known == known[0]).all():
        return lambda new: np.full(_num_samples(new), known[0])
    fitted = _fresh(classifier, random).fit(_safe_indexing(X, samples), known)
    predict: Callable[[Any], NDArray[np.intp]] = fitted.predict
    return predict


def _agreement(wanted: NDArray[np.intp], found: NDArray[np.intp]) -> dict[str, float]:
    return {
        "ari": float(adjusted_rand_score(wanted, found)),
        "nmi": float(normalized_mutual_info_score(wanted, found)),
    }


def _table(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: Any = None) -> Any:
    """How many samples have each pair of numbers, as a sparse array."""
    ones = np.ones(len(rows), dtype=np.int64)
    return sparse.coo_array((ones, (rows, columns)), shape=shape).tocsr()


def _prediction_strength(clusters: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    """The least share, of any cluster's pairs, that are predicted to be together."""
    table = _table(clusters, predicted)
    sizes = table.sum(axis=1)
    together = (table * table).sum(axis=1) - sizes
    pairs = sizes * (sizes - 1)
    return float((together[pairs > 0] / pairs[pairs > 0]).min(initial=1.0))


def _truth(
    clusters: NDArray[np.intp],
    train: NDArray[np.intp],
    predicted: NDArray[np.intp],
    held: NDArray[np.intp],
) -> dict[str, float]:
    """Figures against the true classes of the training and the held-out part, -1 where unknown."""
    naming = (train >= 0) & (clusters >= 0)
    known = held >= 0
    for part, n in (("training", naming.sum()), ("held-out", known.sum())):
        if not n:
            raise ValueError(f"y has no label in a cluster of a {part} part; wanted more labels")
    shape = (clusters.max() + 1, max(train.max(), held.max()) + 1)
    table = _table(clusters[naming], train[naming], shape)
    names = np.where(table.sum(axis=1) > 0, np.asarray(table.argmax(axis=1)).ravel(), -1)
    held, predicted = held[known], predicted[known]
    return {
        "accuracy": float((names[predicted] == held).mean()),
        "clustering_accuracy": clustering_accuracy(held, predicted),
        **_agreement(held, predicted),
    }
