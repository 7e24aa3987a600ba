"""What results carry from the input beside labels: ids, texts and other columns by name.

It also tells which columns of a table look like texts and ids, for those who did not say.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.cells import unmarked
from labelquorum._shared.files import FileError
from labelquorum._shared.memory import MemoryBudget, check_memory
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.labels import ARRAYS, BYTES_PER_LABEL, as_labels, label_items
from labelquorum.cli.files.readers import is_number
from labelquorum.cli.files.sources import Location, extension_of

_Show: TypeAlias = Callable[[str, float], None] | None
_ROWS_SEEN = 1000  # that tell what a column holds
_WORDS_OF_TEXT, _CHARACTERS_OF_TEXT = 2.5, 30  # on average
_MOST_SHARE_OF_CATEGORIES = 0.5  # distinct values among all
_MOST_CHARACTERS_OF_CATEGORY = 60


class Records(NamedTuple):
    """Some columns of a table, all of one length."""

    columns: dict[str, NDArray[Any]]
    """By name: numbers, or strings (as objects) with None where there is none."""
    labels: NDArray[Any] | None
    """Known labels, where a column holds them; see `labelquorum.cli.files.labels.as_labels`."""
    n_rows: int
    """The number of rows."""

    def texts(self, name: str) -> list[str]:
        """A column as texts; an empty one where there is none."""
        return ["" if item is None else str(item) for item in self.columns[name].tolist()]


def cell_text(cell: Any) -> str:
    """Return a cell as text: whole numbers without a point, as labels have; "" for none."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell)


def read_records(
    location: Location,
    names: Sequence[str],
    *,
    label_column: str | None = None,
    id_column: str | None = None,
    header: bool | None = None,
    show: _Show = None,
) -> Records:
    """Read columns of a table.

    Parameters
    ----------
    location : Location
        A table, or a folder, pattern or URL of tables.
    names : sequence of str
        The columns, each once.
    label_column : str, optional
        The column that holds known labels.
    id_column : str, optional
        Which of the names holds ids: a different one in each row.
    header : bool, optional
        Whether a .csv or .tsv file starts with a line of names; None to tell by that line.
    show : callable, optional
        Shows progress: takes the stage and the share that is done.

    Raises
    ------
    FileError
        If the location cannot be read, has no such column, or an id is missing or occurs twice.
    """
    import pyarrow as pa

    chosen = [*names, *([] if label_column is None else [label_column])]
    table = tables.Table(
        location, header=header, header_names=chosen, keep_empty_rows=True, may_have_others=True
    )
    places = [table.place(name) for name in chosen]
    check_memory(str(location), table.declared_bytes(places))
    budget = MemoryBudget(str(location))
    parts: list[Any] = []
    labels: list[Any] = []
    n_rows = 0
    for batch in table.batches(places):
        n_rows += len(batch.columns[0])
        budget.take(sum(part.nbytes + BYTES_PER_LABEL * len(part) for part in batch.columns))
        if label_column is not None:
            labels += label_items(batch)
        of_names = batch.columns[: len(names)]
        parts.append(pa.table([*map(_plain, of_names)], names=list(map(str, range(len(names))))))
        if show is not None:
            show("reading", batch.share)
    if not n_rows:
        raise FileError(f"{location}: the table has no rows")
    is_text = table.files[0].extension in (".csv", ".tsv")
    columns = {}
    for i, name in enumerate(names):
        where = f"{location}: column {name!r}"
        try:
            column = pa.concat_tables(
                [part.select([str(i)]) for part in parts], promote_options="permissive"
            )[0]
        except pa.ArrowException as error:
            raise FileError(f"{where} must hold values of one kind ({error})") from error
        columns[name] = _values(column, where, is_text)
    if id_column is not None:
        _check_ids(columns[id_column].tolist(), f"{location}: column {id_column!r}")
    known = None if label_column is None else as_labels(str(location), labels)
    return Records(columns, known, n_rows)


