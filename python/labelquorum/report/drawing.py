"""TODO."""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAP_STEPS, _MAP_COLUMNS, _MAP_PERPLEXITY = 500, 50, 30
_FONT_SIZE = 10.5
_INK = "#010203"  # becomes the page's colour of text, light or dark
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
WIDTH = 4.8  # inches of a picture: its text is readable on a phone, and not huge elsewhere
POINTS_PER_INCH = 72
_LETTER = (0.62, 1.25)  # width and height of a letter, in sizes of its font


def embedded(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The rows in a plane, from 0 on, the wider side of length 1; near each other what is near."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Of scale 1, since squares of small numbers may vanish.
    points = (rows - rows[0]).astype(np.float64)
    points /= max(np.abs(points).max(), 1e-300)
    n_columns = min(_MAP_COLUMNS, *points.shape)
    # Sums by several threads would depend on their number.
    with threadpool_limits(1):
        if n_columns < points.shape[1]:
            points = PCA(n_columns, svd_solver="full").fit_transform(points)
        embedding = TSNE(
            perplexity=min(_MAP_PERPLEXITY, (len(points) - 1) / 3),
            init="pca" if n_columns > 1 else "random",
            max_iter=_MAP_STEPS,
            random_state=0,
            n_jobs=1,
        ).fit_transform(points)
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    placed: NDArray[np.float64] = (embedding - low) / (high - low).max()
    return placed


class _Drawing(NamedTuple):
    """A figure with one pair of axes."""

    figure: Figure
    axes: Any

    def svg(self, name: str) -> str:
        """The figure as an element of the page; its parts have ids that begin with the name."""
        import matplotlib as mpl

        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with mpl.rc_context({"svg.hashsalt": name}):
            self.figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        svg = file.getvalue()
        svg = svg[svg.index("<svg") :].replace('<g id="', f'<g id="{name}-')
        return svg.replace(_INK, "currentColor")


@contextmanager
def _drawing(width: float, height: float) -> Iterator[_Drawing]:
    """A new figure of so many inches, in the style of the page whatever the user's."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), style.context(["default", _STYLE]):
        # The browser's fonts may have what ours lack.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure = Figure(figsize=(width, height), layout="compressed")
        yield _Drawing(figure, figure.subplots())


def box_of(name: str, x: float, y: float, size: float) -> tuple[float, float, float, float]:
    """About the place that a name takes on the map, moved so that it is within."""
    font = size / (POINTS_PER_INCH * WIDTH)
    letters = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name)
    width, height = letters * _LETTER[0] * font, _LETTER[1] * font
    left = min(max(0.0, x - width / 2), 1 - width)
    return left, y - height / 2, left + width, y + height / 2


def overlap(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )
