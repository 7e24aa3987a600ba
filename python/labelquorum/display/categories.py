"""Displays of categories: a grid with samples of each, and a heat map of how they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import (
    Columns,
    as_columns,
    as_confidence,
    as_positive,
)
from labelquorum._shared.labels import as_codes
from labelquorum._shared.samples import as_points, check_finite
from labelquorum._shared.texts import as_texts
from labelquorum.display.axes import fitted, new_axes, width_of
from labelquorum.display.layout import GridLayout
from labelquorum.text.terms import keywords, representatives

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# The grid.
_SIZE, _SMALL_SIZE = 10, 9  # of titles and texts, in points
_LETTERS_PER_INCH, _SMALL_LETTERS_PER_INCH = 11, 12
_LEAST_NAME = 12  # letters

# The heat map.
_MOST_NAMED, _MOST_NUMBERED = 30, 8  # categories
_CHARACTERS_PER_NAME = 18
_POINTS_PER_INCH = 72
_SHARE_OF_CELLS = 0.75  # of the height of the axes; names and the color bar take the rest
_DARK_BELOW = 0.25  # cells with a smaller share are dark


class ClusterGridDisplay:
    """A grid of samples: one row for each category, with its most confident samples.

    `from_estimator` and `from_labels` make and draw it; `plot` draws it again.

    Parameters
    ----------
    categories : list of length n_categories
        Name of each row.
    sizes : int array of shape (n_categories,)
        Number of samples of each category, shown or not.
    samples : list of int arrays
        For each category, the numbers of the samples shown.
    images : list of arrays of shape (n_shown, height, width), optional
        For each category, the images of these samples.
    texts : list of lists of str, optional
        For each category, the texts of these samples. Give either this or `images`.
    keywords : list of lists of str, optional
        For each category, words for its title.

    Attributes
    ----------
    figure_ : matplotlib Figure or SubFigure
        The figure drawn last.
    axes_ : array of matplotlib Axes
        Its axes: (n_categories, n_samples) for images, where a category with fewer samples leaves
        the last ones empty; (n_categories, 1) for texts.

    See Also
    --------
    labelquorum.text.category_table : Texts and keywords as a DataFrame.

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
        """Draw the categories of a fitted clusterer.

        Parameters
        ----------
        estimator : ConsensusClusterer or other fitted clusterer
            Gives the categories (`labels_`) and how confident each label is (`confidence_`, or
            `probabilities_` as in HDBSCAN).
        X, image_shape, texts, n_samples, n_keywords, figure
            As for `from_labels`. X may differ from what the clusterer was fitted on.
        categories : iterable, optional
            As for `from_labels`, by label or name. If None, known categories come first, then new
            ones by decreasing size; for other estimators, the order is that of `classes_`, where
            they have them.

        Returns
        -------
        ClusterGridDisplay
            Categories go by their names, where the estimator has `category_names_`.
        """
        check_is_fitted(estimator, "labels_")
        called = _names_by_label(estimator)
        confidence = getattr(estimator, "confidence_", getattr(estimator, "probabilities_", None))
        if categories is None and hasattr(estimator, "classes_"):
            present = set(estimator.labels_.tolist())
            names = estimator.classes_.tolist()
            if hasattr(estimator, "outcome_"):
                names = [names[k] for k in estimator.outcome_.listing(names)]
            categories = [name for name in names if name in present]
        if called and categories is not None:
            categories = [called.get(label, label) for label in categories]
        return cls.from_labels(
            _called(estimator.labels_, called),
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
        """Draw the categories of labeled samples.

        Parameters
        ----------
        labels : array-like of shape (n_samples,)
            The category of each sample: integers, negative for none, or strings, None for none. See
            docs/inputs.md for all forms.
        X : array-like of shape (n_samples, n_features), optional
            With `image_shape`, an image in each row: its gray values, row by row, the highest
            black. With `texts`, their embeddings, if there are any.
        confidence : float array-like of shape (n_samples,), optional
            Confidence of each label, 0 or more. The most confident samples come first; ties keep
            the order of the samples.
        image_shape : pair of int, optional
            Height and width of the images in X.
        texts : iterable of str, of length n_samples, optional
            Texts to show instead of images: those that are typical of their category and differ
            from each other (see `labelquorum.text.representatives`).
        categories : iterable, optional
            The categories to show, in this order; None for all, sorted ("new 2" before "new 10").
        n_samples : int, default=10
            Most samples to show of a category.
        n_keywords : int, default=5
            Most keywords in the title of a category of texts.
        figure : matplotlib Figure or SubFigure, optional
            Where to draw; None for a new pyplot figure.

        Returns
        -------
        ClusterGridDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or range, or the lengths differ.
        """
        names, codes = as_codes(labels, "labels")
        shown = _codes_to_show(names, categories)
        n_samples = as_positive(n_samples, "n_samples")
        confidences = as_confidence(confidence, len(codes))
        if (image_shape is None) == (texts is None):
            n_given = "neither" if texts is None else "both"
            raise ValueError(f"exactly one of image_shape and texts must be given, got {n_given}")
        rows: dict[str, Any] = {
            "categories": [names[code] for code in shown],
            "sizes": np.bincount(codes[codes >= 0], minlength=len(names))[shown],
        }
        if texts is None:
            pixels, shape = _as_images(X, image_shape, len(codes))
            samples = [
                _most_confident(np.flatnonzero(codes == code), confidences, n_samples)
                for code in shown
            ]
            rows["images"] = [pixels[members].reshape(-1, *shape) for members in samples]
        else:
            text_list = as_texts(texts)
            # The most confident texts alone would often say the same.
            typical = representatives(text_list, codes, n_samples, confidence=confidences, X=X)
            samples = [_most_confident(typical[code], confidences, n_samples) for code in shown]
            words = keywords(text_list, codes, n_keywords)
            rows["texts"] = [[text_list[i] for i in members] for members in samples]
            rows["keywords"] = [[word for word, _ in words[code]] for code in shown]
        return cls(**rows, samples=samples).plot(figure=figure)

    def plot(self, *, figure: Figure | SubFigure | None = None) -> Self:
        """Draw the grid.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, optional
            Where to draw; None for a new pyplot figure of a fitting size. Categories that make it
            higher than 24 inches are put into columns, and made smaller if that is not enough.

        Returns
        -------
        ClusterGridDisplay
            Itself, with `figure_` and `axes_`.
        """
        layout = GridLayout.of(len(self.categories), self.samples, are_texts=self.images is None)
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=layout.size)
        self.figure_ = figure
        self.axes_ = layout.axes_on(figure)
        for axes in self.axes_.flat:
            axes.set_axis_off()
        for row, axes in enumerate(self.axes_[:, 0]):
            title = self._title(row, int(layout.width * _LETTERS_PER_INCH))
            axes.set_title(title, loc="left", size=_SIZE * layout.scale, parse_math=False)
        if self.images is not None:
            _draw_images(self.axes_, self.images)
        elif self.texts is not None:
            for axes, texts in zip(self.axes_[:, 0], self.texts, strict=True):
                _write_texts(axes, texts, layout)
        return self

    def _title(self, row: int, width: int) -> str:
        size = self.sizes[row]
        suffix = f" ({size:,} sample{'s' if size != 1 else ''})"
        title = fitted(str(self.categories[row]), max(_LEAST_NAME, width - len(suffix))) + suffix
        words = self.keywords[row] if self.keywords is not None else []
        n_left = width - width_of(title) - 2
        return f"{title}: {fitted(', '.join(words), n_left)}" if words and n_left > 1 else title


