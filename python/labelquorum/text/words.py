"""TODO."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


# Of words with apostrophes, and of words and single other characters, in texts of ASCII alone.
_ASCII_WORDS = re.compile(r"\w+(?:'\w+)*")
_ASCII_PIECES = re.compile(r"\w+|\W")


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""The same for any text; slower.

    Python's ``\w`` has neither the vowel signs of Indian scripts nor other combining marks, nor
    the joiners of Persian, and would cut words there.
    """
    marks = (c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] == "M")
    letters = r"\w\u200c\u200d" + "".join(marks)
    return (
        re.compile(rf"[{letters}]+(?:['\u2019][{letters}]+)*"),
        re.compile(rf"[{letters}]+|[^{letters}]"),
    )


def as_words(text: str) -> list[str]:
    """The words of a text; "don't" is one."""
    return (_ASCII_WORDS if text.isascii() else _patterns()[0]).findall(text)


def _pieces(text: str) -> list[str]:
    """The words of a text and the single characters between them; "don't" is three."""
    return (_ASCII_PIECES if text.isascii() else _patterns()[1]).findall(text)


def _folded(text: str) -> str:
    """The text as it is compared: case, width, composed letters and spacing do not matter."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
