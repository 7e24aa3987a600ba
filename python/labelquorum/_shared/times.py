"""Read dates and times that users pass, and put them into bins."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import shown

_MOST_BINS = 60
_MONDAY = 3  # days from Monday to the day 0, a Thursday
Times = NDArray[np.datetime64]


class TimeBins(NamedTuple):
    """Consecutive days, weeks, months or years."""

    unit: str
    """"day", "week", "month", "year" or "10 years", ..."""
    names: list[str]
    """The first day of each bin, as far as it matters: 2026-01-31, 2026-01 or 2026."""
    codes: NDArray[np.intp]
    """(n,): the bin of each time; -1 for none."""


def as_times(values: Any, name: str) -> Times:
    """Return times in seconds of UTC, NaT for none.

    `values` are dates and times of Python, NumPy, pandas or Arrow, or strings in the formats of ISO
    8601: "2026-01-31", "2026-01-31T12:00:00Z". Times without a zone are taken as they are.
    """
    if isinstance(getattr(values, "dtype", None), np.dtype) and values.dtype.kind == "M":
        return np.asarray(values).astype("M8[s]")
    items = list(values)
    known: dict[Any, np.datetime64] = {}
    for i, item in enumerate(items):
        if not isinstance(item, Hashable):
            _refuse(item, name, i)
        if item not in known:
            known[item] = _as_time(item, name, i)
    return np.array([known[item] for item in items], dtype="M8[s]")


def _as_time(item: Any, name: str, position: int) -> np.datetime64:
    value = item.as_py() if hasattr(item, "as_py") else item
    # NaN and NaT do not equal themselves.
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return np.datetime64("NaT", "s")
    with suppress(ValueError, OverflowError):
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
    if not isinstance(value, (date, np.datetime64)):
        _refuse(item, name, position)
    time: np.datetime64 = np.array([value], dtype="M8[s]")[0]
    return time


def _refuse(item: Any, name: str, position: int) -> NoReturn:
    raise ValueError(
        f"{name} must hold dates such as 2026-01-31 or times such as 2026-01-31T12:00:00, got "
        f"{shown(item)} at position {position}"
    )


class _Unit(NamedTuple):
    name: str
    numbers: NDArray[np.int64]
    """Of the times, consecutive ones."""
    name_of: Callable[[int], str]


def time_bins(times: Times) -> TimeBins | None:
    """Put times into at most 60 bins, as short as possible; None if there is no time."""
    is_time = ~np.isnat(times)
    if not is_time.any():
        return None
    units = _units(times[is_time].astype("M8[D]"))
    unit = next(unit for unit in units if np.ptp(unit.numbers) < _MOST_BINS)
    first, last = int(unit.numbers.min()), int(unit.numbers.max())
    codes = np.full(len(times), -1, dtype=np.intp)
    codes[is_time] = unit.numbers - first
    return TimeBins(unit.name, [unit.name_of(k) for k in range(first, last + 1)], codes)


def _units(days: Times) -> Iterator[_Unit]:
    numbers = days.astype(np.int64)
    yield _Unit("day", numbers, lambda k: str(np.datetime64(k, "D")))
    weeks = (numbers + _MONDAY) // 7
    yield _Unit("week", weeks, lambda k: str(np.datetime64(7 * k - _MONDAY, "D")))
    months = days.astype("M8[M]").astype(np.int64)
    yield _Unit("month", months, lambda k: str(np.datetime64(k, "M")))
    years = days.astype("M8[Y]").astype(np.int64)
    yield _Unit("year", years, _year)
    for step in (10**power for power in range(1, 20)):
        yield _Unit(f"{step:,} years", years // step, partial(_year, step))


def _year(step: int, number: int = 1) -> str:
    return str(np.datetime64(step * number, "Y"))
