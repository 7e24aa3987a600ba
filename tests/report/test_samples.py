"""Samples as they are shown."""

from __future__ import annotations

import numpy as np

from labelquorum.report.data import report_data
from labelquorum.report.samples import ShownSamples


def shown(model, samples, texts=None, images=None):
    data = report_data(model, X=None, texts=texts, images=images, judgment=None)
    return ShownSamples(data, np.asarray(samples)), data


def test_the_runner_up_has_the_next_largest_share_of_votes(hostile):
    samples, data = shown(hostile.model, [3, 5, 3])
    for i in (3, 5):
        sample = samples.sample(i)
        shares = data.categories.shares_of(i)
        order = np.argsort(-shares, kind="stable")
        assert (sample.category, sample.runner_up) == tuple(data.names[k] for k in order[:2])
        assert sample.confidence == shares[order[0]]
        assert sample.runner_up_share == shares[order[1]]
        assert sample.text is sample.image is None


def test_a_suspect_shows_its_known_label_and_what_the_votes_say(hostile):
    i = int(hostile.model.suspect_labels_[0])
    samples, data = shown(hostile.model, [i])
    suspect = samples.suspect(i)
    assert suspect.category == data.names[data.outcome.known[i]]
    assert suspect.runner_up == data.names[data.categories.shares_of(i).argmax()]
    assert suspect.confidence < suspect.runner_up_share


def test_a_single_category_has_no_runner_up(fit_partitions):
    samples, _ = shown(fit_partitions(np.zeros((9, 2), int), n_clusters=1), [4])
    assert samples.sample(4).runner_up is None


def test_texts_are_cut_to_one_line(three_categories):
    texts = ["", "two\nlines\x07", "word " * 200] * 40
    samples, _ = shown(three_categories, [0, 1, 2], texts)
    assert samples.sample(0).text == "(empty)"
    assert samples.sample(1).text == "two lines\ufffd"
    assert len(samples.sample(2).text) == 280
    many, _ = shown(three_categories, np.repeat([0, 1, 2], 1000), texts)
    assert len(many.sample(2).text) == 200_000 // 3000


def test_only_small_images_are_enlarged(three_categories):
    for side, is_pixelated in ((32, True), (33, False)):
        samples, _ = shown(three_categories, [0, 1], images=np.ones((120, side, 5)))
        assert samples.is_pixelated == is_pixelated
        assert samples.sample(1).image.startswith("data:image/png;base64,")
