"""TODO."""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import labelquorum as lq
from labelquorum._shared.files import FileError, replacing
from labelquorum.cli.files.features import read_labels
from labelquorum.cli.files.texts import read_texts
from labelquorum.cli.fit import _read, add_samples, check_samples, fitted, print_found
from labelquorum.cli.options import (
    SAMPLES,
    UsageError,
    _image_shape,
    add_common,
    check_length,
    check_other,
)

REPORT = f"""\
Find categories as "labelquorum fit" does, with the same options, and write a report to look at:
one HTML file that opens in any browser, without a network.

{SAMPLES}
The report shows texts (--texts) or images (--image-shape) of each category, where there are some;
else, which features set it apart. With true labels of some or all samples (--truth), it says how
many of the labels are right; nothing is learned from these. It needs Jinja2:
pip install "labelquorum[report]".
"""


def add_report(parser: argparse.ArgumentParser) -> None:
    add_samples(parser)
    add = parser.add_argument
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--texts",
        type=Path,
        metavar="FILE",
        help="texts of the samples: .txt, .csv, .jsonl, .parquet",
    )
    shown.add_argument(
        "--image-shape",
        type=_image_shape,
        metavar="HxW",
        help="the features are grey values of images of this height and width (8x8), row by row",
    )
    add(
        "--text-column",
        metavar="NAME",
        help='the column or field of the texts (default: "text", or the only one)',
    )
    add(
        "--truth",
        type=Path,
        metavar="FILE",
        help="true labels to measure with, as for --labels; samples without one do not count",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE.html",
        help="where to write the report (default: FILE with -report.html instead of its extension)",
    )
    add_common(add)
    parser.set_defaults(command=_report)


def _report(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    source: Path = args.file
    out: Path = args.out or source.with_name(f"{source.stem}-report.html")
    check_samples(args, out)
    if args.texts is not None:
        check_other(out, args.texts, "--texts")
    elif args.text_column is not None:
        raise UsageError("--text-column is given without --texts; wanted both")
    if args.truth is not None:
        check_other(out, args.truth, "--truth")
    if find_spec("jinja2") is None:
        raise FileError('a report needs Jinja2: pip install "labelquorum[report]"')
    from labelquorum.report.page import report_page

    with replacing(out) as file:
        X, known = _read(args)
        # What does not fit is told before the long work.
        texts = None if args.texts is None else read_texts(args.texts, args.text_column).items
        truth = None if args.truth is None else read_labels(args.truth)
        if texts is not None:
            check_length(args.texts, len(texts), source, len(X), "texts")
        if truth is not None:
            check_length(args.truth, len(truth), source, len(X), "labels")
        images = None
        if args.image_shape is not None:
            height, width = args.image_shape
            if height * width != X.shape[1]:
                raise UsageError(
                    f"--image-shape is {height}x{width}, {source} holds {X.shape[1]} features; "
                    f"wanted {height * width}"
                )
            images = X.reshape(-1, height, width)
        model = fitted(lq.ConsensusClusterer, args, X, known)
        try:
            page = report_page(model, X=X, texts=texts, images=images, y=truth)
        except (TypeError, ValueError) as error:
            raise FileError(f"{source}: {' '.join(str(error).split())}") from error
        file.write(page.encode())
    if not args.quiet:
        print_found(model, source, X, out, started)
