"""The same on Dask: samples in chunks, on many machines.

Needs Dask: ``pip install "labelquorum[dask]"``. Nothing of the size of the data is ever on the
client: it sees signatures, samples of a bounded number, and lazy Dask objects.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

import labelquorum as lq
from labelquorum._shared.arguments import (
    as_columns,
    as_min_agree,
    as_min_differ,
    as_n_threads,
    as_positive,
)
from labelquorum._shared.labels import has_label, to_labels
from labelquorum.votes.signatures import SignatureTable

try:
    import dask.array as da
    import dask.dataframe as dd
    import pandas as pd
    from dask import compute, config, delayed
    from dask.delayed import Delayed
except ImportError as error:
    raise ImportError(
        f'labelquorum.dask needs Dask ({error}); wanted: pip install "labelquorum[dask]"'
    ) from error

__all__ = ["ConsensusClusterer", "mini_clusters"]

_TABLES_PER_MERGE = 8
_LABELED_SHARE = 0.5
_LABELS_PER_CHUNK = 1 << 20
_LABEL = "label"


def mini_clusters(
    partitions: Any,
    n_clusters: int | None = None,
    *,
    min_agree: float = 1.0,
    min_differ: float = 0.9,
    min_size: int = 1,
    n_jobs: int | None = None,
) -> Any:
    """Extract mini-clusters, as `labelquorum.mini_clusters` does, from chunks on many machines.

    Parameters
    ----------
    partitions : Dask array of shape (n_samples, n_partitions), or Dask DataFrame
        Integers in chunks of any size, which need not be known; a negative value means that the
        model abstains on the sample. A sample on which all abstain takes no part. The chunks are
        computed twice, once now and once for the labels: what is dear to compute should be written
        down, or persisted, before.
    n_clusters, min_agree, min_differ, min_size
        As for `labelquorum.mini_clusters`.
    n_jobs : int, optional
        Number of threads of the one task that extracts the mini-clusters from the merged
        signatures; -1 for all cores available there. All other tasks have one thread.

    Returns
    -------
    Dask array of shape (n_samples,), int32; or Dask Series named "label", with the frame's index
        Mini-cluster of each sample; -1 where it is in none. In chunks as the partitions.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range. What is wrong within chunks is found
        when these are computed.

    See Also
    --------
    labelquorum.SignatureTable.from_counts : the same from a GROUP BY in any engine.

    Notes
    -----
    The labels equal the in-memory ones, whatever the chunks, since ties are broken by content. One
    task for each chunk counts its signatures; tables are merged eight at a time in a tree; one task
    extracts the mini-clusters. All that starts at once, as by `persist`, and is kept on the cluster
    while the result is in use. Computing the result then looks the labels up, chunk by chunk.

    The merged table has to fit on one worker, at about 40 bytes per signature and its row, eight of
    them while they are merged. Time is O(n_samples n_partitions) over all workers, and for the
    signatures that of `labelquorum.mini_clusters` on one.

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
    chunks = _as_chunks(partitions, "partitions")
    n_partitions = len(as_columns(_example(chunks)))
    as_n_threads(n_jobs)
    as_min_agree(min_agree, n_partitions)
    as_min_differ(min_differ, n_partitions)
    as_positive(min_size, "min_size")
    if n_clusters is not None:
        as_positive(n_clusters, "n_clusters")
    tables = [delayed(_counted)(chunk, n_partitions) for chunk in _pieces(chunks)]
    found = delayed(MiniClusters)(
        merged(tables),
        n_clusters,
        min_agree=min_agree,
        min_differ=min_differ,
        min_size=min_size,
        n_jobs=n_jobs,
    ).persist()
    return _by_chunk(_labels_of, chunks, found, np.dtype(np.int32))


class MiniClusters:
    """Signatures with their mini-clusters: what it takes to label any chunk."""

    def __init__(self, table: SignatureTable, *args: Any, **kwargs: Any) -> None:
        if not len(table):
            raise ValueError("partitions is empty: it holds no sample; wanted at least one")
        self.table = table
        self.labels = lq.mini_clusters(table, *args, **kwargs)

    def of(self, partitions: Any, n_jobs: int | None = 1) -> NDArray[np.int32]:
        """The labels of samples that were counted."""
        ids = self.table.lookup(partitions, n_jobs=n_jobs)
        if ids.min() < 0:
            raise ValueError(
                "partitions hold a row now that they did not hold when they were counted; wanted "
                "chunks that are the same whenever they are computed: write them down or persist "
                "them before"
            )
        return self.labels[ids]


def merged(tables: list[Delayed]) -> Delayed:
    """All tables as one, merged in a tree."""
    while len(tables) > 1:
        tables = [
            delayed(_merged)(tables[i : i + _TABLES_PER_MERGE])
            for i in range(0, len(tables), _TABLES_PER_MERGE)
        ]
    return tables[0]


