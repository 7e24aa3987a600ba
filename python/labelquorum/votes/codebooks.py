"""Codebooks: clusterings as their centers, which vote on samples they were not fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    METRICS,
    as_choice,
    as_codebooks,
    as_n_threads,
    as_out,
    as_points,
)
from labelquorum._shared.progress import progress
from labelquorum.votes.signatures import SignatureTable

_INT16_MAX = int(np.iinfo(np.int16).max)


def assign_codebooks(
    X: Any,
    codebooks: Any,
    *,
    metric: str = "euclidean",
    columns: Any = None,
    table: SignatureTable | None = None,
    out: NDArray[Any] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> NDArray[Any]:
    """Assign every sample to its nearest center in each of many codebooks.

    This is how clusterings of a sample vote on everything else: fit them on as many samples as are
    quick to cluster, keep their centers, and give all others to this function, chunk by chunk.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        A chunk of samples. float16, float32 and float64 are read as they are, whatever their
        strides, memory maps included; integers are converted.
    codebooks : list of array-likes of shape (n_centers, n_features)
        The centers of each clustering; numbers of centers may differ, and so may dtypes.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        What is nearest, as for `kneighbors`. k-means has "euclidean", spherical k-means "cosine".
    columns : list, optional
        For each codebook the columns of X that its centers are for, an integer array in the order
        of the centers' columns, or None for all. With it, centers have shape (n_centers,
        len(columns[i])). Codebooks for the same columns are worked on together.
    table : SignatureTable, optional
        Count the signatures in this table, as its `update` would, and return their ids instead of
        the labels. Only a block of labels is held at any time.
    out : array, optional
        Where to write the result; C-contiguous and writable, of the shape returned. May be a
        memory map. Of dtype int16 (where no codebook has more than 32,767 centers) or int32; with
        `table`, int32 or int64. Its contents are unspecified when the call fails.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    partitions : integer array of shape (n_samples, n_codebooks)
        The number of each sample's nearest center, from 0; of centers at the same distance, the
        lowest. `out` where given, else int16 where no codebook has more than 32,767 centers, else
        int32.
    ids : integer array of shape (n_samples,)
        With `table`, instead: `out` where given, else int32.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or a value of X or of the codebooks is
        NaN, infinite or beyond 1e150.
    MemoryError
        If too little memory is available. As after every error, the table is as it was before.

    Notes
    -----
    As if the distances to all centers had been measured in double precision. In fact a block of
    samples is centred and packed once, compared with all codebooks while it stays in the cache, by
    dot products in low precision (bfloat16 where the processor has instructions for it, else
    float32), and only the centers that a bound on their error cannot tell from the nearest are
    measured. Chunks do not change the result, nor do threads or instruction sets. Time is
    O(n_samples n_features n_centers of all codebooks), the longer the more centers are nearly as
    near as the nearest; memory beyond the result is 16 bytes for each value of the codebooks, some
    3 MiB per thread, and 32 MiB with `table`.

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> codebooks = [[[0.0, 0.0], [9.0, 9.0]], [[0.0, 9.0], [5.0, 5.0], [9.0, 0.0]]]
    >>> X = np.array([[1.0, 1.0], [8.0, 9.0], [1.0, 7.0], [2.0, 1.0]])
    >>> lq.assign_codebooks(X, codebooks)
    array([[0, 1],
           [1, 1],
           [0, 0],
           [0, 1]], dtype=int16)

    Straight to signatures, chunk by chunk:

    >>> table = lq.SignatureTable(n_partitions=2)
    >>> lq.assign_codebooks(X[:3], codebooks, table=table)
    array([0, 1, 2], dtype=int32)
    >>> lq.assign_codebooks(X[3:], codebooks, table=table)
    array([0], dtype=int32)
    >>> table.counts
    array([2, 1, 1])

    A clustering of the second column alone:

    >>> lq.assign_codebooks(X, [[[0.0], [8.0]]], columns=[[1]]).ravel()
    array([0, 1, 1, 0], dtype=int16)
    """
    points = as_points(X, "X")
    centers, numbers = as_codebooks(codebooks, columns, points.shape[1])
    as_choice(metric, "metric", METRICS)
    n_threads = as_n_threads(n_jobs)
    inputs = (points, *centers)
    if table is not None:
        if not isinstance(table, SignatureTable):
            raise TypeError(f"table is a {type(table).__name__}; wanted a SignatureTable")
        if table.n_partitions != len(centers):
            raise ValueError(
                f"table has {table.n_partitions} partitions; wanted {len(centers)}, as codebooks"
            )
        ids = as_out(out, len(points), (np.int32, np.int64), inputs, "X or the codebooks")
        with progress(verbose) as show:
            _core.assign_signatures(
                points, centers, numbers, metric, table._core, ids, n_threads, show
            )
        return ids
    most = max(map(len, centers))
    dtypes = (np.int16, np.int32) if most <= _INT16_MAX else (np.int32,)
    partitions = as_out(out, (len(points), len(centers)), dtypes, inputs, "X or the codebooks")
    with progress(verbose) as show:
        _core.assign_codebooks(
            points, centers, numbers, metric, partitions.reshape(-1), n_threads, show
        )
    return partitions
