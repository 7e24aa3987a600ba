"""What commands read of samples: features or embedded texts, known labels, and what they carry."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError, is_stream
from labelquorum._shared.labels import has_label
from labelquorum._shared.origins import ORIGIN, PROPOSED
from labelquorum._shared.progress import progress
from labelquorum._shared.terminal import visible_line
from labelquorum.cli.files.features import has_origins, read_features
from labelquorum.cli.files.labels import read_labels, read_origins, read_votes
from labelquorum.cli.files.numeric import NotNumbersError
from labelquorum.cli.files.records import advice_on_texts, read_ids, read_records
from labelquorum.cli.files.sources import Location, is_pattern
from labelquorum.cli.options import (
    UsageError,
    as_file,
    check_length,
    default_out,
    names,
    one_line,
)

if TYPE_CHECKING:
    from labelquorum.text.source import TextSource

TEXTS = """\
With --text-column, FILE is a table of texts. They are embedded by a model (--embed), or by their
words. The vectors of a model are kept in a folder beside FILE, FILE-embeddings, from which the same
or a similar command continues. Vectors that you have come from a column of lists (--columns) or
from another file (--features).
"""

_FEWEST_JUDGED, _MOST_DISTINCT = 20, 0.5  # labels, and share of different ones


class Samples(NamedTuple):
    """What was read of the samples."""

    X: Any
    """(n_samples, n_features): features."""
    labels: NDArray[Any] | None
    """(n_samples,): labels; None if there are none."""
    origins: NDArray[np.str_] | None
    """(n_samples,): where the labels come from; None if all are known."""
    votes: Any
    """An array of shape (n_samples,) for each voter; None without voters."""
    carried: dict[str, NDArray[Any]] = {}  # noqa: RUF012
    """Columns that the result carries, by name: ids, texts, and others that were asked for."""
    texts: list[str] | None = None
    """The texts of the samples, where a column of FILE holds them."""
    is_void: NDArray[np.bool_] | None = None
    """(n_samples,): whether a text says nothing: it is empty, or has no known word. None where
    nothing was embedded."""
    source: TextSource | None = None
    """How the texts became features; None where nothing was embedded."""


def add_texts(add: Callable[..., object]) -> None:
    """Add the options about texts."""
    add(
        "--text-column",
        metavar="NAME",
        help="the column of FILE that holds texts, which are embedded unless --columns or "
        "--features says where their features are",
    )
    add(
        "--embed",
        metavar="MODEL",
        help="the model that embeds the texts: a folder or a name on the Hugging Face hub, which "
        "is fetched once (all-MiniLM-L6-v2); needs the extra labelquorum[text] (default: tf-idf, "
        "by their words)",
    )
    add(
        "--features",
        type=as_file,
        metavar="FILE",
        help="features of the samples in FILE, one row each, from another file: .npy, .npz or a "
        "table",
    )


def add_carried(add: Callable[..., object]) -> None:
    """Add the options that say what the result carries."""
    add(
        "--id-column",
        metavar="NAME",
        help="the column of FILE that holds an id for each row, which the result carries",
    )
    add(
        "--keep",
        action="extend",
        type=names,
        metavar="A,B,...",
        help="more columns of FILE that the result carries",
    )


def reads_rows(args: argparse.Namespace) -> bool:
    """Whether FILE is one table, of which more than features and labels is read."""
    return bool(carried_columns(args)) or args.features is not None


def carried_columns(args: argparse.Namespace) -> list[str]:
    """The columns that the result carries, each once."""
    own = [getattr(args, "id_column", None), _text_column(args), getattr(args, "time_column", None)]
    columns = [*own, *(_kept(args) or ())]
    return list(dict.fromkeys(name for name in columns if name is not None))


def _kept(args: argparse.Namespace) -> list[str] | None:
    kept: list[str] | None = getattr(args, "keep", None)
    return kept


def _text_column(args: argparse.Namespace) -> str | None:
    """The column of FILE that holds texts; a report's may be one of another file."""
    name: str | None = args.text_column
    return None if getattr(args, "texts", None) is not None else name


