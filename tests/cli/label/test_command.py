"""`labelquorum label` in a terminal and in pipes: shown, answered, killed, resumed."""

from __future__ import annotations

import csv
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
import pytest

from labelquorum.cli.main import main

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")

WORDS = {"card": "lost stolen card bank visa", "login": "password account login locked email"}
TIMEOUT = 60


def _texts(n=40, seed=0):
    random = np.random.RandomState(seed)
    kinds = random.choice(list(WORDS), n)
    return [
        " ".join(random.choice(WORDS[kind].split(), 4)) + f" {i}" for i, kind in enumerate(kinds)
    ]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in _texts()))
    return path


def _command(source, *options):
    return [sys.executable, "-m", "labelquorum", "label", str(source), *options]


class _Run(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys, monkeypatch):
    """Answer through a pipe, in this process; each key is a line."""

    def call(source, keys, *options):
        with tempfile.TemporaryFile() as given:
            given.write("".join(f"{key}\n" for key in keys).encode())
            given.seek(0)
            monkeypatch.setattr(sys, "stdin", given)
            try:
                code = main(["label", str(source), *options])
            except SystemExit as stop:  # how argparse ends
                code = stop.code
        return _Run(code, *capsys.readouterr())

    return call


@pytest.fixture
def sit_down():
    """Let people sit down at pseudo-terminals; whatever happens, they leave in the end."""
    people = []

    def call(*arguments, **options):
        people.append(_Person(*arguments, **options))
        return people[-1]

    yield call
    for person in people:
        person.leave()


def _events(source):
    path = source.with_name(f"{source.stem}-answers.jsonl")
    return [json.loads(line) for line in path.read_bytes().splitlines()[1:]]


def _table(source):
    path = source.with_name(f"{source.stem}-labels.csv")
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class _Person:
    """Someone at a pseudo-terminal, in which the command runs."""

    def __init__(self, source, *options, size=(24, 80)):
        self.master, slave = pty.openpty()
        _set_size(self.master, size)
        self.run = subprocess.Popen(
            _command(source, *options),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"},
            preexec_fn=_controls_terminal,
        )
        os.close(slave)
        self.seen = ""
        self.is_there = True

    def wait_for(self, pattern):
        """Read until the pattern has been shown since the last time; return what was."""
        end = time.monotonic() + TIMEOUT
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{pattern!r} was not shown: {self.seen!r}"
            try:
                read = os.read(self.master, 1 << 16)
            except OSError:  # the other end is closed
                read = b""
            assert read, f"{pattern!r} was not shown, and the command ended: {self.seen!r}"
            self.seen += read.decode(errors="replace")
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def press(self, keys):
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def ask(self):
        """Wait for the next prompt."""
        return self.wait_for(r"(?m)^> ")

    def name(self, name):
        self.press("n")
        self.wait_for("name: ")
        self.press(f"{name}\n")

    def stop(self):
        """Read to the end; return the exit code."""
        while True:
            try:
                read = os.read(self.master, 1 << 16)
            except OSError:
                read = b""
            if not read:
                break
            self.seen += read.decode(errors="replace")
        self.leave()
        return self.run.wait(TIMEOUT)

    def leave(self):
        """Close the terminal, and end what still runs in it after a while."""
        if self.is_there:
            os.close(self.master)
            self.is_there = False
        try:
            self.run.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.run.kill()
            self.run.wait()


def _controls_terminal():
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _set_size(terminal, size):
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def test_answers_through_a_pipe_make_a_table(source, run):
    found = run(source, ["n", "card", "n", "login", "1", "q", "never read"])
    assert found.code == 0
    assert found.err == ""
    assert "texts.txt: 40 texts" in found.out
    assert "2 labeled, 38 left" in found.out
    assert "3 labels by you, 0 by groups, 37 proposed" in found.out
    given = {event["row"]: event["label"] for event in _events(source)}
    assert list(given.values())[:2] == ["card", "login"]
    rows = _table(source)
    assert [int(row["row"]) for row in rows] == list(range(40))
    assert {int(r["row"]): r["label"] for r in rows if r["origin"] == "given"} == given
    assert all(row["label"] in ("card", "login") for row in rows)
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)
    texts = _texts()
    for row in given:
        assert f"\n{texts[row]}\n" in found.out


