"""A kernel sees each distinct row once, and its values come back to the samples."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.votes.collapse import as_votes, collapse, n_partitions_of, run_on_signatures

ROWS = np.array([[3, 0], [1, 1], [3, 0], [-7, 2], [1, 1], [3, 0]])
COLUMNS = list(ROWS.T)


def run(kernel, votes, dtype=np.int64, missing=-5, **options):
    return run_on_signatures(
        kernel, as_votes(votes), dtype, missing, n_threads=2, verbose=False, **options
    )


def ids(table, mask, show):
    return np.arange(len(table), dtype=np.int32)


def counts(table, mask, show):
    return table.counts()


def test_collapsing_numbers_signatures_by_first_appearance():
    table, signature_ids = collapse(COLUMNS, 1)
    assert signature_ids.tolist() == [0, 1, 0, 2, 1, 0]
    assert table.counts().tolist() == [3, 2, 1]


def test_collapsing_writes_to_the_given_array_and_leaves_out_the_rest():
    given_ids = np.empty(6, dtype=np.int32)
    mask = np.array([0, 1, 1, 0, 1, 1], dtype=np.uint8)
    table, signature_ids = collapse(COLUMNS, 2, ids=given_ids, mask=mask)
    assert signature_ids is given_ids
    assert given_ids.tolist() == [-1, 0, 1, -1, 0, 1]
    assert table.counts().tolist() == [2, 2]


def test_samples_get_the_value_of_their_signature():
    assert run(counts, ROWS).tolist() == [3, 2, 3, 1, 2, 3]
    assert run(ids, ROWS, np.int32).tolist() == [0, 1, 0, 2, 1, 0]


@pytest.mark.parametrize(("kernel", "dtype"), [(counts, np.int64), (ids, np.int32)])
def test_samples_that_are_not_eligible_get_the_missing_value(kernel, dtype):
    values = run(kernel, ROWS, dtype, eligible=[True, True, False, False, True, True])
    assert values.tolist() == ([2, 2, -5, -5, 2, 2] if dtype is np.int64 else [0, 1, -5, -5, 1, 0])


def test_a_table_gives_a_value_per_signature_and_hands_on_its_mask():
    table = lq.SignatureTable(2)
    table.update(ROWS)
    masks = []

    def kernel(kernel_table, mask, show):
        masks.append(mask.tolist())
        return kernel_table.counts()

    assert run(kernel, table, eligible=[True, False, True]).tolist() == [3, 2, 1]
    assert masks == [[1, 0, 1]]


@pytest.mark.parametrize("is_table", [False, True])
@pytest.mark.parametrize(("kernel", "dtype"), [(counts, np.int64), (ids, np.int32)])
def test_out_is_written_and_returned(is_table, kernel, dtype, tmp_path):
    votes = ROWS
    if is_table:
        votes = lq.SignatureTable(2)
        votes.update(ROWS)
    expected = run(kernel, votes, dtype)
    mapped = np.memmap(tmp_path / "out", dtype=dtype, mode="w+", shape=len(expected))
    for out in (np.empty(len(expected), dtype=dtype), mapped):
        assert run(kernel, votes, dtype, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_both_forms_of_votes_know_their_number_of_partitions():
    assert n_partitions_of(as_votes(ROWS)) == n_partitions_of(lq.SignatureTable(2)) == 2


def test_errors_of_a_kernel_come_through():
    def kernel(table, mask, show):
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        run(kernel, ROWS)
