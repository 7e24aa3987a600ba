"""Files of features, read whole, since clustering needs all samples at once.

An .npy file is memory-mapped. Tables may hold known labels in one of their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from labelquorum._shared.files import FileError
from labelquorum._shared.memory import MemoryBudget, check_memory
from labelquorum._shared.origins import ORIGIN, ORIGINS
from labelquorum._shared.samples import check_finite
from labelquorum.cli.files import columns as tables
from labelquorum.cli.files.arrays import open_npy, open_npz
from labelquorum.cli.files.labels import BYTES_PER_LABEL, as_labels, label_items, says_nothing
from labelquorum.cli.files.numeric import FeatureColumns
from labelquorum.cli.files.sources import Location, SourceFile, extension_of, find_file

_Show: TypeAlias = Callable[[str, float], None] | None


class Features(NamedTuple):
    """The features of samples, and their known labels where a column holds them."""

    X: Any
    """(n_samples, n_features): an array, or a sparse one of rows (CSR)."""
    labels: NDArray[Any] | None
    """(n_samples,): integers with -1, or strings with None, where there is no label."""


def read_features(
    location: Location,
    *,
    columns: Sequence[str] | None = None,
    label_column: str | None = None,
    beside: Sequence[str] = (),
    header: bool | None = None,
    show: _Show = None,
) -> Features:
    """Read features.

    Parameters
    ----------
    location : Location
        A file, or a folder, pattern or URL.
    columns : sequence of str, optional
        The columns of a table that hold features; None for all others. A column of lists of one
        length (an embedding) is as many features.
    label_column : str, optional
        The column of a table that holds known labels.
    beside : sequence of str
        Other columns of a table that hold no features.
    header : bool, optional
        Whether a .csv or .tsv file starts with a line of names; None to tell by that line.
    show : callable, optional
        Shows progress: takes the stage and the share that is done.

    Raises
    ------
    FileError
        If the location cannot be read, or a value is not a finite number.
    """
    if extension_of(location) in _ARRAY_READERS:
        file = find_file(location, tuple(_ARRAY_READERS))
        if label_column is not None or columns is not None or beside:
            name = label_column or ", ".join(columns or beside)
            raise FileError(f"{file.name}: {file.extension} files have no named columns: {name!r}")
        with file.reading():
            features = Features(_ARRAY_READERS[file.extension](file), None)
    else:
        features = _read_table(location, columns, label_column, beside, header, show)
    shape, dtype = features.X.shape, features.X.dtype
    if len(shape) != 2 or 0 in shape:
        raise FileError(
            f"{location}: the shape must be (n_samples, n_features) with at least one of each, got "
            f"{shape}"
        )
    if dtype.kind not in "iufb":
        raise FileError(f"{location}: the values must be integers or floats, got {dtype}")
    try:
        check_finite(_stored(features.X), str(location))
    except ValueError as error:
        raise FileError(f"{error} (rows and columns count from 0)") from None
    return features


def _read_npz(file: SourceFile) -> Any:
    with open_npz(file) as archive:
        names = archive.names
        if archive.is_sparse:
            return archive.read_sparse()
        if "X" not in names and len(names) != 1:
            raise FileError(
                f"{file.name}: the file must hold one array, or one named X, got {', '.join(names)}"
            )
        return archive.read(["X" if "X" in names else names[0]])[0]


_ARRAY_READERS: dict[str, Callable[[SourceFile], Any]] = {
    ".npy": partial(open_npy, whole=True),
    ".npz": _read_npz,
}
ARRAYS = tuple(_ARRAY_READERS)
"""The extensions of files without named columns."""
EXTENSIONS = (*ARRAYS, *tables.EXTENSIONS)


def _read_table(
    location: Location,
    columns: Sequence[str] | None,
    label_column: str | None,
    beside: Sequence[str],
    header: bool | None,
    show: _Show,
) -> Features:
    chosen = [*(columns or ()), *([] if label_column is None else [label_column]), *beside]
    table = tables.Table(location, header=header, header_names=chosen, shown_extensions=EXTENSIONS)
    places = feature_places(table, columns, label_column, beside)
    label_places = [] if label_column is None else [table.place(label_column)]
    features = FeatureColumns([table.names[place] for place in places])
    parts, labels = [], []
    check_memory(str(location), table.declared_bytes(places))
    budget = MemoryBudget(str(location))
    for batch in table.batches([*places, *label_places]):
        if label_column is not None:
            budget.take(batch.columns[-1].nbytes + BYTES_PER_LABEL * len(batch.columns[-1]))
            labels += label_items(batch)
        part = features.matrix(batch._replace(columns=batch.columns[: len(places)]))
        budget.take(part.nbytes)
        parts.append(part)
        if show is not None:
            show("reading", batch.share)
    if not parts:
        X = np.empty((0, len(places)))
    else:
        X = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Features(X, None if label_column is None else as_labels(str(location), labels))


def has_origins(location: Location, columns: Sequence[str] | None) -> bool:
    """Return whether a table of features also says where its labels come from.

    A column named origin does if its first value is an origin, or empty. Otherwise it may be a
    feature, as are the `columns` that were named.
    """
    if extension_of(location) in _ARRAY_READERS or ORIGIN in (columns or ()):
        return False
    table = tables.Table(location, header_names=[ORIGIN], shown_extensions=EXTENSIONS)
    if ORIGIN not in table.names:
        return False
    first = next(table.batches([table.place(ORIGIN)], max_rows=1), None)
    if first is None:
        return False
    item = label_items(first)[0]
    return says_nothing(item) or str(item).strip().lower() in ORIGINS


def _stored(X: Any) -> NDArray[Any]:
    """The values that are in memory: all of them, or those of a sparse array."""
    stored: NDArray[Any] = X.data[:, None] if issparse(X) else X
    return stored


def feature_places(
    table: tables.Table,
    columns: Sequence[str] | None,
    label_column: str | None,
    beside: Sequence[str] = (),
) -> list[int]:
    """The places of the columns that hold features, which those of labels and `beside` do not."""
    others = [*beside] if label_column is None else [label_column, *beside]
    for name in others:
        table.place(name)
    if columns is not None:
        return [table.place(name) for name in columns]
    places = [i for i, name in enumerate(table.names) if name not in others]
    if not places:
        raise FileError(f"{table.location}: no column is left for the features")
    return places
