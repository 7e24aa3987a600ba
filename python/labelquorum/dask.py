"""Mini-clusters and categories on Dask: samples in chunks, on many machines.

Needs Dask: ``pip install "labelquorum[dask]"``. The client never holds anything of the size of the
data: only signatures, a bounded number of samples, and lazy Dask objects.
"""

from __future__ import annotations

from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import (
    as_columns,
    as_level,
    as_min_agree,
    as_min_differ,
    as_n_threads,
    as_positive,
)
from labelquorum._shared.estimators import forget
from labelquorum._shared.label_reader import Labels
from labelquorum._shared.labels import has_label, to_labels
from labelquorum._shared.origins import as_origins, said_by_people
from labelquorum.clustering.clusterer import ConsensusClusterer as InMemoryClusterer
from labelquorum.clustering.drawn import DrawnClusterer
from labelquorum.votes.mini_clusters import mini_clusters as in_memory_mini_clusters
from labelquorum.votes.signatures import SignatureTable
from labelquorum.votes.weights import read_named_votes

try:
    import dask.array as da
    import dask.dataframe as dd
    import pandas as pd
    from dask import compute, config, delayed
    from dask.delayed import Delayed

    from labelquorum._shared.chunks import (
        as_chunks,
        as_labels,
        as_rows,
        delayed_chunks,
        example,
        map_rows,
    )
except ImportError as error:
    raise ImportError(
        f'labelquorum.dask needs Dask ({error}): pip install "labelquorum[dask]"'
    ) from error

__all__ = ["ConsensusClusterer", "mini_clusters"]

_TABLES_PER_MERGE = 8
_LABELED_SHARE = 0.5


def mini_clusters(
    partitions: Any,
    n_clusters: int | None = None,
    *,
    min_agree: float = 1.0,
    min_differ: float = 0.9,
    min_size: int = 1,
    n_jobs: int | None = None,
) -> Any:
    """Find mini-clusters as `labelquorum.mini_clusters` does, from chunks on many machines.

    Parameters
    ----------
    partitions : Dask array of shape (n_samples, n_partitions), or Dask DataFrame
        Integers in chunks of any size, known or not. A negative value means that the model abstains
        on the sample. A sample on which all models abstain gets no label. The chunks are computed
        twice, once now and once for the labels, so write or persist them first if they are
        expensive to compute.
    n_clusters, min_agree, min_differ, min_size
        As for `labelquorum.mini_clusters`.
    n_jobs : int, optional
        Number of threads of the one task that finds the mini-clusters in the merged signatures; -1
        for all cores available there. All other tasks use one thread.

    Returns
    -------
    Dask array of shape (n_samples,), int32; or Dask Series named "label", with the frame's index
        Mini-cluster of each sample; -1 where it is in none. The chunks are those of the partitions.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range. Errors within chunks are raised when they
        are computed.

    See Also
    --------
    labelquorum.SignatureTable.from_counts : the same from a GROUP BY in any engine.

    Notes
    -----
    The labels equal those of `labelquorum.mini_clusters`, whatever the chunks, since ties are
    broken by content. One task per chunk counts its signatures; a tree of tasks merges eight tables
    at a time; one task finds the mini-clusters. These tasks start at once, as with `persist`, and
    their result stays on the cluster while the labels are in use. Computing the labels then looks
    them up, chunk by chunk.

    The merged table must fit on one worker: about 40 bytes per signature plus its row, and eight
    tables while they are merged. Time is O(n_samples n_partitions) over all workers, plus that of
    `labelquorum.mini_clusters` for the signatures on one worker.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import labelquorum.dask
    >>> rows = np.array([[0, 7, 4], [0, 7, 4], [0, 7, 9], [1, 2, 9], [1, 2, 9]])
    >>> labels = labelquorum.dask.mini_clusters(da.from_array(rows, chunks=(2, 3)))
    >>> labels.chunks
    ((2, 2, 1),)
    >>> labels.compute()
    array([ 0,  0, -1,  1,  1], dtype=int32)
    """
    chunks = as_chunks(partitions, "partitions")
    n_partitions = len(as_columns(example(chunks)))
    as_n_threads(n_jobs)
    as_min_agree(min_agree, n_partitions)
    as_min_differ(min_differ, n_partitions)
    as_positive(min_size, "min_size")
    if n_clusters is not None:
        as_positive(n_clusters, "n_clusters")
    tables = [delayed(_counted)(chunk, n_partitions) for chunk in delayed_chunks(chunks)]
    clusters = delayed(SignatureLabels)(
        merged_table(tables),
        n_clusters,
        min_agree=min_agree,
        min_differ=min_differ,
        min_size=min_size,
        n_jobs=n_jobs,
    ).persist()
    return map_rows(_labels_of, chunks, clusters, np.dtype(np.int32))


