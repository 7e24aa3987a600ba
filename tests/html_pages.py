"""A parser of pages for the tests of reports, and texts that try to break out of a page."""

from __future__ import annotations

import time
from html.parser import HTMLParser

HOSTILE = [
    "<script>document.title = 'hacked'</script>",
    "</script></style></svg><img src=x onerror=\"document.title = 'hacked'\">",
    '=HYPERLINK("http://localhost/")',
    "\" onmouseover=\"document.title = 'hacked'\" '",
    "{{ 7 * 7 }} {% raw %} $x_{2}$ \\frac{",
    "line\u2028separator\u2029\u202eright to left &amp; \x00\x01\ud800 \x1b[31m",
]
_EMPTY_ELEMENTS = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """The elements of a page, with their attributes and the text in each."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements = []  # (name, attributes, list of texts)
        self.open = []
        self.feed(source)
        self.close()
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names)
        self.elements.append((tag, dict(attributes), []))
        if tag not in _EMPTY_ELEMENTS:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data):
        innermost = self.elements[self.open[-1]][0] if self.open else ""
        for i in self.open[-1:] if innermost in ("script", "style") else self.open:
            self.elements[i][2].append(data)

    def all(self, tag, **wanted):
        """The attributes and text of each element with that tag and these attributes."""
        return [
            (attributes, "".join(texts))
            for name, attributes, texts in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def one(self, tag, **wanted):
        (element,) = self.all(tag, **wanted)
        return element

    @property
    def text(self):
        return " ".join(self.one("body")[1].split())

    def table(self, name):
        """The rows of a table as lists of texts, the header first."""
        start = next(
            i for i, (_, attributes, _) in enumerate(self.elements) if attributes.get("id") == name
        )
        rows = []
        for tag, _, texts in self.elements[start + 1 :]:
            if tag == "table":
                break
            if tag == "tr":
                rows.append([])
            elif tag in ("th", "td") and rows:
                rows[-1].append(" ".join("".join(texts).split()))
        return rows


def find(browser, selector):
    """The element of an open page."""
    return browser.find_element("css selector", selector)


def wait_for(condition):
    """The first true value of the condition, within five seconds."""
    for _ in range(100):
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come about within five seconds")
