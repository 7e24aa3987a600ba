"""The points of the map as a Parquet table, for other programs that draw maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from labelquorum.report.data import ReportData
from labelquorum.report.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa


def points_table(data: ReportData, layout: Layout) -> pa.Table:
    """Make a table of all samples: x, y, label, name, confidence and, if given, text."""
    import pyarrow as pa

    # Labels are None or -1 where a sample has none.
    numbers = data.outcome.as_labels(data.numbers)
    labels: list[Any] = data.label_of_sample.tolist()
    if data.label_of_sample.dtype.kind in "OU":
        labels = [None if label is None else _as_utf8(label) for label in labels]
    names = np.array([*(_as_utf8(name) for name in data.full_names), None], dtype=object)
    columns = {
        "x": pa.array(layout.points[:, 0]),
        "y": pa.array(layout.points[:, 1]),
        "label": pa.array(labels),
        "name": pa.array(names[numbers].tolist(), pa.string()),
        "confidence": pa.array(data.confidence),
    }
    if data.texts is not None:
        columns["text"] = pa.array([_as_utf8(text) for text in data.texts], pa.string())
    return pa.table(columns)


def write_points(file: BinaryIO, data: ReportData, layout: Layout) -> None:
    """Write the table as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(points_table(data, layout), file)


def _as_utf8(text: str) -> str:
    """The text without unpaired surrogates, which UTF-8 does not have."""
    return text.encode(errors="replace").decode()
