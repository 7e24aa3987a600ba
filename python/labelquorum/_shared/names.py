"""Names of categories: the order in which they are listed, and what people may call them."""

from __future__ import annotations

import re
from typing import Any

from labelquorum._shared.arguments import shown

_DIGITS = re.compile("([0-9]+)")
_NUMBERED = re.compile("new [0-9]+")


def is_numbered(name: Any) -> bool:
    """Whether a model called a category so, and no person: by an integer, or "new 3"."""
    return not isinstance(name, str) or _NUMBERED.fullmatch(name) is not None


def natural_key(name: Any) -> tuple[Any, ...]:
    """A key to sort names by: numbers before texts, and "new 2" before "new 10".

    Two names have the same key only if they are equal.
    """
    if not isinstance(name, str):
        return (False, name)
    # Digits stay text: leading zeros aside, a longer number is a higher one.
    parts = _DIGITS.split(name)
    numbers = [part.lstrip("0") for part in parts[1::2]]
    keys = [(text, len(n), n) for text, n in zip(parts[::2], [*numbers, ""], strict=True)]
    return (True, keys, name)


def as_name(name: Any, what: str) -> str:
    """Return a name without white space around it; it must be one line of text."""
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a str, got {shown(name)} ({type(name).__name__})")
    trimmed: str = name.strip()
    if len(trimmed.splitlines()) != 1:
        raise ValueError(f"{what} must be one line of text, got {shown(name)}")
    return trimmed
