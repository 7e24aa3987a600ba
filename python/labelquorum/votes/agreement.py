"""How many partitions agree on two samples: degrees, graph and co-association.

`agreement_degrees` and `agreement_graph` compare signatures; `coassociation` compares given pairs
of samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import INT32_MAX, as_columns, as_min_agree, as_n_threads
from labelquorum._shared.progress import Show, progress
from labelquorum._shared.samples import as_array
from labelquorum.votes.collapse import as_votes, n_partitions_of, run_on_signatures
from labelquorum.votes.signatures import SignatureTable

if TYPE_CHECKING:
    from scipy import sparse


def agreement_degrees(
    partitions: Any, min_agree: float, *, n_jobs: int | None = None, verbose: bool = False
) -> NDArray[np.int64]:
    """Count, for each sample, the samples that agree with it in enough partitions.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions), or SignatureTable
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value is an abstention: the model does not vote on the sample.
    min_agree : float or int
        Partitions that must agree. A float in (0, 1] is a fraction of all, rounded up; an int from
        1 to n_partitions is a number of votes.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int64 array of shape (n_samples,), or (len(table),) for a SignatureTable
        Number of samples that agree with the sample in at least `min_agree` partitions, itself
        included. A sample with fewer votes than that has 0.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    WorkLimitError
        If every way to count would take too long; the message says how long and what to change.
    MemoryError
        If too little memory is available.

    Notes
    -----
    The counts are exact. With U signatures, M partitions and t votes, the cheapest of three ways is
    taken:

    - subsets: for each subset of at least t columns, count the signatures that are equal in these
      columns. The counts form a triangular system. Cost: ``U * sum(comb(M, s) for s in range(t, M +
      1))``.
    - pairs: compare all pairs, bit-parallel. Cost: ``U**2 * M``.
    - blocks: compare only pairs that are equal in one of ``M - t + 1`` blocks of columns.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.agreement_degrees([[0, 0, 0, 1], [0, 0, 1, 1], [2, 2, 2, -1]], min_agree=2)
    array([3, 3, 3, 1])

    Two models abstain on the last sample, so it agrees with no sample, not even itself:

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
    """Count as `agreement_degrees` does, in the given way; None takes the cheapest."""
    n_threads = as_n_threads(n_jobs)
    votes = as_votes(partitions)
    votes_to_agree = as_min_agree(min_agree, n_partitions_of(votes))

    def count(
        table: _core.SignatureTable, mask: NDArray[np.uint8] | None, show: Show
    ) -> NDArray[np.int64]:
        return _core.agreement_degrees(table, votes_to_agree, way or "automatic", n_threads, show)

    return run_on_signatures(count, votes, np.int64, 0, n_threads=n_threads, verbose=verbose)


def agreement_graph(
    table: SignatureTable, min_agree: float, *, n_jobs: int | None = None, verbose: bool = False
) -> sparse.csr_array:
    """Build the graph whose edges join signatures that agree in enough partitions.

    Parameters
    ----------
    table : SignatureTable
        The U signatures.
    min_agree : float or int
        Partitions that must agree. A float in (0, 1] is a fraction of all, rounded up; an int from
        1 to n_partitions is a number of votes.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (U, U) and dtype int32
        Symmetric. An edge's value is the number of agreeing partitions. A signature with enough
        votes has an edge to itself. Indices are sorted, int32 where they fit, otherwise int64.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.
    WorkLimitError
        If it would take too long; the message says how long and what to change.
    MemoryError
        If the edges need more memory than is available; the message says how much.

    Notes
    -----
    Memory is 8 bytes per edge; the edges are counted before they are stored. The time is that of
    `agreement_degrees` by pairs.

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
        raise TypeError(f"table must be a SignatureTable, got {type(table).__name__}")
    votes_to_agree = as_min_agree(min_agree, table.n_partitions)
    n_threads = as_n_threads(n_jobs)
    with progress(verbose) as show:
        indptr, indices, data = _core.agreement_graph(
            table.kernel_table, votes_to_agree, n_threads, show
        )
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
    """Compute the share of partitions that agree on two samples, for given pairs of samples.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions)
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value is an abstention: the model does not vote on the sample.
    pairs : integer array of shape (m, 2), or SciPy CSR matrix or array of shape \
(n_samples, n_samples)
        Row numbers of each pair; or a matrix whose stored entries are the pairs. Its values do not
        matter.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.

    Returns
    -------
    float64 array of shape (m,), or scipy.sparse.csr_array with the same stored entries
        Number of partitions that agree, divided by the number of partitions in which both samples
        have a label; NaN if there are none.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

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
    matrix = _checked_copy(pairs, n_samples)
    matrix.data = _core.coassociation_csr(columns, matrix.indptr, matrix.indices, n_threads, None)
    return matrix


def _as_row_numbers(pairs: Any, n_samples: int) -> NDArray[np.int64]:
    array = as_array(pairs, "pairs")
    if array.dtype.kind not in "iu":
        raise TypeError(f"pairs must hold integers (row numbers), got dtype {array.dtype}")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"pairs must have shape (m, 2), got {array.shape}")
    for row in (array.min(initial=0), array.max(initial=0)):
        if not 0 <= row < n_samples:
            raise ValueError(f"pairs must hold row numbers from 0 to {n_samples - 1}, got {row}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _checked_copy(pairs: Any, n_samples: int) -> sparse.csr_array:
    # A copy, so that a change of the result in place does not reach the caller's matrix.
    from scipy import sparse

    if pairs.format != "csr":
        raise TypeError(
            f"pairs must have the sparse format 'csr', got {pairs.format!r}: use .tocsr()"
        )
    if pairs.shape != (n_samples, n_samples):
        raise ValueError(f"pairs must have shape {(n_samples, n_samples)}, got {pairs.shape}")
    matrix = sparse.csr_array(pairs, copy=True)
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"pairs must be a valid CSR matrix, got: {error}") from error
    return matrix
