"""What `ConsensusClusterer` does with its tree after a fit: other cuts, and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_n_threads, as_positive
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.frame import Frame
from labelquorum._shared.label_reader import Labels
from labelquorum._shared.labels import to_labels
from labelquorum._shared.origins import Origins
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import (
    INTEGERS,
    check_features,
    check_kinds,
    check_length,
    check_stored,
)
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.consensus import ConsensusTree
from labelquorum.clustering.layers import Layers, layers_of
from labelquorum.clustering.outcome import Categories, Outcome, categories_of
from labelquorum.clustering.rejection import Trial
from labelquorum.text.source import TextSource
from labelquorum.text.tfidf import TfidfEmbedder

if TYPE_CHECKING:
    import pandas as pd

_MIN_SIZE = 10  # of a new category, if their number is not given


class LayeredClusterer(Saved):
    """Cuts the tree of a fitted `ConsensusClusterer` at any number of categories; can be saved."""

    n_clusters: int | None
    min_cluster_size: int | None
    n_jobs: int | None
    n_features_in_: int
    n_clusters_: int
    partitions_: NDArray[np.int32]
    partition_weights_: NDArray[np.float64]
    suspect_labels_: NDArray[np.intp]
    classifier_: Any
    classes_: NDArray[Any]
    outcome_: Outcome
    source_: TextSource | None
    _frame: Frame
    _tree: ConsensusTree
    _layers: Layers | None
    _trial: Trial
    _places: NDArray[np.int32]
    """(n_fitted,): what has become of each category that `fit` found, by its number."""
    _is_edited: bool
    """Whether people changed categories since the tree was linked."""

    @classmethod
    def __saved_parts__(cls) -> tuple[type, ...]:
        """Return the classes of the values that `fit` sets."""
        of_outcome = Ballots, Categories, DistinctRows, Labels, Origins, Outcome
        of_texts = TextSource, TfidfEmbedder
        return *of_outcome, *of_texts, ConsensusTree, Frame, Layers, Trial

    def __saved_state__(self) -> dict[str, dict[str, Any]]:
        """Return the parameters and what `fit` learned."""
        self._check_source()
        return super().__saved_state__()

    @classmethod
    def __of_saved_state__(cls, parameters: dict[str, Any], learned: dict[str, Any]) -> Any:
        """Make a fitted estimator; files of earlier versions have no source."""
        return super().__of_saved_state__(parameters, {"source_": None, **learned})

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        if self.min_cluster_size is not None:
            as_positive(self.min_cluster_size, "min_cluster_size")
        check_kinds(self, outcome_=Outcome, _frame=Frame, _tree=ConsensusTree, _trial=Trial)
        outcome, n = self.outcome_, len(self.outcome_.categories.numbers)
        n_columns = outcome.features.shape[1]
        if self._frame.shape != (self.n_features_in_, n_columns):
            raise ValueError(
                f"rows must have {n_columns} columns from {self.n_features_in_} features, got "
                f"{self._frame.shape}"
            )
        self._check_source()
        if self._layers is not None:
            check_kinds(self, _layers=Layers)
            check_stored(self._layers.numbers[0], "layers", np.int32, (n,))
        check_stored(self._tree.ballots.ids, "ids", np.int32, (n,))
        for name in ("labels_", "pseudo_labels_", "confidence_", "probabilities_"):
            check_length(getattr(self, name), name, n)
        check_length(self.classes_, "classes_", outcome.categories.n_categories)
        check_stored(self.n_clusters_, "n_clusters_", np.int64, (), (len(self.classes_),) * 2)
        check_stored(self.partitions_, "partitions_", np.int32, (n, None))
        weights = self.partition_weights_
        check_stored(weights, "partition_weights_", np.float64, self.partitions_.shape[1:])
        check_stored(self.suspect_labels_, "suspect_labels_", INTEGERS, (None,), (0, n - 1))
        check_stored(self._places, "places", np.int32, (None,), (0, len(self.classes_) - 1))
        check_stored(self._is_edited, "is_edited", np.bool_, ())
        if self.classifier_ is not None:
            check_features(self.classifier_, self.n_features_in_)
            numbers, n_numbers = self.classifier_.classes_, len(self._places)
            check_stored(numbers, "classes_", INTEGERS, (None,), (0, n_numbers - 1))

    def _check_source(self) -> None:
        """Raise an error unless texts become samples by what users may have set."""
        if self.source_ is None:
            return
        check_kinds(self, source_=TextSource)
        if self.source_.n_columns not in (None, self.n_features_in_):
            raise ValueError(
                f"source_ must make vectors of {self.n_features_in_} columns, as the samples have, "
                f"got {self.source_.n_columns}"
            )

    def _min_size(self, n_clusters: int | None) -> int:
        """The smallest size of a new category, if this number of them is asked for."""
        if self.min_cluster_size is not None:
            return self.min_cluster_size
        return _MIN_SIZE if n_clusters is None else 1

    def _categories(
        self, n_clusters: int, min_size: int, groups: NDArray[np.int32] | None
    ) -> Categories:
        tree = self._linked()
        return categories_of(tree.ballots, tree.cut(n_clusters, min_size), groups, min_size)

    def _linked(self) -> ConsensusTree:
        """The tree. After changes, it is linked anew around what is known since."""
        if not self._is_edited:
            return self._tree
        outcome = self.outcome_
        if outcome.n_known:
            numbers = outcome.categories.numbers
            members = np.where(numbers < outcome.n_known, numbers, np.int32(-1))
            if outcome.known is not None:
                members = np.where(outcome.known >= 0, outcome.known, members)
            n_threads = as_n_threads(self.n_jobs)
            self._tree = self._tree.linked_anew(members, self.n_clusters_, n_threads)
        self._is_edited = False
        return self._tree

    @property
    def cluster_layers_(self) -> list[NDArray[Any]]:
        """Nested partitions, finest first; see the class."""
        return [self._labels_of(numbers) for numbers in self._fitted_layers().numbers]

    @property
    def persistence_scores_(self) -> NDArray[np.float64]:
        """How long each layer persists; see the class."""
        return self._fitted_layers().persistence

    @property
    def layers_table_(self) -> pd.DataFrame | NDArray[np.void]:
        """A table with a row for each of `cluster_layers_`.

        Columns: "n_clusters" (number of categories), "persistence" (of `persistence_scores_`),
        "smallest", "median" and "largest" (sizes of categories), "chosen" (whether it is
        `labels_`). Without pandas it is a structured array with these fields, after "layer".
        """
        return self._fitted_layers().table()

    def _fitted_layers(self) -> Layers:
        check_is_fitted(self)
        if self._layers is None:
            outcome, min_size = self.outcome_, self._min_size(self.n_clusters)
            self._layers = layers_of(
                self._linked(),
                outcome.categories,
                lambda n: self._categories(n, min_size, outcome.groups),
                outcome.n_known,
                min_size,
            )
        return self._layers

    def _labels_of(self, numbers: NDArray[np.int32]) -> NDArray[Any]:
        """The names of categories by number, of which the known ones come first."""
        names = self.outcome_.names(self.classes_, numbers)
        return to_labels(names, self.outcome_.as_labels(numbers))

    def cut(self, n_clusters: int) -> NDArray[Any]:
        """Label the training samples with fewer or more categories, from the same votes.

        Parameters
        ----------
        n_clusters : int
            Number of categories. All known ones are kept; of the new ones, those of at least
            `min_cluster_size` samples (1 if that is None).

        Returns
        -------
        array of shape (n_samples,)
            `labels_` for the number given to the fit; else the layer with this number of categories
            (see `cluster_layers_`); if there is none, as `labels_` after a fit with it. The
            estimator does not change.
        """
        check_is_fitted(self)
        n_known = self.outcome_.n_known
        n_clusters = max(n_known, as_positive(n_clusters, "n_clusters"))
        if n_clusters == self.n_clusters:  # of which the partitions may tell fewer apart
            return self._labels_of(self.outcome_.categories.numbers)
        numbers = self._fitted_layers().of_size(n_clusters)
        if numbers is None:
            min_size = self._min_size(n_clusters)
            numbers = self._categories(n_clusters, min_size, self.outcome_.groups).numbers
        return self._labels_of(numbers)
