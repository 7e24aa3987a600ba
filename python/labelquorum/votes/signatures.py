"""Signatures: the distinct rows of the partitions, with the number of samples that have each.

Whether two samples agree depends on their signatures alone. So a table of signatures is all that
the other functions need, and it can be built in chunks, on several machines, or by SQL.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    as_columns,
    as_n_partitions,
    as_n_threads,
    as_out,
)
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_array
from labelquorum._shared.sealed import FormatError, in_short, read_arrays

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = 1  # the version of pickles, bytes and Arrow tables
_ARROW_FORMAT_KEY = b"labelquorum.format"
_STATE_NAMES = ("format", "n_partitions", "signatures", "counts")
_COUNT_COLUMN = "count"


class SignatureTable:
    """Count the signatures of partitions; tables are streaming, mergeable and picklable.

    Tables can be written as bytes or as Arrow tables and read back with the same ids. Each format
    carries a version. Later versions of the package read what earlier ones wrote.

    Ids number the signatures 0, 1, ... in order of first appearance. They do not depend on the
    chunks or the number of threads. Several threads may use one table at once; changes take turns.

    Parameters
    ----------
    n_partitions : int
        Number of partitions (columns), 1 to 65,535.

    Raises
    ------
    TypeError, ValueError
        If `n_partitions` is not an integer or is out of range.

    Notes
    -----
    Memory is about 40 bytes per signature, plus its packed row: per partition, the bits that the
    largest cluster id needs. A table holds up to 2^31 - 1 signatures and 2^63 - 1 samples.

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

    kernel_table: _core.SignatureTable
    """The extension's table, for the kernels of this package. Its methods may change."""

    def __init__(self, n_partitions: int) -> None:
        self.kernel_table = _core.SignatureTable(as_n_partitions(n_partitions))

    @classmethod
    def from_counts(cls, signatures: Any, counts: ArrayLike) -> SignatureTable:
        """Make a table from rows counted elsewhere, for example by a GROUP BY in SQL.

        Parameters
        ----------
        signatures : integer array-like of shape (n_rows, n_partitions)
            The rows; a negative value is an abstention. Also a pandas or polars DataFrame, or a
            list of 1-D arrays, one per partition. The counts of equal rows are added up.
        counts : integer array-like of shape (n_rows,)
            Number of samples with each row, at least 1.

        Returns
        -------
        SignatureTable
            Ids are in order of first appearance in `signatures`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not an integer array, or has the wrong shape or range.
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
        """Read a table from the bytes that `to_bytes` wrote.

        Parameters
        ----------
        data : bytes-like
            Unlike a pickle, it is never executed.

        Returns
        -------
        SignatureTable
            Ids are those of the table that was written.

        Raises
        ------
        TypeError, ValueError
            If `data` is not bytes-like, was not made by `to_bytes`, is damaged, or has a format
            version that this package cannot read.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes-like, got {type(data).__name__}")
        file = io.BytesIO(data)
        try:
            if not zipfile.is_zipfile(file):
                raise ValueError("not a zip file")
            arrays = read_arrays(file)
            _check_format(arrays["format"])
            state = {name: arrays[name] for name in _STATE_NAMES}
            if len(state["signatures"]) and not len(state["counts"]):
                raise ValueError("the signatures have no counts")
        except (FormatError, MemoryError):
            raise
        except Exception as error:  # Damaged bytes may be of any kind, and so are their errors.
            raise _damage(error) from error
        table = cls.__new__(cls)
        try:
            table.__setstate__(state)
        except (TypeError, OverflowError) as error:
            raise _damage(error) from error
        return table

    @classmethod
    def from_arrow(cls, data: Any) -> SignatureTable:
        """Make a table from an Arrow table, written by `to_arrow` or counted by any engine.

        Parameters
        ----------
        data : pyarrow.Table, or anything that `pyarrow.table` accepts
            For example record batches, a polars DataFrame or a DuckDB relation. The column "count"
            holds the number of samples of each row; every other column is a partition, in this
            order. The counts of equal rows are added up, so concatenating tables merges them.

        Returns
        -------
        SignatureTable
            Ids are in order of first appearance.

        Raises
        ------
        ImportError
            If pyarrow is missing.
        TypeError, ValueError
            If there is no column "count", if a column does not hold integers, or if `to_arrow` of
            another version wrote a format version that this package cannot read.

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
        version = (arrow.schema.metadata or {}).get(_ARROW_FORMAT_KEY)
        if version is not None:
            _check_format(version.decode())
        names = arrow.column_names
        if names.count(_COUNT_COLUMN) != 1:
            raise ValueError(
                f"data must have one column named {_COUNT_COLUMN!r}, got the columns "
                f"{', '.join(names)}"
            )
        i = names.index(_COUNT_COLUMN)
        counts = arrow.column(i).to_numpy()
        partitions = [column.to_numpy() for column in arrow.remove_column(i).columns]
        return cls.from_counts(partitions, counts) if len(counts) else cls(len(partitions))

    def _add_counted(self, columns: list[Any], counts: NDArray[np.int64]) -> None:
        ids = np.empty(len(counts), dtype=np.int32)
        self.kernel_table.update_counted(columns, counts, ids, as_n_threads(None), None)

    def update(
        self,
        partitions_chunk: Any,
        *,
        out: NDArray[np.int32] | NDArray[np.int64] | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> NDArray[np.int32] | NDArray[np.int64]:
        """Count the samples of a chunk; return the id of each sample's signature.

        Parameters
        ----------
        partitions_chunk : integer array-like of shape (n_chunk, n_partitions)
            Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A
            negative value is an abstention: the model does not vote on the sample.
        out : array of shape (n_chunk,) and dtype int32 or int64, optional
            Array to write to: C-contiguous, writable, sharing no memory with the chunk. May be a
            memory map. Its contents are unspecified if the call fails.
        n_jobs : int, optional
            Number of threads; -1 for all cores available. The result does not depend on it.
        verbose : bool, default=False
            Show progress on stderr.

        Returns
        -------
        array of shape (n_chunk,)
            `out` where given, otherwise int32.

        Raises
        ------
        TypeError, ValueError
            If the chunk holds anything but integers up to 2^31 - 1, is empty or ragged, or has a
            different number of partitions than the table; or if `out` does not fit.
        MemoryError
            If the table cannot grow. An error of any kind leaves the table unchanged.

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
            self.kernel_table.update(columns, ids, None, n_threads, show)
        return ids

    def merge(self, other: SignatureTable, *, n_jobs: int | None = None) -> NDArray[np.int32]:
        """Add the signatures and counts of another table to this one.

        Parameters
        ----------
        other : SignatureTable
            Must have the same number of partitions. It is not changed.
        n_jobs : int, optional
            Number of threads; -1 for all cores available.

        Returns
        -------
        int32 array of shape (len(other),)
            This table's id of each signature of `other`.

        Raises
        ------
        TypeError, ValueError
            If `other` is not a SignatureTable or has a different number of partitions.
        MemoryError, OverflowError
            If the table cannot grow, or a count exceeds 2^63 - 1. The table is then unchanged.

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
            raise TypeError(f"other must be a SignatureTable, got {type(other).__name__}")
        if other.n_partitions != self.n_partitions:
            raise ValueError(
                f"other must have {self.n_partitions} partitions, as this table has, got "
                f"{other.n_partitions}"
            )
        return self.kernel_table.merge(other.kernel_table, as_n_threads(n_jobs), None)

    def lookup(self, partitions_chunk: Any, *, n_jobs: int | None = None) -> NDArray[np.int32]:
        """Find the signature ids of samples without counting the samples.

        Parameters
        ----------
        partitions_chunk : integer array-like of shape (n_chunk, n_partitions)
            As for `update`.
        n_jobs : int, optional
            Number of threads; -1 for all cores available.

        Returns
        -------
        int32 array of shape (n_chunk,)
            The ids; -1 for rows that were never counted.

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
        return self.kernel_table.lookup(columns, as_n_threads(n_jobs), None)

    def to_bytes(self) -> bytes:
        """Write the table as bytes, which `from_bytes` reads on any machine.

        Returns
        -------
        bytes
            NumPy's .npz format with the arrays "format", "n_partitions", "signatures" (of the
            smallest integer type that holds them) and "counts". Equal tables give equal bytes. Each
            array has a checksum, which `from_bytes` compares.

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
        """Write the table as an Arrow table, for `from_arrow` and other engines.

        Returns
        -------
        pyarrow.Table
            One row per signature, in order of the ids: int32 columns "p0", "p1", ... (-1 is an
            abstention) and the int64 column "count". The schema's metadata hold the format version.

        """
        import pyarrow as pa

        frozen = self.__copy__()
        columns = {f"p{i}": pa.array(column) for i, column in enumerate(frozen.signatures.T)}
        columns[_COUNT_COLUMN] = pa.array(frozen.counts)
        return pa.table(columns).replace_schema_metadata({_ARROW_FORMAT_KEY: b"%d" % _FORMAT})

    @property
    def n_partitions(self) -> int:
        """Number of partitions (columns)."""
        return self.kernel_table.n_partitions

    @property
    def n_samples(self) -> int:
        """Number of samples counted so far: the sum of `counts`."""
        return self.kernel_table.n_samples

    @property
    def signatures(self) -> NDArray[np.int32]:
        """A copy of the signatures by id, (len(table), n_partitions); -1 is an abstention."""
        return self.kernel_table.signatures(as_n_threads(None))

    @property
    def counts(self) -> NDArray[np.int64]:
        """A copy of the number of samples of each signature, by id, (len(table),)."""
        return self.kernel_table.counts()

    def __len__(self) -> int:
        return len(self.kernel_table)

    def __repr__(self) -> str:
        return (
            f"SignatureTable(n_partitions={self.n_partitions}, n_samples={self.n_samples}, "
            f"n_signatures={len(self)})"
        )

    def __copy__(self) -> SignatureTable:
        copied = SignatureTable.__new__(SignatureTable)
        copied.kernel_table = self.kernel_table.copy()
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> SignatureTable:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        # Copy first: another thread may be updating the table.
        frozen = self.kernel_table.copy()
        signatures = frozen.signatures(as_n_threads(None))
        return {
            "format": _FORMAT,
            "n_partitions": frozen.n_partitions,
            "signatures": signatures.astype(_smallest_dtype(signatures)),
            "counts": frozen.counts(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        _check_format(state.get("format"))
        self.kernel_table = SignatureTable(int(state["n_partitions"])).kernel_table
        if len(state["counts"]):
            columns = as_columns(state["signatures"], "signatures", self.n_partitions)
            self._add_counted(columns, _as_counts(state["counts"], len(columns[0])))


def _damage(error: Exception) -> ValueError:
    return ValueError(
        f"data must be bytes that to_bytes wrote, got other or damaged bytes ({in_short(error)})"
    )


def _check_format(version: Any) -> None:
    if str(version) != str(_FORMAT):
        raise FormatError(
            f"the saved SignatureTable must have format version {_FORMAT}, got {version}: another "
            "version of labelquorum may read it"
        )


def _as_counts(counts: ArrayLike, n: int) -> NDArray[np.int64]:
    array = as_array(counts, "counts")
    if array.dtype.kind not in "iu":
        raise TypeError(f"counts must hold integers, got dtype {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"counts must have shape ({n},), one per signature, got {array.shape}")
    if array.min() < 1:
        raise ValueError(f"counts must be at least 1, got {array.min()}")
    if array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"counts must be at most 2^63 - 1, got {array.max()}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _smallest_dtype(signatures: NDArray[np.int32]) -> type[np.signedinteger[Any]]:
    largest = signatures.max(initial=-1)
    for dtype in (np.int8, np.int16):
        if largest <= np.iinfo(dtype).max:
            return dtype
    return np.int32
