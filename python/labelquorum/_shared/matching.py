"""What two clusterings share, and the best one-to-one matching of their clusters.

Both take memory for the pairs of clusters that share something, not for all pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core

if TYPE_CHECKING:
    from scipy import sparse

Integers = NDArray[np.integer[Any]]

_MAX_CELLS = 10**10  # Of the table of one part: about a minute.
_FEW_CELLS = 4096
_CELLS_PER_PAIR = 16


def shared_counts(
    first: Integers,
    second: Integers,
    shape: tuple[int, int],
    weights: NDArray[Any] | None = None,
) -> sparse.coo_array:
    """Return the number of samples, or the sum of their weights, of each pair of clusters.

    Only pairs with a sample are stored, each once, in order of rows and columns.
    """
    from scipy import sparse

    if weights is None:
        weights = np.ones(len(first))
    counts = sparse.coo_array((weights, (first, second)), shape=shape).tocsr()
    counts.sum_duplicates()
    return counts.tocoo()


def mutual_information(
    first: Integers, second: Integers, weights: NDArray[Any] | None = None
) -> float:
    """Return the mutual information of two clusterings in nats. All numbers are 0 or higher."""
    if len(first) == 0:
        return 0.0
    shape = (int(first.max()) + 1, int(second.max()) + 1)
    joint = shared_counts(first, second, shape, weights)
    shares = joint / joint.sum()
    rows, columns = shares.coords
    by_chance = shares.sum(axis=1)[rows] * shares.sum(axis=0)[columns]
    return float((shares.data * np.log(shares.data / by_chance)).sum())


def best_matching(values: sparse.coo_array) -> tuple[Integers, Integers]:
    """Match rows and columns one to one, so that the sum of the values is largest.

    Parameters
    ----------
    values : coo_array of shape (n, m)
        Above 0, each place stored once. What is not stored is not matched.

    Returns
    -------
    rows, columns : integer arrays of shape (n_matched,)

    Raises
    ------
    WorkLimitError
        If values link so many rows and columns that their table would have over 10^10 cells.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n, m = values.shape
    rows, columns = values.coords
    links = sparse.coo_array((np.ones(values.nnz), (rows, columns + n)), shape=(n + m, n + m))
    n_parts, part_of = connected_components(links, directed=False)
    order = np.argsort(part_of[rows], kind="stable")
    rows, columns, data = rows[order], columns[order], values.data[order]
    parts = part_of[rows]
    n_rows = np.bincount(part_of[:n], minlength=n_parts)
    n_columns = np.bincount(part_of[n:], minlength=n_parts)

    # Parts of one row or one column, often nearly all: their largest value.
    is_star = np.minimum(n_rows, n_columns)[parts] == 1
    stars = np.flatnonzero(is_star)
    by_value = stars[np.lexsort((-data[stars], parts[stars]))]
    is_first = np.diff(parts[by_value], prepend=-1) != 0
    others = np.flatnonzero(~is_star)
    ends = np.flatnonzero(np.diff(parts[others])) + 1
    matched = [
        places[_matched_in_part(rows[places], columns[places], data[places])]
        for places in np.split(others, ends)
        if len(places)
    ]
    found = np.concatenate([by_value[is_first], *matched])
    return rows[found], columns[found]


def _matched_in_part(rows: Integers, columns: Integers, data: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the values of one connected part are matched."""
    from scipy import sparse
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    row_names, rows = np.unique(rows, return_inverse=True)
    column_names, columns = np.unique(columns, return_inverse=True)
    n, m = len(row_names), len(column_names)
    partner = np.full(n, -1)
    if n * m > _MAX_CELLS:
        raise _core.WorkLimitError(
            f"{n} classes and {m} clusters that share samples with each other make {n * m} "
            f"combinations: at most {_MAX_CELLS} can be matched"
        )
    if n * m <= max(_FEW_CELLS, _CELLS_PER_PAIR * len(data)):
        table = np.zeros((n, m))
        table[rows, columns] = data
        matched_rows, matched_columns = linear_sum_assignment(table, maximize=True)
        partner[matched_rows] = matched_columns
    else:
        # A row may also go to a column of its own, at no gain. Costs must not be 0.
        most = data.max() + 1
        costs = sparse.csr_array((most - data, (rows, columns)), shape=(n, m))
        alone = sparse.dia_array((np.full((1, n), most), [0]), shape=(n, n))
        both = sparse.csr_matrix(sparse.hstack([costs, alone]))
        matched_rows, matched_columns = min_weight_full_bipartite_matching(both)
        partner[matched_rows] = matched_columns
    is_matched: NDArray[np.bool_] = partner[rows] == columns
    return is_matched
