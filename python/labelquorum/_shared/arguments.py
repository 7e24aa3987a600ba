"""Checks and conversions of arguments, in one place.

Every function here returns what the extension wants or raises a TypeError or ValueError that names
the argument, what was found and what is wanted. Nothing is copied unless its byte order has to
change.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum import _core

if TYPE_CHECKING:
    from scipy import sparse

if TYPE_CHECKING:
    pass

Column: TypeAlias = NDArray[np.integer[Any]]
Columns: TypeAlias = list[Column]
Points: TypeAlias = NDArray[np.floating[Any]]

MAX_PARTITIONS = 65_535
_MAX_THREADS = 4_096
_MAX_VALUE = 1e150  # of numbers whose squares are added up
_VALUES_PER_CHECK = 1 << 20
_INT64_MAX = int(np.iinfo(np.int64).max)


def as_columns(
    partitions: Any, name: str = "partitions", n_partitions: int | None = None
) -> Columns:
    """The partitions as 1-D integer arrays of one length in native byte order, one each.

    Takes a 2-D integer array, a pandas or polars DataFrame, or a list or tuple of 1-D integer
    arrays. With `n_partitions`, exactly so many are wanted.
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
                f"{name} has shape {array.shape}; wanted 2-D, (n_samples, n_partitions), or a list "
                "of 1-D arrays, one per partition"
            )
        columns = list(array.T)
    return _checked_columns(columns, name, n_partitions)


def _checked_columns(columns: Columns, name: str, n_partitions: int | None) -> Columns:
    if not columns:
        raise ValueError(f"{name} is empty: it holds no partition; wanted at least one")
    if len(columns) > MAX_PARTITIONS:
        raise ValueError(f"{name} holds {len(columns)} partitions; at most {MAX_PARTITIONS} fit")
    if n_partitions is not None and len(columns) != n_partitions:
        raise ValueError(f"{name} holds {len(columns)} partitions; this table has {n_partitions}")
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise ValueError(
            f"{name} is ragged: partitions of {min(lengths)} to {max(lengths)} samples; wanted one "
            "length"
        )
    if lengths == {0}:
        raise ValueError(f"{name} is empty: it holds no sample; wanted at least one")
    return columns


def _is_data_frame(value: Any) -> bool:
    # Told by the module's name, since neither library may be imported for it.
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "polars") and hasattr(value, "columns")


def _frame_column(frame: Any, i: int) -> Any:
    return frame.iloc[:, i] if hasattr(frame, "iloc") else frame.to_series(i)


