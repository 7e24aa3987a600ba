"""The command consensus: the partition of the function, from every kind of file."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.cli.files import delimited
from labelquorum.cli.main import main


@pytest.fixture
def partitions():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, size=(800, 1))
    noise = rng.integers(-1, 4, size=(800, 6))
    return np.where(rng.random((800, 6)) < 0.9, truth, noise)


def _write_csv(path, rows):
    np.savetxt(path, rows, fmt="%d", delimiter=",", header="a,b,c,d,e,f", comments="")
    return path


def test_labels_are_those_of_the_function(tmp_path, partitions, capsys):
    source = tmp_path / "partitions.npy"
    np.save(source, partitions)
    assert main(["consensus", str(source), "--n-clusters", "4"]) == 0
    labels = np.load(tmp_path / "partitions.labels.npy")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, lq.consensus(partitions, 4))
    output = capsys.readouterr().out
    sizes = np.bincount(labels)
    assert "800 samples, 6 partitions" in output
    assert f"4 clusters of {sizes.min()} to {sizes.max()} samples" in output
    assert "partitions.labels.npy: written after" in output


def test_a_file_in_chunks_and_a_folder_give_the_same(tmp_path, partitions, monkeypatch):
    monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", 1000)
    expected = lq.consensus(partitions[:, :3])
    source = _write_csv(tmp_path / "partitions.csv", partitions)
    out = tmp_path / "out.npy"
    options = ["--columns", "a,b,c", "-q", "-o", str(out)]
    assert main(["consensus", str(source), *options]) == 0
    np.testing.assert_array_equal(np.load(out), expected)
    (tmp_path / "folder").mkdir()
    _write_csv(tmp_path / "folder" / "0.csv", partitions[:300])
    _write_csv(tmp_path / "folder" / "1.csv", partitions[300:])
    for place in (tmp_path / "folder", tmp_path / "folder" / "*.csv"):
        out.unlink()
        assert main(["consensus", str(place), *options]) == 0
        np.testing.assert_array_equal(np.load(out), expected)


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        ("a,b\n1,2\n1,x\n", [], 1, "'x' in row 1"),
        ("a,b\n", [], 1, "the file has no samples"),
        ("a,b\n1,2\n3,4\n", ["--n-clusters", "9"], 1, "n_clusters"),
        ("a,b\n1,2\n3,4\n", ["--n-clusters", "0"], 2, "must be an integer of at least 1"),
        ("a,b\n1,2\n3,4\n", ["--columns", "a,z"], 1, "no column 'z'; the columns are a, b"),
        ("a,b\n1,2\n3,4\n", ["--columns", "a,a"], 2, "must be different names"),
        ("a,b\n1,2\n3,4\n", ["-o", "x.txt"], 1, "the extension must be .npy"),
        (None, [], 1, "No such file"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path, capsys, monkeypatch, content, options, code, message
):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "p.csv"
    if content is not None:
        source.write_text(content)
    before = list(tmp_path.iterdir())
    try:
        status = main(["consensus", "p.csv", "--quiet", *options])
    except SystemExit as stop:  # how argparse ends
        status = stop.code
    assert status == code
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == before
