"""What the stores hold against what the receipts say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.checksum import days_of_rows
from aurum_etl.chunk import Chunk, Scope, Selection, scope_of
from aurum_etl.receipt import Day, Origin, Outcome, Receipt, Written
from aurum_etl.reconcile import Difference, Kind, compared, expected, reconcile
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.ledger import Provenance
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec
from aurum_etl.window import Window, market_days
from tests.frames import DAY, PACIFIC, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink

NEXT = date(2026, 7, 15)
NOW = datetime(2026, 7, 20, tzinfo=UTC)


def receipt(of: Scope, days: tuple[Day, ...], minute: int = 0, kinds: tuple[str, ...] = ("iceberg",)) -> Receipt:
    taken = sum(each.rows for each in days)
    return Receipt(
        chunk=of.chunk,
        origin=Origin.LIVE,
        outcome=Outcome.DONE,
        started_at=NOW + timedelta(minutes=minute),
        finished_at=NOW + timedelta(minutes=minute),
        rows_read=taken,
        rows_accepted=taken,
        rows_rejected=0,
        attempts=1,
        seconds={},
        written=tuple(Written(kind, "iso.lmp", taken, "") for kind in kinds),
        days=days,
    )


def two_days(*names: str) -> Scope:
    window = market_days(DAY, date(2026, 7, 16), PACIFIC)
    assert window is not None
    return scope_of(Chunk("caiso_lmp", Selection.named(names), window), LMP_DAY_AHEAD)


@pytest.fixture(params=["iceberg", "timescale"])
def sink(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Sink]:
    opened: Sink = IcebergSink(settings)
    if request.param == "timescale":
        database = request.getfixturevalue("database")
        opened = TimescaleSink(lambda: database, TimescaleSpec(kind="timescale"))
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def put(sink: Sink, of: Scope, table: pa.Table, minute: int = 0) -> Receipt:
    """Load the rows, and answer with the receipt that the pipeline would have made."""
    days = days_of_rows(table, of)
    sink.stage(Provenance(Origin.LIVE, "", days).on(table), of).commit()
    return receipt(of, days, minute, (sink.kind,))


def test_a_store_that_holds_what_was_put_there_differs_in_nothing(sink: Sink) -> None:
    made = [put(sink, of, rows(of, "A", "B")) for of in (scope(), scope(LMP_DAY_AHEAD, NEXT))]
    assert reconcile(made, LMP_DAY_AHEAD, [sink]) == []


def test_rows_that_were_changed_behind_our_back_are_told(sink: Sink) -> None:
    """By somebody who writes past the ledger: the same chunk with other rows, and no receipt of it."""
    whole, other = scope(), scope(LMP_DAY_AHEAD, NEXT)
    made = [put(sink, of, rows(of, "A", "B")) for of in (whole, other)]
    sink.stage(rows(other, "A", "B", price=2.0), other).commit()
    (found,) = reconcile(made, LMP_DAY_AHEAD, [sink])
    assert (found.chunk_key, found.sink, found.day, found.kind) == (other.chunk.key, sink.kind, NEXT, Kind.DIFFERS)
    assert (found.expected and found.expected.rows, found.found and found.found.rows) == (48, 48)
    sink.stage(rows(other, "A").slice(0, 0), other).commit()
    (found,) = reconcile(made, LMP_DAY_AHEAD, [sink])
    assert (found.is_wrong, found.found) == (True, None)


def test_a_day_that_a_later_chunk_owns_a_part_of_is_left_out_and_told(sink: Sink) -> None:
    both, later = two_days("A", "B"), scope(LMP_DAY_AHEAD, NEXT, "B", "C")
    made = [put(sink, both, rows(both, "A", "B")), put(sink, later, rows(later, "B", "C", price=5.0), 1)]
    (found,) = reconcile(made, LMP_DAY_AHEAD, [sink])
    assert (found.chunk_key, found.day, found.kind, found.later) == (
        both.chunk.key,
        NEXT,
        Kind.REPLACED,
        later.chunk.key,
    )
    assert not found.is_wrong
    # The other of its days is still looked at.
    wrong = replace(made[0], days=(replace(made[0].days[0], checksum="0" * 16), made[0].days[1]))
    found = reconcile([wrong, made[1]], LMP_DAY_AHEAD, [sink])[-2]
    assert (found.day, found.kind) == (DAY, Kind.DIFFERS)


def day(rows_: int = 24, number: int = 14) -> Day:
    return Day(date(2026, 7, number), rows_, f"{rows_:016x}")


def test_of_each_key_the_newest_attempt_counts() -> None:
    old, new = receipt(scope(), (day(1),)), receipt(scope(), (day(2),), 5)
    for given in ([new, old], [old, new]):
        (found,) = expected(given, LMP_DAY_AHEAD, "iceberg")
        assert (found.days, found.replaced) == ((day(2),), ())
    assert expected([new], LMP_DAY_AHEAD, "timescale") == []


def test_chunks_of_other_places_or_days_replace_nothing() -> None:
    given = [
        receipt(scope(LMP_DAY_AHEAD, DAY, "A"), (day(),)),
        receipt(scope(LMP_DAY_AHEAD, DAY, "B"), (day(),), 1),
        receipt(scope(LMP_DAY_AHEAD, NEXT, "A"), (day(24, 15),), 2),
    ]
    assert [each.replaced for each in expected(given, LMP_DAY_AHEAD, "iceberg")] == [(), (), ()]


def test_a_whole_that_came_later_leaves_nothing_to_compare() -> None:
    part, whole = receipt(scope(LMP_DAY_AHEAD, DAY, "A"), (day(),)), receipt(scope(), (day(99),), 1)
    first, last = expected([part, whole], LMP_DAY_AHEAD, "iceberg")
    assert (first.is_gone, last.is_gone) == (True, False)
    (found,) = compared(first, (), "iceberg")
    assert (found.kind, found.later) == (Kind.REPLACED, whole.chunk.key)
    assert compared(last, [day(99)], "iceberg") == []


def test_a_registry_is_replaced_as_a_whole_by_that_of_a_later_day() -> None:
    from aurum_etl import adapters

    dataset = adapters.dataset("spp_pnode")
    given = []
    for number in (14, 15):
        window = market_days(date(2026, 7, number), date(2026, 7, number + 1), dataset.timezone)
        assert isinstance(window, Window)
        of = scope_of(Chunk("spp_pnode", Selection("ALL"), window), dataset)
        given.append(receipt(of, (day(7, number),), number))
    first, last = expected(given, dataset, "iceberg")
    assert (first.is_gone, last.is_gone) == (True, False)


def test_rows_in_a_day_that_the_receipt_does_not_know_are_told() -> None:
    (of,) = expected([receipt(two_days("A"), (day(),))], LMP_DAY_AHEAD, "iceberg")
    (found,) = compared(of, [day(), day(3, 15)], "iceberg")
    assert (found.day, found.expected, found.found) == (NEXT, None, day(3, 15))


def test_what_cannot_be_compared_is_told() -> None:
    without = replace(receipt(scope(), (day(),)), days=())
    (of,) = expected([without], LMP_DAY_AHEAD, "iceberg")
    unknown = Difference(scope().chunk.key, "iceberg", None, Kind.UNKNOWN, None, None)
    assert compared(of, (), "iceberg") == [unknown]
    (of,) = expected([receipt(scope(), (day(),), 0, ("kafka",))], LMP_DAY_AHEAD, "kafka")
    assert compared(of, None, "kafka") == [replace(unknown, sink="kafka")]
