"""Reader of .parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from labelquorum._shared.memory import available_memory, check_memory
from labelquorum.cli.files.readers import Columns, Places, Reader, TextOptions
from labelquorum.cli.files.sources import SourceFile

_VALUES_PER_BATCH = 1 << 24
_BYTES_PER_BATCH = 1 << 27
_STRINGS = ("string", "large_string", "binary", "large_binary")


class ParquetReader(Reader):
    """A .parquet file. The row names that pandas keeps in columns of their own are left out.

    A few bytes can stand for many equal values. The first row tells the size of numbers and lists
    of numbers. Strings that might not fit into memory are read as a dictionary, and unpacked only
    if they do.
    """

    def __init__(self, file: SourceFile, options: TextOptions) -> None:
        self._file = file
        with self._opened() as content:
            schema, self._metadata = content.schema_arrow, content.metadata
        self.n_rows = self._metadata.num_rows
        self.names = [name for name in schema.names if not name.startswith("__index_level_")]
        self._strings = [field.name for field in schema if str(field.type) in _STRINGS]

    def declared_bytes(self, names: Collection[str]) -> int:
        """See `Reader`: as if all rows were like the first."""
        n_rows = self._metadata.num_rows
        return self._bytes_of_first_row(names) * int(n_rows) if n_rows else 0

    def batches(self, places: Places, max_rows: int | None) -> Iterator[tuple[Columns, float]]:
        """See `Reader`."""
        names = [self.names[place] for place in places]
        n_total = self._metadata.num_rows
        if not n_total:
            return
        n_rows = max_rows or max(1, _VALUES_PER_BATCH // max(1, len(names)))
        n_rows = min(n_rows, max(1, _BYTES_PER_BATCH // self._bytes_of_first_row(names)))
        n_read = 0
        with self._opened(self._large_strings(names)) as content:
            for batch in content.iter_batches(n_rows, columns=names):
                n_read += batch.num_rows
                if batch.num_rows:
                    columns = [self._unpacked(batch.column(name)) for name in names]
                    yield columns, n_read / n_total

    def _bytes_of_first_row(self, names: Collection[str]) -> int:
        with self._opened(self._strings) as content:
            row = next(content.iter_batches(1, columns=list(names)), None)
            if row is None:
                return 1
            return max(1, sum(int(self._unpacked(row.column(name)).nbytes) for name in names))

    def _opened(self, strings: Collection[str] = ()) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(
            self._file.path, filesystem=self._file.filesystem, read_dictionary=list(strings)
        )

    def _large_strings(self, names: Collection[str]) -> list[str]:
        """The columns of strings that would not fit if each value were as long as all of them."""
        # The metadata of columns says more, but pyarrow ends the process where that is damaged.
        groups = map(self._metadata.row_group, range(self._metadata.num_row_groups))
        worst = sum(group.num_rows * group.total_byte_size for group in groups)
        return [name for name in self._strings if name in names and worst > available_memory()]

    def _unpacked(self, column: Any) -> Any:
        import pyarrow as pa
        from pyarrow import compute

        if not pa.types.is_dictionary(column.type) or not _is_string(column.type.value_type):
            return column
        lengths = compute.binary_length(column.dictionary).take(column.indices)
        check_memory(self._file.name, compute.sum(lengths).as_py() or 0)
        return column.dictionary_decode()


def _is_string(kind: Any) -> bool:
    return str(kind) in _STRINGS