def check_texts(args: argparse.Namespace) -> None:
    """Refuse options about texts that do not fit together."""
    if args.embed is not None:
        if _text_column(args) is None:
            raise UsageError("--embed needs --text-column, a column of FILE")
        if args.features is not None or args.columns is not None:
            raise UsageError("--embed cannot be used with --columns or --features: choose one")
    if args.features is not None and args.columns is not None:
        raise UsageError("--columns cannot be used with --features: choose one")
    if args.features is not None and not carried_columns(args) and args.label_column is None:
        raise UsageError(
            "--features needs a column of FILE: add --text-column, --id-column or --label-column"
        )


def read_samples(args: argparse.Namespace, out: Path) -> Samples:
    """Read features, labels and votes, and refuse those that do not fit together.

    `out` is where the result will be: beside it, vectors are kept if there is no place beside FILE.
    """
    label_column = args.label_column if args.labels is None else None
    has_origin = has_origins_of_labels(args, args.file)
    beside = [ORIGIN] if has_origin else []
    beside += [] if args.votes is not None else args.vote_columns
    sources: list[TextSource] = []

    def embedded(texts: list[str]) -> Any:
        X, source = _embedded(args, texts, out)
        sources.append(source)
        return X

    try:
        rows = read_rows(args, embedded, label_column=label_column, beside=beside)
    except NotNumbersError as error:
        advice = ""
        if args.columns is None:
            advice = advice_on_texts(args.file, label_column, args.header)
        raise FileError(advice or str(error)) from error
    X, known, origins = rows.X, rows.labels, None
    if args.labels is not None:
        places = _places_by_id(args, args.labels, rows.carried)
        known, origins = checked_labels(
            args.labels, args.label_column, "--label-column", args, X, places
        )
    elif has_origin:
        origins = read_origins(args.file, args.label_column)
    if origins is not None:
        _say_what_is_known(args, known, origins)
    if known is not None and not args.quiet:
        _say_if_unique(args, known)
    if args.n_clusters is not None and args.n_clusters > X.shape[0]:
        raise UsageError(
            f"--n-clusters must be at most the number of samples in {args.file}, "
            f"{X.shape[0]:,}, got "
            f"{args.n_clusters:,}"
        )
    votes = _read_votes(args, X, rows.carried)
    source = sources[0] if sources else None
    return Samples(X, known, origins, votes, rows.carried, rows.texts, rows.is_void, source)


class Rows(NamedTuple):
    """What was read of the rows of FILE."""

    X: Any
    """(n_samples, n_features): features."""
    labels: NDArray[Any] | None
    """(n_samples,): labels; None if there are none."""
    carried: dict[str, NDArray[Any]]
    """Columns that the result carries, by name."""
    texts: list[str] | None
    """The texts of the samples, where a column of FILE holds them."""
    is_void: NDArray[np.bool_] | None
    """(n_samples,): whether a text says nothing; None where nothing was embedded."""


