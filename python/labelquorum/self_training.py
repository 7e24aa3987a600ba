"""Self-training: a classifier learns from what it says itself, of every class as much."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._labels import known_labels
from labelquorum._progress import progress
from labelquorum._validation import as_positive


class CurriculumSelfTraining(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Train a classifier on labels and on its own most certain answers, more of them every round.

    Parameters
    ----------
    estimator : scikit-learn classifier with `predict_proba`, optional
        What learns; None for ``LogisticRegression(max_iter=1000)``.
    n_rounds : int, default=5
        In round i the most certain ``i / n_rounds`` of the samples of each class, as predicted,
        count as labeled.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    estimator_ : classifier
        The one fitted in the last round.
    transduction_ : array of shape (n_samples,)
        The class of each sample; given labels as they are.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.semi_supervised.SelfTrainingClassifier : by a threshold or a number of samples; what was
        labeled once stays so, and no class is held back, so that the classes that seem easy grow.

    Notes
    -----
    From Cascante-Bonilla, Tan, Qi and Ordonez, "Curriculum labeling: revisiting pseudo-labeling for
    semi-supervised learning", AAAI 2021: shares instead of thresholds, and every round a new
    classifier that learns from scratch, so that earlier errors can be mended. The shares are of
    each class, not of all samples. It takes n_rounds + 1 fits.

    Examples
    --------
    >>> import labelquorum as lq
    >>> X = [[0.0], [1.0], [2.0], [7.0], [8.0], [9.0]]
    >>> model = lq.CurriculumSelfTraining().fit(X, [0, -1, -1, -1, -1, 1])
    >>> model.transduction_
    array([0, 0, 0, 1, 1, 1])
    """

    def __init__(self, estimator: Any = None, *, n_rounds: int = 5, verbose: bool = False) -> None:
        self.estimator = estimator
        self.n_rounds = n_rounds
        self.verbose = verbose

    def _base(self) -> Any:
        return LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self._base()).input_tags.sparse
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            Sparse where the estimator takes it.
        y : array-like of shape (n_samples,)
            Classes, with -1 (or None, among strings) for a sample without a label. At least two
            classes.

        Returns
        -------
        CurriculumSelfTraining
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if y holds no label,
            or only one class.
        """
        n_rounds = as_positive(self.n_rounds, "n_rounds")
        base = self._base()
        if not hasattr(base, "predict_proba"):
            raise TypeError(f"estimator is {base!r}; wanted a classifier with predict_proba")
        X = validate_data(self, X, accept_sparse="csr")
        known = known_labels(y, X.shape[0], type(self).__name__, shares=False)
        if len(known.classes) < 2:
            only = known.classes.tolist()[0]
            raise ValueError(f"y holds one class only, {only!r}; wanted labels of two or more")
        codes = known.shares.argmax(axis=1)
        rest = np.setdiff1d(np.arange(X.shape[0]), known.samples)
        self.classes_ = known.classes
        self.estimator_ = clone(base).fit(X[known.samples], known.classes[codes])
        with progress(self.verbose) as show:
            for done in range(1, n_rounds + 1 if len(rest) else 1):
                shares = self.estimator_.predict_proba(X[rest])
                chosen = _most_certain(shares, done / n_rounds)
                training = np.concatenate([known.samples, rest[chosen]])
                answers = np.concatenate([codes, shares[chosen].argmax(axis=1)])
                self.estimator_ = clone(base).fit(X[training], known.classes[answers])
                if show is not None:
                    show("rounds", done / n_rounds)
        self.transduction_ = self.estimator_.predict(X)
        self.transduction_[known.samples] = known.classes[codes]
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Label samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        labels: NDArray[Any] = self.estimator_.predict(X)
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Compute the probabilities of the classes.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        shares: NDArray[np.floating[Any]] = self.estimator_.predict_proba(X)
        return shares


def _most_certain(shares: NDArray[np.floating[Any]], share: float) -> NDArray[np.intp]:
    """The most certain of the samples of each class, rounded up."""
    answers, certainty = shares.argmax(axis=1), shares.max(axis=1)
    chosen = []
    for label in range(shares.shape[1]):
        members = np.flatnonzero(answers == label)
        order = members[np.argsort(-certainty[members], kind="stable")]
        chosen.append(order[: int(np.ceil(share * len(members) - 1e-9))])
    return np.sort(np.concatenate(chosen))
