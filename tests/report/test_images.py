"""Images of samples, as they come back out of the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from html_pages import Page
from labelquorum.report.images import encoded
from labelquorum.report.page import report_page

pytest.importorskip("jinja2")


def decoded(uri, kind):
    from PIL import Image

    prefix, content = uri.split(",")
    assert prefix == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def images_of(source):
    """The image of each sample shown, as a data URI, by sample number."""
    return {
        int(attributes["alt"].removeprefix("sample ")): attributes["src"]
        for attributes, _ in Page(source).all("img")
    }


def test_gray_images_keep_their_values_on_one_scale(three_categories):
    values = np.linspace(0, 1, 120)[:, None, None] * np.ones((4, 6))
    uris = images_of(report_page(three_categories, images=values))
    assert len(uris) > 60
    low, high = min(uris), max(uris)
    for i, uri in uris.items():
        gray = 255 * (high - i) / (high - low)
        np.testing.assert_allclose(decoded(uri, "png"), np.full((4, 6), gray), atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_colors_stay_and_large_images_shrink(three_categories, dtype):
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    images = np.broadcast_to(colors[np.arange(120) % 3][:, None, None], (120, 200, 100, 3))
    images = images if dtype == np.uint8 else images / 255
    for i, uri in images_of(report_page(three_categories, images=images)).items():
        image = decoded(uri, "jpeg")
        assert image.shape == (96, 48, 3)
        assert np.abs(image - colors[i % 3].astype(int)).max() < 10


def test_many_images_shrink_until_they_fit():
    images = np.random.default_rng(0).integers(0, 256, size=(400, 90, 90), dtype=np.uint8)
    once = encoded(images, np.arange(400))
    assert 900_000 < sum(map(len, once.values())) <= 1_800_000
    twice = encoded(images, np.repeat(np.arange(400), 2))
    assert 2 * sum(map(len, twice.values())) <= 1_800_000
    height, width = decoded(once[0], "png").shape
    assert 6 < height == width < 90


def test_images_of_one_gray_value_are_black():
    uris = encoded(np.full((2, 3, 3), 7.0), np.array([0, 1]))
    assert (decoded(uris[1], "png") == 0).all()
