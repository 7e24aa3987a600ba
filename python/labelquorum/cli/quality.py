"""The command ``labelquorum quality``: labels and checks by hand in, how good all are out."""

from __future__ import annotations

import argparse
import sys
import warnings
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.labels import has_label
from labelquorum._shared.origins import ORIGIN, PROPOSED
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.labels import read_labels, read_origins
from labelquorum.cli.files.readers import shown_names
from labelquorum.cli.files.records import cell_text, read_records
from labelquorum.cli.files.results import check_output, format_of, write_columns
from labelquorum.cli.files.sources import Location
from labelquorum.cli.options import (
    TABLES,
    UsageError,
    add_seed,
    as_file,
    check_other,
    default_out,
    one_line,
    positive,
    print_result,
)
from labelquorum.cli.saved import as_share
from labelquorum.quality.checks import (
    LabelQuality,
    label_quality,
    n_checks_needed,
    samples_to_check,
)
from labelquorum.review.answers import RIGHT, is_right

_LABEL, _SAMPLE, _CONFIDENCE, _TEXT, _NAME = "label", "sample", "confidence", "text", "name"
_PRECISION = 0.95

QUALITY = f"""\
Say how many labels are right, from some that were checked by hand.

First, draw the labels to check:
  labelquorum quality labels.csv --draw 200 --out to_check.csv
The list has the columns sample (the row in LABELS, from 0), the id, the text, suggestion (the
label), confidence, {RIGHT} and label. Open it in a spreadsheet. Does each sample belong to the
suggested category? Write y or n into the column {RIGHT}, or what it really is into the column
label. Go from top to bottom, and stop when you like: the first ones, however many, will do.

Then:
  labelquorum quality labels.csv to_check.csv
prints how many labels of each category are right, a lower bound on the share of all labels that
are, and the confidence from which labels have the wanted precision.

LABELS is a result of "labelquorum fit", "update" or "predict", or any table with a column label.
Only labels that a model proposed are checked, if a column {ORIGIN} says which.
{TABLES}
"""


def add_quality(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("file", metavar="LABELS", type=as_file, help="the labels: a table")
    add(
        "checks",
        metavar="CHECKED",
        nargs="?",
        type=as_file,
        help="the list with the answers: a table",
    )
    add("--draw", type=positive, metavar="N", help="write a list of N labels to check")
    add(
        "--id-column",
        metavar="NAME",
        help="the column of ids in both tables: rows of CHECKED go by it instead of by the column "
        "sample, and the list has it",
    )
    add(
        "--text-column",
        metavar="NAME",
        help=f'the column of LABELS that the list shows (default: "{_TEXT}", if there is one)',
    )
    add(
        "--wanted-precision",
        type=as_share,
        metavar="SHARE",
        help=f"the share of right labels that the threshold guarantees (default: {_PRECISION})",
    )
    add(
        "--level",
        type=as_share,
        default=0.95,
        metavar="SHARE",
        help="confidence level of each bound (default: 0.95)",
    )
    add(
        "--n-looks",
        type=positive,
        default=1,
        metavar="N",
        help="number of times that you run this on a growing list, this time included (default: 1)",
    )
    add_seed(add)
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE",
        help="where to write the list (default: LABELS with -to-check.csv instead of its "
        "extension), or a table of the categories (default: only print it): .csv, .parquet or .npz",
    )
    parser.set_defaults(command=_run)


class _Proposals(NamedTuple):
    """The labels that can be checked, by row of the table."""

    labels: NDArray[Any]
    """Integers with -1, or strings with None, for rows without a label that a model proposed."""
    confidence: NDArray[Any] | None
    names: list[str]
    """What people call the label of each row, if a column says so; else the label."""
    columns: dict[str, NDArray[Any]]
    """Other columns that were asked for."""


def _run(args: argparse.Namespace) -> None:
    if (args.draw is None) == (args.checks is None):
        raise UsageError("give either CHECKED, a list with answers, or --draw N to write one")
    if args.draw is not None:
        _draw(args)
        return
    if args.out is not None:
        check_output(args.out)
        for source, name in ((args.file, "LABELS"), (args.checks, "CHECKED")):
            check_other(args.out, source, name)
    proposals = _read_proposals(args)
    quality = _quality(args, proposals)
    if args.out is not None:
        with replacing(args.out) as file:
            write_columns(args.out, file, _by_category(quality))
    lines = str(quality).splitlines()
    if quality.threshold is not None and not quality.threshold_n_labels:
        lines += _what_more(quality)
    print_result(args.out or Path("-"), *lines)