def _as_column(value: Any, name: str) -> Column:
    dtype = getattr(value, "dtype", None)
    if hasattr(dtype, "na_value"):  # a pandas extension array
        raise TypeError(
            f"{name} has the extension dtype {dtype}; wanted plain integers: fill what is missing "
            "with -1, then convert with .astype('int64')"
        )
    array = _as_integers(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; wanted 1-D, (n_samples,)")
    return array


def _as_integers(value: Any, name: str) -> Column:
    """The value as an integer array of native byte order; floats, bools and objects are refused."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; wanted integers: use .filled(-1)")
    array = _as_array(value, name)
    kind = array.dtype.kind
    if kind not in "iu":
        # An empty list becomes an array of floats; that it is empty is the better message.
        if array.size == 0 and isinstance(value, (list, tuple)):
            return np.empty(array.shape, dtype=np.int64)
        raise TypeError(f"{name} {_what_is_wrong(array, value)}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _what_is_wrong(array: NDArray[Any], value: Any) -> str:
    if array.dtype.kind == "f":
        # The minimum is NaN if anything is, and needs no array of flags.
        has_nan = array.size > 0 and np.isnan(array.min())
        holds = "holds NaN" if has_nan else f"holds floats ({array.dtype})"
        return (
            f"{holds}; wanted integers, with -1 where a model abstains: fill what is missing with "
            "-1, then convert to int64"
        )
    if array.dtype.kind == "b":
        return "holds bools; wanted integers: convert with .astype('int8')"
    if array.dtype.kind == "O" and array.ndim == 0:
        return f"is a {type(value).__name__}; wanted an array of integers"
    return f"has dtype {array.dtype}; wanted integers"


def as_codes(labels: Any, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    """The distinct labels in order, and each sample's place among them; -1 where it has no label.

    Takes integers, where a negative one is no label, and strings, with None or NaN where there is
    none. Integers come before strings where both are found.
    """
    array = labels if isinstance(labels, np.ma.MaskedArray) else _as_array(labels, name)
    has_own_missing = hasattr(getattr(labels, "dtype", None), "na_value")  # pandas's
    if array.dtype.kind in "OUT" or has_own_missing:
        # NumPy would make strings of a list of strings and numbers, floats of missing integers.
        found, codes = _codes_of_objects(_as_array(labels, name, object), name)
    else:
        column = _as_column(array if array.size else labels, name)
        labeled = column >= 0
        values, places = np.unique(column[labeled], return_inverse=True)
        codes = np.full(len(column), -1, dtype=np.int32)
        codes[labeled] = places
        found = values.tolist()
    if not len(codes):
        raise ValueError(f"{name} is empty: it holds no sample; wanted at least one")
    return found, codes


def _as_array(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    try:
        return np.asarray(value, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"{name} is ragged or no array ({error})") from error


def _codes_of_objects(array: NDArray[Any], name: str) -> tuple[list[Any], NDArray[np.int32]]:
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; wanted 1-D, (n_samples,)")
    distinct: dict[Any, int] = {}
    seen = np.empty(len(array), dtype=np.int32)
    for i, value in enumerate(array.tolist()):
        if isinstance(value, str):
            seen[i] = distinct.setdefault(value, len(distinct))
        elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            seen[i] = distinct.setdefault(value, len(distinct)) if value >= 0 else -1
        elif _is_missing(value):
            seen[i] = -1
        else:
            raise TypeError(
                f"{name} holds {value!r} ({type(value).__name__}) at {i}; wanted strings or "
                "integers, with None or -1 where there is no label"
            )
    found = sorted(distinct, key=lambda value: (isinstance(value, str), value))
    # One more place, the last, for -1.
    places = np.full(len(found) + 1, -1, dtype=np.int32)
    for place, value in enumerate(found):
        places[distinct[value]] = place
    return found, places[seen]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ == "NAType"  # of pandas


def as_texts(texts: Any, name: str = "texts") -> list[str]:
    """The texts as a list of strings; no copy where it is one."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise TypeError(f"{name} is a {type(texts).__name__}; wanted a list or array of strings")
    items = texts if isinstance(texts, list) else list(texts)
    if not items:
        raise ValueError(f"{name} is empty; wanted at least one string")
    for i, item in enumerate(items):
        if not isinstance(item, str):
            raise TypeError(
                f"{name} holds {item!r} ({type(item).__name__}) at {i}; wanted strings, with '' "
                "where there is no text"
            )
    return items


def as_out(
    out: Any,
    shape: int | tuple[int, ...],
    dtypes: tuple[type[np.integer[Any]], ...],
    inputs: Iterable[NDArray[Any]] = (),
    of: str = "the partitions",
) -> NDArray[Any]:
    """The array to write to: given as `out`, else new with the first of the dtypes."""
    if isinstance(shape, int):
        shape = (shape,)
    if out is None:
        return np.empty(shape, dtype=dtypes[0])
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}; wanted a NumPy array")
    if out.dtype not in dtypes:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"out has dtype {out.dtype}; wanted {names}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; wanted {shape}")
    if not out.flags.c_contiguous:
        raise ValueError("out is not contiguous; wanted a C-contiguous array")
    if not out.flags.writeable:
        raise ValueError("out is read-only; wanted a writable array")
    if any(np.shares_memory(out, array) for array in inputs):
        raise ValueError(f"out shares memory with {of}; wanted an array of its own")
    return out


def as_eligible(eligible: Any, n: int) -> NDArray[np.uint8] | None:
    """The mask as bytes of 0 and 1; None stays None."""
    if eligible is None:
        return None
    array = np.asarray(eligible)
    if array.dtype != np.bool_:
        raise TypeError(f"eligible has dtype {array.dtype}; wanted bool")
    if array.shape != (n,):
        raise ValueError(f"eligible has shape {array.shape}; wanted ({n},)")
    return np.ascontiguousarray(array).view(np.uint8)


def as_points(
    values: Any, name: str, n_features: int | None = None, as_in: str = "X has"
) -> Points:
    """The values as a 2-D array of float16, float32 or float64 in native byte order, any strides.

    Integers and bools become float32 where that holds all of their type's values, else float64.
    With `n_features`, exactly so many are wanted; `as_in` says why.
    """
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix; wanted a dense array: use .toarray()")
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; wanted numbers only")
    array = _as_array(values, name)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; wanted 2-D, (n_samples, n_features)")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; wanted at least one row and one column")
    if array.dtype.kind in "iub":
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    elif array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; wanted float16, float32 or float64")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(f"{name} has {array.shape[1]} columns; wanted {n_features}, as {as_in}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_codebooks(
    codebooks: Any, columns: Any, n_features: int
) -> tuple[list[Points], list[NDArray[np.int64] | None]]:
    """The centers of each codebook as `as_points` has them, and the columns they are for."""
    given = _as_list(codebooks, "codebooks", "arrays of centers")
    if columns is None:
        numbers: list[NDArray[np.int64] | None] = [None] * len(given)
    else:
        items = _as_list(columns, "columns", "arrays of column numbers, or None for all of them")
        if len(items) != len(given):
            raise ValueError(f"columns has {len(items)} items; wanted {len(given)}, as codebooks")
        numbers = [
            None if item is None else _as_numbers(item, f"columns[{i}]", n_features)
            for i, item in enumerate(items)
        ]
    return [
        as_points(item, f"codebooks[{i}]", n_features)
        if (chosen := numbers[i]) is None
        else as_points(item, f"codebooks[{i}]", len(chosen), f"columns[{i}] names")
        for i, item in enumerate(given)
    ], numbers


