"""The one reader of samples and graphs: every function and estimator takes them through here.

`as_samples`, `as_points` and `as_graph` serve functions, `validated_samples` serves estimators.
What any library holds in memory becomes a NumPy array; frames, lists and tensors are accepted, and
masked arrays, text and dates refused. Sparse matrices become CSR. Their indices are checked first:
SciPy trusts them, and would read and write out of bounds.
"""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

Points: TypeAlias = NDArray[np.floating[Any]]
Samples: TypeAlias = "Points | sparse.csr_array"

_MAX_VALUE = 1e150  # The squares of larger values could overflow in a sum.
_VALUES_PER_CHECK = 1 << 20
_CPU_DEVICES = (1, 3, 11)  # of DLPack: memory of the CPU, also pinned by CUDA or ROCm
_WANTED_DTYPES = "floats of at most 64 bits, integers or bools"
_COMPRESSED_FORMATS = ("csr", "csc", "bsr")


def as_points(
    values: Any, name: str, n_features: int | None = None, as_in: str = "X has"
) -> Points:
    """Return a 2-D array of float16, float32 or float64 in native byte order, with any strides.

    Integers and bools become float32 if it holds every value of their type, otherwise float64. If
    `n_features` is given, any other number of columns is an error, whose message says "as {as_in}".
    """
    samples = _read(values, name)[0]
    if not isinstance(samples, np.ndarray):
        raise TypeError(f"{name} must be a dense array, got a sparse matrix: use .toarray()")
    points: Points = _as_floats(samples, name, n_features, as_in)
    return points


def as_samples(
    values: Any, name: str, n_features: int | None = None, as_in: str = "X has"
) -> Samples:
    """Return what `as_points` does; for sparse samples a CSR array of float32 or float64.

    The rows of the CSR array are sorted and hold each column at most once.
    """
    return _as_floats(_read(values, name)[0], name, n_features, as_in)


def _as_floats(samples: Any, name: str, n_features: int | None, as_in: str) -> Any:
    if samples.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (n_samples, n_features), got shape {samples.shape}")
    if 0 in samples.shape:
        raise ValueError(
            f"{name} must have at least one row and one column, got shape {samples.shape}"
        )
    samples = samples.astype(_float_dtype(samples.dtype, name), copy=False)
    if n_features is not None and samples.shape[1] != n_features:
        raise ValueError(
            f"{name} must have {n_features} columns, as {as_in}, got {samples.shape[1]}"
        )
    return samples


def validated_samples(
    estimator: Any,
    values: Any,
    *,
    reset: bool,
    name: str = "X",
    accept_sparse: bool = True,
    **checks: Any,
) -> Any:
    """Return samples for an estimator: an array, or CSR with `accept_sparse`.

    It does what scikit-learn's `validate_data` does: with `reset`, as in `fit`, the estimator
    stores the number and names of features; otherwise those must match. `checks` are arguments of
    `check_array`; without a `dtype`, values keep their type.
    """
    from sklearn.utils.validation import check_array, validate_data

    samples, frame = _read(values, name)
    if samples.dtype.kind == "c":  # scikit-learn's checks want its words, and a ValueError
        raise ValueError(
            f"Complex data not supported: {name} must hold {_WANTED_DTYPES}, got dtype "
            f"{samples.dtype}"
        )
    _float_dtype(samples.dtype, name)
    checked = check_array(
        samples,
        accept_sparse="csr" if accept_sparse else False,
        estimator=estimator,
        input_name=name,
        **({"dtype": "numeric"} | checks),
    )
    validate_data(
        estimator, samples if frame is None else frame, reset=reset, skip_check_array=True
    )
    return checked


def validated_points(estimator: Any, values: Any, name: str, *, reset: bool) -> Samples:
    """Return the samples as `as_samples` does, after `validated_samples`; finite or not."""
    samples = validated_samples(estimator, values, reset=reset, name=name, ensure_all_finite=False)
    return as_samples(samples, name)


def in_form_of(points: Samples, queries: Samples) -> Samples:
    """Return the queries as a dense array if the points are one, otherwise as CSR."""
    if isinstance(points, np.ndarray):
        return queries if isinstance(queries, np.ndarray) else queries.toarray()
    if not isinstance(queries, np.ndarray):
        return queries
    from scipy import sparse

    return sparse.csr_array(queries.astype(np.promote_types(queries.dtype, np.float32)))


