"""The command predict: the labels of a saved model, clear errors, no half files."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.cli.main import main

X, CLASSES = make_blobs(300, 4, centers=3, cluster_std=0.5, random_state=0)
NEW = X[::7] + 0.1
NAMES = np.array(["cat, dog", "=1+1", None], dtype=object)


@pytest.fixture
def folder(tmp_path):
    """A table of features and labels, one of new samples, and a model of the first."""
    labels = NAMES[np.where(np.arange(300) % 3 > 0, CLASSES, 2)]
    for name, rows, given in (("week1", X, labels), ("week2", NEW, labels[::7])):
        with open(tmp_path / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["a", "b", "c", "d", "category"])
            writer.writerows([*row, label] for row, label in zip(rows.tolist(), given, strict=True))
    command = ["fit", str(tmp_path / "week1.csv"), "--label-column", "category", "--n-clusters"]
    assert main([*command, "3", "--save", str(tmp_path / "model.lq"), "--quiet"]) == 0
    return tmp_path


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predict(folder, *options):
    return main(["predict", str(folder / "model.lq"), str(folder / "week2.csv"), *options])


def test_predict_writes_what_the_model_says(folder, capsys):
    assert predict(folder, "--label-column", "category") == 0
    model = lq.load(folder / "model.lq")
    rows = rows_of(folder / "week2-labels.csv")
    assert list(rows[0]) == ["row", "label", "origin", "confidence"]
    assert [int(row["row"]) for row in rows] == list(range(len(NEW)))
    labels = [row["label"].removeprefix("'") for row in rows]
    assert labels == model.predict(NEW).tolist()
    assert {"cat, dog", "=1+1", "new 0"} == set(labels)
    np.testing.assert_array_equal(
        np.array([row["confidence"] for row in rows], np.float32),
        model.predict_proba(NEW).max(axis=1),
    )
    output = capsys.readouterr().out
    assert f"{len(NEW)} samples, 4 features" in output
    assert "week2-labels.csv: written after" in output


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_columns_and_formats_are_those_of_fit(folder, ending, capsys):
    pytest.importorskip("pyarrow")
    out = folder / f"out{ending}"
    assert predict(folder, "--columns", "a,b,c,d", "--out", str(out), "--quiet") == 0
    expected = lq.load(folder / "model.lq").predict(NEW).tolist()
    if ending == ".npz":
        assert np.load(out)["label"].tolist() == expected
    else:
        import pyarrow.parquet as pq

        assert pq.read_table(out)["label"].to_pylist() == expected
    assert capsys.readouterr() == ("", "")


def test_samples_of_no_known_category_have_no_label(folder):
    command = ["fit", str(folder / "week1.csv"), "--label-column", "category", "--no-discover"]
    assert main([*command, "--save", str(folder / "model.lq"), "--quiet"]) == 0
    assert predict(folder, "--columns", "a,b,c,d", "--quiet") == 0
    labels = {row["label"].removeprefix("'") for row in rows_of(folder / "week2-labels.csv")}
    assert labels == {"cat, dog", "=1+1", ""}


def saved(folder, model):
    model.save(folder / "model.lq")


OTHER_MODELS = {
    "svm": lambda: lq.S3VM().fit(X, np.where(np.arange(300) % 3 > 0, CLASSES, -1)),
    "neighbors": lambda: lq.KNNLabelPropagation(3).fit(X, CLASSES),
}


@pytest.mark.parametrize("kind", OTHER_MODELS)
def test_other_estimators_predict_too(folder, kind):
    model = OTHER_MODELS[kind]()
    saved(folder, model)
    assert predict(folder, "--columns", "a,b,c,d", "--quiet") == 0
    rows = rows_of(folder / "week2-labels.csv")
    assert [int(row["label"]) for row in rows] == model.predict(NEW).tolist()
    assert ("confidence" in rows[0]) == (kind == "neighbors")


@pytest.mark.parametrize(
    "model",
    [
        lq.RepresentativeSampler(2).fit(X),
        lq.LabelModel().fit([CLASSES, CLASSES]),
        lq.NeighborSearcher().fit(X),
    ],
    ids=["sampler", "voters", "searcher"],
)
def test_a_model_that_labels_no_samples_is_refused(folder, model, capsys):
    saved(folder, model)
    assert predict(folder) == 1
    error = capsys.readouterr().err
    assert "model.lq: the model must label samples by features, got a " in error
    assert not (folder / "week2-labels.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "model.lq: cannot be read: No such file or directory"),
        (b"", "model.lq is damaged or not a saved model"),
        (b"PK\x03\x04 and so on", "model.lq is damaged or not a saved model"),
        (b"12345678{}", "model.lq is damaged or not a saved model"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_a_line(folder, content, message, capsys):
    (folder / "model.lq").unlink()
    if content is not None:
        (folder / "model.lq").write_bytes(content)
    assert predict(folder) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_other_features_than_those_of_fit_are_refused(folder, capsys):
    assert predict(folder, "--columns", "a,b") == 1
    error = capsys.readouterr().err
    assert "week2.csv: X has 2 features, but ConsensusClusterer is expecting 4" in error


def test_a_file_that_is_read_is_not_written_over(folder, capsys):
    assert predict(folder, "--out", str(folder / "week2.csv")) == 2
    model = folder / "model.csv"
    (folder / "model.lq").rename(model)
    command = ["predict", str(model), str(folder / "week2.csv"), "--out", str(model)]
    assert main(command) == 2
    fit = ["fit", str(folder / "week1.csv"), "--save"]
    assert main([*fit, str(folder / "week1.csv")]) == 2
    assert main([*fit, str(folder / "o.csv"), "--out", str(folder / "o.csv")]) == 2
    assert main([*fit, str(folder / "missing" / "m.lq")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error.split(", got")[0].split(": ")[1] for error in errors[:4]] == [
        "--out must be another file than FILE",
        "--out must be another file than MODEL",
        "--save must be another file than FILE",
        "--save must be another file than --out",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_fit_leaves_no_half_model(folder):
    path, before = folder / "model.lq", (folder / "model.lq").read_bytes()
    np.save(folder / "X.npy", X)
    arguments = ["fit", str(folder / "X.npy"), "--n-clusters", "3", "--save", str(path), "--quiet"]
    command = [sys.executable, "-m", "labelquorum", *arguments]
    assert subprocess.run(command, timeout=120).returncode == 0
    after = path.read_bytes()
    path.write_bytes(before)
    for wait in (0.3, 1.5, 2.5):
        process = subprocess.Popen(command)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.read_bytes() in (before, after)