def _as_list(value: Any, name: str, of: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} is a {type(value).__name__}; wanted a list of {of}")
    if not value:
        raise ValueError(f"{name} is empty; wanted at least one item")
    if len(value) > MAX_PARTITIONS:
        raise ValueError(f"{name} holds {len(value)} items; at most {MAX_PARTITIONS} fit")
    return list(value)


def _as_numbers(value: Any, name: str, n_features: int) -> NDArray[np.int64]:
    array = _as_integers(value, name)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}; wanted 1-D, at least one column number")
    wrong = array[(array < 0) | (array >= n_features)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0]}; wanted 0 to {n_features - 1}, columns of X")
    return np.ascontiguousarray(array, dtype=np.int64)


def as_graph(graph: Any, name: str = "graph") -> sparse.csr_array:
    """The graph as a square CSR array with weights of float32 or float64; no copy where it is one.

    Integers and bools become float32 where that holds all of their type's values, else float64.
    What the indices hold is checked by the extension.
    """
    from scipy import sparse

    if not sparse.issparse(graph):
        raise TypeError(
            f"{name} is a {type(graph).__name__}; wanted a SciPy sparse matrix or array"
        )
    if graph.ndim != 2 or graph.shape[0] != graph.shape[1] or graph.shape[0] == 0:
        raise ValueError(f"{name} has shape {graph.shape}; wanted (n_nodes, n_nodes), n_nodes >= 1")
    dtype = graph.dtype
    if dtype.kind in "iub":
        dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    elif dtype.kind != "f" or dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {dtype}; wanted float32 or float64")
    csr = sparse.csr_array(graph)
    if csr.indptr.dtype != csr.indices.dtype:
        csr.indices = csr.indices.astype(csr.indptr.dtype)
    csr.data = np.ascontiguousarray(csr.data, dtype=dtype)
    return csr


def points_of(estimator: Any, values: Any, name: str, *, reset: bool) -> NDArray[np.floating[Any]]:
    """The values as `as_points` has them, their shape and names checked against the estimator's.

    With `reset`, in `fit`, those are what it keeps.
    """
    from sklearn.utils.validation import validate_data

    values = validate_data(estimator, values, reset=reset, dtype="numeric", ensure_all_finite=False)
    return as_points(values, name)


