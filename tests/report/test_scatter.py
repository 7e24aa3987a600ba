"""The map: its points, regions, colors and density."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest

from labelquorum.report.data import report_data
from labelquorum.report.layout import layout_of
from labelquorum.report.scatter import scatter
from labelquorum.report.selection import select


@pytest.fixture(scope="module")
def grouped(fit_partitions):
    """A model of five groups of samples that lie apart."""
    rng = np.random.default_rng(0)
    classes = np.arange(2500) % 5
    X = 9 * np.eye(5)[classes] + rng.normal(size=(2500, 5))
    return fit_partitions(np.repeat(classes[:, None], 3, axis=1), n_clusters=5, X=X)


@pytest.fixture(scope="module")
def layout(grouped):
    """Where its samples lie."""
    data = report_data(grouped, X=None, texts=None, images=None, judgment=None)
    return layout_of(data, select(data))


def map_of(model, layout, texts=None, images=None):
    data = report_data(model, X=None, texts=texts, images=images, judgment=None)
    return scatter(data, select(data), layout), data


def pixels(uri):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_points_are_the_drawn_samples_with_their_categories(grouped, layout):
    values, data = map_of(grouped, layout)
    of_map = values["data"]
    assert values["n_points"] == len(of_map["x"]) == len(of_map["region"]) == 1500
    assert of_map["sample"] == layout.drawn.tolist()
    numbers = [of_map["regions"][place]["number"] for place in of_map["region"]]
    assert numbers == data.numbers[layout.drawn].tolist()
    assert max(of_map["x"] + of_map["y"]) == 10_000
    assert of_map["text"] is of_map["image"] is None
    json.dumps(of_map)


def test_regions_lie_on_one_of_their_points_and_differ_in_color(grouped, layout):
    of_map = map_of(grouped, layout)[0]["data"]
    colors = [region["color"] for region in of_map["regions"]]
    assert len(set(colors)) == 5
    points = list(zip(of_map["x"], of_map["y"], of_map["region"], strict=True))
    for place, region in enumerate(of_map["regions"]):
        assert (region["x"], region["y"], place) in points
        assert region["size"] == 500
        assert region["label"] == ""


def test_the_density_is_made_from_all_samples(grouped, layout):
    values, data = map_of(grouped, layout)
    picture, box = pixels(values["data"]["density"]), values["data"]["density_box"]
    height, width = picture.shape[:2]
    assert picture.shape[2] == 4
    at = 10_000 * layout.points
    across = (at[:, 0] - box["left"]) / (box["right"] - box["left"]) * width
    down = (at[:, 1] - box["top"]) / (box["bottom"] - box["top"]) * height
    alpha = picture[down.astype(int), across.astype(int), 3]
    assert (alpha > 0).all(), "every sample is in the cloud"
    assert picture[..., 3].mean() < 128
    assert picture[0].max() == picture[-1].max() == 0, "clouds are not cut"
    colors = {region["number"]: region["color"] for region in values["data"]["regions"]}
    for k in range(5):
        red, green, blue = (int(colors[k][i : i + 2], 16) for i in (1, 3, 5))
        inside = picture[down.astype(int), across.astype(int)][data.numbers == k]
        assert np.abs(np.median(inside[:, :3], axis=0) - [red, green, blue]).max() <= 3


@pytest.mark.parametrize("letter", ["a", "'", "\u540d", "<"])
def test_texts_of_points_fit_the_page(grouped, layout, letter):
    from jinja2.utils import htmlsafe_json_dumps

    texts = map_of(grouped, layout, texts=[letter * 5000] * 2500)[0]["data"]["text"]
    assert len(htmlsafe_json_dumps(texts)) <= 450_000
    assert len(set(texts)) == 1
    assert texts[0].startswith(letter)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (24, 24, 3)])
def test_images_of_points_fit_the_page_or_are_left_out(grouped, layout, shape):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2500, *shape), dtype=np.uint8)
    uris = map_of(grouped, layout, images=images)[0]["data"]["image"]
    assert (uris is None) == (len(shape) == 3)  # JPEG files have long headers
    if uris is not None:
        assert sum(map(len, uris)) <= 500_000


def test_many_categories_share_colors_that_are_far_apart(fit_partitions):
    rng = np.random.default_rng(0)
    classes = np.arange(1200) % 40
    X = 30 * rng.normal(size=(40, 2))[classes] + 0.1 * rng.normal(size=(1200, 2))
    model = fit_partitions(np.repeat(classes[:, None], 3, axis=1), n_clusters=40, X=X)
    data = report_data(model, X=None, texts=None, images=None, judgment=None)
    regions = map_of(model, layout_of(data, select(data)))[0]["data"]["regions"]
    places = np.array([(region["x"], region["y"]) for region in regions])
    colors = np.array([region["color"] for region in regions])
    assert len(set(colors)) == 10
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    assert (colors != colors[nearest]).mean() > 0.9