def read_rows(
    args: argparse.Namespace,
    embedded: Callable[[list[str]], Any],
    *,
    label_column: str | None = None,
    beside: Sequence[str] = (),
) -> Rows:
    """Read features, or texts and their vectors, and the columns that the result carries.

    `embedded` makes vectors of texts, `label_column` holds labels, and the columns `beside` are
    neither features nor carried. Raises NotNumbersError if features are none.
    """
    carried, text_column = carried_columns(args), _text_column(args)
    is_embedded = text_column is not None and args.columns is None and args.features is None
    others = [] if args.columns is not None else carried
    others = list(dict.fromkeys([*others, *beside]))
    X: Any = None
    records, known = None, None
    with progress(not args.quiet) as show:
        if not is_embedded and args.features is None:
            X, known = read_features(
                args.file,
                columns=args.columns,
                label_column=label_column,
                beside=others,
                header=args.header,
                show=show,
            )
            label_column = None
        if carried or label_column is not None:
            records = read_records(
                args.file,
                carried,
                label_column=label_column,
                id_column=getattr(args, "id_column", None),
                header=args.header,
                show=show,
            )
            known = known if records.labels is None else records.labels
        if args.features is not None:
            X = read_features(args.features, header=args.header, show=show).X
    texts = None if records is None or text_column is None else records.texts(text_column)
    if is_embedded:
        assert texts is not None  # the column was read
        if not any(text and not text.isspace() for text in texts):
            raise FileError(f"{args.file}: column {text_column!r} has no text that is not empty")
        X = embedded(texts)
    if records is not None and X.shape[0] != records.n_rows:
        raise FileError(
            f"{args.features or args.file}: {X.shape[0]:,} rows of features, but {args.file} has "
            f"{records.n_rows:,} rows: they must be equal"
        )
    is_void = ~X.any(axis=1) if is_embedded else None
    return Rows(X, known, {} if records is None else records.columns, texts, is_void)


def has_origins_of_labels(args: argparse.Namespace, source: Location) -> bool:
    """Whether the labels in a column of FILE have origins; `source` is one of its files."""
    in_table = args.labels is None and args.label_column not in (None, ORIGIN)
    return in_table and has_origins(source, args.columns)


def _embedded(args: argparse.Namespace, texts: list[str], out: Path) -> tuple[Any, TextSource]:
    """Embed texts, and keep how."""
    from labelquorum.text.embedding import BETTER, TFIDF
    from labelquorum.text.source import TextSource

    uses_words = args.embed is None or args.embed == TFIDF
    if not args.quiet and args.embed is None:
        print(
            f"labelquorum: {BETTER} and --embed all-MiniLM-L6-v2; --embed {TFIDF} silences this",
            file=sys.stderr,
        )
    with errors_of_embedding(str(args.file) if uses_words else "--embed"):
        return TextSource.of(
            texts,
            TFIDF if uses_words else args.embed,
            text_column=args.text_column,
            id_column=getattr(args, "id_column", None),
            directory=None if uses_words else folder_of_vectors(args.file, out),
            verbose=not args.quiet,
        )


