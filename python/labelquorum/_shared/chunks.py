"""Samples and labels on Dask, in chunks: arrays and frames alike.

Only `labelquorum.dask` imports this module, since it needs Dask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray

from labelquorum._shared.label_reader import read_labels
from labelquorum._shared.labels import to_labels

_LABELS_PER_CHUNK = 1 << 20
_LABEL = "label"


def as_chunks(values: Any, name: str) -> Any:
    """A 2-D Dask array in chunks of whole rows, or a Dask DataFrame."""
    if isinstance(values, dd.DataFrame):
        return values
    if not isinstance(values, da.Array):
        raise TypeError(
            f"{name} must be a Dask array or DataFrame, got {type(values).__name__}; for data in "
            "memory, use the same name of labelquorum itself"
        )
    if values.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {values.shape}")
    return values.rechunk({1: -1})


def delayed_chunks(chunks: Any) -> list[Delayed]:
    """Each chunk as a delayed object."""
    parts = chunks.to_delayed()
    return list(parts if isinstance(chunks, dd.DataFrame) else parts.ravel())


def example(chunks: Any) -> Any:
    """One row with the columns and types of the chunks."""
    if isinstance(chunks, dd.DataFrame):
        columns = {i: _one_value(dtype) for i, dtype in enumerate(chunks.dtypes)}
        return pd.DataFrame(columns).set_axis(chunks.columns, axis=1)
    return np.ones((1, chunks.shape[1]), chunks.dtype)


def _one_value(dtype: Any) -> Any:
    return np.ones(1, dtype) if isinstance(dtype, np.dtype) else pd.array([None], dtype=dtype)


def map_rows(
    function: Callable[[Any, Any], NDArray[Any]],
    chunks: Any,
    model: Delayed,
    dtype: np.dtype[Any],
    columns: list[Any] | None = None,
) -> Any:
    """Apply a function of a chunk and the model to each chunk.

    It returns a value for each row or, with `columns`, a row of these columns.
    """
    rest = {"function": function, "model": model, "out_dtype": dtype, "columns": columns}
    if isinstance(chunks, dd.DataFrame):
        meta = _as_frame(np.empty((0, *_n_columns(columns)), dtype), None, columns)
        return chunks.map_partitions(_apply_to_frame, meta=meta, **rest)
    if columns is None:
        return chunks.map_blocks(_apply_to_block, drop_axis=1, meta=np.empty(0, dtype), **rest)
    sizes = (chunks.chunks[0], (len(columns),))
    return chunks.map_blocks(_apply_to_block, chunks=sizes, meta=np.empty((0, 0), dtype), **rest)


def _apply_to_block(
    chunk: Any,
    function: Callable[[Any, Any], NDArray[Any]],
    model: Any,
    out_dtype: np.dtype[Any],
    columns: list[Any] | None,
) -> NDArray[Any]:
    if not len(chunk):
        return np.empty((0, *_n_columns(columns)), out_dtype)
    return function(chunk, model).astype(out_dtype, copy=False)


def _apply_to_frame(chunk: pd.DataFrame, columns: list[Any] | None, **rest: Any) -> Any:
    return _as_frame(_apply_to_block(chunk, columns=columns, **rest), chunk.index, columns)


def _n_columns(columns: list[Any] | None) -> tuple[int, ...]:
    return () if columns is None else (len(columns),)


def _as_frame(values: NDArray[Any], index: Any, columns: list[Any] | None) -> Any:
    if columns is None:
        return pd.Series(values, index, values.dtype, name=_LABEL)
    return pd.DataFrame(values, index, columns)


def as_rows(X: Any) -> Any:
    """The samples as a Dask array whose chunks have known sizes."""
    chunks = as_chunks(X, "X")
    if isinstance(chunks, dd.DataFrame):
        return chunks.to_dask_array(lengths=True)
    return _sized(chunks)


def as_labels(y: Any, name: str) -> Any:
    """A column of labels as a Dask array whose chunks have known sizes; `name` is for messages."""
    if isinstance(y, dd.Series):
        meta = pd.Series(dtype=y.dtype if _is_plain(y) else object)
        return y.map_partitions(_plain, meta=meta).to_dask_array(lengths=True)
    if not isinstance(y, da.Array):
        classes, codes = read_labels(y, name, negatives="refused", whole_floats=True)
        y = da.from_array(to_labels(classes, codes), chunks=_LABELS_PER_CHUNK)
    if y.ndim != 1:
        raise ValueError(f"{name} must have shape (n_samples,), got {y.shape}")
    return _sized(y)


def _is_plain(labels: Any) -> bool:
    return isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "iuf"


def _plain(labels: pd.Series) -> pd.Series:
    """Numbers as they are; strings and nullable integers as objects, with None where missing."""
    if _is_plain(labels):
        return labels
    return pd.Series(labels.to_numpy(object, na_value=None), labels.index, object)


def _sized(array: Any) -> Any:
    """The array with chunks of known sizes."""
    if np.isnan(array.shape[0]):
        array = array.copy().compute_chunk_sizes()  # it works in place
    return array
