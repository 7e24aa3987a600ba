"""Dates of any kind are read, and put into at most 60 bins."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from labelquorum._shared.times import as_times, time_bins

DAY = np.datetime64("2026-01-31T00:00:00", "s")


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31",
        " 20260131 ",
        "2026-W05-6",
        "2026-01-31T02:00:00+02:00",
        date(2026, 1, 31),
        datetime(2026, 1, 31),
        datetime(2026, 1, 31, tzinfo=UTC),
        np.datetime64("2026-01-31"),
    ],
)
def test_dates_are_read(value):
    assert as_times([value, None, ""], "times").tolist()[0] == DAY.tolist()
    assert np.isnat(as_times([value, None, "", float("nan")], "times")).tolist() == [0, 1, 1, 1]


def test_columns_of_libraries_are_read():
    pd = pytest.importorskip("pandas")
    times = pd.Series(pd.to_datetime(["2026-01-31", None]))
    assert as_times(times, "times")[0] == DAY
    assert as_times(np.array(["2026-01-31"]), "times")[0] == DAY


@pytest.mark.parametrize("value", ["31.1.2026", "yesterday", 20260131, 1.5, True, ["2026-01-31"]])
def test_what_is_no_date_is_refused(value):
    with pytest.raises(ValueError, match=r"times must hold dates such as .* at position 1"):
        as_times(["2026-01-31", value], "times")


@pytest.mark.parametrize(
    ("last", "unit", "n"),
    [
        ("2026-01-01", "day", 1),
        ("2026-02-20", "day", 51),
        ("2026-03-02", "week", 10),
        ("2027-12-01", "month", 24),
        ("2051-01-01", "year", 26),
        ("2426-01-01", "10 years", 41),
    ],
)
def test_there_are_at_most_60_bins(last, unit, n):
    bins = time_bins(as_times(["2026-01-01", None, last], "times"))
    assert (bins.unit, len(bins.names)) == (unit, n)
    assert bins.codes.tolist() == [0, -1, n - 1]


def test_weeks_begin_on_monday():
    bins = time_bins(as_times(["2026-01-04", "2026-01-05", "2026-12-31"], "times"))
    assert bins.names[:2] == ["2025-12-29", "2026-01-05"]
    assert time_bins(as_times([None], "times")) is None
