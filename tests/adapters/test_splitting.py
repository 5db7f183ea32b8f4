"""A request that is refused as too large: what is asked for in its place, and that nothing is lost or doubled."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aurum_etl import adapters
from aurum_etl.adapters.base import fetch
from aurum_etl.adapters.caiso import CAISO
from aurum_etl.adapters.pjm import PJM
from aurum_etl.archive import Archive
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.download import QUICK, Download, Replay
from aurum_etl.errors import TooLarge
from aurum_etl.pipeline import Workshop, run_chunk
from aurum_etl.quarantine import Quarantine
from aurum_etl.quota import ledger_of
from aurum_etl.receipt import Origin, Outcome, Severity
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.window import Window, days_of, halves, market_day, market_days, merge, split_hours
from tests.downloads import downloading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.receipt import Receipt

BIG = 10**9
AUTUMN, SPRING = date(2025, 11, 2), date(2026, 3, 8)


@dataclass(frozen=True)
class Case:
    """Something to ask for."""

    key: str
    feed: str
    first: date
    end: date
    names: int = 0
    """How many named places; 0 for all of them."""

    @property
    def dataset(self) -> Dataset:
        dataset = adapters.datasets()[self.key].of(self.feed)
        # Without the file that would take the place of what can't be split any further.
        return replace(dataset, feeds=tuple(replace(feed, bulk="") for feed in dataset.feeds))

    def __str__(self) -> str:
        return f"{self.key}-{self.feed}-{self.first}-{self.names or ALL}"


CASES = [
    Case("caiso_lmp", "oasis", date(2025, 11, 1), date(2025, 11, 4), 13),
    Case("caiso_lmp_rt15", "oasis", AUTUMN, date(2025, 11, 4), 2),
    Case("caiso_load", "oasis", date(2026, 3, 6), date(2026, 3, 11)),
    Case("caiso_asm", "oasis", SPRING, date(2026, 3, 9)),
    Case("pjm_lmp", "api", date(2025, 11, 1), date(2025, 11, 4), 60),
    Case("pjm_lmp", "api", SPRING, date(2026, 3, 9)),
    Case("pjm_lmp", "api", date(2023, 11, 4), date(2023, 11, 7), 3),
    Case("pjm_load_forecast", "history", date(2026, 7, 14), date(2026, 7, 15)),
    Case("pjm_load", "api", date(2025, 11, 1), date(2025, 11, 5)),
    Case("ercot_lmp", "api", date(2025, 11, 1), date(2025, 11, 5)),
    Case("ercot_lmp_rt5", "api", AUTUMN, date(2025, 11, 3)),
    Case("ercot_lmp_rt5", "api", AUTUMN, date(2025, 11, 3), 3),
    Case("ercot_lmp_rt15", "archive", AUTUMN, date(2025, 11, 3)),
]


@contextmanager
def asking(dataset: Dataset, simulator: Simulator, folder: Path, max_bytes: int = BIG) -> Iterator[Download]:
    settings = read_settings({"AURUM_HOME": str(folder / "home"), **simulator.env})
    adapter = adapters.adapter(dataset.iso)
    bases = settings.addresses(dataset.iso, adapter.bases)
    with downloading(
        adapter,
        dataset,
        bases,
        settings.secrets,
        ledger=ledger_of(settings),
        archive=folder / "archive",
        patience=replace(QUICK, attempts=2, first_wait_seconds=0.01, longest_wait_seconds=0.02),
        max_bytes=max_bytes,
    ) as source:
        yield source


def loaded(dataset: Dataset, chunk: Chunk, source: Source, folder: Path) -> tuple[Receipt, pl.DataFrame]:
    """The receipt, and the rows without what differs between any two attempts."""
    sink = MemorySink()
    adapter = adapters.adapter(dataset.iso)
    workshop = Workshop(adapter, dataset, Origin.SIMULATOR, (sink,), Quarantine(folder / "q"), 0.0, BIG)
    receipt = run_chunk(chunk, workshop, source)
    kind = dataset.contract.kind
    rows = pl.DataFrame(sink.tables()[kind]) if kind in sink.tables() else pl.DataFrame()
    return receipt, rows.drop("ingested_at", strict=False)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(nodes=70) as simulator:
        yield simulator


WHOLE: dict[Case, tuple[Chunk, pl.DataFrame, int]] = {}


def unrefused(case: Case, simulator: Simulator) -> tuple[Chunk, pl.DataFrame, int]:
    """The chunk, what it brings where nothing is refused, and how many bytes the largest answer has; made once."""
    if case not in WHOLE:
        dataset = case.dataset
        window = market_days(case.first, case.end, dataset.timezone)
        assert window is not None
        chunk = Chunk(dataset.key, Selection(ALL), window)
        with TemporaryDirectory() as folder, asking(dataset, simulator, Path(folder)) as source:
            if case.names:
                _, rows = loaded(dataset, _one_day(chunk, dataset), source, Path(folder))
                found = rows.get_column("iso_location_id").unique().sort().head(case.names).to_list()
                chunk = replace(chunk, selection=Selection.named(found))
        with TemporaryDirectory() as folder, asking(dataset, simulator, Path(folder)) as source:
            receipt, rows = loaded(dataset, chunk, source, Path(folder))
            sizes = [int(str(record["bytes"])) for _, record in Archive(Path(folder) / "archive").exchanges()]
        assert (receipt.outcome, receipt.error) == (Outcome.DONE, None)
        WHOLE[case] = chunk, rows, max(sizes)
    return WHOLE[case]


def _one_day(chunk: Chunk, dataset: Dataset) -> Chunk:
    day = next(days_of(chunk.window, dataset.timezone))
    first = market_days(day, date.fromordinal(day.toordinal() + 1), dataset.timezone)
    assert first is not None
    return replace(chunk, window=first)


@pytest.mark.parametrize("case", CASES, ids=str)
@examples(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    derandomize=True,
)
@given(share=st.floats(0.004, 1.0))
def test_whatever_size_is_refused_the_rows_are_the_same(case: Case, share: float, simulated: Simulator) -> None:
    """Or the chunk fails, because something as small as it gets is refused as well: then nothing of it is loaded."""
    chunk, rows, largest = unrefused(case, simulated)
    dataset = case.dataset
    with TemporaryDirectory() as text, asking(dataset, simulated, folder := Path(text)) as source:
        # Bytes that are packed on the way are fewer than those that are kept.
        simulated.limit(dataset.iso.name, int(largest * share))
        try:
            receipt, found = loaded(dataset, chunk, source, folder)
        finally:
            simulated.clear_faults()
        if receipt.outcome is Outcome.FAILED:
            assert (receipt.error or "").startswith("TooLarge: ")
            assert "less than that cannot be asked for" in (receipt.error or "")
            assert found.is_empty()
            return
        assert receipt.outcome is Outcome.DONE
        assert_frame_equal(found, rows, check_row_order=False)
        replay = Replay(
            Archive(folder / "archive"),
            simulated=True,
            manners=adapters.adapter(dataset.iso).manners,
            max_bytes=BIG,
        )
        again, replayed = loaded(dataset, chunk, replay, folder)
    assert again.outcome is Outcome.DONE
    assert_frame_equal(replayed, found)
    told = [each for each in receipt.findings if each.check == "request_was_split"]
    assert all(each.severity is Severity.INFO and each.count > 0 for each in told)


SMALL = Case("pjm_lmp", "api", date(2025, 11, 1), date(2025, 11, 4), 60)


def test_only_what_was_refused_is_split(simulated: Simulator, tmp_path: Path) -> None:
    """Sixty nodes are two requests, fifty and ten: the ten come as they were asked for."""
    chunk, rows, _ = unrefused(SMALL, simulated)
    simulated.log.clear()
    simulated.inject(Fault("too_large"))
    with asking(SMALL.dataset, simulated, tmp_path) as source:
        receipt, found = loaded(SMALL.dataset, chunk, source, tmp_path)
    assert_frame_equal(found, rows)
    asked = [
        (len(each.query["pnode_id"].split(";")), each.query["datetime_beginning_utc"][:10]) for each in simulated.log
    ]
    assert asked == [(50, "2025-11-01"), (50, "2025-11-01"), (50, "2025-11-03"), (10, "2025-11-01")]
    (told,) = [each for each in receipt.findings if each.check == "request_was_split"]
    assert (told.count, told.severity) == (2, Severity.INFO)
    assert "The result is too large" in told.detail
    assert "2025-11-03+05:00:00" in told.detail


def test_what_cannot_be_split_any_further_tells_what_was_tried(simulated: Simulator, tmp_path: Path) -> None:
    """Down to one place and one hour, or the fewest rows of a page: and nobody asks for ever."""
    chunk, _, _ = unrefused(SMALL, simulated)
    simulated.log.clear()
    simulated.inject(Fault("too_large", times=1000))
    try:
        with asking(SMALL.dataset, simulated, tmp_path) as source, pytest.raises(TooLarge) as caught:
            fetch(PJM, SMALL.dataset, chunk, source, BIG)
    finally:
        simulated.clear_faults()
    assert "refused after 20 larger ones, the first PJM da_hrl_lmps?startRow=1&rowCount=50000" in str(caught.value)
    assert len(simulated.log) == 21
    assert simulated.log[-1].query["rowCount"] == "195"


def test_a_page_is_split_on_its_own_and_the_promised_number_of_rows_still_holds(tmp_path: Path) -> None:
    """A day of all nodes is seven pages: when the third is refused, the others have come or are yet to come."""
    case = Case("pjm_lmp", "api", date(2026, 7, 14), date(2026, 7, 15))
    with Simulator(nodes=4_300) as simulator, asking(case.dataset, simulator, tmp_path) as source:
        chunk = Chunk(case.key, Selection(ALL), _window(case))
        simulator.inject(Fault("too_large", match={"startRow": "100001"}))
        fetched = fetch(PJM, case.dataset, chunk, source, BIG)
        asked = [(each.query["startRow"], each.query["rowCount"]) for each in simulator.log]
        simulator.log.clear()
        simulator.inject(Fault("too_large", match={"startRow": "50001"}))
        again = fetch(PJM, case.dataset, chunk, source, BIG)
        halves_of_a_page = [(each.query["startRow"], each.query["rowCount"]) for each in simulator.log]
    assert asked == [
        ("1", "50000"),
        ("50001", "50000"),
        ("100001", "50000"),
        # Its rows end before the second half of it begins.
        ("100001", "25000"),
    ]
    assert halves_of_a_page[1:4] == [("50001", "50000"), ("50001", "25000"), ("75001", "25000")]
    for each in (fetched, again):
        assert sum(batch.num_rows for _, batches in each.batches for batch in batches) == 4_300 * 24
    assert [each.count for each in fetched.findings] == [1]


def test_our_own_bound_on_an_answer_splits_as_well(simulated: Simulator, tmp_path: Path) -> None:
    case = CASES[0]
    chunk, rows, largest = unrefused(case, simulated)
    with asking(case.dataset, simulated, tmp_path, max_bytes=largest // 2) as source:
        receipt, found = loaded(case.dataset, chunk, source, tmp_path)
    assert_frame_equal(found, rows)
    assert "AURUM_RESPONSE_MAX_MB" in next(
        each.detail for each in receipt.findings if each.check == "request_was_split"
    )


@pytest.mark.parametrize(
    ("about", "nodes", "days"), [(None, [2, 2], [2, 1]), ("window", [2, 2], [2, 1]), ("places", [1, 1], [3, 3])]
)
def test_what_a_refusal_complains_of_is_halved_first(
    about: Literal["window", "places"] | None, nodes: list[int], days: list[int]
) -> None:
    dataset = adapters.datasets()["caiso_lmp"]
    window = market_days(date(2025, 11, 1), date(2025, 11, 4), dataset.timezone)
    assert window is not None
    (ask,) = CAISO.asks(dataset, Chunk(dataset.key, Selection.named(["A", "B"]), window))
    parts = [each.part for each in CAISO.less(dataset, ask, TooLarge("too much", about=about)) if each.part]
    assert sorted(len(each.selection.names) for each in parts) == nodes
    assert sorted((len(list(days_of(each.window, dataset.timezone))) for each in parts), reverse=True) == days


def test_a_trade_date_of_all_nodes_is_not_asked_for_by_the_hour() -> None:
    """The answer to an hour would be the whole date again."""
    dataset = adapters.datasets()["caiso_lmp"]
    for feed in ("oasis", "group"):
        chosen = dataset.of(feed)
        chunk = Chunk(dataset.key, Selection(ALL), _window(Case("caiso_lmp", feed, AUTUMN, date(2025, 11, 3))))
        (ask,) = CAISO.asks(chosen, chunk)
        assert CAISO.less(chosen, ask, TooLarge("too much")) == ()


def _window(case: Case) -> Window:
    window = market_days(case.first, case.end, case.dataset.timezone)
    assert window is not None
    return window


@pytest.mark.parametrize(
    ("day", "hours"), [(SPRING, [12, 11]), (date(2026, 7, 14), [12, 12]), (AUTUMN, [13, 12])], ids=str
)
def test_a_market_day_is_halved_at_a_whole_hour(day: date, hours: list[int]) -> None:
    window = market_day(day, "America/Chicago")
    assert halves(window, "America/Chicago", by_hour=False) == []
    found = halves(window, "America/Chicago", by_hour=True)
    assert [each.duration / timedelta(hours=1) for each in found] == hours
    assert merge(found) == [window]


@examples(deadline=None)
@given(st.integers(1, 40), st.integers(0, 700))
def test_halves_are_the_window_down_to_a_single_hour(days: int, offset: int) -> None:
    first = date(2025, 1, 1) + timedelta(offset)
    window = market_days(first, first + timedelta(days), "America/New_York")
    assert window is not None
    left, pieces = [window], []
    while left:
        piece = left.pop()
        parts = halves(piece, "America/New_York", by_hour=True)
        left += parts
        pieces += [] if parts else [piece]
    assert sorted(pieces) == split_hours(window)
