"""Where the categories of a grid lie in its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

# In inches.
_IMAGE_SIDE = 0.6
_TITLE_HEIGHT, _LINE_HEIGHT = 0.35, 0.2
_LEAST_WIDTH, _TEXT_WIDTH, _TEXT_COLUMN_WIDTH = 3.0, 9.0, 6.0
_MOST_INCHES = 24.0  # width and height of a figure
_MARGIN = 0.05


class GridLayout(NamedTuple):
    """How the categories lie in a figure: in columns, each filled from top to bottom."""

    n_categories: int
    n_columns: int
    n_axes: int
    """Axes of a category, side by side."""
    width: float
    """Of a column, in inches; before scaling, as the next."""
    row_height: float
    """Of a category without its title."""
    scale: float

    @classmethod
    def of(
        cls, n_categories: int, samples: list[NDArray[np.intp]], *, are_texts: bool
    ) -> GridLayout:
        """Make columns as few as possible, or else the figure about square."""
        n_shown = max(len(members) for members in samples)
        n_axes, width, row_height = n_shown, max(_LEAST_WIDTH, _IMAGE_SIDE * n_shown), _IMAGE_SIDE
        if are_texts:
            n_axes, width, row_height = 1, _TEXT_WIDTH, _LINE_HEIGHT * n_shown
        height = row_height + _TITLE_HEIGHT
        n_columns = 1
        if n_categories * height > _MOST_INCHES:
            width = min(width, _TEXT_COLUMN_WIDTH) if are_texts else width
            longer_side = [
                max(n * width, -(-n_categories // n) * height) for n in range(1, n_categories + 1)
            ]
            n_columns = 1 + int(np.argmin(longer_side))
        layout = cls(n_categories, n_columns, n_axes, width, row_height, 1.0)
        return layout._replace(scale=min(1.0, _MOST_INCHES / max(layout.size)))

    @property
    def n_rows(self) -> int:
        """Categories of a column."""
        return -(-self.n_categories // self.n_columns)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure in inches."""
        height = self.n_rows * (self.row_height + _TITLE_HEIGHT)
        return self.n_columns * self.width * self.scale, height * self.scale

    def axes_on(self, figure: Figure | SubFigure) -> NDArray[Any]:
        """Make axes of shape (n_categories, n_axes)."""
        width, height = (length / self.scale for length in self.size)
        columns = figure.add_gridspec(
            1,
            self.n_columns,
            left=_MARGIN / width,
            right=1 - _MARGIN / width,
            bottom=_MARGIN / height,
            top=1 - (_TITLE_HEIGHT - _MARGIN) / height,
            wspace=0.05,
        )
        spacing = {"hspace": _TITLE_HEIGHT / self.row_height, "wspace": 0.05}
        axes = np.empty((self.n_categories, self.n_axes), dtype=object)
        for column in range(self.n_columns):
            places = columns[0, column].subgridspec(self.n_rows, self.n_axes, **spacing)
            begin = column * self.n_rows
            for i in range(begin, min(begin + self.n_rows, self.n_categories)):
                for j in range(self.n_axes):
                    axes[i, j] = figure.add_subplot(places[i - begin, j])
        return axes