def _draw_images(grid: NDArray[Any], images: list[NDArray[Any]]) -> None:
    """Draw a row of images for each category, all on one scale of gray."""
    low, high = min(map(np.min, images)), max(map(np.max, images))
    for axes_of_row, images_of_row in zip(grid, images, strict=True):
        # Axes beyond the category's images stay empty.
        for axes, image in zip(axes_of_row, images_of_row, strict=False):
            axes.imshow(image, cmap="gray_r", vmin=low, vmax=high)


def _write_texts(axes: Axes, texts: list[str], layout: GridLayout) -> None:
    lines = [fitted(text, int(layout.width * _SMALL_LETTERS_PER_INCH)) for text in texts]
    axes.text(
        0,
        1,
        "\n".join(lines),
        va="top",
        size=_SMALL_SIZE * layout.scale,
        parse_math=False,
        transform=axes.transAxes,
        clip_on=True,
    )


def _names_by_label(estimator: Any) -> dict[Any, str]:
    """The names of the categories that people call by another name than their label."""
    if not hasattr(estimator, "category_names_"):
        return {}
    pairs = zip(estimator.classes_.tolist(), estimator.category_names_.tolist(), strict=True)
    return {label: name for label, name in pairs if name != str(label)}


def _called(labels: NDArray[Any], called: Mapping[Any, str]) -> Any:
    """The labels, with names in the place of those that have one."""
    return [called.get(label, label) for label in labels.tolist()] if called else labels


