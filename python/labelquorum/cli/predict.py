"""The command ``labelquorum predict``: a saved model and samples in, a table of labels out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.labels import has_label
from labelquorum._shared.origins import ORIGIN, PROPOSED
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.options import (
    TABLES,
    UsageError,
    add_run,
    check_other,
    default_out,
    one_line,
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

PREDICT = f"""\
Label new samples by a model that "labelquorum fit --save" saved, or "save" in Python.

FILE holds the samples, one per row, in the same columns as for "labelquorum fit": texts, or
features, which can also be
  .npy           a 2-D array, memory-mapped
  .npz           a 2-D array named X, or the only array, or a matrix of scipy.sparse.save_npz
{TABLES}

{NEW_SAMPLES}
The result is a table with the columns row (from 0), label (empty or -1 where the model gives none),
origin (proposed, where there is a label) and confidence (0 to 1, if the model tells it). The id,
the text and the columns of --keep stand before them. It replaces an older file only when it is
complete. "labelquorum update" also says what is new.

Models are opened without running anything in them, so those of strangers do no harm.
"""
_RESULTS = ("row", "label", ORIGIN, "confidence")


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_new_samples(add)
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz (default: FILE with -labels.csv "
        "instead of its extension)",
    )
    add_run(add)
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    out: Path = args.out or default_out(args.file, "-labels.csv")
    check_output(out)
    check_other(out, args.file, "FILE")
    check_other(out, args.model, "MODEL")
    model = labeling_model(args, "predict")
    if args.reject_level is not None and not hasattr(model, "novelty"):
        raise UsageError(f"--reject-level needs a ConsensusClusterer, got a {type(model).__name__}")
    samples = read_new_samples(args, model, out)
    check_carried(args, _RESULTS)
    try:
        columns = _predicted(model, samples, args.reject_level)
    except (TypeError, ValueError) as error:
        raise FileError(f"{args.file}: {one_line(error)}") from error
    with replacing(out) as file:
        write_columns(out, file, {**samples.rows.carried, **columns})
    if not args.quiet:
        print_result(out, *said_of(args, samples, model, out, started))


def _predicted(model: Any, samples: NewSamples, level: float | None) -> dict[str, NDArray[Any]]:
    rejecting = {} if level is None else {"reject_level": level}
    labels = samples.labels(model.predict(samples.features, **rejecting))
    columns = {
        "row": np.arange(len(labels)),
        "label": labels,
        ORIGIN: np.where(has_label(labels), PROPOSED, ""),
    }
    if hasattr(model, "predict_proba"):
        confidence = model.predict_proba(samples.features).max(axis=1)
        columns["confidence"] = samples.spread(confidence, 0)
    return columns
