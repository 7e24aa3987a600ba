"""Features as networks take them: centered, and scaled so that a usual one spreads by 0.3."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import as_non_negative
from labelquorum._shared.frame import OUTLIER_RATIO, center_of_most, largest_distance
from labelquorum._shared.sealed import check_stored

# The standard deviation that all features together are scaled to. It is that of the pixels of
# MNIST, for which the default noise is known to suit.
_SPREAD = 0.3
_MOST_USUAL_DISTANCES = 10  # where samples beyond `OUTLIER_RATIO` are moved to
_LEAST_EXPONENT = -1000  # The scale of smaller values would overflow.


@dataclass(frozen=True, eq=False)
class Scaling:
    """How samples become features."""

    mean: NDArray[np.float64]
    """(n_features,): subtracted; samples that are extremely far away do not count."""
    scale: float
    """A power of two by which centered samples are multiplied first, so that squares fit."""
    factor: float
    """By which they are multiplied then."""
    limit: float
    """The largest magnitude of a feature: what is farther away is moved there."""

    @classmethod
    def of(cls, rows: NDArray[np.floating[Any]]) -> Scaling:
        """Learn the scaling from finite samples of shape (n_samples, n_features)."""
        mean, usual_distance = center_of_most(rows)
        limit = largest_distance(rows, mean)
        if 0 < OUTLIER_RATIO * usual_distance < limit:
            limit = _MOST_USUAL_DISTANCES * usual_distance
        scale = 2.0 ** -max(math.frexp(limit)[1], _LEAST_EXPONENT)
        columns = (((rows[:, j] - mean[j]) * scale) for j in range(rows.shape[1]))
        variances = [np.var(column.clip(-limit * scale, limit * scale)) for column in columns]
        spread = float(np.sqrt(np.mean(variances)))
        factor = _SPREAD / spread if spread > 0 else 1.0
        # New samples may lie farther away than those of `fit`.
        return cls(mean, scale, factor, 2 * limit * scale * factor)

    def features(self, rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scale samples. The result is in C order: batches are rows, and checkpoints hash it."""
        scaled = (rows - self.mean) * self.scale * self.factor
        return scaled.clip(-self.limit, self.limit).astype(np.float32, order="C")

    def facts(self) -> dict[str, float]:
        """Return what a file holds beside the mean."""
        return {"scale": self.scale, "factor": self.factor, "limit": self.limit}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], mean: NDArray[np.float64]) -> Scaling:
        """Make the scaling from what a file holds; raise TypeError or ValueError if it is wrong."""
        check_stored(mean, "mean", np.float64, (None,))
        scale, factor, limit = (
            as_non_negative(facts[name], name) for name in ("scale", "factor", "limit")
        )
        return cls(mean, scale, factor, limit)
