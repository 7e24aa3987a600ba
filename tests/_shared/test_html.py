"""Results in notebooks: as HTML, escaped, with all that the text says."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from html_pages import HOSTILE, Page
from labelquorum._shared.html import HtmlPage, Table, as_html

X = np.concatenate([np.zeros((20, 2)), np.ones((20, 2))]) + np.arange(40)[:, None] / 1000
NAMES = np.array(["<b>ant</b>", "b & c"], dtype=object)[np.repeat([0, 1], 20)]

UNKNOWN_FIRST = np.tile(np.r_[-1, [0] * 19, [1] * 20][:, None], 3)


def fitted():
    known = NAMES.copy()
    known[5:20] = known[25:] = None
    partitions = np.column_stack([np.repeat([0, 1], 20)] * 3)
    partitions[30, 1] = -1
    return lq.ConsensusClusterer(2, random_state=0).fit(X, known, partitions=partitions)


def novelty():
    return fitted().novelty(np.concatenate([X[:5], np.full((20, 2), 9.0)]), min_group_size=5)


def quality():
    return lq.label_quality(NAMES, NAMES, np.full(40, 0.75), wanted_precision=0.5)


def evaluation():
    from sklearn.cluster import KMeans

    clusterer = KMeans(2, n_init=1, random_state=0)
    return lq.evaluate_clustering(clusterer, X, y=NAMES, n_repeats=2, random_state=0)


def rule_report():
    labeler = lq.text.KeywordLabeler({"<b>ant</b>": ["ant"], "b & c": ["bee", "bee ant"]})
    return labeler.fit().report(["an ant", "a bee", "a bee and an ant"])


RESULTS = {
    "Novelty": novelty,
    "Explanation": lambda: fitted().explain(30),
    "Explanation of nothing": lambda: (
        lq.ConsensusClusterer(2).fit(X, partitions=UNKNOWN_FIRST).explain(0)
    ),
    "LabelQuality": quality,
    "ClusteringEvaluation": evaluation,
    "SetEvaluation": lambda: lq.evaluate_sets([[0, 0, 1]] * 2, [[0, 0, 1], [0, 1, 1]]),
    "list of RuleReport": rule_report,
}


def words_of(source):
    return " ".join(text for _, _, texts in Page(source).elements for text in texts).split()


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_the_same_in_html_as_in_print(name):
    result = RESULTS[name]()
    source = result._repr_html_()
    assert source.startswith("<div>")
    assert "<b>" not in source
    if name == "list of RuleReport":
        assert words_of(source)[4:8] == ["<b>ant</b>", "ant", "66.7%", "50.0%"]
        return
    shown = "".join(words_of(source)).lower()
    for word in repr(result).replace("(", " ").replace(")", " ").lower().split():
        assert word.strip(".,:;") in shown, word


def test_long_results_are_cut_as_in_print():
    labels = np.arange(100)
    quality = lq.label_quality(labels, labels)
    source = quality._repr_html_()
    assert source.count("<tr>") == 1 + 60 + 1
    assert "... 40 more categories: to_frame() has them all" in source
    assert source.count("<tr>") == len(repr(quality).splitlines()) - 2

    partitions = np.tile(np.repeat([0, 1], 20)[:, None], (1, 70))
    explanation = lq.ConsensusClusterer(2).fit(X, partitions=partitions).explain(3)
    assert explanation._repr_html_().count("<tr>") == 1 + 60
    assert "... 10 more partitions" in explanation._repr_html_()
    assert repr(explanation).endswith("\n... 10 more partitions")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_breaks_out_of_a_fragment(text):
    source = as_html(text, Table([text], [[text], [7]]))
    source.encode()  # notebooks are files in UTF-8
    tags = [name for name, _, _ in Page(source).elements]
    assert tags == ["div", "p", "table", "thead", "tr", "th", "tbody", "tr", "td", "tr", "td"]
    assert all(attributes == {} for _, attributes, _ in Page(source).elements)


@pytest.mark.parametrize("text", ["<p>one & two</p>", '"></iframe><script>alert(1)</script>'])
def test_a_page_is_shown_in_a_frame_that_reaches_nothing(text):
    page = HtmlPage(text, 'a "title" <b>')
    [(tag, attributes, _)] = Page(page._repr_html_()).elements
    assert tag == "iframe"
    assert attributes["srcdoc"] == text
    assert attributes["title"] == 'a "title" <b>'
    assert "allow-same-origin" not in attributes["sandbox"]
    assert repr(page) == f'<a "title" <b>: {len(text)} characters of HTML; notebooks show it>'


def test_a_report_without_a_path_is_the_page_that_would_be_written(tmp_path):
    pytest.importorskip("jinja2")
    model = fitted()
    page = model.report(X=X)
    assert model.report(tmp_path / "report.html", X=X) is None
    assert page.html == (tmp_path / "report.html").read_text(encoding="utf-8")
    [(_, attributes, _)] = Page(page._repr_html_()).elements
    before, base, after = attributes["srcdoc"].partition('<base href="about:srcdoc">')
    assert base
    assert before.endswith("<head>")  # before the rule that allows no base
    assert before + after == page.html
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]
