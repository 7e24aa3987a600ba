"""How categories are found by what people call them, and which new names they may get."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq

X = np.repeat([0.0, 5, 10, 15], 6)[:, None] + np.arange(24)[:, None] % 6 / 10
PARTITIONS = [np.arange(24) // 6, np.arange(24) // 6, np.arange(24) // 2]
TEXTS = np.repeat(["currency", "card", "login", "refund"], 6).tolist()


def fitted(labels=()):
    y = np.full(24, -1) if not len(labels) or isinstance(labels[0], int) else np.full(24, None)
    y[: 6 * len(labels) : 6] = labels
    return lq.ConsensusClusterer(4).fit(X, y, partitions=PARTITIONS)


@pytest.mark.parametrize(
    ("name", "place"),
    [(2, 2), ("2", 2), ("login", 2), (np.int64(1), 1), (np.str_("card"), 1), (0, 0)],
)
def test_a_category_is_found_by_its_label_or_name(name, place):
    model = fitted().name_categories(TEXTS).rename({name: "found"})
    assert set(model.labels_[6 * place : 6 * place + 6].tolist()) == {"found"}


@pytest.mark.parametrize("name", [2, "2", "new 2"])
def test_a_category_is_found_by_its_integer_of_before(name):
    model = fitted().rename({0: "Money"}).rename({name: "found"})
    assert set(model.labels_[12:18].tolist()) == {"found"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("curency", "'curency': the nearest are 'currency'"),
        ("zzz", "'zzz': there are 'currency', 'card', 'login', 'refund', '0', '1', '2', '3'"),
        (4, "4: there are"),
        (-1, "-1: there are"),
        (None, "None: there are"),
        (True, "True: there are"),
        (1.5, "1.5: there are"),
        (("a",), "('a',): there are"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, found):
    model = fitted().name_categories(TEXTS)
    for change in (
        lambda: model.rename({name: "x"}),
        lambda: model.merge([0, name], into="x"),
        lambda: model.accept([name]),
        lambda: model.split(name),
    ):
        with pytest.raises(ValueError, match="must be the name of a category or its label") as e:
            change()
        assert found in str(e.value)


def test_many_names_are_not_all_listed():
    partitions = [np.arange(24) // 2] * 3
    model = lq.ConsensusClusterer(12).fit(X, partitions=partitions)
    with pytest.raises(ValueError, match=r"there are '0', .* '9', \.\.\.$"):
        model.accept("what")


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda m: m.rename([(0, "a")]), TypeError, "names must be a dict of new names.*got list"),
        (lambda m: m.rename({0: 1}), ValueError, "must be free, got 1 for category 'currency', wh"),
        (lambda m: m.rename({0: "card"}), ValueError, "which category 'card' has, too: use merge"),
        (lambda m: m.rename({0: "3"}), ValueError, "must be free, got '3'"),
        (lambda m: m.rename({0: "a", 1: "a"}), ValueError, "must be free, got 'a'.*choose two"),
        (lambda m: m.rename({0: "a", "currency": "b"}), ValueError, "hold different categories"),
        (lambda m: m.rename({0: ""}), ValueError, "a new name must be one line of text, got ''"),
        (lambda m: m.rename({0: "a\nb"}), ValueError, "must be one line of text"),
        (lambda m: m.rename({0: "None"}), ValueError, "none that means 'no label' in files, got"),
        (lambda m: m.rename({0: " nan "}), ValueError, "none that means 'no label'"),
        (lambda m: m.rename({0: -1}), ValueError, "from 0 to 2.63 - 1, got -1"),
        (lambda m: m.rename({0: 2**63}), ValueError, "from 0 to 2.63 - 1"),
        (lambda m: m.rename({0: True}), TypeError, r"a new name must be a str, got True \(bool\)"),
        (lambda m: m.rename({0: None}), TypeError, "a new name must be a str, got None"),
        (lambda m: m.rename({0: 1.0}), TypeError, "a new name must be a str, got 1.0"),
        (lambda m: m.merge([], into="a"), ValueError, "names must hold at least one name, got no"),
        (lambda m: m.merge(None, into="a"), TypeError, "names must be a list of names, got NoneT"),
        (lambda m: m.merge([0, 0], into="a"), ValueError, "hold different categories, got 0"),
        (lambda m: m.merge([0, 1], into="login"), ValueError, "must be free, got 'login'"),
        (lambda m: m.merge([0, 1], into=None), TypeError, "a new name must be a str"),
        (lambda m: m.accept([]), ValueError, "names must hold at least one name"),
        (lambda m: m.split(0, n_parts=0), ValueError, "n_parts must be"),
        (lambda m: m.split(0, n_parts=40), ValueError, "into 40 parts, got 'currency', of which"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, kind, message):
    model = fitted().name_categories(TEXTS)
    before = dict(vars(model))
    with pytest.raises(kind, match=message):
        change(model)
    assert vars(model) == before


@pytest.mark.parametrize("method", ["rename", "merge", "accept", "split", "name_categories"])
def test_nothing_is_changed_before_a_fit(method):
    arguments = {"rename": {0: "a"}, "name_categories": TEXTS}.get(method, [0])
    options = {"into": "a"} if method == "merge" else {}
    with pytest.raises(ValueError, match="not fitted yet"):
        getattr(lq.ConsensusClusterer(), method)(arguments, **options)


def test_strings_do_not_become_integers():
    with pytest.raises(TypeError, match="a new name must be a str, got 3"):
        fitted(["a", "b"]).rename({"a": 3})


def test_no_new_name_is_one_that_was_used():
    model = fitted(["a"])
    model.merge(["new 0", "new 2"], into="both").split("both")
    assert set(model.classes_.tolist()) == {"a", "both", "new 1", "new 3"}


def test_names_can_be_exchanged():
    model = fitted(["a", "b"]).rename({"a": "b", "b": "a"})
    assert model.labels_[[0, 6]].tolist() == ["b", "a"]


def test_a_known_category_is_accepted_where_it_is_certain():
    model = fitted(["a", "b"]).accept("a")
    assert model.label_origins_[:6].tolist() == ["given", *["accepted"] * 5]


def test_one_category_can_be_merged_with_itself():
    model = fitted(["a", "b"]).merge("a", into="c")
    assert model.classes_.tolist() == ["c", "b", "new 0", "new 1"]


def test_nothing_to_rename_changes_nothing():
    model = fitted()
    labels = model.labels_
    assert model.rename({}) is model
    np.testing.assert_array_equal(model.labels_, labels)
