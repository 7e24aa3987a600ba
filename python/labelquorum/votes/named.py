"""The array that `combine_votes` returns: partitions that remember names and weights."""

from __future__ import annotations

from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Names: TypeAlias = tuple[Any, ...]
"""What the numbers of a column stand for."""


class CombinedVotes(np.ndarray):
    """Partitions, int32 of shape (n_samples, n_partitions), with what is known of each column.

    Rows and columns of it know the same of their columns. Results of computations are plain arrays.
    Arrays of another shape or type have neither names nor weights.

    Attributes
    ----------
    names : tuple with an item for each column
        The names that the column's numbers stand for; None if its labels were mere numbers.
    weights : tuple of floats with an item for each column
        How much an agreement in the column counts; 1 by default, and 0 for not at all.
    """

    names: tuple[Names | None, ...]
    weights: tuple[float, ...]

    def __new__(  # noqa: D102
        cls,
        columns: NDArray[np.int32],
        names: tuple[Names | None, ...],
        weights: tuple[float, ...],
    ) -> Self:
        votes = np.asarray(columns).view(cls)
        votes.names, votes.weights = names, weights
        return votes

    def __array_finalize__(self, parent: Any) -> None:
        self.names, self.weights = (), ()

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, key: Any) -> Any:
        part = np.asarray(self)[key]
        places = np.arange(len(self.names))
        if isinstance(key, tuple) and len(key) == 2 and Ellipsis not in [*map(_plain, key)]:
            places = places[key[1]]
        if np.ndim(part) != 2 or np.shape(places) != (part.shape[1],):
            return part
        return CombinedVotes(
            part,
            tuple(self.names[i] for i in places),
            tuple(self.weights[i] for i in places),
        )

    def copy(self, order: Any = "C") -> CombinedVotes:
        """Return a copy with the same names and weights."""
        return CombinedVotes(np.asarray(self).copy(order), self.names, self.weights)

    def __repr__(self) -> str:
        return repr(np.asarray(self))

    def __copy__(self) -> CombinedVotes:
        return self.copy()

    def __deepcopy__(self, _memo: Any) -> CombinedVotes:
        return self.copy()

    def __reduce__(self) -> Any:
        return CombinedVotes, (np.asarray(self), self.names, self.weights)


def remembered(
    votes: Any,
) -> tuple[tuple[Names | None, ...], tuple[float, ...]] | None:
    """Return the names and weights of all columns; None if an array knows nothing of them."""
    if isinstance(votes, CombinedVotes) and votes.weights:
        return votes.names, votes.weights
    return None


def _plain(key: Any) -> Any:
    """A key that can be compared with Ellipsis: arrays compare item by item."""
    return None if isinstance(key, np.ndarray) else key
