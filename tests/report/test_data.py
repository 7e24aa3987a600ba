"""What is read of a model."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.report.data import clean, printable_name, report_data


def test_characters_that_cannot_be_printed_are_replaced():
    assert clean("a\x00b\x1bc\ud800d\ne") == "a\ufffdb\ufffdc\ufffdd\ne"
    assert clean("gr\u00fcn \U0001f600") == "gr\u00fcn \U0001f600"


def test_names_are_short_and_never_empty():
    assert printable_name(" \n ") == "(empty)"
    assert printable_name(7) == "7"
    name = printable_name("x" * 200)
    assert (len(name), name.full) == (100, "x" * 200)
    assert len(printable_name("x" * 5000).full) == 250
    assert printable_name("x" * 5000, 7).full == printable_name("x" * 5000, 7)
    assert printable_name("x").full == "x"


def test_settings_say_which_parameters_have_their_default(three_categories):
    data = report_data(three_categories, X=None, texts=None, images=None, judgment=None)
    settings = {setting.name: setting for setting in data.settings}
    assert set(settings) == set(three_categories.get_params())
    assert settings["n_clusters"][1:] == ("3", False)
    assert settings["min_cluster_size"].is_default


def test_sums_are_those_of_the_members(hostile):
    data = report_data(hostile.model, X=None, texts=None, images=None, judgment=None)
    for k in range(len(data.names)):
        members = np.flatnonzero(data.numbers == k)
        assert data.sums.sizes[k] == len(members)
        shares = data.categories.shares_of(members).mean(axis=0)
        np.testing.assert_allclose(data.sums.shares[k], shares, rtol=1e-5)
    assert data.has_features
    assert data.feature_names is None


def test_feature_names_are_read():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": np.arange(30.0), "b": 0.0})
    model = lq.ConsensusClusterer(2, random_state=0).fit(X, partitions=np.arange(30)[:, None] // 15)
    data = report_data(model, X=X, texts=None, images=None, judgment=None)
    assert data.feature_names == ["a", "b"]
