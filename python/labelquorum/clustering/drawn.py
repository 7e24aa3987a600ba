"""What is saved of a clusterer that is fitted to a sample of the data, as that of Dask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import INTEGERS, check_kinds, check_stored
from labelquorum.clustering.clusterer import ConsensusClusterer


class DrawnClusterer(Saved, BaseEstimator):
    """A clusterer that keeps an estimator in memory, and the samples that it was fitted to."""

    estimator_: ConsensusClusterer
    sample_: NDArray[np.int64]

    @classmethod
    def __saved_parts__(cls) -> tuple[type, ...]:
        """Return the classes of the values that `fit` sets."""
        return (ConsensusClusterer,)

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        check_kinds(self, estimator_=ConsensusClusterer)
        n = len(self.estimator_.labels_)
        check_stored(self.sample_, "sample_", INTEGERS, (n,), (0, np.iinfo(np.int64).max))
        if (np.diff(self.sample_) <= 0).any():
            raise ValueError("sample_ must be ascending")
