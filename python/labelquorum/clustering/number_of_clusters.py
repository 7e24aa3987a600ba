"""TODO."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.utils import check_random_state

from labelquorum._shared.frame import Rows
from labelquorum.clustering.views import View, _communities, _space

_AGREEING_ROWS, _AGREEING_VIEWS, _LEVELS = 6_000, 4, 20
_MOST_AGREED = 2.5  # clusters, in roots of the number of rows
_FEWEST_COUNTED = 3  # samples
# Views of noise (uniform or one Gaussian, 1 to 100 columns; shuffled columns) agree by at most 0.75
# with 3,000 rows, 0.78 with 1,500, 0.81 with 700 and 0.86 with 200.
_BY_NOISE, _BY_FEW = 0.73, 2.0


def natural_number(
    rows: Rows, min_size: int, random_state: Any, n_threads: int, show: Any = None
) -> tuple[int | None, float]:
    """The number of clusters on which views of some rows agree most, and how much they agree.

    Four views are each cut at rising resolutions. What they agree on beyond chance (the mean
    adjusted mutual information of pairs, smoothed over resolutions) is highest where none of them
    has to cut what belongs together, or to join what does not. None where even that is no more
    than noise gives.
    """
    rng = check_random_state(random_state)
    n_samples = len(rows)
    if n_samples > _AGREEING_ROWS:
        rows = rows[np.sort(rng.choice(n_samples, _AGREEING_ROWS, replace=False))]
    wanted = np.geomspace(2, max(3.0, _MOST_AGREED * np.sqrt(len(rows))), _LEVELS)
    least = max(_FEWEST_COUNTED, min_size * len(rows) / n_samples)
    numbers = np.empty((_AGREEING_VIEWS, _LEVELS))
    found = []
    for v, seed in enumerate(rng.randint(2**31, size=_AGREEING_VIEWS)):
        of_view = np.random.RandomState(seed)
        view = View.of(_space(rows, v % 2 == 1, of_view), v // 2 % 2 == 1, seed, n_threads)
        resolutions = view.scale(n_threads).resolution(wanted)
        found.append(_communities(view.graph, resolutions, 1, of_view, n_threads))
        numbers[v] = [(np.bincount(part) >= least).sum() for part in found[v]]
        if show is not None:
            show("number of clusters", (v + 1) / _AGREEING_VIEWS)
    agreement = [
        np.mean([_adjusted_agreement(a, b) for a, b in combinations(parts, 2)])
        for parts in zip(*found, strict=True)
    ]
    smooth = np.convolve(np.pad(agreement, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    best = int(smooth.argmax())
    if smooth[best] < _BY_NOISE + _BY_FEW / np.sqrt(len(rows)):
        return None, float(smooth[best])
    return max(1, round(numbers[:, best].mean())), float(smooth[best])


def _adjusted_agreement(first: NDArray[np.int32], second: NDArray[np.int32]) -> float:
    """Adjusted mutual information; 0 with one cluster, which tells nothing."""
    if not first.any() or not second.any():
        return 0.0
    return float(adjusted_mutual_info_score(first, second))
