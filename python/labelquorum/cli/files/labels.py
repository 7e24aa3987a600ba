"""Labels of samples and their origins, from files and from columns of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.cells import unmarked
from labelquorum._shared.files import FileError
from labelquorum._shared.label_reader import is_no_label_word
from labelquorum._shared.labels import has_label
from labelquorum._shared.memory import MemoryBudget, check_memory
from labelquorum._shared.origins import ORIGIN, as_origins
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.arrays import open_npy
from labelquorum.cli.files.readers import check_no_nul, check_not_utf_16, shown_names
from labelquorum.cli.files.sources import Location, extension_of, find_file

_LABEL = "label"  # the column of labels in the files that we write
# Columns of results, beside the labels, from before these had origins.
_OLD_RESULTS = ({_LABEL, "confidence", "pseudo_label"}, {"row", _LABEL, "source", "confidence"})

_MAX_LABEL = 1 << 62
_MOST_DIGITS = 1000  # Python refuses to read far more.
# Not 007, which is a name. Integers are often saved as floats, 1.0 or 1.000e+00.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")
ARRAYS = (".npy", ".txt")
_EXTENSIONS = (*ARRAYS, *tables.EXTENSIONS)
BYTES_PER_LABEL = 64  # of a Python object, and of its place in a list


def read_labels(
    location: Location, column: str | None = None, option: str = "--label-column"
) -> NDArray[Any]:
    """Read known labels, one for each sample.

    Parameters
    ----------
    location : Location
        An .npy file, for its array; a .txt file, for its lines; or a table.
    column : str, optional
        The column of a table; None for the one named label, or the only one.
    option : str
        The option that names the column, for messages.

    Returns
    -------
    array of shape (n_samples,)
        Integers, with -1 where there is no label; or strings (as objects), with None.

    Raises
    ------
    FileError
        If the location cannot be read, or does not hold labels.
    """
    extension = extension_of(location)
    if extension not in ARRAYS:
        return _read_table(location, column, option)
    file = find_file(location, (extension,))
    if column is not None:
        raise FileError(f"{file.name}: {extension} files have no named columns: {column!r}")
    with file.reading():
        if extension == ".npy":
            array = open_npy(file, whole=True)
            check_memory(file.name, BYTES_PER_LABEL * array.size)
            return as_labels(file.name, array)
        check_memory(file.name, file.size)
        with file.open() as (content, _):
            start = content.read(4096)
            check_not_utf_16(file.name, start)
            check_no_nul(file.name, start)
            content.seek(0)
            text = TextIOWrapper(content, encoding="utf-8-sig", newline="")
            return as_labels(file.name, list(text))


def read_origins(
    location: Location, column: str | None = None, option: str = "--label-column"
) -> NDArray[np.str_] | None:
    """Read where the labels of a file come from.

    Parameters
    ----------
    location : Location
        A file of labels, as for `read_labels`.
    column : str, optional
        The column of the labels, if it was named.
    option : str
        The option that names the column, for messages.

    Returns
    -------
    array of shape (n_samples,), optional
        "given", "accepted", "proposed", or "" where nothing is said. None if the file has no column
        named origin, or if that says where the labels of another column come from, named label.

    Raises
    ------
    FileError
        If the column holds anything else. Also if the file is a result from before there was such a
        column, which would turn proposals into known labels, unless `column` names the labels.
    """
    if extension_of(location) in ARRAYS:
        return None
    table = tables.Table(location, header=True, keep_empty_rows=True, may_have_others=True)
    is_of_others = column not in (None, _LABEL) and _LABEL in table.names
    if ORIGIN not in table.names or column == ORIGIN or is_of_others:
        if column is None and any(names <= set(table.names) for names in _OLD_RESULTS):
            raise FileError(
                f"{location}: a result without the column {ORIGIN!r}, which says what people said "
                "and what a model proposed: add it, or take all labels as known with "
                f"{option} {_LABEL}"
            )
        return None
    items: list[Any] = []
    budget = MemoryBudget(str(location))
    for batch in table.batches([table.place(ORIGIN)]):
        budget.take(batch.columns[0].nbytes + BYTES_PER_LABEL * len(batch.columns[0]))
        items += [None if says_nothing(item) else item for item in label_items(batch)]
    try:
        return as_origins(items, f"{location}: the column {ORIGIN!r}")
    except (TypeError, ValueError) as error:
        hint = "rename the column if it says something else"
        raise FileError(f"{error} (from 0): {hint}") from None


def says_nothing(item: Any) -> bool:
    """Whether a cell of origins is empty, or has a word for nothing."""
    return item is None or (isinstance(item, str) and is_no_label_word(item))


def read_votes(location: Location, columns: Sequence[str]) -> list[NDArray[Any]]:
    """Read the votes of each voter.

    Parameters
    ----------
    location : Location
        A file, as for `read_labels`.
    columns : sequence of str
        The columns of a table, one for each voter; if there are none, the one named label, or the
        only one.

    Returns
    -------
    list of arrays of shape (n_samples,)
        All hold integers, with -1 where a voter abstains, or all hold strings, with None.

    Raises
    ------
    FileError
        If the location cannot be read, or a voter abstains on all samples.
    """
    option = "--vote-column"
    voters: Sequence[str | None] = columns or [None]
    votes = [read_labels(location, column, option) for column in voters]
    for column, items in zip(voters, votes, strict=True):
        if not has_label(items).any():
            where = "" if column is None else f": column {column!r}"
            raise FileError(f"{location}{where}: a voter must vote on a sample at least, got none")
    if len({items.dtype for items in votes}) > 1:  # names, of which some are numbers
        votes = [_as_names(items) for items in votes]
    return votes


def _as_names(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind == "O":
        return labels
    return np.array([None if x < 0 else str(x) for x in labels.tolist()], dtype=object)


def _read_table(location: Location, column: str | None, option: str) -> NDArray[Any]:
    # Without a column named label, the first line of an only column is a label.
    wanted = column or _LABEL
    table = tables.Table(
        location,
        header=True,
        keep_empty_rows=True,
        shown_extensions=_EXTENSIONS,
        may_have_others=True,
    )
    if column is None and wanted not in table.names:
        if len(table.names) != 1:
            raise FileError(
                f"{location}: the file must have one column, or one named {_LABEL}, got "
                f"{shown_names(table.names)}: name the column of the labels with {option}"
            )
        table = tables.Table(location, header=False, keep_empty_rows=True)
        place = 0
    else:
        place = table.place(wanted)
    labels: list[Any] = []
    budget = MemoryBudget(str(location))
    for batch in table.batches([place]):
        budget.take(batch.columns[0].nbytes + BYTES_PER_LABEL * len(batch.columns[0]))
        labels += label_items(batch)
    return as_labels(str(location), labels)


def label_items(batch: tables.Batch) -> list[Any]:
    """The labels in the last column of a batch, as they were before they were written as text."""
    items: list[Any] = batch.columns[-1].to_pylist()
    return [unmarked(item) for item in items] if batch.is_text else items


def as_labels(name: str, values: NDArray[Any] | Sequence[Any]) -> NDArray[Any]:
    """Integers with -1, or strings with None, where there is no label.

    `name` is that of the file, for messages. Text that holds only numbers becomes integers; the
    `NO_LABEL_WORDS` mean that there is no label.
    """
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise FileError(
                f"{name}: the labels must be 1-D, one for each sample, got {values.shape}"
            )
        if values.dtype.kind in "iu":
            _check_integers(name, values[(values < -1) | (values > _MAX_LABEL)].tolist())
            return values.astype(np.int64)
        values = values.tolist()
    texts = [_as_text(name, value) for value in values]
    numbers = [-1 if text is None else _as_number(text) for text in texts]
    if any(number is None for number in numbers):
        named = np.empty(len(texts), dtype=object)
        named[:] = texts
        return named
    _check_integers(
        name, [x for x in numbers if not isinstance(x, int) or not -1 <= x <= _MAX_LABEL]
    )
    return np.array(numbers, dtype=np.int64)


def _check_integers(name: str, wrong: list[Any]) -> None:
    if wrong:
        raise FileError(
            f"{name}: labels must be strings, or integers from 0 to 2^62 with -1 where there is no "
            f"label, got {wrong[0]}"
        )


def _as_text(name: str, value: Any) -> str | None:
    """The label as text; None where there is no label."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
        raise FileError(f"{name}: labels must be integers or strings, got {value!r}")
    text = "" if value is None else str(value).strip()
    return None if is_no_label_word(text) or _as_number(text) == -1 else text


def _as_number(text: str) -> int | float | None:
    """The number that a text stands for; an int where it is a whole one."""
    if not _NUMBER.fullmatch(text):
        return None
    if not set(text) & set(".eE"):
        return int(text) if len(text) < _MOST_DIGITS else math.inf
    number = float(text)
    return int(number) if number.is_integer() else number
