r"""Split texts into words, and normalize texts for comparison.

Texts of ASCII characters take fast patterns. For other texts, Python's ``\w`` is not enough. It
lacks combining marks, among them the vowel signs of Indian scripts, and the joiners of Persian, so
it would split words there.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

_ASCII_WORDS = re.compile(r"\w+(?:'\w+)*")
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+)"
)
_ASCII_PIECES = re.compile(r"\w+|\W")


@lru_cache(maxsize=1)
def _unicode_patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of words and of pieces for any text."""
    marks = (c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] == "M")
    letters = r"\w\u200c\u200d" + "".join(marks)
    return (
        re.compile(rf"[{letters}]+(?:['\u2019][{letters}]+)*"),
        re.compile(rf"[{letters}]+|[^{letters}]"),
    )


def as_words(text: str) -> list[str]:
    """Return the words of a text; "don't" is one word."""
    return (_ASCII_WORDS if text.isascii() else _unicode_patterns()[0]).findall(text)


def as_terms(text: str) -> list[str]:
    """Return the words of a text, but pairs of neighbors of characters that no spaces separate.

    So do Chinese, Japanese, Thai, Lao, Khmer and Burmese. A single such character is a term.
    """
    words = as_words(text)
    if text.isascii():
        return words
    terms = []
    for word in words:
        for part in _UNSPACED.split(word):
            if _UNSPACED.fullmatch(part) and len(part) > 1:
                terms += [part[i : i + 2] for i in range(len(part) - 1)]
            elif part:
                terms.append(part)
    return terms


def as_pieces(text: str) -> list[str]:
    """Return the words of a text and the single characters between them; "don't" is three."""
    return (_ASCII_PIECES if text.isascii() else _unicode_patterns()[1]).findall(text)


def fold(text: str) -> str:
    """Remove differences of case, width, composed letters (NFKC) and white space."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