@contextmanager
def errors_of_embedding(name: str) -> Iterator[None]:
    """Let errors of embedding texts be errors of the file or option with this name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise FileError(f"{error.filename}: {error.strerror}") from error
    except (ImportError, TypeError, ValueError) as error:
        raise FileError(f"{name}: {one_line(error)}") from error


def folder_of_vectors(source: Location, out: Path) -> Path | None:
    """Where the vectors of texts are kept: beside the source, or else beside the result."""
    if isinstance(source, Path) and not is_pattern(source):
        folder = default_out(source, "-embeddings")
        if folder.is_dir() or os.access(folder.parent, os.W_OK | os.X_OK):
            return folder
    return None if is_stream(out) else default_out(out, "-embeddings")


def _say_if_unique(args: argparse.Namespace, labels: NDArray[Any]) -> None:
    """Say so if nearly each label is another one, as in a column of ids or texts."""
    given = labels[has_label(labels)]
    n_labels = len(set(given.tolist()))
    if len(given) >= _FEWEST_JUDGED and n_labels > _MOST_DISTINCT * len(given):
        name = "--labels" if args.label_column is None else f"column {args.label_column!r}"
        print(
            f"labelquorum: {name} has {n_labels:,} different labels among {len(given):,}: is this "
            "the column of categories?",
            file=sys.stderr,
        )


def _say_what_is_known(args: argparse.Namespace, labels: Any, origins: NDArray[np.str_]) -> None:
    """Say how many labels are known, since proposals of an earlier result look like them."""
    source = args.file if args.labels is None else args.labels
    is_label = has_label(labels)
    n_proposed = int(np.count_nonzero(is_label & (origins == PROPOSED)))
    n_known = int(np.count_nonzero(is_label)) - n_proposed
    if not n_known and not args.discover:
        raise FileError(
            f"{source}: --no-discover needs known labels, but all {n_proposed:,} are proposals of "
            f"a model: write 'accepted' into the column {ORIGIN!r} where they are right"
        )
    if n_proposed and not args.quiet:
        votes = n_known and args.discover
        use_of_proposals = "which vote" if votes else "from which categories only keep their names"
        print(
            f"labelquorum: {visible_line(str(source))}: {n_known:,} labels are known; "
            f"{n_proposed:,} are proposals of a model, {use_of_proposals}",
            file=sys.stderr,
        )


def _places_by_id(
    args: argparse.Namespace, source: Location, carried: dict[str, NDArray[Any]]
) -> NDArray[np.intp] | None:
    """Find the row of each sample in another file by its id; -1 where there is none.

    None if one of the files has no ids, so that rows go by their order.
    """
    column: str | None = getattr(args, "id_column", None)
    if column is None:
        return None
    ids = read_ids(source, column)
    if ids is None:
        return None
    row_of = {name: row for row, name in enumerate(ids)}
    own = map(str, carried[column].tolist())
    places = np.array([row_of.get(name, -1) for name in own], dtype=np.intp)
    n_found = int(np.count_nonzero(places >= 0))
    if not n_found:
        raise FileError(f"{source}: no id in column {column!r} is one of {args.file}")
    if n_found < len(ids) and not args.quiet:
        print(
            f"labelquorum: {visible_line(str(source))}: {len(ids) - n_found:,} of {len(ids):,} "
            f"rows have ids that {visible_line(str(args.file))} does not have: they are left out",
            file=sys.stderr,
        )
    return places


def _at(values: NDArray[Any], places: NDArray[np.intp]) -> NDArray[Any]:
    """Take values by place; where that is -1, the value for none."""
    none = {"O": None, "U": ""}.get(values.dtype.kind, -1)
    taken = values[places]
    taken[places < 0] = none
    return taken


def _read_votes(
    args: argparse.Namespace, X: Any, carried: dict[str, NDArray[Any]]
) -> list[NDArray[Any]] | None:
    """Read the votes of all voters; None without voters."""
    if args.votes is None and not args.vote_columns:
        return None
    source = args.file if args.votes is None else args.votes
    votes = read_votes(source, args.vote_columns)
    places = None if args.votes is None else _places_by_id(args, source, carried)
    if places is not None:
        return [_at(items, places) for items in votes]
    check_length(source, len(votes[0]), args.file, X.shape[0], "votes")
    return votes


def checked_labels(
    source: Location,
    column: str | None,
    option: str,
    args: argparse.Namespace,
    X: Any,
    places: NDArray[np.intp] | None = None,
) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Read one label for each sample and, if the file says so, its origin.

    `option` names the column of the labels. `places` are the rows of the samples in the file, if
    these are not the same in both files.
    """
    labels, origins = read_labels(source, column, option), read_origins(source, column, option)
    if places is not None:
        return _at(labels, places), None if origins is None else _at(origins, places)
    ends_empty = bool(len(labels)) and labels[-1] in (-1, None)
    check_length(
        source,
        len(labels),
        args.file,
        X.shape[0],
        "labels",
        "" if column else option,
        ends_empty=ends_empty,
    )
    return labels, origins


def check_carried(args: argparse.Namespace, results: tuple[str, ...]) -> None:
    """Refuse columns that the result has itself."""
    taken = [name for name in carried_columns(args) if name in results]
    if taken:
        raise UsageError(
            f"the result has a column {taken[0]!r} itself, so that it cannot carry one of this "
            "name: rename it in FILE"
        )
