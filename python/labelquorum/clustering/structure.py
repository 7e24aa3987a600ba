"""A test of whether samples have clusters at all.

The null hypothesis is noise without structure: samples that are spread evenly in as many dimensions
as the samples have locally. Samples have structure if their score (see `number_of_clusters`) is
above the prediction bound, at the level of 1 %, of scores of such noise. Gaussian samples, shuffled
columns, and skew or heavy-tailed ones score lower than uniform ones of the same dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from labelquorum._shared.frame import Rows
from labelquorum.neighbors.search import kneighbors

MAX_ROWS = 2_000
"""Rows that are enough for the test."""
LEVEL = 0.01
"""Probability that uniform noise is said to have structure."""
CERTAIN_SCORE = 1.85
"""No noise scores so high: on average 1.75 on a line, and less in more dimensions."""
_N_DRAWS = 5
_N_NEIGHBORS = 20


def has_structure(
    rows: Rows, score_of: Callable[[Rows], float], rng: np.random.RandomState, n_threads: int
) -> bool:
    """Say whether rows score higher than noise does.

    Parameters
    ----------
    rows : array of shape (n_rows, n_columns)
        Rows that differ, at most about `MAX_ROWS` for the sake of time.
    score_of : callable
        Returns the score of as many rows, of any number of columns.
    rng : RandomState
        Draws the noise.
    n_threads : int
        Number of threads.
    """
    shape = (len(rows), max(1, round(local_dimension(rows, n_threads))))
    scores = [score_of(rng.uniform(-1, 1, size=shape).astype(np.float32)) for _ in range(_N_DRAWS)]
    spread = np.std(scores, ddof=1) * np.sqrt(1 + 1 / _N_DRAWS)
    bound = np.mean(scores) + stats.t.ppf(1 - LEVEL, _N_DRAWS - 1) * spread
    return bool(score_of(rows) > bound)


def local_dimension(rows: Rows, n_threads: int) -> float:
    """Estimate in how many dimensions rows spread around each of them.

    By maximum likelihood from the distances to 20 neighbors (Levina and Bickel, NIPS 2004); their
    inverse is averaged over rows. Many dimensions are underestimated. Rows must differ.
    """
    distances, _ = kneighbors(rows, min(_N_NEIGHBORS, len(rows) - 1), n_jobs=n_threads)
    distances = np.maximum(distances, np.finfo(distances.dtype).tiny).astype(np.float64)
    mean_log_ratio = np.log(distances[:, -1:] / distances[:, :-1]).mean()
    n_ratios = distances.shape[1] - 1
    return float((n_ratios - 1) / n_ratios / max(mean_log_ratio, 1e-9))