def test_a_resumed_session_asks_the_same_questions_as_an_unbroken_one(source, run):
    keys = ["n", "card", "s", "n", "login", "1", "1", "u", "2", "u", "u", "1"]
    whole = run(source, keys).out
    answers = source.with_name("texts-answers.jsonl").read_text()
    source.with_name("texts-answers.jsonl").unlink()
    parts = [run(source, part) for part in (keys[:3], keys[3:6], keys[6:8], keys[8:11], keys[11:])]
    assert source.with_name("texts-answers.jsonl").read_text() == answers
    assert "texts-answers.jsonl: continues after 9 answers" in parts[-1].out
    last = whole.rsplit("\n\n", 5)[1:4]
    assert parts[-1].out.rsplit("\n\n", 5)[1:4] == last


@pytest.mark.slow
def test_every_answer_survives_a_kill_as_soon_as_the_next_question_is_there(source, sit_down):
    given = []
    for kind in ("label", "skip", "label", "undo"):
        person = sit_down(source)
        shown = person.ask()
        assert (f"continues after {len(given)} answers" in shown) == bool(given)
        assert f"{given.count('label')} labeled" in shown
        if not given:
            person.name("card")
        else:
            person.press({"label": "1", "skip": "s", "undo": "u"}[kind])
        given.append(kind)
        person.ask()
        person.run.kill()
        assert person.stop() == -signal.SIGKILL
        assert [event["event"] for event in _events(source)] == given


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_answer_that_was_followed_by_a_question(source, sit_down):
    total, random = 0, np.random.RandomState(0)
    for _ in range(4):
        person = sit_down(source)
        assert f"{total} labeled" in person.ask()
        answered = 0
        for _ in range(4):
            person.name("card") if total + answered == 0 else person.press("1")
            if random.rand() < 0.4:
                time.sleep(random.choice([0, 0.001, 0.01]))
                break
            person.ask()
            answered += 1
        person.run.kill()
        person.stop()
        n_kept = len(_events(source))
        assert total + answered <= n_kept <= total + answered + 1
        total = n_kept


def test_a_line_cut_by_a_kill_is_reported_and_asked_again(source, run):
    run(source, ["n", "card", "1", "1"])
    path = source.with_name("texts-answers.jsonl")
    path.write_bytes(path.read_bytes()[:-9])
    shown = run(source, ["q"]).out
    assert 'the last line was cut off, and that answer is lost: \'{"event": "label"' in shown
    assert "continues after 2 answers" in shown
    assert "2 labeled" in shown
    assert len(_events(source)) == 2


@pytest.mark.slow
def test_a_terminal_that_goes_away_ends_the_session(source, sit_down):
    person = sit_down(source)
    person.ask()
    person.name("card")
    person.ask()
    person.leave()
    assert person.run.returncode == 0
    assert [event["label"] for event in _events(source)] == ["card"]
    assert {row["label"] for row in _table(source)} == {"card"}


@pytest.mark.slow
def test_a_terminate_signal_ends_the_session(source, sit_down):
    person = sit_down(source)
    person.ask()
    person.name("card")
    person.ask()
    person.run.terminate()
    assert person.stop() == 0
    assert "1 labels by you" in person.seen
    assert len(_table(source)) == 40


@pytest.mark.slow
def test_ctrl_c_and_ctrl_d_end_the_session_and_the_terminal_is_as_before(source, sit_down):
    import termios

    person = sit_down(source)
    before = termios.tcgetattr(person.master)
    person.ask()
    person.name("card")
    person.ask()
    person.press("\x03")
    person.wait_for("labelquorum: interrupted")
    person.run.wait(TIMEOUT)
    assert termios.tcgetattr(person.master) == before
    assert person.stop() == 130
    assert "Traceback" not in person.seen
    assert len(_table(source)) == 40
    person = sit_down(source)
    assert "1 labeled" in person.ask()
    person.press("\x04")
    assert person.stop() == 0


