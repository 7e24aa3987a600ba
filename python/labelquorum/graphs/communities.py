"""Communities of a graph: partitions that follow the shape of the data, in near-linear time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core
from labelquorum._shared.arguments import as_n_threads, as_positive
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_array, as_graph
from labelquorum.graphs.csr import symmetrize_graph, with_usual_weights


def communities(
    graph: Any,
    resolution: ArrayLike = 1.0,
    *,
    n_rounds: int = 2,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> NDArray[np.int32]:
    """Find communities: groups of nodes with more weight between them than their degrees predict.

    Parameters
    ----------
    graph : SciPy sparse matrix or array of shape (n_nodes, n_nodes)
        Affinities of at least 0, not distances. The weights of both directions are added.
    resolution : float or array-like of shape (n_partitions,), default=1.0
        Above 0. Larger values give more and smaller communities; 1 is plain modularity.
    n_rounds : int, default=2
        Passes over the graph. Each starts from the result of the last; they end early if one
        changes nothing.
    random_state : int, RandomState instance or None, default=None
        Determines the order in which nodes are visited.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it. Each thread
        works on another resolution.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_nodes,), or (n_nodes, n_partitions) for several resolutions
        The community of each node. Communities are numbered from 0 in the order of their first
        nodes. Each resolution visits the nodes in a random order of its own.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a weight is negative or not finite.
    MemoryError
        If too little memory is available.

    See Also
    --------
    kneighbors_graph, affinity_graph : graphs of samples.

    Notes
    -----
    The Leiden algorithm (Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing
    well-connected communities", Scientific Reports 9, 2019) for modularity with a resolution
    (Reichardt and Bornholdt, Physical Review E 74, 2006). Parts of a community are grown greedily.
    The time is nearly O(edges) per partition; each thread needs memory of about three times the
    graph.

    Examples
    --------
    Two triangles, joined by one edge:

    >>> import labelquorum as lq
    >>> import numpy as np
    >>> from scipy import sparse
    >>> ends = np.array([[0, 0, 1, 2, 3, 3, 4], [1, 2, 2, 3, 4, 5, 5]])
    >>> graph = sparse.coo_array((np.ones(7), ends), shape=(6, 6))
    >>> lq.communities(graph, random_state=0)
    array([0, 0, 0, 1, 1, 1], dtype=int32)
    >>> lq.communities(graph, [0.1, 1.0], random_state=0).T
    array([[0, 0, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 1]], dtype=int32)
    """
    from sklearn.utils import check_random_state

    n_threads = as_n_threads(n_jobs)
    resolutions = _as_resolutions(resolution)
    as_positive(n_rounds, "n_rounds")
    usual = with_usual_weights(as_graph(graph))
    both_ways = symmetrize_graph(usual, combine="sum", self_loops=True, n_jobs=n_threads)
    seeds = check_random_state(random_state).randint(2**31, size=resolutions.size).tolist()
    with progress(verbose) as show:
        partitions = _core.communities(
            both_ways.indptr,
            both_ways.indices,
            both_ways.data,
            resolutions.ravel().astype(float).tolist(),
            seeds,
            n_rounds,
            n_threads,
            show,
        )
    if resolutions.ndim == 0:
        return partitions[0]
    return np.stack(partitions, axis=1)


def _as_resolutions(resolution: ArrayLike) -> NDArray[Any]:
    resolutions = as_array(resolution, "resolution")
    wanted = "a number above 0, or a 1-D array of such numbers"
    if resolutions.dtype.kind not in "iuf":
        raise TypeError(f"resolution must be {wanted}, got dtype {resolutions.dtype}")
    if resolutions.ndim > 1 or not resolutions.size:
        raise ValueError(f"resolution must be {wanted}, got shape {resolutions.shape}")
    if not (np.isfinite(resolutions) & (resolutions > 0)).all():
        raise ValueError(f"resolution must be {wanted}, got {resolution!r}")
    return resolutions
