"""Results as HTML, for notebooks: paragraphs and tables in the colors of the notebook's theme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from labelquorum._shared.terminal import visible_line

# "allow-same-origin" is left out: nothing in the page can reach the notebook.
_FRAME = (
    '<iframe srcdoc="{}" title="{}" sandbox="allow-scripts allow-downloads allow-popups" '
    'style="width: 100%; height: 45em; border: 1px solid; background: Canvas"></iframe>'
)


# Without it, links within the page would lead to the notebook. It comes before the page's rules.
_BASE = '<base href="about:srcdoc">'


class Table(NamedTuple):
    """A table to show; values are shown as `str` shows them."""

    titles: Sequence[str]
    rows: Iterable[Sequence[Any]]


def as_html(*parts: str | Table) -> str:
    """Make a fragment of HTML of paragraphs (plain text) and tables, one after the other."""
    shown = (_table(part) if isinstance(part, Table) else f"<p>{_text(part)}</p>" for part in parts)
    return f"<div>{''.join(shown)}</div>"


class HtmlPage:
    """A whole page as text (`html`), which notebooks show in a frame of its own."""

    def __init__(self, html: str, title: str) -> None:
        self.html = html
        self.title = title

    def __repr__(self) -> str:
        return f"<{self.title}: {len(self.html):,} characters of HTML; notebooks show it>"

    def _repr_html_(self) -> str:
        page = self.html.replace("<head>", f"<head>{_BASE}", 1)
        return _FRAME.format(escape(page), escape(self.title))


def _table(table: Table) -> str:
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    titles = "".join(f"<th>{_text(title)}</th>" for title in table.titles)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(value: Any) -> str:
    return f"<td>{_text(value)}</td>"


def _text(value: Any) -> str:
    return escape(visible_line(str(value)))
