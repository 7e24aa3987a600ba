"""Pictures of categories: representatives of each, and how they agree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import (
    Columns,
    as_codes,
    as_columns,
    as_confidence,
    as_points,
    as_positive,
    as_texts,
    check_finite,
)
from labelquorum.text.terms import keywords, representatives

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_INCHES_PER_IMAGE = 0.6
_LEAST_WIDTH = 3.0
_MARGIN = 0.05
_INCHES_PER_TITLE = 0.35
_INCHES_PER_LINE = 0.2
_TEXT_WIDTH = 9.0
_CHARACTERS_PER_LINE = 110
_MOST_NAMED, _MOST_NUMBERED = 30, 8  # categories of a heat map
_CHARACTERS_PER_NAME = 18


class ClusterGridDisplay:
    """A grid to look at categories: one row for each, of its most certain samples.

    Made by `from_estimator` or `from_labels`, which draw it; `plot` draws it again.

    Parameters
    ----------
    categories : list of length n_categories
        Names, of the rows.
    sizes : int array of shape (n_categories,)
        Samples of each category, shown or not.
    samples : list of int arrays
        Row numbers of the samples that are shown for each category.
    images : list of arrays of shape (n_shown, height, width), optional
        What they look like.
    texts : list of lists of str, optional
        What they say. Either this or `images`.
    keywords : list of lists of str, optional
        Words of each category, for its title.

    Attributes
    ----------
    figure_ : matplotlib Figure or SubFigure
        What was drawn last.
    axes_ : array of matplotlib Axes
        Of shape (n_categories, n_samples) for images, where those without an image stay empty, and
        (n_categories, 1) for texts.

    See Also
    --------
    labelquorum.text.category_table : texts and keywords as a DataFrame.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> display = lq.ClusterGridDisplay.from_labels(y, X, image_shape=(8, 8), n_samples=5)
    >>> display.axes_.shape
    (10, 5)
    >>> display.axes_[3, 0].get_title(loc="left")
    '3 (183 samples)'
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        *,
        categories: list[Any],
        sizes: NDArray[np.integer[Any]],
        samples: list[NDArray[np.intp]],
        images: list[NDArray[Any]] | None = None,
        texts: list[list[str]] | None = None,
        keywords: list[list[str]] | None = None,
    ) -> None:
        self.categories = categories
        self.sizes = sizes
        self.samples = samples
        self.images = images
        self.texts = texts
        self.keywords = keywords

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        image_shape: tuple[int, int] | None = None,
        texts: Iterable[str] | None = None,
        categories: Iterable[Any] | None = None,
        n_samples: int = 10,
        n_keywords: int = 5,
        figure: Figure | SubFigure | None = None,
    ) -> Self:
        """Draw the categories that a clusterer found.

        Parameters
        ----------
        estimator : ConsensusClusterer or other fitted clusterer
            Its `labels_` say the categories; its `confidence_` (or `probabilities_`, as HDBSCAN has
            them) which samples are shown.
        X, image_shape, texts, categories, n_samples, n_keywords, figure
            As for `from_labels`; X need not be what the clusterer was fitted on. Categories come
            in the order of the estimator's `classes_` where it has them: known ones first.

        Returns
        -------
        ClusterGridDisplay
        """
        check_is_fitted(estimator, "labels_")
        confidence = getattr(estimator, "confidence_", getattr(estimator, "probabilities_", None))
        if categories is None and hasattr(estimator, "classes_"):
            present = set(estimator.labels_.tolist())
            categories = [name for name in estimator.classes_.tolist() if name in present]
        return cls.from_labels(
            estimator.labels_,
            X,
            confidence=confidence,
            image_shape=image_shape,
            texts=texts,
            categories=categories,
            n_samples=n_samples,
            n_keywords=n_keywords,
            figure=figure,
        )

    @classmethod
    def from_labels(
        cls,
        labels: ArrayLike,
        X: ArrayLike | None = None,
        *,
        confidence: ArrayLike | None = None,
        image_shape: tuple[int, int] | None = None,
        texts: Iterable[str] | None = None,
        categories: Iterable[Any] | None = None,
        n_samples: int = 10,
        n_keywords: int = 5,
        figure: Figure | SubFigure | None = None,
    ) -> Self:
        """Draw categories.

        Parameters
        ----------
        labels : array-like of shape (n_samples,)
            Categories: integers, where a negative one is none, or strings, with None where there is
            none.
        X : array-like of shape (n_samples, n_features), optional
            Of images, the grey values (the highest is black), row by row. With `texts`, their
            embeddings, if there are any.
        confidence : float array-like of shape (n_samples,), optional
            How sure each label is, not negative. The surest samples come first (of equally sure
            ones, in the order of the samples).
        image_shape : pair of int, optional
            Height and width of the images in X.
        texts : iterable of str, of length n_samples, optional
            Shown instead of images: texts that stand for their category and differ from each other
            (`labelquorum.text.representatives`).
        categories : iterable, optional
            The categories to show, in this order; None for all, in sorted order.
        n_samples : int, default=10
            Samples of each category, at most.
        n_keywords : int, default=5
            Keywords in the title of a category of texts, at most.
        figure : matplotlib Figure or SubFigure, optional
            Where to draw; None for a new one of pyplot.

        Returns
        -------
        ClusterGridDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.
        """
        found, codes = as_codes(labels, "labels")
        places = _places(found, categories)
        n_samples = as_positive(n_samples, "n_samples")
        sureness = as_confidence(confidence, len(codes))
        chosen: dict[str, Any] = {
            "categories": [found[place] for place in places],
            "sizes": np.bincount(codes[codes >= 0], minlength=len(found))[places],
        }
        if (image_shape is None) == (texts is None):
            found_both = "neither" if texts is None else "both"
            raise ValueError(f"{found_both} of image_shape and texts are given; wanted one of them")
        if texts is None:
            points, shape = _as_images(X, image_shape, len(codes))
            samples = [_surest(np.flatnonzero(codes == i), sureness, n_samples) for i in places]
            images = [points[rows].reshape(-1, *shape) for rows in samples]
            display = cls(**chosen, samples=samples, images=images)
        else:
            items = as_texts(texts)
            # Of texts, representatives: the surest ones alone would often say the same.
            of_all = list(
                representatives(items, codes, n_samples, confidence=sureness, X=X).values()
            )
            samples = [_surest(of_all[i], sureness, n_samples) for i in places]
            words = list(keywords(items, codes, n_keywords).values())
            display = cls(
                **chosen,
                samples=samples,
                texts=[[items[i] for i in rows] for rows in samples],
                keywords=[[word for word, _ in words[i]] for i in places],
            )
        return display.plot(figure=figure)

    def plot(self, *, figure: Figure | SubFigure | None = None) -> Self:
        """Draw the grid.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, optional
            Where to draw; None for a new one of pyplot, of a size that suits.

        Returns
        -------
        ClusterGridDisplay
            Itself, with `figure_` and `axes_`.
        """
        n_shown = max(len(rows) for rows in self.samples)
        n_rows, n_columns = len(self.categories), 1
        # In inches: of all, and of a row without its title.
        width, height = _TEXT_WIDTH, _INCHES_PER_LINE * n_shown
        if self.images is not None:
            n_columns = n_shown
            width, height = max(_LEAST_WIDTH, _INCHES_PER_IMAGE * n_shown), _INCHES_PER_IMAGE
        total_height = (height + _INCHES_PER_TITLE) * n_rows
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=(width, total_height))
        spaces = {
            "left": _MARGIN / width,
            "right": 1 - _MARGIN / width,
            "bottom": _MARGIN / total_height,
            "top": 1 - (_INCHES_PER_TITLE - _MARGIN) / total_height,
            "hspace": _INCHES_PER_TITLE / height,
            "wspace": 0.05,
        }
        self.figure_ = figure
        self.axes_ = figure.subplots(n_rows, n_columns, squeeze=False, gridspec_kw=spaces)
        for axes in self.axes_.flat:
            axes.set_axis_off()
        for row, first in enumerate(self.axes_[:, 0]):
            # As it stands: two dollar signs in it are no formula.
            first.set_title(self._title(row), loc="left", size=10, parse_math=False)
        if self.images is not None:
            _draw_images(self.axes_, self.images)
        elif self.texts is not None:
            for axes, texts in zip(self.axes_[:, 0], self.texts, strict=True):
                _write_texts(axes, texts)
        return self

    def _title(self, row: int) -> str:
        size = self.sizes[row]
        title = f"{self.categories[row]} ({size:,} sample{'s' if size != 1 else ''})"
        words = self.keywords[row] if self.keywords is not None else []
        return f"{title}: {', '.join(words)}" if words else title