class SignatureLabels:
    """Signatures and their mini-clusters, from which any chunk can be labeled."""

    def __init__(self, table: SignatureTable, *args: Any, **kwargs: Any) -> None:
        if not len(table):
            raise ValueError("partitions must have at least one sample, got none")
        self.table = table
        self.labels = in_memory_mini_clusters(table, *args, **kwargs)

    def labels_of(self, partitions: Any, n_jobs: int | None = 1) -> NDArray[np.int32]:
        """The labels of samples whose signatures were counted."""
        ids = self.table.lookup(partitions, n_jobs=n_jobs)
        if ids.min() < 0:
            raise ValueError(
                "partitions must be the same each time they are computed, but a row has appeared "
                "since they were counted: write or persist them first"
            )
        return self.labels[ids]


def merged_table(tables: list[Delayed]) -> Delayed:
    """Merge all tables into one, in a tree of tasks."""
    while len(tables) > 1:
        tables = [
            delayed(_merged)(tables[i : i + _TABLES_PER_MERGE])
            for i in range(0, len(tables), _TABLES_PER_MERGE)
        ]
    return tables[0]


def _merged(tables: list[SignatureTable]) -> SignatureTable:
    total = copy(tables[0])  # a task must not change its arguments
    for table in tables[1:]:
        total.merge(table, n_jobs=1)
    return total


def _counted(chunk: Any, n_partitions: int) -> SignatureTable:
    table = SignatureTable(n_partitions)
    if len(chunk):
        table.update(chunk, n_jobs=1)
    return table


def _labels_of(chunk: Any, clusters: SignatureLabels) -> NDArray[np.int32]:
    return clusters.labels_of(chunk)


