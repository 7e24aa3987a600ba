"""The command ``labelquorum label``: files, features, sampler, and the questions between them."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, replacing
from labelquorum.active_learning.session import LabelingSession
from labelquorum.cli.files.features import check_output, read_features, write_columns
from labelquorum.cli.files.texts import Texts, read_texts
from labelquorum.cli.label.answers_file import AnswersFile
from labelquorum.cli.label.terminal import Terminal, TerminalClosedError, ask_all
from labelquorum.cli.options import _seed, _share, add_n_jobs, check_other, positive
from labelquorum.clustering.base_partitions import base_partitions

_FEWEST_TEXTS = 2
_FEWEST_CLUSTERED = 10
_N_PARTITIONS = 16


def label_texts(
    source: Path,
    answers_file: Path,
    out: Path,
    *,
    text_column: str | None,
    features: Path | None,
    min_samples_per_category: int,
    audit_share: float,
    seed: int,
    n_jobs: int | None,
) -> None:
    """Ask a person for labels of the texts in a file, and write the table of labels."""
    from labelquorum.active_learning.pre_clustering import PreClusteringSampler

    texts = read_texts(source, text_column)
    items = texts.items
    rows = [row for row, text in enumerate(items) if text and not text.isspace()]
    if len(rows) < _FEWEST_TEXTS:
        raise FileError(
            f"{source}: holds {len(rows)} texts that are not empty; wanted at least {_FEWEST_TEXTS}"
        )
    X = None if features is None else _read_embeddings(features, source, len(items))
    about = {
        "number of texts": len(items),
        "digest of the texts": _digest(text.encode() for text in items),
        "digest of the features": None
        if X is None
        else _digest(np.ascontiguousarray(row).data for row in X),
        "min_samples_per_category": min_samples_per_category,
        "audit_share": audit_share,
        "seed": seed,
    }
    X = _tf_idf(source, [items[row] for row in rows]) if X is None else X[rows]
    if sys.stdin is None or sys.stdout is None:
        raise FileError("standard input or output is closed; wanted both, to ask and to read")
    with AnswersFile(answers_file, about) as answers, suppress(TerminalClosedError):
        terminal = Terminal(sys.stdin.fileno(), sys.stdout)
        terminal.show(_begun(source, answers, texts, len(rows)))
        sampler = PreClusteringSampler(
            metric="cosine",  # of words and of embeddings, directions tell
            min_samples_per_category=min_samples_per_category,
            audit_share=audit_share,
            random_state=seed,
            n_jobs=n_jobs,
        ).fit(X)
        partitions = _tight_partitions(X, seed, n_jobs)[_first_with_text(items, rows)]
        try:
            session = LabelingSession(
                sampler, partitions, rows, answers.append, answers.events, seed=seed
            )
        except ValueError as error:
            raise FileError(f"{answers_file}: {error}") from error
        with _closed_by_signals():
            try:
                ask_all(session, items, terminal)
            finally:
                summary = _write_table(session, len(items), out)
                terminal.show(f"\n{summary}\n{answers_file}: the answers; the same command goes on")


def _read_embeddings(path: Path, source: Path, n_texts: int) -> NDArray[Any]:
    X = read_features(path).X
    if len(X) != n_texts:
        raise FileError(
            f"{path}: holds {len(X):,} rows, {source} {n_texts:,} texts; wanted as many"
        )
    return X


def _tf_idf(source: Path, texts: list[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from labelquorum.text.words import as_words

    vectorizer = TfidfVectorizer(tokenizer=as_words, token_pattern=None, sublinear_tf=True)
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:  # an empty vocabulary
        raise FileError(f"{source}: no text holds a word ({error})") from error


def _tight_partitions(X: Any, seed: int, n_jobs: int | None) -> NDArray[np.int32]:
    """Clusterings that nearly all put two texts together only where they are much alike.

    With so many clusters, mini-clusters of 500 and 2,000 titles (StackOverflow) and queries (20
    intents of CLINC150) are of one category for 78 to 99 %; clusters of that size by k-means for 48
    to 97 %.
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


def _first_with_text(items: list[str], rows: list[int]) -> list[int]:
    """For each of the rows the place of the first with the same text: those are alike for sure."""
    first: dict[str, int] = {}
    return [first.setdefault(items[row], place) for place, row in enumerate(rows)]


