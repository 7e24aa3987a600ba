"""Spreadsheet cells that must not be taken for formulas.

A cell that begins like a formula gets an apostrophe in front. So does one that begins with an
apostrophe, so that reading the cell restores the text exactly. Numbers, such as -5, stay as they
are: a spreadsheet only shows them.
"""

from __future__ import annotations

import re

# A spreadsheet takes a cell for a formula if it begins with one of these, some of them in full
# width; it skips a leading tab or line break.
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_MARK = "'"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


def marked(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    if not text.startswith((*_FORMULA_STARTS, _MARK)) or _NUMBER.fullmatch(text):
        return text
    return _MARK + text


def unmarked(cell: str) -> str:
    """The text of a cell that `marked` made."""
    is_marked = cell.startswith(_MARK) and cell[1:].startswith((*_FORMULA_STARTS, _MARK))
    return cell[1:] if is_marked else cell
