"""How many partitions agree on two samples: degrees, graph and co-association."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import INT32_MAX, as_columns, as_min_agree, as_n_threads
from labelquorum._shared.progress import progress
from labelquorum.votes.signatures import SignatureTable

if TYPE_CHECKING:
    from scipy import sparse


def agreement_degrees(
    partitions: Any, min_agree: float, *, n_jobs: int | None = None, verbose: bool = False
) -> NDArray[np.int64]:
    """Count for each sample the samples that enough partitions put together with it.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value means that the model abstains on the sample.
    min_agree : float or int
        Partitions that have to agree: a float in (0, 1] is a fraction of them, rounded up; an int
        from 1 to n_partitions is a number of votes.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int64 array of shape (n_samples,), or (len(table),) for a SignatureTable
        Number of samples, itself included, that agree with the sample in at least `min_agree`
        partitions. 0 for a sample with fewer votes than that.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range.
    WorkLimitError
        If every way to count would take too long; the message says how much and what to change.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Exact. With U signatures, M partitions and t votes it costs the least of
    ``U * sum(comb(M, s) for s in range(t, M + 1))`` (the counts of equal parts of rows, over the
    subsets of columns, form a triangular system), a bit-parallel comparison of all pairs
    (``U**2 * M``), and a comparison of those pairs that share one of ``M - t + 1`` blocks of
    columns.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.agreement_degrees([[0, 0, 0, 1], [0, 0, 1, 1], [2, 2, 2, -1]], min_agree=2)
    array([3, 3, 3, 1])

    Two models abstain on the last sample, so that it agrees with none, not even itself:

    >>> lq.agreement_degrees([[0, 0, 1], [0, 0, -1], [2, 2, -1]], min_agree=2)
    array([2, 2, 0])
    """
    return _degrees(partitions, min_agree, n_jobs=n_jobs, verbose=verbose)


def _degrees(
    partitions: Any,
    min_agree: float,
    *,
    way: Literal["subsets", "pairs", "blocks"] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> NDArray[np.int64]:
    """`agreement_degrees` by a forced way of counting; None takes the cheapest."""
    n_threads = as_n_threads(n_jobs)
    chosen = way or "automatic"
    if isinstance(partitions, SignatureTable):
        votes = as_min_agree(min_agree, partitions.n_partitions)
        with progress(verbose) as show:
            return _core.agreement_degrees(partitions._core, votes, chosen, n_threads, show)
    columns = as_columns(partitions)
    votes = as_min_agree(min_agree, len(columns))
    table = _core.SignatureTable(len(columns))
    ids = np.empty(len(columns[0]), dtype=np.int32)
    degrees = np.empty(len(columns[0]), dtype=np.int64)
    with progress(verbose) as show:
        table.update(columns, ids, None, n_threads, show)
        values = _core.agreement_degrees(table, votes, chosen, n_threads, show)
        _core.expand(ids, values, 0, degrees, n_threads, show)
    return degrees


def agreement_graph(
    table: SignatureTable, min_agree: float, *, n_jobs: int | None = None, verbose: bool = False
) -> sparse.csr_array:
    """Build the graph of signatures that agree in enough partitions.

    Parameters
    ----------
    table : SignatureTable
        Of U signatures.
    min_agree : float or int
        Partitions that have to agree: a float in (0, 1] is a fraction of them, rounded up; an int
        from 1 to n_partitions is a number of votes.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (U, U) and dtype int32
        Symmetric; the value is the number of agreeing partitions, the diagonal included where a
        signature has votes enough. Indices are sorted, and int32 where they fit, else int64.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or range.
    WorkLimitError
        If it would take too long; the message says how much and what to change.
    MemoryError
        If the edges need more memory than is available; the message says how much.

    Notes
    -----
    Memory is 8 bytes per edge; the number of edges is known before they are stored. Time as for
    `agreement_degrees`, comparing pairs.

    Examples
    --------
    >>> import labelquorum as lq
    >>> table = lq.SignatureTable(3)
    >>> _ = table.update([[0, 0, 1], [0, 0, 1], [0, 1, -1]])
    >>> lq.agreement_graph(table, min_agree=2).toarray()
    array([[3, 2, 0],
           [2, 3, 0],
           [0, 0, 2]], dtype=int32)
    """
    from scipy import sparse

    if not isinstance(table, SignatureTable):
        raise TypeError(f"table is a {type(table).__name__}; wanted a SignatureTable")
    votes = as_min_agree(min_agree, table.n_partitions)
    n_threads = as_n_threads(n_jobs)
    with progress(verbose) as show:
        indptr, indices, data = _core.agreement_graph(table._core, votes, n_threads, show)
    index_dtype = np.int32 if indptr[-1] <= INT32_MAX else np.int64
    n = len(indptr) - 1
    graph = sparse.csr_array(
        (data, indices.astype(index_dtype, copy=False), indptr.astype(index_dtype, copy=False)),
        shape=(n, n),
    )
    graph.has_canonical_format = True
    return graph


def coassociation(
    partitions: Any, pairs: Any, *, n_jobs: int | None = None
) -> NDArray[np.float64] | sparse.csr_array:
    """Compute the share of partitions that put two samples together, for given pairs of them.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions)
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value means that the model abstains on the sample.
    pairs : integer array of shape (m, 2), or SciPy CSR matrix or array of shape \
