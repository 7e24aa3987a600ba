"""The command quality: a list to check, and what the answers say of all labels."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import labelquorum as lq
from labelquorum import review
from labelquorum.cli.main import main

N = 400


@pytest.fixture
def labels(tmp_path):
    """A result of fit: 40 labels were given, and one in ten of the others is wrong."""
    path = tmp_path / "labels.csv"
    rng = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label", "origin", "confidence"])
        for i in range(N):
            origin = "given" if i < 40 else "proposed"
            text = f"=text {i} is {'right' if i % 10 else 'wrong'}"
            confidence = round(float(rng.uniform(0.6, 1) if i % 10 else rng.uniform(0, 0.5)), 3)
            writer.writerow([f"Q{i}", text, ["café", "b"][i % 2], origin, confidence])
    return path


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def draw(labels, *options, n=120):
    out = labels.with_name("check.csv")
    assert main(["quality", str(labels), "--draw", str(n), "--out", str(out), *options]) == 0
    return out


@pytest.mark.parametrize("by_id", [False, True])
def test_a_list_is_drawn_answered_and_read(labels, by_id, capsys):
    key = ["--id-column", "id"] if by_id else []
    path = draw(labels, *key)
    rows = rows_of(path)
    ids = ["id"] if by_id else []
    assert list(rows[0]) == ["sample", *ids, "text", "suggestion", "confidence", "right", "label"]
    samples = [int(row["sample"]) for row in rows]
    assert min(samples) >= 40
    assert len(set(samples)) == 120
    for i, row in enumerate(rows[:100]):  # the rest was not reached
        right = "right" in row["text"]
        if i % 2:
            row["right"] = "yes" if right else "N"
        else:
            row["label"] = row["suggestion"] if right else "other"
    if by_id:
        for row in rows:
            del row["sample"]
        rows.reverse()
    write(path, rows)
    capsys.readouterr()
    table = labels.with_name("quality.csv")
    options = ["--wanted-precision", "0.9", "--out", str(table)]
    assert main(["quality", str(labels), str(path), *key, *options]) == 0
    output = capsys.readouterr().out
    n_right = sum("right" in rows_["text"] for rows_ in (rows[20:] if by_id else rows[:100]))
    assert f"      100  {n_right:5d}" in output
    assert "guarantees a precision of 0.9: " in output
    assert [row["category"] for row in rows_of(table)] == ["b", "café"]
    if not by_id:
        answers = review.read_csv(path, N)
        assert np.count_nonzero(answers.origins == "accepted") == n_right
        assert set(answers.labels[answers.origins == "given"]) <= {"other"}


def test_it_says_how_many_more_checks_are_needed(labels, capsys):
    path = draw(labels)
    rows = rows_of(path)[:20]
    for row in rows:
        row["right"] = "y"
    write(path, rows)
    assert main(["quality", str(labels), str(path)]) == 0
    more = lq.n_checks_needed(0.95) - 20
    assert f"{more} more checks without a wrong label would guarantee it" in capsys.readouterr().out
    for row in rows[:5]:
        row["right"] = "n"
    write(path, rows)
    assert main(["quality", str(labels), str(path)]) == 0
    assert "75.0% are right: want a lower precision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,b\n1,2\n", [], "the columns must be 'sample', and 'right' or 'label'"),
        ("sample,right\n50,perhaps\n", [], "row 0 (from 0): the column 'right' must say yes or no"),
        ("sample,right\n50,\n", [], "no label that a model proposed was checked"),
        ("sample,right\n3,y\n", [], "no label that a model proposed was checked"),
        ("sample,right\n5000,y\n", [], "1 answers are about a sample that"),
        ("sample,right\n50,y\n50,n\n", [], "'50' was checked before, with another answer"),
        ("sample,right,label\n50,y,other\n", [], "contradict each other: 'other' for 'café'"),
        ("sample,right\n50,y\n", ["--id-column", "id"], "the columns must be 'id', and"),
        ("sample,right\n50,y\n", ["--id-column", "key"], "no column 'key'"),
    ],
)
def test_other_lists_are_refused_in_a_line(labels, content, options, message, capsys):
    path = labels.with_name("check.csv")
    path.write_text(content, encoding="utf-8")
    assert main(["quality", str(labels), str(path), *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_wrong_use_is_refused(labels, capsys):
    assert main(["quality", str(labels)]) == 2
    assert main(["quality", str(labels), "check.csv", "--draw", "3"]) == 2
    assert main(["quality", str(labels), "--draw", "3", "--out", str(labels)]) == 2
    assert main(["quality", str(labels), "--draw", "999"]) == 1
    assert "--draw must be at most 360" in capsys.readouterr().err
    given = rows_of(labels)[:40]
    write(labels, given)
    assert main(["quality", str(labels), "--draw", "3"]) == 1
    assert "no label was proposed by a model" in capsys.readouterr().err


def test_an_answer_may_be_the_name_of_the_category(labels, capsys):
    rows = rows_of(labels)
    for row in rows:
        row["name"] = {"b": "bills, fees"}.get(row["label"], row["label"])
    write(labels, rows)
    answers = [
        {"id": row["id"], "label": row["name"] if i % 2 else row["label"]}
        for i, row in enumerate(rows[40:160])
    ]
    path = labels.with_name("check.csv")
    write(path, answers)
    assert main(["quality", str(labels), str(path), "--id-column", "id"]) == 0
    assert "all 360 120 120 1.0000" in " ".join(capsys.readouterr().out.split())


def test_what_a_model_proposed_is_no_answer(labels, capsys):
    rows = rows_of(labels)
    path = labels.with_name("model.csv")
    write(path, rows)
    assert main(["quality", str(labels), str(path), "--id-column", "id"]) == 1
    assert "no label that a model proposed was checked" in capsys.readouterr().err
    for row in rows[100:150]:
        row["origin"] = "accepted"
    write(path, rows)
    assert main(["quality", str(labels), str(path), "--id-column", "id"]) == 0
    assert "all 360 50 50" in " ".join(capsys.readouterr().out.split())
