"""What `ConsensusClusterer` does with new samples: answers, probabilities, and what is new."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_level, as_n_threads, as_positive
from labelquorum._shared.frame import Float64Array, Frame, Rows
from labelquorum._shared.labels import to_labels
from labelquorum._shared.samples import validated_samples
from labelquorum.clustering.nearest import Nearest, nearest_to, shares_by_others
from labelquorum.clustering.novelty import Novelty, novelty
from labelquorum.clustering.outcome import Outcome, answers_of
from labelquorum.clustering.rejection import Trial
from labelquorum.clustering.update import MIN_NEW_SIZE, Said, Update, updated

_MOST_DRAWN = 20_000  # training samples to compare new ones with
# The frame checks whether all values are finite.


class PredictingClusterer:
    """Predicts the categories of new samples with a fitted `ConsensusClusterer`."""

    n_clusters_: int
    n_jobs: int | None
    verbose: bool
    classes_: NDArray[Any]
    category_names_: NDArray[np.str_]
    classifier_: Any
    outcome_: Outcome
    _frame: Frame
    _trial: Trial
    _places: NDArray[np.int32]

    def predict(self, X: Any, *, reject_level: float | None = None) -> NDArray[Any]:
        """Predict the category of new samples: the one with the highest probability.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.
        reject_level : float in (0, 1), optional
            The largest share of wrong answers. Samples whose category is too uncertain, or that are
            unlike the training samples, get no answer; see the notes. None answers for all samples.

        Returns
        -------
        array of shape (n_new,)
            Categories, of `classes_`. Where there is no answer, -1 (None among strings). So are new
            categories without `discover`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or range.

        Warns
        -----
        UserWarning
            If all samples are rejected, because there are too few labels, or too few are right.

        Notes
        -----
        With `reject_level`, a sample gets an answer if three conditions hold:

        - The probability of the answer is high enough for at most this share of the answers to be
          wrong. `fit` predicts labeled samples without their labels to find out. The share is a
          bound at 95 % confidence, as in `label_quality`, so that the mean share is lower. It takes
          63 labels to keep a level of 0.05, and 31 for 0.1, or more if some are predicted wrong.
        - The probability is also higher than that of 90 % of the samples of a category that nobody
          has seen. `fit` hides categories and predicts their samples to find out, if there are at
          least three.
        - The sample is no novelty at the level of 0.05, as one in 20 usual samples is by chance;
          see `novelty`.

        *The promise* is one for new samples that are drawn as the labeled ones are. For samples of
        new categories, and for all samples without `y`, an answer counts as right that agrees with
        what `labels_` would be. Then the promise is about the model, not about the truth. The same
        goes for labels in `y` that are wrong. Samples of categories that nobody has seen come on
        top: they cannot be answered right.

        A `classifier` gives the answers, but the probabilities are those by the nearest samples.
        """
        check_is_fitted(self)
        needs_nearest = self.classifier_ is None or reject_level is not None
        nearest = self._nearest(X) if needs_nearest else None
        numbers, is_answer = self._answers(X, nearest, reject_level)
        return to_labels(self.classes_, np.where(is_answer, numbers, np.int32(-1)))

    def _answers(
        self, X: Any, nearest: Nearest | None, reject_level: float | None
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the number of each sample's category, -1 for none, and whether it can be told."""
        if reject_level is not None:
            reject_level = as_level(reject_level, "reject_level")
        if self.classifier_ is not None:
            numbers = self._answers_of_classifier(X)
        if nearest is not None:
            probabilities = self._trial.probabilities(nearest.shares)
            if self.classifier_ is None:
                numbers = probabilities.argmax(axis=1).astype(np.int32)
        numbers = self.outcome_.as_labels(numbers)
        if nearest is None or reject_level is None:
            return numbers, np.ones(len(numbers), dtype=np.bool_)
        scores = probabilities[np.arange(len(numbers)), numbers]
        return numbers, self._trial.is_answer(scores, nearest.distances, reject_level)

    def predict_proba(self, X: Any) -> Float64Array:
        """Estimate the probabilities of the categories for new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.

        Returns
        -------
        float64 array of shape (n_new, `n_clusters_`)
            A column for each of `classes_`. These are the mean shares of the 10 nearest training
            samples that differ, or the shares of a training sample that equals the new one. They
            are raised to the power that makes the labels of left-out samples most likely, which
            calibrates them: `calibration_error_` says how well. With a `classifier`, they are its
            own, as they are.
        """
        check_is_fitted(self)
        if self.classifier_ is not None:
            return self._stated_by_classifier(X)
        return self._trial.probabilities(self._nearest(X).shares)

    def novelty(self, X: Any, *, level: float = 0.05, min_group_size: int = 5) -> Novelty:
        """Say how much new samples differ from the training data, and find emerging categories.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.
        level : float in (0, 1), default=0.05
            The share of samples like the training data that may count as novel by chance.
        min_group_size : int, default=5
            The smallest number of new samples that make an emerging category. It has nothing to do
            with `min_cluster_size`.

        Returns
        -------
        Novelty
            A score for each sample, the share of novel samples, and emerging categories: groups of
            at least `min_group_size` new samples that belong together. It prints as text.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or range.

        Notes
        -----
        *Scores* are 1 - p, where p is a conformal p-value (Bates et al., "Testing for outliers with
        conformal p-values", Annals of Statistics 51, 2023): of all training samples and the new
        one, the share whose mean distance to their 5 nearest training samples, themselves excluded,
        is at least that of the new one. No score is above 1 - 1 / (n_samples + 1). The share of
        novel samples is corrected for the share that `level` allows (Storey, JRSS B 64, 2002).

        *Emerging categories* are communities of the graph of training and new samples together, at
        five resolutions. In each, new samples are at least 5 times as frequent as elsewhere, and
        more frequent than chance explains. The test is exact: if new samples are drawn like the
        training samples, any category emerges in at most 5 % of cases. This finds a category even
        if none of its samples is far from the others. It also finds a known category that has
        become 5 times as frequent. Nearly linear in n_samples + n_new.
        """
        check_is_fitted(self)
        return novelty(
            self.outcome_.features,
            self.outcome_.distinct,
            self._rows(X),
            level=level,
            min_group_size=as_positive(min_group_size, "min_group_size"),
            n_threads=as_n_threads(self.n_jobs),
            verbose=self.verbose,
        )

    def update(
        self, X: Any, *, reject_level: float | None = None, min_new_size: int = MIN_NEW_SIZE
    ) -> Update:
        """Label new samples, and say what is new among them and what changed.

        The model stays as it is. If there are new categories, fit again on all samples, old and
        new, with the last labels as `y` and their `origins`: names and numbers are kept.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)
            New samples.
        reject_level : float in (0, 1), optional
            The largest share of wrong answers; see `predict`. None answers for all samples.
        min_new_size : int, default=10
            The smallest number of samples of a new category.

        Returns
        -------
        Update
            Labels, confidence and second choice of each sample; new categories; the size of each
            category before and now; what is unsure. It prints as text.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or range.

        Warns
        -----
        UserWarning
            If all samples are rejected; see `predict`.

        See Also
        --------
        predict : Only labels.
        novelty : Only what is new.

        Notes
        -----
        *New categories* are the emerging ones of `novelty`, but for those that are mostly a
        category of the model: they hold more than half of its training samples, or more of them
        than new samples; or nearly all of their samples are predicted to be of it, and are as near
        to training samples as these are to each other. Such a category has grown, and its samples
        keep its label.

        *Grown and shrunk*: the share of each category is compared with that among training samples
        by Fisher's exact test, with Bonferroni's correction for the number of categories. Training
        samples (at most 20,000, drawn at random) are predicted from all others, as if they were
        new: predicting has preferences of its own, which `labels_` do not share. Samples without an
        answer count for the category that is most probable.

        Examples
        --------
        >>> import numpy as np
        >>> import labelquorum as lq
        >>> X = np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], 50, axis=0)
        >>> X += np.random.default_rng(0).normal(size=X.shape)
        >>> model = lq.ConsensusClusterer(2, random_state=0).fit(X[:100], ["a"] * 50 + ["b"] * 50)
        >>> model.update(X[40:])
        110 new samples, 100 before.
        New categories: new 0 (50).
        Grew beyond chance: none.
        Shrank beyond chance: a (50.0% to 9.1%).
        Unsure: 0 samples (0.0%), 0 of them without an answer.
        """
        check_is_fitted(self)
        min_size = as_positive(min_new_size, "min_new_size")
        nearest = self._nearest(X)
        numbers, is_answer = self._answers(X, nearest, reject_level)
        return updated(
            self.classes_,
            self.category_names_,
            self.outcome_,
            Said(self._trial.probabilities(nearest.shares), numbers, is_answer),
            self._as_if_new(),
            self.novelty(X, min_group_size=min_size),
        )

    def _as_if_new(self) -> NDArray[np.intp]:
        """Predict training samples from all others; at most 20,000 of them, drawn at random."""
        outcome = self.outcome_
        distinct, n = outcome.distinct, len(outcome.distinct.numbers)
        drawn = np.arange(n)
        if n > _MOST_DRAWN:
            drawn = np.random.default_rng(0).permutation(n)[:_MOST_DRAWN]
        rows, places = np.unique(distinct.numbers[drawn], return_inverse=True)
        shares = shares_by_others(
            rows, outcome.features, self._shares_of_rows, as_n_threads(self.n_jobs)
        )
        # A new sample that equals a training sample gets its shares, and so does a copy.
        has_copies = distinct.counts[rows] > 1
        shares[has_copies] = self._shares_of_rows(rows[has_copies])
        predicted: NDArray[np.intp] = shares.argmax(axis=1)[places]
        return predicted

    def _shares_of_rows(self, rows: Any) -> NDArray[np.float32]:
        outcome = self.outcome_
        return outcome.categories.shares_of(outcome.distinct.samples[rows])

    def _nearest(self, X: Any) -> Nearest:
        """Look new samples up among the training samples."""
        return nearest_to(
            self._rows(X), self.outcome_.features, self._shares_of_rows, as_n_threads(self.n_jobs)
        )

    def _rows(self, X: Any) -> Rows:
        """Turn new samples into rows like those of the training samples."""
        return self._frame.rows(validated_samples(self, X, reset=False, ensure_all_finite=False))

    def _answers_of_classifier(self, X: Any) -> NDArray[np.int32]:
        if hasattr(self.classifier_, "predict_proba"):
            highest: NDArray[np.int32] = self._stated_by_classifier(X).argmax(axis=1)
            return highest.astype(np.int32)
        answers, _ = answers_of(self.classifier_, self._for_classifier(X))
        numbers: NDArray[np.int32] = self._places[answers]
        return numbers

    def _stated_by_classifier(self, X: Any) -> Float64Array:
        """The probabilities by the classifier; those of merged categories are added."""
        X = self._for_classifier(X)
        probabilities = np.zeros((X.shape[0], self.n_clusters_))
        of_fit = self.classifier_.predict_proba(X)
        np.add.at(probabilities.T, self._places[self.classifier_.classes_], of_fit.T)
        return probabilities

    def _for_classifier(self, X: Any) -> Any:
        return validated_samples(self, X, reset=False)
