"""Days as numbers: what they notice, what they don't mind, and that they never change."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum_etl import adapters
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.checksum import days_of_rows, rest_of_rows, summed, together
from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
from aurum_etl.contracts import CONTRACTS, LMP
from aurum_etl.pipeline import to_arrow
from aurum_etl.receipt import Day
from aurum_etl.window import Window, market_day
from tests.frames import DAY, PACIFIC, rows, scope
from tests.promises.test_the_tree import published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aurum_etl.contracts import Contract

TOTALS = st.one_of(st.floats(allow_nan=False), st.sampled_from([0.0, -0.0, 1.0, 2.0, 4.0, 1e-6, 1e300]))
PRICES = st.one_of(st.none(), TOTALS)
MARKS = st.sampled_from([None, "", "PRELIM", "FINAL", "ä"])
ROW = st.fixed_dictionaries(
    {
        "iso_location_id": st.sampled_from("ABCÄ"),
        "hour": st.integers(0, 23),
        "price_total": TOTALS,
        "price_energy": PRICES,
        "price_loss": PRICES,
        "revision": MARKS,
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=12, unique_by=lambda row: (row["iso_location_id"], row["hour"]))
WHOLE = pl.DataFrame(rows(scope(), "A", "B", "C", "Ä"))


def table(given_rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of the scope's day with these values."""
    values = ("price_total", "price_energy", "price_loss", "revision")
    wanted = pl.DataFrame(
        given_rows, schema_overrides={"revision": pl.String, **dict.fromkeys(values[:3], pl.Float64)}, orient="row"
    ).with_columns(
        interval_start=pl.lit(scope().chunk.window.start).dt.cast_time_unit("us") + pl.duration(hours="hour")
    )
    keys = ["iso_location_id", "interval_start"]
    return wanted.join(WHOLE.drop(values), on=keys, how="left", maintain_order="left").select(LMP.names)


def total(frame: pl.DataFrame) -> tuple[Day, ...]:
    return days_of_rows(to_arrow(frame, LMP), scope())


def test_it_is_what_it_always_was() -> None:
    """Sums are kept for years: whoever changes one of these makes all of them worthless."""
    given_rows = rows(scope(), "A", "Ä", price=-1.5, price_loss=0.0, price_ghg=None, revision="FINAL")
    assert days_of_rows(given_rows, scope()) == (Day(DAY, 48, "0000000b88aae8be"),)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(given_rows: list[dict[str, Any]], random: Any) -> None:
    other = random.sample(given_rows, len(given_rows))
    assert total(table(other)) == total(table(given_rows))


@given(ROWS, st.integers(0, 11), st.integers(0, 11))
def test_a_lost_row_and_a_doubled_row_show(given_rows: list[dict[str, Any]], lost: int, doubled: int) -> None:
    frame = table(given_rows)
    before = total(frame)[0]
    assert total(pl.concat([frame, frame[:1]])) != (before,)
    assert total(frame[1:]) != (before,)
    lost, doubled = lost % len(frame), doubled % len(frame)
    if lost != doubled:
        # As many as before.
        found = total(pl.concat([frame[:lost], frame[lost + 1 :], frame[doubled]]))
        assert (found[0].rows, found[0].checksum != before.checksum) == (before.rows, True)


@settings(max_examples=200)
@given(ROWS, ROW, st.sampled_from(["price_total", "price_energy", "price_loss", "revision", "hour", "iso_location_id"]))
def test_one_changed_value_shows(given_rows: list[dict[str, Any]], new: dict[str, Any], column: str) -> None:
    """Null to zero, zero to minus zero, no mark to an empty one, another hour or place, whatever it is."""
    first, *rest = given_rows
    changed = {**first, column: new[column]}
    assert (total(table([changed, *rest])) == total(table(given_rows))) == (repr(changed) == repr(first))


@settings(max_examples=200)
@given(ROWS, st.sampled_from(["price_total", "price_energy", "price_loss", "revision", "hour", "iso_location_id"]))
def test_two_rows_that_swap_a_value_show(given_rows: list[dict[str, Any]], column: str) -> None:
    if len(given_rows) < 2:
        return
    first, second, *rest = given_rows
    swapped = [{**first, column: second[column]}, {**second, column: first[column]}, *rest]
    same = {repr(sorted(each.items())) for each in swapped} == {repr(sorted(each.items())) for each in given_rows}
    assert (total(table(swapped)) == total(table(given_rows))) == same


def test_prices_of_a_regular_day_that_trade_places_show() -> None:
    """Where hours and prices go up in equal steps, a sum of products alone would often not change."""
    frame = WHOLE.with_columns(price_total=pl.int_range(pl.len()).cast(pl.Float64))
    turned = frame.with_columns(price_total=pl.col("price_total").reverse())
    shifted = frame.with_columns(price_total=pl.col("price_total").shift(1, fill_value=95.0))
    assert len({total(each) for each in (frame, turned, shifted)}) == 3


