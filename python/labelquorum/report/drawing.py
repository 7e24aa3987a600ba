"""The pictures of a report, as SVG that stands in the page: heat map, coverage curve.

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

from labelquorum.display.categories import AgreementDisplay
from labelquorum.display.curves import CoveragePrecisionDisplay
from labelquorum.quality.coverage import Coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A picture is so wide that its text is readable on a phone, and not huge elsewhere.
_WIDTH = 4.8  # inches
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
