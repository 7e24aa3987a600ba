"""Files that are written: whole or not at all."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labelquorum._shared.files import (
    FileError,
    check_writable,
    differing_settings,
    fields_of_any_length,
    is_stdout,
    is_stream,
    replacing,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "labels.npy"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_result_is_as_readable_as_any_new_file(tmp_path):
    path, other = tmp_path / "labels.npy", tmp_path / "other"
    other.touch()
    with replacing(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_unwritable_results_are_refused(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name, message in [
        ("absent/labels.npy", "cannot be written: No such file"),
        ("folder.npy", "cannot be written: it is a folder"),
    ]:
        with pytest.raises(FileError, match=message), replacing(tmp_path / name):
            pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folders_without_permission_are_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="Permission denied"), replacing(tmp_path / "labels.npy"):
        pass


def test_a_file_error_is_an_os_error():
    assert str(FileError("a.csv: no")) == "a.csv: no"
    assert issubclass(FileError, OSError)


def test_settings_are_stored_and_compared(tmp_path):
    path = tmp_path / "settings.json"
    assert differing_settings(path, {"a": 1, "b": "x"}) == []
    assert differing_settings(path, {"a": 1, "b": "x"}) == []
    assert differing_settings(path, {"a": 2, "b": "x"}) == ["a"]


def test_long_fields_are_read_and_the_limit_is_restored():
    limit = csv.field_size_limit()
    with fields_of_any_length():
        assert next(csv.reader(["x" * (limit + 1)])) == ["x" * (limit + 1)]
    assert csv.field_size_limit() == limit


posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and locks of POSIX")


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_written_through(tmp_path, exists):
    target, link = tmp_path / "folder" / "target.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    if exists:
        target.write_text("old")
    (tmp_path / "middle").symlink_to("folder/target.csv")
    link.symlink_to("middle")
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@posix
def test_a_link_to_itself_is_refused(tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to(link)
    with pytest.raises(FileError, match=r"link.csv: cannot be written: Too many levels"):
        check_writable(link)


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_of_an_existing_file_are_kept(tmp_path, mode):
    path = tmp_path / "labels.csv"
    path.touch()
    path.chmod(mode)
    with replacing(path) as file:
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_pipes_and_devices_are_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe) as file:
        file.write(b"content")
    reader.join()
    assert read == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]
    with replacing(Path("/dev/null")) as file:
        file.write(b"content")
    assert is_stream(Path("/dev/null"))
    assert not is_stdout(tmp_path / "absent")


@posix
@pytest.mark.parametrize("redirected", [True, False])
def test_standard_output_is_written_to_and_not_replaced(tmp_path, redirected):
    code = (
        "from pathlib import Path; from labelquorum._shared.files import replacing\n"
        "print('before')\n"
        "with replacing(Path('/dev/stdout')) as file: file.write(b'content\\n')\n"
        "print('after')"
    )
    out = tmp_path / "out"
    with open(out, "wb") as file:
        run = subprocess.run(
            [sys.executable, "-c", code],
            stdout=file if redirected else subprocess.PIPE,
            check=True,
            timeout=60,
        )
    written = out.read_bytes() if redirected else run.stdout
    assert written == b"before\ncontent\nafter\n"


@posix
def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path):
    path = tmp_path / "labels.csv"
    leftover = tmp_path / ".labels.csv.0123456789abcdef.tmp"
    kept = [
        tmp_path / ".labels.csv.0123.tmp",
        tmp_path / ".labels.csv.0123456789abcdeX.tmp",
        tmp_path / ".other.csv.0123456789abcdef.tmp",
        tmp_path / ".labelsXcsv.0123456789abcdef.tmp",
        tmp_path / "labels.csv.0123456789abcdef.tmp",
        tmp_path / "precious",
    ]
    for file in (leftover, *kept):
        file.touch()
    link = tmp_path / ".labels.csv.aaaaaaaaaaaaaaaa.tmp"
    link.symlink_to("precious")
    with replacing(path):
        pass
    assert set(tmp_path.iterdir()) == {path, link, *kept}


@posix
def test_the_file_of_a_living_process_is_not_swept(tmp_path):
    path = tmp_path / "labels.csv"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_runs_at_the_same_time_do_not_break_one_another(tmp_path):
    path = tmp_path / "labels.csv"

    def write(number):
        with replacing(path) as file:
            file.write(b"%d" % number * 1000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, [i % 10 for i in range(200)]))
    content = path.read_bytes()
    assert len(content) == 1000
    assert len(set(content)) == 1
    assert list(tmp_path.iterdir()) == [path]


_WRITES = {
    "bytes": "file.write(bytes(10**6))",
    "npy": "np.save(file, np.zeros(10**6))",
    "npz": "np.savez(file, a=np.zeros(10**6), b=np.zeros(10**6))",
    "parquet": "pq.write_table(pa.table({'a': np.random.default_rng(0).random(10**6)}), file)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and the limit are of Linux")
@pytest.mark.parametrize("kind", _WRITES)
@pytest.mark.parametrize("is_device", [True, False])
def test_a_full_disk_names_the_file(tmp_path, kind, is_device):
    path = Path("/dev/full") if is_device else tmp_path / "labels.out"
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from labelquorum._shared.files import FileError, replacing
if not {is_device}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with replacing(Path({str(path)!r})) as file:
        {_WRITES[kind]}
except FileError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"{path}: cannot be written: ")
    assert len(run.stdout.splitlines()) == 1
    assert is_device or list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 245 + ".csv", "\u00e9" * 120 + ".csv"])
def test_names_as_long_as_they_may_be_are_written(tmp_path, name):
    path = tmp_path / name
    for content in (b"first", b"second"):
        with replacing(path) as file:
            file.write(content)
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
