"""Codebooks: clusterings stored as their centers, which vote on samples they were not fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import METRICS, as_choice, as_codebooks, as_n_threads, as_out
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_points
from labelquorum.votes.signatures import SignatureTable

_INT16_MAX = int(np.iinfo(np.int16).max)
_LABEL_DTYPES: tuple[type[np.integer[Any]], ...] = (np.int16, np.int32)
_ID_DTYPES: tuple[type[np.integer[Any]], ...] = (np.int32, np.int64)


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

    With this function, clusterings of a few samples vote on all others: cluster as many samples as
    is quick, keep the centers, and pass the other samples chunk by chunk.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        A chunk of samples. float16, float32 and float64 are read without a copy, with any strides
        and from memory maps; integers are converted.
    codebooks : list of array-likes of shape (n_centers, n_features)
        The centers of each clustering. The number of centers and the dtype may differ.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        The distance, as for `kneighbors`. Use "euclidean" for k-means and "cosine" for spherical
        k-means.
    columns : list, optional
        For each codebook, the columns of X that its centers use, as an integer array in the order
        of the centers' columns; None for all. Its centers then have shape (n_centers,
        len(columns[i])). Codebooks with equal columns share work.
    table : SignatureTable, optional
        Count the signatures in this table, as its `update` does, and return their ids instead of
        the labels. Only one block of labels is in memory at a time.
    out : array, optional
        Array to write to: C-contiguous, writable, with the shape of the result. May be a memory
        map. Its dtype is int16 (if no codebook has more than 32,767 centers) or int32; with
        `table`, int32 or int64. Its contents are unspecified if the call fails.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    partitions : integer array of shape (n_samples, n_codebooks)
        The index of each sample's nearest center; of centers at the same distance, the lowest
        index. This is `out` where given; otherwise int16 if no codebook has more than 32,767
        centers, else int32.
    ids : integer array of shape (n_samples,)
        Returned instead if `table` is given. This is `out` where given, otherwise int32.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or if X or a codebook holds NaN, infinity
        or values beyond 1e150.
    MemoryError
        If too little memory is available. An error of any kind leaves the table unchanged.

    Notes
    -----
    The result is as if all distances had been computed in double precision. In fact, a block of
    samples is centered and packed once, and compared with all codebooks while it is in the cache,
    by dot products in low precision (bfloat16 if the processor has instructions for it, otherwise
    float32). Only the centers that an error bound cannot tell from the nearest are compared in
    double precision. The result does not depend on chunks, threads or instruction sets.

    The time is O(n_samples n_features n_centers of all codebooks); it grows with the number of
    centers that are nearly as near as the nearest. Memory beyond the result is 16 bytes per value
    of the codebooks, about 3 MiB per thread, and 32 MiB with `table`.

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

    Signatures at once, chunk by chunk:

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
    centers, column_numbers = as_codebooks(codebooks, columns, points.shape[1])
    as_choice(metric, "metric", METRICS)
    n_threads = as_n_threads(n_jobs)
    if table is None:
        shape: tuple[int, ...] = (len(points), len(centers))
        fits_int16 = max(map(len, centers)) <= _INT16_MAX
        dtypes = _LABEL_DTYPES if fits_int16 else _LABEL_DTYPES[1:]
    else:
        _check_table(table, len(centers))
        shape, dtypes = (len(points),), _ID_DTYPES
    result = as_out(out, shape, dtypes, (points, *centers), "X or the codebooks")
    with progress(verbose) as show:
        if table is None:
            _core.assign_codebooks(
                points, centers, column_numbers, metric, result.reshape(-1), n_threads, show
            )
        else:
            _core.assign_signatures(
                points,
                centers,
                column_numbers,
                metric,
                table.kernel_table,
                result,
                n_threads,
                show,
            )
    return result


def _check_table(table: Any, n_codebooks: int) -> None:
    if not isinstance(table, SignatureTable):
        raise TypeError(f"table must be a SignatureTable, got {type(table).__name__}")
    if table.n_partitions != n_codebooks:
        raise ValueError(
            f"table must have {n_codebooks} partitions, one per codebook, got {table.n_partitions}"
        )