class ConsensusClusterer(DrawnClusterer):
    """Find categories in a sample of the data, and label all of it, chunk by chunk.

    `fit` draws samples, preferably those with a known label, and fits a
    `labelquorum.ConsensusClusterer` to them; `predict` applies it to chunks. If all samples are
    drawn, `fit_predict` returns the same labels as in memory.

    Parameters
    ----------
    n_clusters, n_partitions, clusterers, discover, pseudo_share, known_level, directory
        As for `labelquorum.ConsensusClusterer`.
    max_samples : int, default=100_000
        Number of samples to draw, at least 3. The client holds and clusters them. Up to half of
        them are drawn among those with a known label, the rest at random.
    min_cluster_size, classifier
        The same, but drawn samples are counted. To predict many samples, a classifier such as
        scikit-learn's logistic regression is faster than the default, a search for neighbors.
    random_state : int, RandomState instance or None, default=None
        Seed of all random choices, such as which samples are drawn.
    n_jobs : int, optional
        Number of threads of `fit`, on the client. Tasks that predict use one thread.
    verbose : bool, default=False
        Show progress of `fit` on stderr.

    Attributes
    ----------
    estimator_ : labelquorum.ConsensusClusterer
        The estimator fitted on the drawn samples. Its `labels_`, `confidence_` and report are about
        these.
    sample_ : int64 array
        Indices of the drawn samples, ascending.
    classes_, n_clusters_, n_features_in_, feature_names_in_
        Those of `estimator_`.

    See Also
    --------
    labelquorum.ConsensusClusterer : the same for data that fit into memory.

    Notes
    -----
    The same `random_state` and data draw the same samples, whatever the chunks. Predictions are
    those of the in-memory estimator for each chunk. Without a `classifier`, it searches for
    neighbors with a recall of 0.95, so other chunks may change the label of a sample on the border
    of two categories. A category is missed if too few of its samples are drawn. Where the
    categories depend on the samples or the seed in memory, they do so here, too.

    Examples
    --------
    >>> import dask.array as da
    >>> import labelquorum as lq
    >>> import labelquorum.dask
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> X = da.from_array(digits.data, chunks=(500, 64))
    >>> model = labelquorum.dask.ConsensusClusterer(10, max_samples=1000, random_state=0).fit(X)
    >>> labels = model.predict(X)
    >>> labels.chunks
    ((500, 500, 500, 297),)
    >>> lq.clustering_accuracy(digits.target, labels.compute()) > 0.85
    True
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        max_samples: int = 100_000,
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
        self.max_samples = max_samples
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

    def fit(self, X: Any, y: Any = None, *, origins: Any = None, votes: Any = None) -> Self:
        """Draw samples and find their categories.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Numbers. The chunks are computed once, and once more if their sizes are unknown.
        y : Dask array or Series, or array-like, of shape (n_samples,), optional
            Known categories: integers, with -1 where there is none; or strings, with None.
        origins : Dask array or Series, or array-like, of shape (n_samples,), optional
            Where each label in `y` comes from: "given", "accepted", or "proposed", which is not
            known; see `labelquorum.ConsensusClusterer.fit`.
        votes : Dask array, Series or DataFrame, or list or array-like, optional
            Names of categories that may be wrong, (n_samples,), or (n_samples, n_voters), or a list
            with an item for each voter. Only those of the drawn samples count.

        Returns
        -------
        ConsensusClusterer
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `labelquorum.ConsensusClusterer`; also if X is not a Dask object.
        """
        self._fit(X, y, origins, votes)
        return self

    def fit_predict(self, X: Any, y: Any = None, *, origins: Any = None, votes: Any = None) -> Any:
        """Draw samples, find their categories, and label all samples.

        Parameters
        ----------
        X, y, origins, votes
            As for `fit`.

        Returns
        -------
        Dask array of shape (n_samples,)
            For samples with a known label, that label; for other drawn samples, the `labels_` of
            `estimator_`; for all others, the result of `predict`. If all samples are drawn, these
            are the `labels_` of `labelquorum.ConsensusClusterer`. Strings have dtype object.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `fit`.
        """
        rows, known = self._fit(X, y, origins, votes)
        arrays = [rows] if known is None else [rows, known.rechunk((rows.chunks[0],))[:, None]]
        fitted = self.on_cluster()
        meta = np.empty(0, _label_type(self.classes_))
        return da.map_blocks(_labels_of_fit, *arrays, fitted=fitted, drop_axis=1, meta=meta)

    def _fit(self, X: Any, y: Any, origins: Any, votes: Any) -> tuple[Any, Any | None]:
        """Fit, and return samples and known labels as arrays with chunks of known sizes."""
        if as_positive(self.max_samples, "max_samples") < 3:
            raise ValueError(f"max_samples must be at least 3, got {self.max_samples}")
        rows = as_rows(X)
        labels = None if y is None else as_labels(y, "y")
        words = None if origins is None else as_labels(origins, "origins")
        voters = None if votes is None else _as_votes(votes)
        for name, values in {"y": labels, "origins": words, "votes": voters}.items():
            if values is not None and len(values) != len(rows):
                raise ValueError(
                    f"{name} must have {len(rows)} values, one per row of X, got {len(values)}"
                )
        known = labels
        if words is not None and labels is not None:
            said = words.rechunk(labels.chunks)
            known = da.map_blocks(_said, labels, said, meta=np.empty(0, object))
        params = self.get_params(deep=False)
        del params["max_samples"]
        self.sample_ = _drawn(len(rows), known, self.max_samples, self.random_state)
        drawn = [None if x is None else x[self.sample_] for x in (labels, words, voters)]
        sample, labels, words, voters = compute(rows[self.sample_], *drawn)
        if isinstance(X, dd.DataFrame):
            sample = pd.DataFrame(sample, columns=X.columns)  # for the names
        self.estimator_ = InMemoryClusterer(**params)
        self.estimator_.fit(sample, labels, origins=words, votes=voters)
        forget(self, "feature_names_in_")
        for name in ("classes_", "n_clusters_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return rows, known

    def predict(self, X: Any, *, reject_level: float | None = None) -> Any:
        """Predict categories, as `labelquorum.ConsensusClusterer.predict` does.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Samples, the ones of `fit` or others.
        reject_level : float in (0, 1), optional
            The largest share of wrong answers; None answers for all samples.

        Returns
        -------
        Dask array of shape (n_samples,); or Dask Series named "label", with the frame's index
            Categories, from `classes_`; -1 (None among strings) without an answer. Strings have
            dtype object.
        """
        chunks = self._checked(X)
        if reject_level is not None:  # Refuse a wrong one now, not when it is computed.
            reject_level = as_level(reject_level, "reject_level")
        predicted = partial(_predicted, reject_level=reject_level)
        return map_rows(predicted, chunks, self.on_cluster(), _label_type(self.classes_))

    def predict_proba(self, X: Any) -> Any:
        """Predict the probabilities of the categories, as the in-memory estimator does.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Samples, the ones of `fit` or others.

        Returns
        -------
        Dask array of shape (n_samples, `n_clusters_`); or Dask DataFrame, with the frame's index
            One column for each category in `classes_`.
        """
        chunks = self._checked(X)
        dtype, columns = np.dtype(np.float64), self.classes_.tolist()
        return map_rows(_probabilities, chunks, self.on_cluster(), dtype, columns)

    def _checked(self, X: Any) -> Any:
        """The chunks of X, which must have the features of `fit`."""
        check_is_fitted(self)
        chunks = as_chunks(X, "X")
        n_features = chunks.shape[1]
        if n_features != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} features, as in fit, got {n_features}"
            )
        if isinstance(chunks, dd.DataFrame):  # Refuse other names now, not when it is computed.
            validate_data(self, example(chunks), reset=False, skip_check_array=True)
        return chunks

    def on_cluster(self, n_jobs: int | None = 1) -> Delayed:
        """Put the fitted estimator on the cluster, which restores it if a worker dies."""
        # It is sent once, so its size does not matter.
        with config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return delayed(FittedClusterer(self.estimator_, self.sample_, n_jobs)).persist()


def _label_type(classes: NDArray[Any]) -> np.dtype[Any]:
    """The dtype for these labels and for samples without one."""
    return to_labels(classes, np.array([-1])).dtype


class FittedClusterer:
    """A fitted estimator and the samples it was fitted on, from which any chunk can be labeled."""

    def __init__(self, estimator: Any, sample: NDArray[np.int64], n_jobs: int | None) -> None:
        self.estimator = copy(estimator)
        self.estimator.n_jobs = n_jobs
        self._sample = sample

    def label_rows_of_fit(
        self, chunk: NDArray[Any], first_row: int, known: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Labels and confidence of samples of `fit`, which begin at this row of its data."""
        model = self.estimator
        labels = np.empty(len(chunk), _label_type(model.classes_))
        confidence = np.empty(len(chunk), dtype=np.float32)
        begin, end = np.searchsorted(self._sample, [first_row, first_row + len(chunk)])
        drawn = self._sample[begin:end] - first_row
        labels[drawn], confidence[drawn] = model.labels_[begin:end], model.confidence_[begin:end]
        is_new = np.ones(len(chunk), dtype=bool)
        is_new[drawn] = False
        if is_new.any():
            labels[is_new], confidence[is_new] = self._predicted(chunk[is_new])
        if known is not None:
            is_known = has_label(known)
            labels[is_known] = known[is_known]
        return labels, confidence

    def _predicted(self, rows: Any) -> tuple[NDArray[Any], Any]:
        """Labels and confidence of samples that were not drawn."""
        model = self.estimator
        if hasattr(model, "feature_names_in_"):
            rows = pd.DataFrame(rows, columns=model.feature_names_in_)
        if model.classifier_ is not None and not hasattr(model.classifier_, "predict_proba"):
            return model.predict(rows), np.nan
        shares = model.predict_proba(rows)
        numbers = model.outcome_.as_labels(shares.argmax(axis=1))
        return to_labels(model.classes_, numbers), shares.max(axis=1)


