"""Numbers from the columns of tables: features as a matrix, partitions as integers.

Text is parsed in Arrow, many values at once. Only where that fails are the values looked at one by
one, which either finds the wrong value, for the message, or reads a form that Arrow does not take
(spaces around a number, a plus sign).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.files import FileError
from labelquorum.cli.files.columns import Batch
from labelquorum.cli.files.readers import is_number

_INTEGER = re.compile(r"\s*[+-]?\d{1,18}\s*")
_SHOWN_CHARACTERS = 60


def _as_float(field: str) -> float:
    if not is_number(field):
        raise ValueError
    return float(field)


def _as_integer(field: str) -> int:
    if not _INTEGER.fullmatch(field):
        raise ValueError
    return int(field)


class NotNumbersError(FileError):
    """A column that should hold numbers holds something else."""


class _NumberKind(NamedTuple):
    noun: str
    advice: str
    dtype: type[np.number[Any]]  # of numbers in text
    convert: Callable[[str], float]


_FEATURE = _NumberKind(
    "a number",
    "features must be numbers. Choose the columns of numbers with --columns, and name the column "
    "of known labels with --label-column",
    np.float64,
    _as_float,
)
_PARTITION = _NumberKind(
    "an integer",
    "cluster ids must be integers, with -1 where a model abstains. Fill missing values with -1, "
    "and convert floats to integers",
    np.int64,
    _as_integer,
)


class FeatureColumns:
    """Makes matrices of features of batches of columns, all with the same width."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._widths: dict[str, int] = {}  # of list columns

    def matrix(self, batch: Batch) -> NDArray[Any]:
        """The features of shape (n_rows, n_features). A list column is as many features."""
        parts = [
            self._features(column, name, batch)
            for column, name in zip(batch.columns, self._names, strict=True)
        ]
        if len(parts) == 1 and parts[0].ndim == 2:
            return parts[0]
        return np.column_stack(parts)

    def _features(self, column: Any, name: str, batch: Batch) -> NDArray[Any]:

        kind = column.type
        if batch.is_text:
            return _parsed(column, name, batch, _FEATURE)
        if _is_list_type(kind) and _is_number_type(kind.value_type):
            return self._lists(column, name, batch)
        if not _is_number_type(kind):
            raise NotNumbersError(
                f"{batch.file}: column {name!r} has the type {kind}; {_FEATURE.advice}"
            )
        _check_no_null(column, name, batch, _FEATURE)
        numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return numbers

    def _lists(self, column: Any, name: str, batch: Batch) -> NDArray[Any]:
        from pyarrow import compute

        _check_no_null(column, name, batch, _FEATURE)
        lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
        width = self._widths.setdefault(name, int(lengths[0]))
        wrong = np.flatnonzero(lengths != width)
        if len(wrong):
            raise FileError(
                f"{batch.file}: column {name!r} has {lengths[wrong[0]]} numbers in row "
                f"{batch.first_row + wrong[0]} (from 0), but {width} in the first row: they must "
                "be equal"
            )
        if not width:
            raise FileError(
                f"{batch.file}: column {name!r} holds empty lists, which are no features"
            )
        values = column.flatten()
        if values.null_count:
            row = batch.first_row + _first_null(values) // max(1, width)
            raise FileError(
                f"{batch.file}: column {name!r} has a null in the list of row {row} (from 0); "
                f"{_FEATURE.advice}"
            )
        matrix: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(-1, width)
        return matrix


def partition_columns(batch: Batch, names: Sequence[str]) -> list[NDArray[np.integer[Any]]]:
    """The partitions of some samples, one array for each column."""
    import pyarrow as pa

    partitions = []
    for column, name in zip(batch.columns, names, strict=True):
        if batch.is_text:
            partitions.append(_parsed(column, name, batch, _PARTITION))
            continue
        if not pa.types.is_integer(column.type):
            raise FileError(
                f"{batch.file}: column {name!r} has the type {column.type}; {_PARTITION.advice}"
            )
        _check_no_null(column, name, batch, _PARTITION)
        partitions.append(column.to_numpy())
    return partitions


def _is_number_type(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )


def _is_list_type(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in tests)


def _check_no_null(column: Any, name: str, batch: Batch, number: _NumberKind) -> None:
    if column.null_count:
        row = batch.first_row + _first_null(column)
        raise FileError(
            f"{batch.file}: column {name!r} has nulls, the first in row {row} (from 0); "
            f"{number.advice}"
        )


def _first_null(column: Any) -> int:
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def _parsed(column: Any, name: str, batch: Batch, number: _NumberKind) -> NDArray[Any]:
    """The numbers in a column of text; the first field that is not one is named."""
    import pyarrow as pa
    from pyarrow import compute

    kind = pa.from_numpy_dtype(number.dtype)
    try:
        try:
            numbers = column.cast(kind)
        except pa.ArrowInvalid:
            numbers = compute.utf8_trim_whitespace(column).cast(kind)
    except pa.ArrowInvalid:
        values = []
        for row, field in enumerate(column.to_pylist(), batch.first_row):
            try:
                values.append(number.convert(field))
            except ValueError as error:
                advice = number.advice
                if set(field.strip()) & set(";\t| "):
                    separator = "tabs" if ".tsv" in batch.file.lower() else "commas"
                    advice = f"fields must be separated by {separator}"
                raise NotNumbersError(
                    f"{batch.file}: {field[:_SHOWN_CHARACTERS]!r} in row {row} (from 0), column "
                    f"{name!r}, is not {number.noun}; {advice}"
                ) from error
        return np.array(values, number.dtype)
    array: NDArray[Any] = numbers.to_numpy()
    return array
