"""Next week's table: predict and update by a saved model of texts, and the fit on both weeks."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import labelquorum as lq
from html_pages import HOSTILE, Page
from labelquorum.cli.main import main
from static_model import questions, save_static_model

NAMES = ["password", "parcel", "invoice"]
TEXTS = ["--text-column", "text", "--id-column", "id"]
COLUMNS = ["id", "text", "label", "name", "origin", "confidence", "runner_up", "novelty"]
NEW = [
    f"{a} {b} {c}"
    for a in ("reset", "parcel", "bill")
    for b in ("reset parcel", "bill parcel", "reset bill")
    for c in ("bill parcel", "parcel reset", "reset bill", "late pay")
]


def write(path, texts, categories, first):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "day", "category"])
        for i, (text, k) in enumerate(zip(texts, categories, strict=True)):
            writer.writerow([f"Q{first + i}", text, f"2026-0{1 + i % 2}-{1 + i % 25:02}", k])


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """Tables of two weeks, and a model of the first one."""
    folder = tmp_path_factory.mktemp("weeks")
    texts, topics = questions(200)
    known = [NAMES[k] if k < 2 and i % 3 == 0 else "" for i, k in enumerate(topics)]
    write(folder / "week1.csv", texts, known, 0)
    texts, _ = questions(80, 1)
    write(folder / "week2.csv", [*texts, *NEW, ""], [""] * (81 + len(NEW)), 1000)
    fit = ["fit", str(folder / "week1.csv"), *TEXTS, "--label-column", "category"]
    fit += ["--embed", "tf-idf", "--n-clusters", "3", "--quiet"]
    assert main([*fit, "--save", str(folder / "model.lq")]) == 0
    return folder


def run(weeks, command, *options, source="week2.csv"):
    return main([command, str(weeks / "model.lq"), str(weeks / source), *options])


def test_the_model_says_how_texts_became_vectors(weeks, tmp_path):
    model = lq.load(weeks / "model.lq")
    assert (model.source_.text_column, model.source_.id_column) == ("text", "id")
    texts, _ = questions(200)
    np.testing.assert_allclose(model.source_.embed(texts), lq.text.embed(texts, "tf-idf"))
    assert not model.source_.embed(["unheard words"]).any()  # The words of the fit are kept.
    with pytest.raises(ValueError, match="by their words, got 'other'"):
        model.source_.embed(texts, "other")
    model.source_ = lq.text.TextSource.of(["other texts"], "tf-idf")[1]
    with pytest.raises(ValueError, match="source_ must make vectors of"):
        model.save(tmp_path / "model.lq")
    model.source_ = "texts"
    with pytest.raises(TypeError, match="source_ must be a TextSource"):
        model.save(tmp_path / "model.lq")


def test_predict_takes_the_columns_of_the_fit(weeks, tmp_path):
    out = tmp_path / "out.csv"
    assert run(weeks, "predict", "--keep", "day", "--out", str(out), "--quiet") == 0
    rows, source = rows_of(out), rows_of(weeks / "week2.csv")
    assert list(rows[0]) == ["id", "text", "day", "row", "label", "origin", "confidence"]
    assert [row["id"] for row in rows] == [row["id"] for row in source]
    model = lq.load(weeks / "model.lq")
    labels = model.predict(model.source_.embed([row["text"] for row in source]))
    assert [row["label"] for row in rows[:-1]] == labels[:-1].tolist()
    assert (rows[-1]["label"], rows[-1]["origin"]) == ("", "")  # an empty text
    assert run(weeks, "predict", "--reject-level", "0.3", "--out", str(out), "--quiet") == 0
    rejected = [row["label"] for row in rows_of(out)]
    assert "" in rejected[:-1]


def test_update_says_what_is_new_in_a_table_and_a_page(weeks, tmp_path, capsys):
    out, page = tmp_path / "out.csv", tmp_path / "next.html"
    options = ["--out", str(out), "--report", str(page), "--time-column", "day", "--keep", "day"]
    assert run(weeks, "update", *options) == 0
    rows = rows_of(out)
    assert list(rows[0]) == [*COLUMNS[:2], "day", *COLUMNS[2:]]
    model = lq.load(weeks / "model.lq")
    texts = [row["text"] for row in rows[:-1]]
    update = model.update(model.source_.embed(texts))
    assert [row["label"] for row in rows[:-1]] == update.labels.tolist()
    assert rows[-1]["label"] == ""
    printed = capsys.readouterr().out
    assert str(update).splitlines()[1] in printed
    assert "1 texts are empty or have no known word" in printed
    parsed = Page(page.read_text(encoding="utf-8"))
    for title in ("What is new", "What grew and shrank", "Over time", "What to look at"):
        assert title in parsed.text
    assert not parsed.all("script")
    assert "https:" not in page.read_text(encoding="utf-8")


def test_both_weeks_are_fitted_again_by_patterns_and_names_stay(weeks, capsys):
    pattern = str(weeks / "week*.csv")
    assert run(weeks, "update", "--quiet") == 0
    out = weeks / "all.csv"
    fit = ["fit", pattern, "--labels", str(weeks / "week*-labels.csv"), *TEXTS, "--embed", "tf-idf"]
    assert main([*fit, "--n-clusters", "3", "--out", str(out)]) == 0
    week1, both = rows_of(weeks / "week1-labels.csv"), rows_of(out)
    assert len(both) == 200 + 81 + len(NEW)
    assert [row["id"] for row in both[:200]] == [row["id"] for row in week1]
    same = [a["label"] == b["label"] for a, b in zip(week1, both, strict=False)]
    assert np.mean(same) > 0.9
    given = [row["origin"] for row in week1].count("given")
    assert [row["origin"] for row in both].count("given") == given
    assert "new 0" in {row["label"] for row in both}


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("id,question", [], "no column 'text', which held the texts of the fit; the columns are"),
        ("key,text", [], "no column 'id', which held the ids of the fit"),
        ("id,text", ["--embed", "minilm"], "model must be 'tf-idf' or None, since the texts"),
        ("id,text", ["--time-column", "text"], "column 'text' must hold dates such as 2026-01-31"),
        ("id,text", ["--time-column", "when"], "no column 'when'"),
        ("id,text", ["--columns", "a"], "no column 'a'"),
    ],
)
def test_other_tables_are_refused_in_a_line(weeks, tmp_path, header, options, message, capsys):
    path = tmp_path / "other.csv"
    path.write_text(f"{header}\n1,reset my password\n2,where is my parcel\n", encoding="utf-8")
    assert run(weeks, "update", *options, "--quiet", source=path) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("id,text\n", "the table has no rows"),
        ("id,text\n1,\n2, \n", "has no text that is not empty"),
        ("id,text\n1,unheard\n", "has no word that the model knows"),
        ("id,text\n1,reset\n1,parcel\n", "must hold a different id in each row, got '1'"),
        ("id,text\n,reset\n1,parcel\n", "must hold an id in each row, got none in row 0"),
    ],
)
def test_tables_without_content_are_refused(weeks, tmp_path, content, message, capsys):
    path = tmp_path / "other.csv"
    path.write_text(content, encoding="utf-8")
    for command in ("predict", "update"):
        assert run(weeks, command, "--quiet", source=path) == 1
        assert message in capsys.readouterr().err


def test_models_of_features_and_of_texts_are_not_mixed_up(weeks, tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.zeros((5, 3)))
    assert run(weeks, "update", source=tmp_path / "X.npy") == 1
    assert "X has 3 features, but ConsensusClusterer is expecting" in capsys.readouterr().err
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    lq.ConsensusClusterer(2, random_state=0).fit(X, y).save(tmp_path / "model.lq")
    command = ["update", str(tmp_path / "model.lq"), str(weeks / "week2.csv"), "--quiet"]
    assert main([*command, "--out", str(tmp_path / "o.csv")]) == 1
    assert "is a model of 3 features" in capsys.readouterr().err
    assert main([*command, *TEXTS, "--out", str(tmp_path / "o.csv")]) == 1
    assert "the model does not know how texts become vectors" in capsys.readouterr().err
    lq.KNNLabelPropagation(3).fit(X, y).save(tmp_path / "model.lq")
    assert main(command) == 1
    assert "the model must label samples by features" in capsys.readouterr().err


def test_files_are_not_written_over(weeks, capsys):
    for options in (["--out", str(weeks / "week2.csv")], ["--report", str(weeks / "model.lq")]):
        assert run(weeks, "update", *options) == 2
    assert (
        run(weeks, "update", "--out", str(weeks / "a.csv"), "--report", str(weeks / "a.csv")) == 2
    )
    assert "must be another file than" in capsys.readouterr().err


def test_hostile_texts_stay_texts(weeks, tmp_path):
    model = lq.load(weeks / "model.lq")
    texts = [*HOSTILE, "reset my password"]
    page = tmp_path / "next.html"
    update = model.update(model.source_.embed(texts), reject_level=0.3)
    update.report(page, texts=texts, ids=[*HOSTILE, "7"], times=["2026-01-01"] * len(texts))
    parsed = Page(page.read_text(encoding="utf-8"))
    assert not parsed.all("script")
    assert not [a for a, _ in parsed.all("img")]
    for wrong in ({"texts": texts[1:]}, {"ids": [1]}, {"times": ["2026-01-01"]}):
        with pytest.raises(ValueError, match="must have 7 values"):
            update.report(page, **wrong)


def test_a_language_model_in_a_file_is_neither_opened_nor_fetched(tmp_path, monkeypatch, capsys):
    static = save_static_model(tmp_path / "static")
    texts, topics = questions(90)
    write(tmp_path / "week1.csv", texts, [NAMES[k] for k in topics], 0)
    write(tmp_path / "week2.csv", texts[:20], [""] * 20, 0)
    source = [str(tmp_path / "week1.csv"), *TEXTS, "--label-column", "category", "--quiet"]
    save = ["--embed", str(static), "--save", str(tmp_path / "model.lq")]
    assert main(["fit", *source, *save]) == 0
    command = ["predict", str(tmp_path / "model.lq"), str(tmp_path / "week2.csv"), "--quiet"]
    assert main(command) == 1
    assert "give the model of the fit, if you trust it" in capsys.readouterr().err
    assert main([*command, "--embed", str(static)]) == 0
    labels = [row["label"] for row in rows_of(tmp_path / "week2-labels.csv")]
    assert labels == [NAMES[k] for k in topics[:20]]

    class Other:
        def encode(self, texts):
            return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]

    model = lq.load(tmp_path / "model.lq")
    with pytest.raises(ValueError, match="got one that embeds texts otherwise"):
        model.source_.embed(texts, Other())
    monkeypatch.setattr(Other, "encode", lambda self, texts: np.ones((len(texts), 3), np.float32))
    with pytest.raises(ValueError, match="model must return 8 columns"):
        model.source_.embed(texts, Other())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_update_leaves_no_half_file(weeks, tmp_path):
    out, page = tmp_path / "out.csv", tmp_path / "next.html"
    command = [sys.executable, "-m", "labelquorum", "update", str(weeks / "model.lq")]
    command += [str(weeks / "week2.csv"), "--out", str(out), "--report", str(page), "--quiet"]
    before = time.perf_counter()
    assert subprocess.run(command, timeout=120).returncode == 0
    seconds = time.perf_counter() - before
    whole, model = (out.read_bytes(), page.read_bytes()), (weeks / "model.lq").read_bytes()
    out.write_bytes(b"old")
    page.write_bytes(b"old")
    for wait in np.random.default_rng(0).uniform(0.3, 1.1, size=5) * seconds:
        process = subprocess.Popen(command)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert out.read_bytes() in (b"old", whole[0])
        assert page.read_bytes() in (b"old", whole[1])
    assert (weeks / "model.lq").read_bytes() == model
