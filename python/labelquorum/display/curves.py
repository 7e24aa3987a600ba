"""Displays of curves: precision by coverage, accuracy by number of labels, rounds of training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_confidence, as_positive
from labelquorum._shared.labels import as_codes
from labelquorum._shared.samples import as_array
from labelquorum.display.axes import BLUE, ORANGE, line_style, new_axes
from labelquorum.quality.coverage import coverage_at_thresholds, coverage_of, judge
from labelquorum.quality.metrics import TO_MATCH, as_known_classes, is_right

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHARACTERS_PER_LINE = 70


class CoveragePrecisionDisplay:
    """Confidence and precision of labels, when only the most confident ones are kept.

    `from_estimator` and `from_predictions` make and draw it; `plot` draws it again.

    Parameters
    ----------
    coverage : array of shape (n_points,)
        Share of the samples whose label is kept, ascending.
    threshold : array of shape (n_points,)
        The lowest confidence of these labels.
    confidence : array of shape (n_points,)
        Their mean confidence: the model's own estimate, not a precision.
    precision : array of shape (n_points,), optional
        Share of these labels that are right.
    in_use : tuple of float, optional
        Coverage and precision of the pseudo-labels; without `precision`, their coverage and mean
        confidence.
    note : str, optional
        What to know about the precision, written above the curves.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        What was drawn last.
    line_ : matplotlib Line2D
        The precision, or the mean confidence without one.

    See Also
    --------
    labelquorum.label_quality : Guarantees from labels checked by hand.

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
        note: str | None = None,
    ) -> None:
        self.coverage = coverage
        self.threshold = threshold
        self.confidence = confidence
        self.precision = precision
        self.in_use = in_use
        self.note = note

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
            True labels to compare with: integers, negative where unknown, or strings, None where
            unknown. Without `y` there is no precision: the curve is the mean confidence.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        CoveragePrecisionDisplay

        Raises
        ------
        TypeError, ValueError
            If y has the wrong type or length, or holds no label that `fit` was not given.

        Notes
        -----
        Samples whose label was given to `fit` are left out, since they keep it. A known category is
        right where `y` has its name. New categories are matched with the other classes one to one,
        as in `clustering_accuracy`; with few true labels, this makes the precision look too good.
        If `y` has none of the names of two or more known categories, all categories are matched,
        and `note` says so. It also says which known categories `y` does not have, if it has others,
        and whether at least twice as many labels would be right if all categories were matched.
        """
        check_is_fitted(estimator, "labels_")
        judgment = None if y is None else judge(estimator, y)
        return cls(**coverage_of(estimator, judgment)._asdict()).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        confidence: ArrayLike,
        *,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the labels of any model.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True classes: integers, negative where unknown, or strings, None where unknown. Samples
            of unknown class are left out.
        y_pred : array-like of shape (n_samples,)
            Categories in the same form, negative or None where a sample has none. They are matched
            with the classes one to one, as in `clustering_accuracy`.
        confidence : float array-like of shape (n_samples,)
            Confidence of each label, 0 or more.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

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
        names, classes = as_known_classes(y_true, "y_true")
        categories, codes = as_codes(y_pred, "y_pred")
        if len(codes) != len(classes):
            raise ValueError(
                f"y_pred has {len(codes)} values, but y_true has {len(classes)}: they must have "
                "the same length"
            )
        confidences = as_confidence(as_array(confidence, "confidence"), len(codes))
        assert confidences is not None
        right = is_right(classes, codes, len(names), np.full(len(categories), TO_MATCH))
        is_known = classes >= 0
        coverage = coverage_at_thresholds(
            codes[is_known] >= 0, confidences[is_known], right[is_known]
        )
        return cls(**coverage._asdict()).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        CoveragePrecisionDisplay
            Itself, with `ax_`, `figure_` and `line_`.
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(
            self.coverage, self.confidence, "--", color=ORANGE, label="mean confidence"
        )
        if self.precision is not None:
            (self.line_,) = self.ax_.plot(
                self.coverage, self.precision, color=BLUE, label="precision"
            )
        if self.in_use is not None:
            color = BLUE if self.precision is not None else ORANGE
            self.ax_.plot(*self.in_use, "o", color=color, markersize=8, label="pseudo-labels")
        lines = [self.confidence] if self.precision is None else [self.confidence, self.precision]
        least = min(float(line.min()) for line in lines)
        self.ax_.set(
            xlabel="coverage: share of samples kept, most confident first",
            ylabel="precision" if self.precision is not None else "mean confidence",
            xlim=(0, 1.02),
            ylim=(max(0.0, np.floor(10 * least - 1) / 10), 1.01),
        )
        if self.note is not None:
            lines_of_note = textwrap.wrap(self.note, _CHARACTERS_PER_LINE)
            self.ax_.set_title("\n".join(lines_of_note), loc="left", size=9, parse_math=False)
        self.ax_.grid(alpha=0.3)
        self.ax_.legend(framealpha=0)
        return self


class LearningCurveDisplay:
    """Accuracy of all labels, by the number of labels given.

    `plot` draws the results of `learning_curve`; `from_predictions` makes and draws a display of
    any models.

    Parameters
    ----------
    n_labels : int array of shape (n_points,)
        Number of labels given.
    accuracy : array of shape (n_points,)
        Share of the samples of known class whose label is right, given ones among them.
    name : str, optional
        Name of the curve, for the legend.

    Attributes
    ----------
    ax_, figure_, line_ : matplotlib Axes, Figure, Line2D
        What was drawn last.

    See Also
    --------
    learning_curve : Simulates an annotator.
    PreClusteringSampler : Chooses what to label next.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, classes = load_digits(return_X_y=True)
    >>> model = lq.PreClusteringSampler(random_state=0).fit(X)
    >>> curve = lq.learning_curve(model, classes, n_labels=30)
    >>> display = lq.LearningCurveDisplay(
    ...     n_labels=curve.n_labels, accuracy=curve.accuracy, name="PreClusteringSampler"
    ... ).plot()
    >>> display.line_.get_xdata().tolist()
    [10, 20, 30]
    """

    __module__ = "labelquorum"

    def __init__(
        self, *, n_labels: NDArray[np.int64], accuracy: NDArray[np.float64], name: str | None = None
    ) -> None:
        self.n_labels = n_labels
        self.accuracy = accuracy
        self.name = name

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: Mapping[int, ArrayLike],
        *,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the labels of any models.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True classes: integers, negative where unknown, or strings, None where unknown. Samples
            of unknown class are left out.
        y_pred : mapping of int to array-like of shape (n_samples,)
            For each number of labels given, the labels of all samples, in the same form. A label is
            right where it equals the class: names are not matched. At least one name must be that
            of a class.
        name : str, optional
            Name of the curve, for the legend.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.
        """
        classes, codes = as_known_classes(y_true, "y_true")
        if not isinstance(y_pred, Mapping) or not y_pred:
            raise TypeError(
                "y_pred must be a dict from the number of labels given to the labels of all "
                f"samples, got {y_pred!r}"
            )
        numbers = sorted(as_positive(number, "a key of y_pred") for number in y_pred)
        code_of = {name: code for code, name in enumerate(classes)}
        accuracy = []
        all_names: set[Any] = set()
        for number in numbers:
            names, predicted = as_codes(y_pred[number], f"y_pred[{number}]")
            if len(predicted) != len(codes):
                raise ValueError(
                    f"y_pred[{number}] has {len(predicted)} values, but y_true has {len(codes)}: "
                    "they must have the same length"
                )
            all_names.update(names)
            # A name that is no class gets -2, and so does a sample without a label: the last one.
            class_of = np.array([code_of.get(name, -2) for name in names] + [-2])
            accuracy.append(float((class_of[predicted] == codes)[codes >= 0].mean()))
        if all_names and all_names.isdisjoint(classes):
            raise ValueError(
                f"y_pred must hold names of classes in y_true, such as {classes[0]!r}, got only "
                f"others, such as {next(iter(all_names))!r}: name them alike"
            )
        return cls(n_labels=np.array(numbers), accuracy=np.array(accuracy), name=name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, beside the curves that it holds; None for a new figure.

        Returns
        -------
        LearningCurveDisplay
            Itself, with `ax_`, `figure_` and `line_`.
        """
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        (self.line_,) = self.ax_.plot(
            self.n_labels, self.accuracy, **line_style(len(self.ax_.lines)), label=self.name
        )
        self.ax_.set(
            xlabel="labels given", ylabel="accuracy: share of labels that are right", ylim=(0, 1.01)
        )
        self.ax_.grid(visible=True, alpha=0.3)
        if self.name is not None:
            self.ax_.legend(framealpha=0)
        return self


class HistoryDisplay:
    """What happened in each round: coverage, agreement, and whatever else is a share.

    `from_estimator` and `from_history` make and draw it; `plot` draws it again.

    Parameters
    ----------
    shares : dict of str to array of shape (n_rounds,)
        The values of each line, 0 to 1.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        What was drawn last.
    lines_ : list of matplotlib Line2D
        A line for each of the shares.

    See Also
    --------
    labelquorum.deep.Kingdra : Learns in rounds.

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
            Already fitted; its `history_` is drawn.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        TypeError
            If the estimator has no `history_` with the coverage of each round.
        """
        check_is_fitted(estimator)
        if not all("coverage" in entry for entry in getattr(estimator, "history_", [{}])):
            raise TypeError(
                "estimator must be a Kingdra or ConsensusClusterer, whose history_ holds the "
                f"coverage of each round, got a {type(estimator).__name__}"
            )
        return cls.from_history(estimator.history_, ax=ax)

    @classmethod
    def from_history(cls, history: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Self:
        """Draw recorded rounds, with any other shares that you measured.

        Parameters
        ----------
        history : sequence of mappings
            One for each round, as in `history_`. A value is drawn if it is a float from 0 to 1 in
            every round.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

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
                "history must hold a float from 0 to 1 under the same name in each round, got "
                f"{len(entries)} rounds without one"
            )
        shares = {name: np.array([entry[name] for entry in entries]) for name in names}
        return cls(shares=shares).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

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
            self.lines_ += self.ax_.plot(range(len(values)), values, **line_style(i), label=name)
        self.ax_.set(xlabel="round", ylabel="share", ylim=(0, 1.01))
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.grid(visible=True, alpha=0.3)
        self.ax_.legend(framealpha=0)
        return self


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1
