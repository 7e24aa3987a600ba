"""The pictures: what they hold, and that the same values give the same picture."""

from __future__ import annotations

import numpy as np

from labelquorum.report.drawing import heat_map


def test_the_heat_map_takes_the_color_of_the_page():
    picture = heat_map(np.array([[0.9, 0.1], [0.1, 0.8]]), ["$a_1$", "b"])
    assert "currentColor" in picture.svg
    assert "#010203" not in picture.svg
    assert "$a_1$" in picture.svg
