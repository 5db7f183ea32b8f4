"""What should be there and is not: by the receipts, and by what the stores say they hold."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum_etl import adapters
from aurum_etl.chunk import Chunk, Selection
from aurum_etl.gaps import Gaps, Lack, Recorded, find, held, missing
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, run
from aurum_etl.spec import Spec, load_spec
from aurum_etl.watermarks import Store
from aurum_etl.window import Window, market_day
from tests import services
from tests.frames import PACIFIC, spec, with_variables
from tests.receipts import fill
from tests.test_cli import Shell
from tests.test_coverage import EVERYTHING, FIRST, NOW, days, receipt, window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

FOURTH = days(4)
"""The day after the last that is looked at."""
NODES = Selection.named(["A", "B"])
BOTH = {"dataset": "caiso_lmp", "sinks": [{"kind": "iceberg"}, {"kind": "timescale"}]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "w" / "watermarks.duckdb")


@pytest.fixture
def look(store: Store) -> Callable[..., Gaps]:
    def look(
        spec: object = None,
        held: Mapping[str, Collection[Chunk]] | None = None,
        start: date | None = FIRST,
        end: date | None = FOURTH,
    ) -> Gaps:
        made = Spec.model_validate(spec or {"dataset": "caiso_lmp"})
        dataset = made.chosen(adapters.dataset(made.dataset))
        return find(made, dataset, store, start=start, end=end, now=NOW, ask=None if held is None else lambda _: held)

    return look


def told(found: Gaps) -> list[tuple[date, str, tuple[str, ...]]]:
    """First market day, reason and stores of each gap of a Pacific dataset."""
    return [
        ((gap.chunk.window.start - timedelta(hours=7)).date(), gap.reason.value, gap.stores) for gap in found.missing
    ]


def chunk(at: Window, selection: Selection = EVERYTHING) -> Chunk:
    return Chunk("caiso_lmp", selection, at)


def test_what_no_receipt_settles_is_missing_and_what_was_tried_has_failed(
    store: Store, look: Callable[..., Gaps]
) -> None:
    for number, outcome in ((0, Outcome.DONE), (1, Outcome.FAILED), (3, Outcome.EMPTY)):
        store.append(receipt(window(days(number)), outcome))
    found = look()
    assert told(found) == [(days(1), "failed", ("iceberg",)), (days(2), "missing", ("iceberg",))]
    assert (found.days, found.wanted, found.asked) == ((days(0), days(3)), 4, ())
    assert found.counts() == {"missing": 1, "failed": 1, "lost": 0}


def test_a_failure_of_what_is_settled_is_none(store: Store, look: Callable[..., Gaps]) -> None:
    """The morning is there, and was tried again in vain; the evening was never tried."""
    for outcome in (Outcome.DONE, Outcome.FAILED):
        store.append(receipt(window(days(0), 0, 12), outcome))
    assert told(look(end=days(1))) == [(days(0), "missing", ("iceberg",))]


def test_chunks_are_cut_as_a_run_would_cut_them(store: Store, look: Callable[..., Gaps]) -> None:
    for first, last in ((0, 4), (6, 7)):
        store.append(receipt(Window(window(days(first)).start, window(days(last)).end)))
    found = look({"dataset": "caiso_lmp", "source": {"nodes": ["A"], "chunk_days": 3}}, end=days(8))
    lacking = Window(window(days(3)).start, window(days(5)).end)
    assert [gap.chunk for gap in found.missing] == [chunk(lacking, Selection.named(["A"]))]
    assert found.wanted == 3, "of which the last has two days"


def test_the_stores_that_lack_it_are_named(store: Store, look: Callable[..., Gaps]) -> None:
    store.append(receipt(window(days(0)), stores=("iceberg", "timescale")))
    store.append(receipt(window(days(1)), stores=("iceberg",)))
    store.append(receipt(window(days(2)), stores=("iceberg",)))
    store.append(receipt(window(days(2)), stores=("timescale",)))
    assert told(look(BOTH)) == [
        (days(1), "missing", ("timescale",)),
        (days(2), "missing", ("iceberg", "timescale")),
        (days(3), "missing", ("iceberg", "timescale")),
    ], "what two attempts brought into a store each is not one and the same"


def test_what_a_store_does_not_hold_is_lost(store: Store, look: Callable[..., Gaps]) -> None:
    for number in range(3):
        store.append(receipt(window(days(number)), stores=("iceberg", "timescale")))
    held = {"iceberg": [chunk(window(days(number))) for number in (0, 2)], "timescale": [chunk(window(days(0)))]}
    found = look(BOTH, held)
    assert told(found) == [
        (days(1), "lost", ("iceberg", "timescale")),
        (days(2), "lost", ("timescale",)),
        (days(3), "missing", ("iceberg", "timescale")),
    ]
    assert found.asked == ("iceberg", "timescale")


def test_held_is_what_chunks_of_covering_locations_make_up_together(store: Store, look: Callable[..., Gaps]) -> None:
    """Fetched by the hour and by the month, of all nodes and of some."""
    nodes = {"dataset": "caiso_lmp", "source": {"nodes": ["A", "B"]}}
    store.append(receipt(Window(window(days(0)).start, window(days(3)).end)))
    hours = [chunk(window(days(1), hour, 1), NODES) for hour in range(24)]
    held = [chunk(window(days(0))), *hours, chunk(window(days(2)), Selection.named(["A"]))]
    assert told(look(nodes, {"iceberg": held})) == [(days(2), "lost", ("iceberg",)), (days(3), "lost", ("iceberg",))]
    assert told(look(nodes, {"iceberg": [*held[:-2], *held[-1:]]}))[0] == (days(1), "lost", ("iceberg",))


def test_what_is_settled_without_a_row_is_held_by_nobody(store: Store, look: Callable[..., Gaps]) -> None:
    store.append(receipt(window(days(0)), Outcome.EMPTY))
    store.append(receipt(window(days(1)), Outcome.QUARANTINED, rows=0))
    store.append(receipt(window(days(2))))
    store.append(receipt(window(days(2)), Outcome.EMPTY))
    assert told(look(end=days(3), held={"iceberg": []})) == [(days(2), "lost", ("iceberg",))], (
        "the source has forgotten it, and the store must not have"
    )


def test_what_is_not_due_is_no_gap(store: Store, look: Callable[..., Gaps]) -> None:
    store.append(receipt(window(date(2026, 7, 19))))
    found = look(start=None, end=date(2026, 7, 30))
    assert (told(found), found.days) == (
        [(date(2026, 7, 20), "missing", ("iceberg",))],
        (date(2026, 7, 19), date(2026, 7, 20)),
    )
    ahead = look(start=date(2026, 8, 1), end=date(2026, 8, 2))
    assert (ahead.days, ahead.wanted, ahead.missing) == (None, 0, ())


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 11, 2), 25), (date(2026, 3, 8), 23)])
def test_a_change_day_is_whole_with_all_its_hours(
    store: Store, look: Callable[..., Gaps], day: date, hours: int
) -> None:
    store.append(receipt(window(day, 0, hours - 1)))
    assert len(look(start=day, end=day + timedelta(1)).missing) == 1
    store.append(receipt(window(day, hours - 1, 1)))
    assert look(start=day, end=day + timedelta(1)).missing == ()
    held = {"iceberg": [chunk(window(day, 0, hours - 1))]}
    assert len(look(held=held, start=day, end=day + timedelta(1)).missing) == 1


def test_of_what_is_newest_a_day_is_held_with_anything_of_it(store: Store, look: Callable[..., Gaps]) -> None:
    forecast = {"dataset": "pjm_load_forecast", "source": {"feed": "newest"}}
    zone = adapters.dataset("pjm_load_forecast").timezone
    versions = []
    for number in (0, 2, 3):
        noon = market_day(days(number), zone).start + timedelta(hours=12)
        versions.append(Window(noon, noon + timedelta(microseconds=1)))
        store.append(receipt(versions[-1], dataset="pjm_load_forecast"))
    held = [Chunk("pjm_load_forecast", EVERYTHING, each) for each in versions[:-1]]
    assert [(gap.reason, gap.chunk.window) for gap in look(forecast, {"iceberg": held}).missing] == [
        (Lack.MISSING, market_day(days(1), zone)),
        (Lack.LOST, market_day(days(3), zone)),
    ]


def test_of_a_registry_the_newest_is_all_there_can_be(store: Store, look: Callable[..., Gaps]) -> None:
    registry = {"dataset": "pjm_pnode"}
    at = market_day(days(0), adapters.dataset("pjm_pnode").timezone)
    (gap,) = look(registry, start=None, end=None).missing
    assert gap.reason is Lack.MISSING
    store.append(receipt(at, dataset="pjm_pnode"))
    assert look(registry, start=None, end=None).missing == ()
    assert look(registry, {"iceberg": [Chunk("pjm_pnode", EVERYTHING, at)]}, start=None, end=None).missing == ()
    (gap,) = look(registry, {"iceberg": []}, start=None, end=None).missing
    assert gap.reason is Lack.LOST


HOURS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(HOURS, HOURS, HOURS, HOURS)
def test_gaps_are_those_of_plain_sets_of_hours(
    settled: list[tuple[int, int]],
    failed: list[tuple[int, int]],
    vacant: list[tuple[int, int]],
    held: list[tuple[int, int]],
) -> None:
    start = market_day(days(0), PACIFIC).start

    def windows(hours: list[tuple[int, int]]) -> list[Window]:
        return [Window(start + timedelta(hours=one), start + timedelta(hours=one + many)) for one, many in hours]

    def plain(hours: list[tuple[int, int]]) -> set[int]:
        return {hour for one, many in hours for hour in range(one, one + many)}

    chunks = [chunk(window(days(number))) for number in range(3)]
    recorded = Recorded(windows(settled), {"iceberg": windows(settled)}, windows(failed), windows(vacant))
    expected = []
    for number, each in enumerate(chunks):
        hours = set(range(24 * number, 24 * number + 24))
        unsettled = hours - plain(settled)
        if unsettled:
            expected.append((each, Lack.FAILED if unsettled & plain(failed) else Lack.MISSING))
        elif hours - plain(held) - plain(vacant):
            expected.append((each, Lack.LOST))
    found = missing(chunks, recorded, {"iceberg": [chunk(each) for each in windows(held)]})
    assert [(gap.chunk, gap.reason) for gap in found] == expected


def test_a_hundred_thousand_receipts_with_a_thousand_holes_take_seconds(
    store: Store, look: Callable[..., Gaps]
) -> None:
    fill(store, 100_000, window(date(2014, 1, 1)).start, timedelta(hours=1), failed_each=100)
    started = time.process_time()
    found = look(start=None, end=None)
    seconds = time.process_time() - started
    assert found.counts()["failed"] == 1000
    assert seconds < 8


def test_the_command_lists_gaps_and_says_so_in_its_code(
    settings: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    shell = Shell(settings.home, simulator)
    path = tmp_path / "lmp.yaml"
    path.write_text("dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND]}\n")
    dates = ("--from", "2026-07-14", "--to", "2026-07-17")
    shell("run", path, "--from", "2026-07-14", "--to", "2026-07-15")
    shell("run", path, "--from", "2026-07-16", "--to", "2026-07-17")
    found = shell.json("gaps", path, *dates, code=1)
    (gap,) = found["missing"]
    assert (gap["key"], gap["reason"], gap["stores"]) == (
        chunk(window(date(2026, 7, 15)), Selection.named(["TH_NP15_GEN-APND"])).key,
        "missing",
        ["iceberg"],
    )
    assert (gap["start"], gap["end"]) == ("2026-07-15T07:00:00Z", "2026-07-16T07:00:00Z")
    assert (found["dataset"], found["from"], found["to"], found["wanted"]) == (
        "caiso_lmp",
        "2026-07-14",
        "2026-07-17",
        3,
    )
    assert found["counts"] == {"missing": 1, "failed": 0, "lost": 0}
    shell("run", path, "--from", "2026-07-15", "--to", "2026-07-16")
    whole = "caiso_lmp 2026-07-14 to 2026-07-17: of 3 chunks 0 missing, 0 failed, 0 lost"
    assert shell("gaps", path, *dates) == f"{whole} (asked: iceberg)\n"
    (settings.home / "catalog.db").unlink()
    lost = shell.json("gaps", path, *dates, code=1)
    assert (lost["counts"], lost["asked"]) == ({"missing": 0, "failed": 0, "lost": 3}, ["iceberg"])
    assert shell("gaps", path, *dates, "--receipts-only") == f"{whole} (no store was asked)\n"


def test_a_day_that_one_store_lost_is_found(settings: Settings, tmp_path: Path, database: str) -> None:
    """Receipts say done; one day's rows were deleted behind our back in the one, and all are there in the other."""
    settings = with_variables(settings, TIMESCALE_CONNECTION=database)
    path = spec(tmp_path, "dataset: caiso_load\nsinks: [{kind: iceberg}, {kind: timescale}]\n")
    run(path, Flags(start=date(2026, 7, 14), end=date(2026, 7, 17)), settings)
    loaded = load_spec(path, (), adapters.datasets())
    dataset = loaded.chosen(adapters.dataset("caiso_load"))

    def look() -> Gaps:
        return find(
            loaded,
            dataset,
            Store(settings.home / "watermarks.duckdb"),
            start=date(2026, 7, 14),
            end=date(2026, 7, 17),
            now=datetime.now(UTC),
            ask=lambda window: held(loaded, dataset, settings, window),
        )

    assert (look().missing, look().asked) == ((), ("iceberg", "timescale"))
    services.execute(database, "delete from iso_load_fact where operating_date = '2026-07-15'")
    assert told(look()) == [(date(2026, 7, 15), "lost", ("timescale",))]


def test_what_stores_hold_of_a_simulation_is_not_what_is_wanted(settings: Settings, tmp_path: Path) -> None:
    path = spec(tmp_path)
    run(path, Flags(start=date(2026, 7, 14), end=date(2026, 7, 15), simulated=True), settings)
    loaded = load_spec(path, (), adapters.datasets())
    dataset = loaded.chosen(adapters.dataset("caiso_lmp"))
    day = market_day(date(2026, 7, 14), dataset.timezone)
    assert held(loaded, dataset, settings, day) == {"iceberg": []}
    assert held(loaded, dataset, settings, day, simulated=True) == {
        "iceberg": [Chunk("caiso_lmp", loaded.selection, day)]
    }
