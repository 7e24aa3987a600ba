"""Check arguments and convert them for the extension.

Each `as_*` function returns the argument in the form that the extension takes, or raises a
TypeError or ValueError of the form "<name> must be <wanted>, got <found>". An array is copied only
where its type, byte order or layout has to change.

In reading order: partitions and labels, arrays to write to, points and codebooks, graphs, single
values, metrics.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core

if TYPE_CHECKING:
    from scipy import sparse

Column: TypeAlias = NDArray[np.integer[Any]]
Columns: TypeAlias = list[Column]
Points: TypeAlias = NDArray[np.floating[Any]]

INT32_MAX = int(np.iinfo(np.int32).max)
_INT64_MAX = int(np.iinfo(np.int64).max)
MAX_PARTITIONS = 65_535
_MAX_THREADS = 4_096
_MAX_VALUE = 1e150  # The squares of larger values could overflow in a sum.
_VALUES_PER_CHECK = 1 << 20


def as_columns(
    partitions: Any, name: str = "partitions", n_partitions: int | None = None
) -> Columns:
    """Return the partitions as a list of 1-D integer arrays of equal length, one per partition.

    Takes a 2-D integer array, a pandas or polars DataFrame, or a list or tuple of 1-D integer
    arrays. If `n_partitions` is given, any other number of partitions is an error.
    """
    if isinstance(partitions, (list, tuple)):
        columns = [_as_column(item, f"{name}[{i}]") for i, item in enumerate(partitions)]
    elif _is_data_frame(partitions):
        columns = [
            _as_column(_frame_column(partitions, i), f"{name}[{label!r}]")
            for i, label in enumerate(partitions.columns)
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


def _is_data_frame(value: Any) -> bool:
    # By the name of its module: importing pandas or polars only to ask would be slow.
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "polars") and hasattr(value, "columns")


def _frame_column(frame: Any, i: int) -> Any:
    return frame.iloc[:, i] if hasattr(frame, "iloc") else frame.to_series(i)


def _as_column(value: Any, name: str) -> Column:
    dtype = getattr(value, "dtype", None)
    if hasattr(dtype, "na_value"):  # a pandas extension array
        raise TypeError(
            f"{name} must hold plain integers, got the extension dtype {dtype}: fill missing "
            "values with -1, then convert with .astype('int64')"
        )
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
    array = _as_array(value, name)
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


def as_codes(labels: Any, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the distinct labels in order, and each sample's index among them.

    The index is -1 where a sample has no label. Labels are integers, negative for "no label", or
    strings, None or NaN for "no label". If there are both, integers come before strings.
    """
    array = labels if isinstance(labels, np.ma.MaskedArray) else _as_array(labels, name)
    is_nullable = hasattr(getattr(labels, "dtype", None), "na_value")  # a pandas extension array
    if array.dtype.kind in "OUT" or is_nullable:
        # NumPy turns a list of strings and numbers into strings, and nullable integers into floats.
        distinct_labels, codes = _codes_of_objects(_as_array(labels, name, object), name)
    else:
        column = _as_column(array if array.size else labels, name)
        is_labeled = column >= 0
        distinct, indices = np.unique(column[is_labeled], return_inverse=True)
        codes = np.full(len(column), -1, dtype=np.int32)
        codes[is_labeled] = indices
        distinct_labels = distinct.tolist()
    if not len(codes):
        raise ValueError(f"{name} must hold at least one sample, got none")
    return distinct_labels, codes


def _as_array(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    try:
        return np.asarray(value, dtype=dtype)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array or rectangular nested lists, got ragged data ({error})"
        ) from error


def _codes_of_objects(array: NDArray[Any], name: str) -> tuple[list[Any], NDArray[np.int32]]:
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, (n_samples,), got shape {array.shape}")
    first_seen: dict[Any, int] = {}  # each label's number in order of first appearance
    numbers = np.empty(len(array), dtype=np.int32)
    for i, value in enumerate(array.tolist()):
        if isinstance(value, str):
            numbers[i] = first_seen.setdefault(value, len(first_seen))
        elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            numbers[i] = first_seen.setdefault(value, len(first_seen)) if value >= 0 else -1
        elif _is_missing(value):
            numbers[i] = -1
        else:
            raise TypeError(
                f"{name} must hold strings or integers, with None or -1 for no label, got "
                f"{value!r} ({type(value).__name__}) at position {i}"
            )
    labels = sorted(first_seen, key=lambda value: (isinstance(value, str), value))
    # One more entry, the last, maps -1 to -1.
    codes_of_numbers = np.full(len(labels) + 1, -1, dtype=np.int32)
    for code, label in enumerate(labels):
        codes_of_numbers[first_seen[label]] = code
    return labels, codes_of_numbers[numbers]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ == "NAType"  # pandas.NA