def check_finite(points: Samples, name: str) -> None:
    """Refuse NaN, infinity and values beyond 1e150, as the exact search for neighbors does."""
    if not isinstance(points, np.ndarray):
        _check_finite_entries(points, name)
        return
    n_rows = max(1, _VALUES_PER_CHECK // points.shape[1])
    for begin in range(0, len(points), n_rows):
        values = points[begin : begin + n_rows]
        is_valid = _is_valid(values)
        if not is_valid.all():
            row, column = np.argwhere(~is_valid)[0]
            raise _not_finite(name, values[row, column], begin + row, column)


def _check_finite_entries(samples: sparse.csr_array, name: str) -> None:
    wrong = np.flatnonzero(~_is_valid(samples.data))
    if len(wrong):
        row = int(np.searchsorted(samples.indptr, wrong[0], side="right")) - 1
        raise _not_finite(name, samples.data[wrong[0]], row, samples.indices[wrong[0]])


def _is_valid(values: Points) -> NDArray[np.bool_]:
    is_valid: NDArray[np.bool_] = np.isfinite(values)
    if values.dtype == np.float64:
        is_valid &= np.abs(values) <= _MAX_VALUE
    return is_valid


def _not_finite(name: str, value: Any, row: int, column: int) -> ValueError:
    wanted = f"at most {_MAX_VALUE:g} in magnitude" if np.isfinite(value) else "finite"
    return ValueError(
        f"{name} must be {wanted}, got {_in_words(value)} at row {row}, column {column}"
    )


def _in_words(value: np.floating[Any]) -> str:
    if np.isnan(value):
        return "NaN"
    return f"{value:g}" if np.isfinite(value) else "infinity"


def as_graph(graph: Any, name: str = "graph") -> sparse.csr_array:
    """Return a square CSR array with float32 or float64 weights; copy nothing if it is one.

    float16, bools and integers become float32 if it holds every value of their type, otherwise
    float64. Rows may be unsorted, and hold an edge more than once.
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
    return _checked_csr(graph, name, found="an edge to node")


def as_array(values: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """Return the values as a NumPy array of any type; refuse masked arrays and ragged lists."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be a plain array of numbers, got a masked array: fill in what is "
            "masked, or drop it"
        )
    if isinstance(values, (list, tuple)):
        return _array_of_list(values, name, dtype)
    if hasattr(values, "__dlpack_device__") and not isinstance(values, np.ndarray):
        values = _array_of_tensor(values, name)
    return np.asarray(values, dtype=dtype)


def _array_of_list(values: list[Any] | tuple[Any, ...], name: str, dtype: Any) -> NDArray[Any]:
    # NumPy would drop the masks of rows, and cannot read every tensor.
    items = [
        as_array(item, f"{name}[{i}]")
        if isinstance(item, np.ma.MaskedArray) or hasattr(item, "__dlpack_device__")
        else item
        for i, item in enumerate(values)
    ]
    try:
        return np.asarray(items, dtype=dtype)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array or rectangular nested lists, got ragged data ({error})"
        ) from error


