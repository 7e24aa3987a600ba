"""Files of features and of known labels in, the table of found labels out.

Files are read whole, since clustering needs all samples at once; .npy files are memory-mapped.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import check_finite
from labelquorum._shared.files import FileError, reading
from labelquorum.cli.files.partitions import check_format, is_header, is_number

_Show: TypeAlias = Callable[[str, float], None] | None

_CSV_CHARACTERS_PER_CHUNK = 1 << 24
_LABEL = "label"  # the column of labels, in the files that we write
_MAX_LABEL = 1 << 62
# Not 007, which is a name. Integers are often saved as floats, 1.0 or 1.000e+00.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")


class Features(NamedTuple):
    """The features of samples, and their known labels where a column holds them."""

    X: NDArray[Any]  # (n_samples, n_features)
    labels: NDArray[Any] | None  # as `read_labels` returns them


def read_features(
    path: Path,
    *,
    label_column: str | None = None,
    header: bool | None = None,
    show: _Show = None,
) -> Features:
    """Read a file of features.

    `label_column` names the column of known labels in a .parquet or .csv file. `header` says
    whether a .csv file starts with names; None tells by its first line.
    """
    check_format(path)
    extension = path.suffix.lower()
    if label_column is not None and extension in _ARRAYS:
        raise FileError(f"{path}: {extension} files have no columns with names, {label_column!r}")
    with reading(path):
        if extension in _ARRAYS:
            found = Features(_ARRAYS[extension](path), None)
        elif extension == ".parquet":
            found = _read_parquet(path, label_column, show)
        else:
            found = _read_csv(path, label_column, header, show)
    shape, dtype = found.X.shape, found.X.dtype
    if len(shape) != 2 or 0 in shape:
        wanted = "2-D, (n_samples, n_features), at least one of each"
        raise FileError(f"{path}: has shape {shape}; wanted {wanted}")
    if dtype.kind not in "iufb":
        raise FileError(f"{path}: has dtype {dtype}; wanted integers or floats")
    try:
        check_finite(found.X, str(path))
    except ValueError as error:
        raise FileError(f"{error} (from 0); wanted finite numbers") from None
    return found


def read_labels(path: Path) -> NDArray[Any]:
    """Read known labels, one for each sample.

    Returns integers, with -1 where there is no label, or strings (as objects), with None.
    """
    extension = path.suffix.lower()
    if extension not in (".npy", ".csv", ".txt"):
        raise FileError(f"{path}: unknown extension {extension!r}; wanted .npy, .csv or .txt")
    with reading(path):
        if extension == ".npy":
            return _as_labels(path, np.load(path, allow_pickle=False))
        with open(path, encoding="utf-8-sig", newline="") as file:
            if extension == ".csv":
                return _as_labels(path, _only_column(path, file))
            return _as_labels(path, list(file))


def _only_column(path: Path, lines: Iterable[str]) -> list[str]:
    """The column "label", or the only one."""
    rows = list(csv.reader(lines))
    first = rows[0]
    if _LABEL in first:
        place = first.index(_LABEL)
        del rows[0]
    elif len(first) > 1:
        raise FileError(
            f"{path}: has the columns {', '.join(first)}; wanted one alone, or one named {_LABEL}"
        )
    else:
        place = 0
    # An empty line is an empty field of an only column.
    return [row[place] if place < len(row) else "" for row in rows]


def _as_labels(path: Path, values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise FileError(f"{path}: has shape {array.shape}; wanted 1-D, one label for each sample")
    if array.dtype.kind in "iu":
        _check_integers(path, array[(array < -1) | (array > _MAX_LABEL)].tolist())
        return array.astype(np.int64)
    texts = [_as_text(path, value) for value in array.tolist()]
    numbers = [-1 if text is None else _as_number(text) for text in texts]
    if any(number is None for number in numbers):
        named = np.empty(len(texts), dtype=object)
        named[:] = texts
        return named
    _check_integers(
        path, [x for x in numbers if not isinstance(x, int) or not -1 <= x <= _MAX_LABEL]
    )
    return np.array(numbers, dtype=np.int64)


def _check_integers(path: Path, wrong: list[Any]) -> None:
    if wrong:
        raise FileError(
            f"{path}: holds the label {wrong[0]}; wanted integers from 0 to 2^62, with -1 where "
            "there is none, or strings"
        )


def _as_text(path: Path, value: Any) -> str | None:
    """The label as text, None where there is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
        raise FileError(f"{path}: holds the label {value!r}; wanted integers or strings")
    text = "" if value is None else str(value).strip()
    return None if text in ("", "nan") or _as_number(text) == -1 else text


def _as_number(text: str) -> int | float | None:
    """The number that a text is; of an integer, also one written as a float, an int."""
    if not _NUMBER.fullmatch(text):
        return None
    if not set(text) & set(".eE"):
        return int(text)
    number = float(text)
    return int(number) if number.is_integer() else number


