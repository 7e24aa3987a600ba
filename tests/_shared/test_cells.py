"""Cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@pytest.mark.parametrize("number", ["-5", "+3", "-0.25", "-1e5", "+7.", "-12E-3", "5", "+4912345"])
def test_numbers_stay_numbers(number):
    assert marked(number) == unmarked(number) == number


@pytest.mark.parametrize(
    "cell", ["-1+1", "-", "+", "-x", "--5", "-5 ", "-1e", "-.e1", "-1\n", "-\u0661"]
)
def test_what_only_begins_like_a_number_is_marked(cell):
    assert marked(cell) == f"'{cell}"


@given(
    text=st.one_of(
        st.text(max_size=12),
        st.text(alphabet="=+-@\t\r\n'\uff1d1e.x", max_size=6),
        st.floats(allow_nan=False).map(str),
    )
)
def test_no_text_is_a_formula_and_every_text_comes_back(text):
    cell = marked(text)
    assert unmarked(cell) == text
    if cell.startswith(STARTS):
        float(cell)  # a number, which is harmless
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell, "x"])
    file.seek(0)
    assert next(csv.reader(file))[0] == cell
