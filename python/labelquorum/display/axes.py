"""What the displays share: axes to draw on, line styles, and names cut to fit."""

from __future__ import annotations

import unicodedata
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette for color-blind readers.
BLUE, ORANGE = "#0072B2", "#E69F00"
_COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*"


def new_axes(ax: Axes | None) -> Axes:
    """The given axes, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="compressed")[1]


def line_style(i: int) -> dict[str, Any]:
    """Color and marker of line i. Each alone tells the first seven lines apart."""
    return {"color": _COLORS[i % len(_COLORS)], "marker": _MARKERS[i % len(_MARKERS)]}


def shortened(text: str, n_characters: int) -> str:
    """The text on one line, cut with an ellipsis if it is longer than `n_characters`."""
    line = " ".join(text.split())
    if len(line) <= n_characters:
        return line
    return line[: n_characters - 1] + "\N{HORIZONTAL ELLIPSIS}"


def width_of(text: str) -> int:
    """The width of a text in letters; wide characters, such as Chinese ones, count as two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, width: int) -> str:
    """The text on one line, cut with an ellipsis if it is wider than so many letters."""
    line = shortened(text, width)
    if width_of(line) <= width:
        return line
    widths = accumulate(map(width_of, line))
    return line[: sum(w < width for w in widths)] + "\N{HORIZONTAL ELLIPSIS}"