def _merged(tables: list[SignatureTable]) -> SignatureTable:
    whole = copy(tables[0])  # what a task is given is not its own
    for table in tables[1:]:
        whole.merge(table, n_jobs=1)
    return whole


def _counted(chunk: Any, n_partitions: int) -> SignatureTable:
    table = SignatureTable(n_partitions)
    if len(chunk):
        table.update(chunk, n_jobs=1)
    return table


def _labels_of(chunk: Any, found: MiniClusters) -> NDArray[np.int32]:
    return found.of(chunk)


class ConsensusClusterer(BaseEstimator):
    """Find categories in a sample of the data, and label all of it, chunk by chunk.

    `fit` draws samples, those with a known label first, and gives them to
    `labelquorum.ConsensusClusterer`; `predict` applies that to chunks. Where all samples are drawn,
    `fit_predict` gives the labels that they have in memory.

    Parameters
    ----------
    n_clusters : int, optional
        As for `labelquorum.ConsensusClusterer`, and so are all others but `max_samples`.
        `min_cluster_size` counts drawn samples.
    max_samples : int, default=100_000
        How many samples are drawn, at least 3. They are brought to the client, which clusters them.
        At most half of them are drawn among those with a known label, all others at random.
    min_cluster_size, n_partitions, clusterers, classifier, discover, pseudo_share, directory
        As for `labelquorum.ConsensusClusterer`. Where much is to be predicted, a classifier
        (scikit-learn's logistic regression, say) is quicker than the default, which looks for
        neighbours among the drawn samples.
    random_state : int, RandomState instance or None, default=None
        Decides all random choices, and with the number of samples which ones are drawn.
    n_jobs : int, optional
        Number of threads of `fit`, on the client. Tasks that predict have one thread.
    verbose : bool, default=False
        Show progress of `fit` on stderr.

    Attributes
    ----------
    estimator_ : labelquorum.ConsensusClusterer
        Fitted on the drawn samples; its `labels_`, `confidence_`, report and all else are of these.
    sample_ : int64 array
        The numbers of the drawn samples, ascending.
    classes_, n_clusters_, n_features_in_, feature_names_in_
        As those of `estimator_`.

    See Also
    --------
    labelquorum.ConsensusClusterer : for data that fit into memory.

    Notes
    -----
    Equal `random_state` and data draw equal samples, whatever the chunks. What is predicted is that
    of the in-memory estimator, given each chunk: without a `classifier`, neighbours are searched
    there with a recall of 0.95, so that other chunks may change a label on the border of two
    categories. Categories so rare that too few of their samples are drawn are not found. Where
    other samples (or seeds) would change the categories in memory, so they do here.

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
        self.max_samples = max_samples
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw samples and find their categories.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Numbers. The chunks are computed once, and before that where their sizes are not known.
        y : Dask array or Series, or array-like, of shape (n_samples,), optional
            Known categories: integers, -1 where there is none; or strings, None where there is
            none.

        Returns
        -------
        ConsensusClusterer
            Itself.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `labelquorum.ConsensusClusterer`; if X is no Dask object.
        """
        self._fit(X, y)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> Any:
        """Draw samples, find their categories, and label all samples.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        Dask array of shape (n_samples,)
            For drawn samples the `labels_` of `estimator_`, for those with a known label that; for
            all others what `predict` says. So where all samples are drawn, these are the `labels_`
            of `labelquorum.ConsensusClusterer`. Strings are objects.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `fit`.
        """
        rows, known = self._fit(X, y)
        arrays = [rows] if known is None else [rows, known.rechunk((rows.chunks[0],))[:, None]]
        found = self.on_cluster()
        meta = np.empty(0, _label_type(self.classes_))
        return da.map_blocks(_labels_of_fit, *arrays, found=found, drop_axis=1, meta=meta)

    def _fit(self, X: Any, y: Any) -> tuple[Any, Any | None]:
        """Fit, and return samples and known labels as arrays with chunks of known sizes."""
        if as_positive(self.max_samples, "max_samples") < 3:
            raise ValueError(f"max_samples is {self.max_samples}; wanted at least 3")
        rows = _as_rows(X)
        known = None if y is None else _as_labels(y)
        if known is not None and len(known) != len(rows):
            raise ValueError(f"y holds {len(known)} samples, X {len(rows)}; wanted as many")
        params = self.get_params(deep=False)
        del params["max_samples"]
        self.sample_ = _drawn(len(rows), known, self.max_samples, self.random_state)
        some, labels = compute(rows[self.sample_], None if known is None else known[self.sample_])
        if isinstance(X, dd.DataFrame):
            some = pd.DataFrame(some, columns=X.columns)  # for the names
        self.estimator_ = lq.ConsensusClusterer(**params).fit(some, labels)
        for name in ("classes_", "n_clusters_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return rows, known

    def predict(self, X: Any) -> Any:
        """Say which category samples belong to, as `labelquorum.ConsensusClusterer.predict` does.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Samples, those of `fit` or others.

        Returns
        -------
        Dask array of shape (n_samples,); or Dask Series named "label", with the frame's index
            Categories, of `classes_`; strings are objects.
        """
        chunks = self._checked(X)
        return _by_chunk(_predicted, chunks, self.on_cluster(), _label_type(self.classes_))

    def predict_proba(self, X: Any) -> Any:
        """Estimate the probabilities of the categories, as the in-memory estimator does.

        Parameters
        ----------
        X : Dask array of shape (n_samples, n_features), or Dask DataFrame
            Samples, those of `fit` or others.

        Returns
        -------
        Dask array of shape (n_samples, `n_clusters_`); or Dask DataFrame, with the frame's index
            One column for each of `classes_`.
        """
        chunks = self._checked(X)
        dtype = np.dtype(np.float32 if self.estimator_.classifier_ is None else np.float64)
        columns = self.classes_.tolist()
        return _by_chunk(_probabilities, chunks, self.on_cluster(), dtype, columns)

    def _checked(self, X: Any) -> Any:
        """The chunks, if they have the features of fit."""
        check_is_fitted(self)
        chunks = _as_chunks(X, "X")
        n_features = chunks.shape[1]
        if n_features != self.n_features_in_:
            raise ValueError(
                f"X has {n_features} features; wanted {self.n_features_in_}, as in fit"
            )
        return chunks

    def on_cluster(self, n_jobs: int | None = 1) -> Delayed:
        """What was fitted, on the cluster, which can make it again where a worker dies."""
        # It is sent once, whatever its size.
        with config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return delayed(Fitted(self.estimator_, self.sample_, n_jobs)).persist()


def _label_type(classes: NDArray[Any]) -> np.dtype[Any]:
    """The type that holds all labels, and that a sample has none."""
    return to_labels(classes, np.array([-1])).dtype


class Fitted:
    """A fitted estimator, and which samples it was fitted on: what it takes to label any chunk."""

    def __init__(self, estimator: Any, sample: NDArray[np.int64], n_jobs: int | None) -> None:
        self.estimator = copy(estimator)
        self.estimator.n_jobs = n_jobs
        self._sample = sample

    def of_fit(
        self, chunk: NDArray[Any], first: int, known: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Labels and confidence of samples of fit, of which the number of the first is given."""
        model = self.estimator
        labels = np.empty(len(chunk), _label_type(model.classes_))
        confidence = np.empty(len(chunk), dtype=np.float32)
        begin, end = np.searchsorted(self._sample, [first, first + len(chunk)])
        drawn = self._sample[begin:end] - first
        labels[drawn], confidence[drawn] = model.labels_[begin:end], model.confidence_[begin:end]
        others = np.ones(len(chunk), dtype=bool)
        others[drawn] = False
        if others.any():
            labels[others], confidence[others] = self._said_of(chunk[others])
        if known is not None:
            is_known = has_label(known)
            labels[is_known] = known[is_known]
        return labels, confidence

    def _said_of(self, rows: Any) -> tuple[NDArray[Any], Any]:
        model = self.estimator
        if hasattr(model, "feature_names_in_"):
            rows = pd.DataFrame(rows, columns=model.feature_names_in_)
        if model.classifier_ is not None and not hasattr(model.classifier_, "predict_proba"):
            return model.predict(rows), np.nan
        shares = model.predict_proba(rows)
        return to_labels(
            model.classes_, model.outcome_.as_labels(shares.argmax(axis=1))
        ), shares.max(axis=1)


def _labels_of_fit(
    chunk: NDArray[Any],
    known: NDArray[Any] | None = None,
    *,
    found: Fitted,
    block_info: dict[int, Any],
) -> NDArray[Any]:
    first = block_info[0]["array-location"][0][0]
    return found.of_fit(chunk, first, None if known is None else known[:, 0])[0]


def _predicted(chunk: Any, found: Fitted) -> NDArray[Any]:
    labels: NDArray[Any] = found.estimator.predict(chunk)
    return labels


def _probabilities(chunk: Any, found: Fitted) -> NDArray[np.floating[Any]]:
    probabilities: NDArray[np.floating[Any]] = found.estimator.predict_proba(chunk)
    return probabilities


def _as_chunks(values: Any, name: str) -> Any:
    """A Dask array of two dimensions in chunks of whole rows, or a Dask DataFrame."""
    if isinstance(values, dd.DataFrame):
        return values
    if not isinstance(values, da.Array):
        raise TypeError(
            f"{name} is a {type(values).__name__}; wanted a Dask array or DataFrame (labelquorum "
            "itself takes what is in memory)"
        )
    if values.ndim != 2:
        raise ValueError(f"{name} has shape {values.shape}; wanted 2-D")
    return values.rechunk({1: -1})


def _pieces(chunks: Any) -> list[Delayed]:
    """Each chunk by itself."""
    pieces = chunks.to_delayed()
    return list(pieces if isinstance(chunks, dd.DataFrame) else pieces.ravel())


def _example(chunks: Any) -> Any:
    """Something of the type and width of the chunks."""
    if isinstance(chunks, dd.DataFrame):
        return chunks._meta_nonempty
    return np.ones((1, chunks.shape[1]), chunks.dtype)


def _by_chunk(
    function: Callable[[Any, Any], NDArray[Any]],
    chunks: Any,
    found: Delayed,
    dtype: np.dtype[Any],
    columns: list[Any] | None = None,
) -> Any:
    """What a function makes of each chunk and what was found: a value per row, or these columns."""
    rest = {"function": function, "found": found, "out_dtype": dtype, "columns": columns}
    if isinstance(chunks, dd.DataFrame):
        meta = _as_frame(np.empty((0, *_n_columns(columns)), dtype), None, columns)
        return chunks.map_partitions(_of_frame, meta=meta, **rest)
    if columns is None:
        return chunks.map_blocks(_of_block, drop_axis=1, meta=np.empty(0, dtype), **rest)
    sizes = (chunks.chunks[0], (len(columns),))
    return chunks.map_blocks(_of_block, chunks=sizes, meta=np.empty((0, 0), dtype), **rest)


def _of_block(
    chunk: Any,
    function: Callable[[Any, Any], NDArray[Any]],
    found: Any,
    out_dtype: np.dtype[Any],
    columns: list[Any] | None,
) -> NDArray[Any]:
    if not len(chunk):
        return np.empty((0, *_n_columns(columns)), out_dtype)
    return function(chunk, found).astype(out_dtype, copy=False)


def _of_frame(chunk: pd.DataFrame, columns: list[Any] | None, **rest: Any) -> Any:
    return _as_frame(_of_block(chunk, columns=columns, **rest), chunk.index, columns)


def _n_columns(columns: list[Any] | None) -> tuple[int, ...]:
    return () if columns is None else (len(columns),)


def _as_frame(values: NDArray[Any], index: Any, columns: list[Any] | None) -> Any:
    if columns is None:
        return pd.Series(values, index, values.dtype, name=_LABEL)
    return pd.DataFrame(values, index, columns)


def _as_rows(X: Any) -> Any:
    """The samples as a Dask array whose chunks have known sizes."""
    chunks = _as_chunks(X, "X")
    if isinstance(chunks, dd.DataFrame):
        return chunks.to_dask_array(lengths=True)
    return _sized(chunks)


def _as_labels(y: Any) -> Any:
    """The known labels as a Dask array whose chunks have known sizes."""
    if isinstance(y, dd.Series):
        meta = pd.Series(dtype=y.dtype if _is_plain(y) else object)
        return y.map_partitions(_plain, meta=meta).to_dask_array(lengths=True)
    if not isinstance(y, da.Array):
        y = da.from_array(np.asarray(y), chunks=_LABELS_PER_CHUNK)
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; wanted (n_samples,)")
    return _sized(y)


def _is_plain(labels: Any) -> bool:
    return isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "iuf"


def _plain(labels: pd.Series) -> pd.Series:
    """Strings, and integers of which some are missing, as objects, with None where one is."""
    if _is_plain(labels):
        return labels
    return pd.Series(labels.to_numpy(object, na_value=None), labels.index, object)


def _sized(array: Any) -> Any:
    """The array with chunks of known sizes."""
    if np.isnan(array.shape[0]):
        array = array.copy().compute_chunk_sizes()  # which changes its array
    return array


def _drawn(n: int, known: Any, max_samples: int, random_state: Any) -> NDArray[np.int64]:
    """The numbers of the samples to draw, ascending."""
    if n <= max_samples:
        return np.arange(n)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    chosen = np.empty(0, dtype=np.int64)
    if known is not None:
        labeled = da.flatnonzero(known.map_blocks(has_label, dtype=bool)).compute_chunk_sizes()
        n_chosen = min(len(labeled), int(max_samples * _LABELED_SHARE))
        chosen = labeled[_some(rng, len(labeled), n_chosen)].compute()
    return np.union1d(chosen, _some(rng, n, max_samples - len(chosen)))


def _some(rng: np.random.Generator, n: int, n_wanted: int) -> NDArray[np.int64]:
    # Not shuffled, which takes no memory of size n where few are wanted of many.
    return np.sort(rng.choice(n, n_wanted, replace=False, shuffle=False))
