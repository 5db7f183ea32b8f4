"""Market days by their state: what the receipts say, and how it is drawn."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console as Rich

from aurum_etl import adapters
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.coverage import MARKS, Coverage, State, coverage, day_states, drawn, lines
from aurum_etl.errors import UsageError
from aurum_etl.receipt import Origin, Outcome, Receipt, Written
from aurum_etl.spec import Spec
from aurum_etl.watermarks import Standing, Store, insert
from aurum_etl.window import Window, market_day, subtract
from tests.frames import PACIFIC
from tests.receipts import fill
from tests.test_cli import Shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

EVERYTHING = Selection(ALL)
NOW = datetime(2026, 7, 20, 12, tzinfo=UTC)
FIRST = date(2026, 7, 1)
DUE = (date.min, date(2026, 7, 18))


def window(day: date, start: int = 0, hours: int | None = None) -> Window:
    """A market day, or some hours of it."""
    whole = market_day(day, PACIFIC)
    if hours is None:
        return whole
    first = whole.start + timedelta(hours=start)
    return Window(first, first + timedelta(hours=hours))


def receipt(
    at: Window,
    outcome: Outcome = Outcome.DONE,
    *,
    dataset: str = "caiso_lmp",
    selection: Selection = EVERYTHING,
    origin: Origin = Origin.LIVE,
    stores: tuple[str, ...] = ("iceberg",),
    rows: int = 5,
    revision: str = "",
) -> Receipt:
    took = outcome in (Outcome.DONE, Outcome.QUARANTINED)
    return Receipt(
        chunk=Chunk(dataset, selection, at),
        origin=origin,
        outcome=outcome,
        started_at=NOW,
        finished_at=NOW,
        rows_read=rows,
        rows_accepted=rows if took else 0,
        rows_rejected=0,
        attempts=1,
        seconds={},
        written=tuple(Written(kind, "iso.lmp", rows, "9") for kind in stores) if took else (),
        error="SourceChanged: x" if outcome is Outcome.FAILED else None,
        revision=revision,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "w" / "watermarks.duckdb")


@pytest.fixture
def states(store: Store) -> Callable[..., str]:
    """The map of a spec as one string."""

    def states(spec: Spec | None = None, start: date | None = FIRST, end: date | None = None, **flags: bool) -> str:
        spec = spec or Spec(dataset="caiso_lmp")
        dataset = spec.chosen(adapters.dataset(spec.dataset))
        found = coverage(spec, dataset, store, start=start, end=end, now=NOW, **flags)
        return "".join(MARKS[state][0] for state in found.states)

    return states


def days(number: int) -> date:
    return FIRST + timedelta(number)


def test_every_state_has_a_character_and_a_color_of_its_own() -> None:
    assert set(MARKS) == set(State)
    assert len({mark for mark, _ in MARKS.values()}) == len({style for _, style in MARKS.values()}) == len(State)


def test_each_day_is_in_the_state_that_its_receipts_tell(store: Store, states: Callable[..., str]) -> None:
    for number, outcome in enumerate([Outcome.DONE, Outcome.EMPTY, Outcome.QUARANTINED, Outcome.FAILED]):
        store.append(receipt(window(days(number)), outcome))
    store.append(receipt(window(days(4), 3, 5)))
    assert states(end=days(6)) == "#oqx+!"
    assert states(start=date(2026, 7, 19), end=date(2026, 7, 23)) == "!!..", "tomorrow is not out before noon"


def test_a_later_failure_unsettles_nothing_and_a_later_success_settles(
    store: Store, states: Callable[..., str]
) -> None:
    """The stores still hold what the earlier run wrote."""
    for number, outcomes in enumerate(
        [(Outcome.DONE, Outcome.FAILED), (Outcome.FAILED, Outcome.DONE), (Outcome.QUARANTINED, Outcome.DONE)]
    ):
        for outcome in outcomes:
            store.append(receipt(window(days(number)), outcome))
    assert states(end=days(3)) == "###"


def test_what_the_source_has_forgotten_is_still_there(store: Store, states: Callable[..., str]) -> None:
    store.append(receipt(window(days(0))))
    store.append(receipt(window(days(0)), Outcome.EMPTY))
    assert states(end=days(1)) == "#"


def test_chunks_of_any_length_come_together_as_days(store: Store, states: Callable[..., str]) -> None:
    """Three days at once; then one in hours, of which the last but one is lacking until it comes."""
    store.append(receipt(Window(window(days(0)).start, window(days(2)).end)))
    for hour in (*range(22), 23):
        store.append(receipt(window(days(3), hour, 1)))
    assert states(end=days(4)) == "###+"
    store.append(receipt(window(days(3), 22, 1), Outcome.QUARANTINED))
    assert states(end=days(4)) == "###q"
    store.append(receipt(Window(window(days(2)).start, window(days(3)).end)))
    assert states(end=days(4)) == "####", "a newer chunk over all of it counts for all of it"


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 11, 2), 25), (date(2026, 3, 8), 23), (date(2026, 3, 9), 24)])
def test_change_days_are_whole_with_all_their_hours(
    store: Store, states: Callable[..., str], day: date, hours: int
) -> None:
    store.append(receipt(window(day, 0, hours - 1)))
    assert states(start=day, end=day + timedelta(1)) == "+"
    store.append(receipt(window(day, hours - 1, 1)))
    assert states(start=day, end=day + timedelta(1)) == "#"


def test_three_nodes_done_is_not_the_day_done(store: Store, states: Callable[..., str]) -> None:
    store.append(receipt(window(days(0)), selection=Selection.named(["A", "B"])))
    assert states(end=days(1)) == "!"
    assert states(Spec.model_validate({"dataset": "caiso_lmp", "source": {"nodes": ["A"]}}), end=days(1)) == "#"


def test_invented_data_counts_where_it_is_asked_for(store: Store, states: Callable[..., str]) -> None:
    store.append(receipt(window(days(0)), origin=Origin.SIMULATOR))
    assert (states(end=days(1)), states(end=days(1), simulated=True)) == ("!", "#")


def test_a_day_is_done_when_every_store_of_the_spec_has_it(store: Store, states: Callable[..., str]) -> None:
    sinks = [{"kind": "iceberg"}, {"kind": "timescale"}]
    both = Spec.model_validate({"dataset": "caiso_lmp", "sinks": sinks})
    store.append(receipt(window(days(0))))
    store.append(receipt(window(days(1)), stores=("iceberg", "timescale")))
    assert (states(both, end=days(2)), states(end=days(2))) == ("!#", "##")
    assert states(Spec.model_validate({"dataset": "caiso_lmp", "sinks": [{"kind": "memory"}]}), end=days(2)) == "!!"


def test_preliminary_days_are_missing_where_final_ones_are_wanted(store: Store, states: Callable[..., str]) -> None:
    zone = adapters.dataset("miso_lmp_rt60").timezone
    store.append(receipt(market_day(FIRST, zone), dataset="miso_lmp_rt60", revision="PRELIM"))
    for feed, shown in (("final", "!"), ("prelim", "#")):
        spec = Spec.model_validate({"dataset": "miso_lmp_rt60", "source": {"feed": feed}})
        assert states(spec, end=days(1)) == shown


def test_a_source_that_serves_what_is_newest_settles_a_day_with_anything_of_it(
    store: Store, states: Callable[..., str]
) -> None:
    """Versions are instants; fetched by the day of their publication the same dataset has whole days."""
    zone = adapters.dataset("pjm_load_forecast").timezone
    for number, outcome in ((0, Outcome.DONE), (2, Outcome.QUARANTINED), (2, Outcome.DONE)):
        noon = market_day(days(number), zone).start + timedelta(hours=12, seconds=number)
        at = Window(noon, noon + timedelta(microseconds=1))
        store.append(receipt(at, outcome, dataset="pjm_load_forecast"))
    newest, history = (
        Spec.model_validate({"dataset": "pjm_load_forecast", "source": {"feed": feed}})
        for feed in ("newest", "history")
    )
    assert states(newest, end=days(3)) == "#!#"
    assert states(history, end=days(3)) == "+!+"
    store.append(receipt(market_day(days(1), zone), dataset="pjm_load_forecast"))
    assert (states(newest, end=days(3)), states(history, end=days(3))) == ("###", "+#+")


def test_a_registry_has_the_days_on_which_it_was_fetched(store: Store, states: Callable[..., str]) -> None:
    """Today's is not due before the day is over."""
    registry = Spec(dataset="pjm_pnode")
    zone = adapters.dataset("pjm_pnode").timezone
    for day in (date(2026, 7, 16), date(2026, 7, 18)):
        store.append(receipt(market_day(day, zone), dataset="pjm_pnode"))
    assert states(registry, start=None, end=date(2026, 7, 21)) == "#!#!."