def _labels_of_fit(
    chunk: NDArray[Any],
    known: NDArray[Any] | None = None,
    *,
    fitted: FittedClusterer,
    block_info: dict[int, Any],
) -> NDArray[Any]:
    first_row = block_info[0]["array-location"][0][0]
    known = None if known is None else known[:, 0]
    return fitted.label_rows_of_fit(chunk, first_row, known)[0]


def _predicted(chunk: Any, fitted: FittedClusterer, reject_level: float | None) -> NDArray[Any]:
    labels: NDArray[Any] = fitted.estimator.predict(chunk, reject_level=reject_level)
    return labels


def _probabilities(chunk: Any, fitted: FittedClusterer) -> NDArray[np.floating[Any]]:
    probabilities: NDArray[np.floating[Any]] = fitted.estimator.predict_proba(chunk)
    return probabilities


def _said(labels: NDArray[Any], origins: NDArray[Any]) -> NDArray[Any]:
    return said_by_people(labels.astype(object), as_origins(origins, "origins"))


def _as_votes(votes: Any) -> Any:
    """The votes as a Dask array of shape (n_samples, n_voters) whose chunks have known sizes."""
    if isinstance(votes, dd.DataFrame):
        votes = [votes[name] for name in votes.columns]
    elif isinstance(votes, da.Array) and votes.ndim == 2:
        votes = list(votes.T)
    elif isinstance(votes, (da.Array, dd.Series)):
        votes = [votes]
    items = votes if isinstance(votes, (list, tuple)) else []
    if not any(isinstance(item, (da.Array, dd.Series)) for item in items):
        names, codes = read_named_votes(votes)
        votes = [Labels(np.array(names, object), column).as_objects() for column in codes.T]
    columns = [as_labels(voter, "votes").astype(object) for voter in votes]
    for column in columns:
        if len(column) != len(columns[0]):
            raise ValueError(
                f"votes must have {len(columns[0])} samples, as the first voter has, got "
                f"{len(column)}"
            )
    return da.stack(columns, axis=1)


def _drawn(n: int, known: Any, max_samples: int, random_state: Any) -> NDArray[np.int64]:
    """Draw samples, and return their indices, ascending."""
    if n <= max_samples:
        return np.arange(n)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    chosen = np.empty(0, dtype=np.int64)
    if known is not None:
        labeled = da.flatnonzero(known.map_blocks(has_label, dtype=bool)).compute_chunk_sizes()
        n_chosen = min(len(labeled), int(max_samples * _LABELED_SHARE))
        chosen = labeled[_random_indices(rng, len(labeled), n_chosen)].compute()
    return np.union1d(chosen, _random_indices(rng, n, max_samples - len(chosen)))


def _random_indices(rng: np.random.Generator, n: int, n_drawn: int) -> NDArray[np.int64]:
    # Without shuffling, a few indices of many take no memory of size n.
    return np.sort(rng.choice(n, n_drawn, replace=False, shuffle=False))
