"""People name, merge, split and accept categories; everything stays consistent, and is kept."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import labelquorum as lq
from labelquorum._shared.labels import to_labels

CENTERS = np.array([[0, 0], [0, 5], [6, 0], [6, 5], [13, 0], [13, 5]])
X, TRUTH = make_blobs(240, centers=CENTERS, cluster_std=0.8, random_state=0)
X_NEW, _ = make_blobs(60, centers=CENTERS, cluster_std=1.5, random_state=1)
TOPICS = [
    "currency rate",
    "card stolen",
    "login password",
    "amount limit",
    "refund fee",
    "pin code",
]
TEXTS = [f"{TOPICS[t].split()[i // 4 % 2]} please" for i, t in enumerate(TRUTH)]
Y_NAMES = np.where(np.arange(240) % 4 > 0, None, np.array([*"ab", *[None] * 4])[TRUTH])
Y_NUMBERS = np.where(np.arange(240) % 4 == 0, np.array([0, 1, -1, -1, -1, -1])[TRUTH], -1)
CASES = {
    "nothing known": {},
    "names": {"y": Y_NAMES},
    "numbers": {"y": Y_NUMBERS},
    "groups": {"groups": np.where(np.arange(240) < 80, np.arange(240) // 2, -1)},
    "foreign partitions": {"partitions": np.stack([TRUTH, TRUTH % 3, (TRUTH + 1) // 2], axis=1)},
}
STATES = {}


def fitted(case="nothing known", **parameters):
    """A model of its own, fitted once for all tests."""
    key = (case, repr(parameters))
    if key not in STATES:
        model = lq.ConsensusClusterer(6, n_partitions=8, random_state=0, n_jobs=1)
        STATES[key] = model.set_params(**parameters).fit(X, **CASES[case])
    model = lq.ConsensusClusterer(**STATES[key].get_params(deep=False))
    vars(model).update(vars(STATES[key]))
    return model


def next_fit(model, **kw):
    """Fit anew with what the model said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "only .* labels of")
        anew = lq.ConsensusClusterer(n_partitions=8, random_state=1, n_jobs=1)
        anew.set_params(n_clusters=model.n_clusters_, **kw)
        return anew.fit(X, model.labels_, origins=model.label_origins_)


