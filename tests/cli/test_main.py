"""The parser: commands, help, version, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.cli.main import main


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


@pytest.fixture
def table(tmp_path):
    """Two groups with names that are foreign to some terminals, or control them."""
    names = ["=käse", "[red]b[/red]", "\x1b[31mc", "日本"]
    rng = np.random.default_rng(0)
    rows = [
        f"{x + 9 * (i % 4)},{y},{names[i % 4]}\n"
        for i, (x, y) in enumerate(rng.normal(size=(80, 2)))
    ]
    path = tmp_path / "x.csv"
    path.write_text("a,b,intent\n" + "".join(rows), encoding="utf-8")
    return path


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "strict": {"PYTHONIOENCODING": "latin-1:strict"},
    "C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_names_outside_the_code_page_are_escaped(table, encoding):
    run = subprocess.run(
        [sys.executable, "-m", "labelquorum", "fit", str(table), "--label-column", "intent"],
        env={**os.environ, **ENCODINGS[encoding]},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert b"\\u65e5\\u672c" in run.stdout
    assert b"written after" in run.stdout
    assert table.with_name("x-labels.csv").exists()


def test_names_do_not_control_the_terminal(table, capsys):
    assert main(["fit", str(table), "--label-column", "intent", "--quiet"]) == 0
    assert main(["fit", str(table), "--label-column", "intent"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u241b[31mc" in out
    assert "[red]b[/red]" in out


@pytest.mark.parametrize(
    "name", ["a\x1b[2Jb.csv", "a\nb.csv", "a\x9bb.csv", "[red]a.csv", "a\u202eb.csv"]
)
def test_file_names_do_not_control_the_terminal(tmp_path, capsys, name):
    assert main(["consensus", str(tmp_path / name), "--out", str(tmp_path / "o.csv")]) == 1
    (tmp_path / name).write_text("1,2\n7,3\n" * 20)
    out = str(tmp_path / f"out{name}")
    assert main(["consensus", str(tmp_path / name), "--n-clusters", "2", "--out", out]) == 0
    with pytest.raises(SystemExit):
        main(["fit", str(tmp_path / name), "--n-clusters", name])
    output = capsys.readouterr()
    for text in (output.out, output.err):
        assert not set(text) & set("\x1b\x9b\u202e")
    assert len(output.out.splitlines()) == 3
    assert output.err.splitlines()[0].startswith("labelquorum: ")


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_command_in_a_line(tmp_path, capsys, number):
    source, pipe = tmp_path / "x.csv", tmp_path / "pipe"
    source.write_text("1,2\n7,3\n" * 20)
    command = ["consensus", str(source), "--n-clusters", "2", "-q", "--out"]
    # Python may lose a Ctrl-C while it imports, so nothing is left to import.
    assert main([*command, str(tmp_path / "o.csv")]) == 0
    (tmp_path / "o.csv").unlink()
    capsys.readouterr()
    os.mkfifo(pipe)  # writing waits for a reader
    before = signal.getsignal(number)
    timer = threading.Timer(1, os.kill, (os.getpid(), number))
    timer.start()
    started = time.monotonic()
    assert main([*command, str(pipe)]) == 128 + number
    timer.join()
    assert time.monotonic() - started < 30
    message = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert capsys.readouterr().err == f"labelquorum: {message}\n"
    assert signal.getsignal(number) == before
    assert set(tmp_path.iterdir()) == {source, pipe}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_ignored_signal_stays_ignored(tmp_path):
    source = tmp_path / "x.csv"
    source.write_text("1,2\n7,3\n" * 20)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert main(["consensus", str(source), "--n-clusters", "2", "-q"]) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_a_full_standard_output_is_named_after_the_work_is_done(table):
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "labelquorum", "fit", str(table), "--columns", "a,b"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "labelquorum: standard output: cannot be written: No space left on device"
    )
    assert table.with_name("x-labels.csv").exists()


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_a_result_in_standard_output_is_alone_there(table):
    command = [sys.executable, "-m", "labelquorum", "fit", str(table), "--columns", "a,b"]
    run = subprocess.run(
        [*command, "--out", "/dev/stdout"], capture_output=True, text=True, timeout=120, check=True
    )
    assert len(run.stdout.splitlines()) == 81
    header = "label,origin,confidence,pseudo_label,runner_up,runner_up_share\n"
    assert run.stdout.startswith(header)
    assert "/dev/stdout: written after" in run.stderr