def test_the_last_bit_of_a_value_shows() -> None:
    assert total(WHOLE) != total(WHOLE.with_columns(price_total=pl.lit(1.0000000000000002)))


def test_what_stores_may_write_differently_does_not_show() -> None:
    other = WHOLE.with_columns(chunk_key=pl.lit("x"), iso_location_name=pl.lit("y"), ingested_at=pl.col("interval_end"))
    assert total(other) == total(WHOLE)


def test_days_are_apart_and_sums_of_parts_add_up() -> None:
    two = Window(market_day(DAY, PACIFIC).start, market_day(date(2026, 7, 15), PACIFIC).end)
    of = scope_of(Chunk("caiso_lmp", Selection(ALL), two), LMP_DAY_AHEAD)
    given_rows = rows(of, "A", "B", price=3.0)
    whole = days_of_rows(given_rows, of)
    assert [(each.day, each.rows) for each in whole] == [(DAY, 48), (date(2026, 7, 15), 48)]
    parts = [day for start in range(0, 96, 7) for day in days_of_rows(given_rows.slice(start, 7), of)]
    assert together(reversed(parts)) == whole


def test_no_rows_are_in_no_day() -> None:
    assert days_of_rows(rows(scope(), "A").slice(0, 0), scope()) == ()


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_kind_is_summed_over_its_key_and_values(kind: str) -> None:
    contract = CONTRACTS[kind]
    names = {column.name for column in summed(contract)}
    assert {column.name for column in contract.values} <= names
    # What is not there stands in the series id, or is the same in a whole day.
    in_series = {"iso_code", "iso_market", "iso_market_run", "iso_interval_minutes", "iso_location_id"}
    assert set(contract.key) - names <= ({"iso_code"} if contract.is_registry else in_series)
    assert not names & {"chunk_key", "ingested_at", "iso_location_name"}


@pytest.mark.parametrize("key", [key for key, each in adapters.datasets().items() if not each.contract.is_registry])
def test_a_series_id_tells_apart_what_the_key_tells_apart(key: str) -> None:
    """Market, run and length of the interval stand in it, so it may stand for them."""
    frame = published(key)[1].frame
    words = ["iso_market", "iso_market_run", "iso_interval_minutes", "iso_location_id"]
    assert frame.select("series_id", *words).unique().get_column("series_id").is_unique().all()


def test_a_registry_is_one_day_that_of_its_chunk() -> None:
    dataset = adapters.dataset("spp_pnode")
    frame = published("spp_pnode")[1].frame
    of = scope_of(Chunk("spp_pnode", Selection(ALL), market_day(DAY, dataset.timezone)), dataset)
    table_ = frame.with_columns(chunk_key=pl.lit("x"), ingested_at=pl.lit(of.chunk.window.start)).select(
        dataset.contract.names
    )
    (found,) = days_of_rows(to_arrow(table_, dataset.contract), of)
    assert (found.day, found.rows) == (DAY, len(frame))


def test_quantities_count_as_prices_do() -> None:
    of = scope(LOAD_ACTUAL)
    one, other = (days_of_rows(rows(of, "A", price=price), of) for price in (1.0, 2.0))
    assert one != other


@pytest.mark.parametrize("column", ["iso_location_name", "iso_location_type", "interval_end", "published_at"])
def test_what_days_do_not_say_of_a_row_is_in_the_rest(column: str) -> None:
    first = pl.int_range(pl.len()) == 0
    other = {"iso_location_name": "Alpha", "iso_location_type": "HUB"}.get(column, WHOLE.item(-1, "interval_end"))
    changed = WHOLE.with_columns(
        pl.when(first).then(pl.lit(other, WHOLE.schema[column])).otherwise(column).alias(column)
    )
    assert total(changed) == total(WHOLE)
    assert rest_of_rows(to_arrow(changed, LMP), LMP) != rest_of_rows(to_arrow(WHOLE, LMP), LMP)


def test_the_rest_is_of_places_and_not_of_the_order_of_rows_or_of_attempts() -> None:
    named = WHOLE.with_columns(iso_location_name=pl.col("iso_location_id").replace({"A": "B", "B": "A"}))
    swapped = WHOLE.with_columns(iso_location_name="iso_location_id")
    again = WHOLE.reverse().with_columns(pl.col("ingested_at").dt.offset_by("1d"), chunk_key=pl.lit("another"))
    rest = [rest_of_rows(to_arrow(each, LMP), LMP) for each in (WHOLE, again, named, swapped)]
    assert rest[0] == rest[1]
    assert len(set(rest)) == 3


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_every_contract_has_a_rest(contract: Contract) -> None:
    assert rest_of_rows(contract.arrow_schema.empty_table(), contract) == "0" * 16
