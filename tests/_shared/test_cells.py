"""Cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import pytest

from labelquorum._shared.cells import marked, unmarked


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\r=1", "'x", "''", "'=1", "a"])
def test_only_marks_are_removed(cell):
    assert unmarked(marked(cell)) == cell
    assert unmarked("'tis") == "'tis"