def _draw(args: argparse.Namespace) -> None:
    out: Path = args.out or default_out(args.file, "-to-check.csv")
    check_output(out)
    check_other(out, args.file, "LABELS")
    proposals = _read_proposals(args)
    try:
        drawn = samples_to_check(
            proposals.labels, proposals.confidence, args.draw, random_state=args.seed
        )
    except ValueError as error:
        raise FileError(f"{args.file}: {one_line(error)}".replace("n_samples", "--draw")) from error
    columns: dict[str, NDArray[Any]] = {_SAMPLE: drawn}
    columns |= {name: column[drawn] for name, column in proposals.columns.items()}
    columns["suggestion"] = proposals.labels[drawn]
    if proposals.confidence is not None:
        columns[_CONFIDENCE] = proposals.confidence[drawn]
    columns |= dict.fromkeys((RIGHT, _LABEL), np.full(len(drawn), "", dtype=object))
    with replacing(out) as file:
        if format_of(out) == ".csv":
            file.write(BOM_UTF8)  # tells spreadsheets that this is UTF-8
        write_columns(out, file, columns)
    print_result(
        out,
        f"{out}: {len(drawn):,} labels to check, in this order. Write y or n into the column "
        f"{RIGHT!r}, or the right label into the column {_LABEL!r}",
    )


def _read_proposals(args: argparse.Namespace) -> _Proposals:
    names = tables.Table(args.file, header=True, may_have_others=True).names
    labels = read_labels(args.file, _LABEL)
    origins = read_origins(args.file, _LABEL)
    if origins is not None:
        labels = labels.copy()
        labels[origins != PROPOSED] = None if labels.dtype.kind == "O" else -1
    if not has_label(labels).any():
        raise FileError(
            f"{args.file}: no label was proposed by a model, so that none can be checked"
        )
    text = args.text_column or (_TEXT if _TEXT in names else None)
    carried = [name for name in (args.id_column, text) if name is not None]
    taken = {_SAMPLE, "suggestion", _CONFIDENCE, RIGHT, _LABEL, _NAME}
    if {*carried} & taken:
        raise UsageError(
            f"columns of ids and texts must have other names than those of the list, got "
            f"{', '.join(sorted({*carried} & taken))}"
        )
    own = [name for name in (_CONFIDENCE, _NAME) if name in names]
    wanted = [*dict.fromkeys(carried), *own]
    columns = {}
    if wanted:
        records = read_records(args.file, wanted, id_column=args.id_column, header=True)
        columns = records.columns
    confidence = columns.pop(_CONFIDENCE, None)
    called = columns.pop(_NAME, labels)
    if confidence is not None:
        confidence = _numbers(confidence, f"{args.file}: column {_CONFIDENCE!r}")
    return _Proposals(labels, confidence, [_text(item) for item in called.tolist()], columns)


def _numbers(column: NDArray[Any], where: str) -> NDArray[np.float64]:
    try:
        numbers: NDArray[np.float64] = np.array(
            [0.0 if item is None or item == "" else item for item in column.tolist()], np.float64
        )
    except ValueError as error:
        raise FileError(f"{where} must hold numbers from 0 to 1 ({error})") from None
    return numbers


def _quality(args: argparse.Namespace, proposals: _Proposals) -> LabelQuality:
    wanted = args.wanted_precision
    if wanted is not None and proposals.confidence is None:
        raise FileError(f"{args.file}: --wanted-precision needs a column {_CONFIDENCE!r}")
    if proposals.confidence is not None:
        wanted = wanted or _PRECISION
    answers = _read_answers(args, proposals)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            quality = label_quality(
                proposals.labels,
                answers,
                proposals.confidence,
                level=args.level,
                wanted_precision=wanted,
                n_looks=args.n_looks,
            )
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {one_line(error)}") from error
    for warning in caught:
        print(f"labelquorum: {visible_line(str(warning.message))}", file=sys.stderr)
    return quality


