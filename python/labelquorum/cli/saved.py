"""What commands do with a saved model: open it, and read new samples as its fit read them."""

from __future__ import annotations

import argparse
import inspect
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.features import ARRAYS
from labelquorum.cli.files.numeric import NotNumbersError
from labelquorum.cli.files.readers import shown_names
from labelquorum.cli.files.sources import extension_of
from labelquorum.cli.options import add_columns, add_file, one_line
from labelquorum.cli.samples import (
    Rows,
    add_carried,
    add_texts,
    check_texts,
    errors_of_embedding,
    folder_of_vectors,
    read_rows,
)
from labelquorum.loading import load

if TYPE_CHECKING:
    from labelquorum.text.source import TextSource

NEW_SAMPLES = """\
If the fit embedded a column of texts, so does this command: the model knows how, and the names of
the columns of texts and ids. What a file says about a language model is used with care: its name is
looked up among the models that were fetched before. Otherwise, and for a folder, add --embed.
"""


def add_new_samples(add: Any) -> None:
    """Add the arguments that say where a model and new samples are."""
    add("model", metavar="MODEL", type=Path, help="the saved model")
    add_file(add)
    add_columns(add)
    add(
        "--label-column",
        metavar="NAME",
        help="a column of FILE that holds labels, so that it is no feature",
    )
    add_texts(add)
    add_carried(add)
    add(
        "--reject-level",
        type=as_share,
        metavar="SHARE",
        help="the largest share of wrong answers, above 0 and below 1: samples that are too "
        "uncertain get no label (default: all get one)",
    )


def as_share(text: str) -> float:
    """A number above 0 and below 1."""
    try:
        level = float(text)
    except ValueError:
        level = 0
    if not 0 < level < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and below 1, got {text!r}")
    return level


def opened_model(path: Path) -> Any:
    """Open a saved model."""
    try:
        return load(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, ImportError) as error:
        raise FileError(one_line(error)) from error


def labeling_model(args: argparse.Namespace, method: str) -> Any:
    """Open the model, which must have this method for samples by their features."""
    model = opened_model(args.model)
    model = getattr(model, "estimator_", model)  # that of a clusterer of Dask
    function = getattr(model, method, None)
    takes_samples = function is not None and "X" in inspect.signature(function).parameters
    if not takes_samples or not hasattr(model, "n_features_in_"):
        raise FileError(
            f"{args.model}: the model must label samples by features, got a {type(model).__name__}"
        )
    settings = {"n_jobs": args.n_jobs, "verbose": not args.quiet}
    return model.set_params(**{k: v for k, v in settings.items() if k in model.get_params()})


class NewSamples:
    """New samples, of which those that say something are given to the model."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        n = rows.X.shape[0]
        self.has_content = np.ones(n, dtype=bool) if rows.is_void is None else ~rows.is_void

    @property
    def features(self) -> Any:
        """The features of those that say something."""
        X = self.rows.X
        return X if self.has_content.all() else X[self.has_content]

    @property
    def n_void(self) -> int:
        """The number of texts that are empty, or have no known word."""
        return int(np.count_nonzero(~self.has_content))

    def spread(self, values: NDArray[Any], none: Any) -> NDArray[Any]:
        """Return the values of all samples; `none` for those that say nothing."""
        if self.has_content.all():
            return values
        of_all = np.full(len(self.has_content), none, dtype=values.dtype)
        of_all[self.has_content] = values
        return of_all

    def labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of all samples; -1, or None among strings, for no label."""
        if self.has_content.all():
            return labels
        is_named = labels.dtype.kind in "OUb"
        return self.spread(labels.astype(object) if is_named else labels, None if is_named else -1)


def read_new_samples(args: argparse.Namespace, model: Any, out: Path) -> NewSamples:
    """Read new samples as the fit read its own; what the arguments say comes first."""
    source: TextSource | None = getattr(model, "source_", None)
    if source is not None and extension_of(args.file) not in ARRAYS:
        _name_columns(args, source)
    check_texts(args)
    beside = [] if args.label_column is None else [args.label_column]
    try:
        rows = read_rows(args, lambda texts: _embedded(args, source, texts, out), beside=beside)
    except NotNumbersError as error:
        raise FileError(
            f"{error}: {args.model} is a model of {model.n_features_in_:,} features, which "
            "--columns or --features must name"
        ) from error
    samples = NewSamples(rows)
    if not samples.has_content.any():
        raise FileError(
            f"{args.file}: column {args.text_column!r} has no word that the model knows from its "
            "own texts"
        )
    return samples


def _name_columns(args: argparse.Namespace, source: TextSource) -> None:
    """Take the columns of texts and ids of the fit, where none are named."""
    names = tables.Table(args.file, header=args.header, may_have_others=True).names
    for option, what in (("text_column", "texts"), ("id_column", "ids")):
        name: str | None = getattr(source, option)
        if name is None or getattr(args, option) is not None:
            continue
        if name not in names:
            raise FileError(
                f"{args.file}: no column {name!r}, which held the {what} of the fit; the columns "
                f"are {shown_names(names)}: name it with --{option.replace('_', '-')}"
            )
        setattr(args, option, name)


def _embedded(
    args: argparse.Namespace, source: TextSource | None, texts: list[str], out: Path
) -> Any:
    """Embed texts as those of the fit were."""
    from labelquorum.text.embedding import TFIDF, embed

    folder = None if args.embed in (None, TFIDF) else folder_of_vectors(args.file, out)
    options: Any = {"directory": folder, "verbose": not args.quiet}
    if source is None and args.embed in (None, TFIDF):
        raise FileError(
            f"{args.model}: the model does not know how texts become vectors: say where these are "
            "with --columns or --features, or which model made them with --embed"
        )
    with errors_of_embedding(f"{args.model} (--embed)" if args.embed is None else "--embed"):
        if source is None:
            return embed(texts, args.embed, **options)
        return source.embed(texts, args.embed, **options)


def said_of(
    args: argparse.Namespace, samples: NewSamples, model: Any, out: Path, started: float
) -> list[str]:
    """Say what was read and written."""
    lines = [
        f"{args.file}: {len(samples.has_content):,} samples, {model.n_features_in_:,} features"
    ]
    if samples.n_void:
        lines.append(f"{samples.n_void:,} texts are empty or have no known word: they get no label")
    return [*lines, f"{out}: written after {time.perf_counter() - started:.1f} s"]
