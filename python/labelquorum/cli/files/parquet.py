"""Reader of .parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from labelquorum._shared.memory import available_memory, check_memory
from labelquorum.cli.files.readers import Columns, Places, Reader, TextOptions
from labelquorum.cli.files.sources import SourceFile

_VALUES_PER_BATCH = 1 << 24
_ITEM_SIZES = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_STRINGS = ("string", "large_string", "binary", "large_binary")


class ParquetReader(Reader):
    """A .parquet file. The row names that pandas keeps in columns of their own are left out.

    A few bytes can stand for many equal values. Numbers are counted in the metadata. Strings that
    might not fit into memory are read as a dictionary, and unpacked only if they do.
    """

    def __init__(self, file: SourceFile, options: TextOptions) -> None:
        self._file = file
        with self._opened() as content:
            schema, self._metadata = content.schema_arrow, content.metadata
        self.n_rows = self._metadata.num_rows
        self.names = [name for name in schema.names if not name.startswith("__index_level_")]
        self._strings = [field.name for field in schema if str(field.type) in _STRINGS]

    def declared_bytes(self, names: Collection[str]) -> int:
        """See `Reader`: the numbers; not how long strings are."""
        return sum(
            chunk.num_values * _ITEM_SIZES.get(chunk.physical_type, 0)
            for chunk in self._chunks(names)
        )

    def batches(self, places: Places, max_rows: int | None) -> Iterator[tuple[Columns, float]]:
        """See `Reader`."""
        names = [self.names[place] for place in places]
        n_total = self._metadata.num_rows
        n_values = max(len(names) * n_total, sum(c.num_values for c in self._chunks(names)))
        n_rows = max_rows or max(1, _VALUES_PER_BATCH * n_total // max(1, n_values))
        n_read = 0
        with self._opened(self._large_strings(names)) as content:
            for batch in content.iter_batches(n_rows, columns=names):
                n_read += batch.num_rows
                if batch.num_rows:
                    columns = [self._unpacked(batch.column(name)) for name in names]
                    yield columns, n_read / n_total

    def _opened(self, strings: Collection[str] = ()) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(
            self._file.path, filesystem=self._file.filesystem, read_dictionary=list(strings)
        )

    def _chunks(self, names: Collection[str]) -> Iterator[Any]:
        """The metadata of these columns in each group of rows."""
        chosen = set(names)
        for i in range(self._metadata.num_row_groups):
            group = self._metadata.row_group(i)
            for j in range(group.num_columns):
                chunk = group.column(j)
                parts = chunk.path_in_schema.split(".")  # a name may have dots, too
                if any(".".join(parts[:k]) in chosen for k in range(1, len(parts) + 1)):
                    yield chunk

    def _large_strings(self, names: Collection[str]) -> list[str]:
        """The columns of strings that would not fit if all were as long as all of them."""
        worst = {
            name: sum(c.num_values * c.total_uncompressed_size for c in self._chunks([name]))
            for name in self._strings
            if name in names
        }
        return [name for name, n_bytes in worst.items() if n_bytes > available_memory()]

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
