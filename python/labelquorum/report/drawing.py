"""The pictures of a report, as SVG that stands in the page: heat map, map, coverage curve.

Text stays text in the browser's font, and takes the page's color, light or dark. The same values
give the same SVG, whatever style the user has set in matplotlib.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum.display.axes import shortened, width_of
from labelquorum.display.categories import AgreementDisplay
from labelquorum.display.curves import CoveragePrecisionDisplay
from labelquorum.quality.coverage import Coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A picture is so wide that its text is readable on a phone, and not huge elsewhere.
_WIDTH = 4.8  # inches
_POINTS_PER_INCH = 72
_FONT_SIZE = 10.5
_INK = "#010203"  # stands for the page's text color
_STYLE = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": _FONT_SIZE,
    "grid.color": _INK,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}

_TSNE_STEPS, _TSNE_COLUMNS, _TSNE_PERPLEXITY = 500, 50, 30

# Okabe and Ito's palette for color-blind readers, without black and yellow.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_REST_COLOR = "#888888"
_MARGIN = 0.03  # of the width of the map
_NAME_SIZE, _SMALL_NAME_SIZE = 8.5, 7.0  # points, on the map
_MOST_LARGE_NAMES = 20
_MAP_NAME_CHARACTERS = 16
_LETTER_WIDTH, _LETTER_HEIGHT = 0.62, 1.25  # rough, in sizes of the font


class HeatMapPicture(NamedTuple):
    """A heat map, and where its cells lie."""

    svg: str
    left: float
    """Edges of the cells' area, and its size, in shares of the picture; top is 0."""
    top: float
    width: float
    height: float


def heat_map(agreement: NDArray[np.float64], names: list[str]) -> HeatMapPicture:
    """Draw how categories agree, as `AgreementDisplay` does."""
    display = AgreementDisplay(agreement=agreement, categories=names)
    with _drawing(0.85 * _WIDTH) as drawing:
        display.plot(ax=drawing.axes)
        svg = drawing.svg("heat")
        box = display.ax_.get_position()
    return HeatMapPicture(svg, box.x0, 1 - box.y1, box.width, box.height)


def coverage_curve(coverage: Coverage) -> str:
    """Draw precision by coverage, as `CoveragePrecisionDisplay` does, but for its note."""
    with _drawing(0.75 * _WIDTH) as drawing:
        CoveragePrecisionDisplay(**coverage._replace(note=None)._asdict()).plot(ax=drawing.axes)
        return drawing.svg("coverage")


def category_map(
    rows: NDArray[np.float32],
    numbers: NDArray[np.int32],
    names: dict[int, str],
    sizes: NDArray[np.int64],
) -> str:
    """Draw samples as points of a plane, those of named categories in color.

    Parameters
    ----------
    rows : array of shape (n_points, n_features)
        The features that are embedded.
    numbers : array of shape (n_points,)
        The category of each.
    names : dict of category number to name
        Categories in color, each of which has a point; the others are gray.
    sizes : array of shape (n_categories,)
        Where names would overlap, larger categories keep theirs.
    """
    points = embedded(rows)
    points = points + (1 - points.max(axis=0)) * [0.5, 0]  # centered between left and right
    height = max(0.5, points[:, 1].max())
    with _drawing((height + 2 * _MARGIN) * _WIDTH) as drawing:
        axes = drawing.axes
        axes.set_axis_off()
        axes.set(xlim=(-_MARGIN, 1 + _MARGIN), ylim=(-_MARGIN, height + _MARGIN))
        rest = ~np.isin(numbers, list(names))
        axes.scatter(*points[rest].T, s=5, marker=".", color=_REST_COLOR)
        points_by_category = {k: points[numbers == k] for k in names}
        _draw_points(axes, points_by_category)
        _draw_names(axes, points_by_category, names, sizes)
        return drawing.svg("map")


