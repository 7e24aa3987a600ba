"""Read the texts that users pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def as_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return the texts as a list of strings; a list is returned as it is."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be a list or array of strings, got {type(texts).__name__}")
    items = texts if isinstance(texts, list) else list(texts)
    if not items:
        raise ValueError(f"{name} must hold at least one string, got none")
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(
                f"{name} must hold strings, with '' where there is no text, got {item!r} "
                f"({type(item).__name__}) at position {i}"
            )
    return items