@pytest.mark.slow
def test_wrong_keys_arrow_keys_and_pasted_text_answer_nothing(source, sit_down):
    person = sit_down(source)
    person.ask()
    person.name("card")
    person.ask()
    for keys in ("x", "2", "0", "\x1b[A", "\x1b[3~", "11\n1\n", "\xe4", b"\xff", "ggg", "y", "\t"):
        person.press(keys)
        assert "has no meaning here" in person.ask(), keys
    for keys in ("\n", " "):
        person.press(keys)
        assert "has no meaning here" not in person.ask(), keys
    person.press("?")
    assert "undo the last answer" in person.ask()
    assert len(_events(source)) == 1
    person.press("q")
    assert person.stop() == 0


@pytest.mark.slow
def test_a_group_gets_one_answer_and_gives_it_back_after_a_restart(tmp_path, run, sit_down):
    source, features = tmp_path / "texts.txt", tmp_path / "X.npy"
    texts = [f"sample {i}" for i in range(100)]
    source.write_text("".join(f"{text}\n" for text in texts))
    random = np.random.RandomState(0)
    centers = 5 * random.normal(size=(8, 3))
    np.save(features, random.normal(size=(100, 3)) / 10 + centers[np.arange(100) % 8])
    options = ["--features", str(features)]
    person = sit_down(source, *options)
    while "similar texts" not in person.ask():
        person.press("s")
    person.press("g")
    assert "Text 1 of 4 from a group of similar texts" in person.ask()
    person.name("card")
    for i in (2, 3, 4):
        assert f"Text {i} of 4 from a group of similar texts" in person.ask()
        person.press("1")
    assert "You labeled 4 texts of this group, all as 'card'" in person.ask()
    person.press("t")
    shown = {line.strip() for line in person.ask().splitlines()} & set(texts)
    person.press("y")
    assert "more by their group" in person.ask()
    person.run.kill()
    person.stop()
    event = _events(source)[-1]
    assert {texts[row] for row in event["rows"]} == shown

    found = run(source, ["u", "n", "q"], *options)
    first, offer, last = found.out.split("\n> ")[:3]
    assert f"{len(shown)} more by their group" in first
    assert f"Give the same label to the other {len(shown)}?" in offer
    assert re.search(r"\n4 labeled, \d+ left", last)
    assert not [row for row in _table(source) if row["origin"] == "accepted"]
    found = run(source, ["u", "y", "q"], *options)
    of_group = [row for row in _table(source) if row["origin"] == "accepted"]
    assert [int(row["row"]) for row in of_group] == event["rows"]
    assert {(row["label"], float(row["confidence"])) for row in of_group} == {("card", 5 / 6)}


def test_texts_that_are_the_same_are_a_group(tmp_path, run):
    source = tmp_path / "texts.txt"
    source.write_text("same text\n" * 20)
    found = run(source, ["g", "n", "a", "1", "1", "1", "y"])
    assert "g label 20 similar texts" in found.out
    assert "4 labels by you, 16 by groups" in found.out


@pytest.mark.slow
def test_odd_bytes_empty_lines_and_long_lines_are_shown_and_do_no_harm(tmp_path, sit_down):
    source = tmp_path / "odd.txt"
    odd = [b"card \xff\xfe lost", b"", b"card \x1b[2J\x1b]0;title\x07 lost", b"   "]
    odd += [b"\xc2\x9b31m card", b"login " + "\u202eabc\u2066 ".encode()]
    odd += [b"login " * 40_000 + b"THE END", b"card\rlogin"]
    source.write_bytes(b"\n".join(odd) + b"\n")
    person = sit_down(source)
    everything = person.ask()
    assert "8 texts, 2 of them empty and not asked about" in everything
    assert "1 texts have bytes that are not UTF-8" in everything
    for i in range(6):
        if "characters: press t for all" in everything and "THE END" not in everything:
            assert everything.count("login") < 24 * 80
            person.press("t")
            everything += person.ask()
            assert "THE END" in everything
        person.press("1") if i else person.name("a")
        everything += person.ask()
    assert "6 labeled, 0 left" in everything
    assert "No texts are left." in everything
    person.press("u")
    assert "5 labeled, 1 left" in person.ask()
    person.press("1")
    person.ask()
    person.press("q")
    assert person.stop() == 0
    # What the command itself sends, for styles, is all that begins with an escape.
    rest = re.sub(r"\x1b\[[0-9;]*m", "", everything)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest)
    assert "card \ufffd\ufffd lost" in rest
    assert "card \u241b[2J\u241b]0;title\u2407 lost" in rest
    assert "<U+009B>31m" in rest
    assert "<U+202E>abc<U+2066>" in rest
    assert "card\u240dlogin" in rest
    rows = _table(source)
    assert [row["origin"] for row in rows] == ["given", "", "given", "", *["given"] * 4]
    assert rows[1]["label"] == ""


