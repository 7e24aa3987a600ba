"""Rows and cards of categories."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from html_pages import Page
from labelquorum.quality.coverage import judge
from labelquorum.report.cards import category_rows
from labelquorum.report.data import report_data
from labelquorum.report.page import report_page
from labelquorum.report.samples import ShownSamples
from labelquorum.report.selection import select


def rows_of(model, *, X=None, texts=None, y=None):
    judgment = None if y is None else judge(model, y)
    data = report_data(model, X=X, texts=texts, images=None, judgment=judgment)
    selection = select(data)
    return category_rows(data, selection, ShownSamples(data, selection.shown))


def test_a_row_counts_the_samples_of_its_category(hostile):
    model = hostile.model
    rows = rows_of(model)
    assert sorted(rows) == list(range(len(model.classes_)))
    sizes = [row.size for row in rows.values()]
    assert sizes == sorted(sizes, reverse=True)
    pseudo_labels = model.pseudo_labels_[model.pseudo_labels_ != None]  # noqa: E711
    for k, row in rows.items():
        is_member = model.labels_ == model.classes_[k]
        assert row.size == is_member.sum()
        assert row.share == is_member.mean()
        assert row.confidence == pytest.approx(model.confidence_[is_member].mean())
        assert row.n_pseudo_labels == (pseudo_labels == model.classes_[k]).sum()
        assert [other.number for other in row.near] != []
        assert k not in [other.number for other in row.near]
        shares = [other.share for other in row.near]
        assert shares == sorted(shares, reverse=True)


def test_typical_samples_come_first_and_borderline_ones_start_with_the_least_confident(hostile):
    model = hostile.model
    for row in rows_of(model).values():
        typical = [sample.confidence for sample in row.typical]
        borderline = [sample.confidence for sample in row.borderline]
        assert typical == sorted(typical, reverse=True)
        assert borderline == sorted(borderline)
        of_category = model.confidence_[model.labels_ == model.classes_[row.number]]
        assert typical[0] == of_category.max()
        assert borderline[0] == of_category.min()


def test_true_classes_come_with_their_shares(three_categories, three_classes):
    names = np.array(["zero", "one", "two"])[three_classes]
    for row in rows_of(three_categories, y=names).values():
        members = names[three_categories.labels_ == row.number]
        values, counts = np.unique(members, return_counts=True)
        assert row.true_labels[0].name == values[counts.argmax()]
        assert row.true_labels[0].share == pytest.approx(counts.max() / len(members))
        assert row.correct == pytest.approx(row.true_labels[0].share)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["frame", "csr"])
def test_features_show_what_sets_a_category_apart(fit_partitions, form):
    pytest.importorskip("jinja2")
    pd = pytest.importorskip("pandas")
    classes = np.arange(90) % 3
    X = pd.DataFrame(
        {"same": np.ones(90), "<b>tells</b>": classes == 1, "noise": np.arange(90) % 7}
    )
    if form == "csr":
        X = sparse.csr_matrix(X.to_numpy(float))
    model = fit_partitions(np.repeat(classes[:, None], 4, axis=1), n_clusters=3, X=X)
    cards = [" ".join(text.split()) for _, text in Page(report_page(model, X=X)).all("article")]
    name = "feature 1" if form == "csr" else "<b>tells</b>"
    assert sum(f"{name}: 1 (all samples: 0.333)" in card for card in cards) == 1
    assert all("same" not in card and "feature 0" not in card for card in cards)


def test_keywords_are_words_of_the_category(fit_partitions):
    classes = np.arange(40) % 2
    texts = [["lost my card", "password reset"][c] + f" {i % 5}" for i, c in enumerate(classes)]
    model = fit_partitions(np.repeat(classes[:, None], 4, axis=1), n_clusters=2)
    for row in rows_of(model, texts=texts).values():
        is_card = "card" in texts[row.typical[0].number]
        assert ("card" in " ".join(row.keywords)) == is_card
        assert ("password" in " ".join(row.keywords)) != is_card
