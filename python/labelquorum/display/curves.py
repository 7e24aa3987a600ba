"""Curves: precision against coverage, accuracy against labels given, and rounds of learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_codes, as_confidence, as_positive
from labelquorum._shared.labels import to_labels
from labelquorum.display.categories import new_axes
from labelquorum.quality.coverage import _coverage, coverage_of, judged
from labelquorum.quality.metrics import is_right

if TYPE_CHECKING:
    from matplotlib.axes import Axes
# Okabe and Ito's colours, which colour-blind readers tell apart.
_BLUE, _ORANGE = "#0072B2", "#E69F00"
_COLORS = (_BLUE, _ORANGE, "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*"


class CoveragePrecisionDisplay:
    """How sure labels are, and how many of them right, where only the surest are kept.

    Made by `from_estimator` or `from_predictions`, which draw it; `plot` draws it again.

    Parameters
    ----------
    coverage : array of shape (n_points,)
        Share of the samples whose label is kept, rising.
    threshold : array of shape (n_points,)
        The least confidence of these labels.
    confidence : array of shape (n_points,)
        The mean of theirs: what the model says of itself. Not a precision.
    precision : array of shape (n_points,), optional
        Share of these labels that are right.
    in_use : tuple of float, optional
        Coverage and precision of the pseudo-labels; without a precision, coverage and mean
        confidence.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The precision; without one, the mean confidence.

    See Also
    --------
    labelquorum.label_quality : what some checks by hand guarantee.

    Examples
    --------
    >>> import labelquorum as lq
    >>> labels, confidence = [0, 0, 1, 1], [0.9, 0.8, 0.7, 0.4]
    >>> display = lq.CoveragePrecisionDisplay.from_predictions(
    ...     ["cat", "cat", "dog", "cat"], labels, confidence
    ... )
    >>> display.coverage.tolist(), display.precision.tolist()
    ([0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 1.0, 0.75])
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        *,
        coverage: NDArray[np.float64],
        threshold: NDArray[np.float64],
        confidence: NDArray[np.float64],
        precision: NDArray[np.float64] | None = None,
        in_use: tuple[float, float] | None = None,
    ) -> None:
        self.coverage = coverage
        self.threshold = threshold
        self.confidence = confidence
        self.precision = precision
        self.in_use = in_use

    @classmethod
    def from_estimator(
        cls, estimator: Any, y: ArrayLike | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Draw the labels of a fitted clusterer, and mark its pseudo-labels.

        Parameters
        ----------
        estimator : ConsensusClusterer
            Already fitted.
        y : array-like of shape (n_samples,), optional
            True labels to measure with: integers, negative where unknown, or strings, None where
            unknown. Samples whose label was known to `fit` are left out, since they keep it. A
            known category is right where `y` has its name; new ones are matched with the other
            classes one to one, as `clustering_accuracy` does, which flatters where few true labels
            are known. Without `y`, there is no precision, and what is drawn is the mean confidence.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        CoveragePrecisionDisplay

        Raises
        ------
        TypeError, ValueError
            If y is of the wrong type or length, or has no label of a sample that `fit` knew none
            of.
        """
        check_is_fitted(estimator, "labels_")
        return cls(**coverage_of(estimator, judged(estimator, y))).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        confidence: ArrayLike,
        *,
        ax: Axes | None = None,
    ) -> Self:
        """Draw labels of any model.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Classes: integers, negative where unknown, or strings, None where unknown. Samples of
            unknown class are left out.
        y_pred : array-like of shape (n_samples,)
            Categories, in the same form; negative or None where a sample has none. Matched with
            the classes one to one, as `clustering_accuracy` does.
        confidence : float array-like of shape (n_samples,)
            How sure each label is, not negative.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        CoveragePrecisionDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.
        WorkLimitError
            If there are more than 10^8 combinations of a class and a category.
        """
        names, classes = _as_truth(y_true, "y_true")
        categories, codes = as_codes(y_pred, "y_pred")
        if len(codes) != len(classes):
            raise ValueError(
                f"y_pred holds {len(codes)} samples, y_true {len(classes)}; wanted as many"
            )
        sureness = as_confidence(np.asarray(confidence), len(codes))
        assert sureness is not None
        right = is_right(classes, codes, len(names), np.full(len(categories), -2))
        some = classes >= 0
        return cls(**_coverage(codes[some] >= 0, sureness[some], right[some])).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        CoveragePrecisionDisplay
            Itself, with `ax_`, `figure_` and `line_`.
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(
            self.coverage, self.confidence, "--", color=_ORANGE, label="mean confidence"
        )
        if self.precision is not None:
            (self.line_,) = self.ax_.plot(
                self.coverage, self.precision, color=_BLUE, label="precision"
            )
        if self.in_use is not None:
            color = _BLUE if self.precision is not None else _ORANGE
            self.ax_.plot(*self.in_use, "o", color=color, markersize=8, label="pseudo-labels")
        lines = [self.confidence] if self.precision is None else [self.confidence, self.precision]
        least = min(float(line.min()) for line in lines)
        self.ax_.set(
            xlabel="coverage: share of samples kept, the surest first",
            ylabel="precision" if self.precision is not None else "mean confidence",
            xlim=(0, 1.02),
            ylim=(max(0.0, np.floor(10 * least - 1) / 10), 1.01),
        )
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(framealpha=0)
        return self


class LearningCurveDisplay:
    """How many labels are right, by the number of labels given.

    Made by `from_estimator` or `from_predictions`, which draw it; `plot` draws it again.

    Parameters
    ----------
    n_labels : int array of shape (n_points,)
        Labels given.
    accuracy : array of shape (n_points,)
        Share of the samples of known class whose label is right, given ones among them.
    name : str, optional
        Of the curve, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D

    See Also
    --------
    labelquorum.PreClusteringSampler : chooses what to label next.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> model = lq.PreClusteringSampler(random_state=0).fit(X)
    >>> display = lq.LearningCurveDisplay.from_estimator(model, classes, n_labels=30)
    >>> display.n_labels.tolist(), bool(display.accuracy[-1] > 0.9)
    ([10, 20, 30], True)
    """

    __module__ = "labelquorum"

    def __init__(
        self, *, n_labels: NDArray[np.int64], accuracy: NDArray[np.float64], name: str | None = None
    ) -> None:
        self.n_labels = n_labels
        self.accuracy = accuracy
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        y: ArrayLike,
        *,
        n_labels: int = 100,
        batch_size: int = 10,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Answer what a sampler asks with known classes, and draw how its labels get better.

        Parameters
        ----------
        estimator : PreClusteringSampler
            Already fitted, with or without labels so far; a copy of it is taught.
        y : array-like of shape (n_samples,)
            Classes of its training samples: integers, negative where unknown, or strings, None
            where unknown. Samples of unknown class are skipped when asked for, and do not count.
        n_labels : int, default=100
            Labels at the end of the curve; fewer where there are no more.
        batch_size : int, default=10
            Labels from one point to the next.
        name : str, optional
            Of the curve, for the legend.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, length or range, or y holds no class.
        """
        if not (hasattr(estimator, "query") and hasattr(estimator, "teach")):
            raise TypeError(
                f"estimator is a {type(estimator).__name__}, which asks for no labels; wanted a "
                "PreClusteringSampler"
            )
        check_is_fitted(estimator, "clusters_")
        n_wanted = as_positive(n_labels, "n_labels")
        n_at_once = as_positive(batch_size, "batch_size")
        classes, codes = _as_truth(y, "y")
        n = len(estimator.clusters_)
        if len(codes) != n:
            raise ValueError(
                f"y holds {len(codes)} samples, the estimator was fitted on {n}; wanted as many"
            )
        truth = to_labels(np.array(classes), codes)
        model = deepcopy(estimator)
        given: list[int] = []
        right: list[float] = []
        while True:
            n_given = len(model.labeled_indices_)
            if n_given and (not given or n_given > given[-1]):
                given.append(n_given)
                right.append(float((model.predict() == truth)[codes >= 0].mean()))
            if n_given >= n_wanted:
                break
            asked = model.query(min(n_at_once, n_wanted - n_given))
            if not len(asked):
                break
            model.teach(asked, truth[asked])
        return cls(n_labels=np.array(given), accuracy=np.array(right), name=name).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: Mapping[int, ArrayLike],
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw labels of any models.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Classes: integers, negative where unknown, or strings, None where unknown. Samples of
            unknown class are left out.
        y_pred : mapping of int to array-like of shape (n_samples,)
            For each number of labels given the labels of all samples, in the same form. Names mean
            what they say: they are not matched.
        name : str, optional
            Of the curve, for the legend.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.
        """
        classes, codes = _as_truth(y_true, "y_true")
        if not isinstance(y_pred, Mapping) or not y_pred:
            raise TypeError(
                f"y_pred is {y_pred!r}; wanted a dict of numbers of labels to the labels of all "
                "samples"
            )
        numbers = sorted(as_positive(number, "a key of y_pred") for number in y_pred)
        place_of = {name: place for place, name in enumerate(classes)}
        right = []
        for number in numbers:
            found, places = as_codes(y_pred[number], f"y_pred[{number}]")
            if len(places) != len(codes):
                raise ValueError(
                    f"y_pred[{number}] holds {len(places)} samples, y_true {len(codes)}; wanted as "
                    "many"
                )
            # The last is that of samples without a label.
            named = np.array([place_of.get(label, -2) for label in found] + [-2])
            right.append(float((named[places] == codes)[codes >= 0].mean()))
        return cls(n_labels=np.array(numbers), accuracy=np.array(right), name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, beside the curves that are there; None for those of a new figure.

        Returns
        -------
        LearningCurveDisplay
            Itself, with `ax_`, `figure_` and `line_`.
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(
            self.n_labels, self.accuracy, **_style(len(self.ax_.lines)), label=self.name
        )
        self.ax_.set(
            xlabel="labels given", ylabel="accuracy: share of all labels right", ylim=(0, 1.01)
        )
        self.ax_.grid(visible=True, alpha=0.3)
        if self.name is not None:
            self.ax_.legend(framealpha=0)
        return self


class HistoryDisplay:
    """What happened round by round: coverage, agreement, and whatever else is a share.

    Made by `from_estimator` or `from_history`, which draw it; `plot` draws it again.

    Parameters
    ----------
    shares : dict of str to array of shape (n_rounds,)
        The values of each line.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D

    See Also
    --------
    labelquorum.deep.Kingdra : learns in rounds.

    Examples
    --------
    >>> import labelquorum as lq
    >>> history = [{"coverage": 0.4, "n_clusters": 9}, {"coverage": 0.6, "n_clusters": 10}]
    >>> lq.HistoryDisplay.from_history(history).shares
    {'coverage': array([0.4, 0.6])}
    """

    __module__ = "labelquorum"

    def __init__(self, *, shares: dict[str, NDArray[np.float64]]) -> None:
        self.shares = shares

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the rounds of a fitted estimator.

        Parameters
        ----------
        estimator : Kingdra or ConsensusClusterer
            Already fitted: its `history_` is drawn.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        TypeError
            If the estimator has no rounds with a coverage.
        """
        check_is_fitted(estimator)
        if not all("coverage" in entry for entry in getattr(estimator, "history_", [{}])):
            raise TypeError(
                f"estimator is a {type(estimator).__name__}, which has no rounds with a coverage; "
                "wanted a Kingdra or ConsensusClusterer"
            )
        return cls.from_history(estimator.history_, ax=ax)

    @classmethod
    def from_history(cls, history: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Self:
        """Draw rounds that were kept, with what was measured besides.

        Parameters
        ----------
        history : sequence of mappings
            One for each round, as in `history_`. Drawn are all floats from 0 to 1 which every round
            has.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If the rounds hold no share.
        """
        entries = list(history)
        names = [
            name
            for name in (entries[0] if entries else ())
            if all(_is_share(entry.get(name)) for entry in entries)
        ]
        if not names:
            raise ValueError(
                f"history holds {len(entries)} rounds and no share; wanted floats from 0 to 1, the "
                "same in each round"
            )
        shares = {name: np.array([entry[name] for entry in entries]) for name in names}
        return cls(shares=shares).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        HistoryDisplay
            Itself, with `ax_`, `figure_` and `lines_`.
        """
        from matplotlib.ticker import MaxNLocator

        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.lines_ = []
        for i, (name, values) in enumerate(self.shares.items()):
            self.lines_ += self.ax_.plot(range(len(values)), values, **_style(i), label=name)
        self.ax_.set(xlabel="round", ylabel="share", ylim=(0, 1.01))
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.grid(visible=True, alpha=0.3)
        self.ax_.legend(framealpha=0)
        return self


def _as_truth(y: ArrayLike, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    classes, codes = as_codes(y, name)
    if not classes:
        raise ValueError(f"{name} holds no label: every one is -1 or None; wanted at least one")
    return classes, codes


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _style(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th line: either tells it from the others."""
    return {"color": _COLORS[i % len(_COLORS)], "marker": _MARKERS[i % len(_MARKERS)]}
