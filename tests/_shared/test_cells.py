"""Cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import pytest

from labelquorum._shared.cells import marked, unmarked

WIDE = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@x", "\tx", "\r=1", "'x", "''", "'=1", "a", *WIDE]
)
def test_only_marks_are_removed(cell):
    assert unmarked(marked(cell)) == cell
    assert unmarked("'tis") == "'tis"


@pytest.mark.parametrize("cell", WIDE)
def test_full_width_forms_are_marked(cell):
    assert marked(cell) == f"'{cell}"
