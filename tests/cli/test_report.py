"""The command report: it writes the page of the estimator; what does not fit is refused first."""

from __future__ import annotations

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.cli.main import main
from labelquorum.report.page import report_page

pytest.importorskip("jinja2")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--image-shape", "2x3"], 2, "--image-shape 2x3 needs 6 features, but X.npy has 4"),
        (["--image-shape", "2y3"], 2, "must be a height and a width such as 8x8, got '2y3'"),
        (["--text-column", "a"], 2, "--text-column needs --texts"),
        (["--texts", "short.txt"], 1, "short.txt: 1 texts, but X.npy has 30 samples"),
        (["--truth", "short.txt"], 1, "short.txt: 1 labels, but X.npy has 30 samples"),
        (["--out", "short.txt", "--truth", "short.txt"], 2, "another file than --truth"),
        (["--out", "X.npy"], 2, "--out must be another file than FILE, got X.npy"),
        (["--map-out", "X.npy"], 2, "--map-out must be another file than FILE, got X.npy"),
        (["--map-out", "a.html", "--out", "a.html"], 2, "another file than --out, got a.html"),
        (["--map-out", "absent/a"], 1, "absent"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, monkeypatch, capsys, options, code, message):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.arange(120.0).reshape(30, 4))
    (tmp_path / "short.txt").write_text("a\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    try:
        status = main(["report", "X.npy", "--quiet", *options])
    except SystemExit as stop:  # how argparse ends
        status = stop.code
    assert status == code
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
def test_the_command_writes_the_page_of_the_estimator(tmp_path, capsys, digits):
    X, y = digits[0][:150], digits[1][:150]
    source, truth = tmp_path / "digits.npy", tmp_path / "truth.txt"
    np.save(source, X)
    truth.write_text("".join(f"{label}\n" for label in y))
    command = ["report", str(source), "--n-clusters", "5", "--seed", "1", "--image-shape", "8x8"]
    assert main([*command, "--truth", str(truth)]) == 0
    page = (tmp_path / "digits-report.html").read_text(encoding="utf-8")
    output = capsys.readouterr()
    assert "150 samples, 64 features" in output.out
    assert "digits-report.html: written after" in output.out
    model = lq.ConsensusClusterer(5, random_state=1).fit(X)
    expected = report_page(model, X=X, images=X.reshape(-1, 8, 8), y=y)
    without_settings = re.compile(r"<details>.*?</details>", re.DOTALL)
    assert without_settings.sub("", page) == without_settings.sub("", expected)


def test_the_truth_may_have_a_column_of_its_own(tmp_path, capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[:20] += 9
    np.save(tmp_path / "X.npy", X)
    truth = tmp_path / "y.csv"
    truth.write_text("id,intent\n" + "".join(f"{i},c{i // 20}\n" for i in range(40)))
    call = ["report", str(tmp_path / "X.npy"), "--n-clusters", "2", "--quiet"]
    assert main([*call, "--truth", str(truth)]) == 1
    assert "name the column of the labels with --truth-column" in capsys.readouterr().err
    assert main([*call, "--truth", str(truth), "--truth-column", "intent"]) == 0
    assert main([*call, "--truth-column", "intent"]) == 2
    assert "--truth-column needs --truth" in capsys.readouterr().err


def test_what_a_model_proposed_is_no_truth_and_origins_are_shown(tmp_path):
    X, y = make_blobs(90, 3, centers=3, cluster_std=0.3, random_state=0)
    np.save(tmp_path / "X.npy", X)
    is_said = np.arange(90) % 3 == 0
    rows = [f"c{k},{'given' if said else 'proposed'}" for k, said in zip(y, is_said, strict=True)]
    (tmp_path / "truth.csv").write_text("\n".join(["label,origin", *rows]))
    rows = [f"c{k},accepted" if i < 6 else "," for i, k in enumerate(y)]
    (tmp_path / "y.csv").write_text("\n".join(["label,origin", *rows]))
    command = ["report", str(tmp_path / "X.npy"), "--truth", str(tmp_path / "truth.csv")]
    assert main([*command, "--labels", str(tmp_path / "y.csv"), "--n-clusters", "3"]) == 0
    page = (tmp_path / "X-report.html").read_text(encoding="utf-8")
    assert "Measured on 28 samples" in page  # of the 30, two are known
    assert "a model proposed it, and people accepted it" in page


def test_the_points_of_the_map_are_written_beside_the_page(tmp_path):
    X, y = make_blobs(60, 3, centers=3, cluster_std=0.3, random_state=0)
    rows = [f"{a},{b},{c},text {k}" for (a, b, c), k in zip(X, y, strict=True)]
    source, points = tmp_path / "X.csv", tmp_path / "points.parquet"
    source.write_text("\n".join(["a,b,c,text", *rows]))
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"text {k}\n" for k in y))
    command = ["report", str(source), "--columns", "a,b,c", "--n-clusters", "3", "--quiet"]
    texts = ["--texts", str(tmp_path / "texts.csv")]
    assert main([*command, *texts, "--map-out", str(points)]) == 0
    table = pq.read_table(points)
    assert table.column_names == ["x", "y", "label", "name", "confidence", "text"]
    assert table["text"].to_pylist() == [f"text {k}" for k in y]
    assert (tmp_path / "X-report.html").exists()


def test_without_a_map_neither_file_is_written(tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.ones((30, 2)))
    points = tmp_path / "points.parquet"
    assert main(["report", str(tmp_path / "X.npy"), "--quiet", "--map-out", str(points)]) == 1
    assert "X.npy: map_out needs features that differ" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"X.npy"}