def _read_answers(args: argparse.Namespace, proposals: _Proposals) -> NDArray[Any]:
    """Read whether each label is right: bools, None for those that were not checked."""
    source: Location = args.checks
    names = tables.Table(source, header=True, may_have_others=True).names
    key = _SAMPLE if args.id_column is None else args.id_column
    given = [name for name in (RIGHT, _LABEL) if name in names]
    if key not in names or not given:
        raise FileError(
            f"{source}: the columns must be {key!r}, and {RIGHT!r} or {_LABEL!r} with the answers, "
            f"got {shown_names(names)}"
        )
    origins = [ORIGIN] if ORIGIN in names and RIGHT not in names else []
    records = read_records(source, [key, *given, *origins], header=True)
    keys = [_text(item) for item in records.columns[key].tolist()]
    if args.id_column is None:
        row_of = {str(row): row for row in range(len(proposals.labels))}
    else:
        row_of = {_text(item): row for row, item in enumerate(proposals.columns[key].tolist())}
    own = [_text(item) for item in proposals.labels.tolist()]
    can_be_checked = has_label(proposals.labels)
    cells = [map(_text, records.columns[name].tolist()) for name in given]
    # The result of a model is no list of answers, but for what people wrote into it.
    said_by_model = records.columns[ORIGIN] == PROPOSED if origins else None
    answers = np.full(len(own), None, dtype=object)
    n_unknown = n_answers = 0
    for i, (name, *said) in enumerate(zip(keys, *cells, strict=True)):
        row = row_of.get(name, -1)
        where = f"{source}, row {i} (from 0)"
        right = _answer(
            dict(zip(given, said, strict=True)), {own[row], proposals.names[row]}, where
        )
        if right is None or (said_by_model is not None and said_by_model[i]):
            continue
        if row < 0:
            n_unknown += 1
        elif answers[row] is not None and answers[row] != right:
            raise FileError(f"{where}: {key} {name!r} was checked before, with another answer")
        elif can_be_checked[row]:
            n_answers += 1
            answers[row] = right
    if n_unknown:
        message = f"{n_unknown:,} answers are about a {key} that {args.file} does not have"
        if not n_answers:
            raise FileError(f"{source}: {message}")
        print(f"labelquorum: {visible_line(f'{source}: {message}')}", file=sys.stderr)
    if not n_answers:
        raise FileError(
            f"{source}: no label that a model proposed was checked: write y or n into the column "
            f"{RIGHT!r}, or the right label into the column {_LABEL!r}"
        )
    return answers


def _answer(said: dict[str, str], own: set[str], where: str) -> bool | None:
    """Whether a label, or the name of its category, is right; None if nothing is said."""
    try:
        right = is_right(said.get(RIGHT, ""), where)
    except ValueError as error:
        raise FileError(str(error)) from None
    label = said.get(_LABEL, "")
    if not label:
        return right
    if right is not None and right != (label in own):
        raise FileError(
            f"{where}: the columns {RIGHT!r} and {_LABEL!r} contradict each other: {label!r} for "
            f"{' or '.join(map(repr, sorted(own)))}"
        )
    return label in own


def _text(item: Any) -> str:
    return cell_text(item).strip()


def _by_category(quality: LabelQuality) -> dict[str, NDArray[Any]]:
    return {
        "category": quality.categories,
        "n_labels": quality.category_n_labels,
        "n_checked": quality.category_n_checked,
        "n_right": quality.category_n_right,
        "precision": quality.category_precision,
        "lower_bound": quality.category_lower_bound,
    }


def _what_more(quality: LabelQuality) -> list[str]:
    """Say how many more checks would guarantee the wanted precision, if it can be had."""
    wanted, n_wrong = quality.wanted_precision, quality.n_checked - quality.n_right
    assert wanted is not None  # there is a threshold
    needed = n_checks_needed(wanted, n_errors=n_wrong, level=quality.level, n_looks=quality.n_looks)
    n_more = needed - quality.n_checked
    if needed > quality.n_labels or quality.precision < wanted:
        return [
            f"Of the checked labels, {quality.precision:.1%} are right: want a lower precision "
            f"than {wanted:g} (--wanted-precision), or better labels."
        ]
    return [f"{n_more:,} more checks without a wrong label would guarantee it for all labels."]