def _codes_to_show(names: list[Any], categories: Iterable[Any] | None) -> list[int]:
    """The codes of the categories to show: those asked for, or all."""
    if not names:
        raise ValueError("labels must hold at least one label, got -1 or None for all samples")
    if categories is None:
        return list(range(len(names)))
    wanted = list(categories)
    if not wanted:
        raise ValueError("categories must hold at least one category, got none")
    code_of = {name: code for code, name in enumerate(names)}
    for name in wanted:
        if name not in code_of:
            raise ValueError(f"categories must hold labels of samples, got {name!r}")
    return [code_of[name] for name in wanted]


def _as_images(X: Any, image_shape: Any, n_samples: int) -> tuple[NDArray[Any], tuple[int, int]]:
    """The images, one in each row, and their height and width."""
    if X is None:
        raise ValueError("X must be given with image_shape, got None")
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    if len(shape) != 2:
        raise ValueError(f"image_shape must be (height, width), got {image_shape!r}")
    height, width = (as_positive(length, "image_shape") for length in shape)
    pixels = as_points(X, "X", height * width, f"image_shape {shape} says")
    if len(pixels) != n_samples:
        raise ValueError(
            f"X has {len(pixels)} rows, but labels has {n_samples} values: they must have the same "
            "length"
        )
    check_finite(pixels, "X")
    return pixels, (height, width)


def _most_confident(
    samples: NDArray[np.intp], confidence: NDArray[np.float64] | None, n: int
) -> NDArray[np.intp]:
    if confidence is None:
        return samples[:n]
    return samples[np.argsort(-confidence[samples], kind="stable")[:n]]


