"""The values of the page."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.quality.coverage import judge
from labelquorum.report.contents import contents
from labelquorum.report.data import report_data
from labelquorum.report.layout import layout_of
from labelquorum.report.page import report_page
from labelquorum.report.selection import select


def contents_of(model, y=None):
    judgment = None if y is None else judge(model, y)
    data = report_data(model, X=None, texts=None, images=None, judgment=judgment)
    selection = select(data)
    return contents(data, selection, layout_of(data, selection))


@pytest.mark.slow
def test_facts_are_those_of_the_model(hostile):
    model = hostile.model
    facts = dict(contents_of(model, hostile.y)["facts"])
    assert facts["samples"] == "200"
    assert facts["features"] == "5"
    assert facts["partitions"] == "8"
    assert facts["categories"] == str(model.n_clusters_)
    assert facts["known categories"] == "4"
    assert facts["known labels"] == str(np.count_nonzero(hostile.known != None))  # noqa: E711
    assert facts["suspect known labels"] == "1"
    assert facts["pseudo-labels"] == f"{model.history_[-1]['coverage']:.1%}"
    assert facts["mean confidence"] == f"{model.confidence_.mean():.3f}"
    assert "groups" not in facts
    assert set(dict(contents_of(model)["facts"])) == set(facts) - {"correct labels"}


@pytest.mark.slow
def test_the_layers_are_those_of_the_model(hostile):
    rows, table = contents_of(hostile.model)["layers"], hostile.model.layers_table_
    assert [row.n_categories for row in rows] == [str(n) for n in table["n_clusters"]]
    assert [row.is_chosen for row in rows] == [*table["chosen"]]


@pytest.mark.slow
def test_the_coverage_table_starts_with_the_pseudo_labels_and_ends_with_all(hostile):
    model = hostile.model
    rows = contents_of(model, hostile.y)["coverage"]["rows"]
    names = ["pseudo-labels", "top 25%", "top 50%", "top 75%", "top 90%", "all"]
    assert [row.name for row in rows] == names
    counted = hostile.known == None  # noqa: E711
    assert rows[-1].coverage == 1
    assert rows[-1].threshold == pytest.approx(model.confidence_[counted].min())
    assert rows[-1].confidence == pytest.approx(model.confidence_[counted].mean())
    coverages = [row.coverage for row in rows[1:]]
    assert coverages == sorted(coverages)
    is_pseudo_label = (model.pseudo_labels_ != None) & counted  # noqa: E711
    assert rows[0].coverage == pytest.approx(is_pseudo_label.sum() / counted.sum())
    assert rows[0].confidence == pytest.approx(model.confidence_[is_pseudo_label].mean())
    assert all(row.precision is None for row in contents_of(model)["coverage"]["rows"])


def test_the_heat_map_has_the_agreement_of_the_categories(fit_partitions):
    classes = np.repeat([0, 1, 2], 10)
    partitions = np.stack([classes, classes, np.minimum(classes, 1)], axis=1)
    values = contents_of(fit_partitions(partitions, n_clusters=3))
    heat_map = values["heat_map"]
    names = heat_map["data"]["names"]
    agreement = np.array(heat_map["data"]["agreement"])
    assert sorted(names) == ["0", "1", "2"]
    assert agreement.diagonal().tolist() == [100] * 3
    assert sorted(agreement[np.triu_indices(3, 1)].tolist()) == [0, 0, 33]
    (pair,) = values["merges"]
    assert pair.likeness == pytest.approx(1 / 3)
    assert pair.call == f"model.merge({[pair.first.number, pair.second.number]}, into='1')"
    assert pair.command == "labelquorum categories model.lq --merge 1,2=1"
    picture = heat_map["picture"]
    assert 0 < picture.left < picture.left + picture.width < 1
    assert 0 < picture.top < picture.top + picture.height < 1


def test_parts_without_content_are_left_out(fit_partitions):
    values = contents_of(fit_partitions(np.zeros((9, 2), int), n_clusters=1))
    assert values["heat_map"] is None
    assert values["map"] is None


def test_rounds_have_names_and_numbers_to_read(three_categories):
    rounds = contents_of(three_categories)["rounds"]
    assert rounds["columns"] == ["round", "partitions", "clusters", "coverage", "confidence"]
    assert rounds["rows"][0][:3] == ["0", "8", "3"]


@pytest.mark.parametrize("has_truth", [False, True])
def test_shares_that_ties_make_equal_are_one_row(fit_partitions, has_truth):
    """Four fifths of the samples have the same votes, and so the same confidence."""
    classes = np.repeat([0, 1], [400, 100])
    partitions = np.repeat(classes[:, None], 4, axis=1)
    partitions[400:, 1:] = np.random.default_rng(0).integers(0, 3, (100, 3))
    model = fit_partitions(partitions, n_clusters=2)
    rows = contents_of(model, classes if has_truth else None)["coverage"]["rows"][1:]
    names = [row.name for row in rows]
    assert names[-1] == "all"
    assert not {"top 25%", "top 50%"} & set(names)
    assert len(set(names)) == len(names) == len({row.coverage for row in rows})
    assert (np.diff([row.coverage for row in rows]) > 0).all()
    assert all((row.precision is not None) == has_truth for row in rows)


def test_the_page_says_how_names_were_compared(fit_partitions):
    classes = np.repeat([0, 1, 2], 20)
    y = np.full(60, None, dtype=object)
    y[[0, 20, 40]] = "sport", "work", "home"
    model = fit_partitions(classes[:, None], y, n_clusters=3)
    values = contents_of(model, np.array(["a", "b", "c"], dtype=object)[classes])
    assert dict(values["facts"])["correct labels"] == "100.0%"
    assert "y has none of the names" in values["coverage"]["note"]
    assert contents_of(model)["coverage"]["note"] is None


def test_known_categories_are_listed_in_natural_order(fit_partitions):
    classes = np.repeat(np.arange(13), 10)
    y = np.full(130, None, dtype=object)
    y[:120:10] = [f"new {k}" for k in range(12)]
    values = contents_of(fit_partitions(classes[:, None], y, n_clusters=13))
    expected = [f"new {k}" for k in range(13)]
    assert [row.name for row in values["rows"]] == expected
    assert [card.name for card in values["cards"]] == expected


@pytest.mark.filterwarnings("ignore:partitions.* changes nothing")
def test_partitions_that_change_nothing_are_not_shown(
    three_categories, three_classes, fit_partitions
):
    partitions = three_categories.partitions_
    idle = np.column_stack([partitions, np.zeros(120, dtype=int)])
    found, wanted = (contents_of(fit_partitions(p, n_clusters=3)) for p in (idle, partitions))
    assert found["heat_map"]["data"] == wanted["heat_map"]["data"]
    assert dict(found["facts"])["partitions"] == dict(wanted["facts"])["partitions"]


def test_the_page_says_where_labels_come_from(fit_partitions, three_categories, three_classes):
    assert contents_of(three_categories)["origins"] == []
    partitions = three_categories.partitions_
    y = np.where((three_classes < 2) & (np.arange(120) < 60), three_classes, -1)
    origins = np.where(np.arange(120) < 12, "accepted", "given")
    model = lq.ConsensusClusterer(3, random_state=0, discover=False)
    model.fit(np.zeros((120, 1)), y, origins=origins, partitions=partitions)
    rows = contents_of(model)["origins"]
    counts = {row.name: row.n_labels for row in rows}
    assert counts["accepted"] == 8
    assert counts["given"] == 32
    assert counts["no label"] == np.count_nonzero(model.labels_ == -1)
    assert sum(counts.values()) == 120
    assert sum(row.share for row in rows) == pytest.approx(1)
    page = report_page(model)
    assert "Where labels come from" in page
    assert "Where labels come from" not in report_page(three_categories)
