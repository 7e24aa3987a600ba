"""Pictures of categories: representatives of each, as images or as texts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._validation import as_codes, as_points, as_positive, as_texts, check_finite
from labelquorum.text import as_confidence, keywords, representatives

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
            Its labels_ say the categories; its confidence_ (or probabilities_, as HDBSCAN has them)
            which samples are shown.
        X, image_shape, texts, categories, n_samples, n_keywords, figure
            As for `from_labels`; X need not be what the clusterer was fitted on. Categories come
            in the order of the estimator's classes_ where it has them: known ones first.

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
            Itself, with figure_ and axes_.
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
