"""What the displays share."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from labelquorum.display.axes import fitted, line_style, new_axes, shortened, width_of

pytestmark = pytest.mark.usefixtures("no_window")


def test_given_axes_are_kept_and_others_are_new():
    axes = Figure().subplots()
    assert new_axes(axes) is axes
    assert new_axes(None) is not new_axes(None)


def test_each_line_has_a_color_and_a_marker_of_its_own():
    styles = [line_style(i) for i in range(7)]
    assert len({style["color"] for style in styles}) == 7
    assert len({style["marker"] for style in styles}) == 7


def test_texts_are_cut_to_a_line_with_an_ellipsis():
    assert shortened(" two\n  lines ", 9) == "two lines"
    assert shortened("two lines", 8) == "two lin\u2026"


def test_texts_are_cut_to_a_width_in_which_wide_characters_count_twice():
    assert fitted("two lines", 9) == "two lines"
    assert fitted("two lines", 8) == "two lin\u2026"
    assert fitted("\u540d\u524d", 4) == "\u540d\u524d"
    assert fitted("\u540d\u524d\u540d", 5) == "\u540d\u524d\u2026"
    for text in ("x" * 200, "\u540d" * 200, "x\u540d" * 100):
        for width in (2, 9, 10):
            assert width - 1 <= width_of(fitted(text, width)) <= width
