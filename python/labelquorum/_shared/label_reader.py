"""The one reader of labels: of what users pass as `y`, labels, groups, answers or votes.

`read_labels` takes a column of any library, and returns its distinct labels and each sample's place
among them. This module decides which types it takes and what means "no label"; docs/inputs.md says
so to users.

A column is read in two steps. `_Column.of` finds its distinct values by the means of its own
library; only lists and arrays of objects are gone through value by value. Then `_Rules` checks the
distinct values, usually few, and tells apart those that mean "no label".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import shown
from labelquorum._shared.sealed import check_length, check_stored

Negatives: TypeAlias = Literal["none", "names", "refused"]
"""What negative integers other than -1 are: no labels, names of what is no category, or mistakes.
No category has a negative number."""

NO_LABEL_WORDS = ("", "-1", "nan", "na", "n/a", "#n/a", "none", "null", "<na>")
"""What means "no label" in a file, in any case."""

_NO_LABEL_TEXTS = ("", "-1")  # in memory, where None and NaN are no texts
_TEXT_OF_NAN = "nan"  # what NumPy writes for NaN when it makes texts of a list
_WANTED = "integers, strings or bools, with -1, None or NaN for no label"
_MAX_INT = int(np.iinfo(np.int64).max)
_MAX_UINT = int(np.iinfo(np.uint64).max)
_MAX_EXACT_FLOAT = 2.0**53
_NOT_IN_ARROW = {"Object", "Int128", "UInt128"}  # of the types of polars
_BUILT_IN = {str, int, float, bool, type(None)}
_MISSING_TYPES = {"NAType", "NaTType", "MaskedConstant"}  # of pandas and NumPy


class Labels(NamedTuple):
    """A column of labels, as codes."""

    classes: NDArray[Any]
    """(n_classes,): the distinct labels, sorted: int64 (uint64 if one is 2^63 or more), strings or
    bools. Of mixed kinds, integers come first, in an array of objects."""
    codes: NDArray[np.int32]
    """(n_samples,): the index of each label in `classes`, -1 for no label."""

    def __check_saved__(self) -> None:
        """Raise ValueError unless the parts fit together."""
        check_length(self.classes, "classes", len(self.classes))
        check_stored(self.codes, "codes", np.int32, (None,), (-1, len(self.classes) - 1))

    def as_objects(self) -> NDArray[Any]:
        """Return the labels as Python objects, None for no label."""
        objects = np.full(len(self.classes) + 1, None, dtype=object)  # the last is for code -1
        objects[:-1] = self.classes
        labels: NDArray[Any] = objects[self.codes]
        return labels


def is_no_label_word(text: str) -> bool:
    """Return whether a text in a file means that there is no label."""
    return text.strip().lower() in NO_LABEL_WORDS


def read_labels(
    values: Any,
    name: str,
    *,
    negatives: Negatives = "none",
    mixed: bool = False,
    whole_floats: bool = False,
) -> Labels:
    """Read a column of labels.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        Or a frame with one column.
    name : str
        The name of the argument, for messages.
    negatives : {"none", "names", "refused"}
        What negative integers other than -1 are.
    mixed : bool
        Whether strings and integers may be mixed.
    whole_floats : bool
        Whether whole floats are integers in any case. Beside missing values they always are, since
        NaN makes floats of integers.
    """
    column = _Column.of(values, name)
    classes, code_of_distinct = _Rules(name, negatives, mixed, whole_floats).applied(column)
    # One more entry, the last, is for the place -1.
    codes = np.append(code_of_distinct, -1).astype(np.int32)[column.places]
    return Labels(classes, codes)


def array_of_names(names: list[Any]) -> NDArray[Any]:
    """Return an array that holds the names as they are: none cut, wrapped or turned into text."""
    kinds = set(map(type, names))
    dtype: Any = object
    if kinds <= {int}:
        dtype = np.uint64 if max(names, default=0) > _MAX_INT else np.int64
    elif kinds == {bool}:
        dtype = bool
    # NumPy's own texts end before a NUL, and "nan" would be read as one that NumPy made of NaN.
    elif kinds == {str} and not any(text == _TEXT_OF_NAN or "\0" in text for text in names):
        dtype = str
    return np.array(names, dtype=dtype)


def only_column(values: Any) -> Any:
    """Return the column of a frame that has only one; anything else as it is."""
    columns = getattr(values, "columns", None)
    if columns is None or len(columns) != 1:
        return values
    if hasattr(values, "iloc"):
        return values.iloc[:, 0]
    # Frames of polars list names, tables of pyarrow list columns.
    return values[columns[0]] if isinstance(columns[0], str) else columns[0]


class _Column(NamedTuple):
    distinct: Any
    """(n_distinct,): a sorted array, or a list, in which a value may be repeated."""
    places: NDArray[np.integer[Any]]
    """(n_samples,): the index of each value in `distinct`, -1 where it is missing."""

    @classmethod
    def of(cls, values: Any, name: str) -> _Column:
        if isinstance(values, (Mapping, Set)):
            raise TypeError(f"{name} must be a list or array of labels, got {_type_name(values)}")
        values = only_column(values)
        if getattr(values, "columns", None) is not None:
            raise ValueError(f"{name} must be one column, got a frame of {len(values.columns)}")
        if isinstance(values, np.ma.MaskedArray):
            return cls._of_masked(values, name)
        if isinstance(values, (list, tuple)):
            return cls._of_list(values, name)
        if hasattr(values, "factorize") and not isinstance(values.dtype, np.dtype):  # pandas
            places, distinct = values.factorize()
            return cls(_plain_values(distinct.tolist()), places)
        if hasattr(values, "dictionary_encode"):  # pyarrow
            return cls._of_arrow(values, name)
        if hasattr(values, "to_arrow"):  # polars
            if str(values.dtype) in _NOT_IN_ARROW:
                return cls._of_list(values.to_list(), name)
            return cls._of_arrow(values.to_arrow(), name)
        return cls._of_array(_as_array(values, name), name)

    @classmethod
    def _of_masked(cls, values: Any, name: str) -> _Column:
        _check_is_column(values, name)
        is_shown = ~np.ma.getmaskarray(values)
        places = np.full(len(values), -1, dtype=np.intp)
        shown = cls._of_array(values.data[is_shown], name)
        places[is_shown] = shown.places
        return cls(shown.distinct, places)

    @classmethod
    def _of_arrow(cls, values: Any, name: str) -> _Column:
        if hasattr(values, "combine_chunks"):
            values = values.combine_chunks()
        try:
            encoded = values if hasattr(values, "dictionary") else values.dictionary_encode()
        except NotImplementedError as error:  # nested types
            raise TypeError(f"{name} must hold {_WANTED}, got the type {values.type}") from error
        places = encoded.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
        # A dictionary may hold values that no sample has.
        is_used = np.bincount(places + 1, minlength=len(encoded.dictionary) + 1)[1:] > 0
        place_of = np.append(np.where(is_used, np.cumsum(is_used) - 1, -1), -1)
        values_of_places = encoded.dictionary.to_pylist()
        distinct = [values_of_places[place] for place in np.flatnonzero(is_used)]
        return cls(_plain_values(distinct), place_of[places])

    @classmethod
    def _of_array(cls, array: NDArray[Any], name: str) -> _Column:
        _check_is_column(array, name)
        if array.dtype.kind in "OT":
            return cls._of_list(array.tolist(), name)
        if array.dtype.kind == "U":
            column = cls._of_list(array.tolist(), name)
            # NumPy has written these texts for NaN in a list.
            distinct = [None if text == _TEXT_OF_NAN else text for text in column.distinct]
            return column._replace(distinct=distinct)
        if array.dtype.kind == "S":
            raise TypeError(f"{name} must hold {_WANTED}, got bytes: decode them to strings")
        if array.dtype.kind not in "iufb":
            raise TypeError(f"{name} must hold {_WANTED}, got dtype {array.dtype}")
        return cls(*np.unique(array, return_inverse=True))

    @classmethod
    def _of_list(cls, values: list[Any] | tuple[Any, ...], name: str) -> _Column:
        types = set(map(type, values))
        if not types <= _BUILT_IN:
            values = _plain_values(values)
            types = set(map(type, values))
        if not types <= _BUILT_IN:
            wrong = next(i for i, value in enumerate(values) if type(value) not in _BUILT_IN)
            if isinstance(values[wrong], (list, tuple, np.ndarray)):
                _check_is_column(_as_array(values, name), name)
            raise _unfit(name, values[wrong], wrong)
        if len(types) == 1 and types <= {int, float, bool}:
            array = np.array(values)
            if array.dtype.kind != "O" and (array.dtype.kind == "f") == (types == {float}):
                return cls._of_array(array, name)
        if bool in types and types & {int, float}:
            # True equals 1, so only other numbers can be told from bools.
            for i, value in enumerate(values):
                if value in (0, 1) and type(value) is not bool:
                    raise _unfit(name, value, i, " beside bools")
        place_of = {value: place for place, value in enumerate(dict.fromkeys(values))}
        places = np.fromiter(map(place_of.__getitem__, values), np.intp, len(values))
        return cls(list(place_of), places)

    def position(self, place: int) -> int:
        """Return the first sample with a value."""
        return int((self.places == place).argmax())


class _Rules(NamedTuple):
    """Which values are labels, which mean "no label", and which are refused."""

    name: str
    negatives: Negatives
    mixed: bool
    whole_floats: bool

    def applied(self, column: _Column) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
        """Return the labels, sorted, and the code of each distinct value, -1 for no label."""
        distinct = column.distinct
        if isinstance(distinct, list):
            return self._of_values(distinct, column)
        if distinct.dtype.kind == "b":
            return distinct, np.arange(len(distinct))
        if distinct.dtype.kind == "f":
            distinct = self._as_integers(distinct, column)
        return self._of_integers(distinct, column)

    def _as_integers(self, distinct: NDArray[Any], column: _Column) -> NDArray[np.int64]:
        distinct = distinct.astype(np.float64)
        is_missing = np.isnan(distinct)
        is_whole = (distinct == np.trunc(distinct)) & (np.abs(distinct) <= _MAX_EXACT_FLOAT)
        is_allowed = self.whole_floats or is_missing.any() or (column.places < 0).any()
        wrong = np.flatnonzero(~is_missing & ~(is_whole & is_allowed))
        if len(wrong):
            raise self._unfit_float(distinct[wrong[0]].item(), column, int(wrong[0]))
        return np.where(is_missing, -1.0, distinct).astype(np.int64)

    def _of_integers(
        self, distinct: NDArray[Any], column: _Column
    ) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
        wrong = np.flatnonzero(distinct < -1)
        if len(wrong) and self.negatives == "refused":
            raise self._negative(int(distinct[wrong[0]]), column, int(wrong[0]))
        is_label = distinct != -1 if self.negatives == "names" else distinct >= 0
        codes = np.where(is_label, np.cumsum(is_label) - 1, -1)
        labels = distinct[is_label]
        is_large = labels.dtype.kind == "u" and int(labels.max(initial=0)) > _MAX_INT
        return labels.astype(np.uint64 if is_large else np.int64), codes

    def _of_values(
        self, distinct: list[Any], column: _Column
    ) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
        is_missing = [_is_missing(value) for value in distinct]
        has_gaps = any(is_missing) or bool((column.places < 0).any())
        labels = [
            None if missing else self._label(value, column, place, has_gaps)
            for place, (value, missing) in enumerate(zip(distinct, is_missing, strict=True))
        ]
        self._check_kinds(labels, column)
        names = sorted({x for x in labels if x is not None}, key=lambda x: (isinstance(x, str), x))
        code_of = {name: code for code, name in enumerate(names)} | {None: -1}
        return array_of_names(names), np.array([code_of[x] for x in labels], dtype=np.int64)

    def _label(self, value: Any, column: _Column, place: int, has_gaps: bool) -> Any:
        """Return the label that a value stands for; None for no label."""
        if isinstance(value, float):
            is_whole = value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT
            if not is_whole or not (has_gaps or self.whole_floats):
                raise self._unfit_float(value, column, place)
            value = int(value)
        if isinstance(value, (str, bool)):
            return value
        if not isinstance(value, int) or value > _MAX_UINT:
            hint = ": name such categories by strings" if isinstance(value, int) else ""
            raise _unfit(self.name, value, column.position(place), hint)
        if value < -1 and self.negatives == "refused":
            raise self._negative(value, column, place)
        is_label = value >= 0 or (value < -1 and self.negatives == "names")
        return value if is_label else None

    def _check_kinds(self, labels: list[Any], column: _Column) -> None:
        kinds = {type(label) for label in labels}
        if str not in kinds or not kinds & {int, bool} or (self.mixed and bool not in kinds):
            return
        text, other = (
            next(i for i, x in enumerate(labels) if x is not None and isinstance(x, str) == is_text)
            for is_text in (True, False)
        )
        if isinstance(labels[other], bool):
            raise _unfit(self.name, labels[other], column.position(other), " beside strings")
        raise TypeError(
            f"{self.name} must hold labels of one kind, strings or integers, got mixed types: "
            f"{labels[text]!r} at position {column.position(text)} and {labels[other]!r} at "
            f"position {column.position(other)}"
        )

    def _negative(self, value: int, column: _Column, place: int) -> ValueError:
        return ValueError(
            f"{self.name} must hold integers of at least 0, with -1 for no label, got {value} at "
            f"position {column.position(place)}: name such categories by strings"
        )

    def _unfit_float(self, value: float, column: _Column, place: int) -> TypeError:
        is_exact = value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT
        hint = ': convert them with .astype("int64")' if is_exact else ""
        if any(isinstance(other, str) for other in column.distinct):
            return _unfit(self.name, value, column.position(place))
        dtype = getattr(column.distinct, "dtype", "float")
        return TypeError(
            f"{self.name} must hold integers, got floats ({dtype}), {value!r} at position "
            f"{column.position(place)}{hint}"
        )


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in _NO_LABEL_TEXTS
    return value is None or (isinstance(value, float) and value != value)


def _plain_values(values: Iterable[Any]) -> list[Any]:
    """Return values of Python's own types, as far as possible."""
    return [value if type(value) in _BUILT_IN else _plain(value) for value in values]


def _plain(value: Any) -> Any:
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return None if np.isnat(value) else value
    if hasattr(value, "as_py"):  # a scalar of pyarrow
        return value.as_py()
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # of NumPy or PyTorch
        return value.item()
    return value


def _as_array(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array or rectangular nested lists, got ragged data ({error})"
        ) from error
    if array.ndim == 0 and array.dtype.kind == "O":
        raise TypeError(f"{name} must be a list or array of labels, got {_type_name(values)}")
    return array


def _check_is_column(array: NDArray[Any], name: str) -> None:
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, (n_samples,), got shape {array.shape}")


def _type_name(value: Any) -> str:
    return type(value).__name__


def _unfit(name: str, value: Any, position: int, hint: str = "") -> TypeError:
    return TypeError(
        f"{name} must hold {_WANTED}, got {shown(value)} ({_type_name(value)}) at position "
        f"{position}{hint}"
    )
