"""Accuracy by the number of labels given: a simulated annotator answers a sampler's questions."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import to_labels
from labelquorum.quality.metrics import as_known_classes


class LearningCurve(NamedTuple):
    """Results of `learning_curve`; each array has the shape (n_points,)."""

    n_labels: NDArray[np.int64]
    """Number of labels given."""
    accuracy: NDArray[np.float64]
    """Share of the samples of known class whose label is right, given ones among them."""


def learning_curve(
    estimator: Any, y: ArrayLike, *, n_labels: int = 100, batch_size: int = 10
) -> LearningCurve:
    """Answer a sampler's questions with known classes, and measure how its labels improve.

    Parameters
    ----------
    estimator : PreClusteringSampler
        Already fitted, with or without labels. It stays as it is: a copy is taught.
    y : array-like of shape (n_samples,)
        Classes of its training samples: integers, negative where unknown, or strings, None where
        unknown (docs/inputs.md lists all forms). Samples of unknown class are skipped when the
        sampler asks for them, and do not count for the accuracy.
    n_labels : int, default=100
        Number of labels at the end of the curve. There are fewer if the sampler runs out of
        samples.
    batch_size : int, default=10
        Number of labels from one point to the next.

    Returns
    -------
    LearningCurve
        `n_labels` and `accuracy`. The first point is that of the labels the estimator already has,
        if there are any.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, length or range, or y holds no class.

    See Also
    --------
    LearningCurveDisplay : Draws the curve.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> model = lq.PreClusteringSampler(random_state=0).fit(X)
    >>> curve = lq.learning_curve(model, classes, n_labels=30)
    >>> curve.n_labels.tolist(), bool(curve.accuracy[-1] > 0.9)
    ([10, 20, 30], True)
    """
    if not (hasattr(estimator, "query") and hasattr(estimator, "teach")):
        raise TypeError(
            "estimator must be a PreClusteringSampler, which asks for labels, got a "
            f"{type(estimator).__name__}"
        )
    check_is_fitted(estimator, "clusters_")
    n_wanted = as_positive(n_labels, "n_labels")
    n_per_batch = as_positive(batch_size, "batch_size")
    classes, codes = as_known_classes(y, "y")
    n_samples = len(estimator.clusters_)
    if len(codes) != n_samples:
        raise ValueError(
            f"y has {len(codes)} values, but the estimator was fitted on {n_samples} samples: they "
            "must have the same length"
        )
    truth = to_labels(array_of_names(classes), codes)
    model = deepcopy(estimator)
    given: list[int] = []
    accuracy: list[float] = []
    while True:
        n_given = len(model.labeled_indices_)
        # A batch whose samples are all of unknown class adds no label, and no point.
        if n_given and (not given or n_given > given[-1]):
            given.append(n_given)
            accuracy.append(float((model.predict() == truth)[codes >= 0].mean()))
        if n_given >= n_wanted:
            break
        asked = model.query(min(n_per_batch, n_wanted - n_given))
        if not len(asked):
            break
        model.teach(asked, truth[asked])
    return LearningCurve(np.array(given), np.array(accuracy))
