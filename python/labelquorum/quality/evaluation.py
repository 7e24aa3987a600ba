"""Clusters, and a classifier that learns them, evaluated on samples that neither has seen."""

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
from sklearn.utils import check_random_state, indexable
from sklearn.utils.parallel import Parallel, delayed

from labelquorum._shared.arguments import as_positive, shown
from labelquorum._shared.html import Table, as_html
from labelquorum._shared.labels import as_codes, known_labels
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_samples
from labelquorum.quality.metrics import clustering_accuracy

_IMITATION_SHARE = 0.25  # of the clustered samples, held out to measure the imitation
_MAX_SEED = int(np.iinfo(np.int32).max)

Figures = dict[str, NDArray[np.float64]]


class ClusteringEvaluation(NamedTuple):
    """Results of `evaluate_clustering`: arrays with one value for each split."""

    stability: Figures
    """Agreement on the held-out part between the classifier and another clustering, of that part
    alone: "ari" (adjusted Rand index; 0 is chance), "nmi" (normalized mutual information),
    "accuracy" (one-to-one matching), "prediction_strength" (of the worst cluster)."""
    imitation: Figures
    """"accuracy": how often the classifier names the right cluster of samples that were clustered
    but kept from it. It does not say whether the clusters are right."""
    truth: Figures | None
    """Agreement with true labels on the held-out part; None without `y`. "accuracy": clusters are
    named by the true labels of the training part. "clustering_accuracy": they are named one to one
    to fit the held-out part itself, as is customary; too good where true labels are few. "ari" and
    "nmi"."""
    n_clusters: NDArray[np.int64]
    """(n_repeats, 2): number of clusters in the training part and in the held-out part."""
    coverage: NDArray[np.float64]
    """(n_repeats, 2): share of the samples that are in a cluster."""

    def __repr__(self) -> str:
        lines = [self._summary()]
        for title, figures in self._parts():
            lines += [title, *_lines(figures)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts: list[str | Table] = [self._summary()]
        for title, figures in self._parts():
            parts += [title, Table(["", "mean", "lowest", "highest"], _rows(figures))]
        return as_html(*parts)

    def _summary(self) -> str:
        counts = ", ".join(f"{a}/{b}" for a, b in self.n_clusters.tolist())
        return (
            f"{len(self.n_clusters)} splits: mean (lowest to highest). Clusters in the training/"
            f"held-out part: {counts}; {self.coverage.mean():.0%} of the samples are in one."
        )

    def _parts(self) -> list[tuple[str, Figures]]:
        parts = [
            (
                "Stability: classifier on the held-out part, against another clustering of that "
                "part",
                self.stability,
            ),
            (
                "Imitation: classifier on samples kept from it, against the clusters it learned "
                "(not whether they are right)",
                self.imitation,
            ),
        ]
        if self.truth is not None:
            title = "Truth: classifier on the held-out part, against the true labels there"
            parts.append((title, self.truth))
        return parts


_FIGURE_NAMES = {
    "ari": "adjusted Rand index",
    "nmi": "normalized mutual information",
    "accuracy": "accuracy",
    "prediction_strength": "prediction strength",
    "clustering_accuracy": "accuracy, best names",
}


def _lines(figures: Figures) -> list[str]:
    width = max(map(len, _FIGURE_NAMES.values()))
    return [
        f"  {name:<{width}}  {mean} ({lowest} to {highest})"
        for name, mean, lowest, highest in _rows(figures)
    ]


def _rows(figures: Figures) -> list[list[str]]:
    """The name of each figure, its mean, lowest and highest value."""
    return [
        [_FIGURE_NAMES[name], *(f"{f(values):.3f}" for f in (np.mean, np.min, np.max))]
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

    The data are split before anything is fitted. The training part is clustered, and the classifier
    learns its clusters. Its predictions for the held-out part are compared with another clustering,
    of the held-out part alone, and with true labels where there are some. This avoids two mistakes
    that make such figures too good: clustering all data before the split, and taking a classifier's
    accuracy on cluster labels for its accuracy.

    Parameters
    ----------
    clusterer : scikit-learn clusterer
        Any estimator with `fit_predict`; a negative cluster means none. Neither the clusterer nor
        the classifier is changed: copies are fitted, each with its own `random_state` where it has
        such a parameter.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Or anything else that the clusterer takes and whose rows can be indexed.
    classifier : scikit-learn classifier, optional
        None for `KNeighborsClassifier()`.
    y : array-like of shape (n_samples,), optional
        True labels; -1 (or None, among strings) where unknown. Nothing is fitted to them.
    test_size : float in (0, 1), default=0.5
        Share of the samples held out.
    n_repeats : int, default=5
        Number of random splits.
    random_state : int, RandomState instance or None, default=None
        Random choices: the splits, and the `random_state` of the estimators.
    n_jobs : int, optional
        Number of splits evaluated at the same time, by joblib; None means 1 unless in its
        `parallel_config`. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    ClusteringEvaluation
        `stability`, `imitation` and `truth`. It prints as text.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, fewer than two samples of a part are in a cluster, or a
        held-out part has no true label.

    Notes
    -----
    Stability is that of Tibshirani and Walther ("Cluster validation by prediction strength", J.
    Comput. Graph. Stat. 14, 2005) and Lange, Roth, Braun and Buhmann ("Stability-based validation
    of clustering solutions", Neural Computation 16, 2004). The prediction strength is the share of
    the pairs in a held-out cluster that the classifier also puts in one cluster, for the cluster
    where this share is lowest. Above 0.8 to 0.9, the authors call the clusters well predicted.
    Stable clusters need not be the wanted ones, and fewer clusters are usually more stable. Only
    samples in a cluster of the held-out part's own clustering count.

    For imitation, a quarter of the clustered samples of the training part is kept from a first
    classifier; another one, for everything else, learns from all of them. This way imitation is
    measured alike for clusterers that can predict and for those that cannot. If there is only one
    cluster, no classifier is fitted and all samples get that cluster.

    For truth, a cluster is named by its most frequent true label in the training part. A cluster
    without one is wrong for all samples.

    Two clusterings and two classifiers are fitted per split.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(400, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> result = lq.evaluate_clustering(KMeans(3, n_init=5), X, y=y, n_repeats=3, random_state=0)
    >>> result.stability["ari"].tolist()
    [1.0, 1.0, 1.0]
    >>> result.truth["accuracy"].tolist()
    [1.0, 1.0, 1.0]
    """
    n_splits = as_positive(n_repeats, "n_repeats")
    classifier = KNeighborsClassifier() if classifier is None else classifier
    _check_estimator(clusterer, "clusterer", "fit_predict")
    _check_estimator(classifier, "classifier", "predict")
    X = _as_rows(X)
    n_samples = _n_rows(X)
    codes = None
    if y is not None:
        known = known_labels(y, n_samples, "evaluate_clustering", shares=False)
        codes = np.full(n_samples, -1, dtype=np.intp)
        codes[known.samples] = known.shares.argmax(axis=1)
    seeds = check_random_state(random_state).randint(_MAX_SEED, size=n_splits)
    tasks = (
        delayed(_evaluate_split)(clusterer, classifier, X, codes, test_size, seed) for seed in seeds
    )
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
        raise TypeError(f"{name} must be an estimator with {method}, got {shown(estimator)}")


def _joined(figures: list[Figures]) -> Figures:
    return {name: np.concatenate([one[name] for one in figures]) for name in figures[0]}


def _evaluate_split(
    clusterer: Any,
    classifier: Any,
    X: Any,
    codes: NDArray[np.intp] | None,
    test_size: float,
    seed: int,
) -> ClusteringEvaluation:
    random = np.random.RandomState(seed)
    rows = np.arange(_n_rows(X))
    train, held_out = train_test_split(rows, test_size=test_size, random_state=random)
    X_train, X_held_out = _rows_of(X, train), _rows_of(X, held_out)
    clusters = _clusters(clusterer, X_train, "training", random)
    held_out_clusters = _clusters(clusterer, X_held_out, "held-out", random)

    clustered = np.flatnonzero(clusters >= 0)
    taught, kept = train_test_split(clustered, test_size=_IMITATION_SHARE, random_state=random)
    imitator = _predictor(classifier, X_train, clusters, taught, random)
    imitated = imitator(_rows_of(X_train, kept))
    predicted = _predictor(classifier, X_train, clusters, clustered, random)(X_held_out)

    in_cluster = held_out_clusters >= 0
    expected, compared = held_out_clusters[in_cluster], predicted[in_cluster]
    stability = _agreement(expected, compared)
    stability["accuracy"] = clustering_accuracy(expected, compared)
    stability["prediction_strength"] = _prediction_strength(expected, compared)
    imitation = {"accuracy": float((imitated == clusters[kept]).mean())}
    truth = None
    if codes is not None:
        truth = _truth(clusters, codes[train], predicted, codes[held_out])
    return ClusteringEvaluation(
        _arrays(stability),
        _arrays(imitation),
        None if truth is None else _arrays(truth),
        np.array([[clusters.max() + 1, held_out_clusters.max() + 1]]),
        np.array([[(clusters >= 0).mean(), in_cluster.mean()]]),
    )


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _as_rows(X: Any) -> Any:
    """Read what is certainly samples; leave the rest to the clusterer."""
    is_tensor = hasattr(X, "__dlpack_device__") and not isinstance(X, np.ndarray)
    if is_tensor or hasattr(X, "tocsr") or isinstance(X, np.ma.MaskedArray):
        return as_samples(X, "X")
    return indexable(X)[0]


def _rows_of(X: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of an array, a sparse matrix, a data frame or a list."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "take") and hasattr(X, "schema"):  # Arrow's tables
        return X.take(rows)
    if hasattr(X, "shape"):
        return X[rows]
    return [X[i] for i in rows]


def _arrays(figures: dict[str, float]) -> Figures:
    return {name: np.array([value]) for name, value in figures.items()}


def _fresh(estimator: Any, random: np.random.RandomState) -> Any:
    """An unfitted copy with its own random states."""
    fresh = clone(estimator)
    names = [name for name in sorted(fresh.get_params()) if name.split("__")[-1] == "random_state"]
    return fresh.set_params(**{name: random.randint(_MAX_SEED) for name in names})


def _clusters(clusterer: Any, X: Any, part: str, random: np.random.RandomState) -> NDArray[np.intp]:
    """The cluster of each sample, numbered from 0; -1 for none."""
    labels = _fresh(clusterer, random).fit_predict(X)
    codes = as_codes(labels, "the labels by clusterer")[1]
    n_clustered = int((codes >= 0).sum())
    if n_clustered < 2:
        raise ValueError(
            f"clusterer must put at least 2 samples of a {part} part in a cluster, got "
            f"{n_clustered} of {len(codes)}"
        )
    return codes.astype(np.intp)


def _predictor(
    classifier: Any,
    X: Any,
    clusters: NDArray[np.intp],
    samples: NDArray[np.intp],
    random: np.random.RandomState,
) -> Callable[[Any], NDArray[np.intp]]:
    """A function that predicts the cluster of new samples, learned from some samples of X."""
    targets = clusters[samples]
    if (targets == targets[0]).all():
        return lambda new: np.full(_n_rows(new), targets[0])
    fitted = _fresh(classifier, random).fit(_rows_of(X, samples), targets)
    predict: Callable[[Any], NDArray[np.intp]] = fitted.predict
    return predict


def _agreement(expected: NDArray[np.intp], predicted: NDArray[np.intp]) -> dict[str, float]:
    return {
        "ari": float(adjusted_rand_score(expected, predicted)),
        "nmi": float(normalized_mutual_info_score(expected, predicted)),
    }


def _contingency(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: Any = None) -> Any:
    """How many samples have each pair of a row and a column, as a sparse array."""
    ones = np.ones(len(rows), dtype=np.int64)
    return sparse.coo_array((ones, (rows, columns)), shape=shape).tocsr()


def _prediction_strength(clusters: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    """The share of a cluster's pairs that are predicted together, for the worst cluster."""
    table = _contingency(clusters, predicted)
    sizes = table.sum(axis=1)
    n_together = (table * table).sum(axis=1) - sizes
    n_pairs = sizes * (sizes - 1)
    has_pairs = n_pairs > 0
    return float((n_together[has_pairs] / n_pairs[has_pairs]).min(initial=1.0))


def _truth(
    clusters: NDArray[np.intp],
    train_classes: NDArray[np.intp],
    predicted: NDArray[np.intp],
    held_out_classes: NDArray[np.intp],
) -> dict[str, float]:
    """Compare predicted clusters with the true classes of the held-out part; -1 where unknown."""
    names_cluster = (train_classes >= 0) & (clusters >= 0)
    is_known = held_out_classes >= 0
    for part, has_label in (
        ("the clusters of each training part", names_cluster),
        ("each held-out part", is_known),
    ):
        if not has_label.any():
            raise ValueError(f"y must hold a label in {part}, got none: give more labels")
    shape = (clusters.max() + 1, max(train_classes.max(), held_out_classes.max()) + 1)
    table = _contingency(clusters[names_cluster], train_classes[names_cluster], shape)
    most_frequent = np.asarray(table.argmax(axis=1)).ravel()
    class_of = np.where(table.sum(axis=1) > 0, most_frequent, -1)
    expected, predicted = held_out_classes[is_known], predicted[is_known]
    return {
        "accuracy": float((class_of[predicted] == expected).mean()),
        "clustering_accuracy": clustering_accuracy(expected, predicted),
        **_agreement(expected, predicted),
    }
