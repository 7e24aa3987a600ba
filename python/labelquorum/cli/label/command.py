"""The command ``labelquorum label``: files, features and sampler, and the session between them."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.origins import ACCEPTED, GIVEN, ORIGIN, ORIGINS, PROPOSED
from labelquorum.active_learning.pre_clustering import PreClusteringSampler
from labelquorum.active_learning.session import LabelingSession
from labelquorum.cli.files.features import read_features
from labelquorum.cli.files.results import check_output, write_columns
from labelquorum.cli.files.sources import Location
from labelquorum.cli.files.texts import Texts, read_texts
from labelquorum.cli.label.answers_file import AnswersFile
from labelquorum.cli.label.terminal import Terminal, TerminalClosedError, ask_all
from labelquorum.cli.options import (
    TABLES,
    UsageError,
    add_file,
    add_header,
    add_n_jobs,
    add_seed,
    as_file,
    check_other,
    default_out,
    positive,
)
from labelquorum.clustering.base_partitions import base_partitions

_FEWEST_TEXTS = 2
_FEWEST_CLUSTERED = 10
_N_PARTITIONS = 16

LABEL = f"""\
Label texts in the terminal, the most informative ones first.

You see a text, press the number of its category or name a new one, and see the next text. Each
answer improves the choice of the next text and the proposed categories. Once you have seen a few
texts of a group whose members are much alike, one answer can label the rest of it.

FILE holds the texts.
  .txt           one per line
{TABLES}
The first line of .csv and .tsv files must hold the names of the columns. Empty texts are never
shown. Bytes that are not UTF-8 appear as U+FFFD.

Each answer is on disk before the next question appears, in a file of its own. Stop at any time, in
any way: the same command continues from there. At the end a table is written with the columns row
(from 0), label, origin (given: one by one; accepted: for the rest of a group; proposed) and
confidence (0 to 1).
"""


def add_label(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add_file(add)
    add(
        "--text-column",
        metavar="NAME",
        help='the column of the texts (default: "text", or the only column)',
    )
    add(
        "--features",
        type=as_file,
        metavar="FILE",
        help="embeddings of the texts, one row each: .npy, .npz or a table (default: the words of "
        "the texts)",
    )
    add_header(add)
    add(
        "--answers",
        type=Path,
        metavar="FILE.jsonl",
        help="where to keep the answers (default: FILE with -answers.jsonl instead of its "
        "extension)",
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
        "--min-samples-per-category",
        type=positive,
        default=1,
        metavar="N",
        help="labels that a category needs before it is proposed (default: 1)",
    )
    add(
        "--audit-share",
        type=_share,
        default=0.0,
        metavar="X",
        help="share of the questions drawn at random, from which the precision of the proposed "
        "labels is estimated (default: 0)",
    )
    add_seed(add)
    add_n_jobs(add)
    parser.set_defaults(command=_run)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and less than 1, got {text!r}")
    return share


def _run(args: argparse.Namespace) -> None:
    source: Location = args.file
    out: Path = args.out or default_out(source, "-labels.csv")
    answers_path: Path = args.answers or default_out(source, "-answers.jsonl")
    follows_links = args.answers is not None  # a name that nobody chose may lead anywhere
    check_output(out)
    check_other(out, source, "FILE")
    check_other(out, answers_path, "--answers")
    if args.features is not None:
        check_other(out, args.features, "--features")

    texts = read_texts(source, args.text_column)
    rows = [row for row, text in enumerate(texts.items) if text and not text.isspace()]
    if len(rows) < _FEWEST_TEXTS:
        raise FileError(
            f"{source}: at least {_FEWEST_TEXTS} texts must not be empty, got {len(rows)}"
        )
    features = _read_features(args, len(texts.items))
    about = _about(args, texts.items, features)
    if features is None:
        X: Any = _tf_idf(source, [texts.items[row] for row in rows])
    else:
        X = features[rows]
    if sys.stdin is None or sys.stdout is None:
        raise FileError("standard input and output must be open")
    with AnswersFile(answers_path, about, follows_links) as answers, suppress(TerminalClosedError):
        terminal = Terminal(sys.stdin.fileno(), sys.stdout)
        terminal.show(_opening(source, answers, texts, len(rows)))
        session = _session(args, X, texts.items, rows, answers)
        with _closed_by_signals():
            try:
                ask_all(session, texts.items, terminal)
            finally:
                summary = _write_table(session, len(texts.items), out)
                terminal.show(
                    f"\n{summary}\n{answers_path}: your answers; the same command continues"
                )


def _read_features(args: argparse.Namespace, n_texts: int) -> Any:
    path: Location | None = args.features
    if path is None:
        if args.header is not None:
            raise UsageError("--header and --no-header are about --features, which is not given")
        return None
    X = read_features(path, header=args.header).X
    if X.shape[0] != n_texts:
        raise FileError(
            f"{path}: {X.shape[0]:,} rows, but {args.file} has {n_texts:,} texts: they must be "
            "equal"
        )
    return X


def _about(args: argparse.Namespace, texts: list[str], features: Any) -> dict[str, Any]:
    """What the answers depend on."""
    rows: Iterable[Any] | None = features
    if issparse(features):
        rows = (features.indptr, features.indices, features.data)
    if rows is not None:
        rows = (np.ascontiguousarray(row).data for row in rows)
    return {
        "number of texts": len(texts),
        "digest of the texts": _digest(text.encode() for text in texts),
        "digest of the features": None if rows is None else _digest(rows),
        "min_samples_per_category": args.min_samples_per_category,
        "audit_share": args.audit_share,
        "seed": args.seed,
    }


def _session(
    args: argparse.Namespace, X: Any, texts: list[str], rows: list[int], answers: AnswersFile
) -> LabelingSession:
    """The session at the point where the answers end."""
    sampler = PreClusteringSampler(
        metric="cosine",  # of words and of embeddings, the direction is what matters
        min_samples_per_category=args.min_samples_per_category,
        audit_share=args.audit_share,
        random_state=args.seed,
        n_jobs=args.n_jobs,
    ).fit(X)
    partitions = _tight_partitions(X, args.seed, args.n_jobs)[_first_with_text(texts, rows)]
    try:
        return LabelingSession(
            sampler, partitions, rows, answers.append, answers.events, seed=args.seed
        )
    except ValueError as error:
        raise FileError(f"{answers.path}: {error}") from error


def _tf_idf(source: Location, texts: list[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from labelquorum.text.words import as_words

    vectorizer = TfidfVectorizer(tokenizer=as_words, token_pattern=None, sublinear_tf=True)
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:  # an empty vocabulary
        raise FileError(f"{source}: no text has a word ({error})") from error


def _tight_partitions(X: Any, seed: int, n_jobs: int | None) -> NDArray[np.int32]:
    """Partitions with so many clusters that only texts that are much alike share nearly all.

    Measured on 500 and 2,000 titles (StackOverflow) and queries (20 intents of CLINC150): 78 to
    99 % of the texts in their mini-clusters have the category of the majority; with k-means
    clusters of the same size it is 48 to 97 %.
    """
    n_texts = X.shape[0]
    if n_texts < _FEWEST_CLUSTERED:
        return np.arange(n_texts, dtype=np.int32)[:, None]
    fewest = max(2, round(n_texts**0.5 / 2))
    return base_partitions(
        X,
        (fewest, 4 * fewest),
        n_partitions=_N_PARTITIONS,
        random_state=seed,
        n_jobs=n_jobs,
        verbose=sys.stderr.isatty(),
    )


def _first_with_text(texts: list[str], rows: list[int]) -> list[int]:
    """For each row, the place among the rows of the first one with the same text."""
    first: dict[str, int] = {}
    return [first.setdefault(texts[row], place) for place, row in enumerate(rows)]


def _digest(parts: Iterable[Any]) -> str:
    """A digest of byte strings and of where each of them ends."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()[:32]