def _draw_points(axes: Any, points_by_category: dict[int, NDArray[np.float64]]) -> None:
    for i, (k, points) in enumerate(points_by_category.items()):
        axes.scatter(
            *points.T,
            s=9,
            marker=_MARKERS[i // len(_COLORS) % len(_MARKERS)],
            color=_COLORS[i % len(_COLORS)],
            linewidths=0,
            gid=f"c{k}",
        )


def _draw_names(
    axes: Any,
    points_by_category: dict[int, NDArray[np.float64]],
    names: dict[int, str],
    sizes: NDArray[np.int64],
) -> None:
    """Write names in the middle of their categories, or above where there are many categories."""
    are_many = len(names) > _MOST_LARGE_NAMES
    size = _SMALL_NAME_SIZE if are_many else _NAME_SIZE
    boxes: list[Box] = []
    for k in sorted(names, key=lambda k: -sizes[k]):
        points = points_by_category[k]
        x, y = np.median(points, axis=0)
        if are_many:  # a name in the middle would hide its few points
            y = np.quantile(points[:, 1], 0.8) + 0.7 * size / (_POINTS_PER_INCH * _WIDTH)
        name = shortened(names[k], _MAP_NAME_CHARACTERS)
        box = box_of(name, x, y, size)
        if any(overlap(box, other) for other in boxes):
            continue
        boxes.append(box)
        x = (box.left + box.right) / 2
        axes.text(x, y, name, ha="center", va="center", size=size, parse_math=False, gid=f"t{k}")


def embedded(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Place rows in a plane by t-SNE: (n_rows, 2), from 0, the longer side of length 1."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # At a scale of 1, since the squares of small numbers may vanish.
    points = (rows - rows[0]).astype(np.float64)
    points /= max(np.abs(points).max(), 1e-300)
    n_columns = min(_TSNE_COLUMNS, *points.shape)
    # With several threads, sums would depend on how many there are.
    with threadpool_limits(1):
        if n_columns < points.shape[1]:
            pca = PCA(n_columns, svd_solver="full").set_output(transform="default")
            points = pca.fit_transform(points)
        tsne = TSNE(
            perplexity=min(_TSNE_PERPLEXITY, (len(points) - 1) / 3),
            init="pca" if n_columns > 1 else "random",
            max_iter=_TSNE_STEPS,
            random_state=0,
            n_jobs=1,
        ).set_output(transform="default")  # whatever scikit-learn's global settings are
        embedding = tsne.fit_transform(points)
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    scaled: NDArray[np.float64] = (embedding - low) / (high - low).max()
    return scaled


class Box(NamedTuple):
    """The place of a name on the map, in widths of the map."""

    left: float
    bottom: float
    right: float
    top: float


def box_of(name: str, x: float, y: float, size: float) -> Box:
    """Estimate the box of a name centered at (x, y), moved so that it lies within the map."""
    font = size / (_POINTS_PER_INCH * _WIDTH)
    width, height = width_of(name) * _LETTER_WIDTH * font, _LETTER_HEIGHT * font
    left = min(max(0.0, x - width / 2), 1 - width)
    return Box(left, y - height / 2, left + width, y + height / 2)


def overlap(first: Box, second: Box) -> bool:
    """Whether two boxes overlap."""
    return (
        first.left < second.right
        and second.left < first.right
        and first.bottom < second.top
        and second.bottom < first.top
    )


class _Drawing(NamedTuple):
    """A figure with one pair of axes."""

    figure: Figure
    axes: Any

    def svg(self, prefix: str) -> str:
        """The figure as an element of the page; ids of its parts begin with the prefix."""
        import matplotlib as mpl

        file = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with mpl.rc_context({"svg.hashsalt": prefix}):
            self.figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
        svg = file.getvalue()
        svg = svg[svg.index("<svg") :].replace('<g id="', f'<g id="{prefix}-')
        return svg.replace(_INK, "currentColor")


@contextmanager
def _drawing(height: float) -> Iterator[_Drawing]:
    """A new figure of that height in inches, in the page's style."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), style.context(["default", _STYLE]):
        # The browser's fonts may have the glyphs that matplotlib's lack.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure = Figure(figsize=(_WIDTH, height), layout="compressed")
        yield _Drawing(figure, figure.subplots())
