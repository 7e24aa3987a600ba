"""The file of answers: nothing is lost, nothing is dropped in silence."""

from __future__ import annotations

import json
import os
import sys

import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.label.answers_file import AnswersFile

ABOUT = {"number of texts": 3, "texts": "ab12", "seed": 0}
EVENTS = [
    {"event": "label", "row": 2, "label": "café\u2028\x1b[2J"},
    {"event": "skip", "row": 0},
    {"event": "undo"},
    {"event": "check", "row": 1, "rows": [1, 2]},
    {"event": "decline"},
    {"event": "give", "row": 1, "rows": [0], "label": "a"},
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def written(path):
    with AnswersFile(path, ABOUT) as answers:
        for event in EVENTS:
            answers.append(event)
    return path


def test_what_is_written_is_read_and_more_can_follow(written):
    with AnswersFile(written, ABOUT) as answers:
        assert answers.events == EVENTS
        assert answers.message == ""
        answers.append({"event": "undo"})
    with AnswersFile(written, ABOUT) as answers:
        assert answers.events == [*EVENTS, {"event": "undo"}]


def test_an_answer_is_in_the_file_when_append_returns(path):
    with AnswersFile(path, ABOUT) as answers:
        for n, event in enumerate(EVENTS, 1):
            answers.append(event)
            lines = path.read_bytes().splitlines()
            assert len(lines) == n + 1
            assert json.loads(lines[-1]) == event


def test_a_file_cut_anywhere_keeps_all_earlier_answers(written, tmp_path):
    content = written.read_bytes()
    path = tmp_path / "cut.jsonl"
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        complete = content[:size].split(b"\n")[:-1]
        torn = content[:size].split(b"\n")[-1]
        is_event = bool(complete) and torn in content.split(b"\n")[1:-1]
        with AnswersFile(path, ABOUT) as answers:
            n = max(0, len(complete) - 1) + is_event
            assert answers.events == EVENTS[:n]
            if not torn:
                assert answers.message == ""
            elif is_event:
                assert "the last line break was missing; the answer is kept" in answers.message
            elif not complete:
                assert "the first line was cut off, but no answer is lost" in answers.message
            else:
                assert "the last line was cut off, and that answer is lost" in answers.message
                assert repr(torn[:60].decode()) in answers.message
            answers.append({"event": "undo"})
        with AnswersFile(path, ABOUT) as answers:
            assert answers.events == [*EVENTS[:n], {"event": "undo"}]
            assert answers.message == ""


@pytest.mark.parametrize(
    "damaged",
    [
        b"\0\0\0\0",
        b'{"event": "label", "row": 2',
        b'{"event": "label", "row": "2", "label": "a"}',
        b'{"event": "label", "row": 2}',
        b'{"event": "check", "row": 1, "rows": [1, "2"]}',
        b'{"event": "jump"}',
        b'{"event": ["label"]}',
        b"[]",
        b"",
    ],
)
def test_damage_before_the_last_line_is_an_error_and_changes_nothing(written, damaged):
    lines = written.read_bytes().split(b"\n")
    lines[2] = damaged
    content = b"\n".join(lines)
    written.write_bytes(content)
    with pytest.raises(FileError, match="line 3 is damaged"):
        AnswersFile(written, ABOUT)
    assert written.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"hello", b"hello\n", b'{"a": 1}\n', b"\n", b"\0\n", b"[" * 9999]
)
def test_a_file_of_another_kind_is_refused_and_unchanged(path, content):
    path.write_bytes(content)
    with pytest.raises(FileError, match="not a file of answers"):
        AnswersFile(path, ABOUT)
    assert path.read_bytes() == content


def test_changed_texts_and_options_are_named(written):
    content = written.read_bytes()
    other = "number of texts was 3 and is now 4; seed was 0 and is now 1. Use the"
    with pytest.raises(FileError, match=other):
        AnswersFile(written, ABOUT | {"number of texts": 4, "seed": 1})
    with pytest.raises(FileError, match=r"features was None and is now 'x'"):
        AnswersFile(written, ABOUT | {"features": "x"})
    assert written.read_bytes() == content


def test_a_file_of_another_version_is_refused(written):
    written.write_bytes(written.read_bytes().replace(b'"version": 1', b'"version": 2', 1))
    with pytest.raises(FileError, match="the format must be 1, got 2"):
        AnswersFile(written, ABOUT)


@pytest.mark.skipif(sys.platform == "win32", reason="locks are POSIX")
def test_two_processes_cannot_write_at_once(written):
    with (
        AnswersFile(written, ABOUT),
        pytest.raises(FileError, match="another process is writing answers"),
    ):
        AnswersFile(written, ABOUT)
    AnswersFile(written, ABOUT).__exit__()


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be opened: No such file"):
        AnswersFile(tmp_path / "absent" / "answers.jsonl", ABOUT)
    with pytest.raises(FileError, match="cannot be opened: Is a directory"):
        AnswersFile(tmp_path, ABOUT)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_is_an_error_and_drops_the_answer(written, monkeypatch):
    with AnswersFile(written, ABOUT) as answers:
        content = written.read_bytes()
        full = os.open("/dev/full", os.O_RDWR)
        kept = os.dup(answers._file)
        os.dup2(full, answers._file)
        with pytest.raises(FileError, match="cannot be written: No space left"):
            answers.append({"event": "undo"})
        os.dup2(kept, answers._file)
        os.close(full)
        os.close(kept)
        assert answers.events == EVENTS
    assert written.read_bytes() == content


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_are_followed_only_where_a_name_was_given(path, tmp_path):
    target = tmp_path / "target"
    path.symlink_to(target)
    with pytest.raises(FileError, match="it is a link; to use it, name it with --answers"):
        AnswersFile(path, ABOUT, follows_links=False)
    assert not target.exists()
    with AnswersFile(path, ABOUT) as answers:
        answers.append(EVENTS[0])
    assert path.is_symlink()
    assert len(target.read_bytes().splitlines()) == 2


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_answers_are_kept_in_a_regular_file(path):
    os.mkfifo(path)
    with pytest.raises(FileError, match="the answers must be kept in a regular file"):
        AnswersFile(path, ABOUT)