def test_what_a_feed_serves_no_more_was_due_once_the_record_had_begun(store: Store, states: Callable[..., str]) -> None:
    spec = Spec(dataset="pjm_load_rt5")
    zone = adapters.dataset("pjm_load_rt5").timezone
    start, end = date(2026, 6, 15), date(2026, 6, 24)
    assert states(spec, start=start, end=end) == ".....!!!!", "thirty days are served"
    store.append(receipt(market_day(date(2026, 6, 17), zone), dataset="pjm_load_rt5"))
    assert states(spec, start=start, end=end) == "..#!!!!!!"


def test_without_dates_it_is_the_record_so_far(store: Store, states: Callable[..., str]) -> None:
    assert states(start=None) == "!", "the latest complete day alone"
    store.append(receipt(window(date(2026, 7, 18))))
    assert states(start=None) == "#!!"
    scheduled = Spec.model_validate({"dataset": "caiso_lmp", "schedule": {"start": date(2026, 7, 16)}})
    assert states(scheduled, start=None) == "!!#!!"
    assert states(start=None, end=date(2026, 7, 10)) == "!"


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (FIRST, FIRST, "--to 2026-07-01 is not after --from 2026-07-01"),
        (date.min, None, "--from 0001-01-01: not between 1990-01-01 and"),
        (date.max, None, "--from 9999-12-31: not between"),
        (None, date.min, "--to 0001-01-01: not between"),
        (None, date.max, "--to 9999-12-31: not between"),
    ],
)
def test_days_that_are_none_are_refused(
    states: Callable[..., str], start: date | None, end: date | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        states(start=start, end=end)


PIECES = st.tuples(st.integers(0, 70), st.integers(1, 40), st.sampled_from([*Outcome]))


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=10), st.booleans())
def test_states_are_those_of_plain_sets_of_hours(pieces: list[tuple[int, int, Outcome]], touched: bool) -> None:
    """Whatever overlaps: each hour has the newest outcome that loaded it, or else is empty, or else open."""
    start = market_day(FIRST, PACIFIC).start
    by_hour: dict[int, Outcome] = {}
    failed: set[int] = set()
    standings = []
    # As the store orders them: what was never loaded in front.
    for first, length, outcome in sorted(pieces, key=lambda each: each[2] in (Outcome.DONE, Outcome.QUARANTINED)):
        at = Window(start + timedelta(hours=first), start + timedelta(hours=first + length))
        lost = outcome is Outcome.FAILED
        standings.append(Standing(at, None if lost else outcome, 5, lost))
        hours = set(range(first, first + length))
        failed |= hours if lost else set()
        by_hour |= {} if lost else dict.fromkeys(hours, outcome)
    expected = []
    for day in range(4):
        hours = set(range(24 * day, 24 * day + 24))
        seen = {by_hour[hour] for hour in hours & by_hour.keys()}
        if seen and (touched or hours <= by_hour.keys()):
            worst = next(each for each in (Outcome.QUARANTINED, Outcome.DONE, Outcome.EMPTY) if each in seen)
            expected.append(State(worst))
        elif seen:
            expected.append(State.PARTIAL)
        else:
            expected.append(State.FAILED if hours & failed else State.MISSING)
    assert day_states(FIRST, 4, standings, PACIFIC, DUE, touched=touched) == tuple(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_days_that_are_whole_are_those_that_a_run_leaves_alone(pieces: list[tuple[int, int, Outcome]]) -> None:
    """The map and the plan read the same record, and must not differ."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "w.duckdb")
        start = market_day(FIRST, PACIFIC).start
        with store.transaction() as connection:
            for first, length, outcome in pieces:
                at = Window(start + timedelta(hours=first), start + timedelta(hours=first + length))
                insert(connection, [receipt(at, outcome)])
        settled = store.settled("caiso_lmp", Selection(ALL), ["iceberg"], simulated=False)
        spec = Spec(dataset="caiso_lmp")
        found = coverage(spec, adapters.dataset("caiso_lmp"), store, start=FIRST, end=days(5), now=NOW)
        whole = (State.DONE, State.EMPTY, State.QUARANTINED)
        for number, state in enumerate(found.states):
            assert (state in whole) == (not subtract([window(days(number))], settled))


def test_a_hundred_thousand_receipts_are_told_right(store: Store) -> None:
    fill(store, 100_000, window(date(2014, 1, 1)).start, timedelta(hours=1), failed_each=1000)
    dataset = adapters.dataset("caiso_lmp")
    found = coverage(Spec(dataset="caiso_lmp"), dataset, store, now=NOW)
    assert (found.start, found.counts()["partial"]) == (date(2014, 1, 1), 101)
    assert found.counts()["done"] == 100_000 // 24 - 100


def test_runs_and_counts_are_of_all_days() -> None:
    found = Coverage("caiso_lmp", "ALL", FIRST, (State.DONE, State.DONE, State.MISSING, State.DONE))
    assert list(found.runs()) == [
        (days(0), days(2), State.DONE),
        (days(2), days(3), State.MISSING),
        (days(3), days(4), State.DONE),
    ]
    assert (found.counts(), found.end) == ({"done": 3, "missing": 1}, days(4))


def on_terminal(found: list[Coverage], width: int, **how: object) -> str:
    terminal = Rich(file=io.StringIO(), record=True, force_terminal=True, width=width, highlight=False, **how)  # type: ignore[arg-type]
    for text in drawn(found, width):
        terminal.print(text)
    return terminal.export_text(styles=bool(how.get("color_system")))


YEARS = Coverage("caiso_lmp", "ALL", date(2024, 1, 30), (State.DONE,) * 700)
SHORT = Coverage("pjm_lmp", "ALL", date(2024, 2, 27), (State.FAILED, State.MISSING, State.EMPTY))


def test_a_map_has_a_row_per_spec_and_a_character_per_day() -> None:
    shown = on_terminal([YEARS, SHORT], 100).splitlines()
    assert shown[:3] == [
        " " * 16 + "2024-01" + " " * 26 + "2024-02",
        "caiso_lmp[ALL]  " + " " * 29 + "##  " + "#" * 29,
        "pjm_lmp[ALL]    " + " " * 33 + " " * 26 + "x!o",
    ]
    assert shown[-3:] == [
        "caiso_lmp[ALL] 2024-01-30 to 2025-12-30: 700 done",
        "pjm_lmp[ALL] 2024-02-27 to 2024-03-01: 1 empty, 1 failed, 1 missing",
        "# done   o empty   q quarantined   + partial   x failed   ! missing   . not due",
    ]
    assert sum(line.count("#") for line in shown) == 701


@pytest.mark.parametrize("width", [200, 118, 80, 47, 46, 31])
def test_a_map_of_years_wraps_to_the_terminal(width: int) -> None:
    shown = on_terminal([YEARS], width).splitlines()
    assert max(map(len, shown)) <= width
    assert sum(line.count("#") for line in shown) == 701
    months = [word for line in shown for word in line.split() if word.count("-") == 1 and word[:2] == "20"]
    assert months == sorted(months)
    assert len(months) == 24


def test_color_is_never_the_only_carrier_of_meaning() -> None:
    colored = on_terminal([SHORT], 80, color_system="standard")
    assert "\x1b[1;31mx" in colored
    assert "\x1b[1;35m!" in colored
    assert on_terminal([SHORT], 80, color_system=None).count("x!o") == 1


def test_in_a_pipe_there_is_a_line_per_month() -> None:
    assert lines([SHORT, Coverage("spp_lmp", "ALL", date(2024, 2, 1), (State.DONE,) * 30)]) == [
        "pjm_lmp[ALL]\t2024-02\t" + " " * 26 + "x!o",
        "spp_lmp[ALL]\t2024-02\t" + "#" * 29,
        "spp_lmp[ALL]\t2024-03\t#",
        "pjm_lmp[ALL] 2024-02-27 to 2024-03-01: 1 empty, 1 failed, 1 missing",
        "spp_lmp[ALL] 2024-02-01 to 2024-03-02: 30 done",
        "# done   o empty   q quarantined   + partial   x failed   ! missing   . not due",
    ]


def test_the_command_shows_what_runs_have_left(settings: Settings, simulator: Simulator, tmp_path: Path) -> None:
    shell = Shell(settings.home, simulator)
    lmp, load = tmp_path / "lmp.yaml", tmp_path / "load.yaml"
    lmp.write_text("dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND]}\n")
    load.write_text("dataset: caiso_load\n")
    dates = ("--from", "2026-07-14", "--to", "2026-07-17")
    assert shell("coverage", lmp, load, *dates).splitlines()[1] == "caiso_load[ALL]\t2026-07\t" + " " * 13 + "!!!"
    assert not settings.home.exists(), "looking leaves nothing behind"
    shell("run", lmp, "--from", "2026-07-15", "--to", "2026-07-16")
    first, second = shell.json("coverage", lmp, load, *dates)
    assert first | {"selection": ""} == {
        "spec": str(lmp),
        "dataset": "caiso_lmp",
        "selection": "",
        "from": "2026-07-14",
        "to": "2026-07-17",
        "days": {"done": 1, "missing": 2},
        "runs": [
            {"from": "2026-07-14", "to": "2026-07-15", "state": "missing"},
            {"from": "2026-07-15", "to": "2026-07-16", "state": "done"},
            {"from": "2026-07-16", "to": "2026-07-17", "state": "missing"},
        ],
    }
    assert second["days"] == {"missing": 3}
    shell("run", load, "--sim", "--from", "2026-07-15", "--to", "2026-07-16")
    assert shell.json("coverage", load, "--sim", *dates)[0]["days"] == {"done": 1, "missing": 2}
    refused = shell.json("coverage", lmp, "--from", "2026-07-14", "--to", "2026-07-14", code=2)
    assert "--to is exclusive" in refused["error"]["message"]
