"""The terminal: what is shown, which keys and lines are read."""

from __future__ import annotations

import io
import os

import pytest

from labelquorum.cli.label import terminal as _terminal
from labelquorum.cli.label.terminal import Terminal, TerminalClosedError, visible

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("caf\u00e9 \u4f60\u597d \U0001f469\u200d\U0001f4bb \u0915\u094d", None),
        ("\x1b[31m\x00\x7f", "\u241b[31m\u2400\u2421"),
        ("a\tb\r\nc\nd\re\u2028f", "a    b\nc\nd\u240de\nf"),
        ("\x85\x9b\u202e\u200f\ufeff\u00ad", "<U+0085><U+009B><U+202E><U+200F><U+FEFF><U+00AD>"),
        ("\ud800", "\ufffd"),
    ],
)
def test_control_characters_are_made_visible(text, shown):
    assert visible(text) == (text if shown is None else shown)


def test_the_last_line_of_a_pipe_may_lack_a_line_break():
    read, write = os.pipe()
    os.write(write, b"one\r\ntwo")
    os.close(write)
    terminal = Terminal(read, io.StringIO())
    assert [terminal.key(), terminal.key()] == ["one", "two"]
    with pytest.raises(TerminalClosedError):
        terminal.key()
    os.close(read)


def test_the_beginning_of_a_text_fills_the_given_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    read, write = os.pipe()
    os.close(write)
    target = io.StringIO()
    terminal = Terminal(read, target)
    assert terminal.show_beginning("a" * 20, 2)
    assert target.getvalue() == "a" * 10 + "\n" + "a" * 10 + "\n"
    assert not terminal.show_beginning("a" * 21, 2)
    assert not terminal.show_beginning("a\nb\nc", 2)
    assert not terminal.show_beginning("a" * 10**6, 2)
    with pytest.raises(TerminalClosedError):
        terminal.key()
    os.close(read)


def test_a_terminal_without_single_keys_reads_lines(monkeypatch):
    monkeypatch.setattr(_terminal, "_HAS_KEYS", False)
    master, slave = pty.openpty()
    terminal = Terminal(slave, io.StringIO())
    os.write(master, b"12\n")
    assert terminal.key() == "12"
    os.close(master)
    os.close(slave)
