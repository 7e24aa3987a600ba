"""The command ``labelquorum categories``: list the categories of a saved model, and change them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, check_writable, is_stream, replacing
from labelquorum._shared.origins import ACCEPTED, GIVEN
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.readers import shown_names
from labelquorum.cli.files.records import cell_text, read_records
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.fit import result_columns
from labelquorum.cli.options import UsageError, one_line, print_result
from labelquorum.cli.saved import opened_model
from labelquorum.clustering.clusterer import ConsensusClusterer

CATEGORIES = """\
List the categories of a model that "labelquorum fit --save" saved: the label, which stands in
results, the name, the kind (known, if people gave labels; accepted, if they accepted or named it;
new), the number of samples, and the mean confidence.

Changes are made in the order in which they are given, and the model is written back when all of
them are made. What is renamed, merged or accepted is known from then on: the next fit keeps it.
Give the result of the fit as --labels, so that the next fit learns of them: its labels, names and
origins follow. Rows whose label was corrected by hand stay as they are.
A, B and OLD are names or labels. A name that holds a comma or an equal sign is put into double
quotes, which double within them; so the shell needs single ones around all of it:
  --rename 'new 3=Fees'
  --merge '"card, lost",new 7=Card lost or stolen'
  --accept 'currency, exchange'
"""

_LEAST_FOLLOWING = 0.5  # share of rows with the label of the model
_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*')


class _Change(NamedTuple):
    """A change of the categories, as it was asked for."""

    option: str
    text: str
    names: list[str]
    new: str


def add_categories(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="the saved model")
    for option, metavar, parse, text in (
        ("--rename", "OLD=NEW", _renaming, "give a category another name"),
        ("--merge", "A,B=NAME", _merging, "join categories into one with this name"),
        ("--split", "A", _single, "divide a category into the two parts that differ most"),
        ("--accept", "A", _single, "accept a new category: its most certain samples are right"),
    ):
        add(
            option,
            dest="changes",
            action="append",
            default=[],
            type=_change(option, parse),
            metavar=metavar,
            help=f"{text}; may be repeated",
        )
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help='the table that "labelquorum fit" wrote: its labels are changed, too',
    )
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE.lq",
        help="write the changed model to this file (default: MODEL)",
    )
    add("--quiet", "-q", action="store_true", help="print nothing but errors")
    parser.set_defaults(command=_run)


def _change(option: str, parse: Callable[[str], tuple[list[str], str]]) -> Callable[[str], _Change]:
    return lambda text: _Change(option, text, *parse(text))


def _renaming(text: str) -> tuple[list[str], str]:
    old, new = _sides(text, "OLD=NEW")
    return [_unquoted(old)], new


def _merging(text: str) -> tuple[list[str], str]:
    old, new = _sides(text, "A,B=NAME")
    names = [_unquoted(name) for name in _pieces(old, ",")]
    if len(names) < 2:
        raise argparse.ArgumentTypeError(f"must be two names or more, as A,B=NAME, got {text!r}")
    return names, new


def _single(text: str) -> tuple[list[str], str]:
    return [_unquoted(text)], ""


def _sides(text: str, wanted: str) -> tuple[str, str]:
    """Split at the first equal sign outside quotes."""
    old, *rest = _pieces(text, "=", 1)
    if not rest or not old.strip() or not rest[0].strip():
        raise argparse.ArgumentTypeError(f"must have the form {wanted}, got {text!r}")
    return old, _unquoted(rest[0])


def _pieces(text: str, separator: str, most: int = -1) -> list[str]:
    """Split at separators that are outside quotes, which stand around whole names."""
    pieces: list[str] = []
    begin, at, is_start = 0, 0, True
    while at < len(text):
        quoted = _QUOTED.match(text, at) if is_start else None
        if quoted is not None:
            at, is_start = quoted.end(), False
            continue
        if text[at] == separator and len(pieces) != most:
            pieces.append(text[begin:at])
            begin = at + 1
        is_start = text[at] in ",="
        at += 1
    return [*pieces, text[begin:]]


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return text.strip() if quoted is None else quoted[1].replace('""', '"')


def _run(args: argparse.Namespace) -> None:
    out: Path = args.out or args.model
    for option, path in (("--out", args.out), ("--labels", args.labels)):
        if path is not None and not args.changes:
            raise UsageError(f"{option} needs a change: add --rename, --merge, --split or --accept")
    if args.changes:
        if is_stream(out):
            raise UsageError(f"--out must be a file, got {out}, a pipe or device")
        check_writable(out)
    model = opened_model(args.model)
    if not isinstance(model, ConsensusClusterer):
        raise FileError(
            f"{args.model}: the model must be a ConsensusClusterer, got a {type(model).__name__}"
        )
    table = None if args.labels is None else _Table.of(args.labels, model)
    for change in args.changes:
        try:
            _make(change, model)
        except (TypeError, ValueError) as error:
            raise FileError(
                f"{args.model}: {change.option} {change.text!r}: {one_line(error)}"
            ) from error
    if table is not None:  # Before the model: the same command again then ends the same.
        table.write(model)
    if args.changes:
        model.save(out)
    if not args.quiet:
        _print(model)
        if args.changes:
            print_result(out, f"{out}: written")
        if table is not None:
            print_result(args.labels, f"{args.labels}: written")


class _Table(NamedTuple):
    """The result of a fit."""

    path: Path
    columns: dict[str, NDArray[Any]]
    follows: NDArray[np.bool_]
    """(n_samples,): whether a row has the label of the model, so that nobody corrected it."""

    @classmethod
    def of(cls, path: Path, model: ConsensusClusterer) -> _Table:
        """Read it, and check that it belongs to the model."""
        check_output(path)
        names = tables.Table(path, header=True, may_have_others=True).names
        columns = read_records(path, names, header=True).columns
        labels = model.labels_.tolist()
        n_rows = len(next(iter(columns.values())))
        if "label" not in columns or n_rows != len(labels):
            raise FileError(
                f"{path}: --labels must be the result of the fit, with a column 'label' and "
                f"{len(labels):,} rows, got {n_rows:,} rows of {shown_names(names)}"
            )
        found = columns["label"].tolist()
        follows = np.array([_same(a, b) for a, b in zip(found, labels, strict=True)])
        if not follows.mean() > _LEAST_FOLLOWING:
            raise FileError(
                f"{path}: {np.count_nonzero(~follows):,} of {n_rows:,} rows have another label "
                "than in the model: --labels must be the result of the fit that saved it"
            )
        return cls(path, columns, follows)

    def write(self, model: ConsensusClusterer) -> None:
        """Write it with what the model says now."""
        columns = dict(self.columns)
        for name, said in result_columns(model, with_names=True).items():
            if name in columns:
                columns[name] = _replaced(columns[name], said, self.follows)
        with replacing(self.path) as file:
            write_columns(self.path, file, columns)


def _replaced(before: NDArray[Any], said: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """Replace the cells of some rows: numbers, or texts with None for empty cells."""
    if before.dtype.kind == said.dtype.kind == "f":
        return np.where(where, said, before).astype(said.dtype)
    now = np.array([cell_text(cell) or None for cell in before.tolist()], dtype=object)
    if said.dtype.kind == "f":
        said = said.astype(str)  # with only the digits that the type holds
    now[where] = [cell_text(cell) or None for cell in said[where].tolist()]
    return now


def _same(cell: Any, label: Any) -> bool:
    """Whether a cell of a table holds a label."""
    return label is not None and cell_text(cell) == str(label)


def _make(change: _Change, model: ConsensusClusterer) -> None:
    are_integers = not any(isinstance(label, str) for label in model.classes_.tolist())
    new: Any = change.new
    if are_integers and change.new.isascii() and change.new.isdecimal():
        new = int(change.new)
    if change.option == "--rename":
        model.rename({change.names[0]: new})
    elif change.option == "--merge":
        model.merge(change.names, into=new)
    elif change.option == "--split":
        model.split(change.names[0])
    else:
        model.accept(change.names)


def _print(model: ConsensusClusterer) -> None:
    """Print a line for each category."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    outcome = model.outcome_
    numbers, origins = outcome.categories.numbers, model.label_origins_
    n = model.n_clusters_
    voted = numbers >= 0
    sizes = np.bincount(numbers[voted], minlength=n)
    sums = np.bincount(numbers[voted], model.confidence_[voted], minlength=n)
    given, accepted = (
        np.bincount(numbers[voted & (origins == word)], minlength=n) for word in (GIVEN, ACCEPTED)
    )
    labels, names = model.classes_.tolist(), model.category_names_.tolist()
    table = Table("label", "name", "kind")
    for title in ("samples", "confidence"):
        table.add_column(title, justify="right")
    for k in outcome.listing(labels):
        kind = "known" if given[k] else "accepted" if accepted[k] else "new"
        confidence = f"{sums[k] / sizes[k]:.2f}" if sizes[k] else ""
        shown = [Text(visible_line(text)) for text in (str(labels[k]), names[k])]
        table.add_row(*shown, kind, f"{sizes[k]:,}", confidence)
    Console(file=sys.stdout).print(table)
