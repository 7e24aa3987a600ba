"""The order in which names are listed."""

from __future__ import annotations

import re
from typing import Any

_DIGITS = re.compile("([0-9]+)")


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
