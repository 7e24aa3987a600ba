"""The merge tree."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.report.contents import contents
from labelquorum.report.data import report_data
from labelquorum.report.layout import layout_of
from labelquorum.report.selection import select
from labelquorum.report.tree import merge_tree

LINK = re.compile(r"M(\d+) ([\d.]+)H(\d+)V([\d.]+)H(\d+)")


def test_what_agrees_most_joins_farthest_to_the_right():
    agreement = np.array(
        [[1, 0.1, 0.8, 0], [0.1, 1, 0.1, 0.5], [0.8, 0.1, 1, 0], [0, 0.5, 0, np.nan]]
    )
    tree = merge_tree(agreement, [], [])
    places = {k: place for place, k in enumerate(tree.order)}
    assert abs(places[0] - places[2]) == abs(places[1] - places[3]) == 1
    joins = [int(link[2]) for link in LINK.findall(tree.path)]
    assert len(joins) == 3
    assert joins == sorted(joins, reverse=True)
    assert tree.height == 40
    assert tree.layers == []


@given(
    n=st.integers(3, 12),
    n_layers=st.integers(0, 2),
    seed=st.integers(0, 20),
)
def test_the_lines_of_layers_cut_the_tree_into_their_groups(n, n_layers, seed):
    rng = np.random.default_rng(seed)
    agreement = rng.random((n, n))
    agreement = (agreement + agreement.T) / 2
    finer = rng.integers(0, n - 1, n)
    groups = [np.unique(finer, return_inverse=True)[1]]
    groups.append(np.unique(groups[0] // 2, return_inverse=True)[1])
    groups = groups[:n_layers]
    sizes = [int(group.max()) + 1 for group in groups]
    tree = merge_tree(agreement, groups, sizes)
    assert sorted(tree.order) == list(range(n))
    links = LINK.findall(tree.path)
    assert len(links) == n - 1
    for group, line in zip(groups, tree.layers, strict=True):
        x = line.percent / 100 * tree.width
        assert line.n_categories == n - sum(int(link[2]) > x for link in links)
        in_order = group[tree.order]  # together in the tree
        assert np.count_nonzero(np.diff(in_order)) == line.n_categories - 1


@pytest.mark.parametrize("n_known", [0, 4])
def test_the_layers_of_a_model_are_in_its_tree(fit_partitions, n_known):
    rng = np.random.default_rng(0)
    classes = np.arange(600) % 12
    fine = np.where(rng.random((600, 8)) < 0.1, rng.integers(0, 12, (600, 8)), classes[:, None])
    coarse = fine[:, :4] // 3
    y = None
    if n_known:
        y = np.where((classes < n_known) & (np.arange(600) < 120), classes, -1)
    model = fit_partitions(np.column_stack([fine, coarse]), y, n_clusters=12)
    data = report_data(model, X=None, texts=None, images=None, judgment=None)
    selection = select(data)
    tree = contents(data, selection, layout_of(data, selection))["tree"]
    table = model.layers_table_
    sizes = table["n_clusters"].tolist()
    chosen = table["chosen"].tolist().index(True)
    assert [line.n_categories for line in tree["picture"].layers] == sizes[chosen + 1 :]
    assert sizes[chosen + 1 :]
    assert len(tree["leaves"]) == 12
    for group, labels in zip(data.coarser, model.cluster_layers_[chosen + 1 :], strict=True):
        for k in range(12):  # all samples of a category are in one of a coarser layer
            assert len(np.unique(labels[data.numbers == k])) == 1
        assert len(np.unique(group)) == len(np.unique(labels))
