"""Signatures: the distinct rows of an ensemble of partitions, with how many samples have each.

Whether two samples agree depends on their signatures alone. A table of them is therefore all that
the other functions need, and it can be built in chunks, on several machines, or by SQL.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    MAX_PARTITIONS,
    as_columns,
    as_n_threads,
    as_out,
    as_positive,
)
from labelquorum._shared.progress import progress

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = 1  # of pickles, bytes and Arrow
_ARROW_FORMAT = b"labelquorum.format"
_NAMES = ("format", "n_partitions", "signatures", "counts")
_COUNT = "count"
# What comes of reading damaged .npz files.
_DAMAGES = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class _FormatError(ValueError):
    pass


class SignatureTable:
    """Signatures of partitions with their counts: streaming, mergeable, picklable.

    Tables also go to bytes and Arrow, and come back with the same ids. Formats carry a version,
    which is checked; what one version of the package wrote, later ones read.

    Ids number the signatures 0, 1, ... in order of first appearance, whatever the chunks and the
    number of threads. Several threads may use one table at once: changes take turns.

    Parameters
    ----------
    n_partitions : int
        Number of partitions (columns), 1 to 65,535.

    Raises
    ------
    TypeError, ValueError
        If `n_partitions` is no integer, or out of range.

    Notes
    -----
    Memory is about 40 bytes per signature plus its packed row (as many bits per partition as the
    largest cluster id needs). A table holds up to 2^31 - 1 signatures and 2^63 - 1 samples.

    Examples
    --------
    >>> import labelquorum as lq
    >>> table = lq.SignatureTable(2)
    >>> table.update([[0, 0, 1], [5, 5, -1]])  # two partitions of three samples
    array([0, 0, 1], dtype=int32)
    >>> table.signatures
    array([[ 0,  5],
           [ 1, -1]], dtype=int32)
    >>> table.counts
    array([2, 1])
    >>> table
    SignatureTable(n_partitions=2, n_samples=3, n_signatures=2)
    """

    __module__ = "labelquorum"

    def __init__(self, n_partitions: int) -> None:
        number = as_positive(n_partitions, "n_partitions")
        if number > MAX_PARTITIONS:
            raise ValueError(f"n_partitions is {number}; wanted 1 to {MAX_PARTITIONS}")
        self._core = _core.SignatureTable(number)

    @classmethod
    def from_counts(cls, signatures: Any, counts: ArrayLike) -> SignatureTable:
        """Make a table of rows that were counted elsewhere, by a GROUP BY for example.

        Parameters
        ----------
        signatures : integer array-like of shape (n_rows, n_partitions), or as `partitions`
            Rows; a negative value is an abstention. Rows that occur twice are added up.
        counts : integer array-like of shape (n_rows,)
            Number of samples of each row, at least 1.

        Returns
        -------
        SignatureTable
            With ids in order of first appearance in `signatures`.

        Raises
        ------
        TypeError, ValueError
            If an argument is no integer array, or of the wrong shape or range.
        OverflowError
            If the counts add up to more than 2^63 - 1.

        Notes
        -----
        O(n_rows * n_partitions).

        Examples
        --------
        >>> import labelquorum as lq
        >>> table = lq.SignatureTable.from_counts([[0, 1, 0], [5, 6, 5]], [10, 20, 30])
        >>> table.counts
        array([40, 20])
        """
        columns = as_columns(signatures, "signatures")
        table = cls(len(columns))
        table._add_counted(columns, _as_counts(counts, len(columns[0])))
        return table

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> SignatureTable:
        """Make the table again whose `to_bytes` this is.

        Parameters
        ----------
        data : bytes-like
            Nothing in it is ever executed, unlike a pickle.

        Returns
        -------
        SignatureTable
            With the same ids.

        Raises
        ------
        TypeError, ValueError
            If `data` is no bytes, was not made by `to_bytes`, is damaged, or has a format that
            this version does not know.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data is a {type(data).__name__}; wanted bytes")
        file = io.BytesIO(data)
        try:
            if not zipfile.is_zipfile(file):
                raise ValueError("no zip file")
            with np.load(file, allow_pickle=False) as arrays:
                _check_format(arrays["format"])
                state = {name: arrays[name] for name in _NAMES}
        except _FormatError:
            raise
        except _DAMAGES as error:
            message = " ".join(str(error).split())
            raise ValueError(f"data is no SignatureTable, or damaged ({message})") from error
        table = cls.__new__(cls)
        table.__setstate__(state)
        return table

    @classmethod
    def from_arrow(cls, data: Any) -> SignatureTable:
        """Make a table from one of Arrow, by `to_arrow` or counted by any engine.

        Parameters
        ----------
        data : pyarrow.Table, or what gives one
            Whatever `pyarrow.table` takes: record batches, a polars DataFrame, a relation of
            DuckDB. The column "count" holds how many samples each row stands for; all other
            columns are partitions, in their order. Rows that occur twice are added up: tables put
            one after the other are thereby merged.

        Returns
        -------
        SignatureTable
            With ids in order of first appearance.

        Raises
        ------
        ImportError
            If pyarrow is missing.
        TypeError, ValueError
            If there is no column "count", or a column holds anything but integers; if `to_arrow`
            of another version made it, in a format that this one does not know.

        Examples
        --------
        >>> import labelquorum as lq
        >>> import pyarrow as pa
        >>> counted = pa.table({"p0": [0, 1], "p1": [5, 6], "count": [40, 20]})
        >>> lq.SignatureTable.from_arrow(counted)
        SignatureTable(n_partitions=2, n_samples=60, n_signatures=2)
        """
        import pyarrow as pa

        arrow = pa.table(data)
        found = (arrow.schema.metadata or {}).get(_ARROW_FORMAT)
        if found is not None:
            _check_format(found.decode())
        names = arrow.column_names
        if names.count(_COUNT) != 1:
            raise ValueError(
                f"data has the columns {', '.join(names)}; wanted exactly one named {_COUNT!r}"
            )
        place = names.index(_COUNT)
        counts = arrow.column(place).to_numpy()
        rows = [column.to_numpy() for column in arrow.remove_column(place).columns]
        return cls.from_counts(rows, counts) if len(counts) else cls(len(rows))

    def _add_counted(self, columns: list[Any], counts: NDArray[np.int64]) -> None:
        ids = np.empty(len(counts), dtype=np.int32)
        self._core.update_counted(columns, counts, ids, as_n_threads(None), None)

    def update(
        self,
        partitions_chunk: Any,
        *,
        out: NDArray[np.int32] | NDArray[np.int64] | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> NDArray[np.int32] | NDArray[np.int64]:
        """Count the samples of a chunk and return the id of each one's signature.

        Parameters
        ----------
        partitions_chunk : integer array-like of shape (n_chunk, n_partitions)
            Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A
            negative value means that the model abstains on the sample.
        out : array of shape (n_chunk,) and dtype int32 or int64, optional
            Where to write the ids; C-contiguous, writable, apart from the chunk. May be a memory
            map. Its contents are unspecified when the call fails.
        n_jobs : int, optional
            Number of threads; -1 for all cores available. The result does not depend on it.
        verbose : bool, default=False
            Show progress on stderr.

        Returns
        -------
        array of shape (n_chunk,)
            `out` where given, else int32.

        Raises
        ------
        TypeError, ValueError
            If the chunk holds anything but integers up to 2^31 - 1, is empty or ragged, has
            another number of partitions than the table, or if `out` does not fit.
        MemoryError
            If the table cannot grow. As after every error, the table is as it was before.

        Notes
        -----
        O(n_chunk * n_partitions) expected.

        Examples
        --------
        >>> import numpy as np
        >>> import labelquorum as lq
        >>> table = lq.SignatureTable(2)
        >>> table.update(np.array([[3, 4], [1, 2]]))
        array([0, 1], dtype=int32)
        >>> table.update(np.array([[1, 2], [7, 7]]))
        array([1, 2], dtype=int32)
        """
        columns = as_columns(partitions_chunk, "partitions_chunk", self.n_partitions)
        n_threads = as_n_threads(n_jobs)
        ids = as_out(out, len(columns[0]), (np.int32, np.int64), columns)
        with progress(verbose) as show:
            self._core.update(columns, ids, None, n_threads, show)
        return ids

    def merge(self, other: SignatureTable, *, n_jobs: int | None = None) -> NDArray[np.int32]:
        """Add the signatures and counts of another table to this one.

        Parameters
        ----------
        other : SignatureTable
            With the same number of partitions; it is not changed.
        n_jobs : int, optional
            Number of threads; -1 for all cores available.

        Returns
        -------
        int32 array of shape (len(other),)
            This table's id for each signature of `other`.

        Raises
        ------
        TypeError, ValueError
            If `other` is no SignatureTable, or has another number of partitions.
        MemoryError, OverflowError
            If the table cannot grow, or its counts pass 2^63 - 1. It is then as it was before.

        Notes
        -----
        O(len(other) * n_partitions) expected.

        Examples
        --------
        >>> import labelquorum as lq
        >>> left, right = lq.SignatureTable(1), lq.SignatureTable(1)
        >>> _ = left.update([[0, 1]]), right.update([[1, 2]])
        >>> left.merge(right)
        array([1, 2], dtype=int32)
        >>> left.counts
        array([1, 2, 1])
        """
        if not isinstance(other, SignatureTable):
            raise TypeError(f"other is a {type(other).__name__}; wanted a SignatureTable")
        if other.n_partitions != self.n_partitions:
            raise ValueError(
                f"other has {other.n_partitions} partitions; this table has {self.n_partitions}"
            )
        return self._core.merge(other._core, as_n_threads(n_jobs), None)

    def lookup(self, partitions_chunk: Any, *, n_jobs: int | None = None) -> NDArray[np.int32]:
        """Find the ids of samples without counting them.

        Parameters
        ----------
        partitions_chunk : integer array-like of shape (n_chunk, n_partitions)
            As for `update`.
        n_jobs : int, optional
            Number of threads; -1 for all cores available.

        Returns
        -------
        int32 array of shape (n_chunk,)
            Ids; -1 where the row was never counted.

        Raises
        ------
        TypeError, ValueError
            As for `update`.

        Notes
        -----
        O(n_chunk * n_partitions) expected.

        Examples
        --------
        >>> import labelquorum as lq
        >>> table = lq.SignatureTable(1)
        >>> _ = table.update([[4, 5]])
        >>> table.lookup([[5, 6]])
        array([ 1, -1], dtype=int32)
        """
        columns = as_columns(partitions_chunk, "partitions_chunk", self.n_partitions)
        return self._core.lookup(columns, as_n_threads(n_jobs), None)

    def to_bytes(self) -> bytes:
        """Write the table as bytes, for `from_bytes` in any process on any machine.

        Returns
        -------
        bytes
            NumPy's .npz format: the arrays "format", "n_partitions", "signatures" (in the smallest
            integers that hold them) and "counts". The same table gives the same bytes.

        Examples
        --------
        >>> import labelquorum as lq
        >>> table = lq.SignatureTable.from_counts([[0, 1], [5, 6]], [10, 20])
        >>> lq.SignatureTable.from_bytes(table.to_bytes()).counts
        array([10, 20])
        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **self.__getstate__())
        return buffer.getvalue()

    def to_arrow(self) -> pa.Table:
        """Write the table as one of Arrow, for `from_arrow` and other engines.

        Returns
        -------
        pyarrow.Table
            A row for each signature, by id: int32 columns "p0", "p1", ... (-1 is an abstention) and
            "count", int64. The schema's metadata hold the format's version.

        Raises
        ------
        ImportError
            If pyarrow is missing: ``pip install "labelquorum[parquet]"``.
        """
        import pyarrow as pa

        frozen = self.__copy__()
        columns = {f"p{i}": pa.array(column) for i, column in enumerate(frozen.signatures.T)}
        columns[_COUNT] = pa.array(frozen.counts)
        return pa.table(columns).replace_schema_metadata({_ARROW_FORMAT: b"%d" % _FORMAT})

    @property
    def n_partitions(self) -> int:
        """Number of partitions (columns)."""
        return self._core.n_partitions

    @property
    def n_samples(self) -> int:
        """Number of samples counted so far: the sum of `counts`."""
        return self._core.n_samples

    @property
    def signatures(self) -> NDArray[np.int32]:
        """All signatures by id, shape (len(table), n_partitions); -1 is an abstention. A copy."""
        return self._core.signatures(as_n_threads(None))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of samples of each signature by id, shape (len(table),). A copy."""
        return self._core.counts()

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return (
            f"SignatureTable(n_partitions={self.n_partitions}, n_samples={self.n_samples}, "
            f"n_signatures={len(self)})"
        )

    def __copy__(self) -> SignatureTable:
        copied = SignatureTable.__new__(SignatureTable)
        copied._core = self._core.copy()
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> SignatureTable:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        # One consistent copy, since another thread may be updating the table.
        frozen = self._core.copy()
        signatures = frozen.signatures(as_n_threads(None))
        return {
            "format": _FORMAT,
            "n_partitions": frozen.n_partitions,
            "signatures": signatures.astype(_smallest_dtype(signatures)),
            "counts": frozen.counts(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        _check_format(state.get("format"))
        self._core = SignatureTable(int(state["n_partitions"]))._core
        if len(state["counts"]):
            columns = as_columns(state["signatures"], "signatures", self.n_partitions)
            self._add_counted(columns, _as_counts(state["counts"], len(columns[0])))


def _check_format(found: Any) -> None:
    if str(found) != str(_FORMAT):
        raise _FormatError(
            f"this SignatureTable was saved in format {found}; this version of labelquorum reads "
            f"format {_FORMAT}"
        )


def _as_counts(counts: ArrayLike, n: int) -> NDArray[np.int64]:
    array = np.asarray(counts)
    if array.dtype.kind not in "iu":
        raise TypeError(f"counts has dtype {array.dtype}; wanted integers")
    if array.shape != (n,):
        raise ValueError(f"counts has shape {array.shape}; wanted ({n},), one for each signature")
    if array.min() < 1:
        raise ValueError(f"counts holds {array.min()}; wanted at least 1 everywhere")
    if array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"counts holds {array.max()}; wanted at most 2^63 - 1")
    return np.ascontiguousarray(array, dtype=np.int64)


def _smallest_dtype(signatures: NDArray[np.int32]) -> type[np.signedinteger[Any]]:
    largest = signatures.max(initial=-1)
    for dtype in (np.int8, np.int16):
        if largest <= np.iinfo(dtype).max:
            return dtype
    return np.int32