def check_finite(points: NDArray[np.floating[Any]], name: str) -> None:
    """Refuses NaN, infinity and values beyond 1e150, as exact search for neighbours does."""
    step = max(1, _VALUES_PER_CHECK // points.shape[1])
    for begin in range(0, len(points), step):
        values = points[begin : begin + step]
        right = np.isfinite(values)
        if values.dtype == np.float64:
            right &= np.abs(values) <= _MAX_VALUE
        if right.all():
            continue
        row, column = np.argwhere(~right)[0]
        value = values[row, column]
        found = "NaN" if np.isnan(value) else "infinity"
        if np.isfinite(value):
            found = f"a value beyond {_MAX_VALUE:g}"
        raise ValueError(f"{name} holds {found} at row {begin + row}, column {column}")


def as_n_threads(n_jobs: Any) -> int:
    """The number of threads that `n_jobs` means."""
    if n_jobs is None:
        return _core.default_n_threads()
    wanted = f"None, -1 (all cores available) or an integer from 1 to {_MAX_THREADS}"
    n_threads = _as_integer(n_jobs, "n_jobs", wanted)
    if n_threads == -1:
        return _core.available_n_threads()
    if not 1 <= n_threads <= _MAX_THREADS:
        raise ValueError(f"n_jobs is {n_threads}; wanted {wanted}")
    return n_threads


def as_min_agree(min_agree: Any, n_partitions: int) -> int:
    """The threshold in votes, 1 to n_partitions."""
    wanted = f"a fraction in (0, 1] (float) or 1 to {n_partitions} votes (int)"
    return _as_votes(min_agree, "min_agree", n_partitions, 1, wanted)


def as_min_differ(min_differ: Any, n_partitions: int) -> int:
    """The threshold in votes, 0 to n_partitions."""
    wanted = f"a fraction in [0, 1] (float) or 0 to {n_partitions} votes (int)"
    return _as_votes(min_differ, "min_differ", n_partitions, 0, wanted)


def as_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuses what is not among the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; wanted one of {', '.join(choices)}")


METRICS = ("euclidean", "cosine", "inner_product")
_C_METRIC = "double (const double *a, const double *b, int64_t n_features)"
_NUMBA_METRIC = "(float64*, float64*, int64) -> float64"


def as_metric(metric: Any) -> str | int:
    """The name of the metric, or the address of a C function that computes it."""
    if isinstance(metric, str):
        as_choice(metric, "metric", METRICS)
        return metric
    wanted = f"one of {', '.join(METRICS)}, or a C function {_C_METRIC}"
    signature = getattr(metric, "_sig", None)  # of Numba's cfunc
    if signature is not None and hasattr(metric, "address"):
        if str(signature) != _NUMBA_METRIC:
            raise TypeError(f"metric has the signature {signature}; wanted {_NUMBA_METRIC}")
        return int(metric.address)
    if hasattr(metric, "argtypes") and hasattr(metric, "restype"):  # of ctypes
        return _address_of(metric, wanted)
    if callable(metric):
        raise TypeError(
            f"metric is a Python function, which would be called for each pair; wanted {wanted}: "
            'compile it with numba.cfunc("float64(CPointer(float64), CPointer(float64), int64)")'
        )
    raise TypeError(f"metric is {metric!r} ({type(metric).__name__}); wanted {wanted}")


def _address_of(function: Any, wanted: str) -> int:
    pointers = (ctypes.c_void_p, ctypes.POINTER(ctypes.c_double))
    arguments = function.argtypes
    is_right = (
        function.restype is ctypes.c_double
        and arguments is not None
        and len(arguments) == 3
        and arguments[0] in pointers
        and arguments[1] in pointers
        and arguments[2] is ctypes.c_int64
    )
    if not is_right:
        names = None if arguments is None else [argument.__name__ for argument in arguments]
        result = getattr(function.restype, "__name__", function.restype)
        raise TypeError(f"metric has argtypes {names} and restype {result}; wanted {wanted}")
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def as_fraction(value: Any, name: str) -> float:
    """The value as a float in (0, 1]."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.floating, np.integer)
    ):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); wanted a number in (0, 1]")
    if not 0 < value <= 1:
        raise ValueError(f"{name} is {value}; wanted a number in (0, 1]")
    return float(value)


def as_non_negative(value: Any, name: str) -> float:
    """The value as a finite float of at least 0."""
    wanted = "a number of at least 0"
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.floating, np.integer)
    ):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); wanted {wanted}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; wanted {wanted}")
    return float(value)


def _as_votes(value: Any, name: str, n_partitions: int, least: int, wanted: str) -> int:
    if isinstance(value, (float, np.floating)):
        if not 0.0 <= value <= 1.0 or (least > 0 and value == 0.0):
            raise ValueError(f"{name} is {value}; wanted {wanted}")
        return max(least, math.ceil(float(value) * n_partitions - 1e-9))
    votes = _as_integer(value, name, wanted)
    if not least <= votes <= n_partitions:
        raise ValueError(f"{name} is {votes}; wanted {wanted}")
    return votes


def as_positive(value: Any, name: str) -> int:
    """The value as an integer from 1 to 2^63 - 1; a larger one means the same as that."""
    number = _as_integer(value, name, "an integer of at least 1")
    if number < 1:
        raise ValueError(f"{name} is {number}; wanted an integer of at least 1")
    return min(number, _INT64_MAX)


def as_place(value: Any, name: str, n: int, what: str) -> int:
    """The value as an integer from 0 to n - 1; `what` says of what."""
    wanted = f"0 to {n - 1}: {what}"
    number = _as_integer(value, name, wanted)
    if not 0 <= number < n:
        raise ValueError(f"{name} is {number}; wanted {wanted}")
    return number


def _as_integer(value: Any, name: str, wanted: str) -> int:
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} is {value!r} ({type(value).__name__}); wanted {wanted}")


def as_confidence(confidence: Any, n: int) -> NDArray[np.float64] | None:
    """The confidence of each sample, not negative; None stays None."""
    if confidence is None:
        return None
    array = np.asarray(confidence)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"confidence has dtype {array.dtype}; wanted numbers")
    if array.shape != (n,):
        raise ValueError(f"confidence has shape {array.shape}; wanted ({n},)")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError("confidence holds NaN, infinity or a negative value; wanted 0 or more")
    return array.astype(np.float64)