def as_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return the texts as a list of strings; a list is returned as it is."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be a list or array of strings, got {type(texts).__name__}")
    items = texts if isinstance(texts, list) else list(texts)
    if not items:
        raise ValueError(f"{name} must hold at least one string, got none")
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(
                f"{name} must hold strings, with '' where there is no text, got {item!r} "
                f"({type(item).__name__}) at position {i}"
            )
    return items


def as_confidence(confidence: Any, n: int) -> NDArray[np.float64] | None:
    """Return the confidence of each sample, finite and not negative; None stays None."""
    if confidence is None:
        return None
    array = np.asarray(confidence)
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
    array = np.asarray(eligible)
    if array.dtype != np.bool_:
        raise TypeError(f"eligible must have dtype bool, got {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"eligible must have shape ({n},), got {array.shape}")
    return np.ascontiguousarray(array).view(np.uint8)


def as_points(
    values: Any, name: str, n_features: int | None = None, as_in: str = "X has"
) -> Points:
    """Return a 2-D array of float16, float32 or float64 in native byte order, with any strides.

    Integers and bools become float32 if it holds every value of their type, otherwise float64. If
    `n_features` is given, any other number of columns is an error, whose message says "as {as_in}".
    """
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name} must be a dense array, got a sparse matrix: use .toarray()")
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array of numbers, got a masked array")
    array = _as_array(values, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (n_samples, n_features), got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(
            f"{name} must have at least one row and one column, got shape {array.shape}"
        )
    array = array.astype(_float_dtype(array.dtype, name), copy=False)
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(f"{name} must have {n_features} columns, as {as_in}, got {array.shape[1]}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _float_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Return the dtype itself if it is a float's; float32 or float64 for integers and bools."""
    if dtype.kind in "iub":
        return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise TypeError(
            f"{name} must hold floats of at most 64 bits, integers or bools, got dtype {dtype}"
        )
    return dtype


def validated_points(estimator: Any, values: Any, name: str, *, reset: bool) -> Points:
    """Return the values as `as_points` does, after scikit-learn's `validate_data`.

    With `reset`, as in `fit`, the estimator stores their number and names of features; otherwise
    those must match.
    """
    from sklearn.utils.validation import validate_data

    values = validate_data(estimator, values, reset=reset, dtype="numeric", ensure_all_finite=False)
    return as_points(values, name)


def check_finite(points: Points, name: str) -> None:
    """Refuse NaN, infinity and values beyond 1e150, as the exact search for neighbors does."""
    n_rows = max(1, _VALUES_PER_CHECK // points.shape[1])
    for begin in range(0, len(points), n_rows):
        values = points[begin : begin + n_rows]
        is_valid = np.isfinite(values)
        if values.dtype == np.float64:
            is_valid &= np.abs(values) <= _MAX_VALUE
        if is_valid.all():
            continue
        row, column = np.argwhere(~is_valid)[0]
        value = values[row, column]
        wanted = f"at most {_MAX_VALUE:g} in magnitude" if np.isfinite(value) else "finite"
        raise ValueError(
            f"{name} must be {wanted}, got {_in_words(value)} at row {begin + row}, column {column}"
        )


def _in_words(value: np.floating[Any]) -> str:
    if np.isnan(value):
        return "NaN"
    return f"{value:g}" if np.isfinite(value) else "infinity"


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


def as_graph(graph: Any, name: str = "graph") -> sparse.csr_array:
    """Return a square CSR array with float32 or float64 weights; copy nothing if it is one.

    Integers and bools become float32 if it holds every value of their type, otherwise float64. The
    extension checks the indices.
    """
    from scipy import sparse

    if not sparse.issparse(graph):
        raise TypeError(
            f"{name} must be a SciPy sparse matrix or array, got {type(graph).__name__}"
        )
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1] or graph.shape[0] == 0:
        raise ValueError(
            f"{name} must be square, (n_nodes, n_nodes), with at least one node, got shape "
            f"{graph.shape}"
        )
    dtype = _float_dtype(graph.dtype, name)
    csr = sparse.csr_array(graph)
    if csr.indptr.dtype != csr.indices.dtype:
        csr.indices = csr.indices.astype(csr.indptr.dtype)
    csr.data = np.ascontiguousarray(csr.data, dtype=dtype)
    return csr


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


def as_non_negative(value: Any, name: str) -> float:
    """Return the value as a finite float of at least 0."""
    return _as_float(value, name, "a number of at least 0", lambda number: 0 <= number < math.inf)


def _as_float(value: Any, name: str, wanted: str, is_valid: Callable[[Any], bool]) -> float:
    is_number = isinstance(value, (int, float, np.floating, np.integer))
    if isinstance(value, (bool, np.bool_)) or not is_number:
        raise TypeError(f"{name} must be {wanted}, got {value!r} ({type(value).__name__})")
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
    raise TypeError(f"{name} must be {wanted}, got {value!r} ({type(value).__name__})")


def as_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {_any_of(choices)}, got {value!r}")


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
    raise TypeError(f"metric must be {wanted}, got {metric!r} ({type(metric).__name__})")


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
