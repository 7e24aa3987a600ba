"""The points of the map as a table for other programs."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from labelquorum.report.data import report_data
from labelquorum.report.layout import layout_of
from labelquorum.report.points import points_table
from labelquorum.report.selection import select

pytest.importorskip("jinja2")


def test_the_table_has_a_row_for_each_sample(hostile, tmp_path):
    path, page = tmp_path / "points.parquet", tmp_path / "report.html"
    hostile.model.report(page, texts=hostile.texts, y=hostile.y, map_out=path)
    assert page.read_text(encoding="utf-8") == hostile.source
    table = pq.read_table(path)
    assert table.column_names == ["x", "y", "label", "name", "confidence", "text"]
    model = hostile.model
    as_utf8 = [label.encode(errors="replace").decode() for label in model.labels_]
    assert table["label"].to_pylist() == as_utf8
    np.testing.assert_array_equal(table["confidence"], model.confidence_)
    assert table["text"][0].as_py() == hostile.texts[0].encode(errors="replace").decode()
    points = np.column_stack([table["x"], table["y"]])
    assert np.isfinite(points).all()
    assert points.min() >= 0
    assert points.max() <= 1
    names = dict(zip(table["label"].to_pylist(), table["name"].to_pylist(), strict=True))
    for label, name in names.items():
        assert (name == label) != label.startswith("new")  # keywords name new ones


@pytest.mark.parametrize("kind", ["integers", "closed"])
def test_samples_without_a_label_have_none(fit_partitions, kind):
    classes = np.arange(90) % 3
    X = np.random.default_rng(0).normal(size=(90, 2))
    y = np.where((classes < 2) & (np.arange(90) < 45), classes, -1)
    model = fit_partitions(classes[:, None], y, n_clusters=3, X=X, discover=kind == "integers")
    data = report_data(model, X=None, texts=None, images=None, judgment=None)
    table = points_table(data, layout_of(data, select(data)))
    assert table["label"].to_pylist() == model.labels_.tolist()
    assert [name is None for name in table["name"].to_pylist()] == (model.labels_ < 0).tolist()
    assert "text" not in table.column_names


def test_without_a_map_there_is_no_file(three_categories, tmp_path):
    with pytest.raises(ValueError, match="map_out needs features that differ"):
        three_categories.report(tmp_path / "report.html", map_out=tmp_path / "points.parquet")
    assert not list(tmp_path.iterdir())


def test_neither_file_appears_if_one_cannot_be_written(hostile, tmp_path):
    with pytest.raises(OSError, match="absent"):
        hostile.model.report(tmp_path / "report.html", map_out=tmp_path / "absent" / "points")
    assert not list(tmp_path.iterdir())