def read_ids(location: Location, column: str) -> list[str] | None:
    """Read the ids of a table's rows; None where it is no table or has no such column."""
    if extension_of(location) in ARRAYS:
        return None
    if column not in tables.Table(location, header=True, keep_empty_rows=True).names:
        return None
    records = read_records(location, [column], id_column=column, header=True)
    return list(map(str, records.columns[column].tolist()))


def _plain(column: Any) -> Any:
    """The values themselves, where a column refers to a dictionary of them."""
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _values(column: Any, where: str, is_text: bool) -> NDArray[Any]:
    """Numbers without gaps as they are, anything else as strings."""
    import pyarrow as pa

    kind = column.type
    is_number_type = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )
    if is_number_type and not column.null_count:
        numbers: NDArray[Any] = column.to_numpy()
        return numbers
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        try:
            if pa.types.is_nested(kind) or pa.types.is_binary(kind):
                raise pa.ArrowNotImplementedError("which cannot be written as a cell")
            column = column.cast(pa.string())
        except pa.ArrowException as error:
            raise FileError(
                f"{where} must hold texts, numbers or dates, got {kind} ({error})"
            ) from error
    items = column.to_pylist()
    strings = np.empty(len(items), dtype=object)
    strings[:] = [unmarked(item) for item in items] if is_text else items
    return strings


def _check_ids(ids: list[Any], where: str) -> None:
    first: dict[Any, int] = {}
    for row, item in enumerate(ids):
        if item is None or item == "" or item != item:  # NaN
            raise FileError(
                f"{where} must hold an id in each row, got none in row {row} (from 0): fill it in, "
                "or use --keep for a column that is no id"
            )
        if first.setdefault(item, row) != row:
            raise FileError(
                f"{where} must hold a different id in each row, got {item!r} in rows "
                f"{first[item]} and {row} (from 0): use --keep for a column that is no id"
            )


def advice_on_texts(location: Location, label_column: str | None, header: bool | None) -> str:
    """Say which columns of a table look like texts, ids and known labels, and what to write.

    Empty where none looks like texts.
    """
    names = [] if label_column is None else [label_column]
    try:
        table = tables.Table(location, header=header, header_names=names)
        batch = next(table.batches(max_rows=_ROWS_SEEN), None)
    except FileError:
        return ""
    found: dict[str, dict[str, float]] = {"text": {}, "id": {}, "category": {}, "other": {}}
    if batch is not None:
        for name, column in zip(table.names, batch.columns, strict=True):
            if name != label_column:
                kind, size = _looks(_plain(column).to_pylist())
                found[kind][name] = size
    texts, ids, labels = found["text"], found["id"], found["category"]
    if not texts:
        return ""
    text = max(texts, key=lambda name: texts[name])
    wanted = ["--text-column", text]
    if ids:
        wanted += ["--id-column", next(iter(ids))]
    message = f"{location}: column {text!r} holds texts, not numbers: add {shlex.join(wanted)}"
    if labels and label_column is None:
        # Labels are known in part, so that fields are empty.
        more = shlex.join(["--label-column", min(labels, key=lambda name: labels[name])])
        message += f", and {more} if that column holds known labels"
    return message


def _looks(values: list[Any]) -> tuple[str, float]:
    """What a column looks like: text, with its mean length; or id, category or other.

    Of these, the share of fields that are not empty.
    """
    fields = [value for value in values if isinstance(value, str) and value.strip()]
    if not fields or all(map(is_number, fields)):
        return "other", 0
    length = float(np.mean([len(field) for field in fields]))
    filled = len(fields) / len(values)
    n_words = np.mean([len(field.split()) for field in fields])
    share = len(set(fields)) / len(fields)
    is_repeated = len(fields) > 1 and share <= _MOST_SHARE_OF_CATEGORIES
    if is_repeated and max(map(len, fields)) <= _MOST_CHARACTERS_OF_CATEGORY:
        return "category", filled
    if n_words >= _WORDS_OF_TEXT or length >= _CHARACTERS_OF_TEXT:
        return "text", length
    return ("id" if share == n_words == filled == 1 else "other"), filled
