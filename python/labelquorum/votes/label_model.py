"""`LabelModel`: what voters that use the same names say together, and how reliable each of them is.

Each voter has a confusion matrix: how often it says each name of samples of each category. The
matrices and the categories are learned from each other, without any true label, by expectation
maximization. Sums over votes are products of sparse matrices.
"""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_non_negative, as_positive
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import to_labels
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import check_kinds, check_length, check_samples, check_stored
from labelquorum.votes.weights import read_named_votes

Method = Literal["shrunken", "dawid-skene", "one-coin"]
Float64Array = NDArray[np.float64]
Shares = NDArray[np.float32] | Float64Array
Codes = NDArray[np.int32]

METHODS = ("shrunken", "dawid-skene", "one-coin")
_STRENGTHS = {"shrunken": 20.0, "dawid-skene": 1.0, "one-coin": 1e9}
"""Votes for each category that the matrix of a simple voter counts as."""
_RATE_STRENGTH = 20.0  # the same for how often a voter of few names votes
_GUESSED_RELIABILITY, _N_GUESSED = 0.7, 2.0
_LEAST = 1e-9
_ROWS_PER_BLOCK = 4096
_ALL = slice(None)


class LabelModel(Saved, BaseEstimator):
    """Learn how reliable voters are from how they agree, and combine what they say.

    The voters use the same names: people, answers of language models, keyword rules, classifiers.
    For voters whose numbers are unrelated, such as clusterings, use `consensus`.

    Parameters
    ----------
    method : {"shrunken", "dawid-skene", "one-coin"}, default="shrunken"
        How confusion matrices are estimated; see the notes.
    max_iter : int, default=100
        The largest number of iterations.
    tol : float, default=1e-4
        Stop when no probability changes by more than this.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The names, sorted.
    labels_ : array of shape (n_samples,)
        The most likely name of each sample; -1 (None among strings) where no voter votes.
    probabilities_ : float64 array of shape (n_samples, n_classes)
        The probability of each name. Without votes, it is that of the whole data.
    reliability_ : float64 array of shape (n_voters,)
        The share of each voter's votes that are right, as estimated; NaN without votes.
    confusion_ : float64 array of shape (n_voters, n_classes, n_classes)
        ``confusion_[j, k, l]`` is the probability that voter j says name l where k is true, if it
        votes at all.
    class_prior_ : float64 array of shape (n_classes,)
        The share of each name.
    n_iter_ : int
        Number of iterations.

    See Also
    --------
    combine_votes : votes as partitions, beside clusterings.
    ConsensusClusterer : takes the features of the samples into account, too.

    Notes
    -----
    "dawid-skene" is the model of Dawid and Skene, "Maximum likelihood estimation of observer
    error-rates using the EM algorithm", Applied Statistics 28(1), 1979, with one vote spread over
    each row of a confusion matrix.

    "shrunken" is better with few votes for each voter and category. There, each row of a voter's
    matrix is averaged with that of a simple voter, which counts as 20 votes: right with one
    probability for all categories, and wrong with the names that the voter uses in error. With
    "one-coin", all voters are simple, which is best with few votes for each category. In both,
    a voter that uses at most half of the names, as a keyword rule does, also votes by abstaining:
    how often it votes is learned for each category.

    Voters that copy each other's errors mislead both methods, as they do a majority.

    O(n_votes n_classes) for each iteration, and memory for n_voters n_classes^2 numbers.

    Examples
    --------
    >>> import labelquorum as lq
    >>> model = ["refund", "refund", "login", None, "login"]
    >>> rule = ["refund", "refund", None, "refund", None]
    >>> intern = ["refund", "login", "login", "refund", "login"]
    >>> lq.LabelModel().fit([model, rule, intern]).labels_.tolist()
    ['refund', 'refund', 'login', 'refund', 'login']
    """

    __module__ = "labelquorum"

    def __init__(
        self, method: Method = "shrunken", *, max_iter: int = 100, tol: float = 1e-4
    ) -> None:
        self.method = method
        self.max_iter = max_iter
        self.tol = tol

    @classmethod
    def __saved_parts__(cls) -> tuple[type, ...]:
        """Return the classes of the values that `fit` sets."""
        return (Voters,)

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        check_kinds(self, _voters=Voters)
        n_voters, n_classes = len(self.confusion_), len(self.classes_)
        check_length(self.classes_, "classes_", n_classes)
        shape = (n_voters, n_classes, n_classes)
        check_stored(self.confusion_, "confusion_", np.float64, shape)
        check_stored(self._voters.confusion, "confusion", np.float64, shape)
        check_stored(self.class_prior_, "class_prior_", np.float64, (n_classes,))
        check_stored(self.probabilities_, "probabilities_", np.float64, (None, n_classes))
        check_length(self.labels_, "labels_", len(self.probabilities_))
        check_length(self.reliability_, "reliability_", n_voters)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from votes.

        Parameters
        ----------
        X : list or array
            The votes, as for `combine_votes`, or its result; also an array of shape (n_samples,
            n_voters), or a frame with a column for each voter. Integers are names, too.
        y : ignored

        Returns
        -------
        LabelModel
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range, or if there is no vote.

        Warns
        -----
        UserWarning
            If a voter has no vote.
        """
        as_choice(self.method, "method", METHODS)
        max_iter, tol = as_positive(self.max_iter, "max_iter"), as_non_negative(self.tol, "tol")
        names, codes = read_named_votes(X)
        if not names:
            raise ValueError("votes must hold at least one vote, got only abstentions")
        self.classes_ = array_of_names(names)
        voters = Voters(codes, len(names), self.method)
        warn_of_silent(voters.n_votes)
        shares = voters.majority()
        for self.n_iter_ in range(1, max_iter + 1):
            before = shares
            voters.learn(shares)
            shares = voters.posterior(np.log(voters.class_prior))
            if np.abs(shares - before).max() <= tol:
                break
        self._voters = voters
        self.confusion_, self.class_prior_ = voters.confusion, voters.class_prior
        self.probabilities_ = shares
        self.reliability_ = voters.reliability(shares)
        self.labels_ = self._named(shares, codes)
        return self

    def predict_proba(self, X: Any) -> Float64Array:
        """Return the probability of each name for other samples, by what was learned.

        Parameters
        ----------
        X : list or array
            The votes, as for `fit`, from the same voters in the same order. Names that `fit` has
            not seen are abstentions.

        Returns
        -------
        float64 array of shape (n_new, n_classes)
        """
        return self._probabilities(self._codes(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most likely name of other samples, -1 (None among strings) without votes.

        Parameters
        ----------
        X : list or array
            The votes, as for `predict_proba`.

        Returns
        -------
        array of shape (n_new,)
        """
        codes = self._codes(X)
        return self._named(self._probabilities(codes), codes)

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Learn from votes, and return `labels_`.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        array of shape (n_samples,)
        """
        labels: NDArray[Any] = self.fit(X).labels_
        return labels

    def _codes(self, votes: Any) -> Codes:
        check_is_fitted(self)
        names, codes = read_named_votes(votes)
        if codes.shape[1] != len(self.confusion_):
            raise ValueError(
                f"votes must have {len(self.confusion_)} voters, as in fit, got {codes.shape[1]}"
            )
        place_of = {name: i for i, name in enumerate(self.classes_.tolist())}
        places = np.array([*(place_of.get(name, -1) for name in names), -1], dtype=np.int32)
        known: Codes = places[codes]
        return known

    def _probabilities(self, codes: Codes) -> Float64Array:
        return self._voters.of_others(codes).posterior(np.log(self.class_prior_))

    def _named(self, shares: Float64Array, codes: Codes) -> NDArray[Any]:
        has_vote = (codes >= 0).any(axis=1)
        return to_labels(self.classes_, np.where(has_vote, shares.argmax(axis=1), -1))


class Voters:
    """The votes of all voters, and what is learned of each voter.

    Methods that return a row for each sample take a slice of samples, so that a caller can hold
    only a part of the rows.

    Parameters
    ----------
    codes : int32 array of shape (n_samples, n_voters)
        The names by number, -1 for an abstention.
    n_names : int
        Number of names.
    method : {"shrunken", "dawid-skene", "one-coin"}
        How confusion matrices are estimated.
    """

    confusion: Float64Array
    """(n_voters, n_names, n_names): true names in rows, votes in columns; rows sum to 1."""
    class_prior: Float64Array
    """(n_names,): the share of each name."""
    rates: Float64Array
    """(n_voters, n_names): how often voters of few names vote on samples of each category."""

    def __init__(self, codes: Codes, n_names: int, method: Method = "shrunken") -> None:
        self._n_names = n_names
        self._is_simple, self._strength = method != "dawid-skene", _STRENGTHS[method]
        self._set_votes(codes)
        n_voters = codes.shape[1]
        n_used = np.count_nonzero(
            np.asarray(self._votes.sum(axis=0)).reshape(n_voters, n_names), axis=1
        )
        # A voter that never says a name does not abstain by chance where it would be right.
        self._uses_few = self._is_simple & (n_used > 0) & (2 * n_used <= n_names)

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        n_names = self._n_names
        check_stored(n_names, "n_names", np.int64, (), (1, len(self.class_prior)))
        check_stored(self._has_vote, "has_vote", np.bool_, (None, None))
        n, n_voters = self._has_vote.shape
        check_samples(self._votes, "votes", (n, n_voters * n_names))
        check_stored(self._uses_few, "uses_few", np.bool_, (n_voters,))
        check_stored(self.class_prior, "class_prior", np.float64, (n_names,))
        check_stored(self.confusion, "confusion", np.float64, (n_voters, n_names, n_names))
        check_stored(self.rates, "rates", np.float64, (n_voters, n_names))
        check_stored(self._strength, "strength", np.float64, ())
        check_stored(self._is_simple, "is_simple", np.bool_, ())

    def _set_votes(self, codes: Codes) -> None:
        samples, voters = np.nonzero(codes >= 0)
        columns = voters * self._n_names + codes[samples, voters]
        shape = (len(codes), codes.shape[1] * self._n_names)
        self._votes = sparse.csr_array((np.ones(len(samples)), (samples, columns)), shape=shape)
        self._has_vote = codes >= 0

    def of_others(self, codes: Codes) -> Voters:
        """Return the same voters with their votes on other samples."""
        others = copy(self)
        others._set_votes(codes)
        return others

    @property
    def n_votes(self) -> NDArray[np.intp]:
        """(n_voters,): the number of votes of each voter."""
        n_votes: NDArray[np.intp] = np.count_nonzero(self._has_vote, axis=0)
        return n_votes

    def counts(self, samples: slice = _ALL) -> Float64Array:
        """Return how many voters say each name: (n_samples, n_names)."""
        n_voters = self._has_vote.shape[1]
        of_names = sparse.kron(np.ones((n_voters, 1)), sparse.eye_array(self._n_names))
        counts: Float64Array = (self._votes[samples] @ of_names.tocsr()).toarray()
        return counts

    def majority(self, samples: slice = _ALL) -> Float64Array:
        """Return the share of the votes that each name gets; equal shares without votes."""
        counts = self.counts(samples) + 0.01 / self._n_names
        shares: Float64Array = counts / counts.sum(axis=1, keepdims=True)
        return shares

    def learn(self, shares: Shares) -> None:
        """Estimate all voters and the prior from the probabilities of each sample's names."""
        n = self._n_names
        n_said = self._said(shares).transpose(0, 2, 1)
        sizes = shares.sum(axis=0, dtype=np.float64)
        self.class_prior = (sizes + 1) / (len(shares) + n)
        simple = _simple_voters(n_said) if self._is_simple else np.full((n, n), 1 / n)
        confusion = n_said + self._strength * simple
        self.confusion = confusion / confusion.sum(axis=2, keepdims=True)
        usual = _RATE_STRENGTH * self._has_vote.mean(axis=0)[:, None]
        self.rates = (n_said.sum(axis=2) + usual) / (sizes + _RATE_STRENGTH)

    def _said(self, shares: Shares) -> Float64Array:
        """How often each voter says a name of samples of a category.

        Voters, names and categories are the three axes of the result.
        """
        said = np.zeros((self._votes.shape[1], self._n_names))
        for begin in range(0, len(shares), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            said += self._votes[block].T @ shares[block]
        return said.reshape(-1, self._n_names, self._n_names)

    def posterior(self, log_prior: Float64Array, samples: slice = _ALL) -> Float64Array:
        """Return the probability of each name, given a prior for all samples or for each."""
        logs = np.log(np.maximum(self.confusion, _LEAST))
        likelihood = self._votes[samples] @ logs.transpose(0, 2, 1).reshape(-1, self._n_names)
        few = np.flatnonzero(self._uses_few)
        if len(few):
            rates = self.rates[few].clip(_LEAST, 1 - _LEAST)
            voted = self._has_vote[samples, few]
            likelihood += voted @ np.log(rates) + ~voted @ np.log1p(-rates)
        shares: Float64Array = softmax(log_prior + likelihood, axis=1)
        return shares

    def reliability(self, shares: Shares) -> Float64Array:
        """Return the expected share of each voter's votes that are right; NaN without votes."""
        n_right = np.trace(self._said(shares), axis1=1, axis2=2)
        n_votes = self.n_votes
        return np.where(n_votes > 0, n_right / np.maximum(n_votes, 1), np.nan)


def _simple_voters(n_said: Float64Array) -> Float64Array:
    """The matrices of simple voters: right with one probability, wrong with the names they use."""
    n = n_said.shape[1]
    n_right = np.diagonal(n_said, axis1=1, axis2=2)
    n_wrong = n_said.sum(axis=1) - n_right + 1 / n
    reliability = n_right.sum(axis=1) + _GUESSED_RELIABILITY * _N_GUESSED
    reliability /= n_said.sum(axis=(1, 2)) + _N_GUESSED
    is_own = np.eye(n, dtype=bool)
    wrong = np.where(is_own, 0, n_wrong[:, None, :])
    totals = wrong.sum(axis=2, keepdims=True)
    wrong *= (1 - reliability)[:, None, None] / np.where(totals > 0, totals, 1)
    simple: Float64Array = np.where(is_own, reliability[:, None, None], wrong)
    return simple


def warn_of_silent(n_votes: NDArray[np.intp]) -> None:
    """Warn of voters that never vote."""
    for j in np.flatnonzero(n_votes == 0):
        warnings.warn(f"votes: voter {j} changes nothing: it never votes", stacklevel=3)