def _draw_images(grid: NDArray[Any], images: list[NDArray[Any]]) -> None:
    """Draw a row of images for each category, all on one scale of grey."""
    low, high = min(map(np.min, images)), max(map(np.max, images))
    for axes_of_row, images_of_row in zip(grid, images, strict=True):
        for axes, image in zip(axes_of_row, images_of_row, strict=False):
            axes.imshow(image, cmap="gray_r", vmin=low, vmax=high)


def _write_texts(axes: Axes, texts: list[str]) -> None:
    lines = [textwrap.shorten(text, _CHARACTERS_PER_LINE, placeholder=" ...") for text in texts]
    axes.text(0, 1, "\n".join(lines), va="top", size=9, parse_math=False, transform=axes.transAxes)


def _places(found: list[Any], categories: Iterable[Any] | None) -> list[int]:
    """Where the categories to show are among those found."""
    wanted = found if categories is None else list(categories)
    if not wanted:
        raise ValueError("no category to show: every label is -1 or None, or categories is empty")
    place_of = {name: place for place, name in enumerate(found)}
    for name in wanted:
        if name not in place_of:
            raise ValueError(f"categories holds {name!r}, which no sample has in labels")
    return [place_of[name] for name in wanted]


def _as_images(X: Any, image_shape: Any, n: int) -> tuple[NDArray[Any], tuple[int, int]]:
    """The images, each a row of grey values, and their height and width."""
    if X is None:
        raise ValueError("image_shape is given without X; wanted both")
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) != 2:
        raise ValueError(f"image_shape is {image_shape!r}; wanted (height, width)")
    height, width = (as_positive(length, "image_shape") for length in shape)
    points = as_points(X, "X", height * width, f"image_shape {shape} says")
    if len(points) != n:
        raise ValueError(f"X has {len(points)} rows, labels holds {n}; wanted as many")
    check_finite(points, "X")
    return points, (height, width)


