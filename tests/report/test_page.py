"""The whole page: its parts, its numbers and its size, and that data never become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import re

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import labelquorum as lq
from html_pages import HOSTILE, Page
from labelquorum.report.page import report_page

pytest.importorskip("jinja2")

SECTIONS = [
    "overview",
    "map",
    "categories",
    "merge",
    "check",
    "details",
    "agreement",
    "coverage",
    "layers",
    "rounds",
]
LINKED = SECTIONS[:6]  # from the top


def test_all_parts_are_there(hostile):
    model = hostile.model
    page = Page(hostile.source)
    assert [attributes["id"] for attributes, _ in page.all("section")] == SECTIONS
    for name in LINKED:
        assert page.all("a", href=f"#{name}")
    assert len(page.table("category-table")) == 1 + len(HOSTILE)
    cards = page.all("article")
    assert len(cards) == len(HOSTILE)
    by_size = model.classes_[np.argsort(-model.category_table_["size"], kind="stable")]
    for name, (_, text) in zip(by_size, cards, strict=True):
        word = f"word{HOSTILE.index(name)}" if name in HOSTILE else "word"
        for part in ("Typical", "On the border", "True labels", "Near", word):
            assert part in text
    n_known = np.count_nonzero(hostile.known != None)  # noqa: E711
    assert len(page.table("check-table")) == 1 + 200 - n_known
    assert len(page.table("suspect-table")) == 1 + len(model.suspect_labels_) == 2
    names = json.loads(page.one("script", id="agreement-data")[1])["names"]
    assert len(names) == len(HOSTILE)
    assert len(json.loads(page.one("script", id="map-data")[1])["regions"]) == len(HOSTILE)
    (rename,) = [a for a, _ in page.all("button") if a.get("data-file") == "rename.csv"]
    assert (rename["data-csv"], rename["data-empty-column"]) == ("category-table", "new_name")


def test_data_never_become_markup(hostile):
    source = hostile.source
    page = Page(source)
    scripts = page.all("script")
    assert [attributes.get("type") for attributes, _ in scripts] == 2 * ["application/json"] + [
        None
    ]
    for tag, attributes, _ in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "img"  # the samples are texts
        for name in ("href", "src", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:,", "data:image/png;base64,"))
    for _, data in scripts[:2]:
        assert not set(data) & set("<>&\u2028\u2029")
    of_map, of_agreement = (json.loads(data) for _, data in scripts[:2])
    assert HOSTILE[0] in of_agreement["names"]
    assert any(region["name"][:20] == HOSTILE[0][:20] for region in of_map["regions"])
    assert HOSTILE[0] in page.text
    assert "{{ 7 * 7 }} {% raw %} $x_{2}$ \\frac{" in page.text
    assert not set(source) & set("\x00\x01\x1b\ud800")
    source.encode()


def test_ids_are_unique_and_references_have_a_target(hostile):
    page = Page(hostile.source)
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes, _ in page.elements:
        for name in ("href", "xlink:href", "aria-labelledby"):
            if name in attributes and not attributes[name].startswith("data:"):
                assert attributes[name].removeprefix("#") in ids, tag
    for target in re.findall(r"url\(#(.*?)\)", hostile.source):
        assert target in ids


def test_only_the_reports_own_script_may_run(hostile):
    page = Page(hostile.source)
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    script = page.all("script")[-1][1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_table_agrees_with_the_estimator(hostile):
    pd = pytest.importorskip("pandas")
    model = hostile.model
    header, *rows = Page(hostile.source).table("category-table")
    table = pd.DataFrame(rows, columns=header)
    expected = model.category_table_.sort_values("size", ascending=False, kind="stable")
    assert table["samples"].astype(int).tolist() == expected["size"].tolist()
    assert table["confidence"].astype(float).tolist() == expected["confidence"].round(3).tolist()
    assert table["known labels"].astype(int).tolist() == expected["n_labeled"].tolist()
    assert table["suspect"].astype(int).tolist() == expected["n_suspect"].tolist()
    assert table["kind"].tolist() == [["new", "known"][known] for known in expected["known"]]
    share = table["its share"].str.rstrip("%").astype(float) / 100
    np.testing.assert_allclose(share, expected["nearest_share"], atol=6e-4)
    is_unknown = hostile.known == None  # noqa: E711
    for name, correct in zip(expected.index, table["correct"], strict=True):
        if name not in model.classes_[:4]:
            continue
        of_category = hostile.y[(model.labels_ == name) & is_unknown]
        assert correct == f"{(of_category == name).mean():.1%}"


@pytest.mark.slow
def test_without_true_labels_nothing_is_called_precision(three_categories, three_classes):
    text = Page(report_page(three_categories)).text
    assert "this is not the precision" in text
    assert "There is no map: all samples have the same features." in text
    assert "correct labels" not in text
    accuracy = lq.clustering_accuracy(three_classes, three_categories.labels_)
    judged = Page(report_page(three_categories, y=three_classes)).text
    assert f"correct labels{accuracy:.1%}" in judged
    assert "Measured on 120 samples" in judged


def test_the_same_model_gives_the_same_file(hostile, tmp_path):
    path = tmp_path / "report.html"
    model = pickle.loads(pickle.dumps(hostile.model))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "text.color": "red"}):
        model.report(path, X=hostile.X, texts=hostile.texts, y=hostile.y)
        assert mpl.rcParams["font.size"] == 30
    assert path.read_bytes() == hostile.source.encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_many_categories_long_names_and_large_images_make_a_small_file(fit_partitions):
    n_categories, n = 1200, 3600
    classes = np.arange(n) % n_categories
    y = np.array([f"{k} " + '"' * 300 for k in range(n_categories)], dtype=object)[classes]
    y[2 * n_categories + 1 :] = None
    partitions = np.stack([classes, classes // 2], axis=1)
    model = fit_partitions(partitions, y, n_clusters=n_categories)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(n, 24, 24, 3), dtype=np.uint8)
    texts = [f"{i} " + "'" * 2000 for i in range(n)]
    source = report_page(model, texts=texts, images=images)
    assert len(source.encode()) < 5_000_000
    page = Page(source)
    assert len(page.all("article")) == 300
    assert len(page.table("category-table")) == 1001
    assert "The table shows the 1000 largest of 1200 categories." in page.text


@pytest.mark.slow
@pytest.mark.parametrize("case", ["one", "three", "all known", "abstaining", "closed", "groups"])
def test_unusual_models_have_a_report(fit_partitions, case):
    classes = np.arange(30) % 3
    partitions = np.repeat(classes[:, None], 4, axis=1)
    y, parameters = None, {"n_clusters": 3}
    if case == "one":
        parameters["n_clusters"] = 1
    elif case == "three":
        classes, partitions = classes[:3], partitions[:3]
    elif case == "all known":
        y = classes
    elif case == "abstaining":
        partitions[:5] = -1
    elif case == "closed":
        y = np.where(classes < 2, classes, -1)
        parameters["discover"] = False
    else:
        parameters["groups"] = np.arange(30) % 6
    model = fit_partitions(partitions, y, **parameters)
    page = Page(report_page(model, texts=[f"text {i % 4}" for i in range(len(classes))]))
    assert len(page.all("article")) == model.n_clusters_
    text = page.text
    assert ("There is nothing to check" in text) == (case in ("all known", "closed"))
    assert ("Agreement of categories" in text) == (model.n_clusters_ > 1)
    assert ("without a label" in text) == (case in ("abstaining", "closed"))
    assert ("groups" in text) == (case == "groups")
    if case != "all known":
        truth = np.append(classes[1:], 7)
        assert "correct labels" in Page(report_page(model, y=truth)).text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"X": np.zeros((9, 1))},
            ValueError,
            "X has 9 samples, but the estimator was fitted on 120: they must have the same length",
        ),
        ({"X": np.zeros((120, 2))}, ValueError, "X has 2 features"),
        ({"X": np.full((120, 1), np.nan)}, ValueError, "NaN"),
        ({"texts": ["a"]}, ValueError, "texts has 1 samples, .* fitted on 120"),
        ({"texts": "a"}, TypeError, "texts must be a list or array of strings, got str"),
        ({"texts": [1] * 120}, TypeError, "texts must hold strings, .* got 1"),
        ({"images": np.zeros((120, 4))}, ValueError, r"images must have .* got \(120, 4\)"),
        ({"images": np.zeros((120, 4, 4, 2))}, ValueError, "images must have shape"),
        ({"images": np.zeros((7, 4, 4))}, ValueError, "images has 7 samples"),
        ({"images": [["a"]]}, TypeError, "images must hold numbers, got dtype"),
        ({"images": np.full((120, 4, 4), np.nan)}, ValueError, "images .* got NaN or infinity"),
        ({"images": np.full((120, 4, 4, 3), 2.0)}, ValueError, "images must .* colors .* from 2.0"),
        ({"y": [0]}, ValueError, "y has 1 values, .* fitted on 120"),
        ({"y": [-1] * 120}, ValueError, "y must hold at least one label that was not given to fit"),
        ({"y": [0.5] * 120}, TypeError, "y must hold integers, got floats"),
    ],
)
def test_wrong_arguments_are_named_and_leave_no_file(
    three_categories, tmp_path, arguments, error, message
):
    with pytest.raises(error, match=message):
        three_categories.report(tmp_path / "report.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_error(three_categories, tmp_path):
    with pytest.raises(OSError, match="cannot be written: No such file or directory"):
        three_categories.report(tmp_path / "absent" / "report.html")
    with pytest.raises(OSError, match="is a folder"):
        three_categories.report(tmp_path)
    with pytest.raises(NotFittedError):
        lq.ConsensusClusterer().report(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
