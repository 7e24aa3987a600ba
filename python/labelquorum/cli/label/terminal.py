"""The terminal, or a pipe, in which texts are shown and labels are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.text import Text

from labelquorum._shared.label_reader import NO_LABEL_WORDS, is_no_label_word
from labelquorum._shared.terminal import visible
from labelquorum.active_learning.session import LabelingSession, Offer, Question

try:
    import termios
    import tty
except ImportError:  # Windows: a key counts when Enter follows
    _HAS_KEYS = False
else:
    _HAS_KEYS = True

_N_NUMBERS = 9  # proposals that have a key
_LINES_BESIDE = 12  # lines of the screen for what surrounds the text
_FEWEST_LINES = 4
_MAX_NAME = 200

_HELP = """\
1 to 9   label the text with this category
n        type the name of its category, a new one or an earlier one
g        label a group of similar texts with one answer, after 3 more of its texts
s        skip the text
u        undo the last answer; press again to undo earlier ones
t        show the whole text
c        show all categories
q        stop; the same command continues from here"""


class TerminalClosedError(Exception):
    """The input has ended, or the terminal is gone."""


class _Screen(Console):
    def on_broken_pipe(self) -> None:  # instead of ending the program
        raise BrokenPipeError


class Terminal:
    """Shows questions and reads answers.

    On a terminal, a key counts at once, and only if it is pressed after the question is shown. In a
    pipe, each line is a key.
    """

    def __init__(self, source: int, target: TextIO) -> None:
        self._source = source
        self._target = target
        self._read_so_far = b""
        self.has_keys = _HAS_KEYS and os.isatty(source)
        self._screen = _Screen(file=target, highlight=False, markup=False, emoji=False)

    @property
    def size(self) -> tuple[int, int]:
        """The number of columns and of lines."""
        return self._screen.size.width, self._screen.size.height

    def show(self, text: str = "", style: str = "") -> None:
        """Print a text, with control characters made visible."""
        with self._writing():
            self._screen.print(Text(visible(text), style=style), soft_wrap=True)

    def show_beginning(self, text: str, n_lines: int, style: str = "") -> bool:
        """Print the first lines of a text, and return whether that was all of it."""
        width = self.size[0]
        # A very long text is cut before it is wrapped: no line holds more than `width` characters.
        beginning = Text(visible(text[: width * (n_lines + 1)]), style=style)
        with self._writing():
            lines = beginning.wrap(self._screen, width, overflow="fold")
            for line in lines[:n_lines]:
                self._screen.print(line, soft_wrap=True)
        return len(lines) <= n_lines and len(text) <= width * (n_lines + 1)

    def key(self) -> str:
        """Ask for a key; "" for Enter alone."""
        if not self.has_keys:
            return self.line("> ").strip()
        with self._single_keys():
            self._prompt("> ")
            # An arrow key or a pasted text sends several characters, which are no valid key.
            key = self._read().decode(errors="replace")
        if key in ("", "\x04"):  # Ctrl-D
            raise TerminalClosedError
        self.show(key[:1].strip())
        return key.strip(" \n")

    def line(self, prompt: str) -> str:
        """Ask for a line."""
        self._prompt(prompt)
        while b"\n" not in self._read_so_far:
            read = self._read()
            if not read and not self._read_so_far:
                raise TerminalClosedError
            self._read_so_far += read or b"\n"  # the last line may lack its line break
        line, _, self._read_so_far = self._read_so_far.partition(b"\n")
        if not self.has_keys:
            self.show()
        return line.decode(errors="replace").removesuffix("\r")

    def _prompt(self, prompt: str) -> None:
        with self._writing():
            self._target.write(prompt)
            self._target.flush()

    def _read(self) -> bytes:
        """Wait for input, and return it; nothing at its end."""
        try:
            return os.read(self._source, 1 << 12)
        except OSError:
            return b""

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Python would write the rest at exit, and report the error again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._target.fileno())
            os.close(nowhere)
            raise TerminalClosedError from error

    @contextmanager
    def _single_keys(self) -> Iterator[None]:
        try:
            before = termios.tcgetattr(self._source)
            tty.setcbreak(self._source, termios.TCSAFLUSH)  # discards what was typed before
        except termios.error as error:
            raise TerminalClosedError from error
        try:
            yield
        finally:
            with suppress(termios.error):
                termios.tcsetattr(self._source, termios.TCSADRAIN, before)


def ask_all(session: LabelingSession, texts: Sequence[str], terminal: Terminal) -> None:
    """Ask until the user stops or the terminal is closed."""
    is_over = False
    with suppress(TerminalClosedError):
        while not is_over:
            asked = session.ask()
            if asked is None:
                is_over = _ask_whether_to_undo(session, terminal)
            elif isinstance(asked, Offer):
                is_over = _ask_offer(session, asked, texts, terminal)
            else:
                is_over = _ask_question(session, asked, texts, terminal)


def _ask_whether_to_undo(session: LabelingSession, terminal: Terminal) -> bool:
    """Say that nothing is left, and offer to undo; return whether the user stops."""
    terminal.show(f"\n{_progress(session)}\n\nNo texts are left.")
    terminal.show("  u undo   q stop", style="dim")
    while True:
        key = terminal.key()
        if key == "u":
            session.undo()
            return False
        if key == "q":
            return True
        if key:
            terminal.show(f"{key[:20]!r} has no meaning here: press u or q")


def _ask_question(
    session: LabelingSession, asked: Question, texts: Sequence[str], terminal: Terminal
) -> bool:
    """Ask a question until it is answered; return whether the user stops."""
    _show_question(session, asked, texts[asked.row], terminal)
    numbered = {str(i + 1): p.category for i, p in enumerate(asked.proposals[:_N_NUMBERS])}
    while True:
        key = terminal.key()
        if key in numbered:
            terminal.show(numbered[key], style="bold")
            session.answer(asked.row, numbered[key])
            return False
        if key == "n":
            name = _ask_name(session, terminal)
            if name is not None:
                session.answer(asked.row, name)
                return False
        elif key == "g" and asked.n_alike:
            session.check(asked.row)
            return False
        elif key == "s":
            session.skip(asked.row)
            return False
        elif key == "u" and session.can_undo:
            session.undo()
            return False
        elif key == "q":
            return True
        elif key == "t":
            terminal.show("\n" + texts[asked.row])
        elif key == "c":
            _show_categories(session, terminal)
        elif key == "?":
            terminal.show(_HELP)
        elif key:
            terminal.show(f"{key[:20]!r} has no meaning here: press ? for help")


def _show_question(
    session: LabelingSession, asked: Question, text: str, terminal: Terminal
) -> None:
    terminal.show()
    terminal.show(_progress(session), style="dim")
    if asked.check is not None:
        number, n_checks = asked.check
        terminal.show(f"Text {number} of {n_checks} from a group of similar texts", style="dim")
    terminal.show()
    proposals = asked.proposals[:_N_NUMBERS]
    n_lines = max(_FEWEST_LINES, terminal.size[1] - _LINES_BESIDE - len(proposals))
    if not terminal.show_beginning(text, n_lines, style="bold"):
        terminal.show(f"... ({len(text):,} characters: press t for all)", style="dim")
    terminal.show()
    for number, (category, share) in enumerate(proposals, 1):
        probability = "      " if share is None else f"{share:4.0%}  "
        terminal.show(f"  {number}  {probability}{category}")
    n_more = len(asked.proposals) - len(proposals)
    if n_more:
        terminal.show(f"     and {n_more:,} more: press c to list them, n to type a name")
    keys = ["n another category" if proposals else "n name the category", "s skip"]
    keys += ["u undo"] if session.can_undo else []
    keys += [f"g label {asked.n_alike + 1:,} similar texts"] if asked.n_alike else []
    terminal.show("  " + "   ".join([*keys, "? help", "q stop"]), style="dim")


def _progress(session: LabelingSession) -> str:
    line = f"{session.n_labeled:,} labeled, "
    if session.n_of_group:
        line += f"{session.n_of_group:,} more by their group, "
    line += f"{session.n_left:,} left"
    if session.lower_bound > 0:
        line += f"; at least {session.lower_bound:.1%} of the proposed labels are right"
    return line


def _ask_name(session: LabelingSession, terminal: Terminal) -> str | None:
    """Ask for the name of a category; None if it is empty or not valid."""
    name = " ".join(terminal.line("name: ").split())
    if not name:
        return None
    if not name.isprintable() or len(name) > _MAX_NAME or is_no_label_word(name):
        terminal.show(
            f"A name must have 1 to {_MAX_NAME} printable characters. "
            f"{', '.join(filter(None, NO_LABEL_WORDS))} are reserved: they mean that there is no "
            "label."
        )
        return None
    # "Billing" and "billing" are one category.
    known = {category.casefold(): category for category in session.categories}
    return known.get(name.casefold(), name)


def _show_categories(session: LabelingSession, terminal: Terminal) -> None:
    for category, n_labels in session.categories.items():
        terminal.show(f"  {n_labels:6,}  {category}")


def _ask_offer(
    session: LabelingSession, asked: Offer, texts: Sequence[str], terminal: Terminal
) -> bool:
    """Offer to label a group until that is answered; return whether the user stops."""
    terminal.show()
    terminal.show(
        f"You labeled {asked.n_checked} texts of this group, all as {asked.category!r}. Give the "
        f"same label to the other {len(asked.rows):,}?",
        style="bold",
    )
    terminal.show("  y yes   n no, ask me   u undo   t show the others   q stop", style="dim")
    while True:
        key = terminal.key()
        if key in ("y", "n"):
            session.give(asked) if key == "y" else session.decline()
            return False
        if key == "u":
            session.undo()
            return False
        if key == "q":
            return True
        if key == "t":
            for row in asked.rows:
                terminal.show_beginning(f"  {texts[row]}", 1)
        elif key:
            terminal.show(f"{key[:20]!r} has no meaning here: press y, n, u, t or q")
