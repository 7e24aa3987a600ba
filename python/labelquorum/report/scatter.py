"""The map as the page draws it: points to point at, regions with names, and the density of all."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum.display.axes import fitted, shortened
from labelquorum.report.data import ReportData, clean
from labelquorum.report.images import encoded
from labelquorum.report.layout import Layout
from labelquorum.report.selection import Selection

# Okabe and Ito's palette for color-blind readers, without black and yellow, and four more.
_COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"),
    *("#8A6FD1", "#7A9A01", "#A6614A", "#3F8F9B"),
)
_REST_COLOR = "#888888"
_GRID = 10_000  # coordinates are integers up to this
_PIXELS = 320  # of the density, on its longer side
_BLUR, _EDGE = 2.2, 8  # pixels
_MOST_OPAQUE = 0.6
_LETTERS_PER_NAME = 28
_CHARACTERS_PER_TEXT, _TEXT_BYTES = 160, 450_000  # of all texts together
_IMAGE_BYTES, _IMAGE_SIDE = 500_000, 48


class Region(NamedTuple):
    """A category on the map."""

    number: int
    name: str
    label: str
    size: int
    color: str
    x: int
    """Where one of its points lies in its middle."""
    y: int


def scatter(data: ReportData, selection: Selection, layout: Layout) -> dict[str, Any]:
    """Lay out the map for the page's script."""
    numbers = data.numbers[layout.drawn]
    points = layout.points[layout.drawn]
    shown = [k for k in selection.cards.tolist() if (numbers == k).any()]
    middles = {k: _middle(points[numbers == k]) for k in shown}
    colors = _apart(middles)
    grid = np.rint(points * _GRID).astype(int)
    place = np.full(len(data.names) + 1, -1)
    place[shown] = np.arange(len(shown))
    regions = [
        Region(
            number=k,
            name=fitted(data.names[k], _LETTERS_PER_NAME),
            label=data.labels[k] if data.labels[k] != data.names[k] else "",
            size=int(data.sums.sizes[k]),
            color=colors[k],
            x=round(float(middles[k][0]) * _GRID),
            y=round(float(middles[k][1]) * _GRID),
        )
        for k in shown
    ]
    return {
        "n_points": len(layout.drawn),
        "data": {
            "width": int(grid[:, 0].max()),
            "height": int(grid[:, 1].max()),
            **_density(data, layout, colors),
            "regions": [region._asdict() for region in regions],
            "x": grid[:, 0].tolist(),
            "y": grid[:, 1].tolist(),
            "region": place[numbers].tolist(),
            "sample": layout.drawn.tolist(),
            "percent": np.rint(100 * data.confidence[layout.drawn]).astype(int).tolist(),
            "text": _texts(data, layout),
            "image": _images(data, layout),
            "rest": _REST_COLOR,
        },
    }


def _middle(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The point nearest to the median of all, so that it lies among them."""
    distances = ((points - np.median(points, axis=0)) ** 2).sum(axis=1)
    middle: NDArray[np.float32] = points[distances.argmin()]
    return middle


def _apart(middles: dict[int, NDArray[np.float32]]) -> dict[int, str]:
    """A color for each category, of which the others with that color are as far as can be."""
    colors: dict[int, str] = {}
    nearest = np.full((len(_COLORS), len(middles)), np.inf)
    places = np.array([*middles.values()]).reshape(-1, 2)
    for i, k in enumerate(middles):
        best = int(nearest[:, i].argmax())
        colors[k] = _COLORS[best]
        nearest[best] = np.minimum(nearest[best], ((places - places[i]) ** 2).sum(axis=1))
    return colors


def _density(data: ReportData, layout: Layout, colors: dict[int, str]) -> dict[str, Any]:
    """How many samples lie where, as a picture: the more, the less transparent, in their colors.

    Samples are not farther out than those that are laid out.
    """
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    extent = layout.points.max(axis=0)
    pixel = float(extent.max()) / _PIXELS
    width, height = (np.ceil(extent / pixel).astype(int) + 2 * _EDGE + 1).tolist()
    column, row = np.rint(layout.points / pixel).astype(np.int64).T + _EDGE
    cell = row * width + column
    codes = [*(colors.get(k, _REST_COLOR) for k in range(len(data.names))), _REST_COLOR]
    rgb = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in codes])
    weights = [None, *(rgb[data.numbers, channel] for channel in range(3))]
    n_samples, *sums = (
        gaussian_filter(
            np.bincount(cell, weight, width * height).reshape(height, width).astype(np.float64),
            _BLUR,
        )
        for weight in weights
    )
    density = np.log1p(n_samples / np.median(n_samples[row, column]))
    alpha = 255 * _MOST_OPAQUE * density / density.max()
    picture = np.empty((height, width, 4), dtype=np.uint8)
    for channel in range(3):
        picture[..., channel] = np.rint(sums[channel] / np.maximum(n_samples, 1e-9))
    picture[..., 3] = np.rint(alpha)
    picture[alpha < 1] = 0  # so that it is small as a file
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", optimize=True)
    low = round(-(_EDGE + 0.5) * pixel * _GRID)
    return {
        "density": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}",
        "density_box": {
            "left": low,
            "top": low,
            "right": low + round(width * pixel * _GRID),
            "bottom": low + round(height * pixel * _GRID),
        },
    }


def _texts(data: ReportData, layout: Layout) -> list[str] | None:
    """The texts of the points, cut so that all together fit the page."""
    from jinja2.utils import htmlsafe_json_dumps

    if data.texts is None:
        return None
    n_characters = _CHARACTERS_PER_TEXT
    while True:
        cut = [shortened(clean(data.texts[i]), n_characters) for i in layout.drawn.tolist()]
        n_bytes = len(htmlsafe_json_dumps(cut))
        if n_bytes <= _TEXT_BYTES or n_characters <= 1:
            return cut
        n_characters = max(1, int(0.9 * n_characters * _TEXT_BYTES / n_bytes))


def _images(data: ReportData, layout: Layout) -> list[str] | None:
    """The images of the points; None if there are none or they do not fit the page."""
    if data.images is None:
        return None
    uris = encoded(data.images, layout.drawn, n_bytes=_IMAGE_BYTES, side=_IMAGE_SIDE)
    if sum(map(len, uris.values())) > _IMAGE_BYTES:  # Many colors are large even as six pixels.
        return None
    return [uris[i] for i in layout.drawn.tolist()]