def _surest(
    rows: NDArray[np.intp], confidence: NDArray[np.float64] | None, n: int
) -> NDArray[np.intp]:
    if confidence is None:
        return rows[:n]
    return rows[np.argsort(-confidence[rows], kind="stable")[:n]]


class AgreementDisplay:
    """A heat map of categories: how often partitions put samples of two of them together.

    Made by `from_estimator` or `from_predictions`, which draw it; `plot` draws it again.

    Parameters
    ----------
    agreement : array of shape (n_categories, n_categories)
        For each two categories the share of votes that put a sample of the one and a sample of the
        other together; on the diagonal, two samples of the same. NaN where there is no such pair.
    categories : list of length n_categories
        Their names, in the order of the rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
        What was drawn last.

    See Also
    --------
    labelquorum.coassociation : the same for pairs of samples.

    Examples
    --------
    >>> import labelquorum as lq
    >>> partitions = [[0, 0, 0, 1, 1], [2, 2, 3, 3, 3], [4, 4, 4, 5, 5]]
    >>> display = lq.AgreementDisplay.from_predictions(partitions, ["a", "a", "a", "b", "b"])
    >>> display.categories, display.agreement.round(2)
    (['a', 'b'], array([[0.78, 0.11],
           [0.11, 1.  ]]))
    """

    __module__ = "labelquorum"

    def __init__(self, *, agreement: NDArray[np.float64], categories: list[Any]) -> None:
        self.agreement = agreement
        self.categories = categories

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the categories of a fitted clusterer.

        Parameters
        ----------
        estimator : ConsensusClusterer
            Its `partitions_` vote, its `labels_` say the categories.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        AgreementDisplay
        """
        check_is_fitted(estimator, ["labels_", "partitions_"])
        return cls.from_predictions(estimator.partitions_, estimator.labels_, ax=ax)

    @classmethod
    def from_predictions(
        cls, partitions: Any, labels: ArrayLike, *, ax: Axes | None = None
    ) -> Self:
        """Draw categories.

        Parameters
        ----------
        partitions : integer array-like of shape (n_samples, n_partitions)
            Or a data frame, or a list of 1-D arrays, one per partition. A negative value: no vote.
        labels : array-like of shape (n_samples,)
            Categories: integers, where a negative one is none, or strings, with None where there is
            none.
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        AgreementDisplay
            Of categories in an order that puts like ones side by side.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type or shape, or the lengths differ.

        Notes
        -----
        The order is that of the leaves of a tree by average linkage, turned so that neighbours
        agree most (Bar-Joseph, Gifford and Jaakkola, "Fast optimal leaf ordering for hierarchical
        clustering", Bioinformatics 17, 2001). O(n_samples n_partitions + n_categories^3).
        """
        columns = as_columns(partitions)
        found, codes = as_codes(labels, "labels")
        if len(codes) != len(columns[0]):
            raise ValueError(
                f"labels holds {len(codes)} samples, partitions {len(columns[0])}; wanted as many"
            )
        places = _places(found, None)
        agreement = agreement_of(columns, codes, len(places))
        order = like_side_by_side(agreement)
        display = cls(
            agreement=agreement[np.ix_(order, order)], categories=[found[i] for i in order]
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for those of a new figure.

        Returns
        -------
        AgreementDisplay
            Itself, with `ax_`, `figure_` and `im_`. Up to 30 categories have their names at the
            sides, up to 8 the numbers in the cells.
        """
        from matplotlib.colors import PowerNorm

        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        n = len(self.categories)
        # Between categories shares are small: their roots have the colours.
        self.im_ = self.ax_.imshow(
            self.agreement, cmap="cividis", norm=PowerNorm(0.5, 0, 1), interpolation="nearest"
        )
        bar = self.figure_.colorbar(self.im_, ax=self.ax_, fraction=0.046, pad=0.03)
        bar.set_label("share of votes: together")
        if n > _MOST_NAMED:
            self.ax_.set(xticks=[], yticks=[], xlabel=f"{n} categories, like ones side by side")
        else:
            names = [shortened(str(name), _CHARACTERS_PER_NAME) for name in self.categories]
            of_names = {"parse_math": False}
            self.ax_.set_xticks(range(n), names, rotation=90, **of_names)
            self.ax_.set_yticks(range(n), names, **of_names)
        if n <= _MOST_NUMBERED:
            for (row, column), share in np.ndenumerate(self.agreement):
                self.ax_.text(
                    column,
                    row,
                    "" if np.isnan(share) else f"{share:.2f}",
                    ha="center",
                    va="center",
                    color="black" if share > 0.25 else "white",
                )
        return self


def agreement_of(columns: Columns, codes: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    """For each two of n categories, the share of votes on pairs of their samples for together."""
    together, both = np.zeros((n, n)), np.zeros((n, n))
    for column in columns:
        voted = (codes >= 0) & (column >= 0)
        clusters = column[voted]
        if clusters.max(initial=0) >= len(column):
            clusters = np.unique(clusters, return_inverse=True)[1]
        counts = sparse.csr_array(
            (np.ones(len(clusters)), (codes[voted], clusters)),
            shape=(n, int(clusters.max(initial=0)) + 1),
        )
        sizes = counts.sum(axis=1)
        # No sample is a pair with itself.
        together += (counts @ counts.T).toarray() - np.diag(sizes)
        both += np.outer(sizes, sizes) - np.diag(sizes)
    return np.where(both > 0, together / np.maximum(both, 1), np.nan)


def like_side_by_side(agreement: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order of categories in which those that agree come next to each other."""
    if len(agreement) < 3:
        return np.arange(len(agreement))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = 1 - np.nan_to_num(agreement)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    order: NDArray[np.intp] = leaves_list(tree).astype(np.intp)
    return order


def new_axes(ax: Axes | None) -> Axes:
    """The axes that were given, else those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="compressed")[1]


def shortened(text: str, n_characters: int) -> str:
    """The text on one line, cut where it is longer."""
    line = " ".join(text.split())
    return (
        line if len(line) <= n_characters else line[: n_characters - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
