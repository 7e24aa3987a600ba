"""The first screen: what it says of models of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from html_pages import Page
from labelquorum.quality.coverage import judge
from labelquorum.report.data import report_data
from labelquorum.report.overview import overview
from labelquorum.report.page import report_page
from labelquorum.report.samples import ShownSamples
from labelquorum.report.selection import select

JARGON = ("partition", "pseudo", "consensus", "cluster", "signature", "co-association", "t-sne")


def overview_of(model, texts=None, images=None, y=None, merges=()):
    judgment = None if y is None else judge(model, y)
    data = report_data(model, X=None, texts=texts, images=images, judgment=judgment)
    selection = select(data)
    return overview(data, selection, ShownSamples(data, selection.shown), merges), data


def test_the_ten_largest_categories_are_bars_and_the_rest_is_counted(fit_partitions):
    classes = np.repeat(np.arange(14), np.arange(30, 2, -2))
    model = fit_partitions(classes[:, None], n_clusters=14)
    screen, data = overview_of(model)
    sizes = [bar.size for bar in screen["bars"]]
    assert sizes == list(range(30, 10, -2))
    assert screen["bars"][0].length == 1
    assert screen["bars"][3].length == pytest.approx(24 / 30)
    assert screen["n_more"] == 4
    shares = sum(bar.share for bar in screen["bars"]) + screen["share_of_more"]
    assert shares == pytest.approx(1)
    assert [bar.example.category for bar in screen["bars"]] == data.labels[:10]


@pytest.mark.parametrize("unit", ["texts", "images", "samples"])
def test_samples_are_called_what_they_are(three_categories, unit):
    arguments = {"texts": ["a b"] * 120} if unit == "texts" else {}
    if unit == "images":
        arguments = {"images": np.random.default_rng(0).random((120, 4, 4))}
    screen, _ = overview_of(three_categories, **arguments)
    assert "120" in screen["title"]
    assert screen["steps"][0].title == f"Check 59 {unit} by hand"
    assert unit in screen["trust"].sentence
    page = Page(report_page(three_categories, **arguments))
    (heading,) = page.all("h1")
    assert heading[1] == screen["title"]
    (first_screen,) = page.all("section", id="overview")
    assert not [word for word in JARGON if word in first_screen[1].lower()]


def test_new_categories_are_listed_by_size_beside_known_ones(hostile):
    screen, data = overview_of(hostile.model)
    new = screen["new"]
    assert (new.n_new, new.n_known, new.n_more) == (2, 4, 0)
    assert [bar.category.number for bar in new.bars] == [4, 5]
    assert new.share == pytest.approx(np.isin(data.numbers, [4, 5]).mean())
    assert new.n_unlabeled == 0


def test_trust_counts_samples_by_confidence(hostile):
    screen, data = overview_of(hostile.model)
    trust, confidence = screen["trust"], data.confidence
    counts = {name: n for name, _, n in trust.levels}
    assert counts["sure"] == np.count_nonzero(confidence >= 0.8)
    assert counts["unsure"] == np.count_nonzero(confidence < 0.5)
    assert sum(counts.values()) == len(confidence)
    assert trust.headline == f"{confidence.mean():.0%} agreement"
    assert "Nobody has checked" in trust.sentence
    assert trust.n_suspect == 1


def test_with_true_labels_trust_is_what_was_measured(three_categories, three_classes):
    y = np.where(np.arange(120) < 60, three_classes, -1)
    trust = overview_of(three_categories, y=y)[0]["trust"]
    right = lq.clustering_accuracy(three_classes[:60], three_categories.labels_[:60])
    assert trust.headline == f"{right:.0%} right"
    assert f"Of 60 samples with a known answer, {right:.1%} have the right label" in trust.sentence
    assert "Nobody" not in trust.sentence


def test_steps_lead_to_what_there_is_to_do(hostile):
    titles = [step.title for step in overview_of(hostile.model, merges=[(4, 5, 0.6)])[0]["steps"]]
    assert titles == [
        "Review 1 given label in doubt",
        "Check 59 samples by hand",
        "Accept or rename 2 proposals",
        "Decide on 1 look-alike pair",
    ]
    page = Page(hostile.source)
    ids = {attributes.get("id") for _, attributes, _ in page.elements}
    for step in overview_of(hostile.model, merges=[(4, 5, 0.6)])[0]["steps"]:
        assert step.target in ids


@pytest.mark.parametrize("case", ["all known", "closed", "one", "few", "abstaining"])
def test_every_model_has_two_to_four_steps_and_says_what_is_not_labeled(fit_partitions, case):
    classes = np.arange(30) % 3
    partitions, y, parameters = np.repeat(classes[:, None], 4, axis=1), None, {"n_clusters": 3}
    if case == "all known":
        y = classes
    elif case == "closed":
        y = np.where(classes < 2, classes, -1)
        parameters["discover"] = False
    elif case == "one":
        parameters["n_clusters"] = 1
    elif case == "few":
        y = np.where(np.arange(30) < 28, classes, -1)
    else:
        partitions[:5] = -1
    model = fit_partitions(partitions, y, **parameters)
    screen, _ = overview_of(model)
    assert 2 <= len(screen["steps"]) <= 4
    new = screen["new"]
    assert new.n_unlabeled == {"closed": 10, "abstaining": 5}.get(case, 0)
    if case in ("all known", "closed", "few"):
        assert new.n_new == 0
        assert not [step for step in screen["steps"] if "proposal" in step.title]
    text = Page(report_page(model)).text
    assert ("Nothing is proposed." in text) == (new.n_new == 0)
    assert (f"{new.n_unlabeled} samples are in no category" in text) == (new.n_unlabeled > 0)
