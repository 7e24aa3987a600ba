"""Check arguments and convert them for the extension.

Each `as_*` function returns the argument in the form that the extension takes, or raises a
TypeError or ValueError of the form "<name> must be <wanted>, got <found>". An array is copied only
where its type, byte order or layout has to change.

In reading order: partitions, arrays to write to, codebooks, single values, metrics. Samples and
graphs are read in `samples`.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.samples import (
    Points,
    as_array,
    as_frame,
    as_points,
    as_series,
    frame_columns,
)

Column: TypeAlias = NDArray[np.integer[Any]]
Columns: TypeAlias = list[Column]

INT32_MAX = int(np.iinfo(np.int32).max)
_INT64_MAX = int(np.iinfo(np.int64).max)
MAX_PARTITIONS = 65_535
_MAX_THREADS = 4_096
_VALUES_PER_CHECK = 1 << 20


def as_columns(
    partitions: Any, name: str = "partitions", n_partitions: int | None = None
) -> Columns:
    """Return the partitions as a list of 1-D integer arrays of equal length, one per partition.

    Takes a 2-D integer array, a frame that Narwhals knows, or a list or tuple of 1-D integer
    arrays. If `n_partitions` is given, any other number of partitions is an error.
    """
    if isinstance(partitions, (list, tuple)):
        columns = [_as_column(item, f"{name}[{i}]") for i, item in enumerate(partitions)]
    elif (frame := as_frame(partitions)) is not None:
        columns = [
            _as_column(column, f"{name}[{label!r}]") for label, column in frame_columns(frame)
        ]
    else:
        array = _as_integers(partitions, name)
        if array.ndim != 2:
            raise ValueError(
                f"{name} must be 2-D, (n_samples, n_partitions), or a list of 1-D arrays, one per "
                f"partition, got shape {array.shape}"
            )
        columns = list(array.T)
    _check_columns(columns, name, n_partitions)
    return columns


def _check_columns(columns: Columns, name: str, n_partitions: int | None) -> None:
    if not columns:
        raise ValueError(f"{name} must hold at least one partition, got none")
    if len(columns) > MAX_PARTITIONS:
        raise ValueError(
            f"{name} must hold at most {MAX_PARTITIONS} partitions, got {len(columns)}"
        )
    if n_partitions is not None and len(columns) != n_partitions:
        raise ValueError(
            f"{name} must hold {n_partitions} partitions, as this table does, got {len(columns)}"
        )
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise ValueError(
            f"{name} must hold partitions of equal length, got lengths from {min(lengths)} to "
            f"{max(lengths)}"
        )
    if lengths == {0}:
        raise ValueError(f"{name} must hold at least one sample, got none")


def _as_column(value: Any, name: str) -> Column:
    series = as_series(value)
    if series is not None:
        if series.null_count():
            raise TypeError(
                f"{name} must hold integers, got NaN: fill missing values with -1, then convert to "
                "int64"
            )
        value = series.to_numpy()
    array = _as_integers(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, (n_samples,), got shape {array.shape}")
    return array


def _as_integers(value: Any, name: str) -> Column:
    """Return an integer array in native byte order; refuse floats, bools and objects."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be a plain integer array, got a masked array: use .filled(-1)"
        )
    array = as_array(value, name)
    if array.dtype.kind not in "iu":
        # NumPy makes floats of an empty list. Let the caller report that it is empty.
        if array.size == 0 and isinstance(value, (list, tuple)):
            return np.empty(array.shape, dtype=np.int64)
        _refuse_non_integers(array, value, name)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _refuse_non_integers(array: NDArray[Any], value: Any, name: str) -> NoReturn:
    if array.dtype.kind == "O" and array.ndim == 0:
        raise TypeError(f"{name} must be an array of integers, got {type(value).__name__}")
    if array.dtype.kind == "f":
        # Not all of a large array: the message does not need it.
        has_nan = bool(np.isnan(array.flat[:_VALUES_PER_CHECK]).any())
        problem = (
            f"{'NaN' if has_nan else f'floats ({array.dtype})'}: fill missing values with -1, then "
            "convert to int64"
        )
    elif array.dtype.kind == "b":
        problem = "bools: convert with .astype('int8')"
    else:
        problem = f"dtype {array.dtype}"
    raise TypeError(f"{name} must hold integers, got {problem}")


def shown(value: Any) -> str:
    """A value in a message. Lists may be nested too deeply to be shown."""
    try:
        return repr(value)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"


def as_confidence(confidence: Any, n: int) -> NDArray[np.float64] | None:
    """Return the confidence of each sample, finite and not negative; None stays None."""
    if confidence is None:
        return None
    array = as_array(confidence, "confidence")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"confidence must hold numbers, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"confidence must have shape ({n},), got {array.shape}")
    is_valid = np.isfinite(array) & (array >= 0)
    if not is_valid.all():
        raise ValueError(
            f"confidence must hold finite numbers of at least 0, got {array[~is_valid][0]}"
        )
    return array.astype(np.float64)


