"""Text from files on a terminal: nothing in it controls the terminal, and nothing fails."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache


def visible(text: str) -> str:
    r"""Replace all characters that control a terminal, except line breaks.

    Control characters become their symbols (ESC: U+241B). Those without a symbol, and those that
    change the direction of the text, become their number in angle brackets, such as <U+200E>. Half
    a surrogate pair becomes U+FFFD, and a tab becomes four spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_character, text.replace("\r\n", "\n")))


def visible_line(text: str) -> str:
    """The text as one line without control characters."""
    return " ".join(visible(text).split("\n"))


def write_any_characters() -> None:
    """Let standard output and error escape the characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@lru_cache(maxsize=4096)
def _visible_character(character: str) -> str:
    kind, code = unicodedata.category(character), ord(character)
    if character in "\n\u200c\u200d":  # joiners, which Persian and emoji need
        return character
    if character == "\t":
        return "    "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if kind in ("Zl", "Zp"):
        return "\n"
    if kind == "Cs":
        return "\ufffd"
    return f"<U+{code:04X}>" if kind in ("Cc", "Cf") else character
