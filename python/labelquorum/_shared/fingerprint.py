"""Fingerprints of values: equal values have the same one, in any process.

A folder of finished results stores the fingerprint of all that the results depend on. It must not
depend on where or how a value is stored: the order of the axes, the byte order, the order of a
dict, the form of a sparse matrix. So values are brought into one form first, and then hashed by
joblib.
"""

from __future__ import annotations

import functools
import pickle
import sys
from types import CodeType, FunctionType
from typing import Any

import joblib
import numpy as np
from scipy import sparse


def fingerprint(value: Any, name: str) -> str:
    """Return the fingerprint of a value, 40 hexadecimal digits.

    Parameters
    ----------
    value : object
        - Arrays: by type, shape and content. Arrays of objects: by what the objects are.
        - Sparse matrices: by type, shape and entries. An explicit zero is an entry.
        - Data frames (pandas, polars, pyarrow): by the names, types and values of their columns.
        - Estimators: by class, version of its package, and parameters; what they learned does not
          count.
        - Functions: by name, code, default values and the variables that they enclose; not by the
          global variables that they use.
        - Lists, tuples, sets and dicts: by what they hold.
        - Anything else: by its pickle.
    name : str
        For error messages.

    Raises
    ------
    TypeError
        If a value cannot be pickled.
    """
    try:
        digest: str = joblib.hash(_by_value(value), hash_name="sha1")
    except (pickle.PicklingError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TypeError(
            f"{name} must hold values that can be pickled if a directory is given, got "
            f"{' '.join(str(error).split())}: leave out the directory, or use functions and "
            "objects of a module"
        ) from error
    return digest


def _by_value(value: Any) -> Any:
    """Return a nest of tuples, lists and arrays, the same for equal values."""
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if sparse.issparse(value):
        return _entries(value)
    if np.ma.isMaskedArray(value):
        return "masked", _array(np.ma.getdata(value)), _array(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, (list, tuple)):
        return "sequence", [_by_value(item) for item in value]
    if isinstance(value, dict):
        return "dict", {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return "set", sorted(joblib.hash(_by_value(item)) for item in value)
    if isinstance(value, FunctionType):
        return _function(value)
    if isinstance(value, functools.partial):
        return "partial", _by_value(value.func), _by_value(value.args), _by_value(value.keywords)
    if isinstance(value, type):
        return "class", _class_name(value)
    if hasattr(value, "get_params"):
        return "estimator", _class(type(value)), _by_value(value.get_params(deep=False))
    if hasattr(value, "columns"):
        return _columns(value)
    if hasattr(value, "__array__"):
        return _array(np.asarray(value))
    return value


def _array(array: Any) -> Any:
    if array.dtype.hasobject:
        return "objects", array.shape, [_by_value(item) for item in array.ravel().tolist()]
    native = array.dtype.newbyteorder("=")
    flat = np.ascontiguousarray(np.asarray(array), dtype=native).reshape(-1)
    # joblib hashes strides, too. Those of a single value may be anything.
    return "array", array.shape, flat if flat.size > 1 else flat.copy()


def _entries(matrix: Any) -> Any:
    """Return the entries row by row, each place once."""
    rows = sparse.csr_array(matrix)
    if not rows.has_canonical_format:
        rows = rows.copy()  # The arrays may be those of the caller.
        rows.sum_duplicates()
    indices, indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return "sparse", rows.shape, _array(rows.data), indices, indptr


def _columns(frame: Any) -> Any:
    """Return the names, types and values of the columns of a data frame."""
    if hasattr(frame, "iloc"):  # pandas
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        return (
            "frame",
            [_by_value(name) for name in frame.columns],
            [str(column.dtype) for column in columns],
            [_array(column.to_numpy()) for column in columns],
        )
    import pyarrow as pa

    table = pa.table(frame)
    return (
        "frame",
        table.column_names,
        [str(column.type) for column in table.columns],
        [_array(column.to_numpy()) for column in table.columns],
    )


def _class(of: type) -> Any:
    """Return the name of a class, and the code of its methods where no version stands for it."""
    methods = [
        (base.__qualname__, name, _function(item))
        for base in of.__mro__
        if base.__module__ != "builtins" and not _class_name(base)[-1]
        for name, item in vars(base).items()
        if isinstance(item, FunctionType)
    ]
    return _class_name(of), methods


def _class_name(of: type) -> tuple[str, str, str]:
    """Return the module and name of a class, and the version of its package."""
    package = sys.modules.get(of.__module__.partition(".")[0])
    return of.__module__, of.__qualname__, str(getattr(package, "__version__", ""))


def _function(function: FunctionType) -> Any:
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return (
        "function",
        (function.__module__, function.__qualname__),
        _code(function.__code__),
        _by_value(function.__defaults__),
        _by_value(function.__kwdefaults__),
        _by_value(cells),
    )


def _code(code: CodeType) -> Any:
    """Return what a function does, wherever it is written down."""
    constants = [
        _code(item) if isinstance(item, CodeType) else _by_value(item) for item in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, constants
