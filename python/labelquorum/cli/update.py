"""The command ``labelquorum update``: a model and next week's samples in, labels and news out."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, check_writable, replacing
from labelquorum._shared.origins import ORIGIN
from labelquorum._shared.terminal import visible_line
from labelquorum._shared.times import as_times
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.options import (
    TABLES,
    UsageError,
    add_run,
    check_other,
    check_page,
    default_out,
    one_line,
    positive,
    print_result,
)
from labelquorum.cli.samples import check_carried
from labelquorum.cli.saved import (
    NEW_SAMPLES,
    NewSamples,
    add_new_samples,
    labeling_model,
    read_new_samples,
    said_of,
)
from labelquorum.clustering.update import MIN_NEW_SIZE, Update

_RESULTS = ("label", "name", ORIGIN, "confidence", "runner_up", "novelty")
_SHOWN_NEW, _SHOWN_KEYWORDS = 20, 6

UPDATE = f"""\
Label next week's samples by a model that "labelquorum fit --save" saved, and say what is new among
them, which categories grew and shrank, and of what the model is unsure. The model stays as it is.

FILE holds the samples, one per row, in the same columns as for "labelquorum fit": texts, or
features, which can also be .npy or .npz.
{TABLES}

{NEW_SAMPLES}
The result is a table with the columns label (empty or -1 where there is none), name (what people
call the category), origin (proposed), confidence (0 to 1), runner_up (the second choice; what the
label might be where there is none) and novelty (0 to 1: the share of the training samples that are
more usual). The id, the text, the time and the columns of --keep stand before them.

New categories get names such as "new 71", which no category has. To find them for good, fit again
on all tables, with their last labels. Names stay:
  labelquorum fit 'week*.csv' --labels 'week*-labels.csv' --text-column text --id-column id
"""


def add_update(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_new_samples(add)
    add(
        "--min-new-size",
        type=positive,
        default=MIN_NEW_SIZE,
        metavar="N",
        help=f"the smallest number of samples of a new category (default: {MIN_NEW_SIZE})",
    )
    add(
        "--time-column",
        metavar="NAME",
        help="the column of FILE that holds dates (2026-01-31) or times, to show categories over "
        "time in the page",
    )
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz (default: FILE with -labels.csv "
        "instead of its extension)",
    )
    add(
        "--report",
        type=Path,
        metavar="FILE.html",
        help='write a page about it all; needs Jinja2: pip install "labelquorum[report]"',
    )
    add_run(add)
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    out: Path = args.out or default_out(args.file, "-labels.csv")
    _check_usage(args, out)
    model = labeling_model(args, "update")
    samples = read_new_samples(args, model, out)
    check_carried(args, _RESULTS)
    times = _times(args, samples)
    update = _updated(args, model, samples)
    has_content = samples.has_content
    texts = samples.rows.texts
    if texts is not None:
        texts = [text for text, is_shown in zip(texts, has_content, strict=True) if is_shown]
    with replacing(out) as file:
        write_columns(out, file, {**samples.rows.carried, **_columns(update, samples)})
    if args.report is not None:
        ids = None if args.id_column is None else samples.rows.carried[args.id_column]
        ids = np.flatnonzero(has_content) if ids is None else ids[has_content]
        moments = None if times is None else times[has_content]
        update.report(args.report, texts=texts, times=moments, ids=ids.tolist())
    if not args.quiet:
        lines = [*str(update).splitlines(), *_new_lines(update, texts)]
        lines += _unfamiliar_line(model, texts)
        lines += said_of(args, samples, model, out, started)
        if args.report is not None:
            lines.append(f"{args.report}: the page about it")
        print_result(out, *lines)


def _check_usage(args: argparse.Namespace, out: Path) -> None:
    check_output(out)
    check_writable(out)
    if args.report is not None:
        check_page(args.report)
    for option, path in (("--out", out), ("--report", args.report)):
        if path is not None:
            check_other(path, args.file, "FILE", option)
            check_other(path, args.model, "MODEL", option)
    if args.report is not None and args.report.absolute() == out.absolute():
        raise UsageError(f"--report must be another file than --out, got {out}")


def _times(args: argparse.Namespace, samples: NewSamples) -> NDArray[np.datetime64] | None:
    if args.time_column is None:
        return None
    try:
        return as_times(
            samples.rows.carried[args.time_column], f"{args.file}: column {args.time_column!r}"
        )
    except ValueError as error:
        raise FileError(f"{one_line(error)} (from 0)") from error


def _updated(args: argparse.Namespace, model: Any, samples: NewSamples) -> Update:
    """Ask the model, and print each warning as one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            update: Update = model.update(
                samples.features, reject_level=args.reject_level, min_new_size=args.min_new_size
            )
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {one_line(error)}") from error
    if not args.quiet:
        for warning in caught:
            print(f"labelquorum: {visible_line(str(warning.message))}", file=sys.stderr)
    return update


def _columns(update: Update, samples: NewSamples) -> dict[str, NDArray[Any]]:
    """The columns that the command finds, by `_RESULTS`."""
    name_of = dict(zip(update.categories.tolist(), update.names.tolist(), strict=True))
    names = np.array([name_of.get(label) for label in update.labels.tolist()], dtype=object)
    found = (
        samples.labels(update.labels),
        samples.spread(names, None),
        samples.spread(update.origins, ""),
        samples.spread(update.confidence, 0),
        samples.labels(update.runners_up),
        samples.spread(update.novelty.scores, 1),
    )
    return dict(zip(_RESULTS, found, strict=True))


def _unfamiliar_line(model: Any, texts: list[str] | None) -> list[str]:
    """A line about texts of which the model knows few words."""
    source = model.source_
    is_unfamiliar = None if source is None or texts is None else source.unfamiliar(texts)
    if is_unfamiliar is None or not is_unfamiliar.any():
        return []
    return [
        f"{np.count_nonzero(is_unfamiliar):,} texts have mostly words that the model does not "
        "know, which learned those of its own texts: a language model (fit --embed) knows more"
    ]


def _new_lines(update: Update, texts: list[str] | None) -> list[str]:
    """A line of keywords for each new category."""
    if texts is None or not update.n_new_categories:
        return []
    from labelquorum.text.terms import keywords

    words = keywords(texts, update.labels, _SHOWN_KEYWORDS)
    return [
        f"{name}: {', '.join(word for word, _ in words[name]) or 'no keywords'}"
        for name in update.new_categories.tolist()[:_SHOWN_NEW]
    ]