def check(model):
    """Everything that follows from the categories fits together."""
    n, outcome = model.n_clusters_, model.outcome_
    classes = model.classes_.tolist()
    assert len(classes) == len(set(classes)) == n == outcome.categories.n_categories
    assert len(set(map(type, classes))) == 1
    names = model.category_names_.tolist()
    assert len(set(names)) == n
    assert all(isinstance(name, str) for name in names)
    for i, label in enumerate(map(str, classes)):
        assert label not in names[:i] + names[i + 1 :]
    shares = outcome.categories.shares
    assert shares.shape[1] == n
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    numbers = outcome.categories.numbers
    sizes = np.bincount(numbers, minlength=n)
    assert sizes.min() > 0
    assert (np.diff(sizes[outcome.n_known :]) <= 0).all()
    np.testing.assert_array_equal(model.labels_, to_labels(model.classes_, numbers))
    own = shares[outcome.categories.rows, numbers]
    np.testing.assert_array_equal(model.confidence_, own)
    is_pseudo = np.array([label not in (-1, None) for label in model.pseudo_labels_.tolist()])
    assert (model.pseudo_labels_[is_pseudo] == model.labels_[is_pseudo]).all()
    if outcome.known is not None:
        is_known = outcome.known >= 0
        np.testing.assert_array_equal(outcome.known[is_known], numbers[is_known])
        assert set(np.unique(numbers[is_known]).tolist()) == set(range(outcome.n_known))
        assert (is_known == np.isin(model.label_origins_, ["given", "accepted"])).all()
    table = model.category_table_
    assert table.index.tolist() == classes
    assert table["size"].tolist() == sizes.tolist()
    assert (table["known"] == (np.arange(n) < outcome.n_known)).all()
    proba = model.predict_proba(X_NEW)
    assert proba.shape == (60, n)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X_NEW), model.classes_[proba.argmax(axis=1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = model.predict(X_NEW, reject_level=0.2)
    is_answer = np.array([answer not in (-1, None) for answer in answers.tolist()])
    assert (answers[is_answer] == model.predict(X_NEW)[is_answer]).all()
    assert model.explain(3).category == model.labels_[3]


def check_layers(model):
    layers = model.cluster_layers_
    is_chosen = [np.array_equal(layer, model.labels_) for layer in layers]
    assert sum(is_chosen) == 1
    assert model.layers_table_["chosen"].tolist() == is_chosen
    known = model.outcome_.categories.numbers < model.outcome_.n_known
    for layer in [*layers, model.cut(model.n_clusters_ + 2), model.cut(3)]:
        np.testing.assert_array_equal(layer[known], model.labels_[known])


def same_partition(one, other):
    return lq.clustering_accuracy(np.asarray(one, str), np.asarray(other, str)) == 1


def new_of(model, n=1):
    """Labels of new categories, the largest first."""
    return model.classes_[model.outcome_.n_known :].tolist()[:n]


@pytest.mark.parametrize("case", CASES)
def test_names_of_categories_are_labels_at_first(case):
    model = fitted(case)
    assert model.category_names_.tolist() == [str(label) for label in model.classes_.tolist()]
    check(model)


def test_categories_are_named_by_their_keywords():
    model = fitted("names")
    assert model.name_categories(TEXTS) is model
    names = dict(zip(model.classes_.tolist(), model.category_names_.tolist(), strict=True))
    assert (names["a"], names["b"]) == ("a", "b")
    wanted = {frozenset(topic.split()) for topic in TOPICS[2:]}
    assert {frozenset(name.split(", ")) for label, name in names.items() if label > "b"} == wanted
    check(model)


def test_names_of_before_are_made_anew():
    model = fitted()
    once = model.name_categories(TEXTS).category_names_.tolist()
    assert model.name_categories(TEXTS).category_names_.tolist() == once
    assert model.name_categories([""] * 240).category_names_.tolist() == list("012345")


def test_texts_of_another_length_are_refused():
    with pytest.raises(ValueError, match="texts must have 240 values, one per sample, got 2"):
        fitted().name_categories(["a", "b"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("is_named", [False, True])
def test_a_proposal_gets_a_name_of_a_persons_choosing(case, is_named):
    model = fitted(case)
    before = model.labels_
    (label,) = new_of(model)
    size = int((before == label).sum())
    old = model.name_categories(TEXTS).category_names_[list(model.classes_).index(label)]
    assert model.rename({old if is_named else label: " Billing "}) is model
    assert ((model.labels_ == "Billing") == (before == label)).all()
    assert same_partition(model.labels_, before)
    origins = model.label_origins_[model.labels_ == "Billing"]
    assert set(origins) <= {"accepted", "proposed"}
    assert size / 20 < np.count_nonzero(origins == "accepted")
    assert "Billing" in model.category_names_
    check(model)
    check_layers(model)


def test_known_categories_only_change_their_name():
    model = fitted("names")
    layers, origins = model.cluster_layers_, model.label_origins_
    model.rename({"a": "b", "b": "a"})
    assert model.classes_[:2].tolist() == ["b", "a"]
    np.testing.assert_array_equal(model.label_origins_, origins)
    swapped = {"a": "b", "b": "a"}
    for before, after in zip(layers, model.cluster_layers_, strict=True):
        assert [swapped.get(label, label) for label in before.tolist()] == after.tolist()
    check(model)


def test_the_first_string_makes_strings_of_integers():
    model = fitted("numbers")
    model.rename({3: "billing"})
    assert model.classes_.tolist() == ["0", "1", "billing", "new 2", "new 4", "new 5"]
    assert model.category_names_.tolist() == model.classes_.tolist()
    check(model)


def test_integers_can_stay_integers():
    model = fitted()
    before = model.labels_
    model.rename({3: np.int64(17), "4": 3})
    assert model.classes_.tolist() == [17, 3, 0, 1, 2, 5]
    assert ((model.labels_ == 17) == (before == 3)).all()
    check(model)


@pytest.mark.parametrize("case", CASES)
def test_merged_categories_are_one(case):
    model = fitted(case)
    before, proba, shares = model.labels_, model.predict_proba(X_NEW), model.confidence_
    one, other = new_of(model, 2)
    places = [model.classes_.tolist().index(label) for label in (one, other)]
    model.merge([one, other], into="both")
    assert ((model.labels_ == "both") == ((before == one) | (before == other))).all()
    assert model.n_clusters_ == len(np.unique(before)) - 1
    assert (model.confidence_ >= shares - 1e-6).all()
    place = model.classes_.tolist().index("both")
    assert (model.predict_proba(X_NEW)[:, place] >= proba[:, places].max(axis=1) - 0.05).all()
    check(model)
    check_layers(model)


def test_a_proposal_joins_a_known_category():
    model = fitted("names")
    before, origins = model.labels_, model.label_origins_
    (label,) = new_of(model)
    model.merge(["a", label], into="a")
    assert ((model.labels_ == "a") == np.isin(before, ["a", label])).all()
    assert (model.label_origins_[origins == "given"] == "given").all()
    assert (model.label_origins_[before == label] == "accepted").any()
    check(model)
    check_layers(model)


@pytest.mark.parametrize("case", ["names", "numbers"])
def test_two_categories_that_people_labeled_are_not_merged(case):
    model = fitted(case)
    names = model.classes_[:2].tolist()
    before = dict(vars(model))
    with pytest.raises(ValueError, match="at most one category with labels that people gave, got"):
        model.merge(names, into=names[0])
    assert vars(model) == before


def test_all_categories_can_be_merged():
    model = fitted()
    model.merge(model.classes_.tolist(), into="everything")
    assert model.classes_.tolist() == ["everything"]
    check(model)
    assert set(model.cut(3)) == {"everything"}


@pytest.mark.parametrize("case", CASES)
def test_accepted_proposals_are_known(case):
    model = fitted(case)
    before, pseudo = model.labels_, model.pseudo_labels_
    labels = new_of(model, 2)
    model.accept(labels)
    np.testing.assert_array_equal(model.labels_, before)
    is_certain = np.isin(pseudo, labels)
    assert (model.label_origins_[is_certain] == "accepted").all()
    assert not (model.label_origins_[~is_certain] == "accepted").any()
    check(model)
    check_layers(model)


def test_a_name_that_people_read_becomes_the_label():
    model = fitted("names").name_categories(TEXTS)
    before = model.category_names_.tolist()
    place = model.outcome_.n_known
    model.accept(before[place])
    assert model.classes_.tolist()[place] == before[place]
    assert model.category_names_.tolist() == before
    assert model.name_categories([""] * 240).category_names_[place] == before[place]
    check(model)


def test_all_can_be_accepted():
    model = fitted()
    model.accept(model.classes_)
    assert model.outcome_.n_known == 6
    check(model)
    check_layers(model)


@pytest.mark.parametrize("case", CASES)
def test_split_and_merged_again_is_as_before(case):
    model = fitted(case, n_clusters=3)
    before, confidence = model.labels_, model.confidence_
    (label,) = new_of(model)
    size = np.count_nonzero(before == label)
    model.split(label)
    check(model)
    check_layers(model)
    assert model.n_clusters_ == 4
    (part,) = set(model.classes_.tolist()) - set(np.unique(before).tolist())
    assert ((model.labels_ == part) | (model.labels_ == label))[before == label].all()
    np.testing.assert_array_equal(model.labels_[before != label], before[before != label])
    assert 0 < np.count_nonzero(model.labels_ == part) <= size / 2
    model.merge([label, part], into=label)
    np.testing.assert_array_equal(model.labels_, before)
    np.testing.assert_allclose(model.confidence_, confidence, atol=1e-6)
    check(model)


def test_parts_are_those_that_differ():
    model = fitted("foreign partitions", n_clusters=2)
    largest = model.classes_.tolist()[0]
    truths = TRUTH[model.labels_ == largest]
    n_parts = len(set(truths))
    model.split(largest, n_parts=n_parts)
    assert same_partition(model.labels_[np.isin(TRUTH, truths)], TRUTH[np.isin(TRUTH, truths)])
    check(model)


def test_what_people_said_stays_when_a_category_is_split():
    y = np.where(np.arange(240) % 4 == 0, np.array([0, 0, -1, -1, -1, -1])[TRUTH], -1)
    model = lq.ConsensusClusterer(5, n_partitions=8, random_state=0).fit(X, y).split(0)
    assert (model.labels_[y == 0] == 0).all()
    assert (model.label_origins_[y == 0] == "given").all()
    assert model.n_clusters_ == 6
    check(model)
    accepted = fitted(n_clusters=3).accept([0]).split(0)
    part = accepted.labels_ == accepted.classes_.max()
    assert (accepted.label_origins_[part] == "proposed").all()
    check(accepted)


def test_equal_samples_cannot_be_split():
    partitions = [[0, 0, 0, 1, 1, 1]] * 3
    model = lq.ConsensusClusterer(2).fit(np.arange(6)[:, None], partitions=partitions)
    with pytest.raises(ValueError, match="divide into 2 parts, got '0', of which they find 1"):
        model.split(0)
    with pytest.raises(ValueError, match="of at least 5 samples"):
        fitted(min_cluster_size=5).split(0, n_parts=30)


@pytest.mark.parametrize("classifier", [LogisticRegression(max_iter=1000), LinearSVC()])
def test_a_classifier_answers_with_the_changed_categories(classifier):
    model = fitted("names", classifier=classifier)
    before = model.predict(X_NEW)
    one, other, third = new_of(model, 3)
    model.merge([one, other], into="both").rename({third: "billing", "a": "A"}).accept("new 3")
    expected = {one: "both", other: "both", third: "billing", "a": "A"}
    is_same = [expected.get(name, name) for name in before] == model.predict(X_NEW)
    if hasattr(classifier, "predict_proba"):
        check(model)
        assert np.mean(is_same) > 0.9  # Of added probabilities, another one may be the highest.
    else:
        assert is_same.all()
    with pytest.raises(ValueError, match="split must be called for a model without a classifier"):
        model.split("both")


def test_without_discover_only_known_categories_are_labels():
    model = lq.ConsensusClusterer(6, n_partitions=8, random_state=0, discover=False)
    model.fit(X, Y_NAMES)
    assert set(model.labels_.tolist()) == {"a", "b", None}
    model.accept("new 0").rename({"new 1": "billing"})
    assert set(model.labels_.tolist()) == {"a", "b", "new 0", "billing", None}


# What people said is kept.


@pytest.mark.parametrize("case", ["nothing known", "names", "numbers"])
def test_the_next_fit_keeps_names_merges_and_what_is_accepted(case):
    model = fitted(case).name_categories(TEXTS)
    one, other, third, fourth = new_of(model, 4)
    model.merge([one, other], into="both").accept([str(third)]).rename({fourth: "Billing"})
    anew = next_fit(model)
    assert set(anew.classes_[: anew.outcome_.n_known]) >= {"both", "Billing"}
    n_known = np.count_nonzero(anew.outcome_.is_known(anew.classes_))
    assert n_known == model.outcome_.n_known
    assert set(anew.classes_.tolist()) == set(model.classes_.tolist())
    assert np.mean(anew.labels_ == model.labels_) > 0.95
    assert (anew.label_origins_ == model.label_origins_).mean() > 0.95


def test_proposals_keep_their_names_beside_those_of_people():
    model = fitted()
    model.rename({1: "Billing"})
    anew = next_fit(model)
    assert set(anew.classes_.tolist()) == {"Billing", *(f"new {k}" for k in (0, 2, 3, 4, 5))}
    assert same_partition(anew.labels_, model.labels_)


@pytest.mark.parametrize("case", CASES)
def test_changes_are_saved(case, tmp_path):
    model = fitted(case).name_categories(TEXTS)
    one, other, third, _ = new_of(model, 4)
    model.merge([one, other], into="both").accept([str(third)]).split("both")
    if case != "foreign partitions":
        model.split(model.classes_[-1])
    model.save(tmp_path / "model.lq")
    loaded = lq.load(tmp_path / "model.lq")
    for name in ("labels_", "classes_", "category_names_", "label_origins_", "confidence_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    np.testing.assert_array_equal(loaded.predict_proba(X_NEW), model.predict_proba(X_NEW))
    np.testing.assert_array_equal(loaded.cut(4), model.cut(4))
    check(loaded)
    check_layers(loaded)
    loaded.rename({"both": "one"})
    check(loaded)


def test_a_fit_begins_anew():
    model = fitted().rename({0: "billing"})
    model.fit(X)
    assert model.classes_.tolist() == list(range(6))
    assert model.category_names_.tolist() == list("012345")
    check(model)
    check_layers(model)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["rename", "merge", "split", "accept", "name"]), st.randoms()),
    max_size=6,
)


@settings(deadline=None)
@given(st.sampled_from(list(CASES)), OPERATIONS)
def test_any_changes_keep_everything_consistent(case, operations):
    model = fitted(case)
    for i, (operation, random) in enumerate(operations):
        before, numbers = model.labels_, model.outcome_.categories.numbers
        names = random.choice([model.classes_, model.category_names_]).tolist()
        chosen = random.sample(names, min(len(names), random.randint(1, 3)))
        try:
            if operation == "rename":
                new = [f"name {i}", i + 100, f"other {i}"]
                model.rename(dict(zip(chosen, new if i % 2 else new[::2] + new, strict=False)))
            elif operation == "merge":
                model.merge(chosen, into=random.choice([f"merged {i}", chosen[0]]))
            elif operation == "split":
                model.split(chosen[0], n_parts=random.randint(2, 3))
            elif operation == "accept":
                model.accept(chosen)
            else:
                model.name_categories(TEXTS)
        except (TypeError, ValueError):
            np.testing.assert_array_equal(model.labels_, before)
        else:
            after = model.outcome_.categories.numbers
            if operation == "merge":
                assert len(set(zip(numbers, after, strict=True))) == len(set(numbers))
            elif operation == "split":
                assert len(set(zip(numbers, after, strict=True))) == len(set(after))
            else:
                assert same_partition(after, numbers)
        check(model)
    check_layers(model)


def test_categories_that_voters_named_stay_known():
    X = np.repeat(np.eye(5, 8) * 9, 60, axis=0) + np.random.default_rng(0).normal(size=(300, 8))
    classes = np.repeat(range(5), 60)
    y = np.where((classes == 0) & (np.arange(300) % 4 == 0), "a", None)
    votes = np.array(["a", "b", "d", None, None], dtype=object)[classes]
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, y, votes=votes)
    model.accept("new 0").rename({"b": "bills"})
    is_known = model.outcome_.is_known(model.classes_)
    assert model.classes_[is_known].tolist() == ["a", "bills", "d", "new 0"]


def test_names_of_categories_that_are_all_known_can_change(tmp_path):
    X = np.repeat(np.eye(3, 4) * 9, 20, axis=0) + np.random.default_rng(0).normal(size=(60, 4))
    y = np.repeat(["a", "b", "c"], 20)
    model = lq.ConsensusClusterer(3, random_state=0).fit(X, y).rename({"b": "bills"}).accept("c")
    model.save(tmp_path / "model.lq")
    loaded = lq.load(tmp_path / "model.lq")
    assert loaded.classes_.tolist() == ["a", "bills", "c"]
    assert set(loaded.cut(4).tolist()) >= {"a", "bills", "c"}
    anew = lq.ConsensusClusterer(3, random_state=1)
    anew.fit(X, loaded.labels_, origins=loaded.label_origins_)
    assert (anew.labels_ == loaded.labels_).all()
