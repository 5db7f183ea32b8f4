"""The algebra of windows, against sets of hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl.market import Iso
from aurum_etl.window import Window, days_of, intersect, market_day, market_days, merge, split, subtract

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(sorted({iso.timezone for iso in Iso}))
DAYS = st.dates(date(2006, 1, 1), date(2027, 12, 31))


def hours(start: int, length: int) -> Window:
    return Window(EPOCH + timedelta(hours=start), EPOCH + timedelta(hours=start + length))


WINDOWS = st.lists(st.builds(hours, st.integers(0, 60), st.integers(1, 12)), max_size=8)


def as_set(windows: list[Window]) -> set[int]:
    return {
        (window.start - EPOCH) // timedelta(hours=1) + hour
        for window in windows
        for hour in range(window.duration // timedelta(hours=1))
    }


@given(WINDOWS)
def test_merge_covers_the_same_hours_without_touching_neighbours(windows: list[Window]) -> None:
    merged = merge(windows)
    assert as_set(merged) == as_set(windows)
    assert all(one.end < other.start for one, other in pairwise(merged))


@given(WINDOWS, WINDOWS)
def test_subtract_is_the_difference_of_the_hours(wanted: list[Window], done: list[Window]) -> None:
    assert as_set(subtract(wanted, done)) == as_set(wanted) - as_set(done)


@given(WINDOWS, WINDOWS)
def test_intersect_is_the_common_hours(ones: list[Window], others: list[Window]) -> None:
    for one in ones:
        for other in others:
            common = intersect(one, other)
            assert as_set([common] if common else []) == as_set([one]) & as_set([other])


@given(DAYS, ZONES)
def test_market_days_tile_time(day: date, zone: str) -> None:
    """Each is 23, 24 or 25 hours long, and the next one starts where it ends."""
    window = market_day(day, zone)
    assert window.duration // timedelta(hours=1) in (23, 24, 25)
    assert window.end == market_day(day + timedelta(1), zone).start
    assert list(days_of(window, zone)) == [day]


@given(DAYS, st.integers(1, 70), st.integers(1, 31), ZONES)
def test_split_gives_whole_days_that_make_up_the_window(day: date, length: int, size: int, zone: str) -> None:
    window = market_days(day, day + timedelta(length), zone)
    assert window is not None
    pieces = split(window, size, zone)
    assert merge(pieces) == [window]
    assert sum((piece.duration for piece in pieces), timedelta()) == window.duration
    assert all(1 <= len(list(days_of(piece, zone))) <= size for piece in pieces)


@pytest.mark.parametrize(("day", "length"), [(date(2025, 11, 2), 25), (date(2026, 3, 8), 23), (date(2026, 7, 14), 24)])
def test_change_days_have_their_own_length(day: date, length: int) -> None:
    assert market_day(day, "America/Los_Angeles").duration == timedelta(hours=length)


def test_a_market_on_standard_time_has_no_change_days() -> None:
    """MISO's market clock is Eastern Standard Time all year."""
    assert market_day(date(2025, 11, 2), Iso.MISO.timezone).duration == timedelta(hours=24)


def test_a_window_needs_two_instants_in_utc_in_order() -> None:
    with pytest.raises(ValueError, match="not after its start"):
        Window(EPOCH, EPOCH)
    with pytest.raises(ValueError, match="not in UTC"):
        Window(EPOCH.replace(tzinfo=None), EPOCH)


def test_a_window_about_an_instant_is_written_in_full() -> None:
    """Or two versions of one minute had the same chunk key."""
    instant = datetime(2026, 7, 14, 9, 17, 53, tzinfo=UTC)
    assert str(Window(instant, instant + timedelta(microseconds=1))) == (
        "20260714T091753.000000Z/20260714T091753.000001Z"
    )
    assert str(market_day(date(2026, 7, 14), "America/Los_Angeles")) == "20260714T0700Z/20260715T0700Z"


@given(st.timedeltas(timedelta(0), timedelta(2_900_000)), st.timedeltas(timedelta(microseconds=1), timedelta(900)))
def test_a_window_is_read_as_it_was_written(since: timedelta, length: timedelta) -> None:
    for start in (EPOCH + since, EPOCH + timedelta(days=since.days)):
        for window in (Window(start, start + length), Window(start, start + timedelta(days=length.days + 1))):
            assert Window.parse(str(window)) == window


@pytest.mark.parametrize(
    "text", ["", "x/y", "20260714T0700Z", "20260714T0700/20260715T0700", "2026-07-14T07:00Z/2026-07-15T07:00Z"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Window.parse(text)
