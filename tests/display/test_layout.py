"""Where the categories of a grid lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from labelquorum.display.layout import GridLayout


def layout_of(n_categories, n_samples, *, are_texts):
    return GridLayout.of(n_categories, [np.arange(n_samples)] * n_categories, are_texts=are_texts)


@pytest.mark.parametrize("are_texts", [False, True])
@pytest.mark.parametrize("n_samples", [1, 10, 40])
@pytest.mark.parametrize("n_categories", [1, 10, 70, 500])
def test_figures_are_at_most_24_inches_high_and_wide(n_categories, n_samples, are_texts):
    layout = layout_of(n_categories, n_samples, are_texts=are_texts)
    assert max(layout.size) <= 24 + 1e-9
    assert layout.n_rows * layout.n_columns >= n_categories
    assert (layout.n_columns - 1) * layout.n_rows < n_categories


def test_ten_categories_are_one_column_and_seventy_are_readable():
    assert layout_of(10, 10, are_texts=False).size == (6, pytest.approx(9.5))
    for are_texts in (False, True):
        layout = layout_of(70, 10, are_texts=are_texts)
        assert layout.n_columns > 1
        assert layout.scale > 0.7
        width, height = layout.size
        assert 1 / 2 < width / height < 2


def test_columns_are_filled_from_top_to_bottom_and_do_not_overlap():
    layout = layout_of(70, 3, are_texts=False)
    figure = Figure(figsize=layout.size)
    axes = layout.axes_on(figure)
    assert axes.shape == (70, 3)
    boxes = [axis.get_position() for axis in axes[:, 0]]
    lefts = [round(box.x0, 6) for box in boxes]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == layout.n_columns
    for above, below in pairwise(boxes):
        assert below.y1 < above.y0 or below.x0 > above.x1
    assert min(box.y0 for box in boxes) >= 0
    assert max(axis.get_position().x1 for axis in axes[:, -1]) <= 1