def _read_npy(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return array


def _read_npz(path: Path) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as arrays:
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise FileError(f"{path}: damaged or not a .npz file")
        names = arrays.files
        if "X" not in names and len(names) != 1:
            raise FileError(
                f"{path}: holds the arrays {', '.join(names)}; wanted one named X, or one alone"
            )
        array: NDArray[Any] = arrays["X" if "X" in names else names[0]]
        return array


_ARRAYS: dict[str, Callable[[Path], NDArray[Any]]] = {".npy": _read_npy, ".npz": _read_npz}


def _place(path: Path, names: list[str], label_column: str | None) -> int | None:
    """Where the column of labels is."""
    if label_column is None:
        return None
    if label_column not in names:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise FileError(f"{path}: no column {label_column!r}; it holds {shown}")
    return names.index(label_column)


def _read_parquet(path: Path, label_column: str | None, show: _Show) -> Features:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        place = _place(path, schema.names, label_column)
        # pandas keeps the row names of a data frame in such columns.
        places = [
            i
            for i, name in enumerate(schema.names)
            if i != place and not name.startswith("__index_level_")
        ]
        for field in (schema.field(i) for i in places):
            is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
            if not any(check(field.type) for check in is_number):
                raise FileError(_not_a_number(path, f"column {field.name!r} has type {field.type}"))
        parts = []
        labels: list[Any] = []
        for i in range(file.num_row_groups):
            group = file.read_row_group(i)
            for name, column in zip(schema.names, group.columns, strict=True):
                if column.null_count and name != label_column:
                    raise FileError(_not_a_number(path, f"column {name!r} has nulls"))
            if place is not None:
                labels += group.column(place).to_pylist()
            columns = [group.column(i).to_numpy() for i in places]
            parts.append(np.stack(columns, axis=1) if columns else np.empty((group.num_rows, 0)))
            if show is not None:
                show("reading", (i + 1) / file.num_row_groups)
    return Features(
        np.concatenate(parts) if parts else np.empty((0, len(places))),
        None if place is None else _as_labels(path, labels),
    )


def _read_csv(path: Path, label_column: str | None, header: bool | None, show: _Show) -> Features:
    size = path.stat().st_size
    # The encoding skips the byte-order mark that some spreadsheets write.
    with open(path, "rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader([file.readline()]), [])
        if not names:
            raise FileError(f"{path}: the first line is empty")
        if header is None:
            header = is_header(path, names) or label_column in names
        if not header:
            file.seek(0)
        place = _place(path, names if header else [], label_column)
        parts = []
        labels: list[str] = []
        while lines := file.readlines(_CSV_CHARACTERS_PER_CHUNK):
            lines = [line for line in lines if not line.isspace()]
            if not lines:
                continue
            if place is not None:
                rows = list(csv.reader(lines))
                if any(len(row) != len(names) for row in rows):
                    raise FileError(_what_is_wrong(path, lines, len(names), place))
                labels += [row[place] for row in rows]
            parts.append(_parse_csv(path, lines, len(names), place))
            if show is not None:
                show("reading", raw.tell() / size)
    return Features(
        np.concatenate(parts) if parts else np.empty((0, len(names))),
        None if place is None else _as_labels(path, labels),
    )


def _parse_csv(
    path: Path, lines: list[str], n_columns: int, place: int | None
) -> NDArray[np.float64]:
    """The features in these lines: all columns but that of labels."""
    columns = None if place is None else [i for i in range(n_columns) if i != place]
    if columns == []:
        return np.empty((len(lines), 0))
    try:
        rows = np.loadtxt(
            lines, delimiter=",", comments=None, quotechar='"', ndmin=2, usecols=columns
        )
    except ValueError:
        raise FileError(_what_is_wrong(path, lines, n_columns, place)) from None
    if columns is None and rows.shape[1] != n_columns:
        raise FileError(_what_is_wrong(path, lines, n_columns, place))
    return rows


def _what_is_wrong(path: Path, lines: list[str], n_columns: int, place: int | None) -> str:
    for line in lines:
        fields = next(csv.reader([line]), [])
        shown = line.strip()[:60]
        if len(fields) != n_columns:
            return (
                f"{path}: the line {shown!r} has {len(fields)} fields, the first line {n_columns}; "
                "the file may be cut off"
            )
        for i, field in enumerate(fields):
            if i != place and not is_number(field):
                return _not_a_number(path, f"{field!r} in the line {shown!r} is no number")
    return f"{path}: cannot be read as numbers separated by commas"


def _not_a_number(path: Path, found: str) -> str:
    return (
        f"{path}: {found}; features have to be numbers: leave such columns out, and name the one "
        "that holds known labels"
    )


def check_output(path: Path) -> None:
    """Raise FileError if columns cannot be written to files with this extension, or not here."""
    extension = path.suffix.lower()
    if extension not in _WRITERS:
        raise FileError(f"{path}: unknown extension {extension!r}; wanted .csv, .parquet or .npz")
    check_format(path)


def write_columns(path: Path, file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of one length to an open file in the format of `path`; None is left empty."""
    _WRITERS[path.suffix.lower()](file, columns)


def _write_csv(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    # Floats as text have no more digits than their type holds.
    fields = [c.astype(str) if c.dtype.kind == "f" else c for c in columns.values()]
    writer.writerows(zip(*(column.tolist() for column in fields), strict=True))
    text.detach()


def _write_npz(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    arrays: Any = {name: _without_objects(column) for name, column in columns.items()}
    np.savez(file, **arrays)


def _without_objects(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind != "O":
        return column
    return np.array(["" if item is None else item for item in column.tolist()], dtype=str)


def _write_parquet(file: BinaryIO, columns: dict[str, NDArray[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def converted(column: NDArray[Any]) -> Any:
        return pa.array(column.tolist(), pa.string()) if column.dtype.kind in "OU" else column

    pq.write_table(pa.table({name: converted(column) for name, column in columns.items()}), file)


_WRITERS: dict[str, Callable[[BinaryIO, dict[str, NDArray[Any]]], None]] = {
    ".csv": _write_csv,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
