"""The command ``labelquorum report``: features in, an HTML page about their categories out."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from labelquorum._shared.files import FileError, check_writable, replacing
from labelquorum._shared.origins import said_by_people
from labelquorum.cli.files.sources import extension_of
from labelquorum.cli.files.texts import read_texts
from labelquorum.cli.fit import (
    add_samples,
    check_samples,
    fitted,
    print_summary,
)
from labelquorum.cli.options import (
    SAMPLES,
    UsageError,
    add_run,
    as_file,
    check_length,
    check_other,
    check_page,
    default_out,
    one_line,
    positive,
)
from labelquorum.cli.samples import TEXTS, checked_labels, read_samples
from labelquorum.clustering.clusterer import ConsensusClusterer

REPORT = f"""\
Find categories as "labelquorum fit" does, with the same options, and show them in a report: one
HTML file that opens in any browser, without a network. Its first screen says what there is, what is
new, how far the labels can be trusted and what to do next.

{SAMPLES}
{TEXTS}
The report shows texts (--text-column, or --texts for those of another file) or images
(--image-shape) of each category if they are given; otherwise it shows the features that set the
category apart. With true labels of some or all samples (--truth), it also says how many labels are
right; nothing is learned from them. It needs Jinja2: pip install "labelquorum[report]".
"""


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_samples(parser)
    add = parser.add_argument
    examples = parser.add_mutually_exclusive_group()
    examples.add_argument(
        "--texts",
        type=as_file,
        metavar="FILE",
        help="texts of the samples from another file: .txt or a table, of which --text-column "
        'names the column (default: "text", or the only column)',
    )
    examples.add_argument(
        "--image-shape",
        type=_image_shape,
        metavar="HxW",
        help="the features are gray values of images of this height and width (8x8), row by row",
    )
    add(
        "--truth",
        type=as_file,
        metavar="FILE",
        help="true labels to compare with, in the form of --labels; samples without one are "
        "ignored",
    )
    add(
        "--truth-column",
        metavar="NAME",
        help='the column of the true labels (default: "label", or the only column)',
    )
    add(
        "--out",
        "-o",
        type=Path,
        metavar="FILE.html",
        help="where to write the report (default: FILE with -report.html instead of its extension)",
    )
    add(
        "--map-out",
        type=Path,
        metavar="FILE.parquet",
        help="also write the points of the map there: x, y, label, name, confidence and text, for "
        "programs that draw maps",
    )
    add_run(add)
    parser.set_defaults(command=_run)


def _image_shape(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    try:
        return positive(height), positive(width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be a height and a width such as 8x8, got {text!r}"
        ) from None


def _run(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    out: Path = args.out or default_out(args.file, "-report.html")
    _check_usage(args, out)
    from labelquorum.report.page import report_page

    samples = read_samples(args, out)
    X = samples.X
    # Before the long work.
    texts = samples.texts if args.texts is None else _read_texts(args, X.shape[0])
    truth = None
    if args.truth is not None:
        truth, origins = checked_labels(args.truth, args.truth_column, "--truth-column", args, X)
        if origins is not None:  # What a model says is no truth.
            truth = said_by_people(truth, origins)
    images = _as_images(args, X)
    model = fitted(ConsensusClusterer, args, samples)
    with ExitStack() as files:
        file = files.enter_context(replacing(out))
        points = None if args.map_out is None else files.enter_context(replacing(args.map_out))
        try:
            page = report_page(model, X=X, texts=texts, images=images, y=truth, points=points)
        except (TypeError, ValueError) as error:
            raise FileError(f"{args.file}: {one_line(error)}") from error
        file.write(page.encode(errors="replace"))
    if not args.quiet:
        print_summary(model, args.file, X, out, started)


def _check_usage(args: argparse.Namespace, out: Path) -> None:
    check_page(out)
    check_samples(args, out)
    if args.map_out is not None:
        check_writable(args.map_out)
        for source, name in ((args.file, "FILE"), (args.texts, "--texts"), (args.truth, "--truth")):
            if source is not None:
                check_other(args.map_out, source, name, "--map-out")
        if args.map_out.absolute() == out.absolute():
            raise UsageError(f"--map-out must be another file than --out, got {args.map_out}")
    if args.texts is not None:
        check_other(out, args.texts, "--texts")
    elif args.text_column is not None and extension_of(args.file) in (".npy", ".npz"):
        raise UsageError("--text-column needs --texts or a table, since FILE has no columns")
    if args.truth is not None:
        check_other(out, args.truth, "--truth")
    elif args.truth_column is not None:
        raise UsageError("--truth-column needs --truth")


def _read_texts(args: argparse.Namespace, n_samples: int) -> list[str]:
    texts = read_texts(args.texts, args.text_column).items
    n_texts, ends_empty = len(texts), not texts[-1]
    check_length(args.texts, n_texts, args.file, n_samples, "texts", ends_empty=ends_empty)
    return texts


def _as_images(args: argparse.Namespace, X: Any) -> NDArray[np.generic] | None:
    if args.image_shape is None:
        return None
    if issparse(X):
        raise UsageError(f"--image-shape needs a dense array of pixels, but {args.file} is sparse")
    height, width = args.image_shape
    if height * width != X.shape[1]:
        raise UsageError(
            f"--image-shape {height}x{width} needs {height * width} features, but {args.file} has "
            f"{X.shape[1]}"
        )
    images: NDArray[np.generic] = X.reshape(-1, height, width)
    return images
