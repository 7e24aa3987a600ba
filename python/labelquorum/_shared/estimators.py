"""What estimators inherit beside scikit-learn's base classes, for samples without a label.

scikit-learn's mixins know nothing of such samples: `ClusterMixin.fit_predict` ignores `y`, and
`ClassifierMixin.score` takes "no label" for a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, ClusterMixin
from sklearn.utils.validation import check_consistent_length

from labelquorum._shared.labels import known_labels


class SemiSupervisedClusterMixin(ClusterMixin):
    """A clusterer that learns from `y`."""

    def fit_predict(self, X: Any, y: Any = None, **arguments: Any) -> NDArray[Any]:
        """Find the categories, and return the label of each sample.

        Parameters
        ----------
        X, y, **arguments
            As for `fit`.

        Returns
        -------
        array of shape (n_samples,)
            `labels_`.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `fit`.
        """
        labels: NDArray[Any] = self.fit(X, y, **arguments).labels_
        return labels


class SemiSupervisedClassifierMixin(ClassifierMixin):
    """A classifier that learns from samples with and without a label."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Measure the accuracy of `predict` on the samples that have a label in `y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, as for `predict`.
        y : array-like of shape (n_samples,)
            True labels. Samples without one (-1, or None among names) do not count.
        sample_weight : array-like of shape (n_samples,), optional
            The weight of each sample; None for equal weights.

        Returns
        -------
        float
            The share of right labels. A sample that `predict` gives no label counts as wrong.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or shape, or if y holds no label, or numbers where the
            classes are names.
        """
        predicted = self.predict(X)
        known = known_labels(y, len(predicted), type(self).__name__, shares=False)
        if _kind(known.classes) != _kind(self.classes_):
            raise TypeError(
                f"y must hold labels like those of fit, {self.classes_[:3].tolist()}, got "
                f"{known.classes[:3].tolist()}"
            )
        is_right = predicted[known.samples] == known.classes[known.shares.argmax(axis=1)]
        if sample_weight is not None:
            check_consistent_length(predicted, sample_weight)
            sample_weight = np.asarray(sample_weight, dtype=np.float64)[known.samples]
            if not (sample_weight >= 0).all() or not 0 < sample_weight.sum() < np.inf:
                raise ValueError(
                    "sample_weight must be finite numbers of at least 0, of which one is above 0, "
                    "for the samples with a label"
                )
        return float(np.average(is_right, weights=sample_weight))


def _kind(classes: NDArray[Any]) -> str:
    kind = classes.dtype.kind
    return "number" if kind in "iuf" else "bool" if kind == "b" else "name"


def forget(estimator: Any, *names: str) -> None:
    """Delete attributes of an earlier `fit` that not every `fit` sets anew."""
    for name in names:
        vars(estimator).pop(name, None)
