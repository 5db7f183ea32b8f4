"""The plan of a backfill: wanted − done, each chunk with its reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl import adapters
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.backfill import Plan, Reason, Rerun, plan, remaining, rounded
from aurum_etl.chunk import Selection
from aurum_etl.market import Iso
from aurum_etl.quota import Limits
from aurum_etl.spec import Spec
from aurum_etl.window import Window, market_day, market_days, merge
from tests.frames import PACIFIC

FIRST = date(2026, 3, 1)
NODES = ("A", "B")


def whole(days: int = 10, chunk_days: int = 1) -> Plan:
    spec = Spec.model_validate({"dataset": "caiso_lmp", "source": {"nodes": list(NODES), "chunk_days": chunk_days}})
    window = market_days(FIRST, FIRST + timedelta(days), PACIFIC)
    adapter = adapters.adapter(Iso.CAISO)
    return plan(
        window,
        spec,
        LMP_DAY_AHEAD,
        adapter,
        [],
        asked_for=False,
        limits=Limits(requests_per_minute=12),
        bytes_per_row=2.0,
    )


def day(number: int) -> Window:
    return market_day(FIRST + timedelta(number), PACIFIC)


def reasons(of: Plan) -> dict[int, Reason]:
    """By the number of the day."""
    return {
        (each.chunk.window.start.astimezone(ZoneInfo(PACIFIC)).date() - FIRST).days: each.reason for each in of.chunks
    }


def test_what_is_done_is_not_planned_and_everything_else_has_its_reason() -> None:
    planned = whole(6)
    failed = {planned.chunks[4].chunk.key}
    left = remaining(planned, merge([day(0), day(1)]), merge([day(0), day(1), day(3)]), failed, None)
    assert reasons(left) == {2: Reason.MISSING, 3: Reason.RESTATED, 4: Reason.FAILED, 5: Reason.MISSING}


@pytest.mark.parametrize(
    ("rerun", "days"), [(Rerun.FAILED, [4]), (Rerun.MISSING, [2, 5]), (Rerun.ALL, [0, 1, 2, 3, 4, 5])]
)
def test_a_rerun_takes_what_it_names(rerun: Rerun, days: list[int]) -> None:
    planned = whole(6)
    failed = {planned.chunks[4].chunk.key}
    left = remaining(planned, merge([day(0), day(1)]), merge([day(0), day(1), day(3)]), failed, rerun)
    assert list(reasons(left)) == days
    if rerun is Rerun.ALL:
        assert reasons(left)[0] is Reason.FORCED


def test_a_chunk_of_which_a_part_is_done_is_missing() -> None:
    half = Window(day(0).start, day(0).start + timedelta(hours=12))
    assert list(reasons(remaining(whole(1), [half], [half], (), None))) == [0]


def test_a_chunk_that_failed_once_and_is_done_since_is_done() -> None:
    planned = whole(1)
    assert not remaining(planned, [day(0)], [day(0)], {planned.chunks[0].chunk.key}, None).chunks


MONTH = whole(30)


@given(st.sets(st.integers(0, 29)))
def test_the_plan_is_what_is_wanted_less_what_is_done(done: set[int]) -> None:
    settled = merge(day(each) for each in done)
    left = remaining(MONTH, settled, settled, (), None)
    assert set(reasons(left)) == set(range(30)) - done


def test_keys_of_chunks_come_from_dataset_locations_and_window_alone() -> None:
    assert [each.chunk.key for each in whole(2).chunks] == [
        f"caiso_lmp[{Selection.named(NODES)}]@20260301T0800Z/20260302T0800Z",
        f"caiso_lmp[{Selection.named(NODES)}]@20260302T0800Z/20260303T0800Z",
    ]


def test_a_plan_tells_requests_rows_bytes_and_the_time_at_the_limit() -> None:
    planned = whole(10)
    assert (planned.requests, planned.rows, planned.bytes) == (
        10,
        2 * 239,
        2 * 2 * 239,
    )  # the night of March 8 is short
    assert planned.wait_seconds == 9 * 5


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("exact", datetime(2026, 3, 12, 17, 45, tzinfo=UTC)),
        ("hour", datetime(2026, 3, 12, 17, 0, tzinfo=UTC)),
        ("day", datetime(2026, 3, 12, 7, 0, tzinfo=UTC)),
        ("week", datetime(2026, 3, 9, 7, 0, tzinfo=UTC)),
        ("month", datetime(2026, 3, 1, 8, 0, tzinfo=UTC)),
    ],
)
def test_a_watermark_is_rounded_down_in_the_markets_own_time(unit: str, expected: datetime) -> None:
    assert rounded(datetime(2026, 3, 12, 17, 45, tzinfo=UTC), unit, PACIFIC) == expected  # type: ignore[arg-type]


@given(
    st.lists(st.integers(0, 182 * 24 * 60), min_size=2),
    st.sampled_from(["exact", "hour", "day", "week", "month"]),
)
def test_a_rounded_watermark_moves_on_with_the_exact_one_and_is_never_ahead_of_it(
    minutes: list[int], unit: str
) -> None:
    instants = [datetime(2025, 10, 1, tzinfo=UTC) + timedelta(minutes=each) for each in sorted(minutes)]
    marks = [rounded(each, unit, PACIFIC) for each in instants]  # type: ignore[arg-type]
    assert marks == sorted(marks)
    assert all(mark <= instant for mark, instant in zip(marks, instants, strict=True))