def _array_of_tensor(tensor: Any, name: str) -> NDArray[Any]:
    """Read an array of another library, which shares its memory where it can (DLPack)."""
    if hasattr(tensor, "detach"):  # PyTorch exports no tensor that requires a gradient
        tensor = tensor.detach()
    if (
        str(getattr(tensor, "dtype", "")) == "torch.bfloat16"
    ):  # a type that NumPy lacks; float32 holds its values
        tensor = tensor.float()
    try:
        is_in_cpu_memory = tensor.__dlpack_device__()[0] in _CPU_DEVICES
    except ValueError:  # a device that DLPack has no number for
        is_in_cpu_memory = False
    if not is_in_cpu_memory:
        raise TypeError(
            f"{name} must be in the memory of the CPU, got a {type(tensor).__name__} on "
            f"{getattr(tensor, 'device', 'another device')}: copy it there first, for example "
            "with .cpu()"
        )
    try:
        array = np.asarray(tensor) if hasattr(tensor, "__array__") else np.from_dlpack(tensor)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(
            f"{name} must be a dense array of numbers, got a {type(tensor).__name__} that NumPy "
            f"cannot read ({error})"
        ) from error
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _read(values: Any, name: str) -> tuple[Any, Any]:
    """Return samples as an array of numbers or CSR, and the frame that names their columns.

    The frame, pandas' or one that Narwhals knows, is None if the samples came as anything else.
    """
    if hasattr(values, "tocsr"):
        return _sparse_rows(values, name), None
    frame = None if isinstance(values, np.ndarray) else as_frame(values)
    if frame is None:
        return _numbers(as_array(values, name), name), None
    if _is_sparse_frame(frame):
        return _sparse_rows(frame.sparse.to_coo(), name), frame
    array = _array_of_frame(frame, name)
    # A matrix in one column of lists has no names, and repeated names are none.
    has_names = array.shape[1] == frame.shape[1] and getattr(frame.columns, "is_unique", True)
    return array, frame if has_names else None


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the array in native byte order, with numbers for objects; any type may come out."""
    if array.ndim == 0 and array.dtype.kind in "OSU":  # a string, None, a dict, whatever
        raise TypeError(
            f"{name} must be an array of numbers with a row for each sample, got "
            f"{type(array.item()).__name__}"
        )
    if array.dtype.kind == "O":
        array = _numbers_of_objects(array, name)
    if array.dtype.kind not in "iufc":
        return array
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _numbers_of_objects(array: NDArray[Any], name: str, column: Any = None) -> NDArray[Any]:
    """Return an array of float64, given one of Python's numbers, or of equally long lists."""
    if array.ndim == 1 and len(array) and isinstance(array[0], (list, tuple, np.ndarray)):
        joined = _array_of_list(array.tolist(), name, None)
        if joined.ndim > 1:
            return _numbers(joined, name)
    items = array.ravel().tolist()
    wrong_types = {kind for kind in set(map(type, items)) if not _is_real(kind)}
    if wrong_types:
        i, item = next((i, item) for i, item in enumerate(items) if type(item) in wrong_types)
        raise _not_a_number(item, name, _place(np.unravel_index(i, array.shape), column))
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise ValueError(
            f"{name} must be at most {_MAX_VALUE:g} in magnitude, got a larger integer"
        ) from error


def _is_real(kind: type) -> bool:
    return issubclass(kind, (numbers.Real, Decimal, np.bool_))


def _place(index: tuple[Any, ...], column: Any) -> str:
    if column is not None:
        return f"in column {column!r}, row {index[0]}"
    return f"at row {index[0]}" + "".join(f", column {place}" for place in index[1:2])


def _not_a_number(item: Any, name: str, place: str) -> Exception:
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return _missing(name, place)
    reason = ""
    try:
        float(item)
    except (TypeError, ValueError) as error:
        reason = f" ({error})"
    return TypeError(
        f"{name} must hold {_WANTED_DTYPES}, got {item!r:.80} of type {type(item).__name__} "
        f"{place}{reason}"
    )


def _missing(name: str, place: str) -> ValueError:
    return ValueError(
        f"{name} must have no missing values, got one {place}: fill it in or drop the row"
    )


def _float_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Return the dtype itself if it is a float's; float32 or float64 for integers and bools."""
    if dtype.kind in "iub":
        return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise TypeError(f"{name} must hold {_WANTED_DTYPES}, got dtype {dtype}")
    return dtype.newbyteorder("=")


def as_frame(values: Any) -> Any:
    """Return the frame that Narwhals knows, or that a stream of Arrow's holds; None if it is none.

    Narwhals is imported only for what may be a frame.
    """
    kind = type(values)  # a lazy frame would have to work to answer
    if not (hasattr(kind, "columns") or hasattr(kind, "__arrow_c_stream__")):
        return None
    import narwhals

    if narwhals.dependencies.is_narwhals_dataframe(values):
        values = values.to_native()
    if narwhals.dependencies.is_into_dataframe(values):
        return values
    is_series = isinstance(values, narwhals.Series) or narwhals.dependencies.is_into_series(values)
    if is_series or not hasattr(values, "__arrow_c_stream__"):
        return None
    import pyarrow

    return pyarrow.table(values)  # record batches, and what streams them


