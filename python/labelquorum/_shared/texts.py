"""Read the texts that users pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labelquorum._shared.arguments import shown
from labelquorum._shared.label_reader import only_column

_METHODS = ("tolist", "to_list", "to_pylist")  # of NumPy and pandas, polars, pyarrow


def as_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return the texts as a list of strings; a list of strings is returned as it is."""
    items = _as_list(texts, name)
    if not items:
        raise ValueError(f"{name} must hold at least one string, got none")
    if set(map(type, items)) == {str}:
        return items
    items = [item.as_py() if hasattr(item, "as_py") else item for item in items]
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(
                f"{name} must hold strings, with '' where there is no text, got {shown(item)} "
                f"({type(item).__name__}) at position {i}"
            )
    return items


def _as_list(texts: Any, name: str) -> list[Any]:
    texts = only_column(texts)
    if isinstance(texts, list):
        return texts
    wanted = f"{name} must be a list or array of strings, got {type(texts).__name__}"
    if isinstance(texts, (Mapping, set, frozenset)):
        raise TypeError(f"{wanted}: make a list in the order of the samples")
    if getattr(texts, "columns", None) is not None:
        raise TypeError(f"{wanted}: pass one of its columns")
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise TypeError(wanted)
    method = next((method for method in _METHODS if hasattr(texts, method)), None)
    items = list(texts) if method is None else getattr(texts, method)()
    if not isinstance(items, list):
        raise TypeError(f"{wanted} without a dimension")
    return items