class AgreementDisplay:
    """A heat map of categories: how often partitions put samples of two categories together.

    `from_estimator` and `from_predictions` make and draw it; `plot` draws it again.

    Parameters
    ----------
    agreement : array of shape (n_categories, n_categories)
        For each pair of categories, the share of votes that put a sample of the one in the same
        cluster as a sample of the other. On the diagonal: two samples of the same category. NaN
        where no partition votes on such a pair.
    categories : list of length n_categories
        Names of the rows.

    Attributes
    ----------
    ax_, figure_, im_ : matplotlib Axes, Figure, AxesImage
        What was drawn last.

    See Also
    --------
    labelquorum.coassociation : The same for pairs of samples.

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
            Gives the partitions (`partitions_`) and the categories (`labels_`).
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        AgreementDisplay
        """
        check_is_fitted(estimator, ["labels_", "partitions_"])
        partitions = estimator.partitions_
        if hasattr(estimator, "partition_weights_"):  # others change nothing
            partitions = partitions[:, estimator.partition_weights_ > 0]
        labels = _called(estimator.labels_, _names_by_label(estimator))
        return cls.from_predictions(partitions, labels, ax=ax)

    @classmethod
    def from_predictions(
        cls, partitions: Any, labels: ArrayLike, *, ax: Axes | None = None
    ) -> Self:
        """Draw the categories of labeled samples.

        Parameters
        ----------
        partitions : integer array-like of shape (n_samples, n_partitions)
            Or a data frame, or a list of 1-D arrays, one per partition. A negative value means that
            the partition abstains.
        labels : array-like of shape (n_samples,)
            The category of each sample: integers, negative for none, or strings, None for none. See
            docs/inputs.md for all forms.
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        AgreementDisplay
            Categories that agree stand side by side.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type or shape, or the lengths differ.

        Notes
        -----
        The order is that of the leaves of an average-linkage tree, with its branches turned so that
        adjacent categories agree most (Bar-Joseph, Gifford and Jaakkola, "Fast optimal leaf
        ordering for hierarchical clustering", Bioinformatics 17, 2001). O(n_samples n_partitions +
        n_categories^3).
        """
        columns = as_columns(partitions)
        names, codes = as_codes(labels, "labels")
        n_samples = len(columns[0])
        if len(codes) != n_samples:
            raise ValueError(
                f"labels has {len(codes)} values, but partitions has {n_samples} samples: they "
                "must have the same length"
            )
        agreement = agreement_of(columns, codes, len(_codes_to_show(names, None)))
        order = like_side_by_side(agreement)
        display = cls(
            agreement=agreement[np.ix_(order, order)], categories=[names[i] for i in order]
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None for a new figure.

        Returns
        -------
        AgreementDisplay
            Itself, with `ax_`, `figure_` and `im_`. Up to 30 categories, their names are at the
            sides; up to 8, the shares are in the cells.
        """
        from matplotlib.colors import PowerNorm

        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        n = len(self.categories)
        # Shares between categories are small: the color follows the square root.
        self.im_ = self.ax_.imshow(
            self.agreement, cmap="cividis", norm=PowerNorm(0.5, 0, 1), interpolation="nearest"
        )
        color_bar = self.figure_.colorbar(self.im_, ax=self.ax_, fraction=0.046, pad=0.03)
        color_bar.set_label("share of votes: same cluster")
        if n > _MOST_NAMED:
            self.ax_.set(xticks=[], yticks=[], xlabel=f"{n} categories, similar ones side by side")
        else:
            names = [fitted(str(name), _CHARACTERS_PER_NAME) for name in self.categories]
            size = self._size_of_names()
            self.ax_.set_xticks(range(n), names, rotation=90, parse_math=False, size=size)
            self.ax_.set_yticks(range(n), names, parse_math=False, size=size)
        if n <= _MOST_NUMBERED:
            for (row, column), share in np.ndenumerate(self.agreement):
                self.ax_.text(
                    column,
                    row,
                    "" if np.isnan(share) else f"{share:.2f}",
                    ha="center",
                    va="center",
                    color="black" if share > _DARK_BELOW else "white",
                )
        return self

    def _size_of_names(self) -> float:
        """The size of the style in points, or less if the names would overlap."""
        from matplotlib import rcParams
        from matplotlib.font_manager import FontProperties

        height = self.ax_.get_window_extent().height / self.figure_.dpi * _POINTS_PER_INCH
        usual = float(FontProperties(size=rcParams["ytick.labelsize"]).get_size_in_points())
        return min(usual, _SHARE_OF_CELLS * height / len(self.categories))


def agreement_of(
    columns: Columns, codes: NDArray[np.int32], n_categories: int
) -> NDArray[np.float64]:
    """(n_categories, n_categories): the share of votes that put samples of two together.

    `columns` are the partitions, `codes` the category of each sample, -1 for none.
    """
    shape = (n_categories, n_categories)
    n_together, n_pairs = np.zeros(shape), np.zeros(shape)
    for column in columns:
        has_vote = (codes >= 0) & (column >= 0)
        clusters = column[has_vote]
        if clusters.max(initial=0) >= len(column):
            clusters = np.unique(clusters, return_inverse=True)[1]
        counts = sparse.csr_array(
            (np.ones(len(clusters)), (codes[has_vote], clusters)),
            shape=(n_categories, int(clusters.max(initial=0)) + 1),
        )
        sizes = counts.sum(axis=1)
        # A sample makes no pair with itself.
        n_together += (counts @ counts.T).toarray() - np.diag(sizes)
        n_pairs += np.outer(sizes, sizes) - np.diag(sizes)
    return np.where(n_pairs > 0, n_together / np.maximum(n_pairs, 1), np.nan)


def like_side_by_side(agreement: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order of the categories that puts those that agree next to each other."""
    if len(agreement) < 3:
        return np.arange(len(agreement))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = 1 - np.nan_to_num(agreement)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    order: NDArray[np.intp] = leaves_list(tree).astype(np.intp)
    return order