def frame_columns(frame: Any) -> list[tuple[Any, Any]]:
    """Return the label of each column of a frame, and the column as a series of Narwhals."""
    import narwhals

    if hasattr(frame, "iloc"):  # pandas, whose labels may repeat, which Narwhals refuses
        natives = [frame.iloc[:, i] for i in range(frame.shape[1])]
        series = [narwhals.from_native(native, series_only=True) for native in natives]
        return list(zip(frame.columns, series, strict=True))
    columns = narwhals.from_native(frame, eager_only=True).iter_columns()
    return [(column.name, column) for column in columns]


def as_series(values: Any) -> Any:
    """Return a series of pandas, polars or Arrow as one of Narwhals; None if it is none."""
    if isinstance(values, np.ndarray) or not (
        hasattr(values, "dtype") or hasattr(values, "__arrow_c_stream__")
    ):
        return None
    import narwhals

    if not isinstance(values, narwhals.Series) and not narwhals.dependencies.is_into_series(values):
        return None
    return narwhals.from_native(values, series_only=True, pass_through=True)


def _is_sparse_frame(frame: Any) -> bool:
    if not hasattr(frame, "iloc") or not frame.shape[1]:
        return False
    return all(type(dtype).__name__ == "SparseDtype" for dtype in frame.dtypes)


def _array_of_frame(frame: Any, name: str) -> NDArray[Any]:
    """Return the columns side by side; refuse missing values by the name of their column."""
    dtypes = list(frame.dtypes) if hasattr(frame, "iloc") else []
    if dtypes and dtypes[0] in (np.float32, np.float64) and dtypes.count(dtypes[0]) == len(dtypes):
        array: NDArray[Any] = frame.to_numpy()  # without a copy
        labels = list(frame.columns)
    else:
        columns = frame_columns(frame)
        labels = [label for label, _ in columns]
        arrays = [_array_of_column(column, label, name) for label, column in columns]
        if len(arrays) == 1:
            array = arrays[0].reshape(len(arrays[0]), -1)
        else:
            array = _side_by_side(arrays, labels, frame.shape, name)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, place = np.argwhere(~np.isfinite(array))[0]
        column = labels[place] if len(labels) == array.shape[1] else labels[0]
        raise ValueError(
            f"{name} must be finite, got {_in_words(array[row, place])} in column {column!r}, row "
            f"{row}: fill it in or drop the row"
        )
    return array


def _side_by_side(
    arrays: list[NDArray[Any]], labels: list[Any], shape: tuple[int, int], name: str
) -> NDArray[Any]:
    for array, label in zip(arrays, labels, strict=True):
        if array.ndim != 1:
            raise TypeError(
                f"{name} must hold numbers, got lists in column {label!r}: pass that column alone"
            )
    dtypes = {array.dtype for array in arrays}
    joined = np.empty(shape, np.result_type(*dtypes) if dtypes else np.float64, order="F")
    for i, array in enumerate(arrays):
        joined[:, i] = array
    return joined


def _array_of_column(column: Any, label: Any, name: str) -> NDArray[Any]:
    if column.null_count():
        row = int(column.is_null().arg_true()[0])
        raise _missing(name, f"in column {label!r}, row {row}")
    array: NDArray[Any] = column.to_numpy()
    if array.dtype.kind == "O":
        array = _numbers_of_objects(array, name, label)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} must hold {_WANTED_DTYPES}, got dtype {array.dtype} in column {label!r}"
        )
    return array


