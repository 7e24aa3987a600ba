"""The command ``labelquorum predict``: a saved model and features in, a table of labels out."""

from __future__ import annotations

import argparse
import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.progress import progress
from labelquorum.cli.files.features import read_features
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.options import (
    TABLES,
    add_columns,
    add_file,
    add_run,
    check_other,
    default_out,
    one_line,
    print_result,
)
from labelquorum.loading import load

PREDICT = f"""\
Label new samples by a model that "labelquorum fit --save" saved, or "save" in Python.

FILE holds the features, one row per sample, in the same columns as for "labelquorum fit".
  .npy           a 2-D array, memory-mapped
  .npz           a 2-D array named X, or the only array, or a matrix of scipy.sparse.save_npz
{TABLES}

The result is a table with the columns row (from 0), label (empty or -1 where the model gives none)
and confidence (0 to 1, if the model tells it). It replaces an older file only when it is complete.

Models are opened without running anything in them, so those of strangers do no harm.
"""


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="the saved model")
    add_file(add)
    add_columns(add)
    add(
        "--label-column",
        metavar="NAME",
        help="a column of FILE that holds labels, so that it is no feature",
    )
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
    model = _loaded(args)
    with progress(not args.quiet) as show:
        X, _ = read_features(
            args.file,
            columns=args.columns,
            label_column=args.label_column,
            header=args.header,
            show=show,
        )
    try:
        columns = _predicted(model, X)
    except (TypeError, ValueError) as error:
        raise FileError(f"{args.file}: {one_line(error)}") from error
    with replacing(out) as file:
        write_columns(out, file, columns)
    if not args.quiet:
        print_result(
            out,
            f"{args.file}: {X.shape[0]:,} samples, {X.shape[1]:,} features",
            f"{out}: written after {time.perf_counter() - started:.1f} s",
        )


def opened_model(path: Path) -> Any:
    """Open a saved model."""
    try:
        return load(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, ImportError) as error:
        raise FileError(one_line(error)) from error


def _loaded(args: argparse.Namespace) -> Any:
    """Open the model, which must label samples by their features."""
    model = opened_model(args.model)
    model = getattr(model, "estimator_", model)  # that of a clusterer of Dask
    labels_samples = (
        hasattr(model, "predict") and "X" in inspect.signature(model.predict).parameters
    )
    if not labels_samples or not hasattr(model, "n_features_in_"):
        raise FileError(
            f"{args.model}: the model must label samples by features, got a {type(model).__name__}"
        )
    settings = {"n_jobs": args.n_jobs, "verbose": not args.quiet}
    return model.set_params(**{k: v for k, v in settings.items() if k in model.get_params()})


def _predicted(model: Any, X: Any) -> dict[str, NDArray[Any]]:
    columns = {"row": np.arange(X.shape[0]), "label": model.predict(X)}
    if hasattr(model, "predict_proba"):
        columns["confidence"] = model.predict_proba(X).max(axis=1)
    return columns
