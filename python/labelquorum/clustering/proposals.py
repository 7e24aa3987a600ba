"""What an earlier model proposed, as votes beside the labels that people gave since.

Without labels of people, proposals only name categories (`Origins.names`). With them, they vote, as
those of a voter who may be wrong: so a few corrections change what they correct, and not whole
categories. What people say may also name a category that the model could only number, or split it:

- A new name is at home in a proposed category if most of its labels lie among proposals of that.
- A category that the model numbered takes the only new name at home in it, if no label has its own.
- If there are several names, and fewer labels have its own, its proposals do not vote. Nor do they
  if people labeled a quarter of its samples, most of these with other names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.frame import Rows
from labelquorum._shared.label_reader import Labels, array_of_names
from labelquorum._shared.names import is_numbered
from labelquorum.neighbors.search import kneighbors

_N_NEIGHBORS = 10
_MANY_CHANGED = 0.25  # share of the samples of a category


def voting_proposals(
    rows: Rows,
    known_names: NDArray[Any],
    known: NDArray[np.int32],
    proposed: Labels,
    n_threads: int,
) -> NDArray[Any]:
    """Return the votes of proposals: (n_samples,), None for none.

    Parameters
    ----------
    rows : array of shape (n_samples, n_columns)
        The samples, in their frame.
    known_names : array of shape (n_known,)
        The names of known categories.
    known : int32 array of shape (n_samples,)
        The known category of each sample, -1 without one.
    proposed : Labels
        The proposals, of samples without a known category.
    n_threads : int
        Number of threads.
    """
    names: list[Any] = proposed.classes.tolist()
    place_of = {name: k for k, name in enumerate(names)}
    own = np.array([place_of.get(name, -1) for name in known_names.tolist()])
    labels_in = _labels_in(rows, known, len(known_names), proposed, n_threads)
    homes = np.where(own < 0, labels_in.argmax(axis=0), -1)
    homes[2 * labels_in.max(axis=0) <= np.bincount(known[known >= 0])] = -1
    sizes = np.bincount(proposed.codes[proposed.codes >= 0], minlength=len(names))
    votes = [
        _vote(name, labels_in[k], own == k, np.flatnonzero(homes == k), known_names, int(sizes[k]))
        for k, name in enumerate(names)
    ]
    return array_of_names([*votes, None])[proposed.codes]


def _vote(
    name: Any,
    labels: NDArray[np.int64],
    is_own: NDArray[np.bool_],
    at_home: NDArray[np.intp],
    known_names: NDArray[Any],
    n_proposals: int,
) -> Any:
    """The name that the proposals of a category vote for; None for none.

    `labels` counts the known labels in it by name.
    """
    n_own, n_others = int(labels[is_own].sum()), int(labels[~is_own].sum())
    if n_others > n_own and n_others >= _MANY_CHANGED * (n_proposals + labels.sum()):
        return None
    if not len(at_home) or not is_numbered(name) or n_own >= labels[at_home].sum():
        return name
    return known_names[at_home[0]] if len(at_home) == 1 and not n_own else None


def _labels_in(
    rows: Rows, known: NDArray[np.int32], n_known: int, proposed: Labels, n_threads: int
) -> NDArray[np.int64]:
    """Count the known labels among proposals: (n_proposed, n_known).

    A label is where most of the nearest other samples are, and among no proposals if these have
    known labels with its own name: it is at home there.
    """
    n_proposed = len(proposed.classes)
    codes = np.where(known >= 0, n_proposed + known, proposed.codes)
    labeled, named = np.flatnonzero(known >= 0), np.flatnonzero(codes >= 0)
    n_neighbors = min(_N_NEIGHBORS + 1, len(named))
    nearest = named[kneighbors(rows[named], n_neighbors, Y=rows[labeled], n_jobs=n_threads)[1]]
    is_other = nearest != labeled[:, None]
    places = np.broadcast_to(np.arange(len(labeled))[:, None], nearest.shape)
    counts = sparse.csr_array(
        (np.ones(is_other.sum()), (places[is_other], codes[nearest[is_other]])),
        shape=(len(labeled), n_proposed + n_known),
    )
    home = counts.argmax(axis=1)
    is_among = home < n_proposed
    labels_in = np.zeros((n_proposed, n_known), dtype=np.int64)
    np.add.at(labels_in, (home[is_among], known[labeled[is_among]]), 1)
    return labels_in