@pytest.mark.slow
def test_a_narrow_screen_is_enough(source, sit_down):
    person = sit_down(source, size=(6, 20))
    assert "0 labeled" in person.ask()
    person.press("q")
    assert person.stop() == 0


@pytest.mark.slow
def test_a_plain_encoding_and_a_pipe_that_nobody_reads_are_no_error(tmp_path):
    source = tmp_path / "texts.txt"
    content = "".join(f"{text} \u2603 \u4f60\u597d\n" for text in _texts(20))
    source.write_text(content, encoding="utf-8")
    command = subprocess.Popen(
        _command(source),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
    )
    shown = b""
    while b"\n> " not in shown:
        read = os.read(command.stdout.fileno(), 1 << 12)
        assert read, command.stderr.read()
        shown += read
    assert b"\\u2603 \\u4f60\\u597d" in shown
    command.stdout.close()
    error = command.communicate("n\n\u2603\n".encode() + b"1\n" * 9, timeout=TIMEOUT)[1]
    assert error == b""
    assert command.returncode == 0
    assert {event["label"] for event in _events(source)} <= {"\u2603"}
    assert len(_table(source)) == 20


def test_names_are_checked_and_matched_with_known_ones(source, run):
    keys = ["n", "  Credit \t card ", "n", "credit CARD", "n", "", "n", "-1", "n", "NaN"]
    keys += ["n", "a\x1b[2Jb", "n", "x" * 201, "c"]
    shown = run(source, keys).out
    assert [event["label"] for event in _events(source)] == ["Credit card"] * 2
    assert shown.count("A name must have 1 to 200 printable characters") == 4
    assert "     2  Credit card" in shown


def test_no_answer_at_all_still_makes_the_table(source, run):
    assert run(source, []).code == 0
    assert {(row["label"], row["origin"]) for row in _table(source)} == {("", "")}
    assert _events(source) == []


@pytest.mark.parametrize("extension", [".npz", ".parquet"])
def test_other_tables_hold_the_same(source, run, extension):
    run(source, ["n", "card", "n", "login"])
    expected = [(int(row["row"]), row["label"], row["origin"]) for row in _table(source)]
    out = source.with_suffix(extension)
    assert run(source, ["q"], "--out", str(out)).code == 0
    if extension == ".npz":
        table = np.load(out)
        columns = [table[name].tolist() for name in ("row", "label", "origin")]
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        columns = [table[name].to_pylist() for name in ("row", "label", "origin")]
    assert list(zip(*columns, strict=True)) == expected


def test_few_labels_of_a_category_are_not_proposed(source, run):
    keys = ["n", "card"] + ["1"] * 4 + ["n", "rare"]
    found = run(source, keys, "--min-samples-per-category", "2")
    assert re.search(r"\n  1   \d\d%  card\n  2        rare\n", found.out)
    labels = {row["label"] for row in _table(source) if row["origin"] == "proposed"}
    assert "rare" not in labels


