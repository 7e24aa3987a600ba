"""The command line: same labels as the function, clear errors, no half files."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.cli.files import partitions as _files
from labelquorum.cli.main import main


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, size=(2000, 1))
    noise = rng.integers(-1, 4, size=(2000, 6))
    return np.where(rng.random((2000, 6)) < 0.9, truth, noise)


@pytest.fixture
def source(tmp_path, rows):
    path = tmp_path / "partitions.npy"
    np.save(path, rows)
    return path


def test_labels_are_those_of_the_function(source, rows):
    options = ["--n-clusters", "4", "--min-agree", "5", "--min-differ", "0.7", "--min-size", "3"]
    assert main(["consensus", str(source), *options]) == 0
    labels = np.load(source.with_name("partitions.labels.npy"))
    expected = lq.mini_clusters(rows, 4, min_agree=5, min_differ=0.7, min_size=3)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)


def test_streamed_input_gives_the_same_labels(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(_files, "_CSV_CHARACTERS_PER_CHUNK", 1000)
    source, out = tmp_path / "partitions.csv", tmp_path / "labels.npy"
    np.savetxt(source, rows, fmt="%d", delimiter=",")
    assert main(["consensus", str(source), "--out", str(out), "--no-header"]) == 0
    np.testing.assert_array_equal(np.load(out), lq.mini_clusters(rows))


def test_summary_says_what_was_found(source, rows, capsys):
    assert main(["consensus", str(source), "--min-agree", "0.8"]) == 0
    labels = lq.mini_clusters(rows, min_agree=0.8)
    output = capsys.readouterr()
    assert "2,000 samples, 6 partitions" in output.out
    assert f"{len(np.unique(rows, axis=0)):,} signatures" in output.out
    assert f"{labels.max() + 1:,} mini-clusters cover {np.sum(labels >= 0):,}" in output.out
    assert "partitions.labels.npy: written after" in output.out
    assert "reading" in output.err


def test_quiet_prints_nothing(source, capsys):
    assert main(["consensus", str(source), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("text", "value"), [("1.0", 1.0), ("1", 1), ("6", 6), ("0.5", 0.5)])
def test_a_point_makes_a_threshold_a_fraction(source, rows, text, value):
    assert main(["consensus", str(source), "--min-agree", text, "--quiet"]) == 0
    labels = np.load(source.with_name("partitions.labels.npy"))
    np.testing.assert_array_equal(labels, lq.mini_clusters(rows, min_agree=value))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0.0, np.nan]]), "partitions must hold integers, got NaN"),
        (np.array([[0.0, 1.0]]), r"partitions must hold integers, got floats \(float64\)"),
        (np.array([[True, False]]), "partitions must hold integers, got bools"),
        (np.zeros((0, 3), dtype=int), "holds no sample"),
        (np.zeros((3, 0), dtype=int), "partitions must hold at least one partition, got none"),
        (np.zeros(3, dtype=int), r"has shape \(3,\); wanted 2-D"),
        (np.array([[2**31]]), "2147483648"),
        (np.array([[None, 1]]), "damaged or not a .npy file"),
    ],
)
def test_bad_data_is_one_line_and_exit_code_1(tmp_path, capsys, array, message):
    path = tmp_path / "partitions.npy"
    np.save(path, array)
    assert main(["consensus", str(path), "--quiet"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"labelquorum: {path}")
    assert re.search(message, lines[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["absent.npy", "absent.csv", "partitions.txt"])
def test_unusable_names_are_exit_code_1(tmp_path, capsys, name):
    assert main(["consensus", str(tmp_path / name)]) == 1
    assert name in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-agree", "7"], r"min_agree must be .* 1 to 6 votes \(an int\), got 7"),
        (["--min-differ", "1.5"], r"min_differ must be a fraction in .*, got 1\.5"),
        (["--min-agree", "nan.0"], "neither a fraction like 0.9 nor a number of votes"),
        (["--min-agree", "x"], "neither a fraction like 0.9 nor a number of votes"),
        (["--n-clusters", "0"], "'0' is no integer of at least 1"),
        (["--min-size", "1.5"], "'1.5' is no integer of at least 1"),
        (["--n-jobs", "0"], "'0' is neither -1 nor an integer"),
        (["--out", "SOURCE"], "--out is FILE itself"),
    ],
)
def test_wrong_usage_is_exit_code_2(source, capsys, options, message):
    options = [str(source) if option == "SOURCE" else option for option in options]
    before = source.read_bytes()
    try:
        code = main(["consensus", str(source), *options])
    except SystemExit as stop:  # how argparse ends
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert list(source.parent.iterdir()) == [source]
    assert source.read_bytes() == before


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "required: COMMAND" in capsys.readouterr().err


def test_version_and_help(capsys):
    for option, expected in [("--version", f"labelquorum {lq.__version__}"), ("--help", "demo")]:
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        assert expected in capsys.readouterr().out


def _start_long_run(folder):
    """A run that is busy for long, with its temporary file there."""
    source = folder / "partitions.npy"
    rows = np.random.default_rng(0).integers(0, 10, size=(300_000, 16), dtype=np.int8)
    np.save(source, rows)
    run = subprocess.Popen(
        [sys.executable, "-m", "labelquorum", "consensus", str(source), "--min-agree", "8"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.tmp")):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert run.poll() is None
    return run


def test_a_killed_run_leaves_no_half_file(tmp_path):
    run = _start_long_run(tmp_path)
    run.kill()
    run.communicate(timeout=30)
    assert not (tmp_path / "partitions.labels.npy").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_an_interrupted_run_leaves_nothing(tmp_path):
    run = _start_long_run(tmp_path)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=30)
    assert run.returncode == 130
    assert error.splitlines()[-1] == "labelquorum: interrupted"
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["partitions.npy"]


@pytest.fixture
def blobs():
    return make_blobs(400, 5, centers=4, cluster_std=0.5, random_state=0)


@pytest.fixture
def features(tmp_path, blobs):
    path = tmp_path / "X.npy"
    np.save(path, blobs[0])
    return path


def _rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_fit_writes_what_the_estimator_says(features, blobs, capsys):
    options = ["--n-clusters", "4", "--seed", "3", "--n-jobs", "2"]
    assert main(["fit", str(features), *options]) == 0
    model = lq.ConsensusClusterer(4, random_state=3).fit(blobs[0])
    rows = _rows_of(features.with_name("X-labels.csv"))
    assert list(rows[0]) == ["label", "confidence", "pseudo_label"]
    assert [int(row["label"]) for row in rows] == model.labels_.tolist()
    assert [int(row["pseudo_label"]) for row in rows] == model.pseudo_labels_.tolist()
    np.testing.assert_array_equal(
        np.array([row["confidence"] for row in rows], np.float32), model.confidence_
    )
    output = capsys.readouterr()
    for category in range(4):
        size = np.count_nonzero(model.labels_ == category)
        mean = model.confidence_[model.labels_ == category].mean()
        assert re.search(rf"│ {category} +│ new +│ +{size} │ +{mean:.2f} │", output.out)
    assert "400 samples, 5 features" in output.out
    assert "X-labels.csv: written after" in output.out
    assert "base partitions" in output.err


@pytest.mark.parametrize("extension", [".npz", ".parquet", ".csv"])
def test_fit_keeps_known_categories_by_name(tmp_path, features, blobs, capsys, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    _, classes = blobs
    known = np.where((classes < 2) & (np.arange(400) % 5 == 0), classes, -1)
    words = ["[red]", "green, dark", ""]
    labels, out = tmp_path / "known.txt", tmp_path / f"found{extension}"
    labels.write_text("".join(f"{words[k]}\n" for k in known), encoding="utf-8")
    command = ["fit", str(features), "--labels", str(labels), "--n-clusters", "4"]
    assert main([*command, "--out", str(out)]) == 0
    if extension == ".npz":
        found = np.load(out)["label"].tolist()
    elif extension == ".parquet":
        found = pyarrow_column(out, "label")
    else:
        found = [row["label"] for row in _rows_of(out)]
    for k in (0, 1):
        assert {found[i] for i in np.flatnonzero(classes == k)} == {words[k]}
    assert {found[i] for i in np.flatnonzero(classes > 1)} == {"new 0", "new 1"}
    output = capsys.readouterr().out
    assert re.search(r"│ \[red\] +│ known", output)
    assert re.search(r"│ new 0 +│ new ", output)


def pyarrow_column(path, name):
    import pyarrow.parquet as pq

    return pq.read_table(path)[name].to_pylist()


def test_fit_takes_labels_from_a_column_and_discovers_nothing_where_told(tmp_path, blobs, capsys):
    X, classes = blobs
    known = np.where((classes < 2) & (np.arange(400) % 5 == 0), classes + 5, -1)
    known[np.flatnonzero(known == 5)[0]] = 6  # wrong
    path = tmp_path / "table.csv"
    np.savetxt(path, np.column_stack([X, known]), delimiter=",", header="a,b,c,d,e,y", comments="")
    assert (
        main(["fit", str(path), "--label-column", "y", "--n-clusters", "4", "--no-discover"]) == 0
    )
    found = np.array([int(row["label"]) for row in _rows_of(tmp_path / "table-labels.csv")])
    wrong = np.flatnonzero((known == 6) & (classes == 0))
    others = np.setdiff1d(np.arange(400), wrong)
    np.testing.assert_array_equal(found[others], np.where(classes < 2, classes + 5, -1)[others])
    output = capsys.readouterr().out
    assert re.search(r"│ +│ none +│ +200 │", output)
    assert f"known labels that look wrong: 1, from the worst: rows {wrong[0]} (from 0)" in output
    assert "5 features" in output


def test_last_weeks_table_is_read_as_known_labels(features, blobs, tmp_path):
    table = tmp_path / "week1.csv"
    assert main(["fit", str(features), "--n-clusters", "4", "--out", str(table), "--quiet"]) == 0
    before = [row["label"] for row in _rows_of(table)]
    out = tmp_path / "week2.csv"
    options = ["--labels", str(table), "--n-clusters", "4", "--seed", "9", "--out", str(out)]
    assert main(["fit", str(features), *options, "--quiet"]) == 0
    assert [row["label"] for row in _rows_of(out)] == before


def test_fit_goes_on_from_a_directory(features, tmp_path, capsys):
    folder = tmp_path / "partitions"
    command = ["fit", str(features), "--n-clusters", "4", "--directory", str(folder), "--quiet"]
    assert main(command) == 0
    labels = features.with_name("X-labels.csv").read_text()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(kept) > 1
    assert main(command) == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == kept
    assert features.with_name("X-labels.csv").read_text() == labels
    assert capsys.readouterr() == ("", "")
    assert main([*command, "--seed", "1"]) == 1
    assert "whose call differs in random_state" in capsys.readouterr().err


def test_fit_shows_warnings_in_a_line(features, blobs, tmp_path, capsys):
    np.save(tmp_path / "y.npy", blobs[1])
    assert (
        main(["fit", str(features), "--labels", str(tmp_path / "y.npy"), "--n-clusters", "2"]) == 0
    )
    error = capsys.readouterr().err.splitlines()
    assert "labelquorum: n_clusters is 2, but y has 4 categories: all of them are kept" in error


def test_fit_prints_few_of_many_categories(tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.repeat(np.eye(60), 30, axis=0) * 9)
    assert main(["fit", str(tmp_path / "X.npy"), "--n-clusters", "60"]) == 0
    output = capsys.readouterr().out
    assert output.count(" new ") == 40
    assert re.search(r"│ 20 more +│", output)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--n-clusters", "401"], 2, "--n-clusters is 401, .* holds 400 samples"),
        (["--n-clusters", "0"], 2, "'0' is no integer of at least 1"),
        (["--min-cluster-size", "x"], 2, "'x' is no integer of at least 1"),
        (["--no-discover"], 2, "--no-discover needs known labels"),
        (["--labels", "SHORT", "--label-column", "y"], 2, "not allowed with argument --labels"),
        (["--out", "SOURCE"], 1, "unknown extension '.npy'; wanted .csv, .parquet or .npz"),
        (["--out", "SHORT", "--labels", "SHORT"], 2, "--out is --labels itself"),
        (["--labels", "SHORT"], 1, "short.csv: holds 2 labels, .*X.npy 400 samples; wanted as"),
        (["--label-column", "y"], 1, "X.npy: .npy files have no columns with names, 'y'"),
        (["--labels", "absent.npy"], 1, "absent.npy: No such file"),
    ],
)
def test_fit_refuses_what_does_not_fit_and_leaves_nothing(features, capsys, options, code, message):
    short = features.with_name("short.csv")
    short.write_text("label\n1\n2\n")
    paths = {"SOURCE": str(features), "SHORT": str(short)}
    options = [paths.get(option, option) for option in options]
    before = {path: path.read_bytes() for path in features.parent.iterdir()}
    try:
        found = main(["fit", str(features), *options, "--quiet"])
    except SystemExit as stop:  # how argparse ends
        found = stop.code
    assert found == code
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error
    assert {path: path.read_bytes() for path in features.parent.iterdir()} == before


def test_fit_does_not_overwrite_what_it_reads(tmp_path, capsys):
    source = tmp_path / "X.csv"
    source.write_text("a,b\n1,2\n3,4\n5,6\n")
    assert main(["fit", str(source), "--out", str(source)]) == 2
    assert "--out is FILE itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b\n1,2\n3,x\n", "'x' in the line '3,x' is no number"),
        ("a,b\n1,2\n3,nan\n", "must be finite, got NaN at row 1, column 1"),
        ("a,b\n1,2\n3,4\n", "minimum of 3 is required"),
    ],
)
def test_fit_says_what_is_wrong_with_the_data_in_a_line(tmp_path, capsys, rows, message):
    source = tmp_path / "X.csv"
    source.write_text(rows)
    assert main(["fit", str(source), "--quiet"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"labelquorum: {source}")
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == [source]
