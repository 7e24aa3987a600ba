"""Every function and estimator that takes labels takes them in every form, with the same result."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

import labelquorum as lq
from label_columns import FORMS
from labelquorum import review, text
from labelquorum._shared.label_reader import NO_LABEL_WORDS
from labelquorum.cli.files.labels import read_labels

RANDOM = np.random.default_rng(0)
TRUTH = np.repeat([0, 1, 2], 10)
X = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[TRUTH] + RANDOM.normal(size=(30, 2))
HAS_LABEL = np.arange(30) % 3 > 0
TEXTS = [f"{('card', 'cash', 'loan')[k]} number {i}" for i, k in enumerate(TRUTH)]
CONFIDENCE = np.linspace(0.2, 1, 30)
FOUND = np.where(np.arange(30) == 4, 1, TRUTH)
PARTITIONS = np.stack([TRUTH, FOUND, np.arange(30) // 5])
NAMES = {
    "names": ["card", "cash", "a much longer name"],
    "integers": [3, 5, 100],
    "bools": [False, True, True],
}
LABELS = {
    kind: [names[k] if known else None for k, known in zip(TRUTH, HAS_LABEL, strict=True)]
    for kind, names in NAMES.items()
}
ROWS_OF_SETS = np.arange(30) % 5


def fitted(estimator, y, *attributes):
    model = estimator.fit(X, y)
    return [getattr(model, name) for name in ("classes_", *attributes)]


def taught(labels):
    model = lq.PreClusteringSampler(6, random_state=0).fit(X)
    model.teach(range(30), labels)
    return [model.labels_given_, model.predict(), model.categories_]


def learned_sets(labels):
    classifier = LogisticRegression()
    model = lq.PairwiseSetClusterer(classifier, classifier, n_models=1, random_state=0)
    model.fit(X, labels, groups=ROWS_OF_SETS, categories=labels)
    return [model.categories_, model.offset_]


def _curve(display):
    return [display.coverage, display.precision]


# What takes labels with gaps: a name, and a function of the labels and of the fixtures.
GAPS = {
    "LabelSpreading": lambda y: fitted(lq.LabelSpreading(), y, "transduction_"),
    "LabelPropagation": lambda y: fitted(lq.LabelPropagation(), y, "transduction_"),
    "PoissonLearning": lambda y: fitted(lq.PoissonLearning(), y, "transduction_"),
    "KNNLabelPropagation": lambda y: fitted(lq.KNNLabelPropagation(), y, "transduction_"),
    "S3VM": lambda y: fitted(lq.S3VM(unlabeled_weight=0), y, "transduction_"),
    "ConsensusClusterer": lambda y: fitted(
        lq.ConsensusClusterer(4, n_partitions=4, random_state=0), y, "labels_", "pseudo_labels_"
    ),
    "ConsensusClusterer groups": lambda y: (
        lq.ConsensusClusterer(3, random_state=0)
        .fit(X, partitions=PARTITIONS.tolist(), groups=y)
        .labels_
    ),
    "PreClusteringSampler": lambda y: fitted(
        lq.PreClusteringSampler(6, random_state=0), y, "labels_given_", "labeled_indices_"
    ),
    "PreClusteringSampler.teach": taught,
    "RepresentativeSampler.propagate": lambda y: (
        lq.RepresentativeSampler(30, random_state=0).fit(X).propagate(y)
    ),
    "RepresentativeSampler partition": lambda y: (
        lq.RepresentativeSampler(2, random_state=0).fit(X, partition=y).indices_
    ),
    "PairwiseSetClusterer": learned_sets,
    "evaluate_clustering": lambda y: (
        lq.evaluate_clustering(KMeans(3, n_init=1), X, y=y, n_repeats=1, random_state=0).truth
    ),
    "clustering_accuracy y_true": lambda y: lq.clustering_accuracy(y, FOUND),
    "clustering_accuracy y_pred": lambda y: lq.clustering_accuracy(FOUND, y),
    "label_quality": lambda y: lq.label_quality(y, y)[:6],
    "samples_to_check": lambda y: lq.samples_to_check(y, n_samples=7, random_state=0),
    "combine_votes": lambda y: lq.combine_votes([y, FOUND]),
    "correlation_clustering groups": lambda y: lq.correlation_clustering(
        np.where(TRUTH[:, None] == TRUTH, 1.0, -1.0) - 2 * np.eye(30), groups=y
    ),
    "set_scores categories": lambda y: lq.set_scores(
        TRUTH, FOUND, true_categories=y, found_categories=y
    ),
    "keywords": lambda y: text.keywords(TEXTS, y),
    "representatives": lambda y: text.representatives(TEXTS, y, 2),
    "category_table": lambda y: text.category_table(TEXTS, y).index.tolist(),
    "label_studio_tasks": lambda y: review.label_studio_tasks(TEXTS, y),
    "argilla_records": lambda y: review.argilla_records(TEXTS, y),
    "CoveragePrecisionDisplay y_true": lambda y: _curve(
        lq.CoveragePrecisionDisplay.from_predictions(y, FOUND, CONFIDENCE)
    ),
    "CoveragePrecisionDisplay y_pred": lambda y: _curve(
        lq.CoveragePrecisionDisplay.from_predictions(FOUND, y, CONFIDENCE)
    ),
    "LearningCurveDisplay": lambda y: lq.LearningCurveDisplay.from_predictions(y, {5: y}).accuracy,
    "ClusterGridDisplay": lambda y: lq.ClusterGridDisplay.from_labels(y, texts=TEXTS).categories,
    "AgreementDisplay": lambda y: (
        lq.AgreementDisplay.from_predictions(PARTITIONS.tolist(), y).agreement
    ),
}
# The answers of whoever checks: bools say whether a label is right, so names stand for themselves.
NO_BOOLS = {
    "label_quality",
    "samples_to_check",
    "combine_votes",
    "label_studio_tasks",
    "argilla_records",
}


def plain(value):
    """A value as text, in which True is not 1, and None is not -1."""
    plt.close("all")  # those of the displays
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("function", GAPS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_every_form_of_labels_gives_the_result_of_a_list(function, kind):
    labels, call = LABELS[kind], GAPS[function]
    if kind == "bools" and function in NO_BOOLS:
        with pytest.raises(TypeError, match=r"bools|must be strings or integers, got (True|False)"):
            call(labels)
        return
    expected = plain(call(labels))
    # A third of the forms for each function; all of them have their turn with the reader itself.
    forms = list(FORMS[kind].items())[list(GAPS).index(function) % 3 :: 3]
    for form, made in forms:
        assert plain(call(made(labels))) == expected, form


PARTITIONS_OF_FOUR = [[0] * 10 + [1] * 10 + [2] * 5 + [3] * 5] * 3


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (np.array([127, 0, -1], np.int8), 128),
        (np.array([255, 0, 7], np.uint8), 256),
        (np.array([2**31 - 1, 0, -1], np.int32), 2**31),
        (np.array([2**63 - 1, 0, -1]), 1),
        (np.array([2**64 - 1, 0, 1], np.uint64), 2),
        (np.array(["a", "b", ""]), "new 0"),
        ([True, False, None], 2),
    ],
)
def test_new_categories_are_never_wrapped_or_cut(known, new):
    rows = [0, 10, 20 if new not in (2, 256) or known[2] is None else 29]
    y = [None] * 30
    for row, label in zip(rows, known, strict=True):
        y[row] = label
    model = lq.ConsensusClusterer(4).fit(X, y, partitions=PARTITIONS_OF_FOUR)
    assert new in model.classes_.tolist()
    assert new in model.labels_.tolist()
    assert len(set(model.labels_.tolist())) == 4


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("attribute", ["labels_", "pseudo_labels_"])
def test_the_labels_of_a_clusterer_are_taken_everywhere(kind, attribute):
    model = lq.ConsensusClusterer(4, pseudo_share=0.7)
    model.fit(X, LABELS[kind], partitions=PARTITIONS_OF_FOUR)
    labels = getattr(model, attribute)
    assert len(set(map(type, model.labels_))) == (2 if kind == "bools" else 1)  # new ones are ints
    for function in set(GAPS) - (NO_BOOLS if kind == "bools" else set()):
        assert plain(GAPS[function](labels)) == plain(GAPS[function](labels.tolist())), function


@pytest.mark.deep
def test_deep_estimators_read_the_same_labels():
    deep = pytest.importorskip("labelquorum.deep")
    expected = None
    for form in ("a list with None", "pandas category", "polars Categorical", "masked text"):
        model = deep.LadderClassifier(hidden=(4,), n_steps=2, batch_size=10, random_state=0)
        model.fit(X.astype(np.float32), FORMS["names"][form](LABELS["names"]))
        expected = model.transduction_.tolist() if expected is None else expected
        assert model.transduction_.tolist() == expected
        assert model.classes_.tolist() == sorted(NAMES["names"])


@pytest.mark.parametrize("kind", FORMS)
def test_dask_takes_the_same_labels(kind):
    da = pytest.importorskip("dask.array")
    rows = da.from_array(X, chunks=(11, 2))
    forms = list(FORMS[kind].items())[::4]
    expected = None
    for form, made in forms:
        model = lq.dask.ConsensusClusterer(3, n_partitions=3, random_state=0)
        labels = model.fit_predict(rows, made(LABELS[kind])).compute(scheduler="synchronous")
        expected = plain(labels) if expected is None else expected
        assert plain(labels) == expected, form


def test_the_page_lists_the_words_of_files():
    page = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    words = re.search(r"around them: nothing at all, ([^.]*)\. So", page.replace("\n", " "))
    assert re.findall("`([^`]*)`", words.group(1)) == [word for word in NO_LABEL_WORDS if word]


@pytest.mark.parametrize("word", [*NO_LABEL_WORDS, "NaN", "None", "NULL", "N/A", "<NA>", " nan "])
def test_words_mean_no_label_in_every_file(tmp_path, word):
    (tmp_path / "labels.csv").write_text(f"label,n\ncard,1\n{word},2\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text(f"card\n{word}\n", encoding="utf-8")
    np.save(tmp_path / "labels.npy", np.array(["card", word]))
    for name in ("labels.csv", "labels.txt", "labels.npy"):
        assert read_labels(tmp_path / name).tolist() == ["card", None]
    (tmp_path / "review.csv").write_text(f"sample,label\n0,card\n1,{word}\n", encoding="utf-8")
    assert review.read_csv(tmp_path / "review.csv", 2).labels.tolist() == ["card", None]