def as_out(
    out: Any,
    shape: int | tuple[int, ...],
    dtypes: tuple[type[np.integer[Any]], ...],
    inputs: Iterable[NDArray[Any]] = (),
    inputs_name: str = "the partitions",
) -> NDArray[Any]:
    """Return `out`, checked, or a new array of the first dtype where it is None."""
    if isinstance(shape, int):
        shape = (shape,)
    if out is None:
        return np.empty(shape, dtype=dtypes[0])
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype not in dtypes:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"out must have dtype {names}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, got strides {out.strides}")
    if not out.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    if any(np.shares_memory(out, array) for array in inputs):
        raise ValueError(f"out must not share memory with {inputs_name}")
    return out


def as_eligible(eligible: Any, n: int) -> NDArray[np.uint8] | None:
    """Return the mask as bytes, 0 or 1; None stays None."""
    if eligible is None:
        return None
    array = as_array(eligible, "eligible")
    if array.dtype != np.bool_:
        raise TypeError(f"eligible must have dtype bool, got {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"eligible must have shape ({n},), got {array.shape}")
    return np.ascontiguousarray(array).view(np.uint8)


def as_codebooks(
    codebooks: Any, columns: Any, n_features: int
) -> tuple[list[Points], list[NDArray[np.int64] | None]]:
    """Return each codebook's centers, as `as_points` does, and its columns; None for all of X."""
    items = _as_list(codebooks, "codebooks", "arrays of centers")
    columns_of_items = _as_columns_of_codebooks(columns, len(items), n_features)
    centers = []
    for i, (item, numbers) in enumerate(zip(items, columns_of_items, strict=True)):
        n_columns, as_in = n_features, "X has"
        if numbers is not None:
            n_columns, as_in = len(numbers), f"columns[{i}] names"
        centers.append(as_points(item, f"codebooks[{i}]", n_columns, as_in))
    return centers, columns_of_items


def _as_columns_of_codebooks(
    columns: Any, n_codebooks: int, n_features: int
) -> list[NDArray[np.int64] | None]:
    if columns is None:
        return [None] * n_codebooks
    items = _as_list(columns, "columns", "arrays of column numbers, or None for all columns")
    if len(items) != n_codebooks:
        raise ValueError(
            f"columns must hold {n_codebooks} items, as codebooks does, got {len(items)}"
        )
    return [
        None if item is None else _as_column_numbers(item, f"columns[{i}]", n_features)
        for i, item in enumerate(items)
    ]


def _as_list(value: Any, name: str, contents: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list of {contents}, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must hold at least one item, got none")
    if len(value) > MAX_PARTITIONS:
        raise ValueError(f"{name} must hold at most {MAX_PARTITIONS} items, got {len(value)}")
    return list(value)


def _as_column_numbers(value: Any, name: str, n_features: int) -> NDArray[np.int64]:
    array = _as_integers(value, name)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(
            f"{name} must be 1-D with at least one column number, got shape {array.shape}"
        )
    is_outside = (array < 0) | (array >= n_features)
    if is_outside.any():
        raise ValueError(
            f"{name} must hold column numbers of X, 0 to {n_features - 1}, got "
            f"{array[is_outside][0]}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def as_n_threads(n_jobs: Any) -> int:
    """Return the number of threads that `n_jobs` stands for."""
    if n_jobs is None:
        return _core.default_n_threads()
    wanted = f"None, -1 (all available cores) or an integer from 1 to {_MAX_THREADS}"
    n_threads = _as_integer(n_jobs, "n_jobs", wanted)
    if n_threads == -1:
        return _core.available_n_threads()
    if not 1 <= n_threads <= _MAX_THREADS:
        raise ValueError(f"n_jobs must be {wanted}, got {n_threads}")
    return n_threads


def as_min_agree(min_agree: Any, n_partitions: int) -> int:
    """Return the threshold as a number of votes, 1 to n_partitions."""
    wanted = f"a fraction in (0, 1] (a float) or 1 to {n_partitions} votes (an int)"
    return _as_votes(min_agree, "min_agree", n_partitions, 1, wanted)


def as_min_differ(min_differ: Any, n_partitions: int) -> int:
    """Return the threshold as a number of votes, 0 to n_partitions."""
    wanted = f"a fraction in [0, 1] (a float) or 0 to {n_partitions} votes (an int)"
    return _as_votes(min_differ, "min_differ", n_partitions, 0, wanted)


def _as_votes(value: Any, name: str, n_partitions: int, least: int, wanted: str) -> int:
    if isinstance(value, (float, np.floating)):
        if not 0.0 <= value <= 1.0 or (least > 0 and value == 0.0):
            raise ValueError(f"{name} must be {wanted}, got {value}")
        return max(least, math.ceil(float(value) * n_partitions - 1e-9))
    votes = _as_integer(value, name, wanted)
    if not least <= votes <= n_partitions:
        raise ValueError(f"{name} must be {wanted}, got {votes}")
    return votes


def as_fraction(value: Any, name: str) -> float:
    """Return the value as a float in (0, 1]."""
    return _as_float(value, name, "a number in (0, 1]", lambda number: 0 < number <= 1)


def as_level(value: Any, name: str) -> float:
    """Return the value as a float in (0, 1), such as a share of samples that may be misjudged."""
    return _as_float(value, name, "a number in (0, 1)", lambda number: 0 < number < 1)


def as_non_negative(value: Any, name: str) -> float:
    """Return the value as a finite float of at least 0."""
    return _as_float(value, name, "a number of at least 0", lambda number: 0 <= number < math.inf)


def _as_float(value: Any, name: str, wanted: str, is_valid: Callable[[Any], bool]) -> float:
    is_number = isinstance(value, (int, float, np.floating, np.integer))
    if isinstance(value, (bool, np.bool_)) or not is_number:
        raise TypeError(f"{name} must be {wanted}, got {shown(value)} ({type(value).__name__})")
    if not is_valid(value):
        raise ValueError(f"{name} must be {wanted}, got {value}")
    return float(value)


def as_positive(value: Any, name: str) -> int:
    """Return the value as an integer of at least 1, cut to 2^63 - 1."""
    wanted = "an integer of at least 1"
    number = _as_integer(value, name, wanted)
    if number < 1:
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return min(number, _INT64_MAX)


def as_n_partitions(value: Any) -> int:
    """Return the value as a number of partitions that a signature table can hold."""
    number = as_positive(value, "n_partitions")
    if number > MAX_PARTITIONS:
        raise ValueError(f"n_partitions must be from 1 to {MAX_PARTITIONS}, got {number}")
    return number


def as_place(value: Any, name: str, n: int, what: str) -> int:
    """Return the value as an integer from 0 to n - 1, the index of `what`."""
    wanted = f"an integer from 0 to {n - 1} ({what})"
    number = _as_integer(value, name, wanted)
    if not 0 <= number < n:
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def _as_integer(value: Any, name: str, wanted: str) -> int:
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be {wanted}, got {shown(value)} ({type(value).__name__})")


def as_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {_any_of(choices)}, got {shown(value)}")


def _any_of(choices: tuple[str, ...]) -> str:
    *head, last = (repr(choice) for choice in choices)
    return f"{', '.join(head)} or {last}" if head else last


METRICS = ("euclidean", "cosine", "inner_product")
_C_SIGNATURE = "double (const double *a, const double *b, int64_t n_features)"
_NUMBA_SIGNATURE = "(float64*, float64*, int64) -> float64"


def as_metric(metric: Any) -> str | int:
    """Return the metric's name, or the address of the C function that computes it."""
    if isinstance(metric, str):
        as_choice(metric, "metric", METRICS)
        return metric
    wanted = f"one of {', '.join(map(repr, METRICS))} or a C function {_C_SIGNATURE}"
    numba_signature = getattr(metric, "_sig", None)
    if numba_signature is not None and hasattr(metric, "address"):
        if str(numba_signature) != _NUMBA_SIGNATURE:
            raise TypeError(
                f"metric must have the signature {_NUMBA_SIGNATURE}, got {numba_signature}"
            )
        return int(metric.address)
    if hasattr(metric, "argtypes") and hasattr(metric, "restype"):
        return _address_of_ctypes_function(metric, wanted)
    if callable(metric):
        raise TypeError(
            f"metric must be {wanted}, got a Python function, which is too slow to call for every "
            "pair: compile it with "
            'numba.cfunc("float64(CPointer(float64), CPointer(float64), int64)")'
        )
    raise TypeError(f"metric must be {wanted}, got {shown(metric)} ({type(metric).__name__})")


def _address_of_ctypes_function(function: Any, wanted: str) -> int:
    pointers = (ctypes.c_void_p, ctypes.POINTER(ctypes.c_double))
    arguments = function.argtypes
    has_right_types = (
        function.restype is ctypes.c_double
        and arguments is not None
        and len(arguments) == 3
        and arguments[0] in pointers
        and arguments[1] in pointers
        and arguments[2] is ctypes.c_int64
    )
    if not has_right_types:
        names = None if arguments is None else [argument.__name__ for argument in arguments]
        result = getattr(function.restype, "__name__", function.restype)
        raise TypeError(f"metric must be {wanted}, got argtypes {names} and restype {result}")
    return ctypes.cast(function, ctypes.c_void_p).value or 0
