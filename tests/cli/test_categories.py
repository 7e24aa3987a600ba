"""The command categories: what a saved model found, under the names that people give."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.cli.main import main
from static_model import questions

TOPICS = ["card lost", "fee refund", "login password", "exchange rate"]
CLASSES = np.arange(80) % 4
X = CLASSES[:, None] * 5.0 + np.arange(80)[:, None] // 4 / 20
PARTITIONS = [CLASSES, CLASSES, CLASSES * 2 + np.arange(80) // 4 % 2]
TEXTS = [TOPICS[c].split()[i // 4 % 2] for i, c in enumerate(CLASSES)]


@pytest.fixture
def path(tmp_path):
    """A model with the known category "a, b" and three named proposals."""
    y = np.where((CLASSES == 0) & (np.arange(80) < 20), "a, b", None)
    model = lq.ConsensusClusterer(4).fit(X, y, partitions=PARTITIONS)
    model.name_categories(TEXTS).save(tmp_path / "model.lq")
    return tmp_path / "model.lq"


@pytest.fixture
def numbered(tmp_path):
    model = lq.ConsensusClusterer(4).fit(X, partitions=PARTITIONS)
    model.save(tmp_path / "model.lq")
    return tmp_path / "model.lq"


def names_of(path):
    return set(lq.load(path).classes_.tolist())


def test_the_categories_are_listed(path, capsys):
    before = path.read_bytes()
    assert main(["categories", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    rows = [row for row in cells if len(row) == 5]
    assert rows[0] == ["a, b", "a, b", "known", "20", "1.00"]
    assert [row[0] for row in rows[1:]] == ["new 0", "new 1", "new 2"]
    assert {row[1] for row in rows[1:]} == {
        "fee, refund",
        "login, password",
        "exchange, rate",
    }
    assert {row[2] for row in rows[1:]} == {"new"}
    assert path.read_bytes() == before


def test_changes_are_made_in_their_order_and_saved(path, capsys):
    changes = ["--rename", "new 0=Fees", "--split", "new 1", "--merge", "Fees,new 1=Money, mostly"]
    assert main(["categories", str(path), *changes, "--accept", "new 2"]) == 0
    model = lq.load(path)
    names = {"a, b", "Money, mostly", "new 3"}
    assert names < names_of(path)
    assert model.n_clusters_ == 4
    assert len(names_of(path) & {"fee, refund", "login, password", "exchange, rate"}) == 1
    output = capsys.readouterr().out
    assert "accepted" in output
    assert f"{path}: written" in output.replace("\n", "")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (["--rename", "new 0=x"], {"a, b", "x", "new 1", "new 2"}),
        (["--rename", ' new 0 = "x" '], {"a, b", "x", "new 1", "new 2"}),
        (["--rename", "new 0=x=y, z"], {"a, b", "x=y, z", "new 1", "new 2"}),
        (["--rename", "a, b=c"], {"c", "new 0", "new 1", "new 2"}),
        (["--rename", '"a, b"=c'], {"c", "new 0", "new 1", "new 2"}),
        (["--rename", 'a, b="say ""hi"" = now"'], {'say "hi" = now', "new 0", "new 1", "new 2"}),
        (["--rename", 'a, b=say "hi"'], {'say "hi"', "new 0", "new 1", "new 2"}),
        (["--rename", "a, b=c=d", "--rename", '"c=d"=e'], {"e", "new 0", "new 1", "new 2"}),
        (["--merge", 'new 0,"a, b"=c'], {"c", "new 1", "new 2"}),
        (["--merge", ' "a, b" , new 0 =c'], {"c", "new 1", "new 2"}),
        (
            ["--rename", "a, b=c=d", "--merge", 'new 0,"c=d"="e,f"'],
            {"e,f", "new 1", "new 2"},
        ),
        (["--merge", "new 0,new 1,new 2=x"], {"a, b", "x"}),
    ],
)
def test_names_may_hold_commas_equal_signs_and_quotes(path, change, names):
    assert main(["categories", str(path), "--quiet", *change]) == 0
    assert names_of(path) == names


@pytest.mark.parametrize("is_quoted", [False, True])
@pytest.mark.parametrize("option", ["--accept", "--split"])
def test_a_single_name_needs_no_quotes(path, option, is_quoted):
    name = lq.load(path).category_names_[1]
    assert main(["categories", str(path), option, f'"{name}"' if is_quoted else name]) == 0
    assert (names_of(path) >= {name}) == (option == "--accept")


def test_another_file_can_be_written(path, capsys):
    before, other = path.read_bytes(), path.with_name("other.lq")
    assert main(["categories", str(path), "--accept", "new 0", "--out", str(other), "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert path.read_bytes() == before
    assert "accepted" in lq.load(other).label_origins_


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (["--rename", "3=x"], {"new 0", "new 1", "new 2", "x"}),
        (["--rename", "3=17"], {0, 1, 2, 17}),
        (["--merge", "3,1=1"], {0, 1, 2}),
        (["--rename", "3=x", "--accept", "2"], {"new 0", "new 1", "new 2", "x"}),
        (["--split", "1"], {0, 1, 2, 3, 4}),
    ],
)
def test_integers_are_names_too(numbered, change, names):
    assert main(["categories", str(numbered), "--quiet", *change]) == 0
    assert names_of(numbered) == names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--rename", "fees=x"], "--rename 'fees=x': names must be the name of a category"),
        (["--accept", "fee, refunds"], "the nearest are 'fee, refund'"),
        (["--rename", "new 0=new 1"], "must be free, got 'new 1'"),
        (["--rename", "new 0=None"], "means 'no label'"),
        (["--merge", "new 0,new 0=x"], "names must hold different categories"),
        (["--split", "zzz"], "--split 'zzz': name must be the name of a category"),
        (["--accept", "new 0", "--accept", "what"], "--accept 'what': names must be"),
    ],
)
def test_changes_that_do_not_fit_change_nothing(path, change, message, capsys):
    before = path.read_bytes()
    assert main(["categories", str(path), *change]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"labelquorum: {path}: --")
    assert message in error
    assert error.count("\n") == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rename", "a"], "argument --rename: must have the form OLD=NEW, got 'a'"),
        (["--rename", "=a"], "must have the form OLD=NEW"),
        (["--rename", "a= "], "must have the form OLD=NEW"),
        (["--rename", '"a=b"'], "must have the form OLD=NEW"),
        (["--merge", "a,b"], "must have the form A,B=NAME"),
        (["--merge", "a=b"], "must be two names or more, as A,B=NAME, got 'a=b'"),
        (["--merge", '"a,b"=c'], "must be two names or more"),
        (["--out", "x.lq"], "--out needs a change: add --rename"),
    ],
)
def test_wrong_usage_is_refused(path, options, message, capsys):
    try:
        code = main(["categories", str(path), *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", "other"])
def test_other_files_are_refused(tmp_path, content, capsys):
    path = tmp_path / "model.lq"
    if content == "other":
        lq.LabelSpreading(1).fit(X, np.where(CLASSES > 0, CLASSES, -1)).save(path)
    elif content is not None:
        path.write_bytes(content)
    assert main(["categories", str(path), "--accept", "a"]) == 1
    assert f"{path}: " in capsys.readouterr().err or content in (b"", b"PK\x03\x04")


def test_control_characters_do_not_reach_the_terminal(path, capsys):
    lq.load(path).rename({"a, b": "a\x1b[31mb"}).save(path)
    assert main(["categories", str(path)]) == 0
    assert "\x1b[31m" not in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_command_leaves_the_old_file_or_the_new_one(path):
    before = names_of(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "labelquorum", "categories", str(path), "-q"]
    for i in range(3):
        process = subprocess.Popen([*command, "--rename", "new 0=x"], env=environment)
        time.sleep(0.8 + 0.3 * i)
        process.send_signal(signal.SIGKILL)
        process.wait()
        names = names_of(path)
        if names != before:
            assert names == {*before - {"new 0"}, "x"}
            break


def _week(folder, name, rows):
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text", "kind"], *rows])


def _rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def week(tmp_path):
    """A table of texts, and the model and result of a fit."""
    texts, topics = questions(150)
    known = ["password" if k == 0 and i % 4 == 0 else "" for i, k in enumerate(topics)]
    rows = list(zip([f"Q{i}" for i in range(150)], texts, known, strict=True))
    _week(tmp_path, "week1.csv", [*rows, ("Q150", "", "")])
    options = ["--text-column", "text", "--label-column", "kind", "--id-column", "id"]
    options += ["--embed", "tf-idf", "--n-clusters", "3", "--quiet"]
    command = ["fit", str(tmp_path / "week1.csv"), *options]
    assert main([*command, "--save", str(tmp_path / "model.lq")]) == 0
    return tmp_path


def test_the_result_of_the_fit_follows_so_that_the_next_fit_keeps_names(week, capsys):
    model, result = week / "model.lq", week / "week1-labels.csv"
    before = _rows_of(result)
    wanted = before[1] | {"label": "elsewhere", "origin": "given"}
    with open(result, "w", newline="", encoding="utf-8") as file:  # corrected by hand
        writer = csv.DictWriter(file, before[0])
        writer.writeheader()
        writer.writerows([before[0], wanted, *before[2:]])
    changes = ["--rename", "new 0=a, b = “c”", "--accept", "new 1"]
    assert main(["categories", str(model), *changes, "--labels", str(result)]) == 0
    rows, changed = _rows_of(result), lq.load(model)
    assert list(rows[0]) == list(before[0])
    labels, origins = changed.labels_.tolist(), changed.label_origins_.tolist()
    for i, (row, old) in enumerate(zip(rows, before, strict=True)):
        if i in (1, 150):
            assert row == (wanted if i == 1 else old)
            continue
        assert (row["label"], row["origin"]) == (labels[i], origins[i])
        assert [row[c] for c in ("id", "text", "confidence")] == [
            old[c] for c in ("id", "text", "confidence")
        ]
    assert {"a, b = “c”", "password"} < {row["label"] for row in rows}
    command = ["fit", str(week / "week1.csv"), "--labels", str(result), "--text-column", "text"]
    command += ["--id-column", "id", "--embed", "tf-idf", "--quiet", "--out", str(week / "n.csv")]
    assert main([*command, "--n-clusters", "4"]) == 0
    kept = [row["label"] == new["label"] for row, new in zip(rows, _rows_of(week / "n.csv"))]  # noqa: B905
    assert np.mean(kept) > 0.95


def test_a_table_that_is_no_result_of_the_fit_is_refused(week, capsys):
    model, before = week / "model.lq", (week / "model.lq").read_bytes()
    other = week / "other.csv"
    for content, message in (
        ("label\n" + "x\n" * 151, "151 of 151 rows have another label than in the model"),
        ("label\nx\n", "a column 'label' and 151 rows, got 1 rows of label"),
    ):
        other.write_text(content)
        command = ["categories", str(model), "--accept", "new 0", "--labels", str(other)]
        assert main(command) == 1
        assert message in " ".join(capsys.readouterr().err.split())
        assert (other.read_text(), model.read_bytes()) == (content, before)
    assert main(["categories", str(model), "--labels", str(other)]) == 2
    assert "--labels needs a change" in capsys.readouterr().err
