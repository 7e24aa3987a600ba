"""Folders of .parquet files on Dask: same labels as in memory, and a rerun continues."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

import labelquorum as lq
from labelquorum._shared.files import FileError
from labelquorum.cli.main import main
from strategies import planted

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pd = pytest.importorskip("pandas")
folders = pytest.importorskip("labelquorum.cli.files.folders")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, and the client that is connected to them."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as workers,
        distributed.Client(workers, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def rows():
    return planted(np.random.default_rng(5), 1000, 6, n_groups=4, n_ids=5, abstain=0.02)


@pytest.fixture
def folder(tmp_path, rows):
    """Partitions in five files, one of them with no row, and a file that is no data."""
    source = tmp_path / "partitions"
    write_folder(source, pd.DataFrame(rows, columns=list("abcdef")))
    (source / "_SUCCESS").touch()
    return source


def write_folder(source, frame):
    source.mkdir()
    for i, places in enumerate([slice(0, 10), slice(10, 10), slice(10, 500), slice(500, None)]):
        frame[places].to_parquet(source / f"part-{i}.parquet", index=False)


def read_folder(out):
    return pd.concat([pd.read_parquet(path) for path in sorted(out.glob("*.parquet"))])


def names(out):
    return sorted(path.name for path in out.glob("*.parquet"))


def damage(path):
    """Overwrite the data, and leave the index at the end as it is."""
    data = bytearray(path.read_bytes())
    data[8:200] = bytes(192)
    path.write_bytes(data)


OPTIONS = ["--min-agree", "5", "--min-size", "3"]


def run_mini_clusters(source, *options):
    return main(["mini-clusters", str(source), *OPTIONS, *map(str, options)])


def test_mini_clusters_of_a_folder_are_those_of_the_function(folder, rows, capsys):
    assert run_mini_clusters(folder) == 0
    out = folder.with_name("partitions-labels")
    expected = lq.mini_clusters(rows, min_agree=5, min_size=3)
    found = read_folder(out)
    assert found.columns.tolist() == ["label"]
    assert found.label.dtype == np.int32
    np.testing.assert_array_equal(found.label, expected)
    assert names(out) == names(folder)
    # Readers of folders of Parquet files see nothing else, and no signatures are left.
    np.testing.assert_array_equal(pd.read_parquet(out).label, expected)
    assert [path.name for path in (out / ".labelquorum").iterdir()] == ["settings.json"]
    printed = capsys.readouterr()
    assert "4 files, 1,000 samples, 6 partitions" in printed.out
    assert (
        f"{expected.max() + 1:,} mini-clusters cover {(expected >= 0).sum():,} sam" in printed.out
    )
    assert "counting" in printed.err
    assert run_mini_clusters(folder, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_mini_clusters_on_worker_processes_are_the_same(cluster, folder, rows):
    assert run_mini_clusters(folder, "--scheduler", cluster.scheduler.address) == 0
    found = read_folder(folder.with_name("partitions-labels"))
    np.testing.assert_array_equal(found.label, lq.mini_clusters(rows, min_agree=5, min_size=3))


def test_a_rerun_makes_only_the_missing_files(folder, rows, capsys):
    out = folder.with_name("partitions-labels")
    assert run_mini_clusters(folder) == 0
    (out / "part-2.parquet").unlink()
    times = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    assert run_mini_clusters(folder) == 0
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    np.testing.assert_array_equal(
        read_folder(out).label, lq.mini_clusters(rows, min_agree=5, min_size=3)
    )
    capsys.readouterr()
    assert run_mini_clusters(folder) == 0
    assert "all 4 files are complete already" in capsys.readouterr().out


def test_a_damaged_file_is_named_and_finished_files_are_kept(folder, rows, capsys):
    whole = (folder / "part-3.parquet").read_bytes()
    out = folder.with_name("partitions-labels")
    damage(folder / "part-3.parquet")
    assert run_mini_clusters(folder, "--quiet") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"labelquorum: {folder}/part-3.parquet: ")
    assert names(out) == []
    kept = sorted((out / ".labelquorum").glob("*.npz"))
    assert [path.name[:6] for path in kept] == ["part-0", "part-1", "part-2"]
    times = [path.stat().st_mtime_ns for path in kept]
    (folder / "part-3.parquet").write_bytes(whole[: len(whole) // 2])
    assert run_mini_clusters(folder, "--quiet") == 1
    assert "part-3.parquet: damaged or not a .parquet file" in capsys.readouterr().err
    assert [path.stat().st_mtime_ns for path in kept] == times
    (folder / "part-3.parquet").write_bytes(whole)
    assert run_mini_clusters(folder, "--quiet") == 0
    np.testing.assert_array_equal(
        read_folder(out).label, lq.mini_clusters(rows, min_agree=5, min_size=3)
    )


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", None])
def test_damaged_or_missing_settings_are_named(folder, capsys, content):
    assert run_mini_clusters(folder, "--quiet") == 0
    path = folder.with_name("partitions-labels") / ".labelquorum" / "settings.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert run_mini_clusters(folder, "--quiet") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}" in line
    assert ("is missing" if content is None else "is damaged") in line


def test_damaged_signatures_are_named(folder, rows, capsys):
    out = folder.with_name("partitions-labels")
    whole = (folder / "part-3.parquet").read_bytes()
    damage(folder / "part-3.parquet")
    assert run_mini_clusters(folder, "--quiet") == 1
    (folder / "part-3.parquet").write_bytes(whole)
    kept = min((out / ".labelquorum").glob("part-0*.npz"))
    kept.write_bytes(kept.read_bytes()[:-20])
    capsys.readouterr()
    assert run_mini_clusters(folder, "--quiet") == 1
    assert f"{kept}: damaged" in capsys.readouterr().err
    kept.unlink()
    assert run_mini_clusters(folder, "--quiet") == 0
    np.testing.assert_array_equal(
        read_folder(out).label, lq.mini_clusters(rows, min_agree=5, min_size=3)
    )


def test_labels_of_another_call_are_not_mixed_with_new_ones(folder, tmp_path, capsys):
    out = tmp_path / "labels"
    # Nothing is finished by wrong usage: the next call may have other options.
    assert run_mini_clusters(folder, "--out", out, "--min-agree", "7") == 2
    assert run_mini_clusters(folder, "--out", out, "--n-clusters", "2") == 0
    before = (out / "part-0.parquet").read_bytes()
    assert run_mini_clusters(folder, "--out", out, "--n-clusters", "3") == 1
    assert "has labels of another call, which differs in n_clusters: use" in capsys.readouterr().err
    assert run_mini_clusters(folder, "--out", tmp_path / "all", "--min-agree", "1.0") == 0
    assert run_mini_clusters(folder, "--out", tmp_path / "all", "--min-agree", "1") == 1
    assert "has labels of another call, which differs in min_agree: use" in capsys.readouterr().err
    (folder / "part-4.parquet").write_bytes((folder / "part-0.parquet").read_bytes())
    assert run_mini_clusters(folder, "--out", out, "--n-clusters", "2") == 1
    assert "has labels of another call, which differs in files: use" in capsys.readouterr().err
    assert (out / "part-0.parquet").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    assert run_mini_clusters(folder, "--out", tmp_path / "other") == 1
    assert "has other files: the results need an empty or a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--out", "SOURCE"], 2, "--out must be another file than FILE"),
        (["--scheduler", "nonsense://here"], 1, "scheduler nonsense://here: "),
        (["--min-differ", "1.5"], 2, "min_differ must be a fraction"),
    ],
)
def test_wrong_options_for_a_folder_are_refused(folder, capsys, options, code, message):
    assert run_mini_clusters(folder, *[folder if o == "SOURCE" else o for o in options]) == code
    assert message in capsys.readouterr().err


def test_folders_without_usable_files_are_refused(folder, rows, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_mini_clusters(tmp_path / "empty") == 1
    assert (
        "the folder has no file with extension .csv, .tsv, .jsonl or .parquet"
        in capsys.readouterr().err
    )
    pd.DataFrame(rows, columns=list("abcxyz")).to_parquet(folder / "part-4.parquet")
    assert run_mini_clusters(folder, "--quiet") == 1
    error = capsys.readouterr().err
    assert "part-4.parquet: the columns must be a, b, c, d, e, f, as in part-0.parquet" in error
    assert "got a, b, c, x, y, z" in error
    pd.DataFrame(rows + 0.5, columns=list("abcdef")).to_parquet(folder / "part-4.parquet")
    assert run_mini_clusters(folder, "--quiet") == 1
    assert "part-4.parquet: column 'a' has the type double; cluster ids" in capsys.readouterr().err


def test_settings_of_dask_are_as_before_without_a_scheduler():
    before = copy.deepcopy(dask.config.config)
    for address in (None, "nonsense://here"):
        with suppress(FileError), folders.workers_at(address, 1):
            assert dask.config.get("scheduler") == "synchronous"
        assert dask.config.config == before
        with pytest.raises(ValueError, match="No client"):
            distributed.default_client()


@pytest.mark.slow
def test_settings_of_dask_are_as_before_on_a_cluster(cluster):
    before = copy.deepcopy(dask.config.config)
    with folders.workers_at(cluster.scheduler.address, 1) as workers:
        assert distributed.default_client() is workers.client
        assert dask.delayed(os.getpid)().compute() != os.getpid()
    assert dask.config.config == before
    with pytest.raises(ValueError, match="No client"):
        distributed.default_client()


def test_a_scheduler_for_a_single_file_is_wrong_usage(folder, capsys):
    for command in ("fit", "mini-clusters"):
        assert main([command, str(folder / "part-0.parquet"), "--scheduler", "tcp://x:1"]) == 2
        assert "--scheduler is only for a folder of .parquet files" in capsys.readouterr().err


def test_a_file_that_kills_workers_is_named(cluster, folder):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    scheduler = cluster.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        with pytest.raises(
            FileError, match=r"part-2.parquet: workers died repeatedly while working on this file"
        ):
            workers = folders.Workers(cluster, 1)
            folders._run(workers, {folder / "part-2.parquet": dask.delayed(die)()}, "dying", None)
    finally:
        scheduler.allowed_failures = allowed


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_an_interrupted_run_ends_at_once_and_continues_later(tmp_path):
    rows = np.random.default_rng(0).integers(0, 10, size=(200_000, 16), dtype=np.int8)
    write_folder(tmp_path / "long", pd.DataFrame(rows, columns=list("abcdefghijklmnop")))
    shutil.copy(tmp_path / "long" / "part-3.parquet", tmp_path / "long" / "part-4.parquet")
    command = ["mini-clusters", str(tmp_path / "long"), "--min-agree", "8", "--quiet"]
    run = subprocess.Popen(
        [sys.executable, "-m", "labelquorum", *command], stderr=subprocess.PIPE, text=True
    )
    kept = tmp_path / "long-labels" / ".labelquorum"
    deadline = time.monotonic() + 60
    while len(list(kept.glob("part*.npz"))) < 5:
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert run.poll() is None
    started = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert run.returncode == 130
    assert error == "labelquorum: interrupted\n"
    assert len(list(kept.glob("part*.npz"))) == 5


@pytest.fixture
def samples(tmp_path):
    """Features of five blobs, of which two have known names, and their numbers."""
    X, y = make_blobs(1000, centers=5, n_features=4, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    known = [["red", "blue"][c] if c < 2 and i % 10 == 0 else None for i, c in enumerate(y)]
    frame["intent"] = pd.Series(known, dtype=object)
    write_folder(tmp_path / "samples", frame)
    return tmp_path / "samples", y


@pytest.mark.slow
def test_fit_of_a_folder_labels_each_file(cluster, samples, capsys):
    source, y = samples
    options = ["--label-column", "intent", "--n-clusters", "5"]
    address = cluster.scheduler.address
    assert main(["fit", str(source), *options, "--scheduler", address]) == 0
    out = source.with_name("samples-labels")
    found = read_folder(out)
    assert found.columns.tolist() == ["label", "origin", "confidence"]
    assert found.confidence.dtype == np.float32
    assert adjusted_rand_score(y, found.label) >= 0.99
    # A known name stays, whatever else the votes say.
    given = pd.concat([pd.read_parquet(path) for path in sorted(source.glob("*.parquet"))]).intent
    assert (found.label.to_numpy() == given.to_numpy())[given.notna()].all()
    printed = capsys.readouterr().out
    assert "new 0" in printed
    assert "4 files, 1,000 samples, 4 features" in printed
    assert names(out) == names(source)
    # As of one file that holds them all.
    whole = pd.concat([pd.read_parquet(path) for path in sorted(source.glob("*.parquet"))])
    whole.to_parquet(source.with_name("whole.parquet"))
    table = source.with_name("whole-labels.parquet")
    command = ["fit", str(source.with_name("whole.parquet")), *options, "--out", str(table)]
    assert main([*command, "--quiet"]) == 0
    expected = pd.read_parquet(table)[["label", "origin", "confidence"]]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)
    before = found
    (out / "part-3.parquet").unlink()
    assert main(["fit", str(source), *options, "--quiet", "--n-jobs", "1"]) == 0
    pd.testing.assert_frame_equal(read_folder(out), before)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--labels", "known.csv"], 2, "--labels cannot be used with a folder of .parquet files"),
        (["--no-discover"], 2, "--no-discover needs known labels"),
        (["--label-column", "nope"], 1, "no column 'nope'"),
        ([], 1, "column 'intent' has the type"),
    ],
)
def test_fit_of_a_folder_says_what_is_wrong(samples, capsys, options, code, message):
    assert main(["fit", str(samples[0]), "--quiet", *options]) == code
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_fit_of_a_folder_reads_embeddings(samples, capsys):
    source, y = samples
    embeddings = source.with_name("embeddings")
    embeddings.mkdir()
    for path in sorted(source.glob("*.parquet")):
        frame = pd.read_parquet(path)
        rows = list(frame[list("abcd")].to_numpy())
        pd.DataFrame({"id": frame.index, "e": rows}).to_parquet(embeddings / path.name)
    options = ["--columns", "e", "--n-clusters", "5", "--quiet"]
    # The file without rows has a column of an unknown type, which is not looked at.
    assert main(["fit", str(embeddings), *options]) == 0
    labels = read_folder(source.with_name("embeddings-labels")).label
    assert adjusted_rand_score(y, labels) >= 0.99


def test_labels_of_a_folder_remember_where_they_come_from(samples, capsys):
    source, y = samples
    origins = np.array(["given", "accepted", "proposed"])[np.arange(1000) % 3]
    names_of = np.array(["red", "blue", "green", "gray", "pink"])
    labels = np.where(np.arange(1000) < 300, names_of[y], "")
    labels[origins == "proposed"] = names_of[(y + 1) % 5][origins == "proposed"]  # wrong
    shutil.move(source, source.with_name("unlabeled"))
    frame = pd.concat([pd.read_parquet(p) for p in sorted(source.with_name("unlabeled").iterdir())])
    frame = frame[list("abcd")].assign(intent=labels, origin=origins)
    write_folder(source, frame)
    frame[:0].to_parquet(source / "empty.parquet")  # the first file
    options = ["--label-column", "intent", "--n-clusters", "5", "--quiet"]
    assert main(["fit", str(source), *options]) == 0
    found = read_folder(source.with_name("samples-labels"))
    assert found.columns.tolist() == ["label", "origin", "confidence"]
    is_known = (labels != "") & (origins != "proposed")
    assert found.origin.tolist() == np.where(is_known, origins, "proposed").tolist()
    assert (found.label.to_numpy() == names_of[y]).mean() > 0.98
    # As of one file that holds them all.
    frame.to_parquet(source.with_name("whole.parquet"))
    table = source.with_name("whole-labels.parquet")
    whole = str(source.with_name("whole.parquet"))
    assert main(["fit", whole, *options, "--out", str(table)]) == 0
    expected = pd.read_parquet(table)[["label", "origin", "confidence"]]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


def test_votes_name_the_categories_of_a_folder(samples, capsys):
    source, y = samples
    names_of = np.array(["red", "blue", "green", "gray", "pink"])
    shutil.move(source, source.with_name("silent"))
    frame = pd.concat([pd.read_parquet(p) for p in sorted(source.with_name("silent").iterdir())])
    frame["answer"] = np.where(np.arange(1000) % 2 == 0, names_of[y], None)
    frame["rule"] = np.where(y == 2, "green", "")
    write_folder(source, frame.drop(columns="intent"))
    options = ["--vote-column", "answer", "--vote-column", "rule", "--n-clusters", "5", "--quiet"]
    assert main(["fit", str(source), *options]) == 0
    found = read_folder(source.with_name("samples-labels"))
    assert (found.label.to_numpy() == names_of[y]).mean() > 0.99
    assert set(found.origin) == {"proposed"}
    options = ["--vote-column", "answer", "--n-clusters", "5", "--columns", "a,b,c,d"]
    assert main(["fit", str(source), *options]) == 1  # of another call
    assert "differs in vote_columns, columns" in capsys.readouterr().err
    assert main(["fit", str(source), "--votes", "votes.csv"]) == 2
    assert "--votes cannot be used with a folder" in capsys.readouterr().err
    assert main(["fit", str(source), "--vote-column", "a", "--vote-column", "a"]) == 2