def _sparse_rows(matrix: Any, name: str) -> sparse.csr_array:
    """Return sparse samples as CSR with sorted rows that hold each column at most once."""
    from scipy import sparse

    if not sparse.issparse(matrix):
        matrix = matrix.tocsr()  # of the package "sparse", which gives SciPy's
    if not sparse.issparse(matrix):
        raise TypeError(f"{name} must be a SciPy sparse matrix, got {type(matrix).__name__}")
    if matrix.ndim != 2:
        raise ValueError(f"{name} must be 2-D, (n_samples, n_features), got shape {matrix.shape}")
    if matrix.dtype.kind == "c":
        return matrix  # refused by each caller in its own words
    csr = _checked_csr(matrix, name, found="column")
    if max(csr.nnz, *csr.shape) <= np.iinfo(np.int32).max:  # much of scikit-learn wants int32
        csr.indptr = csr.indptr.astype(np.int32, copy=False)
        csr.indices = csr.indices.astype(np.int32, copy=False)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def _checked_csr(matrix: Any, name: str, found: str) -> sparse.csr_array:
    """Return a sparse matrix of float32 or float64 as CSR, after a check of its parts."""
    from scipy import sparse

    dtype = _float_dtype(matrix.dtype, name)
    if dtype == np.float16:  # which SciPy cannot convert
        dtype = np.dtype(np.float32)
    if matrix.format == "lil":
        _check_rows_of_lists(matrix, name)
        matrix = matrix.tocsr()
    elif matrix.format not in (*_COMPRESSED_FORMATS, "coo"):
        matrix = matrix.tocoo()
    if isinstance(matrix.data, np.ma.MaskedArray):
        raise TypeError(f"{name} must hold plain arrays of numbers, got a masked array")
    if matrix.format == "coo":
        _check_coordinates(matrix, name, found)
    else:
        _check_compressed(matrix, name, found)
    if matrix.dtype != dtype:
        matrix = matrix.astype(dtype)
    csr = sparse.csr_array(matrix)
    is_narrow = csr.indptr.dtype == csr.indices.dtype == np.int32
    index_dtype = np.dtype(np.int32 if is_narrow else np.int64)
    csr.indptr = csr.indptr.astype(index_dtype, copy=False)
    csr.indices = csr.indices.astype(index_dtype, copy=False)
    csr.data = np.ascontiguousarray(csr.data)
    return csr


def _damaged(name: str, problem: str) -> ValueError:
    return ValueError(f"{name} must be a valid sparse matrix, got {problem}: make it anew")


def _check_rows_of_lists(matrix: Any, name: str) -> None:
    if len(matrix.rows) != matrix.shape[0] or len(matrix.data) != matrix.shape[0]:
        raise _damaged(name, f"{len(matrix.rows)} rows in the shape {matrix.shape}")
    if list(map(len, matrix.rows)) != list(map(len, matrix.data)):
        raise _damaged(name, "rows with more columns than values, or fewer")


def _check_coordinates(matrix: Any, name: str, found: str) -> None:
    lengths = {len(matrix.data), *map(len, matrix.coords)}
    if len(lengths) > 1:
        raise _damaged(name, f"rows, columns and values of different lengths {sorted(lengths)}")
    for indices, n, word in zip(matrix.coords, matrix.shape, ("row", found), strict=True):
        _check_indices(indices, n, name, word)


def _check_compressed(matrix: Any, name: str, found: str) -> None:
    """Check all that SciPy takes for granted; its own check changes the matrix it is given."""
    block = matrix.data.shape[1:] if matrix.format == "bsr" else (1, 1)
    if matrix.data.ndim != (3 if matrix.format == "bsr" else 1) or 0 in block:
        raise _damaged(name, f"values of shape {matrix.data.shape}")
    if matrix.shape[0] % block[0] or matrix.shape[1] % block[1]:
        raise _damaged(name, f"blocks of shape {block} in the shape {matrix.shape}")
    n_major, n_minor = (length // side for length, side in zip(matrix.shape, block, strict=True))
    if matrix.format == "csc":
        n_major, n_minor, found = n_minor, n_major, "row"
    indptr, indices = matrix.indptr, matrix.indices
    if indptr.shape != (n_major + 1,) or indptr.dtype.kind not in "iu":
        raise _damaged(name, f"indptr of shape {indptr.shape}, dtype {indptr.dtype}")
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise _damaged(name, "indptr that does not ascend from 0")
    n_stored = int(indptr[-1])
    if indices.ndim != 1 or n_stored > min(len(indices), len(matrix.data)):
        raise _damaged(
            name,
            f"{len(indices)} indices and {len(matrix.data)} values, where indptr says {n_stored}",
        )
    if len(indices) != len(matrix.data):
        raise _damaged(name, f"{len(indices)} indices and {len(matrix.data)} values")
    _check_indices(indices[:n_stored], n_minor, name, found)


def _check_indices(indices: NDArray[Any], n: int, name: str, found: str) -> None:
    if indices.dtype.kind not in "iu":
        raise _damaged(name, f"indices of dtype {indices.dtype}")
    if not len(indices):
        return
    lowest, highest = int(indices.min()), int(indices.max())
    if lowest < 0 or highest >= n:
        raise ValueError(
            f"{name} must hold indices from 0 to {n - 1}, got {found} "
            f"{lowest if lowest < 0 else highest}: the sparse matrix is damaged"
        )
