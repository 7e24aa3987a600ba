"""Samples and labels in chunks: of arrays, of frames, and of what is in memory."""

from __future__ import annotations

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
chunks = pytest.importorskip("labelquorum._shared.chunks")

NAMES = ["a", None, "b", "a", None]


@pytest.mark.parametrize(
    "column",
    [
        NAMES,
        pd.Series(NAMES, dtype="category"),
        da.from_array(np.array(NAMES, dtype=object), chunks=2),
        dd.from_pandas(pd.Series(NAMES, dtype="string"), npartitions=2),
    ],
)
def test_labels_of_any_kind_become_chunks_of_known_sizes(column):
    labels = chunks.as_labels(column, "votes")
    assert labels.shape == (5,)
    assert labels.compute().tolist() == NAMES


def test_a_table_of_labels_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"votes must have shape \(n_samples,\), got \(2, 2\)"):
        chunks.as_labels(da.zeros((2, 2)), "votes")


def test_samples_have_chunks_of_whole_rows():
    rows = chunks.as_rows(da.zeros((6, 4), chunks=(4, 2)))
    assert rows.chunks == ((4, 2), (4,))
    with pytest.raises(TypeError, match="X must be a Dask array or DataFrame, got list"):
        chunks.as_rows([[1.0]])