def test_checks_at_random_bound_the_precision(source, run):
    keys = ["n", "card", "n", "login"]
    found = run(source, keys + ["1"] * 30, "--audit-share", "0.5")
    assert re.search(r"at least \d+\.\d% of the proposed labels are right", found.out)


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (None, [], 1, "texts.txt: No such file"),
        (b"", [], 1, "texts.txt: the file is empty"),
        (b"one\n", [], 1, "texts.txt: at least 2 texts must not be empty, got 1"),
        (b"\n \n", [], 1, "at least 2 texts must not be empty, got 0"),
        (b"...\n!!!\n", [], 1, "texts.txt: no text has a word"),
        (b"one\ntwo\n", ["--text-column", "a"], 1, "txt files have no named columns"),
        (
            b"one\ntwo\n",
            ["--features", "FEATURES"],
            1,
            "3 rows, but .*texts.txt has 2 texts: they must be equal",
        ),
        (b"one\ntwo\n", ["--features", "absent.npy"], 1, "absent.npy: No such file"),
        (b"one\ntwo\n", ["--out", "texts.pdf"], 1, "the extension must be .*, got '.pdf'"),
        (
            b"one\ntwo\n",
            ["--out", "FEATURES", "--features", "FEATURES"],
            1,
            "the extension must be",
        ),
        (b"one\ntwo\n", ["--answers", "SOURCE"], 1, "not a file of answers"),
        (b"one\ntwo\n", ["--audit-share", "1"], 2, "must be at least 0 and less than 1, got '1'"),
        (b"one\ntwo\n", ["--seed", "-1"], 2, "must be an integer from 0 to 2.32 - 1, got '-1'"),
    ],
)
def test_errors_are_one_line_and_change_nothing(tmp_path, run, content, options, code, message):
    source, features = tmp_path / "texts.txt", tmp_path / "X.npy"
    np.save(features, np.eye(3))
    if content is not None:
        source.write_bytes(content)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    paths = {"FEATURES": str(features), "SOURCE": str(source)}
    found = run(source, ["q"], *[paths.get(option, option) for option in options])
    assert found.code == code
    assert found.out == ""
    assert re.search(message, found.err.splitlines()[-1])
    assert "Traceback" not in found.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_changed_is_refused_with_what_differs(source, run):
    run(source, ["n", "card"])
    before = source.with_name("texts-answers.jsonl").read_bytes()
    lines = source.read_text().splitlines()
    for changed, message in [
        ([*lines, "one more"], "number of texts was 40 and is now 41"),
        (["other", *lines[1:]], "digest of the texts was '"),
    ]:
        source.write_text("".join(f"{line}\n" for line in changed))
        found = run(source, ["1"])
        assert found.code == 1
        assert message in found.err
    source.write_text("".join(f"{line}\n" for line in lines))
    assert (
        "seed was 0 and is now 1. Use the earlier texts and options"
        in run(source, ["1"], "--seed", "1").err
    )
    assert source.with_name("texts-answers.jsonl").read_bytes() == before
    assert run(source, ["1"]).code == 0
    with open(source.with_name("texts-answers.jsonl"), "a") as file:
        file.write('{"event": "label", "row": 99, "label": "card"}\n')
    found = run(source, ["1"])
    assert found.code == 1
    assert "texts-answers.jsonl: answer 3, " in found.err
    assert "does not fit: row 99 is not one of the rows to ask about" in found.err


def test_embeddings_and_columns_are_used(tmp_path, run):
    source, features = tmp_path / "texts.csv", tmp_path / "X.npy"
    random = np.random.RandomState(0)
    kinds = np.arange(30) % 2
    np.save(features, random.normal(size=(30, 3)) + 9 * kinds[:, None])
    source.write_text("id,body\n" + "".join(f"{i},sample {i}\n" for i in range(30)))
    options = ["--text-column", "body", "--features", str(features)]
    for _ in range(6):
        row = int(re.findall(r"sample (\d+)", run(source, [], *options).out)[-1])
        run(source, ["n", f"kind {row % 2}"], *options)
    assert [row["label"] for row in _table(source)] == [f"kind {kind}" for kind in kinds]
    assert "digest of the features was '" in run(source, [], *options[:2]).err


def test_only_what_the_person_said_is_known_to_fit(source, run, capsys):
    run(source, ["n", "card", "n", "login", "1", "2", "1"])
    rows = _table(source)
    np.save(source.with_name("X.npy"), np.random.default_rng(0).normal(size=(len(rows), 3)))
    labels, out = source.with_name("texts-labels.csv"), source.with_name("out.csv")
    command = ["fit", str(source.with_name("X.npy")), "--labels", str(labels), "--out", str(out)]
    assert main([*command, "--n-clusters", "2"]) == 0
    assert "5 labels are known; 35 are proposals" in " ".join(capsys.readouterr().err.split())
    with open(out, newline="", encoding="utf-8") as file:
        found = [row["origin"] for row in csv.DictReader(file)]
    assert found == [row["origin"] for row in rows]
