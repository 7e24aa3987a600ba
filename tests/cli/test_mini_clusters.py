"""The command mini-clusters: same labels as the function, clear errors, no half files."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.cli.files import delimited
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
    assert main(["mini-clusters", str(source), *options]) == 0
    labels = np.load(source.with_name("partitions.labels.npy"))
    expected = lq.mini_clusters(rows, 4, min_agree=5, min_differ=0.7, min_size=3)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)


def test_streamed_input_gives_the_same_labels(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", 1000)
    source, out = tmp_path / "partitions.csv", tmp_path / "labels.npy"
    np.savetxt(source, rows, fmt="%d", delimiter=",")
    assert main(["mini-clusters", str(source), "--out", str(out), "--no-header"]) == 0
    np.testing.assert_array_equal(np.load(out), lq.mini_clusters(rows))


def test_summary_says_what_was_found(source, rows, capsys):
    assert main(["mini-clusters", str(source), "--min-agree", "0.8"]) == 0
    labels = lq.mini_clusters(rows, min_agree=0.8)
    output = capsys.readouterr()
    assert "2,000 samples, 6 partitions" in output.out
    assert f"{len(np.unique(rows, axis=0)):,} signatures" in output.out
    assert f"{labels.max() + 1:,} mini-clusters cover {np.sum(labels >= 0):,}" in output.out
    assert "partitions.labels.npy: written after" in output.out
    assert "reading" in output.err


def test_quiet_prints_nothing(source, capsys):
    assert main(["mini-clusters", str(source), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("text", "value"), [("1.0", 1.0), ("1", 1), ("6", 6), ("0.5", 0.5)])
def test_a_point_makes_a_threshold_a_fraction(source, rows, text, value):
    assert main(["mini-clusters", str(source), "--min-agree", text, "--quiet"]) == 0
    labels = np.load(source.with_name("partitions.labels.npy"))
    np.testing.assert_array_equal(labels, lq.mini_clusters(rows, min_agree=value))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0.0, np.nan]]), "partitions must hold integers, got NaN"),
        (np.array([[0.0, 1.0]]), r"partitions must hold integers, got floats \(float64\)"),
        (np.array([[True, False]]), "partitions must hold integers, got bools"),
        (np.zeros((0, 3), dtype=int), "the file has no samples"),
        (np.zeros((3, 0), dtype=int), "partitions must hold at least one partition, got none"),
        (np.zeros(3, dtype=int), r"the shape must be \(n_samples, n_partitions\), got \(3,\)"),
        (np.array([[2**31]]), "2147483648"),
        (np.array([[None, 1]]), "damaged or not a .npy file"),
    ],
)
def test_bad_data_is_one_line_and_exit_code_1(tmp_path, capsys, array, message):
    path = tmp_path / "partitions.npy"
    np.save(path, array)
    assert main(["mini-clusters", str(path), "--quiet"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"labelquorum: {path}")
    assert re.search(message, lines[0])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["absent.npy", "absent.csv", "partitions.txt"])
def test_unusable_names_are_exit_code_1(tmp_path, capsys, name):
    assert main(["mini-clusters", str(tmp_path / name)]) == 1
    assert name in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-agree", "7"], "min_agree must be .* 1 to 6 votes .* got 7"),
        (["--min-differ", "1.5"], r"min_differ must be .* got 1\.5"),
        (["--min-agree", "nan.0"], "must be a fraction such as 0.9 or a number of votes"),
        (["--min-agree", "x"], "must be a fraction such as 0.9 or a number of votes"),
        (["--n-clusters", "0"], "must be an integer of at least 1, got '0'"),
        (["--min-size", "1.5"], "must be an integer of at least 1, got '1.5'"),
        (["--n-jobs", "0"], "must be -1 or an integer from 1 to 4096, got '0'"),
        (["--out", "SOURCE"], "--out must be another file than FILE"),
    ],
)
def test_wrong_usage_is_exit_code_2(source, capsys, options, message):
    options = [str(source) if option == "SOURCE" else option for option in options]
    before = source.read_bytes()
    try:
        code = main(["mini-clusters", str(source), *options])
    except SystemExit as stop:  # how argparse ends
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert list(source.parent.iterdir()) == [source]
    assert source.read_bytes() == before


def _has_opened(run, path):
    return str(path) in Path(f"/proc/{run.pid}/maps").read_text()


def _start_long_run(folder):
    """A run that is busy for long, and has begun to read."""
    source = folder / "partitions.npy"
    rows = np.random.default_rng(0).integers(0, 10, size=(300_000, 16), dtype=np.int8)
    np.save(source, rows)
    run = subprocess.Popen(
        [sys.executable, "-m", "labelquorum", "mini-clusters", str(source), "--min-agree", "8"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not _has_opened(run, source):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert run.poll() is None
    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_a_killed_run_leaves_no_half_file(tmp_path):
    run = _start_long_run(tmp_path)
    run.kill()
    run.communicate(timeout=30)
    assert not (tmp_path / "partitions.labels.npy").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "ended by SIGTERM"),
        (signal.SIGHUP, "ended by SIGHUP"),
    ],
)
def test_an_interrupted_run_leaves_nothing(tmp_path, number, message):
    run = _start_long_run(tmp_path)
    run.send_signal(number)
    _, error = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert error.splitlines()[-1] == f"labelquorum: {message}"
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["partitions.npy"]