(n_samples, n_samples)
        Row numbers of the pairs; or a pattern, whose values do not matter.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.

    Returns
    -------
    float64 array of shape (m,), or scipy.sparse.csr_array of the given pattern
        Number of partitions that agree, divided by the number of those in which both samples have
        a label; NaN where there is none.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range.

    Notes
    -----
    O(m * n_partitions). The co-association matrix is that of Fred and Jain, "Combining multiple
    clusterings using evidence accumulation", IEEE TPAMI 27(6), 2005.

    Examples
    --------
    >>> import labelquorum as lq
    >>> partitions = [[0, 0, 1], [0, 0, 0], [3, 4, -1]]
    >>> lq.coassociation(partitions, [(0, 1), (0, 2)])
    array([0.66666667, 0.5       ])
    """
    columns = as_columns(partitions)
    n_threads = as_n_threads(n_jobs)
    n_samples = len(columns[0])
    if not hasattr(pairs, "tocsr"):
        rows = _as_row_numbers(pairs, n_samples)
        return _core.coassociation_pairs(columns, rows, n_threads, None)
    pattern = _as_pattern(pairs, n_samples)
    values = _core.coassociation_csr(columns, pattern.indptr, pattern.indices, n_threads, None)
    pattern.data = values
    return pattern


def _as_row_numbers(pairs: Any, n_samples: int) -> NDArray[np.int64]:
    array = np.asarray(pairs)
    if array.dtype.kind not in "iu":
        raise TypeError(f"pairs has dtype {array.dtype}; wanted integers (row numbers)")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"pairs has shape {array.shape}; wanted (m, 2)")
    for row in (array.min(initial=0), array.max(initial=0)):
        if not 0 <= row < n_samples:
            raise ValueError(f"pairs holds row {row}; wanted 0 to {n_samples - 1}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _as_pattern(pairs: Any, n_samples: int) -> sparse.csr_array:
    """A checked copy, so that a change of the result in place does not reach the caller's."""
    from scipy import sparse

    if pairs.format != "csr":
        raise TypeError(f"pairs has sparse format {pairs.format!r}; wanted 'csr': use .tocsr()")
    if pairs.shape != (n_samples, n_samples):
        raise ValueError(f"pairs has shape {pairs.shape}; wanted {(n_samples, n_samples)}")
    pattern = sparse.csr_array(pairs, copy=True)
    try:
        pattern.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"pairs is no valid CSR pattern: {error}") from error
    return pattern