def _opening(source: Location, answers: AnswersFile, texts: Texts, n_rows: int) -> str:
    """What is shown before the first question."""
    lines = [f"{source}: {len(texts.items):,} texts"]
    n_empty = len(texts.items) - n_rows
    if n_empty:
        lines[0] += f", {n_empty:,} of them empty and not asked about"
    if texts.n_damaged:
        lines.append(f"{texts.n_damaged:,} texts have bytes that are not UTF-8, shown as \ufffd")
    if answers.message:
        lines.append(answers.message)
    if answers.events:
        lines.append(f"{answers.path}: continues after {len(answers.events):,} answers")
    return "\n".join(lines)


def _write_table(session: LabelingSession, n_texts: int, out: Path) -> str:
    """Write the table of labels, and return a line about it."""
    table = session.labels(n_texts)
    columns = {
        "row": np.arange(n_texts),
        "label": table.labels,
        ORIGIN: table.origins,
        "confidence": table.confidence,
    }
    with replacing(out) as file:
        write_columns(out, file, columns)
    counts = {name: int(np.sum(table.origins == name)) for name in ORIGINS}
    return (
        f"{out}: {counts[GIVEN]:,} labels by you, {counts[ACCEPTED]:,} by groups, "
        f"{counts[PROPOSED]:,} proposed"
    )


@contextmanager
def _closed_by_signals() -> Iterator[None]:
    """Treat a hang-up or a request to terminate as the end of the answers."""

    def close(number: int, frame: FrameType | None) -> None:
        for name in numbers:
            signal.signal(name, signal.SIG_IGN)  # a shell may send it a second time
        raise TerminalClosedError

    names: Sequence[str] = ("SIGHUP", "SIGTERM")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # A signal that is ignored (nohup) stays ignored.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    numbers = list(before)
    for number in numbers:
        signal.signal(number, close)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