def _digest(parts: Iterator[Any]) -> str:
    """A digest of byte strings and where they end."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()[:32]


def _begun(source: Path, answers: AnswersFile, texts: Texts, n_rows: int) -> str:
    lines = [f"{source}: {len(texts.items):,} texts"]
    n_empty = len(texts.items) - n_rows
    if n_empty:
        lines[0] += f", {n_empty:,} empty ones are not asked"
    if texts.n_damaged:
        lines.append(f"{texts.n_damaged:,} lines hold bytes that are no UTF-8, shown as \ufffd")
    if answers.message:
        lines.append(answers.message)
    if answers.events:
        lines.append(f"{answers.path}: goes on after {len(answers.events):,} answers")
    return "\n".join(lines)


def _write_table(session: LabelingSession, n_texts: int, out: Path) -> str:
    """Write the table of labels; return what is in it, in a line."""
    found = session.labels(n_texts)
    columns = {
        "row": np.arange(n_texts),
        "label": found.labels,
        "source": found.sources,
        "confidence": found.confidence,
    }
    with replacing(out) as file:
        write_columns(out, file, columns)
    counts = {name: int(np.sum(found.sources == name)) for name in ("you", "group", "proposed")}
    numbers = f"{counts['you']:,} labels by you, {counts['group']:,} of groups"
    return f"{out}: {numbers}, {counts['proposed']:,} proposed"


@contextmanager
def _closed_by_signals() -> Iterator[None]:
    """Treat a terminal that goes away, or being told to stop, as the end of the answers."""

    def close(number: int, frame: FrameType | None) -> None:
        for name in numbers:
            signal.signal(name, signal.SIG_IGN)  # a shell may send it a second time
        raise TerminalClosedError

    names: Sequence[str] = ("SIGHUP", "SIGTERM")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored (nohup) stays so.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    numbers = list(before)
    for number in numbers:
        signal.signal(number, close)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


LABEL = """\
Label texts in the terminal, the most telling ones first.

You see a text, press the number of its category or name a new one, and see the next. What to ask
next and which categories to propose is learned from your answers. One answer can do for a tight
group of texts once you have seen a few of it.

FILE holds the texts, each also with .gz but .parquet:
  .txt      one per line
  .csv      a column, with a line of names
  .jsonl    a field, one object per line
  .parquet  a column (needs pyarrow: pip install "labelquorum[parquet]")
Empty texts are never asked. Bytes that are no UTF-8 are shown as U+FFFD.

Each answer is on the disk before the next question is shown, in a file of its own: stop in any way
at any time, and the same command goes on from there. At the end a table is written: row (from 0),
label, source (you; group: given to all of a group; proposed) and confidence (0 to 1).
"""


def add_label(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=".txt, .csv, .jsonl, .parquet")
    add(
        "--text-column",
        metavar="NAME",
        help='the column or field of the texts (default: "text", or the only one)',
    )
    add(
        "--features",
        type=Path,
        metavar="FILE",
        help="embeddings of the texts, one row each: .npy, .npz, .parquet or .csv "
        "(default: the words of the texts)",
    )
    add(
        "--answers",
        type=Path,
        metavar="FILE.jsonl",
        help="where to keep the answers (default: FILE with -answers.jsonl instead of its "
        "extension)",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the table: .csv, .parquet or .npz "
        "(default: FILE with -labels.csv instead of its extension)",
    )
    add(
        "--min-samples-per-category",
        type=positive,
        default=1,
        metavar="N",
        help="labels that you give to a category before it is proposed (default: 1)",
    )
    add(
        "--audit-share",
        type=_share,
        default=0.0,
        metavar="X",
        help="share of the questions that are drawn at random, to tell how many of the proposed "
        "labels are right at least (default: 0, none)",
    )
    add(
        "--seed", type=_seed, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    add_n_jobs(add)
    parser.set_defaults(command=_label)


def _label(args: argparse.Namespace) -> None:
    from labelquorum.cli.label.command import label_texts

    source: Path = args.file
    stem = source.with_suffix("") if source.suffix.lower() == ".gz" else source
    out: Path = args.out or stem.with_name(f"{stem.stem}-labels.csv")
    answers: Path = args.answers or stem.with_name(f"{stem.stem}-answers.jsonl")
    check_output(out)
    check_other(out, source, "FILE")
    check_other(out, answers, "--answers")
    if args.features is not None:
        check_other(out, args.features, "--features")
    label_texts(
        source,
        answers,
        out,
        text_column=args.text_column,
        features=args.features,
        min_samples_per_category=args.min_samples_per_category,
        audit_share=args.audit_share,
        seed=args.seed,
        n_jobs=args.n_jobs,
    )
