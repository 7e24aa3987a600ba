"""From a table of texts to a table of labels, on the command line."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import labelquorum as lq
from labelquorum.cli.main import main
from labelquorum.text import embed
from static_model import TOPICS, questions, save_static_model

NAMES = ["password", "parcel", "invoice"]
RESULTS = ["label", "name", "origin", "confidence", "pseudo_label", "runner_up", "runner_up_share"]


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return save_static_model(tmp_path_factory.mktemp("model") / "static")


@pytest.fixture
def table(tmp_path):
    """A table of 150 texts, some of two topics labeled."""
    texts, topics = questions(150)
    path = tmp_path / "questions.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "channel", "day", "category"])
        for i, (text, k) in enumerate(zip(texts, topics, strict=True)):
            known = NAMES[k] if k < 2 and i % 4 == 0 else ""
            writer.writerow([f"Q-{i:03}", text, "=mail", -i, known])
    return path


def _rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


COLUMNS = ["--text-column", "text", "--label-column", "category", "--id-column", "id"]
FIXED = ["--n-clusters", "3", "--quiet"]


@pytest.mark.parametrize("way", ["none", "tf-idf", "static"])
def test_a_table_of_texts_becomes_a_table_of_labels(table, static, capsys, way):
    options = {"none": [], "tf-idf": ["--embed", "tf-idf"], "static": ["--embed", str(static)]}[way]
    out = table.with_name("labels.csv")
    command = ["fit", str(table), *COLUMNS, "--keep", "channel, day", "--n-clusters", "3"]
    assert main([*command, *options, "--out", str(out)]) == 0
    rows, source = _rows_of(out), _rows_of(table)
    assert list(rows[0]) == ["id", "text", "channel", "day", *RESULTS]
    for name in ("id", "text", "day"):
        assert [row[name] for row in rows] == [row[name] for row in source]
    assert {row["channel"] for row in rows} == {"'=mail"}
    texts, topics = questions(150)
    found = np.array([row["label"] for row in rows])
    assert set(found) == {"password", "parcel", "new 0"}
    assert lq.clustering_accuracy(topics, found) > 0.9
    shares = [(float(row["confidence"]), float(row["runner_up_share"])) for row in rows]
    assert all(a + b <= 1.00001 for a, b in shares)
    assert all(
        (row["runner_up"] == "") == (b == 0) for row, (_, b) in zip(rows, shares, strict=True)
    )
    assert all(row["runner_up"] != row["label"] for row in rows)
    summary, printed = capsys.readouterr()
    assert ("Categories are usually better with a language model" in printed) == (way == "none")
    kept = table.with_name("questions-embeddings")
    assert kept.exists() == (way == "static")
    model = "tf-idf" if way == "none" else options[1]
    known = [row["category"] or None for row in source]
    model = lq.ConsensusClusterer(3, random_state=0).fit(embed(texts, model), known)
    assert found.tolist() == model.labels_.tolist()
    named = {(row["label"], row["name"]) for row in rows}
    assert len(named) == 3
    assert {("password", "password"), ("parcel", "parcel")} < named
    (name,) = {name for label, name in named if label == "new 0"}
    assert name == model.name_categories(texts).category_names_[-1]
    assert len(name.split(", ")) == 2
    assert name in summary


@pytest.mark.parametrize("extension", [".tsv", ".jsonl", ".parquet", ".csv.gz", "folder"])
def test_every_kind_of_table_gives_the_same(table, extension):
    pd = pytest.importorskip("pandas")
    assert main(["fit", str(table), *COLUMNS, *FIXED]) == 0
    expected = [
        (row["id"], row["label"]) for row in _rows_of(table.with_name("questions-labels.csv"))
    ]
    frame = pd.read_csv(table, keep_default_na=False)
    source = table.with_name(f"other{extension}")
    if extension == ".jsonl":
        frame.to_json(source, orient="records", lines=True)
    elif extension == ".parquet":
        frame.to_parquet(source)
    elif extension == "folder":
        source = table.with_name("other")
        source.mkdir()
        frame[:70].to_parquet(source / "a.parquet")
        frame[70:].to_parquet(source / "b.parquet")
    else:
        frame.to_csv(source, index=False, sep="\t" if extension == ".tsv" else ",")
    assert main(["fit", str(source), *COLUMNS, *FIXED]) == 0
    found = [(row["id"], row["label"]) for row in _rows_of(table.with_name("other-labels.csv"))]
    assert found == expected


@pytest.mark.parametrize("out", ["labels.parquet", "labels.npz"])
def test_other_results_carry_the_columns_too(table, out):
    out = table.with_name(out)
    assert main(["fit", str(table), *COLUMNS, *FIXED, "--keep", "channel", "--out", str(out)]) == 0
    found = np.load(out) if out.suffix == ".npz" else pq.read_table(out).to_pydict()
    assert list(found) == ["id", "text", "channel", *RESULTS]
    assert set(np.array(found["channel"]).tolist()) == {"=mail"}  # no formula here


def test_vectors_that_are_there_are_used(table, static, tmp_path):
    texts, _ = questions(150)
    X = embed(texts, static)
    np.save(tmp_path / "X.npy", X)
    rows = _rows_of(table)
    for row, vector in zip(rows, X.tolist(), strict=True):
        row["vector"] = vector
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "with.parquet")
    calls = {
        "a": [str(table), "--embed", str(static)],
        "b": [str(table), "--features", str(tmp_path / "X.npy")],
        "c": [str(tmp_path / "with.parquet"), "--columns", "vector"],
    }
    found = []
    for name, call in calls.items():
        out = tmp_path / f"{name}.csv"
        assert main(["fit", *call, *COLUMNS, *FIXED, "--out", str(out)]) == 0
        found.append(out.read_text())
    assert found[0] == found[1] == found[2]


def test_a_table_of_numbers_carries_its_ids(tmp_path, blobs):
    lines = [f"Q{i},{','.join(map(repr, x))}" for i, x in enumerate(blobs[0].tolist())]
    source = tmp_path / "x.csv"
    source.write_text("id,a,b,c,d,e,f\n" + "\n".join(lines) + "\n")
    assert main(["fit", str(source), "--id-column", "id", "--n-clusters", "5", "--quiet"]) == 0
    rows = _rows_of(tmp_path / "x-labels.csv")
    assert [row["id"] for row in rows] == [f"Q{i}" for i in range(600)]
    labels = lq.ConsensusClusterer(5, random_state=0).fit_predict(blobs[0])
    assert [int(row["label"]) for row in rows] == labels.tolist()


def test_the_result_is_read_as_known_labels_of_the_same_table(table):
    assert main(["fit", str(table), *COLUMNS, *FIXED]) == 0
    labels, out = table.with_name("questions-labels.csv"), table.with_name("again.csv")
    call = ["fit", str(table), "--text-column", "text", "--labels", str(labels), *FIXED]
    assert main([*call, "--out", str(out)]) == 0
    assert [row["label"] for row in _rows_of(out)] == [row["label"] for row in _rows_of(labels)]


def test_who_forgets_the_text_column_is_told(table, capsys):
    assert main(["fit", str(table), "--label-column", "category", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.splitlines() == [
        f"labelquorum: {table}: column 'text' holds texts, not numbers: add --text-column text "
        "--id-column id"
    ]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--embed", "x"], 2, "--embed needs --text-column"),
        (["--text-column", "text", "--embed", "x", "--columns", "day"], 2, "choose one"),
        (["--text-column", "text", "--embed", "x", "--features", "f.npy"], 2, "choose one"),
        (["--features", "f.npy", "--columns", "day"], 2, "choose one"),
        (["--features", "f.npy"], 2, "--features needs a column of FILE"),
        (["--text-column", "text", "--features", "f.npy"], 1, "2 rows of features, but .* has 150"),
        (["--text-column", "body"], 1, "no column 'body'; the columns are id, text,"),
        (["--text-column", "text", "--keep", "x"], 1, "no column 'x'"),
        (["--text-column", "text", "--keep", "a,a"], 2, "must be different names"),
        (["--votes", "f.npy", "--votes", "f.npy"], 2, "--votes: must be given once"),
        (["--text-column", "text", "--id-column", "channel"], 1, "got '=mail' in rows 0 and 1"),
        (
            ["--text-column", "text", "--embed", "no/such/folder"],
            1,
            "--embed: model must be a folder",
        ),
        (["--text-column", "text", "--embed", "EMPTY"], 1, "--embed: model"),
        (["--text-column", "text", "--out", "EMPTY/missing/x.csv"], 1, "No such file"),
        (["--text-column", "empty"], 1, "no column 'empty'"),
    ],
)
def test_fit_says_what_is_wrong_and_leaves_nothing(table, capsys, options, code, message):
    np.save(table.with_name("f.npy"), np.eye(2))
    table.with_name("EMPTY").mkdir()
    folder = str(table.parent) + os.sep
    options = [folder + x if x in ("f.npy", "EMPTY") or x[:6] == "EMPTY/" else x for x in options]
    before = sorted(table.parent.rglob("*"))
    try:
        found = main(["fit", str(table), *options, "--quiet"])
    except SystemExit as stop:  # how argparse ends
        found = stop.code
    assert found == code
    output = capsys.readouterr()

    assert re.search(message, output.err)
    assert "Traceback" not in output.err
    after = [
        path for path in sorted(table.parent.rglob("*")) if path.name != "questions-embeddings"
    ]
    assert after == before


def test_a_column_that_the_result_has_itself_is_refused(tmp_path, capsys):
    source = tmp_path / "x.csv"
    source.write_text("text,label\n" + "some text here,a\n" * 30)
    options = ["--text-column", "text", "--keep", "label", "--quiet"]
    assert main(["fit", str(source), *options]) == 2
    assert "the result has a column 'label' itself" in capsys.readouterr().err


def test_texts_that_say_nothing_get_no_label_and_none_but_empty_ones_are_refused(table, capsys):
    rows = _rows_of(table)
    for i, row in enumerate(rows):
        row["none"], row["text"] = " ", ["", " ", "?!"][i] if i < 3 else row["text"]
    source = table.with_name("x.jsonl")
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["fit", str(source), "--text-column", "text", "--n-clusters", "3"]) == 0
    said = "labelquorum: 3 texts are empty or have no known word: they get no label"
    assert said in capsys.readouterr().err
    found = _rows_of(source.with_name("x-labels.csv"))
    expected = ["-1", "", "", "0.0", "-1", "-1", "0.0"]
    assert [[row[name] for name in RESULTS] for row in found[:3]] == [expected] * 3
    assert all(row["label"] != "-1" for row in found[3:])
    assert main(["fit", str(source), "--text-column", "none", "--quiet"]) == 1
    assert "column 'none' has no text that is not empty" in capsys.readouterr().err


def _written(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("option", ["--labels", "--votes"])
def test_labels_and_votes_of_a_file_with_ids_go_by_the_ids(table, capsys, option):
    """A result that was sorted, of fewer rows, and with a row that the table does not have."""
    _, topics = questions(150)
    rows = [{"id": f"Q-{i:03}", "label": NAMES[topics[i]]} for i in range(100)]
    rows.append({"id": "Q-999", "label": "parcel"})
    source, out = table.with_name("known.csv"), table.with_name("out.csv")
    _written(source, sorted(rows, key=lambda row: (row["label"], row["id"])))
    options = ["--text-column", "text", "--id-column", "id", "--embed", "tf-idf"]
    options += ["--n-clusters", "3", option, str(source), "--out", str(out)]
    assert main(["fit", str(table), *options]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 101 rows have ids that" in said
    found = _rows_of(out)
    assert [row["id"] for row in found] == [f"Q-{i:03}" for i in range(150)]
    right = np.array([row["label"] == NAMES[k] for row, k in zip(found, topics, strict=True)])
    assert right[:100].all()
    assert right.mean() > 0.9
    known = {"--labels": ["given"] * 100, "--votes": ["proposed"] * 100}[option]
    assert [row["origin"] for row in found[:100]] == known


def test_repeated_keep_adds_columns(table):
    options = ["--text-column", "text", "--embed", "tf-idf", "--keep", "channel", "--keep", "day"]
    assert main(["fit", str(table), *options, *FIXED]) == 0
    names = list(_rows_of(table.with_name("questions-labels.csv"))[0])
    assert names == ["text", "channel", "day", *RESULTS]


def test_ids_that_do_not_meet_are_refused(table, capsys):
    source = table.with_name("known.csv")
    _written(source, [{"id": str(i), "label": "a"} for i in range(150)])
    options = [*COLUMNS[:2], *COLUMNS[4:], "--labels", str(source), "--quiet"]
    assert main(["fit", str(table), *options]) == 1
    assert "no id in column 'id' is one of" in capsys.readouterr().err


def test_origins_are_those_of_the_column_label(table):
    """Another column of a result holds labels that people gave."""
    rows = _rows_of(table)
    _, topics = questions(150)
    for row, k in zip(rows, topics, strict=True):
        row |= {"label": "new 0", "origin": "proposed", "checked": NAMES[k]}
    source, out = table.with_name("r.csv"), table.with_name("out.csv")
    _written(source, rows)
    options = ["--labels", str(source), "--label-column", "checked", "--out", str(out), *FIXED]
    assert main(["fit", str(table), *COLUMNS[:2], "--embed", "tf-idf", *options]) == 0
    assert [row["label"] for row in _rows_of(out)] == [NAMES[k] for k in topics]


def test_a_report_shows_the_texts_of_the_table(table, static, tmp_path):
    pytest.importorskip("jinja2")
    options = ["--text-column", "text", "--label-column", "category", *FIXED]
    assert main(["report", str(table), *options, "--embed", str(static)]) == 0
    page = table.with_name("questions-report.html").read_text(encoding="utf-8")
    assert any(text in page for text in questions(150)[0])
    texts, _ = questions(150)
    np.save(tmp_path / "X.npy", embed(texts, static))
    separate = tmp_path / "separate.html"
    options = ["--texts", str(table), "--text-column", "text", "--out", str(separate), *FIXED]
    assert main(["report", str(tmp_path / "X.npy"), *options]) == 0
    assert any(text in separate.read_text(encoding="utf-8") for text in texts)


def test_vectors_are_kept_beside_the_result_where_the_input_has_no_place(table, static, tmp_path):
    import fsspec

    fsspec.filesystem("memory").pipe("/lq/questions.csv", table.read_bytes())
    out = tmp_path / "new" / "labels.csv"
    out.parent.mkdir()
    options = ["--text-column", "text", "--embed", str(static), *FIXED, "--out", str(out)]
    for source in ("memory://lq/questions.csv", str(table.with_name("q*.csv"))):
        assert main(["fit", source, *options]) == 0
    assert [path.name for path in out.parent.iterdir() if path.is_dir()] == ["labels-embeddings"]
    assert len(list((out.parent / "labels-embeddings").iterdir())) == 1


def test_a_missing_package_is_named(table, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    options = ["--text-column", "text", "--embed", "all-MiniLM-L6-v2", "--quiet"]
    assert main(["fit", str(table), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("labelquorum: --embed: model 'all-MiniLM-L6-v2' is no folder, and")
    assert line.endswith('pip install "labelquorum[text]"')


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_fit_continues_and_leaves_no_half_file(table, static, tmp_path):
    out = table.with_name("labels.csv")
    options = [*COLUMNS, *FIXED, "--embed", str(static), "--out", str(out)]
    code = (
        "import sys, time; from labelquorum.text import embedding\n"
        "from labelquorum.cli.main import main\n"
        "embedding._TEXTS_PER_BLOCK = 10; made = embedding._Blocks.made\n"
        "def slow(self, texts): time.sleep(0.05); return made(self, texts)\n"
        "embedding._Blocks.made = slow; sys.exit(main(sys.argv[1:]))"
    )
    folder = table.with_name("questions-embeddings")
    command = [sys.executable, "-c", code, "fit", str(table), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(folder.glob("[!.]*.npy"))) < 4:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("[!.]*.npy")}
    assert kept
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert kept.items() <= after.items()
    assert len({row["label"] for row in _rows_of(out)}) == len(TOPICS)


def test_fit_writes_a_report_beside_its_table_and_model(table, tmp_path, capsys):
    pytest.importorskip("jinja2")
    out, model, page = (tmp_path / name for name in ("labels.csv", "model.lq", "page.html"))
    command = ["fit", str(table), *COLUMNS, *FIXED, "--out", str(out), "--save", str(model)]
    assert main([*command, "--report", str(page)]) == 0
    assert "new 0" in page.read_text(encoding="utf-8")
    assert lq.load(model).n_clusters_ == 3
    for taken, name in ((table, "FILE"), (out, "--out"), (model, "--save")):
        assert main([*command, "--report", str(taken)]) == 2
        assert f"--report must be another file than {name}" in capsys.readouterr().err


def test_labels_that_all_differ_are_asked_about(table, capsys):
    options = ["--text-column", "text", "--label-column", "id", "--embed", "tf-idf"]
    assert main(["fit", str(table), *options, "--out", str(table.with_name("out.csv"))]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "column 'id' has 150 different labels among 150: is this the column of" in said
