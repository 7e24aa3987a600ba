"""Layers are nested, hold the chosen partition and known categories, and are at most five."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from strategies import share


def assert_nested(layers):
    """Each cluster of a finer layer lies in one cluster of the next coarser one."""
    for finer, coarser in pairwise(layers):
        assert len(np.unique(finer)) > len(np.unique(coarser))
        pairs = {*zip(finer.tolist(), coarser.tolist(), strict=True)}
        assert len(pairs) == len({cluster for cluster, _ in pairs})


@st.composite
def ensembles(draw):
    """Partitions that are noisy copies of a few nested ones."""
    n = draw(st.integers(12, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    finest = rng.integers(0, draw(st.integers(2, 12)), n)
    columns = []
    for _ in range(draw(st.integers(2, 8))):
        column = finest // rng.integers(1, 4)
        is_noise = rng.random(n) < draw(st.sampled_from([0, 0.1, 0.5]))
        columns.append(np.where(is_noise, rng.integers(-1, 6, n), column))
    return np.stack(columns, axis=1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@share(0.2)
@given(ensembles(), st.integers(1, 12), st.integers(1, 6), st.booleans())
def test_layers_are_nested_and_hold_the_labels(partitions, n_clusters, min_size, has_known):
    n = len(partitions)
    X = np.arange(n, dtype=float)[:, None]
    y = np.where(np.arange(n) % 5 == 0, np.arange(n) % 2, -1) if has_known else None
    model = lq.ConsensusClusterer(min(n_clusters, n), min_cluster_size=min_size, random_state=0)
    model.fit(X, y, partitions=partitions)
    layers, table = model.cluster_layers_, model.layers_table_
    assert 1 <= len(layers) <= 5
    assert len(layers) == len(model.persistence_scores_) == len(table)
    assert_nested(layers)
    chosen = int(np.flatnonzero(table["chosen"])[0])
    np.testing.assert_array_equal(layers[chosen], model.labels_)
    assert table["n_clusters"].is_monotonic_decreasing
    for labels, size in zip(layers, table["n_clusters"], strict=True):
        wanted = max(size, model.outcome_.n_known)
        # With the number of the fit, `cut` gives its labels, even if these are fewer.
        expected = model.labels_ if wanted == model.n_clusters else labels
        np.testing.assert_array_equal(model.cut(wanted), expected)
        if has_known:
            np.testing.assert_array_equal(labels[y >= 0], y[y >= 0])


@pytest.mark.filterwarnings("ignore::UserWarning")
@share(0.1)
@given(ensembles(), st.integers(0, 1000))
def test_layers_do_not_depend_on_the_order_of_samples(partitions, seed):
    X = np.arange(len(partitions), dtype=float)[:, None]
    order = np.random.default_rng(seed).permutation(len(X))
    first = lq.ConsensusClusterer(4, random_state=0).fit(X, partitions=partitions)
    second = lq.ConsensusClusterer(4, random_state=0).fit(X[order], partitions=partitions[order])
    assert len(first.cluster_layers_) == len(second.cluster_layers_)
    for a, b in zip(first.cluster_layers_, second.cluster_layers_, strict=True):
        np.testing.assert_array_equal(a[order], b)


def test_layers_show_clusters_of_clusters():
    y = np.repeat(np.arange(12), 40)
    rng = np.random.default_rng(0)
    partitions = np.stack([y // 3, y // 3, y, y, y, 2 * y + rng.integers(0, 2, len(y))], axis=1)
    model = lq.ConsensusClusterer(12).fit(np.arange(len(y))[:, None], partitions=partitions)
    table = model.layers_table_
    assert 4 in table["n_clusters"].tolist()
    assert lq.clustering_accuracy(y // 3, model.cut(4)) == 1
    assert lq.clustering_accuracy(y, model.cut(12)) == 1
    place = table["n_clusters"].tolist().index(4)
    assert table["smallest"][place] == table["largest"][place] == 120


def test_small_categories_do_not_split_off_in_finer_layers():
    rng = np.random.default_rng(0)
    partitions = rng.integers(0, [4, 9, 13, 20], size=(400, 4))
    X = np.arange(400.0)[:, None]
    model = lq.ConsensusClusterer(5, min_cluster_size=12, random_state=0)
    model.fit(X, partitions=partitions)
    assert (model.layers_table_["smallest"] >= 12).all()


def test_groups_stay_together_in_all_layers():
    rng = np.random.default_rng(0)
    partitions = rng.integers(0, [4, 9, 13, 20], size=(300, 4))
    groups = np.arange(300) // 3
    model = lq.ConsensusClusterer(5, random_state=0)
    model.fit(np.arange(300.0)[:, None], partitions=partitions, groups=groups)
    assert_nested(model.cluster_layers_)
    for labels in model.cluster_layers_:
        assert (labels.reshape(-1, 3) == labels[::3, None]).all()


def test_without_discover_new_categories_have_no_label():
    partitions = np.repeat([[0, 0], [1, 1], [2, 2], [3, 3]], 5, axis=0)
    y = np.where(np.arange(20) % 5 == 0, ["a"] * 10 + ["b"] * 10, None)
    X = np.arange(20.0)[:, None]
    model = lq.ConsensusClusterer(4, discover=False).fit(X, y, partitions=partitions)
    for labels in model.cluster_layers_:
        assert {*labels.tolist()} <= {"a", "b", None}


def test_a_model_without_clusters_has_one_layer():
    partitions = np.zeros((6, 3), dtype=int)
    model = lq.ConsensusClusterer().fit(np.arange(6.0)[:, None], partitions=partitions)
    assert [*model.layers_table_["n_clusters"]] == [1]
    np.testing.assert_array_equal(model.cluster_layers_[0], model.labels_)


def test_the_table_needs_no_pandas(monkeypatch):
    partitions = np.repeat([[0, 0], [1, 1], [2, 2], [3, 3]], 5, axis=0)
    model = lq.ConsensusClusterer(2).fit(np.arange(20.0)[:, None], partitions=partitions)
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = model.layers_table_
    assert table.dtype.names[:2] == ("layer", "n_clusters")
    assert table["chosen"].sum() == 1


def test_layers_of_an_unfitted_model_are_refused():
    with pytest.raises(AttributeError, match="fitted"):
        _ = lq.ConsensusClusterer().cluster_layers_
